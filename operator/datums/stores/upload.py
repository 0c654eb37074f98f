"""Writing one object of any size with a driver's calls for parts, for callers that need no resuming."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from datums.stores import errors
from datums.stores.protocol import Readable, Store

if TYPE_CHECKING:
    from concurrent.futures import Future

_PARTS_AT_ONCE: Final = 4
"""Of one object: bounds the memory to as many parts, and one that is read meanwhile."""
_PIECE_BYTES: Final = 1 << 20


def put_file(
    store: Store, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
) -> None:
    """What `Store.put_file` promises, for any driver. An upload that fails is aborted."""
    part = store.part_size(size)
    if size <= part and not in_parts:
        return store.put(key, _read(store, key, file, size, on_progress))
    upload = store.begin_upload(key)
    try:
        store.finish_upload(key, upload, _put_parts(store, key, upload, file, size, part, on_progress))
    except BaseException:
        with suppress(errors.StoreError):
            store.abort_upload(key, upload)
        raise
    return None


def _put_parts(
    store: Store, key: str, upload: str, file: Readable, size: int, part: int, on_progress: Callable[[int], None] | None
) -> list[str]:
    # Here, for what is small needs none of it.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    sending: list[Future[str]] = []
    at_once = 1 if store.parts_in_order else _PARTS_AT_ONCE
    with ThreadPoolExecutor(at_once, thread_name_prefix="part") as threads:
        try:
            for number, offset in enumerate(range(0, max(size, 1), part), start=1):
                data = _read(store, key, file, min(part, size - offset), on_progress)
                if len(sending) >= at_once:
                    sending[-at_once].result()
                sending.append(threads.submit(store.put_part, key, upload, number, data, offset=offset, size=size))
                del data
            return [each.result() for each in sending]
        finally:
            for each in sending:
                each.cancel()


def _read(store: Store, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None) -> bytes:
    pieces: list[bytes] = []
    left = size
    while left:
        data = file.read(min(_PIECE_BYTES, left))
        if not data:
            raise errors.Changed(f"the file for {store.uri(key)} ended {left} bytes too early", store=store.name, key=key)
        left -= len(data)
        pieces.append(data)
        if on_progress is not None:
            on_progress(len(data))
    return b"".join(pieces)
