"""
The runs of a trace, as the events that recording it would have made.
"""

from __future__ import annotations

import datetime
import re

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ...integrations._answers import Answer, ToolCall, outcome_of
from ...integrations._calls import answered_turns, referring, result_ids
from ...integrations._conversations import Conversations, Place
from ...integrations._fields import items, text
from ...integrations._langchain import bounded
from ...integrations._prompts import prompt_from
from .making import Event, Maker, end_of, metrics_of, present
from .messages import Asked, answer_in, asked_in, text_of, unwrapped
from .nested import let_one_speak, tell_apart
from .payloads import arguments_in, documents_in, params_in, query_in
from .runs import Feedback, Run, Trace, began
from .threads import threads_in
from .tool_calls import ToolCalls, results_in


__all__ = ["events_in"]

_ERROR = re.compile(r"(?:\w+\.)*([A-Z]\w*)\(")
_STATUS = re.compile(r"\bError code: (\d{3})\b")
_TRACEBACK = "Traceback (most recent call last)"
_LAST = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
_MOST_STATE = 4_000


def events_in(trace: Trace, lost: Counter[str], known: Conversations) -> Iterator[Event]:
    """
    Yield the events of a trace.

    Args:
        trace: The trace.
        lost: Counts what is in the trace and in no event.
        known: The conversations of the traces before.
    """
    tell_apart(trace.runs)
    for thread in threads_in(trace, known):
        let_one_speak(thread.runs)
        yield from _events_in(thread, lost, known)


def _events_in(trace: Trace, lost: Counter[str], known: Conversations) -> Iterator[Event]:
    work = _Events(trace, lost, known)
    for run in sorted(trace.runs, key=lambda each: (began(each), end_of(each) or _LAST)):
        try:
            yield from list(work.of_run(run))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            lost["runs that can't be understood"] += 1
    for feedback in trace.feedback:
        yield work.of_feedback(feedback)


