"""How far long work is."""

from __future__ import annotations

import io
import sys

import pytest

from hilt_logging.cli import _progress
from hilt_logging.cli._progress import Progress


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
