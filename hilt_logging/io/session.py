"""
A file of events of one's own: append to it and read it.
"""

from __future__ import annotations

import logging
import os

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self

from .. import _checkpoints
from .._diagnostics import Troubles, to_stderr
from .._logfile import LINK_ROOM, UTF_8, absolute, open_shared
from ..emit import hand_over
from ..errors import ConfigurationError, RecordingError, SessionError
from ..events import Event
from ..formatters import HILTFormatter
from ..records import id_of, key_of, make
from ..storage.appender import Appender
from ..storage.errors import cause_of
from ..storage.sharing import release
from . import reader


__all__ = ["Session"]

_troubles = Troubles(to_stderr)


class Session:
    """
    A log file, for use in a `with` block.

    What is appended is written to this file whatever the levels of logging are, and is then handed
    to the logger `hilt.session`, so that ordinary logging config can send it elsewhere too.

    Args:
        path: The file.
        filepath: The same under its older name.
        mode: `a` to append, `w` to begin a new file; an existing one is then moved aside, a log is
            never cut.
        create_dirs: Create missing directories.
        encoding: `utf-8`.

    Raises:
        ConfigurationError: for a wrong option.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        filepath: str | os.PathLike[str] | None = None,
        mode: Literal["a", "w"] = "a",
        create_dirs: bool = True,
        encoding: str = "utf-8",
    ) -> None:
        if (path is None) == (filepath is None):
            raise ConfigurationError("path", path, "Give either path or filepath")
        if mode not in ("a", "w"):
            raise ConfigurationError("mode", mode, "Must be one of: a, w")
        if type(create_dirs) is not bool:
            raise ConfigurationError("create_dirs", create_dirs, "Must be true or false")
        if encoding not in UTF_8:
            raise ConfigurationError("encoding", encoding, "Must be utf-8")
        self.path = absolute(path if path is not None else filepath or "")
        self._mode = mode
        self._create_dirs = create_dirs
        self._appender: Appender | None = None
        self._formatter = HILTFormatter()

    def open(self) -> Self:
        """
        Open the file; opening it twice has no effect.

        Raises:
            ConfigurationError: if it can't be opened.
        """
        if self._appender is None:
            appender = open_shared(self.path, 0o600, self._create_dirs, delay=True)
            try:
                if self._mode == "w":
                    appender.begin_new()
                else:
                    appender.open()
            except OSError as error:
                release(appender)
                raise ConfigurationError(
                    "path", self.path, f"It can't be opened: {cause_of(error)}"
                ) from error
            if appender.links is not None:
                self._formatter.leave_room(LINK_ROOM)
            self._appender = appender
        return self

    def close(self) -> None:
        """Close the file; closing it twice has no effect."""
        if self._appender is not None:
            appender, self._appender = self._appender, None
            release(appender)
            _checkpoints.tell(appender)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def append(
        self, event: Event | dict[str, Any], *, logger: str | logging.Logger = "hilt.session"
    ) -> str:
        """
        Write an event to the file, then hand it to a logger; return its id.

        Args:
            event: An `Event`, or a dict of its fields.
            logger: Who is told after the file, if it is enabled.

        Raises:
            SessionError: if the session is not open.
            InvalidEventError: if it is no event.
            RecordingError: if it can't be written.
        """
        if self._appender is None:
            raise SessionError("Session not opened. Use it in a `with` block, or call open()")
        target = logging.getLogger(logger) if isinstance(logger, str) else logger
        record = make(event, target, strict=True)
        try:
            self._appender.append(self._formatter.line(record), self._lost, key_of(record))
        except OSError as error:
            raise RecordingError(f"Not written to {self.path}: {cause_of(error)}") from error
        if self._appender.links is not None:
            _checkpoints.tell(self._appender)
        if target.isEnabledFor(record.levelno):
            hand_over(record, target)
        return id_of(record)

    def _lost(self, error: OSError) -> None:
        _troubles.count(cause_of(error), self.path)

    def read(self, *, errors: Literal["raise", "skip"] = "raise") -> Iterator[Event]:
        """
        Yield the events of the file; works open or closed.

        Args:
            errors: What happens at a line that is no event: `raise`, or `skip` and report it.

        Raises:
            ReadError: as `hilt_logging.io.reader.read`.
        """
        return reader.read(self.path, errors=errors, rotated=False)

    def __repr__(self) -> str:
        state = "closed" if self._appender is None else "open"
        return f"<{type(self).__name__} {self.path} ({state})>"
