"""
What it adds to a call of OpenAI's SDK that it is recorded, here and elsewhere; one table is printed.

    python benchmarks/capture.py [--quick] [--markdown] [--write README.md]

See README.md beside this file for what the rows and columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import machine
import table

from capture_contenders import BY_NAME, Contender


BEGIN, END = "<!-- capture: begin -->", "<!-- capture: end -->"
PACKAGES = ("openai", "genai-prices", "msgspec")
MANY, FEW = 200, 2
Figures = dict[str, dict[str, float]]
"""What was measured in one round: by contender, then by what it is."""


class Worker:
    """A process that measures one contender in one mode."""

    def __init__(self, contender: Contender, python: str, path: Path, mode: str) -> None:
        self._contender = contender
        program = Path(__file__).with_name("capture_worker.py")
        self._process = subprocess.Popen(
            [python, str(program), contender.name, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def ask(self, ask: str, **arguments: Any) -> float:
        """Put a question; return the median of what is answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": ask, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(f"{self._contender.name}: {answer['error']}")
        return statistics.median(answer["taken"] or [0.0])

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = _options(arguments)
    chosen = [BY_NAME[name] for name in options.contenders]
    pythons, missing = _pythons(chosen, options.offline)
    began, load = time.monotonic(), os.getloadavg()
    rounds: list[Figures] = []
    for number in range(options.rounds):
        machine.progress(f"round {number + 1} of {options.rounds}")
        turns = [each for each in chosen if each.name in pythons]
        random.Random(number).shuffle(turns)
        try:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                rounds.append(dict(_round(turns, pythons, Path(folder), options)))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    machine.progress(f"{time.monotonic() - began:.0f} s")
    lines = rows(rounds, chosen, missing)
    print(table.as_markdown(lines) if options.markdown else table.as_text(lines))
    about = f"{options.rounds} rounds, {machine.about(load, PACKAGES)}"
    print(f"\n{about}")
    if options.write:
        machine.write_between(options.write, BEGIN, END, f"{table.as_markdown(lines)}\n\n{about}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--rounds", type=int, help="of which the median is told (default: 5)")
    add("--pairs", type=int, help="of blocks with and without, in each round (default: 8)")
    add("--quick", action="store_true", help="3 rounds of 4 pairs, if not told otherwise")
    add("--contenders", type=_listed, default=tuple(BY_NAME), help=", ".join(BY_NAME))
    add("--markdown", action="store_true", help="print the table in Markdown")
    add("--write", type=Path, help=f"a file, to put the table there between {BEGIN} and {END}")
    add("--folder", type=Path, help="where the files are written (default: the temporary one)")
    add("--offline", action="store_true", help="make no environments for other tools")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.pairs = options.pairs or (4 if options.quick else 8)
    if options.rounds < 1 or options.pairs < 1:
        parser.error("there must be a round and a pair")
    if options.write and not machine.has_place(options.write, BEGIN, END):
        parser.error(f"{options.write} has no {BEGIN} with {END} after it")
    return options


def _listed(given: str) -> tuple[str, ...]:
    names = given.split(",")
    for name in names:
        if name not in BY_NAME:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(BY_NAME)}")
    return tuple(name for name in BY_NAME if name in names)


def _pythons(chosen: Iterable[Contender], offline: bool) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreters of the contenders, and why others have none."""
    pythons: dict[str, str] = {}
    missing: dict[str, str] = {}
    for each in chosen:
        if each.packages:
            sdk = f"openai=={metadata.version('openai')}" if _has_sdk() else "openai"
            try:
                pythons[each.name] = machine.python_with(
                    f"capture-{each.packages[0]}-{sdk}", [sdk, *each.packages], offline=offline
                )
            except RuntimeError as error:
                missing[each.name] = f"{each.packages[0]}; {error}"
        elif each.missing():
            missing[each.name] = each.missing()
        else:
            pythons[each.name] = sys.executable
    return pythons, missing


def _has_sdk() -> bool:
    try:
        metadata.version("openai")
    except metadata.PackageNotFoundError:
        return False
    return True


def _round(
    turns: Sequence[Contender], pythons: dict[str, str], folder: Path, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure all in turn, once; each in processes of its own."""
    pairs = options.pairs
    for each in turns:
        with _workers(each, pythons[each.name], folder) as workers:
            stub, whole, idle = workers["stub"], workers["whole"], workers.get("idle")
            many = stub.ask("streams", pairs=pairs, calls=4, chunks=MANY)
            few = stub.ask("streams", pairs=pairs, calls=20, chunks=FEW)
            found = {
                "answer": stub.ask("answers", pairs=pairs * 2, calls=20),
                "stream": many,
                "chunk": (many - few) / (MANY - FEW),
                "whole": whole.ask("wholes", pairs=pairs * 2, calls=8),
                "first": whole.ask("firsts", pairs=pairs, calls=10),
                "alone": whole.ask("alone", pairs=pairs, calls=10),
            }
            if idle is not None:
                found["idle"] = idle.ask("idles", pairs=pairs * 2, calls=100)
            yield each.name, found


@contextmanager
def _workers(each: Contender, python: str, folder: Path) -> Iterator[dict[str, Worker]]:
    with ExitStack() as stack:
        workers = {}
        for mode in each.modes:
            workers[mode] = Worker(each, python, folder / f"{each.name}-{mode}.jsonl", mode)
            stack.callback(workers[mode].end)
        yield workers


def rows(
    rounds: Sequence[Figures], contenders: Iterable[Contender], missing: dict[str, str]
) -> list[list[str]]:
    """
    Return the headings, then a row for each contender.

    One that is missing has a row that says what it needs.
    """
    lines = [[HEADING, *(heading for _, heading in COLUMNS)]]
    for each in contenders:
        if each.name in missing:
            cells = [f"{each.title}: missing, {missing[each.name]}", *[""] * len(COLUMNS)]
        else:
            taken = [one[each.name] for one in rounds]
            cells = [each.title, *(_cell(taken, figure) for figure, _ in COLUMNS)]
        lines.append(cells)
    return lines


def _cell(taken: Sequence[dict[str, float]], figure: str) -> str:
    if figure == "spread":
        answers = [each["answer"] for each in taken]
        return f"{table.digits(min(answers))} to {table.digits(max(answers))}"
    values = [each[figure] for each in taken if figure in each]
    return table.digits(statistics.median(values)) if values else ""


HEADING = "added µs"
COLUMNS = (
    ("answer", "one answer"),
    ("spread", "from-to"),
    ("stream", f"{MANY} pieces"),
    ("chunk", "each piece"),
    ("idle", "nobody listens"),
    ("whole", "one answer, whole SDK"),
    ("first", "first piece, whole SDK"),
    ("alone", "... of"),
)


if __name__ == "__main__":
    sys.exit(main())
