"""A few threads for one list of work. concurrent.futures would do, but takes longer to import than a small fetch takes to run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Workers(Generic[T]):
    """Calls `work` with every item, in `threads` threads; the first exception ends it all.

    Args:
        stopped: set after the first exception, for calls that are under way.
    """

    def __init__(self, items: Iterable[T], work: Callable[[T], None], threads: int, stopped: threading.Event) -> None:
        self._items = iter(items)
        self._work = work
        self._stopped = stopped
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, name=f"worker-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Returns when everything is done.

        Raises:
            BaseException: the first that a call raised, once all threads have ended.
        """
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                item = next(self._items, _END)
            if isinstance(item, _End):
                return
            try:
                self._work(item)
            except BaseException as error:  # noqa: BLE001  handed to the thread that waits
                with self._lock:
                    self._error = self._error or error
                self._stopped.set()
                return


class _End:
    pass


_END = _End()
