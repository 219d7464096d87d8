"""
What is known of one chain while its lines are read.
"""

from __future__ import annotations

import re

from collections import deque
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from ..safeguards.chain import ZEROS, Link, Span, sha256, spanning
from ._findings import Finding, Place


__all__ = ["Chain", "Gap", "Stray", "Strays", "ends_of", "is_json", "written_as"]

REMEMBERED = 20_000
_MOST = 1000
_MOST_BYTES = 4 * 1024 * 1024
_MOST_LINKED = 8
_MOST_BEGINS = 32
_LONGEST_GLUED = 1024 * 1024
_OPENED = b'"notice":{"kind":"opened"'
_BEGINS = (b'{"hilt_version"', b'{"')


class Stray(NamedTuple):
    """
    A line that is not linked to the one before it.

    Attributes:
        place: Where it stands.
        own: Its digest.
        kind: `foreign`, `torn`, `damaged` where it seems to have had a link, `unlinked`, `linked`
            to something else, or `glued` where that stands behind another line's link.
        link: Its link, if it has one.
        line: Its bytes, if it has a link.
    """

    place: Place
    own: str
    kind: str
    link: Link | None = None
    line: bytes = b""


class Strays:
    """
    The lines since the last one that is linked to the one before it.

    Args:
        head: The digest of that one.
        chain: Its chain.
        above: Its bytes, so far as they are kept.
        outer: Lines of which it is not clear how they came, and which these are some of.

    Attributes:
        some: The first of them, as far as they are kept.
        last: The last of them.
        count: How many there are.
        linked: Those with a link, the last ones, by their digests: their place in `some` as well.
        highest: The highest number of those of the same chain.
        has_heir: Whether one is linked to the last line before them.
        behind: The first that was written with a line that stands behind a fragment: its writer
            writes that one again, so that no process can come first unless that is what it said.
        is_doubted: Whether reading went on from one of them, until one vouches for all.
        doubted_at: How many there were then.
        astray: The first of the same chain that no writer can have put here, with its place in
            `some`.
    """

    def __init__(
        self, head: str, chain: Chain | None, above: bytes = b"", outer: Strays | None = None
    ) -> None:
        self._span = spanning(head)
        self._above = dict.fromkeys(ends_of(above), chain.seq) if chain is not None else {}
        self._has_opened = _OPENED in above
        self._chain = chain
        self._outer = outer
        self._looks: dict[str, tuple[int, Span]] = {}
        self._ends: dict[str, int] = {}
        self._recent: deque[tuple[str, bytes]] = deque()
        self._recent_bytes = 0
        self.is_doubted = False
        self.doubted_at = 0
        self.behind: tuple[int, Stray] | None = None
        self.astray: tuple[int, Stray] | None = None
        self.some: list[Stray] = []
        self.last: Stray | None = None
        self.count = 0
        self.linked: dict[str, tuple[int, Stray]] = {}
        self.highest = -1
        self.has_heir = False

    def add(self, stray: Stray, span: Any = None) -> None:
        """
        Take one more.

        Args:
            stray: The line.
            span: The state of `after` with this line, where that was too long to be kept.
        """
        if span is not None:
            self._span = span
        else:
            self._span.update(stray.line + b"\n")
        if self._chain is None:
            self._keep(stray, span is None)
        self.count += 1
        if stray.kind in ("linked", "glued") and stray.link is not None:
            self.linked[stray.own] = len(self.some), stray
            if self._chain is not None and stray.link.chain == self._chain.id:
                if self.is_late(stray):
                    self._end(stray, stray.link)
                    is_behind = stray.link.prev in self._above and not self._has_opened
                    if self.behind is None and is_behind:
                        self.behind = len(self.some), stray
                elif self.astray is None and not self.is_doubted:
                    self.astray = len(self.some), stray
                self.highest = max(self.highest, stray.link.seq)
            if len(self.linked) > _MOST_LINKED:
                del self.linked[next(iter(self.linked))]
        self.last = stray._replace(line=b"")
        if len(self.some) < _MOST:
            self.some.append(self.last)
        if self._chain is not None and len(self._looks) < REMEMBERED:
            highest = max(self._chain.seq, self.highest)
            self._looks[stray.own] = highest, Span(self.count, self.sha256)

    def _keep(self, stray: Stray, is_whole: bool) -> None:
        """Keep the last lines before a chain begins: it may do so after one that is not the last."""
        self._recent.append((stray.own, stray.line))
        self._recent_bytes += len(stray.line)
        if not is_whole:
            self._recent.clear()
            self._recent_bytes = 0
        while self._recent_bytes > _MOST_BYTES or len(self._recent) > _MOST:
            self._recent_bytes -= len(self._recent.popleft()[1])

    def since(self, own: str) -> Strays | None:
        """Return those after the last that has a digest; None where none of the last lines has it."""
        later: list[bytes] = []
        for digest, line in reversed(self._recent):
            if digest == own:
                break
            later.append(line)
        else:
            return None
        made = Strays(own, None)
        made.some = self.some[self.count - len(later) : self.count]
        made.count, made.last = len(later), self.last
        made._span.update(b"".join(line + b"\n" for line in reversed(later)))
        return made

    def doubt(self, chain: Chain) -> None:
        """Take it that reading goes on, in a chain, from one of them or from the next line."""
        self._chain = chain
        self.is_doubted, self.doubted_at = True, self.count

    @property
    def chain(self) -> Chain | None:
        """The chain whose next line is to vouch for them."""
        return self._chain

    def _end(self, stray: Stray, link: Link) -> None:
        """Keep that its writer may have put more behind it in one write."""
        if len(self._ends) < REMEMBERED:
            ends = [stray.own, *(ends_of(stray.line) if stray.kind == "glued" else ())]
            self._ends.update(dict.fromkeys(ends, link.seq))

    def is_late(self, stray: Stray) -> bool:
        """
        Whether a linked line fits a place before: its writer was stopped, and others wrote.

        Args:
            stray: A line of the same chain.
        """
        link, chain = stray.link, self._chain
        if link is None or chain is None or stray.own == chain.digest_of(link.seq):
            return False
        if link.span is not None:
            look = link.seq - 1, link.span
            outer = self._outer
            return self._looks.get(link.prev) == look or (
                outer is not None and outer._looks.get(link.prev) == look
            )
        before = self._ends.get(link.prev, self._above.get(link.prev))
        return before == link.seq - 1 or chain.digest_of(link.seq - 1) == link.prev

    def after(self) -> Any:
        """Return the state of the digest, to which a long line is added in pieces."""
        return self._span.copy()

    @property
    def sha256(self) -> str:
        """The digest of the linked line's digest and of all of them."""
        return str(self._span.hexdigest())


