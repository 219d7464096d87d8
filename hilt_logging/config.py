"""
Setting `logging` up for events, and asking why nothing is written.
"""

from __future__ import annotations

import logging
import os

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from .errors import ConfigurationError, reject_unknown
from .filters import (
    ActionFilter,
    ActorFilter,
    ModelFilter,
    OnlyHILT,
    ProviderFilter,
    SessionFilter,
    SessionSampler,
)
from .formatters import HILTFormatter, HILTTextFormatter
from .handlers import HILTFileHandler
from .records import current_rules, use_rules


__all__ = ["Finding", "basic_config", "check_config", "set_privacy"]


def basic_config(
    filename: str | os.PathLike[str],
    *,
    logger: str = "hilt",
    level: int | str = logging.INFO,
    console: bool = False,
    propagate: bool | None = None,
    **handler_options: Any,
) -> HILTFileHandler:
    """
    Send all events to a file, as `logging.basicConfig` sends records to the root's handlers.

    Calling it again for the same file changes nothing but the level.

    Args:
        filename: The file.
        logger: `hilt` or a child of it, e.g. `hilt.openai`.
        level: From which level on; DEBUG adds the pieces of streams.
        console: Show a line about each event on stderr, without content.
        propagate: Let the handlers of the loggers above have the events too. By default those of
            `hilt` have what its children log, and those of the root logger have nothing: a JSON
            formatter there would print the whole content.
        handler_options: Any option of `HILTFileHandler`.

    Returns:
        The handler that writes the file.

    Raises:
        ConfigurationError: for a wrong option.
    """
    target = event_logger(logger)
    try:
        levelno = logging._checkLevel(level)  # type: ignore[attr-defined]
    except (ValueError, TypeError):
        raise ConfigurationError("level", level, "Must be a level of logging") from None
    for option, value in {"console": console, "propagate": propagate}.items():
        if type(value) is not bool and not (value is None and option == "propagate"):
            raise ConfigurationError(option, value, "Must be true or false")
    handler = HILTFileHandler(filename, **handler_options)
    for present in target.handlers:
        if isinstance(present, HILTFileHandler) and present.baseFilename == handler.baseFilename:
            handler.close()
            handler = present
            break
    else:
        target.addHandler(handler)
    if console and not any(isinstance(h.formatter, HILTTextFormatter) for h in target.handlers):
        shown = logging.StreamHandler()
        shown.setFormatter(HILTTextFormatter())
        target.addHandler(shown)
    target.setLevel(levelno)
    root = logging.getLogger("hilt")
    target.propagate = (
        (target is not root and not root.propagate) if propagate is None else propagate
    )
    return handler


def set_privacy(**options: Any) -> None:
    """
    Apply privacy options to every event, wherever it goes.

    They are applied where a record is made or its event is completed, in the caller's thread: what
    is replaced there reaches no handler, queue or formatter, be it ours or not. Without any option,
    and with `content="full"` alone, events are whole again.

    Args:
        options: `content`, `redact`, `redact_with`, `detect_only`, `phone_regions`, `fields`,
            `public_fields`, `pseudonymize`, `privacy_key` and `shared_key_file` of `HILTFormatter`.

    Raises:
        ConfigurationError: for an option that does not exist or has a wrong value.
        MissingDependencyError: where a detector needs an extra that is not installed.
    """
    from .safeguards.privacy import OPTIONS, rules_of

    reject_unknown("set_privacy", [name for name in options if name not in OPTIONS], OPTIONS)
    rules = rules_of(**options)
    use_rules(rules)


def event_logger(name: object) -> logging.Logger:
    """
    Return a logger of events.

    Raises:
        ConfigurationError: for a name that is not `hilt` and does not begin with `hilt.`.
    """
    if not isinstance(name, str) or not (name == "hilt" or name.startswith("hilt.")):
        raise ConfigurationError("logger", name, "Must be 'hilt' or begin with 'hilt.'")
    return logging.getLogger(name)


_FILTERS = (
    ActionFilter,
    ActorFilter,
    ModelFilter,
    OnlyHILT,
    ProviderFilter,
    SessionFilter,
    SessionSampler,
)


class Finding(msgspec.Struct, frozen=True):
    """
    One thing that `check_config` found.

    Attributes:
        severity: `error` where events are lost, `warning` where something may surprise, `info`.
        logger: The logger that it is about.
        message: What was found, and what to do.
    """

    severity: Literal["error", "warning", "info"]
    logger: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.logger}: {self.message}"


def check_config() -> list[Finding]:
    """Return why events are not written, or go where they should not; most severe first."""
    names = [name for name in list(logging.Logger.manager.loggerDict) if name.startswith("hilt.")]
    findings = [found for name in ["hilt", *sorted(names)] for found in _check(name)]
    rules = current_rules()
    if rules is not None and (failed := sum(rules.failures().values())):
        findings.append(
            Finding("warning", "hilt", f"{failed} text(s) could not be searched and were replaced")
        )
    rank = {"error": 0, "warning": 1, "info": 2}
    return sorted(dict.fromkeys(findings), key=lambda found: rank[found.severity])


