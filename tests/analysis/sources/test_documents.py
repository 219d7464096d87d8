"""The objects in a file of JSON are found, however they are laid out."""

from __future__ import annotations

import itertools
import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging.analysis.sources.documents import values_of


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.fixture
def found():
    """Gives the objects in some bytes, each with its line, and what was told."""

    def found(data, size=1 << 20):
        told = []
        values = values_of(cut(data, size), lambda reason, line: told.append((line, reason)))
        return [tuple(value) for value in values], told

    return found


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_objects = st.lists(st.dictionaries(st.text(), _plain, max_size=4), max_size=6)


@given(
    objects=_objects,
    indent=st.sampled_from([None, 0, 2]),
    layout=st.sampled_from(["lines", "array", "together"]),
    ascii_only=st.booleans(),
    size=st.integers(1, 50),
)
def test_layouts(objects, indent, layout, ascii_only, size):
    """Lines, arrays and objects behind each other give the same, in blocks of any size."""
    if layout == "array":
        text = json.dumps(objects, indent=indent, ensure_ascii=ascii_only)
    else:
        between = "\n" if layout == "lines" else ""
        texts = [json.dumps(each, indent=indent, ensure_ascii=ascii_only) for each in objects]
        text = between.join(texts)
    told = []
    values = values_of(cut(text.encode(), size), lambda *all: told.append(all))
    assert [each.value for each in values] == json.loads(json.dumps(objects)) or "\ud800" <= max(
        text
    )
    assert [] == told


def test_lines(found):
    """Each object comes with the number of the line in which it begins."""
    assert ([(1, {"a": 1}), (2, {"b": 2}), (5, {"c": "\n"})], []) == found(
        b'{"a": 1}\n{"b":\n2}\n\n{"c": "\\n"}'
    )


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_torn(found, size):
    """Of a line that is no JSON, nothing is taken; those after it are whole."""
    values, told = found(b'{"a": 1}\n{"b": "torn\n{"c": 3}\nnothing\n{"d": 4}{"e"', size)
    assert [(1, {"a": 1}), (3, {"c": 3}), (5, {"d": 4})] == values
    assert [2, 4, 5] == [line for line, _ in told]
    assert all("torn" not in reason for _, reason in told)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[1]", "not a JSON object"),
        (b'{"a": ' + b"[" * 100_000, "not JSON: nested too deeply"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON: a number is too long"),
    ],
)
def test_no_object(found, data, reason):
    """What is no object is told, without what it holds."""
    assert ([(2, {})], [(1, reason)]) == found(data + b"\n{}")


def test_foreign_bytes(found):
    """A BOM, holes of NUL, NaN and bytes that are no UTF-8 keep no object from being found."""
    data = b'\xef\xbb\xbf{"a": NaN}\n\0\0\0\n{"b": "\xff"}'
    assert ([(1, {"a": "NaN"}), (3, {"b": "\ufffd"})], []) == found(data)


def test_memory():
    """Of a long array, only the block at hand is held."""
    read = itertools.count()
    blocks = (b'[{"a": 1},' if next(read) == 0 else b'{"a": 1},' * 100 for _ in range(1_000))
    values = values_of(blocks, lambda reason, line: None)
    for _ in range(500):
        next(values)
    assert next(read) < 8


def test_longest(found, monkeypatch):
    """What is longer than is held is told, with what is wanted; what comes after it is read."""
    monkeypatch.setattr("hilt_logging.analysis.sources.documents.LONGEST", 50)
    values, told = found(b'{"a": "' + b"x" * 200 + b'"}\n{"b": 1}', 7)
    reason = "an object of more than 50 characters: export it in smaller pages, or as lines"
    assert ([(2, {"b": 1})], [(1, reason)]) == (values, told)
