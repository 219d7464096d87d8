"""
Everything that can go wrong for a log, at random and for as long as one likes; nothing may be lost.

    python benchmarks/soak.py [--minutes 10 | --seconds 30] [--processes 4] [--threads 3]

Prints one table; the exit code is not 0 if an event was lost, glued to another or written twice, if
a call raised, or if a thread, a process or a forked child hung. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import gzip
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from soak_writer import ACCEPTED, FORKS, HUNG, RAISED, REFUSED, SIGNALS, TOLD, UNHEARD, WITHIN

from hilt_logging import Event, InvalidEventError


WRITER = Path(__file__).with_name("soak_writer.py")
DISK_MIB = 64
OPTIONS = {"max_bytes": 400_000, "compress": "gzip"}
SILENT_S = 30.0
END_MAY_TAKE_S = 30.0
TRIED_AGAIN_S = 1.0
FULL_S = 1.0
KILL_EVERY_S, STOP_EVERY_S, RENAME_EVERY_S, FULL_EVERY_S = 3.0, 7.0, 5.0, 10.0
WARM_S = 5.0
SERIAL = re.compile(rb'"text": ?"(\d+)\.(\d+)\.(\d+) ')
BEGINNING = b'"hilt_version"'


class Numbers:
    """One byte for each event of each stream of each writer."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[int, int], bytearray] = {}

    def __getitem__(self, key: tuple[int, int, int]) -> int:
        found = self._bytes.get(key[:2], b"")
        return found[key[2]] if key[2] < len(found) else 0

    def __setitem__(self, key: tuple[int, int, int], value: int) -> None:
        found = self._bytes.setdefault(key[:2], bytearray())
        if key[2] >= len(found):
            found.extend(bytes(key[2] + 1024 - len(found)))
        found[key[2]] = value

    def items(self) -> Iterator[tuple[tuple[int, int, int], int]]:
        """Yield what is not 0."""
        for (writer, stream), values in self._bytes.items():
            for number, value in enumerate(values):
                if value:
                    yield (writer, stream, number), value


class Telling:
    """Hears what the writers tell, in a thread."""

    def __init__(self) -> None:
        self._reading, self.out = os.pipe()
        os.set_inheritable(self.out, True)
        self.fates = Numbers()
        self.counts: Counter[int] = Counter()
        self.heard_at: dict[tuple[int, int], float] = {}
        self.begun_at: dict[tuple[int, int, int], float] = {}
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        while data := os.read(self._reading, TOLD.size * 2048):
            now = time.monotonic()
            for what, stream, writer, number, when in TOLD.iter_unpack(data):
                self.heard_at[writer, stream] = now
                self.counts[what] += 1
                if what != HUNG:
                    self.fates[writer, stream, number] = what
                if stream in (SIGNALS, FORKS):
                    self.begun_at[writer, stream, number] = when

    def end(self) -> bool:
        """Hear all that is left; return whether somebody still holds the pipe."""
        os.close(self.out)
        self._thread.join(END_MAY_TAKE_S)
        return self._thread.is_alive()


