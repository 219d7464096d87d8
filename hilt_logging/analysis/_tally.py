"""
Statistics without an engine: events are counted one by one, on as little of each as it takes.

Memory grows with how many sessions, users and groups there are, and how many different latencies,
but not with how many events.
"""

from __future__ import annotations

import heapq
import itertools
import math

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ..errors import ReadError
from ..io._selection import Selection
from ._countable import (
    FAILED,
    NO_EXTENSIONS,
    NO_METRICS,
    NO_PROVENANCE,
    PROMPT,
    RETRIED,
    TOOL_CALL,
    TOOL_FAILURE,
    TOOL_RUN,
    Event,
    kind_of,
    tool_of,
    total_of,
    user_of,
)
from ._counted_lines import converted, events_of, takes
from ._figures import (
    Busy,
    Call,
    Counts,
    Group,
    Question,
    Report,
    Stats,
    Tally,
    Tool,
    Top,
)
from ._inputs import Inputs, sqlite_lines
from ._lines import Line
from ._spans import days_of_spans
from ._sums import Grouping, Periods, Sums, Who, spread_of


__all__ = ["figures_by_python"]

_BATCH = 64
_NO_TIME = "~"  # after all times

T = TypeVar("T")


def figures_by_python(inputs: Inputs, question: Question, report: Report) -> Tally:
    """Answer a question about logs; see `_figures.Engine`."""
    counted = _Counted(question)
    fields = Selection(None, None, question.where) if question.where else None
    for file in inputs.logs:
        try:
            for events in events_of(file, fields, report):
                counted.take(events)
        except ReadError as error:
            report(error)
    for lines in _batches(_stored(inputs, report)):
        counted.take([converted(line.event) for line in lines if takes(fields, line.event)])
    files = len(inputs.logs) + len(inputs.parquet) + len(inputs.sqlite)
    return Tally(counted.stats(files), counted.groups())


def _stored(inputs: Inputs, report: Report) -> Iterator[Line]:
    """The events in what `convert` made of logs."""
    yield from sqlite_lines(inputs.sqlite, report)
    if inputs.parquet:
        from ._duckdb import Database

        with Database(inputs._replace(logs=[], sqlite=[]), report) as database:
            yield from database.stored_lines()


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(itertools.islice(items, _BATCH)):
        yield batch


class _Share:
    """What a user has in a session."""

    __slots__ = ("calls", "cost_usd", "events", "first", "last", "tokens")

    def __init__(self, first: str = _NO_TIME, last: str = "") -> None:
        self.first = first
        self.last = last
        self.events = 0
        self.calls = 0
        self.tokens: int | None = None
        self.cost_usd: float | None = None

    def add(self, other: _Share) -> None:
        """Add what somebody else has."""
        self.events += other.events
        self.calls += other.calls
        if other.tokens is not None:
            self.tokens = (self.tokens or 0) + other.tokens
        if other.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + other.cost_usd
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)


# actor and action, provider, model, outcome and finish reason
_Ended = tuple[str, str, str, str | None, str | None, str, str | None]


class _Best:
    """The calls that have the most of something; of those with as much the earliest."""

    def __init__(self, field: str, size: int) -> None:
        self._size = size
        self._calls: list[Call] = []
        self._order = lambda call: (
            -getattr(call, field),
            call.timestamp or _NO_TIME,
            call.event_id,
        )
        self._field = field
        self.least: float = -math.inf if size else math.inf

    def take(self, call: Call) -> None:
        """Take a call that has at least the least."""
        self._calls.append(call)
        if len(self._calls) >= 2 * self._size + 100:
            self._calls = self.calls()
            self.least = getattr(self._calls[-1], self._field)

    def calls(self) -> list[Call]:
        """Return them, the first one first."""
        return sorted(self._calls, key=self._order)[: self._size]


