"""What detectors find, and how they are named and made."""

from __future__ import annotations

import random

import pytest

from hilt_logging.errors import ConfigurationError
from hilt_logging.safeguards.detectors import GROUPS, KINDS, PatternDetector, detectors_of


CORE = [kind for kind in KINDS if kind not in ("phone", "national_id")]
SAMPLES = {
    "email": "jane@example.com",
    "credit_card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "us_ssn": "536-90-4399",
    "ip_address": "203.0.113.42",
    "jwt": "eyJhbGciOiJub25lIn0." + "eyJpc3MiOiJqb2UifQ.",
    "private_key": "-----BEGIN PRIVATE KEY-----" + "\nMIIB\n-----END PRIVATE KEY-----",
    "api_key": "gsk" + "_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7R8S9T0U1v2",
    "cloud_key": "AK" + "IAIOSFODNN7EXAMPLE",
}


def found(kind, text):
    (detector,) = detectors_of([kind])
    return [text[start:end] for start, end, _ in detector(text)]


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        (" ", " "),
        ("(", ")"),
        ('"', '"'),
        ("\n", "\n"),
        ("是", "的"),
        ("は", "です"),
        (": ", ","),
    ],
)
def test_neighbours(kind, before, after):
    """It is found alone, in brackets and quotation marks, on a line, and in scripts without spaces."""
    sample = SAMPLES[kind]
    assert [sample] == found(kind, f"{before}{sample}{after}")


@pytest.mark.parametrize("kind", ["credit_card", "iban"])
def test_check_digits(kind):
    """With any other last digit it is another number, and none of its kind."""
    sample = SAMPLES[kind]
    for digit in set("0123456789") - {sample[-1]}:
        assert [] == found(kind, sample[:-1] + digit)


@pytest.mark.parametrize("kind", SAMPLES)
def test_within_a_word(kind):
    """What a word goes on from is no number of this kind."""
    sample = SAMPLES[kind]
    if kind not in ("email", "private_key"):
        assert [] == found(kind, f"x{sample}")


@pytest.mark.parametrize("kind", CORE)
def test_any_text(kind):
    """Whatever the text, places are in it, and nothing raises."""
    choice = random.Random(7)
    letters = [
        *"aA1 9@.:/-+=\"'\\\n%#&[](){}<>,eyJ",
        "é",
        "中",
        "١",
        "\ud800",
        "😀",
        "password",
        "sk-",
    ]
    (detector,) = detectors_of([kind])
    for _ in range(500):
        text = "".join(choice.choices(letters, k=choice.randrange(60)))
        for start, end, name in detector(text):
            assert 0 <= start < end <= len(text)
            assert kind == name


def test_many():
    """All of several are found."""
    assert ["a@b.example", "c@d.example"] == found("email", "a@b.example c@d.example a@")


def test_groups():
    """A group has the detectors of its kinds, each once."""
    assert len(GROUPS["core"]) == len(detectors_of(["core", "secrets", "email"]))
    assert set(GROUPS["secrets"]) <= set(GROUPS["core"]) < set(GROUPS["all"])


def test_unknown():
    """A detector that does not exist is told with all that do."""
    with pytest.raises(ConfigurationError, match="credit_card"):
        detectors_of(["creditcard"])


class TestPattern:
    def test_group(self):
        """A group `value` says what of a match counts."""
        detector = PatternDetector("room", r"room (?P<value>\d+)")
        assert [(5, 7, "room")] == detector("room 42")

    def test_nothing(self):
        """A match of nothing is none."""
        assert [] == PatternDetector("x", r"(?=a)|b{3}")("aaa")

    @pytest.mark.parametrize("kind", ["", "1a", "a b", "é", "a" * 65, None])
    def test_kind(self, kind):
        """A name of a kind stands in labels, and so is a short word."""
        with pytest.raises(ConfigurationError, match="letters, digits and underscores"):
            PatternDetector(kind, "x")
