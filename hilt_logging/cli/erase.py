"""
`hilt-log erase`: what a log says of one person or session becomes unreadable, or is taken out.
"""

from __future__ import annotations

import getpass
import sys

from typing import TYPE_CHECKING, Any

import click

from . import _options
from ._frame import DONE, EXIT_CODES, FAILED, UNREAD, Command
from ._output import complain, counted, json_line, say
from ._progress import Progress


if TYPE_CHECKING:
    from ..custody.erase import ErasureReport
    from ..custody.rewrite import RewriteReport


__all__ = ["command"]


@click.command(
    "erase",
    cls=Command,
    examples={
        "hilt-log erase --subject alice --key-store keys.db --log logs/app.hilt.jsonl": (
            "a log that is written with erasable_by: her key is destroyed"
        ),
        "hilt-log erase --rewrite --subject alice --dry-run logs/app.hilt.jsonl": (
            "a log in which her words stand as they are: how many events would it be?"
        ),
        "hilt-log erase --rewrite --subject alice logs/app.hilt.jsonl": (
            "the same files without her words"
        ),
    },
    exit_codes={
        **EXIT_CODES,
        FAILED: "Something could not be done, or there is nothing of this subject.",
    },
)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "--subject",
    required=True,
    help="Whose words: the id of a user or session, or of a key. With - it is read from standard "
    "input, and is in no list of processes or history of commands.",
)
@click.option(
    "--subject-kind",
    "kind",
    type=click.Choice(("user", "session", "key")),
    default="user",
    show_default=True,
    help="What the subject is.",
)
@click.option(
    "--key-store",
    type=click.Path(),
    metavar="FILE",
    help="The keys of the log. That of the subject is destroyed.",
)
@click.option(
    "--log",
    type=click.Path(),
    metavar="FILE",
    help="The log, by the file that is written to: there the erasure is put on record.",
)
@click.option(
    "--rewrite",
    is_flag=True,
    help="Write the rotated files of a log anew, without what the subject said.",
)
@click.option(
    "--keep-old", is_flag=True, help="With --rewrite: move old files to LOG.erased, not away."
)
@click.option("--dry-run", is_flag=True, help="With --rewrite: only tell what would be done.")
@_options.sign_key
@_options.seal_key
@click.option("--by", metavar="NAME", help="Who erases, for the record.  [default: your account]")
@_options.shared_key_file
@_options.shared_sign_key
@_options.as_json
def command(
    paths: tuple[str, ...],
    subject: str,
    kind: str,
    key_store: str | None,
    log: str | None,
    rewrite: bool,
    keep_old: bool,
    dry_run: bool,
    sign_key: str | None,
    seal_key: str | None,
    by: str | None,
    shared_key_file: bool,
    shared_sign_key: bool,
    as_json: bool,
) -> int:
    """
    Make what a log says of one person unreadable.

    With --key-store, the key of the subject is destroyed, and with it what every copy of the log says
    of it: also archived and shipped ones. The lines stay as they are, and so does their evidence.
    The events of the subject in PATHS, or in the files of --log, are counted.

    With --rewrite, for logs that are not erasable: PATHS is one log. It is rotated, and each of its
    files with events of the subject is replaced by one in which they are empty. Copies elsewhere are
    not reached, and whoever ships the files must have finished with them.
    """
    if subject == "-":
        subject = sys.stdin.readline().rstrip("\r\n")
    options: dict[str, Any] = {
        "kind": kind,
        "by": _account() if by is None else by,
        "sign_key": sign_key,
        "seal_key": seal_key,
        "shared_sign_key": shared_sign_key,
    }
    if rewrite:
        if key_store or log or len(paths) != 1:
            raise click.UsageError("--rewrite takes one LOG, and neither --key-store nor --log.")
        return _rewrite(
            paths[0], subject, as_json, {**options, "keep_old": keep_old, "dry_run": dry_run}
        )
    if key_store is None or keep_old or dry_run:
        raise click.UsageError("Give --key-store; --keep-old and --dry-run are for --rewrite.")
    options |= {"key_store": key_store, "paths": paths, "log": log}
    return _erase(subject, as_json, {**options, "shared_key_file": shared_key_file})


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _erase(subject: str, as_json: bool, options: dict[str, Any]) -> int:
    from ..custody import erase

    with Progress("Looking through the log") as progress:
        report = erase(subject, **options, progress=progress)
    if as_json:
        json_line(report)
    else:
        _tell_erasure(report)
    for error in report.unread:
        complain(error)
    if report.key_id is None and not report.others:
        complain("There is no key of this subject: nothing was erased")
        return FAILED
    return UNREAD if report.unread else DONE


def _tell_erasure(report: ErasureReport) -> None:
    if report.key_id is not None:
        events = _counted(report.events, len(report.files))
        say(f"Destroyed the key {report.key_id} of {events}: no copy of them can be read any more")
    for key_id in report.others:
        say(f"That the key {key_id} was destroyed before is on record now")
    if report.log is not None:
        say(f"On record in {report.log}")
    elif report.key_id is not None:
        say("Not on record in a log yet: name it with --log the next time")


def _rewrite(log: str, subject: str, as_json: bool, options: dict[str, Any]) -> int:
    from ..custody import rewrite

    with Progress("Rewriting") as progress:
        report = rewrite(log, subject, **options, progress=progress)
    if as_json:
        json_line(report)
    else:
        _tell_rewriting(report)
    for each in report.untouched:
        events = (
            "" if each.events is None else f" with {counted(each.events, 'event')} of the subject"
        )
        complain(f"{each.path}{events} stays as it is: {each.reason}")
    if report.unreadable:
        told = counted(report.unreadable, "line is no event", "lines are no events")
        complain(f"{told}, and may hold anything")
    if report.untouched or not report.events:
        return FAILED
    return UNREAD if report.unreadable else DONE


def _tell_rewriting(report: RewriteReport) -> None:
    for file in report.files:
        say(
            f"{file.old}: {counted(file.events, 'event')}"
            + (f", now {file.new}" if file.new else "")
        )
    if not report.events:
        if not report.untouched:
            say("No events of this subject were found")
        return
    done = "would become" if report.dry_run else "became"
    say(f"{_counted(report.events, len(report.files))} {done} empty; who it was is {report.token}")


def _counted(events: int, files: int) -> str:
    return f"{counted(events, 'event')} in {counted(files, 'file')}"
