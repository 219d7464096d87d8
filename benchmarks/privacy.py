"""
What the detectors of personal data cost, for texts of 2,048 bytes and for whole events.

    python benchmarks/privacy.py

Each text is searched many times in each of several rounds; the figure is the median of the rounds in
microseconds, the best one in brackets. The first row of the second table is the same event without
privacy options, in the same rounds. The third table has the texts that take each detector longest, out
of many that are made to make it search in vain: its time must grow with the text, not with its square.
"""

from __future__ import annotations

import logging
import statistics
import time

from collections.abc import Callable

from hilt_logging import HILTFormatter, events
from hilt_logging.records import make
from hilt_logging.safeguards.detectors import KINDS, detectors_of


SIZE = 2048
ROUNDS, TIMES = 15, 40
TEXTS = {
    "English": "The committee met on Tuesday to discuss the proposal, which had been revised since "
    "the last session; several members asked whether the schedule was realistic. In the end they "
    "agreed: work begins in May 2027 and costs about 4,500 euros. Please keep the key points in mind. ",
    "German": "Der Ausschuß trat am Dienstag zusammen, um über den Vorschlag zu beraten; mehrere "
    "Mitglieder fragten, ob der Zeitplan realistisch sei. Es kostet 4.500 Euro und dauert 30 Tage. ",
    "Chinese": "委员会于星期二开会讨论该提案，该提案自上次会议以来已进行了修订；几位成员询问时间表是否现实。",
    "code": "def total(items: list[Item]) -> int:\n    return sum(item.price * item.count for item in "
    "items if item.count > 0)\n\nclass Basket:\n    limit = 4096\n\n    def add(self, item_id, "
    "count=1):\n        self.tokens.append((item_id, count))\n",
    "with an address": "Write to jane.doe@example.com or call 020 7946 0958 about order 4711. Thanks, "
    "and please do so before Friday, as the office is closed at the end of the week. ",
}


def main() -> None:
    groups = {"all but phone": [kind for kind in KINDS if kind != "phone"], "all": ["all"]}
    found = {name: detectors_of(kinds, ["US", "GB"]) for name, kinds in groups.items()}
    each = {kind: detectors_of([kind], ["US", "GB"]) for kind in KINDS}
    print(f"{'':16}" + "".join(f"{name:>20}" for name in (*found, "the dearest")))
    for language, words in TEXTS.items():
        text = _of_size(words)
        row = [_shown(*_time(_search(detectors, text))) for detectors in found.values()]
        costs = {kind: _time(_search(detectors, text))[0] for kind, detectors in each.items()}
        dearest = max(costs, key=lambda kind: costs[kind])
        print(f"{language:16}" + "".join(f"{cell:>20}" for cell in (*row, dearest)))
    print()
    for name, options in OPTIONS.items():
        print(f"{name:30}{_shown(*_time(_line(HILTFormatter(**options)))):>20}")
    print()
    print(f"{'hostile texts':16}{'20 KB, ms':>14}{'80 KB, ms':>14}   made of")
    for kind, detectors in each.items():
        times = {unit: _once(detectors, unit, 20_000) for unit in HOSTILE}
        worst = max(times, key=lambda unit: times[unit])
        longer = _once(detectors, worst, 80_000)
        print(f"{kind:16}{times[worst]:14.1f}{longer:14.1f}   {worst[:30]!r}")


HOSTILE = (
    *("a", "1", "@", "a@", "a.", "1 ", "1.", "1-", ":", "::", "a:", "-", "(", "=", '"', "中", "１"),
    *("x@x.", "a@b.c ", "[at]", "%40", "\\u0040", "://", "://a:b@", "+1", "000000 ", "DE89 ", "1a"),
    *("eyJ", "eyJhbGciOi.", "-----BEGIN PRIVATE KEY-----", "AKIA", "sk-", "A" * 6 + "12A12"),
    *("password=", "password:", "password for ", "pass ", "secret", "api_key ", "token is "),
    *("login a password b", "curl ", "</", "a" * 40 + " "),
    *(
        "password a b c ",
        "password,b\n",
        "a;password\n",
        "password value: ",
        "password {",
        "(login('a','",
    ),
    *("connect('a','", "echo a|", "net use a ", "lftp ", "psk = a", "WIFI:a;P:", "USER a\nPASS"),
    *(
        "htpasswd -b ",
        "a:5432:",
        "a@b.c:d1e2f3 ",
        "cred: a:",
        "card pin ",
        ".aaaaaa.",
        "my password is a ",
    ),
    *(
        "mysql -p ",
        " --password a",
        "password for the ",
        " dot ",
        " at a dot b",
        "id 12 34 56 ",
        "A1 ",
    ),
)


def _once(detectors: list, unit: str, size: int) -> float:
    text = (unit * (size // len(unit) + 1))[:size]
    began = time.process_time()
    for detector in detectors:
        detector(text)
    return (time.process_time() - began) * 1000


OPTIONS = {
    "no option": {},
    'content="none"': {"content": "none"},
    'content="hash"': {"content": "hash"},
    'redact="core"': {"redact": "core"},
    'redact="all"': {"redact": "all"},
}


def _of_size(words: str) -> str:
    return (words * SIZE).encode()[:SIZE].decode(errors="ignore")


def _search(detectors: list, text: str) -> Callable[[], None]:
    def search() -> None:
        for detector in detectors:
            detector(text)

    return search


def _line(formatter: HILTFormatter) -> Callable[[], None]:
    logger = logging.getLogger("hilt")
    said = _of_size(TEXTS["English"])
    record = make(events.completion(said, provenance={"provider": "openai"}), logger)
    return lambda: formatter.line(record) and None


def _time(function: Callable[[], None]) -> tuple[float, float]:
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            function()
        rounds.append((time.process_time() - began) / TIMES * 1e6)
    return statistics.median(rounds), min(rounds)


def _shown(median: float, best: float) -> str:
    return f"{median:.1f} ({best:.1f})"


if __name__ == "__main__":
    main()