class Files:
    """
    Reads the files of the log, those that nobody writes to any more as soon as there are some.

    Attributes:
        seen: How often each event was found as a whole line.
        fragments: Lines that are no events.
        compressed: Files that were rotated and compressed.
        renamed: Files that were renamed from outside.
        notices: What notices say was lost.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen = Numbers()
        self.fragments = self.compressed = self.renamed = self.notices = 0
        self._doubtful: list[tuple[int, int, int]] = []

    def take_finished(self) -> None:
        """Read and delete what nobody writes to any more."""
        for name in sorted(os.listdir(self._folder)):
            path = self._folder / name
            if name.endswith(".gz") and not path.with_suffix("").exists():
                self._take(path)
                self.compressed += 1
            elif name.startswith("outside."):
                self._take_unused(path)

    def _take_unused(self, path: Path) -> None:
        """Take a file if no process has it open: those that do have a shared lock on it."""
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._take(path)
            self.renamed += 1

    def take_all(self) -> None:
        """Read all that is left, once nobody writes any more."""
        names = {name.removesuffix(".gz") for name in os.listdir(self._folder)}
        for name in sorted(names):
            path = self._folder / name
            if not name.startswith(".") and path.suffix != ".part" and name != "filler":
                self._take(path if path.exists() else path.with_name(f"{name}.gz"))

    def _take(self, path: Path) -> None:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file.read().split(b"\n"):
                if line:
                    self._read(line)
        path.unlink()

    def _read(self, line: bytes) -> None:
        try:
            event = Event.from_json(line)
        except InvalidEventError:
            self.fragments += 1
            if line.count(BEGINNING) > 1 and (found := SERIAL.findall(line)):
                writer, stream, number = map(int, found[-1])
                self._doubtful.append((writer, stream, number))
            return
        if event.action == "system":
            self.notices += (event.extensions or {})["notice"]["dropped"]
            return
        assert event.content is not None
        assert event.content.text is not None
        writer, stream, number = map(int, event.content.text.split(" ", 1)[0].split("."))
        self.seen[writer, stream, number] += 1

    def glued(self) -> int:
        """Return how many events stand on another one's line and nowhere else."""
        return sum(not self.seen[each] for each in self._doubtful)


class Disk:
    """
    A disk that is full now and then.

    Root has a small tmpfs, which is filled; others limit how large a file each writer may make.

    Attributes:
        episodes: When it was full, until a second after there was space again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "log"
        self.folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(self.folder)]
        self.is_mounted = (
            os.geteuid() == 0
            and shutil.which("mount") is not None
            and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        )
        self.episodes: list[tuple[float, float]] = []
        self._begun = 0.0

    @property
    def is_full(self) -> bool:
        """Whether it is full now."""
        return self._begun > 0

    def fill(self, log: Path, pids: Sequence[int]) -> None:
        """Fill it; or let no file grow much larger than the log is now."""
        self._begun = time.monotonic()
        if self.is_mounted:
            with (self.folder / "filler").open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(1 << 20))
                except OSError:
                    return
        most = (log.stat().st_size if log.exists() else 0) + random.randrange(5_000)
        for pid in pids:
            _limit(pid, most)

    def free(self, pids: Sequence[int]) -> None:
        """Make space again."""
        if self.is_mounted:
            (self.folder / "filler").unlink(missing_ok=True)
        else:
            for pid in pids:
                _limit(pid, None)
        self.episodes.append((self._begun, time.monotonic() + TRIED_AGAIN_S))
        self._begun = 0.0

    def was_full(self, when: float) -> bool:
        """Whether an event of that time may have been dropped."""
        return any(begun <= when <= end for begun, end in self.episodes)

    def close(self) -> None:
        """Unmount it."""
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


def _limit(pid: int, most: int | None) -> None:
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if most is None else most, hard))
    except ProcessLookupError:
        return


@dataclasses.dataclass
class Size:
    """What a process holds."""

    memory_mib: float
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Size:
        """Return what a process holds now."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(pages * resource.getpagesize() / 2**20, len(os.listdir(f"/proc/{pid}/fd")))


