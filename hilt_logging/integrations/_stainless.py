"""
What the clients that Stainless generates have in common, and what `instrument` puts around it.

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
from ._calls import Call, in_progress, safely
from ._capture import Settings, Target
from ._patching import Hook, Wrap, WrapOwn
from ._streams import Pieces, Watched, WatchedAsync, watch


__all__ = [
    "CLOSE",
    "PARSE",
    "Around",
    "Asked",
    "Begin",
    "Hooks",
    "Request",
    "client_key",
    "copies",
    "hooks_in",
    "requests",
    "retries",
]

Around = Callable[[Callable[..., Any]], Callable[..., Any]]
Hooks = dict[str, tuple[tuple[str, str, Around], ...]]
"""Modules with the owners and names of their functions, and what goes around these."""


def client_key(client: Any) -> Any:
    """Return what tells a client's calls apart, for `instrument(client)`; None if it has none."""
    return client if hasattr(client, "request") and hasattr(client, "base_url") else None


def hooks_in(module: ModuleType, hooks: Hooks) -> list[Hook]:
    """Return the hooks of a module, but those that its version has no function for."""
    return [
        (WrapOwn if (owner, name) in _IN_THEIR_BASE else Wrap)(getattr(module, owner), name, around)
        for owner, name, around in hooks[module.__name__]
        if hasattr(getattr(module, owner, None), name)
    ]


_CLIENTS = ("OpenAI", "AsyncOpenAI", "Anthropic", "AsyncAnthropic")
_IN_THEIR_BASE = [(client, "request") for client in _CLIENTS]


class Request:
    """
    A request that is on its way, and what becomes of it. As a `with` block it surrounds it.

    Args:
        options: What the SDK's function is to be given.
    """

    def __init__(self, options: Any) -> None:
        self.options = options

    def ask(self) -> None:
        """
        Record what is asked, before it leaves.

        Raises:
            RecordingError: of a handler that was set up to raise.
        """

    def __enter__(self) -> None:
        return

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        return

    def got(self, result: Any) -> None:
        """Tell what came back by what it is, now or when the caller reads it."""
        while type(result) is not result.__class__ and hasattr(result, "__wrapped__"):
            result = result.__wrapped__  # another tool's, around the SDK's own
        response = getattr(result, "http_response", None)
        if hasattr(type(result), "__stream__"):
            self.streams(result, safely(_request_id_of, result.response, None))
        elif response is None or not hasattr(result, "parse"):
            self.came(result)
        elif _is_read(result):
            self.came(_json_of(response), _request_id_of(response))
        else:
            _unread[result] = _Unread(self, response)

    def came(self, answer: Any, request_id: str | None = None) -> None:
        """Take an answer that came whole."""

    def streams(self, stream: Any, request_id: str | None) -> None:
        """Take a stream on its way to the caller."""

    def unseen(self, response: Any, request_id: str | None) -> None:
        """Take a response whose words nobody saw but the caller."""


class Asked(Request):
    """
    A request whose answer is recorded.

    Args:
        call: The call.
        options: What the SDK's function is to be given.
        body: The whole body of the request.

    Attributes:
        body: The same, until it is asked.
    """

    def __init__(self, call: Call, options: Any, body: Any) -> None:
        super().__init__(options)
        self.call = call
        self.body = body
        self._whole: Any = None
        self.keep_whole()

    def prompt_of(self, body: Any) -> Prompt:
        """Return what a body asks."""
        raise NotImplementedError

    def answer_of(self, answer: Any) -> Answer:
        """Return what an answer says."""
        raise NotImplementedError

    def pieces(self) -> Pieces:
        """Return what puts the pieces of a stream together."""
        raise NotImplementedError

    def ask(self) -> None:
        """Record what is asked."""
        body, self.body = self.body, None
        self.call.asked(self.call.read(self.prompt_of, body, Prompt()))

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
        self.call.request = self.options
        self.call.__enter__()

    def __exit__(self, cls: Any, error: BaseException | None, traceback: Any) -> None:
        whole, self._whole = self._whole, None
        if error is not None and whole is not None:
            self.call.rejected(self.call.read(self.answer_of, whole, Answer()), error)
        self.call.__exit__(cls, error, traceback)

    def came(self, answer: Any, request_id: str | None = None) -> None:
        """Record an answer that came whole."""
        told = self.call.read(self.answer_of, answer, Answer())
        told.request_id = told.request_id or request_id
        self.take(told)

    def take(self, told: Answer) -> None:
        """Record what an answer says."""
        self.call.answered(told)

    def streams(self, stream: Any, request_id: str | None) -> None:
        """Watch a stream on its way to the caller."""
        watch(stream, self.call, self.pieces(), request_id)

    def unseen(self, response: Any, request_id: str | None) -> None:
        """Record that an answer came, but not what it says."""
        self.call.unseen(response, request_id)


def _is_read(result: Any) -> bool:
    """Whether the body of a response that is no stream is there already."""
    of_stream = getattr(result, "_is_sse_stream", None) or getattr(result, "_stream", None)
    return hasattr(result.http_response, "_content") and not of_stream


def _request_id_of(response: Any) -> str | None:
    headers = response.headers
    found: str | None = headers.get("request-id") or headers.get("x-request-id")
    return found


def _json_of(response: Any) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:  # no JSON: the SDK gives the caller the text
        return _text_of(response)


