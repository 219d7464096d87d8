"""
What OpenAI's requests, answers and streams say, in the words of the format.
"""

from __future__ import annotations

import base64

from collections.abc import Mapping
from typing import Any

from ._answers import (
    Answer,
    Choice,
    Failure,
    Prompt,
    ToolCall,
    ToolResult,
    choices_answer,
    outcome_of,
    part,
)
from ._calls import safely
from ._fields import count, decoded, field, items, text, type_of
from ._media import reference
from ._prompts import prompt_from


__all__ = [
    "ChatChunks",
    "ResponseEvents",
    "answer_of",
    "inputs_of",
    "named_session",
    "params_of",
    "parsed",
    "prompt_of",
    "tokens_of",
]

_PARAMS = frozenset(
    (
        "frequency_penalty",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "temperature",
        "tool_choice",
        "top_p",
        "verbosity",
    )
)


def params_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that are on record."""
    return {
        name: request[name] for name in request if name in _PARAMS and request[name] is not None
    }


def parsed(response: Any) -> Any:
    """Return what a raw response holds, which it parses once; anything else as it is."""
    return response.parse() if type(response).__name__ == "LegacyAPIResponse" else response


def named_session(request: Mapping[str, Any]) -> str | None:
    """Return the conversation that a request names."""
    conversation, metadata = request.get("conversation"), request.get("metadata")
    if conversation is None and metadata is None:
        return None
    named = conversation if isinstance(conversation, str) else text(conversation, "id")
    return named or text(metadata, "session_id") or None


def prompt_of(request: Mapping[str, Any]) -> Prompt:
    """Return what the body of a request asks: `messages`, `input` or `prompt`."""
    given = request.get("messages", request.get("input", request.get("prompt")))
    turns = (
        [{"role": "user", "content": given}]
        if isinstance(given, str)
        else items(request, "messages", "input") or _prompts(request)
    )
    messages = [_message(turn) for turn in turns]
    instructions = text(request, "instructions") if "instructions" in request else None
    if instructions:
        messages.insert(0, {"role": "system", "parts": [part("text", content=instructions)]})
    return prompt_from(messages, _new_results(turns))


def _prompts(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Several texts that are to be completed in one request."""
    given = [each for each in items(request, "prompt") if isinstance(each, str)]
    return [{"role": "user", "content": each} for each in given]


def inputs_of(request: Mapping[str, Any]) -> Prompt:
    """Return the texts that a request has embedded; tokens of a text are not texts."""
    given = request.get("input")
    said = [given] if isinstance(given, str) else items(request, "input")
    texts = [each for each in said if isinstance(each, str)]
    parts = [part("text", content=each) for each in texts]
    messages = [{"role": "user", "parts": parts}] if len(texts) > 1 else None
    return Prompt(text=texts[0] if texts else None, messages=messages)


def _message(turn: Any) -> dict[str, Any]:
    """A message, or an item of the Responses API, in the shape of the GenAI conventions."""
    if type(turn) is dict and len(turn) == 2:
        role, content = turn.get("role"), turn.get("content")
        if type(content) is str and role in _PLAIN_ROLES:
            return {"role": role, "parts": [{"type": "text", "content": content}]}
    role = text(turn, "role")
    if role is None:
        item = _item(turn)
        if item is not None:
            return item
    if role in ("tool", "function"):
        return _told(_result(turn))
    parts = _parts(field(turn, "content"))
    refusal = text(turn, "refusal")
    if refusal:
        parts.append(part("refusal", content=refusal))
    parts += [_chat_call(call) for call in items(turn, "tool_calls")]
    name = text(turn, "name")
    message = {"role": role or "user", "parts": parts}
    return message if name is None else {**message, "name": name}


_PLAIN_ROLES = ("user", "assistant", "system", "developer")


