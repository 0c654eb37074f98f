"""Which objects are on their way, and which of them have come to a standstill."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STUCK_SECONDS: Final = 3.0
"""Without a byte for so long, a transfer is told of: with the second of a report and the operator's own time, within five."""


class Flight:
    """One object on its way, in one thread.

    Args:
        uri: as messages name it; no secret.
    """

    __slots__ = ("moved_at", "since", "trouble", "uri")

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.moved_at = time.time()
        self.since = time.monotonic()
        """When the last byte came, or the flight began."""
        self.trouble = ""

    def stirred(self) -> None:
        """Some bytes have gone through that had gone through before: it does not stand still, and comes no further."""
        self.moved_at = time.time()

    def moved(self) -> None:
        """Some bytes have gone through."""
        self.moved_at, self.since, self.trouble = time.time(), time.monotonic(), ""

    def failed(self, why: str) -> None:
        """A try failed, and another one will be made."""
        self.trouble = why


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
