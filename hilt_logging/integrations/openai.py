"""
OpenAI, and servers that speak its language: chat completions, completions and responses.
"""

from __future__ import annotations

import functools
import inspect
import sys

from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..errors import MissingDependencyError
from ._answers import Answer, Failure, Prompt, failure_of
from ._calls import Call, Recorder, begun, in_progress, is_on_record, safely
from ._capture import Settings, suppress, target_of
from ._fields import as_messages, field, text
from ._openai import (
    ChatChunks,
    ResponseEvents,
    answer_of,
    named_session,
    params_of,
    parsed,
    prompt_of,
    tokens_of,
)
from ._patching import Hook, Wrap
from ._providers import provider_of_url
from ._streams import watch


__all__ = ["answer_of", "log_openai_call", "prompt_of", "tokens_of"]

LOGGER = "hilt.openai"
TARGET = target_of("openai")


def log_openai_call(
    session: Any = None,
    *,
    user_message: Any = None,
    messages: Any = None,
    response: Any = None,
    client: Any = None,
    model: str | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    assistant_id: str | None = None,
    **request: Any,
) -> Any:
    """
    Record a call of OpenAI; without a response, make it.

    Args:
        session: Anything with `append(event)`; the logger `hilt.openai` has the events in any case.
        user_message: What the person asked: a text, parts of a message, or messages.
        messages: The messages of the request, in place of *user_message*.
        response: What came back: a chat completion, a completion, a response, a dict of one, or a
            list of the pieces of a stream.
        client: Who makes the call when there is no response: an `OpenAI` (the default) or an
            `AsyncOpenAI`, whose result must be awaited.
        model: The model to ask.
        session_id: The conversation; by default what is bound, else a new one.
        user_id: The person.
        assistant_id: The agent; the model by default.
        request: Further arguments of `client.chat.completions.create`, or with `input` those of
            `client.responses.create`.

    Returns:
        The response.

    Raises:
        MissingDependencyError: if the call is to be made and openai is not installed.
        Exception: whatever the call raises, unchanged.
    """
    if messages is None and user_message is not None and "input" not in request:
        messages = as_messages(user_message)
    if response is None and client is None:
        client = _default_client()
    sent = {"model": model, "messages": messages, **request}
    sent = {name: value for name, value in sent.items() if value is not None}
    call = Call(
        Recorder(LOGGER, session),
        provider=provider_of_url(field(client, "base_url")) or "openai",
        request_model=model,
        session_id=session_id,
        named_session=named_session(request),
        user_id=user_id,
        assistant_id=assistant_id,
        params=params_of(request),
        timed=response is None,
    )
    call.asked(safely(prompt_of, sent, Prompt()))
    if response is not None:
        call.answered(safely(answer_of, response, Answer()))
        return response
    return _made(call, client, sent)


def _default_client() -> Any:
    try:
        from openai import OpenAI
    except ImportError as error:
        raise MissingDependencyError("openai", "openai") from error
    return OpenAI()


def _made(call: Call, client: Any, sent: dict[str, Any]) -> Any:
    try:
        create = client.responses.create if "input" in sent else client.chat.completions.create
        with suppress():
            result = create(**sent)
    except BaseException as error:
        call.failed(failure_of(error))
        raise
    if inspect.isawaitable(result):
        return _awaited(call, result, sent)
    return _recorded(call, result, sent)


async def _awaited(call: Call, pending: Any, sent: dict[str, Any]) -> Any:
    try:
        with suppress():
            result = await pending
    except BaseException as error:
        call.failed(failure_of(error))
        raise
    return _recorded(call, result, sent)


def _recorded(call: Call, result: Any, sent: dict[str, Any]) -> Any:
    if not sent.get("stream"):
        call.answered(safely(answer_of, result, Answer()))
        return result
    pieces = ResponseEvents() if "input" in sent else ChatChunks()
    watch(safely(parsed, result, result), call, pieces)
    return result


def client_key(client: Any) -> Any:
    """Return what tells a client's calls apart, for `instrument(client)`; None if it has none."""
    return client if hasattr(client, "request") and hasattr(client, "base_url") else None


