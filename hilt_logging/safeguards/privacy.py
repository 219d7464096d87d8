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
from .detectors import Detector, PatternDetector, detectors_of
from .hashing import Tokens, hash_content
from .keys import secret_key
from .redaction import FAILED, Redactor, replacement


__all__ = ["OPTIONS", "Rules", "rules_of"]

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

Tree = dict[str, Any]


def _tree(*paths: str) -> Tree:
    """The paths as dicts in each other; True stands for all that is there."""
    out: Tree = {}
    for path in paths:
        *parents, last = path.split(".")
        at = out
        for name in parents:
            at = at.setdefault(name, {})
        at[last] = True
    return out


_IDS = (
    "hilt_version",
    "event_id",
    "timestamp",
    "session_id",
    "action",
    "integrity",
    "metrics",
    "actor.type",
    "actor.id",
    "actor.did",
    "content.text_encrypted",
    *(
        f"provenance.{name}"
        for name in (
            *("provider", "model", "request_model", "call_id", "response_id", "request_id"),
            *("trace_id", "span_id", "run_id", "parent_run_id", "logger", "library", "price"),
        )
    ),
    "privacy.pii_detected",
    "privacy.redaction_applied",
    "privacy.content",
    *(
        f"extensions.{name}"
        for name in (
            *("user_id", "reply_to", "follows", "outcome", "session_source", "usage", "notice"),
            *("history.messages", "history.choice", "tool.call_id", "error.type"),
        )
    ),
)
_UNTOUCHED = _tree(*_IDS)
"""Where nothing is looked for: pseudonyms are for ids."""

