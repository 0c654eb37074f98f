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

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig, S3Config

CHUNK_BYTES: Final = 256 << 10
_PARTS: Final = 10_000  # the most that S3 takes
_PARTS_AT_ONCE: Final = 4  # of one file: bounds memory to some parts
_UNADDRESSABLE: Final = re.compile(r"[\x00-\x1f\x7f\\]|^/|/$|//|(?:^|/)\.\.?(?:/|$)|^$")


class S3Store:
    """One bucket."""

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        self._access = access
        self._endpoint = access.endpoint.rstrip("/") or f"https://s3.{access.region or 'us-east-1'}.amazonaws.com"
        self._part = access.part_size_mib << 20
        self._store = _open(access, credentials)
        self._conditional_put = access.conditional_put

    @property
    def name(self) -> str:
        return self._access.name

    def uri(self, key: str) -> str:
        return f"s3://{self._access.bucket}/{key}"

    def head(self, key: str) -> ObjectInfo:
        with self._calling(key, "read"):
            meta = obstore.head(self._store, key)
        return ObjectInfo(key, meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp())

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

    def put_file(self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None) -> None:
        part = max(self._part, -(-size // _PARTS))
        pieces = self._read(key, file, size, min(part, 1 << 20) if size > part else size, on_progress)
        if size <= part:
            return self._put(key, b"".join(pieces), "overwrite")
        with self._calling(key, "write"):
            obstore.put(self._store, key, pieces, use_multipart=True, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)
        return None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # obstore lists whole path segments only: a prefix that ends within a name is filtered here.
        with self._calling(prefix, "list"):
            for page in obstore.list(self._store, prefix=prefix.rpartition("/")[0] or None):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        yield ObjectInfo(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp())

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
        if doing != "list" and _UNADDRESSABLE.search(key):
            raise errors.UnsupportedKey(
                f"DataStore {self.name}: the key {key!r} cannot be used: an empty, '.' or '..' segment, a slash at an end, "
                "a backslash or a control character in it would not be kept as it is; rename the object",
                store=self.name,
                key=key,
            )
        target = Target(self.name, self._access.bucket, self._endpoint, key)
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(key) from None
        except (BaseError, FileNotFoundError) as error:
            # `from None`: what obstore says is long, and holds the request's URL.
            raise classify(read_answer(str(error)), target, doing) from None


def _open(access: StoreAccess, credentials: Mapping[str, str]) -> Obstore:
    config: S3Config = {
        "region": access.region or "us-east-1",
        "access_key_id": credentials.get("AWS_ACCESS_KEY_ID", ""),
        "secret_access_key": credentials.get("AWS_SECRET_ACCESS_KEY", ""),
        "virtual_hosted_style_request": not _path_style(access),
        "disable_bulk_delete": True,  # not every service has it, and one object is removed at a time
    }
    if token := credentials.get("AWS_SESSION_TOKEN"):
        config["session_token"] = token
    if access.endpoint:
        config["endpoint"] = _endpoint(access)
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


def _path_style(access: StoreAccess) -> bool:
    # A bucket's dots would not match a wildcard certificate as a host name.
    return access.force_path_style or "." in access.bucket


def _endpoint(access: StoreAccess) -> str:
    """The endpoint as obstore wants it: with the bucket in the host where that addresses it."""
    url = urlsplit(access.endpoint.rstrip("/"))
    return url.geturl() if _path_style(access) else url._replace(netloc=f"{access.bucket}.{url.netloc}").geturl()
