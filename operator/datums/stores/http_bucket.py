"""A bucket that is spoken to by HTTP: reading, small writes and removing, which every service does alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from datums.stores import errors
from datums.stores.answers import ERROR_BYTES, Answer
from datums.stores.bucket import UNTOLD, Bucket
from datums.stores.http_reading import Reading
from datums.stores.protocol import Batch, ObjectInfo

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.http_requests import Requests
    from datums.stores.sink import Sink
    from datums.stores.wire import Incoming, Reply

_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"


class HTTPBucket(Bucket):
    """A `Store` but for the list and the uploads in parts."""

    version_query: ClassVar[str]
    """The parameter that asks for a version of an object."""
    version_header: ClassVar[str]
    """The header that tells it."""

    @property
    @abstractmethod
    def requests(self) -> Requests:
        """What is sent to the bucket."""

    def allow(self, key: str, doing: str) -> None:
        """Lets pass what can be done.

        Args:
            doing: `read`, `write`, `remove` or `list`.

        Raises:
            UnsupportedKey
            StoreError: as a driver sees fit.
        """
        if doing != "list":
            self.check_key(key)

    def not_found(self, error: errors.NotFound, key: str, version: str) -> errors.StoreError:
        """The error for an object that is not there, in this version where one was asked for. May ask the service."""
        return error

    def head(self, key: str) -> ObjectInfo:
        self.allow(key, "read")
        try:
            headers = self.requests.send("HEAD", key, {}, "read").headers
        except errors.StoreError as error:
            if type(error) not in UNTOLD:
                raise
            with self._receive(Reading(self, key)) as (incoming, _):
                headers = incoming.headers
        self.check_version(key, headers)
        if not headers.get("content-length", "").isdecimal():
            raise self.odd(key, "an answer without a length")
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  10 ms

        return ObjectInfo(
            key,
            int(headers["content-length"]),
            headers["etag"],
            parsedate_to_datetime(headers.get("last-modified", _EPOCH)).timestamp(),
            headers.get(self.version_header, ""),
        )

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        self.allow(key, "read")
        with self._receive(Reading(self, key)) as (incoming, size):
            if size > limit:
                raise self.corrupt(key, f"has {size} bytes, expected are at most {limit}")
            data = b"".join(incoming.chunks())
        if len(data) != size:
            raise self.cut(key, len(data), size)
        return data

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> Buffer:
        reading = self._reading(key, offset, length, etag, version)
        return reading.whole(self.requests.answer(reading.request(), key, "read", length + ERROR_BYTES))

    def stream(
        self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = ""
    ) -> Iterator[Buffer]:
        if length == 0:
            return  # no service has a range of nothing
        got = 0
        with self._receive(self._reading(key, offset, length, etag, version)) as (incoming, size):
            for chunk in incoming.chunks():
                got += len(chunk)
                if got > size:
                    break
                yield chunk
        if got != size:
            raise self.cut(key, got, size)

    def download(
        self,
        key: str,
        sink: Sink,
        came: Callable[[int], None],
        offset: int = 0,
        length: int | None = None,
        *,
        etag: str = "",
        version: str = "",
    ) -> None:
        if length == 0:
            return
        if length is not None and length < ERROR_BYTES:
            # Of an error no more would be written than of a range, and that would say too little.
            sink.write(self.read(key, offset, length, etag=etag, version=version))
            came(length)
            return
        reading = self._reading(key, offset, length, etag, version)
        size, start = 0, sink.position

        def begin(reply: Reply) -> None:
            nonlocal size
            size = reading.size(reply)

        try:
            self.requests.save(reading.request(), key, sink, length or 0, begin, came)
        except errors.NotFound as error:
            raise self.not_found(error, key, version) from None
        if (got := sink.position - start) != size:
            raise self.cut(key, got, size)

    def batch(self, at_once: int) -> Batch[Any]:
        from datums.stores.http_batch import HTTPBatch  # noqa: PLC0415

        return HTTPBatch(self.requests, at_once, self._reading, lambda key: self.allow(key, "write"))

    def delete(self, key: str) -> None:
        self.allow(key, "remove")
        with suppress(errors.NotFound):
            self.requests.send("DELETE", key, {}, "remove")

    def check_version(self, key: str, headers: Mapping[str, str], etag: str = "", version: str = "") -> None:
        """Services ignore conditions that they do not know, and what is no such service answers with a page of its own.

        Raises:
            Changed: it is another version than was asked for.
            EndpointUnreachable: no such service has answered.
        """
        found, found_version = headers.get("etag", ""), headers.get(self.version_header, "")
        if not found:
            raise self.odd(key, "an answer without an ETag")
        if (etag and _bare(found) != _bare(etag)) or (version and found_version and found_version != version):
            raise self.failed(Answer(status=412), key, "read")

    def _reading(self, key: str, offset: int, length: int | None, etag: str, version: str) -> Reading:
        self.allow(key, "read")
        return Reading(self, key, offset, length, etag, version)

    @contextmanager
    def _receive(self, reading: Reading) -> Iterator[tuple[Incoming, int]]:
        """The answer, its body to be taken as it comes, and how many bytes that is to have."""
        with self.requests.receive(reading.request(), reading.key) as incoming:
            try:
                size = reading.size(incoming.reply())
            except errors.NotFound as error:
                raise self.not_found(error, reading.key, reading.version) from None
            yield incoming, size

    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        self.allow(key, "write")
        try:
            self.requests.put(key, data, if_absent=if_absent)
        except errors.Changed:
            if not if_absent:
                raise
            raise self._taken(key) from None


def _bare(etag: str) -> str:
    """Without the quotes, which some lists leave out."""
    return etag.removeprefix("W/").strip('"')
