"""What is encrypted, to whom, and what is never in a line."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import logging.config
import os
import shutil
import subprocess
import threading

from base64 import b64encode

import msgspec
import pytest

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hilt_logging import HILTFileHandler, HILTFormatter, bind, emit, events, validate_event
from hilt_logging.errors import ConfigurationError
from hilt_logging.events import encode
from hilt_logging.handlers import BackgroundHandler
from hilt_logging.records import make
from hilt_logging.safeguards import jwk
from hilt_logging.safeguards._division import divided, joined, known_with
from hilt_logging.safeguards._parts import KNOWN, withheld
from hilt_logging.safeguards._slices import quick_line
from hilt_logging.safeguards.encryption import Opener, OpeningError, sealing_of
from hilt_logging.safeguards.privacy import rules_of
from hilt_logging.schema import FIELDS


pytest.importorskip("cryptography", reason="the extra crypto is not installed")

KEY = b"a key for tests, 32 bytes long.."
SECRET = "what nobody else may read"


class Keys:
    """A key store in memory."""

    class Key:
        def __init__(self):
            self.id = f"s-{os.urandom(13).hex()}"
            self.key = os.urandom(32)

    def __init__(self):
        self.of, self.gone, self.broken = {}, set(), None
        self._lock = threading.Lock()

    def key_for(self, subject):
        if self.broken is not None:
            raise self.broken
        with self._lock:
            if subject not in self.of:
                self.of[subject] = self.Key()
            return self.of[subject]

    def key_of(self, key_id):
        return next((key.key for key in self.of.values() if key.id == key_id), None)

    def was_erased(self, key_id):
        return key_id in self.gone

    def erase(self, subject, *, by=""):
        self.gone.add(self.of.pop(subject).id)


STORE = Keys()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with keys of each kind, two of each."""
    made = tmp_path_factory.mktemp("keys")
    for kind in ("P-256", "X25519"):
        for number in (1, 2):
            key = jwk.generate(kind)
            jwk.write_new(made / f"{kind}-{number}.key.jwk", key)
            jwk.write_new(made / f"{kind}-{number}.pub.jwk", jwk.public_of(key))
    return made


@pytest.fixture
def public(folder):
    return lambda name="P-256-1": str(folder / f"{name}.pub.jwk")


@pytest.fixture
def private(folder):
    return lambda name="P-256-1": jwk.load_private(
        "key", folder / f"{name}.key.jwk", ("P-256", "X25519")
    )


@pytest.fixture
def opener(private):
    return Opener([private(), private("X25519-1")], STORE)


def record_of(event):
    return logging.makeLogRecord({"name": "hilt", "hilt": event})


def line_of(formatter, event):
    """The line of an event, as a dict, after what is true of any line."""
    line = formatter.line(record_of(event))
    made = msgspec.json.decode(line)
    assert [] == validate_event(made)
    assert line == encode(made)
    return made


def of_all(an_event, word=SECRET, **fields):
    """An event that carries a word wherever an event can."""
    return an_event(
        **{
            "actor": {"type": "human", "id": "alice", "name": word, "metadata": {"note": word}},
            "content": {"text": word, "media": [{"type": word}], "own": word},
            "provenance": {
                "provider": "openai",
                "params": {"temperature": 0.5, "stop": [word]},
                "metadata": {"k": word},
                "logger": "hilt",
            },
            "metrics": {"latency_ms": 12, "tokens": {"prompt": 3}, "note": word},
            "privacy": {"consent": {"marketing": False}, "note": word},
            "extensions": {
                "documents": [{"text": word}],
                "user_id": "alice",
                "tool": {"name": "search", "arguments": {"q": word}, "call_id": "c1"},
                "error": {"type": "Timeout", "message": word},
                "history": {"messages": 2, "digest": hash_of(word), "system": hash_of(word)},
                "outcome": "completed",
            },
            "own": word,
            **fields,
        }
    )


def hash_of(text):
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


OPTIONS = {
    "encrypted": {"encrypt_to": "P-256-1"},
    "X25519": {"encrypt_to": ["X25519-1"]},
    "several": {"encrypt_to": ["P-256-1", "X25519-1"]},
    "erasable": {"erasable_by": "user_id", "key_store": STORE},
    "both": {"encrypt_to": "P-256-1", "erasable_by": "user_id", "key_store": STORE},
    "both, several": {
        "encrypt_to": ["P-256-2", "X25519-1"],
        "erasable_by": "actor",
        "key_store": STORE,
    },
    "public fields": {"encrypt_to": "P-256-1", "public_fields": "extensions.tenant"},
    "public content": {"encrypt_to": "P-256-1", "public_fields": ["content.own", "content.media"]},
}


@pytest.fixture(params=OPTIONS)
def options(request, folder):
    """Options that encrypt, with files of keys."""
    return with_files(OPTIONS[request.param], folder)


def with_files(options, folder):
    given = options.get("encrypt_to")
    if given is None:
        return options
    files = [
        str(folder / f"{name}.pub.jwk") for name in ([given] if str(given) == given else given)
    ]
    return {**options, "encrypt_to": files}


def _named(name, **more):
    event = events.prompt(SECRET, user_id="alice")
    event.actor = events.Actor(type="human", id="alice", name=name, **more)
    return event


