"""
Streams on their way to the caller: each piece is passed on as it comes, and the end is recorded.

Pieces are kept as they are and read some hundreds at a time, and not while the caller waits for
the next one.
"""

from __future__ import annotations

import logging
import weakref

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol, Self

from ._answers import Answer
from ._calls import Call, safely, unreadable


__all__ = ["Pieces", "QuickPieces", "Watched", "WatchedAsync", "watch"]

_AT_ONCE = 256


class Pieces(Protocol):
    """What an integration knows of its stream: how to put the pieces together."""

    def add(self, piece: Any) -> str:
        """Take one piece; return the text that it adds to the first choice."""

    def answer(self) -> Answer:
        """Return the answer as far as it has come."""


class QuickPieces(Pieces, Protocol):
    """One that takes many pieces faster than one after the other."""

    def add_all(self, pieces: list[Any]) -> None:
        """Take several pieces; one that can't be read must not keep the others from it."""


class _Watch:
    """What is seen of one stream."""

    __slots__ = (
        "__weakref__",
        "_add",
        "_add_all",
        "_call",
        "_count",
        "_first_ms",
        "_is_over",
        "_is_waiting",
        "_kept",
        "_next",
        "_pieces",
        "_stream",
        "request_id",
    )

    def __init__(self, stream: Any, call: Call, pieces: Pieces) -> None:
        self._stream = stream
        self._call = call
        self._pieces = pieces
        self._add: Callable[[Any], str] = pieces.add
        self._add_all: Callable[[list[Any]], None] | None = getattr(pieces, "add_all", None)
        self._kept: list[Any] = []
        self._count = 0
        self._first_ms: int | None = None
        self._is_waiting = True  # for the first piece with text
        self._is_over = False
        self.request_id: str | None = None

    def _saw(self, piece: Any) -> None:
        """Read one piece at once: until there is text, and where pieces are recorded themselves."""
        self._count += 1
        try:
            said = self._add(piece)
        except Exception as error:  # of a form that nobody has seen: the rest may still be read
            unreadable(error, self._add)
            return
        if said:
            if self._first_ms is None:
                self._first_ms = self._call.latency_ms()
            if self._call.recorder.listens(logging.DEBUG):
                self._call.chunk(said)
            else:
                self._is_waiting = False

    def _read(self) -> None:
        """Read what was kept."""
        kept = self._kept.copy()
        self._kept.clear()
        self._count += len(kept)
        if kept and self._add_all is not None:
            safely(self._add_all, kept, None)
            return
        for piece in kept:
            try:
                self._add(piece)
            except Exception as error:
                unreadable(error, self._add)

    def _ended(self, error: BaseException | None = None) -> None:
        """Record the end; never raises."""
        if self._is_over:
            return
        self._is_over = True
        if error is None:
            self._call.answered(self._answer())
        else:
            self._call.broke(error, self._answer())

    def left(self) -> None:
        """Record that nobody reads on, if the end has not come; never raises."""
        if not self._is_over:
            self._is_over = True
            any_came = self._count or self._kept
            self._call.answered(self._answer("closed_early" if any_came else "abandoned"))

    def _answer(self, outcome: str | None = None) -> Answer:
        self._read()
        answer = self._call.read(_answer_of, self._pieces, Answer())
        answer.outcome = outcome or answer.outcome
        answer.request_id = answer.request_id or self.request_id
        answer.chunks = self._count
        answer.time_to_first_token_ms = self._first_ms
        return answer

    def __del__(self) -> None:
        if not getattr(self, "_is_over", True):  # a copy that failed has nothing
            self.left()


def _answer_of(pieces: Pieces) -> Answer:
    return pieces.answer()


class Watched(_Watch):
    """
    Yields what *stream* yields, and records its end, however it comes.

    A generator alone would not do: one that was never begun, or an asynchronous one, is not told
    when it is let go.
    """

    __slots__ = ()

    def __init__(self, stream: Iterator[Any], call: Call, pieces: Pieces) -> None:
        super().__init__(stream, call, pieces)
        self._next = stream.__next__

    def __iter__(self) -> Iterator[Any]:
        """Yield all that comes; a generator costs each piece a third of what `__next__` does."""
        while self._is_waiting and not self._is_over:
            try:
                piece = self.__next__()
            except StopIteration:
                return
            yield piece
        following, kept = self._next, self._kept
        keep = kept.append
        while True:
            try:
                piece = following()
            except StopIteration:
                self._ended()
                return
            except BaseException as error:
                self._ended(error)
                raise
            keep(piece)
            if len(kept) >= _AT_ONCE:
                self._read()
            yield piece

    def __next__(self) -> Any:
        try:
            piece = self._next()
        except StopIteration:
            self._ended()
            raise
        except BaseException as error:
            self._ended(error)
            raise
        if self._is_waiting:
            self._saw(piece)
        else:
            kept = self._kept
            kept.append(piece)
            if len(kept) >= _AT_ONCE:
                self._read()
        return piece

    def close(self) -> None:
        """Close the stream, as a generator would be."""
        try:
            self._stream.close()
        finally:
            self.left()


class WatchedAsync(_Watch):
    """The same for an asynchronous stream."""

    __slots__ = ()

    def __init__(self, stream: AsyncIterator[Any], call: Call, pieces: Pieces) -> None:
        super().__init__(stream, call, pieces)
        self._next = stream.__anext__

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await self._next()
        except StopAsyncIteration:
            self._ended()
            raise
        except BaseException as error:
            self._ended(error)
            raise
        if self._is_waiting:
            self._saw(piece)
        else:
            kept = self._kept
            kept.append(piece)
            if len(kept) >= _AT_ONCE:
                self._read()
        return piece

    async def aclose(self) -> None:
        """Close the stream, as an asynchronous generator would be."""
        try:
            await self._stream.aclose()
        finally:
            self.left()


def watch(stream: Any, call: Call, pieces: Pieces, request_id: str | None = None) -> None:
    """
    Let an SDK's stream read on through ours, and tell when it is closed.

    Args:
        stream: The SDK's own object, which goes on to the caller. It has its pieces from its
            `_iterator`, as those of OpenAI do.
        call: The call.
        pieces: How they are put together.
        request_id: The provider's id of the request, where the pieces don't tell it.
    """
    inner = getattr(stream, "_iterator", None)
    seen: Watched | WatchedAsync
    if isinstance(inner, AsyncIterator):
        seen = WatchedAsync(inner, call, pieces)
    elif isinstance(inner, Iterator):
        seen = Watched(inner, call, pieces)
    else:
        call.answered(Answer(extensions={"body": "not_seen"}))
        return
    seen.request_id = request_id
    stream._iterator = seen
    _tell_of_close(stream, seen)


def _tell_of_close(stream: Any, watched: Watched | WatchedAsync) -> None:
    """Let an SDK's stream tell when it is closed: by `close()`, and at the end of its `with`."""
    cls: Any = type(stream)
    close = cls.close
    # the stream is not held by what it holds: it must go as soon as nobody has it
    known, response = weakref.ref(stream), stream.response

    if isinstance(watched, WatchedAsync):

        async def close_async() -> None:
            try:
                held = known()
                await close(_made_anew(cls, response) if held is None else held)
            finally:
                watched.left()

        stream.close = close_async
        return

    def close_sync() -> None:
        try:
            held = known()
            close(_made_anew(cls, response) if held is None else held)
        finally:
            watched.left()

    stream.close = close_sync


def _made_anew(cls: Any, response: Any) -> Any:
    """A stream that is gone, for somebody who has its `close`, or a copy of it."""
    made = cls.__new__(cls)
    made.response = response
    return made
