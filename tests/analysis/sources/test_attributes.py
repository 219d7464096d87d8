"""Attributes are found by their names, and what nobody asked for stays."""

from __future__ import annotations

import json

import pytest

from hilt_logging.analysis.sources.attributes import Attributes, mended


pytestmark = pytest.mark.once


def test_what_says_another_thing_stays():
    """Of several names for one thing, those that say the same are done with, the others are not."""
    given = Attributes({"session.id": "b", "thread.id": "a", "gen_ai.conversation.id": "a"})
    assert "a" == given.text("gen_ai.conversation.id", "session.id", "thread.id")
    assert {"session.id": "b"} == given.others()


def test_rows_beside_other_names():
    """A name without a number beside rows of messages does not cost these."""
    given = Attributes({"p.1.content": "b", "p.0.content": "a", "p.0.odd": 1, "p.filters": "[]"})
    assert [{"content": "a"}, {"content": "b"}] == given.under("p.", ("content",))
    assert {"p.0.odd": 1, "p.filters": "[]"} == given.others()


def test_a_begin_of_json():
    """Wherever JSON is cut, what was whole before is read; nothing else comes of it."""
    whole = [{"role": "user", "parts": [{"content": 'a "b" \\ \u00e9, [{', "n": [1, -2.5, None]}]}]
    for text in (json.dumps(whole), json.dumps(whole, ensure_ascii=False)):
        for end in range(1, len(text)):
            found = mended(text[:end])
            if end > len('[{"role": "user"'):
                assert "user" == found[0]["role"]
            said = json.dumps(found, ensure_ascii=False)
            assert len(said) <= len(json.dumps(whole, ensure_ascii=False))
        said = mended(text[: text.index("\\\\")])[0]["parts"][0]["content"]
        assert 'a "b" ' == said
        assert whole == mended(text)


@pytest.mark.parametrize("text", ["", "no JSON", "[" * 100_000, '{"a": 1}}', "[NaN of"])
def test_no_json(text):
    """Of what is no JSON comes nothing, in time that grows with its length."""
    assert mended(text) in (None, [], {})
