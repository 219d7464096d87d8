"""
What of an event may be read: detection, redaction, digests, selection and pseudonyms, in this order.

An event is divided by what this package knows of its fields. Ids, names of models, counts and the
like are told apart from what people or models may have said; whatever is not known belongs to the
latter.
"""

from __future__ import annotations

import re

from collections.abc import Iterable, Mapping
from typing import Any

from .._diagnostics import Troubles, to_stderr
from ..errors import ConfigurationError
from ..schema import FIELDS
from ._division import known_extensions
from ._parts import (
    KNOWN,
    UNTOUCHED,
    Tree,
    marked,
    only,
    replaced,
    told,
    with_paths,
    withheld,
    without,
    without_digests,
)
from ._slices import quick_line
from .detectors import Detector, PatternDetector, detectors_of
from .hashing import Tokens
from .keys import secret_key
from .redaction import FAILED, Redactor, replacement


__all__ = ["OPTIONS", "Rules", "paths_of", "rules_of"]

OPTIONS = (
    "content",
    "redact",
    "redact_with",
    "detect_only",
    "phone_regions",
    "fields",
    "public_fields",
    "pseudonymize",
    "privacy_key",
    "shared_key_file",
)

_REQUIRED = frozenset(
    (
        "hilt_version",
        "event_id",
        "timestamp",
        "session_id",
        "actor",
        "actor.type",
        "actor.id",
        "action",
    )
)
_FIXED = _REQUIRED - {"actor.id", "session_id"} | {"integrity"}
_PATH = re.compile(r"[^.\s-][^.]*(?:\.[^.]+)*")
_PERSON = ("actor.id", "actor.name", "actor.did", "extensions.user_id")


def rules_of(**options: Any) -> Rules | None:
    """
    Return what options say; None where they leave everything as it is.

    Raises:
        ConfigurationError: for an option with a wrong value, and a key that can't be had.
        MissingDependencyError: where a detector needs an extra that is not installed.
    """
    given = {name: value for name, value in options.items() if value is not None}
    rules = Rules(**given)
    return rules if rules.does_something else None


