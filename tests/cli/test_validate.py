"""`hilt-log validate`."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def log(tmp_path, an_event):
    """Writes lines to a log; True stands for a good one."""

    def write(*lines, name="app.jsonl"):
        good = json.dumps(an_event())
        path = tmp_path / name
        path.write_text("".join(f"{good if line is True else line}\n" for line in lines))
        return path

    return write


def test_all_good(hilt_log, log):
    """A log of events: exit code 0, and how many there are."""
    done = hilt_log("validate", log(True, "", True))
    told = "2 events, 0 lines that are none, 1 file, 0 of them not read to the end\n"
    assert (0, told, "") == (done.code, done.out, done.err)


def test_invalid(hilt_log, log):
    """Lines that are no events are told with file, line and reason; the exit code is 1."""
    path = log(True, "my secret", '{"action": "x"}')
    done = hilt_log("validate", path)
    first, second, last = done.out.splitlines()
    assert 1 == done.code
    assert first.startswith(f"{path}, line 2: not an event: not JSON: ")
    assert f"{path}, line 3: not an event: $.hilt_version" not in second
    assert "$.actor: is required" in second
    assert last.startswith("1 event, 2 lines that are none")
    assert "secret" not in done.out


def test_verbose(hilt_log, log):
    """With --verbose each fault has a line of its own, which names its path."""
    path = log('{"action": "prompt", "session_id": ""}')
    done = hilt_log("validate", path, "--verbose")
    assert [
        f"{path}, line 1: $.event_id: is required",
        f"{path}, line 1: $.timestamp: is required",
        f"{path}, line 1: $.actor: is required",
        f"{path}, line 1: $.session_id: must not be empty",
    ] == done.out.splitlines()[:-1]


def test_max_errors(hilt_log, log):
    """With --max-errors only the first ones are told, and the others counted."""
    done = hilt_log("validate", log(*["x"] * 5), "--max-errors", "2")
    assert 1 == done.code
    assert 2 == done.out.count("not an event")
    assert "... and 3 more" in done.out


def test_json(hilt_log, log):
    """As JSON: counts, and each fault with file, line and path."""
    path = log(True, json.dumps({"action": "prompt"}), "x")
    done = hilt_log("validate", path, "--json")
    first, second = done.json.pop("errors")
    assert (str(path), 2) == (first["file"], first["line"])
    assert {"path": "$.actor", "message": "is required"} in first["faults"]
    assert "faults" not in second
    assert {
        "files": 1,
        "events": 1,
        "invalid": 2,
        "unread": 0,
        "errors": [first, second],
        "unread_files": [],
        "valid": False,
    } == done.json


def test_unread(hilt_log, log, tmp_path):
    """A file that can't be read is told, the others are checked, and the exit code is 3."""
    done = hilt_log("validate", tmp_path / "nope.jsonl", log(True))
    assert 3 == done.code
    assert f"File not found: {tmp_path}/nope.jsonl\n1 event," in done.out


def test_alone_and_missing(hilt_log, tmp_path):
    """So it is where there is no other."""
    assert 3 == hilt_log("validate", tmp_path / "nope.jsonl").code


def test_empty(hilt_log, log):
    """An empty file has nothing wrong."""
    done = hilt_log("validate", log())
    assert (0, True) == (done.code, done.out.startswith("0 events, 0 lines"))


def test_standard_input(in_shell, log):
    """Standard input is checked where `-` stands."""
    with open(log(True, "x")) as file:
        done = in_shell("validate", "-", stdin=file)
    assert (1, "") == (done.returncode, done.stderr)
    assert "1 event, 1 line that is none" in done.stdout


def test_nobody_listens(unheard, log):
    """Where nobody reads what is printed, it ends without a word."""
    done = unheard("validate", log(True))
    assert (141, "") == (done.returncode, done.stderr)


def test_usage(hilt_log):
    """Without a file, with a wrong number or an unknown option it is wrong usage."""
    assert 2 == hilt_log("validate").code
    assert 2 == hilt_log("validate", "x", "--max-errors", "-1").code
    assert 2 == hilt_log("validate", "x", "--nope").code


def test_help(hilt_log):
    """The help tells options, examples and exit codes."""
    done = hilt_log("validate", "--help")
    assert 0 == done.code
    for word in ("--verbose", "--max-errors", "--json", "zcat old.jsonl.gz", "Exit codes"):
        assert word in done.out
