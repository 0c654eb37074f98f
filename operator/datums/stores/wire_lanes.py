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

_MOST_LANES: Final = 4
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
            lane = min(self._lanes, key=lambda lane: lane.load, default=None)
            if lane is None or (lane.load and len(self._lanes) < self._most):
                lane = _Lane()
                self._lanes.append(lane)
            lane.begin(pouring)
        pouring.wait()


class _Lane:
    """Connections, which are kept, and one thread for them while something is on its way."""

    def __init__(self) -> None:
        self.load = 0
        """How many answers are on their way."""
        self._lock = threading.Lock()
        self._waiting: deque[Pouring] = deque()
        self._flying: dict[pycurl.Curl, Pouring] = {}
        self._over: list[pycurl.Curl] = []
        self._memory = memoryview(bytearray(RECEIVED_AT_ONCE))
        """What has come of one answer: it is handed on before another one is looked at, while it is in the processor's cache."""
        self._filled = 0
        self._of: Pouring | None = None
        self._due = math.inf
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
            if not self.load:
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
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            for handle, pouring in self._flying.items():
                self._multi.remove_handle(handle)
                pouring.fail(error)
            for pouring in self._waiting:
                pouring.fail(error)
            self._flying.clear()
            self._waiting.clear()
            self.load = 0

    def _turn(self) -> bool:
        """Hands on what has come; whether there is more to come."""
        left = self._due - time.monotonic()
        for key, events in self._selector.select(None if left == math.inf else max(0.0, left)):
            if key.data:
                key.data.recv(4096)
            else:
                self._multi.socket_action(key.fd, _READY[events])
                self._hand_on()
        while self._waiting:
            pouring = self._waiting.popleft()
            handle = pouring.exchange.handle
            handle.setopt(pycurl.WRITEFUNCTION, partial(self._came, pouring))
            self._flying[handle] = pouring
            self._multi.add_handle(handle)
        if self._due <= time.monotonic():
            self._due = math.inf
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._hand_on()
        more = 1
        while more:
            more, well, badly = self._multi.info_read()
            for handle in well:
                self._end(handle)
            for handle, code, text in badly:
                self._end(handle, code, text)
        while self._over:
            self._end(self._over.pop())
        with self._lock:
            self.load = len(self._flying) + len(self._waiting)
            return self.load > 0

    def _came(self, pouring: Pouring, data: bytes) -> int | None:
        size = len(data)
        if pouring is not self._of or self._filled + size > RECEIVED_AT_ONCE:
            self._hand_on()
            if pouring.is_over:
                return -1
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
        if pouring := self._flying.pop(handle, None):
            self._multi.remove_handle(handle)
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
