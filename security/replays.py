"""Proofs that have been used, so that none is used twice (RFC 9449, section 11.1)."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from security.errors import ReplaysUnavailable

_SWEEP_SECONDS = 10
_BUSY_SECONDS = 1.0


class Replays(Protocol):
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


class SQLiteReplays:
    """Remembers proofs in a file, for the processes of one machine.

    What has been remembered is forgotten when its time is over, and never to make room: when the disk is full, nothing
    can be used.

    Args:
        path: The file, which is made if need be. Whoever can write there can forget proofs.
        clock: The time in seconds since the epoch; for tests.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._sweep_at = 0.0

    def use(self, proof_id: bytes, until: float) -> bool:
        """See `Replays`."""
        try:
            with self._lock:
                return self._use(self._open(), proof_id, until)
        except (sqlite3.Error, OSError) as error:
            self._reset()
            raise ReplaysUnavailable from error

    def _use(self, connection: sqlite3.Connection, proof_id: bytes, until: float) -> bool:
        now = self._clock()
        if now >= self._sweep_at:
            connection.execute("DELETE FROM proofs WHERE until < ?", (now,))
            self._sweep_at = now + _SWEEP_SECONDS
        return connection.execute("INSERT OR IGNORE INTO proofs VALUES (?, ?)", (proof_id, until)).rowcount == 1

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():  # a fork must open its own
            # Each statement is a transaction of its own; the lock is why threads may share it.
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "PRAGMA synchronous=OFF"
            )  # what a machine that crashes forgets, is too old when it is back
            connection.execute(
                "CREATE TABLE IF NOT EXISTS proofs (id BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS proofs_until ON proofs (until)")
            self._connection, self._pid = connection, os.getpid()
        return self._connection

    def _reset(self) -> None:
        with self._lock, suppress(sqlite3.Error):
            connection, self._connection = self._connection, None
            if connection and self._pid == os.getpid():
                connection.close()
