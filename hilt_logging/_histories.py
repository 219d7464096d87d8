"""
Which messages a conversation consists of, in a form in which they can be compared and digested.

A request repeats what was said before in the client's own words: as objects or dicts, a text or a
list of one, with or without what it need not send back. Two messages that say the same have one
line here.
"""

from __future__ import annotations

import hashlib

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from .snapshot import snapshot


__all__ = ["Line", "answer_line", "digest_of", "ends_of", "lines_of", "sha256_of", "systems_in"]

# of these a client need not send anything back, and they have events of their own
_LEFT_OUT = frozenset({"reasoning", "server_tool_call", "server_tool_call_response"})
_encode = msgspec.json.Encoder().encode


class Line(NamedTuple):
    """
    What one message says, in a form to compare.

    Attributes:
        line: Role and parts.
        end: How many messages there are up to it.
        is_answer: Whether a model said it.
    """

    line: bytes
    end: int
    is_answer: bool


def systems_in(messages: Sequence[dict[str, Any]]) -> int:
    """Return how many messages the system prompt has, which come first."""
    for index, message in enumerate(messages):
        if message["role"] not in ("system", "developer"):
            return index
    return len(messages)


def lines_of(messages: Sequence[dict[str, Any]]) -> list[Line]:
    """
    Return what messages say; those of a model in succession count as one.

    Args:
        messages: `{"role": ..., "parts": [...]}`.
    """
    out: list[Line] = []
    said: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            said = said + message["parts"] if said else message["parts"]
            if index + 1 == len(messages) or messages[index + 1]["role"] != "assistant":
                out.append(Line(answer_line(said), index + 1, True))
                said = []
        else:
            out.append(Line(_line(message), index + 1, False))
    return out


def digest_of(messages: Sequence[dict[str, Any]]) -> str:
    """Return the digest of messages as events have it, `sha256:<hex>`."""
    return f"sha256:{sha256_of(line.line for line in lines_of(messages)).hexdigest()}"


def ends_of(messages: Sequence[dict[str, Any]]) -> list[int]:
    """Return the `end` of each line that `lines_of` gives, without making the lines."""
    roles = [message["role"] for message in messages]
    return [
        end
        for end, role in enumerate(roles, 1)
        if role != "assistant" or end == len(roles) or roles[end] != "assistant"
    ]


def sha256_of(lines: Iterable[bytes]) -> hashlib._Hash:
    """Return the SHA-256 of lines, each with a newline at its end, to be gone on with."""
    return hashlib.sha256(b"".join([line + b"\n" for line in lines]))


def _line(message: dict[str, Any]) -> bytes:
    role, parts = message["role"], message["parts"]
    if len(message) == 2 and len(parts) == 1 and parts[0]["type"] == "text":
        return _encoded([role, [parts[0]["content"]] if parts[0]["content"] else []])
    told = [_told(part) for part in _joined(parts)]
    name = message.get("name")
    return _encoded([role, told] if name is None else [role, told, name])


def answer_line(parts: list[dict[str, Any]]) -> bytes:
    """
    Return the line of what a model said.

    The text comes first: an event of an answer does not tell where between calls it stood.
    """
    if len(parts) == 1 and parts[0]["type"] == "text":
        said, told = parts[0]["content"], []
    else:
        said = "".join([part["content"] for part in parts if part["type"] == "text"])
        told = [_told(part) for part in parts if part["type"] not in ("text", *_LEFT_OUT)]
    return _encoded(["assistant", [said, *told] if said else told])


def _joined(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    text = None
    for part in parts:
        kind = part["type"]
        if kind == "text":
            text = (text or "") + part["content"]
            continue
        if text:
            yield {"type": "text", "content": text}
        text = None
        if kind not in _LEFT_OUT:
            yield part
    if text:
        yield {"type": "text", "content": text}


def _told(part: dict[str, Any]) -> Any:
    kind = part["type"]
    if kind == "text":
        return part["content"]
    if kind == "tool_call":
        return [kind, part.get("id"), part.get("name"), part.get("arguments")]
    if kind == "tool_call_response":
        return [kind, part.get("id"), part.get("response")]
    return {name: value for name, value in part.items() if name != "data"}


def _encoded(told: Any) -> bytes:
    try:
        return _encode(told)
    except Exception:  # a foreign object, or a lone surrogate: as the event has it
        return _encode(snapshot(told))
