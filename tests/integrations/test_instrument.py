from __future__ import annotations

import base64
import hashlib
import logging
import sys
import threading

import pytest

import hilt_logging

from hilt_logging.errors import ConfigurationError


openai = pytest.importorskip("openai")


def client_of(provider, fixture="openai/chat_text", **options):
    return openai.OpenAI(
        api_key="k", base_url=f"{provider.url(fixture, **options)}/v1", max_retries=0
    )


def ask(client, said="Hi", **options):
    messages = [{"role": "user", "content": said}]
    return client.chat.completions.create(model="m", messages=messages, **options)


def actions(collected):
    return [event["action"] for event in collected.events]


BEFORE = """
import sys, hilt_logging
hilt_logging.instrument("openai")
assert "openai" not in sys.modules
import openai, openai._base_client as base
print(base.SyncAPIClient.request.__wrapped__ is not None, base.__loader__ is base.__spec__.loader)
print(type(base.__loader__).__name__)
hilt_logging.uninstrument()
print(hasattr(base.SyncAPIClient.request, "__wrapped__"), [f for f in sys.meta_path if "hilt" in type(f).__module__])
"""


def test_sdk_that_is_imported_later(in_child):
    """instrument() imports no SDK; one that is imported later is recorded, and left as it was."""
    done = in_child(BEFORE)
    assert "True True\nSourceFileLoader\nFalse []\n" == done.stdout, done.stderr


RELOADED = """
import importlib, sys, hilt_logging
hilt_logging.instrument("openai")
import openai
before = sys.modules["openai._base_client"].SyncAPIClient
importlib.reload(sys.modules["openai._base_client"])
after = sys.modules["openai._base_client"].SyncAPIClient
print(before is after, [hasattr(each.request, "__wrapped__") for each in (before, after)])
hilt_logging.instrument("openai")
print([hasattr(each.request.__wrapped__, "__wrapped__") for each in (before, after)])
hilt_logging.uninstrument()
print([hasattr(each.request, "__wrapped__") for each in (before, after)])
"""


def test_sdk_that_is_reloaded(in_child):
    """A module that is reloaded is recorded, as the clients of before are, and both once."""
    done = in_child(RELOADED)
    assert "False [True, True]\n[False, False]\n[False, False]\n" == done.stdout, done.stderr


def test_sdk_that_is_there(provider, collected, instrumented):
    """A client that was made before is recorded, too; and not any more after uninstrument()."""
    client = client_of(provider)
    instrumented("openai")
    ask(client)
    hilt_logging.uninstrument("openai")
    ask(client)
    assert ["prompt", "completion"] == actions(collected)


def test_twice_is_once(provider, collected, instrumented):
    """Calling it again records nothing twice."""
    instrumented()
    instrumented("openai")
    ask(client_of(provider))
    assert ["prompt", "completion"] == actions(collected)


def test_one_client(provider, collected, instrumented):
    """With a client, only its calls are recorded."""
    one, other = client_of(provider), client_of(provider)
    instrumented(one)
    ask(one, "one")
    ask(other, "other")
    assert ["one"] == [event["content"]["text"] for event in collected.of("prompt")]
    hilt_logging.uninstrument(one)
    ask(one)
    assert 2 == len(collected.events)


@pytest.mark.parametrize("target", ["open_ai", object(), 7], ids=repr)
def test_unknown_target(target):
    """An unknown target is an error that names those that there are."""
    with pytest.raises(ConfigurationError, match=r"Invalid target: .* Must be one of: openai, "):
        hilt_logging.instrument(target)


@pytest.mark.parametrize("option", ["capture", "media"])
def test_wrong_option(option):
    """A wrong option is an error that names what is allowed."""
    with pytest.raises(ConfigurationError, match=f"Invalid {option}: 'x'. Must be one of: "):
        hilt_logging.instrument("openai", **{option: "x"})
    with pytest.raises(ConfigurationError, match="filename"):
        hilt_logging.instrument("openai", level=10)


def test_filename(provider, tmp_path, instrumented, lines):
    """With a file name, the events are in the file, once however often it is called."""
    for _ in range(2):
        instrumented("openai", filename=tmp_path / "app.jsonl")
    ask(client_of(provider))
    assert ["prompt", "completion"] == [event["action"] for event in lines(tmp_path / "app.jsonl")]


