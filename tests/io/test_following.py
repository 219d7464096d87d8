"""Logs that are read while they are written, rotated, copied, truncated and compressed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import threading
import time

import pytest

import hilt_logging

from hilt_logging.errors import ConfigurationError, ReadError
from hilt_logging.io import _following
from hilt_logging.io.reader import follow


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.jsonl"


@pytest.fixture
def write(path, an_event):
    """Appends events with the given ids to a file."""

    def write_(*ids, to=path):
        with open(to, "ab") as file:
            file.writelines(json.dumps(an_event(event_id=each)).encode() + b"\n" for each in ids)

    return write_


@pytest.fixture
def following():
    """Follows logs, and closes what it followed."""
    made = []

    def follow_(*paths, **options):
        made.append(follow(*paths, errors=options.pop("errors", "raise"), **options))
        return made[-1]

    yield follow_
    for each in made:
        each.close()


def ids(found):
    return [event.event_id for event in found]


def resumed(follower):
    """The position as it comes back from a file."""
    return json.loads(json.dumps(follower.position))


class TestGrowing:
    def test_new(self, path, write, following):
        """What was written since comes once, in its order."""
        write("1", "2")
        follower = following(path)
        assert ["1", "2"] == ids(follower.new())
        assert [] == ids(follower.new())
        write("3")
        assert ["3"] == ids(follower.new())

    def test_missing_at_first(self, path, write, following):
        """A file that is not there yet is waited for, and so is its folder."""
        follower = following(path.parent / "later" / "app.jsonl")
        assert [] == ids(follower.new())
        (path.parent / "later").mkdir()
        assert [] == ids(follower.new())
        write("1", to=path.parent / "later" / "app.jsonl")
        assert ["1"] == ids(follower.new())

    def test_half_a_line(self, path, write, following, an_event):
        """A line that is written by half waits for its rest."""
        line = json.dumps(an_event(event_id="whole")).encode()
        follower = following(path)
        for part in (line[:10], line[10:100], line[100:]):
            with open(path, "ab") as file:
                file.write(part)
            assert [] == ids(follower.new())
        write(to=path)
        with open(path, "ab") as file:
            file.write(b"\n")
        assert ["whole"] == ids(follower.new())

    def test_from_end(self, path, write, following):
        """From the end on, there is only what is written later; a file that comes later is whole."""
        write("1")
        follower = following(path.parent, from_end=True)
        assert [] == ids(follower.new())
        write("2")
        write("other", to=path.parent / "b.jsonl")
        assert ["2", "other"] == ids(follower.new())

    def test_several(self, path, write, following):
        """Files that come into a directory are followed, too."""
        follower = following(path.parent)
        write("1")
        assert ["1"] == ids(follower.new())
        write("2", to=path.parent / "b.jsonl")
        write("3")
        assert ["3", "2"] == ids(follower.new())

    def test_bad_lines(self, path, write, following):
        """A line that is no event is reported with its number, and reading goes on."""
        reported = []
        write("1")
        path.write_bytes(path.read_bytes() + b"broken\n")
        write("2")
        follower = following(path, errors="skip", report=reported.append)
        assert ["1", "2"] == ids(follower.new())
        assert [(str(path), 2)] == [(error.path, error.line) for error in reported]

    def test_too_long(self, path, write, following, monkeypatch):
        """A line that is too long is reported once and not held."""
        monkeypatch.setattr(_following, "LONGEST", 100_000)
        reported = []
        follower = following(path, errors="skip", report=reported.append)
        write("1")
        for _ in range(5):
            with open(path, "ab") as file:
                file.write(b"x" * 70_000)
            list(follower.new())
        position = resumed(follower)
        with open(path, "ab") as file:
            file.write(b"\n")
        write("2")
        assert ["2"] == ids(follower.new())
        assert [2] == [error.line for error in reported]
        assert ["2"] == ids(following(path, position=position, errors="skip").new())

    def test_left_amid(self, path, write, following):
        """Whoever leaves amid new events gets the rest next time."""
        write(*"12345")
        follower = following(path)
        assert "1" == next(follower.new()).event_id
        position = resumed(follower)
        assert [*"2345"] == ids(follower.new())
        assert [*"2345"] == ids(following(path, position=position).new())

    def test_where(self, path, write, following):
        """Only what is asked for comes."""
        write(*"123")
        assert ["2"] == ids(following(path, where={"event_id": "2"}).new())

    def test_dicts(self, path, write, following, an_event):
        """Events are dicts where that is wanted."""
        write("1")
        assert [an_event(event_id="1")] == list(following(path, typed=False).new())

    def test_iteration(self, path, write, following):
        """Iteration waits for more until it is stopped, from any thread."""
        write("1")
        follower, found, enough = following(path, interval_s=0.01), [], threading.Event()

        def run():
            for event in follower:
                found.append(event.event_id)
                if event.event_id == "2":
                    enough.set()

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.1)
        write("2")
        assert enough.wait(20)
        follower.stop()
        thread.join(20)
        assert not thread.is_alive()
        assert ["1", "2"] == found


class TestRotation:
    def test_renamed(self, path, write, following):
        """A renamed file is read to its end before the new one."""
        follower = following(path)
        write("1")
        assert ["1"] == ids(follower.new())
        write("2")
        path.rename(f"{path}.1")
        write("3")
        assert ["2", "3"] == ids(follower.new())

    def test_written_late(self, path, write, following):
        """What is still written to a renamed file is not lost."""
        follower = following(path)
        write("1")
        list(follower.new())
        path.rename(f"{path}.1")
        write("2")
        assert ["2"] == ids(follower.new())
        write("late", to=f"{path}.1")
        position = resumed(follower)
        assert ["late"] == ids(follower.new())
        assert ["late"] == ids(following(path, position=position).new())

    def test_closed_after_a_while(self, path, write, following, monkeypatch):
        """A renamed file that was quiet is closed, and a torn line at its end is told then."""
        reported = []
        follower = following(path, errors="skip", report=reported.append)
        write("1")
        path.write_bytes(path.read_bytes() + b'{"torn')
        list(follower.new())
        path.rename(f"{path}.1")
        write("2")
        assert (["2"], []) == (ids(follower.new()), reported)
        monkeypatch.setattr(_following, "_LATE_S", 0)
        assert [] == ids(follower.new())
        assert 1 == len(follower.position["logs"][str(path)])
        assert [(f"{path}", 2)] == [(error.path, error.line) for error in reported]
        assert "has no end" in reported[0].reason

    def test_several_rotations(self, path, write, following):
        """Rotations that were not seen each are made up for, whatever numbers the files have now."""
        follower = following(path)
        write("1")
        assert ["1"] == ids(follower.new())
        for number in range(2, 6):
            for old in range(9, 0, -1):
                if os.path.exists(f"{path}.{old}"):
                    os.rename(f"{path}.{old}", f"{path}.{old + 1}")
            path.rename(f"{path}.1")
            write(str(number))
        assert [*"2345"] == ids(follower.new())
        assert [] == ids(follower.new())

    def test_compressed(self, path, write, following):
        """A file that was rotated and compressed in between is read as it is now."""
        follower = following(path)
        write("1")
        list(follower.new())
        position = resumed(follower)
        write("2")
        for name, event_id in (("2", "2"), ("1", "3")):
            (path.parent / f"{path.name}.{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
            write(str(int(event_id) + 1))
        assert ["2", "3", "4"] == ids(follower.new())
        assert ["2", "3", "4"] == ids(following(path, position=position).new())

    def test_moved_away(self, path, write, following):
        """A file that is moved where nobody looks is read to its end, and the new one follows."""
        follower = following(path)
        write("1")
        list(follower.new())
        write("2")
        (path.parent / "elsewhere").mkdir()
        path.rename(path.parent / "elsewhere" / "x")
        time.sleep(0.02)
        write("3")
        assert ["2", "3"] == ids(follower.new())

    def test_not_the_old_ones(self, path, write, following):
        """Without rotated files, reading begins with the live one, but follows rotation."""
        write("old", to=f"{path}.1")
        write("1")
        follower = following(path, rotated=False)
        assert ["1"] == ids(follower.new())
        path.rename(f"{path}.0")
        write("2")
        assert ["2"] == ids(follower.new())

    def test_unreadable(self, path, write, following, monkeypatch):
        """A file that can't be opened is told once, and the others are read."""
        reported = []
        write("1", to=f"{path}.1")
        write("2")

        def refuse(name, *args, **options):
            if str(name).endswith(".1"):
                raise PermissionError(13, "Permission denied", name)
            return open(name, *args, **options)

        monkeypatch.setattr(_following, "open", refuse, raising=False)
        follower = following(path, errors="skip", report=reported.append)
        assert ["2"] == ids(follower.new())
        assert [] == ids(follower.new())
        assert [f"Permission denied: {path}.1"] == list(map(str, reported))


