"""What Langfuse exports becomes the events that recording it would have made."""

from __future__ import annotations

import csv
import json

import duckdb
import pytest

from hilt_logging.io.transcripts import Transcripts

from .conftest import HERE, exported


OBSERVATIONS = HERE / "langfuse_observations.json"
SCORES = HERE / "langfuse_scores.json"
pytestmark = pytest.mark.once


@pytest.fixture
def log(imported):
    return imported(OBSERVATIONS, SCORES)


def an_observation(**fields):
    """An observation as the API gives it."""
    return {
        "id": "o1",
        "traceId": "t1",
        "type": "GENERATION",
        "name": "ask",
        "startTime": "2026-11-23T07:00:00.000Z",
        "endTime": "2026-11-23T07:00:01.500Z",
        "model": "gpt-4o",
        "input": [{"role": "user", "content": "Hi"}],
        "output": "Hello",
        "level": "DEFAULT",
        **fields,
    }


def a_trace(**fields):
    """A trace as the API gives it."""
    return {
        "id": "t1",
        "timestamp": "2026-11-23T07:00:00.000Z",
        "name": "turn",
        "sessionId": "s1",
        "userId": "alice",
        "release": None,
        "version": None,
        "tags": ["x"],
        "public": False,
        "environment": "default",
        **fields,
    }


def tokens_of(imported, **details):
    (answer,) = imported(an_observation(usageDetails=details)).of("completion")
    return answer["metrics"]["tokens"]


def test_everything(log):
    """Each observation has its events, all are valid, and what is not carried over is told."""
    assert ([], 0) == (log.told, log.done.changed)
    assert {
        "tools that were offered, of which only the calls are kept": 7,
        "outputs of embeddings": 1,
    } == log.done.lost
    assert {
        "prompt": 9,
        "completion": 8,
        "tool_call": 8,
        "tool_result": 6,
        "retrieval": 2,
        "embedding": 1,
        "feedback": 4,
        "system": 12,
    } == log.actions()


def test_conversation(log):
    """Of a history that each call repeats only what is new is written, and it is told word for word."""
    prompts = log.of("prompt", "chat-1")
    told = Transcripts(log)
    assert [True] * 3 == [told.of(each["event_id"]).is_exact for each in prompts]
    assert "Thanks. And tomorrow?" == prompts[2]["content"]["text"]
    assert 7 == len(told.of(prompts[2]["event_id"]).turns)
    assert {"alice"} == {each["extensions"]["user_id"] for each in prompts}


def test_call(log):
    """A call has its model, parameters, ids, tokens, latency, and how it ended."""
    answer = log.of("completion", "chat-1")[2]
    provenance = answer["provenance"]
    assert "gpt-5.5-2026-04-23" == provenance["model"]
    assert provenance["run_id"] == provenance["span_id"]
    assert {
        "prompt": 2310,
        "completion": 540,
        "total": 2850,
        "cached": 2048,
        "cache_write": 128,
        "reasoning": 512,
    } == answer["metrics"]["tokens"]
    imported = answer["extensions"]["imported"]
    assert ("langfuse", "GENERATION", "staging", "r42") == tuple(
        imported[name] for name in ("from", "type", "environment", "release")
    )
    params = log.of("prompt", "chat-1")[0]["provenance"]["params"]
    assert 0.2 == params["temperature"]
    assert "max_tokens" not in params


def test_tools(log):
    """A tool that was asked for is called once; its run gives the result, with what it took."""
    for session in ("chat-1", "lc-7"):
        calls = {each["event_id"] for each in log.of("tool_call", session)}
        results = log.of("tool_result", session)
        assert 3 == len(results)
        assert calls == {each["extensions"]["reply_to"] for each in results}
        assert all("latency_ms" in each["metrics"] for each in results)


def test_counted_once(log):
    """Of a framework's call and that of the SDK within it one is the call, with what it took."""
    assert [216, 17431] == [
        sum(
            each["metrics"]["tokens"]["total"]
            for each in log.of("completion")
            if each["session_id"].startswith(session)
        )
        for session in ("lc-7", "df660078")
    ]


