"""`hilt-log stats` on the screen and as JSON."""

from __future__ import annotations

import datetime
import importlib
import json

from statistics import mean

import pytest

from click.shell_completion import ShellComplete

from hilt_logging.cli._frame import PROGRAM, commands
from hilt_logging.events import encode


@pytest.fixture
def log(tmp_path, an_event):
    """A log of all kinds of events, of hostile names, and of a line that is none."""
    call = {"provider": "openai", "model": "gpt-4o", "call_id": "k"}
    events = [
        an_event(extensions={"user_id": "alice"}),
        an_event(
            event_id="c1",
            timestamp="2026-01-02T03:04:07.000000Z",
            actor={"type": "agent", "id": "[red]\x1b[31mevil\nid"},
            action="completion",
            provenance=call,
            metrics={
                "latency_ms": 1200,
                "time_to_first_token_ms": 90,
                "tokens": {
                    "prompt": 1_000_000,
                    "completion": 20,
                    "cached": 250_000,
                    "reasoning": 5,
                },
                "cost_usd": 12.5,
            },
            extensions={"user_id": "alice", "outcome": "completed", "finish_reason": "stop\x07"},
        ),
        an_event(
            event_id="f1",
            session_id="conv-43",
            timestamp="2026-01-03T23:30:00.000000Z",
            actor={"type": "system", "id": "openai"},
            action="system",
            provenance={**call, "model": "evil\x1b[2J[bold]"},
            metrics={"latency_ms": 60_000},
            extensions={"outcome": "failed", "error": {"type": "APITimeoutError"}},
        ),
        an_event(
            event_id="r1",
            actor={"type": "system", "id": "openai"},
            action="system",
            provenance=call,
            extensions={"outcome": "retried"},
        ),
        an_event(
            event_id="t1",
            actor={"type": "agent", "id": "assistant"},
            action="tool_call",
            extensions={"tool": {"name": "weather"}},
        ),
        an_event(
            event_id="n1",
            actor={"type": "system", "id": "hilt_logging"},
            action="system",
            extensions={"notice": {"kind": "opened"}},
        ),
    ]
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    return path


def test_help(hilt_log):
    """The help has examples, and says by what can be grouped."""
    done = hilt_log("stats", "--help")
    assert 0 == done.code
    assert "hilt-log stats logs/ --by day,model" in done.out
    assert "provider" in done.out


def words(text):
    """The lines of a text, however wide their columns are."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_tables(hilt_log, log):
    """What a reader sees first, and that a log can do nothing to a terminal."""
    done = hilt_log("stats", log)
    assert (0, "") == (done.code, done.err)
    assert "\x1b" not in done.out
    assert "\x07" not in done.out
    assert [
        str(log),
        "5 events, 2 sessions, 1 user, 1 notice",
        "2026-01-02 03:04 to 2026-01-03 23:30, UTC",
        "",
        "Calls of models",
        "prompts 1",
        "calls 2",
        "completed 1 50.0%",
        "failed 1 50.0%",
        "retried attempts 1",
        "calls of tools 1",
        "failed 0",
        "",
        "Tokens and cost",
        "tokens 1,000,020",
        "prompt 1,000,000",
        "cached 250,000 25.0%",
        "completion 20",
        "reasoning 5",
        "cost $12.50",
        "",
        "Latency in ms",
        "count mean p50 p90 p95 p99 max",
        "calls 1 1,200 1,200 1,200 1,200 1,200 1,200",
        "to the first token 1 90 90 90 90 90 90",
    ] == words(done.out)[:25]
    told = words(done.out)
    assert "stop\\u0007 1 50.0%" in told
    assert "APITimeoutError 1" in told
    assert "weather 1 0 -" in told
    assert "alice 1 1.0M $12.50 2026-01-02 03:04" in told
    assert "01-03 23:30 evil\\u001b[2J[bold] (failed) conv-43 60,000" in told
    assert "01-02 03:04 gpt-4o conv-42 1,200" in told
    assert "01-02 03:04 gpt-4o conv-42 $12.50" in told


def test_by(hilt_log, log):
    """Groups come last, periods in their order; times are those of the zone."""
    done = hilt_log("stats", log, "--by", "day", "--by", "model", "--tz", "Europe/Berlin")
    told = words(done.out)
    begin = told.index("By day, model")
    assert "2026-01-02 04:04 to 2026-01-04 00:30, Europe/Berlin" in told
    assert [
        "day model events calls failed retried tokens cost p50 ms p95 ms",
        "2026-01-02 gpt-4o 2 1 0 1 1.0M $12.50 1,200 1,200",
        "2026-01-02 - 2 0 0 0 - - - -",
        "2026-01-04 evil\\u001b[2J[bold] 1 1 1 0 - - - -",
    ] == told[begin + 1 :]
    by_user = words(hilt_log("stats", log, "--by", "session").out)
    assert by_user[-1].startswith("conv-43 1 1")


def test_narrow_terminal(hilt_log, log, monkeypatch):
    """Eighty columns are enough for every table."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    done = hilt_log("stats", log, "--by", "day,model", color=True)
    plain = click_unstyled(done.out).splitlines()
    assert "\x1b[1m" in done.out
    assert 80 >= max(map(len, plain[1:]))
    assert "weather" in click_unstyled(done.out)


