"""
The record of what people and AI systems said to each other, kept through `logging`.
"""

from __future__ import annotations

import logging

from typing import TYPE_CHECKING

from . import _late
from .config import basic_config, check_config
from .context import bind, current
from .emit import emit
from .errors import ConfigurationError, HILTError, InvalidEventError, RecordingError
from .events import Actor, Content, Event, Metrics, Privacy
from .filters import (
    ActionFilter,
    ActorFilter,
    HILTContextFilter,
    ModelFilter,
    OnlyHILT,
    ProviderFilter,
    SessionFilter,
    SessionSampler,
)
from .formatters import HILTFormatter, HILTTextFormatter
from .handlers import HILTFileHandler
from .schema import validate_event


if TYPE_CHECKING:
    from ._background import BackgroundHandler
    from .integrations import instrument, suppress, uninstrument
    from .integrations.functions import record_feedback, record_retrieval, tool, turn
    from .io.session import Session
    from .safeguards.hashing import hash_content, verify_hash


__all__ = [
    "ActionFilter",
    "Actor",
    "ActorFilter",
    "BackgroundHandler",
    "ConfigurationError",
    "Content",
    "Event",
    "HILTContextFilter",
    "HILTError",
    "HILTFileHandler",
    "HILTFormatter",
    "HILTTextFormatter",
    "InvalidEventError",
    "Metrics",
    "ModelFilter",
    "OnlyHILT",
    "Privacy",
    "ProviderFilter",
    "RecordingError",
    "Session",
    "SessionFilter",
    "SessionSampler",
    "basic_config",
    "bind",
    "check_config",
    "current",
    "emit",
    "hash_content",
    "instrument",
    "record_feedback",
    "record_retrieval",
    "suppress",
    "tool",
    "turn",
    "uninstrument",
    "validate_event",
    "verify_hash",
]

__version__ = "0.1.0"

_late.late_names(
    __name__,
    {
        "BackgroundHandler": "_background",
        "Session": "io.session",
        "hash_content": "safeguards.hashing",
        "instrument": "integrations",
        "record_feedback": "integrations.functions",
        "record_retrieval": "integrations.functions",
        "suppress": "integrations",
        "tool": "integrations.functions",
        "turn": "integrations.functions",
        "uninstrument": "integrations",
        "verify_hash": "safeguards.hashing",
    },
)

# A library is silent until the application asks: without these, a warning would reach stderr.
logging.getLogger("hilt").addHandler(logging.NullHandler())
logging.getLogger("hilt_logging").addHandler(logging.NullHandler())
