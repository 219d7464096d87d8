"""What LangSmith exports becomes the events that recording it would have made."""

from __future__ import annotations

import json

import duckdb
import pytest

from hilt_logging.io.transcripts import Transcripts

from .conftest import HERE, exported


RUNS = HERE / "langsmith_runs.jsonl"
FEEDBACK = HERE / "langsmith_feedback.jsonl"
pytestmark = pytest.mark.once


@pytest.fixture
def log(imported):
    return imported(RUNS, FEEDBACK)


def a_run(**fields):
    """A run as the API gives it."""
    return {
        "id": "r1",
        "trace_id": "r1",
        "dotted_order": "20261123T070000000000Zr1",
        "name": "ask",
        "run_type": "llm",
        "start_time": "2026-11-23T07:00:00.000000",
        "end_time": "2026-11-23T07:00:01.500000",
        "inputs": {"messages": [{"role": "user", "content": "Hi"}]},
        "outputs": {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]},
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o"}},
        **fields,
    }


def test_everything(log):
    """Each run has its events, all are valid, and what is not carried over is told."""
    assert ([], 0) == (log.told, log.done.changed)
    assert {
        "tools that were offered, of which only the calls are kept": 3,
        "tracebacks": 2,
    } == log.done.lost
    assert {
        "prompt": 12,
        "completion": 10,
        "tool_call": 11,
        "tool_result": 7,
        "retrieval": 3,
        "feedback": 1,
        "system": 10,
    } == log.actions()
    assert {"langsmith"} == {
        each["extensions"]["imported"]["from"] for each in log if "imported" in each["extensions"]
    }


def test_sessions(log):
    """Conversations are those that the metadata name, else each trace is one."""
    named = {each["session_id"] for each in log if each["extensions"]["session_source"] != "new"}
    assert {"chat-1", "lc-7"} == named
    assert {"alice"} == {each["extensions"]["user_id"] for each in log.of("prompt", "chat-1")}


def test_conversation(log):
    """Of a history that each call repeats only what is new is written, and it is told word for word."""
    prompts = log.of("prompt", "chat-1")
    told = Transcripts(log)
    assert [True] * 3 == [told.of(each["event_id"]).is_exact for each in prompts]
    assert "Thanks. And tomorrow?" == prompts[2]["content"]["text"]
    assert ["user"] == [
        each["role"] for each in prompts[2]["content"].get("messages", [{"role": "user"}])
    ]
    turns = told.of(prompts[2]["event_id"]).turns
    assert ["user", "assistant", "tool", "tool", "tool", "assistant", "user"] == [
        each["role"] for each in turns
    ]
    answers = log.of("completion", "chat-1")
    assert [each["event_id"] for each in answers[:2]] == [
        each["extensions"]["follows"] for each in prompts[1:]
    ]


def test_call(log):
    """A call has provider, models, parameters, ids, tokens, latency, and how it ended."""
    answer = log.of("completion", "chat-1")[1]
    provenance = answer["provenance"]
    assert ("openai", "gpt-5.5-2026-04-23", "gpt-4o-mini") == tuple(
        provenance[name] for name in ("provider", "model", "request_model")
    )
    assert provenance["run_id"] == provenance["call_id"] == answer["event_id"].partition(".")[0]
    assert provenance["response_id"].startswith("chatcmpl-")
    assert {"prompt": 24, "completion": 13, "total": 37} == answer["metrics"]["tokens"]
    assert 16 == answer["metrics"]["latency_ms"]
    assert ("stop", "completed") == (
        answer["extensions"]["finish_reason"],
        answer["extensions"]["outcome"],
    )
    assert ["demo"] == answer["extensions"]["tags"]
    assert {"temperature": 0.2} == log.of("prompt", "chat-1")[0]["provenance"]["params"]


def test_first_token(log):
    """The first piece of a stream gives the time to the first token."""
    (streamed,) = [each for each in log if "time_to_first_token_ms" in each.get("metrics", {})]
    assert "Once upon a time" in streamed["content"]["text"]


def test_cached_tokens(log):
    """Tokens out of Anthropic's cache are in the prompt's, whoever counted them."""
    tokens = [
        each["metrics"]["tokens"]
        for each in log.of("completion")
        if each["provenance"]["model"] == "claude-sonnet-5-5"
        and "cached" in each["metrics"]["tokens"]
    ]
    assert [17420, 17420] == [each["prompt"] for each in tokens]
    assert [(15360, 2048, 512)] * 2 == [
        (each["cached"], each["cache_write"], each["cache_write_1h"]) for each in tokens
    ]


