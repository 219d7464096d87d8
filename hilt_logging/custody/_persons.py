"""
Which events are one person's or one session's, and what is left of them.
"""

from __future__ import annotations

import re

from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..events import encode
from ..safeguards._parts import KNOWN, withheld
from ..safeguards._people import NOBODY, name_of


__all__ = ["KINDS", "Belongings", "Glance", "glance", "subject_of", "tombstone"]

KINDS = ("user", "session")

_ALWAYS = "~"  # sorts after every time
_SESSION = re.compile(rb'"session_id":("(?:[^"\\]|\\.)*")')
_NOT_KEPT = ("key_id", "consent")


class _Actor(msgspec.Struct):
    type: Any = None
    id: Any = None


class _Provenance(msgspec.Struct):
    call_id: Any = None


class _Privacy(msgspec.Struct):
    content: Any = None


class _Extensions(msgspec.Struct):
    user_id: Any = None
    reply_to: Any = None
    notice: Any = None


class Glance(msgspec.Struct):
    """
    What of an event tells to whom it belongs.

    Attributes:
        event_id: Its id.
        timestamp: When it was.
        session_id: Its session.
        actor: Who acted.
        provenance: The call that it is part of.
        privacy: Whether it was erased.
        extensions: Whose call that is, and what the event replies to.
    """

    event_id: Any = None
    timestamp: Any = None
    session_id: Any = None
    actor: _Actor = msgspec.field(default_factory=_Actor)
    provenance: _Provenance = msgspec.field(default_factory=_Provenance)
    privacy: _Privacy = msgspec.field(default_factory=_Privacy)
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)

    @property
    def persons(self) -> set[str]:
        """Who of the outer world is named: the user, and a human who acts, unless it is nobody."""
        user, human = name_of(self.extensions.user_id), None
        if self.actor.type == "human" and self.actor.id != NOBODY:
            human = name_of(self.actor.id)
        return {each for each in (user, human) if each is not None}


_decoder = msgspec.json.Decoder(Glance)


def glance(line: bytes) -> Glance | None:
    """Return what tells to whom a line belongs; None for what is no event."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def subject_of(subject: object, kind: object) -> str:
    """
    Return the name of a subject in a key store.

    Raises:
        ConfigurationError: for a kind that does not exist, or what is no name.
    """
    if kind not in KINDS:
        raise ConfigurationError("kind of a subject", kind, f"Must be one of: {', '.join(KINDS)}")
    if type(subject) is not str or not subject:
        raise ConfigurationError(
            "subject", type(subject).__name__, "Must be the id of a user or session"
        )
    return f"{kind}:{subject}"


class Belongings:
    """
    What belongs to a subject.

    Of a session it is all that happened in it. Of a person it is, in this order: what names the
    person as user or as the human who acts; nothing that names another one; what is part of one
    of the person's calls, or replies to one of the person's events; and what names nobody, in
    sessions in which nobody else is named.

    Whoever was erased before counts as the person does, for events of before that: what an
    interrupted erasure has not reached can't be told from its name any more.

    Args:
        subject: The id.
        kind: `user` or `session`.
    """

    def __init__(self, subject: str, kind: str) -> None:
        self.subject = subject
        self.kind = kind
        self._erased: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._shared: set[str] = set()
        self._calls: dict[str, str] = {}
        self._events: dict[str, str] = {}
        self._names = {msgspec.json.encode(subject), encode(subject, ascii=True)}

    def learn(self, event: Glance) -> None:
        """Take note of an event; all of them, before anybody asks, in the order of their files."""
        if self.kind == "session":
            return
        if event.extensions.notice is not None:
            self._learn_notice(event.extensions.notice)
        persons = event.persons
        if not persons:
            reply_to = event.extensions.reply_to
            if _is_in(reply_to, self._events):
                self._keep(event, self._events[reply_to])
        elif until := self._until(persons):
            _raise(self._sessions, event.session_id, until)
            self._keep(event, until)
        elif type(event.session_id) is str:
            self._shared.add(event.session_id)

    def _learn_notice(self, notice: Any) -> None:
        if type(notice) is dict and notice.get("kind") == "rewritten":
            token, at = notice.get("token"), notice.get("at")
            if type(token) is str and type(at) is str:
                self._erased[token] = at

    def _until(self, persons: set[str]) -> str:
        """Until when events count that hang on one which names these persons; empty for never."""
        if self.subject in persons:
            return _ALWAYS
        return max(self._erased[each] for each in persons) if persons <= {*self._erased} else ""

    def _keep(self, event: Glance, until: str) -> None:
        _raise(self._events, event.event_id, until)
        _raise(self._calls, event.provenance.call_id, until)

    def has(self, event: Glance) -> bool:
        """Return whether an event belongs to the subject, and is not erased yet."""
        if event.privacy.content == "erased":
            return False
        if self.kind == "session":
            return bool(event.session_id == self.subject)
        persons = event.persons
        if persons:
            return self.subject in persons
        found = [
            known[value]
            for known, value in (
                (self._calls, event.provenance.call_id),
                (self._events, event.extensions.reply_to),
                (self._sessions, event.session_id),
            )
            if _is_in(value, known) and not (known is self._sessions and value in self._shared)
        ]
        return str(event.timestamp) < max(found, default="")

    def may_have(self, fragment: bytes) -> bool:
        """Return whether a torn line may be the subject's: it says so, or is of such a session."""
        if any(each in fragment for each in self._names):
            return True
        found = _SESSION.search(fragment)
        try:
            session = msgspec.json.decode(found[1]) if found else ""
        except msgspec.DecodeError:
            return False
        return session in self._sessions


def _is_in(value: Any, known: dict[str, str]) -> bool:
    return type(value) is str and value in known


def _raise(known: dict[str, str], value: Any, until: str) -> None:
    if type(value) is str:
        known[value] = max(until, known.get(value, ""))


def tombstone(line: bytes, token: str) -> bytes:
    """
    Return what is left of an event: that it happened, when, in which call, and how much it took.

    Args:
        line: The line of the event.
        token: What stands for the person from now on.
    """
    event = withheld(msgspec.json.decode(line), KNOWN, "none", None)
    for name in ("content", "integrity"):
        event.pop(name, None)
    actor = event.get("actor")
    if type(actor) is dict and actor.get("type") == "human":
        event["actor"] = {"type": "human", "id": token}
    extensions = event.get("extensions")
    if type(extensions) is dict and "user_id" in extensions:
        event["extensions"] = {**extensions, "user_id": token}
    known = event.pop("privacy", None)
    marks = {k: v for k, v in known.items() if k not in _NOT_KEPT} if type(known) is dict else {}
    return encode(_with_privacy(event, {**marks, "content": "erased"}), ascii=line.isascii())


def _with_privacy(event: dict[str, Any], privacy: dict[str, Any]) -> dict[str, Any]:
    after = {name: event.pop(name) for name in ("extensions",) if name in event}
    return {**event, "privacy": privacy, **after}
