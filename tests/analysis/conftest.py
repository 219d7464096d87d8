"""Logs to ask and to convert."""

from __future__ import annotations

import itertools
import json

import pytest

from hilt_logging.events import encode


@pytest.fixture
def write(tmp_path):
    """Writes events, and lines that are none, to a log."""

    def write(name, *lines):
        path = tmp_path / name
        data = [line if isinstance(line, bytes) else encode(line) for line in lines]
        path.write_bytes(b"".join(line + b"\n" for line in data))
        return path

    return write


@pytest.fixture
def calls(an_event):
    """Makes a conversation of a prompt and an answer for each number that is given."""

    def calls(*numbers):
        return list(itertools.chain.from_iterable(_call(an_event, number) for number in numbers))

    return calls


def _call(an_event, number):
    day = f"2026-01-{number % 28 + 1:02d}"
    yield an_event(
        event_id=f"p{number}",
        timestamp=f"{day}T03:04:05.678901Z",
        session_id=f"conv-{number}",
        content={"text": f"Question {number}"},
        extensions={"user_id": "alice", "team": "blue"},
    )
    yield an_event(
        event_id=f"c{number}",
        timestamp=f"{day}T03:04:06.678901Z",
        session_id=f"conv-{number}",
        actor={"type": "agent", "id": "assistant"},
        action="completion",
        content={"text": f"Answer {number}"},
        provenance={"provider": "openai", "model": "gpt-4o-mini", "call_id": f"k{number}"},
        metrics={
            "latency_ms": 800 + number,
            "tokens": {"prompt": 10 + number, "completion": 5, "total": 15 + number, "cached": 4},
            "cost_usd": 0.25,
        },
        extensions={"reply_to": f"p{number}", "outcome": "completed", "user_id": "alice"},
    )


@pytest.fixture
def lines_in():
    """The JSON values of a file, one a line."""
    return lambda path: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
