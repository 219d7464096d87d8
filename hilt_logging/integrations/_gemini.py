"""
What Gemini's requests, answers and streams say, in the words of the format.

The same for google-genai, google-generativeai, and bodies of the HTTP API.
"""

from __future__ import annotations

import functools
import itertools
import re

from collections.abc import Callable, Mapping
from typing import Any

from ._answers import Answer, Choice, Prompt, ToolCall, ToolResult, choices_answer, part
from ._calls import safely
from ._fields import count, field, items, text, type_of
from ._media import media_of, reference
from ._prompts import prompt_from


__all__ = ["ResponseChunks", "answer_of", "inputs_of", "params_of", "prompt_of", "tokens_of"]

_PARAMS = (
    "cached_content",
    "candidate_count",
    "frequency_penalty",
    "max_output_tokens",
    "media_resolution",
    "output_dimensionality",
    "presence_penalty",
    "response_mime_type",
    "seed",
    "service_tier",
    "stop_sequences",
    "task_type",
    "temperature",
    "top_k",
    "top_p",
)
_THINKING = ("thinking_budget", "thinking_level")


def _fields(source: Any) -> dict[str, Any] | None:
    """The fields of an object of google-genai, to be read at once; None of anything else."""
    if type(source).__module__ == "google.genai.types":
        return getattr(source, "__dict__", None)
    return None


def params_of(config: Any) -> dict[str, Any]:
    """Return the parameters of a request's `config` that are on record."""
    if config is None:
        return {}
    fields = _fields(config)
    names = _PARAMS if fields is None else [n for n in _PARAMS if fields.get(n) is not None]
    found = {name: _param(config, name) for name in names}
    thinking = field(config, "thinking_config")
    if thinking is not None:
        found.update({name: _param(thinking, name) for name in _THINKING})
    return {name: value for name, value in found.items() if value is not None}


def _param(config: Any, name: str) -> Any:
    """A parameter; of an enum its value."""
    return text(config, name) or field(config, name)


def prompt_of(request: Mapping[str, Any]) -> Prompt:
    """Return what a request asks: `contents`, and the system instruction of its `config`."""
    turns = _turns(field(request, "contents"))
    _name_results(turns)
    instruction = field(field(request, "config") or request, "system_instruction")
    if instruction is not None:
        turns.insert(0, {**_message(instruction), "role": "system"})
    return prompt_from(turns, _new_results(turns))


def inputs_of(contents: Any) -> Prompt:
    """Return what is embedded; each of several contents is a part."""
    given = contents if isinstance(contents, (list, tuple)) else [contents]
    parts = [each for one in given for each in _message(one)["parts"]]
    texts = [each["content"] for each in parts if each["type"] == "text"]
    plain = len(parts) == len(texts) == 1
    messages = [] if plain or not parts else [{"role": "user", "parts": parts}]
    return Prompt(
        text=texts[0] if texts else None,
        messages=messages or None,
        media=media_of(messages) or None,
    )


def _turns(contents: Any) -> list[dict[str, Any]]:
    """The messages of a request; parts that stand together without one make one."""
    if isinstance(contents, str):
        return [{"role": "user", "parts": [part("text", content=contents)]}]
    given = contents if isinstance(contents, (list, tuple)) else [contents]
    turns: list[dict[str, Any]] = []
    is_loose = False
    for each in given:
        if each is None:
            continue
        message, was_loose = _message(each), is_loose
        is_loose = _is_part(each)
        if was_loose and is_loose and turns[-1]["role"] == message["role"]:
            turns[-1]["parts"] += message["parts"]
        else:
            turns.append(message)
    return turns


def _is_part(given: Any) -> bool:
    fields = _fields(given)
    if fields is not None:
        return "parts" not in fields
    return not (
        isinstance(given, (list, tuple))
        or field(given, "parts") is not None
        or text(given, "role") is not None
    )


_ROLES = {"model": "assistant", "function": "tool"}


def _message(turn: Any) -> dict[str, Any]:
    fields = _fields(turn)
    role = text(turn, "role") if fields is None else fields.get("role")
    if fields is not None and fields.get("parts"):
        parts = _parts(fields["parts"])
    elif isinstance(turn, (list, tuple)):
        parts = _parts(list(turn))
    elif _is_part(turn):
        parts = _parts([turn])
        role = "model" if any(each["type"] == "tool_call" for each in parts) else "user"
    else:
        said = field(turn, "parts")
        parts = _parts([said] if isinstance(said, str) else items(turn, "parts"))
    if any(each["type"] == "tool_call_response" for each in parts):
        role = "function"
    role = role or "user"
    return {"role": _ROLES.get(role, role), "parts": parts}


def _parts(given: list[Any]) -> list[dict[str, Any]]:
    found = [_part(each) for each in given]
    return [each for each in found if each is not None]


