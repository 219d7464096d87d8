"""
Of an event what it says, decoded without the rest of it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from msgspec import UNSET, UnsetType

from ..schema import ACTIONS, ACTOR_TYPES, HILT_VERSION, Name, is_timestamp


__all__ = ["Said", "said_in"]


class _Actor(msgspec.Struct, gc=False):
    type: Literal[ACTOR_TYPES]  # type: ignore[valid-type]
    id: Name


class _Content(msgspec.Struct, gc=False):
    text: str


class _Metrics(msgspec.Struct, gc=False):
    cost_usd: float | UnsetType = UNSET  # a text, as hilt-python has it, becomes a number


class Said(msgspec.Struct, gc=False):
    """
    The fields of an event without which it is none, and its text.

    Attributes:
        hilt_version: As in the event.
        event_id: As in the event.
        timestamp: As in the event, and as we write it.
        session_id: As in the event.
        actor: As in the event.
        action: As in the event.
        content: As in the event, without what is not its text.
        metrics: Only what others write in another way.
    """

    hilt_version: Literal[HILT_VERSION]  # type: ignore[valid-type]
    event_id: Name
    timestamp: str
    session_id: Name
    actor: _Actor
    action: Literal[ACTIONS]  # type: ignore[valid-type]
    content: _Content
    metrics: _Metrics | UnsetType = UNSET


_decode = msgspec.json.Decoder(Said).decode


def said_in(line: bytes) -> Said | None:
    """Return what the event of a line says; None where that takes a closer look, for whatever reason."""
    try:
        said = _decode(line)
        if not line.isascii():
            line.decode()  # what is passed over is not looked at
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return said if is_timestamp(said.timestamp) else None
