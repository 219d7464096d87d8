"""
Where a number or an address may begin and end in a running text, as pieces of regular expressions.

Chinese, Japanese, Korean and Thai put no space before or after it.
"""

from __future__ import annotations


__all__ = ["BEFORE_LETTER", "LETTER", "UNSPACED", "first"]

UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
LETTER = rf"[^\W{UNSPACED}]"
BEFORE_LETTER = rf"(?!{LETTER})"
"""Not right before a letter or digit of a script that has spaces."""


def first(char: str, not_after: str) -> str:
    """
    Return a pattern of a first character that stands after no letter and none of some signs.

    The character comes first in it, because `re` then looks for nothing else.

    Args:
        char: The pattern of one character.
        not_after: Signs, as in a set of characters.
    """
    return rf"{char}(?<!{LETTER}{char})(?<![{not_after}]{char})"
