"""A store that is never given up on: every call is tried until it works, no faster than the store copes with, and what holds it
up is known."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from datums.model.places import root_of
from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.errors import StoreError, Throttled, Unavailable, UnsupportedKey
from datums.stores.protocol import Batch, Store
from datums.transfer.flights import Flight, Flights
from datums.transfer.pace import Pace
from datums.transfer.say import say
from datums.transfer.trips import Trips

_FIRST_SECONDS = 0.2
_MAX_SECONDS = 10.0
_LOG_SECONDS = 30.0
_TRIES = 6
_SLOWEST = 1 << 20
"""Bytes a second that any line is expected to carry before a request that only sends is said to be stuck."""
_CREDENTIALS_SECONDS = 1.0
_LONG_SECONDS = 20.0
"""A large request that breaks after so long is taken as a sign that too many share the line."""

T = TypeVar("T")
C = TypeVar("C", bound="Call")


class Call:
    """One of many small requests (`PatientStore.trips`).

    Args:
        key: of the object that it is about.
        size: bytes that it sends.
    """

    __slots__ = ("began", "flight", "key", "on_end", "pause", "size")

    def __init__(self, key: str, size: int) -> None:
        self.key = key
        self.size = size
        self.pause = _FIRST_SECONDS
        self.began = 0.0
        self.flight: Flight | None = None
        self.on_end: Callable[[Flight], None] | None = None

    def end(self) -> None:
        """To be called when nothing more is to come of it."""
        if self.flight is not None and self.on_end is not None:
            self.on_end(self.flight)


class PatientStore:
    """A store whose calls are repeated until they succeed. Safe to use from several threads.

    Args:
        access: how to reach it.
        secret: the directory of the credentials; they are read anew when their file changes.
        on_trouble: called when a call fails and when one succeeds after that, from any thread.
    """

    def __init__(self, access: StoreAccess, secret: Path, on_trouble: Callable[[], None] = lambda: None) -> None:
        self._access = access
        self._on_trouble = on_trouble
        self._root = root_of(access.kind, access.bucket, access.account)
        self._credentials = secret / access.credentials
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._store: Store | None = None
        self._pace = Pace(access.concurrency)
        self._flights = Flights()
        self._looked_at = 0.0
        self._since = 0.0
        self._trouble = ""
        self._logged = -_LOG_SECONDS

    @property
    def trouble(self) -> str:
        """What holds the calls up, and since when; empty when nothing does."""
        return self._flights.stuck() or self._trouble

    def call(self, key: str, what: Callable[[Store], T], *, accept: tuple[type[StoreError], ...] = (), size: int = 0) -> T:
        """What the call returns, however long it takes.

        Args:
            key: of the object that it is about.
            what: the call; made again and again while the store fails.
            accept: failures that are an answer: they are raised.
            size: bytes that it sends.
        """
        pause = _FIRST_SECONDS
        with self._flights.flight(f"{self._root}/{key}") as flight:
            # Bytes that were handed to a driver cannot be seen to move: the time that a slow line needs for them is no standstill.
            allowed = size / _SLOWEST
            while True:
                try:
                    with self._pace.slot():
                        began = time.time()
                        if not flight.trouble:
                            flight.moved_at = began + allowed
                        answer = what(self._current())
                except accept:
                    self._clear()
                    raise
                except Throttled as error:
                    self._pace.throttled(error.retry_after)
                    self._failed(flight, began, error)
                    continue  # the pace makes it wait
                except (StoreError, OSError, msgspec.MsgspecError) as error:
                    if size and time.time() - began > _LONG_SECONDS:
                        self._pace.throttled()
                    self._failed(flight, began, error)
                else:
                    self._pace.went_well()
                    self._clear()
                    return answer
                time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter
                pause = min(_MAX_SECONDS, pause * 2)

    def trips(self, send: Callable[[Batch[C], C], None]) -> Trips[C]:
        """For many small requests in one thread, of which each is made again and again; an `UnsupportedKey` is its answer.

        Args:
            send: makes the call.
        """

        def begin(batch: Batch[C], call: C) -> None:
            flight = self._flight(call)
            call.began = time.time()
            if not flight.trouble:
                flight.moved_at = call.began + call.size / _SLOWEST
            send(batch, call)

        def failed(call: C, error: StoreError) -> float | None:
            if isinstance(error, UnsupportedKey):
                return None
            self._failed(self._flight(call), call.began or time.time(), error)
            if isinstance(error, Throttled):
                self._pace.throttled(error.retry_after)
                return 0.0  # the pace makes it wait
            pause = call.pause * random.uniform(0.5, 1.0)  # noqa: S311  jitter
            call.pause = min(_MAX_SECONDS, call.pause * 2)
            return pause

        def current() -> Store:
            try:
                return self._current()
            except (OSError, msgspec.MsgspecError) as error:
                # The kubelet swaps the files in one step; a moment later the new one can be read.
                raise Unavailable(f"DataStore {self._access.name}: its credentials cannot be read ({error})") from None

        return Trips(current, self._access.concurrency, self._pace, begin, failed)

    def _flight(self, call: Call) -> Flight:
        if call.flight is None:
            call.flight = Flight(f"{self._root}/{call.key}")
            self._flights.add(call.flight)
            call.on_end = self._ended
        return call.flight

    def _ended(self, flight: Flight) -> None:
        self._flights.remove(flight)
        self._clear()

    def try_to(self, key: str, what: Callable[[Store], T]) -> T | None:
        """What the call returns, after a few tries at most: for what is good to do, but no reason to wait. None where it fails.

        Args:
            key: of the object that it is about.
            what: the call.
        """
        pause = _FIRST_SECONDS
        for left in reversed(range(_TRIES)):
            try:
                with self._pace.slot():
                    return what(self._current())
            except (StoreError, OSError, msgspec.MsgspecError) as error:
                if not left or not getattr(error, "retryable", True):
                    say(f"{error}; going on without it")
                    return None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            pause *= 2
        return None

    def _current(self) -> Store:
        """Raises OSError or msgspec.MsgspecError where the credentials cannot be read."""
        # A look at the file for every request would cost as much as its signature.
        if self._store is not None and time.monotonic() < self._looked_at + _CREDENTIALS_SECONDS and not self._trouble:
            return self._store
        with self._lock:
            self._looked_at = time.monotonic()
            version = self._version_now()
            if self._store is None or version != self._version:
                text = self._credentials.read_bytes() if self._access.credentials else b"{}"
                self._store = open_store(self._access, msgspec.json.decode(text, type=dict[str, str]))
                self._version = version
            return self._store

    def _version_now(self) -> tuple[int, int] | None:
        if not self._access.credentials:
            return None
        status = self._credentials.stat()
        return status.st_ino, status.st_mtime_ns

    def _failed(self, flight: Flight, began: float, error: Exception) -> None:
        if not flight.trouble:
            flight.moved_at = began
        flight.failed(str(error))
        with self._lock:
            now = time.time()
            self._since = self._since or now
            since = time.strftime("%H:%M:%S", time.gmtime(self._since))
            self._trouble = f"{error} (since {since} UTC; still trying)"
            if now - self._logged >= _LOG_SECONDS:
                self._logged = now
                say(self._trouble)
        self._on_trouble()

    def _clear(self) -> None:
        if self._trouble:
            with self._lock:
                self._since, self._trouble = 0.0, ""
            self._on_trouble()
