"""
What benchmarks/capture.py prints; how fast anything is is not tested.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from pathlib import Path


CAPTURE = Path(__file__).resolve().parent.parent / "benchmarks" / "capture.py"
MARKS = "<!-- capture: begin -->", "<!-- capture: end -->"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(CAPTURE), *arguments],
        cwd=cwd,
        env={**os.environ, "XDG_CACHE_HOME": str(cwd), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def test_small_run(tmp_path):
    """Our row has figures where the SDK is, one that can't be had says so, and the page gets both."""
    page = tmp_path / "page.md"
    page.write_text("\n".join(("before", MARKS[0], "old", MARKS[1], "after")))
    small = ("--rounds", "1", "--pairs", "1", "--offline", "--folder", str(tmp_path))

    ran = run(*small, "--contenders", "ours,langfuse", "--write", str(page), cwd=tmp_path)

    assert 0 == ran.returncode, ran.stderr
    lines = page.read_text("utf-8").splitlines()
    headings, _, ours, peer = [line.strip("| ").split(" | ") for line in lines if line[:1] == "|"]
    has_sdk = all(importlib.util.find_spec(name) for name in ("openai", "genai_prices"))
    assert (len(headings) == len(ours)) == bool(has_sdk)
    assert has_sdk or "missing, " in ours[0]
    assert peer[0].startswith("Langfuse: missing, langfuse==5.0.4; --offline was given")
    assert ("before", "after") == (lines[0], lines[-1])
    assert "old" not in lines


def test_page_without_marks(tmp_path):
    """A page that has no place for the table is an error before anything is measured."""
    page = tmp_path / "page.md"
    page.write_text("no marks")

    assert 2 == run("--write", str(page), cwd=tmp_path).returncode
    assert "no marks" == page.read_text()
