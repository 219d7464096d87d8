"""What the arguments mean that every command has."""

from __future__ import annotations

import json

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
