"""The record: what the stdlib would have made of it, and the event that is on it."""

from __future__ import annotations

import copy
import json
import logging
import logging.handlers
import pickle
import queue
import sys
import threading
import time

import pytest

import hilt_logging

from hilt_logging import Actor, Content, Event, HILTFormatter, bind, records, validate_event
from hilt_logging.errors import InvalidEventError
from hilt_logging.records import HILTRecord, complete, event_of, level_of, make, summary


LOGGER = logging.getLogger("hilt.app.test")


def an_event(**fields):
    return Event(session_id="s", actor=Actor(type="human", id="alice"), action="prompt", **fields)


def rated(**fields):
    return {"actor": {"type": "human", "id": "bob"}, "action": "feedback", **fields}


def foreign_record(**attributes):
    record = logging.LogRecord("app", logging.INFO, "/a.py", 1, "rated", (), None)
    vars(record).update(attributes)
    return record


class TestLikeTheStdlibs:
    def test_attributes(self):
        """Whoever asks finds all attributes that a record of the stdlib has, with its values."""
        event = an_event()
        made = make(event, LOGGER)
        plain = LOGGER.makeRecord(
            LOGGER.name,
            20,
            "(unknown file)",
            0,
            summary(event.to_dict()),
            (),
            None,
            "(unknown function)",
        )
        assert HILTRecord is type(made)
        assert set(vars(plain)) | {"hilt"} == set(vars(made))
        for name in set(vars(plain)) - {"created", "msecs", "relativeCreated"}:
            assert getattr(plain, name) == getattr(made, name), name
        assert abs(plain.created - made.created) < 60
        assert abs(plain.relativeCreated - made.relativeCreated) < 60_000
        assert type(plain.msecs) is type(made.msecs)

    @pytest.mark.parametrize(
        "form",
        [
            "%(process)d",
            "%(name)s",
            "%(asctime)s",
            "%(funcName)s:%(lineno)d",
            "%(thread)d",
            "%(processName)s",
            "%(threadName)s",
            "%(module)s",
            "%(pathname)s",
            "%(msecs)d",
        ],
    )
    def test_formats(self, form):
        """The stdlib's formatter finds what it looks for, first of all."""
        line = logging.Formatter(form).format(make(an_event(), LOGGER))
        assert line

    def test_time_is_the_events(self):
        """The record's time is the event's timestamp."""
        record = make(an_event(timestamp="2026-01-02T03:04:05.678901Z"), LOGGER)
        formatter = logging.Formatter("%(asctime)s")
        formatter.converter = time.gmtime
        assert "2026-01-02 03:04:05,678" == formatter.format(record)

    def test_impossible_day(self):
        """A timestamp that no calendar has gives the record another time, and no error."""
        event = {**an_event().to_dict(), "timestamp": "2026-02-30T00:00:00.000000Z"}
        assert make(event, LOGGER).created > 0

    def test_missing_attribute(self):
        """What a record does not have is an AttributeError, before and after it was filled."""
        record = make(an_event(), LOGGER)
        for _ in range(2):
            with pytest.raises(AttributeError, match="nonsense"):
                record.nonsense
            assert not hasattr(record, "request_id")

    def test_what_filters_set(self):
        """What a filter sets before anybody reads stays set."""
        record = make(an_event(), LOGGER)
        record.request_id, record.levelname, record.thread = 7, "NOTE", 1
        assert (7, "NOTE", 1) == (record.request_id, record.levelname, record.thread)
        assert record.process
        assert (7, "NOTE", 1) == (record.request_id, record.levelname, record.thread)

    def test_thread(self):
        """The thread is the one that made the record, not the one that looks at it."""
        made = []
        thread = threading.Thread(target=lambda: made.append(make(an_event(), LOGGER)), name="me")
        thread.start()
        thread.join()
        assert thread.ident == made[0].thread
        assert threading.current_thread().name != made[0].threadName

    def test_thread_that_still_lives(self):
        """Its name is found as long as it lives."""
        made, done = queue.Queue(), threading.Event()

        def work():
            made.put(make(an_event(), LOGGER))
            done.wait(30)

        thread = threading.Thread(target=work, name="worker-7")
        thread.start()
        record = made.get(timeout=30)
        name = record.threadName
        done.set()
        thread.join()
        assert "worker-7" == name

    def test_without_threads(self):
        """Where logging is told not to look at threads, records have none."""
        logging.logThreads = False
        record = make(an_event(), LOGGER)
        assert (None, None) == (record.thread, record.threadName)

    def test_filled_by_many_threads(self):
        """Threads that look at a fresh record at the same time all find what they look for."""
        wrong = []

        def look(record, start):
            start.wait()
            try:
                assert record.levelname
                assert LOGGER.name == record.name
                assert record.process
            except Exception as error:
                wrong.append(error)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(60):
                record, start = make(an_event(), LOGGER), threading.Barrier(4)
                threads = [threading.Thread(target=look, args=(record, start)) for _ in range(4)]
                for each in threads:
                    each.start()
                for each in threads:
                    each.join()
        finally:
            sys.setswitchinterval(interval)
        assert [] == wrong

    def test_message(self):
        """The message is a summary without content."""
        event = an_event(content=hilt_logging.Content(text="my secret"))
        assert "prompt session=s" == make(event, LOGGER).getMessage()

    def test_repr(self):
        """It shows itself as a record does."""
        assert '<LogRecord: hilt.app.test, 20, (unknown file), 0, "prompt session=s">' == repr(
            make(an_event(), LOGGER)
        )


