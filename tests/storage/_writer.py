"""
A writer of the model test, in this process or in one of its own.

Run as a program with the path of a socket, it forks one writer for each connection; a writer reads
commands as JSON, one a line, and tells each event's fate as soon as it is known.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import select
import signal
import socket
import sys

from hilt_logging import (
    Actor,
    ConfigurationError,
    Content,
    Event,
    HILTFileHandler,
    RecordingError,
    Session,
    emit,
)


NOBODY = 65534
REFUSED = "refused"


class Writer:
    """
    Opens the log, writes to it, and tells what became of it.

    What is told of an event is its id once it is accepted, `refused` where its caller was told so,
    and None where nobody listened.
    """

    def __init__(self):
        self._handler = self._session = self._most = None

    def do(self, op, tell, **values):
        with self._limited():
            return getattr(self, f"do_{op}")(tell, **values)

    def do_open(self, tell, path, parts, options):
        """Open the handler, the session or both, in this order; return whether that worked."""
        try:
            for part in parts:
                if part == "handler":
                    self._handler = HILTFileHandler(path, **options)
                    logging.getLogger("hilt").addHandler(self._handler)
                else:
                    self._session = Session(path).open()
        except ConfigurationError:
            self.do_close(tell)
            return False
        return True

    def do_close(self, tell):
        if self._session is not None:
            self._session.close()
        if self._handler is not None:
            logging.getLogger("hilt").removeHandler(self._handler)
            self._handler.close()
        self._handler = self._session = None

    def do_write(self, tell, events):
        """Write events, given as triples of way, id and text; return the handler's counts."""
        before = self._counts()
        for number, (how, event_id, text) in enumerate(events):
            try:
                tell(number, self._write(how, event_id, text))
            except RecordingError:
                tell(number, REFUSED)
        return before, self._counts()

    def do_fork(self, tell, events):
        """Let a forked child write events."""
        reading, out = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reading)
                counts = self.do_write(sender(out), events)
                os.write(out, line_of(counts))
            finally:
                os._exit(0)
        os.close(out)
        *told, counts = received(reading, pid)
        os.waitpid(pid, 0)
        for each in told:
            tell(*each)
        return counts

    def do_limit(self, tell, most):
        """Let files grow no further than that, as on a full disk; None takes this back."""
        self._most = most

    def _write(self, how, event_id, text):
        if (self._session if how == "session" else self._handler) is None:
            return None
        event = {"actor": {"type": "human", "id": "bob"}, "action": "prompt"}
        event["content"] = {"text": text}
        if how == "emit":
            return emit(event)
        if how == "event":
            return emit(
                Event(actor=Actor(**event["actor"]), action="prompt", content=Content(text))
            )
        if how == "log":
            logging.getLogger("hilt").info("a", extra={"hilt": {**event, "event_id": event_id}})
            return event_id
        return self._session.append(event)

    def _counts(self):
        return self._handler and self._handler.stats()

    @contextlib.contextmanager
    def _limited(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (soft if self._most is None else self._most, hard)
        )
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def line_of(value):
    return json.dumps(value).encode() + b"\n"


def sender(fd):
    """What tells a pipe or a socket."""
    return lambda *values: os.write(fd, line_of(values))


def received(fd, pid):
    """All lines that a child tells before its end; it is killed where it hangs."""
    parts = []
    while True:
        if not select.select([fd], [], [], 60)[0]:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError("a forked child hangs")
        part = os.read(fd, 1 << 16)
        if not part:
            os.close(fd)
            return [json.loads(line) for line in b"".join(parts).splitlines()]
        parts.append(part)


def prepare():
    """Log to nobody else, and load what could not be loaded without privileges."""
    import ctypes  # noqa: F401
    import gzip  # noqa: F401

    import hilt_logging.storage.chaining  # noqa: F401

    logger = logging.getLogger("hilt")
    logger.setLevel(logging.INFO)
    logger.propagate = False


def serve(connection):
    """Be a writer until nobody gives commands any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    tell, writer = sender(connection.fileno()), Writer()
    tell(os.getpid())
    for line in connection.makefile("rb"):
        op, values = json.loads(line)
        tell("done", writer.do(op, tell, **values))


def main(path):
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                try:
                    listening.close()
                    serve(connection)
                finally:
                    os._exit(0)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
