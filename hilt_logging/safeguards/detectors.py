"""
What finds personal data and secrets in a text.

See Also:
    `redaction`, which replaces what was found.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..errors import ConfigurationError
from ._national import national_ids
from ._passwords import find_passwords
from ._personal import find_cards, find_emails, find_ibans, find_ips, find_ssns
from ._phones import phones
from ._secrets import find_api_keys, find_cloud_keys, find_jwts, find_private_keys


__all__ = ["GROUPS", "KINDS", "Detector", "PatternDetector", "detectors_of"]


class Detector(Protocol):
    """
    Anything that finds something in a text: a function, or an object that can be called.

    It may be called by several threads at the same time. What it raises costs the text, which is
    replaced as a whole, and nothing else.
    """

    def __call__(self, text: str, /) -> Iterable[tuple[int, int, str]]:
        """Return where something begins and ends in the text, and its kind, a short name."""


class PatternDetector:
    """
    A detector of what a regular expression matches.

    Args:
        kind: The name of what it finds, as it stands in `privacy.pii_detected`.
        pattern: The expression; where it has a group `value`, that group alone counts.

    Raises:
        ConfigurationError: for a kind that is no short name and a pattern that is none.
    """

    def __init__(self, kind: str, pattern: str | re.Pattern[str]) -> None:
        if type(kind) is not str or _KIND.fullmatch(kind) is None:
            raise ConfigurationError("redact", kind, f"A name {_KIND_RULE}")
        try:
            self._pattern: re.Pattern[str] = re.compile(pattern)
            is_empty = self._pattern.fullmatch("") is not None
        except (re.error, TypeError) as error:
            raise ConfigurationError(
                "redact", kind, f"Its pattern must be a regular expression: {error}"
            ) from None
        if is_empty or isinstance(self._pattern.pattern, bytes):
            raise ConfigurationError("redact", kind, "Its pattern must not match nothing")
        self._kind = kind
        self._group = "value" if "value" in self._pattern.groupindex else 0

    def __call__(self, text: str) -> list[tuple[int, int, str]]:
        """Return where it matches."""
        spans = (hit.span(self._group) for hit in self._pattern.finditer(text))
        return [(start, end, self._kind) for start, end in spans if end > start]


_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_KIND_RULE = "must be letters, digits and underscores, and begin with a letter"

_ALWAYS: dict[str, Detector] = {
    "email": find_emails,
    "credit_card": find_cards,
    "iban": find_ibans,
    "us_ssn": find_ssns,
    "ip_address": find_ips,
    "jwt": find_jwts,
    "private_key": find_private_keys,
    "api_key": find_api_keys,
    "cloud_key": find_cloud_keys,
    "password": find_passwords,
}
_WITH_EXTRA: dict[str, Callable[[Sequence[str]], Detector]] = {
    "national_id": lambda _: national_ids(),
    "phone": phones,
}
KINDS = (*_ALWAYS, *_WITH_EXTRA)
"""The kinds that this package finds itself; the last ones need the extra `pii`."""

GROUPS = {
    "all": KINDS,
    "core": tuple(_ALWAYS),
    "secrets": ("jwt", "private_key", "api_key", "cloud_key", "password"),
}
"""Names for several kinds."""


def detectors_of(kinds: Iterable[str], phone_regions: Sequence[str] = ()) -> list[Detector]:
    """
    Return the detectors of some kinds.

    Args:
        kinds: Names out of `KINDS` and `GROUPS`.
        phone_regions: Countries whose telephone numbers are found without their country code.

    Raises:
        ConfigurationError: for a kind or a region that does not exist.
        MissingDependencyError: where an extra is needed that is not installed.
    """
    wanted: dict[str, None] = {}
    for kind in kinds:
        if kind not in KINDS and kind not in GROUPS:
            raise ConfigurationError(
                "redact", kind, f"Must be one of: {', '.join((*GROUPS, *KINDS))}"
            )
        wanted.update(dict.fromkeys(GROUPS.get(kind, (kind,))))
    return [
        _ALWAYS[kind] if kind in _ALWAYS else _WITH_EXTRA[kind](phone_regions) for kind in wanted
    ]
