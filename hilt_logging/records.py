"""
The record: what an event looks like while it is on its way through `logging`.

`record.hilt` is a plain dict of JSON values, detached from what the caller holds. Only that passes
unharmed through other people's formatters, queues, sockets and pickles.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
import threading
import time

from collections import OrderedDict
from datetime import datetime
from threading import current_thread, get_ident
from typing import Any, Protocol
from weakref import ref

import msgspec

from ._completing import valid_event
from ._ids import Key
from ._lines import encode_plain, has_plain_names, line_of, plain_of
from ._summaries import level_of, summary
from .context import lookup, restored
from .events import Event, encode
from .snapshot import snapshot


__all__ = ["HILTRecord", "complete", "detached", "event_of", "level_of", "make", "summary"]

_held = logging.LogRecord.__dict__["__dict__"].__get__


class HILTRecord(logging.LogRecord):
    """
    A `LogRecord` of an event whose other attributes are filled in when somebody asks for one.

    It is pickled and copied as a plain `LogRecord`, so that it arrives where this package is not
    installed.

    Attributes:
        hilt_id: The event's id.
        hilt_key: What stands for the event wherever the record or a copy of it passes by.
        hilt_line: The event's line, until somebody asks for the event as a dict.
    """

    # filters set attributes of any name, like `key` or `line`: these slots are no place for theirs
    __slots__ = ("_caller", "_filled", "_made", "hilt_id", "hilt_key", "hilt_line")

    def __init__(
        self,
        name: str,
        level: int,
        event: dict[str, Any] | None,
        line: bytes | None,
        event_id: str,
        caller: tuple[str, int, str],
    ) -> None:
        self._filled = False
        self._caller = caller
        self._made = event
        self.hilt_line = line
        self.hilt_id = event_id
        self.hilt_key: object = Key()
        self.name = name
        self.levelno = level
        self.thread = get_ident() if logging.logThreads else None
        if event is not None:
            _held(self)["hilt"] = event
            _twins.put(event, self.hilt_key)

    @property
    def hilt(self) -> Any:
        """The event; from then on it is a dict that may be changed, and its line is made anew."""
        if self.hilt_line is not None:
            self._read()
        try:
            return _held(self)["hilt"]
        except KeyError:
            raise AttributeError("hilt") from None

    @hilt.setter
    def hilt(self, event: Any) -> None:
        self._read()
        _held(self)["hilt"] = event

    @hilt.deleter
    def hilt(self) -> None:
        self._read()
        try:
            del _held(self)["hilt"]
        except KeyError:
            raise AttributeError("hilt") from None

    def _read(self) -> dict[str, Any]:
        """The event as a dict, of which from now on there is no line."""
        line = self.hilt_line
        if line is not None:  # by now another thread may have read it too
            event: dict[str, Any] = msgspec.json.decode(line)
            self._made = event
            if _held(self).setdefault("hilt", event) is event:
                _twins.put(event, self.hilt_key)
            self.hilt_line = None
        return self._made or {}

    def __getattr__(self, attribute: str) -> Any:
        if attribute not in _OWN:
            held = self.__dict__
            if attribute in held:
                return held[attribute]
        raise AttributeError(attribute)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        if not self._filled:
            self._fill()
        return _held(self)  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        return logging.makeLogRecord, (dict(self.__dict__),)

    def _fill(self) -> None:
        """Add what the stdlib's own constructor sets; nothing that is there is touched."""
        event, held = self._read(), _held(self)
        path, line, function = self._caller
        full = logging.LogRecord(
            held["name"], held["levelno"], path, line, summary(event), (), None, function
        )
        _set_time(full, event)
        if full.threadName is not None and full.thread != held["thread"]:
            full.threadName = _thread_name(held["thread"])
        for name, value in full.__dict__.items():
            held.setdefault(name, value)
        self._filled = True


def taken_along(record: HILTRecord) -> tuple[dict[str, Any], threading.Thread, str | None]:
    """Return what `twin_of` can't find out later: attributes as they are, thread and task."""
    return _held(record).copy(), current_thread(), _task_name() if _HAS_TASKS else None


