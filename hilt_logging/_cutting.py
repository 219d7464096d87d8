"""
A line that is too long, cut to the length that is wanted, and still an event.

The longest texts are cut first, all of them to one length, so that what is short stays whole. Where
many small values make the length, lists and dicts keep their beginning. What was cut is marked:
texts in `extensions.cut`, lists and dicts with `$cut` where they stand, as `snapshot` does it.
"""

from __future__ import annotations

import hashlib
import heapq

from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from .events import encode
from .schema import FIELDS, is_valid


__all__ = ["LEAST_BYTES", "cut"]

LEAST_BYTES = 1024
"""The shortest limit for a line: there is always room for what makes it an event."""

_MOST_TEXTS = 64  # with more marks than that there would be little room for what they are about
_SHORT_TEXT = 128  # no mark is shorter
_LEAST_TEXT = 32
_LEAST_CONTAINER = 64
_CONTAINER_MARK = len(',{"$cut":"size","$omitted":}') + 20
_MARKS = len(',"extensions":{"cut":[]}') + 16
_LONGEST_FIELD = 160
_LONGEST_NAME = 96
_MARK = ("$cut", "$omitted")

_SPARED = frozenset(
    [
        *(name for name in FIELDS if name not in ("content", "extensions")),
        "extensions.user_id",
        "extensions.reply_to",
        "extensions.follows",
        "extensions.status_code",
        "extensions.finish_reason",
        "extensions.outcome",
        "extensions.session_source",
        "extensions.cut",
    ]
)
"""What tells events apart and is counted: only cut where nothing else is left to cut."""

_WHOLE = frozenset(("metrics.tokens", "privacy.pii_detected"))
"""Where the format has no room for a mark: kept, or left out in one piece."""


def cut(line: bytes, most: int, *, ascii: bool = False) -> bytes:
    """
    Return the line of an event with at most so many bytes.

    Args:
        line: A line, without its newline.
        most: How many bytes it may have, without its newline; at least `LEAST_BYTES` less one.
        ascii: Escape every character that is not ASCII.
    """
    if len(line) <= most:
        return line
    try:
        for spared in (_SPARED, frozenset[str]()):
            shorter = _Cutting(most, ascii, spared).line(msgspec.json.decode(line))
            if shorter is not None:
                return shorter
    except Exception:  # noqa: S110 -- a caller at its limit of recursion or memory
        pass
    return _bare(line, most, ascii)


