"""One request and its answer, on a handle of libcurl."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import pycurl

from datums.stores.wire_errors import explain

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.libcurl import Handle
    from datums.stores.sink import Memory, Sink

ANSWER_SECONDS: Final = 600.0
"""For a request and its answer, besides the time that a slow line needs for the bytes that are sent: S3 may need minutes to put a
large object together, and sends spaces meanwhile."""
SLOWEST: Final = 4 << 10
"""Bytes a second. What is sent or received more slowly for `_SILENCE_SECONDS` is broken off."""
_SILENCE_SECONDS: Final = 60
_USER_AGENT: Final = "datums"
SMALL_BYTES: Final = 1 << 20
"""A body up to here is handed over whole."""
_BLANK: Final = (b"\r\n", b"\n")
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
    body: Buffer | tuple[Buffer, ...] = b""
    """Several are sent one after the other."""
    is_patient: bool = False
    """Whether the service may take minutes before it answers."""
    once: bool = False
    """Whether it must not be sent twice. Others are, unseen, where a kept connection is found closed."""


class Exchange:
    """A request on a handle, and what has come of its answer.

    Args:
        limit: the most bytes of an answer that are taken; 0 for any number.
        take: called with what comes of the body, which is kept here when None. Something with a stream for a `Handle`.
        is_endless: whether the answer may take any time, as long as something comes.
    """

    __slots__ = ("_body", "_heads", "handle")

    def __init__(
        self,
        handle: pycurl.Curl | Handle,
        origin: str,
        request: Request,
        limit: int,
        take: Callable[[bytes], int | None] | Memory | Sink | None = None,
        *,
        is_endless: bool = False,
    ) -> None:
        self.handle = handle
        self._body = bytearray()
        self._heads: list[bytes] = []
        method, target, headers, body, is_patient, once = request
        handle.setopt(pycurl.URL, origin + target)
        handle.setopt(pycurl.HTTPHEADER, [*_lines(headers), f"user-agent: {_USER_AGENT}", *_NOT_AFTER_ALL])
        handle.setopt(pycurl.LOW_SPEED_TIME, 0 if is_patient else _SILENCE_SECONDS)
        handle.setopt(pycurl.FRESH_CONNECT, once)
        handle.setopt(pycurl.HEADERFUNCTION, self._heads.append)
        handle.setopt(pycurl.WRITEFUNCTION, take or self._body.extend)
        handle.setopt(pycurl.MAXFILESIZE_LARGE, limit)
        handle.setopt(pycurl.HTTPGET, 1)
        pieces = body if isinstance(body, tuple) else (body,)
        size = sum(memoryview(piece).nbytes for piece in pieces)
        handle.setopt(pycurl.TIMEOUT_MS, 0 if is_endless else int(1000 * (ANSWER_SECONDS + size / SLOWEST)))
        if method in ("GET", "HEAD"):
            handle.unsetopt(pycurl.CUSTOMREQUEST)
            if method == "HEAD":
                handle.setopt(pycurl.NOBODY, 1)
                handle.setopt(pycurl.MAXFILESIZE_LARGE, 0)  # what it would be about has any size
            return
        handle.setopt(pycurl.CUSTOMREQUEST, method)
        if size > SMALL_BYTES and isinstance(handle, pycurl.Curl):
            reader = _Reader(pieces, size)
            handle.setopt(pycurl.UPLOAD, 1)
            handle.setopt(pycurl.INFILESIZE_LARGE, size)
            handle.setopt(pycurl.READFUNCTION, reader.read)
            handle.setopt(pycurl.SEEKFUNCTION, reader.seek)
        elif method != "DELETE":
            handle.setopt(pycurl.POSTFIELDS, b"".join(pieces) if isinstance(handle, pycurl.Curl) else body)

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
        """The whole answer.

        Raises:
            WireError: it ended within its headers, which libcurl takes for an answer without a body.
        """
        for line in reversed(self._heads):
            if line in _BLANK:
                break
            if line.startswith(b"HTTP/"):
                raise WireError("the answer ended within its headers")
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


class _Reader:
    """A large body, for libcurl to take piece by piece, and again where a connection was found closed."""

    __slots__ = ("_at", "_size", "_views")

    def __init__(self, pieces: Sequence[Buffer], size: int) -> None:
        self._views = [memoryview(piece).cast("B") for piece in pieces]
        self._size = size
        self._at = 0

    def read(self, most: int) -> bytes:
        begin = self._at
        for view in self._views:
            if begin < len(view):
                data = bytes(view[begin : begin + most])
                self._at += len(data)
                return data
            begin -= len(view)
        return b""

    def seek(self, offset: int, origin: int) -> int:
        self._at = offset + (self._size if origin == 2 else self._at if origin == 1 else 0)
        return 0


def _lines(headers: Mapping[str, str]) -> list[str]:
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        names = ", ".join(name for name, value in headers.items() if not (value.isascii() and value.isprintable()))
        raise WireError(f"Got invalid characters for the header {names}")
    return lines
