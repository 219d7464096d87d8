"""Moving a file aside: names, periods, and who may have been first."""

from __future__ import annotations

import os
import re
import sys
import time

from pathlib import Path

import pytest

from hilt_logging.storage.exclusion import claim, register, unclaim
from hilt_logging.storage.options import FileOptions, Period
from hilt_logging.storage.rotation import Files, move_aside, stamp_of
from hilt_logging.storage.sharing import acquire, release


@pytest.fixture
def appender(tmp_path):
    """The appender of a file that is not there yet."""
    made = acquire(str(tmp_path / "a.jsonl"), 0o600, True)
    yield made
    release(made)


def test_name(appender, tmp_path):
    """The new name is the old one plus the time in UTC; nothing of the content changes."""
    (tmp_path / "a.jsonl").write_bytes(b"x\n")
    aside = move_aside(appender.path)
    assert re.fullmatch(r".*/a\.jsonl\.\d{8}T\d{6}\.\d{9}Z", aside)
    assert [aside] == [str(path) for path in tmp_path.iterdir()]
    with open(aside, "rb") as file:
        assert b"x\n" == file.read()


def test_never_twice(appender, tmp_path):
    """No name is used again, and names sort by time."""
    names = []
    for number in range(50):
        (tmp_path / "a.jsonl").write_text(f"{number}\n")
        names.append(move_aside(appender.path))
    assert sorted(set(names)) == names
    assert [f"{number}\n" for number in range(50)] == [Path(name).read_text() for name in names]


@pytest.mark.parametrize("there", ["nothing", "empty", "directory"])
def test_nothing_to_move(appender, tmp_path, there):
    """Where there is no file with content, nothing is moved, least of all a directory."""
    path = tmp_path / "a.jsonl"
    if there == "empty":
        path.touch()
    elif there == "directory":
        path.mkdir()
        (path / "precious").touch()
    before = sorted(tmp_path.rglob("*"))
    assert move_aside(appender.path) is None
    assert before == sorted(tmp_path.rglob("*"))


def test_another_was_first(appender, tmp_path, monkeypatch):
    """Where another process moves it at the same moment, there is nothing left to do."""
    (tmp_path / "a.jsonl").write_bytes(b"x\n")
    rename = os.rename

    def gone(source, target):
        os.unlink(appender.path)
        rename(source, target)

    monkeypatch.setattr(os, "rename", gone)
    assert move_aside(appender.path) is None


def test_clock_set_back(appender, tmp_path):
    """Also where the clock was set back, names only grow."""
    future = f"{appender.path}.20990101T000000.999999999Z"
    Path(future).write_text("later\n")
    (tmp_path / "a.jsonl").write_text("now\n")
    assert f"{appender.path}.20990101T000001.000000000Z" == move_aside(appender.path)


def test_name_that_is_no_time(appender, tmp_path):
    """After a name that no later one can follow, nothing is moved rather than overwritten."""
    (tmp_path / "a.jsonl.99999999T999999.999999999Z").touch()
    (tmp_path / "a.jsonl").write_text("now\n")
    with pytest.raises(OSError, match="later name than there can be"):
        move_aside(appender.path)
    assert "now\n" == (tmp_path / "a.jsonl").read_text()


def test_name_in_use(appender, tmp_path):
    """A file that is there is never replaced, whatever the namer says."""
    (tmp_path / "taken").write_text("precious")
    (tmp_path / "a.jsonl").write_text("now\n")
    with pytest.raises(FileExistsError):
        move_aside(appender.path, FileOptions(namer=lambda usual: "taken"))
    assert ("precious", "now\n") == (
        (tmp_path / "taken").read_text(),
        (tmp_path / "a.jsonl").read_text(),
    )


def test_namer_that_returns_the_log(appender, tmp_path):
    """A log is not its own rotated file."""
    (tmp_path / "a.jsonl").write_text("now\n")
    with pytest.raises(FileExistsError, match="the log itself"):
        move_aside(appender.path, FileOptions(namer=lambda usual: appender.path))


def test_folder_that_is_missing(appender, tmp_path):
    """A namer that names a folder which is not there fails aloud."""
    (tmp_path / "a.jsonl").write_text("now\n")
    with pytest.raises(FileNotFoundError):
        move_aside(appender.path, FileOptions(namer=lambda usual: f"no/{os.path.basename(usual)}"))


