"""
What other programs leave behind, each in a module of its own, as events.
"""

from __future__ import annotations
