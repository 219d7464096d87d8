"""
Keys of people: one for each, so that what was written under it can be made unreadable for good.

A key store is a SQLite file that processes share. Whoever was erased leaves a random id in it and
nothing else: neither the key nor what would tell who it was.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import hmac
import os
import sqlite3
import stat
import threading
import time

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, cast
from weakref import WeakSet, WeakValueDictionary

import msgspec

from .._ids import timestamp
from ..errors import ConfigurationError, HILTError
from ..storage.descriptors import above_stdio, inode_of, sync_folder


__all__ = ["Erasure", "KeyStore", "KeyStoreError", "SQLiteKeyStore", "SubjectKey", "open_store"]

_WAIT_S = 1.0
_SHORT_WAIT_S = 0.01
_SHORTLY_FOR_S = 5.0
_FOLLOW_EVERY_S = 0.1
_REMEMBERED = 5000
_KEY_BYTES = 32
_CHUNK = 1024 * 1024
_LARGE_JOURNAL = 64 * 1024
_ROLLBACK_JOURNAL = b"\1\1"
_APPLICATION = 0x48494C54  # "HILT", in the header of the file
_VERSION = 1
_METHODS = ("key_for", "key_of", "was_erased", "erase")
_TABLES = """
CREATE TABLE store (secret BLOB NOT NULL, erasures INTEGER NOT NULL, wiped INTEGER NOT NULL);
CREATE TABLE keys (id TEXT PRIMARY KEY, subject BLOB NOT NULL UNIQUE, key BLOB NOT NULL);
CREATE TABLE erased (id TEXT PRIMARY KEY, at TEXT NOT NULL, by TEXT NOT NULL, told INTEGER NOT NULL);
"""


class KeyStoreError(HILTError):
    """
    A key store that can't be read or written now.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"Key store {path}: {reason}")
        self.reason = reason


class SubjectKey(msgspec.Struct, frozen=True):
    """
    The key of a subject.

    Attributes:
        id: Its id, which is random and stands in the events.
        key: 32 bytes.
    """

    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"<SubjectKey {self.id}>"


class Erasure(msgspec.Struct, frozen=True):
    """
    That a key was destroyed.

    Attributes:
        key_id: Its id.
        at: When, as in events.
        by: Who did it, as they call themselves.
    """

    key_id: str
    at: str
    by: str = ""


class KeyStore(Protocol):
    """
    What gives keys and destroys them; any number of threads may ask at the same time.

    Subjects are texts like `user:alice` and `session:conv-42`. What can't be answered is raised, as
    an error of any kind, within a second or so.
    """

    def key_for(self, subject: str) -> SubjectKey:
        """Return the key of a subject, a new one where there is none; also after an erasure."""

    def key_of(self, key_id: str) -> bytes | None:
        """Return a key by its id; None if it was erased or is not known."""

    def was_erased(self, key_id: str) -> bool:
        """Return whether there was a key of this id."""

    def erase(self, subject: str, *, by: str = "") -> Erasure | None:
        """Destroy the key of a subject; return None where there is none."""


def open_store(
    option: str, given: object, *, create: bool = True, shared: bool = False
) -> KeyStore:
    """
    Return a key store: of a path the one of this process, anything else that is one as it is.

    Args:
        option: The name of the option, for errors.
        given: The path of a SQLite file, or an object with the methods of `KeyStore`.
        create: Make a file that is not there.
        shared: Take a file that others than its owner can read, too.

    Raises:
        ConfigurationError: for what is no key store, is not there, or can be read by others.
    """
    if isinstance(given, str | os.PathLike) and not str(given).startswith(("ext://", "cfg://")):
        path = os.fsdecode(given)
        if path and "\0" not in path:
            return _open_path(option, os.path.realpath(os.path.expanduser(path)), create, shared)
    elif all(callable(getattr(given, name, None)) for name in _METHODS):
        return cast(KeyStore, given)
    raise ConfigurationError(
        option, given, f"Must be the path of a file, or an object with {', '.join(_METHODS)}"
    )


