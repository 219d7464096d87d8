"""
What other programs left behind, as a log: files of hilt-python, and the database of simonw/llm.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ..errors import ConfigurationError, InvalidEventError, ReadError
from ..events import encode, to_timestamp, upgrade, without_nulls
from ..io.files import LogFile, open_lines
from ..io.reader import Faults
from ..schema import validate_event
from ..snapshot import snapshot
from . import _llm
from ._inputs import Paths, inputs_of, opened
from ._lines import Report
from ._outputs import whole


__all__ = ["SOURCES", "Imported", "import_log"]

SOURCES = ("hilt-python", "llm")
_REQUIRED = ("$.timestamp", "$.actor", "$.action", "$.actor.type", "$.hilt_version")
_UNKNOWN = {"$.session_id": "unknown", "$.actor.id": "unknown"}


class Imported(msgspec.Struct, kw_only=True):
    """
    What was imported.

    Attributes:
        output: The log that was made.
        events: How many events are in it.
        changed: In how many of them a field could not stay as it was; it is in
            `extensions.original`.
        lost: What could not be carried over, and how many of it.
        faults: How many lines and files could not be read.
    """

    output: str
    events: int
    changed: int
    lost: dict[str, int]
    faults: int


def import_log(
    paths: Paths,
    output: str | os.PathLike[str],
    *,
    source: str | None = None,
    report: Report | None = None,
    force: bool = False,
) -> Imported:
    """
    Make a log of what other programs left behind. Every line of it is a valid event.

    Args:
        paths: Files, folders and patterns: logs of hilt-python (0.1.0 and 0.2.8), or databases of llm.
        output: The new log.
        source: `hilt-python` or `llm`; by default what the files look like.
        report: Is called with the error of each line and file that can't be carried over.
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for another source, or an output that is there.
        ReadError: if the only path is not there.
    """
    if source not in (None, *SOURCES):
        raise ConfigurationError("source", source, f"Must be one of: {', '.join(SOURCES)}")
    faults = Faults(report)
    inputs = inputs_of(paths, faults)
    for path in inputs.parquet:
        faults(ReadError("It is Parquet, which is not imported", path))
    lost: Counter[str] = Counter()
    events = changed = 0
    target = os.fspath(output)
    with whole(target, force=force) as part, open(part, "wb") as file:
        for event, is_changed in _events(inputs.logs, inputs.sqlite, source, lost, faults):
            file.write(encode(event) + b"\n")
            events += 1
            changed += is_changed
    return Imported(
        output=target, events=events, changed=changed, lost=dict(lost), faults=faults.count
    )


def _events(
    logs: list[LogFile],
    databases: list[str],
    source: str | None,
    lost: Counter[str],
    report: Report,
) -> Iterator[tuple[dict[str, Any], bool]]:
    for file in logs:
        if source == "llm":
            report(ReadError("It is no database of llm", file.path))
        else:
            yield from _of_hilt_python(file, lost, report)
    for path in databases:
        try:
            with contextlib.closing(opened(path)) as database:
                if source == "hilt-python" or not _llm.is_llm(database):
                    report(ReadError("It is no log of hilt-python, and no database of llm", path))
                    continue
                refused = _refusing(path, lost, report)
                for event in _llm.events_of(database, lost):
                    yield from _checked(event, refused)
        except sqlite3.Error as error:
            report(ReadError(f"It can't be read as a database: {error}", path))


def _refusing(path: str, lost: Counter[str], report: Report) -> Callable[[str], None]:
    def refused(reason: str) -> None:
        lost["events"] += 1
        report(ReadError(reason, path))

    return refused


def _of_hilt_python(
    file: LogFile, lost: Counter[str], report: Report
) -> Iterator[tuple[dict[str, Any], bool]]:
    number = 0

    def told(error: ReadError) -> None:
        nonlocal number
        number += 1
        report(error)

    def refused(reason: str) -> None:
        lost["lines"] += 1
        report(ReadError(reason, file.path, number))

    try:
        for line in open_lines(file, report=told):
            number += 1
            data = line.lstrip(b"\0").removeprefix(b"\xef\xbb\xbf").strip()
            if data:
                yield from _of_line(data, refused)
    except ReadError as error:
        report(error)


def _of_line(data: bytes, refused: Callable[[str], None]) -> Iterator[tuple[dict[str, Any], bool]]:
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        event = _of_no_json(data)
        if event is None:
            refused(f"not an event: not JSON: {error}")
            return
    if type(event) is not dict:
        refused("not an event: not a JSON object")
        return
    yield from _checked(event, refused)


def _of_no_json(data: bytes) -> dict[str, Any] | None:
    """What Python's json wrote and no other reads: NaN, Infinity and halves of characters."""
    try:
        event = json.loads(data, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return dict(snapshot(event)) if type(event) is dict else None


def _checked(
    event: dict[str, Any], refused: Callable[[str], None]
) -> Iterator[tuple[dict[str, Any], bool]]:
    """An event as the format has it, and whether a field had to be moved for that."""
    known = event.get("extensions")
    had = dict(known) if type(known) is dict else {}
    plain = without_nulls(upgrade(event))
    is_changed = _has_original(plain) and not _has_original({"extensions": had})
    for fault in validate_event(plain):
        is_changed = True
        if not _moved(plain, fault.path):
            refused(f"not an event: {fault}")
            return
    faults = validate_event(plain)
    if faults:
        refused(f"not an event: {faults[0]}")
    else:
        yield plain, is_changed


def _has_original(event: dict[str, Any]) -> bool:
    return "original" in (event.get("extensions") or {})


def _moved(event: dict[str, Any], path: str) -> bool:
    """Take a field that is not as the format has it out of an event; return whether that is possible."""
    if path in _REQUIRED or path == "$":
        return False
    *parents, name = path.removeprefix("$.").split("[")[0].split(".")
    inner: Any = event
    for parent in parents:
        inner = inner.get(parent) if type(inner) is dict else None
    if type(inner) is not dict:
        return len(parents) > 0  # it went with what it stood in
    missing = name not in inner
    value = inner.pop(name, None)
    if path in _UNKNOWN:
        inner[name] = _UNKNOWN[path]
    elif path == "$.event_id":
        inner[name] = _id_of(event)
    if not missing:
        _keep(event, path.removeprefix("$.").split("[")[0], value)
    return True


def _keep(event: dict[str, Any], path: str, value: Any) -> None:
    extensions = event.get("extensions")
    if type(extensions) is not dict:
        extensions = event["extensions"] = {}
    original = extensions.get("original")
    kept = original if type(original) is dict else {}
    extensions["original"] = {**kept, path: value}


def _id_of(event: dict[str, Any]) -> str:
    """An id for an event without one, that is the same when it is imported again."""
    import hashlib

    try:
        when = to_timestamp(event.get("timestamp"))
    except InvalidEventError:
        when = ""
    digest = hashlib.sha256(encode(event)).hexdigest()[:16]
    return f"{when}-{digest}"
