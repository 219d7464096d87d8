"""
The objects in a file of JSON: one a line, one after the other over many lines, or in one array.
"""

from __future__ import annotations

import codecs
import json
import re

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple


__all__ = ["LONGEST", "Value", "values_of"]

LONGEST = 256 * 1024 * 1024
"""How many characters an object may have."""

_BLANK = re.compile("[ \\t\\r\\n,\\0\ufeff]*")
_NEAR = 64
_decoder = json.JSONDecoder(parse_constant=str, strict=True)


class Value(NamedTuple):
    """
    An object of a file.

    Attributes:
        line: The number of the line in which it begins, from 1.
        value: The object.
    """

    line: int
    value: dict[str, Any]


def values_of(blocks: Iterable[bytes], refused: Callable[[str, int], None]) -> Iterator[Value]:
    """
    Yield the objects in a file, also those in arrays. Of what is no JSON, the rest of the line is
    passed over.

    Args:
        blocks: What the file holds.
        refused: Is called with the reason and the number of the line, where there is no object.
    """
    text = _Text(blocks)
    while text.skip():
        line = text.line
        if text.take("[") or text.take("]"):
            continue
        try:
            value = text.value()
        except (ValueError, RecursionError) as error:
            refused(_reason(error), line)
            text.skip_line()
            continue
        if isinstance(value, dict):
            yield Value(line, value)
        else:
            refused("not a JSON object", line)


def _reason(error: Exception) -> str:
    if isinstance(error, _TooLongError):
        return f"an object of more than {LONGEST:,} characters: export it in smaller pages, or as lines"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}"
    is_deep = isinstance(error, RecursionError)
    return f"not JSON: {'nested too deeply' if is_deep else 'a number is too long'}"


class _TooLongError(ValueError):
    """An object has more characters than are held."""


class _Text:
    """What is known of a file so far and was not taken yet."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text = ""
        self._at = 0
        self._is_whole = False
        self.line = 1

    def skip(self) -> bool:
        """Pass over what stands between objects; return whether anything follows."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._go_to(blank.end() if blank else self._at)
            if self._at < len(self._text):
                return True
            if not self._more(1):
                return False

    def take(self, sign: str) -> bool:
        """Pass over a bracket, if it is next."""
        is_next = self._text.startswith(sign, self._at)
        self._at += is_next
        return is_next

    def value(self) -> Any:
        """Return the next value, and pass over it."""
        while True:
            try:
                value, end = _decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_be_open(error):
                    raise
                if len(self._text) - self._at >= LONGEST:
                    raise _TooLongError from None
                if not self._more(len(self._text) - self._at):
                    raise
            else:
                self._go_to(end)
                return value

    def _may_be_open(self, error: json.JSONDecodeError) -> bool:
        """Whether it may be no mistake, but the end of what was read so far."""
        return error.msg.startswith(("Unterminated string", "Invalid \\")) or (
            error.pos >= len(self._text) - _NEAR
        )

    def skip_line(self) -> None:
        """Pass over the rest of the line."""
        while True:
            end = self._text.find("\n", self._at)
            if end >= 0:
                self._go_to(end + 1)
                return
            self._go_to(len(self._text))
            if not self._more(1):
                return

    def _go_to(self, at: int) -> None:
        self.line += self._text.count("\n", self._at, at)
        self._at = at

    def _more(self, least: int) -> bool:
        """Read so many characters more, if there are any."""
        pieces, had = [self._text[self._at :]], 0
        while had < least and not self._is_whole:
            block = next(self._blocks, None)
            self._is_whole = block is None
            piece = self._decode(block or b"", self._is_whole)
            pieces.append(piece)
            had += len(piece)
        self._text, self._at = "".join(pieces), 0
        return had > 0
