"""
What all commands have in common: how they are found, explained, run and ended.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import keyword
import os
import re
import sys
import traceback

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from click.exceptions import Exit

from .. import __version__
from ..errors import ConfigurationError, HILTError, MissingDependencyError, ReadError
from ._output import complain, show_every_character, streams


__all__ = ["COMMANDS", "Command", "commands", "run"]

PROGRAM = "hilt-log"
# A command is in the module of its name, which is loaded when it is asked for.
COMMANDS = {
    "check-config": "Tell why a configuration of logging writes nothing.",
    "compare": "Tell what changed from one period of a log to another.",
    "convert": "Make CSV, Parquet or SQLite of a log, and a log of these.",
    "decrypt": "Open what is encrypted in a log.",
    "erase": "Make what a log says of one person unreadable.",
    "gaps": "Tell what a log does not have.",
    "import": "Make a log of what other programs left behind.",
    "keygen": "Make keys: a pair of them, or one that seals.",
    "prune": "Delete rotated files that are too old.",
    "report": "Make a page of what a log says, for a browser.",
    "reprice": "Tell what calls cost at other prices, and make a log of it.",
    "schema": "Tell what an event looks like.",
    "search": "Find what was said.",
    "show": "Show a conversation as it was.",
    "sql": "Ask a log in SQL.",
    "stats": "Tell in figures what a log says.",
    "tail": "Show the last events of a log, and those that come.",
    "validate": "Tell whether each line of a log is an event.",
    "verify": "Tell whether a log was changed.",
}

DONE, FAILED, WRONG_USAGE, UNREAD = 0, 1, 2, 3
INTERRUPTED, UNHEARD = 130, 141  # what shells say of programs that end by SIGINT and SIGPIPE
EXIT_CODES = {
    DONE: "Done.",
    FAILED: "Something could not be done.",
    WRONG_USAGE: "Wrong usage, or a key or file that does not fit.",
    UNREAD: "Some of the input could not be read; the rest was.",
}
_NOT_GIVEN = re.compile(r"^Invalid (-\S+): None[.] ")
_OPTION = re.compile(r"(^Invalid |, or set )(\w+)")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and return its exit code."""
    with streams():
        show_every_character(sys.stdout)
        try:
            commands.main(arguments, PROGRAM)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else FAILED


def module_of(command: str) -> str:
    """Return the name of the module that a command is in."""
    name = command.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


class Command(click.Command):
    """
    A command of `hilt-log`.

    Its function returns the exit code, or None for 0, and may raise: errors are told in a line, and
    become exit codes.

    Args:
        examples: Lines to be typed, each with what it does; shown in the help.
        exit_codes: What the exit codes of this command mean.
        failed: The exit code when an error ends the command.
        unread: The exit code when input that can't be read ends it.
    """

    def __init__(
        self,
        *args: Any,
        examples: Mapping[str, str],
        exit_codes: Mapping[int, str] = EXIT_CODES,
        failed: int = FAILED,
        unread: int = UNREAD,
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **attributes)
        self.examples = examples
        self.exit_codes = exit_codes
        self.failed = failed
        self.unread = unread

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and end with its exit code."""
        with _ended(self.failed, self.unread):
            code = super().invoke(ctx)
            sys.stdout.flush()
            ctx.exit(code or DONE)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        with formatter.section("Examples"):
            for line, purpose in self.examples.items():
                formatter.write(f"{'':{formatter.current_indent}}# {purpose}\n")
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in self.exit_codes.items()])


class _Commands(click.Group):
    """The program: it loads only the command that it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{module_of(cmd_name)}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of one that there is none of, tell which ones are nearly it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            near = difflib.get_close_matches(args[0], COMMANDS)
            if not near:
                raise
            ctx.fail(f"No such command '{args[0]}'. Did you mean {' or '.join(near)}?")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments."""
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            extra.setdefault("color", False)
        with _ended(failed=WRONG_USAGE):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        with _ended(failed=WRONG_USAGE):
            return super().invoke(ctx)


@contextlib.contextmanager
def _ended(failed: int, unread: int = UNREAD) -> Iterator[None]:
    """What is raised inside ends the program in order, with the exit code that it means."""
    try:
        yield
    except (click.ClickException, click.Abort, Exit):
        raise
    except BrokenPipeError:
        _say_no_more()
        raise Exit(UNHEARD) from None
    except KeyboardInterrupt:
        raise Exit(INTERRUPTED) from None
    except Exception as error:
        if _is_interrupt(error):
            raise Exit(INTERRUPTED) from None
        raise Exit(_told(error, failed, unread)) from None


def _is_interrupt(error: Exception) -> bool:
    """Whether it is Ctrl-C, as DuckDB tells it."""
    return type(error) is RuntimeError and str(error) == "Query interrupted"


def _told(error: Exception, failed: int, unread: int) -> int:
    """Tell what went wrong, and return the exit code for it."""
    if not isinstance(error, HILTError | OSError):
        traceback.print_exception(error)
        return failed
    complain(_as_typed(_said(error)))
    if isinstance(error, ConfigurationError | MissingDependencyError):
        return WRONG_USAGE
    return unread if isinstance(error, ReadError) else failed


def _said(error: HILTError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _as_typed(message: str) -> str:
    """A message with options as they are typed rather than as Python names them."""
    context = click.get_current_context(silent=True)
    typed = {
        name: option
        for each in (context.command.params if context else ())
        if isinstance(each, click.Option)
        for option in each.opts
        for name in (each.name, option.lstrip("-").replace("-", "_"))
    }
    told = _OPTION.sub(lambda found: found[1] + typed.get(found[2], found[2]), message)
    return _NOT_GIVEN.sub(r"Missing \1. ", told)


def _say_no_more() -> None:
    """Nobody reads what is printed: what is still to be flushed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@click.group(PROGRAM, cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name=PROGRAM, message="%(prog)s %(version)s")
def commands() -> None:
    """
    Look after logs of what people and AI systems said to each other.

    `hilt-log COMMAND --help` tells more of each command.
    """
