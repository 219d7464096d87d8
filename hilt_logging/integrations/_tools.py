"""
Functions that are tools: each of their runs as a call and its result.
"""

from __future__ import annotations

import contextlib
import functools
import inspect

from collections.abc import AsyncIterator, Callable, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from ..errors import ConfigurationError
from ..events import Actor
from ..snapshot import snapshot
from ._answers import ToolCall, ToolResult, failure_of
from ._calls import Call, begun, safely
from ._capture import EVERYTHING, Target, surrounding, surroundings


__all__ = ["LOGGER", "Recorded", "target_for", "tool"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
LOGGER = "hilt.app"
_MOST_ITEMS = 1000


class Recorded(Protocol[P, R_co]):
    """A function whose runs are recorded."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run it."""

    def __get__(self, thing: Any, owner: Any = None) -> Any:
        """Return it as a method."""

    def called(self, call_id: str | None, /) -> Callable[P, R_co]:
        """Return it for the run that a model asked for under an id."""


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, R_co], /) -> Recorded[P, R_co]: ...


@overload
def tool(function: Callable[P, R_co], /) -> Recorded[P, R_co]: ...
@overload
def tool(*, name: str | None = None, logger: str = LOGGER) -> _Decorator: ...
def tool(function: Any = None, /, *, name: str | None = None, logger: str = LOGGER) -> Any:
    """
    Record each run of a function as a tool: what it is called with, what it gives, how long it takes.

    A decorator for functions, coroutine functions and generators of both kinds, with or without
    arguments of its own. What the function gives and raises is unchanged.

    Where a model asked for the run, `function.called(call_id)(...)` runs it with the provider's id
    of that call: then its `tool_call` is on record already, and only the `tool_result` is added. Of
    a method, the object comes first: `thing.method.called(call_id)(thing, ...)`.

    Args:
        function: The function.
        name: The tool's name; by default that of the function.
        logger: The logger of its events.

    Raises:
        ConfigurationError: for a name that is empty, or a logger that is not below `hilt`.
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigurationError("name", name, "Must be a string that is not empty")
    target = target_for(logger)
    if function is None:
        return lambda given: _recorded(given, name, target)
    return _recorded(function, name, target)


def _recorded(function: Any, name: str | None, target: Target, call_id: str | None = None) -> Any:
    own_name: str = getattr(function, "__name__", "tool")
    known = _Tool(function, name or own_name, target, call_id)
    if inspect.isasyncgenfunction(function):
        wrapper: Any = _async_generator(function, known)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, known)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine_function(function, known)
    else:
        wrapper = _function(function, known)
    functools.update_wrapper(wrapper, function)
    wrapper.called = functools.partial(_recorded, function, name, target)
    return wrapper


class _Tool:
    """A function that is a tool."""

    def __init__(self, function: Any, name: str, target: Target, call_id: str | None) -> None:
        self.name = name
        self._target = target
        self._call_id = call_id
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # of some functions written in C
            self._signature = None

    def begins(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Run | None:
        """Record that it is run; None where it is not recorded."""
        if self._target.settings(None) is None:
            return None
        within = surrounding()
        if within is not None and within.tool == self.name:  # a framework runs it, and records it
            return None
        return safely(self._begun, (args, kwargs), None)

    def _begun(self, given: tuple[tuple[Any, ...], dict[str, Any]]) -> _Run:
        args, kwargs = given
        call = begun(self._target, EVERYTHING, None, of_model=False, source=self.name)
        call.tool_called(ToolCall(self.name, self._call_id, self._arguments(args, kwargs)))
        return _Run(call, self.name, self._call_id)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What it is called with, by name; as it stands where that does not fit the function."""
        try:
            if self._signature is None:
                raise TypeError
            bound = dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError:
            bound = {**({"args": list(args)} if args else {}), **kwargs}
        return {each: value for each, value in bound.items() if each not in ("self", "cls")}


