"""
Runs and feedback of LangSmith, as its client, its API and its bulk export give them, as events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ...integrations._conversations import Conversations
from ...integrations._fields import decoded, field, items, text
from ...integrations._langchain import call_fields, named_session
from .messages import tokens_in
from .run_events import events_in
from .runs import Feedback, Run, Trace
from .shelf import Piece
from .values import moment, named, number, sortable, whole


__all__ = ["NAME", "events_of", "is_one", "pieces_of"]

NAME = "langsmith"

_KINDS = {
    "chat": "model",
    "embedding": "embedding",
    "llm": "model",
    "retriever": "retriever",
    "tool": "tool",
}
_IN_JSON = (
    "inputs", "outputs", "extra", "feedback_stats", "events", "tags", "serialized", "metadata",
    "prompt_token_details", "completion_token_details", "parent_run_ids", "inputs_s3_urls",
    "outputs_s3_urls", "attachments",
)  # fmt: skip
"""What a file of Parquet has as text."""
_PLACED = frozenset(
    {
        "id", "trace_id", "dotted_order", "name", "run_type", "start_time", "end_time", "extra",
        "error", "inputs", "outputs", "parent_run_id", "parent_run_ids", "tags", "events",
        "serialized", "first_token_time", "prompt_tokens", "completion_tokens", "total_tokens",
        "prompt_token_details", "completion_token_details", "prompt_cost", "completion_cost",
        "total_cost", "feedback_stats", "child_runs", "child_run_ids", "direct_child_run_ids",
        "session_id", "session_name", "manifest_id", "app_path", "inputs_preview",
        "outputs_preview", "is_root", "latency", "latency_seconds", "tenant_id", "manifest",
        "execution_order", "inputs_s3_urls", "outputs_s3_urls", "s3_urls", "share_token",
        "last_queued_at", "received_at", "trace_tier", "ttl_seconds", "trace_first_received_at",
        "child_execution_order", "in_dataset", "thread_id", "price_model_id", "status",
        "trace_max_start_time", "trace_min_start_time", "prompt_cost_details", "metadata",
        "completion_cost_details", "serialized_s3_urls", "messages", "attachments", "project_id",
        "share_url", "query_metadata", "is_in_dataset", "error_preview", "ls_user_id",
    }
)  # fmt: skip
_JUDGED = frozenset({
    "id", "key", "run_id", "trace_id", "score", "value", "comment", "created_at", "modified_at",
    "feedback_source", "session_id", "start_time", "user_id",
})  # fmt: skip
_PAGES = ("runs", "items", "feedback")
_MOST_ROWS = 64
"""In how many rows of a page one of LangSmith's is looked for."""
_DEEPEST = 100


def is_one(value: dict[str, Any]) -> bool:
    """Return whether it is a run, feedback, or a page of them."""
    if _is_run(value) or _is_feedback(value):
        return True
    rows = next((value[name] for name in _PAGES if isinstance(value.get(name), list)), None)
    if rows is None or (not rows and "items" in value and "next_cursor" not in value):
        return False
    found = [row for row in rows[:_MOST_ROWS] if isinstance(row, dict)]
    return not rows or any(_is_run(row) or _is_feedback(row) for row in found)


def _is_run(value: dict[str, Any]) -> bool:
    return (
        isinstance(value.get("run_type"), str)
        and isinstance(value.get("id"), str)
        and any(value.get(name) for name in ("trace_id", "dotted_order", "start_time"))
    )


def _is_feedback(value: dict[str, Any]) -> bool:
    is_named = isinstance(value.get("key"), str) and isinstance(value.get("id"), str)
    return is_named and "run_id" in value and any(n in value for n in ("score", "value", "comment"))


def pieces_of(value: dict[str, Any], lost: Counter[str], depth: int = 0) -> Iterator[Piece]:
    """Yield the runs and the feedback in an object, those within others, too."""
    for name in (*_PAGES, "child_runs"):
        rows = value.get(name)
        for row in rows if isinstance(rows, list) else ():
            if depth < _DEEPEST and isinstance(row, dict) and (_is_run(row) or _is_feedback(row)):
                yield from pieces_of(_within(value, row), lost, depth + 1)
            else:
                lost["objects that are neither runs nor feedback"] += 1
    own = {name: each for name, each in value.items() if name != "child_runs"}
    if _is_run(value):
        whole_run = {name: _plain(name, each) for name, each in own.items()}
        yield Piece(_trace_of(value), whole_run, at=sortable(value.get("start_time")))
    elif _is_feedback(value):
        yield Piece(str(value.get("trace_id") or value.get("run_id") or value["id"]), own)


