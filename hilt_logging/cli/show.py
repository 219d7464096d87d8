"""
`hilt-log show`: a conversation as it was.
"""

from __future__ import annotations

import os
import sys

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..analysis._entries import details_of, parts_of, words_for
from . import _options
from ._filters import keys
from ._frame import DONE, FAILED, UNREAD, Command
from ._output import complain, counted, json_line, printable, say
from ._unread import Unread


if TYPE_CHECKING:
    from ..analysis._sessions import Latest
    from ..analysis.conversation import Conversation, Entry


__all__ = ["command"]

_MOST_LISTED = 20
_MOST_TEXT = 600
_MOST_WIDE = 64
_COLOURS = {
    "prompt": "cyan",
    "completion": "green",
    "unfinished": "yellow",
    "error": "red",
    "retry": "yellow",
    "feedback": "magenta",
}


@click.command(
    "show",
    cls=Command,
    examples={
        "hilt-log show logs/": "the last sessions",
        "hilt-log show conv-42 logs/": "what was said in one",
        "hilt-log show --last --user alice logs/": "in the last one of a person",
        "hilt-log show conv-42 logs/ --key auditor.key.jwk --full": "opened, with all details",
    },
    exit_codes={
        DONE: "Done.",
        FAILED: "There is no such session.",
        2: "Wrong usage, or a key or file that does not fit.",
        UNREAD: "Some of the input could not be read; the rest was.",
    },
)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    type=click.Path(),
    metavar="[SESSION] PATHS...",
    callback=_options.no_tables,
)
@click.option("--last", is_flag=True, help="The session with the latest event.")
@click.option("--user", metavar="ID", help="Only sessions of this user.")
@_options.since("sessions with events")
@_options.until("sessions with events")
@click.option(
    "-n",
    "number",
    type=click.IntRange(0),
    metavar="N",
    help=f"How many sessions are listed, {_MOST_LISTED} by default; 0 is all.",
)
@click.option("--full", is_flag=True, help="Cut nothing, and show all details.")
@click.option(
    "--no-index", is_flag=True, help="Read the whole log, and keep nothing for next time."
)
@keys
@_options.shared_key_file
@_options.as_json
def command(
    words: tuple[str, ...],
    last: bool,
    user: str | None,
    since: str | None,
    until: str | None,
    number: int | None,
    full: bool,
    no_index: bool,
    keys: tuple[str, ...],
    key_store: str | None,
    shared_key_file: bool,
    as_json: bool,
) -> int:
    """
    Show a conversation as it was.

    SESSION is a session id, or how only one begins; without it, and where a file of this name is there,
    the sessions are listed. PATHS are files, folders and patterns, - is standard input; a log is read with
    its rotated files. Of a large log it is kept in your cache directory which lines a session has: digests
    and places, no content.
    """
    unread = Unread()
    is_named = len(words) > 1 and not (last or user or os.path.exists(words[0]) or words[0] == "-")
    session, paths = (words[0], words[1:]) if is_named else (None, words)
    if last and _are_piped(paths):
        raise click.UsageError("--last reads twice, and a pipe can be read once: give a SESSION.")
    if session is None:
        most = 1 if last else _most(number, as_json)
        listed = _listed(paths, most, no_index, unread, user=user, since=since, until=until)
        if not last:
            _list(listed, as_json)
            return _ended(unread)
        if not listed.sessions:
            complain("There is no such session")
            return _ended(unread, FAILED)
        session = listed.sessions[-1].session_id
    options = {"keys": keys, "key_store": key_store, "shared_key_file": shared_key_file}
    found = _told(session, paths, unread, indexed=not no_index, full=full, **options)
    if isinstance(found, int):
        return _ended(unread, found)
    if as_json:
        json_line(found)
    else:
        _show(found, full)
    sys.stdout.flush()
    _index(paths, no_index)
    return _ended(unread)


def _are_piped(paths: tuple[str, ...]) -> bool:
    """Whether there is some input that can be read only once."""
    places = ("/dev/stdin" if path == "-" else path for path in paths)
    return any(
        os.path.exists(each) and not (os.path.isfile(each) or os.path.isdir(each))
        for each in places
    )


def _most(number: int | None, as_json: bool) -> int:
    """How many sessions are listed; 0 is all."""
    if number is not None:
        return number
    return 0 if as_json else _MOST_LISTED


