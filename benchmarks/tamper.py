"""
What becomes of a log of 200 lines when somebody changes it: is it found, and is its line named?

    python benchmarks/tamper.py [--quick] [--sealed]

The log is written by `HILTFileHandler` with `evidence=True` and a key that signs, or with `--sealed` one
that seals, and every manipulation is made to every one of its lines; a bit is flipped at each of its bits,
one by one (several minutes; `--quick` takes one bit of each byte). A sealed log is also changed by
somebody who has the host, with the key that is there. A second table has what happens to logs that nobody
tampers with. For each, a log is verified as a user would, and the exit code and the first finding are held
against what was done.
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
from typing import Any

import hilt_logging

from hilt_logging.custody import prune, rewrite, verify
from hilt_logging.safeguards import chain, sealing
from hilt_logging.safeguards.jwk import generate, public_of, write_new


LINES = 200
Case = tuple[bytes, int, tuple[str, ...]]

_work = Path()
_checks: dict[str, Any] = {}


class Keys:
    """
    The folder of the logs and of their keys.

    Args:
        folder: The folder.
        is_sealed: Whether logs are sealed, rather than signed.
    """

    def __init__(self, folder: Path, is_sealed: bool) -> None:
        self.folder = folder
        self.is_sealed = is_sealed
        key = generate("Ed25519")
        write_new(folder / "e.key.jwk", key)
        write_new(folder / "e.pub.jwk", public_of(key))

    def writing(self, name: str) -> dict[str, Any]:
        """Return the options of the handler of a log."""
        if not self.is_sealed:
            return {"evidence": True, "sign_key": self.folder / "e.key.jwk"}
        state = self.folder / f"{name}.seal"
        if not state.exists():
            key = sealing.generate()
            sealing.write_new(str(state), key)
            (self.folder / f"{name}.first.jwk").write_bytes(key.text())
        return {"evidence": "sealed", "seal_key": state}

    def changing(self, name: str) -> dict[str, Any]:
        """Return what those need who change a log by statement."""
        sealed = {"seal_key": self.folder / f"{name}.seal"} if self.is_sealed else {}
        return {"sign_key": self.folder / "e.key.jwk", **sealed}

    def checking(self, name: str) -> dict[str, Any]:
        """Return the options of the verification of a log."""
        state = self.folder / f"{name}.seal"
        sealed = {"seal_keys": [self.folder / f"{name}.first.jwk", state]} if self.is_sealed else {}
        return {"public_keys": [self.folder / "e.pub.jwk"], **sealed}


def main() -> None:
    parser = argparse.ArgumentParser(description="What becomes of a log when somebody changes it.")
    parser.add_argument("--quick", action="store_true", help="one bit of each byte")
    parser.add_argument("--sealed", action="store_true", help="a sealed log, not a signed one")
    parser.add_argument("--folder", default=None, help="where the logs are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        keys = Keys(Path(folder), given.sealed)
        _tampering(keys, given.quick)
        _innocence(keys)


# Tampering.


def _tampering(keys: Keys, quick: bool) -> None:
    data = _log_of_lines(keys)
    lines = data.splitlines(keepends=True)
    print(f"{len(lines)} lines, {len(data):,} bytes, {len(data) * 8:,} bits; closed")
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
    if keys.is_sealed:
        key = sealing.SealFile(str(keys.folder / "lines.seal")).read()[0]
        cases |= {
            "the end is cut off": _ended(lines),
            "a line is changed, all sealed anew": _resealed(lines, key, 0),
            "... by the numbers of old seals": _resealed(lines, key, 2),
            "... a line is deleted": _resealed(lines, key, 0, deletes=True),
        }
    checks = keys.checking("lines")
    with multiprocessing.Pool(initializer=_begin, initargs=(keys.folder, checks)) as pool:
        for name, some in cases.items():
            begin = time.perf_counter()
            counts = sum(pool.imap_unordered(_judged, some, 200), Counter[str]())
            row = "".join(f"{counts[each]:10,}" for each in ("tried", "found", "line", "kind"))
            print(f"{name:34}{row}{time.perf_counter() - begin:8.0f}", flush=True)
    print(f"{'a rotated file is deleted':34}{_dropped(keys)}")


def _begin(folder: Path, checks: dict[str, Any]) -> None:
    global _work
    _work = folder / f"{os.getpid()}.jsonl"
    _checks.update(checks)


def _judged(case: Case) -> Counter[str]:
    data, line, kinds = case
    _work.write_bytes(data)
    verdict = verify(_work, **_checks)
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
            yield bytes(changed), line, ("altered", "bad signature", "bad seal")
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


def _ended(lines: list[bytes]) -> Iterator[Case]:
    for index in range(1, len(lines)):
        yield b"".join(lines[:index]), index, ("cut off",)


def _resealed(
    lines: list[bytes], key: sealing.SealKey, back: int, *, deletes: bool = False
) -> Iterator[Case]:
    """What somebody makes of the log who has the key that is there: all links and seals anew."""
    for index in range(1, len(lines) - 1):
        some = [line.replace(b"Hello", b"HELLO") for line in lines[index:]]
        out, now, seal_at = lines[:index], key, 0
        for line in some[1:] if deletes else some:
            found = chain.link_of(line[:-1])
            assert found is not None
            prev = chain.sha256(out[-1][:-1])
            made = chain.link(line[: found.begin] + b"}", found.chain, len(out), prev)
            if found.seal is not None:
                made = now.seal(made)
                seal = chain.link_of(made).seal  # type: ignore[union-attr]
                assert seal is not None
                seal = seal._replace(number=seal.number - back)
                made = chain.seal(chain.with_seal(chain.without_seal(made), seal), None)
                now, seal_at = now.next(), seal_at or len(out) + 1
            out = [*out, made + b"\n"]
        yield b"".join(out), seal_at, ("seals missing", "bad seal")


def _dropped(keys: Keys) -> str:
    counts = Counter[str]()
    begin = time.perf_counter()
    folder = _written(keys, "dropped", 200, max_bytes=10_000)
    for path in sorted(folder.glob("app.jsonl.*")):
        aside = path.with_name(f".{path.name}")
        path.rename(aside)
        verdict = verify(folder / "app.jsonl", **keys.checking("dropped"))
        first = verdict.first
        found = verdict.exit_code == 1 and first is not None
        counts.update(
            tried=1, found=found, line=found, kind=found and first and first.kind == "file missing"
        )
        aside.rename(path)
    row = "".join(f"{counts[each]:10,}" for each in ("tried", "found", "line", "kind"))
    return f"{row}{time.perf_counter() - begin:8.0f}"


# Logs that nobody tampers with.


def _innocence(keys: Keys) -> None:
    print()
    print(f"{'not tampering':34}{'exit code':>10}   told")
    for name, make in INNOCENT.items():
        folder = make(keys)
        verdict = verify(folder / "app.jsonl", **keys.checking(folder.name))
        told = ", ".join(f"{count} {kind}" for kind, count in verdict.counts.items())
        print(f"{name:34}{verdict.exit_code:10}   {told or 'nothing'}")


def _rotated(keys: Keys) -> Path:
    return _written(keys, "rotated", 500, max_bytes=20_000, compress="gzip")


def _shared(keys: Keys) -> Path:
    pids = []
    for _ in range(4):
        pids.append(os.fork())
        if pids[-1] == 0:
            _written(keys, "shared", 500, max_bytes=20_000)
            os._exit(0)
    for pid in pids:
        os.waitpid(pid, 0)
    return keys.folder / "shared"


def _killed(keys: Keys) -> Path:
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            _written(keys, "killed", 1_000_000, max_bytes=100_000)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with open(keys.folder / "killed" / "app.jsonl", "ab") as file:
            file.write(b'{"hilt_version":"1.0.0","event_id":"0194c2f0')
    return _written(keys, "killed", 5)


def _retained(keys: Keys) -> Path:
    folder = keys.folder
    for _ in range(3):
        folder = _written(keys, "retained", 200, max_bytes=10_000, backup_count=3)
    return folder


def _pruned(keys: Keys) -> Path:
    folder = _written(keys, "pruned", 200, max_bytes=10_000)
    prune(folder / "app.jsonl", timedelta(0), **keys.changing("pruned"))
    return folder


def _rewritten(keys: Keys) -> Path:
    folder = _written(keys, "rewritten", 200, max_bytes=10_000)
    rewrite(folder / "app.jsonl", "user-3", by="dpo", **keys.changing("rewritten"))
    return folder


INNOCENT: dict[str, Callable[[Keys], Path]] = {
    "rotated and compressed": _rotated,
    "rotated by 4 processes": _shared,
    "10 times killed amid a line": _killed,
    "deleted by backup_count": _retained,
    "deleted by prune": _pruned,
    "one of 7 persons erased by rewriting": _rewritten,
}


# Writing.


def _log_of_lines(keys: Keys) -> bytes:
    """The lines of a log: one that opens it, events, a checkpoint at 100, and one that closes it."""
    folder = _written(keys, "lines", LINES - 3, checkpoint_every=100)
    return (folder / "app.jsonl").read_bytes()


def _written(keys: Keys, name: str, count: int, **options: Any) -> Path:
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = hilt_logging.HILTFileHandler(
        keys.folder / name / "app.jsonl", **keys.writing(name), **options
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
    return keys.folder / name


if __name__ == "__main__":
    main()
