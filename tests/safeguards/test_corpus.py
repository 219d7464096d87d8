"""
How much of a labelled corpus the detectors find, and what they take for something it is not.

A line of `corpus/*.jsonl` is one case: its text with what is to be found marked as ⟦kind|value⟧, its
country, whose telephone numbers count without a country code, and where the format is described. The
sign ¦ is taken out before anything is looked for: it keeps made-up keys from looking like real ones
to those who scan repositories. A case whose kind is not found counts against recall; whatever is found
where nothing is marked counts against precision.
"""

from __future__ import annotations

import json
import re

from collections import Counter
from pathlib import Path

import pytest

from hilt_logging.safeguards.detectors import KINDS, detectors_of
from hilt_logging.safeguards.redaction import Redactor, replacement


pytest.importorskip("phonenumbers")
pytest.importorskip("stdnum")

FOLDER = Path(__file__).parent / "corpus"
MARKED = re.compile(r"⟦(\w+)\|(.*?)⟧", re.DOTALL)
# a check digit or a beginning of their own
CERTAIN = {"credit_card", "iban", "jwt", "private_key", "api_key", "cloud_key"}
REGIONS = [
    "US",
    "GB",
    "DE",
    "FR",
    "ES",
    "IT",
    "IN",
    "BR",
    "JP",
    "CN",
    "NL",
    "PL",
    "KR",
    "TR",
    "SE",
    "MX",
    "RU",
    "AE",
]


def cases_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def unmarked(marked):
    """The text of a case, and where what is to be found begins and ends."""
    marked, text, entities, done = marked.replace("¦", ""), "", [], 0
    for hit in MARKED.finditer(marked):
        text += marked[done : hit.start()]
        entities.append((len(text), len(text) + len(hit[2]), hit[1]))
        text += hit[2]
        done = hit.end()
    return text + marked[done:], entities


def found_in(case, text, has_entities):
    """What the detectors find, as a redactor would replace it."""
    regions = [case["country"]] if has_entities else REGIONS
    found = []
    places = []

    def note(kind, value):
        found.append((kind, value))
        return "\0"

    hits = [hit for detector in _detectors(tuple(regions)) for hit in detector(text)]
    Redactor([lambda text: hits], note, pytest.fail)._spliced(text, hits, set())
    at = 0
    for kind, value in found:
        start = text.index(value, at)
        places.append((start, start + len(value), kind))
        at = start + len(value)
    return places


_known = {}


def _detectors(regions):
    if regions not in _known:
        _known[regions] = detectors_of(["all"], list(regions))
    return _known[regions]


class Score:
    def __init__(self, paths):
        self.wanted, self.hit, self.right, self.wrong = Counter(), Counter(), Counter(), Counter()
        self.clean, self.spoiled, self.misses, self.extras = 0, 0, [], []
        for path in paths:
            for case in cases_of(path):
                self._add(case)

    def _add(self, case):
        text, entities = unmarked(case["text"])
        places = found_in(case, text, bool(entities))
        for start, end, kind in entities:
            self.wanted[kind] += 1
            if any(s <= start and end <= e and k == kind for s, e, k in places):
                self.hit[kind] += 1
            else:
                self.misses.append((case["id"], kind, text[start:end]))
        for start, end, kind in places:
            if any(s < end and start < e for s, e, _ in entities):
                self.right[kind] += 1
            else:
                self.wrong[kind] += 1
                self.extras.append((case["id"], kind, text[start:end]))
        if not entities:
            self.clean += 1
            self.spoiled += bool(places)

    def recall(self, kind):
        return self.hit[kind] / self.wanted[kind]

    def precision(self, kind):
        found = self.right[kind] + self.wrong[kind]
        return self.right[kind] / found if found else 1.0

    def table(self):
        rows = [
            f"{kind:12} {self.wanted[kind]:5} {self.recall(kind):7.3f} {self.precision(kind):9.3f}"
            for kind in sorted(self.wanted)
        ]
        lines = ["kind         cases  recall precision", *rows]
        lines.append(f"cases without anything: {self.clean}, with a false alarm: {self.spoiled}")
        lines += [f"missed: {each}" for each in self.misses]
        lines += [f"false alarm: {each}" for each in self.extras]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def score():
    return Score(sorted(FOLDER.glob("*.jsonl")))


def test_corpus_is_large():
    """There are at least 300 cases, each with a source, of every kind and of ten countries."""
    cases = [case for path in FOLDER.glob("*.jsonl") for case in cases_of(path)]
    kinds = {kind for case in cases for _, _, kind in unmarked(case["text"])[1]}
    assert len(cases) >= 300
    assert len({case["id"] for case in cases}) == len(cases)
    assert len({case["country"] for case in cases}) >= 10
    assert all(case["source"] for case in cases)
    assert set(KINDS) == kinds


def test_table(score, capsys):
    """The figures are shown, so that whoever changes a detector sees what becomes of them."""
    with capsys.disabled():
        print(f"\n{score.table()}")
    assert score.wanted


@pytest.mark.parametrize("kind", KINDS)
def test_recall(score, kind):
    """Of what has a check digit or a beginning of its own 95 % is found, of the rest 90 %."""
    assert score.recall(kind) >= (0.95 if kind in CERTAIN else 0.9)


@pytest.mark.parametrize("kind", KINDS)
def test_precision(score, kind):
    """Of what is found, 95 % is what it is said to be."""
    assert score.precision(kind) >= 0.95


def test_false_alarms(score):
    """In at most one of a hundred texts without anything something is found."""
    assert score.spoiled <= 0.01 * score.clean


def test_replacement_keeps_the_rest(score):
    """What stands around what was found stays as it was."""
    redactor = Redactor(detectors_of(["email"]), replacement("label"), pytest.fail)
    kinds = set()
    assert "Mail [EMAIL], please" == redactor.redacted("Mail a@b.example, please", kinds)
    assert {"email"} == kinds