def twin_of(
    record: HILTRecord, line: bytes, taken: tuple[dict[str, Any], threading.Thread, str | None]
) -> HILTRecord:
    """Return a copy as a record was when it had this line, whatever became of it since."""
    made = HILTRecord(record.name, record.levelno, None, line, record.hilt_id, record._caller)
    held, thread, task = taken
    if held.get("thread") == thread.ident and "threadName" not in held:
        held["threadName"] = thread.name
        if _HAS_TASKS:
            held["taskName"] = task
    held.pop("hilt", None)
    _held(made).update(held)
    made.hilt_key = record.hilt_key
    return made


_HAS_TASKS = hasattr(logging, "logAsyncioTasks")  # since 3.12


def _task_name() -> str | None:
    asyncio = sys.modules.get("asyncio") if logging.logAsyncioTasks else None  # type: ignore[attr-defined,unused-ignore]
    try:
        # current_task() alone would raise where no loop runs, which takes longer than all the rest
        if asyncio is None or asyncio._get_running_loop() is None:
            return None
        name: str = asyncio.current_task().get_name()
    except Exception:  # within a loop, but in no task
        return None
    return name


_SLOTS = frozenset(HILTRecord.__slots__)
_OWN = _SLOTS | {"hilt"}


def _set_time(record: logging.LogRecord, event: dict[str, Any]) -> None:
    try:
        created = datetime.fromisoformat(event["timestamp"]).timestamp()
    except (ValueError, OverflowError, KeyError, TypeError):  # February 30; a filter took it away
        return
    record.relativeCreated += (created - record.created) * 1000
    record.created = created
    record.msecs = float(int(created % 1 * 1000))


def make(
    event: Event | dict[str, Any],
    logger: logging.Logger,
    level: int | None = None,
    *,
    caller: tuple[str, int, str] | None = None,
    strict: bool = False,
    own_level: int | None = None,
) -> logging.LogRecord:
    """
    Return the record of an event, completed with what is bound here.

    Args:
        event: An `Event` or a dict of its fields; whatever it is, it becomes a valid event.
        logger: Where it will be handled.
        level: A level of `logging`; `level_of` the event by default.
        caller: Path, line and function for the record; unknown by default.
        strict: Raise for an event that is not valid.
        own_level: What `level_of` says of the event, where that is known.

    Raises:
        InvalidEventError: under *strict*.
    """
    name = logger.name
    ours = type(logger).makeRecord is _MAKE_RECORD and _record_factory() is logging.LogRecord
    line, event_id = _line_and_id(event, name) if ours and _rules is None else (None, "")
    if line is not None:
        levelno = own_level if level is None else level
        levelno = level_of(event) if levelno is None else levelno
        return HILTRecord(name, levelno, None, line, event_id, caller or _NO_CALLER)
    plain = completed(event, name, strict=strict)
    levelno = level_of(plain) if level is None else level
    if ours:
        return HILTRecord(name, levelno, plain, None, plain["event_id"], caller or _NO_CALLER)
    path, number, function = caller or _NO_CALLER
    record = logger.makeRecord(name, levelno, path, number, summary(plain), (), None, function)
    record.hilt = plain
    return record


def _line_and_id(event: Event | dict[str, Any], logger: str) -> tuple[bytes | None, str]:
    """The line of an event that goes the short way, and its id."""
    if type(event) is Event:
        return line_of(event, logger), event.event_id
    if type(event) is dict:
        plain = plain_of(event, logger)
        if plain is not None:
            return _encoded(plain), plain.event_id
    return None, ""


def _encoded(plain: Any) -> bytes | None:
    try:
        return encode_plain(plain)
    except Exception:  # a lone surrogate, a dict that changed meanwhile
        return None


_MAKE_RECORD = logging.Logger.makeRecord
_NO_CALLER = ("(unknown file)", 0, "(unknown function)")
_record_factory = logging.getLogRecordFactory


class _Twins:
    """
    Which record a dict was read for, of the dicts that were read last.

    A copy of a record that went through a queue has the dict alone, and may come to the same file.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[object, object]] = OrderedDict()

    def put(self, event: dict[str, Any], key: object) -> None:
        self._known[id(event)] = (event, key)
        if len(self._known) > 64:
            self._known.popitem(last=False)

    def knows(self, event: object) -> bool:
        """Whether it was read from a line, and so is complete."""
        return self._known.get(id(event), (None, None))[0] is event

    def key(self, event: object) -> object:
        known, key = self._known.get(id(event), (None, None))
        return key if known is event else event


_twins = _Twins()


class Rules(Protocol):
    """What may be read of an event, wherever it goes."""

    def applied(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return what may be read of a complete event; never raises."""

    def failures(self) -> dict[str, int]:
        """Return how often something failed, from the cause to the count."""


