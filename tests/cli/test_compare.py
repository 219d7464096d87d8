"""`hilt-log compare` on the screen and as JSON."""

from __future__ import annotations

import re

import click
import pytest

from click.shell_completion import ShellComplete

from hilt_logging.analysis.stats import ENGINES
from hilt_logging.cli._frame import PROGRAM, commands
from hilt_logging.events import encode


WEEKS = ("--before", "2026-W41", "--after", "2026-W42")


@pytest.fixture
def log(tmp_path, an_event):
    """Three weeks of calls: another model from the second on, and evil names."""
    events = []
    for number in range(210):
        day, week = 5 + number // 10, number // 70
        evil = "[red]\x1b[31mevil\nid" if week else "gpt-4o-with-a-rather-long-name-2026-05-13"
        event = an_event(
            event_id=f"e{number}",
            session_id=f"conv-{number // 5}",
            timestamp=f"2026-10-{day:02}T12:00:00.000000Z",
            actor={"type": "agent", "id": "assistant"},
            action="completion",
            provenance={"provider": "openai", "model": evil if number % 2 else "gpt-4o"},
            metrics={
                "latency_ms": 1000 + 100 * week,
                "time_to_first_token_ms": 90,
                "tokens": {"prompt": 100_000, "completion": 20, "cached": 25_000 * week},
                "cost_usd": 1.5 if week else 0.001,
            },
            extensions={
                "user_id": f"user-{number % 7}",
                "outcome": "failed" if number % (35 - 8 * week) == 0 else "completed",
            },
        )
        events.append(event)
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    return path


