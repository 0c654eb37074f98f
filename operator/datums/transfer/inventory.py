"""What there is to save when main has ended: one last walk, into the journal's database, and what cannot be saved named.

The table `found` has every path once, sorted; nothing here depends on how many there are.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator

from datums.model import podpaths
from datums.transfer.database import Database, Kind, columns
from datums.transfer.journal import Journal, Slot
from datums.transfer.links import follow
from datums.transfer.outputs import Found, Identity, is_text, printable, walk
from datums.transfer.packs import MAX_FILE_BYTES, Candidate

_KINDS = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
_AT_ONCE = 2_000


def take_inventory(
    journal: Journal, root: int, seen_by_main: str = podpaths.OUTPUTS, found: Callable[[int], None] = lambda _: None
) -> tuple[int, int]:
    """Notes the outputs, sorted out: (files, bytes) on the volume. Main has ended: nothing changes any more.

    Args:
        root: descriptor of the outputs directory.
        seen_by_main: where main saw the outputs directory; absolute links below it are inside.
        found: told now and then how many files are found so far.
    """
    database = journal.database
    with database.transaction():
        database.write("DELETE FROM found")
        database.write("DELETE FROM remarks")
    problems: list[tuple[str, str]] = []
    rows: list[tuple[object, ...]] = []
    files = 0
    for each in walk(root, problems):
        row = _row(each, problems)
        if row is not None:
            rows.append(row)
        if len(rows) + len(problems) >= _AT_ONCE:
            files += sum(row[1] == Kind.FILE for row in rows)
            found(files)
            _flush(database, rows, problems)
    _flush(database, rows, problems)
    follow(journal, root, seen_by_main)
    totals = database.row("SELECT count(*), coalesce(sum(size), 0) FROM found WHERE kind = ?", (Kind.FILE,))
    return totals or (0, 0)


def touched_files(journal: Journal) -> Iterator[Slot]:
    """The files that lie in the store, if they were only touched since then (renamed, chmodded), or if it is not sure that nobody
    wrote to them after that."""
    query = f"SELECT f.path {_UNSAVED} AND f.path > ? AND {_TOUCHED}"
    for (path,) in journal.database.paged(query):
        yield path, 0


def large_files(journal: Journal, *, pack: bool) -> Iterator[Slot]:
    """The files that are to be uploaded one by one.

    Args:
        pack: whether small files are grouped.
    """
    query = f"SELECT f.path {_UNSAVED} AND f.path > ? AND f.size > ? AND NOT {_TOUCHED}"
    for (path,) in journal.database.paged(query, (MAX_FILE_BYTES if pack else -1,)):
        yield path, 0


def small_files(journal: Journal) -> Iterator[Candidate]:
    """The other files that are not saved as they are."""
    query = f"SELECT f.path, f.size {_UNSAVED} AND f.path > ? AND f.size <= ? AND NOT {_TOUCHED}"
    for path, size in journal.database.paged(query, (MAX_FILE_BYTES,)):
        yield Candidate((path, 0), size)


_TOUCHED = "(d.size IS f.size AND d.mtime_ns IS f.mtime_ns)"
_UNSAVED = """FROM found f LEFT JOIN done d ON d.path = f.path AND d.token = 0
WHERE f.kind = 0 AND NOT (d.size IS f.size AND d.mtime_ns IS f.mtime_ns AND d.ctime_ns IS f.ctime_ns
AND d.inode IS f.inode AND d.device IS f.device AND d.sure)"""


def _row(found: Found, problems: list[tuple[str, str]]) -> tuple[object, ...] | None:
    path, status = found
    if not is_text(path):
        problems.append((path, "its name is not UTF-8, which no object key can be; rename it"))
        return None
    if stat.S_ISREG(status.st_mode):
        return path, Kind.FILE, *columns(Identity.of(status))
    if path.endswith("/"):
        return path, Kind.DIRECTORY, 0, 0, 0, 0, 0
    if stat.S_ISLNK(status.st_mode):
        return path, Kind.LINK, 0, 0, 0, 0, 0
    kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "no regular file")
    problems.append((path, f"is {kind}; only files, directories and links to them can be saved"))
    return None


def _flush(database: Database, rows: list[tuple[object, ...]], problems: list[tuple[str, str]]) -> None:
    with database.transaction():
        database.write_all(
            "INSERT OR REPLACE INTO found (path, kind, device, inode, size, mtime_ns, ctime_ns) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )
        named = [(printable(path), message) for path, message in problems]
        database.write_all("INSERT INTO remarks VALUES (?, 0, 1, ?)", named)
    rows.clear()
    problems.clear()
