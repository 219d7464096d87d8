"""What the tests with other packages' components share: a logger and a HILT file beside them."""

import json
import logging
import uuid

import pytest

import hilt_logging

from hilt_logging import events


class HILTFile:
    """A file of events that a handler of ours writes; call it to read."""

    def __init__(self, path):
        self.handler = hilt_logging.HILTFileHandler(path)

    def __call__(self):
        with open(self.handler.baseFilename, "rb") as file:
            return [json.loads(line) for line in file]


@pytest.fixture
def logger():
    """A logger of events that no other test sees."""
    logger = logging.getLogger(f"hilt.test.{uuid.uuid4().hex}")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


@pytest.fixture
def hilt_file(tmp_path):
    """A file of events; its handler is not attached to a logger."""
    file = HILTFile(tmp_path / "events.jsonl")
    yield file
    file.handler.close()


@pytest.fixture
def completion():
    """An event with something in every part, nested and not ASCII."""
    return events.completion(
        "Grüße 😀",
        session_id="conv-1",
        reply_to="prompt-1",
        provenance={"provider": "openai", "model": "gpt-4o", "params": {"stop": ["a", "b"]}},
        metrics=events.Metrics(latency_ms=7, cost_usd=0.5, tokens={"prompt": 1, "completion": 2}),
        extensions={"tool": {"name": "f", "arguments": {"x": [1, {"y": 2.5}]}}, "flag": True},
    )
