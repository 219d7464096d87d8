"""
How signals end the program: in order where it heeds them, and soon in any case.

Work in C may heed them late or never: DuckDB waits for its own threads. A thread of ours, which
learns of a signal at once, ends the program then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

from collections.abc import Callable
from typing import NoReturn

from .._unfinished import undo_all


__all__ = ["run"]

_SIGNALS = [
    each
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (each := getattr(signal, name, None)) is not None
]
_PATIENCE_S = 1.0


def run(program: Callable[[], int]) -> int:
    """
    Run a program that has this process to itself, and return its exit code.

    A signal that ends it is a KeyboardInterrupt within it; what is unfinished is undone, and the exit
    code is 128 and the number of the signal. Signals that are ignored, as under nohup, stay so.
    """
    if threading.current_thread() is not threading.main_thread():
        return program()
    ending = _Ending()
    code = 1
    try:
        ending.heed()
        code = program()
        ending.is_over = True
    except BaseException:
        if not ending.number:
            raise
    if ending.number:
        ending.finish()
    return code


class _Ending:
    """
    The end of the program.

    Attributes:
        number: The signal that ends it; 0 as long as there is none.
        is_over: Whether all is done.
    """

    def __init__(self) -> None:
        self.number = 0
        self.is_over = False

    def heed(self) -> None:
        """Take the signals that nobody else takes or ignores."""
        ours = [
            each
            for each in _SIGNALS
            if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler)
        ]
        for each in ours:
            signal.signal(each, self._begin)
        if ours and os.name == "posix":
            heard, told = os.pipe()
            os.set_blocking(told, False)
            signal.set_wakeup_fd(told, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(heard, ours), daemon=True).start()

    def _begin(self, number: int, frame: object) -> None:
        if self.number:  # it ends already
            return
        self.number = number
        sys.unraisablehook = lambda _: None
        if self.is_over:
            self.finish()
        raise KeyboardInterrupt

    def finish(self) -> NoReturn:
        """End the process now that nothing goes on any more."""
        undo_all()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # nobody reads it
                stream.flush()
        os._exit(128 + self.number)

    def _watch(self, heard: int, ours: list[signal.Signals]) -> None:
        """End the process when it did not end itself some time after a signal."""
        while (number := os.read(heard, 1)[0]) not in ours:
            pass
        time.sleep(_PATIENCE_S)
        try:
            undo_all()
        finally:
            os._exit(128 + number)
