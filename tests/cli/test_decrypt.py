"""`hilt-log decrypt`."""

from __future__ import annotations

import json
import os
import stat

import pytest

from hilt_logging.safeguards import jwk
from hilt_logging.safeguards.keystore import open_store


@pytest.fixture
def keys(tmp_path):
    """The files of a pair of keys."""
    made = jwk.generate()
    private, public = tmp_path / "a.key.jwk", tmp_path / "a.pub.jwk"
    jwk.write_new(private, made)
    jwk.write_new(public, jwk.public_of(made))
    return private, public


@pytest.fixture
def log(written, keys):
    """A log of three events that only a key opens."""
    return written("one", "two\x1b[2J", "Grüße", encrypt_to=str(keys[1]))


def texts(lines):
    return [json.loads(line)["content"]["text"] for line in lines.splitlines()]


def test_to_the_screen(hilt_log, log, keys):
    """The events are printed as they were, and how many were opened is told on stderr."""
    done = hilt_log("decrypt", log, "--key", keys[0])
    assert (0, "3 of 3 lines opened\n") == (done.code, done.err)
    assert ["one", "two\x1b[2J", "Grüße"] == texts(done.out)
    assert "Grüße" not in log.read_text()


def test_to_a_file(hilt_log, log, keys, tmp_path):
    """A new file has the events, for its owner alone."""
    done = hilt_log("decrypt", log, "--key", keys[0], "-o", tmp_path / "open.jsonl")
    assert (0, "3 of 3 lines opened\n", "") == (done.code, done.out, done.err)
    assert ["one", "two\x1b[2J", "Grüße"] == texts((tmp_path / "open.jsonl").read_text())
    assert 0o600 == stat.S_IMODE((tmp_path / "open.jsonl").stat().st_mode)


def test_json(hilt_log, log, keys, tmp_path):
    """The result is JSON: on stderr where the lines are on stdout, else on stdout."""
    expected = {"lines": 3, "opened": 3, "failures": {}, "unread": 0}
    done = hilt_log("decrypt", log, "--key", keys[0], "--json")
    assert expected == json.loads(done.err)
    assert 3 == len(texts(done.out))
    done = hilt_log("decrypt", log, "--key", keys[0], "--json", "-o", tmp_path / "open.jsonl")
    assert expected == done.json


def test_file_that_is_there(hilt_log, log, keys, tmp_path):
    """A file that is there stays as it is, unless --force says otherwise; a log never is changed."""
    there = tmp_path / "open.jsonl"
    there.write_text("mine")
    before = log.read_bytes()
    done = hilt_log("decrypt", log, "--key", keys[0], "-o", there)
    assert (2, "mine") == (done.code, there.read_text())
    assert "--force" in done.err
    assert 0 == hilt_log("decrypt", log, "--key", keys[0], "-o", there, "--force").code
    assert 3 == len(texts(there.read_text()))
    assert before == log.read_bytes()


def test_wrong_key(hilt_log, log, tmp_path):
    """Lines that the key does not open stay as they are, are named, and the exit code is 1."""
    jwk.write_new(tmp_path / "b.key.jwk", jwk.generate())
    done = hilt_log("decrypt", log, "--key", tmp_path / "b.key.jwk")
    assert (1, log.read_bytes()) == (done.code, done.data)
    assert f"{log}, line 3: " in done.err
    assert "3 not opened: no key" in done.err


def test_many_failures(hilt_log, written, keys, tmp_path):
    """Of many lines that can't be opened the first are named, and all are counted."""
    log = written(*map(str, range(30)), encrypt_to=str(keys[1]))
    jwk.write_new(tmp_path / "b.key.jwk", jwk.generate())
    done = hilt_log("decrypt", log, "--key", tmp_path / "b.key.jwk")
    assert 20 == done.err.count("Error: ")
    assert "30 not opened: no key" in done.err


def test_erased(hilt_log, written, tmp_path):
    """What was erased is counted and stays encrypted, which is no fault; the rest is opened."""
    options = {"erasable_by": "user_id", "key_store": str(tmp_path / "keys.db")}
    log = written("hers", **options)
    written("his", user="bob", **options)
    open_store("key_store", str(tmp_path / "keys.db")).erase("user:alice")
    done = hilt_log("decrypt", log, "--key-store", tmp_path / "keys.db")
    first, second = map(json.loads, done.out.splitlines())
    assert (0, "1 of 2 lines opened\n1 not opened: erased\n") == (done.code, done.err)
    assert ("his", "bob") == (second["content"]["text"], second["actor"]["id"])
    assert "hers" not in done.out
    assert "text_encrypted" in first["content"]


def test_lines_that_are_not_encrypted(hilt_log, written, keys):
    """Lines that are not encrypted, and lines that are no events, are written as they are."""
    log = written("plain")
    with open(log, "ab") as file:
        file.write(b"no event\xff\n")
    done = hilt_log("decrypt", log, "--key", keys[0])
    assert (0, log.read_bytes()) == (done.code, done.data)
    assert "0 of 2 lines opened\n" == done.err


def test_empty_file(hilt_log, keys, tmp_path):
    """An empty log gives an empty file."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("decrypt", tmp_path / "app.jsonl", "--key", keys[0], "-o", tmp_path / "open")
    assert (0, b"") == (done.code, (tmp_path / "open").read_bytes())


def test_file_that_cannot_be_read(hilt_log, log, keys, tmp_path):
    """A file that is not there is named, the others are read, and the exit code is 3."""
    done = hilt_log("decrypt", tmp_path / "gone.jsonl", log, "--key", keys[0])
    assert 3 == done.code
    assert str(tmp_path / "gone.jsonl") in done.err
    assert 3 == len(texts(done.out))


def test_keys_that_do_not_fit(hilt_log, log, keys, tmp_path):
    """A public key, one that is not there, and none at all: told before anything is written."""
    for given in (["--key", keys[1]], ["--key", tmp_path / "no.jwk"], []):
        done = hilt_log("decrypt", log, *given, "-o", tmp_path / "open.jsonl")
        assert (2, "") == (done.code, done.out)
        assert "--key" in done.err
        assert not (tmp_path / "open.jsonl").exists()


def test_key_that_others_can_read(hilt_log, log, keys):
    """A private key that others can read is refused, unless an option says otherwise."""
    os.chmod(keys[0], 0o644)
    done = hilt_log("decrypt", log, "--key", keys[0])
    assert (2, "") == (done.code, done.out)
    assert "--shared-key-file" in done.err
    assert 0 == hilt_log("decrypt", log, "--key", keys[0], "--shared-key-file").code


def test_standard_input(in_shell, log, keys):
    """With -, the lines come from standard input."""
    with open(log) as file:
        done = in_shell("decrypt", "-", "--key", keys[0], stdin=file)
    assert (0, "3 of 3 lines opened\n") == (done.returncode, done.stderr)
    piped = in_shell("decrypt", "-", "--key", keys[0], input=log.read_text())
    assert (0, done.stdout) == (piped.returncode, piped.stdout)
    assert ["one", "two\x1b[2J", "Grüße"] == texts(done.stdout)


def test_nobody_reads(unheard, log, keys):
    """Where what reads the lines ends early, the program does, too, without a word."""
    done = unheard("decrypt", log, "--key", keys[0])
    assert (141, "") == (done.returncode, done.stderr)
