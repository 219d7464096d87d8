"""
Calls within calls: which of them is the call, so that what it took is counted once.
"""

from __future__ import annotations

import itertools

from collections import Counter
from collections.abc import Iterator

from .runs import Run, began


__all__ = ["tell_apart"]

_DEEPEST = 200


def tell_apart(runs: list[Run]) -> None:
    """
    Let each call of a model be told once, with what it took.

    Where a framework's run and that of the SDK within it are both calls of a model, the inner one is
    the call, unless only the outer one knows what was said.
    """
    by_id = {run.id: run for run in runs}
    models = [run for run in runs if run.kind == "model"]
    within: dict[str, list[Run]] = {}
    own = {run.id: (bool(run.tokens), run.cost_usd is not None) for run in models}
    for run in models:
        around = itertools.takewhile(lambda each: each.kind != "tool", _around(run, by_id))
        calls = [each for each in around if each.id in own]
        outer = [each for each in calls if each.kind == "model"]
        if outer and not run.has_content():
            between = calls[: calls.index(outer[0]) + 1]
            _add_to(outer[0], run, [own[each.id] for each in between])
            continue
        for each in outer:
            within.setdefault(each.id, []).append(run)
    for run in models:
        inner = [each for each in within.get(run.id, ()) if each.kind == "model"]
        if inner:
            _stands_for(run, inner)
    if not any(run.kind == "model" for run in runs):
        roots = [run for run in runs if run.kind == "step" and run.parent not in by_id]
        root = min((each for each in roots if each.has_content()), key=began, default=None)
        if root is not None:
            root.kind = "exchange"


def _add_to(call: Run, run: Run, told: list[tuple[bool, bool]]) -> None:
    """Let a run around another be the call that this is, with what several within it took."""
    if run.tokens and not any(has_tokens for has_tokens, _ in told):
        sums = Counter(call.tokens or {})
        sums.update(run.tokens)
        call.tokens = dict(sums)
    if run.cost_usd is not None and not any(has_cost for _, has_cost in told):
        call.cost_usd = (call.cost_usd or 0.0) + run.cost_usd
    run.kind, run.tokens, run.cost_usd = "step", None, None


def _stands_for(run: Run, others: list[Run]) -> None:
    """Let other runs be the call that a run is, too; what it took is theirs where they do not say."""
    kept = next((each for each in reversed(others) if each.error is None), others[-1])
    if not any(each.tokens for each in others):
        kept.tokens = run.tokens
    if all(each.cost_usd is None for each in others):
        kept.cost_usd = run.cost_usd
    run.kind, run.tokens, run.cost_usd = "step", None, None


def _around(run: Run, by_id: dict[str, Run]) -> Iterator[Run]:
    seen = {run.id}
    for _ in range(_DEEPEST):
        outer = by_id.get(run.parent or "")
        if outer is None or outer.id in seen:
            return
        seen.add(outer.id)
        yield outer
        run = outer
