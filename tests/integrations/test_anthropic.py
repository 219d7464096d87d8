from __future__ import annotations

import hashlib

from typing import Any

import pytest

from hilt_logging import Session, validate_event
from hilt_logging.integrations.anthropic import (
    MessageEvents,
    answer_of,
    log_claude_interaction,
    prompt_of,
    tokens_of,
)


def message(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks), "stop_reason": "end_turn", **fields}


def test_seed_page_use(tmp_path, collected):
    """Prompt and completion land in the session, and on the logger hilt.anthropic."""
    response = message({"type": "text", "text": "Hello!"}, model="claude-sonnet-4-5")
    with Session(tmp_path / "claude.hilt.jsonl") as session:
        log_claude_interaction(session, user_message="Hello", response=response)
        prompt, completion = session.read()
    assert ("Hello", "Hello!") == (prompt.content.text, completion.content.text)
    assert prompt.event_id == completion.extensions["reply_to"]
    assert {"hilt.anthropic"} == {record.name for record in collected.records}
    assert [prompt.event_id, completion.event_id] == [e["event_id"] for e in collected.events]


def test_all_text_blocks_are_joined_and_thinking_is_apart(collected):
    """The text is that of all text blocks; thinking is a part of its own."""
    response = message(
        {"type": "thinking", "thinking": "Let me see.", "signature": "s"},
        {"type": "text", "text": "One. "},
        {"type": "text", "text": "Two."},
    )
    log_claude_interaction(user_message="?", response=response)
    (completion,) = collected.of("completion")
    assert "One. Two." == completion["content"]["text"]
    assert [
        {"type": "reasoning", "content": "Let me see."},
        {"type": "text", "content": "One. Two."},
    ] == completion["content"]["messages"][0]["parts"]


def test_cached_tokens_are_part_of_the_prompt():
    """Anthropic counts cached tokens apart; here they are in the prompt."""
    usage = {
        "input_tokens": 12,
        "output_tokens": 11,
        "cache_read_input_tokens": 9000,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_1h_input_tokens": 40},
    }
    assert tokens_of(usage) == {
        "prompt": 9112,
        "completion": 11,
        "total": 9123,
        "cached": 9000,
        "cache_write": 100,
        "cache_write_1h": 40,
    }


def test_refusal_is_told(collected):
    """A refusal is an outcome of its own, at WARNING, with the words that explain it."""
    details = {"type": "refusal", "explanation": "Not allowed."}
    response = message(stop_reason="refusal", stop_details=details)
    log_claude_interaction(user_message="?", response=response)
    extensions = collected.of("completion")[0]["extensions"]
    assert ("refused", "Not allowed.") == (extensions["outcome"], extensions["refusal"])
    assert "WARNING" == collected.records[-1].levelname


def test_tools_at_anthropics_are_on_record(collected):
    """A server tool gives a call and a result, marked as the provider's."""
    response = message(
        {"type": "server_tool_use", "id": "st_1", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "st_1",
            "content": [{"type": "web_search_result", "url": "https://example.org"}],
        },
        {"type": "text", "text": "Found."},
    )
    log_claude_interaction(user_message="?", response=response)
    (call,), (result,) = collected.of("tool_call"), collected.of("tool_result")
    assert {"name": "web_search", "call_id": "st_1", "server": True} == {
        name: call["extensions"]["tool"][name] for name in ("name", "call_id", "server")
    }
    assert call["event_id"] == result["extensions"]["reply_to"]
    assert "https://example.org" == result["extensions"]["tool"]["result"][0]["url"]


def test_failed_server_tool_is_told(collected):
    """A server tool that failed says so in its result."""
    error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    response = message({"type": "web_search_tool_result", "tool_use_id": "st_2", "content": error})
    log_claude_interaction(user_message="?", response=response)
    assert "failed" == collected.of("tool_result")[0]["extensions"]["outcome"]


def test_tool_results_in_the_users_message(collected):
    """Tool results that the user's message brings are events, linked to what asked for them."""
    asked = message({"type": "tool_use", "id": "tu_9", "name": "get_time", "input": {"tz": "UTC"}})
    log_claude_interaction(user_message="Time?", response=asked)
    result = {
        "type": "tool_result",
        "tool_use_id": "tu_9",
        "content": [{"type": "text", "text": "12:00"}],
        "is_error": True,
    }
    log_claude_interaction(user_message=[result], response=message({"type": "text", "text": "!"}))
    (call,), (told,) = collected.of("tool_call"), collected.of("tool_result")
    assert call["event_id"] == told["extensions"]["reply_to"]
    assert ("12:00", "failed") == (told["content"]["text"], told["extensions"]["outcome"])


def test_images_are_references():
    """An image in the question is kept as type, size and digest."""
    source = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "?"}]
    prompt = prompt_of({"messages": [{"role": "user", "content": content}]})
    digest = hashlib.sha256(b"hello").hexdigest()
    expected = {"type": "image", "mime_type": "image/png", "sha256": digest, "bytes": 5}
    assert [expected] == prompt.media
    assert "?" == prompt.text


def test_broken_off_tool_input_is_kept_as_text():
    """The arguments of a tool call that broke off are what had come of them."""
    events = MessageEvents()
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    events.add({"type": "content_block_start", "index": 0, "content_block": block})
    delta = {"type": "input_json_delta", "partial_json": '{"a": [1, '}
    events.add({"type": "content_block_delta", "index": 0, "delta": delta})
    assert '{"a": [1, ' == events.answer().tool_calls[0].arguments


def test_interaction_is_that_of_the_assistant(collected):
    """The agent is who the caller says, else the model."""
    response = message({"type": "text", "text": "!"}, model="claude-x")
    log_claude_interaction(user_message="?", response=response, assistant_id="support-bot")
    log_claude_interaction(user_message="?", response=response)
    assert ["support-bot", "claude-x"] == [e["actor"]["id"] for e in collected.of("completion")]


@pytest.mark.parametrize("response", [None, object(), "text", 5, {}, [], {"content": 3}, [None]])
def test_unknown_response_is_recorded(response, collected):
    """A response that nobody knows is a completion without text; nothing is raised."""
    assert log_claude_interaction(user_message=object(), response=response) is not None
    assert 1 == len(collected.of("completion"))
    assert [] == [fault for event in collected.events for fault in validate_event(event)]


def test_stop_sequence_is_kept():
    """The sequence that ended the answer is on record."""
    answer = answer_of(message({"type": "text", "text": "a"}, stop_sequence="###"))
    assert {"stop_sequence": "###"} == answer.extensions


def test_extensions_of_one_answer_are_its_own():
    """What one answer adds does not show in the next one."""
    answer_of(message(stop_sequence="###"))
    assert {} == answer_of(message({"type": "text", "text": "a"})).extensions


def test_old_completion():
    """What the text completions of before answered is read as well."""
    answer = answer_of(
        {"completion": "Hello!", "stop_reason": "stop_sequence", "model": "claude-2"}
    )
    assert ("Hello!", "stop_sequence", {}) == (answer.text, answer.finish_reason, answer.extensions)


def test_messages_as_the_users_message(collected):
    """Messages in place of a text lose nothing."""
    turns = [{"role": "user", "content": "Hello"}]
    log_claude_interaction(user_message=turns, response=message())
    assert {"text": "Hello"} == collected.of("prompt")[0]["content"]