def test_tools(log):
    """A tool that was asked for is called once; its run gives the result, with what it took."""
    calls = {each["event_id"]: each for each in log.of("tool_call", "lc-7")}
    results = log.of("tool_result", "lc-7")
    assert (3, 3) == (len(calls), len(results))
    assert {"21 degrees in Paris", "21 degrees in Zürich", "12:00"} == {
        each["content"]["text"] for each in results
    }
    for each in results:
        asked = calls[each["extensions"]["reply_to"]]["extensions"]["tool"]
        assert asked["call_id"] == each["extensions"]["tool"]["call_id"]
        assert "latency_ms" in each["metrics"]


def test_tools_of_the_application(log):
    """A run of a tool that does not say for which call it is, is found by what it was given."""
    first, second, _ = log.of("tool_call", "chat-1")[:3]
    results = {each["extensions"].get("reply_to"): each for each in log.of("tool_result", "chat-1")}
    assert {"city": "Paris", "t": 21} == results[first["event_id"]]["extensions"]["tool"]["result"]
    assert "latency_ms" in results[second["event_id"]]["metrics"]


def test_search(log):
    """A search has what was searched for and the documents."""
    (cats,) = [each for each in log.of("retrieval") if each["content"]["text"] == "cats"]
    assert [{"id": "d1", "text": "Cats sleep a lot.", "metadata": {"source": "book"}}] == cats[
        "extensions"
    ]["documents"]


def test_errors(log):
    """A call that failed says how, in the words of the exception, without the traceback."""
    errors = [each["extensions"] for each in log.of("system") if "error" in each["extensions"]]
    assert {("RateLimitError", 429), ("OpenAIAuthenticationError", 401)} == {
        (each["error"]["type"], each["status_code"]) for each in errors
    }
    assert not any("Traceback" in each["error"]["message"] for each in errors)
    prompts = {each["event_id"] for each in log.of("prompt")}
    assert all(each["reply_to"] in prompts for each in errors)


def test_feedback(log):
    """Feedback is a judgement of the run, in its conversation."""
    (given,) = log.of("feedback")
    assert ("chat-1", 1.0, "Quick and right") == (
        given["session_id"],
        given["metrics"]["score"],
        given["content"]["text"],
    )
    judged = next(each for each in log if each["event_id"] == given["extensions"]["reply_to"])
    assert ("system", "turn") == (judged["action"], judged["extensions"]["chain"]["name"])


def test_again(imported):
    """What stands in two files is one, and importing twice makes the same bytes."""
    once = imported(RUNS, FEEDBACK)
    before = once.path.read_bytes()
    assert before == imported(RUNS, FEEDBACK, *exported("langsmith_runs.jsonl")).path.read_bytes()


def test_pages(imported):
    """Pages of the API, and runs within runs, are the same as the runs alone."""
    before = imported(RUNS).path.read_bytes()
    runs = exported("langsmith_runs.jsonl")
    assert before == imported({"runs": runs, "cursors": {}}).path.read_bytes()
    assert before == imported({**runs[0], "child_runs": runs[1:]}).path.read_bytes()


def test_parquet(imported, tmp_path):
    """A folder of the bulk export, in which objects are text, is the same as the runs alone."""
    before = imported(RUNS).path.read_bytes()
    rows = exported("langsmith_runs.jsonl")
    for row in rows:
        for name in ("inputs", "outputs", "extra", "events", "serialized", "feedback_stats"):
            row[name] = None if row[name] is None else json.dumps(row[name])
    text = tmp_path / "rows.json"
    text.write_text(json.dumps(rows), "utf-8")
    folder = tmp_path / "export" / "year=2026" / "month=11"
    folder.mkdir(parents=True)
    duckdb.execute(f"COPY (SELECT * FROM read_json('{text}')) TO '{folder / 'a.parquet'}'")
    log = imported(tmp_path / "export")
    assert [] == log.told
    assert before == log.path.read_bytes()


