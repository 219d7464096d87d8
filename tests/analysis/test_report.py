"""Reports: what is in them, what is not, and what a browser makes of them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html.parser
import logging
import os
import re
import sqlite3
import stat
import sys
import threading

from pathlib import Path

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hilt_logging

from hilt_logging import turn
from hilt_logging.analysis import _charts, _page, report
from hilt_logging.analysis._printable import printable
from hilt_logging.analysis.stats import stats
from hilt_logging.errors import ConfigurationError, ReadError
from hilt_logging.safeguards import jwk
from hilt_logging.safeguards.keystore import open_store

from ._chromium import PROGRAM, Browser


MODULE = sys.modules[report.__module__]
MOST_BYTES = 1_000_000
HOSTILE = (
    "</script></style></title></textarea>--><script>window.pwned=1</script>"
    "<img src=x onerror=window.pwned=1>\"'><svg onload=window.pwned=1>{{7*7}}{% raw %}"
)
NAMES = ["javascript:window.pwned=1", HOSTILE, "a\u202egnp.exe\x00\x1b[2J", "x" * 5000, "0", "]]>"]

pytestmark = pytest.mark.once
in_browser = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on this machine")
_VOID = {"br", "img", "input", "link", "meta", "hr"}


class Page(html.parser.HTMLParser):
    """What a page is made of: each tag with the names of its attributes, and all addresses."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text("utf-8")
        self.tags, self.addresses, self.words, self._open = [], [], [], []
        self.feed(self.text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value for name, value in attrs if name in ("href", "src", "action")]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        assert tag == self._open.pop()

    def handle_data(self, data):
        if not self._open or self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def shown(self):
        """The text, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def made(tmp_path):
    """Makes a report, and returns what it is made of."""

    def made(*paths, **options):
        target = tmp_path / "report.html"
        report([*map(str, paths)], target, force=True, report=lambda error: None, **options)
        return Page(target)

    return made


@pytest.fixture
def log(write, calls, an_event):
    """A log in which a bit of everything happens, some of it secret; names can be chosen."""

    def log(*names, name="app.jsonl", secret="SECRET"):
        name_of = dict(enumerate(names or ("plain",)))

        def named(number):
            return name_of[number % len(name_of)]

        def event(number, action, /, metrics=None, model="m", text=True, **extensions):
            who = "human" if action == "prompt" else "agent"
            return an_event(
                event_id=f"x{number}-{named(number)}",
                timestamp=f"2026-01-{number % 9 + 10}T03:04:{number:02d}.678901Z",
                session_id=named(number),
                actor={"type": who, "id": named(number + 1)},
                action=action,
                content={"text": f"{secret} {named(number)}"},
                provenance={"provider": named(number), "model": model, "call_id": f"k{number}"},
                **({"metrics": metrics} if metrics else {}),
                extensions={"user_id": named(number + 2), **extensions},
            )

        error = {"type": named(0), "message": secret, "code": named(1)}
        tokens = {"prompt": 100, "completion": 10, "total": 110, "cached": 50}
        paid = {"latency_ms": 1500, "time_to_first_token_ms": 90, "tokens": tokens, "cost_usd": 0.5}
        told = {"kind": "loss", "from": "2026-01-12T00:00:00.0Z", "to": "2026-01-12T01:00:00.0Z"}
        lines = [
            *calls(*range(10)),
            event(10, "prompt"),
            event(11, "completion", paid, named(1), outcome=named(2), finish_reason=named(3)),
            event(12, "completion", paid, named(2), outcome="refused", finish_reason="stop"),
            event(13, "system", None, named(1), outcome="failed", error=error, status_code=500),
            event(14, "system", None, named(1), outcome="retried", error=error, status_code=429),
            event(15, "tool_call", tool={"name": named(0), "call_id": "t", "arguments": secret}),
            event(16, "tool_result", {"latency_ms": 5}, tool={"name": named(0), "result": secret}),
            event(17, "retrieval", documents=[{"id": secret, "text": secret}]),
            event(18, "feedback", feedback={"comment": secret}),
            event(19, "system", notice={**told, "dropped": 5, "by_cause": {named(0): 5}}),
            b'{"torn": "' + secret.encode(),
        ]
        return write(name, *lines)

    return log


def test_result(log, tmp_path):
    """What was made is told; only its owner can read it."""
    path, errors = log(), []
    target = tmp_path / "report.html"
    found = report(path, target, report=errors.append)
    expected = stats(path, report=lambda error: None)
    assert (str(target), target.stat().st_size) == (found.output, found.bytes)
    assert (expected.total.events, expected.total.sessions) == (found.events, found.conversations)
    assert (0, 0, 1) == (found.left_out, found.transcripts, found.faults)
    assert [31] == [error.line for error in errors]
    assert 0o600 == stat.S_IMODE(target.stat().st_mode)
    assert {"report.html", "app.jsonl"} == set(os.listdir(tmp_path))
    assert target.read_text("utf-8").startswith("<!doctype html>\n")


def test_figures(log, made):
    """Figures are those of `stats`, by model and in all."""
    path = log()
    shown, total = made(path).shown, stats(path, report=lambda error: None).total
    assert f"Events {total.events} {total.prompts} prompts" in shown
    assert f"Calls {total.calls} 1 retried attempt apart" in shown
    assert f"Cost ${total.cost_usd:.2f}" in shown
    assert "Failed calls 1 7.7% of calls, 1 refused" in shown
    assert "gpt-4o-mini 10 0 145 50 28% $2.50 71%" in shown


def test_models_without_a_price(write, an_event, made):
    """What nobody knows the cost of is not shown to cost nothing."""
    calls = [
        an_event(
            event_id=model,
            action="completion",
            provenance={"model": model},
            metrics={"tokens": {"prompt": 7, "completion": 3, "total": 10}, **cost},
        )
        for model, cost in (("priced", {"cost_usd": 2.0}), ("own", {}))
    ]
    shown = made(write("a.jsonl", *calls)).shown
    assert "Cost by model priced $2.00 $0 $0.50" in shown
    assert "own 1 0 7 3 0% – –" in shown
    assert "Values Hour priced all 2026-01-02 03:00 $2.00 $2.00 Tokens" in shown
    assert "Tokens by model priced 10 own 10 0 5" in shown


def test_parts(log, made):
    """Errors, tools, gaps, losses and what could not be read are all there."""
    path = log()
    shown = made(path).shown
    assert "1 prompt without an answer : the calls died with their process" in shown
    assert "2026-01-11 03:04:10 plain" in shown
    assert "5 events lost : handlers could not write them" in shown
    assert "2026-01-12 00:00:00 2026-01-12 01:00:00 5 5 plain" in shown
    assert "1 line or file could not be read." in shown
    assert f"{path} 31 not an event: not JSON: Input data was truncated" in shown
    assert (
        "How tools were used Tool Calls Failed Median 95% Longest plain 1 0 5 ms 5 ms 5 ms" in shown
    )
    assert "Kinds of errors Error Number plain 2" in shown


def test_no_content(log, made):
    """Without transcripts there is no text, no argument, no document, no message of an error."""
    path = log(secret="CANARY")
    assert "CANARY" not in made(path).text
    assert made(path, transcripts=True).text.count("CANARY") >= 7


@pytest.mark.parametrize("transcripts", [False, True])
def test_hostile_names_and_texts(log, made, transcripts):
    """Whatever names and texts are, the page has the elements that it has with harmless ones."""
    harmless = [f"name{number}" for number in range(len(NAMES))]
    expected = made(log(*harmless), transcripts=transcripts)
    found = made(log(*NAMES, secret=HOSTILE), transcripts=transcripts)
    assert expected.tags == found.tags
    assert 1 == [tag for tag, _ in found.tags].count("script")
    assert all(re.fullmatch(r"#[a-z]*\d*", address) for address in found.addresses)
    assert not [
        name for _, names in found.tags for name in names if name[:2] == "on" or name == "style"
    ]


def test_what_is_unprintable(log, made):
    """Control characters, changes of direction and half characters are shown as escapes."""
    found = made(log(*NAMES, secret="\u202e\x00\x1b"), transcripts=True)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", found.text)
    assert "\\u202e\\u0000\\u001b" in found.shown
    assert "a\\u202egnp.exe\\u0000\\u001b[2J" in found.shown


def test_half_characters(write, an_event, made):
    """A lone surrogate, as another program may write it, is shown as an escape."""
    line = hilt_logging.events.encode(
        an_event(session_id="SURROGATE", content={"text": "SURROGATE"})
    )
    found = made(write("a.jsonl", line.replace(b"SURROGATE", b"\\ud800")), transcripts=True)
    assert "\\ud800" in found.shown or "1 line or file could not be read" in found.shown


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text(write, an_event, made, text):
    """Whatever is said, the page shows it, and has the elements that it always has."""

    def page(text):
        event = an_event(
            session_id=text,
            content={"text": text},
            provenance={"provider": text, "model": text},
            metrics={"cost_usd": 1, "tokens": {"total": 1}},
            extensions={"user_id": text, "error": {"type": text}, "outcome": text},
        )
        return made(write("a.jsonl", event), transcripts=True)

    found = page(text)
    assert page("x").tags == found.tags
    assert printable(text) in "".join(found.words)


def test_nothing_is_asked_for(log, made):
    """No address of a server is in the page, and its policy allows its own style and script alone."""
    found = made(log(), transcripts=True)
    assert "://" not in found.text
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', found.text)
    (style,) = re.findall(r"<style>(.*?)</style>", found.text, re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", found.text, re.S)
    hashes = [
        base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()
        for each in (style, script)
    ]
    assert (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    ) == policy.replace("&#39;", "'").replace("&#43;", "+")


def test_size_is_bounded(write, an_event, made):
    """Many conversations, users, models, errors and tools with long names make no large page."""
    long = "\"'<&>\u202e" * 40
    lines = [
        an_event(
            event_id=f"e{number}",
            timestamp=f"20{number % 60 + 10}-01-02T03:04:05.678901Z",
            session_id=f"{number}{long}",
            actor={"type": "agent", "id": f"{number}{long}"},
            action="tool_result" if number % 2 else "completion",
            provenance={"provider": long, "model": f"{number}{long}"},
            metrics={
                "tokens": {"prompt": number, "completion": 1},
                "cost_usd": 0.1,
                "latency_ms": 5,
            },
            extensions={
                "user_id": f"{number}{long}",
                "finish_reason": f"{number}{long}",
                "outcome": f"{number}{long}",
                "error": {"type": f"{number}{long}"},
                "tool": {"name": f"{number}{long}"},
            },
        )
        for number in range(1500)
    ]
    found = made(write("a.jsonl", *lines, *[b"{" * 100] * 100))
    assert len(found.text.encode()) < MOST_BYTES
    assert re.search(r"The latest \d+ of 1,500; [\d,]+ earlier ones are left out", found.shown)
    assert "The first 20 of 1,500 models; the others are left out." in found.shown
    assert "earlier years with something in them are not shown" not in found.shown


def test_empty_log(write, made):
    """A log without an event gives a page that says so."""
    found = made(write("a.jsonl"), transcripts=True)
    assert "No events" in found.shown
    assert "No conversations." in found.shown
    assert "Every prompt has an answer or an error." in found.shown


def test_one_event(write, an_event, made):
    """One event is a report, too."""
    found = made(write("a.jsonl", an_event()))
    assert "Events 1 1 prompt" in found.shown


def test_times_that_are_far_apart(write, an_event, made):
    """Clocks that were wrong cost no memory: the last years are shown."""
    days = ("0001-01-01", "1970-01-01", "2026-01-01", "9999-12-31")
    lines = [
        an_event(event_id=f"e{day}", timestamp=f"{day}T23:59:59.000000Z", session_id=day)
        for day in days
    ]
    for tz in ("UTC", "Pacific/Auckland", "America/New_York"):
        assert "Events 4" in made(write("a.jsonl", *lines), tz=tz).shown


@pytest.mark.parametrize("day", ["2026-06-30T23:59:60Z", "2026-02-30T00:00:00Z"])
def test_times_that_calendars_do_not_have(write, an_event, made, day):
    """A leap second, or a day that is none, costs no report."""
    lines = [an_event(event_id="e1", timestamp=day), an_event(event_id="e2", session_id="s2")]
    for several in (lines, lines[:1]):
        assert "Conversations" in made(write("a.jsonl", *several), transcripts=True).shown


def test_transcripts(log, made):
    """What was said is there, in the conversation that it is of."""
    found = made(log(), transcripts=True)
    assert "Question 3" in found.shown
    assert re.search(
        r"conv-3 2026-01-04 03:04 alice gpt-4o-mini 2 1 18 \$0\.25 alice 2026-01-04 03:04:05 Question 3 assistant",
        found.shown,
    )
    assert "openai gpt-4o-mini · 13 + 5 tokens · $0.25 · 803 ms Answer 3" in found.shown


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_more_conversations_than_are_grouped(log, made, monkeypatch, engine):
    """Of very many conversations those that are listed are counted by themselves, with one result."""
    if engine == "duckdb":
        pytest.importorskip("duckdb")
    path = log(*NAMES)
    options = {"engine": engine, "max_conversations": 12, "models": ["m", *NAMES, "gpt-4o-mini"]}
    expected = made(path, **options)
    monkeypatch.setattr(MODULE, "_MOST_GROUPED", 3)
    assert expected.shown.split("Unread")[1:] == made(path, **options).shown.split("Unread")[1:]


def test_latest_conversations(log, made):
    """Of more conversations than are wanted, the latest are listed, and the rest is counted."""
    found = made(log(), max_conversations=2, transcripts=True)
    assert "The latest 2 of 11; 9 earlier ones are left out." in found.shown
    assert 2 == found.tags.count(("details", ()))
    assert "Question 9" in found.shown
    assert "Question 3" not in found.shown
    assert "No conversations." in made(log(), max_conversations=0).shown


def test_long_texts_are_cut(write, an_event, made, monkeypatch):
    """A text has a bound, an entry and a conversation have one; what is left out is counted."""
    content = {"messages": [{"role": "user", "parts": [{"type": "text", "content": "p"}] * 60}]}
    lines = [
        an_event(event_id="e0", session_id="s", content={"text": "a" * 30_000}),
        an_event(event_id="e1", session_id="s", content=content),
        *(an_event(event_id=f"f{number}", session_id="s") for number in range(500)),
    ]
    shown = made(write("a.jsonl", *lines), transcripts=True).shown
    assert "10,000 more characters left out." in shown
    assert "10 more parts left out." in shown
    assert "102 later entries are left out." in shown


def test_transcripts_that_are_too_much(log, made, monkeypatch):
    """Where all transcripts together are too much, the page says which it does not have."""
    monkeypatch.setattr(MODULE, "_MOST_TOLD_CHARACTERS", 100)
    shown = made(log(), transcripts=True).shown
    assert 1 < shown.count("Its transcript is left out: the page would be too large.") < 11


@pytest.fixture
def talk(tmp_path):
    """Records a turn with what is given to the handler, and returns the file."""

    def talk(asked="Where is the moon?", answer="Up.", **options):
        path = tmp_path / "talk.jsonl"
        handler = hilt_logging.HILTFileHandler(path, **options)
        logger = logging.getLogger("hilt.app")
        logger.addHandler(handler)
        logger.setLevel("INFO")
        with (
            hilt_logging.bind(session_id="conv-1", user_id="alice"),
            turn([{"role": "user", "content": asked}], provider="p", model="m") as told,
        ):
            told.answer(answer)
        logger.removeHandler(handler)
        handler.close()
        return path

    return talk


def test_encrypted(talk, made, tmp_path):
    """What is encrypted is said to be, and is there with the key."""
    key = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", key)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(key))
    path = talk(encrypt_to=str(tmp_path / "a.pub.jwk"))
    closed = made(path, transcripts=True)
    assert "encrypted (no key)" in closed.shown
    assert "moon" not in closed.text
    opened = made(path, transcripts=True, keys=[tmp_path / "a.key.jwk"])
    assert "Where is the moon?" in opened.shown
    assert "encrypted" not in opened.shown


def test_erased_and_redacted(talk, made, tmp_path):
    """What was erased, redacted or not recorded is said to be."""
    store = str(tmp_path / "keys.db")
    path = talk(erasable_by="user_id", key_store=store)
    assert "moon" in made(path, transcripts=True, key_store=store).text
    open_store("key_store", store).erase("user:alice")
    shown = made(path, transcripts=True, key_store=store).shown
    assert "2 entries: erased." in shown
    assert "moon" not in shown
    path.unlink()
    assert (
        "redacted: email"
        in made(talk("Mail a@example.com", redact=["email"]), transcripts=True).shown
    )


def test_keys_without_transcripts(log, tmp_path):
    """Keys open transcripts, and nothing else."""
    with pytest.raises(ConfigurationError, match="transcripts=True"):
        report(log(), tmp_path / "report.html", keys=[tmp_path / "a.key.jwk"])


def test_filters(log, made):
    """Only what is wanted counts and is listed, and the page says what that is."""
    shown = made(log(), users=["plain"], since="2026-01-10", until="2026-02-01").shown
    assert "Only from 2026-01-10" in shown
    assert "Only user plain" in shown
    assert "Events 9" in shown
    assert "conv-3" not in shown
    shown = made(log(), where={"session_id": ["conv-3", "conv-4"]}, models=["gpt-4o-mini"]).shown
    assert "Conversations 2" in shown
    assert "Events 2" in shown
    shown = made(log(), where={"session_id": ["conv-3", "conv-4"]}, models="gpt-4o-mini").shown
    assert "Events 2" in shown


def test_time_zone(write, an_event, made):
    """All times are of the zone that is asked for."""
    path = write("a.jsonl", an_event(timestamp="2026-01-02T23:30:00.000000Z"))
    assert (
        "2026-01-03 00:30 to 2026-01-03 00:30, Europe/Berlin"
        in made(path, tz="Europe/Berlin").shown
    )
    with pytest.raises(ConfigurationError, match="tz"):
        made(path, tz="Nowhere")


def test_pipe(write, calls, made):
    """What can be read only once is read once."""
    data = write("a.jsonl", *calls(1, 2), b"torn").read_bytes()
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(writing, data), os.close(writing)))
    writer.start()
    try:
        found = made(f"/dev/fd/{reading}", transcripts=True)
    finally:
        writer.join()
        os.close(reading)
    assert "Question 2" in found.shown
    assert f"/dev/fd/{reading} 5 not an event" in found.shown


def test_pipe_that_has_a_name(made, write, calls, tmp_path):
    """It is not waited for: the rest is read, and the page tells of it."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    shown = made(write("a.jsonl", *calls(1)), tmp_path / "pipe.jsonl").shown
    assert "1 line or file could not be read" in shown
    assert "It is no regular file" in shown
    with pytest.raises(ReadError):
        made(tmp_path / "pipe.jsonl")


