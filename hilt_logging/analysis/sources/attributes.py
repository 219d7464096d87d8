"""
The attributes of a span, and which of them were asked for.
"""

from __future__ import annotations

import json
import re

from collections import deque
from typing import Any

from ...integrations._fields import decoded


__all__ = ["Attributes", "loaded", "mended", "rows_of"]

_OFFERED = (
    "gen_ai.tool.definitions",
    "llm.request.functions.",
    "llm.tools.",
    "model_request_parameters",
)
_REPEATED = (
    "all_messages_events",
    "embedding.embeddings.",
    "gen_ai.aggregated_usage.",
    "input.mime_type",
    "logfire.",
    "openinference.span.kind",
    "output.mime_type",
    "pydantic_ai.all_messages",
)
"""What tells again what other attributes say, or how to show them."""
_SECRETS = ("gen_ai.headers", "llm.headers")
_MOST_MESSAGES = 100_000
_MOST_STEPS = 20
_MOST_TRIED = 4
_DEEPEST = 100
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?$")


class Attributes:
    """
    The attributes of a span, of which it is noted what was asked for.

    Args:
        own: By their names.
    """

    def __init__(self, own: dict[str, Any]) -> None:
        self._own = own
        self._taken: set[str] = set()

    def take(self, *names: str) -> Any:
        """Return the first of several that is there; what says the same is not among the others then."""
        found = next((self._own[name] for name in names if self._own.get(name) is not None), None)
        self._taken.update(name for name in names if self._own.get(name) in (None, found))
        return found

    def value(self, name: str) -> Any:
        """Return one, which stays among the others."""
        return self._own.get(name)

    def peek(self, *names: str) -> str | None:
        """Return the first of several that is there, as a text, which stays among the others."""
        value = next((self._own[name] for name in names if self._own.get(name) is not None), None)
        return _as_text(value)

    def text(self, *names: str) -> str | None:
        """Return the first of several that is there, as a text."""
        return _as_text(self.take(*names))

    def object(self, name: str) -> dict[str, Any]:
        """Return one that holds an object; one that does not stays among the others."""
        told = loaded(self._own.get(name))
        if not isinstance(told, dict):
            return {}
        self._taken.add(name)
        return dict(told)

    def under(self, prefix: str, fields: tuple[str, ...] = ()) -> list[Any]:
        """
        Return the rows that stand under a prefix, each with a number of its own.

        Args:
            prefix: What their names begin with.
            fields: Of a row; others stay among the others. All, if there are none.
        """
        tree: dict[str, Any] = {}
        for name, value in self._own.items():
            if name.startswith(prefix):
                place, *path = name[len(prefix) :].split(".")
                if _is_place(place) and (not fields or not path or path[0] in fields):
                    self._taken.add(name)
                    _put(tree, [place, *path], value)
        return rows_of(_listed(tree))

    def has(self, *prefixes: str) -> bool:
        """Return whether there are any with such a begin."""
        return any(name.startswith(prefixes) for name in self._own)

    def others(self) -> dict[str, Any]:
        """Return those that nobody asked for."""
        return {
            name: value
            for name, value in self._own.items()
            if name not in self._taken and not name.startswith((*_REPEATED, *_OFFERED, *_SECRETS))
        }


def _as_text(value: Any) -> str | None:
    return str(value) if type(value) in (str, int) and value != "" else None


def _is_place(name: str) -> bool:
    return name.isdecimal() and len(name) < 10


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, name = path[:_MOST_STEPS]
    for parent in parents:
        inner = tree.get(parent)
        if not isinstance(inner, dict):
            inner = tree[parent] = {}
        tree = inner
    if not isinstance(tree.get(name), dict):
        tree[name] = value


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(map(_is_place, tree)):
        return [_listed(tree[name]) for name in sorted(tree, key=int)][:_MOST_MESSAGES]
    return {name: _listed(value) for name, value in tree.items()}


def rows_of(value: Any) -> list[Any]:
    """Return a list; of anything else none."""
    return value if isinstance(value, list) else []


def loaded(value: Any) -> Any:
    """Return a value that may be an object or a list, written as JSON."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return decoded(value)
    return value


def mended(value: str) -> Any:
    """Return what is there of a JSON object or list that was cut; None if that is nothing."""
    open_: list[str] = []
    is_text = is_escaped = False
    whole: deque[tuple[int, str]] = deque(maxlen=_MOST_TRIED)
    for at, sign in enumerate(value):
        if is_text:
            is_text = is_escaped or sign != '"'
            is_escaped = sign == "\\" and not is_escaped
        elif sign == '"':
            is_text = True
        elif sign in "[{":
            open_.append("]" if sign == "[" else "}")
            if len(open_) > _DEEPEST:
                return None
            whole.append((at + 1, "".join(reversed(open_))))
        elif sign in "]}" and open_:
            open_.pop()
        elif sign == ",":
            whole.append((at, "".join(reversed(open_))))
    closing = "".join(reversed(open_))
    begun = _ESCAPE.sub("", value) + '"' if is_text else value
    for text in (begun + closing, *(value[:end] + closed for end, closed in reversed(whole))):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue
    return None
