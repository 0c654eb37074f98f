"""Symbolic links among the outputs: followed inside the outputs directory, refused by name where they lead elsewhere."""

from __future__ import annotations

import os

from datums.transfer.database import Kind
from datums.transfer.journal import Journal
from datums.transfer.outputs import Refused, is_text, open_directory, printable

_MAX_HOPS = 40
_MAX_LINKED_FILES = 100_000


def follow(journal: Journal, root: int, seen_by_main: str) -> None:
    """Notes where the links of the inventory lead.

    Args:
        journal: its database has the inventory.
        root: descriptor of the outputs directory.
        seen_by_main: where main saw the outputs directory; absolute links below it are inside.
    """
    _follow_each(journal, root, seen_by_main)
    _look_behind(journal)


def _follow_each(journal: Journal, root: int, seen_by_main: str) -> None:
    database = journal.database
    for (link,) in database.paged("SELECT path FROM found WHERE path > ? AND kind = ?", (Kind.LINK,)):
        try:
            target = resolve(root, link, journal, seen_by_main)
        except Refused as refusal:
            _remark(journal, link, str(refusal))
            continue
        row = database.row("SELECT kind FROM found WHERE path = ?", (target,))
        on_disk = row is not None and row[0] == Kind.FILE
        taken = 0 if on_disk or _exists(root, target) else journal.last_take(target)
        update = "UPDATE found SET kind = ?, target = ?, token = ? WHERE path = ?"
        if on_disk or taken:
            database.write(update, (Kind.FOLLOWED, target, taken, link))
            _remark(journal, link, f"is a link to {target}: saved as a file with that content", problem=False)
        elif target and not _is_directory(root, target):
            _remark(journal, link, f"links to {printable(target)}, which cannot be saved; remove the link")
        else:
            database.write(update, (Kind.DIRECTORY_LINK, target, 0, link))


def _look_behind(journal: Journal) -> None:
    database = journal.database
    behind = 0
    links = "SELECT path, target FROM found WHERE path > ? AND kind = ?"
    for link, target in database.paged(links, (Kind.DIRECTORY_LINK,)):
        if not target or link.startswith(target + "/"):
            _remark(journal, link, "links to a directory that it lies in; remove the link")
            continue
        if behind >= _MAX_LINKED_FILES:
            why = f"more than {_MAX_LINKED_FILES} files lie behind links to directories; copy what shall be saved"
            _remark(journal, link, why)
            continue
        _remark(journal, link, f"is a link to the directory {target}: saved as a directory with the same files", problem=False)
        # "0" is what comes after "/": the range is what lies below the directory.
        below = (target + "/", target + "0")
        behind += database.write(_LOOK_BEHIND, (link, len(target) + 1, *below))
        behind += database.write(_LOOK_AT_TAKES, (link, len(target) + 1, *below))
        for (inner,) in database.rows("SELECT path FROM found WHERE path >= ? AND path < ? AND kind = 4", below):
            why = "is a link to a directory in a directory that is itself linked to; copy it instead"
            _remark(journal, link + inner[len(target) :], why)


# ruff: noqa: S608  these are constants
_LOOK_BEHIND = f"""INSERT OR IGNORE INTO found (path, kind, target, token) SELECT ? || substr(path, ?),
iif(kind = {Kind.DIRECTORY:d}, {Kind.DIRECTORY_BEHIND:d}, {Kind.BEHIND:d}), coalesce(target, path), token
FROM found WHERE path >= ? AND path < ? AND kind IN ({Kind.FILE:d}, {Kind.DIRECTORY:d}, {Kind.FOLLOWED:d})"""


# Of a path that has been taken away more than once, a link shows the last.
_LOOK_AT_TAKES = f"""INSERT OR IGNORE INTO found (path, kind, target, token)
SELECT ? || substr(path, ?), {Kind.BEHIND:d}, path, max(token) FROM takes WHERE path >= ? AND path < ? GROUP BY path"""


def resolve(root: int, path: str, journal: Journal, seen_by_main: str) -> str:
    """Where a link leads: the path, free of links, of a file or directory below the outputs directory; empty for that itself.

    Args:
        root: descriptor of the outputs directory.
        path: of the link.
        journal: knows the files that were taken away; links to them are good.
        seen_by_main: as for `follow`.

    Raises:
        Refused: it leads outside, nowhere, or in a circle.
    """
    done: list[str] = []
    rest = path.split("/")[::-1]
    hops = 0
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if not done:
                raise Refused("links to a place outside the outputs directory; copy the file instead")
            done.pop()
            continue
        target = _link_target(root, "/".join(done), name)
        if target is None:
            done.append(name)
            continue
        hops += 1
        if hops > _MAX_HOPS:
            raise Refused("links in a circle; remove the link")
        if target.startswith("/"):
            if not (target + "/").startswith(seen_by_main + "/"):
                raise Refused(f"links to {printable(target)}, outside the outputs directory; copy the file instead")
            target = target[len(seen_by_main) :]
            done = []
        rest.extend(target.split("/")[::-1])
    resolved = "/".join(done)
    if not is_text(resolved) or (not journal.last_take(resolved) and not _exists(root, resolved)):
        why = "which does not exist" if is_text(resolved) else "whose name is not UTF-8"
        raise Refused(f"links to {printable(resolved)}, {why}; remove the link")
    return resolved


def _remark(journal: Journal, path: str, message: str, *, problem: bool = True) -> None:
    journal.database.write("INSERT INTO remarks VALUES (?, 0, ?, ?)", (path, int(problem), message))


def _link_target(root: int, directory: str, name: str) -> str | None:
    """What a link says; None where the name is no link or not there."""
    try:
        fd = open_directory(root, directory)
    except OSError:
        return None
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError:
        return None
    finally:
        os.close(fd)


def _exists(root: int, path: str) -> bool:
    parent, _, name = path.rpartition("/")
    try:
        fd = open_directory(root, parent)
    except OSError:
        return False
    try:
        os.stat(name or ".", dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _is_directory(root: int, path: str) -> bool:
    try:
        os.close(open_directory(root, path))
    except OSError:
        return False
    return True
