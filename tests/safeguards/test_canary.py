"""
A word that must not get out is looked for wherever it might: files, streams, errors, reprs, pickles.

Each scenario runs in a process of its own, in an empty directory.
"""

from __future__ import annotations

import json
import os
import textwrap

import pytest


CANARY = "canary-7f3a@secret.example"

PROGRAM = textwrap.dedent(
    """
    import io, json, logging, logging.handlers, os, pickle, queue, sys, traceback
    import hilt_logging
    from hilt_logging import BackgroundHandler, HILTFileHandler, HILTFormatter, Session, bind, emit
    from hilt_logging import events
    from hilt_logging.config import check_config, set_privacy

    CANARY = "canary-7f3a@secret.example"
    mode = json.loads(sys.argv[1])
    everywhere = mode.pop("everywhere")

    def broken(text):
        raise ValueError(text)

    if mode.pop("broken", False):
        mode["redact"] = [broken]
    if everywhere:
        set_privacy(**mode)
    own = {"max_line_bytes": 4096, **({} if everywhere else mode)}
    diagnostics = io.StringIO()
    logging.getLogger("hilt_logging").addHandler(logging.StreamHandler(diagnostics))
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    waiting = queue.SimpleQueue()

    def say():
        error = {"type": "E", "message": CANARY}
        arguments = {"to": CANARY, "json": json.dumps([CANARY])}
        tool = {"name": "t", "call_id": "c", "arguments": arguments}
        person = {"type": "human", "id": "x"}
        with bind(session_id="s", user_id="u", note=CANARY):
            emit(events.prompt(CANARY, provenance={"metadata": {CANARY: CANARY}}))
            emit(events.completion(CANARY, extensions={"refusal": CANARY, "error": error}))
            emit(events.tool_call("t", extensions={"tool": tool}))
            emit(events.retrieval(CANARY, [{"text": CANARY}]), level="ERROR")
            emit({"actor": person, "action": "completion_chunk", "content": {"text": CANARY}})
            emit({"action": CANARY, "actor": CANARY})
            emit({"actor": person, "action": "prompt", "content": {"text": (CANARY + " ") * 999}})
            emit(events.prompt(extensions={"x": {CANARY, (CANARY,)}, "y": CANARY.encode()}))
        logging.getLogger("hilt.app").info("rated", extra={"hilt": {"content": {"text": CANARY}}})

    def file(**options):
        return HILTFileHandler("a.jsonl", **own, **options)

    def full(**options):
        os.symlink("/dev/full", "a.jsonl")
        return file(**options)

    def gone():
        handler = HILTFileHandler("d/a.jsonl", **own)
        os.rename("d", "e")
        os.mkdir("d", 0o500)
        return handler

    def stream():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(HILTFormatter(**own))
        return handler

    def queued():
        handler = logging.handlers.QueueHandler(waiting)
        handler.addFilter(hilt_logging.HILTContextFilter())
        return handler

    def text():
        handler = logging.StreamHandler()
        handler.setFormatter(hilt_logging.HILTTextFormatter(content=everywhere))
        return handler

    HANDLERS = {
        "file": lambda: file(max_bytes=2000),
        "full": full,
        "raise": lambda: full(on_error="raise"),
        "gone": gone,
        "background": lambda: BackgroundHandler(file()),
        "wrapped": lambda: file(foreign="wrap"),
        "stream": stream,
        **({"queued": queued, "text": text} if everywhere else {}),
    }

    def attempt(function, *args):
        try:
            return function(*args)
        except Exception as error:
            print("".join(traceback.format_exception(error)))

    for name, make_handler in HANDLERS.items():
        os.mkdir(name)
        os.chdir(name)
        handler = make_handler()
        logger.addHandler(handler)
        attempt(say)
        if name == "file":
            child = os.fork()
            if child == 0:
                say()
                os._exit(0)
            os.waitpid(child, 0)
        if name == "wrapped":
            for args in (("said %s", CANARY), ("said %d", CANARY)):
                handler.handle(logging.LogRecord("app", 40, "f", 1, *args, None))
            attempt(broken, "x")
            try:
                broken(CANARY)
            except ValueError:
                handler.handle(
                    logging.LogRecord("app", 40, "f", 1, CANARY, (), sys.exc_info())
                )
        print(name, *check_config(), repr(handler), repr(handler.formatter))
        print(getattr(handler, "stats", dict)())
        logger.removeHandler(handler)
        handler.close()
        os.chdir("..")
    while not waiting.empty():
        record = waiting.get()
        print(repr(record.__dict__), pickle.dumps(record))
    if everywhere:
        with Session("session.jsonl") as session:
            session.append(events.prompt(CANARY))
            attempt(session.append, {"action": "prompt", "content": {"text": CANARY}})
    logging.shutdown()
    print(diagnostics.getvalue())
    print("done")
    """
)

MODES = {
    "none": {"content": "none"},
    "hash": {"content": "hash"},
    "hash with a key": {"content": "hash", "privacy_key": "env:HILT_TEST_KEY"},
    "redact": {"redact": "core"},
    "redact with tokens": {
        "redact": "email",
        "redact_with": "token",
        "privacy_key": "env:HILT_TEST_KEY",
    },
    "kept fields": {"fields": ["provenance.provider"]},
    "a broken detector": {"broken": True},
}


def _traces(data):
    """What of the word is in bytes: as it is, and its beginning, as a cut would leave it."""
    return [piece for piece in (CANARY.encode(), CANARY[:10].encode()) if piece in data]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("everywhere", [False, True], ids=["one handler", "everywhere"])
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_nothing_gets_out(in_child, tmp_path, mode, everywhere):
    """The word is in no file, on no stream and in no error, repr or pickle."""
    done, found = _run(in_child, tmp_path, {**mode, "everywhere": everywhere})
    assert (0, True) == (done.returncode, done.stdout.endswith("done\n")), done.stderr
    assert {} == {place: traces for place, traces in found.items() if traces}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_it_would_be_found(in_child, tmp_path):
    """Without options the word is in files and on streams: the search above finds it."""
    _, found = _run(in_child, tmp_path, {"everywhere": False})
    places = {place.rpartition("/")[0] for place, traces in found.items() if traces}
    assert {"", "file", "background", "wrapped", "e", "gone/e"} & places >= {"", "file", "wrapped"}


def _run(in_child, folder, mode):
    env = {**os.environ, "HILT_TEST_KEY": "k" * 32, "PYTHONWARNINGS": "always"}
    done = in_child(PROGRAM, json.dumps(mode), cwd=folder, env=env)
    found = {"stdout": _traces(done.stdout.encode()), "stderr": _traces(done.stderr.encode())}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found[path.relative_to(folder).as_posix()] = _traces(path.read_bytes())
    return done, found
