"""
Which sessions logs have.

Of large files an index tells where their lines are: then only the lines of the latest sessions are read,
and the last one of each other.
"""

from __future__ import annotations

import codecs
import heapq
import operator
import os

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import msgspec

from ..errors import ReadError
from ..io._decoding import codec_of, decoded_line, reporter
from ..io.files import LONGEST, LogFile
from ..io.reader import scan
from ..schema import is_timestamp
from ._finding import files_meant, sources
from ._index import lines_after, places_in


__all__ = ["Latest", "Session", "latest_sessions", "sessions"]

Path = str | os.PathLike[str]


class Session(msgspec.Struct, kw_only=True):
    """
    What logs have of a session, without what was said.

    Attributes:
        session_id: Its id.
        first: The time of its first event.
        last: The time of its last one.
        events: How many there are.
        users: Who took part, as far as events name them.
        models: Which models answered.
    """

    session_id: str
    first: str
    last: str
    events: int = 0
    users: list[str] = []
    models: list[str] = []


class Latest(msgspec.Struct):
    """
    The latest sessions of logs.

    Attributes:
        sessions: Those with the latest events, the last one last.
        count: How many there are in all.
    """

    sessions: list[Session]
    count: int


def sessions(
    paths: Path | Iterable[Path],
    *,
    prefix: str = "",
    user: str | None = None,
    since: Any = None,
    until: Any = None,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> list[Session]:
    """
    Return the sessions of logs, the one with the latest event last.

    Args:
        paths: As in `io.reader.read`.
        prefix: What their ids begin with.
        user: Who took part in them.
        since: Only events of this time or later count.
        until: Only events before this time count.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for a time that is none.
        ReadError: for a path that is not there, if it is the only one.
    """
    found: dict[str, Session] = {}
    lines = scan(
        paths, _Short, errors="skip", report=report, since=since, until=until, rotated=rotated
    )
    for event in lines:
        if event.session_id.startswith(prefix) and not _is_notice(event):
            _count(found, event)
    taken = [each for each in found.values() if user is None or user in each.users]
    return sorted(taken, key=lambda each: each.last)


def latest_sessions(
    paths: Path | Iterable[Path],
    number: int,
    *,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Latest:
    """
    Return the sessions with the latest events; with indexes, if all files have one that are not small.

    With indexes, lines that are no events are not looked for; those that are too long are known.

    Args:
        paths: As in `io.reader.read`.
        number: How many.
        rotated: Whether a file that is named means its rotated files, too.
        report: As in `sessions`.

    Raises:
        ReadError: for a path that is not there, if it is the only one.
    """
    told = reporter("skip", report)
    if "-" not in (given := [paths] if isinstance(paths, str | os.PathLike) else list(paths)):
        indexed = _Indexed(files_meant(given, told, rotated=rotated))
        found = indexed.latest(number)
        if found is not None:
            indexed.tell(told)
            return found
    every = sessions(given, rotated=rotated, report=told)
    return Latest(every[-number:] if number else [], len(every))


class _Actor(msgspec.Struct, gc=False):
    type: str
    id: str


class _Provenance(msgspec.Struct, gc=False):
    model: Any = None


class _Extensions(msgspec.Struct, gc=False):
    user_id: Any = None
    notice: Any = None


class _Short(msgspec.Struct, gc=False):
    session_id: str
    timestamp: str
    actor: _Actor
    action: str
    provenance: _Provenance | None = None
    extensions: _Extensions | None = None


def _is_notice(event: _Short) -> bool:
    return event.extensions is not None and event.extensions.notice is not None


def _count(found: dict[str, Session], event: _Short) -> None:
    session = found.get(event.session_id)
    if session is None:
        session = found[event.session_id] = Session(
            session_id=event.session_id, first=event.timestamp, last=event.timestamp
        )
    session.events += 1
    session.first = min(session.first, event.timestamp)
    session.last = max(session.last, event.timestamp)
    user = event.extensions.user_id if event.extensions is not None else None
    if user is None and event.actor.type == "human":
        user = event.actor.id
    if type(user) is str and user not in session.users:
        session.users.append(user)
    model = event.provenance.model if event.provenance is not None else None
    if type(model) is str and model not in session.models:
        session.models.append(model)


_codec = codec_of(_Short, None)


def _short(line: bytes) -> _Short | None:
    """The fields of a line, if it is an event."""
    whole = line.removeprefix(codecs.BOM_UTF8).lstrip(b"\0")
    return next(decoded_line(whole, "", 0, _codec, _unheard), None)


def _unheard(error: ReadError) -> None:
    """With indexes, lines that are no events are not looked for."""


class _UnknownError(Exception):
    """What an index says is not so, or can't be compared."""


class _Found:
    """A session, the time of its last event and where its lines are."""

    def __init__(self) -> None:
        self.last = ""
        self.places: list[tuple[str, Sequence[int]]] = []


class _Indexed:
    """Files that have indexes."""

    def __init__(self, files: list[LogFile]) -> None:
        self._files = files
        self._found: dict[str, _Found] = {}
        self._faults: list[ReadError] = []

    def tell(self, report: Callable[[ReadError], object]) -> None:
        """Tell of the lines that are too long."""
        for error in self._faults:
            report(error)

    def latest(self, number: int) -> Latest | None:
        """Return the latest sessions; None where an index is lacking or can't be trusted."""
        try:
            has_index = False
            for path, source in sources(self._files, _refused):
                places = places_in(path, source, self._faults.append)
                if places is None:
                    return None
                has_index |= places.end > 0
                self._look_at(path, source, places.sessions)
                self._look_after(path, places.end)
            if not has_index:
                return None
            known = {name: each for name, each in self._found.items() if each.last}
            chosen = heapq.nlargest(number, known.items(), key=lambda each: each[1].last)
            found = [self._session(name, each) for name, each in chosen]
        except (_UnknownError, OSError):
            return None
        return Latest(sorted(found, key=operator.attrgetter("last")), len(known))

    def _look_at(self, path: str, source: IO[bytes], sessions: Iterable[Sequence[int]]) -> None:
        """Find the last event of each session of a file."""
        with open(source.fileno(), "rb", closefd=False) as file:
            for offsets in sessions:
                for offset in reversed(offsets):
                    file.seek(offset)
                    event = _short(file.readline(LONGEST))
                    if event is not None and not _is_notice(event):
                        self._add(path, event, offsets)
                        break

    def _look_after(self, path: str, begin: int) -> None:
        """Take the events that are behind what an index knows."""
        for line in lines_after(path, begin, _refused):
            event = _short(line.data)
            if event is not None and not _is_notice(event):
                self._add(path, event, [line.offset])

    def _add(self, path: str, event: _Short, offsets: Sequence[int]) -> None:
        if not is_timestamp(event.timestamp):
            raise _UnknownError
        found = self._found.get(event.session_id)
        if found is None:
            found = self._found[event.session_id] = _Found()
        found.last = max(found.last, event.timestamp)
        found.places.append((path, offsets))

    def _session(self, session_id: str, found: _Found) -> Session:
        made: dict[str, Session] = {}
        for event in _events(found.places):
            if event.session_id != session_id:
                raise _UnknownError
            if not _is_notice(event):
                _count(made, event)
        return made[session_id]


def _events(places: list[tuple[str, Sequence[int]]]) -> Iterator[_Short]:
    for path, offsets in places:
        with open(path, "rb") as file:
            for offset in offsets:
                file.seek(offset)
                event = _short(file.readline(LONGEST))
                if event is not None:
                    yield event


def _refused(error: ReadError) -> None:
    raise _UnknownError
