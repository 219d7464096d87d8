"""
Any Python value as a detached, bounded, JSON-safe one.

`snapshot` never raises and calls no method of a foreign class: no repr, str, iter, getattr or
property. Known types are read by the unbound methods of the builtin they extend, by their slots or
by their `__dict__`; everything else becomes `{"$type": "module.Class"}`. What is left out is marked
with `$cut`.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import fractions
import hashlib
import ipaddress
import pathlib
import sys
import types
import uuid
import zoneinfo

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from math import isfinite
from typing import Any


__all__ = ["MAX_DEPTH", "MAX_NODES", "MAX_TEXT", "clean_text", "snapshot", "type_name"]

MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_TEXT = 16 * 1024 * 1024
"""Characters of text, keys included, that one snapshot holds at the most."""

_INLINE_BYTES = 64 * 1024
_MAX_DIGIT_BITS = 14_000  # str() of a larger int is refused by CPython's digit limit

_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_class_dict: Callable[[type], types.MappingProxyType[str, Any]] = type.__dict__["__dict__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_exception_args: Callable[[BaseException], tuple[Any, ...]] = BaseException.__dict__["args"].__get__


def snapshot(
    value: object,
    *,
    max_depth: int = MAX_DEPTH,
    max_nodes: int = MAX_NODES,
    max_text: int = MAX_TEXT,
) -> Any:
    """
    Return *value* as JSON values that share no mutable part with it.

    Args:
        value: Anything.
        max_depth: How many containers may stand in each other.
        max_nodes: How many values the result may hold.
        max_text: How many characters all its strings may have together.

    Returns:
        None, a bool, an int of 64 bits, a finite float, a str without lone surrogates, or lists and
        dicts with str keys of these.
    """
    walk = _Walk(max_depth, max_nodes, max_text)
    try:
        return walk.value(value, 0)
    except Exception:  # also RecursionError and MemoryError of a caller at its limit
        return {"$type": type_name(type(value)), "$cut": "error"}


def clean_text(text: str) -> str:
    """Return *text* with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def type_name(cls: type) -> str:
    """Return `module.Class` of a class, without asking its metaclass."""
    module = _class_dict(cls).get("__module__", "builtins")
    return clean_text(f"{module if type(module) is str else '?'}.{_qualname(cls)}")[:200]


