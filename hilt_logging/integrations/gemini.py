"""
Google Gemini: answers of google-genai, of google-generativeai and of the HTTP API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._answers import Answer, Choice, Prompt, ToolCall, ToolResult, choices_answer, part
from ._calls import Call, Recorder, safely
from ._fields import count, field, items, text, type_of
from ._media import media_of, reference


__all__ = ["answer_of", "log_gemini_interaction", "prompt_of"]

LOGGER = "hilt.gemini"


def log_gemini_interaction(
    session: Any = None,
    *,
    user_message: Any,
    response: Any,
    session_id: str | None = None,
    user_id: str | None = None,
    assistant_id: str | None = None,
) -> str | None:
    """
    Record what a person asked Gemini and what it answered.

    Args:
        session: Anything with `append(event)`; the logger `hilt.gemini` has the events in any case.
        user_message: What the person asked: a text, or what `contents` may be.
        response: A response, a dict of one in snake_case or camelCase, or a list of the pieces of
            a stream.
        session_id: The conversation; by default what is bound, else a new one.
        user_id: The person.
        assistant_id: The agent; the model by default.

    Returns:
        The `event_id` of the completion, e.g. for a feedback on it.
    """
    call = Call(
        Recorder(LOGGER, session),
        provider="gemini",
        session_id=session_id,
        user_id=user_id,
        assistant_id=assistant_id,
        timed=False,
    )
    call.asked(safely(prompt_of, {"contents": user_message}, Prompt()))
    call.answered(safely(answer_of, response, Answer()))
    return call.completion_id


def prompt_of(request: Mapping[str, Any]) -> Prompt:
    """Return what a request asks: `contents`, and the system instruction of its `config`."""
    contents = field(request, "contents")
    turns = contents if isinstance(contents, (list, tuple)) else [contents]
    messages = [_message(turn) for turn in turns if turn is not None]
    if turns and all(field(turn, "parts") is None for turn in turns):  # parts of one message
        messages = [{"role": "user", "parts": [p for m in messages for p in m["parts"]]}]
    instruction = field(field(request, "config") or request, "system_instruction")
    if instruction is not None:
        messages.insert(0, {**_message(instruction), "role": "system"})
    said = [Choice(message["parts"]).text() for message in messages if message["role"] == "user"]
    plain = len(messages) == 1 and all(each["type"] == "text" for each in messages[0]["parts"])
    return Prompt(
        text=said[-1] if said else None,
        messages=None if plain or not messages else messages,
        media=media_of(messages) or None,
        tool_results=_new_results(turns),
    )


def _message(turn: Any) -> dict[str, Any]:
    if field(turn, "parts") is None:
        return {"role": "user", "parts": _parts([turn])}
    role = text(turn, "role") or "user"
    parts = _parts(items(turn, "parts"))
    if any(each["type"] == "tool_call_response" for each in parts):
        role = "tool"
    return {"role": "assistant" if role == "model" else role, "parts": parts}


def _parts(given: list[Any]) -> list[dict[str, Any]]:
    found = [_part(each) for each in given]
    return [each for each in found if each is not None]


def _part(given: Any) -> dict[str, Any] | None:
    if isinstance(given, str):
        return part("text", content=given)
    call = field(given, "function_call")
    if call:
        arguments = _plain(field(call, "args"))
        return part(
            "tool_call",
            id=text(call, "id"),
            name=text(call, "name") or "",
            arguments={} if arguments is None else arguments,
        )
    response = field(given, "function_response")
    if response:
        told = _plain(field(response, "response"))
        name, call_id = text(response, "name"), text(response, "id")
        return part("tool_call_response", id=call_id, name=name, response=told)
    said = text(given, "text")
    medium = _medium(given)
    if medium is not None and not said:
        return medium
    if field(given, "executable_code") or field(given, "code_execution_result"):
        return None  # have events of their own
    if said is None:
        return part("unknown")
    return part("reasoning" if field(given, "thought") is True else "text", content=said)


def _medium(given: Any) -> dict[str, Any] | None:
    inline, file = field(given, "inline_data"), field(given, "file_data")
    source = inline or file
    if not source or not (field(source, "data") or text(source, "file_uri")):
        return None
    mime_type = text(source, "mime_type") or None
    kind = (mime_type or "").partition("/")[0]
    return reference(
        kind if kind in ("image", "audio", "video") else "file",
        mime_type=mime_type,
        uri=text(source, "file_uri"),
        data=field(source, "data"),
    )


def _plain(value: Any) -> Any:
    """Maps and lists of google-generativeai's protocol buffers as dicts and lists."""
    if value is None or isinstance(value, (str, int, float, bool, dict, list)):
        return value
    if isinstance(value, Mapping) or hasattr(value, "keys"):
        return {str(name): _plain(value[name]) for name in value.keys()}  # noqa: SIM118
    try:
        return [_plain(value[index]) for index in range(len(value))]
    except TypeError:
        return value


def _new_results(turns: Any) -> list[ToolResult]:
    """The results since the model spoke last."""
    found: list[ToolResult] = []
    for turn in reversed(turns):
        if text(turn, "role") == "model":
            break
        parts = _parts(items(turn, "parts")) if field(turn, "parts") is not None else _parts([turn])
        new = [each for each in parts if each["type"] == "tool_call_response"]
        found[:0] = [ToolResult(r.get("name"), r.get("id"), r.get("response")) for r in new]
    return found