def _plain_text(given: Any) -> str | None:
    """The text of a part of google-genai that is nothing but text."""
    fields = _fields(given)
    return None if fields is None or fields.get("thought") else fields.get("text")


def _part(given: Any) -> dict[str, Any] | None:
    if isinstance(given, bytes):  # the SDK takes them for a text
        given = given.decode("utf-8", "replace")
    plain = given if isinstance(given, str) else _plain_text(given)
    if plain:
        return {"type": "text", "content": plain}
    if type(given).__module__.startswith("PIL."):
        return part("image")  # its properties would load it
    said = text(given, "text")
    if said:
        return part("reasoning" if field(given, "thought") is True else "text", content=said)
    call = field(given, "function_call")
    if call:
        return _call(call)
    response = field(given, "function_response")
    if response:
        told = _plain(field(response, "response"))
        name, call_id = text(response, "name"), text(response, "id") or None
        return part("tool_call_response", id=call_id, name=name, response=told)
    medium = _medium(given)
    if medium is not None:
        return medium
    if any(field(given, name) for name in _SERVER_TOOLS):
        return None  # have events of their own
    if said is None:
        return None if field(given, "thought_signature") else part("unknown")
    return part("reasoning" if field(given, "thought") is True else "text", content=said)


def _call(call: Any) -> dict[str, Any]:
    arguments = _plain(field(call, "args"))
    return part(
        "tool_call",
        id=text(call, "id") or None,
        name=text(call, "name") or "",
        arguments={} if arguments is None else arguments,
    )


def _medium(given: Any) -> dict[str, Any] | None:
    inline, file = field(given, "inline_data"), field(given, "file_data")
    source = inline or file or given  # a file that was uploaded
    uri, data = text(source, "file_uri", "uri"), field(source, "data")
    if not (uri or data):
        return None
    mime_type = text(source, "mime_type") or None
    kind = (mime_type or "").partition("/")[0]
    return reference(
        kind if kind in ("image", "audio", "video") else "file",
        mime_type=mime_type,
        uri=uri or None,
        data=data,
    )


def _plain(value: Any) -> Any:
    """Maps and lists of google-generativeai's protocol buffers as dicts and lists."""
    if value is None or isinstance(value, (str, int, float, bool, dict, list)):
        return value
    if isinstance(value, Mapping) or hasattr(value, "keys"):
        return {str(name): _plain(value[name]) for name in value.keys()}  # noqa: SIM118
    try:
        return [_plain(value[index]) for index in range(len(value))]
    except TypeError:
        return value


def _name_results(turns: list[dict[str, Any]]) -> None:
    """
    Give results without an id that of the call that they answer.

    Gemini takes them by name and order, and the SDK sends them so for the functions that it calls.
    """
    asked: list[dict[str, Any]] = []
    for turn in turns:
        if turn["role"] == "assistant":
            asked += [each for each in turn["parts"] if each["type"] == "tool_call"]
            continue
        for each in turn["parts"]:
            if each["type"] == "tool_call_response":
                call = _answered(asked, each)
                if call is not None and "id" in call:
                    each["id"] = call["id"]
        asked = []


def _answered(asked: list[dict[str, Any]], response: dict[str, Any]) -> dict[str, Any] | None:
    """Take the call that a response answers from those that were asked for."""
    key = "id" if "id" in response else "name"
    for index, call in enumerate(asked):
        if call.get(key) == response.get(key):
            return asked.pop(index)
    return None


def _new_results(turns: list[dict[str, Any]]) -> list[ToolResult]:
    """The results since the model spoke last."""
    found: list[ToolResult] = []
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            break
        new = [each for each in turn["parts"] if each["type"] == "tool_call_response"]
        found[:0] = [_result(each) for each in new]
    return found


def _result(response: dict[str, Any]) -> ToolResult:
    told = response.get("response")
    failed = isinstance(told, dict) and told.keys() == {"error"}  # as the API wants it told
    return ToolResult(response.get("name"), response.get("id"), told, failed=failed)


def answer_of(response: Any) -> Answer:
    """Return what a response says, whatever SDK, version or form it is of."""
    if isinstance(response, str):
        return choices_answer([Choice([part("text", content=response)])])
    chunks = ResponseChunks()
    for chunk in response if isinstance(response, (list, tuple)) else [response]:
        chunks.add(chunk)
    answer = chunks.answer()
    if not chunks.is_known():
        answer.extensions = {"unrecognised_response": type_of(response)}
    return answer