def _finest(groupings: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Groupings by which is counted; of their groups those of all others can be put together."""
    each_once = list(dict.fromkeys(groupings))
    return [names for names in each_once if not any(set(names) < set(other) for other in each_once)]


class _Counted:
    """What is counted so far."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._is_filtered = bool(
            question.since or question.until or question.models or question.users
        )
        self._notices = 0
        self._shares: dict[Who, _Share] = {}
        self._acts: dict[tuple[str, str, str], list[int]] = {}
        self._calls: dict[_Ended, list[int]] = {}
        self._errors: Counter[str] = Counter()
        self._tools: dict[str, _ToolSums] = defaultdict(_ToolSums)
        self._slowest = _Best("latency_ms", question.top)
        self._dearest = _Best("cost_usd", question.top)
        periods = Periods(question.tz)
        self._groupings = [
            Grouping(names, periods, question.spans) for names in _finest(question.groupings)
        ]
        self._total = Sums()

    def take(self, events: Iterable[Event]) -> None:
        """Take some more events."""
        shares, acts, groupings, sums = self._shares, self._acts, self._groupings, [self._total]
        is_filtered, count_call = self._is_filtered, self._count_call
        for event in events:
            if is_filtered and not self._is_wanted(event):
                continue
            extensions = event.extensions or NO_EXTENSIONS
            action, actor, when = event.action, event.actor, event.timestamp
            if action == "system" and extensions.notice is not None:
                self._notices += 1
                continue
            user = extensions.user_id
            if user is None and actor.type == "human":
                user = actor.id
            who = event.session_id, user
            share = shares.get(who)
            if share is None:
                share = shares[who] = _Share(when or _NO_TIME, when)
            elif when > share.last:
                share.first, share.last = share.first if share.last else when, when
            elif when < share.first:
                share.first = when or share.first
            share.events += 1
            kind = PROMPT if action == "prompt" else kind_of(action, event)
            if groupings:
                sums = [grouping.sums_of(event, who) for grouping in groupings]
            if kind > RETRIED:
                share.calls += 1
                count_call(event, user, kind)
            else:
                act = action, actor.type, actor.id
                count = acts.get(act)
                if count is None:
                    acts[act] = count = [0]
                count[0] += 1
                if PROMPT < kind < RETRIED:
                    self._take_tool(event, kind)
            metrics = None if action == "completion_chunk" else event.metrics
            if metrics is None:
                for each in sums:
                    each.kinds[kind] += 1
            else:
                total = total_of(metrics.tokens)
                for each in sums:
                    each.kinds[kind] += 1
                    each.take(metrics, total, kind)
                if total is not None:
                    share.tokens = (share.tokens or 0) + total
                if metrics.cost_usd is not None:
                    share.cost_usd = (share.cost_usd or 0.0) + metrics.cost_usd
            if extensions.error is not None and extensions.error.type is not None:
                self._errors[extensions.error.type] += 1

    def _is_wanted(self, event: Event) -> bool:
        asked, when = self._question, event.timestamp
        if not (asked.since or "") <= when < (asked.until or _NO_TIME):
            return False
        if not when and (asked.since or asked.until):
            return False
        if asked.models:
            provenance = event.provenance or NO_PROVENANCE
            if not {provenance.model, provenance.request_model}.intersection(asked.models):
                return False
        return not asked.users or user_of(event) in asked.users

    def _count_call(self, event: Event, user: str | None, kind: int) -> None:
        actor, extensions = event.actor, event.extensions or NO_EXTENSIONS
        provenance, metrics = event.provenance or NO_PROVENANCE, event.metrics or NO_METRICS
        provider, model = provenance.provider, provenance.model
        if model is None:
            model = provenance.request_model
        outcome = extensions.outcome or ("failed" if kind == FAILED else "completed")
        finish = extensions.finish_reason
        ended = event.action, actor.type, actor.id, provider, model, outcome, finish
        count = self._calls.get(ended)
        if count is None:
            self._calls[ended] = count = [0]
        count[0] += 1
        latency_ms, cost_usd = metrics.latency_ms, metrics.cost_usd
        is_slow = latency_ms is not None and latency_ms >= self._slowest.least
        is_dear = cost_usd is not None and cost_usd > 0 and cost_usd >= self._dearest.least
        if not is_slow and not is_dear:
            return
        call = Call(
            event_id=event.event_id,
            timestamp=event.timestamp or None,
            session_id=event.session_id,
            user=user,
            provider=provider,
            model=model,
            latency_ms=latency_ms,
            cost_usd=cost_usd,
            tokens=total_of(metrics.tokens),
            outcome=outcome,
        )
        if is_slow:
            self._slowest.take(call)
        if is_dear:
            self._dearest.take(call)

    def _take_tool(self, event: Event, kind: int) -> None:
        name = tool_of(event)
        if name is not None:
            self._tools[name].take(kind, (event.metrics or NO_METRICS).latency_ms)

    def groups(self) -> list[list[Group]]:
        """Return the groups of each grouping."""
        asked = self._question
        days = None if asked.spans else days_of_spans(asked, self._last())
        return [self._finer(names).groups(names, days) for names in asked.groupings]

    def _finer(self, names: tuple[str, ...]) -> Grouping:
        """What is counted by these names, and perhaps by others, too."""
        exact = (each for each in self._groupings if each.names == names)
        finer = (each for each in self._groupings if set(names) < set(each.names))
        return next(itertools.chain(exact, finer))

    def _last(self) -> str | None:
        return max((share.last for share in self._shares.values() if share.last), default=None)

    def stats(self, files: int) -> Stats:
        """Return all but the groups."""
        if self._groupings:
            self._total = self._groupings[0].total()
        times = [share for share in self._shares.values() if share.last]
        return Stats(
            files=files,
            first=min((share.first for share in times), default=None),
            last=self._last(),
            notices=self._notices,
            total=self._total.figures(self._shares),
            counts=self._counts(),
            tools=self._tools_in_order(),
            top=Top(
                self._busiest(1),
                self._busiest(0),
                self._slowest.calls(),
                self._dearest.calls(),
            ),
        )

    def _counts(self) -> Counts:
        actions, actors = Counter[str](), Counter[str]()
        of_calls = [Counter[str](), Counter[str](), Counter[str](), Counter[str]()]
        acts: Iterable[tuple[tuple[Any, ...], list[int]]]
        acts = itertools.chain(self._acts.items(), self._calls.items())
        for (action, kind, name, *end), (count,) in acts:
            actions[action] += count
            actors[f"{kind} ({name})"] += count
            for value, counter in zip(end, of_calls, strict=False):
                if value is not None:
                    counter[value] += count
        providers, models, outcomes, finish_reasons = of_calls
        if retried := self._total.kinds[RETRIED]:
            outcomes["retried"] = retried
        every = (actions, actors, providers, models, outcomes, finish_reasons, self._errors)
        return Counts(*map(_by_count, every))

    def _tools_in_order(self) -> list[Tool]:
        tools = [
            Tool(name, sums.calls, sums.failures, spread_of(sums.ms))
            for name, sums in self._tools.items()
        ]
        return sorted(tools, key=lambda tool: (-tool.calls, tool.name))

    def _busiest(self, place: int) -> list[Busy]:
        """The users or sessions with the most calls."""
        shares: dict[str, _Share] = {}
        for who, share in self._shares.items():
            name = who[place]
            if name is not None:
                shares.setdefault(name, _Share()).add(share)
        chosen = heapq.nsmallest(
            self._question.top,
            shares.items(),
            key=lambda item: (-item[1].calls, -item[1].events, item[0]),
        )
        return [
            Busy(
                *(name, share.events, share.calls, share.tokens, share.cost_usd),
                first=share.first if share.last else None,
                last=share.last or None,
            )
            for name, share in chosen
        ]


class _ToolSums:
    """What is known of a tool."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0
        self.ms: dict[int, int] = {}

    def take(self, kind: int, latency_ms: int | None) -> None:
        """Take a call or a run."""
        self.calls += kind == TOOL_CALL
        self.failures += kind == TOOL_FAILURE
        if kind == TOOL_RUN and latency_ms is not None:
            self.ms[latency_ms] = self.ms.get(latency_ms, 0) + 1


def _by_count(counter: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
