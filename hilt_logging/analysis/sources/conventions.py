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

from ...integrations._fields import decoded, field, items, text
from ...integrations._providers import provider_of_url
from .runs import Feedback, Run, number, whole


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
_PROVIDERS = {
    "amazon_bedrock": "bedrock",
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "gcp.vertex_ai": "vertex",
    "google": "gemini",
    "google-gla": "gemini",
    "google-vertex": "vertex",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot_ai": "moonshotai",
    "vertex_ai": "vertex",
    "vertexai": "vertex",
    "x_ai": "x-ai",
    "xai": "x-ai",
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
    "thread.id",
)
_USERS = (
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
)
_TOKENS = {
    "prompt": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "completion": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "cached": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_write": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "audio_prompt": ("llm.token_count.prompt_details.audio",),
    "audio_completion": ("llm.token_count.completion_details.audio",),
}
_SUMS = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_COSTS = ("gen_ai.usage.cost", "operation.cost", "llm.cost.total")
_OFFERED = ("gen_ai.tool.definitions", "llm.tools.", "llm.request.functions.")
_REPEATED = (
    "all_messages_events",
    "embedding.embeddings.",
    "gen_ai.aggregated_usage.",
    "gen_ai.usage.",
    "input.mime_type",
    "llm.token_count.",
    "logfire.",
    "metadata",
    "model_request_parameters",
    "openinference.span.kind",
    "output.mime_type",
    "pydantic_ai.all_messages",
)
"""What tells again what other attributes say, or how to show them."""
_SECRETS = ("llm.headers",)
_DETAILS = "gen_ai.client.inference.operation.details"
_TURNS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_MESSAGES = (
    *_TURNS,
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
_MOST_MESSAGES = 100_000


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


class _Attributes:
    """
    The attributes of a span, of which it is noted what was asked for.

    Args:
        own: By their names.
    """

    def __init__(self, own: dict[str, Any]) -> None:
        self._own = own
        self._taken: set[str] = set()

    def take(self, *names: str) -> Any:
        """Return the first of several that is there; none of them is among the others then."""
        self._taken.update(names)
        return next((self._own[name] for name in names if self._own.get(name) is not None), None)

    def text(self, *names: str) -> str | None:
        """Return the first of several that is there, as a text."""
        value = self.take(*names)
        return str(value) if type(value) in (str, int) and value != "" else None

    def under(self, prefix: str) -> Any:
        """Return what stands under a prefix, with numbers in the names as places in lists."""
        tree: dict[str, Any] = {}
        for name, value in self._own.items():
            if name.startswith(prefix):
                self._taken.add(name)
                _put(tree, name[len(prefix) :].split("."), value)
        return _listed(tree)

    def has(self, *prefixes: str) -> bool:
        """Return whether there are any with such a begin."""
        return any(name.startswith(prefixes) for name in self._own)

    def others(self) -> dict[str, Any]:
        """Return those that nobody asked for."""
        return {
            name: value
            for name, value in self._own.items()
            if name not in self._taken and not name.startswith((*_REPEATED, *_OFFERED, *_SECRETS))
        }


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, name = path[:_MOST_STEPS]
    for parent in parents:
        inner = tree.get(parent)
        if not isinstance(inner, dict):
            inner = tree[parent] = {}
        tree = inner
    if not isinstance(tree.get(name), dict):
        tree[name] = value


_MOST_STEPS = 20


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(name.isdecimal() and len(name) < 10 for name in tree):
        return [_listed(tree[name]) for name in sorted(tree, key=int)][:_MOST_MESSAGES]
    return {name: _listed(value) for name, value in tree.items()}


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
    given = _Attributes(span["attributes"])
    kind = _kind(given, span)
    if kind is None:
        return None
    run = Run(
        id=span["id"],
        kind=kind,
        name=_name(given, kind) or span["name"],
        began=moment(span["began"]),
        ended=moment(span["ended"]),
        first=_first(given, span, moment),
        parent=span["parent"],
    )
    _fill(run, given, span)
    _tell_lost(given, span, lost)
    run.more = {"service": span["service"], "scope": span["scope"], **given.others()}
    return run


def _kind(given: _Attributes, span: Span) -> str | None:
    operation = given.text("gen_ai.operation.name", "llm.request.type") or ""
    named = given.text(
        "openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type"
    )
    known = _OPERATIONS.get(operation.lower()) or _KINDS.get((named or "").lower())
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


def _name(given: _Attributes, kind: str) -> str | None:
    if kind == "tool":
        return given.text("gen_ai.tool.name", "tool.name", "traceloop.entity.name")
    if kind == "step":
        return given.text("traceloop.entity.name")
    return None


def _first(given: _Attributes, span: Span, moment: _Moment) -> datetime.datetime | None:
    began = moment(span["began"])
    seconds = number(
        given.take("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
    )
    if began is not None and seconds is not None and 0 <= seconds < 1e6:
        return began + datetime.timedelta(seconds=seconds)
    return next((moment(each["at"]) for each in span["events"] if each["name"] in _FIRST), None)


def _fill(run: Run, given: _Attributes, span: Span) -> None:
    given.take(*_SESSIONS, *_USERS)
    run.provider = _provider(given)
    run.params = _params(given)
    name = given.text(
        "gen_ai.request.model", "llm.request.model", "langfuse.observation.model.name"
    )
    served = given.text("gen_ai.response.model", "llm.response.model")
    told = given.text("llm.model_name", "embedding.model_name", "reranker.model_name")
    asked = run.params.pop("model", None)
    run.request_model = name or (asked if isinstance(asked, str) else None) or told
    run.model = served or told
    run.response_id = given.text("gen_ai.response.id")
    run.finish_reason = _finish_reason(given)
    if run.kind in ("model", "embedding"):
        run.tokens = _tokens(given)
        run.cost_usd = _cost(given)
    _said(run, given, span)
    _failed(run, given, span)
    run.metadata = _metadata(given)
    run.tags = items({"tags": given.take("tag.tags", "langfuse.trace.tags")}, "tags")


def _provider(given: _Attributes) -> str | None:
    told = given.text("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
    address = given.text("server.address", "gen_ai.openai.api_base")
    if told is None:
        return None
    found = _PROVIDERS.get(told.lower(), told.lower())
    if (
        found == "openai" and address is not None
    ):  # as every server that speaks its language is called
        url = address if "://" in address else f"https://{address}"
        return provider_of_url(url) or found
    return found


_PARAMS = "gen_ai.request."
_NO_PARAMS = (
    "messages", "input", "tools", "functions", "stream", "stream_options", "instructions", "system",
    "model_name", "_type",
)  # fmt: skip


def _params(given: _Attributes) -> dict[str, Any]:
    told = _loaded(
        given.take("llm.invocation_parameters", "embedding.invocation_parameters")
        or given.take("langfuse.observation.model.parameters")
    )
    params = dict(told) if isinstance(told, dict) else {}
    for name, value in list(given.others().items()):
        if name.startswith(_PARAMS) and name != "gen_ai.request.model":
            given.take(name)
            short = name.removeprefix(_PARAMS)
            params["n" if short == "choice.count" else short] = value
    return {k: v for k, v in params.items() if v is not None and k not in _NO_PARAMS}


def _finish_reason(given: _Attributes) -> str | None:
    told = given.take("gen_ai.response.finish_reasons", "llm.finish_reason")
    first = told[0] if isinstance(told, list) and told else told
    return first if isinstance(first, str) and first else None


def _tokens(given: _Attributes) -> dict[str, int] | None:
    counts = {name: whole(given.take(*names)) for name, names in _TOKENS.items()}
    total = whole(given.take(*_SUMS))
    usage = _loaded(given.take("langfuse.observation.usage_details"))
    prompt, completion = counts.pop("prompt"), counts.pop("completion")
    if prompt is None and completion is None:
        prompt, completion = whole(field(usage, "input")), whole(field(usage, "output"))
    if prompt is None and completion is None:
        if total is None:
            return None
        prompt = total
    prompt, completion = prompt or 0, completion or 0
    apart = (counts["cached"] or 0) + (counts["cache_write"] or 0)
    if apart > prompt:  # so that they can't be parts of it: Anthropic counts them apart
        prompt += apart
    sums = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return sums | {name: count for name, count in counts.items() if count}


def _cost(given: _Attributes) -> float | None:
    details = _loaded(given.take("langfuse.observation.cost_details"))
    told = number(given.take(*_COSTS))
    found = number(field(details, "total")) if told is None else told
    return found if found is not None and found >= 0 else None


def _metadata(given: _Attributes) -> dict[str, Any]:
    told = _loaded(given.take("metadata"))
    found = dict(told) if isinstance(told, dict) else {}
    for prefix in (
        "traceloop.association.properties.",
        "langfuse.trace.metadata.",
        "langfuse.observation.metadata.",
    ):
        for name, value in list(given.others().items()):
            if name.startswith(prefix):
                given.take(name)
                found[name.removeprefix(prefix)] = value
    return found


def _failed(run: Run, given: _Attributes, span: Span) -> None:
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


def _tell_lost(given: _Attributes, span: Span, lost: Counter[str]) -> None:
    tools = _loaded(given.take("gen_ai.tool.definitions"))
    offered = given.under("llm.tools.") or given.under("llm.request.functions.") or tools
    if isinstance(offered, list) and offered:
        lost["tools that were offered, of which only the calls are kept"] += len(offered)
    for event in span["events"]:
        if text(event["attributes"], "exception.stacktrace"):
            lost["tracebacks"] += 1
        elif event["name"] not in (*_MESSAGES, *_FIRST, "exception"):
            lost["events of spans that tell nothing of a model"] += 1
    vectors = given.under("embedding.embeddings.")
    if any(field(field(each, "embedding"), "vector") for each in _rows(vectors)):
        lost["outputs of embeddings"] += 1


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _loaded(value: Any) -> Any:
    """A value that may be written as JSON; a text that only looks like a number stays one."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return decoded(value)
    return value


# what was said


def _said(run: Run, given: _Attributes, span: Span) -> None:
    into, out = _value(given, "input"), _value(given, "output")
    if run.kind == "model":
        asked, answered = _asked(given, span), _answered(given, span)
        run.given = asked if asked else into
        run.gave = _choices(answered) if answered else out
    elif run.kind == "tool":
        run.given = _either(given, "gen_ai.tool.call.arguments", "tool_arguments", other=into)
        run.gave = _either(given, "gen_ai.tool.call.result", "tool_response", other=out)
        run.call_id = given.text("gen_ai.tool.call.id", "tool_call.id", "tool.id")
        if run.given is None:
            run.given = _loaded(given.take("tool.parameters"))
    elif run.kind in ("retriever", "reranker"):
        run.given = given.take("gen_ai.retrieval.query.text", "reranker.query") or into
        run.gave = _documents(given) or out
    elif run.kind == "embedding":
        run.given = _embedded(given) or _asked(given, span) or into
    else:
        run.given = _either(given, "gen_ai.input.messages", other=into)
        run.gave = _either(given, "gen_ai.output.messages", "final_result", other=out)


def _value(given: _Attributes, side: str) -> Any:
    """What went in or came out, where it is not told in messages."""
    told = decoded(given.take(f"traceloop.entity.{side}"))
    if told is None:
        told = _loaded(given.take(f"langfuse.observation.{side}"))
    value, kind = given.take(f"{side}.value"), given.take(f"{side}.mime_type")
    if told is None:
        told = decoded(value) if kind == "application/json" else value
    return told


def _choices(answered: Any) -> Any:
    """Several choices, told apart from the messages that make one answer."""
    rows = _rows(answered)
    if len(rows) < 2 or not all(text(each, "finish_reason") for each in rows):
        return answered
    reasons = [{"finish_reason": each["finish_reason"]} for each in rows]
    pairs = zip(rows, reasons, strict=True)
    return {"generations": [[{"message": m, "generation_info": info} for m, info in pairs]]}


def _either(given: _Attributes, *names: str, other: Any) -> Any:
    found = _loaded(given.take(*names))
    return other if found is None else found


def _asked(given: _Attributes, span: Span) -> list[Any]:
    told = _loaded(given.take("gen_ai.input.messages"))
    system = _loaded(given.take("gen_ai.system_instructions"))
    told = [_with_media(each) for each in told] if isinstance(told, list) else told
    indexed = given.under("gen_ai.prompt.")
    inferred = given.under("llm.input_messages.")
    texts = given.under("llm.prompts.")
    found: list[Any] = []
    if isinstance(told, list) and told:
        found = told
    elif isinstance(indexed, list):
        found = [_indexed(each) for each in indexed]
    elif isinstance(inferred, list):
        found = [_inferred(each) for each in inferred]
    elif isinstance(texts, list):
        found = [field(field(each, "prompt"), "text") or "" for each in texts]
    else:
        found = _of_events(span, given) or _rows(_loaded(given.take("gen_ai.prompt")))
    return [*_system(system), *found] if found else []


def _system(told: Any) -> list[Any]:
    if isinstance(told, str) and told:
        return [{"role": "system", "content": told}]
    return [{"role": "system", "parts": told}] if isinstance(told, list) and told else []


def _answered(given: _Attributes, span: Span) -> Any:
    told = _loaded(given.take("gen_ai.output.messages"))
    indexed = given.under("gen_ai.completion.")
    inferred = given.under("llm.output_messages.")
    texts = given.under("llm.choices.")
    if isinstance(told, list) and told:
        return [_with_media(each) for each in told]
    if isinstance(indexed, list):
        return [_indexed(each) for each in indexed]
    if isinstance(inferred, list):
        return [_inferred(each) for each in inferred]
    if isinstance(texts, list):
        said = [field(field(each, "completion"), "text") or "" for each in texts]
        return [{"role": "assistant", "content": each} for each in said]
    choices = [each for each in map(_choice, _told_by_events(span, given)) if each is not None]
    return choices or told or _loaded(given.take("gen_ai.completion"))


def _with_media(message: Any) -> Any:
    """A message of the present conventions, with media in the form of LangChain's blocks."""
    if not isinstance(message, dict) or not isinstance(message.get("parts"), list):
        return message
    return {**message, "parts": [_medium(each) for each in message["parts"]]}


_BYTES = {"blob": ("base64", "content"), "file": ("file_id", "file_id"), "uri": ("url", "uri")}


def _medium(given: Any) -> Any:
    kind = text(given, "type")
    if kind not in _BYTES:
        return given
    name, there = _BYTES[kind]
    modality = text(given, "modality")
    return {
        "type": modality if modality in ("audio", "image", "video") else "file",
        "mime_type": text(given, "mime_type"),
        name: text(given, there),
    }


def _indexed(message: Any) -> dict[str, Any]:
    """A message of OpenLLMetry, whose content may be blocks that are written as JSON."""
    content = _blocks(field(message, "content"))
    told = {
        "role": text(message, "role") or "assistant",
        "content": content,
        "tool_calls": items(message, "tool_calls"),
        "tool_call_id": text(message, "tool_call_id"),
        "finish_reason": text(message, "finish_reason"),
        "refusal": text(message, "refusal"),
    }
    if isinstance(content, list) and told["tool_calls"]:
        calls = [each for each in content if text(each, "type") not in ("tool_use", "tool_call")]
        told["content"] = calls
    return {name: each for name, each in told.items() if each or name == "content"}


def _blocks(content: Any) -> Any:
    found = _loaded(content)
    is_blocks = isinstance(found, list) and found and all(text(each, "type") for each in found)
    return found if is_blocks else content


def _inferred(envelope: Any) -> dict[str, Any]:
    """A message of OpenInference."""
    message = field(envelope, "message")
    calls = [_inferred_call(field(each, "tool_call")) for each in items(message, "tool_calls")]
    name = text(message, "function_call_name")
    if name and not calls:
        arguments = field(message, "function_call_arguments_json")
        calls = [{"function": {"name": name, "arguments": arguments}}]
    contents = items(message, "contents")
    content = [_inferred_block(field(each, "message_content")) for each in contents]
    told = {
        "role": text(message, "role") or "assistant",
        "content": content if contents else field(message, "content"),
        "tool_calls": calls,
        "tool_call_id": text(message, "tool_call_id"),
    }
    return {key: each for key, each in told.items() if each or key == "content"}


def _inferred_call(call: Any) -> dict[str, Any]:
    return {"id": field(call, "id"), "function": field(call, "function") or {}}


def _inferred_block(block: Any) -> Any:
    url = field(field(field(block, "image"), "image"), "url")
    if url is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    return block


def _told_by_events(span: Span, given: _Attributes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a span, its log records, and those that pydantic-ai puts into an attribute."""
    told = [(each["name"], _body(each)) for each in span["events"]]
    listed = _rows(_loaded(given.take("events")))
    return told + [(text(each, "event.name") or "", each) for each in listed if each]


def _body(event: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = event["attributes"]
    body = event["body"]
    if body is None:
        body = _loaded(attributes.get("gen_ai.event.content"))
    return attributes | body if isinstance(body, dict) else attributes


def _of_events(span: Span, given: _Attributes) -> list[Any]:
    found: list[Any] = []
    for name, body in _told_by_events(span, given):
        if name in _TURNS:
            found.append(_turn(_TURNS[name], body))
        elif name == "gen_ai.content.prompt":
            prompt = _loaded(body.get("gen_ai.prompt"))
            found += prompt if isinstance(prompt, list) else [prompt] if prompt else []
    return found


def _turn(role: str, body: Any) -> dict[str, Any]:
    told = {
        "role": text(body, "role") or role,
        "content": _blocks(field(body, "content")),
        "tool_calls": _rows(_loaded(field(body, "tool_calls"))),
        "tool_call_id": text(body, "id", "tool_call_id") if role == "tool" else None,
        "name": text(body, "name") if role == "tool" else None,
    }
    return {name: each for name, each in told.items() if each or name == "content"}


def _choice(event: tuple[str, dict[str, Any]]) -> dict[str, Any] | None:
    name, body = event
    if name == "gen_ai.content.completion":
        said = _loaded(body.get("gen_ai.completion"))
        first = said[0] if isinstance(said, list) and said else said
        return first if isinstance(first, dict) else _turn("assistant", {"content": first})
    if name != "gen_ai.choice":
        return None
    message = _loaded(field(body, "message"))
    turn = _turn("assistant", message if isinstance(message, dict) else body)
    if isinstance(message, str):
        turn["content"] = message
    reason = text(body, "finish_reason")
    return turn | ({"finish_reason": reason} if reason else {})


def _embedded(given: _Attributes) -> list[str]:
    rows = _rows(given.under("embedding.embeddings."))
    texts = [text(field(each, "embedding"), "text") for each in rows]
    return [each for each in texts if each]


def _documents(given: _Attributes) -> list[Any]:
    told = _loaded(given.take("gen_ai.retrieval.documents"))
    if isinstance(told, list) and told:
        return told
    ranked = given.under("reranker.output_documents.")
    rows = _rows(ranked) or _rows(given.under("retrieval.documents."))
    return [_document(field(each, "document")) for each in rows]


def _document(told: Any) -> dict[str, Any]:
    return {
        "page_content": text(told, "content") or "",
        "id": text(told, "id"),
        "score": field(told, "score"),
        "metadata": _loaded(field(told, "metadata")) or {},
    }


def feedback_of(span: Span, moment: _Moment) -> Iterator[Feedback]:
    """Yield the judgements among the events of a span."""
    for index, event in enumerate(span["events"], 1):
        if event["name"] != "gen_ai.evaluation.result":
            continue
        told = _body(event)
        given = _Attributes(told)
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
