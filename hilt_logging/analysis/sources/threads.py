"""
The conversations in a trace, of which one may have several.
"""

from __future__ import annotations

import datetime

from collections.abc import Iterator

import msgspec

from ...integrations._conversations import Conversations
from .messages import asked_in
from .nested import around
from .runs import Feedback, Run, Trace


__all__ = ["threads_in"]

_LAST = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)


def threads_in(trace: Trace, known: Conversations) -> Iterator[Trace]:
    """
    Yield a trace for each conversation in one.

    A run is in the conversation that it names, or the next run around it that names one. All others
    are in that of the trace, or in the only one that is named.

    Args:
        trace: The trace.
        known: The conversations of the traces before.
    """
    sessions = _sessions_of(trace.runs)
    named = {*sessions.values(), *(each.session for each in trace.feedback)} - {None}
    default = trace.session if trace.is_named else next(iter(named)) if len(named) == 1 else None
    groups: dict[str | None, tuple[list[Run], list[Feedback]]] = {}
    for run in trace.runs:
        groups.setdefault(sessions[run.id] or default, ([], []))[0].append(run)
    for each in trace.feedback:
        session = each.session or sessions.get(each.run or "") or default
        if session is None and None not in groups and not each.run:
            session = next(iter(groups), None)
        groups.setdefault(session, ([], []))[1].append(each)
    for session, (runs, feedback) in groups.items():
        thread = msgspec.structs.replace(
            trace,
            session=session or trace.session,
            is_named=session is not None,
            user=next(filter(None, (run.user for run in runs)), trace.user),
            runs=runs,
            feedback=feedback,
        )
        if trace.is_recognisable and session is None:
            _recognise(thread, known)
        yield thread


def _sessions_of(runs: list[Run]) -> dict[str, str | None]:
    by_id = {run.id: run for run in runs}
    return {
        run.id: next((each.session for each in (run, *around(run, by_id)) if each.session), None)
        for run in runs
    }


def _recognise(trace: Trace, known: Conversations) -> None:
    """Let a trace without a name for its conversation be in that which its first call goes on with."""
    asked = (run for run in trace.runs if run.kind == "model" and run.given)
    first = min(asked, key=lambda run: (run.began or _LAST, run.id), default=None)
    if first is None:
        return
    try:
        session = known.find(asked_in(first.given).turns).session_id
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return  # what can't be understood is counted where events are made of it
    if session is not None:
        trace.session, trace.is_recognised = session, True
