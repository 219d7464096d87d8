"""
What a log says, as one page of HTML that needs nothing else.
"""

from __future__ import annotations

import datetime
import os

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from .. import __version__
from ..errors import ConfigurationError
from ..io.files import several
from ..io.reader import Faults, Path, Time
from ._asked import Asked, Steps, files_of_logs, size_of_files, unheard
from ._at_rest import at_rest
from ._figures import Figures, Group, Report
from ._listed import Listed, Listing, listing
from ._opening import opening
from ._outputs import demand_other, whole
from ._page import page, size_of
from ._summaries import (
    KINDS,
    charts,
    first_of,
    latest_of,
    models_of,
    ranked,
    timed,
    unit_between,
)
from ._told import Told, told
from .conversation import conversations
from .gaps import Gaps, gaps


__all__ = ["LISTED", "TRANSCRIPTS", "Reported", "report"]

LISTED, TRANSCRIPTS = 1_000, 200
"""How many conversations are listed by default, and where transcripts are with them."""

_TITLE = "Record of AI interactions"
_MOST_TOP = 50
_MOST_GROUPED = 20_000
_MOST_UNREAD = 20
_BYTES_OF_ROW, _MOST_LISTED_BYTES = 350, 480_000
_MOST_TOLD_CHARACTERS = 16_000_000
_SECTIONS = (
    ("cost", "Cost and tokens"),
    ("latency", "Latency"),
    ("errors", "Errors"),
    ("busiest", "Users"),
    ("calls", "Calls"),
    ("tools", "Tools"),
    ("gaps", "Gaps"),
    ("unread", "Unread"),
    ("conversations", "Conversations"),
)


class Reported(msgspec.Struct, kw_only=True):
    """
    What was made.

    Attributes:
        output: The file.
        bytes: How large it is.
        events: How many events it is about.
        conversations: How many conversations it lists.
        left_out: How many earlier ones it leaves out.
        transcripts: How many have their transcripts.
        faults: How many lines and files could not be read.
    """

    output: str
    bytes: int
    events: int
    conversations: int
    left_out: int
    transcripts: int
    faults: int


def report(
    paths: Path | Iterable[Path],
    output: Path,
    *,
    title: str | None = None,
    tz: str = "UTC",
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    models: str | Iterable[str] = (),
    users: str | Iterable[str] = (),
    top: int = 10,
    transcripts: bool = False,
    max_conversations: int | None = None,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    engine: str = "auto",
    rotated: bool = True,
    report: Report | None = None,
    progress: Callable[[int, int], object] | None = None,
    force: bool = False,
) -> Reported:
    """
    Make a report of logs: one file, for a browser, that asks no server for anything.

    Without transcripts it has no content: no texts, arguments of tools or messages of errors.

    Args:
        paths: As in `io.reader.read`.
        output: The new file, which only its owner can read.
        title: What stands above it.
        tz: The IANA time zone of all times.
        since: Only events of this time or later.
        until: Only events before this time.
        where: As in `io.reader.read`.
        models: Only events of these models, asked for or served; none means any.
        users: Only events of these users; none means any.
        top: How many busiest users and conversations, slowest and dearest calls, and how many
            gaps; 50 at most.
        transcripts: Whether it has what was said in each conversation that it lists, with all its
            events, also those that are not wanted above.
        max_conversations: How many conversations are listed, the latest; by default `LISTED`, with
            transcripts `TRANSCRIPTS`.
        keys: Private keys that open what is encrypted in transcripts.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.
        engine: As in `stats`.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of each line that is no event, and of each file that can't
            be read.
        progress: Is called with how many bytes were read, and how many will be; the log is read
            several times.
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for a wrong option, a key that can't be had, or an output that is there.
        MissingDependencyError: for a package that is not installed.
        ReadError: if the only path is not there.
    """
    listed = _most(max_conversations, transcripts)
    if type(top) is not int or not 1 <= top <= _MOST_TOP:
        raise ConfigurationError("top", top, f"Must be 1 to {_MOST_TOP}")
    given = several(keys)
    _check_keys(given, key_store, shared_key_file, transcripts)
    faults = Faults(report, keep=_MOST_UNREAD)
    target = os.fspath(output)
    with whole(target, force=force) as part, at_rest(paths, faults) as (resting, seen):
        files = files_of_logs(resting, rotated)
        demand_other(target, files)
        asked = Asked(
            paths=resting,
            report=seen,
            faults=faults,
            rotated=rotated,
            engine=engine,
            tz=tz,
            top=top,
            since=since,
            until=until,
            where=dict(where or {}),
            models=tuple(several(models)),
            users=tuple(several(users)),
        )
        step = Steps(progress, size_of_files(files), 4 if transcripts else 3)
        made = _Made(asked, listed, step)
        if transcripts:
            made.tell(given, key_store, shared_key_file)
        with open(part, "w", encoding="utf-8", newline="\n", opener=_private) as file:
            file.writelines(page(made.context(title or _TITLE), tz))
        if transcripts:
            step()
        made_bytes = os.path.getsize(part)
    return Reported(
        output=target,
        bytes=made_bytes,
        events=made.stats.total.events,
        conversations=len(made.latest),
        left_out=made.listing.count - len(made.latest),
        transcripts=made.transcripts,
        faults=faults.count,
    )


