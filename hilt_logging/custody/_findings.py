"""
What the verification of a log found, and how bad that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec


__all__ = [
    "MOST_FINDINGS",
    "ChainSummary",
    "Finding",
    "Findings",
    "Kind",
    "Place",
    "Severity",
    "Verdict",
]

MOST_FINDINGS = 1000

Kind = Literal[
    "altered",
    "missing",
    "moved",
    "repeated",
    "cut off",
    "foreign",
    "file missing",
    "chain forked",
    "signatures missing",
    "bad signature",
    "signatures not checked",
    "seals missing",
    "bad seal",
    "dated back",
    "seals not checked",
    "unreadable",
    "not covered",
    "nothing to verify",
    "unlinked",
    "out of place",
    "torn",
    "not closed",
    "counted loss",
    "seal repeated",
    "erased by statement",
    "pruned by statement",
]
Severity = Literal["tampering", "unchecked", "told"]


class Place(msgspec.Struct, frozen=True):
    """
    A line of a file.

    Attributes:
        file: The path of the file.
        line: The number of the line, from 1; None where the whole file is meant.
    """

    file: str
    line: int | None = None


class Finding(msgspec.Struct):
    """
    One thing that is to be known about a log.

    Attributes:
        kind: What it is, e.g. `altered`.
        severity: `tampering`; `unchecked` where it could not be decided; `told` for what happens
            in the life of a log that nobody tampers with.
        message: The same in words, without content.
        file: The file.
        line: The number of the line, from 1.
        chain: The chain of the line.
        seq: The number of the line in its chain.
    """

    kind: Kind
    severity: Severity
    message: str
    file: str | None = None
    line: int | None = None
    chain: str | None = None
    seq: int | None = None


class ChainSummary(msgspec.Struct):
    """
    What was read of one chain.

    Attributes:
        chain: Its id.
        log: The log.
        first_seq: The number of the first line.
        last_seq: The number of the last line.
        lines: How many linked lines.
        checkpoints: How many checkpoints, closings and statements.
        signatures: How many of them were signed and are right.
        digests: How many of them were not signed, and are as they were written.
        last_signed: The number of the last line whose signature is right; None where none is.
        is_closed: Whether every process that wrote to it closed it.
        seals: How many seals are right.
        last_sealed: The number of the last line whose seal is right; None where none is.
    """

    chain: str
    log: str
    first_seq: int
    last_seq: int
    lines: int = 0
    checkpoints: int = 0
    signatures: int = 0
    digests: int = 0
    last_signed: int | None = None
    is_closed: bool = False
    seals: int = 0
    last_sealed: int | None = None


class Verdict(msgspec.Struct):
    """
    What the verification of a log found.

    Attributes:
        exit_code: 0: nothing is wrong; 1: tampering; 2: it could not be checked.
        findings: What was found, in the order of the lines; at most 1,000, the first.
        chains: The chains.
        files: How many files were read.
        lines: How many lines.
        bytes: How many bytes, as they are uncompressed.
        counts: How many findings there are of each kind, also of those that are not listed.
        limits: What could not be shown with what was given.
    """

    exit_code: int
    findings: list[Finding] = []
    chains: list[ChainSummary] = []
    files: int = 0
    lines: int = 0
    bytes: int = 0
    counts: dict[str, int] = {}
    limits: list[str] = []

    @property
    def first(self) -> Finding | None:
        """The first sign of tampering, else the first thing that could not be checked."""
        for severity in ("tampering", "unchecked"):
            for finding in self.findings:
                if finding.severity == severity:
                    return finding
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


class _Unlisted(Finding):
    """
    A finding that is counted only, as so many are listed.

    Attributes:
        counted: The kind and the severity that it is counted as; None where it is no more.
    """

    counted: tuple[Kind, Severity] | None = None


class Findings:
    """What is found, as it is found; one finding for a line and kind."""

    def __init__(self) -> None:
        self._all: list[Finding] = []
        self._known: set[tuple[str, str | None, int | None]] = set()
        self._more: dict[str, int] = {}
        self._worst: dict[Severity, int] = {}
        self._tried: list[Finding] | None = None

    def add(
        self,
        kind: Kind,
        severity: Severity,
        message: str,
        place: Place | None = None,
        chain: str | None = None,
        seq: int | None = None,
    ) -> Finding:
        """Put a finding down, and return it, so that it can be changed when more is known."""
        file, line = (place.file, place.line) if place else (None, None)
        made = Finding(kind, severity, message, file, line, chain, seq)
        key = (severity if severity == "tampering" else kind, file, line)
        if line is not None and key in self._known:
            return made
        if len(self._all) < MOST_FINDINGS:
            self._known.add(key)
            self._all.append(made)
        else:
            made = _Unlisted(kind, severity, message, file, line, chain, seq)
            self._count(made, (kind, severity))
        if self._tried is not None:
            self._tried.append(made)
        return made

    def _count(self, found: _Unlisted, counted: tuple[Kind, Severity] | None) -> None:
        """Count a finding as what it is, no more as what it was."""
        for each, step in ((found.counted, -1), (counted, 1)):
            if each is not None:
                kind, severity = each
                self._more[kind] = self._more.get(kind, 0) + step
                self._worst[severity] = self._worst.get(severity, 0) + step
        found.counted = counted

    @contextmanager
    def noting(self) -> Iterator[list[Finding]]:
        """Give a list that takes what is put down meanwhile."""
        outer, self._tried = self._tried, []
        try:
            yield self._tried
        finally:
            if outer is not None:
                outer.extend(self._tried)
            self._tried = outer

    def change(self, found: Finding, severity: Severity, kind: Kind | None = None) -> None:
        """
        Judge a finding anew when more is known.

        One that was not put down, as one of its line was, can make what all amount to worse by that,
        and no better.
        """
        found.kind, found.severity = kind or found.kind, severity
        if isinstance(found, _Unlisted):
            if found.counted is not None:
                self._count(found, (found.kind, severity))
        elif not any(each is found for each in self._all):
            self._worst[severity] = self._worst.get(severity, 0) + 1

    def withdraw(self, some: list[Finding]) -> None:
        """Take findings back that are explained by what was read since."""
        for found in some:
            if isinstance(found, _Unlisted):
                self._count(found, None)
            elif any(each is found for each in self._all):
                self._all = [each for each in self._all if each is not found]
                names = (found.kind, found.severity)
                self._known -= {(name, found.file, found.line) for name in names}

    def listed(self, files: list[str]) -> list[Finding]:
        """Return the findings in the order of files and lines."""
        order = {file: index for index, file in enumerate(files)}
        return sorted(
            self._all, key=lambda each: (order.get(each.file or "", len(order)), each.line or 0)
        )

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each kind."""
        found = {kind: count for kind, count in self._more.items() if count}
        for each in self._all:
            found[each.kind] = found.get(each.kind, 0) + 1
        return found

    def exit_code(self, strict: bool) -> int:
        """Return what the findings amount to."""
        more = {severity for severity, count in self._worst.items() if count > 0}
        severities = more | {each.severity for each in self._all}
        if "tampering" in severities or (strict and "told" in severities):
            return 1
        return 2 if "unchecked" in severities else 0
