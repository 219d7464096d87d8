"""The file as bytes: one line, one write."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from hilt_logging.storage import sharing
from hilt_logging.storage.errors import cause_of
from hilt_logging.storage.sharing import acquire, release


@pytest.fixture
def opened(tmp_path):
    """Acquires appenders and releases them at the end."""
    made = []

    def open_(name="a", permissions=0o600, create_dirs=True):
        made.append(acquire(str(tmp_path / name), permissions, create_dirs))
        return made[-1]

    yield open_
    for each in made:
        if each.users:
            release(each)


def fail(error):
    raise AssertionError(error)


def test_one_write(opened, monkeypatch):
    """A line and its newline are one `os.write`, however long it is."""
    calls, write = [], os.write
    monkeypatch.setattr(os, "write", lambda fd, data: calls.append(data) or write(fd, data))
    appender = opened()
    appender.append(b"x" * 1_000_000, fail)
    assert [b"x" * 1_000_000 + b"\n"] == calls


def test_short_writes(opened, monkeypatch, tmp_path):
    """Short writes are completed."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    opened().append(b"0123456789" * 10, fail)
    assert b"0123456789" * 10 + b"\n" == (tmp_path / "a").read_bytes()


def test_newline_that_does_not_fit(opened, monkeypatch, tmp_path):
    """A line that lacks nothing but its newline is kept: it is there once, and whole."""
    write, calls = os.write, []

    def full(fd, data):
        calls.append(data)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return write(fd, data[:-1] if len(calls) == 1 else data)

    monkeypatch.setattr(os, "write", full)
    appender = opened()
    assert appender.append(b"first", fail)
    assert appender.append(b"second", fail)
    assert b"first\nsecond\n" == (tmp_path / "a").read_bytes()


def test_pause_ends(opened, monkeypatch):
    """What is not tried in a pause after failures does not make the pause longer."""
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    appender = opened()
    for _ in range(20):
        with pytest.raises(OSError, match=r"nothing written|Input"):
            appender.append(b"x", fail)
    assert 3 == appender._failures


def test_write_that_stands_still(opened, monkeypatch):
    """A write that takes nothing any more is an error, not an endless loop."""
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    with pytest.raises(OSError, match="nothing written"):
        opened().append(b"x", fail)


def amid_a_write(monkeypatch, act):
    """Act once as a signal handler would between the look at the end and the write."""
    lseek, acts = os.lseek, [act]

    def interrupted(fd, *args):
        found = lseek(fd, *args)
        while acts:
            acts.pop()()
        return found

    monkeypatch.setattr(os, "lseek", interrupted)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("how", ["close", "another", "anew"])
def test_descriptor_amid_a_write(opened, monkeypatch, tmp_path, how, many):
    """What comes from within a write does not close the descriptor that is about to be written to."""
    appender, foreign, begun = opened(), [], []
    appender.append(b"first", fail)

    def close():
        if how == "close":
            appender.close()
        else:
            os.rename(tmp_path / "a", tmp_path / "renamed")
            appender._look_at = float("-inf")
            appender.append(b"another", fail) if how == "another" else begin()
        foreign.append(os.open(tmp_path / "foreign", os.O_RDWR | os.O_CREAT))

    def begin():
        with pytest.raises(OSError, match="busy"):
            appender.begin_new()
        appender.open()
        begun.append(True)

    amid_a_write(monkeypatch, close)
    if many:
        assert [True, True] == appender.append_many([(b"x", None), (b"y", None)], fail)
    else:
        assert appender.append(b"x\ny", fail)
    monkeypatch.undo()
    appender.append(b"last", fail)
    assert b"" == os.read(foreign[0], 100)
    os.close(foreign[0])
    kept = sorted(tmp_path.glob("[ar]*"), reverse=True)
    assert b"".join(each.read_bytes() for each in kept).startswith(b"first\nx\ny\n")
    assert (how == "anew") is bool(begun)


def test_closed_amid_a_write(opened, monkeypatch):
    """It is closed after it."""
    appender = opened()
    appender.append(b"first", fail)
    amid_a_write(monkeypatch, appender.close)
    appender.append(b"x", fail)
    assert appender._fd is None


def test_another_file_in_its_place(opened, tmp_path):
    """A whole and larger file that a program puts over the descriptor is not written to."""
    appender, mine = opened(), tmp_path / "mine"
    appender.append(b"first", fail)
    mine.write_bytes(b"x" * 99 + b"\n")
    file = os.open(mine, os.O_RDWR)
    os.dup2(file, appender._fd)
    assert appender.append(b"second", fail)
    assert (100, b"first\nsecond\n") == (mine.stat().st_size, (tmp_path / "a").read_bytes())
    os.close(file)


def test_acquired_and_released(opened):
    """One file has one appender, which closes with its last user."""
    first, second = opened(), opened()
    assert first is second
    first.open()
    release(first)
    assert first._fd is not None
    release(second)
    assert first._fd is None
    assert first is not opened()


