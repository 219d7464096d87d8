"""
`hilt-log compare`: what changed from one period of a log to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._filters import conditions, filters
from ._frame import DONE, UNREAD, Command
from ._output import json_line, say
from ._progress import Waiting
from ._tables import NOTHING, Tables, ms, number, short, usd
from ._unread import Unread


if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..analysis.compare import Change, Comparison, GroupChange, Period, Rate


__all__ = ["command"]

_WITHIN_CHANCE = "~"
_COLUMNS = ("", "before", "after", "change", "%")
_MOST_EXACT, _MOST_PERCENT = 1_000, 10_000_000
_UNITS = {"day": 1, "hour": 24, "minute": 24 * 60, "second": 24 * 60 * 60}

_Format = Callable[[Any], str]


def _name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from ..analysis.compare import BY

    if value is not None and value not in BY:
        raise click.BadParameter(f"must be one of {', '.join(BY)}", ctx, param)
    return value


def _names(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    from ..analysis.compare import BY

    return _options.completed(BY, begun)


@click.command(
    "compare",
    cls=Command,
    examples={
        "hilt-log compare logs/": "the last seven whole days against the seven before",
        "hilt-log compare logs/ --after 2026-W41 --by model": "a week against the one before",
        "hilt-log compare logs/ --before 2026-09 --after 2026-10 --tz Europe/Berlin": "two months",
        "hilt-log compare logs/ --after 2026-10-07T14:00..2026-10-07T18:00 --json": (
            "four hours after a deployment, for a program"
        ),
    },
    exit_codes={
        DONE: "Done.",
        2: "Wrong usage, as periods that overlap.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@_options.paths
@click.option(
    "--before",
    metavar="PERIOD",
    help="The period before: 2026-10, 2026-W41, 2026-10-07, 2026-10-01..2026-10-15 (with both days), or"
    " between two times. By default the one of the same length right before --after.",
)
@click.option(
    "--after",
    metavar="PERIOD",
    help="The period after. By default the one right after --before, or if that is not given, the last"
    " seven whole days of the log.",
)
@click.option(
    "--by",
    callback=_name,
    shell_complete=_names,
    metavar="NAME",
    help="Show what changed most by model, provider, user, session, action or tool; or each day against"
    " the one of the same number.",
)
@_options.tz("periods")
@click.option(
    "--top",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="Show N groups; --json prints all.",
)
@filters
@_options.engine
@_options.as_json
def command(
    paths: tuple[str, ...],
    before: str | None,
    after: str | None,
    by: str | None,
    tz: str,
    top: int,
    engine: str,
    as_json: bool,
    **given: Any,
) -> int:
    """
    Tell what changed from one period of a log to another.

    Each figure of `hilt-log stats` in both periods, and how much it changed; where the periods are of
    different lengths, sums also per day. What chance alone may have made of a rate is marked as such. A
    time, as 2026-10-01T08:00, is the first one of a period, or the first one after. PATHS are as those
    of `hilt-log stats`.
    """
    from ..analysis.compare import compare

    unread = Unread()
    with Waiting("Counting"):
        found = compare(
            paths,
            before=before,
            after=after,
            by=by,
            tz=tz,
            where=conditions(given),
            models=given["models"],
            users=given["users"],
            since=given["since"],
            until=given["until"],
            engine=engine,
            report=unread,
        )
    unread.tell()
    if as_json:
        json_line(found)
    else:
        _show(found, top)
    return UNREAD if unread.count else DONE


def _show(found: Comparison, top: int) -> None:
    _head(found)
    if not any(_is_told(each) for each in found.figures.values()):
        return
    page = Tables()
    page.table("Events and calls", _COLUMNS, _rows(_COUNTS, found))
    page.table("Tokens and cost", _COLUMNS, _rows(_SPENT, found))
    rates = list(_rates(found))
    page.table("Rates", ("", "before", "after", "points", ""), rates)
    if any(row[-1] == _WITHIN_CHANCE for row in rates):
        say(f"{_WITHIN_CHANCE} within what chance alone gives, 95 times in 100", dim=True)
    page.table("Latency in ms", _COLUMNS, _rows(_LATENCIES, found))
    if found.is_per_day:
        page.table("Per day", _COLUMNS, _rows({**_COUNTS, **_SPENT}, found, is_per_day=True))
    if found.by:
        _groups(page, found, top)


def _head(found: Comparison) -> None:
    """Say what is held against what."""
    for name, period in (("before", found.before), ("after", found.after)):
        if period is not None:
            say(f"{name + ':':8}{period.name}, {_length(period)}, {found.tz}", bold=True)
    if found.is_per_day:
        say("The periods are of different lengths: sums are also told per day")
    for remark in found.remarks:
        say(remark, fg="yellow")


def _length(period: Period) -> str:
    for unit, in_a_day in _UNITS.items():
        amount = round(period.days * in_a_day, 2)
        if amount >= 1:
            shown = f"{amount:,.2f}".rstrip("0").rstrip(".")
            return f"{shown} {unit}{'' if amount == 1 else 's'}"
    return "less than a second"


def _is_told(change: Change) -> bool:
    return bool(change.before or change.after)


_COUNTS: dict[str, tuple[str, _Format]] = {
    "events": ("events", number),
    "sessions": ("sessions", number),
    "users": ("users", number),
    "prompts": ("prompts", number),
    "calls": ("calls", number),
    "completed": ("  completed", number),
    "refused": ("  refused", number),
    "stopped": ("  stopped", number),
    "failed": ("  failed", number),
    "retried": ("retried attempts", number),
    "tool_calls": ("calls of tools", number),
    "tool_failures": ("  failed", number),
}
_SPENT: dict[str, tuple[str, _Format]] = {
    "tokens.total": ("tokens", number),
    "tokens.prompt": ("  prompt", number),
    "tokens.cached": ("    cached", number),
    "tokens.completion": ("  completion", number),
    "tokens.reasoning": ("    reasoning", number),
    "cost_usd": ("cost", usd),
    "unpriced": ("calls without a price", number),
}
_LATENCIES: dict[str, tuple[str, _Format]] = {
    f"{name}.{part}": (f"  {part}" if part != "count" else title, ms)
    for name, title in (
        ("latency_ms", "calls"),
        ("time_to_first_token_ms", "to the first token"),
        ("tool_latency_ms", "tools"),
    )
    for part in ("count", "mean", "p50", "p90", "p95", "p99", "max")
}


def _rows(
    shown: dict[str, tuple[str, _Format]], found: Comparison, *, is_per_day: bool = False
) -> Iterator[Sequence[str]]:
    """The rows of figures of which one period at least has some."""
    for name, (title, text) in shown.items():
        change = found.figures[name]
        if _is_told(change):
            shown_change = change.per_day if is_per_day else change
            if shown_change is not None:
                yield (title, *_cells(shown_change, _per_day(text) if is_per_day else text))


def _per_day(text: _Format) -> _Format:
    return text if text is usd else lambda value: NOTHING if value is None else f"{value:,.1f}"


def _cells(change: Change, text: _Format) -> Iterator[str]:
    yield text(change.before)
    yield text(change.after)
    yield _signed(change.difference, text)
    yield _percent(change)


def _signed(value: float | None, text: _Format) -> str:
    if value is None:
        return NOTHING
    shown = text(abs(value))
    if shown == text(0):
        return shown
    return f"{'+' if value > 0 else '-'}{shown}"


def _percent(change: Change) -> str:
    value = change.percent
    if value is None:
        return "new" if change.after and change.before == 0 else NOTHING
    if abs(value) >= _MOST_PERCENT:
        return f"{value:+.0e}"
    return f"{value:+,.1f}" if abs(value) < _MOST_EXACT else f"{value:+,.0f}"


def _rates(found: Comparison) -> Iterator[Sequence[str]]:
    titles = {
        "failed": "failed of calls",
        "refused": "refused of calls",
        "retried": "retried of attempts",
    }
    for name, title in titles.items():
        rate = found.rates[name]
        if rate.count_before or rate.count_after:
            yield title, *_rate(rate)
    hits = found.figures["cache_hit_rate"]
    if _is_told(hits):
        yield (
            "prompts' tokens cached",
            *map(_part, (hits.before, hits.after)),
            _points(hits.difference),
            "",
        )


def _rate(rate: Rate) -> Iterator[str]:
    yield f"{_part(rate.before)} ({short(rate.count_before)} of {short(rate.of_before)})"
    yield f"{_part(rate.after)} ({short(rate.count_after)} of {short(rate.of_after)})"
    yield _points(rate.difference)
    yield _WITHIN_CHANCE if rate.is_within_chance and rate.difference else ""


def _part(rate: float | None) -> str:
    return NOTHING if rate is None else f"{rate:.1%}"


def _points(difference: float | None) -> str:
    """A difference of rates, in hundredths."""
    return NOTHING if difference is None else f"{100 * difference:+.1f}"


def _groups(page: Tables, found: Comparison, top: int) -> None:
    is_day = found.by == "day"
    texts = ("before", "after") if is_day else (str(found.by),)
    columns = (*texts, "events", "then", "cost", "then", "change", "%")
    rows = [(*_keys(each, is_day), *_group(each)) for each in found.groups[:top]]
    title = f"By {found.by}, per day" if found.is_per_day and not is_day else f"By {found.by}"
    page.table(title, columns, rows, len(texts))
    if len(found.groups) > top:
        say(f"... and {len(found.groups) - top:,} more: --json prints all", dim=True)


def _keys(group: GroupChange, is_day: bool) -> Iterable[str]:
    keys = (
        (group.key_before, group.key)
        if is_day
        else (group.key if group.status != "gone" else group.key_before,)
    )
    return [NOTHING if key is None else key for key in keys]


def _group(group: GroupChange) -> Iterator[str]:
    """Its events and its cost; per day where sums are."""
    events, cost = (group.figures[name] for name in ("events", "cost_usd"))
    text: _Format = number
    if events.per_day is not None and cost.per_day is not None:
        events, cost, text = events.per_day, cost.per_day, _per_day(number)
    yield text(events.before)
    yield text(events.after)
    yield usd(cost.before)
    yield usd(cost.after)
    yield _signed(cost.difference, usd)
    if group.status != "both":
        yield group.status
    else:  # what is new in it is its cost, and not the group
        yield NOTHING if cost.percent is None else _percent(cost)
