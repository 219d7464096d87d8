"""A folder in which configurations find what they name."""

from __future__ import annotations

import pytest

from hilt_logging import HILTFileHandler


@pytest.fixture
def folder(tmp_path, monkeypatch, an_event):
    """The current folder, with a folder, a file that all can read, and a log of linked lines."""
    import logging

    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "file.txt").chmod(0o644)
    handler = HILTFileHandler(tmp_path / "linked.jsonl", evidence=True)
    handler.handle(logging.makeLogRecord({"hilt": an_event()}))
    handler.close()
    return tmp_path
