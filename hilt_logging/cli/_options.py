"""
Options that mean the same in every command.
"""

from __future__ import annotations

import re

from datetime import timedelta

import click


__all__ = [
    "STDIN",
    "age",
    "as_json",
    "force",
    "paths",
    "seal_key",
    "shared_key_file",
    "shared_sign_key",
    "sign_key",
]

STDIN = "/dev/stdin"

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
force = click.option("--force", is_flag=True, help="Take the place of files that are there.")
paths = click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(),
    callback=lambda ctx, param, paths: tuple(STDIN if each == "-" else each for each in paths),
)
shared_key_file = click.option(
    "--shared-key-file", is_flag=True, help="Take keys that others can read, too."
)
sign_key = click.option(
    "--sign-key",
    type=click.Path(),
    metavar="FILE",
    help="The private key that signs the log, where it is signed.",
)
seal_key = click.option(
    "--seal-key",
    type=click.Path(),
    metavar="FILE",
    help="The file of the key that seals the log, where it is sealed.",
)
shared_sign_key = click.option(
    "--shared-sign-key", is_flag=True, help="Take a signing key that others can read, too."
)

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """Return a time span that is written as 90m, 12h, 180d or 26w."""
    found = re.fullmatch(r"([0-9]{1,9})([mhdw])", value)
    try:
        if found:
            return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        pass
    raise click.BadParameter("must be a number with m, h, d or w after it, as 180d", ctx, param)