class TestLine:
    def test_there_and_back(self, an_event, options, opener):
        """Nothing that was said is in the line, and all of it is there again with the key."""
        event = of_all(an_event)
        words = [SECRET] if "public_fields" not in options else []
        line = HILTFormatter(**options).line(record_of(event))
        for word in (*words, "alice", hash_of(SECRET)):
            assert word.encode() not in line
        assert event == opener.open(msgspec.json.decode(line))
        assert list(event) == list(opener.open(msgspec.json.decode(line)))

    def test_what_stays(self, an_event, public):
        """Ids, counts and names of models stay readable, in the format's order of fields."""
        event = of_all(an_event)
        made = line_of(HILTFormatter(encrypt_to=public()), event)
        assert ["text_encrypted"] == list(made["content"])
        kept = ("event_id", "timestamp", "session_id", "action")
        assert [event[name] for name in kept] == [made[name] for name in kept]
        assert {"provider": "openai", "params": {"temperature": 0.5}, "logger": "hilt"} == made[
            "provenance"
        ]
        assert {"latency_ms": 12, "tokens": {"prompt": 3}} == made["metrics"]
        assert {"consent": {"marketing": False}} == made["privacy"]
        assert {"name": "search", "call_id": "c1"} == made["extensions"]["tool"]
        assert {"messages": 2} == made["extensions"]["history"]
        assert "own" not in made

    def test_the_long_and_the_short_way(self, an_event, public, opener):
        """An event that is made here goes the short way, with the result of the long one."""
        form = HILTFormatter(encrypt_to=public())
        logger = logging.getLogger("hilt")
        for event in (
            events.completion(SECRET, extensions={"finish_reason": "stop", "note": SECRET}),
            events.prompt(SECRET, user_id="alice", provenance={"params": {"n": 1, "stream": True}}),
            events.tool_call("search", {"q": SECRET}, call_id="c", extensions={"user_id": "a"}),
            events.feedback(4, SECRET, user_id="Zoë"),
            events.system(),
            _named("Alice"),
            _named('Zoë "Z"', did="did:key:z6"),
        ):
            record = make(event, logger)
            line = record.hilt_line or encode(record.hilt)
            whole = msgspec.json.decode(line)
            sealing = form._sealing
            quick = quick_line(line, sealing._quick, sealing._means)
            slow = sealing._long_way(line, sealing._means)
            assert without_token(quick) == without_token(slow)
            assert whole == opener.open(msgspec.json.decode(quick))
            assert whole == opener.open(msgspec.json.decode(form.line(record)))

    def test_nothing_to_hide(self, an_event, options):
        """An event of ids alone stays as it is."""
        event = an_event(
            actor={"type": "agent", "id": "bot"}, extensions={"notice": {"kind": "loss"}}
        )
        event["provenance"] = {"logger": "hilt"}
        assert event == line_of(HILTFormatter(**options), event)

    @pytest.mark.parametrize(
        "own",
        [
            {"extensions": {"notice": {"text": SECRET}}},
            {"extensions": {"notice": SECRET}},
            {"extensions": {"notice": {"kind": SECRET}}},
            {"extensions": {"body": SECRET}},
            {"extensions": {"usage": SECRET, "cache": [SECRET], "sampled": {"x": SECRET}}},
            {"extensions": {"body": "w20261123\n"}},
            {"extensions": {"body": 20261123}},
            {"provenance": {"params": {SECRET: 1}}},
            {"provenance": {"params": {"user": 20261123}}},
            {"metrics": {SECRET: 1}},
            {
                "extensions": {
                    "metrics": {"own": 20261123},
                    "chain": {"provenance": {"x": 20261123}},
                }
            },
        ],
        ids=str,
    )
    def test_own_fields(self, an_event, options, opener, own):
        """What is one's own is not readable because a field of the library has its name."""
        event = an_event(**own)
        made = encode(line_of(HILTFormatter(**options), event))
        assert SECRET.encode() not in made
        assert b"20261123" not in made
        whole = line_of(HILTFormatter(), event)
        assert whole == opener.open(msgspec.json.decode(made))

    def test_words_of_the_library(self, an_event, options):
        """What the library says in the same fields can be read."""
        said = {"body": "not_seen", "usage": "not_reported", "cache": "hit", "sampled": "error"}
        assert said == line_of(HILTFormatter(**options), an_event(extensions=said))["extensions"]

    def test_name_of_a_logger(self, options):
        """An ordinary record is not lost because of a name that is no JSON."""
        record = logging.LogRecord("app\udcff", logging.INFO, "x.py", 1, SECRET, (), None)
        line = HILTFormatter(**options).line(record)
        assert SECRET.encode() not in line
        assert [] == validate_event(msgspec.json.decode(line))

    def test_a_token_of_ones_own(self, an_event, options, opener):
        """What stood in the field before is there again."""
        event = an_event(content={"text": SECRET, "text_encrypted": "theirs", "own": "x"})
        event |= {"provenance": {"logger": "x"}, "privacy": {"key_id": "theirs"}}
        event |= {"extensions": {"tenant": "t"}}
        made = line_of(HILTFormatter(**options), event)
        assert "theirs" not in str(made)
        assert event == opener.open(made)

    @pytest.mark.parametrize("empty", [{"content": {}}, {"privacy": {}}, {"extensions": {}}])
    def test_empty_parts(self, an_event, options, opener, empty):
        """What is empty is there again, and what is not there is not."""
        event = an_event(**empty)
        line = HILTFormatter(**options)._sealing.line(encode(event), 10**6)
        assert b"alice" not in line
        assert event == opener.open(msgspec.json.decode(line))

    def test_chunks(self, an_event, options, opener):
        """A chunk is an event like any other."""
        event = an_event(
            action="completion_chunk", content={"text": "wh"}, provenance={"logger": "x"}
        )
        assert event == opener.open(line_of(HILTFormatter(**options), event))

    def test_ordinary_records(self, public, opener):
        """What is wrapped is encrypted with its message and its exception."""
        record = logging.makeLogRecord({"name": "app", "msg": "%s", "args": (SECRET,)})
        line = HILTFormatter(encrypt_to=public()).line(record)
        assert SECRET.encode() not in line
        assert SECRET == opener.open(msgspec.json.decode(line))["extensions"]["log"]["message"]

    def test_evidence_stays_last(self, an_event, options, opener):
        """Evidence is not encrypted, and stays the last field."""
        event = of_all(an_event, integrity={"seq": 1})
        made = line_of(HILTFormatter(**options), event)
        assert ("integrity", {"seq": 1}) == list(made.items())[-1]
        assert event == opener.open(made)

    def test_ascii(self, an_event, options, opener):
        """With `ascii` the line is ASCII, and what is in it is not changed."""
        event = an_event(content={"text": "é😀"}, provenance={"model": "größer"}, session_id="ü")
        line = HILTFormatter(ascii=True, **options).line(record_of(event))
        assert line.isascii()
        event["provenance"]["logger"] = "hilt"
        assert event == opener.open(msgspec.json.decode(line))

    @pytest.mark.parametrize("most", [4096, 5000, 8192, 60_000])
    @pytest.mark.parametrize("unit", ["x", "é", '"'])
    def test_limit(self, an_event, options, opener, most, unit):
        """A line is as long as it may be: what is cut is cut before it is encrypted."""
        form = HILTFormatter(max_line_bytes=max(most, 5120), ascii=unit == "é", **options)
        event = of_all(an_event, content={"text": unit * 70_000})
        line = form.line(record_of(event))
        assert len(line) < max(most, 5120)
        opened = opener.open(msgspec.json.decode(line))
        assert opened["extensions"]["cut"]
        assert "cut" not in msgspec.json.decode(line)["extensions"]
        assert len(line) > max(most, 5120) * 0.5
        assert {} == form.redaction_failures()


