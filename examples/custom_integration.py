"""
A provider without an SDK, asked over HTTP: provenance, metrics and metadata by hand.

The steps of any adapter: record the prompt before the request leaves, keep what came back, and
append a completion with the provider's ids and counts, or a system event if the call failed.
"""

from __future__ import annotations

import json
import time

from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from _clients import OPENAI_MODEL, endpoint
from _provider import Provider
from _summary import summarize

from hilt_logging import Metrics, Session, bind, events


FILE = "logs/custom.hilt.jsonl"


def ask(session: Session, url: str, key: str, question: str, model: str) -> str:
    """Ask a model, record what passes, and return the answer."""
    provenance: dict[str, Any] = {
        "provider": "my-provider",
        "request_model": model,
        "params": {"temperature": 0.2},
    }
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0.2}
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)

    prompt_id = session.append(events.prompt(question, provenance=provenance))
    started = time.perf_counter()
    try:
        with urlopen(request, timeout=60) as response:
            answer = json.load(response)
            provenance["request_id"] = response.headers["x-request-id"]
    except HTTPError as error:
        with error:
            told = json.load(error)["error"]
        failure = {"type": "HTTPError", "code": told["code"], "message": told["message"]}
        extensions = {"outcome": "failed", "status_code": error.code, "error": failure}
        session.append(
            events.system(
                source="my-provider",
                reply_to=prompt_id,
                provenance=provenance,
                extensions=extensions,
            )
        )
        raise
    latency_ms = round((time.perf_counter() - started) * 1000)

    usage, (choice,) = answer["usage"], answer["choices"]
    tokens = {
        "prompt": usage["prompt_tokens"],
        "completion": usage["completion_tokens"],
        "total": usage["total_tokens"],
    }
    cost = tokens["prompt"] * 0.2e-6 + tokens["completion"] * 0.8e-6
    completion = events.completion(
        choice["message"]["content"],
        agent_id=answer["model"],
        reply_to=prompt_id,
        provenance={**provenance, "model": answer["model"], "response_id": answer["id"]},
        metrics=Metrics(latency_ms=latency_ms, tokens=tokens, cost_usd=cost),
        extensions={"finish_reason": choice["finish_reason"], "outcome": "completed"},
    )
    session.append(completion)
    return str(choice["message"]["content"])


def main() -> None:
    with Provider() as provider, Session(FILE) as session:
        url, key = endpoint("openai", provider)
        # everything that is bound here is on each event: session, user, and fields of one's own
        with bind(session_id="ticket-1042", user_id="alice", tenant="acme", release="2.3.1"):
            ask(session, url, key, "Explain the HILT format in one sentence.", OPENAI_MODEL)
            session.append(events.feedback(score=1, comment="Short and clear."))
            try:
                ask(session, url, key, "Are you there?", "overloaded")
            except HTTPError as error:
                print(f"raised unchanged, and on record: {type(error).__name__} {error.code}")
    summarize(FILE)


if __name__ == "__main__":
    main()
