"""
What a report is about, and how far it is.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..errors import ConfigurationError, ReadError
from ..io.reader import Faults, Time
from ._figures import Report, Tally
from ._inputs import inputs_of
from .stats import tallied


__all__ = ["Asked", "Steps", "files_of_logs", "size_of_files", "unheard"]


def files_of_logs(paths: list[str], rotated: bool) -> list[str]:
    """
    Return the files that logs are in.

    Raises:
        ConfigurationError: for what is no log.
    """
    inputs = inputs_of(paths, unheard, rotated=rotated)
    for path in (*inputs.parquet, *inputs.sqlite):
        told = "A report is made of logs: `hilt-log convert` makes one of it"
        raise ConfigurationError("paths", path, told)
    return inputs.files


def size_of_files(files: list[str]) -> int:
    """Return how many bytes files have."""
    return sum(os.path.getsize(path) for path in files if os.path.isfile(path))


class Steps:
    """
    Tells how many readings of the log are done.

    Args:
        progress: Is called with how many bytes were read, and how many will be.
        size: How many a reading has.
        steps: How many readings there are.
    """

    def __init__(
        self, progress: Callable[[int, int], object] | None, size: int, steps: int
    ) -> None:
        self._progress = progress
        self._size, self._steps = size, steps
        self._done = 0

    def __call__(self) -> None:
        """One more is."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._size * self._done, self._size * self._steps)


class Asked(msgspec.Struct, kw_only=True):
    """
    What the report is about.

    Attributes:
        paths: The logs, which can be read several times.
        report: Is called with the error of what can't be read.
        faults: Counts these.
        rotated: Whether a file that is named means its rotated files, too.
        engine: What counts.
        tz: The time zone.
        top: How many of each list.
        since: The first time that counts.
        until: The first time that does not count any more.
        where: Values that fields must have.
        models: One of these models.
        users: One of these users.
    """

    paths: list[str]
    report: Report
    faults: Faults
    rotated: bool
    engine: str
    tz: str
    top: int
    since: Time | None
    until: Time | None
    where: dict[str, Any]
    models: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def is_filtered(self) -> bool:
        """Whether more than the time decides which events count."""
        return bool(self.where or self.models or self.users)

    def tally(self, *groupings: Sequence[str], report: Report, **others: Any) -> Tally:
        """Count once, by several groupings, with other options where they are given."""
        names = ("tz", "top", "since", "until", "where", "models", "users")
        asked = {name: getattr(self, name) for name in names} | others
        return tallied(
            self.paths,
            groupings,
            rotated=self.rotated,
            engine=self.engine,
            report=report,
            **asked,
        )

    def words(self) -> Iterator[str]:
        """Say what is left out."""
        for name, value in (("from", self.since), ("before", self.until)):
            if value is not None:
                yield f"{name} {value}"
        for name, values in (("model", self.models), ("user", self.users)):
            if values:
                yield f"{name} {' or '.join(values)}"
        for path, value in self.where.items():
            several = value if isinstance(value, list | tuple | set | frozenset) else [value]
            yield f"{path} {' or '.join(map(str, several))}"


def unheard(error: ReadError) -> None:
    """It was told when it was read first."""
