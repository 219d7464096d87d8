"""
Putting a conversation together again from its events, in which only what is new stands.
"""

from __future__ import annotations

import contextlib

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .._histories import lines_of, systems_in
from ..io.transcripts import Transcript, Transcripts
from ._entries import Conversation, Entry
from ._opening import Open


__all__ = ["Rebuilt", "followed_by"]

_NOT_RECORDED = "not recorded"

# What events that others made, in another form, lead to where conversations are put together.
_STRANGE = (KeyError, TypeError, AttributeError, IndexError, RecursionError)


def followed_by(events: Iterable[dict[str, Any]]) -> set[str]:
    """Return the ids of the events that some name as those which they follow."""
    found = (_part(event, "extensions").get("follows") for event in events)
    return {each for each in found if type(each) is str}


def _part(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    return value if type(value) is dict else {}


class Rebuilt:
    """
    A session that is put together.

    Args:
        events: Those of the session.
        others: Those of other sessions with which it began.
        opened: What opens events that are encrypted.
        full: Whether the entries have their whole events, too.
    """

    def __init__(
        self,
        events: list[dict[str, Any]],
        others: list[dict[str, Any]],
        opened: Open,
        full: bool,
    ) -> None:
        self._open = opened
        self._full = full
        self._hidden: dict[str, str] = {}
        notices = [each for each in events if "notice" in _part(each, "extensions")]
        told = [self._opened(each) for each in events if each not in notices]
        self._events = sorted(told, key=lambda event: str(event["timestamp"]))
        self._transcripts = Transcripts([])
        for event in [*map(self._opened, others), *self._events]:
            if _is_whole(event):
                with contextlib.suppress(*_STRANGE):
                    self._transcripts.add(event)
        self._known = {event["event_id"]: event for event in [*others, *events]}
        self._numbers: dict[str, int] = {}
        self._told: list[bytes] = []
        self._system: list[dict[str, Any]] = []
        self._results = {
            _text(_tool(event).get("call_id")) for event in told if event["action"] == "tool_result"
        }
        self._calls = {_reply_to(event) for event in told if event["action"] == "tool_call"}

    def _opened(self, event: dict[str, Any]) -> dict[str, Any]:
        whole, reason = self._open(event)
        if reason is not None:
            self._hidden[event["event_id"]] = reason
        return whole

    def of(self, session_id: str) -> Conversation:
        """Return the conversation, by the id that it has."""
        made = Conversation(session_id=session_id, events=len(self._events))
        for event in self._without_pieces():
            entry = self._entry(event, len(made.entries) + 1)
            self._numbers[entry.event_id] = entry.number
            made.entries.append(entry)
            _sum(made, entry)
        if self._events:
            made.first, made.last = self._events[0]["timestamp"], self._events[-1]["timestamp"]
        made.users = sorted({user for event in self._events for user in _users(event)})
        made.missing = sum(entry.missing for entry in made.entries)
        made.is_exact = self._is_exact()
        made.unanswered = self._unanswered(made.entries)
        return made

    def _without_pieces(self) -> Iterator[dict[str, Any]]:
        """The events; of the pieces of an answer one for all, where they are all there is of it."""
        answered = {_reply_to(event) for event in self._events if event["action"] == "completion"}
        pieces: dict[Any, dict[str, Any]] = {}
        for event in self._events:
            if event["action"] != "completion_chunk":
                yield event
                continue
            prompt = _reply_to(event)
            if prompt is None or prompt in answered:
                continue
            text = str(_part(event, "content").get("text", ""))
            if prompt in pieces:
                pieces[prompt]["content"]["text"] += text
            else:
                pieces[prompt] = {**event, "content": {**_part(event, "content"), "text": text}}
        yield from pieces.values()

    def _entry(self, event: dict[str, Any], number: int) -> Entry:
        extensions, provenance = _part(event, "extensions"), _part(event, "provenance")
        privacy = _part(event, "privacy")
        tool = extensions.get("tool")
        entry = Entry(
            number=number,
            kind=_kind(event),
            event_id=event["event_id"],
            timestamp=event["timestamp"],
            by=event["actor"]["id"],
            hidden=self._hidden.get(event["event_id"]),
            redacted=[str(each) for each in _listed(privacy.get("pii_detected"))]
            if privacy.get("redaction_applied")
            else [],
            reply_to=self._numbers.get(_reply_to(event) or ""),
            provider=_text(provenance.get("provider")),
            model=_text(provenance.get("model")) or _text(provenance.get("request_model")),
            metrics=_part(event, "metrics"),
            outcome=_text(extensions.get("outcome")),
            tool=tool if type(tool) is dict else None,
            documents=_listed(extensions.get("documents")),
            feedback=extensions.get("feedback"),
            error=_part(extensions, "error") or None,
            event=event if self._full else None,
        )
        if entry.hidden is None and privacy.get("content") in ("none", "hash", "failed"):
            entry.hidden = _NOT_RECORDED
        self._say(entry, event)
        return entry

    def _say(self, entry: Entry, event: dict[str, Any]) -> None:
        if entry.kind == "prompt":
            self._ask(entry, event)
        elif entry.kind == "completion":
            self._answer(entry, event)
        else:
            text = _part(event, "content").get("text")
            entry.text = text if type(text) is str else None

    def _ask(self, entry: Entry, event: dict[str, Any]) -> None:
        said = _messages(event)
        count = systems_in(said)
        system, own = said[:count], said[count:]
        if system == self._system:
            entry.repeats += count
            system = []
        self._system = system or self._system
        if "history" in _part(event, "extensions"):
            entry.missing = self._missing_before(event)
            self._told = []
        else:
            own = self._new(entry, own)
        entry.messages = [*system, *filter(None, map(self._without_results, own))]

    def _missing_before(self, event: dict[str, Any]) -> int:
        """How many messages there were before the first request of which the files know."""
        answer = self._known.get(str(_part(event, "extensions").get("follows")))
        before = _reply_to(answer or {})
        if answer is not None and before in self._known:
            return 0
        told = self._transcript(event)
        return 0 if told is None else told.missing

    def _new(self, entry: Entry, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages of a request that repeats its history which are not told yet."""
        lines = lines_of(own)
        same = 0
        for line, told in zip(lines, self._told, strict=False):
            if line.line != told:
                break
            same += 1
        if len(lines) == 1 or same == len(lines):
            same = 0
        self._told = [line.line for line in lines]
        repeated = lines[same - 1].end if same else 0
        entry.repeats += repeated
        return own[repeated:]

    def _without_results(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """A message without results of tools that have entries of their own."""
        parts = [
            part
            for part in message["parts"]
            if part["type"] != "tool_call_response" or _text(part.get("id")) not in self._results
        ]
        return {**message, "parts": parts} if parts or not message["parts"] else None

    def _answer(self, entry: Entry, event: dict[str, Any]) -> None:
        extensions = _part(event, "extensions")
        messages = _messages(event, "assistant")
        if event["event_id"] in self._calls:
            messages = [_without_calls(message) for message in messages]
        refusal = extensions.get("refusal")
        if type(refusal) is str:
            part = {"type": "refusal", "content": refusal}
            messages = [*messages, {"role": "assistant", "parts": [part]}]
        entry.messages = [message for message in messages if message["parts"]]
        self._told += [line.line for line in lines_of(_messages(event, "assistant"))][:1]

    def _transcript(self, event: dict[str, Any]) -> Transcript | None:
        try:
            return self._transcripts.of(event["event_id"])
        except _STRANGE:
            return None

    def _is_exact(self) -> bool | None:
        """Whether the last requests, which repeat what was said before, are what was sent."""
        followed = followed_by(self._events)
        answers = {_reply_to(event) for event in self._events if event["event_id"] in followed}
        found = [
            told.is_exact
            for event in self._events
            if event["action"] == "prompt" and event["event_id"] not in answers
            if "digest" in _part(_part(event, "extensions"), "history")
            if (told := self._transcript(event)) is not None and not told.missing
        ]
        return all(found) if found else None

    def _unanswered(self, entries: Sequence[Entry]) -> list[int]:
        answered = {
            entry.reply_to
            for entry in entries
            if entry.kind in ("completion", "error", "embedding")
        }
        return [
            entry.number
            for entry in entries
            if entry.kind == "prompt" and entry.number not in answered
        ]


def _is_whole(event: dict[str, Any]) -> bool:
    """Whether an event has the form in which conversations can be put together."""
    if event["action"] == "tool_call":
        return "name" in _tool(event)
    if event["action"] == "tool_result":
        return bool(_tool(event))
    messages = _part(event, "content").get("messages")
    return not messages or (type(messages) is list and all(map(_is_message, messages)))


def _messages(event: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    content = _part(event, "content")
    messages = content.get("messages")
    if type(messages) is list and messages and all(map(_is_message, messages)):
        return messages
    text = content.get("text")
    parts = [{"type": "text", "content": text}] if type(text) is str and text else []
    media = [
        {"type": "media", **each} for each in _listed(content.get("media")) if type(each) is dict
    ]
    return [{"role": role, "parts": [*parts, *media]}] if parts or media else []


def _is_message(message: Any) -> bool:
    return (
        type(message) is dict
        and type(message.get("role")) is str
        and type(message.get("parts")) is list
        and all(map(_is_part, message["parts"]))
    )


def _is_part(part: Any) -> bool:
    if type(part) is not dict or type(part.get("type")) is not str:
        return False
    return part["type"] != "text" or type(part.get("content")) is str


def _without_calls(message: dict[str, Any]) -> dict[str, Any]:
    parts = [part for part in message["parts"] if "tool_call" not in part["type"]]
    return {**message, "parts": parts}


def _tool(event: dict[str, Any]) -> dict[str, Any]:
    return _part(_part(event, "extensions"), "tool")


def _reply_to(event: dict[str, Any]) -> str | None:
    return _text(_part(event, "extensions").get("reply_to"))


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _users(event: dict[str, Any]) -> Iterator[str]:
    actor, told = event["actor"], _part(event, "extensions").get("user_id")
    if type(told) is str:
        yield told
    elif actor["type"] == "human":
        yield actor["id"]


def _kind(event: dict[str, Any]) -> str:
    extensions = _part(event, "extensions")
    if event["action"] == "system":
        if extensions.get("outcome") == "retried":
            return "retry"
        return "error" if extensions.get("error") else "system"
    return "unfinished" if event["action"] == "completion_chunk" else str(event["action"])


def _sum(made: Conversation, entry: Entry) -> None:
    if entry.hidden is not None:
        made.hidden[entry.hidden] = made.hidden.get(entry.hidden, 0) + 1
    tokens = entry.metrics.get("tokens")
    for name, count in (tokens if type(tokens) is dict else {}).items():
        if type(count) is int:
            made.tokens[name] = made.tokens.get(name, 0) + count
    cost = entry.metrics.get("cost_usd")
    if isinstance(cost, int | float):
        made.cost_usd = (made.cost_usd or 0) + cost
