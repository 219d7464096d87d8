"""Which events a handler gets."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue
import sys

import pytest

import hilt_logging

from hilt_logging import (
    ActionFilter,
    ActorFilter,
    HILTContextFilter,
    ModelFilter,
    OnlyHILT,
    ProviderFilter,
    SessionFilter,
    SessionSampler,
    bind,
    emit,
)
from hilt_logging.errors import ConfigurationError


def record_of(event=None):
    return logging.makeLogRecord({"name": "app"} | ({} if event is None else {"hilt": event}))


@pytest.fixture
def passes(an_event):
    """Whether a filter lets an event with these fields pass."""
    return lambda each, **fields: bool(each.filter(record_of(an_event(**fields))))


OPENAI = {"provider": "openai", "model": "gpt-4o-mini-2024", "request_model": "gpt-4o-mini"}
AGENT = {"type": "agent", "id": "a"}
CASES = [
    (ActionFilter("prompt"), {}, True),
    (ActionFilter(["completion", "tool_call"]), {}, False),
    (ActionFilter(("prompt", "tool_call")), {}, True),
    (ActionFilter("prompt", exclude=True), {}, False),
    (ActionFilter(actions=["tool_call"], exclude=True), {}, True),
    (ActorFilter("human"), {}, True),
    (ActorFilter(["agent", "tool"]), {}, False),
    (ActorFilter(["agent", "tool"]), {"actor": AGENT}, True),
    (ActorFilter("agent", exclude=True), {"actor": AGENT}, False),
    (ProviderFilter("openai"), {"provenance": OPENAI}, True),
    (ProviderFilter(["anthropic", "open*"]), {"provenance": OPENAI}, True),
    (ProviderFilter("anthropic"), {"provenance": OPENAI}, False),
    (ProviderFilter("openai"), {}, False),
    (ProviderFilter("openai", exclude=True), {}, True),
    (ProviderFilter("openai"), {"provenance": {"provider": ["openai"]}}, False),
    (ModelFilter("gpt-*"), {"provenance": OPENAI}, True),
    (ModelFilter("gpt-4o-mini"), {"provenance": OPENAI}, True),
    (ModelFilter("gpt-4o"), {"provenance": OPENAI}, False),
    (ModelFilter("GPT-*"), {"provenance": OPENAI}, False),
    (ModelFilter(["claude-?", "gpt-[45]*"]), {"provenance": OPENAI}, True),
    (SessionFilter("conv-42"), {}, True),
    (SessionFilter("conv-4"), {}, False),
    (SessionFilter("conv-*"), {}, True),
    (SessionFilter("conv-*"), {"session_id": "conv-\n2"}, True),
    (SessionFilter("conv-42"), {"session_id": "conv-42\n"}, False),
    (SessionFilter("a.b"), {"session_id": "axb"}, False),
]


@pytest.mark.parametrize(("each", "fields", "expected"), CASES, ids=range(len(CASES)))
def test_events(passes, each, fields, expected):
    """Events pass or not, by the field that the filter looks at."""
    assert expected is passes(each, **fields)


SIMPLE = [
    ActionFilter("prompt"),
    ActorFilter("human"),
    ProviderFilter("x"),
    ModelFilter("x"),
    SessionFilter("x"),
]


@pytest.mark.parametrize("each", SIMPLE, ids=lambda each: type(each).__name__)
def test_ordinary_records(each):
    """Records without an event pass only on demand."""
    assert False is each.filter(record_of())
    options = {"actions": "prompt"} if isinstance(each, ActionFilter) else {}
    option = {
        ActionFilter: "actions",
        ActorFilter: "types",
        ProviderFilter: "providers",
        ModelFilter: "models",
        SessionFilter: "sessions",
    }[type(each)]
    value = {"actions": "prompt", "types": "human"}.get(option, "x")
    options = {option: value, "foreign": True}
    assert True is type(each)(**options).filter(record_of())


def test_only_hilt(an_event):
    """Only records with an event pass."""
    assert True is OnlyHILT().filter(record_of(an_event()))
    assert True is OnlyHILT().filter(record_of("no event, but meant to be one"))
    assert False is OnlyHILT().filter(record_of())


WRONG = [
    (lambda: ActionFilter("promt"), "Invalid actions: 'promt'. Must be one of: prompt, completion"),
    (lambda: ActionFilter([]), "Invalid actions: []. Must be one or several of: prompt, "),
    (lambda: ActionFilter(), "Invalid actions: []. Must be one or several of: prompt, "),
    (lambda: SessionFilter(), "Invalid sessions: []. Must be one or several strings"),
    (
        lambda: ActionFilter(action="prompt"),
        "Invalid option of ActionFilter: 'action'. Must be one of: actions, exclude, foreign",
    ),
    (
        lambda: SessionSampler(rat=0.5),
        "Invalid option of SessionSampler: 'rat'. Must be one of: rate, salt",
    ),
    (lambda: SessionSampler(), "Invalid rate: None. Must be a number from 0 to 1"),
    (lambda: ActionFilter([1]), "Invalid actions: 1. Must be a string or a list of strings"),
    (lambda: ActionFilter(None), "Invalid actions: None. Must be a string or a list"),
    (lambda: ActorFilter("robot"), "Invalid types: 'robot'. Must be one of: human, agent, tool, "),
    (lambda: ActorFilter("human", exclude=1), "Invalid exclude: 1. Must be true or false"),
    (lambda: ActorFilter("human", foreign="x"), "Invalid foreign: 'x'. Must be true or false"),
    (
        lambda: ModelFilter("x", modles="y"),
        "Invalid option of ModelFilter: 'modles'. Must be one of: exclude, foreign, models",
    ),
    (lambda: ProviderFilter("cfg://a.b"), "Invalid providers: 'cfg://a.b'. Must be a string or"),
    (lambda: SessionFilter(["ext://a"]), "Invalid sessions: 'ext://a'. Must be a string or a"),
    (lambda: OnlyHILT(x=1), "Invalid option of OnlyHILT: 'x'. It has none"),
    (lambda: HILTContextFilter(x=1), "Invalid option of HILTContextFilter: 'x'. It has none"),
    (lambda: SessionSampler(1.5), "Invalid rate: 1.5. Must be a number from 0 to 1"),
    (lambda: SessionSampler(-0.1), "Invalid rate: -0.1. Must be a number from 0 to 1"),
    (lambda: SessionSampler(float("nan")), "Invalid rate: nan. Must be a number from 0 to 1"),
    (lambda: SessionSampler("0.5"), "Invalid rate: '0.5'. Must be a number from 0 to 1"),
    (lambda: SessionSampler(True), "Invalid rate: True. Must be a number from 0 to 1"),
    (lambda: SessionSampler(0.5, salt=7), "Invalid salt: 7. Must be a string"),
    (lambda: SessionSampler(0.5, x=7), "Invalid option of SessionSampler: 'x'. Must be one of: r"),
]


@pytest.mark.parametrize(("make", "text"), WRONG, ids=range(len(WRONG)))
def test_wrong(make, text):
    """A wrong option is named with its value and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("spoil", [dict.clear, lambda event: event.update(provenance="x", actor=1)])
