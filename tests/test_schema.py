"""The format as a schema, and the two checks that must say what it says."""

from __future__ import annotations

import json

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilt_logging.schema import (
    ACTIONS,
    ACTOR_TYPES,
    JSON_SCHEMA,
    are_timestamps,
    is_timestamp,
    is_valid,
    validate_event,
)


jsonschema = pytest.importorskip("jsonschema")
REFERENCE = jsonschema.Draft202012Validator(JSON_SCHEMA)

VALID = {
    "hilt_version": "1.0.0",
    "event_id": "e",
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "session_id": "s",
    "actor": {"type": "human", "id": "alice"},
    "action": "prompt",
}
FULL = {
    **VALID,
    "actor": {"type": "agent", "id": "a", "name": "", "did": "did:x", "metadata": {"a": None}},
    "content": {
        "text": "",
        "text_hash": "sha256:" + "0a" * 32,
        "text_encrypted": "x",
        "media": [{}],
        "messages": [{"role": "user", "parts": []}],
    },
    "provenance": {"provider": None},
    "metrics": {
        "latency_ms": 0,
        "time_to_first_token_ms": 2**63,
        "tokens": {"prompt": 1, "x": 0},
        "cost_usd": 0.1,
        "chunks": 1,
        "attempts": 1,
        "score": -1,
    },
    "privacy": {"pii_detected": ["email"], "redaction_applied": False, "consent": {}},
    "extensions": {"x": [None, 1.5, True]},
    "integrity": {},
    "unknown": None,
}


def test_schema_is_a_schema():
    """The schema itself is one of draft 2020-12, and JSON."""
    jsonschema.Draft202012Validator.check_schema(JSON_SCHEMA)
    assert JSON_SCHEMA == json.loads(json.dumps(JSON_SCHEMA))


def test_every_property_is_tried():
    """The full event below has every field that the schema names."""
    for name, schema in JSON_SCHEMA["properties"].items():
        assert name in FULL
        assert set(schema.get("properties", ())) <= set(FULL[name] if name != "action" else ())


@pytest.mark.parametrize("event", [VALID, FULL], ids=["least", "full"])
def test_valid(event):
    """What is valid is valid to all three."""
    assert [] == validate_event(event)
    assert is_valid(event)
    assert REFERENCE.is_valid(event)


WRONG = [
    ("$", None, []),
    ("$", None, "text"),
    ("$", None, None),
    ("$.hilt_version", "hilt_version", "2.0.0"),
    ("$.event_id", "event_id", ""),
    ("$.event_id", "event_id", 7),
    ("$.timestamp", "timestamp", "2026-01-02T03:04:05Z"),
    ("$.timestamp", "timestamp", "2026-01-02T03:04:05.000000+00:00"),
    ("$.timestamp", "timestamp", "2026-01-02T03:04:05.000000Z\n"),
    ("$.timestamp", "timestamp", " 2026-01-02T03:04:05.000000Z"),
    ("$.timestamp", "timestamp", "2026-13-02T03:04:05.000000Z"),
    ("$.timestamp", "timestamp", "２０２６-01-02T03:04:05.000000Z"),
    ("$.session_id", "session_id", ""),
    ("$.actor", "actor", "alice"),
    ("$.actor.type", "actor", {"type": "robot", "id": "x"}),
    ("$.actor.type", "actor", {"id": "x"}),
    ("$.actor.id", "actor", {"type": "human"}),
    ("$.actor.id", "actor", {"type": "human", "id": ""}),
    ("$.actor.name", "actor", {"type": "human", "id": "x", "name": None}),
    ("$.action", "action", "x"),
    ("$.action", "action", ["prompt"]),
    ("$.content", "content", None),
    ("$.content.text", "content", {"text": 1}),
    ("$.content.text_hash", "content", {"text_hash": "sha256:" + "0" * 63}),
    ("$.content.text_hash", "content", {"text_hash": "sha256:" + "0" * 64 + "\n"}),
    ("$.content.media[1]", "content", {"media": [{}, "x"]}),
    ("$.content.messages", "content", {"messages": {}}),
    ("$.provenance", "provenance", []),
    ("$.metrics.latency_ms", "metrics", {"latency_ms": -1}),
    ("$.metrics.latency_ms", "metrics", {"latency_ms": 1.5}),
    ("$.metrics.latency_ms", "metrics", {"latency_ms": True}),
    ("$.metrics.tokens.prompt", "metrics", {"tokens": {"prompt": "1"}}),
    ("$.metrics.cost_usd", "metrics", {"cost_usd": "0,0005"}),
    ("$.metrics.cost_usd", "metrics", {"cost_usd": False}),
    ("$.privacy.pii_detected[0]", "privacy", {"pii_detected": [1]}),
    ("$.privacy.redaction_applied", "privacy", {"redaction_applied": 1}),
    ("$.extensions", "extensions", None),
    ("$.integrity", "integrity", "x"),
]


