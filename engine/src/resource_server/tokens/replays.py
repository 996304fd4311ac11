"""Proofs that have been used, so that none is used twice (RFC 9449, section 11.1)."""

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from resource_server.tokens.clock import now
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.outages import Outages
from resource_server.tokens.sqlite import alone_in, connect, has_room

LIFETIME = 390
"""For how many seconds at most a proof matters after it has been used, if it was made in the future."""

_SWEEP_SECONDS = 10
_SWEPT_AT_ONCE = 1_000  # some milliseconds, so that no request waits long for the sake of others
_WAIT_SECONDS = 0.5  # for threads of this process, and again for other processes
_START_SECONDS = 30.0  # for all those that start at once, when no request waits

_Identity = tuple[int, int]


class ReplayCache(Protocol):
    """Remembers proofs, for all processes and machines that share it."""

    def use(self, proof_id: bytes, until: float) -> bool:
        """Use a proof, and remember that. May block for a second.

        Args:
            proof_id: What it is known again by.
            until: Seconds since the epoch, after which it isn't accepted anyway and can be forgotten.

        Returns:
            Whether it is used for the first time.

        Raises:
            ReplaysUnavailable: That can't be known now.
        """


class SQLiteReplayCache:
    """Remembers proofs in a file, for the processes of one machine.

    What has been remembered is forgotten when its time is over, and never to make room: when the disk is full, nothing
    can be used. What may have been forgotten too early, because the clock has gone back or the file has been deleted,
    can't be used either.

    Args:
        path: The file, or a link to it, which is made if need be. Whoever can write there can forget proofs: a new
            process can't know that there was a `-wal` beside it, which holds the last ones.
        clock: The time in seconds since the epoch; for tests.
        has_room: Whether the disk has room for another proof; for tests.
    """

    def __init__(
        self,
        path: Path | str,
        clock: Callable[[], float] = now,
        has_room: Callable[[sqlite3.Connection, Path], bool] = has_room,
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._has_room = has_room
        self._lock = threading.Lock()
        self._outages = Outages(sqlite3.Error, OSError)
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []
        self._patience = _WAIT_SECONDS
        self._file: _Identity | None = None
        self._log_path = self._path
        self._log: _Identity | None = None
        self._pid = 0
        self._sweep_at = 0.0

    def prepare(self) -> None:
        """Make the file if need be, and leave it: what is wrong is known at the start, and no connection when forking.

        Raises:
            ReplaysUnavailable: It can't be used; the cause says why.
        """
        with self._outages.attempt(), self._lock:
            self._patience = _START_SECONDS
            try:
                self._sweep(self._open())
            finally:
                self._patience = _WAIT_SECONDS
                self._close()

    def use(self, proof_id: bytes, until: float) -> bool:
        """See `ReplayCache`."""
        with self._outages.attempt():
            if not self._lock.acquire(timeout=_WAIT_SECONDS):
                raise TimeoutError("other requests wait for the file, too")
            try:
                return self._use(self._open(), proof_id, until)
            except (sqlite3.Error, OSError):
                self._close()
                raise
            finally:
                self._lock.release()

    def _use(self, connection: sqlite3.Connection, proof_id: bytes, until: float) -> bool:
        if not 0 <= self._sweep_at - self._clock() <= _SWEEP_SECONDS:
            self._sweep(connection)
        if not self._has_room(connection, self._path):
            raise OSError("the disk is full")
        used = connection.execute(
            "INSERT OR IGNORE INTO proofs SELECT ?, ? WHERE ? > (SELECT until FROM forgotten)", (proof_id, until, until)
        )
        if not self._same_files():
            raise ReplaysUnavailable  # whoever has another file by now doesn't know of it
        if used.rowcount == 1:
            return True
        if connection.execute("SELECT 1 FROM proofs WHERE id = ?", (proof_id,)).fetchone():
            return False
        raise ReplaysUnavailable  # it may be one of those forgotten

    def _sweep(self, connection: sqlite3.Connection) -> None:
        now = self._clock()
        connection.execute("BEGIN IMMEDIATE")
        try:
            over = connection.execute(
                "SELECT id, until FROM proofs WHERE until < ? ORDER BY until LIMIT ?", (now, _SWEPT_AT_ONCE)
            ).fetchall()
            if over:
                connection.executemany("DELETE FROM proofs WHERE id = ?", ((proof_id,) for proof_id, _ in over))
                connection.execute("UPDATE forgotten SET until = max(until, ?)", (over[-1][1],))
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        self._sweep_at = now if len(over) == _SWEPT_AT_ONCE else now + _SWEEP_SECONDS

    def _open(self) -> sqlite3.Connection:
        if self._connection and self._pid != os.getpid():  # closing it here would take its files from the other process
            self._inherited.append(self._connection)
            self._connection = None
        if self._connection and self._same_files():
            return self._connection
        in_use = self._connection is not None
        self._close()
        file = self._path.resolve() if self._path.exists() else self._make()
        connection = connect(file, self._patience, self._clock())
        self._connection, self._pid = connection, os.getpid()
        known, self._file = self._file, _identity(file)
        self._log_path = file.with_name(f"{file.name}-wal")
        self._log = _identity(self._log_path)
        if known not in (None, self._file):
            connection.execute("UPDATE forgotten SET until = max(until, made + ?)", (LIFETIME,))
        elif in_use:
            connection.execute("UPDATE forgotten SET until = max(until, ?)", (self._clock() + LIFETIME,))
        return connection

    def _same_files(self) -> bool:
        """Whether those of the path, which all other processes have, are those of the connection."""
        return _identity(self._path) == self._file and _identity(self._log_path) == self._log

    def _make(self) -> Path:
        """Make a file of a new name, and the link.

        SQLite's other files are called like it, and others may still have those of one that has been deleted.
        """
        with alone_in(self._path.parent, self._patience):
            if not self._path.exists():
                file = self._path.with_name(f"{self._path.stem}-{secrets.token_hex(8)}{self._path.suffix}")
                connect(file, self._patience, self._clock()).close()
                self._path.unlink(missing_ok=True)  # it leads nowhere
                self._path.symlink_to(file.name)
        return self._path.resolve()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()


def _identity(path: Path) -> _Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # for each proof, and it takes half the time
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
