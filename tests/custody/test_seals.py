"""Sealed logs: who takes the host can't change what was written before, and nobody else is accused."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import shutil
import signal
import sys
import time

from datetime import timedelta

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hilt_logging

from hilt_logging import ConfigurationError
from hilt_logging._ids import timestamp
from hilt_logging.custody import _seals, prune, rewrite, verify
from hilt_logging.custody._findings import Findings, Place
from hilt_logging.safeguards import chain, jwk, sealing
from hilt_logging.storage import sealing as storing
from hilt_logging.storage import sharing
from hilt_logging.storage.notices import line_of_notice
from hilt_logging.storage.tails import SealRanges, summary_of


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


class Log:
    """A sealed log, its key and its first key."""

    def __init__(self, folder, logger):
        self.path = folder / "logs" / "app.jsonl"
        self.state = folder / "app.seal"
        self.first = folder / "first.jwk"
        self._logger = logger
        self.new_key()

    def new_key(self, days=0):
        key = sealing.FirstKey(os.urandom(32), int(time.time()) - 86_400 * days)
        sealing.write_new(str(self.state), key, force=True)
        self.first.write_bytes(key.text())

    def open(self, **options):
        options = {"checkpoint_every": 5, **options}
        handler = hilt_logging.HILTFileHandler(
            self.path, evidence="sealed", seal_key=self.state, **options
        )
        self._logger.addHandler(handler)
        return handler

    def close(self, handler):
        self._logger.removeHandler(handler)
        handler.close()

    def write(self, count=12, user="alice", **options):
        """Write events as a process of its own would."""
        handler = self.open(**options)
        say(count, user)
        self.close(handler)

    def present(self):
        """The key that somebody finds who takes the host."""
        return sealing.SealFile(str(self.state)).read()[0]

    def verify(self, *more, **options):
        return verify(self.path, seal_keys=[self.first, *more], **options)

    @property
    def lines(self):
        return self.path.read_bytes().splitlines()

    @lines.setter
    def lines(self, lines):
        self.path.write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.fixture
def log(tmp_path, hilt):
    return Log(tmp_path, hilt)


def say(count, user="alice"):
    for number in range(count):
        hilt_logging.emit(
            {
                "session_id": f"conv-{user}",
                "actor": {"type": "human", "id": user},
                "action": "prompt",
                "content": {"text": f"Hello {number}"},
                "extensions": {"user_id": user},
            }
        )


def relinked(lines, begin, key=None, numbers=None):
    """
    What somebody makes of lines who changed one of them: the links, digests and seals after it anew.

    Args:
        lines: All lines.
        begin: From which one on.
        key: The first key that seals; None for no seals.
        numbers: What the seals say they are; by default the numbers of the keys.
    """
    out = list(lines[:begin])
    for line in lines[begin:]:
        found = chain.link_of(line)
        prev = chain.sha256(out[-1]) if out else chain.ZEROS
        made = chain.link(line[: found.begin] + b"}", found.chain, len(out), prev)
        if found.digest:
            if key is not None:
                made = key.seal(made)
                if numbers:
                    seal = chain.link_of(made).seal
                    bare = chain.without_seal(made)
                    made = chain.with_seal(bare, seal._replace(number=numbers.pop(0)))
                key = key.next()
            made = chain.seal(made, None)
        out.append(made)
    return out


def seals_in(*paths):
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    found = [chain.link_of(line) for line in lines]
    return [each.seal.number for each in found if each is not None and each.seal is not None]


def kinds(verdict, code=0):
    assert code == verdict.exit_code, verdict
    return verdict.counts


class TestLife:
    def test_closed(self, log):
        """A log that was closed is sealed to its end, and its key has moved on."""
        log.write()
        verdict = log.verify(log.state)
        assert {} == kinds(verdict)
        (found,) = verdict.chains
        assert (3, found.last_seq, True) == (found.seals, found.last_sealed, found.is_closed)
        assert [] == verdict.limits
        assert [0, 1, 2] == seals_in(log.path)
        assert 3 == log.present().number

    def test_restarts_and_rotation(self, log):
        """Numbers go on over processes, files, compression and logrotate's names."""
        for _ in range(3):
            log.write(40, max_bytes=9_000, compress="gzip")
        aside = log.path.with_name("app.jsonl.1")
        log.path.rename(aside)
        log.write(3)
        assert {} == kinds(log.verify(log.state))
        assert 5 < len(list(log.path.parent.glob("*.gz")))

    def test_live(self, log):
        """While it is written, what is not sealed yet is told."""
        handler = log.open()
        say(6)
        verdict = log.verify(log.state)
        assert {"not closed": 1} == kinds(verdict)
        assert "The last 2 lines" in verdict.limits[-1]
        log.close(handler)

    def test_without_a_seal_yet(self, log):
        """A log that is not sealed yet could not be checked."""
        handler = log.open()
        say(1)
        assert {"not closed": 1, "seals not checked": 1} == kinds(log.verify(log.state), 2)
        log.close(handler)

    def test_no_event_comes(self, log):
        """Lines are sealed in time although no event comes after them, and that is told."""
        told = []
        taking = logging.Handler()
        taking.emit = told.append
        logging.getLogger("hilt.integrity").addHandler(taking)
        handler = log.open(checkpoint_seconds=0.2)
        say(3)
        until = time.monotonic() + 20
        while not told and time.monotonic() < until:
            time.sleep(0.01)
        assert [0] == seals_in(log.path)
        log.close(handler)
        logging.getLogger("hilt.integrity").removeHandler(taking)
        assert {} == kinds(log.verify(log.state))

    def test_signed_too(self, log, tmp_path):
        """A log can be signed as well: each needs its own key to be checked."""
        key = jwk.generate("Ed25519")
        jwk.write_new(tmp_path / "k.key.jwk", key)
        jwk.write_new(tmp_path / "k.pub.jwk", jwk.public_of(key))
        log.write(sign_key=tmp_path / "k.key.jwk")
        public = [tmp_path / "k.pub.jwk"]
        assert {} == kinds(log.verify(public_keys=public))
        assert {"signatures not checked": 1} == kinds(log.verify(), 2)
        assert {"seals not checked": 1} == kinds(verify(log.path, public_keys=public), 2)

    def test_sealed_from_some_day_on(self, log):
        """A log with links is sealed from its next process on, and with it what stands before."""
        handler = hilt_logging.HILTFileHandler(log.path, evidence=True)
        logging.getLogger("hilt").addHandler(handler)
        say(5)
        log.close(handler)
        before = len(log.lines)
        log.write()
        assert {} == kinds(log.verify(log.state))
        for place in range(before):
            changed = [line.replace(b"Hello", b"HELLO") for line in log.lines[: place + 1]]
            if changed[place] != log.lines[place]:
                log_lines, log.lines = log.lines, relinked([*changed, *log.lines[place + 1 :]], 0)
                assert 1 == log.verify().exit_code
                log.lines = log_lines

    def test_processes(self, log, forked):
        """Four processes that rotate one file share the key, and seal for each other."""

        def work():
            log.write(60, max_bytes=9_000)

        assert [0] * 4 == [forked.wait(pid) for pid in [forked.start(work) for _ in range(4)]]
        verdict = log.verify(log.state)
        assert {} == kinds(verdict)
        assert verdict.chains[0].seals == log.present().number > 40

    def test_covered_by_another_process(self, log, forked):
        """What another process has sealed, the clock of this one does not seal again."""
        handler = log.open(checkpoint_every=1000)
        say(3)

        def work():
            say(1)
            log.close(handler)

        assert 0 == forked.wait(forked.start(work))
        links = handler._appender.links
        links.look(handler._appender._fd, links.inode, log.path.stat().st_size)
        assert not links.is_waiting()
        log.close(handler)
        assert [0, 1] == seals_in(log.path)

    def test_forked_child(self, log, forked):
        """A child goes on with the key as its parent left it."""
        handler = log.open()
        say(7)
        assert 0 == forked.wait(forked.start(lambda: (say(7), log.close(handler))))
        say(7)
        log.close(handler)
        assert {} == kinds(log.verify(log.state))

    def test_killed_again_and_again(self, log, forked):
        """Whoever is killed at any moment loses no event and leaves no log that seems changed."""

        def work():
            log.open(checkpoint_every=3, max_bytes=20_000)
            say(100_000)

        for _ in range(5):
            pid = forked.start(work)
            time.sleep(0.15)
            os.kill(pid, signal.SIGKILL)
            forked.wait(pid)
        log.write()
        assert not set(kinds(log.verify(log.state))) - {"not closed", "torn", "seal repeated"}


