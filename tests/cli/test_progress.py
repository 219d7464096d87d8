"""How far long work is."""

from __future__ import annotations

import io
import sys
import time

import pytest

from hilt_logging.cli import _progress
from hilt_logging.cli._frame import run
from hilt_logging.cli._progress import Progress, Waiting
from hilt_logging.safeguards.keystore import open_store


SHOW_CURSOR = "\x1b[?25h"


class Terminal(io.StringIO):
    """A stderr that is a terminal, or says so."""

    def __init__(self, is_one):
        super().__init__()
        self.is_one = is_one

    def isatty(self):
        return self.is_one


@pytest.fixture
def shown(monkeypatch):
    """What is shown of a piece of work, on stderr and on stdout."""

    def show(is_terminal, short_s, environ=()):
        for name, value in {"TERM": "xterm", "COLUMNS": "100", **dict(environ)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(_progress, "_SHORT_S", short_s)
        monkeypatch.setattr(sys, "stderr", Terminal(is_terminal))
        with Progress("Reading") as progress:
            for done in range(0, 2_000_001, 500_000):
                progress(done, 2_000_000)
        return sys.stderr.getvalue()

    return show


def test_long_work(shown):
    """On a terminal, a bar says what is done and how far it is."""
    text = shown(True, -1.0)
    assert "Reading" in text
    assert "2.0/2.0 MB" in text
    assert "\x1b[3" in text


def test_short_work(shown):
    """Work that is done at once shows nothing."""
    assert "" == shown(True, 60.0)


def test_no_terminal(shown):
    """Where stderr is no terminal, nothing is shown however long it takes."""
    assert "" == shown(False, -1.0)


def test_no_colour(shown):
    """Where colours are not wanted, the bar has none."""
    assert "\x1b[3" not in shown(True, -1.0, {"NO_COLOR": "1"})


def test_error(monkeypatch, shown):
    """An error goes through, and the bar is gone."""
    monkeypatch.setattr(_progress, "_SHORT_S", -1.0)
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    with pytest.raises(ValueError, match="amid"), Progress("Reading") as progress:
        progress(1, 2)
        raise ValueError("amid")
    assert not progress._bar.live.is_started


@pytest.fixture
def waited(monkeypatch):
    """What is shown while somebody waits for work whose length nobody knows."""

    def wait(is_terminal, short_s, *, until=""):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(_progress, "_SHORT_S", short_s)
        monkeypatch.setattr(sys, "stderr", terminal := Terminal(is_terminal))
        with Waiting("Counting"):
            end = time.monotonic() + 30
            while until not in terminal.getvalue() and time.monotonic() < end:
                time.sleep(0.01)
        return terminal.getvalue()

    return wait


def test_waiting(waited):
    """On a terminal, something moves while work goes on, and is gone after it."""
    text = waited(True, 0.0, until="Counting")
    assert "Counting" in text
    assert SHOW_CURSOR in text


def test_not_waiting(waited):
    """Work that is done at once shows nothing, and none does where stderr is no terminal."""
    assert "" == waited(True, 60.0)
    assert "" == waited(False, 0.0)


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["decrypt", "LOG", "--key-store", "KEYS", "-o", "NEW"], "Opening"),
        (
            ["erase", "--subject", "alice", "--key-store", "KEYS", "LOG"],
            "Looking through the log",
        ),
        (["erase", "--rewrite", "--subject", "alice", "LOG"], "Rewriting"),
        (["prune", "LOG", "--older-than", "1d", "--dry-run"], "Looking through the log"),
        (["verify", "LOG"], "Verifying"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands(monkeypatch, tmp_path, written, words, label):
    """What reads all of a log shows how far it is on a terminal, and the bar is gone at its end."""
    keys = tmp_path / "keys.db"
    open_store("key_store", str(keys)).key_for("user:alice")
    log = written("one", "two")
    written("three", name="app.jsonl.20260101T000000.000000001Z")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress, "_SHORT_S", -1.0)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    names = {"LOG": log, "KEYS": keys, "NEW": tmp_path / "new.jsonl"}
    assert run([str(names.get(word, word)) for word in words]) in (0, 2)
    text = sys.stderr.getvalue()
    assert label in text
    assert SHOW_CURSOR in text
