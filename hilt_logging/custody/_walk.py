"""
Reading the lines of a log, one after the other, against the links between them.

A line that fits costs a SHA-256 and a look at its end: how it has to end is known before it is read.
What does not fit is kept until a later line tells what happened. That is one that vouches for all
that stands between (its writer saw it: nothing was changed), or two that fit each other, from which
reading goes on.
"""

from __future__ import annotations

import hashlib

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..io.files import LONGEST
from ..safeguards.chain import MEMBER, ZEROS, Link, link_of, sha256
from ..safeguards.jwk import JWK
from ..safeguards.sealing import FirstKey
from ._chains import Chain, Gap, Stray, Strays, is_json, written_as
from ._explaining import Explanations, is_heir, named, numbers
from ._findings import Finding, Findings, Kind, Place
from ._notices import Notices, Range
from ._seals import Seals


__all__ = ["Walk"]

_NOTICE = b'"notice":{"kind":"'
_NEW = hashlib.sha256()
_TAIL = 4096
_MOST_CHAINS = 1000
_MOST_DOUBTED = 2000
_MOST_LATE = 1000
_SIGNS = (b'"integrity":{"chain":"', b',"prev":"')
_TOLD: dict[str, tuple[Kind, str]] = {
    "foreign": ("foreign", "it is in no chain; it stood here when the next line was written"),
    "torn": ("torn", "a line that was not finished"),
    "damaged": ("torn", "a line that was not finished"),
    "unlinked": ("unlinked", "it was written without a link; the next linked line covers it"),
    "linked": ("out of place", "it is linked to an earlier line; the next linked line covers it"),
    "glued": ("torn", "it stands behind a line that was not finished"),
}


