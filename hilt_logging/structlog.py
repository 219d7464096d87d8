"""
Processors for structlog. Users keep their own loggers.

See Also:
    `structlog.stdlib.ProcessorFormatter`.
"""

from __future__ import annotations

from typing import Any

from .context import bind, current
from .errors import MissingDependencyError
from .records import completed


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
    return {
        name: value
        for name in _IDS
        if getattr(ours, name) is None and type(value := bound.get(name)) is str and value
    }


def promote_hilt(logger: Any, method_name: str, event_dict: Any) -> Any:
    """
    Hand an event dict over to `ProcessorFormatter`, and its `hilt` to every handler as well.

    The last processor of the application, in place of
    `structlog.stdlib.ProcessorFormatter.wrap_for_formatter`, after which no other handler sees
    `record.hilt`.
    """
    extra = {"_logger": logger, "_name": method_name}
    event = event_dict.get("hilt")
    if event is not None:
        extra["hilt"] = event
    return (event_dict,), {"extra": extra}


def render_hilt(logger: Any, method_name: str, event_dict: Any) -> Any:
    """
    Replace `hilt` in an event dict by a few fields without content, for a readable line.

    Belongs to the processors of the formatter, before e.g. `structlog.dev.ConsoleRenderer`.
    """
    event = event_dict.pop("hilt", None)
    if event is None:
        return event_dict
    plain = completed(event, _name(logger, event_dict))
    provenance, metrics = plain.get("provenance", {}), plain.get("metrics", {})
    extensions, tokens = plain.get("extensions", {}), metrics.get("tokens", {})
    shown = {
        "action": plain["action"],
        "provider": provenance.get("provider"),
        "model": provenance.get("model") or provenance.get("request_model"),
        "session_id": plain["session_id"],
        "tokens_in": tokens.get("prompt"),
        "tokens_out": tokens.get("completion"),
        "cost_usd": metrics.get("cost_usd"),
        "latency_ms": metrics.get("latency_ms"),
        "outcome": extensions.get("outcome"),
    }
    event_dict.update((name, value) for name, value in shown.items() if value is not None)
    return event_dict


def _name(logger: Any, event_dict: Any) -> str:
    record = event_dict.get("_record")
    name = getattr(record if record is not None else logger, "name", None)
    return name if isinstance(name, str) and name else "structlog"
