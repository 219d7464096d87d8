"""The configurations of docs/shippers.md, with the real tools where they are installed."""

import json
import os
import re
import shutil
import subprocess
import time

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import events


PAGE = Path(__file__).parent.parent.parent / "docs" / "shippers.md"


def configuration(tool, directory):
    """The first block of a section, with the page's directories replaced by ones here."""
    text = PAGE.read_text(encoding="utf-8")
    body = re.search(rf"^## {tool}\n.*?^```\w*\n(.*?)^```", text, re.S | re.M)[1]
    for theirs, here in (
        ("/var/log/hilt-central", "central"),
        ("/var/log/hilt/", "log/"),
        ("/var/spool/rsyslog", "spool"),
    ):
        body = body.replace(theirs, f"{directory}/{here}")
    return body


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
    handler = hilt_logging.HILTFileHandler(directory / "log" / "hilt.jsonl", permissions="0640")

    def write(count):
        for number in range(count):
            text = "Grüße 😀 \u2028 /" * 9000 if number % 10 == 0 else f"number {number}"
            outcome = "failed" if number % 4 == 0 else "completed"
            event = events.completion(
                text, session_id="s", extensions={"outcome": outcome, "number": number}
            )
            handler.handle(hilt_logging.records.make(event, LOGGER))

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


def test_logrotate(directory, write):
    """A rotation by logrotate loses no event, and the file that comes after has the same mode."""
    write(20)
    rotate(directory)
    time.sleep(0.2)
    write(20)

    files = sorted(path.name for path in (directory / "log").glob("hilt.jsonl*"))
    numbers = [json.loads(line)["extensions"]["number"] for line in source(directory).splitlines()]
    modes = {path.stat().st_mode & 0o777 for path in (directory / "log").glob("hilt.jsonl*")}
    assert len(files) == 2
    assert re.fullmatch(r"hilt\.jsonl-\d{8}-\d+", files[1]) is not None
    assert numbers == [*range(20), *range(20)]
    assert modes == {0o640}


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
    """rsyslog passes every event on, byte for byte, across a rotation, and routes by action."""
    write(50)
    arrived(directory, rsyslog)
    rotate(directory)
    time.sleep(0.2)
    write(50)

    assert source(directory).splitlines(keepends=True) == arrived(directory, rsyslog)
    assert sorted(path.name for path in (directory / "central").iterdir()) == [
        "all.jsonl",
        "completion.jsonl",
        "index.tsv",
    ]


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


def test_lnav(directory, write):
    """lnav accepts the format, and answers SQL about a file of ours."""
    lnav = program("lnav")
    env = {**os.environ, "HOME": str(directory), "TERM": "dumb"}
    env.pop("XDG_CONFIG_HOME", None)
    format_file = directory / "hilt.json"
    format_file.write_text(configuration("lnav", directory), encoding="utf-8")
    subprocess.run([lnav, "-i", str(format_file)], env=env, check=True, capture_output=True)
    write(20)

    query = ";select log_level, count(*) from hilt_log group by 1 order by 1"
    shown = subprocess.run(
        [lnav, "-n", "-c", query, str(directory / "log" / "hilt.jsonl")],
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout

    assert [line.split() for line in shown.splitlines()[1:]] == [["info", "15"], ["error", "5"]]
