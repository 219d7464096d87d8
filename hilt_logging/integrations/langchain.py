"""
LangChain and LangGraph: callback handlers that put every run on record.
"""

from __future__ import annotations

import functools
import importlib

from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Literal, TypeVar, cast, get_args

from .._diagnostics import Troubles, to_logger
from ..errors import ConfigurationError, MissingDependencyError, RecordingError
from ._answers import Answer, Failure, Prompt, ToolCall, failure_of
from ._calls import Recorder, safely
from ._capture import Outer, Settings, target_of
from ._fields import decoded, field, items, text
from ._langchain import (
    answer_of,
    call_fields,
    document,
    name_of,
    named_session,
    own_metadata,
    partial_of,
    prompt_of,
    said_in,
    said_of,
    sdk_of,
    turns_of,
)
from ._langchain_hooks import Configured, Offered, left_to
from ._langchain_states import histories_in, is_cut, plain, tool_result
from ._latest import Latest
from ._patching import Hook, Wrap
from ._runs import Run, Runs, outcome_of_error
from ._states import OnRecord


try:
    from langchain_core import __version__ as _version
    from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
except ImportError as error:
    raise MissingDependencyError("langchain-core", "langchain") from error


__all__ = ["AsyncHILTCallbackHandler", "HILTCallbackHandler", "client_key", "hooks"]

LOGGER = "hilt.langchain"
TARGET = target_of("langchain")
Capture = Literal["new", "all", "metadata"]
M = TypeVar("M", bound=Callable[..., None])
_troubles = Troubles(to_logger(__name__))


def _quiet(method: M) -> M:
    """Keep a callback from raising into the chain: what fails in it is counted and told."""

    @functools.wraps(method)
    def quiet(*args: Any, **kwargs: Any) -> None:
        try:
            method(*args, **kwargs)
        except RecordingError as error:
            args[0]._runs.end(kwargs.get("run_id"))
            if args[0].raise_error and method.__name__ in _BEFORE:
                raise
            _troubles.count(type(error).__name__, LOGGER)
        except Exception as error:
            _troubles.count(type(error).__name__, LOGGER)

    return cast("M", quiet)


_together: ContextVar[list[Outer]] = ContextVar("hilt_logging_together")
_BEFORE = ("on_chat_model_start", "on_llm_start")
"""Where nothing has left yet, so that a handler set up to raise may stop it."""


class _Records:
    """What all our handlers are: where an application has its own, `instrument` adds none."""


