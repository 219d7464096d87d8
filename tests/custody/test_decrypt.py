"""Opening the files of a log."""

from __future__ import annotations

import gzip
import json
import os

import msgspec
import pytest

from hilt_logging import HILTFileHandler, HILTFormatter, emit, events
from hilt_logging.custody import decrypt
from hilt_logging.errors import ConfigurationError, HILTError, ReadError
from hilt_logging.events import encode
from hilt_logging.records import completed
from hilt_logging.safeguards import jwk
from hilt_logging.safeguards.keystore import open_store


pytest.importorskip("cryptography", reason="the extra crypto is not installed")

SECRET = "what nobody else may read"


@pytest.fixture
def keys(tmp_path):
    """The files of two keys."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("a", "b"):
        key = jwk.generate()
        jwk.write_new(folder / f"{name}.key.jwk", key)
        jwk.write_new(folder / f"{name}.pub.jwk", jwk.public_of(key))
    return folder


@pytest.fixture
def log(tmp_path, keys):
    """A folder for logs, and what makes lines of texts, and what those are whole."""
    folder = tmp_path / "logs"
    folder.mkdir()
    form = HILTFormatter(encrypt_to=str(keys / "a.pub.jwk"))

    class Log:
        path = folder / "x.jsonl"

        @staticmethod
        def line(text, form=form):
            event = completed(events.prompt(text, user_id="alice"), "hilt")
            return form._sealing.line(encode(event), 10**6) + b"\n", event

    return Log


class TestFiles:
    def test_a_log(self, log, keys):
        """A log with rotated and compressed files is opened in its order, and nothing is changed."""
        lines, whole = zip(*(log.line(f"{SECRET} {number}") for number in range(6)), strict=True)
        (log.path.parent / "x.jsonl.20260101T000000.000000001Z.gz").write_bytes(
            gzip.compress(b"".join(lines[:2]))
        )
        (log.path.parent / "x.jsonl.20260102T000000.000000001Z").write_bytes(b"".join(lines[2:4]))
        log.path.write_bytes(b"".join(lines[4:]))
        before = {path: path.read_bytes() for path in log.path.parent.iterdir()}
        found = list(decrypt(log.path, keys=[keys / "a.key.jwk"]))
        assert list(whole) == [each.event for each in found]
        assert [encode(event) for event in whole] == [each.line for each in found]
        assert [1, 2, 1, 2, 1, 2] == [each.number for each in found]
        assert {True} == {each.was_encrypted for each in found}
        assert before == {path: path.read_bytes() for path in log.path.parent.iterdir()}
        alone = list(decrypt([log.path], keys=[keys / "a.key.jwk"], rotated=False))
        assert found[4:] == alone

    def test_through_the_handler(self, log, keys, hilt):
        """What a handler wrote is what was emitted."""
        hilt.addHandler(HILTFileHandler(log.path, encrypt_to=[str(keys / "a.pub.jwk")]))
        for number in range(3):
            emit(events.prompt(f"{SECRET} {number}", user_id="alice"))
        assert SECRET.encode() not in log.path.read_bytes()
        found = list(decrypt(log.path, keys=[keys / "a.key.jwk"]))
        assert [f"{SECRET} {n}" for n in range(3)] == [
            each.event["content"]["text"] for each in found
        ]

    def test_what_is_no_event(self, log, keys):
        """Lines that are not encrypted, torn or foreign pass as they are."""
        line, event = log.line(SECRET)
        plain = b'{"a": 1.0, "text_encrypted": 1}'
        others = [plain, b"", line[:200], b'"text_encrypted"', b"\xff", b'{"text_encrypted": NaN}']
        log.path.write_bytes(line + b"\n".join(others))
        first, *found = decrypt(log.path, keys=[keys / "a.key.jwk"])
        assert event == first.event
        assert [(each, False, None) for each in others] == [found_[2:] for found_ in found]
        assert {"a": 1.0, "text_encrypted": 1} == found[0].event
        with pytest.raises(ReadError, match=r"x\.jsonl, line 3: not an event"):
            found[1].event

    def test_failures(self, log, keys):
        """What can't be opened passes as it is, with the reason; the rest is opened."""
        line, event = log.line(SECRET)
        other, _ = log.line(SECRET)
        moved = {**json.loads(line), "content": json.loads(other)["content"]}
        damaged = json.loads(line)
        token = damaged["content"]["text_encrypted"]
        damaged["content"]["text_encrypted"] = token[:-30] + "AAAA" + token[-26:]
        foreign = HILTFormatter(encrypt_to=str(keys / "b.pub.jwk"))
        lines = [line, encode(moved), encode(damaged), log.line(SECRET, foreign)[0], line]
        log.path.write_bytes(b"\n".join(each.rstrip(b"\n") for each in lines))
        found = list(decrypt(log.path, keys=[keys / "a.key.jwk"]))
        assert [None, "moved", "damaged", "no key", None] == [
            each.failure and each.failure.reason for each in found
        ]
        assert [event, event] == [each.event for each in found if each.failure is None]
        assert [lines[n].rstrip(b"\n") for n in (1, 2, 3)] == [each.line for each in found[1:4]]
        assert SECRET not in str([each.failure for each in found])

    def test_erased(self, log, keys, tmp_path):
        """With a key store; and after an erasure the rest can still be opened."""
        store = open_store("key_store", tmp_path / "keys.db")
        form = HILTFormatter(erasable_by="user_id", key_store=str(tmp_path / "keys.db"))
        lines = [log.line(SECRET, form)[0]]
        event = completed(events.prompt(SECRET, user_id="bob"), "hilt")
        lines.append(form._sealing.line(encode(event), 10**6) + b"\n")
        log.path.write_bytes(b"".join(lines))
        options = {"key_store": tmp_path / "keys.db"}
        assert [None, None] == [each.failure for each in decrypt(log.path, **options)]
        assert ["no key"] * 2 == [each.failure.reason for each in decrypt(log.path)]
        store.erase("user:alice")
        gone, kept = decrypt(log.path, **options)
        assert ("erased", event) == (gone.failure.reason, kept.event)

    def test_many(self, log, keys):
        """What comes out comes line by line: nothing is read ahead but a block."""
        line, _ = log.line(SECRET)
        log.path.write_bytes(line * 3)
        found = decrypt(log.path, keys=[keys / "a.key.jwk"])
        next(found)
        log.path.unlink()
        assert 2 == len(list(found))


