"""
`hilt-log decrypt`: the lines of a log as they were before they were encrypted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from .._naming import name_of
from . import _filters, _options
from ._frame import DONE, FAILED, UNREAD, Command
from ._output import complain, counted, json_line, output, say
from ._progress import Progress


if TYPE_CHECKING:
    from ..custody.decrypt import OpenedLine
    from ..errors import ReadError


__all__ = ["command"]

_MOST_TOLD = 20
_ERASED = "erased"


@click.command(
    "decrypt",
    cls=Command,
    examples={
        "hilt-log decrypt logs/app.hilt.jsonl --key auditor.key.jwk": "to the screen",
        "hilt-log decrypt logs/ --key auditor.key.jwk --key-store keys.db -o open.jsonl": (
            "a log that is erasable, too, to a new file that only you can read"
        ),
    },
    exit_codes={
        DONE: "Done. Lines whose key was erased stay encrypted, and are counted.",
        FAILED: "Some lines could not be opened; they stay encrypted.",
        2: "Wrong usage, or a key or file that does not fit.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@_options.logs
@_filters.keys
@click.option(
    "-o", "--output", "target", type=click.Path(), metavar="FILE", help="The new file for it."
)
@_options.force
@_options.shared_key_file
@_options.as_json
def command(
    paths: tuple[str, ...],
    keys: tuple[str, ...],
    key_store: str | None,
    target: str | None,
    force: bool,
    shared_key_file: bool,
    as_json: bool,
) -> int:
    """
    Open what is encrypted in a log.

    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files.
    Every line is written, those that are not encrypted as they are. How many there were is told after that, on
    stderr where the lines go to the screen.
    """
    from ..custody import decrypt

    if not keys and key_store is None:
        raise click.UsageError("Give --key, --key-store or both.")
    tally, progress = _Tally(), Progress("Opening")
    aside = target in (None, "-")
    lines = decrypt(
        paths,
        keys=keys,
        key_store=key_store,
        shared_key_file=shared_key_file,
        report=tally.unread,
        progress=None if aside else progress,
    )
    with output(target, force=force) as write, progress:
        for line in lines:
            tally.count(line)
            write(line.line + b"\n")
    if as_json:
        json_line(tally.to_dict(), err=aside)
    else:
        tally.tell(aside)
    return tally.exit_code()


class _Tally:
    """What became of the lines; the first failures are told as they happen."""

    def __init__(self) -> None:
        self.lines = self.opened = self.errors = 0
        self.failures: Counter[str] = Counter()

    def count(self, line: OpenedLine) -> None:
        self.lines += 1
        if line.failure is None:
            self.opened += line.was_encrypted
            return
        reason = line.failure.reason
        self.failures[reason] += 1
        if reason != _ERASED and self.failed() <= _MOST_TOLD:
            complain(f"{name_of(line.path)}, line {line.number}: {line.failure}")

    def unread(self, error: ReadError) -> None:
        self.errors += 1
        complain(str(error))

    def failed(self) -> int:
        return self.failures.total() - self.failures[_ERASED]

    def to_dict(self) -> dict[str, object]:
        return {
            "lines": self.lines,
            "opened": self.opened,
            "failures": dict(self.failures),
            "unread": self.errors,
        }

    def tell(self, err: bool) -> None:
        say(f"{self.opened:,} of {counted(self.lines, 'line')} opened", err=err)
        for reason, count in self.failures.items():
            say(f"{count:,} not opened: {reason}", err=err)

    def exit_code(self) -> int:
        if self.errors:
            return UNREAD
        return FAILED if self.failed() else DONE
