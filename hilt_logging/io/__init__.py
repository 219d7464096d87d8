"""
The file as events.
"""

from __future__ import annotations
