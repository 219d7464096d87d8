"""
Calls of Anthropic's clients on their way: messages, their streams, and batches of them.

The clients of Bedrock, Vertex and Foundry make the same calls, and put them in another form only
behind the function that is hooked here.
"""

from __future__ import annotations

import copy

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Self

from ._answers import Answer, Failure, Prompt
from ._anthropic import NO_PRICE, MessageEvents, answer_of, params_of, prompt_of
from ._calls import Call, begun, is_on_record, safely
from ._capture import Settings, target_of
from ._fields import field, items, text
from ._latest import Latest
from ._patching import Hook
from ._providers import provider_of_url
from ._stainless import (
    CLOSE,
    PARSE,
    Around,
    Asked,
    Hooks,
    Request,
    client_key,
    copies,
    hooks_in,
    requests,
    retries,
)
from ._streams import Pieces


__all__ = ["client_key", "hooks"]

TARGET = target_of("anthropic")


def hooks(module: ModuleType) -> list[Hook]:
    """Return what `instrument` puts into a module of the SDK."""
    return hooks_in(module, _HOOKS)


_PLATFORMS = {
    "AnthropicAWS": "anthropic",
    "AnthropicBedrock": "bedrock",
    "AnthropicBedrockMantle": "bedrock",
    "AnthropicFoundry": "azure",
    "AnthropicGoogleCloud": "anthropic",
    "AnthropicVertex": "vertex",
}
"""Who answers the clients that are made for one platform, whatever their URL is."""


def _provider_of(client: Any) -> str:
    url, cls = client.base_url, type(client)
    known = _providers.get((id(url), cls))
    if known is None or known[0] is not url:
        known = url, _platform_of(cls) or provider_of_url(url) or "anthropic"
        _providers.put((id(url), cls), known)
    name: str = known[1]
    return name


def _platform_of(client: type) -> str | None:
    names = [cls.__name__.removeprefix("Async") for cls in client.__mro__]
    return next((_PLATFORMS[name] for name in names if name in _PLATFORMS), None)


_providers = Latest(100)
"""The URLs of clients, and who answers there, by their ids and the clients' classes."""


class _Message(Asked):
    """A request for one message."""

    def prompt_of(self, body: Any) -> Prompt:
        return prompt_of(body)

    def answer_of(self, answer: Any) -> Answer:
        return answer_of(answer)

    def pieces(self) -> Pieces:
        return MessageEvents()


def _begun(
    client: Any, options: Any, settings: Settings, body: Mapping[str, Any], **more: Any
) -> Call:
    thread = body.get("thread")  # is kept by the provider: requests have only what is new
    previous = None
    if isinstance(thread, dict):
        previous = text(thread, "previous_message_id") or ""
    return begun(
        TARGET,
        settings,
        options,
        provider=_provider_of(client),
        request_model=text(body, "model"),
        named_session=_named_session(client, body),
        previous=previous,
        params=params_of(body),
        **more,
    )


def _named_session(client: Any, body: Mapping[str, Any]) -> str | None:
    told, metadata = getattr(client, "_open_telemetry", None), body.get("metadata")
    named = told.get("conversation_id") if isinstance(told, dict) else None
    if named is None and isinstance(metadata, dict):
        named = metadata.get("session_id")
    return named if isinstance(named, str) and named else None


def _body_of(options: Any) -> dict[str, Any]:
    more = getattr(options, "extra_json", None)
    return {**(options.json_data or {}), **(more or {})}


Known = tuple[Any, Any, Settings]
"""Client, options and settings of a request."""


def _message(known: Known) -> Request:
    client, options, settings = known
    body = _body_of(options)
    return _Message(_begun(client, options, settings, body), options, body)


class _NewBatch(Request):
    """A batch that is made: a prompt for each of its requests, whose answer comes later."""

    def __init__(self, known: Known) -> None:
        client, options, settings = known
        super().__init__(options)
        self._asked: dict[str, _Message] = {}
        for each in items(_body_of(options), "requests"):
            body, custom_id = field(each, "params") or {}, text(each, "custom_id") or ""
            call = _begun(
                client,
                None,
                settings,
                body,
                of_model=False,
                timed=False,
                extensions={"batch": {"custom_id": custom_id}},
            )
            self._asked[custom_id] = _Message(call, None, body)

    def ask(self) -> None:
        for each in self._asked.values():
            each.ask()

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            for each in self._asked.values():
                each.call.broke(error)

    def came(self, answer: Any, request_id: str | None = None) -> None:
        batch_id = text(answer, "id")
        for custom_id, each in self._asked.items():
            _waiting.put((batch_id, custom_id), each.call)


_waiting = Latest()
"""Calls whose answers come with the results of a batch, by its id and theirs."""
_told = Latest()
"""Results that are on record, by the same."""


