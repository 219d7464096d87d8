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
import enum
import sys
import types

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from math import isfinite
from typing import Any

import msgspec


__all__ = ["MAX_DEPTH", "MAX_NODES", "MAX_TEXT", "clean_text", "snapshot", "type_name"]

MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_TEXT = 16 * 1024 * 1024
"""Characters that the longer strings of one snapshot have together at the most."""

_SHORT_TEXT = 256
_INLINE_BYTES = 64 * 1024
_MAX_DIGIT_BITS = 14_000  # str() of a larger int is refused by CPython's digit limit

_checked = msgspec.msgpack.encode
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_class_dict: Callable[[type], types.MappingProxyType[str, Any]] = type.__dict__["__dict__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module: Callable[[type], object] = type.__dict__["__module__"].__get__
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
        max_text: How many characters all its strings of more than 256 may have together.

    Returns:
        None, a bool, an int of 64 bits, a finite float, a str without lone surrogates, or lists and
        dicts with str keys of these.
    """
    if type(value) is dict and max_depth >= _FEW_LEVELS and max_text == MAX_TEXT:
        quick = _quick(value, max_nodes)
        if quick is not None:
            return quick
    try:
        return _Walk(max_depth, max_nodes, max_text).value(value, 0)
    except Exception:  # RecursionError and MemoryError of a caller at its limit
        return {"$type": "?", "$cut": "error"}


_FEW_LEVELS = 16
_FEW_NODES = 500
_SHORT = MAX_TEXT // _FEW_NODES // 2  # all keys and texts together stay within MAX_TEXT


class _UnusualError(Exception):
    """What is copied is large, deep, or no JSON value."""


def _quick(value: dict[str, Any], max_nodes: int) -> dict[str, Any] | None:
    try:
        return _copy(value, _FEW_LEVELS, [min(_FEW_NODES, max_nodes)])
    except Exception:  # it needs the careful walk
        return None


def _copy(value: dict[str, Any], levels: int, room: list[int]) -> dict[str, Any]:
    """What the careful walk would return for an ordinary event, in a fraction of its time."""
    room[0] -= len(value)
    if room[0] < 0 or levels == 0:
        raise _UnusualError
    out: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str or not key.isascii() or len(key) > _SHORT:
            raise _UnusualError
        cls = type(item)
        if cls is str:
            if len(item) > _SHORT:
                raise _UnusualError
            if not item.isascii():
                _checked(item)
            out[key] = item
        elif cls is dict:
            out[key] = _copy(item, levels - 1, room)
        else:
            out[key] = _copied(item, levels, room)
    return out


def _copied(item: Any, levels: int, room: list[int]) -> Any:
    cls = type(item)
    if cls is list:
        room[0] -= len(item)
        if room[0] < 0 or levels == 1:
            raise _UnusualError
        return [_copied(each, levels - 1, room) for each in item]
    if item is None or cls is bool:
        return item
    if cls is int and -(2**63) <= item < 2**64:
        return item
    if cls is float and isfinite(item):
        return item
    if cls is dict:
        return _copy(item, levels - 1, room)
    if cls is str and len(item) <= _SHORT:
        _checked(item)
        return item
    raise _UnusualError


def clean_text(text: str) -> str:
    """Return *text* with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        _checked(text)  # text.encode() would not keep for the line what it found
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def type_name(cls: type) -> str:
    """Return `module.Class` of a class, without asking its metaclass."""
    try:
        module = _module(cls)
    except AttributeError:
        module = "?"
    name = str.__str__(_qualname(cls))  # a subclass of str may be set as a name
    return clean_text(f"{module if type(module) is str else '?'}.{name}")[:200]


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
        try:
            simple = _EXACT.get(id(cls)) or _late_reader(cls)
            if simple is not None:
                return self.atom(simple(value))
            return self.foreign(value, cls, depth)
        except Exception:
            return _cut(value, "error")

    def atom(self, value: Any) -> Any:
        return self.text(value) if type(value) is str else value

    def text(self, text: str) -> str:
        size = len(text)
        if size <= _SHORT_TEXT:
            pass  # a field's name or its kind: without it nobody could tell what was cut
        elif size <= self._text:
            self._text -= size
        else:
            room = max(0, self._text - _SHORT_TEXT)  # the mark may be cut no second time
            text = f"{text[:room]}… [$cut: {size} characters]"
            self._text -= room
        return text if text.isascii() else clean_text(text)

    def container(self, value: Any, depth: int, read: Callable[[_Walk, Any, int], Any]) -> Any:
        mark = id(value)
        if mark in self._inside:
            return _cut(value, "cycle")
        if depth >= self._depth:
            return value.copy() if _is_cut(value) else _cut(value, "depth")
        if self._nodes <= 0:
            return _cut(value, "size")
        self._inside.add(mark)
        try:
            return read(self, value, depth + 1)
        except Exception:  # what can't be read must not cost what stands around it
            return _cut(value, "error")
        finally:
            self._inside.discard(mark)

    def sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        kind: type[Any] = list if issubclass(type(value), list) else tuple
        return self.items(kind.__iter__(value), kind.__len__(value), depth)

    def items(self, values: Iterable[Any], size: int, depth: int) -> list[Any]:
        room = min(size, self._nodes)
        self._nodes -= room
        out = [self.value(item, depth) for item in islice(values, room)]
        if room < size:
            out.append({"$cut": "size", "$omitted": size - room})
        return out

    def unordered(self, value: Any, depth: int) -> list[Any]:
        kind: type[Any] = set if issubclass(type(value), set) else frozenset
        # a set has no order of its own: a sorted list makes the same event the same line
        items = _stable(lambda: kind.__iter__(value), self._nodes)
        out = self.items(items, kind.__len__(value), depth)
        kinds = set(map(type, out))
        return sorted(out) if kinds == {str} or kinds <= {int, float} else out

    def queue(self, value: Any, depth: int) -> list[Any]:
        items = _stable(lambda: deque.__iter__(value), self._nodes)
        return self.items(items, deque.__len__(value), depth)

    def mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        size = dict.__len__(value)
        if size <= self._nodes and type(value) is dict:  # of a subclass, copy asks for its keys()
            pairs: Iterable[tuple[Any, Any]] = dict.copy(value).items()
        else:
            pairs = _stable(lambda: dict.items(value), self._nodes)
        return self.pairs(pairs, size, depth)

    def pairs(self, pairs: Iterable[tuple[Any, Any]], size: int, depth: int) -> dict[str, Any]:
        room = size if size < self._nodes else self._nodes
        self._nodes -= room
        out: dict[str, Any] = {}
        taken: dict[str, int] = {}
        for key, item in islice(pairs, room):
            name = self.text(key) if type(key) is str else self.key(key, depth)
            if name in out:
                name = _another(name, out, taken)
            out[name] = self.text(item) if type(item) is str else self.value(item, depth)
        if room < size:
            out[_another("$cut", out, taken)] = "size"
            out[_another("$omitted", out, taken)] = size - room
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
        if issubclass(cls, enum.Enum):
            return self.container(value, depth, _Walk.member)
        for base, read in _BUILTIN_BASES:
            if issubclass(cls, base):
                return self.atom(read(value)) if base is not int else self.value(read(value), depth)
        if issubclass(cls, tuple):
            names = _namedtuple_fields(bases)
            if names is not None and len(names) == tuple.__len__(value):
                return self.container(value, depth, _named(names))
        for base, walk in _CONTAINER_BASES:
            if issubclass(cls, base):
                return self.container(value, depth, walk)
        if _has_fields(bases):
            return self.container(value, depth, _Walk.fields)
        return self.atom_or_type(value, cls, depth)

    def atom_or_type(self, value: Any, cls: type, depth: int) -> Any:
        item = _numpy_scalar(value, cls)
        if item is not None:
            return self.value(item, depth + 1)
        if issubclass(cls, type):
            return {"$type": "builtins.type", "name": type_name(value)}
        return {"$type": type_name(cls)}

    def member(self, value: Any, depth: int) -> Any:
        return self.value((_instance_dict(value, _mro(type(value))) or {}).get("_value_"), depth)

    def exception(self, value: BaseException, depth: int) -> dict[str, Any]:
        args = self.container(_exception_args(value), depth, _Walk.sequence)
        return {"$type": type_name(type(value)), "args": args}

    def fields(self, value: Any, depth: int) -> dict[str, Any]:
        fields = _fields_of(value)
        return self.pairs(fields.items(), len(fields), depth)


def _cut(value: object, why: str) -> dict[str, Any]:
    return {"$type": type_name(type(value)), "$cut": why}


def _is_cut(value: Any) -> bool:
    """Whether this is what `_cut` made, in a snapshot that is taken once more."""
    if type(value) is not dict or len(value) != 2:
        return False
    parts = [*value, *value.values()]
    return all(type(part) is str and part.isascii() for part in parts) and (
        parts[:2] == ["$type", "$cut"] and len(parts[2]) <= 200
    )


def _stable(values: Callable[[], Iterable[Any]], most: int) -> list[Any]:
    """Items of a container that another thread may change meanwhile."""
    for _ in range(100):
        try:
            return list(islice(values(), most))
        except RuntimeError:
            continue
    return list(islice(values(), most))


def _another(name: str, out: dict[str, Any], taken: dict[str, int]) -> str:
    """The name, or `name#2` and so on where it is taken; *taken* remembers how far that went."""
    another = name
    while another in out:
        taken[name] = taken.get(name, 1) + 1
        another = f"{name}#{taken[name]}"
    return another


def _big_int(value: int) -> str:
    return str(value) if value.bit_length() <= _MAX_DIGIT_BITS else hex(value)


def _bytes(value: bytes | bytearray | memoryview) -> dict[str, Any]:
    data = bytes(value)
    out: dict[str, Any] = {"$type": f"builtins.{type(value).__name__}", "size": len(data)}
    if len(data) <= _INLINE_BYTES:
        return {**out, "base64": base64.b64encode(data).decode()}
    import hashlib  # here and not above, as it takes milliseconds and is seldom needed

    return {**out, "sha256": hashlib.sha256(data).hexdigest()}


def _moment(value: datetime.datetime | datetime.time) -> str:
    zone = value.tzinfo
    if (
        zone is None
        or type(zone) is datetime.timezone
        or _is_stdlibs(type(zone), "zoneinfo", "ZoneInfo")
    ):
        return value.isoformat()
    return f"{value.replace(tzinfo=None).isoformat()}[{type_name(type(zone))}]"


_date_fields = [datetime.date.__dict__[name].__get__ for name in ("year", "month", "day")]
_time_fields = [
    datetime.datetime.__dict__[name].__get__
    for name in ("hour", "minute", "second", "microsecond", "tzinfo")
]


def _date(value: datetime.date) -> str:
    """The date of a subclass, e.g. of pendulum, none of whose methods is called."""
    return datetime.date(*(field(value) for field in _date_fields)).isoformat()


def _datetime(value: datetime.datetime) -> str:
    """Likewise."""
    fields = [field(value) for field in (*_date_fields, *_time_fields)]
    return _moment(datetime.datetime(*fields))


_READERS: dict[type, Callable[[Any], Any]] = {
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.date: datetime.date.isoformat,
    datetime.timedelta: datetime.timedelta.total_seconds,
    complex: str,
    range: repr,
}
_EXACT = {id(cls): read for cls, read in _READERS.items()}  # a metaclass may have a __hash__

# Of modules that whoever has such a value has loaded: importing them here would take milliseconds.
_LATE = {
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("ipaddress", "IPv4Address"),
    ("ipaddress", "IPv4Network"),
    ("ipaddress", "IPv6Address"),
    ("ipaddress", "IPv6Network"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "PureWindowsPath"),
    ("pathlib", "WindowsPath"),
    ("uuid", "UUID"),
}


def _late_reader(cls: type) -> Callable[[Any], Any] | None:
    """What reads a class of the stdlib that is known by its exact type; remembered from then on."""
    name = _qualname(cls)
    if type(name) is not str:
        return None
    for module, known in _LATE:
        if name == known and _is_stdlibs(cls, module, name):
            _EXACT[id(cls)] = str
            return str
    return None


def _is_stdlibs(cls: type, module: str, name: str) -> bool:
    return vars(sys.modules.get(module, sys)).get(name) is cls


_BUILTIN_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, lambda value: plain if isfinite(plain := float.__float__(value)) else None),
    (bytes, lambda value: _bytes(bytes.__getitem__(value, slice(None)))),
    (datetime.datetime, _datetime),
    (datetime.date, _date),
)
_CONTAINER_BASES: tuple[tuple[type, Callable[[_Walk, Any, int], Any]], ...] = (
    (dict, _Walk.mapping),
    (list, _Walk.sequence),
    (tuple, _Walk.sequence),
    (set, _Walk.unordered),
    (frozenset, _Walk.unordered),
    (deque, _Walk.queue),
    (BaseException, _Walk.exception),
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
    unset = _unset_type()
    return {name: item for name, item in out.items() if type(item) is not unset}


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


def _unset_type() -> object:
    return getattr(sys.modules.get("msgspec"), "UnsetType", _unset_type)


def _numpy_scalar(value: Any, cls: type) -> Any:
    """The Python value of a scalar whose exact type is numpy's own; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    generic: Any = vars(numpy).get("generic")
    if not isinstance(generic, type) or not issubclass(cls, generic):
        return None
    if vars(numpy).get(str.__str__(_qualname(cls))) is not cls:
        return None
    item = generic.__dict__["item"](value)
    return None if type(item) is cls else item
