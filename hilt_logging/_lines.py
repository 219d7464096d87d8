"""
The short way: an event of nothing but JSON values is completed, checked and encoded in one pass.

The line of an event is its snapshot. Whatever is not plain (a foreign class, a key that is no
string, a number that JSON has not, a line break that needs an escape, personal data to look after)
takes the long way through `snapshot` and the schema, with the same result. What is asked here is
what those would find, cheapest first, and with few calls: every event passes.
"""

from __future__ import annotations

import sys
import time

from collections.abc import Iterable
from typing import Any

import msgspec

from . import _ids
from ._ids import new_id, timestamp
from .context import NOTHING, Context, lookup, trace_ids
from .events import Actor, Content, Event, Metrics
from .schema import ACTIONS, ACTOR_TYPES, HILT_VERSION, PART_FIELDS, is_timestamp


__all__ = ["encode_plain", "has_plain_names", "line_of", "plain_of"]

_MOST_TEXT = 1024 * 1024
_MOST_EACH = 30_000  # so that 500 of them and one text stay within what a snapshot holds
_LONGEST_NAME = 256
_LONGEST_KNOWN = 32
_MOST_KNOWN = 1000
_MOST_ITEMS = 500
_MOST_LEVELS = 8
_MOST_COUNT = 2**63
_ACTIONS = frozenset(ACTIONS)
_ACTOR_TYPES = frozenset(ACTOR_TYPES)
_METRICS = frozenset(PART_FIELDS["metrics"])
_modules = sys.modules


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


encode_plain = msgspec.json.Encoder().encode


def line_of(event: Event, logger: str) -> bytes | None:
    """
    Return the line of a plain event, completed with what is bound here; None if it is not plain.

    Args:
        event: The event, of this very class; nothing of it is changed.
        logger: The name for `provenance.logger`.
    """
    try:
        bound, actor = lookup().merged, event.actor
        if type(actor) is not Actor:
            return None
        action, kind, name = event.action, actor.type, actor.id
        event_id, session_id = event.event_id, event.session_id
        content, metrics = event.content, event.metrics
        provenance, extensions = event.provenance, event.extensions
        when, version = event.timestamp, event.hilt_version
        room = [_MOST_ITEMS]
        if (
            type(version) is type(action) is type(kind) is str
            and version == HILT_VERSION
            and action in _ACTIONS
            and kind in _ACTOR_TYPES
            and type(event_id) is type(session_id) is type(name) is str
            and event_id.isascii()
            and session_id.isascii()
            and name.isascii()
            and event_id
            and session_id
            and name
            and (when is _ids.latest or is_timestamp(when))
            and actor.name is None
            and actor.did is None
            and actor.metadata is None
            and _is_empty(actor.unknown_fields)
            and event.privacy is None
            and event.integrity is None
            and _is_empty(event.unknown_fields)
            and (content is None or _is_plain_content(content, room))
            and (metrics is None or _is_plain_metrics(metrics))
            and type(provenance) is type(extensions) is dict
            and (not provenance or _is_plain(provenance, _MOST_LEVELS, room))
            and (not extensions or _is_plain(extensions, _MOST_LEVELS, room))
            and (bound is NOTHING or _is_plain_context(bound, room))
            and logger.isascii()
        ):
            if bound is not NOTHING:
                extensions = _with_bound(extensions, bound)
            return encode_plain(
                _Line(
                    HILT_VERSION,
                    event_id,
                    when,
                    session_id,
                    actor,
                    action,
                    content,
                    _with_logger(provenance, logger, bound),
                    metrics,
                    None,
                    extensions or None,
                )
            )
    except Exception:  # a lone surrogate, a dict that changes meanwhile, a part that was replaced
        return None
    return None


