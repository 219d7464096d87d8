"""
An event in two: what everybody may read, and what is only for those who have a key.

The two have the same paths. Where they come together again, fields stand in the order they had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from ..schema import FIELDS
from ._parts import COUNTED, KNOWN, Tree, is_count, is_left, with_paths


__all__ = [
    "KEPT_EMPTY",
    "PERSON",
    "Divided",
    "Order",
    "divided",
    "joined",
    "known_extensions",
    "known_with",
    "placed",
]

Order = list[tuple[list[str], list[str]]]
"""Paths of dicts, and the names in them in their order."""

PERSON = ("id", "name", "did")
"""What names a human actor."""

KEPT_EMPTY = ("tool", "error")


class Divided(NamedTuple):
    """
    Both halves of an event.

    Attributes:
        public: What everybody may read.
        protected: The rest, at the same paths.
        order: The order of fields, where putting one half after the other would not give it.
    """

    public: dict[str, Any]
    protected: dict[str, Any]
    order: Order


def known_with(public_fields: Iterable[str]) -> Tree:
    """Return what everybody may read: the same as without content, and fields of one's own."""
    tree = with_paths(KNOWN, public_fields)
    content = tree["content"]
    if type(content) is dict:
        content = {name: rule for name, rule in content.items() if name != "text_encrypted"}
    tree["content"] = content
    return {name: rule for name, rule in tree.items() if rule != {}}


def known_extensions(known: Tree, public_fields: Sequence[str]) -> Tree | None:
    """Return what everybody may read of the extensions, where the rest of a tree is the usual one."""
    extensions = known.get("extensions")
    is_usual = all(path.startswith("extensions.") for path in public_fields)
    return extensions if is_usual and type(extensions) is dict else None


def divided(
    event: dict[str, Any],
    known: Tree,
    kept: tuple[str, ...] = (),
    counts: bool | None = None,
) -> Divided:
    """
    Divide an event, or a part of one, by a tree of what is known.

    Args:
        event: The event or part, which stays as it is.
        known: What is public.
        kept: Names whose place something else will take.
        counts: Of a part, whether numbers in it are public.
    """
    order: Order = []
    public, protected = _halves(event, known, [], order, counts)
    _note_order(event, {*public, *kept}, [], order)
    return Divided(public, protected, order)


def _halves(
    part: dict[str, Any], known: Tree, path: list[str], order: Order, counts: bool | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    public: dict[str, Any] = {}
    protected: dict[str, Any] = {}
    for name, value in part.items():
        rule = known.get(name)
        if is_left(rule, value) or ((type(value) is bool or value is None) and name.isidentifier()):
            public[name] = value
        elif type(rule) is dict and type(value) is dict:
            counted = name in COUNTED if counts is None else counts
            shown, hidden = _halves(value, rule, [*path, name], order, counted)
            _note_order(value, shown, [*path, name], order)
            if shown or not value or name in KEPT_EMPTY:
                public[name] = shown
            if hidden:
                protected[name] = hidden
        elif counts and is_count(name, value):
            public[name] = value
        else:
            protected[name] = value
    return public, protected


def _note_order(
    part: dict[str, Any], public: Collection[str], path: list[str], order: Order
) -> None:
    """Remember the names of a part, if some that are not public stand before one that is."""
    names = list(part)
    if [name in public for name in names] != sorted(
        (name in public for name in names), reverse=True
    ):
        order.append((path, names))


def joined(
    public: dict[str, Any],
    protected: dict[str, Any],
    order: Order = [],  # noqa: B006
) -> dict[str, Any]:
    """Return the event of both halves; what is protected stands in place of what stood for it."""
    event = _merged(public, protected)
    for path, names in order:
        event = _ordered(event, path, names)
    return event


def _merged(public: dict[str, Any], protected: dict[str, Any]) -> dict[str, Any]:
    out = dict(public)
    for name, value in protected.items():
        known = out.get(name)
        is_both = type(known) is dict and type(value) is dict
        out[name] = _merged(known, value) if is_both else value  # type: ignore[arg-type]
    return out


def _ordered(part: Any, path: list[str], names: list[str]) -> Any:
    if type(part) is not dict:
        return part
    if path:
        return {
            name: _ordered(value, path[1:], names) if name == path[0] else value
            for name, value in part.items()
        }
    return {**{name: part[name] for name in names if name in part}, **part}


def placed(event: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Return an event with a field of the format, where it belongs if it was not there."""
    if field in event:
        return {**event, field: value}
    before = FIELDS[: FIELDS.index(field)]
    names = list(event)
    at = next((at for at, name in enumerate(names) if name not in before), len(names))
    return {
        **{name: event[name] for name in names[:at]},
        field: value,
        **{name: event[name] for name in names[at:]},
    }