class _Walk:
    """One snapshot on its way: the budgets that are left, and the containers it stands in."""

    __slots__ = ("_depth", "_inside", "_nodes", "_text")

    def __init__(self, depth: int, nodes: int, text: int) -> None:
        self._depth = depth
        self._nodes = nodes
        self._text = text
        self._inside: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        cls = type(value)
        if cls is str:
            return self.text(value)
        if cls is dict:
            return self.container(value, depth, _Walk.mapping)
        if value is None or cls is bool:
            return value
        if cls is int:
            return value if -(2**63) <= value < 2**64 else self.text(_big_int(value))
        if cls is float:
            return value if isfinite(value) else None
        if cls is list or cls is tuple:
            return self.container(value, depth, _Walk.sequence)
        simple = _EXACT.get(cls)
        if simple is not None:
            return self.atom(simple(value))
        return self.foreign(value, cls, depth)

    def atom(self, value: Any) -> Any:
        return self.text(value) if type(value) is str else value

    def text(self, text: str) -> str:
        size = len(text)
        if size > self._text:
            text = f"{text[: self._text]}… [$cut: {size} characters]"
            self._text = 0
        else:
            self._text -= size
        return text if text.isascii() else clean_text(text)

    def container(self, value: Any, depth: int, read: Callable[[_Walk, Any, int], Any]) -> Any:
        mark = id(value)
        if mark in self._inside:
            return _cut(value, "cycle")
        if depth >= self._depth:
            return _cut(value, "depth")
        if self._nodes <= 0:
            return _cut(value, "size")
        self._inside.add(mark)
        try:
            return read(self, value, depth + 1)
        finally:
            self._inside.discard(mark)

    def sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        kind: type[Any] = list if isinstance(value, list) else tuple
        return self.items(kind.__iter__(value), kind.__len__(value), depth)

    def items(self, values: Iterable[Any], size: int, depth: int) -> list[Any]:
        room = min(size, self._nodes)
        self._nodes -= room
        out = [self.value(item, depth) for item in islice(values, room)]
        if room < size:
            out.append({"$cut": "size", "$omitted": size - room})
        return out

    def unordered(self, value: Any, depth: int) -> list[Any]:
        kind = set if isinstance(value, set) else frozenset
        # a set has no order of its own: a sorted list makes the same event the same line
        out = self.items(_stable(kind.__iter__(value), self._nodes), kind.__len__(value), depth)
        kinds = set(map(type, out))
        return sorted(out) if kinds == {str} or kinds <= {int, float} else out

    def queue(self, value: Any, depth: int) -> list[Any]:
        items = _stable(deque.__iter__(value), self._nodes)
        return self.items(items, deque.__len__(value), depth)

    def mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        size = dict.__len__(value)
        if size <= self._nodes:
            pairs: Iterable[tuple[Any, Any]] = dict.copy(value).items()
        else:
            pairs = _stable(dict.items(value), self._nodes)
        return self.pairs(pairs, size, depth)

    def pairs(self, pairs: Iterable[tuple[Any, Any]], size: int, depth: int) -> dict[str, Any]:
        room = min(size, self._nodes)
        self._nodes -= room
        out: dict[str, Any] = {}
        for key, item in islice(pairs, room):
            name = self.text(key) if type(key) is str else self.key(key, depth)
            if name in out:
                name = _another(name, out)
            out[name] = self.value(item, depth)
        if room < size:
            out["$cut"] = "size"
            out["$omitted"] = size - room
        return out

    def key(self, key: Any, depth: int) -> str:
        if key is None:
            return "null"
        if type(key) is bool:
            return "true" if key else "false"
        if type(key) is float:
            return repr(key)
        if type(key) is tuple:
            parts = self.sequence(key, depth)
            if all(type(part) is str or type(part) is int for part in parts):
                return ",".join(map(str, parts))
            return type_name(tuple)
        plain = self.value(key, depth)
        if type(plain) is str:
            return plain
        return str(plain) if type(plain) is int else type_name(type(key))

    def foreign(self, value: Any, cls: type, depth: int) -> Any:
        """A class that is neither JSON's own nor known by its exact type."""
        bases = _mro(cls)
        if enum.Enum in bases:
            return self.value((_instance_dict(value, bases) or {}).get("_value_"), depth + 1)
        for base, read in _BUILTIN_BASES:
            if base in bases:
                return self.atom(read(value)) if base is not int else self.value(read(value), depth)
        if dict in bases:
            return self.container(value, depth, _Walk.mapping)
        if list in bases or tuple in bases:
            names = _namedtuple_fields(bases)
            if names is not None:
                return self.container(value, depth, _named(names))
            return self.container(value, depth, _Walk.sequence)
        if set in bases or frozenset in bases:
            return self.container(value, depth, _Walk.unordered)
        if deque in bases:
            return self.container(value, depth, _Walk.queue)
        if BaseException in bases:
            return self.container(value, depth, _Walk.exception)
        if _has_fields(bases):
            return self.container(value, depth, _Walk.fields)
        return self.atom_or_type(value, cls)

    def atom_or_type(self, value: Any, cls: type) -> Any:
        item = _numpy_scalar(value, cls)
        if item is not None:
            return self.value(item, 0)
        if type in _mro(cls):
            return {"$type": "builtins.type", "name": type_name(value)}
        return {"$type": type_name(cls)}

    def exception(self, value: BaseException, depth: int) -> dict[str, Any]:
        args = self.sequence(_exception_args(value), depth)
        return {"$type": type_name(type(value)), "args": args}

    def fields(self, value: Any, depth: int) -> dict[str, Any]:
        fields = _fields_of(value)
        return self.pairs(fields.items(), len(fields), depth)


def _cut(value: object, why: str) -> dict[str, Any]:
    return {"$type": type_name(type(value)), "$cut": why}


def _stable(values: Iterable[Any], most: int) -> Iterable[Any]:
    """Items of a container that another thread may change meanwhile."""
    for _ in range(3):
        try:
            return list(islice(values, most))
        except RuntimeError:
            continue
    return []


def _another(name: str, taken: dict[str, Any]) -> str:
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"


def _big_int(value: int) -> str:
    return str(value) if value.bit_length() <= _MAX_DIGIT_BITS else hex(value)


def _bytes(value: bytes | bytearray | memoryview) -> dict[str, Any]:
    data = bytes(value)
    out: dict[str, Any] = {"$type": f"builtins.{type(value).__name__}", "size": len(data)}
    if len(data) <= _INLINE_BYTES:
        return {**out, "base64": base64.b64encode(data).decode()}
    return {**out, "sha256": hashlib.sha256(data).hexdigest()}