def plain_of(given: dict[Any, Any], logger: str, now_ns: int | None = None) -> _Line | None:
    """
    Return a plain dict of fields as an event, completed as above; None if it is not plain.

    Its parts are the ones of the dict: it is for `encode_plain` or `msgspec.to_builtins` at once.

    Args:
        given: The dict; nothing of it is changed.
        logger: The name for `provenance.logger`.
        now_ns: What the clock said, for an event without id or timestamp.
    """
    try:
        if not has_plain_names(given):
            return None
        bound = lookup().merged
        actor, action, kind, name = given["actor"], given["action"], None, None
        content, metrics = given.get("content"), given.get("metrics")
        provenance, extensions = given.get("provenance"), given.get("extensions")
        room = [_MOST_ITEMS]
        if type(actor) is dict and len(actor) == 2 and has_plain_names(actor):
            kind, name = actor["type"], actor["id"]
        known = 2 + (content is not None) + (metrics is not None)
        known += (provenance is not None) + (extensions is not None)
        if (
            type(action) is type(kind) is type(name) is str
            and action in _ACTIONS
            and kind in _ACTOR_TYPES
            and name
            and name.isascii()
            and (content is None or _is_plain_content_dict(content, room))
            and (metrics is None or _is_plain_metrics_dict(metrics))
            and (provenance is None or _is_plain(provenance, _MOST_LEVELS, room))
            and (extensions is None or _is_plain(extensions, _MOST_LEVELS, room))
            and (bound is NOTHING or _is_plain_context(bound, room))
            and logger.isascii()
        ):
            event_id, when, session_id = "", "", ""
            if "session_id" in given:
                session_id = given["session_id"]
                known += 1
                if type(session_id) is not str or not session_id.isascii():
                    return None
            if "event_id" in given:
                event_id = given["event_id"]
                known += 1
                if type(event_id) is not str or not event_id.isascii():
                    return None
            if "timestamp" in given:
                when = given["timestamp"]
                known += 1
                if type(when) is not str or (when and not is_timestamp(when)):
                    return None
            if "hilt_version" in given:
                known += 1
                version = given["hilt_version"]
                if type(version) is not str or version != HILT_VERSION:
                    return None
            if known != len(given):
                return None  # another field, or one that is None
            if not event_id or not when:
                now_ns = time.time_ns() if now_ns is None else now_ns
                event_id = event_id or new_id(now_ns)
                when = when or timestamp(now_ns)
            if bound is not NOTHING:
                extensions = _with_bound(extensions or {}, bound)
            return _Line(
                HILT_VERSION,
                event_id,
                when,
                session_id or bound.session_id or new_id(now_ns),
                actor,
                action,
                content,
                _with_logger(provenance or {}, logger, bound),
                metrics,
                None,
                extensions or None,
            )
    except Exception:  # likewise, or a field is missing
        return None
    return None


def has_plain_names(names: Iterable[Any]) -> bool:
    """Whether a dict with these keys can be asked for a name: one may have an `__eq__` of its own."""
    try:
        for name in names:
            if type(name) is not str:
                return False
    except RuntimeError:  # another thread changes the dict
        return False
    return True


def _is_empty(fields: object) -> bool:
    return type(fields) is dict and not fields


def _with_logger(provenance: dict[str, Any], logger: str, bound: Context) -> dict[str, Any]:
    if (bound is not NOTHING or "opentelemetry.trace" in _modules) and (
        "trace_id" not in provenance and (known := trace_ids())
    ):
        provenance = {**provenance, **known, **provenance}  # known ones last, but none is replaced
    return {**provenance, "logger": provenance.get("logger", logger)}


def _with_bound(extensions: dict[str, Any], bound: Context) -> dict[str, Any]:
    extensions = {**extensions}
    for name, value in bound.extensions.items():
        extensions.setdefault(name, value)
    if bound.user_id is not None:
        extensions.setdefault("user_id", bound.user_id)
    return extensions


def _is_plain_context(bound: Context, room: list[int]) -> bool:
    ids = (bound.user_id, bound.trace_id, bound.span_id, bound.session_id)
    return (
        bound.consent is None
        and all(text is None or _is_plain_text(text) for text in ids)
        and _is_plain(bound.extensions, _MOST_LEVELS, room)
    )


