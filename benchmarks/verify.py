"""
How fast logs are verified, in MB/s of their uncompressed bytes, and in how much memory.

    python benchmarks/verify.py

A log of events of 1.4 KB each is written with links and checkpoints that are signed, and verified
several times, plain and compressed; the figures are the medians of the rounds, the best one in brackets.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time

from pathlib import Path

import hilt_logging

from hilt_logging.custody import verify
from hilt_logging.safeguards.jwk import generate, public_of, write_new


ROUNDS = 5
TEXT = (
    "The committee met on Tuesday to discuss the proposal, which had been revised since then. " * 9
)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast logs are verified.")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--folder", default=None, help="where the log is written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        key = generate("Ed25519")
        private, public = Path(folder, "e.key.jwk"), Path(folder, "e.pub.jwk")
        write_new(private, key)
        write_new(public, public_of(key))
        path = Path(folder, "app.jsonl")
        _write(path, private, given.events)
        size = path.stat().st_size
        print(
            f"{given.events:,} events, {size / given.events:,.0f} bytes each, {size / 1e6:,.0f} MB"
        )
        print(f"{'plain':10}{_time(path, public, size)}")
        packed = Path(folder, "packed.jsonl.gz")
        with gzip.open(packed, "wb", 6) as file, open(path, "rb") as source:
            shutil.copyfileobj(source, file)
        print(f"{'gzip':10}{_time(packed, public, size)}")


def _write(path: Path, key: Path, count: int) -> None:
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = hilt_logging.HILTFileHandler(path, evidence=True, sign_key=key)
    logger.addHandler(handler)
    for number in range(count):
        hilt_logging.emit(
            {
                "session_id": "conv-42",
                "actor": {"type": "agent", "id": "assistant"},
                "action": "completion",
                "content": {"text": f"{number}: {TEXT}"},
                "provenance": {"provider": "openai", "model": "gpt-4o-mini"},
                "metrics": {"latency_ms": 812, "tokens": {"prompt": 12, "completion": 34}},
            }
        )
    logger.removeHandler(handler)
    handler.close()


def _time(path: Path, key: Path, size: int) -> str:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        rates, of_cpu, before, most = pool.apply(_rates, (path, key, size))
    row = f"{statistics.median(rates):8,.0f} MB/s  ({max(rates):,.0f})"
    row += f"   {statistics.median(of_cpu):,.0f} MB for a second of CPU"
    return f"{row}   {most:,.0f} MB of memory, {most - before:,.0f} of them for it"


def _rates(path: Path, key: Path, size: int) -> tuple[list[float], list[float], float, float]:
    """The rates in a process of its own, by the clock and by CPU time, and its memory before and most."""
    before, rates, of_cpu = _memory(), [], []
    for _ in range(ROUNDS):
        begin, cpu = time.perf_counter(), time.process_time()
        verdict = verify(path, public_keys=[key])
        rates.append(size / 1e6 / (time.perf_counter() - begin))
        of_cpu.append(size / 1e6 / (time.process_time() - cpu))
        if verdict.exit_code:
            raise SystemExit(f"not verified: {verdict.first}")
    return rates, of_cpu, before, _memory()


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
