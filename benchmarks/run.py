"""
What recording an event costs, here and elsewhere: everything is measured, one table is printed.

    python benchmarks/run.py [--quick] [--markdown] [--write README.md]

See README.md beside this file for what the rows and columns mean.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import table

from contenders import BY_NAME, HILT_PYTHON, HILT_PYTHON_APPEND
from measuring import SITUATIONS, Measuring, WrongFileError


BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
PACKAGES = (
    "msgspec",
    "python-json-logger",
    "orjson",
    "concurrent-log-handler",
    "structlog",
    "loguru",
)
ASK_VERSION = "from importlib.metadata import version; import hilt; print(version('hilt-python'))"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = _options(arguments)
    chosen = [BY_NAME[name] for name in options.contenders]
    missing = {each.name: each.missing() for each in chosen if each.missing()}
    pythons: dict[str, str] = {}
    if HILT_PYTHON_APPEND in chosen:
        try:
            python = _hilt_python(options.hilt_python, options.offline)
            pythons[HILT_PYTHON_APPEND.name] = python
        except RuntimeError as error:
            missing[HILT_PYTHON_APPEND.name] = str(error)
    began, load = time.monotonic(), os.getloadavg()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measuring = Measuring(
            [each for each in chosen if each.name not in missing],
            options.only,
            options.events,
            Path(folder),
            pythons,
        )
        rounds = []
        for number in range(options.rounds):
            _progress(f"round {number + 1} of {options.rounds}")
            try:
                rounds.append(measuring.round(number))
            except (WrongFileError, RuntimeError) as error:
                print(error, file=sys.stderr)
                return 1
        about = _about(options, load, Path(folder))
    _progress(f"{time.monotonic() - began:.0f} s")
    rows = table.rows(rounds, chosen, options.only, missing)
    print(table.as_markdown(rows) if options.markdown else table.as_text(rows))
    print(f"\n{about}")
    if options.write:
        write_between(options.write, f"{table.as_markdown(rows)}\n\n{about}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--events", type=int, help="in each situation (default: 4,000)")
    add("--rounds", type=int, help="of which the median is told (default: 5)")
    add("--quick", action="store_true", help="1,000 events in 3 rounds, if not told otherwise")
    add("--only", type=_Listed(SITUATIONS), default=SITUATIONS, help=", ".join(SITUATIONS))
    names = tuple(BY_NAME)
    add("--contenders", type=_Listed(names), default=names, help=", ".join(names))
    add("--markdown", action="store_true", help="print the table in Markdown")
    add("--write", type=Path, help=f"a file, to put the table there between {BEGIN} and {END}")
    add("--folder", type=Path, help="where the files are written (default: the temporary one)")
    add("--hilt-python", help=f"an interpreter that has hilt-python {HILT_PYTHON}")
    add("--offline", action="store_true", help="make no environment for hilt-python")
    options = parser.parse_args(arguments)
    if options.events is None:
        options.events = 1_000 if options.quick else 4_000
    if options.rounds is None:
        options.rounds = 3 if options.quick else 5
    if options.events < 1 or options.rounds < 1:
        parser.error("there must be an event and a round")
    if options.write and not _has_place(options.write):
        parser.error(f"{options.write} has no {BEGIN} with {END} after it")
    return options


class _Listed:
    """Names with commas between, in the order in which the table has them."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    def __call__(self, given: str) -> tuple[str, ...]:
        names = given.split(",")
        for name in names:
            if name not in self._allowed:
                raise argparse.ArgumentTypeError(
                    f"{name!r} is not one of {', '.join(self._allowed)}"
                )
        return tuple(name for name in self._allowed if name in names)


def _hilt_python(given: str | None, offline: bool) -> str:
    """
    Return an interpreter that has hilt-python, of an environment that is made where there is none.

    Raises:
        RuntimeError: says why there is none.
    """
    if given:
        return _checked(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hilt_logging_benchmarks" / f"hilt-python-{HILT_PYTHON}-{sys.version_info[1]}"
    python = str(folder / "bin" / "python")
    if not folder.exists():
        if offline:
            raise RuntimeError(f"hilt-python {HILT_PYTHON}; --offline was given")
        _progress(f"installing hilt-python {HILT_PYTHON} into {folder}")
        _make(folder)
    return _checked(python)


def _make(folder: Path) -> None:
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    try:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([*install, f"hilt-python=={HILT_PYTHON}"])
    except RuntimeError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _checked(python: str) -> str:
    version = _run([python, "-I", "-c", ASK_VERSION]).strip()
    if version != HILT_PYTHON:
        raise RuntimeError(f"hilt-python {HILT_PYTHON}; {python} has {version}")
    return python


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise RuntimeError(f"hilt-python {HILT_PYTHON}; {told[-1]}") from None


def _about(options: argparse.Namespace, load: tuple[float, ...], folder: Path) -> str:
    """Say where and how it was measured."""
    packages = [f"{name} {version}" for name in PACKAGES if (version := _version(name))]
    return (
        f"{options.events:,} events in each situation, {options.rounds} rounds, "
        f"{time.strftime('%Y-%m-%d', time.gmtime())}. {_processor()}, {os.cpu_count()} CPUs, "
        f"{_memory()}{_file_system(folder)}, {platform.system()} {platform.release()}, load "
        f"{load[0]:.1f} before; CPython {platform.python_version()}, {', '.join(packages)}."
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
    return f"{size / 2**30:.0f} GiB, "


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, as Linux tells it."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "an unknown file system"
    over = [each for each in mounts if folder.resolve().is_relative_to(each[1])]
    return max(over, key=lambda each: len(each[1]))[2]


def _progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _has_place(path: Path) -> bool:
    _, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    return bool(begin) and END in rest


def write_between(path: Path, text: str) -> None:
    """Put a text between the two marks of a file, in the place of what is there."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
