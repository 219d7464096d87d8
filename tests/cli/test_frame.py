"""What all commands have in common."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

from pathlib import Path

import click
import pytest

from click.testing import CliRunner

import hilt_logging

from hilt_logging.cli import _frame
from hilt_logging.cli._frame import COMMANDS, Command, commands
from hilt_logging.errors import (
    ConfigurationError,
    HILTError,
    InvalidEventError,
    MissingDependencyError,
    ReadError,
)


HEAVY = {"cryptography", "joserfc", "rich", "duckdb", "jinja2", "pyspark", "sqlite3", "asyncio"}


def program():
    """The script that the installation makes."""
    return str(Path(sys.executable).with_name("hilt-log"))


def ends_with(error, **options):
    """What the program does where a command raises."""

    @click.command("test", cls=Command, examples={}, **options)
    def failing():
        raise error

    return CliRunner().invoke(failing, [])


def test_commands_are_listed(hilt_log):
    """`--help` lists every command with a line about it; without arguments it is shown, too."""
    done = hilt_log("--help")
    assert (0, "") == (done.code, done.err)
    for name, line in COMMANDS.items():
        assert f"{name} " in done.out
        assert line in done.out
    assert 2 == hilt_log().code


def typed(line):
    """The words of our command in a line of the shell's."""
    return next(part for part in line.split(" | ") if part.startswith("hilt-log ")).split()


@pytest.mark.parametrize("name", COMMANDS)
def test_help(hilt_log, name):
    """A command's help begins with the line of the list, tells each option, examples and exit codes."""
    done = hilt_log(name, "--help")
    command = commands.get_command(None, name)
    assert (0, "") == (done.code, done.err)
    assert command.help.strip().startswith(f"{COMMANDS[name]}\n")
    assert name == command.name
    assert "Examples:" in done.out
    assert "Exit codes:" in done.out
    assert command.examples
    assert all(f"hilt-log {name}" == " ".join(typed(line)[:2]) for line in command.examples)
    assert all(each.help for each in command.params if isinstance(each, click.Option))
    assert "--json" in [option for each in command.params for option in each.opts]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_right(name):
    """What the examples of a command say can be typed."""
    command = commands.get_command(None, name)
    for line in command.examples:
        context = command.make_context(name, typed(line)[2:], resilient_parsing=False)
        assert context.params


def test_only_what_is_asked_for_is_loaded(in_child):
    """The list of commands loads no command, and no command loads what is slow to load."""
    done = in_child(
        "import sys\n"
        "from hilt_logging.cli import main\n"
        "from hilt_logging.cli._frame import COMMANDS\n"
        "print(main(['--help']))\n"
        "print([name for name in COMMANDS if f'hilt_logging.cli.{name}' in sys.modules])\n"
        "for name in COMMANDS: main([name, '--help'])\n"
        f"print(sorted({HEAVY} & set(sys.modules)))\n"
    )
    lines = done.stdout.splitlines()
    at = lines.index("0")
    assert ("[]", "[]", "") == (lines[at + 1], lines[-1], done.stderr)


def test_version(hilt_log):
    """`--version` tells the version of the package."""
    assert f"hilt-log {hilt_logging.__version__}\n" == hilt_log("--version").out


