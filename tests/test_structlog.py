"""Events through structlog: native, through `logging`, and through its ProcessorFormatter."""

import asyncio
import io
import json
import logging
import logging.config
import logging.handlers
import math
import queue
import uuid

import pytest

import hilt_logging

from hilt_logging import events


pytest.importorskip("structlog")

import structlog

from hilt_logging.structlog import add_hilt_context, promote_hilt, render_hilt


@pytest.fixture(autouse=True)
def nothing_bound():
    """A test begins and ends with nothing bound in structlog."""
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def logger():
    """A logger of events that no other test sees."""
    logger = logging.getLogger(f"hilt.test.{uuid.uuid4().hex}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


@pytest.fixture
def file_handler(tmp_path):
    """A handler that writes events.jsonl; not attached to anything."""
    handler = hilt_logging.HILTFileHandler(tmp_path / "events.jsonl")
    yield handler
    handler.close()


def written(handler):
    with open(handler.baseFilename, "rb") as file:
        return [json.loads(line) for line in file]


def stream_handler(*processors, **options):
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=list(processors), **options)
    )
    return handler


def text(handler):
    return handler.stream.getvalue()


def json_handler(**options):
    return stream_handler(
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(),
        **options,
    )


def console_handler(**options):
    return stream_handler(
        render_hilt,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        **options,
    )


def native(*processors):
    """A structlog logger that writes JSON by itself, and where it writes."""
    out = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[*processors, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return log, out


def over_stdlib(logger, last, *first):
    """A structlog logger over one of `logging`, with *last* as the step to it."""
    return structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, *first, last],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def a_completion(**fields):
    given = {
        "provenance": {"provider": "openai", "model": "gpt-4o-mini"},
        "metrics": events.Metrics(
            latency_ms=812, cost_usd=0.0004, tokens={"prompt": 12, "completion": 34}
        ),
    }
    return events.completion("SECRET answer", session_id="conv-42", **{**given, **fields})


class TestAddHILTContext:
    def test_without_event(self):
        """An event dict without an event stays as it is."""
        assert add_hilt_context(None, "info", {"event": "hello"}) == {"event": "hello"}

    def test_bound(self):
        """Session, user and further fields that are bound stand in the event."""
        with hilt_logging.bind(session_id="s-1", user_id="alice", tenant="acme"):
            event = add_hilt_context(None, "info", {"hilt": {"action": "prompt", "actor": HUMAN}})

        assert event["hilt"]["session_id"] == "s-1"
        assert event["hilt"]["extensions"] == {"tenant": "acme", "user_id": "alice"}
        assert event["hilt"]["actor"] == {"type": "human", "id": "alice"}
        assert hilt_logging.validate_event(event["hilt"]) == []

    def test_structlogs_contextvars(self):
        """Ids bound in structlog count, numbers and UUIDs too; other keys of it do not."""
        session = uuid.uuid4()
        structlog.contextvars.bind_contextvars(
            session_id=session, user_id=7, trace_id="ab" * 16, span_id="cd" * 8, request="GET /"
        )

        event = add_hilt_context(None, "info", {"hilt": events.system("x").to_dict() | UNBOUND})

        assert event["hilt"]["session_id"] == str(session)
        assert event["hilt"]["extensions"] == {"user_id": "7"}
        assert event["hilt"]["provenance"] == {
            "trace_id": "ab" * 16,
            "span_id": "cd" * 8,
            "logger": "structlog",
        }

    def test_ours_wins(self):
        """What hilt_logging.bind has set wins over the same id in structlog."""
        structlog.contextvars.bind_contextvars(session_id="theirs", user_id="theirs")

        with hilt_logging.bind(session_id="ours"):
            event = add_hilt_context(None, "info", {"hilt": {"action": "prompt", "actor": HUMAN}})

        assert event["hilt"]["session_id"] == "ours"
        assert event["hilt"]["extensions"] == {"user_id": "theirs"}

    @pytest.mark.parametrize("value", ["", None, True, 1.5, ["s"], object()])
    def test_no_id(self, value):
        """What can't be an id is not taken for one."""
        structlog.contextvars.bind_contextvars(user_id=value)

        event = add_hilt_context(None, "info", {"hilt": events.system("x", session_id="s")})

        assert "extensions" not in event["hilt"]

    @pytest.mark.parametrize("wrong", ["text", 7, {"action": "shout"}, {"actor": math.nan}, []])
    def test_no_event(self, wrong):
        """What is no event becomes a system event that carries it."""
        event = add_hilt_context(None, "info", {"hilt": wrong})["hilt"]

        assert event["action"] == "system"
        assert event["extensions"]["error"]["type"] == "InvalidEventError"
        assert hilt_logging.validate_event(event) == []

    def test_twice(self):
        """An event that was completed stays the same when it is completed once more."""
        once = add_hilt_context(None, "info", {"hilt": a_completion()})["hilt"]

        assert add_hilt_context(None, "info", {"hilt": once})["hilt"] == once

    def test_detached(self):
        """What the caller changes afterwards does not change the event."""
        mine = a_completion().to_dict()
        event = add_hilt_context(None, "info", {"hilt": mine})["hilt"]

        mine["content"]["text"] = "changed"

        assert event["content"]["text"] == "SECRET answer"


