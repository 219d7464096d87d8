"""
Which events are wanted, decided on the few fields that this takes before an event is decoded.
"""

from __future__ import annotations

import datetime

from collections.abc import Container, Iterable, Mapping
from typing import Any

import msgspec

from msgspec import UNSET, UnsetType

from ..errors import ConfigurationError, InvalidEventError
from ..events import read_time, to_timestamp


__all__ = ["Selection", "selection_of", "time_of"]

_SEVERAL = (list, tuple, set, frozenset)
_FEW = 8


def selection_of(
    since: str | datetime.datetime | None,
    until: str | datetime.datetime | None,
    where: Mapping[str, Any] | None,
) -> Selection | None:
    """
    Return what decides which events are wanted, or None where all are.

    Raises:
        ConfigurationError: for a time that is none, or fields that can't be asked for.
    """
    if since is None and until is None and not where:
        return None
    return Selection(time_of("since", since), time_of("until", until), where or {})


def time_of(option: str, value: str | datetime.datetime | None) -> str | None:
    """
    Return the time that an option names, as we write it.

    Raises:
        ConfigurationError: for what is none.
    """
    try:
        return None if value is None else to_timestamp(value)
    except InvalidEventError:
        allowed = (
            "Must be a datetime or a text like 2026-01-31 or 2026-01-31T12:00:00Z, "
            "in the years 1 to 9999 in UTC"
        )
        raise ConfigurationError(option, value, allowed) from None


class Selection:
    """
    Which events are wanted.

    Args:
        since: The first time that is.
        until: The first time that is not any more.
        where: Fields, as `extensions.user_id`, and the value or values that they must have.
    """

    def __init__(self, since: str | None, until: str | None, where: Mapping[str, Any]) -> None:
        self._since = since or ""
        self._until = until or "~"  # after all digits
        self._is_timed = since is not None or until is not None
        tree: dict[str, Any] = {"timestamp": None} if self._is_timed else {}
        for path in where:
            _grow(tree, path)
        self._fields = [(path.split("."), _allowed(values)) for path, values in where.items()]
        self._places = [(_places(tree, path), allowed) for path, allowed in self._fields]
        self._timestamp = _places(tree, ["timestamp"])[0] if self._is_timed else ""
        decoder = msgspec.json.Decoder(_struct(tree, where))
        self._decode = decoder.decode

    def of(self, lines: list[bytes]) -> list[bool]:
        """
        Return of each line whether it is wanted.

        Raises:
            msgspec.DecodeError: if one is not JSON, or has another shape.
            InvalidEventError: for a timestamp that is none.
        """
        return [self._takes(fields) for fields in map(self._decode, lines)]

    def rejects(self, line: bytes) -> bool:
        """Return whether a line that is JSON is not wanted for sure."""
        try:
            return not self._takes(self._decode(line))
        except (msgspec.DecodeError, UnicodeError, RecursionError, InvalidEventError):
            return False

    def takes(self, event: dict[str, Any]) -> bool:
        """Return whether an event is wanted."""
        if self._is_timed and not self._since <= event["timestamp"] < self._until:
            return False
        return all(_value(event, path) in allowed for path, allowed in self._fields)

    def _takes(self, fields: Any) -> bool:
        if self._is_timed:
            when = getattr(fields, self._timestamp)
            if len(when) != 27 or when[26] != "Z":
                when = read_time(when)
            if not self._since <= when < self._until:
                return False
        for places, allowed in self._places:
            value = fields
            for place in places:
                value = getattr(value, place, None)
            if (None if value is UNSET else value) not in allowed:
                return False
        return True


class _Many:
    """Many values, among which one is found at once."""

    def __init__(self, values: Iterable[Any]) -> None:
        several = list(values)
        self._texts = frozenset(each for each in several if type(each) is str)
        self._others = tuple(each for each in several if type(each) is not str)

    def __contains__(self, value: Any) -> bool:
        return value in self._texts if type(value) is str else value in self._others


def _allowed(values: Any) -> Container[Any]:
    if not isinstance(values, _SEVERAL):
        return (values,)
    return tuple(values) if len(values) <= _FEW else _Many(values)


def _value(event: dict[str, Any], path: list[str]) -> Any:
    value: Any = event
    for name in path:
        value = value.get(name) if type(value) is dict else None
    return value


def _grow(tree: dict[str, Any], path: str) -> None:
    *inner, last = path.split(".")
    for name in inner:
        if name in tree and tree[name] is None:
            raise ConfigurationError(
                "where", path, "It is a part of another field that is asked for"
            )
        tree = tree.setdefault(name, {})
    if tree.get(last) is not None:
        raise ConfigurationError("where", path, "A part of it is asked for, too")
    tree[last] = None


def _places(tree: dict[str, Any], path: list[str]) -> list[str]:
    """The attributes of nested structs that a path leads through."""
    places = []
    for name in path:
        places.append(f"f{list(tree).index(name)}")
        tree = tree[name] or {}
    return places


def _struct(tree: dict[str, Any], where: Mapping[str, Any], *, is_event: bool = True) -> Any:
    """A struct that has the fields of a tree and nothing else."""
    fields: list[Any] = []
    for index, (name, inner) in enumerate(tree.items()):
        if is_event and name == "timestamp":
            fields.append((f"f{index}", str))
            continue
        kind = Any if inner is None else _struct(inner, where, is_event=False) | None
        fields.append((f"f{index}", kind | UnsetType if inner is not None else Any, UNSET))
    names = {f"f{index}": name for index, name in enumerate(tree)}
    try:
        return msgspec.defstruct("Fields", fields, rename=names, kw_only=True, gc=False)
    except ValueError:
        raise ConfigurationError("where", list(where), "There is no field of this name") from None
