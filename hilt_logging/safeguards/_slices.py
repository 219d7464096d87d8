"""
The short way to seal an event: its line is cut into slices, and what is protected is not decoded.

The fields of a line stand in the order of the format, and quotes within its strings are escaped: so
a field is found by its name in quotes. Whatever is not as expected (an own field at the top, the
name of a person, a value of another type) takes the long way through `divided`, with the same
result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from ..events import encode
from ..schema import HILT_VERSION
from ._division import KEPT_EMPTY, divided
from ._parts import KNOWN, WORD, Tree, is_count, is_word


__all__ = ["Means", "MeansOf", "quick_line"]

_Scalar = str | int | float | bool | None
_Number = int | float | None
_Word = Annotated[str, msgspec.Meta(pattern=f"^{WORD.pattern}$(?!\\n)")] | bool | None


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


# the members of extensions that are texts and numbers
_Scalars: Any = msgspec.defstruct(
    "_Scalars",
    [
        (name, _Word if rule is is_word else _Scalar, None)
        for name, rule in KNOWN["extensions"].items()
        if rule is False or rule is is_word
    ],
    forbid_unknown_fields=True,
)

_line = msgspec.json.Decoder(_Line).decode
_scalars = msgspec.json.Decoder(_Scalars).decode
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
_humans: dict[bytes, Any] = {}
_UNSEEN = object()
_BEGIN_SIZE, _ACTOR_SIZE, _ACTION_SIZE = len(_BEGIN), len(_ACTOR), len(_ACTION)
_CONTENT_SIZE, _EXTENSIONS_SIZE, _HUMAN_SIZE = len(_CONTENT), len(_EXTENSIONS), len(_HUMAN)


Means = tuple[Callable[[bytes], tuple[bytes, ...]], bytes, bytes, bytes]
"""
What one event is sealed with: what makes the token of a text, as it stands in a JSON string, in
pieces; in quotes what stands for a human actor, what stands for the user and the id of the subject's key.
"""
MeansOf = Callable[[str | None, str | None, str], Means]
"""Returns that, given a human actor's id, the user's id and the session's."""


class _NotQuickError(Exception):
    """The line takes the long way."""


def quick_line(line: bytes, known: Tree, means: MeansOf) -> bytes | None:
    """
    Return the line with what is protected sealed; None if it takes the long way.

    Args:
        line: The line of a complete event.
        known: What everybody may read of the extensions.
        means: Tells what to seal with.
    """
    try:
        found = _line(line)
        a = line.find(_ACTOR) + _ACTOR_SIZE
        b = a + len(found.actor)
        c = d = b + _ACTION_SIZE + len(found.action)
        if not (line.startswith(_BEGIN) and line.startswith(_ACTION, b) and line[c - 1] == _QUOTE):
            return None
        if line[_BEGIN_SIZE] != _QUOTE or line.find(b"{", 1, a) >= 0:  # the actor of another object
            return None
        actor = line[a:b]
        human = _humans.get(actor, _UNSEEN)
        if human is _UNSEEN:
            human = _human(actor)
        hidden = [] if human is None else [b'"actor":{"id":' + actor[_HUMAN_SIZE:]]
        if size := len(found.content):
            d += _CONTENT_SIZE + size
            if not line.startswith(_CONTENT, c):
                return None
            hidden.append(line[c + 1 : d])
        if found.provenance is not None and found.provenance.params:
            _check_counts(found.provenance.params)
        f = e = len(line) - 1
        before, after, order, user = line[e:], b"", b"", None
        if size := len(found.extensions):
            f = e = e - _EXTENSIONS_SIZE - size
            if not line.startswith(_EXTENSIONS, e):
                return None
            before, after, kept, order, user = _extensions(line, e, found.extensions, known)
            if kept:
                hidden.append(kept)
        if size := len(found.privacy):
            f = _checked_privacy(line, e, found.privacy)
        if not hidden:
            return line
        seal, actor_id, user_id, key_id = means(human, user, found.session_id)
        event_id = line[_BEGIN_SIZE : _BEGIN_SIZE + len(found.event_id)]
        told = (b'{"event_id":', event_id, b',"parts":{', b",".join(hidden), b"}", order, b"}")
        out = [line[:c]] if human is None else [line[:a], _HUMAN, actor_id, b"}", line[b:c]]
        out.append(b',"content":{"text_encrypted":"')
        out += seal(b"".join(told))
        out.append(b'"}')
        if not key_id:
            out += (line[d:e], before, user_id, after)
        elif f == e:
            out += (line[d:e], b',"privacy":{"key_id":', key_id, b"}", before, user_id, after)
        else:
            out += (line[d : e - 1], b',"key_id":', key_id, b"}", before, user_id, after)
        return b"".join(out)
    except (_NotQuickError, msgspec.DecodeError):
        return None


