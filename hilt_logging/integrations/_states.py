"""
Messages that are on record, so that the states of a framework refer to them, and do not repeat them.

A graph hands its whole state to each node: all messages of a conversation, every time.
"""

from __future__ import annotations

import hashlib

from typing import Any

from .._histories import digest_of, lines_of
from ._latest import Latest


__all__ = ["OnRecord"]

_MOST = 50_000


class OnRecord:
    """The last 50,000 messages that are on record, each by its conversation and what it says."""

    def __init__(self) -> None:
        self._known = Latest(_MOST)

    def put(self, session_id: str, turns: list[dict[str, Any]], event_id: str | None) -> None:
        """
        Remember that an event has messages.

        Args:
            session_id: The conversation.
            turns: `{"role": ..., "parts": [...]}`; of one that is on record already it stays where
                it first was.
            event_id: The event; None for one that was not sent.
        """
        if event_id is None:
            return
        for turn in turns:
            key = _key(session_id, turn)
            if self._known.get(key) is None:
                self._known.put(key, event_id)

    def folded(
        self, session_id: str, turns: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """
        Return messages with those that are on record replaced, and those that are not.

        As many as stand together are one `{"$repeated": how many, "$last": event_id, "$digest":
        ...}`, of the event that has the last of them, with the digest of them all.
        """
        out: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        same: list[dict[str, Any]] = []
        last = ""
        for turn in turns:
            event_id = self._known.get(_key(session_id, turn))
            if event_id is not None:
                same.append(turn)
                last = event_id
                continue
            out += _reference(same, last)
            same = []
            out.append(turn)
            new.append(turn)
        return out + _reference(same, last), new


def _key(session_id: str, turn: dict[str, Any]) -> bytes:
    (line,) = lines_of([turn])
    return hashlib.blake2b(f"{session_id}\n".encode() + line.line, digest_size=16).digest()


def _reference(turns: list[dict[str, Any]], event_id: str) -> list[dict[str, Any]]:
    if not turns:
        return []
    return [{"$repeated": len(turns), "$last": event_id, "$digest": digest_of(turns)}]
