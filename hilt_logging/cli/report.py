"""
`hilt-log report`: a log as one page for a browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._filters import conditions, filters, keys
from ._frame import DONE, FAILED, UNREAD, Command
from ._output import counted, json_line, output_file, say
from ._progress import Progress
from ._unread import Unread


if TYPE_CHECKING:
    from ..analysis.report import Reported


__all__ = ["command"]

_ENGINES = ("auto", "python", "duckdb")


@click.command(
    "report",
    cls=Command,
    examples={
        "hilt-log report logs/ -o report.html": "figures, charts and a list of conversations",
        "hilt-log report logs/ -o november.html --since 2026-11-01 --tz Europe/Berlin": (
            "of some days, in local time"
        ),
        "hilt-log report logs/ -o alice.html --user alice --transcripts": (
            "with what was said, of one person's conversations"
        ),
        "hilt-log report logs/ --transcripts --key auditor.key.jwk": "with what a key opens",
    },
    exit_codes={
        DONE: "Done.",
        FAILED: "The page could not be made.",
        2: "Wrong usage, a key that does not fit, or an output that is there.",
        UNREAD: "Some of the input could not be read; the rest is in the report, which says so.",
    },
)
@_options.paths
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="The new file, which only you can read; - is standard output, when all is done.",
)
@click.option("--title", metavar="TEXT", help="What stands above the report.")
@_options.tz("all times")
@click.option(
    "--top",
    type=click.IntRange(1, 50),
    default=10,
    show_default=True,
    metavar="N",
    help="How many busiest users and conversations, slowest and dearest calls, and gaps.",
)
@click.option(
    "--transcripts",
    is_flag=True,
    help="Have what was said in it, too: whole conversations, whatever else is chosen.",
)
@click.option(
    "--max-conversations",
    type=click.IntRange(0),
    metavar="N",
    help="List the latest N; by default 1000, with --transcripts 200.",
)
@filters
@keys
@_options.shared_key_file
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    type=click.Choice(_ENGINES),
    help="What counts; auto is DuckDB for large logs, where it is installed.",
)
@_options.force
@_options.as_json
def command(
    paths: tuple[str, ...],
    output: str,
    title: str | None,
    tz: str,
    top: int,
    transcripts: bool,
    max_conversations: int | None,
    keys: tuple[str, ...],
    key_store: str | None,
    shared_key_file: bool,
    engine: str,
    force: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """
    Make a page of what a log says, for a browser.

    Cost, tokens, latency, errors, users, tools and gaps, in charts and tables, and a list of conversations
    that can be searched. It is one file that asks no server for anything, and without --transcripts holds
    no content: no texts, arguments of tools or messages of errors. PATHS are files, folders and patterns,
    - is standard input; a log is read with its rotated files. Needs the extra `report`.
    """
    from ..analysis.report import report

    if (keys or key_store) and not transcripts:
        raise click.UsageError("Keys open transcripts: give --transcripts, too.")
    unread = Unread()
    with output_file(output) as place, Progress("Reading") as progress:
        made = report(
            paths,
            place,
            title=title,
            tz=tz,
            top=top,
            since=given["since"],
            until=given["until"],
            where=conditions(given),
            models=given["models"],
            users=given["users"],
            transcripts=transcripts,
            max_conversations=max_conversations,
            keys=keys,
            key_store=key_store,
            shared_key_file=shared_key_file,
            engine=engine,
            report=unread,
            progress=progress,
            force=force,
        )
    unread.tell()
    made.output, aside = output, output == "-"
    if as_json:
        json_line(made, err=aside)
    else:
        say(_told(made, transcripts), err=aside)
    return UNREAD if made.faults else DONE


def _told(made: Reported, has_transcripts: bool) -> str:
    content = f"{counted(made.transcripts, 'transcript')}" if has_transcripts else "no content"
    return (
        f"{made.output}: {counted(made.events, 'event')}, "
        f"{counted(made.conversations, 'conversation')}, {content}, {_size(made.bytes)}"
    )


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
