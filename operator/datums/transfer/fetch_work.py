"""The order of the work on one store, but for its small files: segments of large files first, then packs, each thread taking the
next."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from datums.transfer.download import Task
from datums.transfer.fetch_large import Assembly, Blocks, Segment
from datums.transfer.fetch_packs import spans
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_small import SMALL_BYTES
from datums.transfer.fetch_spool import Spool

_LARGE_AT_ONCE = 4
_MIDDLE_BYTES = 32 << 20
"""What is not larger is the work of one thread: then nothing is read back for its digest."""
_ANY_SIZE = 1 << 62


class Queue:
    """What is to be done. Safe to use from several threads.

    Args:
        store: its name.
        blocks: how many segments are in memory at once.
        span_bytes: about as much of a pack is read at once.
    """

    def __init__(self, spool: Spool, shelf: Shelf, store: str, blocks: int, span_bytes: int, stopped: threading.Event) -> None:
        self._shelf = shelf
        self._blocks = Blocks(blocks, self._moved_on)
        self._stopped = stopped
        self._changed = threading.Condition()
        self._open: list[Assembly] = []
        self._large = spool.alone(store, _MIDDLE_BYTES, _ANY_SIZE)
        self._rest = _rest(spool, store, span_bytes)
        self._assemblies: list[Assembly] = []

    def take(self) -> Task | None:
        """The next task; None after the last. Waits while there is none that may be begun already."""
        with self._changed:
            while not self._stopped.is_set():
                if task := self._segment() or next(self._rest, None):
                    if isinstance(task, Segment) and task.assembly.is_begun:
                        self._changed.notify_all()  # who waits for a segment of it waits in vain
                    return task
                if not self._open:
                    return None
                self._changed.wait(1.0)
        return None

    def discard(self) -> None:
        """Removes files that are half there, once all threads have ended."""
        for assembly in self._assemblies:
            assembly.discard()

    def _segment(self) -> Task | None:
        self._open = [assembly for assembly in self._open if not assembly.is_begun]
        assembly = min(self._open, key=lambda one: one.ahead, default=None)
        if (assembly is None or assembly.is_behind) and len(self._open) < _LARGE_AT_ONCE:
            wanted = next(self._large, None)
            if wanted is not None:
                if wanted.loaded or not wanted.is_pinned:
                    return wanted
                assembly = Assembly(wanted, self._shelf, self._blocks)
                self._open.append(assembly)
                self._assemblies = [one for one in self._assemblies if not one.is_over] + [assembly]
        if assembly is None or (block := self._blocks.lend()) is None:
            return None
        return assembly.take(block)

    def _moved_on(self) -> None:
        with self._changed:
            self._changed.notify()  # one more may be begun


def _rest(spool: Spool, store: str, most: int) -> Iterator[Task]:
    yield from spool.alone(store, SMALL_BYTES, _MIDDLE_BYTES)
    yield from spans(spool.packed(store), most)
    yield from spool.small(store, SMALL_BYTES, certain=False)
