"""Faults of the operating system at every place of a run, deaths, stops, forks and descriptors."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

from collections import Counter
from pathlib import Path

import pytest

from hilt_logging import HILTFileHandler, custody, emit
from hilt_logging.analysis import stats
from hilt_logging.io.reader import Faults, read
from hilt_logging.safeguards import sealing
from hilt_logging.storage import exclusion


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.untraced,
]

HERE = Path(__file__).parent
SHORT, KILL, STALL, SHORT_STALL, SHORT_STOP, STOP = -1, -2, -3, -4, -5, -6
EVENTS = 20


def prompt(text="Hi"):
    return {"actor": {"type": "human", "id": "bob"}, "action": "prompt", "content": {"text": text}}


def is_read_as(path, found, other):
    """Check that readers take each event of a file and report each other line, and no more."""
    faults = Faults()
    events = read(path, errors="skip", report=faults, rotated=False)
    assert found == Counter(event.event_id for event in events)
    assert len(other) == faults.count == len({error.line for error in faults.first})
    if len(found) < 1000:
        figures = stats(path, engine="python", rotated=False, report=lambda error: None)
        assert (found.total(), len(other)) == (
            figures.total.events + figures.notices,
            figures.unread,
        )


def content_of(path):
    """The ids of the events in a file and how often each is there; the other lines; the tail."""
    *lines, tail = path.read_bytes().split(b"\n")
    found, other = Counter(), []
    for line in lines:
        try:
            found[json.loads(line)["event_id"]] += 1
        except ValueError:
            other.append(line)
    is_read_as(path, found, [line for line in (*other, tail) if line.strip()])
    return found, other, tail


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.hilt.jsonl"


@pytest.fixture
def attached(hilt):
    """Attaches a handler to the logger of events."""

    def attach(*args, **options):
        handler = HILTFileHandler(*args, **options)
        hilt.addHandler(handler)
        return handler

    return attach


class Telling:
    """A forked child that tells values through a pipe."""

    def __init__(self, forked, function):
        self._reading, out = os.pipe()

        def run():
            os.close(self._reading)
            function(lambda *values: os.write(out, json.dumps(values).encode() + b"\n"))

        self.pid = forked.start(run)
        os.close(out)

    def first(self):
        """Wait until it tells something."""
        assert select.select([self._reading], [], [], 60)[0], "a forked child hangs"

    def told(self):
        """All that it told before its end."""
        parts = []
        while True:
            self.first()
            part = os.read(self._reading, 1 << 16)
            if not part:
                break
            parts.append(part)
        os.close(self._reading)
        return [json.loads(line) for line in b"".join(parts).split(b"\n")[:-1]]


@pytest.fixture
def telling(forked):
    """Forks a child that tells values; the caller waits for it."""
    return lambda function: Telling(forked, function)


@pytest.fixture(scope="module")
def faulty(shim, tmp_path_factory):
    """Runs writers whose system calls fail; returns what they told."""
    switch = tmp_path_factory.mktemp("switch") / "switch"
    switch.write_bytes(bytes(32 + 4096))
    with subprocess.Popen(
        [sys.executable, HERE / "_faulty.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(shim), "FAULTS": str(switch)},
    ) as process:

        def run(path, **scenario):
            process.stdin.write(json.dumps({"path": str(path), **scenario}) + "\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], "a writer hangs"
            return json.loads(process.stdout.readline())

        yield run
        process.stdin.close()
        process.kill()


def checked(path, answer):
    """
    Check that all counts agree with the file; return how many were dropped, and the fragments.

    An event that stands behind a fragment comes once more: each is one whole line exactly once.
    """
    found, other, tail = content_of(path)
    assert b"" == tail
    dropped = 0
    for writer in answer["writers"]:
        ids, counts = writer["ids"], writer["counts"]
        assert None not in ids
        there = [found[each] for each in ids]
        assert [] == [often for often in there if often > 1]
        if counts is None:  # it was killed
            assert len(ids) == sum(there)
            continue
        assert 0 == counts["raised"]
        assert len(ids) == counts["accepted"]
        assert sum(there) == counts["written"]
        assert len(ids) - sum(there) == counts["dropped"]
        dropped += counts["dropped"]
    return dropped, other


linked = pytest.mark.parametrize("evidence", [False, True], ids=["plain", "linked"])


def has_one_chain(path, follow, evidence):
    """Check that every line is linked, or covered by one that is, where lines are linked at all."""
    if evidence:
        assert [] == [line for line in follow(path)[2] if not line.endswith(b"}")]
        assert 0 == custody.verify([path]).exit_code


WRITE_FAULTS = [
    ("EINTR", {"fault": errno.EINTR}, 0),
    ("EAGAIN", {"fault": errno.EAGAIN}, None),
    ("EIO", {"fault": errno.EIO}, 1),
    ("ENOSPC", {"fault": errno.ENOSPC}, 1),
    ("a byte", {"fault": SHORT, "amount": 1}, 0),
    ("three times a byte", {"fault": SHORT, "amount": 1, "times": 3}, 0),
    ("half", {"fault": SHORT, "amount": 1 << 30}, 0),
    ("half, then late", {"fault": SHORT_STALL, "amount": 5}, 0),
    ("late", {"fault": STALL, "amount": 5}, 0),
    ("killed at the half", {"fault": KILL}, 0),
]


class TestFaults:
    @linked
    @pytest.mark.parametrize("peers", [0, 1], ids=["alone", "beside another"])
    @pytest.mark.parametrize(
        ("scenario", "lost"),
        [each[1:] for each in WRITE_FAULTS],
        ids=[each[0] for each in WRITE_FAULTS],
    )
    def test_every_write(self, tmp_path, faulty, follow, scenario, lost, peers, evidence):
        """Whichever write fails, each accepted event is one whole line once or is counted."""
        for at in range(0, EVENTS, 3 if evidence else 1):
            path = tmp_path / str(at)
            answer = faulty(
                path, op="write", at=at, peers=peers, events=EVENTS, evidence=evidence, **scenario
            )
            dropped, other = checked(path, answer)
            has_one_chain(path, follow, evidence)
            assert scenario.get("times", 1) == answer["fired"]
            assert dropped <= 1 if lost is None else lost == dropped
            if not peers:
                assert (scenario["fault"] == KILL) == len(other)
            assert len(other) <= 3

    @pytest.mark.parametrize("peers", [0, 1])
    def test_many_writes(self, tmp_path, faulty, peers):
        """After some failures in a row nothing is tried for a moment, and all is counted."""
        for at in range(0, EVENTS, 5):
            path = tmp_path / str(at)
            answer = faulty(path, op="write", fault=errno.EIO, at=at, times=9, peers=peers)
            dropped, other = checked(path, answer)
            assert (min(EVENTS - at, EVENTS), []) == (dropped, other)

    @linked
    @pytest.mark.parametrize("peers", [0, 1])
    @pytest.mark.parametrize(
        ("op", "fault", "loses"),
        [
            ("fallocate", errno.ENOSPC, True),
            ("fallocate", errno.EOPNOTSUPP, False),
            ("fallocate", errno.EINTR, False),
            ("flock", errno.ENOLCK, False),
            ("flock", errno.EINTR, False),
            ("lseek", errno.EIO, False),
            ("open", errno.EMFILE, None),
            ("open lock", errno.EACCES, False),
            ("open lock", errno.EMFILE, False),
        ],
    )
    def test_other_calls(self, tmp_path, faulty, follow, op, fault, loses, peers, evidence):
        """A lock, a look or a reservation that fails costs no event where the disk has room."""
        for at in range(4):
            path = tmp_path / str(at)
            times = 2 if op == "fallocate" else 1
            if op == "open" and at == 0:
                continue  # set-up, which says so
            answer = faulty(
                path, op=op, fault=fault, at=at, times=times, peers=peers, evidence=evidence
            )
            dropped, other = checked(path, answer)
            has_one_chain(path, follow, evidence)
            assert [] == [line for line in other if line]
            if not loses:
                assert 0 == dropped

    @linked
    @pytest.mark.parametrize("at", [5, 12])
    @pytest.mark.parametrize("dies", [False, True])
    @pytest.mark.parametrize("peers", [0, 1])
    def test_stopped_before_the_write(self, path, faulty, follow, peers, dies, at, evidence):
        """Stopped between look and write, while others write or die: its event is whole once."""
        scenario = {"op": "write", "fault": STOP, "at": at, "evidence": evidence}
        answer = faulty(path, peers=peers, dies=dies, **scenario)
        dropped, other = checked(path, answer)
        has_one_chain(path, follow, evidence)
        assert (1, 0) == (answer["fired"], dropped)
        assert dies == len(other)

    @linked
    @pytest.mark.parametrize("at", [0, 7])
    def test_stopped_amid_the_line(self, path, faulty, follow, at, evidence):
        """Stopped amid its line, while others close it off: its event comes whole once more."""
        answer = faulty(path, op="write", fault=SHORT_STOP, at=at, peers=1, evidence=evidence)
        dropped, other = checked(path, answer)
        has_one_chain(path, follow, evidence)
        assert (1, 0, 1) == (answer["fired"], dropped, len(other))
        assert answer["writers"][1]["counts"]["longest"] < 4


SEALED_FAULTS = [
    *({"fault": KILL, "at": at, "peers": at % 2} for at in range(1, 6)),
    *({"fault": SHORT, "amount": 1 << 30, "at": at, "peers": 1} for at in range(0, 6, 2)),
    {"fault": errno.EIO, "at": 3, "peers": 0},
    {"fault": errno.ENOSPC, "at": 4, "peers": 1},
    {"fault": STOP, "at": 2, "peers": 1, "dies": True},
    {"fault": SHORT_STOP, "at": 3, "peers": 1},
]


@pytest.mark.parametrize(
    "scenario", SEALED_FAULTS, ids=[f"{each['fault']} at {each['at']}" for each in SEALED_FAULTS]
)
def test_sealed(tmp_path, path, faulty, scenario):
    """Whichever write of a sealed log fails, nothing seems changed, and every seal is there."""
    key = sealing.generate()
    sealing.write_new(str(tmp_path / "app.seal"), key)
    (tmp_path / "first.jwk").write_bytes(key.text())
    options = {"evidence": "sealed", "seal_key": str(tmp_path / "app.seal"), "checkpoint_every": 2}
    answer = faulty(path, op="write", events=6, **options, **scenario)
    checked(path, answer)
    verdict = custody.verify(path, seal_keys=[tmp_path / "first.jwk", tmp_path / "app.seal"])
    assert (0, 1) == (verdict.exit_code, answer["fired"])
    assert verdict.chains[0].seals > 1


class TestDeath:
    def test_kill(self, path, attached, telling, forked):
        """With four processes and lines up to 300 KB, kill -9 costs nothing that was accepted."""
        attached(path)
        chance = random.Random(4)

        def write(tell):
            own = random.Random(os.getpid())
            while True:
                size = own.choice((200, 2_000, 5_000, 40_000, 300_000))
                tell(emit(prompt("x" * own.randint(size // 2, size))))

        accepted, rounds = [], int(os.environ.get("KILL_ROUNDS", "10"))
        for _ in range(rounds):
            children = [telling(write) for _ in range(4)]
            for each in children:
                each.first()
            time.sleep(chance.uniform(0, 0.05))
            for each in children:
                os.kill(each.pid, signal.SIGKILL)
            for each in children:
                accepted += [event_id for (event_id,) in each.told()]
                assert -signal.SIGKILL == forked.wait(each.pid)
        accepted.append(emit(prompt()))
        found, other, tail = content_of(path)
        assert b"" == tail
        assert {1} == {found[each] for each in accepted}
        assert len(other) <= 4 * rounds
        assert len(accepted) >= 4 * rounds

    def test_exit_right_after(self, path, attached, forked):
        """The event of a child that leaves by `os._exit` right after it is in the file."""
        attached(path)
        for _ in range(10):
            forked.run(lambda: emit(prompt()))
        found, other, tail = content_of(path)
        assert (10, [], b"") == (len(found), other, tail)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a mebibyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("tmpfs can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_disk_full(small_disk, attached, telling, forked, tmp_path):
    """Two processes on a full disk: nothing glued, nothing cut, and on again when there is room."""
    path, filler, done = small_disk / "log", small_disk / "filler", tmp_path / "done"
    filler.write_bytes(bytes(128 * 1024))
    path.touch(0o600)

    def write(tell):
        handler = attached(path)
        lost, number, until = 0, 0, time.monotonic() + 60
        while not done.exists() and time.monotonic() < until:
            before, number = handler.stats()["written"], number + 1
            accepted = emit(prompt("x" * (number * 997 % 3000)))
            written = handler.stats()["written"] > before
            tell(accepted, written)
            if not written:
                lost = number
                (tmp_path / f"full-{os.getpid()}").touch()
            elif lost and not filler.exists():
                (tmp_path / f"room-{os.getpid()}").touch()
                break  # and leaves room for the other
            time.sleep(0.001)
        counts = handler.stats()
        tell(counts["accepted"], counts["written"], counts["dropped"])

    children = [telling(write) for _ in range(2)]
    sizes, until = [], time.monotonic() + 30
    while len(list(tmp_path.glob("room-*"))) < 2 and time.monotonic() < until:
        sizes.append(path.stat().st_size)
        if len(list(tmp_path.glob("full-*"))) == 2:
            filler.unlink(missing_ok=True)
        time.sleep(0.001)
    done.touch()
    told = [each.told() for each in children]
    assert [0, 0] == [forked.wait(each.pid) for each in children]
    assert 2 == len(list(tmp_path.glob("room-*")))
    assert sizes == sorted(sizes)
    found, other, tail = content_of(path)
    assert ([], b"") == (other, tail)
    for *events, counts in told:
        ids = [event_id for event_id, _ in events]
        assert {1} >= {found[event_id] for event_id, written in events if written}
        assert {0} >= {found[event_id] for event_id, written in events if not written}
        assert [len(ids), sum(found[each] for each in ids)] == counts[:2]
        assert counts[0] == counts[1] + counts[2]
        assert counts[2] > 0


class TestStopped:
    def test_peer_that_holds_the_lock(self, path, attached, forked):
        """A peer that is stopped with the lock in its hand costs the others two seconds, once."""
        attached(path)
        holder = forked.start(self._hold(path))
        os.waitpid(holder, os.WUNTRACED)
        took = []
        for _ in range(200):
            begun = time.monotonic()
            emit(prompt())
            took.append(time.monotonic() - begun)
            time.sleep(0.001)
        os.kill(holder, signal.SIGCONT)
        assert 0 == forked.wait(holder)
        assert 1.5 < max(took) < 4
        assert 1 == len([each for each in took if each > 1])
        found, other, _ = content_of(path)
        assert (200, []) == (len(found), other)

    @staticmethod
    def _hold(path):
        def hold():
            lock = exclusion.Exclusion(str(path), 0o600)
            assert lock.take()
            os.kill(os.getpid(), signal.SIGSTOP)
            lock.give()

        return hold

    def test_writer(self, path, attached, telling, forked):
        """A writer that is stopped again and again amid the writes of others loses nothing."""
        handler = attached(path)

        def write(tell):
            begun = time.monotonic()
            while time.monotonic() < begun + 1:
                tell(emit(prompt("x" * random.choice((50, 5_000, 50_000)))))

        children = [telling(write) for _ in range(2)]
        for each in children:
            each.first()
        accepted, begun = [], time.monotonic()
        while time.monotonic() < begun + 1:
            pid = random.choice(children).pid
            os.kill(pid, signal.SIGSTOP)
            accepted += [emit(prompt()) for _ in range(10)]
            os.kill(pid, signal.SIGCONT)
            time.sleep(random.uniform(0, 0.01))
        for each in children:
            accepted += [event_id for (event_id,) in each.told()]
            assert 0 == forked.wait(each.pid)
        found, other, tail = content_of(path)
        assert ([], b"") == ([line for line in other if line], tail)
        assert set(accepted) == set(found)
        assert {1} == set(found.values())
        assert 0 == handler.stats()["dropped"]


class TestForks:
    def test_in_a_signal_handler(self, path, attached, forked):
        """A fork at any place of a write: child and parent write what is theirs, once."""
        handler = attached(path)
        children, from_parent = [], []

        def fork(*_):
            children.append(forked.start(lambda: emit(prompt("child"))))
            if len(children) < 40:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.002))

        before = signal.signal(signal.SIGALRM, fork)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        try:
            until = time.monotonic() + 20
            while len(children) < 40 and time.monotonic() < until:
                from_parent.append(emit(prompt("parent")))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert {0} == {forked.wait(each) for each in children.copy()}
        found, other, tail = content_of(path)
        assert ([], b"") == ([line for line in other if line], tail)
        assert {1} == set(found.values())
        assert set(from_parent) <= set(found)
        assert len(from_parent) + 40 == len(found)
        assert len(from_parent) == handler.stats()["written"]

    def test_while_threads_log(self, path, attached, telling, forked):
        """Forked while four threads log, each child logs at once."""
        attached(path)
        stop, ids = threading.Event(), []

        def log():
            while not stop.is_set():
                ids.append(emit(prompt("x" * 3000)))

        def write(tell):
            for _ in range(5):
                tell(emit(prompt()))

        threads = [threading.Thread(target=log) for _ in range(4)]
        for each in threads:
            each.start()
        accepted = []
        for _ in range(20):
            child = telling(write)
            accepted += [event_id for (event_id,) in child.told()]
            assert 0 == forked.wait(child.pid)
        stop.set()
        for each in threads:
            each.join()
        found, other, _ = content_of(path)
        assert (100, []) == (len(accepted), other)
        assert sorted(accepted + ids) == sorted(found.elements())

    def test_workers(self, path, attached, telling, forked):
        """Eight workers that were forked before the first event write five hundred events each."""
        attached(path)

        def write(tell):
            for number in range(500):
                tell(emit(prompt("x" * (number % 400))))

        workers = [telling(write) for _ in range(8)]
        accepted = [event_id for each in workers for (event_id,) in each.told()]
        assert [0] * 8 == [forked.wait(each.pid) for each in workers]
        found, other, tail = content_of(path)
        assert ([], b"") == ([line for line in other if line], tail)
        assert sorted(accepted) == sorted(found.elements())
        assert 4000 == len(accepted)


class TestDescriptors:
    def test_all_closed(self, path, attached, forked):
        """Right after all descriptors were closed, events are in the file and nowhere else."""
        attached(path)
        mine = path.with_name("mine")
        mine.write_bytes(b"0123456789" * 1000)

        def child():
            emit(prompt())
            os.closerange(3, 256)
            files = [os.open(mine, os.O_RDWR) for _ in range(20)]
            for _ in range(3):
                emit(prompt())
            time.sleep(0.12)
            emit(prompt())
            inode = os.stat(mine).st_ino
            assert {inode} == {os.fstat(each).st_ino for each in files}

        assert 0 == forked.run(child)
        assert 5 == len(content_of(path)[0])
        assert b"0123456789" * 1000 == mine.read_bytes()

    def test_all_closed_and_none_opened(self, path, attached, forked):
        """Descriptors that somebody closed cost no event."""
        handler = attached(path)

        def child():
            emit(prompt())
            os.closerange(3, 256)
            emit(prompt())
            emit(prompt())
            assert (3, 0) == (handler.stats()["written"], handler.stats()["dropped"])

        assert 0 == forked.run(child)
        assert 3 == len(content_of(path)[0])

    def test_replaced(self, path, attached, forked):
        """A file that a program puts over our descriptor is not written to, locked or closed."""
        import fcntl

        handler = attached(path)
        mine = path.with_name("mine")

        def child():
            emit(prompt())
            taken = [handler._appender._fd, handler._appender._exclusion._fd]
            file = os.open(mine, os.O_RDWR | os.O_CREAT)
            for each in taken:
                os.dup2(file, each)
            for _ in range(3):
                emit(prompt())
            time.sleep(0.12)
            emit(prompt())
            for each in taken:
                assert os.path.samestat(os.fstat(file), os.fstat(each))
            assert 0 == handler.stats()["dropped"]
            with open(mine) as another:
                fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(another, fcntl.LOCK_UN)
                fcntl.flock(file, fcntl.LOCK_EX)
                time.sleep(0.12)
                emit(prompt())
                with pytest.raises(BlockingIOError):
                    fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)

        assert 0 == forked.run(child)
        assert 6 == len(content_of(path)[0])
        assert b"" == mine.read_bytes()

    def test_none_left(self, path, attached, forked):
        """A forked child that gets no descriptor of its own writes through its parent's."""
        import resource

        attached(path)
        emit(prompt())

        def child():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            with contextlib.suppress(OSError):
                while True:
                    os.dup(0)
            for _ in range(3):
                emit(prompt())

        assert 0 == forked.run(child)
        assert 4 == len(content_of(path)[0])

    def test_no_stdio(self, path, forked, hilt):
        """Without stdin, stdout and stderr the log does not take their place."""

        def child():
            os.closerange(0, 3)
            handler = HILTFileHandler(path)
            hilt.addHandler(handler)
            emit(prompt())
            for fd in range(3):
                with pytest.raises(OSError, match="Bad file"):
                    os.write(fd, b"noise of a library\n")
            assert 1 == handler.stats()["written"]

        assert 0 == forked.run(child)
        found, other, _ = content_of(path)
        assert (1, []) == (len(found), other)