def _open_path(option: str, path: str, create: bool, shared: bool) -> SQLiteKeyStore:
    try:
        with _opening:
            store = _stores.get(path) or SQLiteKeyStore(path)
            store.open(create=create, shared=shared)
            _stores[path] = store
        return store
    except KeyStoreError as error:
        raise ConfigurationError(
            option, path, f"{error.reason[:1].upper()}{error.reason[1:]}"
        ) from None


class _Known(NamedTuple):
    """Keys of a store, good for as long as its file says what it said."""

    head: bytes
    erasures: int
    keys: _Recent


class _Recent:
    """The keys that were asked for last; safe for threads, as a lost one is only asked for again."""

    def __init__(self) -> None:
        self._recent: dict[str, SubjectKey] = {}
        self._older: dict[str, SubjectKey] = {}

    def get(self, subject: str) -> SubjectKey | None:
        found = self._recent.get(subject)
        if found is None:
            found = self._older.get(subject)
            if found is not None:
                self.put(subject, found)
        return found

    def put(self, subject: str, key: SubjectKey) -> None:
        if len(self._recent) >= _REMEMBERED:
            self._older, self._recent = self._recent, {}
        self._recent[subject] = key


_NOTHING = _Known(b"", -1, _Recent())


class SQLiteKeyStore:
    """
    Keys in a SQLite file; any number of threads and processes may use it, before and after a fork.

    A key that was asked for lately is kept in memory and given for as long as no process changed
    the file, which is looked at each time: an erasure counts from the next event on. What waits for
    others, waits for a second, and after that for five seconds not at all.

    SQLite overwrites what is deleted in its file (`secure_delete`). Its journal, which has pages as
    they were before, is one file that is used again and again; an erasure overwrites it, too, and
    then looks whether the key or its owner stand anywhere in the file.

    Args:
        path: The file. `open` makes it, or says what is wrong with it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(os.path.expanduser(os.fspath(path)))
        self._uri = (
            f"{Path(self.path).as_uri()}?mode=rw"  # made early: at the end nothing is imported
        )
        self._fd = -1
        self._inode = (-1, -1)
        self._secret = b""
        self._db: sqlite3.Connection | None = None
        self._known = _NOTHING
        self._look_at = float("-inf")
        self._begin_anew()
        _all.add(self)

    def _begin_anew(self) -> None:
        """Forget what threads do, as a forked child must."""
        self._lock = threading.Lock()
        self._owner = 0
        self._until = self._shortly_until = float("-inf")

    def open(self, *, create: bool = True, shared: bool = False) -> None:
        """
        Look whether the file can be used, and make it if it is not there.

        Args:
            create: Whether to make it.
            shared: Take a file that others than its owner can read, too.

        Raises:
            KeyStoreError: if it can't be used.
        """
        try:
            found = self._made_file() if create else os.stat(self.path)
        except OSError as error:
            raise self._error(error) from error
        if not stat.S_ISREG(found.st_mode):
            raise KeyStoreError(self.path, "it is no regular file")
        if os.name == "posix" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not shared:
            raise KeyStoreError(
                self.path,
                f"others can read it: run chmod 600 {self.path}, or set shared_key_file",
            )
        with self._alone():
            self._forget()
            self._connect(create)
        with contextlib.suppress(KeyStoreError):  # whoever erases next will do it
            self._finish()

    def _made_file(self) -> os.stat_result:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        flags = os.O_RDONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        # one that is there is not opened: to close it would end all locks of this process on it
        if not os.path.exists(self.path):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, flags, 0o600))
        return os.stat(self.path)

    def key_for(self, subject: str) -> SubjectKey:
        """
        Return the key of a subject, a new one where there is none.

        Raises:
            KeyStoreError: if it can't be told.
        """
        known = self._known
        found = known.keys.get(subject)
        if found is not None and self._head() == known.head:
            return found
        return self._key_in_file(subject)

    def _key_in_file(self, subject: str) -> SubjectKey:
        with self._transaction() as db:
            keys = self._current(db).keys
            found = keys.get(subject) or self._select(db, subject)
        if found is None:
            with self._transaction("IMMEDIATE") as db:
                known = self._current(db)
                found = self._select(db, subject) or self._insert(db, subject)
            keys, head = known.keys, self._head()
            if head == _next(known.head):  # the one change was ours
                self._known = known._replace(head=head)
        keys.put(subject, found)
        return found

    def _current(self, db: sqlite3.Connection) -> _Known:
        """What is known and still holds; asked within a transaction, in which nobody writes."""
        (erasures,) = db.execute("SELECT erasures FROM store").fetchone()
        head = self._head()
        if not head.startswith(_ROLLBACK_JOURNAL):  # its header would not change any more
            self._forget()
            raise sqlite3.OperationalError("somebody switched it to another journal")
        keys = self._known.keys if self._known.erasures == erasures else _Recent()
        self._known = _Known(head, erasures, keys)
        return self._known

    def _select(self, db: sqlite3.Connection, subject: str) -> SubjectKey | None:
        row = db.execute(
            "SELECT id, key FROM keys WHERE subject = ?", (self._mac(subject),)
        ).fetchone()
        return None if row is None else SubjectKey(*row)

    def _insert(self, db: sqlite3.Connection, subject: str) -> SubjectKey:
        letters = base64.b32encode(os.urandom(16)).decode().rstrip("=").lower()
        made = SubjectKey(f"s-{letters}", os.urandom(_KEY_BYTES))
        db.execute("INSERT INTO keys VALUES (?, ?, ?)", (made.id, self._mac(subject), made.key))
        return made

    def _mac(self, subject: str) -> bytes:
        return hmac.digest(self._secret, subject.encode(errors="surrogatepass"), "sha256")

    def key_of(self, key_id: str) -> bytes | None:
        """
        Return a key by its id; None if it was erased or is not known.

        Raises:
            KeyStoreError: if it can't be told.
        """
        with self._transaction() as db:
            row = db.execute("SELECT key FROM keys WHERE id = ?", (key_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def was_erased(self, key_id: str) -> bool:
        """
        Return whether a key was erased.

        Raises:
            KeyStoreError: if it can't be told.
        """
        with self._transaction() as db:
            return db.execute("SELECT 1 FROM erased WHERE id = ?", (key_id,)).fetchone() is not None

    def erase(self, subject: str, *, by: str = "") -> Erasure | None:
        """
        Destroy the key of a subject; return None where there is none.

        Args:
            subject: As in `key_for`. Who comes back later gets another key.
            by: Who does it; this is kept, so it must not tell whose key it was.

        Raises:
            KeyStoreError: if it can't be done.
        """
        with self._transaction():
            mac = self._mac(subject)
        return self._erase("subject", mac, by)

    def erase_key(self, key_id: str, *, by: str = "") -> Erasure | None:
        """
        Destroy a key by its id; return None where there is none.

        Raises:
            KeyStoreError: if it can't be done.
        """
        return self._erase("id", key_id, by)

    def _erase(self, column: str, value: bytes | str, by: str) -> Erasure | None:
        self._finish()
        with self._transaction("IMMEDIATE") as db:
            row = db.execute(
                f"SELECT id, subject, key FROM keys WHERE {column} = ?",  # noqa: S608
                (value,),
            ).fetchone()
            if row is None:
                return None
            done = Erasure(row[0], timestamp(), by)
            db.execute("DELETE FROM keys WHERE id = ?", (done.key_id,))
            db.execute("INSERT INTO erased VALUES (?, ?, ?, 0)", (done.key_id, done.at, by))
            db.execute("UPDATE store SET erasures = erasures + 1, wiped = 0")
        self._known = _NOTHING
        self._wipe(row[1:])
        return done

    def untold(self) -> list[Erasure]:
        """
        Return the erasures that are on no record outside of the store, oldest first.

        Raises:
            KeyStoreError: if it can't be told.
        """
        with self._transaction() as db:
            rows = db.execute("SELECT id, at, by FROM erased WHERE NOT told ORDER BY rowid")
            return [Erasure(*row) for row in rows]

    def mark_told(self, key_id: str) -> None:
        """
        Keep in mind that an erasure is on record.

        Raises:
            KeyStoreError: if it can't be written.
        """
        with self._transaction("IMMEDIATE") as db:
            db.execute("UPDATE erased SET told = 1 WHERE id = ?", (key_id,))

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with contextlib.suppress(KeyStoreError), self._alone():
            self._forget()

    def __del__(self) -> None:
        try:
            self._forget()
        except Exception:  # at the end of the interpreter nothing may be there any more
            return

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def _finish(self) -> None:
        """Do what an erasure that was interrupted left undone."""
        with self._transaction() as db:
            (wiped,) = db.execute("SELECT wiped FROM store").fetchone()
        if not wiped:
            with self._held() as db:
                db.execute("VACUUM")
            self._is_wiped(())

    def _wipe(self, traces: tuple[bytes, ...]) -> None:
        """Overwrite what the journal kept; where SQLite left traces, have it write the file anew."""
        if self._is_wiped(traces):
            return
        with self._held() as db:
            db.execute("VACUUM")
        if not self._is_wiped(traces):
            raise KeyStoreError(self.path, "it still holds the key that was erased")

    def _is_wiped(self, traces: tuple[bytes, ...]) -> bool:
        with self._transaction("IMMEDIATE") as db:
            _overwrite(f"{self.path}-journal")
            found = any(_occurs(self._fd, each) for each in traces)
            if not found:
                db.execute("UPDATE store SET wiped = 1")
        return not found

    @contextlib.contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[sqlite3.Connection]:
        with self._held() as db:
            db.execute(f"PRAGMA busy_timeout = {self._left_ms()}")
            db.execute(f"BEGIN {kind}")
            try:
                yield db
                db.execute(f"PRAGMA busy_timeout = {self._left_ms()}")
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread."""
        with self._alone():
            yield self._connected()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread at a time; what fails is a KeyStoreError."""
        now, me = time.monotonic(), threading.get_ident()
        wait = _WAIT_S if now >= self._shortly_until else _SHORT_WAIT_S
        if self._owner == me:  # a signal handler, amid a transaction
            raise KeyStoreError(self.path, "it is in use by what was interrupted")
        if not self._lock.acquire(timeout=wait):
            self._shortly_until = time.monotonic() + _SHORTLY_FOR_S
            raise KeyStoreError(self.path, "it is in use by other threads")
        try:
            self._owner, self._until = me, now + wait
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                self._shortly_until = time.monotonic() + _SHORTLY_FOR_S
            raise self._error(error) from error
        finally:
            self._owner = 0
            self._lock.release()

    def _error(self, error: sqlite3.Error | OSError) -> KeyStoreError:
        told = error.strerror if isinstance(error, OSError) else str(error)
        return KeyStoreError(self.path, f"it can't be used: {told or type(error).__name__}")

    def _left_ms(self) -> int:
        return max(0, int((self._until - time.monotonic()) * 1000))

    def _connected(self) -> sqlite3.Connection:
        if self._db is None or not self._is_current():
            self._forget()
            self._connect(create=False)
        assert self._db is not None
        return self._db

    def _connect(self, create: bool) -> None:
        try:
            flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
            self._fd = above_stdio(os.open(self.path, flags))  # a pipe would wait for a writer
            found = os.fstat(self._fd)
            self._inode = inode_of(found)
            if not stat.S_ISREG(found.st_mode):
                raise KeyStoreError(self.path, "it is no regular file")
            self._db = sqlite3.connect(
                self._uri,
                uri=True,
                timeout=self._left_ms() / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            _connections[id(self)] = self._db
            self._check(self._db, create)
            for pragma in ("secure_delete = ON", "temp_store = MEMORY", "synchronous = FULL"):
                self._db.execute(f"PRAGMA {pragma}")
            if self._db.execute("PRAGMA journal_mode = PERSIST").fetchone() != ("persist",):
                raise sqlite3.OperationalError("others have it open in WAL mode")
            (self._secret,) = self._db.execute("SELECT secret FROM store").fetchone()
        except BaseException:
            self._forget()
            raise

    def _check(self, db: sqlite3.Connection, create: bool) -> None:
        (kind,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if kind == _APPLICATION and version == _VERSION:
            return
        if kind == _APPLICATION and version:
            raise sqlite3.DatabaseError("a later version of hilt_logging made it")
        if tables or kind or not create:
            raise sqlite3.DatabaseError("it is no key store")
        self._make(db)

    def _make(self, db: sqlite3.Connection) -> None:
        """Make the tables, unless another process was first."""
        db.execute("PRAGMA secure_delete = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                for table in _TABLES.strip().splitlines():
                    db.execute(table)
                db.execute("INSERT INTO store VALUES (?, 0, 1)", (os.urandom(_KEY_BYTES),))
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
                db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        if os.name == "posix":
            sync_folder(os.path.dirname(self.path))

    def _head(self) -> bytes:
        """Part of the file's header, which each change of the file changes; another if in doubt."""
        now = time.monotonic()
        if now >= self._look_at:
            if not self._is_current():
                return b"gone"
            self._look_at = now + _FOLLOW_EVERY_S
        try:
            return _read(self._fd, 10, 18)
        except OSError:
            return b"gone"

    def _is_current(self) -> bool:
        """Whether the path and our descriptor are still the file that was opened."""
        try:
            there, ours = os.stat(self.path), os.fstat(self._fd)
        except OSError:
            return False
        return inode_of(there) == inode_of(ours) == self._inode

    def _forget(self) -> None:
        """Close what is open, but not what somebody else closed: its number may be another file's."""
        db, self._db = self._db, None
        _connections.pop(id(self), None)
        fd, self._fd = self._fd, -1
        self._known, self._look_at = _NOTHING, float("-inf")
        try:
            is_ours = inode_of(os.fstat(fd)) == self._inode
        except OSError:
            is_ours = False
        if is_ours:
            if db is not None:
                db.close()
            os.close(fd)
        elif db is not None:
            _abandoned.append(db)

    def _prepare_fork(self) -> bool:
        """Close the connection, which must not cross a fork; False where it is in use."""
        if self._owner == threading.get_ident() or not self._lock.acquire(timeout=2 * _WAIT_S):
            return False
        if self._db is not None:
            self._db.close()
            self._db = None
            _connections.pop(id(self), None)
        return True

    def _after_fork_in_child(self) -> None:
        if self._db is not None:  # of another process, which is amid something: not ours to close
            _abandoned.append(self._db)
            self._db = None
            _connections.pop(id(self), None)
        self._begin_anew()


