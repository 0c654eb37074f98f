"""Bytes of a file that come one after the other, by one request or, where that is cut, by several."""

from __future__ import annotations

import os

from datums.stores.sink import FileSink, Sink
from datums.transfer.fetch_partial import Partial
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted


class Stream:
    """For one thread at a time.

    Args:
        sink: where they go; empty.
        begin: where in the file the first of them belongs.
        end: and where the first that is not of them.
        is_open: whether it is read up to the end of the object, wherever that is.
    """

    def __init__(self, wanted: Wanted, sink: Sink, begin: int, end: int, *, is_open: bool = False) -> None:
        self.wanted = wanted
        self.sink = sink
        self.begin = begin
        self.end = end
        self.is_open = is_open

    @property
    def position(self) -> int:
        """Where in the file the next byte belongs."""
        return self.begin + self.sink.position

    @property
    def left(self) -> int:
        """How many bytes are missing."""
        return self.end - self.position


class Alone(Stream):
    """A file of any size, hashed as it is written; to be ended, whatever happens.

    Raises:
        FetchError: it cannot be made.
    """

    sink: FileSink

    def __init__(self, wanted: Wanted, shelf: Shelf) -> None:
        self._partial = Partial(wanted, shelf)
        try:
            sink = FileSink(self._partial.file, hashed=True)
        except OSError as error:
            self._partial.discard()
            raise shelf.failed(error, wanted) from None
        # Without a digest, only the end of the object shows that it is not longer than was listed.
        super().__init__(wanted, sink, 0, wanted.size, is_open=not wanted.sha256)

    def restart(self) -> None:
        """Begins anew: what comes now may be another version."""
        os.ftruncate(self._partial.file, 0)
        self.sink.restart()

    def close(self) -> str:
        """Ends writing; the SHA-256."""
        return self.sink.close()

    def place(self) -> None:
        """Gives the verified file its final name.

        Raises:
            FetchError: it cannot have it.
        """
        self._partial.place()

    def discard(self) -> None:
        """Removes what has no final name."""
        self.sink.close()
        self._partial.discard()
