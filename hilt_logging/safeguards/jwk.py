"""
Keys as files that other programs read too: JSON Web Keys (RFC 7517) on P-256, X25519 and Ed25519.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec

from ..errors import ConfigurationError, MissingDependencyError


__all__ = [
    "JWK",
    "KINDS",
    "generate",
    "load_private",
    "load_public",
    "name_of",
    "public_of",
    "write_new",
    "write_whole",
]

KINDS = ("P-256", "X25519", "Ed25519")
"""P-256 and X25519 are for encryption, Ed25519 is for signatures."""

_TYPE = {"P-256": "EC", "X25519": "OKP", "Ed25519": "OKP"}
_USE = {"P-256": "enc", "X25519": "enc", "Ed25519": "sig"}
_ALGORITHM = {"P-256": "ECDH-ES+A256KW", "X25519": "ECDH-ES+A256KW", "Ed25519": "EdDSA"}
_PUBLIC = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_SECRET = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_DESCRIPTION = ("kid", "use", "alg", "key_ops")
_BYTES = 32
_MOST_BYTES = 64 * 1024
_SHARED = {"sign_key": "shared_sign_key"}
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_KEY_ITSELF = re.compile(r"[{\n]|^-----BEGIN|^[\w+=-]{40,}$")  # JSON, PEM or base64


class JWK:
    """
    One key.

    Args:
        fields: Its members, which were found in order.

    Attributes:
        kind: One of `KINDS`.
        kid: Its name: what the file says, else its thumbprint (RFC 7638).
        is_private: Whether it can open or sign.
        fields: Its members; secret where it is private.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.kind: str = fields["crv"]
        self.kid: str = fields.get("kid") or thumbprint(fields)
        self.is_private = "d" in fields

    def public(self) -> dict[str, Any]:
        """Return its public members, with its name."""
        return {**public_of(self.fields), "kid": self.kid}

    @cached_property
    def key(self) -> Any:
        """The key as an object of `cryptography`, private where this one is."""
        return _object(self.fields)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.kid}>"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not pickled")


def generate(kind: str = "P-256") -> dict[str, Any]:
    """
    Return a new private key.

    Args:
        kind: One of `KINDS`.

    Raises:
        ConfigurationError: for any other kind.
        MissingDependencyError: without `cryptography`.
    """
    if kind not in KINDS:
        raise ConfigurationError("type of a key", kind, f"Must be one of: {', '.join(KINDS)}")
    fields = {"kty": _TYPE[kind], "crv": kind, **_members(_new(kind), kind)}
    secret = fields.pop("d")
    named = {"kid": thumbprint(fields), "use": _USE[kind], "alg": _ALGORITHM[kind]}
    return {**fields, "d": secret, **named}


def public_of(jwk: dict[str, Any]) -> dict[str, Any]:
    """Return a key without what is secret of it."""
    kept = (*_PUBLIC[jwk["kty"]], *_DESCRIPTION[:3])
    return {name: value for name, value in jwk.items() if name in kept}


def thumbprint(jwk: dict[str, Any]) -> str:
    """Return the digest of a key's public members (RFC 7638), which is its usual name."""
    members = {name: jwk[name] for name in _PUBLIC[jwk["kty"]]}
    return to_base64(hashlib.sha256(msgspec.json.encode(members)).digest())


def load_public(option: str, path: object, kinds: Iterable[str]) -> JWK:
    """
    Return a public key from its file.

    Args:
        option: The name of the option, for errors.
        path: The file.
        kinds: Which of `KINDS` are wanted.

    Raises:
        ConfigurationError: for a file that is missing or no such key, and for a private key: who
            only encrypts or verifies must not hold it.
        MissingDependencyError: without `cryptography`.
    """
    name = name_of(option, path)
    fields = _read(option, name, None)
    if any(member in fields for member in _SECRET):
        raise ConfigurationError(
            option,
            name,
            "It is a private key, which must not be kept here: give the public one (NAME.pub.jwk)",
        )
    return _checked(option, name, fields, tuple(kinds))


def load_private(option: str, path: object, kinds: Iterable[str], *, shared: bool = False) -> JWK:
    """
    Return a private key from its file.

    Args:
        option: The name of the option, for errors; the key never stands in one.
        path: The file.
        kinds: Which of `KINDS` are wanted.
        shared: Whether others than the file's owner may be able to read it.

    Raises:
        ConfigurationError: for a file that is missing, is no such key, or that others can read.
        MissingDependencyError: without `cryptography`.
    """
    name = name_of(option, path)
    fields = _read(option, name, None if shared else _SHARED.get(option, "shared_key_file"))
    if "d" not in fields:
        raise ConfigurationError(
            option, name, "It is no private key: give the private one (NAME.key.jwk)"
        )
    return _checked(option, name, fields, tuple(kinds))


def write_new(path: str | os.PathLike[str], jwk: dict[str, Any], *, force: bool = False) -> None:
    """
    Write a key to a file; one that is private can be read by its owner alone.

    Args:
        path: The file.
        jwk: The key.
        force: Replace a file that is there, all at once.

    Raises:
        ConfigurationError: for a file that is there already or can't be written.
    """
    name = os.fspath(path)
    data = msgspec.json.format(msgspec.json.encode(jwk), indent=2) + b"\n"
    try:
        write_whole(name, data, 0o600 if "d" in jwk else 0o644, force=force)
    except FileExistsError:
        raise ConfigurationError(
            "file", name, "It is there already, and a key that is lost opens nothing any more"
        ) from None
    except OSError as error:
        raise ConfigurationError("file", name, f"It can't be written: {_why(error)}") from None


