"""
OpenAI: pairs of prompt and completion, by hand and with `log_openai_call`.

By hand one decides about each field. `log_openai_call` makes the call, measures it and records it,
with the tools that the model asks for, and an error as well as an answer.
"""

from __future__ import annotations

from typing import Any

from _clients import OPENAI_MODEL, openai_client
from _provider import Provider
from _summary import summarize
from openai import APIStatusError

from hilt_logging import Actor, Content, Event, Metrics, Session
from hilt_logging.integrations.openai import log_openai_call


FILE = "logs/openai.hilt.jsonl"
COST_PER_TOKEN = 0.6e-6  # US dollars; take those of your model
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def by_hand(session: Session, client: Any) -> None:
    question = "Explain the HILT format in one sentence."
    messages = [{"role": "user", "content": question}]
    response = client.chat.completions.create(model=OPENAI_MODEL, messages=messages)
    prompt = Event(
        session_id="by-hand",
        actor=Actor(type="human", id="alice"),
        action="prompt",
        content=Content(text=question),
        provenance={"provider": "openai", "request_model": OPENAI_MODEL},
    )
    session.append(prompt)
    tokens = {
        "prompt": response.usage.prompt_tokens,
        "completion": response.usage.completion_tokens,
        "total": response.usage.total_tokens,
    }
    completion = Event(
        session_id="by-hand",
        actor=Actor(type="agent", id=response.model),
        action="completion",
        content=Content(text=response.choices[0].message.content),
        provenance={"provider": "openai", "model": response.model, "response_id": response.id},
        metrics=Metrics(tokens=tokens, cost_usd=tokens["total"] * COST_PER_TOKEN),
        extensions={"reply_to": prompt.event_id},
    )
    session.append(completion)


def with_a_tool(session: Session, client: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "How warm is it in Paris?"}]
    request = {"client": client, "model": OPENAI_MODEL, "tools": [WEATHER], "session_id": "weather"}
    message = log_openai_call(session, messages=messages, **request).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "21 °C"}
        for call in message.tool_calls or ()
    ]
    log_openai_call(session, messages=[*messages, message, *results], **request)


def streamed(session: Session, client: Any) -> None:
    request = {"stream": True, "stream_options": {"include_usage": True}}
    question = "What does Python's logging do?"
    for _ in log_openai_call(
        session, client=client, model=OPENAI_MODEL, user_message=question, **request
    ):
        pass  # the pieces, as the SDK gives them


def rate_limited(session: Session, client: Any) -> None:
    try:
        log_openai_call(session, client=client, model="overloaded", user_message="Are you there?")
    except APIStatusError as error:
        print(f"raised unchanged, and on record: {type(error).__name__} {error.status_code}")


def main() -> None:
    with Provider() as provider, openai_client(provider) as client, Session(FILE) as session:
        for part in (by_hand, with_a_tool, streamed, rate_limited):
            part(session, client)
    summarize(FILE)


if __name__ == "__main__":
    main()
