"""
Programs with a secret: everything that they say, and every way in which that can go wrong.

Reads what is to be done as JSON, one a line, does each in a fork of its own, and answers with what
came of it: texts by place.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import io
import json
import logging
import logging.handlers
import os
import pickle
import queue
import signal
import ssl
import sys
import time
import traceback
import warnings

from datetime import timedelta
from pathlib import Path

import hilt_logging

from hilt_logging import (
    BackgroundHandler,
    HILTFileHandler,
    HILTFormatter,
    Session,
    bind,
    custody,
    emit,
    events,
)
from hilt_logging.config import check_config, set_privacy
from hilt_logging.io.reader import read
from hilt_logging.safeguards.sealing import UnfitError


CANARY = "canary-7f3a@secret.example"
PERSON = "person-5c1d"
own, everywhere, keys, seals = {}, False, None, []
told = {}


def tell(place, *texts):
    """Keep what came out at a place that is no file."""
    told.setdefault(place, []).extend(map(str, texts))


def raised(error):
    """Keep all that an error says of itself, and of those that it came from, hidden ones too."""
    tell("exceptions", "".join(traceback.format_exception(error)))
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        tell("exceptions", str(error), repr(error), error.args, vars(error))
        tell("exceptions", getattr(error, "__notes__", ""))
        error = error.__cause__ or error.__context__


def attempt(function, *args, **options):
    try:
        return function(*args, **options)
    except Exception as error:
        raised(error)


def broken(text):
    raise ValueError(text)


# what is said


def say(secret=CANARY, person=PERSON):
    """All parts of events, and all ways to make one."""
    error = {"type": "E", "message": secret}
    arguments = {"to": secret, "json": json.dumps([secret])}
    tool = {"name": "t", "call_id": "c", "arguments": arguments}
    human = {"type": "human", "id": person, "name": person}
    with bind(session_id="s", user_id=person, note=secret):
        emit(events.prompt(secret, provenance={"metadata": {secret: secret}}))
        emit(events.completion(secret, extensions={"refusal": secret, "error": error}))
        emit(events.tool_call("t", extensions={"tool": tool}))
        emit(events.retrieval(secret, [{"text": secret}]), level="ERROR")
        emit({"actor": human, "action": "completion_chunk", "content": {"text": secret}})
        emit({"action": secret, "actor": secret})
        emit({"actor": human, "action": "prompt", "content": {"text": (secret + " ") * 999}})
        emit(events.prompt(extensions={"x": {secret, (secret,)}, "y": secret.encode()}))
        emit({**events.prompt(secret).to_dict(), "more": secret, "privacy": {"note": secret}})
    logging.getLogger("hilt.app").info("rated", extra={"hilt": {"content": {"text": secret}}})


def log_otherwise(handler):
    """Ordinary records, which are wrapped."""
    for args in (("said %s", CANARY), ("said %d", CANARY)):
        handler.handle(logging.LogRecord("app", 40, "f", 1, *args, None))
    try:
        broken(CANARY)
    except ValueError:
        handler.handle(logging.LogRecord("app", 40, "f", 1, CANARY, (), sys.exc_info()))


# where it goes


def file(name="a.jsonl", **options):
    options = {**own, **options}
    if options.get("evidence") == "sealed":
        options["seal_key"] = seals.pop()  # each log has a key of its own
    return HILTFileHandler(name, **options)


def full(**options):
    os.symlink("/dev/full", "a.jsonl")
    return file(**options, evidence=False, sign_key=None)


def gone():
    handler = file("d/a.jsonl")
    os.rename("d", "e")
    os.mkdir("d", 0o500)
    return handler


def stream(to=None):
    handler = logging.StreamHandler(to or sys.stdout)
    handler.setFormatter(HILTFormatter(**formats()))
    return handler


def formats():
    return {name: value for name, value in own.items() if name in HILTFormatter.OPTIONS}


class Broken(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


class Queued(logging.handlers.QueueHandler):
    def __init__(self):
        super().__init__(queue.SimpleQueue())
        self.addFilter(hilt_logging.HILTContextFilter())

    def close(self):
        super().close()
        while not self.queue.empty():
            record = self.queue.get()
            tell("pickles", repr(record.__dict__), pickle.dumps(record))


def text():
    handler = logging.StreamHandler()
    handler.setFormatter(hilt_logging.HILTTextFormatter(content=everywhere))
    return handler


def without_store():
    """The key store goes away while events come."""
    store = own.get("key_store")
    handler = file()
    if store:
        with bind(session_id="s", user_id="x"):
            emit(events.prompt("Hi"))
        for name in (store, f"{store}-journal"):
            os.rename(name, f"{name}.aside")
        os.mkdir(store)
    return handler


def without_seal():
    """The key that seals is damaged while events come."""
    handler = file()
    key = handler.evidence.seal_key
    with bind(session_id="s", user_id="x"):
        emit(events.prompt("Hi"))
        handler.rotate()
    os.truncate(key, 300)
    return handler


HANDLERS = {
    "file": lambda: file(max_bytes=6000, compress="gzip"),
    "full": full,
    "raise": lambda: full(on_error="raise"),
    "gone": gone,
    "background": lambda: BackgroundHandler(file()),
    "wrapped": lambda: file(foreign="wrap"),
    "stream": stream,
    "broken stream": lambda: stream(Broken()),
    "broken stream, wrapped": lambda: stream(Broken()),
    "queued": Queued,
    "text": text,
}


@contextlib.contextmanager
def folder(name, make_handler):
    """A handler in a folder of its own."""
    os.mkdir(name)
    os.chdir(name)
    handler = make_handler()
    logger = logging.getLogger("hilt")
    logger.addHandler(handler)
    yield handler
    tell("reprs", *check_config(), repr(handler), repr(handler.formatter), str(handler))
    for part in ("_rules", "_sealing"):
        tell("reprs", repr(getattr(handler.formatter, part, None)))
    tell("reprs", repr(getattr(handler, "evidence", None)), getattr(handler, "stats", dict)())
    if seal := getattr(getattr(handler, "evidence", None), "seal", None):
        tell("reprs", repr(seal), vars(seal))
        with contextlib.suppress(UnfitError):
            for key in seal.read():
                tell("reprs", repr(key), str(key))
                attempt(pickle.dumps, key)
    logger.removeHandler(handler)
    handler.close()
    os.chdir("..")


def handlers():
    for name, make_handler in HANDLERS.items():
        if name in ("queued", "text") and not everywhere:
            continue
        with folder(name, make_handler) as handler:
            attempt(say)
            if name == "file":
                child = os.fork()
                if child == 0:
                    say()
                    os._exit(0)
                os.waitpid(child, 0)
                handler.rotate()
            if name == "wrapped":
                log_otherwise(handler)
    if own.get("key_store"):
        with folder("without store", without_store):
            attempt(say)
        for name in (own["key_store"], f"{own['key_store']}-journal"):
            if os.path.isdir(name):
                os.rmdir(name)
            os.rename(f"{name}.aside", name)
    if own.get("evidence") == "sealed":
        with folder("without seal", without_seal):
            attempt(say)
    if everywhere:
        os.mkdir("session")
        with Session("session/session.jsonl") as session:
            tell("reprs", repr(session))
            session.append(events.prompt(CANARY))
            attempt(session.append, {"action": "prompt", "content": {"text": CANARY}})


# what others do with it


def reading(damaged):
    """Everything that reads logs, on whole and on damaged ones."""
    for _ in read(damaged, errors="skip", report=raised):
        pass
    for _ in custody.decrypt([damaged], keys=[], report=raised):
        pass
    for with_keys in (keys["auditor"], keys["other"]):
        for line in custody.decrypt(
            [damaged],
            keys=[with_keys],
            key_store=own.get("key_store"),
            report=raised,
        ):
            if line.failure is not None:
                raised(line.failure)
            if not line.was_encrypted or line.failure is not None:
                attempt(lambda line=line: line.event and None)
    for sealed in ([], keys["first"]):
        keys_given = {"public_keys": [keys["signing.pub"]], "seal_keys": sealed}
        tell("reports", attempt(custody.verify, [damaged], **keys_given))


def changing(log, seal=None):
    """Everything that changes logs."""
    signed = {"sign_key": keys["signing"]} if own.get("sign_key") else {}
    signed |= {"seal_key": seal} if seal else {}
    if own.get("key_store"):
        store, report = own["key_store"], None
        report = attempt(custody.erase, PERSON, key_store=store, log=log, by="me", **signed)
        tell("reports", report)
        tell("reports", attempt(custody.erase, PERSON, key_store=store, paths=[log]))
    for options in ({"dry_run": True}, {"keep_old": True}, {}):
        report = attempt(custody.rewrite, log, "x" + PERSON, by="me", **options, **signed)
        tell("reports", report and (report.events, report.files, report.untouched))
    tell("reports", attempt(custody.prune, log, timedelta(0), dry_run=True, **signed))
    tell("reports", attempt(custody.prune, log, timedelta(0), **signed))


def commands(log, damaged, seal=None):
    """The same from the shell, in this process."""
    from hilt_logging.cli import main

    signing = ["--sign-key", keys["signing"]] if own.get("sign_key") else []
    signing += ["--seal-key", seal] if seal else []
    lines = [
        ["verify", damaged],
        ["verify", "--json", damaged, "--public-key", keys["signing.pub"]],
        ["verify", damaged, "--checkpoints", damaged],
        ["decrypt", damaged, "--key", keys["other"], "-o", "no.jsonl", "--json"],
        ["decrypt", damaged, "--key", damaged],
        ["prune", log, "--older-than", "1d", "--json", *signing],
        ["prune", damaged, "--older-than", "1d", "--json"],
        ["erase", "--rewrite", "--subject", "nobody", damaged, "--json"],
        ["erase", "--subject", "nobody", "--key-store", damaged, damaged],
        ["keygen", damaged],
    ]
    if own.get("key_store"):
        lines.append(["erase", "--subject", "nobody", "--key-store", own["key_store"], damaged])
        lines.append(["decrypt", damaged, "--key-store", own["key_store"], "-o", "no2.jsonl"])
    if seal:
        lines += sealed_commands(log, damaged, seal)
    for line in lines:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(each) for each in line])
        tell("commands", line[0], code, out.getvalue(), err.getvalue())
    crashed(main, damaged)


def sealed_commands(log, damaged, seal):
    """Those that take a key that seals, with right ones and with damaged ones."""
    given = [each for key in keys["first"] for each in ("--seal-key", key)]
    aside = Path(keys["first"][0]).parent
    bad = aside / "bad.jwk", aside / "bad.seal"
    for path, changed in zip(bad, (_flipped(keys["first"][0]), _flipped(seal)), strict=True):
        path.write_bytes(changed)
        path.chmod(0o600)
    return [
        ["verify", log, *given, "--seal-key", seal],
        ["verify", "--json", damaged, *given],
        *(["verify", log, "--seal-key", each] for each in (*bad, damaged, keys["signing"])),
        *(["prune", log, "--older-than", "1d", "--seal-key", each] for each in (*bad, *given[1:2])),
        ["keygen", "--seal", seal.removesuffix(".seal")],
        ["keygen", "--seal", "made", "-o", "first.jwk"],
        ["keygen", "--seal", "made", "--force", "-o", "first.jwk"],
    ]


def _flipped(path):
    data = bytearray(Path(path).read_bytes())
    data[len(data.rstrip()) - 40] ^= 1
    return bytes(data)


def crashed(main, damaged):
    """A command that something unexpected ends tells where, and not what it read."""
    from hilt_logging.custody import verify as _  # noqa: F401 -- loaded before it is changed
    from hilt_logging.io import files

    before = files.open_lines
    module = sys.modules["hilt_logging.custody._reading"]

    def failing(*args, **options):
        for line in before(*args, **options):
            secret = line  # noqa: F841 -- a local that tracebacks with locals would show
            raise RuntimeError("a bug")
        yield

    module.open_lines = failing
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["decrypt", str(damaged), "--key", keys["auditor"], "-o", "crash.jsonl"])
    module.open_lines = before
    assert code == 1
    assert "a bug" in err.getvalue()
    tell("commands", out.getvalue(), err.getvalue())


def damage(path, whole):
    """Files in which something of each kind is wrong."""
    lines = whole.splitlines(keepends=True)
    half = lines[0][: len(lines[0]) // 2]
    parts = [*lines, half + b"\n", b"\xff\xfe" + lines[1], lines[1][:-3] + b"\n"]
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            token = event.get("content", {}).get("text_encrypted")
            if isinstance(token, str):
                event["event_id"] = "moved"
                parts.append(json.dumps(event).encode() + b"\n")
                for changed in (token[:-9] + "AAAAAAAAA", token[:40], "x." * 5, {}, None, [token]):
                    event["content"]["text_encrypted"] = changed
                    parts.append(json.dumps(event).encode() + b"\n")
    path.write_bytes(b"".join(parts) + half)


def custodians():
    """A log, and all that is done with its files."""
    os.mkdir("custody")
    handler = file("custody/log.jsonl")
    seal = handler.evidence.seal_key if own.get("evidence") == "sealed" else None
    logging.getLogger("hilt").addHandler(handler)
    say()
    handler.rotate()
    say()
    handler.close()
    logging.getLogger("hilt").removeHandler(handler)
    log = Path("custody/log.jsonl")
    damaged = Path("custody/damaged.jsonl")
    damage(damaged, log.read_bytes())
    cut = Path("custody/cut.jsonl.gz")
    cut.write_bytes(gzip.compress(log.read_bytes())[:-20])
    for path in (log, damaged, cut):
        reading(path)
    commands(log, damaged, seal)
    changing(log, seal)
    if not own.get("key_store"):
        changing(damaged, seal)


# the integrations


class Flow:
    """The calls of SDKs, on the loopback server, whose answers have the secret."""

    def __init__(self, url, items):
        self.url, self.items = url, items

    def at(self, item, **options):
        more = "".join(f"~{name}={value}" for name, value in options.items())
        return f"{self.url}/f/{item['id']}{more}"

    def openai(self, item, retries=0, **options):
        import openai

        client = openai.OpenAI(
            api_key="k", base_url=self.at(item, **options) + "/v1", max_retries=retries
        )
        method = {
            "chat.completions": client.chat.completions.create,
            "completions": client.completions.create,
            "responses": client.responses.create,
            "embeddings": client.embeddings.create,
        }[item["api"]]
        return method(**self.fitting(method, item["request"]["body"]))

    def anthropic(self, item, retries=0, **options):
        import anthropic

        client = anthropic.Anthropic(
            api_key="k", base_url=self.at(item, **options), max_retries=retries
        )
        method = client.messages.create
        return method(**self.fitting(method, item["request"]["body"]))

    def gemini(self, item, retries=0, **options):
        from google import genai

        client = genai.Client(api_key="k", http_options={"base_url": self.at(item, **options)})
        model = item["request"]["path"].rpartition("/")[2].partition(":")[0]
        body = item["request"]["body"]
        call = client.models.generate_content
        if item["stream"]:
            call = client.models.generate_content_stream
        made = call(model=model, contents=body["contents"])
        return made if not item["stream"] else self.kept(client, made)

    @staticmethod
    def kept(client, made):
        yield from made

    @staticmethod
    def fitting(method, body):
        known = inspect.signature(method).parameters
        extra = {name: value for name, value in body.items() if name not in known}
        given = {name: value for name, value in body.items() if name in known}
        return {**given, **({"extra_body": extra} if extra else {})}

    def call(self, item, **options):
        """One call; what the application gets is its own."""
        with contextlib.suppress(Exception):
            made = getattr(self, item["provider"])(item, **options)
            if item["stream"]:
                for _ in made:
                    pass

    def play(self):
        for item in self.items:
            self.call(item)
            if item["stream"]:
                for fault in ({"reset_after": 2}, {"close_after": 2}):
                    self.call(item, **fault)
                with contextlib.suppress(Exception):
                    made = getattr(self, item["provider"])(item)
                    next(iter(made))
                    del made
        for provider in ("openai", "anthropic", "gemini"):
            item = next(each for each in self.items if each["provider"] == provider)
            for fault in ({"refuse": 1}, {"reset_after": 20}, {"fail429": 1, "retries": 1}):
                if provider != "gemini" or "retries" not in fault:
                    self.call(item, **fault)


def functions():
    """What applications record of their own."""
    from hilt_logging import record_feedback, record_retrieval, tool, turn

    @tool
    def look(where):
        raise ValueError(where)

    @tool
    async def wait(where):
        await asyncio.sleep(0)
        raise ValueError(where)

    with contextlib.suppress(ValueError):
        look(CANARY)
    with contextlib.suppress(ValueError):
        asyncio.run(wait(CANARY))
    with contextlib.suppress(Exception), turn(CANARY):
        record_retrieval(CANARY, [{"text": CANARY}])
        raise ValueError(CANARY)
    with contextlib.suppress(Exception):
        record_feedback(1, comment=CANARY)


def chains():
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnableLambda

    from hilt_logging.integrations.langchain import HILTCallbackHandler

    config = {"callbacks": [HILTCallbackHandler(session_id="s")], "metadata": {"note": CANARY}}
    asked = ChatPromptTemplate.from_messages([("human", "{said}")])
    chain = asked | FakeListChatModel(responses=[CANARY])
    chain.invoke({"said": CANARY}, config=config)
    list(chain.stream({"said": CANARY}, config=config))
    with contextlib.suppress(ValueError):
        (chain | RunnableLambda(lambda _: broken(CANARY))).invoke({"said": CANARY}, config=config)


def integrations(url, items):
    hilt_logging.instrument()
    with folder("sdks", lambda: file("a.jsonl")), bind(session_id="s", user_id=PERSON):
        Flow(url, items).play()
        functions()
        chains()
    hilt_logging.uninstrument()


# how it runs


def play(job):
    """Do one job in this process, which is a fork."""
    global own, everywhere, keys, seals
    warnings.simplefilter("always")
    mode, everywhere, keys, seals = job["mode"], job["everywhere"], job["keys"], job["seals"]
    if mode.pop("broken", False):
        mode["redact"] = [broken]
    if everywhere:
        set_privacy(**mode)
        mode = {}
    own = {"max_line_bytes": 8192, **mode}
    diagnostics = io.StringIO()
    library = logging.getLogger("hilt_logging")
    library.setLevel(logging.DEBUG)
    library.addHandler(logging.StreamHandler(diagnostics))
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    checkpoints = io.StringIO()
    shown = logging.StreamHandler(checkpoints)
    shown.setFormatter(HILTFormatter())
    logging.getLogger("hilt.integrity").addHandler(shown)
    for part in (handlers, custodians, lambda: integrations(job["url"], job["items"])):
        began = time.monotonic()
        part()
        told.setdefault("took", []).append(f"{time.monotonic() - began:.2f}")
    logging.shutdown()
    tell("diagnostics", diagnostics.getvalue())
    tell("checkpoints", checkpoints.getvalue())
    Path("told.json").write_text(json.dumps({name: "\n".join(all) for name, all in told.items()}))


def main():
    made = ssl.create_default_context()
    ssl.create_default_context = lambda *_, **__: made  # as each client would read all certificates
    for number, line in enumerate(sys.stdin):
        job = json.loads(line)
        if not number:  # what SDKs load and build late, too
            Flow(job["url"], job["items"]).play()
            chains()
        child = os.fork()
        if child == 0:
            try:
                os.chdir(job["folder"])
                for stream, name in ((1, "stdout"), (2, "stderr")):
                    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream)
                play(job)
                sys.stdout.flush()
            except BaseException:
                Path("failed").write_text(traceback.format_exc())
            finally:
                os._exit(0)
        until, ended = time.monotonic() + 50, 0
        while not ended and time.monotonic() < until:
            ended, _ = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if not ended:
            os.kill(child, signal.SIGABRT)
            os.waitpid(child, 0)
        print(json.dumps("ended" if ended else "hung"), flush=True)


if __name__ == "__main__":
    main()
