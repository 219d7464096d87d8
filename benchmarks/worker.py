"""
One contender in a process of its own: what `run.py` asks on stdin is measured, answered on stdout.

A question and an answer are one line of JSON each.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time

from pathlib import Path
from typing import Any

from contenders import BY_NAME, Contender, Opened
from samples import texts


WARM = 50
BURST = 1_000


class Bench:
    """Answers the questions about one contender; every public method is one."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._opened: Opened
        self._given: list[tuple[Any, ...]] = []

    def ready(self) -> None:
        """Say nothing: that it is said tells that the process has started."""

    def open(
        self, path: str, first: int, events: int, sizes: tuple[int, int], ahead: bool = True
    ) -> None:
        """
        Set the contender up, let it record some texts, and make more for what comes.

        Args:
            path: The file.
            first: The number of the first text.
            events: How many texts there are after the first few.
            sizes: Of prompts and answers.
            ahead: Whether they are made now, and not only as they are recorded.
        """
        self._opened = opened = self._contender.open(Path(path))
        for each in texts(first, WARM, sizes):
            opened.step(*opened.prepared(*each))
        opened.flush()
        self._texts = texts(first + WARM, events, sizes)
        self._given = [opened.prepared(*each) for each in self._texts] if ahead else []
        gc.collect()

    def close(self) -> None:
        """Take the contender down."""
        self._opened.close()
        self._given.clear()

    def cpu(self) -> dict[str, float]:
        """Record the texts in bursts; tell what this costs, and the caller's part of it."""
        step, flush, given = self._opened.step, self._opened.flush, self._given
        bursts = [given[at : at + BURST] for at in range(0, len(given), BURST)]
        caller = 0.0
        began, process = time.monotonic(), time.process_time()
        for burst in bursts:
            thread = time.thread_time()
            for each in burst:
                step(*each)
            caller += time.thread_time() - thread
            flush()
        spent, ended = time.process_time() - process, time.monotonic()
        return {"cpu": spent, "caller": caller, "began": began, "ended": ended}

    def threads(self, number: int) -> dict[str, float]:
        """Record the texts in as many threads at a time."""
        barrier = threading.Barrier(number + 1)
        share = -(-len(self._given) // number)
        another = self._opened.another or (lambda: self._opened.step)

        def work(given: list[tuple[Any, ...]]) -> None:
            step = another()
            barrier.wait()
            for each in given:
                step(*each)

        working = [
            threading.Thread(target=work, args=(self._given[at : at + share],))
            for at in range(0, share * number, share)
        ]
        for each in working:
            each.start()
        began, process = time.monotonic(), time.process_time()
        barrier.wait()
        for each in working:
            each.join()
        self._opened.flush()
        spent, ended = time.process_time() - process, time.monotonic()
        return {"cpu": spent, "began": began, "ended": ended}

    def latency(self) -> dict[str, float]:
        """Record the texts one by one; tell how long the middle one and the slowest take."""
        step, clock = self._opened.step, time.perf_counter_ns
        taken = []
        for number, each in enumerate(self._given):
            began = clock()
            step(*each)
            taken.append(clock() - began)
            if number % BURST == BURST - 1:
                self._opened.flush()
        self._opened.flush()
        taken.sort()
        return {
            f"p{share}": taken[min(len(taken) - 1, int(len(taken) * share / 100))] / 1000
            for share in (50, 99, 99.9)
        }

    def memory(self) -> dict[str, float]:
        """Record the texts as they are made; tell the most memory that this process ever had."""
        opened = self._opened
        for number, each in enumerate(self._texts):
            opened.step(*opened.prepared(*each))
            if number % BURST == BURST - 1:
                opened.flush()
        opened.flush()
        return {"mib": _peak_kib() / 1024}

    def disabled(self, calls: int) -> dict[str, float]:
        """Tell what a call costs that nobody listens to."""
        return {"ns": self._contender.function()(calls)}


def _peak_kib() -> float:
    """The most memory of this program; `ru_maxrss` also counts the one that started it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return float(line.split()[1])


def main(name: str) -> None:
    """Answer until there are no more questions."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a contender prints is no answer
    bench = Bench(BY_NAME[name])
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = getattr(bench, question.pop("ask"))(**question) or {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
