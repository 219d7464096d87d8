"""What the arguments mean that every command has."""

from __future__ import annotations

import json
import subprocess

import pytest

from hilt_logging.events import encode
from hilt_logging.safeguards import jwk


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
