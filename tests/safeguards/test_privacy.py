"""What may be read of an event, per destination and everywhere."""

from __future__ import annotations

import copy
import json
import logging
import logging.config
import logging.handlers
import pickle
import queue
import sys

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, HILTFormatter, bind, emit, events, validate_event
from hilt_logging.config import check_config, set_privacy
from hilt_logging.errors import ConfigurationError, MissingDependencyError
from hilt_logging.events import encode, tool_call
from hilt_logging.safeguards import privacy
from hilt_logging.safeguards.privacy import OPTIONS, rules_of


KEY = b"a key for tests, 32 bytes long.."
SECRET = "canary@secret.example"


@pytest.fixture
def everywhere():
    """Sets the global options, and takes them back."""
    yield set_privacy
    set_privacy()


@pytest.fixture
def an_event_of_all(an_event):
    """Makes an event that carries a word wherever an event can."""

    def make(word):
        return an_event(
            actor={"type": "human", "id": "alice", "metadata": {"note": word}},
            content={
                "text": f"say {word} now",
                "media": [{"type": "image", "uri": f"https://x.test/{word}"}],
                "messages": [{"role": "user", "parts": [{"type": "text", "content": word}]}],
                "own": word,
            },
            provenance={
                "provider": "openai",
                "model": "gpt-4o",
                "logger": "hilt",
                "params": {"temperature": 0.5, "stop": [word], "reasoning_effort": "low"},
                "metadata": {"k": word},
            },
            metrics={"latency_ms": 12, "tokens": {"prompt": 3}},
            extensions={
                "user_id": "alice",
                "outcome": "completed",
                "finish_reason": "stop",
                "tool": {
                    "name": "find",
                    "call_id": "c1",
                    "arguments": {word: f'{{"q": "{word}"}}'},
                },
                "documents": [{"id": "d", "text": word}],
                "error": {"type": "ValueError", "message": word},
                "refusal": word,
                "chain": {"phase": "start", "inputs": {"x": word}},
                "custom": {"name": "n", "data": word},
                "agent": {"phase": "action", "input": word},
                "log": {"message": word, "exception": {"type": "E", "text": word}},
                "invalid_event": {"content": word},
                "tenant": word,
            },
            further=word,
        )

    return make


def applied(event, **options):
    """The event as a formatter writes it; it is valid, and what it was made of is unchanged."""
    before = copy.deepcopy(event)
    rules = rules_of(**options)
    out = rules.applied(event)
    assert before == event
    assert [] == validate_event(out)
    assert {} == rules.failures()
    return out


