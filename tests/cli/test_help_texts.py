"""docs/command-line.md tells of every command and option what the program does."""

from __future__ import annotations

import re

import click
import pytest

from hilt_logging.cli._frame import COMMANDS, commands

from ._help_texts import PAGE, help_of, renewed, texts


RENEW = "docs/command-line.md is out of date; renew it with: python tests/cli/_help_texts.py"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_text(page, name):
    """The help in the docs is what the program prints."""
    text = texts(page).get(name)
    assert text is not None, f"no help of {name} in the docs: <!-- help of {name} -->"
    assert help_of(name).split() == text.split(), RENEW


def test_commands(page):
    """The docs have the help of every command, each below a heading, and of no other."""
    assert {None, *COMMANDS} == set(texts(page))
    headings = re.findall(r"^## `hilt-log ([\w-]+)`$", page, re.M)
    assert list(COMMANDS) == sorted(headings)


@pytest.mark.parametrize("name", COMMANDS)
def test_options(page, name):
    """Every option of a command is in its help, by each of its names."""
    for each in commands.get_command(None, name).params:
        if isinstance(each, click.Option):
            for option in (*each.opts, *each.secondary_opts):
                assert re.search(rf"(?<!\S){option}\b", texts(page)[name]), option


def test_renewed(page):
    """A text that is out of date, or of a command that is gone, is found and renewed."""
    old = page.replace("Find what was said.", "Do something.")
    assert old != page
    assert renewed(page) == renewed(old)
    gone = "<!-- help of gone -->\n```text\nUsage\n```\n"
    assert gone.replace("Usage\n", "") == renewed(gone)
