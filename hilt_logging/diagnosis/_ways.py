"""
The ways of events from a logger to what is written, as `logging` would lead them.
"""

from __future__ import annotations

import itertools
import logging

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ..handlers import BackgroundHandler
from ._findings import Destination, Problems, Way
from ._handlers import Handler, Handlers, level_of_name
from ._parts import Filter, Parts, section, unknown_keys
from ._workshop import Workshop


__all__ = ["LOGGERS", "ROOT", "WHOLE", "Logger", "Stop", "Tree", "records_of", "tree_of"]

LOGGERS = (
    "hilt",
    "hilt.openai",
    "hilt.anthropic",
    "hilt.gemini",
    "hilt.langchain",
    "hilt.session",
    "hilt.integrity",
)
"""The loggers of events that there always are."""

ROOT = ""
WHOLE = ("events", "records")
"""What a handler writes that has the whole event."""

_ACTIONS = {
    "DEBUG": ("completion_chunk",),
    "INFO": ("prompt", "completion"),
    "WARNING": ("completion",),
    "ERROR": ("system",),
}
_KEYS = ("level", "propagate", "handlers", "filters")


class Logger(msgspec.Struct):
    """
    A logger that the configuration names, or the root.

    Attributes:
        key: Where it is.
        level: Its level; 0 where it has none.
        propagate: Whether it hands records on to the handlers above.
        handlers: Its handlers.
        filters: Its filters.
    """

    key: str
    level: int
    propagate: bool
    handlers: list[Handler]
    filters: list[Filter]


class Stop(msgspec.Struct):
    """
    A handler to which records of a logger come, and that hands them on to no other.

    Attributes:
        handler: It.
        owner: The name of the logger that it, or the first in front of it, is on.
        through: The queues and buffers in front of it.
    """

    handler: Handler
    owner: str
    through: tuple[Handler, ...] = ()

    def takes(self, level: int) -> bool:
        """Whether it takes a level: behind a stock queue or buffer a handler is not asked for its own."""
        chain = (*self.through, self.handler)
        asked = [chain[0]]
        for front, back in itertools.pairwise(chain):
            if front.is_a(BackgroundHandler) or front.options.get("respect_handler_level") is True:
                asked.append(back)
        return all(each.level <= level for each in asked)

    @property
    def filters(self) -> list[Filter]:
        """All filters on the way."""
        return [each for handler in (*self.through, self.handler) for each in handler.filters]


class Tree:
    """
    Loggers, as a configuration or a program has them.

    Args:
        loggers: Those that are set up, and the root.
        handlers: The handlers by name.
        asked: Loggers that are asked for beside `LOGGERS`.
        is_disabled: Tells of a logger whether it is disabled.
        disabled_to: The level up to which `logging.disable` stops all.

    Attributes:
        loggers: Those that are set up, and the root.
        handlers: The handlers by name.
        names: The loggers whose events are followed.
        is_disabled: Tells of a logger whether it is disabled.
        disabled_to: The level up to which `logging.disable` stops all.
    """

    def __init__(
        self,
        loggers: dict[str, Logger],
        handlers: dict[str, Handler],
        asked: Iterable[str],
        is_disabled: Callable[[str], bool],
        disabled_to: int = 0,
    ) -> None:
        self.loggers = loggers
        self.handlers = handlers
        self.is_disabled = is_disabled
        self.disabled_to = disabled_to
        named = [name for name in loggers if name.startswith("hilt.")]
        self.names = tuple(dict.fromkeys([*LOGGERS, *named, *asked]))

    def above(self, name: str) -> Iterator[str]:
        """Name a logger and those above it, as far as the configuration names them."""
        while name:
            if name in self.loggers:
                yield name
            name = name.rpartition(".")[0]
        yield ROOT

    def asked(self, name: str) -> Iterator[str]:
        """Name those of them whose handlers have the records of a logger."""
        for each in self.above(name):
            yield each
            if not self.loggers[each].propagate:
                return

    def level(self, name: str) -> tuple[int, str]:
        """Return the level that counts, and the logger that has it."""
        for each in self.above(name):
            if self.loggers[each].level:
                return self.loggers[each].level, each
        return logging.NOTSET, ROOT

    def stops(self, name: str) -> Iterator[Stop]:
        """Return the handlers to which records of a logger come, whatever their level."""
        for each in self.asked(name):
            for handler in self.loggers[each].handlers:
                yield from self._ends(Stop(handler, each))

    def _ends(self, stop: Stop) -> Iterator[Stop]:
        if not stop.handler.behind:
            yield stop
        for name in stop.handler.behind:
            target = self.handlers.get(name)
            if target is not None and all(target is not each for each in stop.through):
                yield from self._ends(Stop(target, stop.owner, (*stop.through, stop.handler)))

    def passes(self, name: str, stop: Stop, record: logging.LogRecord) -> bool:
        """Whether filters let a record of a logger come to a handler, as far as that is known."""
        own = self.loggers[name].filters if name in self.loggers else []
        return all(each.passes(record) is not False for each in [*own, *stop.filters])

    def way(self, name: str) -> Way:
        """Return where the events of a logger go."""
        least, _ = self.level(name)
        is_disabled = self.is_disabled(name)
        reached: dict[str, tuple[str, ...]] = {}
        written = []
        for word in _ACTIONS:
            level = getattr(logging, word)
            is_off = is_disabled or level < least or level <= self.disabled_to
            stops = [] if is_off else self._writing(name, level)
            reached[word] = tuple(dict.fromkeys(stop.handler.name for stop in stops))
            if any(stop.handler.writes in WHOLE for stop in stops):
                written.append(word)
        return Way(
            logger=name,
            level=logging.getLevelName(least),
            handlers=reached,
            written=tuple(written),
        )

    def _writing(self, name: str, level: int) -> list[Stop]:
        """The handlers that write events of a level."""
        return [
            stop
            for stop in self.stops(name)
            if stop.handler.writes != "nothing"
            and stop.takes(level)
            and any(self.passes(name, stop, record) for record in records_of(name, level))
        ]

    def destinations(self) -> list[Destination]:
        """Return what the handlers do that any of the loggers reaches."""
        found: dict[tuple[str, tuple[str, ...]], Destination] = {}
        for name in self.names:
            for stop in self.stops(name):
                if stop.handler.writes == "nothing":
                    continue
                through = tuple(each.name for each in stop.through)
                found.setdefault((stop.handler.name, through), stop.handler.destination(through))
        return list(found.values())


