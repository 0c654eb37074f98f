"""Many small requests to one bucket at once, in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from datums.stores.answers import ERROR_BYTES
from datums.stores.errors import StoreError
from datums.stores.http_reading import Reading
from datums.stores.http_requests import Requests
from datums.stores.wire import Reply, Request, WireBatch, WireError

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
Asking: TypeAlias = Callable[[str, int, "int | None", str, str], Reading]


class HTTPBatch(Generic[T]):
    """A `Batch` of one bucket.

    Args:
        at_once: how many connections are kept open.
        reading: (key, offset, length, etag, version) → what is to be read; raises an error for a key that cannot be.
        writes: raises an error for a key that cannot be written.
    """

    def __init__(self, requests: Requests, at_once: int, reading: Asking, writes: Callable[[str], None]) -> None:
        self._requests = requests
        self._reading = reading
        self._writes = writes
        self._batch: WireBatch[tuple[T, str, str, Callable[[Reply], Buffer]]] = requests.wire.batch(at_once)

    def __len__(self) -> int:
        return len(self._batch)

    def read(self, tag: T, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> None:
        reading = self._reading(key, offset, length, etag, version)
        self._begin(tag, key, "read", reading.whole, reading.request(), length + ERROR_BYTES)

    def put(self, tag: T, key: str, data: Buffer) -> None:
        self._writes(key)
        request = self._requests.writing(key, data)

        def judge(reply: Reply) -> Buffer:
            self._requests.written(request, reply, key)
            return b""

        self._begin(tag, key, "write", judge, request, ERROR_BYTES)

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
