"""Where bytes are found in others."""

from __future__ import annotations

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging.storage import strings


pytestmark = pytest.mark.once

TEXTS = st.lists(st.sampled_from([b"a", b"b", b"\0", b"\n", b"\xff"]), max_size=12).map(b"".join)


@given(TEXTS, st.sampled_from([b"a", b"ab", b"ba", b"\xff", b"\na"]))
def test_every_place(text, needle):
    """From each place on, in any order, the first one is found, also behind NUL bytes."""
    find = strings.finding(text)
    for begin in [*range(len(text) + 2), *reversed(range(len(text)))]:
        assert text.find(needle, begin) == find(needle, begin)


def test_without_the_c_library(monkeypatch):
    """Where there is no such function, Python finds the same."""
    monkeypatch.setattr(strings, "_strstr", lambda: None)
    assert 2 == strings.finding(b"a\0ba")(b"ba", 1)