def _text_of(response: Any) -> str:
    """What `text` of a response would give, which forbids the caller to set another encoding."""
    content: bytes = response.content
    try:
        return content.decode(response.encoding or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


class _Unread:
    """A response that the caller reads; what it says is recorded as far as it is read."""

    def __init__(self, asked: Request, response: Any) -> None:
        self._asked = asked
        self._response = response
        self._is_over = False

    def parsed(self, result: Any) -> None:
        """Take what the caller got."""
        if hasattr(type(result), "__stream__") or hasattr(type(result), "__decode__"):
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
        request_id = _request_id_of(response)
        if hasattr(response, "_content"):  # `content` would raise
            self._asked.came(_body_of(response), request_id)
        else:
            self._asked.unseen(response, request_id)

    __del__ = left


_unread: WeakKeyDictionary[Any, _Unread] = WeakKeyDictionary()


def _body_of(response: Any) -> Any:
    """What a response says that was read at once: JSON, or the pieces of a stream."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return _json_of(response)
    lines = _text_of(response).splitlines()
    data = [line[5:].strip() for line in lines if line.startswith("data:")]
    return [json.loads(each) for each in data if each.startswith("{")]


Begin = Callable[[Any, Any, dict[str, Any], Settings], Request | None]


def requests(target: Target, begin: Begin) -> tuple[Around, Around]:
    """
    Return what goes around `request` of a client, and of an asynchronous one.

    Args:
        target: The SDK.
        begin: Is given client, options, the further arguments and settings, and returns the
            request; None for one that is no interaction.
    """

    def around(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            settings = target.settings(self)
            asked = None if settings is None else begin(self, options, kwargs, settings)
            if asked is None:
                return inner(self, cast_to, options, *args, **kwargs)
            asked.ask()
            with asked:
                result = inner(self, cast_to, asked.options, *args, **kwargs)
            safely(asked.got, result, None)
            return result

        return request

    def around_async(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            settings = target.settings(self)
            asked = None if settings is None else begin(self, options, kwargs, settings)
            if asked is None:
                return await inner(self, cast_to, options, *args, **kwargs)
            asked.ask()
            with asked:
                result = await inner(self, cast_to, asked.options, *args, **kwargs)
            safely(asked.got, result, None)
            return result

        return request

    return around, around_async


def retries(target: Target) -> tuple[Around, Around]:
    """Return what goes around what a client does before a request is made again."""

    def around(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def sleep(self: Any, *args: Any, **kwargs: Any) -> Any:
            _retried(target, self, kwargs.get("response"))
            return inner(self, *args, **kwargs)

        return sleep

    def around_async(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        async def sleep(self: Any, *args: Any, **kwargs: Any) -> Any:
            _retried(target, self, kwargs.get("response"))
            return await inner(self, *args, **kwargs)

        return sleep

    return around, around_async


def _retried(target: Target, client: Any, response: Any) -> None:
    """Record an attempt that is made again: a response, or the exception that is being handled."""
    call, error = in_progress(), sys.exception()
    if call is not None and target.settings(client) is not None:
        known = (target.name, client, error, response)
        call.retried(safely(_attempt_failure, known, Failure("unknown")))


_OWN = ("APIError", "RetryableError")


def _attempt_failure(known: tuple[str, Any, BaseException | None, Any]) -> Failure:
    """What failed, under the name that the SDK gives it where it is not tried again."""
    package, client, error, response = known
    if response is None:
        response = getattr(error, "response", None)  # of older versions' HTTP client
    if response is None:
        failure = Failure("unknown") if error is None else failure_of(error)
        if not any(cls.__name__ in _OWN for cls in type(error).__mro__):
            is_late = "Timeout" in failure.type
            failure.type = "APITimeoutError" if is_late else "APIConnectionError"
        return failure
    body = _json_of(response) if hasattr(response, "_content") else None
    words = f"Error code: {response.status_code}" + (f" - {body}" if body else "")
    # the SDK's own: what an application put in its place is not for us to call
    make = next(
        vars(cls)["_make_status_error"]
        for cls in type(client).__mro__
        if "_make_status_error" in vars(cls) and cls.__module__.partition(".")[0] == package
    )
    return failure_of(make(client, words, body=body or None, response=response))


def _parsing(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(self, *args, **kwargs)
        unread = _unread.pop(self, None)
        if unread is not None:
            unread.parsed(result)
        return result

    return parse


def _parsing_async(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    async def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await inner(self, *args, **kwargs)
        unread = _unread.pop(self, None)
        if unread is not None:
            unread.parsed(result)
        return result

    return parse


def _closing(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return inner(self, *args, **kwargs)
        finally:
            _left(self)

    return close


def _closing_async(inner: Callable[..., Any]) -> Callable[..., Any]:
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


PARSE: tuple[Around, Around] = (_parsing, _parsing_async)
"""What goes around `parse` of a response, and of an asynchronous one."""
CLOSE: tuple[Around, Around] = (_closing, _closing_async)
"""What goes around `close` of a response, and of an asynchronous one."""


def copies(target: Target) -> Around:
    """Return what goes around the functions that make a client of another one."""

    def around(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def copied(self: Any, *args: Any, **kwargs: Any) -> Any:
            made = inner(self, *args, **kwargs)
            target.pass_on(self, made)
            return made

        return copied

    return around