def test_other_options(opened):
    """Another user must want the same."""
    opened()
    for options in ({"permissions": 0o644}, {"create_dirs": False}):
        with pytest.raises(ValueError, match="in use in this process with other options"):
            opened(**options)


def test_joined(opened, monkeypatch, tmp_path):
    """Lines that come from within a write follow it, in their order."""
    appender, write = opened(), os.write

    def nested(fd, data):
        if data == b"outer\n":
            appender.append(b"first", fail)
            appender.append(b"second", fail)
        return write(fd, data)

    monkeypatch.setattr(os, "write", nested)
    appender.append(b"outer", fail)
    assert b"outer\nfirst\nsecond\n" == (tmp_path / "a").read_bytes()


def test_joined_within_joined(opened, monkeypatch, tmp_path):
    """Also a line that comes while those are written."""
    appender, write, left = opened(), os.write, [b"3", b"2", b"1"]

    def nested(fd, data):
        if left:
            appender.append(left.pop(), fail)
        return write(fd, data)

    monkeypatch.setattr(os, "write", nested)
    appender.append(b"0", fail)
    assert b"0\n1\n2\n3\n" == (tmp_path / "a").read_bytes()


def test_joined_and_lost(opened, monkeypatch):
    """Whoever sent such a line is told if it can't be written."""
    appender, told = opened(), []

    def nested(fd, data):
        if data == b"outer\n":
            appender.append(b"inner", told.append)
            return len(data)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", nested)
    appender.append(b"outer", fail)
    assert ["ENOSPC"] == [cause_of(error) for error in told]


def test_joined_although_the_outer_fails(opened, monkeypatch, tmp_path):
    """A line from within a write that fails is written all the same."""
    appender, write = opened(), os.write

    def nested(fd, data):
        if data == b"outer\n":
            appender.append(b"inner", fail)
            raise OSError(errno.EIO, "broken")
        return write(fd, data)

    monkeypatch.setattr(os, "write", nested)
    with pytest.raises(OSError, match="broken"):
        appender.append(b"outer", fail)
    assert b"inner\n" == (tmp_path / "a").read_bytes()


def test_interrupted_while_joined_lines_are_written(opened, monkeypatch, tmp_path):
    """After Ctrl-C there nothing stays behind for ever."""
    appender, write = opened(), os.write

    def nested(fd, data):
        if data == b"outer\n":
            appender.append(b"interrupted", fail)
            appender.append(b"next", fail)
        if data == b"interrupted\n":
            raise KeyboardInterrupt
        return write(fd, data)

    monkeypatch.setattr(os, "write", nested)
    with pytest.raises(KeyboardInterrupt):
        appender.append(b"outer", fail)
    appender.append(b"later", fail)
    assert b"outer\nlater\nnext\n" == (tmp_path / "a").read_bytes()


def test_first(opened, tmp_path):
    """What comes again with the same key is not written again; an equal key counts for itself."""
    appender, event, equal = opened(), {"a": 1}, {"a": 1}
    comes = [(b"1", event), (b"2", event), (b"3", equal), (b"4", equal), (b"5", None), (b"6", None)]
    assert [True, False, True, False, True, True] == [
        appender.append(line, fail, key) for line, key in comes
    ]
    with open(appender.path, "rb") as written:
        assert b"1\n3\n5\n6\n" == written.read()


def test_first_of_many(opened):
    """What is remembered is bounded."""
    appender = opened()
    events = [{"n": number} for number in range(10_000)]
    assert all(appender.append(b"a", fail, event) for event in events)
    assert len(appender._recent) < 100


def test_pipe(tmp_path):
    """A named pipe is written to as it is."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes")
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    appender = acquire(str(tmp_path / "pipe"), 0o600, True)
    appender.append(b"a", fail)
    appender.append(b"b", fail)
    assert b"a\nb\n" == os.read(reading, 100)
    release(appender)
    os.close(reading)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork_while_the_lock_is_held(opened, forked, tmp_path):
    """A child does not wait for the thread of its parent that holds the lock."""
    appender = opened()
    appender.open()
    held, done = threading.Event(), threading.Event()

    def hold():
        with appender._lock, sharing._sharing:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)

    def child():
        appender.append(b"child", fail)
        release(acquire(str(tmp_path / "other"), 0o600, True))

    code = forked.run(child, timeout=30)
    done.set()
    thread.join()
    assert (0, b"child\n") == (code, (tmp_path / "a").read_bytes())


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "full"), "ENOSPC"),
        (FileNotFoundError(errno.ENOENT, "x"), "ENOENT"),
        (OSError("text"), "OSError"),
        (OSError(99999, "x"), "OSError"),
    ],
)
def test_cause(error, cause):
    """The cause is one word without content."""
    assert cause == cause_of(error)
