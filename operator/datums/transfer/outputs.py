"""Reading the outputs directory while hostile code may change it.

`ship` can read more than main may, so no path is ever handed to the kernel whole: every component is opened beneath its parent
without following links, and nothing but a regular file is opened for reading.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

MAX_PATH_BYTES = 4096
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """What tells that a file is still the one that was read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Refused(Exception):
    """A file that cannot be saved; the message says why and what to do."""


class Gone(Exception):
    """There is no such file (any more), or no regular one."""


class Found(NamedTuple):
    """What lies at a path below the outputs directory."""

    path: str
    """POSIX, names that are not UTF-8 with surrogate escapes; an empty directory's ends in a slash."""
    status: os.stat_result


def open_directory(root: int, path: str) -> int:
    """A descriptor of a directory beneath `root`, reached without following a link.

    Raises:
        OSError: a component is missing, a link or no directory.
    """
    fd = os.dup(root)
    for name in path.split("/") if path else ():
        parent = fd
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)
    return fd


@contextlib.contextmanager
def opened(root: int, path: str) -> Iterator[int]:
    """A descriptor of the regular file at `path` beneath `root`, for reading.

    Raises:
        Gone: it is not there, or something else than a regular file is.
        Refused: it cannot be read.
    """
    parent, _, name = path.rpartition("/")
    try:
        directory = open_directory(root, parent)
        try:
            fd = os.open(name, _FILE, dir_fd=directory)
        finally:
            os.close(directory)
    except PermissionError:
        raise Refused("cannot be read: permission denied; make it readable for its owner") from None
    except OSError as error:
        # ELOOP: a link; ENXIO: a socket or a device without a driver.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise Gone(path) from None
        raise Refused(f"cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Gone(path)
        yield fd
    finally:
        os.close(fd)


def walk(root: int, problems: list[tuple[str, str]] | None = None) -> Iterator[Found]:
    """Everything beneath `root` that is no directory, and every empty directory, in no order; links are not followed.

    Args:
        root: descriptor of the outputs directory.
        problems: receives (path, message) of every directory that could not be listed. What vanishes meanwhile is left out.
    """
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        try:
            with _listed(root, directory) as (fd, names):
                for name in names:
                    path = f"{directory}/{name}" if directory else name
                    with contextlib.suppress(FileNotFoundError):
                        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                        if not stat.S_ISDIR(status.st_mode):
                            yield Found(path, status)
                        elif len(os.fsencode(path)) < MAX_PATH_BYTES:
                            waiting.append(path)
                        elif problems is not None:
                            problems.append(
                                (path, f"lies deeper than {MAX_PATH_BYTES} bytes of path; shorten the names of its directories")
                            )
                if directory and not names:
                    yield Found(directory + "/", os.fstat(fd))
        except OSError as error:
            if problems is not None:
                problems.append((directory, f"the directory cannot be listed: {error.strerror}; make it readable for its owner"))


def is_open_for_writing(fd: int) -> bool | None:
    """Whether somebody has the file open for writing, in whatever container; None where the kernel does not tell.

    A read lease is refused while there is a writer. It is given back at once: a writer that comes just then waits for that long,
    and the process gets SIGIO, which `ship` ignores.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


@contextlib.contextmanager
def _listed(root: int, path: str) -> Iterator[tuple[int, list[str]]]:
    fd = open_directory(root, path)
    try:
        yield fd, os.listdir(fd)  # noqa: PTH208  pathlib knows no descriptors
    finally:
        os.close(fd)
