"""Why is nothing written? Each mistake is found, and what is said is what `logging` does."""

from __future__ import annotations

import copy
import json
import logging
import logging.config
import os
import sys

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging import emit, events
from hilt_logging.diagnosis import LOGGERS, diagnose
from hilt_logging.errors import HILTError


yaml = pytest.importorskip("yaml")

from ._mistakes import MISTAKES, REFUSED, config_of  # noqa: E402


def told(found):
    return [f"{each.severity} {each.code} {each.where}" for each in found.problems]


def files_in(folder):
    """Names and bytes of all files."""
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(folder, name):
    """What is wrong is told with its key, and nothing else is; nothing is opened, made or changed."""
    if "pythonjsonlogger" in MISTAKES[name][0]:
        pytest.importorskip("pythonjsonlogger")
    config = config_of(name)
    before = files_in(folder), copy.deepcopy(config), logging.root.handlers[:]
    found = diagnose(config)
    assert sorted(MISTAKES[name][1]) == sorted(told(found))
    assert before == (files_in(folder), config, logging.root.handlers)
    assert found.works == (not any(each.startswith("error") for each in MISTAKES[name][1]))
    assert all(each.why and each.remedy and each.what for each in found.problems)


def _done(folder, config, report):
    """What really happens: in a process of its own the configuration is loaded, and used."""
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    done = {"refused": False, "events": []}
    for logger in LOGGERS:  # they are there before, as where SDKs are instrumented first
        logging.getLogger(logger)
    try:
        logging.config.dictConfig(config)
    except Exception:
        done["refused"] = True
    else:
        queues = [
            each for each in (reference() for reference in logging._handlerList) if each is not None
        ]
        listeners = [each.listener for each in queues if getattr(each, "listener", None)]
        for listener in listeners:
            listener.start()
        done["ways"] = {way.logger: way.written for way in diagnose().ways}
        for logger in LOGGERS:
            for level, make in (
                ("DEBUG", lambda: events.Event(action="completion_chunk", actor=ACTOR)),
                ("INFO", lambda: events.prompt("x")),
                ("INFO", lambda: events.completion("x")),
                ("WARNING", lambda: events.completion("x", extensions={"outcome": "truncated"})),
                ("ERROR", lambda: events.system(extensions={"outcome": "failed"})),
            ):
                done["events"].append([logger, level, emit(make(), logger=logger)])
        for listener in listeners:
            listener.stop()
        logging.shutdown()
    (folder / report).write_text(json.dumps(done))


ACTOR = events.Actor(type="agent", id="a")


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_for_real(folder, forked, name):
    """`logging.config` refuses what is said to be refused, and events come where it is said."""
    if "pythonjsonlogger" in MISTAKES[name][0]:
        pytest.importorskip("pythonjsonlogger")
    found = diagnose(config_of(name))
    assert 0 == forked.run(lambda: _done(folder, config_of(name), "report"))
    done = json.loads((folder / "report").read_text())
    is_refused = any(each.code in REFUSED for each in found.problems)
    if done["refused"] or is_refused:
        assert (done["refused"], found.works) == (is_refused, False)
        return
    written = b"".join(
        path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "report"
    )
    really = {logger: set() for logger in LOGGERS}
    for logger, level, event_id in done["events"]:
        if event_id is not None and event_id.encode() in written:
            really[logger].add(level)
    assert really == {way.logger: set(way.written) for way in found.ways if way.logger in LOGGERS}
    assert really == {logger: set(done["ways"][logger]) for logger in LOGGERS}


def test_ways(folder):
    """Of each logger it is told which handlers write what, from which level on."""
    config = yaml.safe_load(
        """
        version: 1
        formatters: {text: {"()": hilt_logging.HILTTextFormatter}}
        filters: {only: {"()": hilt_logging.OnlyHILT}}
        handlers:
          console: {class: logging.StreamHandler, stream: ext://sys.stdout, formatter: text}
          file: {class: hilt_logging.HILTFileHandler, filename: a.jsonl, foreign: wrap}
          queue: {class: hilt_logging.BackgroundHandler, target: file, filters: [only]}
          failed: {class: hilt_logging.HILTFileHandler, filename: b.jsonl, level: ERROR}
        loggers:
          hilt: {level: INFO, propagate: false, handlers: [console, queue]}
          hilt.openai: {level: DEBUG, handlers: [failed]}
          hilt.app.shop: {propagate: false, handlers: [failed]}
        """
    )
    found = diagnose(config, loggers=["hilt.app.desk"])
    ways = {way.logger: way for way in found.ways}
    assert [*LOGGERS, "hilt.app.shop", "hilt.app.desk"] == list(ways)
    way = ways["hilt.openai"]
    assert ("DEBUG", ("DEBUG", "INFO", "WARNING", "ERROR")) == (way.level, way.written)
    assert ("console", "file") == way.handlers["INFO"]
    assert ("failed", "console", "file") == way.handlers["ERROR"]
    assert ways["hilt"].handlers == ways["hilt.app.desk"].handlers
    assert {"DEBUG": (), "INFO": (), "WARNING": (), "ERROR": ("failed",)} == (
        ways["hilt.app.shop"].handlers
    )
    (problem,) = [each for each in found.problems if each.severity == "error"]
    assert ("handler-level", ("hilt.app.shop",)) == (problem.code, problem.loggers)
    shown = {each.handler: each for each in found.destinations}
    assert {"console", "file", "failed"} == set(shown)
    assert ("stdout", "summaries") == (shown["console"].to, shown["console"].writes)
    file = shown["file"]
    assert (str(folder / "a.jsonl"), "events", "wrap") == (file.to, file.writes, file.foreign)
    assert (("queue",), ()) == (file.through, file.filters)
    assert ("ERROR", "drop") == (shown["failed"].level, shown["failed"].foreign)