CALLS = [(os, "write"), (os, "pwrite"), (os, "replace"), (os, "rename"), (os, "fsync")]
SYNCS = [(sealing, "_fdatasync"), (storing, "_fdatasync")]


@pytest.mark.once
def test_killed_at_every_call(tmp_path, hilt, forked, monkeypatch):
    """
    At whatever call a process is killed: every accepted event is there, nothing seems changed, and
    the seals go on.
    """
    call, survived = 1, False
    while not survived:
        folder = tmp_path / str(call)
        folder.mkdir()
        log = Log(folder, hilt)
        accepted = folder / "accepted"

        def work(log=log, call=call, accepted=accepted):
            count = [0]
            for module, name in (*CALLS, *SYNCS):
                monkeypatch.setattr(module, name, _deadly(getattr(module, name), count, call))
            handler = log.open(checkpoint_every=2, max_bytes=4_000)
            for number in range(4):
                hilt_logging.emit(hilt_logging.events.feedback(number, session_id="s"))
                with open(accepted, "a") as file:
                    file.write(f"{number}\n")
            log.close(handler)

        survived = forked.wait(forked.start(work)) == 0
        log.write(2)
        verdict = log.verify(log.state)
        told = set(kinds(verdict)) - {"not closed", "torn", "seal repeated"}
        assert not told, (call, verdict)
        files = sorted(log.path.parent.glob("app.jsonl*"))
        there = b"".join(path.read_bytes() for path in files)
        ids = accepted.read_text().split() if accepted.exists() else []
        assert all(b'"score":%s' % each.encode() in there for each in ids), call
        call += 1
    assert call > 30


def _deadly(real, count, call):
    def act(*values, **options):
        count[0] += 1
        if count[0] == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*values, **options)

    return act