@pytest.mark.parametrize(("path", "field", "value"), WRONG)
def test_wrong(path, field, value):
    """Each fault is found by all three, and told with its path."""
    event = value if field is None else {**VALID, field: value}
    assert [path] == [fault.path for fault in validate_event(event)]
    assert not is_valid(event)
    assert not REFERENCE.is_valid(event)


@pytest.mark.parametrize("field", JSON_SCHEMA["required"])
def test_required(field):
    """Each required field is missed by its name."""
    event = {name: value for name, value in VALID.items() if name != field}
    assert [f"$.{field}: is required"] == [str(fault) for fault in validate_event(event)]
    assert not is_valid(event)


def test_every_fault():
    """All faults are told at once."""
    event = {**VALID, "action": "x", "actor": {"type": "y"}, "metrics": {"chunks": -1}}
    assert ["$.actor.id", "$.actor.type", "$.action", "$.metrics.chunks"] == [
        fault.path for fault in validate_event(event)
    ]


@pytest.mark.parametrize("event", [{**VALID, field: "my secret"} for _, field, _ in WRONG if field])
def test_no_content(event):
    """Messages hold no value, except of the two fields with a short list of what may be."""
    for fault in validate_event(event):
        assert fault.path == "$.action" or "secret" not in str(fault)


def test_long_action_is_cut():
    """A whole text in place of an action is not told whole."""
    (fault,) = validate_event({**VALID, "action": "x" * 10_000})
    assert len(str(fault)) < 300


_chars = st.characters()  # with lone surrogates, which st.text() leaves out
_texts = st.text(_chars, max_size=6)
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_near = st.sampled_from(
    [
        *("", "1.0.0", "human", "prompt", "sha256:" + "0" * 64, "hmac-sha256:" + "f" * 64),
        *("2026-01-02T03:04:05.678901Z", "2026-02-30T23:59:60.000000Z", "x" * 90),
        *(
            0,
            -1,
            1.0,
            -0.0,
            1e300,
            -1.0,
            2**63,
            2**64,
            -(2**70),
            0.5,
            True,
            None,
            [],
            {},
            [{}],
            [[]],
        ),
    ]
)


def _places(value, path=()):
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from _places(value[name], (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))


def _changed(value, path, new):
    if not path:
        return new
    copy = value.copy()
    if new is _GONE and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(copy[path[0]], path[1:], new)
    return copy


_GONE = object()


@st.composite
def _mutated(draw):
    event = FULL
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in _places(event) if path]
        path = draw(st.sampled_from(places)) if places else ()
        new = draw(st.just(_GONE) | _near | _values) if path else draw(_near)
        event = _changed(event, path, new)
    return event


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(_mutated())
def test_agreement(event):
    """Both checks agree with a JSON Schema validator on events that are a little wrong."""
    expected = REFERENCE.is_valid(event)
    assert (expected, expected) == (validate_event(event) == [], is_valid(event))


@settings(max_examples=300, deadline=None)
@given(_values)
def test_agreement_on_anything(event):
    """And on anything else."""
    expected = REFERENCE.is_valid(event)
    assert (expected, expected) == (validate_event(event) == [], is_valid(event))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("actor", ACTOR_TYPES)
def test_every_action_of_every_actor(action, actor):
    """The fast check knows the same words as the schema."""
    assert is_valid({**VALID, "action": action, "actor": {"type": actor, "id": "x"}})


FIRST_ASKED = """
import json, sys, threading
from hilt_logging.schema import is_valid

event, answers = json.loads(sys.argv[1]), []

def ask_elsewhere(frame, what, argument):
    if what == "call" and frame.f_code.co_name != "is_valid":
        sys.setprofile(None)
        thread = threading.Thread(target=lambda: answers.append(is_valid(event)))
        thread.start()
        thread.join()
        sys.setprofile(ask_elsewhere)

sys.setprofile(ask_elsewhere)
answers.append(is_valid(event))
sys.setprofile(None)
assert set(answers) == {True}, answers
"""


def test_first_events_of_several_threads(in_child):
    """A process lives on when its first event is checked while another thread checks one."""
    done = in_child(FIRST_ASKED, json.dumps(FULL))
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.once
@pytest.mark.parametrize("place", range(27))
def test_times_that_stand_together_are_judged_as_each_by_itself(place):
    """Whether all are of one hour or not, and whatever stands in one place of one of them."""
    good = "2026-01-29T23:59:59.123456Z"
    others = (good, "2026-01-29T23:00:00.000000Z", "1999-12-31T19:08:60.999999Z")
    for sign in "0123456789-:.TZ \n\u0663\ud800":
        odd = good[:place] + sign + good[place + 1 :]
        for times in (
            [odd],
            *([odd, other] for other in others),
            *([each, odd] for each in others),
        ):
            assert are_timestamps(times) == all(map(is_timestamp, times)), times


def test_lines_of_times_that_begin_and_end_elsewhere_are_none():
    """Together they are as long as times are, and each by itself is none."""
    good = "2026-01-29T23:59:59.123456Z"
    for times in ([good[:-1], "Z" + good], [good + "\n" + good, ""], [good + "\n", good[1:]], [""]):
        assert not are_timestamps(times)
