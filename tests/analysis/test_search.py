"""What is found in logs, and that what is passed over undecoded never has it."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilt_logging import HILTFileHandler, emit
from hilt_logging.analysis._finding import EVERY_LINE, needles_of, needles_of_pattern
from hilt_logging.analysis._said import said_in
from hilt_logging.analysis.search import Wanted, search
from hilt_logging.errors import ConfigurationError, ReadError
from hilt_logging.events import encode
from hilt_logging.safeguards import jwk
from hilt_logging.schema import ACTIONS, ACTOR_TYPES


ESCAPE = re.compile(r"\\(?:u[0-9a-f]{4}|.)|[g-z<]")


def escaped(hit):
    """A letter as an escape; escapes as they are."""
    return hit[0] if hit[0][0] == "\\" else f"\\u{ord(hit[0]):04x}"


def large(hit):
    """An escape with large letters of hex."""
    return "\\u" + hit[0][2:].upper() if hit[0][1:2] == "u" else hit[0]


SPELLINGS = {
    "utf-8": lambda event: json.dumps(event, ensure_ascii=False),
    "ascii": json.dumps,
    "slashes": lambda event: json.dumps(event, ensure_ascii=False).replace("/", "\\/"),
    "large hex": lambda event: ESCAPE.sub(large, json.dumps(event)),
    "every letter": lambda event: ESCAPE.sub(escaped, json.dumps(event, ensure_ascii=False)),
}


@pytest.fixture
def said(tmp_path, an_event):
    """Writes events that say something, in a spelling of JSON."""

    def said(*texts, spelling="utf-8", name="a.jsonl"):
        events = [
            an_event(event_id=f"e{number}", content={"text": text})
            for number, text in enumerate(texts)
        ]
        path = tmp_path / name
        lines = [SPELLINGS[spelling](event) for event in events]
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        return path

    return said


def found(path, wanted, **options):
    return [hit.event["event_id"] for hit in search(path, wanted, **options)]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "text",
    ["moon", "Grüße", "月", "🚀", 'say "x"', "a\nb", "a/b", "\\", "<b>", "x\x00y", "ü\n", "é"],
)
def test_text_in_any_spelling(said, spelling, text):
    """A text is found however JSON escapes it, and nothing else is."""
    path = said(f"before {text} after", "something else", text[:-1] + "?", spelling=spelling)
    assert ["e0"] == found(path, text)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6),
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3),
    spelling=st.sampled_from(list(SPELLINGS)),
    ignore_case=st.booleans(),
)
def test_any_text(said, texts, text, spelling, ignore_case):
    """What is found is what Python finds in the texts, large and small letters or not."""
    texts = [*texts, f"a{text}b", f"a{text.swapcase()}b"]
    pattern = re.compile(re.escape(text), re.I if ignore_case else 0)
    expected = [f"e{number}" for number, each in enumerate(texts) if pattern.search(each)]
    path = said(*texts, spelling=spelling)
    wanted = Wanted(text, ignore_case=ignore_case, within=["content.text"])
    assert expected == found(path, wanted)


LETTERS = st.text(st.sampled_from('anrtu0: é\u0130\u212a\n\\"/'), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=4),
    text=st.text(st.sampled_from("anrtu0: k"), min_size=1, max_size=2),
    spelling=st.sampled_from(list(SPELLINGS)),
    ignore_case=st.booleans(),
)
def test_hits_are_those_of_a_close_look(tmp_path, an_event, texts, text, spelling, ignore_case):
    """What is told of an event is what is found where all of it is decoded, in the same places."""
    events = [
        an_event(event_id=f"x{n}", content={"text": said}, extensions={"n": n, "unit": other})
        for n, (said, other) in enumerate(texts)
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes("".join(f"{SPELLINGS[spelling](event)}\n" for event in events).encode())
    wanted = Wanted(text, ignore_case=ignore_case)
    expected = [(event, places) for event in events if (places := wanted.places_in(event))]
    hits = list(search(path, wanted))
    assert expected == [(json.loads(hit.json), hit.places) for hit in hits]
    assert [event for event, _ in expected] == [hit.event for hit in hits]
    assert [(each["timestamp"], each["session_id"], each["action"]) for each, _ in expected] == [
        (hit.timestamp, hit.session_id, hit.action) for hit in hits
    ]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", ACTOR_TYPES)
def test_said(an_event, action, kind):
    """Of every event that has a text it is known without the rest what it says."""
    event = an_event(action=action, actor={"type": kind, "id": "x"}, content={"text": "moon"})
    said = said_in(encode(event))
    assert ("moon", action, kind) == (said.content.text, said.action, said.actor.type)


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "shout"},
        {"actor": {"type": "cat", "id": "x"}},
        {"session_id": ""},
        {"timestamp": "2026-01-02"},
        {"timestamp": "2026-01-02T24:00:00.000000Z"},
        {"hilt_version": "2"},
        {"content": {"text": 5}},
        {"content": None},
        {"metrics": {"cost_usd": "0.01"}},
    ],
)
def test_said_by_what_is_no_event(an_event, fields):
    """What is not as we write it takes a closer look."""
    event = {**an_event(content={"text": "moon"}), **fields}
    assert said_in(encode(event)) is None
    assert said_in(encode(an_event(content={"text": "moon"}))[:-1]) is None


def test_cost_that_is_a_text(write, an_event):
    """What hilt-python wrote is told as what it is, wherever the text is found."""
    event = an_event(content={"text": "moon"}, metrics={"cost_usd": "0,5"})
    (hit,) = search(write("a.jsonl", event), "moon")
    assert 0.5 == hit.event["metrics"]["cost_usd"] == json.loads(hit.json)["metrics"]["cost_usd"]


@pytest.mark.parametrize("letter", "isk")
def test_twins_of_letters(said, letter):
    """Letters that re.IGNORECASE takes for others are found, too: K is the sign of kelvin."""
    twins = {"i": "İı", "s": "ſ", "k": "\u212a"}[letter]
    path = said(*(f"xx{each}xx" for each in twins))
    assert [f"e{n}" for n in range(len(twins))] == found(
        path, Wanted(f"xx{letter}xx", ignore_case=True)
    )


def test_signs(said):
    """What has no letters is looked for first where letters may be large: it may be escaped, too."""
    for spelling in SPELLINGS:
        path = said("Order 12-34", "order 12-35", "12-34", "ORDER 12-34", spelling=spelling)
        assert ["e0", "e3"] == found(path, Wanted("order 12-34", ignore_case=True))


def test_bytes_that_are_no_text(said):
    """A line is no event where a value that nobody asked for is no UTF-8; it is told, and no hit."""
    path = said("govern", "govern")
    event = b'"action":"prompt","n":"\xff"'
    first, second = path.read_bytes().replace(b" ", b"").splitlines(keepends=True)
    path.write_bytes(first.replace(b'"action":"prompt"', event) + second)
    errors = []
    hits = list(search(path, "govern", report=errors.append))
    assert ["e1"] == [hit.event["event_id"] for hit in hits]
    assert [(1, "utf-8")] == [(error.line, re.search("utf-8", str(error))[0]) for error in errors]


@pytest.mark.parametrize("number", ["1e999", "9" * 5_000, "-1e999"])
def test_numbers_that_are_too_large(said, number):
    """A number for which there is no room is the text that stands there, and others are numbers."""
    path = said("govern")
    numbers = f'"action":"prompt","numbers":[{number},1.5,2,-3]'
    path.write_text(path.read_text().replace(" ", "").replace('"action":"prompt"', numbers))
    [hit] = search(path, "govern")
    assert [number, 1.5, 2, -3] == hit.event["numbers"]


PATTERNS = (
    "gov.rn,(?i)GOVERN,(go)+vern,x?govern,q|govern,^govern$,(?:g|h)overn,gov\\w+,(?P<a>gov)ern,"
    "g{1}overn,(?i:G)overn,[g]overn,(?=gov)govern,go(?#x)vern,(?<!x)govern,go(?:x)?vern"
)


@pytest.mark.parametrize("pattern", PATTERNS.split(","))
def test_patterns(said, pattern):
    """Whatever a pattern is made of, no line that it matches is passed over."""
    path = said("govern", "nothing")
    assert ["e0"] == found(path, Wanted(pattern, regex=True, within=["content"]))


def test_needles():
    """The longest text that nobody escapes is looked for; of a pattern what it can't do without."""
    assert (b" longest text",) == needles_of('a "b" longest text\n').any_of
    assert (b'"conv-42"',) == needles_of("conv-42", quote="^$").any_of
    assert (b"vern",) == needles_of_pattern(re.compile("g(o|x)vern")).any_of
    assert EVERY_LINE == needles_of_pattern(re.compile("a|b"))
    assert EVERY_LINE == needles_of('"/\\')


