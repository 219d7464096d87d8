"""
What could not be read.
"""

from __future__ import annotations

from ..errors import ReadError
from ._output import complain, say


__all__ = ["Unread"]

_MOST_TOLD = 20


class Unread:
    """
    Tells on stderr what could not be read: the first ones as they happen, the others as a number.

    To be given to readers as `report`.

    Attributes:
        count: How many lines and files could not be read.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: ReadError) -> None:
        """Tell of a line that is no event, or of a file that can't be read."""
        self.count += 1
        if self.count <= _MOST_TOLD:
            complain(str(error))

    def tell(self) -> None:
        """Tell how many more there were."""
        if self.count > _MOST_TOLD:
            say(f"... and {self.count - _MOST_TOLD:,} more that could not be read", err=True)
