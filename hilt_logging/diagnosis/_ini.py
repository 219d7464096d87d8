"""
What `logging.config.fileConfig` reads, in the shape that `dictConfig` takes.
"""

from __future__ import annotations

import ast
import configparser
import logging

from typing import Any


__all__ = ["CODE", "as_dict"]

CODE = "ext://"
"""Begins a value that is code, as `ext://` does in a dict."""

_Found = tuple[dict[str, Any], dict[str, str], list[tuple[str, str]]]


class _Reading:
    """Reads section by section, and notes what each key is called."""

    def __init__(self, parser: configparser.ConfigParser) -> None:
        self.parser = parser
        self.data: dict[str, Any] = {
            "version": 1,
            "formatters": {},
            "handlers": {},
            "loggers": {},
        }
        self.names: dict[str, str] = {}
        self.faults: list[tuple[str, str]] = []

    def keys(self, kind: str) -> list[str]:
        """Name what a section lists."""
        if not self.parser.has_option(kind, "keys"):
            self.fault(kind, f"[{kind}]", "has no keys")
            return []
        return _words(self.parser.get(kind, "keys", raw=True))

    def fault(self, key: str, name: str, what: str) -> None:
        """Note what `fileConfig` would stop at."""
        self.names.setdefault(key, name)
        self.faults.append((key, what))

    def section(self, name: str, key: str) -> dict[str, str]:
        """Return the options of a section."""
        self.names[key] = f"[{name}]"
        if not self.parser.has_section(name):
            self.fault(key, f"[{name}]", "is not there")
            return {}
        options = dict(self.parser.items(name, raw=True))
        self.names.update({f"{key}.{each}": f"[{name}] {each}" for each in options})
        return options


def as_dict(parser: configparser.ConfigParser) -> _Found:
    """Return the shape of `dictConfig`, the names of its keys in the file, and what is wrong."""
    reading = _Reading(parser)
    for name in reading.keys("formatters") if parser.has_section("formatters") else ():
        reading.data["formatters"][name] = _formatter(reading, name)
    for name in reading.keys("handlers"):
        reading.data["handlers"][name] = _handler(reading, name)
    names = reading.keys("loggers")
    if "root" not in names:
        reading.fault("loggers", "[loggers] keys", "does not name root")
    for name in names:
        _logger(reading, name)
    return reading.data, reading.names, reading.faults


def _formatter(reading: _Reading, name: str) -> dict[str, Any]:
    return dict(reading.section(f"formatter_{name}", f"formatters.{name}"))


def _handler(reading: _Reading, name: str) -> dict[str, Any]:
    key = f"handlers.{name}"
    options: dict[str, Any] = dict(reading.section(f"handler_{name}", key))
    if "class" in options:
        options["class"] = _class(options["class"])
    for option, nothing in (("args", "()"), ("kwargs", "{}")):
        options[option] = _value(options.get(option) or nothing)
        reading.names.setdefault(f"{key}.{option}", f"[handler_{name}] {option}")
    if not options.get("formatter"):
        options.pop("formatter", None)
    return options


def _class(name: str) -> str:
    """A class's whole name: `fileConfig` looks in `logging` first."""
    return f"logging.{name}" if hasattr(logging, name.partition(".")[0]) else name


def _logger(reading: _Reading, name: str) -> None:
    section = f"logger_{name}"
    is_root = name == "root"
    qualname = reading.parser.get(section, "qualname", raw=True, fallback=None)
    key = "root" if is_root else f"loggers.{qualname or name}"
    options: dict[str, Any] = dict(reading.section(section, key))
    options.pop("qualname", None)
    if reading.parser.has_section(section) and not is_root and qualname is None:
        reading.fault(key, f"[{section}]", "has no qualname, and that is the logger's name")
    options["handlers"] = _words(options.get("handlers", ""))
    if not is_root:
        propagate = options.get("propagate", "1")
        options["propagate"] = propagate.strip() != "0"
        reading.data["loggers"][qualname or name] = options
    else:
        options.pop("propagate", None)
        reading.data["root"] = options


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _value(text: str) -> Any:
    """What a text of Python means: values are taken as they are, names stay code."""
    try:
        return _plain(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return f"{CODE}{text}"


def _plain(node: ast.expr) -> Any:
    if isinstance(node, ast.Tuple | ast.List):
        return [_plain(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(key): _plain(value)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    if isinstance(node, ast.Name | ast.Attribute):
        return f"{CODE}{ast.unparse(node)}"
    try:
        return ast.literal_eval(node)
    except ValueError:
        return f"{CODE}{ast.unparse(node)}"
