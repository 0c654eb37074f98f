"""Loads files from one store in streams: neighbours in a pack by one for all, large files in segments."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from datums.stores import errors
from datums.stores.errors import StoreError
from datums.transfer.fetch_arrivals import Arrivals
from datums.transfer.fetch_large import Assembly, Segment
from datums.transfer.fetch_packs import Cutter, Span
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_retry import Patience
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_stores import Line
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.flights import Flight

if TYPE_CHECKING:
    from typing_extensions import Buffer

Task: TypeAlias = Wanted | Span | Segment


class Downloader:
    """Does one task after another; safe to use from several threads.

    Args:
        stopped: set when the rest of the work is pointless.
    """

    def __init__(self, line: Line, shelf: Shelf, arrivals: Arrivals, progress: Progress, stopped: threading.Event) -> None:
        self._line = line
        self._shelf = shelf
        self._arrivals = arrivals
        self._progress = progress
        self._stopped = stopped
        self._unpacking = threading.Lock()
        """Threads that all write small files only take turns, and each turn costs more than a file."""

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
        patience = self._patience(flight)
        line = self._line
        span.files = [wanted for wanted in span.files[span.done :] if not self._arrivals.is_there(wanted)]
        span.done = 0
        while span.done < len(span.files):
            left = span.files[span.done :]
            start, end = left[0].offset, left[-1].offset + left[-1].size
            cutter = Cutter(start, [(wanted.offset, wanted.size) for wanted in left])

            def take(chunk: memoryview, cutter: Cutter = cutter) -> None:
                with self._unpacking:
                    span.damaged += self._arrivals.take(_cut(span, cutter, chunk), last=False)
                patience.went_well()

            try:
                with line.pace.slot():
                    self._pour(left[0].key, take, flight, start, end - start)
                    if span.done < len(span.files):
                        raise errors.Unavailable(f"the answer for {flight.uri} ended too early")
            except StoreError as error:
                patience.after(error)
            else:
                line.pace.went_well()
        while span.damaged:
            self._file(span.damaged[-1], flight)
            span.damaged.pop()

    def _segment(self, segment: Segment, flight: Flight, *, last: bool = False) -> None:
        assembly = segment.assembly
        wanted = assembly.wanted
        self._stream(segment, flight)
        try:
            if not assembly.ended(segment):
                return
        except OSError as error:
            raise self._shelf.failed(error, wanted, assembly.temporary) from None
        if wanted.sha256 not in ("", assembly.digest):
            if last:
                raise self._arrivals.mismatch(wanted, assembly.digest, wanted.size)
            # Perhaps it was damaged on its way.
            self._progress.add(0, -wanted.size)
            assembly.discard()
            self._alone(wanted, flight)
            return
        assembly.place()
        self._arrivals.done(wanted, assembly.digest)

    def _alone(self, wanted: Wanted, flight: Flight) -> None:
        """Loads a file of any size in one stream."""
        assembly = Assembly(wanted, self._shelf, in_segments=False)
        try:
            self._segment(assembly.take(), flight, last=True)
        finally:
            assembly.discard()

    def _stream(self, segment: Segment, flight: Flight) -> None:
        patience = self._patience(flight)
        line, assembly = self._line, segment.assembly
        wanted = assembly.wanted
        assembly.file()

        def take(chunk: memoryview) -> None:
            assembly.write(segment, chunk)
            self._progress.add(0, len(chunk))
            patience.went_well()

        while segment.left > 0 or (segment.is_open and not segment.position):
            try:
                with line.pace.slot():
                    length = None if segment.is_open else segment.left
                    start = wanted.offset + segment.position
                    self._pour(wanted.key, take, flight, start, length, etag=wanted.etag, version=wanted.version)
            except StoreError as error:
                patience.after(error)
                if segment.position and not wanted.is_pinned:
                    self._progress.add(0, -segment.position)
                    assembly.restart(segment)
                continue
            line.pace.went_well()
            break
        if segment.left and wanted.sha256:
            raise errors.Corrupt(
                f"DataStore {wanted.store}: {flight.uri} ends {segment.left} bytes before byte {wanted.offset + wanted.size}",
                store=wanted.store,
                key=wanted.key,
            )
        if segment.left:
            raise self._arrivals.changed(wanted, segment.position)

    def _pour(
        self,
        key: str,
        take: Callable[[memoryview], None],
        flight: Flight,
        offset: int,
        length: int | None,
        *,
        etag: str = "",
        version: str = "",
    ) -> None:
        """Has the bytes taken as they come, and the flight see that they do."""

        def taken(chunk: memoryview) -> None:
            flight.moved()
            if self._stopped.is_set():
                raise errors.Unavailable("stopped: another file failed")
            take(chunk)

        self._line.store.pour(key, taken, offset, length, etag=etag, version=version)

    def _patience(self, flight: Flight) -> Patience:
        return Patience(self._line, flight, self._stopped.wait)


def _cut(span: Span, cutter: Cutter, chunk: memoryview) -> Iterator[tuple[Wanted, list[Buffer]]]:
    for pieces in cutter.feed(chunk):
        yield span.files[span.done], pieces
        span.done += 1


def _first(task: Task) -> Wanted:
    if isinstance(task, Span):
        return task.files[min(task.done, len(task.files) - 1)]
    return task.assembly.wanted if isinstance(task, Segment) else task
