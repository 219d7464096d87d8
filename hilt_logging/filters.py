"""
Which events a handler gets.

Filters go on handlers: a filter on the logger `hilt` does not see what its children log. None of
them raises; records without an event pass only with `foreign=True`.
"""

from __future__ import annotations

import fnmatch
import logging
import re

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .errors import ConfigurationError, reject_unknown
from .records import complete, event_of, level_of, with_event
from .schema import ACTIONS, ACTOR_TYPES


__all__ = [
    "ActionFilter",
    "ActorFilter",
    "HILTContextFilter",
    "ModelFilter",
    "OnlyHILT",
    "ProviderFilter",
    "SessionFilter",
    "SessionSampler",
]


def passed(filters: Iterable[Any], record: logging.LogRecord) -> bool | logging.LogRecord:
    """Return what filters let pass: as Python 3.12 and later, also a record in its place."""
    for each in filters:
        result = each.filter(record) if hasattr(each, "filter") else each(record)
        if not result:
            return False
        if isinstance(result, logging.LogRecord):
            record = result
    return record


class OnlyHILT(logging.Filter):
    """Let only records with an event pass."""

    def __init__(self, **unknown: Any) -> None:
        reject_unknown("OnlyHILT", unknown, ())
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record has an event."""
        return event_of(record) is not None


class HILTContextFilter(logging.Filter):
    """
    Complete the event on a record with id, timestamp, session and what is bound; all pass.

    For a handler that hands records to another thread, e.g. a stock `QueueHandler`: what is bound
    is known only in the caller's thread.
    """

    def __init__(self, **unknown: Any) -> None:
        reject_unknown("HILTContextFilter", unknown, ())
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the event; return True."""
        complete(record)
        return True


class _EventFilter(logging.Filter):
    """
    A filter that looks at one field of the event.

    Args:
        wanted: The option's name and what was given for it.
        allowed: What may be given; None where anything may, with `*` and `?` as in file names.
        exclude: Let pass what does not match.
        foreign: Let records without an event pass.
    """

    def __init__(
        self,
        wanted: tuple[str, Iterable[str]],
        allowed: tuple[str, ...] | None,
        exclude: bool,
        foreign: bool,
        unknown: Iterable[str],
    ) -> None:
        option, values = wanted
        reject_unknown(type(self).__name__, unknown, (option, "exclude", "foreign"))
        for name, value in {"exclude": exclude, "foreign": foreign}.items():
            if type(value) is not bool:
                raise ConfigurationError(name, value, "Must be true or false")
        super().__init__()
        self._match = _matcher(option, values, allowed)
        self._exclude = exclude
        self._foreign = foreign

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record's event matches."""
        event = complete(record)
        if event is None:
            return self._foreign
        try:
            matches = any(map(self._match, self.values(event)))
        except (
            AttributeError,
            KeyError,
            TypeError,
        ):  # another filter has taken the event apart: keep it
            return True
        return matches is not self._exclude

    def values(self, event: dict[str, Any]) -> list[str]:
        """Return what the event has in the field that is looked at."""
        raise NotImplementedError


