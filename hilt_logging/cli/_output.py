"""
What commands print, and files that appear whole or not at all.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import io
import json
import os
import shutil
import stat
import sys

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click
import msgspec

from .._counting import counted
from .._unfinished import Scratch, remove, undone
from ..analysis._outputs import named_where_full
from ..analysis._printable import printable
from ..errors import ConfigurationError, HILTError


__all__ = [
    "Write",
    "complain",
    "counted",
    "json_line",
    "output",
    "output_file",
    "printable",
    "say",
    "show_every_character",
    "streams",
]

Write = Callable[[bytes], object]
_ESCAPED = "hilt_logging.escaped"


def show_every_character(stream: Any) -> None:
    r"""
    Have a stream write `\u20ac` for a character that its encoding does not have, as JSON does.

    Args:
        stream: The stream; one that is none of Python's own stays as it is.
    """
    if isinstance(stream, io.TextIOWrapper):
        codecs.register_error(_ESCAPED, _escaped)
        stream.reconfigure(errors=_ESCAPED)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """
    Have all three standard streams: to print where stdout is closed is an error, and stderr says nothing.

    What is opened would have their numbers otherwise, and whatever a library prints would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    were = sys.stdout, sys.stderr
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(_Closed(), write_through=True)
    with open(os.devnull, "w") as nowhere:
        if sys.stderr is None:
            sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = were


class _Closed(io.BufferedIOBase):
    """A stream that is closed to whom it matters, and not to the interpreter."""

    def writable(self) -> bool:
        """It would be."""
        return True

    def write(self, data: object) -> NoReturn:
        """Raise an error."""
        raise HILTError("Standard output is closed: there is nowhere to print to")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    halves = lacking.encode("utf-16-be", "surrogatepass")
    codes = (halves[at : at + 2].hex() for at in range(0, len(halves), 2))
    return "".join(f"\\u{code}" for code in codes), error.end


def say(text: str = "", *, err: bool = False, **style: Any) -> None:
    """Print a line of text; on a terminal with the style that `click.style` takes."""
    click.secho(printable(text), err=err, **style)


def complain(message: str) -> None:
    """Tell on stderr what went wrong."""
    click.secho("Error: ", nl=False, err=True, fg="red")
    say(message, err=True)


def json_line(value: Any, *, err: bool = False) -> None:
    """Print a value as one line of JSON."""
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        plain = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
        text = json.dumps(plain, separators=(",", ":"))
    click.echo(printable(text), err=err)


@contextlib.contextmanager
def output(path: str | None, *, force: bool = False) -> Iterator[Write]:
    """
    Where to write lines: a new file, which only its owner can read, or stdout.

    The file appears when all is written, and never where an error ends the block.

    Args:
        path: The file; None and `-` mean stdout.
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for a file that is there, or can't be.
    """
    if path is None or path == "-":
        yield _to_terminal if sys.stdout.isatty() else sys.stdout.buffer.write
        sys.stdout.flush()
    elif _is_device(path):
        with open(path, "wb") as file:
            yield file.write
    else:
        with _new_file(os.path.realpath(path), path, force) as write:
            yield write


@contextlib.contextmanager
def output_file(path: str, *, is_text: bool = True) -> Iterator[str]:
    """
    Give the path of a file to make: of `-` one that goes to stdout when it is whole.

    Args:
        path: The file that is wanted; `-` means stdout.
        is_text: Whether a terminal can show it.

    Raises:
        ConfigurationError: for what a terminal can't show.
    """
    if path != "-":
        yield path
        return
    if not is_text and sys.stdout.isatty():
        raise ConfigurationError(
            "output", path, "A terminal can't show it: give a file, or a pipe that takes it"
        )
    with Scratch() as folder:
        made = os.path.join(folder, "output")
        yield made
        with open(made, "rb") as file:
            if sys.stdout.isatty():
                for line in file:
                    _to_terminal(line)
            else:
                shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()


def _to_terminal(line: bytes) -> None:
    r"""JSON stays what it is where `\u001b` stands for a character of a text."""
    sys.stdout.write(printable(line.decode(errors="backslashreplace")))


def _is_device(path: str) -> bool:
    """Whether a name is of something that can be written to, but not replaced: a pipe, /dev/null."""
    try:
        return not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode)
    except OSError:
        return False


@contextlib.contextmanager
def _new_file(target: str, shown: str, force: bool) -> Iterator[Write]:
    if os.path.exists(target) and (os.path.isdir(target) or not force):
        raise ConfigurationError("output", shown, "It is there already: --force takes its place")
    part = f"{target}.{os.urandom(4).hex()}.part"
    with undone(functools.partial(remove, part)):
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            why = f"It can't be made: {error.strerror}"
            raise ConfigurationError("output", shown, why) from None
        with named_where_full(shown), open(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(part, target)
        else:
            _claim(part, target, shown)


def _claim(part: str, target: str, shown: str) -> None:
    """Give a file its name, unless somebody else did in the meantime."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise ConfigurationError("output", shown, "It is there by now") from None
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise ConfigurationError("output", shown, "It is there by now") from None
        os.rename(part, target)
