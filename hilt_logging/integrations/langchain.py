"""
LangChain and LangGraph: callback handlers that put every run on record.
"""

from __future__ import annotations

import functools

from collections.abc import Callable
from typing import Any, TypeVar, cast

from .._diagnostics import Troubles, to_logger
from ..errors import ConfigurationError, MissingDependencyError
from ._answers import Answer, Failure, Prompt, ToolCall, failure_of
from ._calls import Recorder, safely
from ._fields import decoded, field, items, text
from ._langchain import (
    answer_of,
    call_fields,
    document,
    name_of,
    named_session,
    own_metadata,
    partial_of,
    plain,
    prompt_of,
    said_in,
    tool_result,
)
from ._latest import Latest
from ._runs import Run, Runs, outcome_of_error


try:
    from langchain_core import __version__ as _version
    from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
except ImportError as error:
    raise MissingDependencyError("langchain-core", "langchain") from error


__all__ = ["AsyncHILTCallbackHandler", "HILTCallbackHandler"]

LOGGER = "hilt.langchain"
M = TypeVar("M", bound=Callable[..., None])
_troubles = Troubles(to_logger(__name__))


def _quiet(method: M) -> M:
    """Keep a callback from raising into the chain: what fails in it is counted and told."""

    @functools.wraps(method)
    def quiet(*args: Any, **kwargs: Any) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:
            _troubles.count(type(error).__name__, LOGGER)

    return cast("M", quiet)