class TestWhoTakesTheHost:
    """Somebody has the host, all its files and the present key."""

    def test_past_with_newer_keys(self, log):
        """Lines that were written anew and sealed with the keys from the present one on are found."""
        log.write(20)
        for place, line in enumerate(log.lines):
            lines = list(log.lines)
            lines[place] = line.replace(b"Hello", b"HELLO").replace(b'"opened"', b'"OPENED"')
            if lines[place] != line:
                log_lines, log.lines = log.lines, relinked(lines, place, log.present())
                verdict = log.verify()
                assert {"seals missing": 1} == kinds(verdict, 1)
                assert "missing before it" in verdict.first.message
                log.lines = log_lines

    def test_past_with_the_old_numbers(self, log):
        """So are seals by the present key that say that they have the numbers of old ones."""
        log.write(20)
        lines = [line.replace(b"Hello 3", b"Hello 4") for line in log.lines]
        log.lines = relinked(lines, 0, log.present(), numbers=seals_in(log.path))
        assert "bad seal" == log.verify().first.kind

    def test_past_without_seals(self, log):
        """So are lines from which seals were taken away, all or those from some place on."""
        log.write(20)
        lines = log.lines
        for place in (0, 10):
            log.lines = relinked(lines, place)
            assert "seals missing" == log.verify().first.kind
            assert 1 == log.verify().exit_code

    def test_one_seal_of_the_past(self, log):
        """So is a seal that was taken away amid the log, its lines with it."""
        log.write(20)
        lines = log.lines
        place = next(n for n, line in enumerate(lines) if b".1." in line and b'"seal"' in line)
        log.lines = relinked([*lines[: place - 3], *lines[place + 1 :]], place - 3, log.present())
        assert "seals missing" == log.verify().first.kind

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(data=st.data())
    def test_anything(self, log, data):
        """
        Whatever is done to sealed lines, with whatever seals the present key can make: it is found.
        """
        if not log.path.exists():
            log.write(20)
            log.kept = log.lines
        lines, here = list(log.kept), log.present()
        place = data.draw(st.integers(0, len(lines) - 2), "place")
        what = data.draw(st.sampled_from(["alter", "delete", "insert", "swap", "cut"]), "what")
        if what == "alter":
            found = chain.link_of(lines[place])
            lines[place] = b'{"x":1' + lines[place][found.begin :]
        elif what == "delete":
            del lines[place]
        elif what == "insert":
            lines.insert(place, lines[data.draw(st.integers(0, len(lines) - 1))])
        elif what == "swap":
            lines[place], lines[place + 1] = lines[place + 1], lines[place]
            if lines[place : place + 2] == log.kept[place : place + 2]:
                return
        else:
            del lines[place + 1 :]
        key = here.at(here.number + data.draw(st.integers(0, 3), "later"), here.minute)
        numbers = data.draw(
            st.none() | st.just(list(range(10))) | st.just([here.number - 1] * 10), "numbers"
        )
        log.lines = relinked(lines, place, key if data.draw(st.booleans()) else None, numbers)
        assert 0 != log.verify(log.state).exit_code

    def test_end_cut_off(self, log):
        """An end that is cut off is found by the key, which can't be put back."""
        log.write(20)
        lines = log.lines
        for place in range(1, len(lines)):
            log.lines = lines[:place]
            assert 1 == log.verify(log.state).exit_code
            assert "cut off" in log.verify(log.state).counts

    def test_end_cut_off_and_gone_on(self, log):
        """Where the log goes on after that, the log itself shows it."""
        log.write(20)
        sealed = [n for n, line in enumerate(log.lines) if b'"seal"' in line]
        log.lines = log.lines[: sealed[1] + 1]
        assert 0 == log.verify().exit_code  # it alone does not: it looks as after a crash
        assert "file of the key" in log.verify().limits[0]
        log.write(3)
        verdict = log.verify()
        assert {"seals missing": 1, "not closed": 1} == kinds(verdict, 1)
        assert "the seals 2 to 4 are missing" in verdict.first.message

    def test_all_taken_away(self, log):
        """Where all files are gone, a new chain begins, and not with the first seal."""
        log.write(20)
        shutil.rmtree(log.path.parent)
        log.write(3)
        assert "seals missing" == log.verify().first.kind

    def test_made_up_key(self, log):
        """A file with a key of somebody's own, with the right name and number, is found."""
        log.write(20)
        present = log.present()
        sealed = [n for n, line in enumerate(log.lines) if b'"seal"' in line]
        log.lines = log.lines[: sealed[1] + 1]
        place = present.name, present.since, 2, present.minute
        made = sealing.SealKey(*place, b"k" * 32, b"k" * 32)
        bond = sealing.SealFile(str(log.state)).read()[1]
        log.state.write_bytes(sealing._slot(0, made, bond) + b" " * 512)
        assert "bad seal" == log.verify(log.state).first.kind
        (log.path.parent / ".app.jsonl.chain").unlink()
        log.write(3)
        assert "bad seal" == log.verify().first.kind

    def test_all_anew_with_a_key_of_their_own(self, log):
        """A log that is sealed from its begin with another first key is found."""
        log.write(20)
        true = log.first.read_bytes()
        shutil.rmtree(log.path.parent)
        log.new_key()
        log.write(20)
        assert {} == kinds(log.verify(log.state))
        log.first.write_bytes(true)
        assert {"bad seal"} == set(kinds(log.verify(), 1))
        assert "none of those given" in log.verify().first.message
        assert 1 == log.verify(log.state).exit_code

    def test_without_evidence(self, log):
        """A log of links alone in its place is found, too."""
        log.write(20)
        shutil.rmtree(log.path.parent)
        handler = hilt_logging.HILTFileHandler(log.path, evidence=True)
        logging.getLogger("hilt").addHandler(handler)
        say(3)
        log.close(handler)
        assert "seals missing" == log.verify().first.kind

    @pytest.mark.parametrize(
        ("said", "code", "kind", "message"),
        [
            (lambda event: "", 2, "dated back", "minutes later"),
            (lambda event: event["timestamp"], 2, "dated back", "before that of its key"),
            (lambda event: "long ago", 1, "bad seal", "does not say when"),
            (lambda event: days_ago(-1), 1, "bad seal", "of an earlier time"),
        ],
    )
    def test_another_past_as_if_the_true_one_was_deleted(self, log, said, code, kind, message):
        """
        Who deletes all that was, says so in the log, and puts years of other events in its place,
        has no key for seals of that time, and shows it.
        """
        log.new_key(days=100)
        log.write(60, max_bytes=6_000)
        key, end = log.present(), chain.link_of(log.lines[-1])
        seals = SealRanges()
        for path in sorted(log.path.parent.glob("app.jsonl*"), key=lambda path: -len(path.name)):
            for line in path.read_bytes().splitlines():
                seals.add(chain.link_of(line), line)
        shutil.rmtree(log.path.parent)
        log.path.parent.mkdir()
        gone = {"name": "x", "chain": end.chain, "first_seq": 0, "last_seq": end.seq}
        gone |= {"head": "ab" * 32, **seals.told()}
        lines = [line_of_notice({"kind": "pruned", "files": [gone], "by": "retention"})]
        for days in range(90, 0, -10):
            event = {"timestamp": days_ago(days), "action": "prompt"}
            lines.append(json.dumps(event, separators=(",", ":")).encode())
            lines.append(line_of_notice({"kind": "checkpoint", "chain": end.chain}))
            if said(event):
                time_said = b'"timestamp":"%b"' % said(event).encode()
                lines[-1] = re.sub(rb'"timestamp":"[^"]*"', time_said, lines[-1])
        prev, out = "ab" * 32, []
        for line in lines:
            line = chain.link(line, end.chain, end.seq + 1 + len(out), prev)
            if b"notice" in line:
                line, key = chain.seal(key.seal(line), None), key.next()
            out.append(line)
            prev = chain.sha256(line)
        log.lines = out
        verdict = log.verify()
        assert {"pruned by statement": 1, kind: 9} == kinds(verdict, code)
        assert message in verdict.findings[-1].message

    def test_a_file_taken_away(self, log):
        """A rotated file that is gone is found, and its seals are."""
        log.write(100, max_bytes=6_000)
        middle = sorted(log.path.parent.glob("app.jsonl.*"))[2]
        middle.unlink()
        assert {"file missing", "seals missing"} == set(kinds(log.verify(), 1))

    def test_statement_that_the_past_was_deleted(self, log):
        """Who says in the log that the middle of it was deleted does not pass without a signature."""
        log.write(60, max_bytes=6_000)
        middle = sorted(log.path.parent.glob("app.jsonl.*"))[1]
        handler = log.open()
        appender = handler._appender
        assert appender._state_deletion([str(middle)])
        middle.unlink()
        log.close(handler)
        verdict = log.verify(log.state)
        assert {"pruned by statement": 1} == kinds(verdict, 2)
        assert "what is older was not" in verdict.first.message

    @pytest.mark.parametrize("goes_on", [False, True])
    def test_statement_of_somebody_who_has_no_key(self, log, goes_on):
        """Who can only write the files can't have it that the begin was deleted, nor when it goes on."""
        log.write(60, max_bytes=6_000)
        first = min(log.path.parent.glob("app.jsonl.*"))
        notice = {"kind": "pruned", "files": [summary_of(str(first))], "by": "retention"}
        first.unlink()
        last = log.lines[-1]
        found, line = chain.link_of(last), line_of_notice(notice)
        made = chain.link(line, found.chain, found.seq + 1, chain.sha256(last))
        log.lines = [*log.lines, chain.seal(made, None)]
        if goes_on:
            log.write(3)
        assert "pruned by statement" in kinds(log.verify(log.state), 2 if goes_on else 1)
        assert "pruned by statement" in kinds(log.verify(), 2 if goes_on else 1)

    @pytest.mark.parametrize(
        "change", [{"line": "ab" * 32}, {"minute": 0}, {"code": "ab" * 32}, None]
    )
    def test_statement_that_does_not_show_when_seals_were_made(self, log, change):
        """What is said to be deleted has to be told with the last seal of it, as it was made."""
        log.new_key(days=10)
        log.write(60, max_bytes=6_000)
        prune(log.path, timedelta(), seal_key=log.state)
        assert {"pruned by statement": 1} == kinds(log.verify(log.state))
        lines, key = log.lines, sealing.load("first", log.first)
        place = next(n for n, line in enumerate(lines) if b'"pruned"' in line)
        for n in range(place, len(lines)):
            event = json.loads(lines[n][: chain.link_of(lines[n]).begin] + b"}")
            notice = event["extensions"]["notice"]
            for each in notice.get("files", []):
                for seal in each["seals"]:
                    seal.update(change or {})
                    if change is None:
                        del seal["code"]
            found, line = chain.link_of(lines[n]), json.dumps(event, separators=(",", ":")).encode()
            lines[n] = chain.link(line, found.chain, found.seq, chain.sha256(lines[n - 1]))
            now = key.key.at(found.seal.number, found.seal.minute)
            lines[n] = chain.seal(now.seal(lines[n]), None)
        log.lines = lines
        verdict = log.verify(log.state)
        assert {"pruned by statement": 1, "dated back": 1} == kinds(verdict, 2)
        assert "nothing shows when the seal" in verdict.first.message

    def test_new_log_as_if_the_true_one_was_deleted(self, log):
        """A statement excuses no seals where no lines are missing of which it speaks."""
        log.write(20)
        key, found = log.present(), chain.link_of(log.lines[-1])
        gone = {"name": "x", "chain": found.chain, "first_seq": 0, "last_seq": found.seq}
        gone |= {"head": "ab" * 32}
        gone["seals"] = [{"key": key.name, "first": 0, "last": key.number - 1}]
        shutil.rmtree(log.path.parent)
        handler = log.open()
        say(2)
        assert handler.state({"kind": "pruned", "files": [gone], "by": "retention"})
        log.close(handler)
        assert {"seals missing": 1} == kinds(log.verify(), 1)


