"""Trying again what a store may do later: drivers send each request once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from datums.stores.errors import AccessDenied, CredentialExpired, StoreError, Throttled, Unavailable
from datums.transfer.fetch_stores import Line
from datums.transfer.flights import Flight

T = TypeVar("T")

GIVE_UP_SECONDS: Final = 300.0
"""How long a store may do nothing before it counts as unavailable."""
_LEAST_TRIES: Final = 5
"""However long each takes."""
_RENEW_SECONDS: Final = 300.0
"""How long is waited for a new credential in place of one that has expired."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0


class Patience:
    """How long is waited before the next try of one piece of work, and when it is enough.

    Args:
        line: the store.
        flight: what is told of the trouble.
        wait: sleeps for so many seconds; true when waiting is pointless now.
    """

    def __init__(self, line: Line, flight: Flight, wait: Callable[[float], object] = time.sleep) -> None:
        self._line = line
        self._flight = flight
        self._wait = wait
        self._pause = _FIRST_PAUSE
        self._failing_since = float("inf")
        self._failures = 0

    def went_well(self) -> None:
        """The store does something: the waiting starts anew. The flight has noted the same by `moved`."""
        self._pause = _FIRST_PAUSE
        self._failing_since = float("inf")
        self._failures = 0

    def after(self, error: StoreError) -> None:
        """Waits before the next try.

        Raises:
            StoreError: the error, when another try is of no use or it has been enough.
        """
        if self._wait(self.pause(error)):
            raise error

    def pause(self, error: StoreError) -> float:
        """Seconds to wait before the next try. Raises what `after` does."""
        patience = _RENEW_SECONDS if isinstance(error, CredentialExpired) else GIVE_UP_SECONDS
        now = time.monotonic()
        # Not from when nothing moved: until the first try its turn may not have come.
        self._failing_since = min(self._failing_since, now)
        waited = now - max(self._failing_since, self._flight.since)
        self._failures += 1
        enough = waited > patience and self._failures >= _LEAST_TRIES
        if enough and isinstance(error, CredentialExpired):
            raise AccessDenied(f"{error}; no newer one came within {waited:.0f} s", store=error.store, key=error.key)
        if enough or not (error.retryable or isinstance(error, CredentialExpired)):
            raise error
        self._flight.failed(str(error))
        if isinstance(error, Throttled):
            self._line.pace.throttled(error.retry_after)
        elif isinstance(error, CredentialExpired):
            self._line.renew()
        seconds = self._pause * random.uniform(0.5, 1.0)  # noqa: S311  jitter
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        return seconds

    def call(self, what: Callable[[], T]) -> T:
        """What the call returns; made again while the store does not answer."""
        while True:
            try:
                result = what()
            except StoreError as error:
                self.after(error)
            else:
                self.went_well()
                return result


class Moving:
    """Has whoever watches see that bytes come. Those that have come before do not count for patience: what breaks off at the same
    place each time would be tried for ever.

    Args:
        count: called with all that comes.
    """

    def __init__(
        self, flight: Flight, patience: Patience, stopped: threading.Event, count: Callable[[int], None] = lambda _: None
    ) -> None:
        self._flight = flight
        self._patience = patience
        self._stopped = stopped
        self._count = count
        self._at = 0
        self._furthest = 0

    def on_from(self, offset: int) -> Callable[[int], None]:
        """What is to be called with the sizes of what comes from there on."""
        self._at = offset
        self._furthest = max(self._furthest, offset)
        return self._came

    def _came(self, size: int) -> None:
        if self._stopped.is_set():
            raise Unavailable("stopped: another file failed")
        self._at += size
        if size:
            self._count(size)
            self._flight.stirred()
        if self._at > self._furthest:
            self._furthest = self._at
            self._flight.moved()
            self._patience.went_well()
