"""`hilt-log erase`."""

from __future__ import annotations

import json

import pytest

from hilt_logging.safeguards.keystore import open_store


@pytest.fixture
def store(tmp_path):
    """The file of the keys."""
    return tmp_path / "keys.db"


@pytest.fixture
def log(written, store):
    """A log of two events of alice and one of bob, each under a key of its own."""
    options = {"erasable_by": "user_id", "key_store": str(store)}
    written("hers", "hers, too", **options)
    return written("his", user="bob", **options)


def notice(path):
    """What the last line of a log says."""
    return json.loads(path.read_bytes().splitlines()[-1])["extensions"]["notice"]


def test_key(hilt_log, log, store):
    """The key is destroyed, its events are counted, and it is on record without the name."""
    done = hilt_log(
        "erase", "--subject", "alice", "--key-store", store, "--log", log, "--by", "dpo"
    )
    told = notice(log)
    assert (0, "") == (done.code, done.err)
    assert ("erased", "dpo", 2) == (told["kind"], told["by"], told["events"])
    assert told["key_id"] in done.out
    assert "2 events in 1 file" in done.out
    assert "alice" not in done.out + log.read_text()
    assert open_store("key_store", str(store)).was_erased(told["key_id"])
    assert 1 == hilt_log("decrypt", log, "--key-store", store, "--json").out.count('"his"')


def test_json(hilt_log, log, store):
    """The report is JSON."""
    done = hilt_log("erase", "--subject", "alice", "--key-store", store, log, "--json")
    assert (0, "") == (done.code, done.err)
    assert (2, [str(log)], None) == tuple(done.json[each] for each in ("events", "files", "log"))
    assert done.json["by"]


def test_nobody(hilt_log, log, store):
    """A subject without a key, e.g. a name with a slip, is an error; nothing is written."""
    before = log.read_bytes()
    done = hilt_log("erase", "--subject", "alicia", "--key-store", store, "--log", log)
    assert (1, "", before) == (done.code, done.out, log.read_bytes())
    assert "There is no key of this subject" in done.err


def test_key_by_its_id(hilt_log, log, store):
    """A key is erased by the id that stands in the events, too."""
    key_id = json.loads(log.read_text().splitlines()[0])["privacy"]["key_id"]
    words = ("--subject", key_id, "--subject-kind", "key", "--key-store", store, log, "--json")
    done = hilt_log("erase", *words)
    assert (key_id, 2) == (done.json["key_id"], done.json["events"])


def test_subject_from_standard_input(hilt_log, log, store):
    """With -, the name is read from standard input, where no list of processes shows it."""
    words = ("erase", "--subject", "-", "--key-store", store, log, "--json")
    assert 2 == hilt_log(*words, input="alice\n").json["events"]


def test_file_that_cannot_be_read(hilt_log, log, store, tmp_path):
    """Where a path is not there, nothing is erased: the exit code is 3."""
    done = hilt_log("erase", "--subject", "alice", "--key-store", store, tmp_path / "gone.jsonl")
    assert (3, "") == (done.code, done.out)
    assert 0 == hilt_log("erase", "--subject", "alice", "--key-store", store).code


def test_empty_file(hilt_log, log, store, tmp_path):
    """In an empty log, no events are counted."""
    (tmp_path / "empty.jsonl").touch()
    words = ("erase", "--subject", "alice", "--key-store", store, tmp_path / "empty.jsonl")
    assert 0 == hilt_log(*words, "--json").json["events"]


def test_store_that_is_not_there(hilt_log, log, tmp_path):
    """A key store that is not there is named, and not made."""
    done = hilt_log("erase", "--subject", "alice", "--key-store", tmp_path / "no.db")
    assert (2, "") == (done.code, done.out)
    assert f"--key-store: '{tmp_path / 'no.db'}'" in done.err
    assert not (tmp_path / "no.db").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--key-store", "keys.db", "--keep-old"],
        ["--key-store", "keys.db", "--dry-run"],
        ["--rewrite"],
        ["--rewrite", "a.jsonl", "b.jsonl"],
        ["--rewrite", "a.jsonl", "--key-store", "keys.db"],
        ["--rewrite", "a.jsonl", "--log", "b.jsonl"],
    ],
)
def test_options_that_do_not_go_together(hilt_log, words):
    """What does not go together is wrong usage."""
    done = hilt_log("erase", "--subject", "alice", *words)
    assert (2, "") == (done.code, done.out)
    assert "--rewrite" in done.err


@pytest.fixture
def plain(written):
    """A log of two events of alice and one of bob, as they are."""
    written("her words", "her words, too")
    return written("his words", user="bob")


def all_of(path):
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.stem}*")))


def test_rewrite(hilt_log, plain):
    """What the person said is gone from the files, what others said stays, and it is told which."""
    done = hilt_log("erase", "--rewrite", "--subject", "alice", plain)
    left = all_of(plain)
    assert (0, "") == (done.code, done.err)
    assert "2 events in 1 file became empty" in done.out
    assert (False, False, True) == tuple(
        each in left for each in (b"her words", b"alice", b"his words")
    )


def test_rewrite_without_doing_it(hilt_log, plain):
    """With --dry-run it is only told what would be done."""
    before = all_of(plain)
    done = hilt_log("erase", "--rewrite", "--subject", "alice", plain, "--dry-run")
    assert (0, "", before) == (done.code, done.err, all_of(plain))
    assert "2 events in 1 file would become empty" in done.out


def test_rewrite_json(hilt_log, plain):
    """The report is JSON; with --keep-old the old file is beside the log, in a folder of its own."""
    done = hilt_log("erase", "--rewrite", "--subject", "alice", plain, "--keep-old", "--json")
    assert (0, 2) == (done.code, done.json["events"])
    (kept,) = (plain.parent / f"{plain.name}.erased").iterdir()
    assert b"her words" in kept.read_bytes()


def test_rewrite_of_nobody(hilt_log, plain):
    """Where there is nothing of the subject, the exit code says so."""
    done = hilt_log("erase", "--rewrite", "--subject", "alicia", plain)
    assert 1 == done.code
    assert "No events of this subject" in done.out


def test_rewrite_of_torn_lines(hilt_log, plain):
    """Lines that are no events may hold anything: the rest is done, and the exit code is 3."""
    with open(plain, "ab") as file:
        file.write(b"torn\n")
    done = hilt_log("erase", "--rewrite", "--subject", "alice", plain)
    assert 3 == done.code
    assert "1 line is no event, and" in done.err
    assert b"her words" not in all_of(plain)


def test_rewrite_of_an_empty_log(hilt_log, tmp_path):
    """In an empty log there is nothing to erase."""
    (tmp_path / "app.jsonl").touch()
    assert 1 == hilt_log("erase", "--rewrite", "--subject", "alice", tmp_path / "app.jsonl").code


def test_rewrite_of_no_log(hilt_log, tmp_path):
    """A log that is not there is named, and not made."""
    done = hilt_log("erase", "--rewrite", "--subject", "alice", tmp_path / "gone.jsonl")
    assert (3, "") == (done.code, done.out)
    assert "gone.jsonl" in done.err
    assert not (tmp_path / "gone.jsonl").exists()
