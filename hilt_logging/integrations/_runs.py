"""
Runs of a framework on their way: kept apart by their ids, each with its events and its conversation.
"""

from __future__ import annotations

import functools
import logging
import weakref

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from ..context import current
from ..events import Actor
from ._answers import Answer, Prompt, failure_of, is_cancelled
from ._calls import Call, Recorder, safely
from ._capture import EVERYTHING, Outer, Settings, surrounding, target_of
from ._latest import Latest
from ._states import OnRecord


__all__ = ["Run", "Runs", "call_of", "outcome_of_error"]


class Run(msgspec.Struct, weakref=True, eq=False):
    """
    A run on its way.

    Attributes:
        call: Its events.
        kind: model, chain, tool or retriever.
        name: Of the chain, tool or retriever.
        parent: The id of the run around it.
        named: The conversation that its metadata name, or those of a run around it.
        tool_call_id: Of a tool, the id by which a model asked for it.
        query: Of a retriever.
        chunks: Pieces of its stream so far.
        first_ms: When the first piece with text came.
        by_token: Whether pieces come one by one, and not only as events of a protocol.
        settings: How it is recorded.
        outer: Of a model, what an SDK's call within may take.
        together: These of all models that are asked in one go.
        held: The prompt, while such a call is expected to record it.
        turns: What a model is asked.
        alive: Tells when nobody has the run any more.
    """

    call: Call
    kind: str
    name: str
    parent: str | None = None
    named: str | None = None
    tool_call_id: str | None = None
    query: str | None = None
    chunks: int = 0
    first_ms: int | None = None
    by_token: bool = False
    settings: Settings = EVERYTHING
    outer: Outer | None = None
    together: list[Outer] = []
    held: Prompt | None = None
    turns: list[dict[str, Any]] = []
    alive: Any = None

    def asks(self, prompt: Prompt, session: Any, sdk: str | None, run_id: Any) -> None:
        """
        Record what a model is asked, unless its SDK will.

        Args:
            prompt: The prompt.
            session: Where the SDK's events go, too.
            sdk: The one that the model is expected to call, and that may record it.
            run_id: The framework's id of the run, which it forgets with it.
        """
        self.turns = prompt.turns
        is_expected = sdk is not None and target_of(sdk).takes_over()
        if is_expected:
            self.held = prompt
        else:
            self.call.asked(prompt)
        if isinstance(run_id, UUID):
            self.outer = Outer(self.call, session, is_recorded=not is_expected, owner=run_id)
            self.outer.open()
            self.together.append(self.outer)

    @property
    def taken_by(self) -> Call | None:
        """The SDK's call that stands for it so far."""
        outer = self.outer
        return None if outer is None or outer.is_recorded else outer.taken_by

    def content(self, **content: Any) -> dict[str, Any]:
        """Return what of its content is to be recorded."""
        return content if self.call.has_content else {}

    def again(self) -> None:
        """Let the next call of the SDK within stand for it, as the last one failed."""
        if self.outer is not None:
            self.outer.taken_by = None

    def taken(self) -> Call | None:
        """Return the SDK's call that stands for it; if there is none, its prompt is on record."""
        held, self.held = self.held, None
        if self.outer is not None:
            self.outer.close()
        if held is not None and self.taken_by is None:
            safely(functools.partial(self.call.asked, late=True), held, None)
        return self.taken_by

    def note(self, *, timed: bool = False, outcome: str | None = None, **more: Any) -> None:
        """Record a boundary of it."""
        actor = Actor(type="system", id=self.name)
        self.call.noted("system", actor, timed=timed, outcome=outcome, **self._place(more))

    def says(self, **said: Any) -> None:
        """Record something that it says on its way."""
        self.call.noted("system", Actor(type="system", id=self.name), **said)

    def found(self, **found: Any) -> None:
        """Record the search that it is."""
        actor = Actor(type="tool", id=self.name)
        self.call.noted("retrieval", actor, text=self.query, timed=True, **found)

    def piece(self, said: str) -> None:
        """Take a piece of its stream."""
        taken = self.taken()  # the SDK's call has begun; from here on the caller's own may
        self.chunks += 1
        if said and self.first_ms is None:
            self.first_ms = self.call.latency_ms()
        if said and taken is None:
            self.call.chunk(said)

    def answered(self, answer: Answer) -> None:
        """Record the answer of a model."""
        if self.taken() is None:
            self.call.answered(self._streamed(answer))

    def left(self) -> None:
        """Record that nobody goes on with it."""
        if self.kind == "model":
            self.answered(Answer(outcome="closed_early" if self.chunks else "abandoned"))
        else:
            self.note(timed=True, outcome="abandoned", phase="end")

    def remember(self, on_record: OnRecord, said: list[dict[str, Any]]) -> None:
        """Tell which events have what a model was asked and what it said."""
        call = self.taken() or self.call
        if call.has_content:
            on_record.put(call.session_id, self.turns, call.prompt_id)
            on_record.put(call.session_id, said, call.completion_id)

    def stopped(self, error: BaseException, partial: Answer | None = None) -> None:
        """Record that it ends with an exception, after what had come of a model's answer."""
        outcome = outcome_of_error(error)
        if self.kind == "model":
            self._model_stopped(error, outcome, self._streamed(partial or Answer()))
        elif outcome == "failed":
            self.call.failed(failure_of(error), **self._place({"phase": "end"}))
        else:
            self.note(timed=True, outcome=outcome, phase="end")

    def _model_stopped(self, error: BaseException, outcome: str, partial: Answer) -> None:
        taken = self.taken()
        if taken is not None:
            if outcome == "failed" and taken.error_id is None:  # of what came after the SDK
                self.call.failed_around(taken, failure_of(error), self.name)
            return
        for each in self.together:  # the others are given up, and nobody is told
            each.close()
        if outcome != "failed":
            partial.outcome = outcome
            self.call.answered(partial)
            return
        came = partial.text or partial.messages or partial.chunks
        self.call.failed(failure_of(error), partial if came else None)

    def _streamed(self, answer: Answer) -> Answer:
        if self.chunks:
            answer.chunks, answer.time_to_first_token_ms = self.chunks, self.first_ms
        return answer

    def _place(self, more: dict[str, Any]) -> dict[str, Any]:
        """The extension that says which chain, tool or retriever it is about."""
        known = {"name": self.name, "call_id": self.tool_call_id, **more}
        return {self.kind: {name: value for name, value in known.items() if value is not None}}