def write_whole(path: str, data: bytes, mode: int, *, force: bool) -> None:
    """
    Write a file that is on the disk when it is there, and is there whole or not at all.

    Args:
        path: The file.
        data: What is in it.
        mode: Its mode bits.
        force: Replace a file that is there.

    Raises:
        OSError: if it can't be written, or is there already.
    """
    made = f"{path}.{os.getpid()}.part" if force else path
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(made, path)
    except BaseException:
        os.unlink(made)
        raise


def name_of(option: str, path: object, held: str = "a key (JWK)") -> str:
    """
    Return the name of a file with a key.

    Args:
        option: The name of the option, for errors.
        path: What was given; where that is a key itself, it does not stand in the error.
        held: What the file has to hold.

    Raises:
        ConfigurationError: for what is no name of a file.
    """
    name = path if isinstance(path, str) else None
    if isinstance(path, os.PathLike):
        name = os.fspath(path)
    if not isinstance(name, str) or not name or name.startswith(("ext://", "cfg://")):
        shown = path if name is not None or path is None else type(path).__name__
        raise ConfigurationError(option, shown, f"Must be the name of a file with {held}")
    if _KEY_ITSELF.search(name):
        raise ConfigurationError(
            option, "(a key)", f"Must be the name of a file with {held}, not the key itself"
        )
    return os.path.expanduser(name)


def to_base64(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: str | bytes) -> bytes:
    """
    Return the bytes of base64url without padding.

    Raises:
        ValueError: for anything else.
    """
    data = text.encode() if type(text) is str else bytes(text)  # type: ignore[arg-type]
    decoded = base64.b64decode(data + b"=" * (-len(data) % 4), b"-_", validate=True)
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != data:
        raise ValueError("not base64url")
    return decoded


def _read(option: str, name: str, remedy: str | None) -> dict[str, Any]:
    """The members that are in a file; with a remedy, a secret only where no others can read it."""
    try:
        with open(name, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            option, name, f"It can't be read: {_why(error)}. Make keys with: hilt-log keygen"
        ) from None
    try:
        fields = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        fields = None
    if type(fields) is not dict or type(fields.get("kty")) is not str:
        raise ConfigurationError(
            option, name, "It holds no key: must be one JWK. Make keys with: hilt-log keygen"
        )
    if remedy is not None and "d" in fields and os.name == "posix" and mode & _OTHERS:
        raise ConfigurationError(
            option, name, f"Others can read it: run chmod 600 {name}, or set {remedy}"
        )
    return fields


def _checked(option: str, name: str, fields: dict[str, Any], kinds: tuple[str, ...]) -> JWK:
    kind = fields.get("crv")
    if kind not in kinds or fields["kty"] != _TYPE[kind]:
        raise ConfigurationError(
            option,
            name,
            f"It is a key of another type: must be {' or '.join(kinds)}. "
            f"Make one with: hilt-log keygen --type {kinds[0]}",
        )
    if fields.get("use", _USE[kind]) != _USE[kind] or type(fields.get("kid", "")) is not str:
        raise ConfigurationError(option, name, "It is a key for something else")
    found = JWK({**fields}) if _is_sound(fields) else None
    if found is None:
        raise ConfigurationError(option, name, "It is a damaged key: its members do not fit")
    return found


def _is_sound(fields: dict[str, Any]) -> bool:
    """Whether it is a point of its curve, and what is private of it fits what is public."""
    _library()
    try:
        made = _object(fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    members = _members(made, fields["crv"])
    return all(members[name] == fields[name] for name in members)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _library() -> Any:
    """
    What `cryptography` has for the three curves.

    Raises:
        MissingDependencyError: where it is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
    except ImportError:
        raise MissingDependencyError("cryptography", "crypto") from None
    return ec, ed25519, x25519


def _new(kind: str) -> Any:
    ec, ed25519, x25519 = _library()
    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    made = x25519.X25519PrivateKey if kind == "X25519" else ed25519.Ed25519PrivateKey
    return made.generate()


def _object(fields: dict[str, Any]) -> Any:
    """The key as an object of `cryptography`."""
    ec, ed25519, x25519 = _library()
    values = {name: from_base64(fields[name]) for name in ("x", "y", "d") if name in fields}
    if any(len(value) != _BYTES for value in values.values()):
        raise ValueError("a member of another length")
    if fields["crv"] == "P-256":
        if "d" in values:
            return ec.derive_private_key(int.from_bytes(values["d"]), ec.SECP256R1())
        point = b"\x04" + values["x"] + values["y"]
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    if fields["crv"] == "X25519":
        private, public = x25519.X25519PrivateKey, x25519.X25519PublicKey
    else:
        private, public = ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey
    if "d" in values:
        return private.from_private_bytes(values["d"])
    return public.from_public_bytes(values["x"])


def _members(key: Any, kind: str) -> dict[str, str]:
    """The members of a key, from an object of `cryptography`."""
    is_private = hasattr(key, "public_key")
    public = key.public_key() if is_private else key
    if kind == "P-256":
        numbers = public.public_numbers()
        out = {"x": _number(numbers.x), "y": _number(numbers.y)}
        return {**out, "d": _number(key.private_numbers().private_value)} if is_private else out
    out = {"x": to_base64(public.public_bytes_raw())}
    return {**out, "d": to_base64(key.private_bytes_raw())} if is_private else out


def _number(value: int) -> str:
    return to_base64(value.to_bytes(_BYTES))
