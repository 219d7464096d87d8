"""
What a tool that watches noted: runs, judgements, and the traces that they belong to.
"""

from __future__ import annotations

import datetime

from typing import Any

import msgspec


__all__ = ["EPOCH", "Feedback", "Run", "Trace", "began"]

EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
"""When that was of which no time is known."""


class Run(msgspec.Struct, kw_only=True):
    """
    A part of a trace.

    Attributes:
        id: The tool's own id of it.
        kind: model, tool, retriever, reranker, embedding, step; exchange: a step that stands for a
            call of a model that is not among the runs; or covered: a call that another one tells.
        name: What it is called.
        began: When it began.
        ended: When it ended.
        first: When the first piece of the answer came.
        parent: The run around it.
        given: What went in.
        gave: What came out.
        error: Why it failed.
        error_type: The class of the exception, where the tool notes it apart.
        status_code: Of HTTP, where the tool notes it apart.
        response_id: The provider's id of the answer, where the answer does not say it.
        finish_reason: The provider's own word, where the answer does not say it.
        provider: As in `provenance.provider`.
        model: The model that served.
        request_model: The model that was asked for.
        params: Of the request.
        tokens: As in `metrics.tokens`; of a model only.
        cost_usd: What the tool says that it cost; of a model only.
        call_id: Of a tool, the id by which a model asked for it.
        session: The conversation that it names.
        user: The person whom it names.
        tags: The user's.
        metadata: The user's, and what frameworks note.
        more: What else is known of it, for `extensions.imported`.
    """

    id: str
    kind: str
    name: str
    began: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    first: datetime.datetime | None = None
    parent: str | None = None
    given: Any = None
    gave: Any = None
    error: str | None = None
    error_type: str | None = None
    status_code: int | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    params: dict[str, Any] = {}
    tokens: dict[str, int] | None = None
    cost_usd: float | None = None
    call_id: str | None = None
    session: str | None = None
    user: str | None = None
    tags: list[Any] = []
    metadata: dict[str, Any] = {}
    more: dict[str, Any] = {}

    def has_content(self) -> bool:
        """Return whether it is known what went in or came out."""
        return self.given not in (None, {}, []) or self.gave not in (None, {}, [])


class Feedback(msgspec.Struct, kw_only=True):
    """
    A judgement.

    Attributes:
        id: The tool's own id of it.
        name: Of what it is about.
        at: When it was given.
        run: The run that is judged; None for the whole trace or session.
        session: The conversation that it names.
        score: As a number.
        value: As a word.
        comment: In words.
        person: Who judges.
        is_automatic: Whether a program judged.
        more: What else is known of it.
    """

    id: str
    name: str
    at: datetime.datetime | None = None
    run: str | None = None
    session: str | None = None
    score: float | None = None
    value: Any = None
    comment: str | None = None
    person: str | None = None
    is_automatic: bool = False
    more: dict[str, Any] = {}


class Trace(msgspec.Struct, kw_only=True):
    """
    What belongs together.

    Attributes:
        source: The tool that it is from.
        id: The tool's own id of it; None where it has none.
        session: The conversation of what names none.
        is_named: Whether the tool has a name for the conversation.
        is_recognisable: Whether what names none may be of the conversation of an earlier trace.
        is_recognised: Whether it is that, by its history.
        user: The person.
        runs: Its parts.
        feedback: What was said about it.
    """

    source: str
    id: str | None
    session: str
    is_named: bool = False
    is_recognisable: bool = False
    is_recognised: bool = False
    user: str | None = None
    runs: list[Run] = []
    feedback: list[Feedback] = []


def began(run: Run) -> datetime.datetime:
    """Return when a run began, or what is known of it."""
    return run.began or run.ended or EPOCH
