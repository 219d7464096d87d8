"""
The event: what passed between a person and an AI system, as typed objects.

See Also:
    `schema`, the same format as a JSON Schema.
"""

from __future__ import annotations

import datetime
import re
import time

from collections.abc import Mapping
from math import isfinite
from operator import attrgetter
from typing import Any, Self

import msgspec

from . import context
from ._ids import new_id, timestamp
from .errors import InvalidEventError
from .schema import (
    ACTIONS,
    ACTOR_TYPES,
    FIELDS,
    HILT_VERSION,
    PART_FIELDS,
    Count,
    TextHash,
    is_readable_time,
    is_timestamp,
    is_valid,
    not_one_of,
    validate_event,
    validate_part,
)
from .snapshot import snapshot


__all__ = [
    "ACTIONS",
    "ACTOR_TYPES",
    "HILT_VERSION",
    "Actor",
    "Content",
    "Event",
    "Metrics",
    "Privacy",
    "completion",
    "encode",
    "feedback",
    "new_id",
    "prompt",
    "retrieval",
    "system",
    "timestamp",
    "tool_call",
    "tool_result",
]


def encode(event: Any, *, ascii: bool = False) -> bytes:
    """
    Return JSON values as the bytes of one line, without its newline.

    Strict RFC 8259. U+2028, U+2029 and U+0085, at which some readers break lines, are escaped.

    Args:
        event: A dict of JSON values, as `Event.to_dict` and `snapshot` give it.
        ascii: Escape every character that is not ASCII.
    """
    line = msgspec.json.encode(event)
    if line.isascii():
        return line
    if ascii:
        return _NOT_ASCII.sub(_escape, line.decode()).encode("ascii")
    for first, raw, escaped in _LINE_BREAKS:
        if first in line and raw in line:  # one byte is found much faster than three
            line = line.replace(raw, escaped)
    return line


_LINE_BREAKS = tuple(
    (c.encode()[:1], c.encode(), f"\\u{ord(c):04x}".encode()) for c in "\u2028\u2029\u0085"
)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex("\\", 2)
    return "\\u" + units.replace("\\", "\\u")


class _Part(
    msgspec.Struct,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    forbid_unknown_fields=True,
):
    """
    A typed object of the format.

    Attributes:
        unknown_fields: What a line held that this version does not know; written back as it was.
    """

    # no line has a field of this name: what is decoded into this class has no unknown fields
    unknown_fields: dict[str, Any] = msgspec.field(default_factory=dict, name="(unknown fields)")

    def to_dict(self) -> dict[str, Any]:
        """Return the object as a detached dict of JSON values, absent fields left out."""
        plain: dict[str, Any] = snapshot(_raw(self))
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """
        Return the object that *data* describes; fields that are null count as absent.

        Raises:
            InvalidEventError: with every fault and its path.
        """
        name = next(name for name, part in _PARTS.items() if issubclass(cls, part))
        plain = without_nulls({name: snapshot(dict(data))})[name]
        faults = validate_part(name, plain)
        if faults:
            raise InvalidEventError(*map(str, faults))
        made: Self = _typed(cls, plain)
        return made


class ActorFields(_Part):
    """The fields of `Actor`, not checked."""

    type: str
    id: str
    name: str | None = None
    did: str | None = None
    metadata: dict[str, Any] | None = None


class Actor(ActorFields):
    """
    Who acts.

    Attributes:
        type: human, agent, tool or system.
        id: Not empty.
        name: For people to read.
        did: A decentralised identifier.
        metadata: Whatever else is known.

    Raises:
        InvalidEventError: for another type, or an empty id.
    """

    def __post_init__(self) -> None:
        if self.type not in ACTOR_TYPES:
            raise InvalidEventError(not_one_of("actor type", self.type, ACTOR_TYPES))
        if not self.id or not isinstance(self.id, str):
            raise InvalidEventError("Invalid actor id. Must be a string that is not empty")


class Content(_Part):
    """
    What was said.

    Attributes:
        text: The text; of several answers the first.
        text_hash: `sha256:<hex>` of the text in UTF-8.
        text_encrypted: The encrypted content.
        media: References to images, sound and files: `type`, `mime_type`, `uri` or `sha256` and
            `bytes`.
        messages: Where the text alone would lose something, in the shape of the OpenTelemetry
            GenAI conventions: `{"role": ..., "parts": [{"type": "text", "content": ...}]}`.
    """

    text: str | None = None
    text_hash: TextHash | None = None
    text_encrypted: str | None = None
    media: list[dict[str, Any]] | None = None
    messages: list[dict[str, Any]] | None = None


