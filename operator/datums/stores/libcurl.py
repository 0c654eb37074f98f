"""A handle of libcurl that sends a body out of memory and writes that of an answer by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pycurl

from datums.stores.native import INT, LARGE, LONG, POINTER, native
from datums.stores.sink import Memory

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ERROR_BUFFER, _HEADER_DATA, _PROGRESS_DATA, _ERROR_BYTES = 10010, 10029, 10057, 256  # of curl.h; pycurl has no names for them
_POINTERS, _LARGE, _BLOBS = 10000, 30000, 40000
_COPY: Final = 1  # CURL_BLOB_COPY
_Moving = ctypes.CFUNCTYPE(INT, POINTER, *[LARGE] * 4)


class _Blob(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t), ("flags", ctypes.c_uint))


class Handle:
    """As `pycurl.Curl`, as far as large requests and answers need it. For one thread at a time."""

    def __init__(self) -> None:
        self._native = native()
        self._curl = self._native.easy_init()
        if not self._curl:
            raise MemoryError("libcurl makes no handle")
        self._error = ctypes.create_string_buffer(_ERROR_BYTES)
        self._kept: dict[int, Any] = {}
        """What libcurl has the addresses of."""
        self._headers: int | None = None
        self._heads = Memory()
        self._take_head: Callable[[bytes], object] | None = None
        self._set(_ERROR_BUFFER, self._error)
        self._set(pycurl.NOPROGRESS, LONG(1))

    def __del__(self) -> None:
        if getattr(self, "_curl", None):
            self._native.cleanup(self._curl)
            self._native.slist_free(self._headers)

    def setopt(self, option: int, value: Any) -> None:
        """Sets an option. What differs: the body of an answer goes to something with a stream (`sink`); what takes the lines of its
        header gets them when they are asked for (`hand_heads`); what is told of progress takes no numbers, and returns whether to
        go on.

        Raises:
            pycurl.error: libcurl does not take it.
        """
        if option == pycurl.HTTPHEADER:
            self._set_headers(value)
        elif option == pycurl.HEADERFUNCTION:
            self._take_head = value
            self._heads.read()
            self._write_to(_HEADER_DATA, option, self._heads.stream)
        elif option == pycurl.WRITEFUNCTION:
            self._write_to(pycurl.WRITEDATA, option, value.stream)
        elif option == pycurl.XFERINFOFUNCTION:
            self._kept[option] = _Moving(partial(_look, value))
            self._set(option, self._kept[option])
        elif option == pycurl.POSTFIELDS:
            self._set_body(value)
        elif option >= _BLOBS:
            data = value.encode() if isinstance(value, str) else value
            self._set(option, ctypes.byref(_Blob(data, len(data), _COPY)))
        elif option >= _LARGE:
            self._set(option, LARGE(value))
        elif option >= _POINTERS:
            # Not all of them are copied.
            self._kept[option] = ctypes.c_char_p(value.encode() if isinstance(value, str) else value)
            self._set(option, self._kept[option])
        else:
            self._set(option, LONG(value))

    def unsetopt(self, option: int) -> None:
        """Takes an option back."""
        self._set(option, POINTER())
        self._kept.pop(option, None)
        if option == pycurl.HEADERFUNCTION:
            self._take_head = None

    def go_on_while_empty(self, text: ctypes.Array[ctypes.c_char]) -> None:
        """Has libcurl ask a C string whether to go on, instead of what is told of progress. To be called by that.

        Args:
            text: to be kept until the request has ended.
        """
        # HAZARD: the function that is called now must be there until it has returned, so it stays in `_kept`.
        self._set(_PROGRESS_DATA, text)
        self._set(pycurl.XFERINFOFUNCTION, self._native.strlen)

    def hand_heads(self) -> None:
        """Hands on the lines of the header that have come."""
        for line in self._heads.read().splitlines(keepends=True):
            if self._take_head is not None:
                self._take_head(line)

    def getinfo(self, what: int) -> int:
        """A number of the last request."""
        found = LONG()
        self._native.getinfo(self._curl, what, ctypes.byref(found))
        return found.value

    def perform(self) -> tuple[int, str]:
        """Sends the request and takes its answer, while other threads run; libcurl's code, 0 if all went well, and its text."""
        self._error.value = b""
        code = self._native.perform(self._curl)
        return code, (self._error.value or self._native.strerror(code)).decode("utf-8", "replace")

    def _write_to(self, data: int, function: int, stream: int) -> None:
        self._set(data, POINTER(stream))
        self._set(function, self._native.fwrite)

    def _set(self, option: int, value: Any) -> None:
        if code := self._native.setopt(self._curl, option, value):
            raise pycurl.error(code, f"libcurl does not take option {option}")

    def _set_body(self, body: Buffer) -> None:
        """It is not copied where that can be helped."""
        with memoryview(body) as view:
            size = view.nbytes
            writable = None if view.readonly else (ctypes.c_char * size).from_buffer(view)
            kept = writable or (body if isinstance(body, bytes) else bytes(view))
        self._set(pycurl.POSTFIELDSIZE_LARGE, LARGE(size))
        self._set(pycurl.POSTFIELDS, kept)
        self._kept[pycurl.POSTFIELDS] = kept

    def _set_headers(self, lines: Sequence[str]) -> None:
        before, self._headers = self._headers, None
        for line in lines:
            self._headers = self._native.slist_append(self._headers, line.encode())
        self._set(pycurl.HTTPHEADER, POINTER(self._headers))
        self._native.slist_free(before)


def _look(look: Callable[[], bool], *_sizes: int) -> int:
    return not look()
