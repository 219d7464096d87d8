"""From an event to a logger: quiet, whole, and never in the way."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

import pytest

import hilt_logging

from hilt_logging import Actor, Content, Event, bind, emit, validate_event
from hilt_logging import emit as _emit_function
from hilt_logging.errors import RecordingError


def prompt(**fields):
    return {"actor": {"type": "human", "id": "bob"}, "action": "prompt", **fields}


class TestAsksFirst:
    def test_nobody_listens(self, hilt, monkeypatch):
        """Below the logger's level nothing is built, and None comes back."""
        hilt.setLevel(logging.WARNING)
        monkeypatch.setattr(sys.modules["hilt_logging.emit"], "make", pytest.fail)
        assert emit(prompt()) is None

    @pytest.mark.parametrize("how", ["level", "disable", "disabled"])
    def test_switched_off(self, hilt, kept, how):
        """By level, by `logging.disable` and by `disabled`."""
        if how == "level":
            hilt.setLevel(logging.ERROR)
        elif how == "disable":
            logging.disable(logging.INFO)
        else:
            hilt.disabled = True
        assert emit(prompt()) is None
        assert [] == kept.records

    def test_child_logger(self, hilt, kept):
        """A child has a level of its own, and its parent's handlers."""
        child = logging.getLogger("hilt.app.quiet")
        child.setLevel(logging.WARNING)
        assert emit(prompt(), logger="hilt.app.quiet") is None
        assert emit(prompt(), logger=child, level=logging.WARNING) == kept.events[0]["event_id"]
        assert ("hilt.app.quiet", logging.WARNING) == (
            kept.records[0].name,
            kept.records[0].levelno,
        )


class TestWhatComesOut:
    def test_id(self, kept):
        """The id that comes back is the event's."""
        assert emit(prompt(event_id="e1")) == "e1" == kept.events[0]["event_id"]

    @pytest.mark.parametrize(
        "event",
        [prompt(), Event(actor=Actor(type="human", id="x"), action="prompt")],
        ids=["dict", "Event"],
    )
    def test_detached(self, kept, event):
        """What handlers get is a valid plain dict that shares nothing with the caller's."""
        emit(event)
        assert dict is type(kept.events[0])
        assert [] == validate_event(kept.events[0])
        kept.events[0]["actor"]["id"] = "changed"
        actor = event["actor"]["id"] if isinstance(event, dict) else event.actor.id
        assert "changed" != actor

    @pytest.mark.parametrize(
        ("fields", "level"),
        [
            ({}, logging.INFO),
            ({"action": "completion_chunk"}, logging.DEBUG),
            ({"extensions": {"outcome": "refused"}}, logging.WARNING),
            ({"extensions": {"outcome": "failed"}}, logging.ERROR),
        ],
    )
    def test_level(self, kept, fields, level):
        """The level says how it went."""
        emit(prompt(**fields))
        assert level == kept.records[0].levelno

    def test_context(self, kept):
        """What is bound is on the event."""
        with bind("conv", "u1", tenant="acme"):
            emit(prompt())
        assert "conv" == kept.events[0]["session_id"]
        assert {"tenant": "acme", "user_id": "u1"} == kept.events[0]["extensions"]

    def test_context_with_lone_surrogates(self, kept):
        """Whatever is bound, the event is kept."""
        with bind("a\ud800", tenant="\udc00"):
            emit(prompt())
        assert "a\ufffd" == kept.events[0]["session_id"]

    def test_summary(self, kept):
        """The message holds no content."""
        emit(prompt(content={"text": "my secret"}, session_id="s"))
        assert "prompt session=s" == kept.records[0].getMessage()

    def test_one_reading_of_the_clock(self, kept, monkeypatch):
        """A dict without id and timestamp gets both from one reading of the clock."""
        import datetime
        import time

        clock = iter(range(4_102_444_800_000, 4_102_444_900_000, 7))
        monkeypatch.setattr(time, "time_ns", lambda: next(clock) * 1_000_000)
        for _ in range(20):
            emit(prompt())
        for event in kept.events:
            at = datetime.datetime.fromisoformat(event["timestamp"])
            assert int(event["event_id"].replace("-", "")[:12], 16) == round(at.timestamp() * 1000)


class TestCaller:
    def test_unknown(self, kept):
        """The caller is not looked up, and the fields are those of the stdlib for that."""
        emit(prompt())
        record = kept.records[0]
        assert ("(unknown file)", 0, "(unknown function)") == (
            record.pathname,
            record.lineno,
            record.funcName,
        )

    def test_looked_up(self, kept):
        """On demand the record names the user's file, line and function."""
        line = sys._getframe().f_lineno + 1
        emit(prompt(), find_caller=True)
        record = kept.records[0]
        assert (__file__, line, "test_looked_up") == (
            record.pathname,
            record.lineno,
            record.funcName,
        )
        assert "test_emit" == record.module

    def test_own_records(self, kept):
        """Also where somebody else makes the records."""
        logging.setLogRecordFactory(type("Mine", (logging.LogRecord,), {}))
        emit(prompt(), find_caller=True)
        assert "test_own_records" == kept.records[0].funcName


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError("asked")

    __eq__ = __bool__ = __len__ = __iter__ = __repr__ = __str__ = __getattribute__
    __hash__ = None


