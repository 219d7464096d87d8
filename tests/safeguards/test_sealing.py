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

from hypothesis import given, settings
from hypothesis import strategies as st

from hilt_logging.errors import ConfigurationError
from hilt_logging.safeguards import chain, sealing


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
LINE = chain.link(b'{"action":"prompt"}', "0123456789abcdef" * 2, 7, chain.ZEROS)
BOND = sealing.Bond("log", "chain", 7)


SINCE = 1_700_000_000


@pytest.fixture
def first():
    return sealing.FirstKey(os.urandom(32), SINCE)


@pytest.fixture
def path(tmp_path, first):
    made = tmp_path / "app.seal"
    sealing.write_new(str(made), first)
    return made


def sealed(key):
    line = key.seal(LINE)
    return line, chain.link_of(line).seal


def is_none_of(key, data):
    return all(secret.encode() not in data for secret in key.secrets())


class TestKey:
    @given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 50), st.integers(0, 50))
    def test_moves_on(self, number, minute, more, minutes):
        """Later keys are made from earlier ones, in one step or in many, and never the other way."""
        first = sealing.FirstKey(b"k" * 32, SINCE)
        key = first.key.at(number, minute)
        assert key.at(number + more, minute + minutes).is_same(
            first.key.at(number + more, minute + minutes)
        )
        assert key.next().is_same(first.key.at(number + 1, minute))
        assert key.at(number - 1, minute + 5) is None
        assert key.at(number + 5, minute - 1) is None
        assert (number, minute, first.name) == (key.number, key.minute, key.name)

    def test_as_it_is_written_down(self):
        """Others can make the same seals: HMAC-SHA256 for each purpose, SHA-256 from key to key."""
        secret = bytes(range(32))

        def made(key, purpose):
            data = (
                purpose if isinstance(purpose, bytes) else b"hilt_logging seal: " + purpose.encode()
            )
            return hmac.new(key, data, hashlib.sha256).digest()

        name = made(secret, f"the name, {SINCE}").hex()[:16]
        step = b"hilt_logging seal: the next key"
        count = hashlib.sha256(step + made(secret, "the key of the numbers")).digest()
        clock = made(secret, "the key of the minutes")
        for _ in range(3):
            clock = hashlib.sha256(step + clock).digest()
        key = made(count + clock, "the key of the code")
        digest = hashlib.sha256(LINE).hexdigest()
        code = made(key, f"{name}.1.3\n{digest}".encode()).hex()
        line, seal = sealed(sealing.FirstKey(secret, SINCE).key.at(1, 3))
        assert (name, 1, 3, code) == seal
        assert f"{name}.1.3.{code}" == json.loads(line)["integrity"]["seal"]

    @given(data=st.data())
    def test_every_byte(self, data):
        """A seal is right for its line, its number, its minute and its key only."""
        first = sealing.FirstKey(b"k" * 32, SINCE)
        key = first.key.at(3, 4)
        line, seal = sealed(key)
        assert key.is_right(line, seal)
        assert key.is_right(chain.seal(line, None), seal)  # what is behind it is no harm
        place = data.draw(st.integers(0, len(LINE) - 3))
        changed = bytearray(line)
        changed[place] ^= data.draw(st.integers(1, 255))
        assert not key.is_right(bytes(changed), seal)
        assert not key.is_right(line, seal._replace(number=4))
        for number, minute in ((4, 4), (3, 5), (2, 4), (3, 3)):
            other = first.key.at(number, minute)
            assert not other.is_right(line, seal._replace(number=number, minute=minute))
        assert not sealing.FirstKey(b"j" * 32, SINCE).key.at(3, 4).is_right(line, seal)

    def test_name(self, first):
        """The name goes with the time of the first key, which can't be another one."""
        assert first.name != sealing.FirstKey(b"k" * 32, SINCE).name
        assert sealing.FirstKey(b"k" * 32, 1).name != sealing.FirstKey(b"k" * 32, 2).name

    def test_minutes(self, first):
        """Minutes are counted from when the first key was made."""
        assert [0, 0, 1, 60] == [
            first.key.minute_of(SINCE + seconds) for seconds in (0, 59.9, 60, 3600)
        ]

    def test_far_off(self, first):
        """A number that somebody made up costs no time."""
        begin = time.process_time()
        assert first.key.at(10**17, 0) is None
        assert first.key.at(0, 10**17) is None
        assert time.process_time() - begin < 1

    def test_shows_nothing(self, first):
        """A key is not in its repr, and is not pickled."""
        for key in (first, first.key):
            secrets = [*first.key.secrets(), json.loads(first.text())["k"]]
            assert not [secret for secret in secrets if secret in repr(key)]
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(key)


