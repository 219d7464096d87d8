"""What the handler writes is verified: no crash, rotation or erasure is taken for tampering."""

from __future__ import annotations

import gzip
import logging
import os
import signal
import time

from datetime import timedelta

import pytest

import hilt_logging

from hilt_logging.custody import erase, prune, rewrite, verify
from hilt_logging.safeguards.jwk import generate, public_of, write_new


@pytest.fixture
def keys(tmp_path):
    """The files of a private key and of the public one."""
    key = generate("Ed25519")
    write_new(tmp_path / "k.key.jwk", key)
    write_new(tmp_path / "k.pub.jwk", public_of(key))
    return tmp_path / "k.key.jwk", tmp_path / "k.pub.jwk"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "app.jsonl"


@pytest.fixture
def open_handler(hilt, path, keys):
    """Opens a handler that signs."""

    def open_(**options):
        options = {"evidence": True, "sign_key": keys[0], "checkpoint_every": 25, **options}
        handler = hilt_logging.HILTFileHandler(path, **options)
        hilt.addHandler(handler)
        return handler

    return open_


@pytest.fixture
def close(hilt):
    def close_(handler):
        hilt.removeHandler(handler)
        handler.close()

    return close_


@pytest.fixture
def check(path, keys):
    """Verifies the log."""
    return lambda **options: verify(path, public_keys=[keys[1]], **options)


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


def kinds(verdict):
    assert 0 == verdict.exit_code, verdict
    return verdict.counts


def test_closed(open_handler, close, check):
    """A log that was closed is whole; the events, the notices and the checkpoints are its lines."""
    handler = open_handler()
    say(60)
    close(handler)
    verdict = check()
    assert {} == kinds(verdict)
    (chain,) = verdict.chains
    assert (True, chain.last_seq) == (chain.is_closed, chain.last_signed)
    assert chain.checkpoints == chain.signatures > 2


def test_unsigned(open_handler, close, path):
    """The same without a key."""
    close_now = open_handler(sign_key=None)
    say(60)
    close(close_now)
    assert {} == kinds(verify(path))


def test_processes(open_handler, close, forked, path, check):
    """Four processes that rotate and compress one file leave one chain."""

    def work():
        handler = open_handler(max_bytes=20_000, compress="gzip")
        say(200)
        close(handler)

    assert [0] * 4 == [forked.wait(pid) for pid in [forked.start(work) for _ in range(4)]]
    verdict = check()
    assert {} == kinds(verdict)
    assert verdict.files > 5
    assert verdict.chains[0].lines == verdict.lines > 800


@pytest.mark.parametrize(
    ("change", "kind", "line"),
    [
        (
            lambda lines: [*lines[:-2], lines[-2].replace(b"Hello", b"HELLO"), lines[-1]],
            "altered",
            6,
        ),
        (lambda lines: [*lines[:-2], b"x" + lines[-2], lines[-1]], "altered", 6),
        (lambda lines: [*lines[:-2], lines[-2][:-9] + b"\n", lines[-1]], "altered", 6),
        (lambda lines: [*lines[:-1], b"x" + lines[-1]], "bad signature", 7),
        (lambda lines: [*lines[:-2], lines[-1]], "missing", 6),
        (lambda lines: [*lines[:-3], lines[-1]], "missing", 5),
        (lambda lines: [*lines[:-3], lines[-2], lines[-1]], "missing", 5),
        (lambda lines: [*lines, lines[-1]], "repeated", 8),
        (lambda lines: [*lines, lines[2]], "repeated", 8),
        (lambda lines: [*lines[:-2], lines[-1], lines[-2]], "missing", 6),
    ],
)
def test_changed_before_a_restart(open_handler, close, check, path, change, kind, line):
    """What was done to the last lines while nobody wrote is found, too, once somebody writes on."""
    handler = open_handler()
    say(5)
    close(handler)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    before = check()
    handler = open_handler()
    say(2)
    close(handler)
    verdict = check()
    assert 1 == before.exit_code == verdict.exit_code, verdict
    assert (kind, line) == (verdict.first.kind, verdict.first.line)


