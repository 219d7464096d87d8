"""
What reading costs: the same questions to the same log, for this package and for others.

    python benchmarks/reading.py
    python benchmarks/reading.py --size 50 --rounds 1 --rows read,json

Makes a log of 500 MB with some 350,000 events and prints one table. See README.md beside this file for
what rows and columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time

from pathlib import Path
from typing import Any

import machine
import samples

from reading_rows import GROUPS, ROWS, START


HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- reading: begin -->", "<!-- reading: end -->"
SIZES = 560, 1_380  # bytes of a prompt and of an answer, which gives lines of 1,430 bytes
HILT_PYTHON = "0.2.8"
PACKAGES = ("msgspec", "duckdb", "pyarrow")
MODELS = (
    ("openai", "gpt-4o-mini", 0.15, 0.6),
    ("openai", "gpt-4o", 2.5, 10.0),
    ("anthropic", "claude-sonnet-4-5", 3.0, 15.0),
    ("google", "gemini-2.5-flash", 0.3, 2.5),
)
START_S = 1_767_225_600  # 2026-01-01


def main() -> int:
    options = _options()
    if options.write and not machine.has_place(options.write, BEGIN, END):
        print(f"{options.write} has no {BEGIN} ... {END}", file=sys.stderr)
        return 2
    rows = options.rows.split(",") if options.rows else list(ROWS)
    for name in rows:
        if name not in ROWS:
            print(f"{name!r} is not one of {', '.join(ROWS)}", file=sys.stderr)
            return 2
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "app.hilt.jsonl")
        machine.progress(f"writing {options.size:g} MB")
        count = write_log(path, options.size)
        found = _measured(rows, path, count, options)
        table = _table(rows, found, count)
        about = machine.about(load, PACKAGES, machine.file_system(Path(folder)))
        size = path.stat().st_size
    text = f"{table}\n\n{count:,} events, {size / 1e6:,.0f} MB, {options.rounds} rounds. {about}"
    print(text)
    if options.write:
        machine.write_between(options.write, BEGIN, END, text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What reading costs.")
    add = parser.add_argument
    add("--size", type=float, default=500, help="MB of the log")
    add("--rounds", type=int, default=3)
    add("--rows", help=f"some of {', '.join(ROWS)}")
    add("--folder", help="where the log is written")
    add("--write", type=Path, help=f"a page that gets the table between {BEGIN} and {END}")
    add("--hilt-python", help=f"an interpreter that has hilt-python {HILT_PYTHON}")
    add("--offline", action="store_true", help="make no environment for hilt-python")
    return parser.parse_args()


def write_log(path: Path, megabytes: float) -> int:
    """
    Write a log, the same each time; return how many events it has.

    Prompts and answers of 600 and 2,000 bytes in turn, half of them ASCII, of 500 users and four
    models, in conversations of 20 events over 30 days; one answer in fifty failed.
    """
    from hilt_logging.events import encode

    chance, count, left = random.Random(42), 0, megabytes * 1e6
    with open(path, "wb", buffering=1 << 20) as file:
        for text, is_answer in samples.texts(0, 1 << 40, SIZES):
            line = encode(_event(count, text, is_answer, chance)) + b"\n"
            if left < len(line):
                return count
            file.write(line)
            left -= len(line)
            count += 1
    raise AssertionError


def _event(number: int, text: str, is_answer: bool, chance: random.Random) -> dict[str, Any]:
    session, user = number // 20, f"user-{(number // 20) * 7919 % 500}"
    provider, model, for_prompt, for_answer = MODELS[session % len(MODELS)]
    at = START_S + number * 7 + number % 7
    event: dict[str, Any] = {
        "hilt_version": "1.0.0",
        "event_id": _id(number),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(at))
        + f"{number:06d}"[-6:]
        + "Z",
        "session_id": f"conv-{session:06d}",
        "actor": {"type": "agent", "id": model} if is_answer else {"type": "human", "id": user},
        "action": "completion" if is_answer else "prompt",
        "content": {"text": text},
        "provenance": {"provider": provider, "model": model, "call_id": f"call-{number // 2:08d}"},
    }
    if not is_answer:
        return {**event, "extensions": {"user_id": user}}
    prompt, completion = chance.randrange(20, 4_000), chance.randrange(5, 800)
    has_failed = chance.random() < 0.02
    event["metrics"] = {
        "latency_ms": round(chance.lognormvariate(6.7, 0.6)),
        "tokens": {"prompt": prompt, "completion": completion, "total": prompt + completion},
        "cost_usd": round((prompt * for_prompt + completion * for_answer) / 1e6, 8),
    }
    event["extensions"] = {
        "user_id": user,
        "reply_to": _id(number - 1),
        "status_code": 500 if has_failed else 200,
        "finish_reason": "stop",
        "outcome": "failed" if has_failed else "completed",
    }
    return event


def _id(number: int) -> str:
    return f"019b7600-{number >> 16 & 0xFFFF:04x}-7{number & 0xFFF:03x}-8000-{number:012x}"


def _measured(
    rows: list[str], path: Path, count: int, options: argparse.Namespace
) -> dict[str, list[dict[str, float]] | str]:
    """The figures of each row in each round, or why there are none."""
    found: dict[str, Any] = {name: [] for name in rows}
    for number in range(options.rounds):
        for name in sorted(rows, key=lambda each: hash((each, number))):
            if isinstance(found[name], str):
                continue
            machine.progress(f"round {number + 1}: {name}")
            try:
                figures = _figures(name, path, options)
            except RuntimeError as error:
                found[name] = str(error)
                continue
            if ROWS[name].counts_events and figures["result"] != count:
                raise SystemExit(f"{name} found {figures['result']} of {count} events")
            found[name].append(figures)
    return found


def _figures(name: str, path: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run a row in a process of its own."""
    python = sys.executable
    if ROWS[name].is_hilt_python:
        wanted = [f"hilt-python=={HILT_PYTHON}"]
        python = options.hilt_python or machine.python_with(
            f"hilt-python-{HILT_PYTHON}", wanted, offline=options.offline
        )
    figures: dict[str, float] = json.loads(
        machine.run([python, str(HERE / "reading_rows.py"), name, str(path)])
    )
    return figures


def _table(rows: list[str], found: dict[str, Any], count: int) -> str:
    lines = []
    for group in GROUPS:
        own = [name for name in rows if ROWS[name].group == group]
        if own:
            lines += [
                "",
                f"| {group} | CPU {'ms' if group == START else 'µs an event'} | from-to "
                "| wall s | peak MiB |",
                "|---|--:|--:|--:|--:|",
            ]
        for name in own:
            each = 1_000 if group == START else count  # milliseconds of the whole
            lines.append(f"| {ROWS[name].title}{_cells(found[name], each)} |")
    return "\n".join(lines).strip()


def _cells(rounds: list[dict[str, float]] | str, count: int) -> str:
    if isinstance(rounds, str):
        return f": missing, {rounds} | | | |"
    cpu = [each["cpu"] / max(count, 1) * 1e6 for each in rounds]
    wall = statistics.median(each["wall"] for each in rounds)
    peak = statistics.median(each["peak"] for each in rounds)
    middle = statistics.median(cpu)
    return f" | {middle:.2f} | {min(cpu):.2f}-{max(cpu):.2f} | {wall:.2f} | {peak:.0f}"


if __name__ == "__main__":
    sys.exit(main())
