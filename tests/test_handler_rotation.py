"""Rotation by the handler itself and by others, with all that comes after it."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import logging.config
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

from types import SimpleNamespace

import pytest

from hilt_logging import HILTFileHandler, Session, emit
from hilt_logging.errors import ConfigurationError, MissingDependencyError
from hilt_logging.storage import appender as appender_module
from hilt_logging.storage import compression, rotation, upkeep
from hilt_logging.storage.exclusion import register


pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX only")
STAMP = r"\d{8}T\d{6}\.\d{9}Z"
LINE = 400  # about as many bytes as an event of these tests takes


def prompt(text):
    return {
        "actor": {"type": "human", "id": "bob"},
        "action": "prompt",
        "content": {"text": str(text)},
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.jsonl"


@pytest.fixture
def attached(hilt, path):
    """Attaches a handler for the log to the logger of events."""

    def attach(**options):
        handler = HILTFileHandler(path, **options)
        hilt.addHandler(handler)
        return handler

    return attach


def write(*texts):
    for text in texts:
        assert emit(prompt(text)) is not None


def texts_in(data):
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line)["content"]["text"] for line in data.splitlines()]


def content(path):
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def files(folder):
    """All that is in a folder, from name to texts; only the lock file is left out."""
    names = sorted(each for each in folder.iterdir() if each.name != ".app.jsonl.lock")
    return {each.name: texts_in(content(each)) for each in names}


def rotated(folder):
    """The texts of each file in the order of rotation, the live one last; names are checked."""
    found = files(folder)
    live = found.pop("app.jsonl")
    for name in found:
        assert re.fullmatch(rf"app\.jsonl\.{STAMP}(\.gz)?", name)
    return [*found.values(), live]


def everything(folder):
    return sorted(text for texts in rotated(folder) for text in texts)


@pytest.fixture
def clock(monkeypatch):
    """A clock that can be set forward, for rotation and for nothing else."""
    now = SimpleNamespace(offset=0.0)
    fake = SimpleNamespace(**vars(time))
    fake.time = lambda: time.time() + now.offset
    fake.time_ns = lambda: time.time_ns() + int(now.offset * 1_000_000_000)
    fake.monotonic = lambda: time.monotonic() + now.offset
    for module in (appender_module, rotation, upkeep):
        monkeypatch.setattr(module, "time", fake)

    def to(moment):
        now.offset = moment - time.time()

    now.to, now.time = to, fake.time
    return now


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            *(
                ({name: wrong}, f"Invalid {name}: {wrong!r}. Must be a number of {unit}, or 0")
                for name, unit in (
                    ("max_bytes", "bytes"), ("backup_count", "files"), ("max_total_bytes", "bytes"),
                )
                for wrong in (-1, True, 1.5, "10")
            ),
            *(
                ({"retain_days": wrong}, f"Invalid retain_days: {wrong!r}. Must be a number of")
                for wrong in (-1, True, "7", float("nan"), 1e9)
            ),
            *(
                ({"when": wrong}, f"Invalid when: {wrong!r}. Must be midnight, hourly, or up to")
                for wrong in ("noon", "", "0h", "25h", "6", "h", "-1h", "1.5h", "1w", 6, "99999d",
                              "6H", "6h ", "٣h")
            ),
            ({"utc": 0}, "Invalid utc: 0. Must be true or false"),
            ({"compress": "lzma"}, "Invalid compress: 'lzma'. Must be one of: gzip, zstd"),
            ({"compress": True}, "Invalid compress: True. Must be one of: gzip, zstd"),
            ({"namer": "my.namer"}, "Invalid namer: 'my.namer'. Must be callable"),
            ({"rotator": 1}, "Invalid rotator: 1. Must be callable"),
            ({"compress": "gzip", "rotator": os.rename}, "Invalid compress: 'gzip'. Must be left"),
            ({"external_rotation": "now"}, "Invalid external_rotation: 'now'. Must be one of: "),
        ],
    )  # fmt: skip
    def test_wrong(self, tmp_path, path, options, text):
        """A wrong option is named with its value and what is allowed, and nothing is opened."""
        with pytest.raises(ConfigurationError) as caught:
            HILTFileHandler(path, **options)
        assert str(caught.value).startswith(text)
        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("missing", ["backports", "backports.zstd", "compression"])
    def test_zstd_is_missing(self, path, monkeypatch, missing):
        """Without its package zstd is an error at set-up that names the extra."""
        if (sys.version_info >= (3, 14)) != (missing == "compression"):
            pytest.skip("not looked for by this Python")
        for name in [*sys.modules]:
            if f"{name}.".startswith(f"{missing}."):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)
        if parent := sys.modules.get(missing.rpartition(".")[0]):
            monkeypatch.delattr(parent, missing.rpartition(".")[2], raising=False)
        with pytest.raises(MissingDependencyError, match=r"hilt-logging\[zstd\]"):
            HILTFileHandler(path, compress="zstd")

    @pytest.mark.parametrize(
        "other", [{}, {"max_bytes": 2}, {"max_bytes": 1, "when": "1h"}, {"backup_count": 1}]
    )
    def test_shared(self, path, other):
        """Handlers for one file want the same, or the second one is an error."""
        first = HILTFileHandler(path, max_bytes=1)
        HILTFileHandler(path, max_bytes=1).close()
        with pytest.raises(ConfigurationError, match="in use in this process with other options"):
            HILTFileHandler(path, **other)
        first.close()
        HILTFileHandler(path, **other).close()

    def test_none_is_the_default(self, path):
        """None and 0 are what is meant by leaving an option out."""
        first = HILTFileHandler(path)
        none = dict.fromkeys(("max_bytes", "when", "backup_count", "max_total_bytes"))
        HILTFileHandler(path, **none, retain_days=0, compress=None).close()
        first.close()

    @pytest.mark.parametrize("session_first", [True, False])
    def test_session(self, tmp_path, path, attached, session_first):
        """A session has no rotation of its own, and follows that of a handler on its file."""
        if not session_first:
            attached(max_bytes=1)
        with Session(path) as session:
            if session_first:
                attached(max_bytes=1)
            for text in "abc":
                session.append(prompt(text), logger=logging.getLogger("nobody"))
        assert [["a"], ["b"], ["c"]] == rotated(tmp_path)


def test_dict_config(path, tmp_path):
    """All options can stand in a configuration, hooks as `ext://`."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "file": {
                "class": "hilt_logging.HILTFileHandler",
                "filename": str(path),
                "max_bytes": 1,
                "when": "midnight",
                "utc": False,
                "backup_count": 2,
                "max_total_bytes": 10_000,
                "retain_days": 200,
                "namer": "ext://os.path.normpath",
                "rotator": "ext://os.rename",
                "external_rotation": "strict",
            }
        },
        "loggers": {"hilt": {"level": "INFO", "handlers": ["file"], "propagate": False}},
    }
    for text in "abcd":
        logging.config.dictConfig(config)
        write(text)
    logging.getLogger("hilt").handlers[0].close()
    assert [["b"], ["c"], ["d"]] == rotated(tmp_path)


