"""Small requests to one store, in one thread: each is sent when the pace allows it, and again until it goes well or is given up."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from datums.stores.errors import StoreError
from datums.transfer.pace import Pace

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.protocol import Batch, Store

T = TypeVar("T")
_LATER: Final = 0.02


class Trips(Generic[T]):
    """Not for several threads.

    Args:
        store: the store with its credentials of now.
        at_once: the most requests that will be on their way.
        pace: of the store.
        send: begins what is asked for.
        failed: called when a request failed; the seconds after which it is sent again, None where the error is its answer.
            What it raises passes through.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        at_once: int,
        pace: Pace,
        send: Callable[[Batch[T], T], None],
        failed: Callable[[T, StoreError], float | None],
    ) -> None:
        self._open = store
        self._at_once = at_once
        self._pace = pace
        self._send = send
        self._failed = failed
        self._late: list[tuple[float, int, T]] = []
        """Those that are sent again at a time, monotonic seconds."""
        self._numbers = count()
        self._store: Store | None = None
        self._batch: Batch[T] | None = None
        self._refused: list[tuple[T, StoreError]] = []
        """Those that could not even be sent."""
        self._places = 0
        """Of the pace: what was taken and not given back."""

    def __len__(self) -> int:
        """Those that have not come to their end."""
        return len(self._late) + len(self._refused) + self._flying

    def begin(self, trip: T) -> float:
        """Sends a request if it may be sent now: 0 then, else the seconds after which to ask again."""
        if self._late and self._late[0][0] <= time.monotonic():
            return _LATER  # what failed is older than anything new
        return self._leave(trip)

    def _leave(self, trip: T) -> float:
        if (pause := self._pace.take()) > 0:
            return pause
        self._places += 1
        try:
            if (batch := self._current()) is None:
                self._give_back()
                return _LATER
            self._send(batch, trip)
        except StoreError as error:
            self._refused.append((trip, error))
        return 0.0

    def again(self, trip: T, seconds: float) -> None:
        """Sends a request that has come to its end once more, after so many seconds."""
        heapq.heappush(self._late, (time.monotonic() + seconds, next(self._numbers), trip))

    def turn(self, seconds: float) -> Iterator[tuple[T, Buffer | StoreError]]:
        """Sends again what is due, and gives what has come to its end. Waits at most so long for that."""
        until = time.monotonic() + seconds
        while self._late and (pause := self._late[0][0] - time.monotonic()) <= 0:
            if (pause := self._leave(self._late[0][2])) > 0:
                break
            heapq.heappop(self._late)
        else:
            pause = self._late[0][0] - time.monotonic() if self._late else seconds
        if self._flying and not self._refused:
            answers = self._batch.take(max(0.0, min(seconds, pause))) if self._batch is not None else iter(())
        else:
            answers, self._refused = iter(self._refused), []
            if not self._flying and self._late:
                time.sleep(max(0.0, min(until - time.monotonic(), pause)))
        for trip, answer in answers:
            self._give_back()
            if not isinstance(answer, StoreError):
                self._pace.went_well()
            elif (wait := self._failed(trip, answer)) is not None:
                self.again(trip, wait)
                continue
            yield trip, answer

    def close(self) -> None:
        """Gives up what is on its way, and the places of all."""
        if self._batch is not None:
            self._batch.close()
        while self._places:
            self._give_back()

    def _give_back(self) -> None:
        self._places -= 1
        self._pace.give_back()

    @property
    def _flying(self) -> int:
        return 0 if self._batch is None else len(self._batch)

    def _current(self) -> Batch[T] | None:
        """None while what was sent with older credentials is still on its way."""
        store = self._open()
        if store is not self._store:
            if self._flying:
                return None
            if self._batch is not None:
                self._batch.close()
            self._store, self._batch = store, store.batch(self._at_once)
        return self._batch
