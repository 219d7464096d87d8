"""
Files that handlers are to write: whether they can be, and who else writes or reads them.
"""

from __future__ import annotations

import logging.handlers
import os
import stat

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._logfile import mode_bits
from ..errors import ConfigurationError
from ..handlers import HILTFileHandler
from ._findings import Problems


if TYPE_CHECKING:
    from ._handlers import Handler


__all__ = ["look_at_files"]


def look_at_files(handlers: Iterable[Handler], problems: Problems) -> None:
    """Note what is wrong with the files of handlers: nothing is opened."""
    writing = []
    for handler in handlers:
        if handler.path is None:
            continue
        key = f"{handler.key}.filename"
        ours = handler.is_a(HILTFileHandler)
        makes_folders = ours and handler.options.get("create_dirs", True) is not False
        _look_at_file(handler.path, key, problems, makes_folders=makes_folders)
        if ours:
            _look_at_ours(handler.options, handler.path, handler.key, problems)
        elif handler.writes in ("events", "records"):
            _look_at_readers(handler.path, None, key, problems)
            _look_at_stock(handler, problems)
        writing.append((key, handler.path, ours))
    _look_at_shared(writing, problems)


def _look_at_ours(options: Mapping[str, Any], path: str, key: str, problems: Problems) -> None:
    try:
        mode: int | None = mode_bits(options.get("permissions", 0o600))
    except (ConfigurationError, TypeError):
        mode = None
    _look_at_readers(path, mode, f"{key}.filename", problems)
    store = options.get("key_store")
    if isinstance(store, str) and store and not store.startswith(("ext://", "cfg://")):
        is_shared = options.get("shared_key_file") is True
        _look_at_key_store(store, is_shared, f"{key}.key_store", problems)


def _look_at_stock(handler: Handler, problems: Problems) -> None:
    key = handler.key
    if str(handler.options.get("mode", "a")).startswith("w"):
        why = "the file is emptied whenever the application starts"
        remedy = "Take hilt_logging.HILTFileHandler, or mode: a"
        problems.add("warning", "emptied", f"{key}.mode", "is w", why, remedy)
    elif handler.is_a(logging.handlers.BaseRotatingHandler):
        why = "where several processes write, its rotation loses lines"
        remedy = "Take hilt_logging.HILTFileHandler with max_bytes or when"
        problems.add("info", "rotation", key, "rotates the file itself", why, remedy)


def _look_at_file(path: str, key: str, problems: Problems, *, makes_folders: bool) -> None:
    """
    Note what keeps a file from being written.

    Args:
        path: The file, absolute.
        key: The key that names it.
        problems: Where it is noted.
        makes_folders: Whether its handler makes missing folders.
    """
    found = _why_not(path, makes_folders)
    if found is not None:
        why, remedy = found
        problems.error("not-writable", key, f"is {path}", why, remedy)
        return
    if _is_full(path):
        why = "there is no room on the disk"
        problems.error("disk-full", key, f"is {path}", why, "Make room")


def _why_not(path: str, makes_folders: bool) -> tuple[str, str] | None:
    """Why a file can't be written, and what to do."""
    real = os.path.realpath(path)
    if os.path.isdir(real):
        return "it is a folder", "Name a file in it"
    if os.path.exists(real):
        if os.access(real, os.W_OK):
            return None
        return _refused(real, "it", "Give it to the user of the application")
    folder = os.path.dirname(real)
    if not os.path.exists(folder) and not makes_folders:
        return "its folder is not there", f"Make it: mkdir -p {folder}"
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        return f"{folder} is no folder", "Name a file in a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return _refused(folder, f"in {folder}", "Give the user of the application the right to")
    return None


def _refused(path: str, what: str, remedy: str) -> tuple[str, str]:
    try:
        is_fixed = os.statvfs(path).f_flag & os.ST_RDONLY
    except (AttributeError, OSError):
        is_fixed = 0
    if is_fixed:
        return "its file system is read-only", "Mount it to be written to, or take another"
    return f"{_who()} may not write {what}", remedy


def _who() -> str:
    """The user that asks, who should be that of the application."""
    return f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"


def _is_full(path: str) -> bool:
    folder = os.path.realpath(path)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    try:
        room = os.statvfs(folder)
    except (AttributeError, OSError):
        return False
    return room.f_blocks > 0 and (room.f_bfree if _is_root() else room.f_bavail) == 0


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _look_at_readers(path: str, mode: int | None, key: str, problems: Problems) -> None:
    """Note where everybody can read what is written: a file that is there keeps its mode."""
    try:
        found = os.stat(path)
    except OSError:
        found = None
    if found is not None and not stat.S_ISREG(found.st_mode):
        return
    bits = mode if found is None else found.st_mode
    if bits is not None and bits & stat.S_IROTH:
        problems.add(
            "warning",
            "readable-by-all",
            key,
            f"is {path}, mode {bits & 0o777:04o}",
            "every user of this machine can read what was said",
            f"chmod o= {path}" if found is not None else 'Set permissions to "0600" or "0640"',
        )


def _look_at_key_store(path: str, is_shared: bool, key: str, problems: Problems) -> None:
    """Note what keeps a key store from being used."""
    real = os.path.realpath(os.path.expanduser(path))
    found = _why_not(real, True)
    if found is not None:
        problems.error("key-store", key, f"is {real}", *found)
    elif os.name == "posix" and os.path.exists(real) and not is_shared:
        mode = os.stat(real).st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            why = "others can read it: the handler refuses it"
            problems.error("key-store", key, f"is {real}", why, f"chmod 600 {real}")


def _look_at_shared(handlers: Iterable[tuple[str, str, bool]], problems: Problems) -> None:
    """
    Note files to which handlers of different kinds write.

    Args:
        handlers: For each that writes a file its key, the file, and whether it is ours.
        problems: Where it is noted.
    """
    by_file: dict[str, list[tuple[str, bool]]] = {}
    for key, path, is_ours in handlers:
        by_file.setdefault(os.path.realpath(path), []).append((key, is_ours))
    for path, users in by_file.items():
        if len(users) < 2 or all(is_ours for _, is_ours in users):
            continue
        for key, is_ours in users:
            if not is_ours:
                others = ", ".join(other for other, _ in users if other != key)
                problems.add(
                    "warning",
                    "file-twice",
                    key,
                    f"is {path}, to which {others} writes, too",
                    "lines of the one may come amid those of the other, and a rotation takes both",
                    "Give each handler a file of its own",
                )
