"""
Detectors of what people have: addresses of mail and of computers, cards, accounts, US SSNs.

Each one asks first, as cheaply as it can, whether there may be anything at all.
"""

from __future__ import annotations

import ipaddress
import re

from typing import Any

from ._edges import BEFORE_LETTER, LETTER, UNSPACED, first
from ._gates import has_digits, has_dotted_digits


__all__ = ["find_cards", "find_emails", "find_ibans", "find_ips", "find_ssns"]

Hits = list[tuple[int, int, str]]

_AT = re.compile(r"[@＠%&\\](?:(?<=[@＠])|(?<=%)40|(?<=&)#64;|(?<=\\)u0040)")
_LOCAL = re.compile(
    rf"""
    (?: (?<![\w.%+'-]) "[^"\s@][^"@\n]{{0,62}}"
      | (?<!{LETTER})(?<![.%+'-]) (?:{LETTER}|[.%+'-]){{1,64}}
      | (?<![{UNSPACED}]) [{UNSPACED}]{{1,32}} ) \Z
    """,
    re.VERBOSE,
)
_DOMAIN = re.compile(
    r"""
    (?: (?: [^\W_](?:[\w-]{0,61}[^\W_])? \. ){1,8}
        (?: xn--[a-zA-Z0-9-]{2,59} | [A-Za-z]{2,24}(?![A-Za-z0-9_]) | [^\W\d_]{2,24} )
      | \[ (?:[0-9]{1,3}\.){3}[0-9]{1,3} \] )
    (?! [@＠] )
    """,
    re.VERBOSE,
)
_DOT = r"dot|DOT|punkt|PUNKT|Punkt|point|POINT|punto|PUNTO|ponto|PONTO|punt|piste|kropka|tečka|точка|nokta"
_DOT_WORDS = (" dot ", " DOT ", " punkt ", " point ", " punto ", " ponto ", " kropka ", " точка ")
_SPELLED_AT = re.compile(
    r"[(\[{<] ?(?:at|AT|ät|ÄT|@|arobase|AROBASE|arroba|ARROBA|chiocciola|CHIOCCIOLA|apenstaartje|małpa"
    r"|zavináč|собака|kukac|snabel-?a|alfakrøll|klammeraffe|Klammeraffe) ?[)\]}>] ?"
)
_SPELLED_LOCAL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64} ?\Z")
_SPELLED_DOMAIN = re.compile(
    rf"(?:[\w-]{{1,63}}(?: ?[(\[{{<] ?(?:{_DOT}|\.) ?[)\]}}>] ?|\.| (?:dot|DOT) )){{1,4}}[A-Za-z]{{2,24}}\b"
)
_SAID_AT = re.compile(r" (?:at|AT|arroba|arobase|chiocciola|собака|małpa) ")
_SAID_LOCAL = re.compile(
    rf"(?<![\w.+-])[\w+-]{{1,32}}(?:(?: (?:{_DOT}) |\.)[\w+-]{{1,32}}){{0,3}}\Z"
)
_SAID_DOMAINS = tuple(
    re.compile(rf"(?:[\w-]{{1,63}}(?: (?:{dots}) )){{1,4}}[A-Za-z]{{2,24}}\b")
    for dots in ("dot|DOT|punkt|kropka|точка", _DOT)  # "at this point in time" is no address
)
_IN_URL = re.compile(r"://[^\s/]*$")  # what stands before the host there is a user or a password
_NO_TLD = re.compile(
    r".*\.(?:service|socket|timer|target|mount|scope|slice|device|swap|png|jpe?g|gif|svg|webp|ico|[jt]sx?"
    r"|mjs|s?css|html|json|rb|go|kt|java|txt|ya?ml|toml|lock|whl|t?gz|dll|exe)",
    re.IGNORECASE,
)


def find_emails(text: str) -> Hits:
    """Find addresses of mail, international, percent-encoded and spelled out ones too."""
    hits = []
    if "@" in text or "%" in text or "＠" in text or "&" in text or "\\" in text:
        for sign in _AT.finditer(text):
            domain = _DOMAIN.match(text, sign.end())
            if domain is not None:
                hits += _address_around(text, sign.start(), domain)
    if "(" in text or "[" in text or "{" in text or "<" in text:
        for sign in _SPELLED_AT.finditer(text):
            local = _SPELLED_LOCAL.search(text, max(0, sign.start() - 66), sign.start())
            domain = _SPELLED_DOMAIN.match(text, sign.end())
            if local is not None and domain is not None:
                hits.append((local.start(), domain.end(), "email"))
    if any(word in text for word in _DOT_WORDS):
        for sign in _SAID_AT.finditer(text):
            local = _SAID_LOCAL.search(text, max(0, sign.start() - 80), sign.start())
            domain = _SAID_DOMAINS[sign[0] not in (" at ", " AT ")].match(text, sign.end())
            if local is not None and domain is not None:
                hits.append((local.start(), domain.end(), "email"))
    return hits


