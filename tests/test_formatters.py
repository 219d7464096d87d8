"""From a record to a line."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import HILTFormatter, HILTTextFormatter, emit, validate_event
from hilt_logging.errors import ConfigurationError


GOLDEN = Path(__file__).parent / "golden"


def record_of(event=None, **attributes):
    given = {"name": "app", "levelname": "INFO", "levelno": 20, "msg": "said", **attributes}
    return logging.makeLogRecord({**given, **({} if event is None else {"hilt": event})})


@pytest.fixture
def formatter():
    return HILTFormatter()


class TestLine:
    def test_golden(self, formatter, an_event):
        """An event and an ordinary record are these lines, to the byte."""
        event = an_event(
            content={"text": "Grüße\u2028\n"}, provenance={"logger": "x"}, integrity={"seq": 1}, z=1
        )
        ordinary = formatter.wrap(record_of(created=1_772_366_400.0, msg="%d%% full", args=(91,)))
        ordinary["event_id"], ordinary["session_id"] = "e1", "s1"
        lines = [formatter.format(record_of(event)), formatter.serialize(ordinary).decode()]
        golden = (GOLDEN / "formatter.jsonl").read_text("utf-8")
        assert golden == "".join(f"{line}\n" for line in lines)

    def test_ascii(self, an_event):
        """For streams that are not UTF-8 everything is escaped."""
        line = HILTFormatter(ascii=True).format(record_of(an_event(content={"text": "é😀"})))
        assert line.isascii()
        assert "é😀" == json.loads(line)["content"]["text"]

    def test_bytes(self, formatter, an_event):
        """The bytes of a line are its text."""
        record = record_of(an_event(content={"text": "é"}))
        assert formatter.format(record).encode() == formatter.line(record)

    def test_room(self, an_event):
        """What a handler adds to a line has room within the limit, which must be large enough."""
        form, record = (
            HILTFormatter(max_line_bytes=2000),
            record_of(an_event(content={"text": "x" * 3000})),
        )
        assert 1900 < len(form.line(record)) < 2000
        form.leave_room(400)
        assert 1500 < len(form.line(record)) < 1600
        with pytest.raises(ConfigurationError, match=r"max_line_bytes: 2000. Must be .* from 2024"):
            form.leave_room(1000)

    @pytest.mark.parametrize("ascii", [False, True])
    @pytest.mark.parametrize("unit", ["x", "é", "\u2028", '"'])
    def test_limit(self, an_event, unit, ascii):
        """The newline counts: a line that just fits is whole, and one that does not is cut."""
        event = an_event(content={"text": unit * 500})
        size = len(HILTFormatter(ascii=ascii).line(record_of(event))) + 1
        for limit in (max(1024, size), max(1024, size - 1)):
            form = HILTFormatter(max_line_bytes=limit, ascii=ascii)
            line = form.line(record_of(event))
            assert len(line) < limit
            assert (size > limit) is (b'"cut"' in line)

    def test_wrapped_limit(self, formatter):
        """An ordinary record with a long message is cut to the default limit."""
        line = formatter.line(record_of(msg="語" * 2_000_000))
        event = json.loads(line)
        assert 1024 * 1024 - 4 < len(line) + 1 <= 1024 * 1024
        assert [] == validate_event(event)
        (mark,) = event["extensions"]["cut"]
        assert ("extensions.log.message", 6_000_000) == (mark["field"], mark["bytes"])

    @pytest.mark.parametrize("value", [object(), {1: 2}, "\ud800", {1, 2}, 2**70, float("nan")])
    def test_spoiled_in_place(self, formatter, hilt, kept, strict_json, value):
        """What a filter changes on the event itself can't make the line less than JSON."""
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt"})
        record = kept.records[0]
        record.hilt["extensions"] = {"x": value}
        assert "x" in strict_json(formatter.format(record))["extensions"]

    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ({"msg": "%d", "args": ("x",)}, "[message not formatted: TypeError]"),
            ({"msg": "%(a)s", "args": {"b": 1}}, "[message not formatted: KeyError]"),
            ({"msg": "%s and %s", "args": ("x",)}, "[message not formatted: TypeError]"),
            ({"msg": 7}, "7"),
            ({"msg": "a\ud800"}, "a\ufffd"),
        ],
    )
    def test_wrapped_message(self, formatter, attributes, expected):
        """A record is wrapped although its message can't be formatted."""
        event = json.loads(formatter.format(record_of(**attributes)))
        assert expected == event["extensions"]["log"]["message"]
        assert [] == validate_event(event)

    def test_wrapped_exception(self, formatter):
        """Type and text of an exception are kept."""
        try:
            raise KeyError("x")
        except KeyError:
            event = json.loads(formatter.format(record_of(exc_info=sys.exc_info())))
        assert {"type": "KeyError", "text": "'x'"} == event["extensions"]["log"]["exception"]

    def test_exception_without_a_text(self, formatter):
        """Also of one that has no text."""

        class Odd(Exception):
            def __str__(self):
                raise RuntimeError

        error = Odd()
        event = json.loads(formatter.format(record_of(exc_info=(Odd, error, None))))
        assert {"type": "Odd", "text": ""} == event["extensions"]["log"]["exception"]

    def test_same_event_everywhere(self, hilt):
        """A user's own event has the same id in the lines of all handlers."""
        streams = [io.StringIO(), io.StringIO()]
        for stream in streams:
            handler = logging.StreamHandler(stream)
            handler.setFormatter(HILTFormatter())
            hilt.addHandler(handler)
        event = {"actor": {"type": "human", "id": "x"}, "action": "feedback"}
        hilt.info("rated", extra={"hilt": event})
        first, second = (stream.getvalue() for stream in streams)
        assert first == second
        assert "feedback" == json.loads(first)["action"]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"asci": True}, "Invalid option of HILTFormatter: 'asci'. Must be one of: ascii"),
            ({"ascii": "yes"}, "Invalid ascii: 'yes'. Must be true or false"),
            (
                {"max_line_bytes": 1023},
                "Invalid max_line_bytes: 1023. Must be a whole number from 10",
            ),
            (
                {"max_line_bytes": "1 MiB"},
                "Invalid max_line_bytes: '1 MiB'. Must be a whole number",
            ),
            ({"max_line_bytes": True}, "Invalid max_line_bytes: True. Must be a whole number"),
            ({"max_line_bytes": None}, "Invalid max_line_bytes: None. Must be a whole number"),
            ({"fmt": "%(message)s"}, "Invalid fmt: '%(message)s'. A line of HILT has one form"),
            ({"datefmt": "%H"}, "Invalid datefmt: '%H'. A line of HILT has one form"),
            ({"defaults": {}}, "Invalid defaults: {}. A line of HILT has one form"),
            ({"style": "{"}, "Invalid style: '{'. Must be left out"),
        ],
    )
    def test_wrong(self, options, text):
        """A wrong option is named with its value and what is allowed."""
        with pytest.raises(ConfigurationError) as caught:
            HILTFormatter(**options)
        assert str(caught.value).startswith(text)

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"colour": True}, "Invalid option of HILTTextFormatter: 'colour'. Must be one of: "),
            ({"content": 1}, "Invalid content: 1. Must be true or false"),
            ({"content": None}, "Invalid content: None. Must be true or false"),
            ({"color": "auto"}, "Invalid color: 'auto'. Must be true or false"),
            ({"max_text": 0}, "Invalid max_text: 0. Must be a whole number from 1"),
            ({"max_text": True}, "Invalid max_text: True. Must be a whole number from 1"),
        ],
    )
    def test_wrong_text(self, options, text):
        """Likewise of the text formatter."""
        with pytest.raises(ConfigurationError) as caught:
            HILTTextFormatter(**options)
        assert str(caught.value).startswith(text)

    @pytest.mark.parametrize("key", ["class", "()"])
    def test_dict_config(self, hilt, key):
        """It is configured as a class and as a factory."""
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"f": {key: "hilt_logging.HILTFormatter"}},
                "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
                "loggers": {"hilt": {"handlers": ["h"]}},
            }
        )
        stream = io.StringIO()
        hilt.handlers[0].setStream(stream)
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt"})
        assert "prompt" == json.loads(stream.getvalue())["action"]

    def test_wrong_in_dict_config(self):
        """The cause of dictConfig's error says what is wrong."""
        with pytest.raises(ValueError, match="'f'") as caught:
            logging.config.dictConfig(
                {
                    "version": 1,
                    "formatters": {"f": {"()": "hilt_logging.HILTFormatter", "colour": 1}},
                }
            )
        assert "Invalid option of HILTFormatter: 'colour'" in str(caught.value.__cause__)