class TestMaxBytes:
    @pytest.mark.parametrize("large", ["x", "é" * 1000])
    def test_rotates(self, tmp_path, path, attached, large):
        """A file is rotated before it would get too large, and no line is in two files."""
        attached(max_bytes=5000)
        sent = [f"{number:03}{large}" for number in range(60)]
        write(*sent)
        found = rotated(tmp_path)
        assert sent == [text for texts in found for text in texts]
        sizes = [each.stat().st_size for each in sorted(tmp_path.glob("app.jsonl.*"))]
        line = sizes[0] // len(found[0])
        assert all(5000 - line < size <= 5000 for size in sizes)

    def test_exactly_full(self, tmp_path, path, attached):
        """A file may get exactly as large as that."""
        handler = attached()
        write("a")
        size = path.stat().st_size
        logging.getLogger("hilt").removeHandler(handler)
        handler.close()
        path.unlink()
        attached(max_bytes=3 * size)
        write(*"bcdefgh")
        assert [list("bcd"), list("efg"), ["h"]] == rotated(tmp_path)

    def test_large_event(self, tmp_path, attached):
        """An event that is larger than a file may be has a file by itself."""
        attached(max_bytes=3 * LINE)
        large = "x" * 5000
        write("a", large, "b", "c")
        assert [["a"], [large], ["b", "c"]] == rotated(tmp_path)

    @pytest.mark.parametrize("none", [{}, {"max_bytes": 0}, {"max_bytes": None}])
    def test_never(self, tmp_path, attached, none):
        """By default a file is never rotated."""
        attached(**none)
        write(*range(50))
        assert ["app.jsonl"] == list(files(tmp_path))

    def test_after_a_restart(self, tmp_path, attached):
        """What is in the file already counts."""
        first = attached(max_bytes=4 * LINE)
        write("a" * LINE, "b" * LINE)
        logging.getLogger("hilt").removeHandler(first)
        first.close()
        attached(max_bytes=4 * LINE)
        write("c" * LINE, "d")
        assert [["a" * LINE, "b" * LINE], ["c" * LINE, "d"]] == rotated(tmp_path)

    def test_torn_tail(self, tmp_path, path, attached):
        """A rotated file ends with a newline: its last line is what a crash left."""
        path.write_bytes(b'{"torn"')
        attached(max_bytes=LINE)
        write("a" * LINE)
        (aside,) = tmp_path.glob("app.jsonl.*")
        assert b'{"torn"\n' == aside.read_bytes()
        assert ["a" * LINE] == texts_in(path.read_bytes())

    def test_modes(self, tmp_path, path, attached):
        """The rotated file keeps its mode, the new one has that of the options."""
        path.write_bytes(b"x\n")
        path.chmod(0o644)
        attached(max_bytes=1, permissions="0640")
        before = os.umask(0)
        write("a")
        os.umask(before)
        (aside,) = tmp_path.glob("app.jsonl.*")
        assert (0o644, 0o640) == tuple(stat.S_IMODE(each.stat().st_mode) for each in (aside, path))

    def test_stats(self, attached):
        """Rotation is no event: everything is accepted and written."""
        handler = attached(max_bytes=1)
        write(*range(20))
        stats = handler.stats()
        assert (20, 20, 0) == tuple(stats[name] for name in ("accepted", "written", "dropped"))
        assert {} == stats["rotation_failures"]

    def test_durability(self, tmp_path, attached, monkeypatch):
        """What is to be brought to the disk every so many events is there before a rotation, too."""
        synced = []
        sync = os.fdatasync if hasattr(os, "fdatasync") else os.fsync
        monkeypatch.setattr(
            appender_module, "_fdatasync", lambda fd: synced.append(os.fstat(fd).st_ino) or sync(fd)
        )
        attached(max_bytes=1, durability="disk:100")
        write(*"abcd")
        *old, _live = sorted_by_stamp(tmp_path)
        assert [each.stat().st_ino for each in old] == synced

    def test_one_write(self, attached, monkeypatch):
        """A sole writer notices that rotation is due without asking: an event is one write."""
        attached(max_bytes=1_000_000, when="midnight")
        write("a", "b")
        asked = []
        for name in ("fstat", "stat", "open", "listdir"):
            call = getattr(os, name)
            monkeypatch.setattr(
                os, name, lambda *a, call=call, **o: asked.append(call.__name__) or call(*a, **o)
            )
        for _ in range(5):  # it looks every 100 ms at what the path names
            asked.clear()
            write("c")
            if not asked:
                break
        assert [] == asked

    def test_no_file(self, attached, tmp_path, path):
        """What is no regular file is never rotated."""
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        attached(max_bytes=1)
        write("a", "b")
        assert ["a", "b"] == texts_in(os.read(reading, 10_000))
        os.close(reading)
        assert [path] == [each for each in tmp_path.iterdir() if each.name[0] != "."]


