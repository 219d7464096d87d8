"""What hilt-python 0.2.8 writes, in our hands."""

from __future__ import annotations

import json

import pytest

from hilt_logging.errors import ReadError
from hilt_logging.events import Event
from hilt_logging.io.reader import read


HUMAN = {"type": "human", "id": "alice"}
AGENT = {"type": "agent", "id": "openai"}
SPOKEN = {"session_id": "conv_1", "actor": HUMAN, "action": "prompt"}
COLUMNS = [
    "timestamp",
    "conversation_id",
    "event_id",
    "reply_to",
    "status_code",
    "session",
    "speaker",
    "action",
    "message",
    "tokens_in",
    "tokens_out",
    "cost_usd",
    "latency_ms",
    "model",
    "relevance_score",
]


@pytest.fixture
def written(peer, tmp_path):
    """Return the events that our reader finds in what its `Session.append` wrote."""

    def write(*events):
        path = tmp_path / "theirs.jsonl"
        peer.append(path=str(path), events=events)
        return list(read(path))

    return write


@pytest.mark.parametrize(
    "action",
    [
        "prompt",
        "completion",
        "completion_chunk",
        "retrieval",
        "tool_call",
        "tool_result",
        "system",
        "feedback",
    ],
)
def test_its_actions(written, action):
    """Each of its actions is read, and the version that its lines lack is 1.0.0."""
    (event,) = written({**SPOKEN, "action": action})
    assert (event.action, event.hilt_version) == (action, "1.0.0")


@pytest.mark.parametrize("cost", [0.00045, 0.0, 1234567.125, 12])
def test_cost_that_is_a_string(written, cost):
    """A cost is a number again, and what stood in the file is kept under `extensions.original`."""
    metrics = {"tokens": {"prompt": 1, "completion": 2, "total": 3}, "cost_usd": cost}
    (event,) = written({**SPOKEN, "action": "completion", "actor": AGENT, "metrics": metrics})
    assert event.metrics.cost_usd == round(cost, 6)
    assert event.metrics.tokens == {"prompt": 1, "completion": 2, "total": 3}
    assert event.extensions["original"] == {"metrics.cost_usd": f"{cost:.6f}"}
    assert event.metrics.unknown_fields["cost_usd_display"].endswith(" USD")


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("2025-10-16T12:00:00.123456+00:00", "2025-10-16T12:00:00.123456Z"),
        ("2025-10-16T12:00:00+00:00", "2025-10-16T12:00:00.000000Z"),
        ("2025-10-16T12:00:00.5+05:30", "2025-10-16T06:30:00.500000Z"),
        ("2025-10-16T12:00:00-08:00", "2025-10-16T20:00:00.000000Z"),
        ("2025-10-16T12:00:00.000001", "2025-10-16T12:00:00.000001Z"),
    ],
)
def test_timestamp(written, given, read_as):
    """Offsets become `Z`; a time without an offset counts as UTC."""
    (event,) = written({**SPOKEN, "timestamp": given})
    assert event.timestamp == read_as


def test_all_its_fields(written):
    """Everything that its objects can hold is in ours, further fields included."""
    fields = {
        **SPOKEN,
        "event_id": "e1",
        "timestamp": "2025-10-16T12:00:00.000001+00:00",
        "actor": {**HUMAN, "name": "Alice", "metadata": {"team": [1, None]}},
        "content": {
            "text": "Grüße \u2028 👩‍👩‍👧",
            "images": [{"url": "a.png"}, "b.png"],
            "metadata": {"lang": "de"},
            "mood": {"score": 1},
        },
        "metrics": {"latency_ms": 5, "tokens": {"prompt": 1}, "queue_ms": 2.5},
        "provenance": {"model": "gpt-4o", "nested": [{"a": None}]},
        "extensions": {"reply_to": "e0", "model": "gpt-4o", "latency_ms": 5, "status_code": 200},
    }
    (event,) = written(fields)
    fields["timestamp"] = "2025-10-16T12:00:00.000001Z"
    assert event.to_dict() == {"hilt_version": "1.0.0", **fields}


def test_many_events_in_order(written):
    """A file is read from its first event to its last."""
    texts = [f"{number} é" for number in range(200)]
    found = written(*({**SPOKEN, "content": {"text": text}} for text in texts))
    assert [event.content.text for event in found] == texts


@pytest.mark.parametrize("columns", [COLUMNS, ["timestamp", "message"], ["event_id"]], ids=len)
def test_rows(peer, tmp_path, columns):
    """A row that it wrote with `columns=` is reported as no event, with file and line."""
    path = tmp_path / "theirs.jsonl"
    peer.append(path=str(path), events=[SPOKEN])
    peer.append(path=str(path), events=[SPOKEN], columns=columns)
    events = read(path)
    assert next(events).action == "prompt"
    with pytest.raises(ReadError, match="not an event") as caught:
        next(events)
    assert str(path) in str(caught.value)
    assert "2" in str(caught.value).replace(str(path), "")


def test_rows_are_passed_over(peer, tmp_path):
    """With `errors="skip"` rows are reported one by one and the events around them are read."""
    path = tmp_path / "theirs.jsonl"
    for columns in (None, COLUMNS, None):
        peer.append(path=str(path), events=[SPOKEN], columns=columns)
    reported = []
    assert len(list(read(path, errors="skip", report=reported.append))) == 2
    assert [error.line for error in reported] == [2]


def test_read_again_after_rewriting(written):
    """An event of its file that is written by us is the same event when it is read again."""
    metrics = {"cost_usd": 0.00045, "tokens": {"prompt": 1}}
    (event,) = written({**SPOKEN, "metrics": metrics, "content": {"text": "x", "images": ["a"]}})
    again = Event.from_json(event.to_json())
    assert again == event
    assert json.loads(again.to_json()) == json.loads(event.to_json())


# The exceptions, as docs/migrating-from-hilt-python.md lists them.


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"session_id": ""}, r"\$\.session_id: must not be empty"),
        ({"event_id": ""}, r"\$\.event_id: must not be empty"),
        ({"actor": {"type": "human", "id": ""}}, r"\$\.actor\.id: must not be empty"),
        ({"metrics": {"latency_ms": -1}}, r"\$\.metrics\.latency_ms: must be at least 0"),
        ({"metrics": {"tokens": {"prompt": -1}}}, r"\$\.metrics\.tokens\.prompt: must be at least"),
        ({"content": {"text_hash": "md5:00"}}, r"\$\.content\.text_hash: must match"),
        ({"content": {"media": "a.png"}}, r"\$\.content\.media: must be array"),
    ],
    ids=str,
)
def test_what_is_no_event(written, change, fault):
    """Exception: what 0.2.8 lets pass and the format does not is reported with its path."""
    with pytest.raises(ReadError, match=fault):
        written({**SPOKEN, **change})


def test_not_json(written):
    """Exception: a NaN or an infinity in its free fields makes a line that is not JSON."""
    with pytest.raises(ReadError, match="not JSON"):
        written({**SPOKEN, "extensions": {"score": float("nan")}})


def test_large_integer(written):
    """Exception: an integer of more than 64 bits is written as the text of its digits."""
    (event,) = written({**SPOKEN, "extensions": {"n": 2**64, "most": 2**64 - 1}})
    assert event.extensions == {"n": 2**64, "most": 2**64 - 1}
    assert '{"n":"18446744073709551616","most":18446744073709551615}' in event.to_json()
