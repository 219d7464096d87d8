"""
Calls of OpenAI's clients on their way: what `instrument` puts around the functions of the SDK.

All calls pass one function, `request` of the client, with their final body; retries happen within.
"""

from __future__ import annotations

import copy
import functools
import json
import sys

from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from ._answers import Answer, Failure, Prompt, failure_of
from ._calls import Call, begun, in_progress, is_answered, is_on_record, safely
from ._capture import Settings, target_of
from ._fields import count, field, items, text
from ._latest import Latest
from ._openai import (
    ChatChunks,
    ResponseEvents,
    answer_of,
    inputs_of,
    named_session,
    params_of,
    prompt_of,
)
from ._patching import Hook, Wrap
from ._providers import provider_of_url
from ._streams import Pieces, Watched, WatchedAsync, watch


__all__ = ["client_key", "hooks"]

TARGET = target_of("openai")


def client_key(client: Any) -> Any:
    """Return what tells a client's calls apart, for `instrument(client)`; None if it has none."""
    return client if hasattr(client, "request") and hasattr(client, "base_url") else None


def hooks(module: ModuleType) -> list[Hook]:
    """Return what `instrument` puts into a module of the SDK."""
    return [
        Wrap(getattr(module, owner), name, around)
        for owner, name, around in _HOOKS[module.__name__]
        if hasattr(getattr(module, owner, None), name)  # some are not there in older versions
    ]


