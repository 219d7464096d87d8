"""
hilt-python 0.2.8 behind a pipe: one JSON request a line in, one JSON answer a line out.

Runs in an environment of its own and imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import json
import sys

from datetime import datetime

from hilt.core.actor import Actor
from hilt.core.event import Content, Event, Metrics
from hilt.io.session import Session


def load(line):
    """What `Event.from_json` makes of a line."""
    event = Event.from_json(line)
    return {**event.to_dict(), "hilt_version": event.hilt_version}


def read(path):
    """What `Session.read` yields from a file."""
    return [event.to_dict() for event in Session(path).read()]


def append(path, events, columns=None):
    """Write events with `Session.append`."""
    with Session(path, columns=columns) as session:
        for fields in events:
            session.append(_event(**fields))


def _event(*, actor, content=None, metrics=None, timestamp=None, **rest):
    if timestamp is not None:
        rest["timestamp"] = datetime.fromisoformat(timestamp)
    return Event(
        actor=Actor(**actor),
        content=None if content is None else Content(**content),
        metrics=None if metrics is None else Metrics(**metrics),
        **rest,
    )


def main():
    sys.stdin.reconfigure(encoding="utf-8")
    for request in sys.stdin:
        name, arguments = json.loads(request)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = [True, globals()[name](**arguments)]
        except Exception as error:
            answer = [False, f"{type(error).__name__}: {error}"]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
