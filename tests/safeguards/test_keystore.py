"""Keys of people: one for each, for all threads and processes, and gone for good once erased."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest

from hilt_logging.errors import ConfigurationError
from hilt_logging.safeguards import keystore
from hilt_logging.safeguards.keystore import KeyStoreError, SQLiteKeyStore, open_store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "keys.db"


@pytest.fixture
def store(path):
    made = open_store("key_store", path)
    yield made
    made.close()


@pytest.fixture
def elsewhere(path):
    """The store as another process has it."""
    made = SQLiteKeyStore(path)
    made.open()
    yield made
    made.close()


def _files(path):
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def _holds(path, *wanted):
    return [(name, each) for name, data in _files(path).items() for each in wanted if each in data]


def _locked(path):
    """A connection that keeps everybody else from writing."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_one_key_each(store):
    """A subject has one key, another one has another, and the ids tell nothing."""
    alice, bob = store.key_for("user:alice"), store.key_for("user:bob")

    assert alice == store.key_for("user:alice")
    assert 32 == len(alice.key)
    assert re.fullmatch("s-[a-z2-7]{26}", alice.id)
    assert alice.id != bob.id
    assert alice.key != bob.key
    assert [alice.key, bob.key, None] == [*map(store.key_of, (alice.id, bob.id, "s-x"))]


def test_kept(store, path):
    """Keys are there after the file was closed, and for whoever opens it next."""
    alice = store.key_for("user:alice")
    store.close()

    assert alice.key == store.key_of(alice.id)
    assert alice == store.key_for("user:alice")


def test_any_text(store):
    """A subject may be any text, also one that no file could hold."""
    texts = ["", "user:\0", "user:\ud800", "user:é", "user:e\u0301", "u" * 100_000]

    keys = {store.key_for(each).id for each in texts}

    assert len(texts) == len(keys)
    assert keys == {store.key_for(each).id for each in texts}


def test_private(store, path):
    """The file, its journal and a folder that was made are the owner's alone."""
    store.key_for("user:alice")

    assert {"keys.db": 0o600, "keys.db-journal": 0o600} == {
        each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()
    }
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_names_are_not_there(store, path):
    """Who has keys is not to be read in the file."""
    store.key_for("user:alice")

    assert [] == _holds(path, b"alice")


def test_same_store(store, path):
    """A path is opened once in a process, whatever it is called."""
    assert store is open_store("key_store", str(path))
    assert store is open_store("key_store", path.parent / ".." / "keys" / "keys.db")


def test_an_object(store):
    """What has the methods of a key store is one."""

    class Remote:
        key_for = key_of = was_erased = erase = lambda self, *args: None

    remote = Remote()

    assert remote is open_store("key_store", remote)


@pytest.mark.parametrize("given", [None, "", 7, "a\0b", "ext://my.store", "cfg://store", object()])
def test_no_store(given):
    """Anything else is an error that names the option."""
    with pytest.raises(ConfigurationError, match=r"Invalid key_store.*an object with key_for"):
        open_store("key_store", given)


def test_not_there(path):
    """A file that is not to be made has to be there."""
    with pytest.raises(ConfigurationError, match="No such file"):
        open_store("key_store", path, create=False)
    assert not path.parent.exists()


def test_a_folder(tmp_path):
    """A folder is no key store."""
    with pytest.raises(ConfigurationError, match=r"Is a directory|no regular file"):
        open_store("key_store", tmp_path)


def test_others_can_read(store, path):
    """A file that others can read is refused with the remedy, unless that is wanted."""
    store.close()
    path.chmod(0o640)

    with pytest.raises(ConfigurationError, match=f"chmod 600 {path}, or set shared_key_file"):
        open_store("key_store", path)
    assert store is open_store("key_store", path, shared=True)


@pytest.mark.parametrize("what", ["text", "sqlite", "later"])
def test_another_file(path, what):
    """A file of something else is refused, and stays as it is to the byte."""
    path.parent.mkdir()
    if what == "text":
        path.write_bytes(b"This is no key store, it is a letter. " * 50)
    else:
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE keys (id)")
        if what == "later":
            db.execute(f"PRAGMA application_id = {keystore._APPLICATION}")
            db.execute("PRAGMA user_version = 99")
        db.commit()
        db.close()
    path.chmod(0o600)
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match=r"no key store|not a database|later version"):
        open_store("key_store", path)

    assert before == path.read_bytes()


