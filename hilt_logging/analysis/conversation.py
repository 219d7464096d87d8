"""
What was said in a session, word for word, with all that happened between the words.
"""

from __future__ import annotations

import contextlib
import os

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from .._histories import lines_of, systems_in
from ..errors import ReadError
from ..io._decoding import reporter
from ..io.transcripts import Transcript, Transcripts
from ._finding import (
    EVERY_LINE,
    Found,
    Report,
    event_in,
    files_meant,
    lines_of_log,
    needles_of,
    sources,
)
from ._index import LEAST_BYTES, lines_of_session, session_in, unindexed_bytes, update
from ._opening import Open, opening
from ._sessions import Session, sessions


__all__ = [
    "Conversation",
    "Entry",
    "Session",
    "conversation",
    "conversations",
    "index",
    "session_ids",
    "sessions",
]

_MOST_OTHERS = 8
_MOST_BYTES = 64 * 1024 * 1024
_MOST_CONTINUED = 20
_NOT_RECORDED = "not recorded"

# What events that others made, in another form, lead to where conversations are put together.
_STRANGE = (KeyError, TypeError, AttributeError, IndexError, RecursionError)

Path = str | os.PathLike[str]


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """
    Something that was said or happened.

    Attributes:
        number: Counts the entries of a conversation, from 1.
        kind: The action, or of a `system` event `error`, `retry` or `system`; `unfinished` for what came
            of an answer that never ended.
        event_id: The event.
        timestamp: Its time.
        by: Who acts: the `id` of the actor.
        messages: What was said: `{"role": ..., "parts": [...]}`; of a request only what is new in it.
        text: The text of anything else.
        repeats: How many messages of the request stand above already and are left out.
        missing: How many messages that came before are not in the files.
        hidden: Why it can't be read: `no key`, `erased`, `damaged`, `not recorded`, ...
        redacted: What kinds of personal data were found and replaced.
        reply_to: The number of the entry that it answers.
        provider: Who was asked.
        model: The model.
        metrics: Tokens, cost and times.
        outcome: How the call ended, where it did not complete.
        tool: The tool, with its arguments or result.
        documents: What was found.
        feedback: What was judged.
        error: What went wrong.
        event: The whole event, where it is asked for.
    """

    number: int
    kind: str
    event_id: str
    timestamp: str
    by: str
    messages: list[dict[str, Any]] = []
    text: str | None = None
    repeats: int = 0
    missing: int = 0
    hidden: str | None = None
    redacted: list[str] = []
    reply_to: int | None = None
    provider: str | None = None
    model: str | None = None
    metrics: dict[str, Any] = {}
    outcome: str | None = None
    tool: dict[str, Any] | None = None
    documents: list[Any] = []
    feedback: Any = None
    error: dict[str, Any] | None = None
    event: dict[str, Any] | None = None


class Conversation(msgspec.Struct, kw_only=True):
    """
    A session.

    Attributes:
        session_id: Its id.
        users: Who took part.
        events: How many events it has.
        first: The time of the first one.
        last: The time of the last one.
        entries: What was said and happened, in the order of time; none if there is no such session.
        missing: How many messages that came before are not in the files.
        is_exact: Whether all requests whose digest is on record were put together again word for word;
            None where there is none that could tell.
        unanswered: The numbers of the prompts without an answer.
        hidden: How many entries can't be read, by the reason.
        tokens: The tokens of all calls.
        cost_usd: What they cost, as far as that is known.
    """

    session_id: str
    users: list[str] = []
    events: int = 0
    first: str | None = None
    last: str | None = None
    entries: list[Entry] = []
    missing: int = 0
    is_exact: bool | None = None
    unanswered: list[int] = []
    hidden: dict[str, int] = {}
    tokens: dict[str, int] = {}
    cost_usd: float | None = None


