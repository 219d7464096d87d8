"""OpenTelemetry's instrumentation of the same SDK, beside ours."""

from __future__ import annotations

import pytest

import hilt_logging


openai = pytest.importorskip("openai")
openai_v2 = pytest.importorskip("opentelemetry.instrumentation.openai_v2")

from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: E402
    InMemorySpanExporter,
)


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_any_order(first, provider, collected, instrumented):
    """Each records each call once, in any order; the events carry the span of the call."""
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    theirs = openai_v2.OpenAIInstrumentor()
    starts = [lambda: theirs.instrument(tracer_provider=tracers), lambda: instrumented("openai")]

    def calls():
        collected.records.clear()
        exporter.clear()
        for fixture, options in (("chat_text", {}), ("chat_stream_text_usage", {"stream": True})):
            client = openai.OpenAI(api_key="k", base_url=f"{provider.url(f'openai/{fixture}')}/v1")
            asked = [{"role": "user", "content": "Hello"}]
            made = client.chat.completions.create(model="m", messages=asked, **options)
            assert len(list(made)) > 1
        return len(collected.events), len(exporter.get_finished_spans())

    for start in starts if first == "theirs" else reversed(starts):
        start()
    assert (4, 2) == calls()
    spans = {f"{span.context.span_id:016x}" for span in exporter.get_finished_spans()}
    assert spans == {event["provenance"]["span_id"] for event in collected.events}
    hilt_logging.uninstrument()
    assert (0, 2) == calls()
    instrumented("openai")
    theirs.uninstrument()
    assert (4, 0) == calls()
