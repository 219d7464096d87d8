"""
Calls of Google's clients on their way: what `instrument` puts around the functions of the SDKs.

In google-genai all calls, those of chats and of the loop that runs functions too, pass one
function for each request that the model answers; the loop itself is outside.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import sys
import weakref

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Final, Self

from ._answers import Answer, Failure, Prompt, failure_of
from ._calls import Call, begun, in_progress, is_on_record, safely
from ._capture import Settings, target_of
from ._fields import count, field, items, text
from ._gemini import ResponseChunks, answer_of, inputs_of, params_of, prompt_of
from ._patching import Hook, Wrap
from ._providers import provider_of_url
from ._streams import Watched, WatchedAsync


__all__ = ["client_key", "hooks"]

TARGET = target_of("gemini")


def client_key(client: Any) -> Any:
    """Return what tells a client's calls apart, for `instrument(client)`; None if it has none."""
    api_client = getattr(getattr(client, "_modules", client), "_api_client", None)
    if api_client is not None:
        return api_client
    model = getattr(client, "model", client)  # of a chat of google-generativeai
    return model if hasattr(model, "generate_content") else None


def hooks(module: ModuleType) -> list[Hook]:
    """Return what `instrument` puts into a module of the SDKs."""
    return [Wrap(owner, name, around) for owner, name, around in _places(module)]


def _places(module: ModuleType) -> Iterator[tuple[Any, str, _Around]]:
    for path, names, around in _HOOKS[module.__name__]:
        owner = _owner(module, path)
        there = [name for name in names if hasattr(owner, name)]
        if there or names[0] not in _IN_LATER_VERSIONS:
            yield owner, (there or names)[0], around


def _owner(module: ModuleType, name: str) -> Any:
    """A class of the module, a module within it, or itself."""
    if not name:
        return module
    # google.generativeai deletes the names of its modules
    return getattr(module, name, None) or sys.modules.get(f"{module.__name__}.{name}")


_Around = Callable[[Callable[..., Any]], Callable[..., Any]]
_IN_LATER_VERSIONS = ("_request_once", "_async_request_once")
_END: Final = object()