def test_scores(log):
    """Scores are judgements of the answer: a number, or a word."""
    helpful, tone = log.of("feedback", "chat-1")[:2]
    assert (1.0, "Quick and right") == (helpful["metrics"]["score"], helpful["content"]["text"])
    assert "metrics" not in tone
    assert ("tone", "warm") == tuple(
        tone["extensions"]["feedback"][name] for name in ("name", "value")
    )
    answers = {each["event_id"] for each in log.of("completion", "chat-1")}
    assert {helpful["extensions"]["reply_to"], tone["extensions"]["reply_to"]} <= answers


def test_score_of_a_session(imported):
    """What is said of a session belongs to it; a program that judges is no person."""
    score = {"id": "c", "name": "calm", "value": 0.25, "dataType": "NUMERIC", "source": "EVAL"}
    log = imported({**score, "sessionId": "s9", "timestamp": "2026-11-23T07:00:00Z"})
    (given,) = log
    assert ("s9", 0.25, {"type": "system", "id": "calm"}) == (
        given["session_id"],
        given["metrics"]["score"],
        given["actor"],
    )


@pytest.mark.parametrize(
    ("subject", "session", "reply_to"),
    [
        ({"kind": "observation", "id": "o1", "traceId": "t1"}, "t1", "o1.completion"),
        ({"kind": "trace", "id": "t1"}, "t1", "o1.completion"),
        ({"kind": "session", "id": "s9"}, "s9", None),
    ],
)
def test_scores_of_the_third_api(imported, subject, session, reply_to):
    """What is judged may be told in a field of its own."""
    score = {"id": "c", "name": "ok", "value": True, "dataType": "BOOLEAN", "source": "API"}
    score |= {"timestamp": "2026-11-23T07:00:09Z", "subject": subject}
    (given,) = imported(an_observation(), score).of("feedback")
    assert (session, reply_to) == (given["session_id"], given["extensions"].get("reply_to"))


def test_attributes_of_a_span(imported):
    """What a span of OpenTelemetry was given is kept, without secrets; the answer has its own id."""
    attributes = {"shop.id": "s7", "http.authorization": "SECRET", "gen_ai.response.id": "msg_1"}
    attributes["gen_ai.response.finish_reasons"] = '["stop"]'
    metadata = {"attributes": attributes, "scope": "billing"}
    (answer,) = imported(an_observation(metadata=metadata)).of("completion")
    assert {"shop.id": "s7"} == answer["extensions"]["imported"]["attributes"]
    assert {"scope": "billing"} == answer["extensions"]["metadata"]
    assert ("msg_1", "stop") == (
        answer["provenance"]["response_id"],
        answer["extensions"]["finish_reason"],
    )


def test_words_of_a_level(imported):
    """What was noted beside the level is kept, whatever the level is."""
    (answer,) = imported(an_observation(statusMessage="retried")).of("completion")
    assert "retried" == answer["extensions"]["imported"]["status_message"]


def test_two_projects(imported):
    """Of two observations that have one id in two projects one is kept, and that is told."""
    log = imported(an_observation(projectId="p1"), an_observation(projectId="p2"))
    assert {"objects with an id that another project has, too": 1} == log.done.lost


def test_error(log):
    """A call that failed says why."""
    (error,) = [each for each in log.of("system") if "error" in each["extensions"]]
    assert (429, "failed") == (error["extensions"]["status_code"], error["extensions"]["outcome"])
    assert "Rate limit reached" in error["extensions"]["error"]["message"]
    assert error["extensions"]["reply_to"] in {each["event_id"] for each in log.of("prompt")}


def snake(name):
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)


def stored(row, *, as_text):
    """A row as the storage export has it, with objects as text."""
    plain = {snake(name): value for name, value in row.items()}
    for name, value in plain.items():
        if name in ("input", "output", "model_parameters") or (
            as_text and isinstance(value, (dict, list))
        ):
            text = isinstance(value, str) or value is None
            plain[name] = value if text else json.dumps(value)
        elif isinstance(value, str) and name.endswith("_time"):
            plain[name] = value.replace("T", " ").removesuffix("Z")
    return plain


