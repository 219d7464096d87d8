"""
One writer of the soak: threads, signals and forks that emit events, and tell what became of each.

What is told is a `TOLD` in the pipe that all writers share; what is in the pipe outlives the writer.
The process ends in order when its stdin does.
"""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import json
import logging
import os
import random
import signal
import struct
import sys
import threading
import time

from collections.abc import Callable
from typing import Any

from hilt_logging import Actor, Content, Event, HILTFileHandler, RecordingError, Session, emit


TOLD = struct.Struct("<BBHId")  # what, stream, writer, number, when
ACCEPTED, REFUSED, RAISED, HUNG, UNHEARD = range(1, 6)
WITHIN = 6  # accepted amid another event
SIGNALS, FORKS = 100, 101  # streams; threads have the numbers from 0 on
FILLERS = ("x", "é", "月", "😀", '"\n\\')
SIZES = (0, 10, 100, 400, 3_000)
SIGNAL_EVERY_S = 0.03
FORK_EVERY = 25
IN_A_FORK = 4
FORK_MAY_TAKE_S = 20.0


class Writer:
    """
    A program that logs all the time.

    Args:
        path: The log.
        number: The number of this writer; no other one has it.
        rate: Events a second and thread.
        out: The pipe.
        options: Those of the handler.
    """

    def __init__(
        self, path: str, number: int, rate: float, out: int, options: dict[str, Any]
    ) -> None:
        self._number, self._pause, self._out = number, 1 / rate, out
        self._done = threading.Event()
        logger = logging.getLogger("hilt")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        self._handler = HILTFileHandler(path, on_error="raise", **options)
        logger.addHandler(self._handler)
        self._session = Session(path).open()
        self._ways: tuple[Callable[[Any], str | None], ...] = (emit, emit, emit, self._appended)
        self._depth = 0  # of events in the main thread: signal handlers are interrupted, too
        self._waiting: list[tuple[int, int, float]] = []
        self._signals, self._forks = itertools.count(), itertools.count()
        self._children: dict[int, float] = {}

    def run(self, threads: int) -> None:
        """Log from this thread and others until stdin ends."""
        others = [
            threading.Thread(target=self._log, args=(stream,)) for stream in range(1, threads)
        ]
        others.append(threading.Thread(target=self._wait_for_the_end))
        for each in others:
            each.start()
        signal.signal(signal.SIGALRM, self._interrupted)
        signal.setitimer(signal.ITIMER_REAL, SIGNAL_EVERY_S, SIGNAL_EVERY_S)
        self._log(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in others:
            each.join()
        self._tell_waiting()
        while self._children:
            self._reap()
            time.sleep(0.01)
        self._session.close()
        self._handler.close()

    def _wait_for_the_end(self) -> None:
        sys.stdin.read()
        self._done.set()

    def _log(self, stream: int) -> None:
        for number in itertools.count():
            if self._done.is_set():
                return
            when = time.monotonic()
            if stream == 0:
                self._tell(self._emitted_here(stream, number), stream, number, when)
                self._tell_waiting()
                self._reap()
            else:
                self._tell(self._emitted(stream, number), stream, number, when)
            time.sleep(random.uniform(0, 2 * self._pause))

    def _emitted_here(self, stream: int, number: int) -> int:
        """Emit one event in the main thread."""
        self._depth += 1
        try:
            return self._emitted(stream, number)
        finally:
            self._depth -= 1

    def _emitted(self, stream: int, number: int) -> int:
        """Emit one event; return what became of it."""
        text = f"{self._number}.{stream}.{number} " + random.choice(FILLERS) * random.choice(SIZES)
        event: Any = {"actor": {"type": "human", "id": "soak"}, "action": "prompt"}
        if random.random() < 0.5:
            event["content"] = {"text": text}
        else:
            event = Event(actor=Actor(**event["actor"]), action="prompt", content=Content(text))
        try:
            accepted = random.choice(self._ways)(event)
        except RecordingError:
            return REFUSED
        except BaseException as error:
            print(f"raised: {type(error).__name__}", file=sys.stderr, flush=True)
            return RAISED
        return UNHEARD if accepted is None else ACCEPTED

    def _appended(self, event: Any) -> str | None:
        return self._session.append(event)

    def _tell(self, what: int, stream: int, number: int, when: float) -> None:
        os.write(self._out, TOLD.pack(what, stream, self._number, number, when))

    def _tell_waiting(self) -> None:
        """Tell what was accepted amid another event, now that this is written."""
        while self._waiting and self._depth == 0:
            stream, number, when = self._waiting.pop()
            self._tell(WITHIN, stream, number, when)

    def _interrupted(self, *_: object) -> None:
        number, when = next(self._signals), time.monotonic()
        what = self._emitted_here(SIGNALS, number)
        if what == ACCEPTED and self._depth:
            self._waiting.append((SIGNALS, number, when))
        else:
            self._tell(what, SIGNALS, number, when)
            self._tell_waiting()
        if number % FORK_EVERY == 0:
            self._fork()

    def _fork(self) -> None:
        first = next(self._forks) * IN_A_FORK
        pid = os.fork()
        if pid:
            self._children[pid] = time.monotonic()
            return
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number in range(first, first + IN_A_FORK):
                when = time.monotonic()
                what = self._emitted(FORKS, number)
                self._tell(WITHIN if what == ACCEPTED else what, FORKS, number, when)
        finally:
            os._exit(0)

    def _reap(self) -> None:
        """Bury the children that are done, and kill those that hang."""
        for pid, begun in list(self._children.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._children[pid]
            elif time.monotonic() - begun > FORK_MAY_TAKE_S:
                self._tell(HUNG, FORKS, 0, begun)
                os.kill(pid, signal.SIGABRT)
                os.waitpid(pid, 0)
                del self._children[pid]


def main(path: str, number: str, threads: str, rate: str, out: str, options: str) -> None:
    faulthandler.enable()
    with contextlib.suppress(BrokenPipeError):
        Writer(path, int(number), float(rate), int(out), json.loads(options)).run(int(threads))


if __name__ == "__main__":
    main(*sys.argv[1:])
