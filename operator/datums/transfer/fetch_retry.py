"""Trying again what a store may do later. The store itself retries for some seconds; this is for outages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from datums.stores.errors import StoreError
from datums.transfer.fetch_progress import Progress

T = TypeVar("T")

GIVE_UP_SECONDS: Final = 300.0
"""How long a store may do nothing before it counts as unavailable."""
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


class Patience:
    """How long is waited before the next try, and when it is enough.

    Args:
        wait: sleeps for so many seconds; true when waiting is pointless now.
    """

    def __init__(self, progress: Progress, give_up: float = GIVE_UP_SECONDS, wait: Callable[[float], object] = time.sleep) -> None:
        self._progress = progress
        self._give_up = give_up
        self._wait = wait
        self._pause = _FIRST_PAUSE
        self._last = time.monotonic()

    def went_well(self) -> None:
        """The store does something: the waiting starts anew."""
        self._pause, self._last = _FIRST_PAUSE, time.monotonic()
        self._progress.trouble = ""

    def after(self, error: StoreError) -> None:
        """Waits before the next try.

        Raises:
            StoreError: the error, when another try is of no use or it has been enough.
        """
        if not error.retryable or time.monotonic() - self._last > self._give_up:
            raise error
        self._progress.trouble = str(error)
        if self._wait(self._pause):
            raise error
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)

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