def _human(actor: bytes) -> str | None:
    """A human actor's id; None for other actors."""
    found = _actor(actor)
    human = found.id if found.type == "human" else None
    is_bare = found.name is found.did is msgspec.UNSET and actor.startswith(_HUMAN)
    if human is not None and not (human and is_bare):
        raise _NotQuickError
    if len(_humans) >= _MOST_ACTORS:
        _humans.clear()
    _humans[actor] = human
    return human


def _check_counts(params: dict[str, Any]) -> None:
    for name, value in params.items():
        is_constant = value is None or type(value) is bool
        if not (is_count(name, value) or (is_constant and name.isidentifier())):
            raise _NotQuickError


def _checked_privacy(line: bytes, end: int, privacy: msgspec.Raw) -> int:
    """Where the privacy begins, of which everybody may read all."""
    begin = end - len(_PRIVACY) - len(privacy)
    if not line.startswith(_PRIVACY, begin) or len(privacy) < len(b'{"a":0}'):
        raise _NotQuickError
    _privacy(privacy)
    return begin


def _extensions(
    line: bytes, begin: int, given: msgspec.Raw, known: Tree
) -> tuple[bytes, bytes, bytes, bytes, str | None]:
    """The end of a line before and after the user's id, what is hidden, its order, and the user."""
    inner = begin + _EXTENSIONS_SIZE + 1
    if line.find(b"{", inner) < 0 and line.find(b"[", inner) < 0:
        try:
            user = _scalars(given).user_id
        except msgspec.ValidationError:  # a field of one's own
            user = 0
        if user is None:
            return line[begin:], b"", b"", b"", None
        if type(user) is str:
            member = b'"user_id":"%b"' % user.encode()
            at = line.find(member, inner)
            if at >= 0 and user:
                end = at + len(member)
                kept = b'"extensions":{%b}' % member
                return line[begin : at + len(_USER)], line[end:], kept, b"", user
    members = _members(given)
    public, hidden, user, is_mixed = _divided(members, known)
    if not hidden:
        return line[begin:], b"", b"", b"", None
    order = b',"order":[[["extensions"],%b]]' % _encode(list(members)) if is_mixed else b""
    kept = b'"extensions":{%b}' % b",".join(hidden)
    if not public:
        return b"}", b"", kept, order, None
    if user is None:
        return b"%b{%b}}" % (_EXTENSIONS, b",".join(public)), b"", kept, order, None
    at = public.index(_USER) + 1
    before = b"%b{%b" % (_EXTENSIONS, b",".join(public[:at]))
    return before, b"%b}}" % b"".join([b"," + each for each in public[at:]]), kept, order, user


def _divided(
    members: dict[str, msgspec.Raw], known: Tree
) -> tuple[list[bytes], list[bytes], str | None, bool]:
    """What is public, what is not, the user, and whether their order would be lost."""
    public: list[bytes] = []
    hidden: list[bytes] = []
    user, is_hiding, is_mixed = None, False, False
    for name, value in members.items():
        rule, text = known.get(name), bytes(value)
        if rule is None and not (name.isidentifier() and name.isascii()):
            raise _NotQuickError
        member = b'"%b":%b' % (name.encode(), text)
        if _is_shown(rule, text):
            if name == "user_id" and text != b"null":
                user = _text(text)
                if not user:
                    raise _NotQuickError
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
    return public, hidden, user, is_mixed


def _is_shown(rule: Any, text: bytes) -> bool:
    """Whether everybody may read all of a member."""
    if rule is False:
        return text[0] not in _CONTAINERS
    if rule is True or text[0] in _CONSTANTS:
        return True
    return callable(rule) and rule(msgspec.json.decode(text))


def _halves(name: str, text: bytes, known: Tree) -> tuple[list[bytes], list[bytes]]:
    """What is public of a member, and what is not."""
    value = msgspec.json.decode(text)
    public, protected, order = divided(value, known, counts=False)
    if order:
        raise _NotQuickError
    is_shown = public or not value or name in KEPT_EMPTY
    label = name.encode()
    return (
        [b'"%b":%b' % (label, encode(public))] if is_shown else [],
        [b'"%b":%b' % (label, encode(protected))] if protected else [],
    )
