"""
Which calls of tools models asked for, and which of them have a result.
"""

from __future__ import annotations

import itertools

from typing import Any

from ...integrations._answers import ToolCall
from ...integrations._conversations import Place


__all__ = ["ToolCalls", "results_in"]

_MOST_OPEN = 1_000
"""How many calls of a tool without a result are compared with a run of it."""


class ToolCalls:
    """The calls of tools in a trace."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, ToolCall]] = {}
        self._given: set[str] = set()
        self._open: dict[str, dict[str, ToolCall]] = {}

    def asked(self, call_id: str | None) -> tuple[str | None, ToolCall | None]:
        """Return the event of a call, and the call; None for both if no model asked for it."""
        return self._asked.get(call_id or "", (None, None))

    def is_given(self, call_id: Any) -> bool:
        """Return whether a call has its result."""
        return call_id in self._given

    def ask(self, tool_id: str, call: ToolCall) -> None:
        """Note a call that a model asked for."""
        call_id = call.call_id or ""
        self._asked[call_id] = tool_id, call
        if call_id not in self._given:
            self._open.setdefault(call.name or "", {})[call_id] = call

    def give(self, call_id: str, call: ToolCall | None) -> None:
        """Note that a call has its result."""
        self._given.add(call_id)
        if call is not None:
            self._open.get(call.name or "", {}).pop(call_id, None)

    def recall(self, turns: list[dict[str, Any]], place: Place) -> None:
        """Note the calls of the answer that is gone on from, which may be in another trace."""
        if place.follows is None or place.choice:
            return
        asked_by = place.follows.removesuffix(".completion")
        for number_, each in enumerate(_calls_said_last(turns), 1):
            if each.get("id") and each["id"] not in self._asked:
                call = ToolCall(each["name"], each["id"], each.get("arguments"))
                self.ask(f"{asked_by}.tool_call.{number_}", call)

    def meant(self, name: str, arguments: Any) -> str | None:
        """The call that a run of a tool stands for, where it does not say so itself."""
        calls = list(itertools.islice(self._open.get(name, {}).items(), _MOST_OPEN))
        for is_same in (_are_equal, _are_of):
            for call_id, call in calls:
                if is_same(arguments, call.arguments):
                    return call_id
        return None


def results_in(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results since the model spoke last: earlier ones were new in an earlier request."""
    found: list[dict[str, Any]] = []
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            break
        found[:0] = [each for each in turn["parts"] if each["type"] == "tool_call_response"]
    return found


def _calls_said_last(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of tools that the model asked for when it spoke last."""
    found: list[dict[str, Any]] = []
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            found[:0] = [each for each in turn["parts"] if each["type"] == "tool_call"]
        elif found:
            break
    return found


def _are_equal(given: Any, asked: Any) -> bool:
    return bool(given == asked)


def _are_of(given: Any, asked: Any) -> bool:
    """Whether a tool was given nothing that the model did not ask for."""
    if not isinstance(given, dict) or not isinstance(asked, dict):
        return False
    return bool(given) and all(asked.get(name) == value for name, value in given.items())
