"""Sessions rebuilt from files, and where in files they are."""

from __future__ import annotations

import gzip
import json
import logging
import stat

import pytest

import hilt_logging

from hilt_logging import turn
from hilt_logging.analysis import _index
from hilt_logging.analysis.conversation import (
    conversation,
    conversations,
    index,
    session_ids,
    sessions,
)
from hilt_logging.errors import ReadError
from hilt_logging.integrations import _calls
from hilt_logging.integrations._conversations import Conversations
from hilt_logging.safeguards import jwk
from hilt_logging.safeguards.keystore import open_store


def text_of(messages):
    return [part.get("content") for message in messages for part in message["parts"]]


def parts_of(found):
    return [(entry.kind, text_of(entry.messages) or entry.text) for entry in found.entries]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache directory of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hilt-logging" / "sessions"


@pytest.fixture
def talk(tmp_path, monkeypatch):
    """Has conversations in which each request repeats the whole history; gives their file."""
    path = tmp_path / "app.jsonl"
    monkeypatch.setattr(_calls, "_conversations", Conversations())  # nothing of other tests

    def talk(turns, session="conv-1", **options):
        handler = hilt_logging.HILTFileHandler(path, **options)
        logger = logging.getLogger("hilt.app")
        logger.addHandler(handler)
        logger.setLevel("INFO")
        history = [{"role": "system", "content": "Be brief."}]
        with hilt_logging.bind(session_id=session, user_id="alice"):
            for asked, answer in turns:
                history.append({"role": "user", "content": asked})
                with turn(history, provider="p", model="m") as told:
                    told.answer(answer, tokens={"prompt": 3, "completion": 2})
                history.append({"role": "assistant", "content": answer})
        logger.removeHandler(handler)
        handler.close()
        return path

    return talk


@pytest.fixture
def event(an_event):
    """Makes events of conv-1, each a second after the one before."""
    seconds = iter(range(10, 60))

    def event(action, text=None, session="conv-1", actor="alice", **extensions):
        kind = "human" if action == "prompt" else "agent"
        number = next(seconds)
        made = an_event(
            event_id=f"e{number}",
            timestamp=f"2026-01-02T03:04:{number}.000000Z",
            session_id=session,
            actor={"type": kind, "id": actor},
            action=action,
        )
        made.pop("content", None)
        made.pop("extensions", None)
        if text is not None:
            made["content"] = {"text": text} if isinstance(text, str) else {"messages": text}
        return {**made, "extensions": extensions} if extensions else made

    return event


def test_word_for_word(talk):
    """Requests repeat their history, files do not, and it is all there, each message once."""
    path = talk([("Hi", "Hello"), ("ünï\u2028cödé", "ok\n\nwell"), ("Hi", "Hello")])
    found = conversation(path, "conv-1")
    assert [
        ("prompt", ["Be brief.", "Hi"]),
        ("completion", ["Hello"]),
        ("prompt", ["ünï\u2028cödé"]),
        ("completion", ["ok\n\nwell"]),
        ("prompt", ["Hi"]),
        ("completion", ["Hello"]),
    ] == parts_of(found)
    assert (True, 0, []) == (found.is_exact, found.missing, found.unanswered)
    assert (6, ["alice"], 15) == (found.events, found.users, found.tokens["total"])


def test_earlier_messages(talk):
    """Where the beginning is in no file, it is said how many messages that were."""
    path = talk([("Hi", "Hello"), ("And?", "So."), ("More", "Less")])
    lines = path.read_bytes().splitlines(True)
    path.write_bytes(b"".join(lines[4:]))
    found = conversation(path, "conv-1")
    assert (4, 4) == (found.missing, found.entries[0].missing)
    assert ["More"] == text_of(found.entries[0].messages)


def test_changed_words(talk):
    """Words that are not those of the request are noticed by its digest."""
    path = talk([("Hi", "Hello"), ("And?", "So.")])
    path.write_bytes(path.read_bytes().replace(b'"Hello"', b'"Hallo"'))
    assert conversation(path, "conv-1").is_exact is False


def test_begun_in_another_session(talk):
    """What a conversation goes on from is found in another session; nothing is missing then."""
    path = talk([("Hi", "Hello"), ("And?", "So.")])
    first, *rest = [json.loads(line) for line in path.read_bytes().splitlines()]
    moved = [{**event, "session_id": "conv-2"} for event in rest[1:]]
    path.write_text("".join(json.dumps(each) + "\n" for each in (first, rest[0], *moved)))
    found = conversation(path, "conv-2")
    assert (0, True) == (found.missing, found.is_exact)
    assert ["And?"] == text_of(found.entries[0].messages)


