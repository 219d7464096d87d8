"""
Which conversation a request goes on with, and what of it is not on record yet.

A chat request repeats its whole history. What was recorded of the last 10,000 conversations of this
process is remembered as digests, so that a request's history can be found among them.
"""

from __future__ import annotations

import itertools
import threading
import time

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from .._histories import Line, answer_line, lines_of, sha256_of, systems_in


__all__ = ["Conversations", "Place"]

_MOST = 10_000
_MOST_ANSWERS = 8
_TAIL = 16
_SYSTEM_EVERY_S = 24 * 3600.0


class Place:
    """
    Where a request stands.

    Attributes:
        session_id: The conversation that was found; None where none was.
        follows: The event of the answer that it goes on from.
        choice: Which choice of that answer.
        start: How many of the request's turns are on record, the system prompt not counted.
        systems: How many turns the system prompt has, which come first.
        system: The lines of the system prompt.
        lines: The lines of all other turns, but for those of an answer that is begun.
        after: What the provider has of the conversation, which the request does not repeat.
        begun: What a model is to go on with: the turns of its own at the end of the request.
        is_named: Whether later requests may name its answer, and not repeat it.
    """

    session_id: str | None = None
    follows: str | None = None
    choice = 0
    start = 0
    systems = 0
    system: tuple[bytes, ...] = ()
    lines: Sequence[bytes] = ()
    after: _Answered | None = None
    begun: Sequence[dict[str, Any]] = ()
    is_named = False

    def history(self, response_id: str | None) -> dict[str, Any] | None:
        """
        Return what tells the whole history that an event does not repeat.

        Args:
            response_id: The answer that the request names.
        """
        if response_id and self.after is None:
            return {"response_id": response_id}
        whole = [*self.lines, *(each.line for each in lines_of(self.begun))]
        told: dict[str, Any] = {
            "messages": len(whole) + (self.after.count if self.after else 0),
            "digest": f"sha256:{self.sha256(whole).hexdigest()}",
        }
        if self.system:
            told["system"] = f"sha256:{sha256_of(self.system).hexdigest()}"
        if self.choice:
            told["choice"] = self.choice
        return told

    def sha256(self, lines: Sequence[bytes]) -> Any:
        """Return the SHA-256 of what the provider has and of these lines."""
        if self.after is None or self.after.sha256 is None:
            return sha256_of(lines)
        known = self.after.sha256.copy()
        for line in lines:
            known.update(line + b"\n")
        return known


class _Answered:
    """A conversation up to an answer: in short the hashes of its last turns, and how many."""

    __slots__ = (
        "chain",
        "choice",
        "count",
        "event_id",
        "response_id",
        "session_id",
        "sha256",
        "tail",
    )

    def __init__(
        self, session_id: str, event_id: str, choice: int, response_id: str | None
    ) -> None:
        self.session_id = session_id
        self.event_id = event_id
        self.choice = choice
        self.response_id = response_id
        self.chain = 0
        self.count = 0
        self.tail: tuple[int, ...] = ()
        self.sha256: Any = None

    def take(self, place: Place, line: bytes) -> None:
        """Take what was asked and what was answered."""
        before = place.after
        hashes = [hash(each) for each in place.lines]
        hashes.append(hash(line))
        chain = 0 if before is None else before.chain
        for each in hashes:
            chain = hash((chain, each))
        self.chain = chain
        self.count = len(hashes) if before is None else before.count + len(hashes)
        self.tail = tuple(hashes[-_TAIL:] if before is None else [*before.tail, *hashes][-_TAIL:])
        if place.is_named:
            self.sha256 = place.sha256([*place.lines, line])

    def is_at(self, chain: int, count: int, tail: tuple[int, ...]) -> bool:
        return self.chain == chain and self.count == count and self.tail == tail


_Known = _Answered | dict[str, _Answered]
"""The one answer of a kind, or several by their sessions."""


class _Conversation:
    """The last answers of a session, and when its system prompts were recorded."""

    __slots__ = ("answers", "systems")

    def __init__(self) -> None:
        self.answers: list[_Answered] = []
        self.systems: dict[int, float] = {}


