"""Names of packages that are loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hilt_logging

from hilt_logging import analysis, custody


PACKAGES = pytest.mark.parametrize("package", [hilt_logging, analysis, custody])


@PACKAGES
def test_every_name_is_there(package):
    """Each public name can be asked for, is found by dir(), and is what it says."""
    assert set(package.__all__) <= set(dir(package))
    assert [] == [name for name in package.__all__ if getattr(package, name, None) is None]


@PACKAGES
def test_no_such_name(package):
    """A name that is not there is told as of any module."""
    told = f"module {package.__name__!r} has no attribute 'nothing'"
    with pytest.raises(AttributeError, match=told):
        _ = package.nothing


@pytest.mark.parametrize("name", ["custody.verify", "analysis.search"])
def test_module_of_that_name(name):
    """A function stays what it is when the module that it is in is imported by its own name."""
    package, function = name.split(".")
    code = f"""
import hilt_logging.{name}
from hilt_logging import {package}
assert callable({package}.{function}), {package}.{function}
from hilt_logging.{name} import {function}
assert {package}.{function} is {function}
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_loaded_early():
    """What stands above handlers is loaded only when its names are asked for."""
    code = "import sys, hilt_logging; print('hilt_logging.io.session' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False\n" == ran.stdout
