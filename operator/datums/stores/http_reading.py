"""A range of one version of an object: how it is asked for, and whether an answer is what was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from datums.stores.answers import Answer
from datums.stores.errors import NotFound, StoreError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.http_bucket import HTTPBucket
    from datums.stores.wire import Reply, Request

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)")


class Reading(NamedTuple):
    """What is to be read."""

    bucket: HTTPBucket
    key: str
    offset: int = 0
    length: int | None = None
    """None up to the end."""
    etag: str = ""
    version: str = ""

    def request(self) -> Request:
        """Asks for it.

        Raises:
            StoreError: it cannot be asked for.
        """
        headers = {}
        if self.length is not None or self.offset:
            headers["range"] = f"bytes={self.offset}-{'' if self.length is None else self.offset + self.length - 1}"
        if self.etag:
            headers["if-match"] = self.etag
        query = {self.bucket.version_query: self.version} if self.version else {}
        return self.bucket.requests.request("GET", self.key, query, headers=headers)

    def size(self, reply: Reply) -> int:
        """How many bytes an answer has, by its status and headers.

        Raises:
            StoreError: it is not what was asked for.
        """
        self.bucket.requests.checked(reply, self.key, "read")
        headers = reply.headers
        self.bucket.check_version(self.key, headers, self.etag, self.version)
        start, end = _extent(reply.status, headers)
        if end < 0 or start != self.offset:
            raise self._odd(end)
        if self.length is not None and end != self.offset + self.length:
            if reply.status != 206:
                raise self._odd(end)
            raise self.bucket.corrupt(self.key, f"ends at byte {end}, and was to be read up to {self.offset + self.length}")
        return end - start

    def whole(self, reply: Reply) -> Buffer:
        """The bytes of an answer.

        Raises:
            StoreError: it is not what was asked for, or not all of it.
        """
        try:
            size = self.size(reply)
        except NotFound as error:
            raise self.bucket.not_found(error, self.key, self.version) from None
        if len(reply.body) != size:
            raise self.bucket.cut(self.key, len(reply.body), size)
        return reply.body

    def _odd(self, end: int) -> StoreError:
        if 0 <= end <= self.offset:  # Azurite gives the whole object where a range is behind its end
            return self.bucket.failed(Answer(status=416), self.key, "read")
        return self.bucket.odd(self.key, "another range than was asked for")


def _extent(status: int, headers: Mapping[str, str]) -> tuple[int, int]:
    """Where in the object an answer begins and ends; the end is negative where it does not say."""
    if status == 206 and (match := _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))):
        return int(match[1]), int(match[2]) + 1
    size = headers.get("content-length", "")
    return 0, int(size) if size.isdecimal() else -1
