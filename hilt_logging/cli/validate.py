"""
`hilt-log validate`: whether what stands in files are events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from . import _options
from ._frame import Command
from ._output import counted, json_line, say


if TYPE_CHECKING:
    from ..analysis.validate import InvalidLine, Validation


__all__ = ["command"]


@click.command(
    "validate",
    cls=Command,
    examples={
        "hilt-log validate logs/": "all logs of a folder, with what was rotated and compressed",
        "hilt-log validate app.hilt.jsonl --verbose --max-errors 100": (
            "each fault of the first 100 lines that are no events"
        ),
        "zcat old.jsonl.gz | hilt-log validate - --json": "for a program to read",
    },
    exit_codes={
        0: "Every line is an event.",
        1: "Some lines are no events.",
        2: "Wrong usage.",
        3: "All lines that could be read are events, but some files could not be read.",
    },
)
@_options.logs
@click.option("-v", "--verbose", is_flag=True, help="Tell each fault with its path.")
@click.option(
    "--max-errors",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the lines that are no events are told; all are counted.",
)
@_options.as_json
def command(paths: tuple[str, ...], verbose: bool, max_errors: int, as_json: bool) -> int:
    """
    Tell whether each line of a log is an event.

    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files,
    plain or compressed. Lines of hilt-python count as what they are read as.
    """
    from ..analysis.validate import validate

    found = validate(paths, max_errors=max_errors)
    if as_json:
        json_line({**msgspec.to_builtins(found), "valid": found.exit_code == 0})
    else:
        _show(found, verbose)
    return found.exit_code


def _show(found: Validation, verbose: bool) -> None:
    for each in found.errors:
        for text in _told(each, verbose):
            say(text, fg="red")
    more = found.invalid - len(found.errors)
    if more > 0:
        say(f"... and {more:,} more: --max-errors tells more of them")
    for reason in found.unread_files:
        say(reason, fg="yellow")
    colour = {0: "green", 1: "red"}.get(found.exit_code, "yellow")
    say(
        f"{counted(found.events, 'event')}, "
        f"{counted(found.invalid, 'line that is none', 'lines that are none')}, "
        f"{counted(found.files, 'file')}, {found.unread:,} of them not read to the end",
        fg=colour,
        bold=True,
    )


def _told(line: InvalidLine, verbose: bool) -> list[str]:
    place = f"{line.file}, line {line.line}: "
    if not verbose or not line.faults:
        return [place + line.reason]
    return [f"{place}{fault}" for fault in line.faults]
