"""
Files in UTF-16 and UTF-32, as some programs of Windows save them, in UTF-8.
"""

from __future__ import annotations

import codecs

from collections.abc import Iterator

from ...errors import ReadError


__all__ = ["in_utf8"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LENGTH = 4


def in_utf8(blocks: Iterator[bytes], path: str) -> Iterator[bytes]:
    """
    Yield a file in UTF-8; what does not begin with the mark of another encoding is as it was.

    Args:
        blocks: What the file holds.
        path: The file, for the error.

    Raises:
        ReadError: if it is UTF-16 without a mark.
    """
    head = b""
    for block in blocks:
        head += block
        if len(head) >= _LENGTH:
            break
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None:
        if _is_unmarked(head[:_LENGTH]):
            raise ReadError("It is UTF-16 without a byte order mark: save it as UTF-8", path)
        yield head
        yield from blocks
        return
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    yield decode(head).encode()
    for block in blocks:
        yield decode(block).encode()
    yield decode(b"", True).encode()


def _is_unmarked(head: bytes) -> bool:
    return [not each for each in head] in ([False, True] * 2, [True, False] * 2)
