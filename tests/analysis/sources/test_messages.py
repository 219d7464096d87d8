"""Messages are read in every shape in which people and frameworks hand them to a tool that watches."""

from __future__ import annotations

import pytest

from hilt_logging.analysis.sources.messages import answer_in, asked_in, tokens_in


pytestmark = pytest.mark.once

HI = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
BRIEF = {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
CALL = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}
ASKED_TOOL = [*HI, {"role": "assistant", "parts": [CALL]}]
RESULT = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "7"}]}


def lc(name, /, **kwargs):
    path = ["langchain", "schema", "messages", name]
    return {"lc": 1, "type": "constructor", "id": path, "kwargs": kwargs}


@pytest.mark.parametrize(
    "value",
    [
        "Hi",
        ["Hi"],
        {"role": "user", "content": "Hi"},
        [{"role": "user", "content": "Hi"}],
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [["human", "Hi"]]},
        {"messages": [[lc("HumanMessage", content="Hi", type="human")]]},
        {"messages": [lc("HumanMessageChunk", content="Hi")]},
        {"messages": [{"type": "human", "data": {"content": "Hi"}}]},
        [{"type": "human", "content": "Hi", "additional_kwargs": {}, "id": None}],
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        [{"role": "user", "content": ["Hi"]}],
        [{"role": "user", "parts": [{"text": "Hi"}]}],
        [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
        {"contents": "Hi", "model": "gemini"},
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        {"input": "Hi"},
        {"input": [{"role": "user", "content": "Hi"}]},
        {"prompt": "Hi"},
        {"prompts": ["Hi"]},
        {"question": "Hi", "k": 4},
        {"args": ["Hi"], "kwargs": {}},
        {"args": [], "kwargs": {"question": "Hi"}},
    ],
)
def test_asked(value):
    """A text is what the user said, wherever it stands."""
    assert HI == asked_in(value).turns


@pytest.mark.parametrize(
    "value",
    [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
            ]
        },
        {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]},
        {"system": [{"type": "text", "text": "Be brief."}], "messages": [["human", "Hi"]]},
        {"instructions": "Be brief.", "input": "Hi"},
        {"contents": "Hi", "config": {"system_instruction": "Be brief."}},
        {"contents": "Hi", "systemInstruction": {"parts": [{"text": "Be brief."}]}},
        [lc("SystemMessage", content="Be brief."), lc("HumanMessage", content="Hi")],
    ],
)
def test_system_prompt(value):
    """The system prompt comes first, also where the request has it apart."""
    assert [BRIEF, *HI] == asked_in(value).turns


@pytest.mark.parametrize(
    "message",
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}],
        },
        lc("AIMessage", content="", tool_calls=[{"id": "c1", "name": "f", "args": {"a": 1}}]),
        lc(
            "AIMessage",
            content=[{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}],
            tool_calls=[{"id": "c1", "name": "f", "args": {"a": 1}}],
        ),
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"role": "assistant", "parts": [CALL]},
        {
            "role": "model",
            "content": [
                {
                    "type": "function_call",
                    "function_call": {"id": "c1", "name": "f", "args": {"a": 1}},
                }
            ],
        },
    ],
)
def test_tools(message):
    """A tool that is asked for is the same, whoever asks."""
    turns = asked_in([{"role": "user", "content": "Hi"}, message]).turns
    turns[1]["parts"] = [each for each in turns[1]["parts"] if each.get("content") != ""]
    assert ASKED_TOOL == turns


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "7"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "7"}]},
        lc("ToolMessage", content="7", tool_call_id="c1", type="tool", name="f"),
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "7"}]},
    ],
)
def test_results(message):
    """What a tool gave is the same, whoever is told."""
    assert [RESULT] == asked_in([message]).turns


