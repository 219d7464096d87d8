"""Erasing somebody from files that are not encrypted: all of it, nothing else, and safely."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import os
import stat
import subprocess
import sys
import threading

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, events
from hilt_logging.custody import _swapping
from hilt_logging.custody.rewrite import rewrite
from hilt_logging.custody.verify import verify
from hilt_logging.errors import ConfigurationError, ReadError, RecordingError
from hilt_logging.io.files import files_of, open_lines
from hilt_logging.safeguards import chain, jwk
from hilt_logging.storage import sharing
from hilt_logging.storage.compression import decompressed


NAME = "alice@example.com"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "app.jsonl"


@pytest.fixture
def written(log, hilt):
    """Writes what is given through a handler, as a process of its own would, and closes it."""

    def write(told, evidence=False, **options):
        options = {**options, "evidence": True} if evidence else options
        handler = HILTFileHandler(log, **options)
        hilt.addHandler(handler)
        try:
            for each in told:
                hilt_logging.emit(each)
        finally:
            hilt.removeHandler(handler)
            handler.close()

    return write


def _event(action="prompt", actor=("agent", "m"), text="hello", session="s", **fields):
    return {
        "session_id": session,
        "actor": {"type": actor[0], "id": actor[1]},
        "action": action,
        "content": {"text": text},
        **fields,
    }


def _turns(count):
    """What alice and bob said, each in a session of their own, in turns."""
    for number in range(count):
        for who, session in ((NAME, "conv-1"), ("bob", "conv-2")):
            text = f"I am {who} and this is number {number}"
            yield events.prompt(text, session_id=session, user_id=who)
            yield _event("completion", text=f"Hello {who}, number {number}", session=session)


def _stored(folder):
    """Everything in a folder, hidden and compressed files too, uncompressed."""
    return {
        str(path.relative_to(folder)): _plain(path) for path in folder.rglob("*") if path.is_file()
    }


def _plain(path):
    kind = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    if kind is None:
        return path.read_bytes()
    with open(path, "rb") as file:
        return b"".join(decompressed(file, kind))


def _lines(log):
    return [line for file in files_of(log) for line in open_lines(file)]


def _events(log):
    return [json.loads(line) for line in _lines(log)]


def _notices(log):
    return [
        event["extensions"]["notice"]
        for event in _events(log)
        if "notice" in event.get("extensions", {})
    ]


def _bare(line):
    """A line without its link."""
    line = line.removesuffix(b"\n")
    found = chain.link_of(line)
    return line if found is None else line[: found.begin] + b"}"


def _said(lines):
    """The lines of events, without links and what the library says itself."""
    return [_bare(line) for line in lines if b'"notice":' not in line]


def _is_gone(log, name=NAME):
    return [each for each, data in _stored(log.parent).items() if name.encode() in data] == []


def _check_links(log, *public_keys):
    """Nothing was tampered with, as far as can be told."""
    verdict = verify([log], public_keys=public_keys)
    fine = ("told", "unchecked") if not verdict.chains else ("told",)
    assert [] == [each for each in verdict.findings if each.severity not in fine]
    return verdict


@pytest.mark.parametrize("compress", [None, "gzip", "zstd"])
@pytest.mark.parametrize("evidence", [False, True])
def test_rewritten(log, written, compress, evidence):
    """One person's events become tombstones; the others stay to the byte, and so does the order."""
    if compress == "zstd":
        pytest.importorskip("backports.zstd")
    written(_turns(12), max_bytes=7000, compress=compress, evidence=evidence)
    before = _said(_lines(log))
    files = [file.path for file in files_of(log)]
    assert len(files) > 2

    report = rewrite(log, NAME, by="dpo")

    after = _said(_lines(log))
    assert [] == report.untouched
    assert 24 == report.events == sum(each.events for each in report.files)
    assert [json.loads(each)["event_id"] for each in before] == [
        json.loads(each)["event_id"] for each in after
    ]
    for old, new in zip(before, after, strict=True):
        assert old == new or NAME.encode() in old
    assert _is_gone(log)
    assert [b""] == [log.read_bytes()] or evidence
    ending = {None: "", "gzip": ".gz", "zstd": ".zst"}[compress]
    assert all(each.new.endswith(ending) for each in report.files[: len(files) - 1])
    _check_links(log)