@pytest.mark.parametrize("words", [["nope"], ["keygen"], ["keygen", "--nope"], ["--nope"]])
def test_wrong_usage(hilt_log, words):
    """Unknown commands and options, and missing arguments, are wrong usage: exit code 2."""
    done = hilt_log(*words)
    assert (2, "") == (done.code, done.out)
    assert "Error: " in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("key", "a.jwk", "It is not there"), 2),
        (MissingDependencyError("cryptography", "crypto"), 2),
        (ReadError("no JSON", "a.jsonl", 3), 3),
        (InvalidEventError("$.actor: is required"), 1),
        (HILTError("no"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda each: type(each).__name__,
)
def test_errors(error, code):
    """An error is one line on stderr and an exit code, without a traceback."""
    result = ends_with(error)
    assert (code, "") == (result.exit_code, result.stdout)
    assert (f"Error: {error}\n" if str(error) else "") == result.stderr


@pytest.mark.parametrize(
    ("typed", "told"),
    [("stat", "stats"), ("tial", "tail"), ("verifyy", "verify"), ("import_log", "import")],
)
def test_command_that_is_nearly_right(hilt_log, typed, told):
    """The command that was meant is named."""
    assert f"Did you mean {told}" in hilt_log(typed).err


def test_errors_of_the_system():
    """They are told in words, with the file where one is known, and without their numbers."""
    denied = PermissionError(13, "Permission denied", "a.jsonl")
    assert "Error: Permission denied: a.jsonl\n" == ends_with(denied).stderr
    assert "Error: Broken\n" == ends_with(OSError(5, "Broken")).stderr
    assert "Error: odd\n" == ends_with(OSError("odd")).stderr


def test_codes_of_a_command():
    """A command for which 1 and 3 mean something else has codes of its own."""
    assert 2 == ends_with(HILTError("no"), failed=2).exit_code
    assert 2 == ends_with(ReadError("no", "a"), unread=2).exit_code


def test_faults_of_ours():
    """What is no error of use shows where it happened, and has the command's exit code, too."""
    result = ends_with(RuntimeError("a fault"), failed=2)
    assert 2 == result.exit_code
    assert "Traceback" in result.stderr
    assert "a fault" in result.stderr


def test_errors_do_nothing_to_a_terminal():
    """Escapes in the text of an error are shown, not sent."""
    assert "\\u001b[2J" in ends_with(HILTError("\x1b[2J")).stderr


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours(hilt_log, monkeypatch, environ, coloured):
    """On a terminal errors are coloured, unless NO_COLOR or the terminal says otherwise."""
    monkeypatch.setenv("TERM", "xterm")
    done = hilt_log("keygen", "nowhere/a", env=environ, color=True)
    assert 2 == done.code
    assert coloured == ("\x1b[" in done.err)


@pytest.mark.parametrize("command", [[program()], [sys.executable, "-m", "hilt_logging"]])
def test_entry_points(command):
    """The script of the installation and `python -m hilt_logging` are the same program."""
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("Usage: hilt-log [OPTIONS] COMMAND")


def test_exit_code_of_the_process(in_shell):
    """The exit code is that of the process."""
    done = in_shell("keygen", "nowhere/a")
    assert (2, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr


WITHOUT = """
import sys
sys.modules[{module!r}] = None
from hilt_logging.cli import main
sys.exit(main(["--help"]))
"""


@pytest.mark.parametrize("module", ["click", "rich"])
def test_without_the_extra(in_child, module):
    """Where click or rich is not installed, the extra that brings it is named, without a traceback."""
    done = in_child(WITHOUT.format(module=module))
    assert (2, "") == (done.returncode, done.stdout)
    assert (
        f"hilt-log: {module} is not installed. "
        "Install it with: pip install 'hilt-logging[cli]'\n" == done.stderr
    )


def test_terminals_without_unicode(in_shell, tmp_path):
    """Where stdout has no UTF-8, what comes out of a log is shown all the same."""
    event = {
        "hilt_version": "1.0.0",
        "event_id": "e",
        "timestamp": "2026-11-20T10:00:00.000000Z",
        "session_id": "€ 🙂",
        "actor": {"type": "human", "id": "alice"},
        "action": "prompt",
    }
    (tmp_path / "app.jsonl").write_text(json.dumps(event))
    for command in ("show", "stats"):
        environ = {"PYTHONIOENCODING": "latin-1"}
        ended = in_shell(command, "app.jsonl", environ=environ, encoding="latin-1")
        assert (0, "") == (ended.returncode, ended.stderr)
        assert "\\u20ac \\ud83d\\ude42" in ended.stdout


@pytest.mark.parametrize("words", [["--help"], ["keygen", "--help"], ["keygen", "a"]])
def test_nobody_reads(unheard, words):
    """Where nobody reads what is printed, the program ends quietly, as by SIGPIPE."""
    done = unheard(*words)
    assert (141, "") == (done.returncode, done.stderr)


CLOSED = """
import os, sys
for number in map(int, sys.argv.pop(1)):
    os.close(number)
os.execv(sys.executable, [sys.executable, "-m", "hilt_logging", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, ["stats", "app.jsonl"]),
        (1, ["show", "s", "app.jsonl"]),
        (1, ["search", "moon", "app.jsonl"]),
        (1, ["convert", "app.jsonl", "--to", "csv", "--output", "-"]),
        (2, ["verify", "app.jsonl"]),
        (2, ["--help"]),
    ],
)
def test_streams_that_are_closed(tmp_path, an_event, code, words):
    """Where stdout is closed, that is told in one line, and where stderr is closed as well, in none."""
    event = an_event(session_id="s", content={"text": "moon"})
    (tmp_path / "app.jsonl").write_text(json.dumps(event) + "\n")
    told = "Error: Standard output is closed: there is nowhere to print to\n"
    for streams, expected in (("1", told), ("12", "")):
        done = subprocess.run(
            [sys.executable, "-c", CLOSED, streams, *words],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert (code, "", expected) == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(in_shell, shell):
    """There is a script of completion for each shell."""
    done = in_shell(environ={"_HILT_LOG_COMPLETE": f"{shell}_source"})
    assert "_HILT_LOG_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("words", "at", "expected"),
    [("hilt-log ke", 1, "plain,keygen"), ("hilt-log keygen --ty", 2, "plain,--type")],
)
def test_completions(in_shell, words, at, expected):
    """Commands and options are completed."""
    environ = {
        "_HILT_LOG_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(at),
    }
    assert expected in in_shell(environ=environ).stdout.splitlines()


def test_every_module_is_a_command():
    """A module of `cli` is a command of the list, or private."""
    folder = Path(_frame.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert {_frame.module_of(name) for name in COMMANDS} == modules
    for name in modules:
        assert isinstance(importlib.import_module(f"hilt_logging.cli.{name}").command, Command)
