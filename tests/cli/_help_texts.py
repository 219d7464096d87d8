"""
The help texts in docs/command-line.md.

    python tests/cli/_help_texts.py    writes them anew
"""

from __future__ import annotations

import re

from pathlib import Path

import click

from hilt_logging.cli._frame import COMMANDS, PROGRAM, commands


PAGE = Path(__file__).parent.parent.parent / "docs" / "command-line.md"
# `<!-- help -->` or `<!-- help of COMMAND -->`, and the fence below
BLOCK = re.compile(
    r"(?P<before>^<!-- help(?: of (?P<name>\S+))? -->\n```text\n)(?P<text>.*?)(?=^```$)",
    re.M | re.S,
)


def help_of(name):
    """What `hilt-log --help`, or the help of a command, prints on 80 columns."""
    top = click.Context(commands, info_name=PROGRAM, terminal_width=80, **commands.context_settings)
    if name is None:
        return f"{commands.get_help(top)}\n"
    command = commands.get_command(top, name)
    return f"{command.get_help(click.Context(command, top, name, terminal_width=80))}\n"


def texts(page):
    """The help texts that are on a page, by command; None is the program."""
    return {found["name"]: found["text"] for found in BLOCK.finditer(page)}


def renewed(page):
    """The page with the help texts of today."""

    def block(found):
        known = found["name"] in (None, *COMMANDS)
        return found["before"] + (help_of(found["name"]) if known else "")

    return BLOCK.sub(block, page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