def test_tombstone(log, written, lines):
    """What is left of an event is that it happened, when, in which call, and how much it took."""
    written(
        [
            events.prompt("My name is Alice", session_id="s", user_id=NAME),
            {
                "session_id": "s",
                "actor": {"type": "agent", "id": "m", "name": "M"},
                "action": "completion",
                "content": {"text": "Hello Alice", "text_hash": "sha256:" + 64 * "0"},
                "provenance": {"model": "gpt", "call_id": "c1", "params": {"stop": ["Alice"]}},
                "metrics": {"tokens": {"prompt": 3}, "cost_usd": 0.1},
                "privacy": {"pii_detected": ["email"], "consent": {"given": "Alice"}},
                "extensions": {
                    "user_id": NAME,
                    "finish_reason": "stop",
                    "history": {"messages": 1, "digest": "Alice"},
                    "own": "Alice",
                },
            },
        ]
    )
    first, second = lines(log)

    report = rewrite(log, NAME, by="dpo")

    (rewritten,) = report.files
    _, prompt, completion = lines(Path(rewritten.new))
    assert {
        **{name: first[name] for name in ("hilt_version", "event_id", "timestamp", "session_id")},
        "actor": {"type": "human", "id": report.token},
        "action": "prompt",
        "provenance": first["provenance"],
        "privacy": {"content": "erased"},
        "extensions": {"user_id": report.token},
    } == prompt
    assert {
        **{name: second[name] for name in ("hilt_version", "event_id", "timestamp", "session_id")},
        "actor": {"type": "agent", "id": "m", "name": "M"},
        "action": "completion",
        "provenance": {"model": "gpt", "call_id": "c1", "logger": "hilt"},
        "metrics": second["metrics"],
        "privacy": {"pii_detected": ["email"], "content": "erased"},
        "extensions": {
            "user_id": report.token,
            "finish_reason": "stop",
            "history": {"messages": 1},
        },
    } == completion
    assert report.token.startswith("erased-")


def test_statement(log, written):
    """The first line of a rewritten file says which one it replaces, who did it, and no name."""
    written(_turns(2))
    before = log.read_bytes()

    report = rewrite(log, NAME, by="dpo")

    import hashlib

    (notice,) = _notices(log)
    name = notice["replaces"]["name"]
    assert {
        "kind": "rewritten",
        "replaces": {"name": name, "sha256": hashlib.sha256(before).hexdigest()},
        "token": report.token,
        "events": 4,
        "by": "dpo",
        "at": report.at,
    } == notice
    assert name == os.path.basename(report.files[0].old)
    assert name < os.path.basename(report.files[0].new)


def test_whose(log, written):
    """Of a session of several people only the person's own calls go, and what replies to them."""
    told = [
        _event(actor=("human", NAME), text="1 alice"),
        _event(actor=("human", "bob"), text="2 bob"),
        _event(text="3 nobody's"),
        _event("completion", text="4 in a call of alice", provenance={"call_id": "a"}),
        _event(
            "tool_call",
            text="5 for alice",
            extensions={"user_id": NAME},
            provenance={"call_id": "a"},
        ),
        _event(
            "completion",
            text="6 for bob",
            extensions={"user_id": "bob"},
            provenance={"call_id": "a"},
        ),
        _event(actor=("human", NAME), event_id="p1", text="7 alice"),
        _event("completion", event_id="p2", text="8 reply to alice", extensions={"reply_to": "p1"}),
        _event("tool_call", text="9 reply to that", extensions={"reply_to": "p2"}),
        _event("feedback", actor=("human", "bob"), text="10 bob's", extensions={"reply_to": "p2"}),
        _event(actor=("human", NAME), session="own", text="11 alice"),
        _event("completion", session="own", text="12 with nobody else"),
        _event("completion", session="other", text="13 elsewhere"),
        _event("completion", actor=("agent", NAME), session="other", text="14 an agent's name"),
    ]
    written(told)

    rewrite(log, NAME)

    left = [event["content"]["text"] for event in _events(log) if "content" in event]
    assert [2, 3, 6, 10, 13, 14] == [int(each.split()[0]) for each in left]


