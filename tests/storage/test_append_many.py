"""Several lines in one write: the same file and the same answers as one by one."""

from __future__ import annotations

import errno
import os

import pytest

from hilt_logging import HILTFileHandler, emit
from hilt_logging._ids import Key
from hilt_logging.events import prompt
from hilt_logging.storage.errors import NotSyncedError
from hilt_logging.storage.sharing import acquire, release


LINES = [b"a" * 5, b"b" * 9, b"c", b"d" * 7]
WHOLE = b"".join(line + b"\n" for line in LINES)


@pytest.fixture
def opened(tmp_path):
    """Acquires an appender whose file has a line, and releases it."""
    made = []

    def open_(**options):
        made.append(HILTFileHandler(tmp_path / "x", **options))
        made[-1]._appender.append(b"first", fail)
        return made[-1]._appender

    yield open_
    for each in made:
        each.close()


def fail(error):
    raise AssertionError(error)


def keyed():
    return [(line, Key()) for line in LINES]


def test_one_write(opened, monkeypatch, tmp_path):
    """They are one `os.write`."""
    appender, calls, write = opened(), [], os.write
    monkeypatch.setattr(os, "write", lambda fd, data: calls.append(data) or write(fd, data))
    assert [True] * 4 == appender.append_many(keyed(), fail)
    assert [WHOLE] == calls
    assert b"first\n" + WHOLE == (tmp_path / "x").read_bytes()


def test_none(opened, tmp_path):
    """No line is no write."""
    assert [] == opened().append_many([], fail)
    assert b"first\n" == (tmp_path / "x").read_bytes()


def test_first_lines_of_a_file(tmp_path):
    """A file that nobody has written to gets them too."""
    appender = acquire(str(tmp_path / "new"), 0o600, True)
    assert [True] * 4 == appender.append_many(keyed(), fail)
    release(appender)
    assert WHOLE == (tmp_path / "new").read_bytes()


def test_what_came_before(opened, tmp_path):
    """What the file has already is not written again, whichever way it came."""
    appender, lines = opened(), keyed()
    appender.append(lines[1][0], fail, lines[1][1])
    assert [True, False, True, True] == appender.append_many(lines, fail)
    assert [False] * 4 == appender.append_many(lines, fail)
    assert not appender.append(lines[0][0], fail, lines[0][1])
    assert sorted([b"first", *LINES]) == sorted((tmp_path / "x").read_bytes().split())


@pytest.mark.parametrize("size", range(1, len(WHOLE)))
def test_write_that_ends_early(opened, monkeypatch, tmp_path, size):
    """A write that ends at any byte is completed: each line is there once, and whole."""
    appender, write, calls = opened(), os.write, []

    def short(fd, data):
        calls.append(data)
        return write(fd, data[:size] if len(calls) == 1 else data)

    monkeypatch.setattr(os, "write", short)
    assert [True] * 4 == appender.append_many(keyed(), fail)
    assert b"first\n" + WHOLE == (tmp_path / "x").read_bytes()


@pytest.mark.parametrize("size", range(len(WHOLE)))
def test_disk_that_gets_full(opened, monkeypatch, tmp_path, size):
    """What does not fit is an error of its own line; those before it are there, none is glued."""
    appender, write, calls = opened(), os.write, []

    def full(fd, data):
        calls.append(data)
        if len(calls) == 1 and size:
            return write(fd, data[:size])
        raise OSError(errno.ENOSPC, "full")

    lines = keyed()
    monkeypatch.setattr(os, "write", full)
    results = appender.append_many(lines, fail)
    monkeypatch.setattr(os, "write", write)
    whole = WHOLE[: size + 1].count(b"\n")  # a newline that is missing comes with the next line
    assert [True] * whole == results[:whole]
    assert all(errno.ENOSPC == each.errno for each in results[whole:])
    appender._retry_at = 0
    again = appender.append_many(lines, fail)
    assert [False] * whole + [True] * (4 - whole) == again
    found = (tmp_path / "x").read_bytes().split(b"\n")
    assert all(1 == found.count(line) for line in LINES)


@pytest.mark.parametrize("left", [b"torn", b"torn\nmore", b"whole\n"])
def test_others_between_look_and_write(opened, monkeypatch, tmp_path, left):
    """Behind what another process left in that moment each line is once whole."""
    appender, write, calls = opened(), os.write, []

    def late(fd, data):
        if not calls:
            with open(tmp_path / "x", "ab", buffering=0) as peer:
                write(peer.fileno(), left)
        calls.append(data)
        return write(fd, data)

    monkeypatch.setattr(os, "write", late)
    assert [True] * 4 == appender.append_many(keyed(), fail)
    found = (tmp_path / "x").read_bytes().split(b"\n")
    assert all(1 == found.count(line) for line in LINES)


@pytest.mark.parametrize("size", range(1, len(WHOLE)))
def test_torn_tail_and_early_end(opened, monkeypatch, tmp_path, size):
    """Both at once: a fragment before, and a write that ends early."""
    appender, write, calls = opened(), os.write, []

    def late(fd, data):
        calls.append(data)
        if len(calls) > 1:
            return write(fd, data)
        with open(tmp_path / "x", "ab", buffering=0) as peer:
            write(peer.fileno(), b"torn")
        return write(fd, data[:size])

    monkeypatch.setattr(os, "write", late)
    assert [True] * 4 == appender.append_many(keyed(), fail)
    found = (tmp_path / "x").read_bytes().split(b"\n")
    assert all(1 == found.count(line) for line in LINES), found


