"""Events through python-json-logger's formatters: its own three, and ours over its three encoders."""

import io
import json
import logging
import logging.config
import math
import sys
import uuid

import pytest

import hilt_logging

from hilt_logging import events, snapshot


pytest.importorskip("pythonjsonlogger")

from hilt_logging.jsonlogger import HILTJsonFormatter


ENCODERS = ["json", "orjson", "msgspec"]
STOCK = {"json": "JsonFormatter", "orjson": "OrjsonFormatter", "msgspec": "MsgspecFormatter"}


class Cyclic(dict):
    """A dict that holds itself."""

    def __init__(self):
        super().__init__()
        self["itself"] = self


@pytest.fixture
def logger():
    """A logger of events that no other test sees."""
    logger = logging.getLogger(f"hilt.test.{uuid.uuid4().hex}")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


class HILTFile:
    """A file of events next to the JSON stream."""

    def __init__(self, logger, path):
        self.path = path
        self.handler = hilt_logging.HILTFileHandler(path)
        self.logger = logger
        logger.addHandler(self.handler)

    def __call__(self):
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def move_last(self):
        self.logger.removeHandler(self.handler)
        self.logger.addHandler(self.handler)


@pytest.fixture
def hilt_file(logger, tmp_path):
    """A file of events next to the JSON stream; call it to read."""
    file = HILTFile(logger, tmp_path / "events.jsonl")
    yield file
    file.handler.close()


def stream(logger, formatter, *filters):
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(formatter)
    for each in filters:
        handler.addFilter(each)
    logger.addHandler(handler)
    return buffer


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def lines(buffer):
    return [strict(line) for line in buffer.getvalue().split("\n")[:-1]]


def stock(encoder):
    module = pytest.importorskip(f"pythonjsonlogger.{encoder}", exc_type=ImportError)
    return getattr(module, STOCK[encoder])


def ours(encoder, **options):
    stock(encoder)
    return HILTJsonFormatter(encoder=encoder, **options)


def nasty():
    return {
        "session_id": "s-1",
        "actor": {"type": "human", "id": "алиса"},
        "action": "feedback",
        "content": {"text": "smile 😀 \u2028 \ud800 \0"},
        "extensions": {"nan": math.nan, "big": 2**70, ("a", 1): {1, 2}, "o": object()},
    }


@pytest.mark.parametrize("encoder", ENCODERS)
class TestStockFormatters:
    def test_emit(self, encoder, logger, hilt_file):
        """A stock formatter prints the whole nested event of emit, the same as in the file."""
        buffer = stream(logger, stock(encoder)())

        event_id = hilt_logging.emit(
            events.completion("Hi", session_id="s", extensions={"a": {"b": [1, {"c": None}]}}),
            logger=logger,
        )

        [event] = hilt_file()
        [line] = lines(buffer)
        assert event_id == event["event_id"]
        assert event == line["hilt"]
        assert line["message"] == "completion session=s"

    def test_users_own_dict(self, encoder, logger, hilt_file):
        """A dict that the file handler completed is the one that a later stock formatter prints."""
        buffer = stream(logger, stock(encoder)())

        logger.info("rated", extra={"hilt": nasty()})

        [event] = hilt_file()
        [line] = lines(buffer)
        assert event == line["hilt"]
        assert {
            "nan": None,
            "big": str(2**70),
            "a,1": [1, 2],
            "o": {"$type": "builtins.object"},
        } == (event["extensions"])
        assert hilt_logging.validate_event(event) == []

    def test_stock_formatter_first(self, encoder, logger, hilt_file):
        """With HILTContextFilter a stock formatter in front of the file prints the same event."""
        buffer = stream(logger, stock(encoder)(), hilt_logging.HILTContextFilter())
        hilt_file.move_last()

        with hilt_logging.bind(session_id="conv-1"):
            logger.info("rated", extra={"hilt": events.feedback(5)})

        [event] = hilt_file()
        assert event["session_id"] == "conv-1"
        assert [event] == [line["hilt"] for line in lines(buffer)]

    def test_dict_message(self, encoder, logger, hilt_file):
        """An event in a dict that is logged instead of a message is found and printed."""
        buffer = stream(logger, stock(encoder)())

        logger.info({"what": "rated", "hilt": events.feedback(5, session_id="s")})

        [event] = hilt_file()
        [line] = lines(buffer)
        assert (event, "rated") == (line["hilt"], line["what"])


