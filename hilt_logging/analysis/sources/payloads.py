"""
What tools and searches were given and gave, out of what decorators and frameworks made of it.
"""

from __future__ import annotations

from typing import Any

from ...integrations._fields import decoded, field, items
from ...integrations._langchain import bounded, document
from .messages import text_of, unwrapped
from .values import number


__all__ = ["arguments_in", "documents_in", "params_in", "query_in"]

_QUERY = ("query", "question", "input", "text")
_MOST_PARAM = 2_000
_NO_PARAMS = (
    "config", "extra_body", "extra_headers", "instructions", "model", "stream", "system", "tools",
    "functions", "stream_options",
)  # fmt: skip


def params_in(request: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that was kept whole."""
    return {
        name: value
        for name, value in request.items()
        if name not in _NO_PARAMS and len(text_of(value)) <= _MOST_PARAM
    }


def arguments_in(given: Any) -> Any:
    """Return what a tool was called with."""
    value = unwrapped(given)
    if not isinstance(value, dict):
        return value
    if set(value) == {"args", "kwargs"}:
        if not value["args"]:
            return value["kwargs"]
        return value if value["kwargs"] else {"args": value["args"]}
    if set(value) == {"input"}:
        return decoded(value["input"])
    return value


def query_in(given: Any) -> str | None:
    """Return what was looked for."""
    value = unwrapped(given)
    if isinstance(value, dict) and set(value) == {"args", "kwargs"}:
        args, kwargs = value["args"], value["kwargs"]
        value = args[0] if isinstance(args, list) and args else kwargs
    if isinstance(value, dict):
        value = field(value, *_QUERY) or value
    return None if value in (None, {}, []) else text_of(value)


def documents_in(gave: Any) -> list[Any]:
    """Return what was found, each with its text or its fields."""
    value = unwrapped(gave)
    if isinstance(value, dict):
        found = items(value, "documents", "output", "results", "matches")
        value = found or [value["output"] if set(value) == {"output"} else value]
    rows = value if isinstance(value, list) else [] if value is None else [value]
    return [_document(unwrapped(each)) for each in rows]


def _document(found: Any) -> Any:
    if isinstance(found, str):
        return {"text": found}
    if isinstance(found, dict) and field(found, "page_content") is not None:
        score = number(found.get("score"))
        return {**document(found), **({} if score is None else {"score": score})}
    return bounded(found) if isinstance(found, dict) else {"text": text_of(found)}
