"""
`hilt-log sql`: questions in SQL.
"""

from __future__ import annotations

import sys

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._filters import keys
from ._frame import DONE, UNREAD, Command
from ._output import json_line, printable, say
from ._unread import Unread


if TYPE_CHECKING:
    from ..analysis.sql import Answer


__all__ = ["command"]

_FORMATS = ("table", "csv", "json", "jsonl", "parquet")
_MOST_ROWS = 200


@click.command(
    "sql",
    cls=Command,
    examples={
        'hilt-log sql "SELECT model, sum(cost_usd) FROM events GROUP BY model" logs/': (
            "what each model cost"
        ),
        'hilt-log sql "SELECT * FROM conversations ORDER BY cost_usd DESC LIMIT 10" logs/': (
            "the dearest conversations"
        ),
        "hilt-log sql \"SELECT event->>'$.extensions.team' AS team, count(*) FROM events "
        'GROUP BY team" logs/ -o teams.csv': "by a field of your own, to a file",
        'hilt-log sql "SELECT count(*) FROM events" "s3a://bucket/hilt/*/" '
        "--engine spark:spark://host:7077": "on a cluster",
    },
)
@click.argument("sql", metavar="QUERY")
@_options.paths
@click.option(
    "--format",
    "kind",
    type=click.Choice(_FORMATS),
    help="What is printed or written; by default a table, or what the name of the file ends with.",
)
@click.option(
    "-o", "--output", "target", type=click.Path(), metavar="FILE", help="The new file for it."
)
@click.option(
    "--engine",
    default="duckdb",
    show_default=True,
    metavar="NAME",
    help="duckdb, spark, or spark:MASTER, as spark:local[2] or spark:spark://host:7077.",
)
@keys
@_options.shared_key_file
@_options.force
@_options.as_json
def command(
    sql: str,
    paths: tuple[str, ...],
    kind: str | None,
    target: str | None,
    engine: str,
    keys: tuple[str, ...],
    key_store: str | None,
    shared_key_file: bool,
    force: bool,
    as_json: bool,
) -> int:
    """
    Ask a log in SQL.

    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files,
    plain or compressed, and so is Parquet that `hilt-log convert` made. QUERY is one SELECT in
    DuckDB's SQL over the views `events` and `conversations`; "DESCRIBE events" tells their columns.
    It changes no file, and there is no network. Needs the extra `analytics`; with --engine spark the
    extra `spark`, Java, and a QUERY in Spark's SQL.
    """
    from ..analysis.sql import query

    target = None if target == "-" else target
    kind = kind or ("json" if as_json and target is None else None)
    if target is None and kind == "parquet":
        raise click.UsageError("Parquet goes to a file: give --output.")
    if target is not None and kind == "table":
        raise click.UsageError("A table is for the screen: give another --format.")
    unread = Unread()
    with query(
        sql,
        paths,
        report=unread,
        engine=engine,
        keys=keys,
        key_store=key_store,
        shared_key_file=shared_key_file,
    ) as answer:
        if target is not None:
            answer.write(target, kind, force=force)
            if keys or key_store is not None:
                say("the new file may have what was encrypted", err=True, fg="yellow")
        elif kind in (None, "table"):
            _show(answer)
        else:
            answer.print(_print, str(kind))
        unread.tell()
        if target is not None and as_json:
            json_line({"output": target, "events": answer.events, "unread": answer.faults.count})
        return UNREAD if answer.faults.count else DONE


def _print(data: bytes) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(printable(data.decode()))
    else:
        sys.stdout.buffer.write(data)


def _show(answer: Answer) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for name in answer.columns:
        table.add_column(Text(printable(name)))
    more = 0
    for number, row in enumerate(answer):
        if number < _MOST_ROWS:
            table.add_row(*(Text(_cell(value), justify=_side(value)) for value in row))
        else:
            more += 1
    console = Console()
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    if more:
        say(f"... and {more:,} more: --format csv, json or jsonl prints all", err=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return _float(value)
    return "" if value is None else printable(str(value))


def _float(value: float) -> str:
    """A number with the digits that it has, less those that only sums of floats have."""
    digits = str(value) if value.is_integer() else f"{value:.15g}"
    return f"{Decimal(digits):f}" if 1e-9 < abs(value) < 1e-4 else digits


def _side(value: Any) -> Any:
    return "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