class _Results(Request):
    """The results of a batch: each is recorded as the caller reads it."""

    def __init__(self, known: Known) -> None:
        self._client, options, self._settings = known
        super().__init__(options)
        self._batch_id = options.url.partition("?")[0].split("/")[-2]

    def got(self, result: Any) -> None:
        if hasattr(type(result), "__decode__"):
            inner = result._iterator
            kind = _LinesAsync if isinstance(inner, AsyncIterator) else _Lines
            result._iterator = kind(inner, self)
        else:
            super().got(result)

    def tell(self, line: Any) -> None:
        """Record one result, unless it is on record."""
        custom_id = text(line, "custom_id") or ""
        key = self._batch_id, custom_id
        if _told.get(key):
            return
        _told.put(key, True)
        result = field(line, "result")
        call = _waiting.pop(key) or begun(
            TARGET,
            self._settings,
            None,
            of_model=False,
            timed=False,
            provider=_provider_of(self._client),
            request_model=text(field(result, "message"), "model"),
        )
        call.extensions["batch"] = {"id": self._batch_id, "custom_id": custom_id}
        _end(call, result)


def _end(call: Call, result: Any) -> None:
    kind = text(result, "type")
    if kind == "succeeded":
        answer = call.read(answer_of, field(result, "message"), Answer())
        answer.cost_usd = NO_PRICE
        call.answered(answer)
    elif kind == "canceled":
        call.answered(Answer(outcome="cancelled", finish_reason=kind))
    else:
        told = field(result, "error")
        error = field(told, "error") or told
        word = text(error, "type") or kind or "failed"
        failure = Failure(word, text(error, "message"), word)
        failure.request_id = text(told, "request_id")
        call.failed(failure)


class _Lines:
    """Yields what *lines* yields, each of which is told."""

    def __init__(self, lines: Iterator[Any], results: _Results) -> None:
        self._lines = lines
        self._results = results

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        line = next(self._lines)
        safely(self._results.tell, line, None)
        return line


class _LinesAsync:
    """The same for an asynchronous iterator."""

    def __init__(self, lines: AsyncIterator[Any], results: _Results) -> None:
        self._lines = lines
        self._results = results

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        line = await anext(self._lines)
        safely(self._results.tell, line, None)
        return line


def _begin(client: Any, options: Any, _: dict[str, Any], settings: Settings) -> Request | None:
    """Return the request that is asked; None for one that is no interaction."""
    kind = safely(_kind_of, options, None)
    if kind is None or is_on_record(options):
        return None
    options = _walked(options)
    # where it can't be read, it goes unrecorded
    return safely(kind, (client, options, settings), None) or Request(options)


def _kind_of(options: Any) -> Callable[[Known], Request] | None:
    path: str = options.url.partition("?")[0]
    if options.method.lower() == "get":
        is_batch = "/messages/batches/" in path and path.endswith("/results")
        return _Results if is_batch else None
    if path.endswith(("/messages", "/complete")):
        return _message
    return _NewBatch if path.endswith("/messages/batches") else None


def _walked(options: Any) -> Any:
    """The options with messages that can be read twice: the SDK walks them once, as it begins."""
    body = options.json_data
    if not isinstance(body, dict):
        return options
    walked = {
        name: list(body[name])
        for name in ("messages", "requests", "system")
        if isinstance(body.get(name), Iterator)
    }
    if walked:
        options = copy.copy(options)
        options.json_data = {**body, **walked}
    return options


_REQUEST = requests(TARGET, _begin)
_SLEEP = retries(TARGET)
_COPY = copies(TARGET)


def _copied(*clients: str) -> tuple[tuple[str, str, Around], ...]:
    names = [name for client in clients for name in (client, f"Async{client}")]
    return tuple((name, made, _COPY) for name in names for made in ("copy", "with_options"))


_HOOKS: Hooks = {
    "anthropic._base_client": (
        ("SyncAPIClient", "request", _REQUEST[0]),
        ("AsyncAPIClient", "request", _REQUEST[1]),
        ("SyncAPIClient", "_sleep_for_retry", _SLEEP[0]),
        ("AsyncAPIClient", "_sleep_for_retry", _SLEEP[1]),
        ("SyncAPIClient", "_retry_request", _SLEEP[0]),  # before 0.52
        ("AsyncAPIClient", "_retry_request", _SLEEP[1]),
    ),
    "anthropic._client": (
        *_copied("Anthropic"),
        ("Anthropic", "request", _REQUEST[0]),
        ("AsyncAnthropic", "request", _REQUEST[1]),
    ),
    "anthropic._legacy_response": (("LegacyAPIResponse", "parse", PARSE[0]),),
    "anthropic._response": (
        ("APIResponse", "parse", PARSE[0]),
        ("APIResponse", "close", CLOSE[0]),
        ("AsyncAPIResponse", "parse", PARSE[1]),
        ("AsyncAPIResponse", "close", CLOSE[1]),
    ),
    "anthropic.lib.aws._client": _copied("AnthropicAWS"),
    "anthropic.lib.bedrock._client": _copied("AnthropicBedrock"),
    "anthropic.lib.bedrock._mantle": _copied("AnthropicBedrockMantle"),
    "anthropic.lib.foundry": _copied("AnthropicFoundry"),
    "anthropic.lib.google_cloud._client": _copied("AnthropicGoogleCloud"),
    "anthropic.lib.vertex._client": _copied("AnthropicVertex"),
}
