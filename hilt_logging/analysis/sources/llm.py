"""
The database of simonw/llm as events: both its older table `responses` and the newer `turns`.

Ids are made of llm's own, so that importing twice makes the same events.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import sqlite3

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from ...events import to_timestamp
from ...schema import HILT_VERSION


__all__ = ["events_of", "is_llm"]

Row = dict[str, Any]
Part = dict[str, Any]

_TOKENS = {"cached": "cached", "cached_tokens": "cached", "reasoning_tokens": "reasoning"}


class _Turn(msgspec.Struct, kw_only=True):
    """
    One call of a model.

    Attributes:
        row: What both tables say of it.
        session: Its conversation.
        given: What the model was given that it had not before.
        said: What it answered.
        name: What the conversation is called.
        schema: What the answer had to look like.
    """

    row: Row
    session: str
    given: list[dict[str, Any]]
    said: list[Part]
    name: str | None = None
    schema: Any = None


def is_llm(database: sqlite3.Connection) -> bool:
    """Return whether it is a database of llm's."""
    return bool(_tables(database) & {"responses", "turns"})


def _tables(database: sqlite3.Connection) -> set[str]:
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows}


def events_of(database: sqlite3.Connection, lost: Counter[str]) -> Iterator[dict[str, Any]]:
    """
    Yield the events of a database.

    Args:
        database: The database.
        lost: Counts what is in the database and in no event.
    """
    database.row_factory = sqlite3.Row
    tables = _tables(database)
    source = _Database(database, tables, lost)
    before: dict[str, str] = {}
    asked: dict[tuple[str, str], str] = {}
    for turn in source.turns():
        yield from _Events(turn, before.get(turn.session), asked).all()
        before[turn.session] = f"{turn.row['id']}.completion"


