"""Lines that are too long."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time

import msgspec
import pytest

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hilt_logging import HILTFileHandler, HILTFormatter, _cutting, emit, events, validate_event
from hilt_logging._cutting import cut
from hilt_logging.events import encode
from hilt_logging.records import completed, make
from hilt_logging.snapshot import snapshot


BIG = 1024 * 1024
HEAD = ("hilt_version", "event_id", "timestamp", "session_id", "actor", "action")


def event_of(**fields):
    return {
        "hilt_version": "1.0.0",
        "event_id": "0194c2f0-0000-7000-8000-000000000000",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "session_id": "conv-42",
        "actor": {"type": "agent", "id": "bot"},
        "action": "completion",
        **fields,
    }


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def mark_of(field, text):
    return {"field": field, "bytes": len(text.encode()), "sha256": sha256(text)}


def shortened(event, most, ascii=False):
    """The event of the line that was cut, after everything that is true of any of them."""
    line = cut(encode(event, ascii=ascii), most, ascii=ascii)
    assert len(line) <= most
    assert b"\n" not in line
    assert not ascii or line.isascii()
    made = msgspec.json.decode(line)
    assert line == encode(made, ascii=ascii)
    assert [] == validate_event(made)
    return made


def at(event, field):
    """The value at a path such as `content.messages[0].role`."""
    for step in field.replace("[", ".[").split("."):
        event = event[int(step[1:-1])] if step.startswith("[") else event[step]
    return event


KINDS = {
    "1 byte": "x",
    "2 bytes": "é",
    "3 bytes": "語",
    "4 bytes": "𝔸",
    "emoji": "😀",
    "quote": '"',
    "backslash": "\\",
    "newline": "\n",
    "control": "\x01",
    "line separator": "\u2028",
    "next line": "\x85",
    "mixed": 'a"é\n語\u2028😀\\\x1f',
}
each_kind = pytest.mark.parametrize("unit", KINDS.values(), ids=KINDS)
both_ways = pytest.mark.parametrize("ascii", [False, True], ids=["utf-8", "ascii"])


class TestText:
    @both_ways
    @each_kind
    def test_limits(self, unit, ascii):
        """A text loses what the line is too long by and not a character more, at any limit."""
        text = (unit * 2000)[:2000]
        event = event_of(content={"text": text})
        whole = len(encode(event, ascii=ascii))
        largest = max(len(encode(c, ascii=ascii)) - 2 for c in unit)
        for most in (*range(1023, 1050), 1500, *range(whole - 40, whole)):
            made = shortened(event, most, ascii)
            kept = made["content"]["text"]
            assert text.startswith(kept)
            assert [mark_of("content.text", text)] == made["extensions"]["cut"]
            if kept != text[:-1]:
                left = most - len(encode(made, ascii=ascii))
                following = text[len(kept)]
                assert 0 <= left < len(encode(following, ascii=ascii)) - 2 <= largest

    @both_ways
    @each_kind
    def test_fits(self, unit, ascii):
        """A line that is just as long as it may be is returned as it is."""
        line = encode(event_of(content={"text": unit * 500}), ascii=ascii)
        assert line is cut(line, len(line), ascii=ascii)

    def test_longest_first(self):
        """Texts are cut to one length, and what is shorter stays whole."""
        first, second, short = "a" * 50_000, "b" * 90_000, "c" * 3000
        event = event_of(
            content={"text": short, "messages": [{"role": "user", "parts": [{"content": first}]}]},
            extensions={"tool": {"name": "f", "arguments": {"q": second}}},
        )
        made = shortened(event, 20_000)
        field = "content.messages[0].parts[0].content"
        lengths = [len(at(made, path)) for path in (field, "extensions.tool.arguments.q")]
        assert max(lengths) - min(lengths) < 4
        assert min(lengths) > 7500
        assert short == made["content"]["text"]
        assert [
            mark_of("extensions.tool.arguments.q", second),
            mark_of(field, first),
        ] == made["extensions"]["cut"]

    def test_one_is_enough(self):
        """A text is not cut where cutting a longer one is enough."""
        event = event_of(content={"text": "a" * 5000}, extensions={"note": "b" * 9000})
        made = shortened(event, 12_000)
        assert 5000 == len(made["content"]["text"])
        assert ["extensions.note"] == [mark["field"] for mark in made["extensions"]["cut"]]

    def test_order(self):
        """The fields stay in their order, the evidence last."""
        event = event_of(
            content={"text": "x" * 5000}, provenance={"logger": "hilt"}, z=1, integrity={"seq": 1}
        )
        made = shortened(event, 1200)
        expected = [*HEAD, "content", "provenance", "extensions", "z", "integrity"]
        assert expected == list(made)

    def test_kept(self):
        """What tells events apart and is counted is kept, however long the text."""
        rest = {
            "provenance": {"provider": "openai", "request_id": "req_1", "trace_id": "f" * 32},
            "metrics": {"latency_ms": 1, "tokens": {"prompt": 1}, "cost_usd": 0.5},
            "privacy": {"redaction_applied": True},
            "integrity": {"seq": 1},
        }
        ids = {"user_id": "alice", "reply_to": "e1", "outcome": "completed"}
        made = shortened(event_of(content={"text": "é" * BIG}, extensions=ids, **rest), 1023)
        assert rest == {name: made[name] for name in rest}
        assert ids == {name: made["extensions"][name] for name in ids}

    def test_cut_again(self):
        """A text that is cut once more keeps the mark of the original."""
        text = "x" * 9000
        made = shortened(shortened(event_of(content={"text": text}), 5000), 2000)
        assert [mark_of("content.text", text)] == made["extensions"]["cut"]

    def test_users_own_field(self):
        """A field of the user with the name of the marks is left alone."""
        event = event_of(content={"text": "x" * 9000}, extensions={"cut": "short"})
        made = shortened(event, 2000)
        assert "short" == made["extensions"]["cut"]
        assert [mark_of("content.text", "x" * 9000)] == made["extensions"]["cut#2"]

    def test_long_names(self):
        """The path in a mark is itself no longer than it may be."""
        event = event_of(extensions={"n" * 300: {"é" * 300: "x" * 9000}})
        (mark,) = shortened(event, 4000)["extensions"]["cut"]
        assert mark["field"].startswith("extensions.nnn")
        assert mark["field"].endswith("…")
        assert sha256("x" * 9000) == mark["sha256"]


class TestLists:
    def test_list(self):
        """Of a list with many small items the beginning is kept, and the number of the others."""
        items = [{"id": number} for number in range(100_000)]
        made = shortened(event_of(extensions={"documents": items, "user_id": "alice"}), 10_000)
        *kept, mark = made["extensions"]["documents"]
        assert items[: len(kept)] == kept
        assert {"$cut": "size", "$omitted": 100_000 - len(kept)} == mark
        assert len(encode(made)) > 9800
        assert "alice" == made["extensions"]["user_id"]

    def test_dict(self):
        """Likewise of a dict."""
        items = {f"n{number}": number for number in range(100_000)}
        made = shortened(event_of(extensions={"numbers": items}), 10_000)
        kept = made["extensions"]["numbers"]
        omitted = kept.pop("$omitted")
        assert "size" == kept.pop("$cut")
        assert list(items)[: len(kept)] == list(kept)
        assert 100_000 == len(kept) + omitted

    def test_omitted_before(self):
        """What an earlier cut left out is counted, in lists and in dicts."""
        event = event_of(
            extensions={
                "list": list(range(10_000)),
                "dict": {f"n{number}": number for number in range(10_000)},
            }
        )
        made = shortened(shortened(event, 20_000), 5000)["extensions"]
        *kept, mark = made["list"]
        assert 10_000 == len(kept) + mark["$omitted"]
        assert 10_000 == len(made["dict"]) - 2 + made["dict"]["$omitted"]

    def test_text_and_list(self):
        """Beside a long list a long text keeps a share of the line."""
        items = [f"item {number}" for number in range(100_000)]
        made = shortened(event_of(content={"text": "x" * BIG}, extensions={"all": items}), 50_000)
        assert len(made["content"]["text"]) > 10_000
        assert len(made["extensions"]["all"]) > 1000

    def test_many_texts(self):
        """Of many texts as long as each other, the first ones stay whole."""
        texts = ["y" * 1000] * 5000
        made = shortened(event_of(extensions={"documents": texts}), 200_000)
        assert made["extensions"]["documents"].count("y" * 1000) > 100
        assert len(made["extensions"].get("cut", [])) <= 64

    def test_deep(self):
        """Dicts that stand in each other are cut as well."""
        deep = "end"
        for level in range(60):
            deep = {"filler": ["x" * 20] * 50, f"level{level}": deep}
        made = shortened(event_of(extensions={"deep": deep}), 5000)
        assert "$cut" in encode(made).decode()
        assert len(encode(made)) > 2000

    def test_messages(self):
        """Messages stay a list of objects."""
        messages = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}] * 10_000
        made = shortened(event_of(content={"messages": messages}), 4000)
        assert messages[0] == made["content"]["messages"][0]

    def test_unknown_fields(self):
        """Fields that the format does not know are left out last to first, the evidence never."""
        unknown = {f"x{number}": "y" * 50 for number in range(1000)}
        made = shortened(event_of(content={"text": "Hi"}, **unknown, integrity={"seq": 1}), 5000)
        assert {"text": "Hi"} == made["content"]
        assert "x0" in made
        assert ["$cut", "$omitted", "integrity"] == list(made)[-3:]


class TestLastResort:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"session_id": "s" * 5000}, "session_id"),
            ({"event_id": "語" * 5000}, "event_id"),
            ({"actor": {"type": "human", "id": "i" * 5000}}, "actor.id"),
            ({"provenance": {"params": {"stop": "p" * 5000}}}, "provenance.params.stop"),
            ({"extensions": {"user_id": "u" * 5000}}, "extensions.user_id"),
            ({"privacy": {"consent": {"text": "c" * 5000}}}, "privacy.consent.text"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @both_ways
    def test_names(self, fields, field, ascii):
        """Where nothing else is long, a name is cut as a text is."""
        event = event_of(**fields)
        made = shortened(event, 1023, ascii)
        assert [mark_of(field, at(event, field))] == made["extensions"]["cut"]
        assert at(event, field).startswith(at(made, field))

    @pytest.mark.parametrize(
        "fields",
        [
            {"metrics": {"latency_ms": 1, "tokens": {f"t{n}": n for n in range(9999)}}},
            {"privacy": {"pii_detected": [f"kind{n}" for n in range(9999)]}},
            {"provenance": {"params": list(range(9999))}},
            {"integrity": {"x": list(range(9999))}},
            {"actor": {"type": "human", "id": "x", "metadata": {f"m{n}": n for n in range(9999)}}},
            {"actor": {**{f"m{n}": n for n in range(9999)}, "type": "human", "id": "x"}},
            {"n" * 9999: 1},
            {"extensions": {"n" * 9999: {str(n): "x" * 300 for n in range(2000)}}},
        ],
    )
    @both_ways
    def test_parts(self, fields, ascii):
        """Where a part of the format is long it is cut to what is valid, and says so."""
        made = shortened(event_of(**fields), 1023, ascii)
        assert {"1.0.0", "conv-42", "completion"} <= {v for v in made.values() if type(v) is str}
        text = json.dumps(made)
        assert '"$cut"' in text or '"field": "$"' in text

    @both_ways
    def test_everything(self, ascii):
        """An event that is long everywhere is cut to what makes it one."""
        long = "😀" * 5000
        made = shortened(
            event_of(
                event_id=long,
                session_id=long,
                actor={"type": "human", "id": long, "name": long, "did": long, long: long},
                provenance={str(number): long for number in range(99)},
                extensions={long: long, "cut": long},
            ),
            1023,
            ascii,
        )
        assert "human" == made["actor"]["type"]

    def test_bare(self, monkeypatch):
        """If all else fails the event's head is left, with a mark of the whole line."""

        def fail(*_):
            raise RecursionError

        event = event_of(session_id="😀" * 500, content={"text": "x" * 5000})
        monkeypatch.setattr(_cutting._Cutting, "line", fail)
        made = shortened(event, 1023, ascii=True)
        assert [*HEAD, "extensions"] == list(made)
        assert {"cut": [mark_of("$", encode(event).decode())]} == made["extensions"]

    def test_no_event(self):
        """What a filter made of an event is cut all the same."""
        event = event_of(content={"text": "x" * 5000}, metrics={"latency_ms": "spoiled"})
        line = cut(encode(event), 1023)
        assert "spoiled" == json.loads(line)["metrics"]["latency_ms"]
        for spoiled in ({"extensions": 7}, {"actor": None}, {"actor": "x"}, {"session_id": 7}):
            line = cut(encode({**event, **spoiled}), 1023)
            assert len(line) <= 1023
            json.loads(line)


