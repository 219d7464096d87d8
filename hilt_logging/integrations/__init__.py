"""
Recording what SDKs do. Each integration is a module of its own and is imported by its name.
"""

from __future__ import annotations

from ._pricing import set_prices


__all__ = ["set_prices"]
