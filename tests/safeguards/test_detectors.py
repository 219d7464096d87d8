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


PEM = "-----BEGIN PRIVATE KEY-----" + "\nMIIB\n-----END PRIVATE KEY-----"


AZURE_KEY = "Ab3dE6gH9jK2mN5pQ8sT1+" * 3 + "vW4xY7zA0cD3fG6hJ9kM" + "=="
BOT_TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ." + "ZnVjaHNpYS1tYWdlbnRhLXBldGFs"


def found(kind, text):
    (detector,) = detectors_of([kind], ["US", "DE"])
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


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("national_id", "Personas kods: 161175-19997", "161175-19997"),
        ("national_id", "СНИЛС 112-233-445 95", "112-233-445 95"),
        ("national_id", "NRIC S1234567D", "S1234567D"),
        ("national_id", "HKID A123456(3)", "A123456(3)"),
        ("national_id", "TAJ szám: 111 111 110", "111 111 110"),
        ("national_id", "ИИН 830328300105", "830328300105"),
        ("national_id", '{"nationalId": "38703181745"}', "38703181745"),
        ("national_id", "130 692 544 is my SIN", "130 692 544"),
        ("national_id", "کد ملی ۰۴۹۹۳۷۰۸۹۹", "۰۴۹۹۳۷۰۸۹۹"),
        ("national_id", "Versicherung 65 170839 J 003", "65 170839 J 003"),
        ("national_id", "matricule 1893120105732", "1893120105732"),
        ("password", "Heslo k účtu je Karel1348most", "Karel1348most"),
        ("password", "Salasana: Kissa1234", "Kissa1234"),
        ("password", "הסיסמה היא Shalom#99", "Shalom#99"),
        ("password", "รหัสผ่านคือ Siam#2024", "Siam#2024"),
        ("password", "ALTER USER b IDENTIFIED BY 'Horse#Battery'", "Horse#Battery"),
        ("password", "mysql -u root -pSecr3t99 shop", "Secr3t99"),
        ("password", "my password used to be Tulip_Field7", "Tulip_Field7"),
        ("password", "Das Kennwort war, glaube ich, Regen#Tag12.", "Regen#Tag12"),
        ("password", "ma clé wifi c'est sapin-vert-38", "sapin-vert-38"),
        ("password", "mein Passwort ist mausi, leider", "mausi"),
        ("password", "Parolanız: Deniz.1905", "Deniz.1905"),
        ("password", "パスワードはSakura_2031です", "Sakura_2031"),
        ("password", 'config.setPassword("r4in-Barrel")', "r4in-Barrel"),
        ("password", "define('SMTP_PASSWORD', 'W1nd!mill');", "W1nd!mill"),
        ("password", 'connect("db1", "shop", "M4ple-Leaf", "orders")', "M4ple-Leaf"),
        ("password", 'session.login("ann", "qu1ck-Otter")', "qu1ck-Otter"),
        ("password", "- name: DB_PASSWORD\n  value: 0ld-Harbour", "0ld-Harbour"),
        ("password", 'variable "db_password" {\n  default = "c0pper-Kettle"\n}', "c0pper-Kettle"),
        ("password", "user,password\nann,Winter-Coat\n", "Winter-Coat"),
        ("password", "| user | password |\n|---|---|\n| ann | b1rch-Tree |", "b1rch-Tree"),
        ("password", "db:5432:shop:ann:St0ne-Bridge\n", "St0ne-Bridge"),
        ("password", "Server=a;Uid=b;Pwd=x{y}z9w;", "x{y}z9w"),
        ("password", "echo 'ann:gr3en-Door' | chpasswd", "gr3en-Door"),
        ("password", "WIFI:T:WPA;S:Home;P:bl4ck-Forest;;", "bl4ck-Forest"),
        ("password", "sqlplus ann/P1ne-Cone@orcl", "P1ne-Cone"),
        ("password", "access for the shop: ann / no, creds: ann / S1lver-Spoon", "S1lver-Spoon"),
        ("password", "the PIN of my card: 1234, card PIN 5079", "5079"),
        ("cloud_key", f"key: {AZURE_KEY}", AZURE_KEY),
        ("api_key", f"client.login('{BOT_TOKEN}')", BOT_TOKEN),
        ("api_key", "COHERE_API_KEY: 7hGq2LkP9sDfXcVbN3mQwErTy", "7hGq2LkP9sDfXcVbN3mQwErTy"),
        ("cloud_key", "aws_secret_key: 8e+IC31JD//DL8VmVz4UBD", "8e+IC31JD//DL8VmVz4UBD"),
        ("email", "jan (małpa) example (kropka) pl", "jan (małpa) example (kropka) pl"),
        ("private_key", "with -----BEGIN PRIVATE KEY----- as\n" + PEM, PEM),
    ],
)
def test_found(kind, text, value):
    """It is found in other scripts and languages, by its name alone, and next to what is none."""
    assert [value] == found(kind, text)


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        (
            "cloud_key",
            f"{SAMPLES['cloud_key']},aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cD3fG6hJ9k",
            {SAMPLES["cloud_key"], "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cD3fG6hJ9k"},
        ),
        (
            "national_id",
            "NI number HH 23 31 26 C, NHS number 943 476 5919",
            {"HH 23 31 26 C", "943 476 5919"},
        ),
        ("password", "password: Am8er+Glow or old: Iv0ry*Tusk", {"Am8er+Glow", "Iv0ry*Tusk"}),
        ("password", "user;password\nann;Fir-Wood\nbo;0ak-Wood", {"Fir-Wood", "0ak-Wood"}),
    ],
)
def test_found_together(kind, text, values):
    """Numbers and keys next to each other are all found."""
    assert values == set(found(kind, text))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("national_id", "order ID 8001015009087"),
        ("national_id", "DNI? No. NIF? No. 2024-11-22 10:00"),
        ("national_id", "business 130692544"),
        ("password", "Lösenordet måste ha minst 8 tecken."),
        ("password", "비밀번호는 8자 이상이어야 합니다."),
        ("password", "Use --password to set it, or --token to pass one."),
        ("password", "WHERE p = 'x' -- Password 'must be long enough'"),
        ("password", "next_page_token: CAUQAA12345"),
        ("password", "Forgot your password? Call extension 4711-B or mail us."),
        ("password", "Passwords are hashed with PBKDF2-SHA256 since version 2.4.1b"),
        ("password", "password policy ISO-27001, reset on 2024-11-22, 12-character minimum"),
        ("password", "mein Passwort ist abgelaufen, my password is wrong, my password is expired."),
        ("password", 'fields = ("username", "password1", "password2")'),
        ("password", 'Column("password", "varchar(64)"), hash("password", "sha256")'),
        ("password", "password,\n    username,\n    user_id2,\n"),
        ("password", "$pw = Read-Host -AsSecureString"),
        ("password", "tool --password PASSWORD --api-key API_KEY"),
        ("password", "GPIO pin 17, error code 1045, PIN 110001 New Delhi, zip code: 10115"),
        ("password", "login: see https://example.com/a1b2c3d4"),
        ("credit_card", "EAN 4901234567894"),
        ("ip_address", 'subnets = ["10.0.16.0/20"]'),
        ("phone", "step 12000/48000, lei 13.709/2018, coords 128 64 -2048"),
        ("email", "look at this point now, at the dot matrix"),
        ("private_key", 'if "-----BEGIN PRIVATE KEY-----" in text:'),
        ("phone", "call me at 10:30 2024-11-22"),
        ("phone", "1000 2000 3000 4000, 12.450.300, 2024/1689"),
    ],
)
def test_nothing_there(kind, text):
    """Words for it, dates, amounts and names of other things are none of it."""
    assert [] == found(kind, text)


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