def test_requests_that_repeat_their_history(write, event):
    """Of requests that are written whole, what stands above is left out, and counted."""

    def said(role, text):
        return {"role": role, "parts": [{"type": "text", "content": text}]}

    first = [said("system", "Be brief."), said("user", "Hi")]
    more = [*first, said("assistant", "Hello"), said("user", "And?")]
    asked, again = event("prompt", first), event("prompt", more)
    answer = event("completion", "Hello", reply_to=asked["event_id"])
    again["timestamp"] = "2026-01-02T03:05:00.000000Z"
    found = conversation(write("a.jsonl", asked, answer, again), "conv-1")
    assert ["Be brief.", "Hi"] == text_of(found.entries[0].messages)
    assert (["And?"], 3) == (text_of(found.entries[2].messages), found.entries[2].repeats)


def test_everything_in_its_place(write, event):
    """Tools, documents, feedback, retries and errors stand where they happened."""
    asked = event("prompt", "How warm is it?")
    retry = event("system", outcome="retried", reply_to=asked["event_id"], error={"type": "T"})
    answer = event("completion", "Wait.", reply_to=asked["event_id"])
    tool = {"name": "weather", "call_id": "c1", "arguments": {"city": "Paris"}}
    call = event("tool_call", reply_to=answer["event_id"], tool=tool)
    result = event("tool_result", "9", reply_to=call["event_id"], tool={"call_id": "c1"})
    response = {"type": "tool_call_response", "id": "c1"}
    goes_on = event("prompt", [{"role": "tool", "parts": [response]}])
    found_ = event("retrieval", "Paris", documents=[{"id": "d1", "text": "cold"}])
    error = event("system", error={"type": "Boom"}, reply_to=goes_on["event_id"], outcome="failed")
    rated = event("feedback", "bad", reply_to=answer["event_id"])
    log = write("a.jsonl", asked, retry, answer, call, result, goes_on, found_, error, rated)
    found = conversation(log, "conv-1")
    kinds = ["prompt", "retry", "completion", "tool_call", "tool_result"]
    kinds += ["prompt", "retrieval", "error", "feedback"]
    assert kinds == [entry.kind for entry in found.entries]
    assert [None, 1, 1, 3, 4, None, None, 6, 3] == [entry.reply_to for entry in found.entries]
    assert {"city": "Paris"} == found.entries[3].tool["arguments"]
    assert [] == found.entries[5].messages  # the result stands above
    assert [{"id": "d1", "text": "cold"}] == found.entries[6].documents
    assert ({"type": "Boom"}, "bad") == (found.entries[7].error, found.entries[8].text)
    assert [] == found.unanswered


def test_answer_that_never_ended(write, event):
    """Pieces of an answer are shown as one where there is nothing else; the prompt has no answer."""
    asked = event("prompt", "Hi")
    pieces = [event("completion_chunk", text, reply_to="e10") for text in ("Hel", "lo")]
    found = conversation(write("a.jsonl", asked, *pieces), "conv-1")
    assert [("prompt", ["Hi"]), ("unfinished", "Hello")] == parts_of(found)
    assert [1] == found.unanswered
    whole = event("completion", "Hello!", reply_to="e10")
    found = conversation(write("b.jsonl", asked, *pieces, whole), "conv-1")
    assert ["prompt", "completion"] == [entry.kind for entry in found.entries]


def test_several(talk):
    """Several sessions are as each of them is by itself, in the order that is asked for."""
    for session in ("conv-1", "conv-2", "conv-3"):
        path = talk([("Hi", f"Hello {session}"), ("And?", "So.")], session)
    wanted = ["conv-3", "conv-1", "none"]
    assert [conversation(path, each) for each in wanted] == list(conversations(path, wanted))


def test_several_that_are_large(talk):
    """What is held at once is bounded: the last of those asked for are left out."""
    for session in ("conv-1", "conv-2", "conv-3"):
        path = talk([("Hi", "Hello")], session)
    wanted, less = ["conv-2", "conv-3", "conv-1"], path.stat().st_size - 1
    found = list(conversations(path, wanted, most_bytes=less))
    assert [*wanted[:2], None] == [each and each.session_id for each in found]
    assert [None] == list(conversations(path, ["conv-2"], most_bytes=1))


