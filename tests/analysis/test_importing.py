"""What hilt-python and llm left behind becomes a log whose every line is valid."""

from __future__ import annotations

import json
import os
import sqlite3

from contextlib import closing
from pathlib import Path

import pytest

from hilt_logging.analysis import import_log
from hilt_logging.errors import ConfigurationError, ReadError
from hilt_logging.io.reader import read
from hilt_logging.io.transcripts import Transcripts


OLD = {
    "event_id": "0199c3a0-0000-7000-8000-000000000001",
    "timestamp": "2025-10-08T16:30:45+02:00",
    "session_id": "sess_123",
    "actor": {"type": "agent", "id": "gpt-4", "name": None},
    "action": "completion",
    "content": {"text": "Bonjour", "images": None},
    "metrics": {"cost_usd": "0.000065", "cost_display": "0,000065 USD"},
    "extensions": {"status_code": 200},
}


@pytest.fixture(params=["0_27", "0_36"])
def llm(request, tmp_path):
    """A database as llm made it, with its older and its newer tables."""
    path = tmp_path / "logs.db"
    script = Path(__file__).with_name(f"llm_{request.param}.sql").read_text("utf-8")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    return path


@pytest.fixture
def imported(write, tmp_path, lines):
    """Imports lines of hilt-python; gives the events, the result and what was told."""

    def imported(*given, **options):
        path = write("old.jsonl", *given)
        told = []
        done = import_log(path, tmp_path / "new.jsonl", report=told.append, **options)
        return lines(tmp_path / "new.jsonl"), done, told

    return imported


def by_id(events):
    return {event["event_id"].split(".", 1)[1]: event for event in events}


def test_hilt_python(imported):
    """Times, costs and versions become what they are here; unknown fields stay."""
    (event,), done, told = imported(json.dumps(OLD).encode())
    assert event == {
        "hilt_version": "1.0.0",
        "timestamp": "2025-10-08T14:30:45.000000Z",
        **{name: OLD[name] for name in ("event_id", "session_id", "action")},
        "actor": {"type": "agent", "id": "gpt-4"},
        "content": {"text": "Bonjour", "images": None},
        "metrics": {"cost_usd": 0.000065, "cost_display": "0,000065 USD"},
        "extensions": {"status_code": 200, "original": {"metrics.cost_usd": "0.000065"}},
    }
    assert (1, 1, {}, 0, []) == (done.events, done.changed, done.lost, done.faults, told)


@pytest.mark.parametrize(
    ("wrong", "path", "value"),
    [
        ({"metrics": {"latency_ms": -3}}, "metrics.latency_ms", -3),
        ({"metrics": {"tokens": {"prompt": -1, "total": 2}}}, "metrics.tokens.prompt", -1),
        ({"content": {"text_hash": "abc"}}, "content.text_hash", "abc"),
        ({"content": {"media": ["x"]}}, "content.media", ["x"]),
        ({"content": "said"}, "content", "said"),
        ({"privacy": {"pii_detected": [1, 2]}}, "privacy.pii_detected", [1, 2]),
        ({"extensions": [1]}, "extensions", [1]),
    ],
)
def test_wrong_field(imported, wrong, path, value):
    """A field that is not as the format has it costs no event: it moves to where it does no harm."""
    old = {**OLD, "metrics": {}, **wrong}
    (event,), done, told = imported(json.dumps(old).encode())
    assert {path: value} == event["extensions"]["original"]
    assert (1, 1, []) == (done.events, done.changed, told)


def test_empty_names(imported):
    """Empty ids, which hilt-python does not check, are filled in, the same way each time."""
    old = {**OLD, "event_id": "", "session_id": "", "actor": {"type": "human", "id": ""}}
    (event,), done, _ = imported(json.dumps(old).encode())
    assert ("unknown", "unknown") == (event["session_id"], event["actor"]["id"])
    assert event["event_id"].startswith("2025-10-08T14:30:45.000000Z-")
    original = event["extensions"]["original"]
    assert ("", "", "") == tuple(original[name] for name in ("event_id", "session_id", "actor.id"))
    (again,), _, _ = imported(json.dumps(old).encode(), force=True)
    assert (event, 1) == (again, done.changed)


def test_no_json(imported):
    """NaN, infinity and halves of characters, which Python alone writes and reads, are carried over."""
    old = {**OLD, "metrics": {"cost_usd": float("nan")}, "content": {"text": "a\ud800"}}
    (event,), _, told = imported(json.dumps({**old, "free": float("-inf")}).encode())
    assert ("a\ufffd", "-Infinity") == (event["content"]["text"], event["free"])
    assert "NaN" == event["extensions"]["original"]["metrics.cost_usd"]
    assert [] == told