def test_empty_file(path):
    """A file that a crash left empty becomes a store."""
    path.parent.mkdir()
    path.touch(0o600)

    store = open_store("key_store", path)

    assert store.key_for("user:alice") == store.key_for("user:alice")


def test_no_secret_is_shown(store):
    """Neither a key nor a subject is in what is printed."""
    alice = store.key_for("user:alice")

    assert f"<SubjectKey {alice.id}>" == repr(alice)
    assert f"<SQLiteKeyStore {store.path}>" == repr(store)


def test_erased(store, path):
    """Neither the key nor whose it was is anywhere in the folder; id, time and person remain."""
    keys = {name: store.key_for(f"user:{name}") for name in ("alice", "bob", "carol")}
    mac = store._mac("user:bob")
    assert [("keys.db", mac), ("keys.db", keys["bob"].key)] <= _holds(path, mac, keys["bob"].key)

    done = store.erase("user:bob", by="dpo")

    assert [] == _holds(path, keys["bob"].key, mac, b"bob")
    assert (keys["bob"].id, "dpo") == (done.key_id, done.by)
    assert store.key_of(done.key_id) is None
    assert store.was_erased(done.key_id)
    assert keys["alice"] == store.key_for("user:alice")
    assert not store.was_erased(keys["alice"].id)


def test_nobody_to_erase(store):
    """Who has no key can't be erased, and this leaves no trace."""
    assert store.erase("user:alice") is None
    assert [] == store.untold()
    store.key_for("user:alice")
    assert store.erase("user:alice") is not None
    assert store.erase("user:alice") is None


def test_erase_key(store):
    """A key is destroyed by its id, too."""
    alice = store.key_for("user:alice")

    assert alice.id == store.erase_key(alice.id, by="dpo").key_id
    assert store.erase_key(alice.id) is None
    assert alice.id != store.key_for("user:alice").id


def test_back_again(store):
    """Who comes back after an erasure gets a new key, which can be erased as well."""
    first = store.key_for("user:alice")
    store.erase("user:alice")
    second = store.key_for("user:alice")

    assert (first.id, first.key) != (second.id, second.key)
    assert second.id == store.erase("user:alice").key_id
    assert store.was_erased(first.id)
    assert store.was_erased(second.id)


def test_untold(store):
    """Erasures wait, in their order, until somebody has put them on record."""
    done = []
    for name in ("alice", "bob"):
        store.key_for(name)
        done.append(store.erase(name, by=name[0]))
    assert done == store.untold()

    store.mark_told(done[0].key_id)

    assert done[1:] == store.untold()


def test_many(store, path, monkeypatch):
    """Also among thousands whose rows move about, nothing of those erased is left anywhere."""
    monkeypatch.setattr(keystore.os, "fsync", lambda fd: None)
    chance = random.Random(7)
    with store._held() as db:
        db.execute("PRAGMA synchronous = OFF")
    live, gone = {}, []
    for number in range(1500):
        name = f"user:{number}"
        live[name] = store.key_for(name).key
        if number % 15 == 14:
            who = chance.choice([*live])
            gone += [live.pop(who), store._mac(who)]
            store.erase(who)

    everything = b"".join(_files(path).values())
    assert [] == [each for each in gone if each in everything]
    assert all(each in everything for each in live.values())


def test_traces_are_found(store, path):
    """Where SQLite leaves traces in its file, it has to write the file anew."""
    for number in range(50):
        store.key_for(f"user:{number}")
    key, mac = store.key_for("user:7").key, store._mac("user:7")
    with store._held() as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("BEGIN")
        db.execute("DELETE FROM keys WHERE subject = ?", (mac,))
        db.execute("COMMIT")
    assert [] != _holds(path, key, mac)

    store._wipe((key, mac))

    assert [] == _holds(path, key, mac)


