"""
What recording an event costs, as ratios to the least that any such program must do.

    python benchmarks/record.py [EVENTS [ROUNDS]]

Prints one table. See README.md beside this file for what the rows mean.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import random
import statistics
import sys
import tempfile
import time

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from hilt_logging import Actor, Content, Event, HILTFileHandler, Metrics, Session, emit


EVENTS = 20_000
ROUNDS = 7
SHORT = "The quick brown fox asks how far the Moon is from here, in kilometres. "
LONG = "Der Mond ist im Mittel 384 400 km entfernt; 月までの距離は約38万キロです。 "
Step = Callable[[str, bool], object]


# The limit: a typed event, one encoder, one write. Everything in it is as lean as we know how.


class _Actor(msgspec.Struct, gc=False):
    type: Literal["human", "agent", "tool", "system"]
    id: str


class _Content(msgspec.Struct, gc=False):
    text: str


class _Tokens(msgspec.Struct, gc=False):
    prompt: int
    completion: int
    total: int


class _Metrics(msgspec.Struct, gc=False):
    latency_ms: int
    tokens: _Tokens
    cost_usd: float


class _Provenance(msgspec.Struct, gc=False):
    provider: str
    model: str


class _Event(msgspec.Struct, omit_defaults=True, gc=False):
    hilt_version: str
    event_id: str
    timestamp: str
    session_id: str
    actor: _Actor
    action: Literal["prompt", "completion"]
    content: _Content
    provenance: _Provenance | None = None
    metrics: _Metrics | None = None


class _Clock:
    """A UUIDv7 and a timestamp of one reading of the clock, what repeats is kept."""

    def __init__(self) -> None:
        self._bits = random.Random(os.urandom(16)).getrandbits
        self._second = -1
        self._text = ""
        self._ms = -1
        self._prefix = ""

    def read(self) -> tuple[str, str]:
        now = time.time_ns()
        second, nanos = divmod(now, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        ms = now // 1_000_000
        if ms != self._ms:
            self._ms = ms
            self._prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"
        bits = self._bits(74)
        low = bits & 0xFFFFFFFFFFFF
        high = 0x8000 | (bits >> 48) & 0x3FFF
        return (
            f"{self._prefix}{bits >> 62:03x}-{high:04x}-{low:012x}",
            f"{self._text}{nanos // 1000:06d}Z",
        )


def limit(path: Path) -> tuple[Step, Callable[[], None]]:
    """The least: a msgspec event, its encoder, one `os.write`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    encoder = msgspec.json.Encoder()
    clock = _Clock()
    buffer = bytearray()

    def step(text: str, answer: bool) -> None:
        event_id, timestamp = clock.read()
        if answer:
            event = _Event(
                "1.0.0",
                event_id,
                timestamp,
                "conv-42",
                _Actor("agent", "assistant"),
                "completion",
                _Content(text),
                _Provenance("openai", "gpt-4o-mini"),
                _Metrics(812, _Tokens(12, 34, 46), 0.000042),
            )
        else:
            event = _Event(
                "1.0.0",
                event_id,
                timestamp,
                "conv-42",
                _Actor("human", "alice"),
                "prompt",
                _Content(text),
            )
        encoder.encode_into(event, buffer)
        buffer.append(10)
        os.write(fd, buffer)

    return step, lambda: os.close(fd)


# What this package does with the same event.


def _typed(text: str, answer: bool) -> Event:
    if answer:
        return Event(
            session_id="conv-42",
            actor=Actor(type="agent", id="assistant"),
            action="completion",
            content=Content(text=text),
            provenance={"provider": "openai", "model": "gpt-4o-mini"},
            metrics=Metrics(
                latency_ms=812,
                tokens={"prompt": 12, "completion": 34, "total": 46},
                cost_usd=0.000042,
            ),
        )
    return Event(
        session_id="conv-42",
        actor=Actor(type="human", id="alice"),
        action="prompt",
        content=Content(text=text),
    )


def _plain(text: str, answer: bool) -> dict[str, object]:
    if answer:
        return {
            "session_id": "conv-42",
            "actor": {"type": "agent", "id": "assistant"},
            "action": "completion",
            "content": {"text": text},
            "provenance": {"provider": "openai", "model": "gpt-4o-mini"},
            "metrics": {
                "latency_ms": 812,
                "tokens": {"prompt": 12, "completion": 34, "total": 46},
                "cost_usd": 0.000042,
            },
        }
    return {
        "session_id": "conv-42",
        "actor": {"type": "human", "id": "alice"},
        "action": "prompt",
        "content": {"text": text},
    }


