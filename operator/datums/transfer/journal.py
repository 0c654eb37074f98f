"""What `ship` remembers from one life to the next, in the state volume, which user code cannot reach.

A record is remembered before the step that it announces (a take, a key, a pack's number) or right after the one that it records
(a file that lies in the store, a part of one). Numbers of keys, packs and takes are never given out twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from datums.model import layout
from datums.transfer.database import Database, columns
from datums.transfer.outputs import Identity

Slot: TypeAlias = tuple[str, int]
"""(path, token): one file to save. The token is 0 for the file that lies in the outputs directory at the end."""


class Done(NamedTuple):
    """A file lies in the store."""

    path: str
    token: int
    number: int
    """Of the path's key, or of the pack."""
    offset: int
    """Of its first byte in the pack; 0 for a file with a key of its own."""
    sha256: str
    identity: Identity
    sure: bool = True
    """Whether the kernel told that nobody had it open for writing when it was read. Else an equal identity says little: what is
    written to a memory mapping shows in a file's times when its page is first written to, and perhaps never again."""

    @property
    def slot(self) -> Slot:
        return self.path, self.token

    def key(self, prefix: str) -> str:
        """Where it lies.

        Args:
            prefix: of the attempt, ending in a slash.
        """
        return layout.pack_key(prefix, self.number) if self.offset else layout.file_key(prefix, self.path, self.number)


class Upload(NamedTuple):
    """A large file on its way in parts."""

    path: str
    token: int
    number: int
    """Of the path's key."""
    upload: str
    """What the store calls it. Not for logs."""
    part_size: int
    """Bytes."""
    identity: Identity

    @property
    def slot(self) -> Slot:
        return self.path, self.token


class Committed(NamedTuple):
    """The commit lies in the store."""

    files: int
    bytes: int


