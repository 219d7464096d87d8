"""The quick way of taking a snapshot, against the careful walk."""

from __future__ import annotations

import math

import pytest

from hilt_logging import snapshot as module


hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

texts = st.text(st.characters(), max_size=20)  # lone surrogates included
atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=3) | texts
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner) | st.dictionaries(texts | st.integers(), inner) | st.tuples(inner)
    ),
)


def walked(value):
    walk = module._Walk(module.MAX_DEPTH, module.MAX_NODES, module.MAX_TEXT)
    return walk.value(value, 0)


@hypothesis.given(st.dictionaries(texts, values))
def test_same_as_the_walk(value):
    """Whatever the value, the quick way returns what the careful walk returns, or nothing."""
    quick = module._quick(value, module.MAX_NODES)
    assert quick is None or quick == walked(value)
    assert module.snapshot(value) == walked(value)


@pytest.mark.parametrize(
    "value",
    [
        {"text": "Grüße", "n": 1, "f": 0.5, "t": True, "none": None},
        {"a": {"b": {"c": [1, "x", {"d": []}]}}, "empty": {}},
    ],
    ids=["flat", "nested"],
)
def test_ordinary_events_take_it(value):
    """A small dict of JSON values is copied the quick way, and the copy shares nothing with it."""
    copied = module._quick(value, module.MAX_NODES)
    assert copied == value
    assert copied is not value
    for name, part in value.items():
        if isinstance(part, (dict, list)):
            assert copied[name] is not part


def _nested(levels):
    value = {}
    for _ in range(levels):
        value = {"in": value}
    return value


def _itself():
    value = {}
    value["me"] = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"n": 2**64},
        {"f": math.nan},
        {"s": "\ud800"},
        {"b": b""},
        {"t": ()},
        {1: "x"},
        {"ключ": "x"},
        {"x": type("Text", (str,), {})("a")},
        {"x": "a" * 20_000},
        {"x": list(range(600))},
        {str(number): number for number in range(600)},
        _nested(20),
        _itself(),
    ],
    ids=[
        "large integer",
        "nan",
        "surrogate",
        "bytes",
        "tuple",
        "number as key",
        "key not ASCII",
        "subclass",
        "long text",
        "long list",
        "many keys",
        "deep",
        "cycle",
    ],
)
def test_others_do_not(value):
    """What is large, deep or no JSON value is left to the careful walk."""
    assert module._quick(value, module.MAX_NODES) is None
    assert module.snapshot(value) == walked(value)
