"""What there is to save when main has ended: one last walk, the links followed, what cannot be saved named."""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from datums.model import podpaths
from datums.transfer.live import is_text
from datums.transfer.outputs import Refused, open_directory, walk

_MAX_HOPS = 40
_MAX_LINKED_FILES = 100_000
_KINDS = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))


@dataclass(slots=True)
class Inventory:
    """The outputs, sorted out. Paths are below the outputs directory."""

    files: list[str] = field(default_factory=list)
    """Regular files, sorted."""
    bytes: int = 0
    """Their sizes, added up."""
    directories: list[str] = field(default_factory=list)
    """Empty ones, each ending in a slash."""
    links: dict[str, str] = field(default_factory=dict)
    """Path → path of the regular file that stands in for it (perhaps one that was taken away)."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def take_inventory(root: int, taken: set[str], seen_by_main: str = podpaths.OUTPUTS) -> Inventory:
    """The outputs, sorted out. Main has ended: nothing changes any more.

    Args:
        root: descriptor of the outputs directory.
        taken: paths of which a file was taken away; links to them are good.
        seen_by_main: where main saw the outputs directory; absolute links below it are inside.
    """
    found = Inventory()
    links: list[str] = []
    for path, status in walk(root, found.problems):
        if not is_text(path):
            found.problems.append((_printable(path), "its name is not UTF-8, which no object key can be; rename it"))
        elif path.endswith("/"):
            found.directories.append(path)
        elif stat.S_ISREG(status.st_mode):
            found.files.append(path)
            found.bytes += status.st_size
        elif stat.S_ISLNK(status.st_mode):
            links.append(path)
        else:
            kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "no regular file")
            found.problems.append((path, f"is {kind}; only files, directories and links to them can be saved"))
    found.files.sort()
    found.problems = [(_printable(path), message) for path, message in found.problems]
    _follow(root, sorted(links), found, taken, seen_by_main)
    return found


def resolve(root: int, path: str, taken: set[str], seen_by_main: str) -> str:
    """Where a link leads: the path, free of links, of a file or directory below the outputs directory; empty for that itself.

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
                raise Refused(f"links to {_printable(target)}, outside the outputs directory; copy the file instead")
            target = target[len(seen_by_main) :]
            done = []
        rest.extend(target.split("/")[::-1])
    resolved = "/".join(done)
    if resolved not in taken and not _exists(root, resolved):
        raise Refused(f"links to {_printable(resolved)}, which does not exist; remove the link")
    return resolved


def _follow(root: int, links: list[str], found: Inventory, taken: set[str], seen_by_main: str) -> None:
    to_directories: dict[str, str] = {}
    files = set(found.files)
    for link in links:
        try:
            target = resolve(root, link, taken, seen_by_main)
        except Refused as refusal:
            found.problems.append((link, str(refusal)))
            continue
        if target in files or (target in taken and not _exists(root, target)):
            found.links[link] = target
            found.notes.append((link, f"is a link to {target}: saved as a file with that content"))
        elif target and not _is_directory(root, target):
            found.problems.append((link, f"links to {_printable(target)}, which cannot be saved; remove the link"))
        else:
            to_directories[link] = target
    behind = sorted([*found.files, *found.links, *found.directories])
    for link, target in to_directories.items():
        if not target or link.startswith(target + "/"):
            found.problems.append((link, "links to a directory that it lies in; remove the link"))
            continue
        if len(found.links) >= _MAX_LINKED_FILES:
            found.problems.append(
                (link, f"more than {_MAX_LINKED_FILES} files lie behind links to directories; copy what shall be saved")
            )
            continue
        found.notes.append((link, f"is a link to the directory {target}: saved as a directory with the same files"))
        for inner in _below(behind, target + "/"):
            path = link + inner[len(target) :]
            if inner.endswith("/"):
                found.directories.append(path)
            else:
                found.links[path] = found.links.get(inner, inner)
        for other in to_directories:
            if other.startswith(target + "/"):
                inner = link + other[len(target) :]
                found.problems.append((inner, "is a link to a directory in a directory that is itself linked to; copy it instead"))


def _below(paths: list[str], prefix: str) -> Iterator[str]:
    start = bisect_left(paths, prefix)
    while start < len(paths) and paths[start].startswith(prefix):
        yield paths[start]
        start += 1


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


def _printable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
