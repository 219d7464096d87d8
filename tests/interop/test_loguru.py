"""Events through loguru, which hands its entries to any handler of `logging`."""

import pytest

import hilt_logging

from hilt_logging import events


pytest.importorskip("loguru")

from loguru import logger as loguru_logger


@pytest.fixture
def log(hilt_file):
    """loguru's logger with our file as its sink."""
    sink = loguru_logger.add(hilt_file.handler, format="{message}")
    yield loguru_logger
    loguru_logger.remove(sink)


def test_bound_event(log, hilt_file):
    """An event that is bound to a loguru logger is completed and written."""
    with hilt_logging.bind(session_id="s-1"):
        log.bind(hilt={"action": "system", "actor": {"type": "system", "id": "app"}}).info("x")

    [event] = hilt_file()
    assert event["session_id"] == "s-1"
    assert hilt_logging.validate_event(event) == []


def test_keyword(log, hilt_file):
    """An event as a keyword of the call is found too."""
    log.info("rated", hilt=events.feedback(5, session_id="s"))

    assert [event["action"] for event in hilt_file()] == ["feedback"]


def test_ordinary(log, hilt_file):
    """An entry without an event does not get into the file."""
    log.info("ordinary", shelf=3)

    assert hilt_file() == []
