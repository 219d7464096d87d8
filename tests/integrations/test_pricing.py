from __future__ import annotations

import json

import pytest

from hilt_logging import ConfigurationError
from hilt_logging.integrations import set_prices
from hilt_logging.integrations._pricing import cost_of


@pytest.fixture(autouse=True)
def own_prices():
    """No test leaves prices behind."""
    yield
    set_prices(None)


ROW = {"input": 2.0, "output": 8.0, "cache_read": 0.5, "cache_write": 3.0, "cache_write_1h": 4.0}


def test_each_part_has_its_price():
    """Parts of the prompt cost what they cost, the rest of it the price of input."""
    set_prices({"acme": {"m": ROW}})
    tokens = {
        "prompt": 1000,
        "completion": 100,
        "cached": 200,
        "cache_write": 300,
        "cache_write_1h": 100,
    }
    expected = (500 * 2 + 200 * 0.5 + 200 * 3 + 100 * 4 + 100 * 8) / 1e6
    cost = cost_of("acme", "m", tokens)
    assert cost is not None
    assert pytest.approx(expected) == cost.usd


def test_part_without_a_price_costs_what_its_whole_costs():
    """Cached, audio and reasoning tokens without a price are input and output."""
    set_prices({"acme": {"m": {"input": 1.0, "output": 2.0}}})
    tokens = {"prompt": 10, "completion": 5, "cached": 3, "reasoning": 2, "audio_prompt": 1}
    cost = cost_of("acme", "m", tokens)
    assert cost is not None
    assert pytest.approx(20 / 1e6) == cost.usd


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_table_from_a_file(tmp_path, suffix):
    """A TOML and a JSON file are read alike."""
    path = tmp_path / f"prices.{suffix}"
    toml = '[acme."m-*"]\ninput = 1\noutput = 2.5\n'
    path.write_text(
        toml if suffix == "toml" else json.dumps({"acme": {"m-*": {"input": 1, "output": 2.5}}})
    )
    set_prices(path)
    cost = cost_of("acme", "m-large", {"prompt": 2, "completion": 2})
    assert cost is not None
    assert pytest.approx(7 / 1e6) == cost.usd
    assert "user" == cost.price["source"]


def test_exact_name_wins_over_a_pattern():
    """The row of the very model is taken before one with a star."""
    set_prices({"acme": {"m*": {"input": 9, "output": 9}, "m1": {"input": 1, "output": 1}}})
    cost = cost_of("acme", "m1", {"prompt": 1_000_000, "completion": 0})
    assert cost is not None
    assert 1.0 == cost.usd


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"acme": 3}, "acme"),
        ({"acme": {"m": {"inputs": 1}}}, "m"),
        ({"acme": {"m": {"input": 1, "outputs": 1}}}, "m.outputs"),
        ({"acme": {"m": {"input": "1"}}}, "m.input"),
        ({"acme": {"m": {"input": -1}}}, "m.input"),
        ({"acme": {"m": {"input": float("nan")}}}, "m.input"),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_wrong_table_is_an_error_at_set_up(table, named):
    """A wrong table names what is wrong."""
    with pytest.raises(ConfigurationError, match="Invalid prices") as caught:
        set_prices(table)
    assert named in str(caught.value)


def test_wrong_table_leaves_the_prices_alone():
    """After an error the earlier prices still hold."""
    set_prices({"acme": {"m": ROW}})
    with pytest.raises(ConfigurationError):
        set_prices({"acme": 3})
    assert cost_of("acme", "m", {"prompt": 1, "completion": 0}) is not None


def test_unknown_model_has_no_cost():
    """A model that is in no table has no cost, never another model's."""
    tokens = {"prompt": 1, "completion": 1}
    assert cost_of("openai", "no-such-model-at-all", tokens) is None
    assert cost_of("127.0.0.1", "gpt-4o-mini", tokens) is None
    assert cost_of(None, "gpt-4o-mini", tokens) is None
    assert cost_of("openai", None, tokens) is None
    assert cost_of("openai", "gpt-4o-mini", None) is None


@pytest.mark.parametrize(
    ("provider", "known_as", "model", "prompt"),
    [
        ("openai", "openai", "gpt-4o-mini", 1000),
        ("openai", "openai", "gpt-5.5-2026-04-23", 300_000),
        ("anthropic", "anthropic", "claude-sonnet-4-5", 1000),
        ("anthropic", "anthropic", "claude-sonnet-4-5", 300_000),
        ("gemini", "google", "gemini-2.5-pro", 300_000),
    ],
)
def test_table_of_genai_prices(provider, known_as, model, prompt):
    """Our arithmetic on its numbers gives what genai-prices itself calculates, tiers included."""
    genai_prices = pytest.importorskip("genai_prices")
    usage = genai_prices.Usage(
        input_tokens=prompt, output_tokens=77, cache_read_tokens=100, cache_write_tokens=0
    )
    price = genai_prices.calc_price(usage, model, provider_id=known_as)
    cost = cost_of(provider, model, {"prompt": prompt, "completion": 77, "cached": 100})
    assert cost is not None
    assert pytest.approx(float(price.total_price)) == cost.usd
    assert {"source": "genai-prices", "version": genai_prices.__version__} == cost.price
