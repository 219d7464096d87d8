"""
Streams on their way to the caller: each piece is passed on as it comes, and the end is recorded.
"""

from __future__ import annotations

import asyncio

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

from ._answers import Answer, failure_of
from ._calls import Call


__all__ = ["Pieces", "watched", "watched_async"]


class Pieces(Protocol):
    """What an integration knows of its stream: how to put the pieces together."""

    def add(self, piece: Any) -> str:
        """Take one piece; return the text that it adds to the first choice."""

    def answer(self) -> Answer:
        """Return the answer as far as it has come."""


class _Watch:
    """What is seen of one stream."""

    def __init__(self, call: Call, pieces: Pieces) -> None:
        self._call = call
        self._pieces = pieces
        self._count = 0
        self._first_ms: int | None = None

    def saw(self, piece: Any) -> None:
        """Take one piece; never raises."""
        self._count += 1
        try:
            said = self._pieces.add(piece)
        except Exception:  # a piece of a form that nobody has seen: the rest may still be read
            return
        if said and self._first_ms is None:
            self._first_ms = self._call.latency_ms()
        if said:
            self._call.chunk(said)

    def ended(self, error: BaseException | None = None) -> None:
        """Record the end; never raises."""
        answer = self._answer()
        if error is None:
            self._call.answered(answer)
        elif isinstance(error, GeneratorExit):
            answer.outcome = "closed_early"
            self._call.answered(answer)
        elif isinstance(error, asyncio.CancelledError):
            answer.outcome = "cancelled"
            self._call.answered(answer)
        else:
            self._call.failed(failure_of(error), answer)

    def _answer(self) -> Answer:
        try:
            answer = self._pieces.answer()
        except Exception:
            answer = Answer()
        answer.chunks = self._count
        answer.time_to_first_token_ms = self._first_ms
        return answer


def watched(stream: Iterator[Any], call: Call, pieces: Pieces) -> Iterator[Any]:
    """Yield what *stream* yields, and record its end, however it comes."""
    watch = _Watch(call, pieces)
    try:
        for piece in stream:
            watch.saw(piece)
            yield piece
    except BaseException as error:
        watch.ended(error)
        raise
    watch.ended()


async def watched_async(
    stream: AsyncIterator[Any], call: Call, pieces: Pieces
) -> AsyncIterator[Any]:
    """The same for an asynchronous stream."""
    watch = _Watch(call, pieces)
    try:
        async for piece in stream:
            watch.saw(piece)
            yield piece
    except BaseException as error:
        watch.ended(error)
        raise
    watch.ended()
