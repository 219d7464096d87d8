"""
`hilt-log search`: the events in which something was said.
"""

from __future__ import annotations

import itertools
import sys

from typing import TYPE_CHECKING, Any

import click
import msgspec

from .._naming import name_of
from . import _options
from ._filters import filters, keys, wanted
from ._frame import DONE, UNREAD, Command
from ._output import counted, json_line, printable, say
from ._unread import Unread


if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..analysis.search import Hit, Place


__all__ = ["command"]

_AROUND = 60
_encode = msgspec.json.Encoder(enc_hook=str).encode


@click.command(
    "search",
    cls=Command,
    examples={
        'hilt-log search "refund" logs/': "who spoke of a refund",
        "hilt-log search -i 'order #\\d+' logs/ --regex --action prompt -C 2": (
            "with two events of the conversation before and after"
        ),
        "hilt-log search '' logs/ --field extensions.tool.name=weather --json": (
            "all events of a tool"
        ),
    },
    exit_codes={
        DONE: "Done, whether something was found or not.",
        2: "Wrong usage, or a key or file that does not fit.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@click.argument("text")
@_options.logs
@click.option("-E", "--regex", is_flag=True, help="TEXT is a regular expression of Python.")
@click.option("-i", "--ignore-case", is_flag=True, help="Letters may be small or large.")
@click.option(
    "--in", "within", multiple=True, metavar="NAME", help="Look only in this field, as content."
)
@filters
@click.option(
    "-C",
    "--context",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Show N events of the same session before and after, too.",
)
@click.option("-c", "--count", is_flag=True, help="Print only how many events there are.")
@keys
@_options.shared_key_file
@_options.as_json
def command(
    text: str,
    paths: tuple[str, ...],
    regex: bool,
    ignore_case: bool,
    within: tuple[str, ...],
    context: int,
    count: bool,
    keys: tuple[str, ...],
    key_store: str | None,
    shared_key_file: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """
    Find what was said.

    TEXT is looked for in all texts of an event, as they were before JSON escaped them; '' stands for every
    event that the options want. PATHS are files, folders and patterns, - is standard input; a log is
    read with its rotated files. With --json, each event is a line of JSON.
    """
    from ..analysis.search import search

    query = wanted(given, text, regex=regex, ignore_case=ignore_case, within=within)
    unread = Unread()
    hits = search(
        paths,
        query,
        context=context,
        keys=keys,
        key_store=key_store,
        shared_key_file=shared_key_file,
        report=unread,
    )
    if count:
        number = sum(1 for _ in hits)
        json_line({"count": number}) if as_json else say(f"{number}")
    elif as_json:
        for hit in hits:
            sys.stdout.write(f"{printable(_encode(_told(hit, context)).decode())}\n")
    elif context:
        _show_with_context(hits)
    else:
        is_terminal = sys.stdout.isatty()
        for hit in hits:
            _show(hit, is_terminal)
    unread.tell()
    return UNREAD if unread.count else DONE


def _told(hit: Hit, context: int) -> dict[str, Any]:
    places = [{"field": each.field, "begin": each.begin, "end": each.end} for each in hit.places]
    told: dict[str, Any] = {
        "path": name_of(hit.path),
        "places": places,
        "event": msgspec.Raw(hit.json),
    }
    return {**told, "before": hit.before, "after": hit.after} if context else told


def _show_with_context(hits: Iterable[Hit]) -> None:
    """Show hits with what was said around them, each event once where that overlaps."""
    is_terminal = sys.stdout.isatty()
    session_id: str | None = None
    shown: set[str] = set()
    held: list[dict[str, Any]] = []  # after the last hit, as long as it may belong to the next
    for hit in hits:
        near = {_id(each) for each in (*hit.before, hit.event)}
        if hit.session_id == session_id and not near.isdisjoint(shown.union(map(_id, held))):
            held = _up_to(near, held)
            _show_around(held)
        else:
            _show_around(held)
            if session_id is not None:
                say("--", dim=True)
            shown = set()
        _show_around(each for each in hit.before if _id(each) not in shown)
        _show(hit, is_terminal)
        shown |= near.union(map(_id, held))
        session_id, held = hit.session_id, hit.after
    _show_around(held)


def _up_to(ids: set[str], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(itertools.takewhile(lambda each: _id(each) not in ids, events))


def _id(event: dict[str, Any]) -> str:
    return str(event["event_id"])


def _show_around(events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        say(f"  {_line(event)}", dim=True)


def _show(hit: Hit, is_terminal: bool) -> None:
    head = f"{_time(hit.timestamp)}  {hit.session_id}  {hit.action}"
    places = hit.places
    if places:
        place, more = places[0], len(places) - 1
        head += "  " if place.field == "content.text" else f" {place.field}:  "
        _print(head, _cut(place), f"  (+{counted(more, 'field')})" if more else "", is_terminal)
    else:
        _print(head, (f"  {_text(hit.event)}", "", ""), "", is_terminal)


def _print(head: str, around: tuple[str, str, str], tail: str, is_terminal: bool) -> None:
    if not is_terminal:
        sys.stdout.write(f"{printable(head + _flat(''.join(around)) + tail)}\n")
        return
    before, found, after = (printable(_flat(each)) for each in around)
    parts = [click.style(printable(head), fg="cyan"), before]
    parts += [click.style(found, fg="red", bold=True), after, tail]
    click.echo("".join(parts))


def _cut(place: Place) -> tuple[str, str, str]:
    """What was found with a little of what stands around it."""
    text, begin, end = place.text, place.begin, place.end
    first, last = max(0, begin - _AROUND), min(len(text), max(end, begin) + _AROUND)
    before = ("…" if first else "") + text[first:begin]
    found = text[begin : min(end, begin + 4 * _AROUND)]
    return before, found, text[end:last] + ("…" if last < len(text) else "")


def _flat(text: str) -> str:
    if text.isprintable():
        return text
    return text.replace("\r", " ").replace("\n", " ").replace("\t", " ")


def _line(event: dict[str, Any]) -> str:
    return f"{_time(event['timestamp'])}  {event['action']}  {_text(event)}"


def _time(timestamp: str) -> str:
    return f"{timestamp[:10]} {timestamp[11:19]}"


def _text(event: dict[str, Any]) -> str:
    """The beginning of what an event says."""
    from ..records import summary

    content = event.get("content")
    text = content.get("text") if type(content) is dict else None
    if type(text) is not str or not text:
        return summary(event)
    return _flat(text[: 2 * _AROUND]) + ("…" if len(text) > 2 * _AROUND else "")
