"""`hilt-log show`."""

from __future__ import annotations

import importlib
import json

import pytest

from hilt_logging.events import encode
from hilt_logging.io.files import LONGEST
from hilt_logging.safeguards import jwk


MODULE = "hilt_logging.analysis.conversation"
EVIL = "one\x1b[2J\x9b31m\u202etwo\n[9] 2026-01-01 00:00:00 assistant"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def log(tmp_path, an_event):
    """Two sessions: one of alice, whose tool has a long result, and a later one of bob."""

    def event(number, session, action, text=None, user="alice", **extensions):
        return an_event(
            event_id=f"e{number}",
            timestamp=f"2026-01-02T03:04:{number:02d}.000000Z",
            session_id=session,
            actor={"type": "human" if action == "prompt" else "agent", "id": user},
            action=action,
            content={} if text is None else {"text": text},
            extensions={"user_id": user, **extensions},
        )

    answer = event(2, "conv-1", "completion", "Let me see.", reply_to="e1", outcome="truncated")
    answer["provenance"] = {"provider": "openai", "model": "gpt-4o-mini"}
    answer["metrics"] = {"tokens": {"prompt": 3, "completion": 2, "total": 5}, "cost_usd": 0.00042}
    tool = {"name": "weather", "call_id": "c", "arguments": {"city": "Paris"}}
    events = [
        event(1, "conv-1", "prompt", EVIL),
        answer,
        event(3, "conv-1", "tool_call", reply_to="e2", tool=tool),
        event(4, "conv-1", "tool_result", "x" * 900, reply_to="e3", tool={"call_id": "c"}),
        event(5, "conv-1", "retrieval", "Paris", documents=[{"id": "d1"}]),
        event(6, "conv-1", "system", outcome="failed", error={"type": "Boom"}),
        event(7, "conv-2", "prompt", "Hi", user="bob"),
    ]
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    return path


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("show", "--help")
    assert 0 == done.code
    assert "hilt-log show conv-42 logs/" in done.out


def test_session(hilt_log, log):
    """What was said, and what happened between; long results are cut, words are not."""
    done = hilt_log("show", "conv-1", log)
    assert (0, "") == (done.code, done.err)
    assert (
        "session conv-1 · 2026-01-02 03:04:01 to 2026-01-02 03:04:06 · 6 events · alice · 5 tokens"
        " · $0.00042\n" in done.out
    )
    assert (
        "[2] 2026-01-02 03:04:02 assistant · openai gpt-4o-mini · 3+2 tokens · $0.00042 · truncated\n"
        "  Let me see.\n" in done.out
    )
    assert '[3] 2026-01-02 03:04:03 tool_call · weather\n  arguments: {"city":"Paris"}' in done.out
    assert f"  {'x' * 600}… 300 more characters: --full\n" in done.out
    assert '  document: {"id":"d1"}\n' in done.out
    assert '  error: {"type":"Boom"}\n' in done.out


def test_prompt_without_content(hilt_log, tmp_path, an_event):
    """A prompt of which nothing is on record has no results above it where there are none."""
    path = tmp_path / "app.jsonl"
    path.write_bytes(encode(an_event(session_id="conv-1", content=None)) + b"\n")
    done = hilt_log("show", "conv-1", path)
    assert "[1] " in done.out
    assert "results above" not in done.out
    with open(path, "ab") as file:
        for second, action in ((5, "tool_result"), (6, "system"), (7, "prompt")):
            time = f"2026-01-02T03:04:{second:02d}.900000Z"
            event = an_event(session_id="conv-1", action=action, content=None, timestamp=time)
            file.write(encode({**event, "event_id": action}) + b"\n")
    assert 1 == hilt_log("show", "conv-1", path).out.count("with the results above")


def test_full(hilt_log, log):
    """All of it, with the events."""
    done = hilt_log("show", "conv-1", log, "--full")
    assert "x" * 900 in done.out
    assert '"event_id":"e4"' in done.out


def test_hostile_text(hilt_log, log):
    """Text of a log does nothing to a terminal, and can't look like what stands above an entry."""
    done = hilt_log("show", "conv-1", log)
    assert not set("\x1b\x9b\u202e") & set(done.out)
    assert "  one\\u001b[2J\\u009b31m\\u202etwo\n  [9] 2026" in done.out