class TestContent:
    @pytest.mark.parametrize("content", ["none", "hash"])
    def test_nothing_that_was_said(self, an_event_of_all, content):
        """What was said is nowhere, wherever it stood; what happened is all there."""
        out = applied(an_event_of_all("sesame"), content=content)
        assert "sesame" not in json.dumps(out)
        assert {"redaction_applied": True, "content": content} == out["privacy"]
        assert {"latency_ms": 12, "tokens": {"prompt": 3}} == out["metrics"]
        assert {"temperature": 0.5, "reasoning_effort": "low"}.items() <= out["provenance"][
            "params"
        ].items()
        extensions = out["extensions"]
        assert ("alice", "stop") == (extensions["user_id"], extensions["finish_reason"])
        assert ("find", "c1") == (extensions["tool"]["name"], extensions["tool"]["call_id"])
        assert "ValueError" == extensions["error"]["type"]

    @pytest.mark.parametrize(
        "options", [{"content": "none"}, {"content": "hash"}, {"redact": "email"}]
    )
    def test_where_a_word_is_expected(self, an_event, options):
        """A list or dict in place of an id or a word may hold anything, and so may names of fields."""
        inner = {"x": [SECRET]}
        event = an_event(
            provenance={"provider": inner, "logger": [SECRET], "params": {"speed": inner}},
            metrics={"latency_ms": 1, "own": SECRET},
            extensions={
                "outcome": inner,
                "user_id": [SECRET],
                SECRET: True,
                f"{SECRET}!": "x",
                "tool": {"call_id": inner},
                "usage": {SECRET: 1},
            },
        )
        out = applied(event, **options)
        assert SECRET not in json.dumps(out)
        assert 1 == out["metrics"]["latency_ms"]

    def test_none_leaves_no_trace_of_parts(self, an_event_of_all):
        """With `none` neither digests nor names of the fields of others are left."""
        out = applied(an_event_of_all("sesame"), content="none")
        assert "content" not in out
        assert "further" not in out
        assert "sha256" not in json.dumps(out)

    def test_hash(self, an_event_of_all):
        """With `hash` each part has its digest, which whoever has the content can verify."""
        event = an_event_of_all("sesame")
        out = applied(event, content="hash")
        assert hilt_logging.verify_hash("say sesame now", out["content"]["text_hash"])
        tool = out["extensions"]["tool"]
        assert hilt_logging.verify_hash(
            event["extensions"]["tool"]["arguments"], tool["arguments_hash"]
        )

    def test_hash_with_a_key(self, an_event):
        """With a key no digest is left that can be guessed."""
        event = an_event(content={"text": "hi", "text_hash": hilt_logging.hash_content("hi")})
        out = applied(event, content="hash", privacy_key=KEY)
        assert {"text_hash": hilt_logging.hash_content("hi", KEY)} == out["content"]

    def test_public_fields(self, an_event):
        """A field of one's own is left where it is named."""
        event = an_event(extensions={"tenant": "acme", "note": "x", "shop": {"no": 1, "say": "y"}})
        out = applied(
            event, content="none", public_fields=["extensions.tenant", "extensions.shop.no"]
        )
        assert {"tenant": "acme", "shop": {"no": 1}} == out["extensions"]

    @pytest.mark.parametrize(
        "event",
        [
            events.prompt(SECRET, user_id="alice"),
            events.prompt(SECRET, session_id="Gespräch"),
            events.completion(SECRET, extensions={"user_id": 'a"b', "note": SECRET, "own": 1}),
            events.completion(SECRET, extensions={"history": {"messages": 2, "own": SECRET}}),
            events.tool_call("search", {"q": SECRET}, call_id="c", extensions={"user_id": "a"}),
            events.feedback(4, SECRET, user_id="Zoë"),
            events.system(extensions={"outcome": "completed", "notice": {"kind": "loss"}}),
        ],
        ids=lambda event: event.action,
    )
    def test_the_long_and_the_short_way(self, event):
        """An event that is made here goes the short way, with the result of the long one."""
        line, rules = event.to_json().encode(), rules_of(content="none")
        assert encode(rules.applied(json.loads(line))) == rules.line(line)
        assert SECRET.encode() not in rules.line(line)

    def test_nothing_said(self, an_event):
        """An event without content stays as it is."""
        event = an_event(metrics={"cost_usd": 0.1}, extensions={"user_id": "alice"})
        assert event == applied(event, content="none")

    @pytest.mark.parametrize("content", ["none", "hash"])
    def test_twice(self, an_event_of_all, content):
        """What was withheld once stays as it is the second time."""
        once = applied(an_event_of_all("sesame"), content=content)
        assert once == applied(once, content=content)

    def test_level_stays(self, an_event):
        """An error without its message is still an error."""
        out = applied(an_event(extensions={"error": {"message": "x"}}), content="none")
        assert logging.ERROR == hilt_logging.records.level_of(out)

    def test_digests_of_the_conversation(self, an_event):
        """The digest of earlier messages would confirm a guess of them, and goes with the content."""
        history = {"messages": 2, "digest": f"sha256:{'0' * 64}", "system": f"sha256:{'1' * 64}"}
        for options in ({"content": "none"}, {"redact": "email"}):
            out = applied(an_event(extensions={"history": history}), **options)
            assert {"messages": 2} == out["extensions"]["history"]


