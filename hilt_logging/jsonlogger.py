"""
python-json-logger's formatter with events as fields: one JSON stream of ordinary logs and events.

See Also:
    `formatters.HILTFormatter`, where the event *is* the line.
"""

from __future__ import annotations

import logging

from typing import Any

from .errors import ConfigurationError, MissingDependencyError
from .records import complete


try:
    from pythonjsonlogger.json import JsonFormatter
except ImportError as error:
    raise MissingDependencyError("python-json-logger", "json") from error


__all__ = ["HILTJsonFormatter"]

_SHARED = {
    "provenance.provider": "gen_ai.provider.name",
    "provenance.request_model": "gen_ai.request.model",
    "provenance.model": "gen_ai.response.model",
    "provenance.response_id": "gen_ai.response.id",
    "provenance.params.temperature": "gen_ai.request.temperature",
    "provenance.params.max_tokens": "gen_ai.request.max_tokens",
    "provenance.params.top_p": "gen_ai.request.top_p",
    "metrics.tokens.prompt": "gen_ai.usage.input_tokens",
    "metrics.tokens.completion": "gen_ai.usage.output_tokens",
    "metrics.tokens.cached": "gen_ai.usage.cache_read.input_tokens",
    "metrics.tokens.cache_write": "gen_ai.usage.cache_write.input_tokens",
    "metrics.tokens.reasoning": "gen_ai.usage.reasoning.output_tokens",
    "session_id": "gen_ai.conversation.id",
    "extensions.tool.name": "gen_ai.tool.name",
    "extensions.tool.call_id": "gen_ai.tool.call.id",
    "extensions.error.type": "error.type",
    "extensions.user_id": "user.id",
}
_NAMES = {
    "otel": {
        **_SHARED,
        "event_id": "hilt.event_id",
        "action": "hilt.action",
        "provenance.trace_id": "trace_id",
        "provenance.span_id": "span_id",
    },
    "ecs": {
        **_SHARED,
        "event_id": "event.id",
        "timestamp": "@timestamp",
        "action": "event.action",
        "extensions.error.message": "error.message",
        "provenance.trace_id": "trace.id",
        "provenance.span_id": "span.id",
    },
}


class HILTJsonFormatter(JsonFormatter):
    """
    Format ordinary records and events as JSON objects of one shape.

    Args:
        args: As in `pythonjsonlogger.json.JsonFormatter`.
        layout: `nested` puts the event under `hilt`; `otel` and `ecs` flatten it under the names of
            the OpenTelemetry GenAI conventions or the Elastic Common Schema, and keep what has no
            name there under `hilt.`.
        kwargs: As in `pythonjsonlogger.json.JsonFormatter`.

    Raises:
        ConfigurationError: for another layout.
    """

    def __init__(self, *args: Any, layout: str = "nested", **kwargs: Any) -> None:
        if layout != "nested" and layout not in _NAMES:
            raise ConfigurationError("layout", layout, "Must be one of: nested, otel, ecs")
        super().__init__(*args, **kwargs)
        self._names = _NAMES.get(layout)

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON object of a record; an event is completed first."""
        complete(record)
        return super().format(record)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields to write: python-json-logger's own hook."""
        data: dict[str, Any] = super().process_log_record(log_data)
        event = data.get("hilt")
        if self._names is None or type(event) is not dict:
            return data
        del data["hilt"]
        for path, value in _leaves(event, ""):
            data[self._names.get(path, f"hilt.{path}")] = value
        return data


def _leaves(value: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for name, item in value.items():
        path = f"{prefix}{name}"
        if type(item) is dict and item:
            out.extend(_leaves(item, f"{path}."))
        else:
            out.append((path, item))
    return out