def test_engines_agree(log, made):
    """The page is the same, whoever counts."""
    pytest.importorskip("duckdb")
    path = log(*NAMES)
    counted = [
        re.sub(r"made [\d: -]+", "", made(path, engine=engine).text)
        for engine in ("python", "duckdb")
    ]
    assert counted[0].splitlines() == counted[1].splitlines()


@pytest.mark.parametrize(("transcripts", "times"), [(False, 3), (True, 4)])
def test_progress(log, made, transcripts, times):
    """It is told how far the work is, until it is done."""
    path, told = log(), []
    made(path, transcripts=transcripts, progress=lambda *bytes_: told.append(bytes_))
    size = path.stat().st_size
    assert [(size * number, size * times) for number in range(1, times + 1)] == told


def test_nothing_is_written_over(log, tmp_path):
    """A file that is there stays unless it is to be replaced."""
    path, target = log(), tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(ConfigurationError, match="--force"):
        report(path, target, report=lambda error: None)
    assert "mine" == target.read_text()
    report(path, target, report=lambda error: None, force=True)
    assert "mine" != target.read_text()


def test_what_is_read_stays(log, tmp_path):
    """No page takes the place of a log that it is made of, nor of a pipe, whatever is forced."""
    path = log()
    before = path.read_bytes()
    (tmp_path / "link.html").symlink_to(path)
    for target in (path, tmp_path / "link.html"):
        with pytest.raises(ConfigurationError, match="what is read"):
            report(path, target, report=lambda error: None, force=True)
    os.mkfifo(tmp_path / "pipe.html")
    with pytest.raises(ConfigurationError, match="never replaced"):
        report(path, tmp_path / "pipe.html", report=lambda error: None, force=True)
    assert before == path.read_bytes()
    assert (tmp_path / "pipe.html").is_fifo()