def test_pattern_that_is_none():
    """A wrong expression is a wrong value."""
    with pytest.raises(ConfigurationError, match="regular expression"):
        Wanted("(", regex=True)


def test_places(write, an_event):
    """Where a text was found is told with the field and the characters; names of fields do not count."""
    message = {"role": "user", "parts": [{"type": "text", "content": "the moon"}]}
    event = an_event(content={"messages": [message]}, extensions={"moon": {"a.b": "moonlight"}})
    (hit,) = search(write("a.jsonl", event), "moon")
    told = [(each.field, each.begin, each.end) for each in hit.places]
    assert [("content.messages.0.parts.0.content", 4, 8), ("extensions.moon.a.b", 0, 4)] == told
    assert [] == found(write("b.jsonl", event), Wanted("moon", within=["content.text"]))
    assert 1 == len(found(write("b.jsonl", event), Wanted("moon", within=["extensions"])))


def test_filters(write, calls):
    """Fields, actions, models, users, sessions and times must all fit."""
    log = write("a.jsonl", *calls(1, 2, 3))
    assert ["c1", "c2", "c3"] == found(log, Wanted(actions=["completion"]))
    assert ["c1", "c2", "c3"] == found(log, Wanted(models=["gpt-4o-mini"]))
    assert ["p2", "c2"] == found(log, Wanted(sessions=["conv-2"]))
    assert ["p2", "p3"] == found(log, Wanted(sessions=["conv-2", "conv-3"], actions=["prompt"]))
    assert 6 == len(found(log, Wanted(users=["alice"])))
    assert [] == found(log, Wanted(users=["ali"]))
    assert ["c2"] == found(log, Wanted(fields={"metrics.latency_ms": "802"}))
    assert ["p1", "p2", "p3"] == found(log, Wanted(fields={"extensions.team": "blue"}))
    assert ["p3", "c3"] == found(log, Wanted(since="2026-01-04", until="2026-01-05"))
    assert ["p2"] == found(log, Wanted("Question", sessions=["conv-2"]))


