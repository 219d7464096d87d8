"""The event: its fields, its line, its id and its clock."""

from __future__ import annotations

import datetime
import json
import os
import re
import threading
import time
import uuid
import zoneinfo

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import events
from hilt_logging.errors import HILTError, InvalidEventError
from hilt_logging.events import (
    Actor,
    Content,
    Event,
    Metrics,
    Privacy,
    encode,
    new_id,
    timestamp,
)


GOLDEN = Path(__file__).parent / "golden"
ALICE = Actor(type="human", id="alice")
NOON_NS = 1_772_366_400_123_456_789  # 2026-03-01T12:00:00.123456789Z


@pytest.fixture
def noon(monkeypatch):
    """The clock stands at noon, and ids are counted."""
    numbers = iter(range(1, 1000))
    monkeypatch.setattr(time, "time_ns", lambda: NOON_NS)
    monkeypatch.setattr(
        events, "new_id", lambda now=None: f"0194c2f0-0000-7000-8000-{next(numbers):012d}"
    )


class TestFields:
    def test_order(self, an_event):
        """Fields are written in the order of the format, however they were given."""
        full = {
            **an_event(),
            "content": {"text": "Hi"},
            "provenance": {"provider": "openai"},
            "metrics": {"latency_ms": 3},
            "privacy": {"redaction_applied": True},
            "extensions": {"x": 1},
            "integrity": {"seq": 1},
        }
        backwards = dict(reversed(full.items()))
        assert list(full) == list(json.loads(Event.from_dict(backwards).to_json()))

    def test_order_of_parts(self):
        """The fields of the parts have their order too."""
        event = Event(
            session_id="s",
            action="prompt",
            actor=Actor(metadata={}, did="did:x", name="A", id="a", type="human"),
            content=Content(messages=[], media=[], text_encrypted="e", text_hash="h", text="t"),
            privacy=Privacy(consent={}, redaction_applied=False, pii_detected=[]),
        )
        plain = event.to_dict()
        assert ["type", "id", "name", "did", "metadata"] == list(plain["actor"])
        assert ["text", "text_hash", "text_encrypted", "media", "messages"] == list(
            plain["content"]
        )
        assert ["pii_detected", "redaction_applied", "consent"] == list(plain["privacy"])

    def test_absent_not_null(self):
        """What has no value is left out."""
        assert ["hilt_version", "event_id", "timestamp", "session_id", "actor", "action"] == list(
            Event(session_id="s", actor=ALICE, action="prompt").to_dict()
        )

    def test_null_counts_as_absent(self, an_event):
        """A null in place of a field of the format is read as its absence."""
        event = Event.from_dict(an_event(content=None, metrics={"cost_usd": None}))
        assert an_event(metrics={}) == event.to_dict()

    @pytest.mark.parametrize("field", ["cost_usd", "score", "latency_ms", "chunks"])
    def test_zero_is_a_value(self, field):
        """Zero is written, not taken for nothing."""
        event = Event(session_id="s", actor=ALICE, action="prompt", metrics=Metrics(**{field: 0}))
        assert {field: 0} == event.to_dict()["metrics"]

    def test_empty_text_is_a_value(self):
        """An empty text is written, not taken for nothing."""
        event = Event(session_id="s", actor=ALICE, action="prompt", content=Content(text=""))
        assert {"text": ""} == event.to_dict()["content"]

    def test_made(self):
        """Version, id, timestamp and session are made where they are not given."""
        event = Event(actor=ALICE, action="prompt")
        assert "1.0.0" == event.hilt_version
        assert 7 == uuid.UUID(event.event_id).version
        assert 7 == uuid.UUID(event.session_id).version
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.timestamp)

    def test_bound_session(self):
        """The session that is bound is taken where none is given."""
        with hilt_logging.bind(session_id="conv-7"):
            assert "conv-7" == Event(actor=ALICE, action="prompt").session_id

    def test_detached(self):
        """A dict of the event shares nothing with it."""
        event = Event(session_id="s", actor=ALICE, action="prompt", extensions={"a": [1]})
        event.to_dict()["extensions"]["a"].append(2)
        assert {"a": [1]} == event.extensions

    def test_dict_given_is_not_kept(self, an_event):
        """Changing a dict afterwards changes no event that was read from it."""
        given = an_event(extensions={"a": [1]})
        event = Event.from_dict(given)
        given["extensions"]["a"].append(2)
        assert {"a": [1]} == event.extensions