def _item(item: Any) -> dict[str, Any] | None:
    """An item of the Responses API that is no message."""
    result = _result(item)
    if result is not None:
        return _told(result)
    kind = text(item, "type") or ""
    if kind in ("function_call", "custom_tool_call"):
        return {"role": "assistant", "parts": [_item_call(item)]}
    if kind == "reasoning":
        return {"role": "assistant", "parts": _reasoning(item)}
    if kind.endswith("_call"):
        name = text(item, "name") or kind.removesuffix("_call")
        return {"role": "assistant", "parts": [part("server_tool_call", name=name)]}
    return None


def _told(result: ToolResult | None) -> dict[str, Any]:
    told = result or ToolResult()
    response = part("tool_call_response", id=told.call_id, response=told.result)
    return {"role": "tool", "parts": [response]}


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [part("text", content=content)]
    return [_part(block) for block in items({"content": content}, "content")]


_BY_URL = {
    "image_url": "image",
    "input_image": "image",
    "video_url": "video",
    "audio_url": "audio",
}


def _part(block: Any) -> dict[str, Any]:
    if isinstance(block, str):
        return part("text", content=block)
    kind = text(block, "type") or ""
    if kind in ("text", "input_text", "output_text"):
        return part("text", content=text(block, "text") or "")
    if kind == "refusal":
        return part("refusal", content=text(block, "refusal") or "")
    if kind == "thinking":  # as Mistral has it
        return part("reasoning", content=_joined_text(field(block, "thinking")))
    if kind in _BY_URL:
        url = field(block, kind.replace("input_image", "image_url"))
        return reference(
            _BY_URL[kind],
            uri=url if isinstance(url, str) else text(url, "url"),
            file_id=text(block, "file_id"),
        )
    if kind == "input_audio":
        audio = field(block, "input_audio")
        form = text(audio, "format")
        return reference("audio", mime_type=form and f"audio/{form}", data=text(audio, "data"))
    if kind in ("file", "input_file"):
        file = field(block, "file") or block
        data = text(file, "file_data")
        return reference("file", uri=data or text(file, "file_url"), file_id=text(file, "file_id"))
    return part(kind or "unknown", content=text(block, "text"))


def _joined_text(content: Any) -> str:
    return "".join(each.get("content", "") for each in _parts(content))


def _new_results(turns: list[Any]) -> list[ToolResult]:
    """The results since the model spoke last: earlier ones were new in an earlier request."""
    found: list[ToolResult] = []
    for turn in reversed(turns):
        if type(turn) is dict and turn.get("role") in ("user", "system", "developer"):
            continue
        result = _result(turn)
        if result is not None:
            found.insert(0, result)
        elif text(turn, "role") == "assistant" or text(turn, "type") in _MODELS_ITEMS:
            break
    return found


_MODELS_ITEMS = ("function_call", "custom_tool_call", "reasoning")


def _result(turn: Any) -> ToolResult | None:
    if text(turn, "role") in ("tool", "function"):
        said = _joined_text(field(turn, "content"))
        return ToolResult(text(turn, "name"), text(turn, "tool_call_id"), said)
    if text(turn, "type") in ("function_call_output", "custom_tool_call_output"):
        return ToolResult(None, text(turn, "call_id"), _output(field(turn, "output")))
    return None


def _output(given: Any) -> Any:
    """What a tool gave: text, or parts, of which media are referred to as elsewhere."""
    is_parts = isinstance(given, list) and all(text(each, "type") for each in given)
    return _parts(given) if is_parts and given else given


def answer_of(response: Any) -> Answer:
    """Return what a response says, whatever API, version or form it is of."""
    if isinstance(response, (list, tuple)):
        return _folded(response)
    response = parsed(response)
    if isinstance(response, str):
        return choices_answer([Choice([part("text", content=response)])])
    plain = _plain_answer(response)
    if plain is not None:
        return plain
    if items(response, "choices"):
        return _chat_answer(response)
    if text(response, "object") == "response" or items(response, "output"):
        return _response_answer(response)
    tokens, unknown = tokens_of(field(response, "usage")), type_of(response)
    return choices_answer(
        [], tokens=tokens, extensions={"unrecognised_response": unknown}, **_ids(response)
    )


