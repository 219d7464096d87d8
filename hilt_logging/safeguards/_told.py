"""
Passwords behind the word for them: told in a sentence, handed to a function, in the next field.
"""

from __future__ import annotations

import re

from ._edges import UNSPACED
from ._strength import PLAIN, STRANGE, is_mixed_case, strength


__all__ = ["called", "in_column", "told"]

Spans = list[tuple[int, int]]

_REACH, _MOST_WORDS, _SAID_FOR = 96, 8, 3
_ENDING = re.compile(r"(?:[^\W\d_]{1,8}(?:['’][^\W\d_]{1,4})?)?(?=[\s:：,;(\"'`»”]|\Z)")
_TOKEN = re.compile(r"[^\s]{1,72}")
_OPENING, _CLOSING = "\"'`«“„「『([<*_", "\"'`»”“」』)]>,;:.…"
_WORD = re.compile(r"[^\W\d_][\w'’.-]{0,23}:?|[-–—=>→:/|]{1,2}|\([^\W_]{0,12}\)?:?|\d")


def _words_of(line: str) -> frozenset[str]:
    return frozenset(line.split())


_SAYS = _words_of(
    "is was are now ist war lautet lautete est était c'est c’est sera es era é foi fue será è "
    "jest było je bylo byl byla bolo був була было был была е є on var vardı este yra buvo ir "
    "és volt adalah là هو هي كان कि है था είναι ήταν הוא היא היה heter är er wordt oli = - – "
    "— → -> => : / called bleibt wäre be"
)
_OF = _words_of(
    "for to of on in at by with via per zu für von im am auf mit bei pour du des de au aux à "
    "sur para del della di da do na no em voor van op met till för på til av pre pro od от "
    "для к на за в до з у ve için"
)
_MORE = _words_of(
    "and or und oder et ou y o e ed i a и или и, now also auch then dann later jetzt nun "
    "maintenant ahora it's its is ist to zu / & , - -> → = new neu changed old alt ancien "
    "anterior vorher before previous"
)
_ASCII_RUN = re.compile(rf"[{UNSPACED}：:「『]{{0,10}}([!-~]{{6,64}})")


def told(text: str, at: int) -> Spans:
    """What looks like a password in a sentence, a few words behind the word for it that ends here."""
    ending = _ENDING.match(text, at)
    if ending is None:
        return _unspaced(text, at)
    stop = text.find("\n", at, at + _REACH)
    stop = at + _REACH if stop < 0 else stop
    out: Spans = []
    said = _SAID_FOR if text[ending.end() : ending.end() + 1] in (":", "：") else 0
    is_of, passed = False, 0
    for token in _TOKEN.finditer(text, ending.end(), stop):
        if token.end() < len(text) and not text[token.end()].isspace():
            return out  # it is cut off here
        start, end = _bare(text, *token.span())
        force = strength(text[start:end])
        if force != PLAIN:
            if not _is_enough(text[start:end], force, said > 0, is_of, passed, bool(out)):
                return out
            out.append((start, end))
            said = passed = 0
            continue
        small = token[0].lower().rstrip(",")
        says_so = small in _SAYS or small.endswith((":", "："))
        is_first = token.start() == ending.end()
        if out and small.strip(";.:") not in _MORE:
            return out
        if passed >= _MOST_WORDS or not (is_first or _is_passed(token[0], says_so or said > 0)):
            return out
        said = _SAID_FOR if says_so else said - 1
        is_of = is_of or small in _OF
        passed += not is_first
    return out


def _is_passed(token: str, says_so: bool) -> bool:
    """Whether a sentence goes on with this word; behind a comma only where something was said."""
    bare = token.removesuffix(",") if says_so else token
    return _WORD.fullmatch(bare) is not None and not bare.endswith(".")


def _is_enough(
    word: str, force: int, says_so: bool, is_of: bool, passed: int, is_further: bool
) -> bool:
    if force == STRANGE:
        return True
    if is_further:
        return False
    return says_so or not passed or (passed == 1 and not is_of and is_mixed_case(word))


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """Without quotation marks and punctuation around it."""
    while start < end and text[start] in _OPENING:
        start += 1
    while start < end and text[end - 1] in _CLOSING:
        end -= 1
    return start, end