class Rules:
    """
    What is done with events; see `HILTFormatter` for the options.

    Attributes:
        does_something: Whether any of the options asks for something.
    """

    def __init__(
        self,
        *,
        content: str = "full",
        redact: Any = (),
        redact_with: str = "label",
        detect_only: bool = False,
        phone_regions: Any = (),
        fields: Any = (),
        public_fields: Any = (),
        pseudonymize: Any = (),
        privacy_key: Any = None,
        shared_key_file: bool = False,
    ) -> None:
        _one_of("content", content, ("full", "hash", "none"))
        _one_of("redact_with", redact_with, ("label", "token", "hash"))
        for option, value in {
            "detect_only": detect_only,
            "shared_key_file": shared_key_file,
        }.items():
            if type(value) is not bool:
                raise ConfigurationError(option, value, "Must be true or false")
        self._key = (
            None
            if privacy_key is None
            else secret_key("privacy_key", privacy_key, shared=shared_key_file)
        )
        regions = _texts("phone_regions", phone_regions)
        detectors, self._names_tell = _detectors(redact, regions)
        if detect_only and not detectors:
            raise ConfigurationError("detect_only", True, "Needs detectors: set redact as well")
        if redact_with == "token":
            self._need_key("redact_with", redact_with)
        self._troubles = Troubles(to_stderr)
        self._content = content
        self._changes = bool(detectors) and not detect_only
        self._redactor = self._made_redactor(detectors, redact_with) if detectors else None
        public = paths_of("public_fields", public_fields)
        self._known = with_paths(KNOWN, public)
        self._kept, self._dropped = _selection(fields)
        self._pseudonyms = _pseudonym_paths(pseudonymize)
        if self._pseudonyms:
            self._need_key("pseudonymize", list(self._pseudonyms))
        self._tokens = Tokens(self._key) if self._key is not None else None
        selects = self._kept is not None or bool(self._dropped)
        others = bool(detectors or selects or self._pseudonyms)
        self.does_something = others or content != "full"
        is_quick = content == "none" and not others
        self._quick = known_extensions(self._known, public) if is_quick else None

    def _need_key(self, option: str, value: object) -> None:
        if self._key is None:
            raise ConfigurationError(
                option,
                value,
                "Needs a privacy_key, as env:NAME of a variable or file:PATH of a file",
            )

    def _made_redactor(self, detectors: list[Detector], how: str) -> Redactor:
        return Redactor(detectors, replacement(how, self._key), self._failed, self._names_tell)

    def _failed(self, cause: str) -> None:
        self._troubles.count(cause, "a detector of personal data")

    def failures(self) -> dict[str, int]:
        """Return how often something failed, from the name of the exception's class to the count."""
        return self._troubles.by_cause()

    def line(self, line: bytes) -> bytes | None:
        """Return what may be read of a line, if that can be told without reading all of it."""
        return None if self._quick is None else quick_line(line, self._quick, None)

    def applied(self, event: dict[str, Any]) -> dict[str, Any]:
        """
        Return what may be read of an event; the event itself stays as it is.

        Never raises: where something fails, what is left is that there was an event.

        Args:
            event: A complete event of JSON values.
        """
        try:
            return self._applied(event)
        except Exception as error:
            self._troubles.count(type(error).__name__, "privacy")
            return self._bare(event)

    def _applied(self, event: dict[str, Any]) -> dict[str, Any]:
        kinds: set[str] = set()
        out, changed = event, False
        if self._redactor is not None:
            out = self._redactor.within(event, UNTOUCHED, kinds)
            if not self._changes:
                out = event
            elif out.get("action") == "completion_chunk":  # half of a number is none to a detector
                out, changed = withheld(out, self._known, "none", None), True
            else:
                changed = bool(kinds)
            if self._changes:
                out = without_digests(out, bool(kinds))
        if self._content != "full":
            shown = withheld(out, self._known, self._content, self._key)
            changed = changed or shown != out
            if shown != out:
                shown = marked(shown, {"content": self._content})
            out = shown
        if kinds or changed:
            out = marked(out, told(out, kinds, changed))
        if self._dropped:
            out = without(out, self._dropped)
        if self._kept is not None:
            out = only(out, self._kept)
        if self._pseudonyms and self._tokens is not None:
            out = self._renamed(out, self._pseudonyms)
        return out

    def _renamed(self, event: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
        assert self._tokens is not None
        for path in paths:
            event = replaced(event, path.split("."), self._tokens)
        return event

    def _bare(self, event: Any) -> dict[str, Any]:
        """What is left of an event where the rest could not be looked at."""
        given = event if type(event) is dict else {}
        actor = given.get("actor")
        actor = actor if type(actor) is dict else {}
        hides = {path for path in self._pseudonyms if path in ("actor.id", "session_id")}
        out = {name: given[name] for name in FIELDS[:4] if type(given.get(name)) is str}
        if "session_id" in hides:
            out["session_id"] = FAILED
        hidden = "actor.id" in hides or type(actor.get("id")) is not str
        return {
            **out,
            "actor": {"type": actor.get("type"), "id": FAILED if hidden else actor["id"]},
            "action": given.get("action"),
            "privacy": {"redaction_applied": True, "content": "failed"},
        }


def _selection(fields: Any) -> tuple[Tree | None, Tree]:
    """What is kept, or None for all, and what is dropped."""
    given = _texts("fields", fields)
    for path in given:
        if _PATH.fullmatch(path.removeprefix("-")) is None:
            raise ConfigurationError(
                "fields", path, "Must be a path as content.text or -content.text"
            )
        if path.removeprefix("-") in _REQUIRED and path.startswith("-"):
            raise ConfigurationError("fields", path, "An event is none without this field")
    kept = [path for path in given if not path.startswith("-")]
    dropped = with_paths({}, sorted((path[1:] for path in given if path.startswith("-")), key=len))
    required = sorted(_REQUIRED - {"actor"})
    return (with_paths({}, [*required, *kept]) if kept else None), dropped


def _pseudonym_paths(given: Any) -> tuple[str, ...]:
    """Where names are replaced; a person's id is one wherever it stands."""
    out: dict[str, None] = {}
    for path in paths_of("pseudonymize", given):
        if path in _FIXED or path == "privacy" or path.startswith(("privacy.", "integrity.")):
            raise ConfigurationError("pseudonymize", path, "Must be a field that names somebody")
        path = "extensions.user_id" if path == "user_id" else path
        out.update(
            dict.fromkeys(_PERSON if path in ("actor.id", "extensions.user_id") else (path,))
        )
    return tuple(out)


def paths_of(option: str, given: Any) -> list[str]:
    """
    Return paths of fields.

    Raises:
        ConfigurationError: for anything else.
    """
    paths = _texts(option, given)
    for path in paths:
        if _PATH.fullmatch(path) is None:
            raise ConfigurationError(
                option, path, "Must be the path of a field, as extensions.tenant"
            )
    return paths


def _texts(option: str, given: Any) -> list[str]:
    values = _list(given)
    for value in values:
        if not isinstance(value, str) or not value or value.startswith(("ext://", "cfg://")):
            raise ConfigurationError(option, value, "Must be a string or a list of strings")
    return values


def _list(given: Any) -> list[Any]:
    """A single value or the items of a list; by index, so that `ext://` in it is resolved."""
    if isinstance(given, (list, tuple)):
        return [given[index] for index in range(len(given))]
    return [given]


def _one_of(option: str, value: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(option, value, f"Must be one of: {', '.join(allowed)}")


def _detectors(given: Any, regions: list[str]) -> tuple[list[Detector], bool]:
    """The detectors that are wanted, and whether names of fields tell of passwords too."""
    names: list[str] = []
    own: list[Detector] = []
    for value in _list(given):
        if isinstance(value, str) and not value.startswith(("ext://", "cfg://")):
            names.append(value)
        elif isinstance(value, Mapping):
            own += [PatternDetector(kind, value[kind]) for kind in value]
        elif callable(value):
            own.append(value)
        else:
            raise ConfigurationError(
                "redact",
                value,
                "Must be names of detectors, {name: regular expression} or functions (ext://)",
            )
    found = detectors_of(names, regions)
    if regions and not {"phone", "all"} & set(names):
        raise ConfigurationError("phone_regions", regions, "Needs the detector phone in redact")
    return found + own, bool({"password", "secrets", "core", "all"} & set(names))