def test_stock_formatter_alone_leaves_an_event_as_it_was_given(logger):
    """A stock formatter with nothing of ours before it neither completes an event nor cleans it."""
    buffer = stream(logger, stock("json")())

    logger.info("rated", extra={"hilt": {"action": "feedback", "metrics": {"score": math.nan}}})

    [line] = buffer.getvalue().splitlines()
    assert '{"action": "feedback", "metrics": {"score": NaN}}' in line


def test_reserved_attribute_hides_the_event(logger):
    """With hilt among reserved_attrs a stock formatter prints the summary alone."""
    from pythonjsonlogger.core import RESERVED_ATTRS

    buffer = stream(logger, stock("json")(reserved_attrs=[*RESERVED_ATTRS, "hilt"]))

    hilt_logging.emit(events.prompt("secret", session_id="s"), logger=logger)

    assert lines(buffer) == [{"message": "prompt session=s"}]


@pytest.mark.parametrize("encoder", ENCODERS)
class TestNested:
    def test_event(self, encoder, logger, hilt_file):
        """Our formatter prints the event under hilt, equal to the one in the file."""
        buffer = stream(logger, ours(encoder))

        hilt_logging.emit(events.completion("Hi 😀", session_id="s"), logger=logger, level=30)

        [event] = hilt_file()
        [line] = lines(buffer)
        assert event == line.pop("hilt")
        assert event["timestamp"][:26] == line.pop("timestamp")[:26]
        assert {
            "level": "WARNING",
            "logger": logger.name,
            "message": "completion session=s",
        } == line

    def test_completes_first(self, encoder, logger, hilt_file):
        """An event that our formatter sees first is completed, and the file has the same one."""
        buffer = stream(logger, ours(encoder))
        hilt_file.move_last()

        logger.info("rated", extra={"hilt": nasty()})

        [event] = hilt_file()
        assert [event] == [line["hilt"] for line in lines(buffer)]

    def test_ordinary_record(self, encoder, logger):
        """An ordinary record is printed as python-json-logger would, with time, level and name."""
        buffer = stream(logger, ours(encoder))

        logger.warning("no %s", "events", extra={"shelf": 3})

        [line] = lines(buffer)
        assert {"timestamp", "level", "logger", "message", "shelf"} == set(line)
        assert (line["message"], line["shelf"]) == ("no events", 3)

    @pytest.mark.parametrize(
        ("value", "expected", "otherwise"),
        [
            (math.nan, None, {}),
            (-math.inf, None, {}),
            ("half \ud83d", "half \ufffd", {}),
            ("whole \ud83d\ude00", "whole 😀", {}),
            ("a backslash \\ud83d", "a backslash \\ud83d", {}),
            (2**70, 2**70, {"orjson": str(2**70)}),
            (Cyclic(), {"itself": {"$type": f"{__name__}.Cyclic", "$cut": "cycle"}}, {}),
            ({("a", "b"): 1}, {"a,b": 1}, {"msgspec": {"('a', 'b')": 1}}),
        ],
        ids=["nan", "inf", "surrogate", "pair", "backslash", "big", "cycle", "tuple-key"],
    )
    def test_strict(self, encoder, value, expected, otherwise, logger):
        """What the encoder can't write as strict JSON in an ordinary record is written all the same."""
        buffer = stream(logger, ours(encoder))

        logger.info("ordinary", extra={"value": value})

        [line] = lines(buffer)
        assert otherwise.get(encoder, expected) == line["value"]
        buffer.getvalue().encode()

    def test_raw_surrogate(self, encoder, logger):
        """A lone surrogate reaches no stream, even where the encoder leaves characters as they are."""
        options = {"json_ensure_ascii": False} if encoder == "json" else {}
        buffer = stream(logger, ours(encoder, **options))

        logger.info("half \ud83d, é")

        assert strict(buffer.getvalue().encode())["message"] == "half \ufffd, é"

    def test_exception(self, encoder, logger):
        """The traceback of an ordinary record is kept."""
        buffer = stream(logger, ours(encoder))
        try:
            1 / 0
        except ZeroDivisionError:
            logger.exception("failed")

        [line] = lines(buffer)
        assert line["exc_info"].endswith("ZeroDivisionError: division by zero")