def _request(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        settings = TARGET.settings(self)
        asked = None if settings is None else _asked(self, options, kwargs, settings)
        if asked is None:
            return inner(self, cast_to, options, *args, **kwargs)
        with asked:
            result = inner(self, cast_to, asked.options, *args, **kwargs)
        safely(asked.got, result, None)
        return result

    return request


def _request_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        settings = TARGET.settings(self)
        asked = None if settings is None else _asked(self, options, kwargs, settings)
        if asked is None:
            return await inner(self, cast_to, options, *args, **kwargs)
        with asked:
            result = await inner(self, cast_to, asked.options, *args, **kwargs)
        safely(asked.got, result, None)
        return result

    return request


class _Asked:
    """A request that is on its way, and what becomes of it."""

    __slots__ = ("_kind", "_whole", "body", "call", "options")

    def __init__(self, call: Call, kind: str, options: Any, body: Any = None) -> None:
        self.call = call
        self.options = options
        self.body = body
        self._kind = kind
        self._whole: Any = None

    def keep_whole(self) -> None:
        """Keep an answer that came: what the SDK makes of it may raise, but it is billed."""
        parser = getattr(self.options, "post_parser", None)
        if callable(parser):
            self.options = copy.copy(self.options)
            self.options.post_parser = functools.partial(self._parse, parser)

    def _parse(self, parser: Callable[[Any], Any], whole: Any) -> Any:
        self._whole = whole
        made = parser(whole)
        self._whole = None
        return made

    def __enter__(self) -> None:
        self.call.__enter__()

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        whole, self._whole = self._whole, None
        if error is not None and whole is not None:
            self.call.rejected(self.call.read(answer_of, whole, Answer()), error)
        self.call.__exit__(cls, error, traceback)

    def got(self, result: Any) -> None:
        """Record what came back, or watch it on its way to the caller."""
        name = type(result).__name__
        if "_iterator" in getattr(result, "__dict__", ()):
            self._watch(result)
        elif name in ("LegacyAPIResponse", "APIResponse", "AsyncAPIResponse"):
            raw, request_id = result.http_response, result.request_id
            if hasattr(raw, "_content"):  # it is read already
                self.came(_json_of(raw), request_id)
            else:
                _unread[result] = _Unread(self, raw, request_id)
        else:
            self.came(result)

    def came(self, answer: Any, request_id: str | None = None) -> None:
        """Record an answer that came whole."""
        if self._kind == "embeddings":
            self._embedded(answer, request_id)
            return
        told = self.call.read(answer_of, answer, Answer())
        told.request_id = told.request_id or request_id
        if self._kind == "responses":
            self._of_background(told)
        else:
            self.call.answered(told)

    def _of_background(self, told: Answer) -> None:
        """An answer that is not there yet will be asked for by its id."""
        if told.finish_reason in _NOT_YET:
            _in_background.put(told.response_id, self.call)
            self.call.postponed(told)
        else:
            self.call.answered(told)

    def _embedded(self, answer: Any, request_id: str | None) -> None:
        nothing: dict[str, int] = {}
        known = safely(_vectors_of, answer, nothing)
        told = Answer(
            model=text(answer, "model"),
            request_id=text(answer, "_request_id") or request_id,
            tokens=self.call.read(_tokens_of, answer, None),
        )
        prompt = self.call.read(inputs_of, self.body, Prompt())
        self.call.embedded(prompt, told, embedding=known)

    def _watch(self, stream: Any) -> None:
        pieces: Pieces = ChatChunks()
        if self._kind == "responses":
            pieces = ResponseEvents()
        watch(stream, self.call, pieces, safely(_request_id_of, stream, None))


def _vectors_of(answer: Any) -> dict[str, int]:
    """How many vectors came, and of how many numbers; in base64 one takes four bytes."""
    data = items(answer, "data")
    vector = field(data[0], "embedding") if data else None
    size = len(vector) if isinstance(vector, list) else None
    if isinstance(vector, str):
        size = (len(vector) * 3 // 4 - vector[-2:].count("=")) // 4
    return {"count": len(data)} if size is None else {"count": len(data), "dimensions": size}


def _tokens_of(answer: Any) -> dict[str, int] | None:
    prompt = count(field(answer, "usage"), "prompt_tokens", "total_tokens")
    return None if prompt is None else {"prompt": prompt, "completion": 0, "total": prompt}


def _request_id_of(stream: Any) -> str | None:
    found: str | None = stream.response.headers.get("x-request-id")
    return found


def _json_of(response: Any) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:  # no JSON: the SDK gives the caller the text
        return response.text


_NOT_YET = ("queued", "in_progress")
_in_background = Latest()
"""Calls whose answers were not there yet, by the answer's id."""


class _Retrieved(_Asked):
    """An answer that is asked for by its id. That it can't be had is no failure of the call."""

    __slots__ = ()

    def __enter__(self) -> None:
        return

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        return

    def _of_background(self, told: Answer) -> None:
        if told.finish_reason not in _NOT_YET:
            _in_background.pop(told.response_id)
            self.call.answered(told)


class _Unread:
    """A response that the caller reads; what it says is recorded as far as it is read."""

    def __init__(self, asked: _Asked, response: Any, request_id: str | None) -> None:
        self._asked = asked
        self._response = response
        self._request_id = request_id
        self._is_over = False

    def parsed(self, result: Any) -> None:
        """Take what the caller got."""
        if "_iterator" in getattr(result, "__dict__", ()):
            self._is_over = True
            safely(self._asked.got, result, None)
        else:
            self.left()

    def left(self) -> None:
        """Record what was read, when nobody reads on; never raises."""
        if not self._is_over:
            self._is_over = True
            safely(self._end, self._response, None)

    def _end(self, response: Any) -> None:
        body = _read_of(response)
        if body is None:
            self._asked.call.unseen(response, self._request_id)
        else:
            self._asked.came(body, self._request_id)

    __del__ = left


_unread: WeakKeyDictionary[Any, _Unread] = WeakKeyDictionary()


def _read_of(response: Any) -> Any:
    """What was read of a response, if it was read at once: JSON, or the pieces of a stream."""
    if not hasattr(response, "_content"):  # `content` would raise
        return None
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return _json_of(response)
    data = [line[5:].strip() for line in response.text.splitlines() if line.startswith("data:")]
    return [json.loads(each) for each in data if each.startswith("{")]


_KINDS = {
    "completions": "completions",
    "chat/completions": "chat",
    "compact": "responses",
    "embeddings": "embeddings",
    "responses": "responses",
}


def _kind_of(options: Any) -> str | None:
    """What a request asks for; None for one that is no interaction, as a list of models."""
    path: str = options.url
    if path == "/chat/completions" and options.method == "post":
        return "chat"
    path = path.partition("?")[0]
    rest, _, last = path.rpartition("/")
    if options.method.lower() == "get" or last == "cancel":
        within = rest if last != "cancel" else rest.rpartition("/")[0]
        return "retrieve" if within.endswith("responses") else None
    return _KINDS["chat/completions"] if path.endswith("chat/completions") else _KINDS.get(last)


def _asked(client: Any, options: Any, known: dict[str, Any], settings: Settings) -> _Asked | None:
    """Record what a request asks, before it leaves; None for one that is no interaction."""
    kind = safely(_kind_of, options, None)
    if kind is None or is_on_record(options):
        return None
    if kind == "retrieve":
        return _retrieved(client, options, known, settings)
    asked = safely(_begun, (client, options, settings, kind), None)
    if asked is not None and kind != "embeddings":
        asked.call.asked(asked.call.read(prompt_of, asked.body, Prompt()))
    return asked


def _begun(known: tuple[Any, Any, Settings, str]) -> _Asked:
    client, options, settings, kind = known
    body: dict[str, Any] = options.json_data
    more = getattr(options, "extra_json", None)
    if more:
        body = {**body, **more}
    model = body.get("model")
    call = begun(
        TARGET,
        settings,
        options,
        of_model=kind != "embeddings",
        provider=_provider_of(client),
        request_model=model if type(model) is str else text(body, "model"),
        named_session=named_session(body),
        previous=(text(body, "previous_response_id") or "") if kind == "responses" else None,
        params=params_of(body),
    )
    asked = _Asked(call, kind, options, body)
    if kind != "embeddings":
        asked.keep_whole()
    call.request = asked.options
    return asked


_hosts = Latest(100)
"""The URLs of clients with the names of their providers, by their ids."""


def _provider_of(client: Any) -> str:
    """Who answers the calls of a client; it is looked up once for each URL object."""
    url = getattr(client, "_base_url", None) or client.base_url
    known = _hosts.get(id(url))
    if known is None or known[0] is not url:
        known = url, provider_of_url(url) or "openai"
        _hosts.put(id(url), known)
    name: str = known[1]
    return name


def _retrieved(
    client: Any, options: Any, known: dict[str, Any], settings: Settings
) -> _Asked | None:
    """The call whose answer is asked for; None where that is on record already."""
    path = options.url.partition("?")[0].removesuffix("/cancel")
    response_id = path.rpartition("/")[2]
    call = _in_background.get(response_id)
    if call is None and known.get("stream") and not is_answered(response_id):
        call = begun(TARGET, settings, options, provider=_provider_of(client))
        call.resumes(response_id)
    return None if call is None else _Retrieved(call, "responses", options)


def _retried(client: Any) -> None:
    """Record an attempt that is made again: its exception is the one that is being handled."""
    call, error = in_progress(), sys.exception()
    if call is not None and error is not None and TARGET.settings(client) is not None:
        call.retried(safely(_attempt_failure, (client, error), Failure("unknown")))


def _attempt_failure(known: tuple[Any, BaseException]) -> Failure:
    """What failed, under the name that the SDK gives it where it is not tried again."""
    client, error = known
    response = getattr(error, "response", None)
    if response is not None:
        words = f"Error code: {response.status_code}"
        return failure_of(client._make_status_error(words, body=None, response=response))
    failure = failure_of(error)
    failure.type = "APITimeoutError" if "Timeout" in failure.type else "APIConnectionError"
    return failure


def _retry(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        _retried(self)
        return inner(self, *args, **kwargs)

    return retry


def _retry_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        _retried(self)
        return await inner(self, *args, **kwargs)

    return retry


def _parse(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(self, *args, **kwargs)
        unread = _unread.pop(self, None)
        if unread is not None:
            unread.parsed(result)
        return result

    return parse


def _parse_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await inner(self, *args, **kwargs)
        unread = _unread.pop(self, None)
        if unread is not None:
            unread.parsed(result)
        return result

    return parse


def _close(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return inner(self, *args, **kwargs)
        finally:
            _left(self)

    return close


def _close_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await inner(self, *args, **kwargs)
        finally:
            _left(self)

    return close


def _left(closed: Any) -> None:
    """Tell whoever watches a response, or the stream in one of the SDK's own streams."""
    unread = _unread.pop(closed, None)
    if unread is not None:
        unread.left()
    watched = getattr(getattr(closed, "_raw_stream", None), "_iterator", None)
    if isinstance(watched, (Watched, WatchedAsync)):
        watched.left()


def _copy(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def copied(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = inner(self, *args, **kwargs)
        TARGET.pass_on(self, made)
        return made

    return copied


_Around = Callable[[Callable[..., Any]], Callable[..., Any]]
_HOOKS: dict[str, tuple[tuple[str, str, _Around], ...]] = {
    "openai._base_client": (
        ("SyncAPIClient", "request", _request),
        ("AsyncAPIClient", "request", _request_async),
        ("SyncAPIClient", "_sleep_for_retry", _retry),
        ("AsyncAPIClient", "_sleep_for_retry", _retry_async),
        ("SyncAPIClient", "_retry_request", _retry),  # its older name
        ("AsyncAPIClient", "_retry_request", _retry_async),
    ),
    "openai._client": (
        ("OpenAI", "copy", _copy),
        ("OpenAI", "with_options", _copy),
        ("AsyncOpenAI", "copy", _copy),
        ("AsyncOpenAI", "with_options", _copy),
    ),
    "openai._legacy_response": (("LegacyAPIResponse", "parse", _parse),),
    "openai._response": (
        ("APIResponse", "parse", _parse),
        ("APIResponse", "close", _close),
        ("AsyncAPIResponse", "parse", _parse_async),
        ("AsyncAPIResponse", "close", _close_async),
    ),
    "openai.lib.streaming.chat._completions": (
        ("ChatCompletionStream", "close", _close),
        ("AsyncChatCompletionStream", "close", _close_async),
    ),
    "openai.lib.streaming.responses._responses": (
        ("ResponseStream", "close", _close),
        ("AsyncResponseStream", "close", _close_async),
    ),
}