class TestWrong:
    def test_keys(self, log, keys, tmp_path):
        """A key that can't be had is told before anything is read."""
        (keys / "a.key.jwk").chmod(0o644)
        cases = {
            "chmod 600": {"keys": [keys / "a.key.jwk"]},
            "no private key": {"keys": [keys / "a.pub.jwk"], "shared_key_file": True},
            "can't be read": {"keys": [tmp_path / "no.jwk"]},
            "key_store": {"key_store": tmp_path / "no.db"},
        }
        if os.name != "posix":
            del cases["chmod 600"]
        for told, options in cases.items():
            with pytest.raises(ConfigurationError, match=told):
                decrypt(log.path, **options)
        assert not (tmp_path / "no.db").exists()
        log.path.write_bytes(log.line(SECRET)[0])
        (found,) = decrypt(log.path, keys=[keys / "a.key.jwk"], shared_key_file=True)
        assert found.was_encrypted

    def test_files(self, log, keys):
        """What can't be read is raised or reported; the rest is opened."""
        line, _ = log.line(SECRET)
        damaged = log.path.parent / "y.jsonl.20260101T000000.000000001Z.gz"
        damaged.write_bytes(gzip.compress(line * 2)[:-12])
        log.path.write_bytes(line)
        options = {"keys": [keys / "a.key.jwk"]}
        with pytest.raises(ReadError):
            decrypt(log.path.parent / "no.jsonl", **options)
        with pytest.raises(HILTError):
            list(decrypt(damaged, **options))
        errors = []
        paths = [log.path.parent / "no.jsonl", damaged, log.path]
        found = list(decrypt(paths, report=errors.append, **options))
        assert [str(paths[0]), str(damaged)] == [error.path for error in errors]
        assert str(log.path) in {each.path for each in found}

    def test_a_line_that_is_too_long(self, log, keys, monkeypatch):
        """It is passed over, and lines after it have their own numbers."""
        from hilt_logging.io import files

        monkeypatch.setattr(files, "LONGEST", 4000)
        monkeypatch.setattr(files, "_CHUNK", 1000)
        line, event = log.line(SECRET)
        log.path.write_bytes(line + b"x" * 9000 + b"\n" + line)
        errors = []
        found = list(decrypt(log.path, keys=[keys / "a.key.jwk"], report=errors.append))
        assert ([1, 3], [2]) == ([each.number for each in found], [each.line for each in errors])
        assert [event, event] == [each.event for each in found]


def test_loaded_keys(log, keys):
    """Keys that are loaded already are taken as they are."""
    line, event = log.line(SECRET)
    log.path.write_bytes(line)
    key = jwk.load_private("key", keys / "a.key.jwk", ["P-256"])
    (found,) = decrypt([log.path], keys=[key])
    assert event == found.event == msgspec.json.decode(found.line)
