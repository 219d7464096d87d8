"""
What a tool that watches noted of each run in a trace, as the events that recording it would have made.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ...events import to_timestamp
from ...integrations._answers import Answer, ToolCall, outcome_of
from ...integrations._calls import answered_turns, referring, result_ids
from ...integrations._conversations import Conversations, Place
from ...integrations._fields import decoded, field, items, text
from ...integrations._langchain import bounded, document, own_metadata
from ...integrations._prompts import prompt_from
from ...schema import HILT_VERSION
from ...snapshot import snapshot
from .messages import Asked, answer_in, asked_in, text_of, unwrapped


__all__ = ["Feedback", "Run", "Trace", "events_in", "moment", "number", "whole"]

Event = dict[str, Any]

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
_SPAN_ID = re.compile("[0-9a-f]{16}")
_ERROR = re.compile(r"(?:\w+\.)*([A-Z]\w*)\(")
_STATUS = re.compile(r"\bError code: (\d{3})\b")
_TRACEBACK = "Traceback (most recent call last)"
_MOST_STATE = 4_000
_MOST_FIELD = 2_000
_MOST_OPEN = 1_000
"""How many calls of a tool without a result are compared with a run of it."""
_DEEPEST = 200
_QUERY = ("query", "question", "input", "text")


class Run(msgspec.Struct, kw_only=True):
    """
    A part of a trace.

    Attributes:
        id: The tool's own id of it.
        kind: model, tool, retriever, reranker, embedding, step, or exchange: a step that stands for a
            call of a model that is not among the runs.
        name: What it is called.
        began: When it began.
        ended: When it ended.
        first: When the first piece of the answer came.
        parent: The run around it.
        given: What went in.
        gave: What came out.
        error: Why it failed.
        error_type: The class of the exception, where the tool notes it apart.
        status_code: Of HTTP, where the tool notes it apart.
        response_id: The provider's id of the answer, where the answer does not say it.
        finish_reason: The provider's own word, where the answer does not say it.
        provider: As in `provenance.provider`.
        model: The model that served.
        request_model: The model that was asked for.
        params: Of the request.
        tokens: As in `metrics.tokens`; of a model only.
        cost_usd: What the tool says that it cost; of a model only.
        call_id: Of a tool, the id by which a model asked for it.
        tags: The user's.
        metadata: The user's, and what frameworks note.
        more: What else is known of it, for `extensions.imported`.
    """

    id: str
    kind: str
    name: str
    began: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    first: datetime.datetime | None = None
    parent: str | None = None
    given: Any = None
    gave: Any = None
    error: str | None = None
    error_type: str | None = None
    status_code: int | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    params: dict[str, Any] = {}
    tokens: dict[str, int] | None = None
    cost_usd: float | None = None
    call_id: str | None = None
    tags: list[Any] = []
    metadata: dict[str, Any] = {}
    more: dict[str, Any] = {}

    def has_content(self) -> bool:
        """Return whether it is known what went in or came out."""
        return self.given not in (None, {}, []) or self.gave not in (None, {}, [])


class Feedback(msgspec.Struct, kw_only=True):
    """
    A judgement.

    Attributes:
        id: The tool's own id of it.
        name: Of what it is about.
        at: When it was given.
        run: The run that is judged; None for the whole trace or session.
        score: As a number.
        value: As a word.
        comment: In words.
        person: Who judges.
        is_automatic: Whether a program judged.
        more: What else is known of it.
    """

    id: str
    name: str
    at: datetime.datetime | None = None
    run: str | None = None
    score: float | None = None
    value: Any = None
    comment: str | None = None
    person: str | None = None
    is_automatic: bool = False
    more: dict[str, Any] = {}


class Trace(msgspec.Struct, kw_only=True):
    """
    What belongs together.

    Attributes:
        source: The tool that it is from.
        id: The tool's own id of it; None where it has none.
        session: The conversation.
        is_named: Whether the tool has a name for the conversation.
        is_recognised: Whether it is the conversation of an earlier trace, by its history.
        user: The person.
        runs: Its parts.
        feedback: What was said about it.
    """

    source: str
    id: str | None
    session: str
    is_named: bool = False
    is_recognised: bool = False
    user: str | None = None
    runs: list[Run] = []
    feedback: list[Feedback] = []


def events_in(trace: Trace, lost: Counter[str], known: Conversations) -> Iterator[Event]:
    """
    Yield the events of a trace.

    Args:
        trace: The trace.
        lost: Counts what is in the trace and in no event.
        known: The conversations of the traces before.
    """
    _told_apart(trace.runs)
    work = _Events(trace, lost, known)
    for _, run in sorted(enumerate(trace.runs), key=lambda each: (_began(each[1]), each[0])):
        try:
            yield from list(work.of_run(run))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            lost["runs that can't be understood"] += 1
    for feedback in trace.feedback:
        yield work.of_feedback(feedback)


def moment(value: Any) -> datetime.datetime | None:
    """Return a time that was written in any of the usual ways, in UTC; None where it is none."""
    try:
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value.strip())
        elif type(value) in (int, float):
            seconds = value / next((f for f in (1e9, 1e6, 1e3) if abs(value) >= f * 1e8), 1)
            value = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        if not isinstance(value, datetime.datetime):
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def number(value: Any) -> float | None:
    """Return a finite number, also one that was written as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) not in (int, float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: Any) -> int | None:
    """Return a whole number that is not negative, also one that was written as a text."""
    found = number(value)
    return int(found) if found is not None and 0 <= found < 2**53 and found == int(found) else None