def without_token(line):
    event = msgspec.json.decode(line)
    if "text_encrypted" in event.get("content", {}):
        event["content"]["text_encrypted"] = "..."
    return event


class TestPeople:
    def test_random_names(self, an_event, public):
        """People have names that mean nothing, the same for the same person."""
        form = HILTFormatter(encrypt_to=public())
        made = [
            line_of(form, an_event(actor={"type": "human", "id": id, "did": f"did:{id}"}))["actor"]
            for id in ("alice", "bob", "alice")
        ]
        assert made[0] == made[2]
        names = {each[name] for each in made for name in ("id", "did")}
        assert 4 == len(names)
        assert all(name.startswith("t-") and len(name) == 28 for name in names)
        other = line_of(HILTFormatter(encrypt_to=public()), an_event())
        assert other["actor"]["id"] not in names

    def test_names_with_a_key(self, an_event, public):
        """With a privacy key they are the pseudonyms that it makes."""
        form = HILTFormatter(encrypt_to=public(), privacy_key=KEY)
        plain = HILTFormatter(pseudonymize="actor.id", privacy_key=KEY)
        event = an_event(extensions={"user_id": "alice"}, content={"text": "x"})
        made, expected = (line_of(each, event) for each in (form, plain))
        assert expected["actor"] == made["actor"]
        assert expected["extensions"] == made["extensions"]

    def test_agents_keep_theirs(self, an_event, options):
        """Agents, tools and the system are no people."""
        event = an_event(actor={"type": "agent", "id": "bot", "name": "Bot"}, content={"text": "x"})
        assert event["actor"] == line_of(HILTFormatter(**options), event)["actor"]

    def test_numbers(self, an_event, options, opener):
        """A user's number is a name too."""
        event = an_event(extensions={"user_id": 4711}, provenance={"logger": "x"})
        made = line_of(HILTFormatter(**options), event)
        assert "4711" not in str(made["extensions"])
        assert event == opener.open(made)

    @pytest.mark.parametrize(
        ("by", "fields", "subject"),
        [
            ("user_id", {"extensions": {"user_id": "alice"}}, "user:alice"),
            ("user_id", {}, "user:bob"),
            ("user_id", {"actor": {"type": "agent", "id": "bob"}}, "session:conv-42"),
            ("user_id", {"actor": {"type": "human", "id": "user"}}, "session:conv-42"),
            ("actor", {"extensions": {"user_id": "alice"}}, "user:bob"),
            (
                "actor",
                {"actor": {"type": "tool", "id": "x"}, "extensions": {"user_id": "alice"}},
                "user:alice",
            ),
            ("session", {"extensions": {"user_id": "alice"}}, "session:conv-42"),
        ],
    )
    def test_subject(self, an_event, by, fields, subject):
        """The key is that of the person, else of the conversation; its id stands in the line."""
        store = Keys()
        event = an_event(actor={"type": "human", "id": "bob"}, content={"text": "x"})
        event |= fields
        made = line_of(HILTFormatter(erasable_by=by, key_store=store), event)
        assert [subject] == list(store.of)
        key_id = store.of[subject].id
        assert key_id == made["privacy"]["key_id"]
        people = [made["actor"]["id"], made.get("extensions", {}).get("user_id")]
        named = {"user:alice": people[1], "user:bob": people[0]}
        assert named.get(subject, key_id) == key_id
        assert "conv-42" == made["session_id"]
        for name in people:
            assert name in (None, key_id, "bob", "x") or name.startswith("t-")
            assert name != "bob" or event["actor"]["type"] == "agent"

    def test_subject_before_pseudonyms(self, an_event):
        """The key is that of the person, whatever other options make of the name."""
        store = Keys()
        form = HILTFormatter(
            erasable_by="user_id", key_store=store, pseudonymize="user_id", privacy_key=KEY
        )
        event = an_event(extensions={"user_id": "alice"}, content={"text": "x"})
        made = line_of(form, event)
        key_id = store.of["user:alice"].id
        assert {key_id} == {made["actor"]["id"], made["extensions"]["user_id"]}
        line_of(HILTFormatter(erasable_by="user_id", key_store=store, fields="-extensions"), event)
        assert ["user:alice"] == list(store.of)

    def test_records_of_nobody(self):
        """Ordinary records of nobody share a key for each logger; one for each would be many."""
        store = Keys()
        form = HILTFormatter(erasable_by="user_id", key_store=store)
        for name in ("a", "b", "a"):
            form.line(logging.makeLogRecord({"name": name, "msg": "x"}))
        assert ["log:a", "log:b"] == list(store.of)