def test_storage_export(imported, tmp_path):
    """Folders of lines of JSON with other names are the same as the pages of the API."""
    before = imported(OBSERVATIONS, SCORES).path.read_bytes()
    for table in ("observations", "scores"):
        folder = tmp_path / "export" / "p1" / table
        folder.mkdir(parents=True)
        rows = [stored(each, as_text=False) for each in exported(f"langfuse_{table}.json")]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "2026-11-23T07-00-00.000Z.jsonl").write_text(text, "utf-8")
    log = imported(tmp_path / "export")
    assert [] == log.told
    assert before == log.path.read_bytes()


def test_csv(imported, tmp_path):
    """A file of CSV, which has no nulls and no numbers, is the same as the pages of the API."""
    before = imported(OBSERVATIONS).path.read_bytes()
    rows = [stored(each, as_text=True) for each in exported("langfuse_observations.json")]
    with open(tmp_path / "rows.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    assert before == imported(tmp_path / "rows.csv").path.read_bytes()


def test_csv_by_another_name(imported, tmp_path):
    """That a file is CSV is seen in it, where its name does not say so, as of standard input."""
    for name in ("rows", "rows.csv"):
        rows = "id,traceId,type,startTime,output\no1,t1,SPAN,2026-11-23T07:00:00Z,Hello\n"
        (tmp_path / name).write_text(rows, "utf-8-sig")
        (answer,) = imported(tmp_path / name).of("completion")
        assert "Hello" == answer["content"]["text"]


def test_parquet(imported, tmp_path):
    """A file of Parquet is the same as the pages of the API."""
    before = imported(OBSERVATIONS).path.read_bytes()
    rows = [stored(each, as_text=True) for each in exported("langfuse_observations.json")]
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    target = tmp_path / "rows.parquet"
    duckdb.execute(f"COPY (SELECT * FROM read_json('{tmp_path / 'rows.json'}')) TO '{target}'")
    assert before == imported(target).path.read_bytes()


def test_whole_trace(imported):
    """A trace with all that belongs to it gives its session and its user to that."""
    log = imported(a_trace(observations=[an_observation()], scores=[]))
    assert ["prompt", "completion"] == [each["action"] for each in log]
    assert {("s1", "alice")} == {
        (each["session_id"], each["extensions"]["user_id"]) for each in log
    }
    assert ["x"] == log[1]["extensions"]["tags"]


def test_trace_of_a_page(imported):
    """What the pages let one download of a trace is the same as its parts; ids alone are no parts."""
    rows, scores = exported("langfuse_observations.json"), exported("langfuse_scores.json")
    before = imported(*rows, *scores).path.read_bytes()
    assert before == imported({"observations": rows, "scores": scores}).path.read_bytes()
    ids = {"observations": ["o1"], "scores": ["c"]}
    log = imported({"trace": a_trace(**ids), "observations": [an_observation()]})
    assert (2, {}) == (len(log), log.done.lost)
    assert {"s1"} == {each["session_id"] for each in log}


def test_what_a_trace_alone_tells(imported):
    """What a trace says of itself is on record beside its observations, where they do not say it."""
    said = {"input": "Where?", "output": "Here", "metadata": {"shop": "s7"}}
    log = imported(a_trace(**said), an_observation())
    (step,) = log.of("system")
    assert {"inputs": "Where?", "outputs": "Here"} == {
        name: step["extensions"]["chain"][name] for name in ("inputs", "outputs")
    }
    assert {"shop": "s7"} == step["extensions"]["metadata"]
    root = an_observation(id="o0", type="SPAN", **said)
    assert 1 == len(imported(a_trace(**said), root, an_observation()).of("system"))


def test_sums_of_a_trace(imported):
    """A trace without its observations has what these took; beside them it is not counted again."""
    sums = {"latency": 2.5, "totalCost": 0.5, "usage": {"promptTokens": 5, "completionTokens": 6}}
    trace = a_trace(input="Where?", output="Here", **sums)
    (answer,) = imported(trace).of("completion")
    assert {
        "latency_ms": 2500,
        "tokens": {"prompt": 5, "completion": 6, "total": 11},
        "cost_usd": 0.5,
    } == answer["metrics"]
    log = imported(trace, an_observation(type="SPAN", model=None, input=None, output=None))
    assert not any("cost_usd" in each.get("metrics", {}) for each in log)
    (answer,) = imported(a_trace(input="Where?", output="Here")).of("completion")
    assert "metrics" not in answer


def test_session(imported):
    """A session with its traces gives them its name."""
    trace = a_trace(sessionId=None, input="Where?", output="Here")
    log = imported({"id": "s7", "createdAt": "2026-11-23", "projectId": "p", "traces": [trace]})
    assert [("s7", "Where?"), ("s7", "Here")] == [
        (each["session_id"], each["content"]["text"]) for each in log
    ]


def test_traces_alone(imported):
    """Of a trace without observations, what it was asked and gave is on record."""
    log = imported(a_trace(input={"messages": [{"role": "user", "content": "a"}]}, output="b"))
    assert [("prompt", "a"), ("completion", "b")] == [
        (each["action"], each["content"]["text"]) for each in log
    ]


@pytest.mark.parametrize(
    ("details", "prompt", "more"),
    [
        ({"input": 12, "output": 5}, 12, {}),
        ({"input": 12, "input_cached_tokens": 8, "output": 5, "total": 25}, 20, {"cached": 8}),
        ({"input": 12, "input_cached_tokens": 8, "output": 5, "total": 17}, 12, {"cached": 8}),
        (
            {
                "input": 12,
                "cache_read_input_tokens": 8,
                "cache_creation_input_tokens": 4,
                "output": 5,
            },
            24,
            {"cached": 8, "cache_write": 4},
        ),
        (
            {"input": 12, "cache_creation_input_tokens": 4, "output": 5}
            | {"cache_creation_ephemeral_1h_input_tokens": 3}
            | {"cache_creation_ephemeral_5m_input_tokens": 1},
            16,
            {"cache_write": 4, "cache_write_1h": 3},
        ),
        (
            {"prompt_tokens": 12, "completion_tokens": 5}
            | {"prompt_tokens_details": {"cached_tokens": 8}},
            12,
            {"cached": 8},
        ),
    ],
)
def test_tokens(imported, details, prompt, more):
    """Tokens of a cache are in the prompt's once, in whatever way they were counted."""
    found = tokens_of(imported, **details)
    assert {"prompt": prompt, "completion": 5, "total": prompt + 5, **more} == found


def test_cost(imported):
    """The cost is what Langfuse says; a sum of nothing is none."""
    costs = {"costDetails": {"input": "0.001", "output": 0.002, "total": 0.003}}
    (answer,) = imported(an_observation(**costs)).of("completion")
    assert 0.003 == answer["metrics"]["cost_usd"]
    assert {"source": "langfuse"} == answer["provenance"]["price"]
    (answer,) = imported(an_observation(costDetails={}, totalCost=0)).of("completion")
    assert "cost_usd" not in answer["metrics"]


def test_cost_of_a_tool(imported):
    """What a tool cost is no cost of a model: it is kept with the tool, and told."""
    tool = an_observation(id="o2", type="TOOL", model=None, costDetails={"total": 0.01})
    log = imported(an_observation(), tool)
    assert not any("cost_usd" in each.get("metrics", {}) for each in log)
    (result,) = log.of("tool_result")
    assert 0.01 == result["extensions"]["imported"]["cost_usd"]
    assert {"tokens and costs of what is no call of a model": 1} == log.done.lost


def test_older_usage(imported):
    """What was counted in characters are no tokens."""
    usage = {"input": 7, "output": 2, "unit": "TOKENS"}
    (answer,) = imported(an_observation(usage=usage)).of("completion")
    assert 9 == answer["metrics"]["tokens"]["total"]
    (answer,) = imported(an_observation(usage={**usage, "unit": "CHARACTERS"})).of("completion")
    assert "tokens" not in answer["metrics"]


def test_usage_of_the_first_api(imported):
    """Characters are no tokens where they are told by kind, too; they are kept as they are."""
    usage = {"input": 7, "output": 2, "total": 9, "unit": "CHARACTERS", "totalCost": 0.5}
    told = {"input": 7, "output": 2, "total": 9}
    (answer,) = imported(an_observation(usage=usage, usageDetails=told)).of("completion")
    assert {"latency_ms": 1500, "cost_usd": 0.5} == answer["metrics"]
    assert usage == answer["extensions"]["imported"]["usage"]


@pytest.mark.parametrize(
    "told",
    [{"usage": {"total": 9}}, {"usageDetails": {"total": 9}}, {"totalTokens": 9}],
)
def test_sum_of_tokens_alone(imported, told):
    """Where only the sum of the tokens is known, that is what is told."""
    (answer,) = imported(an_observation(**told)).of("completion")
    assert {"total": 9} == answer["metrics"]["tokens"]


def test_older_names(imported):
    """Tokens and costs have the names that older packages gave them, too."""
    usage = {"promptTokens": 0, "completionTokens": 2, "totalTokens": 2}
    (answer,) = imported(an_observation(usage=usage, calculatedTotalCost=0.1)).of("completion")
    assert {"prompt": 0, "completion": 2, "total": 2} == answer["metrics"]["tokens"]
    assert 0.1 == answer["metrics"]["cost_usd"]


def test_numbers_that_are_no_tokens(imported):
    """A number that was asked or answered is no count of tokens."""
    (answer,) = imported(an_observation(input=5, output="7")).of("completion")
    assert {"latency_ms": 1500} == answer["metrics"]
    assert "7" == answer["content"]["text"]


def test_agent_that_is_a_call(imported):
    """An observation of another kind that has a model and tokens is a call, if none is within it."""
    agent = an_observation(type="AGENT", usageDetails={"input": 1, "output": 2})
    assert 3 == imported(agent).of("completion")[0]["metrics"]["tokens"]["total"]
    inner = an_observation(
        id="o2", parentObservationId="o1", usageDetails={"input": 1, "output": 2}
    )
    log = imported(agent, inner)
    assert ["o2.completion"] == [each["event_id"] for each in log.of("completion")]


def test_older_row_is_replaced(imported):
    """Of an observation that was exported twice, the newer one counts, in any order."""
    old = an_observation(output="old", updatedAt="2026-11-23T07:00:02Z")
    new = an_observation(output="new", updatedAt="2026-11-23T07:00:03Z")
    for rows in ((old, new), (new, old)):
        assert ["new"] == [each["content"]["text"] for each in imported(*rows).of("completion")]


def test_media(imported):
    """Images are references, and other parts stay what they are."""
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]
    (prompt,) = imported(an_observation(input=[{"role": "user", "content": content}])).of("prompt")
    assert [("image", "image/png", 2)] == [
        (each["type"], each["mime_type"], each["bytes"]) for each in prompt["content"]["media"]
    ]


