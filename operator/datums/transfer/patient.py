"""A store that is never given up on: every call is tried until it works, with back-off, and what holds it up is known."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.errors import StoreError
from datums.stores.protocol import Store
from datums.transfer.say import say

_FIRST_SECONDS = 0.2
_MAX_SECONDS = 10.0
_LOG_SECONDS = 30.0

T = TypeVar("T")


class PatientStore:
    """A store whose calls are repeated until they succeed. Safe to use from several threads.

    Args:
        access: how to reach it.
        secret: the directory of the credentials; they are read anew when their file changes.
        on_trouble: called when `trouble` has changed, from any thread.
    """

    def __init__(self, access: StoreAccess, secret: Path, on_trouble: Callable[[], None] = lambda: None) -> None:
        self._access = access
        self._on_trouble = on_trouble
        self._credentials = secret / access.credentials
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._store: Store | None = None
        self._since = 0.0
        self._trouble = ""
        self._logged = -_LOG_SECONDS

    @property
    def trouble(self) -> str:
        """What holds the calls up, and since when; empty when nothing does."""
        return self._trouble

    def call(self, what: Callable[[Store], T], *, accept: tuple[type[StoreError], ...] = ()) -> T:
        """What the call returns, however long it takes.

        Args:
            what: the call; made again and again while the store fails.
            accept: failures that are an answer: they are raised.
        """
        pause = _FIRST_SECONDS
        while True:
            try:
                answer = what(self._current())
            except accept:
                self._clear()
                raise
            except (StoreError, OSError, msgspec.MsgspecError) as error:
                self._note(str(error))
            else:
                self._clear()
                return answer
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            pause = min(_MAX_SECONDS, pause * 2)

    def _current(self) -> Store:
        with self._lock:
            version = self._version_now()
            if self._store is None or version != self._version:
                text = self._credentials.read_bytes() if self._access.credentials else b"{}"
                self._store = open_store(self._access, msgspec.json.decode(text, type=dict[str, str]))
                self._version = version
            return self._store

    def _version_now(self) -> tuple[int, int] | None:
        if not self._access.credentials:
            return None
        status = self._credentials.stat()
        return status.st_ino, status.st_mtime_ns

    def _note(self, error: str) -> None:
        with self._lock:
            now = time.time()
            self._since = self._since or now
            since = time.strftime("%H:%M:%S", time.gmtime(self._since))
            self._trouble = f"{error} (since {since} UTC; still trying)"
            if now - self._logged >= _LOG_SECONDS:
                self._logged = now
                say(self._trouble)
        self._on_trouble()

    def _clear(self) -> None:
        if self._trouble:
            with self._lock:
                self._since, self._trouble = 0.0, ""
            self._on_trouble()