class _Run:
    """A run of a tool, under way: as a `with` block, a part of it, whose exception is its end."""

    def __init__(self, call: Call, name: str, call_id: str | None) -> None:
        self._call = call
        self._name = name
        self._call_id = call_id
        self._items: list[Any] = []
        self._count = 0

    def __enter__(self) -> None:
        self._token = _within.set(self._call)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _within.reset(self._token)
        if exc is not None and not isinstance(exc, (StopIteration, StopAsyncIteration)):
            self._call.failed(failure_of(exc), tool=self._told())

    def took(self, item: T) -> T:
        """Keep an item that a generator gives."""
        self._count += 1
        if self._count <= _MOST_ITEMS:
            self._items.append(snapshot(item, max_nodes=1000, max_text=100_000))
        return item

    def gave(self, result: T) -> T:
        """Record what it gave."""
        given = safely(_plain, result, None)
        self._call.tool_gave(ToolResult(self._name, self._call_id, given))
        return result

    def ended(self, *, is_whole: bool = True) -> None:
        """Record what a generator gave."""
        given: Any = self._items
        if given and all(type(each) is str for each in given) and self._count <= _MOST_ITEMS:
            given = "".join(given)
        elif self._count > _MOST_ITEMS:
            given = [*given, {"$cut": "size", "$omitted": self._count - _MOST_ITEMS}]
        if is_whole:
            self._call.tool_gave(ToolResult(self._name, self._call_id, given))
            return
        said = given if isinstance(given, str) else None
        told = self._told() if said is not None else {**self._told(), "result": given}
        actor = Actor(type="tool", id=self._name)
        self._call.noted(
            "tool_result", actor, text=said, timed=True, outcome="closed_early", tool=told
        )

    def _told(self) -> dict[str, Any]:
        return {"name": self._name, **({"call_id": self._call_id} if self._call_id else {})}


_within: ContextVar[Call | None] = ContextVar("hilt_logging_within", default=None)
surroundings.insert(0, _within.get)


def _plain(result: Any) -> Any:
    return snapshot(result, max_nodes=10_000)


def _function(function: Callable[..., Any], known: _Tool) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = known.begins(args, kwargs)
        if run is None:
            return function(*args, **kwargs)
        with run:
            result = function(*args, **kwargs)
        return _awaited(result, run) if inspect.iscoroutine(result) else run.gave(result)

    return wrapper


async def _awaited(pending: Any, run: _Run) -> Any:
    with run:
        result = await pending
    return run.gave(result)


def _coroutine_function(function: Callable[..., Any], known: _Tool) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = known.begins(args, kwargs)
        if run is None:
            return await function(*args, **kwargs)
        with run:
            result = await function(*args, **kwargs)
        return run.gave(result)

    return wrapper


def _generator(function: Callable[..., Any], known: _Tool) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = known.begins(args, kwargs)
        running = function(*args, **kwargs)
        if run is None:
            return (yield from running)
        step, value = running.send, None
        while True:
            try:
                with run:
                    item = step(value)
            except StopIteration as stop:
                run.ended()
                return stop.value
            try:
                step, value = running.send, (yield run.took(item))
            except GeneratorExit:
                run.ended(is_whole=False)
                running.close()
                raise
            except BaseException as error:
                step, value = running.throw, error

    return wrapper


def _async_generator(function: Callable[..., Any], known: _Tool) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        run = known.begins(args, kwargs)
        running = function(*args, **kwargs)
        step, value = running.asend, None
        while True:
            try:
                with run or contextlib.nullcontext():
                    item = await step(value)
            except StopAsyncIteration:
                if run is not None:
                    run.ended()
                return
            try:
                step, value = running.asend, (yield item if run is None else run.took(item))
            except GeneratorExit:
                if run is not None:
                    run.ended(is_whole=False)
                await running.aclose()
                raise
            except BaseException as error:
                step, value = running.athrow, error

    return wrapper


_targets: dict[str, Target] = {}


def target_for(logger: str) -> Target:
    """
    Return what tells whether anybody listens to a logger, and whether that is suppressed here.

    Raises:
        ConfigurationError: for one that is not below `hilt`.
    """
    found = _targets.get(logger) if isinstance(logger, str) else None
    if found is None:
        if not isinstance(logger, str) or not f"{logger}.".startswith("hilt."):
            raise ConfigurationError("logger", logger, "Must be hilt, or the name of one below it")
        found = _targets[logger] = Target(logger, logger)
        found.switch_on(EVERYTHING)
    return found
