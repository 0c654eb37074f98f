"""Memory where an answer goes that libcurl writes by itself."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import Self

from datums.stores.native import native
from datums.stores.sink import FileSink, Sink


class TooLong(OSError):
    """More bytes came than there is memory for."""


class Block(Sink):
    """Memory of a fixed size, written from its beginning.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._native = native()
        # HAZARD: `fmemopen` puts a NUL in place of the last byte of memory that is full.
        self._memory = mmap.mmap(-1, size + 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.stream = self._native.stream_of_memory(address, size + 1)
        self.mark()

    def __del__(self) -> None:
        if hasattr(self, "stream"):
            self._native.fclose(self.stream)

    @property
    def position(self) -> int:
        return int(self._native.ftello(self.stream))

    def mark(self) -> None:
        self._before = self.position

    def take_back(self, most: int) -> bytearray:
        data = bytearray(self._memory[self._before : min(self._before + most, self.position)])
        self._native.fseeko(self.stream, self._before, os.SEEK_SET)
        return data

    def fail(self) -> None:
        raise TooLong(errno.EOVERFLOW, "more bytes came than were expected")

    def restart(self) -> None:
        """Begins anew at the beginning."""
        self._native.fseeko(self.stream, 0, os.SEEK_SET)

    def read(self) -> memoryview:
        """What is in it, until it is written again."""
        return memoryview(self._memory)[: self.position]


class MemoryFile:
    """A file that is nowhere but in memory, as long as it is entered."""

    def __enter__(self) -> Self:
        self.file = os.memfd_create("datums", os.MFD_CLOEXEC)
        self.sink = FileSink(self.file, hashed=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.close()
        os.close(self.file)

    def read(self) -> memoryview:
        """What is in it; lasts as long as it is looked at."""
        size = self.sink.position
        if not size:
            return memoryview(b"")
        return memoryview(mmap.mmap(self.file, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ))
