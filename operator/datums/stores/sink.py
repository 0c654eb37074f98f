"""Where an answer goes that libcurl writes by itself: a file, hashed on its way. `sink_memory` has others."""

from __future__ import annotations

import ctypes
import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from datums.stores.native import POINTER, native

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SET_MD, _GET_MD_CTX = 111, 120  # BIO_C_… of bio.h
_READ_AT_ONCE: Final = 16 << 10
_DIGEST_BYTES: Final = 32


class Memory:
    """What is written and not read yet."""

    def __init__(self) -> None:
        self._native = native()
        self._bio = self._native.bio_new(self._native.bio_s_mem())
        self.stream = self._native.stream(self._bio)
        """A `FILE *`."""

    def __del__(self) -> None:
        if hasattr(self, "stream"):
            self._native.fclose(self.stream)
            self._native.bio_free(self._bio)

    def read(self) -> bytes:
        """All of it."""
        got, data = ctypes.create_string_buffer(_READ_AT_ONCE), b""
        while (size := self._native.bio_read(self._bio, got, _READ_AT_ONCE)) > 0:
            data += got.raw[:size]
        return data


class Sink(ABC):
    """What an answer is written to. For one thread at a time; any may ask for the position."""

    stream: int
    """A `FILE *`."""

    @property
    @abstractmethod
    def position(self) -> int:
        """Where the next byte goes."""

    @abstractmethod
    def mark(self) -> None:
        """What is written from now on can be taken back."""

    @abstractmethod
    def take_back(self, most: int) -> bytearray:
        """Takes back what was written since the mark; its first bytes.

        Args:
            most: so many of them.
        """

    @abstractmethod
    def fail(self) -> None:
        """Raises what keeps it from being written.

        Raises:
            OSError
        """

    def write(self, data: Buffer) -> None:
        """Writes all of it.

        Raises:
            OSError
        """
        data = bytes(data)
        if native().fwrite(data, 1, len(data), self.stream) != len(data):
            self.fail()


class FileSink(Sink):
    """A file; to be closed.

    Args:
        file: a descriptor to read and write, not to be closed before; is written where it stands, by nobody else.
        hashed: whether there is to be a digest.
    """

    def __init__(self, file: int, *, hashed: bool) -> None:
        self._native = native()
        self._file = file
        self._bio = self._native.bio_of_file(file)
        self._md: int | None = None
        self._md_before: int | None = None
        self._digest = ""
        if hashed:
            md, found = self._native.bio_new(self._native.bio_f_md()), POINTER()
            self._native.bio_control(md, _SET_MD, 0, self._native.sha256())
            self._native.bio_control(md, _GET_MD_CTX, 0, ctypes.byref(found))
            self._bio = self._native.bio_push(md, self._bio)
            self._md, self._md_before = found.value, self._native.md_new()
        self.stream = self._native.stream(self._bio)
        self.mark()

    @property
    def position(self) -> int:
        # Not by `os.lseek`, which gives the interpreter's lock away: this is asked a thousand times a second.
        return int(self._native.lseek(self._file, 0, os.SEEK_CUR))

    def mark(self) -> None:
        self._before = self.position
        if self._md:
            self._native.md_copy(self._md_before, self._md)

    def take_back(self, most: int) -> bytearray:
        data = bytearray(os.pread(self._file, min(most, self.position - self._before), self._before))
        os.lseek(self._file, self._before, os.SEEK_SET)
        os.ftruncate(self._file, self._before)
        if self._md:
            self._native.md_copy(self._md, self._md_before)
        return data

    def restart(self) -> None:
        """Begins anew at the beginning of the file."""
        os.lseek(self._file, 0, os.SEEK_SET)
        if self._md:
            self._native.md_init(self._md, self._native.sha256(), None)
        self.mark()

    def fail(self) -> None:
        # What the call that failed has said is lost between here and there, so it is asked again. Where that does well, there is
        # room again: something else was removed.
        os.pwrite(self._file, b"\0", self.position)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> str:
        """The SHA-256 of what was written, empty where none was to be. The file stays open."""
        if self.stream:
            digest = ctypes.create_string_buffer(_DIGEST_BYTES)
            if self._md:
                self._native.bio_gets(self._bio, digest, _DIGEST_BYTES)
                self._native.md_free(self._md_before)
                self._digest = digest.raw.hex()
            self._native.fclose(self.stream)
            self._native.bio_free(self._bio)
            self.stream = 0
        return self._digest
