"""How numbers are shown."""

from __future__ import annotations

import pytest

from hilt_logging.cli._tables import usd


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.5, "$0.5000"),
        (0.01234, "$0.0123"),
        (0.00123, "$0.0012"),
        (0.000412, "$0.00041"),
        (0.0000078, "$0.0000078"),
        (-0.000068, "-$0.000068"),
        (3e-15, "$3e-15"),
        (2e15, "$2e+15"),
    ],
)
def test_usd(value, expected):
    """However little it is, no amount is shown as nothing, and two digits of it are."""
    assert expected == usd(value)