def test_nobody_yet(log, written):
    """What was said before anybody was known is the person's, if nobody else is named there."""
    told = [
        events.prompt("1 not logged in", session_id="s1"),
        events.prompt("2 alice", session_id="s1", user_id=NAME),
        events.prompt("3 not logged in", session_id="s2"),
        events.prompt("4 alice", session_id="s2", user_id=NAME),
        events.prompt("5 bob", session_id="s2", user_id="bob"),
        events.prompt("6 not logged in", session_id="s3"),
    ]
    written(told)

    rewrite(log, NAME)

    left = [event["content"]["text"] for event in _events(log) if "content" in event]
    assert [3, 5, 6] == [int(each.split()[0]) for each in left]


def test_numbers(log, written):
    """A person whose id is a number is found by it, as in a key store."""
    told = [
        _event(text="1", extensions={"user_id": 42}),
        _event(text="2", session="t", extensions={"user_id": 421}),
        _event(text="3", session="u", extensions={"user_id": "42"}),
    ]
    written(told)

    assert 2 == rewrite(log, "42").events


@pytest.mark.parametrize("dry_run", [False, True])
def test_linked_file(log, written, tmp_path, dry_run):
    """A file that stands elsewhere is named, not taken for erased because its link is gone."""
    written(_turns(1))
    rewrite(log, "nobody")
    rotated = Path(next(file.path for file in files_of(log) if not file.is_live))
    rotated.rename(tmp_path / "archived")
    rotated.symlink_to(tmp_path / "archived")

    report = rewrite(log, NAME, dry_run=dry_run)

    assert (0, []) == (report.events, report.files)
    assert [(str(rotated), 2)] == [(each.path, each.events) for each in report.untouched]
    assert str(tmp_path / "archived") in report.untouched[0].reason
    assert NAME in rotated.read_text()


def test_by_anybody(log, written):
    """A name that is no text to others is put on record as far as it is one."""
    written(_turns(1))
    assert "\ufffd" == rewrite(log, NAME, by="\udcff").by


def test_session(log, written):
    """A session is erased with all that was said in it, whoever said it."""
    written(
        [
            _event(actor=("human", NAME), session="s1"),
            _event("completion", session="s1", extensions={"user_id": "bob"}),
            _event(actor=("human", NAME), session="s2", text="stays"),
        ]
    )

    report = rewrite(log, "s1", kind="session")

    assert 2 == report.events
    assert ["stays"] == [each["content"]["text"] for each in _events(log) if "content" in each]
    assert {report.token, NAME} == {
        each["actor"]["id"] for each in _events(log) if each["actor"]["type"] == "human"
    }


def test_dry_run(log, written):
    """A dry run counts, also in the live file, and changes nothing."""
    written([*_turns(12), events.prompt("the last one", user_id=NAME)], max_bytes=7000)
    before = _stored(log.parent)

    report = rewrite(log, NAME, dry_run=True)

    assert 25 == report.events
    assert str(log) in {each.old for each in report.files}
    assert before == _stored(log.parent)


def test_nobody(log, written):
    """Where there is nothing of the person, no file is written anew."""
    written(_turns(1))
    before = log.read_bytes()

    report = rewrite(log, "carol")

    assert (0, []) == (report.events, report.files)
    assert [before] == [_plain(path) for path in log.parent.glob("app.jsonl.*")]


