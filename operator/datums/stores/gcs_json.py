"""Google's JSON API, by which a bucket is listed with verbatim keys, and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from datums.stores.gcs_codes import NO_BUCKET
from datums.stores.wire import Reply, Request

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.gcs_requests import GCSRequests

T = TypeVar("T")


class JsonAPI:
    """Of one bucket."""

    def __init__(self, requests: GCSRequests, bucket: str) -> None:
        self._requests = requests
        self._bucket = quote(bucket, safe="")

    def objects(self, **query: str) -> str:
        """The target that lists the bucket."""
        return f"/storage/v1/b/{self._bucket}/o?{_query(query)}"

    def object(self, key: str, **query: str) -> str:
        """The target of an object's metadata."""
        return f"/storage/v1/b/{self._bucket}/o/{quote(key, safe='')}?{_query(query)}"

    def upload(self, **query: str) -> str:
        """The target that takes the bytes of new objects."""
        return f"/upload/storage/v1/b/{self._bucket}/o?{_query(query)}"

    def session(self, url: str) -> str:
        """The target of a resumable session. Its host is left aside: any that the service has knows the session."""
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}"

    def request(
        self,
        method: str,
        target: str,
        key: str,
        *,
        body: Buffer | tuple[Buffer, ...] = b"",
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> Request:
        """A request, with the credentials.

        Args:
            headers: names in lower case.
        """
        return Request(method, target, {**(headers or {}), **self._requests.signed(key)}, body, once=once)

    def send(
        self,
        request: Request,
        key: str,
        doing: str,
        *,
        missing: str = "",
        expected: tuple[int, ...] = (200, 204),
    ) -> Reply:
        """The answer to a request that went as expected.

        Args:
            doing: `read`, `write`, …; for messages.
            missing: the code that a plain 404 stands for.

        Raises:
            StoreError: whatever else came of it.
        """
        return self.checked(self._requests.answer(request, key, doing), key, doing, missing=missing, expected=expected)

    def checked(
        self, reply: Reply, key: str, doing: str, *, missing: str = NO_BUCKET, expected: tuple[int, ...] = (200, 204)
    ) -> Reply:
        """An answer, if it is one that was expected. Arguments as above.

        Raises:
            StoreError
        """
        if reply.status not in expected:
            raise self._requests.refused(reply, key, doing, missing)
        return reply


def read(reply: Reply, kind: type[T]) -> T | None:
    """The body, typed; None where it is nothing like it."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError:
        return None


def _query(values: Mapping[str, str]) -> str:
    return urlencode(values, quote_via=quote)