def test_what_the_server_adds(imported):
    """Tokens, cost and first token that the server counted are those of the call, and of it alone."""
    call = a_run(
        id="r2",
        parent_run_id="r1",
        prompt_tokens=10,
        completion_tokens=5,
        total_cost="0.00125",
        first_token_time="2026-11-23T07:00:00.250000",
    )
    chain = a_run(run_type="chain", prompt_tokens=10, completion_tokens=5, total_cost=0.00125)
    log = imported(chain, call)
    assert [
        {
            "latency_ms": 1500,
            "time_to_first_token_ms": 250,
            "tokens": {"prompt": 10, "completion": 5, "total": 15},
            "cost_usd": 0.00125,
        }
    ] == [each["metrics"] for each in log if "tokens" in each.get("metrics", {})]
    assert 1 == sum("cost_usd" in each.get("metrics", {}) for each in log)
    assert {"source": "langsmith"} == log.of("completion")[0]["provenance"]["price"]


def of_second_api(run):
    """A run as the second version of the API gives it."""
    made = dict(run, run_type=run["run_type"].upper(), status="SUCCESS")
    made["metadata"] = made.pop("extra")["metadata"]
    parent = made.pop("parent_run_id", None)
    return {**made, "parent_run_ids": [parent] if parent else []}


def test_second_api(imported):
    """Runs whose kinds are in capitals, with metadata and the runs around them in other places."""
    chain = a_run(run_type="chain", inputs={"q": "?"}, outputs={"a": "!"})
    call = a_run(
        id="r2",
        parent_run_id="r1",
        prompt_tokens=10,
        completion_tokens=5,
        extra={"metadata": {"thread_id": "c9", "ls_provider": "openai"}},
    )
    before = imported(chain, call)
    chain, call = of_second_api(chain), of_second_api(call)
    log = imported({"items": [chain, call], "next_cursor": None})
    assert list(before) == list(log)
    call["prompt_token_details"] = {"raw": {"cache_read": 4}}
    (answer,) = imported(chain, call).of("completion")
    assert 4 == answer["metrics"]["tokens"]["cached"]
    assert "r1" == answer["provenance"]["parent_run_id"]
    assert 0 == len(imported({"items": [], "next_cursor": None}).told)


def test_public_address(imported):
    """By the address of a shared run anyone can see it: it is not carried over."""
    log = imported(a_run(share_url="https://smith.test/public/SECRET/r"))
    assert b"SECRET" not in log.path.read_bytes()


def test_parents_by_order(imported):
    """The run around a run is known by the order, if nothing else tells it."""
    order = "20261123T070000000000Zr1.20261123T070000000000Zr2"
    (answer,) = imported(a_run(id="r2", dotted_order=order)).of("completion")
    assert "r1" == answer["provenance"]["parent_run_id"]


def test_runs_within_a_run(imported):
    """Runs within a run are of its trace, also where they do not say so."""
    bare = {"trace_id": None, "dotted_order": None}
    inner = a_run(id="r2", **bare)
    outer = a_run(run_type="chain", inputs={"q": "?"}, **bare, child_runs=[inner])
    log = imported(outer)
    assert {"prompt": 1, "completion": 1, "system": 1} == log.actions("r1")
    assert "r1" == log.of("completion")[0]["provenance"]["parent_run_id"]


def test_deep_runs_are_told(imported):
    """Runs that are too deep within others are counted."""
    run = a_run(id="r0")
    for number in range(1, 103):
        run = a_run(id=f"r{number}", child_runs=[run])
    assert {"objects that are neither runs nor feedback": 1} == imported(run).done.lost


@pytest.mark.parametrize(
    ("fields", "metrics"),
    [
        ({"total_tokens": 9}, {"tokens": {"total": 9}}),
        ({"prompt_cost": 0.25, "completion_cost": "0.5"}, {"cost_usd": 0.75}),
        (
            {"prompt_tokens": 5, "completion_tokens": 3}
            | {"completion_token_details": '{"reasoning": 1}'},
            {"tokens": {"prompt": 5, "completion": 3, "total": 8, "reasoning": 1}},
        ),
    ],
)
def test_parts_of_tokens_and_costs(imported, fields, metrics):
    """Where only a sum, only parts, or texts are there, they are what is told."""
    (answer,) = imported(a_run(**fields)).of("completion")
    assert {"latency_ms": 1500, **metrics} == answer["metrics"]


def test_in_another_place(imported):
    """What was too large for the run and is in a store is told; the begin of it is kept."""
    where = {"inputs_s3_urls": {"ROOT": "https://store"}, "inputs_preview": "human: Hi"}
    log = imported(a_run(inputs={}, **where))
    assert {"inputs and outputs that are in another place": 1} == log.done.lost
    assert "human: Hi" == log.of("completion")[0]["extensions"]["imported"]["inputs_preview"]


