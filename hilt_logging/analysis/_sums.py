"""
What is summed up of events, in all or by groups, and how values are spread.
"""

from __future__ import annotations

import bisect
import datetime
import itertools
import math
import operator

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ._countable import (
    ANSWERED,
    CALLS,
    COMPLETED,
    FAILED,
    KINDS,
    NO_PROVENANCE,
    PROMPT,
    REFUSED,
    RETRIED,
    STOPPED,
    TOOL_CALL,
    TOOL_FAILURE,
    TOOL_RUN,
    Event,
    Metrics,
    model_of,
    tool_of,
)
from ._figures import Figures, Group, Spread, Tokens, order_of_group
from ._zones import zone_of


__all__ = ["Grouping", "Periods", "Sums", "Who", "spread_of"]

_MOST_PERIODS = 10_000

Who = tuple[str, str | None]  # session and user


class Sums:
    """What is summed up of some events."""

    __slots__ = (
        "cached",
        "cached_prompts",
        "completion",
        "cost_usd",
        "first_ms",
        "kinds",
        "latency_ms",
        "people",
        "prompt",
        "reasoning",
        "tool_ms",
        "total",
        "unpriced",
    )

    def __init__(self) -> None:
        self.kinds = [0] * KINDS
        self.people: set[Who] = set()
        self.prompt: int | None = None
        self.completion: int | None = None
        self.total: int | None = None
        self.cached: int | None = None
        self.reasoning: int | None = None
        self.cached_prompts = 0
        self.cost_usd: float | None = None
        self.unpriced = 0
        self.latency_ms: dict[int, int] = {}
        self.first_ms: dict[int, int] = {}
        self.tool_ms: dict[int, int] = {}

    def take(self, metrics: Metrics, total: int | None, kind: int) -> None:
        """Add what an event took."""
        tokens = metrics.tokens
        if tokens is not None:
            prompt, completion, cached = tokens.prompt, tokens.completion, tokens.cached
            if prompt is not None:
                self.prompt = (self.prompt or 0) + prompt
                if cached is not None:
                    self.cached_prompts += cached
            if completion is not None:
                self.completion = (self.completion or 0) + completion
            if total is not None:
                self.total = (self.total or 0) + total
            if cached is not None:
                self.cached = (self.cached or 0) + cached
            if tokens.reasoning is not None:
                self.reasoning = (self.reasoning or 0) + tokens.reasoning
        if metrics.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + metrics.cost_usd
        elif total is not None and kind >= COMPLETED:
            self.unpriced += 1
        latency_ms, first_ms = metrics.latency_ms, metrics.time_to_first_token_ms
        if kind in ANSWERED:
            if latency_ms is not None:
                self.latency_ms[latency_ms] = self.latency_ms.get(latency_ms, 0) + 1
            if first_ms is not None:
                self.first_ms[first_ms] = self.first_ms.get(first_ms, 0) + 1
        elif kind == TOOL_RUN and latency_ms is not None:
            self.tool_ms[latency_ms] = self.tool_ms.get(latency_ms, 0) + 1

    def add(self, other: Sums) -> None:
        """Add other sums, but not whose they are."""
        self.kinds = list(map(operator.add, self.kinds, other.kinds))
        for name in _SUMS:
            values = [
                each for each in (getattr(self, name), getattr(other, name)) if each is not None
            ]
            setattr(self, name, sum(values) if values else None)
        for name in _SPREADS:
            mine, its = getattr(self, name), getattr(other, name)
            for value, count in its.items():
                mine[value] = mine.get(value, 0) + count

    def figures(self, people: Collection[Who]) -> Figures:
        """Return the figures of events of these people."""
        users = {user for _, user in people}
        return Figures(
            events=sum(self.kinds),
            sessions=len({session for session, _ in people}),
            users=len(users - {None}),
            prompts=self.kinds[PROMPT],
            calls=sum(self.kinds[kind] for kind in CALLS),
            completed=self.kinds[COMPLETED],
            refused=self.kinds[REFUSED],
            stopped=self.kinds[STOPPED],
            failed=self.kinds[FAILED],
            retried=self.kinds[RETRIED],
            tool_calls=self.kinds[TOOL_CALL],
            tool_failures=self.kinds[TOOL_FAILURE],
            tokens=Tokens(self.prompt, self.completion, self.total, self.cached, self.reasoning),
            cost_usd=self.cost_usd,
            unpriced=self.unpriced,
            cache_hit_rate=self.cached_prompts / self.prompt if self.prompt else None,
            latency_ms=spread_of(self.latency_ms),
            time_to_first_token_ms=spread_of(self.first_ms),
            tool_latency_ms=spread_of(self.tool_ms),
        )


_SUMS = (
    *("prompt", "completion", "total", "cached", "reasoning"),
    *("cached_prompts", "cost_usd", "unpriced"),
)
_SPREADS = ("latency_ms", "first_ms", "tool_ms")


def spread_of(counts: dict[int, int]) -> Spread:
    """Return how values are spread of which it is known how often each is there."""
    if not counts:
        return Spread()
    values = sorted(counts)
    ranks = list(itertools.accumulate(counts[value] for value in values))
    count = ranks[-1]

    def at(part: float) -> float:
        place = (count - 1) * part
        low, high = (values[bisect.bisect_right(ranks, n)] for n in (int(place), math.ceil(place)))
        return low + (high - low) * (place - int(place))

    mean = sum(value * count for value, count in counts.items()) / count
    return Spread(count, mean, values[0], at(0.5), at(0.9), at(0.95), at(0.99), values[-1])


