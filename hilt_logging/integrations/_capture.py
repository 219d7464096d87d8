"""
Whether a call is recorded, and how: what is instrumented, what is suppressed, and whose turn it is.
"""

from __future__ import annotations

import logging
import weakref

from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec


if TYPE_CHECKING:
    from ._calls import Call


__all__ = [
    "EVERYTHING",
    "Outer",
    "Settings",
    "Target",
    "outer",
    "suppress",
    "surrounding",
    "surroundings",
    "target_of",
]


class Settings(msgspec.Struct, frozen=True):
    """
    How calls are recorded.

    Attributes:
        capture: `new`, what is new in each request; `all`, every request whole; `metadata`, no
            content.
        media: `reference`, type, size and digest; `inline`, the bytes in base64 as well.
    """

    capture: Literal["new", "all", "metadata"] = "new"
    media: Literal["reference", "inline"] = "reference"


EVERYTHING = Settings("all")


class Target:
    """
    One SDK or framework, and whether its calls are recorded.

    Args:
        name: As `instrument` takes it.
        logger: The logger of its events.
    """

    def __init__(self, name: str, logger: str) -> None:
        self.name = name
        self.logger = logging.getLogger(logger)
        self._everywhere: Settings | None = None
        self._clients: dict[int, tuple[weakref.ref[Any], Settings]] = {}

    def switch_on(self, settings: Settings, client: Any = None) -> None:
        """Record the calls of one client, or of all."""
        if client is None:
            self._everywhere = settings
            return
        key = id(client)
        gone = weakref.ref(client, lambda _: self._clients.pop(key, None))
        self._clients[key] = (gone, settings)

    def switch_off(self, client: Any = None) -> None:
        """Record the calls of one client, or of all, no longer."""
        if client is None:
            self._everywhere = None
            self._clients.clear()
        else:
            self._clients.pop(id(client), None)

    def pass_on(self, client: Any, made: Any) -> None:
        """Record the calls of a client that was made of another one, if only that one's are."""
        own = self._clients.get(id(client))
        if own is not None:
            self.switch_on(own[1], made)

    def is_on(self) -> bool:
        """Return whether calls of any client are recorded."""
        return self._everywhere is not None or bool(self._clients)

    def settings(self, client: Any) -> Settings | None:
        """
        Return how a call that begins here is to be recorded; None if it is not.

        This is the one question that every call asks. It is not recorded where the client is not
        instrumented, where nobody listens, and within `suppress()`.
        """
        found = self._everywhere
        if self._clients and (own := self._clients.get(id(client))) is not None:
            found = own[1]
        if found is None or not hears(self.logger) or _around.get() is _SUPPRESSED:
            return None
        return found

    def takes_over(self) -> bool:
        """
        Return whether a call of this SDK here would be recorded by it, for the framework around it.

        It is not said for which client: a framework does not know.
        """
        return self.settings(None) is not None


def hears(logger: logging.Logger) -> bool:
    """Return whether anybody would get any event of a logger."""
    if logger.isEnabledFor(logging.INFO):
        return True
    if not logger.isEnabledFor(logging.ERROR):
        return False
    # an application that set up no logging at all has the level WARNING, and nobody who listens
    at: logging.Logger | None = logger
    while at is not None:
        for handler in at.handlers:
            if type(handler) is not logging.NullHandler:
                return True
        at = at.parent if at.propagate else None
    return False


_TARGETS: dict[str, Target] = {}


def target_of(name: str) -> Target:
    """Return the one target of a name; its events go to the logger `hilt.<name>`."""
    return _TARGETS.get(name) or _TARGETS.setdefault(name, Target(name, f"hilt.{name}"))


class Outer:
    """
    A framework's run of a model, which the SDK's call within may stand for.

    A framework opens one where the SDK's call will begin, in the same context. The SDK's call that
    begins first within it takes it: that call is on record with what the framework knows, and the
    framework keeps silent. Where none does, the framework records the run itself.

    Args:
        call: The framework's call; its session, run ids and extensions go to the SDK's events.
        session: The framework's own session, anything with `append(event)`.
        is_recorded: Whether the framework has recorded the run already: the SDK's call that takes
            it is silent.
        owner: What lives as long as the run: after it, nothing can take the run any more.
    """

    __slots__ = ("_owner", "_token", "before", "call", "is_recorded", "session", "taken_by")

    def __init__(
        self, call: Call, session: Any = None, *, is_recorded: bool = False, owner: Any = None
    ) -> None:
        self.call = call
        self.session = session
        self.is_recorded = is_recorded
        self._owner = None if owner is None else weakref.ref(owner)
        self.taken_by: Call | None = None
        self.before: Outer | None = None
        self._token: Token[Any] | None = None

    def open(self) -> None:
        """Let an SDK's call take it from here on."""
        if _around.get() is not _SUPPRESSED:
            self.before = outer()
            self._token = _around.set(self)

    def close(self) -> bool:
        """End it, and return whether an SDK's call stood for it."""
        token, self._token = self._token, None
        if token is not None and _around.get() is self:
            try:
                _around.reset(token)
            except ValueError:  # it ends in another context than it began in
                _around.set(None)
        return self.taken_by is not None

    def is_free(self) -> bool:
        """Return whether it is open and not taken."""
        if self._token is None or self.taken_by is not None:
            return False
        return self._owner is None or self._owner() is not None


class _Suppressed:
    """Stands where a framework's run would, while nothing is recorded."""


_SUPPRESSED: Final = _Suppressed()
_around: ContextVar[Outer | _Suppressed | None] = ContextVar("hilt_logging_around", default=None)


def outer() -> Outer | None:
    """Return the framework's run that a call here may stand for."""
    found = _around.get()
    while isinstance(found, Outer):
        if found.is_free():
            return found
        found = found.before
    return None


surroundings: list[Callable[[], Call | None]] = []
"""Frameworks tell here which run of theirs, other than a model's, a call is made in."""


def surrounding() -> Call | None:
    """Return the run of a framework, as of a tool or a node, that a call here is made in."""
    for find in surroundings:
        found = find()
        if found is not None:
            return found
    return None


class suppress:  # noqa: N801 -- used as a function, like contextlib.suppress
    """
    Record no call of an SDK within a `with` block.

    It holds for this thread or task, and for the tasks that it starts.
    """

    def __init__(self) -> None:
        self._tokens: list[Token[Any]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_around.set(_SUPPRESSED))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            _around.reset(self._tokens.pop())
        except ValueError:  # a generator that is closed in another context
            return
