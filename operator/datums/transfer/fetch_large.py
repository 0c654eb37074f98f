"""One large file from several streams at once, its digest computed in order while the bytes pass.

It is cut into segments. Each comes into memory, is written where it belongs, and then waits for the digest: the thread that has
ended the front segment (the first one that is not hashed) hashes it, and those behind it that have ended meanwhile. To read them
back out of the page cache instead took a sixth more CPU time in all (docs/performance.md).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Final

from datums.stores.answers import ERROR_BYTES
from datums.stores.sink_memory import Block
from datums.transfer.fetch_partial import Partial
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_stream import Stream
from datums.transfer.fetch_wanted import Wanted

SEGMENT_BYTES: Final = 12 << 20
_FAR_BEHIND: Final = 3


class Blocks:
    """Memory for segments, used again. Safe to use from several threads.

    Args:
        most: so many segments.
        given_back: called when there is some again.
    """

    def __init__(self, most: int, given_back: Callable[[], None]) -> None:
        self._left = most
        self._given_back = given_back
        self._lock = threading.Lock()
        self._free: list[Block] = []

    def lend(self) -> Block | None:
        """An empty one; None while there is none."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if not self._left:
                return None
            self._left -= 1
        # An error may come in place of the last bytes, before it is taken back.
        return Block(SEGMENT_BYTES + ERROR_BYTES)

    def give_back(self, block: Block) -> None:
        """Ends what `lend` began."""
        block.restart()
        with self._lock:
            self._free.append(block)
        self._given_back()


class Assembly:
    """A file that comes in segments. Safe to use from several threads, one for each segment.

    Args:
        wanted: of known size, and pinned.
    """

    def __init__(self, wanted: Wanted, shelf: Shelf, blocks: Blocks) -> None:
        self.wanted = wanted
        self.digest = ""
        """SHA-256, once all is there."""
        self._count = -(-wanted.size // SEGMENT_BYTES)
        self._shelf = shelf
        self._blocks = blocks
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._partial: Partial | None = None
        self._next = 0
        self._front = 0
        self._hash = hashlib.sha256()
        self._complete: dict[int, Block] = {}

    @property
    def ahead(self) -> int:
        """How many segments are under way or wait to be hashed."""
        return self._next - self._front

    @property
    def is_behind(self) -> bool:
        """Whether the digest is what takes the time."""
        return len(self._complete) >= _FAR_BEHIND

    @property
    def is_begun(self) -> bool:
        """Whether every segment has been given out."""
        return self._next >= self._count

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be discarded."""
        return self._partial is not None and self._partial.file < 0

    def take(self, block: Block) -> Segment:
        """The next segment. To be called by one thread at a time."""
        segment = Segment(self, self._next, block)
        self._next += 1
        return segment

    def open(self) -> None:
        """Makes the file, at the first call.

        Raises:
            FetchError: there is no room for it.
        """
        with self._lock:
            if self._partial is None:
                self._partial = Partial(self.wanted, self._shelf)

    def ended(self, segment: Segment) -> bool:
        """To be called when a segment is whole; whether the file is now. `digest` holds then.

        Raises:
            FetchError: it cannot be written.
        """
        try:
            self._write(segment)
        except OSError as error:
            raise self._shelf.failed(error, self.wanted) from None
        number = segment.number
        with self._lock:
            self._complete[number] = segment.sink
            if self._front != number:
                return False  # the thread of the front hashes it when its turn comes
        while True:
            block = self._complete[number]
            self._hash.update(block.read())
            number += 1
            with self._lock:
                del self._complete[number - 1]
                self._front = number
                more = number in self._complete
            self._blocks.give_back(block)
            if number == self._count:
                self.digest = self._hash.hexdigest()
                return True
            if not more:
                return False

    def _write(self, segment: Segment) -> None:
        assert self._partial is not None
        data, at = segment.sink.read(), segment.begin
        # The kernel lets one thread at a time write a file, and has the others wait in a loop that takes a whole core.
        with self._writing:
            while data:
                size = os.pwrite(self._partial.file, data, at)
                data, at = data[size:], at + size

    def place(self) -> None:
        """Gives the verified file its final name.

        Raises:
            FetchError: it cannot have it.
        """
        assert self._partial is not None
        self._partial.place()

    def discard(self) -> None:
        """Removes what there is of the file."""
        if self._partial is not None:
            self._partial.discard()


class Segment(Stream):
    """A part of a file, loaded by one thread at a time."""

    sink: Block

    def __init__(self, assembly: Assembly, number: int, block: Block) -> None:
        wanted, begin = assembly.wanted, number * SEGMENT_BYTES
        end = min(begin + SEGMENT_BYTES, wanted.size)
        # Without a digest, only the end of the object shows that it is not longer than was told.
        super().__init__(wanted, block, begin, end, is_open=end == wanted.size and not wanted.sha256)
        self.assembly = assembly
        self.number = number
