"""Imports what stands in an export, and gives the events."""

from __future__ import annotations

import json

from collections import Counter
from pathlib import Path

import pytest

from hilt_logging.analysis import import_log
from hilt_logging.events import decode


HERE = Path(__file__).parent


def exported(name):
    """The objects of an export that is kept here."""
    text = (HERE / name).read_text("utf-8")
    if name.endswith(".json"):
        return json.loads(text)["data"]
    return [json.loads(line) for line in text.split("\n") if line]


class Log(list):
    """The events of an import, and what was told."""

    def __init__(self, path, done, told):
        super().__init__(decode(line) for line in path.read_bytes().split(b"\n") if line)
        self.path, self.done, self.told = path, done, told

    def of(self, action, session=None):
        return [
            each
            for each in self
            if each["action"] == action and session in (None, each["session_id"])
        ]

    def actions(self, session=None):
        return Counter(each["action"] for each in self if session in (None, each["session_id"]))


@pytest.fixture
def imported(tmp_path):
    """Imports paths, or objects that are written one a line."""

    def imported(*given, **options):
        paths = [each for each in given if not isinstance(each, dict)]
        rows = [each for each in given if isinstance(each, dict)]
        if rows:
            path = tmp_path / "export.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
            paths.append(path)
        told = []
        log = tmp_path / "imported.jsonl"
        done = import_log(paths, log, report=told.append, force=True, **options)
        return Log(log, done, told)

    return imported
