"""
Why is nothing written? What a configuration of `logging` does with events, before it is loaded.
"""

from __future__ import annotations

import difflib
import logging
import os

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError
from ._files import Configuration, load
from ._findings import Destination, Diagnosis, Problem, Problems, Trial, Way
from ._handlers import Handlers
from ._parts import Parts
from ._running import tree_of_program
from ._trial import try_out
from ._verdicts import Judge
from ._ways import LOGGERS, Tree, tree_of
from ._workshop import Workshop


__all__ = [
    "LOGGERS",
    "Destination",
    "Diagnosis",
    "Problem",
    "Trial",
    "Way",
    "diagnose",
    "try_out",
]

_KEYS = (
    "version",
    "formatters",
    "filters",
    "handlers",
    "loggers",
    "root",
    "incremental",
    "disable_existing_loggers",
)


def diagnose(
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    loggers: Iterable[str] = (),
    imports: bool = True,
) -> Diagnosis:
    """
    Return where events go, and what keeps them from being written.

    Without a configuration the program that asks is looked at: its loggers and handlers as they are.
    Of a configuration nothing is configured or opened, and no file is made. What it names is imported; of
    that only what is ours is made, to see whether its options are right.

    Args:
        config: A file for `dictConfig` (YAML, JSON, TOML) or `fileConfig` (ini), or a dict for
            `dictConfig`. Paths in it are relative to the current directory. None means this program.
        loggers: Names of more loggers than `LOGGERS`, and than those that the configuration names.
        imports: Whether other modules than ours and those of `logging` are imported.

    Raises:
        ReadError: for a file that can't be read.
        ConfigurationError: for what is no configuration, or a wrong name of a logger.
        MissingDependencyError: without PyYAML, for YAML.
    """
    asked = [loggers] if isinstance(loggers, str) else list(loggers)
    for name in asked:
        if not isinstance(name, str) or not name or ".." in name or name != name.strip("."):
            raise ConfigurationError("logger", name, "Must be the name of a logger")
    if config is None:
        return _of_program(asked)
    configuration = load(config)
    problems = Problems(configuration)
    _look_at_keys(configuration, problems)
    workshop = Workshop(configuration, problems, imports)
    try:
        parts = Parts(workshop)
        tree = tree_of(workshop, parts, Handlers(workshop, parts), asked)
        return _diagnosis(tree, configuration, problems)
    finally:
        workshop.close()


def _of_program(asked: list[str]) -> Diagnosis:
    configuration = Configuration(None, "program", {"root": {"level": logging.root.level}})
    problems = Problems(configuration)
    return _diagnosis(tree_of_program(asked, problems), configuration, problems)


def _diagnosis(tree: Tree, configuration: Configuration, problems: Problems) -> Diagnosis:
    ways = [tree.way(name) for name in tree.names]
    judge = Judge(tree, configuration, problems)
    for way in ways:
        judge.look_at(way)
    judge.look_at_all()
    return Diagnosis(
        file=configuration.file,
        ways=ways,
        destinations=tree.destinations(),
        problems=problems.all(),
    )


def _look_at_keys(configuration: Configuration, problems: Problems) -> None:
    data = configuration.data
    for key, what in configuration.faults:
        why = "fileConfig takes nothing of the file"
        problems.error("no-section", key, what, why, "Write it as logging.config wants it")
    for key in configuration.repeated:
        why = "the last one counts, the others are passed over without a word"
        problems.add("warning", "key-twice", key, "is there twice", why, "Make one of them")
    if data.get("version") != 1:
        _tell_version(data, problems)
    if data.get("incremental"):
        why = "dictConfig changes levels only, and attaches no handler"
        problems.error("incremental", "incremental", "is true", why, "Take it away")
    disables = data.get("disable_existing_loggers")
    if isinstance(disables, str):
        why = "every text counts as true"
        remedy = "Write true or false without quotes"
        key = "disable_existing_loggers"
        problems.add("warning", "no-truth-value", key, f"is {disables!r}", why, remedy)
    if "version" in data:
        _look_at_names(data, problems)


def _tell_version(data: Mapping[str, Any], problems: Problems) -> None:
    inner = [name for name, each in data.items() if isinstance(each, Mapping) and "version" in each]
    remedy = "Write version: 1"
    if inner and "version" not in data:
        remedy = f"Load what stands under {inner[0]}, and give that to this check"
    what = "is missing" if "version" not in data else "is not 1"
    problems.error("version", "version", what, "dictConfig refuses the file", remedy)


def _look_at_names(data: Mapping[str, Any], problems: Problems) -> None:
    for name in data:
        near = difflib.get_close_matches(str(name).lower(), _KEYS, 1, 0.7)
        if name in _KEYS or not (near or isinstance(data[name], Mapping)):
            continue
        problems.add(
            "warning",
            "unknown-key",
            str(name),
            "is a key that nobody reads",
            "logging.config passes over it without a word",
            f"Write {near[0]}" if near else "Take it away, or correct it",
        )
    loggers = data.get("loggers")
    names = [str(name) for name in loggers] if isinstance(loggers, Mapping) else []
    if any(name == "hilt" or name.startswith("hilt.") for name in names):
        return
    for name in names:
        is_near = difflib.get_close_matches(name.lower(), ["hilt", "hilt_logging"], 1, 0.7)
        if is_near:
            problems.add(
                "warning",
                "other-logger",
                f"loggers.{name}",
                "is no logger of events",
                "events are logged on hilt and its children; hilt_logging is what the library "
                "says about itself",
                "Write hilt",
            )
