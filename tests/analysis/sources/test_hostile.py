"""What is exported may have been damaged: nothing raises, and what is written are events."""

from __future__ import annotations

import json
import random

from pathlib import Path

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilt_logging.analysis import import_log
from hilt_logging.events import decode
from hilt_logging.schema import validate_event


pytestmark = pytest.mark.once

HERE = Path(__file__).parent
DEEP = []
for _ in range(150):
    DEEP = [DEEP]
NASTY = [
    None, True, False, 0, -1, 1e308, -1e308, float("nan"), float("inf"), 10**400, 2**63, "", "x",
    "\ud800", "{", "[[[", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999-23:59", "0001-01-01",
    "2026-11-23 07:00:00", -99999999999999, [], {}, [None], [[]], {"": None}, [1, 2],
    ["human", "hi"], {"role": "user"}, {"role": 1, "content": {}}, {"role": "tool", "content": []},
    {"type": "ai", "content": [{"type": "tool_use"}]}, {"lc": 1, "kwargs": {}, "id": [None]},
    {"parts": [{}], "role": "model"}, {"parts": None, "role": "user"}, {"choices": [None]},
    {"choices": [{"message": {"tool_calls": [{}, None]}}]}, {"generations": [[None]]},
    {"generations": [{"message": {"lc": 1}}]}, {"output": [{"type": "function_call"}]},
    {"candidates": [{"content": {"parts": [None]}}]}, {"stop_reason": None, "content": [3]},
    {"args": 1, "kwargs": 2}, {"args": [], "kwargs": {}}, {"input": -1, "output": "7", "total": "x"},
    {"messages": [{"role": "assistant", "tool_calls": 5, "content": 3}]}, DEEP,
]  # fmt: skip


def load(name):
    text = (HERE / name).read_text("utf-8")
    if name.endswith(".json"):
        return json.loads(text)["data"]
    return [json.loads(line) for line in text.split("\n") if line]


A_RUN = {
    "id": "r", "trace_id": "r", "run_type": "LLM", "start_time": "2026-11-23T07:00:00Z",
    "status": "SUCCESS", "metadata": {"thread_id": "x"}, "parent_run_ids": ["a", "b"],
    "prompt_tokens": 2, "prompt_token_details": {"raw": {"cache_read": 1}}, "prompt_cost": 1,
    "inputs_s3_urls": {"a": 1}, "feedback_stats": {"k": {"n": 1, "avg": 1}}, "extra": {"x": 1},
}  # fmt: skip
OTHER_RUNS = [
    {"items": [A_RUN], "next_cursor": None},
    {**A_RUN, "id": "s", "child_runs": [{**A_RUN, "id": "t", "trace_id": None}]},
    {**A_RUN, "id": "u", "run_type": "EMBEDDING", "inputs": {"texts": ["a"]}},
    {**A_RUN, "id": "v", "run_type": "RETRIEVER", "outputs": {"output": "x"}},
]
A_TRACE = {
    "id": "t1", "timestamp": "2026-11-23T07:00:00Z", "tags": [], "public": False, "input": "a",
    "output": "b", "latency": 2, "totalCost": 0.5, "usage": {"promptTokens": 1, "unit": "TOKENS"},
    "metadata": {"k": 1, "attributes": {"a": 1}}, "comments": ["x"], "projectId": "p",
}  # fmt: skip
OTHER_OBJECTS = [
    A_TRACE,
    {"data": [A_TRACE, 1, None], "meta": {"page": 1}},
    {"exportSource": "x", "files": [1]},
    {"id": "c", "name": "k", "value": 1, "dataType": "NUMERIC", "timestamp": "2026-11-23T07:00:05Z"}
    | {"subject": {"kind": "observation", "id": "o1", "traceId": "t1"}},
]
EXPORTS = {
    "langfuse": load("langfuse_observations.json") + load("langfuse_scores.json") + OTHER_OBJECTS,
    "langsmith": load("langsmith_runs.jsonl") + load("langsmith_feedback.jsonl") + OTHER_RUNS,
}


def damaged(value, chance, by):
    """The same with some values in it replaced, taken away or moved elsewhere."""
    if by.random() < chance:
        return by.choice(NASTY)
    if isinstance(value, dict):
        names = [name for name in value if by.random() > chance / 4]
        return {name: damaged(value[name], chance, by) for name in names}
    if isinstance(value, list):
        return [damaged(each, chance, by) for each in value]
    return value


def crossed(rows, by):
    """Let some have others, or themselves, around them."""
    ids = [row.get("id") for row in rows]
    for row in rows:
        for name in ("parent_run_id", "parentObservationId"):
            if name in row and by.random() < 0.2:
                row[name] = by.choice(ids)
    return rows


@pytest.mark.parametrize("source", EXPORTS)
@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged(tmp_path, source, seed):
    """Whatever stands in an export, the import comes to its end, and every line is an event."""
    by = random.Random(seed)
    rows = by.sample(EXPORTS[source], 12)
    rows = [damaged(row, by.choice((0.0, 0.01, 0.1)), by) for row in rows]
    rows = crossed([row for row in rows if isinstance(row, dict)], by)
    export, log = tmp_path / "export.jsonl", tmp_path / "log.jsonl"
    export.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = import_log(export, log, source=source, force=True)
    events = [decode(line) for line in log.read_bytes().splitlines()]
    assert done.events == len(events)
    assert [] == [fault for event in events for fault in validate_event(event)]
    ids = [event["event_id"] for event in events]
    assert len(ids) == len(set(ids))
