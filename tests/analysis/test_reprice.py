"""What calls cost at other prices."""

from __future__ import annotations

import datetime
import json
import logging
import os

import pytest

from hilt_logging import HILTFileHandler, emit
from hilt_logging.analysis import Wanted, convert, reprice
from hilt_logging.analysis.reprice import GROUPS
from hilt_logging.custody import decrypt
from hilt_logging.errors import ConfigurationError, MissingDependencyError
from hilt_logging.integrations import _pricing, set_prices
from hilt_logging.io.reader import read
from hilt_logging.safeguards import jwk
from hilt_logging.schema import validate_event


PRICES = {"acme": {"large": {"input": 2.0, "output": 10.0}, "small": {"input": 0.5, "output": 1}}}
OLD = {"source": "genai-prices", "version": "0.0.1"}


@pytest.fixture
def call(an_event):
    """Makes an answer of 1,000 and 100 tokens; at the prices above, that of `large` is $0.003."""
    numbers = iter(range(100, 999))

    def call(model="large", cost=0.25, price=OLD, provider="acme", **fields):
        provenance = {"provider": provider, "request_model": "alias"}
        provenance |= {} if model is None else {"model": model}
        provenance |= {} if price is None else {"price": price}
        metrics = {"tokens": {"prompt": 1000, "completion": 100, "total": 1100}}
        return an_event(
            event_id=f"e{next(numbers)}",
            action="completion",
            **{
                "provenance": provenance,
                "metrics": metrics | ({} if cost is None else {"cost_usd": cost}),
                "extensions": {"user_id": "alice"},
                **fields,
            },
        )

    return call


@pytest.fixture
def repriced(write, tmp_path):
    """Reprices events to a new log, and returns what it says and what is in it."""

    def repriced(*events, **options):
        path = write("app.jsonl", *events)
        options.setdefault("prices", PRICES)
        done = reprice(path, tmp_path / "new.jsonl", **options)
        return done, list(read(tmp_path / "new.jsonl", typed=False))

    return repriced


def test_new_cost(repriced, call, lines_in, tmp_path):
    """The cost and its source are new, the old ones are kept, and every other line is the same."""
    old, other = call(), call(provider="none")
    done, (new, same) = repriced(old, other)
    assert other == same
    source = _pricing.PriceList(PRICES).cost_of(
        "acme", "large", {"prompt": 1}, datetime.date.today()
    )
    assert (0.003, source.price) == (new["metrics"]["cost_usd"], new["provenance"]["price"])
    kept = {"metrics.cost_usd": 0.25, "provenance.price": OLD}
    assert {"user_id": "alice", "original": kept} == new["extensions"]
    assert [] == validate_event(new)
    assert list(old) == list(new)
    assert old == lines_in(tmp_path / "app.jsonl")[0]
    total = done.total
    assert (2, 1, 1, 0, 0) == (
        total.calls,
        total.changed,
        total.unpriced,
        total.told,
        total.added,
    )
    assert (0.5, pytest.approx(0.253)) == (total.old_usd, total.new_usd)


def test_dry_run(write, call, tmp_path):
    """Without an output nothing is written, and the figures are the same."""
    path = write("app.jsonl", call(), call("small", 0.0006), call("unknown"))
    before = sorted(os.listdir(tmp_path)), path.read_bytes()
    told = reprice(path, prices=PRICES)
    assert before == (sorted(os.listdir(tmp_path)), path.read_bytes())
    assert told.output is None
    assert {"large": 1, "unknown": 0, "small": 0} == {
        each.key: each.changed for each in told.groups
    }
    made = reprice(path, tmp_path / "new.jsonl", prices=PRICES)
    assert (told.total, told.groups) == (made.total, made.groups)


def test_cost_that_was_missing(repriced, call):
    """A call that had no cost gets one, and its original says that there was none."""
    done, (new,) = repriced(call(cost=None, price=None))
    assert 0.003 == new["metrics"]["cost_usd"]
    assert {"metrics.cost_usd": None} == new["extensions"]["original"]
    assert (1, 1, 0.0) == (done.total.changed, done.total.added, done.total.old_usd)


