"""
Making a valid event of whatever was given, with what is missing and what is bound.
"""

from __future__ import annotations

import time

from typing import Any, cast

from ._summaries import is_event
from .context import Context, current, trace_ids
from .errors import InvalidEventError
from .events import Event, new_id, timestamp, to_timestamp, upgrade, without_nulls
from .schema import FIELDS, HILT_VERSION, is_valid, validate_event
from .snapshot import snapshot


__all__ = ["valid_event"]

_FIELD_SET = frozenset(FIELDS)
_MIDDLE_FIELDS = FIELDS[4:-1]
_BINDABLE = ("provenance", "privacy", "extensions")


def valid_event(
    event: object, logger: str, now_ns: int | None = None, *, strict: bool = False
) -> dict[str, Any]:
    """Return any event as a valid plain dict: as `records.completed`, before its rules."""
    given = _plain(event)
    if type(given) is not dict:
        faults = ["$: must be object"]
    else:
        plain = _with_context(given, logger, now_ns)
        if is_valid(plain):
            return plain
        plain = without_nulls(upgrade(plain))
        _set_timestamp(plain)
        if is_valid(plain):
            return plain
        faults = [str(fault) for fault in validate_event(plain)]
    if strict:
        raise InvalidEventError(*faults)
    return _carrier(given, logger, now_ns, faults)


def _plain(event: object) -> Any:
    if is_event(type(event)):
        try:
            return cast(Event, event).to_dict()
        except Exception:  # a part of it was replaced by something else
            return snapshot(event)
    return snapshot(event)


def _set_timestamp(event: dict[str, Any]) -> None:
    try:
        event["timestamp"] = to_timestamp(event["timestamp"])
    except InvalidEventError:
        pass  # is told by validate_event


def _carrier(given: Any, logger: str, now_ns: int | None, faults: list[str]) -> dict[str, Any]:
    """A `system` event that carries what should have been an event, and says what is wrong."""
    session = given.get("session_id") if type(given) is dict else None
    event: dict[str, Any] = {
        "actor": {"type": "system", "id": "hilt_logging"},
        "action": "system",
        "extensions": {
            "outcome": "failed",
            "error": {"type": "InvalidEventError", "message": "; ".join(faults)},
            "invalid_event": given,
        },
    }
    if type(session) is str and session:
        event["session_id"] = session
    return _with_context(event, logger, now_ns)


def _with_context(given: dict[str, Any], logger: str, now_ns: int | None) -> dict[str, Any]:
    """The fields in their order, with what is missing and what is bound."""
    bound = current()
    if now_ns is None and not (given.get("event_id") and given.get("timestamp")):
        now_ns = time.time_ns()
    event = {
        "hilt_version": given.get("hilt_version") or HILT_VERSION,
        "event_id": given.get("event_id") or new_id(now_ns),
        "timestamp": given.get("timestamp") or timestamp(now_ns),
        "session_id": given.get("session_id") or bound.session_id or new_id(now_ns),
    }
    for name in _MIDDLE_FIELDS:
        value = given.get(name)
        if value is not None:
            event[name] = value
        elif name in _BINDABLE:
            event[name] = {}
    _add(event, "provenance", {**trace_ids(), "logger": logger})
    _add_bound(event, bound)
    for name in _BINDABLE:
        if event[name] == {}:
            del event[name]
    if not given.keys() <= _FIELD_SET:
        event.update((name, value) for name, value in given.items() if name not in _FIELD_SET)
    if given.get("integrity") is not None:
        event["integrity"] = given["integrity"]
    return event


def _add_bound(event: dict[str, Any], bound: Context) -> None:
    """Fill `privacy`, `extensions` and a person's `actor.id` with what is bound."""
    if bound.consent is not None:
        _add(event, "privacy", {"consent": bound.consent})
    if bound.extensions:
        _add(event, "extensions", bound.extensions)
    if bound.user_id is not None:
        _add(event, "extensions", {"user_id": bound.user_id})
        actor = event.get("actor")
        if type(actor) is dict and actor.get("type") == "human":
            actor.setdefault("id", bound.user_id)


def _add(event: dict[str, Any], name: str, more: dict[str, Any]) -> None:
    """Add to a part of an event what it does not say itself."""
    part = event[name]
    if type(part) is dict:
        traced = "trace_id" in part
        for key, value in more.items():
            if key not in part and not (key == "span_id" and traced):
                part[key] = value if type(value) is str else snapshot(value)