class TestFile:
    def test_moves_on(self, path, first):
        """The file has the next key and what was sealed last, and nothing of the present one."""
        file = sealing.SealFile(str(path))
        for number in range(5):
            key, _ = file.read()
            assert key.is_same(first.key.at(number, 2 * number))
            later = key.at(number + 1, 2 * number + 2)
            file.move_on(later, BOND._replace(seq=number))
            assert BOND._replace(seq=number) == file.read()[1]
            assert is_none_of(key, path.read_bytes())
        assert 1024 == path.stat().st_size

    def test_time_passes(self, path):
        """The key moves on with the minutes alone, too."""
        file = sealing.SealFile(str(path))
        for minute in range(1, 5):
            key, bond = file.read()
            file.move_on(key.at(0, minute), bond)
            assert (0, minute) == (file.read()[0].number, file.read()[0].minute)
            assert key.secrets()[1].encode() not in path.read_bytes()

    def test_in_its_place(self, path):
        """The file stays the same one: no block with an old key is given back to the disk."""
        before = path.stat()
        file = sealing.SealFile(str(path))
        file.move_on(file.read()[0].next(), BOND)
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
            file.move_on(file.read()[0].next(), BOND)
        assert file.read()[0].is_same(first.key.at(min(call, 1), 0))

    @settings(deadline=None)
    @given(cut=st.integers(0, 511), noise=st.binary(min_size=1, max_size=512))
    def test_power_lost(self, tmp_path_factory, cut, noise):
        """Of a sector that was written in part the key before is left."""
        path = tmp_path_factory.mktemp("seal") / "a"
        first = sealing.FirstKey(b"k" * 32, SINCE)
        sealing.write_new(str(path), first)
        data = bytearray(path.read_bytes())
        slot = sealing._slot(1, first.key.next(), BOND)
        half = (slot[:cut] + noise)[:512]
        if half.rstrip() != slot.rstrip():
            data[512 : 512 + len(half)] = half
            path.write_bytes(data)
            assert sealing.SealFile(str(path)).read()[0].is_same(first.key)

    def test_another_key(self, path):
        """A file that got another key meanwhile is not used for the old one."""
        file = sealing.SealFile(str(path))
        sealing.write_new(str(path), sealing.generate(), force=True)
        with pytest.raises(sealing.UnfitError, match="another key"):
            file.read()

    def test_replaced(self, path):
        """A key that is replaced is overwritten in its place, where another name has the file, too."""
        other = path.with_name("kept")
        os.link(path, other)
        before = path.read_bytes()
        sealing.write_new(str(path), sealing.generate(), force=True)
        assert before != path.read_bytes()
        assert b" " * len(before) == other.read_bytes()
        assert 0o600 == path.stat().st_mode & 0o777
        assert {path.name, "kept"} <= {each.name for each in path.parent.iterdir()}

    def test_replaced_by_none(self, path, monkeypatch):
        """Where the new file can't be written, the old key is what it was."""
        before = path.read_bytes()

        def fail(*values):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(ConfigurationError, match="No space"):
            sealing.write_new(str(path), sealing.generate(), force=True)
        assert before == path.read_bytes()
        assert [] == list(path.parent.glob("*.part"))

    @pytest.mark.parametrize("content", [b"", b"notes\n" * 1000])
    def test_other_file_replaced(self, path, content):
        """What is no key is replaced, and not overwritten: somebody may have it under another name."""
        path.write_bytes(content)
        other = path.with_name("kept")
        os.link(path, other)
        sealing.write_new(str(path), sealing.generate(), force=True)
        assert content == other.read_bytes()

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
            (lambda path: path.write_bytes(sealing.generate().text()), "not the file"),
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
        secret = json.loads(first.text())["k"]
        for text in (secret, first.text().decode()):
            for load in (sealing.open_file, sealing.load):
                with pytest.raises(ConfigurationError) as error:
                    load("seal_key", text)
                assert secret not in str(error.value)


class TestLoad:
    def test_first(self, tmp_path, first):
        """The first key is a JWK on one line."""
        path = tmp_path / "first.jwk"
        path.write_bytes(first.text())
        assert 1 == path.read_bytes().count(b"\n")
        found = sealing.load("seal_keys", path)
        assert isinstance(found, sealing.FirstKey)
        assert found.key.is_same(first.key)
        assert (first.name, SINCE) == (found.name, found.since)

    def test_of_the_host(self, path, first):
        """The file of the host is told from it."""
        sealing.SealFile(str(path)).move_on(first.key.next(), BOND)
        assert sealing.load("seal_keys", path).is_same(first.key.next())

    def test_changed_time(self, tmp_path, first):
        """The time of the first key can't be changed."""
        fields = json.loads(first.text())
        (tmp_path / "first.jwk").write_text(json.dumps({**fields, "iat": SINCE + 60}))
        with pytest.raises(ConfigurationError, match="damaged"):
            sealing.load("seal_keys", tmp_path / "first.jwk")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"", "holds no key"),
            (b"[]", "holds no key"),
            (b'{"kty":"OKP","crv":"Ed25519","x":"x"}', "another type"),
            (b'{"kty":"oct","k":"%","iat":1}', "holds no key"),
            (b'{"kty":"oct","k":"AAAA","iat":"x","kid":"x"}', "holds no key"),
            (b'{"kty":"oct","k":"AAAA","iat":1,"kid":"x"}', "damaged"),
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