def test_terminal(in_terminal, log):
    """On a terminal there are colours, and no byte of the text gets there as a command."""
    out = in_terminal("show", "conv-1", log, "--no-index")
    assert b"\x1b[1;36m[1] 2026-01-02 03:04:01 alice" in out
    assert b"\\u001b[2J\\u009b31m\\u202etwo" in out
    assert b"\x1b[2J" not in out
    assert b"\x1b" not in in_terminal("show", "conv-1", log, NO_COLOR="1")


def test_json(hilt_log, log):
    """The conversation as JSON, with stable names; whole events with --full."""
    found = hilt_log("show", "conv-1", log, "--json").json
    assert ("conv-1", 6, ["alice"]) == (found["session_id"], found["events"], found["users"])
    kinds = ["prompt", "completion", "tool_call", "tool_result", "retrieval", "error"]
    assert kinds == [each["kind"] for each in found["entries"]]
    assert EVIL == found["entries"][0]["messages"][0]["parts"][0]["content"]
    assert "event" not in found["entries"][0]
    assert (
        "e1"
        == hilt_log("show", "conv-1", log, "--json", "--full").json["entries"][0]["event"][
            "event_id"
        ]
    )


def test_list(hilt_log, log):
    """Without a session, those that there are; the latest is the last."""
    done = hilt_log("show", log)
    first, second = done.out.splitlines()
    assert (
        "conv-1  2026-01-02 03:04:01 to 2026-01-02 03:04:06 · 6 events · alice · gpt-4o-mini"
        == first
    )
    assert second.startswith("conv-2")
    told = hilt_log("show", log, "--json").json
    assert ["conv-1", "conv-2"] == [each["session_id"] for each in told]
    assert ["the last 1 of 2 sessions; -n 0 lists all", second] == hilt_log(
        "show", log, "-n", "1"
    ).out.splitlines()
    assert 2 == len(hilt_log("show", log, "-n", "0").out.splitlines())
    assert "conv-1" not in hilt_log("show", "--user", "bob", log).out
    assert "conv-2" not in hilt_log("show", "--until", "2026-01-02T03:04:05", log).out


def test_list_with_a_long_id(hilt_log, tmp_path, an_event):
    """One long id does not move what is told of the other sessions out of sight."""
    path = tmp_path / "app.jsonl"
    events = [an_event(session_id=name) for name in ("x" * 5000, "short")]
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    (short,) = (
        line for line in hilt_log("show", path).out.splitlines() if line.startswith("short")
    )
    assert len(short) < 200


def test_last(hilt_log, log):
    """The last session, or the last one of a user."""
    assert "conv-2" == hilt_log("show", "--last", log, "--json").json["session_id"]
    found = hilt_log("show", "--last", "--user", "alice", log, "--json").json
    assert "conv-1" == found["session_id"]
    done = hilt_log("show", "--last", "--user", "nobody", log)
    assert (1, "Error: There is no such session\n") == (done.code, done.err)


def test_beginning_of_an_id(hilt_log, log):
    """The beginning of an id is enough where it is the only one; else those that fit are named."""
    assert 2 == hilt_log("show", "conv", log).code
    assert "2 sessions begin with 'conv': conv-1, conv-2" in hilt_log("show", "conv", log).err
    log.write_bytes(log.read_bytes().replace(b"conv-2", b"talk-2"))
    assert "talk-2" == hilt_log("show", "ta", log, "--json").json["session_id"]
    done = hilt_log("show", "nothing", log)
    assert (1, "") == (done.code, done.out)
    assert "There is no session 'nothing'" in done.err


def test_index(hilt_log, log, tmp_path, monkeypatch):
    """Of a large log it is kept where its sessions are, unless that is not wanted."""
    small = {"least_bytes": 1, "rotated": True}
    monkeypatch.setattr(importlib.import_module(MODULE).index, "__kwdefaults__", small)
    before = hilt_log("show", "conv-1", log, "--no-index")
    listed = hilt_log("show", log, "--no-index")
    assert not (tmp_path / "cache").exists()
    assert listed.out == hilt_log("show", log).out
    last = hilt_log("show", log, "-n", "1", "--json").json
    assert ["conv-2"] == [each["session_id"] for each in last]
    assert before.out == hilt_log("show", "conv-1", log).out
    assert 1 == len(list((tmp_path / "cache/hilt-logging/sessions").iterdir()))
    assert before.out == hilt_log("show", "conv-1", log).out


