"""
What a call cost: the user's own prices first, then the table of genai-prices.

Prices are looked up once for each provider, model and day, and are numbers from then on. A model
that is in neither table has no cost; it never gets another model's price.

Formula: US dollars per million tokens, times the tokens of each part. Parts without a price of
their own (cached, audio, reasoning) cost what the part they belong to costs. Where a price has
tiers, the number of prompt tokens chooses one for all tokens, as genai-prices defines it.
"""

from __future__ import annotations

import datetime
import fnmatch
import hashlib
import json
import os
import time
import tomllib

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigurationError, MissingDependencyError


try:
    from genai_prices import __version__ as _table_version
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()  # the table is read here, at set-up, and not inside somebody's call
except ImportError:
    _table_version = ""


__all__ = ["Cost", "PriceList", "cost_of", "set_prices"]

_PARTS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_MORE_PARTS = ("input_audio", "output_audio", "output_reasoning")
_SECTIONS = (*_PARTS, *_MORE_PARTS)
_GENAI_PRICES_IDS = {"gemini": "google", "xai": "x-ai", "bedrock": "aws", "vertex": "google"}

Tiers = tuple[tuple[int, float], ...]


class Cost(NamedTuple):
    """
    A cost and where its prices come from.

    Attributes:
        usd: US dollars.
        price: For `provenance.price`: `source` and `version`.
    """

    usd: float
    price: dict[str, str]


class _Own(NamedTuple):
    """The user's prices: model patterns by provider, and a digest of the table."""

    by_provider: dict[str, dict[str, dict[str, Tiers]]]
    version: str


_own: _Own | None = None


def set_prices(prices: str | os.PathLike[str] | Mapping[str, Any] | None) -> None:
    """
    Use one's own prices, which win over all others; None goes back to the others alone.

    A table has a section for each provider and in it one for each model, where `*` and `?` are
    as in file names. The keys are US dollars per million tokens: `input`, `output`, `cache_read`,
    `cache_write`, `cache_write_1h`, `input_audio`, `output_audio`, `output_reasoning`.

    Args:
        prices: A TOML or JSON file, or a dict of the same form.

    Raises:
        ConfigurationError: for a file that can't be read, and for keys or numbers that are wrong.
    """
    global _own
    _own = None if prices is None else _checked(_loaded(prices))
    _prices.cache_clear()


