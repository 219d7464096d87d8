"""The handler that keeps events in a file, with threads, processes, forks, kills and full disks."""

from __future__ import annotations

import inspect
import json
import logging
import logging.config
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, HILTFormatter, HILTTextFormatter, emit
from hilt_logging.errors import ConfigurationError
from hilt_logging.io import reader


posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")


def prompt(text="Hi", **fields):
    return {
        "actor": {"type": "human", "id": "bob"},
        "action": "prompt",
        "content": {"text": text},
        **fields,
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.hilt.jsonl"


@pytest.fixture
def attached(hilt):
    """Attaches a handler to the logger of events."""

    def attach(*args, **options):
        handler = HILTFileHandler(*args, **options)
        hilt.addHandler(handler)
        return handler

    return attach


def balanced(handler):
    stats = handler.stats()
    assert stats["accepted"] == stats["written"] + stats["pending"] + stats["dropped"]
    assert stats["dropped"] == sum(stats["dropped_by"].values())
    return stats


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"filename": ""}, "Invalid filename: ''. Must be the path of a file"),
            ({"filename": None}, "Invalid filename: None. Must be the path of a file"),
            ({"filename": "a\0b"}, r"Invalid filename: 'a\x00b'. Must be the path of a file"),
            ({"filename": "cfg://x"}, "Invalid filename: 'cfg://x'. Must be the path of a file"),
            ({"foreign": "dorp"}, "Invalid foreign: 'dorp'. Must be one of: drop, wrap"),
            ({"level": "LOUD"}, "Invalid level: 'LOUD'. Must be a level of logging"),
            ({"encoding": "latin-1"}, "Invalid encoding: 'latin-1'. Must be utf-8"),
            ({"delay": "yes"}, "Invalid delay: 'yes'. Must be true or false"),
            ({"create_dirs": 1}, "Invalid create_dirs: 1. Must be true or false"),
            ({"ascii": 1}, "Invalid ascii: 1. Must be true or false"),
            *(
                ({"permissions": wrong}, f"Invalid permissions: {wrong!r}. Must be octal digits,")
                for wrong in ("rw", "0999", "", -1, 0o1000, True, 6.0, None)
            ),
        ],
    )
    def test_wrong(self, tmp_path, options, text):
        """A wrong option is named with its value and what is allowed."""
        with pytest.raises(ConfigurationError) as caught:
            HILTFileHandler(**{"filename": tmp_path / "a", **options})
        assert str(caught.value).startswith(text)
        assert [] == list(tmp_path.iterdir())

    def test_unknown(self, path):
        """An unknown option is named beside all that exist."""
        with pytest.raises(ConfigurationError) as caught:
            HILTFileHandler(path, filname="x")
        told, _, names = str(caught.value).partition(" Must be one of: ")
        assert "Invalid option of HILTFileHandler: 'filname'." == told
        parameters = [*inspect.signature(HILTFileHandler).parameters, *HILTFormatter.OPTIONS]
        assert sorted({*parameters} - {"formatter_options"}) == names.split(", ")

    @pytest.mark.parametrize("wrong", [{"level": "LOUD"}, {"filename": "/"}, {"ascii": 1}])
    def test_closed_although_it_failed(self, path, wrong):
        """logging can shut down what could not be set up, as the next dictConfig does."""
        with pytest.raises(ConfigurationError) as caught:
            HILTFileHandler(**{"filename": path, **wrong})
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        assert caught.value.option in wrong

    def test_directory(self, tmp_path):
        """A directory is no file."""
        with pytest.raises(ConfigurationError, match="It can't be opened: Is a directory"):
            HILTFileHandler(tmp_path)

    def test_missing_directory(self, tmp_path):
        """Directories are created, unless that is forbidden."""
        with pytest.raises(ConfigurationError, match="It can't be opened: No such file"):
            HILTFileHandler(tmp_path / "a" / "b" / "c", create_dirs=False)
        HILTFileHandler(tmp_path / "a" / "b" / "c").close()
        assert (tmp_path / "a" / "b" / "c").exists()

    def test_after_an_error(self, tmp_path):
        """A path that could not be opened can be used with other options afterwards."""
        name = tmp_path / "a" / "b"
        with pytest.raises(ConfigurationError):
            HILTFileHandler(name, create_dirs=False)
        HILTFileHandler(name, permissions="0640").close()

    def test_delay(self, path, attached):
        """With `delay` the file is there from the first event on."""
        attached(path, delay=True)
        assert not path.exists()
        emit(prompt())
        assert path.exists()

    def test_home(self, tmp_path, monkeypatch):
        """`~` is the home directory."""
        monkeypatch.setenv("HOME", str(tmp_path))
        handler = HILTFileHandler("~/x.jsonl")
        assert str(tmp_path / "x.jsonl") == handler.baseFilename
        handler.close()

    def test_repr(self, path):
        """It shows the path and the level."""
        handler = HILTFileHandler(path, level="ERROR")
        assert f"<HILTFileHandler {path} (ERROR)>" == repr(handler)
        handler.close()

    @posix
    @pytest.mark.parametrize(
        ("given", "bits"), [(None, 0o600), ("0640", 0o640), ("644", 0o644), (0o400 | 0o200, 0o600)]
    )
    def test_permissions(self, path, given, bits):
        """A file that is created is private, unless told otherwise."""
        before = os.umask(0o022)
        try:
            handler = HILTFileHandler(path, **({} if given is None else {"permissions": given}))
        finally:
            os.umask(before)
        handler.close()
        assert bits == stat.S_IMODE(path.stat().st_mode)

    def test_existing_permissions(self, path):
        """Those of a file that is there are left."""
        path.write_text("")
        path.chmod(0o644)
        HILTFileHandler(path).close()
        assert 0o644 == stat.S_IMODE(path.stat().st_mode)


