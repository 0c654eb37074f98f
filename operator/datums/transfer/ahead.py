"""Getting the next item of an iterator while the one before is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, got in a thread of its own, which goes on at once while the one before is worked on; for what waits for a network.

    Who asks for no more leaves at most two behind, and a thread that ends after them.

    Raises:
        BaseException: what the iterator raises, in the place of its item.
    """
    # Whether there is an item, and it or what was raised instead: None at the end.
    come: Queue[tuple[bool, Any]] = Queue(maxsize=1)
    is_left = threading.Event()

    def get() -> None:
        try:
            for item in items:
                come.put((True, item))
                if is_left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  raised where it was asked for
            come.put((False, error))
        else:
            come.put((False, None))

    threading.Thread(target=get, name="ahead", daemon=True).start()
    try:
        while (got := come.get())[0]:
            yield got[1]
        if got[1] is not None:
            raise got[1]
    finally:
        is_left.set()
        with suppress(Empty):
            come.get_nowait()
