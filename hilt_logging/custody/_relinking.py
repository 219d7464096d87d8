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
from ._chains import Stray, Strays, ends_of, written_as
from ._findings import Place


__all__ = ["Chained", "NotAsLinkedError", "Sealing", "relinked", "statement_of"]


_MOST_BEGUN = 8
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

    A line that had to be written beside its place counts once a later one has covered it, also the
    one with which the chain began.

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
        self._above = b""
        self._begin = _Begin()
        self._seals = SealRanges()
        self._glued: int | None = None

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
            self._add_sealed(bare, found)
        elif self._glued is not None:
            raise _not_sealed(self._number - 1)
        link, own = None if found is None or found.is_unlinked else found, sha256(bare)
        if link is not None and self._fits(link):
            if self._number == 1:
                self._replaces = statement_of(bare)
            self._first = self._first or self._begin.covered_by(link) or link
            self._last = link
            self._between, self._lines_between, self._stray = spanning(own), 0, 0
        else:
            if link is not None:
                self._check_displaced(link)
                self._stray = self._stray or self._number
            if self._last is None:
                self._begin.add(bare, own, link)
            self._between.update(bare + b"\n")
            self._lines_between += 1
        self._previous, self._above = own, bare

    def _add_sealed(self, line: bytes, found: Link) -> None:
        """Take a line with a seal; one that stands behind a fragment is written again at once."""
        glued, self._glued = self._glued, None
        if glued is not None and found.seq != glued + 1:
            raise _not_sealed(self._number - 1)
        self.is_signed |= found.signature is not None
        if is_sealed(line, found, self._keys) is False:
            if not any(is_sealed(each, found, self._keys) for each in written_as(line)):
                raise _not_sealed(self._number)
            self._glued = found.seq
        self._seals.add(found, line)

    def _check_displaced(self, link: Link) -> None:
        """Check that somebody was in the way of a line that does not follow the one before."""
        if self._last is None or self._lines_between or link.chain != self._last.chain:
            return
        if link.prev not in ends_of(self._above):
            raise _not_as_linked(self._number, "does not follow the line before")

    def _fits(self, found: Link) -> bool:
        if self._last is None:
            return self._number == 1 or (found.prev == self._previous and self._is_first(found))
        expected = self._last.chain, self._previous, self._span
        return (found.chain, found.prev, found.span) == expected and found.seq > self._last.seq

    def _is_first(self, found: Link) -> bool:
        """Whether a line begins a chain, or vouches for what stands before it in this file."""
        if self._begin.has(found):
            return self._begin.covered_by(found) is not None
        return found.seq == 0 or found.span is not None

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
        if self._glued is not None:
            raise _not_sealed(self._number)
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


class _Begin:
    """The lines before the first that is linked to the one before, amid which a chain may begin."""

    def __init__(self) -> None:
        self._all = Strays(ZEROS, None)
        self._begun: dict[str, tuple[Link, Strays]] = {}

    def add(self, line: bytes, own: str, link: Link | None) -> None:
        """Take one more of them."""
        if link is not None and link.seq == 0 and len(self._begun) < _MOST_BEGUN:
            since = self._all if link.prev == ZEROS else self._all.since(link.prev)
            if since is not None:
                self._begun.setdefault(link.chain, (link, since))
        stray = Stray(Place(""), own, "foreign", None, line)
        others = [since for _, since in self._begun.values() if since is not self._all]
        for strays in (self._all, *others):
            strays.add(stray)

    def has(self, link: Link) -> bool:
        """Whether the chain of a line began amid them."""
        return link.chain in self._begun

    def covered_by(self, link: Link) -> Link | None:
        """Return the begin of the chain of a line that vouches for all since then."""
        if link.span is None or link.chain not in self._begun:
            return None
        first, since = self._begun[link.chain]
        return first if link.span == Span(since.count, since.sha256) else None


def _not_as_linked(number: int, reason: str) -> NotAsLinkedError:
    return NotAsLinkedError(f"line {number} {reason}: run hilt-log verify")


def _not_sealed(number: int) -> NotAsLinkedError:
    return _not_as_linked(number, "is not what its seal says")


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
