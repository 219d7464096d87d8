"""
`hilt-log keygen`: a pair of keys as two files.
"""

from __future__ import annotations

import os

import click

from ..errors import ConfigurationError
from ..safeguards import jwk
from . import _options
from ._frame import EXIT_CODES, Command
from ._output import json_line, say


__all__ = ["command"]


_AWAY = "keep it where events are not written"


@click.command(
    "keygen",
    cls=Command,
    examples={
        "hilt-log keygen auditor": "for encrypt_to=auditor.pub.jwk, where events are written",
        "hilt-log keygen evidence --type Ed25519": "for sign_key=evidence.key.jwk",
    },
    exit_codes={code: EXIT_CODES[code] for code in (0, 1, 2)},
)
@click.argument("name", type=click.Path())
@click.option(
    "--type",
    "kind",
    type=click.Choice(jwk.KINDS),
    default=jwk.KINDS[0],
    show_default=True,
    help="P-256 and X25519 encrypt, Ed25519 signs.",
)
@_options.force
@_options.as_json
def command(name: str, kind: str, force: bool, as_json: bool) -> None:
    """
    Make a pair of keys.

    NAME.key.jwk is the private key: only its owner can read the file. Who has it can open what is
    encrypted, or sign; what it opens is lost with it. NAME.pub.jwk is the public key: it encrypts
    and verifies, and is no secret.
    """
    private, public = f"{name}.key.jwk", f"{name}.pub.jwk"
    for path in (private, public):
        if os.path.lexists(path) and not force:
            raise ConfigurationError(
                "NAME", path, "It is there already, and what a lost key encrypted is lost, too"
            )
    made = jwk.generate(kind)
    jwk.write_new(public, jwk.public_of(made), force=force)
    try:
        jwk.write_new(private, made, force=force)
    except BaseException:
        os.unlink(public)
        raise
    if as_json:
        json_line({"kid": made["kid"], "type": kind, "private_key": private, "public_key": public})
    else:
        use = "it signs: who has it can sign anything" if kind == "Ed25519" else _AWAY
        say(f"{private}  private: {use}")
        say(f"{public}  public")
        say(f"kid {made['kid']}")
