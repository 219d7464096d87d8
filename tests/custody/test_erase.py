"""Erasing somebody by key: for good, in every copy, and without harm to anybody else."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys

import pytest

import hilt_logging

from hilt_logging import HILTFileHandler, events
from hilt_logging.custody.erase import erase
from hilt_logging.custody.verify import verify
from hilt_logging.errors import ConfigurationError, ReadError, RecordingError
from hilt_logging.safeguards import chain, jwk, keystore
from hilt_logging.safeguards.keystore import KeyStoreError, open_store


pytest.importorskip("cryptography")
encryption = pytest.importorskip("hilt_logging.safeguards.encryption")

SAID = ("I want to cancel my contract", "Yes.", "My PIN is 4711")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def log(folder):
    return folder / "app.jsonl"


@pytest.fixture
def keys(folder):
    return folder / "keys.db"


@pytest.fixture
def store(keys):
    made = open_store("key_store", keys)
    yield made
    made.close()


@pytest.fixture
def handler(log, keys, hilt):
    """Makes a handler on the log, erasable by its users."""
    made = []

    def make(**options):
        handler = HILTFileHandler(log, erasable_by="user_id", key_store=keys, **options)
        hilt.addHandler(handler)
        made.append(handler)
        return handler

    yield make
    for each in made:
        hilt.removeHandler(each)
        each.close()


def _say(who, *texts):
    for text in texts:
        hilt_logging.emit(events.prompt(text, session_id=f"conv-{len(who)}", user_id=who))


def _lines(log):
    return log.read_bytes().splitlines()


def _notices(log):
    events = map(json.loads, _lines(log))
    return [
        each["extensions"]["notice"] for each in events if "notice" in each.get("extensions", {})
    ]


def _opened(log, keys):
    """The texts that can still be read."""
    opener = encryption.Opener(key_store=open_store("key_store", keys))
    texts = []
    for line in _lines(log):
        try:
            texts.append(opener.open(json.loads(line))["content"]["text"])
        except (hilt_logging.HILTError, KeyError):
            continue
    return texts


def _everything(folder):
    return b"\0".join(each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file())


def _digests(text):
    """What a text would be found by, if it stood anywhere as a plain digest."""
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b"):
        digest = hashlib.new(name, text.encode())
        yield digest.hexdigest().encode()
        yield digest.digest()


@pytest.mark.parametrize("evidence", [False, True])
def test_erased(folder, log, keys, handler, evidence):
    """Neither name nor texts are found any more, whatever one guesses, and the others' are read."""
    handler(**({"evidence": True} if evidence else {}))
    _say("alice", *SAID)
    _say("bob", "Hello", *SAID)
    assert {*SAID, "Hello"} == set(_opened(log, keys))
    (folder / "shipped.jsonl").write_bytes(log.read_bytes())
    secret = open_store("key_store", keys)._secret

    report = erase("alice", key_store=keys, log=log, by="dpo")

    assert (3, [str(log)]) == (report.events, report.files)
    for copy in (log, folder / "shipped.jsonl"):
        assert ["Hello", *SAID] == _opened(copy, keys)
    everything = _everything(folder)
    guesses = [
        "alice",
        "user:alice",
        "Alice",
        *SAID,
        *(f"{a}{b}" for a, b in [("user_id=", "alice")]),
    ]
    for guess in guesses:
        assert guess.encode() not in everything
        assert [] == [each for each in _digests(guess) if each in everything]
        mac = keystore.hmac.digest(secret, guess.encode(), "sha256")
        assert mac not in everything
        assert mac.hex().encode() not in everything
    assert b"bob" not in everything


def test_running(log, keys, handler):
    """A process that goes on writing uses a new key from the next event on, and is read with it."""
    handler()
    _say("alice", "before")

    report = erase("alice", key_store=keys, log=log)
    _say("alice", "after")

    assert ["after"] == _opened(log, keys)
    ids = [json.loads(line)["privacy"]["key_id"] for line in _lines(log) if b'"notice"' not in line]
    assert report.key_id == ids[0] != ids[1]


RUNNING = """
import sys, hilt_logging
from hilt_logging import events
hilt_logging.basic_config(sys.argv[1], erasable_by="user_id", key_store=sys.argv[2])
for line in sys.stdin:
    hilt_logging.emit(events.prompt(line.strip(), session_id="s", user_id="alice"))
    print("done", flush=True)
"""


