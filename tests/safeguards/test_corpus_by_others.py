"""
How the detectors do on cases of those who had not seen them when they wrote these.

The cases in `corpus_by_others`, `corpus_third` and `corpus_fourth` were written from the documentation
alone or from the form of the cases, and were committed with their figures before the detectors were
changed with them in view; nothing was taken out or marked otherwise because of what came of it. (One
number was corrected afterwards, `others-tools-16`: a Romanian CNP of a county that does not exist.)
What they were when nobody had seen the cases is what to expect elsewhere:

- `corpus_by_others`: 302 of 343 places found under their kind, 309 covered; 10 of 128 clean texts with
  a false alarm. It has been worked with since, and shows only that nothing gets worse.
- `corpus_third`: 349 of 364, 350 covered; 4 of 86.
- `corpus_fourth`: 543 of 694, 557 covered; 10 of 136. It has six times as many passwords, and the hard
  ones: 150 of 268 were found.

The floors are what is found since.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hilt_logging.safeguards.detectors import KINDS

from .test_corpus import Score, cases_of, found_in, unmarked


@dataclass(frozen=True)
class Corpus:
    """
    A folder of cases, and what was found in them when it was measured.

    Attributes:
        folder: where the cases are.
        cases: how many there are.
        countries: how many countries they are of.
        floors: how many of how many are found under their kind, and how many false ones come with
            them, in all texts.
        places: how many places are marked, and how many of them are covered, whatever kind they are
            said to be.
        clean: how many texts have nothing in them, and how many of them have a false alarm, with the
            telephone numbers of many countries looked for.
    """

    folder: str
    cases: int
    countries: int
    floors: dict[str, tuple[int, int, int]]
    places: tuple[int, int]
    clean: tuple[int, int]

    @property
    def paths(self):
        return sorted((Path(__file__).parent / self.folder).glob("*.jsonl"))

    def all_cases(self):
        return [case for path in self.paths for case in cases_of(path)]


BY_OTHERS = Corpus(
    folder="corpus_by_others",
    cases=402,
    countries=57,
    floors={
        "api_key": (34, 34, 0),
        "cloud_key": (21, 21, 0),
        "credit_card": (22, 22, 0),
        "email": (37, 37, 0),
        "iban": (27, 27, 0),
        "ip_address": (20, 20, 0),
        "jwt": (10, 10, 0),
        "national_id": (60, 60, 0),
        "password": (38, 38, 0),
        "phone": (53, 53, 0),
        "private_key": (10, 10, 0),
        "us_ssn": (11, 11, 0),
    },
    places=(343, 343),
    clean=(128, 0),
)
THIRD = Corpus(
    folder="corpus_third",
    cases=283,
    countries=50,
    floors={
        "api_key": (39, 39, 0),
        "cloud_key": (21, 21, 0),
        "credit_card": (12, 12, 0),
        "email": (34, 34, 0),
        "iban": (22, 22, 0),
        "ip_address": (19, 19, 0),
        "jwt": (5, 5, 0),
        "national_id": (79, 80, 0),
        "password": (43, 45, 0),
        "phone": (68, 69, 3),
        "private_key": (6, 6, 0),
        "us_ssn": (12, 12, 0),
    },
    places=(364, 360),
    clean=(86, 3),
)
FOURTH = Corpus(
    folder="corpus_fourth",
    cases=599,
    countries=58,
    floors={
        "api_key": (75, 81, 0),
        "cloud_key": (30, 31, 2),
        "credit_card": (18, 18, 0),
        "email": (55, 56, 0),
        "iban": (20, 20, 0),
        "ip_address": (50, 50, 0),
        "jwt": (10, 10, 0),
        "national_id": (67, 67, 0),
        "password": (255, 268, 0),
        "phone": (68, 68, 0),
        "private_key": (11, 11, 0),
        "us_ssn": (14, 14, 0),
    },
    places=(694, 680),
    clean=(136, 1),
)


@pytest.fixture(scope="module", params=[BY_OTHERS, THIRD, FOURTH], ids=lambda each: each.folder)
def corpus(request):
    return request.param


@pytest.fixture(scope="module")
def score(corpus):
    return Score(corpus.paths)


def covered(cases):
    """How many places there are, and how many no reader of a redacted text would see."""
    places = hidden = 0
    for case in cases:
        text, entities = unmarked(case["text"])
        found = found_in(case, text, bool(entities))
        places += len(entities)
        hidden += sum(any(s <= a and b <= e for s, e, _ in found) for a, b, _ in entities)
    return places, hidden


def test_corpus_is_what_it_was(corpus):
    """There are as many cases as were written, each with a source, of all kinds and as many countries."""
    cases = corpus.all_cases()
    kinds = {kind for case in cases for _, _, kind in unmarked(case["text"])[1]}
    assert len(cases) == len({case["id"] for case in cases}) == corpus.cases
    assert len({case["country"] for case in cases}) == corpus.countries
    assert all(case["source"] for case in cases)
    assert set(KINDS) == kinds == set(corpus.floors)


def test_table(corpus, score, capsys):
    """The figures are shown, so that whoever changes a detector sees what becomes of them."""
    places, hidden = covered(corpus.all_cases())
    with capsys.disabled():
        print(f"\n{corpus.folder}\n{score.table()}")
        print(f"places: {places}, found: {score.hit.total()}, covered under any kind: {hidden}")
    assert corpus.places[0] == places
    assert hidden >= corpus.places[1]


@pytest.mark.parametrize("kind", KINDS)
def test_recall(corpus, score, kind):
    """As many of each kind are found as were when this was measured."""
    hit, wanted, _ = corpus.floors[kind]
    assert wanted == score.wanted[kind]
    assert score.hit[kind] >= hit


@pytest.mark.parametrize("kind", KINDS)
def test_precision(corpus, score, kind):
    """No more of each kind are found where there are none than were when this was measured."""
    assert score.wrong[kind] <= corpus.floors[kind][2]


def test_false_alarms(corpus, score):
    """No more clean texts have a false alarm than had one when this was measured."""
    assert corpus.clean[0] == score.clean
    assert score.spoiled <= corpus.clean[1]


@pytest.mark.parametrize(("corpus", "most"), [(THIRD, 0), (FOURTH, 1)], indirect=["corpus"])
def test_false_alarms_at_home(corpus, most):
    """With the telephone numbers of its own country only, hardly any clean text has a false alarm."""
    texts = [(case, *unmarked(case["text"])) for case in corpus.all_cases()]
    spoiled = [
        case["id"] for case, text, marked in texts if not marked and found_in(case, text, True)
    ]
    assert len(spoiled) <= most, spoiled
