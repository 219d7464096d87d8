"""
How far long work is, on stderr where that is a terminal.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time

from types import TracebackType
from typing import Any

from .._unfinished import forget, note


__all__ = ["Progress", "Waiting"]

_SHORT_S = 0.5


class Progress:
    """
    A bar that appears when the work takes longer than a moment, and is gone after it.

    Args:
        label: What is done.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._bar: Any = None
        self._task: Any = None
        self._from = time.monotonic() + _SHORT_S if sys.stderr.isatty() else float("inf")

    def __call__(self, done: int, total: int | None = None) -> None:
        """Tell how many bytes are done, of how many."""
        if self._bar is None:
            if time.monotonic() < self._from:
                return
            self._begin()
        self._bar.update(self._task, completed=done, total=total)

    def _begin(self) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        note(self, _show_cursor)
        self._bar.start()
        self._task = self._bar.add_task(self.label, total=None)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            forget(self)


class Waiting:
    """
    A sign that work goes on of which nobody knows how far it is; to be used as a context manager.

    It appears when the work takes longer than a moment, and is gone after it.

    Args:
        label: What is done.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._status: Any = None
        self._timer = threading.Timer(max(_SHORT_S, 0), self._begin)
        self._timer.daemon = True

    def _begin(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._status = Status(self.label, console=Console(stderr=True))
        note(self, _show_cursor)
        self._status.start()

    def __enter__(self) -> Waiting:
        if sys.stderr.isatty():
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()
        if self._status is not None:
            self._status.stop()
            forget(self)


def _show_cursor() -> None:
    """Give back the cursor, which is hidden beside a bar, and the line, unless the terminal is stopped."""
    with contextlib.suppress(OSError, ValueError):
        stderr = sys.stderr.fileno()
        if os.environ.get("TERM") != "dumb" and select.select((), (stderr,), (), 0)[1]:
            os.write(stderr, b"\r\x1b[K\x1b[?25h")
