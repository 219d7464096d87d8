"""
Functions of an SDK with ours around them, put there when its module is there, and taken away again.
"""

from __future__ import annotations

import importlib
import sys
import threading

from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Protocol


__all__ = ["Hook", "Wrap", "WrapOwn", "when_imported"]

_MOST_LAYERS = 100


class Hook(Protocol):
    """Something that an integration puts into an SDK."""

    def install(self) -> None:
        """Put it there; where it is, nothing happens."""

    def remove(self) -> None:
        """Take it away, as far as nobody built upon it."""


class Wrap:
    """
    A function of an SDK with one of ours around it.

    Where somebody else wrapped ours since, it stays: it must itself ask whether it is wanted.

    Args:
        owner: The class or module that holds the function.
        name: Its name there.
        around: Is given the function that stands there and returns ours, with `__wrapped__`.

    Attributes:
        place: Owner and name.
    """

    def __init__(self, owner: Any, name: str, around: Callable[[Any], Any]) -> None:
        self.place = (owner, name)
        self._owner = owner
        self._name = name
        self._around = around
        self._is_own = True
        self._standing: Any = None
        self._ours: Any = None

    def install(self) -> None:
        """Put ours around what stands there, unless it is in there already."""
        standing = getattr(self._owner, self._name)
        if self._ours is not None and _is_within(self._ours, standing):
            return
        self._is_own = self._name in vars(self._owner)
        self._standing, self._ours = standing, self._around(standing)
        setattr(self._owner, self._name, self._ours)

    def remove(self) -> None:
        """Put back what stood there, unless somebody wrapped ours."""
        if self._ours is None or vars(self._owner).get(self._name) is not self._ours:
            return
        if self._is_own:
            setattr(self._owner, self._name, self._standing)
        else:
            delattr(self._owner, self._name)
        self._ours = None


class WrapOwn(Wrap):
    """
    The same for a function that a class has from its base, only where it has one of its own.

    That is another tool's, put there before ours, and leads past what stands in the base.
    """

    def install(self) -> None:
        """Put ours around what another tool put there, if there is any."""
        if self._name in vars(self._owner):
            super().install()


def _is_within(ours: Any, standing: Any) -> bool:
    for _ in range(_MOST_LAYERS):
        if standing is ours:
            return True
        standing = getattr(standing, "__wrapped__", None)
        if standing is None:
            return False
    return False


Tell = Callable[[ModuleType], None]


def when_imported(names: Sequence[str], tell: Tell) -> Callable[[], None]:
    """
    Call *tell* with each of some modules: at once where it is there, else as soon as it is.

    Nothing is imported for it. A module that is imported anew is told again.

    Args:
        names: Full names of modules.
        tell: Must not raise. Is called in the thread that imports, which holds the module's lock.

    Returns:
        What ends it.
    """
    _finder.add(names, tell)
    for name in names:
        if name in sys.modules:
            tell(importlib.import_module(name))  # waits for a thread that is at it
    return lambda: _finder.discard(names, tell)


class _Finder:
    """Stands first on `sys.meta_path` while modules are waited for; others find them."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Tell, ...]] = {}
        self._lock = threading.Lock()

    def add(self, names: Sequence[str], tell: Tell) -> None:
        with self._lock:
            for name in names:
                self._waiting[name] = (*self._waiting.get(name, ()), tell)
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def discard(self, names: Sequence[str], tell: Tell) -> None:
        with self._lock:
            for name in names:
                left = tuple(each for each in self._waiting.get(name, ()) if each is not tell)
                self._waiting[name] = left
                if not left:
                    del self._waiting[name]
            if not self._waiting and self in sys.meta_path:
                sys.meta_path.remove(self)

    def tell(self, module: ModuleType) -> None:
        for tell in self._waiting.get(module.__name__, ()):
            tell(module)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self._waiting:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec  # type: ignore[no-any-return]
        return None


class _Loader:
    """An SDK's loader, which steps aside before it begins, and tells when it is done."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _finder.tell(module)


_finder = _Finder()
