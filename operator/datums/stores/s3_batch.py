"""Many small requests to S3 at once, in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from datums.stores.errors import StoreError
from datums.stores.s3_requests import S3Requests
from datums.stores.wire import Reply, Request, WireBatch, WireError

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
Asking: TypeAlias = Callable[[int, int, str, str], tuple[Mapping[str, str], Mapping[str, str]]]
Judging: TypeAlias = "Callable[[str, Reply, int, int, str, str], Buffer]"
_ERROR_BYTES: Final = 64 << 10


class S3Batch(Generic[T]):
    """A `Batch` of one bucket.

    Args:
        at_once: how many connections are kept open.
        check_key: raises an error for a key that cannot be used.
        asked: (offset, length, etag, version) → query and headers of a read.
        whole: (key, reply, offset, length, etag, version) → the bytes, if they are what was asked for.
    """

    def __init__(self, requests: S3Requests, at_once: int, check_key: Callable[[str], None], asked: Asking, whole: Judging) -> None:
        self._requests = requests
        self._check_key = check_key
        self._asked = asked
        self._whole = whole
        self._batch: WireBatch[tuple[T, str, str, Callable[[Reply], Buffer]]] = requests.wire.batch(at_once)

    def __len__(self) -> int:
        return len(self._batch)

    def read(self, tag: T, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> None:
        self._check_key(key)
        query, headers = self._asked(offset, length, etag, version)
        request = self._requests.request("GET", key, query, headers=headers)

        def judge(reply: Reply) -> Buffer:
            self._requests.checked(reply, key, "read")
            return self._whole(key, reply, offset, length, etag, version)

        self._begin(tag, key, "read", judge, request, length + _ERROR_BYTES)

    def put(self, tag: T, key: str, data: Buffer) -> None:
        self._check_key(key)
        request: Request = self._requests.writing(key, {}, data)

        def judge(reply: Reply) -> Buffer:
            self._requests.written(request, reply, key)
            return b""

        self._begin(tag, key, "write", judge, request, _ERROR_BYTES)

    def take(self, seconds: float) -> Iterator[tuple[T, Buffer | StoreError]]:
        for (tag, key, doing, judge), reply in self._batch.take(seconds):
            try:
                if isinstance(reply, WireError):
                    raise self._requests.broken(reply, key, doing)
                yield tag, judge(reply)
            except StoreError as error:
                yield tag, error

    def _begin(self, tag: T, key: str, doing: str, judge: Callable[[Reply], Buffer], request: Request, limit: int) -> None:
        try:
            self._batch.begin((tag, key, doing, judge), request, limit)
        except WireError as error:
            raise self._requests.broken(error, key, doing) from None

    def close(self) -> None:
        self._batch.close()
