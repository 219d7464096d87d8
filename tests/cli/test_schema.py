"""`hilt-log schema`."""

from __future__ import annotations

import json

import jsonschema

from hilt_logging.analysis.tables import COLUMNS
from hilt_logging.schema import JSON_SCHEMA


def test_help(hilt_log):
    """The help has examples."""
    done = hilt_log("schema", "--help")
    assert 0 == done.code
    assert "hilt-log schema -o hilt.schema.json" in done.out


def test_schema(hilt_log, an_event):
    """What is printed is the schema of the package, and a validator takes it."""
    done = hilt_log("schema")
    assert (0, "") == (done.code, done.err)
    assert JSON_SCHEMA == done.json
    validator = jsonschema.Draft202012Validator(done.json)
    validator.check_schema(done.json)
    assert validator.is_valid(an_event())
    assert not validator.is_valid(an_event(action="shout"))


def test_json(hilt_log):
    """The same on one line, for a program."""
    done = hilt_log("schema", "--json")
    assert 1 == done.out.count("\n")
    assert JSON_SCHEMA == done.json
    assert hilt_log("schema").out.count("\n") > 50


def test_columns(hilt_log):
    """The flat columns are those of SQL and Parquet, in their order."""
    names = [line.split()[:2] for line in hilt_log("schema", "--columns").out.splitlines()]
    assert [[each.name, each.type] for each in COLUMNS] == names
    told = hilt_log("schema", "--columns", "--json").json
    assert [each.name for each in COLUMNS] == [each["name"] for each in told]
    assert {"name", "type", "meaning"} == set(told[0])


def test_file(hilt_log, tmp_path):
    """A new file gets it; one that is there is kept, unless told otherwise."""
    path = tmp_path / "hilt.schema.json"
    assert (0, "") == ((done := hilt_log("schema", "-o", path)).code, done.out)
    assert JSON_SCHEMA == json.loads(path.read_text("utf-8"))
    assert 2 == hilt_log("schema", "--columns", "-o", path).code
    assert JSON_SCHEMA == json.loads(path.read_text("utf-8"))
    assert 0 == hilt_log("schema", "--columns", "-o", path, "--force").code
    assert path.read_text("utf-8").startswith("event_id ")


def test_wrong_usage(hilt_log, tmp_path):
    """It reads nothing: a file that is named is wrong usage, as is an output that can't be."""
    assert 2 == hilt_log("schema", tmp_path / "app.jsonl").code
    assert 2 == hilt_log("schema", "-o", tmp_path / "nowhere" / "x.json").code