def answer_of(response: Any) -> Answer:
    """Return what a response says, whatever SDK, version or form it is of."""
    if isinstance(response, (list, tuple)):
        fold = ResponseChunks()
        for chunk in response:
            fold.add(chunk)
        return fold.answer()
    if isinstance(response, str):
        return choices_answer([Choice([part("text", content=response)])])
    feedback = field(response, "prompt_feedback")
    usage = field(response, "usage_metadata")
    candidates = items(response, "candidates")
    fields = {
        "tokens": tokens_of(usage),
        "model": text(response, "model_version") or None,
        "response_id": text(response, "response_id") or None,
    }
    blocked = _word(feedback, "block_reason")
    if blocked and not candidates:
        return choices_answer([], finish_reason=blocked, outcome="filtered", **fields)
    if not candidates and usage is None and field(response, "response_id") is None:
        unknown = {"unrecognised_response": type_of(response)}
        return choices_answer([], extensions=unknown, **fields)
    answer = choices_answer([_choice(candidate) for candidate in candidates], **fields)
    for candidate in candidates:
        _add_server_tools(answer, items(field(candidate, "content"), "parts"))
    return answer


def _choice(candidate: Any) -> Choice:
    parts = _parts(items(field(candidate, "content"), "parts"))
    return Choice(parts, _word(candidate, "finish_reason"))


_UNSPECIFIED = (
    "FINISH_REASON_UNSPECIFIED",
    "BLOCK_REASON_UNSPECIFIED",
    "BLOCKED_REASON_UNSPECIFIED",
)


# as numbered by the API; `to_dict()` of google-generativeai has the numbers
_FINISH_REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
)


def _word(source: Any, name: str) -> str | None:
    """The name of an enum: a string of google-genai, a number with a name of google-generativeai."""
    value = field(source, name)
    word = text(source, name) or getattr(value, "name", None)
    if word is None and name == "finish_reason" and type(value) is int:
        word = _FINISH_REASONS[value] if value < len(_FINISH_REASONS) else str(value)
    if not isinstance(word, str) or word in _UNSPECIFIED:
        return None
    return word


def _add_server_tools(answer: Answer, parts: list[Any]) -> None:
    """Code that ran at Google's: a call, and the result that follows it."""
    for each in parts:
        code, result = field(each, "executable_code"), field(each, "code_execution_result")
        if code:
            arguments = {"language": _word(code, "language"), "code": text(code, "code")}
            answer.tool_calls.append(
                ToolCall("code_execution", text(code, "id"), arguments, server=True)
            )
        elif result:
            failed = _word(result, "outcome") not in (None, "OUTCOME_OK")
            answer.tool_results.append(
                ToolResult(
                    "code_execution", text(result, "id"), text(result, "output"), True, failed
                )
            )


def tokens_of(usage: Any) -> dict[str, int] | None:
    """
    Return the tokens of a usage object, normalised; None where it reports none.

    Gemini counts thoughts apart from candidates, and tool-use prompts apart from the prompt:
    `prompt` is promptTokenCount + toolUsePromptTokenCount, `completion` is candidatesTokenCount +
    thoughtsTokenCount.
    """
    asked = count(usage, "prompt_token_count")
    said = count(usage, "candidates_token_count")
    if asked is None and said is None:
        return None
    thoughts = count(usage, "thoughts_token_count") or 0
    prompt = (asked or 0) + (count(usage, "tool_use_prompt_token_count") or 0)
    completion = (said or 0) + thoughts
    parts = {
        "cached": count(usage, "cached_content_token_count"),
        "reasoning": thoughts,
        "audio_prompt": _audio(usage, "prompt_tokens_details"),
        "audio_completion": _audio(usage, "candidates_tokens_details"),
    }
    whole = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return whole | {name: number for name, number in parts.items() if number}


def _audio(usage: Any, name: str) -> int:
    return sum(
        count(each, "token_count") or 0
        for each in items(usage, name)
        if _word(each, "modality") == "AUDIO"
    )


class ResponseChunks:
    """The pieces of a streamed response, put together; usage is cumulative, the last one counts."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}
        self._parts: dict[int, list[Any]] = {}
        self._reasons: dict[int, Any] = {}

    def add(self, chunk: Any) -> str:
        """Take one piece; return the text that it adds to the first candidate."""
        for name in ("usage_metadata", "model_version", "response_id", "prompt_feedback"):
            value = field(chunk, name)
            if value is not None:
                self._whole[name] = value
        said = ""
        for candidate in items(chunk, "candidates"):
            index = count(candidate, "index") or 0
            parts = items(field(candidate, "content"), "parts")
            self._parts.setdefault(index, []).extend(parts)
            self._reasons[index] = _word(candidate, "finish_reason") or self._reasons.get(index)
            said += Choice(_parts(parts)).text() if index == 0 else ""
        return said

    def answer(self) -> Answer:
        """Return what has come so far."""
        candidates = [
            {"content": {"parts": parts}, "finish_reason": self._reasons.get(index)}
            for index, parts in sorted(self._parts.items())
        ]
        return answer_of({**self._whole, "candidates": candidates})
