"""The stores of one pod as `fetch` uses them: opened when they are needed, with the credentials of now, at the pace they bear."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.transfer.pace import Pace

if TYPE_CHECKING:
    from datums.stores.protocol import Store


_LOOK_SECONDS: Final = 5.0
"""How often a credential's file is looked at."""
_WEB_CONNECTIONS: Final = 4


class Line:
    """One store.

    Args:
        access: how to reach it; None for what is public.
        secret: the directory of the credentials' files.
    """

    def __init__(self, access: StoreAccess | None, secret: Path) -> None:
        self.access = access
        self.concurrency = max(1, access.concurrency) if access else _WEB_CONNECTIONS
        self.pace = Pace(self.concurrency)
        self._file = secret / access.credentials if access and access.credentials else None
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._seen: tuple[int, int] | None = None
        self._looked_at = 0.0

    @property
    def store(self) -> Store:
        """The store, opened anew where its credentials' file has changed.

        Raises:
            StoreError: there is no credential.
        """
        if self._store is not None and time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return self._store
        with self._lock:
            return self._open()

    def renew(self) -> None:
        """The credential has expired: its file is looked at before the next request."""
        self._looked_at = 0.0

    def _open(self) -> Store:
        # Here, for a driver costs tens of milliseconds to import.
        from datums.stores import open_store  # noqa: PLC0415

        if self.access is None:
            raise AssertionError("public files are in no store")
        try:
            seen = self._version()
            if self._store is None or seen != self._seen:
                credentials = msgspec.json.decode(self._file.read_bytes(), type=dict[str, str]) if self._file else {}
                self._store, self._seen = open_store(self.access, credentials), seen
        except (OSError, msgspec.MsgspecError) as error:
            # The kubelet swaps the files in one step; a moment later the new one can be read.
            if self._store is None:
                what = type(error).__name__
                raise errors.AccessDenied(
                    f"DataStore {self.access.name}: its credentials cannot be read in the pod ({what})", store=self.access.name
                ) from None
        self._looked_at = time.monotonic()
        return self._store

    def _version(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        status = self._file.stat()
        return status.st_ino, status.st_mtime_ns


class Lines:
    """All stores of a plan, by name; the empty name stands for what is public."""

    def __init__(self, stores: Mapping[str, StoreAccess], secret: Path) -> None:
        self._stores = stores
        self._secret = secret
        self._lock = threading.Lock()
        self._lines: dict[str, Line] = {}

    def line(self, name: str) -> Line:
        """One of them."""
        with self._lock:
            if name not in self._lines:
                self._lines[name] = Line(self._stores[name] if name else None, self._secret)
            return self._lines[name]

    def store(self, name: str) -> Store:
        """One of them, ready to use."""
        return self.line(name).store