def test_metadata_as_text(imported):
    """Metadata that a table has as a text name the conversation, too."""
    log = imported(a_run(extra={"metadata": '{"thread_id": "c9"}'}))
    assert {"c9"} == {each["session_id"] for each in log}


def test_several_at_once(imported):
    """Of several conversations in one call the first is carried over, and the others are told."""
    asked = [[{"role": "user", "content": word}] for word in "ab"]
    answers = {"generations": [[{"text": "A"}], [{"text": "B"}]]}
    log = imported(a_run(inputs={"messages": asked}, outputs=answers))
    assert ["a", "A"] == [each["content"]["text"] for each in log]
    assert {"prompts and answers beside the first of a call that had several": 2} == log.done.lost
    pairs = [["human", "a"], ["ai", "b"]]
    assert {} == imported(a_run(inputs={"messages": pairs})).done.lost


def test_own_fields_of_extra(imported):
    """What people put beside the metadata is kept."""
    extra = {"metadata": {}, "shop": "s7"}
    (answer,) = imported(a_run(extra=extra)).of("completion")
    assert {"shop": "s7"} == answer["extensions"]["imported"]["extra"]


def test_statistics_of_feedback(imported):
    """Where feedback itself is not exported, what a run tells of it stands for it."""
    stats = {"helpful": {"n": 2, "avg": 0.5, "comments": ["good", "bad"]}}
    (given,) = imported(a_run(feedback_stats=stats)).of("feedback")
    assert (0.5, "good\nbad", "r1.completion") == (
        given["metrics"]["score"],
        given["content"]["text"],
        given["extensions"]["reply_to"],
    )
    own = {"id": "f", "key": "helpful", "run_id": "r1", "trace_id": "r1", "score": True}
    (given,) = imported(a_run(feedback_stats=stats), own).of("feedback")
    assert ("f.feedback", 1.0) == (given["event_id"], given["metrics"]["score"])


def test_trace_without_a_call(imported):
    """Where no call of a model is in a trace, what its root was asked and gave is on record."""
    inputs, outputs = {"question": "Where?"}, {"answer": "Here"}
    log = imported(a_run(run_type="chain", inputs=inputs, outputs=outputs))
    assert ["prompt", "completion"] == [each["action"] for each in log]
    assert ["Where?", "Here"] == [each["content"]["text"] for each in log]
    assert "usage" not in log[1]["extensions"]


def test_on_its_way(imported):
    """A run without an end has only what was asked."""
    log = imported(a_run(end_time=None, outputs=None, status="pending"))
    assert ["prompt"] == [each["action"] for each in log]


def test_exported_on_its_way_and_again(imported):
    """Of a run that was exported before its end and after it the latter counts, in any order."""
    before = a_run(end_time=None, outputs=None, status="pending", total_tokens=5)
    after = a_run(status="success", total_tokens=9)
    for rows in ((before, after), (after, before)):
        (answer,) = imported(*rows).of("completion")
        assert {"total": 9} == answer["metrics"]["tokens"]
        assert "status" not in answer["extensions"]["imported"]


def test_unknown_fields(imported):
    """What has no place is kept where it is small, and counted where it is not."""
    log = imported(a_run(reference_example_id="e1", notes="x" * 3000))
    assert "e1" == log.of("completion")[0]["extensions"]["imported"]["reference_example_id"]
    assert {"fields of more than 2,000 characters": 1} == log.done.lost


def test_odd_row_of_a_page(imported):
    """A row that is something else costs none of the others on its page."""
    log = imported({"runs": [{"x": 1}, a_run()]})
    assert (2, {"objects that are neither runs nor feedback": 1}) == (len(log), log.done.lost)


def test_threads_in_one_trace(imported):
    """A run is in the conversation that it names, or that of the next run around it which names one."""

    def within(name, parent, thread=None, **fields):
        metadata = {"thread_id": thread} if thread else {}
        at = {"id": name, "parent_run_id": parent, "dotted_order": None}
        return a_run(**at, extra={"metadata": metadata}, **fields)

    batch = a_run(run_type="chain", inputs={}, outputs={})
    inner = within("a", "r1", "one", run_type="chain", inputs={}, outputs={})
    judged = {"id": "f1", "key": "good", "run_id": "c", "trace_id": "r1", "score": 1}
    log = imported(batch, inner, within("b", "a"), within("c", "r1", "two"), judged)
    assert {"system": 1} == log.actions("r1")
    assert {"system": 1, "prompt": 1, "completion": 1} == log.actions("one")
    assert {"prompt": 1, "completion": 1, "feedback": 1} == log.actions("two")
