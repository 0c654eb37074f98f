"""libcurl, called past pycurl: a handle whose answers libcurl writes to a file by itself.

pycurl hands a body to Python in pieces of 16 KiB, and takes the interpreter's lock for each. A large download then waits for that
lock more than for the network, and no second thread helps (docs/performance.md). Here libcurl is the very one that pycurl has
loaded, with the OpenSSL that it is linked with: nothing else is installed, and nothing is compiled.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pycurl

_SIZE: Final = ctypes.c_size_t
_POINTER: Final = ctypes.c_void_p
_ERROR_BUFFER, _ERROR_BYTES = 10010, 256  # of curl.h; pycurl has no names for them
_LONGS, _POINTERS, _FUNCTIONS, _LARGE, _BLOBS = 0, 10000, 20000, 30000, 40000
_REFUSE: Final = 0xFFFFFFFF  # CURL_WRITEFUNC_ERROR

_Pieces = ctypes.CFUNCTYPE(_SIZE, _POINTER, _SIZE, _SIZE, _POINTER)
_Moving = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, *[ctypes.c_longlong] * 4)


class _Blob(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", _SIZE), ("flags", ctypes.c_uint))


def _loaded() -> str:
    """The file that pycurl has loaded libcurl from."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name.startswith("libcurl"):
            return path
    raise OSError("pycurl is not linked with libcurl as a shared library")


class Library:
    """Functions of libcurl, and of the OpenSSL that it is linked with."""

    def __init__(self) -> None:
        path = _loaded()
        self.perform: Any = ctypes.CDLL(path).curl_easy_perform
        self.perform.argtypes = [_POINTER]
        # What takes no time keeps the interpreter's lock: a thread that gives it away may wait for it for milliseconds.
        self._quick = ctypes.PyDLL(path)
        self.setopt = self.function("curl_easy_setopt", ctypes.c_int, _POINTER, ctypes.c_int)
        self.getinfo = self.function("curl_easy_getinfo", ctypes.c_int, _POINTER, ctypes.c_int, _POINTER)
        self.make = self.function("curl_easy_init", _POINTER)
        self.clean_up = self.function("curl_easy_cleanup", None, _POINTER)
        self.explain = self.function("curl_easy_strerror", ctypes.c_char_p, ctypes.c_int)
        self.append = self.function("curl_slist_append", _POINTER, _POINTER, ctypes.c_char_p)
        self.free_list = self.function("curl_slist_free_all", None, _POINTER)

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        """A function of one of the two.

        Args:
            result, arguments: their types; further ones may follow those named.
        """
        found = getattr(self._quick, name)
        found.restype, found.argtypes = result, list(arguments)
        return found


_library: Library | None = None


def library() -> Library:
    """The one of this process."""
    global _library  # noqa: PLW0603
    _library = _library or Library()
    return _library


class Handle:
    """As `pycurl.Curl`, as far as a GET needs it. For one thread at a time."""

    def __init__(self) -> None:
        self._library = library()
        self._curl = self._library.make()
        if not self._curl:
            raise MemoryError("libcurl makes no handle")
        self._error = ctypes.create_string_buffer(_ERROR_BYTES)
        self._kept: dict[int, Any] = {}
        """What libcurl has the addresses of."""
        self._list: int | None = None
        self._set(_ERROR_BUFFER, self._error)
        self._set(pycurl.NOPROGRESS, ctypes.c_long(1))

    def __del__(self) -> None:
        if getattr(self, "_curl", None):
            self._library.clean_up(self._curl)
            self._library.free_list(self._list)

    def setopt(self, option: int, value: Any) -> None:
        """Sets an option.

        Raises:
            pycurl.error: libcurl does not take it.
        """
        if option == pycurl.HTTPHEADER:
            self._set_headers(value)
        elif option >= _BLOBS:
            data = value.encode() if isinstance(value, str) else value
            self._set(option, ctypes.byref(_Blob(data, len(data), 1)))  # 1: libcurl copies it
        elif option >= _LARGE:
            self._set(option, ctypes.c_longlong(value))
        elif option >= _FUNCTIONS:
            self._kept[option] = _progress(value) if option == pycurl.XFERINFOFUNCTION else _pieces(value)
            self._set(option, self._kept[option])
        elif option >= _POINTERS:
            # Not all of them are copied.
            self._kept[option] = ctypes.c_char_p(value.encode() if isinstance(value, str) else value)
            self._set(option, self._kept[option])
        else:
            self._set(option, ctypes.c_long(value))

    def unsetopt(self, option: int) -> None:
        """Takes an option back."""
        self._set(option, _POINTER())
        self._kept.pop(option, None)

    def write_to(self, stream: int) -> None:
        """Has libcurl write what is left of the body by itself. To be called by what takes the body, which may be called some more
        times: with what libcurl has received already.

        Args:
            stream: a `FILE *`.
        """
        # HAZARD: the function that is called now must be there until the request has ended, so it stays in `_kept`.
        self._set(pycurl.WRITEDATA, _POINTER(stream))
        self._set(pycurl.WRITEFUNCTION, _POINTER())  # fwrite

    def getinfo(self, what: int) -> int:
        """A number of the last request."""
        found = ctypes.c_long()
        self._library.getinfo(self._curl, what, ctypes.byref(found))
        return found.value

    def perform(self) -> tuple[int, str]:
        """Sends the request and takes its answer, while other threads run; libcurl's code, 0 if all went well, and its text."""
        self._error.value = b""
        code = self._library.perform(self._curl)
        return code, (self._error.value or self._library.explain(code)).decode("utf-8", "replace")

    def _set(self, option: int, value: Any) -> None:
        if code := self._library.setopt(self._curl, option, value):
            raise pycurl.error(code, f"libcurl does not take option {option}")

    def _set_headers(self, lines: Sequence[str]) -> None:
        before, self._list = self._list, None
        for line in lines:
            self._list = self._library.append(self._list, line.encode())
        self._set(pycurl.HTTPHEADER, _POINTER(self._list))
        self._library.free_list(before)


def _pieces(take: Callable[[bytes], int | None]) -> Any:
    def called(data: int, _one: int, size: int, _of: int) -> int:
        taken = take(ctypes.string_at(data, size))
        return size if taken is None else _REFUSE

    return _Pieces(called)


def _progress(look: Callable[[], bool]) -> Any:
    return _Moving(partial(_look, look))


def _look(look: Callable[[], bool], *_sizes: int) -> int:
    return not look()