class Metrics(_Part):
    """
    What it took.

    Attributes:
        latency_ms: From request to the end of the answer, milliseconds.
        time_to_first_token_ms: From request to the first piece of a stream, milliseconds.
        tokens: `prompt` (cached ones included), `completion` (reasoning included), `total`; parts
            of them `cached`, `cache_write`, `cache_write_1h`, `reasoning`, `audio_prompt`,
            `audio_completion`.
        cost_usd: US dollars.
        chunks: Pieces of the stream.
        attempts: Requests that were sent, retries included.
        score: Of a feedback or a rerank.
    """

    latency_ms: Count | None = None
    time_to_first_token_ms: Count | None = None
    tokens: dict[str, Count] | None = None
    cost_usd: int | float | None = None
    chunks: Count | None = None
    attempts: Count | None = None
    score: int | float | None = None


class Privacy(_Part):
    """
    What is known of personal data in the event.

    Attributes:
        pii_detected: Kinds that were found.
        redaction_applied: Whether something was replaced.
        consent: What the person agreed to.
    """

    pii_detected: list[str] | None = None
    redaction_applied: bool | None = None
    consent: dict[str, Any] | None = None


class EventFields(_Part):
    """The fields of `Event`, not checked."""

    action: str
    actor: ActorFields
    session_id: str = ""
    content: Content | None = None
    provenance: dict[str, Any] = {}
    metrics: Metrics | None = None
    privacy: Privacy | None = None
    extensions: dict[str, Any] = {}
    integrity: dict[str, Any] | None = None
    event_id: str = ""
    timestamp: str = ""
    hilt_version: str = ""


class Event(EventFields):
    """
    One event. Id, timestamp and session are made when they are not given.

    Attributes:
        action: One of `ACTIONS`.
        actor: Who acts.
        session_id: The conversation; by default the one that is bound, else a new one.
        content: What was said.
        provenance: Where it comes from: `provider`, `model`, `request_id`, ...
        metrics: What it took.
        privacy: What is known of personal data in it.
        extensions: Everything else, the user's own fields included.
        integrity: The evidence that a handler adds.
        event_id: A UUIDv7 by default.
        timestamp: RFC 3339 in UTC with six digits and `Z`; a datetime is taken too.
        hilt_version: The version of the format.

    Raises:
        InvalidEventError: for an unknown action or a timestamp that is none.
    """

    actor: Actor

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InvalidEventError(not_one_of("action", self.action, ACTIONS))
        if self.timestamp and not is_timestamp(self.timestamp):
            self.timestamp = to_timestamp(self.timestamp)
        if not self.event_id or not self.timestamp:
            now_ns = time.time_ns()
            self.event_id = self.event_id or new_id(now_ns)
            self.timestamp = self.timestamp or timestamp(now_ns)
        self.session_id = self.session_id or context.current().session_id or new_id()
        self.hilt_version = self.hilt_version or HILT_VERSION

    def to_json(self) -> str:
        """Return the event as one line of JSON, without a newline."""
        return encode(self.to_dict()).decode()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """
        Return the event that a dict describes.

        Dicts of hilt-python are taken too: a missing version is 1.0.0, an offset becomes `Z`, a
        cost that is a string becomes a number with the original under `extensions.original`.

        Raises:
            InvalidEventError: with every fault and its path.
        """
        plain = without_nulls(upgrade(snapshot(dict(data))))
        if not is_valid(plain):
            raise InvalidEventError(*map(str, validate_event(plain)))
        made: Self = _typed(cls, plain)
        return made

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """
        Return the event that a line of JSON holds.

        Raises:
            InvalidEventError: if it is not JSON, not an object or not an event.
        """
        made: Self = _typed(cls, decode(line))
        return made


def decode(line: str | bytes) -> dict[str, Any]:
    """
    Return the dict of the event that a line of JSON holds, as `Event.from_json` takes it.

    Raises:
        InvalidEventError: if it is not JSON, not an object or not an event.
    """
    try:
        data = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidEventError(f"not JSON: {error}") from None
    if type(data) is not dict:
        raise InvalidEventError("not a JSON object")
    plain = without_nulls(upgrade(data))
    if not is_valid(plain):
        raise InvalidEventError(*map(str, validate_event(plain)))
    return plain


def typed(event: dict[str, Any]) -> Event:
    """Return the `Event` of a dict that `decode` gave."""
    made: Event = _typed(Event, event)
    return made