class TestRedact:
    def test_everywhere(self, an_event_of_all):
        """What is found is replaced in every text, in names of fields and in JSON within texts."""
        out = applied(an_event_of_all(SECRET), redact=["email"])
        assert SECRET not in json.dumps(out)
        assert "say [EMAIL] now" == out["content"]["text"]
        assert {"[EMAIL]": '{"q":"[EMAIL]"}'} == out["extensions"]["tool"]["arguments"]
        assert {"pii_detected": ["email"], "redaction_applied": True} == out["privacy"]

    def test_order_of_fields(self, an_event):
        """`privacy` stands where the format has it."""
        event = an_event(content={"text": SECRET}, extensions={"x": 1})
        assert ["privacy", "extensions"] == list(applied(event, redact="email"))[-2:]

    def test_nothing_found(self, an_event):
        """An event in which nothing is found stays as it is."""
        event = an_event(content={"text": "hello"}, extensions={"n": 12345678901})
        assert event == applied(event, redact="core")

    def test_words_about_secrets(self, an_event):
        """Who speaks of cookies, sessions and passwords has told none; nor do such names of fields."""
        said = "Accept the Cookie banner. Session auth: the password policy. Cookies: 250 g flour"
        arguments = {"cookie": "chocolate chip", "session": "morning", "auth": "none"}
        event = an_event(content={"text": said}, extensions={"tool": {"arguments": arguments}})
        assert event == applied(event, redact="all")

    def test_ids_stay(self, an_event):
        """Ids are not searched: pseudonyms are for them."""
        event = an_event(actor={"type": "human", "id": SECRET}, extensions={"user_id": SECRET})
        assert event == applied(event, redact="email")

    def test_detect_only(self, an_event):
        """What is found is told, and nothing is changed."""
        event = an_event(content={"text": f"{SECRET} 4111 1111 1111 1111"})
        out = applied(event, redact="core", detect_only=True)
        assert event["content"] == out["content"]
        found = {"pii_detected": ["credit_card", "email"], "redaction_applied": False}
        assert found == out["privacy"]

    def test_adds_to_what_is_known(self, an_event):
        """Kinds that were found before are kept, and consent is."""
        known = {"pii_detected": ["name"], "consent": {"given": True}}
        out = applied(an_event(content={"text": SECRET}, privacy=known), redact="email")
        assert {
            "pii_detected": ["email", "name"],
            "consent": {"given": True},
            "redaction_applied": True,
        } == out["privacy"]

    def test_token(self, an_event):
        """The same value has the same token however it is written; another key, another token."""

        def token(text, key=KEY):
            event = an_event(content={"text": text})
            options = {"redact": "core", "redact_with": "token", "privacy_key": key}
            return applied(event, **options)["content"]["text"]

        assert token("4111 1111 1111 1111") == token("4111111111111111")
        assert token("4111111111111111") != token("5555555555554444")
        assert token("4111111111111111") != token("4111111111111111", KEY[::-1])
        assert token("4111111111111111").startswith("[CREDIT_CARD:")

    def test_hash(self, an_event):
        """A value can be replaced by its digest."""
        event = an_event(content={"text": SECRET})
        out = applied(event, redact="email", redact_with="hash", privacy_key=KEY)
        assert f"[EMAIL:{hilt_logging.hash_content(SECRET, KEY)}]" == out["content"]["text"]

    @pytest.mark.parametrize("how", ["label", "token", "hash"])
    def test_twice(self, an_event_of_all, how):
        """What was replaced once is not replaced again."""
        options = {"redact": "core", "redact_with": how, "privacy_key": KEY}
        text = f"{SECRET} password=hunter2 4111111111111111 DE89370400440532013000"
        once = applied(an_event_of_all(text), **options)
        assert once == applied(once, **options)

    def test_own(self, an_event):
        """Regular expressions have names, and functions tell kinds."""
        own = [
            {"badge": r"B-\d{4}", "room": "room (?P<value>[0-9]+)"},
            lambda text: [(0, 2, "two")],
        ]
        event = an_event(content={"text": "my B-1234 is in room 77"})
        out = applied(event, redact=own)
        assert "[TWO] [BADGE] is in room [ROOM]" == out["content"]["text"]
        assert {"badge", "room", "two"} == set(out["privacy"]["pii_detected"])

    def test_names_of_fields_tell(self, an_event):
        """What stands in a field that is called password is one, whatever it looks like."""
        arguments = {"password": "abc", "apiKey": "0123456789abcdef", "token_count": "12 pieces"}
        event = an_event(extensions={"tool": {"name": "login", "arguments": arguments}})
        out = applied(event, redact="secrets")
        assert {
            "password": "[PASSWORD]",
            "apiKey": "[PASSWORD]",
            "token_count": "12 pieces",
        } == out["extensions"]["tool"]["arguments"]

    def test_number(self, an_event):
        """The number of a card is one without quotation marks, too."""
        event = an_event(extensions={"tool": {"arguments": {"card": 4111111111111111, "n": 3}}})
        arguments = applied(event, redact="credit_card")["extensions"]["tool"]["arguments"]
        assert {"card": "[CREDIT_CARD]", "n": 3} == arguments

    def test_two_names_alike(self, an_event):
        """Two names of fields that become one are both kept."""
        event = an_event(extensions={"documents": [{"a@b.example": 1, "c@d.example": 2}]})
        out = applied(event, redact="email")
        assert [{"[EMAIL]": 1, "[EMAIL]#2": 2}] == out["extensions"]["documents"]

    def test_json_in_a_text(self, an_event):
        """JSON in a text is read: what is written with escapes is found, and it stays JSON."""
        text = json.dumps({"to": "canary\u0040secret.example", "n": [1, {"pw": "x\nhunter2"}]})
        text = text.replace("@", "\\u0040")
        out = applied(an_event(content={"text": text}), redact="email")
        assert {"to": "[EMAIL]", "n": [1, {"pw": "x\nhunter2"}]} == json.loads(
            out["content"]["text"]
        )

    def test_overlapping(self, an_event):
        """Where two detectors find places that overlap, all of both is replaced."""
        both = [lambda text: [(0, 5, "left")], lambda text: [(3, 9, "right")]]
        assert (
            "[RIGHT]9"
            == applied(an_event(content={"text": "0123456789"}), redact=both)["content"]["text"]
        )

    def test_chunks(self, an_event):
        """The pieces of a stream are withheld, as half a number is none; the completion has all."""
        event = an_event(action="completion_chunk", content={"text": "4111 1111"})
        out = applied(event, redact="core")
        assert "content" not in out
        assert {"redaction_applied": True} == out["privacy"]
        assert event == applied(event, redact="core", detect_only=True)

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda text: 1 / 0,
            lambda text: [(0, 99, "x")],
            lambda text: [(2, 1, "x")],
            lambda text: [(0, 1, None)],
            lambda text: None,
            lambda text: [("0", "1", "x")],
        ],
    )
    def test_a_detector_that_fails(self, an_event, wrong):
        """A text that could not be searched is replaced as a whole, and counted."""
        rules = rules_of(redact=[wrong])
        out = rules.applied(an_event(content={"text": "secret"}))
        assert "[REDACTION_FAILED]" == out["content"]["text"]
        assert ["unknown"] == out["privacy"]["pii_detected"]
        assert 1 == sum(rules.failures().values())

    def test_what_else_fails(self, an_event, monkeypatch):
        """An event that can't be gone through is reduced to that there was one."""
        rules = rules_of(redact="email", pseudonymize="session_id", privacy_key=KEY)
        monkeypatch.setattr(privacy, "without_digests", lambda *args: 1 / 0)
        out = rules.applied(an_event(content={"text": "x"}, extensions={"y": 1}))
        assert [] == validate_event(out)
        assert {"redaction_applied": True, "content": "failed"} == out["privacy"]
        assert {"content", "extensions"}.isdisjoint(out)
        assert "[REDACTION_FAILED]" == out["session_id"]
        assert {"ZeroDivisionError": 1} == rules.failures()

    def test_deep(self, an_event):
        """A value as deep as an event may be is searched to its end."""
        value = SECRET
        for _ in range(60):
            value = [value]
        out = applied(an_event(extensions={"x": value}), redact="email")
        assert SECRET not in json.dumps(out)


