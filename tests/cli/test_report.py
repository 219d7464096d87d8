"""`hilt-log report`."""

from __future__ import annotations

import os
import stat

import pytest

from hilt_logging.safeguards import jwk


@pytest.fixture
def log(written):
    """A log of two prompts, and its folder."""
    return written("Where is the moon?", "And the sun?")


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("report", "--help")
    assert 0 == done.code
    assert "hilt-log report logs/ -o report.html" in done.out


def test_page(hilt_log, log, tmp_path):
    """A page is made, without content, and only its owner can read it."""
    target = tmp_path / "moon.html"
    done = hilt_log("report", log, "-o", target, "--title", "Moons <&>")
    size = round(target.stat().st_size / 1000)
    assert (0, "") == (done.code, done.err)
    assert f"{target}: 2 events, 1 conversation, no content, {size} kB\n" == done.out
    text = target.read_text("utf-8")
    assert "<h1>Moons &lt;&amp;&gt;</h1>" in text
    assert "moon?" not in text
    assert 0o600 == stat.S_IMODE(target.stat().st_mode)


def test_usual_name(in_shell, log, tmp_path):
    """Without a name it is report.html, here."""
    assert 0 == in_shell("report", log).returncode
    assert (tmp_path / "report.html").exists()


def test_transcripts(hilt_log, log, tmp_path):
    """With transcripts the page has what was said."""
    done = hilt_log("report", log, "-o", tmp_path / "report.html", "--transcripts")
    assert "2 events, 1 conversation, 1 transcript, " in done.out
    assert "Where is the moon?" in (tmp_path / "report.html").read_text("utf-8")


def test_key(hilt_log, written, tmp_path):
    """What is encrypted is in transcripts with the key."""
    key = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", key)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(key))
    log = written("the moon", encrypt_to=str(tmp_path / "a.pub.jwk"))
    target = tmp_path / "report.html"
    hilt_log("report", log, "-o", target, "--transcripts")
    assert "encrypted (no key)" in target.read_text("utf-8")
    done = hilt_log(
        "report", log, "-o", target, "--force", "--transcripts", "--key", tmp_path / "a.key.jwk"
    )
    assert 0 == done.code
    assert "the moon" in target.read_text("utf-8")


def test_json(hilt_log, log, tmp_path):
    """What was made, for a program."""
    target = tmp_path / "report.html"
    assert {
        "output": str(target),
        "bytes": 0,
        "events": 2,
        "conversations": 1,
        "left_out": 0,
        "transcripts": 0,
        "faults": 0,
    } == hilt_log("report", log, "-o", target, "--json").json | {"bytes": 0}


def test_filters(hilt_log, log, tmp_path):
    """Only what is wanted is in it."""
    target = tmp_path / "report.html"
    words = ["report", log, "-o", target, "--force", "--json"]
    for chosen, count in (
        (["--user", "alice"], 2),
        (["--user", "bob"], 0),
        (["--action", "prompt", "--session", "conv-1"], 2),
        (["--action", "completion"], 0),
        (["--model", "gpt-4o"], 0),
        (["--field", "extensions.user_id=alice"], 2),
        (["--since", "2999-01-01"], 0),
        (["--until", "2999-01-01", "--tz", "Europe/Berlin", "--engine", "python"], 2),
    ):
        assert count == hilt_log(*words, *chosen).json["events"], chosen


def test_standard_input(in_shell, log, tmp_path):
    """A log may come from another program."""
    with open(log, "rb") as source:
        done = in_shell("report", "-", "--transcripts", stdin=source)
    assert (0, "") == (done.returncode, done.stderr)
    assert "Where is the moon?" in (tmp_path / "report.html").read_text("utf-8")


def test_output_that_is_there(hilt_log, log, tmp_path):
    """It stays, unless it is to be replaced."""
    target = tmp_path / "report.html"
    target.write_text("mine")
    done = hilt_log("report", log, "-o", target)
    assert 2 == done.code
    assert "--force takes its place" in done.err
    assert "mine" == target.read_text()
    assert 0 == hilt_log("report", log, "-o", target, "--force").code
    assert "mine" != target.read_text()


def test_empty_file(hilt_log, tmp_path):
    """An empty log gives a page that says so."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("report", tmp_path / "app.jsonl", "-o", tmp_path / "report.html")
    assert (0, "") == (done.code, done.err)
    assert "No events" in (tmp_path / "report.html").read_text("utf-8")


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """What can't be read is told once, and in the page; the exit code is 3."""
    with open(log, "ab") as file:
        file.write(b"torn")
    target = tmp_path / "report.html"
    done = hilt_log("report", log, tmp_path / "gone.jsonl", "-o", target, "--transcripts")
    assert 3 == done.code
    assert 1 == done.err.count(f"{log}, line 3: not an event")
    assert 1 == done.err.count("gone.jsonl")
    assert "2 lines and files" in target.read_text("utf-8")
    gone = hilt_log("report", tmp_path / "gone.jsonl", "-o", tmp_path / "none.html")
    assert (3, False) == (gone.code, (tmp_path / "none.html").exists())


@pytest.mark.parametrize(
    "words",
    [
        ["--key", "a.jwk"],
        ["--tz", "Nowhere"],
        ["--since", "yesterday"],
        ["--top", "51"],
        ["--top", "0"],
        ["--max-conversations", "-1"],
        ["--engine", "abacus"],
        ["--field", "x"],
        ["--transcripts", "--key", "gone.jwk"],
    ],
    ids=" ".join,
)
def test_wrong_usage(hilt_log, log, tmp_path, words):
    """What can't be meant is told, and nothing is made."""
    done = hilt_log("report", log, "-o", tmp_path / "report.html", *words)
    assert 2 == done.code
    assert ["app.jsonl"] == [name for name in os.listdir(tmp_path) if name[0] != "."]
