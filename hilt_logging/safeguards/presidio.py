"""
Microsoft Presidio as a detector: for names and places, which need a model of a language.

The model is not a part of this package or of Presidio: it is what the analyzer was set up with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError, MissingDependencyError


__all__ = ["PresidioDetector"]


class PresidioDetector:
    """
    A detector that asks an analyzer of Presidio.

    Args:
        analyzer: A `presidio_analyzer.AnalyzerEngine`; by default one with its own defaults, which
            needs a spaCy model.
        language: As Presidio knows it.
        entities: Which of its entities count; all that it knows by default.
        threshold: The lowest score that counts, from 0 to 1.

    Raises:
        ConfigurationError: for a threshold that is no number from 0 to 1.
        MissingDependencyError: without the extra `presidio`, if no analyzer is given.
    """

    def __init__(
        self,
        analyzer: Any = None,
        *,
        language: str = "en",
        entities: Sequence[str] | None = None,
        threshold: float = 0.5,
    ) -> None:
        if type(threshold) not in (int, float) or not 0 <= threshold <= 1:
            raise ConfigurationError("threshold", threshold, "Must be a number from 0 to 1")
        if analyzer is None:
            try:
                from presidio_analyzer import AnalyzerEngine
            except ImportError as error:
                raise MissingDependencyError("presidio-analyzer", "presidio") from error
            analyzer = AnalyzerEngine()
        self._analyzer = analyzer
        self._language = language
        self._entities = None if entities is None else list(entities)
        self._threshold = threshold

    def __call__(self, text: str) -> list[tuple[int, int, str]]:
        """Return where it found what, under Presidio's names in lower case."""
        results = self._analyzer.analyze(
            text=text,
            language=self._language,
            entities=self._entities,
            score_threshold=self._threshold,
        )
        return [(each.start, each.end, each.entity_type.lower()) for each in results]
