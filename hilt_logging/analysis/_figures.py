"""
What statistics are made of, and what counts as what: the same for every engine.

Each event is judged by itself, so that it makes no difference how a log is divided into files.

What counts:

- An *event* is a line for which `tables.is_event` holds, and that is no notice; a *notice* is a `system`
  event with `extensions.notice`. Notices are counted, and take part in nothing else. Fields of another
  type than the format says are converted, or null, as in `tables.COLUMNS`.
- The *user* is `extensions.user_id`, else the id of an actor that is human. The *model* is
  `provenance.model`, else `provenance.request_model`. The *tool* is `extensions.tool.name`.
- A *prompt* is an event with that action.
- The *end of an attempt* at a model is (a) a `completion`, `embedding` or `rerank`; (b) a `system` event
  without a tool, with the outcome failed, cancelled or retried, that has a `provenance.provider`, `model`
  or `request_model`; (c) a `system` event without a tool and without an outcome, that has
  `extensions.status_code` and `reply_to`: so hilt-python writes of calls that failed. Its outcome is
  `extensions.outcome`; where there is none, completed, and in (c) failed.
- It is *retried* where the outcome is retried. All other ends are *calls*, with three exceptions, so that
  each call counts once. Where a call breaks, `instrument` writes what had come of its answer as a
  completion with the outcome failed, and the failure as a `system` event: if these name the answer
  (`provenance.response_id`), such a `system` event (failed or cancelled) is no call; if not, such a
  completion is none, which is known by its `extensions.session_source`. And an answer that is still to
  come is none: a completion without an outcome and without tokens (`prompt`, `completion` or `total`)
  that has `extensions.session_source`.
- A call is *failed*; *refused* (outcome refused or filtered); *stopped* (closed_early, abandoned,
  cancelled); or *completed* (any other outcome, or none). These four make up the calls.
- *Tokens* and *cost* are those of all events but completion_chunk. The total of an event is `total`, else
  `prompt` + `completion` (one of which may be missing). Sums are null where no event has a value. A call
  is *unpriced* if it has tokens, but no cost.
- *cache_hit_rate*: cached tokens of the events that have prompt tokens, divided by these; null where
  these are none or 0.
- *latency_ms* and *time_to_first_token_ms* are those of completed and refused calls.
- A *tool call* is an event with that action. A run of a tool is *failed* where a `tool_result`, or a
  `system` event with a tool, has the outcome failed. *tool_latency_ms* is that of other `tool_result`s.
- Percentiles are interpolated between the two nearest values, as `quantile_cont` of DuckDB, `percentile`
  of Spark and numpy do.
- Times are those of `tables.COLUMNS`; where there is none, an event has no period, and is left out as soon
  as `since` or `until` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from ..errors import ReadError
from ._inputs import Inputs


__all__ = [
    "GROUPINGS",
    "Busy",
    "Call",
    "Counts",
    "Engine",
    "Figures",
    "Group",
    "Question",
    "Report",
    "Spread",
    "Stats",
    "Tally",
    "Tokens",
    "Tool",
    "Top",
    "order_of_group",
]

Report = Callable[[ReadError], object]

GROUPINGS: Mapping[str, str] = {
    "hour": "2026-11-23 14:00",
    "day": "2026-11-23",
    "week": "2026-W48, as ISO 8601 counts",
    "month": "2026-11",
    "action": "prompt, completion, ...",
    "provider": "whose model",
    "model": "the model that served, else the one that was asked for",
    "user": "for whom, else who",
    "session": "the conversation",
    "tool": "the tool that an event names",
}
"""By what events can be grouped, and what the keys are. Null is a key, too: of events without."""


class Spread(msgspec.Struct):
    """
    How values in milliseconds are spread; all but the count are None where there is none.

    Attributes:
        count: How many there are.
        mean: Their mean.
        min: The least.
        p50: Half of them are less.
        p90: Nine in ten are less.
        p95: 95 in 100 are less.
        p99: 99 in 100 are less.
        max: The greatest.
    """

    count: int = 0
    mean: float | None = None
    min: int | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: int | None = None


class Tokens(msgspec.Struct):
    """
    Sums of tokens; None where no event has any.

    Attributes:
        prompt: Of prompts, cached ones included.
        completion: Of answers, reasoning included.
        total: Both.
        cached: Of the prompts' those from a cache.
        reasoning: Of the answers' those of reasoning.
    """

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    cached: int | None = None
    reasoning: int | None = None


class Figures(msgspec.Struct, kw_only=True):
    """
    The figures of some events.

    Attributes:
        events: How many events.
        sessions: How many different sessions.
        users: How many different users.
        prompts: How many prompts.
        calls: How many calls of models ended, retried attempts not among them.
        completed: Of these, those that were answered.
        refused: Those that were refused or filtered.
        stopped: Those that the caller ended: closed early, abandoned, cancelled.
        failed: Those that failed.
        retried: How many attempts failed and were made again.
        tool_calls: How many tools were called.
        tool_failures: How many runs of tools failed.
        tokens: What they took.
        cost_usd: What they cost; None where no cost is known.
        unpriced: How many calls have tokens, but no cost.
        cache_hit_rate: Which part of the prompts' tokens came from a cache; None where there are none.
        latency_ms: Of answered and refused calls.
        time_to_first_token_ms: Of the same, where they were streamed.
        tool_latency_ms: Of runs of tools that did not fail.
    """

    events: int = 0
    sessions: int = 0
    users: int = 0
    prompts: int = 0
    calls: int = 0
    completed: int = 0
    refused: int = 0
    stopped: int = 0
    failed: int = 0
    retried: int = 0
    tool_calls: int = 0
    tool_failures: int = 0
    tokens: Tokens = msgspec.field(default_factory=Tokens)
    cost_usd: float | None = None
    unpriced: int = 0
    cache_hit_rate: float | None = None
    latency_ms: Spread = msgspec.field(default_factory=Spread)
    time_to_first_token_ms: Spread = msgspec.field(default_factory=Spread)
    tool_latency_ms: Spread = msgspec.field(default_factory=Spread)


class Group(msgspec.Struct):
    """
    The figures of the events that have something in common.

    Attributes:
        key: What it is, in the order of the grouping.
        figures: Their figures.
    """

    key: tuple[str | None, ...]
    figures: Figures


def order_of_group(group: Group) -> tuple[tuple[bool, str], ...]:
    """Return what groups are sorted by: their keys, of which null is the last."""
    return tuple((part is None, part or "") for part in group.key)


class Counts(msgspec.Struct):
    """
    How many there are of each, the most frequent first, and those as frequent by name.

    Attributes:
        actions: Of all events.
        actors: Of all events, as `human (alice)`.
        providers: Of calls.
        models: Of calls, as in the grouping `model`.
        outcomes: Of calls and of attempts that were retried; none counts as completed, or as failed
            where hilt-python tells of an error.
        finish_reasons: Of calls, in the provider's own words.
        error_types: Of all events, retried attempts included.
    """

    actions: dict[str, int] = {}
    actors: dict[str, int] = {}
    providers: dict[str, int] = {}
    models: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    finish_reasons: dict[str, int] = {}
    error_types: dict[str, int] = {}


class Tool(msgspec.Struct):
    """
    How a tool was used.

    Attributes:
        name: Its name.
        calls: How often it was called.
        failures: How many of its runs failed.
        latency_ms: Of its other runs.
    """

    name: str
    calls: int = 0
    failures: int = 0
    latency_ms: Spread = msgspec.field(default_factory=Spread)


class Busy(msgspec.Struct):
    """
    A user or a session.

    Attributes:
        id: The user's or the session's.
        events: How many events.
        calls: How many calls of models ended, retried attempts not among them.
        tokens: Tokens in total; None where none are known.
        cost_usd: What they cost; None where no cost is known.
        first: When the first event was; None where no time can be read.
        last: When the last one was.
    """

    id: str
    events: int = 0
    calls: int = 0
    tokens: int | None = None
    cost_usd: float | None = None
    first: str | None = None
    last: str | None = None


class Call(msgspec.Struct, kw_only=True):
    """
    The end of a call of a model.

    Attributes:
        event_id: Its event.
        timestamp: When it ended; None where no time can be read.
        session_id: Its session.
        user: Its user.
        provider: Whose model it is.
        model: The model, as in the grouping.
        latency_ms: How long it took.
        cost_usd: What it cost.
        tokens: Tokens in total.
        outcome: How it ended, as in `Counts.outcomes`.
    """

    event_id: str
    timestamp: str | None
    session_id: str
    user: str | None
    provider: str | None
    model: str | None
    latency_ms: int | None
    cost_usd: float | None
    tokens: int | None
    outcome: str


class Top(msgspec.Struct):
    """
    The first of each.

    Attributes:
        users: With the most calls; of as many the one with more events, then by id.
        sessions: In the same order.
        slowest: Calls with the greatest latency, however they ended; of those as slow the earliest, then
            by id.
        dearest: Calls that cost the most, in the same way; none that cost nothing.
    """

    users: list[Busy] = []
    sessions: list[Busy] = []
    slowest: list[Call] = []
    dearest: list[Call] = []


class Stats(msgspec.Struct):
    """
    What a log says in figures.

    Attributes:
        files: How many files were read, or could not be.
        first: When the first event was; None where there is none.
        last: When the last one was.
        notices: How many lines a handler wrote of itself; they are no events.
        unread: How many lines and files could not be read.
        total: The figures of all events.
        counts: How many there are of each.
        tools: The tools, the one called most first, those called as often by name.
        top: The first of each.
        by: By what the groups are made.
        groups: The groups, in the order of their keys; null is after all others.
    """

    files: int = 0
    first: str | None = None
    last: str | None = None
    notices: int = 0
    unread: int = 0
    total: Figures = msgspec.field(default_factory=Figures)
    counts: Counts = msgspec.field(default_factory=Counts)
    tools: list[Tool] = []
    top: Top = msgspec.field(default_factory=Top)
    by: tuple[str, ...] = ()
    groups: list[Group] = []


class Question(msgspec.Struct, frozen=True):
    """
    What is asked; checked by whoever makes one.

    Attributes:
        groupings: By what groups are made, several times; each is of names in `GROUPINGS`.
        tz: The IANA time zone of hours, days, weeks and months.
        top: How many rows each of `Stats.top` has at most.
        since: The first time that counts, as we write timestamps.
        until: The first time that does not count any more.
        where: Values that fields must have, as in `io.reader.read`: of each path of a field those
            that are allowed, None for absent or null. They are compared with what stands in the line.
        models: One of these models, asked for or served; none means any.
        users: One of these, as in the grouping `user`; none means any.
        spans: Periods of time that the grouping `span` names: the name, the first time, and the first
            time after it. Times in none of them are null.
        last_days: If there are no spans: the last so many whole days of all are the span `after`, and
            as many before these `before`, as in `_spans.last_spans`.
    """

    groupings: tuple[tuple[str, ...], ...] = ()
    tz: str = "UTC"
    top: int = 10
    since: str | None = None
    until: str | None = None
    where: dict[str, tuple[Any, ...]] = {}
    models: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    spans: tuple[tuple[str, str, str], ...] = ()
    last_days: int = 0


class Tally(NamedTuple):
    """
    The answer to a question.

    Attributes:
        stats: All but `by`, `groups` and `unread`, which whoever asks fills in.
        groups: The groups of each grouping, in the order of the question.
    """

    stats: Stats
    groups: list[list[Group]]


class Engine(Protocol):
    """
    What answers questions: one pass over the files for all groupings.

    There are `_tally.figures_by_python` and `_figures_sql.figures_by_duckdb`; Spark's
    `figures_by_spark(paths, question, report, *, rotated, session, master)` is given paths as they are
    typed, which may be anywhere, and may have a session of Spark.
    """

    def __call__(self, inputs: Inputs, question: Question, report: Report) -> Tally:
        """
        Return the answer.

        Args:
            inputs: The files, as `_inputs.inputs_of` gives them.
            question: The question.
            report: Is called with the error of each line that is no event, and of each file that can't
                be read.

        Raises:
            MissingDependencyError: if what the engine needs is not installed.
        """
