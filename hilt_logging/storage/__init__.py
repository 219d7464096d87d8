"""
The file as bytes.
"""

from __future__ import annotations
