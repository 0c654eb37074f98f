"""Threads that do one task after another. concurrent.futures would do, but takes longer to import than a small fetch takes to run,
and cannot leave a thread behind that hangs in a call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from datums.transfer.flights import Abandoned, Flight, Flights

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
        work: does a task; `again` does one whose thread was left behind (flights.py).
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
        again: Callable[[T, Flight], None] | None = None,
        name: str = "worker",
    ) -> None:
        self._take = take
        self._work = work
        self._uri = uri
        self._again = again or work
        self._flights = flights
        self._stopped = stopped
        self._name = name
        self._changed = threading.Condition()
        self._running = 0
        for _ in range(threads):
            self._start(None)

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

    def take_over(self, flight: Flight) -> None:
        """Does a task anew whose thread hangs."""
        with self._changed:
            self._running -= 1  # the thread that is left behind counts no more
        self._start(flight)

    def _start(self, late: Flight | None) -> None:
        with self._changed:
            self._running += 1
        try:
            threading.Thread(target=self._run, args=(late,), name=self._name, daemon=True).start()
        except RuntimeError as error:  # there may be no more threads
            with self._changed:
                self._running -= 1
                alone = not self._running
            if late is not None or alone:
                self._stopped.fail(error)

    def _run(self, late: Flight | None) -> None:
        try:
            if late is not None:
                self._do(late.anew(), self._again)
            while not self._stopped.is_set():
                task = self._take()
                if task is None:
                    break
                self._do(Flight(self._uri(task), task, self), self._work)
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            self._stopped.fail(error)
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _do(self, flight: Flight, work: Callable[[T, Flight], None]) -> None:
        self._flights.add(flight)
        try:
            work(flight.work, flight)
        finally:
            self._flights.remove(flight)


def one_by_one(items: Iterator[T]) -> Callable[[], T | None]:
    """An iterator for several threads: the next item, None after the last."""
    lock = threading.Lock()

    def take() -> T | None:
        with lock:
            return next(items, None)

    return take
