"""
Passwords where a command, a protocol or a file has its place for them, without a word that says so.

Each pattern is asked only where a few letters that all such texts have are there.
"""

from __future__ import annotations

import re

from typing import NamedTuple

from ._strength import PLAIN, strength
from ._words import places


__all__ = ["in_settings"]

Spans = list[tuple[int, int]]


class _Place(NamedTuple):
    """
    Where a password may stand.

    Attributes:
        part: a piece of text that stands there.
        pattern: what stands there; its last group is the password.
        is_strong: whether it is one only if it looks like one.
    """

    part: str
    pattern: re.Pattern[str]
    is_strong: bool = True


_VALUE = r"([^\s\"'<>|]{3,128})"
_LOGIN = re.compile(
    r"(?:[Ll]og_?[Ii]n|[Ss]ign_?[Ii]n|[Aa]uth\w{0,12}|[Cc]redentials?)\s?=?\s?\(\s{0,8}"
    r"[\"'][^\"'\n]{0,128}[\"'],\s{0,8}[\"']([^\"'\n\s]{4,128})[\"']"
)
_CONNECT = re.compile(
    r"(?:[Cc]onnect\w{0,12}|PDO)\s?\(\s{0,8}"
    r"(?:[\"'][^\"'\n]{0,200}[\"'],\s{0,8}){2}[\"']([^\"'\n\s]{4,128})[\"']"
)
_CALLS = (
    _Place("ogin", _LOGIN),
    _Place("ogIn", _LOGIN),
    _Place("uth", _LOGIN),
    _Place("ign", _LOGIN),
    _Place("redential", _LOGIN),
    _Place("onnect", _CONNECT),
    _Place("PDO(", _CONNECT),
)
_WITH_SIGN = {  # by a sign that they have, as one character is found twenty times as fast as two
    "@": (
        _Place("@tcp(", re.compile(r":([^\s\"'@:/]{3,128})@tcp\("), False),
        _Place("@unix(", re.compile(r":([^\s\"'@:/]{3,128})@unix\("), False),
        _Place("oracle:", re.compile(r"oracle:\w{3,4}:[\w.$#]{1,64}/([^\s@/\"']{3,128})@"), False),
        _Place(
            "]:", re.compile(r"\]:\d{2,5}[ \t]{1,8}[^\s:]{1,128}:(\S{3,128})\s*(?:\n|$)"), False
        ),
    ),
    "/": (
        _Place(
            "sqlplus ",
            re.compile(r"\bsqlplus (?:-\w{1,8} ){0,3}[\w.$#]{1,64}/([^\s@/\"']{3,128})"),
            False,
        ),
        _Place(
            "net use",
            re.compile(rf"\bnet use \S[^\n]{{0,160}}?/user:\S{{1,64}} (?!/){_VALUE}", re.I),
            False,
        ),
        _Place("net use", re.compile(rf"\bnet use [^\n/]{{1,160}}? {_VALUE} /user:", re.I)),
        _Place("net use", re.compile(rf"\bnet user [^\s/]{{1,64}} {_VALUE}(?= /)", re.I), False),
    ),
    "|": (
        _Place(
            "echo ",
            re.compile(
                r"\becho (?:-n )?[\"']?([^\s\"'|$][^\"'|\n]{3,127}?)[\"']?\s?\|\s?[^\n|]{0,80}?"
                r"(?:--password-stdin|--passphrase-fd|sudo -S|passwd --stdin|cryptsetup )"
            ),
        ),
        _Place(
            "chpasswd",
            re.compile(
                r"\becho (?:-\w )?[\"']?[\w.-]{1,64}:([^\s\"'|$]{3,128})[\"']?\s?\|[^\n|]{0,16}chpasswd"
            ),
            False,
        ),
    ),
    ";": (
        _Place("WIFI:", re.compile(r"WIFI:[^\n]{0,120}?;P:((?:[^\\;\n\"]|\\.){4,128});"), False),
        _Place("PWD=", re.compile(r"PWD=([^\s;\"'$<{%][^;\"'\n]{2,127});"), False),
        _Place("wd=", re.compile(r"[Pp]wd=([^\s;\"'$<{%][^;\"'\n]{2,127});"), False),
    ),
    "=": (
        _Place(
            "psk",
            re.compile(r"\bpsk\s?=\s?(?:\"([^\"\n]{8,63})\"|([^\s\"$<{\[]{8,64})\s*(?:\n|$))"),
            False,
        ),
    ),
    '"': (
        _Place(
            "assword:",
            re.compile(
                r"assword:?[^\n]{0,8}\n?\s{0,8}\{?\s{0,4}send (?:-- )?[\"']([^\"'\n\\]{3,128})"
            ),
            False,
        ),
    ),
    "'": (_Place("option key ", re.compile(r"\boption key '([^'\n]{8,63})'"), False),),
    "-": (
        _Place(
            "lftp ",
            re.compile(r"\blftp [^\n]{0,80}?-u [\"']?[^\s,\"']{1,64},([^\s\"']{3,128})"),
            False,
        ),
        _Place(
            "SecureString",
            re.compile(r"ConvertTo-SecureString[^\n\"'|;]{0,60}[\"']([^\"'\n$]{3,128})[\"']"),
            False,
        ),
    ),
    "*": (
        _Place(
            ":*:",
            re.compile(
                r"(?:^|\n)[\w.*-]{1,128}:(?:\d{4,5}|\*):[\w*-]{1,64}:[\w*.-]{1,64}:([^\s]{3,128})(?=\s|$)"
            ),
            False,
        ),
    ),
}
_WITH_PASS = (
    _Place(
        "chpasswd:",
        re.compile(
            r"\bchpasswd:[^|\n]{0,32}\n[^|\n]{0,64}\|\s{1,16}[\w.-]{1,64}:([^\s\"'$]{3,128})"
        ),
        False,
    ),
    _Place(
        "<auth-user-pass>",
        re.compile(r"<auth-user-pass>\s{1,4}\S{1,128}\s{1,4}([^\s<]{1,128})\s{0,4}</auth"),
        False,
    ),
    _Place("PASS ", re.compile(r"\bUSER [^\n]{1,80}\n[^\n]{0,24}?\bPASS (\S{3,128})")),
    _Place(
        "htpasswd -",
        re.compile(rf"\bhtpasswd (?:-\w{{1,8}} ){{1,3}}(?:\S{{1,128}} ){{1,2}}{_VALUE}"),
    ),
    _Place("assword=", re.compile(r"[Pp]assword=([^\s;\"'$<{%][^;\"'\n]{2,127});"), False),
)
_WITH_SECRET = (_Place("secret ", re.compile(r"\bsecret [05789] ([^\s\"']{4,128})")),)
_OF_POSTGRES = re.compile(
    r":(?:543\d|6432):[\w*-]{1,64}:[\w*.-]{1,64}:([^\s:/@][^\s/@]{2,127})(?=\s|$)"
)
_MAIL_AND_MORE = re.compile(
    r"@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}:([^\s:/\"'<>,;]{6,64})(?![^\s\"',;)])"
)
_AFTER_COLON = re.compile(r":[ \t]{1,3}[\w.@+-]{2,64}(?:[ ]?/[ ]?|:)([^\s,;\"'/]{6,64})")
_ACCESS = re.compile(
    r"(?:\bcreds?|credentials?|\blog-?ins?|zugang(?:sdaten)?|accès|accesos?|identifiants?|anmeldung|anmeldedaten"
    r"|inlog|accesso|credenziali|credenciales)\b[^:\n]{0,48}\Z"
)
_PIN = re.compile(
    r"(?:[ -]?(?:code|number|nummer))?"
    r"(?P<sign>[ ]?[:=]|[ ](?:is|ist|lautet|est|es|è|é|jest|je|on|var|was|war)(?=[ ]))?[ ]{0,2}(?P<pin>\d{4,8})(?![\w]|[.,/-]\d)"
)
_CARDS = re.compile(
    r"(?:card|bank|sim|karten?|ec|atm|kredit|debit|visa|app|carte|tarjeta|cartão|banking|handy|phone|tablet|alarm|door|haustür)[ _-]?\Z"
)
_LOCKS = ("alarm", "door", "gate", "lock", "keypad", "garage")
_FOUR = 4


