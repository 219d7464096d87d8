"""
Formatters and filters of a configuration.
"""

from __future__ import annotations

import difflib
import logging

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ..config import EXTRAS_PACKAGES
from ..filters import HILTContextFilter, ModelFilter, OnlyHILT, SessionFilter, SessionSampler
from ..formatters import HILTFormatter, HILTTextFormatter
from ._findings import Problems, Writes
from ._workshop import UNKNOWN, Workshop, is_ours, package_of


__all__ = ["Filter", "Formatter", "Parts", "section", "unknown_keys", "writes_of"]

_FORMATTER_KEYS = ("class", "format", "datefmt", "style", "validate", "defaults")
_MEANT = {"fmt": "format"}
_DEPENDS = (ModelFilter, SessionFilter, SessionSampler)


class Formatter(msgspec.Struct):
    """
    A formatter.

    Attributes:
        key: Where it is.
        made: It, where it is ours or of `logging`.
        writes: What it makes of an event.
    """

    key: str
    made: Any
    writes: Writes


class Filter(msgspec.Struct):
    """
    A filter.

    Attributes:
        name: Its name.
        made: It, where it is ours or of `logging`.
    """

    name: str
    made: Any

    def passes(self, record: logging.LogRecord) -> bool | None:
        """Return whether it lets a record pass; None where that is not known, or depends on more."""
        if self.made is UNKNOWN or isinstance(self.made, _DEPENDS):
            return None
        try:
            return bool(self.made.filter(record))
        except Exception:  # as likely to be a fault of a subclass
            return None

    @property
    def completes(self) -> bool:
        """Whether it completes events in the thread that logs."""
        return isinstance(self.made, HILTContextFilter)

    @property
    def keeps_others_out(self) -> bool:
        """Whether it lets events alone pass."""
        return isinstance(self.made, OnlyHILT)