def _check_keys(keys: list[Any], key_store: Any, shared: bool, transcripts: bool) -> None:
    """
    Ask whether there is something to open, and with what, before anything is read.

    Raises:
        ConfigurationError: if there isn't.
    """
    if transcripts:
        opening(keys, key_store, shared=shared)
    elif keys or key_store is not None:
        raise ConfigurationError(
            "keys", "given", "They open transcripts only: set transcripts=True"
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _most(given: int | None, transcripts: bool) -> int:
    if given is None:
        return TRANSCRIPTS if transcripts else LISTED
    if type(given) is not int or given < 0:
        raise ConfigurationError("max_conversations", given, "Must be 0 or more")
    return given


class _Row(msgspec.Struct):
    """A conversation in the list."""

    number: int
    session_id: str
    last: str
    events: int
    users: str
    models: str
    figures: Figures
    transcript: Told | None
    is_untold: bool


class _Made:
    """
    The report.

    Args:
        asked: What it is about.
        most: How many conversations it lists.
        step: Is called when the log was read once more.
    """

    def __init__(self, asked: Asked, most: int, step: Steps) -> None:
        self._asked = asked
        self.listing = self._listing(most)
        step()
        self.unit = unit_between(self.listing.first, self.listing.last)
        period = "month" if self.unit == "year" else self.unit
        groupings = [(period, "model"), ("model",)]
        self.latest = _bounded(self.listing.latest)
        are_few = self.listing.count <= _MOST_GROUPED
        counted = asked.tally(*groupings, *([("session",)] if are_few else []), report=asked.report)
        self.stats = counted.stats
        self._over_time, self._models = counted.groups[:2]
        sessions = counted.groups[2] if are_few else self._sessions()
        listed = {each.session_id for each in self.latest}
        self._figures = {
            group.key[0]: group.figures for group in sessions if group.key[0] in listed
        }
        step()
        self._gaps: Gaps = gaps(
            asked.paths,
            since=asked.since,
            until=asked.until,
            rotated=asked.rotated,
            report=unheard,
        )
        step()
        self._transcripts: Iterator[Any] | None = None
        self._told_characters = 0
        self.transcripts = 0

    def _listing(self, most: int) -> Listing:
        asked = self._asked
        return listing(
            asked.paths,
            most,
            since=asked.since,
            until=asked.until,
            where=asked.where,
            models=frozenset(asked.models),
            users=frozenset(asked.users),
            rotated=asked.rotated,
            report=unheard,
        )

    def _sessions(self) -> list[Group]:
        """The figures of the conversations that are listed alone, which costs time, but no memory."""
        where = {**self._asked.where, "session_id": [each.session_id for each in self.latest]}
        return self._asked.tally(("session",), report=unheard, where=where, top=0).groups[0]

    def tell(self, keys: list[Any], key_store: Any, shared_key_file: bool) -> None:
        """Have transcripts in the list."""
        self._transcripts = conversations(
            self._asked.paths,
            [each.session_id for each in self.latest],
            keys=keys,
            key_store=key_store,
            shared_key_file=shared_key_file,
            rotated=self._asked.rotated,
            report=unheard,
        )

    def context(self, title: str) -> dict[str, Any]:
        """Return what the template names."""
        counts, tools = self.stats.counts, self.stats.tools
        models = models_of(self._models, self.stats.total.cost_usd)
        return {
            "title": title,
            "version": __version__,
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "stats": self.stats,
            "sections": _SECTIONS,
            "chosen": list(self._asked.words()),
            "is_filtered": self._asked.is_filtered,
            "with_transcripts": self._transcripts is not None,
            **charts(self.unit, self._over_time),
            "error_kinds": KINDS,
            "models": first_of(models),
            "latencies": timed(models, "latency_ms"),
            "first_tokens": timed(models, "time_to_first_token_ms"),
            "outcomes": ranked(counts.outcomes),
            "error_types": ranked(counts.error_types),
            "finish_reasons": ranked(counts.finish_reasons),
            "tools": first_of(tools, max((tool.calls for tool in tools), default=0)),
            "gaps": self._gaps,
            "waiting": latest_of(self._gaps, self._asked.top),
            "unread": self._asked.faults.first,
            "conversations": self.latest,
            "left_out": self.listing.count - len(self.latest),
            "anchors": {each.session_id: n for n, each in enumerate(self.latest, 1)},
            "rows": self._rows(),
        }

    def _rows(self) -> Iterator[_Row]:
        for number, each in enumerate(self.latest, 1):
            transcript = self._transcript()
            yield _Row(
                number=number,
                session_id=each.session_id,
                last=each.last,
                events=each.events,
                users=", ".join(each.users),
                models=", ".join(each.models),
                figures=self._figures.get(each.session_id, Figures()),
                transcript=transcript,
                is_untold=self._transcripts is not None and transcript is None,
            )

    def _transcript(self) -> Told | None:
        found = next(self._transcripts, None) if self._transcripts is not None else None
        if found is None:
            return None
        made = told(found)
        if self._told_characters + made.size > _MOST_TOLD_CHARACTERS:
            return None
        self._told_characters += made.size
        self.transcripts += 1
        return made


def _bounded(found: list[Listed]) -> list[Listed]:
    """As many conversations as have names that do not make the list too large."""
    size = 0
    for number, each in enumerate(found):
        names = (each.session_id, ", ".join(each.users), ", ".join(each.models))
        size += _BYTES_OF_ROW + sum(map(size_of, names))
        if size > _MOST_LISTED_BYTES:
            return found[:number]
    return found
