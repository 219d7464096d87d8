"""docs/fleet.md: from files through Kafka to Parquet and to tables, with the real tools where they are."""

import ctypes.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import events
from hilt_logging.analysis.tables import COLUMNS, NAMES, row


pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "fleet.md"
OMKAFKA = (
    "/usr/lib/x86_64-linux-gnu/rsyslog",
    "/usr/lib/aarch64-linux-gnu/rsyslog",
    "/usr/lib/rsyslog",
)

# librdkafka's own broker for tests; ends when its stdin does
BROKER = textwrap.dedent(
    """
    import ctypes, sys
    lib = ctypes.CDLL(sys.argv[1])
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    error = ctypes.create_string_buffer(512)
    handle = lib.rd_kafka_new(0, ctypes.c_void_p(lib.rd_kafka_conf_new()), error, 512)
    cluster = lib.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), 1)
    print(lib.rd_kafka_mock_cluster_bootstraps(ctypes.c_void_p(cluster)).decode(), flush=True)
    sys.stdin.read()
    """
)
WRITER = hilt_logging.config.event_logger("hilt.test.fleet")


def program(name):
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return path or pytest.skip(f"{name} is not installed")


@pytest.fixture
def broker():
    """The address of a Kafka of its own."""
    library = ctypes.util.find_library("rdkafka")
    if library is None:
        pytest.skip("librdkafka is not installed")
    running = subprocess.Popen(
        [sys.executable, "-c", BROKER, library],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield running.stdout.readline().strip()
    running.communicate(timeout=30)


def test_page_shows_the_file():
    """What the page shows of rsyslog's configuration is what the file has."""
    body = re.search(r"^action\(type=.omkafka.*?\)\n(?=```)", PAGE.read_text("utf-8"), re.M | re.S)[
        0
    ]
    file = textwrap.dedent((EXAMPLES / "rsyslog" / "kafka.conf").read_text("utf-8"))
    assert " ".join(body.split()) in " ".join(file.split())


@pytest.fixture
def rsyslog(tmp_path, broker):
    """Starts rsyslog with our configuration, again and again, and stops it."""
    if not any((Path(folder) / "omkafka.so").exists() for folder in OMKAFKA):
        pytest.skip("rsyslog-kafka is not installed")
    path = program("rsyslogd")
    for name in ("log", "spool"):
        (tmp_path / name).mkdir(mode=0o755)
    body = (EXAMPLES / "rsyslog" / "kafka.conf").read_text("utf-8")
    for theirs, here in (
        ("/var/log/hilt/", f"{tmp_path}/log/"),
        ("/var/spool/rsyslog", f"{tmp_path}/spool"),
        ("kafka.example:9092", broker),
    ):
        body = body.replace(theirs, here)
    (tmp_path / "rsyslog.conf").write_text(body, encoding="utf-8")
    running = []

    def start():
        words = [path, "-n", "-f", f"{tmp_path}/rsyslog.conf", "-i", f"{tmp_path}/pid"]
        running.append(subprocess.Popen(words))

    def stop():
        running[-1].terminate()
        running[-1].wait(timeout=30)

    start.stop = stop
    yield start
    stop()


def consumed(broker, count):
    """What is in the topic, once so many lines are: keys, and the lines with their newlines."""
    words = [program("kcat"), "-C", "-b", broker, "-t", "hilt", "-o", "beginning", "-e", "-q"]
    deadline = time.monotonic() + 60
    while True:
        lines = subprocess.run(words, capture_output=True, check=False).stdout
        if lines.count(b"\n") >= count or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    keys = subprocess.run([*words, "-f", "%k\n"], capture_output=True, check=True).stdout
    return set(keys.split(b"\n")) - {b""}, lines


def hilt_log(*words, **options):
    done = subprocess.run(
        [sys.executable, "-m", "hilt_logging", *map(str, words)], capture_output=True, **options
    )
    assert (0, b"") == (done.returncode, done.stderr)
    return done.stdout


def test_through_kafka(tmp_path, broker, rsyslog):
    """
    Lines of a log that rotates, while rsyslog is stopped and started, are in Kafka as they are.

    Each is there once and in order, those of 100 KB too; the chain holds in what comes out; and of
    that Parquet by day and provider is made, with every event in it.
    """
    program("kcat")
    rsyslog()
    path = tmp_path / "log" / "app.jsonl"
    handler = hilt_logging.HILTFileHandler(
        path, permissions="0640", evidence=True, max_bytes=1_500_000
    )
    day = 20

    def write(count):
        nonlocal day
        day += 1
        for number in range(count):
            event = events.completion(
                "Grüße 😀 \u2028 /" * (6000 if number % 20 == 0 else 3),
                session_id="s",
                timestamp=f"2026-11-{day}T00:00:{number % 60:02}.000000Z",
                provenance={"provider": "openai" if number % 2 else "anthropic", "model": "m"},
            )
            handler.handle(hilt_logging.records.make(event, WRITER))
            time.sleep(0.002)

    def source():
        *rotated, live = sorted(path.parent.glob("app.jsonl*"), key=lambda p: p.suffix == ".jsonl")
        return b"".join(each.read_bytes() for each in (*rotated, live))

    write(120)
    consumed(broker, source().count(b"\n"))
    rsyslog.stop()
    write(20)
    rsyslog()
    write(120)
    handler.close()

    expected = source()
    keys, lines = consumed(broker, expected.count(b"\n"))
    assert expected == lines
    assert 1 == len(keys)
    assert len(list(path.parent.glob("app.jsonl.*"))) > 0

    pytest.importorskip("duckdb")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(lines)
    assert json.loads(hilt_log("verify", copy, "--strict", "--json"))["lines"] == lines.count(b"\n")
    made = hilt_log(
        *("convert", "-", "--to", "parquet", "--partition", "-o", tmp_path / "lake", "--json"),
        input=lines,
    )
    assert lines.count(b"\n") == json.loads(made)["events"]
    folders = {each.parent.relative_to(tmp_path / "lake") for each in tmp_path.rglob("*.parquet")}
    for number in (21, 22, 23):
        for provider in ("openai", "anthropic"):
            assert Path(f"day=2026-11-{number}", f"provider={provider}") in folders
    hilt_log("convert", tmp_path / "lake", "-o", tmp_path / "again.jsonl")
    again = (tmp_path / "again.jsonl").read_bytes()
    assert sorted(lines.splitlines()) == sorted(again.splitlines())


TYPES = {
    "clickhouse": {
        "VARCHAR": "String",
        "BIGINT": "Int64",
        "DOUBLE": "Float64",
        "TIMESTAMP": "DateTime64(6, 'UTC')",
    },
    "bigquery": {
        "VARCHAR": "STRING",
        "BIGINT": "INT64",
        "DOUBLE": "FLOAT64",
        "TIMESTAMP": "TIMESTAMP",
    },
}


@pytest.mark.parametrize("dialect", TYPES)
def test_columns(dialect):
    """The tables for other databases have the columns of `events`, in their order, with their types."""
    text = (EXAMPLES / "sql" / f"{dialect}.sql").read_text("utf-8")
    body = re.search(r"^CREATE TABLE (?:hilt\.)?events\s*\((.*?)^\)", text, re.M | re.S)[1]
    found = [line.strip().rstrip(",").split(" ", 1) for line in body.strip().splitlines()]
    assert list(NAMES) == [name for name, _ in found]
    for column, (_, kind) in zip(COLUMNS, found, strict=True):
        plain = re.sub(r"^LowCardinality\((.*)\)$|^Nullable\((.*)\)$", r"\1\2", kind)
        plain = re.sub(r"^Nullable\((.*)\)$", r"\1", plain).removesuffix(" NOT NULL")
        assert TYPES[dialect][column.type] == plain, column.name
    selected = re.findall(r" AS (\w+),?$", text.partition("\nSELECT\n")[2], re.M)
    assert list(NAMES[:-1]) == selected


@pytest.mark.parametrize("dialect", TYPES)
def test_sql_parses(dialect):
    """The SQL of these files parses."""
    sqlglot = pytest.importorskip("sqlglot")
    text = (EXAMPLES / "sql" / f"{dialect}.sql").read_text("utf-8")
    assert 3 == len(sqlglot.parse(text, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE))


def test_clickhouse(tmp_path):
    """ClickHouse makes of lines what the columns are, each event once, and passes over what is none."""
    session = pytest.importorskip("chdb.session").Session()
    path = tmp_path / "app.jsonl"
    with hilt_logging.Session(path) as log:
        log.append(events.prompt('Grüße "q" \\ \n x', session_id="c", extensions={"user_id": "a"}))
        log.append(
            events.completion(
                "A 😀",
                session_id="c",
                provenance={"provider": "openai", "model": "m", "call_id": "k"},
                metrics={
                    "latency_ms": 12,
                    "time_to_first_token_ms": 3,
                    "cost_usd": 0.00012,
                    "tokens": {
                        "prompt": 5,
                        "completion": 2,
                        "total": 7,
                        "cached": 1,
                        "reasoning": 0,
                    },
                },
                extensions={
                    "finish_reason": "stop",
                    "outcome": "completed",
                    "status_code": 200,
                    "reply_to": "r",
                    "tool": {"name": "t"},
                    "error": {"type": "E"},
                },
            )
        )
    expected = [row(json.loads(line)) for line in path.read_bytes().splitlines()]
    with open(path, "ab") as file:
        file.write(b"torn\n")
    session.query("CREATE DATABASE hilt")
    session.query("USE hilt")
    text = (EXAMPLES / "sql" / "clickhouse.sql").read_text("utf-8")
    for statement in re.sub(r"^--.*$", "", text, flags=re.M).split(";"):
        if statement.strip():
            session.query(statement)
    for _ in range(2):
        session.query(
            f"INSERT INTO lines SELECT * FROM file('{path}', LineAsString, 'event String')"
        )
    answer = str(session.query("SELECT * FROM events FINAL ORDER BY event_id", "JSONEachRow"))
    found = [tuple(json.loads(line).values()) for line in answer.splitlines()]
    texts = [tuple(None if each is None else str(each) for each in line) for line in expected]
    assert texts == [tuple(None if each is None else str(each) for each in line) for line in found]
