"""
A provider without an SDK, asked over HTTP: the recipe for an integration of your own.

`turn` stands around each request, `tool` on each function that the model may ask for, and a search
and a person's judgement are one call each. What is recorded is what `instrument()` records of an SDK.
"""

from __future__ import annotations

import json

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from _clients import OPENAI_MODEL, endpoint
from _provider import Provider
from _summary import summarize

import hilt_logging


FILE = "logs/http_provider.hilt.jsonl"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


class MyProvider:
    """
    A client of a few lines.

    Args:
        url: Of the provider.
        key: Which is never recorded: only what is given to `turn` is.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def ask(self, model: str, messages: list[Any], tools: list[Any] | None = None) -> Any:
        """Return the answer, and record it."""
        with hilt_logging.turn(messages, provider="my-provider", model=model) as turn:
            with self._post({"model": model, "messages": messages, "tools": tools}) as response:
                answer = json.load(response)
            (choice,), usage = answer["choices"], answer["usage"]
            asked_for = choice["message"].get("tool_calls") or []
            turn.answer(
                choice["message"]["content"],
                model=answer["model"],
                tokens={"prompt": usage["prompt_tokens"], "completion": usage["completion_tokens"]},
                finish_reason=choice["finish_reason"],
                tool_calls=[{"id": call["id"], **call["function"]} for call in asked_for],
                response_id=answer["id"],
                request_id=response.headers["x-request-id"],
            )
        return answer

    def stream(self, model: str, messages: list[Any], **params: Any) -> Iterator[str]:
        """Yield an answer in the pieces in which it comes, and record it at its end."""
        body = {"model": model, "messages": messages, "stream": True, **params}
        turn = hilt_logging.turn(messages, provider="my-provider", model=model, params=params)
        with turn, self._post(body) as response:
            for piece in turn.stream(map(json.loads, data_of(response)), text_of):
                yield text_of(piece)

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        request = Request(f"{self.url}/chat/completions", json.dumps(body).encode(), headers)
        return urlopen(request, timeout=60)


def data_of(response: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of server-sent events, but for the mark at their end."""
    for line in response:
        if line.startswith(b"data: {"):
            yield line.removeprefix(b"data: ")


def text_of(piece: dict[str, Any]) -> str:
    """Return the text that a piece of a stream adds."""
    return "".join(choice["delta"].get("content") or "" for choice in piece["choices"])


@hilt_logging.tool
def weather(city: str) -> str:
    """Return the temperature in a city."""
    return f"21 °C in {city}"


def chat(client: MyProvider, question: str) -> Any:
    """Ask, run the tools that are asked for, and ask again with what they gave."""
    messages: list[Any] = [{"role": "user", "content": question}]
    asked = client.ask(OPENAI_MODEL, messages, TOOLS)["choices"][0]["message"]
    messages.append(asked)
    for call in asked["tool_calls"]:
        given = weather.called(call["id"])(**json.loads(call["function"]["arguments"]))
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": given})
    return client.ask(OPENAI_MODEL, messages, TOOLS)


def main() -> None:
    hilt_logging.basic_config(FILE)
    with Provider() as provider:
        client = MyProvider(*endpoint("openai", provider))
        with hilt_logging.bind(session_id="ticket-1042", user_id="alice"):
            answer = chat(client, "How warm is it in Paris?")
            hilt_logging.record_feedback(1, "That was quick.", reply_to=answer)
        with hilt_logging.bind(session_id="ticket-1043", user_id="bob"):
            found = ["HILT is an open format.", {"id": "faq-7", "text": "One line per event."}]
            hilt_logging.record_retrieval("what is HILT", found, source="faq")
            asked = [{"role": "user", "content": "What is HILT?"}]
            pieces = list(client.stream(OPENAI_MODEL, asked, temperature=0.2))
            print(f"an answer in {len(pieces)} pieces")
            try:
                client.ask("overloaded", [{"role": "user", "content": "Are you there?"}])
            except HTTPError as error:
                with error:
                    print(f"raised unchanged, and on record: {type(error).__name__} {error.code}")
    summarize(FILE)


if __name__ == "__main__":
    main()
