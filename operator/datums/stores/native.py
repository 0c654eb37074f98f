"""Functions of libcurl, of the OpenSSL that it is linked with, and of the C library, called past pycurl.

pycurl hands headers and body to Python in pieces of at most 16 KiB, and takes the interpreter's lock for each. Large downloads then
wait for that lock more than for the network, and no further thread helps (docs/performance.md). Here libcurl is the very one that
pycurl has loaded: nothing else is installed, and nothing is compiled.

libcurl writes to a `FILE *` by itself. glibc makes one of any function that writes, and OpenSSL's `BIO_write` is such a function:
what it leads to is a file, perhaps hashed on the way, or memory. So a body is hashed and written without a line of Python.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from functools import cache
from typing import Any, Final

from pycurl import _pycurl

__all__ = ["INT", "LARGE", "LONG", "POINTER", "Native", "native"]

INT, LONG, LARGE, SIZE = ctypes.c_int, ctypes.c_long, ctypes.c_longlong, ctypes.c_size_t
POINTER, TEXT = ctypes.c_void_p, ctypes.c_char_p
_UNBUFFERED: Final = 2  # _IONBF of stdio.h
_CLOSE: Final = 1  # BIO_CLOSE of bio.h


class _Cookie(ctypes.Structure):
    _fields_ = (("read", POINTER), ("write", POINTER), ("seek", POINTER), ("close", POINTER))


class Native:
    """The functions; in all of them 0 stands for a pointer that is none."""

    def __init__(self) -> None:
        # What pycurl is linked with is found by its own file, and nowhere else: libcurl, and that one's OpenSSL.
        path = _pycurl.__file__
        # What takes no time keeps the interpreter's lock: a thread that gives it away may wait for it for milliseconds.
        curl, libc = ctypes.PyDLL(path), ctypes.PyDLL(None)
        self.perform = _function(ctypes.CDLL(path), "curl_easy_perform", INT, POINTER)
        self.easy_init = _function(curl, "curl_easy_init", POINTER)
        self.setopt = _function(curl, "curl_easy_setopt", INT, POINTER, INT)
        self.getinfo = _function(curl, "curl_easy_getinfo", INT, POINTER, INT, POINTER)
        self.strerror = _function(curl, "curl_easy_strerror", TEXT, INT)
        self.cleanup = _function(curl, "curl_easy_cleanup", None, POINTER)
        self.slist_append = _function(curl, "curl_slist_append", POINTER, POINTER, TEXT)
        self.slist_free = _function(curl, "curl_slist_free_all", None, POINTER)

        self.bio_new = _function(curl, "BIO_new", POINTER, POINTER)
        self._bio_new_fp = _function(curl, "BIO_new_fp", POINTER, POINTER, INT)
        self.bio_push = _function(curl, "BIO_push", POINTER, POINTER, POINTER)
        self.bio_control = _function(curl, "BIO_ctrl", LONG, POINTER, INT, LONG, POINTER)
        self.bio_read = _function(curl, "BIO_read", INT, POINTER, POINTER, INT)
        self.bio_gets = _function(curl, "BIO_gets", INT, POINTER, POINTER, INT)
        self.bio_free = _function(curl, "BIO_free_all", None, POINTER)
        self.bio_f_md = _function(curl, "BIO_f_md", POINTER)
        self.bio_s_mem = _function(curl, "BIO_s_mem", POINTER)
        self.sha256 = _function(curl, "EVP_sha256", POINTER)
        self.md_new = _function(curl, "EVP_MD_CTX_new", POINTER)
        self.md_init = _function(curl, "EVP_DigestInit_ex", INT, POINTER, POINTER, POINTER)
        self.md_copy = _function(curl, "EVP_MD_CTX_copy_ex", INT, POINTER, POINTER)
        self.md_free = _function(curl, "EVP_MD_CTX_free", None, POINTER)

        self.lseek = _function(libc, "lseek", LARGE, INT, LARGE, INT)
        self.fwrite = _function(libc, "fwrite", SIZE, TEXT, SIZE, SIZE, POINTER)
        self.strlen = _function(libc, "strlen", SIZE, TEXT)
        self.fclose = _function(libc, "fclose", INT, POINTER)
        self.ftello = _function(libc, "ftello", LARGE, POINTER)
        self.fseeko = _function(libc, "fseeko", INT, POINTER, LARGE, INT)
        self._fmemopen = _function(libc, "fmemopen", POINTER, POINTER, SIZE, TEXT)
        self._fdopen = _function(libc, "fdopen", POINTER, INT, TEXT)
        self._setvbuf = _function(libc, "setvbuf", INT, POINTER, POINTER, INT, SIZE)
        self._fopencookie = _function(libc, "fopencookie", POINTER, POINTER, TEXT, _Cookie)
        self._cookie = _Cookie(None, ctypes.cast(curl.BIO_write, POINTER), None, None)

    def bio_of_file(self, file: int) -> int:
        """A BIO that writes to a descriptor, where that stands; the descriptor stays open when it is freed.

        Raises:
            OSError: there may be no further descriptor.
        """
        # HAZARD: not by `BIO_new_fd`, which returns -1 where a write fails. `fopencookie` wants 0: it would take it for 4 GiB that
        # were written, and go on behind the buffer's end.
        return int(self._bio_new_fp(self._unbuffered(self._fdopen(os.dup(file), b"w")), _CLOSE))

    def stream(self, bio: int) -> int:
        """A `FILE *` without a buffer that writes to a BIO.

        Raises:
            MemoryError
        """
        return self._unbuffered(self._fopencookie(bio, b"w", self._cookie))

    def stream_of_memory(self, address: int, size: int) -> int:
        """A `FILE *` that writes to memory, from its beginning, as long as that lasts.

        Raises:
            MemoryError
        """
        return self._unbuffered(self._fmemopen(address, size, b"w"))

    def _unbuffered(self, stream: int | None) -> int:
        if not stream:
            raise MemoryError(os.strerror(errno.ENOMEM))
        self._setvbuf(stream, None, _UNBUFFERED, 0)
        return int(stream)


def native() -> Native:
    """Those of this process."""
    with _ONE:  # of many threads that begin at once, one makes them
        return _native()


_ONE: Final = threading.Lock()
_native: Final = cache(Native)


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """A function, by the types of what it returns and takes; more may follow."""
    found = getattr(library, name)
    found.restype, found.argtypes = result, list(arguments)
    return found