class Gap(NamedTuple):
    """
    Numbers that no line has.

    Attributes:
        first: The first of them.
        last: The last of them.
        head: The digest of the line with the last number.
        finding: What was said of it.
        is_begin: Whether nothing of the chain stands before it.
    """

    first: int
    last: int
    head: str
    finding: Finding
    is_begin: bool = False


class Chain:
    """
    A chain as far as it was read.

    Args:
        chain: Its id.
        log: The log.
        seq: The number before its first line here.
        head: The digest of that line.

    Attributes:
        place: Where its last line stands.
        lines: How many linked lines were read.
        gaps: Numbers that were not found.
        elsewhere: Lines that stood where they do not belong, by number: digest and finding.
        forks: Digests of the last lines of branches.
        away: The last line before lines that go back, with its number.
        watched: Numbers of which saved checkpoints tell the digest, the next one last.
        replaced: Ranges of numbers that a statement says were rewritten.
        between: Number and digest of lines that a statement says stood behind the last linked one.
        resumes: The chain that goes on after this one, which stands for a part of it.
        glued: What was said of the last sealed line, which stands behind a fragment, with its number
            and what it says.
        seals: How many seals were checked, and are right.
        last_sealed: The number of the last line with one of them, and where it stands.
        unsigned: The first notice since the last signature that has none, with its number.
    """

    def __init__(self, chain: str, log: str, seq: int = -1, head: str = ZEROS) -> None:
        self.id = chain
        self.log = log
        self.begin = f',"integrity":{{"chain":"{chain}","seq":'
        self.seq = seq
        self.head = head
        self.first = seq + 1
        self.highest = seq
        self.place: Place | None = None
        self.lines = self.checkpoints = self.signatures = self.digests = self.unchecked = 0
        self.seals = 0
        self.last_sealed: tuple[int, Place] | None = None
        self.recent: deque[str] = deque(maxlen=REMEMBERED)
        self.gaps: list[Gap] = []
        self.elsewhere: dict[int, tuple[str, Finding]] = {}
        self.forks: deque[str] = deque(maxlen=16)
        self.away: tuple[int, str] | None = None
        self.watched: list[int] = []
        self.expected: dict[int, tuple[str, Place]] = {}
        self.replaced: list[tuple[int, int]] = []
        self.between: tuple[int, str] | None = None
        self.resumes: str | None = None
        self.unsigned: tuple[int, Place] | None = None
        self.glued: tuple[Finding, int, tuple[Any, Any]] | None = None
        self.is_declared = False
        self.is_ended = False
        self.last_signed: tuple[int, Place] | None = None

    def watch(self) -> int | float:
        """Return the next number of whose line something was told elsewhere."""
        while self.watched and self.watched[-1] <= self.seq:
            self.watched.pop()
        return self.watched[-1] if self.watched else float("inf")

    def accept(self, seq: int, own: str, place: Place) -> None:
        """Go on to a line."""
        if seq != self.seq + 1:
            self.recent.clear()
        self.seq, self.head, self.place, self.between = seq, own, place, None
        self.highest = max(self.highest, seq)
        self.recent.append(own)
        self.lines += 1

    def digest_of(self, seq: int) -> str | None:
        """Return the digest of the line with a number, if it was read not long ago."""
        index = len(self.recent) - 1 - (self.seq - seq)
        return self.recent[index] if 0 <= index < len(self.recent) else None

    def add_gap(self, gap: Gap) -> None:
        """Keep a gap, so that a statement or lines found elsewhere can explain it."""
        if len(self.gaps) < _MOST:
            self.gaps.append(gap)

    def gap_of(self, seq: int) -> Gap | None:
        """Return the gap that a number is in."""
        return next((gap for gap in self.gaps if gap.first <= seq <= gap.last), None)

    def is_replaced(self, seq: int) -> bool:
        """Whether a statement says that the line with this number was rewritten."""
        return any(first <= seq <= last for first, last in self.replaced)

    def is_there(self, seq: int) -> bool:
        """Whether nothing explains that no line with a number is there."""
        return seq >= self.first and not self.gap_of(seq) and not self.is_replaced(seq)

    def filled(self, gap: Gap, first: int, last: int) -> None:
        """Take numbers out of a gap, because their lines were found elsewhere."""
        self.gaps.remove(gap)
        if gap.first < first:
            self.add_gap(gap._replace(last=first - 1, head=""))
        if last < gap.last:
            self.add_gap(gap._replace(first=last + 1, is_begin=False))

    def remember(self, seq: int, own: str, finding: Finding) -> None:
        """Keep a line that stood before its place."""
        if len(self.elsewhere) < _MOST:
            self.elsewhere[seq] = own, finding
            self.watched = sorted({*self.watched, seq}, reverse=True)


def ends_of(line: bytes) -> list[str]:
    """Return the digests that a line may have had as it was written, if it is behind a fragment."""
    return [sha256(each) for each in written_as(line)]


def written_as(line: bytes) -> list[bytes]:
    """Return what a line may have been as it was written, if it is behind a fragment."""
    if len(line) > _LONGEST_GLUED or is_json(line):
        return []
    for sign in _BEGINS:
        begins = [each.start() for each in islice(re.finditer(sign, line), _MOST_BEGINS)]
        if begins:
            return [line[begin:] for begin in begins]
    return []


def is_json(line: bytes) -> bool:
    """Return whether a line is JSON."""
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True
