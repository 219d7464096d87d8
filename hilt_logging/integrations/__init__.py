"""
Recording what SDKs do: every call at once with `instrument`, or each by a function of its module.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import threading

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, get_args

from .._diagnostics import Troubles, to_logger
from ..config import basic_config
from ..errors import ConfigurationError, MissingDependencyError
from ._capture import Settings, Target, suppress, target_of
from ._patching import Hook, Wrap, when_imported
from ._pricing import set_prices


__all__ = ["instrument", "set_prices", "suppress", "uninstrument"]

Capture = Literal["new", "all", "metadata"]
Media = Literal["reference", "inline"]

_log = logging.getLogger("hilt_logging")
_troubles = Troubles(to_logger(__name__))
_SDKS: dict[str, tuple[str, ...]] = {
    "openai": (
        "openai._base_client",
        "openai._client",
        "openai._legacy_response",
        "openai._response",
        "openai.lib.streaming.chat._completions",
        "openai.lib.streaming.responses._responses",
    ),
    "anthropic": (
        "anthropic._base_client",
        "anthropic._client",
        "anthropic._legacy_response",
        "anthropic._response",
        "anthropic.lib.aws._client",
        "anthropic.lib.bedrock._client",
        "anthropic.lib.bedrock._mantle",
        "anthropic.lib.foundry",
        "anthropic.lib.google_cloud._client",
        "anthropic.lib.vertex._client",
    ),
    "gemini": ("google.genai._api_client", "google.genai.models", "google.generativeai"),
    "langchain": ("langchain_core.tracers.context",),
}
"""For each target the modules of its SDK that have hooks; they are the keys of its `HOOKS`, too."""


class _Instrumented:
    """What was put into the SDK of one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._hooks: dict[ModuleType, list[Hook]] = {}
        self._ends: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def install(self) -> None:
        """Put our hooks into the SDK, now or when it is imported."""
        if self._ends is None:
            self._ends = when_imported(_SDKS[self.target.name], self._arrived)
        for module in list(self._hooks):
            self._arrived(module)

    def remove(self) -> None:
        """Take them away again."""
        ends, self._ends = self._ends, None
        if ends is not None:
            ends()
        with self._lock:
            for hooks in self._hooks.values():
                for hook in hooks:
                    hook.remove()

    def _arrived(self, module: ModuleType) -> None:
        try:
            made = integration(self.target.name).hooks(module)  # before the lock: it imports
            with self._lock:
                hooks = self._hooks.setdefault(module, made)
                hooks += _of_new_classes(made, hooks)
                for hook in hooks if self.target.is_on() else ():
                    hook.install()
        except Exception as error:  # an SDK of a shape that nobody has seen: it works, unrecorded
            _troubles.count(type(error).__name__, f"instrument({self.target.name!r})")


def _of_new_classes(made: list[Hook], known: list[Hook]) -> list[Hook]:
    """A module that is reloaded has new classes; those it had live on in clients."""
    places = [hook.place for hook in known if isinstance(hook, Wrap)]
    return [hook for hook in made if isinstance(hook, Wrap) and hook.place not in places]


_instrumented = {name: _Instrumented(target_of(name)) for name in _SDKS}
_lock = threading.RLock()


def integration(name: str) -> Any:
    """Return the module of a target."""
    return importlib.import_module(f".{name}", __name__)


def instrument(
    *targets: Any,
    filename: str | os.PathLike[str] | None = None,
    capture: Capture = "new",
    media: Media = "reference",
    **options: Any,
) -> None:
    """
    Record every call of the SDKs from here on, whether they are imported yet or not.

    Calling it again changes how calls are recorded, and adds nothing twice.

    Args:
        targets: Names of SDKs, `openai`, ..., or clients of theirs, of which then only the calls of
            these are recorded; every installed SDK by default.
        filename: Send the events to this file, as `basic_config` does; by default they go where
            `logging` sends the loggers `hilt.*`.
        capture: What is recorded of a request: `new`, what its conversation did not have before;
            `all`, everything each time; `metadata`, no content.
        media: What is recorded of images, sound and files: a `reference` with type, size and
            digest, or `inline` the bytes as well.
        options: Of `basic_config`, with *filename*.

    Raises:
        ConfigurationError: for an unknown target or a wrong option.
        MissingDependencyError: for a target that is not installed.
    """
    for option, value, allowed in (
        ("capture", capture, get_args(Capture)),
        ("media", media, get_args(Media)),
    ):
        if value not in allowed:
            raise ConfigurationError(option, value, f"Must be one of: {', '.join(allowed)}")
    if options and filename is None:
        raise ConfigurationError("filename", filename, f"Is needed for: {', '.join(options)}")
    chosen = _resolved(targets) or [(name, None) for name in _SDKS if _is_installed(name)]
    if filename is not None:
        basic_config(filename, **options)
    settings = Settings(capture, media)
    with _lock:
        for name, client in chosen:
            target_of(name).switch_on(settings, client)
            _instrumented[name].install()
    if not any(target_of(name).logger.isEnabledFor(logging.INFO) for name, _ in chosen):
        _warn_once()


def uninstrument(*targets: Any) -> None:
    """
    Record calls no longer, and take away what `instrument` put into the SDKs.

    What other tools put there stays.

    Args:
        targets: As in `instrument`; everything by default.

    Raises:
        ConfigurationError: for an unknown target.
    """
    chosen = _resolved(targets, needed=False) or [(name, None) for name in _SDKS]
    with _lock:
        for name, client in chosen:
            target_of(name).switch_off(client)
            if not target_of(name).is_on():
                _instrumented[name].remove()


def _resolved(targets: tuple[Any, ...], *, needed: bool = True) -> list[tuple[str, Any]]:
    """The names of targets, and what of a client tells its calls apart; None for all clients."""
    return [
        (_known(each, needed), None) if isinstance(each, str) else _client(each) for each in targets
    ]


def _known(name: str, needed: bool) -> str:
    if name not in _SDKS:
        raise _unknown(name)
    if needed and not _is_installed(name):
        raise MissingDependencyError(name, name)
    return name


def _client(client: Any) -> tuple[str, Any]:
    roots = {base.__module__.partition(".")[0] for base in type.mro(type(client))}
    for name, modules in _SDKS.items():
        if any(module.partition(".")[0] in roots for module in modules):
            key = integration(name).client_key(client)
            if key is not None:
                return name, key
    raise _unknown(type(client))


def _unknown(target: Any) -> ConfigurationError:
    names = ", ".join(_SDKS)
    return ConfigurationError("target", target, f"Must be one of: {names}, or a client of theirs")


def _is_installed(name: str) -> bool:
    """Whether one of the packages is there; none is imported for it but a namespace."""
    for module in _SDKS[name]:
        root, _, rest = module.partition(".")
        package = f"{root}.{rest.partition('.')[0]}" if root == "google" else root
        try:
            if importlib.util.find_spec(package) is not None:
                return True
        except (ImportError, ValueError):  # the namespace is not there; a stand-in without a spec
            continue
    return False


def _told() -> None:
    _log.warning(
        "instrument(): nobody listens to the events: no logger of them is enabled for INFO. "
        "Give filename=..., call basic_config(), or set the logger 'hilt' up in logging's config"
    )


_warnings = [_told]


def _warn_once() -> None:
    while _warnings:
        _warnings.pop()()