def conversation(
    paths: Path | Iterable[Path],
    session_id: str,
    *,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    indexed: bool = True,
    full: bool = False,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Conversation:
    """
    Return a session as it was.

    Args:
        paths: As in `io.reader.read`.
        session_id: The session.
        keys: Private keys that open what is encrypted.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.
        indexed: Whether indexes are used where there are any; `index` makes them.
        full: Whether the entries have their whole events, too.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for a key that can't be had.
        ReadError: for a path that is not there, if it is the only one.
    """
    opened = opening(keys, key_store, shared=shared_key_file)
    log = _Log(paths, rotated, indexed, reporter("skip", report))
    events = log.session(session_id)
    return _Rebuilt(events, _others(log, events), opened, full).of(session_id)


def conversations(
    paths: Path | Iterable[Path],
    session_ids: Iterable[str],
    *,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    most_bytes: int = _MOST_BYTES,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Iterator[Conversation | None]:
    """
    Return several sessions as they were, one after the other; the log is read once for all of them.

    Args:
        paths: As in `io.reader.read`.
        session_ids: The sessions, in the order in which they are wanted.
        keys: As in `conversation`.
        key_store: As in `conversation`.
        shared_key_file: As in `conversation`.
        most_bytes: How many bytes of lines are held; the last sessions that would take more are None.
        rotated: Whether a file that is named means its rotated files, too.
        report: As in `conversation`.

    Raises:
        ConfigurationError: for a key that can't be had.
        ReadError: for a path that is not there, if it is the only one.
    """
    opened = opening(keys, key_store, shared=shared_key_file)
    log = _Log(paths, rotated, False, reporter("skip", report))
    return _several(log, list(dict.fromkeys(session_ids)), most_bytes, opened)


def _several(
    log: _Log, session_ids: list[str], most_bytes: int, opened: Open
) -> Iterator[Conversation | None]:
    lines = log.several(session_ids, most_bytes)
    continued = 0
    for session_id in session_ids:
        found = lines.pop(session_id, None)
        if found is None:
            yield None
            continue
        decoded = (event_in(line, _ignored, numbered=False) for line in found)
        events = [event for event in decoded if event is not None]
        others: list[dict[str, Any]] = []
        if _followed(events) - {event["event_id"] for event in events}:
            continued += 1
            others = _others(log, events) if continued <= _MOST_CONTINUED else []
        yield _Rebuilt(events, others, opened, False).of(session_id)


def session_ids(
    paths: Path | Iterable[Path],
    prefix: str,
    *,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> list[str]:
    """
    Return the ids of sessions that begin with a text, in alphabetical order.

    Args:
        paths: As in `io.reader.read`.
        prefix: The text.
        rotated: Whether a file that is named means its rotated files, too.
        report: As in `conversation`.

    Raises:
        ReadError: for a path that is not there, if it is the only one.
    """
    log = _Log(paths, rotated, False, reporter("skip", report))
    found = {
        session_in(line.data)
        for line in lines_of_log(log.files, needles_of(prefix, quote="^"), _ignored)
    }
    return sorted(each for each in found if each is not None and each.startswith(prefix))


def index(
    paths: Path | Iterable[Path], *, least_bytes: int = LEAST_BYTES, rotated: bool = True
) -> int:
    """
    Make indexes of files that are large, in the user's cache directory; return how many were made.

    An index tells in which lines a session is. It holds digests and places, no content, and is made anew
    when the file has grown.

    Args:
        paths: As in `io.reader.read`.
        least_bytes: How much of a log must be without an index before any is made.
        rotated: Whether a file that is named means its rotated files, too.
    """
    files = files_meant(paths, _ignored, rotated=rotated)
    rests = [unindexed_bytes(source) for _, source in sources(files, _ignored)]
    if sum(rests) < least_bytes:
        return 0
    wanted = [
        file for file, rest in zip(files, rests, strict=False) if rest >= max(1, least_bytes // 16)
    ]
    return sum(update(path, source) for path, source in sources(wanted, _ignored))


def _ignored(error: ReadError) -> None:
    """What can't be read has been told by whoever reads it for what is in it."""


class _Log:
    """Files in which sessions and events are looked for."""

    def __init__(
        self, paths: Path | Iterable[Path], rotated: bool, indexed: bool, report: Report
    ) -> None:
        self.files = files_meant(paths, report, rotated=rotated)
        self.can_be_read_again = all(os.path.isfile(file.path) for file in self.files)
        self._indexed = indexed
        self._report = report

    def session(self, session_id: str) -> list[dict[str, Any]]:
        """Return the events of a session."""
        events = []
        for path, source in sources(self.files, self._report):
            can_be_counted = source.seekable()  # what was read of a pipe is gone
            lines = lines_of_session(path, source, session_id, self._report, indexed=self._indexed)
            for line in lines:
                event = event_in(line, self._report, numbered=can_be_counted)
                if event is not None and event["session_id"] == session_id:
                    events.append(event)
        return events

    def several(self, session_ids: list[str], most_bytes: int) -> dict[str, list[Found]]:
        """Return the lines of sessions; of the last ones, which would be too much, none."""
        found: dict[str, list[Found]] = {each: [] for each in session_ids}
        given_up = list(session_ids)
        size = 0
        for line in lines_of_log(self.files, EVERY_LINE, self._report):
            lines = found.get(session_in(line.data) or "")
            if lines is None:
                continue
            lines.append(line)
            size += len(line.data)
            while size > most_bytes and given_up:
                size -= sum(len(each.data) for each in found.pop(given_up.pop(), ()))
        return found

    def session_of(self, event_id: str) -> str | None:
        """Return the session of an event."""
        for line in lines_of_log(self.files, needles_of(event_id, quote="^$"), _ignored):
            event = event_in(line, _ignored)
            if event is not None and event["event_id"] == event_id:
                return session_in(line.data)
        return None


def _others(log: _Log, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of other sessions with which the conversation began."""
    others: list[dict[str, Any]] = []
    known = {event["event_id"] for event in events}
    wanted = _followed(events)
    for _ in range(_MOST_OTHERS):
        missing = next(iter(wanted - known), None)
        if missing is None or not log.can_be_read_again:
            break
        known.add(missing)
        session = log.session_of(missing)
        if session is not None:
            more = log.session(session)
            others += more
            known |= {event["event_id"] for event in more}
            wanted |= _followed(more)
    return others


def _followed(events: Iterable[dict[str, Any]]) -> set[str]:
    found = (_part(event, "extensions").get("follows") for event in events)
    return {each for each in found if type(each) is str}


def _part(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    return value if type(value) is dict else {}


class _Rebuilt:
    """A session that is put together."""

    def __init__(
        self,
        events: list[dict[str, Any]],
        others: list[dict[str, Any]],
        opened: Open,
        full: bool,
    ) -> None:
        self._open = opened
        self._full = full
        self._hidden: dict[str, str] = {}
        notices = [each for each in events if "notice" in _part(each, "extensions")]
        told = [self._opened(each) for each in events if each not in notices]
        self._events = sorted(told, key=lambda event: str(event["timestamp"]))
        self._transcripts = Transcripts([])
        for event in [*map(self._opened, others), *self._events]:
            if _is_whole(event):
                with contextlib.suppress(*_STRANGE):
                    self._transcripts.add(event)
        self._known = {event["event_id"]: event for event in [*others, *events]}
        self._numbers: dict[str, int] = {}
        self._told: list[bytes] = []
        self._system: list[dict[str, Any]] = []
        self._results = {
            _text(_tool(event).get("call_id")) for event in told if event["action"] == "tool_result"
        }
        self._calls = {_reply_to(event) for event in told if event["action"] == "tool_call"}

    def _opened(self, event: dict[str, Any]) -> dict[str, Any]:
        whole, reason = self._open(event)
        if reason is not None:
            self._hidden[event["event_id"]] = reason
        return whole

    def of(self, session_id: str) -> Conversation:
        made = Conversation(session_id=session_id, events=len(self._events))
        for event in self._without_pieces():
            entry = self._entry(event, len(made.entries) + 1)
            self._numbers[entry.event_id] = entry.number
            made.entries.append(entry)
            _sum(made, entry)
        if self._events:
            made.first, made.last = self._events[0]["timestamp"], self._events[-1]["timestamp"]
        made.users = sorted({user for event in self._events for user in _users(event)})
        made.missing = sum(entry.missing for entry in made.entries)
        made.is_exact = self._is_exact()
        made.unanswered = self._unanswered(made.entries)
        return made

    def _without_pieces(self) -> Iterator[dict[str, Any]]:
        """The events; of the pieces of an answer one for all, where they are all there is of it."""
        answered = {_reply_to(event) for event in self._events if event["action"] == "completion"}
        pieces: dict[Any, dict[str, Any]] = {}
        for event in self._events:
            if event["action"] != "completion_chunk":
                yield event
                continue
            prompt = _reply_to(event)
            if prompt is None or prompt in answered:
                continue
            text = str(_part(event, "content").get("text", ""))
            if prompt in pieces:
                pieces[prompt]["content"]["text"] += text
            else:
                pieces[prompt] = {**event, "content": {**_part(event, "content"), "text": text}}
        yield from pieces.values()

    def _entry(self, event: dict[str, Any], number: int) -> Entry:
        extensions, provenance = _part(event, "extensions"), _part(event, "provenance")
        privacy = _part(event, "privacy")
        tool = extensions.get("tool")
        entry = Entry(
            number=number,
            kind=_kind(event),
            event_id=event["event_id"],
            timestamp=event["timestamp"],
            by=event["actor"]["id"],
            hidden=self._hidden.get(event["event_id"]),
            redacted=[str(each) for each in _listed(privacy.get("pii_detected"))]
            if privacy.get("redaction_applied")
            else [],
            reply_to=self._numbers.get(_reply_to(event) or ""),
            provider=_text(provenance.get("provider")),
            model=_text(provenance.get("model")) or _text(provenance.get("request_model")),
            metrics=_part(event, "metrics"),
            outcome=_text(extensions.get("outcome")),
            tool=tool if type(tool) is dict else None,
            documents=_listed(extensions.get("documents")),
            feedback=extensions.get("feedback"),
            error=_part(extensions, "error") or None,
            event=event if self._full else None,
        )
        if entry.hidden is None and privacy.get("content") in ("none", "hash", "failed"):
            entry.hidden = _NOT_RECORDED
        self._say(entry, event)
        return entry

    def _say(self, entry: Entry, event: dict[str, Any]) -> None:
        if entry.kind == "prompt":
            self._ask(entry, event)
        elif entry.kind == "completion":
            self._answer(entry, event)
        else:
            text = _part(event, "content").get("text")
            entry.text = text if type(text) is str else None

    def _ask(self, entry: Entry, event: dict[str, Any]) -> None:
        said = _messages(event)
        count = systems_in(said)
        system, own = said[:count], said[count:]
        if system == self._system:
            entry.repeats += count
            system = []
        self._system = system or self._system
        if "history" in _part(event, "extensions"):
            entry.missing = self._missing_before(event)
            self._told = []
        else:
            own = self._new(entry, own)
        entry.messages = [*system, *filter(None, map(self._without_results, own))]

    def _missing_before(self, event: dict[str, Any]) -> int:
        """How many messages there were before the first request of which the files know."""
        answer = self._known.get(str(_part(event, "extensions").get("follows")))
        before = _reply_to(answer or {})
        if answer is not None and before in self._known:
            return 0
        told = self._transcript(event)
        return 0 if told is None else told.missing

    def _new(self, entry: Entry, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages of a request that repeats its history which are not told yet."""
        lines = lines_of(own)
        same = 0
        for line, told in zip(lines, self._told, strict=False):
            if line.line != told:
                break
            same += 1
        if len(lines) == 1 or same == len(lines):
            same = 0
        self._told = [line.line for line in lines]
        repeated = lines[same - 1].end if same else 0
        entry.repeats += repeated
        return own[repeated:]

    def _without_results(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """A message without results of tools that have entries of their own."""
        parts = [
            part
            for part in message["parts"]
            if part["type"] != "tool_call_response" or _text(part.get("id")) not in self._results
        ]
        return {**message, "parts": parts} if parts or not message["parts"] else None

    def _answer(self, entry: Entry, event: dict[str, Any]) -> None:
        extensions = _part(event, "extensions")
        messages = _messages(event, "assistant")
        if event["event_id"] in self._calls:
            messages = [_without_calls(message) for message in messages]
        refusal = extensions.get("refusal")
        if type(refusal) is str:
            part = {"type": "refusal", "content": refusal}
            messages = [*messages, {"role": "assistant", "parts": [part]}]
        entry.messages = [message for message in messages if message["parts"]]
        self._told += [line.line for line in lines_of(_messages(event, "assistant"))][:1]

    def _transcript(self, event: dict[str, Any]) -> Transcript | None:
        try:
            return self._transcripts.of(event["event_id"])
        except _STRANGE:
            return None

    def _is_exact(self) -> bool | None:
        """Whether the last requests, which repeat what was said before, are what was sent."""
        followed = _followed(self._events)
        answers = {_reply_to(event) for event in self._events if event["event_id"] in followed}
        found = [
            told.is_exact
            for event in self._events
            if event["action"] == "prompt" and event["event_id"] not in answers
            if "digest" in _part(_part(event, "extensions"), "history")
            if (told := self._transcript(event)) is not None and not told.missing
        ]
        return all(found) if found else None

    def _unanswered(self, entries: Sequence[Entry]) -> list[int]:
        answered = {
            entry.reply_to
            for entry in entries
            if entry.kind in ("completion", "error", "embedding")
        }
        return [
            entry.number
            for entry in entries
            if entry.kind == "prompt" and entry.number not in answered
        ]


def _is_whole(event: dict[str, Any]) -> bool:
    """Whether an event has the form in which conversations can be put together."""
    if event["action"] == "tool_call":
        return "name" in _tool(event)
    if event["action"] == "tool_result":
        return bool(_tool(event))
    messages = _part(event, "content").get("messages")
    return not messages or (type(messages) is list and all(map(_is_message, messages)))


def _messages(event: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    content = _part(event, "content")
    messages = content.get("messages")
    if type(messages) is list and messages and all(map(_is_message, messages)):
        return messages
    text = content.get("text")
    parts = [{"type": "text", "content": text}] if type(text) is str and text else []
    media = [
        {"type": "media", **each} for each in _listed(content.get("media")) if type(each) is dict
    ]
    return [{"role": role, "parts": [*parts, *media]}] if parts or media else []


def _is_message(message: Any) -> bool:
    return (
        type(message) is dict
        and type(message.get("role")) is str
        and type(message.get("parts")) is list
        and all(map(_is_part, message["parts"]))
    )


def _is_part(part: Any) -> bool:
    if type(part) is not dict or type(part.get("type")) is not str:
        return False
    return part["type"] != "text" or type(part.get("content")) is str


def _without_calls(message: dict[str, Any]) -> dict[str, Any]:
    parts = [part for part in message["parts"] if "tool_call" not in part["type"]]
    return {**message, "parts": parts}


def _tool(event: dict[str, Any]) -> dict[str, Any]:
    return _part(_part(event, "extensions"), "tool")


def _reply_to(event: dict[str, Any]) -> str | None:
    return _text(_part(event, "extensions").get("reply_to"))


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _users(event: dict[str, Any]) -> Iterator[str]:
    actor, told = event["actor"], _part(event, "extensions").get("user_id")
    if type(told) is str:
        yield told
    elif actor["type"] == "human":
        yield actor["id"]


def _kind(event: dict[str, Any]) -> str:
    extensions = _part(event, "extensions")
    if event["action"] == "system":
        if extensions.get("outcome") == "retried":
            return "retry"
        return "error" if extensions.get("error") else "system"
    return "unfinished" if event["action"] == "completion_chunk" else str(event["action"])


def _sum(made: Conversation, entry: Entry) -> None:
    if entry.hidden is not None:
        made.hidden[entry.hidden] = made.hidden.get(entry.hidden, 0) + 1
    tokens = entry.metrics.get("tokens")
    for name, count in (tokens if type(tokens) is dict else {}).items():
        if type(count) is int:
            made.tokens[name] = made.tokens.get(name, 0) + count
    cost = entry.metrics.get("cost_usd")
    if isinstance(cost, int | float):
        made.cost_usd = (made.cost_usd or 0) + cost
