"""Events through the stdlib's own handlers: queues, buffers and sockets."""

import copy
import io
import json
import logging
import logging.config
import logging.handlers
import os
import pickle
import queue
import socket
import subprocess
import sys
import textwrap
import threading

import pytest

import hilt_logging

from hilt_logging import events


@pytest.fixture
def listening(hilt_file):
    """A QueueHandler whose listener writes the file, and what waits for it to be written."""
    waiting = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, hilt_file.handler)
    listener.start()
    handler = logging.handlers.QueueHandler(waiting)
    yield handler, listener.stop
    if listener._thread is not None:
        listener.stop()


def attached(logger, *handlers):
    for handler in handlers:
        logger.addHandler(handler)


class Keeping(logging.Handler):
    """Keeps the events of the records that it gets."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def emit(self, record):
        self.kept.append(copy.deepcopy(record.hilt))


class TestQueue:
    def test_emit(self, logger, hilt_file, listening, completion):
        """Behind a stock QueueHandler the file has the whole event, under the id of emit."""
        handler, stop = listening
        direct = Keeping()
        attached(logger, handler, direct)

        event_id = hilt_logging.emit(completion, logger=logger)
        stop()

        assert hilt_file() == direct.kept
        assert hilt_file()[0]["event_id"] == event_id

    def test_context_filter(self, logger, hilt_file, listening):
        """HILTContextFilter on the QueueHandler adds what is bound where the event was logged."""
        handler, stop = listening
        handler.addFilter(hilt_logging.HILTContextFilter())
        attached(logger, handler)

        with hilt_logging.bind(session_id="s-1", user_id="alice"):
            logger.info("rated", extra={"hilt": {"action": "feedback", "actor": {"type": "human"}}})
        stop()

        [event] = hilt_file()
        assert event["session_id"] == "s-1"
        assert event["actor"] == {"type": "human", "id": "alice"}

    def test_without_context_filter(self, logger, hilt_file, listening):
        """Without the filter the listener's thread completes the event, and knows nothing bound."""
        handler, stop = listening
        attached(logger, handler)

        with hilt_logging.bind(session_id="s-1", user_id="alice"):
            logger.info("x", extra={"hilt": {"action": "system", "actor": SYSTEM}})
        stop()

        [event] = hilt_file()
        assert event["session_id"] != "s-1"
        assert "extensions" not in event

    def test_changed_later(self, logger, hilt_file, listening):
        """What the caller changes after the call does not change the event in the queue."""
        handler, stop = listening
        handler.addFilter(hilt_logging.HILTContextFilter())
        attached(logger, handler)
        mine = events.system("before", session_id="s").to_dict()
        other = events.system("before", session_id="s").to_dict()

        hilt_logging.emit(mine, logger=logger)
        logger.info("x", extra={"hilt": other})
        mine["content"]["text"] = other["content"]["text"] = "after"
        stop()

        assert [event["content"]["text"] for event in hilt_file()] == ["before", "before"]

    @pytest.mark.skipif(
        sys.version_info < (3, 12), reason="dictConfig builds QueueListeners from Python 3.12 on"
    )
    def test_dict_config(self, logger, tmp_path, completion):
        """dictConfig's own QueueHandler form works with our handler, filter and event."""
        path = tmp_path / "queued.jsonl"
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "filters": {"context": {"()": "hilt_logging.HILTContextFilter"}},
                "handlers": {
                    "file": {"class": "hilt_logging.HILTFileHandler", "filename": str(path)},
                    "queue": {
                        "class": "logging.handlers.QueueHandler",
                        "handlers": ["file"],
                        "respect_handler_level": True,
                        "filters": ["context"],
                    },
                },
                "loggers": {logger.name: {"handlers": ["queue"], "propagate": False}},
            }
        )
        listener = logging.getHandlerByName("queue").listener
        listener.start()

        event_id = hilt_logging.emit(completion, logger=logger)
        with hilt_logging.bind(session_id="s-1"):
            logger.info("x", extra={"hilt": {"action": "system", "actor": SYSTEM}})
        listener.stop()

        first, second = map(json.loads, path.read_bytes().splitlines())
        assert first["event_id"] == event_id
        assert first["content"] == {"text": "Grüße 😀"}
        assert second["session_id"] == "s-1"


SYSTEM = {"type": "system", "id": "test"}


class TestMemory:
    def test_flushed(self, logger, hilt_file, completion):
        """A MemoryHandler hands whole events on when an error comes, in their order."""
        direct = Keeping()
        memory = logging.handlers.MemoryHandler(100, target=hilt_file.handler)
        attached(logger, memory, direct)

        hilt_logging.emit(completion, logger=logger)
        hilt_logging.emit(events.prompt("next", session_id="s"), logger=logger)
        assert hilt_file() == []
        hilt_logging.emit(
            events.system(session_id="s", extensions={"outcome": "failed"}), logger=logger
        )

        assert [event["action"] for event in hilt_file()] == ["completion", "prompt", "system"]
        assert hilt_file() == direct.kept

    def test_one_users_events_stay_his(self, logger, hilt_file):
        """An event that waits is not given the user who happens to be bound when it is written."""
        memory = logging.handlers.MemoryHandler(100, target=hilt_file.handler)
        memory.addFilter(hilt_logging.HILTContextFilter())
        attached(logger, memory)

        logger.info("x", extra={"hilt": events.feedback(5, session_id="s")})
        with hilt_logging.bind(user_id="bob", tenant="his"):
            memory.flush()

        assert "extensions" not in hilt_file()[0]