@pytest.mark.parametrize(
    "event",
    [
        {"session_id": "s" * 300, "timestamp": "2024-01-01T00:00:00Z"},
        {"extensions": {"timestamp": "2999-01-01T00:00:00Z"}, "timestamp": "2024-01-01T00:00:00Z"},
        b'{"timestamp":"2999-01-01T00:00:00Z","timestamp":"2024-01-01T00:00:00Z"}',
        b'{"timestamp": "2024-01-01T00:00:00Z"}',
        b'{"timest\\u0061mp":"2024-01-01T00:00:00Z"}',
        {"timestamp": "0000-01-01T00:00:00Z"},
        {"timestamp": 1704067200},
        b'{"timestamp":"2024-01-01T00:00:00Z","number":NaN}',
        "NOW+14:00",
    ],
)
@pytest.mark.parametrize("is_linked", [True, False])
def test_however_a_time_is_said(log, event, is_linked):
    """A line is dated back wherever and however it says its time, also one that is in no chain."""
    if event == "NOW+14:00":
        event = {"timestamp": days_ago(0)[:19] + "+14:00"}
    if isinstance(event, dict):
        event = json.dumps(event, separators=(",", ":")).encode()
    if not is_linked:
        event = event.replace(b"{", b'{"hilt_version":"1.0.0",', 1)
        if b"NaN" in event:
            return  # it is no event
    log.write()
    lines, key = log.lines, log.present()
    found, last = chain.link_of(lines[-1]), lines[-1]
    notice = line_of_notice({"kind": "checkpoint", "chain": found.chain})
    if is_linked:
        last = chain.link(event, found.chain, found.seq + 1, chain.sha256(last))
        made = chain.link(notice, found.chain, found.seq + 2, chain.sha256(last))
    else:
        spanned = chain.spanning(chain.sha256(last))
        spanned.update(event + b"\n")
        span = chain.Span(1, spanned.hexdigest())
        last = event
        made = chain.link(notice, found.chain, found.seq + 1, chain.sha256(event), span)
    log.lines = [*lines, last, chain.seal(key.seal(made), None)]
    verdict = log.verify()
    assert 1 == kinds(verdict, 2)["dated back"]


