"""
Conversations and their entries, and what there is to say of one wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


__all__ = ["Conversation", "Entry", "details_of", "parts_of", "words_for"]

_HIDDEN = {
    "erased": "erased",
    "not recorded": "content not recorded",
    "no key": "encrypted (no key)",
}


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """
    Something that was said or happened.

    Attributes:
        number: Counts the entries of a conversation, from 1.
        kind: The action, or of a `system` event `error`, `retry` or `system`; `unfinished` for what came
            of an answer that never ended.
        event_id: The event.
        timestamp: Its time.
        by: Who acts: the `id` of the actor.
        messages: What was said: `{"role": ..., "parts": [...]}`; of a request only what is new in it.
        text: The text of anything else.
        repeats: How many messages of the request stand above already and are left out.
        missing: How many messages that came before are not in the files.
        hidden: Why it can't be read: `no key`, `erased`, `damaged`, `not recorded`, ...
        redacted: What kinds of personal data were found and replaced.
        reply_to: The number of the entry that it answers.
        provider: Who was asked.
        model: The model.
        metrics: Tokens, cost and times.
        outcome: How the call ended, where it did not complete.
        tool: The tool, with its arguments or result.
        documents: What was found.
        feedback: What was judged.
        error: What went wrong.
        event: The whole event, where it is asked for.
    """

    number: int
    kind: str
    event_id: str
    timestamp: str
    by: str
    messages: list[dict[str, Any]] = []
    text: str | None = None
    repeats: int = 0
    missing: int = 0
    hidden: str | None = None
    redacted: list[str] = []
    reply_to: int | None = None
    provider: str | None = None
    model: str | None = None
    metrics: dict[str, Any] = {}
    outcome: str | None = None
    tool: dict[str, Any] | None = None
    documents: list[Any] = []
    feedback: Any = None
    error: dict[str, Any] | None = None
    event: dict[str, Any] | None = None


class Conversation(msgspec.Struct, kw_only=True):
    """
    A session.

    Attributes:
        session_id: Its id.
        users: Who took part.
        events: How many events it has.
        first: The time of the first one.
        last: The time of the last one.
        entries: What was said and happened, in the order of time; none if there is no such session.
        missing: How many messages that came before are not in the files.
        is_exact: Whether all requests whose digest is on record were put together again word for word;
            None where there is none that could tell.
        unanswered: The numbers of the prompts without an answer.
        hidden: How many entries can't be read, by the reason.
        tokens: The tokens of all calls.
        cost_usd: What they cost, as far as that is known.
    """

    session_id: str
    users: list[str] = []
    events: int = 0
    first: str | None = None
    last: str | None = None
    entries: list[Entry] = []
    missing: int = 0
    is_exact: bool | None = None
    unanswered: list[int] = []
    hidden: dict[str, int] = {}
    tokens: dict[str, int] = {}
    cost_usd: float | None = None


def words_for(reason: str) -> str:
    """Return in words why an entry can't be read."""
    return _HIDDEN.get(reason, f"encrypted ({reason})")


def parts_of(entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parts of what was said, each with its role, or "" where all have the usual one."""
    roles = {str(message["role"]) for message in entry.messages}
    is_usual = roles <= ({"assistant"} if entry.kind == "completion" else {"user"})
    for message in entry.messages:
        for part in message["parts"]:
            yield "" if is_usual else str(message["role"]), part


def details_of(entry: Entry) -> Iterator[tuple[str, Any]]:
    """Yield what an entry has beside what was said, each with its name."""
    tool = entry.tool or {}
    for name in ("arguments", "result"):
        if tool.get(name) is not None:
            yield name, tool[name]
    for document in entry.documents:
        yield "document", document
    if entry.feedback is not None:
        yield "feedback", entry.feedback
    if entry.metrics.get("score") is not None:
        yield "score", entry.metrics["score"]
    if entry.error is not None:
        yield "error", entry.error
