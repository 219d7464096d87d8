"""
Options that say which events are wanted, and keys that open them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from ..events import ACTIONS
from . import _options
from ._output import counted, say


if TYPE_CHECKING:
    from ..analysis.search import Wanted


__all__ = ["conditions", "filters", "keys", "tell_opened", "wanted"]

F = TypeVar("F", bound=Callable[..., Any])


def _fields(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in values]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter("must be NAME=VALUE", ctx, param)
    return {name: value for name, _, value in pairs}


_FILTERS = (
    click.option(
        "--action",
        "actions",
        multiple=True,
        type=click.Choice(ACTIONS),
        metavar="NAME",
        help="Only this action.",
    ),
    click.option(
        "--model", "models", multiple=True, metavar="NAME", help="Only this model, asked or served."
    ),
    click.option("--user", "users", multiple=True, metavar="ID", help="Only this user."),
    click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this session."),
    click.option(
        "--field",
        "fields",
        multiple=True,
        callback=_fields,
        metavar="NAME=VALUE",
        help="Only events in which this field has this value, as extensions.tool.name=weather.",
    ),
    _options.since("events"),
    _options.until("events"),
)
_KEYS = (
    click.option(
        "--key",
        "keys",
        multiple=True,
        type=click.Path(),
        metavar="FILE",
        help="A private key that opens what is encrypted. Can be given several times.",
    ),
    click.option(
        "--key-store",
        type=click.Path(),
        metavar="FILE",
        help="The keys of people, for a log that is written with erasable_by.",
    ),
)


def filters(function: F) -> F:
    """Add the options that say which events are wanted; each can be given several times."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def keys(function: F) -> F:
    """Add the options for keys."""
    for option in reversed(_KEYS):
        function = option(function)
    return function


def conditions(given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """
    Return what fields must have, as for `io.reader.read`, by the values of `filters`.

    A value that is no text is compared as JSON. Models, users and times are not among them.
    """
    where: dict[str, list[Any]] = {}
    if given["actions"]:
        where["action"] = list(given["actions"])
    if given["sessions"]:
        where["session_id"] = list(given["sessions"])
    for path, value in given["fields"].items():
        allowed = [value, *_as_json(value)]
        where[path] = [each for each in where.get(path, allowed) if each in allowed]
    return where


def _as_json(text: str) -> list[Any]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    return [] if isinstance(value, str | list | dict) else [value]


def tell_opened(events: int) -> None:
    """Warn that a new file has what was encrypted."""
    told = counted(events, "event")
    say(f"{told} opened: the new file has what was encrypted in them", err=True, fg="yellow")


def wanted(given: Mapping[str, Any], text: str = "", **options: Any) -> Wanted:
    """Return which events are wanted, by the values of `filters`."""
    from ..analysis.search import Wanted

    names = ("actions", "models", "users", "sessions", "fields", "since", "until")
    return Wanted(text, **{name: given[name] for name in names}, **options)