def test_twice(log, written):
    """A second person is erased from files that were rewritten before."""
    for evidence in (False, True):
        path = log.with_name(f"{evidence}.jsonl")
        options = {"evidence": True} if evidence else {}
        handler = HILTFileHandler(path, max_bytes=3000, **options)
        logger = logging.getLogger("hilt")
        logger.addHandler(handler)
        for each in _turns(6):
            hilt_logging.emit(each)
        logger.removeHandler(handler)
        handler.close()

        first, second = rewrite(path, NAME), rewrite(path, "bob")

        assert (12, 12) == (first.events, second.events)
        assert first.token != second.token
        _check_links(path)
        assert {first.token, second.token} == {
            each["actor"]["id"] for each in _events(path) if each["actor"]["type"] == "human"
        }


def test_what_is_left_over(log, written):
    """What hangs on events of somebody who was erased goes with the next erasure, if it is older."""
    told = [
        _event(
            actor=("human", NAME),
            event_id="p1",
            text="1",
            session="s1",
            provenance={"call_id": "a"},
        ),
        _event("completion", text="2 in the call", session="s2", provenance={"call_id": "a"}),
        _event("completion", text="3 in reply", session="s2", extensions={"reply_to": "p1"}),
        _event("completion", text="4 in the session", session="s1"),
        _event("completion", text="5 of nobody", session="s2"),
        _event("feedback", actor=("human", "bob"), text="6 bob's", session="s2"),
    ]
    written(told[:1])
    rewrite(log, NAME)  # as if what follows had been in a file that was not reached any more
    for each in told[1:]:
        each["timestamp"] = "2026-01-02T03:04:05.678901Z"
    written([*told[1:], _event("completion", text="7 later", session="s1")])

    assert 3 == rewrite(log, NAME).events

    left = [event["content"]["text"] for event in _events(log) if "content" in event]
    assert [5, 6, 7] == [int(each.split()[0]) for each in left]


def test_keep_old(log, written):
    """Old files can be kept, in a folder that is no part of the log."""
    written(_turns(6), max_bytes=3000)
    before = _lines(log)

    report = rewrite(log, NAME, keep_old=True)

    folder = log.parent / "app.jsonl.erased"
    assert sorted(os.path.basename(each.old) for each in report.files) == sorted(os.listdir(folder))
    assert before == [line for path in sorted(folder.iterdir()) for line in open_lines(path)]
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert not any(NAME.encode() in line for line in _lines(log))


@pytest.mark.parametrize("keep_old", [False, True])
def test_logrotate(log, written, keep_old):
    """A file with a name that says no time keeps it."""
    written(_turns(2))
    before = log.read_bytes()
    log.with_name("app.jsonl.2.gz").write_bytes(gzip.compress(before))
    log.rename(log.with_name("app.jsonl.1"))

    for _ in range(2):
        report = rewrite(log, NAME, keep_old=keep_old)

    assert 0 == report.events
    assert {"app.jsonl.1", "app.jsonl.2.gz"} == {
        each.name for each in log.parent.iterdir() if each.is_file() and each.name[0] != "."
    } - {"app.jsonl"}
    kept = log.parent / "app.jsonl.erased"
    assert keep_old == kept.exists()
    if keep_old:
        assert [before, before] == [_plain(path) for path in kept.iterdir()]
    else:
        assert _is_gone(log)


def test_mode_and_times(log, written):
    """The new file has owner, mode and times of the old one, and so has the live one."""
    written(_turns(1), permissions="0640")
    os.utime(log, ns=(10**18, 10**18))

    report = rewrite(log, NAME)

    new = os.stat(report.files[0].new)
    assert (0o640, 10**18) == (stat.S_IMODE(new.st_mode), new.st_mtime_ns)
    assert 0o640 == stat.S_IMODE(log.stat().st_mode)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("evidence", [False, True])
def test_owner(log, written, evidence):
    """What root makes belongs to who owns the log: its program can go on."""
    written(_turns(1), evidence=evidence)
    for path in [log.parent, *log.parent.iterdir()]:
        os.chown(path, 1234, 1234)

    rewrite(log, NAME)

    assert {(1234, 1234)} == {
        (each.stat().st_uid, each.stat().st_gid) for each in log.parent.iterdir()
    }