class TestErasure:
    def test_records_in_the_background(self, tmp_path):
        """An ordinary record is under the key of who was bound where it was made."""
        store, logger = Keys(), logging.Logger("app")
        handler = BackgroundHandler(
            HILTFileHandler(
                tmp_path / "x.jsonl", foreign="wrap", erasable_by="user_id", key_store=store
            )
        )
        logger.addHandler(handler)
        with bind(session_id="s", user_id="alice"):
            logger.info(SECRET)
        with bind(session_id="s"):
            logger.info(SECRET)
        handler.close()
        assert ["user:alice", "session:s"] == [*store.of]

    def test_erased(self, an_event, public, opener):
        """What was written under a key that is gone can't be opened; what is new can."""
        store = Keys()
        forms = [
            HILTFormatter(erasable_by="user_id", key_store=store),
            HILTFormatter(erasable_by="user_id", key_store=store, encrypt_to=public()),
        ]
        open_ = Opener(opener._keys, store).open
        event = of_all(an_event)
        lines = [line_of(form, event) for form in forms]
        assert [event, event] == [open_(line) for line in lines]
        store.erase("user:alice")
        for line in lines:
            with pytest.raises(OpeningError, match="was erased") as raised:
                open_(line)
            assert "erased" == raised.value.reason
        assert [event, event] == [open_(line_of(form, event)) for form in forms]
        ids = {line["privacy"]["key_id"] for line in lines}
        assert 1 == len(ids)
        assert {store.of["user:alice"].id}.isdisjoint(ids)

    def test_both_keys(self, an_event, public, private):
        """With both options it takes the auditor's key and the person's."""
        made = line_of(
            HILTFormatter(**OPTIONS["both"] | {"encrypt_to": public()}), of_all(an_event)
        )
        for opener in (Opener([private()]), Opener([], STORE)):
            with pytest.raises(OpeningError) as raised:
                opener.open(made)
            assert "no key" == raised.value.reason

    def test_a_dictionary_finds_nothing(self, an_event):
        """No digest of a likely text, of a name or of an id is in a line."""
        words = [
            "alice",
            "alice@example.com",
            "yes",
            "no",
            "Alice Liddell",
            "user:alice",
            "conv-42",
        ]
        digests = [
            form
            for word in words
            for kind in ("md5", "sha1", "sha256", "sha512", "blake2b")
            for digest in [hashlib.new(kind, word.encode())]
            for form in (digest.hexdigest(), b64encode(digest.digest()).decode().rstrip("="))
        ]
        form = HILTFormatter(erasable_by="user_id", key_store=Keys())
        for word in words[:5]:
            fields = {
                "actor": {"type": "human", "id": "alice", "name": "Alice Liddell"},
                "content": {"text": word, "text_hash": hash_of(word)},
                "extensions": {
                    "user_id": "alice",
                    "history": {"messages": 1, "digest": hash_of(word), "system": hash_of(word)},
                    "cut": [{"field": "content.text", "bytes": 9, "sha256": hash_of(word)[7:]}],
                    "args_hash": hash_of(word),
                },
            }
            line = form.format(record_of(an_event(**fields)))
            assert not [digest for digest in digests if digest[:40] in line]
            assert not [word for word in words[:1] if word in line]


class TestShapes:
    @pytest.mark.parametrize("value", [None, True, SECRET, [SECRET], 7], ids=str)
    @pytest.mark.parametrize("part", ["content", "privacy"])
    def test_no_dict(self, an_event, options, opener, part, value):
        """What stands where a token has to go, as a filter may leave it, is there again."""
        event = an_event(**{part: value})
        made = HILTFormatter(**options)._sealing.line(encode(event), 10**6)
        assert SECRET.encode() not in made
        assert event == opener.open(msgspec.json.decode(made))

    def test_an_actor_within(self, an_event, options, opener):
        """An inner object that looks like the fields of an event is not taken for them."""
        event = an_event(content={"text": SECRET})
        inner = {"x": 1, "actor": {"type": "human", "id": "bobby"}, "action": "prompt"}
        inner["content"] = {"text": "x" * len(SECRET)}
        first = {name: event[name] for name in ("hilt_version", "event_id", "timestamp")}
        event = {**first, "provenance": {"library": inner}, **event}
        made = HILTFormatter(**options)._sealing.line(encode(event), 10**6)
        assert SECRET.encode() not in made
        assert b"alice" not in made
        assert event == opener.open(msgspec.json.decode(made))

    @pytest.mark.parametrize("event_id", [[SECRET], {"x": SECRET}], ids=str)
    def test_id_that_is_none(self, an_event, options, event_id):
        """What can't be the id of an event is not readable in its place."""
        event = an_event(event_id=event_id)
        assert SECRET.encode() not in HILTFormatter(**options)._sealing.line(encode(event), 10**6)


AT_THE_END = """
import json, sys
from hilt_logging import HILTFormatter, records, events
import logging
form = HILTFormatter(erasable_by="user_id", key_store=sys.argv[1])

class Last:
    def __del__(self):
        record = records.make(events.prompt("words", user_id="alice"), logging.getLogger("hilt"))
        print(form.format(record))

sys.modules["last"] = type("Module", (), {"last": Last()})
"""


