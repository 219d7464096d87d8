"""
The least that must be done: a typed event, its encoder, one write; and the write alone.

Everything in it is as lean as we know how.
"""

from __future__ import annotations

import os

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from contenders import Opened
from samples import Clock, whole


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


def limit(path: Path) -> Opened:
    """A msgspec event, its encoder, one `os.write`; a buffer for each thread."""
    fd = _appending(path)
    return Opened(_step(fd), lambda: os.close(fd), another=lambda: _step(fd))


def synced(path: Path) -> Opened:
    """The same, and each event is brought to the disk."""
    return _synced(path, 1)


def synced_100(path: Path) -> Opened:
    """The same, and every hundredth event brings all before it to the disk."""
    return _synced(path, 100)


def ready(path: Path) -> Opened:
    """One `os.write` of a line that was made before."""
    fd = _appending(path)
    clock = Clock()

    def prepared(text: str, answer: bool) -> tuple[Any, ...]:
        return (msgspec.json.encode(whole(text, answer, clock)) + b"\n",)

    return Opened(lambda line: os.write(fd, line), lambda: os.close(fd), prepared=prepared)


def _synced(path: Path, every: int) -> Opened:
    fd = _appending(path)
    write = _step(fd)
    written = 0

    def step(text: str, answer: bool) -> None:
        nonlocal written
        write(text, answer)
        written += 1
        if written % every == 0:
            os.fdatasync(fd)

    return Opened(step, lambda: os.close(fd))


def _appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _step(fd: int) -> Callable[[str, bool], None]:
    encoder = msgspec.json.Encoder()
    clock = Clock()
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

    return step