class TestBesideTheTrueLog:
    """Somebody leaves true seals where they are, or takes all of them, and adds what has none."""

    def forged(self):
        name, prev, out = "ab" * 16, chain.ZEROS, []
        for told in ({"kind": "opened", "process": "x"}, {"kind": "closed", "process": "x"}):
            out.append(chain.link(line_of_notice(told), name, len(out), prev))
            prev = chain.sha256(out[-1])
        return [out[0], chain.seal(out[1], None)]

    def test_another_log(self, log):
        """A log without seals is not excused by a sealed one in the same folder."""
        log.write()
        log.path.rename(log.path.with_name("true.jsonl"))
        log.lines = self.forged()
        verdict = verify(log.path.parent, seal_keys=[log.first, log.state])
        assert 1 == kinds(verdict, 1)["seals missing"]
        assert str(log.path) == verdict.first.file

    def test_an_older_file(self, log):
        """Nothing covers a chain that was put before one that began in an empty log."""
        log.write()
        true = log.lines
        log.lines = self.forged()
        log.path.rename(log.path.with_name("app.jsonl.1"))
        log.lines = true
        verdict = log.verify(log.state)
        assert 1 == kinds(verdict, 2)["seals missing"]
        assert "2 lines are not sealed, nor covered" in verdict.first.message

    def test_a_log_that_is_gone(self, log, tmp_path):
        """A key that was given is missed where nothing is sealed with it."""
        log.write()
        key, other = sealing.generate(), tmp_path / "other.jwk"
        other.write_bytes(key.text())
        verdict = log.verify(other)
        assert {"seals missing": 1} == kinds(verdict, 2)
        assert key.name in verdict.first.message

    def test_begin_gone_and_the_name(self, log):
        """A log that was named has to be whole, also where no file has its name any more."""
        log.write(60, max_bytes=6_000)
        for path in sorted(log.path.parent.glob("app.jsonl.*"))[:2]:
            path.unlink()
        log.path.unlink()
        assert {"file missing", "seals missing"} == set(kinds(log.verify(), 1))


def test_many_seals(log, monkeypatch):
    """How many seals a log has is no matter: only made up numbers are limited."""
    monkeypatch.setattr(_seals, "_MOST_STEPS", 3)
    log.write(100)
    assert {} == kinds(log.verify(log.state))


def test_judged_anew_when_not_listed():
    """A finding that is judged anew counts as that where so many were found that it is not listed."""
    findings = Findings()
    for number in range(1200):
        found = findings.add("foreign", "told", "", Place("x", number + 1))
    assert 0 == findings.exit_code(strict=False)
    findings.change(found, "unchecked")
    assert 2 == findings.exit_code(strict=False)


def test_judged_anew_and_not_put_down():
    """What is judged anew takes away no other finding of its kind."""
    findings = Findings()
    findings.add("altered", "tampering", "", Place("x", 1))
    twin = findings.add("missing", "tampering", "", Place("x", 1))
    for number in range(1200):
        findings.add("foreign", "told", "", Place("x", number + 2))
    findings.add("missing", "tampering", "", Place("x", 2000))
    findings.change(twin, "told", "pruned by statement")
    assert {"altered": 1, "foreign": 1200, "missing": 1} == findings.counts()
    assert 1 == findings.exit_code(strict=False)


def days_ago(days):
    return timestamp(time.time_ns() - days * 86_400_000_000_000)