class TestFailure:
    def test_at_the_end(self, in_child, tmp_path):
        """What is said while the interpreter ends is encrypted, too."""
        done = in_child(AT_THE_END, tmp_path / "keys.db")
        assert "" == done.stderr
        assert "text_encrypted" in json.loads(done.stdout)["content"]

    @pytest.mark.parametrize("error", [OSError(28, "full"), RuntimeError(SECRET), KeyError("x")])
    def test_no_key(self, an_event, error, public):
        """Without a key the event is written without what is protected, and counted."""
        store = Keys()
        form = HILTFormatter(erasable_by="user_id", key_store=store, encrypt_to=public())
        event = of_all(an_event)
        store.broken = error
        made = line_of(form, event)
        assert SECRET not in str(made)
        assert "alice" not in str(made)
        assert {"redaction_applied": True, "content": "failed"}.items() <= made["privacy"].items()
        assert event["event_id"] == made["event_id"]
        assert {type(error).__name__: 1} == form.redaction_failures()
        store.broken = None
        assert "text_encrypted" in line_of(form, event)["content"]

    @pytest.mark.parametrize("privacy", [None, True, [SECRET], SECRET, {"content": "x"}])
    def test_no_key_and_no_privacy(self, an_event, privacy):
        """What stands in place of the marks does not keep the event from being written."""
        store = Keys()
        store.broken = OSError(28, "full")
        sealing = sealing_of(erasable_by="user_id", key_store=store)
        made = sealing.line(encode(an_event(privacy=privacy)), 10**6)
        told = {"redaction_applied": True, "content": "failed"}
        assert told == msgspec.json.decode(made)["privacy"]
        assert SECRET.encode() not in made

    @pytest.mark.parametrize("key", [b"short", "no bytes", None, b"x" * 16])
    def test_no_real_key(self, an_event, key):
        """A key store that gives something else than a key counts as failed."""
        store = Keys()
        store.key_for("user:alice").key = key
        form = HILTFormatter(erasable_by="user_id", key_store=store)
        assert "failed" == line_of(form, of_all(an_event))["privacy"]["content"]

    def test_in_the_file(self, tmp_path, hilt):
        """The handler counts it, and the event is not lost."""
        store = Keys()
        store.broken = OSError(28, "full")
        path = tmp_path / "x.jsonl"
        handler = HILTFileHandler(path, erasable_by="user_id", key_store=store)
        hilt.addHandler(handler)
        emit(events.prompt(SECRET, user_id="alice"))
        stats = handler.stats()
        assert (1, 0, {"OSError": 1}) == (
            stats["written"],
            stats["dropped"],
            stats["redaction_failures"],
        )
        assert SECRET not in path.read_text()


class TestOpening:
    @pytest.fixture
    def made(self, an_event, public):
        return line_of(HILTFormatter(encrypt_to=public()), of_all(an_event))

    def _reason(self, opener, event):
        with pytest.raises(OpeningError) as raised:
            opener.open(event)
        assert SECRET not in str(raised.value)
        return raised.value.reason

    def test_not_encrypted(self, an_event, opener):
        """What is not encrypted is as it is."""
        event = an_event(content={"text": "x"})
        assert event is opener.open(event)

    @pytest.mark.parametrize("name", ["P-256-2", "X25519-1"])
    def test_another_key(self, made, private, name):
        """Another key opens nothing, and that is told apart from damage."""
        assert "no key" == self._reason(Opener([private(name)]), made)
        assert "no key" == self._reason(Opener(), made)

    def test_several(self, an_event, folder, private):
        """Each recipient opens it alone."""
        form = HILTFormatter(**with_files(OPTIONS["several"], folder))
        event = of_all(an_event)
        made = line_of(form, event)
        for name in ("P-256-1", "X25519-1"):
            assert event == Opener([private(name)]).open(made)
        assert "no key" == self._reason(Opener([private("P-256-2")]), made)

    def test_several_of_one_name(self, an_event, tmp_path):
        """Keys that are called the same are two keys all the same."""
        keys = [{**jwk.generate(), "kid": "auditor"} for _ in "12"]
        for number, key in enumerate(keys):
            jwk.write_new(tmp_path / f"{number}.jwk", jwk.public_of(key))
        files = [str(tmp_path / f"{number}.jwk") for number in (0, 1, 0)]
        made = line_of(HILTFormatter(encrypt_to=files), an_event(content={"text": SECRET}))
        assert 2 == len(json.loads(made["content"]["text_encrypted"])["recipients"])
        for key in keys:
            assert SECRET == Opener([jwk.JWK(key)]).open(made)["content"]["text"]
        other = {**jwk.generate(), "kid": "auditor"}
        assert "damaged" == self._reason(Opener([jwk.JWK(other)]), made)

    def test_moved(self, an_event, made, opener):
        """A token that comes from another event is told, and not shown."""
        moved = an_event(event_id="another", content=made["content"])
        assert "moved" == self._reason(opener, moved)

    def test_damaged(self, made, options, an_event, opener):
        """Whatever is changed in a token, it opens no more."""
        line = line_of(HILTFormatter(**options), of_all(an_event))
        token = line["content"]["text_encrypted"]
        step = max(1, len(token) // 60)
        reasons = set()
        for index in range(0, len(token), step):
            changed = "A" if token[index] != "A" else "B"
            content = {"text_encrypted": token[:index] + changed + token[index + 1 :]}
            try:
                opened = opener.open({**line, "content": content})
            except OpeningError as error:
                reasons.add(error.reason)
            else:  # an id of a key in a list of recipients says nothing about the text
                assert token.startswith("{")
                assert SECRET == opened["own"]
        assert {"damaged"} <= reasons <= {"damaged", "no key", "foreign"}

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "x",
            "a.b.c",
            "a.b.c.d.e",
            "{}",
            "{",
            '{"protected":1}',
            "....",
            "é.é.é.é.é",
            "{" * 9999,
        ],
    )
    def test_no_token(self, an_event, opener, token):
        """What is no token is damaged."""
        assert "damaged" == self._reason(opener, an_event(content={"text_encrypted": token}))

    def test_foreign(self, an_event, opener, private):
        """A token that others made of something else is told."""
        jwe = pytest.importorskip("jwcrypto.jwe")
        key = pytest.importorskip("jwcrypto.jwk").JWK(**private().public())
        for algorithm, text in (("ECDH-ES", "{}"), ("ECDH-ES+A256KW", "[1]")):
            header = {"alg": algorithm, "enc": "A256GCM", "kid": private().kid}
            token = jwe.JWE(text.encode(), json.dumps(header), recipient=key)
            event = an_event(content={"text_encrypted": token.serialize(compact=True)})
            assert "foreign" == self._reason(opener, event)

    @pytest.mark.parametrize("key", [b"short", "no bytes"])
    def test_a_key_store_of_no_keys(self, an_event, key):
        """What is no key opens nothing, and is told as any other failure."""
        store = Keys()
        made = line_of(HILTFormatter(erasable_by="user_id", key_store=store), of_all(an_event))
        store.key_for("user:alice").key = key
        assert "no key" == self._reason(Opener([], store), made)

    def test_a_key_store_that_fails(self, an_event, options, opener):
        """Its own error is told."""
        store = Keys()
        made = line_of(HILTFormatter(erasable_by="user_id", key_store=store), of_all(an_event))
        store.key_of = None
        with pytest.raises(TypeError):
            Opener([], store).open(made)


