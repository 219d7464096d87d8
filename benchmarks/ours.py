"""
What this package does with the events, set up by `dictConfig` with default options.
"""

from __future__ import annotations

import logging
import logging.config
import time

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import Opened
from samples import body

from hilt_logging import Actor, Content, Event, Metrics, Session, emit


def emit_event(path: Path, **options: Any) -> Opened:
    """`emit(Event(...))` -> HILTFileHandler."""
    return Opened(_emits_typed, _configured(path, **options))


def emit_dict(path: Path) -> Opened:
    """`emit({...})` -> HILTFileHandler."""
    return Opened(lambda text, answer: emit(body(text, answer)), _configured(path))


def log_extra(path: Path) -> Opened:
    """`logger.info("...", extra={"hilt": {...}})` -> HILTFileHandler."""
    return Opened(_extra_step(), _configured(path))


def session_append(path: Path) -> Opened:
    """`Session.append(Event(...))`, nobody else listening."""
    session = Session(path).open()
    return Opened(lambda text, answer: session.append(_typed(text, answer)), session.close)


def emit_disk(path: Path) -> Opened:
    """Each event is brought to the disk."""
    return emit_event(path, durability="disk")


def emit_disk_100(path: Path) -> Opened:
    """Every hundredth event brings all before it to the disk."""
    return emit_event(path, durability="disk:100")


def emit_background(path: Path) -> Opened:
    """`emit(Event(...))` -> BackgroundHandler -> HILTFileHandler."""
    close = _configured(path, background=True)
    return Opened(_emits_typed, close, _flush)


def extra_background(path: Path) -> Opened:
    """`logger.info("...", extra={"hilt": {...}})` -> BackgroundHandler -> HILTFileHandler."""
    close = _configured(path, background=True)
    return Opened(_extra_step(), close, _flush)


def emit_disabled(calls: int) -> float:
    """Return nanoseconds of CPU time for an `emit` that nobody listens to."""
    logging.getLogger("hilt").setLevel(logging.CRITICAL)
    event = _typed("x", True)

    def loop() -> None:
        for _ in range(calls):
            emit(event)

    return _ns(loop, calls)


def extra_disabled(calls: int) -> float:
    """Return nanoseconds of CPU time for a `logger.info` that nobody listens to."""
    logger = logging.getLogger("hilt.app")
    logger.setLevel(logging.CRITICAL)
    event = body("x", True)

    def loop() -> None:
        for _ in range(calls):
            logger.info("said", extra={"hilt": event})

    return _ns(loop, calls)


def _ns(loop: Callable[[], None], calls: int) -> float:
    """CPU time of one call, the loop around it taken off."""
    spent = []
    for each in (loop, lambda: _empty(calls)):
        began = time.process_time_ns()
        each()
        spent.append(time.process_time_ns() - began)
    return (spent[0] - spent[1]) / calls


def _empty(calls: int) -> None:
    for _ in range(calls):
        pass


def _configured(path: Path, background: bool = False, **options: Any) -> Callable[[], None]:
    handlers: dict[str, Any] = {
        "record": {"class": "hilt_logging.HILTFileHandler", "filename": str(path), **options}
    }
    if background:
        handlers["background"] = {"class": "hilt_logging.BackgroundHandler", "target": "record"}
    first = "background" if background else "record"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": handlers,
            "loggers": {"hilt": {"level": "INFO", "handlers": [first], "propagate": False}},
        }
    )

    def close() -> None:
        if not path.with_name(f".{path.name}.lock").exists():
            raise RuntimeError("there is no lock file: this is not what users have")
        logging.shutdown()

    return close


def _flush() -> None:
    if not logging.getLogger("hilt").handlers[0].flush():  # type: ignore[func-returns-value]
        raise RuntimeError("the queue was not written in time")


def _emits_typed(text: str, answer: bool) -> str | None:
    return emit(_typed(text, answer))


def _extra_step() -> Callable[[str, bool], None]:
    logger = logging.getLogger("hilt.app")

    def step(text: str, answer: bool) -> None:
        logger.info("said", extra={"hilt": body(text, answer)})

    return step


def _typed(text: str, answer: bool) -> Event:
    if answer:
        return Event(
            session_id="conv-42",
            actor=Actor(type="agent", id="assistant"),
            action="completion",
            content=Content(text=text),
            provenance={"provider": "openai", "model": "gpt-4o-mini"},
            metrics=Metrics(
                latency_ms=812,
                tokens={"prompt": 12, "completion": 34, "total": 46},
                cost_usd=0.000042,
            ),
        )
    return Event(
        session_id="conv-42",
        actor=Actor(type="human", id="alice"),
        action="prompt",
        content=Content(text=text),
    )
