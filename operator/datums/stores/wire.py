"""HTTP/1.1 with one service, by libcurl: one request at a time, an answer whose body is taken as it comes, or many small requests
at once in one thread.

Why libcurl: a thread for each request spends more on handing over the interpreter's lock than on the request; one thread that has
many in flight moves small objects several times as fast (docs/performance.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

import pycurl

from datums.stores.clients import CONNECT_SECONDS, SILENCE_SECONDS, USER_AGENT
from datums.stores.wire_errors import explain

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

ANSWER_SECONDS: Final = 600.0
"""For a request and its answer, besides the time that a slow line needs for the bytes that are sent: S3 may need minutes to put a
large object together, and sends spaces meanwhile."""
_SLOWEST: Final = 4 << 10
"""Bytes a second. What is sent or received more slowly for `SILENCE_SECONDS` is broken off."""
_SMALL_BYTES: Final = 1 << 20
"""A body up to here is handed over whole."""
_RECEIVED_AT_ONCE: Final = 256 << 10
_BUFFER_BYTES: Final = 64 << 10
"""libcurl's own; several of them are filled before it lets go."""
_ERROR_BYTES: Final = 64 << 10
_LOOK_SECONDS: Final = 1.0
_NOT_AFTER_ALL: Final = ("accept:", "content-type:", "expect:", "transfer-encoding:")
"""Headers that libcurl would add, and that would not be signed."""


class Reply(NamedTuple):
    """What the service has answered, whatever the status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytearray

    @property
    def retry_after(self) -> float:
        """Seconds that the service asks to wait; 0 where it does not say."""
        said = self.headers.get("retry-after", "")
        if not said:
            return 0.0
        if said.isdecimal():
            return float(said)
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  some milliseconds

        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except ValueError:
            return 0.0


class WireError(Exception):
    """No answer, or not a whole one. The text says what the network layer says, and `Connect` where it got no further."""


class Request(NamedTuple):
    """What is sent."""

    method: str
    target: str
    """Path and query, encoded; begins with a slash."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Buffer = b""
    is_patient: bool = False
    """Whether the service may take minutes before it answers."""


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
            (pycurl.CONNECTTIMEOUT, CONNECT_SECONDS),
            (pycurl.LOW_SPEED_LIMIT, _SLOWEST),
            (pycurl.BUFFERSIZE, _BUFFER_BYTES),
            (pycurl.UPLOAD_BUFFERSIZE, _RECEIVED_AT_ONCE),
            (pycurl.TCP_NODELAY, 1),
        ]
        if service.scheme == "https":
            from datums.stores.wire_trust import trust  # noqa: PLC0415  some milliseconds

            self._options += trust(ca_bundle)
        self._lock = Lock()
        self._handles: list[pycurl.Curl] = []
        self._lanes: list[tuple[pycurl.CurlMulti, pycurl.Curl]] = []

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
            self._give_back(exchange)
        return exchange.reply()

    @contextmanager
    def receive(self, request: Request) -> Iterator[Incoming]:
        """Sends a request, and has its answer as soon as its headers are there. Leaving early breaks the answer off.

        Raises:
            WireError
        """
        with self._lock:
            lane = self._lanes.pop() if self._lanes else None
        multi, handle = lane or (pycurl.CurlMulti(), self.handle())
        incoming = Incoming(multi, handle, self._origin, request)
        try:
            incoming.begin()
            yield incoming
        finally:
            multi.remove_handle(handle)
            with self._lock:
                self._lanes.append((multi, handle))

    def pour(self, request: Request, begin: Callable[[Reply], None], take: Callable[[memoryview], None]) -> None:
        """Sends a request, and hands the body of its answer on as it comes, while it is in the processor's cache.

        Args:
            begin: called with the answer as soon as its headers are there (its body is empty, but for an error's). What it raises
                breaks it off, and passes through.
            take: called with some hundred KiB at a time, in memory that is used again. What it raises does the same.

        Raises:
            WireError: it ends before its time; what came is handed on first.
        """
        with self._lock:
            handle = self._handles.pop() if self._handles else None
        pouring = _Pouring(handle or self.handle(), self._origin, request, begin, take)
        try:
            pouring.run()
        finally:
            self._give_back(pouring.exchange)

    def batch(self, at_once: int) -> WireBatch[Any]:
        """For many small requests in one thread.

        Args:
            at_once: how many connections are kept open.
        """
        return WireBatch(self.handle, self._origin, at_once)

    def _give_back(self, exchange: Exchange) -> None:
        exchange.end()
        with self._lock:
            self._handles.append(exchange.handle)

    def handle(self) -> pycurl.Curl:
        """A new handle, with all that its requests have in common."""
        made = pycurl.Curl()
        for option, value in self._options:
            made.setopt(option, value)
        return made


