"""
What encryption, keys that can be erased and linked lines cost, beside the plain path in one run.

    python benchmarks/safeguards.py [--events 300] [--rounds 41]

Each row is a `HILTFileHandler` with other options. Prompts and answers, whose lines have 1.4 KB, are
emitted to all of them in turn, in many short rounds, so that what else runs on the machine falls on
all alike. A figure is the median of the rounds in microseconds of CPU an event, the best one in
brackets; the last columns are what comes to the first row, and how many times its line is. Keys are
agreed on before: that is done once an hour.
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
from hilt_logging.safeguards import jwk


TEXT = "The quick brown fox asks how far the Moon is from here, in kilometres. " * 14
ALONE = "plain"


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the options of each row, the plain path first."""
    for kind in ("P-256", "X25519"):
        key = jwk.generate(kind)
        jwk.write_new(folder / f"{kind}.pub.jwk", jwk.public_of(key))
    public = [str(folder / f"{kind}.pub.jwk") for kind in ("P-256", "X25519")]
    jwk.write_new(folder / "log.key.jwk", jwk.generate("Ed25519"))
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
        "evidence and sign_key": signed,
        "evidence, sign_key and encrypt_to": {"encrypt_to": public[0], **signed},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--events", type=int, default=300, help="of each row in a round")
    parser.add_argument("--rounds", type=int, default=41)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(_table(folder, rows(folder), given.events, given.rounds))


def _table(folder: Path, options: dict[str, dict[str, Any]], count: int, rounds: int) -> str:
    paths = {name: folder / f"{index}.jsonl" for index, name in enumerate(options)}
    ways = {
        name: _way(paths[name], each, index) for index, (name, each) in enumerate(options.items())
    }
    made = [_answer() if index % 2 else _prompt() for index in range(count)]
    for way in ways.values():
        way(made[:2])
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way(made)
            taken[name].append((time.process_time() - began) / count * 1e6)
    head = f"{'':36}{'us an event':>18}{'beyond':>10}{'times':>8}{'bytes':>8}{'times':>8}"
    return "\n".join([head, *(_row(name, taken, paths) for name in ways)])


def _row(name: str, taken: dict[str, list[float]], paths: dict[str, Path]) -> str:
    us, plain = statistics.median(taken[name]), statistics.median(taken[ALONE])
    size, plain_size = _size(paths[name]), _size(paths[ALONE])
    shown = f"{us:.1f} ({min(taken[name]):.1f})"
    more = "" if name == ALONE else f"{us - plain:.1f}"
    return f"{name:36}{shown:>18}{more:>10}{us / plain:>8.2f}{size:>8.0f}{size / plain_size:>8.2f}"


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