class Soak:
    """
    Writers, and what happens to them.

    Args:
        options: Those of the command line.
        folder: Where everything is kept.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self.disk = Disk(folder)
        self._log = self.disk.folder / "soak.hilt.jsonl"
        self.telling, self.files = Telling(), Files(self.disk.folder)
        self.happened: Counter[str] = Counter()
        self.hung = 0
        self.first: Size | None = None
        self.last: Size | None = None
        self._born = 0
        self._begun = 0.0
        self._stopped: dict[int, float] = {}
        self._writers: dict[int, subprocess.Popen[bytes]] = {}
        for _ in range(options.processes):
            self._bear()

    def _bear(self) -> None:
        values = (self._log, self._born, self._options.threads, self._options.rate)
        command = [sys.executable, "-W", "ignore", str(WRITER), *map(str, values)]
        self._writers[self._born] = subprocess.Popen(
            [*command, str(self.telling.out), json.dumps(OPTIONS)],
            stdin=subprocess.PIPE,
            pass_fds=[self.telling.out],
        )
        for stream in range(self._options.threads):
            self.telling.heard_at[self._born, stream] = time.monotonic()
        self._born += 1

    def run(self, seconds: float) -> None:
        """Let things happen for so long, then end in order and read what is left."""
        begun = self._begun = time.monotonic()
        happenings = {
            each: [begun + min(every, seconds / 4), every]
            for each, every in (
                (self._kill, KILL_EVERY_S),
                (self._stop, STOP_EVERY_S),
                (self._rename, RENAME_EVERY_S),
                (self._fill, FULL_EVERY_S),
                (self._look, 1.0),
            )
        }
        full_until = 0.0
        while time.monotonic() < begun + seconds:
            now = time.monotonic()
            for happening, due in happenings.items():
                if now >= due[0]:
                    due[0] = now + min(random.uniform(0.5, 1.5) * due[1], seconds / 4)
                    self.happened[happening.__name__] += 1
                    happening()
                    if happening == self._fill:
                        full_until = now + min(FULL_S, seconds / 20)
            if self.disk.is_full and now >= full_until:
                self.disk.free(self._pids())
            self._continue(now)
            self._measure(now - begun)
            time.sleep(0.05)
        self._end()

    def _pids(self) -> list[int]:
        return [each.pid for each in self._writers.values()]

    def _one(self, *, but_the_first: bool = False) -> int | None:
        numbers = [number for number in self._writers if number or not but_the_first]
        return random.choice(numbers) if numbers else None

    def _kill(self) -> None:
        """Kill any writer but the first, whose size is measured, and put another in its place."""
        number = self._one(but_the_first=True)
        if number is not None:
            self._bury(number, signal.SIGKILL)
            self._bear()

    def _bury(self, number: int, by: signal.Signals) -> None:
        writer = self._writers.pop(number)
        self._stopped.pop(number, None)
        writer.send_signal(signal.SIGCONT)
        writer.send_signal(by)
        writer.wait()
        assert writer.stdin is not None
        writer.stdin.close()

    def _stop(self) -> None:
        number = self._one()
        if number is not None and number not in self._stopped:
            self._writers[number].send_signal(signal.SIGSTOP)
            self._stopped[number] = time.monotonic() + random.choice((0.05, 0.5, 3.0))

    def _continue(self, now: float) -> None:
        for number, until in list(self._stopped.items()):
            if now >= until:
                self._writers[number].send_signal(signal.SIGCONT)
                del self._stopped[number]

    def _rename(self) -> None:
        """Rotate as others do: rename, and perhaps create."""
        if self._log.exists():
            self._log.rename(self._log.with_name(f"outside.{self.happened['_rename']}"))
            if random.random() < 0.5:
                os.close(os.open(self._log, os.O_CREAT, 0o600))

    def _fill(self) -> None:
        self.disk.fill(self._log, self._pids())

    def _look(self) -> None:
        """Read what is finished, and see whether anybody hangs or died."""
        if not self.disk.is_full:
            self.files.take_finished()
        now = time.monotonic()
        for number in list(self._writers):
            silent = any(
                now - self.telling.heard_at[number, stream] > SILENT_S
                for stream in range(self._options.threads)
            )
            died = self._writers[number].poll() is not None
            if silent or died:
                self.hung += 1
                print(f"writer {number} {'died' if died else 'hangs'}", file=sys.stderr)
                self._bury(number, signal.SIGABRT)
                self._bear()

    def _measure(self, after: float) -> None:
        first = self._writers.get(0)
        if first is not None and after >= min(WARM_S, self._options.seconds / 2):
            self.last = Size.of(first.pid)
            self.first = self.first or self.last

    def _end(self) -> None:
        if self.disk.is_full:
            self.disk.free(self._pids())
        self._continue(float("inf"))
        for writer in self._writers.values():
            assert writer.stdin is not None
            writer.stdin.close()
        until = time.monotonic() + END_MAY_TAKE_S
        for number, writer in self._writers.items():
            try:
                code = writer.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = None
                writer.send_signal(signal.SIGABRT)
                writer.wait()
            if code != 0:
                self.hung += 1
                print(f"writer {number} did not end: {code}", file=sys.stderr)
        self.hung += self.telling.end()
        self.files.take_all()

    def figures(self) -> dict[str, int | str]:
        """Return the row of the table."""
        fates, seen = self.telling.fates, self.files.seen
        counts, lost, excused = Counter(fate for _, fate in fates.items()), [], 0
        for event, fate in fates.items():
            if seen[event] or fate not in (ACCEPTED, WITHIN):
                continue
            if fate == WITHIN and self.disk.was_full(self.telling.begun_at[event]):
                excused += 1
            else:
                lost.append(event)
        for event in lost[:20]:
            begun = self.telling.begun_at.get(event)
            after = f" after {begun - self._begun:.3f} s" if begun else ""
            print(f"lost: writer, stream, number {event}{after}", file=sys.stderr)
        written = Counter((fates[event], times > 1) for event, times in seen.items())
        memory, descriptors = 0.0, 0
        if self.first and self.last:
            memory = self.last.memory_mib - self.first.memory_mib
            descriptors = self.last.descriptors - self.first.descriptors
        return {
            "accepted": counts[ACCEPTED] + counts[WITHIN],
            "written": sum(written.values()),
            "lost": len(lost),
            "glued": self.files.glued(),
            "twice": sum(times for (_, twice), times in written.items() if twice),
            "raised": counts[RAISED],
            "hung": self.hung + self.telling.counts[HUNG],
            "refused": counts[REFUSED],
            "not accepted": counts[UNHEARD],
            "dropped amid others": excused,
            "untold": written[0, False],
            "refused yet written": written[REFUSED, False],
            "fragments": self.files.fragments,
            "told as lost": self.files.notices,
            "from signals": sum(key[1] == SIGNALS for key, _ in fates.items()),
            "from forks": sum(key[1] == FORKS for key, _ in fates.items()),
            "memory growth, MiB": f"{memory:.1f}",
            "descriptors growth": descriptors,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=3, help="of each process")
    parser.add_argument("--rate", type=float, default=100.0, help="events a second and thread")
    parser.add_argument("--folder", help="where the log is, by default where temporary files are")
    options = parser.parse_args(arguments)
    options.seconds += options.minutes * 60 or (0 if options.seconds else 30)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        soak = Soak(options, Path(folder))
        try:
            soak.run(options.seconds)
            figures = soak.figures()
        finally:
            soak.disk.close()
    _print(options, soak, figures)
    return int(any(figures[each] for each in ("lost", "glued", "twice", "raised", "hung")))


def _print(options: argparse.Namespace, soak: Soak, figures: dict[str, int | str]) -> None:
    happened = soak.happened
    full = "a tmpfs" if soak.disk.is_mounted else "limits on the size of files"
    print(
        f"{options.seconds:.0f} s, {options.processes} processes with {options.threads} threads each; "
        f"{happened['_kill']} times killed, {happened['_stop']} times stopped, "
        f"{happened['_fill']} times full ({full}), {happened['_rename']} times renamed, "
        f"{soak.files.compressed} files compressed"
    )
    for name, value in figures.items():
        print(f"{name:20} {value:>10}")


if __name__ == "__main__":
    sys.exit(main())