class Walk(Explanations):
    """
    The reading of one log.

    Args:
        log: The log.
        findings: Where findings go.
        chains: The chains that are known, by their ids.
        keys: The public keys that were given.
        first_keys: The first keys of seals that were given, by their names.
        is_whole: Whether what is missing at the begin was to be there.
    """

    def __init__(
        self,
        log: str,
        findings: Findings,
        chains: dict[str, Chain],
        keys: Mapping[str, JWK],
        first_keys: Mapping[str, FirstKey],
        is_whole: bool,
    ) -> None:
        super().__init__(findings, is_whole)
        self.log = log
        self.chains = chains
        self.seals = Seals(findings, first_keys, is_whole)
        self.notices = Notices(findings, keys, self.seals)
        self.lines = self.bytes = 0
        self._strays: Strays | None = None
        self._doubted: Strays | None = None
        self._accused: list[Finding] = []
        self._beside = set[str]()
        self._above = b""
        self._number = 0
        self._long: _Long | None = None
        self._late: dict[str, tuple[Place, bytes, Link]] = {}

    @property
    def place(self) -> Place:
        """Where the last line stands that was read."""
        return Place(self._file, self._number or None)

    # Files and lines.

    def begin(self, file: str, is_stamped: bool) -> None:
        """Go on to a file; one that our own rotation named ends with a checkpoint."""
        self._file, self._number = file, 0
        self._was_stamped, self._stamped = self._stamped, is_stamped

    def read(self, block: bytes) -> None:
        """Read a block of a file."""
        self.bytes += len(block)
        self.lines += block.count(b"\n")
        lines = block.split(b"\n")
        rest = lines.pop()
        if self._long is not None and lines:
            self._long.add(lines[0])
            self._finish_long(ended=True)
            del lines[0]
        self._read(lines)
        if rest:
            if self._long is None:
                self._long = _Long(self._strays or self._new_strays())
            self._long.add(rest)

    def end(self) -> None:
        """Take what stands at the end of a file without a newline for a line."""
        if self._long is not None:
            self._finish_long(ended=False)

    def missed(self, reason: str) -> None:
        """Remember that the present file could not be read to its end."""
        self._long = None
        self._unread = reason
        self.seals.missed()

    def _finish_long(self, ended: bool) -> None:
        assert self._long is not None
        long, self._long = self._long, None
        self._number += 1
        self._look(long.line, long.own, ended, long.span)
        self._above = long.line

    def _read(self, lines: list[bytes]) -> None:
        index = 0
        while True:
            before, index = index, self._pass(lines, index)
            if index > before:
                self._above = lines[index - 1]
            if index == len(lines):
                return
            self._number += 1
            self._look(lines[index], sha256(lines[index]), True)
            self._above = lines[index]
            index += 1

    def _pass(self, lines: list[bytes], index: int) -> int:
        """Pass over the lines that fit; return the index of the first that needs a second look."""
        chain = self.chain
        if chain is None or self._strays is not None or self._doubted is not None:
            return index
        begin, seq, head, start = index, chain.seq + 1, chain.head, chain.begin
        watch, remember, new = chain.watch(), chain.recent.append, _NEW.copy
        for index in range(begin, len(lines)):
            line = lines[index]
            if (
                not line.endswith(f'{start}{seq},"prev":"{head}"}}}}'.encode())
                or _NOTICE in line
                or seq >= watch
            ):
                break
            digest = new()
            digest.update(line)
            head = digest.hexdigest()
            remember(head)
            seq += 1
        else:
            index = len(lines)
        if index > begin:
            self._number += index - begin
            chain.seq, chain.head, chain.lines = seq - 1, head, chain.lines + index - begin
            chain.place = Place(self._file, self._number)
            chain.highest = max(chain.highest, chain.seq)
            chain.is_ended = False
            if self.seals.asks_for_times and chain.resumes is None:
                self.seals.note(lines[begin:index])
        return index

    # One line that needs a look.

    def _look(self, line: bytes, own: str, ended: bool, span: Any = None) -> None:
        stray = self._sorted(line, own, ended, span)
        doubted = self._doubted
        if doubted is None:
            return
        if doubted.count - doubted.doubted_at < _MOST_DOUBTED and (
            span is None or sha256(line) == own
        ):
            doubted.add(stray)
        else:
            self._doubted = None
            self.seals.release()

    def _sorted(self, line: bytes, own: str, ended: bool, span: Any) -> Stray:
        place = Place(self._file, self._number)
        link = link_of(line)
        if link is None or link.is_unlinked:
            kind = _kind(line, ended) if link is None else "unlinked"
            stray = Stray(place, own, kind, link, line)
            self._stray(stray, span)
            return stray
        if not ended:
            self._tell("torn", "the newline at its end is missing", place, link)
        kind = "glued" if _is_glued(line, link) else "linked"
        stray = Stray(place, own, kind, link, line)
        if self.chain is None:
            self._start(stray, link)
        elif link.chain != self.chain.id:
            self._of_another(stray, link, span)
        else:
            self._of_chain(self.chain, stray, link, span)
        return stray

    def _new_strays(self) -> Strays:
        head = self.chain.head if self.chain else ZEROS
        return Strays(head, self.chain, self._above, self._doubted)

    def _stray(self, stray: Stray, span: Any = None) -> None:
        if self._strays is None:
            self._strays = self._new_strays()
        if stray.kind == "linked" and span is None and not is_json(stray.line):
            stray = stray._replace(kind="glued")
        self._strays.add(stray, span)
        if self.seals.asks_for_times and (self.chain is None or self.chain.resumes is None):
            self.seals.note_stray(stray.line)
        is_sealed = (
            stray.kind == "linked" and stray.link is not None and stray.link.seal is not None
        )
        if stray.link is not None and is_sealed and len(self._late) < _MOST_LATE:
            self._late[stray.own] = stray.place, stray.line, stray.link
        if self.chain is not None and stray.link is not None and stray.kind != "unlinked":
            is_own = stray.link.chain == self.chain.id
            self._strays.has_heir |= is_own and is_heir(self.chain, stray.link)

    def _of_chain(self, chain: Chain, stray: Stray, link: Link, span: Any) -> None:
        if self._fits(chain, link):
            link = self._covered(chain, stray, link)
        elif self._fits_doubted(link):
            link = self._acquitted(chain, stray, link)
        elif link.span is None and chain.away == (link.seq - 1, link.prev):
            self._intruded(chain, self._strays.some if self._strays else [], stray)
            chain.away = None
        elif not self._is_vouched(chain, link):
            self._stray(stray, span)
            return
        else:
            self._resume(chain, stray, link)
        self._accept(chain, stray, link)

    def _fits(self, chain: Chain, link: Link) -> bool:
        """Whether it is linked to the line before, and vouches for all since the last linked one."""
        strays = self._strays
        if strays is None or strays.last is None:
            span = None if link.span is None else (link.span.lines, link.span.sha256)
            return span == chain.between and link.prev == chain.head
        if link.span is None or link.prev != strays.last.own:
            return False
        return (link.span.lines, link.span.sha256) == (strays.count, strays.sha256)

    def _is_vouched(self, chain: Chain, link: Link) -> bool:
        """Whether a line is linked to a stray, from which reading can go on."""
        vouched = self._strays.linked.get(link.prev) if self._strays and not link.span else None
        if vouched is None or vouched[1].link is None or self._strays is None:
            return False
        last = vouched[1].link
        if (last.chain, last.seq + 1) != (link.chain, link.seq) or len(self.chains) > _MOST_CHAINS:
            return False
        return last.chain != chain.id or last.seq > chain.seq or not self._strays.has_heir

    def _accept(self, chain: Chain, stray: Stray, link: Link) -> None:
        self._strays = None
        if self._doubted is None:
            self._late.clear()
        self._unread = ""
        chain.accept(link.seq, stray.own, stray.place)
        chain.is_ended = False
        if self.seals.asks_for_times and chain.resumes is None:
            self.seals.note([stray.line])
        self._compare(chain, stray, link)
        if _NOTICE in stray.line or link.digest or link.signature:
            self.notices.read(chain, stray.place, stray.line, link)

    def _compare(self, chain: Chain, stray: Stray, link: Link) -> None:
        """Hold a line against what was told of it elsewhere."""
        self._expected(chain, stray)
        other = chain.elsewhere.pop(link.seq, None)
        if other is not None and other[0] == stray.own:
            other[1].kind, other[1].message = "repeated", f"it stands in {named(stray.place)}, too"
        elif other is not None:
            other[1].kind, other[1].message = "foreign", "it has the link of another line"

    def _expected(self, chain: Chain, stray: Stray) -> None:
        """Hold a line against what a saved checkpoint tells of it."""
        link = stray.link
        if link is None or link.chain != chain.id:
            return
        expected = chain.expected.pop(link.seq, None)
        if expected is not None and expected[0] != stray.own:
            message = f"it is not the line that the checkpoint in {named(expected[1])} vouches for"
            self._accuse("altered", message, stray.place, link)

    # Lines that were seen by the writer of the next.

    def _fits_doubted(self, link: Link) -> bool:
        """Whether a line vouches for lines of which it was not clear how they came here."""
        lines = self._doubted
        if lines is None or lines.last is None or link.prev != lines.last.own or not link.span:
            return False
        return (link.span.lines, link.span.sha256) == (lines.count, lines.sha256)

    def _doubt(self, strays: Strays, chain: Chain) -> None:
        """Wait for a line of a chain that vouches for lines of which it is not clear how they came."""
        if self._doubted is None:
            strays.doubt(chain)
            self._doubted, self._accused, self._beside = strays, [], set()
            self.seals.hold()

    @contextmanager
    def _accusing(self) -> Iterator[None]:
        """Keep what is said meanwhile, to take it back if a line vouches for all."""
        with self.findings.noting() as accused:
            yield
        self._accused += accused

    def _acquitted(self, chain: Chain, stray: Stray, link: Link) -> Link:
        """Take back what was said of lines that were written in one, and came too late."""
        self._strays, self._doubted = self._doubted, None
        self.findings.withdraw(self._accused)
        late = {each[0]: (chain, *each) for each in self._late.values()}
        late |= {each[1]: each for each in self.seals.held}
        self._late.clear()
        self.seals.release(sorted(late.values(), key=lambda each: each[3].seq))
        return self._covered(chain, stray, link)

    def _covered(self, chain: Chain, stray: Stray, link: Link) -> Link:
        """Tell what stood there when a line was written; return its link, with the right number."""
        strays = self._strays
        astray = strays.astray if strays else None
        if strays is not None and strays.behind and self.notices.kind_of(stray.line) == "opened":
            astray = strays.behind
        if strays is not None and astray is not None:
            self._went_astray(chain, strays.some, *astray)
        highest = chain.seq if strays is None else max(chain.seq, strays.highest)
        if link.seq != highest + 1:
            message = f"its number is {link.seq}, and must be {highest + 1}"
            self._accuse("altered", message, stray.place, link)
            link = link._replace(seq=highest + 1)
        for each in strays.some if strays else ():
            kind, message = _TOLD[each.kind]
            self._expected(chain, each)
            if each.kind == "linked" and each.link is not None and each.link.chain != chain.id:
                kind, message = "foreign", "a line of another chain"
            self._tell(kind, message, each.place, each.link)
            if each.own in self._late:
                self.seals.read(chain, *self._late[each.own])
        return link

    def _went_astray(self, chain: Chain, some: list[Stray], index: int, last: Stray) -> None:
        """Say what was done before a line that was written behind another than stands there."""
        assert last.link is not None
        if last.link.seq <= chain.seq:
            self._displaced(chain, last, last.link)
        else:
            self._explain(chain, [*some[:index], last])

    # Lines from which reading goes on.

    def _resume(self, chain: Chain, stray: Stray, link: Link) -> None:
        """Go on from the stray that a line is linked to, and say what happened before and after."""
        assert self._strays is not None
        some = self._strays.some
        index, last = self._strays.linked[link.prev]
        assert last.link is not None
        if self._strays.astray is None:
            self._doubt(self._strays, chain)
        else:
            self._doubted = None
            self.seals.release()
        with self._accusing():
            if is_heir(chain, last.link):
                self._intruded(chain, some[:index], last)
            elif last.link.seq <= chain.seq:
                self._went_back(chain, last, last.link)
            else:
                self._explain(chain, [*some[:index], last])
            self._accept(chain, last, last.link)
            self._intruded(chain, some[index + 1 :], stray)

    # Chains that begin, and lines of others.

    def _start(self, stray: Stray, link: Link) -> None:
        """Begin with the first line of the log that has a link."""
        known = self.chains.get(link.chain)
        chain = known or Chain(link.chain, self.log)
        self.chains[chain.id] = chain
        strays, self._strays = self._strays, None
        if self.notices.is_rewritten(stray.line, link):
            self.chain = chain
            self._rewritten(chain, stray, link)
            return
        self.chain = chain
        if link.seq == 0:
            self._start_at_zero(strays, stray, link)
        elif strays is None and (link.prev == ZEROS or _is_glued(stray.line, link)):
            self._accuse("altered", "it is not the first line that it was", stray.place, link)
            link = link._replace(seq=0) if link.prev == ZEROS else link
            chain.seq = link.seq - 1
        elif strays is not None and (link.seq <= strays.count or _are_damaged(strays.some)):
            chain.seq = link.seq - 1
            message = (
                "it is not what it was"
                if strays.count == 1
                else "these lines are not what they were"
            )
            self._accuse("altered", message, strays.some[0].place)
        else:
            self._start_late(chain, strays, stray, link)
        self._accept(chain, stray, link)

    def _start_at_zero(self, strays: Strays | None, stray: Stray, link: Link) -> None:
        if strays is None or strays.last is None:
            if link.prev != ZEROS:
                message = "what stood before the chain began is not in these files"
                self._tell("not covered", message, stray.place, link)
        elif link.prev == strays.last.own:
            self._not_covered(strays, strays.count)
        else:
            self._start_beside(strays, strays.last, stray, link)

    def _start_beside(self, strays: Strays, last: Stray, stray: Stray, link: Link) -> None:
        """Begin with a line that follows another than the last one, as a later line may explain."""
        assert self.chain is not None
        since = strays if link.prev == ZEROS else strays.since(link.prev)
        if since is not None:
            self._doubt(since, self.chain)
            if since is not strays:
                self._not_covered(strays, strays.count - since.count)
        with self._accusing():
            if not is_json(stray.line):
                self._accuse("altered", "one line was made two", strays.some[0].place)
            elif link.prev == ZEROS:
                message = "it stands before the begin of a chain that began in an empty log"
                self._accuse("foreign", message, strays.some[0].place)
            else:
                message = "the line before the begin of the chain is not what it was"
                self._accuse("altered", message, last.place)

    def _not_covered(self, strays: Strays, count: int) -> None:
        lines = "line before the chain began is"
        if count > 1:
            lines = f"{count} lines before the chain began are"
        message = f"the {lines} in no chain"
        self._tell("not covered", message, strays.some[0].place)

    def _start_late(self, chain: Chain, strays: Strays | None, stray: Stray, link: Link) -> None:
        last = link.seq - 1
        self._missing_at_begin(chain, last, link.prev, stray.place)
        chain.seq = chain.highest = last
        chain.first = link.seq
        if strays is not None and link.span is None:
            self._unmatched(strays.some)

    def _of_another(self, stray: Stray, link: Link, span: Any) -> None:
        chain, strays = self.chain, self._strays
        assert chain is not None
        if link.seq == 0 and self._number == 1 and self.notices.is_rewritten(stray.line, link):
            self._settle()
            new = self.chains.setdefault(link.chain, Chain(link.chain, self.log))
            self.chain = new
            self._rewritten(new, stray, link, strays)
        elif link.chain == chain.resumes and self._number == 1:
            self._settle()
            self._resumed(chain, self.chains[link.chain], stray, link, span)
        elif self._fits_doubted(link) and self._is_doubting(link):
            self._return(stray, link)
        elif link.seq == 0 and self._is_new(chain, stray, link):
            self._begin_anew(stray, link)
        elif strays is not None and self._is_vouched(chain, link):
            self._switch(chain, strays, *strays.linked[link.prev])
            self._sorted(stray.line, stray.own, True, span)
        else:
            self._stray(stray, span)

    def _is_new(self, chain: Chain, stray: Stray, link: Link) -> bool:
        """Whether a chain begins here, as its writer saw the log."""
        if self.notices.kind_of(stray.line) != "opened":
            return False
        last = self._strays.last.own if self._strays and self._strays.last else chain.head
        return link.prev == last or (link.prev == ZEROS and self._number == 1)

    def _begin_anew(self, stray: Stray, link: Link) -> None:
        self._settle()
        old, doubted = self.chain, self._doubted
        assert old is not None
        if doubted is not None and doubted.chain is old and (old.seq, old.lines) == (0, 1):
            self.findings.withdraw(self._accused)  # its writer died before it could cover them
            self._not_covered(doubted, doubted.count)
            self._doubted = None
            self.seals.release()
        message = "a new chain begins; whether the one before went on can't be shown"
        self._tell("not covered", message, stray.place, link)
        if link.prev == ZEROS:
            self.seals.leave(old)
        self.chain = self.chains.setdefault(link.chain, Chain(link.chain, self.log))
        self._accept(self.chain, stray, link)

    def _switch(self, old: Chain, strays: Strays, index: int, last: Stray) -> None:
        """Go on in another chain than that of the lines before."""
        assert last.link is not None
        link = last.link
        if self._begins_beside(strays, last.line, link):
            self._doubt(strays, old)
            self._beside.add(link.chain)
        chain = self.chains.setdefault(link.chain, Chain(link.chain, self.log, link.seq - 1))
        with self._accusing():
            self._switch_to(chain, old, strays, index, last, link)
        self.chain = chain
        self._accept(chain, last, link)

    def _switch_to(
        self, chain: Chain, old: Chain, strays: Strays, index: int, last: Stray, link: Link
    ) -> None:
        """Say what it means that the lines of a chain stand behind those of another one."""
        if old.lines == 1 and link.seq == old.seq + 1:
            self._accuse_last(old, "its chain is not that of the lines after it")
            del self.chains[old.id]
            chain.first = old.first
        else:
            self._unmatched(strays.some[:index])
            self._accuse("foreign", "lines of another chain stand here", last.place, link)

    def _begins_beside(self, strays: Strays, line: bytes, link: Link) -> bool:
        """Whether a chain begins whose writer did not see that of the lines before."""
        if link.seq or link.chain in self.chains or (self._doubted is None and strays.astray):
            return False
        return any(self.notices.kind_of(each) == "opened" for each in (line, *written_as(line)))

    def _is_doubting(self, link: Link) -> bool:
        """Whether a line is of the chain that it was not clear of whether it goes on."""
        doubted = self._doubted
        return doubted is not None and doubted.chain is not None and doubted.chain.id == link.chain

    def _return(self, stray: Stray, link: Link) -> None:
        """Go back to a chain, one of whose lines vouches for those of others that began beside it."""
        chain = self.chains[link.chain]
        for each in self._beside:
            self.chains.pop(each, None)
        self.chain = chain
        link = self._acquitted(chain, stray, link)
        self._accept(chain, stray, link)

    # Files that were rewritten.

    def _rewritten(
        self, chain: Chain, stray: Stray, link: Link, strays: Strays | None = None
    ) -> None:
        told = self.notices.rewritten(chain, stray.place, stray.line, link)
        chain.accept(link.seq, stray.own, stray.place)
        self._strays = None
        if told is None:
            return
        old = self.chains.get(told.chain)
        if old is None:
            old = self.chains[told.chain] = Chain(told.chain, self.log)
            if told.first_seq > 0:
                self._missing_at_begin(old, told.first_seq - 1, told.first_prev, stray.place)
                old.first = told.first_seq
        elif (old.seq + 1, _last_of(old, strays, told)) != (told.first_seq, told.first_prev):
            self._misfit(old, stray, told.first_seq, told.first_prev)
        old.replaced.append((told.first_seq, told.last_seq))
        old.seq, old.head, old.place = told.last_seq, told.head, stray.place
        old.highest = max(old.highest, old.seq)
        old.recent.clear()
        old.is_ended = True
        old.between = None if told.span is None else (told.span.lines, told.span.sha256)
        chain.resumes = old.id
        chain.is_declared = chain.is_declared or old.is_declared

    def _misfit(self, old: Chain, stray: Stray, seq: int, prev: str) -> None:
        if seq == old.seq + 1:
            self._accuse_last(old, "it is not the line that the rewritten file after it followed")
        elif seq > old.seq + 1:
            message = f"{numbers(old.seq + 1, seq - 1)} missing before the rewritten file"
            found = self.findings.add(
                "file missing", "tampering", message, stray.place, old.id, old.seq + 1
            )
            old.add_gap(Gap(old.seq + 1, seq - 1, prev, found))
        else:
            message = "the file that it replaces is there, too"
            self.findings.add("repeated", "tampering", message, stray.place, old.id, seq)

    def _resumed(self, rewritten: Chain, old: Chain, stray: Stray, link: Link, span: Any) -> None:
        self._is_finished(rewritten)
        self.chain = old
        if link.span and not old.between and (link.seq, link.prev) == (old.seq + 1, old.head):
            link = link._replace(span=None)  # what it covers was in the file that is gone
        self._of_chain(old, stray, link, span)

    def _is_finished(self, rewritten: Chain) -> None:
        if not rewritten.is_ended:
            place = rewritten.place or Place(self._file)
            message = "the end of the rewritten file is missing"
            self.findings.add("cut off", "tampering", message, place, rewritten.id, rewritten.seq)

    # The end.

    def finish(self) -> None:
        """Say what stands at the end, and what never came."""
        self._settle()
        if self.chain is not None and self.chain.resumes is not None:
            self._is_finished(self.chain)
        self.notices.finish()

    def _settle(self) -> None:
        """Say what the lines after the last linked one are, of which no other line tells more."""
        strays, self._strays = self._strays, None
        if strays is None:
            return
        chain = self.chain
        if chain is None:
            return
        rest = strays.some
        for index, last in reversed(strays.linked.values()):
            if last.link is not None and last.link.chain == chain.id:
                rest = self._settle_linked(chain, strays.some, index, last, last.link)
                break
        is_altered = _are_damaged(rest)
        for each in rest:
            self._settle_one(chain, each, is_altered)

    def _settle_linked(
        self, chain: Chain, some: list[Stray], index: int, last: Stray, link: Link
    ) -> list[Stray]:
        """Believe the last line that has a link, as nothing tells more; return the others."""
        if is_heir(chain, link):
            self._intruded(chain, some[:index], last)
        elif self.notices.is_right(last.line, link) is False:
            self._accuse("altered", "it is not what it was", last.place, link)
        elif link.seq <= chain.seq:
            return some
        else:
            self._explain(chain, [*some[:index], last])
        self._accept(chain, last, link)
        return some[index + 1 :]

    def _settle_one(self, chain: Chain, each: Stray, is_altered: bool) -> None:
        link = each.link
        if each.kind == "unlinked":
            self._tell(
                "unlinked", "it was written without a link, and no line covers it", each.place
            )
        elif each.kind == "torn" and not is_altered:
            self._tell("torn", "a line that was not finished, at the end", each.place)
        elif each.kind in ("torn", "damaged"):
            self._accuse("altered", "it is not what it was", each.place)
        elif link is None:
            message = "no line vouches for it: it may have been put there by anybody"
            self._accuse("foreign", message, each.place)
        elif link.chain == chain.id:
            self._displaced(chain, each, link)
        elif (link.seq, link.prev) == (chain.seq + 1, chain.head):
            self._accuse("altered", "its chain is not that of the line before", each.place, link)
        else:
            self._accuse("foreign", "a line of another chain", each.place, link)


