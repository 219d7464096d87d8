"""
What a report shows of statistics: charts over time, and the first ones of each list.
"""

from __future__ import annotations

import datetime

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ._charts import Bars, Range, bars, periods_between, ranges, unit_of
from ._figures import Figures, Group, Spread
from ._page import compact, usd
from .gaps import Gaps


__all__ = [
    "KINDS",
    "Model",
    "Ranked",
    "Timed",
    "charts",
    "first_of",
    "latest_of",
    "models_of",
    "ranked",
    "timed",
    "unit_between",
]

KINDS = {"failed": "f-bad", "retried": "f-warn", "refused": "f-off", "stopped": "s7"}
"""What calls and attempts come to beside answers, each with its class in the style."""

_MOST_ROWS, _MOST_COUNTED = 20, 12

_Values = dict[tuple[str, str], float]


class Ranked(msgspec.Struct):
    """
    The first ones of a list.

    Attributes:
        shown: These.
        all: How many there are.
        largest: The number of the one that has the most.
    """

    shown: Sequence[Any]
    all: int
    largest: int = 0


class Model(msgspec.Struct):
    """
    A model.

    Attributes:
        name: Its name.
        figures: Its figures.
        share: Which part of all cost is its own.
    """

    name: str | None
    figures: Figures
    share: float | None


class Timed(msgspec.Struct):
    """
    How fast a model is.

    Attributes:
        name: Its name.
        spread: Its times.
        range: Where their bar is.
    """

    name: str | None
    spread: Spread
    range: Range | None


def unit_between(first: str | None, last: str | None) -> str:
    """Return what the time between two timestamps is divided into."""
    try:
        days = [datetime.datetime.fromisoformat((each or "")[:13]) for each in (first, last)]
    except ValueError:  # none, or such as a 30th of February
        return "day"
    return unit_of(*days)


def charts(unit: str, groups: Sequence[Group]) -> dict[str, Bars]:
    """
    Return the charts of cost, tokens and errors, with the same bars of time.

    Args:
        unit: What a bar is of.
        groups: The figures by period, of months where the unit is years, and model.
    """
    cost: _Values = {}
    tokens: _Values = {}
    errors: _Values = {}
    for group in groups:
        period, model = group.key
        if period is not None:
            period = period[:4] if unit == "year" else period
            _add(cost, (period, model or ""), group.figures.cost_usd)
            _add(tokens, (period, model or ""), group.figures.tokens.total)
            for kind in KINDS:
                _add(errors, (period, kind), getattr(group.figures, kind))
    keys = [period for period, _ in cost]
    periods = periods_between(unit, min(keys), max(keys)) if keys else []
    names = _names(cost, tokens)
    happened = [kind for kind in KINDS if any(errors.get((each, kind)) for each in keys)]
    return {
        "cost": bars(unit, cost, label=usd, names=names, periods=periods),
        "tokens": bars(unit, tokens, label=compact, names=names, periods=periods),
        "errors": bars(
            unit, errors, label=compact, names=happened, periods=periods, are_whole=True
        ),
    }


def _add(values: _Values, key: tuple[str, str], more: float | None) -> None:
    values[key] = values.get(key, 0.0) + (more or 0.0)


def _names(*values: _Values) -> list[str]:
    """The names of series, those with the largest sums first, so that they have one colour each."""
    sums: dict[str, list[float]] = {}
    for number, each in enumerate(values):
        for (_, name), value in each.items():
            sums.setdefault(name, [0.0] * len(values))[number] -= value
    return sorted((name for name in sums if any(sums[name])), key=lambda name: (sums[name], name))


def models_of(groups: Sequence[Group], cost: float | None) -> list[Model]:
    """Return the models that were called, the dearest first."""
    made = [
        Model(group.key[0], group.figures, _share(group.figures.cost_usd, cost))
        for group in groups
        if group.figures.calls or group.figures.tokens.total or group.figures.cost_usd
    ]
    return sorted(made, key=lambda each: (-(each.figures.cost_usd or 0), -each.figures.calls))


def _share(part: float | None, of: float | None) -> float | None:
    return part / of if part is not None and of else None


def timed(models: Sequence[Model], name: str) -> list[Timed]:
    """Return the times of models, where there are any; *name* is that of the figure."""
    found = [(each.name, getattr(each.figures, name)) for each in models]
    shown = [(model, spread) for model, spread in found if spread.count][:_MOST_ROWS]
    places = ranges((spread.p50, spread.p95, spread.p99) for _, spread in shown)
    return [
        Timed(model, spread, place) for (model, spread), place in zip(shown, places, strict=True)
    ]


def ranked(counts: Mapping[str, int]) -> Ranked:
    """Return the most frequent ones of what was counted."""
    shown = list(counts.items())[:_MOST_COUNTED]
    return Ranked(shown, len(counts), max((number for _, number in shown), default=0))


def first_of(rows: Sequence[Any], largest: int = 0) -> Ranked:
    """Return the first ones of rows."""
    return Ranked(rows[:_MOST_ROWS], len(rows), largest)


def latest_of(found: Gaps, most: int) -> dict[str, Any]:
    """Return the latest gaps of each kind."""
    losses = [
        {
            "first": loss.first,
            "last": loss.last,
            "dropped": loss.dropped,
            "causes": list(loss.by_cause.items())[:_MOST_COUNTED],
        }
        for loss in found.losses[-most:]
    ]
    return {
        "prompts": found.prompts[-most:],
        "tool_calls": found.tool_calls[-most:],
        "losses": losses,
    }
