"""Configurations as they lie in files: YAML, JSON, TOML and ini, with the place of each key."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import textwrap

from pathlib import Path

import pytest

from hilt_logging import emit, events
from hilt_logging.diagnosis import LOGGERS, diagnose
from hilt_logging.errors import ConfigurationError, MissingDependencyError, ReadError


yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent.parent
CONFIG = {
    "version": 1,
    "handlers": {"events": {"class": "hilt_logging.HILTFileHandler", "filename": "a.jsonl"}},
    "loggers": {"hilt": {"level": "WARNING", "handlers": ["events"]}},
}
TOML = """
version = 1
[handlers.events]
class = "hilt_logging.HILTFileHandler"
filename = "a.jsonl"
[loggers.hilt]
level = "WARNING"
handlers = ["events"]
"""
INI = """
[loggers]
keys=root,hilt

[handlers]
keys=console,events

[formatters]
keys=text

[logger_root]
level=WARNING
handlers=console

[logger_hilt]
qualname=hilt
level=INFO
propagate=0
handlers=events

[handler_console]
class=StreamHandler
args=(sys.stderr,)
formatter=text

[handler_events]
class=hilt_logging.HILTFileHandler
args=('app.jsonl',)
kwargs={'max_bytes': 1000000}

[formatter_text]
format=%(asctime)s %(message)s
"""


def told(found):
    return [f"{each.severity} {each.code} {each.where}" for each in found.problems]


def write(folder, name, text):
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.yaml", yaml.safe_dump(CONFIG), 9),
        ("a.yml", "# a comment\n" + yaml.safe_dump(CONFIG), 10),
        ("a.json", json.dumps(CONFIG), None),
        ("a.conf", json.dumps(CONFIG), None),
        ("config", yaml.safe_dump(CONFIG), 9),
        ("a.toml", TOML, None),
        ("bom.json", "\ufeff" + json.dumps(CONFIG), None),
    ],
)
def test_formats(folder, name, text, line):
    """The same is said of YAML, JSON and TOML; of YAML with the line."""
    found = diagnose(write(folder, name, text))
    (problem,) = found.problems
    assert ("level", "loggers.hilt.level", line) == (problem.code, problem.where, problem.line)
    assert name == found.file


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.yaml", "version: 1\nloggers: {}\nloggers: {}\n", "loggers"),
        ("b.yaml", "version: 1\nhandlers:\n  a: {level: INFO, level: ERROR}\n", "handlers.a.level"),
        ("a.json", '{"version": 1, "loggers": {}, "loggers": {}}', "loggers"),
    ],
)
def test_key_twice(folder, name, text, where):
    """A key that is there twice is told: the last one counts, without a word."""
    assert f"warning key-twice {where}" in told(diagnose(write(folder, name, text)))


def test_keys_of_the_same_name(folder):
    """Keys of one name in different places, and what is merged, are no key that is there twice."""
    text = """
        base: &base {class: hilt_logging.HILTFileHandler, create_dirs: true}
        version: 1
        handlers:
          a: {<<: *base, filename: a.jsonl}
          b: {<<: *base, filename: b.jsonl}
        loggers: {hilt: {level: INFO, handlers: [a, b]}}
    """
    assert ["warning unknown-key base"] == told(diagnose(write(folder, "a.yaml", text)))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "version: 1\nhandlers: {a: [}\n", "line 2: "),
        ("b.yaml", "a: !!python/object:os.system {}\n", "line 1: could not determine"),
        ("c.yaml", "- 1\n", "It has no keys"),
        ("a.json", '{"version": 1,\n "x": }', "line 2: it is no JSON"),
        ("b.json", "[1]", "It has no keys"),
        ("c.json", "[" * 100_000, "it is nested too deep"),
        ("a.toml", "version = \n", "it is no TOML"),
        ("a.ini", "[loggers\n", "contains no section headers"),
        ("b.ini", "[a]\n[a]\n", "section 'a' already exists"),
    ],
)
def test_no_configuration(folder, name, text, expected):
    """What can't be parsed is an error with its line, without its text."""
    with pytest.raises(ConfigurationError) as caught:
        diagnose(write(folder, name, text))
    assert expected.lower() in str(caught.value).lower()


def test_unreadable(folder):
    """So is a file that is not there, a folder, and bytes that are no text."""
    (folder / "a.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("gone.yaml", "folder", "a.yaml"):
        with pytest.raises(ReadError):
            diagnose(name)


def test_empty(folder):
    """An empty file configures nothing."""
    assert "error version version" in told(diagnose(write(folder, "a.yaml", "")))


def test_without_yaml(folder, monkeypatch):
    """Without PyYAML the extra is named."""
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match="yaml"):
        diagnose(write(folder, "a.yaml", "version: 1"))


def _example(name):
    text = (ROOT / "logging.example.yaml").read_text("utf-8")
    return text.replace(f"#[{name}]", "")


@pytest.mark.once
@pytest.mark.parametrize(
    "name", ["", "stdout", "redacted", "json", "shipper", "sampling", "apart", "model"]
)
def test_example(folder, name):
    """logging.example.yaml is without a problem, as it stands and with each alternative."""
    if name == "json":
        pytest.importorskip("pythonjsonlogger")
    found = diagnose(write(folder, "logging.yaml", _example(name)))
    assert [] == found.problems
    assert all(way.written == ("INFO", "WARNING", "ERROR") for way in found.ways)


