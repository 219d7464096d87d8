"""
The seals of a log: each by the key of its number, and none missing, repeated or out of order.

Who has the key of a number has those of all later ones, and none of the earlier. So lines that are
written anew later can't have the seals that stood behind them: they have none, wrong ones, or such
with higher numbers, before which numbers are missing.
"""

from __future__ import annotations

import re

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from .._counting import counted
from ..safeguards.chain import Link, Seal, has_seal
from ..safeguards.sealing import FirstKey, SealKey
from ._chains import Chain, written_as
from ._findings import Finding, Findings, Place


__all__ = ["Row", "SealRange", "Seals"]

_MOST_ROWS = 100
_NEVER = "~"
_USUAL = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_TIMES = re.compile(rb'"timestamp"\s*:\s*"([^"\\]*)"')
_MOST_STEPS = 400_000_000
_SLACK_S = 300.0
_MOST_HOLES = 1000


class SealRange(msgspec.Struct, frozen=True):
    """
    Seals in a file, as a statement tells them.

    Attributes:
        key: The name of the keys.
        first: The number of the first.
        last: The number of the last.
        minute: Its minute.
        code: Its code.
        line: The digest of the line that it sealed.
    """

    key: str
    first: int
    last: int
    minute: int = -1
    code: str = ""
    line: str = ""

    @property
    def seal(self) -> Seal:
        """The last one."""
        return Seal(self.key, self.last, self.minute, self.code)


class _Hole(NamedTuple):
    first: int
    last: int
    finding: Finding
    oldest: str


class _Rewriting(NamedTuple):
    """The statement at the begin of a rewritten file, and what was said of it."""

    chain: Chain
    place: Place
    seal: Seal | None
    replaced: Iterable[SealRange]
    is_trusted: bool
    finding: Finding


class Row:
    """
    The seals by keys that were made from one first key.

    Attributes:
        name: The name of the keys.
        last: The number of the last seal; -1 where there was none.
        reach: The same, with those in files that were rewritten.
        place: Where that stands.
    """

    def __init__(self, name: str, first: FirstKey | None) -> None:
        self.name = name
        self.last = self.reach = -1
        self.place: Place | None = None
        self.key = None if first is None else first.key
        self.holes: list[_Hole] = []


