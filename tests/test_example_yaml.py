"""logging.example.yaml: what lands where, as it stands and with each of its alternatives."""

import json
import os
import re
import stat
import subprocess
import sys
import textwrap

from pathlib import Path

import pytest

import hilt_logging


yaml = pytest.importorskip("yaml")

EXAMPLE = Path(__file__).parent.parent / "logging.example.yaml"
MARK = re.compile(r"^#\[(\w+)\]", re.MULTILINE)
ALTERNATIVES = sorted(set(MARK.findall(EXAMPLE.read_text(encoding="utf-8"))))

# An application in which things happen; it prints what it did as JSON into done.json.
APPLICATION = textwrap.dedent(
    """
    import json, logging, logging.config, pathlib, yaml
    early = logging.getLogger("hilt.app.early")
    logging.config.dictConfig(yaml.safe_load(pathlib.Path("logging.yaml").read_text("utf-8")))
    import hilt_logging
    from hilt_logging import emit, events

    def event(make, model, session, **extensions):
        provenance = {"provider": model.partition("-")[0], "model": model}
        return make("SECRET", session_id=session, provenance=provenance, extensions=extensions)

    done = []
    for session in map(str, range(20)):
        for logger, model in (("hilt.openai", "gpt-4o"), ("hilt.anthropic", "claude-haiku")):
            done.append([emit(event(events.prompt, model, session), logger=logger), logger, model])
            made = event(events.completion, model, session)
            done.append([emit(made, logger=logger), logger, model])
        failed = {"outcome": "failed", "error": {"type": "Timeout", "message": "SECRET"}}
        made = event(events.system, "gpt-4o", session, **failed)
        done.append([emit(made, logger="hilt.openai"), "hilt.openai", "gpt-4o"])
    chunk = events.Event(action="completion_chunk", actor=events.Actor(type="agent", id="a"))
    assert emit(chunk, logger="hilt.openai") is None
    rated = events.feedback(5, "SECRET", session_id="0")
    early.info("SECRET", extra={"hilt": rated})
    done.append([rated.event_id, "hilt.app.early", None])
    logging.getLogger("shop").info("an order of %d", 3)
    found = [str(finding) for finding in hilt_logging.check_config()]
    pathlib.Path("done.json").write_text(json.dumps({"done": done, "found": found}))
    """
)


class Ran:
    """What the application did under a configuration, and what came out of it."""

    def __init__(self, directory, text):
        (directory / "logging.yaml").write_text(text, encoding="utf-8")
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", APPLICATION],
            cwd=directory,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONWARNDEFAULTENCODING": "", "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
        assert (0, "") == (ran.returncode, ran.stderr if ran.returncode else "")
        report = json.loads((directory / "done.json").read_text(encoding="utf-8"))
        self.out, self.err, self.found = ran.stdout, ran.stderr, report["found"]
        self.done = report["done"]
        self.logs = directory / "logs"

    def ids(self, logger="", model=""):
        return [
            event_id
            for event_id, its_logger, its_model in self.done
            if its_logger.startswith(logger) and (its_model or "").startswith(model)
        ]

    def events(self, name):
        with open(self.logs / name, "rb") as file:
            return [json.loads(line) for line in file]

    def in_file(self, name):
        return [event["event_id"] for event in self.events(name)]


@pytest.fixture(scope="module")
def as_it_stands(tmp_path_factory):
    """The application under the example, unchanged."""
    return Ran(tmp_path_factory.mktemp("example"), EXAMPLE.read_text(encoding="utf-8"))


def with_alternative(directory, *names):
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in names:
        text = text.replace(f"#[{name}]", "")
    return Ran(directory, text)


class TestAsItStands:
    def test_files(self, as_it_stands):
        """These files are made, and no others."""
        names = sorted(file.name for file in as_it_stands.logs.glob("*.jsonl"))
        assert names == ["hilt-errors.jsonl", "hilt-openai.jsonl", "hilt.jsonl"]

    def test_permissions(self, as_it_stands):
        """Every file is readable by its owner alone."""
        modes = {stat.S_IMODE(file.stat().st_mode) for file in as_it_stands.logs.iterdir()}
        assert modes == {0o600}

    def test_all_events(self, as_it_stands):
        """hilt.jsonl has every event once, in order, valid, with its content."""
        found = as_it_stands.events("hilt.jsonl")

        assert [event["event_id"] for event in found] == as_it_stands.ids()
        assert [hilt_logging.validate_event(event) for event in found] == [[]] * len(found)
        assert {event["content"]["text"] for event in found} == {"SECRET"}

    def test_provider(self, as_it_stands):
        """hilt-openai.jsonl has every event of hilt.openai once, and no others."""
        assert as_it_stands.in_file("hilt-openai.jsonl") == as_it_stands.ids("hilt.openai")

    def test_errors(self, as_it_stands):
        """hilt-errors.jsonl has every event that failed once, and no others."""
        failed = [
            event["event_id"]
            for event in as_it_stands.events("hilt.jsonl")
            if event.get("extensions", {}).get("outcome") == "failed"
        ]

        assert len(failed) == 20
        assert as_it_stands.in_file("hilt-errors.jsonl") == failed

    def test_console(self, as_it_stands):
        """stderr has one line for each event and each ordinary record, without content."""
        lines = as_it_stands.err.splitlines()

        assert len(lines) == len(as_it_stands.done) + 1
        assert lines[0].endswith("INFO    prompt gpt gpt-4o session=0")
        assert lines[-1].endswith("INFO    an order of 3")
        assert "SECRET" not in as_it_stands.err
        assert as_it_stands.out == ""

    def test_check_config(self, as_it_stands):
        """check_config finds no error in it, and no handler that would print content."""
        grave = [f for f in as_it_stands.found if f.startswith("error") or "content" in f]
        assert grave == []


