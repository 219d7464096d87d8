"""The queue and thread in front of a handler: exits, forks, stalls, full queues, recursion."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import itertools
import json
import logging
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
import time

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hilt_logging

from hilt_logging import BackgroundHandler, HILTFileHandler, HILTFormatter, bind, emit
from hilt_logging.errors import ConfigurationError


posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def prompt(text="Hi", **fields):
    return {
        "actor": {"type": "human", "id": "bob"},
        "action": "prompt",
        "content": {"text": text},
        **fields,
    }


class Target(logging.Handler):
    """Keeps what it gets, after it passed a gate that a test may shut."""

    def __init__(self):
        super().__init__()
        self.records = []
        self.threads = set()
        self.gate = threading.Event()
        self.gate.set()

    def emit(self, record):
        self.gate.wait(30)
        self.threads.add(threading.get_ident())
        self.records.append(record)

    def said(self):
        return [record.getMessage() for record in self.records]


@pytest.fixture
def target():
    made = Target()
    yield made
    made.gate.set()


@pytest.fixture
def log():
    """A logger of ordinary records, by itself."""
    logger = logging.getLogger("hilt_test_background")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for each in logger.handlers[:]:
        logger.removeHandler(each)


@pytest.fixture
def background(log, target):
    """Puts a background handler in front of the target, or of another one, on a logger."""
    made = []

    def make(front=None, logger=log, **options):
        handler = BackgroundHandler(target if front is None else front, **options)
        logger.addHandler(handler)
        made.append(handler)
        return handler

    yield make
    target.gate.set()
    for each in made:
        log.removeHandler(each)
        each.close()


def balanced(handler):
    stats = handler.stats()
    assert stats["accepted"] == stats["written"] + stats["pending"] + stats["dropped"]
    assert stats["dropped"] == sum(stats["dropped_by"].values())
    assert min(stats["written"], stats["pending"], stats["dropped"]) >= 0
    return stats


def stuck(handler, target, log):
    """Shut the gate, and wait until the thread stands before it with one record in hand."""
    target.gate.clear()
    log.info("in hand")
    until(lambda: not handler._items)


def until(true, timeout=30):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"target": None}, "Invalid target: None. Must be another handler; in a dictConfig"),
            ({"target": "file"}, "Invalid target: 'file'. Must be another handler; in a dict"),
            ({"capacity": 0}, "Invalid capacity: 0. Must be a whole number from 1"),
            ({"capacity": True}, "Invalid capacity: True. Must be a whole number from 1"),
            ({"capacity": "10"}, "Invalid capacity: '10'. Must be a whole number from 1"),
            ({"drain_timeout": -1}, "Invalid drain_timeout: -1. Must be seconds from 0"),
            ({"drain_timeout": "5s"}, "Invalid drain_timeout: '5s'. Must be seconds from 0"),
            (
                {"drain_timeout": float("inf")},
                "Invalid drain_timeout: inf. Must be seconds from 0",
            ),
            *(
                (
                    {"when_full": wrong},
                    f"Invalid when_full: {wrong!r}. Must be drop, or a time as in "
                    '"block:1s" or "block:500ms"',
                )
                for wrong in ("block", "block:", "block:1", "block:-1s", "block:1h", "raise", None)
            ),
            (
                {"flushLevel": 30},
                "Invalid option of BackgroundHandler: 'flushLevel'. Must be one of: capacity, "
                "drain_timeout, target, when_full",
            ),
        ],
    )
    def test_wrong(self, options, text):
        """A wrong option is named with its value and what is allowed."""
        with pytest.raises(ConfigurationError) as caught:
            BackgroundHandler(**{"target": Target(), **options})
        assert str(caught.value).startswith(text)

    def test_target_that_would_raise(self, tmp_path):
        """Nobody is there to raise to when the event is written."""
        file = HILTFileHandler(tmp_path / "x", on_error="raise")
        with pytest.raises(ConfigurationError, match="Invalid on_error: 'raise'"):
            BackgroundHandler(file)
        file.close()

    @pytest.mark.parametrize(
        ("when_full", "seconds"),
        [("drop", 0), ("block:1s", 1), ("block:500ms", 0.5), ("block:0.25s", 0.25)],
    )
    def test_when_full(self, target, when_full, seconds):
        """A caller waits for as long as `when_full` says."""
        assert seconds == BackgroundHandler(target, when_full=when_full)._patience_s

    def test_set_target(self, background, target, log):
        """The target can be replaced, by a handler only."""
        handler, other = background(), Target()
        handler.setTarget(other)
        log.info("x")
        assert handler.flush()
        assert (["x"], []) == (other.said(), target.said())
        for wrong in (None, handler):
            with pytest.raises(ConfigurationError, match="Invalid target"):
                handler.setTarget(wrong)

    def test_repr(self, target):
        """It shows its target and its level."""
        handler = BackgroundHandler(target)
        assert f"<BackgroundHandler of {target!r} (NOTSET)>" == repr(handler)


class TestDictConfig:
    @pytest.mark.parametrize("name", ["a", "z"])
    def test_target_by_name(self, tmp_path, lines, name):
        """The target is named, whatever the order of the names, and has formatter and options."""
        path = tmp_path / "x.jsonl"
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"hilt": {"()": "hilt_logging.HILTFormatter", "ascii": True}},
                "handlers": {
                    "file": {
                        "class": "hilt_logging.HILTFileHandler",
                        "filename": str(path),
                        "formatter": "hilt",
                    },
                    name: {
                        "class": "hilt_logging.handlers.BackgroundHandler",
                        "target": "file",
                        "capacity": 100,
                        "when_full": "drop",
                        "drain_timeout": 2,
                        "level": "INFO",
                    },
                },
                "loggers": {"hilt": {"level": "DEBUG", "handlers": [name], "propagate": False}},
            }
        )
        ids = [emit(prompt("é")), emit(prompt("é"))]
        (handler,) = logging.getLogger("hilt").handlers[-1:]
        assert handler.flush()
        assert (100, 0.0, 2) == (handler.capacity, handler._patience_s, handler._drain_timeout)
        assert ids == [event["event_id"] for event in lines(path)]
        assert path.read_bytes().isascii()

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"target": "file", "when_full": "x"}, "Invalid when_full: 'x'. Must be drop, or"),
            ({"target": "file", "colour": "x"}, "Invalid option of BackgroundHandler: 'colour'."),
            ({}, "Invalid target: None. Must be another handler"),
        ],
    )
    def test_wrong(self, options, text):
        """The cause of dictConfig's error says what is wrong."""
        background = {"class": "hilt_logging.BackgroundHandler", **options}
        with pytest.raises(ValueError, match="background") as caught:
            logging.config.dictConfig(
                {
                    "version": 1,
                    "disable_existing_loggers": False,
                    "handlers": {
                        "file": {"class": "logging.NullHandler"},
                        "background": background,
                    },
                }
            )
        error = caught.value
        while error.__cause__ is not None:
            error = error.__cause__
        assert str(error).startswith(text)

    def test_configured_again(self, tmp_path, hilt, lines):
        """A new configuration closes the old handler; what is logged through it is kept."""
        path = tmp_path / "x.jsonl"
        handler = BackgroundHandler(HILTFileHandler(path))
        hilt.addHandler(handler)
        ids = [emit(prompt()) for _ in range(50)]
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        assert 50 == len(lines(path))
        hilt.addHandler(handler)
        ids.append(emit(prompt()))
        assert ids == [event["event_id"] for event in lines(path)]


