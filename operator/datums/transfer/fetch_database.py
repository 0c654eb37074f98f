"""A SQLite database in one file for one process: bounded memory, transactions in batches, failures as those of its volume.

Nothing is synced: the file survives the process, not the node.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_PAGE: Final = 1000


class Database:
    """One database. Safe to use from several threads.

    Args:
        schema: of a new one.
        is_good: a query whose first value is `good` where what an earlier process has left may be used; else it is thrown away.

    Raises (every method):
        OSError: the volume is full, or fails.
    """

    def __init__(self, path: Path, schema: str, is_good: str, good: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        # What SQLite sorts it may spill: to this volume, for a pod's root is read-only.
        os.environ["SQLITE_TMPDIR"] = str(path.parent)
        with self.failing():
            self.connection, self.is_old = _open(path, schema, is_good, good)

    def close(self) -> None:
        """Gives the file back."""
        with self._lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is done within, or nothing where it raises an exception."""
        with self._lock, self.failing():
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query that has few."""
        with self._lock, self.failing():
            return self.connection.execute(query, values).fetchall()

    def pages(self, query: str, start: tuple[Any, ...], key: tuple[int, ...], values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """The rows of a query page by page, each found by where the last one ended: rows may be changed meanwhile.

        Args:
            query: sorted by what its first parameters must be below.
            start: these parameters, for the first page.
            key: the columns that they are taken from for the next.
            values: the other parameters.
        """
        while rows := self.rows(f"{query} LIMIT {_PAGE}", (*start, *values)):
            yield from rows
            if len(rows) < _PAGE:
                return
            start = tuple(rows[-1][column] for column in key)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Makes SQLite's errors those of the volume."""
        try:
            yield
        except sqlite3.Error as error:
            full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(self._path)) from None


def discard(path: Path) -> None:
    """Removes a database."""
    for name in (path, path.with_name(f"{path.name}-journal")):
        name.unlink(missing_ok=True)


def _open(path: Path, schema: str, is_good: str, good: str) -> tuple[sqlite3.Connection, bool]:
    if path.exists():
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _set_up(database)
            if database.execute(is_good).fetchone() == (good,):
                return database, True
        except sqlite3.DatabaseError:
            pass  # no database, a broken one, or one that was not finished
        database.close()
        discard(path)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    _set_up(database)
    database.executescript(schema)
    return database, False


def _set_up(database: sqlite3.Connection) -> None:
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=TRUNCATE", "synchronous=OFF", "cache_size=-16000"):
        database.execute(f"PRAGMA {pragma}")
