"""Seals as one process makes them: after the line, in time, and never in the way of an event."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import pytest

from hilt_logging.safeguards import sealing
from hilt_logging.safeguards.chain import link_of
from hilt_logging.storage import sealing as storing
from hilt_logging.storage.options import Evidence, FileOptions
from hilt_logging.storage.sealing import Seals
from hilt_logging.storage.sharing import acquire, release


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

LINE = b'{"hilt_version":"1.0.0","n":%d}'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def file(tmp_path):
    """The file of a key that was made an hour ago."""
    first = sealing.FirstKey(os.urandom(32), int(time.time()) - 3600)
    sealing.write_new(str(tmp_path / "seal"), first)
    return sealing.SealFile(str(tmp_path / "seal"))


@pytest.fixture
def opened(path, file):
    """Opens the sealed log; all that were opened are closed."""
    appenders = []

    def open_it(every=1000, seconds=3600.0, **options):
        evidence = Evidence(every, seconds, seal_key=file.path, seal=file)
        appender = acquire(str(path), 0o600, True, FileOptions(evidence=evidence, **options))
        appenders.append(appender)
        return appender

    yield open_it
    for each in appenders:
        release(each)


def put(appender, *numbers):
    for number in numbers:
        appender.append(LINE % number, lambda error: pytest.fail(str(error)))


def numbers_in(*paths):
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    found = [link_of(line) for line in lines]
    return [each.seal.number for each in found if each is not None and each.seal is not None]


def until(is_so):
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestSeals:
    def test_order(self, path, opened, file, monkeypatch):
        """The line is written and on the disk before the key moves on, and that is on the disk, too."""
        calls = []

        def noted(module, name, what):
            real = getattr(module, name)
            monkeypatch.setattr(module, name, lambda *a: (calls.append(what), real(*a))[1])

        noted(os, "write", "line")
        noted(storing, "_fdatasync", "log")
        noted(os, "pwrite", "key")
        noted(sealing, "_fdatasync", "keys")
        appender = opened(every=2)
        put(appender, 1)
        put(appender, 2)
        first = calls.index("log")
        assert ["line", "log", "key", "keys", "key", "keys"] == calls[first - 1 : first + 5]
        assert 1 == file.read()[0].number

    def test_many_in_one_write(self, path, opened, file):
        """What is written in one has one seal, so that who is killed then repeats no other one."""
        appender = opened(every=2)
        lines = [(LINE % number, None) for number in range(9)]
        assert [True] * 9 == appender.append_many(lines, lambda error: None)
        assert [0] == numbers_in(path)
        assert 1 == file.read()[0].number
        assert link_of(path.read_bytes().splitlines()[-1]).seal

    def test_rotation(self, path, opened, file):
        """The last line of a file is sealed before it is moved aside."""
        appender = opened(max_bytes=4000)
        put(appender, *range(60))
        release(appender)
        appender.users += 1
        rotated = sorted(path.parent.glob("log.*"))
        assert len(rotated) > 3
        assert all(link_of(each.read_bytes().splitlines()[-1]).seal for each in rotated)
        assert list(range(len(rotated) + 1)) == numbers_in(*rotated, path)

    def test_without_the_key(self, path, opened, file):
        """What can't be sealed is written all the same, with a digest."""
        appender = opened(every=2)
        os.unlink(file.path)
        put(appender, *range(5))
        lines = path.read_bytes().splitlines()
        assert [] == numbers_in(path)
        assert 3 == sum(link_of(line).digest is not None for line in lines)
        stats = appender.links.stats()
        assert (0, {"FileNotFoundError of the key that seals": 3}) == (
            stats["seals"],
            stats["seal_failures"],
        )

    def test_minutes_that_pass(self, path, file):
        """The key of a minute that is over goes although nothing is sealed; its number stays."""
        seals = Seals(str(path), file)
        before = file.read()[0]
        seals.keep_time()
        key, bond = file.read()
        assert key.is_same(before.at(0, 60))
        assert bond == sealing.Bond()
        seals.keep_time()
        assert file.read()[0].is_same(key)

    def test_hint(self, path, opened, file):
        """What was sealed last is written down, so that an older key is known as such."""
        appender = opened(every=2)
        put(appender, *range(3))
        release(appender)
        appender.users += 1
        seals = Seals(str(path), file)
        assert seals.misfit("", None) is None
        assert seals.misfit("", [file.name, 1]) is None
        assert seals.misfit("", ["another", 99]) is None
        assert "older than the log" in seals.misfit("", [file.name, 99])
        assert "another log" in Seals("/another/log", file).misfit("another chain", None)


