"""`hilt-log search`."""

from __future__ import annotations

import json

import pytest

from hilt_logging.events import encode


@pytest.fixture
def log(tmp_path, an_event):
    """A log of three events of one session and one of another."""
    texts = ["What of the moon?", "The Moon\nis far\x1b[2J", "Thanks", "moon"]
    path = tmp_path / "app.jsonl"
    events = [
        an_event(
            event_id=f"e{number}",
            timestamp=f"2026-01-02T03:04:0{number}.000000Z",
            session_id="conv-2" if number == 3 else "conv-1",
            action="completion" if number == 1 else "prompt",
            content={"text": text},
        )
        for number, text in enumerate(texts)
    ]
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    return path


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("search", "--help")
    assert 0 == done.code
    assert 'hilt-log search "refund" logs/' in done.out


def test_text(hilt_log, log):
    """Events are a line each: when, where, what."""
    done = hilt_log("search", "moon", log)
    assert (0, "") == (done.code, done.err)
    assert [
        "2026-01-02 03:04:00  conv-1  prompt  What of the moon?",
        "2026-01-02 03:04:03  conv-2  prompt  moon",
    ] == done.out.splitlines()


def test_letters(hilt_log, log):
    """With -i, letters may be small or large; nothing in a text reaches a terminal as a command."""
    lines = hilt_log("search", "-i", "moon", log).out.splitlines()
    assert 3 == len(lines)
    assert "2026-01-02 03:04:01  conv-1  completion  The Moon is far\\u001b[2J" == lines[1]


def test_regex(hilt_log, log):
    """Expressions are those of Python; a wrong one is wrong usage."""
    assert ["e0"] == ids(hilt_log("search", "-E", r"m\w+n\?$", log, "--json"))
    done = hilt_log("search", "-E", "(", log)
    assert 2 == done.code
    assert "regular expression" in done.err


def ids(done):
    return [json.loads(line)["event"]["event_id"] for line in done.out.splitlines()]


def test_filters(hilt_log, log):
    """Options say which events are wanted; an empty text stands for all of them."""
    assert ["e1"] == ids(hilt_log("search", "", log, "--action", "completion", "--json"))
    assert ["e3"] == ids(hilt_log("search", "", log, "--session", "conv-2", "--json"))
    assert ["e0"] == ids(hilt_log("search", "", log, "--field", "event_id=e0", "--json"))
    assert ["e2", "e3"] == ids(
        hilt_log("search", "", log, "--since", "2026-01-02T03:04:02", "--json")
    )
    assert [] == ids(hilt_log("search", "moon", log, "--in", "extensions", "--json"))
    assert 2 == hilt_log("search", "", log, "--field", "x").code
    assert 2 == hilt_log("search", "", log, "--since", "yesterday").code


def test_context(hilt_log, log):
    """Events of the same conversation stand before and after."""
    lines = hilt_log("search", "far", log, "-C", "1").out.splitlines()
    assert [
        "  2026-01-02 03:04:00  prompt  What of the moon?",
        "2026-01-02 03:04:01  conv-1  completion  The Moon is far\\u001b[2J",
        "  2026-01-02 03:04:02  prompt  Thanks",
    ] == lines
    (told,) = map(json.loads, hilt_log("search", "far", log, "-C", "1", "--json").out.splitlines())
    assert ["e0"] == [event["event_id"] for event in told["before"]]
    assert ["e2"] == [event["event_id"] for event in told["after"]]


def test_contexts_that_overlap(hilt_log, tmp_path, an_event):
    """What stands around several events is shown once, in order; others stand apart."""
    path = tmp_path / "app.jsonl"
    path.write_bytes(
        b"".join(
            encode(
                an_event(
                    event_id=f"e{number}",
                    timestamp=f"2026-01-02T03:04:{number:02}.000000Z",
                    session_id=f"conv-{number // 10}",
                    content={"text": "moon" if number in (2, 3, 6, 8, 11) else str(number)},
                )
            )
            + b"\n"
            for number in range(12)
        )
    )
    lines = hilt_log("search", "moon", path, "-C", "2").out.splitlines()
    assert ["0", "1", "moon", "moon", "4", "5", "moon", "7", "moon", "9", "--", "10", "moon"] == [
        line.split()[-1] for line in lines
    ]
    assert [2, 3, 6, 8] == [at for at, line in enumerate(lines) if "conv-0" in line]


def test_answer_without_a_text(hilt_log, tmp_path, an_event):
    """An event that says nothing is told by its summary."""
    path = tmp_path / "app.jsonl"
    event = an_event(action="completion", content={"text": ""})
    path.write_bytes(encode(event) + b"\n")
    assert "completion  completion " in hilt_log("search", "", path).out


def test_json(hilt_log, log):
    """Each event is a line of JSON, with the places at which the text is."""
    first, _ = map(json.loads, hilt_log("search", "moon", log, "--json").out.splitlines())
    assert str(log) == first["path"]
    assert [{"field": "content.text", "begin": 12, "end": 16}] == first["places"]


def test_count(hilt_log, log):
    """The number alone."""
    assert "2\n" == hilt_log("search", "moon", log, "--count").out
    assert {"count": 2} == hilt_log("search", "moon", log, "--count", "--json").json


def test_empty_file(hilt_log, tmp_path):
    """In an empty log nothing is found, which is no fault."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("search", "moon", tmp_path / "app.jsonl")
    assert (0, "", "") == (done.code, done.out, done.err)


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """What can't be read is told, the rest is searched, and the exit code is 3."""
    with open(log, "ab") as file:
        file.write(b'{"text":"moon')
    done = hilt_log("search", "moon", log, tmp_path / "gone.jsonl", "--count")
    assert (3, "2\n") == (done.code, done.out)
    assert f"{log}, line 5: not an event" in done.err
    assert "gone.jsonl" in done.err


def test_standard_input(in_shell, log):
    """With -, lines come from standard input, which can't be read twice."""
    done = in_shell("search", "moon", "-", "-c", input=log.read_text())
    assert (0, "2\n") == (done.returncode, done.stdout)
    done = in_shell("search", "moon", "-", "-C", "1", input=log.read_text())
    assert 2 == done.returncode
    assert "read twice" in done.stderr


def test_nobody_reads(unheard, log):
    """Where what reads the output ends early, the program does, too, without a word."""
    done = unheard("search", "moon", log)
    assert (141, "") == (done.returncode, done.stderr)


def test_torn_lines_on_a_pipe(in_shell, log):
    """Torn lines among those of a pipe cost none of the others."""
    lines = log.read_text()
    torn = '{"content": {"text": "moon'
    some = f"{lines}{torn}\n{lines}" * 400  # more than a pipe holds
    count = in_shell("search", "moon", log, "-c").stdout.strip()
    done = in_shell("search", "moon", "-", "-c", input=some)
    assert (3, str(int(count) * 800)) == (done.returncode, done.stdout.strip())