def _index(paths: tuple[str, ...], no_index: bool) -> None:
    from ..analysis.conversation import index

    if not no_index:
        index(paths)


def _listed(
    paths: tuple[str, ...], number: int, no_index: bool, unread: Unread, **wanted: Any
) -> Latest:
    """The latest sessions: of all of them by the index, else by the whole log."""
    from ..analysis._sessions import Latest, latest_sessions, sessions

    if number and not no_index and not any(wanted.values()):
        _index(paths, no_index)
        return latest_sessions(paths, number, report=unread)
    every = sessions(paths, report=unread, **wanted)
    return Latest(every[-number:], len(every))


def _told(
    session: str, paths: tuple[str, ...], unread: Unread, **options: Any
) -> Conversation | int:
    """A session, also where only its beginning is given; else the exit code."""
    from ..analysis.conversation import conversation

    found = conversation(paths, session, report=unread, **options)
    if found.entries:
        return found
    known = _beginning(session, paths)
    if len(known) != 1:
        _complain_of(session, known, is_whole=_are_piped(paths))
        return 2 if known else FAILED
    return conversation(paths, known[0], report=unread, **options)


def _ended(unread: Unread, code: int = DONE) -> int:
    unread.tell()
    return UNREAD if unread.count else code


def _beginning(prefix: str, paths: tuple[str, ...]) -> list[str]:
    from ..analysis.conversation import session_ids

    return session_ids(paths, prefix, report=lambda error: None) if prefix else []


def _complain_of(session: str, known: list[str], *, is_whole: bool) -> None:
    if not known:
        why = "; of a pipe, which is read once, only a whole id is found" if is_whole else ""
        complain(f"There is no session {session!r} in these files{why}")
        return
    shown = ", ".join(known[:_MOST_LISTED]) + (", ..." if len(known) > _MOST_LISTED else "")
    complain(f"{len(known):,} sessions begin with {session!r}: {shown}")


def _list(found: Latest, as_json: bool) -> None:
    shown = found.sessions
    if as_json:
        json_line(shown)
        return
    if len(shown) < found.count:
        say(f"the last {len(shown):,} of {found.count:,} sessions; -n 0 lists all", dim=True)
    width = min(max([len(printable(each.session_id)) for each in shown], default=0), _MOST_WIDE)
    for each in shown:
        words = [
            f"{_time(each.first)} to {_time(each.last)}",
            counted(each.events, "event"),
            ", ".join(each.users),
            ", ".join(each.models),
        ]
        _line([(each.session_id.ljust(width), "cyan"), (_joined(words), "")])
    if not found.count:
        say("no sessions")


def _line(parts: list[tuple[str, str]]) -> None:
    """Print parts of a line, each in its colour."""
    told = [
        click.style(text, fg=colour or None)
        for part, colour in parts
        if (text := printable(part).replace("\n", " "))
    ]
    click.echo("  ".join(told))


def _joined(words: list[str]) -> str:
    return " · ".join(word for word in words if word)


def _show(found: Conversation, full: bool) -> None:
    write = _writer()
    tokens = found.tokens.get("total", 0)
    words = [
        f"session {found.session_id}",
        f"{_time(found.first or '')} to {_time(found.last or '')}",
        counted(found.events, "event"),
        ", ".join(found.users),
        f"{tokens:,} tokens" if tokens else "",
        _cost(found.cost_usd),
    ]
    write(_joined(words), "bold", [])
    has_results = False
    for entry in found.entries:
        if entry.missing:
            write(f"{entry.missing:,} earlier messages are not in these files", "yellow", [])
        write(_head(entry, has_results), _COLOURS.get(entry.kind, "blue"), list(_body(entry, full)))
        if entry.kind in ("tool_result", "completion"):
            has_results = entry.kind == "tool_result"
    if found.is_exact is False:
        write("What is on record does not have the digest of what was sent", "yellow", [])
    for number in found.unanswered:
        write(f"[{number}] has no answer in these files", "yellow", [])
    for reason, count in found.hidden.items():
        write(f"{count:,} {words_for(reason)}", "yellow", [])


