"""
What was said in a call, out of the attributes and events of its span.
"""

from __future__ import annotations

from typing import Any

from ...integrations._fields import decoded, field, items, text
from . import vercel
from .attributes import Attributes, loaded, rows_of
from .runs import Run


__all__ = ["TURNS", "body_of", "tell_said"]

Span = dict[str, Any]

TURNS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
"""The roles of messages, by the names of their events."""


def tell_said(run: Run, given: Attributes, span: Span) -> None:
    """
    Note on a run what went in and what came out.

    Args:
        run: The run, of which the kind is known.
        given: The attributes of its span.
        span: The span, for its events.
    """
    into, out = _value(given, "input"), _value(given, "output")
    if run.kind == "model":
        asked, answered = _asked(given, span), _answered(given, span)
        run.given = asked if asked else into
        run.gave = _choices(answered) if answered else out
    elif run.kind == "tool":
        run.given = _either(
            given, "gen_ai.tool.call.arguments", "tool_arguments", "ai.toolCall.args", other=into
        )
        run.gave = _either(
            given, "gen_ai.tool.call.result", "tool_response", "ai.toolCall.result", other=out
        )
        run.call_id = given.text("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id")
        if run.given is None:
            run.given = loaded(given.take("tool.parameters"))
    elif run.kind in ("retriever", "reranker"):
        run.given = given.take("gen_ai.retrieval.query.text", "reranker.query") or into
        run.gave = _documents(given) or out
    elif run.kind == "embedding":
        run.given = _embedded(given) or _asked(given, span) or into
        run.gave = None if given.has("embedding.embeddings.") else out
    else:
        run.given = _either(given, "gen_ai.input.messages", "ai.prompt", other=into)
        run.gave = _either(
            given, "gen_ai.output.messages", "final_result", "ai.response.text", other=out
        )


def _value(given: Attributes, side: str) -> Any:
    """What went in or came out, where it is not told in messages."""
    told = decoded(given.take(f"traceloop.entity.{side}"))
    if told is None:
        told = loaded(given.take(f"langfuse.observation.{side}"))
    value, kind = given.take(f"{side}.value"), given.take(f"{side}.mime_type")
    if told is None:
        told = decoded(value) if kind == "application/json" else value
    return told


def _choices(answered: Any) -> Any:
    """Several choices, told apart from the messages that make one answer."""
    rows = rows_of(answered)
    if len(rows) < 2 or not all(text(each, "finish_reason") for each in rows):
        return answered
    reasons = [{"finish_reason": each["finish_reason"]} for each in rows]
    pairs = zip(rows, reasons, strict=True)
    return {"generations": [[{"message": m, "generation_info": info} for m, info in pairs]]}


def _either(given: Attributes, *names: str, other: Any) -> Any:
    found = loaded(given.take(*names))
    return other if found is None else found


def _asked(given: Attributes, span: Span) -> list[Any]:
    told = loaded(given.take("gen_ai.input.messages"))
    told = [_with_media(each) for each in told] if isinstance(told, list) else told
    indexed = given.under("gen_ai.prompt.", _INDEXED)
    inferred = given.under("llm.input_messages.", ("message",))
    texts = given.under("llm.prompts.")
    found: list[Any] = []
    if isinstance(told, list) and told:
        found = told
    elif indexed:
        found = [_indexed(each) for each in indexed]
    elif inferred:
        found = [_inferred(each) for each in inferred]
    elif texts:
        found = [field(field(each, "prompt"), "text") or "" for each in texts]
    else:
        found = _of_events(span, given) or vercel.asked(given)
        found = found or _any_turns(told, loaded(given.take("gen_ai.prompt")))
    return [*_system(loaded(given.take(_INSTRUCTIONS))), *found] if found else []


_INSTRUCTIONS = "gen_ai.system_instructions"
_INDEXED = (
    "content",
    "finish_reason",
    "reasoning",
    "refusal",
    "role",
    "tool_call_id",
    "tool_calls",
)
"""What a message of OpenLLMetry may have."""


def _any_turns(*told: Any) -> list[Any]:
    """What was asked in no form that is known."""
    found: Any = next((each for each in told if each not in (None, "", [], {})), [])
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    return found if isinstance(found, list) else [found]


def _system(told: Any) -> list[Any]:
    if isinstance(told, str) and told:
        return [{"role": "system", "content": told}]
    return [{"role": "system", "parts": told}] if isinstance(told, list) and told else []


