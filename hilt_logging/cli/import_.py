"""
`hilt-log import`: what other programs left behind, as a log.
"""

from __future__ import annotations

import click

from . import _options
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, say
from ._unread import Unread


__all__ = ["command"]

_SOURCES = ("hilt-python", "llm", "langfuse", "langsmith")


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
    help="The new log.",
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

    PATHS are logs of hilt-python, SQLite databases of llm, or what Langfuse and LangSmith export: JSON,
    lines of JSON, CSV, Parquet, or folders of them. Every line that is written is a valid event. How
    many there are is told, and what could not be carried over.
    """
    from ..analysis.importing import import_log

    unread = Unread()
    done = import_log(paths, target, source=source, report=unread, force=force)
    unread.tell()
    if as_json:
        json_line(done)
    else:
        say(f"{done.output}: {counted(done.events, 'event')}")
        if done.changed:
            say(f"{counted(done.changed, 'event')} with a field that is now in extensions.original")
        for what, count in done.lost.items():
            say(f"Not carried over: {count:,} {what}")
    return UNREAD if done.faults else DONE