HUMAN = {"type": "human"}
UNBOUND = {"session_id": None}


class TestNative:
    def test_json(self):
        """structlog alone writes the whole event, complete and valid, in its own JSON."""
        log, out = native(structlog.contextvars.merge_contextvars, add_hilt_context)
        structlog.contextvars.bind_contextvars(session_id="conv-1", user_id="alice")

        log.info("rated", hilt=events.feedback(5, "good 😀").to_dict() | UNBOUND)

        line = json.loads(out.getvalue())
        event = line.pop("hilt")
        assert line == {"event": "rated", "session_id": "conv-1", "user_id": "alice"}
        assert event["session_id"] == "conv-1"
        assert event["content"] == {"text": "good 😀"}
        assert hilt_logging.validate_event(event) == []

    def test_values_of_any_kind(self):
        """Values that JSON does not know are JSON when structlog's renderer sees them."""
        log, out = native(add_hilt_context)

        log.info("x", hilt=a_completion(extensions={"nan": math.nan, "bytes": b"x", "o": object()}))

        event = json.loads(out.getvalue(), parse_constant=pytest.fail)["hilt"]
        assert event["extensions"]["o"] == {"$type": "builtins.object"}
        assert event["extensions"]["nan"] is None

    def test_level(self):
        """What the level stops is neither completed nor written."""
        log, out = native(add_hilt_context)
        event = events.feedback(5, session_id="s").to_dict()
        before = json.dumps(event)

        log.debug("rated", hilt=event)

        assert out.getvalue() == ""
        assert json.dumps(event) == before

    def test_async(self):
        """An async logger's event has what was bound where it was awaited."""
        log, out = native(structlog.contextvars.merge_contextvars, add_hilt_context)

        async def one(session):
            structlog.contextvars.bind_contextvars(user_id=f"user of {session}")
            with hilt_logging.bind(session_id=session):
                await log.ainfo("rated", hilt={"action": "feedback", "actor": HUMAN})

        async def both():
            await asyncio.gather(one("a"), one("b"))

        asyncio.run(both())

        made = [json.loads(line)["hilt"] for line in out.getvalue().splitlines()]
        assert sorted((e["session_id"], e["extensions"]["user_id"]) for e in made) == [
            ("a", "user of a"),
            ("b", "user of b"),
        ]

    def test_dropped_by_another_processor(self):
        """A processor may drop the entry before or after ours; nothing escapes to the application."""

        def drop(logger, method_name, event_dict):
            raise structlog.DropEvent

        for processors in ((drop, add_hilt_context), (add_hilt_context, drop)):
            log, out = native(*processors)
            log.info("rated", hilt=a_completion())
            assert out.getvalue() == ""

    def test_capture_logs(self):
        """structlog's own capture_logs sees the completed event when our processor is named."""
        with structlog.testing.capture_logs(processors=[add_hilt_context]) as captured:
            structlog.get_logger().info("rated", hilt=a_completion())

        [entry] = captured
        assert hilt_logging.validate_event(entry["hilt"]) == []


class TestOverStdlib:
    def test_render_to_log_kwargs(self, logger, file_handler):
        """With render_to_log_kwargs the event is on the record, and the file has it."""
        logger.addHandler(file_handler)
        log = over_stdlib(logger, structlog.stdlib.render_to_log_kwargs, add_hilt_context)
        structlog.contextvars.bind_contextvars(session_id="conv-1")

        log.info("rated", hilt=events.feedback(5).to_dict() | UNBOUND, shelf=3)
        log.debug("not enabled", hilt=a_completion())
        log.info("no event")

        [event] = written(file_handler)
        assert event["session_id"] == "conv-1"
        assert event["provenance"] == {"logger": logger.name}

    def test_async(self, logger, file_handler):
        """BoundLogger.ainfo records what was bound where it was awaited."""
        logger.addHandler(file_handler)
        log = over_stdlib(logger, promote_hilt)

        async def main():
            with hilt_logging.bind(session_id="s-1", user_id="alice"):
                await log.ainfo("rated", hilt={"action": "feedback", "actor": HUMAN})

        asyncio.run(main())

        [event] = written(file_handler)
        assert (event["session_id"], event["actor"]["id"]) == ("s-1", "alice")

    def test_wrap_for_formatter(self, logger, file_handler):
        """After structlog's own wrap_for_formatter our handler still finds the event."""
        logger.addHandler(file_handler)
        last = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        log = over_stdlib(logger, last, add_hilt_context)

        log.info("rated", hilt=a_completion())

        [event] = written(file_handler)
        assert event["content"]["text"] == "SECRET answer"