class TestFormatter:
    def test_forwarded(self, path, attached):
        """Content options are those of the formatter that is made."""
        attached(path, ascii=True)
        emit(prompt("é"))
        assert b"\\u00e9" in path.read_bytes()

    def test_limit_forwarded(self, path, attached, lines):
        """So is the limit for the length of a line."""
        attached(path, max_line_bytes=1024)
        emit(prompt("x" * 9000))
        assert 1024 == path.stat().st_size
        assert "content.text" == lines(path)[0]["extensions"]["cut"][0]["field"]

    def test_another(self, path):
        """Another HILTFormatter is taken."""
        handler, formatter = HILTFileHandler(path), HILTFormatter(ascii=True)
        handler.setFormatter(formatter)
        assert formatter is handler.formatter
        handler.close()

    @pytest.mark.parametrize("other", [logging.Formatter(), HILTTextFormatter(), None])
    def test_another_kind(self, path, other):
        """Any other kind is refused."""
        handler = HILTFileHandler(path)
        with pytest.raises(ConfigurationError, match=r"Must be a hilt_logging\.HILT"):
            handler.setFormatter(other)
        handler.close()

    def test_both(self, path):
        """Options and a formatter at once are refused."""
        handler = HILTFileHandler(path, ascii=False)
        with pytest.raises(ConfigurationError, match="or else ascii of the handler"):
            handler.setFormatter(HILTFormatter())
        handler.close()


class TestDictConfig:
    def config(self, **handler):
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "hilt": {"()": "hilt_logging.HILTFormatter", "ascii": True},
                "text": {"format": "%(message)s"},
            },
            "handlers": {"file": {"class": "hilt_logging.HILTFileHandler", **handler}},
            "loggers": {"hilt": {"level": "INFO", "handlers": ["file"], "propagate": False}},
        }

    def test_works(self, path, lines):
        """It is configured like any handler, as often as one likes."""
        for _ in range(3):
            logging.config.dictConfig(
                self.config(filename=str(path), level="INFO", formatter="hilt")
            )
            emit(prompt("é"))
        assert 3 == len(lines(path))
        assert path.read_bytes().isascii()

    @pytest.mark.parametrize(
        ("handler", "text"),
        [
            ({"foreign": "x"}, "Invalid foreign: 'x'. Must be one of: drop, wrap"),
            ({"colour": "x"}, "Invalid option of HILTFileHandler: 'colour'. Must be one of: "),
            ({"formatter": "text"}, "Invalid formatter: 'Formatter'. Must be a hilt_logging."),
            ({"formatter": "hilt", "ascii": True}, "Invalid formatter: 'HILTFormatter'. Must be "),
        ],
    )
    def test_wrong(self, path, handler, text):
        """The cause of dictConfig's error says what is wrong."""
        with pytest.raises(ValueError, match="file") as caught:
            logging.config.dictConfig(self.config(filename=str(path), **handler))
        error = caught.value
        while error.__cause__ is not None:
            error = error.__cause__
        assert str(error).startswith(text)


