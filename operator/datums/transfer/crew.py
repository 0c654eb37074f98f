"""Threads that work off what is handed to them, started when there is work for them."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Crew(Generic[T]):
    """Calls `work` with every item, in its own threads. `work` must not raise.

    Args:
        name: of the threads.
        threads: at most so many.
    """

    def __init__(self, name: str, threads: int, work: Callable[[T], None]) -> None:
        self._name = name
        self._limit = threads
        self._work = work
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0

    @property
    def waiting(self) -> int:
        """Items that no thread has begun with."""
        return len(self._items)

    def hand(self, item: T) -> None:
        """Returns at once, but where no thread can be started at all: then the work is done in this one, however long it takes."""
        with self._changed:
            if self._idle < len(self._items) + 1 and self._threads < self._limit:
                self._start()
            if is_done_by_threads := self._threads > 0:
                self._items.append(item)
                self._changed.notify()
        if not is_done_by_threads:
            self._work(item)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self._name}-{self._threads + 1}", daemon=True)
        with contextlib.suppress(RuntimeError):  # there may be no more threads
            thread.start()
            self._threads += 1

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._items:
                    self._changed.wait()
                self._idle -= 1
                item = self._items.popleft()
            self._work(item)
