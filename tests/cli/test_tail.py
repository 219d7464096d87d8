"""`hilt-log tail`."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys

import pytest

from hilt_logging.events import encode


@pytest.fixture
def lines(an_event):
    """Makes the lines of events with these numbers."""

    def lines(*numbers, session="conv-1"):
        return b"".join(
            encode(
                an_event(
                    event_id=f"e{number}",
                    timestamp=f"2026-01-02T03:04:{number:02d}.123456Z",
                    session_id=session,
                    content={"text": f"text {number}\x1b[2J\n" + "x" * 300},
                    extensions={"outcome": "failed"} if number == 3 else {},
                )
            )
            + b"\n"
            for number in numbers
        )

    return lines


@pytest.fixture
def log(tmp_path, lines):
    path = tmp_path / "app.jsonl"
    path.write_bytes(lines(*range(1, 21)))
    return path


def numbers(out):
    return [int(line.split()[1][6:8]) for line in out.splitlines()]


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("tail", "--help")
    assert 0 == done.code
    assert "hilt-log tail -f logs/" in done.out


def test_last_events(hilt_log, log):
    """The last ten, or as many as are asked for, a line each and without what was said."""
    done = hilt_log("tail", log)
    assert (0, "", list(range(11, 21))) == (done.code, done.err, numbers(done.out))
    last = hilt_log("tail", "-n", "1", log).out
    assert "2026-01-02 03:04:20.123 prompt session=conv-1\n" == last
    assert list(range(1, 21)) == numbers(hilt_log("tail", "-n", "99", log).out)
    assert "" == hilt_log("tail", "-n", "0", log).out


def test_content(hilt_log, log):
    """With --content the beginning of what was said, which does nothing to a terminal."""
    out = hilt_log("tail", "-n", "1", log, "--content").out
    assert out.startswith('2026-01-02 03:04:20.123 prompt session=conv-1 "text 20\\u001b[2J xx')
    assert out.endswith('x…"\n')
    assert 1 == out.count("\n")


def test_rotated_files(hilt_log, log, lines, tmp_path):
    """Files of a log count as one, compressed ones too; those of several logs are mixed by time."""
    log.write_bytes(lines(5, 6))
    (tmp_path / "app.jsonl.1").write_bytes(lines(3, 4))
    (tmp_path / "app.jsonl.2.gz").write_bytes(gzip.compress(lines(1, 2)))
    assert [2, 3, 4, 5, 6] == numbers(hilt_log("tail", "-n", "5", log).out)
    (tmp_path / "other.jsonl").write_bytes(lines(7, 8, session="conv-2"))
    out = hilt_log("tail", "-n", "3", log, tmp_path / "other.jsonl").out
    assert [6, 7, 8] == numbers(out)


def test_filters(hilt_log, log, lines):
    """Only what is wanted counts."""
    with open(log, "ab") as file:
        file.write(lines(30, 31, session="conv-2"))
    assert [19, 20] == numbers(hilt_log("tail", "-n", "2", log, "--session", "conv-1").out)
    assert [3] == numbers(hilt_log("tail", log, "--field", "extensions.outcome=failed").out)


def test_json(hilt_log, log):
    """Whole events, a line each."""
    done = hilt_log("tail", "-n", "2", log, "--json")
    assert ["e19", "e20"] == [json.loads(line)["event_id"] for line in done.out.splitlines()]


def test_long_lines(hilt_log, tmp_path, lines, an_event):
    """Lines that are longer than a block of the file are whole."""
    long = encode(an_event(event_id="long", content={"text": "y" * 400_000})) + b"\n"
    path = tmp_path / "app.jsonl"
    path.write_bytes(lines(1) + long + lines(2) + long)
    done = hilt_log("tail", "-n", "4", path, "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert ["e1", "long", "e2", "long"] == [each["event_id"] for each in found]
    assert 400_000 == len(found[1]["content"]["text"])


def test_empty_file(hilt_log, tmp_path):
    """An empty log has no events."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("tail", tmp_path / "app.jsonl")
    assert (0, "") == (done.code, done.out)


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """What can't be read is told, and the exit code is 3."""
    with open(log, "ab") as file:
        file.write(b"torn")
    done = hilt_log("tail", "-n", "2", log, tmp_path / "gone.jsonl")
    assert (3, [19, 20]) == (done.code, numbers(done.out))
    assert f"{log}, line 21: not an event" in done.err
    assert 2 == hilt_log("tail", "-n", "-1", log).code


