"""
JSON Web Encryption (RFC 7516) with A256GCM: many short texts under one agreement of keys.

What is the same for all texts is made once, so that a text costs an IV, one pass of AES and its
base64.
"""

from __future__ import annotations

import functools
import hashlib
import os

from binascii import b2a_base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ..errors import MissingDependencyError
from .jwk import JWK, from_base64, to_base64


__all__ = [
    "AGREED",
    "DIRECT",
    "Parts",
    "Seal",
    "agreed",
    "cipher",
    "direct",
    "is_known",
    "parsed",
    "unwrapped",
]

AGREED = "ECDH-ES+A256KW"
DIRECT = "dir"
_ENC = "A256GCM"
_IV_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_NO_TEXT = (b".", b".", b"")
_encode = msgspec.json.encode
_base64 = msgspec.json.Encoder().encode  # faster than binascii, in quotes


class Seal:
    """
    What makes tokens under one content key.

    Args:
        key: 32 bytes.
        header: The protected header, in base64.
        before: All that stands before the IV in a token.
        between: What stands before the text, before the tag, and after it.
    """

    __slots__ = ("_aad", "_after", "_before", "_before_tag", "_before_text", "_encrypt")

    def __init__(
        self, key: bytes, header: str, before: bytes, between: Sequence[bytes] = _NO_TEXT
    ) -> None:
        self._encrypt = cipher(key).encrypt
        self._aad = header.encode()
        self._before = before
        self._before_text, self._before_tag, self._after = between

    def sealed(self, text: bytes) -> bytes:
        """Return the token of a text, as it stands in a JSON string."""
        iv = os.urandom(_IV_BYTES)
        made = self._encrypt(iv, text, self._aad)
        body = (
            b2a_base64(iv, newline=False)
            + self._before_text
            + b2a_base64(made[:-_TAG_BYTES], newline=False).rstrip(b"=")
            + self._before_tag
            + b2a_base64(made[-_TAG_BYTES:], newline=False)[:-2]
        )
        return self._before + body.replace(b"+", b"-").replace(b"/", b"_") + self._after

    def pieces(self, text: bytes) -> tuple[bytes, ...]:
        """Return the token of a JSON text in pieces; spaces are added, so that it takes less time."""
        iv = os.urandom(_IV_BYTES)
        size = len(text)
        if spaces := -size % 3:
            text += b" " * spaces
            size += spaces
        # IV and text end where a group of base64 ends; a quote stands before the first one
        body = _base64(iv + self._encrypt(iv, text, self._aad))
        body = body.replace(b"+", b"-").replace(b"/", b"_")
        end = 17 + size // 3 * 4
        return (
            self._before,
            body[1:17],
            self._before_text,
            body[17:end],
            self._before_tag,
            body[end : end + 22],
            self._after,
        )


def cipher(key: bytes) -> Any:
    """
    Return AES-GCM with a key.

    Raises:
        MissingDependencyError: without `cryptography`.
        ValueError: for a key that is not 32 bytes.
    """
    made = _aes()
    if type(key) is not bytes or len(key) != _KEY_BYTES:
        raise ValueError("a key of another length")
    return made(key)