def _address_around(text: str, at: int, domain: re.Match[str]) -> Hits:
    """The address whose sign stands here, unless it is none."""
    local = _LOCAL.search(text, max(0, at - 66), at)
    if local is None or _NO_TLD.fullmatch(domain[0]):
        return []
    is_number = local[0].lstrip("+").isdigit() and text.endswith(
        ("sip:", "sips:"), 0, local.start()
    )
    if (
        local[0] == "git"
        or is_number
        or _IN_URL.search(text, max(0, local.start() - 99), local.start())
    ):
        return []
    return [(local.start(), domain.end(), "email")]


_CARD = re.compile(
    first(r"\d", ".,+$€£-") + rf"(?:[ \-\u00a0\u202f.]?\d){{11,18}}(?![-.,]?\d){BEFORE_LETTER}"
)


def find_cards(text: str) -> Hits:
    """Find numbers of payment cards: by issuer, length, grouping and Luhn's check digit."""
    if not has_digits(text):
        return []
    return [(*hit.span(), "credit_card") for hit in _CARD.finditer(text) if _is_card(hit[0])]


def _is_card(found: str) -> bool:
    digits = "".join(str(int(c)) for c in found if c.isdigit())
    if found == digits and len(digits) == _EAN and _is_ean(digits):
        return False  # of goods; cards of thirteen digits have not been issued for twenty years
    marks = {c for c in found if not c.isdigit()}
    if len(marks) > 1 or len(set(digits)) < 2:
        return False
    if marks and any(len(group) not in (3, 4, 5, 6, 7) for group in re.split(r"\D", found)[:-1]):
        return False
    return _is_issued(digits) and is_luhn(digits)


_EAN = 13


def _is_ean(digits: str) -> bool:
    return sum(int(c) * (3 if index % 2 else 1) for index, c in enumerate(digits)) % 10 == 0


def _is_issued(digits: str) -> bool:
    size, two, four, six = len(digits), int(digits[:2]), int(digits[:4]), int(digits[:6])
    if digits[0] == "4":  # Visa
        return size in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:  # Mastercard
        return size == 16
    if two in (34, 37):  # American Express
        return size == 15
    if two in (36, 38, 39) or 3000 <= four <= 3059 or four == 3095:  # Diners Club
        return size in (14, 16, 19)
    if two == 62 or two == 81:  # UnionPay
        return size in (16, 17, 18, 19)
    if four == 6011 or 6440 <= four <= 6599 or two == 60:  # Discover, RuPay
        return size in (16, 19)
    if 3528 <= four <= 3589:  # JCB
        return size in (16, 17, 18, 19)
    if 2200 <= four <= 2204:  # Mir
        return size in (16, 17, 18, 19)
    if four == 9792:  # Troy
        return size == 16
    if two in (50, 56, 57, 58, 67) or four == 6304:  # Maestro, Dankort, Elo
        return size in (16, 18, 19)
    return six in (627780, 636297, 636368) and size == 16  # Elo


def is_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit that Luhn's formula gives."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + index % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


