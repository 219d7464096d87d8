"""Presidio as a detector: against its interface, and against itself where it is installed."""

from __future__ import annotations

import inspect
import sys

from types import SimpleNamespace

import pytest

from hilt_logging.errors import ConfigurationError, MissingDependencyError
from hilt_logging.safeguards.presidio import PresidioDetector
from hilt_logging.safeguards.privacy import rules_of


class FakeAnalyzer:
    """Has the method of `AnalyzerEngine` that is used, with its arguments and results."""

    def __init__(self):
        self.asked = []

    def analyze(self, text, language, entities=None, score_threshold=None):
        self.asked.append((text, language, entities, score_threshold))
        at = text.find("Alice")
        if at < 0:
            return []
        return [SimpleNamespace(start=at, end=at + 5, entity_type="PERSON", score=0.9)]


def test_asks_and_translates(an_event):
    """What Presidio finds is replaced under its own name."""
    analyzer = FakeAnalyzer()
    detector = PresidioDetector(analyzer, language="de", entities=("PERSON",), threshold=0.7)
    out = rules_of(redact=[detector]).applied(an_event(content={"text": "hello Alice"}))
    assert "hello [PERSON]" == out["content"]["text"]
    assert ["person"] == out["privacy"]["pii_detected"]
    assert ("hello Alice", "de", ["PERSON"], 0.7) in analyzer.asked


@pytest.mark.parametrize("threshold", [-1, 2, "0.5", True])
def test_threshold(threshold):
    """A threshold that is no share is an error."""
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        PresidioDetector(FakeAnalyzer(), threshold=threshold)


def test_not_installed(monkeypatch):
    """Without the package the error names the extra."""
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingDependencyError, match=r"hilt-logging\[presidio\]"):
        PresidioDetector()


def test_itself(an_event):
    """The real analyzer, with recognizers that need no model, has the same interface."""
    presidio = pytest.importorskip("presidio_analyzer")
    spacy = pytest.importorskip("spacy")
    parameters = inspect.signature(presidio.AnalyzerEngine.analyze).parameters
    assert {"text", "language", "entities", "score_threshold"} <= set(parameters)
    engine = presidio.nlp_engine.SpacyNlpEngine(models=[])
    engine.nlp = {"en": spacy.blank("en")}
    registry = presidio.RecognizerRegistry(
        recognizers=[
            presidio.PatternRecognizer(
                supported_entity="BADGE", patterns=[presidio.Pattern("badge", r"B-\d{4}", 0.9)]
            )
        ],
        supported_languages=["en"],
    )
    analyzer = presidio.AnalyzerEngine(
        registry=registry, nlp_engine=engine, supported_languages=["en"]
    )
    rules = rules_of(redact=[PresidioDetector(analyzer)])
    out = rules.applied(an_event(content={"text": "my B-1234"}))
    assert "my [BADGE]" == out["content"]["text"]
