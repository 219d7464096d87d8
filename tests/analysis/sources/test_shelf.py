"""What belongs together is put together, in the order of time."""

from __future__ import annotations

import pytest

from hilt_logging.analysis.sources.shelf import Piece, Shelf


def test_traces():
    """A trace's parts come as they were put there; the trace that began first is the first."""
    with Shelf() as shelf:
        for trace, at, number in (
            ("b", "2", 1),
            ("a", "3", 2),
            ("c", "", 3),
            ("b", "9", 4),
            ("a", "", 5),
        ):
            shelf.add(Piece(trace, {"number": number}, at=at))
        found = [[part.value["number"] for part in parts] for parts in shelf.traces()]
    assert [[1, 4], [2, 5], [3]] == found


def test_events():
    """Events come in the order of time; of two with one id the first is kept."""
    with Shelf() as shelf:
        assert [True, True, False] == [
            shelf.put(at, name, data)
            for at, name, data in (("2", "x", b"later"), ("1", "y", b"first"), ("3", "x", b"again"))
        ]
        assert [b"first", b"later"] == list(shelf.events())


def test_odd_values():
    """Halves of characters and long numbers are kept as an event can have them."""
    with Shelf() as shelf:
        shelf.add(Piece("\ud800", {"a": "x\ud800", "b": 10**30}))
        ((part,),) = shelf.traces()
    assert {"a": "x\ufffd", "b": str(10**30)} == part.value


@pytest.mark.parametrize(
    "write",
    [
        lambda shelf: shelf.add(Piece("t", {"text": "x" * 100_000})),
        lambda shelf: shelf.put("", "e", b"x" * 100_000),
    ],
)
def test_full_disk(write):
    """A disk that is full is an error of the system, as with every file."""
    with Shelf() as shelf:
        shelf._database.execute("PRAGMA max_page_count = 10")
        with pytest.raises(OSError, match="no room for temporary files"):
            write(shelf)
