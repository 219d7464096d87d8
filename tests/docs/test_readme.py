"""What README.md shows first, and its two commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

from pathlib import Path

import pytest

from hilt_logging.integrations import set_prices
from hilt_logging.integrations._pricing import cost_of


ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples"

# The provider on this machine stands for OpenAI's, with its name and its prices.
AGAINST_THE_PROVIDER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from _provider import Provider
from hilt_logging.integrations import _providers
_providers._HOSTS["127.0.0.1"] = "openai"
with Provider() as provider:
    os.environ |= {"OPENAI_BASE_URL": provider.openai_url, "OPENAI_API_KEY": "none"}
    os.environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    exec(sys.stdin.read())
"""


def first_block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)[1]


def command(name):
    return re.search(rf"^<!-- {name} -->\n```sh\n(.*)\n```$", README, re.M)[1]


def test_first_lines(tmp_path):
    """The three lines of Python write the two events that follow them, but for ids and times."""
    for module in ("openai", "yaml", "genai_prices"):
        pytest.importorskip(module)
    (tmp_path / "logging.yaml").write_text(first_block("yaml"), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", AGAINST_THE_PROVIDER, str(EXAMPLES)],
        input=first_block("python"),
        encoding="utf-8",
        cwd=tmp_path,
        check=True,
    )
    written = (tmp_path / "logs/app.hilt.jsonl").read_text(encoding="utf-8").splitlines()
    shown = first_block("jsonl").splitlines()
    assert _stable(shown) == _stable(written)
    assert list(map(_order, shown)) == list(map(_order, written))


def _stable(lines):
    """The events with their ids numbered in the order in which they first come."""
    text = "\n".join(lines)
    for pattern, name in (
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "id"),
        (r"(chatcmpl-|req_)[0-9a-f]{32}", "provider's id"),
    ):
        seen = {}
        text = re.sub(pattern, lambda m, s=seen, n=name: s.setdefault(m[0], f"{n} {len(s)}"), text)
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.pop("timestamp"))
        if "metrics" in event:
            assert event["metrics"].pop("latency_ms") >= 0
            assert event["metrics"]["cost_usd"] > 0
            assert event["provenance"]["price"].pop("version")
    return events


def _order(line):
    return [(name, *value) if isinstance(value, dict) else name for name, value in _pairs(line)]


def _pairs(line):
    return json.loads(line).items()


def test_extras_of_the_quickstart_command():
    """The quickstart command installs extras that exist, and runs a file that exists."""
    extras = re.search(r"'\.\[([a-z,-]+)\]'", command("the quickstart command"))[1].split(",")
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(extras) <= set(pyproject["project"]["optional-dependencies"])
    assert (ROOT / command("the quickstart command").split()[-1]).is_file()


def test_command_of_ci():
    """CI takes its command from the README, which has it as one line that names a file."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "the test command" in script
    assert command("the test command").split()[0] == "python3"
    assert (ROOT / command("the test command").split()[1]).is_file()


def test_first_forty_lines():
    """The first forty lines hold all that a newcomer needs, and no badge."""
    begin = "\n".join(README.splitlines()[:40])
    assert "pip install" in begin
    for language in ("yaml", "python", "jsonl"):
        assert f"```{language}\n{first_block(language)}```" in begin
    assert len(re.findall(r"^- \*\*\w+\.\*\* ", begin, re.M)) == 3
    assert begin.count("(docs/") >= 5
    assert "![" not in README


def test_prices():
    """The file of prices that is shown can be read, and its prices count."""
    try:
        set_prices(tomllib.loads(first_block("toml")))
        own = cost_of("openai", "gpt-4o-mini", {"prompt": 1000, "completion": 100})
        assert (0.0035, "user") == (own.usd, own.price["source"])
        assert 0 == cost_of("127.0.0.1", "any", {"prompt": 1, "completion": 1}).usd
    finally:
        set_prices(None)
