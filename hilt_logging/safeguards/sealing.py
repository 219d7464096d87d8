"""
Seals whose key moves on by a one-way function, so that who has it later can't make earlier ones.

Each seal has a number, and a key of its own, from which that of the next one is made; then it is
overwritten. From the first key, which is kept elsewhere, all of them can be made.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat

from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigurationError
from .chain import Seal, with_seal, without_seal
from .jwk import from_base64, name_of, to_base64


__all__ = [
    "Bond",
    "SealFile",
    "SealKey",
    "UnfitError",
    "generate",
    "load",
    "open_file",
    "text_of",
    "write_new",
]

_NEXT, _MAC, _NAME = (
    b"hilt_logging seal: the next key",
    b"hilt_logging seal: the key of the code",
    b"hilt_logging seal: the name",
)
_BYTES = 32
_SLOT = 512
_BEGIN = b'{"hilt_seal":1,'
_MOST_BYTES = 64 * 1024
_FARTHEST = 10_000_000
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_MAKE = "Make one with: hilt-log keygen NAME --seal"

_fdatasync = getattr(os, "fdatasync", os.fsync)


class UnfitError(Exception):
    """A file of which no key for a seal can be had; says why."""


class SealKey:
    """
    The key of one seal.

    Args:
        key: Its bytes.
        number: The number of the seal.
        name: The name of all keys that are made from the same first one; None for the first.
    """

    __slots__ = ("_key", "name", "number")

    def __init__(self, key: bytes, number: int = 0, name: str | None = None) -> None:
        self._key = key
        self.number = number
        self.name = name or _derived(key, _NAME).hex()[:16]

    def next(self) -> SealKey:
        """Return the key of the next seal."""
        return SealKey(_derived(self._key, _NEXT), self.number + 1, self.name)

    def at(self, number: int) -> SealKey | None:
        """Return the key of a later seal; None for an earlier one, and for one that is too far off."""
        if not 0 <= number - self.number <= _FARTHEST:
            return None
        key = self._key
        for _ in range(number - self.number):
            key = _derived(key, _NEXT)
        return SealKey(key, number, self.name)

    def seal(self, line: bytes) -> bytes:
        """Return a linked line with its seal, which covers all bytes of it."""
        return with_seal(line, Seal(self.name, self.number, self._code(line)))

    def is_right(self, line: bytes, seal: Seal) -> bool:
        """Return whether the seal of a line was made with this key."""
        if (seal.name, seal.number) != (self.name, self.number):
            return False
        return hmac.compare_digest(self._code(without_seal(line)), seal.code)

    def is_same(self, other: SealKey) -> bool:
        """Return whether another key is this one."""
        same = hmac.compare_digest(self._key, other._key)
        return same and (self.name, self.number) == (other.name, other.number)

    def _code(self, line: bytes) -> str:
        data = b"%b.%d\n%b" % (self.name.encode(), self.number, line)
        return hmac.digest(_derived(self._key, _MAC), data, "sha256").hex()

    def secret(self) -> str:
        """Return its bytes as base64url."""
        return to_base64(self._key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.number}>"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not pickled")


class Bond(NamedTuple):
    """
    What a key has sealed last.

    Attributes:
        log: A digest of the path of the log; empty where it has sealed nothing yet.
        chain: The chain.
        seq: The number of the sealed line.
    """

    log: str = ""
    chain: str = ""
    seq: int = -1


class SealFile:
    """
    The file of the key that seals next, which is all that is kept of the keys.

    It has room for two: the next key is on the disk before the present one is overwritten, in its
    place. Nobody else may write it at the same time: it belongs to one log, and is used under the
    lock of that.

    Args:
        path: The file.

    Attributes:
        name: The name of its keys, as it was when it was first read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = self.read()[0].name

    def read(self) -> tuple[SealKey, Bond]:
        """
        Return the key, and what was sealed last.

        Raises:
            OSError: if it can't be read.
            UnfitError: if it is not what it has to be.
        """
        fd = self._opened()
        try:
            key, bond = _held(os.pread(fd, 2 * _SLOT, 0))
        finally:
            os.close(fd)
        if getattr(self, "name", key.name) != key.name:
            raise UnfitError("It has got another key")
        return key, bond

    def move_on(self, key: SealKey, bond: Bond) -> None:
        """
        Put the next key in the place of one that has sealed, and have it on the disk.

        Args:
            key: The one that has sealed.
            bond: What it has sealed.

        Raises:
            OSError: if it can't be written.
            UnfitError: if the file is not what it has to be.
        """
        following = key.next()
        fd = self._opened()
        try:
            for number, slot in (
                (following.number, _slot(following, bond)),
                (key.number, b" " * _SLOT),
            ):
                if os.pwrite(fd, slot, number % 2 * _SLOT) != _SLOT:
                    raise OSError("written in part")
                _fdatasync(fd)
        finally:
            os.close(fd)

    def _opened(self) -> int:
        fd = os.open(self.path, os.O_RDWR | _FLAGS)
        try:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise UnfitError("It is no regular file")
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UnfitError(f"Others can read or write it: run chmod 600 {self.path}")
        except BaseException:
            os.close(fd)
            raise
        return fd


