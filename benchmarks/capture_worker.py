"""
One contender of capture.py in a process of its own: questions on stdin are answered on stdout.

Runs where only the SDK and the contender are installed. What the contender put into the SDK is taken
out and put back between blocks of calls, so that with and without take turns in one process.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai

from capture_contenders import BY_NAME
from openai import OpenAI, Stream
from openai._base_client import SyncAPIClient
from openai._models import FinalRequestOptions
from openai.resources.chat.completions import Completions
from openai.resources.chat.completions import completions as sdk
from openai.types.chat import ChatCompletion, ChatCompletionChunk


PIECES = (
    "The quick brown fox asks how far the Moon is from here, in kilometres. ",
    "Der Mond ist im Mittel 384 400 km entfernt; 月までの距離は約38万キロです。 ",
)
PROMPT, ANSWER, PIECE = 600, 1_500, 8
WARM = 20
_OWNERS = (SyncAPIClient, OpenAI, Completions, Stream)
Clock = Callable[[], int]


class Texts:
    """Prompts, and answers as the SDK has them; none has the same text as another."""

    def __init__(self) -> None:
        self._number = 0

    def prompt(self) -> str:
        """Return a text that nobody asked before."""
        self._number += 1
        return f"{self._repeated(PROMPT)}{self._number}"

    def answer(self) -> dict[str, Any]:
        """Return the body of an answer."""
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {
                "role": "assistant",
                "content": f"{self._repeated(ANSWER)}{self._number}",
                "refusal": None,
            },
        }
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": _usage(150, 380),
        }

    def chunks(self, count: int) -> list[dict[str, Any]]:
        """Return the bodies of the pieces of a stream, of which so many have text."""
        said = self._repeated(max(PIECE * count, PIECE))
        deltas = [{"content": said[at * PIECE : (at + 1) * PIECE]} for at in range(count)]
        deltas[0]["role"] = "assistant"
        head = self._head("chat.completion.chunk")
        pieces = [
            {**head, "choices": [{"index": 0, "delta": each, "finish_reason": None}]}
            for each in deltas
        ]
        end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        return [*pieces, end, {**head, "choices": [], "usage": _usage(150, count)}]

    def _repeated(self, size: int) -> str:
        piece = PIECES[self._number % 2]
        return piece * -(-size // len(piece.encode()))

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._number:024}",
            "object": kind,
            "created": 1_790_000_000,
            "model": "gpt-4o-mini",
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
        }


def _usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


class _Stub:
    """Stands for what the SDK does below `request`: it gives answers that were made before."""

    def __init__(self) -> None:
        self.ready: Iterator[Any] = iter(())
        stub = self
        response = httpx2.Response(
            200,
            headers={"x-request-id": "req_0123456789"},
            request=httpx2.Request("POST", "https://api.openai.com/v1/chat/completions"),
        )

        def request(
            self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
        ) -> Any:
            if not stream:
                return next(stub.ready)
            return stream_cls(cast_to=cast_to, response=response, client=self)

        def pieces(self: Any) -> Iterator[Any]:
            yield from next(stub.ready)

        SyncAPIClient.request = request  # type: ignore[method-assign]
        Stream.__stream__ = pieces  # type: ignore[method-assign]


class Bench:
    """Answers the questions about one contender; every public method is one."""

    def __init__(self, name: str, path: str, *, listens: bool, is_whole: bool) -> None:
        self._texts = Texts()
        self._body = b""
        self._calls = 0
        self._listens = listens
        transport = httpx2.MockTransport(self._respond)
        self._client = OpenAI(
            api_key="none",
            base_url="https://api.openai.com/v1",
            http_client=openai.DefaultHttpxClient(transport=transport) if is_whole else None,
        )
        self._stub = None if is_whole else _Stub()
        before = [dict(vars(owner)) for owner in _OWNERS]
        self._recorded = BY_NAME[name].opener(Path(path), listens)
        self._changed = [
            (owner, attribute, known.get(attribute), value)
            for owner, known in zip(_OWNERS, before, strict=True)
            for attribute, value in dict(vars(owner)).items()
            if known.get(attribute) is not value and not attribute.startswith("__pydantic")
        ]
        if not self._changed:
            raise RuntimeError("it put nothing into the SDK")
        self._before = self._recorded()

    def ready(self) -> None:
        """Say nothing: that it is said tells that the process has started."""

    def answers(self, pairs: int, calls: int) -> list[float]:
        """Return CPU microseconds that are added to a call; of each pair of blocks, for a call."""
        return self._added(pairs, calls, self._answers, _cpu)

    def streams(self, pairs: int, calls: int, chunks: int) -> list[float]:
        """Return CPU microseconds that are added to a stream of so many pieces with text."""
        return self._added(
            pairs, calls, lambda number, clock: self._streams(number, chunks, clock), _cpu
        )

    def idles(self, pairs: int, calls: int) -> list[float]:
        """Return CPU microseconds that are added to a call of which the SDK does nearly nothing."""
        completions: Any = self._client.chat.completions
        options = FinalRequestOptions.construct(
            method="post", url="/chat/completions", json_data=_asked(self._texts.prompt())
        )
        completions._post = lambda path, **known: self._client.request(known["cast_to"], options)
        sdk.maybe_transform = lambda given, *_: given  # type: ignore[assignment]
        return self._added(pairs, calls, self._answers, _cpu)

    def wholes(self, pairs: int, calls: int) -> list[float]:
        """Return CPU microseconds that are added to a call that the SDK makes as always."""
        return self._added(pairs, calls, self._wholes, _cpu)

    def firsts(self, pairs: int, calls: int) -> list[float]:
        """Return microseconds that pass in addition before the first piece of a stream is there."""
        return self._added(pairs, calls, self._firsts, time.perf_counter_ns)

    def alone(self, pairs: int, calls: int) -> list[float]:
        """Return microseconds that pass before the first piece is there, without the contender."""
        self._switch(False)
        return [self._firsts(calls, time.perf_counter_ns) for _ in range(pairs)]

    def _added(
        self, pairs: int, calls: int, block: Callable[[int, Clock], float], clock: Clock
    ) -> list[float]:
        self._switch(True)
        block(WARM, clock)
        self._calls += WARM
        taken = []
        for number in range(pairs):
            spent = {}
            for on in (True, False) if number % 2 else (False, True):
                self._switch(on)
                block(2, clock)  # the interpreter knows again what stands where
                spent[on] = block(calls, clock)
            taken.append(spent[True] - spent[False])
            self._calls += calls + 2
        self._check()
        return taken

    def _check(self) -> None:
        gc.unfreeze()
        gc.collect()  # some tell the end of a stream only when it is let go
        recorded = self._recorded() - self._before
        if self._listens and recorded < self._calls:
            raise RuntimeError(f"{self._calls} calls, of which {recorded} are on record")

    def _switch(self, on: bool) -> None:
        for owner, attribute, without, contender in self._changed:
            value = contender if on else without
            if value is not None:
                setattr(owner, attribute, value)
            elif attribute in vars(owner):
                delattr(owner, attribute)

    def _answers(self, calls: int, clock: Clock) -> float:
        given = []
        made = []
        for _ in range(calls):
            given.append(_asked(self._texts.prompt()))
            answer = ChatCompletion.construct(**self._texts.answer())
            answer._request_id = "req_0123456789"
            made.append(answer)
        assert self._stub is not None
        self._stub.ready = iter(made)
        return self._timed(given, clock)

    def _timed(self, given: list[dict[str, Any]], clock: Clock) -> float:
        create = self._client.chat.completions.create
        _tidy()
        began = clock()
        for each in given:
            create(**each)
        return (clock() - began) / 1000 / len(given)

    def _streams(self, calls: int, chunks: int, clock: Clock) -> float:
        given, made = [], []
        for _ in range(calls):
            given.append({**_asked(self._texts.prompt()), "stream": True})
            made.append(
                [ChatCompletionChunk.construct(**each) for each in self._texts.chunks(chunks)]
            )
        assert self._stub is not None
        self._stub.ready = iter(made)
        create = self._client.chat.completions.create
        _tidy()
        began = clock()
        for asked in given:
            for _ in create(**asked):
                pass
        return (clock() - began) / 1000 / calls

    def _wholes(self, calls: int, clock: Clock) -> float:
        given = [_asked(self._texts.prompt()) for _ in range(calls)]
        self._body = json.dumps(self._texts.answer()).encode()
        return self._timed(given, clock)

    def _firsts(self, calls: int, clock: Clock) -> float:
        given = [{**_asked(self._texts.prompt()), "stream": True} for _ in range(calls)]
        lines = [f"data: {json.dumps(each)}\n\n" for each in self._texts.chunks(20)]
        self._body = "".join([*lines, "data: [DONE]\n\n"]).encode()
        create = self._client.chat.completions.create
        taken = []
        _tidy()
        for asked in given:
            began = clock()
            stream = create(**asked)
            for _ in stream:
                break
            taken.append(clock() - began)
            stream.close()
        return sorted(taken)[calls // 2] / 1000

    def _respond(self, request: Any) -> Any:
        kind = "text/event-stream" if self._body.startswith(b"data:") else "application/json"
        headers = {"content-type": kind, "x-request-id": "req_0123456789"}
        return httpx2.Response(200, headers=headers, content=self._body)


_cpu = time.thread_time_ns


def _asked(prompt: str) -> dict[str, Any]:
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0.2,
        "max_tokens": 500,
    }


def _tidy() -> None:
    """What was made ahead is nobody's garbage: the collector need not look at it while we measure."""
    gc.collect()
    gc.freeze()


def main(name: str, path: str, mode: str) -> None:
    """Answer until there are no more questions."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a contender prints is no answer
    bench: Bench | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if bench is None:
                bench = Bench(name, path, listens=mode != "idle", is_whole=mode == "whole")
            taken = getattr(bench, question.pop("ask"))(**question)
            answer: dict[str, Any] = {"taken": taken}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
