"""
What is asked and what is answered, whatever SDK it came from: an integration makes these.
"""

from __future__ import annotations

import asyncio
import math

from typing import Any

import msgspec

from ._fields import count, field, items, text


__all__ = [
    "Answer",
    "Choice",
    "Failure",
    "Prompt",
    "ToolCall",
    "ToolResult",
    "choices_answer",
    "failure_of",
    "is_cancelled",
    "outcome_of",
    "part",
]


class ToolCall(msgspec.Struct):
    """
    A tool that the model asks for.

    Attributes:
        name: The tool.
        call_id: The provider's id of the call.
        arguments: Decoded where they are JSON.
        server: Whether it runs at the provider's.
    """

    name: str
    call_id: str | None = None
    arguments: Any = None
    server: bool = False


class ToolResult(msgspec.Struct):
    """
    What a tool gave.

    Attributes:
        name: The tool; None where only the call's id is known.
        call_id: The provider's id of the call.
        result: Text, or a value of any kind.
        server: Whether it ran at the provider's.
        failed: Whether the tool says that it failed.
    """

    name: str | None = None
    call_id: str | None = None
    result: Any = None
    server: bool = False
    failed: bool = False


class Prompt(msgspec.Struct):
    """
    What is asked.

    Attributes:
        text: What the person wrote last.
        messages: `{"role": ..., "parts": [...]}` where the text alone would lose something.
        media: References to images, sound and files.
        tool_results: Results that are new with this request.
        turns: The whole request in order, the system prompt first, in the shape of *messages*:
            what of it is new is found by comparing it with what is on record.
    """

    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    media: list[dict[str, Any]] | None = None
    tool_results: list[ToolResult] = []
    turns: list[dict[str, Any]] = []


class Failure(msgspec.Struct):
    """
    Why a call failed.

    Attributes:
        type: The exception class that the application sees.
        message: In words.
        code: The provider's own word.
        status_code: Of HTTP.
        retry_after_s: When to try again, seconds.
        request_id: The provider's id of the request.
        outcome: `failed`, or how else it ended.
    """

    type: str
    message: str | None = None
    code: str | None = None
    status_code: int | None = None
    retry_after_s: float | None = None
    request_id: str | None = None
    outcome: str = "failed"


class Answer(msgspec.Struct):
    """
    What a model answered.

    Attributes:
        text: Of the first choice, reasoning left out.
        messages: The choices as `{"role": ..., "parts": [...]}`, where the text alone would lose
            something.
        media: References to images and sound in it.
        tool_calls: The tools that it asks for.
        tool_results: Results of tools that ran at the provider's.
        refusal: The words of a refusal.
        finish_reason: The provider's own word.
        outcome: completed, truncated, refused, filtered, closed_early, abandoned, cancelled, failed;
            None for one that is not there yet.
        model: The model that served.
        response_id: The provider's id of the answer.
        request_id: The provider's id of the request.
        tokens: As in `metrics.tokens`; None where the provider reports none.
        cost_usd: Where the provider reports it.
        failure: An answer that says itself that it failed.
        chunks: Pieces of a stream.
        time_to_first_token_ms: Of a stream.
        extensions: Further fields.
    """

    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    media: list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] = []
    tool_results: list[ToolResult] = []
    refusal: str | None = None
    finish_reason: str | None = None
    outcome: str | None = "completed"
    model: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    tokens: dict[str, int] | None = None
    cost_usd: float | None = None
    failure: Failure | None = None
    chunks: int | None = None
    time_to_first_token_ms: int | None = None
    extensions: dict[str, Any] = {}


