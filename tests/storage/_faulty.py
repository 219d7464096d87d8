"""
Writers whose operating system fails them; run with `shim.c` preloaded.

Reads scenarios as JSON, one a line, and answers each with what its writers say they wrote.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import struct
import sys
import time

import hilt_logging


OPS = {"write": 1, "fallocate": 2, "flock": 3, "lseek": 4, "open": 5, "open lock": 6}
SWITCH = struct.Struct("8i4096s")
KILL, STOPS = -2, (-5, -6)
FRAGMENT = b'{"hilt_version":"1.0.0","event_id":"dead'


class Switch:
    """The file through which the shim is switched."""

    def __init__(self, name):
        with open(name, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), SWITCH.size)

    def set(self, path, op, at, times, fault, amount, pid=None):
        values = pid or os.getpid(), OPS[op], at, times, fault, amount, 0, 0
        self._map[:] = SWITCH.pack(*values, os.fsencode(path))

    def fired(self):
        return SWITCH.unpack(self._map[:])[7]


def write(path, out, events, pause=0, arm=None, text="", **options):
    """Emit events, tell each id once it is accepted, and at the end what the handler counted."""
    if arm is not None:
        arm()
    handler = hilt_logging.basic_config(path, **options)
    raised, longest = 0, 0.0
    for number in range(events):
        begun = time.monotonic()
        try:
            accepted = hilt_logging.emit(
                {
                    "actor": {"type": "human", "id": "bob"},
                    "action": "prompt",
                    "content": {"text": text or "x" * (100 + number)},
                }
            )
        except Exception:
            raised += 1
        else:
            os.write(out, json.dumps(accepted).encode() + b"\n")
        longest = max(longest, time.monotonic() - begun)
        time.sleep(pause)
    counts = {**handler.stats(), "raised": raised, "longest": longest}
    os.write(out, json.dumps(counts).encode() + b"\n")


class Writer:
    """A writer in a fork of its own, and the pipe through which it tells what it wrote."""

    def __init__(self, *args, **options):
        path, *rest = args
        self._reading, out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._reading)
                write(path, out, *rest, **options)
            finally:
                os._exit(0)
        os.close(out)

    def told(self):
        with open(self._reading, "rb") as file:
            said = [json.loads(line) for line in file]
        os.waitpid(self.pid, 0)
        counts = said.pop() if said and isinstance(said[-1], dict) else None
        return {"ids": said, "counts": counts}


def run(
    switch,
    path,
    op,
    fault,
    at,
    amount=0,
    times=1,
    peers=0,
    events=20,
    dies=False,
    **options,
):
    """
    Let a writer have a fault, beside others or before another one; return what they told.

    Args:
        switch: The switch of the shim.
        path: The log.
        op: The call that fails.
        fault: An errno, or one of the shim's negative numbers.
        at: Which call fails, counted from 0.
        amount: Bytes or milliseconds.
        times: How many calls in a row.
        peers: How many write at the same time; where the writer is stopped, while it is.
        events: How many events each one emits.
        dies: While the writer is stopped, another one dies amid its line.
        options: The text of all events, and options of the handler.
    """

    def arm():
        switch.set(path, op, at, times, fault, amount)

    pause = 0.0003 if peers else 0
    others = []
    if fault not in STOPS:
        others = [Writer(path, events, pause, **options) for _ in range(peers)]
    faulty = Writer(path, events, pause, arm, **options)
    if fault in STOPS:
        os.waitpid(faulty.pid, os.WUNTRACED)
        others = [Writer(path, events, pause, **options).told() for _ in range(peers)]
        if dies:
            with open(path, "ab", buffering=0) as file:
                file.write(FRAGMENT)
        os.kill(faulty.pid, signal.SIGCONT)
    told = [each if isinstance(each, dict) else each.told() for each in (faulty, *others)]
    if peers == 0 or fault in (KILL, *STOPS):
        told.append(Writer(path, 2, **options).told())
    return {"fired": switch.fired(), "writers": told}


def main():
    switch = Switch(os.environ["FAULTS"])
    import ctypes  # noqa: F401 -- once, rather than in each of the forks

    with contextlib.suppress(ImportError):
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: F401

        from hilt_logging.safeguards import encryption, keystore, privacy  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(run(switch, **json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
