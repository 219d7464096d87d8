"""`hilt-log check-config`."""

from __future__ import annotations

import json

import pytest


pytest.importorskip("yaml")

WORKS = """\
version: 1
handlers:
  events: {class: hilt_logging.HILTFileHandler, filename: app.jsonl}
loggers:
  hilt: {level: INFO, propagate: false, handlers: [events]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logging.yaml").write_text(WORKS)
    return tmp_path


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("check-config", "--help")
    assert 0 == done.code
    assert "hilt-log check-config logging.yaml --emit" in done.out


def test_nothing_wrong(hilt_log, folder):
    """Where events go, and that nothing is wrong; no file is made."""
    done = hilt_log("check-config", "logging.yaml")
    assert (0, "") == (done.code, done.err)
    assert [
        "hilt, hilt.openai, hilt.anthropic, hilt.gemini, hilt.langchain, hilt.session, "
        "hilt.integrity",
        "  from INFO     events  app.jsonl: whole events; no ordinary records",
        "",
        "0 errors, 0 warnings",
    ] == done.out.splitlines()
    assert ["logging.yaml"] == [path.name for path in folder.iterdir()]


def test_something_wrong(hilt_log, folder):
    """What is wrong is told with key and line, why, and what to do; the exit code is 1."""
    (folder / "logging.yaml").write_text(WORKS.replace("INFO", "ERROR"))
    done = hilt_log("check-config", "logging.yaml")
    assert (1, "") == (done.code, done.err)
    assert [
        "error: loggers.hilt.level (line 5) is ERROR",
        "  what went well is INFO, and is not even made",
        "  of hilt, hilt.openai, hilt.anthropic, hilt.gemini, hilt.langchain, hilt.session, "
        "hilt.integrity",
        "  Set the level of hilt to INFO",
        "1 error, 0 warnings",
    ] == done.out.splitlines()[-5:]
    (folder / "logging.yaml").write_text("version: 1\n")
    assert "  nothing is written: WARNING and above is on" in (
        hilt_log("check-config", "logging.yaml").out.splitlines()
    )


def test_warning(hilt_log, folder):
    """A warning is no failure."""
    (folder / "logging.yaml").write_text(WORKS.replace("propagate", "propogate"))
    done = hilt_log("check-config", "logging.yaml")
    assert 0 == done.code
    assert "warning: loggers.hilt.propogate (line 5) is a key that nobody reads" in done.out


def test_json(hilt_log, folder):
    """The same for a program."""
    told = hilt_log("check-config", "logging.yaml", "--json", "--logger", "hilt.app.shop").json
    assert (True, []) == (told["works"], told["problems"])
    assert "hilt.app.shop" == told["ways"][-1]["logger"]
    assert ["events"] == told["ways"][0]["handlers"]["INFO"]
    assert f"{folder}/app.jsonl" == told["destinations"][0]["to"]
    assert "tried" not in told
    (folder / "logging.yaml").write_text(WORKS.replace("INFO", "ERROR"))
    done = hilt_log("check-config", "logging.yaml", "--json")
    assert (1, False, "level") == (
        done.code,
        done.json["works"],
        done.json["problems"][0]["code"],
    )


def test_emit(hilt_log, folder, lines):
    """With --emit an event is really written, and found."""
    done = hilt_log("check-config", "logging.yaml", "--emit")
    assert 0 == done.code
    (event,) = lines(folder / "app.jsonl")
    assert f"hilt: event {event['event_id']} is in app.jsonl" in done.out
    told = hilt_log(
        "check-config", "logging.yaml", "--emit", "--json", "--logger", "hilt.app.shop"
    ).json
    assert ["hilt.app.shop"] == [each["logger"] for each in told["tried"]]
    assert told["works"]


def test_emit_fails(hilt_log, folder):
    """What does not come out is told, and the exit code is 1, even where nothing seems wrong."""
    (folder / "odd.py").write_text("import logging\nclass Deaf(logging.NullHandler): pass\n")
    (folder / "logging.json").write_text(
        json.dumps(
            {
                "version": 1,
                "handlers": {"a": {"class": "odd.Deaf"}},
                "loggers": {"hilt": {"level": "INFO", "handlers": ["a"]}},
            }
        )
    )
    done = hilt_log("check-config", "logging.json", "--no-import", "--emit")
    assert 1 == done.code
    assert "is nowhere to be found" in done.out
    (folder / "logging.yaml").write_text(WORKS.replace("INFO", "ERROR"))
    assert "nobody listens: no event was made" in (
        hilt_log("check-config", "logging.yaml", "--emit").out
    )
    (folder / "logging.yaml").write_text(WORKS.replace("filename", "file_name"))
    assert "hilt: Unable to configure handler 'events'" in (
        hilt_log("check-config", "logging.yaml", "--emit").out
    )


def test_wrong_usage(hilt_log, folder):
    """What is no configuration, or not there, is wrong usage."""
    (folder / "empty.json").write_text("")
    for name in ("gone.yaml", "empty.json", "."):
        done = hilt_log("check-config", name)
        assert (2, "") == (done.code, done.out)
        assert "Error: " in done.err
    assert 2 == hilt_log("check-config").code
    assert 2 == hilt_log("check-config", "logging.yaml", "--logger", "..").code


def test_empty_file(hilt_log, folder):
    """An empty file writes nothing."""
    (folder / "empty.yaml").write_text("")
    done = hilt_log("check-config", "empty.yaml")
    assert 1 == done.code
    assert "error: version is missing" in done.out


def test_what_a_name_does_to_a_terminal(hilt_log, folder):
    """Names in a configuration are shown, not sent."""
    (folder / "a.json").write_text(json.dumps({"version": 1, "\x1b[2Jx": {}}))
    assert "\\u001b[2Jx" in hilt_log("check-config", "a.json").out
