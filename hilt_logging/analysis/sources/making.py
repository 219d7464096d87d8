"""
The fields that the events of a run have, whatever it was.
"""

from __future__ import annotations

import datetime
import re

from collections import Counter
from typing import Any

from ...events import to_timestamp
from ...integrations._langchain import bounded, own_metadata
from ...schema import HILT_VERSION
from ...snapshot import snapshot
from .messages import text_of
from .runs import EPOCH, Run, Trace


__all__ = ["Event", "Maker", "end_of", "metrics_of", "present"]

Event = dict[str, Any]

_SPAN_ID = re.compile("[0-9a-f]{16}")
_MOST_FIELD = 2_000


class Maker:
    """
    Makes the events of a trace.

    Args:
        trace: The trace.
        lost: Counts what is in the trace and in no event.
    """

    def __init__(self, trace: Trace, lost: Counter[str]) -> None:
        self._trace = trace
        self._lost = lost
        self._session_source = "history" if trace.is_recognised else "new"
        if trace.is_named:
            self._session_source = "request"

    def price(self, run: Run) -> dict[str, str] | None:
        """Return who said what a run cost."""
        return None if run.cost_usd is None else {"source": self._trace.source}

    def about(self, run: Run) -> dict[str, Any]:
        """Return what the tool knows of a run that has no other place."""
        more = {"from": self._trace.source, "id": run.id, "name": run.name}
        for name, value in run.more.items():
            if value in (None, "", {}, []):
                continue
            if len(text_of(value)) <= _MOST_FIELD:
                more[name] = bounded(value)
            else:
                self._lost[f"fields of more than {_MOST_FIELD:,} characters"] += 1
        known = own_metadata({"metadata": run.metadata, "tags": run.tags})
        return {**known, "imported": more}

    def event(
        self,
        run: Run,
        suffix: str,
        action: str,
        actor: tuple[str, str],
        at: datetime.datetime | None,
        *,
        provenance: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Event:
        """Return an event of a run."""
        is_call = run.kind in ("model", "exchange", "embedding")
        known = {
            "provider": run.provider,
            "model": run.model if action not in ("prompt", "tool_result") else None,
            "request_model": run.request_model,
            "call_id": run.id if is_call else None,
            "trace_id": self._trace.id,
            "span_id": run.id if _SPAN_ID.fullmatch(run.id) else None,
            "run_id": run.id,
            "parent_run_id": run.parent,
        }
        whole_provenance = known | (provenance or {})
        return self.made(
            f"{run.id}.{suffix}",
            action,
            actor,
            at or run.ended,
            provenance=whole_provenance,
            **fields,
        )

    def made(
        self,
        event_id: str,
        action: str,
        actor: tuple[str, str],
        at: datetime.datetime | None,
        *,
        content: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> Event:
        """Return an event of the trace."""
        told = {
            "user_id": self._trace.user,
            "session_source": self._session_source,
            **(extensions or {}),
        }
        if at is None:
            self._lost["times: the event is dated 1970"] += 1
        event = {
            "hilt_version": HILT_VERSION,
            "event_id": event_id,
            "timestamp": to_timestamp(at or EPOCH),
            "session_id": self._trace.session,
            "actor": {"type": actor[0], "id": actor[1] or "unknown"},
            "action": action,
            "content": present(content or {}),
            "provenance": present(provenance or {}),
            "metrics": present(metrics or {}),
            "extensions": present(told),
        }
        made: Event = snapshot({name: value for name, value in event.items() if value})
        return made


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def end_of(run: Run) -> datetime.datetime | None:
    """Return when a run was over; what ended before it began is over then."""
    if run.ended is None or (run.began is not None and run.ended < run.began):
        return run.began or run.ended
    return run.ended


def metrics_of(
    run: Run, tokens: dict[str, int] | None, *, is_timed_only: bool = False
) -> dict[str, Any]:
    """Return how long a run took, and of a call what it used."""
    timed = {"latency_ms": _ms(run.began, run.ended)}
    if is_timed_only:
        return timed
    first_ms = _ms(run.began, run.first)
    return {**timed, "time_to_first_token_ms": first_ms, "tokens": tokens, "cost_usd": run.cost_usd}


def _ms(start: datetime.datetime | None, end: datetime.datetime | None) -> int | None:
    if start is None or end is None or end < start:
        return None
    return round((end - start) / datetime.timedelta(milliseconds=1))
