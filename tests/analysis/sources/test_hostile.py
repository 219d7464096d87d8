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
    first, again = log.read_bytes(), tmp_path / "again.jsonl"
    again.write_bytes(export.read_bytes())
    import_log([export, again], log, source=source, force=True)
    assert first == log.read_bytes()


def texts(value):
    """The same with its numbers as texts."""
    if isinstance(value, dict):
        return {name: texts(each) for name, each in value.items()}
    return str(value) if type(value) in (int, float) else value


CALLS = ("llm", "embedding", "GENERATION", "EMBEDDING")
MADE = {
    "langfuse": load("langfuse_observations.json"),
    "langsmith": load("langsmith_runs.jsonl"),
}


def took(events):
    """What all calls took."""
    metrics = [each.get("metrics", {}) for each in events]
    tokens = [each["tokens"].get("total", 0) for each in metrics if "tokens" in each]
    return sum(tokens), round(sum(each.get("cost_usd", 0) for each in metrics), 9)


@pytest.mark.parametrize("source", MADE)
def test_each_call_within_another(imported, source):
    """What calls took is the same where each stands within one that says all of it again."""
    rows = MADE[source]
    parent = {"langfuse": "parentObservationId", "langsmith": "parent_run_id"}[source]
    outer = [
        {**row, "id": f"{row['id']}-outer", "dotted_order": None}
        for row in rows
        if row.get("type") in CALLS or row.get("run_type") in CALLS
    ]
    around = {row["id"].removesuffix("-outer"): row["id"] for row in outer}
    inner = [
        {**row, parent: around.get(row["id"], row.get(parent)), "dotted_order": None}
        for row in rows
    ]
    events = list(imported(*rows))
    assert took(events)[0] > 0
    assert took(events) == took(imported(*inner, *outer)) == took(imported(*outer, *inner))


@pytest.mark.parametrize("source", MADE)
def test_parts_in_odd_order(imported, tmp_path, source):
    """The order of an export, and how it is divided into files, changes no count and no event."""
    rows = MADE[source]
    events = list(imported(*rows))
    mixed = random.Random(7).sample(rows, len(rows))
    path = tmp_path / "others.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in mixed[:9]), "utf-8")
    again = imported(path, *mixed[9:])
    assert took(events) == took(again)
    assert {each["event_id"] for each in events} == {each["event_id"] for each in again}


@pytest.mark.parametrize("source", MADE)
def test_numbers_as_texts(imported, source):
    """Numbers that were written as texts are numbers, those within the words apart."""
    fields = ("usageDetails", "costDetails", "total_tokens", "prompt_tokens", "total_cost")
    rows = MADE[source]
    written = [{n: texts(v) if n in fields else v for n, v in row.items()} for row in rows]
    assert took(imported(*rows)) == took(imported(*written))


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_broken_bytes(tmp_path, seed):
    """Bytes that were changed, lost or put in raise nothing, whatever the file is called."""
    by = random.Random(seed)
    rows = by.sample(EXPORTS[by.choice(list(EXPORTS))], 4)
    data = bytearray("".join(json.dumps(row) + "\n" for row in rows).encode())
    for _ in range(by.randrange(1, 20)):
        at = by.randrange(len(data))
        end = at + by.choice((0, 1, 30))
        data[at:end] = by.choice((b"", b'"', b"{", b"]", b"\0", b"\xff\xfe", b"\n", b"\\", b";"))
    export = tmp_path / by.choice(("x.json", "x.csv", "x.tsv", "x"))
    log = tmp_path / "log.jsonl"
    export.write_bytes(data)
    done = import_log(export, log, force=True)
    events = [decode(line) for line in log.read_bytes().splitlines()]
    assert done.events == len(events)
    assert [] == [fault for event in events for fault in validate_event(event)]