def _generate(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _asked(self, kwargs)
        if call is None:
            return inner(self, *args, **kwargs)
        with call:
            result = inner(self, *args, **kwargs)
        _came(call, result)
        return result

    return generate


def _generate_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _asked(self, kwargs)
        if call is None:
            return await inner(self, *args, **kwargs)
        with call:
            result = await inner(self, *args, **kwargs)
        _came(call, result)
        return result

    return generate


def _stream(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _asked(self, kwargs)
        if call is None:
            return inner(self, *args, **kwargs)
        with call:
            pieces = inner(self, *args, **kwargs)
        return safely(_watched, (pieces, call), pieces)

    return stream


def _watched(known: tuple[Any, Call]) -> Watched:
    pieces, call = known
    watched = Watched(_leaving(iter(pieces), call), call, _Chunks(call))
    watched._stream = pieces  # which can be closed
    return watched


def _stream_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(inspect.unwrap(inner)):
        return _stream_awaited(inner)

    @functools.wraps(inner)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _asked(self, kwargs)
        if call is None:
            return inner(self, *args, **kwargs)
        with call:
            pieces = inner(self, *args, **kwargs)
        return safely(_watched_async, (pieces, call), pieces)

    return stream


def _watched_async(known: tuple[Any, Call]) -> WatchedAsync:
    pieces, call = known
    return WatchedAsync(_LeavingAsync(aiter(pieces), call), call, _Chunks(call))


def _stream_awaited(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Of older versions, in which the request leaves when the stream is awaited."""

    @functools.wraps(inner)
    async def stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _asked(self, kwargs)
        if call is None:
            return await inner(self, *args, **kwargs)
        with call:
            pieces = await inner(self, *args, **kwargs)
        return safely(_watched_awaited, (pieces, call), pieces)

    return stream


def _watched_awaited(known: tuple[Any, Call]) -> WatchedAsync:
    pieces, call = known
    return WatchedAsync(aiter(pieces), call, _Chunks(call))


def _leaving(stream: Iterator[Any], call: Call) -> Iterator[Any]:
    """The pieces of a stream whose request leaves with the first one that is asked for."""

    def parts() -> Iterator[Iterable[Any]]:
        with call:
            first = next(stream, _END)
        if first is not _END:
            yield (first,)
            yield stream

    return itertools.chain.from_iterable(parts())


class _LeavingAsync:
    """An asynchronous stream whose request leaves with the first piece that is asked for."""

    __slots__ = ("_call", "_next", "_stream")

    def __init__(self, stream: AsyncIterator[Any], call: Call) -> None:
        self._stream = stream
        self._next = stream.__anext__
        self._call: Call | None = call

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Any:
        return self._next() if self._call is None else self._first()

    async def _first(self) -> Any:
        call, self._call = self._call, None
        assert call is not None
        with call:
            piece = await anext(self._stream, _END)
        if piece is _END:
            raise StopAsyncIteration
        return piece


class _Chunks(ResponseChunks):
    """The pieces of a stream, and whose answer they are."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def answer(self) -> Answer:
        """Return what has come so far."""
        _sent_back.put(self.content, self._call.session_id)
        return super().answer()


class _SentBack:
    """
    Which conversation an answer belongs to, by the SDK's own object for what the model said.

    Chats, and the loop that runs functions, send this very object back, so that conversations
    that begin with the same words are told apart.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], str]] = {}

    def put(self, content: Any, session_id: str) -> None:
        """Remember an answer for as long as it is there."""
        key = id(content)
        try:
            gone = weakref.ref(content, lambda _: self._known.pop(key, None))
        except TypeError:  # None, or a dict
            return
        self._known[key] = gone, session_id

    def session_of(self, contents: Any) -> str | None:
        """Return the conversation of the last answer among the contents of a request."""
        for each in reversed(contents) if isinstance(contents, list) else ():
            known = self._known.get(id(each))
            if known is not None and known[0]() is each:
                return known[1]
        return None


_sent_back = _SentBack()


def _asked(models: Any, asked: dict[str, Any]) -> Call | None:
    """Record what a request asks, before it leaves; None where nothing is to be recorded."""
    api_client = getattr(models, "_api_client", None)
    settings = TARGET.settings(api_client)
    if settings is None or is_on_record(asked.get("contents")):
        return None
    _walk(asked)
    call = safely(_begun, (api_client, settings, asked, True), None)
    if call is not None:
        call.asked(call.read(prompt_of, asked, Prompt()))
    return call


def _walk(asked: dict[str, Any]) -> None:
    """Contents that can be read once are read by the SDK as it begins, and by us before that."""
    if isinstance(asked.get("contents"), Iterator):
        asked["contents"] = list(asked["contents"])


def _begun(known: tuple[Any, Settings, dict[str, Any], bool]) -> Call:
    api_client, settings, asked, of_model = known
    contents = asked.get("contents")
    return begun(
        TARGET,
        settings,
        contents,
        of_model=of_model,
        provider=_provider_of(api_client),
        request_model=_model_of(asked.get("model")),
        likely_session=_sent_back.session_of(contents),
        params=params_of(asked.get("config")),
    )


def _provider_of(api_client: Any) -> str:
    base_url = field(getattr(api_client, "_http_options", None), "base_url")
    return _provider_at(str(base_url or ""), bool(getattr(api_client, "vertexai", None)))


@functools.lru_cache(maxsize=256)
def _provider_at(base_url: str, is_vertex: bool) -> str:
    """Who answers: Vertex AI and the Gemini API by their hosts, anybody else by the own one."""
    host = provider_of_url(base_url)
    if is_vertex and (host in (None, "vertex") or str(host).endswith(".googleapis.com")):
        return "vertex"
    return host or "gemini"


def _model_of(model: Any) -> str | None:
    """The name of a model without the path of where it is published."""
    if not isinstance(model, str):
        return None
    _, is_path, name = f"/{model}".rpartition("/models/")
    return name if is_path else model


def _came(call: Call, response: Any) -> None:
    """Record an answer that came whole."""
    call.answered(call.read(_whole, response, Answer()))
    safely(_keep, (call, response), None)


def _whole(response: Any) -> Answer:
    raw = field(response, "sdk_http_response")
    body = text(raw, "body")
    if body is not None and field(response, "candidates") is None:  # it was asked for unread
        return answer_of(json.loads(body))
    return answer_of(response)


def _keep(known: tuple[Call, Any]) -> None:
    call, response = known
    for candidate in items(response, "candidates")[:1]:
        _sent_back.put(field(candidate, "content"), call.session_id)


def _embed(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def embed_content(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _embedding(self, kwargs)
        if call is None:
            return inner(self, *args, **kwargs)
        with call:
            result = inner(self, *args, **kwargs)
        _embedded(call, kwargs.get("contents"), result)
        return result

    return embed_content


def _embed_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def embed_content(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _embedding(self, kwargs)
        if call is None:
            return await inner(self, *args, **kwargs)
        with call:
            result = await inner(self, *args, **kwargs)
        _embedded(call, kwargs.get("contents"), result)
        return result

    return embed_content


def _embedding(models: Any, asked: dict[str, Any]) -> Call | None:
    api_client = getattr(models, "_api_client", None)
    settings = TARGET.settings(api_client)
    if settings is None or is_on_record(asked.get("contents")):
        return None
    _walk(asked)
    return safely(_begun, (api_client, settings, asked, False), None)


def _embedded(call: Call, contents: Any, response: Any) -> None:
    nothing: dict[str, int] = {}
    answer = Answer(tokens=safely(_embedding_tokens, response, None))
    vectors = safely(_vectors_of, response, nothing)
    call.embedded(call.read(inputs_of, contents, Prompt()), answer, embedding=vectors)


def _embedding_tokens(response: Any) -> dict[str, int] | None:
    """Only Vertex AI tells how many."""
    told = [
        number
        for each in items(response, "embeddings")
        if (number := field(field(each, "statistics"), "token_count")) is not None
    ]
    prompt = int(sum(told)) or count(field(response, "usage_metadata"), "prompt_token_count")
    return {"prompt": prompt, "completion": 0, "total": prompt} if prompt else None


def _vectors_of(response: Any) -> dict[str, int]:
    """How many vectors came, and of how many numbers."""
    vectors = [items(each, "values") for each in items(response, "embeddings")]
    if not vectors:  # google-generativeai: one vector, or a list of them
        found = items(response, "embedding")
        vectors = found if found and isinstance(found[0], list) else [found]
    return {"count": len(vectors), "dimensions": len(vectors[0])}


_failed: weakref.WeakKeyDictionary[Call, tuple[Any, Failure]] = weakref.WeakKeyDictionary()
"""Attempts that failed: that they are made again is known when the next one begins."""


def _attempt(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def request_once(self: Any, http_request: Any, *args: Any, **kwargs: Any) -> Any:
        call = _again(http_request)
        try:
            return inner(self, http_request, *args, **kwargs)
        except Exception as error:
            _keep_failure(call, http_request, error)
            raise

    return request_once


def _attempt_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def request_once(self: Any, http_request: Any, *args: Any, **kwargs: Any) -> Any:
        call = _again(http_request)
        try:
            return await inner(self, http_request, *args, **kwargs)
        except Exception as error:
            _keep_failure(call, http_request, error)
            raise

    return request_once


def _again(http_request: Any) -> Call | None:
    """Record the attempt that failed before this one."""
    call = in_progress()
    if call is not None:
        known = _failed.pop(call, None)
        if known is not None and known[0] is http_request:
            call.retried(known[1])
    return call


def _keep_failure(call: Call | None, http_request: Any, error: Exception) -> None:
    if call is not None:
        _failed[call] = http_request, safely(failure_of, error, Failure(type(error).__name__))


def _older_generate(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def generate_content(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _older_asked(self, args, kwargs)
        if call is None:
            return inner(self, *args, **kwargs)
        with call:
            result = inner(self, *args, **kwargs)
        _older_came(call, result)
        return result

    return generate_content


def _older_generate_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def generate_content_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _older_asked(self, args, kwargs)
        if call is None:
            return await inner(self, *args, **kwargs)
        with call:
            result = await inner(self, *args, **kwargs)
        _older_came(call, result)
        return result

    return generate_content_async


def _older_asked(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    settings = TARGET.settings(model)
    contents = args[0] if args else kwargs.get("contents")
    if settings is None or is_on_record(contents):
        return None
    call = safely(_older_begun, (model, settings, contents, kwargs.get("generation_config")), None)
    if call is not None:
        asked = {
            "contents": contents,
            "system_instruction": getattr(model, "_system_instruction", None),
        }
        call.asked(call.read(prompt_of, asked, Prompt()))
    return call


def _older_begun(known: tuple[Any, Settings, Any, Any]) -> Call:
    model, settings, contents, config = known
    return begun(
        TARGET,
        settings,
        contents,
        provider="gemini",
        request_model=_model_of(getattr(model, "model_name", None)),
        params={**params_of(getattr(model, "_generation_config", None)), **params_of(config)},
    )


def _older_came(call: Call, response: Any) -> None:
    """Record what came of google-generativeai, or watch what is still to come."""
    pieces = getattr(response, "_iterator", None)
    is_blocked = getattr(response, "_error", None) is not None  # then nothing more is read
    if isinstance(pieces, Iterator) and not is_blocked:
        kind: Any = Watched
    elif isinstance(pieces, AsyncIterator) and not is_blocked:
        kind = WatchedAsync
    else:
        call.answered(call.read(answer_of, getattr(response, "_result", response), Answer()))
        return
    watched = _under_name(kind, type(pieces).__name__)(pieces, call, ResponseChunks())
    watched._saw(response._result)  # the SDK has read the first piece
    response._iterator = watched


@functools.lru_cache(maxsize=100)
def _under_name(kind: Any, name: str) -> Any:
    """A kind of stream under the name of the SDK's, which a response shows in its `repr`."""
    return type(name, (kind,), {"__slots__": ()})


def _older_embed(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def embed_content(model: Any, *args: Any, **kwargs: Any) -> Any:
        content = args[0] if args else kwargs.get("content")
        call = _older_embedding(model, content)
        if call is None:
            return inner(model, *args, **kwargs)
        with call:
            result = inner(model, *args, **kwargs)
        _embedded(call, content, result)
        return result

    return embed_content


def _older_embed_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def embed_content_async(model: Any, *args: Any, **kwargs: Any) -> Any:
        content = args[0] if args else kwargs.get("content")
        call = _older_embedding(model, content)
        if call is None:
            return await inner(model, *args, **kwargs)
        with call:
            result = await inner(model, *args, **kwargs)
        _embedded(call, content, result)
        return result

    return embed_content_async


def _older_embedding(model: Any, content: Any) -> Call | None:
    settings = TARGET.settings(None)
    if settings is None or is_on_record(content):
        return None
    name = model if isinstance(model, str) else text(model, "name")
    known = {"provider": "gemini", "request_model": _model_of(name)}
    return begun(TARGET, settings, content, of_model=False, **known)


_ANSWER = ("_generate_content_with_continuation", "_generate_content")
_STREAM = ("_generate_content_stream_with_continuation", "_generate_content_stream")
_HOOKS: dict[str, tuple[tuple[str, tuple[str, ...], _Around], ...]] = {
    "google.genai._api_client": (
        ("BaseApiClient", ("_request_once",), _attempt),
        ("BaseApiClient", ("_async_request_once",), _attempt_async),
    ),
    "google.genai.models": (
        ("Models", _ANSWER, _generate),
        ("Models", _STREAM, _stream),
        ("Models", ("embed_content",), _embed),
        ("AsyncModels", _ANSWER, _generate_async),
        ("AsyncModels", _STREAM, _stream_async),
        ("AsyncModels", ("embed_content",), _embed_async),
    ),
    "google.generativeai": (
        ("GenerativeModel", ("generate_content",), _older_generate),
        ("GenerativeModel", ("generate_content_async",), _older_generate_async),
        # the same functions stand in two places
        ("", ("embed_content",), _older_embed),
        ("", ("embed_content_async",), _older_embed_async),
        ("embedding", ("embed_content",), _older_embed),
        ("embedding", ("embed_content_async",), _older_embed_async),
    ),
}
