"""
What benchmarks/reading.py prints; how fast anything is is not tested.
"""

from __future__ import annotations

import os
import subprocess
import sys

from pathlib import Path

import pytest

from hilt_logging.analysis.validate import validate


BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
MARKS = "<!-- reading: begin -->", "<!-- reading: end -->"


def run(*arguments, cwd, program="reading.py"):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *arguments],
        cwd=cwd,
        env={**os.environ, "XDG_CACHE_HOME": str(cwd), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def test_small_run(tmp_path):
    """Each row has figures or says why it has none, and a page gets the table."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    ran = run(
        *("--size", "0.1", "--rounds", "1", "--offline"),
        *("--folder", str(tmp_path), "--write", str(page)),
        cwd=tmp_path,
    )
    assert 0 == ran.returncode, ran.stderr
    rows = [line for line in ran.stdout.splitlines() if line.startswith("| ")]
    for name in ("bare msgspec", "`json.loads`", "**`validate`**", "**`read`**", "**`scan`**"):
        (found,) = [line for line in rows if name in line]
        assert 4 == len([cell for cell in found.strip("| ").split("|")[1:] if cell.strip()])
    assert "hilt-python, `Session.read`: missing, --offline" in ran.stdout
    text = page.read_text("utf-8")
    assert ran.stdout.strip() in text
    assert "old" not in text


def test_growth(tmp_path):
    """Rows are measured at each size, nothing is left of it, and a page gets the table."""
    page = tmp_path / "page.md"
    marks = [each.replace("reading", "growth") for each in MARKS]
    page.write_text(f"{marks[0]}\nold\n{marks[1]}\n")
    ran = run(
        *("--sizes", "0.1,0.2", "--rounds", "1", "--rows", "validate,csv"),
        *("--folder", str(tmp_path), "--write", str(page)),
        cwd=tmp_path,
        program="growth.py",
    )
    assert 0 == ran.returncode, ran.stderr
    head, _, *rows = [line.strip("| ").split(" | ") for line in ran.stdout.splitlines()[:4]]
    assert ["0.1 MB", "0.2 MB"] == head
    assert ["`validate`", "to CSV, all fields"] == [row[0] for row in rows]
    assert all(" s, " in cell and cell.endswith(" MiB") for row in rows for cell in row[1:])
    assert ran.stdout.strip() in page.read_text("utf-8")
    assert ["page.md"] == [each.name for each in tmp_path.iterdir() if each.is_file()]
    assert 2 == run("--rows", "raed", cwd=tmp_path, program="growth.py").returncode


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rows", "raed"), "'raed' is not one of lines, bare"),
        (("--write", "p.md"), "has no <!--"),
    ],
)
def test_wrong_option(tmp_path, arguments, told):
    """An option with a wrong value is an error that says what is allowed."""
    (tmp_path / "p.md").write_text("nothing")
    ran = run(*arguments, cwd=tmp_path)
    assert 2 == ran.returncode
    assert told in ran.stderr


def test_log(tmp_path, monkeypatch):
    """The log that is read has the size that is asked for, is valid, and the same each time."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in ("machine", "samples", "reading_rows", "reading"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import reading

    counts = [reading.write_log(tmp_path / name, 0.3) for name in ("a.jsonl", "b.jsonl")]
    for name in ("machine", "samples", "reading_rows", "reading"):
        sys.modules.pop(name, None)
    data = (tmp_path / "a.jsonl").read_bytes()
    assert data == (tmp_path / "b.jsonl").read_bytes()
    assert 0.29e6 < len(data) <= 0.3e6
    found = validate(tmp_path / "a.jsonl")
    assert (counts[0], 0) == (found.events, found.exit_code)
