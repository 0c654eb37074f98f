"""Amazon S3 and what speaks its protocol: OVH, Oracle, MinIO, Ceph, SeaweedFS and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore.store import S3Store as Obstore

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import other_protocol
from datums.stores.bucket import Bucket
from datums.stores.clients import ONE_TRY, client_options
from datums.stores.protocol import ObjectInfo, PendingUpload, SentPart
from datums.stores.s3_codes import S3_CODES, SESSION_CODES
from datums.stores.sigv4 import Signer

if TYPE_CHECKING:
    from obstore.store import S3Config
    from typing_extensions import Buffer

    from datums.stores.s3_requests import S3Requests

_SMALL_BYTES: Final = 1 << 20
"""Up to here obstore's PUT is the cheaper one, though it goes through the bytes with SHA-256; and it must be sent within
`clients.SILENCE_SECONDS`, which obstore counts from the beginning of the request."""


class S3Store(Bucket):
    """One bucket."""

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        signer = None if access.anonymous else _signer(access, credentials)
        super().__init__(access, _open(access, signer), SESSION_CODES if signer and signer.session_token else S3_CODES)
        self._signer = signer

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
        # Here, for a pod that neither lists nor writes anything large need not pay for a second HTTP client.
        from datums.stores.s3_requests import S3Requests  # noqa: PLC0415

        return S3Requests(self._access, _bucket_url(self._access), self._signer, self.failed)

    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        if memoryview(data).nbytes <= _SMALL_BYTES:
            return super()._write(key, data, if_absent=if_absent)
        self.check_key(key)
        try:
            self._requests.send_bytes(key, {}, data, headers={"if-none-match": "*"} if if_absent else {})
        except errors.Changed:
            raise self._taken(key) from None
        return None

    def _odd(self, prefix: str) -> Callable[[str], errors.StoreError]:
        return partial(other_protocol, self.target(prefix), self._codes)


def _open(access: StoreAccess, signer: Signer | None) -> Obstore:
    path_style = _path_style(access)
    config: S3Config = {
        "region": _region(access),
        "virtual_hosted_style_request": not path_style,
        # obstore wants the bucket in the host itself where that addresses it, and adds it to the path where not.
        "endpoint": _service_url(access) if path_style else _bucket_url(access),
        "disable_bulk_delete": True,  # not every service has it, and one object is removed at a time
    }
    if signer is None:
        config["skip_signature"] = True
    else:
        config["access_key_id"], config["secret_access_key"] = signer.access_key_id, signer.secret_access_key
        if signer.session_token:
            config["session_token"] = signer.session_token
    if access.checksums == "WhenSupported":
        # The signature needs it already.
        config["checksum_algorithm"] = "SHA256"
    return Obstore(access.bucket, config=config, client_options=client_options(access), retry_config=ONE_TRY)


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
