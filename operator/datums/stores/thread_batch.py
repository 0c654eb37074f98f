"""Many small requests at once, for drivers that can only send one at a time: a thread for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from datums.stores.clients import CALL_SECONDS
from datums.stores.errors import StoreError, Unavailable
from datums.stores.protocol import Store

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
Work: TypeAlias = "tuple[int, Callable[[], Buffer]]"
_LOOK_SECONDS: Final = 1.0


class ThreadBatch(Generic[T]):
    """A `Batch` of any store. A call that does not come back in time is left to its thread.

    Args:
        at_once: how many threads there are at most, besides those that are left behind.
    """

    def __init__(self, store: Store, at_once: int) -> None:
        self._store = store
        self._at_once = at_once
        self._flying: dict[int, tuple[T, str, float]] = {}
        self._number = 0
        self._threads = 0
        self._todo: SimpleQueue[Work | None] = SimpleQueue()
        self._ended: SimpleQueue[tuple[int, Buffer | BaseException]] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._flying)

    def read(self, tag: T, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> None:
        self._begin(tag, key, lambda: self._store.read(key, offset, length, etag=etag, version=version))

    def put(self, tag: T, key: str, data: Buffer) -> None:
        def write() -> Buffer:
            self._store.put(key, data)
            return b""

        self._begin(tag, key, write)

    def take(self, seconds: float) -> Iterator[tuple[T, Buffer | StoreError]]:
        until = time.monotonic() + seconds
        given = False
        while self._flying:
            wait = 0.0 if given else min(_LOOK_SECONDS, until - time.monotonic())
            try:
                number, answer = self._ended.get(timeout=wait) if wait > 0 else self._ended.get_nowait()
            except Empty:
                if overdue := self._overdue():
                    yield from overdue
                    return
                if given or time.monotonic() >= until:
                    return
                continue
            if number not in self._flying:
                continue  # was given up
            tag, _, _ = self._flying.pop(number)
            if isinstance(answer, BaseException):
                if not isinstance(answer, StoreError):
                    raise answer
                yield tag, answer
            else:
                yield tag, answer
            given = True

    def close(self) -> None:
        self._flying.clear()
        for _ in range(self._threads):
            self._todo.put(None)

    def _begin(self, tag: T, key: str, call: Callable[[], Buffer]) -> None:
        self._number += 1
        self._flying[self._number] = tag, key, time.monotonic() + CALL_SECONDS
        self._todo.put((self._number, call))
        if self._threads < min(self._at_once, len(self._flying)):
            self._threads += 1
            threading.Thread(target=self._run, name="batch", daemon=True).start()

    def _run(self) -> None:
        while (work := self._todo.get()) is not None:
            number, call = work
            try:
                answer: Buffer | BaseException = call()
            except BaseException as error:  # noqa: BLE001  handed to the thread that takes
                answer = error
            given_up = number not in self._flying
            self._ended.put((number, answer))
            if given_up:
                return  # another thread has its place

    def _overdue(self) -> list[tuple[T, StoreError]]:
        now = time.monotonic()
        late = [number for number, (_, _, due) in self._flying.items() if due <= now]
        found: list[tuple[T, StoreError]] = []
        for number in late:
            tag, key, _ = self._flying.pop(number)
            self._threads -= 1  # the one that is left behind counts no more
            uri = self._store.uri(key)
            found.append((tag, Unavailable(f"{uri} did not answer for {CALL_SECONDS:.0f} s", store=self._store.name, key=key)))
        return found
