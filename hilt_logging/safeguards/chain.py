"""
The links between the lines of a log: made, read, signed and checked, on bytes alone.

A link is the member `integrity` at the very end of a line. It holds the SHA-256 of the line before,
as its bytes are, so that none can be altered, taken away or put elsewhere unnoticed.
"""

from __future__ import annotations

import hashlib
import re

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..events import encode
from .jwk import JWK, from_base64, to_base64


__all__ = [
    "MEMBER",
    "ROOM",
    "UNKNOWN",
    "ZEROS",
    "Link",
    "Seal",
    "Span",
    "compact",
    "has_seal",
    "is_sealed",
    "keys_by_id",
    "kid_of",
    "link",
    "link_of",
    "opened",
    "seal",
    "sha256",
    "spanning",
    "unlinked",
    "unsealed",
    "with_seal",
    "without_integrity",
    "without_seal",
]

ROOM = 400
"""How many bytes a line has to leave for its link, if it is none that is sealed."""
ZEROS = "0" * 64
"""What the first line of a chain has as the digest of the line before, where there is none."""
UNKNOWN = "0" * 32
"""The chain of a line that was written without a look at the file."""
MEMBER = re.compile(
    rb',"integrity":\{"chain":"([0-9a-f]{32})",'
    rb'(?:"unlinked":true|"seq":(0|[1-9][0-9]{0,18}),"prev":"([0-9a-f]{64})"'
    rb'(?:,"span":\{"lines":([1-9][0-9]{0,18}),"sha256":"([0-9a-f]{64})"\})?'
    rb'(?:,"seal":"([0-9a-f]{16})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.([0-9a-f]{64})")?'
    rb'(?:,"digest":"([0-9a-f]{64})"|,"signature":"([\w-]+\.\.[\w-]+)")?)\}\}'
)
"""A link, up to the end of its line; its groups are those of `Link`, from `chain` on."""

_BEGIN = b',"integrity":{"chain":"'
_OWN = b',"integrity":'
_LONGEST = 2048
_SEALS = (b',"digest":"', b',"signature":"')
_SEAL = b',"seal":"'
_NEW = hashlib.sha256()


class Span(NamedTuple):
    """
    What stands between a linked line and the one that was linked before it.

    Attributes:
        lines: How many lines.
        sha256: The digest of the linked line's digest and of all their bytes: see `spanning`.
    """

    lines: int
    sha256: str


class Seal(NamedTuple):
    """
    The seal of a line, by a key that moved on after it.

    Attributes:
        name: The name of the keys.
        number: The number of the seal.
        minute: In which minute it was made, counted from when the first key was.
        code: The authentication code of the line.
    """

    name: str
    number: int
    minute: int
    code: str


class Link(NamedTuple):
    """
    The link of a line.

    Attributes:
        begin: Where it begins in the line, with its comma.
        chain: The id of the chain.
        seq: Its number in the chain; -1 for a line that had to be written unlinked.
        prev: The digest of the line before; empty where it is unlinked.
        span: What stands between it and the linked line before; None where nothing does.
        digest: The digest of the line itself, which a notice has that is not signed.
        signature: The signature of the line, as a detached JWS.
        seal: Its seal, where the log is sealed.
    """

    begin: int
    chain: str
    seq: int
    prev: str
    span: Span | None
    digest: str | None
    signature: str | None
    seal: Seal | None = None

    @property
    def is_unlinked(self) -> bool:
        """Whether the line is one of a chain, but had to be written without the lock."""
        return self.seq < 0


def sha256(line: bytes) -> str:
    """Return the digest of a line, given without its newline."""
    digest = _NEW.copy()  # a quarter faster than a new one
    digest.update(line)
    return digest.hexdigest()


def spanning(head: str) -> Any:
    """
    Return the digest of a span, to which each of its lines is to be added with its newline.

    It begins with the digest of the linked line before them, so that this one is covered, too:
    `prev` is then the digest of the last line between.

    Args:
        head: The digest of the linked line before.
    """
    digest = _NEW.copy()
    digest.update(f"{head}\n".encode())
    return digest


def link(line: bytes, chain: str, seq: int, prev: str, span: Span | None = None) -> bytes:
    """
    Return a line with its link.

    Args:
        line: An object of JSON that is not empty and has no `integrity`.
        chain: The id of the chain.
        seq: Its number in the chain.
        prev: The digest of the line before, whatever that is; `ZEROS` where there is none.
        span: What stands between it and the linked line before; None where nothing does.
    """
    tail = f',"integrity":{{"chain":"{chain}","seq":{seq},"prev":"{prev}"'
    if span is not None:
        tail = f'{tail},"span":{{"lines":{span.lines},"sha256":"{span.sha256}"}}'
    return line[:-1] + tail.encode() + b"}}"


def unlinked(line: bytes, chain: str) -> bytes:
    """Return a line that says that it had to be written without a link."""
    return line[:-1] + f',"integrity":{{"chain":"{chain}","unlinked":true}}}}'.encode()


