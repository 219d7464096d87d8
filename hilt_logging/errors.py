"""
The errors that hilt_logging raises: all of them are `HILTError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._naming import name_of
from .snapshot import snapshot


if TYPE_CHECKING:
    from pathlib import Path


__all__ = [
    "ConfigurationError",
    "HILTError",
    "InvalidEventError",
    "MissingDependencyError",
    "ReadError",
    "RecordingError",
    "SessionError",
    "reject_unknown",
]

_MOST_SHOWN = 200


class HILTError(Exception):
    """Any error that hilt_logging raises."""

    def __reduce__(self) -> Any:
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(cls: type[HILTError], args: tuple[Any, ...], state: dict[str, Any]) -> HILTError:
    """The error that a process pool hands over, without asking its constructor."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class InvalidEventError(HILTError, ValueError):
    """
    An event that does not keep to the format.

    Attributes:
        errors: Each fault as a text that begins with its path, e.g.
            `$.actor.id: is required`. Content never occurs in it.
    """

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class ConfigurationError(HILTError, ValueError):
    """
    A wrong option at set-up.

    Args:
        option: The name of the option.
        value: What was given.
        allowed: What may be given.
    """

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"Invalid {option}: {_shown(value)}. {allowed}")
        self.option = option


class RecordingError(HILTError):
    """An event that could not be written."""


class SessionError(HILTError):
    """A session that is used while it is not open."""


class ReadError(HILTError):
    """
    A file that can't be read, or a line in it that is no event.

    Attributes:
        path: The file, or `standard input`.
        line: The number of the line, from 1; None when the whole file is meant.
        reason: What is wrong, without content.
        faults: Of a line that is JSON, but no event: each fault as a text that begins with its path.
    """

    def __init__(
        self, reason: str, path: str | Path, line: int | None = None, faults: tuple[str, ...] = ()
    ) -> None:
        name = name_of(path)
        super().__init__(f"{reason}: {name}" if line is None else f"{name}, line {line}: {reason}")
        self.path = name
        self.line = line
        self.reason = reason
        self.faults = faults


class MissingDependencyError(HILTError, ImportError):
    """
    A package that an extra of hilt-logging brings is not installed.

    Args:
        package: The distribution that is missing.
        extra: The extra that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed. Install it with: pip install 'hilt-logging[{extra}]'"
        )


def reject_unknown(where: str, unknown: Iterable[str], allowed: Iterable[str]) -> None:
    """
    Raise for options that do not exist.

    Raises:
        ConfigurationError: naming the first unknown option and all that exist.
    """
    there_are = ", ".join(sorted(allowed))
    for name in unknown:
        raise ConfigurationError(
            f"option of {where}",
            name,
            f"Must be one of: {there_are}" if there_are else "It has none",
        )


def _shown(value: object) -> str:
    """A value as an operator wrote it; nothing of a foreign class is asked, or told, but its name."""
    text = repr(value if type(value) is float else snapshot(value))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
