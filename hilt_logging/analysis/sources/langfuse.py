"""
Traces, observations and scores of Langfuse, as its storage export, its pages and its API give them,
as events.
"""

from __future__ import annotations

import datetime

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ...integrations._conversations import Conversations
from ...integrations._fields import decoded, field, items, text
from ...integrations._langchain import call_fields, own_metadata
from .run_events import events_in
from .runs import Feedback, Run, Trace
from .shelf import Piece
from .usage import sums_of, tokens_of_details
from .values import moment, named, number, sortable, whole


__all__ = ["NAME", "events_of", "is_one", "pieces_of"]

NAME = "langfuse"

_KINDS = {
    "AGENT": "step",
    "CHAIN": "step",
    "EMBEDDING": "embedding",
    "EVALUATOR": "step",
    "EVENT": "step",
    "GENERATION": "model",
    "GUARDRAIL": "step",
    "RETRIEVER": "retriever",
    "SPAN": "step",
    "TOOL": "tool",
}
_OF_TRACES = (
    "release", "version", "tags", "public", "bookmarked", "htmlPath", "userId", "user_id",
    "sessionId", "session_id", "environment",
)  # fmt: skip
_JUDGES = ("ANNOTATION", "API", "EVAL")
_PLACED = frozenset({
    "id", "trace_id", "type", "name", "start_time", "end_time", "completion_start_time",
    "parent_observation_id", "input", "output", "metadata", "model", "provided_model_name",
    "model_parameters", "usage", "usage_details", "cost_details", "provided_usage_details",
    "provided_cost_details", "total_cost", "calculated_total_cost", "calculated_input_cost",
    "calculated_output_cost", "input_cost", "output_cost", "prompt_tokens", "completion_tokens",
    "total_tokens", "input_usage", "output_usage", "total_usage", "unit", "level",
    "status_message", "session_id", "user_id", "tags", "trace_tags", "latency",
    "time_to_first_token", "created_at", "updated_at", "project_id", "input_price",
    "output_price", "total_price", "model_id", "internal_model_id", "timestamp", "scores",
    "observations", "html_path", "public", "bookmarked", "trace_timestamp", "prompt_id",
    "usage_pricing_tier_id", "usage_pricing_tier_name", "tool_calls", "tool_call_names",
    "tool_definitions", "tool_calls_count", "tool_definitions_count", "_deprecation",
    "is_root_observation", "is_app_root", "event_ts", "is_deleted",
})  # fmt: skip
_JUDGED = frozenset({
    "id", "trace_id", "observation_id", "session_id", "name", "value", "string_value", "comment",
    "timestamp", "created_at", "updated_at", "author_user_id", "project_id", "source", "subject",
})  # fmt: skip
_CONVENTIONS = ("gen_ai.", "langfuse.", "llm.", "traceloop.", "ai.")
"""How attributes begin that Langfuse has read, and has told in fields of its own."""
_NO_OBJECTS = ("scores", "comments", "observations", "traces")
_IN_JSON = (
    "input", "output", "metadata", "model_parameters", "usage_details", "cost_details", "tags",
    "provided_usage_details", "provided_cost_details", "usage", "comments", "trace_tags",
)  # fmt: skip
"""What a storage export or a file of CSV has as text."""
_UPPER = str.maketrans({letter: f"_{letter.lower()}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
_DEEPEST = 8
_MOST_ROWS = 64
"""In how many rows of a page one of Langfuse's is looked for."""


def is_one(value: dict[str, Any]) -> bool:
    """Return whether it is a trace, an observation, a score, a session, or a page of them."""
    if _kind(value) is not None or _is_manifest(value):
        return True
    if "data" in value and isinstance(value.get("meta"), dict):
        rows = value["data"]
        if rows == []:
            return any(name in value["meta"] for name in ("totalItems", "cursor", "limit"))
    else:
        rows = next((value[n] for n in ("traces", "observations", "scores") if value.get(n)), None)
    found = rows[:_MOST_ROWS] if isinstance(rows, list) else []
    return any(isinstance(row, dict) and _kind(row) is not None for row in found)


def _is_manifest(value: dict[str, Any]) -> bool:
    """Whether it is what a storage export tells of itself, in which nothing was recorded."""
    return "exportSource" in value and isinstance(value.get("files"), list)


def _kind(value: dict[str, Any]) -> str | None:
    """Whether it is a trace, an observation or a score; None where it is nothing of it."""
    if not named(value, "id"):
        return None
    kind = text(value, "type") or ""
    if kind.upper() in _KINDS and field(value, "start_time"):
        return "observation" if "traceId" in value or "trace_id" in value else None
    judged = text(value, "data_type") is not None or text(value, "source") in _JUDGES
    if judged and text(value, "name") is not None and ("value" in value or "stringValue" in value):
        return "score"
    known = sum(name in value for name in _OF_TRACES)
    return "trace" if known > 1 and "timestamp" in value and "actor" not in value else None


def pieces_of(value: dict[str, Any], lost: Counter[str], depth: int = 0) -> Iterator[Piece]:
    """Yield the traces, observations and scores in an object, those within others, too."""
    kind = _kind(value)
    if kind is None and _is_manifest(value):
        return
    rows = [each for name in ("data", "traces") for each in _rows(value, name)]
    if kind in (None, "trace"):
        rows += [each for name in ("observations", "scores") for each in _rows(value, name)]
        rows += [value["trace"]] if kind is None and isinstance(value.get("trace"), dict) else []
    session = None if kind is not None or "data" in value else named(value, "id")
    for row in rows if depth < _DEEPEST else ():
        more = {"sessionId": session} if session and "traces" in value else {}
        if isinstance(row, dict) and is_one(row):
            yield from pieces_of({**row, **more}, lost, depth + 1)
        elif kind is None or isinstance(row, dict):
            lost["objects that are no traces, observations or scores"] += 1
    if kind is not None:
        plain = {_snake(name): _plain(_snake(name), each) for name, each in value.items()}
        if kind == "trace":
            if items(plain, "comments"):
                lost["comments"] += len(items(plain, "comments"))
            plain = {name: each for name, each in plain.items() if name not in _NO_OBJECTS}
        if kind == "score":
            plain = _subject(plain) | plain
        trace_id = value["id"] if kind == "trace" else named(plain, "trace_id")
        when = moment(field(value, "start_time", "timestamp")) if kind != "score" else None
        yield Piece(
            str(trace_id or f"session {named(plain, 'session_id') or value['id']}"),
            {**plain, "": kind},
            at="" if when is None else when.isoformat(),
        )


def _subject(score: dict[str, Any]) -> dict[str, Any]:
    """What is judged, as the third version of the API says it."""
    subject = score.get("subject")
    kind, subject_id = text(subject, "kind"), named(subject, "id")
    if kind == "experiment":
        return {"dataset_run_id": subject_id}
    told = {f"{kind}_id": subject_id} if kind in ("trace", "observation", "session") else {}
    return {"trace_id": named(subject, "trace_id"), **told}


def _rows(value: dict[str, Any], name: str) -> list[Any]:
    rows = value.get(name)
    return rows if isinstance(rows, list) else []


def _snake(name: str) -> str:
    return name.translate(_UPPER).lstrip("_") if not name.startswith("_") else name


def _plain(name: str, value: Any) -> Any:
    if name in _IN_JSON and isinstance(value, str) and value[:1] in ("{", "["):
        return decoded(value)
    return None if value == "" else value


def events_of(
    parts: list[dict[str, Any]], lost: Counter[str], known: Conversations
) -> Iterable[Any]:
    """Yield the events of a trace."""
    found: dict[str, dict[str, dict[str, Any]]] = {"trace": {}, "observation": {}, "score": {}}
    for each in parts:
        rows, key = found[each.pop("")], str(each["id"])
        new = {name: value for name, value in each.items() if value is not None}
        old = rows.get(key, {})
        if len({named(row, "project_id") for row in (old, new)} - {None}) > 1:
            lost["objects with an id that another project has, too"] += 1
        newer = sortable(old.get("updated_at")) <= sortable(new.get("updated_at"))
        rows[key] = old | new if newer else new | old
    whole_trace = next(iter(found["trace"].values()), {})
    observed = list(found["observation"].values())
    every = [whole_trace, *observed, *found["score"].values()]
    trace_id = named(whole_trace, "id") or _first(every, "trace_id")
    session = named(whole_trace, "session_id")
    trace = Trace(
        source=NAME,
        id=trace_id,
        session=session or trace_id or "unknown",
        is_named=session is not None,
        user=_first(every, "user_id"),
        runs=[_run(each, whole_trace, lost) for each in observed],
        feedback=[_feedback(each) for each in found["score"].values()],
    )
    if whole_trace and not any(_tells(run) for run in trace.runs):
        trace.runs.append(_of_trace(whole_trace, is_alone=not observed))
    elif whole_trace and _is_more(whole_trace, observed):
        trace.runs.append(_about_trace(whole_trace))
    return events_in(trace, lost, known)


def _first(rows: list[dict[str, Any]], name: str) -> str | None:
    return next((said for each in rows if (said := named(each, name))), None)


def _tells(run: Run) -> bool:
    """Whether what was said is known without what the trace tells of it."""
    return run.kind == "model" or (run.kind == "step" and run.parent is None and run.has_content())


def _is_more(trace: dict[str, Any], observed: list[dict[str, Any]]) -> bool:
    """Whether a trace tells what none of its observations does."""
    noted = [_metadata(each) for each in observed]
    return any(
        trace.get(name) not in (None, {}, [])
        and all(each.get(name) != trace[name] for each in observed)
        for name in ("input", "output")
    ) or any(
        all(each.get(name) != value for each in noted)
        for name, value in _own(_metadata(trace)).items()
    )


def _of_trace(given: dict[str, Any], *, is_alone: bool) -> Run:
    """A trace as a run, which has what its observations took where these were not exported."""
    run = _about_trace(given)
    tokens, cost = (_tokens(given), _cost(given)) if is_alone else (None, None)
    is_call = tokens is not None or cost is not None
    return msgspec.structs.replace(
        run, kind="exchange" if is_call else "step", tokens=tokens, cost_usd=cost
    )


def _about_trace(given: dict[str, Any]) -> Run:
    began, took = moment(given.get("timestamp")), number(given.get("latency"))
    return Run(
        id=str(given["id"]),
        kind="trace",
        name=named(given, "name") or "trace",
        began=began,
        ended=None if began is None or took is None else _after(began, took),
        given=given.get("input"),
        gave=given.get("output"),
        tags=items(given, "tags"),
        metadata=_own(_metadata(given)),
        more=_more(given, {}),
    )


def _after(began: datetime.datetime, seconds: float) -> datetime.datetime | None:
    try:
        return began + datetime.timedelta(seconds=seconds) if seconds > 0 else None
    except OverflowError:
        return None


def _metadata(given: dict[str, Any]) -> dict[str, Any]:
    """What was noted; values that are JSON in a text are what they were."""
    found = given.get("metadata")
    if not isinstance(found, dict):
        return {} if found is None else {"metadata": found}
    return {
        name: decoded(value)
        if name.startswith("ls_") or str(value)[:1] in ("{", "[", '"')
        else value
        for name, value in found.items()
    }


def _run(given: dict[str, Any], trace: dict[str, Any], lost: Counter[str]) -> Run:
    metadata = _metadata(given)
    attributes = field(metadata, "attributes")
    kind = _KINDS.get((text(given, "type") or "").upper(), "step")
    tokens, cost = _tokens(given), _cost(given)
    model = named(given, "provided_model_name") or named(given, "model")
    if kind == "step" and model and tokens:
        kind = "model"
    failed = text(given, "level") == "ERROR"
    asked = call_fields(None, metadata, given.get("model_parameters"))
    request_model = asked["request_model"] or text(attributes, "gen_ai.request.model")
    is_priced = kind in ("model", "embedding")
    more = {**_more(given, trace), "attributes": _own_attributes(attributes)}
    if not is_priced and (tokens or cost):
        lost["tokens and costs of what is no call of a model"] += 1
        more |= {"tokens": tokens, "cost_usd": cost}
    return Run(
        id=str(given["id"]),
        kind=kind,
        name=named(given, "name") or kind,
        began=moment(given.get("start_time")),
        ended=moment(given.get("end_time")),
        first=moment(given.get("completion_start_time")),
        parent=named(given, "parent_observation_id"),
        given=given.get("input"),
        gave=given.get("output"),
        error=(text(given, "status_message") or "error") if failed else None,
        provider=asked["provider"] or text(attributes, "gen_ai.provider.name", "gen_ai.system"),
        model=None if failed and given.get("output") is None else model,
        request_model=request_model or (model if failed else None),
        params=_params(given),
        tokens=tokens if is_priced else None,
        cost_usd=cost if is_priced else None,
        response_id=text(attributes, "gen_ai.response.id"),
        finish_reason=_reason(attributes),
        call_id=text(metadata, "tool_call_id") or text(given.get("input"), "tool_call_id"),
        session=named(given, "session_id"),
        user=named(given, "user_id"),
        tags=items(trace, "tags") or items(given, "tags", "trace_tags"),
        metadata=_own(metadata),
        more=more,
    )


def _reason(attributes: Any) -> str | None:
    told = decoded(field(attributes, "gen_ai.response.finish_reasons"))
    first = told[0] if isinstance(told, list) and told else told
    return first if isinstance(first, str) else None


def _own_attributes(attributes: Any) -> dict[str, Any]:
    """What was noted on a span of OpenTelemetry, without what has its place and without secrets."""
    if not isinstance(attributes, dict):
        return {}
    own = {name: each for name, each in attributes.items() if not name.startswith(_CONVENTIONS)}
    known: dict[str, Any] = own_metadata({"metadata": own}).get("metadata", {})
    return known


def _own(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the user noted: without what the exporter adds to it."""
    kinds = {"attributes": dict, "resourceAttributes": dict, "scope": dict, "tags": list}
    return {
        name: value
        for name, value in metadata.items()
        if name != "is_langchain_root" and not isinstance(value, kinds.get(name, ()))
    }


def _params(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters; `Infinity` is what Langfuse notes where no limit was given."""
    found = given.get("model_parameters")
    known = found if isinstance(found, dict) else {}
    return {name: value for name, value in known.items() if value not in ("Infinity", "inf", None)}


def _more(given: dict[str, Any], trace: dict[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in given.items() if name not in _PLACED}
    more |= {name: given.get(name) or trace.get(name) for name in ("release", "version")}
    level, told = text(given, "level"), text(given, "status_message")
    if level != "ERROR":
        more |= {"level": None if level == "DEFAULT" else level, "status_message": told}
    if not _is_in_tokens(given):
        more |= {"usage": given.get("usage") or given.get("usage_details")}
    kind = text(given, "type")
    more |= {} if kind is None else {"type": kind}
    environment = given.get("environment")
    return more | ({"environment": environment} if environment not in (None, "default") else {})


def _is_in_tokens(given: dict[str, Any]) -> bool:
    unit = text(given.get("usage"), "unit") or text(given, "unit")
    return unit in (None, "TOKENS")


def _tokens(given: dict[str, Any]) -> dict[str, int] | None:
    if not _is_in_tokens(given):
        return None
    details = given.get("usage_details")
    if not isinstance(details, dict) or not details:
        details = given.get("provided_usage_details")
    if isinstance(details, dict) and details:
        return tokens_of_details(details)
    prompt = _counted(given, "input", "prompt_tokens", "input_tokens", "input_usage")
    completion = _counted(given, "output", "completion_tokens", "output_tokens", "output_usage")
    total = _counted(given, "total", "total_tokens", "total_usage")
    return sums_of(prompt, completion, {}, total) if prompt or completion or total else None


def _counted(given: dict[str, Any], short: str, *names: str) -> int | None:
    told = given.get("usage")
    found = [field(told, short), *(field(each, name) for each in (told, given) for name in names)]
    return next((count for each in found if (count := whole(each)) is not None), None)


def _cost(given: dict[str, Any]) -> float | None:
    """The cost in dollars; a sum of nothing is no cost."""
    details = given.get("cost_details")
    costs = details if isinstance(details, dict) else {}
    told = [costs.get("total"), given.get("total_cost"), given.get("calculated_total_cost")]
    told.append(field(given.get("usage"), "total_cost"))
    found = next((cost for each in told if (cost := number(each)) is not None), None)
    if found is None and costs:
        found = sum(cost for each in costs.values() if (cost := number(each)) is not None)
    return found if found or any(number(each) for each in costs.values()) else None


def _feedback(given: dict[str, Any]) -> Feedback:
    value = given.get("value")
    said = text(given, "string_value")
    if isinstance(value, str) and number(value) is None:
        said, value = said or value, None
    source = text(given, "source")
    is_word = text(given, "data_type") in ("CATEGORICAL", "TEXT", "CORRECTION")
    return Feedback(
        id=str(given["id"]),
        name=text(given, "name") or "score",
        at=moment(field(given, "timestamp", "created_at")),
        run=named(given, "observation_id"),
        session=named(given, "session_id"),
        score=None if is_word else float(value) if isinstance(value, bool) else number(value),
        value=said,
        comment=text(given, "comment"),
        person=named(given, "author_user_id"),
        is_automatic=source == "EVAL",
        more={
            "source": source,
            **{name: each for name, each in given.items() if name not in _JUDGED},
        },
    )