def words(text):
    """The lines of a text, however wide their columns are."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_help(hilt_log):
    """The help has examples, and says what a period is."""
    done = hilt_log("compare", "--help")
    assert 0 == done.code
    assert "hilt-log compare logs/ --after 2026-W41 --by model" in done.out
    assert "2026-10-01..2026-10-15" in done.out


def test_tables(hilt_log, log):
    """What a reader sees, and that a log can do nothing to a terminal."""
    done = hilt_log("compare", log, *WEEKS, "--by", "model")
    assert (0, "") == (done.code, done.err)
    assert "\x1b" not in done.out
    told = words(done.out)
    assert [
        "before: 2026-10-05..2026-10-11, 7 days, UTC",
        "after: 2026-10-12..2026-10-18, 7 days, UTC",
        "The period before begins before the first event, which is of 2026-10-05 12:00",
        "",
        "Events and calls",
        "before after change %",
        "events 70 70 0 +0.0",
        "sessions 14 14 0 +0.0",
        "users 7 7 0 +0.0",
        "calls 70 70 0 +0.0",
        "completed 68 67 -1 -1.5",
        "failed 2 3 +1 +50.0",
        "",
        "Tokens and cost",
        "before after change %",
        "tokens 7,001,400 7,001,400 0 +0.0",
        "prompt 7,000,000 7,000,000 0 +0.0",
        "cached 0 1,750,000 +1,750,000 new",
        "completion 1,400 1,400 0 +0.0",
        "cost $0.0700 $105.00 +$104.93 +149,900",
        "",
        "Rates",
        "before after points",
        "failed of calls 2.9% (2 of 70) 4.3% (3 of 70) +1.4 ~",
        "prompts' tokens cached 0.0% 25.0% +25.0",
        "~ within what chance alone gives, 95 times in 100",
        "",
        "Latency in ms",
        "before after change %",
        "calls 68 67 -1 -1.5",
        "mean 1,000 1,100 +100 +10.0",
    ] == told[:31]
    assert [
        "By model",
        "model events then cost then change %",
        "[red]\\u001b[31mevil id 0 35 $0.00 $52.50 +$52.50 new",
        "gpt-4o 35 35 $0.0350 $52.50 +$52.47 +149,900",
        "gpt-4o-with-a-rather-long-name-2026-05-13 35 0 $0.0350 $0.00 -$0.0350 gone",
    ] == told[told.index("By model") :]


def test_lengths(hilt_log, log):
    """Periods of different lengths are named as such, and have a table per day."""
    periods = (
        "--before",
        "2026-10-05..2026-10-11",
        "--after",
        "2026-10-12T00:00..2026-10-12T13:00",
    )
    told = words(hilt_log("compare", log, *periods, "--by", "user", "--top", "2").out)
    assert "after: 2026-10-12T00:00..2026-10-12T13:00, 13 hours, UTC" in told
    assert "The periods are of different lengths: sums are also told per day" in told
    table = told[told.index("Per day") :]
    assert "events 10.0 18.5 +8.5 +84.6" in table
    assert not any(line.startswith("users ") for line in table)
    groups = told[told.index("By user, per day") :]
    assert ["user events then cost then change %", "... and 5 more: --json prints all"] == groups[
        1::3
    ]
    assert all("new" not in line for line in groups)


@pytest.mark.parametrize(
    ("period", "length"),
    [
        ("2026-10-12T14:00..2026-10-12T15:00", "1 hour"),
        ("2026-10-12T14:00..2026-10-12T15:30", "1.5 hours"),
        ("2026-10-12T14:00..2026-10-12T14:10", "10 minutes"),
        ("2026-10-12T14:00..2026-10-12T14:00:30", "30 seconds"),
        ("2026-10-12T14:00..2026-10-12T14:00:00.5", "less than a second"),
        ("2026-10-12T14:00..2026-10-14T02:00", "1.5 days"),
        ("1990-01..2026-10-12", "13,434 days"),
    ],
)
def test_length(hilt_log, log, period, length):
    """How long a period is can be read."""
    done = hilt_log("compare", log, "--after", period, "--before", "1989-12")
    assert done.out.splitlines()[1].endswith(f", {length}, UTC")


def test_new_costs(hilt_log, tmp_path, an_event):
    """A group is new where there was none; a figure is where it was 0, and not where it was not known."""
    costs = {
        "free": (0.0, 2.0),
        "unknown": (None, 2.0),
        "absent": (None, 2.0),
        "repaid": (-1_000.0, -1_000.5),
    }
    lines = [
        an_event(
            event_id=f"{model}{day}",
            timestamp=f"2026-10-0{day}T12:00:00.000000Z",
            action="completion",
            provenance={"model": model},
            metrics={} if cost is None else {"cost_usd": cost},
        )
        for model, both in costs.items()
        for day, cost in enumerate(both, 1)
        if (model, day) != ("absent", 1)
    ]
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(each) + b"\n" for each in lines))

    def told(*options):
        return words(hilt_log("compare", path, "--after", "2026-10-02", *options).out)

    assert [
        "absent 0 1 $0.00 $2.00 +$2.00 new",
        "free 1 1 $0.00 $2.00 +$2.00 -",
        "unknown 1 1 - $2.00 - -",
        "repaid 1 1 -$1,000.00 -$1,000.50 -$0.5000 -0.1",
    ] == told("--by", "model")[-4:]
    assert "cost $0.00 $2.00 +$2.00 new" in told("--model", "free")
    assert "cost - $2.00 - -" in told("--model", "unknown")


def test_days(hilt_log, log):
    """Each day stands beside the one of its number."""
    told = words(hilt_log("compare", log, *WEEKS, "--by", "day", "--top", "7").out)
    begin = told.index("By day")
    assert "before after events then cost then change %" == told[begin + 1]
    assert told[begin + 2].startswith("2026-10-05 2026-10-12 10 10 $0.0100 $15.00 ")
    assert begin + 9 == len(told)


def test_last_week(hilt_log, log):
    """Without periods it is the last whole week of the log against the one before."""
    done = hilt_log("compare", log, "--tz", "Asia/Kolkata")
    assert "after:  2026-10-18..2026-10-24, 7 days, Asia/Kolkata" == done.out.splitlines()[1]


def test_narrow_terminal(hilt_log, log, monkeypatch):
    """Eighty columns are enough for every table; on a terminal there are colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    for by in ("model", "day"):
        done = hilt_log("compare", log, *WEEKS, "--by", by, color=True)
        assert "\x1b[1m" in done.out
        plain = click.unstyle(done.out).splitlines()
        assert 80 >= max(map(len, plain))
        assert not any("\u2026" in line for line in plain)


def test_no_room_for_numbers(hilt_log, log, monkeypatch):
    """A number is never cut, for it would be another number: names are folded, then lines are longer."""

    def numbers():
        told = words(click.unstyle(hilt_log("compare", log, *WEEKS, "--by", "model").out))
        return [match.group() for line in told if (match := re.search(r" [-+$\d].*", line))]

    wide = numbers()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert " 35 0 $0.0350 $0.00 -$0.0350 gone" == wide[-1]
    assert wide == numbers()


