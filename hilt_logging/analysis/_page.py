"""
The page of a report: templates that hold no content of their own, and how they say numbers and times.

Every text that comes from a log passes `printable` and is escaped as HTML; nothing of it is ever a part of
an address, a style, a script or the name of an element.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import math

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import MissingDependencyError
from ._charts import HEIGHT, MOST_SERIES, WIDTH, Series
from ._printable import printable
from ._zones import zone_of


try:
    import jinja2

    from markupsafe import Markup, escape
except ImportError as error:
    raise MissingDependencyError("jinja2", "report") from error


__all__ = ["compact", "counted", "ms", "page", "size_of", "usd"]

_TEMPLATES = Path(__file__).parent / "templates"
_SHORT = 48
_NONE = "–"
_UNNAMED = "not named"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SIZES = ((1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T"))


def page(context: Mapping[str, Any], tz: str) -> Iterator[str]:
    """
    Yield the pieces of the page.

    Args:
        context: What templates name.
        tz: The IANA time zone in which times are told.
    """
    style, script = _own("report.css"), _own("report.js")
    given = {
        "style": Markup(style),  # noqa: S704 -- our own
        "script": Markup(script),  # noqa: S704 -- our own
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "width": WIDTH,
        "height": HEIGHT,
        "colour": _colour,
        "usd": usd,
        "compact": compact,
        "tz": tz,
    }
    yield from _environment(tz).get_template("report.html").generate({**given, **context})


def _own(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _hash(text: str) -> str:
    """What the page's own policy allows: this very text, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.lru_cache(4)
def _environment(tz: str) -> jinja2.Environment:
    zone = zone_of(tz)
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "compact": compact,
        "count": _count,
        "counted": counted,
        "day": functools.partial(_when, zone=zone, characters=10),
        "minute": functools.partial(_when, zone=zone, characters=16),
        "ms": ms,
        "named": _named,
        "percent": _percent,
        "period": _period,
        "raw": _raw,
        "second": functools.partial(_when, zone=zone, characters=19),
        "short": _shortened,
        "usd": usd,
    }
    return made


def _finalized(value: Any) -> Any:
    return printable(value) if type(value) is str else value


def _colour(index: int, series: Series, kinds: Mapping[str, str] | None) -> str:
    if kinds is not None:
        return kinds[series.name or ""]
    return f"s{MOST_SERIES if series.name is None else index}"


def _shortened(text: Any, most: int = _SHORT) -> str:
    """A text of bounded length, which ends as it does: ids often begin alike."""
    told = str(text)
    if len(told) > 2 * most:  # what can't be printed becomes longer
        told = f"{told[:most]}{told[-most:]}"
    told = printable(told)
    return told if len(told) <= most else f"{told[: most - 13]}…{told[-12:]}"


def size_of(text: str) -> int:
    """Return how many bytes an id or a list of names has on the page, at most."""
    return len(escape(_shortened(text, 80)).encode())


def _named(name: str | None) -> str:
    return _shortened(name) if name else _UNNAMED


def _raw(number: float | None) -> str:
    """A number as scripts read it, to put rows in order."""
    return "" if number is None else f"{number:.9g}"


def _count(number: int | None) -> str:
    return _NONE if number is None else f"{number:,}" if abs(number) < 1e12 else compact(number)


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun; where *more* is not given, the plural ends in `s`."""
    return f"{_count(number)} {one if number == 1 else more or f'{one}s'}"


def compact(number: float | None) -> str:
    """Return a number as few characters tell it: 12.3 M."""
    if number is None:
        return _NONE
    if abs(number) < 10_000:
        return f"{number:,.0f}" if number == int(number) else f"{number:,.3g}"
    for size, name in _SIZES:
        if abs(number) < 999.5 * size:
            return f"{number / size:.3g} {name}"
    return f"{float(min(number, 1e300)):.1e}"


def usd(cost: float | None) -> str:
    """Return US dollars: with cents where these count, and three digits of what is less than one."""
    if cost is None:
        return _NONE
    size = abs(cost)
    if size >= 1_000:
        return f"${cost:,.0f}" if size < 1e6 else f"${compact(cost)}"
    if size >= 1 or size == 0:
        return f"${cost:,.2f}" if cost else "$0"
    if size < 1e-6:
        return f"${cost:.1e}"
    told = f"{cost:.{2 - math.floor(math.log10(size))}f}"
    whole, _, decimals = told.rstrip("0").partition(".")
    return f"${whole}.{decimals:0<2}"


def ms(milliseconds: float | None) -> str:
    """Return a time as seconds, minutes or hours where it is long."""
    if milliseconds is None:
        return _NONE
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.2f} s"
    if milliseconds < 3_600_000:
        return f"{milliseconds / 60_000:.1f} min"
    return f"{compact(milliseconds / 3_600_000)} h"


def _percent(share: float | None) -> str:
    if share is None:
        return _NONE
    return f"{100 * share:.1f}%" if 0 < share < 0.1 else f"{100 * share:.0f}%"


def _period(key: str, unit: str) -> str:
    """A day or an hour as it stands below a bar; the other periods as they are."""
    if unit not in ("day", "hour"):
        return key
    return f"{int(key[8:10])} {_MONTHS[int(key[5:7]) - 1]}{key[10:]}"


def _when(timestamp: str | None, zone: datetime.tzinfo, characters: int) -> str:
    """A time in a zone: its day, and its hour and minute, or second, as far as so many characters go."""
    if not timestamp:
        return _NONE
    try:
        told = datetime.datetime.fromisoformat(timestamp).astimezone(zone).isoformat(" ")
    except (ValueError, OverflowError):  # at the ends of what can be counted
        told = timestamp.replace("T", " ")
    return told[:characters]