def _is_plain_content(content: Content, room: list[int]) -> bool:
    if type(content) is not Content:
        return False
    text, messages = content.text, content.messages
    return (
        content.text_hash is None
        and content.text_encrypted is None
        and content.media is None
        and _is_empty(content.unknown_fields)
        and (text is None or _is_plain_text(text))
        and (messages is None or _are_plain_messages(messages, room))
    )


def _is_plain_content_dict(content: Any, room: list[int]) -> bool:
    if type(content) is not dict or not has_plain_names(content):
        return False
    fields = len(content)
    if "text" in content:
        fields -= 1
        if not _is_plain_text(content["text"]):
            return False
    if fields and "messages" in content:
        fields -= 1
        if not _are_plain_messages(content["messages"], room):
            return False
    return fields == 0


def _is_plain_text(text: Any) -> bool:
    return (
        type(text) is str
        and len(text) <= _MOST_TEXT
        and (text.isascii() or not ("\u2028" in text or "\u2029" in text or "\x85" in text))
    )


def _is_plain_metrics(metrics: Metrics) -> bool:
    if type(metrics) is not Metrics:
        return False
    tokens, cost = metrics.tokens, metrics.cost_usd
    latency, first, chunks = metrics.latency_ms, metrics.time_to_first_token_ms, metrics.chunks
    attempts, score = metrics.attempts, metrics.score
    return (
        (cost is None or (type(cost) is float and cost - cost == 0))
        and (tokens is None or _are_counts(tokens))
        and (latency is None or (type(latency) is int and 0 <= latency < _MOST_COUNT))
        and (first is None or (type(first) is int and 0 <= first < _MOST_COUNT))
        and (chunks is None or (type(chunks) is int and 0 <= chunks < _MOST_COUNT))
        and (attempts is None or (type(attempts) is int and 0 <= attempts < _MOST_COUNT))
        and (score is None or (type(score) is float and score - score == 0))
        and _is_empty(metrics.unknown_fields)
    )


def _is_plain_metrics_dict(metrics: Any) -> bool:
    if type(metrics) is not dict:
        return False
    for name, value in metrics.items():
        if type(name) is not str or name not in _METRICS:
            return False
        if name == "tokens":
            if not _are_counts(value):
                return False
        elif name == "cost_usd" or name == "score":
            if type(value) is not float or value - value != 0:
                return False
        elif type(value) is not int or not 0 <= value < _MOST_COUNT:
            return False
    return True


def _are_counts(tokens: Any) -> bool:
    if type(tokens) is not dict or len(tokens) > _MOST_ITEMS:
        return False
    for name, number in tokens.items():
        if type(name) is not str or type(number) is not int or not 0 <= number < _MOST_COUNT:
            return False
        if not name.isascii() or len(name) > _LONGEST_NAME:
            return False
    return True


def _are_plain_messages(messages: Any, room: list[int]) -> bool:
    return (
        type(messages) is list
        and all(type(message) is dict for message in messages)
        and _are_plain(messages, _MOST_LEVELS, room)
    )


_names: set[str] = set()
"""Names of fields that were found plain: most are the same in every event."""


def _is_name(name: str) -> bool:
    if len(name) > _LONGEST_NAME or not name.isascii():
        return False
    if len(name) <= _LONGEST_KNOWN and len(_names) < _MOST_KNOWN:
        _names.add(name)
    return True


def _is_plain(value: Any, levels: int, room: list[int]) -> bool:
    """Whether a dict is plain; all containers together stay small: one may stand in many places."""
    if type(value) is not dict:
        return False
    room[0] -= len(value)
    if room[0] < 0:
        return False
    for name, item in value.items():
        if type(name) is not str or (name not in _names and not _is_name(name)):
            return False
        if type(item) is str:
            if len(item) > _MOST_EACH or not (item.isascii() or _is_plain_text(item)):
                return False
        elif item is not None and not _is_plain_item(item, levels, room):
            return False
    return True


def _are_plain(values: list[Any], levels: int, room: list[int]) -> bool:
    room[0] -= len(values)
    return room[0] >= 0 and all(_is_plain_item(item, levels, room) for item in values)


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
