"""What went wrong where nothing may raise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hilt_logging import _diagnostics
from hilt_logging._diagnostics import Tally, Troubles, to_logger, to_stderr


class TestTally:
    def test_counts(self):
        """Reading a tally does not change it."""
        tally = Tally()
        assert [0, 0] == [tally.value(), tally.value()]
        for _ in range(1000):
            tally.add()
        assert [1000, 1000] == [tally.value(), tally.value()]

    def test_threads(self):
        """Threads lose no count."""
        tally = Tally()
        threads = [
            threading.Thread(target=lambda: [tally.add() for _ in range(10_000)]) for _ in range(8)
        ]
        for each in threads:
            each.start()
        while any(each.is_alive() for each in threads):
            assert 0 <= tally.value() <= 80_000
        assert 80_000 == tally.value()

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
    def test_read_in_a_signal_handler(self):
        """A signal handler may read what it interrupts the reading of."""
        tally, seen = Tally(), []
        before = signal.signal(signal.SIGALRM, lambda *args: seen.append(tally.value()))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                assert 0 == tally.value()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert {0} == set(seen)


class TestTroubles:
    @pytest.fixture
    def clock(self, monkeypatch):
        """A clock that is set by hand."""
        now = [1000.0]
        monkeypatch.setattr(_diagnostics.time, "monotonic", lambda: now[0])
        return now

    def test_by_cause(self):
        """Each cause is counted."""
        troubles = Troubles(lambda line: None)
        for cause in ("ENOSPC", "EIO", "ENOSPC"):
            troubles.count(cause, "file")
        assert {"ENOSPC": 2, "EIO": 1} == troubles.by_cause()

    def test_told_at_most_every_five_seconds(self, clock):
        """The first is told at once, all further ones together after five seconds."""
        lines = []
        troubles = Troubles(lines.append)
        for second in (0, 1, 4.9, 5, 5.1, 11):
            clock[0] = 1000 + second
            troubles.count("EIO", "a.jsonl")
        assert [
            "a.jsonl: 1 event(s) with trouble, the last one: EIO",
            "a.jsonl: 3 event(s) with trouble, the last one: EIO",
            "a.jsonl: 2 event(s) with trouble, the last one: EIO",
        ] == lines

    def test_nobody_to_tell(self, clock):
        """What could not be told is told later."""
        lines = []

        def tell(line):
            if clock[0] < 1005:
                raise OSError("closed")
            lines.append(line)

        troubles = Troubles(tell)
        for clock[0] in (1000, 1006):
            troubles.count("EIO", "x")
        assert ["x: 2 event(s) with trouble, the last one: EIO"] == lines

    def test_the_rest(self, clock):
        """What was not told within five seconds can be told at any time, and only once."""
        lines = []
        troubles = Troubles(lines.append)
        for cause in ("EIO", "EIO", "ENOSPC"):
            troubles.count(cause, "{}.jsonl")
        for _ in range(2):
            troubles.tell()
        assert "{}.jsonl: 2 event(s) with trouble, the last one: ENOSPC" == lines[-1]
        assert 2 == len(lines)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_end_of_the_process(self):
        """What is left is told as a process ends, by the one that it happened in."""
        program = """
import os, sys
from hilt_logging._diagnostics import Troubles, to_stderr
troubles = Troubles(to_stderr)
for _ in range(3):
    troubles.count("EIO", "a.jsonl")
if (child := os.fork()) == 0:
    troubles.count("EIO", "of the child")
    sys.exit()
os.waitpid(child, 0)
"""
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
        )
        assert [
            "hilt_logging: a.jsonl: 1 event(s) with trouble, the last one: EIO",
            "hilt_logging: of the child: 1 event(s) with trouble, the last one: EIO",
            "hilt_logging: a.jsonl: 2 event(s) with trouble, the last one: EIO",
        ] == run.stderr.splitlines()


def test_to_stderr(capsys):
    """A line on stderr says who speaks."""
    to_stderr("a.jsonl: 1 event(s)")
    assert ("", "hilt_logging: a.jsonl: 1 event(s)\n") == capsys.readouterr()


def test_to_no_stderr(monkeypatch):
    """Without a stderr nothing is raised."""
    monkeypatch.setattr(_diagnostics.sys, "stderr", None)
    assert to_stderr("x") is None


def test_to_logger(caplog):
    """A line on a logger is a warning."""
    to_logger("hilt_logging.test")("text 100%")
    assert [("hilt_logging.test", 30, "text 100%")] == caplog.record_tuples