_KNOWN = _tree(
    *_IDS,
    "actor.name",
    "privacy.consent",
    *(
        f"provenance.params.{name}"
        for name in (
            *("reasoning_effort", "service_tier", "tool_choice", "verbosity", "speed", "task_type"),
            *("inference_geo", "media_resolution", "response_mime_type", "thinking"),
            *("thinking_level", "thinking_budget"),
        )
    ),
    *(
        f"extensions.{name}"
        for name in (
            *("status_code", "finish_reason", "sampled", "cache", "body", "unrecognised_response"),
            *("error.code", "error.retry_after_s", "tool.name", "tool.server"),
            *("retry.attempt", "retry.wait_s", "chain.phase", "chain.name", "chain.control"),
            *("agent.phase", "agent.tool", "custom.name"),
        )
    ),
)
"""What `content="none"` and `"hash"` leave: it tells what happened, and nothing that was said."""

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
_COUNTED = frozenset(("metrics", "provenance"))
_HASH = re.compile(r"(?:hmac-)?sha256:[0-9a-f]{64}")
_PATH = re.compile(r"[^.\s-][^.]*(?:\.[^.]+)*")
_PERSON = ("actor.id", "actor.name", "actor.did", "extensions.user_id")
_BEFORE_PRIVACY = frozenset(FIELDS[: FIELDS.index("privacy")])


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
        self._known = _with_paths(_KNOWN, _paths("public_fields", public_fields))
        self._kept, self._dropped = _selection(fields)
        self._pseudonyms = _pseudonym_paths(pseudonymize)
        if self._pseudonyms:
            self._need_key("pseudonymize", list(self._pseudonyms))
        self._tokens = Tokens(self._key) if self._key is not None else None
        selects = self._kept is not None or bool(self._dropped)
        self.does_something = bool(detectors or content != "full" or selects or self._pseudonyms)

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
            out = self._redactor.within(event, _UNTOUCHED, kinds)
            if not self._changes:
                out = event
            elif out.get("action") == "completion_chunk":  # half of a number is none to a detector
                out, changed = _withheld(out, self._known, "none", None), True
            else:
                changed = bool(kinds)
            if self._changes:
                out = _without_digests(out, bool(kinds))
        if self._content != "full":
            shown = _withheld(out, self._known, self._content, self._key)
            changed = changed or shown != out
            if shown != out:
                shown = _marked(shown, {"content": self._content})
            out = shown
        if kinds or changed:
            out = _marked(out, _told(out, kinds, changed))
        if self._dropped:
            out = _without(out, self._dropped)
        if self._kept is not None:
            out = _only(out, self._kept)
        if self._pseudonyms and self._tokens is not None:
            out = self._renamed(out, self._pseudonyms)
        return out

    def _renamed(self, event: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
        assert self._tokens is not None
        for path in paths:
            event = _replaced(event, path.split("."), self._tokens)
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


def _told(event: dict[str, Any], kinds: set[str], changed: bool) -> dict[str, Any]:
    known = event.get("privacy")
    known = known if type(known) is dict else {}
    before = known.get("pii_detected")
    found = (
        kinds | {kind for kind in before if type(kind) is str} if type(before) is list else kinds
    )
    told: dict[str, Any] = {"pii_detected": sorted(found)} if found else {}
    return {**told, "redaction_applied": changed or known.get("redaction_applied") is True}


def _marked(event: dict[str, Any], marks: dict[str, Any]) -> dict[str, Any]:
    """The event with more in its `privacy`, in its place."""
    known = event.get("privacy")
    privacy = {**known, **marks} if type(known) is dict else marks
    if "privacy" in event:
        return {**event, "privacy": privacy}
    before = {name: value for name, value in event.items() if name in _BEFORE_PRIVACY}
    return {**before, "privacy": privacy, **event}


def _without_digests(event: dict[str, Any], found: bool) -> dict[str, Any]:
    """The event without what would confirm a guess of the words that were replaced."""
    history = event.get("extensions", {}).get("history")
    if type(history) is dict:
        kept = {name: history[name] for name in ("messages", "choice") if name in history}
        event = {**event, "extensions": {**event["extensions"], "history": kept}}
    content = event.get("content")
    if found and type(content) is dict and str(content.get("text_hash")).startswith("sha256:"):
        kept = {name: value for name, value in content.items() if name != "text_hash"}
        event = {**event, "content": kept}
    return event


def _withheld(
    part: dict[str, Any], known: Tree, content: str, key: bytes | None, counts: bool = False
) -> dict[str, Any]:
    """A part of an event without what is not known to be no content, or with digests of it."""
    out: dict[str, Any] = {}
    for name, value in part.items():
        rule = known.get(name)
        if rule is True or type(value) is bool or value is None:
            out[name] = value
        elif type(rule) is dict and type(value) is dict:
            inner = _withheld(value, rule, content, key, counts or name in _COUNTED)
            if inner or not value or name in ("tool", "error"):
                out[name] = inner
        elif counts and type(value) in (int, float):
            out[name] = value
        elif _is_digest(name, value):
            if content == "hash" and (key is None or value.startswith("hmac-")):
                out.setdefault(name, value)
        elif content == "hash":
            out[f"{name}_hash"] = hash_content(value, key)
    return out


def _is_digest(name: str, value: Any) -> bool:
    return name.endswith("_hash") and type(value) is str and _HASH.fullmatch(value) is not None


def _without(value: Any, paths: Tree) -> Any:
    if type(value) is list:
        return [_without(item, paths) for item in value]
    if type(value) is not dict:
        return value
    return {
        name: item if name not in paths else _without(item, paths[name])
        for name, item in value.items()
        if paths.get(name) is not True
    }


def _only(value: Any, paths: Tree) -> Any:
    if type(value) is list:
        return [_only(item, paths) for item in value]
    if type(value) is not dict:
        return value
    return {
        name: item if paths[name] is True else _only(item, paths[name])
        for name, item in value.items()
        if name in paths
    }


def _replaced(part: Any, path: list[str], tokens: Tokens) -> Any:
    """A part with what stands at a path replaced by a pseudonym, all of it if it is no text."""
    if type(part) is list:
        return [_replaced(item, path, tokens) for item in part]
    if type(part) is not dict or path[0] not in part:
        return part
    value = part[path[0]]
    if len(path) > 1:
        return {**part, path[0]: _replaced(value, path[1:], tokens)}
    if value is None:
        return part
    text = value if type(value) is str else hash_content(value)
    return {**part, path[0]: tokens.pseudonym(text)}


def _with_paths(tree: Tree, paths: Iterable[str]) -> Tree:
    out: Tree = {name: _with_paths(at, ()) if type(at) is dict else at for name, at in tree.items()}
    for path in paths:
        *parents, last = path.split(".")
        at = out
        for name in parents:
            inner = at.setdefault(name, {})
            if inner is True:
                break
            at = inner
        else:
            at[last] = True
    return out


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
    dropped = _with_paths({}, sorted((path[1:] for path in given if path.startswith("-")), key=len))
    required = sorted(_REQUIRED - {"actor"})
    return (_with_paths({}, [*required, *kept]) if kept else None), dropped


def _pseudonym_paths(given: Any) -> tuple[str, ...]:
    """Where names are replaced; a person's id is one wherever it stands."""
    out: dict[str, None] = {}
    for path in _paths("pseudonymize", given):
        if path in _FIXED or path == "privacy" or path.startswith(("privacy.", "integrity.")):
            raise ConfigurationError("pseudonymize", path, "Must be a field that names somebody")
        path = "extensions.user_id" if path == "user_id" else path
        out.update(
            dict.fromkeys(_PERSON if path in ("actor.id", "extensions.user_id") else (path,))
        )
    return tuple(out)


def _paths(option: str, given: Any) -> list[str]:
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