class Exchange:
    """A request on a handle, and what has come of its answer.

    Args:
        limit: the most bytes of an answer that are taken; 0 for any number.
        take: called with what comes of the body, which is kept here when None.
    """

    __slots__ = ("_body", "_heads", "handle")

    def __init__(
        self, handle: pycurl.Curl, origin: str, request: Request, limit: int, take: Callable[[bytes], int | None] | None = None
    ) -> None:
        self.handle = handle
        self._body = bytearray()
        self._heads: list[bytes] = []
        method, target, headers, body, is_patient = request
        handle.setopt(pycurl.URL, origin + target)
        handle.setopt(pycurl.HTTPHEADER, [*_lines(headers), f"user-agent: {USER_AGENT}", *_NOT_AFTER_ALL])
        handle.setopt(pycurl.LOW_SPEED_TIME, 0 if is_patient else SILENCE_SECONDS)
        # On a kept connection that is found closed libcurl sends once more, unseen: what must not be done twice has a new one.
        handle.setopt(pycurl.FRESH_CONNECT, method == "POST" or "if-none-match" in headers)
        handle.setopt(pycurl.HEADERFUNCTION, self._heads.append)
        handle.setopt(pycurl.WRITEFUNCTION, take or self._body.extend)
        handle.setopt(pycurl.MAXFILESIZE_LARGE, limit)
        handle.setopt(pycurl.HTTPGET, 1)
        size = memoryview(body).nbytes
        handle.setopt(pycurl.TIMEOUT_MS, 0 if take else int(1000 * (ANSWER_SECONDS + size / _SLOWEST)))
        if method in ("GET", "HEAD"):
            handle.unsetopt(pycurl.CUSTOMREQUEST)
            if method == "HEAD":
                handle.setopt(pycurl.NOBODY, 1)
                handle.setopt(pycurl.MAXFILESIZE_LARGE, 0)  # what it would be about has any size
            return
        handle.setopt(pycurl.CUSTOMREQUEST, method)
        if size > _SMALL_BYTES:
            reader = _Reader(body)
            handle.setopt(pycurl.UPLOAD, 1)
            handle.setopt(pycurl.INFILESIZE_LARGE, size)
            handle.setopt(pycurl.READFUNCTION, reader.read)
            handle.setopt(pycurl.SEEKFUNCTION, reader.seek)
        elif method != "DELETE":
            handle.setopt(pycurl.POSTFIELDS, bytes(body))

    @property
    def status(self) -> int:
        """0 as long as there is no answer."""
        for line in reversed(self._heads):
            if line.startswith(b"HTTP/"):
                return int(line.split(maxsplit=2)[1])
        return 0

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer, names in lower case."""
        found: dict[str, str] = {}
        for line in b"".join(self._heads).decode("latin-1").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                found[name.lower()] = value.strip()
            elif line.startswith("HTTP/"):
                found.clear()  # what came before was an interim answer
        return found

    def reply(self) -> Reply:
        """The whole answer."""
        return Reply(self.status, self.headers, self._body)

    def broken(self, code: int, text: str) -> Reply:
        """What there is of an answer that ended before its time, if its status says enough.

        Raises:
            WireError: it does not.
        """
        if self.has_refused:
            return self.reply()
        raise WireError(explain(self.handle, code, text))

    @property
    def has_refused(self) -> bool:
        """Whether the service itself (and no proxy) has said no."""
        return int(self.handle.getinfo(pycurl.RESPONSE_CODE)) >= 300

    def end(self) -> None:
        """Lets go of what the handle would keep until its next request."""
        for option in (pycurl.READFUNCTION, pycurl.SEEKFUNCTION, pycurl.WRITEFUNCTION, pycurl.HEADERFUNCTION):
            self.handle.unsetopt(option)
        self.handle.setopt(pycurl.POSTFIELDS, b"")


class _Pouring:
    """An answer on its way to who takes it."""

    def __init__(
        self,
        handle: pycurl.Curl,
        origin: str,
        request: Request,
        begin: Callable[[Reply], None],
        take: Callable[[memoryview], None],
    ) -> None:
        self.exchange = Exchange(handle, origin, request, 0, self._came)
        self._begin = begin
        self._take = take
        self._memory = memoryview(bytearray(_RECEIVED_AT_ONCE))
        self._filled = 0
        self._status = 0
        self._failure: BaseException | None = None

    def run(self) -> None:
        broken: WireError | None = None
        try:
            self.exchange.handle.perform()
        except pycurl.error as error:
            broken = WireError(explain(self.exchange.handle, *error.args))
        if self._failure is not None:
            raise self._failure
        if self._status and self._is_good:
            if self._filled:
                self._take(self._memory[: self._filled])
        elif self._status or broken is None:
            self._started()
            return  # what ended early is an error that says enough
        if broken is not None:
            raise broken

    @property
    def _is_good(self) -> bool:
        return 200 <= self._status < 300

    def _started(self) -> None:
        body = bytearray(b"" if self._is_good else self._memory[: self._filled])
        self._begin(Reply(self.exchange.status, self.exchange.headers, body))

    def _came(self, data: bytes) -> int | None:
        try:
            if not self._status:
                self._status = self.exchange.status
                if self._is_good:
                    self._started()
            size = len(data)
            if self._filled + size > _RECEIVED_AT_ONCE:
                if not self._is_good:
                    return -1  # the beginning of an error says enough
                self._take(self._memory[: self._filled])
                self._filled = 0
            self._memory[self._filled : self._filled + size] = data
            self._filled += size
        except BaseException as error:  # noqa: BLE001  raised when libcurl has returned
            self._failure = error
            return -1
        return None


class Incoming:
    """An answer whose body is taken as it comes."""

    def __init__(self, multi: pycurl.CurlMulti, handle: pycurl.Curl, origin: str, request: Request) -> None:
        self._multi = multi
        self._chunks: list[bytes] = []
        self._exchange = Exchange(handle, origin, request, 0, self._chunks.append)
        self._ended = False
        self._failure: WireError | None = None
        multi.add_handle(handle)

    @property
    def status(self) -> int:
        return self._exchange.status

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        return self._exchange.headers

    def begin(self) -> None:
        """Waits for the answer to begin.

        Raises:
            WireError
        """
        while not self._chunks and not self._ended:
            try:
                self._turn()
            except WireError as error:
                if not self._chunks and not self._exchange.has_refused:
                    raise
                self._failure, self._ended = error, True

    def chunks(self) -> Iterator[bytes]:
        """The body, in chunks of some hundred KiB. Each stands for what has come since the one before was taken.

        Raises:
            WireError: it ends before its time; what came is given first.
        """
        while True:
            while not self._ended and sum(map(len, self._chunks)) < _RECEIVED_AT_ONCE:
                try:
                    self._turn()
                except WireError as error:
                    self._failure, self._ended = error, True
            if self._chunks:
                data = b"".join(self._chunks)
                self._chunks.clear()
                yield data
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return

    def reply(self) -> Reply:
        """The answer with the beginning of its body, where that is an error."""
        body = bytearray()
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) >= _ERROR_BYTES:
                    break
        except WireError:
            pass  # the status says more
        return Reply(self.status, self.headers, body[:_ERROR_BYTES])

    def _turn(self) -> None:
        before = len(self._chunks)
        self._multi.perform()
        _, well, badly = self._multi.info_read()
        if badly:
            raise WireError(explain(*badly[0]))
        if well:
            self._ended = True
        elif len(self._chunks) == before:
            wait(self._multi)


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

    def take(self, seconds: float) -> Iterator[tuple[T, Reply | WireError]]:
        """The requests that have ended; waits at most so long for the first."""
        until = time.monotonic() + seconds
        while self._flying:
            self._multi.perform()
            ended = list(self._ended())
            left = until - time.monotonic()
            if ended or left <= 0:
                yield from ended
                return
            wait(self._multi, left)

    def close(self) -> None:
        """Breaks off what is on its way."""
        for handle in self._flying:
            self._multi.remove_handle(handle)
        self._flying.clear()
        self._free.clear()
        self._multi.close()

    def _ended(self) -> Iterator[tuple[T, Reply | WireError]]:
        more = 1
        while more:
            more, well, badly = self._multi.info_read()
            for handle in well:
                yield self._end(handle, None)
            for handle, code, text in badly:
                yield self._end(handle, (code, text))

    def _end(self, handle: pycurl.Curl, failure: tuple[int, str] | None) -> tuple[T, Reply | WireError]:
        tag, exchange = self._flying.pop(handle)
        try:
            return tag, exchange.reply() if failure is None else exchange.broken(*failure)
        except WireError as error:
            return tag, error
        finally:
            self._multi.remove_handle(handle)
            self._free.append(handle)


class _Reader:
    """A large body, for libcurl to take piece by piece, and again where a connection was found closed."""

    __slots__ = ("_at", "_view")

    def __init__(self, body: Buffer) -> None:
        self._view = memoryview(body).cast("B")
        self._at = 0

    def read(self, size: int) -> bytes:
        data = bytes(self._view[self._at : self._at + size])
        self._at += len(data)
        return data

    def seek(self, offset: int, origin: int) -> int:
        self._at = offset + (len(self._view) if origin == 2 else self._at if origin == 1 else 0)
        return 0


def _lines(headers: Mapping[str, str]) -> list[str]:
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        names = ", ".join(name for name, value in headers.items() if not (value.isascii() and value.isprintable()))
        raise WireError(f"Got invalid characters for the header {names}")
    return lines


def wait(multi: pycurl.CurlMulti, seconds: float = _LOOK_SECONDS) -> None:
    """Until there is something to do, but no longer than so many seconds."""
    due = multi.timeout()
    seconds = min(seconds, due / 1000 if due >= 0 else seconds, _LOOK_SECONDS)
    # -1: nothing to wait for yet, such as while a name is looked up.
    if seconds > 0 and multi.select(seconds) < 0:
        time.sleep(min(seconds, 0.005))


def _environment_proxy(scheme: str, host: str) -> str:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  20 ms

    if proxy_bypass(host):
        return ""
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all", "")