def click_unstyled(text):
    import click

    return click.unstyle(text)


def test_many_rows(hilt_log, tmp_path, an_event):
    """Long lists end somewhere, and tell how to have all."""
    path = tmp_path / "app.jsonl"
    events = [
        an_event(
            action="completion",
            session_id=f"s{n:03}",
            extensions={"finish_reason": f"f{n:02}"} if n < 12 else {},
        )
        for n in range(300)
    ]
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    done = hilt_log("stats", path, "--by", "session", "--top", "3")
    told = words(done.out)
    assert "... and 9 more: --json prints all" in told
    assert "... and 100 more: --json prints all" == told[-1]
    assert 4 == told.index("Busiest sessions") - told.index("Busiest users")
    assert "f03 1 0.3%" not in told
    assert "Busiest users" not in hilt_log("stats", path, "--top", "0").out


def test_huge_cost(hilt_log, tmp_path, an_event):
    """A cost that nobody can have paid does not take the room of the other columns."""
    path = tmp_path / "app.jsonl"
    path.write_bytes(encode(an_event(action="completion", metrics={"cost_usd": 1e308})) + b"\n")
    done = hilt_log("stats", path, "--by", "action")
    assert "$1e+308" in done.out
    assert "000,000" not in done.out


def test_json(hilt_log, log):
    """The figures for a program: those of hilt-python, and all."""
    told = hilt_log("stats", log, "--by", "session", "--json").json
    assert (str(log), 5, 2) == (told["file"], told["total_events"], told["unique_sessions"])
    assert {"count": 1, "percentage": 20.0} == told["actions"]["prompt"]
    assert (1, 1, 0) == (told["files"], told["notices"], told["unread"])
    assert (2, 1, 1) == tuple(told["total"][name] for name in ("calls", "failed", "retried"))
    assert [["conv-42"], ["conv-43"]] == [group["key"] for group in told["groups"]]
    assert "periods" not in told


def test_filters(hilt_log, log, tmp_path):
    """The options that choose events; a value is a text, or JSON."""

    def events(*options):
        return hilt_log("stats", log, "--json", *options).json["total_events"]

    assert 2 == events("--user", "alice")
    assert 2 == events("--model", "gpt-4o")
    assert 1 == events("--session", "conv-43")
    assert 2 == events("--action", "prompt", "--action", "completion")
    assert 1 == events("--field", "extensions.tool.name=weather")
    assert 1 == events("--field", "metrics.latency_ms=1200")
    assert 0 == events("--field", "action=prompt", "--action", "completion")
    assert 1 == events("--since", "2026-01-03")
    assert 4 == events("--until", "2026-01-03")