def _head(entry: Entry, has_results: bool) -> str:
    """What stands above an entry; nothing in its text can look like it, for that is indented."""
    metrics, outcome = entry.metrics, entry.outcome
    tool = entry.tool or {}
    is_only_results = (
        has_results
        and entry.kind == "prompt"
        and not entry.messages
        and entry.repeats == 0
        and not entry.hidden
    )
    name = {"prompt": entry.by, "completion": "assistant", "unfinished": "unfinished answer"}
    words = [
        f"[{entry.number}] {_time(entry.timestamp)} {name.get(entry.kind, entry.kind)}",
        str(tool.get("name", "")) if tool else entry.by if entry.kind == "system" else "",
        _model(entry) if entry.kind in ("completion", "embedding", "rerank") else "",
        _usage(metrics.get("tokens")),
        _cost(metrics.get("cost_usd")),
        f"{metrics['latency_ms']} ms" if "latency_ms" in metrics else "",
        outcome if outcome not in (None, "completed", "retried") else "",
        f"to [{entry.reply_to}]" if entry.reply_to not in (None, entry.number - 1) else "",
        f"{counted(entry.repeats, 'message')} as above" if entry.repeats else "",
        "with the results above" if is_only_results else "",
        f"redacted: {', '.join(entry.redacted)}" if entry.redacted else "",
        words_for(entry.hidden) if entry.hidden else "",
    ]
    return _joined([word for word in words if word])


def _usage(tokens: Any) -> str:
    if type(tokens) is not dict:
        return ""
    if "prompt" in tokens or "completion" in tokens:
        return f"{tokens.get('prompt', 0)}+{tokens.get('completion', 0)} tokens"
    return f"{tokens['total']} tokens" if "total" in tokens else ""


def _model(entry: Entry) -> str:
    return " ".join(each for each in (entry.provider, entry.model) if each)


def _cost(cost: Any) -> str:
    return f"${cost:.6f}".rstrip("0").rstrip(".") if isinstance(cost, int | float) else ""


def _time(timestamp: str) -> str:
    return f"{timestamp[:10]} {timestamp[11:19]}"


def _body(entry: Entry, full: bool) -> Iterator[tuple[str, str]]:
    """The parts of an entry, each with what it is where it is no plain text."""
    for role, part in parts_of(entry):
        label, text = _part(part, full)
        yield f"{role} {label}".strip(), text
    if entry.text:
        is_long = entry.kind in ("tool_result", "system")
        yield "", _cut(entry.text, full) if is_long else entry.text
    for name, value in details_of(entry):
        yield name, _cut(_value(value), full)
    if full and entry.event is not None:
        yield "event", _value(entry.event)


def _part(part: dict[str, Any], full: bool) -> tuple[str, str]:
    kind, content = part["type"], part.get("content")
    if type(content) is str and kind in ("text", "reasoning", "refusal"):
        return "" if kind == "text" else kind, content
    rest = {name: value for name, value in part.items() if name != "type"}
    return kind, _cut(_value(rest), full)


def _value(value: Any) -> str:
    return value if type(value) is str else msgspec.json.encode(value).decode()


def _cut(text: str, full: bool) -> str:
    if full or len(text) <= _MOST_TEXT:
        return text
    return f"{text[:_MOST_TEXT]}… {len(text) - _MOST_TEXT:,} more characters: --full"


def _writer() -> Callable[[str, str, list[tuple[str, str]]], None]:
    """What prints an entry: with rich on a terminal that may have colours, else as plain text."""
    is_plain = click.get_current_context().color is False or not sys.stdout.isatty()
    return _plain if is_plain else _on_terminal()


def _plain(head: str, style: str, body: list[tuple[str, str]]) -> None:
    lines = [_one_line(head)]
    for label, text in body:
        shown = printable(f"{label}: {text}" if label else text)
        lines += [f"  {line}" for line in shown.split("\n")]
    sys.stdout.write("\n".join(lines) + "\n\n")


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")


def _on_terminal() -> Callable[[str, str, list[tuple[str, str]]], None]:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)

    def write(head: str, style: str, body: list[tuple[str, str]]) -> None:
        told = style if style == "bold" else f"bold {style}"
        console.print(Text(_one_line(head), told))
        for label, text in body:
            shown = Text(_one_line(f"{label}: "), "dim") if label else Text()
            console.print(Padding(shown.append(printable(text)), (0, 0, 0, 2)))
        console.print()

    return write
