"""Uploading the outputs in threads: what lies in the store is what was read once, whole and unchanged, under a key of its own."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from datums.model import layout
from datums.stores.errors import UnsupportedKey
from datums.stores.protocol import Store
from datums.transfer.journal import Done, Journal, Slot
from datums.transfer.outputs import Gone, Identity, Refused, is_open_for_writing, opened
from datums.transfer.patient import PatientStore

_TRIES = 3
_MEMORY_BYTES = 96 << 20
_PARTS_IN_MEMORY = 5
_READ_BYTES = 1 << 20
_STATE_SECONDS = 1.0


class Places:
    """Where the files of an execution lie: two directories of one volume, which main sees only the first of.

    Args:
        files: descriptor of the outputs directory.
        taken: descriptor of the directory of files that were taken away.
    """

    def __init__(self, files: int, taken: int) -> None:
        self.files = files
        self.taken = taken

    def of(self, slot: Slot) -> tuple[int, str]:
        """The directory and the path in it."""
        path, token = slot
        return (self.taken, token) if token else (self.files, path)

    def has(self, slot: Slot) -> bool:
        """Whether a file of this slot lies on the volume, whatever it is. Only for taken files, which main cannot reach."""
        try:
            os.stat(slot[1], dir_fd=self.taken, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True


class Uploader:
    """Uploads files in threads. A file that is being uploaded is not started twice; one that lies in the store as it is, not again.

    Args:
        store: receives them.
        prefix: of the attempt's keys, ending in a slash.
        places: where the files lie.
        journal: remembers keys and digests.
        threads: at most so many uploads at a time.
        part_bytes: of the parts in which the store sends a large file; bounds, with a budget for all, the memory.
    """

    def __init__(
        self, store: PatientStore, prefix: str, places: Places, journal: Journal, *, threads: int, part_bytes: int
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._places = places
        self._journal = journal
        self._limit = threads
        self._large = part_bytes * _PARTS_IN_MEMORY
        self._memory = _Budget(_MEMORY_BYTES)
        self._threads = 0
        self._idle_threads = 0
        self._queue: deque[Slot] = deque()
        self._known: set[Slot] = set()
        self._again: set[Slot] = set()
        self._state = threading.Condition()
        self.final = False
        """Whether main has ended: what cannot be read now never will be."""
        self.refused: dict[Slot, str] = {}
        self.sent_bytes = sum(done.identity.size for done in journal.done.values())
        """Bytes that were handed to the store so far; for progress only."""
        self.trouble = ""
        """What holds the uploads up besides the store."""
        self.failure: BaseException | None = None

    def submit(self, slots: Iterable[Slot]) -> None:
        """Uploads the files. One that is being uploaded already is looked at once more afterwards."""
        with self._state:
            for slot in slots:
                if slot in self._known:
                    self._again.add(slot)
                    continue
                self._known.add(slot)
                self._queue.append(slot)
                if self._idle_threads < len(self._queue) and self._threads < self._limit:
                    self._threads += 1
                    threading.Thread(target=self._work, name=f"upload-{self._threads}", daemon=True).start()
            self._state.notify_all()

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

    def is_busy_with(self, slot: Slot) -> bool:
        """Whether the file waits for its upload, or is being uploaded."""
        return slot in self._known

    def _work(self) -> None:
        while True:
            with self._state:
                self._idle_threads += 1
                self._state.wait_for(lambda: self._queue)
                self._idle_threads -= 1
                slot = self._queue.popleft()
            try:
                self._upload(slot)
                self.trouble = ""
            except OSError as error:
                # The journal takes no more: the state volume is full or broken.
                self.trouble = f"the pod's own state volume fails: {error.strerror or error}; free space on the node"
                time.sleep(_STATE_SECONDS)
                self._again.add(slot)
            except BaseException as error:  # noqa: BLE001  ends the process, in the main thread
                self.failure = error
            with self._state:
                if slot in self._again:
                    self._again.discard(slot)
                    self._queue.append(slot)
                else:
                    self._known.discard(slot)
                self._state.notify_all()

    def _upload(self, slot: Slot) -> None:
        try:
            self._upload_unchanged(slot)
        except Gone:
            if self.final:
                self.refused[slot] = "is gone, or no regular file any more; nothing but the command may change the outputs"
        except Refused as refusal:
            if self.final:
                self.refused[slot] = str(refusal)
        else:
            self.refused.pop(slot, None)

    def _upload_unchanged(self, slot: Slot) -> None:
        if slot[1] and slot in self._journal.done and not self._places.has(slot):
            return  # taken away, saved and removed
        root, name = self._places.of(slot)
        tries = _TRIES if self.final else 1
        for _ in range(tries):
            with opened(root, name) as fd:
                if not self.final and is_open_for_writing(fd):
                    return
                before = Identity.of(os.fstat(fd))
                if self._is_stored(slot, fd, before):
                    return
                key = layout.file_key(self._prefix, slot[0], self._journal.new_key(slot[0]))
                sha256 = self._put(key, fd, before)
                # Asked before the identity: a writer that has come and gone by then has changed it.
                writer = is_open_for_writing(fd)
                if sha256 and Identity.of(os.fstat(fd)) == before:
                    self._journal.write(Done(slot[0], slot[1], key, sha256, before))
                    if slot[1] and writer is False:
                        # Read-only, closed and saved: it is what it will be. The space is main's again.
                        os.unlink(slot[1], dir_fd=self._places.taken)
                    return
        if self.final:
            raise Refused(f"changed while it was read, {tries} times; do not write to it after the command has ended")

    def _is_stored(self, slot: Slot, fd: int, now: Identity) -> bool:
        """Whether the store has these bytes. A file that was only touched (renamed, chmodded) is read, not sent again."""
        done = self._journal.done.get(slot)
        if done is None or (done.identity.size, done.identity.mtime_ns) != (now.size, now.mtime_ns):
            return False
        if done.identity == now:
            return True
        sha256 = _Hashing(fd, lambda _: None).drain()
        if sha256 != done.sha256 or Identity.of(os.fstat(fd)) != now:
            return False
        self._journal.write(Done(slot[0], slot[1], done.key, sha256, now))
        return True

    def _put(self, key: str, fd: int, expected: Identity) -> str:
        """The digest of the bytes that lie under the key now; empty when the file changed before they did."""

        def put(store: Store) -> str:
            if Identity.of(os.fstat(fd)) != expected:
                return ""
            stream = _Hashing(fd, self._count)
            try:
                store.put_file(key, stream, expected.size)
            except BaseException:
                self._count(-stream.position)  # it will be sent again
                raise
            return stream.hexdigest()

        try:
            with self._memory.hold(min(expected.size, self._large)):
                return self._store.call(put, accept=(UnsupportedKey,))
        except UnsupportedKey as error:
            raise Refused(str(error)) from None

    def _count(self, size: int) -> None:
        with self._state:
            self.sent_bytes += size


class _Budget:
    """Bytes of memory that the uploads share. One that needs more than all of it gets it when no other holds any."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._freed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        with self._freed:
            self._freed.wait_for(lambda: not self._held or self._held + size <= self._size)
            self._held += size
        try:
            yield
        finally:
            with self._freed:
                self._held -= size
                self._freed.notify_all()


class _Hashing:
    """Reads an open file from its start to its end once, and hashes what it hands out."""

    def __init__(self, fd: int, on_read: Callable[[int], None]) -> None:
        self._fd = fd
        self._on_read = on_read
        self._sha256 = hashlib.sha256()
        self.position = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end of the file."""
        data = os.pread(self._fd, size, self.position)
        self._sha256.update(data)
        self.position += len(data)
        self._on_read(len(data))
        return data

    def drain(self) -> str:
        """The digest of the whole file, which is read for nothing else."""
        while self.read(_READ_BYTES):
            pass
        return self._sha256.hexdigest()

    def hexdigest(self) -> str:
        """The digest of what was read."""
        return self._sha256.hexdigest()
