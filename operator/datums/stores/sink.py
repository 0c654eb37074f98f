"""A file that the body of an answer goes to, hashed on its way."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from datums.stores.libcurl import Library, library

if TYPE_CHECKING:
    from typing_extensions import Buffer

_POINTER: Final = ctypes.c_void_p
_BIO_C_SET_MD: Final = 111  # of bio.h
_IONBF: Final = 2  # of stdio.h
_DIGEST_BYTES: Final = 32


class _Cookie(ctypes.Structure):
    _fields_ = (("read", _POINTER), ("write", _POINTER), ("seek", _POINTER), ("close", _POINTER))


class _Functions:
    """libcurl writes to a `FILE *` by fwrite; glibc makes one of any function that writes, and OpenSSL's `BIO_write` is such a
    function: it hashes and writes, with no lock of the interpreter's."""

    def __init__(self, curl: Library) -> None:
        of, number = curl.function, ctypes.c_int
        self.new = of("BIO_new", _POINTER, _POINTER)
        self.md = of("BIO_f_md", _POINTER)()
        self.file = of("BIO_new_fd", _POINTER, number, number)
        self.push = of("BIO_push", _POINTER, _POINTER, _POINTER)
        self.control = of("BIO_ctrl", ctypes.c_long, _POINTER, number, ctypes.c_long, _POINTER)
        self.gets = of("BIO_gets", number, _POINTER, _POINTER, number)
        self.free = of("BIO_free_all", None, _POINTER)
        self.sha256 = of("EVP_sha256", _POINTER)()
        libc: Any = ctypes.PyDLL(None)
        self.open = libc.fopencookie
        self.open.restype, self.open.argtypes = _POINTER, [_POINTER, ctypes.c_char_p, _Cookie]
        self.unbuffered = libc.setvbuf
        self.unbuffered.argtypes = [_POINTER, _POINTER, number, ctypes.c_size_t]
        self.close = libc.fclose
        self.close.argtypes = [_POINTER]
        self.write = libc.fwrite
        self.write.restype, self.write.argtypes = ctypes.c_size_t, [_POINTER, ctypes.c_size_t, ctypes.c_size_t, _POINTER]
        self.cookie = _Cookie(None, ctypes.cast(of("BIO_write", number), _POINTER), None, None)


_functions: _Functions | None = None


class Sink:
    """For one thread at a time.

    Args:
        file: a descriptor, not to be closed before; is written where it stands.
        hashed: whether there is to be a digest.
    """

    def __init__(self, file: int, *, hashed: bool) -> None:
        global _functions  # noqa: PLW0603
        _functions = _functions or _Functions(library())
        self._file = file
        self._hashed = hashed
        self._bio = _functions.file(file, 0)
        if hashed:
            md = _functions.new(_functions.md)
            _functions.control(md, _BIO_C_SET_MD, 0, _functions.sha256)
            self._bio = _functions.push(md, self._bio)
        self.stream: int = _functions.open(self._bio, b"w", _functions.cookie) if self._bio else 0
        """A `FILE *` without a buffer."""
        if not self.stream:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        _functions.unbuffered(self.stream, None, _IONBF, 0)

    @property
    def position(self) -> int:
        """Where the next byte goes."""
        return os.lseek(self._file, 0, os.SEEK_CUR)

    def write(self, data: Buffer) -> None:
        """Writes all of it.

        Raises:
            OSError
        """
        assert _functions is not None
        data = bytes(data)
        if _functions.write(data, 1, len(data), self.stream) != len(data):
            self.fail()

    def fail(self) -> None:
        """Raises what keeps the file from being written.

        Raises:
            OSError
        """
        # What the call that failed has said is lost between here and there, so it is asked again.
        at = self.position
        os.pwrite(self._file, b"\0", at)
        raise OSError(errno.EIO, "what was to be written was not taken whole")

    def close(self) -> str:
        """The SHA-256 of what was written, empty where none was to be. The file stays open."""
        assert _functions is not None
        digest = ctypes.create_string_buffer(_DIGEST_BYTES)
        if self._hashed:
            _functions.gets(self._bio, digest, _DIGEST_BYTES)
        _functions.close(self.stream)
        _functions.free(self._bio)
        return digest.raw.hex() if self._hashed else ""


@contextmanager
def in_memory() -> Iterator[tuple[Sink, Callable[[], memoryview]]]:
    """A file that is nowhere but in memory, and what reads what is in it: that lasts as long as it is looked at."""
    file = os.memfd_create("datums", os.MFD_CLOEXEC)
    try:
        sink = Sink(file, hashed=False)
        try:
            yield sink, lambda: _seen(file, sink.position)
        finally:
            sink.close()
    finally:
        os.close(file)


def _seen(file: int, size: int) -> memoryview:
    if not size:
        return memoryview(b"")
    return memoryview(mmap.mmap(file, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ))
