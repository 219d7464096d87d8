"""
Statistics without an engine: events are counted one by one, on as little of each as it takes.

Memory grows with how many sessions, users and groups there are, and how many different latencies,
but not with how many events.
"""

from __future__ import annotations

import bisect
import datetime
import heapq
import io
import itertools
import math
import operator
import re

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from ..errors import InvalidEventError, ReadError
from ..events import to_timestamp
from ..io._decoding import BLOCK
from ..io._selection import Selection
from ..io.files import LONGEST, LogFile, open_blocks
from ..schema import ACTIONS, ACTOR_TYPES, HILT_VERSION, Name
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
from ._inputs import Inputs, sqlite_lines
from ._lines import Line, line_in
from ._spans import days_of_spans
from ._zones import zone_of
from .tables import COLUMNS


__all__ = ["figures_by_python"]

_BATCH = 64
_MOST_PERIODS = 10_000
_NO_TIME = "~"  # after all times

_MARKS = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":", 19: ".", 26: "Z"}
_is_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII).match

T = TypeVar("T")
_Text = str | None
_Who = tuple[str, str | None]  # session and user
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None


class _Actor(msgspec.Struct, gc=False):
    type: Literal[ACTOR_TYPES]  # type: ignore[valid-type]
    id: Name


class _Provenance(msgspec.Struct, gc=False):
    provider: _Text = None
    model: _Text = None
    request_model: _Text = None
    response_id: _Text = None


class _Tokens(msgspec.Struct, gc=False):
    prompt: _Whole = None
    completion: _Whole = None
    total: _Whole = None
    cached: _Whole = None
    reasoning: _Whole = None


class _Metrics(msgspec.Struct, gc=False):
    latency_ms: _Whole = None
    time_to_first_token_ms: _Whole = None
    tokens: _Tokens | None = None
    cost_usd: float | None = None


class _Named(msgspec.Struct, gc=False):
    name: _Text = None


class _Typed(msgspec.Struct, gc=False):
    type: _Text = None


class _Extensions(msgspec.Struct, gc=False):
    user_id: _Text = None
    reply_to: _Text = None
    status_code: _Whole = None
    finish_reason: _Text = None
    outcome: _Text = None
    session_source: Any = None
    tool: _Named | None = None
    error: _Typed | None = None
    notice: Any = None


class _Event(msgspec.Struct, gc=False):
    """The fields that count; a line that has them in another shape is looked at by itself."""

    event_id: Name
    timestamp: str
    session_id: Name
    actor: _Actor
    action: Literal[ACTIONS]  # type: ignore[valid-type]
    provenance: _Provenance | None = None
    metrics: _Metrics | None = None
    extensions: _Extensions | None = None
    hilt_version: Literal[HILT_VERSION] | None = None  # type: ignore[valid-type]


_decode = msgspec.json.Decoder(_Event).decode
_NO_PROVENANCE, _NO_METRICS, _NO_EXTENSIONS = _Provenance(), _Metrics(), _Extensions()
_GET = {column.name: column.get for column in COLUMNS}


def figures_by_python(inputs: Inputs, question: Question, report: Report) -> Tally:
    """Answer a question about logs; see `_figures.Engine`."""
    counted = _Counted(question)
    fields = Selection(None, None, question.where) if question.where else None
    for file in inputs.logs:
        try:
            for events in _events_of(file, fields, report):
                counted.take(events)
        except ReadError as error:
            report(error)
    for lines in _batches(_stored(inputs, report)):
        counted.take([_converted(line.event) for line in lines if _takes(fields, line.event)])
    files = len(inputs.logs) + len(inputs.parquet) + len(inputs.sqlite)
    return Tally(counted.stats(files), counted.groups())


def _takes(fields: Selection | None, event: dict[str, Any]) -> bool:
    return fields is None or fields.takes(event)


def _stored(inputs: Inputs, report: Report) -> Iterator[Line]:
    """The events in what `convert` made of logs."""
    yield from sqlite_lines(inputs.sqlite, report)
    if inputs.parquet:
        from ._duckdb import Database

        with Database(inputs._replace(logs=[], sqlite=[]), report) as database:
            yield from database.stored_lines()


def _events_of(file: LogFile, fields: Selection | None, report: Report) -> Iterator[list[_Event]]:
    """The events of a file, some at a time."""
    for number, block, lines in _blocks_of(file, report):
        events = _decoded(block, lines, fields)
        if events is not None:
            yield events
            continue
        found = (line_in(file.path, *each, report) for each in enumerate(lines, number))
        wanted = (line.event for line in found if line is not None)
        yield [_converted(event) for event in wanted if _takes(fields, event)]


