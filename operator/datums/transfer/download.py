"""Loads files from one store in streams: neighbours in a pack by one for all, large files in segments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from datums.stores import errors
from datums.stores.errors import StoreError
from datums.stores.sink_memory import MemoryFile, TooLong
from datums.transfer.fetch_arrivals import Arrivals
from datums.transfer.fetch_large import Segment
from datums.transfer.fetch_packs import Span, arrived
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_retry import Moving, Patience
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_stores import Line
from datums.transfer.fetch_stream import Alone, Stream
from datums.transfer.fetch_unpack import Unpacking
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.flights import Flight

Task: TypeAlias = Wanted | Span | Segment


class Downloader:
    """Does one task after another; safe to use from several threads.

    Args:
        stopped: set when the rest of the work is pointless.
    """

    def __init__(
        self, line: Line, shelf: Shelf, arrivals: Arrivals, unpacking: Unpacking, progress: Progress, stopped: threading.Event
    ) -> None:
        self._line = line
        self._shelf = shelf
        self._arrivals = arrivals
        self._progress = progress
        self._stopped = stopped
        self._unpacking = unpacking

    def uri(self, task: Task) -> str:
        """What a task is about, for messages."""
        return self._line.store.uri(_first(task).key)

    def work(self, task: Task, flight: Flight) -> None:
        """Does a task.

        Raises:
            FetchError: a file cannot be had, or is not what it should be.
        """
        try:
            if isinstance(task, Span):
                self._span(task, flight)
            elif isinstance(task, Segment):
                self._segment(task, flight)
            else:
                self._file(task, flight)
        except StoreError as error:
            raise self._arrivals.refused(error, _first(task)) from None

    def _file(self, wanted: Wanted, flight: Flight) -> None:
        if not self._arrivals.is_there(wanted):
            self._alone(wanted, flight)

    def _span(self, span: Span, flight: Flight) -> None:
        try:
            self._spanned(span, flight)
        except OSError as error:
            raise self._shelf.failed(error, span.files[0]) from None

    def _spanned(self, span: Span, flight: Flight) -> None:
        patience = self._patience(flight)
        line, moving = self._line, Moving(flight, patience, self._stopped)
        left = [wanted for wanted in span.files if not self._arrivals.is_there(wanted)]
        damaged: list[Wanted] = []
        while left:
            start, end = left[0].offset, left[-1].offset + left[-1].size
            with MemoryFile() as memory:
                failure: StoreError | None = None
                try:
                    with line.pace.slot():
                        line.store.download(left[0].key, memory.sink, moving.on_from(start), start, end - start)
                except StoreError as error:
                    failure = error
                came = list(arrived(left, memory.sink.position))
                damaged += self._unpacking.take(memory, came)
                left = left[len(came) :]
            if failure is not None:
                patience.after(failure)
            else:
                line.pace.went_well()
        for wanted in damaged:
            self._file(wanted, flight)

    def _segment(self, segment: Segment, flight: Flight) -> None:
        assembly, wanted = segment.assembly, segment.wanted
        assembly.open()
        self._stream(segment, flight)
        if not assembly.ended(segment):
            return
        if wanted.sha256 in ("", assembly.digest):
            assembly.place()
            self._arrivals.done(wanted, assembly.digest)
            return
        # Perhaps it was damaged on its way.
        self._progress.add(0, -wanted.size)
        assembly.discard()
        self._alone(wanted, flight)

    def _alone(self, wanted: Wanted, flight: Flight) -> None:
        """Loads a file of any size in one stream."""
        alone = Alone(wanted, self._shelf)
        try:
            self._stream(alone, flight, None if wanted.is_pinned else alone.restart)
            digest = alone.close()
            if wanted.sha256 not in ("", digest):
                raise self._arrivals.mismatch(wanted, digest, wanted.size)
            alone.place()
        finally:
            alone.discard()
        self._arrivals.done(wanted, digest)

    def _stream(self, stream: Stream, flight: Flight, restart: Callable[[], None] | None = None) -> None:
        try:
            self._streamed(stream, flight, restart)
        except TooLong:
            raise self._arrivals.changed(stream.wanted, stream.position) from None
        except OSError as error:
            raise self._shelf.failed(error, stream.wanted) from None

    def _streamed(self, stream: Stream, flight: Flight, restart: Callable[[], None] | None) -> None:
        patience = self._patience(flight)
        line, wanted = self._line, stream.wanted
        moving = Moving(flight, patience, self._stopped, partial(self._progress.add, 0))
        while stream.left > 0 or (stream.is_open and not stream.position):
            try:
                with line.pace.slot():
                    length = None if stream.is_open else stream.left
                    start = wanted.offset + stream.position
                    came = moving.on_from(start)
                    line.store.download(wanted.key, stream.sink, came, start, length, etag=wanted.etag, version=wanted.version)
            except StoreError as error:
                patience.after(error)
                if stream.position and restart:
                    self._progress.add(0, -stream.position)
                    restart()
                continue
            line.pace.went_well()
            break
        if stream.left and wanted.sha256:
            raise errors.Corrupt(
                f"DataStore {wanted.store}: {flight.uri} ends {stream.left} bytes before byte {wanted.offset + wanted.size}",
                store=wanted.store,
                key=wanted.key,
            )
        if stream.left:
            raise self._arrivals.changed(wanted, stream.position)

    def _patience(self, flight: Flight) -> Patience:
        return Patience(self._line, flight, self._stopped.wait)


def _first(task: Task) -> Wanted:
    if isinstance(task, Span):
        return task.files[0]
    return task.wanted if isinstance(task, Segment) else task