@pytest.mark.parametrize("cost", [0.25, "0,25"])
def test_cost_that_was_told(repriced, call, cost):
    """A cost without the price it was made of stays, unless those are wanted, too."""
    event = call(cost=cost, price=None)
    done, (same,) = repriced(event)
    assert 0.25 == same["metrics"]["cost_usd"]
    assert (0, 1, 0) == (done.total.changed, done.total.told, done.total.unpriced)
    done, (new,) = repriced(event, told=True, force=True)
    assert (0.003, 1) == (new["metrics"]["cost_usd"], done.total.changed)
    assert {"metrics.cost_usd": cost} == new["extensions"]["original"]


@pytest.mark.parametrize(
    "fields",
    [
        {"extensions": {"batch": {"id": "b"}}},
        {"provenance": {"provider": "acme", "model": "large", "params": {"service_tier": "flex"}}},
        {"provenance": {"provider": "acme", "model": 5}},
        {"provenance": "acme"},
        {"metrics": {"tokens": {"prompt": "many"}, "cost_usd": 0.1}},
        {"extensions": ["none"]},
        {"timestamp": "2026-02-31T00:00:00Z"},
    ],
)
def test_special_and_strange_calls(write, call, tmp_path, lines_in, fields):
    """What has no price by the table, or says nothing it can be told by, stays as it is."""
    event = call(cost=None, price=None, **fields)
    reprice(write("app.jsonl", event), tmp_path / "new.jsonl", prices=PRICES, told=True)
    assert [event] == lines_in(tmp_path / "new.jsonl")


def test_again(repriced, call, tmp_path):
    """What is repriced twice keeps what it had first; at the same prices nothing changes."""
    repriced(call())
    path = tmp_path / "new.jsonl"
    twice = tmp_path / "twice.jsonl"
    assert 0 == reprice(path, twice, prices=PRICES).total.changed
    assert path.read_bytes() == twice.read_bytes()
    dear = {"acme": {"*": {"input": 100.0, "output": 0}}}
    assert 1 == reprice(path, twice, prices=dear, force=True).total.changed
    (event,) = read(twice, typed=False)
    assert 0.1 == event["metrics"]["cost_usd"]
    kept = {"metrics.cost_usd": 0.25, "provenance.price": OLD}
    assert kept == event["extensions"]["original"]


def test_only_some(repriced, call):
    """Events that are not wanted stay as they are and are not compared."""
    events = call(), call("small")
    done, (large, small) = repriced(*events, wanted=Wanted(models=["small"]))
    assert (events[0], 0.0006) == (large, small["metrics"]["cost_usd"])
    assert (2, 1) == (done.events, done.total.calls)


def test_groups(write, call):
    """Costs are compared by whatever the groups are; by time in its order, else the dearest first."""
    bob = {"type": "human", "id": "bob"}
    path = write(
        "app.jsonl",
        call("small", timestamp="2026-02-01T23:59:59.000000Z"),
        call(timestamp="2026-01-31T22:59:59.000000-02:00", cost=0.5),
        call(model=None, timestamp="2026-01-02T00:00:00.000000Z", extensions={}, actor=bob),
    )

    def keys(by):
        return [(each.key, each.calls) for each in reprice(path, prices=PRICES, by=by).groups]

    assert [("large", 1), ("alias", 1), ("small", 1)] == keys("model")
    assert [("2026-01-02", 1), ("2026-02-01", 2)] == keys("day")
    assert [("2026-01", 1), ("2026-02", 2)] == keys("month")
    assert [("alice", 2), ("bob", 1)] == keys("user")
    assert [("acme", 3)] == keys("provider")
    assert {"model", "provider", "user", "session", "day", "month"} == set(GROUPS)


def test_day_of_the_prices(write, call, monkeypatch):
    """The table is asked for the day of the event, of today, or another one."""
    asked = []
    monkeypatch.setattr(_pricing, "_table_version", "1")
    monkeypatch.setattr(
        _pricing, "_from_genai_prices", lambda provider, model, day: asked.append(day)
    )
    path = write("app.jsonl", call(timestamp="1970-01-03T12:00:00.000000Z"))
    for at in ("event", "1970-01-02", datetime.date(1970, 1, 5), "today"):
        reprice(path, at=at)
    today = (datetime.datetime.now(datetime.timezone.utc).timestamp()) // 86400
    assert [2, 1, 4] == asked[:3]
    assert today - 1 <= asked[3] <= today