def outcome_of_error(error: BaseException) -> str:
    """Return our word for how a run ended that ended with an exception."""
    if isinstance(error, GeneratorExit):
        return "closed_early"
    return "cancelled" if is_cancelled(error) else "failed"


class Runs:
    """
    All runs that one handler hears of.

    Args:
        recorder: Where their events go.
        session_id: The conversation of those runs whose metadata name none.
        measured: Whether events say what it took.
        library: For `provenance.library`.
    """

    def __init__(
        self, recorder: Recorder, session_id: str | None, measured: bool, library: str
    ) -> None:
        self._recorder = recorder
        self._session_id = session_id
        self._measured = measured
        self._library = library
        self._open = Latest()
        self._over = Latest()

    def __len__(self) -> int:
        return len(self._open)

    def listens(self) -> bool:
        """Return whether anybody would get any event."""
        return self._recorder.listens(logging.ERROR)

    def start(self, kind: str, name: str, run_id: Any, parent_id: Any, **known: Any) -> Run:
        """Return a new run; the arguments are those of `make`."""
        run, key = self.make(kind, name, run_id, parent_id, **known), str(run_id)
        self._open.put(key, run)
        _everywhere[key] = run
        if kind in _UNTOLD and isinstance(run_id, UUID):
            tell = functools.partial(_let_go, weakref.ref(self), key)
            run.alive = weakref.ref(run_id, tell)
        return run

    def get(self, run_id: Any) -> Run | None:
        """Return a run that has started and not ended."""
        run: Run | None = self._open.get(str(run_id))
        return run

    def end(self, run_id: Any) -> Run | None:
        """Return a run and forget it."""
        key = str(run_id)
        run: Run | None = self._open.pop(key)
        if run is not None:
            self._over.put(key, True)
        return run

    def is_over(self, run_id: Any) -> bool:
        """Return whether a run has ended; LangChain tells of the end of some streams twice."""
        return self._over.get(str(run_id)) is not None

    def end_within(self, run_id: Any) -> list[Run]:
        """Return the runs that a run is directly around, and forget them."""
        inner = [key for key, run in self._open.items() if run.parent == str(run_id)]
        return [run for run in map(self.end, inner) if run is not None]

    def make(
        self,
        kind: str,
        name: str,
        run_id: Any,
        parent_id: Any = None,
        *,
        named_session: str | None = None,
        tool_call_id: str | None = None,
        settings: Settings = EVERYTHING,
        **known: Any,
    ) -> Run:
        """
        Return a run that is not kept.

        Args:
            kind: model, chain, tool or retriever.
            name: What it is called.
            run_id: The framework's id of it, a UUID or a text.
            parent_id: Of the run around it.
            named_session: The conversation that its metadata name.
            tool_call_id: The id by which a model asked for a tool.
            settings: How it is recorded.
            known: Further arguments of `Call`.
        """
        around = None if parent_id is None else self.get(parent_id) or _run_of(parent_id)
        parent = None if parent_id is None else str(parent_id)
        named = named_session or (around.named if around else None)
        given = None if named else self._session_id
        provenance = {"run_id": str(run_id), "library": self._library}
        call = Call(
            self._recorder,
            session_id=current().session_id or given,
            named_session=named,
            within=around.call if around else surrounding(),
            provenance=provenance | ({} if parent is None else {"parent_run_id": parent}),
            measured=self._measured,
            settings=settings,
            threaded=kind == "model",
            source=None if kind == "model" else name,
            **known,
        )
        return Run(call, kind, name, parent, named, tool_call_id, settings=settings)


_everywhere: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
"""The open runs of all handlers."""


def _run_of(run_id: Any) -> Run | None:
    return _everywhere.get(str(run_id))


def call_of(run_id: Any) -> Call | None:
    """Return the events of an open run, whichever handler hears of it."""
    run = _run_of(run_id)
    return None if run is None else run.call


_UNTOLD = ("model", "retriever")
"""Of these LangChain does not tell that they are cancelled; but it forgets their ids."""


def _let_go(runs: Callable[[], Runs | None], key: str, _: Any) -> None:
    """Record that a run was given up."""
    known = runs()
    run = None if known is None else known.end(key)
    if run is not None:
        safely(Run.left, run, None)