def part(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a part of a message as the OpenTelemetry GenAI conventions have it."""
    return {"type": kind, **{name: value for name, value in fields.items() if value is not None}}


class Choice(msgspec.Struct):
    """
    One of the answers that a model gave to one prompt.

    Attributes:
        parts: What it consists of, in order.
        finish_reason: The provider's own word.
        refusal: The words of a refusal.
    """

    parts: list[dict[str, Any]] = []
    finish_reason: str | None = None
    refusal: str | None = None

    def text(self) -> str:
        """Return the text of all its text parts, joined; reasoning left out."""
        return "".join(each["content"] for each in self.parts if each["type"] == "text")

    def tool_calls(self) -> list[ToolCall]:
        """Return the tools it asks for, to be run by the application."""
        return [
            ToolCall(each["name"], each.get("id"), each.get("arguments"))
            for each in self.parts
            if each["type"] == "tool_call"
        ]


def choices_answer(choices: list[Choice], **fields: Any) -> Answer:
    """
    Return the answer that one or several choices make.

    Args:
        choices: In their order; the first one is `content.text`.
        fields: Of `Answer`, where they are not those of the first choice.
    """
    for choice in choices:
        choice.parts = _joined(choice.parts)
    first = choices[0] if choices else Choice()
    kept = any(each["type"] not in ("text", "tool_call") for c in choices for each in c.parts)
    messages = [
        {"role": "assistant", "parts": choice.parts, **_finish(choice)} for choice in choices
    ]
    found = {
        "text": first.text() if choices else None,
        "messages": messages if kept or len(choices) > 1 else None,
        "tool_calls": [call for choice in choices for call in choice.tool_calls()],
        "refusal": first.refusal,
        "finish_reason": first.finish_reason,
        "outcome": outcome_of(first.finish_reason, first.refusal),
    }
    return Answer(**{**found, **fields})


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts with neighbours that are the pieces of one text made one."""
    out: list[dict[str, Any]] = []
    for each in parts:
        kind = each["type"]
        piece = kind in ("text", "reasoning") and each.keys() == {"type", "content"}
        if piece and out and out[-1].keys() == each.keys() and out[-1]["type"] == kind:
            out[-1] = part(kind, content=out[-1]["content"] + each["content"])
        else:
            out.append(each)
    return out


def _finish(choice: Choice) -> dict[str, str]:
    return {} if choice.finish_reason is None else {"finish_reason": choice.finish_reason}


_OUTCOMES = {
    "truncated": (
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_messages",
        "model_context_window_exceeded",
        "incomplete",
    ),
    "refused": ("refusal",),
    "filtered": (
        "content_filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "language",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "model_armor",
        "jailbreak",
    ),
    "failed": ("failed", "malformed_function_call", "unexpected_tool_call", "image_other"),
    "cancelled": ("cancelled",),
}
_OUTCOME_OF = {word: outcome for outcome, words in _OUTCOMES.items() for word in words}


def outcome_of(finish_reason: str | None, refusal: str | None = None) -> str:
    """Return our word for how an answer ended, from the provider's own."""
    if refusal:
        return "refused"
    return _OUTCOME_OF.get((finish_reason or "").lower(), "completed")


def failure_of(error: BaseException) -> Failure:
    """Return what an exception of an SDK tells about a call that failed."""
    body = field(error, "body")
    inner = field(body, "error") or body
    code = field(error, "code")
    status = count(error, "status_code")
    if status is None and isinstance(code, int) and 100 <= code < 600:
        status = int(code)  # of an error within a stream too, which itself began well
    status = status or count(field(error, "response"), "status_code")
    word = code if isinstance(code, str) else text(field(error, "grpc_status_code"), "name")
    delay = _retry_after(field(field(error, "response"), "headers"))
    return Failure(
        type=type(error).__name__,
        message=_message(error),
        code=word or text(inner, "code", "type", "status") or text(error, "status"),
        status_code=status,
        retry_after_s=_retry_info(error) if delay is None else delay,
        request_id=text(error, "request_id"),
        outcome="cancelled" if is_cancelled(error) else "failed",
    )


def is_cancelled(error: BaseException) -> bool:
    """Return whether an exception says that a call is given up, by asyncio, trio or `close()`."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return True
    cls = type(error)
    return cls.__name__ == "Cancelled" and cls.__module__.partition(".")[0] == "trio"


def _message(error: BaseException) -> str | None:
    try:
        return text(error, "message") or str(error) or None
    except Exception:
        return None


def _retry_info(error: BaseException) -> float | None:
    """When to try again, as Google's errors tell it among their details."""
    details = items(field(field(error, "details"), "error"), "details")
    for delay in (text(each, "retry_delay") for each in details):
        try:
            seconds = float((delay or "").removesuffix("s"))
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _retry_after(headers: Any) -> float | None:
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / per_second
        except Exception:  # noqa: S112 -- not there, a date, or no headers at all
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None
