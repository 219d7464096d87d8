"""
A place on the disk where what belongs together is put together, and is put in order: exports come in
any order, and are of any size.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3

from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from ...events import encode
from ...snapshot import snapshot


__all__ = ["Piece", "Shelf"]


class Piece(NamedTuple):
    """
    A part of a trace: a span, a run, an observation, a score.

    Attributes:
        trace: The name of what belongs together.
        value: The part.
        source: The number of the file that it is from.
        at: When it began, in a form whose order is that of time; empty where it does not say.
    """

    trace: str
    value: dict[str, Any]
    source: int = 0
    at: str = ""


class Shelf:
    """
    A temporary database without a name, which goes with the process.

    Each of its methods raises OSError where the disk is full.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TABLE pieces"
            " (number INTEGER PRIMARY KEY, trace TEXT, source INT, at TEXT, data BLOB);"
            "CREATE TABLE events"
            " (number INTEGER PRIMARY KEY, at TEXT, id TEXT UNIQUE, data BLOB);"
        )

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add(self, piece: Piece) -> None:
        """Put a part to the others of its trace."""
        trace = piece.trace.encode("utf-8", "replace").decode()
        row = (trace, piece.source, piece.at or None, _encoded(piece.value))
        with _on_disk():
            self._database.execute(
                "INSERT INTO pieces (trace, source, at, data) VALUES (?, ?, ?, ?)", row
            )

    def traces(self) -> Iterator[list[Piece]]:
        """Yield the parts of each trace, as they came; the trace that began first is the first."""
        with _on_disk():
            self._database.execute("CREATE INDEX trace ON pieces (trace)")
            yield from self._traces()

    def _traces(self) -> Iterator[list[Piece]]:
        parts: list[Piece] = []
        sql = (
            "SELECT trace, data, source FROM pieces "
            "JOIN (SELECT trace, min(at) AS began FROM pieces GROUP BY trace) USING (trace) "
            "ORDER BY began IS NULL, began, trace, number"
        )
        with contextlib.closing(self._database.cursor()) as cursor:
            for trace, data, source in cursor.execute(sql):
                if parts and parts[-1].trace != trace:
                    yield parts
                    parts = []
                parts.append(Piece(trace, msgspec.json.decode(data), source))
        if parts:
            yield parts

    def put(self, at: str, event_id: str, data: bytes) -> bool:
        """Put an event to the others, by its time; return whether none with its id is there."""
        sql = "INSERT OR IGNORE INTO events (at, id, data) VALUES (?, ?, ?)"
        with _on_disk():
            return self._database.execute(sql, (at, event_id, data)).rowcount > 0

    def events(self) -> Iterator[bytes]:
        """Yield the events in the order of their times."""
        with _on_disk(), contextlib.closing(self._database.cursor()) as cursor:
            for (data,) in cursor.execute("SELECT data FROM events ORDER BY at, number"):
                yield data


@contextlib.contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = f"There is no room for temporary files (SQLITE_TMPDIR says where): {error}"
        raise OSError(errno.ENOSPC, reason) from None


def _encoded(value: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, RecursionError):  # a lone surrogate; too deep
        return encode(snapshot(value))
