"""
Reading the files of a log while somebody is told how far that is.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterator, Sequence

from ..errors import ReadError
from ..io.files import LogFile, open_lines


__all__ = ["Progress", "Reading"]

Progress = Callable[[int, int], object]
"""Is told how many bytes are done, of how many."""

_STEP = 1024 * 1024


class Reading:
    """
    Files that are read from one end to the other, one after the other.

    Args:
        files: The files.
        progress: Is told how many bytes are done, of how many; None where nobody asks.
        times: How often each is read.
    """

    def __init__(
        self, files: Sequence[LogFile], progress: Progress | None = None, *, times: int = 1
    ) -> None:
        self._progress = progress
        self._sizes = {file.path: _size(file) for file in files} if progress is not None else {}
        self._total = sum(self._sizes.values()) * times
        self._done = 0

    def lines(
        self, file: LogFile, report: Callable[[ReadError], object] | None = None
    ) -> Iterator[bytes]:
        """
        Yield the lines of one of the files, as `open_lines` does.

        Raises:
            ReadError: as there.
        """
        lines = open_lines(file, report=report)
        return lines if self._progress is None else self._told(file, lines)

    def pass_over(self, file: LogFile, times: int = 1) -> None:
        """Count a file as read, as often as it need not be any more."""
        self._proceed(self._sizes.get(file.path, 0) * times)

    def _told(self, file: LogFile, lines: Iterator[bytes]) -> Iterator[bytes]:
        left, read = self._sizes.get(file.path, 0), 0
        is_plain = file.path == file.stem
        for line in lines:
            read += len(line)
            if read >= _STEP and is_plain:
                step = min(read, left)
                left, read = left - step, 0
                self._proceed(step)
            yield line
        self._proceed(left)

    def _proceed(self, size: int) -> None:
        self._done += size
        if self._progress is not None:
            self._progress(self._done, self._total)


def _size(file: LogFile) -> int:
    try:
        return os.stat(file.path).st_size
    except OSError:
        return 0
