"""
Tables on the screen, and how numbers are shown in them.
"""

from __future__ import annotations

import itertools
import math

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ._output import printable, say


if TYPE_CHECKING:
    from rich.console import Console


__all__ = ["NOTHING", "Tables", "ms", "number", "share", "short", "usd"]

NOTHING = "-"
_MOST_USD = 10**15  # that is written with all digits
_DECIMALS, _MOST_DECIMALS = 4, 10
_WIDE = 10_000
_LEAST_TEXT = 6
_BETWEEN = 2


def number(value: int | None) -> str:
    """Return a number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}"


def share(count: int, of: int) -> str:
    """Return which part of something it is; nothing of nothing."""
    return f"{count / of:.1%}" if of else ""


def ms(value: float | None) -> str:
    """Return milliseconds, whole ones."""
    return NOTHING if value is None else f"{value:,.0f}"


def usd(value: float | None) -> str:
    """Return an amount of money; a small one with more digits."""
    if value is None:
        return NOTHING
    if value < 0:
        return f"-{usd(-value)}"
    if value >= _MOST_USD:  # its digits would take the room of all other columns
        return f"${value:.3g}"
    if value >= 1 or not value:
        return f"${value:,.2f}"
    digits = 1 - math.floor(math.log10(value))  # to the second one that is not 0
    if digits <= _DECIMALS:
        return f"${value:.{_DECIMALS}f}"
    return f"${value:.2g}" if digits > _MOST_DECIMALS else f"${value:.{digits}f}"


def short(value: int | None) -> str:
    """Return a number for a place with little room."""
    if value is None or value < 10_000:
        return number(value)
    for unit, size in (("k", 10**3), ("M", 10**6)):
        if value < 1_000 * size:
            return f"{value / size:,.1f}{unit}"
    return f"{value / 10**9:,.1f}G"


class Tables:
    """Prints tables one after the other: rich ones on a terminal, plain ones elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console: Console = Console()
        self._room = self._console.width if self._console.is_terminal else _WIDE

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1
    ) -> None:
        """
        Print a table, unless it has no rows.

        Texts are folded where there is little room. Numbers are not, for what is left of one that is cut
        is another number: the table is wider than the terminal then.

        Args:
            title: What stands above it.
            columns: The names of its columns; none where they need no names.
            rows: Its rows.
            texts: How many columns are texts; the others are numbers.
        """
        from rich.table import Table
        from rich.text import Text

        cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
        if not cells:
            return
        names = columns or [""] * max(map(len, cells))
        widths = list(_least_widths([names, *cells], texts))
        table = Table(box=None, show_header=bool(columns), header_style="dim", pad_edge=False)
        for place, name in enumerate(names):
            is_text = place < texts
            table.add_column(
                Text(name),
                justify="left" if is_text else "right",
                overflow="fold",
                no_wrap=not is_text,
                min_width=widths[place],
            )
        for row in cells:
            table.add_row(*map(Text, row))
        say()
        say(title, bold=True)
        self._console.width = max(self._room, sum(widths) + _BETWEEN * (len(widths) - 1))
        self._console.print(table)


def _least_widths(rows: Iterable[Sequence[str]], texts: int) -> Iterator[int]:
    """How wide columns must be: of numbers all of each."""
    from rich.cells import cell_len

    for place, cells in enumerate(itertools.zip_longest(*rows, fillvalue="")):
        width = max(map(cell_len, cells))
        yield min(width, _LEAST_TEXT) if place < texts else width
