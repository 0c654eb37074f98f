"""Signed requests to an S3 service, beside obstore: the list with its keys as they are, and large objects.

What is not signed: the body, where it has a CRC32C. A second SHA-256 of every byte would cost as much as all the rest, and say
nothing new: the CRC32C, which is signed, shows the service what the way has damaged; who sits on the way over plain http could
forge the service's answers as well. The SHA-256 of each file is in the manifest, and the manifest's own in the commit, both small
objects whose bodies are signed: what somebody has put in the place of a file's bytes is found when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree

from datums.model.plan import StoreAccess
from datums.stores import sigv4
from datums.stores.answers import Answer, read_error_body
from datums.stores.checksums import as_base64, crc32c
from datums.stores.errors import StoreError
from datums.stores.wire import Reply, Wire, WireError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MOST: Final = 16 << 20  # a page of 1,000 keys has at most 3 MiB
CHECKSUM: Final = "x-amz-checksum-crc32c"


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
        self._wire = Wire(url, ca_bundle=access.ca_bundle, proxy=access.proxy, connections=access.concurrency)

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
    ) -> Reply:
        """The answer to a request that went well.

        Args:
            key: empty for the bucket.
            doing: `read`, `write`, …; for messages.
            headers: names in lower case.
            about: what messages name instead of the key.

        Raises:
            StoreError: whatever else came of it.
        """
        path, text = f"{self._path}/{sigv4.key_path(key)}", sigv4.query_string(query)
        every = dict(headers or {})
        if self._signer is not None:
            payload = sigv4.UNSIGNED if CHECKSUM in every else sigv4.digest(body)
            now = datetime.now(UTC)
            every = sigv4.headers(self._signer, method, self._wire.host, path, text, now, payload=payload, others=every)
        try:
            reply = self._wire.send(method, f"{path}?{text}" if text else path, every, body, _MOST)
        except WireError as error:
            raise self._failed(Answer(network=str(error)), about or key, doing) from None
        if not 200 <= reply.status < 300:
            raise self._failed(read_error_body(reply.status, reply.body, reply.retry_after), about or key, doing)
        return reply

    def send_bytes(
        self, key: str, query: Mapping[str, str], body: Buffer, *, headers: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """Writes an object, or a part of one, and returns its ETag and CRC32C (base64; empty where none was sent).

        Raises:
            StoreError
        """
        checksum = as_base64(crc32c(body)) if self.checksums else ""
        every = {**(headers or {}), **({CHECKSUM: checksum} if checksum else {})}
        reply = self.send("PUT", key, query, "write", headers=every, body=body)
        etag = reply.headers.get("etag", "")
        if not etag:
            raise self.odd(key, "write")
        if checksum and reply.headers.get(CHECKSUM, checksum) != checksum:
            raise self._failed(Answer(code="BadDigest", message="the service has another checksum"), key, "write")
        return etag, checksum

    def read_xml(self, reply: Reply, tag: str, about: str, doing: str) -> ElementTree.Element:
        """The document in an answer.

        Args:
            tag: of its root.

        Raises:
            StoreError: it is another one, such as an error, or a page of something on the way.
        """
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