def test_offered_tools():
    """Definitions of tools are counted, and are nothing that was said."""
    definition = {"role": "tool", "content": {"type": "function", "function": {"name": "f"}}}
    asked = asked_in({"messages": [{"role": "user", "content": "Hi"}, definition], "tools": [1, 2]})
    assert (HI, 3) == (asked.turns, asked.tools)


def test_other_values():
    """Any other value is what was said, as JSON; nothing is nothing."""
    assert '{"a": [1]}' == asked_in({"a": [1]}).turns[0]["parts"][0]["content"]
    assert [] == asked_in(None).turns == asked_in({}).turns == asked_in([]).turns
    assert '{"city": "Zürich"}' == answer_in({"city": "Zürich"}).text
    assert None is answer_in(None).text is answer_in({"output": None}).text


@pytest.mark.parametrize(
    "value",
    [
        "Hello",
        {"output": "Hello"},
        {"answer": "Hello"},
        {"role": "assistant", "content": "Hello"},
        [{"role": "assistant", "content": "Hello"}],
        {"message": {"role": "assistant", "content": "Hello"}},
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ]
        },
        {
            "choices": [
                {"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
            ]
        },
        {
            "type": "message",
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn",
        },
        {"candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]},
        {
            "object": "response",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
        },
        {"generations": [[{"text": "Hello"}]]},
        {"generations": [[{"text": "Hello", "message": lc("AIMessage", content="Hello")}]]},
        {"output": lc("AIMessage", content="Hello")},
        [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "Hello"}],
                "finish_reason": "stop",
            }
        ],
    ],
)
def test_answered(value):
    """A text is what the model said, wherever it stands."""
    answer = answer_in(value)
    assert ("Hello", None, "completed") == (answer.text, answer.messages, answer.outcome)


def test_langchain_answer():
    """An answer of LangChain's has tools, tokens, model, id and how it ended."""
    message = lc(
        "AIMessage",
        content="",
        tool_calls=[{"id": "c1", "name": "f", "args": {"a": 1}}],
        usage_metadata={
            "input_tokens": 3,
            "output_tokens": 2,
            "input_token_details": {"cache_read": 1},
        },
        response_metadata={"model_name": "m-1", "finish_reason": "length", "id": "r1"},
        id="lc_run--1",
    )
    answer = answer_in({"generations": [[{"text": "", "message": message}]]})
    (call,) = answer.tool_calls
    assert ("f", "c1", {"a": 1}) == (call.name, call.call_id, call.arguments)
    assert ("m-1", "r1", "length", "truncated") == (
        answer.model,
        answer.response_id,
        answer.finish_reason,
        answer.outcome,
    )
    assert {"prompt": 3, "completion": 2, "total": 5, "cached": 1} == answer.tokens


def test_refusal():
    """A refusal is one, and no text."""
    answer = answer_in({"role": "assistant", "content": None, "refusal": "No."})
    assert ("No.", "refused") == (answer.refusal, answer.outcome)


@pytest.mark.parametrize(
    ("value", "prompt"),
    [
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 1}}, 9),
        ({"usage": {"input_tokens": 9, "output_tokens": 1}}, 9),
        ({"usage": {"input_tokens": 4, "output_tokens": 1, "cache_read_input_tokens": 5}}, 9),
        ({"usage_metadata": {"input_tokens": 9, "output_tokens": 1}}, 9),
        ({"usage_metadata": {"promptTokenCount": 9, "candidatesTokenCount": 1}}, 9),
        ({"response_metadata": {"token_usage": {"prompt_tokens": 9, "completion_tokens": 1}}}, 9),
        ({"token_usage": {"prompt_tokens": 9, "completion_tokens": 1}}, 9),
    ],
)
def test_tokens(value, prompt):
    """Tokens are found in the way of each provider; Anthropic's cached ones are added."""
    tokens = tokens_in(value)
    assert (prompt, 1) == (tokens["prompt"], tokens["completion"])


def test_no_tokens():
    """Where none are told, there are none."""
    assert None is tokens_in({}) is tokens_in("x") is tokens_in({"usage": 3})
