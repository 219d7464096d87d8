"""
Anthropic: `log_claude_interaction` records what was asked and the message that came back.

Text is taken from all blocks, a tool that Claude asks for is an event of its own, and tokens that
were read from the cache are counted in. The same helper takes the message of a stream.
"""

from __future__ import annotations

from typing import Any

from _clients import ANTHROPIC_MODEL, anthropic_client
from _provider import Provider
from _summary import summarize
from anthropic import APIStatusError

from hilt_logging import Session, bind, events
from hilt_logging.integrations.anthropic import log_claude_interaction


FILE = "logs/claude.hilt.jsonl"
WEATHER = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def asked(question: str, model: str = ANTHROPIC_MODEL) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": model, "max_tokens": 500, "messages": messages}


def with_a_tool(session: Session, client: Any) -> None:
    question = "How warm is it in Paris?"
    request = {**asked(question), "tools": [WEATHER]}
    response = client.messages.create(**request)
    log_claude_interaction(session, user_message=question, response=response)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "21 °C"}
        for block in response.content
        if block.type == "tool_use"
    ]
    request["messages"] += [
        {"role": "assistant", "content": response.content},
        {"role": "user", "content": results},
    ]
    answer = client.messages.create(**request)
    log_claude_interaction(session, user_message=results, response=answer)


def streamed(session: Session, client: Any) -> None:
    question = "Explain the HILT format in one sentence."
    with client.messages.stream(**asked(question)) as stream:
        for _ in stream.text_stream:
            pass  # the pieces, as the SDK gives them
        message = stream.get_final_message()
    log_claude_interaction(session, user_message=question, response=message)


def overloaded(session: Session, client: Any) -> None:
    question = "Are you there?"
    provenance = {"provider": "anthropic", "request_model": "overloaded"}
    prompt_id = session.append(events.prompt(question, provenance=provenance))
    try:
        client.messages.create(**asked(question, model="overloaded"))
    except APIStatusError as error:
        failure = {"type": type(error).__name__, "message": error.message}
        more = {"outcome": "failed", "status_code": error.status_code, "error": failure}
        session.append(
            events.system(
                source="anthropic",
                reply_to=prompt_id,
                provenance={**provenance, "request_id": error.request_id},
                extensions=more,
            )
        )


def main() -> None:
    with Provider() as provider, anthropic_client(provider) as client, Session(FILE) as session:
        for part in (with_a_tool, streamed, overloaded):
            with bind(session_id=f"claude-{part.__name__}", user_id="alice"):
                part(session, client)
    summarize(FILE)


if __name__ == "__main__":
    main()