# a program that a shell starts in the background would inherit that Ctrl-C means nothing
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from hilt_logging.cli import main
sys.exit(main())
"""


@contextlib.contextmanager
def following(*words):
    """The program as it follows a log, from another process."""
    command = [sys.executable, "-c", PROGRAM, "tail", "-f", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        try:
            yield program
        finally:
            program.kill()


def test_follow(log, lines):
    """What is written is shown, through a rotation, until Ctrl-C."""
    with following("-n", "2", log) as program:
        seen = [program.stdout.readline() for _ in range(2)]
        with open(log, "ab") as file:
            file.write(lines(40))
        seen.append(program.stdout.readline())
        os.rename(log, f"{log}.1")
        log.write_bytes(lines(41))
        seen.append(program.stdout.readline())
        program.send_signal(2)
        assert 130 == program.wait(30)
        assert b"" == program.stderr.read()
    assert [19, 20, 40, 41] == numbers(b"".join(seen).decode())


def test_lines_that_are_no_events_on_the_way(log, lines):
    """Each is told, also where it has the number that one had before the log was rotated."""
    with following("-n", "1", log) as program:
        program.stdout.readline()
        for number in (40, 41):
            os.rename(log, f"{log}.1")
            log.write_bytes(b"torn\n" + lines(number))
            assert [number] == numbers(program.stdout.readline().decode())
        program.send_signal(2)
        program.wait(30)
        assert 2 == program.stderr.read().count(b"line 1: not an event")


def test_log_that_comes_later(tmp_path, lines):
    """A log that is not there yet is waited for, and that is told: the name may be wrong."""
    log = tmp_path / "later.jsonl"
    with following(log) as program:
        assert f"{log} is not there: waiting for it\n" == program.stderr.readline().decode()
        log.write_bytes(lines(1))
        assert [1] == numbers(program.stdout.readline().decode())
        program.send_signal(2)
        program.wait(30)


def test_nobody_reads(unheard, log):
    """Where what reads the output ends early, the program does, too, without a word."""
    done = unheard("tail", log)
    assert (141, "") == (done.returncode, done.stderr)


def test_standard_input(in_shell, log):
    """With -, the last events are those of standard input."""
    done = in_shell("tail", "-n", "2", "-", input=log.read_text())
    assert (0, "", [19, 20]) == (done.returncode, done.stderr, numbers(done.stdout))


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_lines_of_standard_input_that_are_no_events(in_shell, lines, follow):
    """What is no event on standard input is told with its number, and costs no line that follows."""
    many = lines(*range(60)).decode() * 20
    done = in_shell("tail", *follow, "-n", "9999", "-", input=f"ready\n{many}torn\n{many}")
    assert (3, 2400) == (done.returncode, len(numbers(done.stdout)))
    for number in (1, 1202):
        assert f"standard input, line {number}: not an event" in done.stderr


def test_standard_input_that_goes_on(lines):
    """With -f, what comes on standard input is shown when it comes, and its end is the end."""
    command = [sys.executable, "-c", PROGRAM, "tail", "-f", "-"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as program:
        for number in (1, 2):
            program.stdin.write(lines(number))
            program.stdin.flush()
            assert [number] == numbers(program.stdout.readline().decode())
        program.stdin.close()
        assert (b"", b"", 0) == (program.stdout.read(), program.stderr.read(), program.wait(30))


def test_follow_until(hilt_log, log):
    """With --until, it ends when the time is over."""
    done = hilt_log("tail", "-f", "-n", "2", log, "--until", "2026-01-03")
    assert (0, [19, 20]) == (done.code, numbers(done.out))
    assert 2 == hilt_log("tail", "-f", "-", log).code