class TestOtherImplementations:
    def _plain(self, made, event):
        told = json.loads(made)
        assert (event["event_id"], SECRET) == (told["event_id"], told["parts"]["content"]["text"])

    @pytest.mark.parametrize("name", ["P-256-1", "X25519-1"])
    @pytest.mark.parametrize("case", ["alone", "several"])
    def test_jwcrypto(self, an_event, public, private, name, case):
        """jwcrypto opens a token, of one recipient or several."""
        jwe, keys = pytest.importorskip("jwcrypto.jwe"), pytest.importorskip("jwcrypto.jwk")
        to = public(name) if case == "alone" else [public(), public("X25519-1"), public("P-256-2")]
        event = of_all(an_event)
        made = line_of(HILTFormatter(encrypt_to=to), event)
        token = jwe.JWE()
        token.deserialize(made["content"]["text_encrypted"], keys.JWK(**private(name).fields))
        self._plain(token.payload, event)

    def test_jwcrypto_both(self, an_event, public, private):
        """jwcrypto opens a token in a token."""
        jwe, keys = pytest.importorskip("jwcrypto.jwe"), pytest.importorskip("jwcrypto.jwk")
        event, store = of_all(an_event), Keys()
        form = HILTFormatter(encrypt_to=public(), erasable_by="user_id", key_store=store)
        outer, inner = jwe.JWE(), jwe.JWE()
        made = line_of(form, event)
        outer.deserialize(made["content"]["text_encrypted"], keys.JWK(**private().fields))
        assert "JWE" == json.loads(outer.objects["protected"])["cty"]
        held = jwk.to_base64(store.of["user:alice"].key)
        inner.deserialize(outer.payload.decode(), keys.JWK(kty="oct", k=held))
        self._plain(inner.payload, event)

    @pytest.mark.parametrize("name", ["P-256-1", "X25519-1"])
    def test_of_jwcrypto(self, an_event, private, name):
        """What jwcrypto makes opens here."""
        jwe, keys = pytest.importorskip("jwcrypto.jwe"), pytest.importorskip("jwcrypto.jwk")
        header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}
        event = an_event()
        text = json.dumps({"event_id": event["event_id"], "parts": {"content": {"text": SECRET}}})
        for compact in (True, False):
            key = keys.JWK(**private(name).public())
            token = jwe.JWE(text.encode(), json.dumps(header), recipient=key)
            content = {"text_encrypted": token.serialize(compact=compact)}
            opened = Opener([private(name)]).open({**event, "content": content})
            assert {**event, "content": {"text": SECRET}} == opened

    def test_joserfc(self, an_event, public, private):
        """joserfc opens a token."""
        joserfc = pytest.importorskip("joserfc.jwe")
        keys = pytest.importorskip("joserfc.jwk")
        event = of_all(an_event)
        made = line_of(HILTFormatter(encrypt_to=public()), event)
        registry = joserfc.JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])
        fields = {name: private().fields[name] for name in ("kty", "crv", "x", "y", "d")}
        key = keys.ECKey.import_key(fields)
        token = joserfc.decrypt_compact(made["content"]["text_encrypted"], key, registry=registry)
        self._plain(token.plaintext, event)

    @pytest.mark.parametrize("several", [False, True])
    def test_debian(self, an_event, public, folder, tmp_path, several):
        """Debian's jose opens a token, of one recipient or several."""
        if shutil.which("jose") is None:
            pytest.skip("jose is not installed")
        event = of_all(an_event)
        to = [public(), public("P-256-2")] if several else public()
        made = line_of(HILTFormatter(encrypt_to=to), event)
        (tmp_path / "token").write_text(made["content"]["text_encrypted"])
        key = folder / "P-256-1.key.jwk"
        done = subprocess.run(
            ["jose", "jwe", "dec", "-i", tmp_path / "token", "-k", key], capture_output=True
        )
        assert 0 == done.returncode, done.stderr
        self._plain(done.stdout, event)


