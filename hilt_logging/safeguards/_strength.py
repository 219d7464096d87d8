"""
Whether a word looks like a password: like none of a language, of a program or of a standard.
"""

from __future__ import annotations

import re


__all__ = ["PLAIN", "STRANGE", "UNLIKE", "is_mixed_case", "strength"]

PLAIN, UNLIKE, STRANGE = 0, 1, 2
"""May be any word; letters and digits as in few words; with signs among them, as in no word."""

_SIGNS = re.compile(r"[!#$%&*+=?@^~](?=.)|(?<=[\w-])[!#$*+?^~]+$")
_OF_STANDARDS = re.compile(
    r"""
      (?-i:(?:[a-z]+|[A-Z0-9]+)[-_.])?
      (?:sha|md|aes|des|rsa|base|p?bkdf|kdf|argon|bcrypt|scrypt|o?auth|utf|iso|rfc|https?|tls|ssl|ssh|wpa
      |ipv|win|windows|version|ver|v|cve|ids?|no|nr|rev|iphone|android|office|page|step|line|user|benutzer
      |host|server|node|client|pass(?:word|wd|wort)?|pwd|test|table|column|col|field|feld|section|chapter
      |part|level|type|vlan|port|room|round|phase|q|fy|h|ntlm|k|ed|x|secp|curve|crc|hmac|oracle|sql|db
      |web|app|ec|s|log|issue|ticket|pr|bug|jira|task|item|key|kb|fritz!?box|router|pc|laptop)
      [-_. ]?v?\d[\d._-]*(?:[a-z]{1,3}(?:[-_.]\w{1,4})*)?
    | \d[\d.,:;+-]*[-_]?[a-z%°]+        # 256-bit, 90days
    | \d[\d.,:;+-]*
    | [\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,190}
    | [\w.-]{1,64}\??[\w-]{0,64}=.*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_OF_PROGRAMS = re.compile(
    r"""
      (?:[a-z][a-z0-9]*_)+[a-z0-9]+ | (?:[A-Z][A-Z0-9]*_)+[A-Z0-9]+
    | [A-Z]{2,8}[-_]?\d[\d.-]*          # a ticket, a code
    | [\w-]{1,64}(?:\.[\w-]{1,64}){0,6}\.[a-z]{1,5}\d?   # a file, a host
    | [@$%&<{\[#?~*=+-].*               # a variable, an anchor, an option
    """,
    re.VERBOSE,
)
_LEAST, _LEAST_MIXED, _LONGEST = 8, 6, 64
_ELSEWHERE = re.compile(r"[/\\:()\[\]<>\"',;|\u2000-\u9fff\uac00-\ud7af\uff00-\uffef]")


def strength(word: str) -> int:
    """Return how much a word looks like a password: `PLAIN`, `UNLIKE` or `STRANGE`."""
    if not _LEAST_MIXED <= len(word) <= _LONGEST or _ELSEWHERE.search(word):
        return PLAIN
    if not any(c.isdigit() for c in word) or sum(c.isalpha() for c in word) < 2:
        return PLAIN
    if _OF_PROGRAMS.fullmatch(word) or _OF_STANDARDS.fullmatch(word):
        return PLAIN
    if _SIGNS.search(word):
        return STRANGE
    return UNLIKE if len(word) >= _LEAST or is_mixed_case(word) else PLAIN


def is_mixed_case(word: str) -> bool:
    """Return whether there are small and capital letters in it."""
    return word != word.lower() and word != word.upper()
