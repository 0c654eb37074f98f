"""Bodies of answers that are taken as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pycurl

from datums.stores.answers import ERROR_BYTES
from datums.stores.wire_errors import explain
from datums.stores.wire_exchange import Exchange, Reply, Request, WireError
from datums.stores.wire_waiting import wait

RECEIVED_AT_ONCE: Final = 256 << 10


class Incoming:
    """An answer whose body is taken as it comes."""

    def __init__(self, multi: pycurl.CurlMulti, handle: pycurl.Curl, origin: str, request: Request) -> None:
        self._multi = multi
        self._handle = handle
        self._chunks: list[bytes] = []
        self._waiting = 0
        """Bytes of them."""
        self._is_paused = False
        self._exchange = Exchange(handle, origin, request, 0, self._came, is_endless=True)
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
            while not self._ended and self._waiting < RECEIVED_AT_ONCE:
                try:
                    self._turn()
                except WireError as error:
                    self._failure, self._ended = error, True
            if self._chunks:
                data = b"".join(self._chunks)
                self._chunks.clear()
                self._waiting = 0
                yield data
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return

    def reply(self) -> Reply:
        """The answer as far as it is known: without its body, but with the beginning of that of an error."""
        body = bytearray()
        if 200 <= self.status < 300:
            return Reply(self.status, self.headers, body)
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) >= ERROR_BYTES:
                    break
        except WireError:
            pass  # the status says more
        return Reply(self.status, self.headers, body[:ERROR_BYTES])

    def _turn(self) -> None:
        before = len(self._chunks)
        if self._is_paused:
            self._is_paused = False
            self._handle.pause(pycurl.PAUSE_CONT)
        self._multi.perform()
        _, well, badly = self._multi.info_read()
        if badly:
            raise WireError(explain(*badly[0]))
        if well:
            self._ended = True
        elif len(self._chunks) == before:
            wait(self._multi)

    def _came(self, data: bytes) -> int | None:
        if self._waiting >= RECEIVED_AT_ONCE:
            # Else libcurl would go on for as long as there is more.
            self._is_paused = True
            return pycurl.WRITEFUNC_PAUSE
        self._chunks.append(data)
        self._waiting += len(data)
        return None
