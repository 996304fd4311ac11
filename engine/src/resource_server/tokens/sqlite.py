"""The database of used proofs."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_APPLICATION = 0x44506F50
"""What SQLite's header says that the file is for."""

_RESERVE = 16 * 2**20
"""Bytes that stay free, without which SQLite couldn't even delete."""

_FREE_PAGES = 64

_TABLES = (
    "CREATE TABLE IF NOT EXISTS proofs (id BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS proofs_until ON proofs (until)",
    # Of those forgotten, the latest; and when the file was made.
    "CREATE TABLE IF NOT EXISTS forgotten (until REAL NOT NULL, made REAL NOT NULL)",
    "INSERT INTO forgotten SELECT 0, :now WHERE NOT EXISTS (SELECT * FROM forgotten)",
    f"PRAGMA application_id = {_APPLICATION}",
)


class _Connection(sqlite3.Connection):
    """Closes itself with the memory that it belongs to: since Python 3.13 SQLite's own warns then."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # it couldn't be opened
            self.close()


def connect(file: Path, wait_seconds: float, now: float) -> sqlite3.Connection:
    """Open the database, which is made if need be. Each statement is a transaction of its own.

    Args:
        file: Where it is, not a link.
        wait_seconds: How long a statement waits for other processes.
        now: Seconds since the epoch.

    Raises:
        sqlite3.Error: It can't be used, or is another program's.
    """
    connection = sqlite3.connect(
        file, timeout=wait_seconds, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    try:
        _prepare(connection, now)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, now: float) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (application or tables):
        raise sqlite3.DatabaseError("it is a database of another program")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may cost the last proofs, not the file
    if application != _APPLICATION:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            connection.execute(statement, {"now": now} if ":now" in statement else {})
        connection.execute("COMMIT")


def has_room(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the disk, or the file itself, has room for another proof."""
    disk = os.statvfs(path)
    if disk.f_bavail * disk.f_frsize > _RESERVE:
        return True
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return bool(free > _FREE_PAGES)


@contextmanager
def alone_in(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Let one process at a time do something in a folder.

    Raises:
        OSError: Another one does, for longer than that.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
