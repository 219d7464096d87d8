"""Lines of hilt-python 0.1.0, as that version wrote them."""

from __future__ import annotations

import json

import pytest

from hilt_logging.errors import ReadError
from hilt_logging.events import Event
from hilt_logging.io.reader import read


MINIMAL = (
    '{"hilt_version":"1.0.0","event_id":"0199c3a0-0000-7000-8000-000000000001",'
    '"timestamp":"2025-10-08T14:30:45.123456Z","session_id":"sess_123",'
    '"actor":{"type":"human","id":"alice"},"action":"prompt",'
    '"content":{"text":"Hello","media":[]}}'
)
FULL = (
    '{"hilt_version":"1.0.0","event_id":"0199c3a0-0000-7000-8000-000000000002",'
    '"timestamp":"2025-10-08T14:30:45Z","session_id":"sess_123",'
    '"actor":{"type":"agent","id":"gpt-4","did":"did:key:z6Mk"},"action":"completion",'
    '"content":{"text":"Bonjour à tous 👋","text_hash":"sha256:'
    '185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969",'
    '"text_encrypted":"gAAAAABm","media":[{"type":"image","url":"https://example.org/a.png"}]},'
    '"provenance":{"model":"gpt-4","langchain":{"run_id":"r1","metadata":{}}},'
    '"metrics":{"latency_ms":812,"tokens":{"prompt":10,"completion":20,"total":30},'
    '"cost_usd":0.0015},'
    '"privacy":{"pii_detected":["email"],"redaction_applied":true,"consent":{"given":true}},'
    '"integrity":{"signature":"abc","previous":"def"},'
    '"extensions":{"tags":["a","b"]},'
    '"tenant":"acme","request":{"ip":null,"retries":[1,2]}}'
)
UNKNOWN = (
    '{"hilt_version":"1.0.0","event_id":"e3","timestamp":"2025-10-08T16:30:45.123+02:00",'
    '"session_id":"s","actor":{"type":"tool","id":"search"},"action":"rerank",'
    '"privacy":{"pii_detected":[],"redaction_applied":false},"note":"kept"}'
)
SAME_BUT_TIME = {
    MINIMAL: "2025-10-08T14:30:45.123456Z",
    FULL: "2025-10-08T14:30:45.000000Z",
    UNKNOWN: "2025-10-08T14:30:45.123000Z",
}
lines = pytest.mark.parametrize("line", SAME_BUT_TIME, ids=["minimal", "full", "unknown"])


@lines
def test_rewritten_line(line):
    """A line that is read and written again holds all that it held; its time has six digits."""
    rewritten = Event.from_json(line).to_json()
    assert json.loads(rewritten) == {**json.loads(line), "timestamp": SAME_BUT_TIME[line]}


@lines
def test_rewriting_twice(line):
    """What was written again once does not change any more."""
    rewritten = Event.from_json(line).to_json()
    assert Event.from_json(rewritten).to_json() == rewritten


def test_integrity_stays_last():
    """Unknown fields are written before `integrity`, which ends every line that has it."""
    assert list(json.loads(Event.from_json(FULL).to_json()))[-3:] == [
        "tenant",
        "request",
        "integrity",
    ]


def test_typed_fields():
    """Its fields are attributes of ours."""
    event = Event.from_json(FULL)
    assert event.actor.did == "did:key:z6Mk"
    assert event.content.text_encrypted == "gAAAAABm"
    assert event.content.media == [{"type": "image", "url": "https://example.org/a.png"}]
    assert event.metrics.cost_usd == 0.0015
    assert event.privacy.pii_detected == ["email"]
    assert event.integrity == {"signature": "abc", "previous": "def"}
    assert event.unknown_fields == {"tenant": "acme", "request": {"ip": None, "retries": [1, 2]}}


def test_file(tmp_path):
    """A file of such lines is read whole."""
    path = tmp_path / "old.jsonl"
    path.write_text("".join(f"{line}\n" for line in SAME_BUT_TIME), encoding="utf-8")
    assert [event.timestamp for event in read(path)] == list(SAME_BUT_TIME.values())


# The exceptions, as docs/migrating-from-hilt-python.md lists them.


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("2025-10-08T14:30:45.123456Z", "yesterday", r"\$\.timestamp: must match"),
        ('"sess_123"', '""', r"\$\.session_id: must not be empty"),
        ('"media":[]', '"text_hash":"5f"', r"\$\.content\.text_hash: must match"),
    ],
    ids=["timestamp", "session", "hash"],
)
def test_what_is_no_event(tmp_path, old, new, fault):
    """Exception: what 0.1.0 never checked and the format does is reported with its path."""
    path = tmp_path / "old.jsonl"
    path.write_text(MINIMAL.replace(old, new) + "\n", encoding="utf-8")
    with pytest.raises(ReadError, match=fault):
        list(read(path))
