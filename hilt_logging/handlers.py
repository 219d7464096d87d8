"""
Where events go: the handler that keeps them in a file.
"""

from __future__ import annotations

import logging
import os
import time

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import _checkpoints
from ._diagnostics import Tally, Troubles, to_stderr
from ._failures import Gap, Policy
from ._logfile import LINK_ROOM, UTF_8, absolute, mode_bits, open_shared
from .emit import note_failure
from .errors import ConfigurationError, RecordingError, reject_unknown
from .filters import passed
from .formatters import HILTFormatter
from .records import HILTRecord, event_of, key_of
from .storage.errors import NotSyncedError, cause_of
from .storage.notices import line_of_notice
from .storage.options import Evidence, evidence_options, file_options
from .storage.sharing import release


if TYPE_CHECKING:
    from ._background import BackgroundHandler


__all__ = ["BackgroundHandler", "HILTFileHandler"]

_OPTIONS = (
    "filename",
    "level",
    "foreign",
    "on_error",
    "permissions",
    "create_dirs",
    "delay",
    "encoding",
    "max_bytes",
    "when",
    "utc",
    "backup_count",
    "max_total_bytes",
    "retain_days",
    "compress",
    "namer",
    "rotator",
    "external_rotation",
    "durability",
    "evidence",
    "seal_key",
    "sign_key",
    "shared_sign_key",
    "checkpoint_every",
    "checkpoint_seconds",
)
_TRY_AGAIN_EVERY_S = 0.05


