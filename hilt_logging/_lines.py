"""
The short way: an event of nothing but JSON values is encoded at once, and its line is its snapshot.

Whatever is not plain (a foreign class, a key that is no string, a number that JSON has not, a line
break that needs an escape, personal data to look after) takes the long way through `snapshot` and
the schema, with the same result. What is asked here is what those would find, cheapest first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ._ids import is_own_timestamp
from .context import NOTHING, Context, current, trace_ids
from .events import Actor, Content, Event, Metrics
from .schema import ACTIONS, ACTOR_TYPES, HILT_VERSION, is_timestamp


__all__ = ["line_of"]

_MOST_TEXT = 1024 * 1024
_MOST_EACH = 30_000  # so that 500 of them and one text stay within what a snapshot holds
_LONGEST_NAME = 256
_MOST_ITEMS = 500
_MOST_LEVELS = 8
_ACTIONS = frozenset(ACTIONS)
_ACTOR_TYPES = frozenset(ACTOR_TYPES)


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields in the order of the format."""

    hilt_version: str
    event_id: str
    timestamp: str
    session_id: str
    actor: Any
    action: str
    content: Any = None
    provenance: Any = None
    metrics: Any = None
    privacy: Any = None
    extensions: Any = None


_encode = msgspec.json.Encoder().encode


def line_of(event: Event, logger: str) -> bytes | None:
    """
    Return the line of a plain event, completed with what is bound here; None if it is not plain.

    Args:
        event: The event, of this very class; nothing of it is changed.
        logger: The name for `provenance.logger`.
    """
    try:
        bound = current()
        if not _is_plain_event(event, bound) or not logger.isascii():
            return None
        extensions = event.extensions
        if bound is not NOTHING:
            extensions = {**extensions}
            for name, value in bound.extensions.items():
                extensions.setdefault(name, value)
            if bound.user_id is not None:
                extensions.setdefault("user_id", bound.user_id)
        return _encode(
            _Line(
                HILT_VERSION,
                event.event_id,
                event.timestamp,
                event.session_id,
                event.actor,
                event.action,
                event.content,
                _with_logger(event.provenance, logger),
                event.metrics,
                None,
                extensions or None,
            )
        )
    except Exception:  # a lone surrogate, a dict that changes meanwhile, a part that was replaced
        return None


def _with_logger(provenance: dict[str, Any], logger: str) -> dict[str, Any]:
    if "trace_id" not in provenance and (known := trace_ids()):
        provenance = {**provenance, **known, **provenance}  # known ones last, but none is replaced
    return {**provenance, "logger": provenance.get("logger", logger)}


def _is_plain_event(event: Event, bound: Context) -> bool:
    actor, content, metrics, when = event.actor, event.content, event.metrics, event.timestamp
    room = [_MOST_ITEMS]
    return (
        type(event.hilt_version) is type(event.action) is type(actor.type) is str
        and event.hilt_version == HILT_VERSION
        and event.action in _ACTIONS
        and _is_name(event.event_id)
        and _is_name(event.session_id)
        and (is_own_timestamp(when) or is_timestamp(when))
        and type(actor) is Actor
        and actor.type in _ACTOR_TYPES
        and _is_name(actor.id)
        and actor.name is None
        and actor.did is None
        and actor.metadata is None
        and event.privacy is None
        and event.integrity is None
        and (content is None or _is_plain_content(content, room))
        and (metrics is None or _is_plain_metrics(metrics))
        and _is_plain(event.provenance, _MOST_LEVELS, room)
        and _is_plain(event.extensions, _MOST_LEVELS, room)
        and (bound is NOTHING or _is_plain_context(bound, room))
        and not event.unknown_fields
        and not actor.unknown_fields
    )


def _is_name(text: object) -> bool:
    return type(text) is str and text.isascii() and text != ""


def _is_plain_context(bound: Context, room: list[int]) -> bool:
    ids = (bound.user_id, bound.trace_id, bound.span_id)
    return (
        bound.consent is None
        and all(text is None or _is_plain_text(text) for text in ids)
        and _is_plain(bound.extensions, _MOST_LEVELS, room)
    )


def _is_plain_content(content: Content, room: list[int]) -> bool:
    text, messages = content.text, content.messages
    return (
        type(content) is Content
        and (text is None or _is_plain_text(text))
        and content.text_hash is None
        and content.text_encrypted is None
        and content.media is None
        and (messages is None or _are_plain_messages(messages, room))
        and not content.unknown_fields
    )


def _is_plain_text(text: object) -> bool:
    return (
        type(text) is str
        and len(text) <= _MOST_TEXT
        and (text.isascii() or not ("\u2028" in text or "\u2029" in text or "\x85" in text))
    )


def _is_plain_metrics(metrics: Metrics) -> bool:
    tokens, cost = metrics.tokens, metrics.cost_usd
    return (
        type(metrics) is Metrics
        and (cost is None or (type(cost) is float and cost - cost == 0))
        and (tokens is None or (type(tokens) is dict and _are_counts(tokens)))
        and _is_count(metrics.latency_ms)
        and _is_count(metrics.time_to_first_token_ms)
        and _is_count(metrics.chunks)
        and metrics.attempts is None
        and metrics.score is None
        and not metrics.unknown_fields
    )


def _is_count(number: object) -> bool:
    return number is None or (type(number) is int and 0 <= number < 2**63)


def _are_counts(tokens: dict[Any, Any]) -> bool:
    for name, number in tokens.items():
        if type(name) is not str or type(number) is not int or not 0 <= number < 2**63:
            return False
        if not name.isascii():
            return False
    return True


def _are_plain_messages(messages: object, room: list[int]) -> bool:
    return (
        type(messages) is list
        and all(type(message) is dict for message in messages)
        and _are_plain(messages, _MOST_LEVELS, room)
    )


def _is_plain(value: dict[Any, Any], levels: int, room: list[int]) -> bool:
    if type(value) is not dict or not _has_room(value, room):
        return False
    for name, item in value.items():
        if type(name) is not str or not name.isascii() or len(name) > _LONGEST_NAME:
            return False
        if type(item) is str and item.isascii() and len(item) <= _MOST_EACH:
            continue
        if item is not None and not _is_plain_item(item, levels, room):
            return False
    return True


def _are_plain(values: list[Any], levels: int, room: list[int]) -> bool:
    return _has_room(values, room) and all(_is_plain_item(item, levels, room) for item in values)


def _has_room(values: dict[Any, Any] | list[Any], room: list[int]) -> bool:
    """Whether all containers together stay small: one may stand in many places."""
    room[0] -= len(values)
    return room[0] >= 0


def _is_plain_item(item: Any, levels: int, room: list[int]) -> bool:
    cls = type(item)
    if cls is str:
        return len(item) <= _MOST_EACH and _is_plain_text(item)
    if cls is int:
        return bool(-(2**63) <= item < 2**63)
    if cls is float:
        return bool(item - item == 0)  # neither NaN nor infinite
    if cls is dict:
        return levels > 0 and _is_plain(item, levels - 1, room)
    if cls is list:
        return levels > 0 and _are_plain(item, levels - 1, room)
    return cls is bool or item is None
