"""
A word that must not get out is looked for wherever it might: files, streams, errors, reprs, pickles.

Each way of protecting it runs in a process of its own, in an empty directory: see `_canary.py`.
With `pytest -s` the table of what was found where is printed.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import importlib.util
import json
import os
import select
import shutil
import stat
import subprocess
import sys
import zlib

from pathlib import Path

import pytest


for module in ("anthropic", "cryptography", "google.genai", "langchain_core", "openai"):
    pytest.importorskip(module)
pytestmark = [
    pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full"),
    pytest.mark.untraced,
]

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "provider_fixtures"
CANARY = "canary-7f3a@secret.example"
PERSON = "person-5c1d"
KEY = "env:HILT_TEST_KEY"
PLACES = (
    "log",
    "rotated",
    "lock",
    "chain",
    "key store",
    "seal key",
    "opened",
    "other files",
    "stdout",
    "stderr",
    "reprs",
    "exceptions",
    "reports",
    "commands",
    "pickles",
    "diagnostics",
    "checkpoints",
)

OPENED = "no2.jsonl"  # what `hilt-log decrypt` makes with the key store alone
EVIDENCE = {"evidence": True, "sign_key": "signing", "checkpoint_every": 5}
ENCRYPTED = {
    "encrypted": {"encrypt_to": "auditor.pub"},
    "encrypted, pseudonyms": {"encrypt_to": "auditor.pub", "privacy_key": KEY},
    "erasable": {"erasable_by": "user_id", "key_store": "keys.db"},
    "erasable by actor": {"erasable_by": "actor", "key_store": "keys.db"},
    "both": {"encrypt_to": "auditor.pub", "erasable_by": "user_id", "key_store": "keys.db"},
}
MODES = {
    "none": {"content": "none"},
    "hash": {"content": "hash"},
    "hash with a key": {"content": "hash", "privacy_key": KEY},
    "redact": {"redact": "core"},
    "redact with tokens": {"redact": "email", "redact_with": "token", "privacy_key": KEY},
    "kept fields": {"fields": ["provenance.provider"]},
    "a broken detector": {"broken": True},
    "none, linked": {"content": "none", **EVIDENCE},
    "encrypted": ENCRYPTED["encrypted"],
    "erasable": ENCRYPTED["erasable"],
    **{f"{name}, linked": {**mode, **EVIDENCE} for name, mode in ENCRYPTED.items()},
    "both, sealed": {**ENCRYPTED["both"], **EVIDENCE, "evidence": "sealed"},
}


def _server():
    spec = importlib.util.spec_from_file_location("fixture_server", FIXTURES / "fixture_server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _with_secret(value, name=""):
    """A JSON value in which everything that is said has the secret."""
    if isinstance(value, dict):
        return {key: _with_secret(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_secret(each, name) for each in value]
    if not isinstance(value, str):
        return value
    if name == "arguments" and value[:1] + value[-1:] == "{}":
        return json.dumps({"note": CANARY, **json.loads(value)})
    said = ("city", "content", "input", "message", "note", "refusal", "text", "thinking")
    return f"{value} {CANARY} " if name in said else value


def _body_with_secret(body):
    try:
        return json.dumps(_with_secret(json.loads(body)))
    except ValueError:
        return "\n".join(
            f"data: {json.dumps(_with_secret(json.loads(line[6:])))}"
            if line.startswith("data: {")
            else line
            for line in body.split("\n")
        )


WANTED = (
    *("openai/chat_text", "openai/chat_parallel_tools", "openai/chat_refusal"),
    *("openai/chat_stream_text_usage", "openai/chat_stream_parallel_tools"),
    *("openai/chat_stream_error_midway", "openai/responses_text", "openai/responses_failed"),
    *("openai/responses_stream_tools", "openai/error_401", "openai/error_429"),
    *("anthropic/message_text", "anthropic/message_parallel_tools", "anthropic/message_thinking"),
    *("anthropic/stream_text", "anthropic/stream_overloaded_midway", "anthropic/error_500"),
    *("gemini/generate_text", "gemini/generate_parallel_calls", "gemini/generate_prompt_block"),
    *("gemini/stream_text", "gemini/stream_error_midway", "gemini/error_500"),
)
ALL = ("chat", "completions", "responses", "message", "stream", "generate", "error")
"""Those that are played with the environment's CANARY_ALL: every call that says something."""


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """A loopback server whose answers have the secret, and what is to be asked."""
    root = tmp_path_factory.mktemp("fixtures")
    manifest = json.loads((FIXTURES / "manifest.json").read_text("utf-8"))
    items = [
        item
        for item in manifest["fixtures"]
        if item["id"] in WANTED
        or ("CANARY_ALL" in os.environ and item["id"].partition("/")[2].startswith(ALL))
    ]
    for item in items:
        made = root / item["file"]
        made.parent.mkdir(exist_ok=True)
        body = (FIXTURES / item["file"]).read_text("utf-8")
        made.write_text(_body_with_secret(body), "utf-8", newline="")
        item["request"]["body"] = _with_secret(item["request"]["body"])
        item.pop("expected")
    (root / "manifest.json").write_text(json.dumps({"fixtures": items}))
    with _server().FixtureServer(root) as server:
        yield server.base, items


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    from hilt_logging.safeguards import jwk

    folder, made = tmp_path_factory.mktemp("keys"), {}
    kinds = {"auditor": "P-256", "other": "P-256", "signing": "Ed25519"}
    for name, kind in kinds.items():
        key = jwk.generate(kind)
        for suffix, fields in (("", key), (".pub", jwk.public_of(key))):
            made[name + suffix] = str(folder / f"{name}{suffix}.jwk")
            jwk.write_new(made[name + suffix], fields)
    return made


