"""
What becomes of events when something goes wrong: the same faults for this package and for others.

    python benchmarks/faults.py [WORD ...]

Prints one table, of the scenarios whose names contain one of the words. See README.md beside this
file for what rows and columns mean.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fault_contenders import CONTENDERS, ID
from fault_scenarios import RUN_MAY_TAKE_S, SCENARIOS, TESTS, Scenario


AT_ONCE = 2
PLAYER = Path(__file__).with_name("fault_scenarios.py")


@dataclasses.dataclass
class Outcome:
    """The figures of one row."""

    rounds: int
    events: int
    refused: int
    lost: int
    glued: int
    torn: int
    raised: int
    hung: int
    twice: int


def outcome(folder: Path, contender: Any) -> Outcome:
    """Compare what the callers noted down with what is in the files."""
    notes = [line.split(" ", 1) for line in (folder / "notes").read_text().splitlines()]
    failed = [what for kind, what in notes if kind == "failed"]
    if failed:
        raise RuntimeError(failed[0])
    accepted = {event_id for kind, event_id in notes if kind == "accepted"}
    number = Counter(kind for kind, _ in notes)
    found: Counter[str] = Counter()
    broken = []
    for line in lines(folder):
        event_id = whole(line, contender)
        if event_id is None:
            broken.append({each.decode() for each in ID.findall(line)})
        else:
            found[event_id] += 1
    missing = {each for each in accepted if not found[each]}
    glued = sum(1 for ids in broken if ids & missing)
    return Outcome(
        rounds=number["round"],
        events=number["accepted"] + number["refused"] + number["raised"],
        refused=number["refused"],
        lost=number["accepted"] - len(accepted) + len(missing),
        glued=glued,
        torn=len(broken) - glued,
        raised=number["raised"],
        hung=number["hung"],
        twice=sum(1 for each in accepted if found[each] > 1),
    )


def lines(folder: Path) -> Iterator[bytes]:
    """All lines of all files of a run, but for empty ones."""
    for path in folder.rglob("*"):
        if path.is_file() and ("log" in path.name or path.name.startswith("collected")):
            with open(path, "rb") as file:
                yield from (line for line in file if line.strip())


def whole(line: bytes, contender: Any) -> str | None:
    """The id of the event that a line is, if it is strict JSON and nothing else."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    try:
        event = json.loads(line.decode(), parse_constant=refuse, object_pairs_hook=once)
        json.dumps(event, ensure_ascii=False).encode()  # no lone surrogates
        return str(contender.id_of(event))
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def measure(name: str, contender: str, shim: Path | None) -> Outcome:
    """Run a scenario in a session of its own, which is killed when it takes too long."""
    with tempfile.TemporaryDirectory() as made:
        folder, switch = Path(made, "run"), Path(made, "switch")
        folder.mkdir()
        switch.write_bytes(bytes(32 + 4096))
        environ = {**os.environ, "FAULTS": str(switch), "PYTHONWARNINGS": "ignore"}
        if SCENARIOS[name].needs_shim:
            environ["LD_PRELOAD"] = str(shim)
        command = [sys.executable, PLAYER, name, contender, str(folder)]
        process = subprocess.Popen(
            command, env=environ, start_new_session=True, stderr=subprocess.PIPE, text=True
        )
        hangs = False
        try:
            _, printed = process.communicate(timeout=RUN_MAY_TAKE_S)
        except subprocess.TimeoutExpired:
            hangs = True
            os.killpg(process.pid, signal.SIGKILL)
            _, printed = process.communicate()
        finally:
            if os.path.ismount(folder / "disk"):
                subprocess.run(["umount", "-l", folder / "disk"], check=False)
        if not hangs and process.returncode:
            raise RuntimeError(printed[-2000:])
        figures = outcome(folder, CONTENDERS[contender])
        figures.hung += hangs
        return figures


def compiled(folder: Path) -> Path | None:
    """The library that lets system calls fail, if there is a compiler."""
    compiler, made = shutil.which("gcc"), folder / "shim.so"
    if compiler is None:
        return None
    source = TESTS / "storage" / "shim.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


def why_not(scenario: Scenario, shim: Path | None) -> str:
    if scenario.needs_shim and shim is None:
        return "needs gcc"
    if scenario.needs_root and os.geteuid() != 0:
        return "needs root"
    return ""


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def main(words: list[str]) -> None:
    """Run everything and print the table."""
    present = {name: each for name, each in CONTENDERS.items() if all(map(version, each.packages))}
    notes = [f"{name} is not installed" for name in CONTENDERS if name not in present]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        shim = compiled(Path(folder))
        wanted = [name for name in SCENARIOS if not words or any(word in name for word in words)]
        left_out = {name: why_not(SCENARIOS[name], shim) for name in wanted}
        notes += [f"{name}: {why}" for name, why in left_out.items() if why]
        rows = {
            (name, contender): pool.submit(measure, name, contender, shim)
            for name in wanted
            if not left_out[name]
            for contender in present
        }
        columns = [field.name for field in dataclasses.fields(Outcome)]
        print("| scenario |", "contender |", " | ".join(columns), "|")
        print("|---|---|" + "--:|" * len(columns))
        for (name, contender), row in rows.items():
            shown = name if contender == next(iter(present)) else ""
            try:
                figures = [f"{figure:,}" for figure in dataclasses.astuple(row.result())]
            except Exception as error:
                notes.append(f"{name}, {contender}: {error}")
            else:
                print(f"| {shown} | {contender} |", " | ".join(figures), "|", flush=True)
    packages = sorted({name for each in present.values() for name in each.packages})
    print("", *(f"Left out: {note}" for note in notes), sep="\n")
    print(f"CPython {platform.python_version()};", ", ".join(f"{x} {version(x)}" for x in packages))
    print(f"{platform.system()} {platform.release()}, {os.cpu_count()} processors,", end=" ")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
