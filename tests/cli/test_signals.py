"""How signals end the program."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from hilt_logging.cli import _signals, main


# a program that a shell starts in the background inherits that Ctrl-C means nothing
PROGRAM = """
import signal, sys
for each in (signal.SIGINT, signal.SIGHUP):
    signal.signal(each, {action})
from hilt_logging.cli import main
sys.exit(main())
"""
TAKEN, IGNORED = PROGRAM.format(action="signal.SIG_DFL"), PROGRAM.format(action="signal.SIG_IGN")
# as work in C that does not heed signals
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from hilt_logging._unfinished import Scratch
from hilt_logging.analysis._outputs import whole
from hilt_logging.cli import _progress, _signals

def program():
    _progress._SHORT_S = -1
    with whole(sys.argv[1], force=True) as part, open(part, "w"), Scratch():
        with _progress.Progress("Waiting") as progress:
            progress(1, 2)
            os.write(1, b"begun")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass

_signals.run(program)
"""
ENDLESS = "select count(*) from range(1000000) a, range(1000000) b, range(1000) c"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def start(tmp_path):
    """Starts a program of its own: its folder, and one for what is temporary, are empty at first."""
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    with contextlib.ExitStack() as stack:

        def run(*arguments, program=TAKEN, **options):
            started = subprocess.Popen(
                [sys.executable, "-c", program, *map(str, arguments)],
                cwd=tmp_path / "work",
                env={**os.environ, "TMPDIR": str(tmp_path / "temporary"), "TERM": "xterm"},
                **{**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE), **options},
            )
            stack.enter_context(started)
            stack.callback(started.kill)
            return started

        yield run


def wait_for(folder, pattern):
    """Wait until something is in a folder."""
    until = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < until
        time.sleep(0.01)


def left(tmp_path):
    """What is in the folders of a program."""
    return sorted(path.name for path in tmp_path.glob("*/*"))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
def test_output(start, tmp_path, number):
    """A signal amid an output ends the program without a word; what was there is as it was."""
    out = tmp_path / "work" / "out"
    out.write_bytes(b"before")
    program = start("convert", "-", "--to", "jsonl", "-o", "out", "--force")
    wait_for(out.parent, "*.part")
    program.send_signal(number)
    assert 128 + number == program.wait(60)
    assert (b"", b"") == (program.stdout.read(), program.stderr.read())
    assert (["out"], b"before") == (left(tmp_path), out.read_bytes())


def test_query(start, tmp_path):
    """A query that DuckDB does not end in time ends all the same, with its temporary files."""
    (tmp_path / "log").touch()
    program = start("sql", ENDLESS, tmp_path / "log")
    wait_for(tmp_path / "temporary", "hilt-*")
    time.sleep(0.5)
    program.send_signal(signal.SIGTERM)
    assert (b"", b"") == program.communicate(timeout=60)
    assert (143, []) == (program.returncode, left(tmp_path))


def test_stubborn(start, tmp_path):
    """What does not heed signals is ended: nothing unfinished stays, and the terminal has its cursor."""
    ours, theirs = pty.openpty()
    program = start("out", program=STUBBORN, stderr=theirs)
    os.close(theirs)
    assert b"begun" == program.stdout.read(5)
    for _ in range(2):
        program.send_signal(signal.SIGINT)
    assert (130, []) == (program.wait(60), left(tmp_path))
    shown = os.read(ours, 65536)
    os.close(ours)
    assert 0 <= shown.rfind(b"\x1b[?25l") < shown.rfind(b"\x1b[?25h")


def test_nobody_reads_on(start, tmp_path):
    """A program that waits for a reader of what it prints ends, too."""
    line = b'{"hilt_version":"1.0.0","event_id":"%d","timestamp":"2026-11-20T10:00:00.000000Z",'
    line += b'"session_id":"s","actor":{"type":"human","id":"alice"},"action":"prompt"}\n'
    (tmp_path / "log").write_bytes(b"".join(line % number for number in range(2000)))
    program = start("tail", "-n", "2000", "--json", tmp_path / "log")
    assert b"{" == program.stdout.read(1)
    program.send_signal(signal.SIGTERM)
    assert (143, b"") == (program.wait(60), program.stderr.read())


def test_ignored(start, tmp_path):
    """Signals that are ignored when the program begins, as by nohup, stay so."""
    words = ("convert", "-", "--to", "jsonl", "-o", "out")
    program = start(*words, program=IGNORED)
    wait_for(tmp_path / "work", "*.part")
    program.send_signal(signal.SIGHUP)
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=60)
    assert (0, ["out"]) == (program.returncode, left(tmp_path))


def test_not_ours(capsys):
    """In an application, and beside its main thread, no signal is taken."""
    before = [signal.getsignal(each) for each in SIGNALS]
    assert 0 == main(["--version"])
    codes = []
    thread = threading.Thread(target=lambda: codes.append(_signals.run(lambda: 7)))
    thread.start()
    thread.join()
    assert ([7], before) == (codes, [signal.getsignal(each) for each in SIGNALS])