NOON = 2_000_030_400 + 30 * 86_400  # 12:00:00Z of a day to come


class TestWhen:
    @pytest.mark.parametrize(
        ("when", "seconds"),
        [("midnight", 86_400), ("hourly", 3600), ("30m", 1800), ("6h", 6 * 3600), ("2d", 172_800)],
    )
    def test_rotates(self, tmp_path, path, attached, clock, when, seconds):
        """Each period gets a file of its own, and only the first event of one rotates."""
        begin = rotation_start(NOON, seconds)
        clock.to(begin + 10)
        path.touch()
        attached(when=when)
        write("a", "b")
        os.utime(path, (begin + 10, begin + 10))
        clock.to(begin + seconds - 10)
        write("c")
        os.utime(path, (begin + seconds - 10, begin + seconds - 10))
        clock.to(begin + seconds + 10)
        write("d", "e")
        clock.to(begin + 5 * seconds + 10)
        write("f", "g")
        assert [["a", "b", "c"], ["d", "e"], ["f", "g"]] == rotated(tmp_path)

    def test_names(self, tmp_path, attached, clock):
        """A file is called after the moment of its rotation, in UTC."""
        clock.to(NOON)
        attached(when="hourly")
        write("a")
        clock.to(NOON + 3600)
        write("b")
        stamp = time.strftime("%Y%m%dT%H", time.gmtime(NOON + 3600))
        assert list(files(tmp_path))[1].startswith(f"app.jsonl.{stamp}")

    def test_after_a_restart(self, tmp_path, path, attached):
        """A file of yesterday is rotated by whoever comes today."""
        first = attached(when="midnight")
        write("a")
        logging.getLogger("hilt").removeHandler(first)
        first.close()
        os.utime(path, (time.time() - 86_400, time.time() - 86_400))
        attached(when="midnight")
        write("b", "c")
        assert [["a"], ["b", "c"]] == rotated(tmp_path)

    def test_nothing_written(self, tmp_path, attached, clock):
        """A period without events leaves no file."""
        clock.to(NOON)
        attached(when="hourly")
        clock.to(NOON + 7200)
        write("a")
        assert {"app.jsonl": ["a"]} == files(tmp_path)

    def test_with_max_bytes(self, tmp_path, attached, clock):
        """Size and time work side by side."""
        clock.to(NOON)
        attached(when="hourly", max_bytes=2 * LINE)
        write("a", "b" * LINE, "c")
        clock.to(NOON + 3600)
        write("d")
        assert [["a"], ["b" * LINE], ["c"], ["d"]] == rotated(tmp_path)

    def test_that_failed(self, tmp_path, attached, clock, monkeypatch):
        """A rotation that could not be done at its time is made up for."""
        clock.to(NOON)
        handler = attached(when="hourly")
        write("a")
        with monkeypatch.context() as broken:
            broken.setattr(os, "rename", fails)
            clock.to(NOON + 3600)
            write("b")
        write("c")
        clock.to(NOON + 3602)
        write("d")
        assert [["a", "b", "c"], ["d"]] == rotated(tmp_path)
        assert {"EACCES": 1} == handler.stats()["rotation_failures"]


