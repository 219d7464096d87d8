"""
Which conversation a request goes on with, and what of it is not on record yet.

A chat request repeats its whole history. What was recorded of the last 10,000 conversations of this
process is remembered as digests, so that a request's history can be found among them.
"""

from __future__ import annotations

import threading
import time

from collections import OrderedDict, deque
from typing import Any

import msgspec

from .._histories import Line, chained, lines_of, systems_in


__all__ = ["Conversations", "Place"]

_MOST = 10_000
_MOST_ANSWERS = 8
_TAIL = 16
_SYSTEM_EVERY_S = 24 * 3600.0


class Place(msgspec.Struct):
    """
    Where a request stands.

    Attributes:
        session_id: The conversation that was found; None where none was.
        follows: The event of the answer that it goes on from.
        choice: Which choice of that answer.
        start: How many of the request's turns are on record, the system prompt not counted.
        systems: How many turns the system prompt has, which come first.
        system: The digest of the system prompt.
        digest: Of all turns but the system prompt.
        count: How many these are.
        tail: Hashes of the last of them.
        begun: What a model is to go on with: the turns of its own at the end of the request.
    """

    session_id: str | None = None
    follows: str | None = None
    choice: int = 0
    start: int = 0
    systems: int = 0
    system: bytes = b""
    digest: bytes = b""
    count: int = 0
    tail: tuple[int, ...] = ()
    begun: list[dict[str, Any]] = []

    def history(
        self, response_id: str | None, system: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """
        Return what tells the whole history that an event does not repeat; None where it has it all.

        Args:
            response_id: The answer that the request names.
            system: The turns of the system prompt.
        """
        if response_id is not None and self.follows is None:
            return {"response_id": response_id}
        if not system and not self.count:
            return None
        whole = Place(digest=self.digest, count=self.count)
        for each in lines_of(self.begun):
            whole.take(each.line)
        told: dict[str, Any] = {
            "messages": whole.count,
            "digest": f"sha256:{whole.digest.hex()}",
        }
        if system:
            told["system"] = f"sha256:{self.system.hex()}"
        if self.choice:
            told["choice"] = self.choice
        return told

    def take(self, line: bytes) -> None:
        """Add a turn."""
        self.digest = chained(self.digest, line)
        self.count += 1
        self.tail = (*self.tail[-_TAIL + 1 :], hash(line))


class _Answered(msgspec.Struct):
    """A conversation up to an answer."""

    session_id: str
    event_id: str
    choice: int
    digest: bytes
    count: int
    tail: tuple[int, ...]
    response_id: str | None


class _Conversation:
    def __init__(self) -> None:
        self.answers: deque[_Answered] = deque()
        self.systems: dict[bytes, float] = {}


class Conversations:
    """What is remembered of the conversations of this process."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Conversation] = OrderedDict()
        self._by_digest: dict[bytes, dict[str, _Answered]] = {}
        self._by_end: dict[tuple[int, ...], dict[str, _Answered]] = {}
        self._by_response: dict[str, _Answered] = {}
        self.unlock()

    def unlock(self) -> None:
        """Forget who had the lock: a forked child has not the thread that held it."""
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._known)

    def find(
        self,
        turns: list[dict[str, Any]],
        session_id: str | None = None,
        response_id: str | None = None,
    ) -> Place:
        """
        Return where a request stands.

        Without a session, a conversation is recognised only by its last answer in the history, and
        only if exactly one has it in this place.

        Args:
            turns: The whole request.
            session_id: The conversation, where it is known.
            response_id: The answer that it goes on from, where the request names it.
        """
        systems = systems_in(turns)
        place = Place(systems=systems)
        for each in lines_of(turns[:systems]):
            place.system = chained(place.system, each.line)
        rest = turns[systems:]
        lines = list(lines_of(rest))
        with self._lock:
            if response_id is not None:
                self._go_on(place, self._by_response.get(response_id))
            elif len(lines) > 1:
                self._search(place, lines, session_id)
        self._take(place, lines, rest)
        return place

    def _go_on(self, place: Place, known: _Answered | None) -> None:
        """The provider has the history; the request has only what comes after it."""
        if known is not None:
            place.session_id, place.follows = known.session_id, known.event_id
            place.digest, place.count, place.tail = known.digest, known.count, known.tail

    def _search(self, place: Place, lines: list[Line], session_id: str | None) -> None:
        digest, points = b"", []
        for index, each in enumerate(lines[:-1]):  # a model's turn at the end is not answered yet
            digest = chained(digest, each.line)
            if each.is_answer:
                points.append((digest, index))
        found = None
        for digest, index in reversed(points):
            found = _only(self._by_digest.get(digest), session_id), index
            if found[0] is not None or session_id is None:
                break
        if found is None:
            return
        known, at = found
        if known is None and (session_id is not None or len(points) > 1):
            at = points[-1][1]
            known = self._by_window(lines[: at + 1], session_id)
        if known is not None:
            place.session_id, place.follows = known.session_id, known.event_id
            place.choice, place.start = known.choice, lines[at].end

    def _by_window(self, lines: list[Line], session_id: str | None) -> _Answered | None:
        """The conversation whose last turns these are: a client may have left the first ones out."""
        tail = tuple(hash(each.line) for each in lines[-_TAIL:])
        known = _only(self._by_end.get(tail[-2:]), session_id)
        if known is None or known.count < len(lines):
            return None
        return known if known.tail[-len(tail) :] == tail else None

    def _take(self, place: Place, lines: list[Line], rest: list[dict[str, Any]]) -> None:
        if lines and lines[-1].is_answer:
            first = lines[-2].end if len(lines) > 1 else 0
            place.begun = rest[first:]
            lines = lines[:-1]
        for each in lines:
            place.take(each.line)

    def needs_system(self, place: Place, session_id: str) -> bool:
        """Return whether the system prompt of a request is to be recorded."""
        known = self._known.get(session_id)
        written = None if known is None else known.systems.get(place.system)
        return written is None or time.monotonic() - written >= _SYSTEM_EVERY_S

    def answered(
        self,
        place: Place,
        session_id: str,
        event_id: str,
        choices: list[dict[str, Any]],
        response_id: str | None,
        *,
        has_system: bool,
    ) -> None:
        """
        Remember an answer.

        Args:
            place: Of the request.
            session_id: The conversation.
            event_id: Of the answer.
            choices: What was answered, one message for each choice.
            response_id: The provider's id of it.
            has_system: Whether the system prompt was recorded with the request.
        """
        made = []
        for choice, message in enumerate(choices):
            after = Place(digest=place.digest, count=place.count, tail=place.tail)
            for each in lines_of([*place.begun, message]):
                after.take(each.line)
            made.append(
                _Answered(
                    session_id,
                    event_id,
                    choice,
                    after.digest,
                    after.count,
                    after.tail,
                    response_id,
                )
            )
        with self._lock:
            known = self._known.get(session_id)
            if known is None:
                known = self._known[session_id] = _Conversation()
            else:
                self._known.move_to_end(session_id)
            if has_system:
                known.systems[place.system] = time.monotonic()
                if len(known.systems) > _MOST_ANSWERS:
                    del known.systems[next(iter(known.systems))]
            for answer in made:
                self._remember(known, answer)
            if len(self._known) > _MOST:
                _, oldest = self._known.popitem(last=False)
                for answer in oldest.answers:
                    self._forget(answer)

    def _remember(self, known: _Conversation, answer: _Answered) -> None:
        known.answers.append(answer)
        self._by_digest.setdefault(answer.digest, {})[answer.session_id] = answer
        self._by_end.setdefault(answer.tail[-2:], {})[answer.session_id] = answer
        if answer.response_id is not None:
            self._by_response[answer.response_id] = answer
        if len(known.answers) > _MOST_ANSWERS:
            self._forget(known.answers.popleft())

    def _forget(self, answer: _Answered) -> None:
        _drop(self._by_digest, answer.digest, answer)
        _drop(self._by_end, answer.tail[-2:], answer)
        if answer.response_id is not None and self._by_response.get(answer.response_id) is answer:
            del self._by_response[answer.response_id]


def _only(known: dict[str, _Answered] | None, session_id: str | None) -> _Answered | None:
    """The one answer of a session, or the only one that there is."""
    if not known:
        return None
    if session_id is not None:
        return known.get(session_id)
    return next(iter(known.values())) if len(known) == 1 else None


def _drop(index: dict[Any, dict[str, _Answered]], key: Any, answer: _Answered) -> None:
    sessions = index.get(key, {})
    if sessions.get(answer.session_id) is answer:
        del sessions[answer.session_id]
        if not sessions:
            del index[key]