def _unspaced(text: str, at: int) -> Spans:
    run = _ASCII_RUN.match(text, at)
    if run is None or text[at] < "\u0e00":
        return []
    start, end = _bare(text, *run.span(1))
    return [(start, end)] if strength(text[start:end]) != PLAIN else []


_CALLED = re.compile(
    r"""
    [\w-]{0,16}+ ["'`\])]{0,3}+
    (?: \)?\.\w{1,24}\( | [ ]?\([ ]? | ,[ \t]{0,4} | [ ]{1,2} )
    (?:[NnUuBbRrL@]|U&)?(?P<quote>["'])(?P<value>[^\s"'`]{4,128}+)(?:\{enter\}|\\[rn])?(?P=quote)
    """,
    re.VERBOSE,
)
_ENTRY = re.compile(
    r"""
    [\w.-]{0,16}+ ["']? (?: ,?\s{1,24}+ ["']?(?:\w{1,12}:)? (?:[Vv]alue|VALUE|default|content|pass)["']?\s{0,3}[:=]\s{0,3}
      | \s{0,2}\{[^{}]{0,120}?\bdefault\s{0,12}=\s{0,3} | >\s{0,16}<[Vv]alue> )
    ["']?(?P<value>[^\s"'<>$]{4,128}+)
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(r"[ ][05789][ ](?P<value>[^\s\"']{4,128}+)[ \t]*$", re.MULTILINE)
_FIELD = re.compile(r"\w{0,24}(?:password|passwd|passphrase|pwd)_?\d?", re.IGNORECASE)


def called(text: str, at: int) -> Spans:
    """What is handed to a function with a name that ends here, or stands in the field next to it."""
    for pattern in (_CALLED, _ENTRY, _NUMBERED):
        hit = pattern.match(text, at)
        if hit is None:
            continue
        value = hit["value"].removesuffix("{enter}")
        if _FIELD.fullmatch(value) is None and (
            strength(value) != PLAIN or (pattern is _ENTRY and _is_odd(value))
        ):
            start = hit.start("value")
            return [(start, start + len(value))]
    return []


def _is_odd(value: str) -> bool:
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


_CELL = re.compile(r"[^\W\d_]{0,3}[\"']?[ \t]*(?=([;,|\t])|\n)")
_HEADING = re.compile(
    r"(?:\|[ \t]*|[^\W_])(?:[\w ./-]|[\"'](?=[;,|\t\r\w])|[;,|\t\r](?! {4}))*[\"']?"
)
_LEAST_COLUMNS = 2
_NAME = re.compile(r"[A-Za-z_]+[\w.]*|[^\W\d_]+")
_LONGEST_ROW, _LONGEST_HEADING = 2048, 512
_ROW = re.compile(rf"[^\n]{{0,{_LONGEST_ROW}}}(?=\n|\Z)")
_RULE = re.compile(r"[\s|:;,+=-]*")


def in_column(text: str, start: int, end: int) -> tuple[Spans, int]:
    """What stands below a word that is a heading of a table, and where the table ends."""
    cell = _CELL.match(text, end)
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end, begin + _LONGEST_HEADING)
    if cell is None or stop < 0:
        return [], end
    heading = text[begin:stop]
    sign = cell[1] or next((c for c in ";,|\t" if c in heading), "")
    if not sign or _HEADING.fullmatch(heading) is None:
        return [], end
    titles = [title.strip(" \"'") for title in heading.split(sign)]
    if sum(map(bool, titles)) < _LEAST_COLUMNS:
        return [], end
    return _cells(text, stop + 1, sign, heading.count(sign), text.count(sign, begin, start))


def _cells(text: str, at: int, sign: str, count: int, index: int) -> tuple[Spans, int]:
    out: Spans = []
    while (row := _ROW.match(text, at)) is not None and row[0].count(sign) == count:
        if _RULE.fullmatch(row[0]) is None:
            cells = row[0].split(sign)
            value = cells[index].strip(" \t\r\"'")
            start = at + sum(len(cell) + 1 for cell in cells[:index]) + cells[index].find(value)
            if len(value) > 3 and " " not in value and _is_cell(value):
                out.append((start, start + len(value)))
        at = row.end() + 1
    return out, at


def _is_cell(value: str) -> bool:
    return strength(value) != PLAIN or (
        _NAME.fullmatch(value) is None and any(c.isalpha() for c in value) and "(" not in value
    )
