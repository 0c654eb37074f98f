"""Which objects are on their way, which of them have come to a standstill, and which of their threads to leave behind."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

STUCK_SECONDS: Final = 3.0
"""Without a byte for so long, a transfer is told of: with the second of a report and the operator's own time, within five."""


class Abandoned(Exception):
    """Another thread has taken the work over: this one ends, and touches nothing more."""


class Owner(Protocol):
    """Who has the work of a flight done."""

    def take_over(self, flight: Flight) -> None:
        """Does the work of an abandoned flight anew."""


class Flight:
    """One object on its way, in one thread.

    Args:
        uri: as messages name it; no secret.
        work: what the owner needs to do it anew.
    """

    __slots__ = ("_lock", "abandoned", "due", "moved_at", "owner", "since", "stalls", "trouble", "uri", "work")

    def __init__(self, uri: str, work: Any = None, owner: Owner | None = None) -> None:
        self.uri = uri
        self.moved_at = time.time()
        self.since = time.monotonic()
        """When the last byte came, or the flight began."""
        self.stalls = 0
        """How many calls for this object were abandoned since then."""
        self.trouble = ""
        self.abandoned = False
        self.due = math.inf
        """Monotonic seconds; a call that has not returned by then is hopeless."""
        self.work = work
        self.owner = owner
        self._lock = threading.Lock()

    def asks(self, seconds: float) -> None:
        """A call is made that should return within so many seconds."""
        self.due = time.monotonic() + seconds

    def moved(self) -> None:
        """Some bytes have gone through.

        Raises:
            Abandoned: too late.
        """
        self.rests()
        self.moved_at, self.since, self.stalls = time.time(), time.monotonic(), 0
        self.trouble = ""

    def rests(self) -> None:
        """No call is under way.

        Raises:
            Abandoned: too late.
        """
        with self._lock:
            self.due = math.inf
            if self.abandoned:
                raise Abandoned

    def anew(self) -> Flight:
        """The same object in another thread, after this one was abandoned."""
        flight = Flight(self.uri, self.work, self.owner)
        flight.moved_at, flight.since, flight.stalls = self.moved_at, self.since, self.stalls + 1
        return flight

    def failed(self, why: str) -> None:
        """A try failed, and another one will be made."""
        self.trouble = why

    def abandon(self, now: float) -> bool:
        """Leaves the flight to its thread if its call is overdue; whether it was.

        Args:
            now: monotonic seconds.
        """
        with self._lock:
            if self.abandoned or self.due > now:
                return False
            self.abandoned = True
            return True


class Flights:
    """All objects that are on their way. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: set[Flight] = set()

    @contextmanager
    def flight(self, uri: str) -> Iterator[Flight]:
        """Watches one object while it is entered.

        Args:
            uri: as messages name it; no secret.
        """
        flight = Flight(uri)
        self.add(flight)
        try:
            yield flight
        finally:
            self.remove(flight)

    def add(self, flight: Flight) -> None:
        """Watches a flight."""
        with self._lock:
            self._flying.add(flight)

    def remove(self, flight: Flight) -> None:
        """Watches it no more."""
        with self._lock:
            self._flying.discard(flight)

    def overdue(self) -> list[Flight]:
        """The flights whose calls should have returned by now: they are abandoned by this, and the caller's to make anew."""
        now = time.monotonic()
        with self._lock:
            late = [flight for flight in self._flying if flight.due <= now and flight.abandon(now)]
            self._flying.difference_update(late)
        return late

    def stuck(self, after: float = STUCK_SECONDS) -> str:
        """What has been at a standstill for longest, as words for a status; empty while everything moves.

        Args:
            after: seconds without a byte.
        """
        now = time.time()
        with self._lock:
            still = sorted((f for f in self._flying if now - f.moved_at >= after), key=lambda f: f.moved_at)
        if not still:
            return ""
        first = still[0]
        since = time.strftime("%H:%M:%S", time.gmtime(first.moved_at))
        others = f" and {len(still) - 1} more" if len(still) > 1 else ""
        why = f": {first.trouble}" if first.trouble else ""
        return f"{first.uri}{others}: no byte since {since} UTC{why}; still trying"