@pytest.fixture(scope="module")
def playing(tmp_path_factory):
    """The process that forks for each mode: it has loaded the SDKs."""
    errors = tmp_path_factory.mktemp("errors") / "errors"
    env = {**os.environ, "HILT_TEST_KEY": "k" * 32, "PYTHONWARNINGS": "always", "no_proxy": "*"}
    with (
        open(errors, "w") as said,
        subprocess.Popen(
            [sys.executable, HERE / "_canary.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=env,
        ) as process,
    ):

        def run(**job):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], "it hangs"
            return json.loads(process.stdout.readline())

        yield run
        process.stdin.close()
    assert CANARY not in errors.read_text()


@pytest.fixture(scope="module")
def table():
    """Collects what was found, and prints it in the end."""
    rows = {}
    yield rows
    width = max(map(len, rows), default=0)
    print("", f"| {'':{width}} | {' | '.join(PLACES)} |", sep="\n")
    print(f"|{'-' * width}--|{'---|' * len(PLACES)}")
    for name, found in rows.items():
        cells = (f"{found.get(place, ''):{len(place)}}" for place in PLACES)
        print(f"| {name:{width}} | {' | '.join(cells)} |")


def _place(path):
    """Which kind of place a file is."""
    name = path.name
    if name == OPENED:
        return "opened"
    if name in PLACES:
        return name
    for ending, place in ((".lock", "lock"), (".chain", "chain"), (".jsonl", "log")):
        if name.endswith(ending):
            return place
    if name.startswith("keys.db"):
        return "key store"
    if name.endswith(".seal"):
        return "seal key"
    return "rotated" if ".jsonl.20" in name else "other files"


