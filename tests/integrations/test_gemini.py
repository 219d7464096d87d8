from __future__ import annotations

from typing import Any

import pytest

from hilt_logging import Session, validate_event
from hilt_logging.integrations.gemini import (
    answer_of,
    log_gemini_interaction,
    prompt_of,
    tokens_of,
)


def response(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], **fields}


def test_seed_page_use(tmp_path, collected):
    """Prompt and completion land in the session, and on the logger hilt.gemini."""
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 2}
    with Session(tmp_path / "gemini.hilt.jsonl") as session:
        log_gemini_interaction(
            session,
            user_message="Summarise the Solar System",
            response=response({"text": "Big. "}, {"text": "Old."}, usageMetadata=usage),
        )
        prompt, completion = session.read()
    assert "Summarise the Solar System" == prompt.content.text
    assert "Big. Old." == completion.content.text
    assert {"prompt": 4, "completion": 2, "total": 6} == completion.metrics.tokens
    assert {"hilt.gemini"} == {record.name for record in collected.records}


def test_thoughts_and_tool_prompts_are_counted():
    """Thoughts are completion, tool-use prompts are prompt; cached ones are a part of the prompt."""
    usage = {
        "prompt_token_count": 4096,
        "candidates_token_count": 3,
        "cached_content_token_count": 4000,
        "tool_use_prompt_token_count": 77,
        "thoughts_token_count": 210,
        "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 50}],
    }
    assert tokens_of(usage) == {
        "prompt": 4173,
        "completion": 213,
        "total": 4386,
        "cached": 4000,
        "reasoning": 210,
        "audio_prompt": 50,
    }


def test_blocked_prompt_is_a_completion_without_text(collected):
    """A prompt that was blocked is filtered; the reason is the finish reason."""
    feedback = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}
    log_gemini_interaction(user_message="?", response=feedback)
    (completion,) = collected.of("completion")
    assert "content" not in completion
    assert "SAFETY" == completion["extensions"]["finish_reason"]
    assert "filtered" == completion["extensions"]["outcome"]


def test_blocked_answer_is_filtered():
    """An answer that was stopped for safety has the outcome filtered."""
    answer = answer_of({"candidates": [{"finishReason": "SAFETY"}]})
    assert ("SAFETY", "filtered", "") == (answer.finish_reason, answer.outcome, answer.text)


def test_code_that_ran_at_googles(collected):
    """Code execution gives a call and a result, marked as the provider's."""
    log_gemini_interaction(
        user_message="?",
        response=response(
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"text": "It is 1."},
        ),
    )
    (call,), (result,) = collected.of("tool_call"), collected.of("tool_result")
    assert {"language": "PYTHON", "code": "print(1)"} == call["extensions"]["tool"]["arguments"]
    assert (True, "1") == (result["extensions"]["tool"]["server"], result["content"]["text"])


def test_contents_of_every_form():
    """A text, parts, one message or several: the last text of the user is the text."""
    turn = {"role": "user", "parts": [{"text": "Hi"}]}
    said = {"role": "model", "parts": [{"text": "Hello"}]}
    for contents in ("Hi", ["Hi"], [{"text": "Hi"}], turn, [turn], [turn, said, turn]):
        assert "Hi" == prompt_of({"contents": contents}).text
    messages = prompt_of({"contents": [turn, said, turn]}).messages or []
    assert ["user", "assistant", "user"] == [message["role"] for message in messages]


def test_parts_of_one_message_are_one_message():
    """Several parts without a role are one message of the user; media are references."""
    inline = {"inline_data": {"mime_type": "image/png", "data": b"hello"}}
    prompt = prompt_of({"contents": ["What is ", inline, "this?"]})
    assert "What is this?" == prompt.text
    assert [5] == [each["bytes"] for each in prompt.media or []]
    assert 1 == len(prompt.messages or [])


def test_function_responses_are_results(collected):
    """Function responses since the model spoke last are tool results."""
    turn = {
        "role": "user",
        "parts": [{"function_response": {"name": "get_time", "response": {"time": "12:00"}}}],
    }
    log_gemini_interaction(user_message=[turn], response=response({"text": "Noon."}))
    (result,) = collected.of("tool_result")
    assert {"name": "get_time", "result": {"time": "12:00"}} == result["extensions"]["tool"]


@pytest.mark.parametrize("given", [None, object(), "text", 5, {}, [], {"candidates": 3}, [None]])
def test_unknown_response_is_recorded(given, collected):
    """A response that nobody knows is a completion without text; nothing is raised."""
    assert log_gemini_interaction(user_message=object(), response=given) is not None
    assert 1 == len(collected.of("completion"))
    assert [] == [fault for event in collected.events for fault in validate_event(event)]


def test_numbered_finish_reasons():
    """`to_dict()` of google-generativeai has numbers; they get their names back."""
    candidate = {"content": {"parts": [{"text": "a"}]}, "finish_reason": 2}
    answer = answer_of({"candidates": [candidate]})
    assert ("MAX_TOKENS", "truncated") == (answer.finish_reason, answer.outcome)