_rules: Rules | None = None


def use_rules(rules: Rules | None) -> None:
    """Apply rules to every event that is made or completed from now on; None for none."""
    global _rules
    _rules = rules


def current_rules() -> Rules | None:
    """Return the rules that apply to every event."""
    return _rules


def key_of(record: logging.LogRecord) -> object:
    """Return the object that stands for one event wherever its record or a copy of it passes by."""
    if type(record) is HILTRecord:
        return record.hilt_key
    made = _made.get(ref(record)) if type(record).__hash__ is object.__hash__ else None
    event = event_of(record)
    if made is not None and made[0] is event:
        return made[1]
    return record if event is None else _twins.key(event)


def id_of(record: logging.LogRecord) -> str:
    """Return the `event_id` of a record that `make` made."""
    event_id: str
    if type(record) is HILTRecord:
        event_id = record.hilt_id
    else:
        event_id = record.hilt["event_id"]  # type: ignore[attr-defined]
    return event_id


def event_of(record: logging.LogRecord) -> Any:
    """
    Return what stands on a record as its event, as it is; None where there is none.

    It is looked for in `record.hilt`, in `record.msg["hilt"]` (structlog) and in
    `record.extra["hilt"]` (loguru).
    """
    if type(record) is logging.LogRecord:
        event = record.__dict__.get("hilt")
        if event is not None:
            return event
    return _find(record)[1]


def _find(record: logging.LogRecord) -> tuple[dict[str, Any], Any]:
    """The dict that holds a record's event under `hilt`, and the event."""
    if type(record) is HILTRecord:
        record._read()
    held = _held(record)
    if held.get("hilt") is not None:
        return held, held["hilt"]
    for place in (held.get("msg"), held.get("extra")):
        if type(place) is dict:
            event = place.get("hilt") if has_plain_names(place) else _among(place)
            if event is not None:
                return place, event
    return held, None


def _among(place: dict[Any, Any]) -> Any:
    """What stands under `hilt`, where other keys could not be asked whether they are that."""
    for name, value in place.copy().items():
        if issubclass(type(name), str) and str.__eq__(name, "hilt"):
            return value
    return None


def complete(record: logging.LogRecord) -> dict[str, Any] | None:
    """
    Complete the event on a record and return it; None for a record without one.

    The first filter, processor, handler or formatter of ours that sees the record does it, and puts
    the completed dict back, so that every destination has the same id. Never raises: what is no
    event becomes a `system` event that carries it.
    """
    return complete_with_line(record)[0]


def complete_with_line(
    record: logging.LogRecord,
) -> tuple[dict[str, Any] | None, bytes | None]:
    """Do what `complete` does, and return the line too where it was made on the way."""
    place, event = _find(record)
    if event is None or _made_of(record) is event or _twins.knows(event):
        return event, None
    name, now_ns = record.name if type(record.name) is str else "hilt", created_ns(record)
    may_be_short = type(event) is dict and _rules is None
    found = plain_of(event, name, now_ns) if may_be_short else None
    plain: Any = None if found is None else msgspec.to_builtins(found)
    line = None if plain is None else _encoded(plain)
    if line is None:
        plain = completed(event, name, now_ns)
    place["hilt"] = plain
    _set_made(record, plain, Key())
    return plain, line


def detached(record: logging.LogRecord) -> logging.LogRecord:
    """
    Return a copy of a record that another thread may handle later, whatever happens to this one.

    The event is completed with what is bound here, and the message is merged with its arguments;
    a message that is a dict, as structlog's, stays one.
    """
    event, line = complete_with_line(record)
    if line is not None and event is not None and _is_ordinary(record, event):
        return _with_line(record, event["event_id"], line)
    copied = copy.copy(record)
    if type(copied.msg) is dict:
        copied.msg = dict(copied.msg)
    elif copied.args or type(copied.msg) is not str:
        _merge(copied)
    place, _ = _find(copied)
    if event is None:
        _keep_context(copied)
    else:
        place["hilt"] = fresh = _copy_of(event)
        key = key_of(record)
        _twins.put(fresh, key)
        _set_made(copied, fresh, key)
    return copied