class TestWrites:
    def test_line(self, path, attached, lines):
        """An event is one line when `emit` returns."""
        attached(path)
        ids = [emit(prompt(str(number))) for number in range(3)]
        assert ids == [event["event_id"] for event in lines(path)]

    def test_level(self, path, attached, lines):
        """A handler has a level, as in logging."""
        attached(path, logging.ERROR)
        emit(prompt())
        emit(prompt(extensions={"outcome": "failed"}))
        assert 1 == len(lines(path))

    def test_foreign(self, hilt, tmp_path, attached, lines):
        """Records without an event are left out, or wrapped."""
        attached(tmp_path / "drop")
        attached(tmp_path / "wrap", foreign="wrap")
        hilt.warning("disk %d%% full", 91)
        assert [] == lines(tmp_path / "drop")
        (event,) = lines(tmp_path / "wrap")
        assert {"logger": "hilt", "level": "WARNING", "message": "disk 91% full"} == event[
            "extensions"
        ]["log"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"args": ("x",)}, {"exc_info": ()}, {"exc_info": True}, {"exc_info": (None, None, None)},
            {"created": float("nan")}, {"created": 1e40}, {"name": 7}, {"levelname": object()},
            {"msg": object()}, {"exc_info": (ValueError, ValueError("x"), None)},
        ],
    )  # fmt: skip
    def test_odd_foreign_records(self, path, attached, lines, wrong):
        """A record that was put together wrongly is wrapped all the same."""
        handler = attached(path, foreign="wrap")
        record = logging.makeLogRecord(
            {"name": "app", "msg": "%d of it", "args": ("a", 1), **wrong}
        )
        handler.handle(record)
        assert 1 == len(lines(path))

    def test_users_own_records(self, hilt, path, attached, lines):
        """An event in `extra` is written once, and the same to every file."""
        attached(path)
        other = attached(path.with_name("other"))
        hilt.info("rated", extra={"hilt": prompt()})
        assert lines(path) == lines(path.with_name("other"))
        assert 1 == other.stats()["written"]

    def test_filter_that_raises(self, path, attached):
        """A filter that fails lets nothing pass, raises nothing, and is counted."""
        handler = attached(path)

        def fail(record):
            raise RuntimeError("my secret")

        handler.addFilter(fail)
        emit(prompt())
        assert {"RuntimeError": 1} == balanced(handler)["dropped_by"]
        assert b"" == path.read_bytes()

    def test_filter_that_returns_a_record(self, path, attached, lines):
        """A filter may put another record in place, on every Python."""
        handler = attached(path)

        def redact(record):
            return logging.makeLogRecord(
                {**vars(record), "hilt": {**record.hilt, "content": {"text": "***"}}}
            )

        handler.addFilter(redact)
        emit(prompt("my secret"))
        assert {"text": "***"} == lines(path)[0]["content"]

    def test_filter_that_spoils_the_event(self, hilt, path, attached, lines):
        """What a filter puts in place of the event is written as a valid one."""
        attached(path)

        def spoil(record):
            record.hilt = {"action": "nonsense"}
            return True

        hilt.addFilter(spoil)
        emit(prompt())
        assert "system" == lines(path)[0]["action"]

    @pytest.mark.parametrize("name", ["key", "line", "event_id", "event", "twin"])
    @pytest.mark.parametrize("value", [None, 17, "tenant-1"])
    def test_filter_that_adds_an_attribute(self, hilt, path, attached, lines, name, value):
        """What applications put on records under a name of their own costs no event."""
        attached(path)
        background = hilt_logging.BackgroundHandler(target=HILTFileHandler(f"{path}.2"))
        hilt.addHandler(background)

        def add(record):
            setattr(record, name, value)
            return True

        hilt.addFilter(add)
        accepted = [emit(prompt()) for _ in range(3)]
        assert background.flush()
        for each in (path, path.with_name(f"{path.name}.2")):
            assert accepted == [event["event_id"] for event in lines(each)]

    def test_one_record_for_several_events(self, hilt, path, lines):
        """A handler may put one event after the other on a record, and each is written."""
        handler = HILTFileHandler(path)

        class Splits(logging.Handler):
            def emit(self, record):
                whole = record.hilt
                for name in "ab":
                    record.hilt = {**whole, "event_id": name}
                    handler.handle(record)
                    handler.handle(record)

        hilt.addHandler(Splits())
        emit(prompt())
        assert ["a", "b"] == [event["event_id"] for event in lines(path)]
        handler.close()

    @pytest.mark.parametrize("value", [None, 5, "today"])
    def test_filter_that_takes_the_time_away(self, hilt, path, attached, value):
        """A handler that asks for the record's attributes gets them, and those after it the event."""

        class Asks(logging.Handler):
            def emit(self, record):
                if value is None:
                    del record.hilt["timestamp"]
                else:
                    record.hilt["timestamp"] = value
                self.created = record.created

        asks = Asks()
        hilt.addHandler(asks)
        attached(path)
        accepted = emit(prompt())
        assert abs(asks.created - time.time()) < 60
        assert accepted == json.loads(path.read_text())["event_id"]

    def test_torn_tail(self, path, attached, lines):
        """A fragment that somebody left is closed off: it is at most one line of its own."""
        path.write_bytes(b'{"torn":')
        attached(path)
        emit(prompt())
        torn, *rest = path.read_bytes().split(b"\n")
        assert b'{"torn":' == torn
        assert 2 == len(rest)

    def test_torn_meanwhile(self, path, attached):
        """Also one that appears while we write."""
        attached(path)
        emit(prompt())
        with path.open("ab") as other:
            other.write(b"torn")
        emit(prompt())
        found = path.read_bytes().split(b"\n")
        assert (4, b"torn", b"") == (len(found), found[1], found[3])

    def test_emptied(self, path, attached, lines):
        """After a truncation by others events go on at its end, without a hole."""
        attached(path)
        emit(prompt("x" * 100))
        os.truncate(path, 0)
        emit(prompt())
        assert 1 == len(lines(path))

    def test_never_shrinks(self, path, attached):
        """What stood in the file stays."""
        path.write_bytes(b"old\n")
        attached(path).close()
        attached(path)
        emit(prompt())
        assert path.read_bytes().startswith(b"old\n{")


