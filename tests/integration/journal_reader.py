"""Asking the journal of a `ship` that is writing it, as the user that `ship` runs as.

Whoever opens a SQLite file makes the files beside it (-wal, -shm) if they are not there, and whoever closes it last removes them.
Made by root, they are root's for a moment: a `ship` of another user that opens them just then can only read, and ends.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

Rows: TypeAlias = list[tuple[Any, ...]]


class JournalReader:
    """Asks one journal.

    Args:
        path: of the journal, which need not be there yet.
        user: the uid that `ship` runs as; None for the test's own.
    """

    def __init__(self, path: Path, user: int | None) -> None:
        self._path = path
        self._user = user
        self._process: subprocess.Popen[str] | None = None

    def ask(self, query: str, values: tuple[Any, ...]) -> Rows:
        """What the journal answers; nothing where there is none yet."""
        if self._user is None:
            return _ask(self._path, query, values)
        if self._process is None:
            # A process of its own: a thread cannot be another user alone.
            command = [sys.executable, __file__, str(self._path), str(self._user)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{(query, values)!r}\n")
        self._process.stdin.flush()
        rows: Rows = ast.literal_eval(self._process.stdout.readline())
        return rows

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _ask(path: Path, query: str, values: tuple[Any, ...]) -> Rows:
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            return database.execute(query, values).fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return []


def _answer(path: Path, user: int) -> None:
    # Everything is imported by now: another user may not be allowed to read this Python's files.
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    for line in sys.stdin:
        query, values = ast.literal_eval(line)
        print(repr(_ask(path, query, values)), flush=True)


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), int(sys.argv[2]))