class DictOfMine(dict):
    def get(self, *args):
        raise RuntimeError("asked")

    __getitem__ = __iter__ = __contains__ = __len__ = keys = items = get


def mutated(**parts):
    event = Event(actor=Actor(type="human", id="x"), action="prompt")
    for name, value in parts.items():
        setattr(event, name, value)
    return event


ANYTHING = [
    None,
    7,
    "text",
    [],
    {},
    object(),
    Hostile(),
    Hostile,
    (number for number in range(3)),
    lambda: 1,
    DictOfMine(prompt()),
    {Hostile: Hostile()},
    {"action": Hostile(), "actor": Hostile()},
    prompt(extensions=Hostile()),
    prompt(extensions={"outcome": Hostile()}),
    prompt(content={"text": Hostile()}),
    prompt(timestamp=Hostile(), event_id=Hostile(), session_id=Hostile()),
    prompt(metrics={"cost_usd": "1"}, extensions={"original": "x"}),
    mutated(actor=None),
    mutated(actor=Hostile()),
    mutated(action=Hostile()),
    mutated(action="nonsense"),
    mutated(content=Hostile(), provenance=Hostile(), extensions=Hostile()),
    mutated(content=Content(text=Hostile())),
    mutated(content={"text": "a dict will do"}),
    mutated(timestamp=5, event_id=None, session_id=b"x"),
    mutated(unknown_fields=Hostile()),
    mutated(unknown_fields=None),
    mutated(metrics=[1], privacy="x", integrity=Hostile()),
]


class TestNeverRaises:
    @pytest.mark.parametrize("index", range(len(ANYTHING)))
    def test_any_event(self, kept, index):
        """Whatever is emitted arrives as a valid event."""
        event_id = emit(ANYTHING[index])
        assert [event_id] == [each["event_id"] for each in kept.events]
        assert [] == validate_event(kept.events[0])

    @pytest.mark.parametrize("logger", [None, 7, b"hilt", object()])
    def test_any_logger(self, kept, logger):
        """A logger that is none costs the event, not the application."""
        assert emit(prompt(), logger=logger) is None

    @pytest.mark.parametrize("level", ["INFO", object(), None])
    def test_any_level(self, kept, level):
        """Likewise a level that is none."""
        emit(prompt(), level=level)

    @pytest.mark.parametrize("place", ["handler", "filter", "logger filter", "factory"])
    @pytest.mark.parametrize("error", [RuntimeError, MemoryError, RecursionError])
    def test_what_others_raise(self, hilt, place, error):
        """What a foreign handler or filter raises does not reach the caller."""

        def fail(*args, **kwargs):
            raise error("my secret")

        handler = logging.Handler()
        handler.emit = fail if place == "handler" else lambda record: None
        if place == "filter":
            handler.addFilter(fail)
        elif place == "logger filter":
            hilt.addFilter(fail)
        elif place == "factory":
            logging.setLogRecordFactory(fail)
        hilt.addHandler(handler)
        assert emit(prompt()) is None

    def test_interrupt_passes(self, hilt):
        """Ctrl-C is nobody's trouble but the application's."""

        def interrupt(record):
            raise KeyboardInterrupt

        hilt.addFilter(interrupt)
        with pytest.raises(KeyboardInterrupt):
            emit(prompt())

    def test_recording_error_passes(self, hilt):
        """The one error that a handler may be set up to raise passes."""

        def fail(record):
            raise RecordingError("full")

        hilt.addFilter(fail)
        with pytest.raises(RecordingError):
            emit(prompt())

    def test_filter_that_takes_the_event_away(self, hilt, kept):
        """A filter that removes the event changes nothing for the caller."""

        def remove(record):
            del record.hilt
            return True

        hilt.addFilter(remove)
        assert emit(prompt(event_id="e1")) == "e1"

    def test_told_without_content(self, hilt, caplog):
        """Trouble is told on the diagnostics tree, without content."""

        def fail(record):
            raise RuntimeError("my secret")

        hilt.addFilter(fail)
        troubles = sys.modules["hilt_logging.emit"]._troubles
        troubles._told_at = float("-inf")
        before = troubles.by_cause().get("RuntimeError", 0)
        emit(prompt(content={"text": "my secret"}))
        assert before + 1 == troubles.by_cause()["RuntimeError"]
        (record,) = caplog.records
        assert "hilt_logging.emit" == record.name
        assert "RuntimeError" in record.getMessage()
        assert "secret" not in record.getMessage()

    @pytest.mark.untraced  # a tracer's own frames would be the first without room
    def test_near_the_recursion_limit(self, kept):
        """A caller with no stack left gets its error from the stack, not from us."""
        results = []

        def down(left):
            if left:
                return down(left - 1)
            return results.append(emit(prompt()))

        # the frames that pytest itself stands on vary: try everything close to the limit
        for left in range(sys.getrecursionlimit() - 90, sys.getrecursionlimit() - 20):
            try:
                down(left)
            except RecursionError as error:
                names = []
                step = error.__traceback__
                while step is not None:
                    names.append(step.tb_frame.f_code.co_name)
                    step = step.tb_next
                assert names[-1] in ("down", "emit")  # there was no room to begin
        assert results[0]


