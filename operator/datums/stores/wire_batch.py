"""Many small requests at once, in one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import pycurl

from datums.stores.wire_exchange import Exchange, Reply, Request, WireError
from datums.stores.wire_waiting import ended, wait

T = TypeVar("T")
_SENT_AT_ONCE: Final = 16


class WireBatch(Generic[T]):
    """Many small requests at once, for one thread.

    Args:
        handle: makes a new one.
        at_once: how many connections are kept open.
    """

    def __init__(self, handle: Callable[[], pycurl.Curl], origin: str, at_once: int) -> None:
        self._handle = handle
        self._origin = origin
        self._free: list[pycurl.Curl] = []
        self._flying: dict[pycurl.Curl, tuple[T, Exchange]] = {}
        self._unsent = 0
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, at_once)

    def __len__(self) -> int:
        """Requests that are on their way."""
        return len(self._flying)

    def begin(self, tag: T, request: Request, limit: int) -> None:
        """Sends a request; one that cannot be sent raises a WireError.

        Args:
            tag: comes back with the answer.
            limit: the most bytes of an answer that are taken.
        """
        handle = self._free.pop() if self._free else self._handle()
        self._flying[handle] = tag, Exchange(handle, self._origin, request, limit)
        self._multi.add_handle(handle)
        self._unsent += 1
        if self._unsent >= _SENT_AT_ONCE:  # the service need not wait until the last of many is ready
            self._perform()

    def take(self, seconds: float) -> Iterator[tuple[T, Reply | WireError]]:
        """The requests that have ended; waits at most so long for the first."""
        until = time.monotonic() + seconds
        while self._flying:
            self._perform()
            answered = [self._end(handle, failure) for handle, failure in ended(self._multi)]
            left = until - time.monotonic()
            if answered or left <= 0:
                yield from answered
                return
            wait(self._multi, left)

    def close(self) -> None:
        """Breaks off what is on its way."""
        for handle in self._flying:
            self._multi.remove_handle(handle)
        self._flying.clear()
        self._free.clear()
        self._multi.close()

    def _perform(self) -> None:
        self._multi.perform()
        self._unsent = 0

    def _end(self, handle: pycurl.Curl, failure: tuple[int, str] | None) -> tuple[T, Reply | WireError]:
        tag, exchange = self._flying.pop(handle)
        try:
            return tag, exchange.reply() if failure is None else exchange.broken(*failure)
        except WireError as error:
            return tag, error
        finally:
            self._multi.remove_handle(handle)
            self._free.append(handle)
