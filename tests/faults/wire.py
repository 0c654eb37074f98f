"""HTTP/1.1 as it lies on the line: heads as they were written, bodies by length, by chunks or to the end."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_MAX_HEAD = 256 << 10
_PIECE = 64 << 10


class Broken(Exception):
    """The other side went away in the middle of a message, or does not speak HTTP."""


class Head(NamedTuple):
    """The first line and the headers of a message, with the names as they were written."""

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        """The value of a header, empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def without(self, *names: str) -> Head:
        """The same, without these headers."""
        drop = {name.lower() for name in names}
        return Head(self.first, [(key, value) for key, value in self.headers if key.lower() not in drop])

    def with_header(self, name: str, value: str) -> Head:
        """The same, with this one header in place of all of its name."""
        return Head(self.first, [*self.without(name).headers, (name, value)])

    @property
    def method(self) -> str:
        return self.first.split(" ")[0]

    @property
    def target(self) -> str:
        """Of a request: path and query as they were sent."""
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first.split(" ")[1])

    def encode(self) -> bytes:
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Line:
    """One connection, read in messages."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def head(self) -> Head | None:
        """The next message's head; None when the connection ends before it."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(_PIECE)
            if not data:
                if self._buffer:
                    raise Broken("the connection ended within a head")
                return None
            self._buffer += data
            if len(self._buffer) > _MAX_HEAD:
                raise Broken("the head is too long")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Head(first, [(name, value.strip()) for name, _, value in pairs])

    def body(self, head: Head, *, to_the_end: bool) -> Iterator[bytes]:
        """The message's body, without the marks of its chunks.

        Args:
            to_the_end: a body of no stated length lasts as long as the connection (answers); else there is none (requests).
        """
        if "chunked" in head.get("Transfer-Encoding").lower():
            yield from self._chunks()
        elif length := head.get("Content-Length"):
            yield from self._exactly(int(length))
        elif to_the_end:
            yield self._buffer
            self._buffer = b""
            while data := self.socket.recv(_PIECE):
                yield data

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().split(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass  # trailers

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, left: int) -> Iterator[bytes]:
        while left:
            if not self._buffer:
                self._more()
            data, self._buffer = self._buffer[:left], self._buffer[left:]
            left -= len(data)
            yield data

    def _more(self) -> None:
        data = self.socket.recv(_PIECE)
        if not data:
            raise Broken("the connection ended within a body")
        self._buffer += data


def reset(connection: socket.socket) -> None:
    """Ends a connection with a RST, so that the other side loses even what it has not read yet."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        connection.close()
