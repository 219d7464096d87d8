"""What of a request is new, and whose conversation it is; and the way back, from the file alone."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import random
import threading

import pytest

import hilt_logging

from hilt_logging._histories import digest_of
from hilt_logging.integrations import _conversations
from hilt_logging.integrations._conversations import Conversations
from hilt_logging.io import reader
from hilt_logging.io.transcripts import Transcripts


openai = pytest.importorskip("openai")
httpx2 = pytest.importorskip("httpx2" if "httpx2" in vars(openai._base_client) else "httpx")


def answer_to(body):
    """An answer of a model that depends on all that it is told, or a tool's call where one asks."""
    said = json.dumps(body["messages"], sort_keys=True)
    digest = hashlib.sha256(said.encode()).hexdigest()
    last = body["messages"][-1]["content"]
    if last == "Hi":
        return {"role": "assistant", "content": "Hello! How can I help you?"}
    if last.startswith("look up"):
        function = {"name": "search", "arguments": json.dumps({"q": last, "n": 1})}
        call = {"id": f"call_{digest[:8]}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": f"Answer {digest} ünï\u2028cödé"}


def respond(request):
    body = json.loads(request.content)
    choices = [{"index": 0, "finish_reason": "stop", "message": answer_to(body)}]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    data = {"id": f"r{random.random()}", "object": "chat.completion", "created": 1, "model": "m"}
    return httpx2.Response(200, json={**data, "choices": choices, "usage": usage})


@pytest.fixture
def client(instrumented):
    instrumented("openai")
    with openai.OpenAI(
        api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(respond))
    ) as made:
        yield made


class Chat:
    """A client that repeats its history, as chat clients do."""

    def __init__(self, client, system=None):
        self.client = client
        self.system = [] if system is None else [{"role": "system", "content": system}]
        self.turns = []

    def send(self, *said):
        self.turns += said
        made = self.client.chat.completions.create(model="m", messages=self.system + self.turns)
        self.turns.append(made.choices[0].message)
        return made.choices[0].message

    def say(self, text):
        return self.send({"role": "user", "content": text})

    def plain(self):
        """What was said, as a transcript has it."""
        return [plain(turn) for turn in self.turns]


class Posting(Chat):
    """The same past the SDK's check of each message, which takes most of the time."""

    def send(self, *said):
        self.turns += said
        body = {"model": "m", "messages": self.system + self.turns}
        made = self.client.post(
            "/chat/completions", body=body, cast_to=openai.types.chat.ChatCompletion
        )
        message = made.choices[0].message
        self.turns.append(message.model_dump(exclude_none=True))
        return message


def plain(turn):
    if not isinstance(turn, dict):
        turn = turn.model_dump(exclude_none=True)
    if turn["role"] == "tool":
        part = {"type": "tool_call_response", "id": turn["tool_call_id"]}
        return {"role": "tool", "parts": [{**part, "response": turn["content"]}]}
    parts = [{"type": "text", "content": turn["content"]}] if turn.get("content") else []
    for call in turn.get("tool_calls", []):
        arguments = json.loads(call["function"]["arguments"])
        part = {"type": "tool_call", "id": call["id"], "name": call["function"]["name"]}
        parts.append({**part, "arguments": arguments})
    return {"role": turn["role"], "parts": parts}


def sessions(collected):
    return [event["session_id"] for event in collected.of("prompt")]


def sources(collected):
    return [event["extensions"]["session_source"] for event in collected.of("prompt")]


def test_200_turns(client, tmp_path):
    """A conversation of 200 turns takes O(n) bytes, and is rebuilt word for word from its file."""
    file = tmp_path / "chat.jsonl"
    handler = hilt_logging.basic_config(file)
    chat, sizes = Posting(client, "Be brief. " * 100), []
    for turn in range(200):
        if turn % 5 == 4:
            call = chat.say(f"look up {turn}").tool_calls[0]
            chat.send({"role": "tool", "tool_call_id": call.id, "content": f"found {turn}"})
        else:
            chat.say(f"question {turn}")
        sizes.append(file.stat().st_size)
    handler.close()
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(grown) < 2 * min(grown) + 2000
    events = list(reader.read(file))
    assert 1 == len({event.session_id for event in events})
    told = Transcripts(events).of(events[-1].event_id)
    assert (True, 0) == (told.is_exact, told.missing)
    assert chat.plain() == told.turns
    assert ["Be brief. " * 100] == [each["parts"][0]["content"] for each in told.system]


