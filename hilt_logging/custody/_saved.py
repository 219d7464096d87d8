"""
Checkpoints that were kept elsewhere: what they say of a log that somebody may have written anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..errors import ReadError
from ..io.files import files_of, open_lines
from ..safeguards.chain import opened
from ..safeguards.jwk import JWK
from ._findings import Findings, Place


__all__ = ["Saved", "saved_of"]


class Saved(NamedTuple):
    """
    One saved checkpoint.

    Attributes:
        chain: The chain.
        seq: The number of the checkpoint's line.
        head: The digest of this line.
        log: The name of the log.
        place: Where it is saved.
        is_signed: Whether its signature was checked.
    """

    chain: str
    seq: int
    head: str
    log: str
    place: Place
    is_signed: bool


class _Told(msgspec.Struct):
    chain: str
    seq: int
    head: str
    file: str
    jws: str | None = None


def saved_of(paths: Iterable[Any], keys: Mapping[str, JWK], findings: Findings) -> list[Saved]:
    """
    Return the checkpoints that files hold: events of the logger `hilt.integrity`.

    Args:
        paths: The files.
        keys: Public keys by their names.
        findings: Is told of signatures that are not right, and files that can't be read.
    """
    found: list[Saved] = []

    def unreadable(error: ReadError) -> None:
        place = Place(error.path, error.line)
        findings.add("unreadable", "unchecked", error.reason, place)

    for file in files_of(paths, report=unreadable):
        try:
            for number, line in enumerate(open_lines(file, report=unreadable), 1):
                told = _told(line)
                if told is not None:
                    place = Place(file.path, number)
                    found.extend(_checked(told, place, keys, findings))
        except ReadError as error:
            unreadable(error)
    return found


def _told(line: bytes) -> _Told | None:
    try:
        notice = msgspec.json.decode(line)["extensions"]["notice"]
        if notice["kind"] != "checkpoint":
            return None
        return msgspec.convert(notice, _Told)
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _checked(told: _Told, place: Place, keys: Mapping[str, JWK], findings: Findings) -> list[Saved]:
    held: dict[str, Any] | None = None
    if told.jws is not None and keys:
        try:
            held = opened(told.jws, keys)
        except ValueError:
            held = {}
        said = told.chain, told.seq, told.head
        if held is None or said != tuple(held.get(name) for name in ("chain", "seq", "head")):
            message = "the saved checkpoint is not what was signed with any of the keys given"
            findings.add("bad signature", "tampering", message, place, told.chain, told.seq)
            return []
    return [Saved(told.chain, told.seq, told.head, told.file, place, held is not None)]
