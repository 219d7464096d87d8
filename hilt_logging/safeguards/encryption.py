"""
Events of which only those who have a key read what was said, and who said it.

A line keeps its ids, counts and names of models; all the rest stands encrypted in
`content.text_encrypted`. Every line opens by itself.
"""

from __future__ import annotations

import base64
import itertools
import os
import time

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import msgspec

from .._cutting import LEAST_BYTES, cut
from .._diagnostics import Troubles, to_stderr
from ..context import current
from ..errors import ConfigurationError, HILTError
from ..events import encode
from ._division import PERSON, Order, divided, joined, known_extensions, known_with, placed
from ._jwe import DIRECT, Parts, Seal, agreed, cipher, direct, is_known, parsed, unwrapped
from ._people import NOBODY, name_of
from ._slices import Means, MeansOf, quick_line
from .hashing import Tokens
from .jwk import JWK, load_public, thumbprint
from .keys import secret_key
from .privacy import paths_of
from .redaction import FAILED


if TYPE_CHECKING:
    from .keystore import KeyStore


__all__ = ["Opener", "OpeningError", "Sealing", "Subject", "sealing_of"]

SUBJECTS = ("user_id", "actor", "session")

_PERIOD_S = 3600.0
_MOST_EVENTS = 2**20
_MOST_NAMES = 10_000
_MOST_KEYS = 1000
_NAME_BYTES = 16
_ATTEMPTS = 4
_SLACK = 64
_MOST_SHOWN = 100
_sealings: WeakSet[Sealing] = WeakSet()


class Subject(NamedTuple):
    """
    Whose key an event is under.

    Attributes:
        name: `user:alice`, `session:conv-42`, or `log:app` for records of nobody.
        is_user: Whether `extensions.user_id` names it.
        is_actor: Whether the actor is it.
    """

    name: str
    is_user: bool
    is_actor: bool


class _Period:
    """What is the same for an hour in one process: a content key, and names in place of people."""

    def __init__(self, seal: Seal | None) -> None:
        self.seal = seal
        self.until = time.monotonic() + _PERIOD_S
        self.next = itertools.count().__next__
        self.names: dict[str, bytes] = {}


class _Held(NamedTuple):
    """What seals under the key of a subject."""

    key: bytes
    quoted: bytes
    pieces: Callable[[bytes], tuple[bytes, ...]]