class TestNested:
    def test_handler_that_emits(self, hilt, kept):
        """A handler that emits while it handles an event does not do so for ever."""

        class Echo(logging.Handler):
            def emit(self, record):
                _emit_function(prompt(content={"text": "echo"}))

        hilt.addHandler(Echo())
        assert emit(prompt())
        assert 1 < len(kept.records) < 10

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer")
    def test_signal_handler(self, hilt, tmp_path, lines):
        """Events of a signal handler and those that it interrupts are all kept."""
        handler = hilt_logging.HILTFileHandler(tmp_path / "a.jsonl")
        hilt.addHandler(handler)
        inner, busy = [], []

        def on_signal(number, frame):
            if not busy:  # signals that come faster than they are handled would pile up
                busy.append(True)
                inner.append(emit(prompt(content={"text": "inner" * 200})))
                busy.clear()

        before = signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            outer = [emit(prompt(content={"text": "outer" * 400})) for _ in range(1500)]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        accepted = [each for each in outer + inner if each is not None]
        found = [event["event_id"] for event in lines(tmp_path / "a.jsonl")]
        assert {} == handler.stats()["dropped_by"]
        assert sorted(accepted) == sorted(found)
        assert inner
        assert len(accepted) == handler.stats()["written"]

    def test_threads(self, hilt, kept):
        """Threads emit side by side, each one as deep as it may."""
        threads = [
            threading.Thread(target=lambda: [emit(prompt()) for _ in range(200)]) for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert 800 == len({event["event_id"] for event in kept.events})


HOSTILE_BASES = [
    float("nan"), float("inf"), 10**5000, b"\xff" * 70_000, "\ud800", "\u2028\x85", "\0", Hostile(),
    Hostile, {1: 1, "1": 2}, {Hostile: 1}, {(1, 2): {3}}, {None: None, "null": 1}, [[[[]]]],
    "x" * 300_000, object(), iter([]), ValueError("x", Hostile()), DictOfMine(a=1),
]  # fmt: skip


def _payloads():
    deep = []
    for _ in range(2_000):
        deep = [deep]
    cycle = {}
    cycle["self"] = cycle
    wide = ["lol"]
    for _ in range(40):
        wide = [wide] * 10
    for value in [*HOSTILE_BASES, deep, cycle, list(range(200_000))]:
        yield prompt(content={"text": value})
        yield prompt(content={"messages": [value]})
        yield prompt(extensions={"x": value})
        yield prompt(extensions={"error": value, "outcome": value})
        yield prompt(provenance={"model": value})
        yield prompt(provenance=value)
        yield prompt(metrics={"tokens": {"prompt": value}})
        yield prompt(session_id=value)
        yield prompt(unknown=value)
        yield prompt(extensions={"x": [value, {"y": value, "z": (value,)}]})
        yield Event(actor=Actor(type="agent", id="a"), action="system", extensions={"x": value})
        yield mutated(content=value, metrics=value)
        yield value
    yield prompt(extensions={"wide": wide})


def test_hostile_payloads(hilt, tmp_path, lines):
    """Some 300 hostile payloads are as many valid lines: none is lost, and nothing is raised."""
    handler = hilt_logging.HILTFileHandler(tmp_path / "a.jsonl")
    hilt.addHandler(handler)
    ids = [emit(payload) for payload in _payloads()]
    assert len(ids) > 280
    assert ids == [event["event_id"] for event in lines(tmp_path / "a.jsonl")]
    assert (len(ids), 0) == (handler.stats()["written"], handler.stats()["dropped"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_within_a_handler(hilt, kept, forked):
    """A child that is forked while an event is handled emits as ever."""
    codes = []

    def fork(record):
        if not codes:
            codes.append(None)
            codes[0] = forked.run(lambda: emit(prompt()) or os._exit(3))
        return True

    hilt.addFilter(fork)
    assert emit(prompt())
    assert [0] == codes


class TestForms:
    def test_level_by_name(self, kept):
        """A level may be given by its name; an unknown one is the event's own."""
        for level in ("WARNING", "error", "LOUD"):
            emit(prompt(), level=level)
        assert ["WARNING", "ERROR", "INFO"] == [record.levelname for record in kept.records]

    def test_logger_adapter(self, kept):
        """The logger of an adapter gets the event."""
        emit(prompt(), logger=logging.LoggerAdapter(logging.getLogger("hilt.app.adapted"), {}))
        assert ["hilt.app.adapted"] == [record.name for record in kept.records]
