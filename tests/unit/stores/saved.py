"""A file of a test's own, for the body of an answer."""

from __future__ import annotations

import os

from datums.stores.sink import FileSink
from datums.stores.wire import Reply, Request, Wire


class Saved:
    """What `Wire.save` tells and writes.

    Args:
        most: as many bytes may come; 0 for any number.
    """

    def __init__(self, most: int = 0) -> None:
        self.replies: list[Reply] = []
        self.came: list[int] = []
        self._most = most
        self.file = os.memfd_create("saved")
        self.sink = FileSink(self.file, hashed=True)

    def __del__(self) -> None:
        os.close(self.file)

    def begin(self, reply: Reply) -> None:
        self.replies.append(reply)

    def count(self, size: int) -> None:
        self.came.append(size)

    @property
    def data(self) -> bytes:
        return os.pread(self.file, 1 << 30, 0)

    def from_wire(self, wire: Wire, target: str = "/") -> bytes:
        """All that is in the file after one more request."""
        wire.save(Request("GET", target, {}), self.sink, self._most, self.begin, self.count)
        return self.data