RECEIVER = textwrap.dedent(
    """
    import importlib.util, json, logging, pickle, socket, struct, sys
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
    with connection, connection.makefile("rb") as stream:
        while head := stream.read(4):
            data = stream.read(struct.unpack(">L", head)[0])
            try:
                record = logging.makeLogRecord(pickle.loads(data))
            except ImportError as error:
                print(json.dumps({"error": str(error)}), flush=True)
                continue
            print(json.dumps({
                "ours": importlib.util.find_spec("hilt_logging") is not None,
                "name": record.name,
                "level": record.levelname,
                "message": record.getMessage(),
                "hilt": record.hilt,
            }), flush=True)
    """
)


@pytest.fixture
def receiver(tmp_path):
    """Another process, where our package can't be imported, that unpickles what it is sent."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", RECEIVER],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
    )
    handler = logging.handlers.SocketHandler("127.0.0.1", int(process.stdout.readline()))

    def received():
        handler.close()
        out, _ = process.communicate(timeout=30)
        return [json.loads(line) for line in out.splitlines()]

    yield handler, received
    handler.close()
    if process.poll() is None:
        process.kill()
        process.communicate()


class TestSocket:
    def test_another_process(self, logger, hilt_file, receiver, completion):
        """A process that does not have our package unpickles the whole event."""
        handler, received = receiver
        attached(logger, hilt_file.handler, handler)

        hilt_logging.emit(completion, logger=logger)
        logger.warning("rated", extra={"hilt": events.feedback(5, session_id="s")})

        first, second = received()
        assert [first.pop("hilt"), second.pop("hilt")] == hilt_file()
        assert first == {
            "ours": False,
            "name": logger.name,
            "level": "INFO",
            "message": "completion openai gpt-4o f session=conv-1 tokens=1+2 cost=$0.5 7ms",
        }
        assert (second["level"], second["message"]) == ("WARNING", "rated")

    def test_typed_event(self, logger, receiver):
        """A typed event needs HILTContextFilter on the SocketHandler, or else our package there."""
        handler, received = receiver
        attached(logger, handler)

        logger.info("x", extra={"hilt": events.feedback(5, session_id="s")})
        handler.addFilter(hilt_logging.HILTContextFilter())
        logger.info("x", extra={"hilt": events.feedback(5, session_id="s")})

        lost, kept = received()
        assert lost["error"].startswith("No module named")
        assert kept["hilt"]["session_id"] == "s"

    def test_pickled_record(self, logger, completion):
        """A pickled record of ours is the stdlib's LogRecord, with the same message and event."""
        direct = []
        handler = logging.Handler()
        handler.emit = direct.append
        attached(logger, handler)

        hilt_logging.emit(completion, logger=logger)

        [record] = direct
        again = pickle.loads(pickle.dumps(record))
        assert type(again) is logging.LogRecord
        assert vars(again) == vars(record)


class TestLines:
    def test_syslog(self, logger, hilt_file, completion):
        """A SysLogHandler with HILTFormatter sends the line that the file has."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(30)
            handler = logging.handlers.SysLogHandler(server.getsockname())
            handler.setFormatter(hilt_logging.HILTFormatter())
            attached(logger, hilt_file.handler, handler)

            hilt_logging.emit(completion, logger=logger)

            sent = server.recv(65536)
            handler.close()
        priority, _, line = sent.rstrip(b"\0").partition(b">")
        assert priority == b"<14"
        assert [json.loads(line)] == hilt_file()

    def test_stream(self, logger, hilt_file, completion):
        """A StreamHandler with HILTFormatter writes the very bytes that the file has."""
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(hilt_logging.HILTFormatter())
        attached(logger, hilt_file.handler, handler)

        hilt_logging.emit(completion, logger=logger)

        with open(hilt_file.handler.baseFilename, encoding="utf-8") as file:
            assert file.read() == out.getvalue()

    def test_rotating_file(self, logger, tmp_path, completion):
        """The stdlib's RotatingFileHandler with HILTFormatter writes whole lines and rotates."""
        handler = logging.handlers.RotatingFileHandler(
            tmp_path / "r.jsonl", maxBytes=1000, backupCount=50, encoding="utf-8"
        )
        handler.setFormatter(hilt_logging.HILTFormatter())
        attached(logger, handler)

        ids = [
            hilt_logging.emit(completion.to_dict() | {"event_id": f"e{i}"}, logger=logger)
            for i in range(9)
        ]
        handler.close()

        files = sorted(tmp_path.iterdir())
        found = [
            json.loads(line)["event_id"]
            for file in files
            for line in file.read_bytes().splitlines()
        ]
        assert len(files) > 1
        assert sorted(found) == ids

    def test_text_formatter_of_stdlib(self, logger, completion):
        """A text formatter of the stdlib shows the summary, without content."""
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(threadName)s %(message)s"))
        attached(logger, handler)

        hilt_logging.emit(completion, logger=logger)

        assert out.getvalue() == (
            f"INFO {logger.name} {threading.current_thread().name} "
            "completion openai gpt-4o f session=conv-1 tokens=1+2 cost=$0.5 7ms\n"
        )


def test_logger_adapter_drops_the_event(logger, hilt_file):
    """A LoggerAdapter replaces the call's extra: an event given through it does not arrive."""
    attached(logger, hilt_file.handler)
    adapter = logging.LoggerAdapter(logger, {"shelf": 3})

    adapter.info("rated", extra={"hilt": events.feedback(5, session_id="s")})
    assert hilt_file() == []

    hilt_logging.emit(events.feedback(5, session_id="s"), logger=adapter.logger)
    assert [event["action"] for event in hilt_file()] == ["feedback"]
