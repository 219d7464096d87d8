"""
OpenAI, and servers that speak its language: chat completions, completions and responses.
"""

from __future__ import annotations

import functools
import inspect

from typing import Any

from ..errors import MissingDependencyError
from ._answers import Answer, Prompt, failure_of
from ._calls import Call, Recorder, safely
from ._capture import suppress
from ._fields import as_messages, field
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
from ._openai_calls import client_key, hooks
from ._providers import provider_of_url
from ._streams import watch


__all__ = ["answer_of", "client_key", "hooks", "log_openai_call", "prompt_of", "tokens_of"]

LOGGER = "hilt.openai"


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
    stream = safely(parsed, result, result)
    safely(functools.partial(watch, call=call, pieces=pieces), stream, None)
    return result
