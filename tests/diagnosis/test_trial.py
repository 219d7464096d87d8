"""One event through a configuration, for real."""

from __future__ import annotations

import json
import textwrap

import pytest

from hilt_logging.diagnosis import diagnose, try_out
from hilt_logging.errors import ConfigurationError, ReadError


pytest.importorskip("yaml")

WORKS = """
    version: 1
    formatters: {text: {"()": hilt_logging.HILTTextFormatter}}
    handlers:
      events: {class: hilt_logging.HILTFileHandler, filename: app.jsonl}
      console: {class: logging.StreamHandler, formatter: text}
    loggers:
      hilt: {level: INFO, propagate: false, handlers: [events, console]}
      hilt.openai: {level: ERROR}
"""


@pytest.fixture
def config(folder):
    (folder / "logging.yaml").write_text(textwrap.dedent(WORKS), encoding="utf-8")
    return "logging.yaml"


def test_found(folder, config, lines):
    """The event is in the file, a notice that counts nowhere; a line about it is on stderr."""
    (trial,) = try_out(config, files=[str(folder / "app.jsonl")])
    assert ((str(folder / "app.jsonl"),), ("stderr",)) == (trial.found, trial.mentioned)
    (event,) = lines(folder / "app.jsonl")
    assert (trial.event_id, trial.session_id) == (event["event_id"], event["session_id"])
    assert {"kind": "check"} == event["extensions"]["notice"]
    assert "hilt" == trial.logger


def test_nobody_listens(folder, config):
    """Of a logger that is not enabled it is told that no event was made."""
    tried = try_out(config, loggers=["hilt.openai", "hilt.gemini"], files=[folder / "app.jsonl"])
    assert [False, True] == [each.event_id is not None for each in tried]
    assert [0, 1] == [len(each.found) for each in tried]


def test_refused(folder):
    """Where the configuration is refused, the reason is told, with its cause."""
    config = {"version": 1, "handlers": {"a": {"class": "hilt_logging.HILTFileHandler", "x": 1}}}
    (folder / "logging.json").write_text(json.dumps(config))
    (trial,) = try_out("logging.json")
    assert trial.error.startswith("Unable to configure handler 'a': Invalid option of HILTFile")
    assert (None, ()) == (trial.event_id, trial.found)


def test_code_that_hangs(folder):
    """A configuration whose code does not come to an end does not hold up who asks."""
    (folder / "hangs.py").write_text("import time\ndef make(): time.sleep(600)\n")
    (folder / "logging.json").write_text(
        json.dumps({"version": 1, "filters": {"f": {"()": "hangs.make"}}})
    )
    (trial,) = try_out("logging.json", timeout=2)
    assert "it did not end within 2 seconds" == trial.error


def test_code_that_ends_it(folder):
    """One whose code ends the process is told."""
    (folder / "ends.py").write_text("import os\nos._exit(3)\n")
    (folder / "logging.json").write_text(
        json.dumps({"version": 1, "filters": {"f": {"()": "ends.make"}}})
    )
    (trial,) = try_out("logging.json")
    assert "it ended with 3" == trial.error


def test_no_file(folder):
    """What can't be read is an error, before anything runs."""
    with pytest.raises(ReadError):
        try_out("gone.yaml")
    (folder / "a.json").write_text("[")
    with pytest.raises(ConfigurationError):
        try_out("a.json")


def test_files_of_a_diagnosis(folder, config):
    """A diagnosis says where to look."""
    files = [each.to for each in diagnose(config).destinations if each.to and "/" in each.to]
    (trial,) = try_out(config, files=files)
    assert [str(folder / "app.jsonl")] == files == list(trial.found)
