"""Threads that do one task after another. concurrent.futures would do, but takes longer to import than a small fetch takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from datums.transfer.flights import Flight, Flights

T = TypeVar("T")

_END_SECONDS: Final = 5.0


class Stopped(threading.Event):
    """Set when the rest of some work is pointless: what came first is what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._first = threading.Lock()

    def fail(self, error: BaseException) -> None:
        """Sets it. Other errors than the first only follow from that."""
        with self._first:
            self.error = self.error or error
        self.set()

    def check(self) -> None:
        """Raises what went wrong."""
        if self.error is not None:
            raise self.error


class Workers(Generic[T]):
    """Calls `work` with every task, in `threads` threads; the first exception ends it all.

    Args:
        take: the next task; None after the last. May block, but not for long once `stopped` is set.
        work: does a task.
        uri: names a task in messages.
        stopped: set at the first exception, for calls that are under way.
    """

    def __init__(
        self,
        take: Callable[[], T | None],
        work: Callable[[T, Flight], None],
        uri: Callable[[T], str],
        *,
        threads: int,
        flights: Flights,
        stopped: Stopped,
        name: str = "worker",
    ) -> None:
        self._take = take
        self._work = work
        self._uri = uri
        self._flights = flights
        self._stopped = stopped
        self._name = name
        self._changed = threading.Condition()
        self._running = 0
        for _ in range(threads):
            self._start()

    def wait(self) -> None:
        """Returns when everything is done.

        Raises:
            BaseException: the first that a call raised, once the threads have ended or had a moment to do so.
        """
        self.join()
        self._stopped.check()

    def join(self) -> None:
        """Returns when everything is done, or soon after something went wrong."""
        with self._changed:
            while self._running and not self._stopped.is_set():
                self._changed.wait(1.0)
            if self._running:
                self._changed.wait_for(lambda: not self._running, _END_SECONDS)

    def _start(self) -> None:
        with self._changed:
            self._running += 1
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError as error:  # there may be no more threads
            with self._changed:
                self._running -= 1
                alone = not self._running
            if alone:
                self._stopped.fail(error)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set() and (task := self._take()) is not None:
                with self._flights.flight(self._uri(task)) as flight:
                    self._work(task, flight)
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            self._stopped.fail(error)
        with self._changed:
            self._running -= 1
            self._changed.notify_all()


def one_by_one(items: Iterator[T]) -> Callable[[], T | None]:
    """An iterator for several threads: the next item, None after the last."""
    lock = threading.Lock()

    def take() -> T | None:
        with lock:
            return next(items, None)

    return take