class _Database:
    def __init__(self, database: sqlite3.Connection, tables: set[str], lost: Counter[str]) -> None:
        self._database = database
        self._tables = tables
        self._lost = lost

    def turns(self) -> Iterator[_Turn]:
        """Yield the calls in the order of their times, those of the older table first."""
        if "tools" in self._tables:
            (row,) = self._rows("SELECT count(*) AS tools FROM tools")
            if row["tools"]:
                self._lost["tools, of which only the names in calls are kept"] += row["tools"]
        if "responses" in self._tables:
            names = self._names("conversations")
            for row in self._rows("SELECT * FROM responses ORDER BY datetime_utc, id"):
                self._count(row, "prompt_json")
                session = row.get("conversation_id") or row["id"]
                given, said = self._given(row), self._said(row)
                yield self._turn(row, session, given, said, names)
        if "turns" in self._tables:
            names = self._names("threads")
            tips: dict[str, set[str]] = {}
            for row in self._rows("SELECT * FROM turns ORDER BY datetime_utc, id"):
                self._count(row)
                session = row.get("thread_id") or row["id"]
                known = tips.setdefault(session, set())
                asked = self._chain(row["parent_message_hash"], known)
                said = self._chain(row["tip_message_hash"], {row["parent_message_hash"]})
                known.add(row["tip_message_hash"])
                parts = [part for message in said for part in message["parts"]]
                yield self._turn(row, session, asked, parts, names)

    def _turn(
        self, row: Row, session: str, given: list[Any], said: list[Part], names: dict[str, str]
    ) -> _Turn:
        schema = None
        if row.get("schema_id"):
            sql = "SELECT content FROM schemas WHERE id = ?"
            schema = next(
                (_loaded(each["content"]) for each in self._rows(sql, row["schema_id"])), None
            )
        name = names.get(session)
        return _Turn(row=row, session=session, given=given, said=said, name=name, schema=schema)

    def _names(self, table: str) -> dict[str, str]:
        if table not in self._tables:
            return {}
        return {row["id"]: row["name"] for row in self._rows(f"SELECT id, name FROM {table}")}  # noqa: S608

    def _count(self, row: Row, *fields: str) -> None:
        for field in ("response_json", *fields):
            if row.get(field):
                self._lost[f"{field} (what the provider was sent or sent itself)"] += 1

    def _rows(self, sql: str, *values: Any) -> Iterator[Row]:
        return (dict(row) for row in self._database.execute(sql, values))

    def _joined(self, table: str, other: str, key: str, response: str) -> list[Row]:
        """The rows of another table that belong to a response."""
        if table not in self._tables or other not in self._tables:
            return []
        sql = (
            f"SELECT b.* FROM {table} a JOIN {other} b ON b.id = a.{key} "  # noqa: S608
            'WHERE a.response_id = ? ORDER BY a."order"'
        )
        return list(self._rows(sql, response))

    def _of_response(self, table: str, response: str) -> Iterator[Row]:
        if table in self._tables:
            sql = f"SELECT * FROM {table} WHERE response_id = ? ORDER BY id"  # noqa: S608
            yield from self._rows(sql, response)

    def _given(self, row: Row) -> list[dict[str, Any]]:
        messages = []
        for role, table, field in (
            ("system", "system_fragments", "system"),
            ("user", "prompt_fragments", "prompt"),
        ):
            fragments = self._joined(table, "fragments", "fragment_id", row["id"])
            texts = [each["content"] for each in fragments] + [row.get(field) or ""]
            text = "\n".join(each for each in texts if each)
            parts = [_text(text)] if text else []
            if role == "user":
                attached = self._joined(
                    "prompt_attachments", "attachments", "attachment_id", row["id"]
                )
                parts += map(self._media, attached)
            if parts:
                messages.append({"role": role, "parts": parts})
        results = [
            _result(each["name"], each["tool_call_id"], each["output"], each.get("exception"))
            for each in self._of_response("tool_results", row["id"])
        ]
        return [*messages, {"role": "tool", "parts": results}] if results else messages

    def _said(self, row: Row) -> list[Part]:
        parts = []
        if row.get("reasoning"):
            parts.append({"type": "reasoning", "content": row["reasoning"]})
        if row.get("response"):
            parts.append(_text(row["response"]))
        calls = self._of_response("tool_calls", row["id"])
        return [
            *parts,
            *(_call(each["name"], each["tool_call_id"], each["arguments"]) for each in calls),
        ]

    def _chain(self, tip: str | None, until: set[str]) -> list[dict[str, Any]]:
        """The messages up to one, from the one after those that are known."""
        found: list[dict[str, Any]] = []
        seen = set(until)
        while tip is not None and tip not in seen:
            seen.add(tip)
            row = next(self._rows("SELECT * FROM messages WHERE hash = ?", tip), None)
            if row is None:
                self._lost["messages that the database does not have"] += 1
                break
            sql = "SELECT * FROM parts WHERE message_hash = ? ORDER BY position"
            parts = [part for each in self._rows(sql, tip) for part in self._part(each)]
            found.append({"role": row["role"], "parts": parts})
            tip = row["parent_hash"]
        return found[::-1]

    def _part(self, row: Row) -> Iterator[Part]:
        payload = _loaded(row["payload"]) or {}
        kind = row["type"]
        if kind in ("text", "reasoning"):
            text = row["text"] if row["text"] is not None else self._referenced(payload)
            yield {"type": kind, "content": text}
        elif kind == "tool_call":
            yield _call(payload.get("name"), payload.get("tool_call_id"), payload.get("arguments"))
        elif kind == "tool_result":
            name, output = payload.get("name"), payload.get("output")
            yield _result(name, payload.get("tool_call_id"), output, payload.get("exception"))
        elif kind == "attachment":
            identity = (payload.get("attachment") or {}).get("id")
            yield from map(
                self._media, self._rows("SELECT * FROM attachments WHERE id = ?", identity)
            )
        else:
            self._lost[f"parts of the kind {kind}"] += 1

    def _referenced(self, payload: Row) -> str:
        """The text of a part that borrows some of it."""
        pieces = []
        for each in payload.get("text_ref") or ():
            if "fragment" in each:
                sql = "SELECT content FROM fragments WHERE id = ?"
                pieces += [row["content"] for row in self._rows(sql, each["fragment"])]
            else:
                pieces.append(each.get("literal", ""))
        return "".join(pieces)

    def _media(self, row: Row) -> Part:
        mime = row["type"] or "application/octet-stream"
        media = {"type": mime.partition("/")[0], "mime_type": mime}
        if row["content"] is None:
            return media | {"uri": row["url"] or row["path"] or ""}
        self._lost["attachments, of which only digest and size are kept"] += 1
        data = bytes(row["content"])
        return media | {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _text(text: str) -> Part:
    return {"type": "text", "content": text}


def _call(name: Any, call_id: Any, arguments: Any) -> Part:
    plain = _loaded(arguments) if isinstance(arguments, str) else arguments
    return {"type": "tool_call", "name": name, "id": call_id, "arguments": plain}


def _result(name: Any, call_id: Any, output: Any, exception: Any) -> Part:
    part = {"type": "tool_call_response", "name": name, "id": call_id, "response": output}
    return part | ({"exception": exception} if exception else {})


def _loaded(text: Any) -> Any:
    try:
        return json.loads(text) if text else None
    except (TypeError, ValueError):
        return text


class _Events:
    """The events of one call."""

    def __init__(self, turn: _Turn, before: str | None, asked: dict[tuple[str, str], str]) -> None:
        self._asked = asked
        self._turn = turn
        self._row = turn.row
        self._before = before
        self._at = _moment(turn.row.get("datetime_utc"))
        self._model = turn.row.get("resolved_model") or turn.row["model"]

    def all(self) -> Iterator[dict[str, Any]]:
        """Yield them in their order."""
        parts = [part for message in self._turn.given for part in message["parts"]]
        results = [part for part in parts if part["type"] == "tool_call_response"]
        for number, part in enumerate(results):
            yield self._tool_result(number, part)
        yield self._prompt()
        yield self._completion()
        calls = [part for part in self._turn.said if part["type"] == "tool_call"]
        for number, part in enumerate(calls):
            yield self._tool_call(number, part)

    def _event(self, name: str, action: str, actor: tuple[str, str], at: Any, **parts: Any) -> Any:
        extensions = parts.pop("extensions", {}) | {
            "imported": {"from": "llm", "id": self._row["id"]}
        }
        provenance = {"call_id": self._row["id"]} | parts.pop("provenance", {})
        event = {
            "hilt_version": HILT_VERSION,
            "event_id": f"{self._row['id']}.{name}",
            "timestamp": to_timestamp(at),
            "session_id": self._turn.session,
            "actor": dict(zip(("type", "id"), actor, strict=True)),
            "action": action,
            "content": parts.pop("content", None),
            "provenance": provenance,
            "metrics": parts.pop("metrics", None),
            "extensions": {k: v for k, v in extensions.items() if v is not None},
        }
        return {name: value for name, value in event.items() if value}

    def _prompt(self) -> Any:
        given = self._turn.given
        mine = [part for each in given if each["role"] == "user" for part in each["parts"]]
        content = _content(mine)
        if [each["role"] for each in given] != ["user"] or set(map(_kind, mine)) != {"text"}:
            content["messages"] = given
        options = _loaded(self._row.get("options_json")) or {}
        params = options if isinstance(options, dict) else {"options": options}
        if self._turn.schema is not None:
            params = params | {"schema": self._turn.schema}
        provenance = {"request_model": self._row["model"]} | ({"params": params} if params else {})
        extensions = {"follows": self._before, "conversation_name": self._turn.name}
        return self._event(
            *("prompt", "prompt", ("human", "user"), self._at),
            content=content,
            provenance=provenance,
            extensions=extensions,
        )

    def _completion(self) -> Any:
        said = self._turn.said
        content = _content(said)
        if set(map(_kind, said)) - {"text", "tool_call"}:  # calls have events of their own
            content["messages"] = [{"role": "assistant", "parts": said}]
        elapsed = self._row.get("duration_ms")
        details = _loaded(self._row.get("token_details"))
        metrics: dict[str, Any] = {"tokens": _tokens(self._row, details)}
        if isinstance(elapsed, int) and elapsed >= 0:
            metrics["latency_ms"] = elapsed
        return self._event(
            *("completion", "completion", ("agent", self._model), self._ended()),
            content=content,
            provenance={"model": self._model, "request_model": self._row["model"]},
            metrics={name: value for name, value in metrics.items() if value not in (None, {})},
            extensions={"reply_to": f"{self._row['id']}.prompt", "usage": details},
        )

    def _ended(self) -> datetime.datetime:
        elapsed = self._row.get("duration_ms")
        return self._at + datetime.timedelta(
            milliseconds=elapsed if isinstance(elapsed, int) else 0
        )

    def _tool_call(self, number: int, part: Part) -> Any:
        if part["id"]:
            self._asked[self._turn.session, part["id"]] = f"{self._row['id']}.tool_call.{number}"
        tool = {"name": part["name"], "call_id": part["id"], "arguments": part["arguments"]}
        return self._event(
            *(f"tool_call.{number}", "tool_call", ("agent", self._model), self._ended()),
            extensions={"reply_to": f"{self._row['id']}.completion", "tool": tool},
        )

    def _tool_result(self, number: int, part: Part) -> Any:
        output = part["response"]
        tool = {"name": part["name"], "call_id": part["id"]}
        error = part.get("exception")
        return self._event(
            *(f"tool_result.{number}", "tool_result", ("tool", part["name"] or "tool"), self._at),
            content={"text": output if isinstance(output, str) else json.dumps(output)},
            extensions={
                "reply_to": self._asked.get((self._turn.session, part["id"] or "")),
                "tool": tool,
                "outcome": "failed" if error else None,
                "error": {"message": error} if error else None,
            },
        )


def _kind(part: Part) -> str:
    return str(part["type"])


def _content(parts: list[Part]) -> dict[str, Any]:
    texts = [part["content"] for part in parts if part["type"] == "text"]
    media = [part for part in parts if "mime_type" in part]
    return ({"text": "".join(texts)} if texts else {}) | ({"media": media} if media else {})


def _tokens(row: Row, details: Any) -> dict[str, int]:
    prompt, completion = row.get("input_tokens"), row.get("output_tokens")
    found = {"prompt": prompt, "completion": completion}
    if type(prompt) is type(completion) is int and prompt >= 0 <= completion:
        found["total"] = prompt + completion
    for name, ours in _TOKENS.items() if isinstance(details, dict) else ():
        found.setdefault(ours, None)
        found[ours] = details.get(name, found[ours])
    return {name: count for name, count in found.items() if type(count) is int and count >= 0}


def _moment(text: Any) -> datetime.datetime:
    try:
        when = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        when = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    return when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)