class TestAlternatives:
    @pytest.mark.parametrize("name", ALTERNATIVES)
    def test_is_explained(self, name):
        """Each alternative is in the list at the top, which tells what it is for."""
        text = EXAMPLE.read_text(encoding="utf-8")

        assert re.search(rf"^#   \[{name}\] +\S", text, re.MULTILINE) is not None

    def test_all_are_tested(self):
        """Every alternative has a test here."""
        tested = {name.removeprefix("test_it_") for name in dir(TestAlternatives)}

        assert sorted(tested & set(ALTERNATIVES)) == ALTERNATIVES

    def test_it_stdout(self, tmp_path):
        """[stdout]: every event is a line on stdout, the same as in the file."""
        ran = with_alternative(tmp_path, "stdout")

        assert [json.loads(line) for line in ran.out.splitlines()] == ran.events("hilt.jsonl")

    def test_it_redacted(self, tmp_path):
        """[redacted]: every event is a line on stdout, with what is found in it replaced."""
        path = tmp_path / "other"
        path.mkdir()
        text = EXAMPLE.read_text(encoding="utf-8").replace(
            "redact: [", 'redact: [{word: "SECRET"}, '
        )
        ran = Ran(path, text.replace("#[redacted]", ""))

        shown = [json.loads(line) for line in ran.out.splitlines()]
        assert [event["event_id"] for event in shown] == ran.in_file("hilt.jsonl")
        assert {event["content"]["text"] for event in shown} == {"[WORD]"}
        assert "SECRET" not in ran.out

    def test_it_json(self, tmp_path):
        """[json]: events and ordinary records stand in one JSON stream."""
        pytest.importorskip("pythonjsonlogger")
        ran = with_alternative(tmp_path, "json")

        *lines, last = map(json.loads, ran.out.splitlines())
        assert [line["hilt"] for line in lines] == ran.events("hilt.jsonl")
        assert last["message"] == "an order of 3"

    def test_it_shipper(self, tmp_path):
        """[shipper]: the files can be read by the group, and by nobody else."""
        ran = with_alternative(tmp_path, "shipper")

        modes = {stat.S_IMODE(file.stat().st_mode) for file in ran.logs.glob("*.jsonl")}
        assert modes == {0o640}

    def test_it_sampling(self, tmp_path):
        """[sampling]: some conversations are there whole; of the others their errors, marked."""
        ran = with_alternative(tmp_path, "sampling")

        found = ran.events("hilt.jsonl")
        kept = {e["session_id"] for e in found if "sampled" not in e.get("extensions", {})}
        others = [event for event in found if event["session_id"] not in kept]
        assert 0 < len(kept) < 20
        assert {sum(e["session_id"] == one for e in found) for one in kept - {"0"}} <= {5}
        assert {event["extensions"]["sampled"] for event in others} == {"error"}
        assert len(others) == 20 - len(kept)
        assert ran.in_file("hilt-openai.jsonl") == ran.ids("hilt.openai")

    def test_it_apart(self, tmp_path):
        """[apart]: what came from OpenAI is in its own file only."""
        ran = with_alternative(tmp_path, "apart")

        assert ran.in_file("hilt-openai.jsonl") == ran.ids("hilt.openai")
        assert sorted(ran.in_file("hilt.jsonl")) == sorted(
            set(ran.ids()) - set(ran.ids("hilt.openai"))
        )

    def test_it_model(self, tmp_path):
        """[model]: the events of these models are in a file of their own as well."""
        ran = with_alternative(tmp_path, "model")

        assert ran.in_file("hilt-big-models.jsonl") == ran.ids(model="gpt-4")
        assert ran.in_file("hilt.jsonl") == ran.ids()

    def test_together(self, tmp_path):
        """All alternatives can be used at the same time."""
        pytest.importorskip("pythonjsonlogger")
        ran = with_alternative(tmp_path, *ALTERNATIVES)

        assert ran.in_file("hilt-openai.jsonl") == ran.ids("hilt.openai")
        assert [f for f in ran.found if f.startswith("error")] == []


def test_no_key_twice():
    """No key of the example stands twice in one place, with or without its alternatives."""

    class Strict(yaml.SafeLoader):
        pass

    def pairs(loader, node, deep=False):
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        assert sorted(set(keys)) == sorted(keys)
        return yaml.SafeLoader.construct_mapping(loader, node, deep)

    Strict.add_constructor("tag:yaml.org,2002:map", lambda loader, node: pairs(loader, node, True))
    text = EXAMPLE.read_text(encoding="utf-8")
    for each in (text, MARK.sub("", text)):
        assert yaml.load(each, Strict)["version"] == 1


def test_every_key_is_used():
    """Every formatter, filter and handler that is not an alternative's is used by somebody."""
    config = yaml.safe_load(MARK.sub("", EXAMPLE.read_text(encoding="utf-8")))
    parts = [*config["handlers"].values(), *config["loggers"].values(), config["root"]]

    for kind, key in (
        ("formatters", "formatter"),
        ("filters", "filters"),
        ("handlers", "handlers"),
    ):
        used = set()
        for part in parts:
            names = part.get(key, [])
            used |= {names} if isinstance(names, str) else set(names)
        assert used == set(config[kind])
