"""Setting up, and asking why nothing is written."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import os
import queue
import types

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, HILTFormatter, basic_config, check_config, emit
from hilt_logging.config import Finding
from hilt_logging.errors import ConfigurationError


HILT = logging.getLogger("hilt")


def prompt(**fields):
    return {"actor": {"type": "human", "id": "bob"}, "action": "prompt", **fields}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "app.hilt.jsonl"


class TestBasicConfig:
    def test_one_line(self, path, lines):
        """One line, and all events are in the file."""
        handler = basic_config(path)
        emit(prompt())
        emit(prompt(action="completion_chunk"))
        assert 1 == len(lines(path))
        assert (logging.INFO, False, True) == (HILT.level, HILT.propagate, handler in HILT.handlers)

    def test_idempotent(self, path, lines):
        """Called again it changes nothing but the level."""
        first = basic_config(path)
        before = HILT.handlers[:]
        assert first is basic_config(path, level="DEBUG")
        assert before == HILT.handlers
        assert logging.DEBUG == HILT.level
        emit(prompt())
        assert 1 == len(lines(path))

    def test_two_files(self, path, lines):
        """For another file there is another handler."""
        basic_config(path)
        basic_config(path.with_name("other"))
        emit(prompt())
        assert lines(path) == lines(path.with_name("other"))

    def test_child(self, path, lines):
        """A child can be set up for itself."""
        basic_config(path, logger="hilt.openai")
        HILT.setLevel(logging.ERROR)
        assert emit(prompt()) is None
        emit(prompt(), logger="hilt.openai")
        assert 1 == len(lines(path))

    def test_child_beside_all(self, path, lines):
        """What a child with a file of its own logs stays in the file of all events."""
        child = path.with_name("child")
        basic_config(path)
        basic_config(child, logger="hilt.openai")
        emit(prompt(), logger="hilt.openai")
        assert lines(path) == lines(child)
        assert 1 == len(lines(child))

    def test_child_alone(self, path, caplog):
        """Where `hilt` hands on to the root logger, a child keeps its events to itself."""
        HILT.propagate = True
        basic_config(path, logger="hilt.openai")
        emit(prompt(), logger="hilt.openai")
        assert [] == caplog.records

    def test_console(self, path, capsys):
        """The console shows a line without content, once."""
        for _ in range(2):
            basic_config(path, console=True)
        emit(prompt(content={"text": "my secret"}, session_id="s"))
        err = capsys.readouterr().err
        assert 1 == err.count("\n")
        assert err.endswith("INFO    prompt session=s\n")

    def test_propagate(self, path, caplog):
        """The root's handlers get events on demand only."""
        basic_config(path)
        emit(prompt())
        assert [] == caplog.records
        basic_config(path, propagate=True)
        emit(prompt())
        assert 1 == len(caplog.records)

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"logger": "app"}, "Invalid logger: 'app'. Must be 'hilt' or begin with 'hilt.'"),
            ({"logger": "hilt_logging"}, "Invalid logger: 'hilt_logging'. Must be 'hilt' or"),
            ({"logger": ""}, "Invalid logger: ''. Must be 'hilt' or begin with 'hilt.'"),
            ({"logger": None}, "Invalid logger: None. Must be 'hilt' or begin with 'hilt.'"),
            ({"level": "LOUD"}, "Invalid level: 'LOUD'. Must be a level of logging"),
            ({"level": None}, "Invalid level: None. Must be a level of logging"),
            ({"level": 1.5}, "Invalid level: 1.5. Must be a level of logging"),
            ({"colour": 1}, "Invalid option of HILTFileHandler: 'colour'. Must be one of: "),
            ({"console": "no"}, "Invalid console: 'no'. Must be true or false"),
            ({"propagate": "false"}, "Invalid propagate: 'false'. Must be true or false"),
            ({"filename": ""}, "Invalid filename: ''. Must be the path of a file"),
        ],
    )
    def test_wrong(self, path, options, text):
        """A wrong option raises and changes nothing."""
        before = HILT.handlers[:], HILT.level, HILT.propagate
        with pytest.raises(ConfigurationError) as caught:
            basic_config(**{"filename": path, **options})
        assert str(caught.value).startswith(text)
        assert before == (HILT.handlers, HILT.level, HILT.propagate)