@pytest.mark.parametrize("each", SIMPLE, ids=lambda each: type(each).__name__)
def test_event_that_was_taken_apart(hilt, kept, each, spoil):
    """An event that another filter has spoiled does not make a filter raise."""
    emit({"actor": {"type": "human", "id": "x"}, "action": "prompt"})
    spoil(kept.records[0].hilt)
    assert each.filter(kept.records[0]) in (True, False)


def test_dict_config(hilt, tmp_path, lines):
    """Filters are configured with lists, and with values from elsewhere in the file."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "mine": {"providers": ["openai", "anthropic"], "model": "gpt-*", "rate": 1.0},
        "filters": {
            "actions": {"()": "hilt_logging.ActionFilter", "actions": ["prompt", "completion"]},
            "providers": {
                "()": "hilt_logging.ProviderFilter",
                "providers": "cfg://mine.providers",
            },
            "models": {"()": "hilt_logging.ModelFilter", "models": ["cfg://mine.model"]},
            "only": {"()": "hilt_logging.OnlyHILT"},
            "context": {"()": "hilt_logging.HILTContextFilter"},
            "actors": {"()": "hilt_logging.ActorFilter", "types": "human", "exclude": True},
            "sampler": {"()": "hilt_logging.SessionSampler", "rate": "cfg://mine.rate"},
        },
        "handlers": {
            "file": {
                "class": "hilt_logging.HILTFileHandler",
                "filename": str(tmp_path / "a"),
                "filters": [
                    "only", "context", "actions", "providers", "models", "actors", "sampler"
                ],
            }
        },
        "loggers": {"hilt": {"handlers": ["file"], "level": "INFO"}},
    }  # fmt: skip
    logging.config.dictConfig(config)
    wanted = {"actor": AGENT, "action": "completion", "provenance": OPENAI}
    for change in (
        {},
        {"action": "tool_call"},
        {"provenance": {**OPENAI, "provider": "gemini"}},
        {"provenance": {"provider": "openai", "model": "o3"}},
        {"actor": {"type": "human", "id": "x"}},
    ):
        emit({**wanted, **change, "session_id": str(change)})
    assert ["{}"] == [event["session_id"] for event in lines(tmp_path / "a")]


def test_wrong_in_dict_config():
    """The cause of dictConfig's error says what is wrong."""
    with pytest.raises(ValueError, match="'f'") as caught:
        logging.config.dictConfig(
            {"version": 1, "filters": {"f": {"()": "hilt_logging.ActionFilter", "actions": "x"}}}
        )
    assert str(caught.value.__cause__).startswith("Invalid actions: 'x'. Must be one of: prompt")


