"""
The code in README.md and docs/*.md runs.

Blocks of Python run page by page, in their order, in one namespace and in an empty directory. A
block of YAML that has `version: 1` is given to dictConfig in its turn; a block of commands that uses
`hilt-log` and names what it needs is run by the shell; blocks of JSON must parse, and must be valid
where they are events. Comments directly above a block change that:

    <!-- not run: REASON -->    the block is not run; without a reason the test fails
    <!-- needs: A, B -->        the block is left out where one of these modules is missing
    <!-- file: NAME -->         the block is put into this file before the page runs
    <!-- prints -->             the block is what the block of code or commands before it prints
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap

from pathlib import Path
from typing import NamedTuple

import pytest

import hilt_logging


ROOT = Path(__file__).parent.parent.parent
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()
]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.M | re.S
)
COMMENT = re.compile(r"^ *<!-- *(?P<name>not run|needs|file|prints)(?::(?P<value>.*?))? *-->$")
VOLATILE = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[st]-[a-z2-7]{26}\b"), "NAME"),
    (re.compile(r"(?<=kid |ey ')[\w-]{43}"), "KID"),
    (re.compile(r"(?<=chain )[0-9a-f]{8,32}\b"), "CHAIN"),
    (re.compile(r"process \d+ on [^\s:]+"), "PROCESS"),
    (re.compile(r"(?<=On record in )/\S+/(?=logs/)"), "FOLDER"),
    (re.compile(r'(?<="text_encrypted":")[^"]+'), "TOKEN"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d+(Z|\+00:00)?"), "TIME"),
]

# Runs the steps of a page, given as JSON on stdin; gives back what each of them printed.
RUNNER = textwrap.dedent(
    """
    import contextlib, io, json, logging.config, subprocess, sys
    steps = json.load(sys.stdin)
    out, printed = io.StringIO(), {}
    names = {"__name__": "__main__"}
    for page, line, language, body in steps:
        start = len(out.getvalue())
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            if language == "yaml":
                import yaml
                logging.config.dictConfig(yaml.safe_load(body))
            elif language == "sh":
                done = subprocess.run(
                    ["sh", "-e", "-c", body], stdout=-1, stderr=subprocess.STDOUT, text=True
                )
                print(done.stdout)
                assert done.returncode == 0, (page, line, done.stdout)
            else:
                exec(compile("\\n" * line + body, page, "exec"), names)
        printed[line] = out.getvalue()[start:]
    json.dump(printed, sys.stdout)
    """
)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    body: str
    comments: dict[str, str]

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    @property
    def is_config(self):
        return self.language == "yaml" and re.search(r"^version: 1$", self.body, re.M) is not None

    @property
    def is_commands(self):
        return (
            self.language == "sh"
            and "needs" in self.comments
            and re.search(r"^hilt-log ", self.body, re.M) is not None
        )

    @property
    def runs(self):
        """Whether it is code for this machine, not opted out, and has the modules that it needs."""
        is_code = self.language == "python" or self.is_config or self.is_commands
        if "not run" in self.comments or not is_code:
            return False
        needs = self.comments.get("needs", "").replace(",", " ").split()
        return not any(map(is_missing, needs + ["yaml"] * self.is_config))


def is_missing(module):
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError:  # its package is
        return True


def blocks(path):
    text = path.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()].splitlines()
        body = textwrap.dedent(match["body"])
        line = len(before) + 1
        page = str(path.relative_to(ROOT))
        found.append(Block(page, line, match["language"], body, comments_above(before)))
    return found


def comments_above(lines):
    found = {}
    while lines and (match := COMMENT.match(lines.pop())):
        found[match["name"]] = (match["value"] or "").strip()
    return found


def pages():
    return [pytest.param(path, id=path.name) for path in PAGES]


def stable(text):
    for pattern, name in VOLATILE:
        text = pattern.sub(name, text)
    return text.strip()


@pytest.mark.parametrize("path", pages())
def test_page_runs(path, tmp_path):
    """Every block of Python and every configuration of a page runs, and prints what it says."""
    found = blocks(path)
    steps = [(each.page, each.line, each.language, each.body) for each in found if each.runs]
    for block in found:
        if "file" in block.comments:
            (tmp_path / block.comments["file"]).write_text(block.body, encoding="utf-8")
    for name in ("logging.example.yaml", "examples"):
        if (ROOT / name).exists() and not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)

    (commands := tmp_path / ".bin").mkdir()
    (commands / "hilt-log").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hilt_logging "$@"\n')
    (commands / "hilt-log").chmod(0o755)
    path_of_commands = f"{commands}{os.pathsep}{os.environ.get('PATH', '')}"

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(steps),
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": path_of_commands,
            "PYTHONIOENCODING": "utf-8",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        },
        timeout=120,
        check=False,
    )

    assert (0, "") == (ran.returncode, ran.stderr)
    printed = {int(line): text for line, text in json.loads(ran.stdout).items()}
    before = None
    for block in found:
        if "prints" in block.comments and before in printed:
            assert stable(block.body) == stable(printed[before]), block.place
        elif block.language == "python" or block.is_commands:
            before = block.line


@pytest.mark.parametrize("path", pages())
def test_json_parses(path):
    """Every block of JSON is strict JSON, and its events are valid."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    for block in blocks(path):
        if block.language not in ("json", "jsonl"):
            continue
        texts = [block.body] if block.language == "json" else block.body.splitlines()
        for text in texts:
            value = json.loads(text, parse_constant=refuse)
            if isinstance(value, dict) and "hilt_version" in value:
                assert [] == hilt_logging.validate_event(value), block.place


@pytest.mark.parametrize("path", pages())
def test_comments(path):
    """What is not run says why, a file has a name, and modules that are needed are named."""
    for block in blocks(path):
        for name, value in block.comments.items():
            assert (name == "prints") == (value == ""), block.place


@pytest.mark.parametrize("path", pages())
def test_fences_are_closed(path):
    """Every fence is found by this test."""
    text = path.read_text(encoding="utf-8")

    assert len(re.findall(r"^ *```", text, re.M)) == 2 * len(blocks(path))


@pytest.mark.parametrize("path", pages())
def test_links(path):
    """Links to files of the repository lead to files, and to headings that are there."""
    text = re.sub(FENCE, "", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
            assert anchor in slugs, target


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<!-- not run: it needs a key -->", {"not run": "it needs a key"}),
        ("<!-- not run: -->", {"not run": ""}),
        ("<!-- not run -->", {"not run": ""}),
        ("<!-- needs: structlog, yaml -->", {"needs": "structlog, yaml"}),
        ("<!-- prints -->", {"prints": ""}),
        ("text", {}),
    ],
)
def test_comments_are_read(line, expected):
    """A comment directly above a block is understood; one without a reason has an empty one."""
    assert comments_above(["<!-- needs: x -->", "", line]) == expected


def test_there_are_pages():
    """The README and the pages of docs are looked at."""
    assert len(PAGES) > 5
