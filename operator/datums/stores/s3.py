"""Amazon S3 and what speaks its protocol, by obstore's blocking calls (its asyncio side aborts at the end of the interpreter)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store as Obstore

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.protocol import ObjectInfo, Readable
from datums.stores.s3_errors import Target, classify, read_answer
from datums.stores.sigv4 import Signer

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig, S3Config

CHUNK_BYTES: Final = 256 << 10
_PARTS: Final = 10_000  # the most that S3 takes
_PARTS_AT_ONCE: Final = 4  # of one file: bounds memory to some parts
_PIECE_BYTES: Final = 1 << 20  # of a file, read at once
_UNADDRESSABLE: Final = re.compile(r"[\x00-\x1f\x7f]|^/|/$|//|(?:^|/)\.\.?(?:/|$)|^$")


class S3Store:
    """One bucket."""

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        self._access = access
        self._part = access.part_size_mib << 20
        self._store = _open(access, credentials)
        self._conditional_put = access.conditional_put
        self._signer = _signer(access, credentials)

    @property
    def name(self) -> str:
        return self._access.name

    @property
    def prefix(self) -> str:
        return self._access.prefix

    @property
    def conditional_put(self) -> bool:
        return self._conditional_put

    def uri(self, key: str) -> str:
        return f"s3://{self._access.bucket}/{key}"

    def head(self, key: str) -> ObjectInfo:
        try:
            with self._calling(key, "read"):
                meta = obstore.head(self._store, key)
        except (errors.NotFound, errors.AccessDenied):
            # An answer to HEAD has no body: only one to GET tells a missing bucket from a missing object, or a wrong key
            # from a policy.
            with self._calling(key, "read"):
                meta = obstore.get(self._store, key).meta
        return ObjectInfo(key, meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp(), meta["version"] or "")

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        with self._calling(key, "read"):
            result = obstore.get(self._store, key)
            if result.meta["size"] > limit:
                raise errors.Corrupt(
                    f"DataStore {self.name}: {self.uri(key)} has {result.meta['size']} bytes, expected are at most {limit}",
                    store=self.name,
                    key=key,
                )
            return bytes(result.bytes())

    def stream(self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "") -> Iterator[bytes]:
        if length == 0:
            return  # no service has a range of nothing
        got = 0
        with self._calling(key, "read"):
            options: obstore.GetOptions = {}
            if length is not None:
                options["range"] = (offset, offset + length)
            elif offset:
                options["range"] = {"offset": offset}
            if etag:
                options["if_match"] = etag
            result = obstore.get(self._store, key, options=options)
            start, end = result.range
            for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                got += len(chunk)
                yield bytes(chunk)
        if got != end - start:
            raise errors.Unavailable(
                f"DataStore {self.name}: {self.uri(key)} ended after {got} of {end - start} bytes", store=self.name, key=key
            )

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if if_absent and self._conditional_put:
            try:
                return self._put(key, data, "create")
            except NotImplementedError:
                self._conditional_put = False
        if if_absent and self._exists(key):
            raise self._taken(key)
        return self._put(key, data, "overwrite")

    def put_file(
        self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
    ) -> None:
        part = max(self._part, -(-size // _PARTS))
        whole = size <= part and not in_parts
        pieces = self._read(key, file, size, size if whole else min(part, _PIECE_BYTES), on_progress)
        if whole:
            return self._put(key, b"".join(pieces), "overwrite")
        with self._calling(key, "write"):
            obstore.put(self._store, key, pieces, use_multipart=True, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)
        return None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # Here, for a pod that lists nothing need not pay for an HTTP client.
        from datums.stores.s3_listing import Listing  # noqa: PLC0415

        return Listing(_bucket_url(self._access), self._signer, self._target(prefix), self._access.ca_bundle).objects(prefix)

    def delete(self, key: str) -> None:
        with self._calling(key, "remove"):
            obstore.delete(self._store, key)

    def _put(self, key: str, data: bytes, mode: PutMode) -> None:
        with self._calling(key, "write"):
            obstore.put(self._store, key, data, mode=mode, use_multipart=False)

    def _exists(self, key: str) -> bool:
        try:
            self.head(key)
        except errors.NotFound:
            return False
        return True

    def _target(self, key: str) -> Target:
        return Target(self.name, self._access.bucket, _service_url(self._access), key)

    def _taken(self, key: str) -> errors.AlreadyExists:
        return errors.AlreadyExists(f"DataStore {self.name}: {self.uri(key)} exists already", store=self.name, key=key)

    def _read(self, key: str, file: Readable, size: int, piece: int, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
        left = size
        while left:
            data = file.read(min(piece, left))
            if not data:
                raise errors.Changed(f"the file for {self.uri(key)} ended {left} bytes too early", store=self.name, key=key)
            left -= len(data)
            if on_progress is not None:
                on_progress(len(data))
            yield data

    @contextmanager
    def _calling(self, key: str, doing: str) -> Iterator[None]:
        if _UNADDRESSABLE.search(key):
            raise errors.UnsupportedKey(
                f"DataStore {self.name}: the key {key!r} cannot be used: an empty, '.' or '..' segment, a slash at an end or a "
                "control character in it would not be kept as it is; rename the object",
                store=self.name,
                key=key,
            )
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(key) from None
        except (BaseError, FileNotFoundError) as error:
            # `from None`: what obstore says is long, and holds the request's URL.
            raise classify(read_answer(str(error)), self._target(key), doing) from None


def _open(access: StoreAccess, credentials: Mapping[str, str]) -> Obstore:
    signer = _signer(access, credentials)
    config: S3Config = {
        "region": signer.region,
        "access_key_id": signer.access_key_id,
        "secret_access_key": signer.secret_access_key,
        "virtual_hosted_style_request": not _path_style(access),
        "disable_bulk_delete": True,  # not every service has it, and one object is removed at a time
    }
    if signer.session_token:
        config["session_token"] = signer.session_token
    if access.endpoint:
        # obstore wants the bucket in the host itself where that addresses it, and adds it to the path where not.
        config["endpoint"] = access.endpoint.rstrip("/") if _path_style(access) else _bucket_url(access)
    if access.checksums == "WhenSupported":
        config["checksum_algorithm"] = "SHA256"
    client: ClientConfig = {
        "allow_http": access.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        # Between two reads, not of the whole: a large object over a slow line takes its time.
        "read_timeout": timedelta(seconds=60),
        "timeout": timedelta(hours=12),
        "user_agent": "datums",
    }
    if access.ca_bundle:
        client["root_certificate"] = access.ca_bundle
    return Obstore(
        access.bucket,
        config=config,
        client_options=client,
        retry_config={
            "max_retries": 3,
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
            "retry_timeout": timedelta(seconds=20),
        },
    )


def _signer(access: StoreAccess, credentials: Mapping[str, str]) -> Signer:
    return Signer(
        access_key_id=credentials.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=credentials.get("AWS_SESSION_TOKEN", ""),
        region=access.region or "us-east-1",
    )


def _path_style(access: StoreAccess) -> bool:
    # A bucket's dots would not match a wildcard certificate as a host name.
    return access.force_path_style or "." in access.bucket


def _bucket_url(access: StoreAccess) -> str:
    url = urlsplit(_service_url(access))
    if _path_style(access):
        return f"{url.geturl()}/{access.bucket}"
    return url._replace(netloc=f"{access.bucket}.{url.netloc}").geturl()


def _service_url(access: StoreAccess) -> str:
    return access.endpoint.rstrip("/") or f"https://s3.{access.region or 'us-east-1'}.amazonaws.com"