@functools.cache
def _aes() -> Any:
    """AES-GCM, looked for once: at the end of the interpreter nothing is imported any more."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise MissingDependencyError("cryptography", "crypto") from None
    return AESGCM


def direct(key: bytes, kid: str) -> Seal:
    """Return what seals for those who have this very key."""
    header = to_base64(_encode({"alg": DIRECT, "enc": _ENC, "kid": kid}))
    return Seal(key, header, f"{header}..".encode())


def agreed(recipients: Sequence[JWK], content_type: str | None = None) -> Seal:
    """
    Return what seals for one recipient (compact) or several (general JSON), under a new content key.

    Args:
        recipients: Public keys.
        content_type: `cty` of the header.
    """
    key = os.urandom(_KEY_BYTES)
    common = {"enc": _ENC} if content_type is None else {"enc": _ENC, "cty": content_type}
    wrapped = [_wrapped(recipient, key) for recipient in recipients]
    if len(wrapped) == 1:
        own, encrypted = wrapped[0]
        header = to_base64(_encode({**own, **common}))
        return Seal(key, header, f"{header}.{encrypted}.".encode())
    header = to_base64(_encode(common))
    several = [{"header": own, "encrypted_key": encrypted} for own, encrypted in wrapped]
    token = _encode({"protected": header, "recipients": several})[:-1] + b',"iv":"'
    between = (b'","ciphertext":"', b'","tag":"', b'"}')
    return Seal(key, header, _quoted(token), [_quoted(text) for text in between])


def _quoted(text: bytes) -> bytes:
    """A text as it stands in a JSON string."""
    return _encode(text.decode())[1:-1]


def _wrapped(recipient: JWK, key: bytes) -> tuple[dict[str, Any], str]:
    """The header for one recipient, and the content key that only they can unwrap."""
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap

    from .jwk import generate, public_of

    ephemeral = JWK(generate(recipient.kind))
    public = {
        name: value
        for name, value in public_of(ephemeral.fields).items()
        if name in ("kty", "crv", "x", "y")
    }
    encrypted = aes_key_wrap(_shared(ephemeral.key, recipient.key), key)
    return {"alg": AGREED, "kid": recipient.kid, "epk": public}, to_base64(encrypted)


def _shared(private: Any, public: Any) -> bytes:
    """The key that two sides agree on (RFC 7518, 4.6), to wrap another with."""
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(public, ec.EllipticCurvePublicKey):
        secret = private.exchange(ec.ECDH(), public)
    else:
        secret = private.exchange(public)
    return hashlib.sha256(b"\0\0\0\1" + secret + _AGREED_FOR).digest()


_AGREED_FOR = len(AGREED).to_bytes(4) + AGREED.encode() + bytes(8) + (_KEY_BYTES * 8).to_bytes(4)


class Parts(NamedTuple):
    """
    A token taken apart.

    Attributes:
        recipients: For each the whole header and the encrypted key.
        aad: What is authenticated with the text.
        iv: The IV.
        text: The encrypted text and its tag.
    """

    recipients: list[tuple[dict[str, Any], str]]
    aad: bytes
    iv: bytes
    text: bytes


def parsed(token: str) -> Parts:
    """
    Take a token apart.

    Raises:
        ValueError: for what is no token.
    """
    if token.startswith("{"):
        given = msgspec.json.decode(token, type=_General)
        protected, iv, text, tag = given.protected, given.iv, given.ciphertext, given.tag
        common = {**given.unprotected, **_header(protected)}
        several = given.recipients or [_Recipient(given.header, given.encrypted_key)]
        recipients = [({**each.header, **common}, each.encrypted_key) for each in several]
    else:
        protected, encrypted, iv, text, tag = token.split(".")
        recipients = [(_header(protected), encrypted)]
    code = from_base64(tag)
    if len(code) != _TAG_BYTES:
        raise ValueError("a tag of another length")
    return Parts(recipients, protected.encode(), from_base64(iv), from_base64(text) + code)


class _Recipient(msgspec.Struct):
    header: dict[str, Any] = {}
    encrypted_key: str = ""


class _General(msgspec.Struct):
    protected: str
    iv: str
    ciphertext: str
    tag: str
    recipients: list[_Recipient] = []
    unprotected: dict[str, Any] = {}
    header: dict[str, Any] = {}
    encrypted_key: str = ""


@functools.lru_cache(maxsize=1024)
def _header(protected: str) -> dict[str, Any]:
    """A protected header, most of which are the same for many tokens."""
    return msgspec.json.decode(from_base64(protected), type=dict[str, Any])


def is_known(header: dict[str, Any]) -> bool:
    """Return whether a token is of a kind that is opened here."""
    is_ours = header.get("alg") in (AGREED, DIRECT) and header.get("enc") == _ENC
    return is_ours and "crit" not in header and "zip" not in header


def unwrapped(header: dict[str, Any], encrypted: str, key: JWK) -> bytes:
    """
    Return the content key that was wrapped for a private key.

    Raises:
        ValueError: where it was wrapped for another key, or is damaged.
    """
    from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

    epk = header.get("epk")
    if type(epk) is not dict or epk.get("crv") != key.kind or "d" in epk:
        raise ValueError("a key of another type")
    try:
        public = JWK({"kid": "epk", **epk}).key
        return aes_key_unwrap(_shared(key.key, public), from_base64(encrypted))
    except (InvalidUnwrap, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("another key, or a damaged one") from None