def _within(outer: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A run with the trace of that which it stands in, where it does not say it itself."""
    if not _is_run(outer) or row.get("trace_id") or row.get("dotted_order"):
        return row
    parent = row.get("parent_run_id") or outer["id"]
    return {**row, "trace_id": _trace_of(outer), "parent_run_id": parent}


def _plain(name: str, value: Any) -> Any:
    return decoded(value) if name in _IN_JSON else value


def _trace_of(run: dict[str, Any]) -> str:
    known = text(run, "trace_id")
    if known is None and "Z" in (order := text(run, "dotted_order") or ""):
        known = order.partition(".")[0].rpartition("Z")[2]
    return known or run["id"]


def events_of(
    parts: list[dict[str, Any]], lost: Counter[str], known: Conversations
) -> Iterable[Any]:
    """Yield the events of a trace."""
    runs: dict[str, dict[str, Any]] = {}
    judged: dict[str, dict[str, Any]] = {}
    for each in parts:
        found = runs if _is_run(each) else judged
        new = {name: value for name, value in each.items() if value is not None}
        old = found.get(each["id"], {})
        is_newer = "end_time" in new or "end_time" not in old
        found[each["id"]] = old | new if is_newer else new | old
    ordered = sorted(runs.values(), key=lambda run: text(run, "dotted_order") or "")
    root = next((run for run in ordered if _parent(run) is None), None)
    every = [root, *ordered] if root else ordered
    session = _session(root) if root else None
    first = next(iter(judged.values()), {})
    trace_id = _trace_of(ordered[0]) if ordered else text(first, "trace_id", "run_id")
    trace = Trace(
        source=NAME,
        id=trace_id,
        session=session or trace_id or "unknown",
        is_named=session is not None,
        user=next(filter(None, (named(_metadata(run), "user_id") for run in every)), None),
        runs=[_run(run, lost) for run in ordered],
        feedback=[_feedback(each) for each in judged.values()],
    )
    told = {(given.run, given.name) for given in trace.feedback}
    for run in ordered:
        trace.feedback += [each for each in _of_stats(run) if (each.run, each.name) not in told]
    return events_in(trace, lost, known)


def _parent(run: dict[str, Any]) -> str | None:
    """The run around it, which some exports tell only among all those around it."""
    around = [each for each in items(run, "parent_run_ids") if isinstance(each, str)]
    orders = (text(run, "dotted_order") or "").split(".")
    by_order = orders[-2].rpartition("Z")[2] if len(orders) > 1 else None
    return text(run, "parent_run_id") or (around[-1] if around else by_order) or None


def _metadata(run: dict[str, Any]) -> dict[str, Any]:
    found = [run.get("metadata"), decoded(field(run.get("extra"), "metadata"))]
    return {name: each for one in found if isinstance(one, dict) for name, each in one.items()}


def _session(run: dict[str, Any]) -> str | None:
    return named_session(_metadata(run)) or text(run, "thread_id")


def _run(run: dict[str, Any], lost: Counter[str]) -> Run:
    extra, metadata = run.get("extra"), _metadata(run)
    invocation = field(extra, "invocation_params") or metadata.get("ls_invocation_params")
    inputs, outputs = run.get("inputs"), run.get("outputs")
    kind = _KINDS.get(run["run_type"].lower(), "step")
    status = (text(run, "status") or "").lower()
    asked = call_fields(run.get("serialized"), metadata, invocation)
    if kind == "model" and not asked["request_model"]:
        asked["request_model"] = text(inputs, "model")
    if text(run, "error") and kind == "model" and _is_empty(outputs):
        outputs = None
    _count_lost(run, lost)
    is_priced = kind in ("model", "embedding")
    params = _asked_too(inputs) | (asked.pop("params") or {})
    return Run(
        id=run["id"],
        kind=kind,
        name=text(run, "name") or run["run_type"],
        began=moment(run.get("start_time")),
        ended=moment(run.get("end_time")),
        first=_first(run),
        parent=_parent(run),
        given=inputs,
        gave=outputs,
        error=text(run, "error")
        or (text(run, "error_preview") or "error" if status == "error" else None),
        params=params if kind == "model" else {},
        tokens=_tokens(run, metadata, outputs) if is_priced else None,
        cost_usd=_cost(run, metadata, outputs) if is_priced else None,
        call_id=text(extra, "tool_call_id") or text(inputs, "tool_call_id"),
        session=_session(run),
        user=named(metadata, "user_id"),
        tags=items(run, "tags"),
        metadata=_own(metadata, invocation),
        more=_more(run),
        **asked,
    )


def _count_lost(run: dict[str, Any], lost: Counter[str]) -> None:
    attachments = run.get("attachments")
    if isinstance(attachments, dict) and attachments:
        lost["attachments"] += len(attachments)
    for each in (items(run.get("inputs"), "messages"), items(run.get("outputs"), "generations")):
        if len(each) > 1 and all(isinstance(row, list) and not _is_pair(row) for row in each):
            lost["prompts and answers beside the first of a call that had several"] += len(each) - 1
    for name in ("inputs", "outputs"):
        if not run.get(name) and run.get(f"{name}_s3_urls"):
            lost["inputs and outputs that are in another place"] += 1


def _is_pair(row: list[Any]) -> bool:
    """Whether it is a message: a role and what was said."""
    return len(row) == 2 and isinstance(row[0], str)


def _is_empty(outputs: Any) -> bool:
    """Whether an answer has no word, as it is noted of a call that failed."""
    if isinstance(outputs, dict) and all(each is None for each in outputs.values()):
        return True
    rows = items(outputs, "generations")
    first = rows[0] if rows and isinstance(rows[0], list) else rows
    return bool(first) and not any(text(each, "text") for each in first)


_REQUESTS = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "n")


def _asked_too(inputs: Any) -> dict[str, Any]:
    return {name: value for name in _REQUESTS if (value := field(inputs, name)) is not None}


def _own(metadata: dict[str, Any], invocation: Any) -> dict[str, Any]:
    """What the user noted: without what the tracers add to it."""
    known = invocation if isinstance(invocation, dict) else {}
    return {
        name: value
        for name, value in metadata.items()
        if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))
        and name not in ("usage_metadata", "lc_versions", "revision_id", "user_id", "_type")
        and known.get(name) != value
    }


def _first(run: dict[str, Any]) -> Any:
    times = [run.get("first_token_time")]
    times += [field(each, "time") for each in items(run, "events") if _is_token(each)]
    return next(filter(None, map(moment, times)), None)


def _is_token(event: Any) -> bool:
    return text(event, "name") == "new_token"


def _tokens(run: dict[str, Any], metadata: dict[str, Any], outputs: Any) -> dict[str, int] | None:
    told = tokens_in(outputs) or tokens_in(metadata)
    if told is not None:
        return told
    prompt, completion = whole(run.get("prompt_tokens")), whole(run.get("completion_tokens"))
    if not prompt and not completion:
        total = whole(run.get("total_tokens"))
        return {"total": total} if total else None
    usage = {
        "input_tokens": prompt or 0,
        "output_tokens": completion or 0,
        "input_token_details": _details(run, "prompt_token_details"),
        "output_token_details": _details(run, "completion_token_details"),
    }
    return tokens_in({"usage_metadata": usage})


def _details(run: dict[str, Any], name: str) -> Any:
    told = run.get(name)
    return field(told, "raw") or told


def _cost(run: dict[str, Any], metadata: dict[str, Any], outputs: Any) -> float | None:
    costs = [run.get("total_cost")]
    costs += [field(field(each, "usage_metadata"), "total_cost") for each in (outputs, metadata)]
    found = next((cost for each in costs if (cost := number(each)) is not None), None)
    parts = [number(run.get(name)) for name in ("prompt_cost", "completion_cost")]
    known = [cost for cost in parts if cost is not None]
    return sum(known) if found is None and known else found


_OF_EXTRA = ("metadata", "invocation_params", "runtime", "options", "batch_size", "tool_call_id")


def _more(run: dict[str, Any]) -> dict[str, Any]:
    status = run.get("status")
    more = {name: value for name, value in run.items() if name not in _PLACED}
    more |= {"project": field(run, "session_name", "session_id", "project_id")}
    for name in ("inputs", "outputs"):
        if not run.get(name):
            more[f"{name}_preview"] = run.get(f"{name}_preview")
    extra = run.get("extra")
    own = {} if not isinstance(extra, dict) else extra
    more["extra"] = {name: each for name, each in own.items() if name not in _OF_EXTRA}
    is_usual = str(status).lower() in ("none", "success", "error")
    return more | ({} if is_usual else {"status": status})


def _feedback(given: dict[str, Any]) -> Feedback:
    source = given.get("feedback_source")
    score = given.get("score")
    kind = text(source, "type")
    return Feedback(
        id=given["id"],
        name=given["key"],
        at=moment(given.get("created_at")) or moment(given.get("modified_at")),
        run=text(given, "run_id"),
        score=float(score) if isinstance(score, bool) else number(score),
        value=given.get("value"),
        comment=text(given, "comment"),
        person=named(source, "user_id") or named(given, "user_id"),
        is_automatic=kind in ("model", "auto_eval"),
        more={
            "source": kind,
            **{name: each for name, each in given.items() if name not in _JUDGED},
        },
    )


def _of_stats(run: dict[str, Any]) -> Iterator[Feedback]:
    """What a run tells of the feedback on it, which stands for feedback that was not exported."""
    stats = run.get("feedback_stats")
    for key, told in stats.items() if isinstance(stats, dict) else ():
        comments = [each for each in items(told, "comments") if isinstance(each, str)]
        yield Feedback(
            id=f"{run['id']}.{key}",
            name=key,
            at=moment(run.get("end_time")) or moment(run.get("start_time")),
            run=run["id"],
            score=number(field(told, "avg")),
            value=field(told, "values"),
            comment="\n".join(comments) or None,
            more={"count": field(told, "n"), "is_summary": True},
        )
