"""
`hilt-log keygen`: a pair of keys as two files.
"""

from __future__ import annotations

import os

import click
import msgspec

from ..errors import ConfigurationError
from ..safeguards import jwk, sealing
from . import _options
from ._frame import EXIT_CODES, Command
from ._output import json_line, output, say


__all__ = ["command"]


_AWAY = "keep it where events are not written"


@click.command(
    "keygen",
    cls=Command,
    examples={
        "hilt-log keygen auditor": "for encrypt_to=auditor.pub.jwk, where events are written",
        "hilt-log keygen evidence --type Ed25519": "for sign_key=evidence.key.jwk",
        "hilt-log keygen app --seal -o /media/usb/app.first.jwk": (
            'for evidence="sealed", seal_key=app.seal'
        ),
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
@click.option(
    "--seal", "seals", is_flag=True, help="Make a key that seals a log and moves on, NAME.seal."
)
@click.option(
    "-o",
    "--output",
    "first_key",
    type=click.Path(),
    metavar="FILE",
    help="With --seal: write the first key there, rather than to the terminal.",
)
@_options.force
@_options.as_json
def command(
    name: str, kind: str, seals: bool, first_key: str | None, force: bool, as_json: bool
) -> None:
    """
    Make keys: a pair of them, or one that seals.

    NAME.key.jwk is the private key: only its owner can read the file. Who has it can open what is
    encrypted, or sign; what it opens is lost with it. NAME.pub.jwk is the public key: it encrypts
    and verifies, and is no secret.

    With --seal, NAME.seal has the key with which a log is sealed. It stays where events are written,
    belongs to one log, and moves on with each seal, so that it can't make the earlier ones again.
    The first key is given out once, and is nowhere else: carry it away, for it checks all seals, and
    who has it can make them.
    """
    if seals:
        _make_seal(f"{name}.seal", first_key, force, as_json)
        return
    if first_key is not None:
        raise click.UsageError("-o is for --seal.")
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


def _make_seal(path: str, first_key: str | None, force: bool, as_json: bool) -> None:
    if os.path.lexists(path) and not force:
        raise ConfigurationError(
            "NAME", path, "It is there already, and a log may be sealed with it"
        )
    made, is_shown = sealing.generate(), first_key in (None, "-")
    text, is_made = made.text(), False
    try:
        with output(first_key, force=force) as write:
            sealing.write_new(path, made, force=force)
            is_made = True
            if not (as_json and is_shown):
                write(text)
    except BaseException:
        if is_made:
            os.unlink(path)
        raise
    if as_json:
        shown = msgspec.json.decode(text) if is_shown else first_key
        json_line({"kid": made.name, "type": "seal", "seal_key": path, "first_key": shown})
        return
    away = "the line above" if is_shown else first_key
    say(f"{path}  seals, and moves on: it stays where the log is written", err=True)
    say(f"{away}  the first key, given out only now: keep it away from the host", err=True)
    say(f"kid {made.name}", err=True)
