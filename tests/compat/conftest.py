"""The real hilt-python, in an environment of its own: its package `hilt` must not mix with ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from pathlib import Path

import pytest


RELEASE = "hilt-python==0.2.8"
ROOT = Path(__file__).resolve().parent.parent.parent


class Peer:
    """A running `_peer.py`; its functions are the methods."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, Path(__file__).with_name("_peer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def __getattr__(self, name):
        def ask(**arguments):
            """Return the answer; what it raised is raised here as a ValueError."""
            self._process.stdin.write(json.dumps([name, arguments], default=str) + "\n")
            self._process.stdin.flush()
            succeeded, answer = json.loads(self._process.stdout.readline())
            if not succeeded:
                raise ValueError(answer)
            return answer

        return ask

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def peer():
    """hilt-python 0.2.8; skipped only where it can't be installed."""
    running = Peer(_python())
    yield running
    running.close()


def _python() -> Path:
    """The interpreter of the environment, which is made once and used again."""
    envs = Path(os.environ.get("HILT_TEST_ENVS") or ROOT / ".venvs")
    folder = envs / RELEASE.replace("==", "-")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "installed"
    if done.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    commands = (
        [sys.executable, "-m", "venv", folder],
        [python, "-m", "pip", "install", "-q", "--no-compile", RELEASE],
    )
    for command in commands:
        ran = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if ran.returncode != 0:
            pytest.skip(f"{RELEASE} can't be installed here: {ran.stdout.strip()[-300:]}")
    done.touch()
    return python