class TestTogether:
    def test_with_other_options(self, an_event, public, opener):
        """What other options replace is replaced before; what they drop is not there."""
        form = HILTFormatter(
            encrypt_to=public(),
            redact="email",
            fields=["content.text", "actor.id", "provenance"],
            pseudonymize="session_id",
            privacy_key=KEY,
        )
        event = an_event(content={"text": "to a@example.com", "own": SECRET})
        made = line_of(form, event)
        opened = opener.open(made)
        assert {"text": "to [EMAIL]"} == opened["content"]
        assert opened["session_id"].startswith("p-")
        assert "alice" == opened["actor"]["id"]

    @pytest.mark.parametrize("content", ["none", "hash"])
    def test_without_content(self, an_event, options, opener, content):
        """Without content nothing is left to encrypt but who it was about."""
        event = of_all(an_event, actor={"type": "human", "id": "alice"})
        event["content"] = {"text": SECRET}
        made = line_of(HILTFormatter(content=content, **options), event)
        opened = opener.open(made)
        assert SECRET not in str(opened)
        assert "alice" == opened["extensions"]["user_id"]
        assert "alice" not in str(made)

    def test_others_have_the_whole(self, hilt, kept, tmp_path, public):
        """The record stays whole for other handlers."""
        handler = HILTFileHandler(tmp_path / "x.jsonl", encrypt_to=public())
        hilt.handlers.insert(0, handler)
        emit(events.prompt(SECRET, user_id="alice"))
        assert (SECRET, "alice") == (
            kept.events[0]["content"]["text"],
            kept.events[0]["actor"]["id"],
        )
        assert SECRET not in (tmp_path / "x.jsonl").read_text()

    def test_threads(self, tmp_path, hilt, lines, options, opener):
        """Threads and a background handler: each line opens, and no IV is used twice."""
        path = tmp_path / "x.jsonl"
        handler = HILTFileHandler(path, **options)
        background = BackgroundHandler(HILTFileHandler(path, **options))
        hilt.handlers[:] = [handler]
        logging.getLogger("hilt.other").handlers[:] = [background]
        logging.getLogger("hilt.other").propagate = False

        def work(number):
            for index in range(25):
                name = "hilt" if index % 2 else "hilt.other"
                emit(events.prompt(f"{number}-{index}", user_id=f"u{number}"), logger=name)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        background.close()
        found = lines(path)
        logging.getLogger("hilt.other").propagate = True
        said = {opener.open(event)["content"]["text"] for event in found}
        assert {f"{n}-{i}" for n in range(4) for i in range(25)} == said
        tokens = [event["content"]["text_encrypted"] for event in found]
        ivs = [
            json.loads(token)["iv"] if token[0] == "{" else token.split(".")[2] for token in tokens
        ]
        assert 100 == len(set(ivs))

    def test_fork(self, tmp_path, hilt, lines, public, opener, forked):
        """A forked child agrees on a key of its own, and has names of its own."""
        path = tmp_path / "x.jsonl"
        hilt.addHandler(HILTFileHandler(path, encrypt_to=public()))
        emit(events.prompt("1", user_id="alice"))
        assert 0 == forked.run(lambda: emit(events.prompt("2", user_id="alice")))
        emit(events.prompt("3", user_id="alice"))
        found = lines(path)
        assert ["1", "2", "3"] == [opener.open(event)["content"]["text"] for event in found]
        heads = [event["content"]["text_encrypted"].split(".")[0] for event in found]
        assert (True, False) == (heads[0] == heads[2], heads[0] == heads[1])
        people = [event["actor"]["id"] for event in found]
        assert (True, False) == (people[0] == people[2], people[0] == people[1])

    def test_periods(self, an_event, public, monkeypatch):
        """After an hour, or a million events, a new key is agreed on."""
        from hilt_logging.safeguards import encryption

        form = HILTFormatter(encrypt_to=public())

        def head():
            return line_of(form, of_all(an_event))["content"]["text_encrypted"].split(".")[0]

        heads = [head(), head()]
        assert 1 == len(set(heads))
        monkeypatch.setattr(encryption, "_MOST_EVENTS", 2)
        heads.append(head())
        monkeypatch.setattr(encryption, "_MOST_EVENTS", 2**20)
        form._sealing._period.until = 0
        assert 3 == len({*heads, head()})


CONFIG = """
version: 1
disable_existing_loggers: false
handlers:
  file:
    class: hilt_logging.HILTFileHandler
    filename: {path}
    encrypt_to: [ext://{module}.PATH, {other}]
    erasable_by: session
    key_store: ext://{module}.STORE
loggers:
  hilt: {{level: INFO, handlers: [file], propagate: false}}
"""


class TestSetUp:
    def test_yaml(self, tmp_path, public, opener, lines, monkeypatch):
        """A YAML file sets all of it; `ext://` is resolved in lists and for the key store."""
        yaml = pytest.importorskip("yaml")
        import sys
        import types

        module = types.ModuleType("some_config")
        module.PATH, module.STORE = public(), STORE
        monkeypatch.setitem(sys.modules, "some_config", module)
        path = tmp_path / "x.jsonl"
        text = CONFIG.format(path=path, module="some_config", other=public("X25519-2"))
        logging.config.dictConfig(yaml.safe_load(text))
        emit(events.prompt(SECRET, session_id="s1"))
        (event,) = lines(path)
        assert "s1" == event["session_id"]
        assert SECRET == opener.open(event)["content"]["text"]

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"encrypt_to": "{}/no.jwk"}, r"encrypt_to: '.*/no\.jwk'\. It can't be read: No such"),
            ({"encrypt_to": []}, r"encrypt_to: \[\]\. Must be the file of a public key"),
            ({"encrypt_to": ""}, "encrypt_to: ''. Must be the name of a file"),
            ({"encrypt_to": ["{}/P-256-1.pub.jwk", None]}, "encrypt_to: None. Must be the name"),
            ({"encrypt_to": "{}/P-256-1.key.jwk"}, r"encrypt_to: .*key\.jwk.*private.*public one"),
            ({"encrypt_to": "{}/signs.pub.jwk"}, r"encrypt_to: .*signs\.pub.*P-256 or X25519"),
            ({"erasable_by": "user_id"}, "erasable_by: 'user_id'. Needs key_store"),
            ({"key_store": "{}/a.db"}, r"key_store: '.*a\.db'\. Needs erasable_by"),
            ({"erasable_by": "tenant", "key_store": STORE}, "one of: user_id, actor, session"),
            ({"erasable_by": ["user_id"], "key_store": STORE}, "one of: user_id, actor, session"),
            ({"erasable_by": "actor", "key_store": 7}, "key_store: 7. Must be the path of a file"),
            (
                {"encrypt_to": "{}/P-256-1.pub.jwk", "max_line_bytes": 2000},
                "max_line_bytes: 2000. Must be a whole number from 4096",
            ),
            (
                {"encrypt_to": "{}/P-256-1.pub.jwk", "public_fields": "a..b"},
                r"public_fields: 'a\.\.b'. Must be the path",
            ),
            (
                {"encrypt_to": "{}/P-256-1.pub.jwk", "privacy_key": "env:NO_SUCH_NAME"},
                "privacy_key: 'env:NO_SUCH_NAME'. The environment has no such variable",
            ),
        ],
    )
    def test_wrong(self, tmp_path, folder, options, told):
        """What is wrong is an error at set-up that tells option, value and remedy; no log is made."""
        if not (folder / "signs.pub.jwk").exists():
            jwk.write_new(folder / "signs.pub.jwk", jwk.public_of(jwk.generate("Ed25519")))

        def filled(value):
            if isinstance(value, list):
                return [filled(item) for item in value]
            return value.replace("{}", str(folder)) if isinstance(value, str) else value

        path = tmp_path / "x.jsonl"
        path.write_bytes(b"{}\n")
        given = {name: filled(value) for name, value in options.items()}
        with pytest.raises(ConfigurationError, match=told):
            HILTFileHandler(path, **given)
        assert [(path, b"{}\n")] == [(each, each.read_bytes()) for each in tmp_path.iterdir()]

    def test_nothing_is_set(self):
        """Without options there is nothing to do."""
        assert sealing_of() is None

    def test_nothing_is_loaded(self, in_child):
        """Who does not encrypt loads nothing of it."""
        done = in_child(
            "import sys, hilt_logging; hilt_logging.HILTFormatter(content='none')\n"
            "print([name for name in sys.modules if 'crypto' in name or 'encrypt' in name])"
        )
        assert ("[]\n", "") == (done.stdout, done.stderr)


