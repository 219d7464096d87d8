"""
What benchmarks/run.py prints and how it counts; how fast anything is is not tested.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

from pathlib import Path
from types import SimpleNamespace

import pytest


BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
MODULES = ("contenders", "measuring", "run", "samples", "table", "worker")


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmarks, under their own names, which are forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), *arguments],
        cwd=cwd,
        env={**os.environ, "XDG_CACHE_HOME": str(cwd), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def cells(markdown):
    lines = [line.strip("| ").split("|") for line in markdown.splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line] for line in lines]


def test_everything(tmp_path, modules):
    """Every contender has a row with a figure, or is said to be missing; the page gets the table."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{modules.run.BEGIN}\nold\n{modules.run.END}\nafter\n")
    small = ("--events", "8", "--rounds", "1", "--offline", "--folder", str(tmp_path))

    ran = run(*small, "--markdown", "--write", str(page), cwd=tmp_path)

    assert 0 == ran.returncode, ran.stderr
    headings, _, *rows = cells(ran.stdout)
    assert 1 + len(modules.table.COLUMNS) == len(headings)
    for contender, row in zip(modules.contenders.CONTENDERS, rows, strict=True):
        missing = contender.missing() or contender.name == "hilt_python"
        assert row[0].startswith(contender.title)
        assert bool(missing) == (": missing, " in row[0])
        assert bool(missing) != any(row[1:])
    written = page.read_text(encoding="utf-8")
    assert written.startswith(f"before\n{modules.run.BEGIN}\n| ")
    assert written.endswith(f"\n{modules.run.END}\nafter\n")
    assert cells(written) == cells(ran.stdout)
    assert "8 events in each situation, 1 rounds" in written
    assert "old" not in written


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "singel"), "'singel' is not one of memory, single, "),
        (("--contenders", "me"), "'me' is not one of write, limit, "),
        (("--rounds", "0"), "there must be an event and a round"),
    ],
)
def test_wrong_option(tmp_path, arguments, told):
    """An option with a wrong value is an error that says what is allowed."""
    ran = run(*arguments, cwd=tmp_path)

    assert 2 == ran.returncode
    assert told in ran.stderr


def test_page_without_marks(tmp_path):
    """A page that has no place for the table is an error before anything is measured."""
    page = tmp_path / "page.md"
    page.write_text("no marks")

    assert 2 == run("--write", str(page), cwd=tmp_path).returncode
    assert "no marks" == page.read_text()


def line(number, text, **fields):
    event = {"event_id": f"id-{number}", "content": {"text": text}, **fields}
    return json.dumps({"record": {"extra": {"hilt": event}}}) + "\n"


@pytest.mark.parametrize(
    ("lines", "right"),
    [
        pytest.param([line(0, "a"), line(1, "b")], True, id="whole"),
        pytest.param([line(1, "b"), line(0, "a")], False, id="order"),
        pytest.param([line(0, "a")], False, id="lost"),
        pytest.param([line(0, "a"), line(1, "b"), line(2, "b")], False, id="repeated"),
        pytest.param([line(0, "a"), line(0, "b")], False, id="same id"),
        pytest.param([line(0, "a"), line(1, "c")], False, id="changed"),
        pytest.param([line(0, "a"), line(1, "b")[:-1]], False, id="without its end"),
        pytest.param([line(0, "a"), "{}\n", line(1, "b")], False, id="no event"),
        pytest.param([line(0, "a"), line(1, "b", n=float("nan"))], False, id="no JSON"),
        pytest.param([line(0, "a")[:-1] + line(1, "b")], False, id="glued"),
    ],
)
def test_check(tmp_path, modules, lines, right):
    """A file counts only if it holds each text once, in its order, as one strict line with an id."""
    path = tmp_path / "file.jsonl"
    path.write_text("".join(lines))
    contender = modules.contenders.BY_NAME["loguru"]

    try:
        modules.measuring.check(path, contender, ["a", "b"], in_order=True)
        found = True
    except modules.measuring.WrongFileError:
        found = False

    assert right == found


def test_check_of_threads(tmp_path, modules):
    """Where several record at a time, their texts may come in any order."""
    path = tmp_path / "file.jsonl"
    path.write_text(line(1, "b") + line(0, "a"))

    modules.measuring.check(path, modules.contenders.BY_NAME["loguru"], ["a", "b"], in_order=False)


def test_ratios(modules):
    """A ratio is that to the limit of the same round, and the median of the rounds is told."""
    rounds = [
        {"single": {"limit": {"cpu": least}, "emit_event": {"cpu": own}}}
        for least, own in ((1.0, 3.0), (4.0, 8.0), (10.0, 100.0))
    ]
    row = modules.contenders.BY_NAME["emit_event"]

    headings, cells = modules.table.rows(rounds, [row], ["single"], {})

    told = dict(zip(headings, cells, strict=True))
    assert ("3.00", "2.00-10.0", "8.00") == (told["1 thread"], told["from-to"], told["CPU µs"])


def test_texts(modules):
    """Half of the prompts and half of the answers are ASCII, none comes twice, and sizes are met."""
    given = list(modules.samples.texts(0, 400, (600, 1_500)))

    assert 400 == len({text for text, _ in given})
    for answer, size in ((False, 600), (True, 1_500)):
        own = [text for text, is_answer in given if is_answer == answer]
        assert (200, 100) == (len(own), sum(map(str.isascii, own)))
        assert all(0.9 * size < len(text.encode()) < 1.1 * size for text in own)