def test_standard_input(hilt_log, in_shell, log):
    """A log can be handed over by another program."""
    with open(log, "rb") as file:
        done = in_shell("stats", "-", "--json", stdin=file)
    assert (0, "") == (done.returncode, done.stderr)
    assert ("-", 5) == tuple(json.loads(done.stdout)[name] for name in ("file", "total_events"))


def test_nobody_reads(unheard, log):
    """A pipe that is closed ends it quietly."""
    done = unheard("stats", log)
    assert (141, "") == (done.returncode, done.stderr)


def test_empty_file(hilt_log, tmp_path):
    """A log without events is no fault."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("stats", tmp_path / "app.jsonl", "--by", "day")
    assert 0 == done.code
    assert "0 events, 0 sessions, 0 users" == done.out.splitlines()[1]
    assert 2 == len(done.out.splitlines())
    told = hilt_log("stats", tmp_path / "app.jsonl", "--json", "--period", "daily").json
    assert (0, []) == (told["total_events"], told["groups"])
    assert "metrics" not in told


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """What can't be read is told, and the exit code is 3; the rest counts."""
    with open(log, "ab") as file:
        file.write(b"torn")
    done = hilt_log("stats", log, tmp_path / "gone.jsonl", "--json")
    assert (3, 5, 2) == (done.code, done.json["total_events"], done.json["unread"])
    assert f"{log}, line 7: not an event" in done.err
    assert "gone.jsonl" in done.err
    assert 3 == hilt_log("stats", tmp_path / "gone.jsonl").code


@pytest.mark.parametrize(
    "options",
    [
        ("--by", "colour"),
        ("--by", "day,day"),
        ("--by", ""),
        ("--tz", "Europe/Atlantis"),
        ("--top", "-1"),
        ("--period", "yearly"),
        ("--since", "yesterday"),
        ("--field", "action"),
        ("--engine", "abacus"),
        (),
    ],
)
def test_wrong_usage(hilt_log, log, options):
    """An option that is wrong is named, and nothing is printed."""
    done = hilt_log("stats", *([log] if options else []), *options)
    assert (2, "") == (done.code, done.out)
    assert "Error" in done.err
    assert not options or options[0] in done.err


def test_completion():
    """The shell completes names of groups, also after a comma."""

    def completed(incomplete):
        shell = ShellComplete(commands, {}, PROGRAM, "_HILT_LOG_COMPLETE")
        return [each.value for each in shell.get_completions(["stats", "--by"], incomplete)]

    assert ["month", "model"] == completed("mo")
    assert ["day,provider"] == completed("day,p")


# as hilt-python counts


@pytest.fixture
def old(tmp_path):
    """A log as hilt-python writes it."""
    path = tmp_path / "old.jsonl"
    events = []
    for number in range(40):
        day = f"2026-01-{number % 17 + 1:02}"
        is_answer = number % 3
        event = {
            "event_id": f"e{number}",
            "timestamp": f"{day}T{number % 24:02}:00:00.5+00:00",
            "session_id": f"s{number % 5}",
            "actor": {"type": "agent" if is_answer else "human", "id": f"who{number % 2}"},
            "action": "completion" if is_answer else "prompt",
        }
        if is_answer:
            prompt = number * 7 % 50
            event["metrics"] = {
                "tokens": {"prompt": prompt, "completion": number, "total": prompt + number},
                "cost_usd": f"{number / 7000:.6f}",
                "latency_ms": number**3 % 977,
            }
            event["extensions"] = {"status_code": 200, "reply_to": f"e{number - 1}"}
        events.append(event)
    path.write_text("".join(json.dumps(each) + "\n" for each in events), "utf-8")
    return path, events


def percentile(values, percent):
    """As hilt-python has it."""
    values = sorted(values)
    place = (len(values) - 1) * (percent / 100.0)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    if low == high:
        return int(values[low])
    return round(values[low] * (high - place) + values[high] * (place - low))