class TestTime:
    def test_clock_put_back(self, log):
        """While the clock is behind the time of the key, nobody can tell when lines were sealed."""
        log.write()
        file = sealing.SealFile(str(log.state))
        key, bond = file.read()
        file.move_on(key.at(key.number, key.minute + 30), bond)
        log.write()
        verdict = log.verify(log.state)
        assert {"dated back"} == set(kinds(verdict, 2))
        assert "the clock was put back" in verdict.first.message

    def test_clock_off_by_a_century(self, log, monkeypatch):
        """A clock that is far ahead costs seals, no events and no time."""
        handler = log.open()
        clock = time.time
        monkeypatch.setattr(storing.time, "time", lambda: clock() + 3e9)
        say(6)
        monkeypatch.setattr(storing.time, "time", clock)
        assert {"UnfitError of the key that seals": 1} == handler.stats()["evidence"][
            "seal_failures"
        ]
        say(6)
        log.close(handler)
        assert {} == kinds(log.verify(log.state))

    def test_lines_that_waited(self, log, forked):
        """Lines that a killed process left, and of which the seal came days later, are told."""
        log.write()
        with open(log.path, "ab") as file:
            last = log.lines[-1]
            found = chain.link_of(last)
            event = b'{"timestamp":"%b","action":"prompt"}' % days_ago(3).encode()
            file.write(chain.link(event, found.chain, found.seq + 1, chain.sha256(last)) + b"\n")
        log.write()
        verdict = log.verify(log.state)
        assert {"dated back": 1} == kinds(verdict, 2)
        assert days_ago(3)[:10] in verdict.first.message

    def test_before_it_was_sealed(self, log):
        """What stands before the first seal of all is as old as it says."""
        handler = hilt_logging.HILTFileHandler(log.path, evidence=True)
        logging.getLogger("hilt").addHandler(handler)
        event = hilt_logging.events.feedback(1, session_id="s").to_dict()
        hilt_logging.emit({**event, "timestamp": days_ago(30)})
        log.close(handler)
        log.write()
        assert {} == kinds(log.verify(log.state))

    def test_minutes_that_pass(self, log):
        """Each seal is by the key of its minute, though nobody wrote for long."""
        log.new_key(days=100)
        log.write()
        assert 100 * 1440 == log.present().minute
        assert {} == kinds(log.verify(log.state))


class TestKeyFile:
    def test_gone(self, log):
        """Without its key, a sealed log is not opened."""
        log.write()
        log.state.unlink()
        with pytest.raises(ConfigurationError, match="hilt-log keygen NAME --seal"):
            log.open()

    def test_gone_while_it_is_written(self, log, capsys):
        """Events are written on, not sealed; that is counted, told, and found."""
        handler = log.open()
        say(7)
        log.state.unlink()
        say(7)
        stats = handler.stats()
        assert (14, 0) == (stats["written"], stats["dropped"])
        assert 1 == stats["evidence"]["seals"]
        assert {"FileNotFoundError of the key that seals"} == set(
            stats["evidence"]["seal_failures"]
        )
        log.close(handler)
        assert "app.seal" in capsys.readouterr().err
        assert {"seals missing": 1} == kinds(log.verify(), 1)

    def test_back_again(self, log):
        """Once it is back, the next seal covers what was not sealed."""
        handler = log.open()
        say(7)
        aside = log.state.rename(log.state.with_name("aside"))
        say(7)
        aside.rename(log.state)
        say(7)
        log.close(handler)
        assert {} == kinds(log.verify(log.state))

    def test_older_one(self, log, tmp_path):
        """A key file that was copied back is refused, and found where nobody asked."""
        log.write()
        shutil.copy2(log.state, tmp_path / "kept")
        log.write()
        shutil.copy2(tmp_path / "kept", log.state)
        with pytest.raises(ConfigurationError, match="older than the log"):
            log.open()
        (log.path.parent / ".app.jsonl.chain").unlink()
        log.write()
        verdict = log.verify()
        assert "bad seal" in kinds(verdict, 1)
        assert "the file of the key was put back" in verdict.first.message

    def test_new_one(self, log, tmp_path):
        """After a key was lost, a new one is made; with both first keys all is right."""
        log.write()
        first = log.first.rename(tmp_path / "before.jwk")
        log.new_key()
        log.write()
        verdict = log.verify(first, log.state)
        assert {} == kinds(verdict)
        (limit,) = verdict.limits
        assert "end with 2, where another key goes on" in limit
        assert {"bad seal"} == set(kinds(verify(log.path, seal_keys=[first]), 1))

    def test_of_another_log(self, log, tmp_path):
        """A key belongs to one log."""
        log.write()
        log.path = tmp_path / "other" / "app.jsonl"
        with pytest.raises(ConfigurationError, match="seals another log"):
            log.open()

    def test_of_a_log_that_was_moved(self, log, tmp_path):
        """A log that was moved keeps its key."""
        log.write()
        log.path.parent.rename(tmp_path / "moved")
        log.path = tmp_path / "moved" / "app.jsonl"
        log.write()
        assert {} == kinds(log.verify(log.state))

    def test_of_another_log_later(self, log, tmp_path):
        """Two logs that begin with one key at the same time do not share it."""
        handler = log.open()
        log.path = tmp_path / "other" / "app.jsonl"
        other = log.open()
        say(7)
        assert [handler.stats()["evidence"]["seals"], other.stats()["evidence"]["seals"]] == [1, 0]
        assert other.stats()["evidence"]["seal_failures"]
        log.close(handler)
        log.close(other)

    def test_that_can_not_be_written(self, log, monkeypatch):
        """While the key can't move on, seals have the same number, which is told and no tampering."""
        handler = log.open()
        say(6)
        write = os.pwrite

        def full(*values):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        say(15)
        monkeypatch.setattr(os, "pwrite", write)
        say(5)
        log.close(handler)
        assert {"seal repeated"} == set(kinds(log.verify(log.state)))
        assert [0, 1, 1, 1] == seals_in(log.path)[:4]


