"""
Handlers of a configuration: what they take, what they make of an event, and where it goes.
"""

from __future__ import annotations

import inspect
import logging
import logging.handlers
import os
import sys

from typing import Any

import msgspec

from .._logfile import absolute
from ..config import EXTRAS_PACKAGES
from ..errors import HILTError
from ..handlers import BackgroundHandler, HILTFileHandler
from ._findings import Destination, Writes
from ._parts import Filter, Formatter, Parts, no_list, no_such, section
from ._places import look_at_files
from ._workshop import UNKNOWN, NotKnownError, Workshop, package_of


__all__ = ["Handler", "Handlers", "level_of_name"]

_KEYS = ("class", "()", ".", "level", "formatter", "filters")
_QUEUES = sys.version_info >= (3, 12)
_STREAMS = {"ext://sys.stdout": "stdout", "ext://sys.stderr": "stderr"}
_SENDS_ALL = (
    logging.handlers.SocketHandler,  # a pickle of all that is on a record
    logging.handlers.HTTPHandler,
)


class Handler(msgspec.Struct):
    """
    A handler.

    Attributes:
        name: Its name.
        key: Where it is.
        kind: Its class, as the configuration names it.
        cls: Its class; `UNKNOWN` where that is not known.
        level: From which level on it takes records.
        filters: Its filters.
        formatter: Its formatter; None where the configuration names none.
        options: What its class is given.
        made: It, where it is ours: without its file.
        path: The file that it writes, absolute.
        behind: The names of the handlers that it hands records to.
    """

    name: str
    key: str
    kind: str
    cls: Any
    level: int = logging.NOTSET
    filters: list[Filter] = []
    formatter: Formatter | None = None
    options: dict[str, Any] = {}
    made: Any = None
    path: str | None = None
    behind: tuple[str, ...] = ()

    def is_a(self, *classes: type) -> bool:
        """Whether its class is one of these, or derived from one."""
        return isinstance(self.cls, type) and issubclass(self.cls, classes)

    @property
    def writes(self) -> Writes:
        """What it makes of an event."""
        if self.is_a(HILTFileHandler):
            return "events"
        if self.is_a(logging.NullHandler, *_BUFFERS) or self.stream_of_text:
            return "nothing"
        if self.is_a(*_SENDS_ALL):
            return "records"
        if isinstance(self.cls, type):
            if {package_of(base.__module__) for base in self.cls.__mro__} & set(EXTRAS_PACKAGES):
                return "records"
            if self.formatter is None:
                return "summaries" if self.cls.__module__.startswith("logging") else "unknown"
        elif package_of(self.kind) in EXTRAS_PACKAGES:
            return "records"
        return "unknown" if self.formatter is None else self.formatter.writes

    @property
    def stream_of_text(self) -> str | None:
        """What is given for a stream where it is a text, and not what `ext://` means."""
        stream = self.options.get("stream")
        if not isinstance(stream, str) or not self.is_a(logging.StreamHandler):
            return None
        return None if stream.startswith(("ext://", "cfg://")) else stream

    @property
    def foreign(self) -> str | None:
        """What becomes of ordinary records."""
        if any(each.keeps_others_out for each in self.filters):
            return "drop"
        if self.is_a(HILTFileHandler):
            return str(self.options.get("foreign", "drop"))
        return "wrap" if self.writes == "events" else None

    @property
    def to(self) -> str | None:
        """Where what it writes goes."""
        if self.path is not None:
            return self.path
        if self.is_a(logging.StreamHandler) and not self.is_a(logging.FileHandler):
            return _STREAMS.get(str(self.options.get("stream", "ext://sys.stderr")))
        address = self.options.get("address") or self.options.get("mailhost")
        if address is None and "host" in self.options:
            address = [self.options["host"], self.options.get("port")]
        if isinstance(address, list | tuple):
            return ":".join(str(each) for each in address if each is not None)
        return address if isinstance(address, str) else None

    def destination(self, through: tuple[str, ...]) -> Destination:
        """Return what is told of it."""
        return Destination(
            handler=self.name,
            kind=self.kind,
            to=self.to,
            level=logging.getLevelName(self.level),
            writes=self.writes,
            foreign=self.foreign,  # type: ignore[arg-type]
            filters=tuple(each.name for each in self.filters),
            through=through,
        )


_BUFFERS = (logging.handlers.BufferingHandler, logging.handlers.QueueHandler)


