"""A file that is not whole yet."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted

_MODE: Final = 0o444


class Partial:
    """It is made at once, under a name of its own.

    Raises:
        FetchError: there is no room for it.
    """

    def __init__(self, wanted: Wanted, shelf: Shelf) -> None:
        self._wanted = wanted
        self._shelf = shelf
        self._path = shelf.temporary()
        self.file = -1
        """A descriptor, while it is open."""
        try:
            self.file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # A disk that is too small is told of now, not after an hour. Allocating it would cost as much as writing on some file
            # systems, and nobody else writes here.
            volume = os.fstatvfs(self.file)
            if volume.f_bavail * volume.f_frsize < wanted.size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.discard()
            raise shelf.failed(error, wanted) from None

    def place(self) -> None:
        """Gives the verified file its final name.

        Raises:
            FetchError: it cannot have it.
        """
        os.fchmod(self.file, _MODE)
        self._close()
        self._shelf.rename(self._wanted, self._path)

    def discard(self) -> None:
        """Removes it, if it is open."""
        if self.file >= 0:
            self._close()
            Path(self._path).unlink(missing_ok=True)

    def _close(self) -> None:
        # First the number goes: a thread that has not ended in time may still write, and it may be another file's at once.
        file, self.file = self.file, -1
        os.close(file)
