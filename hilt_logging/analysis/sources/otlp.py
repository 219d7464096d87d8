"""
Spans and log records of OpenTelemetry, in the JSON of its protocol as collectors write it, as events.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ...integrations._conversations import Conversations
from ...integrations._fields import field, items, text
from .conventions import feedback_of, is_message_event, run_of, session_of, user_of
from .run_events import events_in
from .runs import EPOCH, Run, Trace
from .shelf import Piece
from .values import whole


__all__ = ["NAME", "events_of", "is_one", "pieces_of"]

NAME = "otlp"

_RESOURCES = ("resource_spans", "resource_logs", "resource_metrics", "resource_profiles", "batches")
_ENVELOPES = ("trace", "result")
_SCOPES = ("scope_spans", "instrumentation_library_spans", "scope_logs")
_DEEPEST = 50
_MOST_PARENTS = 500
_LENGTH = 16
_LENGTHS = {16: 12, 32: 24}
"""How long an id is in hex, and in base64."""


def is_one(value: dict[str, Any]) -> bool:
    """Return whether it is a message of the protocol, or one in the envelope of Tempo or Jaeger."""
    return any(isinstance(field(_opened(value), name), list) for name in _RESOURCES)


def _opened(value: dict[str, Any]) -> dict[str, Any]:
    inner = field(value, *_ENVELOPES)
    return inner if isinstance(inner, dict) else value


def pieces_of(value: dict[str, Any], lost: Counter[str]) -> Iterator[Piece]:
    """Yield the spans and log records in a message."""
    value = _opened(value)
    for resource in items(value, "resource_spans", "batches"):
        for scope in _scopes(resource):
            origin = _origin(resource, scope)
            for span in items(scope, "spans"):
                if isinstance(span, dict):
                    _count_dropped(span, lost)
                    yield _piece(_span(span, origin))
                else:
                    lost["spans that are no objects"] += 1
    for resource in items(value, "resource_logs"):
        for scope in _scopes(resource):
            origin = _origin(resource, scope)
            for record in items(scope, "log_records"):
                yield from _log(record, origin, lost)
    for kind in ("metrics", "profiles"):
        count = len(items(value, f"resource_{kind}"))
        if count:
            lost[f"resources with {kind}"] += count


def _scopes(resource: Any) -> list[Any]:
    return items(resource, *_SCOPES)


def _origin(resource: Any, scope: Any) -> dict[str, Any]:
    about = field(scope, "scope", "instrumentation_library")
    name, version = text(about, "name"), text(about, "version")
    attributes = _attributes(field(resource, "resource"))
    return {
        "service": attributes.get("service.name"),
        "scope": f"{name} {version}" if name and version else name,
        "of_resource": {
            name: value for name, value in attributes.items() if name.startswith(_OF_RESOURCES)
        },
    }


_OF_RESOURCES = (
    "deployment.environment",
    "service.version",
    "session.id",
    "traceloop.association.",
    "user.id",
)


def _count_dropped(told: dict[str, Any], lost: Counter[str]) -> None:
    """Count what was left out before it was exported."""
    for name, of in _DROPPED.items():
        number = whole(field(told, name))
        if number:
            lost[f"{of} that were left out before the export"] += number


_DROPPED = {
    "dropped_attributes_count": "attributes",
    "dropped_events_count": "events of spans",
}


def _piece(part: dict[str, Any]) -> Piece:
    began = _moment(part["began"])
    at = "" if began is None else began.isoformat()
    return Piece(part["trace"] or f"without {part['id']}", part, at=at)


def _span(span: dict[str, Any], origin: dict[str, Any]) -> dict[str, Any]:
    status = field(span, "status")
    trace = _id(field(span, "trace_id"), 32)
    return {
        "kind": "span",
        "trace": trace,
        "id": _own(_id(field(span, "span_id"), 16), trace) or _digest(span),
        "parent": _own(_id(field(span, "parent_span_id"), 16), trace),
        "name": text(span, "name") or "span",
        "began": _nanoseconds(field(span, "start_time_unix_nano")),
        "ended": _nanoseconds(field(span, "end_time_unix_nano")),
        "has_failed": field(status, "code") in (2, "2", "STATUS_CODE_ERROR"),
        "message": text(status, "message"),
        "attributes": origin["of_resource"] | _attributes(span),
        "events": [_event(each) for each in items(span, "events") if isinstance(each, dict)],
        "links": [_link(each) for each in items(span, "links")],
        "service": origin["service"],
        "scope": origin["scope"],
    }


def _link(link: Any) -> str:
    trace, span = _id(field(link, "trace_id"), 32), _id(field(link, "span_id"), 16)
    return f"{trace or ''}/{span or ''}"


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": text(event, "name") or "",
        "at": _nanoseconds(field(event, "time_unix_nano")),
        "attributes": _attributes(event),
        "body": None,
    }


def _log(record: Any, origin: dict[str, Any], lost: Counter[str]) -> Iterator[Piece]:
    attributes = _attributes(record)
    name = text(record, "event_name") or str(attributes.get("event.name") or "")
    if not isinstance(record, dict) or not is_message_event(name):
        lost["log records that tell nothing of a model"] += 1
        return
    _count_dropped(record, lost)
    at = _nanoseconds(field(record, "time_unix_nano"))
    trace = _id(field(record, "trace_id"), 32)
    yield _piece({
        "kind": "log",
        "trace": trace,
        "id": _own(_id(field(record, "span_id"), 16), trace) or _digest(record),
        "began": at or _nanoseconds(field(record, "observed_time_unix_nano")),
        "name": name,
        "attributes": origin["of_resource"] | attributes,
        "body": _plain(field(record, "body"), 0),
        "service": origin["service"],
        "scope": origin["scope"],
    })  # fmt: skip


# what the protocol has of its own


def _id(value: Any, length: int) -> str | None:
    """An id in hex, which may be written in base64; None for one of zeros only."""
    if not isinstance(value, str) or not value:
        return None
    found = value.lower()
    if len(value) == _LENGTHS[length]:
        try:
            data = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            return value
        found = data.hex() if len(data) * 2 == length else value
    return found if found.strip("0") else None


def _own(span: str | None, trace: str | None) -> str | None:
    """The id of a span, which is one only within its trace if it is not as long as it should be."""
    if span is None or len(span) == _LENGTH or trace is None:
        return span
    return f"{trace}-{span}"


def _digest(value: Any) -> str:
    data = json.dumps(value, sort_keys=True, default=str).encode("utf-8", "replace")
    return f"unnamed-{hashlib.sha256(data).hexdigest()[:16]}"


def _nanoseconds(value: Any) -> int | None:
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 < found < 2**63 else None


def _moment(nanoseconds: int | None) -> datetime.datetime | None:
    if nanoseconds is None:
        return None
    return EPOCH + datetime.timedelta(microseconds=nanoseconds // 1000)


def _attributes(source: Any) -> dict[str, Any]:
    found = {}
    for each in items(source, "attributes"):
        name = text(each, "key")
        if name is not None:
            found[name] = _plain(field(each, "value"), 0)
    return found


_PLAIN = ("stringValue", "boolValue", "doubleValue")


def _plain(value: Any, depth: int) -> Any:
    """An `AnyValue` as JSON has it."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    if len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in _PLAIN:
            return inner
    array = field(value, "array_value")
    if array is not None:
        return [_plain(each, depth + 1) for each in items(array, "values")]
    pairs = field(value, "kvlist_value")
    if pairs is not None:
        rows = [each for each in items(pairs, "values") if text(each, "key") is not None]
        return {each["key"]: _plain(field(each, "value"), depth + 1) for each in rows}
    whole = field(value, "int_value")
    if isinstance(whole, str):
        try:
            return int(whole)
        except ValueError:
            return whole
    if whole is not None:
        return whole
    return field(value, "string_value", "bool_value", "double_value", "bytes_value")


