"""
The rows of reading.py: each is a function of the path of a log, run in a process of its own.

    python benchmarks/reading_rows.py ROW FILE    prints figures as JSON

Only the standard library is imported at the top: some rows run where this package is not installed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from collections.abc import Callable
from typing import Any, Literal, NamedTuple


READ, COUNT, ASK = "read and validate", "statistics", "ask in SQL"
CONVERT, FIND, START = "convert", "find and show", "start"
GROUPS = [READ, COUNT, ASK, CONVERT, FIND, START]


class Row(NamedTuple):
    """What is measured."""

    group: str
    title: str
    run: Callable[[str], Any]
    counts_events: bool = True
    is_hilt_python: bool = False


ROWS: dict[str, Row] = {}


def row(name: str, group: str, title: str, **options: bool) -> Callable[..., Any]:
    """Add a row."""

    def add(run: Callable[[str], Any]) -> Callable[[str], Any]:
        ROWS[name] = Row(group, title, run, **options)
        return run

    return add


@row("lines", READ, "the lines, not decoded")
def lines(path: str) -> int:
    with open(path, "rb", buffering=1 << 18) as file:
        return sum(1 for _ in file)


@row("bare", READ, "bare msgspec: a `Decoder` of a typed event, line by line")
def bare(path: str) -> int:
    import datetime

    import msgspec

    count_of_tokens = dict[str, int]
    free = dict[str, Any]
    optional = {"default": None}
    actor = msgspec.defstruct(
        "Actor", [("type", Literal["human", "agent", "tool", "system"]), ("id", str)]
    )
    content = msgspec.defstruct("Content", [("text", str | None, msgspec.field(**optional))])
    metrics = msgspec.defstruct(
        "Metrics",
        [
            ("latency_ms", int | None, None),
            ("tokens", count_of_tokens | None, None),
            ("cost_usd", float | None, None),
        ],
    )
    actions = Literal["prompt", "completion", "tool_call", "tool_result", "feedback", "system"]
    event = msgspec.defstruct(
        "Event",
        [
            ("hilt_version", str),
            ("event_id", str),
            ("timestamp", datetime.datetime),
            ("session_id", str),
            ("actor", actor),
            ("action", actions),
            ("content", content | None, None),
            ("provenance", free | None, None),
            ("metrics", metrics | None, None),
            ("extensions", free | None, None),
        ],
    )
    decode = msgspec.json.Decoder(event).decode
    with open(path, "rb", buffering=1 << 18) as file:
        return sum(1 for line in file if decode(line))


@row("json", READ, "`json.loads`, nothing checked")
def loads(path: str) -> int:
    with open(path, "rb", buffering=1 << 18) as file:
        return sum(1 for line in file if json.loads(line))


@row("hilt-python", READ, "hilt-python, `Session.read`", is_hilt_python=True)
def hilt_python(path: str) -> int:
    from hilt import Session

    with Session(path) as session:
        return sum(1 for _ in session.read())


@row("validate", READ, "**`validate`**")
def validated(path: str) -> int:
    from hilt_logging.analysis.validate import validate

    found = validate(path)
    assert found.exit_code == 0
    return found.events


@row("read", READ, "**`read`**, typed")
def read_typed(path: str) -> int:
    from hilt_logging.io.reader import read

    return sum(1 for _ in read(path))


@row("dicts", READ, "**`read(typed=False)`**")
def read_dicts(path: str) -> int:
    from hilt_logging.io.reader import read

    return sum(1 for _ in read(path, typed=False))


@row("scan", READ, "**`scan`** of three fields")
def scanned(path: str) -> int:
    import msgspec

    from hilt_logging.io.reader import scan

    fields = [("timestamp", str), ("action", str), ("session_id", str)]
    return sum(1 for _ in scan(path, msgspec.defstruct("Fields", fields, gc=False)))


@row("where", READ, "**`read(where=...)`** of one conversation", counts_events=False)
def one_conversation(path: str) -> int:
    from hilt_logging.io.reader import read

    return sum(1 for _ in read(path, where={"session_id": "conv-000001"}))


@row("msgspec-two", COUNT, "a loop over two fields, decoded by msgspec")
def msgspec_two(path: str) -> int:
    import msgspec

    tokens = msgspec.defstruct("Tokens", [("total", int, 0)], gc=False)
    metrics = msgspec.defstruct(
        "Metrics",
        [
            ("latency_ms", int | None, None),
            ("tokens", tokens | None, None),
            ("cost_usd", float, 0.0),
        ],
        gc=False,
    )
    event = msgspec.defstruct(
        "Event", [("action", str), ("metrics", metrics | None, None)], gc=False
    )
    decode = msgspec.json.Decoder(event).decode
    actions: dict[str, int] = {}
    total, cost = 0, 0.0
    latencies: list[int] = []
    with open(path, "rb", buffering=1 << 18) as file:
        for found in map(decode, file):
            actions[found.action] = actions.get(found.action, 0) + 1
            if found.metrics is not None:
                total += found.metrics.tokens.total
                cost += found.metrics.cost_usd
                latencies.append(found.metrics.latency_ms)
    latencies.sort()
    return sum(actions.values())


@row("duckdb-two", COUNT, "bare DuckDB, two columns named", counts_events=False)
def duckdb_two(path: str) -> None:
    import duckdb

    fields = "latency_ms BIGINT, tokens STRUCT(total BIGINT), cost_usd DOUBLE"
    columns = f"{{action: 'VARCHAR', metrics: 'STRUCT({fields})'}}"
    source = f"read_json('{path}', format = 'newline_delimited', columns = {columns})"
    values = (
        "count(*), sum(metrics.tokens.total), sum(metrics.cost_usd), "
        "quantile_cont(metrics.latency_ms, [0.5, 0.95])"
    )
    duckdb.execute(f"SELECT action, {values} FROM {source} GROUP BY action").fetchall()


def _counted(path: str, engine: str, **asked: Any) -> int:
    from hilt_logging.analysis import stats

    found = stats(path, engine=engine, **asked)
    assert found.unread == 0
    return found.total.events


@row("stats-duckdb", COUNT, "**`stats`**, by DuckDB")
def stats_by_duckdb(path: str) -> int:
    return _counted(path, "duckdb")


@row("stats-python", COUNT, "**`stats`**, in Python")
def stats_in_python(path: str) -> int:
    return _counted(path, "python")


@row("groups-duckdb", COUNT, "**`stats`** by day and model, by DuckDB")
def groups_by_duckdb(path: str) -> int:
    return _counted(path, "duckdb", by=("day", "model"), tz="Europe/Berlin")


@row("groups-python", COUNT, "**`stats`** by day and model, in Python")
def groups_in_python(path: str) -> int:
    return _counted(path, "python", by=("day", "model"), tz="Europe/Berlin")


@row("compare-duckdb", COUNT, "**`compare`**: two weeks with two, by DuckDB", counts_events=False)
def compared_by_duckdb(path: str) -> None:
    _compared(path, "duckdb")


@row("compare-python", COUNT, "**`compare`**: two weeks with two, in Python", counts_events=False)
def compared_in_python(path: str) -> None:
    _compared(path, "python")


def _compared(path: str, engine: Any) -> None:
    from hilt_logging.analysis import compare

    compare(path, before="2026-01-01..2026-01-14", after="2026-01-15..2026-01-28", engine=engine)


@row("report", COUNT, "**`report`**: a page of figures, charts and conversations")
def reported(path: str) -> int:
    from hilt_logging.analysis import report

    found = report(path, f"{path}.html", force=True)
    assert found.faults == 0
    return found.events


@row("reprice", COUNT, "**`reprice`**: all costs compared with those at other prices")
def repriced(path: str) -> int:
    from hilt_logging.analysis import reprice

    return reprice(path, prices={"openai": {"*": {"input": 1.0, "output": 4.0}}}, told=True).events


_BY_MODEL = "count(*), sum(cost_usd), sum(prompt_tokens), quantile_cont(latency_ms, 0.95)"


@row("duckdb-sql", ASK, "bare DuckDB, schema guessed", counts_events=False)
def duckdb_sql(path: str) -> None:
    import duckdb

    sql = "count(*), sum(metrics.cost_usd), sum(metrics.tokens.prompt), quantile_cont(metrics.latency_ms, 0.95)"
    source = f"read_json('{path}', format = 'newline_delimited')"
    duckdb.execute(f"SELECT provenance.model, {sql} FROM {source} GROUP BY 1").fetchall()


@row("query", ASK, "**`query`**: calls, cost, tokens and latency by model", counts_events=False)
def asked(path: str) -> None:
    from hilt_logging.analysis import query

    with query(f"SELECT model, {_BY_MODEL} FROM events GROUP BY model", path) as answer:
        assert answer.faults.count == 0
        assert len(list(answer)) > 1


@row("conversations", ASK, "**`query`**: the ten dearest conversations", counts_events=False)
def conversations(path: str) -> None:
    from hilt_logging.analysis import query

    with query("SELECT * FROM conversations ORDER BY cost_usd DESC LIMIT 10", path) as answer:
        assert len(list(answer)) > 1


@row("duckdb-parquet", CONVERT, "to Parquet, bare DuckDB, nine columns", counts_events=False)
def duckdb_parquet(path: str) -> None:
    import duckdb

    columns = (
        "event_id, timestamp, session_id, actor.type, actor.id, action, content.text, "
        "metrics.tokens.total, metrics.cost_usd"
    )
    source = f"read_json('{path}', format = 'newline_delimited')"
    duckdb.execute(f"COPY (SELECT {columns} FROM {source}) TO '{path}.parquet'")


def _converted(path: str, **options: Any) -> int:
    from hilt_logging.analysis import convert

    done = convert(path, force=True, **options)
    assert done.faults == 0
    return done.events


@row("parquet", CONVERT, "**to Parquet**, all fields and the lines")
def parquet(path: str) -> int:
    return _converted(path, output=f"{path}.all.parquet")


@row("partition", CONVERT, "**to Parquet** by day and provider")
def partition(path: str) -> int:
    return _converted(path, to="parquet", output=f"{path}.folder", partition=True)


@row("sqlite", CONVERT, "**to SQLite**, with a full-text index")
def sqlite(path: str) -> int:
    return _converted(path, output=f"{path}.db")


@row("csv", CONVERT, "**to CSV**, all fields")
def to_csv(path: str) -> int:
    return _converted(path, output=f"{path}.csv")


RARE, COMMON = "kilometres. 7776", "quick brown fox"  # in some events, in half of them


def _ripgrep(path: str, *words: str) -> None:
    done = subprocess.run(["rg", *words, path], stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == 0


def _searched(path: str, text: str, **options: Any) -> None:
    from hilt_logging.analysis import Wanted, search

    assert sum(1 for _ in search(path, Wanted(text, **options))) > 0


@row("rg", FIND, "ripgrep, a rare text", counts_events=False)
def ripgrep(path: str) -> None:
    _ripgrep(path, RARE)


@row("search", FIND, "**`search`**, the same", counts_events=False)
def searched(path: str) -> None:
    _searched(path, RARE)


@row("rg-i", FIND, "ripgrep `-i`", counts_events=False)
def ripgrep_any_case(path: str) -> None:
    _ripgrep(path, "-i", RARE.upper())


@row("search-i", FIND, "**`search`**, small or large letters", counts_events=False)
def searched_any_case(path: str) -> None:
    _searched(path, RARE.upper(), ignore_case=True)


@row("rg-common", FIND, "ripgrep, a text in every second event", counts_events=False)
def ripgrep_common(path: str) -> None:
    _ripgrep(path, COMMON)


@row("search-common", FIND, "**`search`**, the same", counts_events=False)
def searched_common(path: str) -> None:
    _searched(path, COMMON)


@row(
    "search-printed",
    FIND,
    "**`hilt-log search`**, the same, printed a line each",
    counts_events=False,
)
def searched_and_printed(path: str) -> None:
    command = [sys.executable, "-m", "hilt_logging", "search", COMMON, path]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


@row("show", FIND, "**`show`**, first use: the index is made", counts_events=False)
def shown_first(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        _shown(path)


@row("show-indexed", FIND, "**`show`**, indexed", counts_events=False)
def shown(path: str) -> None:
    os.environ["XDG_CACHE_HOME"] = os.path.dirname(path)
    _shown(path)


def _shown(path: str) -> None:
    from hilt_logging.analysis import conversation
    from hilt_logging.analysis.conversation import index

    assert len(conversation(path, "conv-000333").entries) == 20
    index(path)


@row("sessions", FIND, "**`sessions`**: all, without an index", counts_events=False)
def listed(path: str) -> None:
    from hilt_logging.analysis import sessions

    assert len(sessions(path)) > 1


@row("latest", FIND, "**`show`** without a session: the last 20, indexed", counts_events=False)
def latest(path: str) -> None:
    from hilt_logging.analysis._sessions import latest_sessions

    os.environ["XDG_CACHE_HOME"] = os.path.dirname(path)
    assert len(latest_sessions(path, 20).sessions) > 1


@row("gaps", FIND, "**`gaps`**")
def without_answers(path: str) -> int:
    from hilt_logging.analysis import gaps

    return gaps(path).events


@row("tail", FIND, "**`tail`**: the last ten", counts_events=False)
def last(path: str) -> None:
    from hilt_logging.analysis import recent

    assert len(recent(path)) == 10


@row("python", START, "Python alone", counts_events=False)
def python_alone(path: str) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


@row("import", START, "**`import hilt_logging`**", counts_events=False)
def imported(path: str) -> None:
    subprocess.run([sys.executable, "-c", "import hilt_logging"], check=True)


@row("help", START, "**`hilt-log --help`**", counts_events=False)
def helped(path: str) -> None:
    command = [sys.executable, "-m", "hilt_logging", "--help"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def main(name: str, path: str) -> None:
    warm(path)
    if name in ("show-indexed", "latest"):
        shown(path)
    before, begun = _cpu(), time.perf_counter()
    result = ROWS[name].run(path)
    figures = {
        "cpu": _cpu() - before,
        "wall": time.perf_counter() - begun,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "result": result if isinstance(result, int | float) else 0,
    }
    print(json.dumps(figures))


def _cpu() -> float:
    """The processor time of this process and of those that it ran."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def warm(path: str) -> None:
    """Have the file in the page cache, as a log that was just written is."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
