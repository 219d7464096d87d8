"""
What the attributes and events of a span tell of a call, in the conventions that are in use.

Those are the GenAI conventions of OpenTelemetry, present and past, those of OpenLLMetry and of
OpenInference, and what pydantic-ai and Langfuse add to them.
"""

from __future__ import annotations

import datetime
import json
import re

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ...integrations._fields import field, items, text
from . import vercel
from .attributes import Attributes, loaded, mended
from .providers import provider_of
from .runs import Feedback, Run
from .spoken import TURNS, body_of, tell_said
from .usage import cost_of, tokens_of
from .values import number


__all__ = ["feedback_of", "is_message_event", "run_of", "session_of", "user_of"]

Span = dict[str, Any]
_Moment = Callable[[int | None], datetime.datetime | None]

_OPERATIONS = {
    "chat": "model",
    "completion": "model",
    "create_agent": "step",
    "embedding": "embedding",
    "embeddings": "embedding",
    "execute_tool": "tool",
    "generate_content": "model",
    "invoke_agent": "step",
    "invoke_workflow": "step",
    "rerank": "reranker",
    "responses": "model",
    "retrieval": "retriever",
    "text_completion": "model",
}
_KINDS = {
    "agent": "step",
    "chain": "step",
    "embedding": "embedding",
    "evaluator": "step",
    "event": "step",
    "generation": "model",
    "guardrail": "step",
    "llm": "model",
    "prompt": "step",
    "reranker": "reranker",
    "retriever": "retriever",
    "span": "step",
    "task": "step",
    "tool": "tool",
    "unknown": "step",
    "workflow": "step",
}
_SESSIONS = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.chat_id",
    "langsmith.metadata.session_id",
    "langsmith.metadata.thread_id",
    "ai.telemetry.metadata.sessionId",
    "thread.id",
)
_USERS = (
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "ai.telemetry.metadata.userId",
    "traceloop.association.properties.user_id",
)
_DETAILS = "gen_ai.client.inference.operation.details"
_MESSAGES = (
    *TURNS,
    "gen_ai.choice",
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
    "gen_ai.evaluation.result",
    _DETAILS,
)
_FIRST = (
    "First Token Stream Event",
    "gen_ai.content.completion.chunk",
    "llm.content.completion.chunk",
)
_NAME = re.compile(r"([A-Za-z_]\w*)\W*$")


def is_message_event(name: str) -> bool:
    """Return whether events of this name tell what a model was asked or answered."""
    return name in _MESSAGES


def session_of(span: Span) -> str | None:
    """Return the conversation that a span names."""
    return _named(span, _SESSIONS)


def user_of(span: Span) -> str | None:
    """Return the person whom a span names."""
    return _named(span, _USERS)


def _named(span: Span, names: tuple[str, ...]) -> str | None:
    sources = [span["attributes"], *(each["attributes"] for each in span["events"])]
    for source in sources:
        for name in names:
            value = source.get(name)
            if type(value) in (str, int) and value != "":
                return str(value)
    return None


def run_of(span: Span, moment: _Moment, lost: Counter[str]) -> Run | None:
    """
    Return what a span says of a call; None if it says nothing of a model, a tool or a search.

    Args:
        span: Its attributes and events as plain values.
        moment: Makes a time of nanoseconds.
        lost: Counts what is in the span and not in the run.
    """
    for event in span["events"]:
        if event["name"] == _DETAILS:
            body = event["body"] if isinstance(event["body"], dict) else {}
            span["attributes"] = body | event["attributes"] | span["attributes"]
    _mend(span["attributes"], lost)
    given = Attributes(span["attributes"])
    kind = _kind(given, span)
    if kind is None or given.value("logfire.span_type") == "pending_span":
        return None
    run = Run(
        id=span["id"],
        kind=kind,
        name=_name(given, kind) or span["name"],
        began=moment(span["began"]),
        ended=moment(span["ended"]),
        first=_first(given, span, moment) if kind == "model" else None,
        parent=span["parent"],
    )
    _fill(run, given, span)
    _tell_lost(given, span, lost)
    known = {name: span[name] for name in ("service", "scope", "links")}
    run.more = known | given.others()
    return run