class TestFields:
    def test_keep(self, an_event):
        """Only what is named is kept, and what every event needs."""
        event = an_event(
            content={"text": "x", "media": []}, metrics={"latency_ms": 1}, extensions={"a": 1}
        )
        out = applied(event, fields=["content.text", "metrics"])
        assert {"text": "x"} == out["content"]
        assert {"latency_ms": 1} == out["metrics"]
        assert "extensions" not in out

    def test_drop(self, an_event):
        """What is named with a minus sign is dropped, in each item of a list too."""
        event = an_event(
            content={"messages": [{"role": "user", "parts": []}]}, extensions={"a": 1, "b": 2}
        )
        out = applied(event, fields=["-content.messages.parts", "-extensions.b"])
        assert [{"role": "user"}] == out["content"]["messages"]
        assert {"a": 1} == out["extensions"]


class TestPseudonymize:
    def test_person(self, an_event):
        """A person has one name wherever the id stands, the same in every event."""
        event = an_event(
            actor={"type": "human", "id": "alice", "name": "Alice A."},
            extensions={"user_id": "alice"},
        )
        out = applied(event, pseudonymize=["actor.id"], privacy_key=KEY)
        assert "lice" not in json.dumps(out)
        assert out["actor"]["id"] == out["extensions"]["user_id"] != out["actor"]["name"]
        assert out == applied(event, pseudonymize="user_id", privacy_key=KEY)
        assert out == applied(out, pseudonymize="user_id", privacy_key=KEY)

    def test_session(self, an_event):
        """Conversations keep apart, and stay together."""
        names = [
            applied(an_event(session_id=each), pseudonymize="session_id", privacy_key=KEY)[
                "session_id"
            ]
            for each in ("a", "b", "a")
        ]
        assert names[0] == names[2] != names[1]

    def test_other_key(self, an_event):
        """A name that was made with another key is replaced as any id is."""
        once = applied(an_event(), pseudonymize="session_id", privacy_key=KEY)
        twice = applied(once, pseudonymize="session_id", privacy_key=KEY[::-1])
        assert once["session_id"] != twice["session_id"]

    def test_no_text(self, an_event):
        """An id that is no text gets a name as well."""
        out = applied(an_event(extensions={"no": 7}), pseudonymize="extensions.no", privacy_key=KEY)
        assert out["extensions"]["no"].startswith("p-")


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("content", "some"),
            ("content", 1),
            ("redact", "emails"),
            ("redact", ["email", 3]),
            ("redact", "ext://x.y"),
            ("redact", {"badge": "("}),
            ("redact", {"badge": ""}),
            ("redact", {"a badge": "x"}),
            ("redact", {"badge": b"x"}),
            ("redact_with", "stars"),
            ("redact_with", "token"),
            ("detect_only", "yes"),
            ("detect_only", True),
            ("phone_regions", ["US"]),
            ("fields", [".x"]),
            ("fields", ["-session_id"]),
            ("fields", [3]),
            ("public_fields", [""]),
            ("pseudonymize", "actor.id"),
            ("pseudonymize", "action"),
            ("privacy_key", "secret-in-the-config"),
            ("privacy_key", b"short"),
            ("privacy_key", "env:HILT_TEST_NOT_SET"),
            ("privacy_key", "file:/nowhere/at/all"),
            ("shared_key_file", 1),
        ],
    )
    def test_wrong(self, option, value):
        """A wrong option is told when the formatter is made, and no key in the message."""
        with pytest.raises(ConfigurationError) as told:
            HILTFormatter(**{option: value})
        assert option.replace("detect_only", "") in str(told.value)
        assert "secret-in-the-config" not in str(told.value)

    def test_region(self):
        """A country that is none is an error that shows how to write one."""
        pytest.importorskip("phonenumbers")
        with pytest.raises(ConfigurationError, match="two capital letters"):
            HILTFormatter(redact="phone", phone_regions=["usa"])

    @pytest.mark.parametrize(
        ("kind", "module"), [("phone", "phonenumbers"), ("national_id", "stdnum")]
    )
    def test_extra(self, kind, module, monkeypatch):
        """A detector whose package is missing is an error that names the extra."""
        for name in [name for name in sys.modules if name.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependencyError, match=r"hilt-logging\[pii\]"):
            HILTFormatter(redact=["email", kind])

    def test_all_are_options_of_the_formatter(self):
        """Whatever can be set everywhere can be set for one destination."""
        of_lines = {"ascii", "max_line_bytes", "encrypt_to", "erasable_by", "key_store"}
        assert set(OPTIONS) == set(HILTFormatter.OPTIONS) - of_lines

    def test_defaults(self, an_event):
        """Options that ask for nothing change nothing."""
        assert rules_of(content="full", redact=[], fields=[], privacy_key=KEY) is None

    def test_key_in_a_file(self, tmp_path, an_event):
        """A key file that others can read is refused with the remedy, unless told otherwise."""
        path = tmp_path / "key"
        path.write_bytes(KEY + b"\n")
        path.chmod(0o644)
        options = {"pseudonymize": "session_id", "privacy_key": f"file:{path}"}
        with pytest.raises(ConfigurationError, match=f"chmod 600 {path}"):
            HILTFormatter(**options)
        shared = applied(an_event(), **options, shared_key_file=True)
        path.chmod(0o600)
        assert shared == applied(an_event(), **options)
        assert shared == applied(an_event(), pseudonymize="session_id", privacy_key=KEY)

    def test_key_in_the_environment(self, monkeypatch, an_event):
        """A key may come from the environment."""
        monkeypatch.setenv("HILT_TEST_KEY", KEY.decode())
        out = applied(an_event(), pseudonymize="session_id", privacy_key="env:HILT_TEST_KEY")
        assert out == applied(an_event(), pseudonymize="session_id", privacy_key=KEY)


