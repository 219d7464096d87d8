"""
Who takes part in capture.py: a row of its table each, and how it is set up around OpenAI's SDK.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import logging
import os

from collections.abc import Callable
from pathlib import Path
from typing import Any


MODES = ("stub", "whole", "idle")
Recorded = Callable[[], int]
"""How many calls are on record, whole."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """
    A row of the table.

    Attributes:
        name: What `--contenders` calls it.
        title: What the table calls it.
        opener: Puts it into the SDK; is given a file, and whether anybody is to listen.
        packages: What is installed for it into an environment of its own, which is named after the
            first one; nothing where it runs in this one.
        needs: Modules that this environment must have.
        modes: With the SDK's work stubbed out, with all of it, and with nobody who listens.
    """

    name: str
    title: str
    opener: Callable[[Path, bool], Recorded]
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    modes: tuple[str, ...] = MODES

    def missing(self) -> str:
        """Return what would have to be installed here, or nothing."""
        return ", ".join(name for name in self.needs if importlib.util.find_spec(name) is None)


def _nothing(path: Path, listens: bool) -> Recorded:
    from openai._base_client import SyncAPIClient

    inner = SyncAPIClient.request
    calls = 0

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return inner(self, *args, **kwargs)

    SyncAPIClient.request = request  # type: ignore[method-assign, assignment]
    return lambda: calls


def _least(path: Path, listens: bool) -> Recorded:
    from limit import limit
    from openai._base_client import SyncAPIClient

    inner = SyncAPIClient.request
    write = limit(path).step

    def request(self: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        write(options.json_data["messages"][-1]["content"], False)
        result = inner(self, cast_to, options, **kwargs)
        if kwargs.get("stream"):
            result._iterator = pieces(result._iterator)
        else:
            write(result.choices[0].message.content, True)
        return result

    def pieces(stream: Any) -> Any:
        said: list[str] = []
        try:
            for chunk in stream:
                said.append(chunk.choices[0].delta.content or "" if chunk.choices else "")
                yield chunk
        finally:
            write("".join(said), True)

    SyncAPIClient.request = request  # type: ignore[method-assign, assignment]
    return lambda: len(path.read_bytes().splitlines()) // 2


def _ours(path: Path, listens: bool) -> Recorded:
    import hilt_logging

    if listens:
        logger = logging.getLogger("hilt")
        logger.setLevel(logging.INFO)
        logger.addHandler(hilt_logging.HILTFileHandler(path))
    hilt_logging.instrument("openai")
    return functools.partial(_pairs, path)


def _pairs(path: Path) -> int:
    """How many prompts have an answer, with its text, tokens and cost."""
    if not path.exists():
        return 0
    prompts, answers = set(), set()
    for line in path.read_text("utf-8").splitlines():
        event = json.loads(line)
        if event["action"] == "prompt" and event["content"]["text"]:
            prompts.add(event["event_id"])
        elif event["content"]["text"] and (
            event["extensions"]["outcome"] == "closed_early"
            or (event["metrics"]["tokens"]["total"] and event["metrics"]["cost_usd"])
        ):
            answers.add(event["extensions"]["reply_to"])
    return len(prompts & answers)


def _spans() -> tuple[Any, Any, Recorded]:
    """A provider of tracers and an exporter that drop all spans, and how many they were."""
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    dropped = [0]

    class Dropping(SpanProcessor):
        def on_end(self, span: Any) -> None:
            dropped[0] += 1

    class Exporting(SpanExporter):
        def export(self, spans: Any) -> Any:
            dropped[0] += len(spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(Dropping())
    return provider, Exporting(), lambda: dropped[0]


def _opentelemetry(path: Path, listens: bool, content: bool = False) -> Recorded:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider

    if content:
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
        os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    provider, _, recorded = _spans()
    given = {"tracer_provider": provider, "meter_provider": MeterProvider()} if listens else {}
    OpenAIInstrumentor().instrument(**given)
    return recorded


def _openllmetry(path: Path, listens: bool) -> Recorded:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    provider, _, recorded = _spans()
    OpenAIInstrumentor().instrument(**{"tracer_provider": provider} if listens else {})
    return recorded


def _openinference(path: Path, listens: bool) -> Recorded:
    from openinference.instrumentation.openai import OpenAIInstrumentor

    provider, _, recorded = _spans()
    OpenAIInstrumentor().instrument(**{"tracer_provider": provider} if listens else {})
    return recorded


def _langfuse(path: Path, listens: bool) -> Recorded:
    import langfuse
    import langfuse.openai

    _, exporter, recorded = _spans()
    client = langfuse.Langfuse(
        public_key="pk-lf-none",
        secret_key="sk-lf-none",
        base_url="http://127.0.0.1:9",
        tracing_enabled=listens,
        span_exporter=exporter,
    )

    def flushed() -> int:
        client.flush()
        return recorded()

    return flushed


def _logfire(path: Path, listens: bool) -> Recorded:
    import logfire

    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    _, exporter, recorded = _spans()
    logfire.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[SimpleSpanProcessor(exporter)],
    )
    logfire.instrument_openai()
    return recorded


_OPENTELEMETRY = (
    "opentelemetry-instrumentation-openai-v2==2.4b0",
    # what it needs and does not ask for: httpx, and a util-genai that has `instruments`
    "opentelemetry-util-genai==1.1b0",
    "opentelemetry-sdk",
    "httpx",
)
CONTENDERS = (
    Contender("nothing", "a wrapper that does nothing", _nothing, needs=("openai",)),
    Contender(
        "least",
        "the least: two L2 events in a file, a list of the pieces",
        _least,
        needs=("openai",),
        modes=MODES[:2],
    ),
    Contender(
        "ours",
        '`instrument("openai")`, both events with content and cost in a file',
        _ours,
        needs=("openai", "genai_prices"),
    ),
    Contender(
        "opentelemetry", "OpenTelemetry (openai-v2), no content", _opentelemetry, _OPENTELEMETRY
    ),
    Contender(
        "opentelemetry_content",
        "OpenTelemetry (openai-v2), content on the span",
        functools.partial(_opentelemetry, content=True),
        _OPENTELEMETRY,
    ),
    Contender(
        "openllmetry",
        "OpenLLMetry",
        _openllmetry,
        packages=("opentelemetry-instrumentation-openai==0.62.4", "opentelemetry-sdk"),
    ),
    Contender(
        "openinference",
        "OpenInference",
        _openinference,
        packages=("openinference-instrumentation-openai==0.1.66", "opentelemetry-sdk"),
    ),
    Contender("langfuse", "Langfuse", _langfuse, packages=("langfuse==5.0.4",)),
    Contender("logfire", "Logfire", _logfire, packages=("logfire==5.2.0",), modes=MODES[:2]),
)
BY_NAME = {each.name: each for each in CONTENDERS}