def test_one_name(write, calls):
    """One name alone may be a text, which is not taken letter by letter."""
    log = write("a.jsonl", *calls(1, 2, 3))
    names = {"actions": "completion", "models": "gpt-4o-mini", "users": "alice"}
    wanted = Wanted("2", **names, sessions="conv-2", within="content.text")
    assert ["c2"] == found(log, wanted)
    with pytest.raises(ConfigurationError, match="nobodys_jwk"):
        search(log, "2", keys="nobodys_jwk")


@pytest.mark.parametrize("value", ["0.25", "2.5e-1"])
def test_numbers(write, calls, value):
    """A number is the same in whatever way it is written."""
    assert ["c1"] == found(write("a.jsonl", *calls(1)), Wanted(fields={"metrics.cost_usd": value}))


def test_context(write, calls):
    """What was said before and after in the same session, over the files of a log."""
    one, two, three, other = calls(1, 2)[:2], calls(3)[0], calls(4)[1], calls(9)[0]
    for event in (*one, two, three):
        event["session_id"] = "conv-1"
    first = write("app.jsonl.1", one[0], one[1])
    log = write("app.jsonl", other, two, other, three)
    assert first.exists()
    (hit,) = search(log, "Question 3", context=1)
    assert ["c1"] == [event["event_id"] for event in hit.before]
    assert ["c4"] == [event["event_id"] for event in hit.after]
    (hit,) = search(log, "Question 3", context=5)
    assert (["p1", "c1"], ["c4"]) == tuple(
        [event["event_id"] for event in each] for each in (hit.before, hit.after)
    )