def test_nothing_recorded(imported, tmp_path):
    """The list of its files that a storage export has, and a last page, are no faults."""
    folder = tmp_path / "export" / "manifests"
    folder.mkdir(parents=True)
    manifest = {"version": 1, "projectId": "p", "exportSource": "OBSERVATIONS_V2"}
    (folder / "a.json").write_text(json.dumps({**manifest, "files": [{"key": "p/x.jsonl"}]}))
    (folder / "b.json").write_text('{"data": [], "meta": {"limit": 50}}')
    log = imported(tmp_path / "export")
    assert (0, [], {}) == (len(log), log.told, log.done.lost)


def test_not_langfuse(imported, tmp_path):
    """What is something else is told, and costs nothing else."""
    log = imported(an_observation(), {"hello": 1})
    assert (2, ["not what is exported by langfuse"]) == (len(log), [e.reason for e in log.told])
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.json").write_text('{"hello": 1}')
    (folder / "b.csv").write_text("a,b\n1,2\n")
    log = imported(folder)
    assert 2 == log.done.faults
    assert ["It is no CSV", "It is nothing"] == sorted(
        each.reason.partition(" that can be imported")[0] for each in log.told
    )


def test_odd_row_of_a_page(imported):
    """A row that is something else costs none of the others on its page."""
    log = imported({"data": [{"x": 1}, an_observation()], "meta": {}})
    assert (2, {"objects that are no traces, observations or scores": 1}) == (
        len(log),
        log.done.lost,
    )


def test_sessions_of_observations(imported):
    """An observation that names a session of its own is in that, those within it, too."""
    first = an_observation(id="o1", sessionId="one", type="SPAN")
    inner = an_observation(id="o2", parentObservationId="o1")
    second = an_observation(id="o3", sessionId="two")
    log = imported(first, inner, second)
    assert {"system": 1, "prompt": 1, "completion": 1} == log.actions("one")
    assert {"prompt": 1, "completion": 1} == log.actions("two")