def _began(run: Run) -> datetime.datetime:
    return run.began or run.ended or _EPOCH


def _told_apart(runs: list[Run]) -> None:
    """
    Let each call of a model be told once, with what it took.

    Where a framework's run and that of the SDK within it are both calls of a model, the inner one is
    the call, unless only the outer one knows what was said.
    """
    by_id = {run.id: run for run in runs}
    models = [run for run in runs if run.kind == "model"]
    within: dict[str, list[Run]] = {}
    own = {run.id: (bool(run.tokens), run.cost_usd is not None) for run in models}
    for run in models:
        around = itertools.takewhile(lambda each: each.kind != "tool", _around(run, by_id))
        calls = [each for each in around if each.id in own]
        outer = [each for each in calls if each.kind == "model"]
        if outer and not run.has_content():
            between = calls[: calls.index(outer[0]) + 1]
            _add_to(outer[0], run, [own[each.id] for each in between])
            continue
        for each in outer:
            within.setdefault(each.id, []).append(run)
    for run in models:
        inner = [each for each in within.get(run.id, ()) if each.kind == "model"]
        if inner:
            _stands_for(run, inner)
    if not any(run.kind == "model" for run in runs):
        roots = [run for run in runs if run.kind == "step" and run.parent not in by_id]
        root = min((each for each in roots if each.has_content()), key=_began, default=None)
        if root is not None:
            root.kind = "exchange"


def _add_to(call: Run, run: Run, told: list[tuple[bool, bool]]) -> None:
    """Let a run around another be the call that this is, with what several within it took."""
    if run.tokens and not any(has_tokens for has_tokens, _ in told):
        sums = Counter(call.tokens or {})
        sums.update(run.tokens)
        call.tokens = dict(sums)
    if run.cost_usd is not None and not any(has_cost for _, has_cost in told):
        call.cost_usd = (call.cost_usd or 0.0) + run.cost_usd
    run.kind, run.tokens, run.cost_usd = "step", None, None


def _stands_for(run: Run, others: list[Run]) -> None:
    """Let other runs be the call that a run is, too; what it took is theirs where they do not say."""
    kept = next((each for each in reversed(others) if each.error is None), others[-1])
    if not any(each.tokens for each in others):
        kept.tokens = run.tokens
    if all(each.cost_usd is None for each in others):
        kept.cost_usd = run.cost_usd
    run.kind, run.tokens, run.cost_usd = "step", None, None


