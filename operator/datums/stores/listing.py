"""Going through a list that a service gives page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from datums.stores.errors import StoreError

T = TypeVar("T")


class Paged(Generic[T], Iterator[T]):
    """All items of a list. An error ends nothing: `next` asks for the page again that failed.

    Args:
        page: takes what the page before said of its successor, `""` for the first page; returns the items, and what leads to the
            next page (`""` at the end).
        repeated: the error for a service that leads to the same page twice: the list would never end, or miss something.
    """

    def __init__(self, page: Callable[[str], tuple[list[T], str]], repeated: Callable[[], StoreError]) -> None:
        self._page = page
        self._repeated = repeated
        self._items: Iterator[T] = iter(())
        self._following: str | None = ""
        self._seen: set[int] = set()  # hashes: a list of a million keys has a thousand pages

    def __next__(self) -> T:
        while True:
            for item in self._items:
                return item
            if self._following is None:
                raise StopIteration
            items, following = self._page(self._following)
            if following and hash(following) in self._seen:
                raise self._repeated()
            self._seen.add(hash(following))
            self._items, self._following = iter(items), following or None