texts = st.one_of(
    st.text(max_size=30),
    st.builds(
        lambda unit, times: unit * times,
        st.text(st.sampled_from('xé語😀"\\\n\x01\u2028\x85'), min_size=1, max_size=9),
        st.integers(1, 400),
    ),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), texts, st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.builds(lambda item, times: [item] * times, inner, st.integers(1, 40)),
        st.dictionaries(texts, inner, max_size=6),
        st.builds(lambda item, n: {f"k{i}": item for i in range(n)}, inner, st.integers(1, 40)),
    ),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=5)
parts = st.fixed_dictionaries(
    {},
    optional={
        "session_id": texts.filter(bool),
        "actor": st.builds(
            lambda id, more: {**more, "type": "human", "id": id}, texts.filter(bool), objects
        ),
        "content": st.fixed_dictionaries(
            {}, optional={"text": texts, "messages": st.lists(objects, max_size=4), "x": values}
        ),
        "provenance": objects,
        "metrics": st.fixed_dictionaries(
            {},
            optional={
                "latency_ms": st.integers(0, 2**60),
                "tokens": st.dictionaries(texts, st.integers(0, 999), max_size=50),
            },
        ),
        "privacy": st.fixed_dictionaries({}, optional={"pii_detected": st.lists(texts)}),
        "extensions": objects,
        "integrity": objects,
        "z": values,
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts, st.integers(1024, 6000), st.booleans())
@example({"extensions": {"cut": [mark_of("x", "y")] * 99}}, 1024, False)
def test_any_event(strict_json, fields, limit, ascii):
    """Any event at any limit is a valid line of strict JSON, as it was if that was short enough."""
    event = completed(event_of(**snapshot(fields)), "hilt")
    formatter = HILTFormatter(max_line_bytes=limit, ascii=ascii)
    line = formatter.serialize(event)
    assert len(line) + 1 <= limit
    made = strict_json(line.decode())
    assert [] == validate_event(made)
    whole = encode(event, ascii=ascii)
    if len(whole) < limit:
        assert whole == line
        return
    texts = {encode(event).decode(), *_long_texts_of(event)}
    given = {(len(text.encode()), sha256(text)) for text in texts}
    assert given >= {(mark["bytes"], mark["sha256"]) for mark in _marks_of(made, event)}


def _long_texts_of(value):
    if type(value) is str:
        if len(value) > 20:
            yield value
    elif type(value) in (dict, list):
        for item in value.values() if type(value) is dict else value:
            yield from _long_texts_of(item)


def _marks_of(made, event):
    names = [name for name in made.get("extensions", {}) if name.split("#")[0] == "cut"]
    if not names or names[-1] in event.get("extensions", {}):
        return []
    return made["extensions"][names[-1]]


@pytest.mark.untraced
class TestTime:
    @both_ways
    @pytest.mark.parametrize("unit", ["x", "😀", KINDS["mixed"]], ids=["ascii", "emoji", "mixed"])
    def test_long_text(self, unit, ascii):
        """A text of 20 MB is cut in bounded time."""
        text = unit * (20_000_000 // len(unit.encode()))
        began = time.thread_time()
        made = shortened(event_of(content={"text": text}), BIG, ascii)
        assert time.thread_time() - began < 20
        assert [mark_of("content.text", text)] == made["extensions"]["cut"]
        assert len(encode(made, ascii=ascii)) > BIG - 12

    @pytest.mark.parametrize("item", [7, "y" * 40, "y" * 400, ["z"], {"k": "v" * 200}])
    def test_many_items(self, item):
        """So are 200,000 items."""
        event = event_of(extensions={"all": [item] * 200_000, "last": {"x": [item] * 10}})
        began = time.thread_time()
        made = shortened(event, 100_000)
        assert time.thread_time() - began < 20
        assert len(encode(made)) > 90_000

    def test_long_name(self):
        """So is what stands under a long name."""
        event = event_of(extensions={"n" * 5_000_000: {str(n): n for n in range(50_000)}})
        began = time.thread_time()
        shortened(event, BIG)
        assert time.thread_time() - began < 20


class TestHandler:
    def test_short_way(self):
        """A line that was made at once is cut too, and the event on the record is not."""
        event = events.prompt("x" * 5000, session_id="s")
        record = make(event, logging.getLogger("hilt.test"))
        assert record.hilt_line is not None
        made = json.loads(HILTFormatter(max_line_bytes=1024).line(record))
        assert [mark_of("content.text", "x" * 5000)] == made["extensions"]["cut"]
        assert "x" * 5000 == record.hilt["content"]["text"]
        assert "extensions" not in record.hilt

    def test_threads(self, hilt, tmp_path, lines):
        """The lines of threads in one file are whole, within the limit and all there."""
        path = tmp_path / "x.jsonl"
        hilt.addHandler(HILTFileHandler(path, max_line_bytes=2048))

        def work(name):
            for number in range(50):
                text = f"{name} {number} " + '語"' * 40 * number
                emit(events.prompt(text, session_id=name))
                emit({"actor": {"type": "human", "id": name}, "action": "prompt", "x": [text] * 9})

        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 400 == len(lines(path))
        assert max(map(len, path.read_bytes().splitlines(keepends=True))) <= 2048
        said = [event["content"]["text"] for event in lines(path) if "content" in event]
        assert {f"t{n} {m}" for n in range(4) for m in range(50)} == {
            " ".join(text.split()[:2]) for text in said
        }
