"""
The file of a handler or a session, as it is set up: its name, its mode, and what is there already.
"""

from __future__ import annotations

import functools
import os

from . import _checkpoints
from .errors import ConfigurationError
from .storage.appender import Appender
from .storage.errors import cause_of
from .storage.linking import ends_linked
from .storage.options import Evidence, FileOptions
from .storage.sharing import acquire, release


__all__ = ["LINK_ROOM", "UTF_8", "absolute", "check_log", "mode_bits", "open_shared"]

UTF_8 = (None, "utf-8", "utf8", "UTF-8")
LINK_ROOM = 400
"""How many bytes a line has to leave for its link."""


def absolute(filename: str | os.PathLike[str]) -> str:
    """
    Return a file's name as an absolute path.

    Raises:
        ConfigurationError: for what is no name of a file.
    """
    try:
        name = os.fspath(filename)
    except TypeError:
        name = ""
    if (
        not isinstance(name, str)
        or not name
        or "\0" in name
        or name.startswith(("cfg://", "ext://"))
    ):
        raise ConfigurationError("filename", filename, "Must be the path of a file")
    return os.path.abspath(os.path.expanduser(name))


def mode_bits(permissions: int | str) -> int:
    """
    Return the bits of a file mode that is given as a number or as octal digits.

    Raises:
        ConfigurationError: for anything else.
    """
    try:
        bits = int(permissions, 8) if isinstance(permissions, str) else permissions
    except ValueError:
        bits = -1
    if type(bits) is not int or not 0 <= bits <= 0o777:
        raise ConfigurationError("permissions", permissions, 'Must be octal digits, as in "0640"')
    return bits


def open_shared(
    path: str,
    permissions: int,
    create_dirs: bool,
    *,
    delay: bool,
    options: FileOptions | None = None,
) -> Appender:
    """
    Return the appender of a file that is opened now, or with *delay* at its first line.

    Raises:
        ConfigurationError: if it can't be opened, or is in use here with other options.
    """
    check_log(path, options)
    try:
        appender = acquire(path, permissions, create_dirs, options)
    except ValueError as error:
        raise ConfigurationError("filename", path, f"It {error}") from None
    if not delay:
        try:
            appender.open()
        except OSError as error:
            release(appender)
            raise ConfigurationError(
                "filename", path, f"It can't be opened: {error.strerror or cause_of(error)}"
            ) from error
        if options is not None and options.evidence is not None:
            _check_lock(path, appender)
    if options is None and appender.links is None and ends_linked(path):
        appender.chain(Evidence())
    if appender.links is not None:
        appender.links.clock.told = functools.partial(_checkpoints.tell, appender)
    return appender


def check_log(path: str, options: FileOptions | None) -> None:
    """
    Ask whether the lines and the key of a log that is there fit its options; nothing is opened.

    Raises:
        ConfigurationError: if they don't.
    """
    _check_chain(path, options)
    if options is not None and options.evidence is not None:
        _check_seal(path, options.evidence)


def _check_lock(path: str, appender: Appender) -> None:
    """
    Ask whether processes can exclude each other here: without that nothing is linked.

    Raises:
        ConfigurationError: if they can't.
    """
    cause = appender.why_no_lock()
    if cause is not None:
        release(appender)
        raise ConfigurationError(
            "evidence", True, f"There is no lock to be had beside {path}: {cause}"
        )


def _check_chain(path: str, options: FileOptions | None) -> None:
    """
    Ask whether the lines that are there, and those that are to come, are one chain.

    Raises:
        ConfigurationError: if they can't be.
    """
    if options is None:
        return
    if options.evidence is None:
        if ends_linked(path):
            raise ConfigurationError(
                "evidence",
                False,
                f"The lines of {path} are linked: set evidence to true, or take another file",
            )
        return
    from .storage.chaining import misfit

    found = misfit(path)
    if found is not None:
        raise ConfigurationError("evidence", True, f"{path}: {found}")


def _check_seal(path: str, evidence: Evidence) -> None:
    """
    Ask whether the key that seals is that of the log.

    Raises:
        ConfigurationError: if it is not.
    """
    if evidence.seal is None:
        return
    from .safeguards.sealing import UnfitError
    from .storage.chaining import hint_of
    from .storage.sealing import Seals
    from .storage.tails import tail_of

    real = os.path.realpath(path)
    try:
        seals = Seals(real, evidence.seal)
        found = seals.misfit(tail_of(real).chain, (hint_of(real) or {}).get("seal"))
    except (OSError, UnfitError) as error:
        found = str(error)
    if found is not None:
        raise ConfigurationError("seal_key", evidence.seal_key, found)
