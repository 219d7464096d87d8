"""
What is there only as long as something goes on: it can be undone where the process must end at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile

from collections.abc import Callable, Hashable, Iterator


__all__ = ["Scratch", "forget", "note", "remove", "undo_all", "undone"]

_TIMES = 3

_noted: dict[Hashable, Callable[[], object]] = {}


def note(key: Hashable, undo: Callable[[], object]) -> None:
    """
    Put down what undoes something that begins now.

    Args:
        key: The name to forget it by.
        undo: May be called in any thread, and more than once.
    """
    _noted[key] = undo


def forget(key: Hashable) -> None:
    """Forget what is over; it may be unknown."""
    _noted.pop(key, None)


def undo_all() -> None:
    """Undo what goes on: the process ends. What can't be undone keeps nothing else from it."""
    for key, undo in list(_noted.items()):
        with contextlib.suppress(Exception):
            undo()
        forget(key)


@contextlib.contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Have something undone when the block ends, in whichever way."""
    key = object()
    note(key, undo)
    try:
        yield
    finally:
        undo()
        forget(key)


def remove(path: str) -> None:
    """Delete a file or a folder, if it is there, although somebody may still write to it."""
    for _ in range(_TIMES):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        if not os.path.lexists(path):
            return


class Scratch(tempfile.TemporaryDirectory[str]):
    """A temporary folder."""

    def __init__(self) -> None:
        super().__init__(prefix="hilt-")
        note(self.name, functools.partial(remove, self.name))

    def cleanup(self) -> None:
        """Delete it."""
        super().cleanup()
        forget(self.name)