def find_rooms(text):
    at = text.find("room")
    return [] if at < 0 else [(at, at + 4, "room")]


CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "shown": {
            "()": "hilt_logging.HILTFormatter",
            "redact": ["email", {"badge": r"B-\d+"}, "ext://hilt_privacy_example.find_rooms"],
            "fields": ["-extensions"],
        }
    },
    "handlers": {
        "file": {"class": "hilt_logging.HILTFileHandler", "content": "hash"},
        "stream": {"class": "logging.StreamHandler", "formatter": "shown"},
    },
    "loggers": {"hilt": {"level": "INFO", "handlers": ["file", "stream"], "propagate": False}},
}


class TestDestinations:
    def test_config(self, tmp_path, lines, monkeypatch, capsys):
        """Options work in a configuration, each destination has its own, and none the other's."""
        monkeypatch.setitem(sys.modules, "hilt_privacy_example", sys.modules[__name__])
        config = copy.deepcopy(CONFIG)
        config["handlers"]["file"]["filename"] = str(tmp_path / "a.jsonl")
        logging.config.dictConfig(config)
        emit(tool_call("find", {"q": SECRET}, content={"text": f"B-12 in room {SECRET}"}))
        (written,) = lines(tmp_path / "a.jsonl")
        assert {"text_hash": hilt_logging.hash_content(f"B-12 in room {SECRET}")} == written[
            "content"
        ]
        shown = json.loads(capsys.readouterr().err)
        assert {"text": "[BADGE] in [ROOM] [EMAIL]"} == shown["content"]
        assert "extensions" not in shown

    def test_others_have_the_whole(self, hilt, kept, tmp_path, lines):
        """What one handler withholds the next one has."""
        handler = HILTFileHandler(tmp_path / "a.jsonl", content="none")
        hilt.handlers.insert(0, handler)
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt", "content": {"text": "hi"}})
        assert "content" not in lines(tmp_path / "a.jsonl")[0]
        assert {"text": "hi"} == kept.events[0]["content"]

    def test_ordinary_records(self):
        """What an ordinary record says counts as said, too."""
        record = logging.makeLogRecord({"name": "app", "msg": f"to {SECRET}"})
        assert SECRET not in HILTFormatter(content="none").format(record)
        assert '"message":"to [EMAIL]"' in HILTFormatter(redact="email").format(record)

    def test_what_is_no_event(self):
        """What should have been an event is withheld as what was said is."""
        record = logging.makeLogRecord({"name": "app", "hilt": {"text": SECRET, "action": SECRET}})
        assert SECRET not in HILTFormatter(content="none").format(record)
        record = logging.makeLogRecord({"name": "app", "hilt": [SECRET]})
        assert SECRET not in HILTFormatter(redact="email").format(record)

    def test_spoiled_by_a_filter(self, hilt, kept):
        """What a filter puts on an event and is no JSON is searched as it is written."""
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt"})
        kept.records[0].hilt["extensions"] = {"x": (SECRET, {1: SECRET})}
        line = HILTFormatter(redact="email").format(kept.records[0])
        assert SECRET not in line
        assert 2 == line.count("[EMAIL]")

    def test_before_it_is_cut(self, an_event):
        """What would be cut in two is replaced first."""
        text = "x" * 700 + " " + SECRET + " " + "y" * 5000
        for size in range(1024, 1124):
            line = HILTFormatter(redact="email", max_line_bytes=size).format(
                logging.makeLogRecord({"hilt": an_event(content={"text": text})})
            )
            assert "canary" not in line

    def test_stats(self, tmp_path, hilt):
        """A handler counts what could not be searched."""
        handler = HILTFileHandler(tmp_path / "a.jsonl", redact=[lambda text: 1 / 0])
        hilt.addHandler(handler)
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt", "content": {"text": "hi"}})
        assert {"ZeroDivisionError": 1} == handler.stats()["redaction_failures"]
        assert 1 == handler.stats()["written"]
        assert b'"text":"[REDACTION_FAILED]"' in (tmp_path / "a.jsonl").read_bytes()