class Handlers:
    """
    Makes handlers by their names, each once.

    Args:
        workshop: What makes them.
        parts: Formatters and filters.

    Attributes:
        found: The handlers by name.
    """

    def __init__(self, workshop: Workshop, parts: Parts) -> None:
        self._workshop = workshop
        self._problems = workshop.problems
        self._parts = parts
        self._configs = section(workshop.configuration.data, "handlers", self._problems)
        self.found: dict[str, Handler] = {}
        self._being_made: set[str] = set()
        for name in self._configs:
            self._make(name)
        for handler in self.found.values():
            if handler.made not in (None, UNKNOWN) and handler.path is not None:
                workshop.look_at_log(handler.options, handler.path, handler.key)
        look_at_files(self.found.values(), self._problems)

    def named(self, names: object, key: str) -> list[Handler]:
        """Return the handlers that a list names."""
        if not names:
            return []
        if not isinstance(names, list | tuple):
            self._problems.error(*no_list(key, names))
            return []
        words = [name if isinstance(name, str) else "" for name in names]
        for name in words:
            if name not in self._configs:
                self._problems.error(*no_such("handler", name, key, self._configs))
        return [self.found[name] for name in words if name in self.found]

    def _make(self, name: str) -> Handler | None:
        if name in self.found:
            return self.found[name]
        if name in self._being_made:
            return None  # they stand behind each other
        self._being_made.add(name)
        handler = self._begun(name, self._configs[name])
        if handler.is_a(*_BUFFERS):
            self._look_behind(handler)
        self._finish(handler)
        self.found[name] = handler
        return handler

    def _begun(self, name: str, config: dict[str, Any]) -> Handler:
        key = f"handlers.{name}"
        by = "()" if "()" in config else "class"
        given = config.get(by)
        kind = given if isinstance(given, str) else getattr(given, "__name__", "")
        handler = Handler(name, key, str(kind), self._workshop.find(given, f"{key}.{by}"))
        handler.level = level_of_name(config.get("level"), f"{key}.level", self._workshop)
        handler.filters = self._parts.filters(config.get("filters"), f"{key}.filters")
        if config.get("formatter"):
            handler.formatter = self._parts.formatter(config["formatter"], f"{key}.formatter")
        handler.options = self._options(handler, config)
        handler.path = self._path(handler)
        return handler

    def _options(self, handler: Handler, config: dict[str, Any]) -> dict[str, Any]:
        """What its class is given; of an ini file its arguments, by the names of the parameters."""
        if self._workshop.configuration.format != "ini":
            return {
                name: value
                for name, value in config.items()
                if name not in _KEYS and str(name).isidentifier()
            }
        args, kwargs = config.get("args", []), config.get("kwargs", {})
        found = {"target": config["target"]} if config.get("target") else {}
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            return found
        if handler.cls is UNKNOWN:
            return found | kwargs
        with self._workshop.refusing(handler.key):
            bound = inspect.signature(handler.cls).bind(*args, **kwargs).arguments
            found |= {each: value for each, value in bound.items() if each != "formatter_options"}
            found |= bound.get("formatter_options", {})
        return found

    def _path(self, handler: Handler) -> str | None:
        if not handler.is_a(logging.FileHandler, HILTFileHandler):
            return None
        key = f"{handler.key}.filename"
        try:
            given = self._workshop.value(handler.options.get("filename", ""), key)
        except NotKnownError:
            return None
        if handler.is_a(HILTFileHandler):
            with self._workshop.refusing(handler.key):
                return absolute(given)
            return None
        if not isinstance(given, str | os.PathLike) or not os.fspath(given):
            return None
        return os.path.abspath(os.fsdecode(given))

    def _look_behind(self, handler: Handler) -> None:
        """What a queue or buffer hands records to."""
        if handler.is_a(logging.handlers.QueueHandler):
            self._look_behind_queue(handler)
            return
        target = handler.options.get("target")
        key = f"{handler.key}.target"
        if target is None:
            why = "nothing is handed on"
            self._problems.error("no-target", handler.key, "has no target", why, "Name a handler")
        elif not isinstance(target, str) or target not in self._configs:
            self._problems.error(*no_such("handler", target, key, self._configs))
        elif self._make(target) is None:
            why = "they stand behind each other"
            self._problems.error("circle", key, f"is {target}", why, "Name a handler that writes")
        else:
            handler.behind = (target,)

    def _look_behind_queue(self, handler: Handler) -> None:
        names = handler.options.get("handlers")
        key = f"{handler.key}.handlers"
        if names is not None and not _QUEUES:
            why = f"Python {sys.version_info[0]}.{sys.version_info[1]} knows it not, 3.12 does"
            self._problems.error(
                "queue", key, "is given", why, "Take hilt_logging.BackgroundHandler and target"
            )
            return
        handler.behind = tuple(each.name for each in self._queued(names, key, handler))
        if not handler.behind:
            self._problems.add(
                "warning",
                "queue",
                handler.key,
                "puts records into a queue",
                "the configuration does not say who takes them from it",
                "Start a QueueListener in the application, or take hilt_logging.BackgroundHandler",
            )
            return
        self._problems.add(
            "info",
            "listener",
            handler.key,
            "puts records into a queue",
            "logging.config does not start the thread that writes them",
            f'logging.getHandlerByName("{handler.name}").listener.start() in the application',
        )

    def _queued(self, names: object, key: str, handler: Handler) -> list[Handler]:
        for name in names if isinstance(names, list | tuple) else ():
            if isinstance(name, str) and name in self._configs and self._make(name) is None:
                why = "they stand behind each other"
                self._problems.error("circle", key, f"is {name}", why, "Name one that writes")
        return self.named(names, key)

    def _finish(self, handler: Handler) -> None:
        """Make what is ours, and see whether the rest could be made."""
        if handler.cls is UNKNOWN:
            return
        if handler.cls is HILTFileHandler:
            if handler.path is None:
                self._workshop.make_file_handler(handler.cls, {**handler.options}, "", handler.key)
                return
            handler.made = self._workshop.make_file_handler(
                handler.cls, handler.options, handler.path, handler.key
            )
            self._take_formatter(handler)
        elif handler.cls is BackgroundHandler:
            behind = self.found.get(handler.behind[0]) if handler.behind else None
            self._workshop.make_background(
                handler.cls, handler.options, behind and behind.made, handler.key
            )
        else:
            self._look_at_options(handler)

    def _take_formatter(self, handler: Handler) -> None:
        if handler.formatter is None or handler.made is UNKNOWN:
            return
        given = handler.formatter.made
        if given is UNKNOWN and handler.formatter.writes in ("events", "unknown"):
            return
        with self._workshop.refusing(f"{handler.key}.formatter"):
            handler.made.setFormatter(logging.Formatter() if given is UNKNOWN else given)

    def _look_at_options(self, handler: Handler) -> None:
        options = dict(handler.options)
        if handler.is_a(logging.handlers.QueueHandler):
            for name in ("handlers", "listener", "respect_handler_level", "queue"):
                options.pop(name, None)
            options["queue"] = None
        if handler.is_a(logging.handlers.MemoryHandler) and handler.cls.__module__.startswith(
            "logging"
        ):
            why = "what waits in it is lost where the process is killed"
            self._problems.add(
                "info", "buffer", handler.key, "holds records back", why, "Take BackgroundHandler"
            )
        if handler.stream_of_text is not None:
            what = f"is {handler.stream_of_text!r}, a text"
            why = "it is no stream: nothing comes out, and logging says so at each record"
            key = f"{handler.key}.stream"
            self._problems.error("no-stream", key, what, why, "Write ext:// before it")
        if handler.cls.__module__.startswith("logging"):
            self._workshop.fits(handler.cls, options, handler.key)
        elif isinstance(handler.cls, type) and not issubclass(handler.cls, logging.Handler):
            why = f"{handler.cls.__name__} is no handler"
            self._problems.error("no-handler-class", handler.key, "is of it", why, "Name a handler")


def level_of_name(value: object, key: str, workshop: Workshop, default: int = 0) -> int:
    """Return the number of a level; where it is none, that is noted."""
    if value is None or value == "":
        return default
    if isinstance(value, str) and workshop.configuration.format == "ini":
        value = value.strip()
    try:
        return int(logging._checkLevel(value))  # type: ignore[attr-defined]
    except (TypeError, ValueError, HILTError):
        shown = repr(value) if isinstance(value, str | int) else type(value).__name__
        near = value.upper() if isinstance(value, str) else ""
        names = logging.getLevelNamesMapping()
        remedy = f"Write {near}" if near in names else "Write DEBUG, INFO, WARNING or ERROR"
        workshop.problems.error("no-level", key, f"is {shown}", "logging has no such level", remedy)
        return default
