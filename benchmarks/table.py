"""
The table: a row for each contender, a column for each situation.
"""

from __future__ import annotations

import statistics

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from contenders import LIMIT, Contender
from measuring import Figures, Round


Cell = Callable[[Sequence[Round], Contender], str]


class Column(NamedTuple):
    """A heading and what stands under it."""

    heading: str
    situation: str
    cell: Cell


def _figures(rounds: Sequence[Round], situation: str, name: str) -> list[Figures]:
    return [each.get(situation, {}).get(name, {}) for each in rounds]


def _ratios(
    rounds: Sequence[Round],
    situation: str,
    contender: Contender,
    figure: str = "cpu",
    to: str = "",
) -> list[float]:
    """The ratios to the limit in the same round, in the same situation or in another."""
    mine = _figures(rounds, situation, contender.name)
    least = _figures(rounds, to or situation, LIMIT.name)
    return [
        own[figure] / limit["cpu"] for own, limit in zip(mine, least, strict=True) if figure in own
    ]


def digits(value: float) -> str:
    """Return three digits that count, as a person would write them."""
    return (
        f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.1f}"
        if abs(value) < 100
        else f"{value:.0f}"
    )


def _median(values: Sequence[float]) -> str:
    return digits(statistics.median(values)) if values else ""


def _ratio(situation: str, figure: str = "cpu", to: str = "") -> Cell:
    return lambda rounds, contender: _median(_ratios(rounds, situation, contender, figure, to))


def _plain(situation: str, figure: str) -> Cell:
    return lambda rounds, contender: _median(
        [each[figure] for each in _figures(rounds, situation, contender.name) if figure in each]
    )


def _single(rounds: Sequence[Round], contender: Contender) -> str:
    disabled = [each["ns"] for each in _figures(rounds, "disabled", contender.name) if "ns" in each]
    if disabled:
        return f"{statistics.median(disabled):.0f} ns"
    return _median(_ratios(rounds, "single", contender))


def _spread(rounds: Sequence[Round], contender: Contender) -> str:
    ratios = _ratios(rounds, "single", contender)
    return f"{digits(min(ratios))}-{digits(max(ratios))}" if ratios else ""


def _caller(rounds: Sequence[Round], contender: Contender) -> str:
    if not contender.background:
        return ""
    return _median(_ratios(rounds, "single", contender, "caller"))


def _tail(rounds: Sequence[Round], contender: Contender) -> str:
    return _median(
        [
            each["p99"] / each["p50"]
            for each in _figures(rounds, "latency", contender.name)
            if "p99" in each
        ]
    )


COLUMNS = (
    Column("1 thread", "single", _single),
    Column("from-to", "single", _spread),
    Column("caller", "single", _caller),
    Column("CPU µs", "single", _plain("single", "cpu")),
    Column("wall µs", "single", _plain("single", "wall")),
    Column("4 threads", "threads", _ratio("threads")),
    Column("/ L2 alone", "threads", _ratio("threads", to="single")),
    Column("4 processes", "processes", _ratio("processes")),
    Column("/ L2 alone", "processes", _ratio("processes", to="single")),
    Column("wall µs", "processes", _plain("processes", "wall")),
    Column("1 KB", "1kb", _ratio("1kb")),
    Column("30 KB", "30kb", _ratio("30kb")),
    Column("p50 µs", "latency", _plain("latency", "p50")),
    Column("p99 µs", "latency", _plain("latency", "p99")),
    Column("p99.9 µs", "latency", _plain("latency", "p99.9")),
    Column("p99/p50", "latency", _tail),
    Column("peak MiB", "memory", _plain("memory", "mib")),
    Column("import ms", "imports", _plain("imports", "ms")),
)


def rows(
    rounds: Sequence[Round],
    contenders: Iterable[Contender],
    situations: Sequence[str],
    missing: dict[str, str],
) -> list[list[str]]:
    """
    Return the headings, then a row for each contender that has a figure.

    One that is missing has a row that says what it needs.
    """
    shown = [
        each
        for each in COLUMNS
        if each.situation in situations or (each.cell is _single and "disabled" in situations)
    ]
    table = [["CPU time, L2 = 1", *(each.heading for each in shown)]]
    for contender in contenders:
        if contender.name in missing:
            table.append([f"{contender.title}: missing, {missing[contender.name]}"])
            table[-1] += [""] * len(shown)
        else:
            cells = [each.cell(rounds, contender) for each in shown]
            if any(cells):
                table.append([contender.title, *cells])
    return table


def as_text(table: list[list[str]]) -> str:
    """Return the table for a terminal."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def as_markdown(table: list[list[str]]) -> str:
    """Return the table in Markdown."""
    marks = ["---", *["--:"] * (len(table[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (table[0], marks, *table[1:]))
