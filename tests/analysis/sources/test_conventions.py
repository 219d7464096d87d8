"""Nothing that a span says of a call is lost without a word, and nothing counts twice."""

from __future__ import annotations

import json

import pytest

from .test_otlp import ASK, BEGAN, CHAT, OTHER, SPAN, TRACE, a_record, a_span, message


pytestmark = pytest.mark.once

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shop"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}
SEARCH = {"openinference.span.kind": "RETRIEVER", "input.value": "tea"}
VECTORS = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"}
MARK, NUMBER = "a mark", 7_654_321


@pytest.mark.parametrize("base", [CHAT, ASK, AGENT, TOOL, SEARCH, VECTORS])
@pytest.mark.parametrize(
    "name",
    [
        "agent.name",
        "gen_ai.openai.api_base",
        "gen_ai.prompt.prompt_filter_results",
        "gen_ai.request.temperature",
        "gen_ai.request.stream",
        "gen_ai.response.id",
        "gen_ai.response.stop_reason",
        "gen_ai.retrieval.documents",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.details.rejected_prediction_tokens",
        "gen_ai.usage.total_tokens",
        "llm.headers",
        "llm.invocation_parameters",
        "llm.request.model_name",
        "llm.token_count.prompt_details.cache_input",
        "llm.token_count.prompt_details.cache_read",
        "logfire.tags",
        "metadata",
        "metadata.shop",
        "server.address",
        "session.id",
        "tag.tags",
        "traceloop.span.kind",
        "user.id",
    ],
)
def test_kept_or_told(imported, base, name):
    """Whatever kind a span is, an attribute of it is in an event, or is counted."""
    lost = imported(message(a_span(base))).done.lost
    for value in (MARK, NUMBER):
        log = imported(message(a_span(base | {name: value})))
        if str(value) in json.dumps(log) or log.done.lost != lost:
            return
    pytest.fail("it is gone")


def test_secrets(imported):
    """Headers of a request may hold keys; they are counted, by any of their names."""
    given = dict.fromkeys(("gen_ai.headers", "llm.headers"), "Bearer abc")
    log = imported(message(a_span(CHAT | given)))
    assert b"Bearer" not in log.path.read_bytes()
    assert {"headers of requests, which may hold secrets": 1} == log.done.lost


def test_two_names_for_a_session(imported):
    """Of two ids for a conversation, the one that is not taken is kept."""
    log = imported(message(a_span(CHAT | {"gen_ai.conversation.id": "c", "session.id": "tab"})))
    (completion,) = log.of("completion")
    assert "c" == completion["session_id"]
    assert "tab" == completion["extensions"]["imported"]["session.id"]


def test_filters_beside_messages(imported):
    """What a provider's filter found stands among OpenLLMetry's messages, and does not cost them."""
    asked = {
        "gen_ai.prompt.prompt_filter_results": "[]",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Hi",
        "gen_ai.completion.0.content": "Hello",
        "gen_ai.completion.0.reasoning": "A greeting.",
    }
    log = imported(message(a_span(ASK | asked)))
    assert "Hi" == log.of("prompt")[0]["content"]["text"]
    (completion,) = log.of("completion")
    assert "Hello" == completion["content"]["text"]
    assert "A greeting." in json.dumps(completion["content"]["messages"])


def test_words_that_were_cut(imported):
    """Messages that a limit of the exporter cut in the middle are read as far as they go."""
    cut = {name: value[:-6] if "messages" in name else value for name, value in CHAT.items()}
    log = imported(message(a_span(cut)))
    assert ["H", "Hell"] == [
        log.of("prompt")[0]["content"]["text"],
        log.of("completion")[0]["content"]["text"][:4],
    ]
    assert {"attributes that end in the middle: what is there was read": 2} == log.done.lost


def test_what_was_left_out_before(imported):
    """What the limits of an exporter left out is told, and links between spans are kept."""
    links = [{"traceId": TRACE, "spanId": OTHER}]
    log = imported(
        message(a_span(droppedAttributesCount=3, droppedEventsCount=2, links=links)),
    )
    assert {
        "attributes that were left out before the export": 3,
        "events of spans that were left out before the export": 2,
    } == log.done.lost
    (completion,) = log.of("completion")
    assert [f"{TRACE}/{OTHER}"] == completion["extensions"]["imported"]["links"]


def test_an_agent_alone(imported):
    """What an agent took counts where no call of a model is on record, and only there."""
    agent = AGENT | {name: value for name, value in CHAT.items() if "operation" not in name}
    (completion,) = imported(message(a_span(agent))).of("completion")
    assert {"prompt": 7, "completion": 3, "total": 10} == completion["metrics"]["tokens"]
    log = imported(message(a_span(agent), a_span(spanId=OTHER, parentSpanId=SPAN)))
    counted = [each["metrics"]["tokens"] for each in log if "tokens" in each.get("metrics", {})]
    assert [{"prompt": 7, "completion": 3, "total": 10}] == counted


