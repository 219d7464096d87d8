"""
Your own functions on record: tools, searches, judgements, and calls of a provider without an SDK.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, get_args

from ..context import current
from ..emit import emit
from ..errors import ConfigurationError
from ..events import Metrics, feedback, retrieval
from ._answers import Answer, Prompt, ToolCall, failure_of, outcome_of
from ._calls import Call, begun, event_of_answer, safely
from ._capture import Settings, surrounding
from ._fields import as_messages, decoded, field, text
from ._openai import prompt_of
from ._tools import LOGGER, target_for, tool


__all__ = ["record_feedback", "record_retrieval", "tool", "turn"]

Capture = Literal["new", "all", "metadata"]
T = TypeVar("T")


def record_retrieval(
    query: str,
    documents: Iterable[Any] = (),
    *,
    source: str = "retriever",
    latency_ms: int | None = None,
    reply_to: str | None = None,
    session_id: str | None = None,
    logger: str = LOGGER,
    **extensions: Any,
) -> str | None:
    """
    Record a search and what it found.

    Args:
        query: What was searched for.
        documents: What was found: texts, dicts (`id`, `text`, `score`, `metadata`), or documents of
            LangChain.
        source: The retriever.
        latency_ms: How long it took.
        reply_to: The `event_id` of what it answers.
        session_id: The conversation; by default the one that is bound, or of the graph or tool
            that it is recorded in, else a new one.
        logger: The logger of the event.
        extensions: Any further fields.

    Returns:
        The event's id; None where nobody listens.

    Raises:
        ConfigurationError: for a logger that is not below `hilt`.
    """
    if target_for(logger).settings(None) is None:
        return None
    nothing: list[dict[str, Any]] = []
    event = retrieval(
        query,
        safely(_documents, documents, nothing),
        source=source,
        reply_to=reply_to,
        session_id=session_id or _session_id(),
        extensions=extensions,
    )
    if latency_ms is not None:
        event.metrics = Metrics(latency_ms=latency_ms)
    return emit(event, logger=logger)


def _documents(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [_document(each) for each in found]


def _document(found: Any) -> dict[str, Any]:
    if type(found) is dict:
        return dict(found)
    if isinstance(found, str):
        return {"text": found}
    known = {
        "id": text(found, "id"),
        "text": text(found, "page_content", "text", "content"),
        "score": field(found, "score"),
        "metadata": field(found, "metadata"),
    }
    return {name: value for name, value in known.items() if value}


def record_feedback(
    score: float | None = None,
    comment: str | None = None,
    *,
    reply_to: Any = None,
    user_id: str | None = None,
    session_id: str | None = None,
    logger: str = LOGGER,
    **extensions: Any,
) -> str | None:
    """
    Record a person's judgement of an answer.

    Args:
        score: A number on a scale of your own.
        comment: In words.
        reply_to: What is judged: an `event_id`, or the answer as the SDK gave it, or its id at the
            provider's. Of an answer that this process recorded, the event and the session are
            known; of any other, `provenance.response_id` has the provider's id.
        user_id: Who judges; by default the user that is bound.
        session_id: The conversation; by default the answer's, or the one that is bound.
        logger: The logger of the event.
        extensions: Any further fields.

    Returns:
        The event's id; None where nobody listens.

    Raises:
        ConfigurationError: for a logger that is not below `hilt`.
    """
    if target_for(logger).settings(None) is None:
        return None
    response_id = _response_id(reply_to)
    event_id, known = (None, None) if response_id is None else event_of_answer(response_id)
    is_foreign = not isinstance(reply_to, str)
    event = feedback(
        score,
        comment,
        reply_to=event_id or (None if is_foreign else reply_to),
        user_id=user_id,
        session_id=session_id or known or _session_id(),
        extensions=extensions,
    )
    if event_id is not None or is_foreign:
        event.provenance = {"response_id": response_id} if response_id else {}
    return emit(event, logger=logger)


def _response_id(answer: Any) -> str | None:
    """The provider's id of an answer; that of LangChain's messages stands apart from their own."""
    if answer is None or isinstance(answer, str):
        return answer
    told = text(field(answer, "response_metadata"), "id")
    return told or text(answer, "id", "response_id")


class turn:  # noqa: N801 -- used as a function, like contextlib.suppress
    """
    Record a call of a model that no integration knows, as of a provider without an SDK.

    A `with` block, or `async with`, around the request. The prompt is recorded at its beginning,
    before the request leaves; the answer when `answer` is called; an exception that comes before
    that as the failure of the call. A block that ends without an answer has the outcome `abandoned`,
    or what had come of a stream.

    Args:
        asked: What is asked: a text, or all messages of the request (`{"role": ..., "content":
            ...}`), of which only what is new in their conversation is written.
        provider: Who is asked.
        model: The model that is asked for.
        params: Of the request: temperature, max_tokens, ...
        session_id: The conversation; by default the one that is bound, or that the messages go on
            with, else a new one.
        user_id: The person; by default the one that is bound.
        capture: `new`, `all` or `metadata`, as in `instrument`.
        logger: The logger of the events.
        extensions: Any further fields.

    Raises:
        ConfigurationError: for an unknown *capture*, or a logger that is not below `hilt`.
        RecordingError: at the beginning, of a handler that was set up to raise.
    """

    def __init__(
        self,
        asked: Any,
        *,
        provider: str | None = None,
        model: str | None = None,
        params: dict[str, Any] | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        capture: Capture = "new",
        logger: str = LOGGER,
        **extensions: Any,
    ) -> None:
        if capture not in get_args(Capture):
            allowed = ", ".join(get_args(Capture))
            raise ConfigurationError("capture", capture, f"Must be one of: {allowed}")
        self._asked = asked
        self._target = target_for(logger)
        self._settings = Settings(capture)
        self._known: dict[str, Any] = {
            "provider": provider,
            "request_model": model,
            "params": params,
            "session_id": session_id,
            "user_id": user_id,
            "extensions": extensions,
        }
        self._call: Call | None = None
        self._said: list[str] = []
        self._chunks = 0
        self._first_ms: int | None = None
        self._is_whole = False

    @property
    def prompt_id(self) -> str | None:
        """The event of the prompt."""
        return None if self._call is None else self._call.prompt_id

    @property
    def completion_id(self) -> str | None:
        """The event of the answer."""
        return None if self._call is None else self._call.completion_id

    def __enter__(self) -> Self:
        if self._target.settings(None) is not None:
            call = begun(self._target, self._settings, self, **self._known)
            nothing: list[Any] = []
            request = {"messages": safely(as_messages, self._asked, nothing)}
            call.asked(safely(prompt_of, request, Prompt()))
            self._call = call
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._call is None:
            return
        if exc is None or isinstance(exc, GeneratorExit):
            self._call.answered(self._came())
        else:
            self._call.broke(exc, self._came() if self._chunks else None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def answer(
        self,
        said: str | None = None,
        *,
        model: str | None = None,
        tokens: dict[str, int] | None = None,
        cost_usd: float | None = None,
        finish_reason: str | None = None,
        refusal: str | None = None,
        tool_calls: Iterable[dict[str, Any]] = (),
        response_id: str | None = None,
        request_id: str | None = None,
        **extensions: Any,
    ) -> None:
        """
        Record the answer; only the first one counts.

        Args:
            said: The text; by default that of the pieces of `stream`.
            model: The model that served.
            tokens: As in `metrics.tokens`: `prompt` and `completion`, and parts of them.
            cost_usd: Where the provider tells it; by default what the tokens cost.
            finish_reason: The provider's own word.
            refusal: The words of a refusal.
            tool_calls: The tools that it asks for: `name`, `id`, `arguments` (decoded, or as JSON).
            response_id: The provider's id of the answer.
            request_id: The provider's id of the request.
            extensions: Any further fields.
        """
        if self._call is None:
            return
        answer = self._came("completed")
        answer.text = answer.text if said is None else said
        answer.model, answer.finish_reason, answer.refusal = model, finish_reason, refusal
        answer.outcome = outcome_of(finish_reason, refusal)
        answer.tokens, answer.cost_usd = _counted(tokens), cost_usd
        answer.response_id, answer.request_id = response_id, request_id
        answer.tool_calls = safely(_tool_calls, tool_calls, [])
        answer.extensions = extensions
        self._call.answered(answer)

    def retried(self, error: BaseException) -> None:
        """Record an attempt that failed and is made again."""
        if self._call is not None:
            self._call.retried(failure_of(error))

    def stream(
        self, pieces: Iterable[T], text: Callable[[T], str | None] | None = None
    ) -> Iterator[T]:
        """
        Yield the pieces of an answer as they come, and keep their text.

        Args:
            pieces: Of any kind.
            text: Gives the text that a piece adds; by default pieces that are texts are it.
        """
        for piece in pieces:
            self._saw(piece, text)
            yield piece
        self._is_whole = True

    async def astream(
        self, pieces: AsyncIterable[T], text: Callable[[T], str | None] | None = None
    ) -> AsyncIterator[T]:
        """Do the same for pieces that are awaited."""
        async for piece in pieces:
            self._saw(piece, text)
            yield piece
        self._is_whole = True

    def _saw(self, piece: T, text: Callable[[T], str | None] | None) -> None:
        if self._call is None:
            return
        self._chunks += 1
        said: Any = piece if text is None else safely(text, piece, None)
        if isinstance(said, str) and said:
            if self._first_ms is None:
                self._first_ms = self._call.latency_ms()
            self._said.append(said)
            self._call.chunk(said)

    def _came(self, outcome: str | None = None) -> Answer:
        """What has come of the answer."""
        left = "completed" if self._is_whole else "closed_early" if self._chunks else "abandoned"
        answer = Answer(outcome=outcome or left)
        if self._chunks:
            answer.text = "".join(self._said)
            answer.chunks, answer.time_to_first_token_ms = self._chunks, self._first_ms
        return answer


def _counted(tokens: dict[str, int] | None) -> dict[str, int] | None:
    """The tokens with their total; None for what are none."""
    if type(tokens) is not dict:
        return None
    known = {name: count for name, count in tokens.items() if type(count) is int and count >= 0}
    if not known.keys() & {"prompt", "completion"}:
        return None
    whole = {name: known.get(name, 0) for name in ("prompt", "completion")}
    return {**known, **whole, "total": sum(whole.values())}


def _tool_calls(calls: Iterable[dict[str, Any]]) -> list[ToolCall]:
    return [
        ToolCall(text(each, "name") or "tool", text(each, "id"), decoded(field(each, "arguments")))
        for each in calls
    ]


def _session_id() -> str | None:
    """The conversation of the graph or tool around it; what is bound is added by `emit`."""
    within = surrounding()
    return None if current().session_id or within is None else within.session_id