def rotation_start(moment, seconds):
    return rotation_period(seconds).start(moment)


def rotation_period(seconds):
    from hilt_logging.storage.options import Period

    return Period(seconds)


def fails(*args, **options):
    raise PermissionError(errno.EACCES, "no")


class TestRetention:
    def test_nothing_by_default(self, tmp_path, attached):
        """Nothing is ever deleted unless that is asked for."""
        attached(max_bytes=1).close()
        write(*range(60))
        assert [str(number) for number in range(60)] == [text for (text,) in rotated(tmp_path)]

    def test_backup_count(self, tmp_path, attached):
        """So many rotated files are kept, the newest ones."""
        handler = attached(max_bytes=1, backup_count=3)
        write(*range(20))
        handler.close()
        assert [["16"], ["17"], ["18"], ["19"]] == rotated(tmp_path)

    def test_max_total_bytes(self, tmp_path, attached):
        """All files together stay below, without the live one being touched."""
        handler = attached(max_bytes=1, max_total_bytes=4 * LINE)
        write("x" * LINE, *range(20))
        handler.close()
        found = rotated(tmp_path)
        size = sum(each.stat().st_size for each in tmp_path.glob("app.jsonl*"))
        assert 2 * LINE < size <= 4 * LINE
        assert [[str(number)] for number in range(20)][-len(found) :] == found

    def test_live_file_that_is_too_large(self, tmp_path, attached):
        """The live file stays, however large it is."""
        handler = attached(max_bytes=1, max_total_bytes=1)
        write("a", "b")
        handler.close()
        assert [["b"]] == rotated(tmp_path)

    def test_retain_days(self, tmp_path, attached):
        """What was rotated so many days ago is deleted, by the time in its name."""
        for days, name in ((8, "old"), (6, "young")):
            stamp = rotation.stamp_of(time.time_ns() - days * 86_400_000_000_000)
            (tmp_path / f"app.jsonl.{stamp}").write_text(json.dumps(prompt(name)) + "\n")
        handler = attached(max_bytes=1, retain_days=7)
        write("a", "b")
        handler.close()
        assert [["young"], ["a"], ["b"]] == rotated(tmp_path)

    def test_files_of_others(self, tmp_path, attached):
        """Only rotated files of this log are deleted."""
        stamp = "20200101T000000.000000000Z"
        others = {
            f"other.jsonl.{stamp}", f"app.jsonl.{stamp}.bak", f"app.jsonl.{stamp}.rotating",
            "app.jsonl.1", "app.jsonl-20200101", f"app.jsonl.x.{stamp}",
        }  # fmt: skip
        for name in others:
            (tmp_path / name).touch()
        (tmp_path / f"app.jsonl.{stamp}").touch()
        handler = attached(max_bytes=1, backup_count=1, max_total_bytes=1, retain_days=1)
        write("a")
        handler.close()
        assert others | {"app.jsonl"} == set(files(tmp_path))

    def test_file_in_use(self, tmp_path, attached, monkeypatch):
        """A file that somebody still writes to is deleted later."""
        handler = attached(max_bytes=1, backup_count=1)
        write("a", "b")
        (aside,) = tmp_path.glob("app.jsonl.*")
        with open(aside, "ab") as writing:
            assert register(writing.fileno())
            write("c", "d")
            handler.close()
            assert aside.exists()
        write("e")
        handler._appender.close()
        assert [["d"], ["e"]] == rotated(tmp_path)

    def test_file_that_cannot_be_deleted(self, tmp_path, attached, monkeypatch):
        """It is counted, and the event is written."""
        handler = attached(max_bytes=1, backup_count=1)
        monkeypatch.setattr(os, "unlink", fails)
        write("a", "b", "c")
        handler.close()
        assert handler.stats()["rotation_failures"]["EACCES"] >= 1
        assert (3, 0) == (handler.stats()["written"], handler.stats()["dropped"])
        monkeypatch.undo()
        assert ["a", "b", "c"] == everything(tmp_path)