class HILTCallbackHandler(BaseCallbackHandler):
    """
    Records what LangChain runs: models, tools, retrievers, chains and LangGraph's nodes.

    Args:
        session: Anything with `append(event)`; the logger `hilt.langchain` has the events in any
            case.
        session_id: The conversation of runs that name none. What is bound comes first, then the
            `session_id`, `thread_id` or `conversation_id` of a run's metadata, then this one, else
            each outermost run is a conversation of its own.
        include_metrics: Whether events say what it took: tokens, cost, time.

    Raises:
        ConfigurationError: for a session without `append`, an empty `session_id`, or an
            `include_metrics` that is not a bool.
    """

    raise_error = False
    run_inline = True  # in the caller's task, where what is bound can be seen

    def __init__(
        self, session: Any = None, session_id: str | None = None, include_metrics: bool = True
    ) -> None:
        super().__init__()
        if session is not None and not callable(getattr(session, "append", None)):
            raise ConfigurationError("session", session, "Must have append(event)")
        if session_id is not None and (not isinstance(session_id, str) or not session_id):
            raise ConfigurationError("session_id", session_id, "Must be a string that is not empty")
        if not isinstance(include_metrics, bool):
            raise ConfigurationError("include_metrics", include_metrics, "Must be True or False")
        recorder, library = Recorder(LOGGER, session), f"langchain-core/{_version}"
        self._runs = Runs(recorder, session_id, include_metrics, library)
        self._given = Latest()  # results of tools that are on record

    def __deepcopy__(self, memo: dict[int, Any]) -> HILTCallbackHandler:
        return self  # the copy of a model goes on recording to the same place

    # models

    @_quiet
    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: Any, **kwargs: Any
    ) -> None:
        """Record the prompt of a chat model."""
        if self._runs.listens():
            turns = [message for batch in messages for message in batch]
            prompt = safely(prompt_of, turns, Prompt())
            run = self._started_model(serialized, run_id, kwargs)
            prompt.tool_results = [r for r in prompt.tool_results if self._is_new(run, r.call_id)]
            run.call.asked(prompt)

    @_quiet
    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record the prompt of a model that completes text."""
        if self._runs.listens():
            said = "\n".join(prompt for prompt in prompts if isinstance(prompt, str))
            self._started_model(serialized, run_id, kwargs).call.asked(Prompt(text=said))

    @_quiet
    def on_llm_new_token(self, token: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Take a piece of a stream."""
        run = self._runs.get(run_id)
        if run is not None:
            run.by_token = True
            run.piece(said_in(token, kwargs.get("chunk")))

    @_quiet
    def on_stream_event(self, event: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Take an event of a stream's protocol, unless the pieces come one by one as well."""
        run = self._runs.get(run_id)
        if run is not None and not run.by_token and text(event, "event") == "content-block-delta":
            delta = field(event, "delta")
            is_text = text(delta, "type") == "text-delta"
            run.piece((text(delta, "text") or "") if is_text else "")

    @_quiet
    def on_llm_end(self, response: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record the answer of a model."""
        run = self._ended("model", run_id, kwargs)
        if run is not None:
            answer = safely(answer_of, response, Answer())
            for tool in answer.tool_calls:
                self._given.pop((run.call.session_id, tool.call_id))
            run.answered(answer)

    @_quiet
    def on_llm_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        """Record that a model failed, or that its stream was left, after what had come of it."""
        run = self._ended("model", run_id, kwargs)
        if run is not None:
            run.stopped(error, safely(partial_of, kwargs.get("response"), Answer()))

    @_quiet
    def on_retry(self, retry_state: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record an attempt that failed and is made again."""
        outcome = field(retry_state, "outcome")
        error = None if outcome is None else outcome.exception()
        failure = Failure("unknown") if error is None else failure_of(error)
        known = {
            "attempt": field(retry_state, "attempt_number"),
            "wait_s": field(field(retry_state, "next_action"), "sleep"),
        }
        run = self._current(run_id, kwargs)
        run.call.retried(failure, retry={k: v for k, v in known.items() if v is not None})

    # tools

    @_quiet
    def on_tool_start(self, serialized: Any, input_str: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record that a tool is run, unless a model is on record as having asked for it."""
        if self._runs.listens():
            run = self._started("tool", serialized, run_id, kwargs)
            given = kwargs.get("inputs")
            arguments = plain(decoded(input_str) if given is None else given)
            run.call.tool_called(ToolCall(run.name, run.tool_call_id, arguments))

    @_quiet
    def on_tool_end(self, output: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record what a tool gave."""
        run = self._ended("tool", run_id, kwargs)
        if run is not None:
            result = tool_result(output)
            result.name = result.name or run.name
            result.call_id = result.call_id or run.tool_call_id
            self._is_new(run, result.call_id)
            run.call.tool_gave(result)

    @_quiet
    def on_tool_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        """Record that a tool failed, or that it waits for somebody."""
        self._stopped("tool", error, run_id, kwargs)

    # retrievers

    @_quiet
    def on_retriever_start(
        self, serialized: Any, query: Any, *, run_id: Any, **kwargs: Any
    ) -> None:
        """Remember what is searched for."""
        if self._runs.listens():
            run = self._started("retriever", serialized, run_id, kwargs)
            run.query = query if isinstance(query, str) else None

    @_quiet
    def on_retriever_end(self, documents: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record a search and what it found."""
        run = self._ended("retriever", run_id, kwargs)
        if run is not None:
            found = items({"documents": documents}, "documents")
            run.found(documents=[document(each) for each in found])

    @_quiet
    def on_retriever_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        """Record a search that failed."""
        run = self._runs.get(run_id)
        if run is not None:
            run.found(outcome=outcome_of_error(error))
        self._stopped("retriever", error, run_id, kwargs)

    # chains

    @_quiet
    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record that a chain, a graph or a node of it begins."""
        if self._runs.listens():
            run = self._started("chain", serialized, run_id, kwargs)
            run.note(phase="start", inputs=plain(inputs))

    @_quiet
    def on_chain_end(self, outputs: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record that it ends."""
        run = self._ended("chain", run_id, kwargs)
        if run is not None:
            run.note(timed=True, outcome="completed", phase="end", outputs=plain(outputs))

    @_quiet
    def on_chain_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        """Record that it fails, is cancelled, or hands over to the graph around it."""
        self._stopped("chain", error, run_id, kwargs)

    # what runs say on their way

    @_quiet
    def on_text(self, text: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record a text that a run shows."""
        if self._runs.listens():
            self._current(run_id, kwargs).says(text=text if isinstance(text, str) else None)

    @_quiet
    def on_custom_event(self, name: str, data: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record an event of the application's own."""
        if self._runs.listens():
            self._current(run_id, kwargs).says(custom={"name": plain(name), "data": plain(data)})

    @_quiet
    def on_agent_action(self, action: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record what an agent decides to do."""
        if self._runs.listens():
            given = plain(field(action, "tool_input"))
            agent = {"phase": "action", "tool": text(action, "tool"), "tool_input": given}
            self._current(run_id, kwargs).says(text=text(action, "log"), agent=agent)

    @_quiet
    def on_agent_finish(self, finish: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record what an agent ends with."""
        if self._runs.listens():
            agent = {"phase": "finish", "outputs": plain(field(finish, "return_values"))}
            self._current(run_id, kwargs).says(text=text(finish, "log"), agent=agent)

    # runs

    def _started(
        self, kind: str, serialized: Any, run_id: Any, kwargs: dict[str, Any], **known: Any
    ) -> Run:
        name = name_of(serialized, kwargs) or kind
        known |= _known(kwargs)
        return self._runs.start(kind, name, run_id, kwargs.get("parent_run_id"), **known)

    def _started_model(self, serialized: Any, run_id: Any, kwargs: dict[str, Any]) -> Run:
        known = call_fields(serialized, kwargs.get("metadata"), kwargs.get("invocation_params"))
        return self._started("model", serialized, run_id, kwargs, **known)

    def _ended(self, kind: str, run_id: Any, kwargs: dict[str, Any]) -> Run | None:
        """The run that ends, also one whose start nobody heard; None when nobody listens."""
        run = self._runs.end(run_id)
        if run is not None or not self._runs.listens():
            return run
        return self._unheard(kind, run_id, kwargs)

    def _current(self, run_id: Any, kwargs: dict[str, Any]) -> Run:
        return self._runs.get(run_id) or self._unheard("chain", run_id, kwargs)

    def _unheard(self, kind: str, run_id: Any, kwargs: dict[str, Any]) -> Run:
        name, parent_id = name_of(None, kwargs) or kind, kwargs.get("parent_run_id")
        return self._runs.make(kind, name, run_id, parent_id, timed=False, **_known(kwargs))

    def _stopped(
        self, kind: str, error: BaseException, run_id: Any, kwargs: dict[str, Any]
    ) -> None:
        run = self._ended(kind, run_id, kwargs)
        if run is None:
            return
        if outcome_of_error(error) == "cancelled":
            # what is awaited in one go is not told that it is cancelled; what is around it is
            for inner in self._runs.end_within(run_id):
                inner.stopped(error)
        if _hands_over(error):
            name = type(error).__name__
            run.note(timed=True, phase="end", control=name, outputs=plain(error.args))
        else:
            run.stopped(error)

    def _is_new(self, run: Run, call_id: str | None) -> bool:
        """Whether a tool's result is not on record; from now on it is."""
        if call_id is None:
            return True
        key = (run.call.session_id, call_id)
        known = self._given.get(key)
        self._given.put(key, True)
        return known is None


def _known(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        "named_session": named_session(kwargs.get("metadata")),
        "tool_call_id": text(kwargs, "tool_call_id"),
        "extensions": own_metadata(kwargs),
    }


def _hands_over(error: BaseException) -> bool:
    """Whether it is LangGraph's way to pause or to route, which is no failure."""
    return any(
        base.__name__ == "GraphBubbleUp" and base.__module__.startswith("langgraph")
        for base in type(error).__mro__
    )


class AsyncHILTCallbackHandler(AsyncCallbackHandler):
    """
    The same for asynchronous code: each callback is a coroutine.

    Args:
        session: As in `HILTCallbackHandler`.
        session_id: As in `HILTCallbackHandler`.
        include_metrics: As in `HILTCallbackHandler`.

    Raises:
        ConfigurationError: as in `HILTCallbackHandler`.
    """

    raise_error = False
    run_inline = True

    def __init__(
        self, session: Any = None, session_id: str | None = None, include_metrics: bool = True
    ) -> None:
        super().__init__()
        self._handler = HILTCallbackHandler(session, session_id, include_metrics)

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncHILTCallbackHandler:
        return self


def _as_coroutine(name: str) -> Callable[..., Any]:
    method = getattr(HILTCallbackHandler, name)

    @functools.wraps(method)
    async def callback(self: AsyncHILTCallbackHandler, *args: Any, **kwargs: Any) -> None:
        method(self._handler, *args, **kwargs)

    return callback


for _callback in [name for name in vars(HILTCallbackHandler) if name.startswith("on_")]:
    setattr(AsyncHILTCallbackHandler, _callback, _as_coroutine(_callback))
