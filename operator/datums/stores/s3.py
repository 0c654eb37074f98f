"""Amazon S3 and what speaks its protocol: OVH, Oracle, MinIO, Ceph, SeaweedFS and others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores.http_bucket import HTTPBucket
from datums.stores.protocol import ObjectInfo, PendingUpload, SentPart
from datums.stores.s3_codes import S3_CODES, SESSION_CODES
from datums.stores.sigv4 import Signer

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.s3_requests import S3Requests


class S3Store(HTTPBucket):
    """One bucket."""

    version_query = "versionId"
    version_header = "x-amz-version-id"

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        signer = None if access.anonymous else _signer(access, credentials)
        super().__init__(access, SESSION_CODES if signer and signer.session_token else S3_CODES)
        self._signer = signer

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        from datums.stores.s3_listing import list_objects  # noqa: PLC0415

        # Others list in the order of their own trees.
        return list_objects(self.requests, prefix, partial(self.odd, prefix), sorted_keys=_is_amazon(self._access))

    def begin_upload(self, key: str) -> str:
        from datums.stores import s3_parts  # noqa: PLC0415

        self.check_key(key)
        return s3_parts.begin(self.requests, key)

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        from datums.stores import s3_parts  # noqa: PLC0415

        return s3_parts.put(self.requests, key, upload, number, data)

    def sent_parts(self, key: str, upload: str) -> Mapping[int, SentPart]:
        from datums.stores import s3_parts  # noqa: PLC0415

        return s3_parts.sent(self.requests, key, upload)

    def part_tag(self, part: SentPart, data: Buffer) -> str:
        from datums.stores import s3_parts  # noqa: PLC0415

        return s3_parts.tag_of(self.requests, part, data)

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        from datums.stores import s3_parts  # noqa: PLC0415

        s3_parts.finish(self.requests, key, upload, tags, self.head)

    def abort_upload(self, key: str, upload: str) -> None:
        from datums.stores import s3_parts  # noqa: PLC0415

        s3_parts.abort(self.requests, key, upload)

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        from datums.stores.s3_listing import list_uploads  # noqa: PLC0415

        return list_uploads(self.requests, prefix, partial(self.odd, prefix))

    @cached_property
    def requests(self) -> S3Requests:
        # Here, for a store that is not used need not pay for an HTTP client.
        from datums.stores.s3_requests import S3Requests  # noqa: PLC0415

        return S3Requests(self._access, _bucket_url(self._access), self._signer, self.failed)


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
