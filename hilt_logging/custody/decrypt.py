"""
Opening the files of a log, line by line, for those who have a key.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from ..errors import ReadError
from ..events import encode
from ..io.files import LogFile, files_of, several
from ..safeguards.encryption import Opener, OpeningError
from ..safeguards.jwk import JWK, load_private
from ..safeguards.keystore import open_store
from ._reading import Progress, Reading


__all__ = ["OpenedLine", "decrypt", "opener_of"]

_ENCRYPTED = b'"text_encrypted"'


class OpenedLine(NamedTuple):
    """
    A line of a log.

    Attributes:
        path: The file.
        number: The number of the line, from 1.
        line: The line as it was before it was encrypted; as it stands in the file where it was
            not, or could not be opened. Without its newline.
        was_encrypted: Whether it was.
        failure: Why it could not be opened.
    """

    path: str
    number: int
    line: bytes
    was_encrypted: bool = False
    failure: OpeningError | None = None

    @property
    def event(self) -> dict[str, Any]:
        """
        The event.

        Raises:
            ReadError: for a line that is none.
        """
        try:
            return msgspec.json.decode(self.line, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            raise ReadError("not an event", self.path, self.number) from None


def decrypt(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    keys: Iterable[str | os.PathLike[str] | JWK] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    rotated: bool = True,
    report: Callable[[ReadError], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[OpenedLine]:
    """
    Yield the lines of logs, opened where one of the keys opens them; no file is changed.

    Args:
        paths: Files, directories and patterns, as in `io.files.files_of`.
        keys: Private keys: files (JWK) or loaded ones.
        key_store: Where keys of people are, for what was written with `erasable_by`.
        shared_key_file: Take files of keys that others can read, too.
        rotated: Whether a log that is named means its rotated files, too.
        report: Is called with the error of what can't be read.
        progress: Is told how many bytes are done, of how many.

    Raises:
        ConfigurationError: for a key or a key store that can't be had.
        ReadError: for what can't be read, without *report*.
    """
    opener = opener_of(keys, key_store, shared=shared_key_file)
    files = files_of(paths, rotated=rotated, report=report)
    return _lines(files, Reading(files, progress), opener, report)


def opener_of(
    keys: Iterable[str | os.PathLike[str] | JWK], key_store: Any = None, *, shared: bool = False
) -> Opener:
    """
    Return what opens events with keys.

    Args:
        keys: As in `decrypt`.
        key_store: As in `decrypt`.
        shared: Take files of keys that others can read, too.

    Raises:
        ConfigurationError: for a key or a key store that can't be had.
    """
    loaded = [_loaded(key, shared) for key in several(keys)]
    store = None
    if key_store is not None:
        store = open_store("key_store", key_store, create=False, shared=shared)
    return Opener(loaded, store)


def _loaded(key: str | os.PathLike[str] | JWK, shared: bool) -> JWK:
    if isinstance(key, JWK):
        return key
    return load_private("key", key, ("P-256", "X25519"), shared=shared)


def _lines(
    files: list[LogFile],
    reading: Reading,
    opener: Opener,
    report: Callable[[ReadError], None] | None,
) -> Iterator[OpenedLine]:
    for file in files:
        passed_over: list[ReadError] = []
        try:
            for number, line in enumerate(reading.lines(file, passed_over.append), 1):
                number += len(passed_over)
                yield _opened(file.path, number, line.removesuffix(b"\n"), opener)
        except ReadError as error:
            passed_over.append(error)
        for each in passed_over:
            if report is None:
                raise each
            report(each)


def _opened(path: str, number: int, line: bytes, opener: Opener) -> OpenedLine:
    if _ENCRYPTED not in line:
        return OpenedLine(path, number, line)
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return OpenedLine(path, number, line)
    try:
        opened = opener.open(event)
    except OpeningError as failure:
        return OpenedLine(path, number, line, True, failure)
    is_same = opened is event
    return OpenedLine(path, number, line if is_same else encode(opened), not is_same)
