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
from ..events import Event, decode, typed
from ..schema import ACTIONS, ACTOR_TYPES, FIELDS, EventFields, Name, is_valid
from ._selection import Selection
from .files import LONGEST


__all__ = [
    "BLOCK",
    "VALIDATION",
    "Codec",
    "Report",
    "Typed",
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
_BRACE = ord("{")


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
        many: Callable[[bytes], list[T] | None],
        one: Callable[[dict[str, Any]], T],
        selection: Selection | None = None,
    ) -> None:
        self._many = many
        self._one = one
        self._selection = selection

    def many(self, block: bytes, count: int) -> list[T] | None:
        """Return the wanted events of a block of lines, or None where each line must be looked at."""
        try:
            if self._selection is not None:
                return self._selected(self._selection, block, count)
            found = self._many(block)
        except _FAILURES:
            return None
        return found if found is not None and len(found) == count else None

    def _selected(self, selection: Selection, block: bytes, count: int) -> list[T] | None:
        wanted = selection.of(block)
        if len(wanted) != count:
            return None
        if not any(wanted):
            return []
        if not all(wanted):
            block = b"\n".join(itertools.compress(block.split(b"\n"), wanted))
        found = self._many(block)
        return found if found is not None and len(found) == sum(wanted) else None

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


class _Read(Event, kw_only=True):
    """An event as a line must have it: nothing that it needs is made up."""

    event_id: Name
    timestamp: str
    session_id: Name
    hilt_version: Literal["1.0.0"] = "1.0.0"


_read = msgspec.json.Decoder(_Read)
_any = msgspec.json.Decoder()


def _events(block: bytes) -> list[Event]:
    events: list[Any] = _read.decode_lines(block)
    for event in events:
        event.__class__ = Event  # the same fields, found to be good
    return events


def _dicts(block: bytes) -> list[dict[str, Any]] | None:
    events: list[Any] = _any.decode_lines(block)
    return events if all(map(is_valid, events)) else None


VALIDATION: Codec[Any] = Codec(msgspec.json.Decoder(EventFields).decode_lines, dict)
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
    lines = msgspec.json.Decoder(whole).decode_lines
    when = names.get("timestamp")

    def many(block: bytes) -> list[Typed] | None:
        found: list[Any] = lines(block)
        if when is not None and not all(_is_ours(getattr(each, when)) for each in found):
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
    lines = _Lines(blocks, path, report)
    for block in lines:
        count = _count(block)
        events = codec.many(block, count) if count > 0 else None
        if events is not None:
            yield from events
            lines.number += count
            continue
        for line in io.BytesIO(block):
            yield from decoded_line(line, path, lines.number, codec, report)
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
    try:
        yield from codec.one(line)
    except InvalidEventError as error:
        torn = "" if line.endswith(b"\n") else " (the line has no end)"
        faults = error.errors if error.errors[0].startswith("$") else ()
        report(ReadError(f"not an event: {error}{torn}", path, number, faults))


def _count(block: bytes) -> int:
    """How many lines a block has; -1 if some begin with anything but a brace."""
    count, begin, end, find = 0, 0, len(block), block.find
    while begin < end:
        if block[begin] != _BRACE:
            return -1
        count += 1
        begin = find(b"\n", begin) + 1 or end
    return count


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
