"""
The file of a log that is written to: what is put on record there, and moving it aside.
"""

from __future__ import annotations

import contextlib
import os

from collections.abc import Iterator
from typing import Any

from ..errors import ConfigurationError, RecordingError
from ..io.files import LogFile, files_of, open_blocks, open_lines
from ..safeguards.chain import link_of
from ..safeguards.jwk import JWK, load_private
from ..storage.appender import Appender, acquire, cause_of, release
from ..storage.chaining import is_chained
from ..storage.options import Evidence


__all__ = ["begin_new", "signing_key", "state"]

_SIGNED = (b'"sign_key":"', b'"signature":"')


def signing_key(log: str, sign_key: str | os.PathLike[str] | None, shared: bool) -> JWK | None:
    """
    Return the key that signs what is put into a log; None for one that is not signed.

    Raises:
        ConfigurationError: for a key that can't be used, and for a log that is signed without one.
    """
    if sign_key is not None:
        return load_private("sign_key", sign_key, ("Ed25519",), shared=shared)
    newest = _newest(log)
    for block in () if newest is None else open_blocks(newest):
        if any(each in block for each in _SIGNED):
            raise ConfigurationError(
                "sign_key", None, f"{log} is signed: give the key that signs it"
            )
    return None


def begin_new(log: str, key: JWK | None) -> None:
    """
    Move the live file aside, its chain concluded, so that it is a rotated one.

    Raises:
        ConfigurationError: if it is in use here with other options.
        RecordingError: if it can't be moved.
    """
    with _appender(log, key) as appender:
        try:
            appender.begin_new()
        except OSError as error:
            raise RecordingError(f"{log} can't be rotated: {cause_of(error)}") from error


def state(log: str, key: JWK | None, notice: dict[str, Any]) -> None:
    """
    Put a notice on record in a log, and bring it to the disk.

    Raises:
        ConfigurationError: if the log is in use here with other options.
        RecordingError: if it can't be written.
    """
    with _appender(log, key) as appender:
        if not appender.state(notice):
            raise RecordingError(f"Not written to {log}")


@contextlib.contextmanager
def _appender(log: str, key: JWK | None) -> Iterator[Appender]:
    """What writes to a log as its own program does, also for who owns its files."""
    like = _owner(log)
    mode = 0o600 if like is None else like.st_mode & 0o777
    try:
        appender = acquire(log, mode, True)
    except ValueError as error:
        raise ConfigurationError("log", log, f"It {error}") from None
    try:
        if appender.links is None and _is_chained(log):
            appender.chain(Evidence(kid=key.kid if key else None, key=key))
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
