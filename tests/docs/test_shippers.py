"""The configurations in examples/ and docs/shippers.md, with the real tools where they are installed."""

import csv
import gzip
import io
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


ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "shippers.md"
FILES = {
    "rsyslog": ROOT / "examples" / "rsyslog" / "hilt.conf",
    "logrotate": ROOT / "examples" / "logrotate" / "hilt",
    "lnav": ROOT / "examples" / "lnav" / "hilt.json",
}


def configuration(tool, directory):
    """The file of a tool, with its directories replaced by ones here."""
    body = FILES[tool].read_text(encoding="utf-8")
    for theirs, here in (
        ("/var/log/hilt-central", "central"),
        ("/var/log/hilt/", "log/"),
        ("/var/spool/rsyslog", "spool"),
    ):
        body = body.replace(theirs, f"{directory}/{here}")
    return body


@pytest.mark.parametrize("tool", ["rsyslog", "logrotate"])
def test_page_shows_the_file(tool):
    """What the page shows is the file that it names."""
    text = PAGE.read_text(encoding="utf-8")
    body = re.search(rf"^## {tool}\n.*?^```\w*\n(.*?)^```", text, re.S | re.M)[1]
    assert FILES[tool].read_text(encoding="utf-8") == body


def verified(*paths):
    """The lines of linked logs; `hilt-log verify` finds nothing wrong with them."""
    words = [sys.executable, "-m", "hilt_logging", "verify", *map(str, paths), "--strict", "--json"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (0, b"") == (done.returncode, done.stderr), done.stdout.decode()
    return json.loads(done.stdout)["lines"]


def program(name):
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return path or pytest.skip(f"{name} is not installed")


@pytest.fixture
def directory(tmp_path):
    """A directory that stands for the page's; short, because it occurs in names of sockets."""
    for name in ("log", "central", "spool"):
        (tmp_path / name).mkdir(mode=0o755)
    return tmp_path


@pytest.fixture
def write(directory):
    """Write some events, every tenth of them longer than the shippers' usual limits."""
    path = directory / "log" / "hilt.jsonl"
    handler = hilt_logging.HILTFileHandler(path, permissions="0640", evidence=True)

    def write(count):
        for number in range(count):
            text = "Grüße 😀 \u2028 /" * 9000 if number % 10 == 0 else f"number {number}"
            outcome = "failed" if number % 4 == 0 else "completed"
            event = events.completion(
                text, session_id="s", extensions={"outcome": outcome, "number": number}
            )
            handler.handle(hilt_logging.records.make(event, LOGGER))

    write.close = handler.close
    yield write
    assert handler.stats()["dropped"] == 0
    handler.close()


LOGGER = hilt_logging.config.event_logger("hilt.test.shippers")


def rotate(directory):
    conf = directory / "logrotate.conf"
    conf.write_text(configuration("logrotate", directory), encoding="utf-8")
    conf.chmod(0o644)
    state = str(directory / "logrotate.state")
    subprocess.run([program("logrotate"), "-f", "-s", state, str(conf)], check=True)


def source(directory):
    *rotated, live = sorted(
        (directory / "log").glob("hilt.jsonl*"), key=lambda p: p.suffix == ".jsonl"
    )
    return b"".join(path.read_bytes() for path in (*rotated, live))


def numbers_of(data):
    """The numbers of events; lines that a handler writes of itself have none."""
    extensions = [json.loads(line).get("extensions", {}) for line in data.splitlines()]
    return [each["number"] for each in extensions if "number" in each]


def test_logrotate(directory, write):
    """A rotation by logrotate loses no event, and the file that comes after has the same mode."""
    write(20)
    rotate(directory)
    time.sleep(0.2)
    write(20)

    files = sorted(path.name for path in (directory / "log").glob("hilt.jsonl*"))
    numbers = numbers_of(source(directory))
    modes = {path.stat().st_mode & 0o777 for path in (directory / "log").glob("hilt.jsonl*")}
    assert len(files) == 2
    assert re.fullmatch(r"hilt\.jsonl-\d{8}-\d+", files[1]) is not None
    assert numbers == [*range(20), *range(20)]
    assert modes == {0o640}


WRITER = textwrap.dedent(
    """
    import os, sys, time
    import hilt_logging
    from hilt_logging import events
    path, stop = sys.argv[1:]
    handler = hilt_logging.HILTFileHandler(path, permissions="0640", evidence=True)
    logger = hilt_logging.config.event_logger("hilt.test.shippers")
    number = 0
    while not os.path.exists(stop):
        event = events.completion("x" * 500, session_id="s", extensions={"number": number})
        handler.handle(hilt_logging.records.make(event, logger))
        number += 1
        time.sleep(0.001)
    handler.close()
    print(number)
    """
)


def test_logrotate_while_others_write(directory):
    """A process that writes while logrotate rotates loses nothing, and the log verifies."""
    program("logrotate")
    path, stop = directory / "log" / "hilt.jsonl", directory / "stop"
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(stop)], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    for _ in range(3):
        while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        rotate(directory)
        time.sleep(1.1)  # the names of rotated files have seconds
    stop.touch()
    written = int(writing.communicate(timeout=30)[0])

    names = sorted(each.name for each in (directory / "log").glob("hilt.jsonl*"))
    assert 4 == len(names)
    assert 2 == sum(name.endswith(".gz") for name in names)
    data = b"".join(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in [directory / "log" / name for name in (*names[1:], names[0])]
    )
    assert list(range(written)) == numbers_of(data)
    assert len(data.splitlines()) == verified(directory / "log")