def _flipped(path, before):
    data = bytearray(path.read_bytes())
    for index in range(0, len(data), 37):
        data[index] ^= 1 << index % 8
    path.write_bytes(data)


def _other_key(path, before):
    sealing.write_new(str(path), sealing.generate(), force=True)


HARMS = {
    "gone": lambda path, before: path.unlink(),
    "empty": lambda path, before: path.write_bytes(b""),
    "cut amid the key": lambda path, before: os.truncate(path, 200),
    "cut by a byte, each slot": lambda path, before: path.write_bytes(path.read_bytes()[1:]),
    "bits flipped": _flipped,
    "zeros": lambda path, before: path.write_bytes(bytes(1024)),
    "much longer": lambda path, before: path.write_bytes(b"x" * 100_000 + path.read_bytes()),
    "a folder": lambda path, before: (path.unlink(), path.mkdir()),
    "a pipe": lambda path, before: (path.unlink(), os.mkfifo(path, 0o600)),
    "a link to nowhere": lambda path, before: (path.unlink(), path.symlink_to("nowhere")),
    "a link to itself": lambda path, before: (path.unlink(), path.symlink_to(path)),
    "readable for others": lambda path, before: path.chmod(0o644),
    "a first key": lambda path, before: path.write_bytes(sealing.generate().text()),
    "another key": _other_key,
    "an older copy": lambda path, before: path.write_bytes(before),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("at_once", [False, True])
def test_file_of_the_key_is_harmed(path, opened, file, follow, capsys, harm, at_once):
    """No event is lost by it, all is linked, it is told, and what is right again seals again."""
    key = type(path)(file.path)
    before = key.read_bytes()
    appender = opened(every=3)
    put(appender, *range(10))
    sealed, whole = numbers_in(path), key.read_bytes()
    assert [0, 1, 2] == sealed
    harm(key, before)
    if at_once:
        lines = [(LINE % number, None) for number in range(10, 20)]
        assert [True] * 10 == appender.append_many(lines, lambda error: None)
    else:
        put(appender, *range(10, 20))
    assert sealed == numbers_in(path)
    assert sum(appender.links.stats()["seal_failures"].values()) > 0
    assert "key that seals" in capsys.readouterr().err
    if key.is_dir() and not key.is_symlink():
        key.rmdir()
    else:
        key.unlink(missing_ok=True)
    key.write_bytes(whole)
    key.chmod(0o600)
    put(appender, *range(20, 26))
    release(appender)
    appender.users += 1
    assert ([], []) == follow(path)[1:]
    said = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert list(range(26)) == [each["n"] for each in said if "n" in each]
    assert list(range(len(numbers_in(path)))) == numbers_in(path)
    assert len(numbers_in(path)) > 3


class TestClock:
    def test_in_time(self, path, opened):
        """Lines are sealed although none comes after them, and once only."""
        told = []
        appender = opened(seconds=0.1)
        appender.links.clock.told = lambda: told.append(threading.get_ident())
        put(appender, *range(3))
        until(lambda: told)
        time.sleep(0.3)
        assert [0] == numbers_in(path)
        assert threading.get_ident() not in told

    def test_ends(self, path, opened):
        """The thread ends when the log is closed, and another one begins with the next line."""
        appender = opened(seconds=3600.0)
        put(appender, 1)
        running = appender.links.clock._running
        assert running.locked()
        release(appender)
        until(lambda: not running.locked())
        again = opened(seconds=0.1)
        put(again, 2)
        assert again.links.clock._running.locked()
        appender.users += 1

    def test_no_thread(self, path, opened, monkeypatch):
        """Where no thread can be started, lines are written all the same."""

        def fail(*values):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(storing._thread, "start_new_thread", fail)
        appender = opened()
        put(appender, 1)
        assert not appender.links.clock._running.locked()

    def test_failure(self, path, opened, capsys):
        """What fails in the thread is counted."""
        appender = opened(seconds=0.1)
        appender.links.clock.told = lambda: 1 / 0
        put(appender, 1)
        until(lambda: appender.rotation_troubles.by_cause())
        assert {"ZeroDivisionError": 1} == appender.rotation_troubles.by_cause()
        assert "ZeroDivisionError" in capsys.readouterr().err