@functools.cache
def _sealing(case, folder):
    return HILTFormatter(**with_files(OPTIONS[case], folder))._sealing


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NAMES = st.sampled_from(
    [
        "user_id",
        "tool",
        "name",
        "arguments",
        "error",
        "type",
        "message",
        "history",
        "digest",
        "messages",
        "reply_to",
        "notice",
        "tenant",
        "documents",
        "é",
        "params",
        "tokens",
        "text",
        "text_encrypted",
        "key_id",
        "consent",
        "id",
        "did",
        "content",
        "note",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=8,
)
_PARTS = st.dictionaries(_NAMES, _VALUES, max_size=5)
_EVENTS = st.fixed_dictionaries(
    {
        "hilt_version": st.just("1.0.0"),
        "event_id": st.uuids().map(str),
        "timestamp": st.just("2026-01-02T03:04:05.678901Z"),
        "session_id": _TEXTS.filter(bool),
        "actor": st.fixed_dictionaries(
            {"type": st.sampled_from(["human", "agent"]), "id": _TEXTS.filter(bool)},
            optional={"name": _TEXTS, "did": _TEXTS, "metadata": _PARTS},
        ),
        "action": st.sampled_from(["prompt", "completion", "completion_chunk"]),
    },
    optional={
        "content": _PARTS | st.fixed_dictionaries({"text": _TEXTS}),
        "provenance": _PARTS | st.fixed_dictionaries({"model": _TEXTS, "logger": _TEXTS}),
        "metrics": _PARTS | st.fixed_dictionaries({"latency_ms": st.integers(0, 9)}),
        "privacy": _PARTS,
        "extensions": _PARTS,
        "own": _VALUES,
        "integrity": _PARTS,
    },
)


_BARE = {
    "hilt_version": "1.0.0",
    "event_id": "e",
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "session_id": "s",
    "actor": {"type": "human", "id": "alice"},
    "action": "prompt",
}


def _leaves(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value


def _in_order(value):
    """A value as pairs, so that two are equal only with the same order of fields."""
    if isinstance(value, dict):
        return [(name, _in_order(item)) for name, item in value.items()]
    return [_in_order(item) for item in value] if isinstance(value, list) else value


class TestAnyEvent:
    @given(event=_EVENTS)
    @settings(max_examples=200, deadline=None)
    def test_divided_and_joined(self, event):
        """Both halves together are the event, field by field in the same order."""
        public, protected, order = divided(event, known_with([]))
        assert _in_order(event) == _in_order(joined(public, protected, order))

    @given(event=_EVENTS)
    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @example(event={**_BARE, "privacy": {"user_id": None, "key_id": None}})
    @example(event={**_BARE, "privacy": {"key_id": True, "content": "x"}, "content": {}})
    @pytest.mark.parametrize("case", ["encrypted", "several", "both"])
    def test_nothing_is_in_the_line(self, event, case, folder, opener):
        """No text that is protected occurs in the line, and opening gives the event back exactly."""
        line = encode(event)
        sealing = _sealing(case, folder)
        made = sealing.line(line, 10**6)
        assert {} == sealing.failures()
        assert _in_order(event) == _in_order(opener.open(msgspec.json.decode(made)))
        shown = withheld(event, KNOWN, "none", None)
        people = [
            shown["actor"].pop(name, None)
            for name in ("id", "name", "did")
            if event["actor"]["type"] == "human"
        ]
        if isinstance(shown.get("extensions"), dict):
            people.append(shown["extensions"].pop("user_id", None))
        public = set(_leaves(shown))
        told = msgspec.json.decode(made)
        found = set(_leaves(told))
        for text in {*_leaves(event), *filter(None, people)}:
            if isinstance(text, str) and len(text) >= 8 and text not in public:
                assert text not in found
                assert not any(text in each for each in found - public)

    @given(event=_EVENTS)
    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @example(
        event={
            **_BARE,
            "session_id": 's","actor":{"type":"agent","id":"x"},"action":"prompt","content":{',
            "actor": {"type": "human", "id": '","action":"x'},
            "content": {"text": ',"content":{"a":1},"extensions":{'},
            "extensions": {"user_id": '"},"extensions":{"x":"', "tool": {"name": "n", "x": "y"}},
        }
    )
    @pytest.mark.parametrize("case", ["encrypted", "both"])
    def test_two_ways(self, event, case, folder, opener):
        """Where the short way is taken, it has the result of the long one."""
        event = {name: event[name] for name in FIELDS[:-1] if name in event}
        line, sealing = encode(event), _sealing(case, folder)
        quick = quick_line(line, sealing._quick, sealing._means)
        if quick is None:
            return
        slow = sealing._long_way(line, sealing._means)
        assert without_token(slow) == without_token(quick)
        assert _in_order(event) == _in_order(opener.open(msgspec.json.decode(quick)))

    @given(event=_EVENTS)
    @settings(max_examples=150, deadline=None)
    def test_two_ways_without_content(self, event):
        """So it is where all that is protected is left out."""
        event = {name: event[name] for name in FIELDS[:-1] if name in event}
        rules = rules_of(content="none")
        quick = rules.line(encode(event))
        if quick is not None:
            assert encode(rules.applied(event)) == quick
