"""
Who takes part: a row of the table each.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util

from collections.abc import Callable
from pathlib import Path
from typing import Any


HILT_PYTHON = "0.2.8"
ALL = ("memory", "single", "threads", "1kb", "30kb", "latency", "imports")
SHARED = (*ALL, "processes")
BACKGROUND = ("memory", "single", "latency", "imports")
DISK = ("single", "latency")
DISABLED = ("disabled",)


def _nothing() -> None:
    return None


def _as_given(text: str, answer: bool) -> tuple[Any, ...]:
    return text, answer


@dataclasses.dataclass
class Opened:
    """
    A contender that is set up for a file.

    Attributes:
        step: Records one text.
        close: Takes everything down.
        flush: Returns when all that was recorded is in the file.
        another: Returns a step for another thread, where one can't be shared.
        prepared: Returns what `step` is given for a text; it is called before the clock starts.
    """

    step: Callable[..., object]
    close: Callable[[], object]
    flush: Callable[[], object] = _nothing
    another: Callable[[], Callable[..., object]] | None = None
    prepared: Callable[[str, bool], tuple[Any, ...]] = _as_given


@dataclasses.dataclass(frozen=True)
class Contender:
    """
    A row of the table.

    Attributes:
        name: What `--contenders` calls it.
        title: What the table calls it.
        opener: Module and function that set it up; nothing where only its import is measured.
        measured: In which situations.
        needs: Modules that must be installed.
        imports: What a program that uses it imports; nothing where another row has that already.
        event_at: Where in a line of its file the event is, as keys with dots between.
        background: Whether a thread writes.
        share: Which part of the events it is given, because it waits for the disk.
    """

    name: str
    title: str
    opener: str = ""
    measured: tuple[str, ...] = ALL
    needs: tuple[str, ...] = ()
    imports: str = ""
    event_at: str = ""
    background: bool = False
    share: float = 1.0

    def open(self, path: Path) -> Opened:
        """Set it up for a file."""
        opened: Opened = self.function()(path)
        return opened

    def function(self) -> Callable[..., Any]:
        """Return what sets it up; its packages are imported only now."""
        module, _, function = self.opener.partition(":")
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]

    def missing(self) -> str:
        """Return what would have to be installed, or nothing."""
        return ", ".join(name for name in self.needs if importlib.util.find_spec(name) is None)


LIMIT = Contender(
    "limit",
    "L2: typed msgspec event, encode, one write",
    "limit:limit",
    measured=SHARED,
    imports="import msgspec",
)
HILT_PYTHON_APPEND = Contender(
    "hilt_python",
    f"hilt-python {HILT_PYTHON}: `Session.append`",
    "peers:hilt_python",
    imports="import hilt",
)
CONTENDERS = (
    Contender("write", "`os.write` of a ready line", "limit:ready"),
    LIMIT,
    Contender(
        "emit_event",
        "`emit(Event(...))`",
        "ours:emit_event",
        measured=SHARED,
        imports="import hilt_logging",
    ),
    Contender("emit_dict", "`emit({...})`", "ours:emit_dict"),
    Contender("log_extra", '`logger.info(..., extra={"hilt": {...}})`', "ours:log_extra"),
    Contender("session_append", "`Session.append(Event(...))`", "ours:session_append"),
    Contender("emit_disabled", "`emit` that nobody listens to", "ours:emit_disabled", DISABLED),
    Contender(
        "extra_disabled",
        "`logger.info(..., extra=...)` that nobody listens to",
        "ours:extra_disabled",
        DISABLED,
    ),
    Contender(
        "file_pjl_json",
        "FileHandler, python-json-logger (json)",
        "peers:file_pjl_json",
        needs=("pythonjsonlogger",),
        imports="import logging, pythonjsonlogger.json",
        event_at="hilt",
    ),
    Contender(
        "file_pjl_orjson",
        "FileHandler, python-json-logger (orjson)",
        "peers:file_pjl_orjson",
        measured=SHARED,
        needs=("pythonjsonlogger", "orjson"),
        imports="import logging, pythonjsonlogger.orjson",
        event_at="hilt",
    ),
    Contender(
        "file_pjl_msgspec",
        "FileHandler, python-json-logger (msgspec)",
        "peers:file_pjl_msgspec",
        needs=("pythonjsonlogger",),
        imports="import logging, pythonjsonlogger.msgspec",
        event_at="hilt",
    ),
    Contender(
        "concurrent_log_handler",
        "concurrent-log-handler, python-json-logger (orjson)",
        "peers:concurrent_log_handler",
        measured=SHARED,
        needs=("concurrent_log_handler", "pythonjsonlogger", "orjson"),
        imports="import logging, concurrent_log_handler, pythonjsonlogger.orjson",
        event_at="hilt",
    ),
    Contender(
        "structlog_bytes",
        "structlog, BytesLogger, orjson (without `logging`)",
        "peers:structlog_bytes",
        needs=("structlog", "orjson"),
        imports="import structlog, orjson",
        event_at="hilt",
    ),
    Contender(
        "structlog_stdlib",
        "structlog through `logging`, ProcessorFormatter",
        "peers:structlog_stdlib",
        needs=("structlog",),
        event_at="hilt",
    ),
    Contender(
        "loguru",
        "loguru, `serialize=True` (without `logging`)",
        "peers:loguru_serialize",
        needs=("loguru",),
        imports="import loguru",
        event_at="record.extra.hilt",
    ),
    HILT_PYTHON_APPEND,
    Contender(
        "emit_background",
        "`emit(Event(...))`, BackgroundHandler",
        "ours:emit_background",
        measured=BACKGROUND,
        imports="import hilt_logging; hilt_logging.BackgroundHandler",
        background=True,
    ),
    Contender(
        "extra_background",
        "`logger.info(..., extra=...)`, BackgroundHandler",
        "ours:extra_background",
        measured=BACKGROUND,
        background=True,
    ),
    Contender(
        "queue_pjl_orjson",
        "QueueHandler, FileHandler, python-json-logger (orjson)",
        "peers:queue_pjl_orjson",
        measured=BACKGROUND,
        needs=("pythonjsonlogger", "orjson"),
        event_at="hilt",
        background=True,
    ),
    Contender(
        "loguru_enqueue",
        "loguru, `serialize=True, enqueue=True`",
        "peers:loguru_enqueue",
        measured=BACKGROUND,
        needs=("loguru",),
        event_at="record.extra.hilt",
        background=True,
    ),
    Contender(
        "limit_disk_100",
        "L2, fdatasync every 100",
        "limit:synced_100",
        measured=DISK,
        share=0.2,
    ),
    Contender(
        "emit_disk_100",
        '`emit(Event(...))`, `durability="disk:100"`',
        "ours:emit_disk_100",
        measured=DISK,
        share=0.2,
    ),
    Contender(
        "limit_disk",
        "L2, fdatasync each",
        "limit:synced",
        measured=DISK,
        share=0.02,
    ),
    Contender(
        "emit_disk",
        '`emit(Event(...))`, `durability="disk"`',
        "ours:emit_disk",
        measured=DISK,
        share=0.02,
    ),
    Contender(
        "import_logging",
        "`logging` of the stdlib",
        measured=("imports",),
        imports="import logging",
    ),
    Contender(
        "import_floor",
        "`logging` and msgspec, our one dependency",
        measured=("imports",),
        imports="import logging, msgspec",
    ),
)
BY_NAME = {each.name: each for each in CONTENDERS}
