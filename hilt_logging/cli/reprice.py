"""
`hilt-log reprice`: what calls cost at other prices.
"""

from __future__ import annotations

import shutil
import sys

from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._filters import filters, wanted
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, output_file, printable, say
from ._unread import Unread


if TYPE_CHECKING:
    from ..analysis.reprice import Costs, Repriced


__all__ = ["command"]

_GROUPS = ("model", "provider", "user", "session", "day", "month")
_MOST_SHOWN = 20
_MOST_WIDE = 64
_LEAST_WIDE = 12


@click.command(
    "reprice",
    cls=Command,
    examples={
        "hilt-log reprice logs/ --dry-run": "what calls cost by the table of today, by model",
        "hilt-log reprice logs/ --prices new.toml --dry-run --by month --since 2026-01-01": (
            "what this year would cost at other prices"
        ),
        "hilt-log reprice logs/ --prices corrected.toml -o corrected/app.hilt.jsonl": (
            "a new log with the right costs, in which the old ones are kept"
        ),
    },
)
@_options.paths
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(),
    metavar="FILE",
    help="The new log; - is standard output, when all is done.",
)
@click.option("--dry-run", is_flag=True, help="Compare the costs, and write nothing.")
@click.option(
    "--prices",
    type=click.Path(),
    metavar="FILE",
    help="Your own prices, TOML or JSON, which win over those of genai-prices.",
)
@click.option(
    "--at",
    default="event",
    show_default=True,
    metavar="DAY",
    help="Whose prices count: `event`, the day of each event; `today`; or a date. Your own prices are "
    "the same for all days.",
)
@click.option(
    "--told", is_flag=True, help="Change costs that a provider or an application told, too."
)
@click.option(
    "--by",
    type=click.Choice(_GROUPS),
    default="model",
    show_default=True,
    help="What the costs are compared by.",
)
@click.option(
    "--all", "is_all", is_flag=True, help=f"Show more than {_MOST_SHOWN} lines of the comparison."
)
@filters
@_options.force
@_options.as_json
def command(
    paths: tuple[str, ...],
    target: str | None,
    dry_run: bool,
    prices: str | None,
    at: str,
    told: bool,
    by: str,
    is_all: bool,
    force: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """
    Tell what calls cost at other prices, and make a log of it.

    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files, and
    not changed. Calls without a price keep their cost, and so do those whose cost was told, not looked
    up. In the new log, extensions.original has the cost as it was first; options that choose events
    leave the others as they are. Needs the extra `cost`, or --prices.
    """
    from ..analysis.reprice import reprice

    if target is None and not dry_run:
        raise click.UsageError("Give --output, or --dry-run.")
    unread = Unread()
    target = None if dry_run else target
    with output_file(target or "") as place:
        done = reprice(
            paths,
            place or None,
            prices=prices,
            at=at,
            told=told,
            wanted=wanted(given),
            by=by,
            report=unread,
            force=force,
        )
    done.output, aside = target, target == "-"
    unread.tell()
    if as_json:
        json_line(done, err=aside)
    else:
        _show(done, by, is_all, aside)
    return UNREAD if done.faults else DONE


def _show(done: Repriced, by: str, is_all: bool, err: bool) -> None:
    shown = done.groups if is_all else done.groups[:_MOST_SHOWN]
    rows: list[tuple[str, ...]] = [(by, "calls", "changed", "old USD", "new USD", "difference")]
    rows += [_row(costs, costs.key or "-") for costs in shown]
    rows.append(_row(done.total, "all"))
    names, *columns = ([*column] for column in zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    width = _width_of(names, sum(widths) + 2 * len(widths))
    for number, (name, *figures) in enumerate(rows):
        first, *rest = _folded(name, width)
        cells = [f"{each:>{size}}" for each, size in zip(figures, widths, strict=True)]
        told = [f"{first:<{width}}  {'  '.join(cells)}", *rest]
        say("\n".join(told), err=err, bold=number in (0, len(rows) - 1))
    if len(shown) < len(done.groups):
        more = counted(
            len(done.groups) - len(shown),
            "more line: --all shows it",
            "more lines: --all shows them",
        )
        say(more, err=err, dim=True)
    for note in _notes(done):
        say(note, err=err)


def _width_of(names: list[str], taken: int) -> int:
    """How wide the column of names is, beside columns that take this much of the terminal."""
    most = _MOST_WIDE
    if sys.stdout.isatty():
        most = min(most, max(_LEAST_WIDE, shutil.get_terminal_size().columns - taken))
    return min(max(map(len, names)), most)


def _folded(name: str, width: int) -> list[str]:
    """A name in pieces that are not too wide for a terminal; elsewhere it stays whole."""
    if not sys.stdout.isatty():
        return [name]
    return [name[at : at + width] for at in range(0, len(name), width)]


def _row(costs: Costs, name: str) -> tuple[str, ...]:
    difference = costs.new_usd - costs.old_usd
    share = f" ({difference / costs.old_usd:+.1%})" if costs.old_usd else ""
    return (
        printable(name).replace("\n", " "),
        f"{costs.calls:,}",
        f"{costs.changed:,}",
        f"{costs.old_usd:,.6f}",
        f"{costs.new_usd:,.6f}",
        f"{difference:+,.6f}{share}",
    )


def _notes(done: Repriced) -> list[str]:
    total = done.total
    notes = []
    if total.added:
        notes.append(f"{counted(total.added, 'call')} had no cost before")
    if total.told:
        notes.append(
            f"{counted(total.told, 'cost')} told, not looked up, and kept: --told changes them"
        )
    if total.unpriced:
        notes.append(f"{counted(total.unpriced, 'call')} without a price, left as they are")
    if done.output is not None:
        if done.linked:
            notes.append(
                f"{counted(done.linked, 'event')} had evidence, which holds for the old log alone: "
                "the new one has it in extensions.original_integrity"
            )
        notes.append(f"{done.output}: {counted(done.events, 'event')}")
    return notes
