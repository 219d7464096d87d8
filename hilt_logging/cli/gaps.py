"""
`hilt-log gaps`: what a log does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import _options
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, say
from ._unread import Unread


if TYPE_CHECKING:
    from ..analysis.gaps import Call, Loss


__all__ = ["command"]

_MOST_SHOWN = 20


@click.command(
    "gaps",
    cls=Command,
    examples={
        "hilt-log gaps logs/": "calls that died with their process, and events that were lost",
        "hilt-log gaps logs/ --since 2026-11-22 --json": "of some days, for a program",
    },
    exit_codes={
        DONE: "Done, whether there are gaps or not.",
        2: "Wrong usage.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@_options.logs
@_options.since("what is")
@_options.until("what is")
@click.option(
    "--all", "is_all", is_flag=True, help=f"Show more than the last {_MOST_SHOWN} of each."
)
@_options.as_json
def command(
    paths: tuple[str, ...], since: str | None, until: str | None, is_all: bool, as_json: bool
) -> int:
    """
    Tell what a log does not have.

    Prompts to which no answer and no error came: their calls died with their process, or are not done.
    Calls of tools without a result. Events that a handler could not write, as it told later.
    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files.
    """
    from ..analysis.gaps import gaps

    unread = Unread()
    found = gaps(paths, since=since, until=until, report=unread)
    unread.tell()
    if as_json:
        json_line(found)
        return UNREAD if unread.count else DONE
    most = len(found.prompts) + len(found.tool_calls) + 1 if is_all else _MOST_SHOWN
    _show_calls("prompt", "without an answer", found.prompts, most)
    _show_calls("tool call", "without a result", found.tool_calls, most)
    _show_losses(found.losses, found.dropped)
    until_told = f", the last at {_time(found.until)}" if found.until else ""
    say(f"{counted(found.events, 'event')} read{until_told}")
    return UNREAD if unread.count else DONE


def _show_calls(what: str, title: str, calls: list[Call], most: int) -> None:
    say(f"{counted(len(calls), what)} {title}", bold=True, fg="yellow" if calls else "green")
    if len(calls) > most:
        say(f"  the last {most}; --all shows all", dim=True)
    for call in calls[-most:]:
        words = [call.tool, call.provider, call.model]
        if call.attempts:
            words.append(f"{call.attempts} attempts failed")
        if call.pieces:
            words.append(f"{call.pieces} pieces came")
        told = " ".join(word for word in words if word)
        say(f"  {_time(call.timestamp)}  {call.session_id}  {told}".rstrip())


def _show_losses(losses: list[Loss], dropped: int) -> None:
    say(f"{counted(dropped, 'event')} lost and counted", bold=True, fg="red" if losses else "green")
    for loss in losses:
        causes = ", ".join(f"{count:,} {cause}" for cause, count in loss.by_cause.items())
        say(f"  {_time(loss.first)} to {_time(loss.last)}  {loss.dropped:,}: {causes}")


def _time(timestamp: str) -> str:
    return f"{timestamp[:10]} {timestamp[11:19]}"
