"""
Whether what stands in files are events: each line is checked against the format.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable

import msgspec

from ..errors import ReadError
from ..io.reader import check
from ..schema import Fault


__all__ = ["InvalidLine", "Validation", "validate"]


class InvalidLine(msgspec.Struct, omit_defaults=True):
    """
    A line that is no event.

    Attributes:
        file: The file.
        line: The number of the line, from 1.
        reason: What is wrong, without content.
        faults: Each fault with its path, where the line is a JSON object.
    """

    file: str
    line: int
    reason: str
    faults: list[Fault] = []


class Validation(msgspec.Struct):
    """
    What `validate` found.

    Attributes:
        files: How many files were looked at.
        events: How many lines are events.
        invalid: How many lines are none.
        unread: How many files could not be read, or not to their end.
        errors: The first of the invalid lines.
        unread_files: Why files could not be read.
    """

    files: int = 0
    events: int = 0
    invalid: int = 0
    unread: int = 0
    errors: list[InvalidLine] = []
    unread_files: list[str] = []

    @property
    def exit_code(self) -> int:
        """1 where a line is no event, else 3 where a file could not be read, else 0."""
        if self.invalid:
            return 1
        return 3 if self.unread else 0


def validate(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    max_errors: int = 100,
    report: Callable[[ReadError], object] | None = None,
    rotated: bool = True,
) -> Validation:
    """
    Check each line of logs against the format; lines of hilt-python count as what they are read as.

    Memory is bounded, however many lines there are and however many are wrong.

    Args:
        paths: Files, directories and patterns with `*`, one or several; `-` is standard input.
        max_errors: How many invalid lines are kept; all are counted.
        report: Is called with the error of each invalid line and of each file that can't be read.
        rotated: Whether a file that is named means its rotated files, too.
    """
    found = Validation()

    def count(error: ReadError) -> None:
        if error.line is None:
            found.unread += 1
            if len(found.unread_files) < max_errors:
                found.unread_files.append(str(error))
        else:
            found.invalid += 1
            if len(found.errors) < max_errors:
                found.errors.append(_line(error))
        if report is not None:
            report(error)

    for events in check(paths, report=count, rotated=rotated):
        found.files += 1
        found.events += events
    return found


def _line(error: ReadError) -> InvalidLine:
    faults = [Fault(path, message) for path, _, message in map(_parted, error.faults)]
    return InvalidLine(error.path, error.line or 0, error.reason, faults)


def _parted(fault: str) -> tuple[str, str, str]:
    return fault.partition(": ")
