"""
A queue and a thread in front of any handler.

What the caller pays is kept to one `deque.append`: it is atomic, so neither a signal handler, nor a
`__del__`, nor a fork can find a lock held. The thread is woken when it sleeps, not at every event:
after each batch it lingers for some milliseconds, in which callers wake nobody. Whoever can't rely
on the thread (after `close`, while the interpreter shuts down, where no thread can be started)
hands over what waits itself.
"""

from __future__ import annotations

import atexit
import logging
import logging.handlers
import math
import os
import re
import sys
import threading
import time

from collections import deque
from threading import get_ident
from typing import Any
from weakref import WeakSet

from ._diagnostics import Tally, Troubles, to_stderr
from .errors import ConfigurationError, reject_unknown
from .filters import passed
from .records import HILTRecord, detached, taken_along, twin_of


__all__ = ["BackgroundHandler"]

_OPTIONS = ("target", "capacity", "when_full", "drain_timeout")
_LINGER_S = 0.01
_LOOK_EVERY_S = 0.002
_MOST_NESTED = 3
_MOST_AT_ONCE = 64
_UNITS = {"s": 1.0, "ms": 0.001}


class BackgroundHandler(logging.handlers.MemoryHandler):
    """
    Hand records to another handler in a thread, so that the caller does not wait for a disk.

    What waits in the queue is lost when the process ends by SIGKILL, by a signal that nobody
    handles or by `os._exit`: events that must survive that go to a `HILTFileHandler` directly. At
    every orderly end (the end of the program, `sys.exit`, an unhandled exception,
    `logging.shutdown`, a worker of `multiprocessing`) the queue is handed over first, for
    `drain_timeout` seconds at most.

    `handle` and `emit` may be called at the same time from anywhere, signal handlers and `__del__`
    included, and raise nothing. Records of one thread keep their order. A forked child begins with
    an empty queue. After `close` records are handed over at once, by their caller. The target's
    level counts; as with every `MemoryHandler` the target is not closed, and has the formatter.

    Args:
        target: The handler; in a configuration file its name.
        capacity: How many records may wait.
        when_full: What a caller does when so many wait: `drop` the record and count it, or wait, as
            in `block:1s` or `block:500ms`, and then drop it. As long as the target does not move
            after such a wait, further records are dropped without one.
        drain_timeout: For how many seconds `close` and `flush` wait for the target.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
    """

    target: logging.Handler

    def __init__(
        self,
        target: logging.Handler | None = None,
        capacity: int = 10_000,
        when_full: str = "block:1s",
        drain_timeout: float = 5.0,
        **unknown: Any,
    ) -> None:
        reject_unknown("BackgroundHandler", unknown, _OPTIONS)
        self._check_target(target)
        if type(capacity) is not int or capacity < 1:
            raise ConfigurationError("capacity", capacity, "Must be a whole number from 1")
        if type(drain_timeout) not in (int, float) or not 0 <= drain_timeout < math.inf:
            raise ConfigurationError("drain_timeout", drain_timeout, "Must be seconds from 0")
        self._patience_s = seconds_of(when_full)
        self._drain_timeout = drain_timeout
        self._closed = False
        self._begin_anew()
        super().__init__(capacity, target=target)
        _handlers.add(self)

    def _begin_anew(self) -> None:
        """Forget queue, thread and counts, as a forked child must: they are the parent's."""
        self._items: deque[Any] = deque()
        self._handing = threading.RLock()
        self._hander = 0  # the thread that hands over, while it does
        self._depth = 0  # of the record in hand: how many that came from within others it has
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell = threading.Lock()
        self._bell.acquire()
        self._sleeps = True  # nobody looks at the queue unless woken
        self._handled = 0
        self._gave_up_at = -1  # how much was handled when somebody last waited in vain
        self._flushed_at = float("-inf")  # when `flush` last waited in vain
        self._accepted, self._written = Tally(), Tally()
        self._accept = self._accepted.add
        self._troubles = Troubles(to_stderr)

    def _check_target(self, target: object) -> None:
        if not isinstance(target, logging.Handler) or target is self:
            raise ConfigurationError(
                "target",
                target,
                "Must be another handler; in a dictConfig its name, beside `class:` and not `()`",
            )
        if getattr(getattr(target, "_policy", None), "raises", False):
            raise ConfigurationError(
                "on_error", "raise", "Must be another one here: the caller has gone on"
            )

    def setTarget(self, target: logging.Handler | None) -> None:  # noqa: N802 -- logging's name
        """
        Hand records to another handler from now on.

        Raises:
            ConfigurationError: for what is no handler.
        """
        self._check_target(target)
        assert target is not None
        self.target = target

    def filter(  # type: ignore[override]  # since 3.12 a record may be returned
        self, record: logging.LogRecord
    ) -> bool | logging.LogRecord:
        """Return what the filters let pass: as Python 3.12 and later, also a record in its place."""
        return passed(self.filters, record)

    def handle(self, record: logging.LogRecord) -> Any:
        """Queue the record if the filters let it pass; no lock is taken."""
        if not self.filters:
            self.emit(record)
            return record
        try:
            found = self.filter(record)
        except Exception as error:  # it may be one that redacts: nothing passes
            self._accept()
            self._count(type(error).__name__)
            return False
        if isinstance(found, logging.LogRecord):
            self.emit(found)
        return found

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record, as it is now; never raises."""
        level = self.target.level
        if level and type(record.levelno) is int and record.levelno < level:
            return
        self._accept()
        try:
            if type(record) is HILTRecord and (line := record.hilt_line) is not None:
                item: Any = record, line, taken_along(record)
            else:
                item = detached(record)
        except Exception as error:
            self._count(type(error).__name__)
            return
        items = self._items
        if self._hander == get_ident():
            self._emit_within(item)
        elif len(items) < self.capacity or self._gets_room():
            items.append(item)
            if self._sleeps:
                self._wake()

    def _emit_within(self, item: object) -> None:
        """Queue a record that comes from within the target, but not for ever."""
        if self._depth >= _MOST_NESTED:
            self._count("recursion")
        elif len(self._items) >= self.capacity:
            self._count("full")
        else:
            self._items.append(_Nested(item, self._depth + 1))

    def _gets_room(self) -> bool:
        """Wait until there is room in the queue, within bounds; else count a lost record."""
        until = time.monotonic() + self._patience_s
        while not self._is_stuck():
            if self._sleeps:
                self._wake()
            if len(self._items) < self.capacity:
                return True
            if time.monotonic() >= until:
                self._give_up()
                break
            time.sleep(_LOOK_EVERY_S)
        self._count("full")
        return False

    def _is_stuck(self) -> bool:
        """Whether somebody waited in vain, and nothing was handed over since."""
        return self._gave_up_at == self._handled

    def _give_up(self) -> None:
        self._gave_up_at = self._handled

    def _count(self, cause: str, times: int = 1) -> None:
        self._troubles.count(cause, f"{type(self).__name__} of {_name(self.target)}", times)

    def _wake(self) -> None:
        """Let the thread go on, start it, or do its work here where there can be none."""
        if self._closed or (self._thread is None and not self._start()):
            self._hand_over_here()
        else:
            self._ring()

    def _ring(self) -> None:
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:  # somebody else was faster
                pass

    def _start(self) -> bool:
        """Start the thread, unless another does it; False where none can be started any more."""
        if sys.is_finalizing():
            return False
        starting = self._starting
        if not starting.acquire(blocking=False):
            return True
        try:
            if self._thread is None:
                name = f"hilt_logging {_name(self.target)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:
            return False
        finally:
            starting.release()
        return True

    def _work(self) -> None:
        """What the thread does until the handler is closed."""
        self._thread, bell, items = threading.current_thread(), self._bell, self._items
        try:
            while not self._closed:
                self._sleeps = False
                self._hand_over_all()
                if bell.acquire(timeout=_LINGER_S) or items:
                    continue
                self._sleeps = True
                if not items:  # somebody may have come between the two
                    bell.acquire()
        finally:
            self._sleeps = True
            self._hand_over_all()

    def _hand_over_here(self) -> None:
        """Hand over what waits in this thread, or leave it to the one that is at it."""
        while self._items:
            if not self._hand_over_all(0.0 if self._is_stuck() else self._drain_timeout):
                self._give_up()
                return

    def _hand_over_all(self, timeout: float = -1) -> bool:
        """Hand over what waits; False if another thread was at it all that time."""
        handing, items = self._handing, self._items
        if not handing.acquire(timeout=timeout):
            return False
        try:
            self._hander = get_ident()
            while items:
                self._hand_over_some(items)
        finally:
            self._hander = self._depth = 0
            handing.release()
        return True

    def _hand_over_some(self, items: deque[Any]) -> None:
        """Hand over what is first, and with it what follows if the target takes many at once."""
        many = getattr(self.target, "handle_many", None)
        batch: list[Any] = []
        while many is not None and items and len(batch) < _MOST_AT_ONCE:
            if type(items[0]) in (threading.Event, _Nested):
                break
            batch.append(items.popleft())
        if len(batch) > 1:
            self._hand_over_many(many, batch)
        elif batch or items:
            self._hand_over(batch[0] if batch else items.popleft())

    def _hand_over_many(self, many: Any, batch: list[Any]) -> None:
        self._depth = 0
        try:
            many([twin_of(*item) if type(item) is tuple else item for item in batch])
            for _ in batch:
                self._written.add()
        except BaseException as error:
            self._failed(error, len(batch))
        finally:
            self._handled += len(batch)

    def _failed(self, error: BaseException, number: int) -> None:
        self._count(type(error).__name__, number)
        wanted = isinstance(error, KeyboardInterrupt | SystemExit)
        if wanted and threading.current_thread() is not self._thread:
            raise error

    def _hand_over(self, item: Any) -> None:
        if type(item) is threading.Event:
            item.set()
            return
        self._depth = 0
        if type(item) is _Nested:
            item, self._depth = item.item, item.depth
        try:
            self.target.handle(twin_of(*item) if type(item) is tuple else item)
            self._written.add()
        except BaseException as error:
            self._failed(error, 1)
        finally:
            self._handled += 1

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]
        """
        Wait until every record that was accepted so far has been handed to the target.

        Args:
            timeout: For how many seconds at most; `drain_timeout` by default.

        Returns:
            Whether they have been. From within the target it is False while records wait.
        """
        if not self._items and self._hander == 0:
            return True
        if self._hander == get_ident():
            return not self._items
        reached = threading.Event()
        self._items.append(reached)
        self._wake()
        if reached.wait(self._drain_timeout if timeout is None else timeout):
            return True
        if timeout is None:
            self._give_up()
            self._flushed_at = time.monotonic()
        return False

    def close(self) -> None:
        """
        Hand over what waits, within `drain_timeout`; later records are handed over by their caller.

        What is still there after that is left to the thread, unless the program ends: then it is
        counted as dropped, and told on stderr.
        """
        self._close(ends=not threading.main_thread().is_alive())
        self._troubles.tell()
        logging.Handler.close(self)

    def _close(self, *, ends: bool) -> None:
        self._closed = True
        thread = self._thread
        if self._hander == get_ident():  # from within the target: what waits comes next anyway
            return
        if thread is None:
            self._hand_over_here()
        else:
            self._ring()
            flushed = time.monotonic() - self._flushed_at < 1  # as logging.shutdown does before
            thread.join(0 if flushed else self._drain_timeout)
            if thread.is_alive():
                self._give_up()
                if ends:
                    self._drop_all()

    def _drop_all(self) -> None:
        items, left = self._items, 0
        try:
            for _ in range(len(items)):  # others may still add some
                left += type(items.popleft()) is not threading.Event
        except IndexError:  # the thread has moved
            pass
        if left:
            self._count("shutdown", left)

    def stats(self) -> dict[str, Any]:
        """
        Return what became of the records: accepted = written + pending + dropped.

        Returns:
            `accepted`, `written` (handed to the target, which counts its own losses), `pending`,
            `dropped`, and `dropped_by` from cause to count: `full`, `shutdown`, `recursion`, or the
            name of what the target or a filter raised.
        """
        written, dropped_by = self._written.value(), self._troubles.by_cause()
        dropped = sum(dropped_by.values())
        accepted = self._accepted.value()  # read last: it is counted first
        return {
            "accepted": accepted,
            "written": written,
            "pending": accepted - written - dropped,
            "dropped": dropped,
            "dropped_by": dropped_by,
        }

    def __repr__(self) -> str:
        level = logging.getLevelName(self.level)
        return f"<{type(self).__name__} of {self.target!r} ({level})>"


class _Nested:
    """A record that came while the target handled another one."""

    __slots__ = ("depth", "item")

    def __init__(self, item: object, depth: int) -> None:
        self.item = item
        self.depth = depth


def seconds_of(when_full: str) -> float:
    """
    Return for how long `when_full` lets a caller wait.

    Raises:
        ConfigurationError: for what is neither `drop` nor `block:` with a time.
    """
    if when_full == "drop":
        return 0.0
    found = isinstance(when_full, str) and re.fullmatch(r"block:(\d+(?:\.\d+)?)(ms|s)", when_full)
    if not found:
        raise ConfigurationError(
            "when_full", when_full, 'Must be drop, or a time as in "block:1s" or "block:500ms"'
        )
    return float(found[1]) * _UNITS[found[2]]


def _name(target: logging.Handler) -> str:
    return target.name or type(target).__name__


_handlers: WeakSet[BackgroundHandler] = WeakSet()


def _after_fork_in_child() -> None:
    for handler in list(_handlers):
        handler._items.clear()
        handler._begin_anew()


def _before_threads_end() -> None:
    """Close all in a worker of multiprocessing: it leaves by `os._exit`, past `atexit`."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        for handler in list(_handlers):
            handler._close(ends=True)


def _at_exit() -> None:
    """Wait for those that were closed before they were done; logging.shutdown closes the others."""
    for handler in list(_handlers):
        if handler._closed:
            handler._close(ends=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
try:
    threading._register_atexit(_before_threads_end)  # type: ignore[attr-defined]
except (AttributeError, RuntimeError):  # another Python; or it is imported while Python ends
    pass
