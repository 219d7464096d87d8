"""From a file back to events."""

from __future__ import annotations

import codecs
import datetime
import errno
import gzip
import json
import logging
import os
import sys
import tracemalloc
import types

import hypothesis.strategies as st
import msgspec
import pytest

from hypothesis import given, settings

import hilt_logging

from hilt_logging.errors import ConfigurationError, HILTError, ReadError
from hilt_logging.events import encode
from hilt_logging.io import _decoding, files
from hilt_logging.io.reader import Faults, check, read, scan


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


@pytest.fixture
def faults():
    """Counts what can't be read."""
    return Faults()


def ids(found):
    return [event.event_id for event in found]


class Fields(msgspec.Struct, gc=False):
    event_id: str
    model: str | None = None


TEXTS = st.text(max_size=30)
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS
LEAVES |= st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
EVENTS = st.fixed_dictionaries(
    {
        "event_id": st.text(min_size=1, max_size=10),
        "timestamp": st.datetimes(datetime.datetime(1000, 1, 1)).map(
            lambda when: when.isoformat(timespec="microseconds") + "Z"
        ),
        "session_id": st.text(min_size=1, max_size=10),
        "actor": st.fixed_dictionaries(
            {"type": st.sampled_from(["human", "agent"]), "id": st.text(min_size=1, max_size=10)},
            optional={"name": TEXTS, "metadata": st.dictionaries(TEXTS, VALUES, max_size=2)},
        ),
        "action": st.sampled_from(hilt_logging.events.ACTIONS),
    },
    optional={
        "content": st.fixed_dictionaries({}, optional={"text": TEXTS, "unknown_fields": VALUES}),
        "metrics": st.fixed_dictionaries(
            {}, optional={"latency_ms": st.integers(0, 2**40), "cost_usd": st.floats(0, 9)}
        ),
        "extensions": st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3),
        "of_another_version": VALUES,
    },
)


class TestRoundTrip:
    @settings(max_examples=50, deadline=None)
    @given(events=st.lists(EVENTS, max_size=8))
    def test_any_events(self, tmp_path_factory, events):
        """What is written is read: typed, as dicts and in part; all ways agree."""
        path = tmp_path_factory.mktemp("any") / "a.jsonl"
        events = [{"hilt_version": "1.0.0", **event} for event in events]
        path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
        typed, plain = list(read(path)), list(read(path, typed=False))
        assert events == plain
        assert [hilt_logging.Event.from_dict(event).to_dict() for event in events] == [
            event.to_dict() for event in typed
        ]
        assert ids(typed) == ids(scan(path, Fields))
        assert [len(events)] == list(check(path, report=pytest.fail))

    def test_fast_and_slow(self, path, an_event):
        """Good lines come out the same beside bad ones as without them."""
        event = an_event(
            content={"text": "x"}, metrics={"latency_ms": 1, "tokens": {"prompt": 2}},
            privacy={"redaction_applied": True}, extensions={"a": [1]}, integrity={"seq": 1},
        )  # fmt: skip
        line = encode(event) + b"\n"
        path.write_bytes(line)
        (alone,) = read(path)
        path.write_bytes(line + b"broken\n")
        (beside,) = read(path, errors="skip", report=lambda error: None)
        assert alone == beside
        assert type(alone.actor) is type(beside.actor) is hilt_logging.Actor

    @pytest.mark.parametrize(
        "line", ["$$", "$ $", "$\n\n", '{"a":\n$}', "$,$", "[$]"], ids=range(6)
    )  # fmt: skip
    def test_one_line_one_event(self, write, faults, line):
        """Two events on one line, or one on two lines, are not taken for events."""
        found = list(read(write(f"$\n{line}\n$\n".encode()), errors="skip", report=faults))
        lines = [part for part in line.split("\n") if part]
        good = sum(1 for part in lines if part == "$")
        assert (2 + good, len(lines) - good) == (len(found), faults.count)


