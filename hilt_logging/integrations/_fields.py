"""
Reading what an SDK gave, by duck type: objects, dicts in snake_case or camelCase, older versions.

None of these raises; what is not there, or is of another type, counts as absent.
"""

from __future__ import annotations

import functools
import json

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any


__all__ = ["as_messages", "count", "decoded", "field", "items", "text", "type_of"]


def field(source: Any, *names: str) -> Any:
    """Return the first of several fields that is there and is not None."""
    cls = type(source)
    get = _known.get(cls) or _way(cls)
    for name in names:
        try:
            value = get(source, name)
        except Exception:  # noqa: S112 -- a property that refuses: `.text` of a blocked answer
            continue
        if value is not None:
            return value
    return None


_Get = Callable[[Any, str], Any]


def _way(cls: type) -> _Get:
    """How fields of a class are read: it is asked for every field of every object."""
    if issubclass(cls, Mapping):
        found: _Get = _of_mapping
    elif getattr(getattr(cls, "__getattr__", None), "__module__", "") == "pydantic.main":
        found = _of_model
    else:
        found = _of_object
    if len(_known) < 1000:  # classes may be made without end
        _known[cls] = found
    return found


def _of_mapping(source: Any, name: str) -> Any:
    value = source.get(name)
    if value is None and "_" in name:
        value = source.get(_camel(name))
    return value


def _of_object(source: Any, name: str) -> Any:
    return getattr(source, name, None)


def _of_model(source: Any, name: str) -> Any:
    """As `getattr`, by which a model of pydantic's takes microseconds to say what it has not."""
    value = source.__dict__.get(name)
    if value is None and (source.__pydantic_extra__ or _is_defined((type(source), name))):
        return getattr(source, name, None)
    return value


@functools.lru_cache(maxsize=4096)
def _is_defined(attribute: tuple[type, str]) -> bool:
    return hasattr(*attribute)


_known: dict[type, _Get] = {dict: _of_mapping, NoneType: lambda source, name: None}


@functools.lru_cache(maxsize=1000)
def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def items(source: Any, *names: str) -> list[Any]:
    """Return a field that is a list, as a list; a field of an SDK's own sequence type too."""
    value = field(source, *names)
    if isinstance(value, list):
        return value
    if value is None or isinstance(value, (str, bytes, Mapping)):
        return []
    try:
        return [value[index] for index in range(len(value))]
    except Exception:
        return []


def as_messages(said: Any) -> list[Any]:
    """Return what a person said as messages: a text or parts of one message, or messages already."""
    given = said if isinstance(said, list) else [said]
    if given and all(field(each, "role") is not None for each in given):
        return given
    return [{"role": "user", "content": said}]


def text(source: Any, *names: str) -> str | None:
    """Return a field that is a string; of an enum its value."""
    value = field(source, *names)
    if isinstance(value, str):
        inner = getattr(value, "value", value)
        return inner if isinstance(inner, str) else str.__str__(value)
    return None


def count(source: Any, *names: str) -> int | None:
    """Return a field that is a whole number and not negative."""
    value = field(source, *names)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return int(value)


def decoded(arguments: Any) -> Any:
    """Return a tool's arguments decoded where they are JSON, else as they are."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def type_of(value: object) -> str:
    """Return the name of a value's class, for a value that nobody knows."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