def generate() -> SealKey:
    """Return a new first key."""
    return SealKey(secrets.token_bytes(_BYTES))


def write_new(path: str, key: SealKey, *, force: bool = False) -> None:
    """
    Write the file of a first key, from which it moves on; only its owner can read it.

    Args:
        path: The file.
        key: The key.
        force: Replace a file that is there.

    Raises:
        ConfigurationError: for a file that is there already, or can't be written.
    """
    made = f"{path}.{os.getpid()}.part" if force else path
    try:
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(_slot(key, Bond()) + b" " * _SLOT)
                file.flush()
                os.fsync(file.fileno())
            if force:
                os.replace(made, path)
        except BaseException:
            os.unlink(made)
            raise
    except FileExistsError:
        raise ConfigurationError(
            "file", path, "It is there already, and a log may be sealed with it"
        ) from None
    except OSError as error:
        raise ConfigurationError("file", path, f"It can't be written: {error.strerror}") from None


def text_of(key: SealKey) -> bytes:
    """Return a first key as it is carried away: a JWK (RFC 7517), on one line."""
    fields = {"kty": "oct", "kid": key.name, "use": "sig", "alg": "HS256", "k": key.secret()}
    return msgspec.json.encode(fields) + b"\n"


def open_file(option: str, path: object) -> SealFile:
    """
    Return the file of the key that seals a log.

    Raises:
        ConfigurationError: for a file that is missing, is none, or that others can read; the key
            never stands in one.
    """
    name = os.path.realpath(name_of(option, path, "the key that seals"))
    try:
        return SealFile(name)
    except OSError as error:
        reason = f"It can't be read and written: {error.strerror}. {_MAKE}"
    except UnfitError as error:
        reason = str(error)
    raise ConfigurationError(option, name, reason)


def load(option: str, path: object) -> tuple[SealKey, bool]:
    """
    Return a key by which seals are checked, and whether it is that of the host, which moves on.

    Raises:
        ConfigurationError: for a file that is missing, or holds no such key.
    """
    name = name_of(option, path, "the first key of a seal")
    try:
        fd = os.open(name, os.O_RDONLY | _FLAGS)
        try:
            is_file = stat.S_ISREG(os.fstat(fd).st_mode)
            data = os.read(fd, _MOST_BYTES) if is_file else b""
        finally:
            os.close(fd)
    except OSError as error:
        raise ConfigurationError(option, name, f"It can't be read: {error.strerror}") from None
    try:
        if _BEGIN in data[: 2 * _SLOT]:
            return _held(data)[0], True
        return _first(data), False
    except UnfitError as error:
        raise ConfigurationError(option, name, str(error)) from None


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, purpose, "sha256")


def _slot(key: SealKey, bond: Bond) -> bytes:
    said = {"hilt_seal": 1, "name": key.name, "number": key.number, **bond._asdict()}
    text = msgspec.json.encode({**said, "key": key.secret()})
    return (text + b" " + _check(text)).ljust(_SLOT - 1) + b"\n"


def _check(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


class _Slot(msgspec.Struct):
    name: str
    number: int
    log: str
    chain: str
    seq: int
    key: str


_decoder = msgspec.json.Decoder(_Slot)


def _held(data: bytes) -> tuple[SealKey, Bond]:
    """The later one of the two keys of a file: the other one is about to be overwritten."""
    found = [each for begin in (0, _SLOT) if (each := _of_slot(data[begin : begin + _SLOT]))]
    if found:
        return max(found, key=lambda each: each[0].number)
    if b'"kty"' in data:
        raise UnfitError(f"It is not the file of a key that seals. {_MAKE}")
    raise UnfitError(f"It holds no key that seals, or a damaged one. {_MAKE}")


def _of_slot(slot: bytes) -> tuple[SealKey, Bond] | None:
    text, _, check = slot.strip().rpartition(b" ")
    if not text.startswith(_BEGIN) or _check(text) != check:
        return None
    try:
        said = _decoder.decode(text)
        key = from_base64(said.key)
    except (ValueError, RecursionError):
        return None
    return SealKey(key, said.number, said.name), Bond(said.log, said.chain, said.seq)


def _first(data: bytes) -> SealKey:
    try:
        fields = msgspec.json.decode(data)
        if fields["kty"] != "oct":
            raise UnfitError("It is a key of another type: must be the first key of a seal")
        key = SealKey(from_base64(fields["k"]))
        kid = fields["kid"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise UnfitError("It holds no key: must be what hilt-log keygen --seal gave out") from None
    if kid != key.name:
        raise UnfitError("It is a damaged key: its members do not fit")
    return key
