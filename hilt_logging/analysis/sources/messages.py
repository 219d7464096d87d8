"""
What a model was asked and what it answered, in whatever shape it was handed to a tool that watches.

Chats of OpenAI, Anthropic and Gemini, messages of LangChain, texts, and any other value.
"""

from __future__ import annotations

import json

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...integrations import _anthropic, _gemini, _langchain, _openai
from ...integrations._answers import Answer, Choice, choices_answer, part
from ...integrations._fields import decoded, field, items, text


__all__ = ["Asked", "answer_in", "asked_in", "text_of", "tokens_in", "unwrapped"]

Message = dict[str, Any]

_ROLES = {
    "ai": "assistant",
    "bot": "assistant",
    "function": "tool",
    "human": "user",
    "model": "assistant",
    "remove": "system",
}
_LANGCHAIN = ("human", "ai", "system", "tool", "function", "chat", "developer")
_ITEMS = (
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
)
_OF_OPENAI = ("input_text", "output_text", "image_url", "input_image", "input_audio", "input_file")
_ASKED = ("messages", "input", "contents", "prompt", "prompts", "question", "query", "text")
_ANSWERED = ("message", "output", "answer", "result", "response", "text", "content", "completion")
_SYSTEMS = ("system", "instructions", "system_instruction", "systemInstruction")
_DEEPEST = 8


class Asked(NamedTuple):
    """
    What a model was asked.

    Attributes:
        turns: `{"role": ..., "parts": [...]}`.
        request: What else the request said, where it was kept whole.
        tools: How many tools it offered.
    """

    turns: list[Message]
    request: dict[str, Any]
    tools: int


def asked_in(value: Any) -> Asked:
    """Return what a value asks, that may be a request, its messages, a text or anything else."""
    given, request, more = unwrapped(value), {}, []
    tools = 0
    if isinstance(given, dict) and not _is_message(given):
        request = {name: each for name, each in given.items() if name not in _ASKED}
        tools += len(items(request, "tools", "functions"))
        system = field(request, *_SYSTEMS) or field(field(request, "config"), *_SYSTEMS)
        if system is not None:
            parts = list(_parts_of(_listed_parts(system)))
            more = [{"role": "system", "parts": parts}] if parts else []
    turns, offered = _turns(given)
    return Asked([*more, *turns], request, tools + offered)


def _listed_parts(system: Any) -> Any:
    inner = field(system, "parts", "content") if isinstance(system, dict) else None
    return system if inner is None else inner


def _turns(given: Any, depth: int = 0) -> tuple[list[Message], int]:
    """The turns of what was asked, and how many definitions of tools stood among them."""
    if given is None or given == {} or given == []:
        return [], 0
    if isinstance(given, dict) and not _is_message(given) and depth < _DEEPEST:
        found = next((given[name] for name in _ASKED if given.get(name) not in (None, [])), None)
        if found is None and isinstance(given.get("kwargs"), dict):
            return _of_call(given, depth)
        if found is not None:
            return _turns(unwrapped(found), depth + 1)
    if isinstance(given, list) and depth < _DEEPEST:
        rows = [unwrapped(each) for each in given]
        if len(rows) and isinstance(rows[0], list):
            return _turns(rows[0], depth + 1)  # of several that were asked in one go
        if all(isinstance(each, str) or _is_message(each) for each in rows):
            return _of_messages(rows)
        return _turns(rows[0], depth + 1) if len(rows) == 1 else _of_text(text_of(given))
    if _is_message(given):
        return _of_messages([given])
    return _of_text(text_of(given))


def _of_text(said: str) -> tuple[list[Message], int]:
    return [{"role": "user", "parts": [part("text", content=said)]}], 0


def _of_call(given: dict[str, Any], depth: int) -> tuple[list[Message], int]:
    """What a function was called with, as a decorator notes it."""
    args, kwargs = given.get("args"), given["kwargs"]
    if not args and kwargs:
        return _turns(kwargs, depth + 1)
    if isinstance(args, list) and len(args) == 1 and not kwargs:
        return _turns(unwrapped(args[0]), depth + 1)
    return _of_text(text_of(given))


