from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from hilt_logging.integrations._answers import Answer, Prompt
from hilt_logging.integrations._calls import Call, Recorder
from hilt_logging.integrations._streams import Watched, WatchedAsync


class Words:
    """Pieces that are words."""

    def __init__(self):
        self.words = []

    def add(self, piece):
        self.words.append(piece.word)
        return piece.word

    def answer(self):
        return Answer(text="".join(self.words))


class Piece:
    alive = 0

    def __init__(self, word):
        Piece.alive += 1
        self.word = word

    def __del__(self):
        Piece.alive -= 1


@pytest.fixture
def call(collected):
    made = Call(Recorder("hilt.app.test"), provider="acme")
    made.asked(Prompt(text="Hi"))
    return made


async def each_of(pieces):
    for piece in pieces:
        yield piece


def test_100_000_pieces(call, collected):
    """Of a long stream some hundred pieces are kept at a time, and all of the text."""
    most = 0
    for _ in Watched((Piece("w ") for _ in range(100_000)), call, Words()):
        most = max(most, Piece.alive)
    assert most < 300
    (completion,) = collected.of("completion")
    assert "w " * 100_000 == completion["content"]["text"]
    assert 100_000 == completion["metrics"]["chunks"]


def test_first_text_has_its_time(call, collected):
    """The time of the first piece that has text is told, not that of the first piece."""
    list(Watched((Piece(w) for w in ("", "", "a", "b")), call, Words()))
    metrics = collected.of("completion")[0]["metrics"]
    assert 0 <= metrics["time_to_first_token_ms"] <= metrics["latency_ms"]
    assert 4 == metrics["chunks"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_pieces_are_events_at_debug(level, call, collected):
    """Each piece with text is an event where the logger is enabled for DEBUG, and only there."""
    logging.getLogger("hilt").setLevel(level)
    list(Watched((Piece(w) for w in ("a", "", "b", "c")), call, Words()))
    said = [event["content"]["text"] for event in collected.of("completion_chunk")]
    assert (["a", "b", "c"] if level == logging.DEBUG else []) == said


def test_closing(call, collected):
    """Closing closes the stream within, and is the end."""
    closed = []

    def pieces():
        try:
            yield Piece("a")
            yield Piece("b")
        finally:
            closed.append(True)

    watched = Watched(pieces(), call, Words())
    next(watched)
    watched.close()
    assert [True] == closed
    assert "closed_early" == collected.of("completion")[0]["extensions"]["outcome"]
    with pytest.raises(StopIteration):
        next(watched)
    assert 1 == len(collected.of("completion"))


def test_async_closing(call, collected):
    """And in the same way of an asynchronous one."""

    async def run():
        watched = WatchedAsync(each_of([Piece("a"), Piece("b")]), call, Words())
        assert "a" == (await anext(watched)).word
        await watched.aclose()

    asyncio.run(run())
    assert "closed_early" == collected.of("completion")[0]["extensions"]["outcome"]


def test_async_stream_that_nobody_reads(call, collected):
    """One that is dropped is abandoned."""
    watched = WatchedAsync(each_of([Piece("a")]), call, Words())
    del watched
    gc.collect()
    assert "abandoned" == collected.of("completion")[0]["extensions"]["outcome"]


def test_error_of_a_stream(call, collected):
    """What a stream raises is raised, and is on record after what had come."""

    def pieces():
        yield Piece("a")
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(Watched(pieces(), call, Words()))
    assert ["prompt", "completion", "system"] == [e["action"] for e in collected.events]
    assert "OSError" == collected.of("system")[0]["extensions"]["error"]["type"]


def test_pieces_that_cannot_be_read(call, collected):
    """A piece that nobody can read costs no other."""
    pieces = [Piece("a"), object(), Piece("b"), object(), Piece("c")]
    assert pieces == list(Watched(iter(pieces), call, Words()))
    assert "abc" == collected.of("completion")[0]["content"]["text"]


def test_reading_in_turns(call, collected):
    """A loop that is left, `next()` and another loop go on where the one before was."""
    pieces = [Piece(str(number)) for number in range(700)]
    watched = Watched(iter(pieces), call, Words())

    begun = next(iter(watched)), next(watched)
    for piece in watched:
        if piece is pieces[300]:
            break
    went_on = next(watched)
    rest = list(watched)

    assert pieces[:2] == list(begun)
    assert pieces[301:] == [went_on, *rest]
    assert [] == list(watched)
    (event,) = collected.of("completion")
    assert "".join(piece.word for piece in pieces) == event["content"]["text"]
    assert 700 == event["metrics"]["chunks"]


def test_loop_that_is_left_for_good(call, collected):
    """What came before is on record when nobody has the stream any more."""
    watched = Watched(iter([Piece("a"), Piece("b"), Piece("c")]), call, Words())
    for piece in watched:
        if piece.word == "b":
            break
    assert [] == collected.of("completion")
    del watched

    (event,) = collected.of("completion")
    assert ("ab", "closed_early") == (event["content"]["text"], event["extensions"]["outcome"])