def expected(path, events, period=None):
    """What hilt-python's formulas make of events."""
    times = [datetime.datetime.fromisoformat(event["timestamp"]) for event in events]
    metrics = [event["metrics"] for event in events if "metrics" in event]
    latencies = [each["latency_ms"] for each in metrics]

    def shares(names):
        names = list(names)
        return {
            name: {
                "count": names.count(name),
                "percentage": round(names.count(name) / len(events) * 100, 2),
            }
            for name in set(names)
        }

    has_many = len(latencies) >= 10
    return {
        "file": str(path),
        "total_events": len(events),
        "unique_sessions": len({event["session_id"] for event in events}),
        "timeframe": {
            "start": min(times).isoformat(),
            "end": max(times).isoformat(),
            "duration_days": (max(times).date() - min(times).date()).days + 1,
        },
        "actions": shares(event["action"] for event in events),
        "actors": shares(f"{e['actor']['type']} ({e['actor']['id']})" for e in events),
        "metrics": {
            "total_tokens": sum(each["tokens"]["total"] for each in metrics),
            "total_cost_usd": round(sum(float(each["cost_usd"]) for each in metrics), 6),
            "average_latency_ms": round(mean(latencies), 2),
            "p50_latency_ms": percentile(latencies, 50) if has_many else None,
            "p95_latency_ms": percentile(latencies, 95) if has_many else None,
            "p99_latency_ms": percentile(latencies, 99) if has_many else None,
        },
    }


KEYS = {
    "daily": lambda when: when.strftime("%Y-%m-%d"),
    "weekly": lambda when: f"{when.isocalendar()[0]}-W{when.isocalendar()[1]:02d}",
    "monthly": lambda when: when.strftime("%Y-%m"),
}


@pytest.mark.parametrize("count", [5, 13, 15, 16, 40])
def test_keys_of_hilt_python(hilt_log, old, count):
    """Each key of hilt-python's JSON has the value that hilt-python gives it."""
    path, events = old
    path.write_text("".join(json.dumps(each) + "\n" for each in events[:count]), "utf-8")
    told = hilt_log("stats", path, "--json").json
    wanted = expected(path, events[:count])
    assert wanted == {name: told[name] for name in wanted}


@pytest.mark.parametrize("period", KEYS)
def test_periods_of_hilt_python(hilt_log, old, period):
    """Periods, too; they are the groups, unless there are others."""
    path, events = old
    wanted = {}
    for event in events:
        key = KEYS[period](datetime.datetime.fromisoformat(event["timestamp"]))
        wanted.setdefault(key, []).append(event)
    told = hilt_log("stats", path, "--json", "--period", period, "--by", "action").json
    assert [["completion"], ["prompt"]] == [group["key"] for group in told["groups"]]
    assert sorted(wanted) == [each["period"] for each in told["periods"]]
    for each in told["periods"]:
        metrics = [e["metrics"] for e in wanted[each["period"]] if "metrics" in e]
        cost = sum(float(m["cost_usd"]) for m in metrics)
        assert {
            "events": len(wanted[each["period"]]),
            "tokens": sum(m["tokens"]["total"] for m in metrics) or None,
            "cost_usd": pytest.approx(cost) if cost else None,
            "avg_latency_ms": mean(m["latency_ms"] for m in metrics) if metrics else None,
        } == {name: each[name] for name in ("events", "tokens", "cost_usd", "avg_latency_ms")}
    alone = hilt_log("stats", path, "--json", "--period", period).json
    assert sorted(wanted) == [group["key"][0] for group in alone["groups"]]


def test_interrupted(hilt_log, monkeypatch, tmp_path):
    """Ctrl-C, which DuckDB tells as an error, ends the program with 130, without a word."""

    def interrupted(*args, **options):
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(
        importlib.import_module("hilt_logging.analysis.stats"), "tallied", interrupted
    )
    (tmp_path / "a.jsonl").touch()
    done = hilt_log("stats", tmp_path / "a.jsonl")
    assert (130, "", "") == (done.code, done.out, done.err)
