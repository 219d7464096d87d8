"""
Statistics by an engine for SQL: DuckDB, and what all of them have in common.
"""

from __future__ import annotations

import datetime
import itertools

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..events import to_timestamp
from . import _questions
from ._duckdb import Database, objects, plain_fields, quoted, raw_fields
from ._figures import (
    Busy,
    Call,
    Counts,
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
    order_of_group,
)
from ._inputs import Inputs
from ._questions import FACTS, LINES
from ._spans import spans_of
from .tables import select, structure_of


__all__ = ["Ask", "figures_by_duckdb", "tally_of"]

Ask = Callable[[str], Iterable[Sequence[Any]]]
_TOTAL: tuple[str, ...] = ()
_SPREAD = 5  # values of each


def figures_by_duckdb(inputs: Inputs, question: Question, report: Report) -> Tally:
    """Answer a question about logs; see `_figures.Engine`."""
    with _Lines(inputs, question, report) as database:
        tally = tally_of(question, database.ask)
    tally.stats.files = len(inputs.logs) + len(inputs.parquet) + len(inputs.sqlite)
    return tally


class _Lines(Database):
    """
    A database with the table of lines, for which each file is read once.

    Args:
        inputs: The files.
        question: What is asked.
        report: Is called with the error of each line that is no event, and of each file that can't be
            read.
    """

    def __init__(self, inputs: Inputs, question: Question, report: Report) -> None:
        self._question = question
        self._columns = _questions.columns_for(question)
        self._is_made = self._has_faults = False
        super().__init__(inputs, report)
        try:
            self._complete()
        except BaseException:
            self.close()
            raise

    def _counts(self, paths: list[str]) -> dict[str, tuple[int, int]]:
        """Keep the lines of files, and count them."""
        self.connection.execute("SET preserve_insertion_order = false")
        structure = structure_of(self._columns, _questions.FROM_FIELDS)
        if "event" in self._columns:
            flat = [
                self._flat(raw_fields(objects([path]), structure), quoted(path)) for path in paths
            ]
        elif len(paths) == 1:
            flat = [self._flat(plain_fields(paths, structure), quoted(paths[0]))]
        else:
            flat = [self._flat(plain_fields(paths, structure, with_name=True), "filename")]
        self._add(" UNION ALL ".join(flat))  # at once: of what fails, nothing is kept
        counts = dict.fromkeys(paths, (0, 0)) | self._kept(paths)
        self._has_faults |= any(rows != events for rows, events in counts.values())
        return counts

    def _kept(self, paths: list[str]) -> dict[str, tuple[int, int]]:
        """How many lines and events of files are kept."""
        counts = f"count(*), count(*) FILTER (WHERE is_event) FROM {LINES}"
        if len(paths) == 1:  # without groups, which takes less time
            [kept] = self.ask(f"SELECT {counts} WHERE filename = {quoted(paths[0])}")
            return {paths[0]: (kept[0], kept[1])}
        found = self.ask(f"SELECT filename, {counts} GROUP BY 1")
        return {path: (rows, events) for path, rows, events in found if path in paths}

    def _flat(self, fields: str, filename: str) -> str:
        others = {**_questions.FROM_FIELDS, "filename": filename}
        return select(f"({fields})", self._columns, others=others, where=None)

    def _add(self, flat: str) -> None:
        lines = _questions.lines(flat, self._question, ["filename"])
        begin = f"INSERT INTO {LINES}" if self._is_made else f"CREATE TABLE {LINES} AS"
        self.connection.execute(f"{begin} {lines}")
        self._is_made = True

    def _complete(self) -> None:
        """Take what DuckDB could not read, and what is stored; leave out what it read wrongly."""
        good = [path for path, part in self._parts if part is None]
        self._parts = [each for each in self._parts if each[1] is not None]
        if self._has_faults:
            names = ", ".join(map(quoted, good)) or "''"
            self.connection.execute(
                f"DELETE FROM {LINES} WHERE NOT is_event OR filename NOT IN ({names})"  # noqa: S608
            )
        if self._parts or self._stored or not self._is_made:
            source = self.source(self._columns, _questions.FROM_FIELDS, _questions.FROM_STORED)
            self._add(f"SELECT *, '' AS filename FROM ({source})")  # noqa: S608
        self.connection.execute(f"CREATE VIEW {FACTS} AS {_questions.facts()}")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of an answer."""
        rows: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        return rows


def tally_of(question: Question, ask: Ask) -> Tally:
    """
    Return the answer to a question.

    Args:
        question: The question.
        ask: Gives the rows of what is asked in DuckDB's SQL of `_questions.LINES` and `FACTS`.
    """
    groupings = list(dict.fromkeys([_TOTAL, *question.groupings]))
    ((notices, unread, first, last),) = ask(_questions.overview())
    groups = _groups(groupings, question.tz, spans_of(question, _time(last)), ask)
    stats = Stats(
        first=_time(first),
        last=_time(last),
        notices=notices,
        unread=unread,
        total=next((figures for _, figures in groups[frozenset(_TOTAL)]), Figures()),
        counts=_counts(ask),
        tools=_tools(ask),
        top=_top(question.top, ask),
    )
    return Tally(stats, [_in_order(groups, names) for names in question.groupings])


_Groups = dict[frozenset[str], list[tuple[dict[str, str | None], Figures]]]


def _groups(
    groupings: list[tuple[str, ...]], tz: str, spans: Sequence[tuple[str, str, str]], ask: Ask
) -> _Groups:
    """The groups of each grouping, whose names may stand in any order."""
    found: _Groups = {frozenset(names): [] for names in groupings}
    distinct = [tuple(sorted(names)) for names in found]
    names = _questions.names_in(distinct)
    for row in ask(_questions.figures(distinct, tz, spans)):
        keys = _keys(names, row)
        figures = _figures(row[2 * len(names) :])
        if figures.events:
            found[frozenset(keys)].append((keys, figures))
    return found


def _keys(names: Sequence[str], row: Sequence[Any]) -> dict[str, str | None]:
    """What a row is grouped by, by name."""
    marks, values = row[: 2 * len(names) : 2], row[1 : 2 * len(names) : 2]
    return {
        name: _key(name, value)
        for name, mark, value in zip(names, marks, values, strict=True)
        if not mark
    }


_PERIODS: dict[str, Callable[[datetime.datetime], str]] = {
    "hour": lambda begin: begin.isoformat(" ", "minutes"),
    "day": lambda begin: begin.date().isoformat(),
    "week": lambda begin: "{:04}-W{:02}".format(*begin.isocalendar()),
    "month": lambda begin: begin.date().isoformat()[:7],
}


def _key(name: str, value: str | None) -> str | None:
    if value is None or name not in _PERIODS:
        return value
    return _PERIODS[name](datetime.datetime.fromisoformat(value))


def _spread(
    count: int, mean: float | None, least: int | None, most: int | None, percentiles: Any
) -> Spread:
    if not count:
        return Spread()
    p50, p90, p95, p99 = map(float, percentiles)
    return Spread(count=count, mean=mean, min=least, p50=p50, p90=p90, p95=p95, p99=p99, max=most)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _figures(values: Sequence[Any]) -> Figures:
    rest = iter(values)
    sums = {name: next(rest) for name in _questions.SUMS}
    spreads: dict[str, Any] = {
        name: _spread(*itertools.islice(rest, _SPREAD)) for name in _questions.SPREADS
    }
    taken = {name: sums[name] for name in Figures.__struct_fields__ if name in sums}
    prompt, cached = sums["prompt"], sums["cached_of_prompts"] or 0
    return Figures(
        **taken,
        **spreads,
        tokens=Tokens(*(_whole(sums[part]) for part in Tokens.__struct_fields__)),
        cache_hit_rate=int(cached) / int(prompt) if prompt else None,
    )


def _in_order(groups: _Groups, names: tuple[str, ...]) -> list[Group]:
    made = (
        Group(tuple(keys[name] for name in names), figures)
        for keys, figures in groups[frozenset(names)]
    )
    return sorted(made, key=order_of_group)


def _tools(ask: Ask) -> list[Tool]:
    rows = ask(_questions.tools())
    tools = [Tool(name, calls, failures, _spread(*rest)) for name, calls, failures, *rest in rows]
    return sorted(tools, key=lambda tool: (-tool.calls, tool.name))


def _counts(ask: Ask) -> Counts:
    found: dict[str, dict[str, int]] = {field: {} for field in _questions.COUNTED}
    fields = {frozenset(names): field for field, (names, _) in _questions.COUNTED.items()}
    columns = _questions.names_in(names for names, _ in _questions.COUNTED.values())
    for *row, events, calls in ask(_questions.counts()):
        keys = _keys(columns, row)
        field = fields[frozenset(keys)]
        number = events if _questions.COUNTED[field][1] == "events" else calls
        first, *more = keys.values()
        if first is not None and number:
            found[field][f"{first} ({more[0]})" if more else first] = number
    return Counts(**{field: _by_count(counted) for field, counted in found.items()})


def _by_count(counted: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _top(most: int, ask: Ask) -> Top:
    if most <= 0:
        return Top()
    top = Top([], [], [], [])
    for field, name, events, calls, tokens, cost_usd, first, last in ask(_questions.busy(most)):
        busy = Busy(name, events, calls, _whole(tokens), cost_usd, _time(first), _time(last))
        getattr(top, field).append(busy)
    for field, event_id, when, session_id, who, *row in ask(_questions.calls(most)):
        provider, model, latency_ms, cost_usd, tokens, outcome = row
        call = Call(
            event_id=event_id,
            timestamp=_time(when),
            session_id=session_id,
            user=who,
            provider=provider,
            model=model,
            latency_ms=latency_ms,
            cost_usd=cost_usd,
            tokens=_whole(tokens),
            outcome=outcome,
        )
        getattr(top, field).append(call)
    top.users.sort(key=_order_of_busy)
    top.sessions.sort(key=_order_of_busy)
    top.slowest.sort(key=lambda call: (-(call.latency_ms or 0), *_order_of_call(call)))
    top.dearest.sort(key=lambda call: (-(call.cost_usd or 0), *_order_of_call(call)))
    return top


def _order_of_busy(busy: Busy) -> tuple[int, int, str]:
    return -busy.calls, -busy.events, busy.id


def _order_of_call(call: Call) -> tuple[bool, str, str]:
    return call.timestamp is None, call.timestamp or "", call.event_id


def _time(when: datetime.datetime | None) -> str | None:
    return None if when is None else to_timestamp(when)
