"""Keys as files."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess

import pytest

from hilt_logging.errors import ConfigurationError, MissingDependencyError
from hilt_logging.safeguards import jwk


pytest.importorskip("cryptography", reason="the extra crypto is not installed")

ENCRYPTION = ("P-256", "X25519")


@pytest.fixture(params=jwk.KINDS)
def kind(request):
    return request.param


@pytest.fixture
def pair(tmp_path, kind):
    """The two files of a key, and the key."""
    made = jwk.generate(kind)
    private, public = tmp_path / "a.key.jwk", tmp_path / "a.pub.jwk"
    jwk.write_new(private, made)
    jwk.write_new(public, jwk.public_of(made))
    return private, public, made


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


class TestFiles:
    def test_there_and_back(self, pair, kind):
        """What is written is read, and the public key has all but the secret."""
        private, public, made = pair
        loaded = jwk.load_private("key", private, [kind])
        seen = jwk.load_public("key", public, [kind])
        assert (made, kind, made["kid"], True) == (
            loaded.fields,
            loaded.kind,
            loaded.kid,
            loaded.is_private,
        )
        assert ({k: v for k, v in made.items() if k != "d"}, False) == (
            seen.fields,
            seen.is_private,
        )
        assert loaded.public() == seen.public() == seen.fields

    def test_no_two_are_alike(self, kind):
        """Each key is a new one."""
        assert jwk.generate(kind)["d"] != jwk.generate(kind)["d"]

    def test_modes(self, pair):
        """Only its owner can read a private key."""
        assert [0o600, 0o644 & ~_umask()] == [_mode(path) for path in pair[:2]]

    def test_nothing_is_written_over(self, pair):
        """A key that is there stays, unless one insists; then the mode is right all the same."""
        private, _, made = pair
        with pytest.raises(ConfigurationError, match=r"a\.key\.jwk.*there already"):
            jwk.write_new(private, jwk.generate())
        assert made == json.loads(private.read_bytes())
        private.chmod(0o644)
        other = jwk.generate()
        jwk.write_new(private, other, force=True)
        assert (other, 0o600) == (json.loads(private.read_bytes()), _mode(private))
        assert ["a.key.jwk", "a.pub.jwk"] == sorted(path.name for path in private.parent.iterdir())

    def test_where_nothing_can_be_written(self, tmp_path):
        """A folder that is missing is told."""
        with pytest.raises(ConfigurationError, match=r"a\.jwk.*can't be written: No such file"):
            jwk.write_new(tmp_path / "no" / "a.jwk", jwk.generate())

    def test_the_secret_is_not_shown(self, pair, kind):
        """Neither `repr` nor a pickle has the secret."""
        loaded = jwk.load_private("key", pair[0], [kind])
        assert f"<JWK {kind} {loaded.kid}>" == repr(loaded)
        with pytest.raises(TypeError):
            loaded.__reduce__()

    def test_kid_of_its_own(self, pair, kind):
        """A name that the file gives the key is kept; without one it is the thumbprint."""
        private, public, made = pair
        private.write_text(json.dumps({**made, "kid": "legal-2026"}))
        public.write_text(json.dumps({k: v for k, v in made.items() if k not in ("kid", "d")}))
        assert "legal-2026" == jwk.load_private("key", private, [kind]).kid
        assert made["kid"] == jwk.load_public("key", public, [kind]).kid


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


BAD = {
    "nothing": ("", "holds no key"),
    "no JSON": ("-----BEGIN PRIVATE KEY-----", "holds no key"),
    "a list": ("[]", "holds no key"),
    "a set": ('{"keys": []}', "holds no key"),
    "another type": ('{"kty": "RSA", "n": "AA", "e": "AQAB"}', "another type: must be P-256"),
    "another curve": ('{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}', "another type"),
    "a mixture": ('{"kty": "OKP", "crv": "P-256", "x": "AA", "y": "AA"}', "another type"),
    "no members": ('{"kty": "EC", "crv": "P-256"}', "damaged"),
    "short": ('{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}', "damaged"),
    "no texts": ('{"kty": "EC", "crv": "P-256", "x": 1, "y": []}', "damaged"),
    "no text as kid": ('{"kty": "OKP", "crv": "X25519", "x": "AA", "kid": 7}', "something else"),
    "off the curve": (
        json.dumps({"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}),
        "damaged",
    ),
}


class TestWrong:
    @pytest.mark.parametrize("case", BAD)
    def test_no_key(self, tmp_path, case):
        """What is no key is told with option and file."""
        text, told = BAD[case]
        path = tmp_path / "a.jwk"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=rf"encrypt_to: .*a\.jwk.*{told}") as raised:
            jwk.load_public("encrypt_to", path, ENCRYPTION)
        assert "encrypt_to" == raised.value.option

    def test_missing(self, tmp_path):
        """A file that is not there is told with the remedy."""
        with pytest.raises(ConfigurationError, match=r"no\.jwk.*No such file.*hilt-log keygen"):
            jwk.load_public("encrypt_to", tmp_path / "no.jwk", ENCRYPTION)

    @pytest.mark.parametrize("given", [None, 7, "", b"a.jwk", "ext://a.b", []])
    def test_no_name(self, given):
        """What is no name of a file is told."""
        with pytest.raises(ConfigurationError, match=r"encrypt_to: .*name of a file"):
            jwk.load_public("encrypt_to", given, ENCRYPTION)

    def test_the_key_itself(self, kind):
        """A key in place of its file is told, and nothing of it is shown."""
        made = jwk.generate(kind)
        for given in (made, json.dumps(made), made["d"], f"-----BEGIN PRIVATE KEY-----{made['d']}"):
            for load in (jwk.load_public, jwk.load_private):
                with pytest.raises(ConfigurationError, match="name of a file") as raised:
                    load("sign_key", given, [kind])
                assert made["d"][:20] not in str(raised.value)

    def test_private_for_public(self, tmp_path, kind):
        """Who encrypts or verifies must not hold the private key; nothing of it is told."""
        made = jwk.generate(kind)
        jwk.write_new(tmp_path / "a.jwk", made)
        with pytest.raises(ConfigurationError, match=r"private key.*give the public one") as raised:
            jwk.load_public("encrypt_to", tmp_path / "a.jwk", [kind])
        assert made["d"] not in str(raised.value)

    def test_public_for_private(self, pair, kind):
        """A public key opens and signs nothing."""
        with pytest.raises(ConfigurationError, match=r"sign_key: .*a\.pub.*no private key"):
            jwk.load_private("sign_key", pair[1], [kind], shared=True)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
    @pytest.mark.skipif(os.name != "posix", reason="mode bits are of POSIX")
    def test_others_can_read_it(self, pair, kind, mode):
        """A private key that others can read is refused, unless that is wanted."""
        private, _, made = pair
        private.chmod(mode)
        with pytest.raises(ConfigurationError, match=r"chmod 600 .*, or set shared_key_file"):
            jwk.load_private("key", private, [kind])
        with pytest.raises(ConfigurationError, match="or set shared_sign_key"):
            jwk.load_private("sign_key", private, [kind])
        assert made == jwk.load_private("key", private, [kind], shared=True).fields

    def test_another_use(self, pair, kind):
        """A key that is meant for something else is refused."""
        pair[1].write_text(json.dumps({**jwk.public_of(pair[2]), "use": "x"}))
        with pytest.raises(ConfigurationError, match="for something else"):
            jwk.load_public("key", pair[1], [kind])

    def test_halves_of_two(self, tmp_path, kind):
        """A private key whose public half is another's is damaged, and nothing of it is told."""
        made, other = jwk.generate(kind), jwk.generate(kind)
        jwk.write_new(tmp_path / "a.jwk", {**made, "x": other["x"]})
        with pytest.raises(ConfigurationError, match="damaged") as raised:
            jwk.load_private("key", tmp_path / "a.jwk", [kind])
        assert made["d"] not in str(raised.value)
        assert raised.value.__cause__ is raised.value.__context__ is None

    def test_kind(self):
        """A type that does not exist is told with those that do."""
        with pytest.raises(ConfigurationError, match=r"P-521.*P-256, X25519, Ed25519"):
            jwk.generate("P-521")

    def test_without_cryptography(self, monkeypatch):
        """What is missing is named with its extra."""
        monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives", None)
        for name in ("asymmetric", "asymmetric.ec"):
            monkeypatch.setitem(
                __import__("sys").modules, f"cryptography.hazmat.primitives.{name}", None
            )
        with pytest.raises(MissingDependencyError, match=r"hilt-logging\[crypto\]"):
            jwk.generate()


