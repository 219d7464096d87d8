"""
Detectors of national identity numbers, by their form, their check digits and the words around them.

A form that many other numbers have counts only where a word next to it says what it is.
"""

from __future__ import annotations

import importlib
import re
import unicodedata

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from ..errors import MissingDependencyError
from ._check_digits import OWN_CHECKS
from ._countries import ANY_ID, NUMBERS, Number
from ._edges import BEFORE_LETTER, LETTER
from ._gates import has_digits, has_lettered_number


__all__ = ["national_ids"]

Hits = list[tuple[int, int, str]]

_NINO = re.compile(
    r"(?<![\w-])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-Z]{2}[ -]?\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-D](?![\w-])"
)
_NINO_PREFIX = re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]")
_NINO_WORDS = re.compile(r"national.?insurance|nin?o?(?![a-z])|\bni (?:no|number)", re.IGNORECASE)
_CANDIDATE = re.compile(
    r"\d(?:[ .\-/+]?\d){5}"
    r"|\d\d[A-Za-z]\d\d(?<=[A-Za-z]{6}\d\d[A-Za-z]\d\d)"
    r"|\d{4}[A-Za-z](?<=[A-Za-z]{5}\d{4}[A-Za-z])"
)
_PIECE = re.compile(r"[0-9A-Za-z]+")
_BEGIN = re.compile(rf"(?<!{LETTER})(?<![,$€£/-])(?<!\d\.)")
_END = re.compile(rf"(?!/|[-.,]\d){BEFORE_LETTER}")
_DATE = re.compile(r"(?:19|20)\d\d([-./])\d\d\1\d\d|\d\d([-./])\d\d\2(?:19|20)\d\d")
_GAPS = frozenset(" .-/+(")
_ONE_TO_ONE = {
    **dict.fromkeys(range(0x2010, 0x2014), "-"),
    **dict.fromkeys((0xA0, 0x2009, 0x202F), " "),
    0xFF0D: "-",
    **{first + digit: str(digit) for first in (0x660, 0x6F0, 0x966, 0xFF10) for digit in range(10)},
}
_WINDOW = 20
_REACH, _AFTER = 48, 24
_SHORTEST, _LONGEST, _MOST_PIECES = 6, 18, 8
_SHORT_WORD = 4
_LETTER_NEEDED = re.compile(r"[A-Z]")
_MAY_BE_DIGIT = re.compile(r"\[[^\]]*(?:\\d|0-9)[^\]]*\]|\[[^\]]*\]\?")


class _Check(NamedTuple):
    form: re.Pattern[str]
    layout: re.Pattern[str] | None
    words: frozenset[str]
    is_valid: Callable[[str, str], bool]
    is_checked: bool


_Checks = dict[tuple[int, bool], list[_Check]]


def national_ids() -> Callable[[str], Hits]:
    """
    Return the detector of identity numbers, of the countries in `NUMBERS` and of the United Kingdom.

    Raises:
        MissingDependencyError: without the extra `pii`.
    """
    try:
        checks = _checks()
    except ImportError as error:
        raise MissingDependencyError("python-stdnum", "pii") from error
    all_words = frozenset().union(*(c.words for of_size in checks.values() for c in of_size))

    def find(text: str) -> Hits:
        hits: Hits = []
        if not has_digits(text) and not has_lettered_number(text):
            return hits
        if not text.isascii():
            text = text.translate(_ONE_TO_ONE)
        for low, high in _windows(text):
            around = _plain(text[max(0, low - _REACH) : high + _AFTER])
            words = frozenset(word for word in all_words if word in around)
            hits += _found_in(checks, words, text, low, high)
            for hit in _NINO.finditer(text, low, high):
                before = text[max(0, hit.start() - _REACH) : hit.start()]
                is_certain = " " in hit[0] and _NINO_PREFIX.match(hit[0])
                if is_certain or _NINO_WORDS.search(before):
                    hits.append((*hit.span(), "national_id"))
        return hits

    return find


def _windows(text: str) -> list[tuple[int, int]]:
    """Where there may be a number: around each place with six digits or the like."""
    out: list[tuple[int, int]] = []
    for hit in _CANDIDATE.finditer(text):
        if out and hit.end() + _WINDOW <= out[-1][1]:
            continue
        low, high = max(0, hit.start() - _WINDOW), min(len(text), hit.end() + _WINDOW)
        while high < len(text) and text[high].isalnum():
            high += 1
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], high
        else:
            out.append((low, high))
    return out


