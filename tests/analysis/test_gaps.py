"""What logs do not have."""

from __future__ import annotations

import pytest

from hilt_logging.analysis.gaps import gaps
from hilt_logging.errors import ReadError


@pytest.fixture
def event(an_event):
    """Makes events of one session, each a second after the one before."""
    seconds = iter(range(10, 60))

    def event(action, provider=None, model=None, **extensions):
        number = next(seconds)
        made = an_event(
            event_id=f"e{number}",
            timestamp=f"2026-01-02T03:04:{number}.000000Z",
            session_id="conv-1",
            action=action,
            extensions=extensions,
        )
        return (
            {**made, "provenance": {"provider": provider, "request_model": model}}
            if model
            else made
        )

    return event


def ids(calls):
    return [call.event_id for call in calls]


def test_prompts_without_an_answer(write, event):
    """An answer, an error and an embedding close a prompt; attempts and pieces alone do not."""
    first, second, third, fourth = (event("prompt", "p", "m") for _ in range(4))
    rest = [
        event("completion", reply_to="e10"),
        event("system", reply_to="e11", error={"type": "T"}, outcome="failed"),
        event("system", reply_to="e12", error={"type": "T"}, outcome="retried"),
        event("completion_chunk", reply_to="e12"),
        event("completion_chunk", reply_to="e12"),
        event("embedding", reply_to="e13"),
        event("feedback", reply_to="e12"),
    ]
    found = gaps(write("a.jsonl", first, second, third, fourth, *rest))
    (call,) = found.prompts
    assert ("e12", "conv-1", "p", "m") == (
        call.event_id,
        call.session_id,
        call.provider,
        call.model,
    )
    assert (1, 2) == (call.attempts, call.pieces)
    assert (11, "2026-01-02T03:04:20.000000Z") == (found.events, found.until)


def test_answers_that_stand_before(write, event):
    """Files that are not in order of time, as one for each action, have the same gaps."""
    asked, lost = event("prompt"), event("prompt")
    answer = event("completion", reply_to="e10")
    call = event("tool_call", reply_to="e12", tool={"name": "w", "call_id": "c1"})
    result = event("tool_result", tool={"call_id": "c1"})
    found = gaps([write("a.jsonl", answer, result), write("b.jsonl", asked, lost, call)])
    assert (["e11"], []) == (ids(found.prompts), ids(found.tool_calls))


def test_tool_calls_without_a_result(write, event):
    """A result belongs to the call that it names, or to the one of its id."""
    calls = [event("tool_call", tool={"name": f"t{n}", "call_id": f"c{n}"}) for n in range(3)]
    by_event = event("tool_result", reply_to="e10", tool={"name": "t0"})
    by_id = event("tool_result", tool={"call_id": "c1"})
    found = gaps(write("a.jsonl", *calls, by_event, by_id))
    assert [("e12", "t2")] == [(call.event_id, call.tool) for call in found.tool_calls]


def test_losses(write, event):
    """What handlers lost is told with times and causes, and is no event."""
    told = {
        "kind": "loss",
        "from": "2026-01-02T03:00:00.000000Z",
        "to": "2026-01-02T03:01:00.000000Z",
    }
    notice = event("system", notice={**told, "dropped": 5, "by_cause": {"disk_full": 5}})
    other = event("system", notice={"kind": "checkpoint"})
    found = gaps(write("a.jsonl", notice, other))
    (loss,) = found.losses
    assert ({"disk_full": 5}, 5, told["from"]) == (loss.by_cause, loss.dropped, loss.first)
    assert (5, 0) == (found.dropped, found.events)


def test_times(write, event):
    """An answer that comes after the time that is asked for counts."""
    asked, lost, answer = event("prompt"), event("prompt"), event("completion", reply_to="e10")
    log = write("a.jsonl", asked, lost, answer)
    assert ["e11"] == ids(gaps(log, until="2026-01-02T03:04:12Z").prompts)
    assert [] == ids(gaps(log, until="2026-01-02T03:04:11Z").prompts)
    assert [] == ids(gaps(log, since="2026-01-02T03:04:12Z").prompts)


def test_strange_events(write, event):
    """Fields of other kinds are passed over, and raise nothing."""
    strange = [
        event("completion", reply_to=["x"]),
        event("tool_call", tool="x"),
        event("tool_result", tool=[1], reply_to={}),
        event("system", notice="x"),
        event("system", notice={"kind": "loss", "by_cause": 1, "dropped": "x"}),
    ]
    found = gaps(write("a.jsonl", *strange))
    assert (0, 1, 0) == (len(found.prompts), len(found.tool_calls), found.dropped)


def test_nothing(write, tmp_path):
    """An empty log has no gaps; one that is not there is an error; a torn line is reported."""
    assert (0, None) == (gaps(write("a.jsonl")).events, gaps(write("a.jsonl")).until)
    with pytest.raises(ReadError):
        gaps(tmp_path / "gone.jsonl")
    errors = []
    gaps(write("b.jsonl", b"{torn"), report=errors.append)
    assert [1] == [error.line for error in errors]
