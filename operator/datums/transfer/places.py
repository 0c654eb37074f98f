"""Where the files of an execution lie."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from datums.model import podpaths
from datums.transfer.journal import Journal, Slot
from datums.transfer.outputs import Gone, Identity, Refused, is_open_for_writing, opened


class Places:
    """Two directories of one volume, of which main sees only the first.

    Args:
        files: descriptor of the outputs directory.
        taken: descriptor of the directory of files that were taken away.
    """

    def __init__(self, files: int, taken: int) -> None:
        self.files = files
        self.taken = taken

    @classmethod
    def open(cls, volume: Path) -> Places:
        """The two directories of the outputs volume, made where they are not there."""
        files, taken = volume / podpaths.OUTPUTS_SUBPATH, volume / "taken"
        files.mkdir(exist_ok=True)
        taken.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(PermissionError):
            # On a claim's file system the directory that the kubelet makes may be root's alone.
            files.chmod(0o777)
        return cls(os.open(files, os.O_RDONLY | os.O_DIRECTORY), os.open(taken, os.O_RDONLY | os.O_DIRECTORY))

    def of(self, slot: Slot) -> tuple[int, str]:
        """The directory and the path in it."""
        path, token = slot
        return (self.taken, taken_name(token)) if token else (self.files, path)

    def has(self, slot: Slot) -> bool:
        """Whether a file of this slot lies on the volume, whatever it is. Only for taken files, which main cannot reach."""
        try:
            os.stat(taken_name(slot[1]), dir_fd=self.taken, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def taken_files(self) -> Iterator[tuple[int, os.stat_result]]:
        """(token, status) of the taken files that still lie on the volume."""
        with os.scandir(self.taken) as names:
            for entry in names:
                with contextlib.suppress(FileNotFoundError, ValueError):
                    yield int(entry.name), entry.stat(follow_symlinks=False)

    def remove(self, slot: Slot) -> None:
        """Removes a taken file."""
        os.unlink(taken_name(slot[1]), dir_fd=self.taken)

    def free(self, slot: Slot, saved: Identity) -> None:
        """Removes a taken file that was saved, if it is what was saved and nobody can write to it any more: the space is main's."""
        with contextlib.suppress(Gone, Refused), opened(*self.of(slot)) as fd:
            # The identity comes last: a writer that has come and gone by then has changed it.
            if is_open_for_writing(fd) is False and Identity.of(status := os.fstat(fd)) == saved and status.st_nlink == 1:
                self.remove(slot)


def taken_name(token: int) -> str:
    """The name of a taken file in its directory."""
    return f"{token:08d}"


def drop_undone_takes(places: Places, journal: Journal) -> None:
    """Forgets the takes that an earlier life announced and did not do. To be called before anything else is taken or sealed."""
    for slot in list(journal.undone_takes()):
        if not places.has(slot):
            journal.drop_take(slot[1])
