"""How fast something goes lately: what a rate and the time left are told from."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW_SECONDS: Final = 10.0
_SAMPLE_SECONDS: Final = 0.5


class Rate:
    """Bytes a second, of the last ten seconds. What stands still goes down to 0; a rest before it moved counts no more.

    Safe to use from several threads.

    Args:
        total: bytes that have gone through already.
        clock: seconds.
    """

    def __init__(self, total: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._samples = deque([(clock(), total)])

    def of(self, total: int) -> int:
        """The rate, now that so many bytes have gone through in all."""
        now = self._clock()
        with self._lock:
            samples = self._samples
            while len(samples) > 1 and (samples[1][0] <= now - _WINDOW_SECONDS or samples[1][1] == samples[0][1]):
                samples.popleft()
            since, before = samples[0]
            if now - samples[-1][0] >= _SAMPLE_SECONDS:
                samples.append((now, total))
        return max(0, round((total - before) / (now - since))) if now > since else 0
