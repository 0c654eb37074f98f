"""Which files are on disk already, so that a `fetch` that is started again does not load them again."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Final

import msgspec

from datums.transfer.fetch_wanted import Wanted

_READ_BYTES: Final = 1 << 20


class Loaded(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that lies under its final name."""

    file: str
    store: str
    key: str
    offset: int
    size: int
    sha256: str
    etag: str = ""
    metadata: dict[str, str] = {}


class FetchJournal:
    """Append-only lines. What they say is believed only after the file's bytes have been read again: a node may have lost power."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._known = {loaded.file: loaded for loaded in _read(path)}
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def add(self, loaded: Loaded) -> None:
        """Notes a file that has got its final name."""
        with self._lock:
            os.write(self._file, msgspec.json.encode(loaded) + b"\n")

    def find(self, target: Path, wanted: Wanted) -> Loaded | None:
        """What was loaded to `target`, if it is what is wanted and still whole."""
        loaded = self._known.get(str(target))
        if loaded is None or (loaded.store, loaded.key, loaded.offset) != wanted.origin:
            return None
        if wanted.sha256 not in ("", loaded.sha256) or wanted.size not in (-1, loaded.size):
            return None
        # Of a public file neither is known before it is asked for: a second answer could differ from the first.
        if wanted.store and not wanted.sha256 and wanted.etag != loaded.etag:
            return None
        return loaded if _digest(target) == (loaded.size, loaded.sha256) else None


def _read(path: Path) -> list[Loaded]:
    loaded = []
    try:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    loaded.append(msgspec.json.decode(line, type=Loaded))
                except msgspec.MsgspecError:
                    continue  # the line at which the last run was killed
    except FileNotFoundError:
        pass
    return loaded


def _digest(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
                size += len(data)
    except OSError:
        return -1, ""
    return size, digest.hexdigest()