def in_settings(text: str, small: str, has_pass: bool) -> Spans:
    """
    What stands in the places for passwords of commands, protocols and files.

    Args:
        text: What is searched.
        small: The same in small letters.
        has_pass: Whether "pass" is in it.
    """
    out: Spans = []
    if "(" in text and ('("' in text or "('" in text):
        out += _in_places(text, _CALLS)
    for sign, some in _WITH_SIGN.items():
        if sign in text:
            out += _in_places(text, some)
    if has_pass:
        out += _in_places(text, _WITH_PASS)
    if "secret" in small:
        out += _in_places(text, _WITH_SECRET)
    if "@" in text:
        out += [hit.span(1) for hit in _MAIL_AND_MORE.finditer(text) if strength(hit[1]) != PLAIN]
    if ":" in text:
        out += [hit.span(1) for hit in _OF_POSTGRES.finditer(text)]
        for hit in _AFTER_COLON.finditer(text):
            if strength(hit[1]) != PLAIN and _ACCESS.search(
                small, max(0, hit.start() - 64), hit.start()
            ):
                out.append(hit.span(1))
    return out + _pins(small)


def _in_places(text: str, some: tuple[_Place, ...]) -> Spans:
    return [
        hit.span(hit.lastindex or 0)
        for part, pattern, is_strong in some
        if part in text
        for hit in pattern.finditer(text)
        if not is_strong or strength(hit[hit.lastindex or 0]) != PLAIN
    ]


def _pins(small: str) -> Spans:
    """Numbers of cards, telephones and doors that open them."""
    out: Spans = []
    for word in ("pin", "code"):
        if word not in small:
            continue
        for at in places(small, word):
            hit = _PIN.match(small, at + len(word))
            if hit is None:
                continue
            before = small[max(0, at - 12) : at]
            if word == "code":
                is_pin = before.rstrip(" _-").endswith(_LOCKS)
            else:
                is_word = not before[-1:].isalnum()
                is_pin = is_word and (
                    _CARDS.search(before) is not None
                    or (hit["sign"] is not None and len(hit["pin"]) == _FOUR)
                )
            if is_pin:
                out.append(hit.span("pin"))
    return out
