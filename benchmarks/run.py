"""
What recording an event costs, here and elsewhere: everything is measured, one table is printed.

    python benchmarks/run.py [--quick] [--markdown] [--write README.md]

See README.md beside this file for what the rows and columns mean.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time

from collections.abc import Sequence
from pathlib import Path

import machine
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
            machine.progress(f"round {number + 1} of {options.rounds}")
            try:
                rounds.append(measuring.round(number))
            except (WrongFileError, RuntimeError) as error:
                print(error, file=sys.stderr)
                return 1
        about = (
            f"{options.events:,} events in each situation, {options.rounds} rounds, "
            f"{machine.about(load, PACKAGES, machine.file_system(Path(folder)))}"
        )
    machine.progress(f"{time.monotonic() - began:.0f} s")
    rows = table.rows(rounds, chosen, options.only, missing)
    print(table.as_markdown(rows) if options.markdown else table.as_text(rows))
    print(f"\n{about}")
    if options.write:
        text = f"{table.as_markdown(rows)}\n\n{about}"
        machine.write_between(options.write, BEGIN, END, text)
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
    if options.write and not machine.has_place(options.write, BEGIN, END):
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
    wanted = f"hilt-python {HILT_PYTHON}"
    try:
        python = given or machine.python_with(
            f"hilt-python-{HILT_PYTHON}", [f"hilt-python=={HILT_PYTHON}"], offline=offline
        )
        version = machine.run([python, "-I", "-c", ASK_VERSION]).strip()
    except RuntimeError as error:
        raise RuntimeError(f"{wanted}; {error}") from None
    if version != HILT_PYTHON:
        raise RuntimeError(f"{wanted}; {python} has {version}")
    return python


if __name__ == "__main__":
    sys.exit(main())