def _configs_of_the_docs():
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text("utf-8")
        for found in re.finditer(r"^( *)```yaml\n(.*?)^\1```$", text, re.M | re.S):
            body = textwrap.dedent(found[2])
            line = text[: found.start()].count("\n") + 2
            is_wrong = "not run: it is wrong" in text[: found.start()][-120:]
            if re.search("^version: 1$", body, re.M) and not is_wrong:
                yield pytest.param(body, id=f"{path.name}:{line}")


@pytest.mark.once
@pytest.mark.parametrize("text", [*_configs_of_the_docs()])
def test_docs(folder, text):
    """No configuration of the docs has a problem, once its keys are made."""
    pytest.importorskip("cryptography")
    from hilt_logging.safeguards import jwk, sealing

    if "pythonjsonlogger" in text:
        pytest.importorskip("pythonjsonlogger")
    text = re.sub(r"/(etc/hilt|var/lib/app)/", "", text)
    for name in set(re.findall(r"[\w-]+(?=\.(?:key|pub)\.jwk)", text)):
        made = jwk.generate("Ed25519" if "sign" in name else "P-256")
        jwk.write_new(f"{name}.key.jwk", made)
        jwk.write_new(f"{name}.pub.jwk", jwk.public_of(made))
    for name in set(re.findall(r"[\w-]+\.seal\b", text)):
        sealing.write_new(name, sealing.generate(), force=True)
    found = diagnose(write(folder, "logging.yaml", text))
    assert [] == [each for each in told(found) if not each.startswith("info")]


def test_ini(folder):
    """An ini file for `fileConfig` is understood."""
    found = diagnose(write(folder, "logging.ini", INI))
    assert [] == found.problems
    (file,) = [each for each in found.destinations if each.writes == "events"]
    assert str(folder / "app.jsonl") == file.to
    assert {("INFO", "WARNING", "ERROR")} == {way.written for way in found.ways}


@pytest.mark.parametrize(
    ("old", "new", "expected", "line"),
    [
        ("level=INFO", "level=ERROR", "error level [logger_hilt] level", 17),
        ("level=INFO", "level=LOUD", "error no-level [logger_hilt] level", 17),
        ("kwargs={'max_bytes': 1000000}", "kwargs={'x': 1}", "error refused [handler_events]", 26),
        ("args=('app.jsonl',)", "args=()", "error refused [handler_events]", 26),
        ("class=hilt_logging.HILTFileHandler", "", "error missing handlers.events.class", 26),
        ("qualname=hilt\n", "", "error no-section [logger_hilt]", 15),
        ("[logger_hilt]", "[logger_hi]", "error no-section [logger_hilt]", None),
        ("keys=root,hilt", "keys=hilt", "error no-section [loggers] keys", 3),
        ("handlers=events", "handlers=event", "error no-such-name [logger_hilt] handlers", 19),
        ("qualname=hilt\n", "qualname=shop\n", "error disabled disable_existing_loggers", None),
    ],
)
def test_mistakes_of_ini(folder, old, new, expected, line):
    """Its mistakes are told with section and line."""
    assert old in INI
    found = diagnose(write(folder, "logging.ini", INI.replace(old, new)))
    places = {f"{each.severity} {each.code} {each.where}": each.line for each in found.problems}
    assert expected in places
    assert line == places[expected]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("level=INFO", "level=ERROR"),
        ("level=INFO", "level=LOUD"),
        ("propagate=0", "propagate=1"),
        ("handlers=events", "handlers="),
        ("handlers=events", "handlers=event"),
        ("kwargs={'max_bytes': 1000000}", "kwargs={'x': 1}"),
        ("qualname=hilt\n", "qualname=shop\n"),
        ("keys=root,hilt", "keys=hilt"),
        ("formatter=text", "formatter=texts"),
        ("class=StreamHandler", "class=FileHandlers"),
        ("args=('app.jsonl',)", "args=(os.path.join('folder', 'a.jsonl'),)"),
        ("level=WARNING\nhandlers=console", "level=INFO\nhandlers=console,events"),
    ],
)
def test_ini_for_real(folder, forked, old, new):
    """`fileConfig` refuses what is said to be refused, and events come where it is said."""
    name = write(folder, "logging.ini", INI.replace(old, new))
    found = diagnose(name)

    def really():
        os.chdir(folder)
        for logger in LOGGERS:
            logging.getLogger(logger)
        try:
            logging.config.fileConfig(name)
        except Exception:
            (folder / "refused").touch()
            return
        ids = {logger: emit(events.prompt("x"), logger=logger) for logger in LOGGERS}
        (folder / "ids").write_text(json.dumps(ids))

    assert 0 == forked.run(really)
    if (folder / "refused").exists():
        assert not found.works
        return
    files = [*folder.glob("*.jsonl"), *folder.glob("folder/*.jsonl")]
    written = "".join(path.read_text("utf-8") for path in files)
    ids = json.loads((folder / "ids").read_text())
    really = {each for each, event_id in ids.items() if event_id and event_id in written}
    assert really == {way.logger for way in found.ways if "INFO" in way.written}
    assert bool(really) == found.works
