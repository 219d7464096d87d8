"""
Streams on their way to the caller: each piece is passed on as it comes, and the end is recorded.
"""

from __future__ import annotations

import asyncio

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol, Self

from ._answers import Answer, failure_of
from ._calls import Call


__all__ = ["Pieces", "Watched", "WatchedAsync", "tell_of_close"]


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
        self._is_over = False

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
        self._is_over = True
        if error is None:
            self._call.answered(self._answer())
        elif isinstance(error, asyncio.CancelledError):
            self._call.answered(self._answer("cancelled"))
        else:
            self._call.failed(failure_of(error), self._answer())

    def left(self) -> None:
        """Record that nobody reads on, if the end has not come; never raises."""
        if not self._is_over:
            self._is_over = True
            self._call.answered(self._answer("closed_early" if self._count else "abandoned"))

    def _answer(self, outcome: str | None = None) -> Answer:
        try:
            answer = self._pieces.answer()
        except Exception:
            answer = Answer()
        answer.outcome = outcome or answer.outcome
        answer.chunks = self._count
        answer.time_to_first_token_ms = self._first_ms
        return answer


class Watched:
    """
    Yields what *stream* yields, and records its end, however it comes.

    No generator: one that was never begun, or an asynchronous one, is not told when it is let go.
    """

    def __init__(self, stream: Iterator[Any], call: Call, pieces: Pieces) -> None:
        self._stream = stream
        self._watch = _Watch(call, pieces)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            piece = next(self._stream)
        except StopIteration:
            self._watch.ended()
            raise
        except BaseException as error:
            self._watch.ended(error)
            raise
        self._watch.saw(piece)
        return piece

    def left(self) -> None:
        """Record that nobody reads on, if the end has not come."""
        self._watch.left()

    __del__ = left


class WatchedAsync:
    """The same for an asynchronous stream."""

    def __init__(self, stream: AsyncIterator[Any], call: Call, pieces: Pieces) -> None:
        self._stream = stream
        self._watch = _Watch(call, pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await anext(self._stream)
        except StopAsyncIteration:
            self._watch.ended()
            raise
        except BaseException as error:
            self._watch.ended(error)
            raise
        self._watch.saw(piece)
        return piece

    def left(self) -> None:
        """Record that nobody reads on, if the end has not come."""
        self._watch.left()

    __del__ = left


def tell_of_close(stream: Any, watched: Watched | WatchedAsync) -> None:
    """Let an SDK's stream tell when it is closed: by `close()`, and at the end of its `with`."""
    close = stream.close

    async def close_async() -> None:
        try:
            await close()
        finally:
            watched.left()

    def close_sync() -> None:
        try:
            close()
        finally:
            watched.left()

    stream.close = close_async if isinstance(watched, WatchedAsync) else close_sync
