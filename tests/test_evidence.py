"""Logs whose lines are linked: set-up, what is on record, and checkpoints on their way elsewhere."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import sys
import time

import pytest

from hilt_logging import (
    BackgroundHandler,
    ConfigurationError,
    HILTFileHandler,
    HILTFormatter,
    Session,
    basic_config,
    bind,
    check_config,
    custody,
    emit,
)
from hilt_logging.safeguards import chain, sealing
from hilt_logging.safeguards.jwk import JWK, generate, public_of, write_new


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def prompt(text="Hi", **fields):
    return {
        "actor": {"type": "human", "id": "bob"},
        "action": "prompt",
        "content": {"text": text},
        **fields,
    }


def notices(path):
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [
        event["extensions"]["notice"] for event in events if "notice" in event.get("extensions", {})
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.hilt.jsonl"


@pytest.fixture
def key(tmp_path):
    """A key that signs: its file and its public part."""
    made = generate("Ed25519")
    write_new(tmp_path / "log.key.jwk", made)
    write_new(tmp_path / "log.pub.jwk", public_of(made))
    return tmp_path / "log.key.jwk", JWK(public_of(made))


@pytest.fixture
def attached(hilt):
    """Attaches a handler whose lines are linked to the logger of events."""

    def attach(*args, **options):
        handler = HILTFileHandler(*args, **{"evidence": True, **options})
        hilt.addHandler(handler)
        return handler

    return attach


class TestSetUp:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"evidence": 1}, 'Invalid evidence: 1. Must be true, false or "sealed"'),
            ({"evidence": "linked"}, "Invalid evidence: 'linked'. Must be true, false or"),
            (
                {"evidence": "sealed"},
                "Invalid seal_key: None. A sealed log needs the file of a key",
            ),
            ({"seal_key": "x.seal"}, "Invalid seal_key: 'x.seal'. Must be left out without"),
            ({"checkpoint_every": 0}, "Invalid checkpoint_every: 0. Must be a number of lines"),
            ({"checkpoint_every": True}, "Invalid checkpoint_every: True. Must be a number"),
            ({"checkpoint_seconds": 0}, "Invalid checkpoint_seconds: 0. Must be a number of sec"),
            ({"shared_sign_key": None}, "Invalid shared_sign_key: None. Must be true or false"),
            ({"sign_key": "no.jwk"}, "Invalid sign_key: 'no.jwk'. It can't be read: No such file"),
            ({"max_line_bytes": 1024}, "Invalid max_line_bytes: 1024. Must be a whole number from"),
        ],
    )
    def test_wrong_options(self, path, options, text):
        """A wrong option is told at set-up, and no file is made."""
        with pytest.raises(ConfigurationError) as error:
            HILTFileHandler(path, **{"evidence": True, **options})
        assert text in str(error.value)
        assert not path.exists()

    def test_key_without_evidence(self, path, key):
        """A key that would sign nothing is refused."""
        with pytest.raises(ConfigurationError, match="Must be left out without evidence"):
            HILTFileHandler(path, sign_key=key[0])

    def test_wrong_keys(self, path, key, tmp_path):
        """A public key, one for encryption, and one that others can read are refused, by name."""
        write_new(tmp_path / "enc.key.jwk", generate("P-256"))
        os.chmod(key[0], 0o644)
        os.chmod(tmp_path / "log.pub.jwk", 0o600)
        for name, text in {
            "log.pub.jwk": "It is no private key",
            "enc.key.jwk": "It is a key of another type: must be Ed25519",
            "log.key.jwk": "Others can read it: run chmod 600",
        }.items():
            with pytest.raises(ConfigurationError, match=text) as error:
                HILTFileHandler(path, evidence=True, sign_key=tmp_path / name)
            assert name in str(error.value)
            assert json.loads(key[0].read_text())["d"] not in str(error.value)
        HILTFileHandler(path, evidence=True, sign_key=key[0], shared_sign_key=True).close()

    @pytest.mark.parametrize("delay", [False, True])
    def test_without_on_a_linked_log(self, path, attached, delay):
        """A handler that would write lines without links into a linked log is refused."""
        handler = attached(path)
        emit(prompt())
        handler.close()
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="are linked: set evidence to true") as error:
            HILTFileHandler(path, delay=delay)
        assert str(path) in str(error.value)
        assert before == path.read_bytes()

    def test_changed_chain(self, path, attached):
        """A chain whose bytes were changed is not gone on with."""
        handler = attached(path)
        emit(prompt())
        handler.close()
        path.write_text(json.dumps(json.loads(path.read_bytes().splitlines()[-1])) + "\n")
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="bytes were changed"):
            HILTFileHandler(path, evidence=True)
        assert before == path.read_bytes()

    def test_pipe(self, path):
        """Lines are linked in a regular file only."""
        os.mkfifo(path)
        with pytest.raises(ConfigurationError, match="no regular file"):
            HILTFileHandler(path, evidence=True)

    def test_no_lock(self, path, monkeypatch):
        """Without a lock nothing is linked, which is said at set-up."""
        monkeypatch.setattr("hilt_logging.storage.exclusion.fcntl", None)
        with pytest.raises(ConfigurationError, match="There is no lock to be had beside"):
            HILTFileHandler(path, evidence=True)

    def test_turned_on(self, path, attached, follow):
        """In a log with lines a chain begins behind them."""
        plain = attached(path, evidence=False)
        emit(prompt())
        plain.close()
        logging.getLogger("hilt").removeHandler(plain)
        attached(path)
        emit(prompt())
        events, between, strays = follow(path)
        assert (2, path.read_bytes().splitlines()[:1], []) == (len(events), between, strays)
        assert 0 == custody.verify([path]).exit_code

    def test_basic_config(self, path, hilt, follow):
        """The short ways to set up take the same options."""
        handler = basic_config(path, evidence=True, checkpoint_every=1)
        emit(prompt())
        assert ["opened", "checkpoint"] == [each["kind"] for each in notices(path)]
        assert 1 == handler.evidence.checkpoint_every
        assert ([], []) == follow(path)[1:]

    def test_from_a_file(self, path, key, follow):
        """A configuration file takes them, too, also behind a BackgroundHandler."""
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"hilt": {"()": HILTFormatter}},
                "handlers": {
                    "file": {
                        "class": "hilt_logging.HILTFileHandler",
                        "filename": str(path),
                        "formatter": "hilt",
                        "evidence": True,
                        "sign_key": str(key[0]),
                    },
                    "events": {"class": "hilt_logging.BackgroundHandler", "target": "file"},
                },
                "loggers": {"hilt": {"level": "INFO", "propagate": False, "handlers": ["events"]}},
            }
        )
        for _ in range(200):
            emit(prompt())
        assert logging.getLogger("hilt").handlers[0].flush()
        assert 201 == len(follow(path)[0])

    def test_check_config(self, path, attached, key, tmp_path):
        """A chain that nobody signs is mentioned; one that is signed is not."""
        attached(path)
        assert {True} == {"signs no checkpoints" in each.message for each in check_config()}
        logging.getLogger("hilt").handlers[-1].close()
        logging.getLogger("hilt").handlers.pop()
        attached(tmp_path / "other", sign_key=key[0])
        assert [] == check_config()

    def test_check_config_of_a_sealed_log(self, path, attached, tmp_path):
        """A sealed log needs no signature; that it can't be sealed is mentioned."""
        sealing.write_new(str(tmp_path / "app.seal"), sealing.generate())
        attached(path, evidence="sealed", seal_key=tmp_path / "app.seal", checkpoint_every=2)
        emit(prompt())
        assert [] == check_config()
        (tmp_path / "app.seal").unlink()
        emit(prompt())
        emit(prompt())
        found = check_config()
        assert {True} == {"could not seal" in each.message for each in found}
        assert {True} == {str(tmp_path / "app.seal") in each.message for each in found}