# traces


def events_of(
    parts: list[dict[str, Any]], lost: Counter[str], known: Conversations
) -> Iterable[Any]:
    """Yield the events of a trace."""
    spans = _spans_in(parts)
    runs, feedback = [], []
    for span in spans.values():
        feedback += list(feedback_of(span, _moment))
        run = run_of(span, _moment, lost)
        if run is not None:
            runs.append(run)
        elif span["kind"] == "span" and not span["feedback"]:
            lost["spans that are no calls of a model"] += 1
    _skip_others(runs, spans)
    trace_id = parts[0]["trace"]
    sessions, users = _inherited(spans, session_of), _inherited(spans, user_of)
    for run in runs:
        run.session, run.user = sessions[run.id], users[run.id]
    for each in feedback:
        each.session = sessions.get(each.run or "")
    trace = Trace(
        source=NAME,
        id=trace_id,
        session=trace_id or (runs[0].id if runs else "unknown"),
        is_recognisable=True,
        user=next(filter(None, users.values()), None),
        runs=runs,
        feedback=feedback,
    )
    return events_in(trace, lost, known)


def _spans_in(parts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The spans with the log records of each; where only these are there, they stand for it."""
    spans: dict[str, dict[str, Any]] = {}
    for part in parts:
        if part["kind"] == "span":
            known = spans.get(part["id"], part)
            attributes = known["attributes"] | part["attributes"]
            ended = part["ended"] or known["ended"]
            events = part["events"] or known["events"]
            spans[part["id"]] = {**part, "attributes": attributes, "ended": ended, "events": events}
    seen = set()
    for part in sorted(parts, key=lambda each: each["began"] or 0):
        if part["kind"] == "log" and (told := json.dumps(part, sort_keys=True)) not in seen:
            seen.add(told)
            span = spans.setdefault(part["id"], _of_logs(part))
            if span["kind"] == "log":
                known = part["attributes"].items()
                span["attributes"] |= {k: v for k, v in known if k.startswith(_OF_CALLS)}
            event = {name: part[name] for name in ("name", "attributes", "body")}
            span["events"].append({**event, "at": part["began"]})
            if span["kind"] == "log" and part["began"]:
                span["ended"] = max(span["ended"] or 0, part["began"])
    for span in spans.values():
        span["feedback"] = any(
            each["name"] == "gen_ai.evaluation.result" for each in span["events"]
        )
    return spans


_OF_CALLS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.",
    "gen_ai.response.",
    "gen_ai.system",
    "server.",
)
"""What log records may say of the call that they belong to."""


def _of_logs(part: dict[str, Any]) -> dict[str, Any]:
    return {
        **part,
        "attributes": {},
        "events": [],
        "parent": None,
        "ended": None,
        "has_failed": False,
        "links": [],
        "message": None,
    }


def _skip_others(runs: list[Run], spans: dict[str, dict[str, Any]]) -> None:
    """Let the parent of a run be the next one around it that is a run, too."""
    ids = {run.id for run in runs}
    for run in runs:
        parent = run.parent
        for _ in range(_MOST_PARENTS):
            if parent is None or parent in ids or parent not in spans:
                break
            parent = spans[parent]["parent"]
        run.parent = parent


def _inherited(spans: dict[str, dict[str, Any]], told_by: Any) -> dict[str, str | None]:
    """What each span says, or the next one around it that says it."""
    own = {name: told_by(span) for name, span in spans.items()}
    found: dict[str, str | None] = {}
    for name in spans:
        at: str | None = name
        for _ in range(_MOST_PARENTS):
            if at not in spans or own[at] is not None:
                break
            at = spans[at]["parent"]
        found[name] = own.get(at or "")
    return found
