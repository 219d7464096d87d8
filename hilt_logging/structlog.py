"""
Processors for structlog. Users keep their own loggers.

See Also:
    `structlog.stdlib.ProcessorFormatter`.
"""

from __future__ import annotations

from typing import Any

from .context import bind, current
from .errors import MissingDependencyError
from .records import completed, event_of, summary
from .snapshot import snapshot


try:
    import structlog.contextvars
except ImportError as error:
    raise MissingDependencyError("structlog", "structlog") from error


__all__ = ["add_hilt_context", "promote_hilt", "render_hilt"]

_IDS = ("session_id", "user_id", "trace_id", "span_id")


def add_hilt_context(logger: Any, method_name: str, event_dict: Any) -> Any:
    """
    Complete `hilt` of an event dict with id, timestamp, session and what is bound.

    Belongs to the application's processors, before any that renders or hands over to `logging`.
    Ids that were bound with `structlog.contextvars.bind_contextvars` count where
    `hilt_logging.bind` has none. Never raises.
    """
    event = event_dict.get("hilt")
    if event is not None:
        with bind(**_structlogs_own()):
            event_dict["hilt"] = completed(event, _name(logger, event_dict))
    return event_dict


def _structlogs_own() -> dict[str, Any]:
    bound, ours = structlog.contextvars.get_contextvars(), current()
    ids = {name: _id(bound.get(name)) for name in _IDS if getattr(ours, name) is None}
    return {name: value for name, value in ids.items() if value}


def _id(value: object) -> str | None:
    """A key of a database or a UUID is as good an id as a text."""
    plain = snapshot(value)
    return str(plain) if type(plain) in (str, int) else None


def promote_hilt(logger: Any, method_name: str, event_dict: Any) -> Any:
    """
    Hand an event dict over to `ProcessorFormatter`, and its `hilt` to every handler as well.

    The last processor of the application, in place of
    `structlog.stdlib.ProcessorFormatter.wrap_for_formatter`. Does what `add_hilt_context` does,
    too: all destinations have the same event. Never raises.
    """
    add_hilt_context(logger, method_name, event_dict)
    extra = {"_logger": logger, "_name": method_name}
    event = event_dict.get("hilt")
    if event is not None:
        extra["hilt"] = event
    return (event_dict,), {"extra": extra}


def render_hilt(logger: Any, method_name: str, event_dict: Any) -> Any:
    """
    Replace `hilt` in an event dict by a few fields without content, for a readable line.

    Belongs to the processors of the formatter, before `remove_processors_meta` and e.g.
    `structlog.dev.ConsoleRenderer`. Fields of the same name that are there already stay. Never
    raises.
    """
    event = event_dict.pop("hilt", None)
    if event is None and "_record" in event_dict:
        event = event_of(event_dict["_record"])
    if event is None:
        return event_dict
    plain = completed(event, _name(logger, event_dict))
    if event_dict.get("event") == summary(plain):  # says the same fields once more
        event_dict["event"] = plain["action"]
    for name, value in _shown(plain).items():
        event_dict.setdefault(name, value)
    return event_dict


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    provenance, metrics = _object(event, "provenance"), _object(event, "metrics")
    extensions, tokens = _object(event, "extensions"), _object(metrics, "tokens")
    shown = {
        "action": event["action"],
        "provider": provenance.get("provider"),
        "model": provenance.get("model") or provenance.get("request_model"),
        "tool": _object(extensions, "tool").get("name"),
        "session_id": event["session_id"],
        "tokens_in": tokens.get("prompt"),
        "tokens_out": tokens.get("completion"),
        "cost_usd": metrics.get("cost_usd"),
        "latency_ms": metrics.get("latency_ms"),
        "outcome": extensions.get("outcome"),
        "error": _object(extensions, "error").get("type"),
    }
    return {name: value for name, value in shown.items() if type(value) in (str, int, float)}


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if type(value) is dict else {}


def _name(logger: Any, event_dict: Any) -> str:
    record = event_dict.get("_record")
    name = getattr(record if record is not None else logger, "name", None)
    return name if isinstance(name, str) and name else "structlog"
