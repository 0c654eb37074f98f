"""Large files in parts: several on their way at once, each remembered when it has arrived, all read and hashed once in order.

What is guaranteed after a SIGKILL: a part that is known to have arrived (its tag is in the journal, or the service lists it) is
read and hashed again but not sent again. Sent again are the parts that had not arrived whole: at most those that were on their way.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Final

from datums.model import layout
from datums.stores.errors import AccessDenied, Corrupt, CredentialExpired, NotFound, UnsupportedKey
from datums.stores.protocol import SentPart, Store
from datums.transfer.buffers import Buffers
from datums.transfer.crew import Crew
from datums.transfer.database import StateError
from datums.transfer.journal import Done, Journal, Slot, Upload
from datums.transfer.outputs import Identity, read_exactly
from datums.transfer.patient import PatientStore

_AT_ONCE: Final = 6
"""Parts of one file on their way."""


class Lost(Exception):
    """The store knows nothing of an upload that has begun."""


class Parts:
    """Uploads large files. Safe to use from several threads.

    Args:
        prefix: of the attempt's keys, ending in a slash.
        buffers: memory for the parts.
        threads: parts on their way at once, of all files.
        on_sent: called with the bytes that have arrived; a negative number where they were in vain.
    """

    def __init__(
        self, store: PatientStore, prefix: str, journal: Journal, buffers: Buffers, threads: int, on_sent: Callable[[int], None]
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._journal = journal
        self._buffers = buffers
        self._on_sent = on_sent
        self._crew: Crew[Callable[[], None]] = Crew("part", threads, lambda job: job())
        self.begun: set[str] = set()
        """Keys of the uploads that this life has begun."""

    def send(self, slot: Slot, fd: int, identity: Identity, number: int | None = None) -> Done | None:
        """Uploads an open file, or what an earlier life left to upload of it. None when it changed meanwhile.

        Args:
            number: of the key, where one was given out for it.

        Raises:
            Lost: the store has thrown away what was sent.
            UnsupportedKey: it can have no such key.
            Refused: it cannot be read.
        """
        upload = self._resumed(slot, identity) or self._begin(slot, identity, number)
        key = layout.file_key(self._prefix, upload.path, upload.number)
        sending = _Sending()
        try:
            sha256 = self._send_parts(upload, key, fd, sending)
        except BaseException:
            sending.wait()
            self._on_sent(-sending.sent)
            raise
        if sha256 is None:
            self._on_sent(-sending.sent)
            self.abandon(upload)
            return None
        tags = [sending.tags[number] for number in sorted(sending.tags)]
        try:
            self._store.call(key, lambda store: store.finish_upload(key, upload.upload, tags), accept=(NotFound, Corrupt))
        except (NotFound, Corrupt):
            # It may have been finished already, and the answer lost.
            if not self._lies_there(key, identity.size):
                self._on_sent(-sending.sent)
                self._journal.forget_upload(slot)
                raise Lost(key) from None
        return Done(slot[0], slot[1], upload.number, 0, sha256, identity)

    def abandon(self, upload: Upload) -> None:
        """Throws away what was sent."""
        key = layout.file_key(self._prefix, upload.path, upload.number)
        self._store.try_to(key, lambda store: store.abort_upload(key, upload.upload))
        self._journal.forget_upload(upload.slot)

    def _resumed(self, slot: Slot, identity: Identity) -> Upload | None:
        upload = self._journal.upload(slot)
        if upload is not None and upload.identity != identity:
            self.abandon(upload)
            return None
        return upload

    def _begin(self, slot: Slot, identity: Identity, number: int | None) -> Upload:
        self._journal.expect_parts()
        number = self._journal.new_key(slot[0]) if number is None else number
        key = layout.file_key(self._prefix, slot[0], number)
        self.begun.add(key)
        upload, part_size = self._store.call(
            key, lambda store: (store.begin_upload(key), store.part_size(identity.size)), accept=(UnsupportedKey,)
        )
        begun = Upload(slot[0], slot[1], number, upload, part_size, identity)
        self._journal.note_begun(begun)
        return begun

    def _send_parts(self, upload: Upload, key: str, fd: int, sending: _Sending) -> str | None:
        """The digest of the whole file; None when it changed meanwhile."""
        size, identity = upload.identity.size, upload.identity
        sending.tags = self._journal.parts(upload.slot)
        listed = {} if key in self.begun else self._listed(upload, key)
        at_once = 1 if self._store.call(key, lambda store: store.parts_in_order) else _AT_ONCE
        digest = hashlib.sha256()
        for number, offset in enumerate(range(0, size, upload.part_size), 1):
            length = min(upload.part_size, size - offset)
            sending.wait(at_once - 1)
            if sending.failure is not None:
                break
            memory = self._buffers.take(length)
            handed = False
            try:
                data = memoryview(memory)[:length]
                if not read_exactly(fd, data, offset) or not identity.is_still(fd):
                    break
                digest.update(data)
                if number not in sending.tags and number in listed and listed[number].size == length:
                    sending.tags[number] = self._tag(key, listed[number], data)
                if number in sending.tags:
                    self._on_sent(length)
                    sending.sent += length
                    continue
                sending.begin()
                handed = True
                self._crew.hand(self._job(upload, key, number, offset, memory, length, sending))
            finally:
                if not handed:
                    self._buffers.give_back(memory)
        sending.wait()
        if isinstance(sending.failure, NotFound):
            self._journal.forget_upload(upload.slot)
            raise Lost(key)
        if sending.failure is not None:
            raise sending.failure
        unchanged = len(sending.tags) == -(-size // upload.part_size) and identity.is_still(fd)
        return digest.hexdigest() if unchanged else None

    def _listed(self, upload: Upload, key: str) -> Mapping[int, SentPart]:
        """The parts that the service has. The key and the upload are this file's alone: what has arrived is of it."""

        def listed(store: Store) -> Mapping[int, SentPart]:
            try:
                return store.sent_parts(key, upload.upload)
            except CredentialExpired:
                raise
            except AccessDenied:
                return {}  # a right of its own in S3; its lack costs no more than the parts of which the journal does not know

        try:
            return self._store.call(key, listed, accept=(NotFound,))
        except NotFound:
            return {}  # finished already, or lost: its end will show

    def _tag(self, key: str, part: SentPart, data: memoryview) -> str:
        return self._store.call(key, lambda store: store.part_tag(part, data))

    def _job(
        self, upload: Upload, key: str, number: int, offset: int, memory: bytearray, length: int, sending: _Sending
    ) -> Callable[[], None]:
        def send() -> None:
            def put(store: Store) -> str:
                data = memoryview(memory)[:length]
                return store.put_part(key, upload.upload, number, data, offset=offset, size=upload.identity.size)

            try:
                tag = self._store.call(key, put, accept=(NotFound, UnsupportedKey), size=length)
            except BaseException as error:  # noqa: BLE001  handed to the thread that reads the file
                sending.end(number, "", 0, error)
            else:
                with contextlib.suppress(StateError):
                    # Forgotten, it is sent once more by the next life. The file itself is not saved before the journal works again.
                    self._journal.note_part(upload.slot, number, tag)
                self._on_sent(length)
                sending.end(number, tag, length)
            finally:
                self._buffers.give_back(memory)

        return send

    def _lies_there(self, key: str, size: int) -> bool:
        try:
            return self._store.call(key, lambda store: store.head(key), accept=(NotFound,)).size == size
        except NotFound:
            return False


class _Sending:
    """The parts of one file that are on their way, and those that have arrived."""

    def __init__(self) -> None:
        self.tags: dict[int, str] = {}
        self.sent = 0
        self.failure: BaseException | None = None
        self._flying = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        with self._changed:
            self._flying += 1

    def end(self, number: int, tag: str, size: int, failure: BaseException | None = None) -> None:
        with self._changed:
            self._flying -= 1
            if failure is None:
                self.tags[number] = tag
                self.sent += size
            else:
                self.failure = self.failure or failure
            self._changed.notify_all()

    def wait(self, flying: int = 0) -> None:
        """Until so few are on their way."""
        with self._changed:
            self._changed.wait_for(lambda: self._flying <= flying)
