"""
The short way to seal an event: its line is cut into slices, and what is protected is not decoded.

The fields of a line stand in the order of the format, and quotes within its strings are escaped: so
a field is found by its name in quotes. Whatever is not as expected (an own field at the top, the
name of a person, a value of another type) takes the long way through `divided`, with the same
result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

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
    timestamp: msgspec.Raw
    session_id: msgspec.Raw
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


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    text_hash: str = ""
    media: list[msgspec.Raw] = []
    messages: list[msgspec.Raw] = []


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
_content = msgspec.json.Decoder(_Content).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode

_BEGIN = b'"hilt_version":"%b","event_id":' % HILT_VERSION.encode()
_ACTOR, _ACTION, _CONTENT = b',"actor":', b',"action":', b',"content":'
_PRIVACY, _EXTENSIONS = b',"privacy":', b',"extensions":'
_HUMAN = b'{"type":"human","id":'
_QUOTE, _BRACE, _BRACKET = b'"{['
_CONTAINERS, _CONSTANTS = b"{[", b"tfn"
_USER = b'"user_id":'
_WITHHELD = b',"privacy":{"content":"none","redaction_applied":true}'
_MOST_KNOWN = 1000
_EMPTY_SIZE = len(b"{}")
_BEGIN_SIZE, _ACTOR_SIZE, _ACTION_SIZE = len(_BEGIN), len(_ACTOR), len(_ACTION)
_CONTENT_SIZE, _EXTENSIONS_SIZE, _HUMAN_SIZE = len(_CONTENT), len(_EXTENSIONS), len(_HUMAN)
_BEFORE_ACTOR = len(b'{%b,"timestamp":,"session_id":%b' % (_BEGIN, _ACTOR))


Means = tuple[
    Callable[[bytes], tuple[bytes, ...]], bytes, bytes, bytes, Callable[[str], bytes] | None
]
"""
What one event is sealed with: what makes the token of a text, as it stands in a JSON string, in
pieces; in quotes what stands for a human actor, what stands for the user and the id of the subject's
key; and what gives that for other names of the actor, where it is not the same.
"""
MeansOf = Callable[[str | None, str | None, bytes | msgspec.Raw], Means]
"""Returns that, given a human actor's id, the user's id and the session's, this in quotes."""


class _NotQuickError(Exception):
    """The line takes the long way."""


def quick_line(line: bytes, known: Tree, means: MeansOf | None) -> bytes | None:
    """
    Return the line with what is protected sealed, or left out; None if it takes the long way.

    Args:
        line: The line of a complete event.
        known: What everybody may read of the extensions.
        means: Tells what to seal with; None to leave out what `content="none"` does.
    """
    try:
        found = _line(line)
        a = _BEFORE_ACTOR + len(found.event_id) + len(found.timestamp) + len(found.session_id)
        b = a + len(found.actor)
        c = d = b + _ACTION_SIZE + len(found.action)
        f = e = len(line) - 1
        head = line[1:a]  # slices, as methods that are told where to look take twice the time
        if (
            head[:_BEGIN_SIZE] != _BEGIN
            or head[-_ACTOR_SIZE:] != _ACTOR
            or line[b : b + _ACTION_SIZE] != _ACTION
            or _BRACE in head  # it may be the actor of another object
            or _BRACKET in head
            or (found.content and line[c : c + _CONTENT_SIZE] != _CONTENT)
        ):
            return None
        if found.provenance is not None and found.provenance.params:
            _check_counts(found.provenance.params)
        human, person, names = _people.get(actor := line[a:b]) or _person(actor)
        if means is None:
            return _withheld(line, found, c, known)
        hidden = [] if human is None else [person]
        if found.content:
            d += _CONTENT_SIZE + len(found.content)
            hidden.append(line[c + 1 : d])
        before, after, order, user = b"}", b"", b"", None
        if found.extensions:
            f = e = e - _EXTENSIONS_SIZE - len(found.extensions)
            before, after, kept, order, user = _extensions(line[e:], found.extensions, known)
            if kept:
                hidden.append(kept)
        if found.privacy:
            f = _checked_privacy(line, e, found.privacy)
        if not hidden:
            return line
        seal, actor_id, user_id, key_id, name = means(human, user, found.session_id)
        event_id = found.event_id
        told = (b'{"event_id":', event_id, b',"parts":{', b",".join(hidden), b"}", order, b"}")
        if human is None:
            out = [line[:c]]
        else:
            out = [line[:a], _HUMAN, actor_id, b"}", line[b:c]]
            if names:
                out[3] = _named(names, actor_id, name)
        out.append(b',"content":{"text_encrypted":"')
        out += seal(b"".join(told))
        if not key_id:
            out += (b'"}', line[d:e], before, user_id, after)
        elif f == e:
            named = (b',"privacy":{"key_id":', key_id, b"}")
            out += (b'"}', line[d:e], *named, before, user_id, after)
        else:
            out += (b'"}', line[d : e - 1], b',"key_id":', key_id, b"}", before, user_id, after)
        return b"".join(out)
    except (_NotQuickError, msgspec.DecodeError):
        return None