def link_of(line: bytes) -> Link | None:
    """Return the link at the end of a line, given without its newline; None where there is none."""
    begin = line.rfind(_BEGIN, -_LONGEST)
    found = MEMBER.fullmatch(line, begin) if begin > 0 else None
    if found is None:
        return None
    chain, seq, prev, lines, digest_of_span, *sealed, digest, signature = found.groups()
    return Link(
        begin,
        chain.decode(),
        -1 if seq is None else int(seq),
        "" if prev is None else prev.decode(),
        None if lines is None else Span(int(lines), digest_of_span.decode()),
        None if digest is None else digest.decode(),
        None if signature is None else signature.decode(),
        None if sealed[0] is None else _seal_of(*sealed),
    )


def _seal_of(name: bytes, number: bytes, minute: bytes, code: bytes) -> Seal:
    return Seal(name.decode(), int(number), int(minute), code.decode())


def without_integrity(line: bytes) -> bytes:
    """
    Return a line without a link of its own; what it had is then in `extensions`.

    An event has one that was read from another log.
    """
    if line.rfind(_OWN) < 0:  # takes half the time of `in`
        return line
    event = msgspec.json.decode(line)
    if "integrity" not in event:
        return line
    extensions = event.get("extensions")
    kept = extensions if type(extensions) is dict else {}
    event["extensions"] = {**kept, "original_integrity": event.pop("integrity")}
    return encode(event, ascii=line.isascii())


def seal(line: bytes, key: JWK | None) -> bytes:
    """
    Return a linked line with a signature over all its bytes, or without a key with a digest.

    Args:
        line: The linked line.
        key: A private key for signatures.
    """
    if key is None:
        return line[:-2] + f',"digest":"{sha256(line)}"}}}}'.encode()
    header, _, signature = _signed(line, key).split(".")
    return line[:-2] + f',"signature":"{header}..{signature}"}}}}'.encode()


def has_seal(found: Link) -> bool:
    """Whether a line says that it is sealed, rightly or not."""
    return found.digest is not None or found.signature is not None


def unsealed(line: bytes) -> bytes:
    """Return a linked line as it was before it was sealed."""
    begin = max(line.rfind(each, -_LONGEST) for each in _SEALS)
    return line if begin < 0 else line[:begin] + b"}}"


def with_seal(line: bytes, made: Seal) -> bytes:
    """Return a linked line with its seal, before it is signed."""
    text = f"{made.name}.{made.number}.{made.minute}.{made.code}"
    return line[:-2] + f',"seal":"{text}"}}}}'.encode()


def without_seal(line: bytes) -> bytes:
    """Return a line as it was before it got its seal, and was signed."""
    return line[: line.rfind(_SEAL, -_LONGEST)] + b"}}"


def is_sealed(line: bytes, found: Link, keys: Mapping[str, JWK]) -> bool | None:
    """
    Return whether the digest or the signature of a line is right; None without its key.

    Args:
        line: The line.
        found: Its link, which has one of the two.
        keys: Public keys by their names.
    """
    bare = unsealed(line)
    if found.signature is None:
        return found.digest == sha256(bare)
    header, _, signature = found.signature.partition("..")
    key = _key_of(header, keys)
    return _is_right(header, to_base64(bare), signature, key) if key else None


def compact(payload: Mapping[str, Any], key: JWK) -> str:
    """Return a JWS that holds a JSON object, signed."""
    return _signed(msgspec.json.encode(payload), key)


def opened(token: str, keys: Mapping[str, JWK]) -> dict[str, Any] | None:
    """
    Return what a JWS of `compact` holds; None without its key.

    Args:
        token: The JWS.
        keys: Public keys by their names.

    Raises:
        ValueError: for a signature that is not right, and for what is no such JWS.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no JWS")
    header, payload, signature = parts
    key = _key_of(header, keys)
    if key is None:
        return None
    if not _is_right(header, payload, signature, key):
        raise ValueError("not signed by this key")
    held = msgspec.json.decode(from_base64(payload))
    if type(held) is not dict:
        raise ValueError("holds no object")
    return held


def kid_of(token: str) -> str | None:
    """Return the name of the key that a JWS says it was signed with, detached or not."""
    return _kid(token.partition(".")[0])


def keys_by_id(keys: Iterable[JWK]) -> dict[str, JWK]:
    """Return keys by their names."""
    return {key.kid: key for key in keys}


def _signed(data: bytes, key: JWK) -> str:
    header = to_base64(msgspec.json.encode({"alg": "EdDSA", "kid": key.kid}))
    payload = to_base64(data)
    return f"{header}.{payload}.{to_base64(key.key.sign(f'{header}.{payload}'.encode()))}"


def _kid(header: str) -> str | None:
    try:
        said = msgspec.json.decode(from_base64(header))
    except (ValueError, RecursionError):
        return None
    if type(said) is not dict or said.get("alg") != "EdDSA" or "crit" in said or "b64" in said:
        return None
    kid = said.get("kid")
    return kid if type(kid) is str else None


def _key_of(header: str, keys: Mapping[str, JWK]) -> JWK | None:
    kid = _kid(header)
    return None if kid is None else keys.get(kid)


def _is_right(header: str, payload: str, signature: str, key: JWK) -> bool:
    from cryptography.exceptions import InvalidSignature

    public = key.key.public_key() if key.is_private else key.key
    try:
        public.verify(from_base64(signature), f"{header}.{payload}".encode())
    except (InvalidSignature, ValueError):
        return False
    return True