class TestCompress:
    def test_gzip(self, tmp_path, path, attached):
        """Rotated files become `.gz`, with their mode; the live file stays as it is."""
        handler = attached(max_bytes=1, compress="gzip", permissions="0640")
        write(*range(20))
        handler.close()
        assert [[str(number)] for number in range(20)] == rotated(tmp_path)
        names = list(files(tmp_path))
        assert all(name.endswith("Z.gz") for name in names[1:])
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names[1:]}
        assert {0o640} == modes

    def test_zstd(self, tmp_path, path, attached):
        """So they do with zstd, where that is installed."""
        zstd = pytest.importorskip(
            "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
        )
        handler = attached(max_bytes=1, compress="zstd")
        write("a", "b")
        handler.close()
        (aside,) = tmp_path.glob("app.jsonl.*")
        assert aside.name.endswith("Z.zst")
        assert ["a"] == texts_in(zstd.decompress(aside.read_bytes()))

    def test_retention_of_compressed_files(self, tmp_path, attached):
        """Compressed files count like others."""
        handler = attached(max_bytes=1, compress="gzip", backup_count=2)
        write(*range(10))
        handler.close()
        assert [["7"], ["8"], ["9"]] == rotated(tmp_path)

    def test_file_in_use(self, tmp_path, attached, forked):
        """A file is left as it is as long as any process has it open for writing."""
        handler = attached(max_bytes=1, compress="gzip")
        write("a")
        first, second = os.pipe(), os.pipe()

        def holds():
            write("b")
            handler._appender._upkeep.close()  # what it does itself is done
            os.write(first[1], b".")
            os.read(second[0], 1)

        pid = forked.start(holds)
        os.read(first[0], 1)  # the child has followed to the file of b
        write("c", "d")
        handler.close()
        assert [["a"], ["b"], ["c"], ["d"]] == rotated(tmp_path)
        assert [".gz", "Z", ".gz"] == [
            re.sub(r".*\d", "", name)[-3:] for name in list(files(tmp_path))[1:]
        ]
        os.write(second[1], b".")
        assert 0 == forked.wait(pid)
        handler._appender._upkeep.close()
        assert [["a"], ["b"], ["c"], ["d"]] == rotated(tmp_path)
        assert 3 == len(list(tmp_path.glob("*.gz")))
        for fd in (*first, *second):
            os.close(fd)

    @pytest.mark.parametrize("moment", ["copying", "replacing", "unlinking"])
    def test_killed(self, tmp_path, attached, forked, monkeypatch, moment):
        """Whoever is killed amid a compression loses nothing, and another one does it again."""

        def killed(*args, **options):
            os.kill(os.getpid(), signal.SIGKILL)

        def dies():
            if moment == "copying":
                copy = compression._copy
                compression._copy = lambda *args: (copy(*args), args[1].flush(), killed())
            elif moment == "replacing":
                os.replace = lambda *args: killed()
            else:
                os.unlink = lambda *args: killed()
            handler = HILTFileHandler(tmp_path / "app.jsonl", max_bytes=1, compress="gzip")
            logging.getLogger("hilt").addHandler(handler)
            write("a", "b", "c")
            handler.close()

        assert -signal.SIGKILL == forked.run(dies)
        if moment != "unlinking":
            assert 1 == len(list(tmp_path.glob("*.gz.part")))
            assert [] == list(tmp_path.glob("*.jsonl.gz"))
        handler = attached(max_bytes=1, compress="gzip")
        write("d")
        handler.close()
        assert ["a", "d"] == [everything(tmp_path)[0], everything(tmp_path)[-1]]
        assert [] == list(tmp_path.glob("*.part"))
        assert all(name.endswith(".gz") for name in list(files(tmp_path))[1:])

    def test_left_over_part(self, tmp_path, attached):
        """A temporary file whose original is gone is cleaned up."""
        stamp = "20200101T000000.000000000Z"
        (tmp_path / f"app.jsonl.{stamp}.gz.part").touch()
        (tmp_path / f"other.jsonl.{stamp}.gz.part").touch()
        handler = attached(max_bytes=1, compress="gzip")
        write("a")
        handler.close()
        assert {"app.jsonl", f"other.jsonl.{stamp}.gz.part"} == set(files(tmp_path))

    def test_no_thread(self, tmp_path, attached, monkeypatch):
        """Where no thread can be started it is done at once."""

        def refuse(*args):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(upkeep._thread, "start_new_thread", refuse)
        attached(max_bytes=1, compress="gzip")
        write("a", "b")
        assert [["a"], ["b"]] == rotated(tmp_path)
        assert 1 == len(list(tmp_path.glob("*.gz")))

    def test_no_time(self, tmp_path, attached, monkeypatch):
        """What takes too long at the end is given up, and leaves the original alone."""
        monkeypatch.setattr(upkeep, "_LAST_S", -1)

        def refuse(*args):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(upkeep._thread, "start_new_thread", refuse)
        handler = attached(max_bytes=1, compress="gzip")
        write("a", "b")
        handler.close()
        assert [["a"], ["b"]] == rotated(tmp_path)
        assert [] == list(tmp_path.glob("*.gz*"))

    def test_at_the_end_of_a_program(self, tmp_path, path, in_child):
        """A program that simply ends leaves whole files, all compressed."""
        done = in_child(
            "import sys, hilt_logging\n"
            "hilt_logging.basic_config(sys.argv[1], max_bytes=1, compress='gzip')\n"
            "for n in range(5):\n"
            "    hilt_logging.emit({'actor': {'type': 'human', 'id': 'b'}, 'action': 'prompt',"
            " 'content': {'text': str(n)}})\n",
            path,
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert [["0"], ["1"], ["2"], ["3"], ["4"]] == rotated(tmp_path)
        assert 4 == len(list(tmp_path.glob("*.gz")))

    def test_disk_full(self, tmp_path, attached, monkeypatch):
        """A compression that fails leaves the original, and is counted."""

        def full(*args):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(compression, "_copy", full)
        handler = attached(max_bytes=1, compress="gzip")
        write("a", "b")
        handler.close()
        assert {"ENOSPC"} == set(handler.stats()["rotation_failures"])
        assert [["a"], ["b"]] == rotated(tmp_path)
        assert [] == list(tmp_path.glob("*.gz*"))


class TestHooks:
    def test_namer(self, tmp_path, attached):
        """The namer turns the usual name into another one."""
        seen = []

        def namer(usual):
            seen.append(usual)
            folder, name = os.path.split(usual)
            return os.path.join(folder, "old", name.replace("app.jsonl.", "") + ".txt")

        (tmp_path / "old").mkdir()
        handler = attached(max_bytes=1, namer=namer, backup_count=2)
        write(*"abcd")
        handler.close()
        names = sorted(each.name for each in (tmp_path / "old").iterdir())
        assert all(re.fullmatch(rf"{STAMP}\.txt", name) for name in names)
        assert [["b"], ["c"]] == list(files(tmp_path / "old").values())
        assert all(re.fullmatch(rf".*/app\.jsonl\.{STAMP}", usual) for usual in seen)

    def test_rotator(self, tmp_path, attached):
        """The rotator gets a file that nobody writes to, and the name that it shall have."""

        def rotator(source, target):
            with open(source, "rb") as file:
                data = file.read()
            with gzip.open(target, "wb") as file:
                file.write(data)
            os.remove(source)

        handler = attached(max_bytes=1, namer=lambda usual: usual + ".gz", rotator=rotator)
        write(*"abc")
        handler.close()
        assert [["a"], ["b"], ["c"]] == rotated(tmp_path)
        assert 2 == len(list(tmp_path.glob("*.gz")))

    @pytest.mark.parametrize("error", [RuntimeError("my secret"), OSError(errno.EIO, "x")])
    def test_namer_that_raises(self, tmp_path, path, attached, capsys, error):
        """It is counted and told without content; the events are kept, in the old file."""

        def namer(usual):
            raise error

        handler = attached(max_bytes=1, namer=namer)
        write(*"abc")
        cause = "EIO" if isinstance(error, OSError) else "RuntimeError"
        assert {cause: 1} == handler.stats()["rotation_failures"]
        assert (3, 0) == (handler.stats()["written"], handler.stats()["dropped"])
        assert {"app.jsonl": ["a", "b", "c"]} == files(tmp_path)
        told = capsys.readouterr().err
        assert (1, False) == (told.count(cause), "secret" in told)

    def test_rotator_that_raises(self, tmp_path, attached):
        """It is counted; the file waits under a name of its own and is offered again."""
        broken = [True]

        def rotator(source, target):
            if broken:
                raise RuntimeError("my secret")
            os.rename(source, target)

        handler = attached(max_bytes=1, rotator=rotator)
        write("a", "b")
        handler.close()
        assert {"RuntimeError"} == set(handler.stats()["rotation_failures"])
        _live, waiting = files(tmp_path)
        assert re.fullmatch(rf"app\.jsonl\.{STAMP}\.rotating", waiting)
        broken.clear()
        handler._appender.close()
        assert [["a"], ["b"]] == rotated(tmp_path)

    def test_namer_that_repeats_itself(self, tmp_path, attached):
        """A rotated file is never overwritten: the log goes on until the namer finds a new name."""
        handler = attached(max_bytes=1, namer=lambda usual: "the-same")
        write(*"abc")
        assert {"the-same": ["a"], "app.jsonl": ["b", "c"]} == files(tmp_path)
        assert {"EEXIST": 1} == handler.stats()["rotation_failures"]


class TestTrouble:
    def test_rename_fails(self, tmp_path, attached, monkeypatch, clock):
        """Writing goes on in the old file, and rotation is tried again once a second at most."""
        handler, tried = attached(max_bytes=1), []

        def fail(source, target):
            tried.append(source)
            raise OSError(errno.ENOSPC, "full")

        with monkeypatch.context() as broken:
            broken.setattr(os, "rename", fail)
            write(*"abcde")
            assert 1 == len(tried)
            clock.offset += 1.5
            write("f")
            assert 2 == len(tried)
        assert {"ENOSPC": 2} == handler.stats()["rotation_failures"]
        assert (6, 0) == (handler.stats()["written"], handler.stats()["dropped"])
        clock.offset += 1.5
        write("g")
        assert [list("abcdef"), ["g"]] == rotated(tmp_path)

    def test_read_only_directory(self, hilt, tmp_path, path, forked):
        """Where the folder is not ours to write to, all goes to the one file."""
        path.touch()

        def child():
            if os.geteuid() == 0:
                path.chmod(0o666)
                tmp_path.chmod(0o755)
                os.seteuid(65534)
            handler = HILTFileHandler(path, max_bytes=1)
            hilt.addHandler(handler)
            write("a", "b")
            assert 2 == handler.stats()["written"]

        reachable(tmp_path)
        if os.geteuid():
            tmp_path.chmod(0o500)
        assert 0 == forked.run(child)
        tmp_path.chmod(0o700)
        assert {"app.jsonl": ["a", "b"]} == files(tmp_path)

    def test_no_lock(self, tmp_path, attached, monkeypatch):
        """Without the lock nothing is rotated, because others might do it too."""
        attached(max_bytes=1)
        monkeypatch.setattr(appender_module.Exclusion, "take", lambda self: False)
        write(*"abc")
        assert {"app.jsonl": ["a", "b", "c"]} == files(tmp_path)

    def test_torn_tail_stays_apart(self, tmp_path, path, attached, monkeypatch):
        """Also where the rotation fails, no event is glued to what a crash left."""
        path.write_bytes(b'{"torn"')
        attached(max_bytes=1)
        monkeypatch.setattr(os, "rename", fails)
        write("a")
        torn, whole = path.read_bytes().splitlines()
        assert (b'{"torn"', ["a"]) == (torn, texts_in(whole + b"\n"))

    def test_no_descriptors(self, tmp_path, path, attached, monkeypatch):
        """If no new file can be opened after the rename, the renamed one takes the events."""
        handler = attached(max_bytes=LINE)
        write("a" * LINE)
        monkeypatch.setattr(appender_module, "opened", fails)
        write("b" * LINE, "c")
        assert not path.exists()
        monkeypatch.undo()
        (aside,) = tmp_path.glob("app.jsonl.*")
        assert ["a" * LINE, "b" * LINE, "c"] == texts_in(aside.read_bytes())
        assert 0 == handler.stats()["dropped"]


def reachable(folder):
    """Let another user go to a folder of pytest's, which are private."""
    for each in (folder, *list(folder.parents)[:3]):
        if each.stat().st_uid == os.getuid() and each != each.parent:
            each.chmod(each.stat().st_mode | 0o711)


PROCESSES = 4
EVENTS = 250


class TestProcesses:
    @pytest.mark.parametrize("round_", range(3))
    @pytest.mark.parametrize("compress", [None, "gzip"])
    @pytest.mark.parametrize("attached_by", ["parent", "child"])
    def test_several(self, tmp_path, path, attached, forked, round_, compress, attached_by):
        """Several processes lose nothing, rotate once at each time and never early."""
        limit = 10 * LINE
        options = {"max_bytes": limit, "compress": compress}
        if attached_by == "parent":
            parents = attached(**options)
            write("first")

        def child(name):
            handler = attached(**options) if attached_by == "child" else None
            write(*(f"{name}-{number:04}" for number in range(EVENTS)))
            if handler is not None:
                handler.close()

        pids = [forked.start(lambda name=name: child(name)) for name in range(PROCESSES)]
        assert [0] * PROCESSES == [forked.wait(pid) for pid in pids]
        if attached_by == "parent":  # the children ended amid what they did in threads
            parents.close()
        sent = [f"{name}-{number:04}" for name in range(PROCESSES) for number in range(EVENTS)]
        assert sorted(sent + ["first"] * (attached_by == "parent")) == everything(tmp_path)
        *old, _live = sorted_by_stamp(tmp_path)
        sizes = [len(content(each)) for each in old]
        line = max(sizes) // 10
        assert limit - 2 * line < min(sizes)
        assert max(sizes) < limit + PROCESSES * 2 * line

    def test_two_periods(self, tmp_path, path, attached, forked, clock):
        """Several processes rotate once at midnight."""
        clock.to(NOON)
        attached(when="midnight")
        write("a")
        clock.to(NOON + 86_400)
        pids = [forked.start(lambda name=name: write(name, name)) for name in range(PROCESSES)]
        assert [0] * PROCESSES == [forked.wait(pid) for pid in pids]
        first, second = rotated(tmp_path)
        assert (["a"], [str(name // 2) for name in range(2 * PROCESSES)]) == (first, sorted(second))

    def test_killed(self, tmp_path, attached, forked):
        """Whoever is killed amid rotations loses nothing that was accepted."""
        attached(max_bytes=2 * LINE, compress="gzip")
        for round_ in range(5):
            reading, writing = os.pipe()

            def child(writing=writing, round_=round_):
                for number in range(100_000):
                    write(f"{round_}-{number}")
                    os.write(writing, b".")

            pid = forked.start(child)
            os.close(writing)
            accepted = sum(len(os.read(reading, 1)) for _ in range(40))
            os.kill(pid, signal.SIGKILL)
            while data := os.read(reading, 1000):
                accepted += len(data)
            os.close(reading)
            assert -signal.SIGKILL == forked.wait(pid)
            write(f"{round_}-end")
            logging.getLogger("hilt").handlers[-1]._appender.close()
            found = {
                text
                for each in tmp_path.glob("app.jsonl*")
                if not each.name.endswith(".part")
                for text in texts_in(content(each))
            }
            assert {f"{round_}-{number}" for number in range(accepted)} <= found


def sorted_by_stamp(folder):
    live = folder / "app.jsonl"
    return [*sorted(folder.glob("app.jsonl.*")), live]


class TestExternal:
    @pytest.mark.parametrize("created", [True, False])
    def test_strict(self, tmp_path, path, attached, created):
        """With `strict` the very next event goes to the new file."""
        attached(external_rotation="strict")
        for number in range(20):
            write(number)
            path.rename(tmp_path / f"app.jsonl.{number:02}")
            if created:
                path.touch()
        write("last")
        assert ["last", *map(str, range(20))] == [text for (text,) in files(tmp_path).values()]

    def test_followed(self, tmp_path, path, attached, clock):
        """By default a renamed file is followed after 100 ms, and what comes before is whole."""
        attached()
        write("a")
        path.rename(tmp_path / "app.jsonl.1")
        write("b")
        clock.offset += 0.11
        write("c")
        assert {"app.jsonl": ["c"], "app.jsonl.1": ["a", "b"]} == files(tmp_path)

    @pytest.mark.parametrize("mode", ["follow", "strict"])
    def test_copytruncate(self, tmp_path, path, attached, mode):
        """A file that somebody cut gets the next line at its new end, without a hole."""
        attached(external_rotation=mode)
        write("a", "b")
        shutil.copy(path, tmp_path / "copy")
        os.truncate(path, 0)
        write("c")
        assert {"app.jsonl": ["c"], "copy": ["a", "b"]} == files(tmp_path)

    def test_cut_amid_a_line(self, tmp_path, path, attached):
        """Where the cut leaves half a line, the next one begins on its own."""
        attached()
        write("a")
        os.truncate(path, 20)
        write("b")
        torn, whole = path.read_bytes().splitlines()
        assert (20, ["b"]) == (len(torn), texts_in(whole + b"\n"))

    @pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
    @pytest.mark.parametrize("way", ["create", "nocreate", "copytruncate"])
    def test_logrotate(self, tmp_path, path, attached, way):
        """logrotate loses nothing while nobody writes; `create` loses nothing at all."""
        (tmp_path / "conf").mkdir()
        conf = tmp_path / "conf" / "logrotate.conf"
        user = "su root root" if os.geteuid() == 0 else ""
        conf.write_text(f"{path} {{\n rotate 9\n size 1\n {way}\n missingok\n {user}\n}}\n")
        conf.chmod(0o600)
        tmp_path.chmod(0o755)
        attached(external_rotation="strict")
        for number in range(4):
            write(number, f"{number}+")
            state = str(tmp_path / "conf" / "state")
            subprocess.run(["logrotate", "-f", "-s", state, str(conf)], check=True, timeout=60)
        write("last")
        shutil.rmtree(tmp_path / "conf")
        found = files(tmp_path)
        expected = {f"app.jsonl.{4 - number}": [f"{number}", f"{number}+"] for number in range(4)}
        assert {"app.jsonl": ["last"], **expected} == found


class Tail:
    """Reads as a log shipper does: each inode from the offset that was reached, never from less."""

    def __init__(self, folder):
        self.folder = folder
        self.offsets = {}
        self.lines = []
        self.held = {}

    def poll(self):
        for each in self.folder.glob("app.jsonl*"):
            try:
                file = open(each, "rb")  # noqa: SIM115 -- held open as a shipper does
            except FileNotFoundError:
                continue
            inode = os.fstat(file.fileno()).st_ino
            if inode in self.held:
                file.close()
            else:
                self.held[inode] = file
        for inode, file in self.held.items():
            assert os.fstat(file.fileno()).st_size >= self.offsets.get(inode, 0)
            file.seek(self.offsets.get(inode, 0))
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self.offsets[inode] = self.offsets.get(inode, 0) + len(whole)
            self.lines += texts_in(whole)

    def close(self):
        for file in self.held.values():
            file.close()


def test_tail(tmp_path, attached, forked):
    """A shipper that goes by inode and offset sees each line once through all rotations."""
    attached(max_bytes=5 * LINE)
    tail = Tail(tmp_path)

    def child(name):
        write(*(f"{name}-{number}" for number in range(EVENTS)))

    pids = [forked.start(lambda name=name: child(name)) for name in range(2)]
    deadline = time.monotonic() + 60
    sent = sorted(f"{name}-{number}" for name in range(2) for number in range(EVENTS))
    while len(tail.lines) < len(sent) and time.monotonic() < deadline:
        tail.poll()
    assert [0, 0] == [forked.wait(pid) for pid in pids]
    tail.poll()
    tail.close()
    assert sent == sorted(tail.lines)
