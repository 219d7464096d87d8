"""
The format, HILT 1.0.0, as tables: a JSON Schema, and what checks an event against it.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from msgspec import UNSET, UnsetType


__all__ = [
    "ACTIONS",
    "ACTOR_TYPES",
    "HILT_VERSION",
    "JSON_SCHEMA",
    "Fault",
    "is_valid",
    "validate_event",
]

HILT_VERSION = "1.0.0"
ACTIONS = (
    "prompt",
    "completion",
    "completion_chunk",
    "tool_call",
    "tool_result",
    "feedback",
    "retrieval",
    "rerank",
    "embedding",
    "system",
)
ACTOR_TYPES = ("human", "agent", "tool", "system")
# "$(?!\n)", because Python's "$" alone lets a newline follow
_TIMESTAMP = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)[.][0-9]{6}Z$(?!\n)"
)
# a time of RFC 3339, and one without an offset: what a line may have that others wrote
READABLE_TIME = (
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.]\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?"
)
is_readable_time = re.compile(READABLE_TIME, re.ASCII).fullmatch
_is_timestamp = re.compile(_TIMESTAMP, re.ASCII).search
_LINE = _TIMESTAMP.removeprefix("^").removesuffix(r"$(?!\n)").replace("(", "(?:")
_are_timestamps = re.compile(rf"(?:{_LINE}\n)*", re.ASCII).fullmatch
_is_hour = re.compile(_LINE.partition(":[0-5]")[0], re.ASCII).fullmatch
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_ZEROS = b"0000-00-00T00:00:00.000000Z\n"
_TEXT_HASH = r"^(hmac-)?sha256:[0-9a-f]{64}$(?!\n)"

_string = {"type": "string"}
_name = {"type": "string", "minLength": 1}
_object = {"type": "object"}
_objects = {"type": "array", "items": _object}
_count = {"type": "integer", "minimum": 0}
_number = {"type": "number"}

JSON_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "HILT event 1.0.0",
    "type": "object",
    "required": ["hilt_version", "event_id", "timestamp", "session_id", "actor", "action"],
    "properties": {
        "hilt_version": {"const": HILT_VERSION},
        "event_id": _name,
        "timestamp": {"type": "string", "pattern": _TIMESTAMP},
        "session_id": _name,
        "actor": {
            "type": "object",
            "required": ["type", "id"],
            "properties": {
                "type": {"enum": list(ACTOR_TYPES)},
                "id": _name,
                "name": _string,
                "did": _string,
                "metadata": _object,
            },
        },
        "action": {"enum": list(ACTIONS)},
        "content": {
            "type": "object",
            "properties": {
                "text": _string,
                "text_hash": {"type": "string", "pattern": _TEXT_HASH},
                "text_encrypted": _string,
                "media": _objects,
                "messages": _objects,
            },
        },
        "provenance": _object,
        "metrics": {
            "type": "object",
            "properties": {
                "latency_ms": _count,
                "time_to_first_token_ms": _count,
                "tokens": {"type": "object", "additionalProperties": _count},
                "cost_usd": _number,
                "chunks": _count,
                "attempts": _count,
                "score": _number,
            },
        },
        "privacy": {
            "type": "object",
            "properties": {
                "pii_detected": {"type": "array", "items": _string},
                "redaction_applied": {"type": "boolean"},
                "consent": _object,
            },
        },
        "extensions": _object,
        "integrity": _object,
    },
}
"""The format as a JSON Schema, draft 2020-12. Fields that it does not name are allowed."""

FIELDS = tuple(JSON_SCHEMA["properties"])
"""The fields of an event in the order in which they are written."""

PART_FIELDS = {
    name: tuple(JSON_SCHEMA["properties"][name]["properties"])
    for name in ("actor", "content", "metrics", "privacy")
}
"""The same of its typed parts."""


class Fault(msgspec.Struct, frozen=True):
    """
    What is wrong in one place of an event.

    Attributes:
        path: Where, e.g. `$.actor.id`.
        message: What, without content.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def validate_event(event: object) -> list[Fault]:
    """Return everything that keeps *event*, a dict of JSON values, from being one; else []."""
    return list(_faults(event, JSON_SCHEMA, "$"))


def is_timestamp(value: object) -> bool:
    """Return whether a value is a timestamp as we write it."""
    return type(value) is str and _is_timestamp(value) is not None


def are_timestamps(values: list[str]) -> bool:
    """Return whether texts are timestamps as we write them: all at once, which is faster."""
    if are_of_one_hour(values):
        return True
    text = "\n".join(values) + "\n"
    return len(text) == 28 * len(values) and _are_timestamps(text) is not None


def are_of_one_hour(values: list[str]) -> bool:
    """
    Return whether texts are timestamps as we write them, all of the same hour.

    Most of those that stand together are, and it is found out with a few looks at all of them.
    """
    text = "\n".join(values) + "\n"
    if len(text) != 28 * len(values) or not text.isascii() or _is_hour(text[:13]) is None:
        return False
    data = text.encode()
    return (
        data.translate(_AS_ZEROS) == _ZEROS * len(values)
        and data.count(data[:13]) == len(values)
        and not data[14::28].translate(None, b"012345")
        and not data[17::28].translate(None, b"012345")
    )