class TestHandsOver:
    def test_in_another_thread(self, background, target, log):
        """The target is called in a thread of its own."""
        handler = background()
        log.info("x")
        assert handler.flush()
        assert threading.get_ident() not in target.threads
        assert ["x"] == target.said()
        assert {"accepted": 1, "written": 1, "pending": 0, "dropped": 0, "dropped_by": {}} == (
            balanced(handler)
        )

    def test_no_thread_without_a_record(self, background, target):
        """The thread is started by the first record, so that a server may fork before."""
        before = threading.active_count()
        handler = background()
        assert handler.flush()
        assert before == threading.active_count()

    def test_thread_ends(self, background, log):
        """`close` ends the thread; it may be called again."""
        before = threading.active_count()
        handler = background()
        log.info("x")
        handler.close()
        handler.close()
        assert before == threading.active_count()

    def test_after_a_pause(self, background, target, log):
        """A thread that has gone to sleep is woken, time and again."""
        handler = background()
        for number in range(5):
            log.info("%d", number)
            until(lambda: handler._sleeps and not handler._items)
        assert list("01234") == target.said()
        assert 1 == len(target.threads)

    def test_own_level_and_filters(self, background, target, log):
        """Level and filters of both handlers count."""
        handler = background()
        handler.setLevel(logging.INFO)
        handler.addFilter(lambda record: "no" not in record.msg)
        target.setLevel(logging.WARNING)
        target.addFilter(lambda record: "never" not in record.msg)
        for level, said in [(10, "a"), (20, "b"), (30, "c"), (30, "no"), (40, "never"), (40, "d")]:
            log.log(level, said)
        assert handler.flush()
        assert ["c", "d"] == target.said()

    def test_filter_that_returns_a_record(self, background, target, log):
        """A filter may put another record in place, on every Python."""
        handler = background()

        def redact(record):
            made = copy.copy(record)
            made.msg = "***"
            return made

        handler.addFilter(redact)
        log.info("my secret")
        assert handler.flush()
        assert ["***"] == target.said()

    def test_filter_that_raises(self, background, target, log, capfd):
        """A filter that fails lets nothing pass, raises nothing, and is counted."""
        handler = background()

        def fail(record):
            raise RuntimeError("my secret")

        handler.addFilter(fail)
        log.info("x")
        assert handler.flush()
        assert ({"RuntimeError": 1}, []) == (balanced(handler)["dropped_by"], target.said())
        assert "secret" not in capfd.readouterr().err

    def test_threads(self, background, target, log):
        """Of eight threads with 2,000 records each all are handled, once, in order per thread."""
        handler = background(capacity=500, when_full="block:30s")

        def work(name):
            for number in range(2000):
                log.info("%s %d", name, number)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert handler.flush(60)
        for name in "abcdefgh":
            expected = [f"{name} {number}" for number in range(2000)]
            assert expected == [said for said in target.said() if said[0] == name]
        assert (16_000, 0) == (balanced(handler)["written"], balanced(handler)["dropped"])

    def test_balance_at_any_moment(self, background, target, log):
        """While threads log, accepted is written + pending + dropped."""
        handler = background(capacity=20, when_full="drop")
        stop = threading.Event()

        def work():
            while not stop.is_set():
                log.info("x")

        threads = [threading.Thread(target=work) for _ in range(3)]
        for each in threads:
            each.start()
        for _ in range(300):
            balanced(handler)
        stop.set()
        for each in threads:
            each.join()
        assert handler.flush()
        stats = balanced(handler)
        assert (0, len(target.records)) == (stats["pending"], stats["written"])