def test_encrypted(talk, tmp_path):
    """What is encrypted is said to be, and is there with the key."""
    made = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", made)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    path = talk([("Hi", "Hello"), ("And?", "So.")], encrypt_to=str(tmp_path / "a.pub.jwk"))
    closed = conversation(path, "conv-1")
    assert ({"no key": 4}, []) == (closed.hidden, text_of(closed.entries[0].messages))
    opened = conversation(path, "conv-1", keys=[tmp_path / "a.key.jwk"])
    assert ({}, True) == (opened.hidden, opened.is_exact)
    assert ["Be brief.", "Hi"] == text_of(opened.entries[0].messages)


def test_erased(talk, tmp_path):
    """What was erased is said to be."""
    store = str(tmp_path / "keys.db")
    path = talk([("Hi", "Hello")], erasable_by="user_id", key_store=store)
    assert {} == conversation(path, "conv-1", key_store=store).hidden
    open_store("key_store", store).erase("user:alice")
    assert {"erased": 2} == conversation(path, "conv-1", key_store=store).hidden


def test_content_that_was_not_recorded(talk):
    """What was withheld when it was written is said to be."""
    path = talk([("Hi", "Hello")], content="none")
    assert {"not recorded": 2} == conversation(path, "conv-1").hidden


def test_events_of_others(write, event):
    """Forms that are not ours are shown as far as they go, and raise nothing."""
    strange = [
        event("prompt", [{"role": "user"}, {"role": "user", "parts": [{"type": 1}, 2]}]),
        event("completion", [{"role": "assistant", "parts": [{"type": "text"}]}], reply_to=7),
        event("tool_call", reply_to="e11", tool="weather"),
        event("tool_result", tool=[1]),
        event("retrieval", documents="none"),
        event("feedback", feedback=["a"]),
        event("prompt", follows=3, history="all"),
        event("tool_call", reply_to=["e11"], tool={"name": {}, "call_id": {}}),
        event("tool_result", reply_to={}, tool={"call_id": ["c"]}, outcome=[1]),
    ]
    found = conversation(write("a.jsonl", *strange), "conv-1")
    assert 9 == len(found.entries)
    assert ["a"] == found.entries[5].feedback


def test_lines_that_are_no_events(write, event):
    """A torn line of the session is reported with its number; the rest is shown."""
    log = write("a.jsonl", event("prompt", "Hi"), b'{"session_id":"conv-1","action":"pro')
    errors = []
    found = conversation(log, "conv-1", report=errors.append)
    assert ["prompt"] == [entry.kind for entry in found.entries]
    assert [(str(log), 2)] == [(error.path, error.line) for error in errors]


def test_no_such_session(write, event):
    """A session that is not there has no entries; a file that is not there is an error."""
    log = write("a.jsonl", event("prompt", "Hi"))
    assert [] == conversation(log, "conv").entries
    assert [] == conversation(write("b.jsonl"), "conv").entries
    with pytest.raises(ReadError):
        conversation(log.parent / "gone.jsonl", "conv-1")


def test_sessions(write, event):
    """Sessions are listed with their users, models and times; the latest is the last."""
    events = [
        event("prompt", "Hi", session="one", actor="bob"),
        event("prompt", "Hi", session="two"),
        event("completion", "Hello", session="one", user_id="bob"),
    ]
    events[2]["provenance"] = {"model": "m"}
    notice = event("system", session="notices", notice={"kind": "loss"})
    log = write("a.jsonl", *events, notice)
    found = sessions(log)
    told = [(each.session_id, each.events, each.users, each.models) for each in found]
    assert [("two", 1, ["alice"], []), ("one", 2, ["bob"], ["m"])] == told
    assert ["one"] == [each.session_id for each in sessions(log, user="bob")]
    assert ["two"] == [each.session_id for each in sessions(log, prefix="t")]
    late = sessions(log, since="2026-01-02T03:04:12Z")
    assert [("one", 1)] == [(each.session_id, each.events) for each in late]


def test_ids_that_begin_alike(write, event):
    """Ids are found by their beginning; the same letters elsewhere do not count."""
    log = write(
        "a.jsonl",
        event("prompt", '"conv-9', session="conv-1"),
        event("prompt", "x", session="conv-2"),
        event("prompt", "x", session="my-conv-3"),
    )
    assert ["conv-1", "conv-2"] == session_ids(log, "conv-")
    assert [] == session_ids(log, "conv-9")


@pytest.fixture
def many(write, event):
    """A log of some sessions, whose ids and lines others write otherwise, too."""
    names = ["conv-1", "conv-2", 'grüße/"x"', "conv-1"]
    events = [event("prompt", f"text {n}", session=name) for n, name in enumerate(names)]
    foreign = json.dumps(event("prompt", "foreign", session="conv-2")).encode()
    escaped = json.dumps(event("prompt", "escaped", session=names[2])).encode()
    turned = json.dumps(dict(reversed(event("prompt", "turned").items()))).encode()
    return write("app.jsonl", *events, foreign, b"torn", escaped, turned)


