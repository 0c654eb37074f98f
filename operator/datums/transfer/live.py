"""Uploading while main runs, so that little is left to do when it has ended.

The outputs directory is scanned. inotify would need a watch for every directory (new ones are filled before they are watched) and
loses events when its queue is full, and so would need the scan as well; a scan of a small tree costs little, and a large tree's is
made less often. For how long a file was left alone is told by its ctime, which nobody can set: so nothing has to be kept of it.
"""

from __future__ import annotations

import os
import stat
import threading
import time

from datums.transfer import packs
from datums.transfer.journal import Journal, Slot
from datums.transfer.outputs import Gone, Identity, Refused, is_open_for_writing, is_text, open_directory, opened, walk
from datums.transfer.packs import Candidate
from datums.transfer.places import Places, taken_name
from datums.transfer.uploads import Uploader

_SCAN_SECONDS = 0.25
_SCAN_SHARE = 20
"""A scan is followed by so many times its own CPU time of rest: 5 % of a core at most."""
_QUIET_SECONDS = 2.0
_WRITE_BITS = 0o222
_MAX_VERSIONS = 4
_MAX_REMEMBERED = 10_000


def quiet_seconds(versions: int) -> float | None:
    """How long a file must have been left alone before it is uploaded early; None for never.

    A file that is written to again and again would be uploaded again and again: each version that was in vain makes the next wait
    eight times as long, and after the fourth it waits for the end.

    Args:
        versions: how many of its versions were sent.
    """
    return _QUIET_SECONDS * 8**versions if versions < _MAX_VERSIONS else None


class LiveUploads:
    """Takes read-only files away and uploads them, and uploads files that are closed and quiet, in a thread of its own.

    Args:
        pack: whether small files are grouped.
    """

    def __init__(self, places: Places, journal: Journal, uploader: Uploader, *, pack: bool) -> None:
        self._places = places
        self._journal = journal
        self._uploader = uploader
        self._pack = pack
        self._small: list[Candidate] = []
        self._small_bytes = 0
        self._cannot_take: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-uploads", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when no file is taken away any more. Uploads that are under way go on."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            before = time.thread_time()
            try:
                self.scan(time.time())
            except OSError as error:
                # The journal or the volume fails. Nothing is lost: the end sees every file again.
                self._uploader.trouble = f"the pod's own volumes fail: {error.strerror or error}; free space on the node"
            pause = max(_SCAN_SECONDS, (time.thread_time() - before) * _SCAN_SHARE)

    def scan(self, now: float) -> None:
        """Looks at every file once.

        Args:
            now: seconds since the epoch.
        """
        self._small.clear()
        self._small_bytes = 0
        for found in walk(self._places.files):
            if self._stopping.is_set():
                return
            if not stat.S_ISREG(found.status.st_mode) or not is_text(found.path):
                continue
            if not found.status.st_mode & _WRITE_BITS and self._may_take(found.path) and self._take(found.path):
                continue
            self._consider((found.path, 0), found.status, now)
        for token, status in self._places.taken_files():
            if (path := self._journal.path_of_take(token)) is not None:
                self._consider((path, token), status, now)
        if not self._stopping.is_set():
            self._send_small()

    def _consider(self, slot: Slot, status: os.stat_result, now: float) -> None:
        """Uploads the file if its time has come; a small one with others."""
        age = now - status.st_ctime
        if (not slot[1] and age < _QUIET_SECONDS) or self._uploader.is_busy_with(slot) or not self._uploader.has_room:
            return
        done = self._journal.done(slot)
        identity = Identity.of(status)
        if done is not None and done.identity == identity:
            return
        if not slot[1]:
            needed = quiet_seconds(self._journal.versions(slot))
            if needed is None or age < needed:
                return
            age -= needed
        touched = done is not None and (done.identity.size, done.identity.mtime_ns) == (identity.size, identity.mtime_ns)
        if not self._pack or touched or not packs.is_small(identity.size):
            self._uploader.submit([slot])
            return
        self._small.append(Candidate(slot, identity.size, age))
        self._small_bytes += identity.size
        if len(self._small) >= packs.PACK_FILES or (self._small_bytes > packs.PACK_BYTES and len(self._small) >= packs.MIN_FILES):
            self._send_small()

    def _send_small(self) -> None:
        grouped, singly = packs.split(self._small)
        for pack in grouped:
            self._uploader.submit_pack(pack)
        self._uploader.submit(singly)
        self._small.clear()
        self._small_bytes = 0

    def _may_take(self, path: str) -> bool:
        return path not in self._cannot_take and len(self._cannot_take) < _MAX_REMEMBERED

    def _take(self, path: str) -> bool:
        """Moves a read-only file out of main's sight; whether that was done. One that is still open for writing waits."""
        try:
            with opened(self._places.files, path) as fd:
                status = os.fstat(fd)
                if status.st_mode & _WRITE_BITS or is_open_for_writing(fd):
                    return False
            token = self._journal.new_take(path)
            if not self._move(path, token, Identity.of(status)):
                if not self._places.has((path, token)):
                    self._journal.drop_take(token)
                return False
        except (Gone, Refused):
            return False
        if not (self._pack and packs.is_small(status.st_size)):
            self._uploader.submit([(path, token)])
        return True

    def _move(self, path: str, token: int, seen: Identity) -> bool:
        parent, _, name = path.rpartition("/")
        taken, new_name = self._places.taken, taken_name(token)
        try:
            directory = open_directory(self._places.files, parent)
            try:
                os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=taken)
                status = os.stat(new_name, dir_fd=taken, follow_symlinks=False)
                if (status.st_dev, status.st_ino) == (seen.device, seen.inode) and not status.st_mode & _WRITE_BITS:
                    return True
                # Main put something else there in the meantime: it gets it back, unless there is something again.
                if stat.S_ISDIR(status.st_mode):
                    os.rename(new_name, name, src_dir_fd=taken, dst_dir_fd=directory)
                else:
                    os.link(new_name, name, src_dir_fd=taken, dst_dir_fd=directory, follow_symlinks=False)
                    os.unlink(new_name, dir_fd=taken)
            finally:
                os.close(directory)
        except PermissionError:
            # Its directory belongs to somebody else: it stays, and is uploaded like any other.
            self._cannot_take.add(path)
        except OSError:
            return False
        return False