class TestSnapshot:
    def test_arguments(self, background, target, log):
        """What is logged is what the arguments were, whatever becomes of them."""
        handler = background()
        stuck(handler, target, log)
        given = {"a": [1]}
        log.info("%s", [given])
        given["a"].append(2)
        target.gate.set()
        assert handler.flush()
        assert "[{'a': [1]}]" == target.said()[1]

    def test_wrong_arguments(self, background, capsys):
        """A message that can't be formatted is the target's to report."""
        stream = io.StringIO()
        handler = background(logging.StreamHandler(stream))
        handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
        assert handler.flush()
        assert "TypeError" in capsys.readouterr().err
        assert 1 == balanced(handler)["written"]

    def test_exception(self, background, log):
        """A traceback arrives, also when the record was shown by another handler before."""
        stream, other = io.StringIO(), logging.StreamHandler(io.StringIO())
        log.addHandler(other)
        handler = background(logging.StreamHandler(stream))
        try:
            raise ValueError("boom")
        except ValueError:
            log.exception("failed")
        assert handler.flush()
        assert "ValueError: boom" in stream.getvalue()
        assert stream.getvalue().startswith("failed\nTraceback")

    def test_event(self, background, target, hilt):
        """The event of `emit` is what it was, whatever later handlers do to their record."""
        handler = background(logger=hilt)

        class Spoils(logging.Handler):
            def emit(self, record):
                if hasattr(record, "hilt"):
                    record.hilt["content"]["text"] = "spoilt"

        hilt.addHandler(Spoils())
        stuck(handler, target, logging.getLogger("hilt"))
        with bind(session_id="conv-7"):
            event_id = emit(prompt("as it was"))
            emit(hilt_logging.Event(**_typed("typed")))
        target.gate.set()
        assert handler.flush()
        _, first, second = target.records
        assert (event_id, "conv-7") == (first.hilt["event_id"], first.hilt["session_id"])
        assert ("as it was", "typed") == tuple(
            each.hilt["content"]["text"] for each in (first, second)
        )

    def test_event_that_was_read(self, background, target, hilt):
        """Also when a handler before has asked for the event as a dict."""

        class Reads(logging.Handler):
            def emit(self, record):
                self.hilt = getattr(record, "hilt", None)

        reads = Reads()
        hilt.addHandler(reads)
        handler = background(logger=hilt)
        stuck(handler, target, logging.getLogger("hilt"))
        emit(hilt_logging.Event(**_typed("as it was")))
        reads.hilt["content"]["text"] = "spoilt"
        target.gate.set()
        assert handler.flush()
        assert "as it was" == target.records[1].hilt["content"]["text"]

    def test_attributes(self, background, target, hilt):
        """What a filter put on the record, and who logged it, go along."""
        handler = background(logger=hilt)

        def add(record):
            record.request = "r-1"
            return True

        handler.addFilter(add)
        emit(hilt_logging.Event(**_typed()), logger="hilt.app.x", find_caller=True)
        assert handler.flush()
        (record,) = target.records
        assert ("r-1", "hilt.app.x", "INFO") == (record.request, record.name, record.levelname)
        assert (threading.get_ident(), "test_attributes") == (record.thread, record.funcName)
        assert record.getMessage().startswith("prompt session=")

    def test_thread_that_has_ended(self, background, target, hilt):
        """The thread that logged keeps its name, though it ends before its record is handled."""
        handler = background(logger=hilt)
        stuck(handler, target, hilt)
        thread = threading.Thread(target=lambda: emit(prompt()), name="worker-7")
        thread.start()
        thread.join()
        target.gate.set()
        assert handler.flush()
        assert "worker-7" == target.records[-1].threadName

    def test_task(self, background, target, hilt):
        """So does the task, on Pythons whose records know it."""
        handler = background(logger=hilt)

        async def work():
            emit(prompt())

        async def main():
            await asyncio.create_task(work(), name="task-7")

        asyncio.run(main())
        emit(prompt())
        assert handler.flush()
        expected = ["task-7", None] if sys.version_info >= (3, 12) else [None, None]
        assert expected == [getattr(record, "taskName", None) for record in target.records]

    def test_attributes_of_later(self, background, target, hilt):
        """What handlers after it put on the record is not on the one that waits."""
        handler = background(logger=hilt)
        stuck(handler, target, hilt)

        class Marks(logging.Handler):
            def emit(self, record):
                record.mark = "later"

        hilt.addHandler(Marks())
        emit(prompt())
        target.gate.set()
        assert handler.flush()
        assert not hasattr(target.records[-1], "mark")

    def test_users_own(self, background, target, hilt, tmp_path, lines):
        """An event on a record is completed with what is bound where it is logged, once for all."""
        handler = background(logger=hilt)
        direct = HILTFileHandler(tmp_path / "direct")
        hilt.addHandler(direct)
        event = prompt("own")
        with bind(session_id="conv-9", user_id="bob"):
            hilt.info("rated %s", "well", extra={"hilt": event})
        event["content"]["text"] = "spoilt"
        assert handler.flush()
        (record,) = target.records
        assert ("rated well", "conv-9") == (record.getMessage(), record.hilt["session_id"])
        assert [record.hilt] == lines(tmp_path / "direct")
        assert "own" == record.hilt["content"]["text"]

    def test_structlog(self, background, target, log):
        """A message that is a dict, as structlog's, stays one, detached; its event is completed."""
        handler = background()
        said = {"event": "rated", "hilt": prompt()}
        with bind(session_id="conv-11"):
            log.info(said)
        said["event"] = "spoilt"
        log.info({"event": "plain"})
        assert handler.flush()
        first, second = target.records
        assert ("rated", "conv-11") == (first.msg["event"], first.msg["hilt"]["session_id"])
        assert {"event": "plain"} == second.msg

    def test_no_json(self, background, target, hilt):
        """What a filter spoils arrives as JSON values all the same."""
        handler = background(logger=hilt)

        def spoil(record):
            record.hilt["extensions"] = {"x": object()}
            return True

        hilt.addFilter(spoil)
        emit(prompt())
        assert handler.flush()
        assert {"x": {"$type": "builtins.object"}} == target.records[0].hilt["extensions"]

    def test_twice_in_a_chain(self, hilt, background, tmp_path, lines):
        """A file behind two background handlers of one chain gets an event once."""
        file = HILTFileHandler(tmp_path / "x")
        first = background(file, logger=hilt)
        second = background(file, logger=logging.getLogger("hilt.app"))
        for _ in range(20):
            emit(hilt_logging.Event(**_typed()), logger="hilt.app")
            logging.getLogger("hilt.app").info("x", extra={"hilt": prompt()})
            assert first.flush()
            assert second.flush()
        assert 40 == len(lines(tmp_path / "x"))