class TestShared:
    def test_written_once(self, path, attached, lines):
        """Two handlers of one chain on one file write an event once."""
        child = HILTFileHandler(path)
        logging.getLogger("hilt.app").addHandler(child)
        parent = attached(path)
        emit(prompt(), logger="hilt.app")
        logging.getLogger("hilt.app").info("x", extra={"hilt": prompt()})
        assert 2 == len(lines(path))
        assert 2 == child.stats()["written"] + parent.stats()["written"]

    def test_wrapped_once(self, path, attached, lines):
        """Likewise an ordinary record that both wrap."""
        logging.getLogger("hilt.app").addHandler(HILTFileHandler(path, foreign="wrap"))
        attached(path, foreign="wrap")
        logging.getLogger("hilt.app").warning("x")
        assert 1 == len(lines(path))

    @posix
    def test_by_link(self, tmp_path, path, attached, lines):
        """A link to the file is the file."""
        (tmp_path / "link").symlink_to(path)
        attached(path)
        attached(tmp_path / "link")
        emit(prompt())
        assert 1 == len(lines(path))

    def test_other_options(self, path):
        """Differing options for one file are an error."""
        first = HILTFileHandler(path)
        with pytest.raises(ConfigurationError, match="in use in this process with other options"):
            HILTFileHandler(path, permissions="0644")
        first.close()
        HILTFileHandler(path, permissions="0644").close()

    def test_closed_by_one(self, path, attached, lines):
        """The file stays open for the others."""
        first, second = attached(path), attached(path)
        first.close()
        first.close()
        logging.getLogger("hilt").removeHandler(first)
        emit(prompt())
        assert (1, 1) == (len(lines(path)), second.stats()["written"])

    def test_after_close(self, path, attached, lines):
        """An event that comes after the end is kept."""
        handler = attached(path)
        handler.close()
        emit(prompt())
        assert 1 == len(lines(path))

    def test_at_exit(self, path, in_child, lines):
        """Also one from `atexit`, after `logging.shutdown`."""
        done = in_child(
            "import atexit, logging, sys, hilt_logging as h\n"
            "e = {'actor': {'type': 'system', 'id': 'x'}, 'action': 'system'}\n"
            "h.basic_config(sys.argv[1]); h.emit(e)\n"
            "atexit.register(h.emit, e); atexit.register(logging.shutdown)",
            path,
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert 2 == len(lines(path))

    @posix
    def test_no_descriptor_leaks(self, path):
        """Opening and closing again leaves no descriptor open."""
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            HILTFileHandler(path).close()
        assert before == len(os.listdir("/dev/fd"))


WRITER = """
import sys, hilt_logging as h
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
h.basic_config(path)
for n in range(count):
    h.emit({"actor": {"type": "agent", "id": name}, "action": "completion", "session_id": f"{name}-{n}",
            "content": {"text": "\\u00e9" * (150_000 if n % 20 == 7 else n % 900)}})
"""


def _sessions(events):
    return sorted(event["session_id"] for event in events)


class TestSideBySide:
    def test_threads(self, path, attached, lines):
        """Eight threads, lines of up to 300 KB: each is whole, none is lost."""
        handler = attached(path)

        def work(name):
            for number in range(150):
                size = 300_000 if number % 50 == 7 else number * 3
                emit(prompt("é" * size, session_id=f"{name}-{number}"))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        expected = sorted(f"{name}-{number}" for name in range(8) for number in range(150))
        assert expected == _sessions(lines(path))
        assert (1200, 0) == (balanced(handler)["written"], handler.stats()["dropped"])

    def test_processes(self, path, lines):
        """Four processes, lines of up to 300 KB: each is whole, none is lost or empty."""
        running = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, "100"])
            for name in "abcd"
        ]
        assert [0] * 4 == [each.wait(120) for each in running]
        expected = sorted(f"{name}-{number}" for name in "abcd" for number in range(100))
        assert expected == _sessions(lines(path))

    @posix
    def test_forked(self, path, attached, lines, forked):
        """Four forked children and their parent on one handler."""
        attached(path)

        def work(name):
            def run():
                for number in range(100):
                    size = 300_000 if number % 20 == 7 else number % 900
                    emit(prompt("x" * size, session_id=f"{name}-{number}"))

            return run

        children = [forked.start(work(name)) for name in "abcd"]
        work("e")()
        assert [0] * 4 == [forked.wait(each) for each in children]
        expected = sorted(f"{name}-{number}" for name in "abcde" for number in range(100))
        assert expected == _sessions(lines(path))

    @posix
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_fork_while_threads_log(self, path, attached, lines, forked):
        """A child that is forked while threads log does not hang and loses nothing."""
        attached(path)
        stop, counts = threading.Event(), []

        def work():
            count = 0
            while not stop.is_set():
                emit(prompt("x" * 2000, session_id="parent"))
                count += 1
            counts.append(count)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for each in threads:
            each.start()
        try:
            codes = [
                forked.run(lambda: emit(prompt(session_id="child")) or os._exit(3), timeout=30)
                for _ in range(25)
            ]
        finally:
            stop.set()
            for each in threads:
                each.join()
        assert [0] * 25 == codes
        found = _sessions(lines(path))
        assert (25, sum(counts)) == (found.count("child"), found.count("parent"))

    @posix
    def test_killed(self, path, attached, lines):
        """After `kill -9` whatever was accepted is there, and the next line is whole."""
        code = WRITER.replace("h.emit(", "print(h.emit(").replace("}})", "}}), flush=True)")
        for _ in range(4):
            child = subprocess.Popen(
                [sys.executable, "-c", code, str(path), "k", "100000"], stdout=subprocess.PIPE
            )
            accepted = [child.stdout.readline().decode().strip() for _ in range(40)]
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
            child.stdout.close()
            child.wait(30)
            accepted += rest.decode().split("\n")[:-1]
            handler = attached(path)
            accepted.append(emit(prompt()))
            logging.getLogger("hilt").removeHandler(handler)
            handler.close()
            whole = {event.event_id for event in reader.read(path, errors="skip")}
            assert set(accepted) <= whole

    def test_spawned(self, path, lines):
        """`multiprocessing` with spawn writes to it too."""
        # a child can't import this module where the tests are not in its path, but it has exec
        given = "sys.argv[1], sys.argv[2], int(sys.argv[3])"
        codes = [WRITER.replace(given, f"{str(path)!r}, {name!r}, 30") for name in "ab"]
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            pool.map(exec, codes)
        assert 60 == len(lines(path))