def _next(head: bytes) -> bytes:
    """The header after one more change: its last four bytes count them."""
    count = int.from_bytes(head[-4:], "big") + 1
    return head[:-4] + (count % 2**32).to_bytes(4, "big")


def _read(fd: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


def _occurs(fd: int, wanted: bytes) -> bool:
    """Whether bytes stand in a file."""
    offset = 0
    while chunk := _read(fd, _CHUNK + len(wanted) - 1, offset):
        if wanted in chunk:
            return True
        offset += _CHUNK
    return False


def _overwrite(path: str) -> None:
    """Overwrite a file where it stands; one that has grown large is emptied, too."""
    try:
        fd = os.open(path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return
    try:
        left = size = os.fstat(fd).st_size
        while left > 0:
            left -= os.write(fd, bytes(min(left, _CHUNK)))
        os.fsync(fd)
        if size > _LARGE_JOURNAL:
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


_all: WeakSet[SQLiteKeyStore] = WeakSet()
_stores: WeakValueDictionary[str, SQLiteKeyStore] = WeakValueDictionary()
_opening = threading.RLock()
_abandoned: list[sqlite3.Connection] = []
# the collector, which ends garbage in any order, must not end one before its store closes it
_connections: dict[int, sqlite3.Connection] = {}
_prepared: dict[int, list[SQLiteKeyStore]] = {}


def _before_fork() -> None:
    _prepared[threading.get_ident()] = [store for store in list(_all) if store._prepare_fork()]


def _after_fork_in_parent() -> None:
    for store in _prepared.pop(threading.get_ident(), ()):
        store._lock.release()


def _after_fork_in_child() -> None:
    global _opening
    _opening = threading.RLock()
    _prepared.clear()
    for store in list(_all):
        store._after_fork_in_child()


def _at_exit() -> None:
    for store in list(_all):
        store.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
