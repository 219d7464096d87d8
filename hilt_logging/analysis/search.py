"""
Finding in logs what was said: by a text, a pattern, fields.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import re

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import msgspec

from ..errors import ConfigurationError, ReadError
from ..events import encode, to_timestamp
from ..io._decoding import reporter
from ..io._selection import selection_of
from ..io.files import LogFile, several
from ._finding import (
    EVERY_LINE,
    Found,
    Needles,
    Report,
    as_it_stands,
    event_in,
    files_meant,
    lines_of_log,
    needles_of,
    needles_of_pattern,
)
from ._index import session_in
from ._opening import ENCRYPTED, Open, opening
from ._said import Said, said_in


__all__ = ["Hit", "Place", "Wanted", "search"]

_LEFT_OUT = ("hilt_version", "integrity")
_TEXT = "content.text"
_MOST_PLACES = 20
_encode = msgspec.json.Encoder().encode

Path = str | os.PathLike[str]
Time = str | datetime.datetime


class Place(msgspec.Struct, frozen=True):
    """
    Where in an event something was found.

    Attributes:
        field: The field, as `content.text` or `content.messages.0.parts.1.content`.
        text: The whole text of the field.
        begin: The first character of what was found in it.
        end: The first character after it.
    """

    field: str
    text: str
    begin: int
    end: int


class Hit(msgspec.Struct, eq=False):
    """
    An event that was looked for. What is not asked for is not decoded.

    Attributes:
        path: Its file.
        before: Events of its session before it.
        after: Events of its session after it.
    """

    path: str
    _offset: int
    _line: bytes
    _wanted: Any
    _said: Said | None = None
    _event: dict[str, Any] | None = None
    _places: list[Place] | None = None
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []

    @property
    def event(self) -> dict[str, Any]:
        """The event; opened where a key opens it."""
        if self._event is None:
            self._event = _event_of(self._line)
        return self._event

    @property
    def json(self) -> bytes:
        """The event as JSON, on one line."""
        return self._line.strip() if self._said is not None else encode(self.event)

    @property
    def timestamp(self) -> str:
        """The time of the event."""
        return str(self.event["timestamp"]) if self._said is None else self._said.timestamp

    @property
    def session_id(self) -> str:
        """The session of the event."""
        return str(self.event["session_id"]) if self._said is None else self._said.session_id

    @property
    def action(self) -> str:
        """The action of the event."""
        return str(self.event["action"]) if self._said is None else self._said.action

    @property
    def places(self) -> list[Place]:
        """Where in the event the text is, the first place in each field; none without a text."""
        if self._places is None:
            wanted: Wanted = self._wanted
            only = wanted.only_place(self._line, self._said) if self._said else None
            self._places = wanted.places(self.event) if only is None else [only]
        return self._places


def _event_of(line: bytes) -> dict[str, Any]:
    """The event of a line; a number that is too large for one is the text that stands there."""
    try:
        event = msgspec.json.decode(line)
    except msgspec.ValidationError:
        event = json.loads(line, parse_float=_finite, parse_int=_finite)
    return cast("dict[str, Any]", event)


def _finite(text: str) -> float | int | str:
    number = float(text)
    if not math.isfinite(number):
        return text
    return int(text) if text.lstrip("-").isdigit() else number


class Wanted:
    """
    Which events are wanted, and what is looked for in them.

    Args:
        text: What is looked for; empty means that the fields alone decide.
        regex: Whether it is a regular expression, as of `re`.
        ignore_case: Whether letters may be small or large, as with `re.IGNORECASE`.
        within: The fields in which it must be, with all below them; all by default. Of these and
            what follows one alone may be a text.
        fields: Values that fields must have, as `{"extensions.tool.name": "weather"}`; what is no text
            is compared as JSON.
        actions: One of these actions.
        models: One of these models, asked for or served.
        users: One of these users: `extensions.user_id`, or a person who acts.
        sessions: One of these sessions.
        since: Of this time or later.
        until: Before this time.

    Attributes:
        needles: What lines have that say what is wanted.
        until: The time before which it is, as in events; None for any time.

    Raises:
        ConfigurationError: for a pattern or a time that is none.
    """

    def __init__(
        self,
        text: str = "",
        *,
        regex: bool = False,
        ignore_case: bool = False,
        within: str | Sequence[str] = (),
        fields: Mapping[str, str] | None = None,
        actions: str | Sequence[str] = (),
        models: str | Sequence[str] = (),
        users: str | Sequence[str] = (),
        sessions: str | Sequence[str] = (),
        since: Time | None = None,
        until: Time | None = None,
    ) -> None:
        self._within = tuple(several(within))
        self._fields = [(name.split("."), value) for name, value in (fields or {}).items()]
        asked = (actions, models, users, sessions)
        self._actions, self._models, self._users, self._sessions = map(set, map(several, asked))
        self._times = selection_of(since, until, None)
        self.until = None if until is None else to_timestamp(until)
        self._pattern = _pattern(text, regex, ignore_case) if text else None
        self._span = _span_of("" if regex else text, ignore_case, self._pattern)
        self._folds = ignore_case
        self._plain = None if regex else as_it_stands(text.lower() if ignore_case else text)
        is_asked_more = bool(self._fields or self._models or self._users)
        self._says = self._pattern is not None and self._is_within(_TEXT) and not is_asked_more
        self._narrows = bool(self._actions or self._sessions or self._times)
        self.needles = self._needles(text, regex, ignore_case)

    def _needles(self, text: str, regex: bool, ignore_case: bool) -> Needles:
        """Those of the condition that the fewest lines fulfil, by guess."""
        known = [EVERY_LINE]
        if self._pattern is not None:
            found = needles_of_pattern(self._pattern) if regex else None
            known.append(found or needles_of(text, folds=ignore_case))
        for values in (self._sessions, self._users, self._models):
            if len(values) == 1:
                known.append(needles_of(next(iter(values)), quote="^$"))
        known += [needles_of(value) for _, value in self._fields if not _is_other(value)]
        return max(known, key=lambda each: min(map(len, each.any_of[:1]), default=0))

    def takes(self, event: dict[str, Any]) -> bool:
        """Return whether the fields of an event are those that are wanted."""
        if self._actions and event["action"] not in self._actions:
            return False
        if self._sessions and event["session_id"] not in self._sessions:
            return False
        if self._times is not None and not self._times.takes(event):
            return False
        if self._models and not self._models & _models_of(event):
            return False
        if self._users and not self._users & users_of(event):
            return False
        return all(_is(_value(event, path), value) for path, value in self._fields)

    def places_in(self, event: dict[str, Any]) -> list[Place] | None:
        """Return where in an event the text is; None where it is not, or the event is not wanted."""
        if not self.takes(event):
            return None
        return [] if self._pattern is None else self.places(event) or None

    def places(self, event: dict[str, Any]) -> list[Place]:
        """Return where in an event the text is."""
        shown = {name: value for name, value in event.items() if name not in _LEFT_OUT}
        return list(islice(self._places_below(shown, ""), _MOST_PLACES))

    def said_in(self, line: bytes) -> Said | None:
        """Return what a line says if its own text shows that it is wanted; None says nothing."""
        if not self._says or (said := said_in(line)) is None:
            return None
        if self._span(said.content.text) is None or (self._narrows and not self._takes(said)):
            return None
        return said

    def _takes(self, said: Said) -> bool:
        return not (
            (self._actions and said.action not in self._actions)
            or (self._sessions and said.session_id not in self._sessions)
            or (self._times is not None and not self._times.takes({"timestamp": said.timestamp}))
        )

    def only_place(self, line: bytes, said: Said) -> Place | None:
        """Return where a line has the text, if that is in what it says and nowhere else for sure."""
        text, plain = said.content.text, self._plain
        if plain is None or (b"\\" in line and b"\\u" in line):
            return None
        found = self._span(text)
        if found is None or (self._folds and not line.isascii()):
            return None
        seen = (line.lower(), text.lower()) if self._folds else (line, text)
        return Place(_TEXT, text, *found) if _is_only_in(*seen, plain, found[0]) else None

    def _places_below(self, value: Any, path: str) -> Iterator[Place]:
        """The places in a value, the first one of each text."""
        span = self._span
        stack = [(path, value)]  # a value may be as deep as recursion goes
        while stack:
            path, value = stack.pop()
            inner = []
            for name, each in value.items() if type(value) is dict else enumerate(value):
                kind = type(each)
                if kind is str:
                    found = span(each)
                    if found is not None and self._is_within(field := f"{path}{name}"):
                        yield Place(field, each, *found)
                elif kind is dict or kind is list:
                    inner.append((f"{path}{name}.", each))
            stack += inner[::-1]

    def _is_within(self, field: str) -> bool:
        return not self._within or any(
            field == each or field.startswith(f"{each}.") for each in self._within
        )


def _is_only_in(line: bytes, text: str, word: bytes, begin: int) -> bool:
    """Whether a line has a word nowhere but in a text of it, where it begins first at *begin*."""
    place = line.find(word) - begin
    if place > 0 and text.isascii() and line.startswith(text.encode(), place):
        return line.rfind(word) < place + len(text)
    return line.count(word) == text.count(word.decode())


def _pattern(text: str, regex: bool, ignore_case: bool) -> re.Pattern[str]:
    try:
        return re.compile(text if regex else re.escape(text), re.I if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError("text", text, f"It is no regular expression: {error}") from None


def _span_of(
    text: str, ignore_case: bool, pattern: re.Pattern[str] | None
) -> Callable[[str], tuple[int, int] | None]:
    """What tells where in a text the first match begins and ends; *text* is empty for expressions."""
    if pattern is None:
        return lambda value: None
    search, size = pattern.search, len(text)

    def matched(value: str) -> tuple[int, int] | None:
        return found.span() if (found := search(value)) is not None else None

    if not text or (ignore_case and not text.isascii()):
        return matched
    if not ignore_case:
        return lambda value: (begin, begin + size) if (begin := value.find(text)) >= 0 else None
    small = text.lower()

    def folded(value: str) -> tuple[int, int] | None:
        if not value.isascii():
            return matched(value)
        begin = value.lower().find(small)
        return (begin, begin + size) if begin >= 0 else None

    return folded


def _value(event: dict[str, Any], path: list[str]) -> Any:
    value: Any = event
    for name in path:
        value = value.get(name) if type(value) is dict else None
    return value


def _is(value: Any, wanted: str) -> bool:
    if value is None or type(value) is str:
        return bool(value == wanted)
    return bool(_encode(value) == _encode(_other(wanted)))


def _other(text: str) -> Any:
    """What a text says as JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _is_other(text: str) -> bool:
    return type(_other(text)) is not str or text.startswith('"')


