"""
Anthropic Claude: messages, their streams, and batches of them.
"""

from __future__ import annotations

from typing import Any

from ._answers import Answer, Prompt
from ._anthropic import MessageEvents, answer_of, prompt_of, tokens_of
from ._anthropic_calls import client_key, hooks
from ._calls import Call, Recorder, safely
from ._fields import as_messages


__all__ = [
    "MessageEvents",
    "answer_of",
    "client_key",
    "hooks",
    "log_claude_interaction",
    "prompt_of",
    "tokens_of",
]

LOGGER = "hilt.anthropic"


def log_claude_interaction(
    session: Any = None,
    *,
    user_message: Any,
    response: Any,
    session_id: str | None = None,
    user_id: str | None = None,
    assistant_id: str | None = None,
) -> str | None:
    """
    Record what a person asked Claude and what it answered.

    Args:
        session: Anything with `append(event)`; the logger `hilt.anthropic` has the events in any
            case.
        user_message: What the person asked: a text, content blocks, or messages.
        response: A message, a dict of one, or a list of the events of a stream.
        session_id: The conversation; by default what is bound, else a new one.
        user_id: The person.
        assistant_id: The agent; the model by default.

    Returns:
        The `event_id` of the completion, e.g. for a feedback on it.
    """
    call = Call(
        Recorder(LOGGER, session),
        provider="anthropic",
        session_id=session_id,
        user_id=user_id,
        assistant_id=assistant_id,
        timed=False,
    )
    asked = {"messages": as_messages(user_message)}
    call.asked(safely(prompt_of, asked, Prompt()))
    call.answered(safely(answer_of, response, Answer()))
    return call.completion_id
