"""`hilt-log keygen`."""

from __future__ import annotations

import json
import os
import stat

import pytest

from hilt_logging.safeguards import jwk, sealing


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_pair(hilt_log, tmp_path):
    """Two files are made: a private key for its owner alone, and its public half."""
    done = hilt_log("keygen", "auditor")
    private = jwk.load_private("key", "auditor.key.jwk", ["P-256"])
    public = jwk.load_public("key", "auditor.pub.jwk", ["P-256"])
    assert (0, "") == (done.code, done.err)
    assert private.kid == public.kid
    assert private.kid in done.out
    assert 0o600 == mode("auditor.key.jwk")
    assert ["auditor.key.jwk", "auditor.pub.jwk"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize("kind", jwk.KINDS)
def test_types(hilt_log, kind):
    """Each type that encrypts or signs can be made; --json tells name, type and files."""
    done = hilt_log("keygen", "new", "--type", kind, "--json")
    made = jwk.load_private("key", "new.key.jwk", [kind])
    assert {
        "kid": made.kid,
        "type": kind,
        "private_key": "new.key.jwk",
        "public_key": "new.pub.jwk",
    } == done.json


@pytest.mark.parametrize(
    ("kind", "use"), [("P-256", "keep it where events are not written"), ("Ed25519", "it signs")]
)
def test_what_to_do_with_it(hilt_log, kind, use):
    """A key that opens belongs elsewhere than the log; one that signs is where it is written."""
    assert use in hilt_log("keygen", "new", "--type", kind).out


def test_nothing_secret_is_printed(hilt_log):
    """The private part of a key is in its file, and nowhere else."""
    done = [hilt_log("keygen", "a"), hilt_log("keygen", "a", "--json", "--force")]
    with open("a.key.jwk") as file:
        assert json.load(file)["d"] not in repr(done)


@pytest.mark.parametrize("there", ["auditor.key.jwk", "auditor.pub.jwk"])
def test_keys_that_are_there(hilt_log, tmp_path, there):
    """Where one of the two files is there, nothing is made, and nothing is written over."""
    (tmp_path / there).write_text("")
    done = hilt_log("keygen", "auditor")
    assert (2, "") == (done.code, done.out)
    assert there in done.err
    assert "" == (tmp_path / there).read_text()
    assert [there] == os.listdir(tmp_path)


def test_force(hilt_log):
    """With --force both files are replaced."""
    first = hilt_log("keygen", "a", "--json").json
    second = hilt_log("keygen", "a", "--json", "--force").json
    assert first["kid"] != second["kid"]
    assert second["kid"] == jwk.load_public("key", "a.pub.jwk", ["P-256"]).kid
    assert 0o600 == mode("a.key.jwk")


def test_type_that_is_not_there(hilt_log, tmp_path):
    """An unknown type is wrong usage, and the error names those that exist."""
    done = hilt_log("keygen", "a", "--type", "RSA")
    assert 2 == done.code
    assert all(kind in done.err for kind in jwk.KINDS)
    assert [] == os.listdir(tmp_path)


def test_folder_that_is_not_there(hilt_log):
    """A folder that does not exist is named."""
    done = hilt_log("keygen", "nowhere/a")
    assert (2, "") == (done.code, done.out)
    assert "nowhere/a." in done.err
    assert "Traceback" not in done.err


def test_nothing_is_left_of_a_pair_that_fails(hilt_log, tmp_path, monkeypatch):
    """Where the private key can't be written, the public one is not left behind."""
    write_new = jwk.write_new

    def once(path, key, **options):
        if str(path).endswith(".key.jwk"):
            raise jwk.ConfigurationError("file", path, "It can't be written")
        write_new(path, key, **options)

    monkeypatch.setattr(jwk, "write_new", once)
    assert 2 == hilt_log("keygen", "a").code
    assert [] == os.listdir(tmp_path)


class TestSeal:
    def test_shown_once(self, hilt_log, tmp_path):
        """The file of the key is made; the first key is on stdout, one line, and nowhere else."""
        done = hilt_log("keygen", "app", "--seal")
        (tmp_path / "first.jwk").write_text(done.out)
        first = sealing.load("seal_keys", "first.jwk")
        assert (0, 1) == (done.code, done.out.count("\n"))
        assert first.key.is_same(sealing.open_file("seal_key", "app.seal").read()[0])
        assert first.name in done.err
        assert json.loads(done.out)["k"] not in done.err
        assert 0o600 == mode("app.seal")

    def test_into_a_file(self, hilt_log, tmp_path):
        """With -o the first key is in a file, and on no terminal."""
        done = hilt_log("keygen", "app", "--seal", "-o", "first.jwk")
        assert (0, "") == (done.code, done.out)
        with open("first.jwk") as file:
            assert json.load(file)["k"] not in done.err
        assert 0o600 == mode("first.jwk")
        assert ["app.seal", "first.jwk"] == sorted(os.listdir(tmp_path))

    def test_json(self, hilt_log):
        """--json tells name, type and files; the first key itself only where it has no file."""
        shown = hilt_log("keygen", "a", "--seal", "--json").json
        filed = hilt_log("keygen", "b", "--seal", "--json", "-o", "b.jwk").json
        assert ("seal", "a.seal", shown["kid"]) == (
            shown["type"],
            shown["seal_key"],
            shown["first_key"]["kid"],
        )
        assert "b.jwk" == filed["first_key"]
        assert filed["kid"] == sealing.load("seal_keys", "b.jwk").name

    @pytest.mark.parametrize("there", ["app.seal", "first.jwk"])
    def test_there_already(self, hilt_log, tmp_path, there):
        """Nothing is made where one of the files is there, unless with --force."""
        (tmp_path / there).write_text("")
        done = hilt_log("keygen", "app", "--seal", "-o", "first.jwk")
        assert 2 == done.code
        assert there in done.err
        assert [there] == os.listdir(tmp_path)
        assert 0 == hilt_log("keygen", "app", "--seal", "-o", "first.jwk", "--force").code

    def test_first_key_that_can_not_be_given_out(self, hilt_log, tmp_path, monkeypatch):
        """Without a first key that somebody has, there is no key."""
        monkeypatch.setattr(sealing.FirstKey, "text", lambda key: "no bytes")
        hilt_log("keygen", "app", "--seal", "-o", "first.jwk")
        assert [] == os.listdir(tmp_path)

    def test_output_of_a_pair(self, hilt_log, tmp_path):
        """A pair has two files of its own."""
        assert 2 == hilt_log("keygen", "app", "-o", "first.jwk").code
        assert [] == os.listdir(tmp_path)