def _part(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    return value if type(value) is dict else {}


def _models_of(event: dict[str, Any]) -> set[Any]:
    provenance = _part(event, "provenance")
    return {
        each for name in ("model", "request_model") if type(each := provenance.get(name)) is str
    }


def users_of(event: dict[str, Any]) -> set[str]:
    """Return the users of an event."""
    told = _part(event, "extensions").get("user_id")
    actor = event["actor"]
    own = actor["id"] if actor["type"] == "human" else None
    return {each for each in (told, own) if type(each) is str}


def search(
    paths: Path | Iterable[Path],
    wanted: Wanted | str,
    *,
    context: int = 0,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> Iterator[Hit]:
    """
    Yield the events of logs in which something is, or that are wanted, in their order.

    Only lines that may have it are decoded: what else is in the files is not looked at.

    Args:
        paths: As in `io.reader.read`.
        wanted: What is looked for: a text, or more.
        context: How many events of the same session before and after each are given, too; the files are
            then read twice.
        keys: Private keys that open what is encrypted.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for a key that can't be had, or context in standard input.
        ReadError: for a path that is not there, if it is the only one.
    """
    told = reporter("skip", report)
    files = files_meant(several(paths), told, rotated=rotated)
    query = Wanted(wanted) if isinstance(wanted, str) else wanted
    private = several(keys)
    opened = opening(private, key_store, shared=shared_key_file)
    if context and not all(os.path.isfile(file.path) for file in files):
        raise ConfigurationError("context", context, "Standard input can't be read twice")
    has_keys = bool(private) or key_store is not None
    hits = _hits(files, query, opened if has_keys else None, told)
    return _with_context(files, hits, context) if context else hits


def _hits(
    files: list[LogFile], query: Wanted, opened: Open | None, report: Report
) -> Iterator[Hit]:
    needles = query.needles
    if opened is not None and needles.any_of:
        needles = needles._replace(any_of=(*needles.any_of, ENCRYPTED), sign=b"")
    for found in lines_of_log(files, needles, report):
        said = query.said_in(found.data) if opened is None else None
        if said is not None:
            yield Hit(found.path, found.offset, found.data, query, said)
            continue
        event = event_in(found, report)
        if event is None:
            continue
        if opened is not None:
            event, _ = opened(event)
        places = query.places_in(event)
        if places is not None:
            yield Hit(found.path, found.offset, found.data, query, None, event, places)


class _Waiting:
    """A hit whose session may go on."""

    def __init__(self, hit: Hit, wanted: int) -> None:
        self.hit = hit
        self.wanted = wanted


def _with_context(files: list[LogFile], found_hits: Iterator[Hit], context: int) -> Iterator[Hit]:
    hits = {(hit.path, hit._offset): hit for hit in found_hits}
    sessions = {hit.session_id for hit in hits.values()}
    before: dict[str, deque[Found]] = {each: deque(maxlen=context) for each in sessions}
    open_: dict[str, list[_Waiting]] = {each: [] for each in sessions}
    queue: deque[_Waiting] = deque()
    for found in lines_of_log(files, EVERY_LINE, lambda error: None):
        session = session_in(found.data)
        if session is None or session not in sessions:
            continue
        for waiting in open_[session]:
            waiting.hit.after.extend(_events([found]))
            waiting.wanted -= 1
        open_[session] = [each for each in open_[session] if each.wanted]
        hit = hits.get((found.path, found.offset))
        if hit is not None:
            hit.before, hit.after = _events(before[session]), []
            queue.append(_Waiting(hit, context))
            open_[session].append(queue[-1])
        before[session].append(found)
        while queue and not queue[0].wanted:
            yield queue.popleft().hit
    yield from (each.hit for each in queue)


def _events(lines: Iterable[Found]) -> list[dict[str, Any]]:
    events = (event_in(each, lambda error: None) for each in lines)
    return [event for event in events if event is not None]
