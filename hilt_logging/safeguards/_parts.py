"""
An event in parts: which of them are ids and counts, and events with parts left out or replaced.

Whatever is not named here counts as something that was said. Nothing is changed in place.
"""

from __future__ import annotations

import re

from collections.abc import Iterable
from typing import Any

from ..schema import FIELDS
from .hashing import Tokens, hash_content


__all__ = [
    "COUNTED",
    "KNOWN",
    "UNTOUCHED",
    "WORD",
    "Tree",
    "is_count",
    "is_left",
    "is_word",
    "marked",
    "only",
    "replaced",
    "told",
    "with_paths",
    "withheld",
    "without",
    "without_digests",
]

Tree = dict[str, Any]


def _tree(*paths: str) -> Tree:
    """
    The paths as dicts in each other: True for `NAME.*`, False for a single text or number.

    Where that depends on the value, a function tells it.
    """
    out: Tree = {}
    for path in paths:
        *parents, last = path.removesuffix(".*").split(".")
        at = out
        for name in parents:
            at = at.setdefault(name, {})
        at[last] = path.endswith(".*")
    return out


_IDS = (
    "hilt_version",
    "event_id",
    "timestamp",
    "session_id",
    "action",
    "integrity.*",
    "metrics.tokens.*",
    "actor.type",
    "actor.id",
    "actor.did",
    "content.text_encrypted",
    *(
        f"provenance.{name}"
        for name in (
            *("provider", "model", "request_model", "call_id", "response_id", "request_id"),
            *("trace_id", "span_id", "run_id", "parent_run_id", "logger", "library.*", "price.*"),
        )
    ),
    "privacy.pii_detected.*",
    "privacy.redaction_applied",
    "privacy.content",
    *(
        f"extensions.{name}"
        for name in (
            *("user_id", "reply_to", "follows", "outcome", "session_source"),
            *("history.messages", "history.choice", "tool.call_id", "error.type"),
        )
    ),
)


def is_notice(value: object) -> bool:
    """Return whether a value is a notice of the library, which an own field of this name is not."""
    return type(value) is dict and value.get("kind") in _NOTICES


def is_word(value: object) -> bool:
    """Return whether a value is one word, as the library has them where others may say anything."""
    return type(value) is str and WORD.fullmatch(value) is not None


_NOTICES = ("opened", "checkpoint", "closed", "loss", "rewritten", "erased", "pruned")
WORD = re.compile(r"[a-z_]{1,32}")
_NOTICE = {"extensions": {"notice": is_notice}}
_WORDS = {"extensions": dict.fromkeys(("usage", "sampled", "cache", "body"), is_word)}


def _both(tree: Tree, more: Tree) -> Tree:
    return {**tree, **{name: {**tree[name], **rules} for name, rules in more.items()}}


UNTOUCHED = _both(_tree(*_IDS), _NOTICE)
"""Where nothing is looked for: pseudonyms are for ids."""

_known = _tree(
    *_IDS,
    "actor.name",
    "privacy.consent.*",
    *(
        f"provenance.params.{name}"
        for name in (
            *(
                "reasoning_effort",
                "service_tier",
                "tool_choice.*",
                "verbosity",
                "speed",
                "task_type",
            ),
            *("inference_geo", "media_resolution", "response_mime_type", "thinking.*"),
            *("thinking_level", "thinking_budget"),
        )
    ),
    *(
        f"extensions.{name}"
        for name in (
            *("status_code", "finish_reason", "unrecognised_response"),
            *("error.code", "error.retry_after_s", "tool.name", "tool.server"),
            *("retry.attempt", "retry.wait_s", "chain.phase", "chain.name", "chain.control"),
            *("agent.phase", "agent.tool", "custom.name"),
        )
    ),
)
KNOWN = _both(_both(_known, _NOTICE), _WORDS)
"""What `content="none"` and `"hash"` leave: it tells what happened, and nothing that was said."""

COUNTED = frozenset(("metrics", "provenance"))
"""The fields of the format in which every number is a count or a setting."""

_NAMING = frozenset(("user", "user_id"))
_HASH = re.compile(r"(?:hmac-)?sha256:[0-9a-f]{64}")
_BEFORE_PRIVACY = frozenset(FIELDS[: FIELDS.index("privacy")])


