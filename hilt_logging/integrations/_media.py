"""
Images, sound and files as references: type, size and digest; the bytes only where they are wanted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ._answers import part
from ._latest import Latest


__all__ = ["inlined", "media_of", "reference"]

_inline: ContextVar[bool] = ContextVar("hilt_logging_inline", default=False)


@contextmanager
def inlined() -> Iterator[None]:
    """Let references made within carry the bytes in base64 as well."""
    token = _inline.set(True)
    try:
        yield
    finally:
        _inline.reset(token)


def reference(
    kind: str,
    *,
    mime_type: str | None = None,
    uri: str | None = None,
    data: str | bytes | None = None,
    file_id: str | None = None,
) -> dict[str, Any]:
    """
    Return a reference to a medium, for `content.media` and as a part of a message.

    Args:
        kind: image, audio, video or file.
        mime_type: E.g. `image/png`.
        uri: Where it is; of a `data:` URI only type, size and digest are kept.
        data: The bytes, or the same in base64.
        file_id: The provider's id of a file.
    """
    if uri is not None and uri.startswith("data:"):
        head, _, data = uri[5:].partition(",")
        mime_type = mime_type or head.partition(";")[0] or None
        uri = None
    if data is None or not isinstance(data, (str, bytes, bytearray, memoryview)):
        return part(kind, mime_type=mime_type, uri=uri, file_id=file_id)
    # a chat repeats its images with every request
    key = (hash(data), len(data)) if isinstance(data, (str, bytes)) else None
    known = None if key is None else _digests.get(key)
    raw = None
    if known is None or _inline.get():
        raw = _bytes(data)
        known = hashlib.sha256(raw).hexdigest(), len(raw)
        if key is not None:
            _digests.put(key, known)
    inline = base64.b64encode(raw).decode() if raw is not None and _inline.get() else None
    return part(kind, mime_type=mime_type, sha256=known[0], bytes=known[1], data=inline)


_digests = Latest(256)
"""Digest and size of media, by a hash of what stood in the request."""


def _bytes(data: str | bytes | bytearray | memoryview) -> bytes:
    if not isinstance(data, str):
        return bytes(data)
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "replace")


_KINDS = frozenset({"image", "audio", "video", "file"})


def media_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the references that stand among the parts of messages."""
    return [each for message in messages for each in message["parts"] if each["type"] in _KINDS]
