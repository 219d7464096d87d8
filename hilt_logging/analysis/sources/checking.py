"""
What comes from elsewhere, as the format has it: what does not fit moves to `extensions.original`.
"""

from __future__ import annotations

import hashlib

from collections.abc import Callable, Iterator
from typing import Any

from ...errors import InvalidEventError
from ...events import encode, to_timestamp, upgrade, without_nulls
from ...schema import validate_event


__all__ = ["checked"]

_REQUIRED = ("$.timestamp", "$.actor", "$.action", "$.actor.type", "$.hilt_version")
_UNKNOWN = {"$.session_id": "unknown", "$.actor.id": "unknown"}


def checked(
    event: dict[str, Any], refused: Callable[[str], None]
) -> Iterator[tuple[dict[str, Any], bool]]:
    """
    Yield an event as the format has it, and whether a field had to be moved for that.

    Args:
        event: The event; what its fields are is not known.
        refused: Is called with the reason where no event can be made of it.
    """
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
    try:
        when = to_timestamp(event.get("timestamp"))
    except InvalidEventError:
        when = ""
    digest = hashlib.sha256(encode(event)).hexdigest()[:16]
    return f"{when}-{digest}"
