"""
`hilt-log check-config`: why is nothing written?
"""

from __future__ import annotations

import os

from typing import TYPE_CHECKING

import click
import msgspec

from . import _options
from ._frame import DONE, FAILED, WRONG_USAGE, Command
from ._output import counted, json_line, say


if TYPE_CHECKING:
    from ..diagnosis import Destination, Diagnosis, Problem, Trial, Way


__all__ = ["command"]

_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}
_WRITES = {
    "events": "whole events",
    "records": "records with the whole event",
    "summaries": "a line of text about each event",
    "nothing": "nothing",
    "unknown": "what only its code knows",
}
_FOREIGN = {"drop": "no ordinary records", "wrap": "ordinary records as system events"}


@click.command(
    "check-config",
    cls=Command,
    examples={
        "hilt-log check-config logging.yaml": "where events go, and what keeps them from it",
        "hilt-log check-config logging.yaml --logger hilt.app.shop": "a logger of your own, too",
        "hilt-log check-config logging.yaml --emit": "write an event for real, and look for it",
    },
    exit_codes={
        DONE: "Events are written somewhere.",
        FAILED: "Something keeps events from being written.",
        WRONG_USAGE: "Wrong usage, or the file is no configuration.",
    },
    unread=WRONG_USAGE,
)
@click.argument("file", type=click.Path())
@click.option(
    "--logger",
    "loggers",
    multiple=True,
    metavar="NAME",
    help="A logger to look at, beside hilt and what is below it. May be repeated.",
)
@click.option(
    "--no-import",
    "imports",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Import no module that the file names but those of Python and hilt_logging.",
)
@click.option(
    "--emit",
    "is_tried",
    is_flag=True,
    help="Load the file in a process of its own, emit an event, and look for it where it belongs.",
)
@_options.as_json
def command(
    file: str, loggers: tuple[str, ...], imports: bool, is_tried: bool, as_json: bool
) -> int:
    """
    Tell why a configuration of logging writes nothing.

    FILE is what dictConfig gets (YAML, JSON, TOML), or what fileConfig reads (ini, conf). Run this
    where the application is started, as its user: paths are relative, and rights are looked at.
    Nothing is opened or made. What the file names is imported, as the application would.

    With --emit one `system` event, marked as a notice, is written through it to each logger that is
    named, or to hilt. It stays in the files.
    """
    from ..diagnosis import diagnose, try_out

    found = diagnose(file, loggers=loggers, imports=imports)
    tried: list[Trial] = []
    if is_tried:
        files = [each.to for each in found.destinations if each.to and each.to.startswith("/")]
        tried = try_out(file, loggers=loggers or ("hilt",), files=files)
    works = found.works and all(each.found and not each.error for each in tried)
    if as_json:
        told = {**msgspec.to_builtins(found), "works": works}
        json_line({**told, "tried": tried} if is_tried else told)
    else:
        _show(found)
        for each in tried:
            _show_trial(each)
    return DONE if works else FAILED


def _show(found: Diagnosis) -> None:
    by_way: dict[tuple[object, ...], list[Way]] = {}
    for way in found.ways:
        by_way.setdefault((way.level, *way.handlers.items(), way.written), []).append(way)
    destinations = {each.handler: each for each in found.destinations}
    for ways in by_way.values():
        say(", ".join(way.logger for way in ways), bold=True)
        _show_way(ways[0], destinations)
    say()
    for problem in found.problems:
        _show_problem(problem)
    errors = sum(each.severity == "error" for each in found.problems)
    warnings = sum(each.severity == "warning" for each in found.problems)
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    say(told, bold=True, fg="red" if errors else "yellow" if warnings else "green")


def _show_way(way: Way, destinations: dict[str, Destination]) -> None:
    shown: dict[str, str] = {}
    for level, handlers in way.handlers.items():
        for handler in handlers:
            shown.setdefault(handler, level)
    if not shown:
        say(f"  nothing is written: {way.level} and above is on", fg="red")
        return
    wide = max(len(handler) for handler in shown)
    for handler, level in shown.items():
        each = destinations[handler]
        words = [_WRITES[each.writes], _FOREIGN.get(each.foreign or "", "")]
        if each.filters:
            words.append(f"filtered by {', '.join(each.filters)}")
        if each.through:
            words.append(f"through {', '.join(each.through)}")
        told = "; ".join(word for word in words if word)
        say(f"  from {level:7}  {handler:{wide}}  {_shown(each.to or each.kind)}: {told}")


def _shown(place: str) -> str:
    """A file as one would type it here."""
    here = os.path.join(os.getcwd(), "")
    return place.removeprefix(here)


def _show_problem(problem: Problem) -> None:
    line = "" if problem.line is None else f" (line {problem.line})"
    say(
        f"{problem.severity}: {problem.where}{line} {problem.what}",
        fg=_COLOURS[problem.severity],
    )
    say(f"  {problem.why}")
    if problem.loggers:
        say(f"  of {', '.join(problem.loggers)}")
    say(f"  {problem.remedy}")


def _show_trial(trial: Trial) -> None:
    if trial.error:
        say(f"{trial.logger}: {trial.error}", fg="red")
    elif trial.found:
        say(f"{trial.logger}: event {trial.event_id} is in {_places(trial.found)}", fg="green")
    elif trial.event_id is None:
        say(f"{trial.logger}: nobody listens: no event was made", fg="red")
    else:
        say(f"{trial.logger}: event {trial.event_id} is nowhere to be found", fg="red")
    if trial.mentioned:
        say(f"  a line of text about it is in {_places(trial.mentioned)}")


def _places(places: tuple[str, ...]) -> str:
    return ", ".join(map(_shown, places))
