"""
The lines of a file in a new chain, once it is sure that they are what the old one says.
"""

from __future__ import annotations

import hashlib

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from .._ids import timestamp
from ..errors import HILTError
from ..safeguards.chain import (
    ZEROS,
    Link,
    Span,
    has_seal,
    is_sealed,
    keys_by_id,
    link,
    link_of,
    seal,
    sha256,
    spanning,
)
from ..safeguards.jwk import JWK
from ..safeguards.sealing import SealKey
from ..storage.notices import line_of_notice
from ..storage.tails import SealRanges


__all__ = ["Chained", "NotAsLinkedError", "Sealing", "relinked", "statement_of"]


_PLACE = ("chain", "first_seq", "first_prev", "first_span", "last_seq", "head", "span", "seals")


class NotAsLinkedError(HILTError):
    """A file whose lines are not what their links say."""


class Sealing(NamedTuple):
    """
    What signs and seals the lines of a file that is written anew.

    Attributes:
        key: What signs; without it, notices end in a digest.
        seal_key: The key of the next seal of a sealed log, which does not move on for this.
    """

    key: JWK | None = None
    seal_key: SealKey | None = None

    def __call__(self, line: bytes) -> bytes:
        """Return a linked line of a notice with what is to be behind its link."""
        return seal(line if self.seal_key is None else self.seal_key.seal(line), self.key)


class Chained:
    """
    What the links of a file say of it; every line of it is to be given to `add`.

    A line that had to be written beside its place counts once the next one has covered it.

    Args:
        key: The key that signs, by which signatures are checked, too.

    Attributes:
        is_signed: Whether a line of it is signed.
    """

    def __init__(self, key: JWK | None = None) -> None:
        self.is_signed = False
        self._keys = {} if key is None else keys_by_id([key])
        self._number = 0
        self._stray = 0
        self._first: Link | None = None
        self._last: Link | None = None
        self._replaces: dict[str, Any] | None = None
        self._all = hashlib.sha256()
        self._between = spanning(ZEROS)
        self._lines_between = 0
        self._previous = ""
        self._seals = SealRanges()

    @property
    def is_linked(self) -> bool:
        """Whether there is a chain in the file."""
        return self._first is not None

    def add(self, line: bytes) -> None:
        """
        Take the next line, with its newline.

        Raises:
            NotAsLinkedError: if it is not what its digest or signature says.
        """
        self._number += 1
        self._all.update(line)
        bare = line.removesuffix(b"\n")
        found = link_of(bare)
        if found is not None and has_seal(found):
            self.is_signed |= found.signature is not None
            if is_sealed(bare, found, self._keys) is False:
                raise _not_as_linked(self._number, "is not what its seal says")
            self._seals.add(found, bare)
        if found is not None and not found.is_unlinked and self._fits(found):
            if self._number == 1:
                self._replaces = statement_of(bare)
            self._first, self._last = self._first or found, found
            self._between, self._lines_between, self._stray = spanning(sha256(bare)), 0, 0
        else:
            if found is not None and not found.is_unlinked:
                if self._last is not None and not self._lines_between:  # nobody was in its way
                    raise _not_as_linked(self._number, "does not follow the line before")
                self._stray = self._stray or self._number
            self._between.update(bare + b"\n")
            self._lines_between += 1
        self._previous = sha256(bare)

    def _fits(self, found: Link) -> bool:
        if self._last is None:
            return self._number == 1 or found.prev == self._previous
        expected = self._last.chain, self._previous, self._span
        return (found.chain, found.prev, found.span) == expected and found.seq > self._last.seq

    @property
    def _span(self) -> Span | None:
        """What stands behind the last linked line."""
        if not self._lines_between:
            return None
        return Span(self._lines_between, self._between.hexdigest())

    def check(self) -> None:
        """
        Take it that there are no more lines.

        Raises:
            NotAsLinkedError: if one of them does not follow the line before.
        """
        if self._stray:
            raise _not_as_linked(self._stray, "does not follow the line before")

    def replaces(self, name: str) -> dict[str, Any]:
        """
        Return what a statement says of the file that it replaces.

        Of a file that replaced another one, it is the place of the first one in the log.

        Args:
            name: The file's name.
        """
        told: dict[str, Any] = {"name": name, "sha256": self._all.hexdigest()}
        if self._replaces is not None:
            return told | {each: self._replaces[each] for each in _PLACE if each in self._replaces}
        if self._first is None or self._last is None:
            return told
        told |= {
            "chain": self._first.chain,
            "first_seq": self._first.seq,
            "first_prev": self._first.prev,
            "last_seq": self._last.seq,
            "head": self._previous,
        }
        if self._span is not None:  # the first line of the next file speaks of it
            told["span"] = self._span._asdict()
        if self._first.span is not None:
            told["first_span"] = self._first.span._asdict()
        return told | self._seals.told()


def _not_as_linked(number: int, reason: str) -> NotAsLinkedError:
    return NotAsLinkedError(f"line {number} {reason}: run hilt-log verify")


def statement_of(line: bytes) -> dict[str, Any] | None:
    """Return the place of the file that a line says was replaced; None where it says no such thing."""
    try:
        notice = msgspec.json.decode(line)["extensions"]["notice"]
        place: dict[str, Any] = notice["replaces"]
        return place if notice["kind"] == "rewritten" and "head" in place else None
    except (msgspec.DecodeError, LookupError, TypeError):
        return None


def relinked(
    statement: dict[str, Any],
    lines: Iterable[bytes],
    chain: str,
    sealing: Sealing,
    changed: Callable[[bytes], bytes],
) -> Iterator[bytes]:
    """
    Yield the lines of a file in a new chain, with a statement before and a checkpoint after them.

    What was not linked is not linked now, either.

    Args:
        statement: What the first line says.
        lines: The lines of the file, with their newlines.
        chain: The id of the new chain.
        sealing: What signs and seals.
        changed: Returns what is to be written of a line, which comes without newline and link.
    """
    first = sealing(link(line_of_notice(statement), chain, 0, ZEROS))
    yield first + b"\n"
    seq, prev = 0, sha256(first)
    between, count = spanning(prev), 0
    for line in lines:
        bare = line.removesuffix(b"\n")
        found = link_of(bare)
        if found is None:
            bare = changed(bare)
            between.update(bare + b"\n")
            count += 1
        else:
            span = Span(count, between.hexdigest()) if count else None
            seq += 1
            bare = link(changed(bare[: found.begin] + b"}"), chain, seq, prev, span)
            if has_seal(found):
                bare = sealing(bare)
            between, count = spanning(sha256(bare)), 0
        yield bare + b"\n"
        prev = sha256(bare)
    span = Span(count, between.hexdigest()) if count else None
    last = {"kind": "checkpoint", "chain": chain, "seq": seq + 1, "head": prev}
    told = {**last, "at": timestamp(), "reason": "rewritten"}
    yield sealing(link(line_of_notice(told), chain, seq + 1, prev, span)) + b"\n"
