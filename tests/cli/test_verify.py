"""`hilt-log verify`."""

from __future__ import annotations

import json
import logging

import pytest

from hilt_logging import HILTFileHandler, emit
from hilt_logging.safeguards import jwk


@pytest.fixture
def keys(tmp_path):
    """The files of a pair of keys that sign and verify."""
    made = jwk.generate("Ed25519")
    private, public = tmp_path / "e.key.jwk", tmp_path / "e.pub.jwk"
    jwk.write_new(private, made)
    jwk.write_new(public, jwk.public_of(made))
    return private, public


@pytest.fixture
def log(written, keys):
    """A log of three events that was written with evidence, signed and closed."""
    return written("one", "two", "three", evidence=True, sign_key=str(keys[0]))


@pytest.fixture
def verified(hilt_log, log, keys):
    """Runs the program with the public key."""
    return lambda *words: hilt_log("verify", log, "--public-key", keys[1], *words)


def change(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_nothing_is_wrong(verified, log):
    """A log that nobody changed: exit code 0, how much was read, and what can't be shown so."""
    done = verified()
    count = len(log.read_bytes().splitlines())
    assert (0, "") == (done.code, done.err)
    assert done.out.startswith(f"Nothing is wrong: {count} lines in 1 file\n")
    assert "Not shown: " in done.out


def test_altered_line(verified, log):
    """A line that was altered is named, with its kind, and the exit code is 1."""
    change(log, b'"two"', b'"owt"')
    done = verified()
    assert (1, "") == (done.code, done.err)
    assert done.out.startswith("It was changed: ")
    assert f"tampering: {log}, line " in done.out
    assert ": altered: " in done.out


def test_json(verified, log):
    """The verdict is JSON, with the exit code."""
    verdict = verified("--json").json
    assert (0, []) == (verdict["exit_code"], verdict["findings"])
    change(log, b'"two"', b'"owt"')
    done = verified("--json")
    assert (1, 1) == (done.code, done.json["exit_code"])
    first = done.json["findings"][0]
    assert ("altered", "tampering", str(log)) == tuple(
        first[each] for each in ("kind", "severity", "file")
    )


def test_many_findings(verified, log):
    """Of many findings the first are shown, and all are counted."""
    with open(log, "ab") as file:
        file.write(b'{"foreign":1}\n' * 80)
    done = verified()
    assert 1 == done.code
    assert 52 > done.out.count("tampering: ")
    assert " more\n" in done.out


def test_without_the_key(hilt_log, log):
    """Without the key, the signatures of a signed log can't be checked: exit code 2."""
    done = hilt_log("verify", log)
    assert 2 == done.code
    assert done.out.startswith("It could not be checked: ")


def test_crash(hilt_log, log, keys):
    """A log that was not closed is told and right; with --strict the exit code is 1."""
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    strict = hilt_log("verify", log, "--public-key", keys[1], "--strict", "--json")
    assert 1 == strict.code
    assert {"told"} >= {each["severity"] for each in strict.json["findings"]} - {"unchecked"}


def test_strict(hilt_log, written):
    """What is told and no tampering is not called so, also with --strict."""
    log = written("one", evidence=True)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    usual, strict = hilt_log("verify", log), hilt_log("verify", log, "--strict")
    assert (0, 1) == (usual.code, strict.code)
    assert "told: " in usual.out
    assert strict.out.startswith("It was not changed, but something happened to it: ")


def test_checkpoints(hilt_log, tmp_path, keys):
    """With checkpoints that were kept elsewhere, a log that was cut at its end is found out."""
    saved = HILTFileHandler(tmp_path / "saved.jsonl")
    integrity = logging.getLogger("hilt.integrity")
    integrity.setLevel(logging.INFO)
    integrity.addHandler(saved)
    handler = HILTFileHandler(
        tmp_path / "app.jsonl", evidence=True, sign_key=str(keys[0]), checkpoint_every=5
    )
    logger = logging.Logger("hilt.test")
    logger.addHandler(handler)
    for number in range(12):
        emit(
            {
                "actor": {"type": "human", "id": "alice"},
                "action": "prompt",
                "content": {"text": str(number)},
            },
            logger=logger,
        )
    handler.close()
    saved.close()
    log = tmp_path / "app.jsonl"
    words = ("verify", log, "--public-key", keys[1], "--checkpoints", tmp_path / "saved.jsonl")
    assert 0 == hilt_log(*words).code
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:8]))
    done = hilt_log(*words)
    assert 1 == done.code
    assert ": cut off: " in done.out
    assert 0 == hilt_log("verify", log, "--public-key", keys[1]).code


