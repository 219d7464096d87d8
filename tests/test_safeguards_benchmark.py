"""
What benchmarks/safeguards.py prints; how fast anything is is not tested.
"""

from __future__ import annotations

import subprocess
import sys

from pathlib import Path

import pytest


pytest.importorskip("cryptography", reason="the extra crypto is not installed")
pytestmark = pytest.mark.once
BENCHMARK = Path(__file__).resolve().parent.parent / "benchmarks" / "safeguards.py"


def test_small_run(tmp_path):
    """Each row has its figures, and the longer lines are those in which something is encrypted."""
    ran = subprocess.run(
        [sys.executable, str(BENCHMARK), "--events", "4", "--rounds", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    head, plain, *rows = ran.stdout.splitlines()
    assert "beyond" in head
    assert "plain" == plain.split()[0]
    named = {name.strip(): cells for name, *cells in (row.rsplit(maxsplit=8) for row in rows)}
    assert {"encrypt_to", "erasable_by", "encrypt_to and erasable_by"} <= named.keys()
    for name, cells in named.items():
        assert 8 == len(cells)
        assert ("encrypt" in name or "erasable" in name) == (float(cells[-1]) > 1.2)
    assert [] == list(tmp_path.iterdir())
