"""
What logs do not have: answers that never came, results of tools, events that handlers lost.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..errors import ReadError
from ..io._selection import selection_of
from ..io.reader import scan


__all__ = ["Call", "Gaps", "Loss", "gaps"]

_ANSWERS = frozenset(("completion", "embedding", "retrieval", "rerank"))

Path = str | os.PathLike[str]


class Call(msgspec.Struct, kw_only=True, omit_defaults=True):
    """
    A prompt or a call of a tool to which nothing came.

    Attributes:
        event_id: The event.
        timestamp: When it was.
        session_id: Its session.
        provider: Who was asked.
        model: The model that was asked for.
        tool: The name of the tool.
        attempts: How many attempts are known to have failed and to have been made again.
        pieces: How many pieces of an answer came.
    """

    event_id: str
    timestamp: str
    session_id: str
    provider: str | None = None
    model: str | None = None
    tool: str | None = None
    attempts: int = 0
    pieces: int = 0


class Loss(msgspec.Struct, kw_only=True):
    """
    Events that a handler could not write, as it told when it could again.

    Attributes:
        first: When the first one was lost.
        last: When the last one was.
        dropped: How many.
        by_cause: How many by each cause.
        told: When the handler told.
    """

    first: str
    last: str
    dropped: int
    by_cause: dict[str, int]
    told: str


class Gaps(msgspec.Struct):
    """
    What logs do not have.

    Attributes:
        prompts: Prompts without an answer or an error, the oldest first; those of a log that is written to
            may still be waiting.
        tool_calls: Calls of tools without a result, of answers that are there.
        losses: Events that were lost, and counted.
        dropped: How many these are together.
        events: How many events were read.
        until: The time of the latest event.
    """

    prompts: list[Call] = []
    tool_calls: list[Call] = []
    losses: list[Loss] = []
    dropped: int = 0
    events: int = 0
    until: str | None = None


class _Provenance(msgspec.Struct, gc=False):
    provider: Any = None
    model: Any = None
    request_model: Any = None


class _Extensions(msgspec.Struct, gc=False):
    reply_to: Any = None
    outcome: Any = None
    error: Any = None
    tool: Any = None
    notice: Any = None


class _Event(msgspec.Struct, gc=False):
    event_id: str
    timestamp: str
    session_id: str
    action: str
    provenance: _Provenance | None = None
    extensions: _Extensions | None = None


_NO_PROVENANCE, _NO_EXTENSIONS = _Provenance(), _Extensions()


def gaps(
    paths: Path | Iterable[Path],
    *,
    since: Any = None,
    until: Any = None,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Gaps:
    """
    Return what logs do not have, as far as they tell.

    A prompt is on record before its request leaves. One that nothing replied to is of a call that
    died with its process, was never awaited to its end, or whose answer was lost.

    Args:
        paths: As in `io.reader.read`.
        since: Only prompts, calls and losses of this time or later.
        until: Only those before this time.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for a time that is none.
        ReadError: for a path that is not there, if it is the only one.
    """
    open_ = _Open()
    # an answer may come after the time that is asked for
    for event in scan(paths, _Event, errors="skip", report=report, since=since, rotated=rotated):
        open_.take(event)
    return open_.gaps(until)


class _Open:
    """What waits for an answer, and answers whose prompts come later, as from another file."""

    def __init__(self) -> None:
        self._prompts: dict[str, Call] = {}
        self._tool_calls: dict[str, Call] = {}
        self._by_tool_id: dict[tuple[Any, str], str] = {}
        self._early: set[Any] = set()
        self._losses: list[Loss] = []
        self._events = 0
        self._latest = ""

    def take(self, event: _Event) -> None:
        """Take one more event."""
        extensions = event.extensions or _NO_EXTENSIONS
        if extensions.notice is not None:
            self._take_notice(event, extensions.notice)
            return
        self._events += 1
        self._latest = max(self._latest, event.timestamp)
        if event.action == "prompt":
            self._asked(self._prompts, event, None)
        elif event.action == "tool_call":
            self._tool_asked(event, extensions)
        elif event.action == "tool_result":
            self._tool_answered(event, extensions)
        elif extensions.reply_to is not None:
            self._replied(event, extensions)

    def _asked(self, waiting: dict[str, Call], event: _Event, tool: str | None) -> None:
        if event.event_id in self._early:
            self._early.discard(event.event_id)
            return
        provenance = event.provenance or _NO_PROVENANCE
        waiting[event.event_id] = Call(
            event_id=event.event_id,
            timestamp=event.timestamp,
            session_id=event.session_id,
            provider=_text(provenance.provider),
            model=_text(provenance.request_model) or _text(provenance.model),
            tool=tool,
        )

    def _replied(self, event: _Event, extensions: _Extensions) -> None:
        if type(extensions.reply_to) is not str:
            return
        prompt = self._prompts.get(extensions.reply_to)
        if event.action == "completion_chunk" or extensions.outcome == "retried":
            if prompt is not None:
                prompt.pieces += event.action == "completion_chunk"
                prompt.attempts += event.action != "completion_chunk"
        elif event.action in _ANSWERS or (event.action == "system" and extensions.error):
            if prompt is None:
                self._early.add(extensions.reply_to)
            else:
                del self._prompts[extensions.reply_to]

    def _tool_asked(self, event: _Event, extensions: _Extensions) -> None:
        tool = extensions.tool if type(extensions.tool) is dict else {}
        key = _key(event, tool)
        if key is not None and key in self._early:
            return
        self._asked(self._tool_calls, event, _text(tool.get("name")) or "")
        if key is not None and event.event_id in self._tool_calls:
            self._by_tool_id[key] = event.event_id

    def _tool_answered(self, event: _Event, extensions: _Extensions) -> None:
        tool = extensions.tool if type(extensions.tool) is dict else {}
        key = _key(event, tool)
        known = self._by_tool_id.pop(key, None) if key is not None else None
        reply_to = _text(extensions.reply_to)
        found = [self._tool_calls.pop(each, None) for each in (reply_to, known) if each]
        if not any(found):
            self._early.update(each for each in (reply_to, key) if each is not None)

    def _take_notice(self, event: _Event, notice: Any) -> None:
        if type(notice) is not dict or notice.get("kind") != "loss":
            return
        causes = notice.get("by_cause")
        by_cause = causes if type(causes) is dict else {}
        dropped = notice.get("dropped")
        self._losses.append(
            Loss(
                first=str(notice.get("from", event.timestamp)),
                last=str(notice.get("to", event.timestamp)),
                dropped=dropped if type(dropped) is int else 0,
                by_cause={name: n for name, n in by_cause.items() if type(n) is int},
                told=event.timestamp,
            )
        )

    def gaps(self, until: Any) -> Gaps:
        """Return what still waits, and what was lost."""
        selection = selection_of(None, until, None)

        def is_wanted(time: str) -> bool:
            return selection is None or selection.takes({"timestamp": time})

        losses = [loss for loss in self._losses if is_wanted(loss.first)]
        waiting = (self._prompts, self._tool_calls)
        prompts, calls = (
            sorted(
                (call for call in each.values() if is_wanted(call.timestamp)),
                key=lambda call: call.timestamp,
            )
            for each in waiting
        )
        dropped = sum(loss.dropped for loss in losses)
        return Gaps(prompts, calls, losses, dropped, self._events, self._latest or None)


def _key(event: _Event, tool: dict[str, Any]) -> tuple[Any, str] | None:
    """What a call and its result have in common where the result names no event: id and session."""
    call_id = tool.get("call_id")
    return (event.session_id, call_id) if type(call_id) is str else None


def _text(value: Any) -> str | None:
    return value if type(value) is str else None
