"""
Seals whose key moves on by a one-way function, so that who has it later can't make earlier ones.

Two keys make that of a seal: one moves on with each seal, so that none can be left out, and one with
each minute, so that none can be said to be older than it is. Then they are overwritten. From the
first key, which is kept elsewhere, all of them can be made.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import time

from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigurationError
from ..storage.descriptors import sync_folder
from .chain import Seal, sha256, with_seal, without_seal
from .jwk import from_base64, name_of, to_base64, write_whole


__all__ = [
    "Bond",
    "FirstKey",
    "SealFile",
    "SealKey",
    "UnfitError",
    "generate",
    "load",
    "open_file",
    "write_new",
]

_COUNT, _CLOCK, _MAC, _NAME = (
    b"hilt_logging seal: the key of the numbers",
    b"hilt_logging seal: the key of the minutes",
    b"hilt_logging seal: the key of the code",
    b"hilt_logging seal: the name",
)
_NEXT = hashlib.sha256(b"hilt_logging seal: the next key")
_BYTES = 32
_SLOT = 512
_BEGIN = b'{"hilt_seal":1,'
_MOST_BYTES = 64 * 1024
_MOST_SEALS = 200_000_000
_MOST_MINUTES = 10_000_000
_MINUTE_S = 60
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_MAKE = "Make one with: hilt-log keygen NAME --seal"

_fdatasync = getattr(os, "fdatasync", os.fsync)


class UnfitError(Exception):
    """A file of which no key for a seal can be had; says why."""


class FirstKey:
    """
    What all keys of a log are made from.

    Args:
        secret: Its bytes.
        since: When it was made, as `time.time` counts, in whole seconds.

    Attributes:
        name: The name of all keys that are made from it.
    """

    __slots__ = ("_secret", "name", "since")

    def __init__(self, secret: bytes, since: int) -> None:
        self._secret = secret
        self.since = since
        self.name = _derived(secret, b"%b, %d" % (_NAME, since)).hex()[:16]

    @property
    def key(self) -> SealKey:
        """The key of the first seal, in the first minute."""
        count, clock = (_derived(self._secret, purpose) for purpose in (_COUNT, _CLOCK))
        return SealKey(self.name, self.since, 0, 0, count, clock)

    def text(self) -> bytes:
        """Return it as it is carried away: a JWK (RFC 7517), on one line."""
        fields = {"kty": "oct", "kid": self.name, "use": "sig", "alg": "HS256", "iat": self.since}
        return msgspec.json.encode({**fields, "k": to_base64(self._secret)}) + b"\n"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not pickled")


class SealKey:
    """
    The key of one seal.

    Attributes:
        name: The name of all keys that are made from the same first one.
        since: When that was made.
        number: The number of the seal.
        minute: How many minutes it was made after the first key.
    """

    __slots__ = ("_clock", "_count", "minute", "name", "number", "since")

    def __init__(
        self, name: str, since: int, number: int, minute: int, count: bytes, clock: bytes
    ) -> None:
        self.name = name
        self.since = since
        self.number = number
        self.minute = minute
        self._count = count
        self._clock = clock

    def minute_of(self, when: float) -> int:
        """Return the minute of a time, as `time.time` counts."""
        return int(when - self.since) // _MINUTE_S

    @property
    def time(self) -> float:
        """When its minute began, as `time.time` counts."""
        return self.since + self.minute * _MINUTE_S

    def next(self) -> SealKey:
        """Return the key of the next seal in the same minute."""
        return self._moved(1, 0)

    def at(self, number: int, minute: int) -> SealKey | None:
        """Return the key of a later seal; None for an earlier one, and one that is too far off."""
        more, minutes = number - self.number, minute - self.minute
        if not 0 <= more <= _MOST_SEALS or not 0 <= minutes <= _MOST_MINUTES:
            return None
        return self._moved(more, minutes)

    def _moved(self, more: int, minutes: int) -> SealKey:
        count, clock = _moved(self._count, more), _moved(self._clock, minutes)
        number, minute = self.number + more, self.minute + minutes
        return SealKey(self.name, self.since, number, minute, count, clock)

    def seal(self, line: bytes) -> bytes:
        """Return a linked line with its seal, which covers all bytes of it."""
        code = self._code(sha256(line))
        return with_seal(line, Seal(self.name, self.number, self.minute, code))

    def is_right(self, line: bytes, seal: Seal) -> bool:
        """Return whether the seal of a line was made with this key."""
        return self.has_sealed(sha256(without_seal(line)), seal)

    def has_sealed(self, digest: str, seal: Seal) -> bool:
        """Return whether a seal was made with this key, of a line of which the digest is left."""
        if (seal.name, seal.number, seal.minute) != (self.name, self.number, self.minute):
            return False
        return hmac.compare_digest(self._code(digest), seal.code)

    def is_same(self, other: SealKey) -> bool:
        """Return whether another key is this one."""
        mine, others = (".".join(each.secrets()) for each in (self, other))
        return hmac.compare_digest(mine, others)

    def _code(self, digest: str) -> str:
        data = f"{self.name}.{self.number}.{self.minute}\n{digest}".encode()
        return _derived(_derived(self._count + self._clock, _MAC), data).hex()

    def secrets(self) -> tuple[str, str]:
        """Return its parts as base64url: that of the numbers, and that of the minutes."""
        return to_base64(self._count), to_base64(self._clock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.number} {self.minute}>"

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
        Return the key of the next seal, in the minute of what was put down last, and that.

        Raises:
            OSError: if it can't be read.
            UnfitError: if it is not what it has to be.
        """
        fd = self._opened()
        try:
            _, key, bond = _held(os.pread(fd, 2 * _SLOT, 0))
        finally:
            os.close(fd)
        if getattr(self, "name", key.name) != key.name:
            raise UnfitError("It has got another key")
        return key, bond

    def move_on(self, key: SealKey, bond: Bond) -> None:
        """
        Put a later key in the place of the one that is there, and have it on the disk.

        Args:
            key: The later one.
            bond: What was sealed last.

        Raises:
            OSError: if it can't be written.
            UnfitError: if the file is not what it has to be.
        """
        fd = self._opened()
        try:
            turn = _held(os.pread(fd, 2 * _SLOT, 0))[0]
            for number, slot in ((turn + 1, _slot(turn + 1, key, bond)), (turn, b" " * _SLOT)):
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


