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
    rf"(?!/\w|[-.]\d|,\d(?<!\+\d{{10}},\d)(?<!\+\d{{11}},\d)(?<!\+\d{{12}},\d)){BEFORE_LETTER}"
)
_WORDS = re.compile(
    r"κιν|τηλ|κλήση|sđt|điện thoại|hubungi|telp|\bhp\b|\bwa\b|โทร|มือถือ|טלפון|נייד|\bpuh|\bgsm|\btlf|\bcep\b|моб"
    r"|phone|\btel|mobil|handy|\bcell|\bcall|\bfax|whatsapp|\bsms|text me|reach me|ring me|rufnummer"
    r"|rückruf|anruf|telefon|teléfono|móvil|celular|llám|portable|appel|chiam|numero di|ligue|contato"
    r"|bel me|bellen|zadzwoń|тел|\bm(?:y|eine?|on|i|inha?|eu|ijn|io|ój|itt) n[uú]m|мой номер|我的号码|私の番号|звон|电话|手机|致电|電話|携帯|전화|휴대|फ़ोन|फोन|मोबाइल|هاتف|جوال"
    r"|اتصل|ara(?:yın|manız)|ring ",
    re.IGNORECASE,
)
_NO_PHONE = re.compile(
    r"order|\bpp?\.|\bpages?\b|\bseiten?\b|\bs\.|\bvol|\bissn|\bdoi|regulation|directive|zamówien|sipariş|ordine|طلب|facture|steuern|aktenz|dossier|\bréf|\blot\b|\bzip\b|postal|\bplz\b|\bpart\b|model|invoice|ticket|\bcase|\bref|serial|\bsku|\bisbn|\bean\b|tracking|account|\bid\b|\bids\b|rechnung"
    r"|bestell|kunden-?n|customer (?:no|num|id)|pedido|commande|заказ|订单|注文|주문|version|\bissue|\bpid\b|port|\bline|bytes|epoch|timestamp",
    re.IGNORECASE,
)
_NO_NUMBER = re.compile(
    r"(?:19|20)\d\d\W(?:19|20)\d\d$|\d{5}-\d{4}$|(?:19|20)\d\d([-./ ])[0-3]?\d\1[0-3]?\d(?:\D|$)|[0-3]?\d([-./ ])[0-3]?\d\2(?:19|20)\d\d(?:\D|$)"
)
_ISO_DATE = re.compile(r"(?:19|20)\d\d-[01]\d-[0-3]\d(?!\d)")
_HEX_BEFORE = re.compile(r"(?<![\w-])(?=\d*[a-f])[0-9a-f]{4} \Z")
_HEX_AFTER = re.compile(r" (?=\d*[a-f])[0-9a-f]{4}(?![\w-])")
_RANGE = re.compile(r"\d{4} ?[-–] ?\d{4}")
_LABEL = re.compile(
    r"(?:(?:^|[\n|•·;,(–—-])[ \t]*(?:[MTPFCHW]|mob|port|ph|fon|tf|gsm|cel|dir)|\bport(?:able)?|\bmob(?:ile|il|iel)?|\btelefon\w?"
    r"|\btél|\btel|\btlf|\bph(?:one)?|\bcell?|\bhandy|κιν|τηλ|моб|тел|\bfax|\bwhatsapp|携帯|電話|手机|电话|전화|휴대폰|휴대전화)"
    r"[.)]?[ \t]*[:：]?[ \t]*\(?\Z",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"[1-9]\d?(?:([ .])\d{3})(?:\1\d{3})+|[1-9]\d{2}\.\d{3}(?:\.\d{3})*")
_FILE = re.compile(
    r"(?:19|20)\d\d[-/]\d|\d{4}(?:\W\d{4}){2,}\Z|\d{3,7}/(?:19|20)?\d\d\Z|[\d.]{4,12}/(?:19|20)\d\d\Z"
    r"|[1-9]\d{2,8}/[1-9]\d{2,8}\Z|.*\d [-–]\d"
)
_ENCODED = re.compile(r"%2[Bb](\d{8,15})(?!\d)")
_FICTION = {  # what regulators keep for films and books, which is assigned to nobody
    "AU": r"0?(?:[2378](?:5550|7010)\d{4}|491570\d{3}|49157\d{4})",
    "DE": r"0?(?:3023125\d{3}|4066969\d{3}|2214710\d{3}|6990009\d{3}|8999998\d{3}|1713920\d{3,4}|152288\d{5})",
    "FR": r"0?(?:19900|26191|35301|46571|53649|63998)\d{4}",
    "GB": r"0?(?:7700900\d{3}|1\d{2,3}4960\d{3}|1632960\d{3}|2079460\d{3}|3069990\d{3}|8081570\d{3}|909879\d{4})",
    "IE": r"0?2091\d{5}",
    "SE": r"0?(?:313900[67]\d\d|4062804\d\d|8465004\d\d|9803192\d\d|70174\d{4})",
}
_REACH, _LEAST_LABELLED = 32, 9


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
        found = [
            (start, end, "phone")
            for start, end in _candidates(text)
            if _is_phone(text, start, end, wanted, is_number)
        ]
        if "%2" in text:
            for hit in _ENCODED.finditer(text):
                if is_number(f"+{hit[1]}", None, True):
                    found.append((*hit.span(1), "phone"))
        return found

    return find


def _candidates(text: str) -> Iterator[tuple[int, int]]:
    for hit in _CANDIDATE.finditer(text):
        start, end = hit.span()
        if text[start - 1 : start] == "(" and ")" in hit[0]:
            start -= 1
        if (
            text[start - 1 : start] in ("+", "＋")
            and not text[max(0, start - 2) : start - 1].isalnum()
        ):
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
    is_time = text[start - 1 : start] == ":" and text[start - 2 : start - 1].isdigit()
    if is_time or _NO_NUMBER.match(bare) or _ISO_DATE.search(bare):
        return False
    before = text[max(0, start - _REACH) : start]
    is_labelled = _LABEL.search(before) is not None
    says_so = is_labelled or _WORDS.search(before) is not None
    if bare.startswith("00") and len(bare) > 10 and is_number(f"+{bare[2:]}", None, says_so):
        return True
    if not is_labelled and _AMOUNT.fullmatch(bare):
        return False
    if "(" in bare and ")" not in bare:
        return False
    is_grouped = _is_grouped(bare)
    if not says_so and (
        not is_grouped
        or text[start - 1 : start] == "/"
        or (_HEX_BEFORE.search(before) and _HEX_AFTER.match(text, end))
        or _FILE.match(bare)
        or _NO_PHONE.search(before)
    ):
        return False
    if is_grouped and _is_fiction(bare, regions):
        return True
    is_enough = (says_so and is_grouped) or (is_labelled and len(bare) >= _LEAST_LABELLED)
    return any(is_number(bare, region, is_enough) for region in regions)


def _is_fiction(bare: str, regions: list[str]) -> bool:
    digits = re.sub(r"\D", "", bare)
    return any(region in _FICTION and re.fullmatch(_FICTION[region], digits) for region in regions)


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
