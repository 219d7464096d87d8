"""What all tests share: `logging` as it was, files of events, events that are all alike."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import sys

import hypothesis
import pytest

import hilt_logging

from hilt_logging import _ids


# how long an example takes says something of the machine
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

ONCE = {
    "test_benchmarks.py",
    "test_canary.py",
    "test_capture_benchmark.py",
    "test_corpus.py",
    "test_faults_benchmark.py",
    "test_reading_benchmark.py",
    "test_shippers.py",
    "test_soak.py",
}


OUTERMOST = {
    "analysis",
    "cli",
    "compat",
    "docs",
    "integrations",
    "test_encryption.py",
    "test_examples.py",
    "test_schema.py",
    "test_seed_page.py",
    "test_snapshot.py",
    "test_snapshot_quick.py",
}


def pytest_collection_modifyitems(items):
    """A forked child of a traced program may wait for a lock of coverage that nobody releases."""
    for item in items:
        if OUTERMOST & set(item.path.parts):
            item.add_marker("outermost")
        if "forked" in getattr(item, "fixturenames", ()):
            item.add_marker("untraced")
        if item.path.name in ONCE or item.name == "test_any_event":
            item.add_marker("once")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    """Let records come to handlers as they were made: pytest's own would ask for all they have."""
    if "caplog" not in item.fixturenames:
        for logger in map(logging.getLogger, _tree("hilt")):
            for handler in logger.handlers[:]:
                if type(handler).__module__ == "_pytest.logging":
                    logger.removeHandler(handler)


def _tree(prefix):
    names = list(logging.Logger.manager.loggerDict)
    return [name for name in names if name.split(".")[0] in (prefix, f"{prefix}_logging")]


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """Every test leaves handlers, levels and switches of `logging` as it found them."""
    loggers = [logging.getLogger(), *map(logging.getLogger, _tree("hilt"))]
    before = {
        each: (each.handlers[:], each.filters[:], each.level, each.propagate, each.disabled)
        for each in loggers
    }
    switches = logging.raiseExceptions, logging.logThreads, logging.logProcesses
    factory, disabled = logging.getLogRecordFactory(), logging.Logger.manager.disable
    logger_class = logging.getLoggerClass()
    _ids.renew()  # a test may have set its clock forward
    yield
    logging.setLogRecordFactory(factory)
    logging.setLoggerClass(logger_class)
    logging.disable(disabled)
    logging.raiseExceptions, logging.logThreads, logging.logProcesses = switches
    for each in [logging.getLogger(), *map(logging.getLogger, _tree("hilt"))]:
        handlers, filters, level, propagate, off = before.get(each, ([], [], 0, True, False))
        for handler in each.handlers:
            if handler not in handlers:
                handler.close()
        each.handlers[:], each.filters[:] = handlers, filters
        each.propagate, each.disabled = propagate, off
        each.setLevel(level)


def strict(text):
    """The value of a JSON text that is RFC 8259 to the letter and has no key twice."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    def once(pairs):
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names)
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def lines_of(path):
    """The events of a file, every line of which is whole, strict and valid."""
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    events = [strict(line.decode()) for line in data.split(b"\n")[:-1]]
    for event in events:
        assert hilt_logging.validate_event(event) == []
    return events


@pytest.fixture
def lines():
    """Reads a file of events and checks each line of it."""
    return lines_of


@pytest.fixture
def strict_json():
    """Reads a JSON text as a strict reader does."""
    return strict


def _digest(line):
    return hashlib.sha256(line).hexdigest()


def _follow(*paths):
    """
    Follow the one chain of linked lines through files, in their order, as the format says it.

    Every line is linked to the one before it, or covered by the span of the next that is; where a
    chain began late, the span begins where it was to begin. Returns the linked lines, those between
    them, and those at the end, which nothing covers.
    """
    events, between, strays, highest = [], [], [], {}
    head, last, chain, begin = None, "0" * 64, None, None
    lines = [line for path in paths for line in path.read_bytes().removesuffix(b"\n").split(b"\n")]
    for line in lines:
        end = re.search(
            rb',"integrity":(\{"chain":"[0-9a-f]{32}",[^{}]*(\{[^{}]*\})?[^{}]*\})\}$', line
        )
        integrity = strict(end[1].decode()) if end else {}
        is_begin = head is None and begin is None
        if integrity.get("prev") == last and ("span" in integrity or not strays or is_begin):
            assert integrity["chain"] == (chain or integrity["chain"])
            if strays and not is_begin:
                assert integrity["span"] == _span(head or begin, strays)
            else:
                assert "span" not in integrity
            chain, head = integrity["chain"], _digest(line)
            assert integrity["seq"] == highest.get(chain, -1) + 1
            between += strays
            strays = []
            events.append(line)
        else:
            if is_begin and integrity.get("seq") == 0:
                begin = integrity["prev"]
            strays.append(line)
        if "seq" in integrity:
            of = integrity["chain"]
            highest[of] = max(highest.get(of, -1), integrity["seq"])
        last = _digest(line)
    return events, between, strays


def _span(head, strays):
    """What the next linked line says of lines behind one, or behind all that stand before it."""
    digests = [_digest(line) for line in strays]
    covered = strays[digests.index(head) + 1 :] if head in digests else strays
    data = b"".join(line + b"\n" for line in [head.encode(), *covered])
    return {"lines": len(covered), "sha256": _digest(data)}


@pytest.fixture
def follow():
    """Follows the chain of linked lines through files."""
    return _follow


def _event(**fields):
    return {
        "hilt_version": "1.0.0",
        "event_id": "0194c2f0-0000-7000-8000-000000000000",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "session_id": "conv-42",
        "actor": {"type": "human", "id": "alice"},
        "action": "prompt",
        **fields,
    }


@pytest.fixture
def an_event():
    """Makes a dict that is a valid event, with the fields that are given."""
    return _event


@pytest.fixture
def hilt():
    """The logger of events, enabled from DEBUG on and by itself."""
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


class Kept(logging.Handler):
    """Keeps the records that it gets."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def events(self):
        return [record.hilt for record in self.records]


@pytest.fixture
def kept(hilt):
    """A handler on the logger of events that keeps what it gets."""
    handler = Kept()
    hilt.addHandler(handler)
    return handler


@pytest.fixture
def in_child():
    """Runs Python code in a process of its own, and returns it finished."""

    def run(code, *args, timeout=60, **options):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return run


@pytest.fixture
def forked():
    """Runs a function in a forked child, and returns its exit code; a child that hangs is killed."""
    import time

    children = []

    def start(function):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                function()
                code = 0
            except BaseException as error:
                print(type(error).__name__, error, file=sys.__stderr__)
            finally:
                os._exit(code)
        children.append(pid)
        return pid

    def wait(pid, timeout=60):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.remove(pid)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        raise AssertionError("a forked child hangs")

    class Forked:
        pass

    made = Forked()
    made.start, made.wait = start, wait
    made.run = lambda function, timeout=60: wait(start(function), timeout)
    yield made
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
