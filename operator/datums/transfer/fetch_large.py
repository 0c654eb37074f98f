"""One large file from several streams at once, its digest computed in order while the bytes pass.

A file of one stream is hashed as it is written. Else it is cut into segments, each of which is a stream that writes what comes
where it belongs, and the digest follows: the thread that has ended the front segment (the first one that is not hashed) reads it
back out of the page cache, and those behind it that have ended meanwhile. No segment is begun more than `window` ahead of the
digest: else the download would end long before it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from datums.stores.sink import Sink
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted

SEGMENT_BYTES: Final = 8 << 20
_BACK_BYTES: Final = 256 << 10
_MODE: Final = 0o444


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

    def open(self, segment: Segment) -> None:
        """Opens the file for a segment; it is made at the first call.

        Raises:
            FetchError: there is no room for it.
        """
        try:
            with self._lock:
                if self._file < 0:
                    self._make()
            segment.open(os.open(self.temporary, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            # The file itself goes with `discard`: other segments may be under way.
            raise self._shelf.failed(error, self.wanted) from None

    def _make(self) -> None:
        self.temporary = self._shelf.temporary()
        self._file = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # A disk that is too small is told of now, not after an hour. Allocating it would cost as much as writing on some file
        # systems, and nobody else writes here.
        volume = os.fstatvfs(self._file)
        if volume.f_bavail * volume.f_frsize < self.wanted.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def ended(self, segment: Segment) -> bool:
        """To be called when a segment is whole and closed; whether the file is now. `digest` holds then.

        Raises:
            OSError: it cannot be read back.
        """
        if self.count == 1:
            self._front, self.digest = 1, segment.sha256
            return True
        number = segment.number
        with self._lock:
            self._complete.add(number)
            if self._front != number:
                return False  # the thread of the front hashes it when its turn comes
        while True:
            self._hash_to(min((number + 1) * SEGMENT_BYTES, self.wanted.size))
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

    def place(self) -> None:
        """Gives the verified file its final name."""
        if self.count > 1:
            # Behind it there may be what came in place of its last segment, and was taken back.
            os.ftruncate(self._file, self.wanted.size)
        os.fchmod(self._file, _MODE)
        self._close()
        self._shelf.rename(self.wanted, self.temporary)

    def discard(self) -> None:
        """Removes what there is of the file."""
        if self._file >= 0:
            self._close()
            Path(self.temporary).unlink(missing_ok=True)

    def _close(self) -> None:
        os.close(self._file)
        self._file = -1

    def _hash_to(self, end: int) -> None:
        buffer = memoryview(bytearray(min(_BACK_BYTES, end - self._hashed)))
        while self._hashed < end:
            got = os.preadv(self._file, [buffer[: end - self._hashed]], self._hashed)
            if not got:
                raise OSError(errno.EIO, "the file has become shorter while it was written")
            self._hash.update(buffer[:got])
            self._hashed += got


class Segment:
    """A part of a file, loaded by one thread at a time."""

    __slots__ = ("_file", "assembly", "number", "position", "sha256", "sink")

    sink: Sink
    """Where what comes goes, while the file is open."""

    def __init__(self, assembly: Assembly, number: int) -> None:
        self.assembly = assembly
        self.number = number
        self.position = number * SEGMENT_BYTES
        """Where in the file the next byte belongs."""
        self.sha256 = ""
        """Of a file of one segment, once it is closed."""

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

    def open(self, file: int) -> None:
        """Begins to write.

        Args:
            file: a descriptor of its own.
        """
        self._file = file
        try:
            os.lseek(file, self.position, os.SEEK_SET)
            self.sink = Sink(file, hashed=self.assembly.count == 1)
        except BaseException:
            os.close(file)
            raise

    def restart(self) -> None:
        """Begins a file of one segment anew: what comes now may be another version."""
        self.position = 0
        os.ftruncate(self._file, 0)
        self.sink.restart()

    def close(self) -> None:
        """Ends writing."""
        self.sha256 = self.sink.close()
        os.close(self._file)
