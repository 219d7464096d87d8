"""
A provider on this machine: it answers the real SDK clients, so that no example needs an API key.

It speaks OpenAI chat completions and responses, Anthropic messages and Gemini generateContent, on
127.0.0.1. Its answers are made up but depend on the question; a request with tools is first
answered with a call of the first tool; the model `overloaded` always answers with a rate limit.
"""

from __future__ import annotations

import json
import re
import time
import uuid

from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from threading import Thread
from typing import Any, NamedTuple, Self


JSON = dict[str, Any]
KNOWN = {
    "hilt": "HILT is an open format for what people and AI systems say to each other: "
    "one JSON object for each event, one event on each line.",
    "logging": "Python's logging hands records from loggers to handlers, and these write them.",
    "solar system": "The Solar System is one star, eight planets and many smaller bodies.",
}


class Asked(NamedTuple):
    """What a request asks, whatever the format: `schema` is the tool's, `result` what it gave."""

    model: str
    text: str
    tool: str | None = None
    schema: JSON | None = None
    result: Any = None

    @property
    def answer(self) -> str:
        if self.result is not None:
            return f"The tool says: {self.result}"
        known = (text for word, text in KNOWN.items() if word in self.text.lower())
        return next(known, f"You asked: {self.text} This answer was made up on your machine.")

    @property
    def arguments(self) -> JSON | None:
        """What the tool is to be called with; None if it is not to be called."""
        if self.tool is None or self.result is not None:
            return None
        name = (re.findall(r"\b[A-Z]\w+", self.text) or [self.text])[-1]
        by_type = {"string": name, "boolean": True, "array": [name], "object": {}}
        wanted = (self.schema or {}).get("properties", {})
        return {key: by_type.get(str(each.get("type")).lower(), 1) for key, each in wanted.items()}

    def usage(self, prompt: str, completion: str, total: str) -> JSON:
        """Return the tokens under these names, at four characters each."""
        asked = len(self.text) // 4 + 1
        said = len(self.answer if self.arguments is None else json.dumps(self.arguments)) // 4 + 1
        return {prompt: asked, completion: said, **({total: asked + said} if total else {})}


def asked_of_openai(body: JSON) -> Asked:
    turns = body.get("messages") or body.get("input") or body["prompt"]
    last = turns[-1] if isinstance(turns, list) else turns
    last = {"content": last} if isinstance(last, str) else last
    tools = body.get("tools") or [{}]
    function = tools[0].get("function", tools[0])
    result = text_of(last["content"]) if last.get("role") == "tool" else None
    tool, schema = function.get("name"), function.get("parameters")
    return Asked(body["model"], text_of(last["content"]), tool, schema, result)


def asked_of_anthropic(body: JSON) -> Asked:
    content = body["messages"][-1]["content"]
    parts = content if isinstance(content, list) else []
    tool = body["tools"][0] if body.get("tools") else {}
    results = [text_of(part["content"]) for part in parts if part["type"] == "tool_result"]
    result = " ".join(results) if results else None
    return Asked(
        body["model"], text_of(content), tool.get("name"), tool.get("input_schema"), result
    )


def asked_of_gemini(body: JSON) -> Asked:
    parts = body["contents"][-1]["parts"]
    tools = (body.get("tools") or [{}])[0].get("functionDeclarations") or [{}]
    schema = next((tools[0][name] for name in tools[0] if name.startswith("parameters")), None)
    responses = [part["functionResponse"] for part in parts if "functionResponse" in part]
    result = json.dumps(responses[0]["response"]) if responses else None
    return Asked(body["model"], text_of(parts), tools[0].get("name"), schema, result)


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def new_id(prefix: str = "") -> str:
    return prefix + uuid.uuid4().hex


def openai_chat(asked: Asked) -> JSON:
    message: JSON = {"role": "assistant", "content": asked.answer, "refusal": None}
    if asked.arguments is not None:
        function = {"name": asked.tool, "arguments": json.dumps(asked.arguments)}
        call = {"id": new_id("call_"), "type": "function", "function": function}
        message.update(content=None, tool_calls=[call])
    reason = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": asked.usage("prompt_tokens", "completion_tokens", "total_tokens"),
    }


