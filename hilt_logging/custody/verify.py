"""
Whether anybody changed a log: every line is held against the links, the signatures and the
checkpoints that its writer made.
"""

from __future__ import annotations

import fnmatch
import io
import os

from collections.abc import Callable, Iterable, Iterator
from typing import IO

from .._naming import name_of
from ..errors import ReadError
from ..io.files import DamagedFileError, LogFile, files_of, open_blocks, open_lines
from ..safeguards.chain import keys_by_id, link_of
from ..safeguards.jwk import JWK, load_public
from ..safeguards.sealing import FirstKey, SealKey, load
from ._chains import Chain
from ._explaining import named
from ._findings import ChainSummary, Finding, Findings, Place, Verdict
from ._saved import Saved, saved_of
from ._walk import Walk


__all__ = ["ChainSummary", "Finding", "Verdict", "verify"]

_STAMP_LENGTH = 26
_MOST_PEEKED = 1000
_OPENINGS = 5

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def verify(
    paths: Paths,
    *,
    public_keys: Iterable[str | os.PathLike[str] | JWK] = (),
    seal_keys: Iterable[str | os.PathLike[str]] = (),
    checkpoints: Paths = (),
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """
    Return what became of a log since it was written with `evidence`.

    The files are read once, in constant memory, and nothing is written.

    Args:
        paths: The log, or several: files, plain or compressed, directories, patterns. A log means
            its rotated files, too.
        public_keys: Files of keys (JWK) that the log has to be signed with.
        seal_keys: Files of the first keys of logs that have to be sealed, as `hilt-log keygen
            --seal` gave them out. The file of the key at the host shows, beside them, whether the
            end was cut off.
        checkpoints: Files of events of the logger `hilt.integrity` that were kept elsewhere.
        strict: Have the exit code 1 also for what happens without tampering, e.g. crashes.
        progress: Is told how many bytes are done, of how many.

    Raises:
        ConfigurationError: for a key that can't be read.
        MissingDependencyError: where there is a signature to check, without `cryptography`.
    """
    return _Verification(public_keys, seal_keys, strict, progress).of(paths, checkpoints)


class _Verification:
    """One run of `verify`."""

    def __init__(
        self,
        public_keys: Iterable[str | os.PathLike[str] | JWK],
        seal_keys: Iterable[str | os.PathLike[str]],
        strict: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        given = [public_keys] if isinstance(public_keys, str | os.PathLike) else public_keys
        self.keys = keys_by_id(
            key if isinstance(key, JWK) else load_public("public_keys", key, ["Ed25519"])
            for key in given
        )
        self.first_keys: dict[str, FirstKey] = {}
        self.keys_of_hosts: dict[str, tuple[SealKey, str]] = {}
        for path in _listed(seal_keys):
            key = load("seal_keys", path)
            if isinstance(key, FirstKey):
                self.first_keys[key.name] = key
            else:
                self.keys_of_hosts[key.name] = key, os.fspath(path)
        self.strict = strict
        self.progress = progress
        self.findings = Findings()
        self.chains: dict[str, Chain] = {}
        self.walks: list[Walk] = []
        self.saved: list[Saved] = []
        self.read: list[str] = []
        self.limits: list[str] = []
        self.done = self.total = 0

    def of(self, paths: Paths, checkpoints: Paths) -> Verdict:
        paths = _listed(paths)
        has_folder = any(map(os.path.isdir, paths))
        files = files_of(paths, report=self._unreadable)
        given = _listed(checkpoints)
        if given:
            self.saved = saved_of(given, self.keys, self.findings)
        self._expect()
        self.total = sum(_size(file) for file in files)
        named = {os.path.normpath(path) for path in paths}
        for group in _groups(files):
            is_named = any(file.is_live or _is_meant(file.log, named) for file in group)
            self._walk(group, has_folder or is_named)
        self._judge(bool(given))
        return self._verdict()

    def _unreadable(self, error: ReadError) -> None:
        kind, severity = (
            ("altered", "tampering")
            if isinstance(error, DamagedFileError)
            else (
                "unreadable",
                "unchecked",
            )
        )
        place = Place(error.path, error.line)
        self.findings.add(kind, severity, error.reason, place)  # type: ignore[arg-type]

    def _expect(self) -> None:
        for each in self.saved:
            chain = self.chains.setdefault(each.chain, Chain(each.chain, each.log))
            other = chain.expected.get(each.seq)
            if other is not None and other[0] != each.head:
                message = f"another saved checkpoint tells another line: {named(other[1])}"
                self.findings.add("altered", "tampering", message, each.place, each.chain, each.seq)
            chain.expected[each.seq] = each.head, each.place
        for chain in self.chains.values():
            chain.watched = sorted(chain.expected, reverse=True)

    # Reading.

    def _walk(self, group: list[LogFile], is_whole: bool) -> None:
        walk = Walk(
            name_of(group[-1].log), self.findings, self.chains, self.keys, self.first_keys, is_whole
        )
        self.walks.append(walk)
        known = {file.stem for file in group}
        for file in group:
            if not file.is_live:
                self._file(walk, file)
                continue
            source = self._opened(walk, file, known)
            try:
                self._file(walk, file, source)
            finally:
                if source is not None:
                    source.close()
        walk.finish()

    def _opened(self, walk: Walk, file: LogFile, known: set[str]) -> IO[bytes] | None:
        """The live file, after what it was rotated to since its log was listed."""
        for _ in range(_OPENINGS):
            try:
                source = open(file.path, "rb", buffering=0)  # noqa: SIM115
            except OSError:
                return None
            new = [each for each in _family(file) if each.stem not in known]
            if not new:
                return source if source.seekable() else io.BufferedReader(source)
            source.close()
            for each in new:
                known.add(each.stem)
                self._file(walk, each)
        return None

    def _file(self, walk: Walk, file: LogFile, source: IO[bytes] | None = None) -> None:
        self.read.append(file.path)
        walk.begin(name_of(file.path), len(file.order[2]) == _STAMP_LENGTH)
        begin = self.done
        try:
            for block in open_blocks(file, source):
                walk.read(block)
                self._proceed(begin + walk.bytes if file.path == file.stem else begin)
            walk.end()
        except ReadError as error:
            walk.missed(error.reason)
            self._unreadable(error)
        self.done = begin + _size(file)
        self._proceed(self.done)

    def _proceed(self, done: int) -> None:
        if self.progress is not None:
            self.progress(min(done, self.total), self.total)

    # Judging.

    def _judge(self, has_saved: bool) -> None:
        found = [chain for chain in self.chains.values() if chain.lines]
        for walk in self.walks:
            for chain in found:
                walk.notices.explain(chain)
            if walk.chain is None and walk.lines:
                self._not_chained(walk, bool(found))
        if not found:
            message = "there is no line that is linked: the log was written without evidence"
            self.findings.add("nothing to verify", "unchecked", message)
        for walk in self.walks:
            walk.seals.judge(walk.notices.sealed_ranges())
        self._judge_seals(found)
        for chain in found:
            self._judge_signatures(chain)
        self._judge_unsigned(found)
        self._judge_previous({chain.id for chain in found})
        self._judge_saved(found)
        if not has_saved and found:
            self._limit_of_the_end(found)

    def _not_chained(self, walk: Walk, others: bool) -> None:
        if others:
            message = "no line of the log is linked"
            self.findings.add("not covered", "unchecked", message, Place(walk.log))

    def _limit_of_the_end(self, found: list[Chain]) -> None:
        if not all(chain.seals for chain in found):
            self.limits.append(
                "Whether lines were cut off at the end, or all was written anew by who has the key, "
                "can be shown only with checkpoints that were kept elsewhere."
            )
        elif not self.keys_of_hosts:
            self.limits.append(
                "Whether lines were cut off at the end can be shown only with the file of the key "
                "at the host, or with checkpoints that were kept elsewhere."
            )

    def _judge_seals(self, found: list[Chain]) -> None:
        add = self.findings.add
        if self.first_keys and found:
            self._judge_unsealed()
        for name, (key, path) in self.keys_of_hosts.items():
            sealed = [walk for walk in self.walks if name in walk.seals.rows] or self.walks
            last = max((walk.seals.reach(name) for walk in sealed), default=-1)
            first = self.first_keys.get(name)
            then = None if first is None else first.key.at(key.number, key.minute)
            if self.first_keys and (then is None or not then.is_same(key)):
                message = "it does not hold what the first key becomes"
                add("bad seal", "tampering", message, Place(path))
            if last < key.number - 1:
                ends = "has no seal" if last < 0 else f"ends with the seal {last}"
                message = (
                    f"the log {ends}, and its key has moved on: it is that of the seal {key.number}"
                )
                add("cut off", "tampering", message, sealed[-1].place if sealed else None)
        for walk in self.walks:
            for row in list(walk.seals.rows.values())[:-1]:
                if row.name not in self.keys_of_hosts:
                    self.limits.append(
                        f"The seals by the key {row.name} end with {row.last}, where another key goes "
                        "on: whether there were more of them can't be shown."
                    )
        for chain in found:
            if chain.last_sealed is not None and chain.last_sealed[0] < chain.seq:
                self.limits.append(
                    f"{_last(chain.seq - chain.last_sealed[0], chain)} not sealed yet: who can write the files can have written them anew."
                )

    def _judge_unsealed(self) -> None:
        """Say which logs have no seal by the keys that were given, and which keys have none."""
        add = self.findings.add
        names = set[str]()
        for walk in self.walks:
            names.update(walk.seals.rows)
            names.update(each.key for _, some in walk.notices.sealed_ranges() for each in some)
            chain = walk.chain
            if chain is not None and not walk.seals.is_sealing:
                message = "no line is sealed with a key that was given"
                add("seals missing", "tampering", message, chain.place, chain.id, chain.seq)
        if any(walk.is_whole and names & self.first_keys.keys() for walk in self.walks):
            for name in self.first_keys.keys() - names:
                message = (
                    f"no line is sealed with the key {name}, which was given: what it sealed is gone, "
                    "or is not here"
                )
                add("seals missing", "unchecked", message)

    def _judge_signatures(self, chain: Chain) -> None:
        add, place = self.findings.add, chain.place
        if chain.unsigned is not None and (chain.signatures or chain.unchecked):
            seq, where = chain.unsigned
            message = "the log is signed, and neither is this, nor anything after it"
            add("signatures missing", "tampering", message, where, chain.id, seq)
        if not self.keys and not chain.is_declared and not chain.unchecked:
            return
        if chain.seals and not chain.is_declared and not chain.signatures:
            return  # the keys are of those who signed statements
        if chain.last_signed is not None and chain.last_signed[0] < chain.seq:
            self.limits.append(
                f"{_last(chain.seq - chain.last_signed[0], chain)} not signed yet: who can write "
                "the files can have written them anew."
            )
        if not chain.checkpoints:
            message = "the chain has no checkpoint yet: nothing of it is signed"
            add("signatures not checked", "unchecked", message, place, chain.id, chain.seq)
        elif self.keys and not chain.signatures:
            message = "no line of the chain is signed with a key that was given"
            add("signatures missing", "tampering", message, place, chain.id, chain.seq)
        elif not self.keys:
            message = "the chain is signed; give the public key to have the signatures checked"
            add("signatures not checked", "unchecked", message, place, chain.id, chain.seq)

    def _judge_unsigned(self, found: list[Chain]) -> None:
        unsigned = [
            each for each in found if not each.signatures and not each.unchecked and not each.seals
        ]
        if unsigned:
            more = f" and {len(unsigned) - 1} more" if len(unsigned) > 1 else ""
            self.limits.append(
                f"The chain {unsigned[0].id}{more} has no signature: who can write the files can have "
                "written it anew."
            )

    def _judge_previous(self, found: set[str]) -> None:
        for walk in self.walks:
            for chain, place in walk.notices.previous.items():
                if chain not in found:
                    message = f"the chain {chain[:32]}, which was before, is not in these files"
                    self.findings.add("not covered", "told", message, place)

    def _judge_saved(self, found: list[Chain]) -> None:
        names = {os.path.basename(walk.log) for walk in self.walks}
        previous = set[str]().union(*(walk.notices.previous for walk in self.walks))
        others = set()
        for each in self.saved:
            chain = self.chains[each.chain]
            if chain not in found and each.log not in names:
                others.add(each.chain)
            elif chain not in found and each.chain in previous:
                others.add(each.chain)
                message = "the chain of the saved checkpoint was before, and is not in these files"
                self.findings.add(
                    "not covered", "unchecked", message, each.place, each.chain, each.seq
                )
            elif chain not in found:
                message = "the log is another: the chain of the saved checkpoint is not in it"
                self._not_in_log(each, message)
            elif each.seq > chain.highest and each.seq in chain.expected:
                self._cut_off(chain, each)
            elif each.seq in chain.expected and chain.is_there(each.seq):
                self._not_in_log(each, "no line of the log has the number of the saved checkpoint")
        unsigned = sum(not each.is_signed for each in self.saved)
        if unsigned:
            self.limits.append(
                f"{unsigned} saved checkpoints were taken at their word: they are not signed, or no "
                "key was given."
            )
        if others:
            self.limits.append(f"Saved checkpoints of {len(others)} other chains were not needed.")
        if self.saved and len(others) == len({each.chain for each in self.saved}):
            message = "none of the saved checkpoints is of these files"
            self.findings.add("not covered", "unchecked", message)

    def _not_in_log(self, saved: Saved, message: str) -> None:
        self.findings.add("missing", "tampering", message, saved.place, saved.chain, saved.seq)

    def _cut_off(self, chain: Chain, saved: Saved) -> None:
        message = (
            f"the log ends with the number {chain.highest}; a checkpoint that was kept elsewhere has "
            f"{saved.seq}"
        )
        self.findings.add("cut off", "tampering", message, chain.place, chain.id, chain.highest)

    def _verdict(self) -> Verdict:
        closed = [walk.notices for walk in self.walks]
        chains = [
            ChainSummary(
                chain.id,
                chain.log,
                chain.first,
                chain.highest,
                chain.lines,
                chain.checkpoints,
                chain.signatures,
                chain.digests,
                chain.last_signed[0] if chain.last_signed else None,
                all(notices.is_closed(chain) for notices in closed),
                chain.seals,
                chain.last_sealed[0] if chain.last_sealed else None,
            )
            for chain in self.chains.values()
            if chain.lines
        ]
        return Verdict(
            self.findings.exit_code(self.strict),
            self.findings.listed(self.read),
            chains,
            len(self.read),
            sum(walk.lines for walk in self.walks),
            sum(walk.bytes for walk in self.walks),
            self.findings.counts(),
            self.limits,
        )


def _listed(paths: Paths) -> list[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else [*paths]


def _is_meant(log: str, named: set[str]) -> bool:
    """Whether a log, and not only some of its files, was named, or meant by a pattern."""
    log = os.path.normpath(log)
    return log in named or any(fnmatch.fnmatchcase(log, each) for each in named)


def _size(file: LogFile) -> int:
    try:
        return os.stat(file.path).st_size
    except OSError:
        return 0


def _family(file: LogFile) -> list[LogFile]:
    try:
        return [each for each in files_of(file.path) if not each.is_live]
    except ReadError:
        return []


def _groups(files: list[LogFile]) -> Iterator[list[LogFile]]:
    """The files log by log; logs that share a chain, as copies under other names do, are one."""
    logs: dict[str, list[LogFile]] = {}
    for file in files:
        logs.setdefault(file.log, []).append(file)
    if len(logs) == 1:
        return iter(logs.values())
    chains: dict[str, list[tuple[int, list[LogFile]]]] = {}
    for log, group in logs.items():
        chain, seq = _peeked(group[0])
        chains.setdefault(chain or log, []).append((seq, group))
    return (
        [file for _, group in sorted(groups, key=lambda pair: pair[0]) for file in group]
        for groups in chains.values()
    )


def _peeked(file: LogFile) -> tuple[str, int]:
    """The chain of the first linked line of a file, and its number."""
    try:
        for count, line in enumerate(open_lines(file, report=lambda error: None)):
            link = link_of(line.removesuffix(b"\n"))
            if link is not None and not link.is_unlinked:
                return link.chain, link.seq
            if count == _MOST_PEEKED:
                break
    except ReadError:
        pass
    return "", 0


def _last(count: int, chain: Chain) -> str:
    """Say which lines are at the end of a chain."""
    lines = "line" if count == 1 else f"{count} lines"
    return f"The last {lines} of the chain {chain.id} {'is' if count == 1 else 'are'}"
