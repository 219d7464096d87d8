"""Deleting what is too old: whole files, no others, and on record where lines are linked."""

from __future__ import annotations

import gzip
import json
import os

from datetime import timedelta

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, _ids
from hilt_logging.custody.prune import prune
from hilt_logging.custody.verify import verify
from hilt_logging.errors import ConfigurationError, ReadError, RecordingError
from hilt_logging.io.files import files_of, open_lines
from hilt_logging.safeguards import chain


DAY_NS = 86_400 * 10**9


@pytest.fixture
def log(tmp_path):
    return tmp_path / "app.jsonl"


@pytest.fixture
def days(log, hilt, an_event):
    """Writes a file for each of some days ago, rotated after it; the live one is of today."""

    def write(*ages, **options):
        import time

        handler = HILTFileHandler(log, **options)
        hilt.addHandler(handler)
        now = time.time_ns()
        for age in ages:
            at = _ids.timestamp(now - age * DAY_NS)
            for text in ("one", "two"):
                hilt_logging.emit(an_event(timestamp=at, content={"text": f"{text} {age}"}))
            if age:
                handler._appender.begin_new()
        hilt.removeHandler(handler)
        handler.close()

    return write


def _texts(log):
    events = (json.loads(line) for file in files_of(log) for line in open_lines(file))
    return [each["content"]["text"] for each in events if "content" in each]


def test_pruned(log, days):
    """Files whose last event is older are deleted, and all the others stay as they are."""
    days(400, 200, 181, 179, 1, 0)
    before = {each.path: open_lines(each) for each in files_of(log)}

    report = prune(log, timedelta(days=180))

    assert [*before][:3] == [each.path for each in report.files]
    assert ["one 179", "two 179", "one 1", "two 1", "one 0", "two 0"] == _texts(log)
    assert (False, {}) == (report.is_on_record, report.untouched)
    assert report.bytes == sum(each.bytes for each in report.files) > 0
    assert all(each.until < report.before for each in report.files)


def test_dry_run(log, days):
    """A dry run tells what would go, and nothing goes."""
    days(400, 1, 0)
    before = {each.name: each.read_bytes() for each in log.parent.iterdir()}

    report = prune(log, timedelta(days=180), dry_run=True)

    assert 1 == len(report.files)
    assert before == {each.name: each.read_bytes() for each in log.parent.iterdir()}


def test_compressed(log, days):
    """Compressed files are pruned as well."""
    days(400, 300, 1, compress="gzip")
    assert all(each.path.endswith(".gz") for each in files_of(log)[:2])

    assert 2 == len(prune(log, timedelta(days=180)).files)
    assert ["one 1", "two 1"] == _texts(log)


def test_last_event_counts(log, days):
    """One event that is young enough keeps its file; its times on the disk mean nothing."""
    days(400, 0)
    first = files_of(log)[0].path
    with open(first, "ab") as file:
        file.write(log.read_bytes())
    os.utime(first, ns=(0, 0))

    assert [] == prune(log, timedelta(days=180)).files


def test_no_events(log, days):
    """A file without any event is as old as its last change."""
    days(1, 0)
    first = files_of(log)[0].path
    with open(first, "wb") as file:
        file.write(b"torn\n")

    assert [] == prune(log, timedelta(days=180)).files
    os.utime(first, ns=(10**18, 10**18))
    assert [first] == [each.path for each in prune(log, timedelta(days=180)).files]


def test_logrotate(log, days):
    """Files that logrotate named are pruned, too."""
    days(400, 0)
    os.rename(files_of(log)[0].path, f"{log}.1")

    assert [f"{log}.1"] == [each.path for each in prune(log, timedelta(days=180)).files]


def test_live_file_stays(log, days, an_event):
    """The file that is written to is never deleted."""
    log.write_text(json.dumps(an_event(timestamp="2001-01-01T00:00:00.000000Z")) + "\n")

    assert [] == prune(log, timedelta(days=180)).files
    assert log.exists()


def test_in_use(log, days):
    """A file that somebody has open is left, and named."""
    days(400, 0)
    first = files_of(log)[0].path
    from hilt_logging.storage.exclusion import register

    fd = os.open(first, os.O_RDWR)
    register(fd)
    report = prune(log, timedelta(days=180), wait_s=0)
    os.close(fd)

    assert [first] == [*report.untouched]
    assert "has it open" in report.untouched[first]
    assert [first] == [each.path for each in prune(log, timedelta(days=180)).files]