def test_promote_hands_over_what_structlog_does():
    """Without an event promote_hilt returns exactly what wrap_for_formatter returns."""
    log, entry = logging.getLogger("hilt"), {"event": "hello", "shelf": 3}

    theirs = structlog.stdlib.ProcessorFormatter.wrap_for_formatter(log, "info", dict(entry))

    assert promote_hilt(log, "info", dict(entry)) == theirs


def test_promote_with_event():
    """With an event it stands in the event dict and in extra: the same, complete."""
    log = logging.getLogger("hilt.app")

    (entry,), kwargs = promote_hilt(log, "info", {"event": "rated", "hilt": a_completion()})

    assert hilt_logging.validate_event(entry["hilt"]) == []
    assert kwargs == {"extra": {"_logger": log, "_name": "info", "hilt": entry["hilt"]}}


FOREIGN = {"foreign_pre_chain": [structlog.stdlib.ExtraAdder(allow=["hilt"])]}


class TestProcessorFormatter:
    @pytest.mark.parametrize("file_first", [True, False])
    def test_mixed_sources(self, file_first, logger, file_handler):
        """From structlog, logging and emit: file, JSON and another's formatter have the same events."""
        out = json_handler(**FOREIGN)
        out.addFilter(hilt_logging.HILTContextFilter())
        plain = logging.StreamHandler(io.StringIO())
        plain.setFormatter(logging.Formatter("%(hilt)s"))
        for handler in [file_handler, out, plain] if file_first else [out, plain, file_handler]:
            logger.addHandler(handler)
        log = over_stdlib(logger, promote_hilt)

        with hilt_logging.bind(session_id="s-1", user_id="alice"):
            log.info("rated", hilt={"action": "feedback", "actor": HUMAN})
            logger.info("rated", extra={"hilt": {"action": "feedback", "actor": HUMAN}})
            hilt_logging.emit(a_completion(), logger=logger)

        in_file = written(file_handler)
        assert [event["action"] for event in in_file] == ["feedback", "feedback", "completion"]
        assert [json.loads(line)["hilt"] for line in text(out).splitlines()] == in_file
        assert text(plain).splitlines() == [str(event) for event in in_file]

    def test_ordinary_entries(self, logger, file_handler):
        """Entries without an event pass as ever, and the file has none of them."""
        out = json_handler()
        logger.addHandler(out)
        logger.addHandler(file_handler)
        log = over_stdlib(logger, promote_hilt)

        log.info("from structlog", shelf=3)
        logger.info("from %s", "logging")

        assert [json.loads(line) for line in text(out).splitlines()] == [
            {"event": "from structlog", "shelf": 3},
            {"event": "from logging"},
        ]
        assert written(file_handler) == []

    def test_without_extra_adder(self, logger):
        """Without ExtraAdder structlog's JSON leaves the events of logging and emit out."""
        out = json_handler()
        logger.addHandler(out)

        hilt_logging.emit(a_completion(), logger=logger)

        assert list(json.loads(text(out))) == ["event"]

    def test_wrap_for_formatter_hides_the_event(self, logger):
        """After structlog's own wrap_for_formatter a formatter of another package sees no event."""
        plain = logging.StreamHandler(io.StringIO())
        plain.setFormatter(logging.Formatter("%(hilt)s", defaults={"hilt": "none"}))
        logger.addHandler(plain)
        last = structlog.stdlib.ProcessorFormatter.wrap_for_formatter

        over_stdlib(logger, last, add_hilt_context).info("rated", hilt=a_completion())
        over_stdlib(logger, promote_hilt).info("rated", hilt=a_completion())

        hidden, shown, _ = text(plain).split("\n")
        assert hidden == "none"
        assert "SECRET answer" in shown

    def test_stock_queue(self, logger, file_handler, capsys):
        """
        A stock QueueHandler makes text of structlog's entry, so that ProcessorFormatter fails; the
        event itself arrives.
        """
        out = json_handler()
        waiting = queue.SimpleQueue()
        logger.addHandler(logging.handlers.QueueHandler(waiting))
        listener = logging.handlers.QueueListener(waiting, file_handler, out)
        listener.start()

        over_stdlib(logger, promote_hilt).info("rated", hilt=a_completion())
        listener.stop()

        [event] = written(file_handler)
        assert event["content"]["text"] == "SECRET answer"
        assert text(out) == ""
        assert "AttributeError" in capsys.readouterr().err

    def test_queue_after_rendering(self, logger, file_handler):
        """With render_to_log_kwargs a stock QueueHandler passes entry and event on."""
        out = json_handler(foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=["hilt", "shelf"])])
        waiting = queue.SimpleQueue()
        logger.addHandler(logging.handlers.QueueHandler(waiting))
        listener = logging.handlers.QueueListener(waiting, file_handler, out)
        listener.start()
        log = over_stdlib(logger, structlog.stdlib.render_to_log_kwargs, add_hilt_context)

        log.info("rated", hilt=a_completion(), shelf=3)
        listener.stop()

        [event] = written(file_handler)
        assert json.loads(text(out)) == {"event": "rated", "hilt": event, "shelf": 3}

    def test_dict_config(self, logger, tmp_path, capsys):
        """structlog's formatter and our file are configured together by dictConfig."""
        path = tmp_path / "d.jsonl"
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {
                    "console": {
                        "()": structlog.stdlib.ProcessorFormatter,
                        "processors": [
                            render_hilt,
                            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
                        ],
                    }
                },
                "handlers": {
                    "console": {"class": "logging.StreamHandler", "formatter": "console"},
                    "file": {"class": "hilt_logging.HILTFileHandler", "filename": str(path)},
                },
                "loggers": {logger.name: {"handlers": ["console", "file"], "propagate": False}},
            }
        )

        over_stdlib(logger, promote_hilt).info("answered", hilt=a_completion())

        shown = capsys.readouterr().err
        assert shown == f"answered {FIELDS}\n"
        assert json.loads(path.read_bytes())["content"] == {"text": "SECRET answer"}