_WRITTEN = (
    "events",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "llm.invocation_parameters",
    "metadata",
)
"""What is written as JSON, and is nothing if it can't be read as that."""


def _mend(attributes: dict[str, Any], lost: Counter[str]) -> None:
    """Read what is JSON, also where a limit of its exporter cut it in the middle."""
    for name in _WRITTEN:
        value = attributes.get(name)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            found = loaded(value)
            if isinstance(found, str):
                found = mended(value)
                lost["attributes that end in the middle: what is there was read"] += bool(found)
            attributes[name] = found or value


_HOW = ("gen_ai.operation.name", "llm.request.type")
_WHAT = ("openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type")


def _kind(given: Attributes, span: Span) -> str | None:
    operation = given.peek(*_HOW) or ""
    named = given.peek(*_WHAT)
    if operation.lower() in _OPERATIONS:
        given.take(*_HOW)
    if (named or "").lower() in _KINDS:
        given.take(*_WHAT)
    known = _OPERATIONS.get(operation.lower()) or _KINDS.get((named or "").lower())
    known = vercel.KINDS.get(given.text("ai.operationId") or "") or known
    if known is not None:
        return known
    if given.has("gen_ai.tool.name", "gen_ai.tool.call.id"):
        return "tool"
    is_asked = any(is_message_event(each["name"]) for each in span["events"])
    if given.has("gen_ai.request.model", "gen_ai.prompt", "llm.request.model"):
        return "model"
    if is_asked and not all(each["name"] == "gen_ai.evaluation.result" for each in span["events"]):
        return "model"
    return "step" if operation or named or given.has("gen_ai.", "traceloop.entity.") else None


def _name(given: Attributes, kind: str) -> str | None:
    if kind == "tool":
        return given.text(
            "gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name"
        )
    if kind == "step":
        return given.text("traceloop.entity.name")
    return None