def test_forked(open_handler, close, forked, check):
    """A child goes on in its parent's chain."""
    handler = open_handler()
    say(5)
    assert 0 == forked.run(lambda: say(30))
    say(5)
    close(handler)
    assert {"not closed": 1} == kinds(check())


def test_killed(open_handler, close, forked, check, path):
    """Processes that are killed, and lines that they tear, are told."""

    ready = path.with_name(".ready")

    def work():
        open_handler(max_bytes=50_000)
        say(10)
        ready.touch()
        while True:
            say(10)

    for _ in range(3):
        pid = forked.start(work)
        until = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < until:
            time.sleep(0.01)
        ready.unlink()
        os.kill(pid, signal.SIGKILL)
        forked.wait(pid)
        with open(path, "ab") as file:
            file.write(b'{"hilt_version":"1.0.0","event_id":"torn')
    handler = open_handler()
    say(3)
    close(handler)
    assert {"not closed": 3, "torn": 3} == kinds(check())


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_logrotate(open_handler, close, check, path, ending):
    """Files that others renamed, and compressed, go on with the chain."""
    handler = open_handler(external_rotation="strict")
    for number in range(4):
        say(20)
        for age in range(number, 0, -1):
            os.rename(f"{path}.{age}{ending}", f"{path}.{age + 1}{ending}")
        os.rename(path, f"{path}.1")
        say(1)  # from now on nobody writes to the renamed file
        if ending:
            with open(f"{path}.1", "rb") as source, gzip.open(f"{path}.1.gz", "wb") as file:
                file.write(source.read())
            os.unlink(f"{path}.1")
    close(handler)
    verdict = check()
    assert {} == kinds(verdict)
    assert 5 == verdict.files


def test_retention(open_handler, close, check, path):
    """Files that the handler deleted by itself are told as pruned by statement."""
    handler = open_handler(max_bytes=10_000, backup_count=2)
    for _ in range(10):
        say(30)
        time.sleep(0.05)
    close(handler)
    handler = open_handler(max_bytes=10_000, backup_count=2)
    say(30)
    close(handler)
    counts = kinds(check())
    assert {"pruned by statement": 1} == counts


def test_saved_checkpoints(open_handler, close, check, path, tmp_path):
    """What the logger `hilt.integrity` has is found in the log, and tells when its end is gone."""
    saved = tmp_path / "saved.jsonl"
    elsewhere = hilt_logging.HILTFileHandler(saved)
    logger = logging.getLogger("hilt.integrity")
    logger.addHandler(elsewhere)
    logger.propagate = False
    try:
        handler = open_handler()
        say(80)
        close(handler)
    finally:
        logger.removeHandler(elsewhere)
        logger.propagate = True
        elsewhere.close()
    verdict = check(checkpoints=saved)
    assert {} == kinds(verdict)
    assert [] == verdict.limits
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-20]))
    assert "cut off" == check(checkpoints=saved).first.kind


def test_pruned(open_handler, close, check, path, keys):
    """Files that were deleted by `prune` are told."""
    handler = open_handler(max_bytes=10_000)
    say(200)
    close(handler)
    time.sleep(0.01)
    prune(path, timedelta(0), sign_key=keys[0])
    assert {"pruned by statement"} <= set(kinds(check()))


def test_rewritten(open_handler, close, check, path, keys):
    """A person who was erased by rewriting files is told, and nothing else."""
    handler = open_handler(max_bytes=10_000)
    for user in ("alice", "bob"):
        say(60, user)
    close(handler)
    report = rewrite(path, "alice", sign_key=keys[0], by="dpo")
    counts = kinds(check())
    assert {"erased by statement"} == set(counts)
    assert counts["erased by statement"] >= len(report.files) > 1
    data = b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())
    assert b"conv-bob" in data
    assert b'"user_id":"alice"' not in data


def test_key_destroyed(open_handler, close, check, path, keys, tmp_path):
    """A person whose key was destroyed is told, and the chain is as it was."""
    store = tmp_path / "keys.db"
    handler = open_handler(erasable_by="user_id", key_store=store)
    say(20)
    erase("alice", key_store=store, paths=[path], log=path, by="dpo", sign_key=keys[0])
    say(5, "bob")
    close(handler)
    assert {"erased by statement": 1} == kinds(check())
