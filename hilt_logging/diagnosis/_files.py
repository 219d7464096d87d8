"""
A configuration of `logging` as its file says it, with the place of each key.
"""

from __future__ import annotations

import configparser
import json
import os
import tomllib

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ConfigurationError, MissingDependencyError, ReadError
from . import _ini


__all__ = ["Configuration", "load"]

_FORMATS = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".toml": "toml",
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
}
_DEEPEST = 20
_MOST_BYTES = 10_000_000


class Configuration(msgspec.Struct):
    """
    What a file says, in the shape of `dictConfig`.

    Attributes:
        file: Its name; None for a dict.
        format: `yaml`, `json`, `toml`, `ini` or `dict`.
        data: What `dictConfig` would be given.
        lines: Dotted keys, and the lines in which they are.
        names: Dotted keys, and what they are called in the file, where that is something else.
        repeated: Keys that are there twice.
        faults: What is wrong with the file itself, by dotted key.
    """

    file: str | None
    format: str
    data: dict[str, Any]
    lines: dict[str, int] = {}
    names: dict[str, str] = {}
    repeated: list[str] = []
    faults: list[tuple[str, str]] = []

    def place(self, key: str) -> tuple[str, int | None]:
        """Return what a dotted key is called in the file, and its line, or that of what it is in."""
        near = key
        while near and near not in self.lines:
            near = near.rpartition(".")[0]
        return self.names.get(key, key), self.lines.get(near)


def load(source: str | os.PathLike[str] | Mapping[str, Any]) -> Configuration:
    """
    Return what a file, or a dict for `dictConfig`, says.

    Raises:
        ReadError: for a file that can't be read.
        ConfigurationError: for what is no configuration.
        MissingDependencyError: without PyYAML, for YAML.
    """
    if isinstance(source, Mapping):
        return Configuration(None, "dict", dict(source))
    if not isinstance(source, str | os.PathLike):
        raise ConfigurationError("config", source, "Must be a file, or a dict for dictConfig")
    path = os.fspath(source)
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ReadError(str(reason or "it can't be read"), path) from None
    if len(text) > _MOST_BYTES:
        raise ConfigurationError("FILE", path, "It is too large for a configuration")
    kind = _format(path, text)
    found = _READERS[kind](path, text)
    if not isinstance(found.data, dict):
        raise ConfigurationError("FILE", path, "It has no keys")
    return found


def _format(path: str, text: str) -> str:
    kind = _FORMATS.get(os.path.splitext(path)[1].lower())
    begin = next((line for line in text.splitlines() if line.strip()[:1] not in ("", "#")), "")
    if kind is None or kind == "ini":
        # .conf may be anything
        kind = {"{": "json", "[": "ini"}.get(begin.strip()[:1], "yaml" if kind is None else kind)
    return kind


def _wrong(path: str, line: int | None, reason: str) -> ConfigurationError:
    place = "" if line is None else f"line {line}: "
    return ConfigurationError("FILE", path, f"{place}{reason}")


def _of_json(path: str, text: str) -> Configuration:
    repeated: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise _wrong(path, error.lineno, f"it is no JSON: {error.msg}") from None
    except RecursionError:
        raise _wrong(path, None, "it is nested too deep") from None
    return Configuration(path, "json", data, repeated=repeated)


def _of_toml(path: str, text: str) -> Configuration:
    try:
        return Configuration(path, "toml", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, None, f"it is no TOML: {error}") from None


def _of_yaml(path: str, text: str) -> Configuration:
    try:
        import yaml
    except ImportError:
        raise MissingDependencyError("pyyaml", "yaml") from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        data = {} if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "it is no YAML"
        raise _wrong(path, mark and mark.line + 1, str(reason)) from None
    except (RecursionError, ValueError, TypeError):
        raise _wrong(path, None, "it is no YAML that can be read") from None
    found = Configuration(path, "yaml", data, lines={}, repeated=[])
    _mark(node, "", found, 0)
    return found


def _mark(node: Any, prefix: str, found: Configuration, depth: int) -> None:
    """Note the line of each key, and what is there twice: the last one counts, without a word."""
    if depth > _DEEPEST or getattr(node, "id", None) != "mapping":
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name in seen and key.value != "<<" and name not in found.repeated:
            found.repeated.append(name)
        seen.add(name)
        found.lines[name] = key.start_mark.line + 1
        _mark(value, f"{name}.", found, depth + 1)


def _of_ini(path: str, text: str) -> Configuration:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text, path)
        data, names, faults = _ini.as_dict(parser)
    except configparser.Error as error:
        reason = str(getattr(error, "message", error)).splitlines()[0]
        raise _wrong(path, getattr(error, "lineno", None), reason) from None
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            section = line.partition("]")[0] + "]"
            lines[section] = number
        elif line[:1].strip() and (key := line.replace(":", "=").partition("=")[0].strip()):
            lines[f"{section} {key}"] = number
    found = {key: lines.get(name, lines.get(name.split(" ")[0], 0)) for key, name in names.items()}
    return Configuration(
        path, "ini", data, {k: v for k, v in found.items() if v}, names, [], faults
    )


_READERS = {"json": _of_json, "toml": _of_toml, "yaml": _of_yaml, "ini": _of_ini}