def test_encrypted(hilt_log, written, tmp_path):
    """What is encrypted is said to be where an entry begins, and is shown with the key."""
    made = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", made)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    log = written("the moon", encrypt_to=str(tmp_path / "a.pub.jwk"))
    done = hilt_log("show", "conv-1", log)
    assert "· encrypted (no key)\n" in done.out
    assert "1 encrypted (no key)" in done.out
    done = hilt_log("show", "conv-1", log, "--key", tmp_path / "a.key.jwk")
    assert "\n  the moon\n" in done.out
    assert 2 == hilt_log("show", "conv-1", log, "--key", tmp_path / "no.jwk").code


def test_empty_file(hilt_log, tmp_path):
    """An empty log has no sessions."""
    (tmp_path / "app.jsonl").touch()
    done = hilt_log("show", tmp_path / "app.jsonl")
    assert (0, "no sessions\n") == (done.code, done.out)
    assert 1 == hilt_log("show", "conv-1", tmp_path / "app.jsonl").code


def test_input_that_cannot_be_read(hilt_log, log, tmp_path):
    """Files and lines that can't be read are told, the rest is shown, and the exit code is 3."""
    with open(log, "ab") as file:
        file.write(b'{"session_id":"conv-1","torn')
    done = hilt_log("show", "conv-1", log, tmp_path / "gone.jsonl", "--json")
    assert (3, 6) == (done.code, done.json["events"])
    assert f"{log}, line 8: not an event" in done.err
    assert "gone.jsonl" in done.err
    assert 3 == hilt_log("show", "conv-1", tmp_path / "gone.jsonl").code


def test_line_that_is_too_long(hilt_log, log, monkeypatch):
    """That a line is passed over is told each time, once, whether there is an index or not."""
    small = {"least_bytes": 1, "rotated": True}
    monkeypatch.setattr(importlib.import_module(MODULE).index, "__kwdefaults__", small)
    with open(log, "ab") as file:
        file.write(b'{"x":"' + b"x" * (LONGEST + 200_000) + b'"}\n')
    for words in (["conv-1"], ["conv-1"], ["--last"], []):
        done = hilt_log("show", *words, log)
        assert (3, 1) == (done.code, done.err.count("passed over"))


def test_standard_input(in_shell, log):
    """With -, the log comes from standard input."""
    done = in_shell("show", "conv-2", "-", input=log.read_text())
    assert (0, "") == (done.returncode, done.stderr)
    assert "\n  Hi\n" in done.stdout


def test_pipe_is_read_once(in_shell, log):
    """What needs a second reading is refused of a pipe, and not told to be lacking; a file has it."""
    last = in_shell("show", "--last", "-", input=log.read_text())
    assert (2, "") == (last.returncode, last.stdout)
    assert "a pipe can be read once" in last.stderr
    begin = in_shell("show", "conv-", "-", input=log.read_text())
    assert (1, "") == (begin.returncode, begin.stdout)
    assert "of a pipe, which is read once, only a whole id is found" in begin.stderr
    with open(log, "rb") as file:
        assert 0 == in_shell("show", "--last", "-", stdin=file).returncode


def test_lines_of_standard_input_that_are_no_events(in_shell, log):
    """What is no event on standard input costs none that follows it."""
    torn, lines = '{"session_id":"conv-1","torn\n', log.read_text()
    done = in_shell("show", "conv-1", "-", "--json", input=torn + lines * 200)
    assert (3, 1200) == (done.returncode, json.loads(done.stdout)["events"])
    assert "standard input" in done.stderr


def test_nobody_reads(unheard, log):
    """Where what reads the output ends early, the program does, too, without a word."""
    done = unheard("show", "conv-1", log)
    assert (141, "") == (done.returncode, done.stderr)


def test_steps_and_sums(hilt_log, an_event, tmp_path):
    """A step is told by who made it; tokens of which only the sum is known are told as that."""
    step = an_event(session_id="s", action="system", actor={"type": "system", "id": "LangGraph"})
    answer = an_event(session_id="s", action="completion", metrics={"tokens": {"total": 18}})
    path = tmp_path / "app.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in (step, answer)))
    out = hilt_log("show", "s", path).out
    assert "system · LangGraph\n" in out
    assert " · 18 tokens\n" in out.split("[2]")[1]