class HILTCallbackHandler(_Records, BaseCallbackHandler):
    """
    Records what LangChain runs: models, tools, retrievers, chains and LangGraph's nodes.

    Args:
        session: Anything with `append(event)`; the logger `hilt.langchain` has the events in any
            case.
        session_id: The conversation of runs that name none. What is bound comes first, then the
            `session_id`, `thread_id` or `conversation_id` of a run's metadata, then this one, else
            each outermost run is a conversation of its own.
        include_metrics: Whether events say what it took: tokens, cost, time.
        capture: `new`, what a conversation did not have before; `all`, every request and every
            state whole; `metadata`, no content.

    Raises:
        ConfigurationError: for a session without `append`, an empty `session_id`, an
            `include_metrics` that is not a bool, or an unknown `capture`.
    """

    raise_error = False
    run_inline = True  # in the caller's task, where what is bound can be seen

    def __init__(
        self,
        session: Any = None,
        session_id: str | None = None,
        include_metrics: bool = True,
        *,
        capture: Capture = "new",
    ) -> None:
        super().__init__()
        if session is not None and not callable(getattr(session, "append", None)):
            raise ConfigurationError("session", session, "Must have append(event)")
        if session_id is not None and (not isinstance(session_id, str) or not session_id):
            raise ConfigurationError("session_id", session_id, "Must be a string that is not empty")
        if not isinstance(include_metrics, bool):
            raise ConfigurationError("include_metrics", include_metrics, "Must be True or False")
        if capture not in get_args(Capture):
            allowed = ", ".join(get_args(Capture))
            raise ConfigurationError("capture", capture, f"Must be one of: {allowed}")
        recorder, library = Recorder(LOGGER, session), f"langchain-core/{_version}"
        self._session = session
        self._own = Settings(capture)
        self._runs = Runs(recorder, session_id, include_metrics, library)
        self._given = Latest()  # results of tools that are on record
        self._on_record = OnRecord()

    def __deepcopy__(self, memo: dict[int, Any]) -> HILTCallbackHandler:
        return self  # the copy of a model goes on recording to the same place

    # models

    @_quiet
    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: Any, **kwargs: Any
    ) -> None:
        """Record the prompt of a chat model."""
        settings = self._settings()
        if settings is not None:
            turns = [message for batch in messages for message in batch]
            run = self._started_model(serialized, run_id, kwargs, settings)
            prompt = run.call.read(prompt_of, turns, Prompt())
            prompt.tool_results = [r for r in prompt.tool_results if self._is_new(run, r.call_id)]
            self._asks(run, prompt, serialized, run_id, kwargs)

    @_quiet
    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record the prompt of a model that completes text."""
        settings = self._settings()
        if settings is not None:
            said = "\n".join(prompt for prompt in prompts if isinstance(prompt, str))
            run = self._started_model(serialized, run_id, kwargs, settings)
            self._asks(run, Prompt(text=said), serialized, run_id, kwargs)

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
            answer = run.call.read(answer_of, response, Answer())
            for tool in answer.tool_calls:
                self._given.pop((run.call.session_id, tool.call_id))
            run.answered(answer)
            run.remember(self._on_record, safely(said_of, response, []))

    @_quiet
    def on_llm_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        """Record that a model failed, or that its stream was left, after what had come of it."""
        run = self._ended("model", run_id, kwargs)
        if run is not None:
            run.stopped(error, run.call.read(partial_of, kwargs.get("response"), Answer()))
            run.remember(self._on_record, [])

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
        if run.taken_by is None:
            run.call.retried(failure, retry={k: v for k, v in known.items() if v is not None})
        run.again()

    # tools

    @_quiet
    def on_tool_start(self, serialized: Any, input_str: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record that a tool is run, unless a model is on record as having asked for it."""
        settings = self._settings()
        if settings is not None:
            run = self._started("tool", serialized, run_id, kwargs, settings=settings)
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
            if run.call.has_content and text(output, "type") == "tool":
                given = turns_of([output])
                self._on_record.put(run.call.session_id, given, run.call.noted_id)

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
        settings = self._settings()
        if settings is not None:
            run = self._started("retriever", serialized, run_id, kwargs, settings=settings)
            run.query = query if isinstance(query, str) else None

    @_quiet
    def on_retriever_end(self, documents: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record a search and what it found."""
        run = self._ended("retriever", run_id, kwargs)
        if run is not None:
            found = items({"documents": documents}, "documents")
            run.found(**run.content(documents=[document(each) for each in found]))

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
        settings = self._settings()
        if settings is not None:
            run = self._started("chain", serialized, run_id, kwargs, settings=settings)
            if run.parent is None and run.named is None:
                nothing: tuple[list[dict[str, Any]], ...] = ()
                run.call.goes_on(*run.call.read(histories_in, inputs, nothing))
            self._boundary(run, {"phase": "start"}, inputs=inputs)

    @_quiet
    def on_chain_end(self, outputs: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record that it ends."""
        run = self._ended("chain", run_id, kwargs)
        if run is not None:
            told = {"timed": True, "outcome": "completed", "phase": "end"}
            self._boundary(run, told, outputs=outputs)

    @_quiet
    def on_chain_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        """Record that it fails, is cancelled, or hands over to the graph around it."""
        self._stopped("chain", error, run_id, kwargs)

    # what runs say on their way

    @_quiet
    def on_text(self, text: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record a text that a run shows."""
        if self._settings() is not None:
            self._current(run_id, kwargs).says(text=text if isinstance(text, str) else None)

    @_quiet
    def on_custom_event(self, name: str, data: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record an event of the application's own."""
        if self._settings() is not None:
            run = self._current(run_id, kwargs)
            run.says(custom={"name": plain(name), **run.content(data=plain(data))})

    @_quiet
    def on_agent_action(self, action: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record what an agent decides to do."""
        if self._settings() is not None:
            run = self._current(run_id, kwargs)
            given = run.content(tool_input=plain(field(action, "tool_input")))
            agent = {"phase": "action", "tool": text(action, "tool"), **given}
            run.says(text=text(action, "log"), agent=agent)

    @_quiet
    def on_agent_finish(self, finish: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Record what an agent ends with."""
        if self._settings() is not None:
            run = self._current(run_id, kwargs)
            given = run.content(outputs=plain(field(finish, "return_values")))
            run.says(text=text(finish, "log"), agent={"phase": "finish", **given})

    # runs

    def _settings(self) -> Settings | None:
        """How a run that begins here is recorded; None if it is not."""
        return self._own if self._runs.listens() else None

    def _asks(
        self, run: Run, prompt: Prompt, serialized: Any, run_id: Any, kwargs: dict[str, Any]
    ) -> None:
        size = kwargs.get("batch_size", 1)
        if size == 1:
            run.asks(prompt, self._session, sdk_of(serialized), run_id)
            return
        # of several that are asked in one go, nobody could tell which call of the SDK is whose
        if not 0 < len(_together.get([])) < size:
            _together.set([])
        run.together = _together.get()
        run.asks(prompt, self._session, None, run_id)

    def _boundary(self, run: Run, told: dict[str, Any], **state: Any) -> None:
        """Record the start or the end of a chain, without the messages that are on record."""
        ((name, value),) = state.items()
        if not run.call.has_content:
            run.note(**told)
            return
        session_id, new = run.call.session_id, cast("list[dict[str, Any]]", [])

        def fold(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
            folded, more = self._on_record.folded(session_id, turns)
            new.extend(more)
            return folded

        shown = plain(value, fold if run.settings.capture == "new" else None)
        run.note(**told, **{name: shown})
        if new and not is_cut(shown):
            self._on_record.put(session_id, new, run.call.noted_id)

    def _started(
        self, kind: str, serialized: Any, run_id: Any, kwargs: dict[str, Any], **known: Any
    ) -> Run:
        name = name_of(serialized, kwargs) or kind
        known |= _known(kwargs)
        return self._runs.start(kind, name, run_id, kwargs.get("parent_run_id"), **known)

    def _started_model(
        self, serialized: Any, run_id: Any, kwargs: dict[str, Any], settings: Settings
    ) -> Run:
        known = call_fields(serialized, kwargs.get("metadata"), kwargs.get("invocation_params"))
        return self._started("model", serialized, run_id, kwargs, settings=settings, **known)

    def _ended(self, kind: str, run_id: Any, kwargs: dict[str, Any]) -> Run | None:
        """The run that ends, also one whose start nobody heard; None when nobody listens."""
        run = self._runs.end(run_id)
        if run is not None or self._runs.is_over(run_id) or self._settings() is None:
            return run
        return self._unheard(kind, run_id, kwargs)

    def _current(self, run_id: Any, kwargs: dict[str, Any]) -> Run:
        return self._runs.get(run_id) or self._unheard("chain", run_id, kwargs)

    def _unheard(self, kind: str, run_id: Any, kwargs: dict[str, Any]) -> Run:
        name, parent_id = name_of(None, kwargs) or kind, kwargs.get("parent_run_id")
        known = {"settings": self._settings() or self._own, **_known(kwargs)}
        return self._runs.make(kind, name, run_id, parent_id, timed=False, **known)

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
            self._boundary(
                run, {"timed": True, "phase": "end", "control": name}, outputs=error.args
            )
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


class _Everywhere(HILTCallbackHandler):
    """The one of `instrument`, which has its settings from there."""

    raise_error = True  # of a prompt alone, where the logging was set up to raise

    def _settings(self) -> Settings | None:
        return TARGET.settings(None)

    def __reduce__(self) -> Any:
        return _of_this_process, ()  # what a run hands to another process has it


class AsyncHILTCallbackHandler(_Records, AsyncCallbackHandler):
    """
    The same for asynchronous code: each callback can be awaited.

    Args:
        session: As in `HILTCallbackHandler`.
        session_id: As in `HILTCallbackHandler`.
        include_metrics: As in `HILTCallbackHandler`.
        capture: As in `HILTCallbackHandler`.

    Raises:
        ConfigurationError: as in `HILTCallbackHandler`.
    """

    raise_error = False
    run_inline = True

    def __init__(
        self,
        session: Any = None,
        session_id: str | None = None,
        include_metrics: bool = True,
        *,
        capture: Capture = "new",
    ) -> None:
        super().__init__()
        self._handler = HILTCallbackHandler(session, session_id, include_metrics, capture=capture)

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncHILTCallbackHandler:
        return self


class _Done(Coroutine[Any, Any, None]):
    """
    What a callback returns, whose work is done when it is called.

    In synchronous code LangChain awaits on a loop of its own, from where an SDK's call could not
    see whose it is.
    """

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        raise error[0]

    def close(self) -> None:
        return


_DONE = _Done()


def _awaitable(name: str) -> Callable[..., Any]:
    method = getattr(HILTCallbackHandler, name)

    @functools.wraps(method)
    def callback(self: AsyncHILTCallbackHandler, *args: Any, **kwargs: Any) -> _Done:
        method(self._handler, *args, **kwargs)
        return _DONE

    return callback


for _callback in [name for name in vars(HILTCallbackHandler) if name.startswith("on_")]:
    setattr(AsyncHILTCallbackHandler, _callback, _awaitable(_callback))


# what instrument() puts into LangChain

_everywhere = _Everywhere()
_offered = Offered(TARGET, _everywhere)


def _of_this_process() -> _Everywhere:
    return _everywhere


def client_key(client: Any) -> Any:
    """Return None: of LangChain all runs are recorded, or those that are given a handler."""
    return None


def hooks(module: ModuleType) -> list[Hook]:
    """Return what `instrument` puts into a module of LangChain."""
    base: Any = importlib.import_module("langchain_core.callbacks.base")
    add_handler = left_to(_Records, _Everywhere)
    return [
        Configured(module, _offered, _Records),
        Wrap(base.BaseCallbackManager, "add_handler", add_handler),
    ]
