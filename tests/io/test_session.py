"""A file of events of one's own."""

from __future__ import annotations

import logging
import os
import sys

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import Actor, Content, Event, Session, bind, events
from hilt_logging.errors import (
    ConfigurationError,
    HILTError,
    InvalidEventError,
    ReadError,
    RecordingError,
    SessionError,
)


def an_event(text="Hello", **fields):
    return Event(
        session_id="conv-1",
        actor=Actor(type="human", id="alice"),
        action="prompt",
        content=Content(text=text),
        **fields,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "session.jsonl"


class TestAppend:
    def test_usage(self, path, lines):
        """Open it, append, read it back."""
        with Session(path) as session:
            event = an_event()
            assert event.event_id == session.append(event)
            assert [event.to_dict()["content"]] == [e.to_dict()["content"] for e in session.read()]
        assert 1 == len(lines(path))

    @pytest.mark.parametrize("how", ["position", "keyword", "filepath", "text"])
    def test_path(self, path, how):
        """The path may be given under either name."""
        session = {
            "position": lambda: Session(path),
            "keyword": lambda: Session(path=path),
            "filepath": lambda: Session(filepath=path),
            "text": lambda: Session(str(path)),
        }[how]()
        with session:
            session.append(an_event())
        assert path.exists()

    def test_dict(self, path, lines):
        """A dict of an event will do; what is missing is made."""
        with Session(path) as session, bind("conv-9"):
            session.append({"actor": {"type": "human", "id": "x"}, "action": "prompt"})
        assert "conv-9" == lines(path)[0]["session_id"]

    def test_goes_on(self, path, lines):
        """Opened again it goes on at the end."""
        for _ in range(3):
            with Session(path) as session:
                session.append(an_event())
        assert 3 == len(lines(path))

    def test_same_event_twice(self, path, lines):
        """What is appended twice is there twice."""
        event = an_event()
        with Session(path) as session:
            session.append(event)
            session.append(event)
        assert 2 == len(lines(path))

    def test_open_and_close(self, path, lines):
        """Without a `with` block it is opened and closed by hand, as often as one likes."""
        session = Session(path)
        assert session is session.open() is session.open()
        session.append(an_event())
        session.close()
        session.close()
        with session:
            session.append(an_event())
        assert 2 == len(lines(path))

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_not_open(self, path, when):
        """Appending while it is not open raises."""
        session = Session(path)
        if when == "after":
            with session:
                pass
        with pytest.raises(SessionError, match=r"^Session not opened\.") as caught:
            session.append(an_event())
        assert isinstance(caught.value, HILTError)

    @pytest.mark.parametrize(
        "wrong", [None, {}, 7, {"action": "x", "actor": {"type": "human", "id": "a"}}]
    )
    def test_no_event(self, path, lines, wrong):
        """What is no event raises and is not written."""
        with Session(path) as session, pytest.raises(InvalidEventError, match=r"\$"):
            session.append(wrong)
        assert [] == lines(path)

    def test_repr(self, path):
        """It shows whether it is open."""
        session = Session(path)
        assert f"<Session {path} (closed)>" == repr(session)
        with session:
            assert f"<Session {path} (open)>" == repr(session)

    def test_private(self, path):
        """The file is private."""
        with Session(path):
            assert 0o600 == path.stat().st_mode & 0o777

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
    def test_full_disk(self):
        """What can't be written raises, without content."""
        with Session("/dev/full") as session, pytest.raises(RecordingError) as caught:
            session.append(an_event("my secret"))
        assert "Not written to /dev/full: ENOSPC" == str(caught.value)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "Invalid path: None. Give either path or filepath"),
            ({"path": "a", "filepath": "b"}, "Invalid path: 'a'. Give either path or filepath"),
            ({"path": ""}, "Invalid filename: ''."),
            ({"path": 7}, "Invalid filename: 7."),
            ({"path": "a", "mode": "r"}, "Invalid mode: 'r'. Must be one of: a, w"),
            ({"path": "a", "mode": None}, "Invalid mode: None. Must be one of: a, w"),
            ({"path": "a", "encoding": "latin-1"}, "Invalid encoding: 'latin-1'. Must be utf-8"),
            ({"path": "a", "encoding": 7}, "Invalid encoding: 7. Must be utf-8"),
            ({"path": "a", "create_dirs": "no"}, "Invalid create_dirs: 'no'. Must be true or"),
        ],
    )
    def test_wrong(self, options, text):
        """A wrong option is named with its value and what is allowed."""
        with pytest.raises(ConfigurationError) as caught:
            Session(**options)
        assert str(caught.value).startswith(text)

    @pytest.mark.parametrize("mode", ["a", "w"])
    def test_directory(self, tmp_path, mode):
        """A directory is no file, and stays where it is."""
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").touch()
        with pytest.raises(ConfigurationError, match="It can't be opened: EISDIR"):
            Session(tmp_path / "precious", mode=mode).open()
        assert (tmp_path / "precious" / "file").exists()

    def test_missing_directory(self, path):
        """Directories are created, unless that is forbidden."""
        with pytest.raises(ConfigurationError, match="It can't be opened: ENOENT"):
            Session(path, create_dirs=False).open()

    def test_differing_options(self, path):
        """A handler with other permissions on the same path is an error."""
        handler = hilt_logging.HILTFileHandler(path, permissions="0640")
        with pytest.raises(ConfigurationError, match="in use in this process with other options"):
            Session(path).open()
        handler.close()


