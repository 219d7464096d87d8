"""The links between lines: made, read, signed and checked."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging.safeguards import chain
from hilt_logging.safeguards.jwk import JWK, generate, public_of


LINE = b'{"hilt_version":"1.0.0","action":"prompt"}'
CHAIN = "0123456789abcdef" * 2
PREV = hashlib.sha256(b"before").hexdigest()
hexes = st.text("0123456789abcdef", min_size=64, max_size=64)


@pytest.fixture(scope="module")
def key():
    return JWK(generate("Ed25519"))


@pytest.fixture(scope="module")
def public(key):
    return JWK(public_of(key.fields))


class TestLink:
    def test_bytes(self):
        """The link is the last member of the line, without spaces."""
        assert (
            b'{"hilt_version":"1.0.0","action":"prompt","integrity":{"chain":"%b","seq":7,"prev":"%b"}}'
            % (CHAIN.encode(), PREV.encode())
        ) == chain.link(LINE, CHAIN, 7, PREV)

    @given(
        seq=st.integers(0, 2**62),
        prev=hexes,
        span=st.none() | st.builds(chain.Span, st.integers(1, 2**40), hexes),
        seal=st.none()
        | st.builds(
            chain.Seal, st.just("ab" * 8), st.integers(0, 2**58), st.integers(0, 2**58), hexes
        ),
    )
    def test_read(self, seq, prev, span, seal):
        """What was linked is read again, and the line is the same object with one member more."""
        linked = bare = chain.link(LINE, CHAIN, seq, prev, span)
        if seal is not None:
            linked = chain.with_seal(linked, seal)
            assert (
                bare == chain.without_seal(linked) == chain.without_seal(chain.seal(linked, None))
            )
        found = chain.link_of(linked)
        assert (len(LINE) - 1, CHAIN, seq, prev, span, None, None, seal) == found
        assert LINE == linked[: found.begin] + b"}"
        event = json.loads(linked)
        assert seq == event.pop("integrity")["seq"]
        assert json.loads(LINE) == event

    def test_unlinked(self):
        """A line that is not linked says so, and of which chain it is."""
        line = chain.unlinked(LINE, CHAIN)
        assert {"chain": CHAIN, "unlinked": True} == json.loads(line)["integrity"]
        assert chain.link_of(line).is_unlinked

    @pytest.mark.parametrize(
        "change",
        [
            lambda line: line + b" ",
            lambda line: line[:-1],
            lambda line: line[1:-1],
            lambda line: line.replace(b'"seq":7', b'"seq":07'),
            lambda line: line.replace(b'"seq":7', b'"seq": 7'),
            lambda line: line.replace(b'"seq":7', b'"seq":-7'),
            lambda line: line.replace(b"prev", b"pref"),
            lambda line: line.replace(CHAIN.encode(), CHAIN.upper().encode()),
            lambda line: b'{"a":%b}' % line,
            lambda line: b"",
            lambda line: line[line.index(b',"integrity') :],
        ],
    )
    def test_none(self, change):
        """Only what is a link to the letter, and of the line's own object, is one."""
        assert chain.link_of(change(chain.link(LINE, CHAIN, 7, PREV))) is None

    def test_room(self):
        """The longest link that is not sealed leaves something of the room that is kept for it."""
        linked = chain.link(LINE, CHAIN, 2**62, PREV, chain.Span(2**62, PREV))
        assert len(linked) - len(LINE) < chain.ROOM

    def test_of_another_log(self):
        """A line that comes with a link has it elsewhere afterwards; any other is left alone."""
        linked = chain.link(LINE, CHAIN, 7, PREV)
        event = json.loads(chain.without_integrity(linked))
        assert "integrity" not in event
        assert 7 == event["extensions"]["original_integrity"]["seq"]
        assert chain.without_integrity(LINE) is LINE
        inner = b'{"content":{"a":1,"integrity":{"seq":1}}}'
        assert chain.without_integrity(inner) is inner


class TestSeal:
    def test_digest(self):
        """Without a key a line ends in the digest of all its other bytes."""
        linked = chain.link(LINE, CHAIN, 7, PREV)
        line = chain.seal(linked, None)
        assert hashlib.sha256(linked).hexdigest() == json.loads(line)["integrity"]["digest"]
        assert linked == chain.unsealed(line)
        assert chain.is_sealed(line, chain.link_of(line), {}) is True

    def test_signature(self, key, public):
        """With a key it ends in a detached JWS (RFC 7515, appendix F) of all its other bytes."""
        linked = chain.link(LINE, CHAIN, 7, PREV, chain.Span(1, PREV))
        line = chain.seal(linked, key)
        header, nothing, signature = json.loads(line)["integrity"]["signature"].split(".")
        assert "" == nothing
        payload = base64.urlsafe_b64encode(linked).rstrip(b"=").decode()
        raw = base64.urlsafe_b64decode(signature + "==")
        public.key.verify(raw, f"{header}.{payload}".encode())
        assert {"alg": "EdDSA", "kid": key.kid} == json.loads(
            base64.urlsafe_b64decode(header + "==")
        )
        assert chain.is_sealed(line, chain.link_of(line), chain.keys_by_id([public])) is True

    def test_every_bit(self, key, public):
        """Whichever bit of a signed line is another, it is no sealed line any more."""
        line = chain.seal(chain.link(LINE, CHAIN, 7, PREV), key)
        keys = {public.kid: public}
        for at in range(len(line) * 8):
            other = bytearray(line)
            other[at // 8] ^= 1 << at % 8
            found = chain.link_of(bytes(other))
            sealed = found and chain.has_seal(found) and chain.is_sealed(bytes(other), found, keys)
            assert not sealed

    def test_other_keys(self, key):
        """A line of a key that is not known is neither right nor wrong."""
        line = chain.seal(chain.link(LINE, CHAIN, 7, PREV), key)
        other = JWK(generate("Ed25519"))
        assert chain.is_sealed(line, chain.link_of(line), {other.kid: other}) is None
        assert chain.is_sealed(line, chain.link_of(line), {key.kid: other}) is False
        assert key.kid == chain.kid_of(chain.link_of(line).signature)


class TestCompact:
    def test_there_and_back(self, key, public):
        """A checkpoint that was exported is read by who has the public key."""
        token = chain.compact({"seq": 7}, key)
        assert {"seq": 7} == chain.opened(token, {public.kid: public})
        assert chain.opened(token, {}) is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: token + "A",
            lambda token: "x" + token,
            lambda token: token.rpartition(".")[0],
            lambda token: token.replace(".", ".e", 1),
        ],
    )
    def test_changed(self, key, public, change):
        """One that was changed is refused, or is of no key that is known."""
        try:
            held = chain.opened(change(chain.compact({"seq": 7}, key)), {public.kid: public})
        except ValueError:
            held = None
        assert held is None

    @pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # for the name Ed25519
    def test_another_implementation(self, key):
        """What we sign, joserfc checks; what has no algorithm, or another one, we do not."""
        jws = pytest.importorskip("joserfc.jws")
        from joserfc.jwk import OKPKey

        token = chain.compact({"seq": 7}, key)
        shown = jws.deserialize_compact(
            token, OKPKey.import_key(public_of(key.fields)), algorithms=["EdDSA"]
        )
        assert {"seq": 7} == json.loads(shown.payload)
        none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"%b"}' % key.kid.encode()).decode()
        assert chain.opened(f"{none.rstrip('=')}.e30.", {key.kid: key}) is None