def a_completion():
    return events.completion(
        "Hi",
        session_id="conv-1",
        reply_to="p-1",
        provenance={
            "provider": "openai",
            "request_model": "gpt-4o",
            "model": "gpt-4o-2024-11-20",
            "params": {"temperature": 0.5, "max_tokens": 9, "own": True},
        },
        metrics=events.Metrics(
            latency_ms=7,
            cost_usd=0.5,
            tokens={"prompt": 3, "completion": 4, "total": 7, "cached": 1, "cache_write": 2},
        ),
        extensions={
            "user_id": "alice",
            "tool": {"name": "f", "call_id": "c-1", "arguments": {"x": {"y": 1}}},
            "error": {"type": "RateLimitError", "message": "slow down"},
            "empty": {},
        },
    )


class TestFlattened:
    def test_otel(self, logger, hilt_file):
        """The layout otel uses the GenAI names, keeps arguments whole and all else under hilt."""
        buffer = stream(logger, ours("json", layout="otel"))

        with hilt_logging.bind(trace_id="ab" * 16, span_id="cd" * 8):
            hilt_logging.emit(a_completion(), logger=logger)

        [event] = hilt_file()
        [line] = lines(buffer)
        line.pop("timestamp")
        assert {
            "severity_text": "ERROR",
            "logger": logger.name,
            "body": "completion openai gpt-4o-2024-11-20 f session=conv-1 tokens=3+4 cost=$0.5 7ms "
            "RateLimitError",
            "hilt.hilt_version": "1.0.0",
            "hilt.event_id": event["event_id"],
            "hilt.timestamp": event["timestamp"],
            "gen_ai.conversation.id": "conv-1",
            "hilt.actor.type": "agent",
            "hilt.actor.id": "assistant",
            "hilt.action": "completion",
            "hilt.content.text": "Hi",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-11-20",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 9,
            "hilt.provenance.params.own": True,
            "trace_id": "ab" * 16,
            "span_id": "cd" * 8,
            "hilt.provenance.logger": logger.name,
            "hilt.metrics.latency_ms": 7,
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 4,
            "hilt.metrics.tokens.total": 7,
            "gen_ai.usage.cache_read.input_tokens": 1,
            "gen_ai.usage.cache_creation.input_tokens": 2,
            "hilt.metrics.cost_usd": 0.5,
            "hilt.extensions.reply_to": "p-1",
            "user.id": "alice",
            "gen_ai.tool.name": "f",
            "gen_ai.tool.call.id": "c-1",
            "gen_ai.tool.call.arguments": {"x": {"y": 1}},
            "error.type": "RateLimitError",
            "hilt.extensions.error.message": "slow down",
            "hilt.extensions.empty": {},
        } == line

    def test_ecs(self, logger, hilt_file):
        """The layout ecs uses the Elastic Common Schema's names; the time is the event's own."""
        buffer = stream(logger, ours("json", layout="ecs"))

        hilt_logging.emit(a_completion(), logger=logger)
        logger.error("ordinary")

        [event] = hilt_file()
        line, ordinary = lines(buffer)
        expected = {
            "@timestamp": event["timestamp"],
            "log.level": "ERROR",
            "log.logger": logger.name,
            "event.id": event["event_id"],
            "event.action": "completion",
            "error.type": "RateLimitError",
            "error.message": "slow down",
            "user.id": "alice",
        }
        assert expected == {name: line[name] for name in expected}
        assert {"@timestamp", "log.level", "log.logger", "message"} == set(ordinary)

    @pytest.mark.parametrize("layout", ["otel", "ecs"])
    def test_nothing_is_lost(self, layout, logger, hilt_file):
        """Every leaf of the event stands in a flattened line."""
        buffer = stream(logger, ours("json", layout=layout))
        hilt_logging.emit(a_completion(), logger=logger)

        def leaves(value):
            for item in value.values():
                yield from leaves(item) if isinstance(item, dict) and item else [json.dumps(item)]

        [event] = hilt_file()
        [line] = lines(buffer)
        assert set() == set(leaves(event)) - set(leaves(line))

    def test_line_breaks(self, logger):
        """Characters at which some readers break lines are escaped, so that one line stays one."""
        buffer = stream(logger, ours("msgspec"))

        logger.info("a\u2028b\u2029c\u0085d")

        [line] = buffer.getvalue().splitlines()
        assert strict(line)["message"] == "a\u2028b\u2029c\u0085d"

    def test_renamed(self, logger):
        """Under another name for hilt the rest of a flattened event stands under that name."""
        buffer = stream(
            logger, ours("json", layout="otel", fmt="%(message)s", rename_fields={"hilt": "ai"})
        )

        hilt_logging.emit(events.prompt("Hi", session_id="s"), logger=logger)

        [line] = lines(buffer)
        assert (line["ai.content.text"], line["gen_ai.conversation.id"]) == ("Hi", "s")
        assert "ai" not in line

    def test_names_exist(self):
        """Every gen_ai name that we use is one of OpenTelemetry's conventions."""
        names = pytest.importorskip(
            "opentelemetry.semconv._incubating.attributes.gen_ai_attributes"
        )
        from hilt_logging import jsonlogger

        known = {value for value in vars(names).values() if isinstance(value, str)}
        used = {name for table in jsonlogger._NAMES.values() for name in table.values()}
        assert set() == {name for name in used if name.startswith("gen_ai.")} - known


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"layout": "flat"}, "Invalid layout: 'flat'. Must be one of: nested, otel, ecs"),
            ({"encoder": "xml"}, "Invalid encoder: 'xml'. Must be one of: json, orjson, msgspec"),
        ],
    )
    def test_wrong(self, options, message):
        """A wrong option names itself, what was given and what is allowed."""
        with pytest.raises(hilt_logging.ConfigurationError) as caught:
            HILTJsonFormatter(**options)

        assert message == str(caught.value)

    def test_encoder_not_installed(self, monkeypatch):
        """An encoder that is not installed is an error that says how to install it."""
        monkeypatch.setitem(sys.modules, "pythonjsonlogger.orjson", None)

        with pytest.raises(hilt_logging.ConfigurationError, match="pip install orjson"):
            HILTJsonFormatter(encoder="orjson")

    def test_unknown_to_python_json_logger(self):
        """An option that python-json-logger does not have is refused by it."""
        with pytest.raises(TypeError, match="colour"):
            HILTJsonFormatter(colour=True)

    def test_passed_on(self, logger):
        """Options of python-json-logger and of its encoder do what they do there."""
        buffer = stream(
            logger,
            ours("json", fmt="%(message)s", json_indent=1, static_fields={"app": "shop"}),
        )

        logger.info("x")

        assert buffer.getvalue() == '{\n "message": "x",\n "app": "shop"\n}\n'

    def test_dict_config(self, logger, capsys):
        """Every option can be given in dictConfig, `format` and `ext://` included."""
        stock("msgspec")
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {
                    "json": {
                        "()": "hilt_logging.jsonlogger.HILTJsonFormatter",
                        "format": "%(levelname)s",
                        "layout": "ecs",
                        "encoder": "msgspec",
                        "rename_fields": {"levelname": "log.level"},
                        "static_fields": {"max": "ext://sys.maxsize"},
                    }
                },
                "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
                "loggers": {logger.name: {"handlers": ["out"], "propagate": False}},
            }
        )

        hilt_logging.emit(events.prompt("Hi", session_id="s"), logger=logger)

        line = strict(capsys.readouterr().err)
        assert ("INFO", "prompt", sys.maxsize) == (
            line["log.level"],
            line["event.action"],
            line["max"],
        )


def test_snapshot_is_what_fallback_uses(logger):
    """What the encoder refuses is printed as `snapshot` sees it, the event included."""
    value = {("k", 2): {3}}
    buffer = stream(logger, ours("json"))

    logger.info("rated", extra={"hilt": events.feedback(1, session_id="s"), "value": value})

    [line] = lines(buffer)
    assert snapshot.snapshot(value) == line["value"]
    assert line["hilt"]["action"] == "feedback"