def test_files(tmp_path):
    """Only names that are made here are those of rotated files."""
    stamp = stamp_of(1_800_000_000_123_456_789)
    assert "20270115T080000.123456789Z" == stamp
    endings = ["", ".gz", ".zst", ".gz.part", ".zst.part", ".rotating"]
    for ending in endings:
        (tmp_path / f"a.jsonl.{stamp}{ending}").touch()
    for other in ("a.jsonl", f"b.jsonl.{stamp}", f"xa.jsonl.{stamp}", f"a.jsonl.{stamp}.bz2",
                  f"a.jsonl.{stamp}.gz.bak", f"a.jsonl-{stamp}", "a.jsonl.1", ".a.jsonl.lock"):  # fmt: skip
        (tmp_path / other).touch()
    found = list(Files(str(tmp_path / "a.jsonl")).all())
    assert {stamp} == {each.stamp for each in found}
    assert sorted(endings) == sorted(each.ending for each in found)


def test_files_of_a_namer(tmp_path):
    """What a namer made is found again, in its folder, if the time is in the name."""
    namer = lambda usual: f"old/{os.path.basename(usual)}.txt"  # noqa: E731
    files = Files(str(tmp_path / "a.jsonl"), namer)
    (tmp_path / "old").mkdir()
    for ending in ("", ".gz"):
        Path(files.name("20270115T080000.123456789Z") + ending).touch()
    (tmp_path / "old" / "a.jsonl.20270115T080000.123456789Z").touch()
    assert ["", ".gz"] == sorted(each.ending for each in files.all())


HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("seconds", "passed"),
    [
        (30 * 60, 12 * 60), (HOUR, 42 * 60), (6 * HOUR, 5 * HOUR + 42 * 60),
        (DAY, 17 * HOUR + 42 * 60), (7 * HOUR, 3 * HOUR + 42 * 60),
    ],
)  # fmt: skip
def test_period(seconds, passed):
    """A period begins at a whole multiple of its length after midnight."""
    now = 1_800_000_000 - 8 * HOUR + 17 * HOUR + 42 * 60  # 2027-01-15T17:42Z, a Friday
    assert now - passed == Period(seconds).start(now)


def test_period_of_days():
    """Days are counted through, so that every seventh one begins a period of seven."""
    starts = {Period(7 * DAY).start(1_800_000_000 + day * DAY) for day in range(70)}
    assert {7 * DAY} == {b - a for a, b in zip(sorted(starts), sorted(starts)[1:], strict=False)}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone can't be set")
def test_period_in_local_time(monkeypatch):
    """Local midnight is that of the day, also on days of 23 and 25 hours."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        if not time.daylight:
            pytest.skip("no time zones on this machine")
        midnights = (1_774_738_800, 1_792_879_200)  # 2026-03-29 and 2026-10-25, 00:00 local time
        for midnight, hours in zip(midnights, (23, 25), strict=True):
            for hour in range(hours):
                assert midnight == Period(DAY, utc=False).start(midnight + hour * HOUR + 1)
            assert midnight + hours * HOUR == Period(DAY, False).start(midnight + hours * HOUR)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_claim(tmp_path):
    """A file is claimed by nobody while it is open for writing, and then by one."""
    path = tmp_path / "a"
    writing, one, other = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(3))
    assert register(writing)
    assert not claim(one)
    os.close(writing)
    assert claim(one)
    assert not claim(other)
    assert not register(other)
    unclaim(one)
    assert claim(other)
    os.close(one)
    os.close(other)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_opening_what_is_claimed(appender, tmp_path):
    """A file that is being put away is not opened, but the one that comes after it."""
    (tmp_path / "a.jsonl").write_text("old\n")
    fd = os.open(tmp_path / "a.jsonl", os.O_RDONLY)
    assert claim(fd)
    with pytest.raises(OSError, match="busy"):
        appender.open()
    (tmp_path / "a.jsonl").rename(tmp_path / "old")
    appender.append(b"new", None)
    os.close(fd)
    assert ("old\n", "new\n") == (
        (tmp_path / "old").read_text(),
        (tmp_path / "a.jsonl").read_text(),
    )
