"""Logs with links, made without the library, so that what reads them is held against the format."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from hilt_logging.safeguards.jwk import JWK, generate, public_of


def sha(data):
    return hashlib.sha256(data).hexdigest()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Log:
    """A log in memory: files of lines, the last of them live."""

    def __init__(self, key=None, chain="ab" * 16, previous="0" * 64):
        self.key, self.chain = key, chain
        self.files = [[]]
        self.seq, self.head, self.last = -1, None, previous
        self.strays = []
        self.events = 0

    @property
    def lines(self):
        return self.files[-1]

    def stray(self, line):
        """A line that is in no chain."""
        self.lines.append(line)
        self.last = sha(line)
        self.strays.append(line)
        return self

    def linked(self, text, seal=False):
        self.seq += 1
        member = f',"integrity":{{"chain":"{self.chain}","seq":{self.seq},"prev":"{self.last}"'
        if self.strays and self.head is not None:
            covered = self.head.encode() + b"\n" + b"".join(each + b"\n" for each in self.strays)
            member += f',"span":{{"lines":{len(self.strays)},"sha256":"{sha(covered)}"}}'
        line = text.encode()[:-1] + member.encode() + b"}}"
        if seal:
            line = self.sealed(line)
        self.lines.append(line)
        self.head = self.last = sha(line)
        self.strays = []
        return self

    def sealed(self, line):
        if self.key is None:
            return line[:-2] + f',"digest":"{sha(line)}"}}}}'.encode()
        header = b64(json.dumps({"alg": "EdDSA", "kid": self.key.kid}).encode())
        signature = b64(self.key.key.sign(f"{header}.{b64(line)}".encode()))
        return line[:-2] + f',"signature":"{header}..{signature}"}}}}'.encode()

    def event(self, text=None):
        self.events += 1
        said = {
            "event_id": f"{self.events:08}",
            "action": "prompt",
            "content": {"text": text or "Hi"},
        }
        return self.linked(json.dumps(said, separators=(",", ":")))

    def add(self, count):
        for _ in range(count):
            self.event()
        return self

    def notice(self, kind, seal=False, **told):
        actor = {"type": "system", "id": "hilt_logging"}
        event = {"actor": actor, "extensions": {"notice": {"kind": kind, **told}}}
        return self.linked(json.dumps(event, separators=(",", ":")), seal)

    def opened(self, process=1, **told):
        signs = {"sign_key": self.key.kid} if self.key else {}
        return self.notice("opened", process=process, host="h", **{**signs, **told})

    def checkpoint(self, reason="events", process=1):
        return self.notice(
            "checkpoint", True, chain=self.chain, seq=self.seq + 1, reason=reason, process=process
        )

    def closed(self, process=1):
        return self.notice("closed", True, process=process)

    def rotate(self, checkpoint=True):
        if checkpoint:
            self.checkpoint("rotation")
        self.files.append([])
        return self

    def entry(self, index):
        """What a statement says of a file."""
        lines = [line for line in self.files[index] if b'"seq":' in line]
        seqs = [int(line.split(b'"seq":')[1].split(b",")[0]) for line in lines]
        return {
            "name": f"a.jsonl.{STAMP % index}",
            "chain": self.chain,
            "first_seq": seqs[0],
            "last_seq": seqs[-1],
            "first_prev": lines[0].split(b'"prev":"')[1][:64].decode(),
            "head": sha(lines[-1]),
        }

    def saved(self):
        """The last line as an event of `hilt.integrity`."""
        told = {"chain": self.chain, "seq": self.seq, "head": self.head, "at": "now", "counts": {}}
        if self.key is not None:
            header = b64(json.dumps({"alg": "EdDSA", "kid": self.key.kid}).encode())
            payload = b64(json.dumps(told).encode())
            signature = b64(self.key.key.sign(f"{header}.{payload}".encode()))
            told["jws"] = f"{header}.{payload}.{signature}"
        return {"extensions": {"notice": {"kind": "checkpoint", **told, "file": "a.jsonl"}}}

    def write(self, folder, name=None, files=None):
        """Write the files under the names that they have after rotation."""
        folder.mkdir(exist_ok=True)
        files = self.files if files is None else files
        for index, lines in enumerate(files):
            rotated = (name or "a.jsonl.{stamp}").format(
                stamp=STAMP % index, age=len(files) - 1 - index
            )
            path = folder / ("a.jsonl" if index == len(files) - 1 else rotated)
            path.write_bytes(b"".join(line + b"\n" for line in lines))
        return folder


STAMP = "20260102T030405.%09dZ"


@pytest.fixture(scope="session")
def private_key():
    return JWK(generate("Ed25519"))


@pytest.fixture(scope="session")
def public_key(private_key):
    return JWK(public_of(private_key.fields))


@pytest.fixture(scope="session")
def make_log():
    """Makes a log."""
    return Log
