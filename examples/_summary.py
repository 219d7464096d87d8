"""What is in the files that an example wrote."""

from __future__ import annotations

import json
import os
import stat

from collections import Counter
from pathlib import Path
from typing import Any

from hilt_logging import validate_event


def summarize(*paths: str | os.PathLike[str]) -> None:
    """Print of each file its mode, and its events by action and provider, without content."""
    for path in map(Path, paths):
        lines = path.read_bytes().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        valid = sum(not validate_event(event) for event in events)
        mode = stat.filemode(path.stat().st_mode) if path.exists() else "no such file"
        print(f"\n{path} ({mode}), events: {len(events)}, valid: {valid}")
        for (action, provider), number in sorted(Counter(map(_kind, events)).items()):
            print(f"  {number:3} {action:<12} {provider}")
        _print_totals([event.get("metrics", {}) for event in events])


def _kind(event: dict[str, Any]) -> tuple[str, str]:
    return event["action"], event.get("provenance", {}).get("provider", "")


def _print_totals(metrics: list[dict[str, Any]]) -> None:
    tokens = [each["tokens"] for each in metrics if "tokens" in each]
    if tokens:
        asked, answered = (sum(each[name] for each in tokens) for name in ("prompt", "completion"))
        print(f"  tokens: {asked} asked, {answered} answered")
    costs = [each["cost_usd"] for each in metrics if "cost_usd" in each]
    if costs:
        print(f"  cost: ${sum(costs):.6f} for {len(costs)} of {len(tokens)} answers")
