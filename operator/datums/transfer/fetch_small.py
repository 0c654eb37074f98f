"""Loads the small files of one store, many at once, in one thread: a thread for each costs more than the files do.

A list of many files comes page by page, and each page takes as long as a file. The first files are loaded meanwhile, into memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from datums.stores.errors import StoreError
from datums.transfer.fetch_arrivals import Arrivals
from datums.transfer.fetch_early import Early
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
_EARLY_SHARE: Final = 2
"""Of the memory, this part is for files that are still being listed: the rest is for those whose turn it is then, …"""
_LIST_SHARE: Final = 8
"""… and of the requests, this part is for the list: it must not wait for files."""
_TAKEN_AT_ONCE: Final = 16
_TRIES: Final = 2
_LOOK_SECONDS: Final = 0.2
_SOON_SECONDS: Final = 0.02
_END_SECONDS: Final = 5.0


class _Trip:
    """One file on its way."""

    __slots__ = ("answer", "flight", "is_early", "patience", "tries", "wanted")

    def __init__(self, wanted: Wanted, flight: Flight, *, is_early: bool) -> None:
        self.wanted = wanted
        self.flight = flight
        self.is_early = is_early
        """Whether the list in which it stands is not known to its end; its bytes may be in vain then."""
        self.answer: Buffer | None = None
        """What has come of one that is early."""
        self.tries = 1
        """How often its bytes have come, with this time."""
        self.patience: Patience | None = None


class SmallFiles:
    """Loads in a thread of its own: from `offer` on into memory, from `go` on to where the files belong.

    Args:
        at_once: how many are on their way at most.
        held: bytes of these, at most.
        stopped: set when the rest of the work is pointless; by this thread after an error.
    """

    def __init__(self, line: Line, progress: Progress, stopped: Stopped, *, at_once: int, held: int) -> None:
        self._line = line
        self._progress = progress
        self._stopped = stopped
        self._arrivals: Arrivals | None = None
        self._files: Iterator[Wanted] = iter(())
        self._early: Early[_Trip] = Early()
        self._is_over = False
        """Whether none waits for its turn any more."""
        self._next: _Trip | None = None
        self._held = 0
        self._most_held = held
        self._trips: Trips[_Trip] = Trips(lambda: line.store, at_once, line.pace, _send, self._failed)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="small", daemon=True)
        self._thread.start()

    def offer(self, files: Iterable[Wanted]) -> None:
        """Loads the first of these while more are being listed; `go` is to follow.

        Args:
            files: with keys, sizes and versions, as they are listed.
        """
        with self._changed:
            self._early.offer(wanted for wanted in files if 0 < wanted.size <= SMALL_BYTES and (wanted.etag or wanted.version))
            self._changed.notify()

    def go(self, files: Iterator[Wanted], arrivals: Arrivals) -> None:
        """Everything is listed.

        Args:
            files: all, of known size and version, none larger than `SMALL_BYTES`; those that were offered in their order.
        """
        with self._changed:
            self._files, self._arrivals = files, arrivals
            self._changed.notify()

    def join(self) -> None:
        """Returns when everything is done, or soon after something went wrong."""
        while self._thread.is_alive() and not self._stopped.is_set():
            self._thread.join(1.0)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                is_listed = self._arrivals is not None
                pause = self._begin()
                if self._is_awaited:
                    for trip, answer in self._trips.turn(pause):
                        self._ended(trip, answer)
                        self._begin()  # not after the last of many answers: their requests would all be late by that
                elif self._next is not None:
                    self._stopped.wait(pause)
                elif self._is_over:
                    break
                elif not is_listed:
                    self._wait()
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            self._stopped.fail(error)
        finally:
            self._trips.close()
            for trip in self._early:
                self._progress.flights.remove(trip.flight)

    @property
    def _is_awaited(self) -> bool:
        """Whether something is on its way that is wanted: what was offered and is not listed in the end is not."""
        in_vain = sum(trip.answer is None for trip in self._early) if self._is_over else 0
        return len(self._trips) > in_vain

    def _wait(self) -> None:
        with self._changed:
            if not self._early.waits and self._arrivals is None:
                self._changed.wait(_LOOK_SECONDS)

    def _begin(self) -> float:
        """Begins as many as there is room for; the seconds after which there may be more."""
        while (trip := self._due()) is not None:
            if not self._has_room(trip):
                break
            if (pause := self._trips.begin(trip)) > 0:
                return pause
            self._next = None
            self._held += trip.wanted.size
            self._progress.flights.add(trip.flight)
        if self._arrivals is None:
            return _SOON_SECONDS
        return _LOOK_SECONDS if self._next or self._is_over else 0.0

    def _has_room(self, trip: _Trip) -> bool:
        held = self._held + trip.wanted.size
        if trip.is_early:
            allowed = self._line.pace.allowed
            return held <= self._most_held // _EARLY_SHARE and len(self._trips) < allowed - max(1, allowed // _LIST_SHARE)
        return held <= self._most_held or not len(self._trips)

    def _due(self) -> _Trip | None:
        """Whose turn it is."""
        if self._next is not None and self._next.is_early and self._arrivals is not None:
            # There may be no room for it before others are listed that have come: its turn comes as if it had not been offered.
            self._early.take(self._next.wanted)
            self._next = None
        taken = 0
        while self._next is None and taken < _TAKEN_AT_ONCE and not self._stopped.is_set():
            if self._arrivals is None:
                if (offered := self._early.next()) is None:
                    break
                self._next = self._trip(offered, is_early=True)
                self._early.begin(offered, self._next)
            elif (listed := next(self._files, None)) is None:
                self._is_over = True
                break
            else:
                self._list(listed, self._arrivals)
                taken += 1
        return self._next

    def _list(self, wanted: Wanted, arrivals: Arrivals) -> None:
        """Takes what has come of a file already, or lets it have its turn."""
        if arrivals.is_there(wanted):
            return
        if not wanted.size:
            arrivals.take([(wanted, [])], last=True)  # no service has a range of nothing
            return
        trip = self._early.take(wanted)
        if trip is None:
            self._next = self._trip(wanted, is_early=False)
            return
        trip.wanted, trip.is_early = wanted, False
        if trip.answer is not None:
            answer, trip.answer = trip.answer, None
            self._progress.flights.add(trip.flight)
            self._ended(trip, answer)

    def _trip(self, wanted: Wanted, *, is_early: bool) -> _Trip:
        return _Trip(wanted, Flight(self._line.store.uri(wanted.key)), is_early=is_early)

    def _ended(self, trip: _Trip, answer: Buffer | StoreError) -> None:
        if trip.is_early:
            self._came_early(trip, answer)
            return
        if isinstance(answer, StoreError):
            raise answer
        trip.flight.moved()
        assert self._arrivals is not None
        if self._arrivals.take([(trip.wanted, [answer])], last=trip.tries == _TRIES):
            # Perhaps it was damaged on its way.
            trip.tries += 1
            self._trips.again(trip, 0.0)
        else:
            self._let_go(trip)

    def _came_early(self, trip: _Trip, answer: Buffer | StoreError) -> None:
        if isinstance(answer, StoreError):
            self._early.take(trip.wanted)  # its turn comes once more, and then it is an error
            self._let_go(trip)
        else:
            trip.answer = answer
            self._progress.flights.remove(trip.flight)  # nothing of it stands still

    def _let_go(self, trip: _Trip) -> None:
        self._held -= trip.wanted.size
        self._progress.flights.remove(trip.flight)

    def _failed(self, trip: _Trip, error: StoreError) -> float | None:
        trip.patience = trip.patience or Patience(self._line, trip.flight)
        try:
            return trip.patience.pause(error)
        except StoreError as given_up:
            if trip.is_early or self._arrivals is None:
                return None
            raise self._arrivals.refused(given_up, trip.wanted) from None


def _send(batch: Batch[_Trip], trip: _Trip) -> None:
    wanted = trip.wanted
    batch.read(trip, wanted.key, wanted.offset, wanted.size, etag=wanted.etag, version=wanted.version)