def to_timestamp(value: object) -> str:
    """
    Return a datetime or an RFC 3339 text as we write it; without an offset it counts as UTC.

    Raises:
        InvalidEventError: if it is neither.
    """
    if type(value) is str:
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise InvalidEventError("Invalid timestamp. Must be RFC 3339") from None
    if not isinstance(value, datetime.datetime):
        raise InvalidEventError("Invalid timestamp. Must be RFC 3339 or a datetime")
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    try:
        utc = value.astimezone(datetime.timezone.utc)
    except OverflowError:
        raise InvalidEventError("Invalid timestamp. Must be in the years 1 to 9999") from None
    return f"{utc.replace(tzinfo=None).isoformat(timespec='microseconds'):0>26}Z"


def read_time(text: str) -> str:
    """
    Return the time that a line has as we write it: every engine reads the same ones.

    Raises:
        InvalidEventError: if it is none of RFC 3339; one without an offset counts as UTC.
    """
    if not is_readable_time(text):
        raise InvalidEventError("Invalid timestamp. Must be RFC 3339")
    return to_timestamp(text.upper())


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Return a dict of hilt-python or of an older format as an event of ours, as far as it is one."""
    data.setdefault("hilt_version", HILT_VERSION)
    when = data.get("timestamp")
    if type(when) is str and not is_timestamp(when):
        try:
            data["timestamp"] = read_time(when)
        except InvalidEventError:
            pass  # stays as it was, for whoever checks it
    metrics: Any = data.get("metrics")
    cost = metrics.get("cost_usd") if type(metrics) is dict else None
    if type(cost) is str:
        metrics["cost_usd"] = _number(cost)
        _keep_original(data, "metrics.cost_usd", cost)
    return data


def _keep_original(data: dict[str, Any], field: str, value: Any) -> None:
    extensions = data.get("extensions")
    if extensions is None:
        extensions = data["extensions"] = {}
    if type(extensions) is dict:  # what else stands there is told by validate_event
        known = extensions.get("original")
        kept = known if type(known) is dict else {} if known is None else {"original": known}
        extensions["original"] = {**kept, field: value}


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if isfinite(number) else None


def without_nulls(data: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the fields of the format that are null left out."""
    out = {name: value for name, value in data.items() if value is not None or name not in FIELDS}
    for name, fields in PART_FIELDS.items():
        part = out.get(name)
        if type(part) is dict and None in part.values():
            out[name] = {k: v for k, v in part.items() if v is not None or k not in fields}
    return out


_PARTS: dict[str, type[_Part]] = {
    "actor": Actor,
    "content": Content,
    "metrics": Metrics,
    "privacy": Privacy,
}
_KNOWN: dict[type, tuple[str, ...]] = {
    Event: FIELDS,
    **{part: PART_FIELDS[name] for name, part in _PARTS.items()},
}


_VALUES = {cls: attrgetter(*fields) for cls, fields in _KNOWN.items()}


def _known(cls: type) -> tuple[str, ...]:
    return _KNOWN.get(cls) or next(_KNOWN[base] for base in cls.__mro__ if base in _KNOWN)


_EMPTY_LEFT_OUT = ("provenance", "extensions")


def _raw(part: _Part) -> dict[str, Any]:
    """The fields in the order of the format; what is absent or empty is left out."""
    known = _known(type(part))
    values = _VALUES.get(type(part)) or attrgetter(*known)
    out: dict[str, Any] = {}
    for name, value in zip(known, values(part), strict=True):
        cls = type(value)
        if value is None or (cls is dict and not value and name in _EMPTY_LEFT_OUT):
            continue
        # isinstance would ask a foreign value for its __class__
        is_part = cls is not str and cls is not dict and cls is not int and issubclass(cls, _Part)
        out[name] = _raw(value) if is_part else value
    unknown = part.unknown_fields
    if type(unknown) is not dict or unknown:
        unknown = snapshot(unknown)
    if unknown and type(unknown) is dict:
        evidence = out.pop("integrity", None)
        out.update((k, v) for k, v in unknown.items() if k not in known)
        if evidence is not None:
            out["integrity"] = evidence
    return out


def _typed(cls: type[Any], data: dict[str, Any]) -> Any:
    """The object of a dict that was found valid."""
    known = _known(cls)
    fields = {name: data[name] for name in known if name in data}
    if issubclass(cls, Event):
        fields.update((name, _typed(_PARTS[name], data[name])) for name in _PARTS if name in data)
    unknown = {name: value for name, value in data.items() if name not in known}
    return cls(**fields, unknown_fields=unknown)


