"""
The first linked lines of a log, where others write at the moment when a process begins its chain.

It looks at the end, and begins its chain with the digest of the last line that it saw: an `opened`,
and its first events. What stands before them by the time when they are written is one of `BETWEEN`,
and the same may come once more before the line that covers them all:

- nothing;
- lines of processes that can't lock, which say that they are not linked, one or several;
- lines of a program that knows of no chain;
- a fragment, behind which the `opened` stands then, so that it comes once more with another number;
- whole lines and a fragment;
- the end of a line of which the fragment stood there at the look;
- the chain of another process that saw the same end, because somebody took the lock file away: it is
  covered as lines of another chain, and the two go on in one;
- the same of one that still writes.

All this in an empty log, behind one line or two that no chain covers, and behind a fragment.
"""

from __future__ import annotations

import json
import os
import sys

import pytest

from hilt_logging import custody
from hilt_logging.safeguards.chain import ZEROS, link_of, sha256, spanning
from hilt_logging.storage.options import Evidence, FileOptions
from hilt_logging.storage.sharing import acquire, release


pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

LINE = b'{"hilt_version":"1.0.0","n":%d}'
UNLINKED = LINE[:-1] % 7 + b',"integrity":{"chain":"' + b"0" * 32 + b'","unlinked":true}}\n'
FOREIGN = b'{"m":7}\n'
ALICE = b'{"hilt_version":"1.0.0","actor":{"type":"human","id":"alice"},"action":"prompt"}'
STOOD = [b"", b'{"m":1}\n', b'{"m":1}\n{"m":2}\n', b"torn"]
BYTES = [
    b"",
    UNLINKED,
    UNLINKED * 3,
    FOREIGN,
    b"torn",
    UNLINKED + b"torn",
    b" the rest\n",
    b" the rest\n" + FOREIGN,
]
BETWEEN = [*BYTES, "another", "another that goes on"]
NAMES = [each if isinstance(each, str) else each[-12:].decode() or "nothing" for each in BETWEEN]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def refuse(error):
    raise AssertionError(error)


def opened(path):
    return acquire(str(path), 0o600, True, FileOptions(evidence=Evidence(1000)))


@pytest.fixture
def write(path, monkeypatch, forked):
    """Writes lines, before the first writes of which others write; returns the log's bytes."""
    write = os.write

    def others(what):
        if isinstance(what, bytes):
            with path.open("ab") as file:
                file.write(what)
            return
        lock = path.with_name(".log.lock")
        if lock.exists():
            lock.unlink()

        def work():
            os.write = write
            appender = opened(path)
            appender.append_many([(LINE % number, None) for number in (20, 21, 22)], refuse)
            if what == "another":
                release(appender)

        assert 0 == forked.run(work)

    def run(stood, *between, at_once=1, more=1):
        for each in path.parent.iterdir():
            each.unlink()
        if stood:
            path.write_bytes(stood)
        appender, todo = opened(path), list(between)

        def interrupted(fd, data):
            if fd == appender._fd and len(data) > 1 and todo:
                others(todo.pop(0))
            return write(fd, data)

        monkeypatch.setattr(os, "write", interrupted)
        try:
            some = [(LINE % number, None) for number in range(at_once)]
            assert [True] * at_once == appender.append_many(some, refuse)
            for number in range(at_once, at_once + more):
                appender.append(LINE % number, refuse)
        finally:
            monkeypatch.setattr(os, "write", write)
            release(appender)
        assert [] == todo[1:]
        return path.read_bytes()

    return run


def numbers_in(data):
    """The numbers of the events that are whole lines, without those of others."""
    lines = [line for line in data.split(b"\n") if line.startswith(LINE[:25]) and line[-1:] == b"}"]
    return sorted(
        number for number in (json.loads(line).get("n", 7) for line in lines) if number < 7
    )


def verdict_of(path, data):
    path.write_bytes(data)
    return custody.verify([path])


