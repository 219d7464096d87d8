"""
How reading grows with the log: time and memory of some rows of reading.py at several sizes.

    python benchmarks/growth.py
    python benchmarks/growth.py --sizes 5,50 --rounds 1 --rows validate,search

Makes one log after the other, and prints one table. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile

from pathlib import Path
from typing import NamedTuple

import machine

from reading import HERE, PACKAGES, write_log
from reading_rows import ROWS


BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
SHOWN = {
    "validate": "`validate`",
    "stats-duckdb": "`stats`, by DuckDB",
    "stats-python": "`stats`, in Python",
    "parquet": "to Parquet",
    "search": "`search`, a rare text",
    "show": "`show`, first use",
    "show-indexed": "`show`, indexed",
}


class Cost(NamedTuple):
    """
    What a row took.

    Attributes:
        wall_s: Seconds from its beginning to its end.
        peak_mib: The memory that its process took at most.
    """

    wall_s: float
    peak_mib: float


def main() -> int:
    options = _options()
    if options.write and not machine.has_place(options.write, BEGIN, END):
        print(f"{options.write} has no {BEGIN} ... {END}", file=sys.stderr)
        return 2
    rows = options.rows.split(",") if options.rows else list(SHOWN)
    for name in rows:
        if name not in ROWS:
            print(f"{name!r} is not one of {', '.join(ROWS)}", file=sys.stderr)
            return 2
    sizes = [float(each) for each in options.sizes.split(",")]
    load = os.getloadavg()
    found: dict[str, list[Cost | str]] = {name: [] for name in rows}
    for size in sizes:
        _measure(size, options, found)
    about = machine.about(load, PACKAGES, machine.file_system(Path(tempfile.gettempdir())))
    text = f"{_table(sizes, found)}\n\n{options.rounds} rounds. {about}"
    print(text)
    if options.write:
        machine.write_between(options.write, BEGIN, END, text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How reading grows with the log.")
    add = parser.add_argument
    add("--sizes", default="50,500,5000", help="MB of the logs")
    add("--rounds", type=int, default=2)
    add("--rows", help=f"some of {', '.join(ROWS)}; by default {','.join(SHOWN)}")
    add("--folder", help="where the logs are written")
    add("--write", type=Path, help=f"a page that gets the table between {BEGIN} and {END}")
    return parser.parse_args()


def _measure(size: float, options: argparse.Namespace, found: dict[str, list[Cost | str]]) -> None:
    """Measure all rows at a size; what a row makes is gone before the next one."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "app.hilt.jsonl")
        machine.progress(f"writing {size:g} MB")
        write_log(path, size)
        for name, costs in found.items():
            machine.progress(f"{size:g} MB: {name}")
            costs.append(_cost(name, path, options.rounds))
            for made in Path(folder).glob(f"{path.name}.*"):
                made.unlink()


def _cost(name: str, path: Path, rounds: int) -> Cost | str:
    """The middle of the rounds, or why there is none."""
    command = [sys.executable, str(HERE / "reading_rows.py"), name, str(path)]
    try:
        told = [json.loads(machine.run(command)) for _ in range(rounds)]
    except RuntimeError as error:
        return str(error)
    return Cost(*(statistics.median(each[of] for each in told) for of in ("wall", "peak")))


def _table(sizes: list[float], found: dict[str, list[Cost | str]]) -> str:
    heads = [f"{size / 1000:g} GB" if size >= 1000 else f"{size:g} MB" for size in sizes]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(sizes)}"]
    for name, costs in found.items():
        title = SHOWN.get(name) or ROWS[name].title.replace("**", "")
        lines.append(f"| {title} | {' | '.join(map(_cell, costs))} |")
    return "\n".join(lines)


def _cell(cost: Cost | str) -> str:
    if isinstance(cost, str):
        return f"missing, {cost}"
    return f"{cost.wall_s:.2f} s, {cost.peak_mib:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