def _fields(
    session_id: str | None,
    actor: Actor,
    action: str,
    text: str | None,
    rest: dict[str, Any],
    **extensions: Any,
) -> Event:
    """What the constructors below share; *rest* is for `Event` as it is."""
    given = {name: value for name, value in extensions.items() if value is not None}
    rest["extensions"] = {**given, **rest.get("extensions", {})}
    if text is not None:
        rest.setdefault("content", Content(text=text))
    return Event(action=action, actor=actor, session_id=session_id or "", **rest)


def _person(user_id: str | None) -> tuple[Actor, str | None]:
    known = user_id or context.current().user_id
    return Actor(type="human", id=known or "user"), known


def prompt(
    text: str | None = None,
    *,
    user_id: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return a prompt of a person.

    Args:
        text: What was asked.
        user_id: Who asked; by default the user that is bound.
        session_id: The conversation; by default the one that is bound, else a new one.
        fields: Any other field of `Event`.
    """
    actor, known = _person(user_id)
    return _fields(session_id, actor, "prompt", text, fields, user_id=known)


def completion(
    text: str | None = None,
    *,
    agent_id: str = "assistant",
    reply_to: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return an answer of a model.

    Args:
        text: The answer.
        agent_id: Who answered.
        reply_to: The `event_id` of the prompt.
        session_id: As in `prompt`.
        fields: Any other field of `Event`, e.g. `metrics` and `provenance`.
    """
    actor = Actor(type="agent", id=agent_id)
    return _fields(session_id, actor, "completion", text, fields, reply_to=reply_to)


def tool_call(
    name: str,
    arguments: Any = None,
    *,
    call_id: str | None = None,
    agent_id: str = "assistant",
    reply_to: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return a model's request to run a tool.

    Args:
        name: The tool.
        arguments: What it is called with.
        call_id: The provider's id of the call.
        agent_id: Who asks for it.
        reply_to: The `event_id` of the completion.
        session_id: As in `prompt`.
        fields: Any other field of `Event`.
    """
    tool = {"name": name, "call_id": call_id, "arguments": arguments}
    actor = Actor(type="agent", id=agent_id)
    return _fields(
        session_id, actor, "tool_call", None, fields, reply_to=reply_to, tool=_present(tool)
    )


def tool_result(
    name: str,
    result: str | None = None,
    *,
    call_id: str | None = None,
    reply_to: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return what a tool gave.

    Args:
        name: The tool.
        result: Its result as text.
        call_id: The provider's id of the call.
        reply_to: The `event_id` of the tool call.
        session_id: As in `prompt`.
        fields: Any other field of `Event`.
    """
    tool = _present({"name": name, "call_id": call_id})
    actor = Actor(type="tool", id=name)
    return _fields(session_id, actor, "tool_result", result, fields, reply_to=reply_to, tool=tool)


def retrieval(
    query: str,
    documents: list[dict[str, Any]] | None = None,
    *,
    source: str = "retriever",
    reply_to: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return a search and what it found.

    Args:
        query: What was searched for.
        documents: What was found: `id`, `text`, `score`, `metadata`.
        source: The retriever.
        reply_to: The `event_id` of what it answers.
        session_id: As in `prompt`.
        fields: Any other field of `Event`.
    """
    actor = Actor(type="tool", id=source)
    return _fields(
        session_id, actor, "retrieval", query, fields, reply_to=reply_to, documents=documents
    )


def feedback(
    score: int | float | None = None,
    comment: str | None = None,
    *,
    reply_to: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return a person's judgement.

    Args:
        score: A number on a scale of your own.
        comment: In words.
        reply_to: The `event_id` of what is judged.
        user_id: Who judges; by default the user that is bound.
        session_id: As in `prompt`.
        fields: Any other field of `Event`.
    """
    actor, known = _person(user_id)
    if score is not None:
        fields.setdefault("metrics", Metrics(score=score))
    return _fields(session_id, actor, "feedback", comment, fields, reply_to=reply_to, user_id=known)


def system(
    text: str | None = None,
    *,
    source: str = "hilt_logging",
    reply_to: str | None = None,
    session_id: str | None = None,
    **fields: Any,
) -> Event:
    """
    Return something that the software itself has to say: an error, a boundary, a notice.

    Args:
        text: In words.
        source: Which part of the software.
        reply_to: The `event_id` of what it is about.
        session_id: As in `prompt`.
        fields: Any other field of `Event`.
    """
    actor = Actor(type="system", id=source)
    return _fields(session_id, actor, "system", text, fields, reply_to=reply_to)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