class TestKeysGiven:
    def test_none(self, log):
        """Without the first key, seals could not be checked."""
        log.write()
        assert {"seals not checked": 1} == kinds(verify(log.path), 2)

    def test_none_and_changed(self, log):
        """What the links show is shown without it."""
        log.write()
        log.path.write_bytes(log.path.read_bytes().replace(b"Hello 3", b"Hello 4"))
        assert "altered" == verify(log.path).first.kind

    def test_none_and_a_number_missing(self, log):
        """So is a seal that is missing."""
        log.write(20)
        log.lines = relinked(log.lines, 3, log.present())
        assert "seals missing" == verify(log.path).first.kind

    def test_wrong(self, log, tmp_path):
        """With another log's first key, no seal is that of a given key."""
        log.write()
        (tmp_path / "wrong.jwk").write_bytes(sealing.generate().text())
        assert {"bad seal"} == set(kinds(verify(log.path, seal_keys=[tmp_path / "wrong.jwk"]), 1))

    def test_that_of_the_host_only(self, log):
        """The key of the host alone shows the end, not the seals."""
        log.write()
        assert {"seals not checked": 1} == kinds(verify(log.path, seal_keys=[log.state]), 2)
        log.lines = log.lines[:5]
        assert "cut off" in kinds(verify(log.path, seal_keys=[log.state]), 1)

    def test_one_path(self, log):
        """One file may be given as it is."""
        log.write()
        assert {} == kinds(verify(log.path, seal_keys=str(log.first)))

    def test_some_files(self, log, tmp_path):
        """Of some files of a log, the seals before them could not be checked."""
        log.write(60, max_bytes=6_000)
        first, *_, last = sorted(log.path.parent.glob("app.jsonl.*"))
        assert {"file missing", "seals missing"} == set(
            kinds(verify(last, seal_keys=[log.first]), 2)
        )
        assert {"not closed": 1} == kinds(verify(first, seal_keys=[log.first]))


class TestStatements:
    def test_pruned(self, log):
        """What was deleted by statement takes its seals along."""
        log.write(60, max_bytes=6_000)
        with pytest.raises(ConfigurationError, match="is sealed: give the file of the key"):
            prune(log.path, timedelta())
        prune(log.path, timedelta(), seal_key=log.state)
        assert {"pruned by statement": 1} == kinds(log.verify(log.state))
        log.write(60, max_bytes=6_000)
        prune(log.path, timedelta(), seal_key=log.state)
        assert {"pruned by statement": 1} == kinds(log.verify(log.state))

    def test_retained(self, log):
        """So does what the handler itself deletes."""
        for _ in range(3):
            log.write(60, max_bytes=6_000, backup_count=2)
        assert {"pruned by statement": 1} == kinds(log.verify(log.state))

    @pytest.fixture
    def officer(self, tmp_path):
        """Whoever signs that a person was erased; the key is not at the host."""
        key = jwk.generate("Ed25519")
        jwk.write_new(tmp_path / "officer.key.jwk", key)
        jwk.write_new(tmp_path / "officer.pub.jwk", jwk.public_of(key))
        return {"sign_key": tmp_path / "officer.key.jwk", "seal_key": log_state(tmp_path)}

    def test_rewritten(self, log, officer, tmp_path):
        """A person is erased by a statement that somebody signs who does not write the log."""
        for user in ("alice", "bob", "carol"):
            log.write(20, user, max_bytes=6_000, compress="gzip")
        rewrite(log.path, "bob", by="dpo", **officer)
        log.write(3)
        public = [tmp_path / "officer.pub.jwk"]
        verdict = log.verify(log.state, public_keys=public)
        assert {"erased by statement"} == set(kinds(verdict))
        rewrite(log.path, "carol", by="dpo", **officer)
        assert {"erased by statement"} == set(kinds(log.verify(log.state, public_keys=public)))
        prune(log.path, timedelta(), seal_key=log.state)
        assert {"pruned by statement": 1} == kinds(log.verify(log.state, public_keys=public))

    @pytest.mark.parametrize("between", [b'{"b":1}\n', b"torn", b'{"b":1}\ntorn'])
    def test_rewritten_where_it_began_late(self, log, officer, tmp_path, between, monkeypatch):
        """So it is from a log in which others wrote when its first line was begun."""
        write = os.write

        def interrupted(fd, data):
            if b'"opened"' in data:
                monkeypatch.setattr(os, "write", write)
                with log.path.open("ab") as file:
                    file.write(between)
            return write(fd, data)

        monkeypatch.setattr(os, "write", interrupted)
        log.write(3, "bob")
        log.write(3)
        report = rewrite(log.path, "bob", by="dpo", **officer)
        assert (3, []) == (report.events, report.untouched)
        log.write(3)
        verdict = log.verify(log.state, public_keys=[tmp_path / "officer.pub.jwk"])
        assert 1 == kinds(verdict)["erased by statement"]
        prune(log.path, timedelta(), seal_key=log.state)
        assert {"pruned by statement": 1} == kinds(log.verify(log.state))

    def test_rewritten_by_who_has_the_host(self, log, officer):
        """Nobody can tell an erasure that is not signed from what who has the host puts there."""
        log.write(20, max_bytes=6_000)
        rewrite(log.path, "alice", by="dpo", seal_key=log.state)
        verdict = log.verify(log.state)
        assert {"erased by statement"} == set(kinds(verdict, 2))
        assert "can have written anything into it" in verdict.first.message

    def test_rewritten_and_changed(self, log, officer, tmp_path):
        """What was rewritten is sealed then, and can't be changed later either."""
        log.write(20, max_bytes=6_000)
        log.write(20, "bob", max_bytes=6_000)
        rewrite(log.path, "bob", by="dpo", **officer)
        log.write(20)
        for path in sorted(log.path.parent.glob("app.jsonl.*")):
            data = path.read_bytes()
            lines = data.splitlines()
            if b'"rewritten"' not in lines[0]:
                continue
            for changed in (
                relinked([line.replace(b"alice", b"ALICE") for line in lines], 1, log.present()),
                relinked([line.replace(b"alice", b"ALICE") for line in lines], 1),
                relinked([*lines[:2], *lines[3:]], 1, log.present(), [log.present().number] * 99),
            ):
                path.write_bytes(b"".join(line + b"\n" for line in changed))
                public = [tmp_path / "officer.pub.jwk"]
                assert 1 == log.verify(public_keys=public).exit_code
            path.write_bytes(data)

    def test_erased(self, log, tmp_path):
        """A key that was destroyed is on record, sealed."""
        from hilt_logging.custody import erase

        store = {"erasable_by": "user_id", "key_store": tmp_path / "keys.db"}
        log.write(6, **store)
        erase("alice", key_store=tmp_path / "keys.db", log=log.path, seal_key=log.state)
        assert {"erased by statement": 1} == kinds(log.verify(log.state))


