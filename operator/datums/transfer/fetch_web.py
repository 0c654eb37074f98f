"""Loads public files, one connection each; goes on where one broke off if the server can."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from datums.stores import errors
from datums.stores.errors import StoreError
from datums.transfer import web
from datums.transfer.fetch_errors import from_store
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_retry import Moving, Patience
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_spool import Loaded
from datums.transfer.fetch_stores import Line
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.flights import Flight
from datums.transfer.whole_files import write_all


class WebLoader:
    """Loads one file after another; safe to use from several threads.

    Args:
        names: of the inputs, in the plan's order.
        optional: which of the inputs are.
        stopped: set when the rest of the work is pointless.
    """

    def __init__(
        self,
        line: Line,
        shelf: Shelf,
        names: Sequence[str],
        optional: Sequence[bool],
        progress: Progress,
        stopped: threading.Event,
    ) -> None:
        self._line = line
        self._shelf = shelf
        self._names = names
        self._optional = optional
        self._progress = progress
        self._stopped = stopped

    def uri(self, wanted: Wanted) -> str:
        """A file, for messages."""
        return wanted.shown_link

    def work(self, wanted: Wanted, flight: Flight) -> None:
        """Loads a file. One that does not exist, of an input that is optional, is noted as absent.

        Raises:
            FetchError: it cannot be had.
        """
        if wanted.loaded and self._shelf.is_whole(wanted):
            self._progress.add(1, wanted.size)
            return
        temporary = self._shelf.temporary()
        answer = web.Answer()
        try:
            size, sha256 = self._load(wanted, flight, answer, temporary)
        except StoreError as error:
            Path(temporary).unlink(missing_ok=True)
            if isinstance(error, errors.NotFound) and self._optional[wanted.input]:
                self._shelf.note([Loaded(wanted.id, 0, "", absent=True)])
                return
            raise from_store(error, self._names[wanted.input], wanted.shown_link) from None
        except OSError as error:
            raise self._shelf.failed(error, wanted, temporary) from None
        self._shelf.rename(wanted, temporary)
        said = {"etag": answer.etag, "last-modified": answer.last_modified}
        told = {name: value for name, value in said.items() if value}
        self._shelf.note([Loaded(wanted.id, size, sha256, answer.etag, told)])
        self._progress.add(1, 0)

    def _load(self, wanted: Wanted, flight: Flight, answer: web.Answer, temporary: str) -> tuple[int, str]:
        patience = Patience(self._line, flight, self._stopped.wait)
        moving = Moving(flight, patience, self._stopped, partial(self._progress.add, 0))
        digest, got = hashlib.sha256(), 0
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            while True:
                start = got if answer.is_resumable else 0
                fresh = True
                try:
                    with self._line.pace.slot():
                        for chunk in web.read(wanted.key, answer, name=wanted.path, start=start):
                            if fresh and answer.start != got:
                                self._progress.add(0, -got)
                                digest, got = hashlib.sha256(), 0
                                os.ftruncate(file, 0)
                                os.lseek(file, 0, os.SEEK_SET)
                            fresh = False
                            digest.update(chunk)
                            write_all(file, chunk)
                            moving.on_from(got)(len(chunk))
                            got += len(chunk)
                    if fresh and got and not answer.start:
                        raise errors.Unavailable(f"{wanted.shown_link} is empty now")
                    return got, digest.hexdigest()
                except StoreError as error:
                    patience.after(error)
        finally:
            os.close(file)
