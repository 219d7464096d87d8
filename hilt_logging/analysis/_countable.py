"""
Events as they are counted: as little of each as it takes, and as what it counts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..schema import ACTIONS, ACTOR_TYPES, HILT_VERSION, Name


__all__ = [
    "ANSWERED",
    "CALLS",
    "COMPLETED",
    "FAILED",
    "KINDS",
    "NO_EXTENSIONS",
    "NO_METRICS",
    "NO_PROVENANCE",
    "PROMPT",
    "REFUSED",
    "RETRIED",
    "STOPPED",
    "TOOL_CALL",
    "TOOL_FAILURE",
    "TOOL_RUN",
    "Actor",
    "Event",
    "Extensions",
    "Metrics",
    "Named",
    "Provenance",
    "Tokens",
    "Typed",
    "kind_of",
    "model_of",
    "tool_of",
    "total_of",
    "user_of",
]

_Text = str | None
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None


class Actor(msgspec.Struct, gc=False):
    """Who did something."""

    type: Literal[ACTOR_TYPES]  # type: ignore[valid-type]
    id: Name


class Provenance(msgspec.Struct, gc=False):
    """What it came from."""

    provider: _Text = None
    model: _Text = None
    request_model: _Text = None
    response_id: _Text = None


class Tokens(msgspec.Struct, gc=False):
    """How many tokens it took."""

    prompt: _Whole = None
    completion: _Whole = None
    total: _Whole = None
    cached: _Whole = None
    reasoning: _Whole = None


class Metrics(msgspec.Struct, gc=False):
    """What it took."""

    latency_ms: _Whole = None
    time_to_first_token_ms: _Whole = None
    tokens: Tokens | None = None
    cost_usd: float | None = None


class Named(msgspec.Struct, gc=False):
    """A tool."""

    name: _Text = None


class Typed(msgspec.Struct, gc=False):
    """An error."""

    type: _Text = None


class Extensions(msgspec.Struct, gc=False):
    """What else there is."""

    user_id: _Text = None
    reply_to: _Text = None
    status_code: _Whole = None
    finish_reason: _Text = None
    outcome: _Text = None
    session_source: Any = None
    tool: Named | None = None
    error: Typed | None = None
    notice: Any = None


class Event(msgspec.Struct, gc=False):
    """The fields that count; a line that has them in another shape is looked at by itself."""

    event_id: Name
    timestamp: str
    session_id: Name
    actor: Actor
    action: Literal[ACTIONS]  # type: ignore[valid-type]
    provenance: Provenance | None = None
    metrics: Metrics | None = None
    extensions: Extensions | None = None
    hilt_version: Literal[HILT_VERSION] | None = None  # type: ignore[valid-type]


NO_PROVENANCE, NO_METRICS, NO_EXTENSIONS = Provenance(), Metrics(), Extensions()

# What an event counts as; calls are what begins with completed.
NOTHING, PROMPT, TOOL_CALL, TOOL_RUN, TOOL_FAILURE, RETRIED = range(6)
COMPLETED, REFUSED, STOPPED, FAILED = CALLS = range(6, 10)
ANSWERED = (COMPLETED, REFUSED)
KINDS = 10
_ENDS = frozenset(("completion", "embedding", "rerank"))
_OF_ACTION = {"prompt": PROMPT, "tool_call": TOOL_CALL, "tool_result": TOOL_RUN}
_OF_OUTCOME = {
    "retried": RETRIED,
    "refused": REFUSED,
    "filtered": REFUSED,
    "closed_early": STOPPED,
    "abandoned": STOPPED,
    "cancelled": STOPPED,
    "failed": FAILED,
}
_OF_SYSTEM = frozenset(("failed", "cancelled", "retried"))


def kind_of(action: str, event: Event) -> int:
    """Return what an event counts as."""
    extensions = event.extensions or NO_EXTENSIONS
    outcome = extensions.outcome
    if action in _ENDS:
        kind = _OF_OUTCOME.get(outcome or "", COMPLETED)
        if extensions.session_source is not None and (outcome is None or kind == FAILED):
            return _kind_of_ours(kind, event)
        return kind
    if action == "tool_result" and outcome == "failed":
        return TOOL_FAILURE
    if action == "system":
        return _kind_of_system(outcome, event)
    return _OF_ACTION.get(action, NOTHING)


def _kind_of_ours(kind: int, event: Event) -> int:
    """That of an answer that broke or is still to come, as `instrument` writes it."""
    if kind == FAILED:
        return kind if (event.provenance or NO_PROVENANCE).response_id is not None else NOTHING
    tokens = (event.metrics or NO_METRICS).tokens
    return NOTHING if event.action == "completion" and total_of(tokens) is None else kind


def _kind_of_system(outcome: str | None, event: Event) -> int:
    extensions, provenance = event.extensions or NO_EXTENSIONS, event.provenance or NO_PROVENANCE
    if tool_of(event) is not None:
        return TOOL_FAILURE if outcome == "failed" else NOTHING
    if outcome is None:
        is_of_hilt_python = extensions.status_code is not None and extensions.reply_to is not None
        return FAILED if is_of_hilt_python else NOTHING
    asked = (provenance.provider, provenance.model, provenance.request_model)
    if outcome not in _OF_SYSTEM or asked == (None, None, None):
        return NOTHING
    if outcome != "retried" and provenance.response_id is not None:
        return NOTHING
    return _OF_OUTCOME[outcome]


def user_of(event: Event) -> str | None:
    """Return for whom an event is, else who the human is."""
    user = (event.extensions or NO_EXTENSIONS).user_id
    return event.actor.id if user is None and event.actor.type == "human" else user


def model_of(event: Event) -> str | None:
    """Return the model that served, else the one that was asked for."""
    provenance = event.provenance or NO_PROVENANCE
    return provenance.request_model if provenance.model is None else provenance.model


def tool_of(event: Event) -> str | None:
    """Return the name of the tool."""
    tool = (event.extensions or NO_EXTENSIONS).tool
    return None if tool is None else tool.name


def total_of(tokens: Tokens | None) -> int | None:
    """Return how many tokens there are in total."""
    if tokens is None:
        return None
    if tokens.total is not None:
        return tokens.total
    if tokens.prompt is None or tokens.completion is None:
        return tokens.completion if tokens.prompt is None else tokens.prompt
    return tokens.prompt + tokens.completion