class TestUnknownFields:
    def everywhere(self, an_event):
        return {
            **an_event(actor={"type": "human", "id": "alice", "badge": {"n": None}}),
            "content": {"text": "Hi", "lang": "en"},
            "provenance": {"region": {"zone": [1, None]}},
            "metrics": {"tokens": {"prompt": 1, "image": 2}, "joules": 0.5},
            "privacy": {"basis": "consent"},
            "extensions": {"mine": {"deep": [{"x": None}]}},
            "zeta": None,
            "alpha": [1, {"b": "c"}],
            "integrity": {"seq": 1, "sig": "x"},
        }

    def test_dict(self, an_event):
        """Fields that this version does not know survive at every level."""
        given = self.everywhere(an_event)
        assert given == Event.from_dict(given).to_dict()

    def test_json(self, an_event):
        """They survive as lines too, before `integrity`, which is the last field."""
        line = json.dumps(self.everywhere(an_event), separators=(",", ":"))
        assert line == Event.from_json(line).to_json()
        assert "integrity" == list(json.loads(line))[-1]

    @pytest.mark.parametrize("name", ["unknown_fields", "__class__", "to_dict", ""])
    def test_awkward_name(self, an_event, name):
        """A field may have any name."""
        given = an_event(**{name: {"a": 1}})
        assert given == Event.from_dict(given).to_dict()

    def test_cannot_replace_known(self):
        """What somebody puts among the unknown fields does not replace a field of the format."""
        event = Event(
            session_id="s", actor=ALICE, action="prompt", unknown_fields={"action": "x", "y": 1}
        )
        assert ("prompt", 1) == (event.to_dict()["action"], event.to_dict()["y"])

    def test_parts(self):
        """The parts keep them when they are read alone."""
        given = {"type": "agent", "id": "a", "model": "m"}
        assert given == Actor.from_dict(given).to_dict()


class TestErrors:
    def test_action(self):
        """A wrong action is told beside all that are right, as HILTError and as ValueError."""
        with pytest.raises(InvalidEventError) as caught:
            Event(session_id="s", actor=ALICE, action="x")
        assert (
            "Invalid action: 'x'. Must be one of: prompt, completion, completion_chunk, tool_call, "
            "tool_result, feedback, retrieval, rerank, embedding, system"
        ) == str(caught.value)
        assert isinstance(caught.value, HILTError)
        assert isinstance(caught.value, ValueError)

    def test_actor_type(self):
        """Likewise a wrong type of an actor."""
        with pytest.raises(
            ValueError, match=r"^Invalid actor type: 'robot'\. Must be one of: human"
        ):
            Actor(type="robot", id="r2")

    @pytest.mark.parametrize("id", ["", None, 7])
    def test_actor_id(self, id):
        """An actor's id is a string that is not empty."""
        with pytest.raises(InvalidEventError, match="Invalid actor id"):
            Actor(type="human", id=id)

    @pytest.mark.parametrize("part", [Actor, Content, Metrics, Privacy])
    def test_part(self, part):
        """A part that is wrong raises our error with the path, not one of the library beneath."""
        wrong = {"type": 1, "text": 1, "latency_ms": "1", "pii_detected": 1}
        with pytest.raises(InvalidEventError, match=r"^\$\.\w+\.\w+: "):
            part.from_dict(wrong)

    def test_from_dict(self, an_event):
        """Every fault is told with its path."""
        with pytest.raises(InvalidEventError) as caught:
            Event.from_dict(an_event(action="x", session_id="", metrics={"chunks": -1}))
        assert {"$.action", "$.session_id", "$.metrics.chunks"} == {
            text.partition(":")[0] for text in caught.value.errors
        }

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "{",
            "[]",
            "null",
            '"x"',
            "{}",
            "NaN",
            b"\xff\xfe",
            b'{"a":"\xff"}',
            '{"a":"\ud800"}',
            "[" * 5000,
            '{"a":' * 5000,
            b"\0" * 40,
        ],
        ids=range(13),
    )
    def test_from_json(self, line):
        """What is no event raises our error, whatever it is."""
        with pytest.raises(InvalidEventError):
            Event.from_json(line)

    def test_says_no_content(self):
        """The error of a broken line holds nothing of the line."""
        with pytest.raises(InvalidEventError) as caught:
            Event.from_json('{"content": {"text": "my secret"} "x')
        assert "secret" not in str(caught.value)


