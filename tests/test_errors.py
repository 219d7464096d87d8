"""The errors, and what they say."""

from __future__ import annotations

import pickle

import pytest

from hilt_logging import errors
from hilt_logging.errors import (
    ConfigurationError,
    HILTError,
    InvalidEventError,
    MissingDependencyError,
    ReadError,
    reject_unknown,
)


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_family(name):
    """Whoever catches HILTError catches everything that we raise."""
    assert issubclass(getattr(errors, name), HILTError)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (InvalidEventError, ValueError),
        (ConfigurationError, ValueError),
        (MissingDependencyError, ImportError),
    ],
)
def test_builtin_too(ours, builtin):
    """Code that knows only the builtin errors catches ours as well."""
    assert issubclass(ours, builtin)


def test_configuration_error():
    """A wrong option is named with its value and with what is allowed."""
    error = ConfigurationError("foreign", "dorp", "Must be one of: drop, wrap")
    assert "Invalid foreign: 'dorp'. Must be one of: drop, wrap" == str(error)
    assert "foreign" == error.option


def test_configuration_error_asks_no_foreign_class():
    """A value of a foreign class may hold a secret, or refuse to be shown: its name is told."""

    class User:
        def __repr__(self) -> str:
            raise RuntimeError("password")

    error = ConfigurationError("user_id", User(), "Must be a string")
    assert str(error).startswith("Invalid user_id: {'$type': '")
    assert str(error).endswith("User'}. Must be a string")


def test_configuration_error_is_short():
    """A value of any size makes a message of one line."""
    assert len(str(ConfigurationError("user_id", "x" * 100_000, "Must be short"))) < 300
    assert len(str(ConfigurationError("user_id", 10**100_000, "Must be short"))) < 300


def test_invalid_event_error():
    """Each fault can be had for itself, and the text holds them all."""
    error = InvalidEventError("$.action: is required", "$.actor: is required")
    assert ("$.action: is required", "$.actor: is required") == error.errors
    assert "$.action: is required; $.actor: is required" == str(error)


def test_read_error_of_a_line():
    """A bad line is told with file, number and reason."""
    error = ReadError("not JSON", "app.jsonl", 7)
    assert "app.jsonl, line 7: not JSON" == str(error)
    assert ("app.jsonl", 7, "not JSON") == (error.path, error.line, error.reason)


def test_read_error_of_a_file():
    """A file that is not there is told by its name alone."""
    error = ReadError("File not found", "app.jsonl")
    assert "File not found: app.jsonl" == str(error)
    assert error.line is None


def test_missing_dependency():
    """What is missing comes with the command that installs it."""
    assert (
        "structlog is not installed. Install it with: pip install 'hilt-logging[structlog]'"
        == str(MissingDependencyError("structlog", "structlog"))
    )


def test_unknown_option():
    """The first option that does not exist is named beside those that do."""
    with pytest.raises(ConfigurationError) as caught:
        reject_unknown("HILTFormatter", ["asci"], ["ascii", "alpha"])
    assert "Invalid option of HILTFormatter: 'asci'. Must be one of: alpha, ascii" == str(
        caught.value
    )


def test_no_unknown_option():
    """Where every option exists, nothing happens."""
    assert reject_unknown("HILTFormatter", [], ["ascii"]) is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidEventError("a", "b"),
        ConfigurationError("foreign", "dorp", "Must be one of: drop, wrap"),
        ReadError("not JSON", "app.jsonl", 7),
        MissingDependencyError("click", "cli"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_pickled(error):
    """An error comes out of a process pool as it went in."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), vars(error)) == (type(again), str(again), vars(again))