class HILTFileHandler(logging.Handler):
    """
    Append each event as one line of HILT JSON to a file.

    Any number of threads, processes, handlers and sessions may write to one file. A line is one
    write; a file that was renamed is followed within 100 ms. `handle` and `emit` may be called at
    the same time from anywhere and raise nothing: what can't be written is counted in `stats()` and
    told on stderr, without content, at most every five seconds. Once writing works again, a `system`
    event in the file itself says what was lost (`extensions.notice`).

    Args:
        filename: The file; missing directories are created.
        level: As in `logging.Handler`.
        foreign: What happens to records without an event: `drop`, or `wrap` as `system` events.
        on_error: What happens to an event that can't be written: `count`; `block:SECONDS` tries
            again for so long before it counts, and keeps the caller waiting; `raise` counts, and
            `hilt_logging.emit` raises `RecordingError` once all handlers had the event.
        permissions: Mode bits of a file that is created, a number or an octal text like `"0640"`.
        create_dirs: Create missing directories.
        delay: Open the file at the first event rather than now.
        encoding: There for its likeness to `logging.FileHandler`; the file is UTF-8.
        max_bytes: Rotate before a file gets larger; 0 or None: never.
        when: Rotate at `midnight`, `hourly`, or at each interval like `30m`, `6h`, `7d`.
        utc: Whether `when` means UTC rather than local time.
        backup_count: How many rotated files are kept; 0 or None: all.
        max_total_bytes: Delete the oldest rotated files when all are larger; 0 or None: never.
        retain_days: Delete files that were rotated longer ago; 0 or None: never.
        compress: `gzip` or `zstd` the rotated files.
        namer: Returns another name for a rotated file, given the usual one.
        rotator: Is called with a renamed file, to which nobody writes any more, and the name that
            it has to get.
        external_rotation: `follow` what others rename within 100 ms, or `strict`, at the next event.
        durability: What an event outlives once it is written: `process`, the death of the process;
            `disk`, that of the machine, at the price of an fdatasync for each event; `disk:100`,
            one for every hundred.
        evidence: Link each line to the one before it (`integrity`), over all processes and rotated
            files, so that `hilt-log verify` finds what was altered, taken away or put elsewhere.
            `sealed` seals the checkpoints, too, so that who takes the host later can't change what
            was written before.
        seal_key: The file of the key that seals and moves on, `NAME.seal` of `hilt-log keygen`.
        sign_key: A private key (JWK, Ed25519) that signs the checkpoints.
        shared_sign_key: Take that key from a file that others can read, too.
        checkpoint_every: After how many lines of this process there is a checkpoint.
        checkpoint_seconds: After how many seconds there is one, with the next event; 300 by
            default. Where it is sealed, without waiting for an event; 10 by default.
        formatter_options: Content options, for the `HILTFormatter` that is made.

    Attributes:
        baseFilename: The absolute path.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value, and for a file
            that can't be opened.
    """

    _released = True  # until the file is acquired: logging closes what failed on its way there too

    def __init__(
        self,
        filename: str | os.PathLike[str] = "",
        level: int | str = logging.NOTSET,
        *,
        foreign: str = "drop",
        on_error: str = "count",
        permissions: int | str = 0o600,
        create_dirs: bool = True,
        delay: bool = False,
        encoding: str | None = "utf-8",
        max_bytes: int | None = None,
        when: str | None = None,
        utc: bool = True,
        backup_count: int | None = None,
        max_total_bytes: int | None = None,
        retain_days: float | None = None,
        compress: str | None = None,
        namer: Callable[[str], str] | None = None,
        rotator: Callable[[str, str], object] | None = None,
        external_rotation: str = "follow",
        durability: str = "process",
        evidence: bool | str = False,
        seal_key: str | os.PathLike[str] | None = None,
        sign_key: str | os.PathLike[str] | None = None,
        shared_sign_key: bool = False,
        checkpoint_every: int = 1000,
        checkpoint_seconds: float | None = None,
        **formatter_options: Any,
    ) -> None:
        unknown = [name for name in formatter_options if name not in HILTFormatter.OPTIONS]
        reject_unknown("HILTFileHandler", unknown, (*_OPTIONS, *HILTFormatter.OPTIONS))
        if foreign not in ("drop", "wrap"):
            raise ConfigurationError("foreign", foreign, "Must be one of: drop, wrap")
        policy = Policy(on_error)
        if encoding not in UTF_8:
            raise ConfigurationError("encoding", encoding, "Must be utf-8")
        for option, value in {"create_dirs": create_dirs, "delay": delay}.items():
            if type(value) is not bool:
                raise ConfigurationError(option, value, "Must be true or false")
        options = file_options(
            max_bytes=max_bytes,
            when=when,
            utc=utc,
            backup_count=backup_count,
            max_total_bytes=max_total_bytes,
            retain_days=retain_days,
            compress=compress,
            namer=namer,
            rotator=rotator,
            external_rotation=external_rotation,
            durability=durability,
            evidence=evidence_options(
                evidence=evidence,
                sign_key=sign_key,
                shared_sign_key=shared_sign_key,
                checkpoint_every=checkpoint_every,
                checkpoint_seconds=checkpoint_seconds,
                seal_key=seal_key,
            ),
        )
        super().__init__()
        try:
            self.setLevel(level)
        except (ValueError, TypeError):
            raise ConfigurationError("level", level, "Must be a level of logging") from None
        self.baseFilename = absolute(filename)
        self._wraps = foreign == "wrap"
        self._policy = policy
        self._gap = Gap()
        self._forwarded = sorted(formatter_options)
        self.formatter: HILTFormatter = HILTFormatter(**formatter_options)
        if options.evidence is not None:
            self.formatter.leave_room(LINK_ROOM)
        self._appender = open_shared(
            self.baseFilename, mode_bits(permissions), create_dirs, delay=delay, options=options
        )
        self._appender.listeners.add(self._gap)
        self._released = False
        self._written = Tally()
        self._lost_late = Tally()
        self._troubles = Troubles(to_stderr)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 -- logging's name
        """
        Use another `HILTFormatter`.

        Raises:
            ConfigurationError: for any other formatter, and where the handler was given content
                options of its own.
        """
        if not isinstance(fmt, HILTFormatter):
            raise ConfigurationError(
                "formatter", type(fmt).__name__, "Must be a hilt_logging.HILTFormatter"
            )
        if self._forwarded:
            raise ConfigurationError(
                "formatter",
                type(fmt).__name__,
                f"Must be left out, or else {', '.join(self._forwarded)} of the handler",
            )
        if self._appender.links is not None:
            fmt.leave_room(LINK_ROOM)
        self.formatter = fmt

    def filter(  # type: ignore[override]  # since 3.12 a record may be returned
        self, record: logging.LogRecord
    ) -> bool | logging.LogRecord:
        """Return what the filters let pass: as Python 3.12 and later, also a record in its place."""
        return passed(self.filters, record)

    def handle(self, record: logging.LogRecord) -> Any:
        """Write the record if the filters let it pass; no lock is held while it is formatted."""
        if not self.filters:
            self.emit(record)
            return record
        try:
            found = self.filter(record)
        except Exception as error:  # it may be one that redacts: nothing passes
            self._count_lost(type(error).__name__)
            return False
        if isinstance(found, logging.LogRecord):
            self.emit(found)
        return found

    def emit(self, record: logging.LogRecord) -> None:
        """Write the event of a record; never raises."""
        key: object
        try:
            if type(record) is HILTRecord and record.hilt_line is not None:
                line, key = self.formatter.line(record), record.hilt_key
            elif self._wraps or event_of(record) is not None:
                line, key = self.formatter.line(record), key_of(record)
            else:
                return
            try:
                fresh = self._appender.append(line, self._lost, key)
            except OSError as error:
                fresh = self._append_again(line, key, error)
            if fresh:
                self._written.add()
            if self._gap.is_open:
                self._tell_gap(record)
        except OSError as error:
            self._count_lost(cause_of(error))
        except Exception as error:
            self._count_lost(type(error).__name__)

    def handle_many(self, records: Sequence[logging.LogRecord]) -> None:
        """Do what `handle` does with each record, in as few writes as possible; never raises."""
        if type(self).emit is not _EMIT or type(self).handle is not _HANDLE:
            for record in records:
                self.handle(record)
            return
        lines = [found for found in map(self._line_and_key, records) if found is not None]
        try:
            results = self._appender.append_many(lines, self._lost)
        except Exception as error:  # as handle: nothing of ours may raise
            self._count_lost(type(error).__name__, len(lines))
            return
        works = False
        for (line, key), result in zip(lines, results, strict=True):
            if isinstance(result, OSError):
                try:
                    result = self._append_again(line, key, result)
                except OSError as error:
                    self._count_lost(cause_of(error))
            if result is True:
                works = True
                self._written.add()
        if works and self._gap.is_open:
            self._tell_gap(records[0])

    def _line_and_key(self, record: logging.LogRecord) -> tuple[bytes, object] | None:
        """What is to be written of a record; None where that is nothing."""
        try:
            found = self.filter(record) if self.filters else record
            if not isinstance(found, logging.LogRecord):
                return None
            is_ready = type(found) is HILTRecord and found.hilt_line is not None
            if not is_ready and not self._wraps and event_of(found) is None:
                return None
            return self.formatter.line(found), key_of(found)
        except Exception as error:
            self._count_lost(type(error).__name__)
            return None

    def _append_again(self, line: bytes, key: object, error: OSError) -> bool:
        """Try again what failed, for as long as the policy says; else raise the error."""
        if isinstance(error, NotSyncedError) or not self._policy.patience_s:
            raise error
        until = time.monotonic() + self._policy.patience_s
        while True:
            time.sleep(_TRY_AGAIN_EVERY_S)
            try:
                return self._appender.append(line, self._lost, key)
            except OSError as error:
                if isinstance(error, NotSyncedError) or time.monotonic() >= until:
                    raise

    def _count_lost(self, cause: str, number: int = 1) -> None:
        self._troubles.count(cause, self.baseFilename, number)
        self._gap.add(cause, number)
        self._count_for_checkpoints(number)
        if self._policy.raises:
            note_failure(RecordingError(f"Not written to {self.baseFilename}: {cause}"))

    def _lost(self, error: OSError) -> None:
        """Count an event that came from within a write and could not be written after it."""
        self._troubles.count(cause_of(error), self.baseFilename)
        self._gap.add(cause_of(error))
        self._lost_late.add()
        self._count_for_checkpoints(1)

    def _count_for_checkpoints(self, number: int) -> None:
        if self._appender.links is not None:
            self._appender.links.dropped += number

    def _tell_gap(self, record: logging.LogRecord) -> None:
        """Write a notice of what was lost, now that writing works again, and tell of checkpoints."""
        told = self._gap.take()
        if told is not None:
            try:
                self._appender.append(
                    line_of_notice(told), lambda error: self._put_back(told, error)
                )
            except OSError as error:
                self._put_back(told, error)
        _checkpoints.tell(self._appender, silently=record.name == _checkpoints.LOGGER)

    def _put_back(self, told: dict[str, Any], error: OSError) -> None:
        if not isinstance(error, NotSyncedError):  # what is in the file is not said twice
            self._gap.put_back(told)

    @property
    def evidence(self) -> Evidence | None:
        """How lines are linked; None where they are not."""
        links = self._appender.links
        return None if links is None else links.evidence

    def state(self, notice: dict[str, Any]) -> bool:
        """
        Put a notice on record, sealed where lines are linked, and bring it to the disk.

        Args:
            notice: What it says, with its `kind`.

        Returns:
            Whether that could be done.
        """
        return self._appender.state(notice)

    def rotate(self) -> None:
        """
        Move what the file holds aside, and begin a new one.

        Raises:
            OSError: if it can't be moved or opened.
        """
        self._appender.begin_new()
        _checkpoints.tell(self._appender)

    def stats(self) -> dict[str, Any]:
        """
        Return what became of the events: accepted = written + pending + dropped.

        Returns:
            `accepted`, `written`, `pending`, `dropped`, and `dropped_by` from cause to count.
            `rotation_failures`, from cause to count, tells how often a rotation or what comes after
            it failed; this costs no event. `lock_failures` tells, in the same way, how often the
            lock between processes could not be had: each time, lines are for ten seconds written
            without it, and nothing is rotated.
            `redaction_failures` counts texts that were replaced because they could not be searched.
            With evidence there is `evidence`, too: the `chain`, the last `seq` that is known, how
            many `checkpoints` this process wrote and how many lines `unlinked`, because it could
            not have the lock. In a sealed log, `seals` counts those of this process, and
            `seal_failures`, from cause to count, how often none could be made or the key not move
            on.
        """
        dropped_by = self._troubles.by_cause()
        dropped = sum(dropped_by.values())
        written = self._written.value() - self._lost_late.value()
        found = {
            "accepted": written + dropped,
            "written": written,
            "pending": 0,
            "dropped": dropped,
            "dropped_by": dropped_by,
            "rotation_failures": self._appender.rotation_troubles.by_cause(),
            "lock_failures": self._appender.lock_failures(),
            "redaction_failures": self.formatter.redaction_failures(),
        }
        links = self._appender.links
        if links is not None:
            found["evidence"] = links.stats()
        return found

    def close(self) -> None:
        """Close the file, unless others in this process use it; a later event opens it again."""
        if not self._released:
            self._released = True
            release(self._appender)
            _checkpoints.tell(self._appender)
            self._troubles.tell()
        super().close()

    def __repr__(self) -> str:
        level = logging.getLevelName(self.level)
        return f"<{type(self).__name__} {self.baseFilename} ({level})>"


_EMIT, _HANDLE = HILTFileHandler.emit, HILTFileHandler.handle


def __getattr__(name: str) -> Any:
    if name != "BackgroundHandler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _background  # it needs logging.handlers, which takes as long as all the rest

    globals()[name] = _background.BackgroundHandler
    return _background.BackgroundHandler
