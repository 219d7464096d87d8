"""
The loggers and handlers of the program that runs.
"""

from __future__ import annotations

import logging
import sys

from collections.abc import Iterable
from typing import Any

from ..handlers import BackgroundHandler, HILTFileHandler
from ._findings import Problems
from ._handlers import Handler
from ._parts import Filter, Formatter, writes_of
from ._places import look_at_files
from ._ways import LOGGERS, ROOT, Logger, Tree
from ._workshop import UNKNOWN, is_ours


__all__ = ["tree_of_program"]


def tree_of_program(asked: Iterable[str], problems: Problems) -> Tree:
    """Return the loggers of this program; none is made."""
    return _Looking(problems).tree(list(asked))


class _Looking:
    """Looks at handlers, each once, and gives each a name."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._names: dict[int, str] = {}
        self._handlers: dict[str, Handler] = {}

    def tree(self, asked: list[str]) -> Tree:
        there = logging.Logger.manager.loggerDict
        named = [name for name in list(there) if name.startswith("hilt.")]
        names = {above for name in [*LOGGERS, *named, *asked] for above in _with_above(name)}
        loggers = {
            name: self._logger(f"loggers.{name}", logger)
            for name in sorted(names)
            if isinstance(logger := there.get(name), logging.Logger)
        }
        loggers[ROOT] = self._logger("root", logging.root)
        look_at_files(self._handlers.values(), self._problems)
        return Tree(
            loggers,
            self._handlers,
            asked,
            lambda name: bool(getattr(there.get(name), "disabled", False)),
            logging.Logger.manager.disable,
        )

    def _logger(self, key: str, logger: logging.Logger) -> Logger:
        return Logger(
            key,
            logger.level,
            bool(logger.propagate),
            [self._handler(each) for each in logger.handlers[:] if self._is_handler(each, key)],
            _filters(logger),
        )

    def _is_handler(self, each: object, key: str) -> bool:
        if isinstance(each, logging.Handler):
            return True
        why = "logging fails where it comes to it, at every record"
        what = f"has a {type(each).__name__} among its handlers"
        self._problems.error("no-handler-class", key, what, why, "Take it away")
        return False

    def _handler(self, handler: logging.Handler) -> Handler:
        name = self._names.get(id(handler))
        if name is not None:
            return self._handlers[name]
        kind = type(handler).__name__
        name = str(handler.name or kind)
        while name in self._handlers:
            name += "'"
        self._names[id(handler)] = name
        found = self._handlers[name] = Handler(
            name, f"handlers.{name}", kind, type(handler), handler.level, _filters(handler)
        )
        found.formatter = self._formatter(handler.formatter, f"{found.key}.formatter")
        found.options = _options(handler)
        path = getattr(handler, "baseFilename", None)
        found.path = path if isinstance(path, str) else None
        found.behind = tuple(self._handler(each).name for each in _behind(handler))
        self._look_at_losses(handler, found.key)
        return found

    def _formatter(self, formatter: logging.Formatter | None, key: str) -> Formatter | None:
        if formatter is None:
            return None
        cls = type(formatter)
        return Formatter(
            key, formatter, writes_of(cls, cls.__name__, vars(formatter), key, self._problems)
        )

    def _look_at_losses(self, handler: logging.Handler, key: str) -> None:
        if not isinstance(handler, HILTFileHandler | BackgroundHandler):
            return
        stats = handler.stats()
        if stats["dropped"]:
            causes = ", ".join(f"{count} {cause}" for cause, count in stats["dropped_by"].items())
            what = f"has dropped {stats['dropped']} event(s)"
            why = f"they could not be written: {causes}"
            self._problems.error("dropped", key, what, why, "See stats() of the handler")


def _with_above(name: str) -> Iterable[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _filters(of: logging.Filterer) -> list[Filter]:
    """Filters; those that are neither ours nor of `logging` are code."""
    return [
        Filter(type(each).__name__, each if is_ours(type(each)) or _is_stock(each) else UNKNOWN)
        for each in list(of.filters)
    ]


def _is_stock(each: object) -> bool:
    return type(each) is logging.Filter


def _options(handler: logging.Handler) -> dict[str, Any]:
    """What tells more of a handler, as a configuration would have it."""
    found: dict[str, Any] = {}
    stream = getattr(handler, "stream", None)
    if isinstance(handler, logging.StreamHandler):
        places = {id(sys.stdout): "ext://sys.stdout", id(sys.stderr): "ext://sys.stderr"}
        found["stream"] = stream if isinstance(stream, str) else places.get(id(stream))
    if isinstance(handler, HILTFileHandler):
        found["foreign"] = "wrap" if handler._wraps else "drop"
    for name in ("mode", "host", "port", "address", "mailhost"):
        value = getattr(handler, name, None)
        if isinstance(value, str | int | tuple):
            found[name] = value
    listener = getattr(handler, "listener", None)
    if getattr(listener, "respect_handler_level", False) is True:
        found["respect_handler_level"] = True
    return found


def _behind(handler: logging.Handler) -> list[logging.Handler]:
    """What a queue or buffer hands records to."""
    target = getattr(handler, "target", None)
    listener = getattr(handler, "listener", None)
    found = [target, *getattr(listener, "handlers", ())]
    return [each for each in found if isinstance(each, logging.Handler)]
