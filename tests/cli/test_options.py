"""What the arguments mean that every command has."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys

import pytest

from hilt_logging.events import encode, to_timestamp
from hilt_logging.safeguards import jwk


HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def lines(an_event):
    """Three lines, the second of which is no event."""
    one, three = (encode(an_event(event_id=f"e{n}", session_id="conv-1")).decode() for n in (1, 3))
    return f'{one}\n{{"session_id":"conv-1","text":"Hello"}}\n{three}\n'


@pytest.mark.once
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=words[0])
        for words in (
            ["convert", "--to", "jsonl", "-o", "new.jsonl"],
            ["gaps"],
            ["report"],
            ["reprice", "--dry-run"],
            ["show"],
            ["stats"],
            ["tail"],
            ["validate"],
        )
    ],
)
def test_name_of_standard_input(in_shell, lines, words):
    """In every command's messages standard input has the same name, and its lines have numbers."""
    done = in_shell(*words, "-", input=lines)
    told = done.stderr + done.stdout
    assert 1 == told.count("standard input, line 2: not an event: ")
    assert "stdin" not in told


@pytest.mark.once
def test_name_of_standard_input_in_answers(in_shell, lines, tmp_path):
    """In answers of JSON it has this name, too."""
    jwk.write_new(tmp_path / "a.key.jwk", jwk.generate())
    (fault,) = json.loads(in_shell("validate", "-", "--json", input=lines).stdout)["errors"]
    assert ("standard input", 2) == (fault["file"], fault["line"])
    good = "".join(lines.splitlines(keepends=True)[::2])
    hit = in_shell("search", "", "-", "--json", "--regex", input=good).stdout.splitlines()[0]
    assert "standard input" == json.loads(hit)["path"]


@pytest.fixture
def log(tmp_path, lines):
    """A log of two events, with a key that opens nothing in it, and prices of nothing."""
    log = tmp_path / "app.jsonl"
    log.write_text("".join(lines.splitlines(keepends=True)[::2]))
    jwk.write_new(tmp_path / "a.key.jwk", jwk.generate())
    (tmp_path / "prices.toml").write_text("[acme.large]\ninput = 1\n")
    return log


COMMANDS = {
    "convert": ["convert", "--to", "csv"],
    "decrypt": ["decrypt", "--key", "a.key.jwk"],
    "import": ["import", "--from", "hilt-python"],
    "report": ["report"],
    "reprice": ["reprice", "--prices", "prices.toml"],
    "sql": ["sql", "SELECT event_id FROM events", "--format", "csv"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_output_to_standard_output(hilt_log, log, monkeypatch, words):
    """Where the output is `-`, standard output has what a file would have, and no file is made."""
    monkeypatch.chdir(log.parent)
    before = sorted(log.parent.iterdir())
    done = hilt_log(*words, log, "-o", "-")
    assert (0, before) == (done.code, sorted(log.parent.iterdir()))
    assert 0 == hilt_log(*words, log, "-o", "file").code
    expected = (log.parent / "file").read_bytes()
    if words == ["report"]:  # which tells when it was made
        assert (expected[:100], expected[-100:]) == (done.data[:100], done.data[-100:])
    else:
        assert expected == done.data


@pytest.mark.once
def test_output_that_is_no_text(in_shell, in_terminal, log):
    """What is no text goes to a pipe, not to a terminal; a folder goes to neither."""
    done = in_shell("convert", log, "--to", "sqlite", "-o", "-", stdout=subprocess.DEVNULL)
    assert (0, "-: 2 events\n") == (done.returncode, done.stderr)
    assert b"" == in_terminal("convert", log, "--to", "sqlite", "-o", "-", code=2)
    assert 2 == in_shell("convert", log, "-o", "-").returncode
    done = in_shell("convert", log, "--to", "parquet", "--partition", "-o", "-")
    assert (2, "") == (done.returncode, done.stdout)


@pytest.fixture
def hours(tmp_path, an_event):
    """A log of events that are 1, 30 and 400 hours old."""
    now = datetime.datetime.now(datetime.timezone.utc)
    path = tmp_path / "hours.jsonl"
    path.write_bytes(
        b"".join(
            encode(an_event(event_id=f"e{age}", timestamp=to_timestamp(now - age * HOUR))) + b"\n"
            for age in (400, 30, 1)
        )
    )
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--since", "90m"], ["e1"]),
        (["--since", "2d"], ["e30", "e1"]),
        (["--until", "12h"], ["e400", "e30"]),
        (["--since", "3w", "--until", "1w"], ["e400"]),
        (["--since", "2000-01-01"], ["e400", "e30", "e1"]),
    ],
)
def test_how_long_ago(hilt_log, hours, words, expected):
    """A time can be told by how long ago it is."""
    done = hilt_log("search", "", hours, "--json", *words)
    found = [json.loads(line)["event"]["event_id"] for line in done.out.splitlines()]
    assert (expected, "", 0) == (found, done.err, done.code)


@pytest.mark.parametrize("command", ["compare", "gaps", "show", "stats", "tail"])
@pytest.mark.parametrize("value", ["yesterday", "2x", "999999999w", "2026-13-01"])
def test_time_that_is_none(hilt_log, hours, command, value):
    """The error says how times are written."""
    done = hilt_log(command, hours, "--since", value)
    assert (2, "") == (done.code, done.out)
    assert f"{value!r} is no time: write 2026-01-31" in done.err
    assert "90m" in done.err


def test_action_that_is_none(hilt_log, hours):
    """An action with a typing error finds nothing, and would say that nothing happened."""
    done = hilt_log("stats", hours, "--action", "prompts")
    assert (2, "") == (done.code, done.out)
    assert "'prompt', 'completion'" in done.err


@pytest.mark.parametrize(
    "command", ["decrypt", "gaps", "search", "show", "tail", "validate", "verify"]
)
@pytest.mark.parametrize("kind", ["SQLite", "Parquet"])
def test_table_in_place_of_a_log(hilt_log, tmp_path, command, kind):
    """A command that reads only logs says what makes one of a table, not that each line is none."""
    path = tmp_path / "app"
    path.write_bytes({"SQLite": b"SQLite format 3\0", "Parquet": b"PAR1"}[kind] + b"\n" * 100)
    done = hilt_log(command, *(["text"] if command == "search" else []), path)
    assert (2, "") == (done.code, done.out)
    assert f"{path} is {kind}, no log; `hilt-log convert {path} -o NEW.jsonl` makes one" in done.err


@pytest.mark.once
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
@pytest.mark.parametrize(
    "words", [["convert", "-o", "a.csv"], ["sql", "SELECT * FROM events", "-o", "a.csv"]]
)
def test_no_room(in_shell, tmp_path, hours, words):
    """Where there is no room for a new file, the error names that, and nothing stays of it."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    hours.rename(tmp_path / "app.jsonl")
    done = in_shell(*words, "app.jsonl", preexec_fn=limit)
    assert (1, "Error: File too large: a.csv\n") == (done.returncode, done.stderr)
    assert ["app.jsonl"] == [path.name for path in tmp_path.iterdir()]
