"""What is wrong with the options of the safeguards is said at set-up, and the log stays as it is."""

from __future__ import annotations

import json
import logging
import logging.config
import os

import pytest

from hilt_logging import HILTFileHandler, HILTFormatter, events
from hilt_logging.config import set_privacy
from hilt_logging.errors import ConfigurationError
from hilt_logging.handlers import _OPTIONS
from hilt_logging.safeguards import jwk, sealing
from hilt_logging.safeguards.keystore import open_store


pytest.importorskip("cryptography")
NOT_SAFEGUARDS = {"ascii", "max_line_bytes"}
SHARED = {"shared_key_file": "yes", "shared_sign_key": "yes"}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of keys, good and bad, by name; the working directory is theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORT", "k")
    for name, kind in {"auditor": "P-256", "signing": "Ed25519"}.items():
        key = jwk.generate(kind)
        jwk.write_new(f"{name}.key.jwk", key)
        jwk.write_new(f"{name}.pub.jwk", jwk.public_of(key))
    shared = jwk.generate("Ed25519")
    jwk.write_new("shared.key.jwk", shared)
    damaged = {**shared, "x": jwk.generate("Ed25519")["x"]}
    jwk.write_new("damaged.key.jwk", damaged)
    open_store("key_store", "shared.db").key_for("user:x")
    (tmp_path / "shared.secret").write_text("k" * 40)
    (tmp_path / "text").write_text("this is no key and no key store " * 40)
    os.chmod("text", 0o600)
    for name in ("app.seal", "shared.seal"):
        sealing.write_new(name, sealing.generate())
    (tmp_path / "first.jwk").write_bytes(sealing.generate().text())
    os.chmod("first.jwk", 0o600)
    for name in ("shared.key.jwk", "shared.db", "shared.secret", "shared.seal"):
        os.chmod(name, 0o644)
    return tmp_path


KEYED = {"redact": "email", "redact_with": "token"}
PERSON = {"erasable_by": "user_id"}
SIGNED = {"evidence": True}
SEALED = {"evidence": "sealed"}
CASES = [
    # option, what is given, what the error says besides, other options
    ("content", "some", "one of: full", {}),
    ("redact", "e-mail", "one of: ", {}),
    ("redact", [{"badge": "("}], "regular expression", {}),
    ("redact", [{"badge": ""}], "must not match nothing", {}),
    ("redact", 7, "", {}),
    ("redact_with", "stars", "one of: label", {}),
    ("detect_only", "yes", "true or false", {}),
    ("phone_regions", ["usa"], "two capital letters", {"redact": "phone"}),
    ("fields", ["-event_id"], "An event is none without this field", {}),
    ("public_fields", 7, "", {"content": "none"}),
    ("pseudonymize", 7, "", {"privacy_key": b"k" * 32}),
    ("pseudonymize", ["user_id"], "privacy_key", {}),
    ("privacy_key", "secret", "env:NAME", KEYED),
    ("privacy_key", "env:NOT_THERE", "no such variable", KEYED),
    ("privacy_key", "env:SHORT", "too short", KEYED),
    ("privacy_key", "file:not.there", "can't be read", KEYED),
    ("privacy_key", "file:shared.secret", "chmod 600", KEYED),
    ("shared_key_file", "yes", "true or false", {**KEYED, "privacy_key": b"k" * 32}),
    ("encrypt_to", "not.there", "hilt-log keygen", {}),
    ("encrypt_to", "auditor.key.jwk", "give the public one", {}),
    ("encrypt_to", "signing.pub.jwk", "--type P-256", {}),
    ("encrypt_to", "text", "hilt-log keygen", {}),
    ("encrypt_to", [], "file of a public key", {}),
    ("encrypt_to", ["auditor.pub.jwk", "not.there"], "hilt-log keygen", {}),
    ("erasable_by", "name", "one of: user_id", {"key_store": "keys.db"}),
    ("erasable_by", "user_id", "Needs key_store", {}),
    ("key_store", "keys.db", "Needs erasable_by", {}),
    ("key_store", "shared.db", "chmod 600", PERSON),
    ("key_store", "text", "", PERSON),
    ("key_store", 7, "path of a file", PERSON),
    ("evidence", "yes", "true, false or", {}),
    ("seal_key", "app.seal", "evidence: sealed", SIGNED),
    ("seal_key", None, "hilt-log keygen NAME --seal", SEALED),
    ("seal_key", "not.there", "hilt-log keygen NAME --seal", SEALED),
    ("seal_key", "first.jwk", "not the file of a key that seals", SEALED),
    ("seal_key", "shared.seal", "chmod 600", SEALED),
    ("seal_key", "text", "damaged", SEALED),
    ("sign_key", "signing.key.jwk", "evidence", {}),
    ("sign_key", "not.there", "hilt-log keygen", SIGNED),
    ("sign_key", "signing.pub.jwk", "give the private one", SIGNED),
    ("sign_key", "auditor.key.jwk", "--type Ed25519", SIGNED),
    ("sign_key", "shared.key.jwk", "chmod 600", SIGNED),
    ("sign_key", "damaged.key.jwk", "damaged", {**SIGNED, "shared_sign_key": True}),
    ("shared_sign_key", "yes", "true or false", SIGNED),
    ("checkpoint_every", 0, "from 1", SIGNED),
    ("checkpoint_seconds", -1, "number", SIGNED),
]
OF_CHAINS = {
    "evidence",
    "seal_key",
    "sign_key",
    "shared_sign_key",
    "checkpoint_every",
    "checkpoint_seconds",
}


