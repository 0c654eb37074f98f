"""One answer on its way to a file."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pycurl

from datums.stores.answers import ERROR_BYTES
from datums.stores.wire_errors import explain
from datums.stores.wire_exchange import Exchange, Reply, Request, WireError

if TYPE_CHECKING:
    from datums.stores.libcurl import Handle
    from datums.stores.sink import Sink
    from datums.stores.wire_watch import Watch

_JUDGED: Final = (0, pycurl.E_WRITE_ERROR, pycurl.E_FILESIZE_EXCEEDED)
"""After these there is a whole header, though nothing was written of the body."""


class Saving:
    """A request, and the body of its answer: see `Wire.save`. What turns out to be no such body is taken back."""

    def __init__(
        self,
        handle: Handle,
        origin: str,
        request: Request,
        sink: Sink,
        most: int,
        begin: Callable[[Reply], None],
        came: Callable[[int], None],
        watch: Watch,
    ) -> None:
        self._exchange = Exchange(handle, origin, request, most, sink, is_endless=True)
        self._handle = handle
        self._sink = sink
        self._begin = begin
        self._came = came
        self._watch = watch
        self._is_enough = ctypes.create_string_buffer(2)
        """A C string: libcurl goes on as long as it is empty."""
        self._seen = sink.position
        self._is_good = False
        self._failure: BaseException | None = None
        sink.mark()
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
        self._watch.remove(self)
        try:
            if self._failure is not None:
                raise self._failure
            self._handle.hand_heads()
            if not self._is_good:
                if self._is_refusal or (code not in _JUDGED and not self._moved):
                    self._refuse(code, text)
                    return
                self._start()
        except BaseException:
            if not self._is_good:
                self._sink.take_back(0)
            raise
        if code == pycurl.E_WRITE_ERROR:
            self._sink.fail()
        self._tell(self._moved)
        if code:
            raise WireError(explain(self._handle, code, text))

    def look_after(self) -> None:
        """Tells what has come. To be called as long as it is watched."""
        try:
            self._tell(self._moved)
        except BaseException as error:  # noqa: BLE001  raised where it was asked for
            self._failure = error
            self._is_enough[0] = b"!"

    def end(self) -> None:
        """Lets go of what the handle would keep until its next request."""
        self._exchange.end()
        self._handle.setopt(pycurl.NOPROGRESS, 1)
        for option in (pycurl.XFERINFOFUNCTION, pycurl.WRITEDATA):
            self._handle.unsetopt(option)

    @property
    def _is_refusal(self) -> bool:
        return self._exchange.has_refused or not 200 <= self._exchange.status < 300

    @property
    def _moved(self) -> int:
        return self._sink.position - self._seen

    def _look(self) -> bool:
        """Until bytes come that are wanted, and every second: whether to go on."""
        try:
            moved = self._moved
            if moved and not self._is_good:
                self._handle.hand_heads()
                if self._is_refusal:
                    return moved < ERROR_BYTES  # the beginning of an error says enough
                self._start()
            self._tell(moved)
            if self._is_good and self._watch.add(self):
                self._handle.go_on_while_empty(self._is_enough)
        except BaseException as error:  # noqa: BLE001  raised where it was asked for
            self._failure = error
            return False
        return True

    def _start(self) -> None:
        self._begin(self._exchange.reply())
        self._is_good = True

    def _refuse(self, code: int, text: str) -> None:
        body = self._sink.take_back(ERROR_BYTES)
        reply = self._exchange.broken(code, text) if code else self._exchange.reply()
        self._begin(reply._replace(body=body))

    def _tell(self, size: int) -> None:
        self._seen += size
        self._came(size)
