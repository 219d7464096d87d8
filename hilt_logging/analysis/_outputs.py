"""
Files and folders that appear whole, or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os

from collections.abc import Iterable, Iterator

from .._unfinished import remove, undone
from ..errors import ConfigurationError, HILTError


__all__ = ["demand_other", "named_where_full", "whole"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OLD = ".old"


def demand_other(target: str, read: Iterable[str]) -> None:
    """
    Make sure that what is written takes the place of nothing that is read, nor of a folder with it.

    Raises:
        ConfigurationError: if it would.
    """
    place = os.path.realpath(target)
    if any(f"{os.path.realpath(path)}{os.sep}".startswith(f"{place}{os.sep}") for path in read):
        raise ConfigurationError("output", target, "Give another: it is what is read")


@contextlib.contextmanager
def whole(path: str, *, force: bool = False, folder: bool = False) -> Iterator[str]:
    """
    Give a path to write to, which is given its name when the block ends well, and is gone if not.

    Only its owner can read it.

    Args:
        path: The file or folder that is wanted.
        force: Take the place of what is there.
        folder: Whether it is a folder.

    Raises:
        ConfigurationError: for an output that is there, or can't be.
    """
    target = os.path.realpath(path)
    if os.path.lexists(target) and (not force or os.path.isdir(target) != folder):
        raise ConfigurationError("output", path, "It is there already: --force takes its place")
    if os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)):
        raise ConfigurationError(
            "output", path, "Give a file: pipes and devices are never replaced"
        )
    room = f"{target}.{os.urandom(4).hex()}.part"  # in it, nobody else reads what is written
    part = os.path.join(room, os.path.basename(target))
    with undone(functools.partial(_undo, room, part, target)):
        try:
            os.mkdir(room, 0o700)
        except OSError as error:
            why = f"It can't be made: {error.strerror}"
            raise ConfigurationError("output", path, why) from None
        with named_where_full(path):
            if folder:
                os.mkdir(part)
            yield part
            for each in _files(part):
                _to_disk(each)
            _put(part, target, path, force)


@contextlib.contextmanager
def named_where_full(path: str) -> Iterator[None]:
    """
    Raise what a full disk makes of writing as an OSError that names the output.

    Args:
        path: The name that was asked for, in place of the one that it has until it is whole.
    """
    try:
        yield
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else _code_of(error)
        if code not in _FULL:
            raise
        raise OSError(code, os.strerror(code), path) from None


def _code_of(error: Exception) -> int | None:
    """SQLite and DuckDB have errors of their own."""
    is_full = str(error).endswith((os.strerror(errno.ENOSPC), "disk is full"))
    return errno.ENOSPC if is_full and not isinstance(error, HILTError) else None


def _files(part: str) -> Iterator[str]:
    if not os.path.isdir(part):
        os.chmod(part, 0o600)
        yield part
        return
    os.chmod(part, 0o700)
    for folder, folders, names in os.walk(part):
        for name in folders:
            os.chmod(os.path.join(folder, name), 0o700)
        for name in names:
            path = os.path.join(folder, name)
            os.chmod(path, 0o600)
            yield path


def _to_disk(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _put(part: str, target: str, shown: str, force: bool) -> None:
    if force and os.path.isdir(part) and os.path.isdir(target):
        os.rename(target, f"{part}{_OLD}")
    try:
        if not force:
            _claim(part, target, shown)
        os.replace(part, target)
    except ConfigurationError:  # the name is somebody else's
        raise
    except BaseException:
        if not force and os.path.isdir(part):
            with contextlib.suppress(OSError):
                os.rmdir(target)  # it is claimed, and empty
        raise


def _undo(room: str, part: str, target: str) -> None:
    """Take away the room; a folder that was there stays where no other has taken its place."""
    if os.path.isdir(f"{part}{_OLD}") and not os.path.lexists(target):
        os.rename(f"{part}{_OLD}", target)
    remove(room)


def _claim(part: str, target: str, shown: str) -> None:
    """Make sure that nobody else has taken the name meanwhile."""
    try:
        if os.path.isdir(part):
            os.mkdir(target)  # an empty folder may be replaced
        else:
            os.link(part, target)
    except FileExistsError:
        raise ConfigurationError("output", shown, "It is there by now") from None
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise ConfigurationError("output", shown, "It is there by now") from None
