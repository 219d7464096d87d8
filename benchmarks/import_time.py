"""
What `import hilt_logging` adds to the start of bare Python.

    python benchmarks/import_time.py [TIMES]

Every figure is the median over as many fresh interpreters.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


TIMES = 20
PROGRAMS = {
    "pass": "bare Python",
    "import logging": "the stdlib's logging",
    "import logging, msgspec": "logging and msgspec, our one dependency",
    "import hilt_logging": "hilt_logging",
}
COUNT = "import sys; before = set(sys.modules); {}; print(len(set(sys.modules) - before))"


def started_ms(program: str) -> float:
    """Return how long an interpreter takes to run a program and end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", program], check=True)
    return (time.perf_counter() - began) * 1000


def modules(program: str) -> int:
    """Return how many modules a program loads."""
    command = [sys.executable, "-I", "-c", COUNT.format(program)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def main(times: int = TIMES) -> None:
    """Start all in turn, as often as *times* says, and print the table."""
    taken: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    for _ in range(times + 1):
        for program, own in taken.items():
            own.append(started_ms(program))
    bare = statistics.median(taken["pass"][1:])
    print(f"{times} starts, CPython {sys.version.split()[0]}; the first one is not counted")
    print(f"{'':42} {'ms':>7} {'added':>7} {'modules':>8}")
    for program, name in PROGRAMS.items():
        median = statistics.median(taken[program][1:])
        print(f"{name:42} {median:7.1f} {median - bare:7.1f} {modules(program):8}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