def generate() -> FirstKey:
    """Return a new first key."""
    return FirstKey(secrets.token_bytes(_BYTES), int(time.time()))


def write_new(path: str, first: FirstKey, *, force: bool = False) -> None:
    """
    Write the file of a first key, from which it moves on; only its owner can read it.

    Args:
        path: The file.
        first: The key.
        force: Replace a file that is there. A key in it is overwritten in its place, once the new
            one is on the disk.

    Raises:
        ConfigurationError: for a file that is there already, or can't be written.
    """
    try:
        former = _former(path) if force else None
        try:
            data = _slot(0, first.key, Bond()) + b" " * _SLOT
            write_whole(path, data, 0o600, force=force)
            if former is not None:
                _overwrite(path, former)
        finally:
            if former is not None:
                os.close(former)
    except FileExistsError:
        raise ConfigurationError(
            "file", path, "It is there already, and a log may be sealed with it"
        ) from None
    except OSError as error:
        raise ConfigurationError("file", path, f"It can't be written: {error.strerror}") from None


def _former(path: str) -> int | None:
    """The file of a key that is there already, opened; None where there is none."""
    try:
        fd = os.open(path, os.O_RDWR | _FLAGS)
    except (FileNotFoundError, IsADirectoryError):
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode) and _BEGIN in os.read(fd, 2 * _SLOT):
        return fd
    os.close(fd)
    return None


def _overwrite(path: str, fd: int) -> None:
    """Have no key left in a file that another one has replaced, once that is found by its name."""
    if os.name == "posix":
        sync_folder(os.path.dirname(path))
    os.pwrite(fd, b" " * 2 * _SLOT, 0)
    _fdatasync(fd)


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


def load(option: str, path: object) -> FirstKey | SealKey:
    """
    Return the first key of a log; from the file of the host, the key that is there now.

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
            return _held(data)[1]
        return _first(data)
    except UnfitError as error:
        raise ConfigurationError(option, name, str(error)) from None


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, purpose, "sha256")


def _moved(key: bytes, steps: int) -> bytes:
    new = _NEXT.copy
    for _ in range(steps):
        following = new()
        following.update(key)
        key = following.digest()
    return key


class _Slot(msgspec.Struct):
    hilt_seal: int
    turn: int
    name: str
    since: int
    number: int
    minute: int
    log: str
    chain: str
    seq: int
    count: str
    clock: str


_decoder = msgspec.json.Decoder(_Slot)


def _slot(turn: int, key: SealKey, bond: Bond) -> bytes:
    place = key.name, key.since, key.number, key.minute
    text = msgspec.json.encode(_Slot(1, turn, *place, *bond, *key.secrets()))
    return (text + b" " + _check(text)).ljust(_SLOT - 1) + b"\n"


def _check(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _held(data: bytes) -> tuple[int, SealKey, Bond]:
    """The later one of the two keys of a file, and its turn: the other is about to be overwritten."""
    found = [each for begin in (0, _SLOT) if (each := _of_slot(data[begin : begin + _SLOT]))]
    if found:
        return max(found, key=lambda each: each[0])
    if b'"kty"' in data:
        raise UnfitError(f"It is not the file of a key that seals. {_MAKE}")
    raise UnfitError(f"It holds no key that seals, or a damaged one. {_MAKE}")


def _of_slot(slot: bytes) -> tuple[int, SealKey, Bond] | None:
    text, _, check = slot.strip().rpartition(b" ")
    if not text.startswith(_BEGIN) or _check(text) != check:
        return None
    try:
        said = _decoder.decode(text)
        count, clock = from_base64(said.count), from_base64(said.clock)
    except (ValueError, RecursionError):
        return None
    key = SealKey(said.name, said.since, said.number, said.minute, count, clock)
    return said.turn, key, Bond(said.log, said.chain, said.seq)


def _first(data: bytes) -> FirstKey:
    try:
        fields = msgspec.json.decode(data)
        if fields["kty"] != "oct":
            raise UnfitError("It is a key of another type: must be the first key of a seal")
        first = FirstKey(from_base64(fields["k"]), int(fields["iat"]))
        kid = fields["kid"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise UnfitError("It holds no key: must be what hilt-log keygen --seal gave out") from None
    if kid != first.name:
        raise UnfitError("It is a damaged key: its members do not fit")
    return first
