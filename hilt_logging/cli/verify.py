"""
`hilt-log verify`: whether a log was changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import _options
from ._frame import Command
from ._output import counted, json_line, say
from ._progress import Progress


if TYPE_CHECKING:
    from ..custody._findings import ChainSummary, Finding, Verdict


__all__ = ["command"]

_MOST_SHOWN = 50
_WORDS = {0: "Nothing is wrong", 1: "It was changed", 2: "It could not be checked"}
_COLOURS = {0: "green", 1: "red", 2: "yellow"}
_SEVERITIES = {"tampering": "red", "unchecked": "yellow", "told": None}


@click.command(
    "verify",
    cls=Command,
    examples={
        "hilt-log verify logs/app.hilt.jsonl --public-key evidence.pub.jwk": (
            "a log with its rotated files, and its signatures"
        ),
        "hilt-log verify logs/app.hilt.jsonl --seal-key app.first.jwk --seal-key app.seal": (
            "a sealed log, at its host: has its past, or its end, been changed?"
        ),
        "hilt-log verify copy/ --public-key evidence.pub.jwk --checkpoints saved.jsonl": (
            "a shipped copy, against checkpoints that were kept on another host"
        ),
    },
    exit_codes={
        0: "Nothing is wrong. What happens in the life of a log is told.",
        1: "It was changed; with --strict also for whatever is told.",
        2: "It could not be checked, or wrong usage.",
    },
    failed=2,
    unread=2,
)
@_options.logs
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="A key whose signatures are trusted. Can be given several times.",
)
@click.option(
    "--seal-key",
    "seal_keys",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="The first key of a sealed log, as hilt-log keygen --seal gave it out. Can be given several "
    "times; the file of the key at the host, given too, shows whether the end was cut off.",
)
@click.option(
    "--checkpoints",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="What came from the logger hilt.integrity and was kept elsewhere. Can be given several "
    "times. Without it, a log that was cut at its end or written anew is not told from a whole one.",
)
@click.option(
    "--strict", is_flag=True, help="Exit with 1 for crashes, losses and erasures on record, too."
)
@_options.as_json
def command(
    paths: tuple[str, ...],
    public_keys: tuple[str, ...],
    seal_keys: tuple[str, ...],
    checkpoints: tuple[str, ...],
    strict: bool,
    as_json: bool,
) -> int:
    """
    Tell whether a log was changed.

    PATHS are files, folders and patterns, - is standard input; a log is read with its rotated files,
    plain or compressed.
    Each line that was altered, taken away, moved, repeated or added is named, the first one first,
    in logs that are written with evidence=True.
    """
    from ..custody import verify

    with Progress("Verifying") as progress:
        verdict = verify(
            paths,
            public_keys=public_keys,
            seal_keys=seal_keys,
            checkpoints=checkpoints,
            strict=strict,
            progress=progress,
        )
    if as_json:
        json_line(verdict.to_dict())
    else:
        _show(verdict)
    return verdict.exit_code


def _show(verdict: Verdict) -> None:
    words = _WORDS[verdict.exit_code]
    first = verdict.first
    if verdict.exit_code == 1 and (first is None or first.severity != "tampering"):
        words = "It was not changed, but something happened to it"
    say(
        f"{words}: {counted(verdict.lines, 'line')} in {counted(verdict.files, 'file')}",
        fg=_COLOURS[verdict.exit_code],
        bold=True,
    )
    for finding in verdict.findings[:_MOST_SHOWN]:
        say(_told(finding), fg=_SEVERITIES[finding.severity])
    more = sum(verdict.counts.values()) - len(verdict.findings[:_MOST_SHOWN])
    if more > 0:
        say(f"... and {more:,} more")
    for chain in verdict.chains:
        say(_summary(chain))
    for limit in verdict.limits:
        say(f"Not shown: {limit}")


def _told(finding: Finding) -> str:
    line = "" if finding.line is None else f", line {finding.line:,}"
    place = "" if finding.file is None else f"{finding.file}{line}: "
    return f"{finding.severity}: {place}{finding.kind}: {finding.message}"


def _summary(chain: ChainSummary) -> str:
    sealed = counted(chain.checkpoints, "checkpoint")
    if chain.digests < chain.checkpoints:
        sealed += f", {chain.signatures:,} with a valid signature"
    if chain.seals:
        sealed += f", {chain.seals:,} with a valid seal"
    closed = "closed" if chain.is_closed else "not closed"
    return (
        f"{chain.log}: chain {chain.chain[:8]}, lines {chain.first_seq:,} to {chain.last_seq:,}, "
        f"{sealed}, {closed}"
    )