def test_goes_on(log, hilt):
    """A program that has the log open here goes on writing to it, and its events are erased, too."""
    handler = HILTFileHandler(log)
    hilt.addHandler(handler)
    hilt_logging.emit(events.prompt("before", session_id="s", user_id=NAME))

    report = rewrite(log, NAME)
    hilt_logging.emit(events.prompt("after", session_id="s", user_id="bob"))

    assert 1 == report.events
    assert [None, "after"] == [
        each.get("content", {}).get("text") for each in _events(log) if each["action"] == "prompt"
    ]


def test_in_use(log, written, in_child):
    """A file that another process has open is left as it is, and named."""
    written(_turns(1))
    code = """
import sys, hilt_logging
from hilt_logging.custody.rewrite import rewrite
from hilt_logging.custody.verify import verify
handler = hilt_logging.HILTFileHandler(sys.argv[1])
import os
pid = os.fork()
if pid == 0:
    import hilt_logging.storage.sharing as sharing
    sharing._shared.clear()
    report = rewrite(sys.argv[1], sys.argv[2], wait_s=0.1)
    print(report.events, [(each.events, each.reason) for each in report.untouched])
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
"""
    done = in_child(code, log, NAME)

    assert "0 [(2, 'a process has it open for writing; it is let go at its next event')]\n" == (
        done.stdout
    ), done.stderr
    assert 2 == rewrite(log, NAME).events


def test_fragment(log, written):
    """A torn line that is the person's goes too; another one stays; both stay torn."""
    written(_turns(1))
    line = next(line for line in log.read_bytes().splitlines() if NAME.encode() in line)
    reply = next(line for line in log.read_bytes().splitlines() if b"completion" in line)
    reply = reply[: reply.index(b"Hello") + 8]
    with open(log, "ab") as file:
        file.write(line[:-9] + b"\n" + reply + b"\n" + b'{"hilt_version":"1.0.0","other\n')
        file.write(b'{"session_id":"conv-2","content":"bob\n\n')

    report = rewrite(log, NAME)

    assert (4, 4) == (report.events, report.unreadable)
    assert [
        b'{"erased\n',
        b'{"erased\n',
        b'{"hilt_version":"1.0.0","other\n',
        b'{"session_id":"conv-2","content":"bob\n',
        b"\n",
    ] == _lines(log)[-5:]


def test_damaged(log, written):
    """A compressed file that can't be read to its end is named, and stays; the others are done."""
    written(_turns(6), max_bytes=3000)
    first = Path(files_of(log)[0].path)
    packed = Path(f"{first}.gz")
    packed.write_bytes(gzip.compress(first.read_bytes())[:-20])
    first.unlink()
    before = packed.read_bytes()

    report = rewrite(log, NAME)

    assert [(str(packed), None)] == [(each.path, each.events) for each in report.untouched]
    assert report.events > 0
    assert before == packed.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:3], lines[3].replace(b"number", b"Number"), *lines[4:]],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        lambda lines: [*lines[:3], lines[3], lines[3], *lines[4:]],
        lambda lines: [*lines[:-1], lines[-1].replace(b'"reason"', b'"Reason"')],
        lambda lines: [*lines[:-2], lines[-2].replace(b'"session_id"', b'"session_iD"'), lines[-1]],
    ],
)
def test_tampered(log, written, change):
    """What was altered, taken out, put elsewhere or repeated is not made good: the file stays."""
    written(_turns(6), evidence=True)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(change(lines)))

    report = rewrite(log, NAME)

    assert 0 == report.events
    (left,) = report.untouched
    assert "hilt-log verify" in left.reason
    assert [] == [each for each in _notices(log) if each["kind"] == "rewritten"]


