from __future__ import annotations

import asyncio
import logging
import uuid

from typing import Any

import pytest

from hilt_logging import RecordingError, validate_event
from hilt_logging.integrations._answers import (
    Answer,
    Choice,
    Failure,
    Prompt,
    ToolCall,
    ToolResult,
    choices_answer,
    failure_of,
    outcome_of,
    part,
)
from hilt_logging.integrations._calls import Call, Recorder
from hilt_logging.integrations._streams import Watched


ID = uuid.UUID(int=7)


def call(**options: Any) -> Call:
    return Call(Recorder("hilt.app.test"), provider="acme", request_model="m", **options)


def test_life_of_a_call(collected):
    """A call gives its prompt, its completion and its tool calls, in this order."""
    one = call(user_id="alice", params={"temperature": 0})
    one.asked(Prompt(text="Hi"))
    one.answered(Answer(text="Hello", model="m-1", tool_calls=[ToolCall("f", "c1", {"x": 1})]))
    assert ["prompt", "completion", "tool_call"] == [e["action"] for e in collected.events]
    assert [] == [fault for event in collected.events for fault in validate_event(event)]
    assert one.completion_id == collected.events[1]["event_id"]


@pytest.mark.parametrize(("given", "known"), [(7, "7"), (ID, str(ID)), ("", None)], ids=repr)
def test_ids_of_other_types(given, known, collected):
    """A database's key or a UUID for an id costs no event."""
    one = Call(Recorder("hilt.app.test"), session_id=given, user_id=given, assistant_id=given)
    one.asked(Prompt(text="Hi"))
    one.answered(Answer(text="Ho"))
    prompt, completion = collected.events
    assert known == prompt["extensions"].get("user_id")
    assert (known or "user", known or "assistant") == (
        prompt["actor"]["id"],
        completion["actor"]["id"],
    )
    assert known in (None, prompt["session_id"])


def test_id_that_is_none():
    """Of anything else its type is the id."""
    assert "builtins.object" == Call(Recorder("hilt.app.test"), session_id=object()).session_id


def test_each_end_is_recorded_once(collected):
    """Whatever is said after the end of a call is not recorded."""
    one = call()
    one.asked(Prompt(text="Hi"))
    one.answered(Answer(text="Hello"))
    one.answered(Answer(text="Again"))
    one.failed(Failure("TimeoutError"))
    assert ["prompt", "completion"] == [event["action"] for event in collected.events]


def test_failure_after_a_partial_answer(collected):
    """What had come before a failure is recorded first, with the outcome failed."""
    one = call()
    one.asked(Prompt(text="Hi"))
    one.failed(Failure("ReadTimeout", message="slow"), Answer(text="Hel"))
    prompt, completion, error = collected.events
    assert ("Hel", "failed") == (completion["content"]["text"], completion["extensions"]["outcome"])
    assert {"type": "ReadTimeout", "message": "slow"} == error["extensions"]["error"]
    assert prompt["event_id"] == error["extensions"]["reply_to"]
    assert [logging.INFO, logging.ERROR, logging.ERROR] == [r.levelno for r in collected.records]


def test_answer_that_says_it_failed(collected):
    """An answer that says itself that it failed gives a completion and an error."""
    one = call()
    one.asked(Prompt(text="Hi"))
    one.answered(Answer(outcome="failed", failure=Failure("server_error", code="server_error")))
    assert ["prompt", "completion", "system"] == [event["action"] for event in collected.events]


def test_server_tool_results_follow_their_calls(collected):
    """A result of a tool at the provider's replies to the call in the same answer."""
    one = call()
    one.asked(Prompt(text="Hi"))
    answer = Answer(
        tool_calls=[ToolCall("search", "s1", {"q": 1}, server=True)],
        tool_results=[ToolResult(None, "s1", [{"url": "u"}], server=True)],
    )
    one.answered(answer)
    asked, gave = collected.events[2:]
    assert asked["event_id"] == gave["extensions"]["reply_to"]
    assert "search" == gave["actor"]["id"]


def test_nothing_raises(collected, monkeypatch):
    """A step that can't be recorded is counted, and raises nothing."""
    one = call()
    monkeypatch.setattr(one.recorder, "send", lambda event: 1 / 0)
    one.asked(Prompt(text="Hi"))
    one.answered(Answer(text="Hello"))
    one.failed(Failure("E"))
    assert [] == collected.events


