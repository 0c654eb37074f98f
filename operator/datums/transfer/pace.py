"""How many requests are in flight to one store, and how many begin in a second: more while it copes, fewer when it asks for that.

Both are AIMD. Halving what is in flight helps a store that is overloaded; one that counts requests (a token bucket) answers its
refusals fast, and only a lower rate helps: it falls below what the store has answered since the last refusal, and grows again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_FIRST_REST: Final = 0.1
_LONGEST_REST: Final = 10.0
_LONGEST_ASKED: Final = 60.0
"""A store that asks for more is asked again after so long all the same: somebody waits for the files."""
_REACTION: Final = 0.5
"""Seconds for which further refusals tell nothing new: they answer requests that were in flight at the first one."""
_SHARE: Final = 0.8
"""Of the rate that the store has answered: what is asked for after a refusal."""
_RETURN: Final = 0.5
"""How the rate grows in a second while it is well below the one that was refused, …"""
_GROWTH: Final = 0.05
"""… and near it and above it."""
_SLOWEST: Final = 2.0
_LATER: Final = 0.02
_FAST: Final = 5_000.0
"""Requests a second; above this the rate is no limit any more."""


class Pace:
    """Shared by all threads that use one store.

    Args:
        most: requests at once while nothing speaks against it.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._allowed = float(most)
        self._flying = 0
        self._rate = 0.0
        self._refused = 0.0
        self._next = 0.0
        self._not_before = 0.0
        self._rest = _FIRST_REST
        self._cut_at = 0.0
        self._grown_at = 0.0
        self._answers = _Rate()
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """Requests that may be in flight at once now; at least one."""
        return max(1, int(self._allowed))

    @property
    def rate(self) -> float:
        """Requests that may begin in a second now; 0 for any number."""
        return self._rate

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Holds the place of one request; waits until there is one."""
        with self._changed:
            while self._flying >= self.allowed:
                self._changed.wait()
            self._flying += 1
            begin = self._begin()
        try:
            while begin:
                time.sleep(max(0.0, begin - time.monotonic()))
                with self._changed:
                    # The store may have asked for a rest meanwhile.
                    begin = self._begin() if begin < self._not_before else 0.0
            yield
        finally:
            self.give_back()

    def take(self) -> float:
        """Takes the place of a request that begins now, where `slot` would not wait; 0 then, else the seconds after which to ask
        again. What is taken is given back by `give_back`."""
        with self._changed:
            if self._flying >= self.allowed:
                return _LATER
            now = time.monotonic()
            if (begin := max(self._next if self._rate else 0.0, self._not_before)) > now:
                return begin - now
            self._begin()
            self._flying += 1
            return 0.0

    def give_back(self) -> None:
        """The place of a request is free: `slot` does it by itself."""
        with self._changed:
            self._flying -= 1
            self._changed.notify()

    def went_well(self) -> None:
        """A request was answered: as many successes as are allowed at once allow one more."""
        self._answers.count()
        if self._allowed >= self._most and not self._rate:
            return
        with self._changed:
            self._rest = _FIRST_REST
            self._allowed = min(self._most, self._allowed + 1 / max(1.0, self._allowed))
            self._grow(time.monotonic())
            self._changed.notify()

    def throttled(self, retry_after: float = 0.0) -> None:
        """The store asks for fewer requests: half of them at once, a lower rate, and none for a moment.

        Args:
            retry_after: seconds that the store asks to wait; 0 where it does not say.
        """
        retry_after = min(retry_after, _LONGEST_ASKED)
        with self._changed:
            now = time.monotonic()
            if now - self._cut_at >= _REACTION:
                answered = self._answers.rate
                self._refused = self._rate or _FAST
                self._rate = max(_SLOWEST, _SHARE * min(answered, self._rate or answered))
                self._cut_at = self._grown_at = now
                self._allowed = max(1.0, self._allowed / 2)
                self._not_before = max(self._not_before, now + max(retry_after, self._rest))
                self._rest = min(_LONGEST_REST, self._rest * 2)
            elif retry_after:
                self._not_before = max(self._not_before, now + retry_after)

    def _begin(self) -> float:
        """When the next request may begin, monotonic seconds; the one after it a little later. 0 for at once."""
        now = time.monotonic()
        if not self._rate and now >= self._not_before:
            return 0.0
        begin = max(now, self._next, self._not_before)
        # The jitter keeps several processes from coming in the same moment.
        self._next = begin + random.uniform(0.8, 1.2) / self._rate if self._rate else begin  # noqa: S311
        return begin

    def _grow(self, now: float) -> None:
        if self._rate:
            growth = _RETURN if self._rate < _SHARE * self._refused else _GROWTH
            self._rate *= 1 + growth * min(1.0, now - self._grown_at)
            self._grown_at = now
            if self._rate > _FAST:
                self._rate = self._next = 0.0


class _Rate:
    """How many events there were in a second, lately. A count that is lost between threads does no harm."""

    def __init__(self) -> None:
        self._second = 0
        self._before = 0
        self._now = 0

    def count(self) -> None:
        self._turn()
        self._now += 1

    @property
    def rate(self) -> float:
        now = self._turn()
        return max(self._before, self._now, (self._before + self._now) / (1 + now % 1.0))

    def _turn(self) -> float:
        now = time.monotonic()
        second = int(now)
        if second != self._second:
            self._before = self._now if second == self._second + 1 else 0
            self._second, self._now = second, 0
        return now
