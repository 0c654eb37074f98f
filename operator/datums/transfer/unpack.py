"""Unpacks small files out of memory, in a process of its own (`second`). `python3 -m datums.transfer.unpack <socket>`."""

from __future__ import annotations

import mmap
import os
from itertools import count
from typing import NamedTuple

import msgspec

from datums.transfer.second import serve
from datums.transfer.whole_files import sha256, write_whole


class Packed(NamedTuple):
    """A file in memory."""

    offset: int
    size: int
    """Bytes; more than 0."""
    sha256: str
    """That it is to have."""
    target: str
    """Where it is to lie."""


class Order(msgspec.Struct):
    """Files to unpack. With it comes an open file that holds them."""

    partial: str
    """A directory on the same volume, for files that are not whole yet."""
    files: list[Packed]


class Unpacked(msgspec.Struct):
    """What came of it."""

    damaged: list[int]
    """Positions of files that have another digest, and were left out."""
    failed: int = -1
    """Position of the file that could not be written; nothing was done from there on."""
    errno: int = 0


_numbers = count()


def unpack(order: Order, memory: memoryview) -> Unpacked:
    """Does it."""
    damaged = []
    for position, (offset, size, digest, target) in enumerate(order.files):
        pieces = [memory[offset : offset + size]]
        if sha256(pieces) != digest:
            damaged.append(position)
            continue
        try:
            write_whole(pieces, f"{order.partial}/{os.getpid()}-{next(_numbers)}", target)
        except OSError as error:
            return Unpacked(damaged, position, error.errno or 0)
    return Unpacked(damaged)


def _work(message: bytes, files: list[int]) -> bytes:
    with mmap.mmap(files[0], 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ) as mapped:
        memory = memoryview(mapped)
        try:
            return msgspec.msgpack.encode(unpack(msgspec.msgpack.decode(message, type=Order), memory))
        finally:
            memory.release()


if __name__ == "__main__":
    os.umask(0o022)
    serve(_work)