class Seals:
    """
    The seals of one log.

    Args:
        findings: Where findings go.
        keys: The first keys that were given, by their names.
        is_whole: Whether what is missing at the begin was to be there.

    Attributes:
        rows: The seals, by the names of their keys.
        is_declared: Whether a process said that it seals.
    """

    def __init__(
        self, findings: Findings, keys: Mapping[str, FirstKey], is_whole: bool = True
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.is_declared = False
        self._findings = findings
        self._keys = keys
        self._is_whole = is_whole
        self._is_unread = False
        self._unsealed: tuple[Chain, int, Place] | None = None
        self._rewritten: list[_Rewriting] = []
        self._held: list[tuple[Chain, Place, bytes, Link]] | None = None
        self._own: dict[tuple[str, int, int], SealKey | None] = {}
        self._oldest = _NEVER
        self._before: float | None = None
        self._steps_left = _MOST_STEPS
        self._last_own: dict[str, SealKey] = {}
        self._left: list[Chain] = []

    @property
    def is_sealing(self) -> bool:
        """Whether the log is a sealed one, as far as it was read."""
        return self.is_declared or bool(self.rows)

    @property
    def asks_for_times(self) -> bool:
        """Whether `note` is to be told of every line."""
        return bool(self._keys)

    def reach(self, name: str) -> int:
        """Return the number of the last seal by keys of a name; -1 where there is none."""
        row = self.rows.get(name)
        return -1 if row is None else row.reach

    # Reading.

    def note(self, lines: Iterable[bytes]) -> None:
        """Take what lines say of when they were written."""
        for line in lines:
            self._oldest = min(self._oldest, _time_in(line))

    def note_stray(self, line: bytes) -> None:
        """Take the same of a line that is in no chain, or not in its place, if it is an event."""
        self._oldest = min(self._oldest, _time_in(line, is_stray=True))

    def missed(self) -> None:
        """Remember that a file could not be read to its end: seals in it are not missing."""
        self._is_unread = True

    def leave(self, chain: Chain) -> None:
        """Remember a chain after which another one begins that does not cover it."""
        if len(self._left) < _MOST_HOLES:
            self._left.append(chain)

    def hold(self) -> None:
        """Put back what is read from now on: it is not clear yet which lines count."""
        self.release()
        self._held = []

    def release(self, instead: Iterable[tuple[Chain, Place, bytes, Link]] | None = None) -> None:
        """
        Read what was put back.

        Args:
            instead: What is to be read in its place.
        """
        held, self._held = self._held, None
        for each in held or () if instead is None else instead:
            self.read(*each)

    @property
    def held(self) -> list[tuple[Chain, Place, bytes, Link]]:
        """What was put back."""
        return list(self._held or ())

    def read(self, chain: Chain, place: Place, line: bytes, link: Link) -> None:
        """Read a line that has a seal, or ought to have one in a sealed log."""
        if self._held is not None:
            self._held.append((chain, place, line, link))
        elif link.seal is None:
            if self._unsealed is None:
                self._unsealed = chain, link.seq, place
        elif chain.resumes is not None:
            self._read_rewritten(chain, place, line, link, link.seal)
        else:
            self._read_sealed(chain, place, line, link, link.seal)

    def _read_sealed(self, chain: Chain, place: Place, line: bytes, link: Link, seal: Seal) -> None:
        row = self._row(seal.name)
        if row is None:
            return
        right = self._is_right(row, place, line, link, seal, chain)
        if right is False:
            return
        if seal.number > row.last + 1:
            self._missing(row, seal, chain, place, link)
        if row.key is not None:
            self._check_time(row.key, chain, place, line, link)
        if seal.number == row.last:
            message = (
                f"the seal {seal.number} stood before: the key had not moved on, because its "
                "process was killed or its file could not be written"
            )
            self._findings.add("seal repeated", "told", message, place, chain.id, link.seq)
        row.last, row.place = seal.number, place
        row.reach = max(row.reach, row.last)
        self._is_unread = False
        self._counted(chain, place, link, right)

    def _counted(self, chain: Chain, place: Place, link: Link, right: bool | None) -> None:
        self._unsealed, self._oldest = None, _NEVER
        if right:
            chain.seals += 1
            chain.last_sealed = link.seq, place

    def _row(self, name: str) -> Row | None:
        if name not in self.rows and len(self.rows) < _MOST_ROWS:
            self.rows[name] = Row(name, self._keys.get(name))
        return self.rows.get(name)

    def _is_right(
        self, row: Row, place: Place, line: bytes, link: Link, seal: Seal, chain: Chain
    ) -> bool | None:
        """Whether a seal is by the key of its number, and that is not an earlier one."""
        message, steps_left = None, self._steps_left
        key = None if row.key is None else self._key_of(row.key, seal)
        if seal.number < row.last:
            message = (
                f"the seal {seal.number} stands behind the seal {row.last}: the file of the key "
                "was put back, or the line was put here"
            )
        elif not has_seal(link):
            message = "the digest or the signature behind its seal is missing"
        elif row.key is None and self._keys:
            message = f"it is sealed with the key {row.name}, which is none of those given"
        elif row.key is not None and (key is None or not key.is_right(line, seal)):
            if key is not None and any(key.is_right(each, seal) for each in written_as(line)):
                return False  # behind a fragment: its writer writes it again
            message = f"the seal is not that of the key {row.name} with the number {seal.number}"
        if message is not None:
            self._findings.add("bad seal", "tampering", message, place, chain.id, link.seq)
            return False
        row.key, self._steps_left = key, steps_left
        return None if key is None else True

    def _key_of(self, key: SealKey, seal: Seal) -> SealKey | None:
        """The key that a seal says it has, unless made up numbers have taken too long before."""
        steps = seal.number - key.number + seal.minute - key.minute
        if steps > self._steps_left:
            return None
        self._steps_left -= max(0, steps)
        return key.at(seal.number, seal.minute)

    def _check_time(
        self, key: SealKey, chain: Chain, place: Place, line: bytes, link: Link
    ) -> None:
        """Hold what a sealed line and those before it say of their time against that of the key."""
        said = _seconds(_time_in(line))
        minute = -1 if said is None else key.minute_of(said)
        add = self._findings.add
        if said is None or minute > key.minute + 1:
            message = (
                "it does not say when it was sealed"
                if said is None
                else "its key is of an earlier time than it says"
            )
            add("bad seal", "tampering", message, place, chain.id, link.seq)
        elif minute < max(0, key.minute - 1):
            message = (
                f"it says a time {key.minute - minute} minutes before that of its key: the clock "
                "was put back, or it was written later than it says"
            )
            add("dated back", "unchecked", message, place, chain.id, link.seq)
        elif self._before is not None and _is_older(self._oldest, self._before):
            message = (
                f"lines that it seals say {_told(self._oldest)}, and the seal before them was made "
                f"{_later(self._oldest, self._before)}"
            )
            add("dated back", "unchecked", message, place, chain.id, link.seq)
        self._before = said

    def _missing(self, row: Row, seal: Seal, chain: Chain, place: Place, link: Link) -> None:
        first, last = row.last + 1, seal.number - 1
        some = f"the seal {first} is" if first == last else f"the seals {first} to {last} are"
        message = f"{some} missing before it: what they sealed was taken away or written anew"
        is_begin = row.last < 0
        severity: Any = "tampering"
        if self._is_unread or (is_begin and not self._is_whole):
            severity = "told" if self._is_unread else "unchecked"
            message = f"{some} missing before it, as the files before are not here"
        found = self._findings.add("seals missing", severity, message, place, chain.id, link.seq)
        if len(row.holes) < _MOST_HOLES:
            row.holes.append(_Hole(first, last, found, self._oldest))

    # Files that were rewritten.

    def rewritten(
        self,
        chain: Chain,
        place: Place,
        line: bytes,
        link: Link,
        replaced: Iterable[SealRange],
        is_trusted: bool,
        finding: Finding,
    ) -> None:
        """
        Read the first line of a rewritten file.

        Args:
            chain: The chain of that file.
            place: Where the line stands.
            line: The line.
            link: Its link.
            replaced: The seals of the file that was there before.
            is_trusted: Whether it is signed with a key that was given.
            finding: What was said of it.
        """
        if link.seal is not None:
            self._read_rewritten(chain, place, line, link, link.seal)
        replaced = list(replaced)
        self._rewritten.append(_Rewriting(chain, place, link.seal, replaced, is_trusted, finding))
        for each in replaced:
            row = self._row(each.key)
            if row is not None:
                row.reach = max(row.reach, each.last)

    def _read_rewritten(
        self, chain: Chain, place: Place, line: bytes, link: Link, seal: Seal
    ) -> None:
        """Check a seal that was made when the file was rewritten, with the key of that time."""
        mark = seal.name, seal.number, seal.minute
        if mark not in self._own:
            self._own = {mark: self._own_key(seal)}
        key = self._own[mark]
        if key is None and not self._keys:
            return self._counted(chain, place, link, None)
        if key is not None and has_seal(link) and key.is_right(line, seal):
            self._last_own[seal.name] = key
            return self._counted(chain, place, link, True)
        message = f"the seal is not that of the key {seal.name} with the number {seal.number}"
        self._findings.add("bad seal", "tampering", message, place, chain.id, link.seq)
        return None

    def _own_key(self, seal: Seal) -> SealKey | None:
        first, last = self._keys.get(seal.name), self._last_own.get(seal.name)
        if first is None:
            return None
        if last is None or last.number > seal.number or last.minute > seal.minute:
            last = first.key
        return self._key_of(last, seal)

    # Judging.

    def judge(self, statements: Iterable[tuple[str, list[SealRange]]]) -> None:
        """
        Say what the seals of the log amount to.

        Args:
            statements: The kinds of the statements that count, and the seals of their files.
        """
        self.release()
        if not self.is_sealing:
            return
        said = list(statements)
        for row in self.rows.values():
            for hole in row.holes:
                if _is_explained(row.name, hole, said):
                    self._judge_hole(row, hole, said)
        for each in self._rewritten:
            self._judge_rewritten(each)
        for chain in self._left:
            self._judge_left(chain)
        add = self._findings.add
        if not self._keys:
            message = "the log is sealed; give the first key to have the seals checked"
            add("seals not checked", "unchecked", message)
        elif not self.rows:
            message = "the log has no seal yet: nothing of it is sealed"
            add("seals not checked", "unchecked", message)
        if self._unsealed is not None:
            chain, seq, place = self._unsealed
            message = "the log is sealed, and neither is this, nor anything after it"
            add("seals missing", "tampering", message, place, chain.id, seq)

    def _judge_hole(
        self, row: Row, hole: _Hole, statements: list[tuple[str, list[SealRange]]]
    ) -> None:
        """
        Say of seals that are gone by statement whether that says when the last of them was made.

        What stands behind them can't be older: who has the key of a later time has not their codes.
        """
        first, message = self._keys.get(row.name), ""
        last = [each for _, some in statements for each in some if each.key == row.name]
        last = [each for each in last if each.last == hole.last]
        if first is not None and hole.first == 0:
            key = self._key_of(first.key, last[-1].seal) if last else None
            if key is None or not key.has_sealed(last[-1].line, last[-1].seal):
                message = (
                    f"nothing shows when the seal {hole.last} was made, which is said to be deleted"
                )
            elif _is_older(hole.oldest, key.time):
                message = (
                    f"lines say {_told(hole.oldest)}, and the seal before them, which is deleted "
                    f"by statement, was made {_later(hole.oldest, key.time)}"
                )
        self._findings.withdraw([hole.finding])
        if message and hole.finding.severity == "tampering":
            found = hole.finding
            place = None if found.file is None else Place(found.file, found.line)
            self._findings.add("dated back", "unchecked", message, place, found.chain, found.seq)

    def _judge_left(self, chain: Chain) -> None:
        """Say of the end of a chain that no seal covers, nor the chain after it."""
        last = chain.first - 1 if chain.last_sealed is None else chain.last_sealed[0]
        if self._keys and last < chain.seq and not chain.is_replaced(chain.seq):
            message = (
                f"{counted(chain.seq - last, 'line is', 'lines are')} not sealed, nor covered by the chain after them: who "
                "can write the files can have put them here"
            )
            self._findings.add(
                "seals missing", "unchecked", message, chain.place, chain.id, chain.seq
            )

    def _judge_rewritten(self, each: _Rewriting) -> None:
        chain, place = each.chain, each.place
        add, seal = self._findings.add, each.seal
        ends = chain.last_sealed is not None and chain.last_sealed[0] == chain.seq
        if seal is None or (self._keys and not ends):
            message = "the begin or the end of the rewritten file is not sealed"
            add("seals missing", "tampering", message, place, chain.id, 0)
            return
        last = self.reach(seal.name)
        if seal.number > last + 1:
            message = (
                f"it was rewritten when the next seal was {seal.number}, and the log ends with "
                f"the seal {last}"
            )
            add("cut off", "tampering", message, place, chain.id, 0)
        elif any(was.last >= seal.number for was in each.replaced if was.key == seal.name):
            message = "it is sealed with a key that the file had which it replaces"
            add("bad seal", "tampering", message, place, chain.id, 0)
        if not each.is_trusted and each.finding.severity == "told":
            self._findings.change(each.finding, "unchecked")
            each.finding.message += (
                f"; who had the key of the log when the seal {seal.number} was next can have "
                "written anything into it. Give the public key of who signed it, if somebody did"
            )


class _Event(msgspec.Struct):
    hilt_version: Any = None
    timestamp: Any = _NEVER


_decoder = msgspec.json.Decoder(_Event)


def _time_in(line: bytes, is_stray: bool = False) -> str:
    """When a line says that it was written, in UTC, to the second; empty where that is no time."""
    try:
        event = _decoder.decode(line)
    except (ValueError, RecursionError):  # behind a fragment, or what others may still read
        times = [] if is_stray else _TIMES.findall(line)
        return min((_in_utc(each.decode(errors="replace")) for each in times), default=_NEVER)
    if is_stray and event.hilt_version is None:
        return _NEVER
    return _in_utc(event.timestamp)


def _in_utc(when: Any) -> str:
    if when == _NEVER:
        return _NEVER
    try:
        if usual := _USUAL.fullmatch(when):
            return usual[1]
        found = datetime.fromisoformat(when)
        return (found if found.tzinfo is None else found.astimezone(UTC)).isoformat()[:19]
    except (ValueError, OverflowError, TypeError):
        return ""


def _seconds(when: str) -> float | None:
    try:
        return datetime.fromisoformat(f"{when}+00:00").timestamp()
    except ValueError:
        return None


def _is_older(when: str, than: float) -> bool:
    """Whether a line says a time before another, or none that can be read."""
    said = _seconds(when)
    return when != _NEVER and (said is None or said < than - _SLACK_S)


def _told(when: str) -> str:
    return "no time that can be read" if _seconds(when) is None else f"{when}Z"


def _later(when: str, than: float) -> str:
    said = _seconds(when)
    return "later" if said is None else f"{(than - said) / 60:,.0f} minutes later"


def _is_explained(name: str, hole: _Hole, statements: list[tuple[str, list[SealRange]]]) -> bool:
    """Whether statements say that the files with some seals were deleted or rewritten."""
    ranges = sorted(
        (each.first, each.last) for _, some in statements for each in some if each.key == name
    )
    if hole.first == 0:  # of what is gone from the begin, the last statement speaks
        is_bare = any(kind == "pruned" and not some for kind, some in statements)
        if is_bare or any(last == hole.last for _, last in ranges):
            return True
    return not list(_left(hole.first, hole.last, ranges))


def _left(first: int, last: int, ranges: list[tuple[int, int]]) -> Iterator[int]:
    """The begins of what is left of a range without others."""
    for begin, end in ranges:
        if begin <= first <= end:
            first = end + 1
    if first <= last:
        yield first