def _loaded(prices: str | os.PathLike[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(prices, Mapping):
        return prices
    try:
        path = Path(prices)
        raw = path.read_text("utf-8")
        table = json.loads(raw) if path.suffix == ".json" else tomllib.loads(raw)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            "prices", prices, f"Must be a TOML or JSON file of prices ({type(error).__name__})"
        ) from error
    if not isinstance(table, dict):
        raise ConfigurationError("prices", prices, "Must hold a table")
    return table


def _checked(table: Mapping[str, Any]) -> _Own:
    out: dict[str, dict[str, dict[str, Tiers]]] = {}
    for provider, models in table.items():
        if not isinstance(models, Mapping):
            raise ConfigurationError("prices", provider, "Must be a table of models")
        out[provider] = {model: _row(model, row) for model, row in models.items()}
    digest = hashlib.sha256(json.dumps(out, sort_keys=True).encode()).hexdigest()
    return _Own(out, f"sha256:{digest[:16]}")


def _row(model: str, row: Any) -> dict[str, Tiers]:
    if not isinstance(row, Mapping) or not {"input", "output"} & set(row):
        raise ConfigurationError("prices", model, "Must be a table with input and output")
    for name, value in row.items():
        if name not in _SECTIONS:
            raise ConfigurationError(
                "prices", f"{model}.{name}", f"Must be one of: {', '.join(_SECTIONS)}"
            )
        if type(value) not in (int, float) or not 0 <= value < float("inf"):
            raise ConfigurationError("prices", f"{model}.{name}", "Must be a number from 0")
    return {name: ((0, float(value)),) for name, value in row.items()}


def cost_of(
    provider: str | None, model: str | None, tokens: Mapping[str, int] | None
) -> Cost | None:
    """
    Return what tokens of today cost; None where provider or model have no price.

    Args:
        provider: As in `provenance.provider`.
        model: The model that served.
        tokens: As in `metrics.tokens`.
    """
    if not provider or not model or not tokens:
        return None
    found = _prices(provider, model, int(time.time() // 86400))
    return None if found is None else found.cost(tokens)


class PriceList:
    """
    Prices of any day, for what was recorded before.

    Args:
        prices: As in `set_prices`; by default those that it was given last, if any. They win here, too.

    Raises:
        ConfigurationError: as in `set_prices`.
        MissingDependencyError: without any prices, if genai-prices is not installed.
    """

    def __init__(self, prices: str | os.PathLike[str] | Mapping[str, Any] | None = None) -> None:
        own = _own if prices is None else _checked(_loaded(prices))
        if own is None and not _table_version:
            raise MissingDependencyError("genai-prices", "cost")
        self._prices = lru_cache(maxsize=4096)(partial(_looked_up, own))

    def cost_of(
        self, provider: str, model: str, tokens: Mapping[str, int], day: datetime.date
    ) -> Cost | None:
        """
        Return what tokens of a day cost; None where provider or model have no price.

        Args:
            provider: As in `provenance.provider`.
            model: The model that served.
            tokens: As in `metrics.tokens`.
            day: The day; one's own prices are the same on all days.
        """
        found = self._prices(provider, model, day.toordinal() - _FIRST_DAY)
        return None if found is None else found.cost(tokens)


_FIRST_DAY = datetime.date(1970, 1, 1).toordinal()


class _Prices:
    """What the tokens of one model cost on one day."""

    def __init__(self, tiers: dict[str, Tiers], price: dict[str, str]) -> None:
        self._tiers = tiers
        self._price = price
        flat = all(len(each) == 1 for each in tiers.values())
        self._flat = {part: _rate(tiers, part, 0) for part in _SECTIONS} if flat else None

    def cost(self, tokens: Mapping[str, int]) -> Cost:
        return Cost(self._total(tokens), self._price.copy())

    def _total(self, tokens: Mapping[str, int]) -> float:
        prompt, completion = tokens.get("prompt", 0), tokens.get("completion", 0)
        rates = self._flat
        if rates is None:
            rates = {part: _rate(self._tiers, part, prompt) for part in _SECTIONS}
        total = rates["input"] * prompt + rates["output"] * completion
        if not tokens.keys() <= _WHOLES:
            total += _of_parts(tokens, rates, prompt, completion)
        return round(total / 1e6, 12)


_WHOLES = frozenset({"prompt", "completion", "total"})


def _of_parts(
    tokens: Mapping[str, int], rates: Mapping[str, float], prompt: int, completion: int
) -> float:
    """What it makes that parts of the tokens have prices of their own."""
    written = tokens.get("cache_write", 0)
    long_written = min(tokens.get("cache_write_1h", 0), written)
    parts = {
        "cache_read": tokens.get("cached", 0),
        "cache_write": written - long_written,
        "cache_write_1h": long_written,
        "input_audio": tokens.get("audio_prompt", 0),
    }
    out = {
        "output_audio": tokens.get("audio_completion", 0),
        "output_reasoning": tokens.get("reasoning", 0),
    }
    # more parts than there are tokens: the provider counts them apart
    in_whole, out_whole = min(sum(parts.values()), prompt), min(sum(out.values()), completion)
    more = sum(rates[part] * number for part, number in (parts | out).items())
    return more - rates["input"] * in_whole - rates["output"] * out_whole


_WHOLE = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "output_audio": "output",
    "output_reasoning": "output",
}


def _rate(prices: Mapping[str, Tiers], part: str, prompt: int) -> float:
    while part not in prices and part in _WHOLE:
        part = _WHOLE[part]
    reached = [price for start, price in prices.get(part, ()) if prompt > start or start == 0]
    return reached[-1] if reached else 0.0


@lru_cache(maxsize=4096)
def _prices(provider: str, model: str, day: int) -> _Prices | None:
    return _looked_up(_own, provider, model, day)


def _looked_up(own: _Own | None, provider: str, model: str, day: int) -> _Prices | None:
    if own is not None:
        patterns = own.by_provider.get(provider, {})
        for pattern in (model, *patterns):
            if pattern in patterns and fnmatch.fnmatchcase(model, pattern):
                return _Prices(patterns[pattern], {"source": "user", "version": own.version})
    if not _table_version:
        return None
    return _from_genai_prices(provider, model, day)


def _from_genai_prices(provider: str, model: str, day: int) -> _Prices | None:
    noon = datetime.datetime.fromtimestamp((day + 0.5) * 86400, datetime.timezone.utc)
    try:
        snapshot = get_snapshot()
        known_as = _GENAI_PRICES_IDS.get(provider, provider)
        _, found = snapshot.find_provider_model(model, None, known_as, None)
        row = vars(found.get_prices(noon))
        prices = {
            part: _tiers(row[f"{part}_mtok"])
            for part in _SECTIONS
            if row.get(f"{part}_mtok") is not None
        }
    except Exception:  # LookupError for what it does not know; its data are not ours to trust
        return None
    if not prices:
        return None
    return _Prices(prices, {"source": "genai-prices", "version": _table_version})


def _tiers(price: Any) -> Tiers:
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return ((0, float(price)),)
    return ((0, float(price.base)), *((int(t.start), float(t.price)) for t in tiers))
