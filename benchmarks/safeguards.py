"""
What encryption, keys that can be erased and linked lines cost, beside the plain path in one run.

    python benchmarks/safeguards.py [--events 50] [--rounds 400]

Each row is a `HILTFileHandler` with other options. Prompts and answers, whose lines have 1.4 KB, are
emitted to all of them in turn, in many short rounds that begin with another row each, so that what
else runs on the machine falls on all alike. Figures are microseconds of CPU for a whole `emit`: of
the best round, beyond that of the first row, and how many times it; then the same of the median,
where what is beyond is the median of the differences within a round. The best rounds say what the
work takes, and hardly depend on what else runs; the medians what it took here. The last columns are
the length of a line, and how many times that of the first row. Keys are agreed on before: that is
done once an hour.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hilt_logging import HILTFileHandler, emit, events
from hilt_logging.safeguards import jwk, sealing


TEXT = "The quick brown fox asks how far the Moon is from here, in kilometres. " * 14
ALONE = "plain"


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the options of each row, the plain path first."""
    for kind in ("P-256", "X25519"):
        key = jwk.generate(kind)
        jwk.write_new(folder / f"{kind}.pub.jwk", jwk.public_of(key))
    public = [str(folder / f"{kind}.pub.jwk") for kind in ("P-256", "X25519")]
    jwk.write_new(folder / "log.key.jwk", jwk.generate("Ed25519"))
    sealing.write_new(str(folder / "log.seal"), sealing.generate())
    sealed = {"evidence": "sealed", "seal_key": str(folder / "log.seal")}
    signed = {"evidence": True, "sign_key": str(folder / "log.key.jwk")}
    erasable = {"erasable_by": "user_id", "key_store": str(folder / "keys.db")}
    return {
        ALONE: {},
        'content="none"': {"content": "none"},
        "encrypt_to": {"encrypt_to": public[0]},
        "encrypt_to, two keys": {"encrypt_to": public},
        "erasable_by": erasable,
        "encrypt_to and erasable_by": {"encrypt_to": public[0], **erasable},
        "evidence": {"evidence": True},
        "evidence, sealed": sealed,
        "evidence and sign_key": signed,
        "evidence, sign_key and encrypt_to": {"encrypt_to": public[0], **signed},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--events", type=int, default=50, help="of each row in a round")
    parser.add_argument("--rounds", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(_table(folder, rows(folder), given.events, given.rounds))
        logging.shutdown()


def _table(folder: Path, options: dict[str, dict[str, Any]], count: int, rounds: int) -> str:
    paths = {name: folder / f"{index}.jsonl" for index, name in enumerate(options)}
    ways = {
        name: _way(paths[name], each, index) for index, (name, each) in enumerate(options.items())
    }
    made = [_answer() if index % 2 else _prompt() for index in range(count)]
    for way in ways.values():
        way(made[:2])
    taken: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            began = time.process_time_ns()
            ways[name](made)
            taken[name].append((time.process_time_ns() - began) / count / 1000)
    columns = ("best", "beyond", "times", "median", "beyond", "times", "bytes", "times")
    head = f"{'us an event':36}{''.join(f'{column:>8}' for column in columns)}"
    return "\n".join([head, *(_row(name, taken, paths) for name in ways)])


def _row(name: str, taken: dict[str, list[float]], paths: dict[str, Path]) -> str:
    mine, plain = taken[name], taken[ALONE]
    between = [a - b for a, b in zip(mine, plain, strict=True)]
    size, plain_size = _size(paths[name]), _size(paths[ALONE])
    cells = [
        *_cells(min(mine), min(mine) - min(plain), min(plain)),
        *_cells(statistics.median(mine), statistics.median(between), statistics.median(plain)),
        f"{size:.0f}",
        f"{size / plain_size:.2f}",
    ]
    return f"{name:36}{''.join(f'{cell:>8}' for cell in cells)}"


def _cells(us: float, beyond: float, plain: float) -> tuple[str, str, str]:
    return f"{us:.1f}", f"{beyond:.1f}", f"{us / plain:.2f}"


def _size(path: Path) -> float:
    lines = path.read_bytes().splitlines()
    return sum(map(len, lines)) / len(lines)


def _way(path: Path, options: dict[str, Any], index: int) -> Callable[[list[events.Event]], None]:
    """What writes events with a handler of its own."""
    logger = logging.getLogger(f"hilt.bench{index}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(HILTFileHandler(path, **options))

    def write(made: list[events.Event]) -> None:
        for event in made:
            emit(event, logger=logger.name)

    return write


def _prompt() -> events.Event:
    return events.prompt(TEXT, user_id="alice", session_id="conv-42")


def _answer() -> events.Event:
    return events.completion(
        TEXT,
        session_id="conv-42",
        provenance={"provider": "openai", "model": "gpt-4o-mini"},
        metrics=events.Metrics(
            latency_ms=812, tokens={"prompt": 12, "completion": 34, "total": 46}, cost_usd=0.000042
        ),
        extensions={"user_id": "alice", "finish_reason": "stop", "outcome": "completed"},
    )


if __name__ == "__main__":
    main()