def texts(path, session, **options):
    found = conversation(path, session, report=lambda error: None, **options)
    return [part for entry in found.entries for part in text_of(entry.messages)]


EXPECTED = {
    "conv-1": ["text 0", "text 3", "turned"],
    "conv-2": ["text 1", "foreign"],
    'grüße/"x"': ["text 2", "escaped"],
    "conv": [],
}


@pytest.mark.parametrize("session", EXPECTED)
def test_index(many, cache, session):
    """An index gives what reading gives, whoever wrote the lines."""
    assert EXPECTED[session] == texts(many, session, indexed=False)
    assert 1 == index(many, least_bytes=1)
    assert 1 == len(list(cache.iterdir()))
    assert EXPECTED[session] == texts(many, session)


def test_index_is_private(many, cache):
    """An index has no text and no id, and only its owner can read it."""
    index(many, least_bytes=1)
    (file,) = cache.iterdir()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    data = file.read_bytes()
    assert not any(word in data for word in (b"conv", b"text", b"gr\xc3", b"app"))


def test_index_is_asked(many, monkeypatch):
    """Where there is an index, lines of other sessions are not read."""
    index(many, least_bytes=1)
    monkeypatch.setattr(_index, "lines_with", None)
    assert EXPECTED["conv-1"] == texts(many, "conv-1")


def test_log_that_has_grown(many, event):
    """What was written since stands after what the index has; it is renewed when that is much."""
    index(many, least_bytes=1)
    with open(many, "ab") as file:
        file.write(json.dumps(event("prompt", "new")).encode() + b"\n")
    assert [*EXPECTED["conv-1"], "new"] == texts(many, "conv-1")
    assert 0 == index(many, least_bytes=10_000)
    assert 1 == index(many, least_bytes=1)
    assert [*EXPECTED["conv-1"], "new"] == texts(many, "conv-1")


def test_line_that_is_not_done(many, event):
    """A line that is written by half when the index is made is found when it is whole."""
    line = json.dumps(event("prompt", "slow")).encode()
    with open(many, "ab") as file:
        file.write(line[:40])
    index(many, least_bytes=1)
    with open(many, "ab") as file:
        file.write(line[40:] + b"\n")
    assert [*EXPECTED["conv-1"], "slow"] == texts(many, "conv-1")


def test_file_that_is_another_one(many, write, event):
    """An index is not asked where the bytes that it knows are not there: in whatever way they changed."""
    index(many, least_bytes=1)
    whole = many.read_bytes()
    other = write("other.jsonl", event("prompt", "another")).read_bytes()
    with open(many, "r+b") as file:  # the same inode
        file.write(other * (len(whole) // len(other) + 1))
    assert {"another"} == set(texts(many, "conv-1"))
    many.write_bytes(whole[: len(whole) // 2])
    assert ["text 0"] == texts(many, "conv-1")


def test_lines_that_are_other_ones(many):
    """Where other lines stand in the middle, what the index names is not taken for the session's."""
    index(many, least_bytes=1)
    data = many.read_bytes()
    assert data.count(b'"conv-1"') > 1
    with open(many, "r+b") as file:
        file.write(data.replace(b'"conv-1"', b'"conv-7"', 1))
    assert ["text 3", "turned"] == texts(many, "conv-1")


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"version":1}\nxx', b"\xff" * 500, "half"])
def test_damaged_index(many, cache, damage):
    """An index that is damaged is none."""
    index(many, least_bytes=1)
    (file,) = cache.iterdir()
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2 + 100] if damage == "half" else damage)
    assert EXPECTED["conv-1"] == texts(many, "conv-1")


def test_rotated_and_compressed(many, tmp_path, monkeypatch):
    """Of a compressed file the index tells whether a session is in it at all."""
    (tmp_path / "app.jsonl.1.gz").write_bytes(gzip.compress(many.read_bytes()))
    many.unlink()
    assert 1 == index(many, least_bytes=1)
    assert EXPECTED["conv-2"] == texts(many, "conv-2")
    monkeypatch.setattr(_index, "lines_with", None)
    assert [] == texts(many, "conv-3")


def test_cache_that_cannot_be_written(many, tmp_path, monkeypatch):
    """Without a place for an index all is as with one."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert 0 == index(many, least_bytes=1)
    assert EXPECTED["conv-1"] == texts(many, "conv-1")
