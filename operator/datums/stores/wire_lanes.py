"""Large answers in few threads, each of which has many connections and hands on what comes of them.

Why not a thread for each answer: libcurl hands on 16 KiB at a time, each by way of the interpreter's lock, and the more threads ask
for it, the more of the processor goes into handing it over (docs/performance.md). How many connections a line needs and how many
threads a processor bears are two things.
"""

from __future__ import annotations

import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import pycurl

from datums.stores.wire_bodies import RECEIVED_AT_ONCE, Pouring
from datums.stores.wire_exchange import WireError
from datums.stores.wire_waiting import ended

_MOST_LANES: Final = 4
_TURN_SECONDS: Final = 0.2
_TIDY_SECONDS: Final = 5.0
_WANTED: Final = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_READY: Final = {
    selectors.EVENT_READ: pycurl.CSELECT_IN,
    selectors.EVENT_WRITE: pycurl.CSELECT_OUT,
    selectors.EVENT_READ | selectors.EVENT_WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


class Lanes:
    """Shares answers out. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lanes: list[_Lane] = []
        self._most = max(2, min(_MOST_LANES, os.cpu_count() or 1))

    def run(self, pouring: Pouring) -> None:
        """Returns when an answer has come to its end, whichever that is.

        Raises:
            RuntimeError: there may be no more threads.
            OSError: nor files.
        """
        with self._lock:
            self._begin(pouring)
        pouring.wait()

    def _begin(self, pouring: Pouring) -> None:
        self._lanes = [lane for lane in self._lanes if not lane.is_broken]
        busy = min((lane for lane in self._lanes if lane.load), key=lambda lane: lane.load, default=None)
        idle = next((lane for lane in self._lanes if not lane.load), None)
        try:
            if idle is None and len(self._lanes) < self._most:
                idle = _Lane()
                self._lanes.append(idle)
            if idle is not None:
                idle.begin(pouring)
                return
        except (OSError, RuntimeError):
            if busy is None:
                raise
        assert busy is not None
        busy.begin(pouring)


class _Lane:
    """Connections, which are kept, and one thread for them while something is on its way."""

    def __init__(self) -> None:
        self.load = 0
        """How many answers are on their way."""
        self.is_broken = False
        """Whether it was given up, with all that is in it."""
        self._lock = threading.Lock()
        self._waiting: deque[Pouring] = deque()
        self._flying: dict[pycurl.Curl, Pouring] = {}
        self._paused: list[pycurl.Curl] = []
        self._over: list[pycurl.Curl] = []
        self._memory = memoryview(bytearray(RECEIVED_AT_ONCE))
        """What has come of one answer: it is handed on before another one is looked at, while it is in the processor's cache."""
        self._filled = 0
        self._of: Pouring | None = None
        self._due = math.inf
        self._long = 0.0
        """From when on the turn takes long: each answer hands on one piece more then, and the others have their turn."""
        self._tidied = 0.0
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._wake_in)

    def begin(self, pouring: Pouring) -> None:
        """Sends a request; to be called by one thread at a time.

        Raises:
            RuntimeError: there may be no more threads.
            OSError: nor files.
        """
        with self._lock:
            if self.is_broken:
                raise OSError("what there was of connections was given up")
            if not self.load:
                self._tidied = 0.0
                self._start()
            self.load += 1
            self._waiting.append(pouring)
            with suppress(BlockingIOError):  # it rings already
                self._bell.send(b"!")

    def _start(self) -> None:
        files = ExitStack()
        try:
            self._selector = files.enter_context(selectors.DefaultSelector())
            self._bell, ear = (files.enter_context(end) for end in socket.socketpair())
            self._bell.setblocking(False)
            self._selector.register(ear, selectors.EVENT_READ, ear)
            threading.Thread(target=self._run, args=(files,), name="lane", daemon=True).start()
        except BaseException:
            files.close()
            raise

    def _run(self, files: ExitStack) -> None:
        with files:
            try:
                while self._turn():
                    pass
            except BaseException as error:  # noqa: BLE001  raised in the threads that wait
                self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        with self._lock:
            self.is_broken = True
            left = [*self._flying.values(), *self._waiting]
        for pouring in left:
            pouring.fail(WireError(f"Connect {error}") if isinstance(error, (OSError, pycurl.error)) else error)
        with suppress(pycurl.error):
            self._multi.close()

    def _turn(self) -> bool:
        """Hands on what has come; whether there is more to come."""
        left = 0.0 if self._paused else self._due - time.monotonic()
        ready = self._selector.select(None if left == math.inf else max(0.0, left))
        self._long = time.monotonic() + _TURN_SECONDS
        self._go_on()
        for key, events in ready:
            if key.data:
                key.data.recv(4096)
            else:
                self._multi.socket_action(key.fd, _READY[events])
                self._hand_on()
        self._send()
        self._keep_time()
        self._settle()
        with self._lock:
            self.load = len(self._flying) + len(self._waiting)
            return self.load > 0

    def _send(self) -> None:
        while self._waiting:
            pouring = self._waiting[0]
            handle = pouring.exchange.handle
            self._flying[handle] = pouring  # before it waits no more: whatever fails, it is in one of the two
            self._waiting.popleft()
            handle.setopt(pycurl.WRITEFUNCTION, partial(self._came, pouring))
            self._multi.add_handle(handle)

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._due <= now:
            self._due = math.inf
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._hand_on()
        if now > self._tidied + _TIDY_SECONDS:
            # socket_action alone forgets connections over TLS that are about to be closed.
            self._tidied = now
            self._multi.perform()
            self._hand_on()

    def _settle(self) -> None:
        for handle, failure in ended(self._multi):
            self._end(handle, *(failure or ()))
        while self._over:
            self._end(self._over.pop())

    def _go_on(self) -> None:
        paused, self._paused = self._paused, []
        for handle in paused:
            if handle in self._flying:
                handle.pause(pycurl.PAUSE_CONT)
                self._hand_on()

    def _came(self, pouring: Pouring, data: bytes) -> int | None:
        size = len(data)
        if pouring is not self._of or self._filled + size > RECEIVED_AT_ONCE:
            is_next = pouring is self._of
            self._hand_on()
            if pouring.is_over:
                return -1
            if is_next and time.monotonic() > self._long:
                # As long as bytes come faster than they are taken, libcurl would go on with this answer alone.
                self._paused.append(pouring.exchange.handle)
                return pycurl.WRITEFUNC_PAUSE
            self._of = pouring
        self._memory[self._filled : self._filled + size] = data
        self._filled += size
        return None

    def _hand_on(self) -> None:
        pouring, filled = self._of, self._filled
        self._of, self._filled = None, 0
        if pouring is not None:
            pouring.hand_on(self._memory[:filled])
            if pouring.is_over:
                self._over.append(pouring.exchange.handle)

    def _end(self, handle: pycurl.Curl, *failure: Any) -> None:
        if pouring := self._flying.get(handle):
            self._multi.remove_handle(handle)
            del self._flying[handle]
            pouring.end(*failure)

    def _watch(self, wanted: int, file: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        if not self.load:
            return  # nothing is on its way, and nothing is waited for: a connection that was kept is closed
        events, is_known = _WANTED.get(wanted, 0), file in self._selector.get_map()
        if events and is_known:
            self._selector.modify(file, events)
        elif events:
            self._selector.register(file, events)
        elif is_known:
            self._selector.unregister(file)

    def _wake_in(self, milliseconds: int) -> None:
        self._due = math.inf if milliseconds < 0 else time.monotonic() + milliseconds / 1000