class TestTruncation:
    def test_copytruncate(self, path, write, following):
        """What was not read before a file is copied and truncated is read in the copy."""
        follower = following(path)
        write("1")
        list(follower.new())
        position = resumed(follower)
        write("2")
        shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
        write("3")
        assert ["2", "3"] == ids(follower.new())
        assert [] == ids(follower.new())
        assert ["2", "3"] == ids(following(path, position=position).new())

    def test_longer_than_before(self, path, write, following):
        """A truncated file that has grown beyond the old place is told by its beginning."""
        follower = following(path)
        write("1")
        list(follower.new())
        os.truncate(path, 0)
        write(*"23456")
        assert [*"23456"] == ids(follower.new())

    def test_twice(self, path, write, following):
        """Two copies made between two looks are both read."""
        follower = following(path)
        write("1")
        list(follower.new())
        write("2")
        shutil.copyfile(path, f"{path}.2")
        os.truncate(path, 0)
        write("3")
        shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
        write("4")
        assert ["2", "3", "4"] == ids(follower.new())

    def test_hole(self, path, write, following):
        """A writer that does not append leaves NUL bytes; they are reported, its event is read."""
        reported = []
        follower = following(path, errors="skip", report=reported.append)
        write("1", "2")
        list(follower.new())
        at = path.stat().st_size
        shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
        os.truncate(path, at)
        write("3")
        assert ["3"] == ids(follower.new())
        assert [f"not an event: {at} NUL bytes"] == [error.reason for error in reported]


