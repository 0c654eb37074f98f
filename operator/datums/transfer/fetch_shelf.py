"""Putting files under their final names, whole or not at all.

Nothing is synced to disk: an emptyDir lives no longer than its pod, and a pod whose node lost power runs `fetch` anew, which reads
every file again before it believes in it.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from datums.transfer.fetch_errors import from_system
from datums.transfer.fetch_spool import Loaded, Spool
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.whole_files import write_whole

if TYPE_CHECKING:
    from typing_extensions import Buffer

_READ_BYTES: Final = 1 << 20
_NOTE_FILES: Final = 500
_NOTE_SECONDS: Final = 0.5
_PARTIAL: Final = ".datums-partial"


class Shelf:
    """The inputs' directory, and the notes of what lies there. Safe to use from several threads.

    Args:
        names: of the inputs, in the plan's order.

    Raises (every method):
        FetchError: the volume is full or cannot be written.
    """

    def __init__(self, inputs: Path, names: Sequence[str], spool: Spool) -> None:
        self._bases = [f"{inputs}/{name}/" for name in names]
        self._partial = inputs / _PARTIAL
        self.partial = str(self._partial)
        """The directory of files that are not whole yet."""
        self._spool = spool
        self._numbers = count()
        self._lock = threading.Lock()
        self._notes: list[Loaded] = []
        self._noted_at = time.monotonic()

    def open(self) -> None:
        """Makes the directories, and removes what an earlier run has left half done."""
        made = None
        try:
            made = self._partial
            made.mkdir(exist_ok=True)
            for left in made.iterdir():
                left.unlink(missing_ok=True)  # a second process may outlive the first by a moment
            for number, path in self._spool.directories():
                made = Path(self._bases[number] + path)
                made.mkdir(exist_ok=True)
        except OSError as error:
            raise from_system(error, str(made), 0) from None

    def close(self) -> None:
        """Notes what is not noted yet, and leaves no partial file."""
        self._note([])
        for left in self._partial.iterdir():
            left.unlink(missing_ok=True)
        with suppress(OSError):  # a thread that has not ended in time may still write
            self._partial.rmdir()

    def target(self, wanted: Wanted) -> str:
        """The final name of a file."""
        return self._bases[wanted.input] + wanted.path

    def temporary(self) -> str:
        """A name that no other file has, on the same volume."""
        return f"{self.partial}/{next(self._numbers)}"

    def write(self, wanted: Wanted, pieces: Sequence[Buffer]) -> None:
        """Writes a small file that is in memory, verified."""
        try:
            write_whole(pieces, self.temporary(), self.target(wanted))
        except OSError as error:
            raise self.failed(error, wanted) from None

    def rename(self, wanted: Wanted, temporary: str) -> None:
        """Gives a verified file its final name."""
        try:
            os.rename(temporary, self.target(wanted))  # noqa: PTH104  for every small file
        except OSError as error:
            raise self.failed(error, wanted, temporary) from None

    def failed(self, error: OSError, wanted: Wanted, temporary: str = "") -> Exception:
        """What a failure means; the partial file is gone."""
        failed = from_system(error, self.target(wanted), max(wanted.size, 0))
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        return failed

    def is_whole(self, wanted: Wanted) -> bool:
        """Whether what was loaded by an earlier run lies there unharmed."""
        digest, size = hashlib.sha256(), 0
        try:
            with Path(self.target(wanted)).open("rb") as file:
                while data := file.read(_READ_BYTES):
                    digest.update(data)
                    size += len(data)
        except OSError:
            return False
        return (size, digest.hexdigest()) == (wanted.size, wanted.sha256)

    def note_as_wanted(self, files: Sequence[Wanted]) -> None:
        """Notes files that have got their final names, all of whose bytes were promised."""
        self._spool.mark_as_wanted(sorted(wanted.id for wanted in files))

    def note(self, loaded: Sequence[Loaded]) -> None:
        """Notes files that have got their final names; in batches."""
        with self._lock:
            self._notes += loaded
            if len(self._notes) < _NOTE_FILES and time.monotonic() - self._noted_at < _NOTE_SECONDS:
                return
            notes, self._notes = self._notes, []
            self._noted_at = time.monotonic()
        self._note(notes)

    def _note(self, notes: list[Loaded]) -> None:
        with self._lock:
            notes += self._notes
            self._notes = []
        if notes:
            self._spool.mark(notes)