class Periods:
    """
    The hour, day, week and month of times, where some place is.

    A clock that is put forward or back is so at full ten minutes; what is not alike through all of
    them is looked at by itself.

    Attributes:
        known: The keys of ten minutes, by how their times begin.
    """

    def __init__(self, tz: str) -> None:
        self._zone = zone_of(tz)
        self.known: dict[str, tuple[str | None, ...]] = {"": (None,) * 4}

    def new(self, when: str) -> tuple[str | None, ...]:
        """Return the keys of a time as we write it, which is not among those that are known."""
        piece = when[:15]
        begin, end = self._of(f"{piece}0:00Z"), self._of(f"{piece}9:59.999999Z")
        if begin != end:
            return self._of(when)
        if len(self.known) >= _MOST_PERIODS:
            self.known.clear()
            self.known[""] = (None,) * 4
        self.known[piece] = begin
        return begin

    def _of(self, when: str) -> tuple[str | None, ...]:
        try:
            local = datetime.datetime.fromisoformat(when).astimezone(self._zone)
        except OverflowError:
            return (None,) * 4
        day = local.date().isoformat()
        year, week, _ = local.isocalendar()
        return f"{day} {local.hour:02}:00", day, f"{year:04}-W{week:02}", day[:7]


class Grouping:
    """
    The sums of groups.

    Args:
        names: By what events are grouped.
        periods: What tells the periods of times.
        spans: As in `Question`; where there are none, spans are days until `groups` is asked.

    Attributes:
        names: By what events are grouped.
    """

    def __init__(
        self, names: tuple[str, ...], periods: Periods, spans: Sequence[tuple[str, str, str]]
    ) -> None:
        self.names = names
        self._parts = [
            _span_part(spans) if name == "span" and spans else _part(name, periods)
            for name in names
        ]
        self._only = self._parts[0] if len(names) == 1 else None
        self._sums: dict[Any, Sums] = {}

    def sums_of(self, event: Event, who: Who) -> Sums:
        """Return those of the group that an event of somebody belongs to."""
        user = who[1]
        key: Any
        if self._only is not None:
            key = self._only(event, user)
        else:
            key = tuple([part(event, user) for part in self._parts])
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = Sums()
        sums.people.add(who)
        return sums

    def groups(self, names: tuple[str, ...], spans: Mapping[str | None, str] | None) -> list[Group]:
        """
        Return groups in their order.

        Args:
            names: By what, some of its own names or all.
            spans: The spans of days, where spans are days still.
        """
        if spans is not None and "span" in self.names:
            self._name(spans)
        keyed = {
            (key,) if self._only is not None else key: sums for key, sums in self._sums.items()
        }
        if names != self.names:
            places = [self.names.index(name) for name in names]
            keyed = _together(keyed, lambda key: tuple([key[place] for place in places]))
        groups = (Group(key, sums.figures(sums.people)) for key, sums in keyed.items())
        return sorted(groups, key=order_of_group)

    def _name(self, spans: Mapping[str | None, str]) -> None:
        """Make spans of days; what is one already stays."""
        named: dict[str | None, str] = {**spans}
        named.update((name, name) for name in spans.values())
        if self._only is not None:
            self._sums = _together(self._sums, named.get)
            return
        place = self.names.index("span")
        self._sums = _together(
            self._sums, lambda key: (*key[:place], named.get(key[place]), *key[place + 1 :])
        )

    def total(self) -> Sums:
        """Return the sums of all groups together."""
        total = Sums()
        for sums in self._sums.values():
            total.add(sums)
        return total


def _together(keyed: Mapping[Any, Sums], key_of: Callable[[Any], Any]) -> dict[Any, Sums]:
    """The sums of groups, those together that have one key then."""
    together: dict[Any, Sums] = defaultdict(Sums)
    for key, each in keyed.items():
        sums = together[key_of(key)]
        sums.add(each)
        sums.people |= each.people
    return together


_Part = Callable[[Event, str | None], str | None]


def _span_part(spans: Sequence[tuple[str, str, str]]) -> _Part:
    def part(event: Event, user: str | None) -> str | None:
        when = event.timestamp
        for name, since, until in spans:
            if since <= when < until:
                return name
        return None

    return part


def _part(name: str, periods: Periods) -> _Part:
    name = "day" if name == "span" else name
    if name in _PERIODS:
        place, known, new = _PERIODS.index(name), periods.known, periods.new
        return lambda event, user: (known.get(event.timestamp[:15]) or new(event.timestamp))[place]
    return _PARTS[name]


_PERIODS = ("hour", "day", "week", "month")
_PARTS: dict[str, _Part] = {
    "action": lambda event, user: event.action,
    "provider": lambda event, user: (event.provenance or NO_PROVENANCE).provider,
    "model": lambda event, user: model_of(event),
    "user": lambda event, user: user,
    "session": lambda event, user: event.session_id,
    "tool": lambda event, user: tool_of(event),
}
