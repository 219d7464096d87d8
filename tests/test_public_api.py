"""The public names, which YAML files and programs rely on."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types

import pytest

import hilt_logging

from hilt_logging.errors import MissingDependencyError


MODULES = sorted(
    each.name
    for each in pkgutil.walk_packages(hilt_logging.__path__, "hilt_logging.")
    if not any(part.startswith("_") for part in each.name.split(".")[1:])
)


def _module(name):
    try:
        return importlib.import_module(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def _own(module):
    """The public functions and classes that a module defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted(name):
    """`__all__` is sorted as ruff sorts it: constants, classes, functions; and names what exists."""
    module = _module(name)
    if not hasattr(module, "__all__"):
        assert set() == _own(module)
        return

    def key(name):
        kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
        return kind, name

    assert sorted(module.__all__, key=key) == list(module.__all__)
    for each in module.__all__:
        assert hasattr(module, each), each


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring(name):
    """Whoever asks for help gets it."""
    module = _module(name)
    assert module.__doc__
    for each in getattr(module, "__all__", ()):
        value = getattr(module, each)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, each


def test_package():
    """`__all__` of the package is its public names, and each can be had."""
    for name in hilt_logging.__all__:
        assert getattr(hilt_logging, name) is not None
    public = {
        name
        for name, value in vars(hilt_logging).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(hilt_logging.__all__) == public - {"annotations", "TYPE_CHECKING", "Any"}
    assert set(hilt_logging.__all__) <= set(dir(hilt_logging))


def test_unknown_name():
    """A name that is not there is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="module 'hilt_logging' has no attribute 'Sesion'"):
        hilt_logging.Sesion


PATHS = [
    "hilt_logging.Actor",
    "hilt_logging.BackgroundHandler",
    "hilt_logging.Event",
    "hilt_logging.HILTFileHandler",
    "hilt_logging.HILTFormatter",
    "hilt_logging.HILTTextFormatter",
    "hilt_logging.OnlyHILT",
    "hilt_logging.Session",
    "hilt_logging.SessionSampler",
    "hilt_logging.basic_config",
    "hilt_logging.emit",
    "hilt_logging.filters.ActionFilter",
    "hilt_logging.formatters.HILTFormatter",
    "hilt_logging.handlers.BackgroundHandler",
    "hilt_logging.handlers.HILTFileHandler",
    "hilt_logging.io.reader.read",
    "hilt_logging.io.session.Session",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_in_yaml(path):
    """What YAML files name can be imported from there."""
    module, _, name = path.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
