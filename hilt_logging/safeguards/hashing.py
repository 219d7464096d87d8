"""
Digests and tokens that stand for a content that is not there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..snapshot import snapshot


__all__ = ["LEAST_KEY_BYTES", "Tokens", "hash_content", "verify_hash"]

LEAST_KEY_BYTES = 16


def hash_content(content: Any, key: bytes | None = None) -> str:
    """
    Return the digest of a text, or of any other content as JSON.

    Without a key, whoever can guess the content can check the guess: a plain digest hides no short
    text, no name and no number.

    Args:
        content: A text, of which the UTF-8 is digested; of anything else the JSON, without spaces
            and with sorted keys.
        key: At least 16 bytes, which stay secret.

    Returns:
        `sha256:<hex>`, or with a key `hmac-sha256:<hex>`.

    Raises:
        ConfigurationError: for a key that is too short or no bytes.
    """
    plain = snapshot(content)
    data = plain.encode() if type(plain) is str else msgspec.json.encode(plain, order="sorted")
    if key is None:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    return f"hmac-sha256:{hmac.digest(_checked(key), data, 'sha256').hex()}"


def verify_hash(content: Any, digest: str, key: bytes | None = None) -> bool:
    """
    Return whether a digest is that of a content.

    Args:
        content: As in `hash_content`.
        digest: What `hash_content` returned.
        key: The key, if it was made with one.

    Raises:
        ConfigurationError: for a digest that was made with a key where none is given, and for what
            is no digest.
    """
    kind, _, value = digest.partition(":")
    if kind not in ("sha256", "hmac-sha256") or len(value) != 64:
        raise ConfigurationError("digest", digest, "Must be sha256:<hex> or hmac-sha256:<hex>")
    if kind == "hmac-sha256" and key is None:
        raise ConfigurationError("key", None, "The digest was made with a key: it is needed")
    own = hash_content(content, key if kind == "hmac-sha256" else None)
    return hmac.compare_digest(own.encode(), digest.encode(errors="replace"))


def _checked(key: object) -> bytes:
    if type(key) is not bytes or len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(
            "key", type(key).__name__, f"Must be bytes, {LEAST_KEY_BYTES} at the least"
        )
    return key


class Tokens:
    """
    Short names that stand for values: the same one for the same value, as long as the key is.

    Args:
        key: At least 16 bytes, which stay secret.

    Raises:
        ConfigurationError: for any other key.
    """

    def __init__(self, key: bytes) -> None:
        self._key = _checked(key)

    def token(self, kind: str, value: str) -> str:
        """Return 16 letters and digits for a value of a kind."""
        return self._letters(f"token\0{kind}\0{value}", 10)

    def pseudonym(self, value: str) -> str:
        """Return a name for an id; a name that was made with this key is returned as it is."""
        if self._is_pseudonym(value):
            return value
        name = self._letters(f"pseudonym\0{value}", 10)
        return f"{_BEGIN}{name}{self._check(name)}"

    def _is_pseudonym(self, value: str) -> bool:
        name, check = value[len(_BEGIN) : -8], value[-8:]
        if not value.startswith(_BEGIN) or len(name) != 16 or not value.isascii():
            return False
        return hmac.compare_digest(self._check(name), check)

    def _check(self, name: str) -> str:
        return self._letters(f"check\0{name}", 5)

    def _letters(self, text: str, size: int) -> str:
        digest = hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256")
        return base64.b32encode(digest[:size]).decode().lower()


_BEGIN = "p-"
