"""
From the lines of logs to what is counted: a block at once, and line by line where something is wrong.
"""

from __future__ import annotations

import datetime
import io
import itertools
import re

from collections.abc import Iterator
from typing import Any

import msgspec

from ..errors import InvalidEventError, ReadError
from ..events import read_time
from ..io._decoding import BLOCK
from ..io._selection import Selection
from ..io.files import LONGEST, LogFile, open_blocks
from ..schema import are_of_one_hour
from ._countable import Actor, Event, Extensions, Metrics, Named, Provenance, Tokens, Typed
from ._figures import Report
from ._lines import line_in
from .tables import COLUMNS


__all__ = ["converted", "events_of", "takes"]

_MARKS = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":", 19: ".", 26: "Z"}
_is_time = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d", re.ASCII).match
_decode = msgspec.json.Decoder(Event).decode
_GET = {column.name: column.get for column in COLUMNS}


def events_of(file: LogFile, fields: Selection | None, report: Report) -> Iterator[list[Event]]:
    """Yield the events of a file, some at a time."""
    for number, block, lines in _blocks_of(file, report):
        events = _decoded(block, lines, fields)
        if events is not None:
            yield events
            continue
        found = (line_in(file.path, *each, report) for each in enumerate(lines, number))
        wanted = (line.event for line in found if line is not None)
        yield [converted(event) for event in wanted if takes(fields, event)]


def _blocks_of(file: LogFile, report: Report) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Blocks of whole lines: the number of the first one, the block, and the lines."""
    number, is_amid_line = 1, False
    for block in open_blocks(file, size=BLOCK):
        is_whole = block.endswith(b"\n")
        if is_amid_line or (not is_whole and len(block) >= LONGEST):
            if not is_amid_line:
                reason = f"a line of more than {LONGEST} bytes is passed over"
                report(ReadError(reason, file.path, number))
                number += 1
            is_amid_line = not is_whole
            block = block[block.index(b"\n") + 1 :] if is_whole else b""
        lines = io.BytesIO(block).readlines()
        yield number, block, lines
        number += len(lines)


def takes(fields: Selection | None, event: dict[str, Any]) -> bool:
    """Return whether an event has the fields that are asked for."""
    return fields is None or fields.takes(event)


def _decoded(block: bytes, lines: list[bytes], fields: Selection | None) -> list[Event] | None:
    """The events of lines, or None where each must be looked at."""
    try:
        events = list(map(_decode, lines))
        if not block.isascii():  # also what is not decoded must be UTF-8
            str(b"".join([line for line in lines if not line.isascii()]), "utf-8")
        wanted = None if fields is None else fields.of(lines)
    except (msgspec.DecodeError, UnicodeError, RecursionError, InvalidEventError):
        return None
    if not _have_times(events):
        return None
    return events if wanted is None else list(itertools.compress(events, wanted))


def _have_times(events: list[Event]) -> bool:
    """Whether all have a time as an event must have; it is as we write it then."""
    if _are_ours([event.timestamp for event in events]):
        return True
    for event in events:
        if not _is_time(event.timestamp):
            return False
        event.timestamp = _ours(event.timestamp)
    return True


def _are_ours(times: list[str]) -> bool:
    """Whether these are times as we write them: all at once, which is faster."""
    if are_of_one_hour(times):
        times = times[:1]  # whose day is that of all
    text, count = "".join(times), len(times)
    if len(text) != 27 * count or any(
        text[place::27] != mark * count for place, mark in _MARKS.items()
    ):
        return False
    try:
        return all(map(datetime.datetime.fromisoformat, times))
    except ValueError:  # as a 30th of February
        return False


def _ours(when: str) -> str:
    """A time as we write it; empty where it is none, as the second 60 or a 30th of February."""
    try:
        return read_time(when)
    except InvalidEventError:
        return ""


def converted(event: dict[str, Any]) -> Event:
    """Return what counts of an event, some of whose fields may be of a wrong type."""
    value = {name: get(event) for name, get in _GET.items()}
    provenance = event.get("provenance")
    extensions = event.get("extensions")
    more = _texts(provenance, "request_model", "response_id")
    marks = extensions if type(extensions) is dict else {}
    return Event(
        event_id=value["event_id"],
        timestamp=_ours(event["timestamp"]),
        session_id=value["session_id"],
        actor=Actor(value["actor_type"], value["actor_id"]),
        action=value["action"],
        provenance=Provenance(value["provider"], value["model"], *more),
        metrics=Metrics(
            value["latency_ms"],
            value["time_to_first_token_ms"],
            Tokens(*(value[f"{part}_tokens"] for part in Tokens.__struct_fields__)),
            value["cost_usd"],
        ),
        extensions=Extensions(
            user_id=value["user_id"],
            reply_to=value["reply_to"],
            status_code=value["status_code"],
            finish_reason=value["finish_reason"],
            outcome=value["outcome"],
            session_source=marks.get("session_source"),
            tool=Named(value["tool_name"]),
            error=Typed(value["error_type"]),
            notice=marks.get("notice"),
        ),
    )


def _texts(part: Any, *names: str) -> Iterator[str | None]:
    inner = part if type(part) is dict else {}
    return (value if type(value := inner.get(name)) is str else None for name in names)