def _blocks_of(file: LogFile, report: Report) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Blocks of whole lines: the number of the first one, the block, and the lines."""
    number, is_amid_line = 1, False
    for block in open_blocks(file, size=BLOCK):
        is_whole = block.endswith(b"\n")
        if is_amid_line or (not is_whole and len(block) >= LONGEST):
            if not is_amid_line:
                reason = f"a line of more than {LONGEST} bytes is passed over"
                report(ReadError(reason, file.path, number))
                number += 1
            is_amid_line = not is_whole
            block = block[block.index(b"\n") + 1 :] if is_whole else b""
        lines = io.BytesIO(block).readlines()
        yield number, block, lines
        number += len(lines)


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(itertools.islice(items, _BATCH)):
        yield batch


def _decoded(block: bytes, lines: list[bytes], fields: Selection | None) -> list[_Event] | None:
    """The events of lines, or None where each must be looked at."""
    try:
        events = list(map(_decode, lines))
        if not block.isascii():
            str(block, "utf-8")  # also what is not decoded must be
        wanted = None if fields is None else fields.of(lines)
    except (msgspec.DecodeError, UnicodeError, RecursionError, InvalidEventError):
        return None
    if not _have_times(events):
        return None
    return events if wanted is None else list(itertools.compress(events, wanted))


def _have_times(events: list[_Event]) -> bool:
    """Whether all have a time as an event must have; it is as we write it then."""
    if _are_ours([event.timestamp for event in events]):
        return True
    for event in events:
        if not _is_time(event.timestamp):
            return False
        event.timestamp = _ours(event.timestamp)
    return True


def _are_ours(times: list[str]) -> bool:
    """Whether these are times as we write them: all at once, which is faster."""
    text, count = "".join(times), len(times)
    if len(text) != 27 * count or any(
        text[place::27] != mark * count for place, mark in _MARKS.items()
    ):
        return False
    try:
        return all(map(datetime.datetime.fromisoformat, times))
    except ValueError:  # as a 30th of February
        return False


def _ours(when: str) -> str:
    """A time as we write it; empty where it is none, as the second 60 or a 30th of February."""
    try:
        return to_timestamp(when)
    except InvalidEventError:
        return ""


def _converted(event: dict[str, Any]) -> _Event:
    """An event, some of whose fields may be of a wrong type."""
    value = {name: get(event) for name, get in _GET.items()}
    provenance = event.get("provenance")
    extensions = event.get("extensions")
    more = _texts(provenance, "request_model", "response_id")
    marks = extensions if type(extensions) is dict else {}
    return _Event(
        event_id=value["event_id"],
        timestamp=_ours(event["timestamp"]),
        session_id=value["session_id"],
        actor=_Actor(value["actor_type"], value["actor_id"]),
        action=value["action"],
        provenance=_Provenance(value["provider"], value["model"], *more),
        metrics=_Metrics(
            value["latency_ms"],
            value["time_to_first_token_ms"],
            _Tokens(*(value[f"{part}_tokens"] for part in _Tokens.__struct_fields__)),
            value["cost_usd"],
        ),
        extensions=_Extensions(
            user_id=value["user_id"],
            reply_to=value["reply_to"],
            status_code=value["status_code"],
            finish_reason=value["finish_reason"],
            outcome=value["outcome"],
            session_source=marks.get("session_source"),
            tool=_Named(value["tool_name"]),
            error=_Typed(value["error_type"]),
            notice=marks.get("notice"),
        ),
    )


def _texts(part: Any, *names: str) -> Iterator[str | None]:
    inner = part if type(part) is dict else {}
    return (value if type(value := inner.get(name)) is str else None for name in names)


# What an event counts as; calls are what begins with completed.
_NOTHING, _PROMPT, _TOOL_CALL, _TOOL_RUN, _TOOL_FAILURE, _RETRIED = range(6)
_COMPLETED, _REFUSED, _STOPPED, _FAILED = _CALLS = range(6, 10)
_ANSWERED = (_COMPLETED, _REFUSED)
_KINDS = 10
_ENDS = frozenset(("completion", "embedding", "rerank"))
_OF_ACTION = {"prompt": _PROMPT, "tool_call": _TOOL_CALL, "tool_result": _TOOL_RUN}
_OF_OUTCOME = {
    "retried": _RETRIED,
    "refused": _REFUSED,
    "filtered": _REFUSED,
    "closed_early": _STOPPED,
    "abandoned": _STOPPED,
    "cancelled": _STOPPED,
    "failed": _FAILED,
}
_OF_SYSTEM = frozenset(("failed", "cancelled", "retried"))


def _kind_of(action: str, event: _Event) -> int:
    """What an event counts as."""
    extensions = event.extensions or _NO_EXTENSIONS
    outcome = extensions.outcome
    if action in _ENDS:
        kind = _OF_OUTCOME.get(outcome or "", _COMPLETED)
        if extensions.session_source is not None and (outcome is None or kind == _FAILED):
            return _kind_of_ours(kind, event)
        return kind
    if action == "tool_result" and outcome == "failed":
        return _TOOL_FAILURE
    if action == "system":
        return _kind_of_system(outcome, event)
    return _OF_ACTION.get(action, _NOTHING)


def _kind_of_ours(kind: int, event: _Event) -> int:
    """That of an answer that broke or is still to come, as `instrument` writes it."""
    if kind == _FAILED:
        return kind if (event.provenance or _NO_PROVENANCE).response_id is not None else _NOTHING
    tokens = (event.metrics or _NO_METRICS).tokens
    return _NOTHING if event.action == "completion" and _total(tokens) is None else kind


def _kind_of_system(outcome: str | None, event: _Event) -> int:
    extensions, provenance = event.extensions or _NO_EXTENSIONS, event.provenance or _NO_PROVENANCE
    if _tool_of(event) is not None:
        return _TOOL_FAILURE if outcome == "failed" else _NOTHING
    if outcome is None:
        is_of_hilt_python = extensions.status_code is not None and extensions.reply_to is not None
        return _FAILED if is_of_hilt_python else _NOTHING
    asked = (provenance.provider, provenance.model, provenance.request_model)
    if outcome not in _OF_SYSTEM or asked == (None, None, None):
        return _NOTHING
    if outcome != "retried" and provenance.response_id is not None:
        return _NOTHING
    return _OF_OUTCOME[outcome]


def _user_of(event: _Event) -> str | None:
    user = (event.extensions or _NO_EXTENSIONS).user_id
    return event.actor.id if user is None and event.actor.type == "human" else user


def _model_of(event: _Event) -> str | None:
    provenance = event.provenance or _NO_PROVENANCE
    return provenance.request_model if provenance.model is None else provenance.model


def _tool_of(event: _Event) -> str | None:
    tool = (event.extensions or _NO_EXTENSIONS).tool
    return None if tool is None else tool.name


def _total(tokens: _Tokens | None) -> int | None:
    if tokens is None:
        return None
    if tokens.total is not None:
        return tokens.total
    if tokens.prompt is None or tokens.completion is None:
        return tokens.completion if tokens.prompt is None else tokens.prompt
    return tokens.prompt + tokens.completion


class _Sums:
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
        self.kinds = [0] * _KINDS
        self.people: set[_Who] = set()
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

    def take(self, metrics: _Metrics, total: int | None, kind: int) -> None:
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
        elif total is not None and kind >= _COMPLETED:
            self.unpriced += 1
        latency_ms, first_ms = metrics.latency_ms, metrics.time_to_first_token_ms
        if kind in _ANSWERED:
            if latency_ms is not None:
                self.latency_ms[latency_ms] = self.latency_ms.get(latency_ms, 0) + 1
            if first_ms is not None:
                self.first_ms[first_ms] = self.first_ms.get(first_ms, 0) + 1
        elif kind == _TOOL_RUN and latency_ms is not None:
            self.tool_ms[latency_ms] = self.tool_ms.get(latency_ms, 0) + 1

    def add(self, other: _Sums) -> None:
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

    def figures(self, people: Collection[_Who]) -> Figures:
        """Return the figures of events of these people."""
        users = {user for _, user in people}
        return Figures(
            events=sum(self.kinds),
            sessions=len({session for session, _ in people}),
            users=len(users - {None}),
            prompts=self.kinds[_PROMPT],
            calls=sum(self.kinds[kind] for kind in _CALLS),
            completed=self.kinds[_COMPLETED],
            refused=self.kinds[_REFUSED],
            stopped=self.kinds[_STOPPED],
            failed=self.kinds[_FAILED],
            retried=self.kinds[_RETRIED],
            tool_calls=self.kinds[_TOOL_CALL],
            tool_failures=self.kinds[_TOOL_FAILURE],
            tokens=Tokens(self.prompt, self.completion, self.total, self.cached, self.reasoning),
            cost_usd=self.cost_usd,
            unpriced=self.unpriced,
            cache_hit_rate=self.cached_prompts / self.prompt if self.prompt else None,
            latency_ms=_spread(self.latency_ms),
            time_to_first_token_ms=_spread(self.first_ms),
            tool_latency_ms=_spread(self.tool_ms),
        )


_SUMS = (
    *("prompt", "completion", "total", "cached", "reasoning"),
    *("cached_prompts", "cost_usd", "unpriced"),
)
_SPREADS = ("latency_ms", "first_ms", "tool_ms")


def _spread(counts: dict[int, int]) -> Spread:
    """How values are spread of which it is known how often each is there."""
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


class _Share(msgspec.Struct, gc=False):
    """What a user has in a session."""

    first: str = _NO_TIME
    last: str = ""
    events: int = 0
    calls: int = 0
    tokens: int | None = None
    cost_usd: float | None = None

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


class _Periods:
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


class _Grouping:
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
        self, names: tuple[str, ...], periods: _Periods, spans: Sequence[tuple[str, str, str]]
    ) -> None:
        self.names = names
        self._parts = [
            _span_part(spans) if name == "span" and spans else _part(name, periods)
            for name in names
        ]
        self._only = self._parts[0] if len(names) == 1 else None
        self._sums: dict[Any, _Sums] = {}

    def sums_of(self, event: _Event, who: _Who) -> _Sums:
        """Return those of the group that an event of somebody belongs to."""
        user = who[1]
        key: Any
        if self._only is not None:
            key = self._only(event, user)
        else:
            key = tuple([part(event, user) for part in self._parts])
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = _Sums()
        sums.people.add(who)
        return sums

    def groups(self, names: tuple[str, ...], spans: Mapping[str | None, str] | None) -> list[Group]:
        """
        Return groups in their order.

        Args:
            names: By what, some of its own names or all.
            spans: The spans of days, where spans are days still.
        """
        keyed = {
            (key,) if self._only is not None else key: sums for key, sums in self._sums.items()
        }
        if names != self.names or (spans is not None and "span" in names):
            keyed = self._together(keyed, names, spans)
        groups = (Group(key, sums.figures(sums.people)) for key, sums in keyed.items())
        return sorted(groups, key=order_of_group)

    def _together(
        self,
        keyed: Mapping[tuple[_Text, ...], _Sums],
        names: tuple[str, ...],
        spans: Mapping[str | None, str] | None,
    ) -> dict[tuple[_Text, ...], _Sums]:
        """The sums of groups that are one by these names."""
        together: dict[tuple[_Text, ...], _Sums] = defaultdict(_Sums)
        places = [self.names.index(name) for name in names]
        for key, each in keyed.items():
            parts = [key[place] for place in places]
            if spans is not None and "span" in names:
                place = names.index("span")
                parts[place] = spans.get(parts[place])
            sums = together[tuple(parts)]
            sums.add(each)
            sums.people |= each.people
        return together

    def total(self) -> _Sums:
        """Return the sums of all groups together."""
        total = _Sums()
        for sums in self._sums.values():
            total.add(sums)
        return total


_Part = Callable[[_Event, str | None], str | None]


def _span_part(spans: Sequence[tuple[str, str, str]]) -> _Part:
    def part(event: _Event, user: str | None) -> str | None:
        when = event.timestamp
        for name, since, until in spans:
            if since <= when < until:
                return name
        return None

    return part


def _part(name: str, periods: _Periods) -> _Part:
    name = "day" if name == "span" else name
    if name in _PERIODS:
        place, known, new = _PERIODS.index(name), periods.known, periods.new
        return lambda event, user: (known.get(event.timestamp[:15]) or new(event.timestamp))[place]
    return _PARTS[name]


_PERIODS = ("hour", "day", "week", "month")
_PARTS: dict[str, _Part] = {
    "action": lambda event, user: event.action,
    "provider": lambda event, user: (event.provenance or _NO_PROVENANCE).provider,
    "model": lambda event, user: _model_of(event),
    "user": lambda event, user: user,
    "session": lambda event, user: event.session_id,
    "tool": lambda event, user: _tool_of(event),
}


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
        self._shares: dict[_Who, _Share] = {}
        self._acts: dict[tuple[str, str, str], int] = defaultdict(int)
        self._ends: dict[tuple[str | None, str | None, str, str | None], int] = defaultdict(int)
        self._errors: Counter[str] = Counter()
        self._tools: dict[str, _ToolSums] = defaultdict(_ToolSums)
        self._slowest = _Best("latency_ms", question.top)
        self._dearest = _Best("cost_usd", question.top)
        periods = _Periods(question.tz)
        self._groupings = [
            _Grouping(names, periods, question.spans) for names in _finest(question.groupings)
        ]
        self._total = _Sums()

    def take(self, events: Iterable[_Event]) -> None:
        """Take some more events."""
        shares, acts, groupings, sums = self._shares, self._acts, self._groupings, [self._total]
        for event in events:
            if self._is_filtered and not self._is_wanted(event):
                continue
            extensions = event.extensions or _NO_EXTENSIONS
            action, actor, when = event.action, event.actor, event.timestamp
            if action == "system" and extensions.notice is not None:
                self._notices += 1
                continue
            user = extensions.user_id
            if user is None and actor.type == "human":
                user = actor.id
            acts[action, actor.type, actor.id] += 1
            who = event.session_id, user
            share = shares.get(who)
            if share is None:
                share = shares[who] = _Share(when or _NO_TIME, when)
            elif when > share.last:
                share.first, share.last = share.first if share.last else when, when
            elif when < share.first:
                share.first = when or share.first
            share.events += 1
            kind = _PROMPT if action == "prompt" else _kind_of(action, event)
            if groupings:
                sums = [grouping.sums_of(event, who) for grouping in groupings]
            metrics = None if action == "completion_chunk" else event.metrics
            total = None if metrics is None else _total(metrics.tokens)
            for each in sums:
                each.kinds[kind] += 1
                if metrics is not None:
                    each.take(metrics, total, kind)
            if total is not None:
                share.tokens = (share.tokens or 0) + total
            if metrics is not None and metrics.cost_usd is not None:
                share.cost_usd = (share.cost_usd or 0.0) + metrics.cost_usd
            if kind > _RETRIED:
                share.calls += 1
                self._take_call(event, user, kind)
            elif _PROMPT < kind < _RETRIED:
                self._take_tool(event, kind)
            if extensions.error is not None and extensions.error.type is not None:
                self._errors[extensions.error.type] += 1

    def _is_wanted(self, event: _Event) -> bool:
        asked, when = self._question, event.timestamp
        if not (asked.since or "") <= when < (asked.until or _NO_TIME):
            return False
        if not when and (asked.since or asked.until):
            return False
        if asked.models:
            provenance = event.provenance or _NO_PROVENANCE
            if not {provenance.model, provenance.request_model}.intersection(asked.models):
                return False
        return not asked.users or _user_of(event) in asked.users

    def _take_call(self, event: _Event, user: str | None, kind: int) -> None:
        extensions = event.extensions or _NO_EXTENSIONS
        provenance = event.provenance or _NO_PROVENANCE
        metrics = event.metrics or _NO_METRICS
        model = _model_of(event)
        outcome = extensions.outcome or ("failed" if kind == _FAILED else "completed")
        self._ends[provenance.provider, model, outcome, extensions.finish_reason] += 1
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
            provider=provenance.provider,
            model=model,
            latency_ms=latency_ms,
            cost_usd=cost_usd,
            tokens=_total(metrics.tokens),
            outcome=outcome,
        )
        if is_slow:
            self._slowest.take(call)
        if is_dear:
            self._dearest.take(call)

    def _take_tool(self, event: _Event, kind: int) -> None:
        name = _tool_of(event)
        if name is not None:
            self._tools[name].take(kind, (event.metrics or _NO_METRICS).latency_ms)

    def groups(self) -> list[list[Group]]:
        """Return the groups of each grouping."""
        asked = self._question
        days = None if asked.spans else days_of_spans(asked, self._last())
        return [self._finer(names).groups(names, days) for names in asked.groupings]

    def _finer(self, names: tuple[str, ...]) -> _Grouping:
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
        for (action, kind, name), count in self._acts.items():
            actions[action] += count
            actors[f"{kind} ({name})"] += count
        of_calls = [Counter[str](), Counter[str](), Counter[str](), Counter[str]()]
        for end, count in self._ends.items():
            for value, counter in zip(end, of_calls, strict=True):
                if value is not None:
                    counter[value] += count
        providers, models, outcomes, finish_reasons = of_calls
        if retried := self._total.kinds[_RETRIED]:
            outcomes["retried"] = retried
        every = (actions, actors, providers, models, outcomes, finish_reasons, self._errors)
        return Counts(*map(_by_count, every))

    def _tools_in_order(self) -> list[Tool]:
        tools = [
            Tool(name, sums.calls, sums.failures, _spread(sums.ms))
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
        self.calls += kind == _TOOL_CALL
        self.failures += kind == _TOOL_FAILURE
        if kind == _TOOL_RUN and latency_ms is not None:
            self.ms[latency_ms] = self.ms.get(latency_ms, 0) + 1


def _by_count(counter: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