class TestElsewhere:
    @pytest.mark.parametrize(
        "move",
        [
            copy.copy,
            copy.deepcopy,
            *(
                lambda record, protocol=protocol: pickle.loads(pickle.dumps(record, protocol))
                for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
            ),
        ],
        ids=lambda move: move.__name__,
    )
    def test_moved(self, move):
        """Copied or pickled it is a plain record with everything on it."""
        record = make(an_event(), LOGGER)
        moved = move(record)
        assert logging.LogRecord is type(moved)
        assert vars(record) == vars(moved)

    def test_without_us(self, in_child, tmp_path):
        """It arrives in a process that does not have this package."""
        path = tmp_path / "record"
        path.write_bytes(pickle.dumps(make(an_event(), LOGGER)))
        done = in_child(
            "import sys, pickle\n"
            "sys.modules['hilt_logging'] = sys.modules['msgspec'] = None\n"
            "record = pickle.load(open(sys.argv[1], 'rb'))\n"
            "print(type(record).__name__, record.getMessage(), record.hilt['action'])",
            path,
        )
        assert ("LogRecord prompt session=s prompt\n", "") == (done.stdout, done.stderr)

    def test_socket_handler(self):
        """The stock SocketHandler takes it."""
        handler = logging.handlers.SocketHandler("127.0.0.1", 9)
        sent = pickle.loads(handler.makePickle(make(an_event(), LOGGER))[4:])
        assert "prompt" == sent["hilt"]["action"]

    def test_queue_handler(self):
        """The stock QueueHandler takes it."""
        waiting = queue.Queue()
        logging.handlers.QueueHandler(waiting).handle(make(an_event(), LOGGER))
        record = waiting.get_nowait()
        assert ("prompt session=s", "prompt") == (record.getMessage(), record.hilt["action"])


class TestOtherPeoplesRecords:
    def test_factory(self):
        """A LogRecord factory is asked, and its record carries the event."""

        class Mine(logging.LogRecord):
            pass

        logging.setLogRecordFactory(Mine)
        record = make(an_event(), LOGGER)
        assert Mine is type(record)
        assert ("prompt", "prompt session=s") == (record.hilt["action"], record.getMessage())
        assert ("(unknown file)", 0, "(unknown function)") == (
            record.pathname,
            record.lineno,
            record.funcName,
        )

    def test_logger_class(self):
        """A logger that makes its own records is asked."""

        class Mine(logging.Logger):
            def makeRecord(self, *args, **kwargs):
                record = super().makeRecord(*args, **kwargs)
                record.mine = True
                return record

        record = make(an_event(), Mine("hilt.mine"), caller=("/a.py", 3, "f"))
        assert (True, 3, "f") == (record.mine, record.lineno, record.funcName)


LEVELS = [
    ({"action": "prompt"}, logging.INFO),
    ({"action": "completion_chunk"}, logging.DEBUG),
    ({"action": "completion", "extensions": {"outcome": "completed"}}, logging.INFO),
    *(
        ({"action": "completion", "extensions": {"outcome": outcome}}, logging.WARNING)
        for outcome in [
            "truncated",
            "refused",
            "filtered",
            "retried",
            "closed_early",
            "abandoned",
            "cancelled",
        ]
    ),
    ({"action": "completion", "extensions": {"outcome": "failed"}}, logging.ERROR),
    ({"action": "system", "extensions": {"error": {"type": "X"}}}, logging.ERROR),
    ({"action": "system", "extensions": {"error": None}}, logging.INFO),
    ({"action": "prompt", "extensions": {"outcome": "my own word"}}, logging.INFO),
    ({"action": "prompt", "extensions": {"outcome": ["x"]}}, logging.INFO),
    ({"action": ["x"], "extensions": "x"}, logging.INFO),
    ({}, logging.INFO),
    ([], logging.ERROR),
    (None, logging.ERROR),
]