class _Long:
    """A line that comes in pieces, of which only the last bytes are kept where it is too long."""

    def __init__(self, strays: Strays) -> None:
        self.line = b""
        self._own = _NEW.copy()
        self._span = strays.after()

    def add(self, piece: bytes) -> None:
        self._own.update(piece)
        self._span.update(piece)
        self.line += piece
        if len(self.line) > LONGEST:
            self.line = self.line[-_TAIL:]

    @property
    def span(self) -> Any:
        """The digest of what is since the last linked line, with this one and a newline."""
        self._span.update(b"\n")
        return self._span

    @property
    def own(self) -> str:
        return self._own.hexdigest()


def _last_of(old: Chain, strays: Strays | None, told: Range) -> str:
    """The digest of the line before a rewritten file, if that one vouched for all that stands there."""
    if strays is None or strays.last is None or told.first_span is None:
        return old.head
    span = told.first_span
    return (
        strays.last.own if (span.lines, span.sha256) == (strays.count, strays.sha256) else old.head
    )


def _kind(line: bytes, ended: bool) -> str:
    """What a line without a link seems to be."""
    if not ended:
        return "damaged" if MEMBER.search(line, max(0, len(line) - _TAIL)) else "torn"
    whole = is_json(line)
    if _ends_as_linked(line) and (not whole or any(sign in line[-_TAIL:] for sign in _SIGNS)):
        return "damaged"
    return "foreign" if whole or line[:1] not in (b"{", b"\0", b"") else "torn"


def _ends_as_linked(line: bytes) -> bool:
    """Whether a line ends as those with a link do, but for one byte, or is the end of one."""
    if line and not line.strip(b'"}'):
        return True
    return sum(one == other for one, other in zip(line[-3:], b'"}}', strict=False)) >= 2


def _are_damaged(some: list[Stray]) -> bool:
    """Whether one of some lines seems to have had a link: it, or one with it, was whole."""
    return any(each.kind == "damaged" for each in some)


def _is_glued(line: bytes, link: Link) -> bool:
    """Whether the link of another line stands amid a line."""
    return _SIGNS[0] in line[: link.begin]