def test_every_prefix_is_rebuilt(client, collected):
    """What was said up to each event is rebuilt, too."""
    chat, seen = Chat(client, "Be brief."), []
    for turn in range(10):
        chat.say(f"question {turn}")
        seen.append(chat.plain())
    transcripts = Transcripts(collected.events)
    for wanted, event in zip(seen, collected.of("completion"), strict=True):
        assert wanted == transcripts.of(event["event_id"]).turns
    for wanted, event in zip(seen, collected.of("prompt"), strict=True):
        told = transcripts.of(event["event_id"])
        assert (wanted[:-1], True) == (told.turns, told.is_exact)


def test_files_that_lack_the_beginning(client, collected):
    """Where earlier messages are not in the files, it is said how many, and nothing is guessed."""
    chat = Chat(client)
    for turn in range(5):
        chat.say(f"question {turn}")
    late = collected.events[4:]
    told = Transcripts(late).of(late[-1]["event_id"])
    assert (4, False) == (told.missing, told.is_exact)
    assert chat.plain()[4:] == told.turns


def test_words_that_were_changed(client, collected):
    """A file whose words are not those that were sent does not count as exact."""
    chat = Chat(client)
    for turn in range(3):
        chat.say(f"question {turn}")
    events = collected.events
    events[0]["content"]["text"] = "something else"
    assert not Transcripts(events).of(events[-1]["event_id"]).is_exact


def test_two_users_on_one_client(client, collected):
    """Two users' interleaved conversations stay apart."""
    one, other = Chat(client), Chat(client)
    for turn in range(5):
        one.say(f"one {turn}")
        other.say(f"other {turn}")
    found = sessions(collected)
    assert (1, 1, 2) == (len(set(found[::2])), len(set(found[1::2])), len(set(found)))
    assert ["new", "new"] + ["history"] * 8 == sources(collected)


def test_identical_openings(client, collected):
    """Conversations that begin alike are not merged, neither before nor after they part."""
    chats = [Chat(client) for _ in range(3)]
    for chat in chats:
        chat.say("Hi")
    for index, chat in enumerate(chats):
        chat.say(f"I am {index}")
        chat.say(f"still {index}")
    found = sessions(collected)
    of_each = [{found[i], *found[3 + 2 * i : 5 + 2 * i]} for i in range(3)]
    assert not of_each[0] & of_each[1]
    assert not of_each[0] & of_each[2]
    assert not of_each[1] & of_each[2]
    transcripts = Transcripts(collected.events)
    for chat, event in zip(chats, collected.of("completion")[4::2], strict=True):
        assert chat.plain() == transcripts.of(event["event_id"]).turns


def test_bound_sessions_keep_identical_openings_apart(client, collected):
    """With bound sessions even those go on without a break."""
    chats = [Chat(client) for _ in range(2)]
    for said in ("Hi", "and now?", "and then?"):
        for index, chat in enumerate(chats):
            with hilt_logging.bind(session_id=f"s{index}"):
                chat.say(said)
    assert ["s0", "s1"] * 3 == sessions(collected)
    assert {"bound"} == set(sources(collected))
    assert [1] * 6 == [len(e["content"].get("messages", [1])) for e in collected.of("prompt")]


def test_changed_answer(client, collected):
    """A history whose last answer is not as it was is a conversation of its own, told whole."""
    chat = Chat(client)
    chat.say("question 1")
    chat.turns[-1] = {"role": "assistant", "content": "something else"}
    chat.say("question 2")
    first, second = collected.of("prompt")
    assert first["session_id"] != second["session_id"]
    assert 3 == len(second["content"]["messages"])
    assert "follows" not in second["extensions"]


def test_branch(client, collected):
    """An answer may be gone on from twice, and each branch is rebuilt."""
    chat, other = Chat(client), Chat(client)
    chat.say("question 1")
    other.turns = list(chat.turns)
    chat.say("this way")
    other.say("that way")
    assert 1 == len(set(sessions(collected)))
    transcripts = Transcripts(collected.events)
    ends = [event["event_id"] for event in collected.of("completion")[1:]]
    assert [chat.plain(), other.plain()] == [transcripts.of(end).turns for end in ends]


