"""
How every run of LangChain is given a handler, and how a call knows the run that it is made in.
"""

from __future__ import annotations

import functools
import sys

from collections.abc import Callable
from typing import Any

from ._calls import Call
from ._capture import Target, surroundings
from ._fields import field
from ._runs import call_of


__all__ = ["Configured", "Offered", "left_to"]


class Offered:
    """
    Stands where LangChain asks a context variable for a handler, at each run.

    Args:
        target: Tells whether runs are recorded.
        handler: What every run is given.
    """

    def __init__(self, target: Target, handler: Any) -> None:
        self._target = target
        self._handler = handler

    def get(self) -> Any:
        """Return the handler; None where nothing is recorded."""
        return None if self._target.settings(None) is None else self._handler


class Configured:
    """
    Our entry in the list of what LangChain adds to each run's handlers.

    Args:
        module: Of LangChain, which has the list.
        offered: The handler.
        mark: The class of all our handlers: where one of them is, none is added.
    """

    def __init__(self, module: Any, offered: Offered, mark: type) -> None:
        self._module = module
        self._offered = offered
        self._mark = mark

    def install(self) -> None:
        """Add it, if it is not there."""
        if not self._entries():
            self._module.register_configure_hook(self._offered, True, self._mark)

    def remove(self) -> None:
        """Take it away; where LangChain keeps it elsewhere it stays, and offers nothing."""
        for entry in self._entries():
            self._module._configure_hooks.remove(entry)

    def _entries(self) -> list[Any]:
        known = getattr(self._module, "_configure_hooks", ())
        return [entry for entry in known if entry[0] is self._offered]


def left_to(mark: type, ours: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Return what leaves a run to the handler that the application gives it, around `add_handler`.

    Args:
        mark: The class of all our handlers.
        ours: That of the one which every run is given.
    """

    def around(inner: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(inner)
        def add_handler(self: Any, handler: Any, inherit: bool = True) -> None:
            inner(self, handler, inherit)
            if isinstance(handler, mark) and not isinstance(handler, ours):
                _leave_out(self.handlers, ours)
                if inherit:
                    _leave_out(self.inheritable_handlers, ours)

        return add_handler

    return around


def _leave_out(handlers: list[Any], ours: type) -> None:
    handlers[:] = [each for each in handlers if not isinstance(each, ours)]


def _surrounding() -> Call | None:
    """The chain, node or tool whose code makes a call, as LangChain tells those that it runs."""
    module = sys.modules.get("langchain_core.runnables.config")
    config = None if module is None else module.var_child_runnable_config.get()
    run_id = None if config is None else field(config.get("callbacks"), "parent_run_id")
    return None if run_id is None else call_of(run_id)


surroundings.append(_surrounding)
