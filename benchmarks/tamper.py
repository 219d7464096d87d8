"""
What becomes of a log of 200 lines when somebody changes it: is it found, and is its line named?

    python benchmarks/tamper.py

The log is written by `HILTFileHandler` with `evidence=True` and a key, and every manipulation is made
to every one of its lines; a bit is flipped at each of its bits, one by one (several minutes; `--quick`
takes one bit of each byte). A second table has what happens to logs that nobody tampers with. For
each, a log is verified as a user would, and the exit code and the first finding are held against what
was done.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import signal
import tempfile
import time

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import hilt_logging

from hilt_logging.custody import prune, rewrite, verify
from hilt_logging.safeguards.jwk import JWK, generate, load_public, public_of, write_new


LINES = 200
Case = tuple[bytes, int, tuple[str, ...]]

_work = Path()
_key: JWK | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description="What becomes of a log when somebody changes it.")
    parser.add_argument("--quick", action="store_true", help="one bit of each byte")
    parser.add_argument("--folder", default=None, help="where the logs are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        keys = Path(folder)
        key = generate("Ed25519")
        write_new(keys / "e.key.jwk", key)
        write_new(keys / "e.pub.jwk", public_of(key))
        _tampering(keys, given.quick)
        _innocence(keys)


# Tampering.


def _tampering(keys: Path, quick: bool) -> None:
    data = _log_of_lines(keys)
    lines = data.splitlines(keepends=True)
    print(f"{len(lines)} lines, {len(data):,} bytes, {len(data) * 8:,} bits; signed, closed")
    print(f"{'':34}{'tried':>10}{'found':>10}{'line':>10}{'kind':>10}{'s':>8}")
    cases: dict[str, Iterable[Case]] = {
        "a bit is flipped": _flipped(data, quick),
        "a line is deleted": _deleted(lines),
        "a line changes places with the next": _swapped(lines),
        "a line is moved 20 lines down": _moved(lines),
        "a line stands twice": _repeated(lines),
        "a line is cut in its middle": _cut(lines),
        "... with its newline": _cut(lines, 1),
        "a line of somebody else is added": _added(lines),
        "a line gets another one's link": _copied(lines),
    }
    with multiprocessing.Pool(initializer=_begin, initargs=(keys,)) as pool:
        for name, some in cases.items():
            begin = time.perf_counter()
            counts = sum(pool.imap_unordered(_judged, some, 200), Counter[str]())
            row = "".join(f"{counts[each]:10,}" for each in ("tried", "found", "line", "kind"))
            print(f"{name:34}{row}{time.perf_counter() - begin:8.0f}", flush=True)
    print(f"{'a rotated file is deleted':34}{_dropped(keys)}")


def _begin(keys: Path) -> None:
    global _work, _key
    _work = keys / f"{os.getpid()}.jsonl"
    _key = load_public("key", keys / "e.pub.jwk", ["Ed25519"])


def _judged(case: Case) -> Counter[str]:
    data, line, kinds = case
    assert _key is not None
    _work.write_bytes(data)
    verdict = verify(_work, public_keys=[_key])
    first = verdict.first
    found = verdict.exit_code == 1 and first is not None
    return Counter(
        tried=1,
        found=found,
        line=found and first is not None and first.line == line,
        kind=found and first is not None and first.kind in kinds,
    )


def _flipped(data: bytes, quick: bool) -> Iterator[Case]:
    line, chance = 1, random.Random(0)
    for place, byte in enumerate(data):
        for bit in [chance.randrange(8)] if quick else range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            yield bytes(changed), line, ("altered", "bad signature")
        line += byte == 0x0A


def _deleted(lines: list[bytes]) -> Iterator[Case]:
    for index in range(1, len(lines) - 1):
        yield b"".join(lines[:index] + lines[index + 1 :]), index + 1, ("missing",)


def _swapped(lines: list[bytes]) -> Iterator[Case]:
    for index in range(1, len(lines) - 1):
        changed = list(lines)
        changed[index : index + 2] = changed[index + 1], changed[index]
        yield b"".join(changed), index + 1, ("moved",)


def _moved(lines: list[bytes]) -> Iterator[Case]:
    for index in range(1, len(lines) - 21):
        changed = list(lines)
        changed.insert(index + 20, changed.pop(index))
        yield b"".join(changed), index + 1, ("moved",)


def _repeated(lines: list[bytes]) -> Iterator[Case]:
    for index in range(len(lines)):
        yield b"".join([*lines[: index + 1], *lines[index:]]), index + 2, ("repeated",)


def _cut(lines: list[bytes], more: int = 0) -> Iterator[Case]:
    for index in range(len(lines) - 1):
        line = lines[index]
        left = line[: len(line) // 2] + b"\n"[more:]
        yield b"".join([*lines[:index], left, *lines[index + 1 :]]), index + 1, ("altered",)


def _added(lines: list[bytes]) -> Iterator[Case]:
    for index in range(len(lines) + 1):
        added = b'{"hilt_version":"1.0.0","action":"prompt"}\n'
        yield b"".join([*lines[:index], added, *lines[index:]]), index + 1, ("foreign",)


def _copied(lines: list[bytes]) -> Iterator[Case]:
    for index in range(1, len(lines) - 1):
        begin = lines[index].index(b',"integrity":')
        added = b'{"action":"prompt"' + lines[index][begin:]
        changed = b"".join([*lines[: index + 1], added, *lines[index + 1 :]])
        yield changed, index + 2, ("foreign", "chain forked", "bad signature")


def _dropped(keys: Path) -> str:
    counts = Counter[str]()
    begin = time.perf_counter()
    folder = _written(keys, "dropped", 200, max_bytes=10_000)
    for path in sorted(folder.glob("app.jsonl.*")):
        aside = path.with_name(f".{path.name}")
        path.rename(aside)
        verdict = verify(folder / "app.jsonl", public_keys=[keys / "e.pub.jwk"])
        first = verdict.first
        found = verdict.exit_code == 1 and first is not None
        counts.update(
            tried=1, found=found, line=found, kind=found and first and first.kind == "file missing"
        )
        aside.rename(path)
    row = "".join(f"{counts[each]:10,}" for each in ("tried", "found", "line", "kind"))
    return f"{row}{time.perf_counter() - begin:8.0f}"


# Logs that nobody tampers with.


def _innocence(keys: Path) -> None:
    print()
    print(f"{'not tampering':34}{'exit code':>10}   told")
    for name, make in INNOCENT.items():
        folder = make(keys)
        verdict = verify(folder / "app.jsonl", public_keys=[keys / "e.pub.jwk"])
        told = ", ".join(f"{count} {kind}" for kind, count in verdict.counts.items())
        print(f"{name:34}{verdict.exit_code:10}   {told or 'nothing'}")


def _rotated(keys: Path) -> Path:
    return _written(keys, "rotated", 500, max_bytes=20_000, compress="gzip")


def _shared(keys: Path) -> Path:
    pids = []
    for _ in range(4):
        pids.append(os.fork())
        if pids[-1] == 0:
            _written(keys, "shared", 500, max_bytes=20_000)
            os._exit(0)
    for pid in pids:
        os.waitpid(pid, 0)
    return keys / "shared"


def _killed(keys: Path) -> Path:
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            _written(keys, "killed", 1_000_000, max_bytes=100_000)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with open(keys / "killed" / "app.jsonl", "ab") as file:
            file.write(b'{"hilt_version":"1.0.0","event_id":"0194c2f0')
    return _written(keys, "killed", 5)


def _retained(keys: Path) -> Path:
    folder = keys
    for _ in range(3):
        folder = _written(keys, "retained", 200, max_bytes=10_000, backup_count=3)
    return folder


def _pruned(keys: Path) -> Path:
    folder = _written(keys, "pruned", 200, max_bytes=10_000)
    prune(folder / "app.jsonl", timedelta(0), sign_key=keys / "e.key.jwk")
    return folder


def _rewritten(keys: Path) -> Path:
    folder = _written(keys, "rewritten", 200, max_bytes=10_000)
    rewrite(folder / "app.jsonl", "user-3", by="dpo", sign_key=keys / "e.key.jwk")
    return folder


INNOCENT: dict[str, Callable[[Path], Path]] = {
    "rotated and compressed": _rotated,
    "rotated by 4 processes": _shared,
    "10 times killed amid a line": _killed,
    "deleted by backup_count": _retained,
    "deleted by prune": _pruned,
    "one of 7 persons erased by rewriting": _rewritten,
}


# Writing.


def _log_of_lines(keys: Path) -> bytes:
    """The lines of a log: one that opens it, events, a checkpoint at 100, and one that closes it."""
    folder = _written(keys, "lines", LINES - 3, checkpoint_every=100)
    return (folder / "app.jsonl").read_bytes()


def _written(keys: Path, name: str, count: int, **options: object) -> Path:
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = hilt_logging.HILTFileHandler(
        keys / name / "app.jsonl",
        evidence=True,
        sign_key=keys / "e.key.jwk",
        **options,  # type: ignore[arg-type]
    )
    logger.addHandler(handler)
    for number in range(count):
        hilt_logging.emit(
            {
                "session_id": f"conv-{number % 7}",
                "actor": {"type": "human", "id": f"user-{number % 7}"},
                "action": "prompt",
                "content": {"text": f"Hello {number}"},
            }
        )
    logger.removeHandler(handler)
    handler.close()
    return keys / name


if __name__ == "__main__":
    main()