class TestPosition:
    def test_rotated_meanwhile(self, path, write, following):
        """Reading goes on in the renamed file, then in those that came after it."""
        write("1", "2")
        follower = following(path)
        assert "1" == next(follower.new()).event_id
        position = resumed(follower)
        path.rename(f"{path}.20261122T101112.000000000Z")
        write("3")
        path.rename(f"{path}.20261122T101113.000000000Z")
        write("4")
        assert ["2", "3", "4"] == ids(following(path, position=position).new())

    def test_gone(self, path, write, following):
        """If the file is gone, that is told, and what is newer is read."""
        reported = []
        write("1")
        follower = following(path)
        list(follower.new())
        position = resumed(follower)
        path.unlink()
        time.sleep(0.02)
        write("2")
        again = following(path, position=position, errors="skip", report=reported.append)
        assert ["2"] == ids(again.new())
        assert ["The file at which reading had ended is gone: events may be missing"] == [
            error.reason for error in reported
        ]

    def test_another_inode(self, path, write, following):
        """A log that was copied to another disk is found by what it begins with."""
        write("1", "2")
        follower = following(path)
        next(follower.new())
        position = resumed(follower)
        path.rename(path.with_name("x"))
        shutil.copyfile(path.with_name("x"), path)
        assert ["2"] == ids(following(path, position=position).new())

    def test_not_there_yet(self, path, write, following):
        """A position of a log that is not there is kept."""
        write("1")
        position = resumed(following(path))
        follower = following(path)
        list(follower.new())
        position = resumed(follower)
        path.rename(path.with_name("x"))
        again = following(path, position=position)
        assert [] == ids(again.new())
        assert position == resumed(again)

    def test_closed(self, path, write, following):
        """The position is there after closing, too."""
        write("1")
        with following(path) as follower:
            list(follower.new())
            before = resumed(follower)
        assert before == resumed(follower)

    @pytest.mark.parametrize(
        "position", [{}, {"logs": 1}, {"logs": {"a": [{}]}}, {"logs": {"a": 1}}, {"logs": None}]
    )
    def test_wrong(self, path, position):
        """A position that is none is an error at once."""
        with pytest.raises(ConfigurationError, match="Must be the position of a follower"):
            follow(path, position=position)


def test_no_path():
    """There must be something to follow."""
    with pytest.raises(ConfigurationError, match="Give at least one"):
        follow()


def test_raise(path, following):
    """With `raise`, a line that is no event ends reading; the next call goes on after it."""
    path.write_bytes(b"broken\n")
    follower = following(path)
    with pytest.raises(ReadError, match="line 1"):
        list(follower.new())
    assert [] == list(follower.new())


WRITER = """
import sys, hilt_logging
path, count, options = sys.argv[1], int(sys.argv[2]), eval(sys.argv[3])
hilt_logging.basic_config(path, **options)
for number in range(count):
    print(hilt_logging.emit(hilt_logging.events.feedback(number)), flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
@pytest.mark.parametrize("options", [{}, {"compress": "gzip"}], ids=["plain", "compressed"])
def test_our_rotation(path, following, in_child, options):
    """Each event that another process writes comes once, however often its handler rotates."""
    options = {"max_bytes": 10_000, **options}
    follower, found, told = following(path, interval_s=0.001), [], []

    def write():
        told.extend(in_child(WRITER, path, 1000, repr(options)).stdout.split())

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        found += ids(follower.new())
    found += ids(follower.new())
    assert 1000 == len(told)
    assert told == [each for each in found if each in set(told)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
@pytest.mark.parametrize("way", ["rename", "copytruncate"])
def test_external_rotation(path, following, way):
    """Nor does it matter that others rename the file, or copy and truncate it while nobody writes."""
    handler = hilt_logging.basic_config(path)
    follower, found, written = following(path), [], []
    for number in range(12):
        written += [hilt_logging.emit(hilt_logging.events.feedback(number)) for _ in range(20)]
        if number % 3:
            found += ids(follower.new())
        for old in range(20, 0, -1):
            if os.path.exists(f"{path}.{old}"):
                os.rename(f"{path}.{old}", f"{path}.{old + 1}")
        if way == "rename":
            path.rename(f"{path}.1")
        else:
            shutil.copyfile(path, f"{path}.1")
            os.truncate(path, 0)
        written += [hilt_logging.emit(hilt_logging.events.feedback(number)) for _ in range(3)]
        time.sleep(0.11)  # by then the handler follows
    handler.close()
    found += ids(follower.new())
    found += ids(follower.new())
    assert sorted(written) == sorted(found)
