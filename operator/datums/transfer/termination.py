"""SIGTERM, noted wherever the main thread is when it comes."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress


class Termination:
    """Notes SIGTERM from now on.

    A `threading.Event` would not do: its `wait` holds a lock for moments, and a handler in one of them waits for it for ever.
    """

    def __init__(self) -> None:
        self._noted, self._note = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGTERM, self._came)

    def wait(self, seconds: float) -> bool:
        """Whether it has come; waits for it at most so long."""
        ready, _, _ = select.select([self._noted], [], [], seconds)
        return bool(ready)

    def _came(self, *_: object) -> None:
        with suppress(BlockingIOError):  # it has come often enough
            os.write(self._note, b"!")
