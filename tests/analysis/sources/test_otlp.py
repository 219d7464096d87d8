"""Spans and log records of OpenTelemetry become the events that recording the calls would have made."""

from __future__ import annotations

import json
import random

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilt_logging.analysis import import_log
from hilt_logging.analysis.sources import otlp
from hilt_logging.events import decode
from hilt_logging.io.transcripts import Transcripts
from hilt_logging.schema import validate_event

from .conftest import HERE, exported
from .test_hostile import NASTY, damaged


pytestmark = pytest.mark.once

TRACE, SPAN, OTHER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
BEGAN = 1_795_418_747_000_000_000
CHATS = ["openai_v2", "openai_v2_old", "openllmetry_old", "openinference"]
ASKED = "Weather in Paris and Zürich, and the time in Paris?"
SAID = [
    ("user", ASKED),
    ("assistant", ["get_weather", "get_weather", "get_time"]),
    ("tool", ["18 C"]),
    ("tool", ["18 C"]),
    ("tool", ["14:05"]),
    ("assistant", "The answer is 42."),
]
STORY = [*SAID, ("user", "Tell a story."), ("assistant", "Once upon a time, a small server")]


def value_of(value):
    """A value as the protocol has it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": listed(value)}}
    return {"stringValue": value}


def listed(attributes):
    return [{"key": name, "value": value_of(value)} for name, value in attributes.items()]


def a_span(attributes=None, events=(), **fields):
    """A span, as its exporter writes it."""
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "chat gpt-4o",
        "startTimeUnixNano": str(BEGAN),
        "endTimeUnixNano": str(BEGAN + 1_500_000_000),
        "attributes": listed(CHAT if attributes is None else attributes),
        "events": [
            {"name": name, "timeUnixNano": str(BEGAN + 1_000_000), "attributes": listed(told)}
            for name, told in events
        ],
        **fields,
    }


def a_record(name, attributes, body=None, **fields):
    """A log record."""
    return {
        "timeUnixNano": str(BEGAN),
        "traceId": TRACE,
        "spanId": SPAN,
        "eventName": name,
        "attributes": listed(attributes),
        **({} if body is None else {"body": value_of(body)}),
        **fields,
    }


def message(*spans, records=()):
    """A message of the protocol, with both."""
    resource = {"attributes": listed({"service.name": "shop"})}
    scope = {"name": "instrumentation", "version": "1.0"}
    return {
        "resourceSpans": [
            {"resource": resource, "scopeSpans": [{"scope": scope, "spans": list(spans)}]}
        ],
        "resourceLogs": [
            {"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": list(records)}]}
        ],
    }


ASK = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
}
CHAT = {
    **ASK,
    "gen_ai.input.messages": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}]
    ),
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 3,
}


def told_in(turns):
    """Roles, and what each says in short."""
    out = []
    for turn in turns:
        said = [each.get("content", each.get("name")) for each in turn["parts"]]
        given = [each.get("response") for each in turn["parts"]]
        texts = all(each["type"] == "text" for each in turn["parts"])
        is_result = turn["role"] == "tool"
        out.append((turn["role"], given if is_result else said[0] if texts else said))
    return out


def completions(log):
    return sorted(log.of("completion"), key=lambda each: each["timestamp"])


@pytest.mark.parametrize("name", CHATS)
def test_conversation(imported, name):
    """Of a chat that repeats its history, all conventions give the same conversation, word for word."""
    log = imported(HERE / f"otlp_{name}.jsonl")
    last = next(e for e in completions(log) if "Once" in e.get("content", {}).get("text", ""))
    told = Transcripts(log).of(last["event_id"])
    found = told_in(told.turns)
    found[-1] = (found[-1][0], found[-1][1][: len("Once upon a time, a small server")])
    assert (STORY, 0, True) == (found, told.missing, told.is_exact)
    assert [("system", "Be brief.")] == told_in(told.system)


@pytest.mark.parametrize("name", [*CHATS, "langchain", "pydantic_ai", "openllmetry"])
def test_new_is_written_once(imported, name):
    """No question and no result of a tool is written twice, and each result is linked to its call."""
    log = imported(HERE / f"otlp_{name}.jsonl")
    assert ([], 0) == (log.told, log.done.changed)
    by_id = {each["event_id"]: each for each in log}
    results = log.of("tool_result")
    assert results
    for each in results:
        call = by_id[each["extensions"]["reply_to"]]
        assert call["extensions"]["tool"]["call_id"] == each["extensions"]["tool"]["call_id"]
        assert call["extensions"]["tool"]["name"] == each["actor"]["id"]
        assert call["session_id"] == each["session_id"]
    assert len(results) == len({e["extensions"]["tool"]["call_id"] for e in results})
    texts = [each["content"].get("text") for each in log.of("prompt")]
    asked = [text for text in texts if text]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openinference", {"cached": 2048, "cache_write": 128, "reasoning": 512}),
        ("langchain", {"cached": 2048, "reasoning": 512}),
        ("pydantic_ai", {"cached": 2048, "cache_write": 128, "reasoning": 512}),
        ("openllmetry_old", {"cached": 2048}),
        ("openai_v2", {}),
    ],
)
def test_tokens(imported, name, parts):
    """A call has the tokens that its span tells; what agents sum up is not counted again."""
    log = imported(HERE / f"otlp_{name}.jsonl")
    told = [each["metrics"].get("tokens") for each in log if "tokens" in each.get("metrics", {})]
    assert {"prompt": 2310, "completion": 540, "total": 2850, **parts} in told
    assert 1 == sum(each["prompt"] == 118 for each in told)
    assert not [each for each in log.of("system") if "tokens" in each.get("metrics", {})]


def test_anthropic(imported):
    """Where an exporter counts Anthropic's cached tokens in, they are not added again."""
    log = imported(HERE / "otlp_openllmetry.jsonl")
    tea = log.of("completion")[-1]
    cached = tea["metrics"]["tokens"]
    assert {
        "prompt": 17420,
        "completion": 11,
        "total": 17431,
        "cached": 15360,
        "cache_write": 2048,
    } == cached
    assert "anthropic" == tea["provenance"]["provider"]


