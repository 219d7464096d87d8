"""
From lines to events: a block of lines at once, and line by line where something is wrong in it.
"""

from __future__ import annotations

import codecs
import io
import itertools
import logging

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from ..errors import ConfigurationError, InvalidEventError, ReadError
from ..events import Actor, ActorFields, Event, EventFields, decode, typed
from ..schema import (
    ACTIONS,
    ACTOR_TYPES,
    FIELDS,
    CheckedEvent,
    Name,
    are_timestamps,
)
from ._selection import Selection
from .files import LONGEST


__all__ = [
    "BLOCK",
    "VALIDATION",
    "Codec",
    "Report",
    "Typed",
    "batches",
    "codec_of",
    "decoded",
    "decoded_line",
    "reporter",
]

_log = logging.getLogger("hilt_logging.io.reader")

BLOCK = 64 * 1024
"""How many bytes are decoded at once: what comes of them stays in the processor's cache."""

Report = Callable[[ReadError], object]
T = TypeVar("T")
Typed = TypeVar("Typed", bound=msgspec.Struct)

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_FAILURES = (msgspec.DecodeError, InvalidEventError, UnicodeError, RecursionError)


def reporter(errors: str, report: Report | None) -> Report:
    """
    Return what is told of what can't be read.

    Raises:
        ConfigurationError: for another value of *errors* than `raise` and `skip`.
    """
    if errors not in ("raise", "skip"):
        raise ConfigurationError("errors", errors, "Must be one of: raise, skip")
    return _raise if errors == "raise" else report or _warn


def _raise(error: ReadError) -> None:
    raise error


def _warn(error: ReadError) -> None:
    _log.warning("%s", error)


class Codec(Generic[T]):
    """
    How lines become events of one kind.

    Args:
        many: Makes events of lines, where all of them are good; None means that they may not be.
        one: Makes an event of the dict of one.
        selection: Which events are wanted.
    """

    def __init__(
        self,
        many: Callable[[list[bytes]], list[T] | None],
        one: Callable[[dict[str, Any]], T],
        selection: Selection | None = None,
    ) -> None:
        self._many = many
        self._one = one
        self._selection = selection

    def many(self, lines: list[bytes]) -> list[T] | None:
        """Return the wanted events of some lines, or None where each line must be looked at."""
        try:
            if self._selection is None:
                return self._many(lines)
            wanted = list(itertools.compress(lines, self._selection.of(lines)))
            return self._many(wanted) if wanted else []
        except _FAILURES:
            return None

    def one(self, line: bytes) -> Iterator[T]:
        """
        Yield the event of a line, if it is wanted.

        Raises:
            InvalidEventError: if it is not JSON, not an object or not an event.
        """
        if self._selection is not None and self._selection.rejects(line):
            return
        event = decode(line)
        if self._selection is None or self._selection.takes(event):
            yield self._one(event)


class _ReadActor(ActorFields):
    type: Literal[ACTOR_TYPES]  # type: ignore[valid-type]
    id: Name


class _ReadEvent(EventFields, kw_only=True):
    """An event as a line must have it: nothing that it needs is made up."""

    action: Literal[ACTIONS]  # type: ignore[valid-type]
    actor: _ReadActor
    event_id: Name
    timestamp: str
    session_id: Name
    hilt_version: Literal["1.0.0"] = "1.0.0"


class _CheckedEvent(CheckedEvent, kw_only=True, gc=False):
    timestamp: str  # all times of a block are checked at once


_read = msgspec.json.Decoder(_ReadEvent).decode
_checked = msgspec.json.Decoder(_CheckedEvent).decode
_any = msgspec.json.Decoder().decode


def _events(lines: list[bytes]) -> list[Event] | None:
    events: list[Any] = list(map(_read, lines))
    for event in events:  # the same fields, found to be good
        event.__class__ = Event
        event.actor.__class__ = Actor
    return events if are_timestamps([event.timestamp for event in events]) else None


def _dicts(lines: list[bytes]) -> list[dict[str, Any]] | None:
    events: list[Any] = list(map(_any, lines))
    for event in events:
        msgspec.convert(event, _CheckedEvent)
    return events if are_timestamps([event["timestamp"] for event in events]) else None


def _valid(lines: list[bytes]) -> list[Any] | None:
    events = list(map(_checked, lines))
    return events if are_timestamps([event.timestamp for event in events]) else None


VALIDATION: Codec[Any] = Codec(_valid, dict)
"""Checks every field and makes nothing that can be used."""