def log_state(folder):
    return folder / "app.seal"


def test_session_behind_it(log):
    """A session on a sealed log links its lines and seals nothing: that is found at the end only."""
    log.write()
    with hilt_logging.Session(log.path) as session:
        session.append(hilt_logging.events.feedback(1, session_id="s"))
    assert {"seals missing": 1} == kinds(log.verify(log.state), 1)
    log.write()
    assert {} == kinds(log.verify(log.state))


def test_compressed_by_others(log):
    """A file that somebody else compressed is read as well."""
    log.write(40, max_bytes=6_000)
    for path in log.path.parent.glob("app.jsonl.*"):
        with gzip.open(f"{path}.gz", "wb") as file:
            file.write(path.read_bytes())
        path.unlink()
    assert {} == kinds(log.verify(log.state))


def test_line_of_a_seal(log):
    """What a sealed line looks like."""
    log.write()
    line = next(line for line in log.lines if b'"seal"' in line)
    integrity = json.loads(line)["integrity"]
    assert ["chain", "seq", "prev", "seal", "digest"] == list(integrity)
    notice = json.loads(log.lines[0])["extensions"]["notice"]
    assert notice["seal_key"] == integrity["seal"].split(".")[0] == log.present().name
    assert json.loads(log.first.read_bytes())["k"] not in repr(log.verify())
    assert sharing._shared == {}


def test_seals_that_are_gone_before_a_line_that_is_accused():
    """What was not put down, because its line is accused already, can be taken back all the same."""
    findings, place = Findings(), Place("app.jsonl", 1)
    findings.add("altered", "tampering", "it is not what it was", place)
    findings.withdraw([findings.add("seals missing", "tampering", "some are", place)])
    assert ({"altered": 1}, 1) == (findings.counts(), findings.exit_code(strict=False))


class TestTakenBack:
    """What is taken back where more was found than is listed."""

    @pytest.mark.parametrize("count", [0, 999, 1000, 1200])
    def test_counts(self, count):
        """What was put down is counted no more, whatever became of it meanwhile, and nothing else."""
        findings = Findings()
        for number in range(count):
            findings.add("foreign", "told", "", Place("x", number + 1))
        with findings.noting() as some:
            findings.add("altered", "tampering", "", Place("y", 1))
            findings.add("altered", "unchecked", "", Place("y", 2))
            moved = findings.add("missing", "tampering", "", Place("y", 3))
            findings.add("unreadable", "unchecked", "", Place("y"))
        findings.add("altered", "unchecked", "", Place("y", 4))
        moved.kind = "moved"
        findings.change(some[0], "told", "erased by statement")
        findings.withdraw(some)
        findings.withdraw(some)
        expected = {"foreign": count, "altered": 1}
        assert {kind: n for kind, n in expected.items() if n} == findings.counts()
        assert 2 == findings.exit_code(strict=False)

    def test_judged_milder(self):
        """Tampering that is explained by a statement is none, also where it is not listed."""
        findings = Findings()
        for number in range(1000):
            findings.add("foreign", "told", "", Place("x", number + 1))
        found = findings.add("file missing", "tampering", "", Place("y", 1))
        findings.change(found, "told", "pruned by statement")
        assert {"foreign": 1000, "pruned by statement": 1} == findings.counts()
        assert 0 == findings.exit_code(strict=False)

    def test_late_lines(self, log):
        """Lines that came late behind a thousand others are no tampering, with seals or without."""
        handler = log.open()
        say(3)
        with log.path.open("ab") as file:
            file.write(b'{"a":1}\n' * 1200)
        write = os.write

        def interrupted(fd, data):
            if b"Hello" in data:
                os.write = write
                with log.path.open("ab") as file:
                    file.write(b'{"b":1}\n')
            return write(fd, data)

        os.write = interrupted
        try:
            say(2)
        finally:
            os.write = write
        log.close(handler)
        verdict = log.verify(log.state)
        assert (0, {"foreign"}) == (verdict.exit_code, {*verdict.counts})  # the first 1000
