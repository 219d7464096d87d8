"""
Erasing a subject by its key: every copy of the log is unreadable for it from then on.
"""

from __future__ import annotations

import os

from collections.abc import Iterable
from typing import Any

import msgspec

from .._ids import timestamp
from ..errors import ConfigurationError, ReadError
from ..io.files import LogFile, files_of, several
from ..safeguards.keystore import Erasure, KeyStore, open_store
from ..snapshot import clean_text
from ._live import Keys, keys_of, state
from ._persons import subject_of
from ._reading import Progress, Reading


__all__ = ["ErasureReport", "erase"]


class ErasureReport(msgspec.Struct):
    """
    What `erase` did.

    Attributes:
        key_id: The id of the key that was destroyed; None where there was none.
        at: When.
        by: Who did it.
        events: How many events had that key, in the files that were looked through.
        files: Those files that have such events.
        unread: What of the files could not be read.
        log: Where it was put on record; None for nowhere.
        others: The ids of keys that were destroyed before, and that are on record only now.
    """

    key_id: str | None
    at: str
    by: str
    events: int = 0
    files: list[str] = []
    unread: list[str] = []
    log: str | None = None
    others: list[str] = []


def erase(
    subject: str,
    *,
    kind: str = "user",
    key_store: str | os.PathLike[str] | KeyStore,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    log: str | os.PathLike[str] | None = None,
    by: str = "",
    sign_key: str | os.PathLike[str] | None = None,
    seal_key: str | os.PathLike[str] | None = None,
    shared_key_file: bool = False,
    shared_sign_key: bool = False,
    progress: Progress | None = None,
) -> ErasureReport:
    """
    Destroy the key of a subject, count its events, and put the erasure on record.

    Nothing that tells who it was is written anywhere. Who comes back later gets another key.

    Args:
        subject: The id of a user or session, or the id of the key itself.
        kind: `user`, `session` or `key`.
        key_store: The file of the keys, or what takes its place.
        paths: The files in which events are counted; by default those of the log.
        log: The live file in which it is put on record.
        by: Who does it; this is put on record.
        sign_key: The JWK file of the key that signs the log's checkpoints, if they are signed.
        seal_key: The file of the key that seals the log, if it is sealed.
        shared_key_file: Take a key store that others can read, too.
        shared_sign_key: Take a signing key that others can read, too.
        progress: Is told how many bytes are looked through, of how many.

    Raises:
        ConfigurationError: for a wrong option, key or key store; nothing has happened then.
        ReadError: if there is no such log or path; nothing has happened then.
        KeyStoreError: if the key can't be destroyed.
        RecordingError: if it can't be put on record. The next erasure does that, too.
    """
    by = clean_text(by)
    subject = clean_text(str(subject)) if kind == "key" else subject_of(subject, kind)
    store: Any = open_store("key_store", key_store, create=False, shared=shared_key_file)
    if kind == "key" and not hasattr(store, "erase_key"):
        raise ConfigurationError("kind of a subject", kind, "This key store erases by subject only")
    live = None if log is None else os.path.realpath(os.fspath(log))
    files = files_of(several(paths) or ([] if live is None else [live]))
    keys = Keys() if live is None else keys_of(live, sign_key, shared_sign_key, seal_key)
    done: Erasure | None = (store.erase_key if kind == "key" else store.erase)(subject, by=by)
    report = ErasureReport(None, timestamp(), by)
    if done is not None:
        report.key_id, report.at = done.key_id, done.at
    untold = _untold(store, done)
    found = _Found({each.key_id for each in untold})
    reading = Reading(files, progress)
    for file in files:
        found.look_through(file, reading)
    report.events = found.events[done.key_id] if done else 0
    report.files = found.files[done.key_id] if done else []
    report.unread = found.unread
    if live is not None:
        for each in untold:
            state(live, keys, _notice(each, found.events[each.key_id]))
            if hasattr(store, "mark_told"):
                store.mark_told(each.key_id)
        report.log = live if untold else None
        report.others = [each.key_id for each in untold if each is not done]
    return report


def _untold(store: Any, done: Erasure | None) -> list[Erasure]:
    """What is to be put on record: this erasure, and those of which nobody told because of a crash."""
    before = store.untold() if hasattr(store, "untold") else []
    return [*([done] if done else []), *(each for each in before if each != done)]


def _notice(done: Erasure, events: int) -> dict[str, Any]:
    return {
        "kind": "erased",
        "key_id": done.key_id,
        "by": done.by,
        "at": done.at,
        "events": events,
    }


class _Marks(msgspec.Struct):
    key_id: Any = None


class _Event(msgspec.Struct):
    privacy: _Marks = msgspec.field(default_factory=_Marks)


_decoder = msgspec.json.Decoder(_Event)


class _Found:
    """The events that have one of some keys."""

    def __init__(self, key_ids: set[str]) -> None:
        self.events = dict.fromkeys(key_ids, 0)
        self.files: dict[str, list[str]] = {each: [] for each in key_ids}
        self.unread: list[str] = []

    def look_through(self, file: LogFile, reading: Reading) -> None:
        if not self.events:
            return
        path = file.path
        try:
            for line in reading.lines(file, self._note):
                key_id = _key_id(line) if b'"key_id":"' in line else None
                if key_id in self.events:
                    self.events[key_id] += 1
                    if path not in self.files[key_id][-1:]:
                        self.files[key_id].append(path)
        except ReadError as error:
            self._note(error)

    def _note(self, error: ReadError) -> None:
        self.unread.append(str(error))


def _key_id(line: bytes) -> str:
    try:
        key_id = _decoder.decode(line).privacy.key_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    return key_id if type(key_id) is str else ""
