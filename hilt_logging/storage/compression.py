"""
Compressing a file that nobody writes to any more, so that a crash at any moment costs nothing; and
reading it.
"""

from __future__ import annotations

import os
import sys
import time
import zlib

from collections.abc import Callable, Iterator
from typing import IO, Any

from ..errors import MissingDependencyError
from .descriptors import sync_folder


__all__ = ["DamagedError", "compress", "decompressed", "require"]

_CHUNK = 1024 * 1024


class GivenUpError(Exception):
    """There was no time left."""


class DamagedError(Exception):
    """What was compressed can't be had back: it ends early, or its bytes are not what they were."""


def require(kind: str) -> None:
    """
    Ask for a way to compress: `gzip` or `zstd`.

    Raises:
        MissingDependencyError: if zstd is not to be had.
    """
    _opener(kind)


def _opener(kind: str) -> Callable[[IO[bytes]], Any]:
    """What makes a compressing file of a file."""
    if kind == "gzip":
        import gzip

        return lambda file: gzip.GzipFile("", "wb", 6, file, mtime=0)
    zstd = _zstd()
    return lambda file: zstd.ZstdFile(file, "wb")


def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise MissingDependencyError("backports.zstd", "zstd") from None
    return zstd


def compress(fd: int, part: str, final: str, kind: str, until: float) -> None:
    """
    Compress what a descriptor reads, with its mode and its times.

    Args:
        fd: The file.
        part: The temporary file, which is written anew.
        final: The name that the whole result is given, once it is on the disk.
        kind: `gzip` or `zstd`.
        until: When to give up, as `time.monotonic` counts.

    Raises:
        GivenUpError: if there was not time enough.
        OSError: if it can't be written; no temporary file is left then.
    """
    found = os.fstat(fd)
    try:
        with open(part, "wb", opener=_private) as file:
            with _opener(kind)(file) as target:
                _copy(fd, target, until)
            file.flush()
            os.chmod(part, found.st_mode & 0o7777)
            os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(file.fileno())
        os.replace(part, final)
    except BaseException:
        if os.path.lexists(part):
            os.unlink(part)
        raise
    sync_folder(os.path.dirname(final))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _copy(fd: int, target: Any, until: float) -> None:
    offset = 0
    while chunk := os.pread(fd, _CHUNK, offset):
        if time.monotonic() >= until:
            raise GivenUpError
        target.write(chunk)
        offset += len(chunk)


def decompressed(file: IO[bytes], kind: str, size: int = _CHUNK) -> Iterator[bytes]:
    """
    Yield what a compressed file holds, piece by piece, as far as it can be read.

    Args:
        file: A file that is open for reading, at its beginning.
        kind: `gzip` or `zstd`.
        size: How long a piece is at most.

    Raises:
        DamagedError: where it ends early or is damaged.
        MissingDependencyError: if zstd is not to be had.
    """
    source, errors = _reader(file, kind)
    try:
        while chunk := source.read1(size):
            yield chunk
    except EOFError:
        raise DamagedError("the compressed file ends early") from None
    except errors:
        raise DamagedError("the compressed file is damaged") from None


def _reader(file: IO[bytes], kind: str) -> tuple[Any, tuple[type[Exception], ...]]:
    if kind == "gzip":
        import gzip

        return gzip.GzipFile("", "rb", fileobj=file), (gzip.BadGzipFile, zlib.error)
    zstd = _zstd()
    return zstd.ZstdFile(file, "rb"), (zstd.ZstdError,)
