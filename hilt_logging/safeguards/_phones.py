"""
The detector of telephone numbers, by what the package phonenumbers knows of each country.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterable, Iterator

from ..errors import ConfigurationError, MissingDependencyError
from ._edges import BEFORE_LETTER, first
from ._gates import has_digits


__all__ = ["phones"]

Hits = list[tuple[int, int, str]]

_CANDIDATE = re.compile(
    first(r"\d", ".,$€£-") + rf"(?:[ \t\u00a0\u202f()./\-\u2010-\u2015－]{{0,3}}\d){{6,17}}"
    rf"(?!/\w|[-.,]\d){BEFORE_LETTER}"
)
_WORDS = re.compile(
    r"phone|\btel|mobil|handy|\bcell|\bcall|\bfax|whatsapp|\bsms|text me|reach me|ring me|rufnummer"
    r"|rückruf|anruf|telefon|teléfono|móvil|celular|llám|portable|appel|chiam|numero di|ligue|contato"
    r"|bel me|bellen|zadzwoń|тел|\bm(?:y|eine?|on|i|inha?|eu|ijn|io|ój|itt) n[uú]m|мой номер|我的号码|私の番号|звон|电话|手机|致电|電話|携帯|전화|휴대|फ़ोन|फोन|मोबाइल|هاتف|جوال"
    r"|اتصل|ara(?:yın|manız)|ring ",
    re.IGNORECASE,
)
_NO_PHONE = re.compile(
    r"order|\bpart\b|model|invoice|ticket|\bcase|\bref|serial|\bsku|\bisbn|\bean\b|tracking|account|\bid\b|\bids\b|rechnung"
    r"|bestell|pedido|commande|заказ|订单|注文|주문|version|\bissue|\bpid\b|port|\bline|bytes|epoch|timestamp",
    re.IGNORECASE,
)
_NO_NUMBER = re.compile(
    r"(?:19|20)\d\d\W(?:19|20)\d\d$|\d{5}-\d{4}$|(?:19|20)\d\d([-./ ])[0-3]?\d\1[0-3]?\d(?:\D|$)|[0-3]?\d([-./ ])[0-3]?\d\2(?:19|20)\d\d(?:\D|$)"
)
_RANGE = re.compile(r"\d{4} ?[-–] ?\d{4}")
_REACH = 32


def phones(regions: Iterable[str] = ()) -> Callable[[str], Hits]:
    """
    Return the detector of telephone numbers.

    Args:
        regions: Countries, as "US", whose numbers are found without their country code, too.

    Raises:
        MissingDependencyError: without the extra `pii`.
        ConfigurationError: for a region that does not exist.
    """
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingDependencyError("phonenumbers", "pii") from error
    known = phonenumbers.SUPPORTED_REGIONS
    wanted = list(regions)
    for region in wanted:
        if region not in known:
            raise ConfigurationError(
                "phone_regions", region, 'Must be country codes of two capital letters, as ["US"]'
            )

    def is_number(found: str, region: str | None, says_so: bool) -> bool:
        try:
            number = phonenumbers.parse(found, region)
        except phonenumbers.NumberParseException:
            return False
        if says_so:  # ranges are assigned anew all the time
            return phonenumbers.is_possible_number(number)
        return phonenumbers.is_valid_number(number)

    def find(text: str) -> Hits:
        if not has_digits(text):
            return []
        return [
            (start, end, "phone")
            for start, end in _candidates(text)
            if _is_phone(text, start, end, wanted, is_number)
        ]

    return find


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    for hit in _CANDIDATE.finditer(text):
        start, end = hit.span()
        if text[start - 1 : start] == "(" and ")" in hit[0]:
            start -= 1
        if text[start - 1 : start] in ("+", "＋"):
            start -= 1
        yield start, end


def _is_phone(
    text: str,
    start: int,
    end: int,
    regions: list[str],
    is_number: Callable[[str, str | None, bool], bool],
) -> bool:
    found = text[start:end]
    bare = found.lstrip("(")
    if bare.startswith(("+", "＋")):
        return is_number(bare, None, True)
    if _NO_NUMBER.match(bare):
        return False
    before = text[max(0, start - _REACH) : start]
    says_so = _WORDS.search(before) is not None
    if bare.startswith("00") and len(bare) > 10 and is_number(f"+{bare[2:]}", None, says_so):
        return True
    is_grouped = _is_grouped(bare)
    if not says_so and (not is_grouped or _NO_PHONE.search(before)):
        return False
    return any(is_number(bare, region, says_so and is_grouped) for region in regions)


def _is_grouped(found: str) -> bool:
    """Whether digits stand in groups as those of a telephone number do."""
    if _RANGE.fullmatch(found):
        return False
    _, *rest = re.split(r"\D+", found.strip("()"))
    if not rest or any(len(group) < 2 for group in rest):
        return False
    if re.sub(r"\d", "", found).strip(".") == "":  # it may be a version, an address, a number
        return len(rest) >= 2 and len(rest) != 3
    return True