def test_interrupted(store, path, monkeypatch):
    """What a crash left in the journal is overwritten by whoever opens the store next."""
    alice = store.key_for("user:alice")
    monkeypatch.setattr(keystore, "_overwrite", lambda path: os._exit(9))
    pid = os.fork()
    if pid == 0:
        store.erase("user:alice")
        os._exit(1)
    assert 9 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    monkeypatch.undo()
    assert [("keys.db-journal", alice.key)] == _holds(path, alice.key)

    SQLiteKeyStore(path).open()

    assert [] == _holds(path, alice.key)
    assert store.was_erased(alice.id)
    assert [alice.id] == [each.key_id for each in store.untold()]


def test_large_journal(tmp_path):
    """A journal that has grown is emptied after it was overwritten, and others keep their length."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"k" * 9000)
    large.write_bytes(b"k" * 100_000)

    for each in (small, large, tmp_path / "missing"):
        keystore._overwrite(str(each))

    assert bytes(9000) == small.read_bytes()
    assert b"" == large.read_bytes()


@pytest.mark.parametrize("offset", [0, 1, keystore._CHUNK - 3, keystore._CHUNK, 2_500_000])
def test_occurs(tmp_path, offset):
    """Bytes are found wherever they stand in a file."""
    path = tmp_path / "file"
    path.write_bytes(bytes(offset) + b"secret")
    with open(path, "rb") as file:
        assert keystore._occurs(file.fileno(), b"secret")
        assert not keystore._occurs(file.fileno(), b"secres")


def test_erased_elsewhere(store, elsewhere):
    """A process whose cache is warm uses another key as soon as another process has erased."""
    alice, bob = store.key_for("user:alice"), store.key_for("user:bob")
    assert alice is store.key_for("user:alice")

    elsewhere.erase("user:alice")

    assert alice.id != store.key_for("user:alice").id
    assert bob == store.key_for("user:bob")


def test_cache_outlives_others(store, elsewhere):
    """That others got keys is no reason to forget one's own."""
    alice = store.key_for("user:alice")

    elsewhere.key_for("user:bob")

    assert alice is store.key_for("user:alice")


def test_cache_is_bounded(store, monkeypatch):
    """The keys of many people are not all kept in memory, and are right all the same."""
    monkeypatch.setattr(keystore, "_REMEMBERED", 3)
    first = [store.key_for(f"user:{number}") for number in range(10)]

    assert first == [store.key_for(f"user:{number}") for number in range(10)]
    keys = store._known.keys
    assert len(keys._recent) + len(keys._older) <= 6


def test_threads(store):
    """Threads that ask at once for the same new people get the same keys."""
    found = [[] for _ in range(8)]
    barrier = threading.Barrier(8)

    def ask(into):
        barrier.wait()
        into.extend(store.key_for(f"user:{number}").id for number in range(20))

    threads = [threading.Thread(target=ask, args=(into,)) for into in found]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert 20 == len(set(found[0]))
    assert all(each == found[0] for each in found)


PROCESS = """
import sys
from hilt_logging.safeguards.keystore import open_store
store = open_store("key_store", sys.argv[1])
for number in range(40):
    print(number, store.key_for(f"user:{number}").id, store.key_for("user:all").id)
"""


