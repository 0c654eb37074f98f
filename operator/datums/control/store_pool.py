"""Opened stores and the threads that use them: the stores' API is synchronous, the operator's loop must not wait for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final, TypeVar

import msgspec

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.protocol import Store
from datums.stores.retrying import RetryingStore

T = TypeVar("T")
_OPEN: Final = 64


class StorePool:
    """Runs functions on stores in threads; a store stays open as long as its access and its credentials stay the same."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._opened: OrderedDict[str, Store] = OrderedDict()
        self._lock = Lock()

    async def run(self, access: StoreAccess, credentials: Mapping[str, str], fn: Callable[[Store], T]) -> T:
        """The result of `fn(store)`, called in a thread.

        Args:
            credentials: the keys of the DataStore's Secret.

        Raises:
            StoreError: whatever `fn` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: fn(self._open(access, credentials)))

    def close(self) -> None:
        """Takes nothing more; a call that hangs does not hold up the end of the process."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _open(self, access: StoreAccess, credentials: Mapping[str, str]) -> Store:
        key = hashlib.sha256(msgspec.json.encode([access, sorted(credentials.items())])).hexdigest()
        with self._lock:
            store = self._opened.get(key)
            if store is None:
                store = self._opened[key] = RetryingStore(open_store(access, credentials))
                if len(self._opened) > _OPEN:
                    self._opened.popitem(last=False)
            self._opened.move_to_end(key)
            return store
