"""Signed requests to an S3 service.

What is not signed: a large body, where it has a CRC32C. A second SHA-256 of every byte would cost as much as all the rest, and say
nothing new: the CRC32C, which is signed, shows the service what the way has damaged; who sits on the way over plain http could
forge the service's answers as well. The SHA-256 of each file is in the manifest, and the manifest's own in the commit, both small
objects whose bodies are signed: what somebody has put in the place of a file's bytes is found when they are read.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from datums.model.plan import StoreAccess
from datums.stores import sigv4
from datums.stores.answers import Answer
from datums.stores.errors import StoreError
from datums.stores.http_requests import Requests
from datums.stores.wire import Reply, Request

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SMALL_BYTES: Final = 1 << 20
"""Up to here a body is signed as well: there are many such objects, and those that say what the others are."""
CHECKSUM: Final = "x-amz-checksum-crc32c"
_SHA256: Final = "x-amz-checksum-sha256"
BETWEEN: Final = " "
"""Between ETag and CRC32C in a tag."""


class S3Requests(Requests):
    """One bucket of a service.

    Args:
        url: addresses the bucket.
        signer: None for requests without a signature.
        failed: makes the error of an answer to a call, by key and what was being done.
    """

    def __init__(
        self, access: StoreAccess, url: str, signer: sigv4.Signer | None, failed: Callable[[Answer, str, str], StoreError]
    ) -> None:
        super().__init__(access, url, failed)
        self._signer = signer
        self.checksums = access.checksums == "WhenSupported"

    def request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: Buffer = b"",
        payload: str = "",
    ) -> Request:
        """A request, signed.

        Args:
            payload: what the signature says of the body, where that is known.
        """
        path, text = f"{self._path}/{sigv4.key_path(key)}", sigv4.query_string(query)
        every = headers or {}
        if self._signer is not None:
            payload = payload or sigv4.digest(body)
            now = datetime.now(UTC)
            every = sigv4.headers(self._signer, method, self.wire.host, path, text, now, payload=payload, others=every)
        return Request(method, f"{path}?{text}" if text else path, every, body)

    def writing(self, key: str, body: Buffer, *, if_absent: bool = False) -> Request:
        return self._sending(key, {}, body, {"if-none-match": "*"} if if_absent else {})._replace(once=if_absent)

    def written(self, request: Request, reply: Reply, key: str) -> str:
        """ETag, and CRC32C (base64) where one was sent: the tag of a part."""
        etag = self.checked(reply, key, "write").headers.get("etag", "")
        if not etag:
            raise self.odd(key, "write")
        checksum = request.headers.get(CHECKSUM, "")
        if checksum and reply.headers.get(CHECKSUM, checksum) != checksum:
            raise self._failed(Answer(code="BadDigest", message="the service has another checksum"), key, "write")
        return f"{etag}{BETWEEN}{checksum}" if checksum else etag

    def put_part(self, key: str, query: Mapping[str, str], body: Buffer) -> str:
        """Writes a part of an object, and returns its tag.

        Raises:
            StoreError
        """
        request = self._sending(key, query, body, {})
        return self.written(request, self.answer(request, key, "write"), key)

    def _sending(self, key: str, query: Mapping[str, str], body: Buffer, headers: Mapping[str, str]) -> Request:
        every = dict(headers)
        if query or memoryview(body).nbytes > _SMALL_BYTES:
            if self.checksums:
                from datums.stores.checksums import as_base64, crc32c  # noqa: PLC0415  some milliseconds

                every[CHECKSUM] = as_base64(crc32c(body))
            return self.request("PUT", key, query, headers=every, body=body, payload=sigv4.UNSIGNED if self.checksums else "")
        digest = hashlib.sha256(body).digest()
        if self.checksums:
            every[_SHA256] = b64encode(digest).decode()
        return self.request("PUT", key, query, headers=every, body=body, payload=digest.hex())
