"""`hilt-log gaps`."""

from __future__ import annotations

import pytest

from hilt_logging.events import encode


@pytest.fixture
def log(tmp_path, an_event):
    """A log of a lost call, a tool that gave nothing, and a notice of events that were lost."""
    told = {"kind": "loss", "from": "2026-01-02T03:00:00.0Z", "to": "2026-01-02T03:01:00.0Z"}
    events = [
        ("prompt", {}),
        ("tool_call", {"tool": {"name": "weather\x1b[2J"}}),
        ("system", {"notice": {**told, "dropped": 5, "by_cause": {"disk_full": 5}}}),
    ]
    path = tmp_path / "app.jsonl"
    path.write_bytes(
        b"".join(
            encode(
                an_event(
                    event_id=f"e{number}",
                    timestamp=f"2026-01-02T03:04:0{number}.000000Z",
                    session_id="conv-1",
                    action=action,
                    provenance={"provider": "openai", "model": "m"},
                    extensions=extensions,
                )
            )
            + b"\n"
            for number, (action, extensions) in enumerate(events)
        )
    )
    return path


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("gaps", "--help")
    assert 0 == done.code
    assert "hilt-log gaps logs/" in done.out


def test_table(hilt_log, log):
    """Gaps are no fault of the program: the exit code is 0."""
    done = hilt_log("gaps", log)
    assert (0, "") == (done.code, done.err)
    assert [
        "1 prompt without an answer",
        "  2026-01-02 03:04:00  conv-1  openai m",
        "1 tool call without a result",
        "  2026-01-02 03:04:01  conv-1  weather\\u001b[2J openai m",
        "5 events lost and counted",
        "  2026-01-02 03:00:00 to 2026-01-02 03:01:00  5: 5 disk_full",
        "2 events read, the last at 2026-01-02 03:04:01",
    ] == done.out.splitlines()


def test_json(hilt_log, log):
    """The same for a program."""
    told = hilt_log("gaps", log, "--json").json
    assert ["e0"] == [each["event_id"] for each in told["prompts"]]
    assert ["e1"] == [each["event_id"] for each in told["tool_calls"]]
    assert (5, 2) == (told["dropped"], told["events"])
    assert [] == hilt_log("gaps", log, "--since", "2026-01-03", "--json").json["prompts"]


def test_many(hilt_log, tmp_path, an_event):
    """The last ones are shown, or all."""
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(an_event(event_id=f"e{n}")) + b"\n" for n in range(50)))
    done = hilt_log("gaps", path)
    assert "50 prompts without an answer\n  the last 20; --all shows all\n" in done.out
    assert 50 + 4 == len(hilt_log("gaps", path, "--all").out.splitlines())


def test_empty_file(hilt_log, tmp_path):
    """An empty log has no gaps."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("gaps", tmp_path / "app.jsonl")
    assert 0 == done.code
    assert done.out.endswith("0 events read\n")


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """What can't be read is told, and the exit code is 3; a wrong time is wrong usage."""
    with open(log, "ab") as file:
        file.write(b"torn")
    done = hilt_log("gaps", log, tmp_path / "gone.jsonl", "--json")
    assert (3, 2) == (done.code, done.json["events"])
    assert f"{log}, line 4: not an event" in done.err
    assert 2 == hilt_log("gaps", log, "--since", "yesterday").code
