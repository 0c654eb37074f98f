"""One large file from several streams at once, its digest computed in order while the bytes pass.

A file is cut into segments, and each is a stream that writes what comes where it belongs. The digest follows: the thread of the
front segment (the first one that is not hashed to its end) hashes what it has just written. What comes for later segments is held
in memory until its turn comes, as far as `Holding` allows, and what is not held is read back out of the page cache: so memory does
not grow with the file. No segment is begun more than `window` ahead of the digest: else the download would end long before it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted

if TYPE_CHECKING:
    from typing_extensions import Buffer

SEGMENT_BYTES: Final = 8 << 20
_BACK_BYTES: Final = 1 << 20


class Holding:
    """How many bytes are held in memory until they can be hashed, of all files together.

    Args:
        most: bytes.
    """

    def __init__(self, most: int = 32 << 20) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there is room; takes it if there is."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Gives room back."""
        with self._lock:
            self._left += size


class Assembly:
    """A file that comes in segments. Safe to use from several threads, one for each segment.

    Args:
        wanted: of known size.
        window: how many segments are under way at once.
        moved_on: called when another segment may be begun.
        in_segments: else it is one, whatever its size.
    """

    def __init__(
        self,
        wanted: Wanted,
        shelf: Shelf,
        window: int = 1,
        moved_on: Callable[[], None] = lambda: None,
        holding: Holding | None = None,
        *,
        in_segments: bool = True,
    ) -> None:
        self.wanted = wanted
        self.count = max(1, -(-wanted.size // SEGMENT_BYTES)) if wanted.is_pinned and in_segments else 1
        self.digest = ""
        """SHA-256, once all is there."""
        self._shelf = shelf
        self._window = window
        self._moved_on = moved_on
        self._holding = holding or Holding(0)
        self._held: dict[int, list[Buffer]] = {}
        self._lock = threading.Lock()
        self.temporary = ""
        """Where the bytes are; empty before the first."""
        self._file = -1
        self._next = 0
        self._front = 0
        self._hashed = 0
        self._hash = hashlib.sha256()
        self._complete = set[int]()

    @property
    def ahead(self) -> int | None:
        """How many segments are under way or wait to be hashed; None if no further one may be begun now."""
        ahead = self._next - self._front
        return ahead if self._next < self.count and ahead < self._window else None

    @property
    def is_begun(self) -> bool:
        """Whether every segment has been given out."""
        return self._next >= self.count

    @property
    def is_over(self) -> bool:
        """Whether the file has its final name, or was given up."""
        return self._front >= self.count and self._file < 0

    def take(self) -> Segment:
        """The next segment. To be called by one thread at a time, when `ahead` allows it."""
        segment = Segment(self, self._next)
        self._next += 1
        return segment

    def file(self) -> int:
        """The open file, made at the first call at its full size.

        Raises:
            FetchError: there is no room for it.
        """
        with self._lock:
            if self._file < 0:
                self.temporary = self._shelf.temporary()
                try:
                    self._file = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
                    # A disk that is too small is told of now, not after an hour. Allocating it would cost as much as writing on
                    # some file systems, and nobody else writes here.
                    volume = os.fstatvfs(self._file)
                    if volume.f_bavail * volume.f_frsize < self.wanted.size:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError as error:
                    raise self._shelf.failed(error, self.wanted, self.temporary) from None
            return self._file

    def write(self, segment: Segment, data: Buffer) -> None:
        """Writes what has come for a segment, and hashes it if its turn has come.

        Raises:
            FetchError: it cannot be written.
        """
        try:
            length = _write_at(self._file, data, segment.position)
            if self._front == segment.number:
                if self._hashed == segment.position:
                    self._hash.update(data)
                    self._hashed += length
                else:
                    self._hash_to(segment.number, segment.position + length)
            elif segment.is_held and self._holding.take(length):
                self._held.setdefault(segment.number, []).append(bytes(data))
            else:
                segment.is_held = False  # what is held is the segment's beginning, without a gap
        except OSError as error:
            raise self._shelf.failed(error, self.wanted, self.temporary) from None
        segment.position += length

    def ended(self, segment: Segment) -> bool:
        """To be called when a segment is whole; whether the file is now. `digest` and the size in `wanted` hold then."""
        number = segment.number
        with self._lock:
            self._complete.add(number)
            if self._front != number:
                return False  # the thread of the front hashes it when its turn comes
        while True:
            end = min((number + 1) * SEGMENT_BYTES, self.wanted.size) if self.count > 1 else segment.position
            self._hash_to(number, end)
            number += 1
            with self._lock:
                self._front = number
                more = number in self._complete
            self._moved_on()
            if number == self.count:
                self.digest = self._hash.hexdigest()
                return True
            if not more:
                return False

    def restart(self, segment: Segment) -> None:
        """Begins a file of one segment anew: what comes now may be another version."""
        os.ftruncate(self._file, 0)
        segment.position = 0
        self._hashed, self._hash = 0, hashlib.sha256()

    def place(self) -> None:
        """Gives the verified file its final name."""
        self._close()
        self._shelf.rename(self.wanted, self.temporary)

    def discard(self) -> None:
        """Removes what there is of the file."""
        for held in self._held.values():
            self._holding.give_back(sum(memoryview(data).nbytes for data in held))
        self._held.clear()
        if self._file >= 0:
            self._close()
            Path(self.temporary).unlink(missing_ok=True)

    def _close(self) -> None:
        os.close(self._file)
        self._file = -1

    def _hash_to(self, number: int, end: int) -> None:
        """Hashes a segment up to `end`, from where the digest stands."""
        for data in self._held.pop(number, ()):
            size = memoryview(data).nbytes
            self._hash.update(data)
            self._hashed += size
            self._holding.give_back(size)
        if self._hashed == end:
            return
        buffer = memoryview(bytearray(min(_BACK_BYTES, end - self._hashed)))
        while self._hashed < end:
            got = os.preadv(self._file, [buffer[: end - self._hashed]], self._hashed)
            if not got:
                raise OSError(errno.EIO, "the file has become shorter while it was written")
            self._hash.update(buffer[:got])
            self._hashed += got


class Segment:
    """A part of a file, loaded by one thread at a time."""

    __slots__ = ("assembly", "is_held", "number", "position")

    def __init__(self, assembly: Assembly, number: int) -> None:
        self.assembly = assembly
        self.number = number
        self.position = number * SEGMENT_BYTES
        """Where in the file the next byte belongs."""
        self.is_held = True
        """Whether all that came before its turn is held in memory."""

    @property
    def left(self) -> int:
        """How many bytes are missing."""
        return self.end - self.position

    @property
    def end(self) -> int:
        """Where in the file the next segment begins, or the file ends."""
        last = self.number == self.assembly.count - 1
        return self.assembly.wanted.size if last else (self.number + 1) * SEGMENT_BYTES

    @property
    def is_open(self) -> bool:
        """Whether it is read up to the end of the object: without a digest, only that shows that the object is not longer."""
        return self.number == self.assembly.count - 1 and not self.assembly.wanted.sha256


def _write_at(file: int, data: Buffer, offset: int) -> int:
    view = memoryview(data)
    written = os.pwrite(file, view, offset)
    while written < view.nbytes:
        written += os.pwrite(file, view[written:], offset + written)
    return view.nbytes
