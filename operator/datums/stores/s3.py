"""Amazon S3 and what speaks its protocol: OVH, Oracle, MinIO, Ceph, SeaweedFS and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store as Obstore

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores.bucket import Bucket
from datums.stores.clients import ONE_TRY, client_options
from datums.stores.protocol import ObjectInfo, PendingUpload, Readable
from datums.stores.s3_codes import S3_CODES
from datums.stores.sigv4 import Signer

if TYPE_CHECKING:
    from obstore.store import S3Config
    from typing_extensions import Buffer

_PIECE_BYTES: Final = 1 << 20


class S3Store(Bucket):
    """One bucket."""

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        signer = _signer(access, credentials)
        super().__init__(access, _open(access, signer), S3_CODES)
        self._signer = signer

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # Here, for a pod that lists nothing need not pay for an HTTP client.
        from datums.stores.s3_listing import Listing  # noqa: PLC0415

        return Listing(_bucket_url(self._access), self._signer, self.target(prefix), self._access.ca_bundle).objects(prefix)

    def put_file(
        self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
    ) -> None:
        def read() -> Iterator[bytes]:
            from datums.stores.upload import _read  # noqa: PLC0415

            left = size
            while left:
                data = _read(self, key, file, min(_PIECE_BYTES, left), on_progress)
                left -= len(data)
                yield data

        part = self.part_size(size)
        if size <= part and not in_parts:
            return self.put(key, b"".join(read()))
        with self.calling(key, "write"):
            obstore.put(self._opened, key, read(), use_multipart=True, chunk_size=part, max_concurrency=4)
        return None

    def begin_upload(self, key: str) -> str:
        raise NotImplementedError

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        raise NotImplementedError

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        raise NotImplementedError

    def abort_upload(self, key: str, upload: str) -> None:
        raise NotImplementedError

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        raise NotImplementedError


def _open(access: StoreAccess, signer: Signer) -> Obstore:
    path_style = _path_style(access)
    config: S3Config = {
        "region": signer.region,
        "virtual_hosted_style_request": not path_style,
        # obstore wants the bucket in the host itself where that addresses it, and adds it to the path where not.
        "endpoint": _service_url(access) if path_style else _bucket_url(access),
        "disable_bulk_delete": True,  # not every service has it, and one object is removed at a time
    }
    if access.anonymous:
        config["skip_signature"] = True
    else:
        config["access_key_id"], config["secret_access_key"] = signer.access_key_id, signer.secret_access_key
        if signer.session_token:
            config["session_token"] = signer.session_token
    if access.checksums == "WhenSupported":
        config["checksum_algorithm"] = "SHA256"
    return Obstore(access.bucket, config=config, client_options=client_options(access), retry_config=ONE_TRY)


def _signer(access: StoreAccess, credentials: Mapping[str, str]) -> Signer:
    return Signer(
        access_key_id=credentials.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=credentials.get("AWS_SESSION_TOKEN", ""),
        region=access.region or "us-east-1",
    )


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
