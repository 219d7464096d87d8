"""The files of a log in their order, and what is in them."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc

import pytest

from hilt_logging.errors import ReadError
from hilt_logging.io import files
from hilt_logging.io.files import DamagedFileError, files_of, open_blocks, open_lines


ONE, TWO, THREE = (f"2026112{day}T101112.000000000Z" for day in (1, 2, 3))


@pytest.fixture
def make(tmp_path):
    """Makes files that hold their own names."""

    def make_(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(f"{name}\n".encode())
        return tmp_path

    return make_


def names(found, folder):
    return [os.path.relpath(file.path, folder) for file in found]


class TestOrder:
    def test_own_rotation(self, make):
        """A log means its rotated files, the oldest first, and itself last."""
        folder = make(
            "a.jsonl", f"a.jsonl.{TWO}", f"a.jsonl.{ONE}", "b.jsonl", f"a.jsonl.{THREE}.gz"
        )
        found = files_of(folder / "a.jsonl")
        wanted = [f"a.jsonl.{ONE}", f"a.jsonl.{TWO}", f"a.jsonl.{THREE}.gz", "a.jsonl"]
        assert wanted == names(found, folder)
        assert [False, False, False, True] == [file.is_live for file in found]
        assert {str(folder / "a.jsonl")} == {file.log for file in found}

    @pytest.mark.parametrize(
        "rotated",
        [
            ["a.jsonl.10", "a.jsonl.2.gz", "a.jsonl.1"],
            ["a.jsonl-20251231.gz", "a.jsonl-20260101", "a.jsonl-20260102"],
            ["a.jsonl-20260101-1767225600.zst", "a.jsonl-20260101-1767225700"],
            ["a.jsonl.2026-01-01", "a.jsonl.2026-01-02_10-00-00"],
            ["a.2.jsonl.gz", "a.1.jsonl"],
            ["a-20260101.jsonl", "a-20260102.jsonl"],
            [f"a-{ONE}.jsonl", f"a-{TWO}.jsonl.gz"],
        ],
    )
    def test_other_names(self, make, rotated):
        """Numbers, dates and extensions of logrotate, and stamps that a namer moved, are understood."""
        folder = make("a.jsonl", *rotated)
        assert [*rotated, "a.jsonl"] == names(files_of(folder / "a.jsonl"), folder)

    @pytest.mark.parametrize("name", ["a.1.jsonl", "a-20260101.jsonl", "2026.log.jsonl", "1.jsonl"])
    def test_no_rotated_file(self, make, name):
        """A log of its own may have a number or a date in its name."""
        (file,) = files_of(make(name) / name)
        assert file.is_live

    def test_rotated_file_alone(self, make):
        """A rotated file that is named means itself; a log without its rotated files is to be had."""
        folder = make("a.jsonl", f"a.jsonl.{ONE}")
        assert [f"a.jsonl.{ONE}"] == names(files_of(folder / f"a.jsonl.{ONE}"), folder)
        assert ["a.jsonl"] == names(files_of(folder / "a.jsonl", rotated=False), folder)

    def test_log_is_gone(self, make):
        """A log of which only rotated files are left is those."""
        folder = make(f"a.jsonl.{ONE}.gz")
        assert [f"a.jsonl.{ONE}.gz"] == names(files_of(folder / "a.jsonl"), folder)

    def test_folder(self, make):
        """Of a folder the logs are taken, log by log, and nothing that stands beside them."""
        folder = make(
            "b.log.1", "b.log", "a.jsonl", "keys.db", f"a.jsonl.{ONE}", "x.pub.jwk", ".a.jsonl.lock",
            ".a.jsonl.chain", f"a.jsonl.{TWO}.gz.part", f"a.jsonl.erased/a.jsonl.{ONE}",
        )  # fmt: skip
        wanted = [f"a.jsonl.{ONE}", "a.jsonl", "b.log.1", "b.log"]
        assert wanted == names(files_of(folder), folder)

    def test_pattern(self, make, monkeypatch):
        """A pattern means what it matches, with rotated files; a file that is named so is that file."""
        monkeypatch.chdir(
            make("a.jsonl", f"a.jsonl.{ONE}", "b.jsonl", "c[1].jsonl", ".a.jsonl.lock")
        )
        wanted = [f"a.jsonl.{ONE}", "a.jsonl", "b.jsonl", "c[1].jsonl"]
        assert wanted == [file.path for file in files_of("*.jsonl")]
        assert wanted == [file.path for file in files_of(["*", "a.jsonl", "*.jsonl"])]
        assert ["c[1].jsonl"] == [file.path for file in files_of("c[1].jsonl")]

    def test_pattern_without_live_file(self, make):
        """A pattern means a log, too, of which the live file is gone, and no other name."""
        folder = make(
            "b.jsonl",
            f"a.jsonl.{ONE}.gz",
            f"a.jsonl.{TWO}",
            "c.txt.1",
            "a.jsonl.1.lock",
            ".d.jsonl.1",
        )
        wanted = [f"a.jsonl.{ONE}.gz", f"a.jsonl.{TWO}"]
        assert [*wanted, "b.jsonl"] == names(files_of(folder / "*.jsonl"), folder)
        assert wanted == names(files_of(folder / "a*.jsonl"), folder)
        assert ["b.jsonl"] == names(files_of(folder / "*.jsonl", rotated=False), folder)

    def test_half_compressed(self, make):
        """A file that is there plain, compressed and in part counts once, as the plain one."""
        name = f"a.jsonl.{ONE}"
        folder = make(name, f"{name}.gz", f"{name}.zst.part", f"a.jsonl.{TWO}.rotating")
        wanted = [name, f"a.jsonl.{TWO}.rotating"]
        assert wanted == names(files_of(folder), folder)
        assert wanted == names(files_of([folder / f"{name}.gz", folder]), folder)

    def test_same_date(self, make):
        """Two files that only mean the same day are two."""
        folder = make("a.jsonl-20260101", "a.jsonl-2026-01-01.gz")
        assert 2 == len(files_of(folder / "a.jsonl"))

    def test_rewritten(self, make):
        """A rewritten file takes the place of the one that it names, and of no other."""
        nearly, other = ONE.replace("000Z", "001Z"), ONE.replace("000Z", "002Z")
        folder = make(f"a.jsonl.{ONE}.gz", f"a.jsonl.{nearly}", f"a.jsonl.{other}")
        notice = {"kind": "rewritten", "replaces": {"name": f"a.jsonl.{ONE}"}}
        line = json.dumps({"extensions": {"notice": notice}})
        (folder / f"a.jsonl.{nearly}").write_text(f"{line}\n")
        wanted = [f"a.jsonl.{nearly}", f"a.jsonl.{other}"]
        assert wanted == names(files_of(folder), folder)

    def test_links(self, make):
        """A file that is named twice, also through a link, counts once."""
        folder = make("a.jsonl")
        os.symlink(folder / "a.jsonl", folder / "now.jsonl")
        assert 1 == len(files_of([folder / "a.jsonl", folder / "now.jsonl"]))


class TestMissing:
    @pytest.mark.parametrize("path", ["none.jsonl", "no/folder.jsonl", "none*.jsonl"])
    def test_raised(self, tmp_path, path):
        """A path that means no file is an error that names it."""
        with pytest.raises(ReadError) as caught:
            files_of(tmp_path / path)
        assert "none" in str(caught.value) or str(tmp_path / "no") in str(caught.value)

    def test_reported(self, make):
        """With a report, the other files are found."""
        folder = make("a.jsonl")
        errors = []
        found = files_of([folder / "none", folder / "a.jsonl"], report=errors.append)
        assert ["a.jsonl"] == names(found, folder)
        assert [("File not found", str(folder / "none"))] == [(e.reason, e.path) for e in errors]


def zstd(data):
    return pytest.importorskip("backports.zstd").compress(data)


def _random_text():
    return b"".join(b"%d %s\n" % (n, os.urandom(400).hex().encode()) for n in range(5000))


class TestLines:
    TEXT = b'{"a":1}\r\n\n' + "é\u2028\n".encode() + b"\0\0\0\nlast"
    LINES = [b'{"a":1}\r\n', b"\n", "é\u2028\n".encode(), b"\0\0\0\n", b"last"]

    @pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd])
    def test_as_they_are(self, tmp_path, packed):
        """Lines come byte for byte, from plain and compressed files, whatever these are called."""
        path = tmp_path / "a"
        path.write_bytes(packed(self.TEXT))
        assert self.LINES == list(open_lines(path))

    @pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
    def test_blocks(self, tmp_path, monkeypatch, chunk):
        """Blocks end with a line, whatever is read at once."""
        monkeypatch.setattr(files, "_CHUNK", chunk)
        path = tmp_path / "a"
        path.write_bytes(self.TEXT)
        blocks = list(open_blocks(path))
        assert self.TEXT == b"".join(blocks)
        assert all(block.endswith(b"\n") for block in blocks[:-1])
        assert self.LINES == list(open_lines(path))

    def test_empty(self, tmp_path):
        """An empty file has no lines."""
        (tmp_path / "a").touch()
        assert [] == list(open_lines(tmp_path / "a"))

    def test_members(self, tmp_path):
        """Compressed files that were joined are read to the end."""
        (tmp_path / "a").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
        assert [b"1\n", b"2\n"] == list(open_lines(tmp_path / "a"))

    @pytest.mark.parametrize("packed", [gzip.compress, zstd])
    def test_ends_early(self, tmp_path, packed):
        """A compressed file that ends early is told, after what could be read."""
        text = _random_text()
        data = packed(text)
        path = tmp_path / "a.gz"
        path.write_bytes(data[: len(data) * 3 // 4])
        lines = open_lines(path)
        got = []
        with pytest.raises(DamagedFileError) as caught:
            while True:
                got.append(next(lines))
        assert str(path) == caught.value.path
        assert got == text.splitlines(keepends=True)[: len(got)]
        assert 1000 < len(got) < 5000

    def test_damaged(self, tmp_path):
        """A flipped bit in a compressed file is told."""
        data = bytearray(gzip.compress(_random_text()))
        data[len(data) * 3 // 4] ^= 16
        (tmp_path / "a.gz").write_bytes(data)
        with pytest.raises(DamagedFileError, match=r"damaged: .*a\.gz"):
            list(open_lines(tmp_path / "a.gz"))

    @pytest.mark.parametrize(
        ("begin", "reason"), [(b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz"), (None, "regular")]
    )
    def test_unread(self, tmp_path, begin, reason):
        """What is compressed otherwise, and what is no file, is told and not taken for lines."""
        path = tmp_path / "a"
        if begin is None:
            os.mkfifo(path)
        else:
            path.write_bytes(begin + b"more")
        with pytest.raises(ReadError, match=reason):
            list(open_lines(path))

    @pytest.mark.parametrize("compressed", [False, True])
    def test_pipe(self, compressed):
        """A pipe that is open already is read like a file, as far as it has something by now."""
        reading, writing = os.pipe()
        with open(reading, "rb") as source, open(writing, "wb") as target:
            blocks = open_blocks("-", source)
            target.write(gzip.compress(b"a\nb\n") if compressed else b"a\nb\n")
            target.close() if compressed else target.flush()
            assert b"a\nb\n" == next(blocks)
            target.close()
            assert [] == list(blocks)

    def test_pipe_of_the_shell(self):
        """What a shell puts in the place of `<(command)` is read."""
        reading, writing = os.pipe()
        os.write(writing, b"a\n")
        os.close(writing)
        assert [b"a\n"] == list(open_lines(f"/dev/fd/{reading}"))
        os.close(reading)

    def test_size_of_blocks(self, tmp_path):
        """Blocks are as long as they are asked for, up to the line that ends them."""
        (tmp_path / "a").write_bytes(b"12\n" * 1000 + b"3" * 500 + b"\n4")
        blocks = list(open_blocks(tmp_path / "a", size=100))
        assert (tmp_path / "a").read_bytes() == b"".join(blocks)
        assert [b"4"] == [block for block in blocks if not block.endswith(b"\n")]
        assert 602 >= max(map(len, blocks))

    def test_unreadable(self, tmp_path, monkeypatch):
        """A file that can't be opened is told with its reason."""

        def refuse(*args, **options):
            raise PermissionError(13, "Permission denied", "secret")

        (tmp_path / "a").touch()
        monkeypatch.setattr(files, "open", refuse, raising=False)
        with pytest.raises(ReadError) as caught:
            list(open_lines(tmp_path / "a"))
        assert f"Permission denied: {tmp_path / 'a'}" == str(caught.value)

    def test_gone(self, tmp_path):
        """A file that is missing is told."""
        with pytest.raises(ReadError, match="File not found"):
            list(open_lines(tmp_path / "a"))

    def test_compressed_meanwhile(self, make):
        """A file that was compressed after it had been found is read where it is now."""
        folder = make("a.jsonl.1")
        (file,) = files_of(folder / "a.jsonl.1")
        os.unlink(file.path)
        (folder / "a.jsonl.1.gz").write_bytes(gzip.compress(b"same\n"))
        assert [b"same\n"] == list(open_lines(file))

    def test_shrinks(self, tmp_path, monkeypatch):
        """A file that becomes shorter while it is read is told."""
        monkeypatch.setattr(files, "_CHUNK", 10)
        path = tmp_path / "a"
        path.write_bytes(b"line\n" * 100)
        with pytest.raises(ReadError, match="shorter"):
            for _ in open_lines(path):
                os.truncate(path, 20)


class TestLong:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "a"
        with open(path, "wb") as file:
            file.write(b"first\n")
            for _ in range(100):
                file.write(b"x" * 1_000_000)
            file.write(b"\nlast\n")
        return path

    def test_passed_over(self, path):
        """A line of 100 MB is told with its number, costs no memory, and the next is read."""
        errors = []
        tracemalloc.start()
        try:
            lines = list(open_lines(path, report=errors.append))
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [b"first\n", b"last\n"] == lines
        assert [(str(path), 2)] == [(error.path, error.line) for error in errors]
        assert most < 60_000_000

    def test_raised(self, path):
        """Without a report it is an error."""
        with pytest.raises(ReadError, match="line 2"):
            list(open_lines(path))

    def test_blocks(self, path):
        """Blocks leave nothing out."""
        assert path.stat().st_size == sum(map(len, open_blocks(path)))

    def test_hole(self, tmp_path):
        """A hole of NULs, as a crash of the machine leaves it, is a long line."""
        path = tmp_path / "a"
        path.write_bytes(b"first\n")
        with open(path, "r+b") as file:
            file.truncate(50_000_000)
        errors = []
        assert [b"first\n"] == list(open_lines(path, report=errors.append))
        assert [2] == [error.line for error in errors]
