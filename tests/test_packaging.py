"""What is built and installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

from email import message_from_string
from pathlib import Path

import pytest

import hilt_logging


ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {
    "openai",
    "anthropic",
    "gemini",
    "google-generativeai",
    "langchain",
    "structlog",
    "json",
    "yaml",
    "cost",
    "pii",
    "presidio",
    "crypto",
    "cli",
    "analytics",
    "report",
    "spark",
    "zstd",
    "all",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel that is made from it."""
    pytest.importorskip("hatchling")
    target = tmp_path_factory.mktemp("dist")
    tree = target / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=ignored)
    shutil.copy(ROOT / ".gitignore", tree)
    _hatch("build_sdist", target, tree)
    (sdist,) = target.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(target, **safely)
    _hatch("build_wheel", target, target / sdist.name.removesuffix(".tar.gz"))
    return target


def _hatch(hook, target, tree):
    code = f"import hatchling.build as b; b.{hook}({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tree, check=True, capture_output=True)


@pytest.fixture(scope="module")
def wheels(built):
    """The wheel of the sdist, and the one that is tested if a runner tells which."""
    tested = os.environ.get("HILT_TEST_WHEEL")
    return [*built.glob("*.whl"), *([Path(tested)] if tested else [])]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_files_of_the_wheel(wheels):
    """The wheel holds the files of the package, py.typed among them, and nothing else."""
    package = ROOT / "hilt_logging"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "hilt_logging/py.typed" in expected
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        assert {name for name in names if ".dist-info/" not in name} == expected


def test_licence_of_the_wheel(wheels):
    """The wheel tells its licence as an SPDX expression and holds the text."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            told = message_from_string(archive.read(metadata).decode())
            licence = archive.read(metadata.replace("METADATA", "licenses/LICENSE"))
        assert told["License-Expression"] == "Apache-2.0"
        assert licence == (ROOT / "LICENSE").read_bytes()


def test_files_of_the_sdist(built):
    """The sdist holds what is needed to build, test and read it, and no environments."""
    (sdist,) = built.glob("*.tar.gz")
    prefix = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{prefix}/") for name in archive.getnames()}
    for wanted in ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "tests/run.py"):
        assert wanted in names
    assert not [name for name in names if name.startswith((".venv", "logs/"))]


def test_extras(project):
    """The extras are those that the documentation lists."""
    assert set(project["optional-dependencies"]) == EXTRAS


def test_extra_all(project):
    """`all` is every extra but google-generativeai, presidio and spark."""
    (requirement,) = project["optional-dependencies"]["all"]
    name, _, listed = requirement.partition("[")
    assert name == project["name"]
    expected = EXTRAS - {"all", "google-generativeai", "presidio", "spark"}
    assert set(listed.removesuffix("]").split(",")) == expected


def test_core_dependency(project):
    """The core needs msgspec alone."""
    assert [each.partition(">")[0] for each in project["dependencies"]] == ["msgspec"]


def test_version(wheels):
    """The version of the wheel is the one that the package tells."""
    assert {wheel.name.split("-")[1] for wheel in wheels} == {hilt_logging.__version__}


@pytest.mark.skipif("HILT_TEST_WHEEL" not in os.environ, reason="only tests/run.py tests a wheel")
def test_package_is_installed():
    """The tests run on the installed wheel, not on the source tree."""
    where = Path(hilt_logging.__file__).resolve()
    assert where.is_relative_to(Path(sys.prefix).resolve())
    assert "site-packages" in where.parts
