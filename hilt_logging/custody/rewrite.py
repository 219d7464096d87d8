"""
Erasing a subject from the rotated files of a log: what was said is taken out, that it was said stays.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets

from collections.abc import Iterator
from typing import Any

import msgspec

from .._ids import timestamp
from ..errors import ReadError
from ..io.files import LogFile, files_of, open_blocks, open_lines
from ..snapshot import clean_text
from ..storage.notices import line_of_notice
from ..storage.rotation import ENDINGS
from ._live import Keys, begin_new, keys_of
from ._persons import Belongings, glance, subject_of, tombstone
from ._reading import Progress, Reading
from ._relinking import Chained, NotAsLinkedError, Sealing, relinked
from ._swapping import (
    BusyError,
    alone_with,
    check_own,
    clear,
    kept_in,
    name_of_next,
    publish,
    put_away,
)


__all__ = ["RewriteReport", "Rewritten", "Untouched", "rewrite"]

_WAIT_S = 10.0
_TIMES = 4  # what belongs to whom, how much is to go, how it is linked, and what is left
_FRAGMENT = b'{"erased'  # what was torn stays torn


class Rewritten(msgspec.Struct, frozen=True):
    """
    A file that took another one's place.

    Attributes:
        old: The other one.
        new: The file.
        events: How many events became tombstones.
    """

    old: str
    new: str
    events: int


class Untouched(msgspec.Struct, frozen=True):
    """
    A file that has events of the subject, and stays as it is.

    Attributes:
        path: The file.
        events: How many; None where that is not known.
        reason: Why.
    """

    path: str
    events: int | None
    reason: str


class RewriteReport(msgspec.Struct):
    """
    What `rewrite` did.

    Attributes:
        log: The log.
        token: What stands for the subject from now on; it means nothing.
        by: Who did it.
        at: When.
        dry_run: Whether nothing was done; the files are then those that would be rewritten.
        events: How many events became tombstones.
        files: What was rewritten.
        untouched: What was to be rewritten and could not be.
        unreadable: How many lines are no events, and may hold anything.
    """

    log: str
    token: str
    by: str
    at: str
    dry_run: bool
    events: int = 0
    files: list[Rewritten] = []
    untouched: list[Untouched] = []
    unreadable: int = 0


def rewrite(
    log: str | os.PathLike[str],
    subject: str,
    *,
    kind: str = "user",
    by: str = "",
    sign_key: str | os.PathLike[str] | None = None,
    seal_key: str | os.PathLike[str] | None = None,
    shared_sign_key: bool = False,
    keep_old: bool = False,
    dry_run: bool = False,
    wait_s: float = _WAIT_S,
    progress: Progress | None = None,
) -> RewriteReport:
    """
    Replace the events of a subject by tombstones, in all files of a log that is not encrypted.

    The log is rotated first. Each file with events of the subject is written anew and takes the old
    one's place; a crash at any moment leaves one of the two, and what was begun is completed by the
    next call. Events of others stay as they are, to the byte but for their links.

    Args:
        log: The live file; its rotated files stand beside it.
        subject: The id of a user, as in `actor.id` and `user_id`, or of a session.
        kind: `user` or `session`.
        by: Who does it; it is put on record.
        sign_key: The JWK file of the key that signs the log's checkpoints, if they are signed. In a
            sealed log that is not signed, it signs the statements: `verify` believes those that
            are signed with a key that is given to it.
        seal_key: The file of the key that seals the log, if it is sealed.
        shared_sign_key: Take a key that others can read, too.
        keep_old: Move the old files to the folder `LOG.erased` rather than delete them.
        dry_run: Only count.
        wait_s: How long to wait for those who have a file open for writing.
        progress: Is told how many bytes are done, of how many: each file is read up to four times.

    Raises:
        ConfigurationError: for a wrong option or key.
        ReadError: if there is no such log, or a file can't be read.
        OSError: if the log can't be rotated, or a file not be written.
    """
    subject_of(subject, kind)
    path = os.path.realpath(os.fspath(log))
    keys = keys_of(path, sign_key, shared_sign_key, seal_key)
    report = RewriteReport(path, _token(), clean_text(by), timestamp(), dry_run)
    work = _Work(
        report, Belongings(subject, kind), keys, kept_in(path) if keep_old else None, wait_s
    )
    if not dry_run:
        work.finish()
        begin_new(path, keys)
        work.wait()
        report.at = timestamp()
    files = [file for file in files_of(path) if dry_run or not file.is_live]
    work.reading = Reading(files, progress, times=_TIMES)
    for file in [file for file in files if work.learns(file)]:
        work.erase_in(file)
    return report


def _token() -> str:
    letters = base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
    return f"erased-{letters}"


class _Work:
    def __init__(
        self,
        report: RewriteReport,
        belongings: Belongings,
        keys: Keys,
        kept: str | None,
        wait_s: float,
    ) -> None:
        self.report = report
        self.belongings = belongings
        self.key = keys.sign
        self.seal = keys.seal
        self.kept = kept
        self.wait_s = wait_s
        self.reading = Reading(())

    def finish(self) -> None:
        """Put away the old files of what was interrupted before."""
        files = files_of(self.report.log)
        for file in files:
            for old in _replaced_by(file):
                try:
                    with alone_with(old, self.wait_s):
                        put_away(old, self.kept)
                except (BusyError, FileNotFoundError) as error:
                    self._leave(old, None, error)
        for folder in {os.path.dirname(file.path) for file in files}:
            clear(folder)

    def wait(self) -> None:
        """Wait until those who write have let go of the file that was just moved aside."""
        rotated = [file.path for file in files_of(self.report.log) if not file.is_live]
        with contextlib.suppress(BusyError, FileNotFoundError):
            for path in rotated[-1:]:
                with alone_with(path, self.wait_s):
                    return

    def learns(self, file: LogFile) -> bool:
        """Whether all of a file can be read; it is known then what in it belongs to whom."""
        try:
            for line in self.reading.lines(file):
                found = glance(line)
                if found is not None:
                    self.belongings.learn(found)
                elif line.strip():
                    self.report.unreadable += 1
        except ReadError as error:
            self.report.untouched.append(Untouched(file.path, None, error.reason))
            self.reading.pass_over(file, _TIMES - 1)
            return False
        return True

    def erase_in(self, file: LogFile) -> None:
        """Rewrite a file if it has events of the subject, and put down what became of it."""
        events = sum(map(self._is_to_go, self.reading.lines(file)))
        if not events or self.report.dry_run:
            self.reading.pass_over(file, 2)
        if not events:
            return
        path = file.path
        try:
            check_own(path)
            if self.report.dry_run:
                self._note(Rewritten(path, "", events))
                return
            path = _present(path)
            with alone_with(path, self.wait_s):
                self._note(self._replace(file._replace(path=path), events))
        except (BusyError, NotAsLinkedError, FileNotFoundError) as error:
            self._leave(path, events, error)

    def _leave(self, path: str, events: int | None, error: Exception) -> None:
        reason = "it is not there any more" if isinstance(error, OSError) else str(error)
        self.report.untouched.append(Untouched(path, events, reason))

    def _note(self, done: Rewritten) -> None:
        self.report.files.append(done)
        self.report.events += done.events

    def _replace(self, file: LogFile, events: int) -> Rewritten:
        path, chained = file.path, Chained(self.key)
        for line in self.reading.lines(file):
            chained.add(line)
        chained.check()
        if chained.is_signed and self.key is None:
            raise NotAsLinkedError("it is signed: give the key that signs it")
        statement = {
            "kind": "rewritten",
            "replaces": chained.replaces(os.path.basename(path)),
            "token": self.report.token,
            "events": events,
            "by": self.report.by,
            "at": self.report.at,
        }
        new = name_of_next(path)
        publish(path, new, self._lines(file, statement, chained.is_linked), self.kept)
        return Rewritten(path, new, events)

    def _lines(self, file: LogFile, statement: dict[str, Any], is_linked: bool) -> Iterator[bytes]:
        lines = self.reading.lines(file)
        if is_linked:
            chain = secrets.token_hex(16)
            seal = None if self.seal is None else self.seal.read()[0]
            seals = Sealing(self.key, seal)
            yield from relinked(statement, lines, chain, seals, self._left_of)
            return
        yield line_of_notice(statement) + b"\n"
        for line in lines:
            yield self._left_of(line.removesuffix(b"\n")) + b"\n"

    def _is_to_go(self, line: bytes) -> bool:
        found = glance(line)
        return self.belongings.may_have(line) if found is None else self.belongings.has(found)

    def _left_of(self, line: bytes) -> bytes:
        if not self._is_to_go(line):
            return line
        return _FRAGMENT if glance(line) is None else tombstone(line, self.report.token)


def _present(path: str) -> str:
    """A file, or the same compressed meanwhile."""
    for each in (path, *(path + ending for ending in ENDINGS.values())):
        if os.path.exists(each):
            return each
    return path


def _replaced_by(file: LogFile) -> Iterator[str]:
    """The files that are still there although the first line of another says that it replaces them."""
    try:
        notice = msgspec.json.decode(next(open_lines(file), b""))["extensions"]["notice"]
        name, digest = notice["replaces"]["name"], notice["replaces"]["sha256"]
        is_one = notice["kind"] == "rewritten" and os.path.basename(name) == name
    except (ReadError, msgspec.DecodeError, LookupError, TypeError):
        return
    stem = name
    for ending in ENDINGS.values():
        stem = stem.removesuffix(ending)
    for ending in ("", *ENDINGS.values()):
        old = os.path.join(os.path.dirname(file.path), stem + ending)
        is_other = os.path.exists(old) and not os.path.samefile(old, file.path)
        if is_one and is_other and _digest(old) == digest:
            yield old


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    for block in open_blocks(path):
        digest.update(block)
    return digest.hexdigest()
