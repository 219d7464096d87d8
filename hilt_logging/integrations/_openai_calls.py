"""
Calls of OpenAI's clients on their way: chat, responses also of the background, and embeddings.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ._answers import Answer, Prompt
from ._calls import begun, is_answered, is_on_record, safely
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
from ._patching import Hook
from ._providers import provider_of_url
from ._stainless import (
    CLOSE,
    PARSE,
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

TARGET = target_of("openai")


def hooks(module: ModuleType) -> list[Hook]:
    """Return what `instrument` puts into a module of the SDK."""
    return hooks_in(module, _HOOKS)


class _Asked(Asked):
    """A request for an answer in words."""

    def prompt_of(self, body: Any) -> Prompt:
        return prompt_of(body)

    def answer_of(self, answer: Any) -> Answer:
        return answer_of(answer)

    def pieces(self) -> Pieces:
        return ChatChunks()


class _Response(_Asked):
    """A request for one of the answers that may be had later, by their ids."""

    def pieces(self) -> Pieces:
        return ResponseEvents()

    def take(self, told: Answer) -> None:
        if told.finish_reason in _NOT_YET:
            _in_background.put(told.response_id, self.call)
            self.call.postponed(told)
        else:
            self.call.answered(told)


class _Retrieved(_Response):
    """An answer that is asked for by its id. That it can't be had is no failure of the call."""

    def ask(self) -> None:
        return

    def __enter__(self) -> None:
        return

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        return

    def take(self, told: Answer) -> None:
        if told.finish_reason not in _NOT_YET:
            _in_background.pop(told.response_id)
            self.call.answered(told)


class _Embeddings(_Asked):
    """A request for vectors: asked and answered in one event."""

    def ask(self) -> None:
        return

    def keep_whole(self) -> None:
        return

    def came(self, answer: Any, request_id: str | None = None) -> None:
        nothing: dict[str, int] = {}
        known = safely(_vectors_of, answer, nothing)
        told = Answer(
            model=text(answer, "model"),
            request_id=text(answer, "_request_id") or request_id,
            tokens=self.call.read(_tokens_of, answer, None),
        )
        prompt = self.call.read(inputs_of, self.body, Prompt())
        self.call.embedded(prompt, told, embedding=known)


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


_NOT_YET = ("queued", "in_progress")
_in_background = Latest()
"""Calls whose answers were not there yet, by the answer's id."""


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


def _begin(client: Any, options: Any, known: dict[str, Any], settings: Settings) -> Request | None:
    """Return the request that is asked; None for one that is no interaction."""
    kind = safely(_kind_of, options, None)
    if kind is None or is_on_record(options):
        return None
    if kind == "retrieve":
        return _retrieved(client, options, known, settings)
    return safely(_begun, (client, options, settings, kind), None)


def _begun(known: tuple[Any, Any, Settings, str]) -> Request:
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
    return _REQUESTS.get(kind, _Asked)(call, options, body)


_REQUESTS: dict[str, type[Asked]] = {"embeddings": _Embeddings, "responses": _Response}


def _retrieved(
    client: Any, options: Any, known: dict[str, Any], settings: Settings
) -> Request | None:
    """The call whose answer is asked for; None where that is on record already."""
    path = options.url.partition("?")[0].removesuffix("/cancel")
    response_id = path.rpartition("/")[2]
    call = _in_background.get(response_id)
    if call is None and known.get("stream") and not is_answered(response_id):
        call = begun(TARGET, settings, options, provider=_provider_of(client))
        call.resumes(response_id)
    return None if call is None else _Retrieved(call, options, None)


_REQUEST = requests(TARGET, _begin)
_SLEEP = retries(TARGET)
_COPY = copies(TARGET)

_HOOKS: Hooks = {
    "openai._base_client": (
        ("SyncAPIClient", "request", _REQUEST[0]),
        ("AsyncAPIClient", "request", _REQUEST[1]),
        ("SyncAPIClient", "_sleep_for_retry", _SLEEP[0]),
        ("AsyncAPIClient", "_sleep_for_retry", _SLEEP[1]),
        ("SyncAPIClient", "_retry_request", _SLEEP[0]),  # its older name
        ("AsyncAPIClient", "_retry_request", _SLEEP[1]),
    ),
    "openai._client": (
        ("OpenAI", "copy", _COPY),
        ("OpenAI", "with_options", _COPY),
        ("AsyncOpenAI", "copy", _COPY),
        ("AsyncOpenAI", "with_options", _COPY),
        ("OpenAI", "request", _REQUEST[0]),
        ("AsyncOpenAI", "request", _REQUEST[1]),
    ),
    "openai._legacy_response": (("LegacyAPIResponse", "parse", PARSE[0]),),
    "openai._response": (
        ("APIResponse", "parse", PARSE[0]),
        ("APIResponse", "close", CLOSE[0]),
        ("AsyncAPIResponse", "parse", PARSE[1]),
        ("AsyncAPIResponse", "close", CLOSE[1]),
    ),
    "openai.lib.streaming.chat._completions": (
        ("ChatCompletionStream", "close", CLOSE[0]),
        ("AsyncChatCompletionStream", "close", CLOSE[1]),
    ),
    "openai.lib.streaming.responses._responses": (
        ("ResponseStream", "close", CLOSE[0]),
        ("AsyncResponseStream", "close", CLOSE[1]),
    ),
}