def test_log_without_evidence(hilt_log, written):
    """A log that was written without evidence can't be checked: exit code 2, never 0."""
    done = hilt_log("verify", written("one"))
    assert 2 == done.code
    assert "nothing to verify" in done.out


def test_empty_file(hilt_log, tmp_path):
    """In an empty file there is nothing to verify."""
    (tmp_path / "app.jsonl").touch()
    assert 2 == hilt_log("verify", tmp_path / "app.jsonl").code


def test_file_that_is_not_there(hilt_log, tmp_path):
    """A file that is not there is named: exit code 2."""
    done = hilt_log("verify", tmp_path / "gone.jsonl")
    assert 2 == done.code
    assert "gone.jsonl" in done.out


@pytest.mark.parametrize("which", [0, None])
def test_keys_that_do_not_fit(hilt_log, log, keys, which):
    """A private key, and one that is not there, are wrong usage that names the file."""
    given = "no.jwk" if which is None else keys[which]
    done = hilt_log("verify", log, "--public-key", given)
    assert (2, "") == (done.code, done.out)
    assert f"--public-key: '{given}'" in done.err


def test_standard_input(in_shell, log, keys):
    """A log that comes from a pipe is verified as one in a file, by the name of standard input."""
    words = ("verify", "-", "--public-key", keys[1], "--json")
    done = json.loads(in_shell(*words, input=log.read_text()).stdout)
    assert (0, 5, ["standard input"]) == (
        done["exit_code"],
        done["lines"],
        [chain["log"] for chain in done["chains"]],
    )
    change(log, b"two", b"six")
    done = json.loads(in_shell(*words, input=log.read_text()).stdout)
    (finding,) = done["findings"]
    assert ("altered", "standard input", 3) == tuple(
        finding[name] for name in ("kind", "file", "line")
    )


def test_nobody_reads(unheard, log):
    """Where nobody reads the verdict, the exit code is none of those that say something of the log."""
    done = unheard("verify", log)
    assert (141, "") == (done.returncode, done.stderr)


def test_hostile_texts(hilt_log, log, keys):
    """What stands in the log does nothing to a terminal."""
    told = json.loads(log.read_bytes().splitlines()[0])["extensions"]["notice"]
    change(log, json.dumps(told["host"]).encode(), b'"\\u001b[2J\\u009b"')
    done = hilt_log("verify", log, "--public-key", keys[1])
    assert 1 == done.code
    assert "\x1b" not in done.out
    assert "\x9b" not in done.out


class TestSealed:
    @pytest.fixture
    def sealed(self, written, hilt_log, tmp_path):
        """A sealed log; the file of its key and the first key are beside it."""
        hilt_log("keygen", tmp_path / "app", "--seal", "-o", tmp_path / "first.jwk")
        return written("one", "two", evidence="sealed", seal_key=str(tmp_path / "app.seal"))

    def test_nothing_is_wrong(self, hilt_log, sealed, tmp_path):
        """With the first key and the key of the host all is shown."""
        keys = "--seal-key", tmp_path / "first.jwk", "--seal-key", tmp_path / "app.seal"
        done = hilt_log("verify", sealed, *keys)
        assert (0, "") == (done.code, done.err)
        assert "1 with a valid seal" in done.out
        assert "Not shown" not in done.out

    def test_without_the_first_key(self, hilt_log, sealed):
        """Without it, the seals could not be checked."""
        done = hilt_log("verify", sealed)
        assert 2 == done.code
        assert "seals not checked" in done.out

    def test_cut_off(self, hilt_log, sealed, tmp_path):
        """The key of the host shows that the end was cut off."""
        sealed.write_bytes(b"".join(sealed.read_bytes().splitlines(keepends=True)[:2]))
        done = hilt_log("verify", sealed, "--seal-key", tmp_path / "app.seal")
        assert 1 == done.code
        assert "cut off: the log has no seal, and its key has moved on" in done.out

    def test_pruned(self, hilt_log, sealed, tmp_path):
        """What changes a sealed log asks for the file of its key."""
        done = hilt_log("prune", sealed, "--older-than", "1d")
        assert 2 == done.code
        assert "is sealed: give the file of the key that seals it" in done.err
        done = hilt_log("prune", sealed, "--older-than", "1d", "--seal-key", tmp_path / "app.seal")
        assert 0 == done.code

    def test_no_key(self, hilt_log, sealed, tmp_path):
        """What is no key is told by its name."""
        done = hilt_log("verify", sealed, "--seal-key", sealed)
        assert 2 == done.code
        assert "--seal-key" in done.err
