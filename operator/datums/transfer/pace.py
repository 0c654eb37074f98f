"""How many requests are in flight to one store: more while it copes, half as many when it asks for fewer (AIMD)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from datums.transfer.flights import Abandoned

_FIRST_REST: Final = 0.1
_LONGEST_REST: Final = 10.0
_LONGEST_ASKED: Final = 60.0
"""A store that asks for more is asked again after so long all the same: somebody waits for the files."""
_REACTION: Final = 0.5
"""Seconds for which further refusals tell nothing new: they answer requests that were in flight at the first one."""


class Pace:
    """Shared by all threads that use one store.

    Args:
        most: requests at once while nothing speaks against it.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._allowed = float(most)
        self._flying = 0
        self._not_before = 0.0
        self._rest = _FIRST_REST
        self._cut_at = -_REACTION
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """Requests that may be in flight at once now; at least one."""
        return max(1, int(self._allowed))

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Holds the place of one request; waits until there is one."""
        with self._changed:
            while self._flying >= self.allowed or (pause := self._not_before - time.monotonic()) > 0:
                # The jitter keeps all that wait from coming back in the same moment.
                self._changed.wait(None if self._flying >= self.allowed else pause * random.uniform(1.0, 1.5))  # noqa: S311
            self._flying += 1
        try:
            yield
        except Abandoned:
            raise  # who left the thread behind has given its place back
        except BaseException:
            self.give_back()
            raise
        self.give_back()

    def give_back(self) -> None:
        """The place of a request is free: `slot` does it, but for one whose thread was left behind."""
        with self._changed:
            self._flying -= 1
            self._changed.notify()

    def went_well(self) -> None:
        """A request was answered: as many successes as are allowed at once allow one more."""
        if self._allowed >= self._most:
            return
        with self._changed:
            self._rest = _FIRST_REST
            self._allowed = min(self._most, self._allowed + 1 / max(1.0, self._allowed))
            self._changed.notify()

    def throttled(self, retry_after: float = 0.0) -> None:
        """The store asks for fewer requests: half of them from now on, and none for a moment.

        Args:
            retry_after: seconds that the store asks to wait; 0 where it does not say.
        """
        retry_after = min(retry_after, _LONGEST_ASKED)
        with self._changed:
            now = time.monotonic()
            if now - self._cut_at >= _REACTION:
                self._cut_at = now
                self._allowed = max(1.0, self._allowed / 2)
                self._not_before = max(self._not_before, now + max(retry_after, self._rest))
                self._rest = min(_LONGEST_REST, self._rest * 2)
            elif retry_after:
                self._not_before = max(self._not_before, now + retry_after)
