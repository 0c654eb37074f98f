"""Memory for the bytes on their way, bounded and used again: to map and fault in fresh pages costs more than to hash them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ROUNDED_TO = 1 << 20


class Buffers:
    """Some bytes of memory, lent out in pieces of any size. Safe to use from several threads.

    Args:
        limit: bytes lent out at most, whoever asks. One who needs more than all of it gets it when nobody else has any.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lent = 0
        self._kept = 0
        self._free: list[bytearray] = []
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, size: int) -> Iterator[memoryview]:
        """Exactly `size` bytes, with anything in them. Waits for them."""
        memory = self.take(size)
        try:
            yield memoryview(memory)[:size]
        finally:
            self.give_back(memory)

    def take(self, size: int) -> bytearray:
        """At least `size` bytes, with anything in them, until they are given back. Waits for them."""
        rounded = -(-max(size, 1) // _ROUNDED_TO) * _ROUNDED_TO
        with self._changed:
            self._changed.wait_for(lambda: not self._lent or self._lent + rounded <= self._limit)
            # The smallest that is large enough, if it is not far too large: it counts as a whole.
            fits = [n for n, memory in enumerate(self._free) if rounded <= len(memory) <= 2 * rounded]
            fits = [n for n in fits if not self._lent or self._lent + len(self._free[n]) <= self._limit]
            if fits:
                memory = self._free.pop(min(fits, key=lambda n: len(self._free[n])))
                self._kept -= len(memory)
                self._lent += len(memory)
                return memory
            while self._free and self._lent + self._kept + rounded > self._limit:
                self._kept -= len(self._free.pop(0))
            self._lent += rounded
        return bytearray(rounded)

    def give_back(self, memory: bytearray) -> None:
        """Ends what `take` began."""
        with self._changed:
            self._lent -= len(memory)
            if self._lent + self._kept + len(memory) <= self._limit:
                self._free.append(memory)
                self._kept += len(memory)
            self._changed.notify_all()
