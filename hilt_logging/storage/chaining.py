"""
How a log ends, as its next line has to say: the lines of all processes, over all its files, are one
chain.

What is known of the end is kept between writes, and holds as long as the file ends where it did.
Where others wrote since, their lines are read; where the file is new or was emptied, the end of the
one before is looked for. All this happens under the lock between processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import time

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .._ids import timestamp
from ..safeguards.chain import UNKNOWN, ZEROS, link, seal, sha256, unlinked, without_integrity
from .notices import line_of_notice, process
from .options import Evidence
from .rotation import Files
from .sealing import Clock, Seals
from .tails import (
    START,
    Tail,
    covered,
    is_chained,
    last_line,
    line_by_line,
    misfit,
    read,
    summary_of,
    tail_of,
    within,
)


if TYPE_CHECKING:
    from ..safeguards.sealing import SealKey


__all__ = ["Block", "Links", "hint_of", "is_chained", "misfit", "summary_of"]

_MARK = 128
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)  # where it is a pipe
_OWN = b',"integrity":'
_NEW = hashlib.sha256()


class Item(NamedTuple):
    """
    A line that is to be written.

    Attributes:
        line: Its bytes, with the newline.
        number: Which of the given lines it is; -1 for a notice.
        tail: How the log ends with it.
        told: What the notice says.
        key: What seals it; None where nothing does.
    """

    line: bytes
    number: int
    tail: Tail
    told: dict[str, Any] | None = None
    key: SealKey | None = None


class Block(NamedTuple):
    """
    Lines for one write.

    Attributes:
        data: Their bytes.
        items: The lines.
    """

    data: bytes
    items: list[Item]


class _Sure(NamedTuple):
    """
    A place in the file behind which others wrote before this process did.

    Attributes:
        end: Where it is.
        tail: How the log ended there, in the chain that this process goes on with.
        mark: What stands before it.
    """

    end: int
    tail: Tail
    mark: bytes

    def is_there(self, fd: int) -> bool:
        """Whether what stands before is what it was: a file may be emptied."""
        return read(fd, self.end - len(self.mark), self.end) == self.mark


class Links:
    """
    The links that one process makes in one log.

    Args:
        path: The log.
        permissions: Mode bits for the file that helps to find the chain, `.NAME.chain`.
        evidence: How lines are linked.
        namer: Gives rotated files other names.

    Attributes:
        facts: Checkpoints that nobody was told of yet.
        dropped: How many events were lost on their way here.
        unlinked: How many lines had to be written without a link.
        checkpoints: How many checkpoints this process wrote.
        is_opened: Whether this process is on record as one that writes.
        inode: Which file is known.
        quick_until: Until when the next line is one of many, which can be written without asking
            what comes with it or stands between, as `time.monotonic` counts.
        checkpoint_at: When there is to be one at the latest, as `time.monotonic` counts.
        end: Where the file ended when it was last looked at; -1 where that is not known.
        seals: What seals the checkpoints; None where they are not.
        clock: What has them written in time where they are.
    """

    ROOM = 1400
    """How many bytes a file has to leave for the checkpoint that is its last line."""

    def __init__(
        self,
        path: str,
        permissions: int,
        evidence: Evidence,
        namer: Callable[[str], str] | None = None,
    ) -> None:
        folder, name = os.path.split(path)
        self.path = path
        self.evidence = evidence
        self._tail: Tail | None = START
        self._chain = self._last = ""
        self._begin = b""
        self._seq = -1
        self._last_before = evidence.checkpoint_every - 1
        self._hint_path = os.path.join(folder, f".{name}.chain")
        self._permissions = permissions
        self._files = Files(path, namer)
        self.seals = None if evidence.seal is None else Seals(path, evidence.seal)
        self.clock = Clock()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what this process did, as a forked child must."""
        self.facts: deque[dict[str, Any]] = deque()
        self.dropped = 0
        self.unlinked = 0
        self.checkpoints = 0
        self.is_opened = False
        self._sure: _Sure | None = None
        self._former: Tail | None = None  # before the file, where it has no linked line
        self._goes_on = False
        self.inode = self._noted = (-1, -1)
        self.end = -1
        self._bytes = b""
        self._written = 0
        self._since = 0
        self._previous = ""
        self._own = -1
        self.quick_until = float("-inf")
        self.checkpoint_at = float("inf")
        self.clock.begin_anew()
        if self.seals is not None:
            self.seals.begin_anew()

    # How the log ends.

    @property
    def tail(self) -> Tail:
        """How the log ends, as far as it is known."""
        if self._tail is None:
            self._tail = Tail(self._chain, self._seq, self._last)
        return self._tail

    @tail.setter
    def tail(self, tail: Tail) -> None:
        self._tail = tail
        self._begin = f',"integrity":{{"chain":"{tail.chain}","seq":'.encode()
        self._chain, self._seq, self._last = tail.chain, tail.seq, tail.last

    @property
    def is_torn(self) -> bool:
        """Whether the file ends without a newline."""
        return self._bytes != b"" and not self._bytes.endswith(b"\n")

    def look(self, fd: int, inode: tuple[int, int], end: int) -> None:
        """
        Find out how the log ends.

        Args:
            fd: Its file.
            inode: Which file that is.
            end: Where it ends.

        Raises:
            OSError: if it can't be read.
        """
        if inode == self.inode and end == self.end:
            return
        self.quick_until = float("-inf")
        sure = self._sure if inode == self.inode else None
        if sure is not None and sure.end < end and sure.is_there(fd):
            self.tail = line_by_line(sure.tail, read(fd, sure.end, end))
        elif inode == self.inode and 0 < self.end < end and self._is_there(fd):
            self.tail = within(fd, self.end, end, self.tail) or self.tail
        else:
            self._sure = None
            self.tail = self._tail_of_file(fd, inode, end)
        self.inode, self.end = inode, end
        self._goes_on = False
        self._bytes = read(fd, max(0, end - _MARK), end)

    def catch_up(self, fd: int, inode: tuple[int, int]) -> None:
        """Find out how a file ends that is not written to any more, if lines were linked there."""
        if inode == self.inode:
            self.look(fd, inode, os.fstat(fd).st_size)

    def _is_there(self, fd: int) -> bool:
        """Whether what stands before the end that is known is whole, and what it was."""
        mark = self._bytes[-_MARK:]
        return mark.endswith(b"\n") and _Sure(self.end, self.tail, mark).is_there(fd)

    def _tail_of_file(self, fd: int, inode: tuple[int, int], end: int) -> Tail:
        found = within(fd, 0, end, START)
        if found is not None and found.chain:
            return found
        if inode != self.inode or end <= self.end or self._former is None:
            self._former = self.tail if self._goes_on else self._before(inode)
        before = self._former
        if not before.chain or found is None:
            self._previous = (self._hint() or {}).get("chain", "")
            return Tail(last=found.last if found is not None else sha256(last_line(fd, end)))
        return before if end == 0 else covered(before, read(fd, 0, end))

    def _before(self, inode: tuple[int, int]) -> Tail:
        """How the log ends in the files before one that has no linked line."""
        hint = self._hint() or {}
        tails = [self.tail, *(tail_of(path) for path in self._files_before(hint, inode))]
        tails = [tail for tail in tails if tail.chain]
        chains = [self.tail.chain, hint.get("chain"), *(tail.chain for tail in tails)]
        for chain in chains:
            of_chain = [tail for tail in tails if tail.chain == chain]
            if of_chain:
                return max(of_chain, key=lambda tail: tail.seq)
        return START

    def _files_before(self, hint: dict[str, Any], inode: tuple[int, int]) -> list[str]:
        """The file that was linked to last, if it is still there, and those that seem the newest."""
        folder, name = os.path.split(self.path)
        found: list[str] = []
        newest: tuple[int, str] = (-1, "")
        for entry in _entries(folder):
            if entry.name.startswith(f".{name}") or entry.name.endswith(".part"):
                continue
            try:
                there = entry.stat()
            except OSError:
                continue
            if not stat.S_ISREG(there.st_mode) or (there.st_dev, there.st_ino) == inode:
                continue
            if [there.st_dev, there.st_ino] == hint.get("inode"):
                found.append(entry.path)
            elif entry.name.startswith((f"{name}.", f"{name}-")):
                newest = max(newest, (there.st_mtime_ns, entry.path))
        found.append(newest[1])
        stamped = [each for each in self._files.all() if each.is_whole or each.is_pending]
        found.extend(each.path for each in sorted(stamped)[-2:])
        return [path for path in dict.fromkeys(found) if path and path != self.path]

    def _hint(self) -> dict[str, Any] | None:
        return hint_of(self.path)

    def _note(self, inode: tuple[int, int]) -> None:
        """Write down where the chain is; who begins with an empty file finds it so."""
        self._noted = inode
        told = {
            "chain": self.tail.chain,
            "seq": self.tail.seq,
            "head": self.tail.last,
            "inode": inode,
        }
        if self.seals is not None and self.seals.last is not None:
            told["seal"] = self.seals.last
        part = f"{self._hint_path}.part"
        try:
            fd = os.open(part, os.O_WRONLY | os.O_TRUNC | os.O_CREAT | _NO_WAIT, self._permissions)
            try:
                os.write(fd, msgspec.json.encode(told))
            finally:
                os.close(fd)
            os.replace(part, self._hint_path)
        except OSError:  # it is of help only
            with contextlib.suppress(OSError):
                os.unlink(part)

    # Lines with their links.

    def quick(self, line: bytes) -> bytes:
        """Return a line, given with its newline, with its link, where nothing stands between."""
        if line.rfind(_OWN) >= 0:  # takes half the time of `in`
            line = without_integrity(line[:-1]) + b"\n"
        return b'%b%b%d,"prev":"%b"}}\n' % (
            line[:-2],
            self._begin,
            self._seq + 1,
            self._last.encode(),
        )

    def quickly_done(self, data: bytes) -> None:
        """Take over that such a line is in the file."""
        digest = _NEW.copy()
        digest.update(data[:-1])
        self._last = digest.hexdigest()
        self._seq += 1
        self._own = self._seq
        self._tail = None
        self.end += len(data)
        self._bytes = data
        self._written += 1
        self._since += 1
        if self._since >= self._last_before:
            self.quick_until = float("-inf")

    def block_of(self, data: bytes) -> Block:
        """Return such a line, in which something is amiss, as a block."""
        tail = Tail(self._chain, self._seq + 1, sha256(data[:-1]))
        return Block(data, [Item(data, 0, tail)])

    def block(
        self,
        lines: Sequence[bytes],
        *,
        notice: dict[str, Any] | None = None,
        reason: str | None = None,
        closes: bool = False,
    ) -> Block:
        """
        Return lines with their links, and the notices that are due before, among and after them.

        Args:
            lines: Lines of events.
            notice: A notice that is to be sealed.
            reason: Of a checkpoint at the end.
            closes: Let the checkpoint be the notice that this process is done.
        """
        items: list[Item] = []
        tail, since = self.tail, self._since
        if self.seals is not None:
            self.seals.begin()
        if not tail.chain:
            tail = Tail(secrets.token_hex(16), -1, tail.last)
        if not self.is_opened and (lines or not closes) and reason != "rotation":
            items.append(self._opening(tail))
            tail, since = items[-1].tail, since + 1
        for number, line in enumerate(lines):
            items.append(_item(without_integrity(line), number, tail))
            tail, since = items[-1].tail, since + 1
            if since >= self.evidence.checkpoint_every and self.seals is None:
                items.append(self._checkpoint(tail, number + 1, "events"))
                tail, since = items[-1].tail, 0
        if notice is not None:
            items.append(self._sealed(line_of_notice(notice), tail, notice))
            tail = items[-1].tail
        if reason is None and (notice is None or self.seals is None):
            reason = self._due(since, len(lines))
        if closes:
            items.append(self._checkpoint(tail, len(lines), "close", closes))
        elif reason is not None:
            items.append(self._checkpoint(tail, len(lines), reason))
        data = b"".join([item.line for item in items])
        return Block(b"\n" + data if self.is_torn else data, items)

    def _due(self, since: int, lines: int) -> str | None:
        """Why there is to be a checkpoint at the end; what is sealed has one seal for each write."""
        if since >= self.evidence.checkpoint_every:
            return "events"
        if since and time.monotonic() >= self.checkpoint_at and (lines or self.is_waiting()):
            return "seconds"
        return None

    def _opening(self, tail: Tail) -> Item:
        told = {
            "kind": "opened",
            **process(),
            "chain": tail.chain,
            "checkpoint_every": self.evidence.checkpoint_every,
            "checkpoint_seconds": self.evidence.checkpoint_seconds,
        }
        if self._previous:
            told["previous_chain"] = self._previous
        if self.seals is not None:
            told["seal_key"] = self.seals.file.name
        if self.evidence.key is not None:
            told["sign_key"] = self.evidence.kid
            told["public_key"] = self.evidence.key.public()
        return _item(line_of_notice(told), -1, tail, told)

    def _checkpoint(self, tail: Tail, more: int, reason: str, closes: bool = False) -> Item:
        written = self._written + more
        told = {
            "kind": "closed" if closes else "checkpoint",
            "chain": tail.chain,
            "seq": tail.seq + 1,
            "head": tail.last,
            "at": timestamp(),
            "process": os.getpid(),
            "counts": {
                "accepted": written + self.dropped,
                "written": written,
                "dropped": self.dropped,
            },
            "reason": reason,
        }
        return self._sealed(line_of_notice(told), tail, told)

    def _sealed(self, line: bytes, tail: Tail, told: dict[str, Any]) -> Item:
        linked, key = link(line, tail.chain, tail.seq + 1, tail.last or ZEROS, tail.span), None
        if self.seals is not None:
            linked, key = self.seals.sealed(linked, tail.chain)
        line = seal(linked, self.evidence.key)
        return Item(line + b"\n", -1, Tail(tail.chain, tail.seq + 1, sha256(line)), told, key)

    def is_waiting(self) -> bool:
        """Whether there are lines of this process that no checkpoint seals, nor another process."""
        if self._since == 0 or self.seals is None:
            return self._since > 0
        if not self.seals.covers(self.tail.chain, self._own):
            return True
        self._since = 0
        self.checkpoint_at = time.monotonic() + self.evidence.checkpoint_seconds
        return False

    def without(self, line: bytes) -> bytes:
        """Return a line that is to be written without a link, because the lock can't be had."""
        return unlinked(without_integrity(line), self.tail.chain or UNKNOWN)

    def count_unlinked(self) -> None:
        """Count a line that was written without a link."""
        self.unlinked += 1
        self._written += 1

    # What became of them.

    def done(self, block: Block, inode: tuple[int, int], end: int) -> None:
        """Take over that a block stands where the file ended, which now ends further on."""
        self._take(block.items)
        self.tail = block.items[-1].tail
        self.inode, self.end = inode, end
        self._bytes, self._sure = block.data, None
        is_near = self._since >= self._last_before or not self.is_opened
        self.quick_until = float("-inf") if is_near else self.checkpoint_at
        self._former = None
        if inode != self._noted or block.items[-1].told is not None:
            self._note(inode)

    def partly(
        self, block: Block, written: int, *, is_misplaced: bool, is_glued: bool
    ) -> list[int]:
        """
        Take over that something is amiss with a block.

        Args:
            block: The block.
            written: How much of it stands in the file in one piece.
            is_misplaced: Others wrote between the look at the end and the write.
            is_glued: It begins behind a fragment of theirs.

        Returns:
            The numbers of the lines that are not there whole; -1 for a notice.
        """
        if is_misplaced and self._sure is None and not self.is_torn:
            chain = self.tail.chain or block.items[0].tail.chain  # that it has begun with
            self._sure = _Sure(self.end, self.tail._replace(chain=chain), self._bytes[-_MARK:])
        self.quick_until = float("-inf")
        end = len(block.data) - sum(len(item.line) for item in block.items)
        whole: list[Item] = []
        again: list[int] = []
        for index, item in enumerate(block.items):
            end += len(item.line)
            if end - 1 <= written and not (is_glued and index == 0):
                whole.append(item)
            else:
                again.append(item.number)
        self._take(whole)
        return again

    def _take(self, items: Sequence[Item]) -> None:
        """Count lines that are in the file."""
        for item in items:
            self._own = item.tail.seq
            if item.told is None:
                self._written += 1
                self._since += 1
            else:
                self._take_notice(item, item.told)
            if item.key is not None and self.seals is not None:
                self.seals.stands(item.key, item.tail.chain, item.tail.seq)

    def _take_notice(self, item: Item, told: dict[str, Any]) -> None:
        kind = told["kind"]
        if kind == "opened":
            self.is_opened = True
            self._previous = ""
            self._since += 1
            self.checkpoint_at = time.monotonic() + self.evidence.checkpoint_seconds
        elif kind in ("checkpoint", "closed"):
            self.checkpoints += 1
            self._since = 0
            self.checkpoint_at = time.monotonic() + self.evidence.checkpoint_seconds
            self.facts.append({**told, "head": item.tail.last})
            self.is_opened = self.is_opened and kind != "closed"  # who only rotates is not

    def go_on(self) -> None:
        """Let the next file, which is a new one, come after the one whose end is known."""
        self._goes_on = True
        self.quick_until = float("-inf")
        self.inode, self.end = (-1, -1), -1

    def stats(self) -> dict[str, Any]:
        """Return where the chain is, and what this process did."""
        found: dict[str, Any] = {
            "chain": self.tail.chain,
            "seq": self.tail.seq,
            "checkpoints": self.checkpoints,
            "unlinked": self.unlinked,
        }
        if self.seals is not None:
            found["seals"] = self.seals.made
            found["seal_failures"] = self.seals.troubles.by_cause()
        return found

    def settle(self, fd: int | None) -> None:
        """
        Have the key of the last seal move on.

        Args:
            fd: The file.
        """
        if self.seals is not None and fd is not None:
            self.seals.settle(fd)

    def summary_of(self, path: str) -> dict[str, Any]:
        """Return `summary_of` a file."""
        return summary_of(path)


def hint_of(path: str) -> dict[str, Any] | None:
    """Return what was written down of the chain of a log; None where nothing was."""
    folder, name = os.path.split(path)
    try:
        fd = os.open(os.path.join(folder, f".{name}.chain"), os.O_RDONLY | _NO_WAIT)
        try:
            is_file = stat.S_ISREG(os.fstat(fd).st_mode)
            found = msgspec.json.decode(os.read(fd, 4096)) if is_file else None
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return None
    return found if type(found) is dict else None


def _item(line: bytes, number: int, tail: Tail, told: dict[str, Any] | None = None) -> Item:
    seq = tail.seq + 1
    linked = link(line, tail.chain, seq, tail.last or ZEROS, tail.span)
    return Item(linked + b"\n", number, Tail(tail.chain, seq, sha256(linked)), told)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