@pytest.mark.parametrize("first", BETWEEN, ids=NAMES)
@pytest.mark.parametrize("stood", STOOD, ids=["empty", "a line", "two lines", "torn"])
def test_begun_late(path, write, follow, stood, first):
    """Every order is told as what it is: nobody is accused, no event is lost or comes twice."""
    for second in (b"", UNLINKED, FOREIGN, b"torn", b" the rest\n"):
        for at_once in (1, 3):
            data = write(stood, first, second, at_once=at_once)
            verdict = custody.verify([path])
            assert (0, []) == (verdict.exit_code, follow(path)[2]), (second, at_once, verdict)
            assert [*range(at_once + 1)] == numbers_in(data)


@pytest.mark.parametrize("stood", STOOD[:3], ids=["empty", "a line", "two lines"])
def test_told(path, write, stood):
    """What stood there, and what came late, is told line by line."""
    write(stood, UNLINKED)
    told = [(each.kind, each.line) for each in custody.verify([path]).findings]
    count = stood.count(b"\n")
    covered = [("unlinked", count + 1), ("out of place", count + 2), ("out of place", count + 3)]
    assert [("not covered", 1)] * bool(count) + covered == told


@pytest.mark.parametrize("first", [UNLINKED, FOREIGN, b"torn", UNLINKED + b"torn", "another"])
@pytest.mark.parametrize("stood", STOOD[:3], ids=["empty", "a line", "two lines"])
def test_forged(path, write, stood, first):
    """Whatever is done to such a begin is found, but in lines that stood before anybody linked."""
    data = write(stood, first, more=2)
    assert 0 == verdict_of(path, data).exit_code
    lines = data.splitlines(keepends=True)
    free = stood.count(b"\n") - 1  # the last of them is what the chain begins with
    for index, line in enumerate(lines):
        begin, end, forged = lines[:index], lines[index + 1 :], []
        if index >= free:
            forged.append([*begin, line[:2] + bytes([line[2] ^ 1]) + line[3:], *end])
        if index > free:
            forged.append([*begin, FOREIGN, line, *end])
        if index > free and end:  # where the end was cut off, only checkpoints show it
            forged.append([*begin, *end])
        for some in forged:
            verdict = verdict_of(path, b"".join(some))
            assert 1 == verdict.exit_code, (index, verdict)


@pytest.mark.parametrize("first", BETWEEN, ids=NAMES)
@pytest.mark.parametrize("stood", STOOD, ids=["empty", "a line", "two lines", "torn"])
def test_rewritten(path, write, stood, first):
    """A person is erased from a log that began so, and nobody is accused; what is forged is left."""
    for second in (b"", b"torn"):
        data = write(stood, first, second, at_once=3)
        appender = opened(path)
        appender.append(ALICE, refuse)
        release(appender)
        report = custody.rewrite(path, "alice", by="dpo")
        assert (1, []) == (report.events, report.untouched), second
        verdict = custody.verify([path])
        assert (0, 1) == (verdict.exit_code, verdict.counts["erased by statement"]), verdict
        assert data.count(b"\n") < verdict.lines
        assert b"alice" not in b"".join(each.read_bytes() for each in path.parent.iterdir())


@pytest.mark.parametrize("first", [UNLINKED, FOREIGN, b"torn", UNLINKED + b"torn", "another"])
@pytest.mark.parametrize("stood", STOOD[:3], ids=["empty", "a line", "two lines"])
def test_forged_is_not_rewritten(path, write, stood, first):
    """No statement takes the place of lines of which one was changed."""
    write(stood, first, more=2)
    appender = opened(path)
    appender.append(ALICE, refuse)
    appender.begin_new()
    release(appender)
    (moved,) = path.parent.glob("log.*")
    lines = moved.read_bytes().splitlines(keepends=True)
    for index in range(stood.count(b"\n"), len(lines) - 2):
        changed = lines[index].replace(b'":', b'" ', 1) if index else b"#" + lines[index]
        data = b"".join([*lines[:index], changed, *lines[index + 1 :]])
        moved.write_bytes(data)
        assert 1 == custody.verify([path]).exit_code
        report = custody.rewrite(path, "alice", by="dpo")
        assert (0, 1) == (report.events, len(report.untouched)), index
        assert data == moved.read_bytes()


