"""
`hilt-log convert`: a log as CSV, Parquet or SQLite, and back.
"""

from __future__ import annotations

import click

from . import _options
from ._filters import keys, tell_opened
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, output_file, say
from ._unread import Unread


__all__ = ["command"]

_FORMATS = ("csv", "parquet", "sqlite", "jsonl")
_TEXTS = ("csv", "jsonl")
_COMPRESSIONS = ("zstd", "snappy", "gzip", "none")


@click.command(
    "convert",
    cls=Command,
    examples={
        "hilt-log convert logs/app.hilt.jsonl --to csv": "to logs/app.hilt.csv, for a spreadsheet",
        "hilt-log convert logs/ --to parquet --partition -o lake/": (
            "a folder by day and provider, for DuckDB, Spark and others"
        ),
        "hilt-log convert logs/ -o app.db": "for Datasette, with a full-text index",
        "hilt-log convert app.db -o app.hilt.jsonl": "and back to a log, byte for byte",
    },
)
@_options.paths
@click.option(
    "--to",
    type=click.Choice(_FORMATS),
    help="What is made; by default what the name of the output ends with.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(),
    metavar="PATH",
    help="The new file; by default the only file's name with another ending. - is standard output, when "
    "all is done.",
)
@click.option(
    "--columns",
    metavar="NAMES",
    help="Only these, with commas between: of CSV fields as content.text, else columns of `events`.",
)
@click.option(
    "--compression",
    type=click.Choice(_COMPRESSIONS),
    default=_COMPRESSIONS[0],
    show_default=True,
    help="Of Parquet.",
)
@click.option("--partition", is_flag=True, help="A folder of Parquet by day and provider.")
@keys
@_options.shared_key_file
@_options.force
@_options.as_json
def command(
    paths: tuple[str, ...],
    to: str | None,
    target: str | None,
    columns: str | None,
    compression: str,
    partition: bool,
    keys: tuple[str, ...],
    key_store: str | None,
    shared_key_file: bool,
    force: bool,
    as_json: bool,
) -> int:
    """
    Make CSV, Parquet or SQLite of a log, and a log of these.

    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files.
    Parquet and SQLite hold every line as it was beside the columns: they can be converted back
    without loss. Parquet needs the extra `analytics`. With keys, what was encrypted is in the new file
    as it was said.
    """
    from ..analysis.convert import convert

    if to is None and target is None:
        raise click.UsageError("Give --to, --output or both.")
    aside = target == "-"
    if aside and (to is None or partition):
        raise click.UsageError("One file of a kind that --to names goes to standard output.")
    unread = Unread()
    with output_file(target or "", is_text=to in _TEXTS) as place:
        done = convert(
            paths,
            to=to,
            output=place or None,
            columns=None if columns is None else [each.strip() for each in columns.split(",")],
            compression=compression,
            partition=partition,
            keys=keys,
            key_store=key_store,
            shared_key_file=shared_key_file,
            report=unread,
            force=force,
        )
    done.output = target or done.output
    unread.tell()
    if done.opened:
        tell_opened(done.opened)
    if as_json:
        json_line(done, err=aside)
    else:
        say(f"{done.output}: {counted(done.events, 'event')}", err=aside)
        for reason, count in done.hidden.items():
            say(f"{counted(count, 'event')} not opened: {reason}", err=aside)
    return UNREAD if done.faults else DONE
