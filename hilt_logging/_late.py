"""
Names of a package that are loaded when they are asked for, as PEP 562 has it.
"""

from __future__ import annotations

import importlib
import sys

from collections.abc import Mapping
from types import ModuleType
from typing import Any


__all__ = ["late_names"]


def late_names(package: str, modules: Mapping[str, str]) -> None:
    """
    Have names of a package loaded when they are asked for.

    A name that a module has, too, stays what it is when that module is loaded.

    Args:
        package: The name of the package.
        modules: Of each name the module that it is in, within the package.
    """
    module = sys.modules[package]
    module.__class__ = _Package
    module.__dict__["_modules_of_names"] = modules


class _Package(ModuleType):
    _modules_of_names: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        late = self.__dict__["_modules_of_names"]
        if name not in late:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f".{late[name]}", self.__name__), name)
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__["_modules_of_names"] and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__dict__["_modules_of_names"]})
