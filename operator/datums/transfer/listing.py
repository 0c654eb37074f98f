"""The manifest's entries, as a sorted stream out of the journal's database."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from datums.model import ids, layout
from datums.model.manifest import Entry, Location
from datums.transfer.database import Database, Kind
from datums.transfer.journal import Journal

# ruff: noqa: S608  these are constants
_DONE = "d.number, d.offset, d.sha256, d.size, d.mtime_ns"
# What is on the volume, the targets of links in their place.
_FOUND = f"""SELECT f.path, f.kind, {{taken}}, coalesce(f.target, f.path), {_DONE}
FROM found f LEFT JOIN done d ON d.path = coalesce(f.target, f.path) AND d.token = f.token
WHERE f.kind NOT IN ({Kind.LINK:d}, {Kind.DIRECTORY_LINK:d}) ORDER BY f.path"""
# What was taken away.
_TAKES = f"""SELECT t.path, {Kind.FILE:d}, t.sequence, t.path, {_DONE}
FROM (SELECT path, token, row_number() OVER (PARTITION BY path ORDER BY token) - 1 AS sequence FROM takes) t
JOIN done d ON d.path = t.path AND d.token = t.token ORDER BY t.path, t.sequence"""
_COUNT_TAKES = "(SELECT count(*) FROM takes t WHERE t.path = f.path)"
_DEAD_LINKS = f"""INSERT INTO remarks SELECT f.path, 0, 1, 'links to ' || f.target || ', which could not be saved'
FROM found f LEFT JOIN done d ON d.path = f.target AND d.token = f.token
WHERE f.kind IN ({Kind.FOLLOWED:d}, {Kind.BEHIND:d}) AND d.path IS NULL
AND NOT EXISTS (SELECT 1 FROM remarks r WHERE r.problem = 1 AND r.path = f.path)"""


def entries(journal: Journal, prefix: str, store: str) -> Iterator[Entry]:
    """The entries, sorted. A path whose file was refused has none.

    Args:
        journal: with the set, the inventory, and what lies in the store.
        prefix: of the attempt's keys, ending in a slash.
        store: `<namespace>/<name>` of the DataStore.
    """
    database = journal.database
    any_taken = database.row("SELECT 1 FROM takes LIMIT 1") is not None
    rows = database.rows(_FOUND.format(taken=_COUNT_TAKES if any_taken else 0))
    if any_taken:
        rows = heapq.merge(rows, database.rows(_TAKES), key=lambda row: (row[0], row[2]))
    datum_of = ids.file_ids(journal.set)
    for path, kind, sequence, source, number, offset, sha256, size, mtime_ns in rows:
        if kind in (Kind.DIRECTORY, Kind.DIRECTORY_BEHIND):
            if not any_taken or not _has_takes(database, source):
                yield Entry(path=path)
        elif sha256 is not None:
            digest = sha256.hex()
            key = layout.pack_key(prefix, number) if offset else layout.file_key(prefix, source, number)
            yield Entry(
                path=path,
                size=size,
                sha256=digest,
                datum=datum_of(path, sequence, digest),
                location=Location(store, key, offset),
                mtime=int(mtime_ns) / 1e9,
                sequence=sequence,
            )


def note_dead_links(journal: Journal) -> None:
    """Names the links whose files could not be saved, each once however often this is called."""
    journal.database.write(_DEAD_LINKS)


def _has_takes(database: Database, directory: str) -> bool:
    """Whether a file was taken away from below a directory, which is empty only for that."""
    below: tuple[Any, ...] = (directory, directory[:-1] + "0")
    return database.row("SELECT 1 FROM takes WHERE path >= ? AND path < ? LIMIT 1", below) is not None
