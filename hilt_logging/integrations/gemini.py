"""
Google Gemini: answers of google-genai, of google-generativeai and of the HTTP API.
"""

from __future__ import annotations

from typing import Any

from ._answers import Answer, Prompt
from ._calls import Call, Recorder, safely
from ._gemini import answer_of, prompt_of, tokens_of
from ._gemini_calls import client_key, hooks


__all__ = ["answer_of", "client_key", "hooks", "log_gemini_interaction", "prompt_of", "tokens_of"]

LOGGER = "hilt.gemini"


def log_gemini_interaction(
    session: Any = None,
    *,
    user_message: Any,
    response: Any,
    session_id: str | None = None,
    user_id: str | None = None,
    assistant_id: str | None = None,
) -> str | None:
    """
    Record what a person asked Gemini and what it answered.

    Args:
        session: Anything with `append(event)`; the logger `hilt.gemini` has the events in any case.
        user_message: What the person asked: a text, or what `contents` may be.
        response: A response, a dict of one in snake_case or camelCase, or a list of the pieces of
            a stream.
        session_id: The conversation; by default what is bound, else a new one.
        user_id: The person.
        assistant_id: The agent; the model by default.

    Returns:
        The `event_id` of the completion, e.g. for a feedback on it.
    """
    call = Call(
        Recorder(LOGGER, session),
        provider="gemini",
        session_id=session_id,
        user_id=user_id,
        assistant_id=assistant_id,
        timed=False,
    )
    call.asked(safely(prompt_of, {"contents": user_message}, Prompt()))
    call.answered(safely(answer_of, response, Answer()))
    return call.completion_id
