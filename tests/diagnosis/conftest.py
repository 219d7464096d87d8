"""A folder in which configurations find what they name."""

from __future__ import annotations

import logging

import pytest

from hilt_logging import HILTFileHandler
from hilt_logging.safeguards import sealing


@pytest.fixture
def folder(tmp_path, monkeypatch, an_event):
    """The current folder: with a folder, a file that all can read, and logs of linked lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "file.txt").chmod(0o644)
    sealing.write_new("app.seal", sealing.generate())
    sealing.write_new("used.seal", sealing.generate())
    sealed = {"evidence": "sealed", "seal_key": "used.seal"}
    for name, options in (("linked.jsonl", {"evidence": True}), ("sealed.jsonl", sealed)):
        handler = HILTFileHandler(name, **options)
        handler.handle(logging.makeLogRecord({"hilt": an_event()}))
        handler.close()
    return tmp_path
