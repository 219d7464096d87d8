"""
The scenarios of `faults.py`: what goes wrong while a contender writes to a file.

    python benchmarks/fault_scenarios.py SCENARIO CONTENDER FOLDER

plays one of them; its log files and the notes of its callers are then in the folder.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib
import importlib.util
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_contenders import CONTENDERS


TESTS = Path(__file__).resolve().parent.parent / "tests"
EVENTS = 20
RUN_MAY_TAKE_S = 60
WRITER_MAY_TAKE_S = 8
CALL_MAY_TAKE_S = 5
STOPPED_S = 10
SHORT, KILL, SHORT_STALL, SHORT_STOP, STOP = -1, -2, -4, -5, -6  # as in tests/storage/shim.c
HALF = 1 << 30
Call = Callable[..., None]


class Run:
    """
    What a scenario has at hand: a contender in as many processes as it likes, and the faults.

    Each caller notes down in a file what became of its calls, so that this outlives it.
    """

    def __init__(self, contender: Any, folder: Path) -> None:
        self.contender = contender
        self.folder = folder
        for name in contender.modules:
            importlib.import_module(name)  # once, rather than in each process
        self._notes = os.open(folder / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._paths = 0

    def note(self, what: str, event_id: str = "") -> None:
        """Write a line of notes."""
        os.write(self._notes, f"{what} {event_id}\n".encode())

    def path(self) -> Path:
        """The log of a new round."""
        self.note("round")
        self._paths += 1
        made = self.folder / str(self._paths) / "log.jsonl"
        made.parent.mkdir()
        return made

    def caller(self, log: Any, hangs_after: float = CALL_MAY_TAKE_S) -> Call:
        """What calls a logger and notes down what came of it."""

        def call(text: str = "", payload: Any = None) -> None:
            began = time.monotonic()
            try:
                event_id, refused = log(text, payload)
            except BaseException:
                self.note("raised")
            else:
                self.note("refused" if refused else "accepted", event_id)
            if time.monotonic() - began > hangs_after:
                self.note("hung")

        return call

    def fork(self, function: Callable[[], object]) -> int:
        """Run a function in a process of its own."""
        pid = os.fork()
        if pid:
            return pid
        try:
            function()
        except BaseException as error:  # the scenario's own failure, not the contender's
            self.note("failed", f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)

    def writer(
        self, path: Path, body: Callable[[Call], object], arm: Any = None, **options: Any
    ) -> int:
        """A process that has the contender log into a file; an armed one may be stopped there."""

        def write() -> None:
            if arm is not None:
                arm(path)
            limit = CALL_MAY_TAKE_S if arm is None else math.inf
            body(self.caller(self.contender(path, **options), limit))

        return self.fork(write)

    def wait(self, *pids: int, limit: float = WRITER_MAY_TAKE_S) -> None:
        """Wait for processes; those that do not end hang."""
        until = time.monotonic() + limit
        for pid in pids:
            status = self._status(pid, until)
            if status is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self.note("hung")
            elif os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
                self.note("failed", f"a process died of signal {os.WTERMSIG(status)}")

    def _status(self, pid: int, until: float) -> int | None:
        while time.monotonic() < until:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status
            time.sleep(0.001)
        return None

    @functools.cached_property
    def switch(self) -> Any:
        """What the shim is switched with."""
        return loaded(TESTS / "storage" / "_faulty.py").Switch(os.environ["FAULTS"])

    def fault(self, number: int, at: int, amount: int = 0) -> Callable[[Path], None]:
        """What arms a writer: its write number *at* to its log fails in a way that the shim has."""
        switch = self.switch
        return lambda path: switch.set(str(path), "write", at, 1, number, amount)

    def check(self) -> None:
        """Note down a fault that did not happen."""
        if self.switch.fired() != 1:
            self.note("failed", "a fault did not happen")


def loaded(path: Path) -> Any:
    """A module of the tests."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def few(call: Call) -> None:
    for number in range(EVENTS):
        call("x" * (100 + number))
        time.sleep(0.000_3)


def last(call: Call) -> None:
    call("after it")
    call("after it")


def for_a_while(seconds: float, pause: float, most: int = 0) -> Callable[[Call], None]:
    def body(call: Call) -> None:
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            call("x" * (number * 997 % most if most else 100))
            time.sleep(pause)

    return body


def each_write(run: Run, number: int, amount: int = 0) -> None:
    """Alone, and beside another writer."""
    for peers in (0, 1):
        for at in range(EVENTS):
            path = run.path()
            others = [run.writer(path, few) for _ in range(peers)]
            run.wait(run.writer(path, few, run.fault(number, at, amount)), *others)
            run.check()
            run.wait(run.writer(path, last))


def killed_amid_a_write(run: Run) -> None:
    for at in range(EVENTS):
        path = run.path()
        other = run.writer(path, few)
        run.wait(run.writer(path, few, run.fault(KILL, at)), other)
        run.check()
        run.wait(run.writer(path, last))


