"""How far reading the files of a log is, as those who wait are told."""

from __future__ import annotations

import gzip
import itertools

from datetime import timedelta

import pytest

from hilt_logging import HILTFileHandler, custody, emit
from hilt_logging.custody._reading import Reading
from hilt_logging.io.files import files_of
from hilt_logging.safeguards.keystore import open_store


MIB = 1024 * 1024


@pytest.fixture
def told():
    """What was told, in pairs of what is done and of how much."""

    class Told(list):
        def __call__(self, done, total):
            self.append((done, total))

    return Told()


@pytest.fixture
def log(tmp_path, hilt, an_event):
    """A log of three files with events of alice, one of which is compressed."""
    path = tmp_path / "app.jsonl"
    handler = HILTFileHandler(path)
    hilt.addHandler(handler)
    for number in range(3):
        if number:
            handler._appender.begin_new()
        for _ in range(20):
            actor = {"type": "human", "id": "alice"}
            emit(an_event(actor=actor, extensions={"user_id": "alice"}))
    hilt.removeHandler(handler)
    handler.close()
    first = files_of(path)[0].path
    with open(first, "rb") as file, gzip.open(f"{first}.gz", "wb") as compressed:
        compressed.write(file.read())
    (tmp_path / first).unlink()
    return path


def is_whole(told):
    """Whether more and more was told, up to all of it."""
    done = [each for each, _ in told]
    (total,) = {each for _, each in told}
    return done == sorted(done) and done[-1] == total > 0


class TestReading:
    def test_long_file(self, tmp_path, told):
        """A long file is told of every MiB, and in the end."""
        path = tmp_path / "x.jsonl"
        path.write_bytes((b"x" * 1023 + b"\n") * 3500)
        (file,) = files_of(path)
        assert 3500 == sum(1 for _ in Reading([file], told).lines(file))
        size = path.stat().st_size
        assert [(MIB, size), (2 * MIB, size), (3 * MIB, size), (size, size)] == told

    def test_growing_file(self, tmp_path, told):
        """What is written meanwhile is read, and does not count."""
        path = tmp_path / "x.jsonl"
        path.write_bytes(b"one\n")
        (file,) = files_of(path)
        reading = Reading([file], told)
        path.write_bytes((b"x" * 1023 + b"\n") * 3500)
        assert 3500 == sum(1 for _ in reading.lines(file))
        assert (4, 4) == told[-1] == max(told)

    def test_left_alone(self, log, told):
        """Who stops amid a file is told nothing any more."""
        file, *_ = files = files_of(log)
        lines = Reading(files, told).lines(file)
        assert next(lines)
        lines.close()
        assert [] == told

    def test_more_than_once(self, log, told):
        """Where files are read several times, what need not be read counts as done."""
        files = files_of(log)
        reading = Reading(files, told, times=3)
        for file in files:
            for _ in itertools.repeat(None, 2):
                assert 20 == sum(1 for _ in reading.lines(file))
            reading.pass_over(file)
        assert is_whole(told)


class TestWork:
    def test_prune(self, log, told):
        """Looking for old files tells how far it is."""
        custody.prune(log, timedelta(days=1), dry_run=True, progress=told)
        assert is_whole(told)

    @pytest.mark.parametrize("subject", ["alice", "nobody"])
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_rewrite(self, log, told, subject, dry_run):
        """Rewriting tells how far it is, also where there is nothing to write."""
        report = custody.rewrite(log, subject, dry_run=dry_run, progress=told)
        assert (60 if subject == "alice" else 0) == report.events
        assert is_whole(told)

    def test_erase(self, log, told, tmp_path):
        """So does counting what was erased."""
        store = tmp_path / "keys.db"
        open_store("key_store", str(store)).key_for("user:alice")
        custody.erase("alice", key_store=store, paths=[log], progress=told)
        assert is_whole(told)

    def test_decrypt(self, log, told):
        """So does opening."""
        assert 60 == sum(1 for _ in custody.decrypt(log, progress=told))
        assert is_whole(told)
