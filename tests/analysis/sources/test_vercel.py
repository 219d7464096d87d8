"""What the AI SDK of Vercel notes on spans becomes the events that recording its calls would have made."""

from __future__ import annotations

import json

import pytest

from hilt_logging.io.transcripts import Transcripts

from .test_otlp import OTHER, SPAN, a_span, completions, message, told_in


pytestmark = pytest.mark.once

MODEL = {
    "ai.operationId": "ai.streamText.doStream",
    "ai.model.id": "gpt-4o",
    "gen_ai.system": "openai",
}
CALL = {"toolCallId": "c1", "toolName": "look", "input": {"what": "tea"}}
ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Is tea free?"}]},
]
RESULT = {"type": "tool-result", "toolCallId": "c1", "toolName": "look"}


def span(number, attributes):
    at = str(1_795_418_747_000_000_000 + number)
    place = {"spanId": f"{number:016x}", "parentSpanId": OTHER}
    return a_span(attributes, **place, startTimeUnixNano=at)


@pytest.mark.parametrize(
    "output", [{"output": {"type": "text", "value": "yes"}}, {"result": "yes"}]
)
def test_agent(imported, output):
    """Its calls, their tools and their answers are one conversation, and tokens are those of the calls."""
    used = {"ai.usage.inputTokens": 7, "ai.usage.outputTokens": 3}
    history = [
        *ASKED,
        {"role": "assistant", "content": [{"type": "tool-call", **CALL}]},
        {"role": "tool", "content": [RESULT | output]},
    ]
    log = imported(
        message(
            a_span(
                {"ai.operationId": "ai.streamText", "ai.response.text": "Yes.", **used},
                spanId=OTHER,
            ),
            span(
                1,
                {
                    **MODEL,
                    **used,
                    "ai.prompt.messages": json.dumps(ASKED),
                    "ai.response.toolCalls": json.dumps([CALL]),
                },
            ),
            span(
                2,
                {
                    "ai.operationId": "ai.toolCall",
                    "ai.toolCall.name": "look",
                    "ai.toolCall.id": "c1",
                    "ai.toolCall.args": '{"what": "tea"}',
                    "ai.toolCall.result": '"yes"',
                },
            ),
            span(
                3,
                {
                    **MODEL,
                    **used,
                    "ai.prompt.messages": json.dumps(history),
                    "ai.response.text": "Yes.",
                    "ai.response.finishReason": "stop",
                },
            ),
        )
    )
    assert {
        "system": 1, "prompt": 2, "completion": 2, "tool_call": 1, "tool_result": 1,
    } == log.actions()  # fmt: skip
    told = [
        each["metrics"]["tokens"]["total"] for each in log if "tokens" in each.get("metrics", {})
    ]
    assert [10, 10] == told
    last = completions(log)[-1]
    assert ("gpt-4o", "openai", "stop") == (
        last["provenance"]["request_model"],
        last["provenance"]["provider"],
        last["extensions"]["finish_reason"],
    )
    found = Transcripts(log).of(last["event_id"])
    assert 0 == found.missing
    assert [
        ("user", "Is tea free?"),
        ("assistant", ["look"]),
        ("tool", ["yes"]),
        ("assistant", "Yes."),
    ] == told_in(found.turns)


def test_object(imported):
    """What a model gave as an object is its answer, and the person is the one of the metadata."""
    told = {
        "ai.operationId": "ai.generateObject.doGenerate",
        "ai.prompt.messages": json.dumps(ASKED),
        "ai.response.object": '{"free": true}',
        "ai.telemetry.metadata.userId": "ada",
        "ai.telemetry.metadata.sessionId": "s",
    }
    (completion,) = imported(message(a_span(told))).of("completion")
    assert ("ada", "s", '{"free": true}') == (
        completion["extensions"]["user_id"],
        completion["session_id"],
        completion["content"]["text"],
    )
    assert SPAN == completion["provenance"]["span_id"]
