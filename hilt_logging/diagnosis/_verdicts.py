"""
What keeps events from being written, or leads them where they should not go.
"""

from __future__ import annotations

import logging
import logging.handlers

from typing import Any

from ..handlers import HILTFileHandler
from ._files import Configuration
from ._findings import Problems, Way
from ._ways import ROOT, WHOLE, Stop, Tree, records_of


__all__ = ["Judge"]


class Judge:
    """
    Notes what is wrong with the ways of events.

    Args:
        tree: The loggers.
        configuration: What the file says.
        problems: Where it is noted.
    """

    def __init__(self, tree: Tree, configuration: Configuration, problems: Problems) -> None:
        self._tree = tree
        self._configuration = configuration
        self._problems = problems

    def look_at(self, way: Way) -> None:
        """Note why events of a logger are not written, and where they should not go."""
        name = way.logger
        level, setter = self._tree.level(name)
        stops = list(self._tree.stops(name))
        if self._tree.is_disabled(name):
            self._tell_disabled(name)
        elif self._tree.disabled_to >= logging.INFO:
            self._tell_all_disabled(name)
        elif level > logging.INFO:
            self._tell_level(name, level, setter)
        elif not any(stop.handler.writes != "nothing" for stop in stops):
            self._tell_no_handler(name, stops)
        elif not any(stop.handler.writes in WHOLE for stop in stops):
            self._tell_no_writer(name, stops)
        elif "INFO" not in way.written:
            self._tell_not_written(name, stops)
        else:
            self._tell_left_out(name, stops)
        self._tell_of_root(name, stops)
        self._tell_twice(name, stops)
        self._tell_context(stops)

    def _key(self, name: str) -> str:
        nearest = next(self._tree.above(name))
        return self._tree.loggers[nearest].key if nearest else "loggers"

    def _tell_disabled(self, name: str) -> None:
        is_ours = name == "hilt" or name.startswith("hilt.")
        if self._configuration.format == "program":
            self._problems.add(
                "error" if is_ours else "warning",
                "disabled",
                f"loggers.{name}",
                "is disabled",
                "logging.config did that: the logger was there before, and the configuration does "
                "not name it",
                "Set disable_existing_loggers: false in the configuration",
                name,
            )
            return
        remedy = "Set disable_existing_loggers: false, or name hilt under loggers"
        if self._configuration.format == "ini":
            remedy = "Give fileConfig disable_existing_loggers=False, or name hilt under [loggers]"
        self._problems.add(
            "error" if is_ours else "warning",
            "disabled",
            "disable_existing_loggers",
            "is not false, and neither the logger nor one above it is named",
            "logging.config disables it where it is there before, as hilt is once hilt_logging is "
            "imported",
            remedy,
            name,
        )

    def _tell_all_disabled(self, name: str) -> None:
        word = logging.getLevelName(self._tree.disabled_to)
        self._problems.add(
            "error",
            "disable",
            "logging.disable",
            f"was called with {word}",
            "nothing of this level or below comes from any logger",
            "Call logging.disable(logging.NOTSET)",
            name,
        )

    def _tell_level(self, name: str, level: int, setter: str) -> None:
        word = logging.getLevelName(level)
        key, what = f"{self._tree.loggers[setter].key}.level", f"is {word}"
        root = self._configuration.data.get("root")
        if setter == ROOT and not (isinstance(root, dict) and root.get("level")):
            key, what = self._key(name), f"has no level, nor has the root: that means {word}"
        self._problems.add(
            "error",
            "level",
            key,
            what,
            "what went well is INFO, and is not even made",
            f"Set the level of {setter or 'hilt'} to INFO",
            name,
        )

    def _tell_no_handler(self, name: str, stops: list[Stop]) -> None:
        *_, last = self._tree.asked(name)
        key = self._key(name)
        what = "reaches only handlers that write nothing" if stops else "reaches no handler"
        remedy = "Give hilt a handler of class hilt_logging.HILTFileHandler"
        if last != ROOT and not stops:
            key = f"{self._tree.loggers[last].key}.propagate"
            what = "is false, and no handler comes before it"
            remedy = f"Give {last} a handler, or take propagate: false away"
        self._problems.add("error", "no-handler", key, what, "events go nowhere", remedy, name)

    def _tell_no_writer(self, name: str, stops: list[Stop]) -> None:
        unknown = [stop.handler for stop in stops if stop.handler.writes == "unknown"]
        if unknown:
            self._problems.add(
                "warning",
                "not-known",
                unknown[0].key,
                f"is {unknown[0].kind or 'code'}, or has a formatter that is code",
                "what it makes of an event is only known when it runs",
                "Try it: --emit",
                name,
            )
            return
        first = next(stop.handler for stop in stops if stop.handler.writes == "summaries")
        remedy = "Take hilt_logging.HILTFileHandler"
        if first.path is None:
            remedy = "Give it a hilt_logging.HILTFormatter, or hilt a HILTFileHandler"
        self._problems.add(
            "error",
            "no-writer",
            f"{first.key}.formatter" if first.formatter else first.key,
            "makes a line of text of a record",
            "of an event that is a summary without what was said, and no other handler has the "
            "whole",
            remedy,
            name,
        )

    def _tell_not_written(self, name: str, stops: list[Stop]) -> None:
        """Handlers that write whole events are there, but INFO does not come to them."""
        whole = [stop for stop in stops if stop.handler.writes in WHOLE]
        taking = [stop for stop in whole if stop.takes(logging.INFO)]
        if not taking:
            chain = (*whole[0].through, whole[0].handler)
            first = next(each for each in chain if each.level > logging.INFO)
            word = logging.getLevelName(first.level)
            self._problems.add(
                "error",
                "handler-level",
                f"{first.key}.level",
                f"is {word}",
                f"it takes {word} and above only, and what went well is INFO",
                "Set it to INFO, or take it away: the level of the logger will do",
                name,
            )
            return
        self._problems.add(
            "error",
            "filtered",
            self._key_of_filters(name, taking[0]),
            "let no prompt and no completion pass",
            "nothing that goes well is written",
            "Take the filter away, or correct it",
            name,
        )

    def _key_of_filters(self, name: str, stop: Stop) -> str:
        """Where the first filter stands that stops anything."""
        records = list(records_of(name, logging.INFO))
        logger = self._tree.loggers.get(name)
        owners = [(each.key, each.filters) for each in (*stop.through, stop.handler)]
        for key, filters in [(logger.key, logger.filters), *owners] if logger else owners:
            if any(each.passes(record) is False for each in filters for record in records):
                return f"{key}.filters"
        return f"{stop.handler.key}.filters"

    def _tell_left_out(self, name: str, stops: list[Stop]) -> None:
        """Some are written, others are not."""
        taking = [s for s in stops if s.handler.writes in WHOLE and s.takes(logging.INFO)]
        for record in records_of(name, logging.INFO):
            if taking and not any(self._tree.passes(name, stop, record) for stop in taking):
                action = record.hilt["action"]  # type: ignore[attr-defined]
                self._problems.add(
                    "warning",
                    "left-out",
                    self._key_of_filters(name, taking[0]),
                    f"let no {action} pass",
                    f"each {action} is missing in the record",
                    "Give another handler what these leave out, where it is to be kept",
                    name,
                )

    def _tell_of_root(self, name: str, stops: list[Stop]) -> None:
        for stop in stops:
            if stop.owner == ROOT and stop.handler.writes == "records":
                self._problems.add(
                    "warning",
                    "content-shown",
                    f"{self._key(name)}.propagate",
                    f"lets events come to {stop.handler.name}, a handler of the root",
                    "it prints all that is on a record, and that is the whole content",
                    "Set propagate: false on hilt",
                    name,
                )

    def _tell_twice(self, name: str, stops: list[Stop]) -> None:
        names = [stop.handler.name for stop in stops if not stop.handler.is_a(HILTFileHandler)]
        for each in dict.fromkeys(names):
            if names.count(each) > 1:
                self._problems.add(
                    "warning",
                    "twice",
                    f"{self._key(name)}.handlers",
                    f"leads to {each} twice",
                    "it writes every event twice",
                    "Take it away from one of the loggers, or set propagate: false",
                    name,
                )

    def _tell_context(self, stops: list[Stop]) -> None:
        """In a thread of others, the context of the one that logged is not known."""
        for stop in stops:
            queues = [each for each in stop.through if each.is_a(logging.handlers.QueueHandler)]
            if stop.handler.is_a(logging.handlers.QueueHandler):
                queues.append(stop.handler)
            if queues and not any(each.completes for each in stop.filters):
                self._problems.add(
                    "warning",
                    "context",
                    queues[0].key,
                    "puts records into a queue as they are",
                    "events on log records of your own are completed in another thread, where "
                    "session and user are not known",
                    "Give it the filter hilt_logging.HILTContextFilter",
                )

    def look_at_all(self) -> None:
        """Note what is wrong with loggers and handlers themselves."""
        for name, logger in self._tree.loggers.items():
            if name in (ROOT, "hilt") or name.startswith("hilt."):
                self._look_at_filters(name, logger)
        self._look_at_unused()

    def _look_at_filters(self, name: str, logger: Any) -> None:
        if any(not each.completes for each in logger.filters):
            self._problems.add(
                "warning",
                "parent-filter",
                f"{logger.key}.filters",
                "are filters of a logger",
                "they do not see what loggers below it log: logging asks those of the logger that "
                "is called, and those of handlers",
                "Put them on the handlers",
            )

    def _look_at_unused(self) -> None:
        tree = self._tree
        reached = {stop.handler.name for name in tree.names for stop in tree.stops(name)}
        anywhere = {stop.handler.name for name in tree.loggers for stop in tree.stops(name)}
        for handler in tree.handlers.values():
            if handler.name in reached or handler.writes != "events":
                continue
            elsewhere = handler.name in anywhere
            self._problems.add(
                "warning",
                "unused",
                handler.key,
                "is only on loggers to which no event comes" if elsewhere else "is on no logger",
                "it writes no event",
                "Name it under the handlers of hilt",
            )