class TestFileMoves:
    def test_renamed(self, path, attached, lines):
        """A rename is followed within 100 ms; the lines in between are whole in the renamed file."""
        attached(path)
        first = emit(prompt())
        moved = path.with_name("moved")
        path.rename(moved)
        between = emit(prompt())
        time.sleep(0.15)
        after = emit(prompt())
        assert [first, between] == [event["event_id"] for event in lines(moved)]
        assert [after] == [event["event_id"] for event in lines(path)]

    @posix
    def test_private_after_a_rename(self, path, attached):
        """The new file is private too."""
        attached(path)
        path.rename(path.with_name("moved"))
        time.sleep(0.15)
        emit(prompt())
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    def test_renamed_under_load(self, path, attached, lines):
        """Renamed again and again under load nothing is lost or torn."""
        handler = attached(path)
        stop, ids = threading.Event(), []

        def work():
            while not stop.is_set():
                ids.append(emit(prompt("x" * 500)))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        for number in range(6):
            time.sleep(0.12)
            if path.exists():
                path.rename(path.with_name(f"moved-{number}"))
        stop.set()
        for each in threads:
            each.join()
        found = [event["event_id"] for file in path.parent.iterdir() for event in lines(file)]
        assert sorted(ids) == sorted(found)
        assert len(ids) == handler.stats()["written"]

    def test_directory_deleted(self, tmp_path, attached, lines):
        """A directory that was deleted is made again."""
        path = tmp_path / "logs" / "a"
        attached(path)
        emit(prompt())
        shutil.rmtree(path.parent)
        time.sleep(0.15)
        emit(prompt())
        assert 1 == len(lines(path))

    def test_deleted_for_good(self, tmp_path, attached):
        """Where the file can't be made again, events are counted as lost, not written nowhere."""
        path = tmp_path / "logs" / "a"
        handler = attached(path, create_dirs=True)
        path.unlink()
        path.parent.rmdir()
        path.parent.write_text("in the way")
        time.sleep(0.15)
        emit(prompt())
        assert (0, 1) == (handler.stats()["written"], balanced(handler)["dropped"])
        path.parent.unlink()
        emit(prompt())
        assert (1, 1) == (handler.stats()["written"], balanced(handler)["dropped"])

    def test_directory_in_its_place(self, path, attached):
        """A directory in the file's place costs events, not the application."""
        handler = attached(path)
        path.unlink()
        path.mkdir()
        time.sleep(0.15)
        emit(prompt())
        assert {"EISDIR": 1} == balanced(handler)["dropped_by"]

    @posix
    def test_all_descriptors_closed(self, path, in_child, lines):
        """A daemon closes all descriptors, and whoever gets ours next is left alone."""
        done = in_child(
            "import os, sys, time, hilt_logging as h\n"
            "h.basic_config(sys.argv[1])\n"
            "e = {'actor': {'type': 'system', 'id': 'x'}, 'action': 'system'}\n"
            "h.emit(e)\n"
            "os.closerange(3, 100)\n"
            "mine = [os.open(sys.argv[1] + '.mine', os.O_RDWR | os.O_CREAT) for _ in range(9)]\n"
            "time.sleep(0.15)\n"
            "for _ in range(3): assert h.emit(e)\n"
            "for fd in mine: os.fstat(fd)\n",
            path,
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert 4 == len(lines(path))
        assert b"" == path.with_name(path.name + ".mine").read_bytes()


FULL = """
import resource, signal, sys, time, hilt_logging as h
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1]
handler = h.basic_config(path)
def go(n): return [h.emit({"actor": {"type": "agent", "id": "x"}, "action": "system",
    "content": {"text": "my secret " * 30}}) for _ in range(n)]
assert None not in go(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
assert None not in go(50)
full = handler.stats()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
time.sleep(1)  # after some failures nothing is tried for a moment
assert None not in go(20)
stats = handler.stats()
assert full["dropped"] and set(full["dropped_by"]) == {"EFBIG"}, full
assert stats["accepted"] == 90 == stats["written"] + stats["dropped"] + stats["pending"], stats
assert stats["written"] == full["written"] + 20, (full, stats)
print(stats["written"])
"""


class TestTrouble:
    @linux
    def test_full(self, path, in_child):
        """A full disk costs events, which are counted; afterwards lines are whole again."""
        done = in_child(FULL, path)
        assert 0 == done.returncode, done.stderr
        assert "secret" not in done.stderr
        begin = f"hilt_logging: {path}: "
        assert [
            f"{begin}1 event(s) with trouble, the last one: EFBIG",
            f"{begin}49 event(s) with trouble, the last one: EFBIG",
        ] == done.stderr.splitlines()
        seen = list(reader.read(path, errors="skip"))
        (notice,) = (e.extensions["notice"] for e in seen if "notice" in e.extensions)
        assert {"EFBIG": 50} == notice["by_cause"]
        assert int(done.stdout) + 1 == len(seen)

    @linux
    def test_dev_full(self, attached, capfd):
        """A device that is full raises nothing and prints no content."""
        handler = attached("/dev/full")
        for _ in range(100):
            emit(prompt("my secret"))
        assert {"ENOSPC": 100} == balanced(handler)["dropped_by"]
        out, err = capfd.readouterr()
        assert ("", 1) == (out, err.count("\n"))
        assert "secret" not in err
        assert "ENOSPC" in err

    @linux
    def test_read_only_directory(self, tmp_path, in_child):
        """In a directory that may not be written, set-up says so, and a running handler counts."""
        logs = tmp_path / "logs"
        logs.mkdir()
        tmp_path.chmod(0o755)
        for parent in list(tmp_path.parents)[:3]:
            if os.stat(parent).st_uid == os.getuid() and parent.name.startswith("pytest"):
                parent.chmod(0o755)
        done = in_child(
            "import os, sys, time, hilt_logging as h\n"
            "logs = sys.argv[1]; late = h.basic_config(logs + '/late', delay=True)\n"
            "os.chmod(logs, 0o555)\n"
            "os.geteuid() or os.seteuid(65534)\n"
            "try: h.HILTFileHandler(logs + '/a')\n"
            "except h.ConfigurationError as error: print(error)\n"
            "h.emit({'actor': {'type': 'human', 'id': 'my secret'}, 'action': 'prompt'})\n"
            "print(late.stats()['dropped_by'])\n",
            logs,
        )
        logs.chmod(0o755)
        assert 0 == done.returncode, done.stderr
        error, dropped = done.stdout.splitlines()
        assert error.endswith("It can't be opened: Permission denied")
        assert "{'EACCES': 1}" == dropped
        assert "secret" not in done.stderr

    @linux
    def test_no_descriptors(self, path, in_child):
        """Where no descriptor is left, events go to the file that is open."""
        done = in_child(
            "import os, resource, sys, time, hilt_logging as h\n"
            "handler = h.basic_config(sys.argv[1])\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
            "taken = []\n"
            "try:\n"
            "    while True: taken.append(os.dup(0))\n"
            "except OSError: pass\n"
            "os.rename(sys.argv[1], sys.argv[1] + '.moved')\n"
            "time.sleep(0.15)\n"
            "h.emit({'actor': {'type': 'human', 'id': 'x'}, 'action': 'prompt'})\n"
            "print(handler.stats()['written'], handler.stats()['dropped'])\n",
            path,
        )
        assert ("1 0\n", "") == (done.stdout, done.stderr)

    def test_stderr_is_gone(self, attached, monkeypatch):
        """Without a stderr there is nobody to tell, and nothing is raised."""
        handler = attached("/dev/full" if os.path.exists("/dev/full") else os.devnull)
        monkeypatch.setattr(sys, "stderr", None)
        handler._troubles._told_at = float("-inf")
        handler._troubles.count("ENOSPC", "x")
        assert {"ENOSPC": 1} == handler.stats()["dropped_by"]

    def test_late_loss(self, path, attached, monkeypatch):
        """An event of a signal handler that can't be written is counted by its own handler."""
        other, handler = attached(path.with_name("other")), attached(path)
        appender = handler._appender
        write = os.write

        def nested(fd, data):
            if fd == appender._fd:
                monkeypatch.setattr(os, "write", full)
                handler.emit(logging.makeLogRecord({"hilt": prompt()}))
            return write(fd, data)

        def full(fd, data):
            if fd == appender._fd and data != outer:
                raise OSError(28, "full")
            return write(fd, data)

        outer = None
        monkeypatch.setattr(os, "write", nested)
        emit(prompt())
        monkeypatch.setattr(os, "write", write)
        assert (1, {"ENOSPC": 1}) == (handler.stats()["written"], balanced(handler)["dropped_by"])
        assert (1, 0) == (other.stats()["written"], balanced(other)["dropped"])

    def test_fault_at_every_write(self, path, hilt, lines, monkeypatch):
        """A write that fails, or is short, at any place costs that event alone."""
        write = os.write
        for fault in ("fails", "short, then fails", "short"):
            for place in range(6):
                target = path.with_name(f"{fault}-{place}")
                handler = HILTFileHandler(target)
                hilt.addHandler(handler)
                calls = []

                def faulty(fd, data, calls=calls, place=place, fault=fault):
                    if fd == 2:
                        return write(fd, data)
                    calls.append(data)
                    number = len(calls) - 1
                    if number == place and fault == "fails":
                        raise OSError(5, "broken")
                    if number == place:
                        return write(fd, data[: len(data) // 2])
                    if number == place + 1 and fault == "short, then fails":
                        raise OSError(28, "full")
                    return write(fd, data)

                monkeypatch.setattr(os, "write", faulty)
                ids = [emit(prompt()) for _ in range(6)]
                monkeypatch.setattr(os, "write", write)
                hilt.removeHandler(handler)
                handler.close()
                events = reader.read(target, errors="skip")
                found = [e.event_id for e in events if "notice" not in e.extensions]
                lost = 0 if fault == "short" else 1
                expected = [each for n, each in enumerate(ids) if not lost or n != place]
                assert expected == found
                assert (6 - lost, lost) == (
                    balanced(handler)["written"],
                    handler.stats()["dropped"],
                )

    def test_interrupted(self, path, attached, lines, monkeypatch):
        """After Ctrl-C in the middle of a write the next events are written as ever."""
        attached(path)
        write = os.write

        def interrupt(fd, data):
            write(fd, data[:10])
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            emit(prompt())
        monkeypatch.setattr(os, "write", write)
        ids = [emit(prompt()) for _ in range(3)]
        found = [e.event_id for e in reader.read(path, errors="skip")]
        assert ids == found


class TestTakenAway:
    @pytest.mark.parametrize("how", ["del", "pop", "none"])
    def test_event_taken_away(self, path, attached, lines, how):
        """An event that a filter takes from its record is not written, nor is the bare record."""

        class Takes(logging.Filter):
            def filter(self, record):
                if how == "del":
                    del record.hilt
                elif how == "pop":
                    record.__dict__.pop("hilt")
                else:
                    record.hilt = None
                return True

        handler = attached(path)
        handler.addFilter(Takes())
        emit(prompt())
        assert [] == lines(path)

    def test_filter_that_raises_is_a_loss(self, path, attached, lines):
        """What a filter costs is told in the file as any other loss."""
        handler = attached(path)
        handler.addFilter(broken := lambda record: 1 / 0)
        emit(prompt())
        handler.removeFilter(broken)
        emit(prompt())
        found = [event.get("extensions", {}) for event in lines(path)]
        (notice,) = (each["notice"] for each in found if "notice" in each)
        assert {"ZeroDivisionError": 1} == notice["by_cause"]

    def test_misspelt_filename(self):
        """A misspelt `filename` is named, and so is a missing one."""
        with pytest.raises(ConfigurationError, match="filenam"):
            HILTFileHandler(filenam="x")
        with pytest.raises(ConfigurationError, match="filename"):
            HILTFileHandler()

    @pytest.mark.parametrize("name", ["ext://a.b", "cfg://handlers.x"])
    def test_unresolved_reference(self, name):
        """A reference that nobody resolved is no file name."""
        with pytest.raises(ConfigurationError, match="filename"):
            HILTFileHandler(name)
