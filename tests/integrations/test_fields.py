"""
Reading what an SDK gave, of whatever kind it is.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hilt_logging.integrations._fields import count, field, text


pydantic = pytest.importorskip("pydantic")


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    known: str | None = None
    _hidden: str = pydantic.PrivateAttr("private")

    @property
    def made(self) -> str:
        return f"made of {self.known}"

    @property
    def refusing(self) -> str:
        raise ValueError("blocked")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("known", "given"),
        ("extra", "more"),
        ("made", "made of given"),
        ("_hidden", "private"),
        ("_set", "later"),
        ("refusing", None),
        ("missing", None),
    ],
)
def test_fields_of_a_model(name, expected):
    """What a model of pydantic's has is found wherever it has it; the rest counts as absent."""
    model = Model(known="given", extra="more")
    model._set = "later"

    assert expected == field(model, name)
    assert (expected or "made of given") == field(model, name, "made")


@pytest.mark.parametrize(
    "source", [{"a_b": 1}, {"aB": 1}, SimpleNamespace(a_b=1), Model(a_b=1)], ids=str
)
def test_fields_of_anything(source):
    """Dicts of either case, plain objects and models are read alike."""
    assert 1 == count(source, "missing", "a_b")
    assert None is text(source, "a_b")


def test_nothing():
    """Nothing has no fields."""
    assert None is field(None, "__class__")