def _moment(value: datetime.datetime | datetime.time) -> str:
    zone = value.tzinfo
    if zone is None or type(zone) in (datetime.timezone, zoneinfo.ZoneInfo):
        return value.isoformat()
    return f"{value.replace(tzinfo=None).isoformat()}[{type_name(type(zone))}]"


_EXACT: dict[type, Callable[[Any], Any]] = {
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.date: datetime.date.isoformat,
    datetime.timedelta: datetime.timedelta.total_seconds,
    decimal.Decimal: str,
    fractions.Fraction: str,
    complex: str,
    range: repr,
    uuid.UUID: str,
    pathlib.PosixPath: str,
    pathlib.WindowsPath: str,
    pathlib.PurePosixPath: str,
    pathlib.PureWindowsPath: str,
    ipaddress.IPv4Address: str,
    ipaddress.IPv6Address: str,
    ipaddress.IPv4Network: str,
    ipaddress.IPv6Network: str,
}

_BUILTIN_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, lambda value: plain if isfinite(plain := float.__float__(value)) else None),
    (bytes, lambda value: _bytes(bytes.__getitem__(value, slice(None)))),
)


def _instance_dict(value: object, bases: tuple[type, ...]) -> dict[str, Any] | None:
    for base in bases:
        found = _class_dict(base).get("__dict__")
        if found is not None:
            if type(found) is not types.GetSetDescriptorType:
                return None
            held = found.__get__(value)
            return held if type(held) is dict else None
    return None


def _namedtuple_fields(bases: tuple[type, ...]) -> tuple[str, ...] | None:
    for base in bases:
        names = _class_dict(base).get("_fields")
        if type(names) is tuple and all(type(name) is str for name in names):
            return names
    return None


def _named(names: tuple[str, ...]) -> Callable[[_Walk, Any, int], Any]:
    def read(walk: _Walk, value: Any, depth: int) -> dict[str, Any]:
        values = tuple.__getitem__(value, slice(len(names)))
        return walk.pairs(zip(names, values, strict=False), len(values), depth)

    return read


_FIELD_MARKS = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__")


def _has_fields(bases: tuple[type, ...]) -> bool:
    """Whether the class is a dataclass, a msgspec Struct, an attrs class or a pydantic model."""
    for base in bases:
        members = _class_dict(base)
        if any(mark in members for mark in _FIELD_MARKS):
            return True
        if "__pydantic_core_schema__" in members or "__pydantic_fields__" in members:
            return True
    return False


def _fields_of(value: object) -> dict[str, Any]:
    """What an instance holds in its slots and its `__dict__`, private parts left out."""
    bases = _mro(type(value))
    out: dict[str, Any] = {}
    for base in reversed(bases):
        for name, member in _class_dict(base).items():
            if type(member) is types.MemberDescriptorType and not name.startswith("_"):
                try:
                    out[name] = member.__get__(value)
                except AttributeError:  # a slot that was never filled
                    continue
    held = _instance_dict(value, bases) or {}
    out.update({k: v for k, v in dict.copy(held).items() if type(k) is str and k[:1] != "_"})
    out.update(_pydantic_extra(value, bases))
    return {name: item for name, item in out.items() if type(item) not in _unset_types()}


def _pydantic_extra(value: object, bases: tuple[type, ...]) -> dict[str, Any]:
    for base in bases:
        member = _class_dict(base).get("__pydantic_extra__")
        if type(member) is types.MemberDescriptorType:
            try:
                extra = member.__get__(value)
            except AttributeError:
                return {}
            return dict.copy(extra) if type(extra) is dict else {}
    return {}


def _unset_types() -> tuple[type, ...]:
    found = getattr(sys.modules.get("msgspec"), "UnsetType", None)
    return (found,) if isinstance(found, type) else ()


def _numpy_scalar(value: Any, cls: type) -> Any:
    """The Python value of a scalar whose exact type is numpy's own; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or _class_dict(cls).get("__module__") not in ("numpy", None):
        return None
    generic = vars(numpy).get("generic")
    if generic is None or generic not in _mro(cls) or vars(numpy).get(_qualname(cls)) is not cls:
        return None
    item = generic.item(value)
    return None if type(item) is cls else item
