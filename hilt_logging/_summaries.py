"""
What `logging` itself shows of an event: a level, and one line without content.
"""

from __future__ import annotations

import logging

from typing import Any, cast

from ._lines import has_plain_names
from .events import Event
from .snapshot import clean_text, snapshot


__all__ = ["is_event", "level_of", "summary"]

_LEVELS = {
    "failed": logging.ERROR,
    "truncated": logging.WARNING,
    "refused": logging.WARNING,
    "filtered": logging.WARNING,
    "retried": logging.WARNING,
    "closed_early": logging.WARNING,
    "abandoned": logging.WARNING,
    "cancelled": logging.WARNING,
}


def is_event(cls: type) -> bool:
    """Return whether this is the class of events or of a kind of them."""
    # isinstance would ask a foreign value for its __class__, and issubclass is slow for a Struct
    return cls is Event or (cls is not dict and issubclass(cls, Event))


def level_of(event: Event | dict[str, Any]) -> int:
    """Return the level of `logging` at which an event is emitted."""
    action: Any
    extensions: Any
    cls = type(event)
    if cls is Event:
        action, extensions = event.action, event.extensions  # type: ignore[union-attr]
        if type(action) is str and type(extensions) is dict and not extensions:
            return logging.DEBUG if action == "completion_chunk" else logging.INFO
    elif is_event(cls):
        action, extensions = cast(Event, event).action, cast(Event, event).extensions
    elif issubclass(cls, dict):
        fields = _askable(event)
        action, extensions = dict.get(fields, "action"), dict.get(fields, "extensions")
    else:
        return logging.ERROR
    if type(action) is str and action == "completion_chunk":
        return logging.DEBUG
    if not issubclass(type(extensions), dict):
        return logging.INFO
    fields = _askable(extensions)
    outcome = dict.get(fields, "outcome")
    if type(outcome) is str:
        return _LEVELS.get(outcome, logging.INFO)
    return logging.INFO if dict.get(fields, "error") is None else logging.ERROR


def _askable(fields: Any) -> dict[str, Any]:
    """The dict, or what is recorded of it where one of its keys would be asked what it is."""
    found: dict[str, Any] = fields if has_plain_names(dict.keys(fields)) else snapshot(fields)
    return found


def summary(event: dict[str, Any]) -> str:
    """Return one line about an event, without content: `completion openai gpt-4o-mini ...`."""
    provenance = _dict(event, "provenance")
    extensions = _dict(event, "extensions")
    metrics = _dict(event, "metrics")
    tokens = _dict(metrics, "tokens")
    words = [
        event.get("action"),
        provenance.get("provider"),
        provenance.get("model") or provenance.get("request_model"),
        _dict(extensions, "tool").get("name"),
    ]
    out = [_word(word) for word in words if type(word) is str]
    out.append(f"session={_word(str(event.get('session_id')))}")
    if tokens:
        out.append(f"tokens={tokens.get('prompt', 0)}+{tokens.get('completion', 0)}")
    if type(cost := metrics.get("cost_usd")) in (int, float):
        out.append(f"cost=${f'{cost:.6f}'.rstrip('0').rstrip('.')}")
    if type(latency := metrics.get("latency_ms")) is int:
        out.append(f"{latency}ms")
    outcome = extensions.get("outcome")
    if type(outcome) is str and outcome != "completed":
        out.append(_word(outcome))
    error = _dict(extensions, "error").get("type")
    if type(error) is str:
        out.append(_word(error))
    return " ".join(out)


def _dict(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if type(value) is dict else {}


def _word(text: str) -> str:
    """A name as one short word: no spaces, control characters or line breaks in a text log."""
    shown = clean_text(text[:80])
    return shown if shown.isprintable() and " " not in shown else ascii(shown)