class TestRecord:
    def test_notices(self, path, attached, key):
        """Process, host, versions and key are on record; checkpoints and the end are signed."""
        handler = attached(path, sign_key=key[0], checkpoint_every=2)
        with bind(user_id="alice", session_id="s"):
            emit(prompt())
        handler.close()
        opened, checkpoint, closed = notices(path)
        assert (os.getpid(), key[1].kid) == (opened["process"], opened["sign_key"])
        assert {"host", "python", "hilt_logging", "public_key"} <= opened.keys()
        assert ["events", "close"] == [checkpoint["reason"], closed["reason"]]
        lines = path.read_bytes().splitlines()
        keys = {key[1].kid: key[1]}
        for line in (lines[2], lines[3]):
            assert chain.is_sealed(line, chain.link_of(line), keys)
        assert b"alice" not in b"".join(line for line in lines if b"notice" in line)
        assert 0 == custody.verify([path], public_keys=[path.with_name("log.pub.jwk")]).exit_code

    def test_line_length(self, path, attached, follow):
        """A line is no longer than is allowed with its link."""
        attached(path, max_line_bytes=2000)
        emit(prompt("x" * 5000))
        assert max(map(len, path.read_bytes().splitlines())) < 2000
        assert ([], []) == follow(path)[1:]

    def test_line_length_of_another_formatter(self, path, attached):
        """So it is with a formatter that the handler was given later."""
        attached(path).setFormatter(HILTFormatter(max_line_bytes=1500))
        emit(prompt("x" * 5000))
        assert len(path.read_bytes().splitlines()[-1]) < 1500

    def test_loss(self, path, attached, follow, monkeypatch):
        """A notice of loss is a line of the chain; checkpoints count what was lost."""
        handler = attached(path, checkpoint_every=3)
        write = os.write

        def fails(fd, data):
            if fd == handler._appender._fd:
                raise OSError(28, "No space left on device")
            return write(fd, data)

        emit(prompt())
        monkeypatch.setattr(os, "write", fails)
        emit(prompt())
        monkeypatch.setattr(os, "write", write)
        emit(prompt())
        assert ["opened", "checkpoint", "loss"] == [each["kind"] for each in notices(path)]
        counts = next(each["counts"] for each in notices(path) if each["kind"] == "checkpoint")
        assert 1 == counts["dropped"]
        assert ([], []) == follow(path)[1:]

    def test_stats(self, path, attached):
        """What is known of the chain is in the counts, which it leaves alone otherwise."""
        handler = attached(path, checkpoint_every=2)
        emit(prompt())
        stats = handler.stats()
        assert (1, 1, 0) == (stats["accepted"], stats["written"], stats["dropped"])
        assert {"seq": 2, "checkpoints": 1, "unlinked": 0} == {
            name: value for name, value in stats["evidence"].items() if name != "chain"
        }

    def test_session(self, path, attached, follow):
        """A session on a linked log links too, beside a handler and alone."""
        handler = attached(path)
        emit(prompt())
        with Session(path) as session:
            session.append(prompt())
        handler.close()
        logging.getLogger("hilt").removeHandler(handler)
        with Session(path) as session:
            session.append(prompt())
        assert ([], []) == follow(path)[1:]
        assert ["opened", "closed"] * 2 == [each["kind"] for each in notices(path)]

    def test_after_the_end(self, path, attached, follow):
        """A late event opens a closed log again, and each says at once that it is done."""
        handler = attached(path)
        emit(prompt())
        handler.close()
        emit(prompt())
        assert ([], []) == follow(path)[1:]
        assert ["opened", "closed"] * 2 == [each["kind"] for each in notices(path)]

    def test_rotate(self, path, attached, follow):
        """A log that is rotated by hand ends in a checkpoint."""
        handler = attached(path)
        emit(prompt())
        handler.rotate()
        emit(prompt())
        (old,) = path.parent.glob("app.hilt.jsonl.*")
        assert "rotation" == notices(old)[-1]["reason"]
        assert ([], []) == follow(old, path)[1:]
        assert handler.state({"kind": "erased", "key_id": "s-x"})
        assert "erased" == notices(path)[-1]["kind"]

    def test_rotation_by_who_begins(self, path, attached, follow):
        """A process whose first line has to rotate the log is on record as one that writes."""
        for text in ("x" * 9000, "y" * 9000):
            handler = attached(path, max_bytes=14_000)
            emit(prompt(text))
            handler.close()
            logging.getLogger("hilt").removeHandler(handler)
        (old,) = path.parent.glob("app.hilt.jsonl.*")
        assert ["opened", "closed", "checkpoint"] == [each["kind"] for each in notices(old)]
        assert ["opened", "closed"] == [each["kind"] for each in notices(path)]
        assert ([], []) == follow(old, path)[1:]

    def test_end_of_a_program(self, path, in_child):
        """A program that ends has said so."""
        done = in_child(
            "import sys, hilt_logging as h\n"
            "h.basic_config(sys.argv[1], evidence=True)\n"
            "h.emit({'actor': {'type': 'human', 'id': 'x'}, 'action': 'prompt'})",
            path,
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert ["opened", "closed"] == [each["kind"] for each in notices(path)]


class TestElsewhere:
    def test_checkpoints(self, path, attached, key, tmp_path, lines):
        """Checkpoints come to whoever listens to hilt.integrity, signed, and prove the log."""
        saved = tmp_path / "saved.jsonl"
        elsewhere = HILTFileHandler(saved)
        logging.getLogger("hilt.integrity").addHandler(elsewhere)
        handler = attached(path, sign_key=key[0], checkpoint_every=5)
        with bind(user_id="alice"):
            for _ in range(12):
                emit(prompt())
        handler.close()
        events = lines(saved)
        told = [event["extensions"].pop("notice") for event in events]
        assert {"system"} == {event["action"] for event in events}
        assert [{}] * 3 == [event["extensions"] for event in events]
        for each in told:
            held = chain.opened(each["jws"], {key[1].kid: key[1]})
            assert held == {name: each[name] for name in held}
            assert path.name == each["file"]
        linked = path.read_bytes().splitlines()
        heads = {chain.link_of(line).seq: chain.sha256(line) for line in linked}
        assert [heads[each["seq"]] for each in told] == [each["head"] for each in told]
        public = [path.with_name("log.pub.jwk")]
        assert 0 == custody.verify([path], public_keys=public, checkpoints=[saved]).exit_code
        path.write_bytes(b"".join(line + b"\n" for line in linked[:-3]))
        assert 1 == custody.verify([path], public_keys=public, checkpoints=[saved]).exit_code

    def test_not_in_its_own_log(self, path, attached):
        """A log does not hold its own checkpoints twice, however they come there."""
        handler = attached(path, checkpoint_every=1)
        logging.getLogger("hilt").addHandler(BackgroundHandler(handler))
        for _ in range(5):
            emit(prompt())
        logging.getLogger("hilt").handlers[-1].flush()
        assert 11 == len(path.read_bytes().splitlines())

    def test_two_logs(self, path, attached, tmp_path):
        """Two linked logs hold each other's checkpoints, and that makes no more of them."""
        first = attached(path, checkpoint_every=1)
        second = attached(tmp_path / "second", checkpoint_every=1)
        for _ in range(3):
            emit(prompt())
        logging.getLogger("hilt").addHandler(BackgroundHandler(first))
        time.sleep(0.05)
        counts = [handler.stats()["written"] for handler in (first, second)]
        assert max(counts) < 20
        assert b"checkpoint" in path.read_bytes()

    def test_nobody_listens(self, path, attached, hilt):
        """Where nothing passes, nothing is made."""
        logging.getLogger("hilt.integrity").setLevel(logging.ERROR)
        attached(path, checkpoint_every=1)
        emit(prompt())
        assert 3 == len(path.read_bytes().splitlines())

    def test_failing_listener(self, path, attached, hilt):
        """A handler elsewhere that fails harms neither the event nor the caller."""

        class Failing(logging.Handler):
            def emit(self, record):
                raise RuntimeError

        logging.getLogger("hilt.integrity").addHandler(Failing())
        handler = attached(path, checkpoint_every=1)
        assert emit(prompt()) is not None
        assert 0 == handler.stats()["dropped"]