class ResponseChunks:
    """The pieces of a streamed response, put together; usage is cumulative, the last one counts."""

    def __init__(self) -> None:
        self._usage: Any = None
        self._known: dict[str, Any] = {}
        self._is_complete = False
        self._candidates: dict[int, _Candidate] = {}
        self.content: Any = None
        """The first piece's own object for what the model said, which the SDK sends back."""

    def add(self, chunk: Any) -> str:
        """Take one piece; return the text that it adds to the first candidate."""
        fields = _fields(chunk)
        get = functools.partial(field, chunk) if fields is None else fields.get
        usage = get("usage_metadata")
        if usage is not None:
            self._usage = usage
        if not self._is_complete:
            self._learn(get)
        said = ""
        for candidate in (get("candidates") or ()) if fields else items(chunk, "candidates"):
            said += self._add(candidate)
        return said

    def add_all(self, pieces: list[Any]) -> None:
        """Take several pieces; in most there is nothing but some more text."""
        candidates = self._candidates
        for piece in pieces:
            try:
                (candidate,) = piece.candidates
                (given,) = candidate.content.parts
                said, usage = given.text, piece.usage_metadata
                is_plain = said and not given.thought and self._is_complete
                if is_plain and candidate.finish_reason is candidate.grounding_metadata is None:
                    candidates[candidate.index or 0].say(said)
                    if usage is not None:
                        self._usage = usage
                    continue
            except Exception:  # noqa: S110 -- of another form
                pass
            safely(self.add, piece, "")

    def _learn(self, get: Callable[[str], Any]) -> None:
        """Take what each piece repeats, until all of it is known."""
        for name in ("model_version", "response_id", "prompt_feedback"):
            value = get(name)
            if value is not None:
                self._known[name] = value
        self._is_complete = "response_id" in self._known and "model_version" in self._known

    def _add(self, candidate: Any) -> str:
        fields = _fields(candidate)
        index = (fields.get("index") if fields else count(candidate, "index")) or 0
        known = self._candidates.get(index)
        if known is None:
            known = self._candidates[index] = _Candidate()
            if index == 0:
                self.content = field(candidate, "content")
        new = known.add(candidate)
        return new if index == 0 else ""

    def is_known(self) -> bool:
        """Return whether anything came that a response has."""
        named = self._known.get("response_id") is not None
        return named or bool(self._candidates or self._usage is not None or self._blocked())

    def _blocked(self) -> str | None:
        return _word(self._known.get("prompt_feedback"), "block_reason")

    def answer(self) -> Answer:
        """Return what has come so far."""
        fields: dict[str, Any] = {
            "tokens": tokens_of(self._usage),
            "model": text(self._known, "model_version") or None,
            "response_id": text(self._known, "response_id") or None,
        }
        blocked = self._blocked()
        if blocked and not self._candidates:
            return choices_answer([], finish_reason=blocked, outcome="filtered", **fields)
        candidates = [each for _, each in sorted(self._candidates.items())]
        answer = choices_answer([each.choice() for each in candidates], **fields)
        for each in candidates:
            each.add_server_tools(answer)
        return answer


class _Candidate:
    """One candidate, of which pieces come; of these only what they say is kept."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._said: list[str] = []
        self._open: dict[str, Any] | None = None
        self._reason: str | None = None
        self._calls: list[ToolCall] = []
        self._results: list[ToolResult] = []
        self._grounding: Any = None

    def add(self, candidate: Any) -> str:
        """Take one piece; return the text that it adds."""
        self._reason = _word(candidate, "finish_reason") or self._reason
        self._grounding = field(candidate, "grounding_metadata") or self._grounding
        parts = items(field(candidate, "content"), "parts")
        said = ""
        for given in parts:
            call = field(given, "function_call")
            if call and (self._open is not None or field(call, "will_continue") is True):
                self._take_partial(call)
                continue
            self._take_server_tool(given)
            found = _part(given)
            if found is None:
                continue
            if found["type"] == "text":
                said += found["content"]
                self.say(found["content"])
            else:
                self._append(found)
        return said

    def say(self, said: str) -> None:
        """Take text."""
        self._said.append(said)

    def _append(self, found: dict[str, Any]) -> None:
        if self._said:
            self._parts.append(part("text", content="".join(self._said)))
            self._said = []
        self._parts.append(found)

    def _take_partial(self, call: Any) -> None:
        """A function call whose arguments come in pieces."""
        if self._open is None:
            self._open = _call(call)
            self._append(self._open)
        for each in items(call, "partial_args"):
            _put(self._open["arguments"], text(each, "json_path") or "$", _partial(each))
        if field(call, "will_continue") is not True:
            self._open = None

    def _take_server_tool(self, given: Any) -> None:
        """What ran at Google's: a call, and the result that follows it."""
        code, result = field(given, "executable_code"), field(given, "code_execution_result")
        call, response = field(given, "tool_call"), field(given, "tool_response")
        if code:
            arguments = {"language": _word(code, "language"), "code": text(code, "code")}
            self._calls.append(ToolCall("code_execution", text(code, "id"), arguments, server=True))
        elif result:
            failed = _word(result, "outcome") not in (None, "OUTCOME_OK")
            told = text(result, "output")
            self._results.append(
                ToolResult("code_execution", text(result, "id"), told, server=True, failed=failed)
            )
        elif call:
            arguments = _plain(field(call, "args"))
            self._calls.append(ToolCall(_tool(call), text(call, "id"), arguments, server=True))
        elif response:
            told = _plain(field(response, "response"))
            self._results.append(
                ToolResult(_tool(response), text(response, "id"), told, server=True)
            )

    def choice(self) -> Choice:
        """Return what it says so far."""
        said = part("text", content="".join(self._said))
        return Choice([*self._parts, said] if self._said else list(self._parts), self._reason)

    def add_server_tools(self, answer: Answer) -> None:
        """Add what ran at Google's."""
        answer.tool_calls += self._calls
        answer.tool_results += self._results
        queries = items(self._grounding, "web_search_queries")
        if queries:
            found = [_source(each) for each in items(self._grounding, "grounding_chunks")]
            arguments = {"queries": queries}
            answer.tool_calls.append(ToolCall("google_search", None, arguments, server=True))
            answer.tool_results.append(ToolResult("google_search", None, found, server=True))


