"""
How a log is rotated, kept and followed: the options and what they may be.
"""

from __future__ import annotations

import dataclasses
import re

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import ConfigurationError
from .compression import require


if TYPE_CHECKING:
    from ..safeguards.jwk import JWK
    from ..safeguards.sealing import SealFile


__all__ = ["Evidence", "FileOptions", "Period", "evidence_options", "file_options"]

_DAY_S = 86_400
_UNITS = {"m": 60, "h": 3600, "d": _DAY_S}
_LONGEST_S = 3650 * _DAY_S
_LONGEST_KID = 256
_SEALED_S = 10.0
_LONGEST_SEALED_S = 3600
_WHEN = 'Must be midnight, hourly, or up to 24 hours or whole days, as in "30m", "6h", "7d"'


class Period(msgspec.Struct, frozen=True):
    """
    A stretch of time that gets a file of its own; shorter ones than a day begin at midnight.

    Attributes:
        seconds: Its length: up to a day, or whole days.
        utc: Whether its days are those of UTC rather than of the local time zone.
    """

    seconds: int
    utc: bool = True

    def start(self, now: float) -> float:
        """Return when the period began that a time belongs to."""
        at = datetime.fromtimestamp(now, timezone.utc if self.utc else None)
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.seconds >= _DAY_S:
            days = midnight.toordinal() % (self.seconds // _DAY_S)
            return (midnight - timedelta(days=days)).timestamp()
        passed = at.hour * 3600 + at.minute * 60 + at.second
        began = midnight + timedelta(seconds=passed - passed % self.seconds)
        return min(now, began.timestamp())


@dataclasses.dataclass(frozen=True)
class Evidence:
    """
    How the lines of a log are linked.

    Attributes:
        checkpoint_every: After how many linked lines of a process there is a checkpoint.
        checkpoint_seconds: After how many seconds there is one, with the next line.
        kid: The name of the key that signs checkpoints; None where they are not signed.
        key: That key.
        seal_key: The file of the key that seals checkpoints, and moves on; None where none does.
        seal: That file.
    """

    checkpoint_every: int = 1000
    checkpoint_seconds: float = 300.0
    kid: str | None = None
    key: JWK | None = dataclasses.field(default=None, compare=False, repr=False)
    seal_key: str | None = None
    seal: SealFile | None = dataclasses.field(default=None, compare=False, repr=False)


class FileOptions(msgspec.Struct, frozen=True):
    """
    How a log is rotated, kept and followed; the default rotates and deletes nothing.

    Attributes:
        max_bytes: How large a file may get; 0 for any size.
        period: Which stretches of time get files of their own.
        backup_count: How many rotated files are kept; 0 for all.
        max_total_bytes: How large all files may be together; 0 for any size.
        retain_days: For how long rotated files are kept; 0 for ever.
        compress: How rotated files are compressed: `gzip`, `zstd`, or None.
        namer: Gives a rotated file another name.
        rotator: Makes the rotated file of one that nobody writes to any more.
        strict: Whether a file that was renamed is noticed at the very next line.
        sync_every: After how many lines they are brought to the disk itself; 0 for never.
        evidence: How lines are linked; None where they are not.
    """

    max_bytes: int = 0
    period: Period | None = None
    backup_count: int = 0
    max_total_bytes: int = 0
    retain_days: float = 0
    compress: str | None = None
    namer: Callable[[str], str] | None = None
    rotator: Callable[[str, str], object] | None = None
    strict: bool = False
    sync_every: int = 0
    evidence: Evidence | None = None

    @property
    def rotates(self) -> bool:
        """Whether the log is rotated at all."""
        return bool(self.max_bytes or self.period)

    @property
    def deletes(self) -> bool:
        """Whether rotated files are deleted."""
        return bool(self.backup_count or self.max_total_bytes or self.retain_days)

    @property
    def needs_upkeep(self) -> bool:
        """Whether there is something to do with a file once it is rotated."""
        return bool(self.compress or self.rotator or self.deletes)


def file_options(
    *,
    max_bytes: Any,
    when: Any,
    utc: Any,
    backup_count: Any,
    max_total_bytes: Any,
    retain_days: Any,
    compress: Any,
    namer: Any,
    rotator: Any,
    external_rotation: Any,
    durability: Any,
    evidence: Evidence | None = None,
) -> FileOptions:
    """
    Return the options as they stand in a configuration.

    Raises:
        ConfigurationError: for a wrong value.
        MissingDependencyError: if the compression is not installed.
    """
    if type(utc) is not bool:
        raise ConfigurationError("utc", utc, "Must be true or false")
    if compress is not None:
        _one_of("compress", compress, "gzip", "zstd")
        if rotator is not None:
            raise ConfigurationError("compress", compress, "Must be left out beside a rotator")
        require(compress)
    _one_of("external_rotation", external_rotation, "follow", "strict")
    return FileOptions(
        max_bytes=_amount("max_bytes", max_bytes, "bytes"),
        period=_period(when, utc),
        backup_count=_amount("backup_count", backup_count, "files"),
        max_total_bytes=_amount("max_total_bytes", max_total_bytes, "bytes"),
        retain_days=_days(retain_days),
        compress=compress,
        namer=_callable("namer", namer),
        rotator=_callable("rotator", rotator),
        strict=external_rotation == "strict",
        sync_every=_sync_every(durability),
        evidence=evidence,
    )


def evidence_options(
    *,
    evidence: Any,
    sign_key: Any,
    shared_sign_key: Any,
    checkpoint_every: Any,
    checkpoint_seconds: Any,
    seal_key: Any = None,
) -> Evidence | None:
    """
    Return how lines are linked, as it stands in a configuration; None where they are not.

    Raises:
        ConfigurationError: for a wrong value, and a key that is missing or that others can read.
        MissingDependencyError: if what signs is not installed.
    """
    if type(evidence) is not bool and evidence != "sealed":
        raise ConfigurationError("evidence", evidence, 'Must be true, false or "sealed"')
    if type(shared_sign_key) is not bool:
        raise ConfigurationError("shared_sign_key", shared_sign_key, "Must be true or false")
    if type(checkpoint_every) is not int or checkpoint_every < 1:
        raise ConfigurationError(
            "checkpoint_every", checkpoint_every, "Must be a number of lines from 1"
        )
    seconds = _checkpoint_seconds(checkpoint_seconds, evidence == "sealed")
    if not evidence and sign_key is not None:
        raise ConfigurationError("sign_key", sign_key, "Must be left out without evidence: true")
    if evidence != "sealed" and seal_key is not None:
        raise ConfigurationError("seal_key", seal_key, "Must be left out without evidence: sealed")
    if not evidence:
        return None
    made = Evidence(checkpoint_every, seconds)
    if sign_key is not None:
        made = _signing(made, sign_key, shared_sign_key)
    return _sealing(made, seal_key) if evidence == "sealed" else made


def _checkpoint_seconds(given: Any, is_sealed: bool) -> float:
    if given is None:
        return _SEALED_S if is_sealed else Evidence.checkpoint_seconds
    if is_sealed and type(given) in (int, float) and given > _LONGEST_SEALED_S:
        raise ConfigurationError(
            "checkpoint_seconds", given, "Must be up to 3600 where the log is sealed"
        )
    if type(given) not in (int, float) or not 0 < given <= _LONGEST_S:
        raise ConfigurationError("checkpoint_seconds", given, "Must be a number of seconds above 0")
    return float(given)


def _signing(evidence: Evidence, sign_key: Any, shared: bool) -> Evidence:
    from ..safeguards.jwk import load_private

    key = load_private("sign_key", sign_key, ("Ed25519",), shared=shared)
    if len(key.kid) > _LONGEST_KID or not key.kid.isascii():
        raise ConfigurationError("sign_key", sign_key, "The name (kid) of the key is too long")
    return dataclasses.replace(evidence, kid=key.kid, key=key)


def _sealing(evidence: Evidence, seal_key: Any) -> Evidence:
    from ..safeguards.sealing import open_file

    if seal_key is None:
        raise ConfigurationError(
            "seal_key",
            None,
            "A sealed log needs the file of a key: make NAME.seal with hilt-log keygen NAME --seal",
        )
    file = open_file("seal_key", seal_key)
    return dataclasses.replace(evidence, seal_key=file.path, seal=file)


def _sync_every(durability: Any) -> int:
    match = re.fullmatch(r"process|disk(:([1-9][0-9]{0,8}))?", str(durability))
    if match is None:
        allowed = 'Must be one of: process, disk, disk:LINES (as "disk:100")'
        raise ConfigurationError("durability", durability, allowed)
    return 0 if durability == "process" else int(match[2] or 1)


def _one_of(option: str, value: object, *allowed: str) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(option, value, f"Must be one of: {', '.join(allowed)}")


def _amount(option: str, value: Any, unit: str) -> int:
    if value is None:
        return 0
    if type(value) is not int or value < 0:
        raise ConfigurationError(option, value, f"Must be a number of {unit}, or 0 for any")
    return value


def _days(value: Any) -> float:
    if value is None:
        return 0
    if type(value) not in (int, float) or not 0 <= value <= 36_500:
        raise ConfigurationError("retain_days", value, "Must be a number of days, or 0 for ever")
    return float(value)


def _callable(option: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise ConfigurationError(option, value, 'Must be callable; "ext://..." in dictConfig')
    return value


def _period(when: Any, utc: bool) -> Period | None:
    if when is None:
        return None
    text = {"midnight": "1d", "hourly": "1h"}.get(when, when) if isinstance(when, str) else ""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_S or (seconds > _DAY_S and seconds % _DAY_S):
        raise ConfigurationError("when", when, _WHEN)
    return Period(seconds, utc)