class Parts:
    """
    Makes formatters and filters by their names, each once.

    Args:
        workshop: What makes them.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._problems = workshop.problems
        data = workshop.configuration.data
        formatters = section(data, "formatters", self._problems)
        filters = section(data, "filters", self._problems)
        self._formatters = {
            name: self._formatter(f"formatters.{name}", each) for name, each in formatters.items()
        }
        self._filters = {
            name: self._filter(name, f"filters.{name}", each) for name, each in filters.items()
        }

    def formatter(self, name: object, key: str) -> Formatter | None:
        """Return a formatter; None where there is none of this name."""
        found = self._formatters.get(name) if isinstance(name, str) else None
        if found is None:
            self._problems.error(*no_such("formatter", name, key, self._formatters))
        return found

    def filters(self, names: object, key: str) -> list[Filter]:
        """Return the filters that a list names."""
        if not names:
            return []
        if not isinstance(names, list | tuple):
            self._problems.error(*no_list(key, names))
            return []
        found = []
        for name in names:
            if callable(name) or callable(getattr(name, "filter", None)):
                found.append(Filter(type(name).__name__, name if is_ours(type(name)) else UNKNOWN))
            elif isinstance(name, str) and name in self._filters:
                found.append(self._filters[name])
            else:
                self._problems.error(*no_such("filter", name, key, self._filters))
        return found

    def _formatter(self, key: str, config: dict[str, Any]) -> Formatter:
        if "()" in config:
            cls = self._workshop.find(config["()"], f"{key}.()")
            options = {name: each for name, each in config.items() if name not in ("()", ".")}
            name = config["()"]
        else:
            name = config.get("class") or "logging.Formatter"
            cls = self._workshop.find(name, f"{key}.class")
            options = self._stock_options(key, cls, config)
        made = UNKNOWN
        if is_ours(cls) or (isinstance(cls, type) and cls.__module__.startswith("logging")):
            made = self._workshop.make(cls, options, key)
        return Formatter(key, made, writes_of(cls, str(name), options, key, self._problems))

    def _stock_options(self, key: str, cls: Any, config: dict[str, Any]) -> dict[str, Any]:
        ignored = [name for name in config if name not in _FORMATTER_KEYS]
        if ignored and is_ours(cls):
            self._problems.add(
                "warning",
                "options-not-passed",
                f"{key}.{ignored[0]}",
                "is not passed on: the formatter is written with class",
                "logging.config gives options to a formatter that is written with () only",
                'Write "()": in place of class:',
            )
        elif ignored:
            unknown_keys(self._problems, key, config, _FORMATTER_KEYS)
        names = {"format": "fmt"}
        return {
            names.get(name, name): config[name]
            for name in _FORMATTER_KEYS[1:]
            if config.get(name) is not None
        }

    def _filter(self, name: str, key: str, config: dict[str, Any]) -> Filter:
        if "()" in config:
            cls = self._workshop.find(config["()"], f"{key}.()")
            options = {each: value for each, value in config.items() if each not in ("()", ".")}
            stock = cls is logging.Filter
            made = self._workshop.make(cls, options, key) if is_ours(cls) or stock else UNKNOWN
            return Filter(name, made)
        if config.keys() - {"name"}:
            self._problems.add(
                "warning",
                "filter-without-effect",
                key,
                "is written without ()",
                "logging.config makes a filter of it that lets all pass",
                'Write "()": hilt_logging.NAME and its options',
            )
        return Filter(name, logging.Filter(str(config.get("name", ""))))


def writes_of(
    cls: Any, name: str, options: Mapping[str, Any], key: str, problems: Problems
) -> Writes:
    """Return what formatters of a class make of an event."""
    if cls is UNKNOWN:
        return "records" if package_of(name) in EXTRAS_PACKAGES else "unknown"
    if not isinstance(cls, type):
        return "unknown"
    if issubclass(cls, HILTFormatter):
        return "events"
    packages = {package_of(base.__module__) for base in cls.__mro__}
    if packages & set(EXTRAS_PACKAGES):
        return "records"
    if "structlog" in packages:
        return _writes_of_structlog(options, key, problems)
    if issubclass(cls, HILTTextFormatter) or cls.__module__.startswith("logging"):
        return "summaries"
    return "unknown"


def _writes_of_structlog(options: Mapping[str, Any], key: str, problems: Problems) -> Writes:
    """`ProcessorFormatter` leaves extras out, unless a processor puts them in."""
    words = str(options)
    if "ExtraAdder" in words:
        return "records"
    if "ext://" in words:
        return "unknown"
    problems.add(
        "warning",
        "extras-left-out",
        key,
        "is structlog's formatter without ExtraAdder",
        "it leaves out what hangs on a record, and that is the event",
        'Put structlog.stdlib.ExtraAdder(allow=["hilt"]) into foreign_pre_chain',
    )
    return "summaries"


def section(data: Mapping[str, Any], name: str, problems: Problems) -> dict[str, dict[str, Any]]:
    """Return a section of the configuration whose entries are dicts themselves."""
    found = data.get(name)
    if name not in data or found == [] or found == "":
        return {}
    if not isinstance(found, Mapping):
        problems.error(*_no_mapping(name))
        return {}
    entries = {}
    for each, value in found.items():
        if isinstance(value, Mapping):
            entries[str(each)] = dict(value)
        else:
            problems.error(*_no_mapping(f"{name}.{each}"))
    return entries


def _no_mapping(key: str) -> tuple[str, str, str, str, str]:
    return (
        "no-mapping",
        key,
        "has no keys of its own",
        "logging.config takes nothing of the file",
        "Give it some, or take it away",
    )


def no_list(key: str, value: object) -> tuple[str, str, str, str, str]:
    """Return the problem of names that are not in a list."""
    shown = f"is {value!r}" if isinstance(value, str) else f"is a {type(value).__name__}"
    why = "logging.config wants a list, and would take a text letter by letter"
    return "no-list", key, shown, why, "Put brackets around it: [NAME, NAME]"


def no_such(
    kind: str, name: object, key: str, there: Iterable[str]
) -> tuple[str, str, str, str, str]:
    """Return the problem of a name that means nothing."""
    names = sorted(there)
    near = difflib.get_close_matches(str(name), names, 1)
    remedy = f"Write {near[0]}" if near else f"There are: {', '.join(names) or 'none'}"
    return (
        "no-such-name",
        key,
        f"names the {kind} {str(name)!r}, which is not there",
        "logging.config takes nothing of the file",
        remedy,
    )


def unknown_keys(
    problems: Problems, key: str, config: Mapping[str, Any], known: Iterable[str]
) -> None:
    """Note keys that `logging.config` does not read."""
    for name in config:
        if name in known or not isinstance(name, str):
            continue
        near = difflib.get_close_matches(_MEANT.get(name, name.lower()), list(known), 1, 0.7)
        problems.add(
            "warning",
            "unknown-key",
            f"{key}.{name}" if key else name,
            "is a key that nobody reads",
            "logging.config passes over it without a word",
            f"Write {near[0]}" if near else "Take it away, or correct it",
        )
