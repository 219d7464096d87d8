"""
The attributes of a span, and which of them were asked for.
"""

from __future__ import annotations

from typing import Any

from ...integrations._fields import decoded


__all__ = ["Attributes", "loaded", "rows_of"]

_OFFERED = ("gen_ai.tool.definitions", "llm.tools.", "llm.request.functions.")
_REPEATED = (
    "all_messages_events",
    "embedding.embeddings.",
    "gen_ai.aggregated_usage.",
    "gen_ai.usage.",
    "input.mime_type",
    "llm.token_count.",
    "logfire.",
    "metadata",
    "model_request_parameters",
    "openinference.span.kind",
    "output.mime_type",
    "pydantic_ai.all_messages",
)
"""What tells again what other attributes say, or how to show them."""
_SECRETS = ("llm.headers",)
_MOST_MESSAGES = 100_000
_MOST_STEPS = 20


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
        """Return the first of several that is there; none of them is among the others then."""
        self._taken.update(names)
        return next((self._own[name] for name in names if self._own.get(name) is not None), None)

    def text(self, *names: str) -> str | None:
        """Return the first of several that is there, as a text."""
        value = self.take(*names)
        return str(value) if type(value) in (str, int) and value != "" else None

    def under(self, prefix: str) -> Any:
        """Return what stands under a prefix, with numbers in the names as places in lists."""
        tree: dict[str, Any] = {}
        for name, value in self._own.items():
            if name.startswith(prefix):
                self._taken.add(name)
                _put(tree, name[len(prefix) :].split("."), value)
        return _listed(tree)

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
    if tree and all(name.isdecimal() and len(name) < 10 for name in tree):
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