class TestEverywhere:
    def test_third_party_handlers(self, everywhere, hilt, kept):
        """Whatever handler a record comes to has the event without what is withheld."""
        everywhere(redact="email", pseudonymize="user_id", privacy_key=KEY)
        with bind(user_id="alice", note=SECRET):
            emit(hilt_logging.Event(**_typed(SECRET)))
            emit({"actor": {"type": "human", "id": "alice"}, "action": "prompt", "x": SECRET})
            logging.getLogger("hilt.app").info("rated", extra={"hilt": {"action": SECRET}})
        for record in kept.records:
            hilt_logging.records.complete(record)
            shown = [repr(record.__dict__), pickle.dumps(record), HILTFormatter().format(record)]
            assert not any(b"canary" in (s if type(s) is bytes else s.encode()) for s in shown)
            assert "alice" not in shown[2]

    def test_queue(self, everywhere, hilt):
        """What waits in a queue is withheld already."""
        everywhere(content="none")
        waiting = queue.SimpleQueue()
        hilt.addHandler(logging.handlers.QueueHandler(waiting))
        emit(
            {"actor": {"type": "human", "id": "x"}, "action": "prompt", "content": {"text": SECRET}}
        )
        assert "canary" not in repr(waiting.get().__dict__)

    def test_session(self, everywhere, tmp_path, lines):
        """A session's own file, too."""
        everywhere(content="none")
        with hilt_logging.Session(tmp_path / "a.jsonl") as session:
            session.append({"actor": {"type": "human", "id": "x"}, "action": "prompt", "y": SECRET})
        assert "y" not in lines(tmp_path / "a.jsonl")[0]

    def test_taken_back(self, everywhere, hilt, kept):
        """Without options events are whole again."""
        for options in ({"content": "none"}, {}):
            everywhere(**options)
            emit(
                {
                    "actor": {"type": "human", "id": "x"},
                    "action": "prompt",
                    "content": {"text": "hi"},
                }
            )
        assert ["content" in event for event in kept.events] == [False, True]

    def test_id(self, everywhere, hilt, kept):
        """`emit` returns the id of the event that is handed over."""
        everywhere(content="hash")
        event_id = emit({"actor": {"type": "human", "id": "x"}, "action": "prompt", "z": "z"})
        assert event_id == kept.events[0]["event_id"]

    def test_once(self, everywhere, hilt, kept):
        """A record that is completed again is not treated again."""
        everywhere(redact="email", redact_with="token", privacy_key=KEY)
        logging.getLogger("hilt.app").info(
            "x",
            extra={
                "hilt": {"actor": {"type": "human", "id": "x"}, "action": "prompt", "t": SECRET}
            },
        )
        first = hilt_logging.records.complete(kept.records[0])
        assert first is hilt_logging.records.complete(kept.records[0])

    def test_failures(self, everywhere, hilt, kept):
        """`check_config` tells of texts that could not be searched."""
        everywhere(redact=[lambda text: 1 / 0])
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt", "content": {"text": "hi"}})
        assert any("could not be searched" in str(found) for found in check_config())

    def test_wrong(self, everywhere):
        """A wrong option leaves what was set."""
        everywhere(content="none")
        with pytest.raises(ConfigurationError, match="option of set_privacy"):
            set_privacy(contents="none")
        assert hilt_logging.records.current_rules() is not None


def _typed(word):
    return {
        "action": "prompt",
        "actor": hilt_logging.Actor(type="human", id="alice"),
        "content": hilt_logging.Content(text=word),
    }


def test_not_loaded(in_child):
    """Who sets no option loads nothing of it."""
    done = in_child(
        "import sys, hilt_logging as h; h.HILTFormatter()\n"
        "print([m for m in sys.modules if 'safeguards' in m])\n"
        "h.hash_content('x'); print('hilt_logging.safeguards.hashing' in sys.modules)"
    )
    assert ("[]\nTrue\n", "") == (done.stdout, done.stderr)
