"""
The rows of CSV and Parquet as objects, as exports in these forms have them.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import json
import re
import tempfile

from collections.abc import Callable, Iterable, Iterator

from ...errors import ReadError
from .._duckdb import connect
from .documents import LONGEST, Value


__all__ = ["csv_rows", "parquet_rows"]

_ROWS = 1_000
_QUOTE = re.compile("[\"'\n]")
"""From where on an error of DuckDB's may have words out of the file."""
_PARQUET = """
    SELECT to_json(row)::VARCHAR
    FROM read_parquet(?, hive_partitioning = false, binary_as_string = true) AS row
"""


def csv_rows(blocks: Iterable[bytes], refused: Callable[[str, int], None]) -> Iterator[Value]:
    """
    Yield the rows of a file of CSV, of which the first has the names; an empty cell is no field.

    Args:
        blocks: What the file holds.
        refused: Is called with the reason and the number of the line, where there is no row.
    """
    with _long_fields():
        rows = csv.reader(_lines(blocks))
        names: list[str] = []
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                refused(f"not CSV: {error}", rows.line_num)
                continue
            if row is None:
                return
            if not names:
                names = row
            elif len(row) > len(names):
                refused("not CSV: more cells than the first row has names", rows.line_num)
            elif row:
                cells = {name: cell for name, cell in zip(names, row, strict=False) if cell != ""}
                yield Value(rows.line_num, cells)


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """A cell may be as long as an object; the limit of the module `csv` is of the whole process."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    rest: list[str] = []
    for block in blocks:
        first, *others = decode(block).replace("\0", "").split("\n")
        rest.append(first)
        for each in others:
            yield "".join(rest) + "\n"
            rest = [each]
    last = "".join(rest) + decode(b"", True)
    if last:
        yield last


def parquet_rows(path: str) -> Iterator[Value]:
    """
    Yield the rows of a file of Parquet, with times as texts.

    Raises:
        MissingDependencyError: if duckdb is not installed.
        ReadError: if it can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="hilt-") as scratch:
        connection, error_type = connect(scratch)
        with contextlib.closing(connection):
            try:
                found = connection.execute(_PARQUET, [path])
                number = 0
                while rows := found.fetchmany(_ROWS):
                    for (text,) in rows:
                        number += 1
                        yield Value(number, json.loads(text))
            except error_type as error:
                reason = _QUOTE.split(str(error).strip(), maxsplit=1)[0].strip(" :")
                raise ReadError(f"It can't be read as Parquet: {reason}", path) from None