def _answered(given: Attributes, span: Span) -> Any:
    told = loaded(given.take("gen_ai.output.messages"))
    indexed = given.under("gen_ai.completion.", _INDEXED)
    inferred = given.under("llm.output_messages.", ("message",))
    texts = given.under("llm.choices.")
    if isinstance(told, list) and told:
        return [_with_media(each) for each in told]
    if indexed:
        return [_indexed(each) for each in indexed]
    if inferred:
        return [_inferred(each) for each in inferred]
    if texts:
        said = [field(field(each, "completion"), "text") or "" for each in texts]
        return [{"role": "assistant", "content": each} for each in said]
    choices = [each for each in map(_choice, _told_by_events(span, given)) if each is not None]
    return choices or told or vercel.answered(given) or loaded(given.take("gen_ai.completion"))


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
    reasoning = text(message, "reasoning")
    if reasoning and content is None:
        content = [{"type": "reasoning", "content": reasoning}]
    elif reasoning:
        said = content if isinstance(content, list) else [content]
        content = [{"type": "reasoning", "content": reasoning}, *said]
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
    found = loaded(content)
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
        "name": text(message, "name"),
    }
    return {key: each for key, each in told.items() if each or key == "content"}


def _inferred_call(call: Any) -> dict[str, Any]:
    return {"id": field(call, "id"), "function": field(call, "function") or {}}


def _inferred_block(block: Any) -> Any:
    url = field(field(field(block, "image"), "image"), "url")
    if url is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    for kind in ("audio", "video", "document"):
        medium = field(field(block, kind), kind)
        if field(medium, "url") is not None:
            name = "file" if kind == "document" else kind
            return {"type": name, **medium}
    return block


def _told_by_events(span: Span, given: Attributes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a span, its log records, and those that pydantic-ai puts into an attribute."""
    told = [(each["name"], body_of(each)) for each in span["events"]]
    listed = rows_of(loaded(given.take("events")))
    return told + [(text(each, "event.name") or "", each) for each in listed if each]


def body_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return what an event tells, in its attributes, its body, or a body within the attributes."""
    attributes: dict[str, Any] = event["attributes"]
    body = event["body"]
    if body is None:
        body = loaded(attributes.get("gen_ai.event.content"))
    return attributes | body if isinstance(body, dict) else attributes


def _of_events(span: Span, given: Attributes) -> list[Any]:
    found: list[Any] = []
    for name, body in _told_by_events(span, given):
        if name in TURNS:
            found.append(_turn(TURNS[name], body))
        elif name == "gen_ai.content.prompt":
            prompt = loaded(body.get("gen_ai.prompt"))
            found += prompt if isinstance(prompt, list) else [prompt] if prompt else []
    return found


def _turn(role: str, body: Any) -> dict[str, Any]:
    told = {
        "role": text(body, "role") or role,
        "content": _blocks(field(body, "content")),
        "tool_calls": rows_of(loaded(field(body, "tool_calls"))),
        "tool_call_id": text(body, "id", "tool_call_id") if role == "tool" else None,
        "name": text(body, "name") if role == "tool" else None,
    }
    return {name: each for name, each in told.items() if each or name == "content"}


def _choice(event: tuple[str, dict[str, Any]]) -> dict[str, Any] | None:
    name, body = event
    if name == "gen_ai.content.completion":
        said = loaded(body.get("gen_ai.completion"))
        first = said[0] if isinstance(said, list) and said else said
        return first if isinstance(first, dict) else _turn("assistant", {"content": first})
    if name != "gen_ai.choice":
        return None
    message = loaded(field(body, "message"))
    turn = _turn("assistant", message if isinstance(message, dict) else body)
    if isinstance(message, str):
        turn["content"] = message
    reason = text(body, "finish_reason")
    return turn | ({"finish_reason": reason} if reason else {})


def _embedded(given: Attributes) -> list[str]:
    rows = given.under("embedding.embeddings.")
    texts = [text(field(each, "embedding"), "text") for each in rows]
    return [each for each in texts if each]


def _documents(given: Attributes) -> list[Any]:
    told = loaded(given.take("gen_ai.retrieval.documents"))
    if told:
        return told if isinstance(told, list) else [told]
    rows = given.under("reranker.output_documents.") or given.under("retrieval.documents.")
    return [_document(field(each, "document")) for each in rows]


def _document(told: Any) -> dict[str, Any]:
    about = loaded(field(told, "metadata"))
    metadata = about if isinstance(about, dict) else {} if about is None else {"metadata": about}
    for name in ("name", "url", "mime_type"):
        if text(told, name):
            metadata = {name: told[name], **metadata}
    return {
        "page_content": text(told, "content") or "",
        "id": text(told, "id"),
        "score": field(told, "score"),
        "metadata": metadata,
    }
