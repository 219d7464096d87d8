"""
Replacing what detectors find in a text.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ._parts import Tree, is_left
from ._passwords import is_secret
from .detectors import Detector
from .hashing import Tokens, hash_content


__all__ = ["FAILED", "Redactor", "replacement"]

FAILED = "[REDACTION_FAILED]"
"""What stands in place of a text where a detector failed."""

_MOST_LEVELS = 8
_LEAST_NAME = 16
_LEAST_NUMBER = 10**8  # with fewer digits it is no number of a person or a card
_NUMBERS = frozenset(("credit_card", "iban", "us_ssn", "phone", "national_id"))


class Redactor:
    """
    Replaces what detectors find.

    Args:
        detectors: They are asked in this order, each for the whole text.
        replace: Returns what stands in place of a kind and a value.
        failed: Is told the name of the class of what a detector raises.
        names_tell: Replace the value of a field whose name says that it is a password or a key.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        replace: Callable[[str, str], str],
        failed: Callable[[str], None],
        names_tell: bool = False,
    ) -> None:
        self._detectors = tuple(detectors)
        self._replace = replace
        self._failed = failed
        self._names_tell = names_tell

    def redacted(self, text: str, kinds: set[str]) -> str:
        """
        Return the text with what was found replaced; the very text where nothing was.

        Never raises: where a detector fails, all of the text is replaced.

        Args:
            text: A text; one that is a JSON object or list is read, and redacted within.
            kinds: Gets the kinds that were found.
        """
        return self._text(text, kinds, 0)

    def within(self, part: dict[str, Any], untouched: Tree, kinds: set[str]) -> Any:
        """
        Return a dict of JSON values with what was found replaced; names of fields are searched too.

        Args:
            part: The dict, which stays as it is.
            untouched: Which of its fields are left as they are, as a tree.
            kinds: Gets the kinds that were found.
        """
        out = {}
        for name, value in part.items():
            rule = untouched.get(name)
            if is_left(rule, value):
                out[name] = value
            elif type(rule) is dict and type(value) is dict:
                out[name] = self.within(value, rule, kinds)
            else:
                out[self._key(name, kinds, out)] = self._field(name, value, kinds, 0)
        return out

    def _text(self, text: str, kinds: set[str], level: int) -> str:
        try:
            return self._searched(text, kinds, level)
        except Exception as error:
            self._failed(type(error).__name__)
            kinds.add("unknown")
            return FAILED

    def _searched(self, text: str, kinds: set[str], level: int) -> str:
        if text[:1] in _JSON_BEGINS and level < _MOST_LEVELS and text.lstrip()[:1] in ("{", "["):
            inner = _decoded(text)
            if inner is not None:
                found: set[str] = set()
                within = self._value(inner, found, level + 1)
                if found:
                    kinds |= found
                    return msgspec.json.encode(within).decode()
        hits: list[tuple[int, int, str]] = []
        for detector in self._detectors:
            hits += detector(text)
        if hits and "[" in text:
            done = [mark.span() for mark in _DONE.finditer(text)]
            hits = [hit for hit in hits if not any(s <= hit[0] and hit[1] <= e for s, e in done)]
        return text if not hits else self._spliced(text, hits, kinds)

    def _value(self, value: Any, kinds: set[str], level: int) -> Any:
        if type(value) is str:
            return self._text(value, kinds, level)
        if type(value) is list:
            return [self._value(item, kinds, level) for item in value]
        if type(value) is dict:
            out: dict[str, Any] = {}
            for name, item in value.items():
                out[self._key(name, kinds, out)] = self._field(name, item, kinds, level)
            return out
        if type(value) is int and abs(value) >= _LEAST_NUMBER:
            digits = str(value)
            shown = self._text(digits, kinds, level)
            return value if shown == digits else shown
        return value

    def _field(self, name: str, value: Any, kinds: set[str], level: int) -> Any:
        if self._names_tell and type(value) is str and is_secret(name, value):
            kinds.add("password")
            return self._replace("password", value)
        return self._value(value, kinds, level)

    def _key(self, name: str, kinds: set[str], others: dict[str, Any]) -> str:
        """The name of a field; a short word is no more than that."""
        if len(name) < _LEAST_NAME and name.isascii() and name.isidentifier():
            return name
        shown = key = self._text(name, kinds, _MOST_LEVELS)
        number = 1
        while shown != name and key in others:
            number += 1
            key = f"{shown}#{number}"
        return key

    def _spliced(self, text: str, hits: list[tuple[int, int, str]], kinds: set[str]) -> str:
        out, done = [], 0
        for start, end, kind in _merged(hits, len(text)):
            out += [text[done:start], self._replace(kind, text[start:end])]
            done = end
            kinds.add(kind)
        return "".join([*out, text[done:]])


_DONE = re.compile(r"\[[A-Z]\w*:(?:[a-z2-7]{16}|(?:hmac-)?sha256:[0-9a-f]{64})\]", re.ASCII)
"""A token or a digest that stands there already, which is not replaced once more."""
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
