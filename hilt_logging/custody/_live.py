"""
The file of a log that is written to: what is put on record there, and moving it aside.
"""

from __future__ import annotations

import contextlib
import os
import re

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import ConfigurationError, RecordingError
from ..io.files import LogFile, files_of, open_blocks, open_lines
from ..safeguards.chain import link_of
from ..safeguards.jwk import JWK, load_private
from ..safeguards.sealing import SealFile, open_file
from ..storage.appender import Appender
from ..storage.chaining import is_chained
from ..storage.errors import cause_of
from ..storage.options import Evidence
from ..storage.sharing import acquire, release


__all__ = ["Keys", "begin_new", "keys_of", "state"]

_SIGNED = (b'"sign_key":"', b'"signature":"')
_SEALED = re.compile(rb'"seal(_key)?":"[0-9a-f]{16}["\.]')


class Keys(NamedTuple):
    """
    What signs and seals what is put into a log.

    Attributes:
        sign: The key that signs statements; None where none does.
        seal: The file of the key that seals the log; None for one that is not sealed.
        is_signed: Whether the log itself is signed.
    """

    sign: JWK | None = None
    seal: SealFile | None = None
    is_signed: bool = False

    @property
    def of_log(self) -> JWK | None:
        """The key that signs the log; in a sealed log that is not signed, only statements are."""
        return self.sign if self.is_signed or self.seal is None else None


def keys_of(
    log: str,
    sign_key: str | os.PathLike[str] | None,
    shared: bool,
    seal_key: str | os.PathLike[str] | None = None,
) -> Keys:
    """
    Return what signs and seals what is put into a log.

    Raises:
        ConfigurationError: for a key that can't be used, and for a log that is signed or sealed
            without one.
    """
    key = None
    if sign_key is not None:
        key = load_private("sign_key", sign_key, ("Ed25519",), shared=shared)
    seal = None if seal_key is None else open_file("seal_key", seal_key)
    is_signed = is_sealed = False
    newest = _newest(log)
    for block in () if newest is None else open_blocks(newest):
        is_signed = is_signed or any(each in block for each in _SIGNED)
        is_sealed = is_sealed or _SEALED.search(block) is not None
    if is_signed and key is None:
        raise ConfigurationError("sign_key", None, f"{log} is signed: give the key that signs it")
    if is_sealed and seal is None:
        raise ConfigurationError(
            "seal_key", None, f"{log} is sealed: give the file of the key that seals it"
        )
    return Keys(key, seal, is_signed)


def begin_new(log: str, keys: Keys) -> None:
    """
    Move the live file aside, its chain concluded, so that it is a rotated one.

    Raises:
        ConfigurationError: if it is in use here with other options.
        RecordingError: if it can't be moved.
    """
    with _appender(log, keys) as appender:
        try:
            appender.begin_new()
        except OSError as error:
            raise RecordingError(f"{log} can't be rotated: {cause_of(error)}") from error


def state(log: str, keys: Keys, notice: dict[str, Any]) -> None:
    """
    Put a notice on record in a log, and bring it to the disk.

    Raises:
        ConfigurationError: if the log is in use here with other options.
        RecordingError: if it can't be written.
    """
    with _appender(log, keys) as appender:
        if not appender.state(notice):
            raise RecordingError(f"Not written to {log}")


@contextlib.contextmanager
def _appender(log: str, keys: Keys) -> Iterator[Appender]:
    """What writes to a log as its own program does, also for who owns its files."""
    like = _owner(log)
    mode = 0o600 if like is None else like.st_mode & 0o777
    try:
        appender = acquire(log, mode, True)
    except ValueError as error:
        raise ConfigurationError("log", log, f"It {error}") from None
    try:
        if appender.links is None and _is_chained(log):
            key, seal = keys.of_log, keys.seal
            kid, path = key.kid if key else None, seal.path if seal else None
            appender.chain(Evidence(kid=kid, key=key, seal_key=path, seal=seal))
        yield appender
    finally:
        release(appender)
        if like is not None:
            _give_to(log, like)


def _owner(log: str) -> os.stat_result | None:
    try:
        return os.stat(log)
    except FileNotFoundError:
        return None


def _is_chained(log: str) -> bool:
    """Whether the lines of a log are linked, in its live file or where that is empty before it."""
    newest = _newest(log)
    if newest is None or newest.is_live:
        return newest is not None and is_chained(newest.path)
    return any(link_of(line.removesuffix(b"\n")) for line in open_lines(newest))


def _newest(log: str) -> LogFile | None:
    """The last file of a log that is not empty."""
    return next((file for file in reversed(files_of(log)) if os.stat(file.path).st_size), None)


def _give_to(log: str, like: os.stat_result) -> None:
    """Give what was made to the owner of the log, where another user did this."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    folder, name = os.path.split(log)
    for path in (log, *(os.path.join(folder, f".{name}.{each}") for each in ("lock", "chain"))):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_uid != like.st_uid:
                os.chown(path, like.st_uid, like.st_gid)