def _first(given: Attributes, span: Span, moment: _Moment) -> datetime.datetime | None:
    began = moment(span["began"])
    seconds = number(
        given.take("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
    )
    if began is not None and seconds is not None and 0 <= seconds < 1e6:
        return began + datetime.timedelta(seconds=seconds)
    return next((moment(each["at"]) for each in span["events"] if each["name"] in _FIRST), None)


def _fill(run: Run, given: Attributes, span: Span) -> None:
    given.take(*_SESSIONS, *_USERS)
    run.provider = provider_of(given)
    is_call = run.kind in ("model", "embedding")
    if is_call:
        run.params = _params(given)
    name = given.text(*_ASKED_FOR)
    served = given.text(*_SERVED)
    told = given.text("llm.model_name", "embedding.model_name", "reranker.model_name")
    asked = run.params.pop("model", None)
    run.request_model = name or (asked if isinstance(asked, str) else None) or told
    run.model = served or told
    if run.kind == "model":
        run.response_id = given.text("gen_ai.response.id")
        run.finish_reason = _finish_reason(given)
    if is_call or run.kind == "step":  # of which it counts only where no call is on record
        told_of = given if is_call else Attributes(span["attributes"])
        run.tokens, run.cost_usd = tokens_of(told_of), cost_of(told_of)
    tell_said(run, given, span)
    _failed(run, given, span)
    run.metadata = _metadata(given)
    run.tags = [
        each
        for name in ("tag.tags", "langfuse.trace.tags", "logfire.tags")
        for each in _tags(given.take(name))
    ]


_ASKED_FOR = (
    "gen_ai.request.model",
    "llm.request.model",
    "llm.request.model_name",
    "langfuse.observation.model.name",
    "ai.model.id",
)
_SERVED = (
    "gen_ai.response.model",
    "llm.response.model",
    "llm.response.model_name",
    "ai.response.model",
)


def _tags(told: Any) -> list[Any]:
    found = loaded(told)
    return found if isinstance(found, list) else [] if found is None else [found]


_PARAMS = "gen_ai.request."
_NO_PARAMS = (
    "messages", "input", "tools", "functions", "stream", "stream_options", "instructions", "system",
    "model_name", "_type",
)  # fmt: skip


def _params(given: Attributes) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for name in (
        "llm.invocation_parameters",
        "embedding.invocation_parameters",
        "langfuse.observation.model.parameters",
    ):
        params |= given.object(name)
    for name, value in list(given.others().items()):
        short = name.removeprefix(_PARAMS)
        if name.startswith(_PARAMS) and short not in ("model", *_NO_PARAMS):
            given.take(name)
            params["n" if short == "choice.count" else short] = value
    return {k: v for k, v in params.items() if v is not None and k not in _NO_PARAMS}


_REASONS = (
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "gen_ai.response.stop_reason",
    "llm.finish_reason",
    "llm.response.finish_reason",
    "llm.response.stop_reason",
    "ai.response.finishReason",
)


def _finish_reason(given: Attributes) -> str | None:
    told = given.take(*_REASONS)
    first = told[0] if isinstance(told, list) and told else told
    return first if isinstance(first, str) and first else None


def _metadata(given: Attributes) -> dict[str, Any]:
    found = given.object("metadata")
    for prefix in (
        "ai.telemetry.metadata.",
        "traceloop.association.properties.",
        "langfuse.trace.metadata.",
        "langfuse.observation.metadata.",
    ):
        for name, value in list(given.others().items()):
            if name.startswith(prefix):
                given.take(name)
                found[name.removeprefix(prefix)] = value
    return found


def _failed(run: Run, given: Attributes, span: Span) -> None:
    raised: Any = next((e["attributes"] for e in span["events"] if e["name"] == "exception"), {})
    told = given.text("error.type")
    if not (span["has_failed"] or told or given.take("error") is True):
        return
    kind = text(raised, "exception.type") or told or ""
    message = text(raised, "exception.message") or span["message"] or given.text("error.message")
    found = _NAME.search(kind)
    run.error = message or kind or "error"
    run.error_type = found[1] if found else None
    if kind.isdecimal() and len(kind) == 3:
        run.status_code = int(kind)


def _tell_lost(given: Attributes, span: Span, lost: Counter[str]) -> None:
    asked = loaded(given.take("model_request_parameters"))
    offered = (
        given.under("llm.tools.")
        or given.under("llm.request.functions.")
        or loaded(given.take("gen_ai.tool.definitions"))
        or items(asked, "function_tools")
    )
    if offered:
        count = len(offered) if isinstance(offered, list) else 1
        lost["tools that were offered, of which only the calls are kept"] += count
    if given.take("llm.headers", "gen_ai.headers") is not None:
        lost["headers of requests, which may hold secrets"] += 1
    for event in span["events"]:
        if text(event["attributes"], "exception.stacktrace"):
            lost["tracebacks"] += 1
        elif event["name"] not in (*_MESSAGES, *_FIRST, "exception"):
            lost["events of spans that tell nothing of a model"] += 1
    vectors = given.under("embedding.embeddings.")
    if any(field(field(each, "embedding"), "vector") for each in vectors):
        lost["outputs of embeddings"] += 1


def feedback_of(span: Span, moment: _Moment) -> Iterator[Feedback]:
    """Yield the judgements among the events of a span."""
    for index, event in enumerate(span["events"], 1):
        if event["name"] != "gen_ai.evaluation.result":
            continue
        told = body_of(event)
        given = Attributes(told)
        yield Feedback(
            id=f"{span['id']}.{index}",
            name=given.text("gen_ai.evaluation.name") or "evaluation",
            at=moment(event["at"]),
            run=span["id"],
            score=number(given.take("gen_ai.evaluation.score.value")),
            value=given.text("gen_ai.evaluation.score.label"),
            comment=given.text("gen_ai.evaluation.explanation"),
            is_automatic=True,
            more={
                name: value
                for name, value in given.others().items()
                if len(json.dumps(value, default=str)) < 1000
            },
        )
