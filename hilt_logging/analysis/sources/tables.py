"""
The rows of CSV and Parquet as objects, as exports in these forms have them.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import itertools
import json
import re

from collections.abc import Callable, Iterable, Iterator

from ..._unfinished import Scratch
from ...errors import ReadError
from .._duckdb import connect
from .documents import LONGEST, Value


__all__ = ["csv_rows", "is_table", "parquet_rows"]

_ROWS = 1_000
_SEPARATORS = (",", ";", "\t", "|")
_SAID = re.compile("sep=(.)\r?\n", re.IGNORECASE)
"""What a first line may say for spreadsheets."""
_NO_UTF8 = re.compile("[\ud800-\udfff]")
_AMOUNTS = re.compile("cost|price|latency|time_?to", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_QUOTE = re.compile("[\"'\n]")
"""From where on an error of DuckDB's may have words out of the file."""
_PARQUET = """
    SELECT to_json(row)::VARCHAR
    FROM read_parquet(?, hive_partitioning = false, binary_as_string = true) AS row
"""


def csv_rows(blocks: Iterable[bytes], refused: Callable[[str, int], None]) -> Iterator[Value]:
    """
    Yield the rows of a file of CSV, of which the first has the names; an empty cell is no field.

    Between the cells are commas, semicolons, tabs or bars. Where these are no commas, an amount may
    have one for its decimal point.

    Args:
        blocks: What the file holds.
        refused: Is called with the reason and the number of the line, where there is no row.
    """
    with _long_fields():
        lines = _lines(blocks)
        first = next(lines, "")
        said = _SAID.fullmatch(first)
        skipped = 0 if said is None else 1
        separator = said[1] if said else _separator_of(first) or ","
        rows = csv.reader(lines if said else itertools.chain((first,), lines), delimiter=separator)
        names: list[str] = []
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                refused(f"not CSV: {error}", rows.line_num + skipped)
                continue
            if row is None:
                return
            if not names:
                names = row
            elif len(row) > len(names):
                reason = "not CSV: more cells than the first row has names"
                refused(reason, rows.line_num + skipped)
            elif any(map(_NO_UTF8.search, row)):
                refused("not UTF-8: save the file as that", rows.line_num + skipped)
            elif row:
                cells = {name: cell for name, cell in zip(names, row, strict=False) if cell != ""}
                if separator != ",":
                    cells = {name: _with_point(name, cell) for name, cell in cells.items()}
                yield Value(rows.line_num + skipped, cells)


def is_table(first: bytes) -> bool:
    """Return whether a file that begins so is CSV, by the names of its columns."""
    line = first.removeprefix(codecs.BOM_UTF8).partition(b"\n")[0].decode("utf-8", "replace")
    return _SAID.fullmatch(f"{line}\n") is not None or _separator_of(line) is not None


def _separator_of(line: str) -> str | None:
    """What stands between the names of columns, if an id is among them."""
    found = {}
    for separator in _SEPARATORS:
        with contextlib.suppress(csv.Error):
            names = next(csv.reader([line], delimiter=separator), [])
            if len(names) > 1 and "id" in names:
                found[separator] = len(names)
    return max(found, key=lambda each: found[each], default=None)


def _with_point(name: str, cell: str) -> str:
    """An amount as numbers are written elsewhere."""
    is_amount = _AMOUNTS.search(name) and _DECIMAL_COMMA.fullmatch(cell)
    return cell.replace(",", ".") if is_amount else cell


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """A cell may be as long as an object; the limit of the module `csv` is of the whole process."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
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
    with Scratch() as scratch:
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
