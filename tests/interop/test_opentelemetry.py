"""Events through OpenTelemetry's handler for `logging`."""

from collections.abc import Mapping

import pytest

import hilt_logging

from hilt_logging import events


pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.instrumentation.logging.handler")

from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider


@pytest.fixture
def exported(logger, hilt_file):
    """What OpenTelemetry exports of the logger's records; the file is written before."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger.addHandler(hilt_file.handler)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    yield lambda: [item.log_record for item in exporter.get_finished_logs()]
    provider.shutdown()


@pytest.fixture
def tracer():
    """A tracer of its own provider."""
    return TracerProvider(shutdown_on_exit=False).get_tracer("test")


def plain(value):
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_nested_attributes(logger, hilt_file, exported, completion):
    """The event arrives whole, as the nested attribute hilt; the body is the summary."""
    hilt_logging.emit(completion, logger=logger)

    [record] = exported()
    assert [plain(record.attributes["hilt"])] == hilt_file()
    assert set(record.attributes) == {"hilt"}
    assert record.body == "completion openai gpt-4o f session=conv-1 tokens=1+2 cost=$0.5 7ms"
    assert record.severity_text == "INFO"


def test_users_own(logger, hilt_file, exported):
    """An event that a user logged is, once completed, the same in both."""
    logger.warning("rated", extra={"hilt": events.feedback(5, session_id="s")})

    [record] = exported()
    assert [plain(record.attributes["hilt"])] == hilt_file()
    assert (record.body, record.severity_text) == ("rated", "WARN")


def test_typed_event_alone(logger, hilt_file, exported):
    """A typed event that nothing of ours has seen is not carried as a structure."""
    ours, theirs = [
        h for h in logger.handlers if type(h).__module__.startswith(("hilt", "opentel"))
    ]
    logger.removeHandler(ours)
    logger.info("rated", extra={"hilt": events.feedback(5, session_id="s")})
    theirs.addFilter(hilt_logging.HILTContextFilter())
    logger.info("rated", extra={"hilt": events.feedback(5, session_id="s")})

    bare, filtered = exported()
    assert not isinstance(bare.attributes.get("hilt"), Mapping)
    assert filtered.attributes["hilt"]["action"] == "feedback"


def test_trace_ids(logger, hilt_file, exported, tracer):
    """The ids of the current span stand in provenance, and are those of the exported record."""
    with tracer.start_as_current_span("request"):
        hilt_logging.emit(events.prompt("x", session_id="s"), logger=logger)
        logger.info("rated", extra={"hilt": events.feedback(5, session_id="s")})

    records, found = exported(), hilt_file()
    ids = [(f"{record.trace_id:032x}", f"{record.span_id:016x}") for record in records]
    assert len(set(ids)) == 1
    assert [(e["provenance"]["trace_id"], e["provenance"]["span_id"]) for e in found] == ids


def test_without_span(logger, hilt_file, exported):
    """Outside of a span no ids are invented."""
    hilt_logging.emit(events.prompt("x", session_id="s"), logger=logger)

    assert hilt_file()[0]["provenance"] == {"logger": logger.name}


def test_bound_ids_win(logger, hilt_file, exported, tracer):
    """Ids that were bound win over those of the span."""
    with tracer.start_as_current_span("request"), hilt_logging.bind(trace_id="ab" * 16):
        hilt_logging.emit(events.prompt("x", session_id="s"), logger=logger)

    assert hilt_file()[0]["provenance"]["trace_id"] == "ab" * 16


def test_event_name(logger, exported):
    """With the extra otel.event.name the exported record is an OpenTelemetry event."""
    extra = {"hilt": events.feedback(5, session_id="s"), "otel.event.name": "hilt.feedback"}

    logger.info("rated", extra=extra)

    [record] = exported()
    assert record.event_name == "hilt.feedback"


def test_check_config_names_the_handler(logger, exported):
    """check_config says that this handler passes the content of events on."""
    findings = [str(f) for f in hilt_logging.check_config() if f.logger == logger.name]

    assert [f for f in findings if f.startswith("warning") and "LoggingHandler" in f] != []