def codec_of(kind: Any, selection: Selection | None) -> Codec[Any]:
    """Return what makes `Event`, `dict` or structs of one's own of lines."""
    if kind is Event:
        return Codec(_events, typed, selection)
    if kind is dict:
        return Codec(_dicts, dict, selection)
    return _codec_of_structs(kind, selection)


class _Who(msgspec.Struct, gc=False):
    type: Literal[ACTOR_TYPES]  # type: ignore[valid-type]
    id: Name


_NEEDED = {
    "event_id": Name,
    "timestamp": str,
    "session_id": Name,
    "actor": _Who,
    "action": Literal[ACTIONS],
}


def _codec_of_structs(struct: type[Typed], selection: Selection | None) -> Codec[Typed]:
    names = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
    needed = {f"hilt_{name}": name for name in FIELDS if name in _NEEDED and name not in names}
    whole = msgspec.defstruct(
        struct.__name__,
        [(own, _NEEDED[name]) for own, name in needed.items()],
        bases=(struct,),
        module=struct.__module__,
        rename=needed,
        kw_only=True,
        gc=struct.__struct_config__.gc,
    )
    each = msgspec.json.Decoder(whole).decode
    when = names.get("timestamp")

    def many(lines: list[bytes]) -> list[Typed] | None:
        found: list[Any] = list(map(each, lines))
        if when is not None and not all(_is_ours(getattr(own, when)) for own in found):
            return None
        return found

    return Codec(many, lambda event: cast(Typed, _converted(event, whole)), selection)


def _is_ours(when: object) -> bool:
    return type(when) is not str or (len(when) == 27 and when[26] == "Z")


def _converted(event: dict[str, Any], struct: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(event, struct)
    except msgspec.ValidationError as error:
        raise InvalidEventError(f"{error}") from None


def decoded(blocks: Iterable[bytes], path: str, codec: Codec[T], report: Report) -> Iterator[T]:
    """Yield the events of a file's blocks; what is none is reported with its number."""
    return itertools.chain.from_iterable(batches(blocks, path, codec, report))


def batches(
    blocks: Iterable[bytes], path: str, codec: Codec[T], report: Report
) -> Iterator[list[T]]:
    """Yield the same some at a time, for those who need not look at each."""
    lines = _Lines(blocks, path, report)
    for block in lines:
        several = io.BytesIO(block).readlines()
        events = codec.many(several)
        if events is not None:
            yield events
            lines.number += len(several)
            continue
        for line in several:
            yield list(decoded_line(line, path, lines.number, codec, report))
            lines.number += 1


def decoded_line(
    line: bytes, path: str, number: int, codec: Codec[T], report: Report
) -> Iterator[T]:
    """Yield the event of a line, if it has one."""
    if line[:1] == b"\0":
        rest = line.lstrip(b"\0")
        report(ReadError(f"not an event: {len(line) - len(rest)} NUL bytes", path, number))
        line = rest
    if not line.strip():
        return
    good = codec.many([line])
    if good is not None:
        yield from good
        return
    try:
        yield from codec.one(line)
    except InvalidEventError as error:
        torn = "" if line.endswith(b"\n") else " (the line has no end)"
        faults = error.errors if error.errors[0].startswith("$") else ()
        report(ReadError(f"not an event: {error}{torn}", path, number, faults))


class _Lines:
    """
    Blocks of whole lines, without those that are too long and what stands before the first.

    Attributes:
        number: That of the first line of the block that comes next; whoever reads it counts on.
    """

    def __init__(self, blocks: Iterable[bytes], path: str, report: Report) -> None:
        self._blocks = blocks
        self._path = path
        self._report = report
        self.number = 1

    def __iter__(self) -> Iterator[bytes]:
        is_first, is_passed_over, is_hole = True, False, False
        for block in self._blocks:
            if is_first:
                is_first = False
                if block.startswith(_UTF_16):
                    self._tell("it is UTF-16, and must be UTF-8")
                    return
                block = block.removeprefix(codecs.BOM_UTF8)
            if is_passed_over:
                _, end, block = block.partition(b"\n")
                is_passed_over = not end
                self.number += len(end)
            elif len(block) >= LONGEST and b"\n" not in block:
                is_hole = not block.strip(b"\0")
                is_passed_over = not is_hole
                if is_passed_over:
                    self._tell(f"it has more than {LONGEST} bytes and is passed over")
                continue
            if block:
                yield b"\0" + block if is_hole else block
                is_hole = False
        if is_hole:
            yield b"\0"

    def _tell(self, reason: str) -> None:
        self._report(ReadError(reason, self._path, self.number))
