"""
Two processes and an outsider on one file, in any order, against a dictionary of what was accepted.

`HILT_MODEL_EXAMPLES=2000` runs so many examples, other ones each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import importlib.util
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

from collections import Counter
from pathlib import Path

import pytest

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hilt_logging import Event, InvalidEventError
from hilt_logging.safeguards import sealing


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.untraced,
]

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("HILT_MODEL_EXAMPLES", "0"))
KILL, SHORT_STOP, STOP = -2, -5, -6  # of the shim
BREAK_S = 0.7  # after failures, nothing is tried for half a second
NEVER = 1 << 30
NOBODY = 65534
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
FRAGMENTS = (b'{"hilt_version":"1.0.0","event_id":"dead', b"garbage of another program", b"\xff{")

texts = st.builds(
    lambda text, filler, times: text + filler * times,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["x", "é", "月", "😀", '"\n\\', "\u2028"]),
    st.sampled_from([0, 1, 30, 300, 1_000, 12_000]),
)
ways = st.sampled_from(["emit", "event", "log", "session"])
batches = st.lists(st.tuples(ways, texts), min_size=1, max_size=6)
anybody = st.sampled_from(["here", "there"])
parts_of_a_writer = st.sampled_from(
    [["handler"], ["session"], ["handler", "session"], ["session", "handler"]]
)


@dataclasses.dataclass(eq=False)
class Written:
    """
    What the model knows of one event.

    Attributes:
        text: Its text.
        fate: `accepted`; `counted`, where only the handler knows whether it was written; `refused`;
            `unheard`, where nobody listened; `untold`, where the writer died before it told.
        id: Its id, if the caller was given it.
        was_cut: An outsider cut the file that had it.
    """

    text: str
    fate: str = "untold"
    id: str | None = None
    was_cut: bool = False


@dataclasses.dataclass(eq=False)
class Life:
    """The events that one handler was handed, what it counted, and what it had counted before."""

    events: dict[str, Written] = dataclasses.field(default_factory=dict)
    before: dict | None = None
    stats: dict | None = None


class Here:
    """The writer in this process, without the privileges of root."""

    is_alive = True

    def __init__(self, writer):
        self._writer = writer

    def do(self, op, tell=None, **values):
        if IS_ROOT:
            os.seteuid(NOBODY)
        try:
            return self._writer.do(op, tell, **values)
        finally:
            if IS_ROOT:
                os.seteuid(0)

    def end(self):
        self.do("limit", most=None)
        self.do("close")


class There:
    """A writer in a process of its own."""

    is_alive = True

    def __init__(self, nursery):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(nursery)
        self._lines = self._socket.makefile("rb")
        (self.pid,) = json.loads(self._lines.readline())

    def begin(self, op, **values):
        self._socket.sendall(json.dumps([op, values]).encode() + b"\n")

    def told(self):
        """Yield what it tells, until its end."""
        with contextlib.suppress(ConnectionResetError):
            for line in self._lines:
                yield json.loads(line)

    def finish(self, tell):
        for first, value in self.told():
            if first == "done":
                return value
            tell(first, value)
        raise AssertionError("the writer died")

    def do(self, op, tell=None, **values):
        self.begin(op, **values)
        return self.finish(tell)

    def is_stopped(self):
        """Wait until it is stopped, or has told that it is done."""
        stat, told = Path(f"/proc/{self.pid}/stat"), b""
        while b'["done"' not in told:
            if stat.read_text().rpartition(")")[2].split()[0] == "T":
                return True
            time.sleep(0.001)
            if select.select([self._socket], [], [], 0)[0]:
                told = self._socket.recv(1 << 20, socket.MSG_PEEK)
        return False

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.is_alive = False

    def end(self):
        if self.is_alive:
            self.kill()
        self._lines.close()
        self._socket.close()


class Model(RuleBasedStateMachine):
    """
    The log, those who write to it, and what became of each event.

    Args:
        writer: Makes the writer of this process.
        nursery: The socket of those of other processes.
        fault: Has a process die or stop amid a write; None if that can't be done here.
    """

    def __init__(self, writer, nursery, fault):
        super().__init__()
        self._nursery, self._fault = nursery, fault
        self._folder = Path(tempfile.mkdtemp(prefix="hilt-model-"))
        self._path = self._folder / "app.hilt.jsonl"
        self._give_away(self._folder)
        self._writers = {"here": Here(writer()), "there": There(nursery)}
        self._model: dict[str, Written] = {}
        self._read: dict[bytes, Event | None] = {}
        self._lives: list[Life] = []
        self._current: dict[str, Life | None] = {"here": None, "there": None}
        self._parts: dict[str, list[str]] = {"here": [], "there": []}
        self._limited: set[str] = set()
        self._is_locked = False
        self._sure_from = 0.0
        self._renames = self._incidents = self._limits = 0
        self._is_killed = False
        self._is_sound = True

    @initialize(
        max_bytes=st.sampled_from([None, 3_000, 40_000]),
        compress=st.sampled_from([None, "gzip"]),
        external_rotation=st.sampled_from(["follow", "strict"]),
        evidence=st.sampled_from([False, True, "sealed"]),
        raises=st.tuples(st.booleans(), st.booleans()),
    )
    def begin(self, raises, **options):
        here, there = ("raise" if each else "count" for each in raises)
        if options["evidence"] == "sealed":
            key = self._folder / ".app.seal"
            sealing.write_new(str(key), sealing.generate())
            self._give_away(key)
            options["seal_key"] = str(key)
        self._options = {
            "here": {**options, "on_error": here},
            "there": {**options, "on_error": there},
        }
        for who in self._writers:
            self._open(who, ["handler", "session"])

    # Those who write.

    @rule(who=anybody, batch=batches, after_s=st.sampled_from([0, 0, 0, 0.03, 0.12]))
    def write(self, who, batch, after_s=0):
        time.sleep(after_s)
        if self._writers[who].is_alive:
            events, tell = self._events(who, batch, self._current[who])
            self._settle(who, self._writers[who].do("write", tell, events=events))

    @rule(batch=batches, turns=st.lists(anybody, min_size=2, max_size=6))
    def write_in_turns(self, batch, turns):
        for who in turns:
            self.write(who, batch)

    @rule(batch=batches, times=st.integers(1, 10))
    def write_at_the_same_time(self, batch, times):
        with self._burst(batch * times):
            self.write("here", batch * times)

    @rule(who=anybody, batch=batches)
    def fork(self, who, batch):
        if self._writers[who].is_alive:
            life = Life()
            self._lives.append(life)
            events, tell = self._events(who, batch, life)
            life.before, life.stats = self._writers[who].do("fork", tell, events=events)

    @rule(who=anybody, parts=parts_of_a_writer)
    def reopen(self, who, parts):
        if self._writers[who].is_alive:
            self._writers[who].do("close")
            self._open(who, parts)

    @rule(batch=batches, after=st.integers(-1, 20))
    def kill(self, batch, after):
        there = self._writers["there"]
        if there.is_alive and after < 0:
            self._bury()
        elif there.is_alive:
            events, tell = self._events("there", batch * 20, self._current["there"])
            there.begin("write", events=events)
            for number, answer in itertools.islice(there.told(), min(after, len(events) - 1)):
                tell(number, answer)
            self._bury(tell)

    @precondition(lambda self: self._fault)
    @rule(batch=batches, at=st.integers(0, 8))
    def kill_at_half_a_line(self, batch, at):
        there = self._writers["there"]
        if there.is_alive:
            self._fault(there.pid, self._path, at, KILL)
            events, tell = self._events("there", batch * 2, self._current["there"])
            there.begin("write", events=events)
            for first, value in there.told():
                if first == "done":
                    break
                tell(first, value)
            self._bury()

    @precondition(lambda self: self._fault)
    @rule(
        batch=batches,
        at=st.integers(1, 8),
        where=st.sampled_from([STOP, SHORT_STOP]),
        fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=2),
        keeps=st.sampled_from([None, None, 0.5]),
    )
    def stop_at_a_write(self, batch, at, where, fragments, keeps):
        there = self._writers["there"]
        if not there.is_alive:
            return
        self._fault(there.pid, self._path, at, where)
        self._incidents += 1
        with self._burst(batch * 2):
            if there.is_stopped():
                for each in fragments:
                    self.tear(each)
                if keeps is not None:
                    self.cut(keeps, False, [])
                os.kill(there.pid, signal.SIGCONT)
        self._fault(there.pid, self._path, NEVER, where)

    @rule(parts=parts_of_a_writer)
    def live_again(self, parts):
        if not self._writers["there"].is_alive:
            self._writers["there"].end()
            self._writers["there"] = There(self._nursery)
            self._limited.discard("there")
            self._open("there", parts)

    # The outsider.

    @rule(creates=st.booleans(), amid=st.booleans(), batch=batches)
    def rename(self, creates, amid, batch):
        with self._burst(batch * 5, amid), self._unlocked(), contextlib.suppress(FileNotFoundError):
            self._path.rename(self._folder / f"moved.{self._renames}")
            self._renames += 1
            if creates:
                os.close(os.open(self._path, os.O_CREAT, 0o600))
                self._give_away(self._path)

    @rule(keeps=st.sampled_from([0, 0.3, 0.99]), amid=st.booleans(), batch=batches)
    def cut(self, keeps, amid, batch):
        before = set(self._model)
        with self._burst(batch * 5, amid), contextlib.suppress(FileNotFoundError):
            there = self._lines(self._path)[0]
            os.truncate(self._path, int(self._path.stat().st_size * keeps))
            self._incidents += 1
            before -= there.keys()
        for serial, each in self._model.items():
            each.was_cut |= serial not in before

    @rule(fragment=st.sampled_from(FRAGMENTS))
    def tear(self, fragment):
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            os.write(fd, fragment)
            os.close(fd)
            self._incidents += 1

    @rule(who=anybody, room=st.integers(0, 3_000))
    def full(self, who, room):
        if self._writers[who].is_alive:
            size = self._path.stat().st_size if self._path.exists() else 0
            self._writers[who].do("limit", most=size + room)
            self._limited.add(who)
            self._limits += 1

    @rule(who=anybody)
    def space_back(self, who):
        if who in self._limited and self._writers[who].is_alive:
            self._writers[who].do("limit", most=None)
            self._limited.remove(who)
            self._sure_from = time.monotonic() + BREAK_S

    @rule(is_locked=st.booleans())
    def lock_folder(self, is_locked):
        if self._is_locked and not is_locked:
            self._sure_from = time.monotonic() + BREAK_S
        self._is_locked = is_locked
        os.chmod(self._folder, 0o555 if is_locked else 0o755)

    # What is true after each step.

    @invariant()
    def holds(self):
        self._is_sound = False
        found, notices, junk = self._files()
        for serial, each in self._model.items():
            assert found[serial] <= 1, f"{serial} is there twice"
            if each.fate == "accepted" and not each.was_cut:
                assert found[serial] == 1, f"{serial} is lost"
            if each.fate == "unheard":
                assert found[serial] == 0, f"{serial} was for nobody"
        refused = [each for each in found if self._model[each].fate == "refused"]
        assert len(refused) <= self._limits  # all of it was written but the newline
        assert len(notices) - len(set(notices)) <= self._limits
        assert [] == [line for line in junk if not _is_torn(line)]
        assert len(junk) <= self._incidents or self._limits
        for life in self._lives:
            if life.stats is not None:
                self._agree(life, found)
        self._is_sound = True

    def _agree(self, life, found):
        """The handler counts what its callers count."""
        stats, before = life.stats, life.before or {"accepted": 0, "dropped": 0}
        absent = [each for serial, each in life.events.items() if not found[serial]]
        lost = [each for each in absent if not each.was_cut]
        assert len(life.events) == stats["accepted"] - before["accepted"]
        assert len(lost) <= stats["dropped"] - before["dropped"] <= len(absent) + self._limits
        assert stats["accepted"] == stats["written"] + stats["dropped"]

    def teardown(self):
        try:
            if self._is_sound:
                self._end_well()
        finally:
            for each in self._writers.values():
                each.end()
            os.chmod(self._folder, 0o700)
            shutil.rmtree(self._folder)

    def _end_well(self):
        """After another full disk all can write, and what was dropped is told in the file."""
        self.lock_folder(is_locked=False)
        for who, life in self._current.items():
            if life is None:
                continue
            told, dropped = self._told(), life.stats["dropped"] if life.stats else 0
            self.full(who, room=0)
            self.write(who, [("emit", "dropped")])
            self.space_back(who)
            self._write_until_kept(who)
            assert self._told() - told >= life.stats["dropped"] - dropped
        self.holds()
        if not self._is_killed:
            dropped = sum(each.stats["dropped"] for each in self._lives if each.stats)
            assert self._told() <= dropped + self._limits

    def _told(self):
        """How many events are lost, according to the notices in the files."""
        return sum(json.loads(each)["dropped"] for each in self._files()[1])

    def _write_until_kept(self, who):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            self.write(who, [("emit", "at last")])
            if self._files()[0][list(self._model)[-1]]:
                return
            time.sleep(0.05)
        raise AssertionError(f"{who} writes no more")

    # How it is done, and how it is known.

    def _open(self, who, parts):
        values = {"path": str(self._path), "parts": parts, "options": self._options[who]}
        troubled = self._is_troubled(who)
        opened = self._writers[who].do("open", **values)
        assert opened or troubled
        self._parts[who] = parts if opened else []
        self._current[who] = None
        if "handler" in self._parts[who]:
            self._current[who] = Life()
            self._lives.append(self._current[who])

    def _events(self, who, batch, life):
        """The events of a batch, and what is told the fate of each."""
        troubled, events, serials = self._is_troubled(who), [], []
        for how, text in batch:
            serial = f"{len(self._model)}|"
            self._model[serial] = Written(serial + text)
            serials.append(serial)
            events.append((how, str(uuid.uuid4()), serial + text))

        def tell(number, answer):
            each, how = self._model[serials[number]], batch[number][0]
            part = "session" if how == "session" else "handler"
            assert (answer is None) == (part not in self._parts[who])
            if answer is None:
                each.fate = "unheard"
                return
            if part == "handler":
                life.events[serials[number]] = each
            if answer == "refused":
                assert troubled
                each.fate = "refused"
                return
            raises = part == "session" or self._options[who]["on_error"] == "raise"
            each.id = answer
            each.fate = "counted" if troubled and (how == "log" or not raises) else "accepted"

        return events, tell

    def _is_troubled(self, who):
        """Whether a write may fail now."""
        return who in self._limited or self._is_locked or time.monotonic() < self._sure_from

    @contextlib.contextmanager
    def _burst(self, batch, wanted=True):
        """Have the other process write at the same time."""
        there = self._writers["there"]
        if not (wanted and there.is_alive):
            yield
            return
        events, tell = self._events("there", batch, self._current["there"])
        there.begin("write", events=events)
        yield
        self._settle("there", there.finish(tell))

    def _settle(self, who, counts):
        if self._current[who] is not None:
            self._current[who].stats = counts[1]

    def _bury(self, tell=None):
        """Kill the other process, hear what it still told, and wait for its end."""
        there = self._writers["there"]
        if not there.is_alive:
            return
        there.kill()
        for first, value in there.told():
            if first != "done":
                tell(first, value)
        if self._current["there"] is not None:
            self._current["there"].stats = self._current["there"] = None
        self._incidents += 1
        self._is_killed = True

    @contextlib.contextmanager
    def _unlocked(self):
        os.chmod(self._folder, 0o755)
        try:
            yield
        finally:
            os.chmod(self._folder, 0o555 if self._is_locked else 0o755)

    @staticmethod
    def _give_away(path):
        if IS_ROOT:
            os.chown(path, NOBODY, NOBODY)

    def _files(self):
        """How often each event is in the files of the log, their notices of loss, their other lines."""
        while True:
            names = {name.removesuffix(".gz") for name in os.listdir(self._folder)}
            found, notices, junk = Counter(), [], []
            try:
                for name in names:
                    if not name.startswith(".") and not name.endswith(".part"):
                        of_file = self._lines(self._folder / name)
                        found += of_file[0]
                        notices += of_file[1]
                        junk += of_file[2]
            except FileNotFoundError:  # it was compressed meanwhile
                continue
            return found, notices, junk

    def _lines(self, path):
        found, notices, junk = Counter(), [], []
        for line in filter(None, _data(path).split(b"\n")):
            event = self._event(line)
            if event is None:
                junk.append(line)
            elif event.action == "system":
                notice = event.extensions["notice"]
                notices += [json.dumps(notice)] if notice["kind"] == "loss" else []
            else:
                serial = _serial_of(event.content.text)
                expected = self._model[serial]
                assert expected.text == event.content.text
                assert expected.id in (None, event.event_id)
                found[serial] += 1
        return found, notices, junk

    def _event(self, line):
        """The event of a line, or None; each line is read once, however often it is looked at."""
        if line not in self._read:
            try:
                self._read[line] = Event.from_json(line)
            except InvalidEventError:
                self._read[line] = None
        return self._read[line]


def _serial_of(text):
    return text[: text.index("|") + 1]


def _data(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        with gzip.open(f"{path}.gz") as file:
            return file.read()


def _is_torn(line):
    """Whether a line begins as events do, or as what the outsider writes."""
    return line[:1] in {each[:1] for each in FRAGMENTS}


def _loaded(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def switch(request, tmp_path):
    """The file through which the shim is switched, and the shim; None where there is no gcc."""
    try:
        shim = request.getfixturevalue("shim")
    except pytest.skip.Exception:
        return None
    switch = tmp_path / "switch"
    switch.write_bytes(bytes(32 + 4096))
    return switch, shim


@pytest.fixture
def nursery(switch, tmp_path):
    """The socket at which writers are born."""
    path = str(tmp_path / "nursery")
    preloaded = {"FAULTS": str(switch[0]), "LD_PRELOAD": str(switch[1])} if switch else {}
    with subprocess.Popen(
        [sys.executable, HERE / "_writer.py", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **preloaded},
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        yield path
        process.stdin.close()
        process.wait(60)


def test_model(switch, nursery, monkeypatch):
    """Whatever comes together, an accepted event is one whole line, and what is dropped is told."""
    module = _loaded("_writer")
    module.prepare()
    fault = None
    if switch:
        shim = _loaded("_faulty").Switch(switch[0])

        def fault(pid, path, at, kind):
            shim.set(str(path), "write", at, 1, kind, 0, pid)

    monkeypatch.setattr(sys, "stderr", None)  # what is dropped is told there, too
    run_state_machine_as_test(
        lambda: Model(module.Writer, nursery, fault),
        settings=settings(
            max_examples=EXAMPLES or 25,
            stateful_step_count=30,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # a race can't be shrunk
            suppress_health_check=list(HealthCheck),
        ),
    )
