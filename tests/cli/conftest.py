"""`hilt-log` as tests call it."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys

import pytest

from click.testing import CliRunner

from hilt_logging import HILTFileHandler, emit
from hilt_logging.cli._frame import PROGRAM, commands


class Done:
    """What a run of the program came to."""

    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr
        self.data = result.stdout_bytes

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"<exit code {self.code}>\n{self.out}---- stderr\n{self.err}"


@pytest.fixture
def hilt_log(monkeypatch):
    """Runs the program in this process."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(*arguments, **options):
        words = [str(each) for each in arguments]
        return Done(CliRunner().invoke(commands, words, prog_name=PROGRAM, **options))

    return run


@pytest.fixture
def in_shell(tmp_path):
    """Runs the program in a process of its own, as the shell does."""

    def run(*arguments, environ=None, **options):
        words = [sys.executable, "-m", "hilt_logging", *map(str, arguments)]
        return subprocess.run(
            words,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, **(environ or {})},
        )

    return run


@pytest.fixture
def in_terminal():
    """Runs the program where a terminal shows what it prints, and gives back those bytes."""

    def run(*arguments, code=0, **environ):
        ours, theirs = pty.openpty()
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        program = subprocess.Popen(
            [sys.executable, "-m", "hilt_logging", *map(str, arguments)],
            stdout=theirs,
            env={**clean, "TERM": "xterm", "COLUMNS": "120", **environ},
        )
        os.close(theirs)
        out = b""
        try:
            while data := os.read(ours, 65536):
                out += data
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert code == program.wait(30)
        return out

    return run


@pytest.fixture
def unheard(in_shell):
    """Runs the program where nobody reads what it prints."""

    def run(*arguments):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            return in_shell(*arguments, stdout=writing)
        finally:
            os.close(writing)

    return run


@pytest.fixture
def written(tmp_path):
    """Writes events of some people to a log, and returns its path."""

    def write(*texts, name="app.jsonl", user="alice", **options):
        path = tmp_path / name
        handler = HILTFileHandler(path, **options)
        logger = logging.Logger("hilt.test")
        logger.addHandler(handler)
        for text in texts:
            actor = {"type": "human", "id": user}
            event = {"session_id": "conv-1", "actor": actor, "action": "prompt"}
            emit(
                {**event, "content": {"text": text}, "extensions": {"user_id": user}}, logger=logger
            )
        handler.close()
        return path

    return write