class TestBeginAnew:
    def test_moved_aside(self, path, lines):
        """With `mode="w"` an existing file is moved aside: a log is never cut."""
        with Session(path) as session:
            first = session.append(an_event())
        with Session(path, mode="w") as session:
            second = session.append(an_event())
        assert [second] == [event["event_id"] for event in lines(path)]
        (aside,) = path.parent.glob(f"{path.name}.*")
        assert [first] == [event["event_id"] for event in lines(aside)]

    def test_torn_tail(self, path):
        """What is moved aside ends in a newline, whatever died before."""
        path.parent.mkdir()
        path.write_bytes(b'{"torn": ')
        with Session(path, mode="w") as session:
            session.append(events.prompt("Hi"))
        (aside,) = [each for each in path.parent.glob("session*") if each != path]
        assert b'{"torn": \n' == aside.read_bytes()
        assert 1 == path.read_bytes().count(b"\n")

    def test_nothing_there(self, path, lines):
        """Where there is none, or an empty one, nothing is moved."""
        for _ in range(2):
            with Session(path, mode="w"):
                pass
        assert [path] == list(path.parent.iterdir())

    def test_while_a_handler_writes(self, path, hilt, lines):
        """A handler on the same path goes on in the new file."""
        hilt_logging.basic_config(path)
        first = hilt_logging.emit(an_event())
        with Session(path, mode="w"):
            second = hilt_logging.emit(an_event())
        (aside,) = path.parent.glob(f"{path.name}.*")
        assert ([first], [second]) == (
            [event["event_id"] for event in lines(aside)],
            [event["event_id"] for event in lines(path)],
        )


class TestLogging:
    @pytest.mark.parametrize("off", ["level", "disable", "disabled"])
    def test_whatever_the_levels(self, path, hilt, kept, lines, off):
        """It is written whatever logging is told."""
        if off == "level":
            hilt.setLevel(logging.CRITICAL)
        elif off == "disable":
            logging.disable(logging.CRITICAL)
        else:
            logging.getLogger("hilt.session").disabled = True
        with Session(path) as session:
            assert session.append(an_event()) == lines(path)[0]["event_id"]
        assert [] == kept.records

    @pytest.mark.parametrize("logger", ["hilt.mine", logging.getLogger("hilt.mine"), None])
    def test_fan_out(self, path, kept, lines, logger):
        """It is then handed to a logger, `hilt.session` by default."""
        with Session(path) as session:
            session.append(an_event(), **({"logger": logger} if logger else {}))
        assert lines(path) == kept.events
        name = "hilt.mine" if logger else "hilt.session"
        assert (name, name) == (kept.records[0].name, kept.events[0]["provenance"]["logger"])

    def test_same_path(self, path, hilt, lines):
        """Where a handler writes the same file, an event is written once."""
        handler = hilt_logging.basic_config(path)
        with Session(path) as session:
            session.append(an_event())
            assert 1 == len(lines(path))
        hilt_logging.emit(an_event())
        assert (2, 1) == (len(lines(path)), handler.stats()["written"])

    def test_handler_that_raises(self, path, hilt, lines):
        """What a foreign handler raises does not reach who appends: the event is written."""

        def fail(record):
            raise RuntimeError("broken")

        hilt.addFilter(lambda record: True)
        logging.getLogger("hilt.session").addFilter(fail)
        with Session(path) as session:
            assert session.append(an_event()) == lines(path)[0]["event_id"]

    def test_handler_that_appends(self, path, hilt, lines):
        """A handler that appends to the session is not called for ever."""
        with Session(path) as session:

            class Echo(logging.Handler):
                def emit(self, record):
                    session.append(an_event("echo"))

            hilt.addHandler(Echo())
            session.append(an_event())
        assert 1 < len(lines(path)) < 10


class TestRead:
    def test_closed(self, path):
        """It reads whether open or closed."""
        with Session(path) as session:
            session.append(an_event())
        assert ["Hello"] == [event.content.text for event in Session(path).read()]

    def test_bad_line(self, path):
        """A bad line raises with file and number, or is skipped."""
        path.parent.mkdir()
        path.write_text("broken\n")
        session = Session(path)
        with pytest.raises(ReadError, match=rf"^{path}, line 1: not an event"):
            list(session.read())
        assert [] == list(session.read(errors="skip"))

    def test_missing(self, path):
        """A missing file is told."""
        with pytest.raises(HILTError, match=r"^File not found: "):
            list(Session(path).read())


def test_relative_path(tmp_path, monkeypatch):
    """A relative path is that of the moment at which it was given."""
    monkeypatch.chdir(tmp_path)
    session = Session("a.jsonl")
    os.chdir("/")
    with session:
        session.append(an_event())
    assert Path(tmp_path / "a.jsonl").exists()