def _to_file(path: Path) -> tuple[logging.Logger, Callable[[], None]]:
    logger = logging.getLogger(f"hilt.benchmark.{path.stem}")
    handler = HILTFileHandler(path)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    def close() -> None:
        logger.removeHandler(handler)
        handler.close()

    return logger, close


def emit_event(path: Path) -> tuple[Step, Callable[[], None]]:
    """`emit(Event(...))` -> HILTFileHandler."""
    logger, close = _to_file(path)
    return lambda text, answer: emit(_typed(text, answer), logger=logger), close


def emit_dict(path: Path) -> tuple[Step, Callable[[], None]]:
    """`emit({...})` -> HILTFileHandler."""
    logger, close = _to_file(path)
    return lambda text, answer: emit(_plain(text, answer), logger=logger), close


def log_extra(path: Path) -> tuple[Step, Callable[[], None]]:
    """`logger.info("...", extra={"hilt": {...}})` -> HILTFileHandler."""
    logger, close = _to_file(path)
    return lambda text, answer: logger.info("said", extra={"hilt": _plain(text, answer)}), close


def session_append(path: Path) -> tuple[Step, Callable[[], None]]:
    """`Session.append(Event(...))`, nobody else listening."""
    session = Session(path).open()
    logging.getLogger("hilt.session").setLevel(logging.CRITICAL)
    return lambda text, answer: session.append(_typed(text, answer)), session.close


CONTENDERS = (limit, emit_event, emit_dict, log_extra, session_append)


def texts(events: int) -> Iterator[tuple[str, bool]]:
    """Prompts of about 600 and answers of about 1,500 bytes in turn, each half of them ASCII."""
    short = SHORT * 9, LONG * 6
    long = SHORT * 21, LONG * 15
    for number in range(events):
        answer = bool(number % 2)
        # a fresh string, as a real text is
        yield f"{(long if answer else short)[number // 2 % 2]}{number}", answer


def measure(contender: Callable[[Path], tuple[Step, Callable[[], None]]], events: int) -> float:
    """Return microseconds of CPU time for one event; check what is in the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{contender.__name__}.jsonl")
        step, close = contender(path)
        for text, answer in texts(50):
            step(text, answer)
        given = list(texts(events))
        gc.collect()
        began = time.process_time()
        for text, answer in given:
            step(text, answer)
        took = time.process_time() - began
        close()
        check(path, [text for text, _ in itertools.chain(texts(50), given)])
    return took / events * 1e6


def check(path: Path, expected: list[str]) -> None:
    """Raise if the file does not hold exactly these texts as events."""
    found = []
    ids = set()
    with path.open("rb") as lines:
        for line in lines:
            event = msgspec.json.decode(line)
            ids.add(event["event_id"])
            found.append(event["content"]["text"])
    if found != expected or len(ids) != len(found):
        raise SystemExit(f"{path.stem}: the file does not hold what was recorded")


def disabled(calls: int) -> float:
    """Return nanoseconds of CPU time for an `emit` that nobody listens to."""
    logger = logging.getLogger("hilt.benchmark.disabled")
    logger.setLevel(logging.CRITICAL)
    event = _typed("x", True)
    spent = []
    for counted in (False, True):
        began = time.process_time_ns()
        for _ in range(calls):
            if counted:
                emit(event, logger=logger)
        spent.append(time.process_time_ns() - began)
    return (spent[1] - spent[0]) / calls


def main(events: int = EVENTS, rounds: int = ROUNDS) -> None:
    """Measure all in turn, as often as *rounds* says, and print the table."""
    taken: dict[str, list[float]] = {each.__name__: [] for each in CONTENDERS}
    nobody = []
    for _ in range(rounds):
        for each in CONTENDERS:
            taken[each.__name__].append(measure(each, events))
        nobody.append(disabled(events))
    print(f"{events} events, {rounds} rounds, CPython {sys.version.split()[0]}")
    print(f"{'':62} {'us/event':>9} {'x limit':>8} {'(best':>7} {'worst)':>7}")
    for each in CONTENDERS:
        own = taken[each.__name__]
        ratios = [mine / least for mine, least in zip(own, taken["limit"], strict=True)]
        print(
            f"{(each.__doc__ or '').rstrip('.'):62} {statistics.median(own):9.2f}"
            f" {statistics.median(ratios):8.2f} {min(ratios):7.2f} {max(ratios):7.2f}"
        )
    print(f"{'`emit` that nobody listens to':62} {statistics.median(nobody):6.0f} ns")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