def validate_part(name: str, value: object) -> list[Fault]:
    """Return everything that keeps *value* from being the part *name* of an event."""
    return list(_faults(value, JSON_SCHEMA["properties"][name], f"$.{name}"))


def not_one_of(what: str, value: object, allowed: tuple[str, ...] | list[str]) -> str:
    """Return the text of an error: what was given and what is allowed."""
    given = repr(value[:80]) if type(value) is str else _kind(value)
    return f"Invalid {what}: {given}. Must be one of: {', '.join(allowed)}"


def _faults(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    for keyword, wanted in schema.items():
        check = _CHECKS.get(keyword)
        message = check(value, wanted) if check else None
        if message is not None:
            what = path.removeprefix("$.").replace(".", " ")
            yield Fault(path, message if keyword != "enum" else not_one_of(what, value, wanted))
            if keyword == "type":
                return
    if type(value) is dict:
        yield from _object_faults(value, schema, path)
    elif type(value) is list and "items" in schema:
        for index, item in enumerate(value):
            yield from _faults(item, schema["items"], f"{path}[{index}]")


def _object_faults(value: dict[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    for name in schema.get("required", ()):
        if name not in value:
            yield Fault(f"{path}.{name}", "is required")
    known = schema.get("properties", {})
    for name, item in value.items():
        inner = known.get(name, schema.get("additionalProperties"))
        if inner is not None:
            yield from _faults(item, inner, f"{path}.{name}")


def _kind(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)


_KINDS: dict[type, str] = {
    str: "string",
    dict: "object",
    list: "array",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_FITS: dict[str, tuple[type, ...]] = {
    **{kind: (cls,) for cls, kind in _KINDS.items()},
    "number": (int, float),
}


def _wrong_type(value: object, wanted: str) -> str | None:
    if type(value) in _FITS[wanted]:
        return None
    if wanted == "integer" and type(value) is float and value.is_integer():
        return None  # JSON Schema knows numbers, not notations: 3.0 is an integer
    return f"must be {wanted}, is {_kind(value)}"


_CHECKS: dict[str, Callable[[Any, Any], str | None]] = {
    "type": _wrong_type,
    "const": lambda value, wanted: None if value == wanted else f"must be {wanted!r}",
    "enum": lambda value, wanted: None if type(value) is str and value in wanted else "",
    "minLength": lambda value, wanted: None if len(value) >= wanted else "must not be empty",
    "minimum": lambda value, wanted: None if value >= wanted else f"must be at least {wanted}",
    "pattern": lambda value, wanted: (
        None if re.search(wanted, value, re.ASCII) else f"must match {wanted}"
    ),
}


# The same once more as msgspec knows it: is_valid runs for every event that is written.

Name = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
TextHash = Annotated[str, msgspec.Meta(pattern=_TEXT_HASH)]
_Object = dict[str, Any]


class _Actor(msgspec.Struct, gc=False):
    type: Literal[ACTOR_TYPES]  # type: ignore[valid-type]
    id: Name
    name: str | UnsetType = UNSET
    did: str | UnsetType = UNSET
    metadata: _Object | UnsetType = UNSET


class _Content(msgspec.Struct, gc=False):
    text: str | UnsetType = UNSET
    text_hash: TextHash | UnsetType = UNSET
    text_encrypted: str | UnsetType = UNSET
    media: list[_Object] | UnsetType = UNSET
    messages: list[_Object] | UnsetType = UNSET


class _Metrics(msgspec.Struct, gc=False):
    latency_ms: Count | UnsetType = UNSET
    time_to_first_token_ms: Count | UnsetType = UNSET
    tokens: dict[str, Count] | UnsetType = UNSET
    cost_usd: int | float | UnsetType = UNSET
    chunks: Count | UnsetType = UNSET
    attempts: Count | UnsetType = UNSET
    score: int | float | UnsetType = UNSET


class _Privacy(msgspec.Struct, gc=False):
    pii_detected: list[str] | UnsetType = UNSET
    redaction_applied: bool | UnsetType = UNSET
    consent: _Object | UnsetType = UNSET


class CheckedEvent(msgspec.Struct, gc=False):
    """An event as msgspec checks it; not for use."""

    hilt_version: Literal[HILT_VERSION]  # type: ignore[valid-type]
    event_id: Name
    timestamp: Annotated[str, msgspec.Meta(pattern=_TIMESTAMP)]
    session_id: Name
    actor: _Actor
    action: Literal[ACTIONS]  # type: ignore[valid-type]
    content: _Content | UnsetType = UNSET
    provenance: _Object | UnsetType = UNSET
    metrics: _Metrics | UnsetType = UNSET
    privacy: _Privacy | UnsetType = UNSET
    extensions: _Object | UnsetType = UNSET
    integrity: _Object | UnsetType = UNSET


# msgspec works out at the first question what a Struct is, and lets other threads see it half done:
# they would crash. While this is imported, there are none.
try:
    msgspec.convert({}, CheckedEvent)
except msgspec.ValidationError:
    pass


def is_valid(event: object) -> bool:
    """Return whether a dict of JSON values is an event: what `validate_event` says, but fast."""
    try:
        msgspec.convert(event, CheckedEvent)
    except (msgspec.ValidationError, TypeError, UnicodeError):
        return not validate_event(event)  # msgspec takes no 3.0 for an integer
    return True