FIELDS = (
    "action=completion cost_usd=0.0004 latency_ms=812 model=gpt-4o-mini provider=openai "
    "session_id=conv-42 tokens_in=12 tokens_out=34"
)


class TestRenderHILT:
    def test_structlogs_entry(self, logger):
        """An entry with an event is shown as its message and fields, without content."""
        out = console_handler()
        logger.addHandler(out)

        over_stdlib(logger, promote_hilt).info("answered", hilt=a_completion(), shelf=3)

        fields = FIELDS.replace(" tokens_in", " shelf=3 tokens_in")
        assert text(out) == f"answered {fields}\n"

    @pytest.mark.parametrize("options", [{}, FOREIGN], ids=["bare", "ExtraAdder"])
    def test_loggings_record(self, options, logger):
        """A record of logging is shown alike, with and without ExtraAdder."""
        out = console_handler(**options)
        logger.addHandler(out)

        logger.info("answered", extra={"hilt": a_completion()})

        assert text(out) == f"answered {FIELDS}\n"

    def test_emitted(self, logger):
        """A record of emit, whose message says the fields already, is shown under its action."""
        out = console_handler()
        logger.addHandler(out)

        hilt_logging.emit(a_completion(), logger=logger)

        assert text(out) == f"completion {FIELDS}\n"

    def test_failure(self, logger):
        """Outcome and class of an error are shown, its message is not."""
        out = console_handler()
        logger.addHandler(out)
        failed = {"outcome": "failed", "error": {"type": "Timeout", "message": "SECRET"}}

        hilt_logging.emit(events.system(session_id="s", extensions=failed), logger=logger)

        assert text(out) == "system action=system error=Timeout outcome=failed session_id=s\n"

    def test_tool(self):
        """The name of a tool is shown, its arguments are not."""
        event = events.tool_call("search", {"q": "SECRET"}, session_id="s")

        assert render_hilt(None, "info", {"event": "tool", "hilt": event}) == {
            "event": "tool",
            "action": "tool_call",
            "tool": "search",
            "session_id": "s",
        }

    def test_own_fields(self):
        """A field of the entry that has the same name is not overwritten."""
        entry = {"event": "x", "action": "mine", "hilt": events.system(session_id="s")}

        assert render_hilt(None, "info", entry) == {
            "event": "x",
            "action": "mine",
            "session_id": "s",
        }

    def test_no_event(self):
        """An entry without an event stays as it is."""
        assert render_hilt(None, "info", {"event": "hello"}) == {"event": "hello"}

    @pytest.mark.parametrize("wrong", ["SECRET", {"content": "SECRET"}, 7])
    def test_wrong_event(self, wrong):
        """Of what is no event nothing is shown but that it is none."""
        shown = render_hilt(None, "info", {"event": "x", "hilt": wrong})

        assert "SECRET" not in str(shown)
        assert (shown["outcome"], shown["error"]) == ("failed", "InvalidEventError")

    def test_foreign_values(self):
        """Parts that are not what they should be are left out rather than shown or tripped over."""
        event = events.system(
            session_id="s",
            provenance={"provider": {"SECRET": 1}, "model": None},
            extensions={"tool": "SECRET", "outcome": ["SECRET"], "error": "SECRET"},
        )

        assert render_hilt(None, "info", {"event": "x", "hilt": event}) == {
            "event": "x",
            "action": "system",
            "session_id": "s",
        }