def test_signed(log, written, tmp_path):
    """A signed log needs its key, and is signed again with it."""
    pytest.importorskip("cryptography")
    private = jwk.generate("Ed25519")
    jwk.write_new(tmp_path / "log.key.jwk", private)
    key = jwk.load_private("sign_key", tmp_path / "log.key.jwk", ("Ed25519",))
    written(_turns(6), evidence=True, sign_key=tmp_path / "log.key.jwk", checkpoint_every=5)
    before = _stored(log.parent)
    with pytest.raises(ConfigurationError, match="is signed: give the key"):
        rewrite(log, NAME)
    assert before == _stored(log.parent)

    rewrite(log, NAME, sign_key=tmp_path / "log.key.jwk")

    sealed = [line.removesuffix(b"\n") for line in _lines(log) if b'"signature":' in line]
    assert len(sealed) > 5
    keys = chain.keys_by_id([key])
    assert {True} == {chain.is_sealed(line, chain.link_of(line), keys) for line in sealed}
    assert [] == [line for line in _lines(log) if b'"digest":"' in line]
    jwk.write_new(tmp_path / "log.pub.jwk", jwk.public_of(private))
    _check_links(log, tmp_path / "log.pub.jwk")


@pytest.mark.parametrize("name", [NAME, "bob"])
def test_torn_between_files(log, written, name):
    """What is unfinished at the end of a file that was moved away is no harm to those around it."""
    for number, who in enumerate((NAME, "bob", NAME)):
        written([events.prompt("Hello", user_id=who)], evidence=True)
        with open(log, "ab") as file:
            file.write(b'{"hilt_version":"1.0.0","torn')
        log.rename(f"{log}.20260102T00000{number}.000000000Z")
    written([events.prompt("Hello", user_id="bob")], evidence=True)
    before = _check_links(log)

    assert 2 == rewrite(log, name).events

    count = {True: 0, False: 0}
    for verdict in (before, _check_links(log)):
        count[verdict is before] = sum(each.kind == "torn" for each in verdict.findings)
    assert {True: 3, False: 3} == count


def test_wrong_options(log, written):
    """What can't be meant is an error before anything is done."""
    written(_turns(1))
    before = _stored(log.parent)
    for options in ({"kind": "actor"}, {"subject": ""}, {"subject": None}, {"sign_key": "missing"}):
        with pytest.raises(ConfigurationError):
            rewrite(log, **{"subject": NAME, **options})
    with pytest.raises(ReadError, match="not found"):
        rewrite(log.with_name("missing.jsonl"), NAME)
    assert before == _stored(log.parent)


def test_names(tmp_path):
    """A new file comes right after the old one, also over the turn of a second, or in its place."""
    path = tmp_path / "a.jsonl.20261231T235959.999999999Z"
    later = tmp_path / "a.jsonl.20270101T000000.000000000Z"

    assert f"{later}.gz" == _swapping.name_of_next(f"{path}.gz")
    assert f"{later}.old" == _swapping.name_of_next(f"{path}.old")
    assert f"{tmp_path}/a.jsonl.1" == _swapping.name_of_next(f"{tmp_path}/a.jsonl.1")
    later.with_name(f"{later.name}.zst").touch()
    assert f"{path}.gz" == _swapping.name_of_next(f"{path}.gz")


@pytest.mark.parametrize("keep_old", [False, True])
def test_no_room(log, written, keep_old):
    """Where the next name is taken, the new file takes that of the old one: the order stays."""
    written(_turns(2), evidence=True)
    log.rename(log.with_name("app.jsonl.20991231T000000.000000000Z"))
    written(_turns(2), evidence=True)

    report = rewrite(log, NAME, keep_old=keep_old)

    names = [os.path.basename(file.path) for file in files_of(log)]
    assert [f"app.jsonl.20991231T000000.00000000{number}Z" for number in (0, 2)] == names[:2]
    assert 8 == report.events
    assert 0 == rewrite(log, NAME, keep_old=keep_old).events
    _check_links(log)
    assert keep_old == (log.parent / "app.jsonl.erased").exists()