class TestContextFilter:
    def test_in_front_of_a_queue(self, hilt):
        """What is bound is known only in the caller's thread: there the event is completed."""
        waiting = queue.Queue()
        handler = logging.handlers.QueueHandler(waiting)
        handler.addFilter(HILTContextFilter())
        hilt.addHandler(handler)
        with bind("conv-7", tenant="acme"):
            hilt.info("rated", extra={"hilt": {"actor": AGENT, "action": "feedback"}})
        event = waiting.get_nowait().hilt
        assert ("conv-7", {"tenant": "acme"}) == (event["session_id"], event["extensions"])

    def test_everything_passes(self):
        """Ordinary records pass untouched."""
        record = record_of()
        before = dict(vars(record))
        assert True is HILTContextFilter().filter(record)
        assert before == vars(record)


class TestSampler:
    @pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1, 0])
    def test_share(self, passes, rate):
        """The share of conversations that is kept is about the rate."""
        sampler = SessionSampler(rate)
        kept = sum(passes(sampler, session_id=f"conv-{number}") for number in range(4000))
        assert abs(kept / 4000 - rate) < (0.04 if 0 < rate < 1 else 1e-9)

    def test_whole(self, passes):
        """A conversation is kept or dropped whole."""
        sampler = SessionSampler(0.5)
        for number in range(50):
            first = passes(sampler, session_id=f"c{number}")
            for action in ("completion", "tool_call", "feedback"):
                assert first is passes(sampler, session_id=f"c{number}", action=action)

    def test_every_process(self, passes, in_child):
        """The same conversations are kept in every process."""
        done = in_child(
            "import logging, hilt_logging as h\n"
            "s = h.SessionSampler(0.5, salt='x')\n"
            "print([n for n in range(100) if s.filter(logging.makeLogRecord({'hilt': {\n"
            "    'session_id': str(n), 'action': 'prompt', 'actor': {'type': 'human', 'id': 'x'}}}))])",
            env={"PYTHONHASHSEED": "7", "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        sampler = SessionSampler(0.5, salt="x")
        here = [number for number in range(100) if passes(sampler, session_id=str(number))]
        assert (str(here), "") == (done.stdout.strip(), done.stderr)

    def test_salt(self, passes):
        """Another salt chooses other conversations."""
        kept = [
            {n for n in range(200) if passes(SessionSampler(0.5, salt=salt), session_id=str(n))}
            for salt in ("a", "b", "\ud800")
        ]
        assert kept[0] != kept[1] != kept[2]

    def test_errors(self, hilt, tmp_path, kept, lines):
        """Errors are kept and marked, in the output of this handler alone."""
        sampled = hilt_logging.HILTFileHandler(tmp_path / "sampled")
        sampled.addFilter(SessionSampler(0))
        hilt.addHandler(sampled)
        hilt.addHandler(hilt_logging.HILTFileHandler(tmp_path / "all"))
        emit({"actor": AGENT, "action": "system", "extensions": {"outcome": "failed", "x": 1}})
        emit({"actor": AGENT, "action": "completion", "extensions": {"outcome": "truncated"}})
        (marked,) = lines(tmp_path / "sampled")
        assert {"outcome": "failed", "x": 1, "sampled": "error"} == marked["extensions"]
        plain = lines(tmp_path / "all")
        assert 2 == len(plain)
        assert marked["event_id"] == plain[0]["event_id"]
        assert "sampled" not in str(plain) + str(kept.events)

    @pytest.mark.parametrize("way", ["emit", "extra"])
    def test_error_by_two_ways(self, hilt, tmp_path, lines, way):
        """An error that comes to one file from two loggers, marked each time, is written once."""
        handler = hilt_logging.HILTFileHandler(tmp_path / "a")
        handler.addFilter(SessionSampler(0))
        logger = logging.getLogger("hilt.app.two")
        failed = {"actor": AGENT, "action": "system", "extensions": {"outcome": "failed"}}
        for each in (hilt, logger):
            each.addHandler(handler)
        if way == "emit":
            emit(failed, logger=logger)
        else:
            logger.error("failed", extra={"hilt": failed})
        (marked,) = lines(tmp_path / "a")
        assert "error" == marked["extensions"]["sampled"]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 takes no record from a filter")
    def test_errors_in_any_handler(self, hilt):
        """From Python 3.12 on the mark is in every handler's output."""
        from_queue = queue.Queue()
        handler = logging.handlers.QueueHandler(from_queue)
        handler.addFilter(SessionSampler(0))
        hilt.addHandler(handler)
        emit({"actor": AGENT, "action": "system", "extensions": {"outcome": "failed"}})
        assert "error" == from_queue.get_nowait().hilt["extensions"]["sampled"]

    def test_ordinary_records(self):
        """Records without an event pass."""
        assert True is SessionSampler(0).filter(record_of())