def test_prices_that_are_set(write, call):
    """Without prices of its own it takes those that capture uses."""
    set_prices(PRICES)
    try:
        assert 1 == reprice(write("app.jsonl", call())).total.changed
    finally:
        set_prices(None)


def test_no_prices(write, call, monkeypatch):
    """Where there are no prices at all, it says which extra brings some."""
    monkeypatch.setattr(_pricing, "_table_version", "")
    with pytest.raises(MissingDependencyError, match="cost"):
        reprice(write("app.jsonl", call()))


@pytest.fixture
def linked(tmp_path, call):
    """A linked log of a call."""
    (tmp_path / "linked").mkdir()
    handler = HILTFileHandler(tmp_path / "linked" / "app.jsonl", evidence=True)
    logger = logging.Logger("hilt.test")
    logger.addHandler(handler)
    emit(call(), logger=logger)
    handler.close()
    return tmp_path / "linked" / "app.jsonl"


def test_evidence(linked, tmp_path):
    """The evidence of a linked log holds for that alone: the copy has it where it proves nothing."""
    events = len(linked.read_bytes().splitlines())
    done = reprice(linked, tmp_path / "new.jsonl", prices=PRICES)
    assert (events, 1) == (done.linked, done.total.changed)
    new = list(read(tmp_path / "new.jsonl", typed=False))
    assert [False] * events == ["integrity" in each for each in new]
    assert all("original_integrity" in each["extensions"] for each in new)


def test_encrypted(tmp_path, call):
    """What is encrypted stays so, costs beside it change, and the key opens it as before."""
    made = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", made)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    handler = HILTFileHandler(tmp_path / "a.jsonl", encrypt_to=str(tmp_path / "a.pub.jwk"))
    logger = logging.Logger("hilt.test")
    logger.addHandler(handler)
    emit(call(content={"text": "the moon"}), logger=logger)
    handler.close()
    reprice(tmp_path / "a.jsonl", tmp_path / "new.jsonl", prices=PRICES)
    (line,) = (tmp_path / "new.jsonl").read_text().splitlines()
    assert "the moon" not in line
    (opened,) = decrypt(tmp_path / "new.jsonl", keys=[tmp_path / "a.key.jwk"])
    event = json.loads(opened.line)
    assert ("the moon", 0.003) == (event["content"]["text"], event["metrics"]["cost_usd"])


def test_other_forms(write, call, tmp_path):
    """What was made of a log has the same costs."""
    path = write("app.jsonl", call(), call("small"))
    convert(path, output=tmp_path / "app.db")
    assert reprice(path, prices=PRICES).total == reprice(tmp_path / "app.db", prices=PRICES).total


def test_faults(write, call, tmp_path):
    """A line that is no event is reported and not in the new log."""
    errors = []
    path = write("app.jsonl", call(), b"torn", call())
    done = reprice(path, tmp_path / "new.jsonl", prices=PRICES, report=errors.append)
    assert (2, 1, [2]) == (done.events, done.faults, [each.line for each in errors])
    assert 2 == len((tmp_path / "new.jsonl").read_bytes().splitlines())


def test_output(write, call, tmp_path):
    """No file is written over, least of all one that is read; what fails leaves nothing."""
    path = write("app.jsonl", call())
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="--force"):
        reprice(path, write("other.jsonl"), prices=PRICES)
    with pytest.raises(ConfigurationError, match="what is read"):
        reprice(path, path, prices=PRICES, force=True)
    with pytest.raises(ConfigurationError, match="prices"):
        reprice(path, tmp_path / "new.jsonl", prices={"acme": 1})
    assert before == path.read_bytes()
    assert ["app.jsonl", "other.jsonl"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize(
    "options", [{"by": "weather"}, {"at": "yesterday"}, {"prices": "none.toml"}]
)
def test_wrong_options(write, call, options):
    """A wrong option is told, with what is allowed."""
    with pytest.raises(ConfigurationError):
        reprice(write("app.jsonl", call()), **{"prices": PRICES, **options})