def _tool(given: Any) -> str:
    return (_word(given, "tool_type") or "tool").lower()


def _source(chunk: Any) -> dict[str, Any]:
    web = field(chunk, "web")
    return {name: text(web, name) for name in ("title", "uri") if text(web, name)}


def _partial(given: Any) -> Any:
    for name in ("string_value", "number_value", "bool_value"):
        value = field(given, name)
        if value is not None:
            return value
    return None


_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\['([^']*)'\]")


def _put(arguments: Any, path: str, value: Any) -> None:
    """Put a piece of an argument where its JSON path says; pieces of a string are joined."""
    steps = [name or quoted or int(index) for name, index, quoted in _STEP.findall(path)]
    if not steps:
        return
    for step, then in itertools.pairwise(steps):
        arguments = _at(arguments, step, [] if isinstance(then, int) else {})
    known = _at(arguments, steps[-1], None)
    joined = known + value if isinstance(known, str) and isinstance(value, str) else value
    arguments[steps[-1]] = joined


def _at(holder: Any, step: str | int, otherwise: Any) -> Any:
    if isinstance(holder, dict):
        return holder.setdefault(step, otherwise)
    if step == len(holder):
        holder.append(otherwise)
    return holder[step]


_SERVER_TOOLS = ("executable_code", "code_execution_result", "tool_call", "tool_response")
_UNSPECIFIED = (
    "FINISH_REASON_UNSPECIFIED",
    "BLOCK_REASON_UNSPECIFIED",
    "BLOCKED_REASON_UNSPECIFIED",
)


# as numbered by the API; `to_dict()` of google-generativeai has the numbers
_FINISH_REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
)


def _word(source: Any, name: str) -> str | None:
    """The name of an enum: a string of google-genai, a number with a name of google-generativeai."""
    value = field(source, name)
    word = text(source, name) or getattr(value, "name", None)
    if word is None and name == "finish_reason" and type(value) is int:
        word = _FINISH_REASONS[value] if value < len(_FINISH_REASONS) else str(value)
    if not isinstance(word, str) or word in _UNSPECIFIED:
        return None
    return word


def tokens_of(usage: Any) -> dict[str, int] | None:
    """
    Return the tokens of a usage object, normalised; None where it reports none.

    Gemini counts thoughts apart from candidates, and tool-use prompts apart from the prompt:
    `prompt` is promptTokenCount + toolUsePromptTokenCount, `completion` is candidatesTokenCount +
    thoughtsTokenCount.
    """
    if usage is None:
        return None
    fields = _fields(usage)
    get = functools.partial(count, usage) if fields is None else fields.get
    asked, said = get("prompt_token_count"), get("candidates_token_count")
    if asked is None and said is None:
        return None
    thoughts = get("thoughts_token_count") or 0
    prompt = (asked or 0) + (get("tool_use_prompt_token_count") or 0)
    completion = (said or 0) + thoughts
    parts = {
        "cached": get("cached_content_token_count"),
        "reasoning": thoughts,
        "audio_prompt": _audio(usage, "prompt_tokens_details"),
        "audio_completion": _audio(usage, "candidates_tokens_details"),
    }
    whole = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return whole | {name: number for name, number in parts.items() if number}


def _audio(usage: Any, name: str) -> int:
    return sum(
        count(each, "token_count") or 0
        for each in items(usage, name)
        if _word(each, "modality") == "AUDIO"
    )
