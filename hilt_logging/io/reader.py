"""
From a file back to events: streaming, and tolerant of what a crash or another program left there.
"""

from __future__ import annotations

import codecs
import logging
import os

from collections.abc import Callable, Iterator
from typing import Literal

from ..errors import ConfigurationError, InvalidEventError, ReadError
from ..events import Event


__all__ = ["read"]

_log = logging.getLogger(__name__)


def read(
    path: str | os.PathLike[str],
    *,
    errors: Literal["raise", "skip"] = "raise",
    report: Callable[[ReadError], None] | None = None,
) -> Iterator[Event]:
    r"""
    Yield the events of a file, in its order; empty lines are passed over.

    Lines end at `\n` only. Files of hilt-python are read too.

    Args:
        path: The file.
        errors: What happens at a line that is no event: `raise`, or `skip` and report it.
        report: Is called with the error of each line that is skipped; by default it becomes a
            warning on the logger `hilt_logging.io.reader`.

    Raises:
        ConfigurationError: for another value of *errors*.
        ReadError: if the file is missing or can't be read, or for a line that is no event; it
            names file and line.
    """
    if errors not in ("raise", "skip"):
        raise ConfigurationError("errors", errors, "Must be one of: raise, skip")
    return _events(os.fspath(path), report or _warn if errors == "skip" else _raise)


def _events(path: str, report: Callable[[ReadError], None]) -> Iterator[Event]:
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if not line.strip():
                    continue
                try:
                    event = Event.from_json(line)
                except InvalidEventError as error:
                    torn = "" if line.endswith(b"\n") else " (the line has no end)"
                    report(ReadError(f"not an event: {error}{torn}", path, number))
                else:
                    yield event
    except FileNotFoundError:
        raise ReadError("File not found", path) from None
    except OSError as error:
        raise ReadError(error.strerror or type(error).__name__, path) from error


def _raise(error: ReadError) -> None:
    raise error


def _warn(error: ReadError) -> None:
    _log.warning("%s", error)