class Raises(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RecordingError("not written")


def test_recording_error_stops_only_what_has_not_left(collected):
    """A handler that was set up to raise stops the prompt; a billed answer is never destroyed."""
    handler = Raises()
    logging.getLogger("hilt.app.test").addHandler(handler)
    try:
        one = call()
        with pytest.raises(RecordingError):
            one.asked(Prompt(text="Hi"))
        one.answered(Answer(text="Hello"))
        one.failed(Failure("E"))
    finally:
        logging.getLogger("hilt.app.test").removeHandler(handler)


class Sessions:
    class Foreign(list[Any]):
        pass

    class Ours:
        def __init__(self) -> None:
            self.events: list[Any] = []

        def append(self, event: Any, *, logger: str) -> None:
            self.events.append((event.event_id, logger))

    class Broken:
        def append(self, event: Any) -> None:
            raise OSError("disk full")

    class None_:
        pass


def test_session_that_hands_on_itself(collected):
    """A session that takes a logger hands events on itself; they are not emitted twice."""
    session = Sessions.Ours()
    one = Call(Recorder("hilt.app.test", session), provider="acme")
    one.asked(Prompt(text="Hi"))
    assert [(one.prompt_id, "hilt.app.test")] == session.events
    assert [] == collected.events


@pytest.mark.parametrize("kind", [Sessions.Foreign, Sessions.Broken, Sessions.None_])
def test_logger_has_the_events_of_any_other_session(kind, collected):
    """With any other session, one that fails included, the logger has the events too."""
    one = Call(Recorder("hilt.app.test", kind()), provider="acme")
    one.asked(Prompt(text="Hi"))
    assert [one.prompt_id] == [event["event_id"] for event in collected.events]


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("stop", "completed"),
        ("tool_calls", "completed"),
        ("end_turn", "completed"),
        ("pause_turn", "completed"),
        ("length", "truncated"),
        ("max_tokens", "truncated"),
        ("MAX_TOKENS", "truncated"),
        ("max_output_tokens", "truncated"),
        ("refusal", "refused"),
        ("content_filter", "filtered"),
        ("SAFETY", "filtered"),
        ("PROHIBITED_CONTENT", "filtered"),
        ("failed", "failed"),
        ("a_word_of_tomorrow", "completed"),
        (None, "completed"),
    ],
)
def test_outcome_of_the_providers_words(word, outcome):
    """Each provider's word has one of ours; an unknown one is no failure."""
    assert outcome == outcome_of(word)
    assert "refused" == outcome_of(word, "I can't help with that.")


def test_pieces_of_one_text_are_one_part():
    """Neighbouring pieces of text become one part; other parts stay between them."""
    pieces = [part("reasoning", content="a"), part("text", content="b"), part("text", content="c")]
    answer = choices_answer([Choice(pieces)])
    assert [{"type": "reasoning", "content": "a"}, {"type": "text", "content": "bc"}] == (
        answer.messages or []
    )[0]["parts"]


class HTTPStatusError(Exception):
    def __init__(self, headers: dict[str, str], **fields: Any) -> None:
        super().__init__("slow down")
        self.response = type("Response", (), {"headers": headers, "status_code": 429})()
        for name, value in fields.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_when_to_try_again(headers, seconds):
    """The time to wait is read from the headers that have it as a number."""
    assert seconds == failure_of(HTTPStatusError(headers)).retry_after_s


def test_failure_of_an_exception_that_refuses():
    """An exception whose text can't be had is told by its class."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert Failure("Mute") == failure_of(Mute())


def test_stream_that_is_never_begun_is_abandoned(collected):
    """A stream that nobody reads is on record as soon as nobody can."""

    class Pieces:
        def add(self, piece: Any) -> str:
            return ""

        def answer(self) -> Answer:
            return Answer()

    one = call()
    one.asked(Prompt(text="Hi"))
    stream = Watched(iter([1, 2]), one, Pieces())
    del stream
    assert ["prompt", "completion"] == [event["action"] for event in collected.events]
    assert "abandoned" == collected.events[1]["extensions"]["outcome"]
    assert 0 == collected.events[1]["metrics"]["chunks"]


def test_pieces_that_nobody_can_read_are_handed_on(collected):
    """A piece that can't be read is handed on all the same, and the end is recorded."""

    class Pieces:
        def add(self, piece: Any) -> str:
            raise ValueError

        def answer(self) -> Answer:
            raise ValueError

    one = call()
    one.asked(Prompt(text="Hi"))
    assert [1, 2] == list(Watched(iter([1, 2]), one, Pieces()))
    assert 2 == collected.of("completion")[0]["metrics"]["chunks"]


def test_what_is_given_up():
    """What trio cancels, and a coroutine that is closed, is no failure, as with asyncio."""
    cancelled = type("Cancelled", (BaseException,), {"__module__": "trio"})
    for error in (cancelled(), GeneratorExit(), asyncio.CancelledError()):
        assert "cancelled" == failure_of(error).outcome
    own = type("Cancelled", (Exception,), {})
    assert "failed" == failure_of(own()).outcome