class TestTimestamp:
    @pytest.mark.parametrize(
        ("given", "written"),
        [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.500000Z"),
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.25-05:30", "2026-01-02T08:34:05.250000Z"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05.000000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ],
    )
    def test_written(self, an_event, given, written):
        """Six digits and `Z`, whatever was read; without an offset it counts as UTC."""
        assert written == Event.from_dict(an_event(timestamp=given)).timestamp
        assert written == Event(actor=ALICE, action="prompt", timestamp=given).timestamp

    @pytest.mark.parametrize(
        ("zone", "written"),
        [
            (None, "2026-07-02T03:04:05.000006Z"),
            (datetime.timezone.utc, "2026-07-02T03:04:05.000006Z"),
            (datetime.timezone(datetime.timedelta(hours=-7)), "2026-07-02T10:04:05.000006Z"),
            (zoneinfo.ZoneInfo("Europe/Berlin"), "2026-07-02T01:04:05.000006Z"),
        ],
    )
    def test_datetime(self, zone, written):
        """A datetime is taken too."""
        when = datetime.datetime(2026, 7, 2, 3, 4, 5, 6, zone)
        assert written == Event(actor=ALICE, action="prompt", timestamp=when).timestamp

    @pytest.mark.parametrize(
        "wrong",
        [
            "yesterday",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-01T24:00:01.000000Z",
            "2026-01-01T00:61:00.000000Z",
            "2026-00-10T00:00:00.000000Z",
            "٢٠٢٦-01-01T00:00:00.000000Z",
            "2026-01-01T00:00:00.000000Z\n",
            "0001-01-01T00:00:00+05:00",
            1767323045,
            datetime.date(2026, 1, 1),
        ],
    )
    def test_wrong(self, wrong):
        """What is no moment raises."""
        with pytest.raises(InvalidEventError, match="Invalid timestamp"):
            Event(actor=ALICE, action="prompt", timestamp=wrong)

    @pytest.mark.parametrize(
        "wrong",
        [
            "2026-01-02",
            "20260102T030405Z",
            "2026-W01-1T03:04:05Z",
            "2026-01-02T03:04Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T03:04:05+05",
            "2026-01-02T03:04:05+05:60",
            "2026-01-02T03:04:05+05:30:15",
            "2026-01-02T03:04:05 +05:30",
            "2026-01-02T03:04:05+24:00",
        ],
    )
    def test_of_a_line(self, an_event, wrong):
        """What RFC 3339 does not have is no time of a line, whatever Python takes for one."""
        with pytest.raises(InvalidEventError, match="timestamp"):
            Event.from_json(json.dumps(an_event(timestamp=wrong)))

    @pytest.mark.parametrize(
        ("now_ns", "written"),
        [
            (0, "1970-01-01T00:00:00.000000Z"),
            (999, "1970-01-01T00:00:00.000000Z"),
            (NOON_NS, "2026-03-01T12:00:00.123456Z"),
            (-1_000, "1969-12-31T23:59:59.999999Z"),
        ],
    )
    def test_of_a_clock(self, now_ns, written):
        """Nanoseconds are cut, not rounded."""
        assert written == timestamp(now_ns)

    def test_many_seconds(self):
        """The date is right for each of many moments in no order."""
        for offset in (0, 86_400, 1, 86_401, 0, 31_536_000):
            now = 1_700_000_000 + offset
            expected = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
            assert f"{expected:%Y-%m-%dT%H:%M:%S}.000000Z" == timestamp(now * 10**9)


class TestIds:
    def test_layout(self):
        """An id is a UUID of version 7 as RFC 9562 draws it."""
        made = new_id(NOON_NS)
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made
        )
        assert uuid.RFC_4122 == uuid.UUID(made).variant

    def test_time(self):
        """The first 48 bits are the milliseconds of the clock."""
        now_ns = time.time_ns() + 10**9
        assert now_ns // 10**6 == uuid.UUID(new_id(now_ns)).int >> 80

    def test_grow(self):
        """100,000 ids in a row grow, each one its own."""
        made = [new_id() for _ in range(100_000)]
        assert sorted(set(made)) == made

    def test_clock_goes_back(self, monkeypatch):
        """They grow although the clock is set back."""
        clock = iter([NOON_NS + 10**15, NOON_NS, 0, -5 * 10**9, NOON_NS])
        monkeypatch.setattr(time, "time_ns", lambda: next(clock))
        made = [new_id() for _ in range(5)]
        assert sorted(set(made)) == made

    def test_clock_stands(self):
        """More than 4096 in one millisecond carry into the time."""
        made = [new_id(NOON_NS) for _ in range(10_000)]
        assert sorted(set(made)) == made
        assert all(36 == len(each) for each in made)

    @pytest.mark.parametrize("now_ns", [2**62, 2**80, -(2**70)])
    def test_absurd_clock(self, now_ns):
        """No reading of a clock makes an id that is none."""
        assert 7 == uuid.UUID(new_id(now_ns)).version

    def test_threads(self):
        """Eight threads share no id, and each sees its own grow."""
        made = [[] for _ in range(8)]

        def work(mine):
            mine.extend(new_id() for _ in range(5_000))

        threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert 40_000 == len({each for mine in made for each in mine})
        assert all(sorted(mine) == mine for mine in made)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_fork(self, forked, tmp_path):
        """A forked child makes none that its parent or its sister makes."""
        new_id()

        def work(name):
            return lambda: (tmp_path / name).write_text("\n".join(new_id() for _ in range(3_000)))

        children = [forked.start(work(name)) for name in "abc"]
        made = [new_id() for _ in range(3_000)]
        assert [0, 0, 0] == [forked.wait(each) for each in children]
        for path in tmp_path.iterdir():
            made += path.read_text().split("\n")
        assert 12_000 == len(set(made))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_fork_while_the_lock_is_held(self, forked):
        """A child does not wait for a thread that it does not have."""
        stop = threading.Event()

        def work():
            while not stop.is_set():
                new_id()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        try:
            assert [0] * 20 == [forked.run(new_id, timeout=20) for _ in range(20)]
        finally:
            stop.set()
            for each in threads:
                each.join()

    def test_one_reading_of_the_clock(self, monkeypatch):
        """The id's milliseconds are the timestamp's: the clock is read once for an event."""
        clock = iter(range(4_102_444_800_000, 4_102_444_900_000))
        monkeypatch.setattr(time, "time_ns", lambda: next(clock) * 1_000_000)
        for _ in range(50):
            event = Event(session_id="s", actor=ALICE, action="prompt")
            at = datetime.datetime.fromisoformat(event.timestamp)
            assert uuid.UUID(event.event_id).int >> 80 == round(at.timestamp() * 1000)


