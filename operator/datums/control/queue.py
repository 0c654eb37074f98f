"""The keyed queue: a key waits at most once and is worked on by one worker at a time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import NamedTuple


class Key(NamedTuple):
    """What a reconciler is asked to look at: an object by name, never an event."""

    kind: str
    namespace: str
    name: str


class Queue:
    """De-duplicated, with delays and a back-off per key. Belongs to the event loop that it was made in.

    A key that is added while a worker has it comes again after `done`. Of several delays of one key the shortest counts, and
    all are forgotten when a worker takes the key: who reconciles says anew when to come back.
    """

    def __init__(self, base_delay: float = 0.2, max_delay: float = 120.0) -> None:
        self._base, self._max = base_delay, max_delay
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._wakeup = asyncio.Event()
        self._finished = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """How many keys a worker could take now."""
        return len(self._ready)

    def add(self, key: Key) -> None:
        """Asks for the key to be worked on as soon as a worker is free."""
        if key in self._waiting or self._closed:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wakeup.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Asks for the key after some seconds, unless an earlier time is set already."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    async def get(self) -> Key:
        """The next key; it is the caller's until `done`."""
        while not self._ready:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return key

    def done(self, key: Key) -> None:
        """Gives a key back."""
        self._working.discard(key)
        self._finished.set()
        if key in self._waiting:
            self._ready.append(key)
            self._wakeup.set()

    def retry(self, key: Key) -> float:
        """Asks for the key again after a failure, later each time; returns the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay: float = min(self._max, self._base * 2 ** min(failures, 32)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """The key was worked on without a failure: the next back-off starts anew."""
        self._failures.pop(key, None)

    def close(self) -> None:
        """Forgets what waits and takes nothing more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        self._waiting.clear()

    async def idle(self, seconds: float) -> None:
        """Waits until no worker has a key, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._working:
                    self._finished.clear()
                    await self._finished.wait()

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