def test_put_before(path, write):
    """Lines before the begin of a chain that nobody covered are foreign, also behind such lines."""
    data = write(b'{"m":1}\n', b"", more=5)
    first, rest = data.split(b"\n", 1)
    assert 0 == verdict_of(path, FOREIGN + data).exit_code  # there nobody linked lines yet
    for before in (first + b"\n" + FOREIGN, first + b"\n" + UNLINKED, FOREIGN, b"torn", b"\n"):
        assert 1 == verdict_of(path, before + rest).exit_code
    data = write(b"", b"", more=5)
    for before in (FOREIGN, UNLINKED, b"\n", data.split(b"\n")[0] + b"\n"):
        assert 1 == verdict_of(path, before + data).exit_code


@pytest.mark.parametrize("harm", ["span", "lines", "prev", "seq", "chain"])
def test_false_cover(path, write, harm):
    """A line that says that it covers what was put before the begin has to be the next of its chain."""
    data = write(b"", b"", more=3)
    whole = data.splitlines()
    forged = [FOREIGN.strip(), *whole]
    digest = spanning(ZEROS)
    digest.update(b"".join(line + b"\n" for line in forged))
    found = link_of(whole[-1])
    right = {
        "chain": found.chain,
        "seq": found.seq + 1,
        "prev": sha256(whole[-1]),
        "span": digest.hexdigest(),
        "lines": len(forged),
    }
    wrong = {"span": "f" * 64, "lines": 1, "prev": found.prev, "seq": found.seq, "chain": "e" * 32}
    for told, code in ((right, 0), ({**right, harm: wrong[harm]}, 1)):
        member = (
            f'"integrity":{{"chain":"{told["chain"]}","seq":{told["seq"]},"prev":"{told["prev"]}",'
            f'"span":{{"lines":{told["lines"]},"sha256":"{told["span"]}"}}}}}}'
        )
        cover = (LINE % 9)[:-1] + b"," + member.encode()
        # without keys anybody can link lines: it is the same as if all were written anew
        assert code == verdict_of(path, b"\n".join([*forged, cover, b""])).exit_code
    amid = [forged[0], *whole[:3], cover, *whole[3:], b""]
    assert 1 == verdict_of(path, b"\n".join(amid)).exit_code


def test_died_before_it_covered(path, write):
    """Where a process died amid its first lines, a new chain begins, and nobody is accused."""
    data = write(b"", UNLINKED)
    opening = data.split(b"\n")[1]
    path.write_bytes(UNLINKED + opening + b'\n{"hilt')
    appender = opened(path)
    appender.append(LINE % 5, refuse)
    release(appender)
    verdict = custody.verify([path])
    assert 0 == verdict.exit_code, verdict
    assert {"not covered", "not closed", "torn"} == {each.kind for each in verdict.findings}
    assert 1 == verdict_of(path, path.read_bytes().replace(b'"n":5', b'"n":6')).exit_code


def test_more_than_is_kept(path, write):
    """However much others wrote before the first lines of a log, they are covered."""
    write(b"", UNLINKED * 5000)
    verdict = custody.verify([path])
    assert (0, 5005) == (verdict.exit_code, verdict.lines)


def test_line_of_another_log(path, write, follow):
    """A line that somebody copied from another log has no say in how lines are numbered."""
    copied = (LINE % 9)[:-1] + b',"integrity":{"chain":"%b","seq":1000,"prev":"%b"}}\n'
    write(b"", b"", copied % (b"e" * 32, b"f" * 64), more=2)
    verdict = custody.verify([path])
    assert ["foreign"] == [each.kind for each in verdict.findings if each.line == 3]
    assert (0, []) == (verdict.exit_code, follow(path)[2])