@pytest.mark.parametrize(("event", "level"), LEVELS)
def test_level(event, level):
    """The level says how it went."""
    assert level == level_of(event)


def test_level_of_kinds():
    """Of an event and of a kind of dict it is the same."""
    import collections

    failed = {"outcome": "failed"}
    assert logging.ERROR == level_of(an_event(extensions=failed))
    given = collections.OrderedDict(action="prompt", extensions=collections.OrderedDict())
    assert logging.INFO == level_of(given)
    given["extensions"] = collections.OrderedDict(failed)
    assert logging.ERROR == level_of(given)


SUMMARIES = [
    (
        {
            "action": "completion",
            "session_id": "conv-42",
            "provenance": {"provider": "openai", "model": "gpt-4o-mini"},
            "metrics": {
                "tokens": {"prompt": 12, "completion": 34},
                "cost_usd": 0.0004,
                "latency_ms": 812,
            },
        },
        "completion openai gpt-4o-mini session=conv-42 tokens=12+34 cost=$0.0004 812ms",
    ),
    (
        {
            "action": "completion",
            "session_id": "s",
            "provenance": {"request_model": "m"},
            "extensions": {"outcome": "truncated", "error": {"type": "Boom", "message": "secret"}},
        },
        "completion m session=s truncated Boom",
    ),
    (
        {"action": "tool_call", "session_id": "s", "extensions": {"tool": {"name": "search"}}},
        "tool_call search session=s",
    ),
    ({"action": "prompt", "session_id": "a b\n\x1b[31m"}, r"prompt session='a b\n\x1b[31m'"),
    (
        {"action": "prompt", "session_id": "s", "metrics": {"cost_usd": 0}},
        "prompt session=s cost=$0",
    ),
    (
        {"action": "prompt", "session_id": "s", "metrics": {"cost_usd": 12}},
        "prompt session=s cost=$12",
    ),
    ({"action": ["x"], "provenance": "y", "metrics": 3, "extensions": None}, "session=None"),
]


@pytest.mark.parametrize(("event", "text"), SUMMARIES, ids=range(len(SUMMARIES)))
def test_summary(event, text):
    """The summary is one line of words, without content and without control characters."""
    assert text == summary(event)


class TestComplete:
    @pytest.mark.parametrize("given", [rated(), an_event()], ids=["dict", "Event"])
    def test_extra(self, given):
        """An event in `extra` is completed once: every later destination has the same one."""
        record = foreign_record(hilt=given)
        first = complete(record)
        assert [] == validate_event(first)
        assert first is complete(record) is record.hilt is event_of(record)
        assert "app" == first["provenance"]["logger"]

    def test_structlog(self):
        """Likewise one in the event dict that structlog hands over."""
        record = foreign_record(msg={"event": "rated", "hilt": rated()})
        first = complete(record)
        assert first is complete(record) is record.msg["hilt"]

    def test_loguru(self):
        """Likewise one in loguru's `extra`."""
        record = foreign_record(extra={"hilt": rated()})
        first = complete(record)
        assert first is complete(record) is record.extra["hilt"]

    def test_none(self):
        """A record without an event has none."""
        for record in (foreign_record(), foreign_record(hilt=None), foreign_record(extra={})):
            assert complete(record) is None

    def test_moved(self):
        """The id stays when the record is pickled and completed where it arrives."""
        record = foreign_record(hilt=rated())
        first = complete(record)
        moved = pickle.loads(pickle.dumps(record))
        assert first == complete(moved)

    def test_time(self):
        """Id and timestamp are of the moment at which the record was made."""
        record = foreign_record(hilt=rated(), created=1_772_366_400.25)
        assert "2026-03-01T12:00:00.250000Z" == complete(record)["timestamp"]

    @pytest.mark.parametrize(
        "created", [float("nan"), float("inf"), -1.0, 1e30, 4e9, "x", None, 10**400]
    )
    def test_impossible_time(self, created):
        """A record that says something impossible gets the time of now, and spoils no later id."""
        plain = complete(foreign_record(hilt=rated(), created=created))
        assert [] == validate_event(plain)
        later = Event(actor=Actor(type="human", id="x"), action="prompt")
        now_ms = time.time_ns() // 10**6
        assert abs(int(later.event_id.replace("-", "")[:12], 16) - now_ms) < 120_000
        assert plain["timestamp"][:4] == later.timestamp[:4]

    def test_replaced_by_a_filter(self):
        """An event that a filter put in place of ours is completed, and is valid again."""
        record = make(an_event(), LOGGER)
        record.hilt = {**record.hilt, "content": {"text": "***"}}
        assert "***" == complete(record)["content"]["text"]
        record.hilt = an_event()
        assert "prompt" == complete(record)["action"]
        record.hilt = {"nonsense": 1}
        plain = complete(record)
        assert ([], "system") == (validate_event(plain), plain["action"])
        del record.hilt
        assert complete(record) is None

    def test_record_that_can_not_be_hashed(self):
        """A record class with an equality of its own is served too."""

        class Odd(logging.LogRecord):
            def __eq__(self, other):
                raise RuntimeError

            __hash__ = None

        record = Odd("app", 20, "", 0, "m", (), None)
        record.hilt = rated()
        assert complete(record)["event_id"] == complete(record)["event_id"]

    @pytest.mark.parametrize("name", [None, 7, b"x", "\ud800"])
    def test_odd_name(self, name):
        """Whatever the record's name is."""
        plain = complete(foreign_record(hilt=rated(), name=name))
        assert ([], "feedback") == (validate_event(plain), plain["action"])
        json.dumps(plain).encode()