def _found_in(
    checks: _Checks, words: frozenset[str], text: str, low: int, high: int
) -> Iterator[tuple[int, int, str]]:
    pieces = [hit.span() for hit in _PIECE.finditer(text, low, high)]
    possible: dict[tuple[int, bool], list[tuple[_Check, frozenset[str]]]] = {}
    done = low
    for index, (start, _) in enumerate(pieces):
        if start < done or not _BEGIN.match(text, start):
            continue
        for end, number in reversed(list(_numbers_from(text, pieces, index))):
            key = len(number), number.isdigit()
            if key not in possible:
                possible[key] = [
                    (check, check.words & words)
                    for check in checks.get(key, ())
                    if check.layout or not check.words.isdisjoint(words)
                ]
            if any(_is_number(*check, text, start, end, number) for check in possible[key]):
                yield start, end, "national_id"
                done = end
                break


def _numbers_from(
    text: str, pieces: list[tuple[int, int]], index: int
) -> Iterator[tuple[int, str]]:
    """What begins with a piece and goes on over single separators: where it ends, and its characters."""
    number, last = "", pieces[index][0]
    for start, end in pieces[index : index + _MOST_PIECES]:
        is_first = not number
        if not is_first and (start != last + 1 or text[last] not in _GAPS):
            return
        piece = text[start:end]
        if end - start > 1 and piece.isalpha() and not piece.isupper():
            return  # a word
        number += piece.upper()
        if len(number) > _LONGEST:
            return
        is_open = not is_first and text[last] == "("
        last = end
        stop = end + 1 if is_open and text[end : end + 1] == ")" else end
        if len(number) >= _SHORTEST and _END.match(text, stop):
            yield stop, number


def _is_number(
    check: _Check, words: frozenset[str], text: str, start: int, end: int, number: str
) -> bool:
    """Whether it is one, by one of the words that are there or by its layout, and its check digits."""
    if check.form.fullmatch(number) is None or _DATE.fullmatch(text, start, end):
        return False
    if check.layout is None or check.layout.fullmatch(text, start, end) is None:
        if not words:
            return False
        before = _plain(text[max(0, start - _REACH) : start])
        after = _plain(text[end : end + _AFTER]) if check.is_checked else ""
        if not any(_has_word(before, word) or _has_word(after, word) for word in words):
            return False
    return check.is_valid(number, text[start:end].upper())


def _has_word(plain: str, word: str) -> bool:
    """Whether it is there; a short one only as a word of its own."""
    at = plain.find(word)
    if at < 0 or len(word) > _SHORT_WORD or not word.isalpha() or word > "\u2fff":
        return at >= 0
    while at >= 0:
        end = at + len(word)
        if not plain[at - 1 : at].isalpha() and not plain[end : end + 1].isalpha():
            return True
        at = plain.find(word, end)
    return False


@lru_cache(64)
def _plain(text: str) -> str:
    """The words of a text, in small letters, without accents, hyphens and full stops."""
    text = _CAMEL.sub(" ", text).lower()
    if not text.isascii():
        text = unicodedata.normalize("NFD", text)
        text = unicodedata.normalize("NFC", _ACCENTS.sub("", text))
    return text.translate(_PLAIN)


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ACCENTS = re.compile("[\u0300-\u036f]")
_PLAIN = {ord("."): "", ord("/"): "", ord('"'): "", ord("״"): "", ord("_"): " ", ord("-"): " "}


def _checks() -> _Checks:
    out: _Checks = {}
    for number in NUMBERS:
        check = _check(number)
        for size in number.sizes:
            if not _LETTER_NEEDED.search(_MAY_BE_DIGIT.sub("", number.form)):
                out.setdefault((size, True), []).append(check)
            if _LETTER_NEEDED.search(number.form):
                out.setdefault((size, False), []).append(check)
    return out


def _check(number: Number) -> _Check:
    is_checked = "." in number.check or number.check in OWN_CHECKS
    words = f"{number.words}|{ANY_ID}" if is_checked else number.words
    return _Check(
        re.compile(number.form),
        re.compile(number.layout) if number.layout else None,
        frozenset(_plain(word) for word in words.split("|") if word),
        _validity(number.check),
        is_checked,
    )


def _validity(check: str) -> Callable[[str, str], bool]:
    """What says of the characters of a number, and of all that was written, whether it is valid."""
    if check in OWN_CHECKS:
        own = OWN_CHECKS[check]
        return lambda number, _: own(number)
    if "." not in check:
        return lambda number, written: True
    is_valid: Callable[[str], bool] = importlib.import_module(f"stdnum.{check}").is_valid
    return lambda number, written: is_valid(number) or is_valid(written)
