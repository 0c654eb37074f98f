"""Getting the next item of an iterator while the one before is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """After the last item: what was raised instead of a further one, if anything."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, got in a thread of its own, which goes on at once while the one before is worked on; for what waits for a network.

    Who asks for no more leaves at most two behind, and a thread that ends after them.

    Raises:
        BaseException: what the iterator raises, in the place of its item.
    """
    come: Queue[T | _End] = Queue(maxsize=1)
    is_left = threading.Event()

    def get() -> None:
        try:
            for item in items:
                come.put(item)
                if is_left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  raised where it was asked for
            come.put(_End(error))
        else:
            come.put(_End())

    try:
        threading.Thread(target=get, name="ahead", daemon=True).start()
    except RuntimeError:  # there may be no more threads
        yield from items
        return
    try:
        while not isinstance(got := come.get(), _End):
            yield got
    finally:
        is_left.set()
        with suppress(Empty):
            come.get_nowait()
    if got.error is not None:
        try:
            raise got.error
        finally:
            del got  # which the error's traceback has, by this frame
