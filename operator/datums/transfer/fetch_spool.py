"""The files of all inputs, in a database on the pod's state volume: a million of them take a few MiB of memory.

It is also the journal: what has been loaded is marked, in batches. A `fetch` that was killed and starts again finds the links
resolved as they were (to the same versions), and loads only what is not marked, or not whole (download.py reads it again). The file
survives the process, not the node: nothing is synced, for a pod whose node has lost power starts with an empty volume.
"""
# ruff: noqa: S608  the queries are put together from constants

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from datums.model.globs import is_glob
from datums.transfer.fetch_database import Database
from datums.transfer.fetch_wanted import Wanted, parents

PACKED_BYTES: Final = 1 << 20
"""What lies in a pack and is larger is loaded like an object of its own."""
_BATCH: Final = 1000
_KNOWN_DIRECTORIES: Final = 20_000
_SCHEMA: Final = """
CREATE TABLE meta(plan TEXT);
CREATE TABLE file(
  id INTEGER PRIMARY KEY, input INTEGER, path TEXT, link INTEGER, store TEXT, key TEXT, offset INTEGER, size INTEGER, sha256 TEXT,
  etag TEXT, version TEXT, datum TEXT, metadata BLOB, done INTEGER DEFAULT 0);
CREATE UNIQUE INDEX file_path ON file(input, path);
CREATE TABLE also(link INTEGER, file INTEGER, PRIMARY KEY(link, file)) WITHOUT ROWID;
CREATE TABLE directory(input INTEGER, path TEXT, empty INTEGER, PRIMARY KEY(input, path)) WITHOUT ROWID;
"""
_INSERT: Final = """INSERT INTO file(input, path, link, store, key, offset, size, sha256, etag, version, datum, metadata)
  VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(input, path) DO NOTHING"""
_COLUMNS: Final = "id, input, path, link, store, key, offset, size, sha256, etag, version, datum, metadata, done"
_WAITING, _LOADED, _ABSENT = 0, 1, 2


class Loaded(NamedTuple):
    """One file that lies under its final name; with `absent` a public file that does not exist, of an input that is optional."""

    id: int
    size: int
    sha256: str
    etag: str = ""
    metadata: dict[str, Any] | None = None
    absent: bool = False


class Clash(Exception):
    """Two different objects would be one file."""

    def __init__(self, one: Wanted, other: Wanted) -> None:
        super().__init__(other.path)
        self.one = one
        self.other = other


