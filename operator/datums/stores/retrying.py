"""A store for callers without patience of their own: each request gets a few tries, with back-off."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from datums.stores import errors
from datums.stores.protocol import Batch, ObjectInfo, PendingUpload, Readable, SentPart, Store
from datums.stores.upload import put_file

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.sink import Sink

T = TypeVar("T")
_TRIES: Final = 4
_FIRST_SECONDS: Final = 0.1
_FACTOR: Final = 4
_MOST_SECONDS: Final = 10.0


class RetryingStore:
    """Another store, of which each request is tried again while it may succeed, but for those of a `batch`.

    What has begun to flow (`stream`) is not begun again: what came could be of another version.

    Args:
        sleep: waits some seconds; takes another one in tests.
    """

    def __init__(self, store: Store, sleep: Callable[[float], None] = time.sleep) -> None:
        self._store = store
        self._sleep = sleep

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def prefix(self) -> str:
        return self._store.prefix

    @property
    def conditional_put(self) -> bool:
        return self._store.conditional_put

    @property
    def parts_in_order(self) -> bool:
        return self._store.parts_in_order

    def uri(self, key: str) -> str:
        return self._store.uri(key)

    def part_size(self, size: int) -> int:
        return self._store.part_size(size)

    def head(self, key: str) -> ObjectInfo:
        return self._try(lambda: self._store.head(key))

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        return self._try(lambda: self._store.get(key, limit))

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> Buffer:
        return self._try(lambda: self._store.read(key, offset, length, etag=etag, version=version))

    def stream(
        self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = ""
    ) -> Iterator[Buffer]:
        def begin() -> tuple[list[Buffer], Iterator[Buffer]]:
            chunks = self._store.stream(key, offset, length, etag=etag, version=version)
            return [chunk for chunk in [next(chunks, None)] if chunk is not None], chunks

        first, others = self._try(begin)
        yield from first
        yield from others

    def download(
        self,
        key: str,
        sink: Sink,
        came: Callable[[int], None],
        offset: int = 0,
        length: int | None = None,
        *,
        etag: str = "",
        version: str = "",
    ) -> None:
        for chunk in self.stream(key, offset, length, etag=etag, version=version):
            sink.write(chunk)
            came(memoryview(chunk).nbytes)

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> None:
        tried = 0

        def put() -> None:
            nonlocal tried
            tried += 1
            try:
                self._store.put(key, data, if_absent=if_absent)
            except errors.AlreadyExists:
                # The try before may have written it, and its answer was lost.
                if tried == 1 or self._store.get(key) != bytes(data):
                    raise

        self._try(put)

    def put_file(
        self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
    ) -> None:
        put_file(self, key, file, size, on_progress, in_parts=in_parts)

    def batch(self, at_once: int) -> Batch[Any]:
        return self._store.batch(at_once)

    def begin_upload(self, key: str) -> str:
        return self._try(lambda: self._store.begin_upload(key))

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        return self._try(lambda: self._store.put_part(key, upload, number, data, offset=offset, size=size))

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        self._try(lambda: self._store.finish_upload(key, upload, tags))

    def abort_upload(self, key: str, upload: str) -> None:
        self._try(lambda: self._store.abort_upload(key, upload))

    def sent_parts(self, key: str, upload: str) -> Mapping[int, SentPart]:
        return self._try(lambda: self._store.sent_parts(key, upload))

    def part_tag(self, part: SentPart, data: Buffer) -> str:
        return self._store.part_tag(part, data)

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        return _Retrying(self._store.pending_uploads(prefix), self._try)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return _Retrying(self._store.list(prefix), self._try)

    def delete(self, key: str) -> None:
        self._try(lambda: self._store.delete(key))

    def _try(self, call: Callable[[], T]) -> T:
        pause = _FIRST_SECONDS
        for _ in range(_TRIES - 1):
            try:
                return call()
            except errors.StoreError as error:
                if not error.retryable:
                    raise
                asked = error.retry_after if isinstance(error, errors.Throttled) else 0.0
            self._sleep(min(_MOST_SECONDS, max(asked, pause * random.uniform(0.5, 1.0))))  # noqa: S311  jitter
            pause *= _FACTOR
        return call()


class _Retrying(Generic[T], Iterator[T]):
    def __init__(self, items: Iterator[T], attempt: Callable[[Callable[[], T]], T]) -> None:
        self._items = items
        self._attempt = attempt
        # A generator that has raised is at its end: another try would make a gap of what is left.
        self._goes_on = not isinstance(items, Generator)

    def __next__(self) -> T:
        return self._attempt(lambda: next(self._items)) if self._goes_on else next(self._items)