def _typed(text="Hi"):
    return {
        "session_id": "conv-42",
        "actor": hilt_logging.Actor(type="human", id="alice"),
        "action": "prompt",
        "content": hilt_logging.Content(text=text),
    }


class TestTargets:
    def test_file(self, hilt, background, tmp_path, lines):
        """Events reach a file as they are, in their order."""
        handler = background(HILTFileHandler(tmp_path / "x"), logger=hilt)
        ids = [emit(prompt(str(number))) for number in range(3000)]
        assert handler.flush(30)
        assert ids == [event["event_id"] for event in lines(tmp_path / "x")]

    def test_stream(self, hilt, background, strict_json):
        """Any stdlib handler can be the target."""
        stream = io.StringIO()
        front = logging.StreamHandler(stream)
        front.setFormatter(HILTFormatter())
        handler = background(front, logger=hilt)
        event_id = emit(prompt())
        assert handler.flush()
        assert event_id == strict_json(stream.getvalue())["event_id"]

    def test_python_json_logger(self, hilt, background):
        """python-json-logger shows the event as an extra."""
        json_logger = pytest.importorskip("pythonjsonlogger.json")
        stream = io.StringIO()
        front = logging.StreamHandler(stream)
        front.setFormatter(json_logger.JsonFormatter("%(message)s"))
        handler = background(front, logger=hilt)
        ids = [emit(prompt()), emit(hilt_logging.Event(**_typed()))]
        assert handler.flush()
        assert ids == [json.loads(x)["hilt"]["event_id"] for x in stream.getvalue().splitlines()]

    def test_processor_formatter(self, log, background):
        """structlog's ProcessorFormatter renders what its loggers send."""
        structlog = pytest.importorskip("structlog")
        stream = io.StringIO()
        front = logging.StreamHandler(stream)
        front.setFormatter(
            structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer())
        )
        handler = background(front)
        bound = structlog.wrap_logger(
            log, processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
        )
        bound.info("rated", stars=5)
        assert handler.flush()
        assert "rated" in stream.getvalue()


