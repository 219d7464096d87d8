"""
What the calls of logs cost at other prices: compared, or as a new log in which the old cost is kept.
"""

from __future__ import annotations

import contextlib
import datetime
import os

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ..errors import ConfigurationError, InvalidEventError
from ..events import encode, read_time
from ..integrations._pricing import Cost, PriceList
from ..io.reader import Faults
from ..safeguards.chain import without_integrity
from ._inputs import Inputs, Paths, inputs_of
from ._lines import Line, Report
from ._outputs import demand_other, whole
from ._stored import stored_lines
from .search import Wanted, users_of
from .tables import COLUMNS


__all__ = ["GROUPS", "Costs", "Repriced", "reprice"]

_COST, _PRICE = "metrics.cost_usd", "provenance.price"
_USUAL = (None, "auto", "default", "standard", "standard_only")
_LEAST_USD = 1e-12
_cost = next(column.get for column in COLUMNS if column.name == "cost_usd")

Event = dict[str, Any]


class Costs(msgspec.Struct, kw_only=True):
    """
    Costs before and after.

    Attributes:
        key: What they are of: a model, a day, ...; None for all, and for calls that do not tell it.
        calls: How many calls tell their tokens or a cost.
        changed: The cost of how many is another now.
        added: How many of these had none.
        told: How many have a cost that provider or application told, which is left as it is.
        unpriced: How many have no price in any table.
        old_usd: What they cost before, as far as that is known.
        new_usd: What they cost now.
    """

    key: str | None = None
    calls: int = 0
    changed: int = 0
    added: int = 0
    told: int = 0
    unpriced: int = 0
    old_usd: float = 0.0
    new_usd: float = 0.0


class Repriced(msgspec.Struct, kw_only=True):
    """
    What became of the costs.

    Attributes:
        output: The log that was made; None where they were only compared.
        events: How many events were read.
        total: The costs of all calls.
        groups: The same by model, or by what was asked for.
        linked: How many events had evidence, which holds for the logs they come from: in the new log it
            is in `extensions.original_integrity`.
        faults: How many lines and files could not be read.
    """

    output: str | None
    events: int
    total: Costs
    groups: list[Costs]
    linked: int
    faults: int


def reprice(
    paths: Paths,
    output: str | os.PathLike[str] | None = None,
    *,
    prices: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    at: str | datetime.date = "event",
    told: bool = False,
    wanted: Wanted | None = None,
    by: str = "model",
    report: Report | None = None,
    rotated: bool = True,
    force: bool = False,
) -> Repriced:
    """
    Compare what calls cost with what they cost at other prices, and make a log with the latter.

    Prices are found as when calls are recorded: in one's own table, else in that of genai-prices. A call
    without a price in either keeps its cost, and so does one at a special price (of a batch, another
    service tier). What a provider or an application told, a cost without `provenance.price`, wins over
    tables. In the new log `extensions.original` keeps `metrics.cost_usd` and `provenance.price` as they
    were first; null says that there was no cost.

    Args:
        paths: Files, folders and patterns, of logs (plain, rotated, compressed), and of Parquet and SQLite
            that `convert` made. They are not changed.
        output: The new log; by default none is made.
        prices: One's own table, as in `integrations.set_prices`.
        at: The day whose prices count: `event`, the day of each; `today`; or a date. One's own table has
            the same prices for all days.
        told: Change costs that provider or application told, too.
        wanted: Only these events get other costs and are compared.
        by: What `groups` are: one of `model`, `provider`, `user`, `session`, `day` and `month`, in UTC.
        report: Is called with the error of each line that is no event, and of each file that can't be read.
        rotated: Whether a log that is named means its rotated files, too.
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for a wrong option, and an output that is there or is one of the inputs.
        MissingDependencyError: without *prices*, if genai-prices is not installed.
        ReadError: if the only path is not there.
    """
    if by not in GROUPS:
        raise ConfigurationError("by", by, f"Must be one of: {', '.join(GROUPS)}")
    tables = _Tables(PriceList(prices), _day(at), told)
    faults = Faults(report)
    inputs = inputs_of(paths, faults, rotated=rotated)
    work = _Work(inputs, tables, wanted, GROUPS[by], faults)
    target = None if output is None else os.fspath(output)
    if target is None:
        for _ in work.lines():
            pass
    else:
        demand_other(target, inputs.files)
        with whole(target, force=force) as part, open(part, "wb") as file:
            for line in work.lines():
                file.write(line + b"\n")
    return work.result(target, is_in_time=by in ("day", "month"))


def _day(at: str | datetime.date) -> datetime.date | None:
    """The day whose prices count; None for that of each event."""
    if isinstance(at, datetime.date):
        return at.date() if isinstance(at, datetime.datetime) else at
    if at == "event":
        return None
    if at == "today":
        return datetime.datetime.now(datetime.timezone.utc).date()
    try:
        return datetime.date.fromisoformat(at)
    except ValueError:
        raise ConfigurationError("at", at, "Must be event, today or a date: 2026-01-31") from None