class TestManyFiles:
    @pytest.fixture
    def log(self, path, an_event):
        """A log of which some files were rotated and compressed."""
        names = [".20261121T101112.000000000Z.gz", ".20261122T101112.000000000Z", ""]
        for number, name in enumerate(names):
            data = encode(an_event(event_id=str(number))) + b"\n"
            file = path.with_name(path.name + name)
            file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def test_rotated(self, log):
        """A log is read with what was rotated, the oldest first, or without."""
        assert ["0", "1", "2"] == ids(read(log))
        assert ["2"] == ids(read(log, rotated=False))
        assert ["2"] == ids(hilt_logging.Session(log).read())

    def test_paths(self, log, an_event):
        """Several files, folders and patterns; a file that is meant twice is read once."""
        other = log.with_name("other.jsonl")
        other.write_bytes(encode(an_event(event_id="3")))
        assert ["0", "1", "2", "3"] == ids(read(log.parent))
        assert ["0", "1", "2", "3"] == ids(read(other, log, log.parent / "*.jsonl"))
        assert ["0", "1", "2", "3"] == ids(scan([log, str(other)], Fields))

    def test_standard_input(self, monkeypatch, an_event):
        """`-` is standard input, also a pipe."""
        reading, writing = os.pipe()
        os.write(writing, encode(an_event(event_id="piped")) + b"\nbroken\n")
        os.close(writing)
        with open(reading) as source:
            monkeypatch.setattr(sys, "stdin", source)
            found = read("-")
            assert "piped" == next(found).event_id
            with pytest.raises(ReadError, match="standard input, line 2"):
                next(found)

    def test_rotated_meanwhile(self, log):
        """A log that is rotated and compressed while it is read is read as it was."""
        found = read(log)
        assert "0" == next(found).event_id
        older = f"{log}.20261122T101112.000000000Z"
        with open(older, "rb") as source, gzip.open(f"{older}.gz", "wb") as target:
            target.write(source.read())
        os.unlink(older)
        log.rename(f"{log}.20261123T101112.000000000Z")
        log.write_bytes(b"later\n")
        assert ["1", "2"] == ids(found)

    def test_unreadable_among_many(self, log, faults, monkeypatch):
        """A file that can't be opened or read to its end is reported, the others are read."""
        good = log.with_name("z.jsonl")
        good.write_bytes(log.read_bytes())
        real = open

        def opened(name, *args, **options):
            if str(name) == str(log):
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(name, *args, **options)

        monkeypatch.setattr(files, "open", opened, raising=False)
        monkeypatch.setattr(hilt_logging.io.reader, "open", opened, raising=False)
        found = ids(read(log, good, log.with_name("no"), errors="skip", report=faults))
        assert ["0", "1", "2"] == found
        assert {str(log): 1, str(log.with_name("no")): 1} == faults.files

    def test_gzip_ends_early(self, path, faults, an_event):
        """Of a compressed file that ends early, what can be had is read, then it is reported."""
        lines = b"".join(
            encode(an_event(event_id=str(number), x=os.urandom(300).hex())) + b"\n"
            for number in range(400)
        )
        path.write_bytes(gzip.compress(lines)[:-5000])
        found = ids(read(path, errors="skip", report=faults))
        assert found == list(map(str, range(len(found))))
        assert 350 < len(found) < 400
        assert "the compressed file ends early" == faults.first[-1].reason
        with pytest.raises(ReadError, match=r"ends early|has no end"):
            list(read(path))

    def test_shrinks(self, path, faults, monkeypatch, an_event):
        """A file that gets shorter while it is read is read as far as it goes, and reported."""
        monkeypatch.setattr(hilt_logging.io.reader, "BLOCK", 1000)
        path.write_bytes((encode(an_event()) + b"\n") * 100)
        found = read(path, errors="skip", report=faults)
        next(found)
        os.truncate(path, 2000)
        assert len(list(found)) < 20
        assert "It became shorter while it was read" == faults.first[-1].reason

    def test_zstd_missing(self, log, faults, monkeypatch):
        """Where Zstandard can't be unpacked, the file is reported with the extra that is missing."""
        for name in ("backports", "backports.zstd", "compression", "compression.zstd"):
            monkeypatch.setitem(sys.modules, name, None)
        log.with_name("z.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd0000")
        assert 3 == len(list(read(log.parent, errors="skip", report=faults)))
        assert "hilt-logging[zstd]" in faults.first[0].reason

    def test_no_path(self):
        """There must be something to read."""
        with pytest.raises(ConfigurationError, match="Give at least one"):
            read()