class Journal:
    """The memory. Safe to use from several threads. Every method raises `StateError` when the state volume takes no more.

    Args:
        path: of its file; made when absent.
    """

    def __init__(self, path: str) -> None:
        self.database = database = Database(path)
        self._lock = threading.Lock()
        facts = dict(database.rows("SELECT name, value FROM facts"))
        self.lives: int = facts.get("lives", 0) + 1
        """How often `ship` was started, this time included."""
        self.started: bool = "started" in facts
        self.ended: float | None = facts.get("ended")
        """When main ended; seconds since the epoch."""
        self.set: str = facts.get("set", "")
        """The set whose index lies in the store."""
        self.committed = Committed(facts["files"], facts["bytes"]) if "files" in facts else None
        self.in_parts: bool = "in parts" in facts
        """Whether any upload in parts was ever begun."""
        totals = database.row("SELECT count(*), coalesce(sum(size), 0) FROM done")
        self.files, self.bytes = totals or (0, 0)
        """Files that lie in the store, and their sizes added up. For progress only: a file that is saved again counts again."""
        self._note(lives=self.lives)

    def note_started(self) -> None:
        """Main has started."""
        self._note(started=1)
        self.started = True

    def note_ended(self, at: float) -> None:
        """Main has ended; seconds since the epoch."""
        self._note(ended=at)
        self.ended = at

    def note_set(self, set_hex: str) -> None:
        """The set's index lies in the store."""
        self._note(set=set_hex)
        self.set = set_hex

    def note_committed(self, committed: Committed) -> None:
        """The commit lies in the store."""
        self._note(files=committed.files, bytes=committed.bytes)
        self.committed = committed

    def new_take(self, path: str) -> int:
        """Announces that the read-only file at `path` will be taken away, and says under which number, from 1."""
        row = self.database.row("INSERT INTO takes (path) VALUES (?) RETURNING token", (path,))
        assert row is not None
        return int(row[0])

    def drop_take(self, token: int) -> None:
        """A take that was announced but not done."""
        self.database.write("DELETE FROM takes WHERE token = ?", (token,))

    def takes(self) -> Iterator[Slot]:
        """All takes, sorted by path, and for each path in the order in which they were made."""
        yield from self.database.rows("SELECT path, token FROM takes ORDER BY path, token")

    def undone_takes(self) -> Iterator[Slot]:
        """The takes whose files do not lie in the store."""
        query = "SELECT t.path, t.token FROM takes t LEFT JOIN done d ON d.path = t.path AND d.token = t.token WHERE d.path IS NULL"
        yield from self.database.rows(query)

    def path_of_take(self, token: int) -> str | None:
        """Where the file was taken from; None where there is no such take."""
        row = self.database.row("SELECT path FROM takes WHERE token = ?", (token,))
        return None if row is None else row[0]

    def last_take(self, path: str) -> int:
        """The last file that was taken away from there; 0 where none was."""
        row = self.database.row("SELECT max(token) FROM takes WHERE path = ?", (path,))
        return int(row[0]) if row and row[0] else 0

    def new_key(self, path: str) -> int:
        """Announces a write, and says which of the path's keys it goes to: 0, 1, … ."""
        row = self.database.row(
            "INSERT INTO keys VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET given = given + 1 RETURNING given - 1", (path,)
        )
        assert row is not None
        return int(row[0])

    def new_keys(self, paths: Sequence[str]) -> list[int]:
        """`new_key` of many paths, by one transaction. A number that is not used in the end is no harm."""
        with self.database.transaction():
            return [self.new_key(path) for path in paths]

    def new_pack(self) -> int:
        """Announces a pack, and says which: 0, 1, … ."""
        row = self.database.row(
            "INSERT INTO facts VALUES ('packs', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value - 1"
        )
        assert row is not None
        return int(row[0])

    def versions(self, slot: Slot) -> int:
        """How many versions of a file were sent, in vain if it is not in the store as it is."""
        row = self.database.row("SELECT given FROM keys WHERE path = ?", (slot[0],))
        packed = self.database.row("SELECT versions FROM done WHERE path = ? AND token = ?", slot)
        return max(row[0] if row else 0, packed[0] if packed else 0)

    def done(self, slot: Slot) -> Done | None:
        """What lies in the store of a file; None for nothing."""
        row = self.database.row(f"SELECT {_DONE} FROM done WHERE path = ? AND token = ?", slot)
        return None if row is None else done_of(row)

    def note_done(self, files: Sequence[Done], *, known: int = 0) -> None:
        """The files lie in the store. Ends their uploads in parts.

        Args:
            known: how many of them have lain there before.
        """
        rows = [(d.path, d.token, d.number, d.offset, bytes.fromhex(d.sha256), d.sure, *columns(d.identity)) for d in files]
        with self.database.transaction():
            self.database.write_all(_NOTE_DONE, rows)
            if self.in_parts:
                slots = [d.slot for d in files]
                self.database.write_all("DELETE FROM parts WHERE path = ? AND token = ?", slots)
                self.database.write_all("DELETE FROM uploads WHERE path = ? AND token = ?", slots)
        with self._lock:
            self.files += len(files) - known
            self.bytes += sum(d.identity.size for d in files)

    def note_begun(self, upload: Upload) -> None:
        """An upload in parts has begun. What was known of an earlier one of the same file is forgotten."""
        with self.database.transaction():
            self.database.write("DELETE FROM parts WHERE path = ? AND token = ?", upload.slot)
            self.database.write(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*upload[:5], *columns(upload.identity)),
            )

    def expect_parts(self) -> None:
        """Announces that an upload in parts will be begun: it may be there although no record of it is."""
        if not self.in_parts:
            self._note(**{"in parts": 1})
            self.in_parts = True

    def note_part(self, slot: Slot, number: int, tag: str) -> None:
        """A part lies in the store; numbers from 1."""
        self.database.write("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", (*slot, number, tag))

    def upload(self, slot: Slot) -> Upload | None:
        """The upload of a file that has begun and not ended."""
        row = self.database.row(f"SELECT {_UPLOAD} FROM uploads WHERE path = ? AND token = ?", slot)
        return None if row is None else _upload_of(row)

    def uploads(self) -> list[Upload]:
        """All uploads that have begun and not ended."""
        return [_upload_of(row) for row in self.database.rows(f"SELECT {_UPLOAD} FROM uploads")]

    def parts(self, slot: Slot) -> dict[int, str]:
        """The tags of the parts that lie in the store, by their numbers."""
        return dict(self.database.rows("SELECT part, tag FROM parts WHERE path = ? AND token = ?", slot))

    def forget_upload(self, slot: Slot) -> None:
        """The upload will not be finished."""
        with self.database.transaction():
            self.database.write("DELETE FROM parts WHERE path = ? AND token = ?", slot)
            self.database.write("DELETE FROM uploads WHERE path = ? AND token = ?", slot)

    def refuse(self, slot: Slot, why: str) -> None:
        """The file will not be saved, nor what was saved of it while main ran."""
        with self.database.transaction():
            self.unrefuse(slot)
            self.database.write("DELETE FROM done WHERE path = ? AND token = ?", slot)
            self.database.write("INSERT INTO remarks VALUES (?, ?, 1, ?)", (*slot, why))

    def unrefuse(self, slot: Slot) -> None:
        """The file is saved after all."""
        self.database.write("DELETE FROM remarks WHERE path = ? AND token = ? AND problem = 1", slot)

    def close(self) -> None:
        self.database.close()

    def _note(self, **facts: str | float) -> None:
        self.database.write_all("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(facts.items()))


# ruff: noqa: S608  these are constants
_IDENTITY = "device, inode, size, mtime_ns, ctime_ns"
_DONE = f"path, token, number, offset, sha256, sure, {_IDENTITY}"
_UPLOAD = f"path, token, number, upload, part_size, {_IDENTITY}"
_NOTE_DONE = f"""INSERT INTO done ({_DONE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path, token) DO UPDATE SET number = excluded.number, offset = excluded.offset, sha256 = excluded.sha256,
sure = excluded.sure, device = excluded.device, inode = excluded.inode, size = excluded.size,
mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
versions = versions + 1"""


def done_of(row: tuple[Any, ...]) -> Done:
    """A row of the table `done`."""
    path, token, number, offset, sha256, sure, *identity = row
    return Done(path, token, number, offset, sha256.hex(), _identity(identity), bool(sure))


def _upload_of(row: tuple[Any, ...]) -> Upload:
    path, token, number, upload, part_size, *identity = row
    return Upload(path, token, number, upload, part_size, _identity(identity))


def _identity(columns: Sequence[Any]) -> Identity:
    return Identity(*map(int, columns))
