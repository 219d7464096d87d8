"""
What others do with the same events: by `dictConfig` and default options where they have them.

Every function imports what it needs, because each runs in a process of its own and some of the
packages may be missing.
"""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import Opened
from samples import Clock, body, whole


def file_pjl_json(path: Path) -> Opened:
    """FileHandler with python-json-logger's JsonFormatter."""
    return _file(path, "pythonjsonlogger.json.JsonFormatter")


def file_pjl_orjson(path: Path) -> Opened:
    """FileHandler with python-json-logger's OrjsonFormatter."""
    return _file(path, "pythonjsonlogger.orjson.OrjsonFormatter")


def file_pjl_msgspec(path: Path) -> Opened:
    """FileHandler with python-json-logger's MsgspecFormatter."""
    return _file(path, "pythonjsonlogger.msgspec.MsgspecFormatter")


def concurrent_log_handler(path: Path) -> Opened:
    """ConcurrentRotatingFileHandler with python-json-logger's OrjsonFormatter."""
    return _file(
        path,
        "pythonjsonlogger.orjson.OrjsonFormatter",
        "concurrent_log_handler.ConcurrentRotatingFileHandler",
    )


def queue_pjl_orjson(path: Path) -> Opened:
    """QueueHandler and QueueListener in front of FileHandler with OrjsonFormatter."""
    opened = file_pjl_orjson(path)
    logger = logging.getLogger("benchmark")
    target = logger.handlers[0]
    logger.removeHandler(target)
    waiting: queue.Queue[Any] = queue.Queue()
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    listener = logging.handlers.QueueListener(waiting, target)
    listener.start()

    def close() -> None:
        listener.stop()
        opened.close()

    return Opened(opened.step, close, waiting.join)


def structlog_bytes(path: Path) -> Opened:
    """Structlog as its documentation has it for speed, without `logging`."""
    import orjson
    import structlog

    file = path.open("ab")
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file),
    )
    return Opened(_keyword_step(structlog.get_logger()), file.close)


def structlog_stdlib(path: Path) -> Opened:
    """Structlog as its documentation has it for `logging`, rendered by ProcessorFormatter."""
    import structlog

    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = {
        "()": "structlog.stdlib.ProcessorFormatter",
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    }
    _configure(path, formatter)
    return Opened(_keyword_step(structlog.get_logger("benchmark")), logging.shutdown)


def loguru_serialize(path: Path, **options: Any) -> Opened:
    """Loguru's own JSON into a file."""
    from loguru import logger

    logger.configure(handlers=[{"sink": str(path), "serialize": True, **options}])
    return Opened(_keyword_step(logger), logger.remove, logger.complete)


def loguru_enqueue(path: Path) -> Opened:
    """The same through loguru's queue and thread."""
    return loguru_serialize(path, enqueue=True)


def hilt_python(path: Path) -> Opened:
    """`Session.append` of hilt-python, which makes id and time itself."""
    from hilt import Actor, Event, Session

    session = Session(str(path))
    session.open()

    def step(text: str, answer: bool) -> None:
        given = body(text, answer)
        given["actor"] = Actor(**given["actor"])
        session.append(Event(**given))

    return Opened(step, session.close)


def _file(path: Path, formatter: str, handler: str = "logging.FileHandler") -> Opened:
    _configure(path, {"()": formatter}, handler)
    logger = logging.getLogger("benchmark")
    clock = Clock()

    def step(text: str, answer: bool) -> None:
        logger.info("said", extra={"hilt": whole(text, answer, clock)})

    return Opened(step, logging.shutdown)


def _configure(path: Path, formatter: dict[str, Any], handler: str = "logging.FileHandler") -> None:
    file = {"class": handler, "filename": str(path), "encoding": "utf-8", "formatter": "line"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "handlers": {"file": file},
            "loggers": {"benchmark": {"level": "INFO", "handlers": ["file"], "propagate": False}},
        }
    )


def _keyword_step(logger: Any) -> Callable[[str, bool], None]:
    clock = Clock()

    def step(text: str, answer: bool) -> None:
        logger.info("said", hilt=whole(text, answer, clock))

    return step
