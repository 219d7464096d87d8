"""
structlog: an application with its own loggers, whose lines carry events.

`promote_hilt` hands the event of a line to every handler, `render_hilt` shows it on the console
as a few fields without content, and `HILTFileHandler` keeps it in full.
"""

from __future__ import annotations

import logging.config

import structlog

from _summary import summarize

from hilt_logging import Metrics, bind, emit, events
from hilt_logging.structlog import promote_hilt, render_hilt


FILE = "logs/structlog.hilt.jsonl"
SHARED = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="%H:%M:%S"),
]
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "console": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": SHARED,
            "processors": [
                render_hilt,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=False),
            ],
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "console"},
        "file": {"class": "hilt_logging.HILTFileHandler", "filename": FILE},
    },
    "root": {"level": "INFO", "handlers": ["console", "file"]},
}


def main() -> None:
    logging.config.dictConfig(CONFIG)
    structlog.configure(
        processors=[*SHARED, promote_hilt],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log = structlog.get_logger("shop")
    log.info("started", version="2.3.1")  # an ordinary line: on the console only

    with bind(session_id="order-77", user_id="alice"):
        prompt = events.prompt("Where is my parcel?")
        log.info("asked", hilt=prompt)
        answer = events.completion(
            "It arrives on Friday.",
            reply_to=prompt.event_id,
            metrics=Metrics(latency_ms=640, tokens={"prompt": 9, "completion": 6, "total": 15}),
            provenance={"provider": "my-provider", "model": "parcels-1"},
        )
        log.info("answered", hilt=answer)
        log.info("rated", hilt=events.feedback(score=1, reply_to=answer.event_id), page="order")
        emit(events.tool_call("refund", {"order": 77}))  # as the integrations do: same handlers
    summarize(FILE)


if __name__ == "__main__":
    main()
