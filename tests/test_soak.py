"""That benchmarks/soak.py runs and judges; what lasts longer is for people to start."""

from __future__ import annotations

import gzip
import importlib
import json
import subprocess
import sys

from pathlib import Path

import pytest


BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
MODULES = ("soak", "soak_writer")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")


@pytest.fixture
def soak(monkeypatch):
    """The module, which is forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("soak")
    for name in MODULES:
        sys.modules.pop(name, None)


def test_short(tmp_path):
    """A few seconds of everything: nothing is lost, and the table says so."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "soak.py"), "--seconds", "4", "--processes", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    rows = {line[:20].strip(): line[20:].strip() for line in done.stdout.splitlines()[1:]}
    wrong = {each: rows[each] for each in ("lost", "glued", "twice", "raised", "hung")}
    assert dict.fromkeys(wrong, "0") == wrong, done.stderr
    assert 0 == done.returncode
    assert int(rows["written"]) > 0
    assert int(rows["from signals"]) > 0


def line(an_event, serial):
    event = an_event(content={"text": f"{serial} x"})
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def test_lines(soak, tmp_path, an_event):
    """Events are counted in all files, once where a file is there twice; glued ones are told."""
    first, second, third = (line(an_event, f"1.0.{number}") for number in range(3))
    (tmp_path / "log").write_bytes(first + second[:50] + third + second)
    (tmp_path / "log.1").write_bytes(second)
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(second))
    files = soak.Files(tmp_path)
    files.take_all()
    assert {(1, 0, 0): 1, (1, 0, 1): 2} == dict(files.seen.items())
    assert (1, 1) == (files.fragments, files.glued())


def test_verdict(soak, monkeypatch, capsys):
    """Whatever was lost, the exit code is not 0."""
    monkeypatch.setattr(soak.Soak, "run", lambda self, seconds: self._end())
    assert 0 == soak.main(["--seconds", "1", "--processes", "1"])
    figures = soak.Soak.figures
    monkeypatch.setattr(soak.Soak, "figures", lambda self: {**figures(self), "lost": 1})
    assert 1 == soak.main(["--seconds", "1", "--processes", "1"])
    assert "lost                          1\n" in capsys.readouterr().out
