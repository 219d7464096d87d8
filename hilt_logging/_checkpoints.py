"""
Checkpoints of linked logs on the way to somewhere else: events on the logger `hilt.integrity`.
"""

from __future__ import annotations

import contextvars
import logging
import os

from typing import Any

from ._diagnostics import Troubles, to_stderr
from .emit import hand_over
from .records import key_of, make
from .storage.appender import Appender
from .storage.notices import session_of_notices


__all__ = ["LOGGER", "tell"]

LOGGER = "hilt.integrity"

_troubles = Troubles(to_stderr)


def tell(appender: Appender, *, silently: bool = False) -> None:
    """
    Emit the checkpoints of a log that nobody was told of; never raises.

    They are not written to that log, where they stand already. Nothing that is bound is added.

    Args:
        appender: What writes the log.
        silently: Forget them: what is written because of a checkpoint has none to tell of.
    """
    links = appender.links
    while links is not None and links.facts:
        try:
            fact = links.facts.popleft()
        except IndexError:  # another thread was faster
            return
        if not silently:
            contextvars.Context().run(_emit, appender, fact)


def _emit(appender: Appender, fact: dict[str, Any]) -> None:
    logger = logging.getLogger(LOGGER)
    try:
        if logger.isEnabledFor(logging.INFO):
            record = make(_event(appender, fact), logger, logging.INFO)
            appender.pass_over(key_of(record))
            hand_over(record, logger)
    except Exception as error:
        _troubles.count(type(error).__name__, LOGGER)


def _event(appender: Appender, fact: dict[str, Any]) -> dict[str, Any]:
    assert appender.links is not None
    told = {name: fact[name] for name in ("chain", "seq", "head", "at", "counts")}
    notice = {"kind": "checkpoint", **told, "file": os.path.basename(appender.path)}
    key = appender.links.evidence.key
    if key is not None:
        from .safeguards.chain import compact

        notice["jws"] = compact(told, key)
    return {
        "actor": {"type": "system", "id": "hilt_logging"},
        "action": "system",
        "session_id": session_of_notices(),
        "extensions": {"notice": notice},
    }