class _Tables:
    """Prices of events."""

    def __init__(self, prices: PriceList, day: datetime.date | None, told: bool) -> None:
        self._prices = prices
        self._day = day
        self.told = told

    def cost(self, event: Event, tokens: Mapping[str, int]) -> Cost | None:
        """What an event costs; None where there is no price for it."""
        provenance = _part(event, "provenance")
        provider, model = provenance.get("provider"), _model(event)
        if type(provider) is not str or model is None or not tokens or _is_special(event):
            return None
        day = self._day or _date(event)
        return None if day is None else self._prices.cost_of(provider, model, tokens, day)


def _part(event: Event, name: str) -> Event:
    value = event.get(name)
    return value if type(value) is dict else {}


def _model(event: Event) -> str | None:
    provenance = _part(event, "provenance")
    names = (provenance.get("model"), provenance.get("request_model"))
    return next((name for name in names if type(name) is str and name), None)


def _is_special(event: Event) -> bool:
    tier = _part(_part(event, "provenance"), "params").get("service_tier")
    extensions = event.get("extensions", {})
    return tier not in _USUAL or type(extensions) is not dict or "batch" in extensions


def _date(event: Event) -> datetime.date | None:
    with contextlib.suppress(InvalidEventError, ValueError):
        return datetime.date.fromisoformat(read_time(event["timestamp"])[:10])
    return None


def _counts(event: Event) -> dict[str, int]:
    tokens = _part(event, "metrics").get("tokens")
    given = tokens.items() if type(tokens) is dict else ()
    return {name: count for name, count in given if type(count) is int and count >= 0}


def _provider(event: Event) -> str | None:
    provider = _part(event, "provenance").get("provider")
    return provider if type(provider) is str else None


def _in_time(size: int) -> Callable[[Event], str | None]:
    return lambda event: None if (day := _date(event)) is None else day.isoformat()[:size]


GROUPS: dict[str, Callable[[Event], str | None]] = {
    "model": _model,
    "provider": _provider,
    "user": lambda event: min(users_of(event), default=None),
    "session": lambda event: str(event["session_id"]),
    "day": _in_time(10),
    "month": _in_time(7),
}
"""What costs can be compared by."""


class _Work:
    """Lines on the way to another log, and what was counted on it."""

    def __init__(
        self,
        inputs: Inputs,
        tables: _Tables,
        wanted: Wanted | None,
        key: Callable[[Event], str | None],
        faults: Faults,
    ) -> None:
        self._inputs = inputs
        self._tables = tables
        self._wanted = wanted
        self._key = key
        self._faults = faults
        self._total = Costs()
        self._groups: dict[str | None, Costs] = {}
        self._events = self._linked = 0

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the new log."""
        for line in stored_lines(self._inputs, self._faults):
            self._events += 1
            self._linked += "integrity" in line.event
            is_wanted = self._wanted is None or self._wanted.takes(line.event)
            cost = self._compared(line.event) if is_wanted else None
            yield without_integrity(line.data if cost is None else _changed(line, cost))

    def _compared(self, event: Event) -> Cost | None:
        """Count a call; return its cost if that is another now."""
        tokens, old = _counts(event), _cost(event)
        if event["action"] == "completion_chunk" or (not tokens and old is None):
            return None
        is_told = old is not None and not _part(event, "provenance").get("price")
        is_kept = is_told and not self._tables.told
        cost = None if is_kept else self._tables.cost(event, tokens)
        new = old if cost is None else cost.usd
        is_changed = cost is not None and (old is None or abs(cost.usd - old) > _LEAST_USD)
        for costs in (self._total, self._group(event)):
            costs.calls += 1
            costs.changed += is_changed
            costs.added += is_changed and old is None
            costs.told += is_kept
            costs.unpriced += cost is None and not is_kept
            costs.old_usd += old or 0.0
            costs.new_usd += new or 0.0
        return cost if is_changed else None

    def _group(self, event: Event) -> Costs:
        key = self._key(event)
        if key not in self._groups:
            self._groups[key] = Costs(key=key)
        return self._groups[key]

    def result(self, output: str | None, *, is_in_time: bool) -> Repriced:
        """What was counted; groups in the order of time, or the dearest first."""
        groups = sorted(self._groups.values(), key=lambda costs: costs.key or "")
        if not is_in_time:
            groups.sort(key=lambda costs: -max(costs.old_usd, costs.new_usd))
        return Repriced(
            output=output,
            events=self._events,
            total=self._total,
            groups=groups,
            linked=self._linked,
            faults=self._faults.count,
        )


def _changed(line: Line, cost: Cost) -> bytes:
    event = line.event
    provenance, metrics = event["provenance"], event["metrics"]
    extensions = _part(event, "extensions")
    known = extensions.get("original")
    original = known if type(known) is dict else {} if known is None else {"original": known}
    if _COST not in original:
        original = {**original, _COST: metrics.get("cost_usd")}
        if "price" in provenance:
            original[_PRICE] = provenance["price"]
    metrics["cost_usd"], provenance["price"] = cost.usd, cost.price
    integrity = event.pop("integrity", None)
    event["extensions"] = {**extensions, "original": original}
    if integrity is not None:
        event["integrity"] = integrity
    return encode(event, ascii=line.data.isascii())