def _plain_answer(response: Any) -> Answer | None:
    """The answer of a chat completion of the SDK's that is one text, as most are; else None."""
    try:
        (choice,) = response.choices
        message, usage, reason = choice.message, response.usage, choice.finish_reason
        content = message.content
        if (
            type(content) is not str
            or type(reason) is not str
            or message.tool_calls
            or message.refusal
            or message.audio
            or message.function_call
            or message.__pydantic_extra__
            or usage.__pydantic_extra__
        ):
            return None
        return Answer(
            text=content,
            finish_reason=reason,
            outcome=outcome_of(reason),
            model=response.model,
            response_id=response.id,
            request_id=response._request_id,
            tokens=_plain_tokens(usage),
        )
    except (AttributeError, TypeError, ValueError):
        return None


def _plain_tokens(usage: Any) -> dict[str, int] | None:
    """The tokens of the SDK's own usage of a chat completion."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if type(prompt) is not int or type(completion) is not int or prompt < 0 or completion < 0:
        return tokens_of(usage)
    tokens = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    into, out = usage.prompt_tokens_details, usage.completion_tokens_details
    parts: tuple[Any, ...] = ()
    if into is not None:
        known = into.__dict__.get
        cached, written = known("cached_tokens"), known("cache_write_tokens")
        spoken = known("audio_tokens")
        if cached or written or spoken:
            parts = ("cached", cached), ("cache_write", written), ("audio_prompt", spoken)
    if out is not None:
        known = out.__dict__.get
        reasoned, spoken = known("reasoning_tokens"), known("audio_tokens")
        if reasoned or spoken:
            parts = (*parts, ("reasoning", reasoned), ("audio_completion", spoken))
    for name, number in parts:
        if number:
            if type(number) is not int or number < 0:
                return tokens_of(usage)
            tokens[name] = number
    return tokens


def _ids(response: Any) -> dict[str, str | None]:
    return {
        "model": text(response, "model"),
        "response_id": text(response, "id"),
        "request_id": text(response, "_request_id"),
    }


def _chat_answer(response: Any) -> Answer:
    choices = items(response, "choices")
    ordered = sorted(choices, key=lambda choice: count(choice, "index") or 0)
    usage = field(response, "usage")
    cost = field(usage, "cost")  # OpenRouter tells it
    return choices_answer(
        [_choice(choice) for choice in ordered],
        tokens=tokens_of(usage),
        cost_usd=float(cost) if type(cost) in (int, float) else None,
        **_ids(response),
    )


def _choice(choice: Any) -> Choice:
    message = field(choice, "message")
    finish_reason = text(choice, "finish_reason")
    if message is None:  # of the old completions
        said = [part("text", content=text(choice, "text") or "")]
        return Choice(said, finish_reason)
    reasoning = text(message, "reasoning_content", "reasoning")
    parts = [part("reasoning", content=reasoning)] if reasoning else []
    parts += _parts(field(message, "content"))
    audio = field(message, "audio")
    if audio is not None:
        parts.append(part("text", content=text(audio, "transcript") or ""))
        parts.append(reference("audio", data=field(audio, "data")))
    parts += [_chat_call(call) for call in items(message, "tool_calls")]
    older = field(message, "function_call")
    if older is not None:
        parts.append(_chat_call({"function": older}))
    return Choice(parts, finish_reason, text(message, "refusal"))


def _chat_call(call: Any) -> dict[str, Any]:
    function = field(call, "function") or field(call, "custom")
    arguments = field(function, "arguments")
    given = decoded(arguments) if arguments is not None else field(function, "input")
    return part(
        "tool_call", id=text(call, "id"), name=text(function, "name") or "", arguments=given
    )


def _item_call(item: Any) -> dict[str, Any]:
    arguments = field(item, "arguments")
    given = decoded(arguments) if arguments is not None else field(item, "input")
    return part(
        "tool_call", id=text(item, "call_id"), name=text(item, "name") or "", arguments=given
    )


def _response_answer(response: Any) -> Answer:
    parts: list[dict[str, Any]] = []
    server_calls: list[ToolCall] = []
    server_results: list[ToolResult] = []
    for item in items(response, "output"):
        kind = text(item, "type") or ""
        if kind == "message":
            parts += _parts(field(item, "content"))
        elif kind in ("function_call", "custom_tool_call"):
            parts.append(_item_call(item))
        elif kind == "reasoning":
            parts += _reasoning(item)
        elif kind.endswith("_call"):
            call, result = _server_tool(kind, item)
            server_calls.append(call)
            server_results += result
    refusal = "".join(each["content"] for each in parts if each["type"] == "refusal") or None
    parts = [each for each in parts if each["type"] != "refusal"]
    status = text(response, "status")
    reason = text(field(response, "incomplete_details"), "reason") or status
    answer = choices_answer(
        [Choice(parts, reason, refusal)],
        tokens=tokens_of(field(response, "usage")),
        tool_results=server_results,
        outcome=outcome_of(reason, refusal),
        failure=_said_failure(response) if status == "failed" else None,
        **_ids(response),
    )
    answer.tool_calls = [*server_calls, *answer.tool_calls]
    return answer


def _reasoning(item: Any) -> list[dict[str, Any]]:
    told = items(item, "content") or items(item, "summary")
    said = [text(each, "text") for each in told]
    return [part("reasoning", content=each) for each in said if each]


_SERVER_RESULTS = ("results", "result", "outputs", "output", "error")
_SERVER_ARGUMENTS = ("arguments", "action", "queries", "query", "code", "input")


def _server_tool(kind: str, item: Any) -> tuple[ToolCall, list[ToolResult]]:
    """A tool that ran at the provider's; computer and shell calls wait for the application."""
    name = text(item, "name") or kind.removesuffix("_call")
    runs_here = kind in ("computer_call", "local_shell_call", "shell_call", "apply_patch_call")
    call_id = text(item, "call_id", "id")
    call = ToolCall(name, call_id, decoded(field(item, *_SERVER_ARGUMENTS)), not runs_here)
    result = field(item, *_SERVER_RESULTS)
    if kind == "image_generation_call" and isinstance(result, str):
        result = reference("image", data=result)
    if result is None or runs_here:
        return call, []
    failed = text(item, "status") in ("failed", "incomplete")
    return call, [ToolResult(name, call_id, result, True, failed)]