def _of_messages(rows: list[Any]) -> tuple[list[Message], int]:
    turns: list[Message] = []
    tools = 0
    for each in rows:
        if isinstance(each, str):
            turns.append({"role": "user", "parts": [part("text", content=each)]})
        elif _is_definition(each):
            tools += 1
        else:
            turns += _turns_of(each)
    return turns, tools


def _is_definition(message: Message) -> bool:
    """Whether it is a tool that was offered, which Langfuse keeps among what was said."""
    content = message.get("content")
    if message.get("role") != "tool" or not isinstance(content, dict):
        return False
    return text(content, "type") == "function" or "input_schema" in content


def unwrapped(value: Any) -> Any:
    """Return a message that stands in an envelope, or is a pair, as LangChain has them."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        role, content = value
        is_message = role in (*_LANGCHAIN, "user") and isinstance(content, (str, list))
        return {"role": _ROLES.get(role, role), "content": content} if is_message else value
    if not isinstance(value, dict):
        return value
    if value.get("lc") is not None and isinstance(value.get("kwargs"), dict):
        names = [each for each in items(value, "id") if isinstance(each, str)]
        return {"type": _kind_of(names[-1]), **value["kwargs"]} if names else value["kwargs"]
    if value.get("type") in _LANGCHAIN and isinstance(value.get("data"), dict):
        return {"type": value["type"], **value["data"]}
    return value


def _kind_of(name: str) -> str:
    return name.removesuffix("Chunk").removesuffix("Message").lower()


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    kind = text(value, "type") or ""
    if kind in _ITEMS:
        return True
    if isinstance(value.get("role"), str):
        return any(name in value for name in ("content", "parts", "tool_calls", "function_call"))
    return "content" in value and _kind_of(kind) in _LANGCHAIN


def _turns_of(message: Message) -> list[Message]:
    """A message; what tools gave are turns of their own."""
    if text(message, "role") is None and text(message, "type") in _ITEMS:
        return _openai.prompt_of({"input": [message]}).turns
    role = _role(message)
    if isinstance(message.get("parts"), list):
        return _of_parts(role, message)
    content = message.get("content")
    if role == "tool":
        return [_told(text(message, "tool_call_id", "name"), content, text(message, "name"))]
    parts = list(_parts_of(content))
    calls = list(_calls_of(message))
    if calls:
        parts = [each for each in parts if each["type"] != "tool_call"] + calls
    refusal = text(message, "refusal") or text(field(message, "additional_kwargs"), "refusal")
    if refusal and not any(each["type"] == "refusal" for each in parts):
        parts.append(part("refusal", content=refusal))
    return list(_divided(role, parts, text(message, "name")))


def _role(message: Message) -> str:
    said = text(message, "role") or _kind_of(text(message, "type") or "")
    return _ROLES.get(said.lower(), said) or "user"


def _divided(role: str, parts: list[Message], name: str | None) -> Iterator[Message]:
    given = [each for each in parts if each["type"] == "tool_call_response"]
    said = [each for each in parts if each["type"] != "tool_call_response"]
    for each in given:
        yield {"role": "tool", "parts": [each]}
    if said or not given:
        turn = {"role": role, "parts": said}
        yield {**turn, "name": name} if name and role != "assistant" else turn


def _told(call_id: str | None, content: Any, name: str | None) -> Message:
    parts = list(_parts_of(content))
    plain = all(each["type"] == "text" for each in parts)
    response: Any = "".join(each["content"] for each in parts) if plain else parts
    if isinstance(content, dict):
        response = content
    turn = {
        "role": "tool",
        "parts": [part("tool_call_response", id=call_id, response=response)],
    }
    return {**turn, "name": name} if name and call_id is None else turn


def _of_parts(role: str, message: Message) -> list[Message]:
    """A message with parts: of the OpenTelemetry conventions, or of Gemini."""
    parts = message["parts"]
    if any(not isinstance(each, dict) or not isinstance(each.get("type"), str) for each in parts):
        return _gemini.prompt_of({"contents": [{**message, "role": message.get("role")}]}).turns
    return list(_divided(role, [_conventional(each) for each in parts], None))


def _conventional(given: Message) -> Message:
    kind, content = given["type"], given.get("content")
    if kind in ("text", "reasoning", "refusal"):
        said = content if content is not None else given.get("text") or ""
        return part(kind, content=said if isinstance(said, str) else text_of(said))
    if kind == "tool_call":
        name, arguments = text(given, "name") or "", decoded(given.get("arguments"))
        return part(kind, id=text(given, "id"), name=name, arguments=arguments)
    if kind == "tool_call_response":
        response = field(given, "response", "result")
        return part(kind, id=text(given, "id"), response=response)
    return _part_of(given)


def _calls_of(message: Message) -> Iterator[Message]:
    more = field(message, "additional_kwargs")
    calls = items(message, "tool_calls") or items(more, "tool_calls")
    older = field(message, "function_call") or field(more, "function_call")
    if older is not None and not calls:
        calls = [{"function": older}]
    for call in [*calls, *items(message, "invalid_tool_calls")]:
        function = field(call, "function", "custom") or call
        arguments = field(function, "arguments", "args", "input")
        yield part(
            "tool_call",
            id=text(call, "id"),
            name=text(function, "name") or "",
            arguments=decoded(arguments),
        )


def _parts_of(content: Any) -> Iterator[Message]:
    if content is None:
        return
    blocks = content if isinstance(content, list) else [content]
    for block in blocks:
        if isinstance(block, str):
            if block or len(blocks) == 1:
                yield part("text", content=block)
        elif isinstance(block, dict):
            yield _part_of(block)
        elif block is not None:
            yield part("text", content=text_of(block))


def _part_of(block: Message) -> Message:
    kind = text(block, "type")
    if kind == "text" or (kind is None and isinstance(block.get("text"), str)):
        return part("text", content=text(block, "text") or "")
    if kind is None:
        return part("text", content=text_of(block))
    if kind in ("refusal", "reasoning"):
        told = [text(each, "text") or "" for each in items(block, "summary", "content")]
        said = text(block, kind, "content", "text") or "\n".join(told)
        return part(kind, content=said)
    if kind in _OF_OPENAI or (kind == "file" and isinstance(block.get("file"), dict)):
        return _first(_openai.prompt_of({"messages": [{"role": "user", "content": [block]}]}), kind)
    if kind in ("function_call", "function_response") and isinstance(block.get(kind), dict):
        return _of_gemini(kind, block[kind])
    if kind in _langchain.MEDIA and not isinstance(block.get("source"), dict):
        return _langchain.medium(kind, block)
    return _first(_anthropic.prompt_of({"messages": [{"role": "user", "content": [block]}]}), kind)


def _of_gemini(kind: str, told: Message) -> Message:
    """A call of a tool or its result, as LangSmith keeps them of Gemini."""
    name, call_id = text(told, "name") or "", text(told, "id")
    if kind == "function_call":
        arguments = decoded(field(told, "arguments", "args"))
        return part("tool_call", id=call_id, name=name, arguments=arguments)
    return part("tool_call_response", id=call_id or name, response=field(told, "response"))


def _first(prompt: Any, kind: str) -> Message:
    found = [each for turn in prompt.turns for each in turn["parts"]]
    return found[0] if found else part(kind)


def answer_in(value: Any) -> Answer:
    """Return what a value answers; tokens only where the value itself tells them."""
    given = unwrapped(value)
    answer = _answer(given, 0) or Answer()
    if answer.tokens is None:
        answer.tokens = tokens_in(given)
    return answer


def _answer(given: Any, depth: int) -> Answer | None:
    if given is None or given in ({}, []) or depth > _DEEPEST:
        return None
    if isinstance(given, list):
        return _of_list(given, depth)
    if not isinstance(given, dict):
        return choices_answer([Choice([part("text", content=text_of(given))])])
    if all(each in (None, {}, []) for each in given.values()):
        return None
    if isinstance(given.get("generations"), list):
        return _of_generations(given)
    if items(given, "choices"):
        return _openai.answer_of(given)
    if items(given, "candidates"):
        return _gemini.answer_of(given)
    if "stop_reason" in given and isinstance(given.get("content"), list):
        return _anthropic.answer_of(given)
    if text(given, "object") == "response" or _has_items(given):
        return _openai.answer_of(given)
    if _is_message(given):
        return _of_list([given], depth)
    if isinstance(given.get("messages"), list):
        return _of_list(_last_said(given["messages"]), depth)
    inner = [name for name in _ANSWERED if given.get(name) is not None]
    if len(inner) == 1 and (len(given) == 1 or inner[0] in ("message", "output")):
        return _answer(unwrapped(given[inner[0]]), depth + 1)
    return choices_answer([Choice([part("text", content=text_of(given))])])


def _has_items(given: Message) -> bool:
    rows = given.get("output")
    return isinstance(rows, list) and all(
        text(each, "type") in ("message", *_ITEMS) and _role(each) != "user" for each in rows
    )


def _last_said(rows: list[Any]) -> list[Any]:
    """What a model said last, at the end of a whole conversation."""
    said: list[Any] = []
    for each in reversed([unwrapped(row) for row in rows]):
        if not _is_message(each) or _role(each) != "assistant":
            break
        said.insert(0, each)
    return said


def _of_list(given: list[Any], depth: int) -> Answer | None:
    rows = [unwrapped(each) for each in given]
    if rows and isinstance(rows[0], list):
        return _answer(rows[0], depth + 1)
    if not rows or not all(_is_message(each) for each in rows):
        return choices_answer([Choice([part("text", content=text_of(given))])]) if given else None
    turns = [turn for each in rows for turn in _turns_of(each)]
    last = rows[-1]
    return _answer_of(
        [_choice([each for turn in turns for each in turn["parts"]], last)],
        last,
        tokens=next(filter(None, map(tokens_in, rows)), None),
    )


def _of_generations(given: Message) -> Answer:
    rows = given["generations"]
    generations = rows[0] if rows and isinstance(rows[0], list) else rows
    choices, first = [], None
    for each in generations:
        message = unwrapped(field(each, "message"))
        if isinstance(message, dict):
            first = first or message
            turns = _turns_of({"type": "ai", **message})
            parts = [each for turn in turns for each in turn["parts"]]
            choices.append(_choice(parts, message, field(each, "generation_info")))
        else:
            said = [part("text", content=text(each, "text") or "")]
            reason = text(field(each, "generation_info"), "finish_reason")
            choices.append(Choice(said, reason))
    output = field(given, "llm_output")
    tokens = tokens_in(first) or tokens_in(output)
    answer = _answer_of(choices, first or {}, tokens=tokens)
    answer.model = answer.model or text(output, "model_name", "model")
    return answer


def _choice(parts: list[Message], message: Message, info: Any = None) -> Choice:
    told = field(message, "response_metadata")
    reason = next(
        filter(
            None,
            (
                text(each, "finish_reason", "stop_reason", "done_reason", "status")
                for each in (told, info, message)
            ),
        ),
        None,
    )
    refusal = "".join(each["content"] for each in parts if each["type"] == "refusal")
    return Choice([each for each in parts if each["type"] != "refusal"], reason, refusal or None)


def _answer_of(choices: list[Choice], message: Message, tokens: dict[str, int] | None) -> Answer:
    told = field(message, "response_metadata")
    own = text(message, "id")
    return choices_answer(
        choices,
        tokens=tokens,
        model=text(told, "model_name", "model") or text(message, "model"),
        response_id=text(told, "id")
        or (None if own is None or own.startswith(("lc_", "run-", "lc_run")) else own),
    )


def tokens_in(value: Any) -> dict[str, int] | None:
    """Return the tokens that a value tells in the way of a provider or of LangChain."""
    told = field(value, "usage_metadata")
    if told is not None:
        return _langchain.tokens_of(told) or _gemini.tokens_of(told)
    metadata = field(value, "response_metadata")
    usage = field(value, "usage", "token_usage") or field(metadata, "usage", "token_usage")
    if not isinstance(usage, dict):
        return None
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        return _anthropic.tokens_of(usage)
    return _openai.tokens_of(usage)


def text_of(value: Any) -> str:
    """Return a value as a text: JSON where it is none."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "…"
