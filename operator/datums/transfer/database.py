"""The SQLite file in which `ship` remembers: opened, with its tables, and failures as errors that the caller can tell.

What was committed survives the end of the process (SIGKILL, out of memory), not that of the node: nothing is synced, for the
outputs volume would be gone as well. A transaction that was cut short is rolled back when the file is opened again.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_ROWS_AT_ONCE = 2_000
_CACHE_KIB = 8_192
_BIGGEST = 1 << 63

# Columns without a type keep what does not fit into 64 bits as text: inodes and times of some file systems.
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS takes (token INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS takes_by_path ON takes (path, token);
CREATE TABLE IF NOT EXISTS keys (path TEXT PRIMARY KEY, given INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS done (
    path TEXT, token INTEGER, number INTEGER NOT NULL, offset INTEGER NOT NULL, sha256 BLOB NOT NULL,
    device, inode, size INTEGER NOT NULL, mtime_ns, ctime_ns, sure INTEGER NOT NULL, versions INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (path, token)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    path TEXT, token INTEGER, number INTEGER NOT NULL, upload TEXT NOT NULL, part_size INTEGER NOT NULL,
    device, inode, size INTEGER NOT NULL, mtime_ns, ctime_ns, PRIMARY KEY (path, token)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    path TEXT, token INTEGER, part INTEGER, tag TEXT NOT NULL, PRIMARY KEY (path, token, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS found (
    path TEXT PRIMARY KEY, kind INTEGER NOT NULL, target TEXT, token INTEGER NOT NULL DEFAULT 0,
    device, inode, size INTEGER NOT NULL DEFAULT 0, mtime_ns, ctime_ns) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS remarks (path TEXT, token INTEGER, problem INTEGER, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS remarks_in_order ON remarks (problem, path, message);
"""


class Kind:
    """What a path of the table `found` is. Plain numbers: SQLite's module takes three times as long over members of an enum."""

    FILE: Final = 0
    DIRECTORY: Final = 1
    """An empty one; its path ends in a slash."""
    LINK: Final = 2
    """A link that was not followed: not yet, or for good."""
    FOLLOWED: Final = 3
    """A link to a regular file, the one of `target` and `token`."""
    DIRECTORY_LINK: Final = 4
    """A link to the directory `target`; empty for the outputs directory itself."""
    BEHIND: Final = 5
    """A file seen through a link to a directory: the one of `target` and `token`."""
    DIRECTORY_BEHIND: Final = 6
    """An empty directory seen through a link to a directory."""


class StateError(OSError):
    """The state volume takes or gives no more. Nothing of the call was remembered."""


class Database:
    """One connection, for all threads of the process, one after the other.

    Args:
        path: of the file; made when absent.

    Raises:
        StateError: it cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        with _told():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "wal_autocheckpoint=2000"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
            self._connection.executescript(_TABLES)

    def write(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """One statement, as a transaction of its own. How many rows it changed."""
        with self._lock, _told():
            return self._connection.execute(statement, values).rowcount

    def write_all(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """One statement for many rows, as one transaction, or as a part of the one that this thread is in."""
        with self._lock, _told():
            if self._connection.in_transaction:
                self._connection.executemany(statement, rows)
                return
        with self.transaction():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written while it is entered is remembered together or not at all."""
        with self._lock, _told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def row(self, query: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        """The first row; None where there is none."""
        with self._lock, _told():
            row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return row

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """All rows, read some thousands at a time. Rows that others write meanwhile may be among them or not."""
        with self._lock, _told():
            cursor = self._connection.execute(query, values)
            rows = cursor.fetchmany(_ROWS_AT_ONCE)
        while rows:
            yield from rows
            with self._lock, _told():
                rows = cursor.fetchmany(_ROWS_AT_ONCE)

    def paged(self, query: str, values: tuple[Any, ...] = (), page: int = _ROWS_AT_ONCE) -> Iterator[tuple[Any, ...]]:
        """All rows by their first column, which is unique: the query compares it with its first parameter (`path > ?`).

        A page at a time, so that no reader is open while the caller writes.
        """
        last = ""
        while rows := list(self.rows(f"{query} ORDER BY 1 LIMIT {page}", (last, *values))):
            yield from rows
            last = rows[-1][0]

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def columns(numbers: tuple[int, ...]) -> tuple[int | str, ...]:
    """Numbers as columns without a type keep them exactly."""
    if max(numbers) < _BIGGEST and min(numbers) >= -_BIGGEST:
        return numbers
    return tuple(number if -_BIGGEST <= number < _BIGGEST else str(number) for number in numbers)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        # What SQLite says holds no values, and "database or disk is full" is what people need to read.
        raise StateError(errno.EIO, str(error)) from None