WRONG = [
    None,
    7,
    "text",
    b"bytes",
    [],
    [("action", "prompt")],
    object(),
    {},
    {"action": "prompt"},
    {**rated(), "action": "x"},
    {**rated(), "action": None},
    {**rated(), "actor": "bob"},
    {**rated(), "timestamp": "yesterday"},
    {**rated(), "timestamp": 5},
    {**rated(), "session_id": 7},
    {**rated(), "hilt_version": "9"},
    {**rated(), "content": "text"},
    {**rated(), "metrics": {"tokens": {"prompt": "x"}}},
    {**rated(), "extensions": []},
    {**rated(), "integrity": 1},
    {**rated(), "provenance": "x"},
    {**rated(), "privacy": [1]},
    {**rated(), "metrics": {"cost_usd": "1"}, "extensions": {"original": "x"}, "action": 1},
    (event for event in ()),
    lambda: None,
    Event,
    float("nan"),
    {1: 2},
    {"actor": {"type": "x"}},
]


class TestInvalid:
    @pytest.mark.parametrize("given", WRONG[1:], ids=range(1, len(WRONG)))
    def test_carried(self, given):
        """What is no event becomes a valid `system` event that carries it and says what is wrong."""
        plain = complete(foreign_record(hilt=given))
        assert [] == validate_event(plain)
        assert ("system", "failed") == (plain["action"], plain["extensions"]["outcome"])
        assert "InvalidEventError" == plain["extensions"]["error"]["type"]
        assert "$" in plain["extensions"]["error"]["message"]
        assert "invalid_event" in plain["extensions"]
        assert logging.ERROR == level_of(plain)

    def test_keeps_what_it_was(self):
        """Nothing of what was given is lost."""
        given = {**rated(), "action": "x", "content": {"text": "Hi"}, "session_id": "s9"}
        plain = complete(foreign_record(hilt=given))
        assert given == plain["extensions"]["invalid_event"]
        assert "s9" == plain["session_id"]

    @pytest.mark.parametrize("given", WRONG, ids=range(len(WRONG)))
    def test_strict(self, given):
        """Who asks for strictness gets the error."""
        with pytest.raises(InvalidEventError, match=r"^\$"):
            make(given, LOGGER, strict=True)

    def test_what_can_be_mended(self):
        """What other tools write differently is an event all the same."""
        given = {
            **rated(),
            "timestamp": "2026-01-02T03:04:05+01:00",
            "metrics": {"cost_usd": "0,5"},
        }
        plain = complete(foreign_record(hilt=given))
        assert ("feedback", "2026-01-02T02:04:05.000000Z", 0.5) == (
            plain["action"],
            plain["timestamp"],
            plain["metrics"]["cost_usd"],
        )