class TestFull:
    def test_drop(self, background, target, log, capfd):
        """A full queue costs records, which are counted and told once, not the caller's time."""
        handler = background(capacity=10, when_full="drop")
        stuck(handler, target, log)
        began = time.monotonic()
        for number in range(1000):
            log.info("my secret %d", number)
        assert time.monotonic() - began < 1
        assert ({"full": 990}, 11) == (balanced(handler)["dropped_by"], handler.stats()["pending"])
        target.gate.set()
        assert handler.flush()
        assert [f"my secret {number}" for number in range(10)] == target.said()[1:]
        err = capfd.readouterr().err
        assert err.startswith("hilt_logging: BackgroundHandler of Target: ")
        assert (1, False) == (err.count("\n"), "secret" in err)

    def test_block_then_room(self, background, target, log):
        """A caller that waits goes on as soon as there is room; nothing is lost."""
        handler = background(capacity=2, when_full="block:30s")
        stuck(handler, target, log)
        threading.Timer(0.1, target.gate.set).start()
        for number in range(20):
            log.info("%d", number)
        assert handler.flush()
        assert (21, 0) == (balanced(handler)["written"], handler.stats()["dropped"])

    def test_block_is_bounded(self, background, target, log):
        """A caller waits once for a target that does not move, then records are dropped."""
        handler = background(capacity=2, when_full="block:200ms")
        stuck(handler, target, log)
        began = time.monotonic()
        for number in range(500):
            log.info("%d", number)
        assert 0.2 <= time.monotonic() - began < 5
        assert {"full": 498} == balanced(handler)["dropped_by"]
        target.gate.set()
        assert handler.flush()
        log.info("again")
        assert handler.flush()
        assert (4, 498) == (balanced(handler)["written"], handler.stats()["dropped"])

    def test_stalled_disk(self, background, target, log):
        """While the target stalls for two seconds neither caller nor event loop wait."""
        handler = background(capacity=100, when_full="drop")

        class Stalls(Target):
            def emit(self, record):
                if record.getMessage() == "stall":
                    time.sleep(2)
                super().emit(record)

        stalls = Stalls()
        handler.setTarget(stalls)
        lags, calls = [], []

        async def ticks(stop):
            while not stop.is_set():
                began = time.monotonic()
                await asyncio.sleep(0.005)
                lags.append(time.monotonic() - began)

        async def main():
            stop = asyncio.Event()
            task = asyncio.create_task(ticks(stop))
            log.info("stall")
            for number in range(400):
                began = time.monotonic()
                log.info("%d", number)
                calls.append(time.monotonic() - began)
                await asyncio.sleep(0.002)
            stop.set()
            await task

        asyncio.run(main())
        assert max(calls) < 1
        assert max(lags) < 1
        assert handler.flush()
        stats = balanced(handler)
        assert (401, len(stalls.records)) == (stats["accepted"], stats["written"])
        assert stats["dropped"] == stats["dropped_by"]["full"] > 0


