"""
Texts that can do nothing to a terminal or a page.
"""

from __future__ import annotations

import re


__all__ = ["printable"]

# What moves the cursor, changes colours or turns the direction of a text.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text that can do nothing to a terminal or a page: `\u001b` stands for an escape."""
    if text.isprintable():  # told sooner
        return text
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
