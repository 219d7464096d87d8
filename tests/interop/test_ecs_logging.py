"""Events through ecs-logging's formatter."""

import io
import json
import logging

import pytest

import hilt_logging

from hilt_logging import events


ecs_logging = pytest.importorskip("ecs_logging")


@pytest.fixture
def out(logger, hilt_file):
    """What ecs-logging writes of the logger's records; the file is written before."""
    logger.addHandler(hilt_file.handler)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(ecs_logging.StdlibFormatter())
    logger.addHandler(handler)
    return lambda: [json.loads(line) for line in handler.stream.getvalue().splitlines()]


def test_emit(logger, hilt_file, out, completion):
    """The whole nested event of emit stands under hilt, the same as in the file."""
    hilt_logging.emit(completion, logger=logger)

    [line] = out()
    assert [line["hilt"]] == hilt_file()
    assert line["message"] == line["log"]["original"]
    assert line["message"].startswith("completion openai gpt-4o")


def test_users_own(logger, hilt_file, out):
    """An event that a user logged is, once completed, the same in both."""
    logger.info("rated", extra={"hilt": events.feedback(5, "good", session_id="s")})

    [line] = out()
    assert [line["hilt"]] == hilt_file()
    assert line["message"] == "rated"


def test_time(logger, hilt_file, out):
    """The record's time is the event's, to the millisecond."""
    hilt_logging.emit(events.prompt("x", session_id="s"), logger=logger)

    [line], [event] = out(), hilt_file()
    assert line["@timestamp"][:23] == event["timestamp"][:23]


def test_dots_nulls_and_empty_objects(logger, hilt_file, out):
    """ecs-logging takes dotted names apart and leaves null and {} out: the file has them as given."""
    extensions = {"a.b": 1, "none": None, "empty": {}, "list": [{"c.d": None}]}

    hilt_logging.emit(events.system(session_id="s", extensions=extensions), logger=logger)

    [line], [event] = out(), hilt_file()
    assert event["extensions"] == extensions
    assert line["hilt"]["extensions"] == {"a": {"b": 1}, "list": [{"c.d": None}]}


def test_colliding_names(logger, hilt_file, out, capsys):
    """Where a dotted name collides with another, ecs-logging loses its line; the file has the event."""
    extensions = {"a": 1, "a.b": 2}

    hilt_logging.emit(events.system(session_id="s", extensions=extensions), logger=logger)

    assert out() == []
    assert [event["extensions"] for event in hilt_file()] == [extensions]
    assert "Logging error" in capsys.readouterr().err
