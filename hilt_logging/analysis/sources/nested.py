"""
Calls within calls: which of them is the call, so that what it took is counted once.
"""

from __future__ import annotations

import itertools

from collections import Counter
from collections.abc import Iterator

from .messages import answer_in
from .runs import Run, began


__all__ = ["around", "let_one_speak", "tell_apart"]

_CALLS = ("model", "embedding")
_DEEPEST = 200


def tell_apart(runs: list[Run]) -> None:
    """
    Let each call of a model, and each embedding, be told once, with what it took.

    Where a framework's run and that of the SDK within it are both the same kind of call, the inner
    one is the call, unless only the outer one knows what was said. What a step sums up is not
    counted beside the calls.
    """
    by_id = {run.id: run for run in runs}
    if any(run.kind in _CALLS for run in runs):
        for run in runs:
            if run.kind == "step":
                run.tokens = run.cost_usd = None
    for kind in _CALLS:
        _tell_apart([run for run in runs if run.kind == kind], kind, by_id)


def _tell_apart(calls: list[Run], kind: str, by_id: dict[str, Run]) -> None:
    within: dict[str, list[Run]] = {}
    own = {run.id: (bool(run.tokens), run.cost_usd is not None) for run in calls}
    for run in calls:
        before = itertools.takewhile(lambda each: each.kind != "tool", around(run, by_id))
        known = [each for each in before if each.id in own]
        outer = [each for each in known if each.kind == kind]
        if outer and not run.has_content():
            between = known[: known.index(outer[0]) + 1]
            _add_to(outer[0], run, [own[each.id] for each in between])
            continue
        for each in outer:
            within.setdefault(each.id, []).append(run)
    for run in calls:
        inner = [each for each in within.get(run.id, ()) if each.kind == kind]
        if inner:
            _stands_for(run, inner)


def _add_to(call: Run, run: Run, told: list[tuple[bool, bool]]) -> None:
    """Let a run around another be the call that this is, with what several within it took."""
    if run.tokens and not any(has_tokens for has_tokens, _ in told):
        sums = Counter(call.tokens or {})
        sums.update(run.tokens)
        call.tokens = dict(sums)
    if run.cost_usd is not None and not any(has_cost for _, has_cost in told):
        call.cost_usd = (call.cost_usd or 0.0) + run.cost_usd
    run.kind, run.tokens, run.cost_usd = "covered", None, None


def _stands_for(run: Run, others: list[Run]) -> None:
    """Let other runs be the call that a run is, too; what it took is theirs where they do not say."""
    kept = next((each for each in reversed(others) if each.error is None), others[-1])
    if not any(map(_tells_tokens, others)):
        kept.tokens = run.tokens
    if all(each.cost_usd is None for each in others):
        kept.cost_usd = run.cost_usd
    run.kind, run.tokens, run.cost_usd = "covered", None, None


def _tells_tokens(run: Run) -> bool:
    """Whether it is known what a call took, be it from its answer."""
    try:
        return bool(run.tokens or answer_in(run.gave).tokens)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return False


def let_one_speak(runs: list[Run]) -> None:
    """Let the first step stand for a call, where there is none of a model."""
    if any(run.kind == "model" for run in runs):
        return
    ids = {run.id for run in runs}
    roots = [run for run in runs if run.kind == "step" and run.parent not in ids]
    root = min((each for each in roots if each.has_content()), key=began, default=None)
    if root is not None:
        root.kind = "exchange"


def around(run: Run, by_id: dict[str, Run]) -> Iterator[Run]:
    """Yield the runs around a run, the next one first."""
    seen = {run.id}
    for _ in range(_DEEPEST):
        outer = by_id.get(run.parent or "")
        if outer is None or outer.id in seen:
            return
        seen.add(outer.id)
        yield outer
        run = outer