def _withheld(line: bytes, found: _Line, begin: int, known: Tree) -> bytes | None:
    """The line without what was said, whose head ends there."""
    if found.privacy:
        return None
    middle, end = begin, len(line) - 1
    if found.content:
        middle += _CONTENT_SIZE + len(found.content)
        if len(found.content) == _EMPTY_SIZE:
            return None
        _content(found.content)
    is_less, last = middle > begin, line[end:]
    if found.extensions:
        end -= _EXTENSIONS_SIZE + len(found.extensions)
        last = line[end:]
        if _plain_of(last, found.extensions) is None:
            public, hidden, user, _ = _divided(_members(found.extensions), known)
            is_less |= len(hidden) > bool(user)
            last = _joined([each + user if each == _USER else each for each in public])
    return b"".join((line[:begin], line[middle:end], _WITHHELD, last)) if is_less else line


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Person = tuple[str | None, bytes, dict[str, str]]
_people: dict[bytes, _Person] = {}
_users: dict[str, tuple[bytes, bytes]] = {}


def _person(actor: bytes) -> _Person:
    """A human actor's id, None for other actors, the member that is protected, and other names."""
    found = _actor(actor)
    if found.type != "human":
        return _remember(_people, actor, (None, b"", {}))
    given = {"name": found.name, "did": found.did}
    names = {name: value for name, value in given.items() if type(value) is str}
    whole = {"type": "human", "id": found.id, **names}
    if not all(whole.values()) or encode(whole) != actor:
        raise _NotQuickError
    return _remember(_people, actor, (found.id, b'"actor":{"id":' + actor[_HUMAN_SIZE:], names))


def _named(names: dict[str, str], actor_id: bytes, name: Callable[[str], bytes] | None) -> bytes:
    """The end of a human actor, with what stands for these names."""
    shown = [
        b',"%b":%b' % (each.encode(), actor_id if name is None else name(value))
        for each, value in names.items()
    ]
    return b"".join(shown) + b"}"


def _user(user: str) -> tuple[bytes, bytes]:
    """A user's id in quotes, and the member that is protected."""
    quoted = b'"%b"' % user.encode()
    return _remember(_users, user, (quoted, b'"extensions":{%b%b}' % (_USER, quoted)))


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = value
    return value


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
    end: bytes, given: msgspec.Raw, known: Tree
) -> tuple[bytes, bytes, bytes, bytes, str | None]:
    """The end of a line before and after the user's id, what is hidden, its order, and the user."""
    plain = _plain_of(end, given)
    if plain is not None:
        user = plain.user_id
        if user is None:
            return end, b"", b"", b"", None
        if type(user) is str and user:
            quoted, kept = _users.get(user) or _user(user)
            before, name, after = end.partition(_USER)
            if after[: len(quoted)] == quoted:
                return before + name, after[len(quoted) :], kept, b"", user
    members = _members(given)
    public, hidden, quoted, is_mixed = _divided(members, known)
    if not hidden:
        return end, b"", b"", b"", None
    order = b',"order":[[["extensions"],%b]]' % _encode(list(members)) if is_mixed else b""
    kept = b'"extensions":{%b}' % b",".join(hidden)
    if not public:
        return b"}", b"", kept, order, None
    if not quoted:
        return _joined(public), b"", kept, order, None
    at = public.index(_USER) + 1
    before = b"%b{%b" % (_EXTENSIONS, b",".join(public[:at]))
    after = b"%b}}" % b"".join([b"," + each for each in public[at:]])
    return before, after, kept, order, _text(quoted)


def _plain_of(end: bytes, given: msgspec.Raw) -> Any:
    """The extensions, if they are texts and numbers that everybody may read; else None."""
    if end[:_EXTENSIONS_SIZE] != _EXTENSIONS:
        raise _NotQuickError
    inner = end[_EXTENSIONS_SIZE + 1 :]
    if _BRACE in inner or _BRACKET in inner:
        return None
    try:
        return _scalars(given)
    except msgspec.ValidationError:  # a field of one's own
        return None


def _joined(public: list[bytes]) -> bytes:
    """The end of a line with these extensions."""
    return b"%b{%b}}" % (_EXTENSIONS, b",".join(public)) if public else b"}"


def _divided(
    members: dict[str, msgspec.Raw], known: Tree
) -> tuple[list[bytes], list[bytes], bytes, bool]:
    """What is public, what is not, the user in quotes, and whether their order would be lost."""
    public: list[bytes] = []
    hidden: list[bytes] = []
    user, is_hiding, is_mixed = b"", False, False
    for name, value in members.items():
        rule, text = known.get(name), bytes(value)
        if rule is None and not (name.isidentifier() and name.isascii()):
            raise _NotQuickError
        member = b'"%b":%b' % (name.encode(), text)
        if _is_shown(rule, text):
            if name == "user_id" and text != b"null":
                if len(text) <= len(b'""') or text[0] != _QUOTE:
                    raise _NotQuickError
                user, member = text, _USER
                hidden.append(_USER + text)
            public.append(member)
            is_mixed |= is_hiding
        elif type(rule) is dict and text[0] == _BRACE:
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
