"""Bodies of answers that are taken as they come: pulled (`Incoming`), or handed on (`Pouring`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pycurl

from datums.stores.wire_errors import explain
from datums.stores.wire_exchange import Exchange, Reply, Request, WireError
from datums.stores.wire_waiting import wait

RECEIVED_AT_ONCE: Final = 256 << 10
_ERROR_BYTES: Final = 64 << 10


class Pouring:
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
        self._memory = memoryview(bytearray(RECEIVED_AT_ONCE))
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
            if self._filled + size > RECEIVED_AT_ONCE:
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
            while not self._ended and sum(map(len, self._chunks)) < RECEIVED_AT_ONCE:
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
