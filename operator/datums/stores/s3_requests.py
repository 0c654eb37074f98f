"""Signed requests to an S3 service.

What is not signed: a large body, where it has a CRC32C. A second SHA-256 of every byte would cost as much as all the rest, and say
nothing new: the CRC32C, which is signed, shows the service what the way has damaged; who sits on the way over plain http could
forge the service's answers as well. The SHA-256 of each file is in the manifest, and the manifest's own in the commit, both small
objects whose bodies are signed: what somebody has put in the place of a file's bytes is found when they are read.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from datums.model.plan import StoreAccess
from datums.stores import sigv4
from datums.stores.answers import Answer, read_error_body
from datums.stores.errors import StoreError
from datums.stores.wire import Incoming, Reply, Request, Wire, WireError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from typing_extensions import Buffer

_MOST: Final = 16 << 20  # a page of 1,000 keys has at most 3 MiB
_SMALL_BYTES: Final = 1 << 20
"""Up to here a body is signed as well: there are many such objects, and those that say what the others are."""
CHECKSUM: Final = "x-amz-checksum-crc32c"
_SHA256: Final = "x-amz-checksum-sha256"


class S3Requests:
    """One bucket of a service.

    Args:
        url: addresses the bucket.
        signer: None for requests without a signature.
        failed: makes the error of an answer to a call, by key and what was being done.
    """

    def __init__(
        self, access: StoreAccess, url: str, signer: sigv4.Signer | None, failed: Callable[[Answer, str, str], StoreError]
    ) -> None:
        self._path = urlsplit(url).path.rstrip("/")
        self._signer = signer
        self._failed = failed
        self.checksums = access.checksums == "WhenSupported"
        self.wire = Wire(url, ca_bundle=access.ca_bundle, proxy=access.proxy)

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
            key: empty for the bucket.
            headers: names in lower case.
            payload: what the signature says of the body, where that is known.
        """
        path, text = f"{self._path}/{sigv4.key_path(key)}", sigv4.query_string(query)
        every = headers or {}
        if self._signer is not None:
            payload = payload or sigv4.digest(body)
            now = datetime.now(UTC)
            every = sigv4.headers(self._signer, method, self.wire.host, path, text, now, payload=payload, others=every)
        return Request(method, f"{path}?{text}" if text else path, every, body)

    def send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        doing: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Buffer = b"",
        about: str = "",
        limit: int = _MOST,
        is_patient: bool = False,
    ) -> Reply:
        """The answer to a request that went well.

        Args:
            doing: `read`, `write`, …; for messages.
            about: what messages name instead of the key.
            limit: the most bytes of an answer that are taken.
            is_patient: the service may take minutes before it answers.

        Raises:
            StoreError: whatever else came of it.
        """
        request = self.request(method, key, query, headers=headers, body=body)._replace(is_patient=is_patient)
        try:
            reply = self.wire.send(request, limit)
        except WireError as error:
            raise self.broken(error, about or key, doing) from None
        return self.checked(reply, about or key, doing)

    @contextmanager
    def receive(self, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Incoming]:
        """The answer to a GET that goes well, its body to be taken as it comes.

        Raises:
            StoreError: whatever else comes of it, and of its `chunks`.
        """
        try:
            with self.wire.receive(self.request("GET", key, query, headers=headers)) as incoming:
                if not 200 <= incoming.status < 300:
                    self.checked(incoming.reply(), key, "read")
                yield incoming
        except WireError as error:
            raise self.broken(error, key, "read") from None

    def pour(
        self,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        begin: Callable[[Reply], None],
        take: Callable[[memoryview], None],
    ) -> None:
        """Hands the body of the answer to a GET on as it comes (`Wire.pour`).

        Args:
            begin: called with the headers of an answer that goes well.

        Raises:
            StoreError: whatever else comes of it.
        """
        try:
            self.wire.pour(
                self.request("GET", key, query, headers=headers), lambda reply: begin(self.checked(reply, key, "read")), take
            )
        except WireError as error:
            raise self.broken(error, key, "read") from None

    def checked(self, reply: Reply, about: str, doing: str) -> Reply:
        """An answer, if it is one that went well.

        Raises:
            StoreError
        """
        if not 200 <= reply.status < 300:
            raise self._failed(read_error_body(reply.status, reply.body, reply.retry_after), about, doing)
        return reply

    def broken(self, error: WireError, about: str, doing: str) -> StoreError:
        """The error for no answer."""
        return self._failed(Answer(network=str(error)), about, doing)

    def writing(self, key: str, query: Mapping[str, str], body: Buffer, headers: Mapping[str, str] | None = None) -> Request:
        """The request that writes an object, or a part of one."""
        every = dict(headers or {})
        if query or memoryview(body).nbytes > _SMALL_BYTES:
            if self.checksums:
                from datums.stores.checksums import as_base64, crc32c  # noqa: PLC0415  some milliseconds

                every[CHECKSUM] = as_base64(crc32c(body))
            return self.request("PUT", key, query, headers=every, body=body, payload=sigv4.UNSIGNED if self.checksums else "")
        digest = hashlib.sha256(body).digest()
        if self.checksums:
            every[_SHA256] = b64encode(digest).decode()
        return self.request("PUT", key, query, headers=every, body=body, payload=digest.hex())

    def written(self, request: Request, reply: Reply, key: str) -> tuple[str, str]:
        """ETag and CRC32C (base64; empty where none was sent) of what was written.

        Raises:
            StoreError: it was not.
        """
        etag = self.checked(reply, key, "write").headers.get("etag", "")
        if not etag:
            raise self.odd(key, "write")
        checksum = request.headers.get(CHECKSUM, "")
        if checksum and reply.headers.get(CHECKSUM, checksum) != checksum:
            raise self._failed(Answer(code="BadDigest", message="the service has another checksum"), key, "write")
        return etag, checksum

    def send_bytes(
        self, key: str, query: Mapping[str, str], body: Buffer, *, headers: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """Writes an object, or a part of one, and returns what `written` does.

        Raises:
            StoreError
        """
        request = self.writing(key, query, body, headers)
        try:
            reply = self.wire.send(request, _MOST)
        except WireError as error:
            raise self.broken(error, key, "write") from None
        return self.written(request, reply, key)

    def read_xml(self, reply: Reply, tag: str, about: str, doing: str) -> Element:
        """The document in an answer.

        Args:
            tag: of its root.

        Raises:
            StoreError: it is another one, such as an error, or a page of something on the way.
        """
        from xml.etree import ElementTree  # noqa: PLC0415  some milliseconds

        try:
            # The service is one that the platform team has connected; expat bounds entity expansion.
            root = ElementTree.fromstring(reply.body)  # noqa: S314
        except ElementTree.ParseError:
            raise self.odd(about, doing) from None
        name = root.tag.rpartition("}")[2]
        if name == "Error":
            raise self._failed(read_error_body(0, reply.body), about, doing)
        if name != tag:
            raise self.odd(about, doing)
        return root

    def odd(self, about: str, doing: str) -> StoreError:
        """The error for an answer that is none of the protocol."""
        return self._failed(Answer(network="Got invalid answer"), about, doing)
