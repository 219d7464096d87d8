"""
`hilt-log tail`: the last events of a log, and those that come.
"""

from __future__ import annotations

import glob
import os
import sys

from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._filters import filters, keys, wanted
from ._frame import DONE, UNREAD, Command
from ._output import json_line, printable, say
from ._unread import Unread


if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["command"]

_COLOURS = {10: "bright_black", 30: "yellow", 40: "red"}
_MOST_TEXT = 200


@click.command(
    "tail",
    cls=Command,
    examples={
        "hilt-log tail logs/app.hilt.jsonl": "the last ten events, without what was said",
        "hilt-log tail -f logs/ --action system --action completion": "and those that come",
        "hilt-log tail -f -n 0 logs/ --user alice --content": "what a person says from now on",
        "kubectl logs -f deploy/app | hilt-log tail -f -": "of a container that logs to stdout",
    },
    exit_codes={
        DONE: "Done.",
        2: "Wrong usage, or a key or file that does not fit.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@_options.logs
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written.")
@click.option(
    "-n",
    "number",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the events that are there.",
)
@click.option("--content", is_flag=True, help="Show the beginning of what was said, too.")
@filters
@keys
@_options.shared_key_file
@_options.as_json
def command(
    paths: tuple[str, ...],
    follow: bool,
    number: int,
    content: bool,
    keys: tuple[str, ...],
    key_store: str | None,
    shared_key_file: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """
    Show the last events of a log, and those that come.

    Each is a line, without what was said. PATHS are files, folders and patterns, - is standard input.
    With -f, what is written is shown as it comes, through rotation and truncation, until Ctrl-C, until
    the time of --until, or standard input's end. With --json, each event is shown whole, on a line.
    """
    from ..analysis.recent import followed, recent

    query = wanted(given)
    unread = Unread(follows=follow)
    options: dict[str, Any] = {
        "keys": keys,
        "key_store": key_store,
        "shared_key_file": shared_key_file,
        "report": unread,
    }
    show = _shown(content, as_json)
    if follow:
        _tell_waiting(paths)
        for event in followed(paths, query, number, **options):
            show(event)
            sys.stdout.flush()
    else:
        for event in recent(paths, query, number, **options):
            show(event)
    unread.tell()
    return UNREAD if unread.count else DONE


def _tell_waiting(paths: tuple[str, ...]) -> None:
    """Tell of what is not there yet, which may be a wrong name."""
    for path in paths:
        if not os.path.lexists(path) and not glob.has_magic(path):
            say(f"{path} is not there: waiting for it", err=True, fg="yellow")


def _shown(content: bool, as_json: bool) -> Callable[[dict[str, Any]], None]:
    from ..records import level_of, summary

    if as_json:
        return json_line

    def show(event: dict[str, Any]) -> None:
        line = f"{event['timestamp'][:10]} {event['timestamp'][11:23]} {summary(event)}"
        if content:
            line += _said(event)
        click.secho(printable(line), fg=_COLOURS.get(level_of(event)))

    return show


def _said(event: dict[str, Any]) -> str:
    content = event.get("content")
    text = content.get("text") if type(content) is dict else None
    if type(text) is not str or not text:
        return ""
    shown = " ".join(text[:_MOST_TEXT].split())
    return f' "{shown}{"…" if len(text) > _MOST_TEXT else ""}"'
