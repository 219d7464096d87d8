"""
Replacing what detectors find in a text.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterable, Sequence

import msgspec

from .detectors import Detector
from .hashing import Tokens, hash_content


__all__ = ["FAILED", "Redactor", "replacement"]

FAILED = "[REDACTION_FAILED]"
"""What stands in place of a text where a detector failed."""

_MOST_LEVELS = 8
_NUMBERS = frozenset(("credit_card", "iban", "us_ssn", "phone", "national_id"))


class Redactor:
    """
    Replaces what detectors find.

    Args:
        detectors: They are asked in this order, each for the whole text.
        replace: Returns what stands in place of a kind and a value.
        failed: Is told the name of the class of what a detector raises.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        replace: Callable[[str, str], str],
        failed: Callable[[str], None],
    ) -> None:
        self._detectors = tuple(detectors)
        self._replace = replace
        self._failed = failed

    def redacted(self, text: str, kinds: set[str]) -> str:
        """
        Return the text with what was found replaced; the very text where nothing was.

        Never raises: where a detector fails, all of the text is replaced.

        Args:
            text: A text; one that is a JSON object or list is read, and redacted within.
            kinds: Gets the kinds that were found.
        """
        try:
            return self._text(text, kinds, 0)
        except Exception as error:
            self._failed(type(error).__name__)
            kinds.add("unknown")
            return FAILED

    def _text(self, text: str, kinds: set[str], level: int) -> str:
        if text[:1] in _JSON_BEGINS and level < _MOST_LEVELS and text.lstrip()[:1] in ("{", "["):
            inner = _decoded(text)
            if inner is not None:
                found: set[str] = set()
                within = self._value(inner, found, level + 1)
                if not found:
                    return text
                kinds |= found
                return msgspec.json.encode(within).decode()
        hits: list[tuple[int, int, str]] = []
        for detector in self._detectors:
            hits += detector(text)
        return text if not hits else self._spliced(text, hits, kinds)

    def _value(self, value: object, kinds: set[str], level: int) -> object:
        if type(value) is str:
            return self._text(value, kinds, level)
        if type(value) is list:
            return [self._value(item, kinds, level) for item in value]
        if type(value) is dict:
            return {
                self._text(key, kinds, level): self._value(item, kinds, level)
                for key, item in value.items()
            }
        return value

    def _spliced(self, text: str, hits: list[tuple[int, int, str]], kinds: set[str]) -> str:
        out, done = [], 0
        for start, end, kind in _merged(hits, len(text)):
            out += [text[done:start], self._replace(kind, text[start:end])]
            done = end
            kinds.add(kind)
        return "".join([*out, text[done:]])


_JSON_BEGINS = ("{", "[", " ", "\n", "\r", "\t")


def _decoded(text: str) -> object:
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if type(value) in (dict, list) else None


def _merged(hits: Iterable[tuple[int, int, str]], size: int) -> list[tuple[int, int, str]]:
    """The places in order; where some overlap, all that they cover, under the longest one's kind."""
    out: list[tuple[int, int, str]] = []
    longest = 0
    for start, end, kind in sorted(hits, key=lambda hit: (hit[0], -hit[1])):
        if type(kind) is not str or not 0 <= start < end <= size:
            raise ValueError("a place that is not in the text")
        if out and start < out[-1][1]:
            before = out[-1]
            out[-1] = before[0], max(before[1], end), kind if end - start > longest else before[2]
            longest = max(longest, end - start)
        else:
            out.append((start, end, kind))
            longest = end - start
    return out


def replacement(how: str, key: bytes | None = None) -> Callable[[str, str], str]:
    """
    Return what makes the text that stands for a kind and a value.

    Args:
        how: `label`, as `[EMAIL]`; `token`, the same one for the same value; `hash`, the value's
            digest as `hash_content` makes it.
        key: For tokens, and for digests that nobody can guess.
    """
    if how == "token":
        tokens = Tokens(key or b"")
        return lambda kind, value: f"[{kind.upper()}:{tokens.token(kind, _same(kind, value))}]"
    if how == "hash":
        return lambda kind, value: f"[{kind.upper()}:{hash_content(value, key)}]"
    return lambda kind, value: f"[{kind.upper()}]"


def _same(kind: str, value: str) -> str:
    """What is the same however a value is written."""
    if kind in _NUMBERS:
        return re.sub(r"[\W_]", "", value).casefold()
    return value.casefold() if kind == "email" else value
