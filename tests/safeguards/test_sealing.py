"""Keys that move on: none of them tells an earlier one, and their file is always that of one."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pickle
import sys
import time

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging.errors import ConfigurationError
from hilt_logging.safeguards import chain, sealing


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
LINE = chain.link(b'{"action":"prompt"}', "0123456789abcdef" * 2, 7, chain.ZEROS)
BOND = sealing.Bond("log", "chain", 7)


@pytest.fixture
def first():
    return sealing.generate()


@pytest.fixture
def path(tmp_path, first):
    made = tmp_path / "app.seal"
    sealing.write_new(str(made), first)
    return made


def sealed(key):
    line = key.seal(LINE)
    return line, chain.link_of(line).seal


class TestKey:
    @given(number=st.integers(0, 200), more=st.integers(0, 50))
    def test_moves_on(self, number, more):
        """Later keys are made from earlier ones, in one step or in many, and never the other way."""
        first = sealing.SealKey(b"k" * 32)
        key = first.at(number)
        assert key.at(number + more).is_same(first.at(number + more))
        assert key.next().is_same(first.at(number + 1))
        assert key.at(number - 1) is None
        assert (number, first.name) == (key.number, key.name)

    def test_as_it_is_written_down(self):
        """Others can make the same seals: HMAC-SHA256, of the key for each purpose."""
        secret = bytes(range(32))

        def made(key, data):
            return hmac.new(key, data, hashlib.sha256).digest()

        second = made(secret, b"hilt_logging seal: the next key")
        name = made(secret, b"hilt_logging seal: the name").hex()[:16]
        code = made(
            made(second, b"hilt_logging seal: the key of the code"),
            name.encode() + b".1\n" + LINE,
        ).hex()
        line, seal = sealed(sealing.SealKey(secret).next())
        assert (name, 1, code) == seal
        assert f"{name}.1.{code}" == json.loads(line)["integrity"]["seal"]

    @given(data=st.data())
    def test_every_byte(self, data):
        """A seal is right for its line, its number and its key only; a digest after it is no harm."""
        key = sealing.SealKey(b"k" * 32, 3)
        line, seal = sealed(key)
        assert key.is_right(line, seal)
        assert key.is_right(chain.seal(line, None), seal)
        place = data.draw(st.integers(0, len(LINE) - 3))
        changed = bytearray(line)
        changed[place] ^= data.draw(st.integers(1, 255))
        assert not key.is_right(bytes(changed), seal)
        assert not key.is_right(line, seal._replace(number=4))
        assert not key.next().is_right(line, seal._replace(number=4))
        assert not sealing.SealKey(b"j" * 32, 3).is_right(line, seal)

    def test_far_off(self, first):
        """A number that somebody made up costs no time."""
        begin = time.process_time()
        assert first.at(10**17) is None
        assert time.process_time() - begin < 1

    def test_shows_nothing(self, first):
        """A key is not in its repr, and is not pickled."""
        assert first.secret() not in repr(first)
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(first)


class TestFile:
    def test_moves_on(self, path, first):
        """The file has the next key and what was sealed last, and nothing of the present one."""
        file = sealing.SealFile(str(path))
        for number in range(5):
            key, _ = file.read()
            assert key.is_same(first.at(number))
            file.move_on(key, BOND._replace(seq=number))
            assert BOND._replace(seq=number) == file.read()[1]
            assert key.secret().encode() not in path.read_bytes()
        assert 1024 == path.stat().st_size

    def test_in_its_place(self, path):
        """The file stays the same one: no block with an old key is given back to the disk."""
        before = path.stat()
        file = sealing.SealFile(str(path))
        file.move_on(file.read()[0], BOND)
        assert (before.st_ino, 0o100600) == (path.stat().st_ino, path.stat().st_mode)

    @pytest.mark.parametrize("call", range(4))
    def test_killed(self, path, first, monkeypatch, call):
        """Whoever is killed on the way leaves the present key or the next one, whole."""
        calls = []

        def counted(real):
            def act(*values):
                calls.append(real)
                if len(calls) > call:
                    raise KeyboardInterrupt
                return real(*values)

            return act

        monkeypatch.setattr(os, "pwrite", counted(os.pwrite))
        monkeypatch.setattr(sealing, "_fdatasync", counted(sealing._fdatasync))
        file = sealing.SealFile(str(path))
        with pytest.raises(KeyboardInterrupt):
            file.move_on(file.read()[0], BOND)
        assert file.read()[0].is_same(first.at(min(call, 1)))

    @given(cut=st.integers(0, 511), noise=st.binary(min_size=1, max_size=512))
    def test_power_lost(self, tmp_path_factory, cut, noise):
        """Of a sector that was written in part the key before is left."""
        path = tmp_path_factory.mktemp("seal") / "a"
        first = sealing.SealKey(b"k" * 32)
        sealing.write_new(str(path), first)
        data = bytearray(path.read_bytes())
        slot = sealing._slot(first.next(), BOND)
        half = (slot[:cut] + noise)[:512]
        if half.rstrip() != slot.rstrip():
            data[512 : 512 + len(half)] = half
            path.write_bytes(data)
            assert sealing.SealFile(str(path)).read()[0].is_same(first)

    def test_another_key(self, path):
        """A file that got another key meanwhile is not used for the old one."""
        file = sealing.SealFile(str(path))
        sealing.write_new(str(path), sealing.generate(), force=True)
        with pytest.raises(sealing.UnfitError, match="another key"):
            file.read()

    def test_not_written_over(self, path):
        """A file that is there stays, unless one says otherwise."""
        with pytest.raises(ConfigurationError, match="there already"):
            sealing.write_new(str(path), sealing.generate())


class TestOpen:
    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda path: path.unlink(), "hilt-log keygen NAME --seal"),
            (lambda path: path.chmod(0o640), "chmod 600"),
            (lambda path: path.chmod(0o602), "chmod 600"),
            (lambda path: path.write_bytes(b""), "damaged"),
            (lambda path: path.write_bytes(path.read_bytes()[:100]), "damaged"),
            (lambda path: path.write_bytes(sealing.text_of(sealing.generate())), "not the file"),
            (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "no regular file"),
            (lambda path: (path.unlink(), path.mkdir()), "irectory"),
        ],
    )
    def test_unfit(self, path, make, says):
        """What is no file of a key is named, with what to do; a pipe is not waited for."""
        make(path)
        with pytest.raises(ConfigurationError, match=says) as error:
            sealing.open_file("seal_key", path)
        assert str(path) in str(error.value)

    @pytest.mark.parametrize("given", ["", None, 7, "ext://x"])
    def test_no_name(self, given):
        """What is no name of a file is told as such."""
        with pytest.raises(ConfigurationError, match="name of a file"):
            sealing.open_file("seal_key", given)

    def test_key_in_place_of_a_name(self, first):
        """A key that is given in place of a file's name is not in the error."""
        for text in (first.secret(), sealing.text_of(first).decode()):
            for load in (sealing.open_file, sealing.load):
                with pytest.raises(ConfigurationError) as error:
                    load("seal_key", text)
                assert first.secret() not in str(error.value)


