"""A clock of a test's own."""

from __future__ import annotations


class Clock:
    """A clock that only sleeping moves; in the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
