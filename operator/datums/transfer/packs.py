"""Packs: many small files in one plain tar object, each with its own digest and its place in the object."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from datums.transfer import tarball
from datums.transfer.journal import Done, Slot
from datums.transfer.outputs import Directories, Identity, Refused, is_open_for_writing, read_exactly
from datums.transfer.places import Places

MAX_FILE_BYTES: Final = 1 << 20
"""Larger files are never packed: a request costs them next to nothing."""
MIN_FILES: Final = 64
"""Fewer small files are worth no pack: each gets an object of its own."""
PACK_BYTES: Final = 16 << 20
PACK_FILES: Final = 8192
_WAITS_SECONDS: Final = 10.0
_TAKEN_WAITS_SECONDS: Final = 1.0
_ZEROS: Final = bytes(tarball.BLOCK)
_ROOM: Final = PACK_BYTES - len(tarball.END)


class Candidate(NamedTuple):
    """A small file that may go into a pack."""

    slot: Slot
    size: int
    """Bytes."""
    age: float = 0.0
    """Seconds for which it has been ready; while main runs."""


def is_small(size: int) -> bool:
    """Whether a file of so many bytes may go into a pack."""
    return size <= MAX_FILE_BYTES


def grouped(files: Iterable[Candidate]) -> Iterator[list[Slot]]:
    """The files as packs, in their order: each of about 16 MiB at most, and of at most 8,192 files.

    Args:
        files: small ones.
    """
    pack: list[Slot] = []
    size = 0
    for file in files:
        needs = tarball.padded(file.size) + tarball.overhead(file.slot[0])
        if pack and (size + needs > _ROOM or len(pack) == PACK_FILES):
            yield pack
            pack, size = [], 0
        pack.append(file.slot)
        size += needs
    if pack:
        yield pack


def split(ready: list[Candidate]) -> tuple[list[list[Slot]], list[Slot]]:
    """What happens to small files while main runs: (packs, files that go singly). The others wait for company.

    From 64 files on they are packed. Fewer wait for up to 10 seconds for more to come, and go singly then; read-only files, which
    somebody may look for at once, for one.
    """
    if len(ready) >= MIN_FILES:
        return list(grouped(ready)), []
    return [], [file.slot for file in ready if file.age >= (_TAKEN_WAITS_SECONDS if file.slot[1] else _WAITS_SECONDS)]


class Packed(NamedTuple):
    """What came of the files for one pack."""

    size: int
    """Of the tar, bytes; 0 where no file is in it."""
    done: list[Done]
    left_out: list[Slot]
    """Those that cannot be read, that are no regular files, that changed meanwhile or that found no room."""


def build(memory: memoryview, number: int, slots: list[Slot], places: Places, *, final: bool) -> Packed:
    """Reads files into a tar file in memory, and hashes them. A file that changes while it is read is left out.

    Args:
        memory: receives the tar.
        number: of the pack.
        slots: the files, best sorted by path.
        places: where they lie.
        final: whether main has ended; else files that somebody writes to are left out.
    """
    done: list[Done] = []
    left_out: list[Slot] = []
    at = 0
    last = len(memory) - len(tarball.END)
    with Directories(places.files) as files, Directories(places.taken) as taken:
        for slot in slots:
            path, token = slot
            try:
                fd = (taken if token else files).open_file(places.of(slot)[1])
            except OSError:
                left_out.append(slot)
                continue
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    left_out.append(slot)
                    continue
                identity = Identity.of(status)
                header = tarball.header(path, identity.size, status.st_mode, status.st_mtime)
                start = at + len(header)
                end = start + identity.size
                filled = start + tarball.padded(identity.size)
                writer = False if final else is_open_for_writing(fd)
                if writer or filled > last or not read_exactly(fd, memory[start:end]):
                    left_out.append(slot)
                    continue
                digest = hashlib.sha256(memory[start:end]).hexdigest()
                if not identity.is_still(fd):
                    left_out.append(slot)
                    continue
            except (OSError, Refused):
                left_out.append(slot)
                continue
            finally:
                os.close(fd)
            memory[at:start] = header
            memory[end:filled] = _ZEROS[: filled - end]
            at = filled
            done.append(Done(path, token, number, start, digest, identity, writer is False))
    if done:
        memory[at : at + len(tarball.END)] = tarball.END
    return Packed(at + len(tarball.END) if done else 0, done, left_out)