def test_cached_apart(imported):
    """Cached tokens that can't be part of the prompt were counted apart, and are added to it."""
    apart = {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.cache_read.input_tokens": 15360}
    log = imported(message(a_span(CHAT | apart)))
    tokens = {"prompt": 15372, "completion": 3, "total": 15375, "cached": 15360}
    assert tokens == log.of("completion")[0]["metrics"]["tokens"]


def test_session_and_user(imported):
    """Session and user are those that the attributes name."""
    for name, session, user in (
        ("openinference", "conv-7", "ada"),
        ("langchain", "conv-8", "ada"),
        ("openllmetry_old", "conv-9", "ada"),
    ):
        log = imported(HERE / f"otlp_{name}.jsonl")
        named = [each for each in log if each["session_id"] == session]
        assert len(named) > 10
        assert {(user, "request")} == {
            (each["extensions"]["user_id"], each["extensions"]["session_source"]) for each in named
        }


def test_fields(imported):
    """A call has the fields that recording it gives."""
    log = imported(HERE / "otlp_openai_v2.jsonl")
    prompt = log.of("prompt")[0]
    completion = next(e for e in log.of("completion") if e["metrics"]["tokens"]["prompt"] == 118)
    assert {
        "provider": "openai",
        "model": "gpt-5.5-2026-04-23",
        "request_model": "gpt-5.5",
        "call_id": completion["provenance"]["span_id"],
        "run_id": completion["provenance"]["span_id"],
        "span_id": completion["event_id"].removesuffix(".completion"),
        "trace_id": completion["session_id"],
        "response_id": "chatcmpl-7d0dc1f66ac4d5dd718218755a143",
    } == completion["provenance"]
    assert {"temperature": 0.2, "max_tokens": 300} == prompt["provenance"]["params"]
    assert "tool_calls" == completion["extensions"]["finish_reason"]
    assert prompt["event_id"] == completion["extensions"]["reply_to"]
    assert completion["metrics"]["latency_ms"] >= 0


def test_failed_call(imported):
    """A call that failed is its prompt and the error, with the class and the status."""
    for name in CHATS:
        kind = "error" if name == "openllmetry_old" else "RateLimitError"  # which tells no class
        log = imported(HERE / f"otlp_{name}.jsonl")
        (error,) = [each for each in log.of("system") if "error" in each["extensions"]]
        told = error["extensions"]
        assert (kind, 429) == (told["error"]["type"], told["status_code"])
        assert error["extensions"]["reply_to"] in {e["event_id"] for e in log.of("prompt")}
        assert "failed" == told["outcome"]


def test_agents_tools_and_documents(imported):
    """An agent's run of a tool is the result of the call; what a search found is kept."""
    log = imported(HERE / "otlp_langchain.jsonl")
    assert {
        "retrieval": 1,
        "prompt": 2,
        "completion": 2,
        "tool_call": 3,
        "tool_result": 3,
        "system": 1,
    } == log.actions()
    (found,) = log.of("retrieval")
    assert ASKED == found["content"]["text"]
    assert "It is mild in Paris." == found["extensions"]["documents"][0]["text"]
    log = imported(HERE / "otlp_pydantic_ai.jsonl")
    costs = [each["metrics"].get("cost_usd") for each in completions(log)]
    assert [0.00242, 0.018534] == costs


def test_twice_is_the_same(imported):
    """Importing again, and the same file twice, gives the same bytes."""
    path = HERE / "otlp_openinference.jsonl"
    first = imported(path).path.read_bytes()
    assert first == imported(path, *exported(path.name)).path.read_bytes()


def test_ids_in_base64_and_hex(imported):
    """An id is the same one in hex and in base64."""
    span = a_span(traceId="CvdlGRbNQ92ESOshHIAxnA==", spanId="t61rcWkgMzE=")
    (prompt,) = imported(message(span)).of("prompt")
    assert (TRACE, SPAN) == (prompt["provenance"]["trace_id"], prompt["provenance"]["span_id"])


def test_forms_of_a_file(tmp_path, imported):
    """Lines, one document over many lines, an array, and names in snake case are the same."""
    whole = message(a_span())
    wanted = list(imported(whole))
    path = tmp_path / "traces.json"
    for text in (json.dumps(whole, indent=2), json.dumps([whole])):
        path.write_text(text, "utf-8")
        assert wanted == list(imported(path))
    snake = {"resource_spans": whole["resourceSpans"]}
    assert wanted == list(imported(snake))
    assert wanted == list(imported({"batches": whole["resourceSpans"]}))


def test_records_alone(imported):
    """Log records without their span stand for the call."""
    record = a_record("gen_ai.client.inference.operation.details", CHAT)
    log = imported(message(records=[record]))
    assert {"prompt": 1, "completion": 1} == log.actions()
    assert "Hello" == log.of("completion")[0]["content"]["text"]
    assert 7 == log.of("completion")[0]["metrics"]["tokens"]["prompt"]


def test_events_of_spans(imported):
    """What was said may stand in events of the span."""
    older = [
        ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role": "user", "content": "Hi"}]'}),
        (
            "gen_ai.content.completion",
            {"gen_ai.completion": '[{"role": "assistant", "content": "Hello"}]'},
        ),
    ]
    azure = [
        ("gen_ai.user.message", {"gen_ai.event.content": '{"role": "user", "content": "Hi"}'}),
        (
            "gen_ai.choice",
            {
                "gen_ai.event.content": json.dumps(
                    {"message": {"content": "Hello"}, "finish_reason": "stop"}
                )
            },
        ),
    ]
    for events in (older, azure):
        log = imported(message(a_span(ASK, events)))
        assert ["Hi", "Hello"] == [
            log.of(n)[0]["content"]["text"] for n in ("prompt", "completion")
        ]
    assert "stop" == log.of("completion")[0]["extensions"]["finish_reason"]


def test_choices(imported):
    """Several choices are told apart; the text is that of the first."""
    choices = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": said}],
            "finish_reason": reason,
        }
        for said, reason in (("Hello", "stop"), ("Hey", "length"))
    ]
    log = imported(message(a_span(CHAT | {"gen_ai.output.messages": json.dumps(choices)})))
    (completion,) = log.of("completion")
    assert "Hello" == completion["content"]["text"]
    assert [("Hello", "stop"), ("Hey", "length")] == [
        (each["parts"][0]["content"], each["finish_reason"])
        for each in completion["content"]["messages"]
    ]


