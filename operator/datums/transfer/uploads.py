"""Uploading the outputs in threads: which file is on its way, what waits for it, and that what was saved is remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from datums.model import layout
from datums.transfer import packs
from datums.transfer.buffers import Buffers
from datums.transfer.crew import Crew
from datums.transfer.journal import Done, Journal, Slot
from datums.transfer.outputs import Gone, Refused
from datums.transfer.packing import Packing
from datums.transfer.parts import Parts
from datums.transfer.patient import PatientStore
from datums.transfer.places import Places
from datums.transfer.say import say
from datums.transfer.single import Large, Outcome, Sending, Singles, Task
from datums.transfer.small_uploads import SmallUploads

_MEMORY_BYTES: Final = 112 << 20
_PACKERS: Final = 4
_STATE_SECONDS: Final = 1.0
_WAITING_FILES: Final = 256
_WAITING_PACKS: Final = 2
_NOTED_AT_ONCE: Final = 64
"""Files of which one transaction remembers that they are saved; fewer when nothing else waits to be uploaded."""

T = TypeVar("T")


class Uploader:
    """Uploads files in threads. A file that is being uploaded is not started twice; one that lies in the store as it is, not again.

    Args:
        store: receives them.
        prefix: of the attempt's keys, ending in a slash.
        places: where the files lie.
        journal: remembers keys and digests.
        threads: at most so many uploads at a time.
        part_bytes: a larger file is sent in parts.
        on_trouble: called when `trouble` has changed, from any thread.
    """

    def __init__(
        self,
        store: PatientStore,
        prefix: str,
        places: Places,
        journal: Journal,
        *,
        threads: int,
        part_bytes: int,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._places = places
        self._journal = journal
        self._on_trouble = on_trouble
        self._buffers = buffers = Buffers(_MEMORY_BYTES)
        self.parts = Parts(store, prefix, journal, buffers, threads, self._count)
        self._singles = Singles(store, prefix, places, journal, self.parts, buffers, part_bytes, self._count)
        self._singly: Crew[Task] = Crew("upload", threads, self._work_off_file)
        self._small = SmallUploads(store, self._singles, self._begin, self._singly.hand, self._settle, self._fail)
        self._packing: Crew[list[Slot]] = Crew("pack", min(_PACKERS, threads), self._work_off_pack)
        self._known: set[Slot] = set()
        self._again: set[Slot] = set()
        self._unnoted: list[tuple[Slot, Outcome]] = []
        self._state = threading.Condition()
        self._builder = Packing(places)
        self._refusals = False
        self.sent_bytes = journal.bytes
        """Bytes that have arrived in the store so far; for progress only."""
        self.trouble = ""
        """What holds the uploads up besides the store."""
        self.failure: BaseException | None = None

    @property
    def final(self) -> bool:
        """Whether main has ended: what cannot be read now never will be."""
        return self._singles.final

    @final.setter
    def final(self, value: bool) -> None:
        self._singles.final = value

    @property
    def _waiting(self) -> int:
        return self._small.waiting + self._singly.waiting

    @property
    def has_room(self) -> bool:
        """Whether there is need of more to do. What is submitted beyond that takes memory while it waits."""
        return self._waiting < _WAITING_FILES and self._packing.waiting < _WAITING_PACKS

    def submit(self, slots: Iterable[Slot]) -> None:
        """Uploads each file as an object of its own. One that is being uploaded already is looked at once more afterwards."""
        self._submit(Task(slot) for slot in slots)

    def submit_new(self, slots: list[Slot]) -> None:
        """`submit` of files of which nothing lies in the store yet."""
        numbers = self.insist(lambda: self._journal.new_keys([path for path, _ in slots]))
        self._submit(Task(slot, number, True) for slot, number in zip(slots, numbers, strict=True))

    def submit_pack(self, slots: list[Slot]) -> None:
        """Uploads the small files as one object, but for those that are being uploaded already."""
        with self._state:
            self._again.update(slot for slot in slots if slot in self._known)
            new = [slot for slot in slots if slot not in self._known]
            self._known.update(new)
        if new:
            self._builder.expect(len(new))
            self._packing.hand(new)

    def expect_small(self, files: int) -> None:
        """So many files are likely to come for packs, in all: what takes time to begin with is begun."""
        self._builder.get_ready(files)

    def close(self) -> None:
        """Nothing more will be submitted, and all is done with."""
        self._builder.close()

    def wait(self, seconds: float) -> bool:
        """Whether everything that was submitted is done with, after at most `seconds`.

        Raises:
            BaseException: an upload failed in a way that nobody thought of.
        """
        return self._wait(seconds, lambda: not self._known)

    def wait_for_room(self, seconds: float) -> bool:
        """Whether there is need of more to do, after at most `seconds`. Raises what `wait` does."""
        return self._wait(seconds, lambda: self.has_room)

    def is_busy_with(self, slot: Slot) -> bool:
        """Whether the file waits for its upload, or is being uploaded."""
        return slot in self._known

    def insist(self, what: Callable[[], T]) -> T:
        """What the call returns, once the pod's own volumes take what it has to remember."""
        while True:
            try:
                answer = what()
            except OSError as error:
                trouble = f"the pod's own volumes fail: {error.strerror or error}; free space on the node"
                if trouble != self.trouble:
                    self.trouble = trouble
                    say(trouble)
                    self._on_trouble()
                time.sleep(_STATE_SECONDS)
            else:
                if self.trouble:
                    self.trouble = ""
                    self._on_trouble()
                return answer

    def _wait(self, seconds: float, for_what: Callable[[], bool]) -> bool:
        self._small.start()
        with self._state:
            self._state.wait_for(lambda: for_what() or self.failure, seconds)
            if self.failure is not None:
                raise self.failure
            return for_what()

    def _submit(self, tasks: Iterable[Task]) -> None:
        with self._state:
            for task in tasks:
                if task.slot in self._known:
                    self._again.add(task.slot)
                else:
                    self._known.add(task.slot)
                    self._small.hand(task)

    def _begin(self, task: Task) -> Outcome | Sending | Large | None:
        return self.insist(lambda: self._singles.begin(task))

    def _work_off_file(self, task: Task) -> None:
        try:
            outcome: Outcome | BaseException = self.insist(lambda: self._singles.upload(task))
        except BaseException as error:  # noqa: BLE001  judged below
            outcome = error
        self._settle(task, outcome)

    def _settle(self, task: Task, outcome: Outcome | BaseException) -> None:
        """Remembers what came of a file."""
        try:
            self._judge(task, outcome)
        except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
            self._fail(error)
        with self._state:
            self._unnoted.append((task.slot, outcome if isinstance(outcome, Outcome) else Outcome()))
            if len(self._unnoted) < _NOTED_AT_ONCE and self._waiting:
                return
            noting, self._unnoted = self._unnoted, []
        self._note(noting)

    def _judge(self, task: Task, outcome: Outcome | BaseException) -> None:
        if isinstance(outcome, Gone):
            self._refuse(task.slot, "is gone, or no regular file any more; nothing but the command may change the outputs")
        elif isinstance(outcome, Refused):
            self._refuse(task.slot, str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        elif self._refusals:
            self.insist(lambda: self._journal.unrefuse(task.slot))

    def _work_off_pack(self, slots: list[Slot]) -> None:
        left_out = slots
        try:
            left_out = self._pack(slots)
        except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
            self._fail(error)
        with self._state:
            if self.final:
                # One by one: each is read again, and named if that is in vain as well.
                self._again.update(left_out)
        self._finish(slots)

    def _pack(self, slots: list[Slot]) -> list[Slot]:
        """Uploads the files as one object. Those that were left out."""
        memory = self._buffers.take(packs.PACK_BYTES)
        try:
            number = self.insist(self._journal.new_pack)
            view = memoryview(memory)[: packs.PACK_BYTES]
            packed = self._builder.build(view, number, slots, final=self.final)
            if packed.done:
                key = layout.pack_key(self._prefix, number)
                self._store.call(key, lambda store: store.put(key, view[: packed.size]), size=packed.size)
        finally:
            self._buffers.give_back(memory)
        if packed.done:
            self.insist(lambda: self._journal.note_done(packed.done))
            self._count(sum(done.identity.size for done in packed.done))
        for done in packed.done:
            if done.token:
                self._places.free(done.slot, done.identity)
        return packed.left_out

    def _note(self, noting: list[tuple[Slot, Outcome]]) -> None:
        saved: list[Done] = [outcome.done for _, outcome in noting if outcome.done is not None]
        known = sum(outcome.is_known for _, outcome in noting)
        try:
            if saved:
                self.insist(lambda: self._journal.note_done(saved, known=known))
            for slot, outcome in noting:
                if outcome.removable:
                    self._places.remove(slot)
        except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
            self._fail(error)
        self._finish([slot for slot, _ in noting])

    def _finish(self, slots: list[Slot]) -> None:
        with self._state:
            for slot in slots:
                if slot in self._again:
                    self._again.discard(slot)
                    self._small.hand(Task(slot))
                else:
                    self._known.discard(slot)
            self._state.notify_all()

    def _refuse(self, slot: Slot, why: str) -> None:
        if self.final:
            self._refusals = True
            self.insist(lambda: self._journal.refuse(slot, why))

    def _fail(self, error: BaseException) -> None:
        with self._state:
            self.failure = self.failure or error
            self._state.notify_all()

    def _count(self, size: int) -> None:
        with self._state:
            self.sent_bytes += size
