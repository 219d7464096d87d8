"""
`hilt-log schema`: the format, for programs that check or store events.
"""

from __future__ import annotations

import click
import msgspec

from . import _options
from ._frame import EXIT_CODES, Command
from ._output import output


__all__ = ["command"]


@click.command(
    "schema",
    cls=Command,
    examples={
        "hilt-log schema -o hilt.schema.json": "for a validator or an editor",
        "hilt-log schema --columns": "the flat columns, for the tables of a database",
        "hilt-log schema --columns --json | jq -r '.[].name'": "their names",
    },
    exit_codes={code: EXIT_CODES[code] for code in (0, 1, 2)},
)
@click.option(
    "--columns",
    "is_flat",
    is_flag=True,
    help="The columns that an event has in SQL, Parquet and SQLite.",
)
@click.option(
    "-o", "--output", "target", type=click.Path(), metavar="FILE", help="The new file for it."
)
@_options.force
@_options.as_json
def command(is_flat: bool, target: str | None, force: bool, as_json: bool) -> None:
    """
    Tell what an event looks like.

    A JSON Schema, draft 2020-12. Fields that it does not name are allowed. With --json it is on one
    line.
    """
    text = _columns(as_json) if is_flat else _schema(as_json)
    with output(target, force=force) as write:
        write(text + b"\n")


def _schema(is_short: bool) -> bytes:
    from ..schema import JSON_SCHEMA

    found = msgspec.json.encode(JSON_SCHEMA)
    return found if is_short else msgspec.json.format(found, indent=2)


def _columns(as_json: bool) -> bytes:
    from ..analysis.tables import COLUMNS

    if as_json:
        return msgspec.json.encode(
            [{"name": each.name, "type": each.type, "meaning": each.meaning} for each in COLUMNS]
        )
    wide = max(len(each.name) for each in COLUMNS)
    lines = (f"{each.name:{wide}}  {each.type:9}  {each.meaning}" for each in COLUMNS)
    return "\n".join(lines).encode()