class TestOthers:
    def test_thumbprint(self):
        """The thumbprint is that of RFC 8037, A.3."""
        key = {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
        assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == jwk.thumbprint(key)

    def test_jwcrypto(self, pair):
        """Another implementation reads our keys, and gives them the same name."""
        other = pytest.importorskip("jwcrypto.jwk")
        for path, is_private in zip(pair[:2], (True, False), strict=True):
            read = other.JWK.from_json(path.read_text())
            assert (pair[2]["kid"], is_private) == (read.thumbprint(), read.has_private)

    def test_of_debian(self, tmp_path):
        """A key that Debian's jose made is read, and its public half too."""
        if shutil.which("jose") is None:
            pytest.skip("jose is not installed")
        path = tmp_path / "a.jwk"
        given = '{"kty":"EC","crv":"P-256"}'
        subprocess.run(["jose", "jwk", "gen", "-i", given, "-o", path], check=True)
        path.chmod(0o600)
        loaded = jwk.load_private("key", path, ENCRYPTION)
        thumbprint = subprocess.run(
            ["jose", "jwk", "thp", "-a", "S256", "-i", path], check=True, capture_output=True
        )
        assert thumbprint.stdout.decode().strip() == loaded.kid
        subprocess.run(["jose", "jwk", "pub", "-i", path, "-o", tmp_path / "b.jwk"], check=True)
        assert loaded.kid == jwk.load_public("key", tmp_path / "b.jwk", ENCRYPTION).kid


@pytest.mark.parametrize("text", ["a", "====", "AA==", "A+A", "AAé", "AB", " AA"])
def test_no_base64url(text):
    """There is one way to write bytes; any other is refused."""
    with pytest.raises(ValueError):
        jwk.from_base64(text)
