"""A bucket by obstore's blocking calls (its asyncio side aborts at exit)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Codes, read_answer
from datums.stores.bucket import UNTOLD, Bucket
from datums.stores.protocol import ObjectInfo

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

_CHUNK_BYTES: Final = 256 << 10


class ObstoreBucket(Bucket):
    """A `Store` but for what each provider does in its own way: the list and the uploads in parts.

    A driver fills in the abstract methods, and sends what obstore cannot by itself inside `calling`, or raises `failed(…)`.

    Args:
        access: how to reach it.
        opened: obstore's store; it must send each request once (`clients.ONE_TRY`).
        codes: the provider's error codes.
    """

    may_hang: ClassVar[bool] = True

    def __init__(self, access: StoreAccess, opened: ObjectStore, codes: Codes) -> None:
        super().__init__(access, codes)
        self._opened = opened

    def head(self, key: str) -> ObjectInfo:
        try:
            with self.calling(key, "read"):
                meta = obstore.head(self._opened, key)
        except errors.StoreError as error:
            if type(error) not in UNTOLD:
                raise
            with self.calling(key, "read"):
                meta = obstore.get(self._opened, key).meta
        self._check(key, meta)
        return ObjectInfo(key, meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp(), meta["version"] or "")

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        with self.calling(key, "read"):
            result = obstore.get(self._opened, key)
            self._check(key, result.meta)
            size = result.meta["size"]
            if size > limit:
                raise self._corrupt(key, f"has {size} bytes, expected are at most {limit}")
            data = bytes(result.bytes())
        if len(data) != size:
            raise self._cut(key, len(data), size)
        return data

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> Buffer:
        with self.calling(key, "read"):
            data = self._get(key, offset, length, etag, version).bytes()
        if len(data) != length:
            raise self._cut(key, len(data), length)
        return data

    def stream(
        self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = ""
    ) -> Iterator[Buffer]:
        if length == 0:
            return  # no service has a range of nothing
        got = 0
        with self.calling(key, "read"):
            result = self._get(key, offset, length, etag, version)
            start, end = result.range
            for chunk in result.stream(min_chunk_size=_CHUNK_BYTES):
                got += len(chunk)
                yield chunk
        if got != end - start:
            raise self._cut(key, got, end - start)

    def delete(self, key: str) -> None:
        with self.calling(key, "remove"):
            obstore.delete(self._opened, key)

    @contextmanager
    def calling(self, key: str, doing: str) -> Iterator[None]:
        """Turns what obstore raises into a StoreError.

        Args:
            doing: `read`, `write`, …; for the sentence.

        Raises:
            UnsupportedKey: obstore would not keep the key as it is.
        """
        self.check_key(key)
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(key) from None
        except (BaseError, FileNotFoundError) as error:
            # `from None`: what obstore says is long, and holds the request's URL.
            raise self.failed(read_answer(str(error)), key, doing) from None

    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        with self.calling(key, "write"):
            obstore.put(self._opened, key, data, mode="create" if if_absent else "overwrite", use_multipart=False)

    def _get(self, key: str, offset: int, length: int | None, etag: str, version: str) -> GetResult:
        options: GetOptions = {}
        if length is not None:
            options["range"] = (offset, offset + length)
        elif offset:
            options["range"] = {"offset": offset}
        if etag:
            options["if_match"] = etag
        if version:
            options["version"] = version
        result = obstore.get(self._opened, key, options=options)
        self._check(key, result.meta, etag, version)
        if length is not None and result.range != (offset, offset + length):
            raise self._corrupt(key, f"ends at byte {result.range[1]}, and was to be read up to {offset + length}")
        return result

    def _check(self, key: str, meta: ObjectMeta, etag: str = "", version: str = "") -> None:
        self._check_version(key, meta["e_tag"] or "", etag, meta["version"] or "", version)
