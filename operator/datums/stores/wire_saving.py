"""One answer on its way to a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pycurl

from datums.stores.wire_errors import explain
from datums.stores.wire_exchange import Exchange, Reply, Request, WireError

if TYPE_CHECKING:
    from datums.stores.libcurl import Handle
    from datums.stores.sink import Sink

_ERROR_BYTES: Final = 64 << 10


class Saving:
    """A request, and where the body of its answer goes: see `Wire.save`."""

    def __init__(
        self,
        handle: Handle,
        origin: str,
        request: Request,
        sink: Sink,
        begin: Callable[[Reply], int],
        came: Callable[[int], None],
    ) -> None:
        self.exchange = Exchange(handle, origin, request, 0, self._take)
        self._handle = handle
        self._sink = sink
        self._begin = begin
        self._came = came
        self._seen = sink.position
        self._is_good = False
        self._room = 0
        """How many bytes may come, of those that libcurl does not write by itself."""
        self._refusal: bytearray | None = None
        self._failure: BaseException | None = None
        handle.setopt(pycurl.XFERINFOFUNCTION, self._look)
        handle.setopt(pycurl.NOPROGRESS, 0)

    def run(self) -> None:
        """Returns when all of it is written.

        Raises:
            WireError: it ended before its time.
            OSError: the file cannot be written.
            BaseException: what `begin` and `came` raise.
        """
        code, text = self._handle.perform()
        if self._failure is not None:
            raise self._failure
        if not self._is_good and (not code or self.exchange.has_refused):
            self._started()  # what ended early is an error that says enough
            return
        if code == pycurl.E_WRITE_ERROR and self._room >= 0:
            self._sink.fail()
        self._tell()
        if self._room < 0:
            raise WireError("Got invalid answer: more than it was to have")
        if code:
            raise WireError(explain(self._handle, code, text))

    def end(self) -> None:
        """Lets go of what the handle would keep until its next request."""
        self.exchange.end()
        self._handle.setopt(pycurl.NOPROGRESS, 1)
        for option in (pycurl.XFERINFOFUNCTION, pycurl.WRITEDATA):
            self._handle.unsetopt(option)

    def _take(self, data: bytes) -> int | None:
        """The beginning of a body; libcurl has the rest of a good one written without asking."""
        try:
            if not self._is_good and self._refusal is None:
                if 200 <= self.exchange.status < 300:
                    self._room = self._started()
                    self._handle.setopt(pycurl.MAXFILESIZE_LARGE, self._room)
                    self._handle.write_to(self._sink.stream)
                else:
                    self._refusal = bytearray()
            if self._refusal is not None:
                self._refusal += data[: _ERROR_BYTES - len(self._refusal)]
                return -1 if len(self._refusal) == _ERROR_BYTES else None  # the beginning of an error says enough
            self._sink.write(data[: self._room])
            self._room -= len(data)
        except BaseException as error:  # noqa: BLE001  raised where it was asked for
            self._failure = error
            return -1
        return -1 if self._room < 0 else None

    def _look(self) -> bool:
        try:
            self._tell()
        except BaseException as error:  # noqa: BLE001  raised where it was asked for
            self._failure = self._failure or error
            return False
        return True

    def _tell(self) -> None:
        position = self._sink.position
        size, self._seen = position - self._seen, position
        self._came(size)

    def _started(self) -> int:
        self._is_good = self._refusal is None
        return self._begin(Reply(self.exchange.status, self.exchange.headers, self._refusal or bytearray()))