class Conversations:
    """What is remembered of the conversations of this process."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Conversation] = OrderedDict()
        self._by_chain: dict[int, _Known] = {}
        self._by_end: dict[tuple[int, ...], _Known] = {}
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
        likely_id: str | None = None,
    ) -> Place:
        """
        Return where a request stands.

        Without a session, a conversation is recognised only by its last answer in the history, and
        only if exactly one has it in this place.

        Args:
            turns: The whole request.
            session_id: The conversation, where it is known.
            response_id: The answer that it goes on from, where the request names it; empty where
                it does not, but others may name its answer.
            likely_id: Of several conversations that all have it, the one to take.
        """
        place = Place()
        place.systems = systems = systems_in(turns)
        if systems:
            place.system = tuple([each.line for each in lines_of(turns[:systems])])
            turns = turns[systems:]
        lines = lines_of(turns)
        if response_id is not None:
            place.is_named = True
        if response_id:
            known = self._by_response.get(response_id)
            if known is not None:
                place.after = known
                place.session_id, place.follows = known.session_id, known.event_id
        elif len(lines) > 1:
            with self._lock:
                self._search(place, lines, session_id, likely_id)
        if lines and lines[-1].is_answer:
            place.begun = turns[lines[-2].end if len(lines) > 1 else 0 :]
            lines = lines[:-1]
        place.lines = [each.line for each in lines]
        return place

    def _search(
        self, place: Place, lines: list[Line], session_id: str | None, likely_id: str | None
    ) -> None:
        """Find the answer that is gone on from: where the session is not known, only the last."""
        hashes = [hash(each.line) for each in lines]
        ends = [at for at, each in enumerate(lines[:-1]) if each.is_answer]
        if not ends:
            return
        chains = list(itertools.accumulate(hashes, _chained, initial=0))
        found = None
        for at in reversed(ends):
            tail = tuple(hashes[max(0, at + 1 - _TAIL) : at + 1])
            known = _only(self._by_chain.get(chains[at + 1]), session_id, likely_id)
            if known is not None and known.is_at(chains[at + 1], at + 1, tail):
                found = known
            if found is not None or session_id is None:
                break
        if found is None and (session_id is not None or len(ends) > 1):
            at = ends[-1]
            found = self._by_window(hashes[: at + 1], session_id)
        if found is not None:
            place.session_id, place.follows = found.session_id, found.event_id
            place.choice, place.start = found.choice, lines[at].end

    def _by_window(self, hashes: list[int], session_id: str | None) -> _Answered | None:
        """The conversation whose last turns these are: a client may have left the first ones out."""
        tail = tuple(hashes[-_TAIL:])
        known = _only(self._by_end.get(tail[-2:]), session_id)
        if known is None or known.count < len(hashes):
            return None
        return known if known.tail[-len(tail) :] == tail else None

    def needs_system(self, place: Place, session_id: str) -> bool:
        """Return whether the system prompt of a request is to be recorded."""
        known = self._known.get(session_id)
        written = None if known is None else known.systems.get(hash(place.system))
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
            answer = _Answered(session_id, event_id, choice, response_id)
            parts = message["parts"]
            if place.begun:
                parts = [part for turn in (*place.begun, message) for part in turn["parts"]]
            answer.take(place, answer_line(parts))
            made.append(answer)
        with self._lock:
            known = self._known.get(session_id)
            if known is None:
                known = self._known[session_id] = _Conversation()
            else:
                self._known.move_to_end(session_id)
            if has_system:
                known.systems[hash(place.system)] = time.monotonic()
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
        _put(self._by_chain, answer.chain, answer)
        _put(self._by_end, answer.tail[-2:], answer)
        if answer.sha256 is not None and answer.response_id is not None:
            self._by_response[answer.response_id] = answer
        if len(known.answers) > _MOST_ANSWERS:
            self._forget(known.answers.pop(0))

    def _forget(self, answer: _Answered) -> None:
        _drop(self._by_chain, answer.chain, answer)
        _drop(self._by_end, answer.tail[-2:], answer)
        if answer.sha256 is not None and self._by_response.get(answer.response_id or "") is answer:
            del self._by_response[answer.response_id or ""]


def _chained(chain: int, line: int) -> int:
    return hash((chain, line))


def _only(
    known: _Known | None, session_id: str | None, likely_id: str | None = None
) -> _Answered | None:
    """The one answer of a session, else the only one that there is, else the likely one."""
    if isinstance(known, dict):
        return known.get(session_id or likely_id or "")
    if known is None or session_id in (None, known.session_id):
        return known
    return None


def _put(index: dict[Any, _Known], key: Any, answer: _Answered) -> None:
    known = index.get(key)
    if isinstance(known, dict):
        known[answer.session_id] = answer
    elif known is None or known.session_id == answer.session_id:
        index[key] = answer
    else:
        index[key] = {each.session_id: each for each in (known, answer)}


def _drop(index: dict[Any, _Known], key: Any, answer: _Answered) -> None:
    known = index.get(key)
    if known is answer:
        del index[key]
    elif isinstance(known, dict) and known.get(answer.session_id) is answer:
        del known[answer.session_id]
        if len(known) == 1:
            index[key] = next(iter(known.values()))