def tree_of(workshop: Workshop, parts: Parts, handlers: Handlers, asked: Iterable[str]) -> Tree:
    """Return the loggers of a configuration."""
    data, problems = workshop.configuration.data, workshop.problems

    def logger(key: str, config: dict[str, Any], default: int) -> Logger:
        if workshop.configuration.format != "ini":
            unknown_keys(problems, key, config, _KEYS)
        return Logger(
            key,
            level_of_name(config.get("level"), f"{key}.level", workshop, default),
            _propagates(config.get("propagate"), f"{key}.propagate", problems),
            handlers.named(config.get("handlers"), f"{key}.handlers"),
            parts.filters(config.get("filters"), f"{key}.filters"),
        )

    configs = section(data, "loggers", problems)
    loggers = {
        name: logger(f"loggers.{name}", each, logging.NOTSET) for name, each in configs.items()
    }
    root = section({"": {"root": data["root"]} if data.get("root") else {}}, "", problems)
    loggers[ROOT] = logger("root", root.get("root", {}), logging.WARNING)

    def is_disabled(name: str) -> bool:
        """Whether `logging.config` disables a logger that was there before."""
        is_on = data.get("disable_existing_loggers", True)
        return bool(is_on) and all(each == ROOT for each in tree.above(name))

    tree = Tree(loggers, handlers.found, asked, is_disabled)
    return tree


def _propagates(value: object, key: str, problems: Problems) -> bool:
    if not isinstance(value, bool | int | None):
        problems.add(
            "warning",
            "no-truth-value",
            key,
            f"is {value!r}" if isinstance(value, str) else "is no truth value",
            "every text counts as true",
            "Write true or false without quotes",
        )
    return value is None or bool(value)


def records_of(name: str, level: int) -> Iterator[logging.LogRecord]:
    """Return records as the events of a logger are at a level, for filters to look at."""
    for action in _ACTIONS[logging.getLevelName(level)]:
        event: dict[str, Any] = {
            "hilt_version": "1.0.0",
            "event_id": "0194c2f0-0000-7000-8000-000000000000",
            "timestamp": "2026-01-02T03:04:05.678901Z",
            "session_id": "hilt-log",
            "actor": {"type": "human" if action == "prompt" else "agent", "id": "hilt-log"},
            "action": action,
        }
        provider = name.rpartition(".")[2]
        if provider in ("openai", "anthropic", "gemini"):
            event["provenance"] = {"provider": provider}
        yield logging.makeLogRecord({"name": name, "levelno": level, "hilt": event})