def test_encrypted(tmp_path, an_event):
    """What is encrypted is found with the key, and not without."""
    made = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", made)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    log = tmp_path / "app.jsonl"
    handler = HILTFileHandler(log, encrypt_to=str(tmp_path / "a.pub.jwk"))
    logger = logging.Logger("hilt.test")
    logger.addHandler(handler)
    for text in ("the moon", "the sun"):
        emit(an_event(content={"text": text}), logger=logger)
    handler.close()
    assert [] == found(log, "moon")
    (hit,) = search(log, "moon", keys=[tmp_path / "a.key.jwk"])
    assert "the moon" == hit.event["content"]["text"]


def test_compressed(said):
    """Compressed files are searched, too; one that ends early is reported, and searched so far."""
    path = said("the moon")
    packed = path.with_name("b.jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert ["e0"] == found(packed, "moon")
    packed.write_bytes(gzip.compress(path.read_bytes() * 5000)[:-9])
    errors = []
    assert 4000 < len(found(packed, "moon", report=errors.append))
    assert [str(packed)] == [error.path for error in errors]


def test_what_is_no_event(tmp_path, write, an_event):
    """A line with the text that is no event is reported with its number; so are other encodings."""
    log = write(
        "a.jsonl", an_event(), b"", b'{"moon": 1', b"\0\0" + json.dumps(an_event()).encode()
    )
    wide = write("b.jsonl")
    wide.write_bytes(json.dumps(an_event(content={"text": "moon"})).encode("utf-16"))
    bom = write("c.jsonl")
    bom.write_bytes(b"\xef\xbb\xbf" + json.dumps(an_event(content={"text": "moon"})).encode())
    errors = []
    gone = tmp_path / "gone.jsonl"
    assert 1 == len(found([gone, log, wide, bom], "moon", report=errors.append))
    told = [(error.path, error.line) for error in errors]
    assert [(str(gone), None), (str(log), 3), (str(wide), 1)] == told
    assert 2 == len(found(log, Wanted(actions=["prompt"]), report=errors.append))


def test_long_lines(tmp_path, an_event, monkeypatch):
    """A line that is too long is reported and passed over, in bounded memory; the next is found."""
    long = json.dumps(an_event(content={"text": "moon " * 4_000_000})).encode()
    short = json.dumps(an_event(content={"text": "moon"})).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(short + b"\n" + long + b"\n" + short + b"\n")
    errors = []
    assert 2 == len(found(path, "moon", report=errors.append))
    assert ["passed over" in error.reason for error in errors] == [True]


def test_deep_event(write, an_event):
    """Values that are deep in each other are searched to the bottom."""
    deep = "moon"
    for _ in range(400):
        deep = [deep]
    assert 1 == len(found(write("a.jsonl", an_event(extensions={"x": deep})), "moon"))


def test_no_file(tmp_path):
    """A file that is not there, alone, is an error, and so is a folder without logs."""
    for path in (tmp_path / "gone.jsonl", tmp_path):
        with pytest.raises(ReadError):
            list(search(path, "x"))


def test_pipe(tmp_path, said):
    """A pipe with a name, which nobody may ever write to, is not waited for."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    errors = []
    assert ["e0"] == found([tmp_path / "pipe.jsonl", said("moon")], "moon", report=errors.append)
    assert ["It is no regular file"] == [error.reason for error in errors]


def test_rotated_meanwhile(tmp_path, said):
    """A file that is renamed between listing and reading is read once all the same."""
    log, rotated = said("moon two"), said("moon one", name="a.jsonl.1")
    hits = search(log, "moon")
    assert "moon one" == next(hits).event["content"]["text"]
    os.rename(rotated, tmp_path / "a.jsonl.2")
    os.rename(log, tmp_path / "a.jsonl.1")
    said("moon three")
    assert ["moon two"] == [hit.event["content"]["text"] for hit in hits]
