"""What commands print, and files that appear whole or not at all."""

from __future__ import annotations

import io
import json
import os
import stat
import sys

import pytest

from hilt_logging.cli import _output
from hilt_logging.cli._output import output, printable
from hilt_logging.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüße, 你好\t🙂", "Grüße, 你好\t🙂"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\x9b2J", "\\u009b2J"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("\x07\x08\x7f\r\x00", "\\u0007\\u0008\\u007f\\u000d\\u0000"),
        ("\ud800", "\\ud800"),
    ],
)
def test_printable(text, expected):
    """What could move the cursor, change colours or turn a text around is shown as what it is."""
    assert expected == printable(text)


def test_file(tmp_path):
    """A file appears when it is whole, and only its owner can read it."""
    path = tmp_path / "out.jsonl"
    with output(str(path)) as write:
        write(b"a\n")
        assert not path.exists()
        write(b"b\n")
    assert b"a\nb\n" == path.read_bytes()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert ["out.jsonl"] == os.listdir(tmp_path)


def broken(path, **options):
    """An output whose making an error ends."""
    with pytest.raises(KeyboardInterrupt), output(str(path), **options) as write:
        write(b"half")
        raise KeyboardInterrupt


def test_error(tmp_path):
    """Where an error ends it, nothing is left behind."""
    broken(tmp_path / "out.jsonl")
    assert [] == os.listdir(tmp_path)


def test_error_with_force(tmp_path):
    """A file that was to be replaced stays what it is where an error ends it."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")
    broken(path, force=True)
    assert b"old" == path.read_bytes()
    assert ["out.jsonl"] == os.listdir(tmp_path)


def test_file_that_is_there(tmp_path):
    """A file that is there is an error that names the remedy; with `force` it is replaced."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")
    with pytest.raises(ConfigurationError, match="--force"), output(str(path)):
        raise AssertionError("it was begun")
    assert b"old" == path.read_bytes()
    with output(str(path), force=True) as write:
        write(b"new")
    assert b"new" == path.read_bytes()


@pytest.mark.parametrize("links", [True, False])
def test_file_that_somebody_else_made(tmp_path, monkeypatch, links):
    """A file that appears in the meantime is not written over."""
    path = tmp_path / "out.jsonl"
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    with pytest.raises(ConfigurationError, match="by now"), output(str(path)) as write:
        write(b"ours")
        path.write_bytes(b"theirs")
    assert b"theirs" == path.read_bytes()
    assert ["out.jsonl"] == os.listdir(tmp_path)


def _no_links(source, target):
    raise PermissionError(1, "Operation not permitted")


def test_file_system_without_links(tmp_path, monkeypatch):
    """Where a file can't have two names, it is given its name all the same."""
    monkeypatch.setattr(os, "link", _no_links)
    with output(str(tmp_path / "out.jsonl")) as write:
        write(b"whole")
    assert b"whole" == (tmp_path / "out.jsonl").read_bytes()
    assert ["out.jsonl"] == os.listdir(tmp_path)


def test_link(tmp_path):
    """Where a name is a link, what it leads to is replaced."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with output(str(tmp_path / "link"), force=True) as write:
        write(b"new")
    assert (True, b"new") == ((tmp_path / "link").is_symlink(), (tmp_path / "real").read_bytes())


@pytest.mark.parametrize("name", ["", "nowhere/out.jsonl"])
def test_file_that_cannot_be(tmp_path, name):
    """A folder, or a file in none, is an error that names it."""
    with (
        pytest.raises(ConfigurationError, match=str(tmp_path)),
        output(str(tmp_path / name), force=True),
    ):
        raise AssertionError("it was begun")


def test_device():
    """What is no file is written to, and not replaced."""
    with output(os.devnull) as write:
        write(b"gone")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("path", [None, "-"])
def test_stdout(capfdbinary, path):
    """Without a file, bytes go to stdout as they are."""
    with output(path) as write:
        write("\x9b Grüße\xff\n".encode())
        write(b"\xff\n")
    assert "\x9b Grüße\xff\n".encode() + b"\xff\n" == capfdbinary.readouterr().out


def test_terminal(capsys, monkeypatch):
    """On a terminal a line can do nothing but be read, and is still the same JSON."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    line = json.dumps({"text": "\x9b2J\x7f \u202e Grüße"}, ensure_ascii=False)
    with output(None) as write:
        write(f"{line}\n".encode())
    shown = capsys.readouterr().out
    assert shown.isprintable() or shown[:-1].isprintable()
    assert json.loads(line) == json.loads(shown)


def test_json_line(capsys, tmp_path):
    """What is no JSON by itself is written as its text."""
    _output.json_line({"file": tmp_path})
    assert {"file": str(tmp_path)} == json.loads(capsys.readouterr().out)


def test_json_line_with_the_name_of_a_file_that_is_no_text(capsys):
    """A file whose name is no UTF-8 can be told in JSON, too."""
    _output.json_line({"file": "bad\udcff.jsonl", "n": 1})
    printed = capsys.readouterr().out
    assert {"file": "bad\udcff.jsonl", "n": 1} == json.loads(printed)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", "\\u20ac \\ud83d\\ude42 a\\u00e9"), ("latin-1", "\\u20ac \\ud83d\\ude42 aé")],
)
def test_encodings(encoding, expected):
    """What an encoding does not have is written as JSON writes it."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    _output.show_every_character(stream)
    stream.write("€ 🙂 aé")
    stream.flush()
    assert expected == raw.getvalue().decode(encoding)
    assert "€ 🙂 aé" == json.loads(f'"{expected}"')
