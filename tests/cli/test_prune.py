"""`hilt-log prune`."""

from __future__ import annotations

import pytest


@pytest.fixture
def log(written, an_event, strict_json):
    """A log with one rotated file of 2020 and one of today."""
    path = written("now")
    event = path.read_bytes()
    (path.parent / f"{path.name}.20200101T000000.000000000Z").write_bytes(
        event.replace(strict_json(event)["timestamp"][:4].encode(), b"2020")
    )
    (path.parent / f"{path.name}.20300101T000000.000000000Z").write_bytes(event)
    return path


def names(path):
    return sorted(each.name for each in path.parent.iterdir() if not each.name.startswith("."))


def test_old_files(hilt_log, log):
    """Rotated files whose last event is too old are deleted; the others and the live one stay."""
    done = hilt_log("prune", log, "--older-than", "180d")
    assert (0, "") == (done.code, done.err)
    assert "1 file deleted" in done.out
    assert ["app.jsonl", "app.jsonl.20300101T000000.000000000Z"] == names(log)


def test_without_doing_it(hilt_log, log):
    """With --dry-run it is only told what would be deleted."""
    before = names(log)
    done = hilt_log("prune", log, "--older-than", "26w", "--dry-run")
    assert (0, "", before) == (done.code, done.err, names(log))
    assert "app.jsonl.20200101T000000.000000000Z" in done.out
    assert "1 file would be deleted" in done.out


def test_json(hilt_log, log):
    """The report is JSON."""
    done = hilt_log("prune", log, "--older-than", "180d", "--json")
    assert (0, "") == (done.code, done.err)
    assert [f"{log}.20200101T000000.000000000Z"] == [each["path"] for each in done.json["files"]]
    assert (False, False) == (done.json["dry_run"], done.json["is_on_record"])


def test_nothing_is_old(hilt_log, log):
    """Where nothing is that old, nothing is deleted, which is no fault."""
    done = hilt_log("prune", log, "--older-than", "5200w")
    assert (0, "0 files deleted, 0 bytes\n", 3) == (done.code, done.out, len(names(log)))


@pytest.mark.parametrize("age", ["180", "d", "-1d", "1.5d", "1 d", "1y", "999999999w", "١d", ""])
def test_ages(hilt_log, log, age):
    """What is no age is wrong usage, and nothing is deleted."""
    done = hilt_log("prune", log, f"--older-than={age}")
    assert (2, "", 3) == (done.code, done.out, len(names(log)))
    assert "--older-than" in done.err


def test_file_that_cannot_be_read(hilt_log, log):
    """A file that can't be read stays, is named, and the exit code is 1; the others are deleted."""
    bad = log.parent / f"{log.name}.20190101T000000.000000000Z.gz"
    bad.write_bytes(b"\x1f\x8b no")
    done = hilt_log("prune", log, "--older-than", "180d")
    assert (1, True) == (done.code, bad.exists())
    assert f"{bad} stays: " in done.err
    assert "1 file deleted" in done.out


def test_empty_log(hilt_log, tmp_path):
    """An empty log stays."""
    (tmp_path / "app.jsonl").touch()
    assert 0 == hilt_log("prune", tmp_path / "app.jsonl", "--older-than", "1m").code
    assert (tmp_path / "app.jsonl").exists()


def test_log_that_is_not_there(hilt_log, tmp_path):
    """A log that is not there is named."""
    done = hilt_log("prune", tmp_path / "gone.jsonl", "--older-than", "1d")
    assert (3, "") == (done.code, done.out)
    assert "gone.jsonl" in done.err
