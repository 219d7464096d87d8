"""
Logs that are read several times: what can be read only once is copied.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

from collections.abc import Iterable, Iterator

from .._unfinished import Scratch
from ..errors import ReadError
from ._finding import Report


__all__ = ["at_rest"]

_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")  # of the shell; others are not read

Path = str | os.PathLike[str]


@contextlib.contextmanager
def at_rest(paths: Path | Iterable[Path], report: Report) -> Iterator[tuple[list[str], Report]]:
    """
    Give paths that can be read several times, and what is told of them by their own names.

    What can be read only once, as a pipe, is copied to where only its owner can read it.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    given = ["/dev/stdin" if path == "-" else os.fspath(path) for path in several]
    with Scratch() as folder:
        copies = {
            _copied(path, os.path.join(folder, f"{number}.jsonl")): path
            for number, path in enumerate(given)
            if _is_pipe(path)
        }

        def seen(error: ReadError) -> None:
            name = copies.get(error.path)
            report(error if name is None else ReadError(error.reason, name, error.line))

        originals = {path: copy for copy, path in copies.items()}
        yield [originals.get(path, path) for path in given], seen


def _is_pipe(path: str) -> bool:
    if not path.startswith(_PIPES):
        return False
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def _copied(path: str, copy: str) -> str:
    with open(path, "rb") as source, open(copy, "xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return copy
