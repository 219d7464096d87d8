"""
The machine that is measured, environments beside this one, and where in a page a table goes.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


_COMPILES_ANEW = "PYTHONDONTWRITEBYTECODE"


def about(load: tuple[float, ...], packages: Sequence[str], file_system: str = "") -> str:
    """Say where and when something is measured."""
    versions = [f"{name} {version}" for name in packages if (version := _version(name))]
    where = [_processor(), f"{os.cpu_count()} CPUs", _memory(), file_system]
    where.append(f"{platform.system()} {platform.release()}, load {load[0]:.1f} before")
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}. {', '.join(filter(None, where))}; "
        f"CPython {platform.python_version()}, {', '.join(versions)}."
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return ""
    return f"{size / 2**30:.0f} GiB"


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, as Linux tells it."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "an unknown file system"
    over = [each for each in mounts if folder.resolve().is_relative_to(each[1])]
    return max(over, key=lambda each: len(each[1]))[2]


def python_with(name: str, packages: Sequence[str], *, offline: bool = False) -> str:
    """
    Return an interpreter that has some packages, of an environment that is made where there is none.

    Args:
        name: Of the environment's folder, below `~/.cache/hilt_logging_benchmarks`.
        packages: As pip takes them.
        offline: Make none.

    Raises:
        RuntimeError: says why there is none.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hilt_logging_benchmarks" / f"{name}-{sys.version_info[1]}"
    python = str(folder / "bin" / "python")
    if not folder.exists():
        if offline:
            raise RuntimeError("--offline was given")
        progress(f"installing {', '.join(packages)} into {folder}")
        try:
            run([sys.executable, "-m", "venv", str(folder)])
            run([python, "-m", "pip", "install", "-q", *packages])
        except RuntimeError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return python


def run(command: list[str]) -> str:
    """
    Return what a program prints. Python keeps what it compiles, as it does of an installed package.

    Raises:
        RuntimeError: with the last line of what it says where it fails.
    """
    environ = {name: value for name, value in os.environ.items() if name != _COMPILES_ANEW}
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environ
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise RuntimeError(told[-1]) from None


def progress(message: str) -> None:
    """Tell the person who waits."""
    print(message, file=sys.stderr, flush=True)


def has_place(path: Path, begin: str, end: str) -> bool:
    """Return whether a page has both marks."""
    _, found, rest = path.read_text(encoding="utf-8").partition(begin)
    return bool(found) and end in rest


def write_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put a text between the two marks of a page, in the place of what is there."""
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