def test_whole_or_not_at_all(log, tmp_path, monkeypatch):
    """Where the page can't be made, nothing of it is left."""
    path = log()

    def broken(*arguments):
        yield "<!doctype html>"
        raise OSError("no room")

    monkeypatch.setattr(MODULE, "page", broken)
    with pytest.raises(OSError, match="no room"):
        report(path, tmp_path / "report.html", report=lambda error: None)
    assert ["app.jsonl"] == os.listdir(tmp_path)


def test_what_is_no_log(write, calls, tmp_path):
    """What was made of a log is none: it has to be made one again."""
    with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as database:
        database.execute("CREATE TABLE events (id, event)")
    write("app.jsonl", *calls(1))
    with pytest.raises(ConfigurationError, match="hilt-log convert"):
        report([tmp_path / "app.jsonl", tmp_path / "app.db"], tmp_path / "report.html")


def test_no_such_log(tmp_path):
    """A log that is not there is an error, and no report."""
    with pytest.raises(ReadError):
        report(tmp_path / "gone.jsonl", tmp_path / "report.html")
    assert [] == os.listdir(tmp_path)


def test_without_jinja2(in_child):
    """The error names the extra."""
    done = in_child(
        "import sys; sys.modules['jinja2'] = None\n"
        "try:\n    from hilt_logging.analysis import report\n"
        "except ImportError as error:\n    print(error)"
    )
    assert "pip install 'hilt-logging[report]'" in done.stdout