def _read(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":  # also what ends early
        with contextlib.suppress(zlib.error):
            return zlib.decompressobj(31).decompress(data)
    return data


def _looked(folder):
    """What is at each place: the name of it, its kind, and its bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "told.json":
            yield path.relative_to(folder).as_posix(), _place(path), _read(path)
    for place, text in json.loads((folder / "told.json").read_text()).items():
        yield place, place, text.encode()


class Seals:
    """
    The keys of some sealed logs, and all that can be told of them.

    Args:
        folder: Where the files are that have the keys of now.
        aside: Where the first keys are put, which is searched by nobody.
        mode: The options of the logs; without seals there are no keys.
    """

    def __init__(self, folder, aside, mode):
        from hilt_logging.safeguards import sealing

        self.load = sealing.load
        folder.mkdir()
        self.first = {}
        for number in range(20 if mode.get("evidence") == "sealed" else 0):
            key = sealing.generate()
            state = str(folder / f"{number}.seal")
            sealing.write_new(state, key)
            self.first[state] = aside / f"{number}.first.jwk"
            self.first[state].write_bytes(key.text())

    def used(self):
        """The files of keys that sealed something, and the first key and that of now of each."""
        for state, first in self.first.items():
            if os.path.getsize(state) < 1024:  # it was damaged by the test
                yield state, self.load("first", first), None
                continue
            now = self.load("now", state)
            if now.number:
                yield state, self.load("first", first), now

    def secrets(self):
        """For each file of a key: those that are nowhere, and those that only this file may have."""
        for state, first, now in self.used():
            fields = json.loads(self.first[state].read_bytes())
            numbers = [first.key.at(number, 0) for number in range(now.number if now else 1)]
            minutes = [first.key.at(0, minute) for minute in range(now.minute if now else 0)]
            past = [fields["k"], *(key.secrets()[0] for key in numbers)]
            past += [key.secrets()[1] for key in minutes]
            yield state, _forms(past), _forms(now.secrets() if now else first.key.secrets()[1:])


def _forms(secrets):
    """Keys as they may be written: base64url, hexadecimal, bytes."""
    for secret in secrets:
        data = base64.urlsafe_b64decode(secret + "=")
        yield from (secret.encode(), base64.b64encode(data)[:-1], data.hex().encode(), data)


def _leaked(folder, seals):
    """Where keys that seal are, and must not be."""
    looked = list(_looked(folder))
    for state, past, present in seals.secrets():
        past, present = set(past), set(present)
        for name, _, data in looked:
            own = folder / name == Path(state)
            if any(each in data for each in (past if own else past | present)):
                yield name, Path(state).name


def _options(mode, keys, folder):
    """The options of a mode with the paths of its files."""
    paths = {"key_store": str(folder / "keys.db")}
    for name in ("encrypt_to", "sign_key"):
        paths[name] = keys.get(mode.get(name))
    return {name: paths.get(name, value) for name, value in mode.items()}


def _run(playing, provider, keys, folder, mode, everywhere=False):
    url, items = provider
    seals = Seals(folder / "seals", Path(keys["auditor"]).parent, mode)
    ended = playing(
        mode=_options(mode, keys, folder),
        everywhere=everywhere,
        keys={**keys, "first": list(map(str, seals.first.values()))},
        seals=list(seals.first),
        url=url,
        items=items,
        folder=str(folder),
    )
    failed = folder / "failed"
    assert "ended" == ended
    assert not failed.exists(), failed.read_text()
    return seals


def _found(folder, secrets, row):
    """Where the secrets are, and the row of the table."""
    found = {}
    for name, place, data in _looked(folder):
        row.setdefault(place, "no")
        hits = [secret for secret in secrets if secret.encode() in data]
        if hits:
            found[name], row[place] = hits, "YES"
    return found


def _secrets(mode, keys):
    """What must not be found: the word, its beginning as a cut would leave it, keys, the person."""
    private = [json.loads(Path(keys[name]).read_text())["d"] for name in ("auditor", "signing")]
    named = [PERSON] if "encrypt_to" in mode or "erasable_by" in mode else []
    return [CANARY, CANARY[:10], "k" * 32, *private, *named]


BOTH = [pytest.param(mode, False, id=name) for name, mode in MODES.items()] + [
    pytest.param(mode, True, id=f"{name}, everywhere")
    for name, mode in MODES.items()
    if not {"encrypt_to", "erasable_by", "evidence"} & mode.keys()
]


@pytest.mark.parametrize(("mode", "everywhere"), BOTH)
def test_nothing_gets_out(playing, provider, keys, tmp_path, table, request, mode, everywhere):
    """The word is in no file, on no stream and in no error, repr, report or pickle; nor are keys."""
    seals = _run(playing, provider, keys, tmp_path, mode, everywhere)
    row = table.setdefault(request.node.callspec.id, {})
    found = _found(tmp_path, _secrets(mode, keys), row)
    opened = found.pop(OPENED, None)
    assert ("erasable_by" in mode and "encrypt_to" not in mode) == (opened is not None)
    assert {} == found
    used = list(seals.used())
    assert (len(used) > 5) == (mode.get("evidence") == "sealed")
    assert {0o600} >= {stat.S_IMODE(os.stat(state).st_mode) for state, *_ in used}
    assert [] == list(_leaked(tmp_path, seals))


@pytest.mark.parametrize("everywhere", [False, True], ids=["full", "full, everywhere"])
def test_it_would_be_found(playing, provider, keys, tmp_path, table, request, everywhere):
    """Without options the word is at every place that may have it: the search above finds it."""
    _run(playing, provider, keys, tmp_path, {}, everywhere)
    found = _found(tmp_path, [CANARY], table.setdefault(request.node.callspec.id, {}))
    places = {"log", "rotated", "stdout", *(["pickles", "stderr"] if everywhere else [])}
    assert places <= {name if name in PLACES else _place(Path(name)) for name in found}
    assert {"sdks/a.jsonl", "wrapped/a.jsonl"} <= found.keys()


@pytest.mark.parametrize("at", ["notes", "seals/0.seal"])
def test_a_key_would_be_found(tmp_path, at):
    """Keys that seal are found in any file and in any form; those of now not in their own file."""
    from hilt_logging.safeguards import sealing

    (aside := tmp_path / "aside").mkdir()
    (folder := tmp_path / "folder").mkdir()
    (folder / "told.json").write_text("{}")
    seals = Seals(folder / "seals", aside, {"evidence": "sealed"})
    state, first = next(iter(seals.first)), seals.load("first", aside / "0.first.jwk")
    sealing.SealFile(state).move_on(first.key.next().next(), sealing.Bond())
    assert [] == list(_leaked(folder, seals))
    ((_, past, present),) = seals.secrets()
    past, present = list(past), list(present)
    assert 3 * 4 == len(past)
    for key in [*past, *(present if at == "notes" else ())]:
        with open(folder / at, "ab") as file:
            file.write(key)
        assert [(at, "0.seal")] == list(_leaked(folder, seals))
        os.truncate(folder / at, os.path.getsize(folder / at) - len(key))


SHORT, KILL, STALL, SHORT_STALL, SHORT_STOP, STOP = -1, -2, -3, -4, -5, -6
FAULTS = [
    *({"op": "write", "fault": fault, "at": 3} for fault in ("EINTR", "EAGAIN", "EIO", "ENOSPC")),
    {"op": "write", "fault": "EIO", "at": 3, "times": 9},
    {"op": "write", "fault": SHORT, "at": 3, "amount": 1, "times": 3},
    {"op": "write", "fault": SHORT, "at": 3, "amount": 1 << 30},
    {"op": "write", "fault": SHORT_STALL, "at": 3, "amount": 5},
    {"op": "write", "fault": STALL, "at": 3, "amount": 5},
    {"op": "write", "fault": KILL, "at": 3},
    {"op": "write", "fault": KILL, "at": 3, "peers": 1},
    {"op": "write", "fault": STOP, "at": 3, "peers": 1, "dies": True},
    {"op": "write", "fault": SHORT_STOP, "at": 3, "peers": 1},
    {"op": "fallocate", "fault": "ENOSPC", "at": 1, "times": 2},
    {"op": "flock", "fault": "ENOLCK", "at": 1},
    {"op": "lseek", "fault": "EIO", "at": 1},
    {"op": "open", "fault": "EMFILE", "at": 1},
    {"op": "open", "fault": "EMFILE", "at": 2},
    {"op": "open lock", "fault": "EACCES", "at": 0},
    {"op": "open lock", "fault": "EMFILE", "at": 1},
]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Runs writers whose system calls fail, and keeps what they say on stderr."""
    compiler, folder = shutil.which("gcc"), tmp_path_factory.mktemp("shim")
    if compiler is None:
        pytest.skip("no gcc")
    storage = HERE.parent / "storage"
    build = [
        compiler,
        "-O1",
        "-shared",
        "-fPIC",
        "-o",
        folder / "shim.so",
        storage / "shim.c",
        "-ldl",
    ]
    if subprocess.run(build, capture_output=True).returncode:
        pytest.skip("gcc can't compile it")
    (folder / "switch").write_bytes(bytes(32 + 4096))
    env = {
        **os.environ,
        "LD_PRELOAD": str(folder / "shim.so"),
        "FAULTS": str(folder / "switch"),
        "HILT_TEST_KEY": "k" * 32,
    }
    with (
        open(folder / "stderr", "wb") as said,
        subprocess.Popen(
            [sys.executable, storage / "_faulty.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=env,
        ) as process,
    ):

        def run(**scenario):
            if isinstance(fault := scenario["fault"], str):
                scenario["fault"] = getattr(errno, fault)
            process.stdin.write(json.dumps(scenario) + "\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], "a writer hangs"
            return json.loads(process.stdout.readline()), (folder / "stderr").read_bytes()

        yield run
        process.stdin.close()


ALIKE = (
    *("hash with a key", "kept fields"),
    *("encrypted, pseudonyms, linked", "erasable by actor, linked"),
)
"""Modes that are written in the same way as others; with CANARY_ALL they are played, too."""
WRITTEN = {
    name: mode
    for name, mode in MODES.items()
    if (name not in ALIKE or "CANARY_ALL" in os.environ) and "broken" not in mode
}


@pytest.mark.parametrize("mode", WRITTEN.values(), ids=WRITTEN)
def test_nothing_gets_out_when_the_system_fails(faulty, keys, tmp_path, table, request, mode):
    """Whatever call fails, whoever dies or is stopped: the word is in no file and on no stream."""
    row = table.setdefault(f"{request.node.callspec.id}; faults", {})
    options = _options(mode, keys, tmp_path)
    seals = Seals(tmp_path / "seals", Path(keys["auditor"]).parent, mode)
    states = list(seals.first)
    events = 0
    for number, fault in enumerate(FAULTS):
        (folder := tmp_path / str(number)).mkdir()
        scenario = {"path": str(folder / "a.jsonl"), "text": CANARY, "events": 8, **fault}
        if states:
            options["seal_key"] = states[number]
        answer, said = faulty(**scenario, **options)
        (folder / "stderr").write_bytes(said)
        events += sum(len(writer["ids"]) for writer in answer["writers"])
    (tmp_path / "told.json").write_text("{}")
    assert events > 100
    assert {} == _found(tmp_path, _secrets(mode, keys), row)
    assert [] == list(_leaked(tmp_path, seals))
