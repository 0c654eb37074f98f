"""Loads the small files of one store, many at once, in one thread: a thread for each costs more than the files do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from datums.stores.errors import StoreError
from datums.transfer.fetch_arrivals import Arrivals
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_retry import Patience
from datums.transfer.fetch_stores import Line
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.flights import Flight
from datums.transfer.trips import Trips
from datums.transfer.workers import Stopped

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.protocol import Batch

SMALL_BYTES: Final = 512 << 10
"""What is not larger is loaded whole into memory, if its size and version are certain."""
_TRIES: Final = 2
_LOOK_SECONDS: Final = 0.2
_END_SECONDS: Final = 5.0


class _Trip:
    """One file on its way."""

    __slots__ = ("flight", "patience", "tries", "wanted")

    def __init__(self, wanted: Wanted, flight: Flight) -> None:
        self.wanted = wanted
        self.flight = flight
        self.tries = 1
        """How often its bytes have come, with this time."""
        self.patience: Patience | None = None


class SmallFiles:
    """Begins at once, in a thread of its own.

    Args:
        files: of known size and version, none larger than `SMALL_BYTES`.
        at_once: how many are on their way at most.
        held: bytes of these, at most.
        stopped: set when the rest of the work is pointless; by this thread after an error.
    """

    def __init__(
        self,
        files: Iterator[Wanted],
        line: Line,
        arrivals: Arrivals,
        progress: Progress,
        stopped: Stopped,
        *,
        at_once: int,
        held: int,
    ) -> None:
        self._files = files
        self._line = line
        self._arrivals = arrivals
        self._progress = progress
        self._stopped = stopped
        self._next: _Trip | None = None
        self._held = 0
        self._most_held = held
        self._trips: Trips[_Trip] = Trips(lambda: line.store, at_once, line.pace, _send, self._failed)
        self._thread = threading.Thread(target=self._run, name="small", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Returns when everything is done, or soon after something went wrong."""
        while self._thread.is_alive() and not self._stopped.is_set():
            self._thread.join(1.0)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                pause = self._begin()
                if len(self._trips):
                    for trip, answer in self._trips.turn(pause):
                        self._ended(trip, answer)
                        self._begin()  # not after the last of many answers: their requests would all be late by that
                elif self._next is None:
                    break
                else:
                    self._stopped.wait(pause)
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            self._stopped.fail(error)
        finally:
            self._trips.close()

    def _begin(self) -> float:
        """Begins as many as there is room for; the seconds after which there may be more."""
        while (trip := self._due()) is not None:
            if self._held and self._held + trip.wanted.size > self._most_held:
                break
            if (pause := self._trips.begin(trip)) > 0:
                return pause
            self._next = None
            self._held += trip.wanted.size
        return _LOOK_SECONDS

    def _due(self) -> _Trip | None:
        """Whose turn it is."""
        while self._next is None and not self._stopped.is_set() and (wanted := next(self._files, None)) is not None:
            if self._arrivals.is_there(wanted):
                continue
            if wanted.size:
                flight = Flight(self._line.store.uri(wanted.key))
                self._progress.flights.add(flight)
                self._next = _Trip(wanted, flight)
            else:
                self._arrivals.take([(wanted, [])], last=True)  # no service has a range of nothing
        return self._next

    def _ended(self, trip: _Trip, answer: Buffer | StoreError) -> None:
        if isinstance(answer, StoreError):
            raise answer
        trip.flight.moved()
        if self._arrivals.take([(trip.wanted, [answer])], last=trip.tries == _TRIES):
            # Perhaps it was damaged on its way.
            trip.tries += 1
            self._trips.again(trip, 0.0)
        else:
            self._held -= trip.wanted.size
            self._progress.flights.remove(trip.flight)

    def _failed(self, trip: _Trip, error: StoreError) -> float:
        trip.patience = trip.patience or Patience(self._line, trip.flight)
        try:
            return trip.patience.pause(error)
        except StoreError as given_up:
            raise self._arrivals.refused(given_up, trip.wanted) from None


def _send(batch: Batch[_Trip], trip: _Trip) -> None:
    wanted = trip.wanted
    batch.read(trip, wanted.key, wanted.offset, wanted.size, etag=wanted.etag, version=wanted.version)