class _Events:
    """Makes the events of each run of a trace, after those that began before."""

    def __init__(self, trace: Trace, lost: Counter[str], known: Conversations) -> None:
        self._trace = trace
        self._lost = lost
        self._known = known
        self._make = Maker(trace, lost)
        self._tools = ToolCalls()
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
        return self._make.made(
            f"{feedback.id}.feedback",
            "feedback",
            ("system", feedback.name) if feedback.is_automatic else actor,
            feedback.at,
            content={"text": feedback.comment} if feedback.comment else {},
            provenance={"trace_id": self._trace.id, "run_id": feedback.run},
            metrics={"score": feedback.score},
            extensions={
                "reply_to": judged,
                "feedback": present(told),
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
            for each in results_in(turns)
            if each.get("id") in new_ids and not self._tools.is_given(each.get("id"))
        ]
        history = None
        here = {each["id"] for each in results if each.get("id")}
        if here or place.start or needs_system != (place.systems > 0):
            news = [referring(turn, here) for turn in news]
            turns = [*(turns[: place.systems] if needs_system else ()), *news]
            history = place.history(None)
        self._tools.recall(asked.turns, place)
        for index, result in enumerate(results, 1):
            yield self._result_told(run, index, result)
        told = prompt_from(turns)
        request = asked.request
        yield self._make.event(
            run,
            "prompt",
            "prompt",
            ("human", self._trace.user or "user"),
            run.began,
            content={"text": told.text, "media": told.media, "messages": told.messages},
            provenance={"params": bounded(run.params or params_in(request)) or None},
            extensions={"follows": place.follows, "history": history},
        )

    def _result_told(self, run: Run, index: int, result: dict[str, Any]) -> Event:
        call_id = result.get("id") or ""
        reply_to, call = self._tools.asked(call_id)
        given = result.get("response")
        self._tools.give(call_id, call)
        name = (call.name if call else None) or "tool"
        return self._make.event(
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
        event = self._make.event(
            run,
            "completion",
            "completion",
            agent,
            end_of(run),
            content={"text": answer.text, "media": answer.media, "messages": answer.messages},
            provenance={
                "params": _params_unasked(run),
                "response_id": answer.response_id,
                "price": self._make.price(run),
            },
            metrics=metrics_of(run, answer.tokens),
            extensions={
                "reply_to": prompt_id if run.given not in (None, {}, []) else None,
                **ending,
                "refusal": answer.refusal,
                "usage": None if is_told else "not_reported",
                **self._make.about(run),
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
                self._tools.ask(tool_id, call)
            tool = {"name": call.name, "call_id": call.call_id, "server": call.server or None}
            yield self._make.event(
                run,
                f"tool_call.{index}",
                "tool_call",
                agent,
                end_of(run),
                extensions={
                    "reply_to": completion_id,
                    "tool": present({**tool, "arguments": call.arguments}),
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
        about = {} if run.id in self._main else self._make.about(run)
        event = self._make.event(
            run,
            "error",
            "system",
            ("system", run.provider or run.name),
            end_of(run),
            provenance={} if run.id in self._main else {"params": _params_unasked(run)},
            metrics=metrics_of(run, None, is_timed_only=True),
            extensions={
                "reply_to": reply_to,
                "outcome": "cancelled" if is_cancelled else "failed",
                "status_code": run.status_code or (int(status[1]) if status else None),
                "error": present({"type": kind or "error", "message": message or None}),
                **about,
            },
        )
        self._main.setdefault(run.id, event["event_id"])
        return event

    # tools, searches, embeddings, steps

    def _tool(self, run: Run) -> Iterator[Event]:
        arguments, output = arguments_in(run.given), unwrapped(run.gave)
        if isinstance(output, dict) and len(output) == 1 and "output" in output:
            output = unwrapped(output["output"])
        message = output if isinstance(output, dict) and "tool_call_id" in output else None
        call_id = (
            run.call_id or text(message, "tool_call_id") or self._tools.meant(run.name, arguments)
        )
        reply_to, call = self._tools.asked(call_id)
        if call is None:
            call = ToolCall(run.name, call_id, arguments)
            tool = {"name": run.name, "call_id": call_id, "arguments": bounded(arguments)}
            event = self._make.event(
                run,
                "tool_call",
                "tool_call",
                ("agent", "assistant"),
                run.began,
                extensions={"tool": present(tool)},
            )
            reply_to = event["event_id"]
            yield event
        if call_id:
            self._tools.give(call_id, call)
        if run.error is not None:
            yield self._error(run, reply_to)
        elif run.ended is not None or run.gave is not None:
            given = output if message is None else message.get("content")
            failed = text(message, "status") == "error"
            event = self._make.event(
                run,
                "tool_result",
                "tool_result",
                ("tool", call.name or run.name),
                end_of(run),
                content={"text": given} if isinstance(given, str) else {},
                metrics=metrics_of(run, None, is_timed_only=True),
                extensions={
                    "reply_to": reply_to,
                    "outcome": "failed" if failed else None,
                    "tool": _tool_of(call.name or run.name, call_id, given),
                    **self._make.about(run),
                },
            )
            self._main[run.id] = event["event_id"]
            yield event

    def _retrieval(self, run: Run) -> Iterator[Event]:
        event = self._make.event(
            run,
            *(("rerank", "rerank") if run.kind == "reranker" else ("retrieval", "retrieval")),
            ("tool", run.name),
            end_of(run),
            content={"text": query_in(run.given)},
            metrics=metrics_of(run, None, is_timed_only=True),
            extensions={
                "outcome": None if run.error is None else "failed",
                "documents": documents_in(run.gave) if run.error is None else None,
                **self._make.about(run),
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
        event = self._make.event(
            run,
            "embedding",
            "embedding",
            ("agent", run.model or run.request_model or run.name),
            end_of(run),
            content={"text": texts[0]["content"] if texts else None, "messages": messages},
            provenance={
                "params": bounded(run.params) or None,
                "price": self._make.price(run),
            },
            metrics=metrics_of(run, tokens),
            extensions={
                "outcome": "completed" if run.error is None else "failed",
                "usage": None if tokens else "not_reported",
                **self._make.about(run),
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
        event = self._make.event(
            run,
            "step",
            "system",
            ("system", run.name),
            end_of(run),
            metrics=metrics_of(run, None, is_timed_only=True),
            extensions={
                "outcome": "completed" if run.ended is not None else None,
                "chain": present({"name": run.name, "phase": "end", **state}),
                **self._make.about(run),
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


def _tool_of(name: str, call_id: Any, given: Any) -> dict[str, Any]:
    result = None if isinstance(given, str) else bounded(given)
    return present({"name": name, "call_id": call_id, "result": result})


def _params_unasked(run: Run) -> Any:
    """The parameters of a call without a prompt, which would have them."""
    is_asked = run.given not in (None, {}, [])
    return None if is_asked or run.kind != "model" else bounded(run.params) or None
