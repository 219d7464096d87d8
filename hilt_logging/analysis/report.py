"""
What a log says, as one page of HTML that needs nothing else.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import stat
import tempfile

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from .. import __version__
from ..errors import ConfigurationError, ReadError
from ..io.reader import Faults, Path, Time
from ._charts import Range, bars, periods_between, ranges, unit_of
from ._figures import Figures, Group, Report, Spread, Tally
from ._inputs import inputs_of
from ._listed import Listed, Listing, listing
from ._opening import opening
from ._outputs import whole
from ._page import compact, page, size_of, usd
from ._told import Told, told
from .conversation import conversations
from .gaps import Gaps, gaps
from .stats import tallied


__all__ = ["LISTED", "TRANSCRIPTS", "Reported", "report"]

LISTED, TRANSCRIPTS = 1_000, 200
"""How many conversations are listed by default, and where transcripts are with them."""

_TITLE = "Record of AI interactions"
_MOST_TOP = 50
_MOST_GROUPED = 20_000
_MOST_MODELS, _MOST_COUNTED, _MOST_UNREAD = 20, 12, 20
_BYTES_OF_ROW, _MOST_LISTED_BYTES = 350, 480_000
_MOST_TOLD_CHARACTERS = 16_000_000
_KINDS = {"failed": "f-bad", "retried": "f-warn", "refused": "f-off", "stopped": "s7"}
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
    models: Iterable[str] = (),
    users: Iterable[str] = (),
    top: int = 10,
    transcripts: bool = False,
    max_conversations: int | None = None,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    engine: str = "auto",
    rotated: bool = True,
    report: Report | None = None,
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
        top: How many busiest users and conversations, slowest and dearest calls; 50 at most.
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
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for a wrong option, a key that can't be had, or an output that is there.
        MissingDependencyError: for a package that is not installed.
        ReadError: if the only path is not there.
    """
    listed = _most(max_conversations, transcripts)
    if type(top) is not int or not 0 <= top <= _MOST_TOP:
        raise ConfigurationError("top", top, f"Must be 0 to {_MOST_TOP}")
    given = list(keys)
    if (given or key_store is not None) and not transcripts:
        raise ConfigurationError(
            "keys", "given", "They open transcripts only: set transcripts=True"
        )
    if transcripts:
        opening(given, key_store, shared=shared_key_file)  # tells what is wrong
    faults = Faults(report, keep=_MOST_UNREAD)
    target = os.fspath(output)
    with whole(target, force=force) as part, _at_rest(paths, faults) as (at_rest, seen):
        _only_logs(at_rest, rotated)
        asked = _Asked(
            paths=at_rest,
            report=seen,
            faults=faults,
            rotated=rotated,
            engine=engine,
            tz=tz,
            top=top,
            since=since,
            until=until,
            where=dict(where or {}),
            models=tuple(models),
            users=tuple(users),
        )
        made = _Made(asked, listed)
        if transcripts:
            made.tell(given, key_store, shared_key_file)
        with open(part, "w", encoding="utf-8", newline="\n", opener=_private) as file:
            file.writelines(page(made.context(title or _TITLE), tz))
        size = os.path.getsize(part)
    return Reported(
        output=target,
        bytes=size,
        events=made.stats.total.events,
        conversations=len(made.latest),
        left_out=made.listing.count - len(made.latest),
        transcripts=made.transcripts,
        faults=faults.count,
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _most(given: int | None, transcripts: bool) -> int:
    if given is None:
        return TRANSCRIPTS if transcripts else LISTED
    if type(given) is not int or given < 0:
        raise ConfigurationError("max_conversations", given, "Must be 0 or more")
    return given


@contextlib.contextmanager
def _at_rest(paths: Path | Iterable[Path], report: Report) -> Iterator[tuple[list[str], Report]]:
    """
    Give paths that can be read several times, and what is told of them by their own names.

    What can be read only once, as a pipe, is copied to where only its owner can read it.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    given = ["/dev/stdin" if path == "-" else os.fspath(path) for path in several]
    with tempfile.TemporaryDirectory(prefix="hilt-") as folder:
        copies = {
            _copied(path, os.path.join(folder, f"{number}.jsonl")): path
            for number, path in enumerate(given)
            if _is_pipe(path)
        }

        def seen(error: ReadError) -> None:
            name = copies.get(error.path)
            report(error if name is None else ReadError(error.reason, name, error.line))

        originals = {path: copy for copy, path in copies.items()}
        yield [originals.get(path, path) for path in given], seen


def _is_pipe(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _copied(path: str, copy: str) -> str:
    with open(path, "rb") as source, open(copy, "xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return copy


def _only_logs(paths: list[str], rotated: bool) -> None:
    inputs = inputs_of(paths, _unheard, rotated=rotated)
    for path in (*inputs.parquet, *inputs.sqlite):
        told = "A report is made of logs: `hilt-log convert` makes one of it"
        raise ConfigurationError("paths", path, told)


class _Asked(msgspec.Struct, kw_only=True):
    """What the report is about."""

    paths: list[str]
    report: Report
    faults: Faults
    rotated: bool
    engine: str
    tz: str
    top: int
    since: Time | None
    until: Time | None
    where: dict[str, Any]
    models: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def is_filtered(self) -> bool:
        return bool(self.where or self.models or self.users)

    def tally(self, *groupings: Sequence[str], report: Report, **others: Any) -> Tally:
        """Count."""
        names = ("tz", "top", "since", "until", "where", "models", "users")
        asked = {name: getattr(self, name) for name in names} | others
        return tallied(
            self.paths,
            groupings,
            rotated=self.rotated,
            engine=self.engine,
            report=report,
            **asked,
        )

    def words(self) -> Iterator[str]:
        """Say what is left out."""
        for name, value in (("from", self.since), ("before", self.until)):
            if value is not None:
                yield f"{name} {value}"
        for name, values in (("model", self.models), ("user", self.users)):
            if values:
                yield f"{name} {' or '.join(values)}"
        for path, value in self.where.items():
            several = value if isinstance(value, list | tuple | set | frozenset) else [value]
            yield f"{path} {' or '.join(map(str, several))}"


def _unheard(error: ReadError) -> None:
    """It was told when it was read first."""


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


class _Ranked(msgspec.Struct):
    """The first ones of something."""

    shown: list[Any]
    all: int
    largest: int = 0


class _Model(msgspec.Struct):
    name: str | None
    figures: Figures
    share: float | None


class _Timed(msgspec.Struct):
    name: str | None
    spread: Spread
    range: Range | None


class _Made:
    """
    The report.

    Args:
        asked: What it is about.
        most: How many conversations it lists.
    """

    def __init__(self, asked: _Asked, most: int) -> None:
        self._asked = asked
        self.listing = self._listing(most)
        self.unit = _unit(self.listing)
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
        self._gaps: Gaps = gaps(
            asked.paths,
            since=asked.since,
            until=asked.until,
            rotated=asked.rotated,
            report=_unheard,
        )
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
            report=_unheard,
        )

    def _sessions(self) -> list[Group]:
        """The figures of the conversations that are listed alone, which costs time, but no memory."""
        where = {**self._asked.where, "session_id": [each.session_id for each in self.latest]}
        return self._asked.tally(("session",), report=_unheard, where=where, top=0).groups[0]

    def tell(self, keys: list[Any], key_store: Any, shared_key_file: bool) -> None:
        """Have transcripts in the list."""
        self._transcripts = conversations(
            self._asked.paths,
            [each.session_id for each in self.latest],
            keys=keys,
            key_store=key_store,
            shared_key_file=shared_key_file,
            rotated=self._asked.rotated,
            report=_unheard,
        )

    def context(self, title: str) -> dict[str, Any]:
        """Return what the template names."""
        faults, counts, total = self._asked.faults, self.stats.counts, self.stats.total
        models = _models(self._models, total.cost_usd)
        return {
            "title": title,
            "version": __version__,
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "stats": self.stats,
            "sections": _SECTIONS,
            "chosen": list(self._asked.words()),
            "is_filtered": self._asked.is_filtered,
            "with_transcripts": self._transcripts is not None,
            **self._charts(),
            "models": _Ranked(models[:_MOST_MODELS], len(models)),
            "latencies": _timed(models, "latency_ms"),
            "first_tokens": _timed(models, "time_to_first_token_ms"),
            "outcomes": _ranked(counts.outcomes),
            "error_types": _ranked(counts.error_types),
            "finish_reasons": _ranked(counts.finish_reasons),
            "tools": _Ranked(
                self.stats.tools[:_MOST_MODELS],
                len(self.stats.tools),
                max((tool.calls for tool in self.stats.tools), default=0),
            ),
            "gaps": self._gaps,
            "waiting": _latest_of(self._gaps, self._asked.top),
            "unread": faults.first,
            "conversations": self.latest,
            "left_out": self.listing.count - len(self.latest),
            "anchors": {each.session_id: n for n, each in enumerate(self.latest, 1)},
            "rows": self._rows(),
        }

    def _charts(self) -> dict[str, Any]:
        cost: dict[tuple[str, str], float] = {}
        tokens: dict[tuple[str, str], float] = {}
        errors: dict[tuple[str, str], float] = {}
        for group in self._over_time:
            period, model = group.key
            if period is None:
                continue
            figures = group.figures
            period = period[:4] if self.unit == "year" else period
            _add(cost, (period, model or ""), figures.cost_usd)
            _add(tokens, (period, model or ""), figures.tokens.total)
            for kind in _KINDS:
                _add(errors, (period, kind), getattr(figures, kind))
        keys = [period for period, _ in cost]
        periods = periods_between(self.unit, min(keys), max(keys)) if keys else []
        names = _names(cost, tokens)
        happened = [kind for kind in _KINDS if getattr(self.stats.total, kind)]
        return {
            "cost": bars(self.unit, cost, label=usd, names=names, periods=periods),
            "tokens": bars(self.unit, tokens, label=compact, names=names, periods=periods),
            "errors": bars(
                self.unit, errors, label=compact, names=happened, periods=periods, are_whole=True
            ),
            "error_kinds": _KINDS,
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


def _add(values: dict[tuple[str, str], float], key: tuple[str, str], more: float | None) -> None:
    values[key] = values.get(key, 0.0) + (more or 0.0)


def _names(*values: Mapping[tuple[str, str], float]) -> list[str]:
    """The names of series, those with the largest sums first, so that they have one colour each."""
    sums: dict[str, list[float]] = {}
    for number, each in enumerate(values):
        for (_, name), value in each.items():
            sums.setdefault(name, [0.0] * len(values))[number] -= value
    return sorted((name for name in sums if any(sums[name])), key=lambda name: (sums[name], name))


def _unit(found: Listing) -> str:
    if found.first is None or found.last is None:
        return "day"
    first, last = found.first[:19], found.last[:19]
    return unit_of(datetime.datetime.fromisoformat(first), datetime.datetime.fromisoformat(last))


def _bounded(found: list[Listed]) -> list[Listed]:
    """As many conversations as have names that do not make the list too large."""
    size = 0
    for number, each in enumerate(found):
        names = (each.session_id, ", ".join(each.users), ", ".join(each.models))
        size += _BYTES_OF_ROW + sum(map(size_of, names))
        if size > _MOST_LISTED_BYTES:
            return found[:number]
    return found


def _models(groups: list[Group], cost: float | None) -> list[_Model]:
    """The models that were called, the dearest first."""
    made = [
        _Model(
            group.key[0],
            group.figures,
            (group.figures.cost_usd or 0) / cost if cost else None,
        )
        for group in groups
        if group.figures.calls or group.figures.tokens.total or group.figures.cost_usd
    ]
    return sorted(made, key=lambda each: (-(each.figures.cost_usd or 0), -each.figures.calls))


def _timed(models: list[_Model], name: str) -> list[_Timed]:
    found = [(each.name, getattr(each.figures, name)) for each in models]
    shown = [(model, spread) for model, spread in found if spread.count][:_MOST_MODELS]
    places = ranges((spread.p50, spread.p95, spread.p99) for _, spread in shown)
    return [
        _Timed(model, spread, place) for (model, spread), place in zip(shown, places, strict=True)
    ]


def _ranked(counts: Mapping[str, int]) -> _Ranked:
    shown = list(counts.items())[:_MOST_COUNTED]
    return _Ranked(shown, len(counts), max((number for _, number in shown), default=0))


def _latest_of(found: Gaps, most: int) -> dict[str, Any]:
    most = max(most, 1)
    losses = [
        {
            "first": loss.first,
            "last": loss.last,
            "dropped": loss.dropped,
            "causes": list(loss.by_cause.items())[:_MOST_COUNTED],
        }
        for loss in found.losses[-most:]
    ]
    return {
        "prompts": found.prompts[-most:],
        "tool_calls": found.tool_calls[-most:],
        "losses": losses,
    }