def test_structured_attributes(imported):
    """Messages may be values of the protocol rather than JSON in a text."""
    plain = {k: json.loads(v) if "messages" in k else v for k, v in CHAT.items()}
    system = {"gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}]}
    log = imported(message(a_span(plain | system)))
    told = Transcripts(log).of(log.of("completion")[0]["event_id"])
    assert ([("system", "Be brief.")], [("user", "Hi"), ("assistant", "Hello")]) == (
        told_in(told.system),
        told_in(told.turns),
    )


def test_media(imported):
    """Of an image its kind, size and digest are kept."""
    parts = [
        {"type": "text", "content": "What is it?"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGVsbG8="},
        {"type": "uri", "modality": "image", "uri": "https://example.com/cat.png"},
    ]
    asked = json.dumps([{"role": "user", "parts": parts}])
    (prompt,) = imported(message(a_span(CHAT | {"gen_ai.input.messages": asked}))).of("prompt")
    assert [
        {
            "type": "image",
            "mime_type": "image/png",
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "bytes": 5,
        },
        {"type": "image", "uri": "https://example.com/cat.png"},
    ] == prompt["content"]["media"]


def test_workflow(imported):
    """A tool that a decorator of OpenLLMetry saw has what it was given and gave."""
    attributes = {
        "traceloop.span.kind": "tool",
        "traceloop.entity.name": "look",
        "traceloop.entity.input": '{"args": [], "kwargs": {"what": "tea"}}',
        "traceloop.entity.output": '"free"',
    }
    log = imported(message(a_span(attributes)))
    assert {"name": "look", "arguments": {"what": "tea"}} == log.of("tool_call")[0]["extensions"][
        "tool"
    ]
    assert "free" == log.of("tool_result")[0]["content"]["text"]


def test_a_framework_around_an_sdk(imported):
    """Where two spans are one call, it is told once, with tokens once."""
    outer = a_span(spanId=OTHER)
    inner = a_span(parentSpanId=OTHER)
    log = imported(message(outer, inner))
    assert {"prompt": 1, "completion": 1, "system": 1} == log.actions()
    assert [7] == [
        e["metrics"]["tokens"]["prompt"] for e in log if "tokens" in e.get("metrics", {})
    ]


def test_conversations_in_one_trace(imported):
    """A span is in the conversation that it names, or that of the one around it."""
    first = a_span(CHAT | {"gen_ai.conversation.id": "a"})
    inside = a_span(
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"},
        spanId="0" * 15 + "1",
        parentSpanId=SPAN,
    )
    second = a_span(CHAT | {"gen_ai.conversation.id": "b"}, spanId=OTHER)
    log = imported(message(first, inside, second))
    assert {"prompt": 1, "completion": 1, "tool_call": 1, "tool_result": 1} == log.actions("a")
    assert {"prompt": 1, "completion": 1} == log.actions("b")


def test_what_is_no_call(imported):
    """Spans, records and metrics that tell nothing of a model are counted."""
    whole = message(
        a_span({"http.request.method": "GET"}, spanId=OTHER),
        a_span({"db.system": "postgresql"}),
        records=[a_record("app.started", {})],
    )
    log = imported(whole | {"resourceMetrics": [{}]})
    assert [] == log
    assert {
        "spans that are no calls of a model": 2,
        "log records that tell nothing of a model": 1,
        "resources with metrics": 1,
    } == log.done.lost


def test_parents_that_are_no_calls(imported):
    """The run around a call is the next one that is on record; circles of parents come to an end."""
    agent = a_span({"gen_ai.operation.name": "invoke_agent"}, spanId=OTHER, parentSpanId=SPAN)
    http = a_span({"http.request.method": "POST"}, spanId="0" * 15 + "1", parentSpanId=OTHER)
    call = a_span(parentSpanId="0" * 15 + "1")
    (prompt,) = imported(message(agent, http, call)).of("prompt")
    assert OTHER == prompt["provenance"]["parent_run_id"]


def test_judgements_and_ranks(imported):
    """Evaluations are feedback; what a reranker gave is a rerank."""
    judged = a_span(
        events=[
            (
                "gen_ai.evaluation.result",
                {
                    "gen_ai.evaluation.name": "relevance",
                    "gen_ai.evaluation.score.value": 0.5,
                    "gen_ai.evaluation.score.label": "fair",
                    "gen_ai.evaluation.explanation": "Too short.",
                },
            )
        ]
    )
    ranked = a_span(
        {
            "openinference.span.kind": "RERANKER",
            "reranker.query": "tea",
            "reranker.output_documents.0.document.content": "Tea is free.",
            "reranker.output_documents.0.document.score": 0.9,
        },
        spanId=OTHER,
    )
    log = imported(message(judged, ranked))
    (feedback,) = log.of("feedback")
    assert ({"score": 0.5}, "Too short.", f"{SPAN}.completion") == (
        feedback["metrics"],
        feedback["content"]["text"],
        feedback["extensions"]["reply_to"],
    )
    assert {"name": "relevance", "value": "fair"} == feedback["extensions"]["feedback"]
    (rank,) = log.of("rerank")
    assert "tea" == rank["content"]["text"]
    assert ["Tea is free."] == [each["text"] for each in rank["extensions"]["documents"]]


def test_what_has_no_place(imported):
    """Attributes that nobody knows are kept; headers, which may hold keys, are not."""
    more = {"shop.basket": 3, "llm.headers": "{'authorization': 'Bearer abc'}"}
    log = imported(message(a_span(CHAT | more)))
    told = log.of("completion")[0]["extensions"]["imported"]
    assert {
        "from": "otlp",
        "id": SPAN,
        "name": "chat gpt-4o",
        "service": "shop",
        "scope": "instrumentation 1.0",
        "shop.basket": 3,
    } == told
    assert b"Bearer" not in log.path.read_bytes()


def test_without_content(imported):
    """A call whose words were not exported has its model, tokens and times."""
    bare = {name: value for name, value in CHAT.items() if "messages" not in name}
    reasons = {"gen_ai.response.finish_reasons": ["length"]}
    (completion,) = imported(message(a_span(bare | reasons)))
    assert "content" not in completion
    assert 1500 == completion["metrics"]["latency_ms"]
    assert {"prompt": 7, "completion": 3, "total": 10} == completion["metrics"]["tokens"]
    assert "truncated" == completion["extensions"]["outcome"]


def test_a_server_of_ones_own(imported):
    """A server that speaks OpenAI's language is not taken for OpenAI."""
    log = imported(message(a_span(CHAT | {"server.address": "llm.example"})))
    assert "llm.example" == log.of("prompt")[0]["provenance"]["provider"]
    log = imported(message(a_span(CHAT | {"server.address": "api.openai.com"})))
    assert "openai" == log.of("prompt")[0]["provenance"]["provider"]


NAMES = sorted(path.name for path in HERE.glob("otlp_*.jsonl"))
MESSAGES = {name: exported(name) for name in NAMES}
WORDS = [
    None, "", "{", "[[", '{"role": 1}', '[{"role": "user"}]', '[{"parts": [{}]}]', "[null]",
    "[" * 500, '{"a": NaN}', "\ud800", "99999999999999999999999", "-1", "AAAA", "0" * 32, "x" * 24,
]  # fmt: skip


def mistold(value, chance, by):
    """The same with texts in it replaced, also by JSON that means something else."""
    if isinstance(value, dict):
        return {name: mistold(each, chance, by) for name, each in value.items()}
    if isinstance(value, list):
        return [mistold(each, chance, by) for each in value]
    if isinstance(value, str) and by.random() < chance:
        return by.choice([*WORDS, *NASTY])
    return value


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged(tmp_path, seed):
    """Whatever stands in an export, the import comes to its end, and every line is an event."""
    by = random.Random(seed)
    rows = [damaged(each, by.choice((0.0, 0.005)), by) for each in MESSAGES[by.choice(NAMES)]]
    rows = [mistold(row, by.choice((0.0, 0.01, 0.1)), by) for row in rows if isinstance(row, dict)]
    export, log = tmp_path / "export.jsonl", tmp_path / "log.jsonl"
    export.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = import_log(export, log, source=otlp.NAME, force=True)
    events = [decode(line) for line in log.read_bytes().splitlines()]
    assert done.events == len(events)
    assert [] == [fault for event in events for fault in validate_event(event)]
