"""
python-json-logger: one JSON stream of ordinary logs and events, and the HILT file beside it.

Every line on stdout has the same shape; an event is an object under `hilt`, with its content. That
is why the stream is set up by name on `hilt`, and does not get events by accident.
"""

from __future__ import annotations

import logging.config

from _summary import summarize

from hilt_logging import Metrics, bind, emit, events


FILE = "logs/json_logs.hilt.jsonl"
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "hilt_logging.jsonlogger.HILTJsonFormatter", "layout": "nested"},
    },
    "handlers": {
        "stream": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
        },
        "file": {"class": "hilt_logging.HILTFileHandler", "filename": FILE},
    },
    "loggers": {
        "hilt": {"level": "INFO", "handlers": ["stream", "file"], "propagate": False},
    },
    "root": {"level": "INFO", "handlers": ["stream"]},
}


def main() -> None:
    logging.config.dictConfig(CONFIG)
    log = logging.getLogger("shop")
    log.info("started", extra={"version": "2.3.1"})

    with bind(session_id="order-77", user_id="alice"):
        prompt_id = emit(events.prompt("Where is my parcel?"))
        answer = events.completion(
            "It arrives on Friday.",
            reply_to=prompt_id,
            metrics=Metrics(latency_ms=640, tokens={"prompt": 9, "completion": 6, "total": 15}),
            provenance={"provider": "my-provider", "model": "parcels-1"},
        )
        emit(answer)
        # a logger of one's own: its records carry an event too, if one puts it there
        rated = events.feedback(score=1, reply_to=answer.event_id)
        logging.getLogger("hilt.app.shop").info("rated", extra={"hilt": rated, "page": "order"})
    log.warning("stopped", extra={"open_orders": 3})
    summarize(FILE)


if __name__ == "__main__":
    main()
