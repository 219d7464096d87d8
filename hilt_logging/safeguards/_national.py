"""
Detectors of national identity numbers, by the check digits that python-stdnum knows.

A form that many other numbers have counts only where a word before it says what it is.
"""

from __future__ import annotations

import importlib
import re

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..errors import MissingDependencyError
from ._edges import BEFORE_LETTER, LETTER
from ._gates import has_digits, has_lettered_number


__all__ = ["national_ids"]

Hits = list[tuple[int, int, str]]


class _Number(NamedTuple):
    module: str
    form: str
    words: str = ""


_NUMBERS = (
    _Number("es.dni", r"\d{2}\.?\d{3}\.?\d{3}[- ]?[A-Za-z]"),
    _Number("es.nie", r"[XYZxyz][- ]?\d{7}[- ]?[A-Za-z]"),
    _Number("it.codicefiscale", r"[A-Za-z]{6} ?\w{2}[A-Za-z]\w{2} ?[A-Za-z]\w{3}[A-Za-z]"),
    _Number("fr.nir", r"[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d"),
    _Number("be.nn", r"\d\d[. ]\d\d[. ]\d\d[- ]\d{3}[. ]\d\d"),
    _Number("be.nn", r"\d{11}", r"rijksregister|registre national|\bniss\b|\binsz\b|\brrn\b"),
    _Number("ch.ssn", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d"),
    _Number("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    _Number("br.cpf", r"\d{9}-?\d\d", r"\bcpf\b"),
    _Number("cn.ric", r"\d{17}[\dXx]"),
    _Number("kr.rrn", r"\d{6}-[1-8]\d{6}"),
    _Number("mx.curp", r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}\w\d"),
    _Number("se.personnummer", r"(?:19|20)?\d{6}[-+]\d{4}"),
    _Number("fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]"),
    _Number("cz.rc", r"\d{6}/\d{3,4}"),
    _Number("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]"),
    _Number("in_.aadhaar", r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}"),
    _Number("in_.aadhaar", r"[2-9]\d{11}", r"aadh?aar|uidai|आधार"),
    _Number("in_.pan", r"[A-Za-z]{5}\d{4}[A-Za-z]", r"\bpan\b|permanent account|पैन"),
    _Number("de.idnr", r"\d\d ?\d{3} ?\d{3} ?\d{3}", r"id-?nr|steuer|\btin\b|tax.?id"),
    _Number("nl.bsn", r"\d{4}\.?\d\d\.?\d{3}|\d{3} ?\d{3} ?\d{3}", r"\bbsn\b|burgerservice|sofi"),
    _Number("pl.pesel", r"\d{11}", r"pesel"),
    _Number("gb.nhs", r"\d{3}[- ]?\d{3}[- ]?\d{4}", r"\bnhs\b"),
    _Number("ca.sin", r"\d{3}[- ]?\d{3}[- ]?\d{3}", r"\bsin\b|social insurance|\bnas\b"),
    _Number("au.tfn", r"\d{3} ?\d{3} ?\d{2,3}", r"\btfn\b|tax file"),
    _Number("za.idnr", r"\d{13}", r"\bid\b|identity"),
    _Number("tr.tckimlik", r"[1-9]\d{10}", r"kimlik|\btckn\b|t\.?c\.? ?no"),
    _Number("jp.in_", r"\d{4}[- ]?\d{4}[- ]?\d{4}", r"マイナンバー|個人番号|my ?number"),
    _Number("no.fodselsnummer", r"\d{6} ?\d{5}", r"fødselsn|personnummer|fodselsn"),
    _Number("dk.cpr", r"\d{6}-?\d{4}", r"\bcpr\b|personnummer"),
    _Number("pt.cc", r"\d{8} ?\d ?[A-Z0-9]{2}\d", r"cidad[aã]o|\bcc\b"),
    _Number("ro.cnp", r"[1-9]\d{12}", r"\bcnp\b|cod numeric"),
    _Number("il.idnr", r"\d{7,8}-?\d", r"teudat|זהות|ת\.ז"),
    _Number("gr.amka", r"\d{11}", r"αμκα|amka"),
    _Number("at.vnr", r"\d{4} ?\d{6}", r"svnr|versicherungsn|sv-nummer"),
    _Number("bg.egn", r"\d{10}", r"егн|\begn\b"),
    _Number("hr.oib", r"\d{11}", r"\boib\b"),
    _Number("ee.ik", r"[1-6]\d{10}", r"isikukood"),
    _Number("ie.pps", r"\d{7}[A-Wa-w][ABWTXZabwtxz]?", r"\bpps"),
)
_NINO = re.compile(
    r"(?<![\w-])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-Z]{2}[ -]?\d\d[ -]?\d\d[ -]?\d\d[ -]?[A-D](?![\w-])"
)
_NINO_PREFIX = re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]")
_NINO_WORDS = re.compile(r"national insurance|\bnin?o?\b|\bni (?:no|number)", re.IGNORECASE)
_CANDIDATE = re.compile(
    r"\d(?:[ .\-/+]?\d){5}"
    r"|\d\d[A-Za-z]\d\d(?<=[A-Za-z]{6}\d\d[A-Za-z]\d\d)"
    r"|\d{4}[A-Za-z](?<=[A-Za-z]{5}\d{4}[A-Za-z])"
)
_WINDOW = 20
_REACH = 48


class _Check(NamedTuple):
    pattern: re.Pattern[str]
    words: re.Pattern[str] | None
    is_valid: Callable[[str], bool]


def national_ids() -> Callable[[str], Hits]:
    """
    Return the detector of identity numbers of some 35 countries.

    Raises:
        MissingDependencyError: without the extra `pii`.
    """
    try:
        checks = [_check(number) for number in _NUMBERS]
    except ImportError as error:
        raise MissingDependencyError("python-stdnum", "pii") from error

    def find(text: str) -> Hits:
        hits: Hits = []
        if not has_digits(text) and not has_lettered_number(text):
            return hits
        for low, high in _windows(text):
            for check in checks:
                hits += _found_by(check, text, low, high)
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
        if out and hit.end() <= out[-1][1]:
            continue
        low, high = max(0, hit.start() - _WINDOW), min(len(text), hit.end() + _WINDOW)
        while high < len(text) and text[high].isalnum():
            high += 1
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], high
        else:
            out.append((low, high))
    return out


def _found_by(check: _Check, text: str, low: int, high: int) -> Iterator[tuple[int, int, str]]:
    for hit in check.pattern.finditer(text, low, high):
        at = hit.start()
        words = check.words
        says_so = words is None or words.search(text, max(0, at - _REACH), at)
        if says_so and check.is_valid(hit[0]):
            yield (*hit.span(), "national_id")


def _check(number: _Number) -> _Check:
    return _Check(
        re.compile(rf"(?<!{LETTER})(?<![.,$€£/-])(?:{number.form})(?!/|[-.,]\d){BEFORE_LETTER}"),
        re.compile(number.words, re.IGNORECASE) if number.words else None,
        importlib.import_module(f"stdnum.{number.module}").is_valid,
    )