def _said_failure(response: Any) -> Failure:
    error = field(response, "error")
    code = text(error, "code")
    return Failure(type=code or "failed", code=code, message=text(error, "message"))


def tokens_of(usage: Any) -> dict[str, int] | None:
    """Return the tokens of a usage object, normalised; None where it reports none."""
    prompt = count(usage, "prompt_tokens", "input_tokens")
    completion = count(usage, "completion_tokens", "output_tokens")
    if prompt is None and completion is None:
        return None
    into = field(usage, "prompt_tokens_details", "input_tokens_details")
    out = field(usage, "completion_tokens_details", "output_tokens_details")
    parts = {
        "cached": count(into, "cached_tokens"),
        "cache_write": count(into, "cache_write_tokens"),
        "reasoning": count(out, "reasoning_tokens"),
        "audio_prompt": count(into, "audio_tokens"),
        "audio_completion": count(out, "audio_tokens"),
    }
    prompt, completion = prompt or 0, completion or 0
    whole = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return whole | {name: number for name, number in parts.items() if number}


def _folded(pieces: Any) -> Answer:
    first = next(iter(pieces), None)
    fold = ChatChunks() if items(first, "choices") or field(first, "usage") else ResponseEvents()
    for piece in pieces:
        fold.add(piece)
    return fold.answer()


