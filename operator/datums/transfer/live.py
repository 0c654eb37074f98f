"""Uploading while main runs, so that little is left to do when it has ended.

The outputs directory is scanned. inotify would need a watch for every directory (new ones are filled before they are watched) and
loses events when its queue is full, and so would need the scan as well; a scan of a small tree costs little, and a large tree's is
made less often.
"""

from __future__ import annotations

import os
import stat
import threading
import time

from datums.transfer.journal import Drop, Journal
from datums.transfer.outputs import Found, Gone, Identity, Refused, is_open_for_writing, open_directory, opened, walk
from datums.transfer.uploads import Places, Uploader

_SCAN_SECONDS = 0.25
_SCAN_SHARE = 20
"""A scan is followed by so many times its own CPU time of rest: 5 % of a core at most."""
_QUIET_SECONDS = 2.0
_WRITE_BITS = 0o222
_MAX_VERSIONS = 4


def quiet_seconds(versions: int) -> float | None:
    """How long a file must have been left alone before it is uploaded early; None for never.

    A file that is written to again and again would be uploaded again and again: each version that was in vain makes the next wait
    eight times as long, and after the fourth it waits for the end.

    Args:
        versions: how many keys of its path were written to.
    """
    return _QUIET_SECONDS * 8**versions if versions < _MAX_VERSIONS else None


def is_text(path: str) -> bool:
    """Whether the path is UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class LiveUploads:
    """Takes read-only files away and uploads them, and uploads files that are closed and quiet, in a thread of its own."""

    def __init__(self, places: Places, journal: Journal, uploader: Uploader) -> None:
        self._places = places
        self._journal = journal
        self._uploader = uploader
        self._seen: dict[str, tuple[Identity, float]] = {}
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
                self.scan(time.monotonic())
            except OSError as error:
                # The journal or the volume fails. Nothing is lost: the end sees every file again.
                self._uploader.trouble = f"the pod's own volumes fail: {error.strerror or error}; free space on the node"
            pause = max(_SCAN_SECONDS, (time.thread_time() - before) * _SCAN_SHARE)

    def scan(self, now: float) -> None:
        """Looks at every file once.

        Args:
            now: seconds of a monotonic clock.
        """
        seen: dict[str, tuple[Identity, float]] = {}
        for found in walk(self._places.files):
            if self._stopping.is_set():
                return
            if not stat.S_ISREG(found.status.st_mode) or not is_text(found.path):
                continue
            if not found.status.st_mode & _WRITE_BITS and found.path not in self._cannot_take and self._take(found.path):
                continue
            identity = Identity.of(found.status)
            last = self._seen.get(found.path)
            since = last[1] if last is not None and last[0] == identity else now
            seen[found.path] = identity, since
            if self._is_ready(found, identity, now - since):
                self._uploader.submit([(found.path, "")])
        self._seen = seen
        self._uploader.submit(slot for slot in self._taken() if not self._uploader.is_busy_with(slot))

    def _is_ready(self, found: Found, identity: Identity, quiet: float) -> bool:
        slot = (found.path, "")
        needed = quiet_seconds(self._journal.begun(found.path))
        if needed is None or quiet < needed or self._uploader.is_busy_with(slot):
            return False
        done = self._journal.done.get(slot)
        return done is None or done.identity != identity

    def _taken(self) -> list[tuple[str, str]]:
        """The taken files that are not saved yet: those that somebody still writes to."""
        takes = self._journal.takes.items()
        return [(path, token) for path, tokens in takes for token in tokens if (path, token) not in self._journal.done]

    def _take(self, path: str) -> bool:
        """Moves a read-only file out of main's sight; whether that was done. One that is still open for writing waits."""
        try:
            with opened(self._places.files, path) as fd:
                if os.fstat(fd).st_mode & _WRITE_BITS or is_open_for_writing(fd):
                    return False
            token = self._journal.new_token(path)
            if not self._move(path, token):
                self._journal.write(Drop(token))
                return False
        except (Gone, Refused):
            return False
        self._uploader.submit([(path, token)])
        return True

    def _move(self, path: str, token: str) -> bool:
        parent, _, name = path.rpartition("/")
        taken = self._places.taken
        try:
            directory = open_directory(self._places.files, parent)
            try:
                os.rename(name, token, src_dir_fd=directory, dst_dir_fd=taken)
                if stat.S_ISREG(os.stat(token, dir_fd=taken, follow_symlinks=False).st_mode):
                    return True
                # Main put something else there in the meantime: it gets it back.
                os.rename(token, name, src_dir_fd=taken, dst_dir_fd=directory)
            finally:
                os.close(directory)
        except PermissionError:
            # Its directory belongs to somebody else: it stays, and is uploaded like any other.
            self._cannot_take.add(path)
        except OSError:
            return False
        return False


def drop_undone_takes(places: Places, journal: Journal) -> None:
    """Forgets the takes that an earlier life announced and did not do. To be called before anything else is taken or sealed."""
    for path, tokens in list(journal.takes.items()):
        for token in tokens:
            if (path, token) not in journal.done and not places.has((path, token)):
                journal.write(Drop(token))