class TestPlaces:
    def test_link_in_its_place(self, path, attached):
        """A link in the file's place is followed to its target, which it is appended to."""
        attached(path)
        first, target = emit(prompt()), path.with_name("target")
        target.write_bytes(b"torn")
        path.rename(path.with_name("moved"))
        path.symlink_to(target)
        time.sleep(0.12)
        second = emit(prompt())
        assert [first] == list(content_of(path.with_name("moved"))[0])
        assert ([second], [b"torn"], b"") == (
            list(content_of(target)[0]),
            *content_of(target)[1:],
        )

    def test_pipe_in_its_place(self, path, attached, forked):
        """A named pipe in the file's place, which nobody reads, holds the program up once."""
        handler = attached(path)

        def child():
            path.unlink()
            os.mkfifo(path)
            time.sleep(0.12)
            begun = time.monotonic()
            for _ in range(100):
                emit(prompt("x" * 3000))
            assert time.monotonic() - begun < 5
            assert 100 == handler.stats()["accepted"]
            assert 0 < handler.stats()["dropped"] < 90

        assert 0 == forked.run(child)

    def test_slow_reader_of_a_pipe(self, path, attached):
        """A line that got into a full pipe by half stays alone there."""
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        attached(path)
        lines = b""
        for number in range(40):
            emit(prompt("x" * 5000))
            if number == 30:  # by then it has been waited for
                lines += os.read(reading, 1 << 20)
                time.sleep(0.6)
        lines += os.read(reading, 1 << 20)
        os.close(reading)
        whole = [line for line in lines.split(b"\n") if line.endswith(b"}")]
        assert [] == [line for line in whole if line.count(b"hilt_version") != 1]
        assert len(whole) > 15

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root only")
    def test_not_ours_any_more(self, tmp_path, attached, forked):
        """Without the right to open the file anew, events go on into the open one."""
        folder = tmp_path / "logs"
        handler = attached(folder / "log")

        def child():
            emit(prompt())
            os.chmod(folder / "log", 0o400)
            os.chmod(folder, 0o555)
            os.seteuid(65534)
            for _ in range(3):
                emit(prompt())
                time.sleep(0.06)
            assert (4, 0) == (handler.stats()["written"], handler.stats()["dropped"])

        assert 0 == forked.run(child)
        assert 4 == len(content_of(folder / "log")[0])

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root only")
    def test_for_writing_only(self, tmp_path, hilt, forked):
        """A file that may be written but not read gets no line behind a fragment."""
        log = tmp_path / "log"
        log.write_bytes(b"torn")
        os.chmod(log, 0o222)
        os.chmod(tmp_path, 0o777)
        for parent in list(tmp_path.parents)[:3]:
            if parent.name.startswith("pytest"):
                os.chmod(parent, 0o755)

        def child():
            os.seteuid(65534)
            hilt.addHandler(HILTFileHandler(log))
            for _ in range(3):
                emit(prompt())

        assert 0 == forked.run(child)
        found, other, tail = content_of(log)
        assert (3, [b"torn"], b"") == (len(found), other, tail)
