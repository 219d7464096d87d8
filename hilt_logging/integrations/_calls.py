"""
The life of one call: asked, then answered or failed, as events.

An integration translates what its SDK gave into a `Prompt`, an `Answer` or a `Failure`; which
events these become, and how they are linked, is decided here alone.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import os
import time

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from .._diagnostics import Troubles, to_logger
from ..context import current, trace_ids
from ..emit import emit
from ..errors import RecordingError
from ..events import Actor, Content, Event, Metrics, encode, new_id
from ..snapshot import snapshot, type_name
from ._answers import (
    Answer,
    Failure,
    Prompt,
    ToolCall,
    ToolResult,
    failure_of,
    is_cancelled,
    part,
)
from ._capture import EVERYTHING, Outer, Settings, Target, hears, outer, surrounding
from ._conversations import Conversations, Place
from ._fields import decoded
from ._latest import Latest
from ._media import inlined
from ._pricing import cost_of
from ._prompts import prompt_from


__all__ = [
    "Call",
    "Recorder",
    "answered_turns",
    "begun",
    "event_of_answer",
    "in_progress",
    "is_answered",
    "is_on_record",
    "referring",
    "result_ids",
    "safely",
    "unreadable",
]

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
Tool = TypeVar("Tool", ToolCall, ToolResult)
_troubles = Troubles(to_logger(__name__))


def safely(translate: Callable[[S], T], source: S, otherwise: T) -> T:
    """Return what *translate* makes of a thing of the SDK; what it can't read is counted and told."""
    try:
        return translate(source)
    except Exception as error:
        unreadable(error, translate)
        return otherwise


def unreadable(error: Exception, translate: Callable[..., Any]) -> None:
    """Count and tell that a thing of the SDK could not be read."""
    _troubles.count(type(error).__name__, getattr(translate, "__module__", __name__))


class Recorder:
    """
    Where the events of an integration go: to a session if there is one, and to a logger.

    Args:
        logger: The logger, `hilt` or a child of it.
        session: Anything with `append(event)`.
    """

    def __init__(self, logger: str, session: Any = None) -> None:
        self.logger = logger
        self._target = logging.getLogger(logger)
        self._session = session
        self._append = getattr(session, "append", None)
        self._hands_on = _takes_logger(self._append)

    def listens(self, level: int = logging.INFO) -> bool:
        """
        Return whether anybody would get an event of a level.

        A session gets all events, but those of DEBUG only where the logger has them too.
        """
        if self._session is not None and level > logging.DEBUG:
            return True
        return self._target.isEnabledFor(level)

    def hears(self) -> bool:
        """Return whether anybody would get any event."""
        return self._session is not None or hears(self._target)

    def send(self, event: Event) -> str:
        """
        Hand an event over and return its id.

        A session that fails is counted and told; the logger gets the event all the same.

        Raises:
            RecordingError: of a handler that was set up to raise.
        """
        if self._session is not None and self._sent_to_session(event) and self._hands_on:
            return event.event_id
        emit(event, logger=self._target)
        return event.event_id

    def _sent_to_session(self, event: Event) -> bool:
        try:
            if self._append is None:
                raise TypeError("a session needs append()")
            if self._hands_on:
                self._append(event, logger=self.logger)
            else:
                self._append(event)
        except Exception as error:
            _troubles.count(type(error).__name__, f"session of {self.logger}")
            return False
        return True


class _Silent(Recorder):
    """For a call that is on record as a framework's run."""

    def listens(self, level: int = logging.INFO) -> bool:
        return False

    def hears(self) -> bool:
        return False

    def send(self, event: Event) -> str:
        return event.event_id


def _takes_logger(append: Any) -> bool:
    """Whether a session hands its events to a logger itself, as ours does."""
    if append is None:
        return False
    try:
        return "logger" in inspect.signature(append).parameters
    except (TypeError, ValueError):
        return False


