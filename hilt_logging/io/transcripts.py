"""
What was said up to an event, word for word, from events that hold only what was new in each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .._histories import digest_of, ends_of, systems_in
from ..events import Event


__all__ = ["Transcript", "Transcripts"]


class Transcript(msgspec.Struct):
    """
    The messages up to an event.

    Attributes:
        system: The system prompt, `{"role": ..., "parts": [...]}`.
        turns: What was said since, in the same form.
        missing: How many earlier messages there were that the events do not have.
        is_exact: Whether these are, word for word, all that the model was given (and, for an
            answer, what it said), by the digest that its prompt has of them.
    """

    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    missing: int = 0
    is_exact: bool = True


class Transcripts:
    """
    The conversations that some events tell.

    Args:
        events: In the order of their files; also of several conversations.
    """

    def __init__(self, events: Iterable[Event | dict[str, Any]]) -> None:
        self._events: dict[str, dict[str, Any]] = {}
        self._calls: dict[str, list[dict[str, Any]]] = {}
        self._results: dict[tuple[Any, Any], dict[str, Any]] = {}
        self._systems: dict[str, list[dict[str, Any]]] = {}
        for each in events:
            self.add(each.to_dict() if isinstance(each, Event) else each)

    def add(self, event: dict[str, Any]) -> None:
        """Take one more event."""
        action, extensions = event["action"], event.get("extensions", {})
        self._events[event["event_id"]] = event
        if action == "prompt":
            said = _said(event)
            for count in range(1, systems_in(said) + 1):
                self._systems[digest_of(said[:count])] = said[:count]
        elif action == "tool_call":
            self._calls.setdefault(extensions.get("reply_to", ""), []).append(event)
        elif action == "tool_result":
            key = _call_id(event), extensions.get("tool", {}).get("call_id")
            self._results.setdefault(key, event)

    def of(self, event_id: str) -> Transcript:
        """
        Return what was said up to a prompt, or up to a completion and with it.

        Raises:
            KeyError: if there is no such event.
        """
        event = self._events[event_id]
        answer = None
        if event["action"] != "prompt":
            answer = event
            event = self._events.get(event.get("extensions", {}).get("reply_to", ""), {})
        chain = [event]
        while (before := self._before(chain[-1])) is not None:
            chain.append(before[0])
        told = Transcript()
        for each in reversed(chain):
            told = self._after(told, each)
        told.is_exact = told.is_exact and _is_as_digested(told, event)
        if answer is not None:
            told.turns = [*told.turns, self._answer(answer, 0)]
        return told

    def _before(self, prompt: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The prompt that the followed answer replied to, and this answer."""
        answer = self._events.get(prompt.get("extensions", {}).get("follows", ""))
        if answer is None:
            return None
        before = self._events.get(answer.get("extensions", {}).get("reply_to", ""))
        return None if before is None else (before, answer)

    def _after(self, told: Transcript, prompt: dict[str, Any]) -> Transcript:
        own = [self._filled(each, prompt) for each in _said(prompt)]
        history = prompt.get("extensions", {}).get("history")
        if history is None:
            system, turns = own[: systems_in(own)], own[systems_in(own) :]
            return Transcript(system, turns, is_exact=bool(own))
        system, turns = self._split(own, history.get("system"))
        before = self._before(prompt)
        if before is not None:
            answer = self._answer(before[1], history.get("choice", 0))
            turns = [*told.turns, answer, *turns]
        turns, missing = _last(turns, history.get("messages"))
        return Transcript(system, turns, missing)

    def _split(
        self, own: list[dict[str, Any]], digest: str | None
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The system prompt of a request, written with it or before, and its other messages."""
        if digest is None:
            return [], own
        for count in range(systems_in(own), 0, -1):
            if digest_of(own[:count]) == digest:
                return own[:count], own[count:]
        return self._systems.get(digest, []), own

    def _answer(self, answer: dict[str, Any], choice: int) -> dict[str, Any]:
        content = answer.get("content", {})
        refusal = answer.get("extensions", {}).get("refusal")
        if content.get("messages"):
            parts = list(content["messages"][choice]["parts"])
        else:
            parts = [{"type": "text", "content": content["text"]}] if content.get("text") else []
            calls = self._calls.get(answer["event_id"], [])
            parts += [_call(each["extensions"]["tool"]) for each in calls if not _is_theirs(each)]
        if refusal and choice == 0:
            parts.append({"type": "refusal", "content": refusal})
        return {"role": "assistant", "parts": parts}

    def _filled(self, message: dict[str, Any], prompt: dict[str, Any]) -> dict[str, Any]:
        """A message with the results of tools that have events of their own."""
        parts = [self._with_response(part, prompt) for part in message["parts"]]
        return {**message, "parts": parts}

    def _with_response(self, part: dict[str, Any], prompt: dict[str, Any]) -> dict[str, Any]:
        if part["type"] != "tool_call_response" or "response" in part:
            return part
        result = self._results.get((_call_id(prompt), part.get("id")))
        if result is None:
            return part
        text = result.get("content", {}).get("text")
        given = result["extensions"]["tool"].get("result") if text is None else text
        return part if given is None else {**part, "response": given}


def _last(messages: list[dict[str, Any]], count: int | None) -> tuple[list[dict[str, Any]], int]:
    """As many of the last messages as a request had, and how many are missing."""
    if count is None:
        return messages, 0
    ends = ends_of(messages)
    if len(ends) <= count:
        return messages, count - len(ends)
    return messages[ends[len(ends) - count - 1] :], 0


def _is_as_digested(told: Transcript, prompt: dict[str, Any]) -> bool:
    history = prompt.get("extensions", {}).get("history")
    if history is None:
        return True
    return bool(
        history.get("digest") == digest_of(told.turns)
        and ("system" not in history or history["system"] == digest_of(told.system))
    )


def _said(prompt: dict[str, Any]) -> list[dict[str, Any]]:
    content = prompt.get("content", {})
    if content.get("messages"):
        said: list[dict[str, Any]] = content["messages"]
        return said
    if "text" not in content:
        return []
    return [{"role": "user", "parts": [{"type": "text", "content": content["text"]}]}]


def _call(tool: dict[str, Any]) -> dict[str, Any]:
    known = {"id": tool.get("call_id"), "name": tool["name"], "arguments": tool.get("arguments")}
    return {"type": "tool_call", **{k: v for k, v in known.items() if v is not None}}


def _is_theirs(call: dict[str, Any]) -> bool:
    return call["extensions"]["tool"].get("server") is True


def _call_id(event: dict[str, Any]) -> Any:
    return event.get("provenance", {}).get("call_id")