def test_writers_go_on(log, tmp_path):
    """While four processes write, nothing of others is lost, and the person's events of before go."""
    code = """
import sys, hilt_logging
from hilt_logging import events
hilt_logging.basic_config(sys.argv[1])
print("ready", flush=True)
for number in range(300):
    sys.stdin.readline() if number == 100 else None
    hilt_logging.emit(events.prompt(f"{sys.argv[2]} {number}", session_id=sys.argv[2], user_id=sys.argv[2]))
    print(number, flush=True) if number == 99 else None
"""
    names = ("alice", "bob", "carol", "dave")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, log, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for each in running:
        assert ["ready\n", "99\n"] == [each.stdout.readline(), each.stdout.readline()]
    reports = []
    eraser = threading.Thread(target=lambda: reports.append(rewrite(log, "alice")))
    eraser.start()
    for each in running:
        each.communicate("\n")
    eraser.join()

    (report,) = reports
    texts = [each["content"]["text"] for each in _events(log) if "content" in each]
    assert [] == report.untouched
    assert report.events >= 100
    for name in names[1:]:
        assert [f"{name} {number}" for number in range(300)] == [
            each for each in texts if each.startswith(name)
        ]
    assert 300 - report.events == sum(each.startswith("alice") for each in texts)


CALLS = ("open", "rename", "replace", "link", "unlink", "fsync", "chmod", "chown", "utime", "mkdir")


class _Faulty:
    """Makes the nth call of the functions that change files fail, or ends the process there."""

    def __init__(self, monkeypatch, folder):
        self.at, self.act, self.count = -1, None, 0
        for name in CALLS:
            real = getattr(os, name)
            monkeypatch.setattr(os, name, self._wrapped(real))

    def _wrapped(self, real):
        def called(*args, **options):
            number, self.count = self.count, self.count + 1
            if number == self.at:
                self.act()
            return real(*args, **options)

        return called


def _fail():
    raise OSError(errno.EIO, "injected")


@pytest.mark.once
@pytest.mark.untraced
@pytest.mark.parametrize("act", [_fail, lambda: os._exit(9)], ids=["fails", "killed"])
@pytest.mark.parametrize("evidence", [False, True], ids=["plain", "chained"])
@pytest.mark.parametrize("keep_old", [False, True], ids=["deleted", "kept"])
def test_any_moment(log, written, monkeypatch, act, evidence, keep_old):
    """Whatever fails, and wherever it ends, each event is there once; the next call completes it."""
    written(_turns(3), max_bytes=3500, evidence=evidence)
    first = log.parent / files_of(log)[0].path
    with open(f"{first}.gz", "wb") as file:
        file.write(gzip.compress(first.read_bytes()))
    first.unlink()
    start = {path.name: path.read_bytes() for path in log.parent.iterdir()}
    ids = [json.loads(each)["event_id"] for each in _said(_lines(log))]
    others = [each for each in _said(_lines(log)) if NAME.encode() not in each]
    faulty = _Faulty(monkeypatch, log.parent)
    for at in range(1000):
        for path in sorted(log.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, data in start.items():
            (log.parent / name).write_bytes(data)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                faulty.at, faulty.act, faulty.count = at, act, 0
                rewrite(log, NAME, keep_old=keep_old, wait_s=0)
                code = 0 if faulty.count <= at else 2
            except OSError as error:
                code = 2 if error.errno == errno.EIO else 3
            except (RecordingError, ReadError):
                code = 2
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, 2, 9)

        after = _said(_lines(log))
        assert ids == [json.loads(each)["event_id"] for each in after], at
        assert others == [each for each in after if each in others], at
        _check_links(log)
        if code == 0:
            break
        faulty.at = -1
        sharing._shared.clear()
        report = rewrite(log, NAME, keep_old=keep_old, wait_s=0)
        assert [] == report.untouched, at
        assert ids == [json.loads(each)["event_id"] for each in _said(_lines(log))], at
        assert not any(NAME.encode() in line for line in _lines(log)), at
        assert [] == [
            each for each in os.listdir(log.parent) if each.endswith((".part", ".erasing"))
        ], at
        assert keep_old or _is_gone(log), at
    assert at > 20
