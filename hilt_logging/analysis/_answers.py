"""
Answers to questions in SQL, whoever gave them, as rows, text and files.
"""

from __future__ import annotations

import csv
import io
import os

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import msgspec

from ..errors import ConfigurationError
from ..io.reader import Faults
from ._outputs import demand_other, whole


__all__ = ["FORMATS", "Answer"]

FORMATS = ("csv", "json", "jsonl", "parquet")
_BATCH = 2_000


class Answer:
    """
    The rows of an answer. They can be had once; to be used as a context manager.

    Attributes:
        columns: The names of the columns.
        faults: What could not be read.
        events: How many events there are.
    """

    columns: tuple[str, ...]
    faults: Faults
    events: int
    _read: Sequence[str] = ()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        raise NotImplementedError

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Yield the rows as dicts."""
        for row in self:
            yield dict(zip(self.columns, row, strict=True))

    def write(
        self, path: str | os.PathLike[str], format: str | None = None, *, force: bool = False
    ) -> None:
        """
        Write the rows to a file, which appears whole or not at all.

        Args:
            path: The file.
            format: `csv`, `json` (one array), `jsonl` (an object a line) or `parquet`; by default
                what the file's name ends with.
            force: Take the place of a file that is there.

        Raises:
            ConfigurationError: for an output that is there or can't be, or another format.
        """
        path = os.fspath(path)
        chosen = format or os.path.splitext(path)[1].removeprefix(".")
        if chosen not in FORMATS:
            raise ConfigurationError("format", chosen, f"Must be one of: {', '.join(FORMATS)}")
        demand_other(path, self._read)
        with whole(path, force=force) as part:
            if chosen == "parquet":
                self._write_parquet(part)
                return
            with open(part, "wb") as file:
                self.print(file.write, chosen)

    def _write_parquet(self, part: str) -> None:
        raise NotImplementedError

    def print(self, write: Callable[[bytes], object], format: str) -> None:
        """
        Write the rows as text.

        Args:
            write: Is given the pieces.
            format: `csv`, `json` or `jsonl`.
        """
        for piece in _WRITERS[format](self):
            write(piece)

    def close(self) -> None:
        """Give everything back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _csv(answer: Answer) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(answer.columns)
    for number, row in enumerate(answer, 1):
        writer.writerow(map(_cell, row))
        if number % _BATCH == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict | bool | bytes) or hasattr(value, "isoformat"):
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=str)
        return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
    return value


def _jsonl(answer: Answer) -> Iterator[bytes]:
    for row in answer.dicts():
        yield msgspec.json.encode(row, enc_hook=str) + b"\n"


def _json(answer: Answer) -> Iterator[bytes]:
    before = b"["
    for row in answer.dicts():
        yield before + msgspec.json.encode(row, enc_hook=str)
        before = b",\n "
    yield b"[]\n" if before == b"[" else b"]\n"


_WRITERS: dict[str, Callable[[Answer], Iterator[bytes]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
}