def test_within_a_write(opened, monkeypatch, tmp_path):
    """Lines that come from within a write follow it."""
    appender, write, calls = opened(), os.write, []

    def nested(fd, data):
        if not calls:
            calls.append(data)
            assert [True] * 4 == appender.append_many(keyed(), fail)
        return write(fd, data)

    monkeypatch.setattr(os, "write", nested)
    appender.append(b"outer", fail)
    assert b"first\nouter\n" + WHOLE == (tmp_path / "x").read_bytes()


def test_rotation(opened, tmp_path):
    """A file is rotated before it gets too large, also amid many lines."""
    appender = opened(max_bytes=1000)
    lines = [(b"x" * 99, Key()) for _ in range(100)]
    assert [True] * 100 == appender.append_many(lines, fail)
    sizes = [each.stat().st_size for each in tmp_path.glob("x*")]
    assert len(sizes) >= 10
    assert max(sizes) <= 1000
    assert 100 * 100 + 6 == sum(sizes)


@pytest.mark.parametrize(("durability", "most"), [("disk", 2), ("disk:3", 2), ("disk:100", 0)])
def test_durability(opened, monkeypatch, durability, most):
    """Lines of one write are brought to the disk together, when it is time."""
    from hilt_logging.storage import appender as module

    appender, synced = opened(durability=durability), []
    monkeypatch.setattr(module, "_fdatasync", synced.append)
    assert [True] * 4 == appender.append_many(keyed(), fail)
    assert len(synced) <= most
    assert bool(synced) == bool(most)


def test_failed_sync(opened, monkeypatch):
    """A sync that fails is an error of each line that it was for, and these are not written again."""
    from hilt_logging.storage import appender as module

    def failing(fd):
        raise OSError(errno.EIO, "lost")

    appender, lines = opened(durability="disk"), keyed()
    monkeypatch.setattr(module, "_fdatasync", failing)
    results = appender.append_many(lines, fail)
    assert all(isinstance(each, NotSyncedError) for each in results)
    assert [False] * 4 == appender.append_many(lines, fail)


class TestHandler:
    """`HILTFileHandler.handle_many`."""

    def records(self, kept, number=5):
        for each in range(number):
            emit(prompt(f"Q{each}"))
        return kept.records

    def test_same_file(self, tmp_path, hilt, lines, kept):
        """It writes what `handle` writes."""
        records = self.records(kept)
        one, many = HILTFileHandler(tmp_path / "one"), HILTFileHandler(tmp_path / "many")
        for record in records:
            one.handle(record)
        many.handle_many(records)
        assert lines(tmp_path / "one") == lines(tmp_path / "many")
        assert one.stats() == many.stats()
        one.close()
        many.close()

    def test_filters(self, tmp_path, hilt, lines, kept):
        """Filters decide; one that raises lets nothing pass, and that is counted."""
        records = self.records(kept)
        handler = HILTFileHandler(tmp_path / "x")

        def choose(record):
            text = record.hilt["content"]["text"]
            return 1 / 0 if text == "Q3" else text != "Q1"

        handler.addFilter(choose)
        handler.handle_many(records)
        texts = [e["content"]["text"] for e in lines(tmp_path / "x") if "content" in e]
        assert ["Q0", "Q2", "Q4"] == texts
        assert {"ZeroDivisionError": 1} == handler.stats()["dropped_by"]
        handler.close()

    def test_own_emit(self, tmp_path, hilt, kept):
        """A subclass with an `emit` of its own gets each record there."""
        records, got = self.records(kept), []

        class Own(HILTFileHandler):
            def emit(self, record):
                got.append(record)

        handler = Own(tmp_path / "x")
        handler.handle_many(records)
        assert records == got
        handler.close()

    def test_told_when_another_try_succeeds(self, tmp_path, hilt, lines, kept, monkeypatch):
        """Also once only what was tried again could be written."""
        records = self.records(kept)
        handler, write, calls = HILTFileHandler(tmp_path / "x", on_error="block:1ms"), os.write, []

        def full(fd, data):
            calls.append(data)
            if len(calls) < 4:
                raise OSError(errno.ENOSPC, "full")
            return write(fd, data)

        monkeypatch.setattr(os, "write", full)
        monkeypatch.setattr("hilt_logging.storage.appender._PAUSE_S", 0)
        handler.handle_many(records[:2])
        event, notice = lines(tmp_path / "x")
        assert "Q1" == event["content"]["text"]
        assert {"ENOSPC": 1} == notice["extensions"]["notice"]["by_cause"]
        handler.close()

    def test_losses_are_told(self, tmp_path, hilt, lines, kept, monkeypatch):
        """What could not be written is counted, and told in the file once it can be."""
        records = self.records(kept)
        handler, write = HILTFileHandler(tmp_path / "x"), os.write

        def full(fd, data):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "write", full)
        handler.handle_many(records[:2])
        monkeypatch.setattr(os, "write", write)
        handler.handle_many(records[2:])
        *events, notice = lines(tmp_path / "x")
        assert ["Q2", "Q3", "Q4"] == [event["content"]["text"] for event in events]
        assert {"ENOSPC": 2} == notice["extensions"]["notice"]["by_cause"]
        counts = handler.stats()
        assert (5, 3, 2) == (counts["accepted"], counts["written"], counts["dropped"])
        handler.close()