def test_one_word_for_several(folder):
    """What is wrong for several loggers for one reason is said once, and names them."""
    (problem,) = diagnose(config_of("level too high")).problems
    assert LOGGERS == problem.loggers


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hilt_logging.HILTFilehandler", "Write hilt_logging.HILTFileHandler"),
        ("logging.handlers.RotatingFilehandler", "Write logging.handlers.RotatingFileHandler"),
        ("hilt_logging.Nothing", "Correct the name, or run this where the application runs"),
        ("no_such_module.Handler", "Correct the name, or run this where the application runs"),
    ],
)
def test_name_that_is_nearly_right(folder, name, remedy):
    """Where something of nearly this name is there, it is named."""
    config = {"version": 1, "handlers": {"a": {"class": name}}}
    assert remedy in [each.remedy for each in diagnose(config).problems if each.code == "missing"]


def test_code_of_others(folder, monkeypatch):
    """What the configuration names is imported, which is told; without that it says what it can."""
    (folder / "shop_logs.py").write_text(
        "import logging\nprint('imported')\n"
        "def make(**options): raise AssertionError('not to be called')\n"
        "class Quiet(logging.Handler): pass\n"
    )
    monkeypatch.delitem(sys.modules, "shop_logs", raising=False)
    config = {
        "version": 1,
        "handlers": {"a": {"()": "shop_logs.make"}, "b": {"class": "shop_logs.Quiet"}},
        "loggers": {"hilt": {"level": "INFO", "handlers": ["a", "b"]}},
    }
    expected = "warning not-known handlers.a"
    assert [expected] == told(diagnose(config, imports=False))
    assert "shop_logs" not in sys.modules
    imported = ["info import handlers.a.()", "info import handlers.b.class"]
    assert [expected, *imported] == told(diagnose(config))
    monkeypatch.delitem(sys.modules, "shop_logs", raising=False)


def test_full_disk(folder, monkeypatch):
    """A disk without room is an error."""
    real = os.statvfs

    def full(path):
        found = list(real(path))
        found[3] = found[4] = 0
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", full)
    assert ["error disk-full handlers.events.filename"] == told(
        diagnose(config_of("nothing wrong"))
    )


def test_read_only(folder, monkeypatch):
    """A file system that nobody may write to is told as what it is."""
    real = os.statvfs

    def read_only(path):
        found = list(real(path))
        return os.statvfs_result([*found[:8], os.ST_RDONLY, *found[9:]])

    monkeypatch.setattr(os, "statvfs", read_only)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    (problem,) = diagnose(config_of("nothing wrong")).problems
    assert "not-writable" == problem.code
    assert "its file system is read-only" == problem.why


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_no_right_to_write(folder, forked, what):
    """A file or folder that the user may not write is an error."""
    folder.chmod(0o755)
    for path in [folder, *folder.parents]:
        if path.stat().st_uid == 0 and path != path.parent:
            path.chmod(path.stat().st_mode | 0o055)
    if what == "file":
        (folder / "app.jsonl").write_text("")
        (folder / "app.jsonl").chmod(0o644)

    def look():
        os.setuid(65534)
        found = diagnose(config_of("nothing wrong"))
        assert "error not-writable handlers.events.filename" in told(found), told(found)

    assert 0 == forked.run(look)


def test_structlog(folder):
    """structlog's formatter leaves the event out, unless it is told to add extras."""
    structlog = pytest.importorskip("structlog")
    shared = [structlog.stdlib.ExtraAdder(allow=["hilt"])]
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.processors.JSONRenderer()],
    }
    config = {
        "version": 1,
        "formatters": {"f": formatter},
        "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
        "loggers": {"hilt": {"level": "INFO", "handlers": ["h"], "propagate": False}},
    }
    assert ["error no-writer handlers.h.formatter", "warning extras-left-out formatters.f"] == told(
        diagnose(config)
    )
    formatter["foreign_pre_chain"] = shared
    assert diagnose(config).works


@pytest.mark.parametrize("wrong", [3, ["x"]])
def test_no_configuration(wrong):
    """What is neither a file nor a dict is an error."""
    with pytest.raises(HILTError):
        diagnose(wrong)


@pytest.mark.parametrize("name", ["", "hilt..x", ".hilt", "hilt."])
def test_wrong_logger(name):
    """A logger has a name."""
    with pytest.raises(HILTError):
        diagnose({"version": 1}, loggers=[name])


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 60),
    st.sampled_from(
        ["hilt", "a", "INFO", "ext://sys.stderr", "cfg://handlers.a", "ext://no.such", ""]
    ),
    st.sampled_from(
        ["hilt_logging.HILTFileHandler", "hilt_logging.HILTFormatter", "logging.StreamHandler"]
    ),
    st.sampled_from(["hilt_logging.BackgroundHandler", "logging.handlers.MemoryHandler"]),
)
NAMES = "a hilt class () . level handlers filters formatter target propagate filename stream name"
KEYS = st.sampled_from([*NAMES.split(), "foreign", "key_store", "evidence", "actions"])
SECTIONS = ("formatters", "filters", "handlers", "loggers", "root", "incremental", "hilt")
ENTRY = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
CONFIG = st.fixed_dictionaries(
    {"version": st.sampled_from([1, 2, None])},
    optional=dict.fromkeys(SECTIONS, ENTRY),
)


@given(config=CONFIG)
def test_any_configuration(config):
    """Whatever a configuration is, something is said of it, as JSON, and nothing is raised or made."""
    import msgspec

    before = set(os.listdir("."))
    found = diagnose(config, imports=False)
    assert msgspec.json.encode(found)
    assert before == set(os.listdir("."))
