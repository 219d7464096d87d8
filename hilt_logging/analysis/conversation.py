"""
What was said in a session, word for word, with all that happened between the words.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import ReadError
from ..io._decoding import reporter
from ._entries import Conversation, Entry
from ._finding import (
    EVERY_LINE,
    Found,
    Report,
    event_in,
    files_meant,
    lines_of_log,
    needles_of,
    sources,
)
from ._index import LEAST_BYTES, lines_of_session, session_in, unindexed_bytes, update
from ._opening import Open, opening
from ._rebuilding import Rebuilt, followed_by
from ._sessions import Session, sessions


__all__ = [
    "Conversation",
    "Entry",
    "Session",
    "conversation",
    "conversations",
    "index",
    "session_ids",
    "sessions",
]

_MOST_OTHERS = 8
_MOST_BYTES = 64 * 1024 * 1024
_MOST_CONTINUED = 20

Path = str | os.PathLike[str]


def conversation(
    paths: Path | Iterable[Path],
    session_id: str,
    *,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    indexed: bool = True,
    full: bool = False,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Conversation:
    """
    Return a session as it was.

    Args:
        paths: As in `io.reader.read`.
        session_id: The session.
        keys: Private keys that open what is encrypted.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.
        indexed: Whether indexes are used where there are any; `index` makes them.
        full: Whether the entries have their whole events, too.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for a key that can't be had.
        ReadError: for a path that is not there, if it is the only one.
    """
    opened = opening(keys, key_store, shared=shared_key_file)
    log = _Log(paths, rotated, indexed, reporter("skip", report))
    events = log.session(session_id)
    return Rebuilt(events, _others(log, events), opened, full).of(session_id)


def conversations(
    paths: Path | Iterable[Path],
    session_ids: Iterable[str],
    *,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    most_bytes: int = _MOST_BYTES,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Iterator[Conversation | None]:
    """
    Return several sessions as they were, one after the other; the log is read once for all of them.

    Args:
        paths: As in `io.reader.read`.
        session_ids: The sessions, in the order in which they are wanted.
        keys: As in `conversation`.
        key_store: As in `conversation`.
        shared_key_file: As in `conversation`.
        most_bytes: How many bytes of lines are held; the last sessions that would take more are None.
        rotated: Whether a file that is named means its rotated files, too.
        report: As in `conversation`.

    Raises:
        ConfigurationError: for a key that can't be had.
        ReadError: for a path that is not there, if it is the only one.
    """
    opened = opening(keys, key_store, shared=shared_key_file)
    log = _Log(paths, rotated, False, reporter("skip", report))
    return _several(log, list(dict.fromkeys(session_ids)), most_bytes, opened)


def _several(
    log: _Log, session_ids: list[str], most_bytes: int, opened: Open
) -> Iterator[Conversation | None]:
    lines = log.several(session_ids, most_bytes)
    continued = 0
    for session_id in session_ids:
        found = lines.pop(session_id, None)
        if found is None:
            yield None
            continue
        decoded = (event_in(line, _ignored, numbered=False) for line in found)
        events = [event for event in decoded if event is not None]
        others: list[dict[str, Any]] = []
        if followed_by(events) - {event["event_id"] for event in events}:
            continued += 1
            others = _others(log, events) if continued <= _MOST_CONTINUED else []
        yield Rebuilt(events, others, opened, False).of(session_id)


def session_ids(
    paths: Path | Iterable[Path],
    prefix: str,
    *,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> list[str]:
    """
    Return the ids of sessions that begin with a text, in alphabetical order.

    Args:
        paths: As in `io.reader.read`.
        prefix: The text.
        rotated: Whether a file that is named means its rotated files, too.
        report: As in `conversation`.

    Raises:
        ReadError: for a path that is not there, if it is the only one.
    """
    log = _Log(paths, rotated, False, reporter("skip", report))
    found = {
        session_in(line.data)
        for line in lines_of_log(log.files, needles_of(prefix, quote="^"), _ignored)
    }
    return sorted(each for each in found if each is not None and each.startswith(prefix))


def index(
    paths: Path | Iterable[Path], *, least_bytes: int = LEAST_BYTES, rotated: bool = True
) -> int:
    """
    Make indexes of files that are large, in the user's cache directory; return how many were made.

    An index tells in which lines a session is. It holds digests and places, no content, and is made anew
    when the file has grown.

    Args:
        paths: As in `io.reader.read`.
        least_bytes: How much of a log must be without an index before any is made.
        rotated: Whether a file that is named means its rotated files, too.
    """
    files = files_meant(paths, _ignored, rotated=rotated)
    rests = [unindexed_bytes(source) for _, source in sources(files, _ignored)]
    if sum(rests) < least_bytes:
        return 0
    wanted = [
        file for file, rest in zip(files, rests, strict=False) if rest >= max(1, least_bytes // 16)
    ]
    return sum(update(path, source) for path, source in sources(wanted, _ignored))


def _ignored(error: ReadError) -> None:
    """What can't be read has been told by whoever reads it for what is in it."""


class _Log:
    """Files in which sessions and events are looked for."""

    def __init__(
        self, paths: Path | Iterable[Path], rotated: bool, indexed: bool, report: Report
    ) -> None:
        self.files = files_meant(paths, report, rotated=rotated)
        self.can_be_read_again = all(os.path.isfile(file.path) for file in self.files)
        self._indexed = indexed
        self._report = report

    def session(self, session_id: str) -> list[dict[str, Any]]:
        """Return the events of a session."""
        events = []
        for path, source in sources(self.files, self._report):
            can_be_counted = source.seekable()  # what was read of a pipe is gone
            lines = lines_of_session(path, source, session_id, self._report, indexed=self._indexed)
            for line in lines:
                event = event_in(line, self._report, numbered=can_be_counted)
                if event is not None and event["session_id"] == session_id:
                    events.append(event)
        return events

    def several(self, session_ids: list[str], most_bytes: int) -> dict[str, list[Found]]:
        """Return the lines of sessions; of the last ones, which would be too much, none."""
        found: dict[str, list[Found]] = {each: [] for each in session_ids}
        given_up = list(session_ids)
        size = 0
        for line in lines_of_log(self.files, EVERY_LINE, self._report):
            lines = found.get(session_in(line.data) or "")
            if lines is None:
                continue
            lines.append(line)
            size += len(line.data)
            while size > most_bytes and given_up:
                size -= sum(len(each.data) for each in found.pop(given_up.pop(), ()))
        return found

    def session_of(self, event_id: str) -> str | None:
        """Return the session of an event."""
        for line in lines_of_log(self.files, needles_of(event_id, quote="^$"), _ignored):
            event = event_in(line, _ignored)
            if event is not None and event["event_id"] == event_id:
                return session_in(line.data)
        return None


def _others(log: _Log, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of other sessions with which the conversation began."""
    others: list[dict[str, Any]] = []
    known = {event["event_id"] for event in events}
    wanted = followed_by(events)
    for _ in range(_MOST_OTHERS):
        missing = next(iter(wanted - known), None)
        if missing is None or not log.can_be_read_again:
            break
        known.add(missing)
        session = log.session_of(missing)
        if session is not None:
            more = log.session(session)
            others += more
            known |= {event["event_id"] for event in more}
            wanted |= followed_by(more)
    return others