class TestEncode:
    @pytest.mark.parametrize("char", ["\u2028", "\u2029", "\u0085"])
    def test_line_breaks(self, char, strict_json):
        """Characters at which some readers break lines are escaped."""
        line = encode({"a": f"x{char}é{char}", char: 1})
        assert char.encode() not in line
        assert f"\\u{ord(char):04x}".encode() in line
        assert {"a": f"x{char}é{char}", char: 1} == strict_json(line)

    def test_neighbours_stay(self):
        """Characters whose bytes look alike are left as they are."""
        text = "\u0084\u0086\u2027\u202a\u00c2\u0145\ue028"
        assert f'{{"a":"{text}"}}'.encode() == encode({"a": text})

    @pytest.mark.parametrize("text", ["é", "日本語", "😀", "\u2028", "a\u0085b", "\x7f", "\uffff"])
    def test_ascii(self, text, strict_json):
        """For streams that are not UTF-8 everything is escaped, and reads back the same."""
        line = encode({"a": text, text: 1}, ascii=True)
        assert line.isascii()
        assert {"a": text, text: 1} == strict_json(line)

    def test_controls(self, strict_json):
        """A line never holds a raw control character."""
        text = "".join(map(chr, range(32)))
        line = encode({"a": text})
        assert not any(byte < 32 for byte in line)
        assert {"a": text} == strict_json(line)

    def test_str_splitlines(self):
        """However a reader splits lines, an event is one."""
        line = encode({"a": "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r\n"}).decode()
        assert [line] == line.splitlines()