def hooks(module: ModuleType) -> list[Hook]:
    """Return what `instrument` puts into a module of the SDK."""
    if module.__name__ == "openai._base_client":
        clients = module.SyncAPIClient, module.AsyncAPIClient
        found: list[Hook] = [
            Wrap(clients[0], "request", _request),
            Wrap(clients[1], "request", _request_async),
        ]
        if hasattr(clients[0], "_sleep_for_retry"):  # in older versions a retry can't be seen
            found.append(Wrap(clients[0], "_sleep_for_retry", _sleep))
            found.append(Wrap(clients[1], "_sleep_for_retry", _sleep_async))
        return found
    return []


def _request(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        settings = TARGET.settings(self)
        asked = None if settings is None else _asked(self, options, kwargs, settings)
        if asked is None:
            return inner(self, cast_to, options, *args, **kwargs)
        with asked.call:
            result = inner(self, cast_to, asked.options, *args, **kwargs)
        return asked.finished(result)

    return request


def _request_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        settings = TARGET.settings(self)
        asked = None if settings is None else _asked(self, options, kwargs, settings)
        if asked is None:
            return await inner(self, cast_to, options, *args, **kwargs)
        with asked.call:
            result = await inner(self, cast_to, asked.options, *args, **kwargs)
        return asked.finished(result)

    return request


def _sleep(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def sleep(self: Any, *args: Any, **kwargs: Any) -> Any:
        _retried(self, kwargs)
        return inner(self, *args, **kwargs)

    return sleep


def _sleep_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def sleep(self: Any, *args: Any, **kwargs: Any) -> Any:
        _retried(self, kwargs)
        return await inner(self, *args, **kwargs)

    return sleep


def _retried(client: Any, known: dict[str, Any]) -> None:
    """Record an attempt that is made again: its exception is the one that is being handled."""
    call, error = in_progress(), sys.exception()
    if call is None or error is None or TARGET.settings(client) is None:
        return
    call.retried(
        safely(_attempt_failure, (client, error, known.get("response")), Failure("unknown"))
    )


def _attempt_failure(known: tuple[Any, BaseException, Any]) -> Failure:
    """What failed, under the name that the SDK gives it where it is not tried again."""
    client, error, response = known
    if response is not None:
        told = client._make_status_error(
            f"Error code: {response.status_code}", body=None, response=response
        )
        return failure_of(told)
    failure = failure_of(error)
    failure.type = "APITimeoutError" if "Timeout" in failure.type else "APIConnectionError"
    return failure


class _Asked:
    """A request that is on its way, and what becomes of it."""

    __slots__ = ("_answers", "_kind", "call", "options")

    def __init__(self, call: Call, kind: str, options: Any) -> None:
        self.call = call
        self._kind = kind
        self.options = options

    def finished(self, result: Any) -> Any:
        """Record what came back, or watch it on its way to the caller; return it."""
        if hasattr(result, "_iterator"):
            pieces = ResponseEvents() if self._kind == "responses" else ChatChunks()
            watch(result, self.call, pieces)
        else:
            self.call.answered(self.call.read(answer_of, result, Answer()))
        return result


_KINDS = ("chat/completions", "completions", "responses", "embeddings")


def _asked(client: Any, options: Any, known: dict[str, Any], settings: Settings) -> _Asked | None:
    """Record what a request asks, before it leaves; None for one that is no interaction."""
    kind = _kind_of(options)
    if kind is None or is_on_record(options):
        return None
    body = options.json_data
    call = begun(
        TARGET,
        settings,
        options,
        provider=provider_of_url(client.base_url) or "openai",
        request_model=text(body, "model"),
        named_session=named_session(body),
        previous=text(body, "previous_response_id"),
        params=params_of(body),
    )
    call.asked(call.read(prompt_of, body, Prompt()))
    return _Asked(call, kind, options)


def _kind_of(options: Any) -> str | None:
    path = options.url.partition("?")[0]
    for kind in _KINDS:
        if path.endswith(kind):
            return kind if options.method.lower() == "post" else None
    return None
