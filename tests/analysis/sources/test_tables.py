"""Rows of CSV and Parquet are objects."""

from __future__ import annotations

import csv

import duckdb
import pytest

from hilt_logging.analysis.sources.tables import csv_rows, parquet_rows
from hilt_logging.errors import ReadError


pytestmark = pytest.mark.once


def rows(data, size=7):
    """What is in a file of CSV that is read in small pieces."""
    refused = []
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    found = list(csv_rows(blocks, lambda reason, line: refused.append((reason, line))))
    return [each.value for each in found], [each.line for each in found], refused


def test_rows():
    """Cells may have quotes, commas, newlines and any letters; empty ones are no fields."""
    data = '\ufeff"id","input"\r\n"1","a ""b"", c\nd ☾"\n"2",""\n\n"3"'.encode()
    assert (
        [{"id": "1", "input": 'a "b", c\nd ☾'}, {"id": "2"}, {"id": "3"}],
        [3, 4, 6],
        [],
    ) == rows(data)


def test_more_cells_than_names():
    """A row with a cell too many is told: which of its cells has which name is not known."""
    reason = "not CSV: more cells than the first row has names"
    assert ([{"id": "2"}], [3], [(reason, 2)]) == rows(b"id,input\n1,a,b\n2")


def test_long_cell():
    """A cell may be longer than the module `csv` has it, whose limit is as it was afterwards."""
    before = csv.field_size_limit()
    found, _, refused = rows(b"id,input\n1," + b"x" * (before + 10), size=1 << 16)
    assert ([before + 10], []) == ([len(each["input"]) for each in found], refused)
    assert before == csv.field_size_limit()


def test_no_parquet(tmp_path):
    """A file that is none is told, without what is in it."""
    path = tmp_path / "x.parquet"
    path.write_bytes(b"secret" * 10)
    with pytest.raises(ReadError, match="can't be read as Parquet") as caught:
        list(parquet_rows(str(path)))
    assert "secret" not in str(caught.value)


def parquet(path, columns):
    duckdb.execute(f"COPY (SELECT {columns}) TO '{path}' (FORMAT parquet)")
    return [each.value for each in parquet_rows(str(path))]


def test_bytes_of_parquet(tmp_path):
    """Texts that a file has as bytes, as some servers write them, are the texts."""
    (row,) = parquet(tmp_path / "x.parquet", r"""'{"a": "\xE2\x98\xBE"}'::BLOB AS input""")
    assert {"input": '{"a": "☾"}'} == row


def test_broken_bytes_of_parquet(tmp_path):
    """What is no text is told, without what is in it."""
    with pytest.raises(ReadError, match="can't be read as Parquet") as caught:
        parquet(tmp_path / "x.parquet", r"""'secret\xFF'::BLOB AS input""")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_separators(sign):
    """Other signs than commas are known by the names of the columns, and commas are letters then."""
    data = f"id{sign}input{sign}total_cost\n1{sign}a, b{sign}0,25\n".encode()
    assert ([{"id": "1", "input": "a, b", "total_cost": "0.25"}], [2], []) == rows(data)


def test_a_separator_that_is_said():
    """What a spreadsheet says of its separator is no name of a column."""
    assert ([{"id": "1", "input": "0,25"}], [3], []) == rows(b"sep=;\r\nid;input\r\n1;0,25\r\n")


def test_no_utf8():
    """A row in another encoding is told, and not read as something else."""
    found = rows("id,input\n1,\xfc\n2,u".encode("latin-1"))
    assert ([{"id": "2", "input": "u"}], [3], [("not UTF-8: save the file as that", 2)]) == found