class Spool:
    """One database. Safe to use from several threads.

    Args:
        links: of every input, its links as the user wrote them.

    Raises (every method):
        OSError: the volume is full, or fails.
    """

    def __init__(self, path: Path, plan: str, links: Sequence[Sequence[str]]) -> None:
        self._links = [link for of_input in links for link in of_input]
        self._first = [sum(map(len, links[:n])) for n in range(len(links))]
        self._known = set[tuple[int, str]]()
        self._plan = plan
        self._base = Database(path, _SCHEMA, "SELECT plan FROM meta", plan)
        self._db = self._base.connection
        self.is_resolved = self._base.is_old
        """Whether all links are resolved, perhaps by an earlier run."""

    def close(self) -> None:
        """Gives the file back."""
        self._base.close()

    def transaction(self) -> AbstractContextManager[object]:
        """What is done within happens together."""
        return self._base.transaction()

    # ---- what is wanted

    @contextmanager
    def link(self, number: int, position: int) -> Iterator[Callable[[Iterable[Wanted]], None]]:
        """Adds the files of one link, all or none: an exception takes them back.

        Args:
            number: the input's in the plan.
            position: the link's in the input.

        Yields:
            What adds files; it raises `Clash`.
        """
        link = self._first[number] + position
        with self.transaction():
            try:
                yield lambda files: self._add(number, link, files)
            except BaseException:
                self._known.clear()
                raise

    def _add(self, number: int, link: int, files: Iterable[Wanted]) -> None:
        files = iter(files)
        while batch := list(islice(files, _BATCH)):
            before = self._db.total_changes
            self._db.executemany(_INSERT, [_row(number, link, wanted) for wanted in batch])
            if self._db.total_changes - before != len(batch):
                self._join(number, link, batch)

    def _join(self, number: int, link: int, batch: list[Wanted]) -> None:
        for wanted in batch:
            row = self._db.execute(f"SELECT {_COLUMNS} FROM file WHERE input=? AND path=?", (number, wanted.path)).fetchone()
            there = self._wanted(row)
            if there.origin != wanted.origin:
                raise Clash(there, wanted)
            if row[3] != link:
                # One object that two links name is loaded once.
                self._db.execute("INSERT OR IGNORE INTO also VALUES(?, ?)", (link, there.id))

    def add_directory(self, number: int, path: str, *, empty: bool = False) -> None:
        """Notes a directory and those above it.

        Args:
            empty: it is one of the input itself, not of the path of a file.
        """
        if len(self._known) > _KNOWN_DIRECTORIES:
            self._known.clear()
        for directory in (path, *parents(path)) if path else ():
            if (number, directory) in self._known:
                break
            self._known.add((number, directory))
            self._db.execute("INSERT OR IGNORE INTO directory VALUES(?, ?, ?)", (number, directory, empty))

    def rename_single(self, number: int, path: str) -> bool:
        """Gives the input's file this path, if all its links lead to one object; whether they do."""
        with self.transaction():
            origins = self._db.execute("SELECT DISTINCT store, key, offset FROM file WHERE input=? LIMIT 2", (number,)).fetchall()
            if len(origins) != 1:
                return False
            rows = self._db.execute("SELECT id, link FROM file WHERE input=? ORDER BY id", (number,)).fetchall()
            first = rows[0][0]
            for other, link in rows[1:]:
                self._db.execute("UPDATE OR REPLACE also SET file=? WHERE file=?", (first, other))
                self._db.execute("INSERT OR IGNORE INTO also VALUES(?, ?)", (link, first))
                self._db.execute("DELETE FROM file WHERE id=?", (other,))
            self._db.execute("UPDATE file SET path=? WHERE id=?", (path, first))
            self._db.execute("DELETE FROM directory WHERE input=? AND NOT empty", (number,))
            self._known.clear()
            return True

    def nested(self, number: int) -> tuple[Wanted, Wanted | None] | None:
        """A file that has the name of a directory, and a file below that directory (None: an empty directory)."""
        columns = ", ".join(f"file.{name}" for name in _COLUMNS.split(", "))
        found = self._base.rows(
            f"SELECT {columns} FROM directory JOIN file USING(input, path) WHERE directory.input=? ORDER BY path LIMIT 1", (number,)
        )
        if not found:
            return None
        file = self._wanted(found[0])
        low, high = f"{file.path}/", f"{file.path}0"  # the character after the slash
        below = self._base.rows(
            f"SELECT {_COLUMNS} FROM file WHERE input=? AND path>? AND path<? ORDER BY path LIMIT 1", (number, low, high)
        )
        return file, self._wanted(below[0]) if below else None

    def resolved(self) -> None:
        """Notes that all links are resolved: another run takes them as they are."""
        with self.transaction():
            self._db.execute("CREATE INDEX packed ON file(store, key, input, offset) WHERE offset > 0")
            if len(self._links) > len(self._first):
                self._db.execute("CREATE INDEX file_link ON file(link)")
            self._db.execute("INSERT INTO meta VALUES(?)", (self._plan,))
        self.is_resolved = True

    # ---- what is read back

    def totals(self) -> tuple[int, int]:
        """How many files are wanted, and their bytes as far as they are known."""
        files, size = self._base.rows(f"SELECT count(*), total(max(size, 0)) FROM file WHERE done<>{_ABSENT}")[0]
        return int(files), int(size)

    def stores(self) -> list[tuple[str, int]]:
        """(store, number of files) of all; the empty name for public files."""
        return [(store, count) for store, count in self._base.rows("SELECT store, count(*) FROM file GROUP BY store")]

    def directories(self) -> Iterator[tuple[int, str]]:
        """(input, path), every directory after those above it."""
        yield from self._base.pages(
            "SELECT input, path FROM directory WHERE (input, path) > (?, ?) ORDER BY input, path", (-1, ""), (0, 1)
        )

    def alone(self, store: str, above: int, upto: int) -> Iterator[Wanted]:
        """Files of a store that are objects of their own, or too large to be loaded beside their neighbours.

        Args:
            above: only larger ones, in bytes; -1 takes those of unknown size, too.
            upto: only these or smaller ones.
        """
        where = "id > ? AND store=? AND size>? AND size<=? AND (offset=0 OR size>? OR size=0)"
        query = f"SELECT {_COLUMNS} FROM file WHERE {where} ORDER BY id"
        for row in self._base.pages(query, (0,), (0,), (store, above, upto, PACKED_BYTES)):
            yield self._wanted(row)

    def small(self, store: str, upto: int, *, certain: bool) -> Iterator[Wanted]:
        """Files of a store that are objects of their own, or empty.

        Args:
            upto: only these or smaller ones, in bytes.
            certain: those whose size and version are, else the others.
        """
        where = f"id > ? AND store=? AND size<=? AND (offset=0 OR size=0) AND {'' if certain else 'NOT '}{self._is_certain}"
        for row in self._base.pages(f"SELECT {_COLUMNS} FROM file WHERE {where} ORDER BY id", (0,), (0,), (store, upto)):
            yield self._wanted(row)

    def is_more_than_small(self, store: str, upto: int) -> bool:
        """Whether a store has other files than `small` gives where it is asked for those that are certain."""
        where = f"store=? AND NOT (size<=? AND (offset=0 OR size=0) AND {self._is_certain})"
        return bool(self._base.rows(f"SELECT 1 FROM file WHERE {where} LIMIT 1", (store, upto)))

    @property
    def _is_certain(self) -> str:
        globs = ",".join(str(number) for number, link in enumerate(self._links) if is_glob(link))
        return f"(datum<>'' OR ((etag<>'' OR version<>'') AND link IN ({globs})))"  # by what `mark` changes in no such row

    def packed(self, store: str) -> Iterator[Wanted]:
        """Files of a store that lie in packs and are not loaded yet, by key, input and offset: neighbours come by one request,
        and two inputs may have the same files."""
        where = "offset > 0 AND (key, input, offset, id) > (?, ?, ?, ?) AND store=? AND size BETWEEN 1 AND ?"
        query = f"SELECT {_COLUMNS} FROM file WHERE {where} ORDER BY key, input, offset, id"
        for row in self._base.pages(query, ("", 0, 0, 0), (5, 1, 6, 0), (store, PACKED_BYTES)):
            yield self._wanted(row)

    def count_packed(self) -> int:
        """How many files lie in packs."""
        return int(self._base.rows("SELECT count(*) FROM file WHERE offset > 0")[0][0])

    def count_left(self) -> int:
        """How many files are not loaded."""
        return int(self._base.rows(f"SELECT count(*) FROM file WHERE done={_WAITING}")[0][0])

    def of_input(self, number: int) -> Iterator[Wanted]:
        """The files of an input that are there, by path."""
        query = f"SELECT {_COLUMNS} FROM file WHERE path > ? AND input=? AND done<>{_ABSENT} ORDER BY path"
        for row in self._base.pages(query, ("",), (2,), (number,)):
            yield self._wanted(row)

    def of_link(self, number: int, position: int) -> Iterator[tuple[str, int, str]]:
        """(path, size, sha256) of the files of a link that are there, by path."""
        link = self._first[number] + position
        alone = "link=?2" if len(self._links) > len(self._first) else "?2=?2"
        query = f"""SELECT path, size, sha256 FROM file WHERE path > ?1 AND input=?3 AND done<>{_ABSENT} AND
            ({alone} OR id IN (SELECT file FROM also WHERE link=?2)) ORDER BY path"""
        yield from self._base.pages(query, ("",), (0,), (link, number))

    # ---- what is loaded

    def mark(self, loaded: Sequence[Loaded]) -> None:
        """Notes files that have got their final names."""
        rows = [(_ABSENT if one.absent else _LOADED, one.size, one.sha256, one.id) for one in loaded]
        more = [(one.etag, msgspec.json.encode(one.metadata or {}), one.id) for one in loaded if one.metadata is not None]
        with self.transaction():
            self._db.executemany("UPDATE file SET done=?, size=?, sha256=? WHERE id=?", rows)
            self._db.executemany("UPDATE file SET etag=?, metadata=? WHERE id=?", more)

    def mark_as_wanted(self, ids: Sequence[int]) -> None:
        """Notes files that have got their final names, of whose bytes nothing new is known."""
        with self.transaction():
            for first, last in _runs(ids):
                self._db.execute("UPDATE file SET done=? WHERE id BETWEEN ? AND ?", (_LOADED, first, last))

    # ---- within

    def _wanted(self, row: Sequence[Any]) -> Wanted:
        id_, number, path, link, store, key, offset, size, sha256, etag, version, datum, metadata, done = row
        return Wanted(
            id=id_, input=number, path=path, link=self._links[link], store=store, key=key, offset=offset, size=size, sha256=sha256,
            etag=etag, version=version, datum=datum, metadata=msgspec.json.decode(metadata) if metadata else {},
            loaded=done == _LOADED,
        )  # fmt: skip


def _row(number: int, link: int, wanted: Wanted) -> tuple[Any, ...]:
    metadata = msgspec.json.encode(wanted.metadata) if wanted.metadata else None
    return (
        number, wanted.path, link, wanted.store, wanted.key, wanted.offset, wanted.size, wanted.sha256, wanted.etag, wanted.version,
        wanted.datum, metadata,
    )  # fmt: skip


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Of ascending numbers: first and last of those that follow each other without a gap."""
    first = last = None
    for number in numbers:
        if first is None or last is None or number != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last