_IBAN_LENGTHS = {
    country: int(size)
    for size, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FK FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH CR HR LI LV",
        "22": "BG BH DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}
_IBAN_START = re.compile(
    r"[0-9](?:(?<=[A-Za-z]{2}[0-9])|(?<=[A-Za-z]{2}[ -][0-9]))[0-9](?=[ \-\u00a0\u202f]?[A-Za-z0-9])"
)
_IBAN_GAPS = " -\u00a0\u202f"


def find_ibans(text: str) -> Hits:
    """Find IBANs, with or without gaps: by country, length and check digits."""
    hits: Hits = []
    if not has_digits(text):
        return hits
    for digits in _IBAN_START.finditer(text):
        start = digits.start() - (2 if text[digits.start() - 1].isalpha() else 3)
        size = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        if size is None or (start and text[start - 1].isascii() and text[start - 1].isalnum()):
            continue
        end = _iban_end(text, start, size)
        if end is not None:
            hits.append((start, end, "iban"))
    return hits


def _iban_end(text: str, at: int, size: int) -> int | None:
    """Where an IBAN that begins here ends."""
    kept = []
    for end in range(at, min(len(text), at + 2 * size)):
        char = text[end]
        if char.isascii() and char.isalnum():
            kept.append(char)
            if len(kept) == size:
                after = text[end + 1 : end + 2]
                is_whole = not (after.isascii() and after.isalnum())
                return end + 1 if is_whole and _is_mod_97("".join(kept)) else None
        elif char not in _IBAN_GAPS:
            return None
    return None


def _is_mod_97(iban: str) -> bool:
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


_SSN = re.compile(
    first("[0-8]", ".$-")
    + rf"[0-9]{{2}}([- \u2010\u2011\u2013])[0-9]{{2}}\1[0-9]{{4}}(?!-){BEFORE_LETTER}"
)
_BARE_SSN = re.compile(first("[0-8]", ".-") + rf"[0-9]{{8}}(?!-){BEFORE_LETTER}")
_SSN_WORDS = re.compile(r"\bssn\b|social.security|soc\.? ?sec", re.IGNORECASE)
_GOODS = re.compile(
    r"(?:part|order|sku|serial|model|invoice|ticket|case|ref)\w*\W{0,3}(?:no|number|nr|id)?\W{0,3}\Z",
    re.IGNORECASE,
)
_NO_SSNS = frozenset(("078051120", "219099999"))  # printed in advertisements


def find_ssns(text: str) -> Hits:
    """Find US social security numbers; without hyphens only where a word says so."""
    if not has_digits(text):
        return []
    hits = [
        (*hit.span(), "us_ssn")
        for hit in _SSN.finditer(text)
        if _is_ssn(hit[0]) and not _GOODS.search(text, max(0, hit.start() - 24), hit.start())
    ]
    for hit in _BARE_SSN.finditer(text):
        says_so = _SSN_WORDS.search(text, max(0, hit.start() - 40), hit.start())
        if says_so and _is_ssn(hit[0]):
            hits.append((*hit.span(), "us_ssn"))
    return hits


def _is_ssn(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    if digits.startswith(("000", "666")) or digits[3:5] == "00" or digits[5:] == "0000":
        return False
    return digits not in _NO_SSNS


_IPV4 = re.compile(
    first("[0-9]", ".-") + rf"[0-9]{{0,2}}(?:\.[0-9]{{1,3}}){{3}}(?!-|\.[0-9]){BEFORE_LETTER}"
)
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(
    rf"(?<!{LETTER})(?<![:.])(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}"
    rf"(?:(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}|[0-9A-Fa-f]{{0,4}})(?!:){BEFORE_LETTER}"
)
_OIDS = ("0.", "1.2.840.", "1.3.6.", "2.5.4.", "2.5.29.", "255.255.")
_VERSION = re.compile(
    r"(?:version|release|build)[ :=.\"']{0,3}$|(?:(?:up(?:date|grade)s?|v8)(?: to)?|v|ver|rev|==|>=|<=|~=|\^|chrome|firefox|safari|python|windows|android|ios|linux|kernel|node|java|nginx|postgres\w*|mysql|[A-Za-z]/)[ :=.]{0,3}$",
    re.I,
)
_SECTION = re.compile(
    r"(?:sections?|sect?\.|chapter|clause|table|tab\.|figure|fig\.|part|item|annex|appendix|article|art\."
    r"|paragraph|para|step|heading|note|rule|exercise|example|equation|theorem|lemma|§+|¶|kapitel|abschnitt"
    r"|tabelle|abbildung|abb\.|anhang|artikel|absatz|ziffer|punkt|nr\.|tableau|annexe|chapitre|sezione"
    r"|tabella|cap\.|capitolo|capítulo|sección|tabla|tabela|figura|secção|seção|hoofdstuk|bijlage|rozdział"
    r"|раздел|глава|таблица|рис\.|пункт|п\.|節|章|表|図|图|第)[ :]{0,2}$",
    re.I,
)


def find_ips(text: str) -> Hits:
    """Find IP addresses that may be somebody's: neither loopback nor unspecified ones."""
    hits = []
    if has_dotted_digits(text):
        for hit in _IPV4.finditer(text):
            before = text[max(0, hit.start() - 12) : hit.start()]
            is_net = hit[0].endswith(".0.0") and text[hit.end() : hit.end() + 1] != "/"
            if is_net or _is_network(text, hit) or not _is_address(hit[0]):
                continue
            has_port = _PORT.match(text, hit.end()) is not None
            if (has_port or not _VERSION.search(before)) and not _SECTION.search(before):
                hits.append((*hit.span(), "ip_address"))
    if _COLONS.search(text) is not None:
        for hit in _IPV6.finditer(text):
            if any(c.isdigit() for c in hit[0]) and len(hit[0]) > 5 and _is_address(hit[0]):
                hits.append((*hit.span(), "ip_address"))
    return hits


_PORT = re.compile(r":\d{4,5}(?!\d)")
_NETWORK = re.compile(r"cidr|subn|network|netz|vpc|réseau|rete\b|\bred\b", re.IGNORECASE)
_MASK = re.compile(r"/(\d\d?)(?!\d)")


def _is_network(text: str, hit: re.Match[str]) -> bool:
    """Whether it is said to be a network, and a mask follows that leaves nothing of it but zeros."""
    mask = _MASK.match(text, hit.end())
    if mask is None or not _NETWORK.search(text, max(0, hit.start() - 64), hit.start()):
        return False
    try:
        ipaddress.ip_network(hit[0] + mask[0])
    except ValueError:
        return False
    return int(mask[1]) < _WHOLE


_WHOLE = 32


def _is_address(found: str) -> bool:
    try:
        address: Any = ipaddress.ip_address(found)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    return not found.startswith(_OIDS)