def test_json(hilt_log, log):
    """The JSON has all that is known, by names that stay."""
    told = hilt_log("compare", log, *WEEKS, "--by", "model", "--top", "0", "--json").json
    assert [
        *("files", "first", "last", "unread", "tz", "before", "after", "is_per_day", "remarks"),
        *("figures", "rates", "by", "groups"),
    ] == list(told)
    assert {
        "name": "2026-10-05..2026-10-11",
        "since": "2026-10-05T00:00:00.000000Z",
        "until": "2026-10-12T00:00:00.000000Z",
        "days": 7.0,
    } == told["before"]
    change = {"before": 2, "after": 3, "difference": 1, "percent": 50.0, "per_day": None}
    assert change == told["figures"]["failed"]
    assert ["failed", "refused", "retried"] == list(told["rates"])
    assert [
        *("count_before", "of_before", "before", "count_after", "of_after", "after"),
        *("difference", "low", "high", "is_within_chance"),
    ] == list(told["rates"]["failed"])
    assert 3 == len(told["groups"])
    assert ["key", "key_before", "status", "figures", "rates"] == list(told["groups"][0])


def test_filters(hilt_log, log):
    """Only the events that are asked for count."""
    options = ("--user", "user-1", "--field", "extensions.outcome=completed", "--json")
    told = hilt_log("compare", log, *WEEKS, *options).json
    assert (10, 1) == (told["figures"]["events"]["before"], told["figures"]["users"]["after"])


def test_standard_input(in_shell, log):
    """A log can come from another program."""
    with open(log, "rb") as file:
        done = in_shell("compare", "-", *WEEKS, stdin=file)
    assert (0, "") == (done.returncode, done.stderr)
    assert "events" in done.stdout


def test_nobody_reads(unheard, log):
    """A pipe that is closed ends it quietly."""
    done = unheard("compare", log)
    assert (141, "") == (done.returncode, done.stderr)


def test_empty_file(hilt_log, tmp_path):
    """A log without events is no fault, and is said to have none."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("compare", tmp_path / "app.jsonl", "--by", "day")
    assert (0, "There is no event that counts and has a time\n") == (done.code, done.out)
    told = hilt_log("compare", tmp_path / "app.jsonl", "--json").json
    assert (None, None, []) == (told["before"], told["after"], told["groups"])


def test_empty_period(hilt_log, log):
    """A period in which nothing was is told, and nothing is a percentage of it."""
    done = hilt_log("compare", log, "--before", "2026-09", "--after", "2026-10")
    assert "No event is in the period before: the first one is of 2026-10-05 12:00" in done.out
    told = words(done.out)
    assert "calls 0 210 +210 new" in told
    assert "failed of calls - (0 of 0) 4.3% (9 of 210) -" in told


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """What can't be read is told, and the exit code is 3; the rest counts."""
    with open(log, "ab") as file:
        file.write(b"torn")
    done = hilt_log("compare", log, tmp_path / "gone.jsonl", *WEEKS, "--json")
    assert (3, 70, 2) == (done.code, done.json["figures"]["events"]["after"], done.json["unread"])
    assert f"{log}, line 211: not an event" in done.err
    assert "gone.jsonl" in done.err
    assert 3 == hilt_log("compare", tmp_path / "gone.jsonl").code


@pytest.mark.parametrize(
    "options",
    [
        ("--before", "last week"),
        ("--after", "2026-10-07T08:00"),
        ("--after", "2026-10-12", "--before", "2026-10"),
        ("--by", "week"),
        ("--tz", "Europe/Atlantis"),
        ("--top", "-1"),
        ("--since", "yesterday"),
        ("--field", "action"),
        ("--engine", "abacus"),
        (),
    ],
)
def test_wrong_usage(hilt_log, log, options):
    """An option that is wrong is named, and nothing is printed."""
    done = hilt_log("compare", *([log] if options else []), *options)
    assert (2, "") == (done.code, done.out)
    assert "Error" in done.err
    assert not options or options[0] in done.err


def test_completion():
    """The shell completes names of groups and engines."""

    def completed(option, incomplete):
        shell = ShellComplete(commands, {}, PROGRAM, "_HILT_LOG_COMPLETE")
        return [each.value for each in shell.get_completions(["compare", option], incomplete)]

    assert ["session"] == completed("--by", "se")
    assert list(ENGINES) == completed("--engine", "")
    assert ["duckdb"] == completed("--engine", "d")