class TestLoad:
    def test_first(self, tmp_path, first):
        """The first key is a JWK on one line."""
        path = tmp_path / "first.jwk"
        path.write_bytes(sealing.text_of(first))
        assert 1 == path.read_bytes().count(b"\n")
        found, is_of_host = sealing.load("seal_keys", path)
        assert found.is_same(first)
        assert not is_of_host

    def test_of_the_host(self, path, first):
        """The file of the host is told from it."""
        file = sealing.SealFile(str(path))
        file.move_on(first, BOND)
        found, is_of_host = sealing.load("seal_keys", path)
        assert found.is_same(first.next())
        assert is_of_host

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"", "holds no key"),
            (b"[]", "holds no key"),
            (b'{"kty":"OKP","crv":"Ed25519","x":"x"}', "another type"),
            (b'{"kty":"oct","k":"%"}', "holds no key"),
            (b'{"kty":"oct","k":"AAAA","kid":"x"}', "damaged"),
            (b"\xff" * 2000, "holds no key"),
        ],
    )
    def test_unfit(self, tmp_path, text, says):
        """What is no first key is named."""
        path = tmp_path / "first.jwk"
        path.write_bytes(text)
        with pytest.raises(ConfigurationError, match=says):
            sealing.load("seal_keys", path)

    def test_pipe(self, tmp_path):
        """A pipe is not waited for."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigurationError, match="holds no key"):
            sealing.load("seal_keys", tmp_path / "pipe")