def test_not_carried_over(imported, an_event):
    """Rows of tables and torn lines are told and counted; the rest is imported."""
    row = json.dumps({"timestamp": "t", "speaker": "human", "message": "hi"}).encode()
    whole = json.dumps(OLD).encode()
    events, done, told = imported(b"", row, whole, b"[1]", whole[:40], {**an_event(), "mine": 1})
    assert 2 == len(events) == done.events
    assert ({"lines": 3}, 3) == (done.lost, done.faults)
    assert [2, 4, 5] == [error.line for error in told]
    assert 1 == events[1]["mine"]
    assert "human" not in "".join(map(str, told))


def test_importing_what_was_imported(imported, tmp_path, lines):
    """A log is imported as it is: nothing changes any more."""
    imported(json.dumps(OLD).encode())
    done = import_log(tmp_path / "new.jsonl", tmp_path / "again.jsonl")
    assert (tmp_path / "new.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert (1, 0) == (done.events, done.changed)


def test_llm(llm, tmp_path, lines):
    """Prompts, answers, tools, fragments and attachments of llm are events, in their conversations."""
    done = import_log(llm, tmp_path / "new.jsonl")
    events = lines(tmp_path / "new.jsonl")
    assert (16, 0, 0) == (done.events, done.changed, done.faults)
    assert 16 == len({event["event_id"] for event in events})
    assert 5 == len({event["session_id"] for event in events})
    actions = [event["action"] for event in events]
    assert (7, 7, 1, 1) == tuple(
        map(actions.count, ("prompt", "completion", "tool_call", "tool_result"))
    )
    first, answer, second = events[:3]
    assert "How far is the Moon? ☾" == first["content"]["text"]
    assert ["system", "user"] == [each["role"] for each in first["content"]["messages"]]
    assert {"temperature": 0.5} == first["provenance"]["params"]
    assert "Answer to: How far is the Moon? ☾" == answer["content"]["text"]
    assert {"prompt": 10, "completion": 7, "total": 17, "cached": 3} == answer["metrics"]["tokens"]
    assert ("fake-1-2026", "fake-1") == (
        answer["provenance"]["model"],
        answer["provenance"]["request_model"],
    )
    assert first["event_id"] == answer["extensions"]["reply_to"]
    assert answer["event_id"] == second["extensions"]["follows"]
    assert first["session_id"] == second["session_id"]


def test_llm_attachments(llm, tmp_path, lines):
    """Of an attachment digest, size and place are kept; that its bytes are not, is told."""
    done = import_log(llm, tmp_path / "new.jsonl")
    (media,) = [
        event["content"]["media"]
        for event in lines(tmp_path / "new.jsonl")
        if "media" in event.get("content", {})
    ]
    assert [("image", "image/png")] * 2 == [(each["type"], each["mime_type"]) for each in media]
    assert 12 == media[0]["bytes"]
    assert "https://example.com/a.png" == media[1]["uri"]
    assert {
        "attachments, of which only digest and size are kept": 1,
        "response_json (what the provider was sent or sent itself)": 7,
        "tools, of which only the names in calls are kept": 1,
    } == done.lost


def test_llm_tools(llm, tmp_path, lines):
    """A call of a tool, its result and what the model made of it belong together."""
    import_log(llm, tmp_path / "new.jsonl")
    events = lines(tmp_path / "new.jsonl")
    (call,) = [event for event in events if event["action"] == "tool_call"]
    (result,) = [event for event in events if event["action"] == "tool_result"]
    assert {"name": "upper", "call_id": "tc1", "arguments": {"text": "moon"}} == call["extensions"][
        "tool"
    ]
    assert ("MOON", call["event_id"]) == (
        result["content"]["text"],
        result["extensions"]["reply_to"],
    )
    told = Transcripts(events).of(call["extensions"]["reply_to"])
    assert ["user", "assistant"] == [turn["role"] for turn in told.turns]
    assert "tool_call" == told.turns[1]["parts"][0]["type"]


def test_llm_fragments_and_schemas(llm, tmp_path, lines):
    """A text that is put together of fragments is whole; a schema is among the parameters."""
    import_log(llm, tmp_path / "new.jsonl")
    prompts = [each for each in lines(tmp_path / "new.jsonl") if each["action"] == "prompt"]
    (long,) = [each for each in prompts if "borrowed" in each.get("content", {}).get("text", "")]
    assert "Long document text, borrowed.\nSummarise" == long["content"]["text"]
    system = long["content"]["messages"][0]
    assert ("system", "System fragment.") == (system["role"], system["parts"][0]["content"])
    assert "object" == prompts[-1]["provenance"]["params"]["schema"]["type"]


def test_llm_is_not_changed(llm, tmp_path):
    """The database is read alone, and importing it twice makes the same events."""
    before = llm.read_bytes()
    for name in "ab":
        import_log(llm, tmp_path / name, source="llm")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert before == llm.read_bytes()
    assert 16 == sum(1 for _ in read(tmp_path / "a"))


def test_damaged_llm(llm, tmp_path, lines):
    """Values that are not what they should be do not end the import."""
    with closing(sqlite3.connect(llm)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        table = "turns" if "turns" in tables else "responses"
        database.execute(
            f"UPDATE {table} SET datetime_utc = 'soon', duration_ms = 'x', options_json = '{{', "
            "token_details = '[1]', input_tokens = -5"
        )
        database.commit()
    done = import_log(llm, tmp_path / "new.jsonl")
    events = lines(tmp_path / "new.jsonl")
    assert 16 == done.events
    assert {"1970-01-01T00:00:00.000000Z"} == {event["timestamp"] for event in events}
    assert {"completion": 7} in [event.get("metrics", {}).get("tokens") for event in events]


def test_other_database(tmp_path):
    """A database of something else is told."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE x (y)")
    told = []
    done = import_log(path, tmp_path / "new.jsonl", report=told.append)
    assert (0, 1) == (done.events, done.faults)
    assert "no database of llm" in told[0].reason
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1_000)
    assert 1 == import_log(path, tmp_path / "b.jsonl").faults


def test_wrong_source(llm, write, tmp_path):
    """What is said to be another thing than it is, is told; another source is refused."""
    old = write("old.jsonl", json.dumps(OLD).encode())
    assert (0, 1) == _counts(import_log(old, tmp_path / "a", source="llm"))
    assert (0, 1) == _counts(import_log(llm, tmp_path / "b", source="hilt-python"))
    with pytest.raises(ConfigurationError, match="source"):
        import_log(llm, tmp_path / "c", source="nobody")
    with pytest.raises(ReadError, match="File not found"):
        import_log(tmp_path / "no", tmp_path / "c")
    with pytest.raises(ConfigurationError, match="--force"):
        import_log(llm, tmp_path / "a")
    assert not os.path.exists(tmp_path / "c")


def _counts(done):
    return done.events, done.faults


A_RUN = {
    "id": "r1",
    "trace_id": "r1",
    "run_type": "llm",
    "start_time": "2026-11-23T07:00:00",
    "inputs": "H\u00ff\u263e",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["x.json", "x.csv", "x.tsv", "x"])
def test_encodings(tmp_path, lines, encoding, name):
    """What begins with the mark of its encoding is read in that, as JSON, CSV or lines of tabs."""
    sign = "\t" if name == "x.tsv" else ","
    table = "\n".join(sign.join(each) for each in (A_RUN.keys(), A_RUN.values()))
    text = json.dumps(A_RUN, ensure_ascii=False) if name.endswith("json") else table
    (tmp_path / name).write_bytes(text.encode(encoding))
    import_log(tmp_path / name, tmp_path / "new.jsonl")
    assert ["H\u00ff\u263e"] == [
        each["content"]["text"] for each in lines(tmp_path / "new.jsonl")[:1]
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_no_mark(tmp_path, encoding):
    """UTF-16 that does not say so is refused, with what is wanted."""
    path = tmp_path / "x.json"
    path.write_bytes(json.dumps(A_RUN).encode(encoding))
    told = []
    import_log(path, tmp_path / "new.jsonl", report=told.append)
    reason = "It is UTF-16 without a byte order mark: save it as UTF-8"
    assert [(str(path), True)] == [(each.path, reason in str(each)) for each in told]


def test_no_names_of_columns(tmp_path):
    """A table without the names of columns is refused, with what is wanted."""
    path = tmp_path / "x.csv"
    path.write_text("a;b\n1;2\n")
    told = []
    import_log(path, tmp_path / "new.jsonl", report=told.append)
    (error,) = told
    assert "names of the columns, `id` among them" in str(error)
