"""HTTP/1.1 with one service, by libcurl: one request at a time, an answer whose body is taken as it comes, or many small requests
at once in one thread.

Why libcurl: a thread for each request spends more on handing over the interpreter's lock than on the request; one thread that has
many in flight moves small objects several times as fast (docs/performance.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

import pycurl

from datums.stores.wire_batch import WireBatch
from datums.stores.wire_bodies import RECEIVED_AT_ONCE, Incoming, Pouring
from datums.stores.wire_exchange import SLOWEST, Exchange, Reply, Request, WireError
from datums.stores.wire_lanes import Lanes

__all__ = ["Incoming", "Reply", "Request", "Wire", "WireBatch", "WireError"]

_CONNECT_SECONDS: Final = 5
_BUFFER_BYTES: Final = 64 << 10
_LARGE_BUFFER_BYTES: Final = 512 << 10
"""libcurl's own, for large answers: fewer and larger reads."""


class Wire:
    """Connections to one service. Safe to use from several threads.

    Args:
        url: of the service, perhaps with a path, which is left aside.
        ca_bundle: PEM of authorities to trust besides the public ones.
        proxy: URL; empty for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …).
    """

    def __init__(self, url: str, *, ca_bundle: str = "", proxy: str = "") -> None:
        service = urlsplit(url)
        # As libcurl sends it, and as it is signed.
        port = {"http": ":80", "https": ":443"}.get(service.scheme, "")
        self.host = service.netloc.removesuffix(port)
        self._origin = f"{service.scheme}://{service.netloc}"
        self._options: list[tuple[int, Any]] = [
            (pycurl.NOSIGNAL, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PATH_AS_IS, 1),  # keys can hold `..`
            (pycurl.PROXY, proxy or _environment_proxy(service.scheme, service.hostname or "")),
            (pycurl.NOPROXY, ""),
            (pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS),
            (pycurl.LOW_SPEED_LIMIT, SLOWEST),
            (pycurl.BUFFERSIZE, _BUFFER_BYTES),
            (pycurl.UPLOAD_BUFFERSIZE, RECEIVED_AT_ONCE),
            (pycurl.TCP_NODELAY, 1),
        ]
        if service.scheme == "https":
            from datums.stores.wire_trust import trust  # noqa: PLC0415  some milliseconds

            self._options += trust(ca_bundle)
        self._lock = Lock()
        self._handles: list[pycurl.Curl] = []
        self._pulled: list[tuple[pycurl.CurlMulti, pycurl.Curl]] = []
        self._poured: list[pycurl.Curl] = []
        """Apart from the others: a handle that goes from one of libcurl's ways to another loses its connection."""
        self._lanes = Lanes()

    def send(self, request: Request, limit: int) -> Reply:
        """Sends a request and takes its answer.

        Args:
            limit: the most bytes of an answer that are taken.

        Raises:
            WireError
        """
        with self._lock:
            handle = self._handles.pop() if self._handles else None
        exchange = Exchange(handle or self.handle(), self._origin, request, limit)
        try:
            exchange.handle.perform()
        except pycurl.error as error:
            return exchange.broken(*error.args)
        finally:
            self._give_back(exchange, self._handles)
        return exchange.reply()

    @contextmanager
    def receive(self, request: Request) -> Iterator[Incoming]:
        """Sends a request, and has its answer as soon as its headers are there. Leaving early breaks the answer off.

        Raises:
            WireError
        """
        with self._lock:
            kept = self._pulled.pop() if self._pulled else None
        multi, handle = kept or (pycurl.CurlMulti(), self.handle())
        incoming = Incoming(multi, handle, self._origin, request)
        try:
            incoming.begin()
            yield incoming
        finally:
            # What was left behind in a circle of objects is ended by the garbage collector, and `multi` perhaps before it.
            with suppress(pycurl.error):
                multi.remove_handle(handle)
                with self._lock:
                    self._pulled.append((multi, handle))

    def pour(self, request: Request, begin: Callable[[Reply], None], take: Callable[[memoryview], None]) -> None:
        """Sends a request, and hands the body of its answer on as it comes, while it is in the processor's cache.

        `begin` and `take` are called in a thread that serves other answers, too: they must not wait for long, and not call `pour`.

        Args:
            begin: called with the answer as soon as its headers are there (its body is empty, but for an error's). What it raises
                breaks it off, and passes through.
            take: called with up to 256 KiB at a time, in memory that is used again. What it raises does the same.

        Raises:
            WireError: it ends before its time; what came is handed on first.
        """
        with self._lock:
            handle = self._poured.pop() if self._poured else None
        if handle is None:
            handle = self.handle()
            handle.setopt(pycurl.BUFFERSIZE, _LARGE_BUFFER_BYTES)
        pouring = Pouring(handle, self._origin, request, begin, take)
        try:
            self._lanes.run(pouring)
        except (OSError, RuntimeError) as error:
            raise WireError(f"Connect {error}") from None
        # Where the thread is interrupted, it does not come here: libcurl is still at work on the handle.
        if pouring.is_free:
            self._give_back(pouring.exchange, self._poured)
        pouring.check()

    def batch(self, at_once: int) -> WireBatch[Any]:
        """For many small requests in one thread.

        Args:
            at_once: how many connections are kept open.
        """
        return WireBatch(self.handle, self._origin, at_once)

    def _give_back(self, exchange: Exchange, free: list[pycurl.Curl]) -> None:
        exchange.end()
        with self._lock:
            free.append(exchange.handle)

    def handle(self) -> pycurl.Curl:
        """A new handle, with all that its requests have in common."""
        made = pycurl.Curl()
        for option, value in self._options:
            made.setopt(option, value)
        return made


def _environment_proxy(scheme: str, host: str) -> str:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  20 ms

    if proxy_bypass(host):
        return ""
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all", "")
