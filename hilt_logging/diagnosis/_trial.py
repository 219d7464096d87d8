"""
One event through a configuration, for real: in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
import os
import subprocess
import sys
import tempfile

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ..emit import emit
from ._files import load
from ._findings import Trial


__all__ = ["try_out"]

_MOST_READ = 4 * 1024 * 1024
_CHILD = "import sys; sys.path.append(''); from hilt_logging.diagnosis._trial import child; child()"


def try_out(
    file: str | os.PathLike[str],
    *,
    loggers: Iterable[str] = ("hilt",),
    files: Iterable[str] = (),
    timeout: float = 30,
) -> list[Trial]:
    """
    Load a configuration in a process of its own, emit an event on each logger, and look for it.

    The event is a `system` event, and a notice (`extensions.notice`), which counts nowhere. It stays
    in the files.

    Args:
        file: The configuration.
        loggers: Where to emit.
        files: Where to look, beside stdout and stderr of that process: the files of
            `Diagnosis.destinations`.
        timeout: For how many seconds the process may take.

    Raises:
        ReadError: for a file that can't be read.
        ConfigurationError: for what is no configuration.
    """
    load(file)
    names = list(loggers)
    sizes = {path: _size(path) for path in dict.fromkeys(files)}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        order = {
            "file": os.fspath(file),
            "report": str(report),
            "loggers": names,
            "sessions": [f"hilt-log-check-{os.urandom(6).hex()}" for _ in names],
        }
        try:
            done = subprocess.run(  # noqa: S603 -- this Python, and our own words
                [sys.executable, "-c", _CHILD, json.dumps(order)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
            error = None if done.returncode == 0 else f"it ended with {done.returncode}"
            printed = {"stdout": done.stdout, "stderr": done.stderr}
        except subprocess.TimeoutExpired:
            error, printed = f"it did not end within {timeout:g} seconds", {}
        said = _report(report)
    texts = {path: _appended(path, size) for path, size in sizes.items()} | printed
    return [_trial(order, number, said, texts, error) for number in range(len(names))]


def _trial(
    order: dict[str, Any],
    number: int,
    said: dict[str, Any],
    texts: dict[str, bytes],
    error: str | None,
) -> Trial:
    session = order["sessions"][number]
    event_id = (said.get("ids") or [None] * (number + 1))[number]
    whole = _places(texts, event_id)
    mentioned = tuple(each for each in _places(texts, session) if each not in whole)
    return Trial(
        logger=order["loggers"][number],
        event_id=event_id,
        session_id=session,
        found=whole,
        mentioned=mentioned,
        error=said.get("error") or error,
    )


def _places(texts: dict[str, bytes], word: str | None) -> tuple[str, ...]:
    if word is None:
        return ()
    return tuple(place for place, text in texts.items() if word.encode() in text)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _appended(path: str, size: int) -> bytes:
    """What came to a file, or the end of one that was begun anew."""
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(size if size <= end else 0, end - _MOST_READ))
            return file.read()
    except OSError:
        return b""


def _report(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def child() -> None:
    """What the process does: load the configuration, emit, and say what became of that."""
    order = json.loads(sys.argv[1])
    said: dict[str, Any] = {}
    try:
        _configure(order["file"])
        with _listening():
            said["ids"] = [
                emit(_event(session), logger=name)
                for name, session in zip(order["loggers"], order["sessions"], strict=True)
            ]
    except Exception as error:
        cause = error.__cause__
        said["error"] = f"{error}: {cause}" if cause is not None else str(error)
    finally:
        logging.shutdown()
        Path(order["report"]).write_bytes(msgspec.json.encode(said))


def _configure(path: str) -> None:
    configuration = load(path)
    if configuration.format == "ini":
        logging.config.fileConfig(path)
    else:
        logging.config.dictConfig(configuration.data)


def _event(session: str) -> dict[str, Any]:
    return {
        "session_id": session,
        "actor": {"type": "system", "id": "hilt-log"},
        "action": "system",
        "extensions": {"notice": {"kind": "check"}},
    }


@contextlib.contextmanager
def _listening() -> Any:
    """The threads that an application would start run for so long."""
    listeners = [
        listener
        for reference in logging._handlerList  # type: ignore[attr-defined]
        if (listener := getattr(reference(), "listener", None)) is not None
    ]
    for listener in listeners:
        listener.start()
    try:
        yield
    finally:
        for listener in listeners:
            listener.stop()