class Sealing:
    """
    Encrypts what not everybody may read; see `HILTFormatter` for the options.

    Attributes:
        least_bytes: How long a line must be allowed to be.
    """

    def __init__(
        self,
        recipients: Sequence[JWK] = (),
        store: KeyStore | None = None,
        erasable_by: str | None = None,
        tokens: Tokens | None = None,
        public_fields: Sequence[str] = (),
    ) -> None:
        self._recipients = tuple(recipients)
        self._store = store
        self._erasable_by = erasable_by
        self._tokens = tokens if store is None else None  # a name that is guessed is not erased
        self._known = known_with(public_fields)
        self._quick = known_extensions(self._known, public_fields)
        self._troubles = Troubles(to_stderr)
        self._period: _Period | None = None
        self._held: dict[str, _Held] = {}
        overhead = len(self._new_seal().sealed(b"")) if recipients else 0
        self.least_bytes = -(-(3 * LEAST_BYTES + overhead) // 1024) * 1024
        _sealings.add(self)

    def failures(self) -> dict[str, int]:
        """Return how often an event had to be written without what is protected, by cause."""
        return self._troubles.by_cause()

    def subject_of(self, event: dict[str, Any], is_foreign: bool = False) -> Subject | None:
        """Return whose key an event is under, before anything of it is changed."""
        if self._store is None:
            return None
        people, actor = _people(event), event.get("actor")
        human = name_of(people.get("actor", {}).get("id"))
        user = name_of(people.get("extensions", {}).get("user_id"))
        subject = self._subject(human, user, encode(str(event.get("session_id"))))
        if is_foreign and subject.name.startswith("session:") and current().session_id is None:
            name = actor.get("id") if type(actor) is dict else None
            return Subject(f"log:{name}", False, False)  # such a session has one record
        return subject

    def line(
        self, line: bytes, most: int, subject: Subject | None = None, *, ascii: bool = False
    ) -> bytes:
        """
        Return the line with what is protected encrypted.

        Never raises, and never returns what is protected: without a key, it is left out.

        Args:
            line: The line of a complete event.
            most: How many bytes it may have; at least `least_bytes` less one.
            subject: What `subject_of` said, where the event was changed since.
            ascii: Escape every character that is not ASCII.
        """
        try:
            means = self._means if subject is None else partial(self._means_of, subject)
            made = None if self._quick is None else quick_line(line, self._quick, means)
            if made is None:
                made = self._long_way(line, means)
            if ascii:
                made = encode(msgspec.json.decode(made), ascii=True)
            return made if len(made) <= most else self._within(line, most, subject, ascii, made)
        except Exception as error:
            self._troubles.count(type(error).__name__, "encryption")
            return self._stripped(line, most, ascii)

    def _sealed(self, line: bytes, subject: Subject | None) -> bytes:
        means = self._means if subject is None else partial(self._means_of, subject)
        made = None if self._quick is None else quick_line(line, self._quick, means)
        return self._long_way(line, means) if made is None else made

    def _within(
        self, line: bytes, most: int, subject: Subject | None, ascii: bool, made: bytes
    ) -> bytes:
        """The line of as much of the event as there is room for."""
        room = len(line)
        layers = (self._store is not None) + bool(self._recipients)
        for attempt in range(_ATTEMPTS, 0, -1):
            room -= (len(made) - most) * 3**layers // 4**layers + _SLACK
            room = LEAST_BYTES - 1 if attempt == 1 else max(room, LEAST_BYTES - 1)
            made = self._sealed(cut(line, room), subject)
            if ascii:
                made = encode(msgspec.json.decode(made), ascii=True)
            if len(made) <= most:
                return made
        raise OverflowError("no room for what is encrypted")

    def _long_way(self, line: bytes, means: MeansOf) -> bytes:
        event = msgspec.json.decode(line)
        kept = ("content",) if self._store is None else ("content", "privacy")
        public, protected, order = divided(event, self._known, kept)
        for part, name in (("content", "text_encrypted"), ("privacy", "key_id")):
            shown = public.get(part)
            if type(shown) is dict and name in shown:  # not ours
                public[part] = _without(shown, name)
                protected[part] = {**protected.get(part, {}), name: shown[name]}
                order.append(([part], list(event[part])))
        for part in kept:
            if part in public and type(public[part]) is not dict:  # no place for a token
                protected[part] = public.pop(part)
        people = _people(public)
        if not protected and not people:
            return line
        for name in ("content", "privacy"):
            if event.get(name) == {}:  # or else it would not be told from one that is not there
                protected.setdefault(name, {})
        human = name_of(people.get("actor", {}).get("id"))
        user = name_of(people.get("extensions", {}).get("user_id"))
        session_id = encode(str(event["session_id"]))
        seal, actor_id, user_id, key_id, _ = means(human, user, session_id)
        told = {"event_id": event["event_id"], "parts": joined(protected, people)}
        token = b"".join(seal(encode({**told, "order": order} if order else told)))
        public = joined(public, self._stand_ins(people, actor_id, user_id, key_id))
        key = _unquoted(key_id) if key_id else None
        return encode(_with_token(event, public, _unquoted(b'"%b"' % token), key))

    def _stand_ins(
        self, people: dict[str, Any], actor_id: bytes, user_id: bytes, key_id: bytes
    ) -> dict[str, Any]:
        """What stands in place of each name of a person."""
        out: dict[str, Any] = {}
        for name, value in people.get("actor", {}).items():
            shown = actor_id if name == "id" or actor_id == key_id else b""
            out.setdefault("actor", {})[name] = _unquoted(shown or self._name(name_of(value) or ""))
        if "extensions" in people:
            out["extensions"] = {"user_id": _unquoted(user_id)}
        return out

    def _means(self, human: str | None, user: str | None, session_id: bytes | msgspec.Raw) -> Means:
        """What an event is sealed with, and what stands for those who are named in it."""
        if self._store is not None:
            subject = self._subject(human, user, session_id)
            return self._means_of(subject, human, user, session_id)
        period = self._period
        if period is None or period.next() >= _MOST_EVENTS or time.monotonic() >= period.until:
            period = self._renewed()
        assert period.seal is not None
        return (
            period.seal.pieces,
            b"" if human is None else period.names.get(human) or self._name(human),
            b"" if user is None else period.names.get(user) or self._name(user),
            b"",
            self._name,
        )

    def _means_of(
        self,
        subject: Subject,
        human: str | None,
        user: str | None,
        session_id: bytes | msgspec.Raw,
    ) -> Means:
        assert self._store is not None
        key_id, key = (found := self._store.key_for(subject.name)).id, found.key
        held = self._held.get(key_id)
        if held is None or held.key != key:
            held = self._hold(key_id, key)
        return (
            partial(self._sealed_twice, held.pieces) if self._recipients else held.pieces,
            b"" if human is None else held.quoted if subject.is_actor else self._name(human),
            b"" if user is None else held.quoted if subject.is_user else self._name(user),
            held.quoted,
            None if subject.is_actor else self._name,
        )

    def _sealed_twice(
        self, inner: Callable[[bytes], tuple[bytes, ...]], text: bytes
    ) -> tuple[bytes, ...]:
        outer = self._current().seal
        assert outer is not None
        return (outer.sealed(b"".join(inner(text))),)

    def _subject(
        self, human: str | None, user: str | None, session_id: bytes | msgspec.Raw
    ) -> Subject:
        human = None if human == NOBODY else human or None
        if self._erasable_by == "session":
            return Subject(f"session:{_unquoted(session_id)}", False, False)
        first, other = (human, user) if self._erasable_by == "actor" else (user, human)
        found = first or other
        if not found:
            return Subject(f"session:{_unquoted(session_id)}", False, False)
        return Subject(f"user:{found}", found == user, found == human)

    def _hold(self, key_id: str, key: bytes) -> _Held:
        if len(self._held) >= _MOST_KEYS:
            self._held = {}
        held = _Held(key, encode(key_id), direct(key, key_id).pieces)
        self._held[key_id] = held
        return held

    def _current(self) -> _Period:
        period = self._period
        if period is None or period.next() >= _MOST_EVENTS or time.monotonic() >= period.until:
            return self._renewed()
        return period

    def _renewed(self) -> _Period:
        # two threads may make one each: both are good
        period = self._period = _Period(self._new_seal() if self._recipients else None)
        return period

    def _new_seal(self) -> Seal:
        return agreed(self._recipients, None if self._store is None else _TOKEN)

    def renew(self) -> None:
        """Begin anew with another key than the parent process, in a forked child."""
        self._period = None

    def _name(self, value: str) -> bytes:
        """What stands for the name of a person, in quotes; the same for a while."""
        names = self._current().names
        known = names.get(value)
        if known is not None:
            return known
        if self._tokens is not None:
            made = self._tokens.pseudonym(value)
        else:
            made = f"t-{base64.b32encode(os.urandom(_NAME_BYTES)).decode()[:26].lower()}"
        if len(names) >= _MOST_NAMES:
            names.clear()
        return names.setdefault(value, encode(made))

    def _stripped(self, line: bytes, most: int, ascii: bool) -> bytes:
        """The line without what is protected."""
        public = divided(msgspec.json.decode(line), self._known).public
        people = _people(public)
        event = joined(public, {part: dict.fromkeys(people[part], FAILED) for part in people})
        known = event.get("privacy")
        told = {"redaction_applied": True, "content": "failed"}
        event = placed(event, "privacy", {**known, **told} if type(known) is dict else told)
        return cut(encode(event, ascii=ascii), most, ascii=ascii)


_TOKEN = "JWE"  # noqa: S105 -- the `cty` of a token in a token


def _people(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The names of people in an event, where they stand."""
    out: dict[str, dict[str, Any]] = {}
    actor, extensions = event.get("actor"), event.get("extensions")
    if type(actor) is dict and actor.get("type") == "human":
        named = {name: actor[name] for name in PERSON if name_of(actor.get(name)) is not None}
        if named:
            out["actor"] = named
    if type(extensions) is dict and name_of(extensions.get("user_id")) is not None:
        out["extensions"] = {"user_id": extensions["user_id"]}
    return out


def _with_token(
    event: dict[str, Any], public: dict[str, Any], token: str, key_id: str | None
) -> dict[str, Any]:
    """What is public of an event, with the token and its key's id in their places."""
    parts: dict[str, dict[str, Any]] = {"content": {"text_encrypted": token}}
    if key_id is not None:
        parts["privacy"] = {"key_id": key_id}
    parts = {name: joined(public.get(name) or {}, part) for name, part in parts.items()}
    both = {**public, **parts}
    made = {name: both[name] for name in event if name in both}
    for name, part in parts.items():
        made = placed(made, name, part)
    return made


def _unquoted(text: bytes | msgspec.Raw) -> str:
    value: str = msgspec.json.decode(text, type=str)
    return value


class OpeningError(HILTError):
    """
    An event that can't be opened.

    Attributes:
        reason: `no key` of those that are there opens it; its key was `erased`; it is `damaged`;
            it was `moved` here from another event; it is `foreign`, made by something else.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Plain(msgspec.Struct):
    event_id: Any
    parts: dict[str, Any]
    order: Order = []


class Opener:
    """
    Opens events.

    Args:
        private_keys: The keys of recipients.
        key_store: Where keys of people are.
    """

    def __init__(self, private_keys: Iterable[JWK] = (), key_store: KeyStore | None = None) -> None:
        self._keys = list(private_keys)
        self._store = key_store
        self._opened: dict[str, Any] = {}

    def open(self, event: dict[str, Any]) -> dict[str, Any]:
        """
        Return an event as it was; one in which nothing is encrypted as it is.

        Raises:
            OpeningError: saying why not, without content.
        """
        content = event.get("content")
        token = content.get("text_encrypted") if type(content) is dict else None
        if type(token) is not str:
            return event
        text = self._text(token)
        try:
            plain = msgspec.json.decode(text, type=_Plain)
        except (msgspec.DecodeError, RecursionError):
            raise OpeningError("foreign", "What is encrypted is no part of an event") from None
        if plain.event_id != event.get("event_id"):
            raise OpeningError("moved", "It was encrypted for another event")
        return _whole(event, plain)

    def _text(self, token: str) -> bytes:
        """The text of a token, or of the token in it."""
        try:
            parts = parsed(token)
        except (ValueError, RecursionError):
            raise OpeningError("damaged", "It is no JWE") from None
        header, key = self._key(parts)
        try:
            text: bytes = key.decrypt(parts.iv, parts.text, parts.aad)
        except Exception:  # InvalidTag, or an IV of another length
            raise OpeningError("damaged", "It was changed since it was encrypted") from None
        return text if header.get("cty") != _TOKEN else self._text(text.decode("ascii", "replace"))

    def _key(self, parts: Parts) -> tuple[dict[str, Any], Any]:
        """The header of the recipient who is here, and the content key."""
        failed = OpeningError("foreign", "It is encrypted in a way that is not known here")
        for header, encrypted in parts.recipients:
            if not is_known(header):
                continue
            kid = header.get("kid")
            if header["alg"] == DIRECT:
                return header, self._key_of_person(kid)
            try:
                found = self._opened.get(encrypted) or self._unwrapped(header, encrypted)
            except OpeningError as error:  # another recipient may have a key of the same name
                failed = error
                continue
            if found is not None:
                return header, found
            if failed.reason != "damaged":
                failed = OpeningError("no key", f"The key {str(kid)[:_MOST_SHOWN]!r} is not here")
        raise failed

    def _unwrapped(self, header: dict[str, Any], encrypted: str) -> Any:
        """The content key; None where none of the keys unwraps it."""
        named = [key for key in self._keys if key.kid == header.get("kid")]
        for key in named or self._keys:
            try:
                found = cipher(unwrapped(header, encrypted, key))
            except ValueError:
                continue
            if len(self._opened) >= _MOST_KEYS:
                self._opened.clear()
            self._opened[encrypted] = found
            return found
        if named:
            raise OpeningError("damaged", "What it takes to open it was changed")
        return None

    def _key_of_person(self, kid: object) -> Any:
        if self._store is None:
            raise OpeningError("no key", "It is under the key of a person: give the key store")
        key_id = str(kid)
        key = self._store.key_of(key_id)
        if key is not None:
            try:
                return cipher(key)
            except ValueError:
                raise OpeningError("no key", "What the key store gives is no key") from None
        if self._store.was_erased(key_id):
            raise OpeningError("erased", f"The key {key_id[:_MOST_SHOWN]!r} was erased")
        raise OpeningError("no key", f"The key {key_id[:_MOST_SHOWN]!r} is not in the key store")


def _whole(event: dict[str, Any], plain: _Plain) -> dict[str, Any]:
    """The event of what was public and what was not."""
    public = {**event, "content": _without(event["content"], "text_encrypted")}
    if type(event.get("privacy")) is dict:
        public["privacy"] = _without(event["privacy"], "key_id")
    whole = joined(public, plain.parts, plain.order)
    for name in ("content", "privacy"):
        if whole.get(name) == {} and name not in plain.parts and event.get(name) != {}:
            del whole[name]
    return whole


def _without(part: dict[str, Any], left_out: str) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != left_out}


def sealing_of(
    *,
    encrypt_to: Any = None,
    erasable_by: Any = None,
    key_store: Any = None,
    privacy_key: Any = None,
    public_fields: Any = (),
    shared_key_file: bool = False,
) -> Sealing | None:
    """
    Return what options say; None where nothing is to be encrypted.

    Raises:
        ConfigurationError: for an option with a wrong value, and a key that can't be had.
        MissingDependencyError: without `cryptography`.
    """
    if erasable_by is not None and (
        not isinstance(erasable_by, str) or erasable_by not in SUBJECTS
    ):
        raise ConfigurationError(
            "erasable_by", erasable_by, f"Must be one of: {', '.join(SUBJECTS)}"
        )
    if (erasable_by is None) != (key_store is None):
        given, missing = ("key_store", "erasable_by")[:: 1 if erasable_by is None else -1]
        value = key_store if erasable_by is None else erasable_by
        raise ConfigurationError(given, value, f"Needs {missing} as well")
    recipients = [] if encrypt_to is None else _recipients(encrypt_to)
    if not recipients and erasable_by is None:
        return None
    key = None
    if privacy_key is not None:
        key = secret_key("privacy_key", privacy_key, shared=shared_key_file)
    return Sealing(
        recipients,
        _store(key_store, shared_key_file) if erasable_by is not None else None,
        erasable_by,
        None if key is None else Tokens(key),
        paths_of("public_fields", public_fields),
    )


def _recipients(given: Any) -> list[JWK]:
    """The public keys; a list is read by index, so that `ext://` in it is resolved."""
    is_list = isinstance(given, (list, tuple))
    paths = [given[index] for index in range(len(given))] if is_list else [given]
    if not paths:
        raise ConfigurationError(
            "encrypt_to", given, "Must be the file of a public key, or several"
        )
    found = [load_public("encrypt_to", path, ("P-256", "X25519")) for path in paths]
    return list({thumbprint(key.fields): key for key in found}.values())


def _store(given: Any, shared: bool) -> KeyStore:
    from .keystore import open_store

    cipher(bytes(32))  # that it is installed
    return open_store("key_store", given, shared=shared)


def _renew_all() -> None:
    for sealing in list(_sealings):
        sealing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
