"""
`hilt-log stats`: what a log says in figures.
"""

from __future__ import annotations

import datetime

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from . import _options
from ._filters import conditions, filters
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, say
from ._progress import Waiting
from ._tables import NOTHING, Tables, ms, number, share, short, usd
from ._unread import Unread


if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..analysis.stats import Busy, Call, Figures, Group, Spread, Stats


__all__ = ["command"]

PERIODS = {"daily": "day", "weekly": "week", "monthly": "month"}
_FEWEST = 10  # below this many values, hilt-python tells no percentiles


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from ..analysis._figures import GROUPINGS

    names = tuple(name.strip() for value in values for name in value.split(","))
    for name in names:
        if name not in GROUPINGS:
            raise click.BadParameter(f"must be of {', '.join(GROUPINGS)}", ctx, param)
    if len(set(names)) < len(names):
        raise click.BadParameter("names something twice", ctx, param)
    return names


def _completed(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ..analysis._figures import GROUPINGS

    before, comma, begun = incomplete.rpartition(",")
    return _options.completed(GROUPINGS, begun, f"{before}{comma}")


@click.command(
    "stats",
    cls=Command,
    examples={
        "hilt-log stats logs/": "how much, how dear, how fast, what failed",
        "hilt-log stats logs/ --by day,model --tz Europe/Berlin": "what each model cost each day",
        "hilt-log stats logs/ --user alice --since 2026-11-01": "of one person, since a day",
        "hilt-log stats logs/ --by month --json": "for a program",
    },
    exit_codes={
        DONE: "Done.",
        2: "Wrong usage.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@_options.paths
@click.option(
    "--by",
    multiple=True,
    callback=_names,
    shell_complete=_completed,
    metavar="NAME,...",
    help="Group by hour, day, week, month, action, provider, model, user, session or tool; by several"
    " with commas.",
)
@click.option(
    "--period",
    type=click.Choice(tuple(PERIODS)),
    help="The same as --by day, week or month; with --json also as hilt-python prints it.",
)
@_options.tz("days and hours")
@click.option(
    "--top",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="Show N of the busiest users and sessions, slowest and dearest calls, and of each list.",
)
@filters
@_options.engine
@_options.as_json
def command(
    paths: tuple[str, ...],
    by: tuple[str, ...],
    period: str | None,
    tz: str,
    top: int,
    engine: str,
    as_json: bool,
    **given: Any,
) -> int:
    """
    Tell in figures what a log says.

    Events, sessions and users; calls of models, how they ended, what they took, what they cost and how
    fast they were; tools; errors. Attempts that were retried are counted apart from calls that failed.
    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files,
    plain or compressed, and so are Parquet and SQLite that `hilt-log convert` made. With Spark, PATHS are
    whatever it reads, and what can't be read is told as a number.
    """
    from ..analysis.stats import tallied

    periods = (PERIODS[period],) if period else ()
    groupings = [each for each in (by, periods) if each]
    unread = Unread()
    with Waiting("Counting"):
        found, groups = tallied(
            paths,
            groupings,
            tz=tz,
            top=top,
            where=conditions(given),
            models=given["models"],
            users=given["users"],
            since=given["since"],
            until=given["until"],
            engine=engine,
            report=unread,
        )
    unread.tell()
    shown = ["-" if path == _options.STDIN else path for path in paths]
    if groupings:
        found.by, found.groups = groupings[0], groups[0]
    if as_json:
        json_line(_told(found, shown, groups[-1] if periods else []))
    else:
        _show(found, shown, tz, top)
    return UNREAD if unread.count else DONE


def _told(found: Stats, paths: Sequence[str], periods: Sequence[Group]) -> dict[str, Any]:
    """The result with the keys of hilt-python, and all that is known."""
    total = found.total
    told: dict[str, Any] = {"file": ", ".join(paths), "total_events": total.events}
    if total.events:
        told |= {
            "unique_sessions": total.sessions,
            "timeframe": _timeframe(found),
            "actions": _percentages(found.counts.actions, total.events),
            "actors": _percentages(found.counts.actors, total.events),
        }
        if total.tokens.total or total.cost_usd or total.latency_ms.count:
            told["metrics"] = _metrics(total)
    if periods:
        told["periods"] = [_period(each) for each in periods]
    return {**told, **msgspec.to_builtins(found)}


def _timeframe(found: Stats) -> dict[str, Any]:
    if found.first is None or found.last is None:
        return {"start": None, "end": None, "duration_days": None}
    start, end = map(datetime.datetime.fromisoformat, (found.first, found.last))
    return {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "duration_days": (end.date() - start.date()).days + 1,
    }


def _percentages(counts: Mapping[str, int], total: int) -> dict[str, dict[str, float]]:
    return {
        name: {"count": count, "percentage": round(count / total * 100, 2)}
        for name, count in counts.items()
    }


def _metrics(total: Figures) -> dict[str, float | None]:
    latency = total.latency_ms
    has_many = latency.count >= _FEWEST
    return {
        "total_tokens": total.tokens.total or None,
        "total_cost_usd": round(total.cost_usd, 6) if total.cost_usd else None,
        "average_latency_ms": None if latency.mean is None else round(latency.mean, 2),
        **{
            f"{name}_latency_ms": round(getattr(latency, name)) if has_many else None
            for name in ("p50", "p95", "p99")
        },
    }


def _period(group: Group) -> dict[str, Any]:
    figures = group.figures
    return {
        "period": group.key[0],
        "events": figures.events,
        "tokens": figures.tokens.total or None,
        "cost_usd": figures.cost_usd or None,
        "avg_latency_ms": figures.latency_ms.mean,
    }


def _show(found: Stats, paths: Sequence[str], tz: str, top: int) -> None:
    total, page = found.total, _Page(tz, top)
    page.head(found, paths)
    if not total.events:
        return
    page.table("Calls of models", (), _calls(total))
    page.table("Tokens and cost", (), _spent(total))
    spreads = (
        ("calls", total.latency_ms),
        ("to the first token", total.time_to_first_token_ms),
        ("tools", total.tool_latency_ms),
    )
    latencies = [(name, *_spread(spread)) for name, spread in spreads if spread.count]
    page.table("Latency in ms", ("", "count", "mean", *_PARTS, "max"), latencies)
    counts, calls = found.counts, total.calls
    page.counts("Actions", counts.actions, total.events)
    page.counts("Models of calls", counts.models, calls)
    page.counts("Outcomes of calls and retried attempts", counts.outcomes, calls + total.retried)
    page.counts("Finish reasons of calls", counts.finish_reasons, calls)
    page.counts("Errors", counts.error_types)
    tools = [
        (tool.name, number(tool.calls), number(tool.failures), ms(tool.latency_ms.p50))
        for tool in found.tools
    ]
    page.table("Tools", ("", "calls", "failed", "p50 ms"), tools)
    page.busy("Busiest users", found.top.users)
    page.busy("Busiest sessions", found.top.sessions)
    page.calls("Slowest calls", found.top.slowest, "ms", lambda call: number(call.latency_ms))
    page.calls("Dearest calls", found.top.dearest, "cost", lambda call: usd(call.cost_usd))
    page.groups(found.by, found.groups)


_PARTS = ("p50", "p90", "p95", "p99")


def _calls(total: Figures) -> Iterator[tuple[str, ...]]:
    yield "prompts", number(total.prompts)
    yield "calls", number(total.calls)
    for name in ("completed", "refused", "stopped", "failed"):
        count = getattr(total, name)
        if count or name in ("completed", "failed"):
            yield f"  {name}", number(count), share(count, total.calls)
    if total.retried:
        yield "retried attempts", number(total.retried)
    if total.tool_calls or total.tool_failures:
        yield "calls of tools", number(total.tool_calls)
        yield "  failed", number(total.tool_failures)


def _spent(total: Figures) -> Iterator[tuple[str, ...]]:
    tokens = total.tokens
    if tokens.total is not None:
        yield "tokens", number(tokens.total)
        yield "  prompt", number(tokens.prompt)
        if tokens.cached:
            rate = total.cache_hit_rate
            yield "    cached", number(tokens.cached), "" if rate is None else f"{rate:.1%}"
        yield "  completion", number(tokens.completion)
        if tokens.reasoning:
            yield "    reasoning", number(tokens.reasoning)
    if total.cost_usd is not None:
        yield "cost", usd(total.cost_usd)
    if total.unpriced:
        yield "calls without a price", number(total.unpriced)


def _spread(spread: Spread) -> Iterator[str]:
    yield number(spread.count)
    for name in ("mean", *_PARTS, "max"):
        yield ms(getattr(spread, name))


class _Page(Tables):
    """Prints statistics, a table after the other."""

    def __init__(self, tz: str, top: int) -> None:
        from ..analysis._zones import zone_of

        super().__init__()
        self._zone = zone_of(tz)
        self._tz = tz
        self._top = top
        self._year = ""

    def head(self, found: Stats, paths: Sequence[str]) -> None:
        """Print what it is about."""
        total = found.total
        more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
        say(", ".join(paths[:_MOST_PATHS]) + more, bold=True)
        told = [
            counted(total.events, "event"),
            counted(total.sessions, "session"),
            counted(total.users, "user"),
        ]
        if found.notices:
            told.append(counted(found.notices, "notice"))
        say(", ".join(told))
        if found.first is not None:
            first, last = self._time(found.first), self._time(found.last)
            say(f"{first} to {last}, {self._tz}")
            self._year = first[:5] if first[:5] == last[:5] else ""

    def _time(self, when: str | None) -> str:
        if when is None:
            return NOTHING
        try:
            local = datetime.datetime.fromisoformat(when).astimezone(self._zone)
        except OverflowError:
            return f"{when[:10]} {when[11:16]}"
        return local.strftime("%Y-%m-%d %H:%M")

    def groups(self, by: Sequence[str], groups: Sequence[Group]) -> None:
        """Print the figures of groups: of periods in their order, else those with the most calls first."""
        if not set(by) & {"hour", *PERIODS.values()}:
            groups = sorted(groups, key=lambda group: (-group.figures.calls, -group.figures.events))
        columns = {name: of for name, of in _OF_GROUP.items() if _is_told(name, groups)}
        rows = [
            [*(NOTHING if part is None else part for part in group.key)]
            + [of(group.figures) for of in columns.values()]
            for group in groups[:_MOST_GROUPS]
        ]
        self.table(f"By {', '.join(by)}", [*by, *columns], rows, len(by))
        self._more(len(groups) - _MOST_GROUPS)

    def counts(self, title: str, counts: Mapping[str, int], of: int = 0) -> None:
        """Print how many there are of each."""
        rows = [(name, number(count), share(count, of)) for name, count in counts.items()]
        self.table(title, (), rows[: self._top])
        if self._top:
            self._more(len(rows) - self._top)

    def _more(self, count: int) -> None:
        if count > 0:
            say(f"... and {count:,} more: --json prints all", dim=True)

    def busy(self, title: str, rows: Sequence[Busy]) -> None:
        """Print users or sessions."""
        self.table(
            title,
            ("", "calls", "tokens", "cost", "last"),
            [
                (
                    *(each.id, number(each.calls), short(each.tokens)),
                    *(usd(each.cost_usd), self._time(each.last)),
                )
                for each in rows
            ],
        )

    def calls(
        self, title: str, calls: Sequence[Call], name: str, of: Callable[[Call], str]
    ) -> None:
        """
        Print calls.

        Args:
            title: What stands above them.
            calls: The calls.
            name: The name of the number that they are sorted by.
            of: Gives this number.
        """
        self.table(
            title,
            ("time", "model", "session", name),
            [(self._short_time(each), _how(each), each.session_id, of(each)) for each in calls],
            3,
        )

    def _short_time(self, call: Call) -> str:
        """When a call ended, which says no year that all have."""
        when = self._time(call.timestamp)
        return when.removeprefix(self._year)


_MOST_PATHS = 3
_MOST_GROUPS = 200
_OF_GROUP: dict[str, Callable[[Figures], str]] = {
    "events": lambda figures: number(figures.events),
    "calls": lambda figures: number(figures.calls),
    "failed": lambda figures: number(figures.failed),
    "retried": lambda figures: number(figures.retried),
    "tokens": lambda figures: short(figures.tokens.total),
    "cost": lambda figures: usd(figures.cost_usd),
    "p50 ms": lambda figures: ms(figures.latency_ms.p50),
    "p95 ms": lambda figures: ms(figures.latency_ms.p95),
}


def _is_told(column: str, groups: Sequence[Group]) -> bool:
    """Whether a column of groups says something; there is room for few."""
    if column == "retried":
        return any(group.figures.retried for group in groups)
    if column == "events":
        return any(not group.figures.calls for group in groups)
    return True


def _how(call: Call) -> str:
    model = call.model or call.provider or NOTHING
    return model if call.outcome == "completed" else f"{model} ({call.outcome})"
