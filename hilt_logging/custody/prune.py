"""
Deleting what is older than one wants to keep: rotated files as a whole, and on record where that counts.
"""

from __future__ import annotations

import contextlib
import os
import time

from datetime import timedelta
from typing import Any

import msgspec

from .._ids import timestamp
from ..errors import ConfigurationError, ReadError
from ..io.files import LogFile, files_of
from ..schema import is_timestamp
from ..snapshot import clean_text
from ..storage.chaining import summary_of
from ..storage.descriptors import sync_folder
from ._live import keys_of, state
from ._reading import Progress, Reading
from ._swapping import BusyError, alone_with, check_own, clear


__all__ = ["PruneReport", "Pruned", "prune"]


class Pruned(msgspec.Struct, frozen=True):
    """
    A file that was deleted.

    Attributes:
        path: The file.
        bytes: How large it was.
        until: When its last event was.
    """

    path: str
    bytes: int
    until: str


class PruneReport(msgspec.Struct):
    """
    What `prune` did.

    Attributes:
        log: The log.
        before: Files whose last event was before this time are deleted.
        dry_run: Whether nothing was done; the files are then those that would be deleted.
        files: What was deleted.
        bytes: How much that was.
        untouched: What could not be read, or is in use, and why.
        is_on_record: Whether a statement of it stands in the log, which is so if it is chained.
    """

    log: str
    before: str
    dry_run: bool
    files: list[Pruned] = []
    bytes: int = 0
    untouched: dict[str, str] = {}
    is_on_record: bool = False


class _Own(msgspec.Struct):
    notice: Any = None


class _Event(msgspec.Struct):
    timestamp: Any = None
    extensions: _Own = msgspec.field(default_factory=_Own)


_decoder = msgspec.json.Decoder(_Event)


def prune(
    log: str | os.PathLike[str],
    older_than: timedelta,
    *,
    by: str = "prune",
    sign_key: str | os.PathLike[str] | None = None,
    seal_key: str | os.PathLike[str] | None = None,
    shared_sign_key: bool = False,
    dry_run: bool = False,
    wait_s: float = 1.0,
    progress: Progress | None = None,
) -> PruneReport:
    """
    Delete the rotated files of a log whose last event is older than some time.

    Where lines are linked, a statement of what is deleted is on the disk before anything is.

    Args:
        log: The live file; its rotated files stand beside it, plain or compressed.
        older_than: The time.
        by: Who does it; this is put on record.
        sign_key: The JWK file of the key that signs the log's checkpoints, if they are signed.
        seal_key: The file of the key that seals the log, if it is sealed.
        shared_sign_key: Take a key that others can read, too.
        dry_run: Only tell what would be deleted.
        wait_s: How long to wait for those who have a file open.
        progress: Is told how many bytes are looked through, of how many.

    Raises:
        ConfigurationError: for a wrong option or key.
        ReadError: if there is no such log.
        RecordingError: if it can't be put on record; nothing is deleted then.
        OSError: if a file can't be deleted.
    """
    if not isinstance(older_than, timedelta) or older_than < timedelta():
        raise ConfigurationError("older_than", older_than, "Must be a time span, not below zero")
    path = os.path.realpath(os.fspath(log))
    cutoff = timestamp(max(0, time.time_ns() - older_than // timedelta(microseconds=1) * 1000))
    report = PruneReport(path, cutoff, dry_run)
    keys = keys_of(path, sign_key, shared_sign_key, seal_key)
    files = _rotated(path)
    reading = Reading(files, progress)
    untils = [(file, _until(file, reading, report)) for file in files]
    old = [(file, until) for file, until in untils if until < cutoff]
    with contextlib.ExitStack() as claims:
        for file, until in old:
            try:
                check_own(file.path)
                if not dry_run:
                    claims.enter_context(alone_with(file.path, wait_s))
                size = os.stat(file.path).st_size
            except (BusyError, FileNotFoundError) as error:
                report.untouched[file.path] = str(error)
                continue
            report.files.append(Pruned(file.path, size, until))
            report.bytes += size
        if report.files and not dry_run:
            summaries = [summary_of(each.path) for each in report.files]
            if any("chain" in each for each in summaries):
                state(path, keys, {"kind": "pruned", "files": summaries, "by": clean_text(by)})
                report.is_on_record = True
            for each in report.files:
                os.unlink(each.path)
            clear(os.path.dirname(path))
            sync_folder(os.path.dirname(path))
    return report


def _rotated(log: str) -> list[LogFile]:
    return [file for file in files_of(log) if not file.is_live]


def _until(file: LogFile, reading: Reading, report: PruneReport) -> str:
    """When the last event of a file was, notices apart; what can't be told counts as now."""
    last = ""
    try:
        for line in reading.lines(file):
            with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
                event = _decoder.decode(line)
                if event.extensions.notice is None and is_timestamp(event.timestamp):
                    last = max(last, event.timestamp)
    except ReadError as error:
        report.untouched[file.path] = error.reason
        return timestamp()
    return last or timestamp(os.stat(file.path).st_mtime_ns)
