"""
`hilt-log prune`: rotated files that are too old are deleted, on record.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from . import _options
from ._frame import DONE, FAILED, Command
from ._output import complain, counted, json_line, say
from ._progress import Progress


if TYPE_CHECKING:
    from ..custody.prune import PruneReport


__all__ = ["command"]


@click.command(
    "prune",
    cls=Command,
    examples={
        "hilt-log prune logs/app.hilt.jsonl --older-than 180d --dry-run": "what would be deleted",
        "hilt-log prune logs/app.hilt.jsonl --older-than 180d": "delete it",
    },
)
@click.argument("log", type=click.Path())
@click.option(
    "--older-than",
    required=True,
    callback=_options.age,
    metavar="AGE",
    help="How old the last event of a file has to be: 90m, 12h, 180d, 26w.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@_options.sign_key
@_options.seal_key
@_options.shared_sign_key
@_options.as_json
def command(
    log: str,
    older_than: timedelta,
    dry_run: bool,
    sign_key: str | None,
    seal_key: str | None,
    shared_sign_key: bool,
    as_json: bool,
) -> int:
    """
    Delete rotated files that are too old.

    LOG is the file that is written to; it stays. A rotated file is deleted as a whole, when its last
    event is older than AGE. Where the log is written with evidence=True, a statement of what is
    deleted is on the disk before anything is.
    """
    from ..custody import prune

    with Progress("Looking through the log") as progress:
        report = prune(
            log,
            older_than,
            sign_key=sign_key,
            seal_key=seal_key,
            shared_sign_key=shared_sign_key,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        json_line(report)
    else:
        _tell(report)
    for path, reason in report.untouched.items():
        complain(f"{path} stays: {reason}")
    return FAILED if report.untouched else DONE


def _tell(report: PruneReport) -> None:
    for file in report.files:
        say(f"{file.path}  {counted(file.bytes, 'byte')}, until {file.until}")
    done = "would be deleted" if report.dry_run else "deleted"
    count = len(report.files)
    say(f"{counted(count, 'file')} {done}, {counted(report.bytes, 'byte')}")
    if report.is_on_record:
        say(f"On record in {report.log}")