def test_window(client, collected):
    """A client that leaves out the beginning is recognised, and what it sent is told exactly."""
    chat = Chat(client, "Be brief.")
    for turn in range(8):
        chat.turns = chat.turns[-6:]
        chat.say(f"question {turn}")
    assert 1 == len(set(sessions(collected)))
    assert ["new"] + ["history"] * 7 == sources(collected)
    assert [1] * 7 == [len(e["content"].get("messages", [1])) for e in collected.of("prompt")][1:]
    transcripts = Transcripts(collected.events)
    told = transcripts.of(collected.of("completion")[-1]["event_id"])
    assert (chat.plain(), True) == (told.turns, told.is_exact)


def test_system_prompt_is_written_when_it_is_new(client, collected, monkeypatch):
    """It is written when it is new in the session, and every 24 hours."""
    chat = Chat(client, "Be brief.")
    chat.say("one")
    chat.say("two")
    chat.system[0]["content"] = "Be long."
    chat.say("three")
    chat.say("four")
    monkeypatch.setattr(_conversations, "_SYSTEM_EVERY_S", 0)
    chat.say("five")
    said = [event["content"].get("messages", []) for event in collected.of("prompt")]
    systems = [[m["parts"][0]["content"] for m in each if m["role"] == "system"] for each in said]
    assert [["Be brief."], [], ["Be long."], [], ["Be long."]] == systems
    assert 1 == len(set(sessions(collected)))
    transcripts = Transcripts(collected.events)
    told = [transcripts.of(event["event_id"]) for event in collected.of("prompt")]
    assert ["Be brief."] * 2 + ["Be long."] * 3 == [
        t.system[0]["parts"][0]["content"] for t in told
    ]
    assert all(each.is_exact for each in told)


def test_system_message_in_the_middle(client, collected):
    """A system message that comes later is a turn."""
    chat = Chat(client, "Be brief.")
    chat.say("one")
    chat.send({"role": "system", "content": "It is noon."}, {"role": "user", "content": "two"})
    chat.say("three")
    transcripts = Transcripts(collected.events)
    told = transcripts.of(collected.of("completion")[-1]["event_id"])
    assert (chat.plain(), True) == (told.turns, told.is_exact)
    assert 1 == len(told.system)


def test_tool_results_are_written_once(client, collected):
    """What a tool gave stands in its own event; the prompt only refers to it."""
    chat = Chat(client)
    call = chat.say("look up Oslo").tool_calls[0]
    chat.send({"role": "tool", "tool_call_id": call.id, "content": "a capital"})
    assert ["a capital"] == [e["content"]["text"] for e in collected.of("tool_result")]
    assert 1 == json.dumps(collected.events).count("a capital")
    told = Transcripts(collected.events).of(collected.of("completion")[-1]["event_id"])
    assert chat.plain() == told.turns


def test_content_parts(client, collected):
    """A history in another form that says the same is the same."""
    chat = Chat(client)
    chat.say("one")
    text = chat.turns[-1].content
    pieces = [{"type": "text", "text": text[:3]}, {"type": "text", "text": text[3:]}]
    chat.turns[-1] = {"role": "assistant", "content": pieces}
    chat.turns[0]["content"] = [{"type": "text", "text": "one"}]
    chat.say("two")
    assert ["new", "history"] == sources(collected)


def test_capture_all(client, collected, instrumented):
    """capture="all" writes everything each time, in the same session."""
    instrumented("openai", capture="all")
    chat = Chat(client, "Be brief.")
    for turn in range(3):
        chat.say(f"question {turn}")
    assert [2, 4, 6] == [len(e["content"]["messages"]) for e in collected.of("prompt")]
    assert 1 == len(set(sessions(collected)))
    told = Transcripts(collected.events).of(collected.of("completion")[-1]["event_id"])
    assert chat.plain() == told.turns


def test_failed_call_is_asked_again(client, collected):
    """What was asked in a call that failed is new again in the next."""
    chat = Chat(client)
    chat.say("one")
    broken = chat.client.with_options(
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(500))),
    )
    with pytest.raises(openai.InternalServerError):
        Chat(broken).send(*chat.turns, {"role": "user", "content": "two"})
    chat.say("two")
    assert ["one", "two", "two"] == [e["content"]["text"] for e in collected.of("prompt")]
    assert 1 == len(set(sessions(collected)))


