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
from datums.transfer.outputs import Identity, Refused, Unreadable, is_open_for_writing, opened, read_exactly, read_some
from datums.transfer.parts import Lost, Parts
from datums.transfer.patient import PatientStore
from datums.transfer.places import Places

if TYPE_CHECKING:
    from typing_extensions import Buffer

_TRIES: Final = 3
_SMALL_BYTES: Final = 1 << 20
"""What is not larger is read whole, and sent with others at once."""
_READ_BYTES: Final = 1 << 20
_UNREADABLE_SECONDS: Final = 1.0
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
    is_known: bool = False
    """Whether the store has had it, as it is, before."""


_NOTHING: Final = Outcome()


class Large(NamedTuple):
    """A file that is no small one."""


class Sending(NamedTuple):
    """A small file that is read, and may be sent."""

    key: str
    data: bytes
    done: Done
    """What is to be noted once it is sent."""
    fd: int
    """The open file, for `Singles.sent`; to be closed after that."""


class Singles:
    """Uploads files one by one: large ones from several threads, small ones (`begin`, `sent`) from one.

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
        self.final = False
        """Whether main has ended; else a file that somebody writes to is left alone, and one that changes, for later."""

    @property
    def tries(self) -> int:
        """How often a file is read that changes meanwhile."""
        return _TRIES if self.final else 1

    def given_up(self, tries: int, why: str = _CHANGED) -> Outcome:
        """What comes of a file that has changed each time.

        Raises:
            Refused: it will not be saved.
        """
        if self.final:
            raise Refused(why.format(tries))
        return _NOTHING

    def begin(self, task: Task) -> Outcome | Sending | Large | None:
        """Reads a small file, if the store does not have it as it is. None when it changed meanwhile.

        Raises:
            Gone: it is not there, or no regular file.
            Refused: it cannot be saved.
        """
        slot = task.slot
        if self._is_over(slot):
            return _NOTHING
        with opened(*self._places.of(slot)) as fd:
            before = Identity.of(os.fstat(fd))
            if before.size > _SMALL_BYTES:
                return Large()
            if (writer := self._writer(fd)) is True:
                return _NOTHING
            if not task.new and (outcome := self._stored(slot, fd, before, sure=writer is False)) is not None:
                return outcome
            data = read_some(fd, before.size, 0)
            if len(data) != before.size or not before.is_still(fd):
                return None
            key, done = self._named(task, before, data)
            return Sending(key, data, done._replace(sure=writer is False), os.dup(fd))

    def sent(self, sending: Sending) -> Outcome | None:
        """What comes of a small file that has been sent. None when it changed meanwhile.

        Raises:
            Refused: it cannot be read any more.
        """
        self._on_sent(len(sending.data))
        return self._outcome(sending.done, sending.fd)

    def upload(self, task: Task) -> Outcome:
        """Uploads a file, if the store does not have it as it is. Raises what `begin` does."""
        if self._is_over(task.slot):
            return _NOTHING
        tries = self.tries
        why = _CHANGED
        for left in reversed(range(tries)):
            try:
                outcome = self._upload_once(task)
            except Unreadable:
                if not left:
                    raise
                time.sleep(_UNREADABLE_SECONDS)
            except Lost:
                why = _LOST
            else:
                if outcome is not None:
                    return outcome
            task = Task(task.slot)
        return self.given_up(tries, why)

    def _is_over(self, slot: Slot) -> bool:
        """Whether it was taken away, saved and removed."""
        return bool(slot[1]) and not self._places.has(slot) and self._journal.done(slot) is not None

    def _upload_once(self, task: Task) -> Outcome | None:
        """None when the file changed meanwhile."""
        slot = task.slot
        with opened(*self._places.of(slot)) as fd:
            if (writer := self._writer(fd)) is True:
                return _NOTHING
            before = Identity.of(os.fstat(fd))
            if not task.new and (outcome := self._stored(slot, fd, before, sure=writer is False)) is not None:
                return outcome
            try:
                done = self._send(task, fd, before)
            except UnsupportedKey as error:
                raise Refused(str(error)) from None
            return None if done is None else self._outcome(done._replace(sure=writer is False), fd)

    def _writer(self, fd: int) -> bool | None:
        """Whether somebody may write to a file; None where nobody knows. Once main has ended, nobody does."""
        return False if self.final else is_open_for_writing(fd)

    def _outcome(self, done: Done, fd: int) -> Outcome | None:
        # Asked before the identity: a writer that has come and gone by then has changed it.
        writer = is_open_for_writing(fd) if done.token else None
        if not done.identity.is_still(fd):
            return None
        # Read-only, closed and saved: it is what it will be. Removing one of several links changes the others, and frees nothing.
        return Outcome(done, done.token != 0 and writer is False and os.fstat(fd).st_nlink == 1)

    def _stored(self, slot: Slot, fd: int, now: Identity, *, sure: bool) -> Outcome | None:
        """None when the store does not have these bytes. One that was only touched (renamed, chmodded), or could have been written
        to without a trace until now, is read, not sent."""
        done = self._journal.done(slot)
        if done is None or (done.identity.size, done.identity.mtime_ns) != (now.size, now.mtime_ns):
            return None
        if done.identity == now and (done.sure or not sure):
            return _NOTHING
        if _digest(fd) != done.sha256 or not now.is_still(fd):
            return None
        return Outcome(done._replace(identity=now, sure=sure), is_known=True)

    def _send(self, task: Task, fd: int, expected: Identity) -> Done | None:
        """Uploads an open file; None when it changed before it was read."""
        size = expected.size
        if size > self._part_bytes:
            return self._parts.send(task.slot, fd, expected, task.number)
        with self._buffers.lent(size) as memory:
            if not read_exactly(fd, memory) or not expected.is_still(fd):
                return None
            key, done = self._named(task, expected, memory)
            self._store.call(key, lambda store: store.put(key, memory), accept=(UnsupportedKey,), size=size)
        self._on_sent(size)
        return done

    def _named(self, task: Task, identity: Identity, data: Buffer) -> tuple[str, Done]:
        """The key of a file that is read, and what is to be noted once it lies there."""
        path, token = task.slot
        number = self._journal.new_key(path) if task.number is None else task.number
        done = Done(path, token, number, 0, hashlib.sha256(data).hexdigest(), identity)
        return layout.file_key(self._prefix, path, number), done


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while data := read_some(fd, _READ_BYTES, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()
