from __future__ import annotations

import importlib.util
import json
import logging

from pathlib import Path
from typing import Any

import pytest

import hilt_logging

from hilt_logging.integrations import _calls, _conversations, _latest


FIXTURES = Path(__file__).parent.parent / "provider_fixtures"
MANIFEST = json.loads((FIXTURES / "manifest.json").read_text("utf-8"))["fixtures"]


def _server_module() -> Any:
    spec = importlib.util.spec_from_file_location("fixture_server", FIXTURES / "fixture_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def provider():
    """The loopback server that replays the provider fixtures."""
    with _server_module().FixtureServer(FIXTURES) as server:
        yield server


class Collector(logging.Handler):
    """Keeps the events of the records that it gets, and the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [record.hilt for record in self.records]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["action"] == action]


@pytest.fixture
def collected():
    """All events that reach the logger `hilt`, from INFO on."""
    collector, logger = Collector(), logging.getLogger("hilt")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield collector
    logger.removeHandler(collector)
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch):
    """No test recognises the conversations of another one."""
    monkeypatch.setattr(_calls, "_conversations", _conversations.Conversations())
    for memory in ("_answered", "_given"):
        monkeypatch.setattr(_calls, memory, _latest.Latest())


@pytest.fixture
def instrumented():
    """`instrument`, undone at the end of the test."""
    yield hilt_logging.instrument
    hilt_logging.uninstrument()