def test_threads(client, collected):
    """Conversations in many threads on one client stay apart."""
    chats = [Chat(client) for _ in range(8)]

    def talk(chat, name):
        for turn in range(10):
            chat.say(f"{name} says {turn}")

    threads = [threading.Thread(target=talk, args=(c, i)) for i, c in enumerate(chats)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whose = {}
    for event in collected.of("prompt"):
        whose.setdefault(event["session_id"], set()).add(event["content"]["text"].split()[0])
    assert 8 == len(whose)
    assert {1} == {len(each) for each in whose.values()}


def test_tasks(instrumented, collected):
    """Conversations in many tasks on one client stay apart."""
    instrumented("openai")

    async def talk(client, name):
        turns = []
        for turn in range(10):
            turns.append({"role": "user", "content": f"{name} says {turn}"})
            made = await client.chat.completions.create(model="m", messages=turns)
            turns.append(made.choices[0].message)

    async def main():
        transport = httpx2.MockTransport(respond)
        http = httpx2.AsyncClient(transport=transport)
        async with openai.AsyncOpenAI(api_key="k", http_client=http) as client:
            await asyncio.gather(*(talk(client, name) for name in range(8)))

    asyncio.run(main())
    whose = {}
    for event in collected.of("prompt"):
        whose.setdefault(event["session_id"], set()).add(event["content"]["text"].split()[0])
    assert [{str(name)} for name in range(8)] == sorted(whose.values(), key=min)


def test_nothing_is_remembered_where_nothing_is_written(client, collected):
    """Where only warnings are recorded, no event follows one that is not there."""
    logging.getLogger("hilt").setLevel(logging.WARNING)
    chat = Chat(client)
    chat.say("one")
    logging.getLogger("hilt").setLevel(logging.INFO)
    chat.say("two")
    (prompt,) = collected.of("prompt")
    assert 3 == len(prompt["content"]["messages"])


class TestConversations:
    """The memory itself."""

    def turn(self, text, role="user"):
        return {"role": role, "parts": [{"type": "text", "content": text}]}

    def test_bound(self, monkeypatch):
        """Only the last conversations are remembered, and of each the last answers."""
        monkeypatch.setattr(_conversations, "_MOST", 5)
        known = Conversations()
        for number in range(20):
            turns = []
            for step in range(12):
                turns.append(self.turn(f"{number} {step}"))
                place = known.find(turns, f"s{number}")
                reply = self.turn(f"re {number} {step}", "assistant")
                known.answered(place, f"s{number}", "e", [reply], f"r{step}", has_system=False)
                turns.append(reply)
        assert 5 == len(known)
        assert 5 * 8 == len(known._by_chain) == len(known._by_end)
        assert known.find([*turns, self.turn("on")]).session_id == "s19"

    def test_window_of_one_answer_is_no_proof(self):
        """A single answer in common is not enough to recognise a conversation by its end."""
        known = Conversations()
        turns = [self.turn("a"), self.turn("b", "assistant"), self.turn("Go on")]
        place = known.find(turns)
        known.answered(place, "s", "e", [self.turn("OK", "assistant")], None, has_system=False)
        late = [self.turn("Go on"), self.turn("OK", "assistant"), self.turn("more")]
        assert known.find(late).session_id is None
        assert "s" == known.find(late, "s").session_id

    def test_prefill(self):
        """What a model was given to begin with and what it added are one message of its own."""
        known = Conversations()
        turns = [self.turn("List"), self.turn("1.", "assistant")]
        place = known.find(turns)
        known.answered(place, "s", "e", [self.turn(" one", "assistant")], None, has_system=False)
        again = [self.turn("List"), self.turn("1. one", "assistant"), self.turn("more")]
        assert ("s", 2) == (known.find(again).session_id, known.find(again).start)

    def test_digest(self):
        """The digest tells messages apart that are told apart by a word, a role or a part."""
        texts = [[self.turn("a")], [self.turn("b")], [self.turn("a", "assistant")], []]
        texts.append([self.turn("a"), self.turn("")])
        texts.append([{"role": "user", "name": "x", "parts": [{"type": "text", "content": "a"}]}])
        texts.append([{"role": "user", "parts": [{"type": "image", "uri": "a"}]}])
        assert len(texts) == len({digest_of(each) for each in texts})