def test_nobody_listens(provider, instrumented, caplog, monkeypatch):
    """Where nobody listens nothing is recorded, and it is said once."""
    from hilt_logging import integrations

    monkeypatch.setattr(integrations, "_warnings", [integrations._told])
    monkeypatch.setattr(logging.getLogger("hilt"), "propagate", False)
    instrumented("openai")
    instrumented("openai")
    looked_at = []
    monkeypatch.setattr(
        "hilt_logging.integrations._openai_calls._kind_of", lambda options: looked_at.append(1)
    )
    ask(client_of(provider))
    assert [] == looked_at
    assert ["hilt_logging"] == [record.name for record in caplog.records if "hilt" in record.name]


def test_threads(provider, collected):
    """Threads may switch it on and off at the same time; what the last one says counts."""
    from openai._base_client import SyncAPIClient

    original = SyncAPIClient.request

    def switch():
        for _ in range(50):
            hilt_logging.instrument("openai")
            hilt_logging.uninstrument("openai")

    threads = [threading.Thread(target=switch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert original is SyncAPIClient.request
    hilt_logging.instrument("openai")
    try:
        ask(client_of(provider))
        assert ["prompt", "completion"] == actions(collected)
    finally:
        hilt_logging.uninstrument()


def test_what_is_bound_at_the_start(provider, collected, instrumented):
    """What is bound where a call begins is on all its events, also those after the block."""
    instrumented("openai")
    ids = {"trace_id": "1" * 32, "span_id": "2" * 16}
    with hilt_logging.bind(session_id="s", user_id="alice", plan="gold", **ids):
        stream = ask(client_of(provider, "openai/chat_stream_text_usage"), stream=True)
    with hilt_logging.bind(session_id="other", user_id="bob", trace_id="3" * 32):
        for _ in stream:
            pass
    for event in collected.events:
        assert ("s", "alice") == (event["session_id"], event["extensions"]["user_id"])
        assert "gold" == event["extensions"]["plan"]
        assert ids == {name: event["provenance"][name] for name in ids}


@pytest.mark.parametrize("media", ["reference", "inline"])
def test_media(media, provider, collected, instrumented):
    """Images are recorded with type, size and digest; their bytes only where they are wanted."""
    instrumented("openai", media=media)
    data = base64.b64encode(b"an image").decode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    ask(client_of(provider), [{"type": "text", "text": "What is it?"}, url])
    (found,) = collected.of("prompt")[0]["content"]["media"]
    assert ("image/png", 8) == (found["mime_type"], found["bytes"])
    assert hashlib.sha256(b"an image").hexdigest() == found["sha256"]
    assert (data if media == "inline" else None) == found.get("data")


def test_suppress(provider, collected, instrumented):
    """Within suppress() nothing is recorded; after it everything is again."""
    instrumented("openai")
    client = client_of(provider)
    with hilt_logging.suppress():
        ask(client)
    assert [] == collected.events
    ask(client)
    assert 2 == len(collected.events)


def test_metadata_has_no_content(provider, collected, instrumented):
    """With capture="metadata" no event has a word of what was said."""
    instrumented("openai", capture="metadata")
    ask(client_of(provider, "openai/chat_parallel_tools"), "Where is Alice?")
    assert ["prompt", "completion"] == actions(collected)[:2]
    for event in collected.events:
        assert "content" not in event
        assert not {"arguments", "result"} & set(event["extensions"].get("tool", ()))


class TestUninstrument:
    """Other tools' patches, in any order."""

    @pytest.fixture
    def owner(self):
        base = sys.modules["openai._base_client"].SyncAPIClient
        original = base.request
        yield base
        base.request = original

    def foreign(self, owner):
        standing, calls = owner.request, []

        def request(self, *args, **kwargs):
            calls.append(args)
            return standing(self, *args, **kwargs)

        owner.request = request
        return calls

    def test_wrapped_over_ours(self, provider, collected, instrumented, owner):
        """A patch over ours stays, and ours is then nothing but passed through."""
        instrumented("openai")
        calls = self.foreign(owner)
        hilt_logging.uninstrument()
        ask(client_of(provider))
        assert (1, []) == (len(calls), collected.events)
        instrumented("openai")
        ask(client_of(provider))
        assert ["prompt", "completion"] == actions(collected)

    def test_wrapped_under_ours(self, provider, collected, instrumented, owner):
        """A patch under ours stays when ours goes."""
        calls = self.foreign(owner)
        foreign = owner.request
        instrumented("openai")
        ask(client_of(provider))
        hilt_logging.uninstrument()
        assert foreign is owner.request
        assert (1, 2) == (len(calls), len(collected.events))
