"""
What a log says in figures: events, calls, tokens, cost, latencies, failures, by whatever is asked for.

What counts as what is told in `_figures`. Who counts is an engine: Python, DuckDB or Spark.
"""

from __future__ import annotations

import datetime
import importlib.util
import os

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError, ReadError
from ..io._decoding import reporter
from ..io._selection import Selection, time_of
from ..io.files import several
from ..io.reader import Faults
from ._figures import (
    GROUPINGS,
    Busy,
    Call,
    Counts,
    Engine,
    Figures,
    Group,
    Question,
    Report,
    Spread,
    Stats,
    Tally,
    Tokens,
    Tool,
    Top,
)
from ._inputs import Inputs, Paths, inputs_of
from ._zones import zone_of


__all__ = [
    "ENGINES",
    "GROUPINGS",
    "Busy",
    "Call",
    "Counts",
    "Figures",
    "Group",
    "Spread",
    "Stats",
    "Tokens",
    "Tool",
    "Top",
    "stats",
    "tallied",
]

ENGINES = ("auto", "python", "duckdb", "spark")
_LARGE = 32 * 1024 * 1024
_COMPRESSED = (".gz", ".zst")
_SMALLER = 6

Time = str | datetime.datetime


def stats(
    paths: Paths,
    *,
    by: str | Sequence[str] | None = None,
    tz: str = "UTC",
    top: int = 10,
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    models: str | Sequence[str] = (),
    users: str | Sequence[str] = (),
    rotated: bool = True,
    engine: str = "auto",
    spark: Any = None,
    report: Report | None = None,
) -> Stats:
    """
    Return what a log says in figures.

    Memory grows with how many sessions, users and groups there are, not with how many events.

    Args:
        paths: Files, folders and patterns, of logs (plain, rotated, compressed), and of Parquet and
            SQLite that `convert` made; `-` is standard input. Spark takes what it reads: URIs, too.
        by: What events are grouped by, one or several of `GROUPINGS`.
        tz: The IANA time zone in which hours, days, weeks and months are counted.
        top: How many of the busiest users and sessions, and of the slowest and dearest calls.
        since: Only events of this time or later; a time without an offset is UTC.
        until: Only events before this time.
        where: Only events that have these values, as in `io.reader.read`.
        models: Only events of this model, asked for or served, or of one of several.
        users: Only events of this user, or of one of several.
        rotated: Whether a file that is named means its rotated files, too.
        engine: `python`, `duckdb`, `spark` or `spark:MASTER`; `auto` is DuckDB for much, where it is
            installed, else Python. They give the same figures.
        spark: A session of Spark, which is asked then.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for another value of an option.
        MissingDependencyError: if what the engine needs is not installed.
        ReadError: for a path that is not there, if it is the only one.
    """
    names = tuple(several(() if by is None else by))
    found, groups = tallied(
        paths,
        [names] if names else [],
        tz=tz,
        top=top,
        since=since,
        until=until,
        where=where,
        models=models,
        users=users,
        rotated=rotated,
        engine=engine,
        spark=spark,
        report=report,
    )
    if names:
        found.by, found.groups = names, groups[0]
    return found


def tallied(
    paths: Paths,
    groupings: Sequence[Sequence[str]],
    *,
    rotated: bool = True,
    engine: str = "auto",
    spark: Any = None,
    report: Report | None = None,
    **asked: Any,
) -> Tally:
    """
    Return the same for several groupings, in one pass.

    Args:
        paths: As in `stats`.
        groupings: Each is what events are grouped by.
        rotated: As in `stats`.
        engine: As in `stats`.
        spark: As in `stats`.
        report: As in `stats`.
        asked: `tz`, `top`, `since`, `until`, `where`, `models` and `users`, as in `stats`; `spans` and
            `last_days`, as in `Question`, with which there is a grouping `span`, too.
    """
    faults = Faults(reporter("skip", report))
    question = _question(groupings, **asked)
    name, _, master = engine.partition(":")
    if name not in ENGINES or (master and name != "spark"):
        allowed = f"Must be one of: {', '.join(ENGINES)}; or spark: and a master"
        raise ConfigurationError("engine", engine, allowed)
    if name == "spark" or spark is not None:
        from ._spark import figures_by_spark

        found = figures_by_spark(
            paths, question, faults, rotated=rotated, session=spark, master=master or None
        )
        found.stats.unread += faults.count  # lines that it counted without a word
        return found
    inputs = inputs_of(paths, faults, rotated=rotated)
    if not any(inputs[:3]) and not faults.count:
        raise ReadError("There is no log in this directory", _only(paths))
    found = _engine(name, inputs)(inputs, question, faults)
    found.stats.unread = faults.count
    return found


def _only(paths: Paths) -> str:
    return os.fspath(paths if isinstance(paths, str | os.PathLike) else next(iter(paths)))


def _question(
    groupings: Sequence[Sequence[str]],
    *,
    tz: str = "UTC",
    top: int = 10,
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    models: str | Sequence[str] = (),
    users: str | Sequence[str] = (),
    spans: Sequence[tuple[str, str, str]] = (),
    last_days: int = 0,
) -> Question:
    has_spans = bool(spans or last_days)
    for name in (name for names in groupings for name in names):
        if name not in GROUPINGS and not (has_spans and name == "span"):
            raise ConfigurationError("by", name, f"Must be one of: {', '.join(GROUPINGS)}")
    for names in groupings:
        if not names or len(set(names)) < len(names):
            raise ConfigurationError("by", names, "Must name something, and nothing twice")
    zone_of(tz)
    if type(top) is not int or top < 0:
        raise ConfigurationError("top", top, "Must be 0 or more")
    return Question(
        groupings=tuple(map(tuple, groupings)),
        tz=tz,
        top=top,
        since=time_of("since", since),
        until=time_of("until", until),
        where=_allowed(where or {}),
        models=tuple(several(models)),
        users=tuple(several(users)),
        spans=tuple(spans),
        last_days=last_days,
    )


def _allowed(where: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    allowed = {
        path: tuple(values) if isinstance(values, list | tuple | set | frozenset) else (values,)
        for path, values in where.items()
    }
    Selection(None, None, allowed)  # tells what is wrong
    return allowed


def _engine(name: str, inputs: Inputs) -> Engine:
    if name == "duckdb" or (name == "auto" and _is_for_duckdb(inputs)):
        from ._figures_sql import figures_by_duckdb

        return figures_by_duckdb
    from ._tally import figures_by_python

    return figures_by_python


def _is_for_duckdb(inputs: Inputs) -> bool:
    """Whether there is so much that it pays to load DuckDB, and that is there."""
    if importlib.util.find_spec("duckdb") is None:
        return False
    return bool(inputs.parquet) or sum(_size(file.path) for file in inputs.logs) >= _LARGE


def _size(path: str) -> int:
    """About how much there is to be read; nothing is known of a pipe."""
    try:
        size = os.path.getsize(path)
    except OSError:
        return 0
    return size * _SMALLER if path.endswith(_COMPRESSED) else size
