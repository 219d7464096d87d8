"""
python-json-logger's formatter with events as fields: one JSON stream of ordinary logs and events.

See Also:
    `formatters.HILTFormatter`, where the event *is* the line.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .errors import ConfigurationError, MissingDependencyError
from .records import complete
from .snapshot import clean_text, snapshot


try:
    from pythonjsonlogger.core import BaseJsonFormatter
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
    "provenance.params.top_k": "gen_ai.request.top_k",
    "provenance.params.seed": "gen_ai.request.seed",
    "provenance.params.frequency_penalty": "gen_ai.request.frequency_penalty",
    "provenance.params.presence_penalty": "gen_ai.request.presence_penalty",
    "metrics.tokens.prompt": "gen_ai.usage.input_tokens",
    "metrics.tokens.completion": "gen_ai.usage.output_tokens",
    "metrics.tokens.cached": "gen_ai.usage.cache_read.input_tokens",
    "metrics.tokens.cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "metrics.tokens.reasoning": "gen_ai.usage.reasoning.output_tokens",
    "session_id": "gen_ai.conversation.id",
    "extensions.tool.name": "gen_ai.tool.name",
    "extensions.tool.call_id": "gen_ai.tool.call.id",
    "extensions.tool.arguments": "gen_ai.tool.call.arguments",
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


_LAYOUTS = ("nested", *_NAMES)
_FORMAT = "%(levelname)s %(name)s %(message)s"
_RECORD_NAMES = {
    "nested": {"levelname": "level", "name": "logger"},
    "otel": {"levelname": "severity_text", "name": "logger", "message": "body"},
    "ecs": {"levelname": "log.level", "name": "log.logger", "timestamp": "@timestamp"},
}
_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\u2028\u2029\u0085"}
_ENCODERS = {"json": "JsonFormatter", "orjson": "OrjsonFormatter", "msgspec": "MsgspecFormatter"}


class HILTJsonFormatter(BaseJsonFormatter):  # type: ignore[misc, unused-ignore]
    """
    Format ordinary records and events as JSON objects of one shape.

    What is written is strict JSON whatever is in the records: a record that the encoder refuses is
    written as `hilt_logging.snapshot` sees it, NaN as null.

    Args:
        args: As in `pythonjsonlogger.json.JsonFormatter`. Without `fmt` the fields are time, level,
            logger and message, under the names of the layout.
        layout: `nested` puts the event under `hilt`; `otel` and `ecs` flatten it under the names of
            the OpenTelemetry GenAI conventions or the Elastic Common Schema, and keep what has no
            name there under `hilt.`.
        encoder: `json`, `orjson` or `msgspec`: which formatter of python-json-logger encodes.
        kwargs: As in that formatter.

    Raises:
        ConfigurationError: for another layout, and for an encoder that is unknown or not installed.
    """

    def __init__(
        self, *args: Any, layout: str = "nested", encoder: str = "json", **kwargs: Any
    ) -> None:
        if layout not in _LAYOUTS:
            raise ConfigurationError("layout", layout, f"Must be one of: {', '.join(_LAYOUTS)}")
        if not args and not kwargs.keys() & {"fmt", "style"}:
            kwargs = {**_defaults(layout), **kwargs, "fmt": _FORMAT}
        own = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith("json_")}
        super().__init__(*args, **kwargs)
        self._encoder = _encoder(encoder, own)
        self._names = _NAMES.get(layout)

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON object of a record; an event is completed first."""
        complete(record)
        line: str = super().format(record)
        return line

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields to write: python-json-logger's own hook."""
        data: dict[str, Any] = super().process_log_record(log_data)
        place = self.rename_fields.get("hilt", "hilt")
        event = data.get(place)
        if self._names is None or type(event) is not dict:
            return data
        del data[place]
        for path, value in _leaves(event, self._names, ""):
            data[self._names.get(path, f"{place}.{path}")] = value
        return data

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the fields as strict JSON: python-json-logger's own hook."""
        try:
            line: str = self._encoder.jsonify_log_record(log_data)
            if "\\ud" in line.lower():  # half of a pair is no character, and no reader takes it
                msgspec.json.decode(line)
        except Exception:
            line = self._encoder.jsonify_log_record(snapshot(log_data))
        return line if line.isascii() else clean_text(line).translate(_LINE_BREAKS)


def _defaults(layout: str) -> dict[str, Any]:
    return {"rename_fields": _RECORD_NAMES[layout], "timestamp": True}


def _encoder(encoder: str, options: dict[str, Any]) -> Any:
    """The formatter of python-json-logger whose last step is used."""
    if encoder not in _ENCODERS:
        raise ConfigurationError("encoder", encoder, f"Must be one of: {', '.join(_ENCODERS)}")
    try:
        module = importlib.import_module(f"pythonjsonlogger.{encoder}")
    except ImportError as error:
        raise ConfigurationError(
            "encoder", encoder, f"It is not installed. Install it with: pip install {encoder}"
        ) from error
    if encoder == "json":
        options.setdefault("json_serializer", functools.partial(json.dumps, allow_nan=False))
    return getattr(module, _ENCODERS[encoder])(**options)


def _leaves(
    value: dict[str, Any], names: Mapping[str, str], prefix: str
) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        path = f"{prefix}{name}"
        if type(item) is dict and item and path not in names:
            yield from _leaves(item, names, f"{path}.")
        else:
            yield path, item