def _check(name: str) -> Iterator[Finding]:
    if isinstance(logging.Logger.manager.loggerDict.get(name), logging.PlaceHolder):
        return
    logger = logging.getLogger(name)
    if logger.disabled:
        yield Finding(
            "error", name, "is disabled; set disable_existing_loggers: false in the config"
        )
    if not logger.isEnabledFor(logging.ERROR) and not logger.disabled:
        yield Finding("error", name, "nothing passes: see its level and logging.disable()")
    elif not logger.isEnabledFor(logging.INFO) and not logger.disabled:
        level = logging.getLevelName(logger.getEffectiveLevel())
        yield Finding("error", name, f"is enabled for {level} only; set its level to INFO")
    if any(isinstance(each, _FILTERS) for each in logger.filters):
        yield Finding("warning", name, "its filters do not see its children; put them on handlers")
    handlers = list(_reachable(logger))
    if not any(_writes_lines(handler) for _, handler in handlers):
        yield Finding("error", name, "no handler that it reaches writes events")
    files = [handler for _, handler in handlers if _writes_lines(handler)]
    if files and min(handler.level for handler in files) > logging.INFO:
        level = logging.getLevelName(min(handler.level for handler in files))
        yield Finding("warning", name, f"its handlers take {level} and above only")
    for owner, handler in handlers:
        yield from _check_handler(name, owner, handler)


def _reachable(logger: logging.Logger) -> Iterator[tuple[str, logging.Handler]]:
    """The handlers that a record of this logger comes to, targets of queues and buffers included."""
    node: logging.Logger | None = logger
    while node is not None:
        for handler in node.handlers:
            yield from ((node.name, each) for each in _behind(handler))
        node = node.parent if node.propagate else None


def _behind(handler: logging.Handler) -> Iterator[logging.Handler]:
    yield handler
    target = getattr(handler, "target", None)
    if isinstance(target, logging.Handler):
        yield from _behind(target)
    listener = getattr(handler, "listener", None)
    for each in getattr(listener, "handlers", ()):
        yield from _behind(each)


def _writes_lines(handler: logging.Handler) -> bool:
    return isinstance(handler, HILTFileHandler) or isinstance(handler.formatter, HILTFormatter)


def _check_handler(name: str, owner: str, handler: logging.Handler) -> Iterator[Finding]:
    where = f"{type(handler).__name__} of {owner!r}"
    if any(type(each) is logging.Filter and not each.name for each in handler.filters):
        yield Finding(
            "warning",
            name,
            f"{where} has a filter that lets all pass; in a config write it with ()",
        )
    if _is_ours(handler) and (dropped := handler.stats()["dropped"]):  # type: ignore[attr-defined]
        yield Finding("error", name, f"{where} has dropped {dropped} event(s)")
    if isinstance(handler, HILTFileHandler):
        if not _writable(handler.baseFilename):
            yield Finding("error", name, f"{where} can't write {handler.baseFilename}")
        yield from _check_evidence(name, where, handler)
    elif _shows_extras(handler):
        yield Finding(
            "warning",
            name,
            f"{where} prints records with all their extras, the content of events included; "
            f"set propagate: false on 'hilt', or take the handler away",
        )


def _check_evidence(name: str, where: str, handler: HILTFileHandler) -> Iterator[Finding]:
    evidence = handler.evidence
    if evidence is None:
        return
    if evidence.key is None and evidence.seal is None:
        yield Finding(
            "info",
            name,
            f"{where} links lines, but signs no checkpoints: who can write the file can write it "
            "anew; set sign_key, seal it, or keep what hilt.integrity says on another host",
        )
    stats = handler.stats()["evidence"]
    if failures := sum(stats.get("seal_failures", {}).values()):
        yield Finding(
            "error",
            name,
            f"{where} could not seal, or have the key move on, {failures} time(s): "
            f"{', '.join(stats['seal_failures'])} ({evidence.seal_key})",
        )
    if unlinked := stats["unlinked"]:
        yield Finding(
            "warning",
            name,
            f"{where} wrote {unlinked} line(s) unlinked: it could not have the lock",
        )


def _is_ours(handler: logging.Handler) -> bool:
    """Whether it is a file handler or a `BackgroundHandler`, which is loaded only by who uses it."""
    return any(base.__module__.startswith("hilt_logging.") for base in type(handler).__mro__)


def _writable(path: str) -> bool:
    if os.path.exists(path):
        return not os.path.isdir(path) and os.access(path, os.W_OK)
    parent = os.path.dirname(path)
    while not os.path.exists(parent) and parent != os.path.dirname(parent):
        parent = os.path.dirname(parent)
    return os.access(parent, os.W_OK)


EXTRAS_PACKAGES = (
    "pythonjsonlogger",
    "ecs_logging",
    "opentelemetry",
    "sentry_sdk",
    "json_log_formatter",
    "logstash_formatter",
)


def _shows_extras(handler: logging.Handler) -> bool:
    """Whether a handler or its formatter is of a package that serialises every extra."""
    for part in (handler, handler.formatter):
        for base in type(part).__mro__:
            if base.__module__.partition(".")[0] in EXTRAS_PACKAGES:
                return type(part).__module__ != "hilt_logging.jsonlogger"
    return False