def test_linked_file(log, days, tmp_path):
    """A file that stands elsewhere would still be there: it is left, and named."""
    days(400, 0)
    first = files_of(log)[0].path
    (tmp_path / "elsewhere").mkdir()
    os.rename(first, tmp_path / "elsewhere" / "old")
    os.symlink(tmp_path / "elsewhere" / "old", first)

    for dry_run in (True, False):
        report = prune(log, timedelta(days=180), dry_run=dry_run)
        assert ([], [first]) == (report.files, [*report.untouched])
        assert "is a link to" in report.untouched[first]


def test_half_done(log, days):
    """What an interrupted erasure left of a file goes with it."""
    days(400, 0)
    first = files_of(log)[0].path
    left = log.parent / f".{os.path.basename(first)}.erasing"
    left.write_text("what bob said")

    prune(log, timedelta(days=180))

    assert not left.exists()


def test_damaged(log, days):
    """A file that can't be read is left, and named."""
    days(400, 0)
    first = files_of(log)[0].path
    with open(first, "rb") as file:
        packed = gzip.compress(file.read())
    os.unlink(first)
    with open(f"{first}.gz", "wb") as file:
        file.write(packed[:-20])

    report = prune(log, timedelta(days=180))

    assert [f"{first}.gz"] == [*report.untouched]
    assert [] == report.files


def _linked(log):
    return [
        (line.removesuffix(b"\n"), chain.link_of(line.removesuffix(b"\n")))
        for file in files_of(log)
        for line in open_lines(file)
    ]


def test_on_record(log, days):
    """What is deleted of a chain is stated in it: which lines, up to which digest, and by whom."""
    days(400, 300, 1, 0, evidence=True)
    gone = [line.removesuffix(b"\n") for file in files_of(log)[:2] for line in open_lines(file)]
    links = [chain.link_of(line) for line in gone]
    names = [os.path.basename(file.path) for file in files_of(log)[:2]]

    report = prune(log, timedelta(days=180), by="dpo")

    assert report.is_on_record
    (statement,) = [line for line, _ in _linked(log) if b'"kind":"pruned"' in line]
    told = json.loads(statement)["extensions"]["notice"]
    assert ("dpo", names) == (told["by"], [each["name"] for each in told["files"]])
    assert links[0].seq == told["files"][0]["first_seq"]
    assert told["files"][0]["last_seq"] + 1 == told["files"][1]["first_seq"]
    assert links[-1].seq == told["files"][1]["last_seq"]
    assert chain.sha256(gone[-1]) == told["files"][1]["head"] == _linked(log)[0][1].prev
    assert chain.is_sealed(statement, chain.link_of(statement), {})
    verdict = verify([log])
    assert ["pruned by statement"] == [each.kind for each in verdict.findings]
    os.unlink(files_of(log)[0].path)
    assert "file missing" in {each.kind for each in verify([log]).findings}


def test_not_on_record(log, days, monkeypatch):
    """Where the statement can't be written nothing is deleted."""
    days(400, 0, evidence=True)
    before = [each.path for each in files_of(log)]
    from hilt_logging.storage.appender import Appender

    monkeypatch.setattr(Appender, "state", lambda self, notice: False)

    with pytest.raises(RecordingError):
        prune(log, timedelta(days=180))
    assert before == [each.path for each in files_of(log)]


@pytest.mark.parametrize("older_than", [timedelta(days=-1), 180, "180d", None])
def test_wrong_time(log, days, older_than):
    """What is no time span is an error that says so."""
    with pytest.raises(ConfigurationError, match="time span"):
        prune(log, older_than)


def test_no_log(tmp_path):
    """A log that is not there is an error, and none is made."""
    with pytest.raises(ReadError, match="not found"):
        prune(tmp_path / "missing.jsonl", timedelta(days=1))
    assert [] == [*tmp_path.iterdir()]


def test_an_age_before_all_time(log, days):
    """An age that reaches back before all time deletes nothing."""
    days(400, 0)

    assert [] == prune(log, timedelta(days=365_000)).files
