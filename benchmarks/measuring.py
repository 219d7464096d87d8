"""
The rounds: every contender is asked in turn, in a process of its own, and its file is read again.
"""

from __future__ import annotations

import dataclasses
import json
import random
import resource
import statistics
import subprocess
import sys

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from contenders import LIMIT, Contender
from samples import texts
from worker import WARM


THREADS = 4
PROCESSES = 4
MIXED = (600, 1_500)
KB_1 = (770, 600)
KB_30 = (30_470, 30_300)
SITUATIONS = (
    "memory",
    "single",
    "threads",
    "processes",
    "1kb",
    "30kb",
    "latency",
    "disabled",
    "imports",
)
Figures = dict[str, float]
Round = dict[str, dict[str, Figures]]
"""Figures of one round, by situation and contender."""


class WrongFileError(Exception):
    """The file of a contender does not hold what was recorded."""


class Worker:
    """A process that measures one contender."""

    def __init__(self, contender: Contender, python: str) -> None:
        self.contender = contender
        program = Path(__file__).with_name("worker.py")
        self._process = subprocess.Popen(
            [python, str(program), contender.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def tell(self, ask: str, **arguments: Any) -> None:
        """Put a question whose answer is read later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"ask": ask, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Figures:
        """Return the answer to the question that was put last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.contender.name}: {answer['error']}")
        return dict(answer)

    def ask(self, ask: str, **arguments: Any) -> Figures:
        """Put a question and return its answer."""
        self.tell(ask, **arguments)
        return self.answer()

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclasses.dataclass
class Measuring:
    """
    What is measured, and how.

    Attributes:
        contenders: The rows; the limit is measured in any case.
        situations: The columns.
        events: How many events in each situation.
        folder: Where the files are.
        pythons: Interpreters of contenders that do not run on this one.
    """

    contenders: Sequence[Contender]
    situations: Sequence[str]
    events: int
    folder: Path
    pythons: dict[str, str]

    def round(self, number: int) -> Round:
        """Measure all in turn, once; contenders start anew, in another order each time."""
        turns = list(self.contenders)
        random.Random(number).shuffle(turns)
        with self._workers(turns) as workers:
            return {name: self._situation(name, turns, workers) for name in self._wanted()}

    def _wanted(self) -> list[str]:
        """Nearly all are told as ratios to what the limit does in one thread."""
        return [name for name in SITUATIONS if name in self.situations or name == "single"]

    @contextmanager
    def _workers(self, turns: list[Contender]) -> Iterator[dict[str, list[Worker]]]:
        with ExitStack() as stack:
            workers: dict[str, list[Worker]] = {}
            for each in {LIMIT.name: LIMIT, **{each.name: each for each in turns}}.values():
                if each.opener:
                    shared = "processes" in self.situations and "processes" in each.measured
                    for _ in range(PROCESSES if shared else 1):
                        worker = Worker(each, self._python(each))
                        stack.callback(worker.end)
                        workers.setdefault(each.name, []).append(worker)
            for several in workers.values():
                for worker in several:
                    worker.ask("ready")
            yield workers

    def _python(self, contender: Contender) -> str:
        return self.pythons.get(contender.name, sys.executable)

    def _situation(
        self, name: str, turns: list[Contender], workers: dict[str, list[Worker]]
    ) -> dict[str, Figures]:
        """Measure one situation; the limit has three turns: the first, one amid, the last."""
        wanted = [each for each in turns if name in each.measured and each != LIMIT]
        if name not in self.situations:
            wanted = []
        if name in LIMIT.measured:
            wanted = [LIMIT, *wanted[::2], LIMIT, *wanted[1::2], LIMIT]
        measure = self._measures()[name]
        taken: dict[str, list[Figures]] = {}
        for each in wanted:
            figures = measure(each, workers.get(each.name, []))
            taken.setdefault(each.name, []).append(figures)
        return {name: _middle(several) for name, several in taken.items()}

    def _measures(self) -> dict[str, Callable[[Contender, list[Worker]], Figures]]:
        return {
            "memory": lambda each, workers: self._alone(workers[0], "memory", ahead=False),
            "single": lambda each, workers: self._alone(workers[0], "cpu"),
            "threads": lambda each, workers: self._alone(workers[0], "threads", number=THREADS),
            "processes": lambda each, workers: self._together(workers),
            "1kb": lambda each, workers: self._alone(workers[0], "cpu", KB_1),
            "30kb": lambda each, workers: self._alone(workers[0], "cpu", KB_30, part=0.1),
            "latency": lambda each, workers: self._alone(workers[0], "latency"),
            "disabled": lambda each, workers: workers[0].ask("disabled", calls=self.events * 10),
            "imports": lambda each, workers: self._started(each),
        }

    def _alone(
        self,
        worker: Worker,
        ask: str,
        sizes: tuple[int, int] = MIXED,
        part: float = 1.0,
        *,
        ahead: bool = True,
        **arguments: Any,
    ) -> Figures:
        contender = worker.contender
        path = self.folder / f"{contender.name}.jsonl"
        events = max(THREADS, round(self.events * part * contender.share))
        worker.ask("open", path=str(path), first=0, events=events, sizes=sizes, ahead=ahead)
        figures = worker.ask(ask, **arguments)
        worker.ask("close")
        expected = [text for text, _ in texts(0, WARM + events, sizes)]
        check(path, contender, expected, in_order=ask != "threads")
        self._tidy()
        return _per_event(figures, events)

    def _together(self, workers: list[Worker]) -> Figures:
        """Let processes record at the same time into one file; return what it costs each."""
        path = self.folder / f"{workers[0].contender.name}.jsonl"
        firsts = range(0, len(workers) * 10_000_000, 10_000_000)
        for worker, first in zip(workers, firsts, strict=True):
            worker.ask("open", path=str(path), first=first, events=self.events, sizes=MIXED)
        for worker in workers:
            worker.tell("cpu")
        figures = [worker.answer() for worker in workers]
        for worker in workers:
            worker.ask("close")
        expected = [text for at in firsts for text, _ in texts(at, WARM + self.events, MIXED)]
        check(path, workers[0].contender, expected, in_order=False)
        self._tidy()
        whole = {
            "cpu": sum(each["cpu"] for each in figures),
            "began": min(each["began"] for each in figures),
            "ended": max(each["ended"] for each in figures),
        }
        return _per_event(whole, self.events * len(workers))

    def _tidy(self) -> None:
        """Remove the file and what its contender put beside it."""
        for each in self.folder.iterdir():
            each.unlink()

    def _started(self, contender: Contender) -> Figures:
        """Return what it costs an interpreter to import what the contender needs."""
        if not contender.imports:
            return {}
        took = []
        for program in (contender.imports, "pass"):
            before = _cpu_of_children()
            subprocess.run([self._python(contender), "-I", "-c", program], check=True)
            took.append(_cpu_of_children() - before)
        return {"ms": (took[0] - took[1]) * 1000}


def _cpu_of_children() -> float:
    """Seconds of CPU time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _per_event(figures: Figures, events: int) -> Figures:
    """Replace seconds by microseconds for one event."""
    told = {name: value for name, value in figures.items() if name not in ("began", "ended")}
    for name in ("cpu", "caller"):
        if name in told:
            told[name] *= 1e6 / events
    if "began" in figures:
        told["wall"] = (figures["ended"] - figures["began"]) * 1e6 / events
    return told


def _middle(several: list[Figures]) -> Figures:
    return {name: statistics.median(each[name] for each in several) for name in several[0]}


def check(path: Path, contender: Contender, expected: list[str], *, in_order: bool) -> None:
    """
    Read a file again.

    Raises:
        WrongFileError: if it does not hold exactly these texts, as one event in a line each, with
            an id that no other has.
    """
    found, ids = [], set()
    with path.open("rb") as lines:
        for line in lines:
            event = _event(line, contender)
            ids.add(event["event_id"])
            found.append(event["content"]["text"])
    if not in_order:
        found.sort()
        expected = sorted(expected)
    if found != expected or len(ids) != len(found):
        raise WrongFileError(
            f"{contender.name}: the file does not hold what was recorded: "
            f"{len(expected)} texts, {len(found)} lines, {len(ids)} ids"
        )


def _event(line: bytes, contender: Contender) -> Any:
    try:
        if not line.endswith(b"\n"):
            raise ValueError("a line without its end")
        event = msgspec.json.decode(line)
        for key in filter(None, contender.event_at.split(".")):
            event = event[key]
    except (ValueError, KeyError, TypeError) as error:
        raise WrongFileError(f"{contender.name}: a line is no event: {error}") from None
    return event
