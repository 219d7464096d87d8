"""
Events opened where a key opens them; what opens them is loaded only where there are keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..io.files import several


__all__ = ["ENCRYPTED", "Open", "opening"]

ENCRYPTED = b'"text_encrypted"'
_NO_KEY = "no key"

Open = Callable[[dict[str, Any]], tuple[dict[str, Any], str | None]]


def opening(keys: Iterable[Any] = (), key_store: Any = None, *, shared: bool = False) -> Open:
    """
    Return what gives an event as it was, and None, or as it stands, and why it can't be opened.

    Args:
        keys: Private keys: files (JWK) or loaded ones.
        key_store: The keys of people.
        shared: Take files of keys that others can read, too.

    Raises:
        ConfigurationError: for a key or a key store that can't be had.
    """
    given = several(keys)
    if not given and key_store is None:
        return _closed
    from ..custody.decrypt import opener_of
    from ..safeguards.encryption import OpeningError

    opener = opener_of(given, key_store, shared=shared)

    def opened(event: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        try:
            return opener.open(event), None
        except OpeningError as error:
            return event, error.reason

    return opened


def _closed(event: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    content = event.get("content")
    is_encrypted = type(content) is dict and type(content.get("text_encrypted")) is str
    return event, _NO_KEY if is_encrypted else None
