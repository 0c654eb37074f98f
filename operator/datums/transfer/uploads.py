"""Uploading the outputs in threads: what lies in the store is what was read once, whole and unchanged, under a key of its own."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from datums.model import layout
from datums.stores.errors import UnsupportedKey
from datums.transfer import packs
from datums.transfer.buffers import Buffers
from datums.transfer.crew import Crew
from datums.transfer.database import StateError
from datums.transfer.journal import Done, Journal, Slot
from datums.transfer.outputs import Gone, Identity, NoDescriptors, Refused, is_open_for_writing, opened, read_exactly
from datums.transfer.parts import Lost, Parts
from datums.transfer.patient import PatientStore
from datums.transfer.places import Places

_TRIES: Final = 3
_MEMORY_BYTES: Final = 112 << 20
_PACKERS: Final = 4
_READ_BYTES: Final = 1 << 20
_STATE_SECONDS: Final = 1.0
_WAITING_FILES: Final = 256
_WAITING_PACKS: Final = 2

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
    """

    def __init__(
        self, store: PatientStore, prefix: str, places: Places, journal: Journal, *, threads: int, part_bytes: int
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._places = places
        self._journal = journal
        self._part_bytes = part_bytes
        self._buffers = Buffers(_MEMORY_BYTES)
        self.parts = Parts(store, prefix, journal, self._buffers, threads, self._count)
        self._singly: Crew[Slot] = Crew("upload", threads, self._work_off_file)
        self._packing: Crew[list[Slot]] = Crew("pack", min(_PACKERS, threads), self._work_off_pack)
        self._known: set[Slot] = set()
        self._again: set[Slot] = set()
        self._state = threading.Condition()
        self._refusals = False
        self.final = False
        """Whether main has ended: what cannot be read now never will be."""
        self.sent_bytes = journal.bytes
        """Bytes that have arrived in the store so far; for progress only."""
        self.trouble = ""
        """What holds the uploads up besides the store."""
        self.failure: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """Whether there is need of more to do. What is submitted beyond that takes memory while it waits."""
        return self._singly.waiting < _WAITING_FILES and self._packing.waiting < _WAITING_PACKS

    def submit(self, slots: Iterable[Slot]) -> None:
        """Uploads each file as an object of its own. One that is being uploaded already is looked at once more afterwards."""
        with self._state:
            for slot in slots:
                if slot in self._known:
                    self._again.add(slot)
                else:
                    self._known.add(slot)
                    self._singly.hand(slot)

    def submit_pack(self, slots: list[Slot]) -> None:
        """Uploads the small files as one object, but for those that are being uploaded already."""
        with self._state:
            self._again.update(slot for slot in slots if slot in self._known)
            new = [slot for slot in slots if slot not in self._known]
            self._known.update(new)
        if new:
            self._packing.hand(new)

    def wait(self, seconds: float) -> bool:
        """Whether everything that was submitted is done with, after at most `seconds`.

        Raises:
            BaseException: an upload failed in a way that nobody thought of.
        """
        with self._state:
            self._state.wait_for(lambda: not self._known or self.failure, seconds)
            if self.failure is not None:
                raise self.failure
            return not self._known

    def wait_for_room(self, seconds: float) -> bool:
        """Whether there is need of more to do, after at most `seconds`. Raises what `wait` does."""
        with self._state:
            self._state.wait_for(lambda: self.has_room or self.failure, seconds)
            if self.failure is not None:
                raise self.failure
            return self.has_room

    def is_busy_with(self, slot: Slot) -> bool:
        """Whether the file waits for its upload, or is being uploaded."""
        return slot in self._known

    def _work_off_file(self, slot: Slot) -> None:
        try:
            self._upload(slot)
        except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
            self.failure = error
        self._finish([slot])

    def _work_off_pack(self, slots: list[Slot]) -> None:
        left_out = slots
        try:
            left_out = self._pack(slots)
        except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
            self.failure = error
        with self._state:
            if self.final:
                # One by one: each is read again, and named if that is in vain as well.
                self._again.update(left_out)
        self._finish(slots)

    def _finish(self, slots: list[Slot]) -> None:
        with self._state:
            for slot in slots:
                if slot in self._again:
                    self._again.discard(slot)
                    self._singly.hand(slot)
                else:
                    self._known.discard(slot)
            self._state.notify_all()

    def _upload(self, slot: Slot) -> None:
        try:
            self._upload_unchanged(slot)
        except Gone:
            self._refuse(slot, "is gone, or no regular file any more; nothing but the command may change the outputs")
        except Refused as refusal:
            self._refuse(slot, str(refusal))
        else:
            if self._refusals:
                self._insist(lambda: self._journal.unrefuse(slot))

    def _refuse(self, slot: Slot, why: str) -> None:
        if self.final:
            self._refusals = True
            self._insist(lambda: self._journal.refuse(slot, why))

    def _upload_unchanged(self, slot: Slot) -> None:
        if slot[1] and not self._places.has(slot) and self._journal.done(slot):
            return  # taken away, saved and removed
        tries = _TRIES if self.final else 1
        why = "changed while it was read, {} times; do not write to it after the command has ended"
        for last in [False] * (tries - 1) + [True]:
            try:
                if self._upload_once(slot):
                    return
            except NoDescriptors:
                if last:
                    raise
                time.sleep(_STATE_SECONDS)
            except Lost:
                why = "was sent in parts, which the store has lost, {} times; see the provider's rules for unfinished uploads"
        if self.final:
            raise Refused(why.format(tries))

    def _upload_once(self, slot: Slot) -> bool:
        """Whether there is nothing left to do; no when the file changed meanwhile."""
        with opened(*self._places.of(slot)) as fd:
            if not self.final and is_open_for_writing(fd):
                return True
            before = Identity.of(os.fstat(fd))
            if self._is_stored(slot, fd, before):
                return True
            done = self._send(slot, fd, before)
            # Asked before the identity: a writer that has come and gone by then has changed it.
            writer = is_open_for_writing(fd) if slot[1] else None
            if done is None or Identity.of(os.fstat(fd)) != before:
                return False
        self._insist(lambda: self._journal.note_done([done]))
        if slot[1] and writer is False:
            # Read-only, closed and saved: it is what it will be. The space is main's again.
            self._places.remove(slot)
        return True

    def _is_stored(self, slot: Slot, fd: int, now: Identity) -> bool:
        """Whether the store has these bytes. A file that was only touched (renamed, chmodded) is read, not sent again."""
        done = self._journal.done(slot)
        if done is None or (done.identity.size, done.identity.mtime_ns) != (now.size, now.mtime_ns):
            return False
        if done.identity == now:
            return True
        if _digest(fd) != done.sha256 or Identity.of(os.fstat(fd)) != now:
            return False
        self._insist(lambda: self._journal.note_done([done._replace(identity=now)]))
        return True

    def _send(self, slot: Slot, fd: int, expected: Identity) -> Done | None:
        """Uploads an open file; None when it changed before it was read."""
        size = expected.size
        try:
            if size > self._part_bytes:
                return self._insist(lambda: self.parts.send(slot, fd, expected))
            with self._buffers.lent(size) as memory:
                if not read_exactly(fd, memory) or Identity.of(os.fstat(fd)) != expected:
                    return None
                sha256 = hashlib.sha256(memory).hexdigest()
                number = self._insist(lambda: self._journal.new_key(slot[0]))
                key = layout.file_key(self._prefix, slot[0], number)
                self._store.call(key, lambda store: store.put(key, memory), accept=(UnsupportedKey,), size=size)
        except UnsupportedKey as error:
            raise Refused(str(error)) from None
        self._count(size)
        return Done(slot[0], slot[1], number, 0, sha256, expected)

    def _pack(self, slots: list[Slot]) -> list[Slot]:
        """Uploads the files as one object. Those that were left out."""
        memory = self._buffers.take(packs.PACK_BYTES)
        try:
            number = self._insist(self._journal.new_pack)
            view = memoryview(memory)[: packs.PACK_BYTES]
            packed = packs.build(view, number, slots, self._places, final=self.final)
            if packed.done:
                key = layout.pack_key(self._prefix, number)
                self._store.call(key, lambda store: store.put(key, view[: packed.size]), size=packed.size)
        finally:
            self._buffers.give_back(memory)
        if packed.done:
            self._insist(lambda: self._journal.note_done(packed.done))
            self._count(sum(done.identity.size for done in packed.done))
        for done in packed.done:
            if done.token:
                self._places.free(done.slot, done.identity)
        return packed.left_out

    def _insist(self, what: Callable[[], T]) -> T:
        """What the call returns, once the state volume takes what it has to remember."""
        while True:
            try:
                answer = what()
            except StateError as error:
                self.trouble = f"the pod's own state volume fails: {error.strerror or error}; free space on the node"
                time.sleep(_STATE_SECONDS)
            else:
                if self.trouble:
                    self.trouble = ""
                return answer

    def _count(self, size: int) -> None:
        with self._state:
            self.sent_bytes += size


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while data := os.pread(fd, _READ_BYTES, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()