class _ChoiceSoFar:
    """One choice of a streamed chat completion, as far as it has come."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.transcript: list[str] = []
        self.sound: list[bytes] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.places: dict[int, int] = {}
        self.finish_reason: str | None = None

    def add(self, choice: Any) -> str:
        """Take what a piece adds; return the text of it."""
        self.finish_reason = text(choice, "finish_reason") or self.finish_reason
        delta = field(choice, "delta")
        said = text(delta, "content") or text(choice, "text") or ""
        self.content.append(said)
        if not said:
            said = self._add_parts(items(delta, "content"))
        self.reasoning.append(text(delta, "reasoning_content", "reasoning") or "")
        self.refusal.append(text(delta, "refusal") or "")
        audio = field(delta, "audio")
        if audio is not None:
            said += text(audio, "transcript") or ""
            self.transcript.append(text(audio, "transcript") or "")
            self.sound.append(base64.b64decode(text(audio, "data") or ""))
        for position, call in enumerate(items(delta, "tool_calls")):
            self._add_call(self._place_of(call, position), call)
        older = field(delta, "function_call")
        if older is not None:
            self._add_call(0, {"function": older})
        return said

    def _add_parts(self, parts: list[Any]) -> str:
        """Take content that comes in parts, as Mistral's does; return the text of it."""
        told = [_part(each) for each in parts]
        self.reasoning += [each["content"] for each in told if each["type"] == "reasoning"]
        said = [each["content"] for each in told if each["type"] == "text"]
        self.content += said
        return "".join(said)

    def said(self) -> str:
        """Return its text."""
        try:
            return "".join(self.content)
        except TypeError:  # among many pieces that were taken at once one is no text
            given, self.content = self.content, []
            for each in given:
                if isinstance(each, str):
                    self.content.append(each)
                else:
                    self._add_parts(items({"content": each}, "content"))
            return "".join(self.content)

    def _place_of(self, call: Any, position: int) -> int:
        """Which call a piece belongs to: some servers tell no index, or the same for all calls."""
        index = count(call, "index")
        told = ~position if index is None else index
        place = self.places.get(told)
        if place is None or self._begins(call, self.calls[place], index):
            is_free = told >= 0 and told not in self.calls
            self.places[told] = place = told if is_free else max(self.calls, default=-1) + 1
        return place

    @staticmethod
    def _begins(call: Any, known: dict[str, Any], index: int | None) -> bool:
        """Whether a piece is the first one of another call."""
        call_id, name = text(call, "id"), text(field(call, "function", "custom"), "name")
        if not name:
            return False
        is_other = bool(call_id and known["id"] and call_id != known["id"])
        return is_other or (index is None and call_id == known["id"] is None)

    def _add_call(self, index: int, call: Any) -> None:
        known = self.calls.setdefault(index, {"id": None, "name": "", "arguments": []})
        function = field(call, "function") or field(call, "custom")
        known["id"] = text(call, "id") or known["id"]
        known["name"] += text(function, "name") or ""
        known["arguments"].append(text(function, "arguments", "input") or "")

    def message(self) -> dict[str, Any]:
        """Return it as the message that a call without a stream would have given."""
        audio = {"transcript": "".join(self.transcript), "data": b"".join(self.sound)}
        return {
            "content": self.said(),
            "reasoning": "".join(self.reasoning) or None,
            "refusal": "".join(self.refusal) or None,
            "audio": audio if self.sound else None,
            "tool_calls": [
                {
                    "id": each["id"],
                    "function": {**each, "arguments": "".join(each["arguments"])},
                }
                for _, each in sorted(self.calls.items())
            ],
        }


