"""How memory is kept and looked through, where there is much of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

# Of malloc.h; other libraries than glibc have no `mallopt`, or ignore what they do not know.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_BLOCK_BYTES: Final = 64 << 20
_KEPT_BYTES: Final = 256 << 20


def keep_what_was_freed() -> None:
    """Has blocks of some hundred KiB taken from memory that was used before. By default each is mapped anew, and given back when
    it is freed: the kernel then spends a fifth of all CPU time on clearing pages. One arena for all threads, or each keeps its own.
    """
    import ctypes  # noqa: PLC0415  some milliseconds, which only large files are worth

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for what, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _BLOCK_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES)):
            mallopt(what, value)