class TestDamage:
    def test_bom_and_utf_16(self, path, faults, an_event):
        """A BOM is passed over; a file in UTF-16 is reported once, not line by line."""
        line = json.dumps(an_event()) + "\n"
        path.write_bytes(codecs.BOM_UTF8 + line.encode())
        assert 1 == len(list(read(path)))
        for encoding in ("utf-16-le", "utf-16-be"):
            path.write_bytes(("\ufeff" + line * 5).encode(encoding))
            assert [] == list(read(path, errors="skip", report=faults))
        assert ["it is UTF-16, and must be UTF-8"] * 2 == [each.reason for each in faults.first]

    def test_latin_1(self, write, faults):
        """A line in another encoding is reported without its words; the others are read."""
        found = read(write(b'$\n{"x": "caf\xe9 secret"}\n$\n'), errors="skip", report=faults)
        assert (2, [2]) == (len(list(found)), [each.line for each in faults.first])
        assert "secret" not in str(faults.first[0])

    def test_nul_bytes(self, write, faults):
        """NUL bytes are reported with their number; an event behind them is read."""
        found = read(write(b"$\n\0\0\0\n\0\0$\n$"), errors="skip", report=faults)
        assert 3 == len(list(found))
        assert ["not an event: 3 NUL bytes", "not an event: 2 NUL bytes"] == [
            each.reason for each in faults.first
        ]
        assert [2, 3] == [each.line for each in faults.first]

    @pytest.mark.parametrize("end", [b"\n", b""])
    def test_large_hole(self, path, faults, an_event, end):
        """A hole of 100 MB takes no memory, and the event behind it is read."""
        line = encode(an_event(event_id="behind")) + b"\n" if end else b""
        with open(path, "wb") as file:
            file.write(encode(an_event(event_id="before")) + b"\n")
            file.truncate(100_000_000)
            file.seek(0, os.SEEK_END)
            file.write(line)
        tracemalloc.start()
        try:
            found = ids(read(path, errors="skip", report=faults))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (["before", "behind"] if end else ["before"]) == found
        assert [2] == [each.line for each in faults.first]
        assert peak < 80_000_000

    @pytest.mark.parametrize("packed", [False, True])
    def test_line_of_100_mb(self, path, faults, an_event, packed):
        """A line of 100 MB is reported with its number and not held; what follows is read."""
        line = encode(an_event()) + b"\n"
        with gzip.open(path, "wb", 1) if packed else open(path, "wb") as file:
            file.write(line + b'{"x":"')
            for _ in range(100):
                file.write(b"x" * 1_000_000)
            file.write(b'"}\n' + line + b"broken\n")
        tracemalloc.start()
        try:
            found = list(read(path, errors="skip", report=faults))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert 2 == len(found)
        assert [2, 4] == [each.line for each in faults.first]
        assert peak < 80_000_000

    def test_deep(self, write, faults):
        """A line that nests without end is reported."""
        found = read(write(b"$\n" + b'{"a":' * 100_000 + b"\n$\n"), errors="skip", report=faults)
        assert (2, [2]) == (len(list(found)), [each.line for each in faults.first])

    def test_numbers_of_lines(self, path, faults, an_event):
        """Line numbers are right behind thousands of good lines, blank ones and bad ones."""
        good = encode(an_event()) + b"\n"
        parts = [good * 1000, b"\n" * 10, good, b"bad\n", good * 1000, b"worse\n", good]
        path.write_bytes(b"".join(parts))
        assert 2002 == len(list(read(path, errors="skip", report=faults)))
        assert [1012, 2013] == [each.line for each in faults.first]

    def test_faults(self, write):
        """An error tells each fault of a line that is JSON with its path; all are counted."""
        passed_on = []
        faults = Faults(passed_on.append, keep=1)
        bad = b'{"action": "prompt", "actor": {"id": ""}}\n'
        assert [] == list(read(write(bad * 3), errors="skip", report=faults))
        assert (3, 1, 3) == (faults.count, len(faults.first), len(passed_on))
        assert "$.actor.type: is required" in faults.first[0].faults
        assert "$.actor.id: must not be empty" in faults.first[0].faults