def _mark(field: str, text: str) -> dict[str, Any]:
    """What is said of a text that is cut: all of it is said here and nowhere else."""
    data = text.encode()
    return {"field": field, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class _Text(NamedTuple):
    """A text that may be cut, where it stands, and how many bytes it and its mark take."""

    place: Any
    key: Any
    field: str
    text: str
    size: int
    mark: int


class _Item(NamedTuple):
    """What stands in a list or dict, and how many bytes it takes there."""

    key: Any
    value: Any
    field: str
    weight: int


class _Cutting:
    """One attempt: what it may take, and what it found."""

    def __init__(self, most: int, ascii: bool, spared: frozenset[str]) -> None:
        self._most = most
        self._ascii = ascii
        self._spared = spared
        self._weights: dict[int, list[int]] = {}
        self._found: list[_Text] = []
        self._texts: list[_Text] = []
        self._least: dict[tuple[int, Any], int] = {}
        self._promised: dict[tuple[int, Any], int] = {}

    def line(self, event: dict[str, Any]) -> bytes | None:
        """The line of the event, which is changed; None if it can't be that short or no event."""
        was_valid = is_valid(event)
        size = self._look(event)
        least = size - sum(text.size - text.mark - _LEAST_TEXT for text in self._texts)
        if least + _MARKS > self._most:
            self._promise()
            self._look(event)
            self._prune(event, "", self._most - _MARKS)
            self._promised = {}
            size = self._look(event)
        if not self._cut_texts(event, size) or (was_valid and not is_valid(event)):
            return None
        line = encode(event, ascii=self._ascii)
        return line if len(line) <= self._most else None

    def _look(self, event: dict[str, Any]) -> int:
        """Weigh the event, and find the texts that are worth to be cut."""
        self._weights, self._found = {}, []
        size = self._weigh(event, "", False)
        longest = heapq.nlargest(_MOST_TEXTS, self._found, key=_importance)
        texts = [found._replace(mark=self._mark_size(found)) for found in longest]
        self._texts = sorted(
            (text for text in texts if text.size > text.mark + _LEAST_TEXT),
            key=attrgetter("size"),
            reverse=True,
        )
        return size

    def _mark_size(self, found: _Text) -> int:
        mark = {"field": found.field, "bytes": len(found.text.encode()), "sha256": "0" * 64}
        return self._size(mark) + 1

    def _size(self, value: Any) -> int:
        if self._ascii and type(value) is str:  # much faster than escaping what msgspec made
            return len(encode_basestring_ascii(value)) - value.count("\x7f") * 5
        return len(encode(value, ascii=self._ascii))

    def _weigh(self, value: Any, path: str, spared: bool) -> int:
        """How many bytes a value takes; of a container, also what each item of it takes."""
        if type(value) not in (dict, list):
            return self._size(value)
        weights = [
            self._weigh_item(value, key, item, _field(path, key), spared)
            for key, item in _pairs(value)
        ]
        self._weights[id(value)] = weights
        return sum(weights) + 1 if weights else 2

    def _weigh_item(self, place: Any, key: Any, item: Any, field: str, spared: bool) -> int:
        """Likewise of an item with its comma and its key."""
        spared = spared or field in self._spared
        size = self._weigh(item, field, spared)
        if type(item) is str and size > _SHORT_TEXT and not spared:
            if self._size(field) > _LONGEST_FIELD:
                field = f"{self._prefix(field, _LONGEST_FIELD)}…"
            self._found.append(_Text(place, key, field, item, size, 0))
            size = min(size, self._promised.get((id(place), key), size))
        return size + 1 + (self._size(key) + 1 if type(key) is str else 0)

    def _promise(self) -> None:
        """Reserve half of the line for texts before lists and dicts take the rest."""
        share = self._most // 2 // max(1, len(self._texts))
        for text in self._texts:
            place = id(text.place), text.key
            self._least[place] = text.mark + _LEAST_TEXT
            self._promised[place] = max(share, self._least[place])

    def _prune(self, value: Any, path: str, room: int) -> None:
        """Leave out items of a list or dict, so that the rest of it fits."""
        items = [
            _Item(key, item, _field(path, key), weight)
            for (key, item), weight in zip(_pairs(value), self._weights[id(value)], strict=True)
        ]
        omitted = _omitted_before(value)
        if omitted:
            items = items[:-1] if type(value) is list else [i for i in items if i.key not in _MARK]
        room -= 2 + _CONTAINER_MARK + sum(i.weight for i in items if i.field in self._spared)
        level = _level([i.weight for i in items if i.field not in self._spared], room)
        is_fair = level * _MOST_TEXTS >= room  # or else it is better to keep the first ones whole
        kept = []
        for item in items:
            share = level if is_fair else room
            if item.field in self._spared:
                kept.append(item)
            elif item.weight <= share:
                kept.append(item)
                room -= item.weight
            elif self._shrink(value, item, share):
                kept.append(item)
                room -= share
            else:
                omitted += 1
                if type(value) is list and not is_fair:
                    room = 0  # of a list the beginning is kept
        if omitted:
            _put_back(value, kept, omitted)

    def _shrink(self, place: Any, item: _Item, room: int) -> bool:
        """Make an item fit, if that is possible."""
        key, value, field, _ = item
        room -= self._size(key) + 2 if type(key) is str else 1
        if type(value) is str:
            return room >= self._least.get((id(place), key), room + 1)
        if type(value) not in (dict, list) or field in _WHOLE or room < _LEAST_CONTAINER:
            return False
        self._prune(value, field, room)
        return True

    def _cut_texts(self, event: dict[str, Any], size: int) -> bool:
        """Cut as many texts as it takes, each to the same length; False if that is not enough."""
        if size <= self._most:
            return True
        marks = _marks(event)
        excess = size + _MARKS - self._most
        chosen: list[_Text] = []
        sizes = [text.size for text in self._texts] + [0]
        level = -1
        for text, following in zip(self._texts, sizes[1:], strict=True):
            chosen.append(text)
            excess += text.mark - text.size
            level = -excess // len(chosen)
            if level >= following:
                break
        if level < 2:
            return False
        known = {mark["field"] for mark in marks}
        for place, key, field, whole, _, _ in chosen:
            place[key] = ""
            if field not in known:  # the mark of an earlier cut knows the original
                marks.append(_mark(field, whole))
        room = self._most - self._size(event)
        for left, text in zip(range(len(chosen), 0, -1), reversed(chosen), strict=True):
            text.place[text.key] = begin = self._prefix(text.text[:-1], room // left)
            room -= self._size(begin) - 2
        return True

    def _prefix(self, text: str, room: int) -> str:
        """The beginning of a text that takes at most so many bytes between its quotes."""
        low, high = 0, min(len(text), max(0, room))
        while low < high:
            middle = (low + high + 1) // 2
            size = self._size(text[low:middle]) - 2
            if size <= room:
                low, room = middle, room - size
            else:
                high = middle - 1
        return text[:low]


def _importance(text: _Text) -> tuple[bool, int]:
    return text.field == "content.text", text.size


def _level(weights: list[int], room: int) -> int:
    """The largest number for which the sum of `min(weight, number)` is within the room."""
    left = len(weights)
    for weight in sorted(weights):
        if weight > room // left:
            return room // left
        room -= weight
        left -= 1
    return max(weights, default=0)


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if type(value) is dict else enumerate(value)


def _field(path: str, key: Any) -> str:
    """The path of an item; a key may be as long as a text."""
    if type(key) is int:
        return f"{path}[{key}]"[:_LONGEST_FIELD]
    return f"{path}.{key[:_LONGEST_FIELD]}"[:_LONGEST_FIELD] if path else key[:_LONGEST_FIELD]


def _omitted_before(value: Any) -> int:
    """How many items an earlier cut left out of a list or dict, as its mark says."""
    mark = value[-1] if type(value) is list and value else value
    if type(mark) is not dict or mark.get("$cut") != "size":
        return 0
    omitted = mark.get("$omitted")
    return omitted if type(omitted) is int and (mark is value or len(mark) == 2) else 0


def _put_back(value: Any, kept: list[_Item], omitted: int) -> None:
    mark = dict(zip(_MARK, ("size", omitted), strict=True))
    if type(value) is list:
        value[:] = [*(item.value for item in kept), mark]
        return
    value.clear()
    value.update((item.key, item.value) for item in kept)
    evidence = value.pop("integrity", None)
    value.update(mark)
    if evidence is not None:
        value["integrity"] = evidence  # always last


def _marks(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The list of marks in the event, made where there is none."""
    if "extensions" not in event:
        rest = {name: event.pop(name) for name in list(event) if name not in _BEFORE}
        event.update({"extensions": {}, **rest})
    extensions = event["extensions"]
    name, number = "cut", 1
    while name in extensions and not _are_marks(extensions[name]):
        number += 1
        name = f"cut#{number}"
    marks: list[dict[str, Any]] = extensions.setdefault(name, [])
    return marks


_BEFORE = frozenset(FIELDS[: FIELDS.index("extensions")])


def _are_marks(value: object) -> bool:
    return type(value) is list and all(
        type(item) is dict
        and type(item.get("field")) is str
        and type(item.get("bytes")) is int
        and type(item.get("sha256")) is str
        for item in value
    )


def _bare(line: bytes, most: int, ascii: bool) -> bytes:
    """What makes a line an event, and a mark for all the rest."""
    event = msgspec.json.decode(line)
    begin = _Cutting(most, ascii, _SPARED)._prefix
    actor = event.get("actor")
    head = {name: event.get(name) for name in _HEAD}
    head["actor"] = (
        {name: actor.get(name) for name in ("type", "id")} if type(actor) is dict else {}
    )
    for part in (head, head["actor"]):
        for name, value in part.items():
            if type(value) is str:
                part[name] = begin(value, _LONGEST_NAME)
    head["extensions"] = {"cut": [_mark("$", encode(event).decode())]}
    return encode(head, ascii=ascii)


_HEAD = ("hilt_version", "event_id", "timestamp", "session_id", "actor", "action")
