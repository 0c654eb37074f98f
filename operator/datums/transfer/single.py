"""One file as an object of its own: read once, hashed on the way, sent, and still what it was before."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from datums.model import layout
from datums.stores.errors import UnsupportedKey
from datums.transfer.buffers import Buffers
from datums.transfer.journal import Done, Journal, Slot
from datums.transfer.outputs import Identity, NoDescriptors, Refused, is_open_for_writing, opened, read_exactly, read_some
from datums.transfer.parts import Lost, Parts
from datums.transfer.patient import PatientStore
from datums.transfer.places import Places

if TYPE_CHECKING:
    from typing_extensions import Buffer

_TRIES: Final = 3
_SMALL_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 20
_DESCRIPTOR_SECONDS: Final = 1.0
_CHANGED: Final = "changed while it was read, {} times; do not write to it after the command has ended"
_LOST: Final = "was sent in parts, which the store has lost, {} times; see the provider's rules for unfinished uploads"


class Task(NamedTuple):
    """A file to upload."""

    slot: Slot
    number: int | None = None
    """Of the key, where one was given out for it."""
    new: bool = False
    """Whether nothing is known of it in the store."""


class Outcome(NamedTuple):
    """What came of it."""

    done: Done | None = None
    """To be noted; None where there is nothing new to note."""
    removable: bool = False
    """Whether it is a taken file that nobody can write to any more."""


_NOTHING: Final = Outcome()


class Singles:
    """Uploads files one by one. Safe to use from several threads.

    Args:
        prefix: of the attempt's keys, ending in a slash.
        part_bytes: a larger file is sent in parts.
        on_sent: called with the bytes that have arrived.
    """

    def __init__(
        self,
        store: PatientStore,
        prefix: str,
        places: Places,
        journal: Journal,
        parts: Parts,
        buffers: Buffers,
        part_bytes: int,
        on_sent: Callable[[int], None],
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._places = places
        self._journal = journal
        self._parts = parts
        self._buffers = buffers
        self._part_bytes = part_bytes
        self._on_sent = on_sent

    def upload(self, task: Task, *, final: bool) -> Outcome:
        """Uploads the file, if the store does not have it as it is.

        Args:
            final: whether main has ended; else a file that somebody writes to is left alone, and one that changes, for later.

        Raises:
            Gone: it is not there, or no regular file.
            Refused: it cannot be saved.
        """
        slot = task.slot
        if slot[1] and not self._places.has(slot) and self._journal.done(slot):
            return _NOTHING  # taken away, saved and removed
        tries = _TRIES if final else 1
        why = _CHANGED
        for left in reversed(range(tries)):
            try:
                outcome = self._upload_once(task, final=final)
            except NoDescriptors:
                if not left:
                    raise
                time.sleep(_DESCRIPTOR_SECONDS)
            except Lost:
                why = _LOST
            else:
                if outcome is not None:
                    return outcome
            task = Task(slot)
        if final:
            raise Refused(why.format(tries))
        return _NOTHING

    def _upload_once(self, task: Task, *, final: bool) -> Outcome | None:
        """None when the file changed meanwhile."""
        slot = task.slot
        with opened(*self._places.of(slot)) as fd:
            if not final and is_open_for_writing(fd):
                return _NOTHING
            before = Identity.of(os.fstat(fd))
            if not task.new and (outcome := self._stored(slot, fd, before)) is not None:
                return outcome
            try:
                done = self._send(task, fd, before)
            except UnsupportedKey as error:
                raise Refused(str(error)) from None
            # Asked before the identity: a writer that has come and gone by then has changed it.
            writer = is_open_for_writing(fd) if slot[1] else None
            if done is None or not before.is_still(fd):
                return None
        # Read-only, closed and saved: it is what it will be.
        return Outcome(done, slot[1] != 0 and writer is False)

    def _stored(self, slot: Slot, fd: int, now: Identity) -> Outcome | None:
        """None when the store does not have these bytes. One that was only touched (renamed, chmodded) is read, not sent."""
        done = self._journal.done(slot)
        if done is None or (done.identity.size, done.identity.mtime_ns) != (now.size, now.mtime_ns):
            return None
        if done.identity == now:
            return _NOTHING
        if _digest(fd) != done.sha256 or not now.is_still(fd):
            return None
        return Outcome(done._replace(identity=now))

    def _send(self, task: Task, fd: int, expected: Identity) -> Done | None:
        """Uploads an open file; None when it changed before it was read."""
        size = expected.size
        if size > self._part_bytes:
            return self._parts.send(task.slot, fd, expected, task.number)
        if size > _SMALL_BYTES:
            with self._buffers.lent(size) as memory:
                return self._put(task, fd, expected, memory) if read_exactly(fd, memory) else None
        data = read_some(fd, size, 0)
        return self._put(task, fd, expected, data) if len(data) == size else None

    def _put(self, task: Task, fd: int, expected: Identity, data: Buffer) -> Done | None:
        if not expected.is_still(fd):
            return None
        path, token = task.slot
        sha256 = hashlib.sha256(data).hexdigest()
        number = self._journal.new_key(path) if task.number is None else task.number
        key = layout.file_key(self._prefix, path, number)
        self._store.call(key, lambda store: store.put(key, data), accept=(UnsupportedKey,), size=expected.size)
        self._on_sent(expected.size)
        return Done(path, token, number, 0, sha256, expected)


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while data := read_some(fd, _READ_BYTES, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()
