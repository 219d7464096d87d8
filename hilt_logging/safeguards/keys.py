"""
Secret keys from where they are kept: bytes of the program, the environment, a file.
"""

from __future__ import annotations

import os
import stat

from ..errors import ConfigurationError
from .hashing import LEAST_KEY_BYTES


__all__ = ["secret_key"]

_WHERE = "Must be bytes, env:NAME of a variable or file:PATH of a file"


def secret_key(option: str, given: object, *, shared: bool = False) -> bytes:
    """
    Return a secret key. White space around it does not count.

    Args:
        option: The name of the option, for errors; the key never stands in one.
        given: The bytes, `env:NAME` or `file:PATH`.
        shared: Whether a file may be readable by others than its owner.

    Raises:
        ConfigurationError: for a key that is not there or too short, or one that others can read.
    """
    if type(given) is bytes:
        return _long_enough(option, "the bytes", given)
    if not isinstance(given, str) or not given.startswith(("env:", "file:")):
        raise ConfigurationError(option, type(given).__name__, _WHERE)
    kind, _, name = given.partition(":")
    if kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise ConfigurationError(option, given, "The environment has no such variable")
        return _long_enough(option, given, value.encode(errors="surrogateescape").strip())
    return _long_enough(option, given, _of_file(option, given, name, shared).strip())


def _of_file(option: str, given: str, name: str, shared: bool) -> bytes:
    path = os.path.expanduser(name)
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) and not shared:
                raise ConfigurationError(
                    option,
                    given,
                    f"Others can read it: run chmod 600 {path}, or set shared_key_file",
                )
            return file.read(64 * 1024)
    except OSError as error:
        raise ConfigurationError(
            option, given, f"It can't be read: {error.strerror or type(error).__name__}"
        ) from None


def _long_enough(option: str, where: str, key: bytes) -> bytes:
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(
            option, where, f"The key is too short: {LEAST_KEY_BYTES} bytes at the least"
        )
    return key
