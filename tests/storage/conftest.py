"""What the tests of files share."""

from __future__ import annotations

import shutil
import subprocess

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that lets system calls fail."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    done = subprocess.run(
        [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", made, source, "-ldl"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"gcc can't compile it: {done.stderr}")
    return made
