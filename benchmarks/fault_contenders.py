"""
Four ways to append JSON lines to a file, as `faults.py` compares them.

Each is made with a path and is then called with a text or a payload. It returns an id by which the
event can be found in the file, and whether the library said that it could not write it.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
import uuid

from pathlib import Path
from typing import Any, ClassVar


ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Ours:
    """`HILTFileHandler` with its default options."""

    packages: ClassVar = ["hilt-logging"]
    modules: ClassVar = ["hilt_logging", "ctypes"]

    def __init__(self, path: Path, max_bytes: int = 0, watches: bool = False) -> None:
        from hilt_logging import HILTFileHandler, emit

        self._emit, self._handler = emit, HILTFileHandler(path, max_bytes=max_bytes)
        logger = logging.getLogger("hilt")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        logger.addHandler(self._handler)

    def __call__(self, text: str, payload: Any) -> tuple[str, bool]:
        """Log; return the id and whether it was refused."""
        before = self._handler.stats()["dropped"]
        if payload is None:
            actor = {"type": "human", "id": "bob"}
            payload = {"actor": actor, "action": "prompt", "content": {"text": text}}
        event_id = self._emit(payload)
        return str(event_id), self._handler.stats()["dropped"] > before

    @staticmethod
    def id_of(event: dict[str, Any]) -> str:
        """Where the id of an event is."""
        return event["event_id"]


class Stdlib:
    """A file handler of `logging` with the formatter of python-json-logger."""

    packages: ClassVar = ["python-json-logger"]
    modules: ClassVar = ["pythonjsonlogger.json"]

    def __init__(self, path: Path, max_bytes: int = 0, watches: bool = False) -> None:
        from pythonjsonlogger.json import JsonFormatter

        handler = self._handler(path, max_bytes, watches)
        handler.setFormatter(JsonFormatter())
        self._refused: set[str] = set()
        handler.handleError = lambda record: self._refused.add(record.msg[:36])
        self._logger = logging.getLogger("benchmark")
        self._logger.propagate = False
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(handler)

    def _handler(self, path: Path, max_bytes: int, watches: bool) -> Any:
        if max_bytes:
            return logging.handlers.RotatingFileHandler(
                path, maxBytes=max_bytes, backupCount=1000, encoding="utf-8"
            )
        if watches:
            return logging.handlers.WatchedFileHandler(path, encoding="utf-8")
        return logging.FileHandler(path, encoding="utf-8")

    def __call__(self, text: str, payload: Any) -> tuple[str, bool]:
        """Log; return the id and whether it was refused."""
        event_id = str(uuid.uuid4())
        extra = None if payload is None else {"payload": payload}
        self._logger.info(f"{event_id} {text}", extra=extra)
        return event_id, event_id in self._refused

    @staticmethod
    def id_of(event: dict[str, Any]) -> str:
        """Where the id of an event is."""
        return event["message"][:36]


class ConcurrentLogHandler(Stdlib):
    """The handler of concurrent-log-handler with the formatter of python-json-logger."""

    packages: ClassVar = ["concurrent-log-handler", "python-json-logger"]
    modules: ClassVar = ["concurrent_log_handler", "pythonjsonlogger.json"]

    def _handler(self, path: Path, max_bytes: int, watches: bool) -> Any:
        from concurrent_log_handler import ConcurrentRotatingFileHandler

        return ConcurrentRotatingFileHandler(
            str(path), maxBytes=max_bytes, backupCount=1000 if max_bytes else 0, encoding="utf-8"
        )


class Loguru:
    """A file sink of loguru with `serialize=True`."""

    packages: ClassVar = ["loguru"]
    modules: ClassVar = ["loguru"]

    def __init__(self, path: Path, max_bytes: int = 0, watches: bool = False) -> None:
        from loguru import logger

        self._logger = logger
        self._refused: set[str] = set()
        self._unnamed = 0
        sys.stderr = self  # it prints there what it could not write
        logger.remove()
        logger.add(path, serialize=True, rotation=max_bytes or None, watch=watches)

    def write(self, printed: str) -> None:
        """Keep what loguru could not write, of what it prints."""
        found = ID.findall(printed.encode(errors="replace"))
        self._refused.update(each.decode() for each in found)
        self._unnamed += "Unprintable record" in printed

    def flush(self) -> None:
        """Do nothing: a stream has this."""

    def __call__(self, text: str, payload: Any) -> tuple[str, bool]:
        """Log; return the id and whether it was refused."""
        event_id, before = str(uuid.uuid4()), self._unnamed
        logger = self._logger if payload is None else self._logger.bind(payload=payload)
        logger.info(f"{event_id} {text}")
        return event_id, event_id in self._refused or self._unnamed > before

    @staticmethod
    def id_of(event: dict[str, Any]) -> str:
        """Where the id of an event is."""
        return event["record"]["message"][:36]


CONTENDERS: dict[str, Any] = {
    "hilt_logging": Ours,
    "stdlib": Stdlib,
    "concurrent-log-handler": ConcurrentLogHandler,
    "loguru": Loguru,
}
