"""
Time zones by their names, for the days of statistics.
"""

from __future__ import annotations

import datetime
import zoneinfo

from ..errors import ConfigurationError


__all__ = ["zone_of"]

_NO_PLACES = ("posix", "right", "localtime", "Factory")  # not known to every engine


def zone_of(tz: str) -> datetime.tzinfo:
    """
    Return the time zone of a name; UTC is there also where the system knows no others.

    Raises:
        ConfigurationError: for another name.
    """
    if tz == "UTC":
        return datetime.timezone.utc
    try:
        if tz.partition("/")[0] not in _NO_PLACES:
            return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    allowed = "Must be a time zone like Europe/Berlin; where the system has none, install tzdata"
    raise ConfigurationError("tz", tz, allowed)
