"""Loads files in parallel: under a temporary name, hashed in passing, verified, then renamed.

Nothing is synced to disk: an emptyDir lives no longer than its pod, and a pod whose node lost power runs `fetch` anew, which reads
every file again before it believes in it (fetch_journal.py).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from datums.api.reasons import Failed
from datums.stores import errors
from datums.stores.errors import StoreError
from datums.stores.protocol import Store
from datums.transfer.fetch_errors import FetchError, from_store, from_system
from datums.transfer.fetch_journal import FetchJournal, Loaded
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_retry import GIVE_UP_SECONDS, Patience
from datums.transfer.fetch_wanted import Wanted


class Downloader:
    """Loads single files; safe to use from several threads.

    Args:
        open_store: a store by its name.
        partial: an existing directory on the volume of the inputs.
        stopped: set when the rest of the work is pointless.
        give_up: seconds without a byte.
    """

    def __init__(
        self,
        open_store: Callable[[str], Store],
        partial: Path,
        journal: FetchJournal,
        *,
        progress: Progress,
        stopped: threading.Event,
        give_up: float = GIVE_UP_SECONDS,
    ) -> None:
        self._open = open_store
        self._partial = partial
        self._journal = journal
        self._progress = progress
        self._stopped = stopped
        self._give_up = give_up

    def load(self, input_name: str, wanted: Wanted, target: Path, *, optional: bool = False) -> None:
        """Loads one file, and notes its size and digest in `wanted`; of a public file that is optional, perhaps that it is absent.

        Raises:
            FetchError: it cannot be had, or is not what it should be.
        """
        if loaded := self._journal.find(target, wanted):
            wanted.size, wanted.sha256, wanted.etag = loaded.size, loaded.sha256, loaded.etag
            wanted.metadata = wanted.metadata or dict(loaded.metadata)
            self._progress.add(1, loaded.size)
            return
        temporary = self._partial / f"{threading.get_ident()}"
        try:
            sha256, size = self._to_file(wanted, temporary)
            self._verify(input_name, wanted, sha256, size)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.chmod(0o444)
            temporary.rename(target)
        except StoreError as error:
            if isinstance(error, errors.NotFound) and optional and not wanted.store:
                wanted.absent = True
                return
            raise from_store(error, input_name, wanted.shown_link) from None
        except OSError as error:
            raise from_system(error, str(target), max(wanted.size, 0)) from None
        finally:
            temporary.unlink(missing_ok=True)
        wanted.size, wanted.sha256 = size, sha256
        self._journal.add(
            Loaded(
                str(target),
                wanted.store,
                wanted.key,
                wanted.offset,
                size,
                sha256,
                wanted.etag,
                {} if wanted.store else wanted.metadata,
            )
        )
        self._progress.add(1, 0)

    def _to_file(self, wanted: Wanted, path: Path) -> tuple[str, int]:
        """Writes the bytes to `path`; goes on where the connection broke off. Returns their SHA-256 and their number."""
        digest, got = hashlib.sha256(), 0
        patience = Patience(self._progress, self._give_up, self._stopped.wait)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    for chunk in self._chunks(wanted, got):
                        if self._stopped.is_set():
                            raise errors.Unavailable("stopped: another file failed")
                        digest.update(chunk)
                        _write(file, chunk)
                        got += len(chunk)
                        self._progress.add(0, len(chunk))
                        patience.went_well()
                    return digest.hexdigest(), got
                except StoreError as error:
                    patience.after(error)
                if got and not _resumable(wanted):
                    self._progress.add(0, -got)
                    digest, got = hashlib.sha256(), 0
                    os.ftruncate(file, 0)
                    os.lseek(file, 0, os.SEEK_SET)
        finally:
            os.close(file)

    def _chunks(self, wanted: Wanted, got: int) -> Iterator[bytes]:
        if not wanted.store:
            return _web_chunks(wanted)
        if wanted.size == got:
            return iter(())
        # Without a digest only the whole object shows that it has become longer.
        length = wanted.size - got if wanted.sha256 or got else None
        return self._open(wanted.store).stream(wanted.key, wanted.offset + got, length, etag=wanted.etag)

    def _verify(self, input_name: str, wanted: Wanted, sha256: str, size: int) -> None:
        if not wanted.store:
            return
        uri = self._open(wanted.store).uri(wanted.key)
        if wanted.sha256 and (sha256 != wanted.sha256 or size != wanted.size):
            raise FetchError(
                Failed.INPUT_DIGEST_MISMATCH,
                f"input {input_name!r}, link {wanted.link}: {uri} in DataStore {wanted.store} has SHA-256 {sha256} "
                f"({size} bytes), but {wanted.sha256} ({wanted.size} bytes) was saved: it was changed or damaged in the store",
            )
        if size != wanted.size:
            raise FetchError(
                Failed.INPUT_CHANGED,
                f"input {input_name!r}, link {wanted.link}: {uri} in DataStore {wanted.store} had {wanted.size} bytes when it was "
                f"listed and {size} when it was read: run again when nobody writes to it",
            )


def _resumable(wanted: Wanted) -> bool:
    # Without an ETag or a digest the rest could come from another version of the object.
    return bool(wanted.store and (wanted.etag or wanted.sha256))


def _web_chunks(wanted: Wanted) -> Iterator[bytes]:
    from datums.transfer import web  # noqa: PLC0415  most executions have no use for an HTTP client

    answer = web.Answer()
    yield from web.read(wanted.key, answer)
    wanted.etag = answer.etag
    wanted.metadata = {name: value for name, value in (("etag", answer.etag), ("last-modified", answer.last_modified)) if value}


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
