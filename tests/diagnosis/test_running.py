"""What the program that runs does with events."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue
import types

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, HILTTextFormatter, basic_config
from hilt_logging.diagnosis import LOGGERS, diagnose


HILT = logging.getLogger("hilt")


def told():
    return [f"{each.severity} {each.code} {each.where}" for each in diagnose().problems]


@pytest.fixture(autouse=True)
def _alone():
    """No other test's logger is looked at."""
    there = logging.Logger.manager.loggerDict
    held = {name: there.pop(name) for name in list(there) if name.startswith("hilt.")}
    yield
    for name in [name for name in there if name.startswith("hilt.")]:
        del there[name]
    there.update(held)


def test_works(tmp_path):
    """After the one line, events of all loggers are written."""
    basic_config(tmp_path / "app.jsonl", console=True)
    logging.getLogger("hilt.app.shop").setLevel("DEBUG")
    found = diagnose(loggers="hilt.app.desk")
    assert ([], True, None) == (found.problems, found.works, found.file)
    assert [*LOGGERS, "hilt.app.shop", "hilt.app.desk"] == [way.logger for way in found.ways]
    ways = {way.logger: way for way in found.ways}
    assert ("HILTFileHandler", "StreamHandler") == ways["hilt"].handlers["INFO"]
    assert ("INFO", "WARNING", "ERROR") == ways["hilt.app.desk"].written
    assert ("DEBUG", "INFO", "WARNING", "ERROR") == ways["hilt.app.shop"].written
    shown = {each.handler: each for each in found.destinations}
    assert str(tmp_path / "app.jsonl") == shown["HILTFileHandler"].to
    assert ("stderr", "summaries") == (shown["StreamHandler"].to, shown["StreamHandler"].writes)


def test_nothing_set_up():
    """Without any set-up the level is told, for all at once; no logger is made."""
    before = set(logging.Logger.manager.loggerDict)
    found = diagnose()
    assert ["error level root.level"] == told()
    assert LOGGERS == found.problems[0].loggers
    assert before == set(logging.Logger.manager.loggerDict)


def _disabled(handler):
    HILT.disabled = True


def _all_disabled(handler):
    logging.disable(logging.WARNING)


def _level_of_a_child(handler):
    logging.getLogger("hilt.openai").setLevel("ERROR")


def _child_alone(handler):
    logging.getLogger("hilt.openai").propagate = False


def _level_of_the_handler(handler):
    handler.setLevel("ERROR")


def _filter(handler):
    handler.addFilter(hilt_logging.ActionFilter("feedback"))


def _dropped(handler):
    handler._troubles.count("ENOSPC", "x")


def _text_alone(handler):
    HILT.removeHandler(handler)
    handler.close()
    console = logging.StreamHandler()
    console.setFormatter(HILTTextFormatter())
    HILT.addHandler(console)


def _folder(handler):
    handler.close()
    __import__("os").unlink(handler.baseFilename)
    __import__("os").mkdir(handler.baseFilename)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_disabled, "error disabled loggers.hilt"),
        (_all_disabled, "error disable logging.disable"),
        (_level_of_a_child, "error level loggers.hilt.openai.level"),
        (_child_alone, "error no-handler loggers.hilt.openai.propagate"),
        (_level_of_the_handler, "error handler-level handlers.HILTFileHandler.level"),
        (_filter, "error filtered handlers.HILTFileHandler.filters"),
        (_dropped, "error dropped handlers.HILTFileHandler"),
        (_text_alone, "error no-writer handlers.StreamHandler.formatter"),
        (_folder, "error not-writable handlers.HILTFileHandler.filename"),
    ],
)
def test_what_is_wrong(tmp_path, capsys, change, expected):
    """What keeps events from being written is told."""
    change(basic_config(tmp_path / "app.jsonl"))
    assert [expected] == told()


@pytest.mark.parametrize("how", ["target", "listener", "background"])
def test_behind_another(tmp_path, how):
    """What stands behind a buffer or a queue counts."""
    target = HILTFileHandler(tmp_path / "app.jsonl", foreign="wrap")
    if how == "target":
        front = logging.handlers.MemoryHandler(10, target=target)
    elif how == "background":
        front = hilt_logging.BackgroundHandler(target=target)
    else:
        front = logging.handlers.QueueHandler(queue.Queue())
        front.addFilter(hilt_logging.HILTContextFilter())
        front.listener = types.SimpleNamespace(handlers=[target])
    front.name = "front"
    HILT.addHandler(front)
    HILT.setLevel("INFO")
    found = diagnose()
    assert [] == found.problems
    (file,) = [each for each in found.destinations if each.handler == "HILTFileHandler"]
    assert (("front",), "wrap") == (file.through, file.foreign)
    front.close()
    target.close()


def test_handlers_of_one_name(tmp_path):
    """Each handler is told apart."""
    for name in ("a", "b"):
        basic_config(tmp_path / name)
    found = diagnose()
    assert {"HILTFileHandler", "HILTFileHandler'"} == {each.handler for each in found.destinations}


def test_after_a_configuration(tmp_path):
    """Handlers have the names that they have in the configuration; what that says is so."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "events": {
                "class": "hilt_logging.HILTFileHandler",
                "filename": str(tmp_path / "a.jsonl"),
            }
        },
        "loggers": {"hilt": {"level": "INFO", "handlers": ["events"], "propagate": False}},
    }
    before = diagnose(config)
    logging.config.dictConfig(config)
    now = diagnose()
    assert before.ways == now.ways
    assert [each.to for each in before.destinations] == [each.to for each in now.destinations]
    assert [] == before.problems == now.problems
