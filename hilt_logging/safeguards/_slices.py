"""
The short way to seal an event: its line is cut into slices, and what is protected is not decoded.

The fields of a line stand in the order of the format, and quotes within its strings are escaped: so
a field is found by its name in quotes. Whatever is not as expected (an own field at the top, the
name of a person, a value of another type) takes the long way through `divided`, with the same
result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from ..events import encode
from ..schema import HILT_VERSION
from ._division import KEPT_EMPTY, divided
from ._parts import Tree


__all__ = ["Means", "MeansOf", "quick_line"]

_Scalar = str | int | float | bool | None
_Number = int | float | None


class _Provenance(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    provider: _Scalar = None
    model: _Scalar = None
    request_model: _Scalar = None
    call_id: _Scalar = None
    response_id: _Scalar = None
    request_id: _Scalar = None
    params: dict[str, int | float | bool | None] | None = None
    trace_id: _Scalar = None
    span_id: _Scalar = None
    run_id: _Scalar = None
    parent_run_id: _Scalar = None
    logger: _Scalar = None
    library: msgspec.Raw = msgspec.Raw()
    price: msgspec.Raw = msgspec.Raw()


class _Metrics(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    latency_ms: _Number = None
    time_to_first_token_ms: _Number = None
    tokens: msgspec.Raw = msgspec.Raw()
    cost_usd: _Number = None
    chunks: _Number = None
    attempts: _Number = None
    score: _Number = None


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    hilt_version: str
    event_id: msgspec.Raw
    timestamp: str
    session_id: str
    actor: msgspec.Raw
    action: msgspec.Raw
    content: msgspec.Raw = msgspec.Raw()
    provenance: _Provenance | None = None
    metrics: _Metrics | None = None
    privacy: msgspec.Raw = msgspec.Raw()
    extensions: msgspec.Raw = msgspec.Raw()


class _Actor(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    id: str
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    did: str | msgspec.UnsetType | None = msgspec.UNSET


class _Privacy(msgspec.Struct, forbid_unknown_fields=True):
    pii_detected: msgspec.Raw = msgspec.Raw()
    redaction_applied: _Scalar = None
    content: _Scalar = None
    consent: msgspec.Raw = msgspec.Raw()


_line = msgspec.json.Decoder(_Line).decode
_actor = msgspec.json.Decoder(_Actor).decode
_privacy = msgspec.json.Decoder(_Privacy).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode

_BEGIN = b'{"hilt_version":"%b","event_id":' % HILT_VERSION.encode()
_ACTOR, _ACTION, _CONTENT = b',"actor":', b',"action":', b',"content":'
_PRIVACY, _EXTENSIONS = b',"privacy":', b',"extensions":'
_HUMAN = b'{"type":"human","id":'
_OPEN, _QUOTE = b'{"'
_CONTAINERS, _CONSTANTS = b"{[", b"tfn"
_USER = b'"user_id":'
_MOST_ACTORS = 1000
_humans: dict[bytes, str | None] = {}


class Means(NamedTuple):
    """
    What one event is sealed with.

    Attributes:
        seal: From a text to its token, as it stands in a JSON string.
        actor: What stands for a human actor, in quotes.
        user: What stands for the user, in quotes.
        key_id: The id of the subject's key, in quotes; empty where there is none.
    """

    seal: Callable[[bytes], bytes]
    actor: bytes
    user: bytes
    key_id: bytes


MeansOf = Callable[[str | None, str | None, str], Means]


class _NotQuickError(Exception):
    """The line takes the long way."""


def quick_line(line: bytes, known: Tree, means: MeansOf) -> bytes | None:
    """
    Return the line with what is protected sealed; None if it takes the long way.

    Args:
        line: The line of a complete event.
        known: What everybody may read of the extensions.
        means: Is called with a human actor's id, a user's id and the session's.
    """
    try:
        return _quick_line(line, known, means)
    except (_NotQuickError, msgspec.DecodeError):
        return None


def _quick_line(line: bytes, known: Tree, means: MeansOf) -> bytes:
    found = _line(line)
    event_id = line[len(_BEGIN) : len(_BEGIN) + len(found.event_id)]
    a = line.find(_ACTOR) + len(_ACTOR)
    b = a + len(found.actor)
    c = b + len(_ACTION) + len(found.action)
    actor = line[a:b]
    human = _humans[actor] if actor in _humans else _human(actor)
    if not (
        line.startswith(_BEGIN)
        and line.startswith(_ACTION, b)
        and line[c - 1] == event_id[0] == _QUOTE
    ):
        raise _NotQuickError
    hidden = [] if human is None else [b'"actor":{"id":%b' % actor[len(_HUMAN) :]]
    d = c
    if size := len(found.content):
        d += len(_CONTENT) + size
        if not line.startswith(_CONTENT, c):
            raise _NotQuickError
        hidden.append(line[c + 1 : d])
    if found.provenance is not None and found.provenance.params:
        _check_names(found.provenance.params)
    f = e = len(line) - 1
    public: list[bytes] | None = None
    user, order = None, b""
    if size := len(found.extensions):
        f = e = e - len(_EXTENSIONS) - size
        if not line.startswith(_EXTENSIONS, e):
            raise _NotQuickError
        public, kept, user, order = _extensions(found.extensions, known)
        if kept:
            hidden.append(b'"extensions":{%b}' % b",".join(kept))
    if size := len(found.privacy):
        f -= len(_PRIVACY) + size
        if not line.startswith(_PRIVACY, f) or size < len(b'{"a":0}'):
            raise _NotQuickError
        _privacy(found.privacy)
    if not hidden:
        return line
    seal, actor_id, user_id, key_id = means(human, user, found.session_id)
    token = seal(b'{"event_id":%b,"parts":{%b}%b}' % (event_id, b",".join(hidden), order))
    if human is None:
        out = [line[:c]]
    else:
        out = [line[:a], _HUMAN, actor_id, b"}", line[b:c]]
    out += (b',"content":{"text_encrypted":"', token, b'"}')
    if not key_id:
        out.append(line[d:e])
    elif f == e:
        out += (line[d:e], b',"privacy":{"key_id":', key_id, b"}")
    else:
        out += (line[d : e - 1], b',"key_id":', key_id, b"}")
    if public is None:
        out.append(line[e:])
    else:
        if user is not None:
            public[public.index(_USER)] = _USER + user_id
        out += (_EXTENSIONS, b"{", b",".join(public), b"}}") if public else (b"}",)
    return b"".join(out)


def _human(actor: bytes) -> str | None:
    """A human actor's id; None for other actors."""
    found = _actor(actor)
    human = found.id if found.type == "human" else None
    is_bare = found.name is found.did is msgspec.UNSET and actor.startswith(_HUMAN)
    if human is not None and not is_bare:
        raise _NotQuickError
    if len(_humans) >= _MOST_ACTORS:
        _humans.clear()
    _humans[actor] = human
    return human


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not name.isidentifier():
            raise _NotQuickError


