"""
What a configuration names: found, and made as far as that opens nothing and is code of ours.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import logging
import logging.config
import logging.handlers
import os
import sys
import tempfile

from collections.abc import Iterator, Mapping
from typing import Any

from .._logfile import check_log
from ..errors import HILTError
from ..storage.options import FileOptions, evidence_options
from ._files import Configuration
from ._findings import Problems


__all__ = ["UNKNOWN", "NotKnownError", "Workshop", "is_ours", "package_of"]

UNKNOWN: Any = object()
"""Stands for what is only known when the code of the configuration runs."""

_EVIDENCE = {
    "evidence": False,
    "sign_key": None,
    "shared_sign_key": False,
    "checkpoint_every": 1000,
    "checkpoint_seconds": None,
    "seal_key": None,
}
_HARMLESS = {"hilt_logging", "logging", "os", "queue", "sys"}
_DEEPEST = 20


class NotKnownError(Exception):
    """A value that is only known when the code of the configuration runs."""


class _Store:
    """Stands for a key store, which would be made where it is not there."""

    def _nothing(self, *given: Any) -> None:
        return None

    key_for = key_of = was_erased = erase = _nothing


class Workshop:
    """
    Finds and makes what a configuration names.

    Args:
        configuration: The configuration.
        problems: Where what can't be had is noted.
        imports: Whether modules that are neither ours nor `logging` are imported.
    """

    def __init__(self, configuration: Configuration, problems: Problems, imports: bool) -> None:
        self.configuration = configuration
        self.problems = problems
        self.imports = imports
        self._base = logging.config.BaseConfigurator(_copied(configuration.data, 0))
        self._nowhere = os.path.join(tempfile.gettempdir(), f"hilt-log-{os.urandom(8).hex()}")
        self._made: list[logging.Handler] = []

    def close(self) -> None:
        """Give up the handlers that were made; none of them has opened anything."""
        for handler in self._made:
            handler.close()

    def find(self, name: object, key: str) -> Any:
        """Return what a dotted name means; `UNKNOWN` where that is not known."""
        if callable(name):
            return name
        if type(name) is not str or not name:
            self._not_there(key, f"names {_kind(name)}", "it is no dotted name")
            return UNKNOWN
        if package_of(name) not in _HARMLESS and not self.imports:
            return UNKNOWN
        try:
            found = self._imported(name)
        except (Exception, SystemExit) as error:
            cause = error.__cause__ or error
            text = f": {cause}" if isinstance(cause, ImportError | AttributeError) else ""
            self._not_there(
                key,
                f"names {name}, which can't be had",
                f"{type(cause).__name__}{text}",
                _near(name),
            )
            return UNKNOWN
        if package_of(name) not in _HARMLESS:
            self.problems.add(
                "info",
                "import",
                key,
                f"names {name}",
                "it was imported, so that code of the configuration ran",
                "--no-import does without, and can tell less",
            )
        return found

    def _imported(self, name: str) -> Any:
        here = os.getcwd()
        sys.path.append(here)  # the application is started here
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return self._base.resolve(name)
        finally:
            with contextlib.suppress(ValueError):
                sys.path.remove(here)

    def _not_there(self, key: str, what: str, why: str, near: str | None = None) -> None:
        remedy = "Correct the name, or run this where the application runs"
        self.problems.error("missing", key, what, why, f"Write {near}" if near else remedy)

    def value(self, value: object, key: str, depth: int = 0) -> Any:
        """
        Return a value of the configuration, with what `ext://` and `cfg://` mean in it.

        Raises:
            NotKnownError: where that is only known when code runs.
        """
        if depth > _DEEPEST:
            raise NotKnownError
        if type(value) is str and value.startswith("ext://"):
            return self._external(value.removeprefix("ext://"), key)
        if type(value) is str and value.startswith("cfg://"):
            try:
                found = self._base.cfg_convert(value.removeprefix("cfg://"))
            except Exception:
                why = "there is no such key in the configuration"
                self.problems.error("missing", key, f"is {value}", why, "Correct the name")
                raise NotKnownError from None
            return self.value(found, key, depth + 1)
        if isinstance(value, Mapping):
            return {name: self.value(each, key, depth + 1) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)([self.value(each, key, depth + 1) for each in value])
        return value

    def _external(self, name: str, key: str) -> Any:
        if self.configuration.format == "ini" and not name.replace(".", "_").isidentifier():
            raise NotKnownError  # an expression
        found = self.find(name, key)
        if found is UNKNOWN:
            raise NotKnownError
        return found

    def make(self, cls: Any, options: Mapping[str, Any], key: str) -> Any:
        """Return an object that is ours or of `logging`; `UNKNOWN` where it can't or must not be made."""
        try:
            given = {name: self.value(value, f"{key}.{name}") for name, value in options.items()}
        except NotKnownError:
            return UNKNOWN
        if "key_store" in given:
            given["key_store"] = _Store()
        with self.refusing(key):
            return cls(**given)
        return UNKNOWN

    def make_file_handler(self, cls: Any, options: Mapping[str, Any], path: str, key: str) -> Any:
        """Return a `HILTFileHandler` with all options but its file: nothing is opened or made."""
        given = dict(options)
        if given.get("evidence") == "sealed":  # the key belongs to the log itself: `look_at_log`
            given["evidence"] = True
            given.pop("seal_key", None)
        stands_for = os.path.join(self._nowhere, os.path.realpath(path).lstrip(os.sep))
        handler = self.make(cls, {**given, "filename": stands_for, "delay": True}, key)
        if handler is not UNKNOWN:
            self._made.append(handler)
        return handler

    def look_at_log(self, options: Mapping[str, Any], path: str, key: str) -> None:
        """Note where lines that are there, or a key that seals, do not fit the options."""
        given = {**_EVIDENCE, **{name: options[name] for name in _EVIDENCE if name in options}}
        with self.refusing(key), contextlib.suppress(NotKnownError):
            given = {name: self.value(value, f"{key}.{name}") for name, value in given.items()}
            check_log(path, FileOptions(evidence=evidence_options(**given)))

    def make_background(self, cls: Any, options: Mapping[str, Any], target: Any, key: str) -> Any:
        """Return a `BackgroundHandler`; it has no thread until the first record."""
        behind = target if isinstance(target, logging.Handler) else logging.NullHandler()
        handler = self.make(cls, {**options, "target": behind}, key)
        if handler is not UNKNOWN:
            self._made.append(handler)
        return handler

    def fits(self, cls: Any, options: Mapping[str, Any], key: str) -> None:
        """Note where a class does not take options that it is given."""
        try:
            signature = inspect.signature(cls)
        except (TypeError, ValueError):
            return
        with self.refusing(key):
            signature.bind(**options)

    @contextlib.contextmanager
    def refusing(self, key: str) -> Iterator[None]:
        """Note an error that set-up would end with."""
        try:
            yield
        except (HILTError, TypeError, ValueError, OSError) as error:
            self.problems.error(
                "refused",
                key,
                "is refused",
                str(error).replace(self._nowhere, "").rstrip("."),
                "Correct it: until then logging.config takes nothing of the file",
            )


def is_ours(cls: object) -> bool:
    """Whether a class or function is this package's own."""
    return package_of(str(getattr(cls, "__module__", ""))) == "hilt_logging"


def package_of(name: str) -> str:
    """Return the first word of a dotted name."""
    return name.partition(".")[0]


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _copied(value: Any, depth: int) -> Any:
    """A detached copy: `logging.config` puts what it makes into the dict that it is given."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {str(name): _copied(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each, depth + 1) for each in value]
    return value


def _near(name: str) -> str | None:
    """Return a name that is there and much like one that is not."""
    module, _, last = name.rpartition(".")
    there = dir(sys.modules[module]) if module in sys.modules else []
    near = difflib.get_close_matches(last, there, 1, 0.8)
    return f"{module}.{near[0]}" if near else None