class TestContext:
    def test_added(self):
        """What is bound is added to every event."""
        with bind("conv", "u1", trace_id="t", span_id="p", consent={"v": 1}, tenant="acme"):
            plain = make(rated(), LOGGER).hilt
        assert "conv" == plain["session_id"]
        assert {"trace_id": "t", "span_id": "p", "logger": LOGGER.name} == plain["provenance"]
        assert {"consent": {"v": 1}} == plain["privacy"]
        assert {"tenant": "acme", "user_id": "u1"} == plain["extensions"]
        assert "bob" == plain["actor"]["id"]

    def test_own_fields_win(self):
        """Nothing that the event says itself is overwritten."""
        own = {
            "session_id": "mine",
            "provenance": {"trace_id": "own", "logger": "own"},
            "privacy": {"consent": {"own": True}},
            "extensions": {"user_id": "own", "tenant": None},
        }
        with bind("conv", "u1", trace_id="t", span_id="p", consent={}, tenant="acme"):
            plain = make({**rated(), **own}, LOGGER).hilt
        assert own == {name: plain[name] for name in own}

    def test_human_without_an_id(self):
        """The bound user is the human actor's id."""
        with bind(user_id="u1"):
            plain = make({"actor": {"type": "human"}, "action": "prompt"}, LOGGER).hilt
        assert {"type": "human", "id": "u1"} == plain["actor"]

    def test_not_shared(self):
        """Events do not share what was bound."""
        with bind(tags=["a"]):
            first, second = make(rated(), LOGGER).hilt, make(rated(), LOGGER).hilt
        first["extensions"]["tags"].append("b")
        assert ["a"] == second["extensions"]["tags"]

    def test_does_not_change_the_event(self):
        """The caller's event and dict stay as they were."""
        event, given = an_event(), rated()
        with bind("conv", "u1", tenant="acme"):
            make(event, LOGGER)
            make(given, LOGGER)
        assert {} == event.extensions
        assert rated() == given

    def test_integrity_is_last(self):
        """Whatever was added, the evidence stays last."""
        with bind(tenant="acme"):
            given = {**rated(), "integrity": {"seq": 1}, "zeta": 1}
            assert ["zeta", "integrity"] == list(make(given, LOGGER).hilt)[-2:]


def test_public_names():
    """The module says what may be used."""
    assert {"make", "complete", "event_of", "level_of", "summary"} < set(records.__all__)


class TestLine:
    """A record holds the line of its event until somebody asks for the dict."""

    def record(self):
        event = Event(
            session_id="s",
            actor=Actor(type="human", id="a"),
            action="prompt",
            content=Content(text="SECRET"),
        )
        return records.make(event, logging.getLogger("hilt"))

    def test_line_is_written_as_it_is(self):
        """The formatter gives the very line."""
        record = self.record()
        assert record.hilt_line is HILTFormatter().line(record)

    def test_dict_may_be_changed(self):
        """What a filter changes in the dict is what is written."""
        record = self.record()
        record.hilt["content"]["text"] = "[redacted]"
        assert b"SECRET" not in HILTFormatter().line(record)

    def test_dict_may_be_replaced(self):
        """What a filter puts in place of the dict, before anybody looked, is what is written."""
        record = self.record()
        record.hilt = {**self.record().hilt, "content": {"text": "[redacted]"}}
        line = HILTFormatter().line(record)
        assert b"SECRET" not in line
        assert b"[redacted]" in line

    def test_replacement_is_completed(self):
        """What is put in its place is checked as any event is."""
        record = self.record()
        record.hilt = {"action": "nope"}
        assert "system" == records.complete(record)["action"]

    def test_dict_may_be_deleted(self):
        """What a filter deletes does not come back."""
        record = self.record()
        del record.hilt
        assert not hasattr(record, "hilt")
        assert records.event_of(record) is None
        assert b"SECRET" not in HILTFormatter().line(record)

    def test_copy_of_the_record_is_the_same_event(self):
        """A copy that went through a queue stands for the same event as the record itself."""
        record = self.record()
        key = records.key_of(record)
        assert key is records.key_of(copy.copy(record))
        assert key is records.key_of(record)

    def test_ascii_has_a_line_of_its_own(self):
        """A formatter with content options does not take the record's line."""
        event = Event(session_id="s", actor=Actor(type="human", id="a"), action="prompt")
        event.content = Content(text="é")
        record = records.make(event, logging.getLogger("hilt"))
        assert b"\\u00e9" in HILTFormatter(ascii=True).line(record)

    def test_copy_is_complete(self):
        """A copy that went through a queue is not completed again."""
        twin = copy.copy(self.record())
        assert twin.hilt is complete(twin)
