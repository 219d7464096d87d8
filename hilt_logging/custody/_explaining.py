"""
What happened to lines that do not fit, once a later line tells which of them are what they were.
"""

from __future__ import annotations

from .._counting import counted
from ..safeguards.chain import Link
from ._chains import Chain, Gap, Stray, is_json
from ._findings import Finding, Findings, Kind, Place, Severity


__all__ = ["Explanations", "is_heir", "named", "numbers"]


class Explanations:
    """
    Says of lines that do not fit what was done to them.

    Args:
        findings: Where findings go.
        is_whole: Whether what is missing at the begin was to be there.

    Attributes:
        chain: The chain that is read.
    """

    def __init__(self, findings: Findings, is_whole: bool) -> None:
        self.findings = findings
        self.is_whole = is_whole
        self.chain: Chain | None = None
        self._file = ""
        self._stamped = self._was_stamped = False
        self._unread = ""
        self._former: Place | None = None

    # Lines that came later.

    def _intruded(self, chain: Chain, some: list[Stray], stray: Stray) -> None:
        """Accuse what stands before a line that is linked to the one before all these."""
        for each in some:
            if each.link is not None and each.link.chain == chain.id and not each.link.is_unlinked:
                self._displaced(chain, each, each.link)
            elif each.link is not None and not each.link.is_unlinked:
                self._accuse("foreign", "a line of another chain", each.place, each.link)
            elif each.kind in ("torn", "damaged") and not is_json(stray.line):
                self._accuse("altered", "one line was made two", each.place)
            else:
                message = "it was put between two lines after these were written"
                self._accuse("foreign", message, each.place)

    def _displaced(self, chain: Chain, each: Stray, link: Link) -> None:
        """Say of a line that does not belong where it stands what it is."""
        known = chain.digest_of(link.seq)
        gap = chain.gap_of(link.seq)
        if gap is not None and (link.seq < gap.last or gap.head in ("", each.own)):
            self._moved(chain, gap, each, link)
        elif link.seq > chain.seq:
            message = f"the line with the number {link.seq} stands too early"
            found = self._accuse("moved", message, each.place, link)
            chain.remember(link.seq, each.own, found)
        elif known == each.own:
            self._accuse("repeated", "it stood before", each.place, link)
        elif link.prev in chain.forks:
            chain.forks.append(each.own)
        elif known is not None and chain.digest_of(link.seq - 1) in (link.prev, None):
            self._forked(chain, each, link)
        elif known is None:
            message = f"a line with the number {link.seq} stood before"
            self._accuse("repeated", message, each.place, link)
        else:
            message = "it has the link of another line"
            self._accuse("foreign", message, each.place, link)

    def _forked(self, chain: Chain, each: Stray, link: Link) -> None:
        message = f"from here on there are two lines with the number {link.seq} and those after it"
        self._accuse("chain forked", message, each.place, link)
        chain.forks.append(each.own)

    def _moved(self, chain: Chain, gap: Gap, each: Stray, link: Link) -> None:
        """Tell a line that was missing, and is found, as one that was moved."""
        chain.filled(gap, link.seq, link.seq)
        gap.finding.kind = "moved"
        gap.finding.message += f"; number {link.seq} stands in {named(each.place)}"
        if not gap.finding.line:
            self._accuse("moved", "it does not belong here", each.place, link)

    # Lines between two that are good.

    def _went_back(self, chain: Chain, last: Stray, link: Link) -> None:
        away = chain.seq, chain.head
        is_twin = link.seq == chain.seq and last.own != chain.head
        if is_twin and link.prev == chain.digest_of(link.seq - 1):
            message = f"{named(last.place)} has the number {link.seq}, too, and was gone on from"
            self.findings.add(
                "chain forked", "tampering", message, chain.place, chain.id, chain.seq
            )
        else:
            self._displaced(chain, last, link)
        if chain.away is None:
            chain.away = away

    def _explain(self, chain: Chain, lines: list[Stray]) -> None:
        """Say what happened between the last good line and the last of these, which is good."""
        last = lines[-1]
        assert last.link is not None
        seq, unknown, before = chain.seq, list[Stray](), None
        for each in lines:
            link = each.link
            is_known = (
                link is not None
                and link.chain == chain.id
                and (each is last or seq < link.seq < last.link.seq)
            )
            if is_known and link is not None:
                self._former = chain.place if before is None else before.place
                self._explain_one(chain, seq, unknown, each, link, each is last)
                if before is not None and link.seq == seq + 1 and not unknown and not link.span:
                    self._explain_former(before, link)
                seq, unknown, before = link.seq, [], each
            else:
                unknown.append(each)

    def _explain_one(
        self, chain: Chain, seq: int, unknown: list[Stray], each: Stray, link: Link, good: bool
    ) -> None:
        gap = link.seq - seq - 1
        if gap and unknown:
            more = f", and {gap - len(unknown)} more are missing" if gap > len(unknown) else ""
            count = min(gap, len(unknown))
            message = (
                "it is not what it was" if count == 1 else f"{count} lines are not what they were"
            )
            self._accuse("altered", message + more, unknown[0].place, seq=seq + 1)
            self._unmatched(unknown[count:])
        elif gap:
            self._missing(chain, seq + 1, each, link)
        elif not good:
            place = unknown[0].place if unknown and each.kind == "glued" else each.place
            self._accuse("altered", "it is not linked to the line before it", place, link)
        elif seq == chain.seq:
            self._explain_pair(chain, unknown, each, link)
        else:
            self._unmatched(unknown)

    def _explain_former(self, before: Stray, link: Link) -> None:
        """Accuse a line if the next one, which follows it by its number, is linked to another."""
        if link.prev != before.own:
            message = "it is not the line that the next was linked to"
            self._accuse("altered", message, before.place, before.link)

    def _explain_pair(self, chain: Chain, unknown: list[Stray], each: Stray, link: Link) -> None:
        """Say what happened between two lines whose numbers follow each other."""
        count = link.span.lines if link.span else 0
        if count > len(unknown):
            are = counted(
                count - len(unknown),
                "line that is in no chain is",
                "lines that are in no chain are",
            )
            message = f"{are} missing before it"
            self._accuse("missing", message, each.place, link)
        elif count < len(unknown):
            self._unmatched(unknown)
        elif unknown and unknown[-1].own != link.prev:
            self._accuse("altered", "it is not what it was", unknown[-1].place)
        else:
            after = "the line" if count == 1 else f"one of the {count} lines"
            more = f" (it or {after} after it)" if count else ""
            self._accuse_last(chain, f"it is not the line that the next was linked to{more}")

    def _accuse_last(self, chain: Chain, message: str) -> None:
        since = ""
        if chain.last_signed is not None and chain.last_signed[0] < chain.seq:
            since = (
                f"; the lines since the signature in {named(chain.last_signed[1])} may all be new"
            )
        place = chain.place or Place(self._file)
        if chain.lines == 1 and chain.gaps and chain.gaps[0].is_begin:
            begin = chain.gaps[0].finding
            self.findings.change(begin, "tampering", "altered")
            begin.line = place.line
            begin.message = f"{message}; {begin.message}"
        else:
            self.findings.add("altered", "tampering", message + since, place, chain.id, chain.seq)

    def _unmatched(self, strays: list[Stray]) -> None:
        for each in strays:
            self._accuse("foreign", "no line vouches for it", each.place, each.link)

    def _missing(self, chain: Chain, first: int, each: Stray, link: Link) -> None:
        last = link.seq - 1
        other = chain.elsewhere.get(last)
        if other is not None and other[0] == link.prev and last - first < len(chain.elsewhere):
            seen = [chain.elsewhere.pop(seq, None) for seq in range(first, last + 1)]
            if all(seen):
                return
        if each.kind == "glued":
            self._accuse("altered", "two lines were made one", each.place, link)
            return
        message = f"{numbers(first, last)} missing"
        kind: Kind = "missing"
        place = each.place
        if each.place.line == 1 and chain.place is not None:
            kind, message, place = self._at_edge(chain, first, last, each.place)
        is_amid = self._former is not None and self._former.file == each.place.file
        severity: Severity = "told" if self._unread and not is_amid else "tampering"
        if severity == "told":
            message += ", as the file before could not be read"
        found = self.findings.add(kind, severity, message, place, chain.id, first)
        chain.add_gap(Gap(first, last, link.prev, found))

    def _at_edge(
        self, chain: Chain, first: int, last: int, place: Place
    ) -> tuple[Kind, str, Place]:
        """What it means that numbers are missing between two files."""
        message = f"{numbers(first, last)} missing before the file"
        if not chain.is_ended and self._was_stamped and chain.place is not None:
            return (
                "cut off",
                f"the end of the file is missing, or files after it: {message}",
                (chain.place),
            )
        if first == last:
            return "missing", message, place
        return "file missing", f"{message}: a file, or the begin of this one", place

    def _missing_at_begin(self, chain: Chain, last: int, head: str, place: Place) -> None:
        message = f"{numbers(0, last)} missing before the first file"
        severity: Severity = "tampering" if self.is_whole and not self._unread else "unchecked"
        where = Place(place.file)
        found = self.findings.add("file missing", severity, message, where, chain.id, 0)
        chain.add_gap(Gap(0, last, head, found, is_begin=True))

    # Findings.

    def _accuse(
        self,
        kind: Kind,
        message: str,
        place: Place,
        link: Link | None = None,
        seq: int | None = None,
    ) -> Finding:
        return self._say(kind, "tampering", message, place, link, seq)

    def _tell(self, kind: Kind, message: str, place: Place, link: Link | None = None) -> None:
        self._say(kind, "told", message, place, link)

    def _say(
        self,
        kind: Kind,
        severity: Severity,
        message: str,
        place: Place,
        link: Link | None,
        seq: int | None = None,
    ) -> Finding:
        chain = link.chain if link is not None else self.chain.id if self.chain else None
        if link is not None and not link.is_unlinked:
            seq = link.seq
        return self.findings.add(kind, severity, message, place, chain, seq)


def is_heir(chain: Chain, link: Link) -> bool:
    """Return whether a line is linked to the last good one, whatever stands between."""
    return link.span is None and (link.seq, link.prev) == (chain.seq + 1, chain.head)


def named(place: Place) -> str:
    """Return a place as it stands in messages."""
    return place.file if place.line is None else f"{place.file}, line {place.line}"


def numbers(first: int, last: int) -> str:
    """Return the begin of a sentence about numbers."""
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"
