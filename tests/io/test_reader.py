"""From a file back to events."""

from __future__ import annotations

import json
import logging
import types

import pytest

import hilt_logging

from hilt_logging.errors import ConfigurationError, HILTError, ReadError
from hilt_logging.io.reader import read


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.jsonl"


@pytest.fixture
def write(path, an_event):
    """Writes bytes, with `$` for a valid line."""
    good = json.dumps(an_event()).encode()

    def write_(text):
        path.write_bytes(text.replace(b"$", good))
        return path

    return write_


class TestGood:
    def test_events(self, write, an_event):
        """The events come in the file's order, as typed objects."""
        found = list(read(write(b"$\n$\n")))
        assert [an_event()] * 2 == [event.to_dict() for event in found]
        assert hilt_logging.Event is type(found[0])

    @pytest.mark.parametrize(
        "text",
        [b"$", b"$\n", b"\n\n$\n \t\n", b"$\r\n", b"\r\n$\r\n", b"\xef\xbb\xbf$\n", b"  $  \n",
         b"\xef\xbb\xbf\n$"],
    )  # fmt: skip
    def test_tolerated(self, write, text):
        """Blank lines, spaces, a BOM, CR LF and a missing end do no harm."""
        assert 1 == len(list(read(write(text))))

    @pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b\u0085c", "a\rb\x0bc\x0cd\x1ce", "a\nb"])
    def test_lines_end_at_newlines_only(self, path, an_event, text):
        """A line break within a text ends no line, raw or escaped."""
        line = json.dumps(an_event(content={"text": text}), ensure_ascii=False)
        path.write_text(line + "\n", "utf-8", newline="")
        assert [text] == [event.content.text for event in read(path)]

    def test_huge_line(self, path, an_event):
        """A line of 15 MB is read."""
        path.write_text(json.dumps(an_event(x=["y" * 1_000_000] * 15)) + "\n")
        (event,) = read(path, errors="raise")
        assert 15 == len(event.unknown_fields["x"])

    def test_streaming(self, write):
        """What was read is there before the next line is looked at."""
        found = read(write(b"$\nbroken\n"))
        assert isinstance(found, types.GeneratorType)
        assert "prompt" == next(found).action
        with pytest.raises(ReadError):
            next(found)

    def test_empty(self, write):
        """An empty file has no events."""
        assert [] == list(read(write(b"")))

    def test_str_path(self, write):
        """A path may be text."""
        assert 1 == len(list(read(str(write(b"$\n")))))


BAD = [
    b"broken", b"{", b"[]", b"null", b"{}", b'{"a":1}', b"\xff\xfe", b"\0\0\0\0", b"[" * 3000,
    b'{"hilt_version":"9"}', b"NaN", b'{"a":"\xed\xa0\x80"}',
]  # fmt: skip


class TestBad:
    @pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
    def test_raise(self, write, line):
        """A line that is no event raises with file and number, as a HILTError."""
        found = read(write(b"$\n\n" + line + b"\n$\n"))
        next(found)
        with pytest.raises(HILTError) as caught:
            next(found)
        error = caught.value
        assert f"{error.path}, line 3: not an event: " == str(error)[: len(error.path) + 24]
        assert 3 == error.line

    @pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
    def test_skip(self, write, line):
        """Or it is reported, and reading goes on."""
        reported = []
        found = list(read(write(b"$\n" + line + b"\n$\n"), errors="skip", report=reported.append))
        assert (2, [2]) == (len(found), [error.line for error in reported])

    def test_torn_end(self, write):
        """A last line without its end is told as such."""
        reported = []
        list(read(write(b'$\n{"torn": "my secr'), errors="skip", report=reported.append))
        assert "(the line has no end)" in str(reported[0])
        assert "secr" not in str(reported[0])

    def test_report_by_default(self, write, caplog):
        """By default the report is a warning on our own logger, without content."""
        list(read(write(b'{"text": "my secret"}\n$\n'), errors="skip"))
        (record,) = caplog.records
        assert ("hilt_logging.io.reader", logging.WARNING) == (record.name, record.levelno)
        assert "line 1" in record.getMessage()
        assert "secret" not in record.getMessage()

    def test_faults_are_told(self, write):
        """The reason names the fields."""
        with pytest.raises(ReadError, match=r"\$\.actor: is required"):
            list(read(write(b'{"action": "prompt"}\n')))

    def test_missing(self, tmp_path):
        """A missing file is told by its name, once reading begins."""
        found = read(tmp_path / "nope.jsonl")
        with pytest.raises(HILTError, match=f"^File not found: {tmp_path}/nope.jsonl$"):
            next(found)

    def test_missing_is_no_line(self, tmp_path):
        """It is not skipped."""
        with pytest.raises(ReadError, match="File not found"):
            list(read(tmp_path / "nope.jsonl", errors="skip"))

    def test_directory(self, tmp_path):
        """A directory can't be read."""
        with pytest.raises(ReadError, match="directory"):
            list(read(tmp_path))

    @pytest.mark.parametrize("errors", ["ignore", None, ""])
    def test_wrong_option(self, path, errors):
        """A wrong option raises at the call, not at the first event."""
        with pytest.raises(ConfigurationError, match="Must be one of: raise, skip"):
            read(path, errors=errors)


def test_hilt_python(path, an_event):
    """Lines of hilt-python are read: no version, offsets, costs as text, fields of its own."""
    line = an_event(
        timestamp="2025-01-02T04:04:05.5+01:00",
        metrics={"cost_usd": "0,0005", "tokens": {"prompt": 1}},
        actor={"type": "agent", "id": "a", "did": "did:x"},
        content={"text": "x", "text_hash": "sha256:" + "0" * 64},
        privacy={"pii_detected": []},
        integrity={"signature": "s"},
        extra_field=[1],
    )
    del line["hilt_version"]
    path.write_text(json.dumps(line) + "\n")
    (event,) = read(path)
    plain = event.to_dict()
    assert {
        **line,
        "hilt_version": "1.0.0",
        "timestamp": "2025-01-02T03:04:05.500000Z",
        "metrics": {"cost_usd": 0.0005, "tokens": {"prompt": 1}},
        "extensions": {"original": {"metrics.cost_usd": "0,0005"}},
    } == plain
    assert "integrity" == list(plain)[-1]