class TestText:
    @pytest.fixture
    def text(self):
        return HILTTextFormatter(color=False)

    def test_summary(self, text, an_event):
        """Of an event it shows the summary."""
        line = text.format(record_of(an_event(content={"text": "my secret"})))
        assert line.endswith(" INFO    prompt session=conv-42")

    def test_users_own_record(self, text, an_event):
        """Also of a user's record, whose message and arguments may hold content."""
        record = record_of(an_event(), msg="asked: %s", args=("my secret",))
        assert "secret" not in text.format(record)
        assert "asked: my secret" == record.getMessage()

    def test_invalid_event(self, text):
        """Also of what is no event."""
        line = text.format(record_of({"text": "my secret"}, msg="my secret"))
        assert line.endswith(" system session=" + line.rpartition("session=")[2])
        assert "secret" not in line

    def test_ordinary(self, text):
        """An ordinary record looks as ever."""
        assert text.format(record_of(msg="disk %d%%", args=(91,))).endswith(" INFO    disk 91%")

    def test_forms(self, an_event):
        """Format, style, date and defaults are as in logging."""
        form = HILTTextFormatter(
            "{asctime}|{where}|{message}", "%Y", "{", defaults={"where": "here"}, color=False
        )
        record = record_of(an_event(), created=1_772_366_400.0)
        assert "2026|here|prompt session=conv-42" == form.format(record)

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("Hi", '"Hi"'),
            ("a\nb\rc\td", '"a b c d"'),
            ("\x1b[31mred\x07\x9b", '" [31mred  "'),
            ("\u202etxt.exe\u2028", '" txt.exe "'),
            ("\ud800", '"\ufffd"'),
            ("x" * 11, '"' + "x" * 10 + '…"'),
            ("x" * 10, '"' + "x" * 10 + '"'),
        ],
    )
    def test_content(self, an_event, said, shown):
        """On demand it shows content: cut, on one line, nothing that a terminal would obey."""
        form = HILTTextFormatter("%(message)s", content=True, max_text=10, color=False)
        if len(said) > 11:
            said, shown = said[:10], shown.replace(shown[11:-1], "")
        line = form.format(record_of(an_event(content={"text": said})))
        assert f"prompt session=conv-42 {shown}" == line

    def test_no_content(self, an_event):
        """Where there is none, there is none to show."""
        form = HILTTextFormatter("%(message)s", content=True, color=False)
        for event in (an_event(), an_event(content={}), an_event(content={"text": ""})):
            assert "prompt session=conv-42" == form.format(record_of(event))

    @pytest.mark.parametrize(
        ("level", "code"), [("DEBUG", "2"), ("ERROR", "31"), ("CRITICAL", "1;31"), ("MINE", "0")]
    )
    def test_colour(self, level, code):
        """Colour says the level."""
        form = HILTTextFormatter("%(message)s", color=True)
        assert f"\x1b[{code}msaid\x1b[0m" == form.format(record_of(levelname=level))

    @pytest.mark.parametrize(
        ("terminal", "no_color", "coloured"),
        [(True, "", True), (True, "1", False), (False, "", False)],
    )
    def test_colour_by_itself(self, monkeypatch, terminal, no_color, coloured):
        """By default on a terminal only, and not where NO_COLOR is set."""
        stream = io.StringIO()
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("NO_COLOR", no_color)
        assert coloured is HILTTextFormatter("%(message)s").format(record_of()).startswith("\x1b")

    def test_record_is_left(self, text, an_event):
        """The record itself stays as it was for other handlers."""
        record = record_of(an_event(), msg="asked %s", args=("x",))
        text.format(record)
        assert ("asked %s", ("x",)) == (record.msg, record.args)

    def test_lazy_record(self, text, hilt, kept):
        """A record of ours is shown too."""
        emit({"actor": {"type": "human", "id": "x"}, "action": "prompt", "session_id": "s"})
        assert text.format(kept.records[0]).endswith(" INFO    prompt session=s")


def test_public():
    """Both are where YAML files look for them."""
    assert hilt_logging.HILTFormatter is HILTFormatter
    assert hilt_logging.HILTTextFormatter is HILTTextFormatter


def test_text_shows_no_traceback_of_an_event():
    """A traceback beside an event may hold content: it is left out with the rest of it."""
    try:
        raise ValueError("SECRET")
    except ValueError:
        record = logging.getLogger("hilt.app").makeRecord(
            "hilt.app", logging.ERROR, "a.py", 1, "rated", (), sys.exc_info()
        )
    record.hilt = {"actor": {"type": "human", "id": "a"}, "action": "feedback"}
    assert "SECRET" not in HILTTextFormatter(color=False).format(record)
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "options", [{"fmt": 3}, {"style": "x"}, {"fmt": "%(nothing", "style": "%"}]
)
def test_wrong_text_format(options):
    """What logging.Formatter would not take is an error at set-up of our kind."""
    with pytest.raises(hilt_logging.ConfigurationError, match="fmt"):
        HILTTextFormatter(**options)