class ActionFilter(_EventFilter):
    """
    Let events of certain actions pass.

    Args:
        actions: One or several of `hilt_logging.events.ACTIONS`.
        exclude: Let all others pass instead.
        foreign: Let records without an event pass too.

    Raises:
        ConfigurationError: for an unknown action or option.
    """

    def __init__(
        self,
        actions: str | Sequence[str] = (),
        exclude: bool = False,
        foreign: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(("actions", _list(actions)), ACTIONS, exclude, foreign, unknown)

    def values(self, event: dict[str, Any]) -> list[str]:
        """Return the action."""
        return [event["action"]]


class ActorFilter(_EventFilter):
    """
    Let events of certain actors pass.

    Args:
        types: One or several of human, agent, tool, system.
        exclude: Let all others pass instead.
        foreign: Let records without an event pass too.

    Raises:
        ConfigurationError: for an unknown type or option.
    """

    def __init__(
        self,
        types: str | Sequence[str] = (),
        exclude: bool = False,
        foreign: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(("types", _list(types)), ACTOR_TYPES, exclude, foreign, unknown)

    def values(self, event: dict[str, Any]) -> list[str]:
        """Return the actor's type."""
        return [event["actor"]["type"]]


class ProviderFilter(_EventFilter):
    """
    Let events of certain providers pass.

    Args:
        providers: One or several names, e.g. `openai`; `*` and `?` as in file names.
        exclude: Let all others pass instead.
        foreign: Let records without an event pass too.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
    """

    def __init__(
        self,
        providers: str | Sequence[str] = (),
        exclude: bool = False,
        foreign: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(("providers", _list(providers)), None, exclude, foreign, unknown)

    def values(self, event: dict[str, Any]) -> list[str]:
        """Return the provider."""
        return _texts(event, "provider")


class ModelFilter(_EventFilter):
    """
    Let events of certain models pass, served or asked for.

    Args:
        models: One or several names; `*` and `?` as in file names, e.g. `gpt-*`.
        exclude: Let all others pass instead.
        foreign: Let records without an event pass too.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
    """

    def __init__(
        self,
        models: str | Sequence[str] = (),
        exclude: bool = False,
        foreign: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(("models", _list(models)), None, exclude, foreign, unknown)

    def values(self, event: dict[str, Any]) -> list[str]:
        """Return the model that served and the one that was asked for."""
        return _texts(event, "model", "request_model")


class SessionFilter(_EventFilter):
    """
    Let events of certain conversations pass.

    Args:
        sessions: One or several ids; `*` and `?` as in file names.
        exclude: Let all others pass instead.
        foreign: Let records without an event pass too.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
    """

    def __init__(
        self,
        sessions: str | Sequence[str] = (),
        exclude: bool = False,
        foreign: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(("sessions", _list(sessions)), None, exclude, foreign, unknown)

    def values(self, event: dict[str, Any]) -> list[str]:
        """Return the session."""
        return [event["session_id"]]


class SessionSampler(logging.Filter):
    """
    Keep a share of the conversations, each one whole; errors are always kept.

    The same session is kept or dropped in every process. An error of a session that is dropped is
    marked `extensions.sampled = "error"`, on a copy of the record: from Python 3.12 on for every
    handler, on 3.11 for `HILTFileHandler`.

    Args:
        rate: The share, from 0.0 to 1.0.
        salt: Another text chooses other conversations.

    Raises:
        ConfigurationError: for a rate that is no number from 0 to 1.
    """

    def __init__(self, rate: float | None = None, salt: str = "", **unknown: Any) -> None:
        reject_unknown("SessionSampler", unknown, ("rate", "salt"))
        if rate is None or type(rate) not in (int, float) or not 0 <= rate <= 1:
            raise ConfigurationError("rate", rate, "Must be a number from 0 to 1")
        if type(salt) is not str:
            raise ConfigurationError("salt", salt, "Must be a string")
        super().__init__()
        self._limit = rate * 2**64
        self._salt = salt

    def filter(  # type: ignore[override]  # since 3.12 a record may be returned
        self, record: logging.LogRecord
    ) -> bool | logging.LogRecord:
        """Return True to keep, False to drop, or a marked copy of an error."""
        event = complete(record)
        if event is None or self._keeps(event["session_id"]):
            return True
        if level_of(event) < logging.ERROR:
            return False
        extensions = {**event.get("extensions", {}), "sampled": "error"}
        return with_event(record, {**event, "extensions": extensions})

    def _keeps(self, session_id: str) -> bool:
        import hashlib  # here and not above, as it takes milliseconds

        digest = hashlib.sha256(f"{self._salt}\0{session_id}".encode(errors="replace")).digest()
        return int.from_bytes(digest[:8], "big") < self._limit


def _list(value: object) -> Any:
    """A single value or the items of a list; by index, so that `cfg://` in a list is resolved."""
    if isinstance(value, (list, tuple)):
        return [value[index] for index in range(len(value))]
    return [value]


def _texts(event: dict[str, Any], *names: str) -> list[str]:
    provenance = event.get("provenance", {})
    return [text for name in names if type(text := provenance.get(name)) is str]


def _matcher(
    option: str, values: Iterable[Any], allowed: tuple[str, ...] | None
) -> Callable[[str], Any]:
    given = list(values)
    if not given:
        what = f"one or several of: {', '.join(allowed)}" if allowed else "one or several strings"
        raise ConfigurationError(option, given, f"Must be {what}")
    for value in given:
        if type(value) is not str or value.startswith(("ext://", "cfg://")):
            raise ConfigurationError(option, value, "Must be a string or a list of strings")
        if allowed is not None and value not in allowed:
            raise ConfigurationError(option, value, f"Must be one of: {', '.join(allowed)}")
    if allowed is not None:
        return frozenset(given).__contains__
    return re.compile("|".join(map(fnmatch.translate, given))).match