def _extensions(
    given: msgspec.Raw, known: Tree
) -> tuple[list[bytes] | None, list[bytes], str | None, bytes]:
    """What is public, as members (None: all), what is not, the user, and the order if need be."""
    members = _members(given)
    public: list[bytes] = []
    hidden: list[bytes] = []
    user, is_hiding, is_mixed = None, False, False
    for name, value in members.items():
        rule, text = known.get(name), bytes(value)
        if rule is None and not (name.isidentifier() and name.isascii()):
            raise _NotQuickError
        member = b'"%b":%b' % (name.encode(), text)
        if rule is True or (text[0] not in _CONTAINERS if rule is False else text[0] in _CONSTANTS):
            if name == "user_id":
                user = _text(text)
                hidden.append(member)
                member = _USER
            public.append(member)
            is_mixed |= is_hiding
        elif type(rule) is dict and text[0] == _OPEN:
            shown, kept = _halves(name, text, rule)
            public += shown
            hidden += kept
            is_mixed |= is_hiding and bool(shown)
            is_hiding |= not shown
        else:
            hidden.append(member)
            is_hiding = True
    order = b',"order":[[["extensions"],%b]]' % _encode(list(members)) if is_mixed else b""
    return public if hidden else None, hidden, user, order


def _halves(name: str, text: bytes, known: Tree) -> tuple[list[bytes], list[bytes]]:
    """What is public of a member, and what is not."""
    value = msgspec.json.decode(text)
    public, protected, order = divided(value, known)
    if order:
        raise _NotQuickError
    is_shown = public or not value or name in KEPT_EMPTY
    label = name.encode()
    return (
        [b'"%b":%b' % (label, encode(public))] if is_shown else [],
        [b'"%b":%b' % (label, encode(protected))] if protected else [],
    )
