"""What inputs are called."""

from __future__ import annotations

import pytest

from hilt_logging._naming import name_of
from hilt_logging.errors import ReadError


@pytest.mark.parametrize("path", ["-", "/dev/stdin", "<stdin>"])
def test_standard_input(path):
    """However standard input is read, it has one name."""
    assert "standard input" == name_of(path) == ReadError("torn", path).path
    assert "standard input, line 4: torn" == str(ReadError("torn", path, 4))


def test_file(tmp_path):
    """A file is called as it was given."""
    assert str(tmp_path) == name_of(tmp_path)
