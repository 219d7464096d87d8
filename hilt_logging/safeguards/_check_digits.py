"""
Check digits of identity numbers that python-stdnum does not know.

Each function is told a number of the right form, without separators and in capitals.
"""

from __future__ import annotations

import importlib

from collections.abc import Callable, Iterable

from ._personal import is_luhn


__all__ = ["OWN_CHECKS"]


def _weighted(number: Iterable[str], weights: Iterable[int]) -> int:
    return sum(int(char, 36) * weight for char, weight in zip(number, weights, strict=False))


def _de_insurance(number: str) -> bool:
    digits = f"{number[:8]}{ord(number[8]) - 64:02}{number[9:]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    products = (int(c) * w for c, w in zip(digits, weights, strict=False))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(number[-1])


def _hk(number: str) -> bool:
    first = 36 * 9 if len(number) == 8 else int(number[0], 36) * 9
    rest = number[-8:]
    check = 10 if rest[-1] == "A" else int(rest[-1])
    return (first + _weighted(rest[:-1], (8, 7, 6, 5, 4, 3, 2)) + check) % 11 == 0


def _hu_health(number: str) -> bool:
    return _weighted(number, (3, 7) * 4) % 10 == int(number[-1])


def _hu_tax(number: str) -> bool:
    return _weighted(number, range(1, 10)) % 11 == int(number[-1])


def _ir(number: str) -> bool:
    rest = _weighted(number, range(10, 1, -1)) % 11
    return int(number[-1]) == (rest if rest < 2 else 11 - rest)


def _kw(number: str) -> bool:
    rest = 11 - _weighted(number, (2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11
    return rest == int(number[-1])


def _kz(number: str) -> bool:
    rest = _weighted(number, range(1, 12)) % 11
    if rest == 10:
        rest = _weighted(number, (*range(3, 12), 1, 2)) % 11
    return rest == int(number[-1])


def _lu(number: str) -> bool:
    is_valid = importlib.import_module("stdnum.verhoeff").is_valid
    return is_luhn(number[:12]) and bool(is_valid(number[:11] + number[12]))


def _lv(number: str) -> bool:
    if number[:2] in ("32", "33", "34", "35", "36", "37", "38", "39"):
        return True  # since 2017 they have neither a date nor a check digit
    rest = (1101 - _weighted(number, (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11 % 10
    return rest == int(number[-1])


def _medicare(number: str) -> bool:
    return _weighted(number, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(number[8])


def _md(number: str) -> bool:
    return _weighted(number, (7, 3, 1) * 4) % 10 == int(number[-1])


def _sg(number: str) -> bool:
    start = {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    rest = (start + _weighted(number[1:8], (2, 7, 6, 5, 4, 3, 2))) % 11
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}
    return letters.get(number[0], "XWUTRQPNMLK")[rest] == number[8]


def _snils(number: str) -> bool:
    return _weighted(number, range(9, 0, -1)) % 101 % 100 == int(number[9:])


def _tw(number: str) -> bool:
    region = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    total = region // 10 + region % 10 * 9
    return (total + _weighted(number[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def _uy(number: str) -> bool:
    return -_weighted(number, (2, 9, 8, 7, 6, 3, 4)) % 10 == int(number[-1])


OWN_CHECKS: dict[str, Callable[[str], bool]] = {
    "au.medicare": _medicare,
    "de.insurance": _de_insurance,
    "hk": _hk,
    "hu.health": _hu_health,
    "hu.tax": _hu_tax,
    "ir": _ir,
    "kw": _kw,
    "kz": _kz,
    "lu": _lu,
    "lv": _lv,
    "md": _md,
    "ru.snils": _snils,
    "sa": is_luhn,
    "sg": _sg,
    "tw": _tw,
    "uy": _uy,
}
"""The checks by country, and by name where a country has several numbers."""
