"""Where the kit works: a fresh prefix below the store's own. Nothing outside it is written or removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import uuid4

from msgspec import structs

from datums.model import layout
from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.errors import NotFound, StoreError, Throttled, UnsupportedKey
from datums.stores.protocol import Store

T = TypeVar("T")
R = TypeVar("R")

_TRIES: Final = 4
_LONGEST_WAIT: Final = 10.0  # seconds
_THREADS: Final = 16


class Site:
    """A store, and the prefix to try it in.

    Args:
        sample: the key of an object that is there, for a store that is only read; empty to look for one.
    """

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str], *, sample: str = "") -> None:
        # The service itself is asked, whatever it could do the last time.
        self.access = structs.replace(access, conditional_put=True)
        self.sample = sample
        self.repeated = 0
        self.root = layout.probe_key(access.prefix, uuid4().hex) + "/"
        self._credentials = credentials
        self._written: dict[str, None] = {}
        self._places = 0
        self.store = self.open()

    def open(self, *, anonymous: bool = False, **changes: Any) -> Store:
        """The store opened anew.

        Args:
            anonymous: without credentials.
            changes: to its `StoreAccess`.
        """
        access = structs.replace(self.access, **changes) if changes else self.access
        if anonymous:
            return open_store(structs.replace(access, anonymous=True), {})
        return open_store(access, self._credentials)

    def fresh(self) -> None:
        """Moves on to a part of the prefix that nothing was written to yet."""
        self._places += 1

    @property
    def place(self) -> str:
        """The prefix of this check's keys, ending in a slash."""
        return f"{self.root}{self._places}/"

    def key(self, name: str) -> str:
        """A key of this check, to write to. It is removed at the end."""
        key = f"{self.place}{name}"
        self._written[key] = None
        return key

    def again(self, fn: Callable[[], T]) -> T:
        """The result of `fn`, called again while the service is busy or does not answer, a few times."""
        for attempt in range(_TRIES - 1):
            try:
                return fn()
            except StoreError as error:
                if not error.retryable:
                    raise
                asked = error.retry_after if isinstance(error, Throttled) else 0.0
            self.repeated += 1
            time.sleep(min(_LONGEST_WAIT, max(asked, 0.2 * 4**attempt)))
        return fn()

    def parallel(self, fn: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`fn` of each item, in the order of the items, in as many threads as the store allows."""
        with ThreadPoolExecutor(min(_THREADS, self.access.concurrency)) as threads:
            return list(threads.map(fn, items))

    def clean(self) -> list[str]:
        """Removes everything below the prefix; returns the keys that are still there.

        Raises:
            StoreError: the prefix cannot be listed or cleared.
        """
        for pending in self.again(lambda: list(self.store.pending_uploads(self.root))):
            if pending.key.startswith(self.root):
                self.store.abort_upload(pending.key, pending.upload)
        listed = self.again(self._listed)
        # Also what a listing does not show yet.
        self.parallel(self._remove, dict.fromkeys([*listed, *self._written]))
        return self.again(self._listed)

    def _listed(self) -> list[str]:
        return [found.key for found in self.store.list(self.root) if found.key.startswith(self.root)]

    def _remove(self, key: str) -> None:
        with suppress(UnsupportedKey, NotFound):
            self.again(lambda: self.store.delete(key))
