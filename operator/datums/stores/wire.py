"""HTTP/1.1 with one service, by libcurl: one request at a time, an answer whose body is taken as it comes or written to a file, or
many small requests at once in one thread.

Why libcurl: a thread for each request spends more on handing over the interpreter's lock than on the request; one thread that has
many in flight moves small objects several times as fast (docs/performance.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import pycurl

from datums.stores.wire_batch import WireBatch
from datums.stores.wire_bodies import RECEIVED_AT_ONCE, Incoming
from datums.stores.wire_exchange import SLOWEST, SMALL_BYTES, Exchange, Reply, Request, WireError
from datums.stores.wire_watch import Watch

if TYPE_CHECKING:
    from datums.stores.libcurl import Handle
    from datums.stores.sink import Sink

__all__ = ["Incoming", "Reply", "Request", "Wire", "WireBatch", "WireError"]

H = TypeVar("H", "pycurl.Curl", "Handle")

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
        self._native: list[Handle] = []
        self._watch = Watch()

    def send(self, request: Request, limit: int) -> Reply:
        """Sends a request and takes its answer.

        Args:
            limit: the most bytes of an answer that are taken.

        Raises:
            WireError
        """
        if not isinstance(request.body, tuple) and memoryview(request.body).nbytes > SMALL_BYTES:
            return self._send_large(request, limit)
        with self._lock:
            handle = self._handles.pop() if self._handles else self.handle()
        exchange = Exchange(handle, self._origin, request, limit)
        try:
            handle.perform()
        except pycurl.error as error:
            return exchange.broken(*error.args)
        finally:
            exchange.end()
            with self._lock:
                self._handles.append(handle)
        return exchange.reply()

    def _send_large(self, request: Request, limit: int) -> Reply:
        """`send`, while other threads run: pycurl asks for a large body in pieces."""
        from datums.stores.sink import Memory  # noqa: PLC0415  some milliseconds, for ctypes

        body = Memory()
        with self._native_handle() as handle:
            exchange = Exchange(handle, self._origin, request, limit, body)
            try:
                code, text = handle.perform()
                handle.hand_heads()
                reply = exchange.broken(code, text) if code else exchange.reply()
            finally:
                exchange.end()
        return reply._replace(body=bytearray(body.read()))

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

    def save(self, request: Request, sink: Sink, most: int, begin: Callable[[Reply], None], came: Callable[[int], None]) -> None:
        """Sends a request, and writes the body of its answer to a file as it comes, while other threads run.

        Args:
            most: of more bytes than these nothing is written; 0 for any number.
            begin: called with the answer, when its body has begun or it has ended without one (it is empty, but for an error's, of
                which nothing is left in the file). What it raises breaks it off, and passes through, and nothing is written.
            came: called with the number of bytes that were written since it was called last, at least every second. What it raises
                breaks it off, and passes through.

        Raises:
            WireError: it ends before its time; what came is written.
            OSError: the file cannot be written.
        """
        from datums.stores.wire_saving import Saving  # noqa: PLC0415  some milliseconds, for ctypes

        with self._native_handle() as handle:
            saving = Saving(handle, self._origin, request, sink, most, begin, came, self._watch)
            try:
                saving.run()
            finally:
                saving.end()

    def batch(self, at_once: int) -> WireBatch[Any]:
        """For many small requests in one thread.

        Args:
            at_once: how many connections are kept open.
        """
        return WireBatch(self.handle, self._origin, at_once)

    @contextmanager
    def _native_handle(self) -> Iterator[Handle]:
        with self._lock:
            handle = self._native.pop() if self._native else None
        if handle is None:
            from datums.stores.libcurl import Handle  # noqa: PLC0415  some milliseconds, for ctypes

            handle = self._prepared(Handle())
            handle.setopt(pycurl.BUFFERSIZE, _LARGE_BUFFER_BYTES)
        try:
            yield handle
        finally:
            with self._lock:
                self._native.append(handle)

    def handle(self) -> pycurl.Curl:
        """A new handle, with all that its requests have in common."""
        return self._prepared(pycurl.Curl())

    def _prepared(self, made: H) -> H:
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