def test_continued_elsewhere(write, an_event, made):
    """A conversation that goes on in another session has what was said before."""
    asked = an_event(event_id="p1", session_id="first", content={"text": "Question 1"})
    answer = an_event(
        event_id="c1", session_id="first", action="completion", extensions={"reply_to": "p1"}
    )
    more = an_event(
        event_id="p2",
        session_id="second",
        timestamp="2026-01-03T00:00:00.000000Z",
        extensions={"follows": "c1", "history": {"messages": 3}},
    )
    shown = made(write("a.jsonl", asked, answer, more), transcripts=True, max_conversations=1).shown
    assert "second" in shown
    assert "earlier message" not in shown


def _colours(css, begin):
    """The colours that a rule of `:root` sets."""
    rule = css[css.index("{", begin) : css.index("}", css.index(":root", begin))]
    return dict(re.findall(r"--(\w+): #([0-9a-f]{6});", rule))


def _contrast(one, other):
    """The contrast of two colours, as WCAG 2 has it."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("begin", [":root", "@media (prefers-color-scheme: dark)", "@media print"])
def test_contrast(begin):
    """Texts have the contrast that level AA asks for, and charts theirs."""
    css = (Path(_page.__file__).parent / "templates" / "report.css").read_text("utf-8")
    colours = _colours(css, css.index(begin))
    for ground in ("page", "room"):
        for name in ("text", "dim", "link", "bad", "warn", "good", "off"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for number in range(_charts.MOST_SERIES + 1):
            assert _contrast(colours[f"c{number}"], colours[ground]) >= 3, (number, ground)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser with an empty profile."""
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def opened(log, made, browser, tmp_path):
    """Opens a report of a hostile log with transcripts."""

    def opened(*paths, **options):
        paths = paths or (log(*NAMES, secret=HOSTILE),)
        made(*paths, **{"transcripts": True, **options})
        browser.without_scripts(False)
        browser.screen(1280)
        browser.open(f"file://{tmp_path}/report.html")
        return browser

    return opened