def written(path, **options):
    """A log with a line in it, and what its folder holds."""
    handler = HILTFileHandler(path, **options)
    logger = logging.Logger("hilt.test")
    logger.addHandler(handler)
    logger.info("x", extra={"hilt": events.prompt("Hi")})
    handler.close()
    return contents(path.parent)


def contents(folder):
    """Every file of a folder, to the byte, with its mode and time."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


def ids(cases):
    return [f"{option}={given!r}" for option, given, *_ in cases]


def test_every_option_is_here():
    """Of each option of the safeguards there is something wrong below."""
    wanted = (set(HILTFormatter.OPTIONS) - NOT_SAFEGUARDS) | (set(_OPTIONS) & OF_CHAINS)
    assert wanted == {option for option, *_ in CASES}


@pytest.mark.parametrize(("option", "given", "said", "others"), CASES, ids=ids(CASES))
def test_wrong_option(files, option, given, said, others):
    """The error names option and file, and what to do; the log on disk stays as it is."""
    log = files / "logs" / "app.jsonl"
    before = written(log)
    with pytest.raises(ConfigurationError) as raised:
        HILTFileHandler(log, **{**others, option: given})
    assert before == contents(log.parent)
    text = str(raised.value)
    assert option in text
    assert said in text
    if isinstance(given, str) and (files / given).exists():
        assert given in text
    keys = [json.loads(path.read_text()) for path in files.glob("*.key.jwk")]
    assert [] == [key for key in keys if key["d"] in text]
    assert "k" * 32 not in text


@pytest.mark.parametrize(("option", "given", "said", "others"), CASES, ids=ids(CASES))
def test_no_log_is_begun(files, option, given, said, others):
    """Where there was no log, none is there after the error."""
    with pytest.raises(ConfigurationError):
        HILTFileHandler(files / "logs" / "app.jsonl", **{**others, option: given})
    assert not (files / "logs").exists()


OF_FORMATTERS = [case for case in CASES if case[0] not in OF_CHAINS]


@pytest.mark.parametrize(
    ("option", "given", "said", "others"), OF_FORMATTERS, ids=ids(OF_FORMATTERS)
)
def test_in_a_configuration(files, option, given, said, others):
    """From a configuration it is the same error, as the cause of that of logging."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"f": {"()": "hilt_logging.HILTFormatter", **others, option: given}},
    }
    with pytest.raises(ValueError) as raised:
        logging.config.dictConfig(config)
    error = raised.value
    while error is not None and not isinstance(error, ConfigurationError):
        error = error.__cause__
    assert option in str(error)
    assert said in str(error)


def test_everywhere(files):
    """`set_privacy` refuses the same, and what was set before it stays."""
    for option, given, said, others in OF_FORMATTERS:
        if option not in ("encrypt_to", "erasable_by", "key_store"):
            with pytest.raises(ConfigurationError, match=option) as raised:
                set_privacy(**{**others, option: given})
            assert said in str(raised.value)


LINKED = [
    # what is done to the file, options of the one who comes next, what the error says
    (lambda data: data, {}, "evidence"),
    (lambda data: data.replace(b',"integrity":{', b', "integrity": {'), {"evidence": True}, ""),
    (lambda data: data.replace(b'"prev":"', b'"prev":"z'), {"evidence": True}, ""),
    (lambda data: data.replace(b'"seq":', b'"seq":-'), {"evidence": True}, ""),
]


@pytest.mark.parametrize(("damage", "options", "said"), LINKED)
def test_chain_that_does_not_fit(files, damage, options, said):
    """A chain that can't be gone on with is named with its file, which stays as it is."""
    log = files / "logs" / "app.jsonl"
    written(log, evidence=True)
    log.write_bytes(damage(log.read_bytes()))
    before = contents(log.parent)
    with pytest.raises(ConfigurationError) as raised:
        HILTFileHandler(log, **options)
    assert before == contents(log.parent)
    assert str(log) in str(raised.value)
    assert "evidence" in str(raised.value)
    assert said in str(raised.value)
