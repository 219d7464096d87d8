"""
Options that mean the same in every command.
"""

from __future__ import annotations

import io
import os
import re

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InvalidEventError
from ..events import to_timestamp


if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


__all__ = [
    "STDIN",
    "age",
    "as_json",
    "completed",
    "engine",
    "force",
    "logs",
    "no_tables",
    "paths",
    "seal_key",
    "shared_key_file",
    "shared_sign_key",
    "sign_key",
    "since",
    "tz",
    "until",
]

STDIN = "/dev/stdin"
_TABLES = {b"SQLite format 3\0": "SQLite", b"PAR1": "Parquet"}
_ENGINES = ("auto", "python", "duckdb", "spark")  # of `stats`, for which a shell would wait

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
force = click.option("--force", is_flag=True, help="Take the place of files that are there.")


def _of_stdin(
    ctx: click.Context, param: click.Parameter, paths: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(STDIN if each == "-" else each for each in paths)


def no_tables(
    ctx: click.Context, param: click.Parameter, paths: tuple[str, ...]
) -> tuple[str, ...]:
    """Return paths, none of which is a table: all its many lines would be told to be no events."""
    for path in paths:
        kind = _kind_of_table(path)
        if kind is not None:
            remedy = f"hilt-log convert {path} -o NEW.jsonl"
            raise click.BadParameter(f"{path} is {kind}, no log; `{remedy}` makes one", ctx, param)
    return paths


def _kind_of_table(path: str) -> str | None:
    try:
        with open(path, "rb") if os.path.isfile(path) else io.BytesIO() as file:
            begin = file.read(16)
    except OSError:  # whoever reads it tells
        return None
    return next((kind for magic, kind in _TABLES.items() if begin.startswith(magic)), None)


_paths = partial(click.argument, "paths", nargs=-1, required=True, type=click.Path())
paths = _paths(callback=_of_stdin)
logs = _paths(
    callback=lambda ctx, param, paths: _of_stdin(ctx, param, no_tables(ctx, param, paths))
)
shared_key_file = click.option(
    "--shared-key-file", is_flag=True, help="Take keys that others can read, too."
)
sign_key = click.option(
    "--sign-key",
    type=click.Path(),
    metavar="FILE",
    help="The private key that signs the log, where it is signed.",
)
seal_key = click.option(
    "--seal-key",
    type=click.Path(),
    metavar="FILE",
    help="The file of the key that seals the log, where it is sealed.",
)
shared_sign_key = click.option(
    "--shared-sign-key", is_flag=True, help="Take a signing key that others can read, too."
)


def completed(names: Iterable[str], begun: str, before: str = "") -> list[CompletionItem]:
    """Return the names that begin in a way, each behind what stands before it already."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(f"{before}{name}") for name in names if name.startswith(begun)]


engine = click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="ENGINE",
    shell_complete=lambda ctx, param, begun: completed(_ENGINES, begun),
    help="What counts: python, duckdb, spark or spark:MASTER; auto is DuckDB for large logs, where it is"
    " installed.",
)


def tz(of: str) -> Callable[[F], F]:
    """Return the option for the time zone of something."""
    return click.option(
        "--tz",
        default="UTC",
        show_default=True,
        metavar="ZONE",
        help=f"The time zone of {of}, as Europe/Berlin.",
    )


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """Return a time span that is written as 90m, 12h, 180d or 26w."""
    span = _span(value)
    if span is None:
        raise click.BadParameter("must be a number with m, h, d or w after it, as 180d", ctx, param)
    return span


def since(what: str) -> Callable[[F], F]:
    """Return the option for the time from which on something counts."""
    told = f"Only {what} of this time or later, in UTC, or of the last 90m, 12h, 7d."
    return click.option("--since", callback=_time, metavar="TIME", help=told)


def until(what: str) -> Callable[[F], F]:
    """Return the option for the time from which on nothing counts any more."""
    told = f"Only {what} before this time, in UTC, or longer ago than 90m, 12h, 7d."
    return click.option("--until", callback=_time, metavar="TIME", help=told)


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a time as it was typed, and for a time span the time that is so long ago."""
    if value is None:
        return None
    try:
        span = _span(value)
        if span is not None:
            return to_timestamp(datetime.now(timezone.utc) - span)
        to_timestamp(value)
    except (InvalidEventError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no time: write 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, as 90m,"
            " 12h, 7d or 2w",
            ctx,
            param,
        ) from None
    return value


def _span(value: str) -> timedelta | None:
    found = re.fullmatch(r"([0-9]{1,9})([mhdw])", value)
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    except OverflowError:
        return None
