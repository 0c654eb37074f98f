"""What has come from a store: verified, put under its final name, noted; or an error that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from datums.api.reasons import Failed
from datums.stores.errors import StoreError
from datums.transfer.fetch_errors import FetchError, from_store
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_spool import Loaded
from datums.transfer.fetch_stores import Line
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.whole_files import sha256

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Arrivals:
    """Of one store; safe to use from several threads.

    Args:
        names: of the inputs, in the plan's order.
    """

    def __init__(self, line: Line, shelf: Shelf, names: Sequence[str], progress: Progress) -> None:
        self._line = line
        self._shelf = shelf
        self._names = names
        self._progress = progress

    def is_there(self, wanted: Wanted) -> bool:
        """Whether an earlier run has loaded it; it is read again before that is believed."""
        if not wanted.loaded or not self._shelf.is_whole(wanted):
            return False
        self._progress.add(1, wanted.size)
        return True

    def take(self, files: Iterable[tuple[Wanted, Sequence[Buffer]]], *, last: bool) -> list[Wanted]:
        """Verifies and writes files that are in memory, and notes them; those that are not what they should be.

        Args:
            files: each with its bytes in pieces, which need not last longer than its turn.
            last: raises an error for the first that is not.

        Raises:
            FetchError: one cannot be written, or is another than was promised.
        """
        loaded: list[Loaded] = []
        damaged: list[Wanted] = []
        size = 0
        try:
            for wanted, pieces in files:
                found = sha256(pieces)
                if wanted.sha256 and found != wanted.sha256:
                    if last:
                        raise self.mismatch(wanted, found, wanted.size)
                    damaged.append(wanted)
                    continue
                self._shelf.write(wanted, pieces)
                loaded.append(Loaded(wanted.id, wanted.size, found))
                size += wanted.size
        finally:
            self._shelf.note(loaded)
            self._progress.add(len(loaded), size)
        return damaged

    def unpacked(self, files: Sequence[Wanted]) -> None:
        """Notes files that lie verified under their final names."""
        self._shelf.note_as_wanted(files)
        self._progress.add(len(files), sum(wanted.size for wanted in files))

    def done(self, wanted: Wanted, sha256: str) -> None:
        """Notes a file that lies under its final name. Its bytes were counted as they came."""
        self._shelf.note([Loaded(wanted.id, wanted.size, sha256)])
        self._progress.add(1, 0)

    def refused(self, error: StoreError, wanted: Wanted) -> FetchError:
        """The error for a file that the store does not give."""
        return from_store(error, self._names[wanted.input], wanted.shown_link, listed=not wanted.datum)

    def mismatch(self, wanted: Wanted, sha256: str, size: int) -> FetchError:
        """The error for other bytes than were promised."""
        if not wanted.datum:
            return self.changed(wanted, size)
        return FetchError(
            Failed.INPUT_DIGEST_MISMATCH,
            f"{self._where(wanted)} has SHA-256 {sha256} ({size} bytes), but {wanted.sha256} ({wanted.size} bytes) was saved: it "
            "was changed or damaged in the store",
        )

    def changed(self, wanted: Wanted, size: int) -> FetchError:
        """The error for another version than was listed."""
        return FetchError(
            Failed.INPUT_CHANGED,
            f"{self._where(wanted)} had {wanted.size} bytes when it was listed and is another version with {size} now that it was "
            "read: run again when nobody writes to it",
        )

    def _where(self, wanted: Wanted) -> str:
        uri = self._line.store.uri(wanted.key)
        return f"input {self._names[wanted.input]!r}, link {wanted.shown_link}: {uri} in DataStore {wanted.store}"