ROWS = "Array.from(document.querySelectorAll('.list > li')).filter((row) => row.checkVisibility())"


@in_browser
class TestInBrowser:
    def test_is_quiet_and_asks_nobody(self, opened, tmp_path):
        """Nothing is said in the console, and nothing is asked for but the page."""
        page = opened()
        for width, is_dark in ((1280, False), (360, True)):
            page.screen(width, is_dark=is_dark)
        assert page.printed().startswith(b"%PDF")
        assert ([], [f"file://{tmp_path}/report.html"]) == (page.said, page.asked)

    def test_hostile_texts_are_inert(self, opened):
        """What looks like a script is a text."""
        page = opened()
        assert page.value("window.pwned === undefined && document.scripts.length === 1")
        assert page.value("document.body.textContent.includes('<script>window.pwned=1</script>')")

    def test_policy_holds(self, opened):
        """Even what got into the page could neither run nor ask."""
        page = opened()
        page.value(
            "document.body.insertAdjacentHTML('beforeend',"
            " '<img src=x:y onerror=\"window.pwned=1\"><img src=https://example.org/a.png>');"
            "const made = document.createElement('script'); made.text = 'window.pwned=1';"
            "document.body.append(made); new Promise((done) => setTimeout(done, 200))"
        )
        assert page.value("window.pwned === undefined")
        assert ["https://example.org/a.png"] == [each for each in page.refused if "://" in each]
        assert any("Content Security Policy" in each for each in page.said)

    @pytest.mark.parametrize("width", [360, 768, 1280])
    def test_fits(self, opened, width):
        """The page is never wider than its window; wide tables scroll by themselves."""
        page = opened()
        page.screen(width)
        page.value("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        assert width == page.value("document.documentElement.scrollWidth")

    def test_search(self, opened, log):
        """What is typed finds conversations by names and words; emptied, all are there again."""
        page = opened(log())
        assert 11 == page.value(f"{ROWS}.length")
        page.value("document.querySelector('.find input').focus()")
        page.call("Input.insertText", text="ANSWER conv-3")
        page.value("new Promise((done) => setTimeout(done, 300))")
        assert ["c8"] == page.value(f"{ROWS}.map((row) => row.id)")
        assert "1 of 1 found" == page.value("document.querySelector('.find output').value")

    def test_order(self, opened, log):
        """The list is put in the order that is chosen, tables in that of the head that is clicked."""
        page = opened(log())
        page.value(
            "const select = document.querySelector('.find select'); select.value = 'last-up';"
            "select.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        assert ["c11", "c10"] == page.value(f"{ROWS}.slice(0, 2).map((row) => row.id)")
        calls = (
            "Array.from(document.querySelector('#cost table.sortable').tBodies[0].rows)"
            ".map((row) => Number(row.cells[1].dataset.v))"
        )
        before = page.value(calls)
        for order in (sorted(before, reverse=True), sorted(before)):
            page.value("document.querySelectorAll('#cost table.sortable th button')[1].click()")
            assert order == page.value(calls)

    def test_many_conversations(self, opened, write, an_event):
        """A hundred are shown, all of them on demand."""
        lines = [an_event(event_id=f"e{n}", session_id=f"s{n:03d}") for n in range(150)]
        page = opened(write("many.jsonl", *lines))
        assert 100 == page.value(f"{ROWS}.length")
        page.value("document.querySelector('button[name=all]').click()")
        assert 150 == page.value(f"{ROWS}.length")

    def test_transcripts_open(self, opened, log):
        """A transcript opens in its place by keyboard, by a link to it, and all at once."""
        page = opened(log())
        is_open = "document.querySelectorAll('.list details[open]').length"
        page.value("document.querySelector('.list summary').focus()")
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r")
        assert 1 == page.value(is_open)
        page.value("document.querySelector('.list details').open = false")
        page.value("document.querySelector('#calls a[href^=\"#c\"]').click()")
        page.value("new Promise((done) => setTimeout(done, 100))")
        assert 1 == page.value(is_open)
        page.value("document.querySelector('button[name=open]').click()")
        assert 11 == page.value(is_open)
        page.value("document.querySelector('button[name=close]').click()")
        assert 0 == page.value(is_open)

    def test_without_scripts(self, opened, log, tmp_path):
        """All there is can be read where scripts are off."""
        page = opened(log())
        page.without_scripts()
        page.open(f"file://{tmp_path}/report.html")
        assert not page.value("document.querySelector('.find').checkVisibility()")
        assert 11 == page.value(f"{ROWS}.length")
        assert page.value("document.querySelector('.list details summary').checkVisibility()")
        assert ([], 1) == (page.said, len(page.asked))

    def test_accessible(self, opened, log):
        """Charts, tables, fields and buttons have names."""
        page = opened(log())
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        named = {}
        for node in nodes:
            role, name = (node.get(each, {}).get("value", "") for each in ("role", "name"))
            if not node.get("ignored"):
                named.setdefault(role, []).append(name)
        assert 3 == len(named["image"])
        for role in ("image", "table", "searchbox", "combobox", "button", "region", "link"):
            assert all(named[role]), role
        assert 1 == len(named["main"]) == len(named["navigation"])