def test_four_processes(path):
    """Four processes that make the store together and ask for the same people agree."""
    running = [
        subprocess.Popen([sys.executable, "-c", PROCESS, path], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [each.communicate()[0] for each in running]

    assert [0] * 4 == [each.returncode for each in running]
    assert 40 == len(said[0].splitlines())
    assert [said[0]] * 4 == said


def test_forked(store, forked, path):
    """A child makes keys of its own connection, and both see what the other did."""
    alice = store.key_for("user:alice")

    def child():
        assert store._db is None
        assert alice == store.key_for("user:alice")
        store.erase("user:alice")
        os._exit(0 if store.key_for("user:bob") else 1)

    assert 0 == forked.run(child)
    assert store.was_erased(alice.id)
    assert store.key_of(store.key_for("user:bob").id)


def test_forked_amid(store, forked, monkeypatch):
    """A child of a process of which a thread is amid a transaction has a store that works."""
    monkeypatch.setattr(keystore, "_WAIT_S", 0.1)
    begun, over = threading.Event(), threading.Event()

    def hold():
        with store._transaction():
            begun.set()
            over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(30)
    try:
        assert 0 == forked.run(lambda: store.key_for("user:alice"))
    finally:
        over.set()
        thread.join()
    assert store.key_for("user:alice")


def test_locked_too_long(store, path, monkeypatch):
    """Who is kept out waits for a second, after that hardly, and is let in at once it is free."""
    monkeypatch.setattr(keystore, "_WAIT_S", 0.2)
    alice = store.key_for("user:alice")
    other = _locked(path)
    with pytest.raises(KeyStoreError, match="database is locked"):
        store.key_for("user:bob")
    assert store._shortly_until > 0
    assert alice is store.key_for("user:alice")  # nothing was changed so far

    other.execute("ROLLBACK")

    assert store.key_for("user:bob")
    other.close()


def test_held_by_a_thread(store, monkeypatch):
    """Nobody waits for another thread for ever."""
    monkeypatch.setattr(keystore, "_WAIT_S", 0.1)
    with store._lock, pytest.raises(KeyStoreError, match="in use by other threads"):
        store.key_for("user:alice")


def test_held_by_a_thread_for_long(store, monkeypatch):
    """After that, too, hardly anybody waits; who asks when it is free again gets a key."""
    monkeypatch.setattr(keystore, "_WAIT_S", 0.1)
    store.key_for("user:alice")
    with store._lock:
        waits = []
        monkeypatch.setattr(
            store, "_lock", _Noting(store._lock, lambda timeout: waits.append(timeout))
        )
        for _ in range(3):
            with pytest.raises(KeyStoreError, match="in use by other threads"):
                store.key_for("user:bob")
    assert [0.1, keystore._SHORT_WAIT_S, keystore._SHORT_WAIT_S] == waits
    assert store.key_for("user:bob")


class _Noting:
    """A lock that tells how long one waits for it."""

    def __init__(self, lock, note):
        self._lock, self._note = lock, note

    def acquire(self, timeout):
        self._note(timeout)
        return self._lock.acquire(timeout=timeout)

    def release(self):
        self._lock.release()


def test_opened_amid(store, path):
    """A second handler of the same store takes no lock away from a transaction of the first."""
    with store._transaction("IMMEDIATE"):
        with pytest.raises(ConfigurationError, match="in use by what was interrupted"):
            open_store("key_store", path)
        assert (
            "locked\n"
            == subprocess.run(
                [sys.executable, "-c", LOCKED, path], capture_output=True, text=True, check=False
            ).stdout
        )


LOCKED = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError:
    print("locked")
"""


def test_signal_handler(store):
    """A handler that interrupts a transaction is told so at once, and the transaction goes on."""
    told = []

    def handle(number, frame):
        with pytest.raises(KeyStoreError, match="what was interrupted"):
            store.key_for("user:bob")
        told.append(number)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with store._transaction("IMMEDIATE"):
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert [signal.SIGUSR1] == told
    assert store.key_for("user:bob")


def test_full_disk(store):
    """A key that could not be kept is not given; when there is room, one is."""
    store.key_for("user:alice")
    with store._held() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(KeyStoreError, match="full"):
        for number in range(1000):
            store.key_for(f"user:{number}")
            last = number
    with pytest.raises(KeyStoreError, match="full"):
        store.key_for(f"user:{last + 1}")

    with store._held() as db:
        db.execute("PRAGMA max_page_count = 100000")

    again = store.key_for(f"user:{last + 1}")
    assert again.key == store.key_of(again.id)


def test_gone(store, path):
    """A store that was taken away gives no keys, and is not made anew behind one's back."""
    store.key_for("user:alice")
    path.unlink()
    store._look_at = float("-inf")  # a tenth of a second later

    with pytest.raises(KeyStoreError, match="No such file"):
        store.key_for("user:alice")
    assert not path.exists()


def test_pipe_in_its_place(store, path):
    """What is no file any more is not waited for."""
    store.key_for("user:alice")
    path.unlink()
    os.mkfifo(path)
    store._look_at = float("-inf")
    told = []

    def ask():
        with pytest.raises(KeyStoreError, match="no regular file"):
            store.key_for("user:alice")
        told.append(True)

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(2)
    waits = asking.is_alive()
    os.close(os.open(path, os.O_RDWR))  # lets go of who waits
    asking.join()

    assert (False, [True]) == (waits, told)


def test_put_back(store, path, tmp_path):
    """A copy that takes the place of the store is read, not what is remembered of the old one."""
    alice = store.key_for("user:alice")
    store.close()
    (tmp_path / "copy").write_bytes(path.read_bytes())
    bob = store.key_for("user:bob")
    os.replace(tmp_path / "copy", path)
    path.chmod(0o600)
    store._look_at = float("-inf")

    assert alice == store.key_for("user:alice")
    assert bob.id != store.key_for("user:bob").id


def test_all_descriptors_closed(store, path, tmp_path):
    """Who closes all descriptors, as a daemon does, has a store, and no other file is written to."""
    store.key_for("user:alice")
    mine = [
        int(each)
        for each in os.listdir("/proc/self/fd")
        if os.path.realpath(f"/proc/self/fd/{each}").startswith(str(path))
    ]
    for each in mine:
        os.close(each)
    others = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(8)]

    assert store.key_for("user:bob")
    assert store.key_for("user:alice")

    assert [b""] * 8 == [(tmp_path / f"{number}").read_bytes() for number in range(8)]
    for each in others:
        os.close(each)


def test_wal(store, path):
    """A file that somebody switched to another journal is switched back: it would keep keys."""
    alice = store.key_for("user:alice")
    store.close()
    other = sqlite3.connect(path)
    assert ("wal",) == other.execute("PRAGMA journal_mode = WAL").fetchone()
    other.execute("SELECT * FROM keys").fetchall()
    with pytest.raises(KeyStoreError, match=r"WAL|locked"):
        store.key_for("user:bob")
    other.close()

    assert alice == store.key_for("user:alice")
    store.erase("user:alice")

    assert [] == _holds(path, alice.key)
    assert {"keys.db", "keys.db-journal"} == set(_files(path))


def test_wal_amid(store, path):
    """Also one that is open here while it is switched is noticed."""
    alice = store.key_for("user:alice")
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("DELETE FROM keys")
    other.commit()

    with pytest.raises(KeyStoreError, match="another journal"):
        store.key_for("user:alice")
    other.close()

    assert alice != store.key_for("user:alice")
    assert b"\1\1" == path.read_bytes()[18:20]


KILLED = """
import os, sys
from hilt_logging.safeguards.keystore import open_store
store = open_store("key_store", sys.argv[1])
sys.stdout.write("ready\\n"); sys.stdout.flush()
number = 0
while True:
    number += 1
    key = store.key_for(f"user:{number}")
    os.write(1, f"{number} {key.id}\\n".encode())
    if number % 3 == 0:
        store.erase(f"user:{number - 1}")
"""


def test_killed(path):
    """A key that was given is there after its process was killed at any moment."""
    for round in range(5):
        running = subprocess.Popen(
            [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
        )
        running.stdout.readline()
        seen = [running.stdout.readline() for _ in range(10 + 7 * round)]
        running.kill()
        seen += running.stdout.readlines()
        running.stdout.close()
        running.wait()
        store = open_store("key_store", path)
        for line in seen:
            number, key_id = line.split()
            assert store.was_erased(key_id) or (
                store.key_for(f"user:{number}").id == key_id and store.key_of(key_id)
            )
        store.close()


GARBAGE = """
import gc, random, sys
from hilt_logging.safeguards.keystore import SQLiteKeyStore

class Holder:
    pass

def some_collections():
    for _ in range(random.randrange(4)):
        gc.collect(random.randrange(3))

def garbage():
    store = SQLiteKeyStore(sys.argv[1])
    store.open()
    first, second = Holder(), Holder()
    first.other, first.store = first, store
    del store
    second.store, first.other = first.store, second
    some_collections()
    first.store.key_for("user:alice")
    if random.random() < 0.5:
        first.store.close()
        first.store.key_for("user:alice")
    second.other = first
    some_collections()

random.seed(1)
for _ in range(60):
    garbage()
    gc.collect()
left_open = SQLiteKeyStore(sys.argv[1])
left_open.key_for("user:alice")
"""


def test_left_to_the_collector(path):
    """A store that nobody closes is closed before it is gone, in whatever order the collector goes."""
    command = [sys.executable, "-W", "error", "-c", GARBAGE, path]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