class TestTrouble:
    def test_target_that_raises(self, background, log, capfd):
        """A target that raises is counted, told once without content, and asked again."""

        class Raises(Target):
            def emit(self, record):
                if record.getMessage().startswith("my secret"):
                    raise OSError("my secret")
                super().emit(record)

        target = Raises()
        handler = background(target)
        for number in range(50):
            log.info("my secret %d", number)
        log.info("fine")
        assert handler.flush()
        assert ({"OSError": 50}, ["fine"]) == (balanced(handler)["dropped_by"], target.said())
        err = capfd.readouterr().err
        assert (1, False) == (err.count("\n"), "secret" in err)

    def test_target_that_exits(self, background, log):
        """Not even SystemExit ends the thread."""

        class Exits(Target):
            def emit(self, record):
                if record.getMessage() == "exit":
                    raise SystemExit(3)
                super().emit(record)

        target = Exits()
        handler = background(target)
        log.info("exit")
        log.info("fine")
        assert handler.flush()
        assert ({"SystemExit": 1}, ["fine"]) == (balanced(handler)["dropped_by"], target.said())

    @pytest.mark.parametrize("closed", [False, True])
    def test_target_that_logs(self, background, log, closed):
        """A target that logs whenever it handles is heard, but not for ever."""

        class Logs(Target):
            def emit(self, record):
                super().emit(record)
                log.info("again %s", record.getMessage())

        target = Logs()
        handler = background(target)
        if closed:
            handler.close()
        for _ in range(5):
            log.info("x")
        assert handler.flush()
        assert ({"recursion": 5}, 20) == (balanced(handler)["dropped_by"], len(target.records))

    def test_target_that_closes(self, background, log):
        """A target that closes the handler in front of it, and logs, is not called by itself."""

        class Closes(Target):
            depth = 0

            def emit(self, record):
                self.depth += 1
                assert self.depth == 1
                super().emit(record)
                handler.close()
                if record.getMessage() == "x":
                    log.info("more")
                self.depth -= 1

        target = Closes()
        handler = background(target)
        handler.close()
        log.info("x")
        assert (["x", "more"], {}) == (target.said(), balanced(handler)["dropped_by"])

    def test_target_that_flushes(self, background, log):
        """A target that flushes or closes the handler in front of it does not hang."""

        class Flushes(Target):
            def emit(self, record):
                super().emit(record)
                self.flushed = handler.flush()
                handler.close()

        target = Flushes()
        handler = background(target)
        log.info("x")
        until(lambda: len(target.records) == 1)
        until(lambda: balanced(handler)["written"] == 1)
        assert target.flushed
        log.info("y")
        until(lambda: ["x", "y"] == target.said())

    def test_flush_is_bounded(self, background, target, log):
        """`flush` says that it waited in vain, after the time that it was given or its own."""
        handler = background(drain_timeout=0.1)
        stuck(handler, target, log)
        began = time.monotonic()
        assert (False, False) == (handler.flush(0.1), handler.flush())
        assert 0.2 <= time.monotonic() - began < 5
        target.gate.set()
        assert handler.flush(30)

    def test_close_is_bounded(self, background, target, log):
        """What `close` can't wait for is left to the thread, which goes on."""
        handler = background(drain_timeout=0.1)
        stuck(handler, target, log)
        log.info("left")
        handler.close()
        assert 2 == balanced(handler)["pending"]
        log.info("late")
        target.gate.set()
        until(lambda: len(target.records) == 3)
        assert ["in hand", "left", "late"] == target.said()

    def test_after_close(self, background, target, log):
        """Records that come after `close` are handed over by their caller, at once."""
        handler = background()
        log.info("a")
        handler.close()
        log.info("b")
        assert ["a", "b"] == target.said()
        assert threading.get_ident() in target.threads
        assert 2 == balanced(handler)["written"]

    def test_interrupted_after_close(self, background, log):
        """Ctrl-C while a caller hands over reaches the caller, and the record is counted."""

        class Interrupts(Target):
            def emit(self, record):
                raise KeyboardInterrupt

        handler = background(Interrupts())
        handler.close()
        with pytest.raises(KeyboardInterrupt):
            log.info("x")
        handler.setTarget(fine := Target())
        log.info("y")
        assert (["y"], {"KeyboardInterrupt": 1}) == (fine.said(), balanced(handler)["dropped_by"])

    def test_closed_under_load(self, target, log):
        """Closed while threads log, nothing is lost or handled out of order."""
        for _ in range(10):
            front, stop, counts = Target(), threading.Event(), {}
            handler = BackgroundHandler(front)
            log.handlers[:] = [handler]

            def work(name, stop=stop, counts=counts):
                for number in itertools.count():
                    if stop.is_set():
                        counts[name] = number
                        return
                    log.info("%s %d", name, number)

            threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
            for each in threads:
                each.start()
            time.sleep(0.02)
            handler.close()
            time.sleep(0.01)
            stop.set()
            for each in threads:
                each.join()
            assert handler.flush()
            for name, count in counts.items():
                expected = [f"{name} {number}" for number in range(count)]
                assert expected == [said for said in front.said() if said[0] == name]
            assert sum(counts.values()) == balanced(handler)["written"]

    @pytest.mark.parametrize("when", ["first", "later"])
    def test_no_thread_can_be_started(self, background, target, log, monkeypatch, when):
        """Where no thread can be started records are handed over by their caller."""

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        handler = background()
        log.info("a")
        log.info("b")
        assert ["a", "b"] == target.said()
        monkeypatch.undo()
        log.info("c")
        assert handler.flush()
        assert (["a", "b", "c"], 2) == (target.said(), len(target.threads))

    @posix
    def test_signals(self, background, target, log):
        """A signal handler that logs, at any moment, neither hangs nor loses a record."""
        handler = background(capacity=1_000_000)
        counts = [0, 0]

        def on_alarm(number, frame):
            counts[1] += 1
            log.info("signal")

        before = signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            until_ = time.monotonic() + 0.5
            while time.monotonic() < until_:
                log.info("x")
                counts[0] += 1
                if counts[0] % 100 == 0:
                    handler.flush()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert handler.flush(30)
        said = target.said()
        assert counts == [said.count("x"), said.count("signal")]
        assert counts[1] > 20

    @posix
    def test_signals_after_close(self, background, target, log):
        """Also where the caller hands over itself."""
        handler = background()
        handler.close()
        counts = [0, 0]

        def on_alarm(number, frame):
            counts[1] += 1
            log.info("signal")

        before = signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        try:
            until_ = time.monotonic() + 0.3
            while time.monotonic() < until_:
                log.info("x")
                counts[0] += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert handler.flush()
        assert sum(counts) == balanced(handler)["written"] + handler.stats()["dropped"]
        assert counts[0] == target.said().count("x")

    def test_del(self, background, target, log):
        """A `__del__` that logs while the collector runs in any thread does not hang."""
        handler = background()

        class Logs:
            def __init__(self):
                self.me = self

            def __del__(self):
                log.info("gone")

        for _ in range(200):
            Logs()
            log.info("x")
        gc.collect()
        assert handler.flush()
        assert 200 == target.said().count("gone")


class Model(logging.Handler):
    """Handles fast, or slowly, or fails, as the model test says."""

    def __init__(self):
        super().__init__()
        self.done, self.fails = [], False

    def emit(self, record):
        if self.fails:
            raise ValueError
        self.done.append(record.getMessage())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.sampled_from(["log", "log", "burst", "flush", "fail", "heal", "pause", "close"]),
        max_size=30,
    ),
    capacity=st.sampled_from([1, 3, 1000]),
    when_full=st.sampled_from(["drop", "block:2s"]),
)
def test_model(steps, capacity, when_full):
    """Whatever comes in what order: what was accepted was handled or dropped, and no more."""
    target = Model()
    handler = BackgroundHandler(target, capacity=capacity, when_full=when_full)
    numbers, given = itertools.count(), []

    def log():
        given.append(str(next(numbers)))
        handler.handle(logging.makeLogRecord({"msg": given[-1], "levelno": 20}))

    for step in steps:
        if step == "log":
            log()
        elif step == "burst":
            for _ in range(20):
                log()
        elif step == "flush":
            assert handler.flush(30)
            assert 0 == balanced(handler)["pending"]
        elif step in ("fail", "heal"):
            target.fails = step == "fail"
        elif step == "pause":
            time.sleep(0.012)
        else:
            handler.close()
        balanced(handler)
    handler.close()
    stats = balanced(handler)
    assert (len(given), 0) == (stats["accepted"], stats["pending"])
    assert (stats["written"], sorted(target.done, key=int)) == (len(target.done), target.done)
    assert set(target.done) <= set(given)
    if when_full != "drop" and "ValueError" not in stats["dropped_by"]:
        assert given == target.done


