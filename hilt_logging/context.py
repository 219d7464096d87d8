"""
What is true of every event that is emitted here: session, user, trace and extra fields.

See Also:
    `emit`, which adds it to each event in the caller's thread.
"""

from __future__ import annotations

import contextlib
import functools
import sys

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from .errors import ConfigurationError
from .snapshot import snapshot


__all__ = ["Context", "bind", "current"]

F = TypeVar("F", bound=Callable[..., Any])


class Context(msgspec.Struct, frozen=True):
    """
    What `bind` has set where the caller stands.

    Attributes:
        session_id: The conversation.
        user_id: The person; goes to `extensions.user_id` and is the human actor's id.
        trace_id: The trace, 32 hex digits.
        span_id: The span, 16 hex digits.
        consent: What the person agreed to; goes to `privacy.consent`.
        extensions: Further fields of `extensions`.
    """

    session_id: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    consent: dict[str, Any] | None = None
    extensions: dict[str, Any] = {}


class _Bound(msgspec.Struct, frozen=True):
    """What is bound somewhere: each `bind` that was entered, and all of them in one."""

    layers: tuple[bind, ...] = ()
    merged: Context = Context()


_NOTHING = _Bound()
NOTHING = _NOTHING.merged
_bound: ContextVar[_Bound] = ContextVar("hilt_logging", default=_NOTHING)
lookup = _bound.get
"""What has `current()` as `merged`: one call less where every event passes."""


def current() -> Context:
    """Return what is bound here; fields that nobody set are None."""
    return _bound.get().merged


@contextlib.contextmanager
def restored(bound: _Bound) -> Iterator[None]:
    """Bind what `lookup` returned where an ordinary record was made, and nothing else."""
    before = _bound.set(bound)
    try:
        yield
    finally:
        _bound.reset(before)


class bind:  # noqa: N801 -- used as a function, like contextlib.suppress
    """
    Set the session, the user and further fields for all events within.

    Works as a `with` block and as a decorator of functions, coroutine functions and generators.
    Inner values win over outer ones.

    Args:
        session_id: The conversation; not empty.
        user_id: The person.
        trace_id: The trace that the events belong to; OpenTelemetry's current one by default.
        span_id: The span, likewise.
        consent: What the person agreed to, for `privacy.consent`.
        extensions: Any further fields, which go to `extensions`.

    Raises:
        ConfigurationError: if an id is not a string or is empty, or consent is not a dict.
    """

    def __init__(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        *,
        trace_id: str | None = None,
        span_id: str | None = None,
        consent: dict[str, Any] | None = None,
        **extensions: Any,
    ) -> None:
        ids = {"session_id": session_id, "user_id": user_id, "trace_id": trace_id}
        for option, value in {**ids, "span_id": span_id}.items():
            if value is not None and (not isinstance(value, str) or not value):
                raise ConfigurationError(option, value, "Must be a string that is not empty")
        if consent is not None and not isinstance(consent, dict):
            raise ConfigurationError("consent", type(consent).__name__, "Must be a dict")
        given = snapshot({**ids, "span_id": span_id, "consent": consent})
        self._given = {name: value for name, value in given.items() if value is not None}
        self._extensions: dict[str, Any] = snapshot(extensions)

    def __enter__(self) -> Self:
        _bind_layers((*_bound.get().layers, self))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        layers = _bound.get().layers
        for index in reversed(range(len(layers))):
            if layers[index] is self:  # not so where a generator is closed in another context
                _bind_layers(layers[:index] + layers[index + 1 :])
                return

    def __call__(self, function: F) -> F:
        """Return the function with everything bound while its own code runs."""
        import inspect  # here and not above, as it takes milliseconds

        if inspect.isasyncgenfunction(function):
            wrapper: Any = self._around_async_generator(function)
        elif inspect.isgeneratorfunction(function):
            wrapper = self._around_generator(function)
        elif inspect.iscoroutinefunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        functools.update_wrapper(wrapper, function)
        return wrapper  # type: ignore[no-any-return]

    def _around_generator(
        self, function: Callable[..., Any]
    ) -> Callable[..., Generator[Any, Any, Any]]:
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            running = function(*args, **kwargs)
            step, value = running.send, None
            while True:
                with self:  # bound while the body runs, not while the consumer does
                    try:
                        item = step(value)
                    except StopIteration as stop:
                        return stop.value
                try:
                    step, value = running.send, (yield item)
                except GeneratorExit:
                    with self:
                        running.close()
                    raise
                except BaseException as error:
                    step, value = running.throw, error

        return wrapper

    def _around_async_generator(
        self, function: Callable[..., Any]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            running = function(*args, **kwargs)
            step, value = running.asend, None
            while True:
                with self:
                    try:
                        item = await step(value)
                    except StopAsyncIteration:
                        return
                try:
                    step, value = running.asend, (yield item)
                except GeneratorExit:
                    with self:
                        await running.aclose()
                    raise
                except BaseException as error:
                    step, value = running.athrow, error

        return wrapper


def _bind_layers(layers: tuple[bind, ...]) -> None:
    fields: dict[str, Any] = {}
    extensions: dict[str, Any] = {}
    for layer in layers:
        fields |= layer._given
        extensions |= layer._extensions
    _bound.set(_Bound(layers, Context(**fields, extensions=extensions)))


def trace_ids() -> dict[str, str]:
    """Return `trace_id` and `span_id` as bound, else of OpenTelemetry's current span, else {}."""
    bound = current()
    if bound.trace_id is not None:
        ids = {"trace_id": bound.trace_id}
        return {**ids, "span_id": bound.span_id} if bound.span_id is not None else ids
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    try:
        span = trace.get_current_span().get_span_context()
        if not span.is_valid:
            return {}
        return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    except Exception:  # an application's own tracer must not cost an event
        return {}