class TestSelection:
    @pytest.fixture
    def log(self, path, an_event):
        """A log of events at several times, by several people."""
        with open(path, "wb") as file:
            for number in range(200):
                extensions = {"user_id": f"u{number % 3}", "n": number} if number % 5 else {}
                event = an_event(
                    event_id=str(number),
                    timestamp=f"2026-01-{1 + number // 10:02}T00:00:00.000000Z",
                    action=["prompt", "completion"][number % 2],
                    extensions=extensions,
                    metrics={"tokens": {"prompt": number}},
                )
                file.write(encode(event) + b"\n")
        return path

    CASES = (
        ({"since": "2026-01-19"}, lambda n: n >= 180),
        ({"until": "2026-01-02T00:00:00Z"}, lambda n: n < 10),
        ({"since": datetime.datetime(2026, 1, 3), "until": "2026-01-03T01:00:00+01:00"},
         lambda n: False),
        ({"since": "2026-01-03", "until": "2026-01-04"}, lambda n: 20 <= n < 30),
        ({"where": {"event_id": ["3", "5", "none"]}}, lambda n: n in (3, 5)),
        ({"where": {"event_id": [*map(str, range(50)), None, []]}}, lambda n: n < 50),
        ({"where": {"metrics.tokens.prompt": [*map(str, range(9)), 7, None]}}, lambda n: n == 7),
        ({"where": {"extensions.user_id": "u1"}}, lambda n: n % 5 and n % 3 == 1),
        ({"where": {"extensions.user_id": None}}, lambda n: n % 5 == 0),
        ({"where": {"extensions.user_id": {"u1", None}, "action": "prompt"}},
         lambda n: n % 2 == 0 and (n % 5 == 0 or n % 3 == 1)),
        ({"where": {"metrics.tokens.prompt": 7}}, lambda n: n == 7),
        ({"where": {"no.such.field": "x"}}, lambda n: False),
        ({"where": {"actor.id": "alice", "actor.type": "human"}, "since": "2026-01-20"},
         lambda n: n >= 190),
        ({"where": {"timestamp": "2026-01-01T00:00:00.000000Z"}}, lambda n: n < 10),
        ({"where": {}}, lambda n: True),
    )  # fmt: skip

    @pytest.mark.parametrize(("options", "wanted"), CASES, ids=range(len(CASES)))
    @pytest.mark.parametrize("beside", [b"", b"broken\n"], ids=["good", "beside a bad line"])
    def test_selected(self, log, faults, options, wanted, beside):
        """Only what is asked for comes, in each of the forms, beside bad lines, too."""
        log.write_bytes(beside + log.read_bytes())
        expected = [str(number) for number in range(200) if wanted(number)]
        skip = {"errors": "skip", "report": faults}
        assert expected == ids(read(log, **skip, **options))
        assert expected == [
            event["event_id"] for event in read(log, typed=False, **skip, **options)
        ]
        assert expected == ids(scan(log, Fields, **skip, **options))
        assert 3 * bool(beside) == faults.count

    def test_other_notations(self, path, an_event):
        """Times with an offset, and fields of another shape, are compared as what they are."""
        lines = [
            an_event(event_id="1", timestamp="2026-01-01T01:00:00+01:00", extensions={"a": "b"}),
            an_event(event_id="2", timestamp="2025-12-31T23:59:59Z", extensions={"a": {"b": 1}}),
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert ["1"] == ids(read(path, since="2026-01-01"))
        assert ["2"] == ids(read(path, where={"extensions.a.b": 1}))

    def test_not_selected_but_wrong(self, write, faults):
        """What is left out need only be JSON; what is taken is checked whole."""
        lines = b'{"session_id": "other"}\n{"session_id": "conv-42"}\nbroken\n$\n'
        options = {"where": {"session_id": "conv-42"}, "errors": "skip", "report": faults}
        assert 1 == len(list(read(write(lines), **options)))
        assert [2, 3] == [each.line for each in faults.first]

    @pytest.mark.parametrize(
        "options",
        [
            {"since": "yesterday"},
            {"until": 5},
            {"where": {"a": 1, "a.b": 2}},
            {"where": {"a.b": 1, "a": 2}},
            {"where": {'"': 1}},
        ],
    )
    def test_wrong_option(self, path, options):
        """An option that can't be meant is an error at the call."""
        with pytest.raises(ConfigurationError):
            read(path, **options)


class TestScan:
    def test_fields(self, path, an_event):
        """A struct gets what it names, under its own names."""

        class Usage(msgspec.Struct):
            identity: str = msgspec.field(name="event_id")
            extensions: dict[str, int] = {}

        path.write_bytes(encode(an_event(event_id="1", extensions={"a": 1})) + b"\n")
        (found,) = scan(path, Usage)
        assert isinstance(found, Usage)
        assert ("1", {"a": 1}) == (found.identity, found.extensions)

    @pytest.mark.parametrize(
        "lack", ["event_id", "timestamp", "session_id", "actor", "action"]
    )  # fmt: skip
    def test_is_an_event(self, path, faults, an_event, lack):
        """A line that lacks what makes an event is reported, whatever the struct asks for."""
        event = an_event()
        del event[lack]
        path.write_text(json.dumps(event) + "\n")
        assert [] == list(scan(path, Fields, errors="skip", report=faults))
        assert f"$.{lack}: is required" in faults.first[0].faults

    def test_hilt_python(self, path, an_event):
        """Times and costs of other versions come as ours."""

        class Row(msgspec.Struct):
            timestamp: str
            metrics: dict[str, float]

        line = an_event(timestamp="2025-01-02T04:04:05+01:00", metrics={"cost_usd": "0,5"})
        path.write_text(json.dumps(line) + "\n")
        (found,) = scan(path, Row)
        assert ("2025-01-02T03:04:05.000000Z", {"cost_usd": 0.5}) == (
            found.timestamp,
            found.metrics,
        )

    def test_of_another_type(self, path, faults, an_event):
        """A field that does not fit the struct is reported by its path."""

        class Row(msgspec.Struct):
            extensions: dict[str, int]

        path.write_text(json.dumps(an_event(extensions={"a": "secret"})) + "\n")
        assert [] == list(scan(path, Row, errors="skip", report=faults))
        assert "$.extensions" in faults.first[0].reason
        assert "secret" not in faults.first[0].reason


def test_bounded_memory(path, an_event):
    """How long a file is costs no memory."""
    path.write_bytes((encode(an_event(content={"text": "x" * 1000})) + b"\n") * 20_000)
    tracemalloc.start()
    try:
        assert 20_000 == sum(1 for _ in read(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * _decoding.BLOCK
