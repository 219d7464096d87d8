"""
What a report shows of a conversation: of bounded size, and with what stands in for what can't be shown.
"""

from __future__ import annotations

import itertools

from collections.abc import Iterator
from typing import Any

import msgspec

from ._entries import Conversation, Entry, details_of, parts_of, words_for
from ._page import counted, ms, usd


__all__ = ["MOST_CHARACTERS", "MOST_ENTRIES", "Part", "Shown", "Told", "told"]

MOST_ENTRIES = 400
MOST_CHARACTERS = 20_000
"""How much of one text is shown."""

_MOST_PARTS = 50
_MOST_INDENTED = 2_000

_WHO = {"completion": "assistant", "unfinished": "unfinished answer"}
_PLAIN = ("text", "reasoning", "refusal")


class Part(msgspec.Struct):
    """
    A piece of what was said.

    Attributes:
        label: What it is, where it is no plain text of the one who is expected to say it.
        text: The text.
        is_code: Whether it is something like JSON.
        left_out: How many characters are not shown.
    """

    label: str
    text: str
    is_code: bool = False
    left_out: int = 0


class Shown(msgspec.Struct):
    """
    An entry of a conversation.

    Attributes:
        kind: As in `conversation.Entry`.
        who: Who said it, or what it is.
        timestamp: When.
        words: What else is to be said of it.
        parts: What was said.
        left_out: How many more parts there are.
        missing: How many earlier messages are not there.
        hidden: Why it can't be read.
        redacted: What was redacted in it.
    """

    kind: str
    who: str
    timestamp: str
    words: list[str]
    parts: list[Part]
    left_out: int
    missing: int
    hidden: str
    redacted: str


class Told(msgspec.Struct):
    """
    A conversation.

    Attributes:
        entries: What was said and happened.
        notes: What is to be said of all of it.
        left_out: How many later entries are not shown.
        size: How many characters the entries have.
    """

    entries: list[Shown]
    notes: list[str]
    left_out: int
    size: int


def told(found: Conversation) -> Told:
    """Return what is shown of a conversation."""
    entries = [_shown(entry) for entry in found.entries[:MOST_ENTRIES]]
    return Told(
        entries,
        list(_notes(found)),
        max(0, len(found.entries) - MOST_ENTRIES),
        sum(len(part.text) for entry in entries for part in entry.parts),
    )


def _notes(found: Conversation) -> Iterator[str]:
    if found.is_exact is False:
        yield "What is on record does not have the digest of what was sent."
    if found.unanswered:
        yield f"{counted(len(found.unanswered), 'prompt')} without an answer in these files."
    for reason, count in found.hidden.items():
        yield f"{counted(count, 'entry', 'entries')}: {words_for(reason)}."


def _shown(entry: Entry) -> Shown:
    parts = _parts(entry)
    shown = list(itertools.islice(parts, _MOST_PARTS))
    return Shown(
        kind=entry.kind,
        who=entry.by
        if entry.kind == "prompt"
        else _WHO.get(entry.kind, entry.kind.replace("_", " ")),
        timestamp=entry.timestamp,
        words=[word for word in _words(entry) if word],
        parts=shown,
        left_out=sum(1 for _ in parts),
        missing=entry.missing,
        hidden=words_for(entry.hidden) if entry.hidden else "",
        redacted=", ".join(entry.redacted),
    )


def _words(entry: Entry) -> Iterator[str]:
    metrics, tool = entry.metrics, entry.tool or {}
    yield str(tool.get("name", ""))
    if entry.kind in ("completion", "embedding", "rerank"):
        yield " ".join(each for each in (entry.provider, entry.model) if each)
    tokens = metrics.get("tokens")
    if type(tokens) is dict and ("prompt" in tokens or "completion" in tokens):
        yield f"{_number(tokens.get('prompt'))} + {_number(tokens.get('completion'))} tokens"
    yield usd(metrics["cost_usd"]) if _is_number(metrics.get("cost_usd")) else ""
    yield ms(metrics["latency_ms"]) if _is_number(metrics.get("latency_ms")) else ""
    yield entry.outcome if entry.outcome not in (None, "completed", "retried") else ""
    yield f"{counted(entry.repeats, 'message')} as above" if entry.repeats else ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _number(value: Any) -> str:
    return f"{value:,}" if type(value) is int else "0"


def _parts(entry: Entry) -> Iterator[Part]:
    for role, part in parts_of(entry):
        yield _part(part, role)
    if entry.text:
        yield _cut("", entry.text)
    for label, value in details_of(entry):
        yield _cut(label, _value(value), is_code=type(value) is not str)


def _part(part: dict[str, Any], role: str) -> Part:
    kind, content = part["type"], part.get("content")
    if type(content) is str and kind in _PLAIN:
        return _cut(f"{role} {'' if kind == 'text' else kind}".strip(), content)
    rest = {name: value for name, value in part.items() if name != "type"}
    return _cut(f"{role} {kind}".strip(), _value(rest), is_code=True)


def _value(value: Any) -> str:
    if type(value) is str:
        return value
    data = msgspec.json.encode(value)
    return (msgspec.json.format(data, indent=2) if len(data) < _MOST_INDENTED else data).decode()


def _cut(label: str, text: str, *, is_code: bool = False) -> Part:
    left_out = max(0, len(text) - MOST_CHARACTERS)
    return Part(label, text[:MOST_CHARACTERS], is_code, left_out)