_contexts: dict[ref[logging.LogRecord], Any] = {}
"""What was bound where ordinary records were made that another thread handles."""


def _keep_context(record: logging.LogRecord) -> None:
    bound = lookup()
    if bound.layers and type(record).__hash__ is object.__hash__:
        _contexts[ref(record, _contexts.pop)] = bound


def as_bound(record: logging.LogRecord) -> contextlib.AbstractContextManager[None]:
    """Bind what was bound where a record was detached; what is bound here, where it was not."""
    found = None
    if _contexts and type(record).__hash__ is object.__hash__:
        found = _contexts.get(ref(record))
    return contextlib.nullcontext() if found is None else restored(found)


def with_event(record: logging.LogRecord, event: dict[str, Any]) -> logging.LogRecord:
    """Return a copy of a record with another form of its event, which is the same one to a file."""
    made = logging.makeLogRecord({**record.__dict__, "hilt": event})
    _set_made(made, event, key_of(record))
    return made


def _is_ordinary(record: logging.LogRecord, event: object) -> bool:
    """Whether this is a record of the stdlib's own class, and its event an attribute."""
    held = record.__dict__
    return (
        type(record) is logging.LogRecord
        and held.get("hilt") is event
        and _SLOTS.isdisjoint(held)
        and type(record.msg) is not dict
    )


def _with_line(record: logging.LogRecord, event_id: str, line: bytes) -> HILTRecord:
    """The same record with its event as a line, from which whoever asks has a dict of its own."""
    made = HILTRecord(record.name, record.levelno, None, line, event_id, _NO_CALLER)
    made.hilt_key = key_of(record)
    held = _held(made)
    held.update(record.__dict__)
    del held["hilt"]
    if made.args or type(made.msg) is not str:
        _merge(made)
    return made


def _merge(record: logging.LogRecord) -> None:
    try:
        record.msg, record.args = record.getMessage(), None
    except Exception:  # as wrong as "%d" % "x": the target says so in its own way
        return


def _copy_of(event: dict[str, Any]) -> dict[str, Any]:
    try:
        copied: dict[str, Any] = msgspec.json.decode(encode(event))
    except Exception:  # a filter put something into it that is no JSON
        copied = snapshot(event)
    return copied


_made: dict[ref[logging.LogRecord], tuple[dict[str, Any], object]] = {}
"""What was completed on records that are not ours, and its key: none is completed twice."""


def _set_made(record: logging.LogRecord, event: dict[str, Any], key: object) -> None:
    if type(record) is HILTRecord:
        record._made = event
        if event["event_id"] != record.hilt_id:  # another one was put in its place
            record.hilt_id, record.hilt_key = event["event_id"], key
    elif type(record).__hash__ is object.__hash__:
        # a WeakKeyDictionary without its calls of Python: the reference removes itself
        _made[ref(record, _made.pop)] = event, key


def _made_of(record: logging.LogRecord) -> object:
    if type(record) is HILTRecord:
        return record._made
    if type(record).__hash__ is not object.__hash__:
        return None
    return _made.get(ref(record), _NOTHING_MADE)[0]


_NOTHING_MADE = (None, None)


def created_ns(record: logging.LogRecord) -> int:
    """Return when a record was made, in nanoseconds; now where it says something impossible."""
    now_ns = time.time_ns()
    created = record.__dict__.get("created")
    if type(created) is not float or not 0 <= created * 1e9 <= now_ns:
        return now_ns
    return round(created * 1e6) * 1000


def completed(
    event: object, logger: str, now_ns: int | None = None, *, strict: bool = False
) -> dict[str, Any]:
    """
    Return any event as a valid plain dict, with id, timestamp, session and context.

    Args:
        event: An `Event`, a dict of its fields, or anything else by mistake.
        logger: The name for `provenance.logger`.
        now_ns: What the clock said, for an event without a timestamp of its own.
        strict: Raise for what is no event, rather than return a `system` event that carries it.

    Raises:
        InvalidEventError: under *strict*.
    """
    plain = valid_event(event, logger, now_ns, strict=strict)
    return plain if _rules is None else _rules.applied(plain)


def _thread_name(ident: int) -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return names.get(ident, f"Thread-{ident}")
