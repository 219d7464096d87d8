"""
The conversations of a log, of which the latest ones are kept.
"""

from __future__ import annotations

import heapq
import operator

from collections.abc import Mapping
from typing import Any

import msgspec

from ..io.reader import Time, scan
from ._finding import Report


__all__ = ["Listed", "Listing", "listing"]

_MOST_NAMES = 8


class Listed(msgspec.Struct, gc=False):
    """
    A conversation.

    Attributes:
        session_id: Its id.
        first: The time of its first event.
        last: The time of its last one.
        events: How many events it has.
        users: Who took part, the first few.
        models: Which models answered or were asked, the first few.
    """

    session_id: str
    first: str
    last: str
    events: int = 0
    users: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Listing(msgspec.Struct):
    """
    The conversations of a log.

    Attributes:
        latest: Those with the latest events, the last one first.
        count: How many there are in all.
        first: The time of the first event; None where there is none.
        last: The time of the last one.
    """

    latest: list[Listed]
    count: int
    first: str | None
    last: str | None


class _Actor(msgspec.Struct, gc=False):
    type: str
    id: str


class _Provenance(msgspec.Struct, gc=False):
    model: Any = None
    request_model: Any = None


class _Extensions(msgspec.Struct, gc=False):
    user_id: Any = None
    notice: Any = None


class _Event(msgspec.Struct, gc=False):
    session_id: str
    timestamp: str
    actor: _Actor
    provenance: _Provenance | None = None
    extensions: _Extensions | None = None


def listing(
    paths: list[str],
    most: int,
    *,
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    models: frozenset[str] = frozenset(),
    users: frozenset[str] = frozenset(),
    rotated: bool = True,
    report: Report,
) -> Listing:
    """
    Return the conversations of a log.

    Args:
        paths: As in `io.reader.read`.
        most: How many are kept.
        since: As in `io.reader.read`.
        until: As in `io.reader.read`.
        where: As in `io.reader.read`.
        models: Only events of these models; none means any.
        users: Only events of these users; none means any.
        rotated: As in `io.reader.read`.
        report: Is called with the error of what can't be read.

    Raises:
        ConfigurationError: for a time or a field that is none.
        ReadError: for a path that is not there, if it is the only one.
    """
    found: dict[str, Listed] = {}
    events = scan(
        paths,
        _Event,
        errors="skip",
        report=report,
        since=since,
        until=until,
        where=where,
        rotated=rotated,
    )
    for event in events:
        extensions = event.extensions
        if extensions is not None and extensions.notice is not None:
            continue
        named, user = _models(event), _user(event)
        if (models and models.isdisjoint(named)) or (users and user not in users):
            continue
        session = found.get(event.session_id)
        if session is None:
            when = event.timestamp
            session = found[event.session_id] = Listed(event.session_id, when, when)
        _count(session, event, named, user)
    latest = heapq.nlargest(most, found.values(), key=operator.attrgetter("last", "session_id"))
    return Listing(
        latest,
        len(found),
        min((each.first for each in found.values()), default=None),
        max((each.last for each in found.values()), default=None),
    )


def _models(event: _Event) -> list[str]:
    provenance = event.provenance
    if provenance is None:
        return []
    return [each for each in (provenance.model, provenance.request_model) if type(each) is str]


def _user(event: _Event) -> str | None:
    named = event.extensions.user_id if event.extensions is not None else None
    if type(named) is str:
        return named
    return event.actor.id if event.actor.type == "human" else None


def _count(session: Listed, event: _Event, models: list[str], user: str | None) -> None:
    session.events += 1
    if event.timestamp < session.first:
        session.first = event.timestamp
    elif event.timestamp > session.last:
        session.last = event.timestamp
    if models and models[0] not in session.models and len(session.models) < _MOST_NAMES:
        session.models += (models[0],)
    if user is not None and user not in session.users and len(session.users) < _MOST_NAMES:
        session.users += (user,)
