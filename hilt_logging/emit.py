"""
From an event to a logger: ask first, build after.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

from typing import Any

from ._diagnostics import Troubles, to_logger
from .errors import RecordingError
from .events import Event
from .records import HILTRecord, id_of, level_of, make


__all__ = ["emit", "hand_over", "note_failure"]

_PACKAGE = os.path.dirname(__file__) + os.sep
_MOST_NESTED = 3  # an event, one of a signal handler within it, one of a __del__ within that
_HIGHEST = logging.ERROR  # of the levels that an event has by itself
_Logger = logging.Logger


class _Nesting(threading.local):
    """How deep this thread is in `emit`, and what it is to raise in the end."""

    depth = 0
    failure: RecordingError | None = None


_nesting = _Nesting()
_troubles = Troubles(to_logger(__name__))
_loggers: dict[object, logging.Logger] = {}


def emit(
    event: Event | dict[str, Any],
    *,
    logger: str | logging.Logger = "hilt",
    level: int | str | None = None,
    find_caller: bool = False,
) -> str | None:
    """
    Log an event and return its id; None when nobody listens, and then nothing is built.

    The event gets what is bound here (session, user, trace, further fields). An event that is not
    valid is logged as a `system` event that carries it. Never raises, except for `RecordingError`
    of a handler that was set up to.

    Args:
        event: An `Event`, or a dict of its fields.
        logger: `hilt` or a child of it, by name or itself.
        level: A level of `logging`, a number or a name; by default that of the event: DEBUG for a chunk, INFO for what
            went well, WARNING for what was cut short or refused, ERROR for what failed.
        find_caller: Look up path, line and function of the caller for the record.
    """
    try:
        target: logging.Logger = (
            logger if type(logger) is _Logger else _loggers.get(logger) or _logger(logger)
        )
        if level is not None and isinstance(level, str):
            level = logging.getLevelNamesMapping().get(level.upper())
        if level is None and not target.isEnabledFor(_HIGHEST):
            return None
        levelno = level_of(event) if level is None else level
        if not target.isEnabledFor(levelno):
            return None
        caller = _caller() if find_caller else None
        record = make(event, target, level, caller=caller, own_level=levelno)
        return hand_over(record, target)
    except RecordingError:
        raise
    except Exception as error:
        _count(error)
        return None


def hand_over(record: logging.LogRecord, logger: logging.Logger) -> str | None:
    """
    Let a logger handle the record of an event and return the event's id.

    A handler that emits while it handles an event is heard, but not for ever.
    """
    nesting = _nesting
    depth = nesting.depth
    if depth >= _MOST_NESTED:
        _troubles.count("recursion", "emit")
        return None
    event_id = record.hilt_id if type(record) is HILTRecord else id_of(record)
    nesting.depth = depth + 1
    try:
        logger.handle(record)
    except RecordingError:
        raise
    except Exception as error:  # of a filter or a handler that is not ours
        _count(error)
        return None
    finally:
        nesting.depth = depth
    if depth == 0 and nesting.failure is not None:
        failure, nesting.failure = nesting.failure, None
        raise failure
    return event_id


def note_failure(error: RecordingError) -> None:
    """
    Let the `emit` that runs in this thread raise an error when all handlers had the event.

    Nothing happens where none does, or where it runs within another one: in a signal handler or a
    `__del__`.
    """
    if _nesting.depth == 1:
        _nesting.failure = error


def _count(error: Exception) -> None:
    try:
        _troubles.count(type(error).__name__, "emit")
    except RecursionError:  # no room is left on the stack
        return


def _logger(logger: Any) -> logging.Logger:
    if isinstance(logger, logging.LoggerAdapter):
        return _logger(logger.logger)
    if isinstance(logger, logging.Logger):
        return logger
    found = _loggers[logger] = logging.getLogger(logger)
    return found


def _caller() -> tuple[str, int, str] | None:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
