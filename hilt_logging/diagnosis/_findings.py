"""
What a diagnosis says: where events go, what keeps them from it, and what to do.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ._files import Configuration


__all__ = ["Destination", "Diagnosis", "Problem", "Problems", "Trial", "Way"]

Severity = Literal["error", "warning", "info"]
Writes = Literal["events", "records", "summaries", "unknown", "nothing"]
_RANK = {"error": 0, "warning": 1, "info": 2}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that is wrong, or good to know.

    Attributes:
        severity: `error` where events are not written, `warning` where something may surprise, `info`.
        code: A word for it that stays the same.
        where: The key in the file, e.g. `loggers.hilt.level`.
        line: The line in the file, where that is known.
        what: What is there.
        why: What comes of it.
        remedy: What to do.
        loggers: Whose events it is about; none where it is about all.
    """

    severity: Severity
    code: str
    where: str
    line: int | None
    what: str
    why: str
    remedy: str
    loggers: tuple[str, ...] = ()

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.severity}: {self.where}{line} {self.what}: {self.why}. {self.remedy}."


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a handler brings what it gets.

    Attributes:
        handler: Its name in the configuration.
        kind: Its class.
        to: The file, absolute, or what else it writes to; None where that is not known.
        level: From which level on it takes anything.
        writes: `events`, each as it is; `records`, with the whole event among their fields;
            `summaries`, a line of text about each event; `nothing`; or `unknown`.
        foreign: What becomes of ordinary records: `drop` or `wrap`; None where that is not known.
        filters: The names of its filters.
        through: The handlers that stand in front of it: queues and buffers.
    """

    handler: str
    kind: str
    to: str | None
    level: str
    writes: Writes
    foreign: Literal["drop", "wrap"] | None
    filters: tuple[str, ...]
    through: tuple[str, ...]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where the events of a logger go.

    Attributes:
        logger: Its name.
        level: Its level, or the one that it has from a logger above.
        handlers: From each level of events to the names of the handlers that write them somewhere.
        written: The levels of which whole events are written.
    """

    logger: str
    level: str
    handlers: dict[str, tuple[str, ...]]
    written: tuple[str, ...]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of an event that was really emitted.

    Attributes:
        logger: Where.
        event_id: Its id; None where nobody listened.
        session_id: Its session.
        found: Files, `stdout` and `stderr`, in which the event stands.
        mentioned: The same where there is a line of text about it only.
        error: What went wrong.
    """

    logger: str
    event_id: str | None
    session_id: str
    found: tuple[str, ...] = ()
    mentioned: tuple[str, ...] = ()
    error: str | None = None


class Diagnosis(msgspec.Struct, kw_only=True):
    """
    What a configuration does with events.

    Attributes:
        file: The file; None for a dict.
        ways: Where the events of each logger go.
        destinations: What the handlers do.
        problems: What is wrong; most severe first.
    """

    file: str | None
    ways: list[Way]
    destinations: list[Destination]
    problems: list[Problem]

    @property
    def works(self) -> bool:
        """Whether nothing keeps events from being written."""
        return all(each.severity != "error" for each in self.problems)


class Problems:
    """
    Collects problems: what is said of several loggers is said once.

    Args:
        configuration: Where keys are looked up.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._found: dict[tuple[str, ...], tuple[Problem, list[str]]] = {}

    def add(
        self,
        severity: Severity,
        code: str,
        key: str,
        what: str,
        why: str,
        remedy: str,
        logger: str | None = None,
    ) -> None:
        """Note a problem at a dotted key."""
        where, line = self._configuration.place(key)
        _, loggers = self._found.setdefault(
            (severity, code, where, what),
            (
                Problem(
                    severity=severity,
                    code=code,
                    where=where,
                    line=line,
                    what=what,
                    why=why,
                    remedy=remedy,
                ),
                [],
            ),
        )
        if logger is not None and logger not in loggers:
            loggers.append(logger)

    def error(self, code: str, key: str, what: str, why: str, remedy: str) -> None:
        """Note what makes `logging.config` refuse the whole configuration, or stops events."""
        self.add("error", code, key, what, why, remedy)

    def all(self) -> list[Problem]:
        """Return what was found, most severe first."""
        found = [
            msgspec.structs.replace(told, loggers=tuple(loggers))
            for told, loggers in self._found.values()
        ]
        return sorted(found, key=lambda each: _RANK[each.severity])
