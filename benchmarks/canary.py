"""
Whether a secret gets out when something goes wrong: each scenario of `faults.py`, in each mode.

    python benchmarks/canary.py [WORD ...]

All that is said in it is a secret. Prints one table, of the scenarios whose names contain one of the
words: in how many files and streams the secret was looked for and not found, or where it was. The
last column is the control, in which nothing protects it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import zlib

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import fault_scenarios

from fault_contenders import Ours
from fault_scenarios import RUN_MAY_TAKE_S, SCENARIOS, Run
from faults import AT_ONCE, compiled, why_not


CANARY = "canary-7f3a@secret.example"
PERSON = "person-5c1d"
LINKED = {"evidence": True, "sign_key": "signing.key.jwk", "checkpoint_every": 50}
SEALED = {"encrypt_to": "auditor.pub.jwk"}
ERASABLE = {"erasable_by": "user_id", "key_store": "keys.db"}
MODES: dict[str, dict[str, Any]] = {
    "none": {"content": "none"},
    "redact": {"redact": "core"},
    "encrypted": SEALED,
    "encrypted, linked": {**SEALED, **LINKED},
    "erasable, linked": {**ERASABLE, **LINKED},
    "both, linked": {**SEALED, **ERASABLE, **LINKED},
    "full": {},
}
KEYS = ("auditor", "signing")


class Canary(Ours):
    """`HILTFileHandler` with the options of a mode; whatever is to be said, it says the secret."""

    options: dict[str, Any] = {}  # noqa: RUF012 -- set once, before any is made
    modules: ClassVar = [
        *Ours.modules,
        "cryptography.hazmat.primitives.asymmetric.ed25519",
        "hilt_logging.safeguards.encryption",
        "hilt_logging.safeguards.keystore",
        "hilt_logging.safeguards.privacy",
    ]

    def __init__(self, path: Path, max_bytes: int = 0, watches: bool = False) -> None:
        import logging

        from hilt_logging import HILTFileHandler, emit

        self._emit = emit
        self._handler = HILTFileHandler(path, max_bytes=max_bytes, **self.options)
        logger = logging.getLogger("hilt")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        logger.addHandler(self._handler)

    def __call__(self, text: str, payload: Any) -> tuple[str, bool]:
        """Log; return the id and whether it was refused."""
        said = f"{CANARY} " * max(1, len(text) // len(CANARY))
        actor = {"type": "human", "id": PERSON, "name": PERSON}
        event = {"actor": actor, "action": "prompt", "content": {"text": said}}
        more = {"said": said, "payload": payload, "error": {"type": "E", "message": said}}
        return super().__call__("", {**event, "extensions": {"user_id": PERSON, **more}})


def play(name: str, mode: str, folder: Path) -> None:
    """Play a scenario in this process."""
    keys = folder.parent
    paths = {option: str(keys / value) for option, value in MODES[mode].items() if is_path(option)}
    Canary.options = {**MODES[mode], **paths}
    fault_scenarios.STOPPED_S = 3
    SCENARIOS[name].play(Run(Canary, folder))


def is_path(option: str) -> bool:
    return option in ("encrypt_to", "key_store", "sign_key")


def measure(name: str, mode: str, shim: Path | None) -> str:
    """Run a scenario in a session of its own, and look for the secret in all that is left of it."""
    from hilt_logging.safeguards import jwk

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, "run")
        folder.mkdir()
        Path(made, "switch").write_bytes(bytes(32 + 4096))
        secrets = [CANARY, CANARY[:10]]
        for key, kind in zip(KEYS, ("P-256", "Ed25519"), strict=True):
            private = jwk.generate(kind)
            secrets.append(private["d"])
            jwk.write_new(Path(made, f"{key}.key.jwk"), private)
            jwk.write_new(Path(made, f"{key}.pub.jwk"), jwk.public_of(private))
        if "encrypt_to" in MODES[mode] or "erasable_by" in MODES[mode]:
            secrets.append(PERSON)
        environ = {**os.environ, "FAULTS": str(Path(made, "switch")), "PYTHONWARNINGS": "always"}
        if SCENARIOS[name].needs_shim:
            environ["LD_PRELOAD"] = str(shim)
        ran(name, mode, folder, environ)
        return found(Path(made), secrets)


def ran(name: str, mode: str, folder: Path, environ: dict[str, str]) -> None:
    with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
        process = subprocess.Popen(
            [sys.executable, __file__, name, mode, str(folder)],
            env=environ,
            start_new_session=True,
            stdout=out,
            stderr=err,
        )
    try:
        process.wait(3 * RUN_MAY_TAKE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise RuntimeError("it hangs") from None
    finally:
        if os.path.ismount(folder / "disk"):
            subprocess.run(["umount", "-l", folder / "disk"], check=False)
    notes = (folder / "notes").read_text()
    if process.returncode or "\nfailed" in notes or "accepted" not in notes:
        raise RuntimeError((folder / "stderr").read_text()[-1000:])


def found(folder: Path, secrets: list[str]) -> str:
    """In how many files the secrets are not, or the kinds of those in which they are."""
    looked, kinds = 0, set()
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.endswith(".key.jwk"):
            continue
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with contextlib.suppress(zlib.error):
                data = zlib.decompressobj(31).decompress(data)
        looked += 1
        if any(secret.encode() in data for secret in secrets):
            kinds.add(path.name.partition(".jsonl.20")[0])
    return "FOUND: " + ", ".join(sorted(kinds)[:3]) if kinds else f"not in {looked}"


def main(words: list[str]) -> None:
    """Run everything and print the table."""
    wanted = [name for name in SCENARIOS if not words or any(word in name for word in words)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        shim = compiled(Path(folder))
        wanted = [name for name in wanted if not why_not(SCENARIOS[name], shim)]
        cells = {
            (name, mode): pool.submit(measure, name, mode, shim)
            for name in wanted
            for mode in MODES
        }
        print("| scenario |", " | ".join(MODES), "|")
        print("|---|" + "---|" * len(MODES))
        for name in wanted:
            print(f"| {name} |", " | ".join(cell(cells[name, mode]) for mode in MODES), "|")
            sys.stdout.flush()


def cell(row: Any) -> str:
    try:
        return str(row.result())
    except Exception as error:
        return f"failed: {json.dumps(str(error)[-200:])}"


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in SCENARIOS:
        try:
            play(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
        except Exception:
            traceback.print_exc()
            os.killpg(0, signal.SIGKILL)  # with its writers, some of which never end by themselves
    else:
        main(sys.argv[1:])