def _quiet(
    method: Callable[Concatenate[Call, P], None],
) -> Callable[Concatenate[Call, P], None]:
    """Keep a method of `Call` from raising: what fails in it is counted and told."""

    def quiet(self: Call, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except RecordingError as error:
            if method.__name__ == "asked":  # nothing has left yet: the one place where it may stop
                raise
            _troubles.count(type(error).__name__, self.recorder.logger)
        except Exception as error:
            _troubles.count(type(error).__name__, self.recorder.logger)

    functools.update_wrapper(quiet, method)
    return quiet


_recorders: dict[str, Recorder] = {}
_in_progress: ContextVar[Call | None] = ContextVar("hilt_logging_call", default=None)
_process = [0]
_conversations = Conversations()


def _forked() -> None:
    """A child has the parent's calls, but they end in the parent."""
    _process[0] += 1
    _conversations.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def begun(
    target: Target, settings: Settings, request: Any, *, of_model: bool = True, **known: Any
) -> Call:
    """
    Return a call of an instrumented SDK that begins here.

    Args:
        target: The SDK.
        settings: What `Target.settings` told of it.
        request: The very object that the SDK's function is given.
        of_model: Whether it is a call of a model, and not one for embeddings.
        known: Further arguments of `Call`.
    """
    known.setdefault("threaded", True)
    around = outer() if of_model else None
    name = target.logger.name
    if around is not None and around.session is not None:
        recorder = Recorder(name, around.session)
    else:
        recorder = _recorders.get(name) or _recorders.setdefault(name, Recorder(name))
    call = Call(recorder, settings=settings, around=around, **_placed(around, known))
    call.request = request
    return call


def _placed(around: Outer | None, known: dict[str, Any]) -> dict[str, Any]:
    """What is known of a call, with the run of a framework that it is a part of."""
    within = surrounding() if around is None else None
    if within is None:
        return known
    run_id = within.run().get("run_id")
    provenance = {"parent_run_id": run_id, **(known.get("provenance") or {})}
    extensions = {**within.extensions, **(known.get("extensions") or {})}
    return {"within": within, **known, "provenance": provenance, "extensions": extensions}


def in_progress() -> Call | None:
    """Return the call whose request is on its way here."""
    return _in_progress.get()


def is_on_record(request: Any) -> bool:
    """Return whether a request is the one whose call is on its way: another tool hid our layer."""
    call = _in_progress.get()
    return call is not None and call.request is request


def event_of_answer(response_id: str) -> tuple[str | None, str | None]:
    """Return the event of an answer and its conversation, by the provider's id, where it is known."""
    known: tuple[str, str] | None = _events.get(response_id)
    return known or (None, None)


def is_answered(response_id: str) -> bool:
    """Return whether an answer is on record with what it took."""
    return _answered.get(response_id) is not None


class Call:
    """
    One call of a model. Each step is recorded at most once, and none of them raises.

    As a `with` block it is what surrounds the request: an exception is recorded as the call's end.

    Args:
        recorder: Where the events go.
        provider: As in `provenance.provider`.
        request_model: The model that is asked for.
        session_id: The conversation, as the caller names it; else what is bound, else a new one.
        named_session: The conversation as the request itself names it; what is bound wins.
        user_id: The person.
        assistant_id: The agent; the model by default.
        params: Of the request: temperature, max_tokens, ...
        provenance: Further fields, e.g. `run_id`.
        extensions: Further fields of every event.
        timed: Whether the call happens now, so that its latency can be measured.
        within: The call that this one is a part of: it goes on with its conversation.
        settings: How it is recorded.
        threaded: Whether its conversation is looked for, and is remembered.
        previous: The provider's id of the answer that it goes on from.
        likely_session: Which conversation it is, should its history fit several.
        around: The run of a framework that it stands for.
        measured: Whether its events say what it took.
        source: Which part of the software has something to say; the provider by default.

    Attributes:
        prompt_id: The event of its prompt; None until that is on record, as for the others.
        completion_id: Of its answer.
        error_id: Of its failure.
        noted_id: Of what was noted last.
        request: The very object that the SDK's function is given, while it is on its way.
    """

    prompt_id: str | None = None
    completion_id: str | None = None
    error_id: str | None = None
    noted_id: str | None = None
    request: Any = None
    _place: Place | None = None
    _has_system = False
    _attempts: int | None = None
    _token: Token[Call | None] | None = None

    def __init__(
        self,
        recorder: Recorder,
        *,
        provider: str | None = None,
        request_model: str | None = None,
        session_id: str | None = None,
        named_session: str | None = None,
        user_id: str | None = None,
        assistant_id: str | None = None,
        params: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
        extensions: dict[str, Any] | None = None,
        timed: bool = True,
        within: Call | None = None,
        settings: Settings = EVERYTHING,
        threaded: bool = False,
        previous: str | None = None,
        likely_session: str | None = None,
        around: Outer | None = None,
        measured: bool = True,
        source: str | None = None,
    ) -> None:
        self.recorder = recorder
        self.call_id = call_id = new_id()
        bound = current()
        if around is not None:
            around.taken_by = self
            within = around.call
            provenance = {**around.call.run(), **(provenance or {})}
            extensions = {**around.call.extensions, **(extensions or {})}
        given = _id(session_id) or bound.session_id
        self.session_id, self._session_source = _session(given, named_session, within)
        is_part = within is not None and (around is None or not within._is_open)
        self._is_open: bool = not is_part and self._session_source == "new"
        self._threaded = threaded
        self._previous = previous
        self._likely = likely_session
        self._settings = settings
        self._has_content = settings.capture != "metadata"
        self.prompt_id: str | None = None
        self.completion_id: str | None = None
        self.error_id: str | None = None
        self.noted_id: str | None = None
        self.tool: str | None = None
        self._user_id: str | None = (
            _id(user_id) or bound.user_id or (within._user_id if within else None)
        )
        self._assistant_id = _id(assistant_id)
        self._provider = provider
        self._request_model = request_model
        self._common: dict[str, Any] = {}
        if provider is not None:
            self._common["provider"] = provider
        if request_model is not None:
            self._common["request_model"] = request_model
        self._common["call_id"] = call_id
        if params:
            self._common["params"] = params
        if provenance:
            self._common |= _present(provenance)
        if timed and (traced := trace_ids()):
            self._common |= traced  # its end may come where another span is the current one
        self.extensions: dict[str, Any] = {**bound.extensions, **(extensions or {})}
        self._started = time.perf_counter() if timed else None
        self._measured = measured
        self._source = source or provider or recorder.logger
        self._process = _process[0]
        self._end = [True]
        if around is not None and around.is_recorded:
            self.recorder, self._end = _Silent(recorder.logger), []
        elif around is not None:
            self._measured = measured and around.call._measured

    def __enter__(self) -> Self:
        self._token = _in_progress.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                _in_progress.reset(token)
            except ValueError:  # a coroutine that is closed in another context than it ran in
                pass
        self.request = None
        if exc is not None:
            self.broke(exc)

    @property
    def has_content(self) -> bool:
        """Whether its events have what was said."""
        return self._has_content

    def run(self) -> dict[str, Any]:
        """Return the ids of the framework's run that it is, for `provenance`."""
        return {k: self._common[k] for k in ("run_id", "parent_run_id") if k in self._common}

    def read(self, translate: Callable[[S], T], source: S, otherwise: T) -> T:
        """Return what *translate* makes of a thing of the SDK, as `safely`, with media as wanted."""
        if self._settings.media == "reference":
            return safely(translate, source, otherwise)
        with inlined():
            return safely(translate, source, otherwise)

    def _may_end(self) -> bool:
        """Whether the end is not on record yet; from now on it is."""
        try:
            return self._end.pop() and self._process == _process[0]
        except IndexError:
            return False

    @_quiet
    def asked(self, prompt: Prompt, /, *, late: bool = False) -> None:
        """
        Record what is asked, before the request leaves.

        Args:
            prompt: The prompt.
            late: Whether the request has left already.

        Raises:
            RecordingError: of a handler that was set up to raise.
        """
        if self.recorder.listens(logging.INFO):
            told: dict[str, Any] = {}
            if self._threaded and prompt.turns:
                prompt, told = self._place_of(prompt)
            follows = None if self._place is None else self._place.follows
            for result, key in _keyed(prompt.tool_results, follows):
                self._tool_result(result, key)
            event = self._event(
                "prompt",
                Actor(type="human", id=self._user_id or "user"),
                content=_content(prompt.text, prompt.media, prompt.messages),
                **told,
            )
            self.prompt_id = self.recorder.send(event)
        if self._started is not None and not late:
            self._started = time.perf_counter()

    def _place_of(self, prompt: Prompt) -> tuple[Prompt, dict[str, Any]]:
        """What is to be recorded of a prompt, and what it follows."""
        session_id = None if self._is_open else self.session_id
        self._place = place = _conversations.find(
            prompt.turns, session_id, self._previous, self._likely
        )
        if self._is_open and place.session_id is not None:
            self.session_id = place.session_id
            self._session_source = "request" if self._previous else "history"
        if self._settings.capture != "new":
            self._has_system = place.systems > 0
            return prompt, {}
        needed = place.systems > 0 and _conversations.needs_system(place, self.session_id)
        self._has_system = needed
        news = prompt.turns[place.systems + place.start :]
        results = prompt.tool_results
        if results:
            new_ids = result_ids(news)
            results = [r for r in results if r.call_id in new_ids and not self._is_given(r)]
            prompt.tool_results = results
        if results:
            here = {each.call_id for each in results if each.call_id}
            news = [referring(turn, here) for turn in news]
        elif not place.start and needed == (place.systems > 0) and not self._previous:
            return prompt, {}
        told = prompt_from([*(prompt.turns[: place.systems] if needed else ()), *news], results)
        return told, {
            "follows": place.follows,
            "history": place.history(self._previous),
        }

    def _is_given(self, result: ToolResult) -> bool:
        """Whether the result is on record, as one that a framework's tool gave."""
        known = _given.get((self.session_id, result.call_id))
        if known is None:
            return False
        return known in (_hash_of(result.result), _hash_of(decoded(result.result)))

    @_quiet
    def chunk(self, piece: str) -> None:
        """Record one piece of a stream, at DEBUG."""
        is_ours = self._process == _process[0]
        if is_ours and self._has_content and self.recorder.listens(logging.DEBUG):
            event = self._event(
                "completion_chunk", self._agent(None), reply_to=self.prompt_id, text=piece
            )
            self.recorder.send(event)

    @_quiet
    def answered(self, answer: Answer) -> None:
        """Record an answer: a completion, a tool call for each tool, an error if it says so."""
        if not self._may_end():
            return
        self._completion(answer)
        if answer.failure is not None:
            self._error(answer.failure, answer)

    @_quiet
    def retried(self, failure: Failure, /, **extensions: Any) -> None:
        """Record an attempt that failed and is made again."""
        failure.outcome = "retried"
        self._error(failure, None, **extensions)
        self._attempts = (self._attempts or 1) + 1

    @_quiet
    def failed(self, failure: Failure, /, partial: Answer | None = None, **extensions: Any) -> None:
        """Record a failure, after what had come of the answer."""
        if not self._may_end():
            return
        if partial is not None:
            partial.outcome = failure.outcome
            self._completion(partial)
        self._error(failure, partial, **extensions)

    @_quiet
    def failed_around(self, inner: Call, failure: Failure, /, source: str) -> None:
        """
        Record a failure of what stands around a call that has an end of its own.

        It is no end of a call of a model, and so names none.

        Args:
            inner: That call.
            failure: What happened.
            source: Which part of the software has failed.
        """
        if self._may_end():
            self.prompt_id, self._source = inner.prompt_id, source
            for name in ("provider", "request_model", "params"):
                self._common.pop(name, None)
            self._error(failure, None)

    @_quiet
    def rejected(self, answer: Answer, error: BaseException, /) -> None:
        """Record an answer that came whole, and the exception that the SDK made of it."""
        if self._may_end():
            self._completion(answer)
            self._error(failure_of(error), answer)

    @_quiet
    def broke(self, error: BaseException, /, partial: Answer | None = None) -> None:
        """Record that it ended with an exception, or was cancelled, after what had come."""
        if partial is None or not is_cancelled(error):
            self.failed(failure_of(error), partial)
        elif self._may_end():
            partial.outcome = "cancelled"
            self._completion(partial)

    @_quiet
    def postponed(self, answer: Answer) -> None:
        """Record that the answer is not there yet."""
        answer.outcome = None
        place, self._place = self._place, None
        self._completion(answer)
        self._place = place

    @_quiet
    def unseen(self, response: Any, request_id: str | None = None) -> None:
        """Record an answer that the caller read past the SDK, whose words nobody saw."""
        outcome = "completed" if response.is_stream_consumed else "closed_early"
        if self._may_end():
            told = Answer(outcome=outcome, request_id=request_id)
            told.extensions = {"body": "not_seen"}
            self._completion(told)

    @_quiet
    def resumes(self, response_id: str) -> None:
        """Go on with the conversation of an answer, whose rest is asked for by its id."""
        place = _conversations.find([], None, response_id)
        if self._is_open and place.session_id is not None:
            self.session_id, self._session_source = place.session_id, "request"

    @_quiet
    def goes_on(self, *histories: list[dict[str, Any]]) -> None:
        """Go on with the conversation that ends like one of these, if that is one alone."""
        for turns in histories if self._is_open else ():
            place = _conversations.find([*turns, {"role": "user", "parts": []}])
            if place.session_id is not None:
                self.session_id, self._session_source = place.session_id, "history"
                return

    @_quiet
    def embedded(self, prompt: Prompt, answer: Answer, /, **extensions: Any) -> None:
        """Record that texts were embedded; the vectors are not kept."""
        if self._may_end():
            self._completion(answer, "embedding", prompt, **extensions)

    @_quiet
    def tool_called(self, tool: ToolCall) -> None:
        """Record that a tool is run, unless a model is on record as having asked for it."""
        self.tool = tool.name
        known_id, _, session_id = _asked_for.get(tool.call_id) or _NOBODY
        if session_id is not None and self._is_open:
            self.session_id, self._session_source = session_id, "request"
        self.prompt_id = known_id or self._tool_call(tool, Answer(), tool.call_id)

    @_quiet
    def tool_gave(self, result: ToolResult) -> None:
        """Record what a tool that was run gave."""
        self._tool_result(result, result.call_id, self.prompt_id, _latency(self.latency_ms()))

    @_quiet
    def noted(
        self,
        action: str,
        actor: Actor,
        /,
        *,
        text: str | None = None,
        timed: bool = False,
        **extensions: Any,
    ) -> None:
        """Record something else about it; the first event is what the others reply to."""
        event = self._event(
            action,
            actor,
            text=text,
            metrics=_latency(self.latency_ms()) if timed else None,
            reply_to=self.prompt_id,
            **extensions,
        )
        self.noted_id = self.recorder.send(event)
        self.prompt_id = self.prompt_id or self.noted_id

    def latency_ms(self) -> int | None:
        """Return milliseconds since the request left; None for a call that is long over."""
        if self._started is None:
            return None
        return round((time.perf_counter() - self._started) * 1000)

    def _completion(
        self,
        answer: Answer,
        action: str = "completion",
        prompt: Prompt | None = None,
        **extensions: Any,
    ) -> None:
        said = answer if prompt is None else prompt
        cost = None
        if answer.cost_usd is None and self._measured:
            cost = cost_of(self._provider, answer.model or self._request_model, answer.tokens)
        usd = answer.cost_usd if cost is None else cost.usd
        latency_ms = self.latency_ms()
        metrics = None
        if latency_ms is not None or answer.tokens or answer.chunks is not None or usd is not None:
            metrics = Metrics(
                latency_ms=latency_ms,
                time_to_first_token_ms=answer.time_to_first_token_ms,
                tokens=answer.tokens or None,
                cost_usd=usd if usd is not None and math.isfinite(usd) else None,
                chunks=answer.chunks,
                attempts=self._attempts,
            )
        event = self._event(
            action,
            self._agent(answer),
            content=_content(said.text, said.media, said.messages),
            metrics=metrics,
            answer=answer,
            price=None if cost is None else cost.price,
            reply_to=self.prompt_id,
            finish_reason=answer.finish_reason,
            outcome=answer.outcome,
            refusal=answer.refusal if self._has_content else None,
            usage=None if answer.tokens else "not_reported",
            **answer.extensions,
            **extensions,
        )
        self.completion_id = self.recorder.send(event)
        if self._place is not None:
            _conversations.answered(
                self._place,
                self.session_id,
                self.completion_id,
                answered_turns(answer),
                answer.response_id,
                has_system=self._has_system,
            )
        if answer.response_id:
            _events.put(answer.response_id, (self.completion_id, self.session_id))
        if answer.tokens and answer.response_id and self._previous is not None:
            _answered.put(answer.response_id, True)
        for tool, key in _keyed(answer.tool_calls, self.completion_id):
            self._tool_call(tool, answer, key)
        for result, key in _keyed(answer.tool_results, self.completion_id):
            self._tool_result(result, key)

    def _tool_call(self, tool: ToolCall, answer: Answer, key: str | None) -> str:
        event = self._event(
            "tool_call",
            self._agent(answer),
            answer=answer,
            reply_to=self.completion_id,
            tool=self._tool(tool.name, tool.call_id, tool.server, arguments=tool.arguments),
        )
        sent = self.recorder.send(event)
        if key:
            _asked_for.put(key, (sent, tool.name, self.session_id))
        _given.pop((self.session_id, tool.call_id))
        return sent

    def _tool_result(
        self,
        result: ToolResult,
        key: str | None,
        asked_id: str | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        known_id, known_name, _ = _asked_for.get(key) or _NOBODY
        name = result.name or known_name or "tool"
        given = result.result
        event = self._event(
            "tool_result",
            Actor(type="tool", id=name),
            text=given if isinstance(given, str) else None,
            metrics=metrics,
            reply_to=asked_id or known_id,
            outcome="failed" if result.failed else None,
            tool=self._tool(
                name,
                result.call_id,
                result.server,
                result=None if isinstance(given, str) else given,
            ),
        )
        self.noted_id = self.recorder.send(event)
        if result.call_id:
            _given.put((self.session_id, result.call_id), _hash_of(given))

    def _error(self, failure: Failure, partial: Answer | None, **extensions: Any) -> None:
        error = {
            "type": failure.type,
            "code": failure.code,
            "message": failure.message if self._has_content else None,
            "retry_after_s": failure.retry_after_s,
        }
        seen = partial or Answer()
        seen.request_id = seen.request_id or failure.request_id
        event = self._event(
            "system",
            Actor(type="system", id=self._source),
            answer=seen,
            metrics=_latency(self.latency_ms(), self._attempts),
            reply_to=self.prompt_id,
            outcome=failure.outcome,
            status_code=failure.status_code,
            error=_present(error),
            **extensions,
        )
        sent = self.recorder.send(event)
        if failure.outcome != "retried":
            self.error_id = sent

    def _tool(self, name: str, call_id: str | None, server: bool, **content: Any) -> dict[str, Any]:
        told = content if self._has_content else {}
        return _present({"name": name, "call_id": call_id, "server": server or None, **told})

    def _agent(self, answer: Answer | None) -> Actor:
        model = answer.model if answer is not None else None
        known = self._assistant_id or model or self._request_model or self._provider
        return Actor(type="agent", id=known or "assistant")

    def _event(
        self,
        action: str,
        actor: Actor,
        *,
        text: str | None = None,
        content: Content | None = None,
        metrics: Metrics | None = None,
        answer: Answer | None = None,
        price: dict[str, str] | None = None,
        **extensions: Any,
    ) -> Event:
        provenance = self._common.copy()
        if answer is not None:
            if answer.model is not None:
                provenance["model"] = answer.model
            if answer.response_id is not None:
                provenance["response_id"] = answer.response_id
            if answer.request_id is not None:
                provenance["request_id"] = answer.request_id
            if price is not None:
                provenance["price"] = price
        told = self.extensions.copy()
        if self._user_id is not None:
            told["user_id"] = self._user_id
        told["session_source"] = self._session_source
        for name, value in extensions.items():
            if value is not None:
                told[name] = value
        if text is not None:
            content = Content(text=text)
        return Event(
            action=action,
            actor=actor,
            session_id=self.session_id,
            content=content if self._has_content else None,
            provenance=provenance,
            metrics=metrics if self._measured else None,
            extensions=told,
        )


def _id(given: object) -> str | None:
    """A key of a database or a UUID is as good an id as a text; of anything else its type."""
    if given is None:
        return None
    plain = snapshot(given)
    if plain is None or type(plain) is str:
        return plain or None
    return str(plain) if type(plain) is int else type_name(type(given))


def _session(given: str | None, named: str | None, within: Call | None) -> tuple[str, str]:
    """The conversation, and what it is known from."""
    if given:
        return given, "bound"
    if within is not None and (named is None or within._session_source == "bound"):
        return within.session_id, within._session_source
    return (named, "request") if named else (new_id(), "new")


def _hash_of(given: Any) -> int:
    return hash(given) if type(given) is str else hash(encode(snapshot(given)))


def result_ids(turns: list[dict[str, Any]]) -> set[str | None]:
    """Return of which tools' calls the turns have results."""
    return {
        part.get("id")
        for turn in turns
        for part in turn["parts"]
        if part["type"] == "tool_call_response"
    }


def _keyed(tools: Sequence[Tool], event_id: str | None) -> Iterator[tuple[Tool, str | None]]:
    """Calls or results with the id of the call; without one, what they are of an answer's event."""
    counts: dict[str | None, int] = {}
    for each in tools:
        if each.call_id:
            yield each, each.call_id
            continue
        counts[each.name] = counts.get(each.name, 0) + 1
        yield each, f"{event_id} {each.name} {counts[each.name]}"


def referring(turn: dict[str, Any], ids: set[str]) -> dict[str, Any]:
    """Return a turn without results that have an event of their own, which the part's id names."""
    parts = [
        {"type": part["type"], "id": part["id"]}
        if part["type"] == "tool_call_response" and part.get("id") in ids
        else part
        for part in turn["parts"]
    ]
    return {**turn, "parts": parts}


def answered_turns(answer: Answer) -> list[dict[str, Any]]:
    """Return what was answered, one message for each choice, as the next request would repeat it."""
    if answer.messages:
        found = [{"role": "assistant", "parts": each["parts"]} for each in answer.messages]
    else:
        parts: list[dict[str, Any]] = []
        if answer.text:
            parts.append({"type": "text", "content": answer.text})
        for each in answer.tool_calls:
            if not each.server:
                named = {"id": each.call_id, "name": each.name, "arguments": each.arguments}
                parts.append(part("tool_call", **named))
        found = [{"role": "assistant", "parts": parts}]
    if answer.refusal:
        refusal = part("refusal", content=answer.refusal)
        found[0] = {"role": "assistant", "parts": [*found[0]["parts"], refusal]}
    return found


_events = Latest()
"""Which event has an answer, and its conversation, by the provider's id."""
_answered = Latest()
"""Answers that are on record with their tokens, by the provider's id."""
_given = Latest()
"""Results of tools that are on record, by session and the call's id."""


_NOBODY = (None, None, None)
_asked_for = Latest()
"""Which event asked for a tool, the tool and the conversation, by the call's id."""


def _content(
    text: str | None,
    media: list[dict[str, Any]] | None,
    messages: list[dict[str, Any]] | None,
) -> Content | None:
    if text is None and not media and not messages:
        return None
    return Content(text=text, media=media or None, messages=messages or None)


def _latency(latency_ms: int | None, attempts: int | None = None) -> Metrics | None:
    if latency_ms is None and attempts is None:
        return None
    return Metrics(latency_ms=latency_ms, attempts=attempts)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