@pytest.fixture
def rsyslog(directory):
    """A running rsyslog with the page's configuration; returns where all lines arrive."""
    conf = directory / "rsyslog.conf"
    conf.write_text(configuration("rsyslog", directory), encoding="utf-8")
    pid = str(directory / "rsyslog.pid")
    process = subprocess.Popen([program("rsyslogd"), "-n", "-f", str(conf), "-i", pid])
    yield directory / "central" / "all.jsonl"
    process.terminate()
    process.wait(timeout=30)


def arrived(directory, path):
    """Wait until as many bytes arrived as there are; return the lines."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (
        path.exists() and path.stat().st_size >= len(source(directory))
    ):
        time.sleep(0.05)
    return path.read_bytes().splitlines(keepends=True)


def test_rsyslog(directory, write, rsyslog):
    """rsyslog passes each line on, byte for byte, across a rotation; the chain holds in the copy."""
    write(50)
    arrived(directory, rsyslog)
    rotate(directory)
    time.sleep(0.2)
    write(50)

    write.close()
    lines = source(directory).splitlines(keepends=True)
    assert lines == arrived(directory, rsyslog)
    assert sorted(path.name for path in (directory / "central").iterdir()) == [
        "all.jsonl",
        "completion.jsonl",
        "index.tsv",
        "system.jsonl",
    ]
    assert len(lines) == verified(rsyslog) == verified(directory / "log")


@pytest.fixture
def small_disk(directory):
    """The directory of the log is a file system of half a mebibyte."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = directory / "log"
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=755", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("tmpfs can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_rsyslog_gets_each_line_once(directory, small_disk, rsyslog):
    """Own rotation, a rename by others and a full disk: rsyslog gets every line exactly once."""
    path, filler = small_disk / "hilt.jsonl", small_disk / "filler"
    handler = hilt_logging.HILTFileHandler(path, max_bytes=40_000, permissions="0640")
    written = []

    def write(count, pause=0.005):
        for number in range(count):
            event = events.completion(f"{number} " + "x" * (number * 997 % 2000), session_id="s")
            record = hilt_logging.records.make(event, LOGGER)
            before = handler.stats()["written"]
            handler.handle(record)
            if handler.stats()["written"] > before:
                written.append(record.hilt["event_id"])
            time.sleep(pause)

    write(60)
    path.rename(small_disk / "hilt.jsonl-1")
    write(60)
    filler.write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize))
    write(60)
    assert handler.stats()["dropped"] > 0
    filler.unlink()
    time.sleep(0.6)
    write(60)
    handler.close()

    arrived(directory, rsyslog)
    time.sleep(0.3)  # for lines that would come twice
    lines = arrived(directory, rsyslog)
    ids = [json.loads(line)["event_id"] for line in lines]
    assert sorted(source(directory).splitlines(keepends=True)) == sorted(lines)
    assert len(set(ids)) == len(ids)
    assert set(written) <= set(ids)
    assert len(list(small_disk.glob("hilt.jsonl.*"))) > 3


@pytest.fixture
def lnav(directory):
    """Asks lnav, with our format, for an answer in SQL; returns its rows."""
    path = program("lnav")
    env = {**os.environ, "HOME": str(directory), "TERM": "dumb"}
    env.pop("XDG_CONFIG_HOME", None)
    installed = subprocess.run(
        [path, "-i", str(FILES["lnav"])], env=env, check=True, capture_output=True
    )
    assert b"installed" in installed.stdout + installed.stderr

    def ask(query, *files):
        words = [path, "-n", "-c", f";{query}", "-c", ":write-csv-to -", *map(str, files)]
        done = subprocess.run(words, env=env, capture_output=True, encoding="utf-8", check=True)
        assert "" == done.stderr
        # what it prints of its own accord comes first
        return list(csv.reader(io.StringIO(done.stdout)))

    return ask


def test_lnav_levels(directory, write, lnav):
    """lnav accepts the format, and colours what failed."""
    write(20)
    shown = lnav(
        "select log_level, count(*) from hilt_log where action = 'completion' group by 1 order by 1",
        directory / "log" / "hilt.jsonl",
    )
    assert [["info", "15"], ["error", "5"]] == shown[-2:]


def test_lnav_fields(directory, lnav):
    """Its answers about our fields are those of the events: times, sessions, models, tokens, money."""
    path = directory / "log" / "lnav.jsonl"
    with hilt_logging.Session(path) as session:
        for number in range(30):
            session.append(
                events.completion(
                    f"Grüße {number}\nzweite Zeile",
                    session_id=f"conv-{number % 3}",
                    timestamp=f"2026-01-02T03:04:{number:02}.678901Z",
                    provenance={"provider": "openai", "model": f"m-{number % 2}"},
                    metrics={
                        "latency_ms": number * 10,
                        "cost_usd": 0.25,
                        "tokens": {"prompt": number, "completion": 2, "total": number + 2},
                    },
                    extensions={"user_id": "alice", "tool": {"name": "weather"}},
                )
            )
    rows = lnav(
        'select log_opid, "provenance/model", count(*), sum("metrics/tokens/total"), '
        'sum("metrics/cost_usd"), max("metrics/latency_ms"), min(log_time), '
        'max("extensions/user_id"), max("extensions/tool/name") '
        "from hilt_log group by 1, 2 order by 1, 2",
        path,
    )
    expected = []
    for conversation in range(3):
        for model in range(2):
            ours = [n for n in range(30) if (n % 3, n % 2) == (conversation, model)]
            figures = len(ours), sum(n + 2 for n in ours), 0.25 * len(ours), max(ours) * 10
            began = f"2026-01-02 03:04:{min(ours):02}.678"  # as lnav shows times
            words = [f"conv-{conversation}", f"m-{model}", *(f"{each:g}" for each in figures)]
            expected.append([*words, began, "alice", "weather"])
    assert expected == rows[-6:]
