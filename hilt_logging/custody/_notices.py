"""
What the notices in a log say: who wrote to it, what is signed, what is gone by statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .._counting import counted
from ..safeguards.chain import Link, has_seal, is_sealed, kid_of
from ..safeguards.jwk import JWK
from ._chains import Chain, Gap, written_as
from ._findings import Finding, Findings, Place, Severity
from ._seals import SealRange, Seals


__all__ = ["Notices", "Range"]

_NOTICE = b'"notice":{"kind":"'
_MOST = 10_000
_SEALED = ("checkpoint", "closed", "erased", "pruned")


class Between(msgspec.Struct, frozen=True):
    """
    Lines at the end of a file, of which the first line of the next one speaks.

    Attributes:
        lines: How many.
        sha256: Their digest, as it stands in a link.
    """

    lines: int
    sha256: str


class Range(msgspec.Struct):
    """
    A file of a chain, as a statement tells it.

    Attributes:
        chain: The chain.
        first_seq: The number of its first line.
        last_seq: The number of its last line.
        head: The digest of its last line.
        first_prev: The digest of the line before it.
        first_span: What its first line says of lines before it, if it does.
        name: Its name.
        span: The lines behind the last linked one, if there were any.
        replaces: The file that this one took the place of, where it was a rewritten one.
        seals: The seals in it.
    """

    chain: str
    first_seq: int
    last_seq: int
    head: str
    first_prev: str = ""
    first_span: Between | None = None
    name: str = ""
    span: Between | None = None
    replaces: Range | None = None
    seals: list[SealRange] = []

    def original(self) -> Range:
        """Return the file as it was before any was rewritten."""
        return self if self.replaces is None else self.replaces.original()


class Statement(msgspec.Struct):
    """
    A notice that says that something is gone.

    Attributes:
        kind: `pruned` or `rewritten`.
        chain: The chain that it stands in.
        place: Where it stands.
        is_signed: Whether it has a signature, right as far as that could be checked.
        is_right: Whether its signature or its digest is right, as far as that could be checked.
        is_trusted: Whether it has a signature that could be checked, and is right.
        is_sealed: Whether it has a seal.
        by: Who stated it.
        ranges: The files that it is about.
    """

    kind: str
    chain: str
    place: Place
    is_signed: bool
    is_right: bool
    is_trusted: bool
    is_sealed: bool
    by: str
    ranges: list[Range]


class Notices:
    """
    The notices of one log.

    Args:
        findings: Where findings go.
        keys: The public keys that were given, by their names.
        seals: The seals of the log.

    Attributes:
        statements: What is said to be gone.
        previous: Chains that are said to have been before, and where that stands.
    """

    def __init__(self, findings: Findings, keys: Mapping[str, JWK], seals: Seals) -> None:
        self.seals = seals
        self.statements: list[Statement] = []
        self.previous: dict[str, Place] = {}
        self.is_declared = False
        self._findings = findings
        self._keys = keys
        self._open: dict[str, tuple[Place, str, str]] = {}
        self._left_open: set[str] = set()
        self._signers: dict[str, bool] = {}
        self._used: list[Range] = []

    def kind_of(self, line: bytes) -> str | None:
        """Return the kind of a notice; None for any other line."""
        told = _decoded(line)
        return None if told is None else told["kind"]

    def is_rewritten(self, line: bytes, link: Link) -> bool:
        """Whether it is the first line of a rewritten file."""
        return link.seq == 0 and has_seal(link) and self.kind_of(line) == "rewritten"

    def is_right(self, line: bytes, link: Link) -> bool | None:
        """Whether the seal of a line is right; None where it has none, or the key is not there."""
        return is_sealed(line, link, self._keys) if has_seal(link) else None

    def read(self, chain: Chain, place: Place, line: bytes, link: Link) -> None:
        """Read a linked line that is sealed or holds a notice."""
        told = _decoded(line) or {"kind": ""}
        right = self._sealed(chain, place, line, link, told) if has_seal(link) else None
        is_own = told["kind"] in _SEALED and told.get("chain", chain.id) == chain.id
        if link.seal is not None or has_seal(link) or is_own:
            self.seals.read(chain, place, line, link)
        if not has_seal(link) and told["kind"] in _SEALED:
            if chain.unsigned is None and is_own:
                chain.unsigned = link.seq, place
            return
        match told["kind"]:
            case "opened":
                self._opened(chain, place, told)
            case "closed":
                self._open.pop(str(told.get("process")), None)
            case "checkpoint":
                chain.is_ended = told.get("reason") in ("rotation", "rewritten")
            case "loss":
                message = f"{_events(told.get('dropped'))} could not be written"
                self._findings.add("counted loss", "told", message, place, chain.id, link.seq)
            case "erased":
                self._erased(chain, place, link, told)
            case "pruned" if has_seal(link):
                self._state("pruned", chain, place, link, right, told)

    def _opened(self, chain: Chain, place: Place, told: dict[str, Any]) -> None:
        process = str(told.get("process"))
        is_signing = type(told.get("sign_key")) is str
        chain.is_declared = chain.is_declared or is_signing
        self.seals.is_declared |= type(told.get("seal_key")) is str
        self.is_declared = self.is_declared or is_signing
        if type(told.get("previous_chain")) is str and len(self.previous) < _MOST:
            self.previous.setdefault(told["previous_chain"], place)
        if len(self._signers) < _MOST:
            self._signers[process] = is_signing
        if process in self._open:
            self._not_closed(process)
        if len(self._open) < _MOST:
            self._open[process] = place, chain.id, str(told.get("host"))[:100]

    def _erased(self, chain: Chain, place: Place, link: Link, told: dict[str, Any]) -> None:
        token, by = str(told.get("key_id"))[:100], str(told.get("by"))[:100]
        events = told.get("events")
        were = "was" if events == 1 else "were"
        message = f"{_events(events)} of {token} {were} made unreadable by {by}"
        self._findings.add("erased by statement", "told", message, place, chain.id, link.seq)

    def _sealed(
        self, chain: Chain, place: Place, line: bytes, link: Link, told: dict[str, Any]
    ) -> bool | None:
        """Check what seals a line; return None where the key is not there."""
        chain.checkpoints += 1
        right = is_sealed(line, link, self._keys)
        if right is not False:
            self._written_again(chain, place, link, told)
        with self._findings.noting() as accused:
            right = self._judged(chain, place, link, told, right)
        if right is False:
            self._behind_fragment(chain, line, link, accused)
        return right

    def _behind_fragment(
        self, chain: Chain, line: bytes, link: Link, accused: list[Finding]
    ) -> None:
        """Keep what was said of a line whose seal is right without what stands before it."""
        for each in written_as(line):
            if accused and is_sealed(each, link, self._keys):
                told = _decoded(each) or {"kind": ""}
                chain.glued = accused[0], link.seq, (told["kind"], told.get("process"))
                return

    def _written_again(self, chain: Chain, place: Place, link: Link, told: dict[str, Any]) -> None:
        """Take back what was said of a line behind a fragment, as its writer wrote it again."""
        glued, chain.glued = chain.glued, None
        if glued is None or glued[1:] != (link.seq - 1, (told["kind"], told.get("process"))):
            return
        self._findings.withdraw([glued[0]])
        before = Place(place.file, None if place.line is None else place.line - 1)
        message = "it stands behind a line that was not finished, and was written again"
        self._findings.add("torn", "told", message, before, chain.id, glued[1])

    def _judged(
        self, chain: Chain, place: Place, link: Link, told: dict[str, Any], right: bool | None
    ) -> bool | None:
        add = self._findings.add
        if link.signature is None:
            chain.digests += right is True
            if not right:
                add("altered", "tampering", "it is not what it was", place, chain.id, link.seq)
            elif self._signers.get(str(told.get("process"))):
                message = "its process signed, and it is not signed"
                add("signatures missing", "tampering", message, place, chain.id, link.seq)
            elif chain.unsigned is None:
                chain.unsigned = link.seq, place
        elif right is None and not self._keys:
            chain.unchecked += 1
            chain.unsigned = None
        elif right:
            chain.signatures += 1
            chain.unsigned = None
            chain.last_signed = link.seq, place
        else:
            kid = str(kid_of(link.signature))[:100]
            message = (
                f"it is signed with the key {kid}, which is none of those given"
                if right is None
                else f"the signature is not that of the key {kid} for this line"
            )
            add("bad signature", "tampering", message, place, chain.id, link.seq)
            return False
        return right

    def _state(
        self,
        kind: str,
        chain: Chain,
        place: Place,
        link: Link,
        right: bool | None,
        told: dict[str, Any],
    ) -> list[Range]:
        given = told.get("files") if kind == "pruned" else [told.get("replaces")]
        ranges = [found for each in _listed(given) if (found := _range(each)) is not None]
        signed, is_right = link.signature is not None, right is not False
        made = signed, is_right, signed and bool(right), link.seal is not None
        by = str(told.get("by"))[:100]
        if len(self.statements) < _MOST:
            self.statements.append(Statement(kind, chain.id, place, *made, by, ranges))
        return ranges

    def rewritten(self, chain: Chain, place: Place, line: bytes, link: Link) -> Range | None:
        """Read the first line of a rewritten file; return what it stands for."""
        told = _decoded(line) or {}
        right = self._sealed(chain, place, line, link, told)
        ranges = self._state("rewritten", chain, place, link, right, told)
        by = str(told.get("by"))[:100]
        message = f"the file was rewritten without {_events(told.get('events'))} by {by}"
        found = self._findings.add("erased by statement", "told", message, place, chain.id, 0)
        self.seals.rewritten(
            chain,
            place,
            line,
            link,
            ranges[0].original().seals if ranges else (),
            bool(right) and link.signature is not None,
            found,
        )
        if not ranges:
            message = "its statement does not say which lines it stands for"
            self._findings.add("altered", "tampering", message, place, chain.id, 0)
            return None
        return ranges[0].original()

    def finish(self) -> None:
        """Say who did not close the log, and which statements are not signed that have to be."""
        for process in list(self._open):
            self._not_closed(process)
        for each in self.statements:
            if each.is_right and not self._counts(each):
                message = f"the statement that something was {each.kind} is not signed"
                add = self._findings.add
                add("signatures missing", "tampering", message, each.place, each.chain)

    def is_closed(self, chain: Chain) -> bool:
        """Whether every process that wrote to a chain has closed it."""
        return chain.id not in self._left_open

    def _counts(self, statement: Statement) -> bool:
        required = self.is_declared or bool(self._keys and not self.seals.is_sealing)
        return statement.is_right and (statement.is_signed or not required)

    def _not_closed(self, process: str) -> None:
        place, chain, host = self._open.pop(process)
        if len(self._left_open) < _MOST:
            self._left_open.add(chain)
        message = f"process {process} on {host} did not close the log: it crashed, or is at work"
        self._findings.add("not closed", "told", message, place, chain)

    def explain(self, chain: Chain) -> None:
        """Tell what is missing in a chain by statement as such."""
        for gap in list(chain.gaps):
            found = self._pruned(chain, gap)
            if found is not None:
                by, is_trusted, is_sealed = found
                chain.gaps.remove(gap)
                chain.replaced.append((gap.first, gap.last))
                message = f"numbers {gap.first} to {gap.last} were deleted by {by}"
                severity: Severity = "told"
                if self.seals.is_sealing and not is_trusted and not (gap.is_begin and is_sealed):
                    severity = "unchecked"
                    message += (
                        ", and what is older was not"
                        if not gap.is_begin
                        else ", by a statement that is not sealed: anybody can have put it there"
                    )
                self._findings.change(gap.finding, severity, "pruned by statement")
                gap.finding.message = message

    def sealed_ranges(self) -> Iterator[tuple[str, list[SealRange]]]:
        """Yield the kinds of statements that count, and the seals of each of their files."""
        for statement in self.statements:
            if self._counts(statement):
                for each in statement.ranges:
                    if statement.kind != "pruned" or each in self._used:
                        yield statement.kind, each.original().seals

    def _pruned(self, chain: Chain, gap: Gap) -> tuple[str, bool, bool] | None:
        """
        Who stated that all lines of a gap were deleted; at the begin, the last ones suffice.

        Returns:
            The name, whether the key of every signature that it took was given, and whether the
            last one is sealed.
        """
        wanted, head, by, is_trusted, is_sealed = gap.last, gap.head, None, True, True
        used: list[Range] = []
        ranges = [
            (each, statement, found)
            for statement in self.statements
            if statement.kind == "pruned" and self._counts(statement)
            for found in statement.ranges
            if (each := found.original()).chain == chain.id
        ]
        for each, statement, found in sorted(ranges, key=lambda pair: -pair[0].last_seq):
            if each.last_seq == wanted and (by is not None or each.head == head):
                is_sealed = is_sealed if used else statement.is_sealed
                wanted, by = each.first_seq - 1, statement.by
                used.append(found)
                is_trusted = is_trusted and statement.is_trusted
        is_all = by is not None and (gap.is_begin or wanted < gap.first)
        if is_all:
            self._used.extend(used)
        return (str(by), is_trusted, is_sealed) if is_all else None


def _decoded(line: bytes) -> dict[str, Any] | None:
    """What a notice of ours says."""
    if _NOTICE not in line:
        return None
    try:
        event = msgspec.json.decode(line)
        told = event["extensions"]["notice"]
        if event["actor"] != {"type": "system", "id": "hilt_logging"}:
            return None
        if "original_integrity" in event["extensions"]:  # it was read from another log
            return None
        return told if type(told["kind"]) is str else None
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _range(given: Any) -> Range | None:
    try:
        return msgspec.convert(given, Range)
    except msgspec.ValidationError:
        return None


def _listed(given: Any) -> list[Any]:
    return given if type(given) is list else []


def _events(given: Any) -> str:
    return counted(given, "event") if type(given) is int else "some events"
