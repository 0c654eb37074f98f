"""Answers that have to be whole within a time. A socket's own timeout is for one read: a byte now and then would last for ever."""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

import urllib3

if TYPE_CHECKING:
    from typing_extensions import Buffer

ANSWER_SECONDS: Final = 600.0
"""From the request's end to the answer's; S3 may need minutes to put a large object together, and sends spaces meanwhile."""


def bound_answers(pool: urllib3.HTTPConnectionPool) -> None:
    """Has the pool's connections break off an answer that takes longer than `ANSWER_SECONDS`."""
    kind = pool.ConnectionCls
    pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": _Response})


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, time.monotonic() + ANSWER_SECONDS))


class _Timed(io.RawIOBase):
    """What a socket receives until a moment.

    Args:
        until: monotonic seconds.
    """

    def __init__(self, received: io.RawIOBase, sock: socket.socket, until: float) -> None:
        self._received = received
        self._socket = sock
        self._between = sock.gettimeout() or ANSWER_SECONDS
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out: the answer takes too long")
        if left < self._between:
            self._socket.settimeout(left)
        return self._received.readinto(buffer)

    def close(self) -> None:
        self._received.close()
        super().close()
