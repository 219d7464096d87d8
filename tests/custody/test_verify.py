"""Whether anybody changed a log: what is found, what is told, and what can't be shown."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import tracemalloc

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from hilt_logging import custody
from hilt_logging.custody import verify
from hilt_logging.errors import ConfigurationError
from hilt_logging.safeguards.jwk import JWK, generate, public_of, write_new


STAMP = "20260102T030405.%09dZ"
OTHER = "cd" * 16


@pytest.fixture
def log(make_log, private_key):
    """A signed log."""
    return make_log(private_key)


@pytest.fixture
def check(tmp_path, public_key):
    """Writes a log to files and verifies these."""

    def check_(log, key=public_key, name=None, **options):
        folder = log.write(tmp_path / "logs", name)
        return verify(folder / "a.jsonl", public_keys=[key] if key else [], **options)

    return check_


def found(verdict):
    """The findings, with the number of the file that own rotation names."""
    return [(each.kind, each.severity, _file(each.file), each.line) for each in verdict.findings]


def _file(path):
    name = os.path.basename(path or "")
    return int(name.split(".")[3][:-1]) if name.count(".") > 2 else "live" if name else None


def told(verdict):
    """What is told of a log that nobody changed."""
    assert 0 == verdict.exit_code, verdict
    return [(kind, file, line) for kind, _, file, line in found(verdict)]


def accused(verdict):
    """What is said to be tampering."""
    assert 1 == verdict.exit_code, verdict
    return [
        (kind, file, line)
        for kind, severity, file, line in found(verdict)
        if severity == "tampering"
    ]


class TestNames:
    def test_functions(self):
        """The public names are functions, also once the modules of the same names are loaded."""
        import hilt_logging.custody.verify  # noqa: F401

        assert {"decrypt", "erase", "prune", "rewrite", "verify"} <= set(dir(custody))
        assert all(callable(getattr(custody, name)) for name in custody.__all__)

    def test_others(self):
        """Another name is an error."""
        with pytest.raises(AttributeError, match="nothing"):
            _ = custody.nothing


class TestWhole:
    def test_closed(self, log, check):
        """Of a log that was closed there is nothing to say; the summary has its figures."""
        verdict = check(log.opened().add(5).checkpoint().add(3).closed())
        assert (0, []) == (verdict.exit_code, verdict.findings)
        (chain,) = verdict.chains
        assert (0, 10, 11, 2, 2) == (
            chain.first_seq, chain.last_seq, chain.lines, chain.checkpoints, chain.signatures
        )  # fmt: skip
        assert (10, True) == (chain.last_signed, chain.is_closed)
        size = sum(len(line) + 1 for line in log.lines)
        assert (1, 11, size) == (verdict.files, verdict.lines, verdict.bytes)
        assert 1 == len(verdict.limits)
        assert verdict.first is None
        assert json.loads(json.dumps(verdict.to_dict()))["exit_code"] == 0

    def test_unsigned(self, make_log, check):
        """A log with digests only is whole, and it is said that anybody could have written it."""
        verdict = check(make_log().opened().add(5).checkpoint().add(3).closed(), key=None)
        assert [] == told(verdict)
        assert "no signature" in verdict.limits[0]
        assert (0, 2) == (verdict.chains[0].signatures, verdict.chains[0].digests)

    def test_not_closed(self, log, check):
        """A crash, or a log that is at work, is told; strictly, it is not all right."""
        log.opened(1).opened(2).add(5).checkpoint().closed(2).add(3)
        assert [("not closed", "live", 1)] == told(check(log))
        assert not check(log).chains[0].is_closed
        assert 1 == check(log, strict=True).exit_code
        assert any("last 3 lines" in each for each in check(log).limits)

    def test_opened_again(self, log, check):
        """A process that comes again without having closed is one that crashed."""
        log.opened(1).add(2).opened(1).add(2).closed(1)
        assert [("not closed", "live", 1)] == told(check(log))

    @pytest.mark.parametrize(
        ("stray", "kind"),
        [
            (b'{"hilt_version":"1.0.0","event_id":"abc","con', "torn"),
            (b'{"a":1,"integrity":{"chain":"abab', "torn"),
            (b'{"a":1,"integrity":{"chain":"' + b"ab" * 16 + b'","seq":3,"prev":"00', "torn"),
            (b"\0" * 4096, "torn"),
            (b"", "torn"),
            (b"[" * 20_000, "foreign"),
            (b'{"level":"info","message":"hello"}', "foreign"),
            (b"Traceback (most recent call last):", "foreign"),
            (b'{"a":1,"integrity":{"chain":"' + b"ab" * 16 + b'","unlinked":true}}', "unlinked"),
            (b'{"a":1,"integrity":{"chain":"' + b"0" * 32 + b'","unlinked":true}}', "unlinked"),
        ],
    )
    def test_strays(self, log, check, stray, kind):
        """What stood there when the next line was written is told as what it is."""
        log.opened().add(2).stray(stray).add(2).stray(stray).stray(stray).add(1).closed()
        assert [(kind, "live", 4), (kind, "live", 7), (kind, "live", 8)] == told(check(log))

    def test_out_of_place(self, log, check):
        """A linked line that came too late for its place, and was covered, is told."""
        log.opened().add(2)
        before = log.last
        log.event()
        late = log.lines.pop()
        log.seq, log.head, log.last = log.seq, before, before
        log.stray(b'{"a":1,"integrity":{"chain":"' + b"0" * 32 + b'","unlinked":true}}')
        log.stray(late)
        log.checkpoint("cover").add(2).closed()
        assert [("unlinked", "live", 4), ("out of place", "live", 5)] == told(check(log))

    @pytest.mark.parametrize("end", [b'{"hilt', b'{"a":1,"integrity":{"chain":"abab', b"\0\0\0"])
    def test_torn_end(self, log, check, tmp_path, end):
        """A line that was not finished at the end is told."""
        log.opened().add(3).checkpoint().write(tmp_path / "logs")
        path = tmp_path / "logs" / "a.jsonl"
        path.write_bytes(path.read_bytes() + end)
        verdict = verify(path)
        assert {"not closed", "torn", "signatures not checked"} == set(verdict.counts)
        assert 2 == verdict.exit_code

    @pytest.mark.parametrize("end", [b'{"hilt', b'{"a":1,"integrity":{"chain":"abab', b'{"a":"}'])
    def test_torn_twice(self, log, check, end):
        """So are several, as a full disk leaves them."""
        log.opened().add(2).checkpoint()
        cut = log.add(1).lines.pop()[:-30]
        log.lines.extend([cut, end, cut])
        assert [("not closed", "live", 1)] + [("torn", "live", n) for n in (5, 6, 7)] == told(
            check(log)
        )

    def test_newline_torn(self, log, tmp_path, public_key):
        """A line of which only the newline is missing is a line; what was joined to it is one more."""
        log.opened().add(3).closed().write(tmp_path / "logs")
        path = tmp_path / "logs" / "a.jsonl"
        path.write_bytes(path.read_bytes()[:-1])
        assert [("torn", "live", 5)] == told(verify(path, public_keys=[public_key]))

    def test_late_begin(self, make_log, private_key, check):
        """A chain may begin in a log that had lines: they are told as not covered."""
        log = make_log(private_key)
        log.stray(b'{"old":1}').stray(b'{"old":2}').opened().add(2).closed()
        verdict = check(log)
        assert [("not covered", "live", 1)] == told(verdict)
        assert "2 lines" in verdict.findings[0].message

    def test_line_before_elsewhere(self, make_log, private_key, check):
        """A chain may follow lines that are not in the files."""
        log = make_log(private_key, previous="ef" * 32)
        assert [("not covered", "live", 1)] == told(check(log.opened().add(2).closed()))

    def test_new_chain(self, make_log, private_key, check):
        """A writer that does not find the chain begins a new one; both are verified."""
        one, two = make_log(private_key), make_log(private_key, OTHER)
        one.opened(1).add(2).closed(1).rotate(False)
        two.opened(2, previous_chain=one.chain).add(3).closed(2)
        one.files[-1] = two.files[0]
        verdict = check(one)
        assert [("not covered", "live", 1)] == told(verdict)
        assert [3 + 1, 4 + 1] == [chain.lines for chain in verdict.chains]

    def test_previous_chain(self, log, check):
        """A chain that was before, and of which no file is there, is told."""
        verdict = check(log.opened(previous_chain=OTHER).add(2).closed())
        assert [("not covered", "live", 1)] == told(verdict)
        assert OTHER in verdict.findings[0].message

    def test_loss(self, log, check):
        """Losses that were counted are told."""
        log.opened().add(1).notice("loss", dropped=17, by_cause={"ENOSPC": 17}).add(1).closed()
        verdict = check(log)
        assert [("counted loss", "live", 3)] == told(verdict)
        assert "17 events" in verdict.findings[0].message

    def test_long_line(self, log, check):
        """A line that is longer than what is read at once is verified, too."""
        log.opened().event("x" * 3_000_000).add(1).stray(b"y" * 40_000_000).add(2).closed()
        assert [("foreign", "live", 4)] == told(check(log))

    def test_longest_line(self, log, check, tmp_path):
        """A line of which only the end is kept is verified by its digest."""
        log.opened().event("x" * 40_000_000).add(2).closed()
        assert [] == told(check(log))
        path = tmp_path / "logs" / "a.jsonl"
        data = bytearray(path.read_bytes())
        data[1_000_000] ^= 1
        path.write_bytes(data)
        assert [("altered", "live", 2)] == accused(verify(path))


class TestRotation:
    @pytest.mark.parametrize("checkpoint", [True, False])
    @pytest.mark.parametrize(
        "name", ["a.jsonl.{stamp}", "a.jsonl.{age}", "a.{age}.jsonl", "a-{stamp}.jsonl"]
    )
    def test_names(self, log, check, checkpoint, name):
        """Own rotation and logrotate, with and without an extension, go on with the chain."""
        log.opened()
        for _ in range(12):
            log.add(2).rotate(checkpoint)
        verdict = check(log.add(1).closed(), name=name)
        assert (0, {}) == (verdict.exit_code, verdict.counts)
        assert 13 == verdict.files

    @pytest.mark.parametrize("kind", ["gz", "zst"])
    def test_compressed(self, log, tmp_path, public_key, kind):
        """Compressed files are read, and half compressed ones count once."""
        log.opened().add(20).rotate().add(20).rotate().add(2).closed()
        folder = log.write(tmp_path / "logs")
        for number in range(2):
            path = folder / f"a.jsonl.{STAMP % number}"
            if kind == "gz":
                data = gzip.compress(path.read_bytes())
            else:
                data = pytest.importorskip("backports.zstd").compress(path.read_bytes())
            (folder / f"{path.name}.{kind}").write_bytes(data)
            if number == 0:
                path.unlink()
        (folder / f"a.jsonl.{STAMP % 1}.{kind}.part").write_bytes(b"half")
        assert [] == told(verify(folder, public_keys=[public_key]))

    def test_fragment_at_end(self, log, tmp_path, public_key):
        """What was not finished before a rotation by others is covered by the next file."""
        log.opened().add(2).stray(b'{"torn"').rotate(False).add(3).closed()
        folder = log.write(tmp_path / "logs")
        path = folder / f"a.jsonl.{STAMP % 0}"
        path.write_bytes(path.read_bytes()[:-1])
        assert [("torn", 0, 4)] == told(verify(folder, public_keys=[public_key]))

    def test_copies(self, log, tmp_path, public_key):
        """Copies under names of their own are put in order by their lines."""
        log.opened()
        for _ in range(3):
            log.add(3).rotate()
        log.closed()
        for name, lines in zip("dacb", log.files, strict=True):
            (tmp_path / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        assert 0 == verify(tmp_path, public_keys=[public_key]).exit_code

    def test_one_file_alone(self, log, tmp_path, public_key):
        """Of a rotated file that is given alone, what stood before could not be checked."""
        log.opened().add(3).rotate().add(3).rotate().add(3).closed()
        folder = log.write(tmp_path / "logs")
        verdict = verify(folder / f"a.jsonl.{STAMP % 1}", public_keys=[public_key])
        assert [("file missing", "unchecked", 1, None)] == found(verdict)
        assert 2 == verdict.exit_code

    def test_pattern_of_rotated_files(self, log, tmp_path, public_key):
        """A log that a pattern means is whole although its live file is gone: its begin was to be there."""
        log.opened().add(3).rotate().add(3).rotate().add(3).closed()
        folder = log.write(tmp_path / "logs")
        (folder / "a.jsonl").unlink()
        verdict = verify(folder / "*.jsonl", public_keys=[public_key])
        assert (2, 0) == (verdict.files, verdict.exit_code)
        (folder / f"a.jsonl.{STAMP % 0}").unlink()
        for pattern, code in (("*.jsonl", 1), ("a.jsonl.*", 2)):
            verdict = verify(folder / pattern, public_keys=[public_key])
            assert code == verdict.exit_code

    def test_several_logs(self, make_log, private_key, tmp_path, public_key):
        """The logs of a folder are verified each by itself."""
        for number, chain in enumerate([OTHER, "ef" * 16]):
            log = make_log(private_key, chain).opened().add(3).rotate().add(number + 1).closed()
            folder = log.write(tmp_path / f"{number}")
            for path in folder.iterdir():
                path.rename(tmp_path / path.name.replace("a.", f"{number}."))
            folder.rmdir()
        verdict = verify(tmp_path, public_keys=[public_key])
        assert (0, {}) == (verdict.exit_code, verdict.counts)
        assert {OTHER: 7, "ef" * 16: 8} == {each.chain: each.lines for each in verdict.chains}

    def test_rotated_meanwhile(self, log, tmp_path, public_key, monkeypatch):
        """A log that is rotated while it is read is read on where it is now."""
        log.opened().add(3).rotate().add(3)
        folder = log.write(tmp_path / "logs")
        log.rotate().add(3).closed()
        (module,) = [each for each in _modules() if each.__name__.endswith("custody.verify")]
        listed = module.files_of

        def rotated(*args, **options):
            files = listed(*args, **options)
            log.write(folder)
            monkeypatch.setattr(module, "files_of", listed)
            return files

        monkeypatch.setattr(module, "files_of", rotated)
        verdict = verify(folder / "a.jsonl", public_keys=[public_key])
        assert (0, 3, {}) == (verdict.exit_code, verdict.files, verdict.counts)

    def test_progress(self, log, tmp_path):
        """Progress is told in bytes, up to all of them."""
        folder = log.opened().add(3).rotate().add(3).closed().write(tmp_path / "logs")
        size = sum(path.stat().st_size for path in folder.iterdir())
        steps = []
        verify(folder, progress=lambda *step: steps.append(step))
        assert (size, size) == steps[-1]
        assert sorted(steps) == steps


def _modules():
    import sys

    return [module for name, module in sys.modules.items() if name.startswith("hilt_logging")]


class TestUnchecked:
    def test_no_chain(self, tmp_path, make_log):
        """A log without links is never said to be all right."""
        log = make_log().stray(b'{"a":1}').stray(b'{"a":2}')
        verdict = verify(log.write(tmp_path / "logs"))
        assert 2 == verdict.exit_code
        assert ["nothing to verify"] == list(verdict.counts)
        assert "nothing to verify" == verdict.first.kind

    def test_nothing(self, tmp_path):
        """Neither is an empty folder, nor a path without a file."""
        assert 2 == verify(tmp_path).exit_code
        verdict = verify(tmp_path / "none.jsonl")
        assert (2, {"unreadable", "nothing to verify"}) == (verdict.exit_code, set(verdict.counts))

    def test_one_without_chain(self, log, tmp_path, public_key):
        """A log without links beside others is told."""
        folder = log.opened().add(2).closed().write(tmp_path / "logs")
        (folder / "plain.jsonl").write_text('{"a":1}\n')
        verdict = verify(folder, public_keys=[public_key])
        assert (2, {"not covered": 1}) == (verdict.exit_code, verdict.counts)

    def test_unreadable_file(self, log, tmp_path, public_key):
        """What can't be read is told, and what is missing by it is not called tampering."""
        log.opened().add(3).rotate().add(3).rotate().add(3).closed()
        folder = log.write(tmp_path / "logs")
        path = folder / f"a.jsonl.{STAMP % 1}"
        path.write_bytes(b"\xfd7zXZ\0")
        verdict = verify(folder, public_keys=[public_key])
        assert 2 == verdict.exit_code
        assert [("unreadable", "unchecked", 1, None), ("file missing", "told", "live", 1)] == found(
            verdict
        )

    @pytest.mark.parametrize("unreadable", [0, 1, 2])
    def test_tampering_beside_an_unreadable_file(self, log, tmp_path, public_key, unreadable):
        """What was done to other files is tampering, but for what may be in the one, at its edges."""
        log.opened().add(3).rotate().add(3).rotate().add(3).rotate().add(3).closed()
        whole = [list(lines) for lines in log.files]
        excused = {(unreadable - 1, len(whole[unreadable - 1]) - 1), (unreadable + 1, 0)}
        for index, lines in enumerate(whole):
            for number, line in enumerate(lines) if index != unreadable else ():
                changes = [[line[:5] + bytes([line[5] ^ 1]) + line[6:]], [b'{"a":1}', line]]
                if (index, number) not in {*excused, (3, len(lines) - 1)}:
                    changes.append([])
                for change in changes:
                    files = [list(each) for each in whole]
                    files[index][number : number + 1] = change
                    folder = log.write(tmp_path / "logs", files=files)
                    path = folder / f"a.jsonl.{STAMP % unreadable}"
                    path.write_bytes(b"\xfd7zXZ\0")
                    verdict = verify(folder, public_keys=[public_key])
                    assert 1 == verdict.exit_code, (index, number, change, verdict)

    def test_damaged_file(self, log, tmp_path, public_key):
        """A compressed file that is damaged was whole when it was made."""
        log.opened().add(300).rotate().add(3).closed()
        folder = log.write(tmp_path / "logs")
        path = folder / f"a.jsonl.{STAMP % 0}"
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        (folder / f"{path.name}.gz").write_bytes(packed[: len(packed) // 2])
        verdict = verify(folder, public_keys=[public_key])
        assert "altered" == verdict.first.kind
        assert 1 == verdict.exit_code

    def test_no_key(self, log, check):
        """A signed log without a key is not said to be all right."""
        verdict = check(log.opened().add(2).closed(), key=None)
        assert 2 == verdict.exit_code
        assert ["signatures not checked"] == list(verdict.counts)

    def test_nothing_signed_yet(self, log, check):
        """A log that crashed before its first checkpoint has nothing that is proven."""
        verdict = check(log.opened().add(2))
        assert 2 == verdict.exit_code
        assert {"signatures not checked", "not closed"} == set(verdict.counts)

    def test_wrong_key_file(self, tmp_path):
        """A key that is none is an error at once, and so is a private one."""
        with pytest.raises(ConfigurationError, match=r"none\.jwk"):
            verify(tmp_path, public_keys=[tmp_path / "none.jwk"])
        write_new(tmp_path / "k.jwk", generate("Ed25519"))
        with pytest.raises(ConfigurationError, match="private"):
            verify(tmp_path, public_keys=tmp_path / "k.jwk")

    def test_key_file(self, log, tmp_path, private_key):
        """A key may be given as its file."""
        folder = log.opened().add(2).closed().write(tmp_path / "logs")
        write_new(tmp_path / "k.pub.jwk", public_of(private_key.fields))
        assert 0 == verify(folder, public_keys=[tmp_path / "k.pub.jwk"]).exit_code


@pytest.fixture
def sweep(tmp_path, public_key):
    """Verifies bytes as a log that has one file."""
    path = tmp_path / "a.jsonl"

    def check_(data, key=public_key):
        path.write_bytes(data)
        return verify(path, public_keys=[key] if key else [])

    return check_


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


@pytest.fixture
def long(make_log, private_key):
    """A log of 200 lines, with what a log may have."""
    log = make_log(private_key).opened()
    for _ in range(9):
        log.add(19).checkpoint()
    return log.notice("loss", dropped=1).add(17).closed()


def bad_line(verdict):
    first = verdict.first
    assert 1 == verdict.exit_code
    assert "tampering" == first.severity
    return first.kind, first.line


@pytest.mark.once
@pytest.mark.untraced
class TestSweep:
    def test_every_bit(self, log, sweep):
        """A bit that is flipped anywhere in a log is found, and its line is named."""
        log.opened().add(2).checkpoint().add(1).closed()
        data = joined(log.lines)
        assert 0 == sweep(data).exit_code
        for place in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[place] ^= 1 << bit
                kind, line = bad_line(sweep(flipped))
                assert data[:place].count(b"\n") + 1 == line, (place, bit)
                assert kind in ("altered", "bad signature"), (place, bit)

    def test_a_bit_of_every_byte(self, make_log, sweep):
        """The same in a log that is not signed, for one bit of every byte."""
        log = make_log().opened().add(2).checkpoint().add(4).closed()
        data = joined(log.lines)
        assert 0 == sweep(data, None).exit_code
        chance = random.Random(data)
        for place in range(len(data)):
            flipped = bytearray(data)
            flipped[place] ^= 1 << chance.randrange(8)
            assert ("altered", data[:place].count(b"\n") + 1) == bad_line(sweep(flipped, None)), (
                place
            )

    def test_a_bit_of_some_bytes(self, long, sweep):
        """The same in a long one that is signed, for every nineteenth byte."""
        data = joined(long.lines)
        assert 200 == len(long.lines)
        chance = random.Random(data)
        for place in range(chance.randrange(19), len(data), 19):
            flipped = bytearray(data)
            flipped[place] ^= 1 << chance.randrange(8)
            kind, line = bad_line(sweep(flipped))
            assert data[:place].count(b"\n") + 1 == line, place
            assert kind in ("altered", "bad signature")

    def test_deleted(self, long, sweep):
        """A line that is deleted is missing; a last one that is gone is a log that was not closed."""
        for index in range(len(long.lines) - 1):
            lines = long.lines[:index] + long.lines[index + 1 :]
            kind, line = bad_line(sweep(joined(lines)))
            assert (("missing", index + 1) if index else ("file missing", None)) == (kind, line)
        assert [("counted loss", "live", 182), ("not closed", "live", 1)][::-1] == told(
            sweep(joined(long.lines[:-1]))
        )

    def test_swapped(self, long, sweep):
        """Lines that changed places are moved."""
        for index in range(len(long.lines) - 1):
            lines = list(long.lines)
            lines[index], lines[index + 1] = lines[index + 1], lines[index]
            kind, line = bad_line(sweep(joined(lines)))
            assert kind == "moved"
            assert line in ((index + 1,) if index else (None, 1, 2))

    def test_far_swapped(self, long, sweep):
        """So are lines that changed places with others far away."""
        for index in range(0, 150, 7):
            lines = list(long.lines)
            lines[index + 1], lines[index + 40] = lines[index + 40], lines[index + 1]
            kind, line = bad_line(sweep(joined(lines)))
            assert (index + 2, True) == (line, kind in ("moved", "altered"))

    def test_moved(self, long, sweep):
        """A line that was taken elsewhere is told where it was, and where it is."""
        for index in range(1, 190, 11):
            lines = list(long.lines)
            lines.insert(index + 9, lines.pop(index))
            verdict = sweep(joined(lines))
            assert ("moved", index + 1) == bad_line(verdict)
            assert f"line {index + 10}" in verdict.first.message
            lines.insert(index, lines.pop(index + 9))
            lines.insert(index, lines.pop(index + 9))
            assert ("moved", index + 1) == bad_line(sweep(joined(lines)))

    def test_repeated(self, long, sweep):
        """A line that stands twice is repeated, next to itself, later and earlier."""
        for index in range(len(long.lines)):
            lines = list(long.lines)
            lines.insert(index + 1, lines[index])
            assert ("repeated", index + 2) == bad_line(sweep(joined(lines)))
        for index in range(0, 190, 11):
            lines = list(long.lines)
            lines.insert(index + 9, lines[index])
            assert ("repeated", index + 10) == bad_line(sweep(joined(lines)))
            lines = list(long.lines)
            lines.insert(index + 1, lines[index + 9])
            assert ("repeated", index + 2) == bad_line(sweep(joined(lines)))

    def test_cut(self, long, sweep):
        """A line that was cut in its middle, with or without its newline, is altered."""
        data = joined(long.lines)
        begin = 0
        for index, line in enumerate(long.lines[:-1]):
            half, end = begin + len(line) // 2, begin + len(line)
            assert ("altered", index + 1) == bad_line(sweep(data[:half] + data[end:]))
            assert ("altered", index + 1) == bad_line(sweep(data[:half] + data[end + 1 :]))
            begin = end + 1

    def test_inserted(self, long, sweep):
        """A line that was put between others is foreign."""
        for index in range(len(long.lines) + 1):
            lines = list(long.lines)
            lines.insert(index, b'{"event_id":"x","action":"prompt"}')
            assert ("foreign", index + 1) == bad_line(sweep(joined(lines)))

    def test_file_dropped(self, log, tmp_path, public_key):
        """A rotated file that is gone is named by the one after it."""
        log.opened()
        for _ in range(5):
            log.add(3).rotate()
        log.add(1).closed()
        for name, age in (("a.jsonl.{stamp}", False), ("a.jsonl.{age}", True)):
            for index in range(5):
                folder = log.write(tmp_path / f"{index}{age}", name)
                gone = 5 - index if age else STAMP % index
                (folder / f"a.jsonl.{gone}").unlink()
                verdict = verify(folder / "a.jsonl", public_keys=[public_key])
                assert ("file missing", 1) == (verdict.first.kind, verdict.exit_code)

    def test_file_cut(self, log, tmp_path, public_key):
        """The end of a rotated file that is gone is told at its last line."""
        log.opened().add(9).rotate().add(9).rotate().add(1).closed()
        folder = log.write(tmp_path / "logs")
        path = folder / f"a.jsonl.{STAMP % 1}"
        path.write_bytes(joined(log.files[1][:4]))
        assert [("cut off", 1, 4)] == accused(verify(folder, public_keys=[public_key]))

    def test_first_lines_gone(self, log, tmp_path, public_key):
        """The begin of a file that is gone is told at its first line."""
        log.opened().add(9).rotate().add(9).closed()
        folder = log.write(tmp_path / "logs")
        for count, kind in ((1, "missing"), (3, "file missing")):
            (folder / "a.jsonl").write_bytes(joined(log.files[1][count:]))
            assert [(kind, "live", 1)] == accused(verify(folder, public_keys=[public_key]))


@st.composite
def changes(draw):
    """Some changes to the lines of a log: (what, where, where to, bytes)."""
    kinds = st.sampled_from(["delete", "move", "repeat", "insert", "overwrite", "cut", "join"])
    place = st.integers(0, 200)
    one = st.tuples(kinds, place, place, st.binary(max_size=40))
    return draw(st.lists(one, min_size=1, max_size=6))


def changed(lines, what, place, other, data):
    place, other = place % len(lines), other % len(lines)
    line = lines[place]
    match what:
        case "delete":
            return lines[:place] + lines[place + 1 :]
        case "move":
            rest = lines[:place] + lines[place + 1 :]
            return [*rest[:other], line, *rest[other:]]
        case "repeat":
            return [*lines[:other], line, *lines[other:]]
        case "insert":
            return [*lines[:place], data, *lines[place:]]
        case "overwrite":
            begin = other * 7 % (len(line) + 1)
            made = line[:begin] + data + line[begin + len(data) :]
            return [*lines[:place], made, *lines[place + 1 :]]
        case "cut":
            return [*lines[:place], line[: other * 7 % (len(line) + 1)], *lines[place + 1 :]]
    return [*lines[:place], line + b"".join(lines[place + 1 : place + 2]), *lines[place + 2 :]]


class TestAnything:
    @settings(max_examples=400, deadline=None)
    @given(some=changes())
    def test_changed(self, tmp_path_factory, make_log, some):
        """Whatever is done to a log, it is found, unless nothing but its end is gone."""
        log = make_log().opened().add(5).checkpoint().add(2).stray(b'{"torn').add(4).checkpoint()
        log = log.add(2).closed().lines
        lines = list(log)
        for each in some:
            if lines:
                lines = changed(lines, *each)
        path = tmp_path_factory.mktemp("any") / "a.jsonl"
        path.write_bytes(joined(lines))
        verdict = verify(path)
        if lines == log:
            assert 0 == verdict.exit_code
        elif lines == log[: len(lines)]:
            assert "not closed" in verdict.counts or not lines
        else:
            assert 0 != verdict.exit_code or _is_torn(joined(lines), joined(log)), verdict

    @settings(max_examples=200, deadline=None)
    @given(data=st.binary(max_size=300))
    def test_any_bytes(self, tmp_path_factory, data):
        """Bytes that are no log are read, and never said to be all right."""
        path = tmp_path_factory.mktemp("any") / "a.jsonl"
        path.write_bytes(data)
        assert 0 != verify(path).exit_code


def _is_torn(data, whole):
    """Whether it is a part of a log, and then a line that was not finished."""
    pairs = enumerate(zip(data, whole, strict=False))
    end = next((place for place, (one, other) in pairs if one != other), min(len(data), len(whole)))
    rest = data[whole.rfind(b"\n", 0, end) + 1 :]
    return b"\n" not in rest.rstrip(b"\n") and not rest.endswith(b"}}\n")


class TestAttacks:
    def test_looks_like_a_link(self, make_log, private_key, check):
        """Content that ends as a link does is content."""
        log = make_log(private_key).opened().add(2)
        link = f'"integrity":{{"chain":"{log.chain}","seq":3,"prev":"{log.last}"}}'
        log.event(f"x,{link}}}").event(f'","{link}}}').add(1)
        log.linked('{"extensions":{"a":1,' + link + "}}").add(1)
        log.linked('{"a":1,"original_' + link[1:] + "}").closed()
        assert [] == told(check(log))

    def test_notice_of_others(self, log, check):
        """An application's own field of that name states nothing."""
        log.opened().linked('{"extensions":{"notice":{"kind":"pruned","files":[]}}}')
        log.linked('{"extensions":{"notice":{"kind":7}}}').linked(
            '{"a":{"notice":{"kind":"opened"}}}'
        )
        assert [] == told(check(log.closed()))

    def test_copied_link(self, log, check):
        """A line of somebody else with the link of another one is foreign, or a fork."""
        log.opened().add(6).checkpoint().closed()
        for index in (2, 4):
            begin = log.lines[index].index(b',"integrity"')
            for place in (index, index + 1, 6):
                copied = b'{"a":1' + log.lines[index][begin:]
                lines = [*log.lines[:place], copied, *log.lines[place:]]
                log.files = [lines]
                assert place + 1 == accused(check(log))[0][2]
                assert accused(check(log))[0][0] in ("foreign", "chain forked")
                log.files = [lines[:place] + lines[place + 1 :]]

    def test_relinked(self, make_log, private_key, check):
        """Who changes lines and links all after them anew fails at the next signature."""
        true = make_log(private_key).opened().add(4).checkpoint().add(4).checkpoint().closed()
        log = make_log(private_key).opened().add(4).checkpoint().add(2).event("Forged").add(1)
        log.files = [log.lines + true.lines[10:]]
        verdict = check(log)
        assert [("altered", "live", 10)] == accused(verdict)
        assert "since the signature in" in verdict.first.message
        assert verdict.first.message.endswith("a.jsonl, line 6 may all be new")

    def test_signed_by_another(self, make_log, check):
        """Signatures of another key are none."""
        log = make_log(JWK(generate("Ed25519"))).opened().add(2).closed()
        assert [("bad signature", "live", 4)] == accused(check(log))

    def test_signature_of_another_line(self, log, check):
        """Neither is a signature that was taken from another line."""
        log.opened().add(2).checkpoint().add(2).checkpoint().closed()
        one, other = (log.lines[index].split(b',"signature":') for index in (3, 6))
        log.lines[6] = other[0] + b',"signature":' + one[1]
        assert ("bad signature", "live", 7) == accused(check(log))[0]

    def test_stripped(self, make_log, private_key, check):
        """A log that lost all its signatures is told from one that never had them."""
        log = make_log(private_key).opened()
        log.key = None
        log.add(2).checkpoint().add(2).closed()
        assert ("signatures missing", "live", 4) == accused(check(log))[0]
        assert ("signatures missing", "live", 4) == accused(check(log, key=None))[0]

    def test_stripped_throughout(self, make_log, check):
        """With the key, a log that says nothing of signatures is not all right, either."""
        log = make_log().opened().add(2).checkpoint().add(2).closed()
        assert [("signatures missing", "live", 7)] == accused(check(log))

    def test_unsigned_session(self, log, check):
        """A process that never signed may write to a log that is signed."""
        key = log.key
        log.opened(1).add(2).checkpoint()
        log.key = None
        log.opened(2).add(1).closed(2)
        log.key = key
        assert [] == told(check(log.closed(1)))

    def test_unsigned_session_at_the_end(self, log, check):
        """As long as nothing is signed after it, anybody can have written what it wrote."""
        log.opened(1).add(2).closed(1)
        log.key = None
        log.opened(2).add(1).closed(2)
        assert [("signatures missing", "live", 7)] == accused(check(log))

    @pytest.mark.parametrize("sealed", [True, False])
    @pytest.mark.parametrize("kind", ["checkpoint", "closed", "pruned", "erased"])
    def test_continued_without_key(self, log, check, kind, sealed):
        """Who cuts a signed log and goes on without the key has no signatures to show."""
        log.opened(1).add(2).checkpoint()
        log.key = None
        log.opened(2).add(1).notice(kind, sealed, process=2)
        assert ("signatures missing", "live", 7) in accused(check(log))
        assert ("signatures missing", "live", 7) in accused(check(log, key=None))

    def test_continued_after_pruning(self, log, check, tmp_path, public_key):
        """So also where the notice that the log is signed went with a file."""
        log.opened(1).add(2).rotate().notice("pruned", True, files=[log.entry(0)], by="prune")
        log.key = None
        log.opened(2).add(1).closed(2)
        folder = log.write(tmp_path / "logs")
        (folder / f"a.jsonl.{STAMP % 0}").unlink()
        verdict = verify(folder, public_keys=[public_key])
        assert [("signatures missing", "live", 4)] == accused(verdict)

    def test_notices_of_another_log(self, log, check):
        """Checkpoints of other logs, and notices that were read from them, say nothing of this one."""
        log.opened(1).add(2).checkpoint()
        log.notice("checkpoint", chain=OTHER, reason="rotation")
        actor = {"type": "system", "id": "hilt_logging"}
        read = {"notice": {"kind": "closed", "process": 1}, "original_integrity": {}}
        log.linked(json.dumps({"actor": actor, "extensions": read}, separators=(",", ":")))
        assert [("not closed", "live", 1)] == told(check(log))

    def test_forked(self, make_log, private_key, check):
        """Two processes that went on from one line, each for itself, are told once."""
        log = make_log(private_key).opened(1).add(3)
        other = make_log(private_key)
        other.files, other.seq, other.last = [[]], log.seq, log.last
        other.events = 100
        begun = len(log.lines)
        log.add(4).closed()
        other.add(4)
        mixed = [
            line for pair in itertools.zip_longest(log.lines[begun:], other.lines) for line in pair
        ]
        log.files = [log.lines[:begun] + [line for line in mixed if line]]
        assert [("chain forked", "live", 6)] == accused(check(log))

    def test_forked_after(self, make_log, private_key, check):
        """The same where the other branch follows as a whole."""
        log = make_log(private_key).opened(1).add(3)
        other = make_log(private_key)
        other.files, other.seq, other.last, other.events = [[]], log.seq, log.last, 100
        log.add(4).checkpoint()
        other.add(4).closed()
        log.files = [log.lines + other.lines]
        assert [("chain forked", "live", 10)] == accused(check(log))

    def test_moved_to_another_file(self, log, check):
        """A line that is found in another file is told with both places."""
        log.opened().add(6).rotate().add(6).closed()
        log.files[1].insert(3, log.files[0].pop(4))
        verdict = check(log)
        assert [("moved", 0, 5)] == accused(verdict)
        assert "a.jsonl, line 4" in verdict.first.message

    def test_line_of_another_log(self, log, make_log, private_key, check):
        """A line of another chain is foreign, and so are several."""
        other = make_log(private_key, OTHER).opened().add(8)
        log.opened().add(6).closed()
        log.files = [log.lines[:3] + other.lines[4:5] + log.lines[3:]]
        assert [("foreign", "live", 4)] == accused(check(log))
        log.files = [log.lines[:3] + other.lines[4:8] + log.lines[4:]]
        assert ("foreign", "live", 4) == accused(check(log))[0]

    def test_lines_before(self, log, check):
        """Lines that were put before the first one of a chain are foreign."""
        log.opened().add(3).closed()
        log.files = [[b'{"a":1}', *log.lines]]
        assert [("foreign", "live", 1)] == accused(check(log))

    @pytest.mark.parametrize("index", range(5))
    def test_made_two(self, log, check, index):
        """A line that was broken in two is altered, wherever it was broken."""
        log.opened().add(3).closed()
        lines = list(log.lines)
        for place in range(1, len(lines[index]) - (index == 4), 5):
            parts = [lines[index][:place], lines[index][place + 1 :]]
            log.files = [[*lines[:index], *parts, *lines[index + 1 :]]]
            assert ("altered", "live", index + 1) == accused(check(log))[0]

    def test_lines_after(self, log, check):
        """Lines after the last one that nobody vouches for are foreign."""
        log.opened().add(3).closed()
        log.lines.append(b'{"a":1}')
        assert [("foreign", "live", 6)] == accused(check(log))

    def test_covered_lines(self, log, check):
        """What stands between linked lines can't be changed, nor the linked line before it."""
        log.opened().add(2).stray(b'{"torn').stray(b'{"b":1}').add(2).closed()
        lines = list(log.lines)
        for index, changed, wanted in (
            (2, lines[2].replace(b"Hi", b"Ho"), ("altered", "live", 3)),
            (4, b'{"b":2}', ("altered", "live", 5)),
            (3, None, ("missing", "live", 5)),
        ):
            log.files = [lines[:index] + [changed] * (changed is not None) + lines[index + 1 :]]
            assert [wanted] == accused(check(log))
        log.files = [[*lines[:4], b'{"c":1}', *lines[4:]]]
        assert "foreign" == accused(check(log))[0][0]
        log.files = [lines[:3] + lines[5:]]
        assert [("missing", "live", 4)] == accused(check(log))

    def test_many(self, make_log, private_key, check):
        """What is said of a log of which every other line is gone is bounded."""
        log = make_log(private_key).opened().add(6000).closed()
        log.files = [log.lines[:1] + log.lines[1:-1][::3] + log.lines[-1:]]
        verdict = check(log)
        assert 1000 >= len(verdict.findings)
        assert 1 == verdict.exit_code
        assert ("missing", 2) != bad_line(verdict)


class TestPruned:
    @pytest.fixture
    def pruned(self, log):
        """A log of four files, of which two are to be deleted."""
        log.opened()
        for _ in range(3):
            log.add(3).rotate()
        return log

    def drop(self, log, tmp_path, count=2):
        folder = log.write(tmp_path / "logs")
        for index in range(count):
            (folder / f"a.jsonl.{STAMP % index}").unlink()
        return folder

    def test_stated(self, pruned, tmp_path, public_key):
        """Files that were deleted by a signed statement are told."""
        files = [pruned.entry(0), pruned.entry(1)]
        pruned.notice("pruned", True, files=files, by="retention").add(1).closed()
        verdict = verify(self.drop(pruned, tmp_path), public_keys=[public_key])
        assert [("pruned by statement", 2, None), ("erased", 0, 0)][:1] == told(verdict)
        assert "retention" in verdict.findings[0].message

    def test_by_and_by(self, pruned, tmp_path, public_key):
        """The last statement suffices, as those before it were deleted with their files."""
        pruned.notice("pruned", True, files=[pruned.entry(1)], by="prune").closed()
        assert ["pruned by statement"] == [
            each[0] for each in told(verify(self.drop(pruned, tmp_path), public_keys=[public_key]))
        ]

    @pytest.mark.parametrize(
        "harm", ["unsigned", "other key", "other file", "one file", "ordinary"]
    )
    def test_forged(self, pruned, tmp_path, public_key, private_key, harm):
        """A statement without the right signature, or of other files, excuses nothing."""
        files = [pruned.entry(0), pruned.entry(1)]
        pruned.key = {"unsigned": None, "other key": JWK(generate("Ed25519"))}.get(
            harm, private_key
        )
        if harm == "other file":
            files[1]["head"] = "0" * 64
        if harm == "one file":
            files.pop()
        pruned.notice("pruned", harm != "ordinary", files=files, by="eve")
        pruned.key = private_key
        pruned.add(1).closed()
        kinds = [
            each[0]
            for each in accused(verify(self.drop(pruned, tmp_path), public_keys=[public_key]))
        ]
        assert "file missing" in kinds
        assert {"unsigned": "signatures missing", "other key": "bad signature"}.get(
            harm, kinds[0]
        ) in kinds

    def test_unsigned_log(self, make_log, tmp_path):
        """In a log that is not signed, its statements are not, either."""
        log = make_log().opened().add(2).rotate().add(2).rotate().add(1)
        log.notice("pruned", True, files=[log.entry(0), log.entry(1)], by="retention").closed()
        assert ["pruned by statement"] == [
            each[0] for each in told(verify(self.drop(log, tmp_path)))
        ]


class TestErased:
    def test_key_destroyed(self, log, check):
        """That a key was destroyed is told, without whose it was."""
        log.opened().add(2).notice("erased", True, key_id="s-abc", by="dpo", at="now", events=7)
        verdict = check(log.closed())
        assert [("erased by statement", "live", 4)] == told(verdict)
        assert "7 events of s-abc" in verdict.findings[0].message

    def rewrite(self, log, make_log, index, chain=OTHER, key=None, replaces=None, **told):
        """Put another file in the place of one, as `custody.rewrite` does."""
        new = make_log(log.key if key is None else key[0], chain)
        entry = {**log.entry(index), **(replaces or {})}
        new.notice("rewritten", True, replaces=entry, events=1, by="dpo", at="now", **told)
        new.add(len(log.files[index]) - 1)
        new.checkpoint("rewritten")
        log.files[index] = new.lines
        return new

    @pytest.fixture
    def three(self, log):
        log.opened()
        for _ in range(3):
            log.add(4).rotate()
        return log.add(2).closed()

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_rewritten(self, three, make_log, check, index):
        """A file that was rewritten by a signed statement is told, wherever it stands."""
        self.rewrite(three, make_log, index)
        verdict = check(three)
        assert "erased by statement" == verdict.findings[0].kind
        kinds = [("erased by statement", index, 1)]
        # its `opened` is among the lines that were rewritten here
        assert kinds == told(verdict)

    def test_all_rewritten(self, three, make_log, check):
        """So are several, one after the other, and one that was rewritten again."""
        entry = three.entry(1)
        for index in range(3):
            self.rewrite(three, make_log, index, f"{index:032}")
        replaces = {
            name: entry[name] for name in ("chain", "first_seq", "first_prev", "last_seq", "head")
        }
        self.rewrite(three, make_log, 1, "9" * 32, replaces=replaces)
        assert [("erased by statement", index, 1) for index in range(3)] == told(check(three))

    def test_unsigned(self, three, make_log, check):
        """A file that was rewritten without a signature is tampering."""
        self.rewrite(three, make_log, 1, key=[None])
        assert {("signatures missing", 1, 1)} <= set(accused(check(three)))
        assert {("signatures missing", 1, 1)} <= set(accused(check(three, key=None)))

    def test_wrongly_signed(self, three, make_log, check):
        """Neither does the signature of another key do."""
        self.rewrite(three, make_log, 1, key=[JWK(generate("Ed25519"))])
        assert ("bad signature", 1, 1) == accused(check(three))[0]

    @pytest.mark.parametrize(
        ("name", "value", "kind"),
        [
            ("first_seq", 3, "repeated"),
            ("first_prev", "0" * 64, "altered"),
            ("first_seq", 8, "file missing"),
        ],
    )
    def test_other_place(self, three, make_log, check, name, value, kind):
        """A statement that does not fit the place of its file is tampering."""
        self.rewrite(three, make_log, 1, replaces={name: value})
        assert kind == accused(check(three))[0][0]

    @pytest.mark.parametrize("name", ["last_seq", "head"])
    def test_other_end(self, three, make_log, check, name):
        """Neither does it excuse what is missing after it."""
        self.rewrite(three, make_log, 1, replaces={name: 8 if name == "last_seq" else "0" * 64})
        assert accused(check(three))

    def test_cut(self, three, make_log, check):
        """The end of a rewritten file can't be taken away."""
        self.rewrite(three, make_log, 1)
        three.files[1] = three.files[1][:-1]
        assert [("cut off", 1, 5)] == accused(check(three))

    def test_altered(self, three, make_log, check):
        """Nor can its lines be changed."""
        self.rewrite(three, make_log, 1)
        three.files[1][3] = three.files[1][3].replace(b"Hi", b"Ho")
        assert [("altered", 1, 4)] == accused(check(three))

    def test_pruned_after(self, three, make_log, tmp_path, public_key):
        """A rewritten file that was deleted later is told by what it stood for."""
        replaces = three.entry(0)
        new = self.rewrite(three, make_log, 0)
        three.files[-1].pop()
        three.seq, three.last = three.seq - 1, _digest(three.files[-1][-1])
        entry = {
            **replaces,
            "chain": new.chain,
            "first_seq": 0,
            "last_seq": new.seq,
            "head": new.head,
        }
        three.notice("pruned", True, files=[{**entry, "replaces": replaces}], by="prune").closed()
        folder = three.write(tmp_path / "logs")
        (folder / f"a.jsonl.{STAMP % 0}").unlink()
        verdict = verify(folder, public_keys=[public_key])
        assert ["pruned by statement"] == [each[0] for each in told(verdict)]


def _digest(line):
    import hashlib

    return hashlib.sha256(line).hexdigest()


class TestCheckpoints:
    @pytest.fixture
    def saved(self, tmp_path):
        """Keeps checkpoints in a file elsewhere."""
        path = tmp_path / "saved.jsonl"

        def save(*events):
            path.write_text("".join(json.dumps(event) + "\n" for event in events))
            return path

        return save

    @pytest.fixture
    def kept(self, log, saved):
        """A closed log of which three checkpoints were kept."""
        log.opened().add(3).checkpoint()
        events = [log.saved()]
        events.append(log.add(3).checkpoint().saved())
        events.append(log.add(3).closed().saved())
        return log, saved(*events)

    def test_whole(self, kept, check):
        """A whole log has the checkpoints that were kept; then there is no limit to tell."""
        log, path = kept
        verdict = check(log, checkpoints=path)
        assert [] == told(verdict)
        assert [] == verdict.limits

    @pytest.mark.parametrize("left", [12, 10, 9, 8, 5])
    def test_cut_tail(self, kept, check, left):
        """A log that lost its end is found, to the line; without them, it seems to have crashed."""
        log, path = kept
        log.files = [log.lines[:left]]
        assert [("cut off", "live", left)] == accused(check(log, checkpoints=path))[:1]
        without = check(log)
        assert ["not closed"] == list(without.counts)
        assert "cut off at the end" in " ".join(without.limits)

    def test_rewritten_by_key_holder(self, kept, make_log, private_key, check):
        """A log that was written anew with the same key and chain is found."""
        _, path = kept
        log = make_log(private_key).opened().event("Forged").add(2).checkpoint().add(3)
        log.checkpoint().add(3).closed()
        assert [] == told(check(log))
        assert ("altered", "live", 5) == accused(check(log, checkpoints=path))[0]

    def test_ordinary_line_in_its_place(self, kept, make_log, private_key, check):
        """Also where there are no checkpoints at their places any more."""
        _, path = kept
        log = make_log(private_key).opened().add(20).closed()
        assert ("altered", "live", 5) == accused(check(log, checkpoints=path))[0]

    def test_another_chain(self, kept, make_log, private_key, check):
        """A log that was written anew in another chain is found by its name."""
        _, path = kept
        verdict = check(make_log(private_key, OTHER).opened().add(3).closed(), checkpoints=path)
        assert {"missing"} == {each[0] for each in accused(verdict)}

    def test_told_twice(self, kept, make_log, private_key, saved, check):
        """Who writes the log anew and keeps checkpoints of that, too, is given away by the old ones."""
        _, path = kept
        before = [json.loads(line) for line in path.read_text().splitlines()]
        log = make_log(private_key).opened().event("Forged").add(2).checkpoint()
        verdict = check(log, checkpoints=saved(before[0], log.saved()))
        assert ["altered"] == [each[0] for each in accused(verdict)]
        assert verdict.first.file.endswith("saved.jsonl")

    def test_out_of_place(self, log, saved, check):
        """A checkpoint whose line came too late for its place is held against that line."""
        log.opened().add(2)
        seq, before = log.seq, log.last
        log.checkpoint()
        event, late, after = log.saved(), log.lines.pop(), log.last
        log.seq, log.head, log.last = seq, before, before
        log.stray(b'{"n":7}').stray(late)
        log.seq = seq + 1
        log.checkpoint("cover").closed()
        assert ["foreign", "out of place"] == [
            each[0] for each in told(check(log, checkpoints=saved(event)))
        ]
        event["extensions"]["notice"]["head"] = before
        del event["extensions"]["notice"]["jws"]
        forged = check(log, key=None, checkpoints=saved(event))
        assert after != before
        assert [("altered", "live", 5)] == accused(forged)

    def test_chain_before(self, make_log, private_key, saved, check):
        """That the chain of a saved checkpoint was before another does not make it fine."""
        event = make_log(private_key, OTHER).opened().add(3).closed().saved()
        log = make_log(private_key).opened(previous_chain=OTHER).add(3).closed()
        verdict = check(log, checkpoints=saved(event, log.saved()))
        assert 2 == verdict.exit_code
        assert "unchecked" in {each.severity for each in verdict.findings}

    def test_of_another_log(self, make_log, private_key, saved, check):
        """Checkpoints of other logs are told apart; if there are no others, nothing was checked."""
        other = make_log(private_key, OTHER).opened().add(3).closed().saved()
        other["extensions"]["notice"]["file"] = "other.jsonl"
        log = make_log(private_key).opened().add(3).closed()
        verdict = check(log, checkpoints=saved(other))
        assert (2, ["not covered"]) == (verdict.exit_code, list(verdict.counts))
        verdict = check(log, checkpoints=saved(other, log.saved()))
        assert [] == told(verdict)
        assert any("1 other" in each for each in verdict.limits)

    def test_forged(self, kept, saved, check):
        """A checkpoint that is not signed as it says is tampering, in the file where it was kept."""
        log, path = kept
        events = [json.loads(line) for line in path.read_text().splitlines()]
        events[1]["extensions"]["notice"]["seq"] += 1
        verdict = check(log, checkpoints=saved(*events))
        assert ("bad signature", 2) == bad_line(verdict)
        assert str(path) == verdict.first.file

    def test_unsigned(self, make_log, saved, check):
        """Checkpoints of a log that is not signed are taken at their word."""
        log = make_log().opened().add(3).checkpoint()
        path = saved(log.saved(), {"no": "event"}, [1])
        verdict = check(log.closed(), key=None, checkpoints=path)
        assert [] == told(verdict)
        assert any("at their word" in each for each in verdict.limits)
        log.files = [log.lines[:3]]
        assert "cut off" == accused(check(log, key=None, checkpoints=path))[0][0]

    def test_pruned(self, log, saved, tmp_path, public_key):
        """A checkpoint in a file that was deleted by statement does not accuse."""
        log.opened().add(3).rotate()
        event = log.saved()
        log.add(2).notice("pruned", True, files=[log.entry(0)], by="retention").closed()
        folder = log.write(tmp_path / "logs")
        (folder / f"a.jsonl.{STAMP % 0}").unlink()
        verdict = verify(folder, public_keys=[public_key], checkpoints=[saved(event)])
        assert ["pruned by statement"] == [each[0] for each in told(verdict)]

    def test_missing_file(self, kept, check, tmp_path):
        """A file of checkpoints that is not there is told."""
        verdict = check(kept[0], checkpoints=[tmp_path / "none.jsonl"])
        assert (2, "unreadable") == (verdict.exit_code, verdict.first.kind)


class TestMemory:
    def test_constant(self, make_log, tmp_path):
        """What verification takes does not grow with the log."""
        most = []
        for count in (2_000, 20_000):
            log = make_log().opened().add(count).closed()
            folder = log.write(tmp_path / str(count))
            del log
            tracemalloc.start()
            try:
                assert 0 == verify(folder).exit_code
                most.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
        assert most[1] < most[0] + 4_000_000
