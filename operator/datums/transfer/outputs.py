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

MAX_PATH_BYTES = 4096
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Identity(NamedTuple):
    """What tells that a file is still the one that was read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_still(self, fd: int) -> bool:
        """Whether the open file that it was taken of is unchanged."""
        status = os.fstat(fd)
        return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == (self.size, self.mtime_ns, self.ctime_ns)


class Refused(Exception):
    """A file that cannot be saved; the message says why and what to do."""


class Unreadable(Refused):
    """A file that could not be read this time; another time it may be possible."""


class NoDescriptors(Unreadable):
    """Nothing can be opened for the moment."""


class Gone(Exception):
    """There is no such file (any more), or no regular one."""


class Found(NamedTuple):
    """What lies at a path below the outputs directory."""

    path: str
    """POSIX, names that are not UTF-8 with surrogate escapes; an empty directory's ends in a slash."""
    status: os.stat_result


def is_text(path: str) -> bool:
    """Whether the path is UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str) -> str:
    """The path as text, whatever bytes it has."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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


class Directories:
    """Opens files beneath a directory, the last one's parent kept open: of files in their order, each directory is opened once.

    Args:
        root: descriptor of the directory.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._path: str | None = None
        self._fd = -1

    def __enter__(self) -> Directories:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            os.close(self._fd)

    def open_file(self, path: str) -> int:
        """A descriptor for reading, of whatever lies there, if that is no link.

        Raises:
            OSError: nothing can be opened there.
        """
        parent, _, name = path.rpartition("/")
        if parent != self._path:
            fd = open_directory(self._root, parent)
            if self._path is not None:
                os.close(self._fd)
            self._path, self._fd = parent, fd
        return os.open(name, _FILE, dir_fd=self._fd)


@contextlib.contextmanager
def opened(root: int, path: str) -> Iterator[int]:
    """A descriptor of the regular file at `path` beneath `root`, for reading.

    Raises:
        Gone: it is not there, or something else than a regular file is.
        Refused: it cannot be read.
        Unreadable: later it may work; `NoDescriptors` where too many files are open.
    """
    try:
        with Directories(root) as directories:
            fd = directories.open_file(path)
    except PermissionError:
        raise Refused("cannot be read: permission denied; make it readable for its owner") from None
    except OSError as error:
        # ELOOP: a link; ENXIO: a socket or a device without a driver.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise Gone(path) from None
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise NoDescriptors(f"cannot be read: {error.strerror} (at most {_most_files()} at once); raise that limit") from None
        raise _unreadable(error) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Gone(path)
        yield fd
    finally:
        os.close(fd)


def read_some(fd: int, size: int, offset: int) -> bytes:
    """At most `size` bytes of a file; none at its end.

    Raises:
        Unreadable
    """
    try:
        return os.pread(fd, size, offset)
    except OSError as error:
        raise _unreadable(error) from None


def read_exactly(fd: int, memory: memoryview, offset: int = 0) -> bool:
    """Fills the memory with a file's bytes from `offset` on; False where the file ends earlier.

    Raises:
        Unreadable
    """
    got = 0
    try:
        while got < len(memory):
            n = os.preadv(fd, [memory[got:]], offset + got)
            if not n:
                return False
            got += n
    except OSError as error:
        raise _unreadable(error) from None
    return True


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
                # In their order, for they go into a tree that is sorted.
                names.sort()
                for name in names:
                    path = f"{directory}/{name}" if directory else name
                    try:
                        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
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


def _unreadable(error: OSError) -> Unreadable:
    return Unreadable(f"cannot be read: {error.strerror}; mend the volume, or write the outputs to another one")


def _most_files() -> int:
    import resource  # noqa: PLC0415

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextlib.contextmanager
def _listed(root: int, path: str) -> Iterator[tuple[int, list[str]]]:
    fd = open_directory(root, path)
    try:
        yield fd, os.listdir(fd)  # noqa: PTH208  pathlib knows no descriptors
    finally:
        os.close(fd)
