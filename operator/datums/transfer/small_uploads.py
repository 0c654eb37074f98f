"""Uploads small files, each as an object of its own, many at once in one thread: a thread for each costs more than the files do."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from datums.stores.errors import StoreError
from datums.transfer.outputs import NoDescriptors, Refused, Unreadable
from datums.transfer.patient import Call, PatientStore
from datums.transfer.single import Large, Outcome, Sending, Singles, Task

if TYPE_CHECKING:
    from datums.stores.protocol import Batch

_HELD_BYTES: Final = 32 << 20
"""Of files on their way, …"""
_MOST_FILES: Final = 256
"""… which are open."""
_LOOK_SECONDS: Final = 0.2
_SOON_SECONDS: Final = 0.02
_UNREADABLE_SECONDS: Final = 1.0


class _Trip(Call):
    """One file on its way."""

    __slots__ = ("sending", "task", "tries")

    def __init__(self, task: Task, sending: Sending, tries: int) -> None:
        super().__init__(sending.key, len(sending.data))
        self.task = task
        self.sending = sending
        self.tries = tries


class SmallUploads:
    """Takes files of any size, and hands on what is large.

    Args:
        begin: begins with a file (`Singles.begin`); it may wait for the pod's own volumes.
        large: takes a file that is not for here.
        settled: called in this thread with what came of a file, or with the exception of `begin` or `Singles.sent`.
        failed: called with what ends this thread.
    """

    def __init__(
        self,
        store: PatientStore,
        singles: Singles,
        begin: Callable[[Task], Outcome | Sending | Large | None],
        large: Callable[[Task], None],
        settled: Callable[[Task, Outcome | BaseException], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._singles = singles
        self._start = begin
        self._large = large
        self._settled = settled
        self._failed = failed
        self._trips = store.trips(_send)
        self._tasks: deque[tuple[Task, int]] = deque()
        self._later: deque[tuple[float, Task, int]] = deque()
        """Those that could not be read, and when they are tried again, monotonic seconds."""
        self._begun: _Trip | None = None
        """Read, and waiting for its place."""
        self._held = 0
        self._open_files = 0
        """Of those that are on their way or have come to their end and are not closed."""
        self._exhausted = False
        """Whether nothing can be opened before what is on its way is closed."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Files that are not begun with."""
        return len(self._tasks) + len(self._later)

    def hand(self, task: Task) -> None:
        """Returns at once."""
        with self._changed:
            self._tasks.append((task, 1))
            self._changed.notify()
        self.start()

    def start(self) -> None:
        """Has a thread begin with what was handed, if none has. To be called again and again while that waits: there may be no
        more threads for a while."""
        with self._changed:
            if self._thread is not None or not self._tasks:
                return
            thread = threading.Thread(target=self._run, name="small", daemon=True)
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        try:
            while True:
                self._go_on()
        except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
            self._failed(error)

    def _go_on(self) -> None:
        with self._changed:
            while not self._tasks and self._begun is None and not len(self._trips):
                self._changed.wait(self._later[0][0] - time.monotonic() if self._later else None)
                self._take_up()
        pause = self._begin()
        if len(self._trips):
            for trip, answer in self._trips.turn(pause if self._tasks or self._begun else _SOON_SECONDS):
                self._ended(trip, answer if isinstance(answer, StoreError) else None)
                self._begin()  # not after the last of many answers: their requests would all be late by that
        elif self._begun is not None:
            time.sleep(pause)

    def _begin(self) -> float:
        """Begins as many as there is room for; the seconds after which there may be more."""
        self._exhausted = False
        self._take_up()
        while (self._begun is not None or self._tasks) and not self._exhausted and len(self._trips) < _MOST_FILES:
            if self._begun is None:
                task, tries = self._tasks.popleft()
                self._begun = self._read(task, tries)
                continue
            size = len(self._begun.sending.data)
            if self._held and self._held + size > _HELD_BYTES:
                break
            if (pause := self._trips.begin(self._begun)) > 0:
                return pause
            self._held += size
            self._open_files += 1
            self._begun = None
        return _LOOK_SECONDS

    def _take_up(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            _, task, tries = self._later.popleft()
            self._tasks.append((task, tries))

    def _read(self, task: Task, tries: int) -> _Trip | None:
        """The file, read and ready to be sent; None where that is not to be, or not now."""
        try:
            step = self._start(task)
        except Unreadable as error:
            if tries >= self._singles.tries:
                self._settled(task, error)
            elif isinstance(error, NoDescriptors) and self._open_files:
                self._exhausted = True
                self._tasks.append((task, tries))
            else:
                self._later.append((time.monotonic() + _UNREADABLE_SECONDS, task, tries + 1))
            return None
        except BaseException as error:  # noqa: BLE001  handed to who asked
            self._settled(task, error)
            return None
        if isinstance(step, Sending):
            return _Trip(task, step, tries)
        if isinstance(step, Large):
            self._large(task)
        elif step is None:
            self._changed_meanwhile(task, tries)
        else:
            self._settled(task, step)
        return None

    def _ended(self, trip: _Trip, error: StoreError | None) -> None:
        self._held -= len(trip.sending.data)
        trip.end()
        try:
            if error is not None:
                self._settled(trip.task, Refused(str(error)))
            elif (outcome := self._singles.sent(trip.sending)) is None:
                self._changed_meanwhile(trip.task, trip.tries)
            else:
                self._settled(trip.task, outcome)
        except (Refused, OSError) as refusal:
            self._settled(trip.task, refusal if isinstance(refusal, Refused) else Refused(f"cannot be read: {refusal.strerror}"))
        finally:
            with suppress(OSError):
                os.close(trip.sending.fd)
            self._open_files -= 1

    def _changed_meanwhile(self, task: Task, tries: int) -> None:
        if tries < self._singles.tries:
            self._tasks.append((Task(task.slot), tries + 1))
            return
        try:
            outcome: Outcome | BaseException = self._singles.given_up(tries)
        except Refused as refusal:
            outcome = refusal
        self._settled(task, outcome)


def _send(batch: Batch[_Trip], trip: _Trip) -> None:
    batch.put(trip, trip.sending.key, trip.sending.data)
