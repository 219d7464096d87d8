"""
What could not be read.
"""

from __future__ import annotations

from ..errors import ReadError
from ._output import complain, say


__all__ = ["Unread"]

_MOST_TOLD = 20
_MOST_KNOWN = 100_000


class Unread:
    """
    Tells on stderr what could not be read: the first ones as they happen, the others as a number.

    To be given to readers as `report`, also to several that read the same: each line counts once.

    Args:
        follows: Whether files are followed, where a line may have the number of an earlier one.

    Attributes:
        count: How many lines and files could not be read.
    """

    def __init__(self, *, follows: bool = False) -> None:
        self.count = 0
        self._follows = follows
        self._known: set[tuple[str, int]] = set()

    def __call__(self, error: ReadError) -> None:
        """Tell of a line that is no event, or of a file that can't be read."""
        if error.line is not None and not self._follows:
            line = (error.path, error.line)
            if line in self._known:
                return
            if len(self._known) < _MOST_KNOWN:
                self._known.add(line)
        self.count += 1
        if self.count <= _MOST_TOLD:
            complain(str(error))

    def tell(self) -> None:
        """Tell how many more there were."""
        if self.count > _MOST_TOLD:
            say(f"... and {self.count - _MOST_TOLD:,} more that could not be read", err=True)