class ChatChunks:
    """The pieces of a streamed chat completion, put together."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._whole: dict[str, Any] = {"choices": []}

    def add(self, chunk: Any) -> str:
        """Take one piece; return the text that it adds to the first choice."""
        for name in ("id", "model", "usage"):
            self._whole[name] = field(chunk, name) or self._whole.get(name)
        said = ""
        for choice in items(chunk, "choices"):
            index = count(choice, "index") or 0
            known = self._choices.setdefault(index, _ChoiceSoFar())
            piece = known.add(choice)
            said += piece if index == 0 else ""
        return said

    def add_all(self, chunks: list[Any]) -> None:
        """Take pieces of which most are the SDK's and have nothing but text of the first choice."""
        take = self._choices.setdefault(0, _ChoiceSoFar()).content.append
        for chunk in chunks:
            try:
                (choice,) = chunk.choices
                delta = choice.delta
                if (
                    delta.__pydantic_fields_set__ <= _TEXT_ALONE
                    and not delta.__pydantic_extra__
                    and choice.finish_reason is None
                    and choice.index == 0
                    and chunk.usage is None
                ):
                    take(delta.content or "")
                    continue
            except (AttributeError, ValueError, TypeError):
                pass  # of another form, or without a choice
            safely(self.add, chunk, "")

    def answer(self) -> Answer:
        """Return what has come so far."""
        plain = self._plain_answer()
        if plain is not None:
            return plain
        self._whole["choices"] = [
            {"index": index, "finish_reason": known.finish_reason, "message": known.message()}
            for index, known in self._choices.items()
        ]
        return _chat_answer(self._whole)

    def _plain_answer(self) -> Answer | None:
        """The answer that is one text, as most are; else None."""
        if self._choices.keys() != {0}:
            return None
        only, whole = self._choices[0], self._whole
        model, response_id, reason = whole.get("model"), whole.get("id"), only.finish_reason
        said = only.said()
        if (
            not said
            or only.calls
            or only.transcript
            or any(only.reasoning)
            or any(only.refusal)
            or field(whole.get("usage"), "cost") is not None
            or not type(model) is type(response_id) is str
        ):
            return None
        return Answer(
            text=said,
            finish_reason=reason,
            outcome=outcome_of(reason),
            model=model,
            response_id=response_id,
            tokens=tokens_of(whole.get("usage")),
        )


_TEXT_ALONE = frozenset({"content", "role"})


class ResponseEvents:
    """The events of a streamed response; the last one has it whole."""

    def __init__(self) -> None:
        self._response: Any = None
        self._ended = False
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._items: list[Any] = []
        self._failure: Failure | None = None

    def add_all(self, events: list[Any]) -> None:
        """Take events of which most are the SDK's and add a piece of text."""
        take = self._texts.append
        for event in events:
            try:
                if event.type == "response.output_text.delta":
                    take(event.delta)
                    continue
            except AttributeError:
                pass  # a dict
            safely(self.add, event, "")

    def add(self, event: Any) -> str:
        """Take one event; return the text that it adds."""
        kind = text(event, "type") or ""
        whole = field(event, "response")
        if whole is not None:
            self._response = whole
            self._ended = kind in (
                "response.completed",
                "response.incomplete",
                "response.failed",
            )
        delta = text(event, "delta") or ""
        if kind == "response.output_text.delta":
            self._texts.append(delta)
            return delta
        if kind == "response.refusal.delta":
            self._refusals.append(delta)
        elif kind == "response.output_item.done":
            self._items.append(field(event, "item"))
        elif kind == "error":  # is handed to the caller as an event; nothing is raised
            self._failure = _said_failure({"error": event})
        return ""

    def answer(self) -> Answer:
        """Return the whole response, or what has come so far."""
        if self._ended:
            return _response_answer(self._response)
        calls = [_item_call(i) for i in self._items if text(i, "type") in _MODELS_ITEMS[:2]]
        said = [part("text", content="".join(self._texts)), *calls]
        refusal = "".join(self._refusals) or None
        outcome = "completed" if self._failure is None else "failed"
        return choices_answer(
            [Choice(said, None, refusal)],
            outcome="refused" if refusal else outcome,
            failure=self._failure,
            **_ids(self._response),
        )