def told(event: dict[str, Any], kinds: set[str], changed: bool) -> dict[str, Any]:
    """Return what an event says of the kinds that were found in it, and of those it named before."""
    known = event.get("privacy")
    known = known if type(known) is dict else {}
    before = known.get("pii_detected")
    found = (
        kinds | {kind for kind in before if type(kind) is str} if type(before) is list else kinds
    )
    told: dict[str, Any] = {"pii_detected": sorted(found)} if found else {}
    return {**told, "redaction_applied": changed or known.get("redaction_applied") is True}


def marked(event: dict[str, Any], marks: dict[str, Any]) -> dict[str, Any]:
    """The event with more in its `privacy`, in its place."""
    known = event.get("privacy")
    privacy = {**known, **marks} if type(known) is dict else marks
    if "privacy" in event:
        return {**event, "privacy": privacy}
    before = {name: value for name, value in event.items() if name in _BEFORE_PRIVACY}
    return {**before, "privacy": privacy, **event}


def without_digests(event: dict[str, Any], found: bool) -> dict[str, Any]:
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


def is_left(rule: Any, value: Any) -> bool:
    """Return whether a value is all of the kind that a rule of a tree tells to leave."""
    if rule is False:
        return type(value) not in (dict, list)
    return rule is True or (callable(rule) and rule(value))


def is_count(name: str, value: object) -> bool:
    """Return whether a value counts something, and neither it nor its name tells of somebody."""
    return type(value) in (int, float) and name.isidentifier() and name not in _NAMING


def withheld(
    part: dict[str, Any], known: Tree, content: str, key: bytes | None, counts: bool | None = None
) -> dict[str, Any]:
    """An event, or a part of one, without what is not known to be no content, or with digests."""
    out: dict[str, Any] = {}
    for name, value in part.items():
        rule = known.get(name)
        if is_left(rule, value) or ((type(value) is bool or value is None) and name.isidentifier()):
            out[name] = value
        elif type(rule) is dict and type(value) is dict:
            inner = withheld(
                value, rule, content, key, name in COUNTED if counts is None else counts
            )
            if inner or not value or name in ("tool", "error"):
                out[name] = inner
        elif counts and is_count(name, value):
            out[name] = value
        elif _is_digest(name, value):
            if content == "hash" and (key is None or value.startswith("hmac-")):
                out.setdefault(name, value)
        elif content == "hash" and name.isidentifier():
            out[f"{name}_hash"] = hash_content(value, key)
    return out


def _is_digest(name: str, value: Any) -> bool:
    return name.endswith("_hash") and type(value) is str and _HASH.fullmatch(value) is not None


def without(value: Any, paths: Tree) -> Any:
    """Return a value without the fields at these paths, those of the items of lists, too."""
    if type(value) is list:
        return [without(item, paths) for item in value]
    if type(value) is not dict:
        return value
    return {
        name: item if name not in paths else without(item, paths[name])
        for name, item in value.items()
        if paths.get(name) is not True
    }


def only(value: Any, paths: Tree) -> Any:
    """Return a value with the fields at these paths alone, those of the items of lists, too."""
    if type(value) is list:
        return [only(item, paths) for item in value]
    if type(value) is not dict:
        return value
    return {
        name: item if paths[name] is True else only(item, paths[name])
        for name, item in value.items()
        if name in paths
    }


def replaced(part: Any, path: list[str], tokens: Tokens) -> Any:
    """A part with what stands at a path replaced by a pseudonym, all of it if it is no text."""
    if type(part) is list:
        return [replaced(item, path, tokens) for item in part]
    if type(part) is not dict or path[0] not in part:
        return part
    value = part[path[0]]
    if len(path) > 1:
        return {**part, path[0]: replaced(value, path[1:], tokens)}
    if value is None:
        return part
    text = value if type(value) is str else hash_content(value)
    return {**part, path[0]: tokens.pseudonym(text)}


def with_paths(tree: Tree, paths: Iterable[str]) -> Tree:
    """Return a tree that has these paths, too; the one that is given stays as it is."""
    out: Tree = {name: with_paths(at, ()) if type(at) is dict else at for name, at in tree.items()}
    for path in paths:
        *parents, last = path.split(".")
        at = out
        for name in parents:
            inner = at.setdefault(name, {})
            if type(inner) is not dict:
                if inner is True:
                    break
                inner = at[name] = {}
            at = inner
        else:
            at[last] = True
    return out