EXIT = """
import atexit, logging, os, sys, threading, time
how = sys.argv[2]
late = lambda: h.emit(e("late"))
if how == "early atexit": atexit.register(late)  # runs after logging.shutdown
import hilt_logging as h
def e(text): return h.Event(session_id="s", actor=h.Actor(type="system", id="x"), action="system",
                            content=h.Content(text=text))
file = h.HILTFileHandler(sys.argv[1])
class Slow(logging.Handler):
    def emit(self, record):
        time.sleep(0.0005)
        file.handle(record)
handler = h.BackgroundHandler(Slow())
logger = logging.getLogger("hilt"); logger.setLevel(20); logger.propagate = False
logger.addHandler(handler)
if how != "first event is late":
    for n in range(300): h.emit(e(str(n)))
if how == "sys.exit": sys.exit(3)
if how == "exception": raise ValueError("boom")
if how in ("atexit", "first event is late"): atexit.register(late)
if how == "logging.shutdown": logging.shutdown(); late()
if how == "threads":
    def work():
        for n in range(50): time.sleep(0.002); h.emit(e("thread"))
    for _ in range(3): threading.Thread(target=work).start()
if how == "daemon":
    def forever():
        while True: h.emit(e("daemon")); time.sleep(0.002)
    threading.Thread(target=forever, daemon=True).start()
if how == "pool":
    from concurrent.futures import ThreadPoolExecutor
    pool = ThreadPoolExecutor(2)
    for _ in range(20): pool.submit(lambda: (time.sleep(0.005), h.emit(e("pool"))))
if how == "closed in a thread": threading.Thread(target=handler.close).start()
if how == "threading atexit": threading._register_atexit(late)
if how == "del":
    class Dying:
        def __del__(self, emit=h.emit, event=e("late")): emit(event)
    kept = Dying(); sys.modules["kept"] = kept
"""


class TestExits:
    @pytest.mark.parametrize(
        ("how", "code", "more"),
        [
            ("end", 0, 0), ("sys.exit", 3, 0), ("exception", 1, 0), ("atexit", 0, 1),
            ("early atexit", 0, 1), ("logging.shutdown", 0, 1), ("threads", 0, 150),
            ("pool", 0, 20), ("closed in a thread", 0, 0), ("threading atexit", 0, 1),
            ("daemon", 0, None), ("first event is late", 0, -299), ("del", 0, None),
        ],
    )  # fmt: skip
    def test_orderly(self, tmp_path, in_child, lines, how, code, more):
        """At every orderly end the queue is handed over, in order, and late events are too."""
        path = tmp_path / "x"
        done = in_child(EXIT, path, how)
        assert code == done.returncode, done.stderr
        assert ("boom" in done.stderr) == (how == "exception")
        assert "hilt_logging" not in done.stderr
        said = [event["content"]["text"] for event in lines(path)]
        if how != "first event is late":
            expected = [str(number) for number in range(300)]
            assert expected == [each for each in said if each.isdigit()]
        if more is not None:
            assert 300 + more == len(said)

    @pytest.mark.parametrize("stage", ["open", "closed before"])
    def test_stalled_target(self, in_child, stage):
        """A target that stalls for ever delays the end by the bound; what is lost is told."""
        code = (
            "import logging, sys, threading, time, hilt_logging as h\n"
            "class Stalls(logging.NullHandler):\n"
            "    def handle(self, record): time.sleep(1000)\n"
            "handler = h.BackgroundHandler(Stalls(), drain_timeout=0.3)\n"
            "log = logging.getLogger('x'); log.setLevel(20); log.addHandler(handler)\n"
            "for n in range(100): log.info('my secret')\n"
            "if sys.argv[1] == 'closed before': handler.close()\n"
        )
        began = time.monotonic()
        done = in_child(code, stage)
        assert time.monotonic() - began < 20
        assert 0 == done.returncode
        told = "BackgroundHandler of Stalls: 99 event(s) with trouble, the last one: shutdown"
        assert f"hilt_logging: {told}\n" == done.stderr

    def test_os_exit(self, tmp_path, in_child, lines):
        """`os._exit` loses the queue, never a part of a line."""
        path = tmp_path / "x"
        done = in_child(EXIT + "\nos._exit(0)", path, "end")
        assert 0 == done.returncode
        assert len(lines(path)) < 300

    @forks
    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, tmp_path, in_child, lines, method):
        """A worker of multiprocessing hands its queue over before it leaves."""
        if method not in multiprocessing.get_all_start_methods():
            pytest.skip(f"no {method} here")
        code = tmp_path / "program.py"
        code.write_text(
            "import logging, multiprocessing, sys, time, hilt_logging as h\n"
            "def set_up():\n"
            "    handler = h.BackgroundHandler(h.HILTFileHandler(sys.argv[1]))\n"
            "    log = logging.getLogger('hilt'); log.setLevel(20); log.addHandler(handler)\n"
            "def work(name):\n"
            "    if sys.argv[2] != 'fork': set_up()\n"
            "    for n in range(200): h.emit({'actor': {'type': 'system', 'id': 'x'},\n"
            "        'action': 'system', 'session_id': f'{name}-{n}'})\n"
            "if __name__ == '__main__':\n"
            "    context = multiprocessing.get_context(sys.argv[2])\n"
            "    if sys.argv[2] == 'fork': set_up(); work('parent')\n"
            "    workers = [context.Process(target=work, args=(name,)) for name in 'abc']\n"
            "    for each in workers: each.start()\n"
            "    for each in workers: each.join(); assert each.exitcode == 0\n"
        )
        path = tmp_path / "x"
        done = in_child(
            "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
            if method == "fork"
            else "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))",
            code,
            path,
            method,
        )
        assert 0 == done.returncode, done.stderr
        names = ["a", "b", "c", *(["parent"] if method == "fork" else [])]
        expected = sorted(f"{name}-{number}" for name in names for number in range(200))
        assert expected == sorted(event["session_id"] for event in lines(path))