def _around(run: Run, by_id: dict[str, Run]) -> Iterator[Run]:
    seen = {run.id}
    for _ in range(_DEEPEST):
        outer = by_id.get(run.parent or "")
        if outer is None or outer.id in seen:
            return
        seen.add(outer.id)
        yield outer
        run = outer


class _Events:
    """Makes the events of a trace."""

    def __init__(self, trace: Trace, lost: Counter[str], known: Conversations) -> None:
        self._trace = trace
        self._lost = lost
        self._known = known
        self._session_source = "history" if trace.is_recognised else "new"
        if trace.is_named:
            self._session_source = "request"
        self._asked: dict[str, tuple[str, ToolCall]] = {}
        self._given: set[str] = set()
        self._open: dict[str, dict[str, ToolCall]] = {}
        self._main: dict[str, str] = {}
        self._last: str | None = None

    def of_run(self, run: Run) -> Iterable[Event]:
        if run.kind in ("model", "exchange"):
            return self._model(run)
        if run.kind == "tool":
            return self._tool(run)
        if run.kind in ("retriever", "reranker"):
            return self._retrieval(run)
        if run.kind == "embedding":
            return self._embedding(run)
        return self._step(run)

    def of_feedback(self, feedback: Feedback) -> Event:
        told = {"name": feedback.name, "value": feedback.value, **feedback.more}
        actor = ("human", feedback.person or self._trace.user or "user")
        judged = self._main.get(feedback.run or "") or (self._last if not feedback.run else None)
        return self._made(
            f"{feedback.id}.feedback",
            "feedback",
            ("system", feedback.name) if feedback.is_automatic else actor,
            feedback.at,
            content={"text": feedback.comment} if feedback.comment else {},
            provenance={"trace_id": self._trace.id, "run_id": feedback.run},
            metrics={"score": feedback.score},
            extensions={
                "reply_to": judged,
                "feedback": _present(told),
                "imported": {"from": self._trace.source, "id": feedback.id},
            },
        )

    # calls of models

    def _model(self, run: Run) -> Iterator[Event]:
        asked = asked_in(run.given)
        if asked.tools:
            self._lost["tools that were offered, of which only the calls are kept"] += asked.tools
        answer = answer_in(run.gave)
        answer.tokens = run.tokens or (answer.tokens if run.kind == "model" else None)
        run.model = run.model or answer.model
        answer.response_id = answer.response_id or run.response_id
        if answer.finish_reason is None and run.finish_reason is not None:
            answer.finish_reason = run.finish_reason
            answer.outcome = outcome_of(run.finish_reason, answer.refusal)
        place = self._known.find(asked.turns, self._trace.session)
        needs_system = place.systems > 0 and self._known.needs_system(place, self._trace.session)
        if asked.turns:
            yield from self._prompt(run, asked, place, needs_system)
        if run.error is not None:
            answer.outcome = "failed"
        if run.error is None or answer.text or answer.messages or answer.tool_calls:
            yield from self._answer(run, answer, place, needs_system)
        if run.error is not None:
            yield self._error(run)

    def _prompt(self, run: Run, asked: Asked, place: Place, needs_system: bool) -> Iterator[Event]:
        turns = asked.turns
        news = turns[place.systems + place.start :]
        new_ids = result_ids(news)
        results = [
            each
            for each in _results(turns)
            if each.get("id") in new_ids and each.get("id") not in self._given
        ]
        history = None
        here = {each["id"] for each in results if each.get("id")}
        if here or place.start or needs_system != (place.systems > 0):
            news = [referring(turn, here) for turn in news]
            turns = [*(turns[: place.systems] if needs_system else ()), *news]
            history = place.history(None)
        self._recall(asked.turns, place)
        for index, result in enumerate(results, 1):
            yield self._result_told(run, index, result)
        told = prompt_from(turns)
        request = asked.request
        yield self._event(
            run,
            "prompt",
            "prompt",
            ("human", self._trace.user or "user"),
            run.began,
            content={"text": told.text, "media": told.media, "messages": told.messages},
            provenance={"params": bounded(run.params or _params_in(request)) or None},
            extensions={"follows": place.follows, "history": history},
        )

    def _recall(self, turns: list[dict[str, Any]], place: Place) -> None:
        """Note the calls of the answer that is gone on from, which may be in another trace."""
        if place.follows is None or place.choice:
            return
        asked_by = place.follows.removesuffix(".completion")
        for number_, each in enumerate(_calls_said_last(turns), 1):
            if each.get("id") and each["id"] not in self._asked:
                call = ToolCall(each["name"], each["id"], each.get("arguments"))
                self._ask(f"{asked_by}.tool_call.{number_}", call)

    def _ask(self, tool_id: str, call: ToolCall) -> None:
        call_id = call.call_id or ""
        self._asked[call_id] = tool_id, call
        if call_id not in self._given:
            self._open.setdefault(call.name or "", {})[call_id] = call

    def _give(self, call_id: str, call: ToolCall | None) -> None:
        self._given.add(call_id)
        if call is not None:
            self._open.get(call.name or "", {}).pop(call_id, None)

    def _result_told(self, run: Run, index: int, result: dict[str, Any]) -> Event:
        call_id = result.get("id") or ""
        reply_to, call = self._asked.get(call_id, (None, None))
        given = result.get("response")
        self._give(call_id, call)
        name = (call.name if call else None) or "tool"
        return self._event(
            run,
            f"tool_result.{index}",
            "tool_result",
            ("tool", name),
            run.began,
            content={"text": given} if isinstance(given, str) else {},
            extensions={"reply_to": reply_to, "tool": _tool_of(name, result.get("id"), given)},
        )

    def _answer(
        self, run: Run, answer: Answer, place: Place, needs_system: bool
    ) -> Iterator[Event]:
        agent = ("agent", run.model or run.request_model or run.name)
        prompt_id = f"{run.id}.prompt"
        if run.gave in (None, {}, []) and run.ended is None:
            return  # it was still on its way
        ending = {"finish_reason": answer.finish_reason, "outcome": answer.outcome}
        is_told = run.kind == "exchange" or answer.tokens
        event = self._event(
            run,
            "completion",
            "completion",
            agent,
            _end_of(run),
            content={"text": answer.text, "media": answer.media, "messages": answer.messages},
            provenance={
                "params": _params_unasked(run),
                "response_id": answer.response_id,
                "price": _price(run, self._trace),
            },
            metrics=_metrics(run, answer.tokens),
            extensions={
                "reply_to": prompt_id if run.given not in (None, {}, []) else None,
                **ending,
                "refusal": answer.refusal,
                "usage": None if is_told else "not_reported",
                **self._about(run),
            },
        )
        yield event
        self._main[run.id] = self._last = completion_id = event["event_id"]
        self._known.answered(
            place,
            self._trace.session,
            completion_id,
            answered_turns(answer),
            None,
            has_system=needs_system,
        )
        for index, call in enumerate(answer.tool_calls, 1):
            tool_id = f"{run.id}.tool_call.{index}"
            if call.call_id and not call.server:
                self._ask(tool_id, call)
            tool = {"name": call.name, "call_id": call.call_id, "server": call.server or None}
            yield self._event(
                run,
                f"tool_call.{index}",
                "tool_call",
                agent,
                _end_of(run),
                extensions={
                    "reply_to": completion_id,
                    "tool": _present({**tool, "arguments": call.arguments}),
                },
            )

    def _error(self, run: Run, reply_to: str | None = None) -> Event:
        message = run.error or ""
        if _TRACEBACK in message:
            message = message.partition(_TRACEBACK)[0].strip() or message
            self._lost["tracebacks"] += 1
        found = _ERROR.match(message)
        status = _STATUS.search(message)
        kind = run.error_type or (found[1] if found else None)
        is_cancelled = kind in ("CancelledError", "Cancelled", "GeneratorExit")
        if run.kind == "model" and run.given not in (None, {}, []):
            reply_to = f"{run.id}.prompt"
        about = {} if run.id in self._main else self._about(run)
        event = self._event(
            run,
            "error",
            "system",
            ("system", run.provider or run.name),
            _end_of(run),
            provenance={} if run.id in self._main else {"params": _params_unasked(run)},
            metrics=_metrics(run, None, is_timed_only=True),
            extensions={
                "reply_to": reply_to,
                "outcome": "cancelled" if is_cancelled else "failed",
                "status_code": run.status_code or (int(status[1]) if status else None),
                "error": _present({"type": kind or "error", "message": message or None}),
                **about,
            },
        )
        self._main.setdefault(run.id, event["event_id"])
        return event

    # tools, searches, embeddings, steps

    def _tool(self, run: Run) -> Iterator[Event]:
        arguments, output = _arguments(run.given), unwrapped(run.gave)
        if isinstance(output, dict) and len(output) == 1 and "output" in output:
            output = unwrapped(output["output"])
        message = output if isinstance(output, dict) and "tool_call_id" in output else None
        call_id = run.call_id or text(message, "tool_call_id") or self._meant(run.name, arguments)
        reply_to, call = self._asked.get(call_id or "", (None, None))
        if call is None:
            call = ToolCall(run.name, call_id, arguments)
            tool = {"name": run.name, "call_id": call_id, "arguments": bounded(arguments)}
            event = self._event(
                run,
                "tool_call",
                "tool_call",
                ("agent", "assistant"),
                run.began,
                extensions={"tool": _present(tool)},
            )
            reply_to = event["event_id"]
            yield event
        if call_id:
            self._give(call_id, call)
        if run.error is not None:
            yield self._error(run, reply_to)
        elif run.ended is not None or run.gave is not None:
            given = output if message is None else message.get("content")
            failed = text(message, "status") == "error"
            event = self._event(
                run,
                "tool_result",
                "tool_result",
                ("tool", call.name or run.name),
                _end_of(run),
                content={"text": given} if isinstance(given, str) else {},
                metrics=_metrics(run, None, is_timed_only=True),
                extensions={
                    "reply_to": reply_to,
                    "outcome": "failed" if failed else None,
                    "tool": _tool_of(call.name or run.name, call_id, given),
                    **self._about(run),
                },
            )
            self._main[run.id] = event["event_id"]
            yield event

    def _meant(self, name: str, arguments: Any) -> str | None:
        """The call that a run of a tool stands for, where it does not say so itself."""
        calls = list(itertools.islice(self._open.get(name, {}).items(), _MOST_OPEN))
        for is_same in (_are_equal, _are_of):
            for call_id, call in calls:
                if is_same(arguments, call.arguments):
                    return call_id
        return None

    def _retrieval(self, run: Run) -> Iterator[Event]:
        event = self._event(
            run,
            *(("rerank", "rerank") if run.kind == "reranker" else ("retrieval", "retrieval")),
            ("tool", run.name),
            _end_of(run),
            content={"text": _query(run.given)},
            metrics=_metrics(run, None, is_timed_only=True),
            extensions={
                "outcome": None if run.error is None else "failed",
                "documents": _documents(run.gave) if run.error is None else None,
                **self._about(run),
            },
        )
        self._main[run.id] = event["event_id"]
        yield event
        if run.error is not None:
            yield self._error(run, event["event_id"])

    def _embedding(self, run: Run) -> Iterator[Event]:
        several = items(run.given, "texts", "documents")
        asked = asked_in(several if all(isinstance(each, str) for each in several) else None)
        asked = asked if asked.turns else asked_in(run.given)
        texts = [each for turn in asked.turns for each in turn["parts"] if each["type"] == "text"]
        if run.gave not in (None, {}, []):
            self._lost["outputs of embeddings"] += 1
        tokens = run.tokens or answer_in(run.gave if isinstance(run.gave, dict) else None).tokens
        messages = [{"role": "user", "parts": texts}] if len(texts) > 1 else None
        event = self._event(
            run,
            "embedding",
            "embedding",
            ("agent", run.model or run.request_model or run.name),
            _end_of(run),
            content={"text": texts[0]["content"] if texts else None, "messages": messages},
            provenance={
                "params": bounded(run.params) or None,
                "price": _price(run, self._trace),
            },
            metrics=_metrics(run, tokens),
            extensions={
                "outcome": "completed" if run.error is None else "failed",
                "usage": None if tokens else "not_reported",
                **self._about(run),
            },
        )
        self._main[run.id] = event["event_id"]
        yield event
        if run.error is not None:
            yield self._error(run, event["event_id"])

    def _step(self, run: Run) -> Iterator[Event]:
        if run.error is not None:
            yield self._error(run)
            return
        state = {"inputs": self._state(run.given), "outputs": self._state(run.gave)}
        event = self._event(
            run,
            "step",
            "system",
            ("system", run.name),
            _end_of(run),
            metrics=_metrics(run, None, is_timed_only=True),
            extensions={
                "outcome": "completed" if run.ended is not None else None,
                "chain": _present({"name": run.name, "phase": "end", **state}),
                **self._about(run),
            },
        )
        self._main[run.id] = event["event_id"]
        yield event

    def _state(self, value: Any) -> Any:
        """What went into a step or came out; calls within it tell again what is long in it."""
        if value in (None, {}, []):
            return None
        if len(text_of(value)) <= _MOST_STATE:
            return bounded(value)
        self._lost[f"inputs and outputs of steps, of more than {_MOST_STATE:,} characters"] += 1
        return None

    # what all have

    def _about(self, run: Run) -> dict[str, Any]:
        """What the tool knows of a run that has no other place."""
        more = {"from": self._trace.source, "id": run.id, "name": run.name}
        for name, value in run.more.items():
            if value in (None, "", {}, []):
                continue
            if len(text_of(value)) <= _MOST_FIELD:
                more[name] = bounded(value)
            else:
                self._lost[f"fields of more than {_MOST_FIELD:,} characters"] += 1
        known = own_metadata({"metadata": run.metadata, "tags": run.tags})
        return {**known, "imported": more}

    def _event(
        self,
        run: Run,
        suffix: str,
        action: str,
        actor: tuple[str, str],
        at: datetime.datetime | None,
        *,
        provenance: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Event:
        is_call = run.kind in ("model", "exchange", "embedding")
        known = {
            "provider": run.provider,
            "model": run.model if action not in ("prompt", "tool_result") else None,
            "request_model": run.request_model,
            "call_id": run.id if is_call else None,
            "trace_id": self._trace.id,
            "span_id": run.id if _SPAN_ID.fullmatch(run.id) else None,
            "run_id": run.id,
            "parent_run_id": run.parent,
        }
        whole_provenance = known | (provenance or {})
        return self._made(
            f"{run.id}.{suffix}",
            action,
            actor,
            at or run.ended,
            provenance=whole_provenance,
            **fields,
        )

    def _made(
        self,
        event_id: str,
        action: str,
        actor: tuple[str, str],
        at: datetime.datetime | None,
        *,
        content: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> Event:
        told = {
            "user_id": self._trace.user,
            "session_source": self._session_source,
            **(extensions or {}),
        }
        if at is None:
            self._lost["times: the event is dated 1970"] += 1
        event = {
            "hilt_version": HILT_VERSION,
            "event_id": event_id,
            "timestamp": to_timestamp(at or _EPOCH),
            "session_id": self._trace.session,
            "actor": {"type": actor[0], "id": actor[1] or "unknown"},
            "action": action,
            "content": _present(content or {}),
            "provenance": _present(provenance or {}),
            "metrics": _present(metrics or {}),
            "extensions": _present(told),
        }
        made: Event = snapshot({name: value for name, value in event.items() if value})
        return made


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _end_of(run: Run) -> datetime.datetime | None:
    if run.ended is None or (run.began is not None and run.ended < run.began):
        return run.began or run.ended
    return run.ended


def _metrics(
    run: Run, tokens: dict[str, int] | None, *, is_timed_only: bool = False
) -> dict[str, Any]:
    timed = {"latency_ms": _ms(run.began, run.ended)}
    if is_timed_only:
        return timed
    first_ms = _ms(run.began, run.first)
    return {**timed, "time_to_first_token_ms": first_ms, "tokens": tokens, "cost_usd": run.cost_usd}


def _ms(start: datetime.datetime | None, end: datetime.datetime | None) -> int | None:
    if start is None or end is None or end < start:
        return None
    return round((end - start) / datetime.timedelta(milliseconds=1))


def _price(run: Run, trace: Trace) -> dict[str, str] | None:
    return None if run.cost_usd is None else {"source": trace.source}


def _results(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results since the model spoke last: earlier ones were new in an earlier request."""
    found: list[dict[str, Any]] = []
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            break
        found[:0] = [each for each in turn["parts"] if each["type"] == "tool_call_response"]
    return found


def _calls_said_last(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of tools that the model asked for when it spoke last."""
    found: list[dict[str, Any]] = []
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            found[:0] = [each for each in turn["parts"] if each["type"] == "tool_call"]
        elif found:
            break
    return found


def _tool_of(name: str, call_id: Any, given: Any) -> dict[str, Any]:
    result = None if isinstance(given, str) else bounded(given)
    return _present({"name": name, "call_id": call_id, "result": result})


def _are_equal(given: Any, asked: Any) -> bool:
    return bool(given == asked)


def _are_of(given: Any, asked: Any) -> bool:
    """Whether a tool was given nothing that the model did not ask for."""
    if not isinstance(given, dict) or not isinstance(asked, dict):
        return False
    return bool(given) and all(asked.get(name) == value for name, value in given.items())


_NO_PARAMS = (
    "config", "extra_body", "extra_headers", "instructions", "model", "stream", "system", "tools",
    "functions", "stream_options",
)  # fmt: skip


def _params_in(request: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request that was kept whole."""
    return {
        name: value
        for name, value in request.items()
        if name not in _NO_PARAMS and len(text_of(value)) <= _MOST_FIELD
    }


def _params_unasked(run: Run) -> Any:
    """The parameters of a call without a prompt, which would have them."""
    is_asked = run.given not in (None, {}, [])
    return None if is_asked or run.kind != "model" else bounded(run.params) or None


def _arguments(given: Any) -> Any:
    """What a tool was called with, out of what a decorator or a framework made of it."""
    value = unwrapped(given)
    if not isinstance(value, dict):
        return value
    if set(value) == {"args", "kwargs"}:
        if not value["args"]:
            return value["kwargs"]
        return value if value["kwargs"] else {"args": value["args"]}
    if set(value) == {"input"}:
        return decoded(value["input"])
    return value


def _query(given: Any) -> str | None:
    value = unwrapped(given)
    if isinstance(value, dict) and set(value) == {"args", "kwargs"}:
        args, kwargs = value["args"], value["kwargs"]
        value = args[0] if isinstance(args, list) and args else kwargs
    if isinstance(value, dict):
        value = field(value, *_QUERY) or value
    return None if value in (None, {}, []) else text_of(value)


def _documents(gave: Any) -> list[Any]:
    value = unwrapped(gave)
    if isinstance(value, dict):
        found = items(value, "documents", "output", "results", "matches")
        value = found or [value["output"] if set(value) == {"output"} else value]
    rows = value if isinstance(value, list) else [] if value is None else [value]
    return [_document(unwrapped(each)) for each in rows]


def _document(found: Any) -> Any:
    if isinstance(found, str):
        return {"text": found}
    if isinstance(found, dict) and field(found, "page_content") is not None:
        score = number(found.get("score"))
        return {**document(found), **({} if score is None else {"score": score})}
    return bounded(found) if isinstance(found, dict) else {"text": text_of(found)}