def openai_chat_stream(body: JSON, whole: JSON) -> Iterable[str]:
    usage, (choice,) = whole.pop("usage"), whole["choices"]
    deltas = [{"content": word} for word in words(choice["message"]["content"])]
    choices: list[list[JSON]] = [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        *([{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas),
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    ]
    last = {"choices": [], "usage": usage}
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    for piece in [*({"choices": each} for each in choices), *([last] if wants_usage else [])]:
        yield f"data: {json.dumps({**whole, 'object': 'chat.completion.chunk', **piece})}\n\n"
    yield "data: [DONE]\n\n"


def openai_completion(asked: Asked) -> JSON:
    """Return an answer of the older completions, which langchain-openai's `OpenAI` asks for."""
    return {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": asked.model,
        "choices": [{"index": 0, "text": asked.answer, "finish_reason": "stop"}],
        "usage": asked.usage("prompt_tokens", "completion_tokens", "total_tokens"),
    }


def openai_response(asked: Asked) -> JSON:
    content = [{"type": "output_text", "text": asked.answer, "annotations": []}]
    message = {"id": new_id("msg_"), "type": "message", "role": "assistant", "content": content}
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": asked.model,
        "output": [{**message, "status": "completed"}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": asked.usage("input_tokens", "output_tokens", "total_tokens"),
    }


def anthropic_message(asked: Asked) -> JSON:
    block: JSON = {"type": "text", "text": asked.answer}
    if asked.arguments is not None:
        block = {"type": "tool_use", "id": new_id("toolu_"), "name": asked.tool}
        block["input"] = asked.arguments
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [block],
        "stop_reason": "end_turn" if block["type"] == "text" else "tool_use",
        "stop_sequence": None,
        "usage": asked.usage("input_tokens", "output_tokens", ""),
    }


def anthropic_stream(body: JSON, whole: JSON) -> Iterable[str]:
    begun, (block,) = {**whole, "content": [], "stop_reason": None}, whole["content"]
    deltas = [{"type": "text_delta", "text": word} for word in words(block["text"])]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[JSON] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {**block, "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": whole["usage"]},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def gemini_content(asked: Asked) -> JSON:
    part: JSON = {"text": asked.answer}
    if asked.arguments is not None:
        part = {"functionCall": {"name": asked.tool, "args": asked.arguments}}
    content = {"role": "model", "parts": [part]}
    counts = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": asked.usage(*counts),
        "modelVersion": asked.model,
        "responseId": new_id(),
    }


def gemini_stream(body: JSON, whole: JSON) -> Iterable[str]:
    """Yield SSE, or for google-generativeai the pieces of a JSON array."""
    (candidate,) = whole["candidates"]
    pieces = words(candidate["content"]["parts"][0]["text"])
    for number, word in enumerate(pieces, 1):
        one: JSON = {"index": 0, "content": {"role": "model", "parts": [{"text": word}]}}
        if number == len(pieces):
            one["finishReason"] = "STOP"
        data = json.dumps({**whole, "candidates": [one]})
        array = f"{'[' if number == 1 else ','}{data}{']' if 'finishReason' in one else ''}"
        yield f"data: {data}\n\n" if body["sse"] else array


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


LIMIT = "Rate limit reached. Try again in 2 s."
ERRORS: dict[str, tuple[int, JSON]] = {
    "openai": (429, {"error": {"message": LIMIT, "code": "rate_limit_exceeded"}}),
    "anthropic": (529, {"type": "error", "error": {"type": "overloaded_error", "message": LIMIT}}),
    "gemini": (429, {"error": {"code": 429, "message": LIMIT, "status": "RESOURCE_EXHAUSTED"}}),
}
Wire = tuple[str, Callable[[JSON], Asked], Callable[[Asked], JSON], Any]
GEMINI: Wire = ("gemini", asked_of_gemini, gemini_content, gemini_stream)
WIRES: dict[str, Wire] = {
    "/v1/chat/completions": ("openai", asked_of_openai, openai_chat, openai_chat_stream),
    "/v1/completions": ("openai", asked_of_openai, openai_completion, None),
    "/v1/responses": ("openai", asked_of_openai, openai_response, None),
    "/v1/messages": ("anthropic", asked_of_anthropic, anthropic_message, anthropic_stream),
}


class Handler(BaseHTTPRequestHandler):
    """Reads a request in its provider's format and answers it in the same format."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client hung up: it has read what it wanted
            self.close_connection = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path, _, query = self.path.partition("?")
        if path not in WIRES and ":" not in path:
            return self.send(404, "application/json", ['{"error": {"message": "Not known here"}}'])
        wire, asked_of, answer, pieces = WIRES.get(path, GEMINI)
        if wire == "gemini":  # e.g. /v1beta/models/gemini-3.8-flash:generateContent
            name, _, method = path.rpartition("/")[2].partition(":")
            body.update(model=name, stream=method.startswith("stream"), sse="alt=sse" in query)
        asked = asked_of(body)
        if asked.model == "overloaded":
            status, error = ERRORS[wire]
            self.send(status, "application/json", [json.dumps(error)])
        elif body.get("stream") and pieces:  # a streamed answer is always text
            kind = "text/event-stream" if body.get("sse", True) else "application/json"
            self.send(200, kind, pieces(body, answer(asked._replace(tool=None))))
        else:
            self.send(200, "application/json", [json.dumps(answer(asked))])

        return None

    def send(self, status: int, kind: str, pieces: Iterable[str]) -> None:
        self.send_response(status)
        for name in ("request-id", "x-request-id"):  # Anthropic's name and OpenAI's
            self.send_header(name, new_id("req_"))
        if status != 200:
            self.send_header("retry-after", "2")
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in chain(pieces, [""]):  # an empty piece is the end
            data = piece.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *args: Any) -> None:
        """Print nothing for each request."""


class Provider:
    """
    The provider, for use in a `with` block.

    Attributes:
        openai_url: For `OpenAI(base_url=...)`.
        anthropic_url: For `Anthropic(base_url=...)`.
        gemini_url: For google-genai's `HttpOptions(base_url=...)` and google-generativeai's
            `client_options={"api_endpoint": ...}`.
    """

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.anthropic_url = self.gemini_url = f"http://127.0.0.1:{self.server.server_port}"
        self.openai_url = f"{self.anthropic_url}/v1"
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()
