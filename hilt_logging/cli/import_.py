"""
`hilt-log import`: what other programs left behind, as a log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import _options
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, output_file, say
from ._unread import Unread


if TYPE_CHECKING:
    from ..analysis.importing import Imported


__all__ = ["command"]

_SOURCES = ("hilt-python", "llm", "langfuse", "langsmith", "otlp")


@click.command(
    "import",
    cls=Command,
    examples={
        "hilt-log import old/*.hilt.jsonl -o app.hilt.jsonl": "logs of hilt-python",
        'hilt-log import "$(llm logs path)" -o llm.hilt.jsonl': "all that llm has logged",
        "hilt-log import export/ -o app.hilt.jsonl": "a folder of Langfuse's or LangSmith's export",
    },
)
@_options.paths
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(),
    metavar="FILE",
    required=True,
    help="The new log; - is standard output, when all is done.",
)
@click.option(
    "--from",
    "source",
    type=click.Choice(_SOURCES),
    help="What left it behind; by default what the files look like.",
)
@_options.force
@_options.as_json
def command(
    paths: tuple[str, ...], target: str, source: str | None, force: bool, as_json: bool
) -> int:
    """
    Make a log of what other programs left behind.

    PATHS are logs of hilt-python, SQLite databases of llm, what Langfuse and LangSmith export, or spans
    and log records of OpenTelemetry (OTLP): JSON, lines of JSON, CSV, Parquet, or folders of them. Every line that is written is a valid event. How
    many there are is told, and what could not be carried over.
    """
    from ..analysis.importing import import_log

    unread = Unread()
    with output_file(target) as place:
        done = import_log(paths, place, source=source, report=unread, force=force)
    done.output, aside = target, target == "-"
    unread.tell()
    if as_json:
        json_line(done, err=aside)
    else:
        _show(done, aside)
    return UNREAD if done.faults else DONE


def _show(done: Imported, err: bool) -> None:
    say(f"{done.output}: {counted(done.events, 'event')}", err=err)
    if done.changed:
        changed = counted(done.changed, "event")
        say(f"{changed} with a field that is now in extensions.original", err=err)
    for what, count in done.lost.items():
        say(f"Not carried over ({count:,}): {what}", err=err)