class TestHiltPython:
    """Lines that hilt-python wrote."""

    def test_missing_version(self, an_event):
        """A missing version is 1.0.0."""
        given = an_event()
        del given["hilt_version"]
        assert an_event() == Event.from_dict(given).to_dict()

    @pytest.mark.parametrize(
        ("cost", "number"), [("0,0005", 0.0005), ("0.0005", 0.0005), ("1e-3", 0.001), ("2", 2.0)]
    )
    def test_cost(self, an_event, cost, number):
        """A cost that is a string becomes a number; the original is kept."""
        event = Event.from_dict(an_event(metrics={"cost_usd": cost}))
        assert number == event.metrics.cost_usd
        assert {"original": {"metrics.cost_usd": cost}} == event.extensions

    @pytest.mark.parametrize("cost", ["about a dollar", "", "nan", "inf", "1.234,50"])
    def test_cost_that_is_no_number(self, an_event, cost):
        """A cost that can't be read is left out; the original is kept."""
        event = Event.from_dict(an_event(metrics={"cost_usd": cost}))
        assert event.metrics.cost_usd is None
        assert {"original": {"metrics.cost_usd": cost}} == event.extensions

    @pytest.mark.parametrize("extensions", [{"original": "text"}, {"original": {"x": 1}}, None])
    def test_cost_beside_extensions(self, an_event, extensions):
        """Whatever stands in the extensions, the line is read."""
        event = Event.from_dict(an_event(metrics={"cost_usd": "1"}, extensions=extensions))
        assert 1.0 == event.metrics.cost_usd

    def test_everything_it_knows(self, an_event):
        """The fields of its lines survive."""
        given = an_event(
            actor={"type": "human", "id": "alice", "did": "did:key:z6Mk"},
            content={"text": "x", "text_hash": "sha256:" + "0" * 64, "media": [{"type": "image"}]},
            privacy={"pii_detected": ["email"], "redaction_applied": True, "consent": {"a": 1}},
            zz_top={"any": "extra"},
            integrity={"signature": "s"},
        )
        assert given == Event.from_dict(given).to_dict()

    def test_whole_float(self, an_event):
        """Milliseconds written as 812.0 are the number 812."""
        event = Event.from_dict(an_event(metrics={"latency_ms": 812.0}))
        assert {"latency_ms": 812} == event.to_dict()["metrics"]


class TestConstructors:
    def test_golden(self, noon):
        """The usual cases are these lines, to the byte."""
        made = [
            events.prompt("Hello", user_id="alice", session_id="s"),
            events.completion(
                "Grüß Gott\u2028!",
                session_id="s",
                reply_to="p",
                provenance={"provider": "openai", "model": "gpt-4o-mini"},
                metrics=Metrics(latency_ms=812, tokens={"prompt": 12, "completion": 34}),
            ),
            events.tool_call("search", {"q": "x"}, call_id="c1", session_id="s"),
            events.tool_result("search", "found", call_id="c1", session_id="s"),
            events.retrieval("query", [{"id": "d1", "score": 0.5}], session_id="s"),
            events.feedback(1, "good", user_id="bob", reply_to="p", session_id="s"),
            events.system("started", session_id="s"),
        ]
        lines = "".join(f"{event.to_json()}\n" for event in made)
        assert (GOLDEN / "events.jsonl").read_text("utf-8") == lines

    def test_valid(self):
        """Each of them is valid by the schema."""
        for make in (events.prompt, events.completion, events.feedback, events.system):
            assert [] == hilt_logging.validate_event(make().to_dict())
        for make in (events.tool_call, events.tool_result, events.retrieval):
            assert [] == hilt_logging.validate_event(make("x").to_dict())

    def test_bound_user(self):
        """The user who is bound is who asks and judges."""
        with hilt_logging.bind(user_id="carol"):
            made = events.prompt("Hi"), events.feedback(1)
        assert ["carol", "carol"] == [event.actor.id for event in made]
        assert ["carol", "carol"] == [event.extensions["user_id"] for event in made]

    def test_own_extensions_win(self):
        """What the caller puts into the extensions is not overwritten."""
        event = events.tool_call("t", session_id="s", extensions={"tool": {"name": "mine"}, "x": 1})
        assert {"tool": {"name": "mine"}, "x": 1} == event.extensions


def test_event_of_other_hands():
    """An event in which somebody put foreign things still gives JSON, and asks them nothing."""

    class Hostile:
        @property
        def __class__(self):
            raise RuntimeError("asked")

        def __bool__(self):
            raise RuntimeError("asked")

    event = Event(session_id="s", actor=ALICE, action="prompt")
    event.provenance = Hostile()
    event.content = Hostile()
    event.unknown_fields = {Hostile(): Hostile(), "x": 1}
    plain = event.to_dict()
    name = f"{__name__}.test_event_of_other_hands.<locals>.Hostile"
    assert {"$type": name} == plain["provenance"] == plain["content"]
    assert 1 == plain["x"]