def test_running_elsewhere(log, keys):
    """So does another process, whose cache is warm."""
    running = subprocess.Popen(
        [sys.executable, "-c", RUNNING, log, keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def say(text):
        running.stdin.write(f"{text}\n")
        running.stdin.flush()
        assert "done\n" == running.stdout.readline()

    say("one")
    say("two")
    erase("alice", key_store=keys, log=log)
    say("three")
    running.communicate()

    assert ["three"] == _opened(log, keys)


def test_on_record(log, keys, handler):
    """Who erased which key, when, and how many events it had, stands in the log; the name does not."""
    handler()
    _say("alice", *SAID)

    report = erase("alice", key_store=keys, log=log, by="dpo")

    assert [
        {"kind": "erased", "key_id": report.key_id, "by": "dpo", "at": report.at, "events": 3}
    ] == _notices(log)
    assert str(log) == report.log
    assert [] == open_store("key_store", keys).untold()


def test_counted(folder, log, keys, handler):
    """Events are counted in rotated and compressed files and in copies, and notices are none."""
    handler(max_bytes=3000, compress="gzip")
    _say("alice", *SAID * 4)
    _say("bob", *SAID)
    hilt_logging.emit(events.prompt('"key_id":"s-x"', user_id="bob"))
    with gzip.open(folder / "old.jsonl.1.gz", "wb") as file:
        file.write(b"".join(line + b"\n" for line in _lines(log)))

    report = erase("alice", key_store=keys, log=log)
    again = erase(report.key_id, kind="key", key_store=keys, paths=[folder])

    assert 12 == report.events
    assert len(report.files) > 1
    assert again.key_id is None


def test_unread(folder, log, keys, handler):
    """What can't be read does not keep anybody from being erased, and is named."""
    handler()
    _say("alice", "one")
    packed = gzip.compress(log.read_bytes())
    (folder / "app.jsonl.1.gz").write_bytes(packed[:-20])

    report = erase("alice", key_store=keys, log=log)

    assert 1 <= report.events <= 2
    assert 1 == len(report.unread)
    assert "app.jsonl.1.gz" in report.unread[0]


def test_by_key(log, keys, handler):
    """Who is known by the key in the lines alone is erased by it."""
    handler()
    _say("alice", "one")
    _say("bob", "two")
    key_id = json.loads(_lines(log)[0])["privacy"]["key_id"]

    report = erase(key_id, kind="key", key_store=keys, log=log)

    assert key_id == report.key_id
    assert ["two"] == _opened(log, keys)


def test_no_text(log, keys, handler):
    """What a terminal gave and is no text is no key, and no reason not to erase."""
    handler()
    _say("alice", "one")

    assert erase("\udcff", kind="key", key_store=keys).key_id is None
    report = erase("alice", key_store=keys, log=log, by="\udcff")

    assert "\ufffd" == report.by
    assert "\ufffd" == json.loads(_lines(log)[-1])["extensions"]["notice"]["by"]


def test_session(log, keys, hilt):
    """Where sessions are erasable, one is erased with all that was said in it."""
    handler = HILTFileHandler(log, erasable_by="session", key_store=keys)
    hilt.addHandler(handler)
    for session, text in (("s1", "one"), ("s2", "two")):
        hilt_logging.emit(events.prompt(text, session_id=session, user_id="alice"))

    report = erase("s1", kind="session", key_store=keys, log=log)

    assert 1 == report.events
    assert ["two"] == _opened(log, keys)


def test_nobody(log, keys, handler):
    """Where there is no key nothing is done, and nothing is put on record."""
    handler()
    _say("bob", "two")
    before = log.read_bytes()

    report = erase("alice", key_store=keys, log=log)

    assert (None, 0, None) == (report.key_id, report.events, report.log)
    assert before == log.read_bytes()


def test_without_a_log(keys, store):
    """A key is destroyed also where nothing is counted or put on record; the next one tells it."""
    alice = store.key_for("user:alice")

    assert alice.id == erase("alice", key_store=keys).key_id
    assert store.key_of(alice.id) is None
    assert [alice.id] == [each.key_id for each in store.untold()]


def test_not_put_on_record(log, keys, handler, monkeypatch):
    """What could not be put on record is, with the next erasure."""
    handler()
    _say("alice", "one", "two")
    _say("bob", "three")
    from hilt_logging.storage.appender import Appender

    monkeypatch.setattr(Appender, "state", lambda self, notice: False)
    with pytest.raises(RecordingError):
        erase("alice", key_store=keys, log=log, by="dpo")
    monkeypatch.undo()
    assert ["three"] == _opened(log, keys)

    report = erase("bob", key_store=keys, log=log, by="boss")

    assert [("boss", 1), ("dpo", 2)] == [(each["by"], each["events"]) for each in _notices(log)]
    assert [each["key_id"] for each in _notices(log)] == [report.key_id, *report.others]


def test_other_store(log, store, handler):
    """What takes the place of the file is asked in its stead."""

    class Remote:
        def __init__(self):
            self.asked = []

        def key_for(self, subject):
            return store.key_for(subject)

        def key_of(self, key_id):
            return store.key_of(key_id)

        def was_erased(self, key_id):
            return store.was_erased(key_id)

        def erase(self, subject, *, by=""):
            self.asked.append((subject, by))
            return store.erase(subject, by=by)

    remote = Remote()
    handler()
    _say("alice", "one")

    report = erase("alice", key_store=remote, log=log, by="dpo")

    assert [("user:alice", "dpo")] == remote.asked
    assert [report.key_id] == [each["key_id"] for each in _notices(log)]
    with pytest.raises(ConfigurationError, match="by subject only"):
        erase("s-x", kind="key", key_store=remote)


def test_wrong_options(folder, log, keys, store, handler):
    """What can't be meant is an error before any key is destroyed."""
    alice = store.key_for("user:alice")
    wrong = [
        {"kind": "actor"},
        {"subject": ""},
        {"subject": None},
        {"key_store": folder / "missing.db"},
        {"key_store": None},
        {"log": log, "sign_key": folder / "missing"},
    ]
    handler()
    _say("alice", "one")
    for options in wrong:
        with pytest.raises(ConfigurationError):
            erase(**{"subject": "alice", "key_store": keys, **options})
    for options in ({"log": folder / "missing.jsonl"}, {"paths": [folder / "missing"]}):
        with pytest.raises(ReadError):
            erase("alice", key_store=keys, **options)

    assert alice == store.key_for("user:alice")
    assert not (folder / "missing.db").exists()
    assert not (folder / "missing.jsonl").exists()


def test_locked(keys, store, monkeypatch):
    """A store that is locked for too long is an error, and the key is still there."""
    import sqlite3

    monkeypatch.setattr(keystore, "_WAIT_S", 0.1)
    alice = store.key_for("user:alice")
    other = sqlite3.connect(keys, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(KeyStoreError, match="locked"):
        erase("alice", key_store=keys)

    other.execute("ROLLBACK")
    other.close()
    assert alice.key == store.key_of(alice.id)


def test_others_are_untouched(log, keys, handler):
    """Not a byte of what was written before changes."""
    handler()
    _say("alice", *SAID)
    _say("bob", *SAID)
    before = log.read_bytes()

    erase("alice", key_store=keys, log=log)

    assert log.read_bytes().startswith(before)
    assert len(before) < log.stat().st_size


@pytest.mark.parametrize("signed", [False, True])
def test_chain(folder, log, keys, handler, signed):
    """The chain is what it was, and goes on with the statement, which is signed where others are."""
    options, public_keys = {}, []
    if signed:
        private = jwk.generate("Ed25519")
        folder.mkdir(exist_ok=True)
        jwk.write_new(folder / "log.key.jwk", private)
        jwk.write_new(folder / "log.pub.jwk", jwk.public_of(private))
        options, public_keys = {"sign_key": folder / "log.key.jwk"}, [folder / "log.pub.jwk"]
    made = handler(evidence=True, **options)
    _say("alice", *SAID)
    before = log.read_bytes()
    if signed:
        with pytest.raises(ConfigurationError, match="is signed: give the key"):
            erase("alice", key_store=keys, log=log)

    report = erase("alice", key_store=keys, log=log, by="dpo", **options)
    _say("bob", "goes on")
    made.close()

    assert 3 == report.events
    assert log.read_bytes().startswith(before)
    (statement,) = [line for line in _lines(log) if b'"kind":"erased"' in line]
    link = chain.link_of(statement)
    assert signed == (link.signature is not None)
    verdict = verify([log], public_keys=public_keys)
    assert [("erased by statement", "told")] == [
        (each.kind, each.severity) for each in verdict.findings
    ]
    assert 0 == verdict.exit_code


def test_chain_from_another_process(log, keys, handler, in_child):
    """Also a process that has nothing else to do with the log goes on with its chain."""
    made = handler(evidence=True)
    _say("alice", *SAID)
    code = (
        "import sys; from hilt_logging.custody import erase\n"
        "print(erase('alice', key_store=sys.argv[1], log=sys.argv[2]).events)"
    )

    done = in_child(code, keys, log)
    _say("bob", "goes on")
    made.close()

    assert ("3\n", "") == (done.stdout, done.stderr)
    verdict = verify([log])
    assert ["erased by statement"] == [each.kind for each in verdict.findings]