def test_a_model_that_a_tool_asks(imported):
    """A call within a tool that runs within a call is a call of its own."""
    tool = a_span(TOOL, spanId=OTHER, parentSpanId=SPAN)
    inner = a_span(spanId="0" * 15 + "1", parentSpanId=OTHER)
    log = imported(message(a_span(), tool, inner))
    assert 2 == log.actions()["completion"]


def test_cached_apart_and_fewer(imported):
    """Cached tokens that are fewer than the prompt's are added, too, where the sum counts them."""
    told = {"gen_ai.usage.cache_read.input_tokens": 5, "gen_ai.usage.total_tokens": 15}
    (completion,) = imported(message(a_span(CHAT | told))).of("completion")
    assert {"prompt": 12, "completion": 3, "total": 15, "cached": 5} == completion["metrics"][
        "tokens"
    ]


def test_judgements_in_their_sessions(imported):
    """A judgement is in the conversation of what it judges."""
    judged = [("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "good"})]
    first = a_span(CHAT | {"session.id": "a"})
    second = a_span(CHAT | {"session.id": "b"}, judged, spanId=OTHER)
    (feedback,) = imported(message(first, second)).of("feedback")
    assert ("b", f"{OTHER}.completion") == (
        feedback["session_id"],
        feedback["extensions"]["reply_to"],
    )


def test_records_in_the_order_of_time(imported):
    """Log records of a call may come in any order, and say who was asked, also without its span."""
    told = {"gen_ai.system": "openai"}
    records = [
        a_record("gen_ai.choice", told, {"message": {"content": "Hello"}}, timeUnixNano=BEGAN + 9),
        a_record("gen_ai.user.message", told, {"content": "two"}, timeUnixNano=BEGAN + 2),
        a_record("gen_ai.system.message", told, {"content": "one"}, timeUnixNano=BEGAN + 1),
    ]
    log = imported(message(records=records))
    (prompt,) = log.of("prompt")
    assert ["system", "user"] == [each["role"] for each in prompt["content"]["messages"]]
    assert "openai" == prompt["provenance"]["provider"]


def test_short_ids(imported):
    """Ids that are too short may be there again in another trace: no call is lost for that."""
    spans = [a_span(spanId="1", traceId=trace) for trace in ("7", "8")]
    log = imported(message(*spans))
    assert ({"prompt": 2, "completion": 2}, {}) == (log.actions(), log.done.lost)


def test_envelopes(imported):
    """Pages of Tempo and Jaeger have the message in an envelope."""
    for name in ("trace", "result"):
        assert 1 == imported({name: message(a_span())}).actions()["completion"]


def test_parameters_without_words(imported):
    """What a call was asked with is told, also where the words are not."""
    (completion,) = imported(message(a_span(ASK | {"gen_ai.request.temperature": 0.5}))).of(
        "completion"
    )
    assert {"temperature": 0.5} == completion["provenance"]["params"]


def test_what_is_not_over_yet(imported):
    """What Logfire exports of a span when it begins is no call besides that span."""
    begun = a_span(ASK | {"logfire.span_type": "pending_span"}, spanId=OTHER, parentSpanId=SPAN)
    assert {"prompt": 1, "completion": 1} == imported(message(begun, a_span())).actions()


@pytest.mark.parametrize("first", [{}, {"resourceProfiles": [{}]}, {"resourceMetrics": []}])
def test_other_messages_first(imported, first):
    """What a file begins with need not be spans."""
    log = imported(first, message(a_span()), {})
    assert ([], 1) == (log.told, log.actions()["completion"])


def test_exported_twice(imported):
    """A span that was exported before it was over, and in another file again, is one call."""
    begun = a_span({k: v for k, v in CHAT.items() if "output" not in k}, endTimeUnixNano="0")
    for spans in ((begun, a_span()), (a_span(), begun)):
        log = imported(message(spans[0]), message(spans[1]))
        assert {"prompt": 1, "completion": 1} == log.actions()
        (completion,) = log.of("completion")
        assert ("Hello", 1500) == (
            completion["content"]["text"],
            completion["metrics"]["latency_ms"],
        )


@pytest.mark.parametrize(
    ("told", "tokens", "cost"),
    [
        (
            {
                "langfuse.observation.usage_details": json.dumps(
                    {"input": 10, "output": 4, "cache_read_input_tokens": 90}
                ),
                "langfuse.observation.cost_details": json.dumps({"input": 0.25, "output": 0.5}),
            },
            {"prompt": 100, "completion": 4, "total": 104, "cached": 90},
            0.75,
        ),
        ({"llm.cost.prompt": 0.25, "llm.cost.completion": 0.5}, None, 0.75),
        ({"llm.cost.prompt": 0.25, "llm.cost.total": 1.0}, None, 1.0),
    ],
)
def test_parts_of_a_sum(imported, told, tokens, cost):
    """What a call took and cost by kind is summed up, where no sum is told."""
    (completion,) = imported(message(a_span(ASK | told))).of("completion")
    assert (tokens, cost) == (
        completion["metrics"].get("tokens"),
        completion["metrics"]["cost_usd"],
    )


def test_attempts_within_a_call(imported):
    """What several calls of an SDK within that of a framework took is summed up, if it tells no sum."""
    used = {name: value for name, value in CHAT.items() if "usage" in name}
    words = {name: value for name, value in CHAT.items() if name not in used}
    first = a_span(ASK | used, spanId="0" * 15 + "1", parentSpanId=SPAN)
    second = a_span(ASK | used, spanId="0" * 15 + "2", parentSpanId=SPAN)
    again = a_span(ASK | used, spanId="0" * 15 + "3", parentSpanId="0" * 15 + "2")
    for outer, total in ((words, 20), (CHAT, 10)):
        for spans in ((first, second, again), (again, second, first)):
            log = imported(message(*spans, a_span(outer)))
            told = [each["metrics"] for each in log if "tokens" in each.get("metrics", {})]
            assert [total] == [each["tokens"]["total"] for each in told]


def test_media_and_documents_of_openinference(imported):
    """Audio in a message is a reference to it, and where a document is from stays with it."""
    heard = "llm.input_messages.0.message.contents.0.message_content."
    spoken = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        heard + "type": "audio",
        heard + "audio.audio.url": "https://media.example/a.wav",
        heard + "audio.audio.mime_type": "audio/wav",
    }
    found = {
        "retrieval.documents.0.document.content": "Tea is free.",
        "retrieval.documents.0.document.url": "https://docs.example/tea",
    }
    log = imported(message(a_span(spoken), a_span(SEARCH | found, spanId=OTHER)))
    (medium,) = log.of("prompt")[0]["content"]["media"]
    assert "https://media.example/a.wav" in json.dumps(medium)
    (document,) = log.of("retrieval")[0]["extensions"]["documents"]
    assert ("Tea is free.", "https://docs.example/tea") == (
        document["text"],
        document["metadata"]["url"],
    )


def test_fields_of_a_resource(imported):
    """The environment and the version of a service are told with its calls."""
    told = {"deployment.environment.name": "live", "service.version": "7", "host.name": "a"}
    spans = [{"scope": {}, "spans": [a_span()]}]
    attributes = [{"key": name, "value": {"stringValue": value}} for name, value in told.items()]
    resource = {"attributes": attributes}
    log = imported({"resourceSpans": [{"resource": resource, "scopeSpans": spans}]})
    kept = log.of("completion")[0]["extensions"]["imported"]
    assert ("live", "7") == (kept["deployment.environment.name"], kept["service.version"])


INNER = {"parentSpanId": OTHER}
EMBED = {"openinference.span.kind": "EMBEDDING", "llm.token_count.prompt": 5}
EMBED |= {"llm.cost.total": 0.5, "embedding.embeddings.0.embedding.text": "tea"}


@pytest.mark.parametrize(
    "outer",
    [
        EMBED,
        {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 5, "input.value": "tea"},
        {"ai.operationId": "ai.embed", "ai.usage.tokens": 5, "ai.value": "tea"},
    ],
)
def test_an_embedding_within(imported, outer):
    """What an embedding took is not counted again where a span around it tells it, too."""
    log = imported(message(a_span(outer, spanId=OTHER), a_span(EMBED, **INNER)))
    assert [(5, 0.5)] == [
        (each["metrics"]["tokens"]["total"], each["metrics"]["cost_usd"])
        for each in log
        if {"tokens", "cost_usd"} & {*each.get("metrics", {})}
    ]
    (event,) = log.of("embedding")
    assert SPAN == event["provenance"]["run_id"]


def test_a_search_within(imported):
    """A search that makes others is one besides them, with its own question, and none has tokens."""
    outer = SEARCH | {"llm.token_count.prompt": 5}
    log = imported(message(a_span(outer, spanId=OTHER), a_span(outer, **INNER)))
    assert {"retrieval": 2} == log.actions()
    assert [] == [each for each in log if "tokens" in each.get("metrics", {})]
