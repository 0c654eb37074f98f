"""Amazon S3 and what speaks its protocol: OVH, Oracle, MinIO, Ceph, SeaweedFS and others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import other_protocol
from datums.stores.bucket import UNTOLD, Bucket
from datums.stores.protocol import Batch, ObjectInfo, PendingUpload, SentPart
from datums.stores.s3_codes import S3_CODES, SESSION_CODES
from datums.stores.sigv4 import Signer

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.s3_requests import S3Requests
    from datums.stores.wire import Reply

_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"
_ERROR_BYTES: Final = 64 << 10
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)")


class S3Store(Bucket):
    """One bucket."""

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        signer = None if access.anonymous else _signer(access, credentials)
        super().__init__(access, SESSION_CODES if signer and signer.session_token else S3_CODES)
        self._signer = signer

    def head(self, key: str) -> ObjectInfo:
        self.check_key(key)
        try:
            headers: Mapping[str, str] = self._requests.send("HEAD", key, {}, "read").headers
        except errors.StoreError as error:
            if type(error) not in UNTOLD:
                raise
            with self._requests.receive(key, {}, {}) as incoming:
                headers = incoming.headers
        self._check_version(key, headers.get("etag", ""), "", "", "")
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  10 ms

        return ObjectInfo(
            key,
            int(headers.get("content-length", 0)),
            headers["etag"],
            parsedate_to_datetime(headers.get("last-modified", _EPOCH)).timestamp(),
            headers.get("x-amz-version-id", ""),
        )

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        self.check_key(key)
        with self._requests.receive(key, {}, {}) as incoming:
            size = self._expected(key, incoming.status, incoming.headers, 0, None, "", "")
            if size > limit:
                raise self._corrupt(key, f"has {size} bytes, expected are at most {limit}")
            data = b"".join(incoming.chunks())
        if len(data) != size:
            raise self._cut(key, len(data), size)
        return data

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> Buffer:
        self.check_key(key)
        query, headers = _asked(offset, length, etag, version)
        reply = self._requests.send("GET", key, query, "read", headers=headers, limit=length + _ERROR_BYTES)
        return self._whole(key, reply, offset, length, etag, version)

    def stream(
        self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = ""
    ) -> Iterator[Buffer]:
        if length == 0:
            return  # no service has a range of nothing
        self.check_key(key)
        got = 0
        with self._requests.receive(key, *_asked(offset, length, etag, version)) as incoming:
            size = self._expected(key, incoming.status, incoming.headers, offset, length, etag, version)
            for chunk in incoming.chunks():
                got += len(chunk)
                if got > size:
                    break
                yield chunk
        if got != size:
            raise self._cut(key, got, size)

    def pour(
        self,
        key: str,
        take: Callable[[memoryview], None],
        offset: int = 0,
        length: int | None = None,
        *,
        etag: str = "",
        version: str = "",
    ) -> None:
        if length == 0:
            return
        self.check_key(key)
        size = got = 0

        def begin(reply: Reply) -> None:
            nonlocal size
            size = self._expected(key, reply.status, reply.headers, offset, length, etag, version)

        def taken(chunk: memoryview) -> None:
            nonlocal got
            got += len(chunk)
            if got > size:
                raise self._cut(key, got, size)
            take(chunk)

        self._requests.pour(key, *_asked(offset, length, etag, version), begin, taken)
        if got != size:
            raise self._cut(key, got, size)

    def delete(self, key: str) -> None:
        self.check_key(key)
        with suppress(errors.NotFound):
            self._requests.send("DELETE", key, {}, "remove")

    def batch(self, at_once: int) -> Batch[Any]:
        from datums.stores.s3_batch import S3Batch  # noqa: PLC0415

        return S3Batch(self._requests, at_once, self.check_key, _asked, self._whole)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        from datums.stores.s3_listing import list_objects  # noqa: PLC0415

        # Others list in the order of their own trees.
        return list_objects(self._requests, prefix, self._odd(prefix), sorted_keys=_is_amazon(self._access))

    def begin_upload(self, key: str) -> str:
        from datums.stores import s3_parts  # noqa: PLC0415

        self.check_key(key)
        return s3_parts.begin(self._requests, key)

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        from datums.stores import s3_parts  # noqa: PLC0415

        return s3_parts.put(self._requests, key, upload, number, data)

    def sent_parts(self, key: str, upload: str) -> Mapping[int, SentPart]:
        from datums.stores import s3_parts  # noqa: PLC0415

        return s3_parts.sent(self._requests, key, upload)

    def part_tag(self, part: SentPart, data: Buffer) -> str:
        from datums.stores import s3_parts  # noqa: PLC0415

        return s3_parts.tag_of(self._requests, part, data)

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        from datums.stores import s3_parts  # noqa: PLC0415

        s3_parts.finish(self._requests, key, upload, tags, self.head)

    def abort_upload(self, key: str, upload: str) -> None:
        from datums.stores import s3_parts  # noqa: PLC0415

        s3_parts.abort(self._requests, key, upload)

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        from datums.stores.s3_listing import list_uploads  # noqa: PLC0415

        return list_uploads(self._requests, prefix, self._odd(prefix))

    @cached_property
    def _requests(self) -> S3Requests:
        # Here, for a store that is not used need not pay for an HTTP client.
        from datums.stores.s3_requests import S3Requests  # noqa: PLC0415

        return S3Requests(self._access, _bucket_url(self._access), self._signer, self.failed)

    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        self.check_key(key)
        try:
            self._requests.send_bytes(key, {}, data, headers={"if-none-match": "*"} if if_absent else {})
        except errors.Changed:
            raise self._taken(key) from None

    def _whole(self, key: str, reply: Reply, offset: int, length: int, etag: str, version: str) -> Buffer:
        """The bytes of an answer that is what was asked for."""
        size = self._expected(key, reply.status, reply.headers, offset, length, etag, version)
        if len(reply.body) != size:
            raise self._cut(key, len(reply.body), size)
        return reply.body

    def _expected(
        self, key: str, status: int, headers: Mapping[str, str], offset: int, length: int | None, etag: str, version: str
    ) -> int:
        """How many bytes an answer has, if it is what was asked for."""
        self._check_version(key, headers.get("etag", ""), etag, headers.get("x-amz-version-id", ""), version)
        size = headers.get("content-length", "")
        start, end = 0, int(size) if size.isdecimal() else -1
        if status == 206 and (match := _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))):
            start, end = int(match[1]), int(match[2]) + 1
        if end < 0 or start != offset:
            raise other_protocol(self.target(key), self._codes, "another range than was asked for")
        if length is not None and end != offset + length:
            if status != 206:
                raise other_protocol(self.target(key), self._codes, "another range than was asked for")
            raise self._corrupt(key, f"ends at byte {end}, and was to be read up to {offset + length}")
        return end - start

    def _odd(self, prefix: str) -> Callable[[str], errors.StoreError]:
        return partial(other_protocol, self.target(prefix), self._codes)


def _asked(offset: int, length: int | None, etag: str, version: str) -> tuple[dict[str, str], dict[str, str]]:
    """Query and headers that ask for a range of a version."""
    headers = {}
    if length is not None or offset:
        headers["range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
    if etag:
        headers["if-match"] = etag
    return {"versionId": version} if version else {}, headers


def _signer(access: StoreAccess, credentials: Mapping[str, str]) -> Signer:
    return Signer(
        access_key_id=credentials.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=credentials.get("AWS_SESSION_TOKEN", ""),
        region=_region(access),
    )


def _region(access: StoreAccess) -> str:
    return access.region or "us-east-1"


def _is_amazon(access: StoreAccess) -> bool:
    return access.kind == "s3" and not access.endpoint


def _path_style(access: StoreAccess) -> bool:
    # A bucket's dots would not match a wildcard certificate as a host name; Oracle has no names for buckets.
    return access.force_path_style or access.kind == "oracle" or "." in access.bucket


def _bucket_url(access: StoreAccess) -> str:
    url = urlsplit(_service_url(access))
    if _path_style(access):
        return f"{url.geturl()}/{access.bucket}"
    return url._replace(netloc=f"{access.bucket}.{url.netloc}").geturl()


def _service_url(access: StoreAccess) -> str:
    return service_url(access.kind, endpoint=access.endpoint, region=access.region, account=access.account)
