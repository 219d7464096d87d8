"""Digests and tokens that stand for a content."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from hilt_logging import hash_content, verify_hash
from hilt_logging.errors import ConfigurationError
from hilt_logging.safeguards.hashing import Tokens


KEY = b"0123456789abcdef"


def test_text():
    """A text's digest is that of its UTF-8, as any tool makes it."""
    assert f"sha256:{hashlib.sha256('é'.encode()).hexdigest()}" == hash_content("é")
    mac = hmac.new(KEY, "é".encode(), "sha256").hexdigest()
    assert f"hmac-sha256:{mac}" == hash_content("é", KEY)


def test_other_values():
    """Of anything else the JSON is digested, and the order of keys does not count."""
    assert hash_content({"a": 1, "b": [None]}) == hash_content({"b": [None], "a": 1})
    expected = hashlib.sha256(b'{"a":1,"b":[null]}').hexdigest()
    assert f"sha256:{expected}" == hash_content({"b": [None], "a": 1})


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("content", ["", "hello", {"x": [1, 2.5]}, [], None])
def test_verify(content, key):
    """What was digested is verified, anything else is not."""
    digest = hash_content(content, key)
    assert verify_hash(content, digest, key)
    assert not verify_hash("another", digest, key)
    assert not verify_hash(content, digest[:-1] + ("0" if digest[-1] != "0" else "1"), key)


def test_verify_with_another_key():
    """Another key verifies nothing, and without one it can't be told."""
    digest = hash_content("hello", KEY)
    assert not verify_hash("hello", digest, KEY[::-1])
    with pytest.raises(ConfigurationError, match="it is needed"):
        verify_hash("hello", digest)


@pytest.mark.parametrize("digest", ["", "md5:0", "sha256:0", "hello"])
def test_no_digest(digest):
    """What is no digest is an error."""
    with pytest.raises(ConfigurationError, match="Must be sha256"):
        verify_hash("hello", digest)


@pytest.mark.parametrize("key", [b"", b"short", "a text of sixteen", 7])
def test_wrong_key(key):
    """A key that is too short or no bytes is an error without the key in it."""
    with pytest.raises(ConfigurationError) as told:
        hash_content("hello", key)
    assert "short" not in str(told.value).replace("too short", "")
    assert "sixteen" not in str(told.value)


def test_pseudonym():
    """A name is made once: who is given a name as an id keeps it."""
    tokens = Tokens(KEY)
    name = tokens.pseudonym("alice")
    assert name == tokens.pseudonym(name) == tokens.pseudonym("alice")
    assert name != tokens.pseudonym("bob")
    assert name != Tokens(KEY[::-1]).pseudonym(name)


def test_not_a_pseudonym():
    """What only looks like a name gets one."""
    tokens = Tokens(KEY)
    for given in ("p-", "p-alice", f"p-{'a' * 24}", "p-é" + "a" * 23, "\ud800"):
        assert given != tokens.pseudonym(given)


def test_token():
    """A value of another kind has another token."""
    tokens = Tokens(KEY)
    assert tokens.token("a", "x") != tokens.token("b", "x")
    assert 16 == len(tokens.token("a", "x"))