def killed(run: Run) -> None:
    def write(call: Call) -> None:
        own = random.Random(os.getpid())
        while True:
            size = own.choice((200, 2_000, 5_000, 40_000, 300_000))
            call("x" * own.randint(size // 2, size))

    chance, path = random.Random(4), run.folder / "log.jsonl"
    for _ in range(50):
        run.note("round")
        pids = [run.writer(path, write) for _ in range(4)]
        time.sleep(0.03 + chance.uniform(0, 0.03))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        run.wait(*pids)
    run.wait(run.writer(path, last))


def disk_full(run: Run) -> None:
    disk = run.folder / "disk"
    disk.mkdir()
    for number in range(3):
        run.note("round")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
        try:
            filler = disk / "filler"
            filler.write_bytes(bytes(128 * 1024))
            body = for_a_while(1.6, 0.001, most=3000)
            pids = [run.writer(disk / "log.jsonl", body) for _ in range(2)]
            time.sleep(0.7)
            filler.unlink()
            run.wait(*pids)
            run.wait(run.writer(disk / "log.jsonl", last))
            shutil.copytree(disk, run.folder / f"full-{number}")
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


def forked(run: Run) -> None:
    path = run.folder / "log.jsonl"

    def parent(call: Call) -> None:
        stop = threading.Event()

        def log() -> None:
            while not stop.is_set():
                call("x" * 3000)

        def child() -> None:
            for _ in range(5):
                call("child")

        threads = [threading.Thread(target=log, daemon=True) for _ in range(4)]
        for each in threads:
            each.start()
        pids = []
        for _ in range(30):
            time.sleep(0.02)
            run.note("round")
            pids.append(run.fork(child))
        stop.set()
        run.wait(*pids, limit=4)
        for each in threads:
            each.join(2)

    run.wait(run.writer(path, parent), limit=30)


def own_rotation(run: Run) -> None:
    def write(call: Call) -> None:
        for _ in range(500):
            call("x" * 100)

    for _ in range(3):
        path = run.path()
        run.wait(*[run.writer(path, write, max_bytes=50_000) for _ in range(4)], limit=20)


def renamed(run: Run) -> None:
    """What was renamed is collected and deleted soon, as logrotate does that compresses."""
    path = run.folder / "log.jsonl"
    pids = [run.writer(path, for_a_while(3, 0.001), watches=True) for _ in range(2)]
    time.sleep(0.3)
    for number in range(6):
        run.note("round")
        aside = path.with_name("log.jsonl.1")
        path.rename(aside)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        time.sleep(0.35)
        shutil.copyfile(aside, run.folder / f"collected-{number}")
        aside.unlink()
        time.sleep(0.05)
    run.wait(*pids)


def copytruncate(run: Run) -> None:
    path = run.folder / "log.jsonl"
    pids = [run.writer(path, for_a_while(2.6, 0.001), watches=True) for _ in range(2)]
    time.sleep(0.3)
    for number in range(10):
        run.note("round")
        shutil.copyfile(path, run.folder / f"collected-{number}")
        time.sleep(0.005)  # as with a larger file
        os.truncate(path, 0)
        time.sleep(0.2)
    run.wait(*pids)


def hostile(run: Run) -> None:
    payloads = loaded(TESTS / "test_emit.py")._payloads

    def write(call: Call) -> None:
        for payload in payloads():
            call("hostile", payload)

    run.wait(run.writer(run.path(), write), limit=20)


def signals(run: Run) -> None:
    def write(call: Call) -> None:
        busy: list[bool] = []

        def on_signal(*_: Any) -> None:
            if not busy:  # signals that come faster than they are handled would pile up
                busy.append(True)
                call("inner" * 200)
                busy.clear()

        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            call("outer" * 400)
        signal.setitimer(signal.ITIMER_REAL, 0)

    for _ in range(3):
        run.wait(run.writer(run.path(), write))


def stopped(run: Run) -> None:
    """At the first write and amid others: before the write, and when half of it is done."""
    rounds = []
    for number, at in ((STOP, 0), (STOP, 7), (SHORT_STOP, 7)):
        path = run.path()
        pid = run.writer(path, few, run.fault(number, at))
        os.waitpid(pid, os.WUNTRACED)
        rounds.append((path, pid))
    others = [run.writer(path, few) for path, _ in rounds]
    time.sleep(STOPPED_S)
    for _, pid in rounds:
        os.kill(pid, signal.SIGCONT)
    run.wait(*others, *(pid for _, pid in rounds))
    for path, _ in rounds:
        run.wait(run.writer(path, last))


@dataclasses.dataclass
class Scenario:
    """What goes wrong, and what it takes to let it go wrong."""

    play: Callable[[Run], None]
    needs_shim: bool = False
    needs_root: bool = False


def _each_write(number: int, amount: int = 0) -> Scenario:
    return Scenario(functools.partial(each_write, number=number, amount=amount), needs_shim=True)


SCENARIOS = {
    "short write, at each of 20 writes": _each_write(SHORT, HALF),
    "short write, its rest 5 ms later, at each of 20": _each_write(SHORT_STALL, 5),
    "EINTR at each of 20 writes": _each_write(errno.EINTR),
    "ENOSPC at each of 20 writes": _each_write(errno.ENOSPC),
    "EIO at each of 20 writes": _each_write(errno.EIO),
    "SIGKILL at a half-written line, another goes on": Scenario(killed_amid_a_write, True),
    "kill -9 of 4 processes": Scenario(killed),
    "disk full and space back, 2 processes": Scenario(disk_full, needs_root=True),
    "fork while 4 threads log": Scenario(forked),
    "own rotation, 4 processes": Scenario(own_rotation),
    "rename and create, 2 processes": Scenario(renamed),
    "copytruncate, 2 processes": Scenario(copytruncate),
    "hostile payloads": Scenario(hostile),
    "signal handler that logs": Scenario(signals),
    "peer stopped for 10 s": Scenario(stopped, True),
}


if __name__ == "__main__":
    scenario, contender, into = sys.argv[1:]
    try:
        SCENARIOS[scenario].play(Run(CONTENDERS[contender], Path(into)))
    except Exception:
        traceback.print_exc()
        os.killpg(0, signal.SIGKILL)  # with its writers, some of which never end by themselves