@posix
@forks
class TestFork:
    def test_child_begins_anew(self, background, target, log, forked):
        """A child has an empty queue and counts of its own; the parent's records are the parent's."""
        handler = background()
        stuck(handler, target, log)
        for number in range(10):
            log.info("%d", number)

        def child():
            assert 0 == balanced(handler)["accepted"]
            target.gate.set()
            log.info("child")
            assert handler.flush(20)
            assert ["child"] == target.said()
            assert 1 == balanced(handler)["written"]

        assert 0 == forked.run(child)
        target.gate.set()
        assert handler.flush()
        assert ["in hand", *map(str, range(10))] == target.said()

    def test_every_lock_held(self, background, target, log, forked):
        """A child does not mind what other threads held when it was forked."""
        handler = background()
        log.info("x")
        assert handler.flush()
        held, go = threading.Event(), threading.Event()

        def hold():
            with handler.lock, handler._handing, handler._starting:
                held.set()
                go.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)

        def child():
            log.info("child")
            assert handler.flush(20)
            handler.close()
            log.info("closed")
            assert ["x", "child", "closed"] == target.said()

        try:
            assert 0 == forked.run(child)
        finally:
            go.set()
            thread.join()

    def test_storm(self, hilt, background, tmp_path, lines, forked):
        """Forked again and again while threads log: nothing hangs, is lost or comes twice."""
        handler = background(HILTFileHandler(tmp_path / "x"), logger=hilt, when_full="block:30s")
        stop, ids = threading.Event(), []

        def work():
            while not stop.is_set():
                ids.append(emit(prompt("x" * 200, session_id="parent")))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for each in threads:
            each.start()

        def child():
            for _ in range(20):
                assert emit(prompt(session_id="child"))
            handler.close()

        try:
            codes = [forked.run(child, timeout=60) for _ in range(25)]
        finally:
            stop.set()
            for each in threads:
                each.join()
        assert [0] * 25 == codes
        assert handler.flush(60)
        events = lines(tmp_path / "x")
        found = [each["event_id"] for each in events if each["session_id"] == "parent"]
        assert sorted(ids) == sorted(found)
        assert 500 == len(events) - len(found)

    def test_forked_workers(self, tmp_path, in_child, lines):
        """Workers that were forked before the first event, and end as servers' workers do."""
        path = tmp_path / "x"
        done = in_child(
            "import os, sys, hilt_logging as h, logging\n"
            "handler = h.BackgroundHandler(h.HILTFileHandler(sys.argv[1]))\n"
            "log = logging.getLogger('hilt'); log.setLevel(20); log.addHandler(handler)\n"
            "pids = []\n"
            "for name in 'abcd':\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        for n in range(100): h.emit({'actor': {'type': 'system', 'id': 'x'},\n"
            "            'action': 'system', 'session_id': f'{name}-{n}'})\n"
            "        sys.exit(0)\n"
            "    pids.append(pid)\n"
            "for pid in pids: assert os.waitpid(pid, 0)[1] == 0\n",
            path,
        )
        assert (0, "") == (done.returncode, done.stderr)
        expected = sorted(f"{name}-{number}" for name in "abcd" for number in range(100))
        assert expected == sorted(event["session_id"] for event in lines(path))


def test_ordinary_records_are_whose_they_were(tmp_path):
    """What was bound where an ordinary record was made stands in its event, and only there."""
    path, logger = tmp_path / "x.jsonl", logging.Logger("app")
    handler = BackgroundHandler(HILTFileHandler(path, foreign="wrap"))
    logger.addHandler(handler)
    with bind(session_id="s", user_id="alice", tenant="t"):
        logger.info("one")
    logger.info("two")
    handler.close()

    one, two = [json.loads(line) for line in path.read_text().splitlines()]
    assert "s" == one["session_id"]
    assert {"user_id": "alice", "tenant": "t"}.items() <= one["extensions"].items()
    assert {"log"} == two["extensions"].keys()
