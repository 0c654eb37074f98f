"""Going through a list that a service gives page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from datums.stores.errors import StoreError
from datums.stores.protocol import ObjectInfo

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


class Keys:
    """Looks at the keys of a list as its pages come: what something on the way has kept or mixed up would leave a gap that nobody
    sees.

    Args:
        odd: the error for a list that cannot be right, from words that say why.
        sorted_keys: the service promises the keys in the order of their bytes.
    """

    def __init__(self, prefix: str, odd: Callable[[str], StoreError], *, sorted_keys: bool) -> None:
        self._prefix = prefix
        self._odd = odd
        self._sorted = sorted_keys
        self._last = ""

    def checked(self, page: list[ObjectInfo]) -> list[ObjectInfo]:
        """The page, if it can be the next one. One that is asked for again is compared with the page before it."""
        last = self._last
        for each in page:
            if not each.key.startswith(self._prefix):
                raise self._odd(f"its list of {self._prefix!r} has {each.key!r}")
            if each.key == last or (self._sorted and each.key < last):
                raise self._odd(f"its list of {self._prefix!r} has {each.key!r} after {last!r}")
            last = each.key
        self._last = last
        return page
