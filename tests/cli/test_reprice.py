"""`hilt-log reprice`."""

from __future__ import annotations

import json

import pytest

from hilt_logging.events import encode


@pytest.fixture
def log(tmp_path, an_event):
    """A log of a call that cost $1, of one whose cost was told, and of one without a price."""

    def call(model, **provenance):
        return an_event(
            event_id=f"e-{model}",
            action="completion",
            provenance={"provider": "acme", "model": model, **provenance},
            metrics={"tokens": {"prompt": 1000, "completion": 0}, "cost_usd": 1.0},
        )

    known = {"source": "user", "version": "1"}
    events = call("large", price=known), call("told\x1b[2J"), call("none", price=known)
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


@pytest.fixture
def prices(tmp_path):
    """Prices of one's own."""
    path = tmp_path / "prices.toml"
    path.write_text('[acme.large]\ninput = 1500\n[acme."told*"]\ninput = 3000\n')
    return path


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("reprice", "--help")
    assert 0 == done.code
    assert "hilt-log reprice logs/ --dry-run" in done.out


def test_dry_run(hilt_log, log, prices, tmp_path):
    """Costs are compared by model, and what stays as it is is counted."""
    done = hilt_log("reprice", log, "--prices", prices, "--dry-run")
    assert (0, "") == (done.code, done.err)
    assert [
        "model          calls  changed   old USD   new USD          difference",
        "large              1        1  1.000000  1.500000  +0.500000 (+50.0%)",
        "none               1        0  1.000000  1.000000   +0.000000 (+0.0%)",
        "told\\u001b[2J      1        0  1.000000  1.000000   +0.000000 (+0.0%)",
        "all                3        1  3.000000  3.500000  +0.500000 (+16.7%)",
        "1 cost told, not looked up, and kept: --told changes them",
        "1 call without a price, left as they are",
    ] == done.out.splitlines()
    assert ["app.jsonl", "prices.toml"] == sorted(each.name for each in tmp_path.iterdir())


def test_output(hilt_log, log, prices, tmp_path):
    """A new log is written, which only its owner can read; none is written over without --force."""
    new = tmp_path / "new.jsonl"
    arguments = ["reprice", log, "--prices", prices, "--told", "-o", new]
    done = hilt_log(*arguments)
    assert (0, f"{new}: 3 events") == (done.code, done.out.splitlines()[-1])
    costs = [json.loads(line)["metrics"]["cost_usd"] for line in new.read_bytes().splitlines()]
    assert ([1.5, 3.0, 1.0], 0o600) == (costs, new.stat().st_mode & 0o777)
    assert 2 == hilt_log(*arguments).code
    assert 0 == hilt_log(*arguments, "--force").code


def test_json(hilt_log, log, prices):
    """The same for a program."""
    told = hilt_log("reprice", log, "--prices", prices, "--dry-run", "--by", "provider", "--json")
    (group,) = told.json["groups"]
    assert ("acme", 3, 1, 1, 1) == tuple(
        group[name] for name in ("key", "calls", "changed", "told", "unpriced")
    )
    assert (None, 3, 0) == tuple(told.json[name] for name in ("output", "events", "faults"))


def test_only_some(hilt_log, log, prices):
    """Events are chosen as in other commands."""
    done = hilt_log(
        "reprice", log, "--prices", prices, "--dry-run", "--json", "--until", "2026-01-01"
    )
    assert (3, 0) == (done.json["events"], done.json["total"]["calls"])


def test_many(hilt_log, tmp_path, an_event, prices):
    """The dearest are shown, or all."""
    path = tmp_path / "app.jsonl"
    metrics = {"cost_usd": 1.0}
    lines = [encode(an_event(session_id=f"s{n}", metrics=metrics)) for n in range(30)]
    path.write_bytes(b"\n".join(lines))
    arguments = ["reprice", path, "--prices", prices, "--dry-run", "--by", "session"]
    assert "10 more lines: --all shows them\n" in hilt_log(*arguments).out
    assert "s29 " in hilt_log(*arguments, "--all").out


@pytest.mark.parametrize(
    "arguments",
    [[], ["--dry-run", "--at", "soon"], ["--dry-run", "--by", "x"], ["--dry-run", "--prices", "x"]],
)
def test_wrong_usage(hilt_log, log, arguments):
    """A wrong option, and neither an output nor --dry-run, end with 2."""
    done = hilt_log("reprice", log, *arguments)
    assert (2, "") == (done.code, done.out)
    assert "Error" in done.err


def test_input_that_cannot_be_read(hilt_log, log, prices, tmp_path):
    """What can't be read is told, and the exit code is 3; an empty log costs nothing."""
    with open(log, "ab") as file:
        file.write(b"torn")
    done = hilt_log("reprice", log, "--prices", prices, "--dry-run", "--json")
    assert (3, 3, 1) == (done.code, done.json["events"], done.json["faults"])
    assert f"{log}, line 4: not an event" in done.err
    (tmp_path / "empty.jsonl").touch()
    assert 0 == hilt_log("reprice", tmp_path / "empty.jsonl", "--prices", prices, "--dry-run").code


def test_standard_input(in_shell, log, prices):
    """`-` is standard input."""
    arguments = ["reprice", "-", "--prices", prices, "--dry-run", "--json"]
    done = in_shell(*arguments, input=log.read_text())
    assert (0, 3) == (done.returncode, json.loads(done.stdout)["events"])


def test_long_name(hilt_log, log, tmp_path, prices):
    """One long id makes no other line wider, and stands whole."""
    name = "m" * 3000
    log.write_bytes(log.read_bytes() + log.read_bytes().replace(b"none", name.encode()))
    done = hilt_log("reprice", log, "--prices", prices, "--dry-run")
    (long,) = (line for line in done.out.splitlines() if name in line)
    others = [line for line in done.out.splitlines() if line != long]
    assert max(map(len, others)) < 130 < len(long)


@pytest.mark.once
def test_long_name_on_a_terminal(in_terminal, log, prices):
    """On a terminal no line is wider than it is: a long id is folded."""
    name = "q" * 300
    log.write_bytes(log.read_bytes() + log.read_bytes().replace(b"none", name.encode()))
    out = in_terminal("reprice", log, "--prices", prices, "--dry-run", NO_COLOR="1", COLUMNS="90")
    assert max(map(len, out.decode().splitlines())) <= 90
    assert 300 == out.count(b"q")
