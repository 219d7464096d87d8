"""How a log ends, and lines that are linked to it, whatever others do to the file meanwhile."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import signal
import sys
import threading
import time

import pytest

from hilt_logging import custody
from hilt_logging.safeguards.chain import link_of
from hilt_logging.storage import exclusion
from hilt_logging.storage.chaining import Links, is_chained, misfit, summary_of
from hilt_logging.storage.options import Evidence, FileOptions
from hilt_logging.storage.sharing import acquire, release


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

LINE = b'{"hilt_version":"1.0.0","n":%d}'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def opened(path):
    """Opens the log, its lines linked; all that were opened are closed."""
    appenders = []

    def open_it(**options):
        evidence = Evidence(options.pop("checkpoint_every", 1000))
        appender = acquire(str(path), 0o600, True, FileOptions(evidence=evidence, **options))
        appenders.append(appender)
        return appender

    yield open_it
    for each in appenders:
        release(each)


def refuse(error):
    raise AssertionError(error)


def put(appender, *numbers):
    for number in numbers:
        appender.append(LINE % number, refuse)


def numbers_in(*paths):
    lines = b"".join(path.read_bytes() for path in paths).splitlines()
    events = [json.loads(line) for line in lines if line[:1] + line[-1:] == b"{}"]
    return [event["n"] for event in events if "n" in event]


def notices_in(*paths):
    lines = b"".join(path.read_bytes() for path in paths).splitlines()
    events = [
        json.loads(line) for line in lines if line.startswith(b'{"hilt') and b"notice" in line
    ]
    return [event["extensions"]["notice"] for event in events]


def kinds_in(*paths):
    return [notice["kind"] for notice in notices_in(*paths)]


class TestOneProcess:
    def test_lines(self, path, opened, follow):
        """Every line is linked to the one before; the process says that it begins and ends."""
        appender = opened(checkpoint_every=3)
        put(appender, *range(5))
        release(appender)
        events, between, strays = follow(path)
        assert ([], []) == (between, strays)
        assert [0, 1, 2, 3, 4] == numbers_in(path)
        assert ["opened", "checkpoint", "checkpoint", "closed"] == kinds_in(path)
        assert list(range(9)) == [link_of(line).seq for line in events]
        appender.users += 1

    def test_many_at_once(self, path, opened, follow, monkeypatch):
        """A batch is one write under one lock, with the checkpoints that are due amid it."""
        appender = opened(checkpoint_every=4)
        writes, write = [], os.write
        monkeypatch.setattr(os, "write", lambda fd, data: writes.append(fd) or write(fd, data))
        results = appender.append_many([(LINE % n, None) for n in range(10)], refuse)
        assert [True] * 10 == results
        assert 1 == writes.count(appender._fd)
        assert (13, [], []) == tuple(map(_length, follow(path)))
        assert ["opened", "checkpoint", "checkpoint"] == kinds_in(path)

    def test_counts(self, path, opened):
        """A checkpoint tells its number, the digest of the line before, and how many events."""
        appender = opened(checkpoint_every=3)
        appender.links.dropped = 2
        put(appender, 0, 1)
        told = notices_in(path)[-1]
        line = path.read_bytes().splitlines()[-1]
        found = link_of(line)
        assert (found.seq, found.prev) == (told["seq"], told["head"])
        assert {"accepted": 4, "written": 2, "dropped": 2} == told["counts"]
        assert "events" == told["reason"]

    def test_after_seconds(self, path, opened):
        """There is a checkpoint with the first line after some time."""
        appender = opened()
        put(appender, 0)
        appender.links.checkpoint_at = appender.links.quick_until = time.monotonic()
        put(appender, 1, 2)
        assert ["opened", "checkpoint"] == kinds_in(path)
        assert "seconds" == notices_in(path)[-1]["reason"]

    def test_full_disk(self, path, opened, follow, monkeypatch):
        """After some failures nothing is tried for a moment; then the chain goes on."""
        appender = opened()
        put(appender, *range(5))
        tried, write = [], os.write

        def full(fd, data):
            tried.append(fd)
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "write", full)
        for number in range(20):
            with pytest.raises(OSError, match=r"full|space"):
                appender.append(LINE % number, refuse)
        assert 3 == tried.count(appender._fd)
        monkeypatch.setattr(os, "write", write)
        appender._retry_at = time.monotonic()
        put(appender, 5, 6)
        assert (8, [], []) == tuple(map(_length, follow(path)))
        assert list(range(7)) == numbers_in(path)

    def test_line_of_another_chain(self, path, opened, follow):
        """A line that comes with a link of its own is linked here, and keeps what it had."""
        appender = opened()
        for _ in range(2):
            appender.append(b'{"n":1,"integrity":{"chain":"x"}}', refuse)
        assert (3, [], []) == tuple(map(_length, follow(path)))
        event = json.loads(path.read_bytes().splitlines()[-1])
        assert {"chain": "x"} == event["extensions"]["original_integrity"]

    def test_signal_handler(self, path, opened, follow):
        """A line from a signal handler amid another one is linked behind it."""
        appender = opened()
        inner = []

        def handle(*_):
            inner.append(len(inner) + 1000)
            put(appender, inner[-1])

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            until = time.monotonic() + 20
            number = 0
            while len(inner) < 30 and time.monotonic() < until:
                put(appender, number)
                number += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert ([], []) == follow(path)[1:]
        assert sorted([*range(number), *inner]) == sorted(numbers_in(path))

    def test_threads(self, path, opened, follow):
        """Threads share one chain."""
        appender = opened(checkpoint_every=50)
        threads = [
            threading.Thread(target=put, args=(appender, *range(each, each + 100)))
            for each in (0, 100, 200)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert ([], []) == follow(path)[1:]
        assert list(range(300)) == sorted(numbers_in(path))

    def test_plain_lines_before(self, path, opened):
        """A chain that begins in a log with lines begins with the digest of the last of them."""
        path.write_bytes(b'{"n":-2}\n{"n":-1}\n')
        put(opened(), 0)
        first, second = map(link_of, path.read_bytes().splitlines()[2:])
        assert (0, None) == (first.seq, first.span)
        assert first.prev == _sha(b'{"n":-1}')
        assert second.seq == 1


class TestOthers:
    def test_foreign_lines(self, path, opened, follow):
        """What others append is covered by the span of the next line: torn or whole, one or more."""
        appender = opened()
        put(appender, 0)
        for foreign in (b'{"n":7}\n', b"torn", b"a\nb\n\n", b'{"n":8}\n{"n":9'):
            with path.open("ab") as file:
                file.write(foreign)
            put(appender, 1, 2)
        events, between, strays = follow(path)
        assert [b'{"n":7}', b"torn", b"a", b"b", b"", b'{"n":8}', b'{"n":9'] == between
        assert (10, []) == (len(events), strays)

    def test_long_foreign_part(self, path, opened, follow):
        """However much others wrote, the chain goes on behind it."""
        appender = opened()
        put(appender, 0)
        with path.open("ab") as file:
            file.write((b"x" * 999 + b"\n") * 700)
        release(appender)
        appender.users += 1
        events, between, strays = follow(path)
        assert (3, 700, 0) == (len(events), len(between), len(strays))

    def test_whole_but_for_its_newline(self, path, opened, follow):
        """A line of which only the newline is missing is one of the chain."""
        appender = opened()
        put(appender, 0)
        os.truncate(path, path.stat().st_size - 1)
        put(appender, 1)
        assert (3, [], []) == tuple(map(_length, follow(path)))

    @pytest.mark.parametrize("at_once", [1, 3])
    @pytest.mark.parametrize("foreign", [b'{"n":7}\n', b"torn", b'torn\n{"n":7}\n'])
    def test_written_between_look_and_write(
        self, path, opened, follow, monkeypatch, foreign, at_once
    ):
        """Who was stopped amid a write while others wrote has his lines covered at once."""
        appender = opened()
        put(appender, 0)
        self._interrupt(monkeypatch, appender, path, foreign)
        lines = [(LINE % number, None) for number in range(1, 1 + at_once)]
        assert [True] * at_once == appender.append_many(lines, refuse)
        assert [] == follow(path)[2]
        put(appender, 9)
        assert [] == follow(path)[2]
        assert 0 == custody.verify([path]).exit_code
        assert [1] == [n for n in numbers_in(path) if n == 1]
        assert {0, *range(1, 1 + at_once), 9} == {n for n in numbers_in(path) if n != 7}

    def test_first_lines_come_late(self, path, opened, follow, monkeypatch):
        """So also with the first lines of a process, in a log that has some."""
        path.write_bytes(b"torn\n")
        appender = opened()
        self._interrupt(monkeypatch, appender, path, b"torn")
        assert [True] * 2 == appender.append_many([(LINE % 1, None), (LINE % 2, None)], refuse)
        put(appender, 9)
        assert 0 == custody.verify([path]).exit_code
        assert {1, 2, 9} == {n for n in numbers_in(path) if n != 7}

    @pytest.mark.parametrize("foreign", [b"torn", b'{"n":7}\n', b'torn\n{"n":7}\n'])
    def test_new_file_begun_by_others(self, path, opened, follow, monkeypatch, foreign):
        """So also where others write the first line of a new file meanwhile."""
        appender = opened()
        put(appender, 0)
        appender.begin_new()
        self._interrupt(monkeypatch, appender, path, foreign)
        lines = [(LINE % number, None) for number in (1, 2, 3)]
        assert [True] * 3 == appender.append_many(lines, refuse)
        put(appender, 9)
        assert 0 == custody.verify([path]).exit_code

    @pytest.mark.parametrize("is_new", [False, True])
    @pytest.mark.parametrize("foreign", [b"torn", b'{"n":7}\n', b'{"n":7}\ntorn'])
    def test_new_file_begun_before(self, path, opened, follow, foreign, is_new):
        """What others wrote first in a new file is covered once, torn or not, by whoever comes next."""
        appender = opened()
        put(appender, 0)
        if is_new:
            release(appender)
            path.rename(path.with_name("log-20260101"))
            path.write_bytes(foreign)
            appender.users += 1
            appender = opened()
        else:
            appender.begin_new()
            with path.open("ab") as file:
                file.write(foreign)
        put(appender, 1, 2)
        before = list(path.parent.glob("log[.-]*"))
        assert [foreign.split(b"\n")[-1]] == follow(*before, path)[1][-1:] or foreign[-1:] == b"\n"
        assert [] == follow(*before, path)[2]
        assert 0 == custody.verify([path]).exit_code

    @pytest.mark.parametrize("foreign", [b"torn", b'{"n":7}\n', b'torn\n{"n":7}\n'])
    def test_checkpoint_comes_late(self, path, opened, follow, monkeypatch, foreign):
        """A checkpoint that stands behind a fragment of others is written again, and no tampering."""
        appender = opened()
        put(appender, 0, 2)
        self._interrupt(monkeypatch, appender, path, foreign, b'"reason":"rotation"')
        appender.begin_new()
        put(appender, 9)
        assert 0 == custody.verify([path]).exit_code

    @staticmethod
    def _interrupt(monkeypatch, appender, path, foreign, sign=b'"n":1'):
        write = os.write

        def interrupted(fd, data):
            if fd == appender._fd and sign in data:
                monkeypatch.setattr(os, "write", write)
                with path.open("ab") as file:
                    file.write(foreign)
            return write(fd, data)

        monkeypatch.setattr(os, "write", interrupted)

    @pytest.mark.parametrize("keeps", [0, 1, 40])
    def test_emptied(self, path, opened, follow, keeps):
        """In a file that somebody emptied the chain goes on with the next number."""
        appender = opened()
        put(appender, 0, 1)
        os.truncate(path, 0)
        path.write_bytes(b"x" * keeps)
        put(appender, 2, 3)
        lines = path.read_bytes().splitlines()
        assert 3 == link_of(lines[-2]).seq
        assert 4 == link_of(lines[-1]).seq
        assert _sha(lines[-2]) == link_of(lines[-1]).prev

    def test_lock_held(self, path, opened, follow, monkeypatch):
        """Lines that have to go without the lock say so, and the next one covers them."""
        monkeypatch.setattr(exclusion, "_WAIT_S", 0.01)
        monkeypatch.setattr(exclusion, "_WITHOUT_S", 0.05)
        appender = opened()
        put(appender, 0)
        holder = exclusion.Exclusion(str(path), 0o600)
        assert holder.take()
        put(appender, 1)
        assert [True] * 2 == appender.append_many([(LINE % 2, None), (LINE % 3, None)], refuse)
        assert not appender.state({"kind": "x"})
        holder.give()
        time.sleep(0.06)
        put(appender, 4)
        events, between, strays = follow(path)
        assert [0, 1, 2, 3, 4] == numbers_in(path)
        assert (3, 3, []) == (len(events), len(between), strays)
        assert all(link_of(line).is_unlinked for line in between)
        assert {link_of(events[0]).chain} == {link_of(line).chain for line in between}
        assert 3 == appender.links.unlinked

    def test_full_disk(self, path, opened, follow, monkeypatch):
        """What did not get onto a full disk whole is lost by count, and the rest is one chain."""
        appender = opened()
        put(appender, 0)
        write = os.write

        def full(fd, data):
            if fd != appender._fd:
                return write(fd, data)
            if len(data) > 50:
                return write(fd, data[:50])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            put(appender, 1)
        monkeypatch.setattr(os, "write", write)
        put(appender, 2)
        assert [0, 2] == numbers_in(path)
        assert (3, 1, 0) == tuple(len(each) for each in follow(path))

    def test_short_writes(self, path, opened, follow, monkeypatch):
        """Lines that the system takes in pieces are whole."""
        appender = opened(checkpoint_every=2)
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:70]))
        put(appender, 0, 1)
        appender.append_many([(LINE % n, None) for n in range(2, 6)], refuse)
        assert ([], []) == follow(path)[1:]
        assert list(range(6)) == numbers_in(path)


class TestFiles:
    def test_own_rotation(self, path, opened, follow):
        """The last line of a file is a checkpoint, and the first one of the next is linked to it."""
        appender = opened(max_bytes=4000)
        put(appender, *range(40))
        files = [*sorted(path.parent.glob("log.*")), path]
        assert len(files) > 2
        assert max(each.stat().st_size for each in files) <= 4000
        assert ([], []) == follow(*files)[1:]
        assert list(range(40)) == numbers_in(*files)
        assert {"rotation"} == {notices_in(each)[-1]["reason"] for each in files[:-1]}

    @pytest.mark.parametrize("tail", [b"", b'{"n":7}\n', b"torn"])
    def test_renamed(self, path, opened, follow, tail):
        """After a rename by others the chain goes on in the new file, behind all of the old one."""
        appender = opened()
        put(appender, 0)
        with path.open("ab") as file:
            file.write(tail)
        path.rename(path.with_name("log.1"))
        put(appender, 1, 2)
        events, between, strays = follow(path.with_name("log.1"), path)
        assert (4, []) == (len(events), strays)
        assert tail.split() == between

    @pytest.mark.parametrize("compress", [False, True])
    def test_begun_empty(self, path, opened, follow, compress):
        """Who begins with an empty file finds the chain in the file before, compressed or not."""
        put(opened(), 0)
        self._end(opened)
        moved = path.with_name("log-20261123")
        path.rename(moved)
        if compress:
            moved.with_name("log-20261123.gz").write_bytes(gzip.compress(moved.read_bytes()))
            content = moved.read_bytes()
            moved.unlink()
        put(opened(), 1)
        if compress:
            moved.write_bytes(content)
        assert ([], []) == follow(moved, path)[1:]

    @staticmethod
    def _end(opened):
        appender = opened()
        release(appender)
        release(appender)
        appender.users += 2

    def test_two_rotations_missed(self, path, opened, follow, forked):
        """Who was idle while others rotated twice goes on where these are."""
        appender = opened()
        put(appender, 0)

        def other():
            put(appender, 1)
            path.rename(path.with_name("log.1"))
            put(appender, 2)
            path.rename(path.with_name("log.2"))

        assert 0 == forked.run(other)
        put(appender, 3)
        assert ([], []) == follow(path.with_name("log.1"), path.with_name("log.2"), path)[1:]

    def test_nothing_found(self, path, opened):
        """Where the files before are gone a new chain begins, and names the old one."""
        put(opened(), 0)
        chain = link_of(path.read_bytes().splitlines()[0]).chain
        self._end(opened)
        path.unlink()
        put(opened(), 1)
        told = notices_in(path)[0]
        assert chain == told["previous_chain"]
        assert chain != told["chain"]

    def test_moved_aside(self, path, opened, follow):
        """A log that is moved aside ends in a checkpoint, torn or not."""
        appender = opened()
        put(appender, 0)
        with path.open("ab") as file:
            file.write(b"torn")
        appender.begin_new()
        (moved,) = path.parent.glob("log.*")
        put(appender, 1)
        assert ["opened", "checkpoint"] == kinds_in(moved)
        assert (4, [b"torn"], []) == (len(follow(moved, path)[0]), *follow(moved, path)[1:])

    def test_deleted(self, path, opened):
        """
        Which files are deleted is on record before they are, with what they held.

        That goes on beside the writing, so the first statement may stand in a file that is itself
        deleted later, and go with it: what is left begins with any file.
        """
        appender = opened(max_bytes=3000, backup_count=1)
        put(appender, *range(30))
        appender._upkeep.close()
        files = [*sorted(path.parent.glob("log.*")), path]
        put(appender, 30)
        told = [each for each in notices_in(*files) if each["kind"] == "pruned"]
        gone = [each for notice in told for each in notice["files"]]
        assert gone
        assert all(not (path.parent / each["name"]).exists() for each in gone)
        assert {"retention"} == {each["by"] for each in told}
        following = [each["first_seq"] for each in gone[1:]]
        assert following == [each["last_seq"] + 1 for each in gone[:-1]]

    def test_deleted_at_once(self, path, opened):
        """What is deleted at once is in one statement, from the first line to that of what is left."""
        appender = opened(max_bytes=3000, backup_count=1)
        assert appender._upkeep._running.acquire(blocking=False)  # as if it were at work
        put(appender, *range(30))
        appender._upkeep._running.release()
        before = {each.name for each in path.parent.glob("log.*")}
        appender._upkeep.close()
        left = sorted(path.parent.glob("log.*"))
        (told,) = [each for each in notices_in(*left, path) if each["kind"] == "pruned"]
        assert before - {each.name for each in left} == {each["name"] for each in told["files"]}
        assert 0 == told["files"][0]["first_seq"]
        following = [each["first_seq"] for each in told["files"][1:]]
        following.append(link_of(left[0].read_bytes().splitlines()[0]).seq)
        assert following == [each["last_seq"] + 1 for each in told["files"]]

    def test_statement(self, path, opened, follow):
        """A notice that is stated is sealed, in the chain and on the disk."""
        appender = opened()
        assert appender.state({"kind": "erased", "key_id": "s-x"})
        line = path.read_bytes().splitlines()[-1]
        assert link_of(line).digest is not None
        assert ([], []) == follow(path)[1:]


class TestForks:
    def test_child(self, path, opened, follow, forked):
        """Children that were forked before and after the first line say that they begin."""
        appender = opened()
        assert 0 == forked.run(lambda: put(appender, 0))
        put(appender, 1)
        assert 0 == forked.run(lambda: put(appender, 2))
        put(appender, 3)
        assert ([], []) == follow(path)[1:]
        assert ["opened"] * 3 == kinds_in(path)
        assert 3 == len({each["process"] for each in notices_in(path)})

    def test_many(self, path, opened, follow, forked):
        """Four processes and two thousand lines, through rotations: one chain, nothing lost."""
        options = {"checkpoint_every": 100, "max_bytes": 60_000}

        def write(first):
            put(opened(**options), *range(first, first + 500))

        children = [forked.start(lambda first=n * 500: write(first)) for n in range(4)]
        assert [0] * 4 == [forked.wait(each) for each in children]
        files = [*sorted(path.parent.glob("log.*")), path]
        assert len(files) > 3
        assert ([], []) == follow(*files)[1:]
        assert list(range(2000)) == sorted(numbers_in(*files))
        assert 4 == kinds_in(*files).count("opened")

    def test_killed(self, path, opened, follow, forked):
        """After kill -9 amid lines of any length there is one chain."""
        for _ in range(5):
            children = [forked.start(lambda: self._write_for_ever(opened)) for _ in range(3)]
            time.sleep(0.08)
            for each in children:
                os.kill(each, signal.SIGKILL)
            assert {-signal.SIGKILL} == {forked.wait(each) for each in children}
        put(opened(), 0)
        assert follow(path)[2] == []

    @staticmethod
    def _write_for_ever(opened):
        appender = opened(checkpoint_every=20)
        while True:
            for length in (50, 3_000, 200_000):
                appender.append(b'{"n":1,"x":"%b"}' % (b"x" * length), refuse)


class TestMisfits:
    def test_pipe(self, path):
        """Lines are linked in a regular file only."""
        os.mkfifo(path)
        assert "no regular file" in misfit(str(path))

    @pytest.mark.parametrize("content", [b"", b"torn", b'{"n":1}\n', b'{"integrity":"x"}\n'])
    def test_fit(self, path, content):
        """A chain can begin behind anything that is no chain."""
        path.write_bytes(content)
        assert misfit(str(path)) is None
        assert not is_chained(str(path))

    def test_changed_bytes(self, path, opened):
        """A chain whose bytes somebody has put in another form is not gone on with."""
        put(opened(), 0)
        assert is_chained(str(path))
        assert misfit(str(path)) is None
        event = json.loads(path.read_bytes().splitlines()[-1])
        path.write_text(json.dumps(event) + "\n")
        assert "bytes were changed" in misfit(str(path))

    def test_no_hint(self, path, opened):
        """What helps to find the chain may be missing, damaged or wrong."""
        for hint in (b"", b"{", b"[]", b'{"chain":7,"inode":"x"}'):
            path.with_name(".log.chain").write_bytes(hint)
            links = Links(str(path), 0o600, Evidence())
            assert links._before((0, 0)).chain == ""

    @pytest.mark.parametrize("name", [".log.chain", ".log.chain.part"])
    @pytest.mark.parametrize("make", [lambda path: os.mkfifo(path, 0o600), os.mkdir])
    def test_no_file_in_the_place_of_the_hint(self, path, opened, follow, name, make):
        """A pipe there is not waited for, a folder is no error, and no descriptor is left open."""
        make(path.with_name(name))
        before = len(os.listdir("/proc/self/fd"))
        for number in range(3):
            appender = opened()
            put(appender, number)
            release(appender)
            path.rename(path.with_name(f"log-{number}"))
            appender.users += 1
        assert before == len(os.listdir("/proc/self/fd"))
        _, between, strays = follow(*(path.with_name(f"log-{number}") for number in range(3)))
        assert ([], []) == (between, strays)

    def test_summary(self, path, opened):
        """What is told of a file that is deleted can be had of any."""
        put(opened(), 0, 1)
        lines = path.read_bytes().splitlines()
        expected = {
            "name": "log",
            "chain": link_of(lines[0]).chain,
            "first_seq": 0,
            "last_seq": 2,
            "head": _sha(lines[-1]),
        }
        assert expected == summary_of(str(path))
        packed = path.with_name("log.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert {**expected, "name": "log.gz"} == summary_of(str(packed))


def _length(found):
    return found if found == [] else len(found)


def _sha(line):
    return hashlib.sha256(line).hexdigest()