class TestCheckConfig:
    @pytest.fixture(autouse=True)
    def _alone(self):
        """No other test's logger is looked at."""
        others = [name for name in logging.Logger.manager.loggerDict if name.startswith("hilt.")]
        held = {name: logging.Logger.manager.loggerDict.pop(name) for name in others}
        yield
        for name in [n for n in logging.Logger.manager.loggerDict if n.startswith("hilt.")]:
            del logging.Logger.manager.loggerDict[name]
        logging.Logger.manager.loggerDict.update(held)

    def test_nothing_to_find(self, path):
        """After the one line there is nothing to find."""
        basic_config(path)
        assert [] == check_config()

    def found(self):
        return [str(finding) for finding in check_config()]

    def test_nothing_set_up(self):
        """Without any set-up it says that the level is too high and a handler is missing."""
        assert [
            "error: hilt: is enabled for WARNING only; set its level to INFO",
            "error: hilt: no handler that it reaches writes events",
        ] == self.found()

    def test_disabled(self, path):
        """A logger that dictConfig has disabled is found, with what to do."""
        basic_config(path)
        HILT.disabled = True
        assert [
            "error: hilt: is disabled; set disable_existing_loggers: false in the config"
        ] == self.found()

    def test_disabled_child(self, path):
        """Also a child."""
        basic_config(path)
        logging.getLogger("hilt.openai").disabled = True
        (finding,) = check_config()
        assert ("error", "hilt.openai") == (finding.severity, finding.logger)

    @pytest.mark.parametrize("how", ["level", "disable"])
    def test_nothing_passes(self, path, how):
        """A level above ERROR, and `logging.disable`, are found."""
        basic_config(path, level=logging.CRITICAL if how == "level" else logging.INFO)
        logging.disable(logging.CRITICAL if how == "disable" else logging.NOTSET)
        assert ["error: hilt: nothing passes: see its level and logging.disable()"] == self.found()

    def test_level_of_a_child(self, path):
        """A level that hides what went well is found."""
        basic_config(path)
        logging.getLogger("hilt.openai").setLevel("WARNING")
        assert [
            "error: hilt.openai: is enabled for WARNING only; set its level to INFO"
        ] == self.found()

    def test_child_that_does_not_propagate(self, path):
        """A child that reaches no handler is found."""
        basic_config(path)
        logging.getLogger("hilt.openai").propagate = False
        assert ["error: hilt.openai: no handler that it reaches writes events"] == self.found()

    def test_level_of_a_handler(self, path):
        """Likewise a level of the handler."""
        basic_config(path).setLevel("ERROR")
        assert ["warning: hilt: its handlers take ERROR and above only"] == self.found()

    def test_file_that_can_not_be_written(self, path):
        """A path that can't be written is found."""
        basic_config(path, delay=True)
        path.mkdir(parents=True)
        assert [f"error: hilt: HILTFileHandler of 'hilt' can't write {path}"] == self.found()

    def test_dropped(self, path, capsys):
        """Events that were lost are found."""
        handler = basic_config(path)
        handler._troubles.count("ENOSPC", "x")
        assert ["error: hilt: HILTFileHandler of 'hilt' has dropped 1 event(s)"] == self.found()

    def test_handler_that_prints_extras(self, path):
        """A handler of a package that prints all extras is found: it prints content."""

        class Json(logging.Formatter):
            pass

        Json.__module__ = "pythonjsonlogger.json"
        basic_config(path, propagate=True)
        handler = logging.StreamHandler()
        handler.setFormatter(Json())
        logging.getLogger().addHandler(handler)
        (finding,) = check_config()
        assert ("warning", "hilt") == (finding.severity, finding.logger)
        assert "StreamHandler of 'root' prints records with all their extras" in finding.message
        HILT.propagate = False
        assert [] == check_config()

    @pytest.mark.parametrize("how", ["target", "listener"])
    def test_behind_another(self, path, how):
        """What stands behind a buffer or a queue counts."""
        target = HILTFileHandler(path)
        if how == "target":
            HILT.addHandler(logging.handlers.MemoryHandler(10, target=target))
        else:
            handler = logging.handlers.QueueHandler(queue.Queue())
            handler.listener = types.SimpleNamespace(handlers=[target])
            HILT.addHandler(handler)
        HILT.setLevel("INFO")
        assert [] == check_config()
        target.close()

    def test_formatter_will_do(self):
        """Any handler with our formatter writes events."""
        handler = logging.StreamHandler()
        handler.setFormatter(HILTFormatter())
        HILT.addHandler(handler)
        HILT.setLevel("INFO")
        assert [] == check_config()

    def test_filter_of_a_logger(self, path):
        """A filter on the logger does not see what its children log: it is told."""
        basic_config(path)
        HILT.addFilter(hilt_logging.ActionFilter("prompt"))
        try:
            (finding,) = check_config()
        finally:
            HILT.filters.clear()
        assert "its filters do not see its children; put them on handlers" == finding.message

    def test_filter_without_effect(self, path):
        """What `class:` in place of `()` makes of a filter lets everything pass: it is told."""
        config = {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"f": {"class": "hilt_logging.ActionFilter", "actions": ["prompt"]}},
            "handlers": {
                "h": {"class": "hilt_logging.HILTFileHandler", "filename": path, "filters": ["f"]}
            },
            "loggers": {"hilt": {"level": "INFO", "handlers": ["h"]}},
        }
        logging.config.dictConfig(config)
        (finding,) = check_config()
        assert finding.message.startswith("HILTFileHandler of 'hilt' has a filter that lets all")

    def test_order(self, path):
        """What is most severe comes first, and nothing comes twice."""
        basic_config(path).setLevel("ERROR")
        HILT.disabled = True
        findings = check_config()
        assert ["error", "warning"] == [finding.severity for finding in findings]
        assert all(isinstance(finding, Finding) for finding in findings)

    def test_changes_nothing(self, path):
        """Asking creates no logger and no file."""
        logging.getLogger("hilt.a.b")
        before = set(logging.Logger.manager.loggerDict)
        basic_config(path, delay=True)
        check_config()
        assert before == set(logging.Logger.manager.loggerDict)
        assert not os.path.exists(path)


def test_public():
    """Both are where the README says."""
    assert hilt_logging.basic_config is basic_config
    assert hilt_logging.check_config is check_config


def test_queue_that_dropped():
    """A queue in front of a handler that has dropped events is named."""
    handler = hilt_logging.BackgroundHandler(target=logging.NullHandler())
    handler.stats = lambda: {"dropped": 3}
    logging.getLogger("hilt").addHandler(handler)
    found = [str(finding) for finding in hilt_logging.check_config()]
    logging.getLogger("hilt").removeHandler(handler)
    handler.close()
    assert any("BackgroundHandler of 'hilt' has dropped 3 event(s)" in each for each in found)
